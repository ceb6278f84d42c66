"""Use detectors: each finds its own threat, stays quiet on ordinary days, alarms once, and never learns from abuse."""

import json
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainsec.defence.detectors import KINDS, RESPONSES, DetectorSettings, UseMonitor
from chainsec.defence.observation import Use
from chainsec.defence.surprise import (
    RULES,
    count_surprise,
    drift_surprise,
    export_drift_surprise,
    recompute,
    tail_threshold,
)

DAY_S = 86_400
PEOPLE = [f"p{n}" for n in range(12)]
HISTORY_DAYS = 14


def day_of_uses(rng, requester, day, *, reads=8, exports=0, factor=1.0):
    """A working day between eight and five: lognormal volumes, each use under a request of its own."""
    actions = ["read"] * int(rng.poisson(reads)) + ["export"] * exports
    times = np.sort(rng.uniform(8 * 3600, 17 * 3600, size=len(actions))).astype(int)
    return [
        Use(
            day * DAY_S + int(time_s),
            requester,
            f"r{rng.integers(40) if action == 'read' else 100 + number}",
            action,
            int(factor * rng.lognormal(10.0, 0.5)),
            f"{requester}/{day}/{number}",
        )
        for number, (time_s, action) in enumerate(zip(times, actions, strict=True))
    ]


def ordinary(rng, days, people=PEOPLE):
    uses = [
        use
        for day in days
        for name in people
        for use in day_of_uses(rng, name, day, exports=int(rng.random() < 0.15), factor=1.0)
    ]
    return sorted(uses, key=lambda use: use.time_s)


@pytest.fixture
def monitor():
    monitor = UseMonitor()
    monitor.warm_up(ordinary(np.random.default_rng(1), range(HISTORY_DAYS)))
    return monitor


def watch(monitor, uses):
    return [threat for use in sorted(uses, key=lambda u: u.time_s) for threat in monitor.observe(use)]


def test_warm_up_sets_rising_thresholds_for_every_kind(monitor):
    for kind in KINDS:
        assert list(monitor.thresholds(kind)) == sorted(monitor.thresholds(kind))
    assert UseMonitor().thresholds("volume") == DetectorSettings().cold_threshold


def test_ordinary_months_stay_near_the_accepted_false_alarms(monitor):
    uses = ordinary(np.random.default_rng(2), range(HISTORY_DAYS, HISTORY_DAYS + 60))
    threats = watch(monitor, uses)
    months = len(PEOPLE) * 60 / 30
    by_kind = Counter(threat.kind for threat in threats)
    # 0.05 a month and kind is asked for; short histories miss by a small factor, not by a large one.
    assert all(count / months <= 0.2 for count in by_kind.values()), by_kind


def test_burst_of_volume_is_found_and_concerns_nobody_else(monitor):
    rng = np.random.default_rng(3)
    uses = ordinary(rng, [20]) + day_of_uses(rng, "p1", 20, reads=30, factor=8.0)
    threats = watch(monitor, uses)
    assert {threat.requester for threat in threats} == {"p1"}
    assert "volume" in {threat.kind for threat in threats}
    assert threats[-1].response == "quarantine"


def test_mass_export_is_found_before_most_of_it_is_gone(monitor):
    uses = day_of_uses(np.random.default_rng(4), "p2", 20, reads=4, exports=25)
    seen = 0
    for use in uses:
        seen += use.action == "export"
        if any(threat.kind == "mass_export" for threat in monitor.observe(use)):
            break
    assert 1 < seen <= 8


def test_exporting_one_asset_over_and_over_is_no_mass_export(monitor):
    uses = [Use(20 * DAY_S + 60 * n, "p2", "r1", "export", 9_000, "q") for n in range(40)]
    assert "mass_export" not in {threat.kind for threat in watch(monitor, uses)}


