"""What counts as stopped, as cut off in time and as refused, whoever decides."""

import pytest

from chainsec.scenarios.comparison import Judged, measure_quality
from chainsec.scenarios.workload import Attempt, PlannedUse
from chainsec.services.access import Status

USES = (PlannedUse(1, "read", 60), PlannedUse(2, "read", 40))


def judged(
    outcome=Status.GRANTED, *, answer="", taken=0, cut_off_by="", denied=True, score=0.5, above=False, uses=USES
):
    attempt = Attempt(0, "ann", "scan", "read", "service", 60, denied=denied, attack="snooping" if denied else None, uses=uses)  # fmt: skip # noqa: E501
    return Judged(attempt, score, outcome, answer, above, above, cut_off_by, taken)


@pytest.mark.parametrize(
    ("case", "stopped", "cut_off"),
    [
        (judged(Status.DENIED), True, False),
        (judged(Status.ESCALATED), True, False),
        (judged(Status.ESCALATED, answer="cancel"), True, False),
        (judged(Status.ESCALATED, answer="lapse"), True, False),
        (judged(Status.ESCALATED, answer="approve", taken=100), False, False),
        (judged(Status.ESCALATED, answer="approve", taken=40, cut_off_by="agent"), False, True),
        (judged(taken=49, cut_off_by="agent"), False, True),
        (judged(taken=50, cut_off_by="agent"), False, False),
        (judged(taken=0), False, False),
        (judged(cut_off_by="guardian", uses=()), False, True),
    ],
)
def test_contained_is_stopped_or_cut_off_before_half_was_taken_and_nothing_else(case, stopped, cut_off):
    assert (case.is_stopped, case.is_cut_off) == (stopped, cut_off)
    measures = measure_quality([case, judged(denied=False)], {})
    assert (measures.bad_stopped_rate, measures.bad_cut_off_rate) == (stopped, cut_off)
    outcome = measures.per_attack["snooping"]
    assert (outcome.stopped, outcome.cut_off) == (stopped, cut_off)
    assert outcome.cut_off_late == (case.cut_off_by != "" and not cut_off)


def test_refused_in_the_end_adds_what_guardians_cancel_and_leaves_out_what_they_approve():
    good = [
        judged(Status.DENIED, denied=False),
        judged(Status.ESCALATED, answer="cancel", denied=False),
        judged(Status.ESCALATED, answer="approve", denied=False),
        judged(Status.ESCALATED, answer="lapse", denied=False),
        judged(denied=False),
    ]
    found = measure_quality(good, {})
    assert (found.good_denied_rate, found.good_escalated_rate) == (0.2, 0.6)
    assert (found.good_refused_rate, found.good_lapsed_rate) == (0.4, 0.2)


def test_at_equal_cost_a_better_score_holds_up_more_and_a_blind_one_as_many_as_it_costs():
    def way(score_of):
        return [
            judged(Status.ESCALATED if n % 4 == 0 else Status.GRANTED, denied=n % 2 == 0, score=score_of(n))
            for n in range(200)
        ]

    sharp, blind = way(lambda n: 0.9 if n % 2 == 0 else n / 400), way(lambda _: 0.5)
    for item in (sharp, blind):
        item[1:60:2] = [judged(Status.ESCALATED, denied=False, score=one.score) for one in item[1:60:2]]
    quality = measure_quality(sharp, {"rules only": blind})
    assert quality.good_escalated_rate == 0.3
    assert quality.held_at_agents_share == 1.0
    assert quality.baselines["rules only"].held_at_agents_share == pytest.approx(0.3)


def test_what_lies_above_the_ceiling_is_held_up_first_whatever_its_score():
    items = [judged(Status.ESCALATED, denied=bad, above=True, score=0.0) for bad in (True, False)]
    items += [judged(denied=bad, score=0.9) for bad in (True, False, False, False)]
    found = measure_quality(items, {})
    assert found.good_escalated_rate == 0.25
    assert found.held_at_agents_share == 0.5
    assert found.bad_stopped_by_ceiling_rate == 0.5
    assert found.denial_recall_at_10pct == pytest.approx(0.5 * 0.1 / 0.75)
