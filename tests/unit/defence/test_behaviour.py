"""Habits of people, of their peers and of everybody."""

import json

import pytest

from chainsec.defence.behaviour import Habits
from chainsec.defence.observation import Observation

FACETS = ("requester", "asset", "@role", "@device")
DAY_S = 86_400
HOUR_S = 3_600
START_S = 1_740_960_000


def ask(time_s, requester="ann", asset="scan", role="nurse", device="d1"):
    return Observation(
        f"0x{time_s}", time_s, requester, asset, "read", "treatment", attributes={"role": role, "device": device}
    )


def values_of(observation):
    facts = observation.attributes
    return [observation.requester, observation.asset, facts["role"], facts["device"]]


def settle(days=20):
    """Return habits after two requests a day at 9 and 10 o'clock, by two nurses and a clerk."""
    habits = Habits(FACETS, has_clock=True)
    for day in range(days):
        for hour in (9, 10):
            for requester, role in (("ann", "nurse"), ("bea", "nurse"), ("cid", "clerk")):
                seen = ask(
                    START_S + day * DAY_S + hour * HOUR_S,
                    requester,
                    asset=f"asset-{(day + hour) % 4}",
                    role=role,
                    device=f"{requester}-pc",
                )
                habits.observe(seen, values_of(seen))
    return habits


def departures(habits, observation):
    values = values_of(observation)
    return habits.departures(habits.measure(observation, values), values)


NEXT_S = START_S + 20 * DAY_S + 9 * HOUR_S


def test_measuring_changes_nothing():
    habits = settle()
    before = json.dumps(habits.to_json(), sort_keys=True)
    departures(habits, ask(NEXT_S, "dora", "unheard-of", role="guest", device="x"))
    assert json.dumps(habits.to_json(), sort_keys=True) == before


def test_a_strange_device_departs_in_the_device_only():
    habits = settle()
    usual = departures(habits, ask(NEXT_S, asset="asset-1", device="ann-pc"))
    strange = departures(habits, ask(NEXT_S, asset="asset-1", device="ghost"))
    assert strange["habit:@device"] > usual["habit:@device"] + 2
    assert {name for name in usual if usual[name] != strange[name]} == {"habit:@device", "reach:@device"}


def test_the_small_hours_depart_from_office_hours_across_midnight_too():
    habits = settle()
    found = {
        hour: departures(habits, ask(START_S + 20 * DAY_S + hour * HOUR_S, device="ann-pc"))["hour"]
        for hour in (3, 8, 9, 23)
    }
    assert found[9] <= found[8] < found[3]
    assert found[3] == found[23]


def test_a_burst_departs_from_the_own_rate_and_leaves_others_alone():
    habits = settle()
    before = departures(habits, ask(NEXT_S, "bea", device="bea-pc"))
    for minute in range(12):
        seen = ask(NEXT_S + 60 * minute, asset=f"asset-{minute % 4}", device="ann-pc")
        habits.observe(seen, values_of(seen))
    assert departures(habits, ask(NEXT_S + 800, device="ann-pc"))["rate:hour"] > 2
    assert departures(habits, ask(NEXT_S, "bea", device="bea-pc"))["rate:hour"] == pytest.approx(
        before["rate:hour"], abs=1.0
    )


def test_an_account_that_wakes_up_stays_conspicuous_after_its_first_request():
    habits = settle()
    woken = ask(NEXT_S + 40 * DAY_S, device="ann-pc")
    first = departures(habits, woken)["silence"]
    habits.observe(woken, values_of(woken))
    second = departures(habits, ask(woken.time_s + HOUR_S, device="ann-pc"))["silence"]
    assert first > 3
    assert second > 1.5


def test_a_newcomer_is_measured_against_peers():
    habits = settle()
    like_peers = habits.measure(newcomer := ask(NEXT_S, "eve", "asset-1"), values_of(newcomer))
    clerk_hours = habits.measure(late := ask(NEXT_S + 12 * HOUR_S, "eve", "asset-1"), values_of(late))
    assert like_peers["habit:@role"] < 2
    assert clerk_hours["hour"] > like_peers["hour"] + 2
    assert like_peers["silence"] == like_peers["rate:week"] == 0.0


def test_nobody_departs_from_an_empty_past():
    habits = Habits(FACETS, has_clock=True)
    assert set(departures(habits, ask(NEXT_S)).values()) == {0.0}


def test_the_signal_names_are_those_that_are_measured():
    for has_clock in (True, False):
        habits = Habits(FACETS, has_clock=has_clock)
        assert tuple(habits.measure(ask(NEXT_S), values_of(ask(NEXT_S)))) == habits.signal_names


def test_what_proved_hostile_leaves_the_habits_again():
    habits = settle()
    hostile = ask(NEXT_S, device="ghost")
    before = habits.measure(hostile, values_of(hostile))["habit:@device"]
    habits.observe(hostile, values_of(hostile))
    after = habits.measure(hostile, values_of(hostile))["habit:@device"]
    habits.forget(hostile, values_of(hostile))
    forgotten = habits.measure(hostile, values_of(hostile))["habit:@device"]
    assert after < before - 1
    assert forgotten == pytest.approx(before, abs=0.1)


def test_habits_read_back_measure_alike_and_are_apart():
    habits = settle()
    again = Habits.from_json(json.loads(json.dumps(habits.to_json())), FACETS, has_clock=True)
    probe = ask(NEXT_S, "cid", "asset-2", role="clerk", device="ghost")
    assert departures(again, probe) == departures(habits, probe)
    again.observe(probe, values_of(probe))
    assert departures(again, probe) != departures(habits, probe)