@pytest.mark.parametrize(("exports", "factor", "kind"), [(1, 1.0, "slow_export"), (0, 2.0, "slow_volume")])
def test_slow_drift_is_found_after_some_days(monitor, exports, factor, kind):
    rng = np.random.default_rng(5)
    days = range(HISTORY_DAYS, HISTORY_DAYS + 25)
    uses = [use for day in days for use in day_of_uses(rng, "p3", day, exports=exports, factor=factor)]
    found = [threat for threat in watch(monitor, uses) if threat.kind == kind]
    assert found
    assert found[0].evidence["time_s"] > (HISTORY_DAYS + 1) * DAY_S
    assert found[0].evidence["inputs"]["carried"] > 0


def test_repeated_overstepping_is_found_and_one_slip_is_not(monitor):
    slips = [Use(20 * DAY_S + 60 * n, "p4", f"r{n}", "export", 0, f"q{n}", allowed=False) for n in range(4)]
    assert watch(monitor, slips[:1]) == []
    assert {threat.kind for threat in watch(monitor, slips[1:])} == {"beyond_scope"}


def test_refusal_for_another_reason_is_no_overstepping(monitor):
    for n in range(6):
        monitor.expect(f"q{n}", "export")
    refused = [Use(20 * DAY_S + 60 * n, "p4", f"r{n}", "export", 0, f"q{n}", allowed=False) for n in range(6)]
    assert watch(monitor, refused) == []


def test_what_the_monitor_itself_cut_off_is_not_held_against_the_requester_again(monitor):
    uses = day_of_uses(np.random.default_rng(6), "p2", 20, reads=1, exports=30)
    threats = watch(monitor, uses)
    cut = [request for threat in threats if threat.response == "quarantine" for request in threat.request_ids]
    assert cut
    later = [
        Use(20 * DAY_S + 70_000 + n, "p2", "r", "export", 0, request, allowed=False) for n, request in enumerate(cut)
    ]
    assert "beyond_scope" not in {threat.kind for threat in watch(monitor, later)}


def crowd(rng, requester, day, uses, *, hour=9.0, action="read", spread_s=3_600):
    """Ordinary volumes of familiar assets, many of them at a time."""
    times = np.sort(rng.uniform(0, spread_s, size=uses)).astype(int)
    return [
        Use(
            day * DAY_S + int(hour * 3_600) + int(time_s),
            requester,
            f"r{n % 20}",
            action,
            int(rng.lognormal(10, 0.5)),
            f"{requester}/{day}/{n}",
        )
        for n, time_s in enumerate(times)
    ]


def test_many_small_uses_at_a_time_are_a_burst_and_as_many_over_a_week_are_none(monitor):
    rng = np.random.default_rng(21)
    spread = [use for day in range(15, 20) for use in crowd(rng, "p3", day, 6, spread_s=9 * 3_600)]
    assert watch(monitor, spread) == []
    threats = watch(monitor, crowd(rng, "p4", 20, 30))
    assert ("burst", "alert") in {(threat.kind, threat.response) for threat in threats}
    assert {threat.requester for threat in threats} == {"p4"}


def test_a_day_worker_at_night_is_odd_and_somebody_who_always_works_then_is_not():
    rng = np.random.default_rng(22)
    groups = {"night": "nurses", "day": "clerks", "other": "clerks"}
    history = [
        use
        for day in range(20)
        for name, hour in (("night", 1.0), ("day", 9.0), ("other", 9.0))
        for use in crowd(rng, name, day, 6, hour=hour)
    ]
    monitor = UseMonitor(peer_groups=groups)
    monitor.warm_up(sorted(history, key=lambda use: use.time_s))
    threats = watch(monitor, crowd(rng, "night", 20, 6, hour=1.0) + crowd(rng, "day", 20, 6, hour=1.0))
    assert {(threat.kind, threat.requester) for threat in threats} == {("odd_conduct", "day")}


def test_one_odd_use_is_no_threat(monitor):
    [night] = crowd(np.random.default_rng(23), "p5", 20, 1, hour=3.0, action="write")
    assert watch(monitor, [night]) == []
    threats = watch(monitor, crowd(np.random.default_rng(23), "p5", 21, 6, hour=3.0, action="write"))
    assert "odd_conduct" in {threat.kind for threat in threats}


def test_refused_uses_are_neither_a_burst_nor_odd(monitor):
    uses = crowd(np.random.default_rng(24), "p6", 20, 40, hour=3.0)
    refused = [replace(use, allowed=False) for use in uses]
    assert watch(monitor, refused) == []


