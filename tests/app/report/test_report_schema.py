"""The contract of ``report.json``: what it takes, what it refuses, and what two runs of one seed share."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from chainsec.scenarios.report_schema import (
    WALL_CLOCK_FIELDS,
    AttackOutcome,
    Decisions,
    Report,
    Requests,
    Throughput,
    deterministic_digest,
    deterministic_part,
)
from chainsec.scenarios.report_series import Histogram, Quantiles

ASKED_FOR = {
    "run": {"seed", "engine", "model_digest"},
    "requests": {"total", "history", "live", "skipped"},
    "decisions": {"granted", "denied", "escalated", "revoked", "quarantined", "alerts"},
    "quality": {"auc", "average_precision", "denial_recall_at_10pct", "per_attack", "baselines"},
    "latency": {"tick_wait_s", "decision_blocks", "decision_ms", "batch_ms", "revocation_blocks"},
    "cost": {"transactions", "gas_total", "gas_per_decision"},
    "throughput": {"decisions_per_s"},
    "audit": {"blocks", "receipts", "verified"},
}


def containers(value, path=()):
    """Yield the path of every JSON object in ``value`` that is a part with fixed keys."""
    free = {"settings", "evidence", "per_attack", "baselines", "gas_by_operation", "curves", "skipped_by_reason"}
    if isinstance(value, dict):
        if not path or path[-1] not in free:
            yield path
        for key, inner in value.items():
            yield from containers(inner, (*path, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value[:1]):
            yield from containers(inner, (*path, i))


def inside(value, path):
    for step in path:
        value = value[step]
    return value


@pytest.mark.parametrize("section", sorted(ASKED_FOR))
def test_every_section_has_the_figures_that_were_promised(report, section):
    written = json.loads(report.to_json())
    assert ASKED_FOR[section] <= set(written[section])


def test_delays_are_given_as_three_percentiles(report):
    written = json.loads(report.to_json())["latency"]
    assert all(set(delay) == {"p50", "p95", "p99"} for delay in written.values())


def test_a_report_read_back_is_the_report_and_gives_the_same_bytes(report):
    again = Report.model_validate_json(report.to_json())
    assert again == report
    assert again.to_json() == report.to_json()


def test_an_unknown_key_is_refused_wherever_it_stands(report):
    text = report.to_json()
    paths = [path for path in containers(json.loads(text)) if not (path and path[-1] == "evidence")]
    assert len(paths) > 20
    for path in paths:
        value = json.loads(text)
        inside(value, path)["surprise"] = 1
        with pytest.raises(ValidationError) as caught:
            Report.model_validate_json(json.dumps(value))
        assert caught.value.errors()[0]["loc"][-1] == "surprise"


@pytest.mark.parametrize("section", sorted(ASKED_FOR))
def test_a_missing_section_is_refused_by_its_name(report, section):
    value = json.loads(report.to_json())
    del value[section]
    with pytest.raises(ValidationError) as caught:
        Report.model_validate_json(json.dumps(value))
    assert caught.value.errors()[0]["loc"] == (section,)


@pytest.mark.parametrize("wrong", ["1", 1.0, True, -1, None])
def test_a_count_is_a_whole_number_and_nothing_that_looks_like_one(wrong):
    assert Requests.model_validate({"total": 1, "history": 0, "live": 1, "skipped": 0}).live == 1
    with pytest.raises(ValidationError) as caught:
        Requests.model_validate({"total": 1, "history": 0, "live": wrong, "skipped": 0})
    assert caught.value.errors()[0]["loc"] == ("live",)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -1.0])
def test_a_quantity_that_is_no_number_or_below_nothing_is_refused(wrong):
    with pytest.raises(ValidationError):
        Throughput(decisions_per_s=wrong)


def test_a_part_cannot_be_changed_after_it_was_made(report):
    before = report.to_json()
    with pytest.raises(ValidationError):
        report.requests.live = 1
    assert report.to_json() == before


def test_requests_have_to_add_up():
    assert Requests(total=6, history=3, live=2, skipped=1).total == 6
    with pytest.raises(ValidationError):
        Requests(total=7, history=3, live=2, skipped=1)


def test_there_cannot_be_more_decisions_than_live_requests(report):
    live = report.requests.live
    none = dict.fromkeys(set(Decisions.model_fields) - {"granted", "denied", "escalated"}, 0)
    fits = report.model_dump() | {"decisions": Decisions(granted=live, denied=0, escalated=0, **none).model_dump()}
    assert Report.model_validate(fits).decisions.granted == live
    too_many = fits | {"decisions": Decisions(granted=live, denied=1, escalated=0, **none).model_dump()}
    with pytest.raises(ValidationError, match="decisions on"):
        Report.model_validate(too_many)


@pytest.mark.parametrize(
    "changed",
    [{"stopped": 4}, {"approved": 1}, {"cut_off": 8}, {"cut_off_late": 4}, {"recall": None}, {"requests": 0}],
    ids=[
        "no sum",
        "approved and stopped",
        "more outcomes than requests",
        "more cuts",
        "no recall",
        "recall of nothing",
    ],
)
def test_outcomes_of_an_attack_that_contradict_each_other_are_refused(changed):
    sound = {"requests": 10, "denied": 2, "escalated": 1, "approved": 0, "stopped": 3, "recall": 0.3}
    sound |= {"cut_off": 4, "cut_off_late": 0}
    assert AttackOutcome(**sound).stopped == 3
    with pytest.raises(ValidationError):
        AttackOutcome(**(sound | changed))


@pytest.mark.parametrize("changed", [{"revoked": 4}, {"revoked_by_guardian": 3}, {"lapsed": 3}])
def test_decisions_that_contradict_each_other_are_refused(changed):
    sound = dict.fromkeys(Decisions.model_fields, 0)
    sound |= {
        "escalated": 5,
        "approved": 2,
        "cancelled": 1,
        "revoked": 3,
        "revoked_by_agent": 1,
        "revoked_by_guardian": 2,
    }
    assert Decisions(**sound).revoked == 3
    with pytest.raises(ValidationError):
        Decisions(**(sound | changed))


def test_what_the_machines_clock_says_changes_no_digest(report):
    slower = report.model_copy(
        update={
            "throughput": Throughput(decisions_per_s=1.0, elapsed_s=900.0),
            "latency": report.latency.model_copy(update={"decision_ms": None, "batch_ms": None}),
        }
    )
    assert slower != report
    assert deterministic_digest(slower) == deterministic_digest(report)


def test_any_other_figure_changes_the_digest(report, make_report):
    revised = report.model_copy(update={"audit": report.audit.model_copy(update={"blocks": report.audit.blocks + 1})})
    assert deterministic_digest(revised) != deterministic_digest(report)
    assert deterministic_digest(make_report()) == deterministic_digest(report)
    assert deterministic_digest(make_report(seed=8)) != deterministic_digest(report)


def test_the_deterministic_part_lacks_the_wall_clock_and_nothing_else(report):
    whole, part = json.loads(report.to_json()), deterministic_part(report)
    for *parents, leaf in WALL_CLOCK_FIELDS:
        assert leaf not in inside(part, parents)
        inside(part, parents)[leaf] = inside(whole, parents)[leaf]
    assert json.loads(json.dumps(part)) == whole


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=200))
def test_a_percentile_is_a_measured_value_with_that_share_at_or_below_it(values):
    found = Quantiles.of(values)
    for percent, value in ((50, found.p50), (95, found.p95), (99, found.p99)):
        assert value in values
        assert 100 * sum(v <= value for v in values) >= percent * len(values)
        assert 100 * sum(v < value for v in values) < percent * len(values)


def test_there_are_no_percentiles_of_nothing():
    assert Quantiles.of([]) is None


@given(st.lists(st.floats(-10, 110)), st.lists(st.integers(0, 100), min_size=2, max_size=20, unique=True).map(sorted))
def test_a_histogram_counts_every_value_once_and_in_its_bin(values, edges):
    histogram = Histogram.of(values, edges)
    assert sum(histogram.counts) == len(values)
    for low, high, number in list(zip(edges, edges[1:], histogram.counts, strict=False))[1:-1]:
        assert number == sum(low <= value < high for value in values)


@pytest.mark.parametrize(("edges", "counts"), [((0.0, 1.0), (1, 2)), ((0.0, 0.0), (1,)), ((1.0, 0.0), (1,))])
def test_a_histogram_whose_bins_do_not_ascend_or_match_is_refused(edges, counts):
    with pytest.raises(ValidationError):
        Histogram(edges=edges, counts=counts)
