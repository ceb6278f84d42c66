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
def test_denial_recall_is_what_a_lot_among_equal_scores_catches_on_average(rows, rate):
    scores, truth = map(np.asarray, rows)
    to_refuse, caught = rate * (~truth).sum(), 0.0
    for score in sorted(set(scores), reverse=True):
        good, bad = ((scores == score) & ~truth).sum(), ((scores == score) & truth).sum()
        part = 1.0 if good <= to_refuse + 1e-9 else to_refuse / good
        caught, to_refuse = caught + part * bad, to_refuse - part * good
        if part < 1.0:
            break
    assert denial_recall(scores, truth, rate) == pytest.approx(caught / truth.sum(), abs=1e-6)


@given(SCORED, st.floats(0, 1))
def test_a_score_that_tells_nothing_catches_as_many_as_it_refuses(rows, rate):
    truth = [bad for _, bad in rows]
    found = denial_recall([0.5] * len(rows), truth, rate)
    assert found is None if len(set(truth)) == 1 else found == pytest.approx(rate)


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
    assert area_under_roc([], []) is average_precision([], []) is denial_recall([], [], 0.1) is None
    assert roc_points([], []) == precision_recall_points([], []) == ()


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


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="2 scores for 1 truths"):
        area_under_roc([0.1, 0.2], [True])
    with pytest.raises(ValueError, match="finite"):
        average_precision([0.1, float("nan")], [True, False])
    with pytest.raises(ValueError, match="share"):
        denial_recall([0.1, 0.2], [True, False], 1.5)
