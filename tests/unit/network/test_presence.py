"""Who could take part when: read off networks that are small enough to say it beforehand."""

import pytest

from chainsec.network.run import play_scenario
from chainsec.network.scenario import NetworkScenario

ALL = frozenset(range(5))


@pytest.fixture(scope="module")
def presence():
    """Give what was seen of four validators and an observer, to whom all kinds of things happen."""
    content = {
        "name": "x",
        "duration_s": 30,
        "network": {"nodes": 5, "validators": 4, "regions": ["uk"]},
        "qbft": {"request_timeout_s": 1},
        "fault": [
            {"kind": "crash", "nodes": [3], "at_s": 4, "until_s": 6},
            {"kind": "partition", "groups": [[4], [0, 1, 2, 3]], "at_s": 8, "until_s": 10},
            {"kind": "partition", "groups": [[0, 1], [2, 3], [4]], "at_s": 12, "until_s": 14},
            {"kind": "skew", "nodes": [1], "skew_ms": 250, "at_s": 16, "until_s": 18},
            {"kind": "wipe", "nodes": [2], "at_s": 20, "until_s": 24},
        ],
    }
    return play_scenario(NetworkScenario.model_validate(content)).presence


@pytest.mark.parametrize(
    ("time_s", "able"),
    [
        (0, ALL),
        (3.9, ALL),
        (4, ALL - {3}),
        (5.9, ALL - {3}),
        (6, ALL),
        (9, ALL - {4}),
        (11, ALL),
        (13, frozenset()),
        (14, ALL),
        (17, ALL),
        (23, ALL - {2}),
        (29, ALL),
    ],
)
def test_able_is_who_is_up_and_reaches_a_quorum_of_honest_validators(presence, time_s, able):
    assert presence.at(round(time_s * 1e6)).able == able


def test_where_nobody_reaches_a_quorum_connected_is_who_reaches_as_many_as_anybody(presence):
    parted, whole = presence.at(13_000_000), presence.at(15_000_000)
    assert (parted.connected, parted.has_quorum) == ({0, 1, 2, 3}, False)
    assert (whole.connected, whole.has_quorum) == (ALL, True)
    assert presence.at(9_000_000).connected == ALL - {4}


def test_a_clock_is_off_from_when_to_when_it_is(presence):
    skews = [presence.at(round(time_s * 1e6)).skews_us for time_s in (15.9, 16, 17.9, 18)]
    assert skews == [(0,) * 5, (0, 250_000, 0, 0, 0), (0, 250_000, 0, 0, 0), (0,) * 5]


@pytest.mark.parametrize(
    ("start_s", "end_s", "able"),
    [(0, 3, ALL), (1, 4, ALL - {3}), (5, 9, ALL - {3, 4}), (0, 29, frozenset()), (15, 19, ALL), (21, 23, ALL - {2})],
)
def test_who_could_take_part_throughout_is_who_was_never_away(presence, start_s, end_s, able):
    assert presence.able_throughout(start_s * 1_000_000, end_s * 1_000_000) == able


def test_agreed_is_who_saw_a_quorum_and_not_who_fetched_the_block(presence):
    assert all(4 not in nodes for nodes in presence.agreed.values()), "an observer fetches everything"
    assert presence.agreed[1] == {0, 1, 2, 3}, "also where it is fetched once more after the disk was lost"
    away = [height for height, nodes in presence.agreed.items() if 2 not in nodes]
    assert len(away) >= 3
    assert away == list(range(away[0], away[-1] + 1))


def test_a_liar_is_not_counted_on_and_neither_does_it_count_for_others():
    content = {
        "name": "x",
        "duration_s": 5,
        "network": {"nodes": 5, "regions": ["uk"]},
        "byzantine": [{"node": 0, "role": "bad-seals"}],
        "fault": [{"kind": "crash", "nodes": [1], "at_s": 3}],
    }
    found = play_scenario(NetworkScenario.model_validate(content)).presence
    assert found.at(0).able == {1, 2, 3, 4}
    assert found.at(4_000_000).able == frozenset(), "three honest ones are no quorum of five"
    assert all(0 not in nodes for nodes in found.agreed.values())