def test_pace_and_conduct_only_alert_and_concern_the_grants_in_use_at_that_time(monitor):
    rng = np.random.default_rng(25)
    early = crowd(rng, "p7", 20, 3, hour=9.0)
    late = [replace(use, request_id=f"late {n}") for n, use in enumerate(crowd(rng, "p7", 20, 60, hour=16.0))]
    threats = [threat for threat in watch(monitor, early + late) if threat.kind in {"burst", "odd_conduct"}]
    assert {threat.response for threat in threats} == {"alert"}
    assert all(set(threat.request_ids) <= {use.request_id for use in late} for threat in threats)
    assert {threat.evidence["window_s"] for threat in threats} <= {4 * 3_600, 3_600}


def test_conduct_of_a_flagged_day_does_not_become_ordinary(monitor):
    for day in range(20, 40):
        watch(monitor, crowd(np.random.default_rng(day), "p8", day, 12, hour=3.0, action="write"))
    assert monitor._people["p8"].baseline.counts["odd_conduct"].mean < 1.0
    assert monitor._people["p8"].flagged


def test_without_any_history_nothing_is_said_of_pace_and_conduct():
    threats = watch(UseMonitor(), crowd(np.random.default_rng(26), "ann", 1, 60))
    assert {threat.kind for threat in threats} <= {"mass_export", "beyond_scope"}


def test_sleeping_account_is_found_when_it_wakes_and_a_weekend_is_no_sleep(monitor):
    rng = np.random.default_rng(7)
    weekend = day_of_uses(rng, "p5", HISTORY_DAYS + 2)
    assert "sleeping_account" not in {threat.kind for threat in watch(monitor, weekend)}
    woken = watch(monitor, day_of_uses(rng, "p5", HISTORY_DAYS + 40)[:1])
    assert [(threat.kind, threat.response) for threat in woken] == [("sleeping_account", "alert")]


def test_newcomer_is_measured_by_peers_and_is_no_threat_on_the_first_day(monitor):
    assert watch(monitor, day_of_uses(np.random.default_rng(8), "newcomer", 20)) == []


def test_peers_of_a_group_share_what_is_ordinary():
    rng = np.random.default_rng(9)
    groups = {"ann": "exporters", "new": "exporters", "bob": "readers", "newer": "readers"}
    history = [u for day in range(20) for u in day_of_uses(rng, "ann", day, exports=6) + day_of_uses(rng, "bob", day)]
    monitor = UseMonitor(peer_groups=groups)
    monitor.warm_up(sorted(history, key=lambda use: use.time_s))
    found = watch(monitor, day_of_uses(rng, "new", 21, exports=6) + day_of_uses(rng, "newer", 21, exports=6))
    assert {threat.requester for threat in found} == {"newer"}


def test_first_use_of_a_large_kind_of_asset_is_no_burst():
    rng = np.random.default_rng(10)
    scans = {f"scan{n}": "scan" for n in range(200)}
    history = [
        Use(day * DAY_S + 30_000 + 60 * n, "ann", f"scan{day * 5 + n}", "read", int(rng.lognormal(17, 0.5)), "q")
        for day in range(20)
        for n in range(5)
    ]
    monitor = UseMonitor(asset_groups=scans)
    monitor.warm_up(history)
    fresh = [
        Use(21 * DAY_S + 30_000 + 60 * n, "ann", f"scan{150 + n}", "read", int(rng.lognormal(17, 0.5)), "q")
        for n in range(5)
    ]
    assert watch(monitor, fresh) == []


def test_one_excursion_raises_each_response_once(monitor):
    threats = watch(monitor, day_of_uses(np.random.default_rng(11), "p6", 20, reads=2, exports=40))
    for kind in KINDS:
        levels = [RESPONSES.index(threat.response) for threat in threats if threat.kind == kind]
        assert levels == sorted(set(levels))


