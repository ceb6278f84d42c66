"""What leads a report says no more than was measured."""

import pytest

from chainsec.app import findings, report_charts, report_tables, wording
from chainsec.scenarios.report_schema import AttackOutcome, Measures
from chainsec.scenarios.report_series import Histogram


def measures(stopped, cut_off, requests):
    share = stopped / requests if requests else None
    outcome = AttackOutcome(
        requests=requests,
        denied=stopped,
        escalated=0,
        approved=0,
        stopped=stopped,
        cut_off=cut_off,
        cut_off_late=0,
        recall=share,
    )
    nothing = dict.fromkeys(Measures.model_fields)
    known = {
        "good_requests": 0,
        "bad_requests": requests,
        "bad_stopped_rate": share,
        "bad_cut_off_rate": cut_off / requests if requests else None,
        "per_attack": {"snooping": outcome},
    }
    return Measures(**(nothing | known))


def with_revocations(report, seconds, edges):
    series = report.series.model_copy(update={"revocation_s": Histogram.of(seconds, edges)})
    return report.model_copy(update={"series": series})


@pytest.mark.parametrize(("stopped", "cut_off", "requests"), [(0, 0, 9), (3, 2, 9), (9, 0, 9), (0, 9, 9)])
def test_contained_is_what_was_stopped_or_cut_off_later(stopped, cut_off, requests):
    found = findings.containment(measures(stopped, cut_off, requests))
    assert (found.stopped, found.cut_off) == (stopped, cut_off)
    assert found.rate == (stopped + cut_off) / requests


def test_without_bad_requests_there_is_no_share_contained():
    assert findings.containment(measures(0, 0, 0)).rate is None


def test_the_headline_sets_the_price_beside_the_catch_for_agent_and_rules(report):
    sentence = findings.headline(report)
    assert "honest ones" in sentence
    assert sentence.count("%") == 4
    assert "under the same contract, rules alone" in sentence


def test_the_comparison_is_told_at_equal_cost_and_names_both_costs(report):
    sentence = findings._at_equal_cost(report)
    rules = report.quality.baselines["rules only"]
    for way in (report.quality, rules):
        for share in (way.held_at_agents_share, way.held_at_rules_share, findings.disturbed_rate(way)):
            assert wording.rate(share) in sentence
    assert (
        findings._at_equal_cost(
            report.model_copy(update={"quality": report.quality.model_copy(update={"baselines": {}})})
        )
        == ""
    )


def test_whoever_was_wrongly_hit_is_counted_by_who_did_it(report):
    sentence = " ".join(findings.findings(report))
    assert "5 grants ended early by its responses, 2 by a guardian's error" in sentence
    unhurt = report.decisions.model_copy(update={"honest_cut_off_by_agent": 0, "honest_cut_off_by_guardian": 0})
    assert "ended early" not in " ".join(findings.findings(report.model_copy(update={"decisions": unhurt})))


def test_a_log_has_no_attacks_only_requests_it_denied(report):
    run = report.run.model_copy(update={"kind": "replay"})
    quality = report.quality.model_copy(update={"per_attack": {}})
    replayed = report.model_copy(update={"run": run, "quality": quality})
    assert "denied by the log" in findings.headline(replayed)
    assert "attack" not in findings.headline(replayed)
    assert report_tables.comparison(replayed).rows[0][0] == "denied by the log: stopped"
    assert not report_tables.attacks(replayed).rows


def test_one_attack_cut_off_is_not_called_a_median(report):
    sentence = findings.cut_off_sentence(with_revocations(report, [70], [0, 60, 600, 3600]))
    assert sentence.startswith("One attack")
    assert "10 min" in sentence
    assert "half" not in sentence.split(",")[0]


def test_several_attacks_cut_off_are_counted(report):
    assert findings.cut_off_sentence(with_revocations(report, [5, 70, 80], [0, 60, 600, 3600])).startswith(
        "Of 3 attacks"
    )


def test_a_time_without_an_upper_end_is_not_claimed(report):
    longer = with_revocations(report, [10**9], [0, 60, 600])
    assert findings.time_to_revoke(longer) is None
    assert findings.cut_off_sentence(longer) == ""


def test_honest_people_cut_off_are_counted_once_and_mere_alerts_not(report):
    alert = report.timeline[0]
    alerts = [
        alert.model_copy(update={"requester": requester, "response": response, "attack": attack})
        for requester, response, attack in (
            ("ann", "revoke", ""),
            ("ann", "quarantine", ""),
            ("bob", "alert", ""),
            ("eve", "revoke", "snooping"),
            ("kim", "revoke", None),
        )
    ]
    assert findings.wrongly_cut_off(report.model_copy(update={"timeline": tuple(alerts)})) == 1
    assert findings.wrongly_cut_off(report.model_copy(update={"timeline": tuple(alerts[-1:])})) is None


def test_precision_is_drawn_in_steps_so_that_a_coarse_score_gains_nothing():
    corners = report_charts._steps([(0.0, 1.0), (1.0, 0.056)])
    assert corners == [(0.0, 0.056), (1.0, 0.056)]
    assert report_charts._steps([(0.0, 1.0)]) == []
