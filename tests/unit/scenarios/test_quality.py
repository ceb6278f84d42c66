"""Measures against scikit-learn, against hand counts, and on inputs that have no answer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from chainsec.scenarios.quality import (
    MOST_POINTS,
    area_under_roc,
    average_precision,
    denial_recall,
    measure_scores,
    measure_verdicts,
    percentiles,
    precision_recall_points,
    roc_points,
)

# Few distinct scores, so that ties are common.
SCORED = st.lists(st.tuples(st.integers(0, 9).map(lambda n: n / 9), st.booleans()), min_size=2, max_size=60)
BOTH = SCORED.filter(lambda rows: len({bad for _, bad in rows}) == 2).map(lambda rows: tuple(zip(*rows, strict=True)))


@given(BOTH)
def test_auc_is_the_share_of_pairs_in_order_with_ties_as_halves(rows):
    scores, truth = rows
    bad = [s for s, t in zip(scores, truth, strict=True) if t]
    good = [s for s, t in zip(scores, truth, strict=True) if not t]
    by_hand = sum((b > g) + (b == g) / 2 for b in bad for g in good) / len(bad) / len(good)
    assert area_under_roc(scores, truth) == pytest.approx(by_hand)


@given(BOTH)
def test_average_precision_is_scikit_learns(rows):
    scores, truth = rows
    assert average_precision(scores, truth) == metrics.average_precision_score(truth, scores)


@given(BOTH, st.floats(0, 1))
def test_denial_recall_is_the_best_threshold_that_spares_the_good(rows, rate):
    scores, truth = map(np.asarray, rows)
    by_hand = 0.0
    for threshold in [*scores, 2.0]:
        refused = scores >= threshold
        if refused[~truth].mean() <= rate + 1e-12:
            by_hand = max(by_hand, refused[truth].mean())
    assert denial_recall(scores, truth, rate) == pytest.approx(by_hand)


@given(BOTH)
def test_refusing_more_good_requests_never_catches_fewer_bad_ones(rows):
    found = [denial_recall(*rows, rate) for rate in (0.0, 0.01, 0.05, 0.1, 0.5, 1.0)]
    assert found == sorted(found)
    assert found[-1] == 1.0


@given(SCORED, st.booleans())
def test_one_class_has_no_measure_and_no_curve(rows, truth):
    scores, truths = [score for score, _ in rows], [truth] * len(rows)
    assert area_under_roc(scores, truths) is None
    assert average_precision(scores, truths) is None
    assert denial_recall(scores, truths, 0.1) is None
    assert roc_points(scores, truths) == ()
    assert precision_recall_points(scores, truths) == ()


def test_nothing_at_all_has_no_measure():
    found = measure_scores([], [], [])
    assert (found.good_requests, found.bad_requests, found.auc, found.per_attack) == (0, 0, None, {})
    assert set(found.denial_recall.values()) == {None}
    assert percentiles([]) is None
    assert measure_verdicts([], [], []).bad_stopped_rate is None


@pytest.mark.parametrize("count", [5, 150, 5000])
def test_curves_are_thin_keep_their_ends_and_their_area(count):
    rng = np.random.default_rng(count)
    truth = rng.random(count) < 0.3
    truth[:2] = True, False
    scores = rng.normal(size=count) + truth
    for points, area in (
        (roc_points(scores, truth), area_under_roc(scores, truth)),
        (precision_recall_points(scores, truth), average_precision(scores, truth)),
    ):
        across, up = np.array(points).T
        assert len(points) <= MOST_POINTS
        assert (across[0], across[-1]) == (0.0, 1.0)
        assert (np.diff(across) >= 0).all()
        assert np.trapezoid(up, across) == pytest.approx(area, abs=0.2 if count == 5 else 0.01)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=300))
def test_percentiles_are_values_that_enough_others_do_not_exceed(values):
    found = percentiles(values)
    for name, percent in (("p50", 50), ("p95", 95), ("p99", 99)):
        assert found[name] in values
        assert sum(value <= found[name] for value in values) * 100 >= percent * len(values)
        assert sum(value < found[name] for value in values) * 100 < percent * len(values)


def test_each_kind_of_attack_is_measured_against_all_good_requests():
    scores = [0.9, 0.1, 0.8, 0.2, 0.3]
    truth = [True, True, True, False, False]
    kinds = ["a", "b", "a", None, None]
    found = measure_scores(scores, truth, kinds)
    assert found.per_attack == {"a": 1.0, "b": 0.0}
    assert found.auc == pytest.approx(2 / 3)
    assert (found.good_requests, found.bad_requests) == (2, 3)


def test_verdicts_are_counted_by_class_and_kind():
    found = measure_verdicts([True, False, True, False], [True, True, True, False], ["a", "a", None, None])
    assert found.bad_stopped_rate == pytest.approx(2 / 3)
    assert found.good_stopped_rate == 0.0
    assert found.per_attack == {"a": 0.5}


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="2 scores for 1 truths"):
        area_under_roc([0.1, 0.2], [True])
    with pytest.raises(ValueError, match="finite"):
        average_precision([0.1, float("nan")], [True, False])
    with pytest.raises(ValueError, match="share"):
        denial_recall([0.1, 0.2], [True, False], 1.5)
    with pytest.raises(ValueError, match="kinds of attack"):
        measure_scores([0.1, 0.2], [True, False], ["a"])
