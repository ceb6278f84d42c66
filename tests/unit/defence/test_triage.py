"""Guardians' queue: sides take turns, nobody starves, nothing is lost."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainsec.defence.triage import FairQueue

SIDES = st.tuples(st.sampled_from("AB"), st.sampled_from("xyz"))


def fill(items):
    queue = FairQueue()
    for place, sides in enumerate(items):
        queue.put(sides, (sides, place))
    return queue


def drain(queue):
    return [queue.take() for _ in range(len(queue))]


@settings(max_examples=80)
@given(st.lists(SIDES, max_size=40))
def test_everything_comes_out_once_and_each_sides_own_in_order(items):
    taken = drain(fill(items))
    assert sorted(place for _, place in taken) == list(range(len(items)))
    for sides in set(items):
        own = [place for other, place in taken if other == sides]
        assert own == sorted(own)


@settings(max_examples=80)
@given(st.lists(SIDES, min_size=1, max_size=40))
def test_while_both_organisations_wait_they_take_turns(items):
    order = [sides[0] for sides, _ in drain(fill(items))]
    both = 2 * min(order.count("A"), order.count("B"))
    assert all(first != second for first, second in pairwise(order[:both]))


def test_a_flood_by_one_requester_delays_another_by_one_answer():
    queue = fill([("A", "x")] * 500)
    queue.put(("A", "y"), "late")
    assert "late" in [queue.take() for _ in range(2)]


def test_many_accounts_of_one_organisation_do_not_outvote_another_organisation():
    queue = fill([("A", f"mob-{number}") for number in range(200)])
    queue.put(("B", "x"), "honest")
    assert "honest" in [queue.take() for _ in range(2)]


def test_without_sides_it_is_first_come_first_served():
    queue = FairQueue()
    for number in range(5):
        queue.put((), number)
    assert drain(queue) == [0, 1, 2, 3, 4]


def test_an_empty_queue_has_nothing_to_take():
    queue = fill([("A", "x")])
    assert list(queue)
    queue.take()
    with pytest.raises(LookupError, match="nothing waits"):
        queue.take()
    assert len(queue) == 0
