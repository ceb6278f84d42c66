"""Quorums, how many may fail, whose turn it is, and how long a round lasts."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainsec.network.committee import catch_up_size, most_faulty, quorum_size, round_timeout_us, select_proposer
from chainsec.primitives import Address

SIZES = range(1, 400)
ADDRESSES = [Address(bytes(19) + bytes([n])) for n in range(1, 31)]


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 7, 10, 100])
def test_a_quorum_is_two_thirds_rounded_up(n):
    assert quorum_size(n) - 1 < Fraction(2 * n, 3) <= quorum_size(n)


def test_two_quorums_share_an_honest_validator_whatever_the_size():
    # Two quorums share at least 2 q - n. For n = 3 f + 1 and n = 3 f + 3 that is f + 1, for n = 3 f + 2 one more.
    for n in SIZES:
        shared, f = 2 * quorum_size(n) - n, most_faulty(n)
        assert shared == f + (2 if n % 3 == 2 else 1)


def test_the_honest_alone_are_a_quorum_whatever_the_size():
    # One validator is to spare for n = 3 f + 3 only: there one more may be silent, but not one more that lies.
    for n in SIZES:
        assert n - most_faulty(n) - quorum_size(n) == (1 if n % 3 == 0 else 0)


def test_one_more_faulty_breaks_agreement_or_progress_whatever_the_size():
    for n in SIZES:
        faulty = most_faulty(n) + 1
        quorums_may_meet_in_the_faulty_alone = 2 * quorum_size(n) - n <= faulty
        progress_needs_a_faulty_one = n - faulty < quorum_size(n)
        assert quorums_may_meet_in_the_faulty_alone or progress_needs_a_faulty_one


def test_catching_up_takes_one_honest_validator():
    for n in SIZES:
        assert catch_up_size(n) > most_faulty(n)
        assert catch_up_size(n) <= n - most_faulty(n)  # the honest can move each other


@given(st.sampled_from([0.5, 1, 2, 4, 10]), st.integers(0, 40))
def test_each_round_lasts_twice_as_long_as_the_one_before(request_timeout_s, round_):
    first = round_timeout_us(request_timeout_s, 0)
    assert first == request_timeout_s * 1_000_000
    assert round_timeout_us(request_timeout_s, round_ + 1) == 2 * round_timeout_us(request_timeout_s, round_)


def test_round_ten_of_four_seconds_lasts_4096():
    assert round_timeout_us(4, 10) == 4_096_000_000  # Source: Besu issue 7642


COMMITTEE = st.lists(st.sampled_from(ADDRESSES), min_size=1, max_size=12, unique=True).map(sorted)


def walk(validators, previous, steps):
    """Go round the ring of all addresses from ``previous``, counting validators only."""
    ring = sorted({*validators, previous})
    place = ring.index(previous)
    while steps:
        place = (place + 1) % len(ring)
        steps -= ring[place] in validators
    return ring[place]


@given(COMMITTEE, st.sampled_from(ADDRESSES), st.integers(0, 40))
def test_the_proposer_is_found_by_walking_round_the_ring(validators, previous, round_):
    assert select_proposer(validators, previous, round_) == walk(validators, previous, round_ + 1)


@given(COMMITTEE, st.sampled_from(ADDRESSES), st.integers(0, 40))
def test_as_many_rounds_as_validators_give_each_a_turn(validators, previous, round_):
    turns = [select_proposer(validators, previous, round_ + more) for more in range(len(validators))]
    assert sorted(turns) == validators


@given(COMMITTEE, st.integers(0, 30))
def test_as_many_blocks_as_validators_give_each_a_turn(validators, start):
    proposer, turns = validators[start % len(validators)], []
    for _ in validators:
        proposer = select_proposer(validators, proposer, 0)
        turns.append(proposer)
    assert sorted(turns) == validators


@given(COMMITTEE.filter(lambda validators: len(validators) > 1), st.integers(0, 11))
def test_when_a_proposer_leaves_the_next_higher_address_begins(validators, place):
    left = validators[place % len(validators)]
    others = [validator for validator in validators if validator != left]
    assert select_proposer(others, left, 0) == select_proposer(validators, left, 0)


def test_after_a_block_of_round_one_its_proposer_has_had_its_turn():
    # Besu issue 6398: one of five is down, and every fourth block waits for it.
    validators, down = ADDRESSES[:5], ADDRESSES[2]
    proposer, rounds = ADDRESSES[4], []
    for _ in range(12):
        round_ = 0
        while select_proposer(validators, proposer, round_) == down:
            round_ += 1
        proposer = select_proposer(validators, proposer, round_)
        rounds.append(round_)
    assert rounds == [0, 0, 1, 0] * 3
