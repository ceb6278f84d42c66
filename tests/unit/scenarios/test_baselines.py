"""The rule engine: each rule alone, limits from history only, and a fair but mediocre result on the hospital."""

from dataclasses import replace

import pytest

from chainsec.scenarios.baselines import RULES, RuleEngine, breaks_hours, breaks_role, breaks_ward, grant_all
from chainsec.scenarios.hospital import hospital
from chainsec.scenarios.quality import area_under_roc
from chainsec.scenarios.workload import Attempt

FACTS = {
    "role": "nurse",
    "record_kind": "chart",
    "duty": "on duty",
    "ward_relation": "same ward",
    "team_list": "listed",
}
DAY_S = 86_400


def attempt(time_s=0, requester="ana", purpose="treatment", **facts):
    return Attempt(
        time_s, requester, "r", "read", purpose, 60, attributes={**FACTS, **facts}, denied=False, label_at_s=time_s
    )


@pytest.fixture(scope="module")
def workload():
    return hospital(2)


@pytest.fixture
def engine():
    # Three requests on each of 40 days: at most one an hour, three a day.
    history = [attempt(day * DAY_S + hour * 3600) for day in range(40) for hour in (9, 11, 15)]
    return RuleEngine.from_history(history)


def test_ordinary_request_breaks_no_rule_and_is_granted(engine):
    (verdict,) = engine.judge([attempt(50 * DAY_S)])
    assert (verdict.denied, verdict.score, verdict.fired) == (False, 0.0, ())


def test_off_duty_breaks_the_hours_unless_it_is_an_emergency(engine):
    assert breaks_hours(attempt(duty="off duty"), engine.limits)
    assert not breaks_hours(attempt(duty="off duty", emergency="yes"), engine.limits)
    assert not breaks_hours(attempt(duty="on call"), engine.limits)


def test_without_a_roster_the_roles_usual_hours_count(engine):
    def bare(hour):
        return replace(attempt(hour * 3600), attributes={"role": "nurse"})

    assert breaks_hours(bare(3), engine.limits)
    assert not breaks_hours(bare(10), engine.limits)
    assert not breaks_hours(bare(3), engine.limits, has_clock=False)


def test_purpose_that_the_role_never_had_breaks_the_role(engine):
    assert breaks_role(attempt(purpose="billing"), engine.limits)
    assert not breaks_role(attempt(), engine.limits)


def test_other_ward_is_fine_for_the_listed_team_only():
    assert breaks_ward(attempt(ward_relation="other ward", team_list="not listed"))
    assert not breaks_ward(attempt(ward_relation="other ward"))
    assert not breaks_ward(attempt(team_list="not listed"))


def test_rate_counts_one_requesters_last_hour_and_day(engine):
    start = 60 * DAY_S
    verdicts = engine.judge([attempt(start), attempt(start + 10), attempt(start + 20, requester="ben")])
    assert [v.fired for v in verdicts] == [(), ("rate",), ()]
    daily = engine.judge([attempt(start + DAY_S * 3 + 4000 * n) for n in range(4)])
    assert [v.fired for v in daily] == [(), (), (), ("rate",)]


def test_rates_mean_nothing_without_a_clock():
    history = [attempt(n) for n in range(100)]
    engine = RuleEngine.from_history(history, has_clock=False)
    assert all("rate" not in v.fired for v in engine.judge([attempt(100 + n) for n in range(50)]))


def test_known_abuse_in_history_does_not_widen_the_rules():
    history = [attempt(n * DAY_S) for n in range(30)]
    abuse = [replace(attempt(n * DAY_S + 1, purpose="billing"), denied=True) for n in range(30)]
    engine = RuleEngine.from_history(sorted(history + abuse, key=lambda a: a.time_s))
    assert breaks_role(attempt(purpose="billing"), engine.limits)


def test_grant_all_denies_nothing():
    assert [(v.denied, v.score) for v in grant_all([attempt(), attempt(duty="off duty")])] == [(False, 0.0)] * 2


def test_limits_are_read_off_history_alone(workload):
    blind = RuleEngine.from_history([replace(a, denied=None) if a.label_at_s is None else a for a in workload.history])
    assert blind.limits == RuleEngine.from_history(workload.history).limits


def test_engine_on_the_hospital_is_decent_and_mediocre(workload):
    verdicts = RuleEngine.from_history(workload.history).judge(workload.live)
    truth = [bool(a.denied) for a in workload.live]
    good = [v.denied for v, bad in zip(verdicts, truth, strict=True) if not bad]
    assert 0.60 < area_under_roc([v.score for v in verdicts], truth) < 0.80
    assert sum(good) / len(good) <= 0.10
    assert {rule for v in verdicts for rule in v.fired} == set(RULES)
    assert all(v.score == len(v.fired) / len(RULES) for v in verdicts)


def test_history_that_is_empty_leaves_an_engine_that_denies_nothing_but_the_unheard_of():
    engine = RuleEngine.from_history([])
    (verdict,) = engine.judge([attempt()])
    assert verdict.fired == ("role",)
