"""Thresholds stand in order, cost nothing to be wrong where nothing is at stake, and refuse what is no cost."""

import math

import pytest

from chainsec.config import DecisionCosts
from chainsec.defence.policy import Thresholds, choose_verdict, find_thresholds, thresholds_by_sensitivity
from chainsec.primitives import Verdict


def test_the_default_costs_ask_more_of_a_request_the_more_sensitive_it_is():
    costs = DecisionCosts()
    found = thresholds_by_sensitivity(costs.wrong_grant, costs.wrong_denial, costs.escalation)
    assert [thresholds.grant_below for thresholds in found] == [2 / 9, 2 / 13, 2 / 18, 2 / 26]
    assert {thresholds.deny_from for thresholds in found} == {0.9}


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        ((0.0, 10.0, 2.0), Thresholds(1.0, 1.0)),
        ((10.0, 0.0, 2.0), Thresholds(0.0, 0.0)),
        ((0.0, 0.0, 0.0), Thresholds(1.0, 1.0)),
        ((10.0, 10.0, 0.0), Thresholds(0.0, 1.0)),
        ((10.0, 10.0, 5.0), Thresholds(0.5, 0.5)),
        ((1e308, 1e308, 1e308), Thresholds(0.5, 0.5)),
    ],
)
def test_costs_at_the_edge_give_the_verdict_that_is_left(costs, expected):
    assert find_thresholds(*costs) == expected


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
@pytest.mark.parametrize("place", range(3))
def test_what_is_no_cost_is_refused(bad, place):
    costs = [1.0, 1.0, 1.0]
    costs[place] = bad
    with pytest.raises(ValueError, match="a cost is a number"):
        find_thresholds(*costs)


@pytest.mark.parametrize(("grant_below", "deny_from"), [(0.5, 0.4), (-0.1, 0.5), (0.5, 1.1), (math.nan, 0.5)])
def test_thresholds_out_of_order_are_refused(grant_below, deny_from):
    with pytest.raises(ValueError, match="no thresholds"):
        Thresholds(grant_below, deny_from)


@pytest.mark.parametrize("score", [-0.01, 1.01, math.nan, math.inf])
def test_what_is_no_risk_score_gets_no_verdict(score):
    with pytest.raises(ValueError, match="a risk score lies in"):
        choose_verdict(score, Thresholds(0.1, 0.8))


@pytest.mark.parametrize(
    ("score", "verdict"),
    [
        (0.0, Verdict.GRANT),
        (math.nextafter(0.1, 0), Verdict.GRANT),
        (0.1, Verdict.ESCALATE),
        (math.nextafter(0.8, 0), Verdict.ESCALATE),
        (0.8, Verdict.DENY),
        (1.0, Verdict.DENY),
    ],
)
def test_the_verdict_changes_exactly_at_the_thresholds(score, verdict):
    assert choose_verdict(score, Thresholds(0.1, 0.8)) is verdict
