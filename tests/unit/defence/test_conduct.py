"""Uses in words, and how odd they are: by hour, kind, volume, and whose assets are touched."""

from dataclasses import replace

import pytest

from chainsec.defence.conduct import Conduct
from chainsec.defence.observation import Use

NOON = Use(12 * 3_600, "ann", "r1", "read", 100, "q")


@pytest.fixture
def conduct():
    conduct = Conduct(odd_bits=4.5)
    for day in range(30):
        use = replace(NOON, time_s=day * 86_400 + NOON.time_s)
        conduct.learn("ann", "nurses", conduct.words(use, "nurses", "chart", 1.0), ["r1"])
        conduct.learn("bob", "clerks", conduct.words(replace(use, requester="bob", asset="r2"), "clerks", "bill", 1.0), ["r2"])  # fmt: skip  # noqa: E501
    return conduct


def is_odd(conduct, use, kind="chart", units=1.0, group="nurses"):
    return conduct.is_odd(conduct.words(use, group, kind, units), [], use.requester, group)


def test_what_is_done_every_day_is_not_odd(conduct):
    assert not is_odd(conduct, NOON)


@pytest.mark.parametrize(
    ("change", "kind", "units"),
    [
        ({"time_s": 3 * 3_600}, "chart", 1.0),
        ({"action": "export"}, "chart", 1.0),
        ({}, "scan", 1.0),
        ({}, "chart", 9.0),
        ({"asset": "r9"}, "chart", 1.0),
    ],
)
def test_another_hour_action_kind_volume_or_asset_makes_a_use_odd(conduct, change, kind, units):
    assert is_odd(conduct, replace(NOON, **change), kind, units)


def test_what_peers_do_is_not_odd_for_a_newcomer_and_what_others_do_is(conduct):
    newcomer = replace(NOON, requester="new")
    words = conduct.words(newcomer, "nurses", "chart", 1.0)
    assert words[-1] == "asset of peers"
    for colleague in ("carl", "dora", "emil"):
        conduct.learn(colleague, "nurses", words, ["r1"])
    assert not is_odd(conduct, newcomer)
    assert is_odd(conduct, newcomer, kind="bill")


def test_an_asset_is_known_to_who_used_it_then_to_peers_and_to_no_other_group(conduct):
    whose = [conduct.words(replace(NOON, requester=name), group, "chart", 1.0)[-1] for name, group in (("ann", "nurses"), ("new", "nurses"), ("bob", "clerks"))]  # fmt: skip  # noqa: E501
    assert whose == ["asset of own", "asset of peers", "asset of nobody"]


def test_before_anything_is_known_nothing_is_odd():
    assert not is_odd(Conduct(odd_bits=1.0), NOON)


def test_asking_changes_nothing(conduct):
    night = replace(NOON, time_s=3 * 3_600)
    assert all(is_odd(conduct, night) for _ in range(100))