def test_alarm_is_raised_again_after_it_came_down(monitor):
    rng = np.random.default_rng(12)
    first = watch(monitor, day_of_uses(rng, "p7", 20, reads=2, exports=12))
    quiet = watch(monitor, [use for day in range(21, 30) for use in day_of_uses(rng, "p7", day)])
    second = watch(monitor, day_of_uses(rng, "p7", 31, reads=2, exports=12))
    assert "mass_export" in {threat.kind for threat in first}
    assert "mass_export" not in {threat.kind for threat in quiet}
    assert "mass_export" in {threat.kind for threat in second}


def test_flagged_days_do_not_become_ordinary(monitor):
    rng = np.random.default_rng(13)
    for day in range(20, 40):
        watch(monitor, day_of_uses(rng, "p8", day, reads=2, exports=12))
    assert monitor._people["p8"].baseline.counts["mass_export"].mean < 0.5
    assert monitor._people["p8"].flagged


def test_released_requesters_day_becomes_ordinary_and_alarms_start_anew(monitor):
    rng = np.random.default_rng(14)
    watch(monitor, day_of_uses(rng, "p8", 20, reads=2, exports=12))
    monitor.release("p8")
    before = monitor._people["p8"].baseline.counts["mass_export"].mean
    watch(monitor, day_of_uses(rng, "p8", 21))
    assert monitor._people["p8"].baseline.counts["mass_export"].mean > before


def test_equal_streams_give_equal_threats():
    def run():
        rng = np.random.default_rng(15)
        monitor = UseMonitor()
        monitor.warm_up(ordinary(rng, range(8)))
        return watch(monitor, ordinary(rng, range(8, 12)) + day_of_uses(rng, "p1", 11, exports=20))

    assert run() == run()


def test_evidence_is_json_and_recomputes_to_the_statistic(monitor):
    rng = np.random.default_rng(16)
    threats = watch(monitor, day_of_uses(rng, "p1", 20, reads=30, exports=20, factor=6.0))
    assert len({threat.kind for threat in threats}) >= 2
    for threat in threats:
        evidence = json.loads(json.dumps(threat.evidence, allow_nan=False))
        assert recompute(threat.kind, evidence) == evidence["statistic"]
        reached = sum(evidence["statistic"] > level for level in evidence["thresholds"])
        assert threat.response == RESPONSES[reached - 1]
        assert 0.5 <= threat.score <= 1.0
        assert threat.request_ids


def test_every_kind_has_a_rule_and_every_rule_a_kind():
    assert set(KINDS) == set(RULES)


@given(st.integers(1, 30), st.floats(0.05, 20), st.floats(1, 50))
def test_count_surprise_is_the_tail_of_the_negative_binomial(count, shape, rate):
    stats = pytest.importorskip("scipy.stats")
    expected = -math.log10(stats.nbinom.sf(count - 1, shape, rate / (rate + 1)))
    assert count_surprise(count, shape, rate) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(st.lists(st.floats(-5, 5), max_size=30), st.floats(0, 2))
def test_drift_never_falls_below_zero_and_slack_only_lowers_it(days, slack):
    loose = strict = 0.0
    for day in days:
        loose, strict = drift_surprise(loose, day, slack), drift_surprise(strict, day, 0.0)
        assert 0.0 <= loose <= strict


@given(st.floats(0.01, 5), st.floats(1.1, 10))
def test_export_drift_falls_on_ordinary_days_and_rises_on_those_it_looks_for(expected, ratio):
    # The mean step is negative at the ordinary rate and positive at the raised one: the CUSUM's defining property.
    gain, loss = math.log(ratio), expected * (ratio - 1)
    assert expected * gain < loss < ratio * expected * gain
    assert export_drift_surprise(1e6, 0, expected, ratio) == pytest.approx(1e6 - loss)


def test_tail_threshold_is_exceeded_as_often_as_asked():
    rng = np.random.default_rng(17)
    threshold = tail_threshold(rng.exponential(size=2000).tolist(), days_per_month=20.0, false_alarms_per_month=0.1)
    assert (rng.exponential(size=400_000) > threshold).mean() * 20.0 == pytest.approx(0.1, rel=0.5)


def test_tail_threshold_needs_a_day():
    with pytest.raises(ValueError, match="at least one"):
        tail_threshold([], 20.0, 0.1)
    assert tail_threshold([3.0, 3.0], 20.0, 0.1) == 3.0
