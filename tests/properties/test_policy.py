"""Whatever errors cost, the verdict is the cheapest one."""

import math

from hypothesis import given
from hypothesis import strategies as st

from chainsec.defence.policy import choose_verdict, find_thresholds
from chainsec.primitives import Verdict

COST = st.floats(0, 1e9) | st.sampled_from([0.0, 5e-324, 1e-9, 1.0, 1e308])
RISK = st.floats(0, 1)


def cost_of(verdict, risk, wrong_grant, wrong_denial, escalation):
    return {
        Verdict.GRANT: risk * wrong_grant,
        Verdict.DENY: (1 - risk) * wrong_denial,
        Verdict.ESCALATE: escalation,
    }[verdict]


@given(COST, COST, COST)
def test_thresholds_stand_in_order_between_0_and_1(wrong_grant, wrong_denial, escalation):
    found = find_thresholds(wrong_grant, wrong_denial, escalation)
    assert 0 <= found.grant_below <= found.deny_from <= 1


@given(COST, COST, COST, RISK)
def test_no_verdict_is_cheaper_than_the_one_chosen(wrong_grant, wrong_denial, escalation, risk):
    costs = (wrong_grant, wrong_denial, escalation)
    thresholds = find_thresholds(*costs)
    chosen = cost_of(choose_verdict(risk, thresholds), risk, *costs)
    cheapest = min(cost_of(verdict, risk, *costs) for verdict in Verdict)
    # a threshold is a rounded double: right at it, two verdicts cost the same but for the last digits
    slack = 4 * math.ulp(1.0) * max(wrong_grant, wrong_denial, escalation)
    assert chosen <= cheapest + slack


@given(COST, COST, COST, RISK, RISK)
def test_a_riskier_request_never_fares_better(wrong_grant, wrong_denial, escalation, one, other):
    thresholds = find_thresholds(wrong_grant, wrong_denial, escalation)
    low, high = sorted((one, other))
    assert choose_verdict(low, thresholds) >= choose_verdict(high, thresholds)


@given(COST, COST, COST, st.floats(1, 100))
def test_a_request_that_can_do_more_harm_is_never_granted_more_easily(wrong_grant, wrong_denial, escalation, factor):
    mild = find_thresholds(wrong_grant, wrong_denial, escalation)
    grave = find_thresholds(min(wrong_grant * factor, 1e308), wrong_denial, escalation)
    assert grave.grant_below <= mild.grant_below + math.ulp(1.0)
