"""Metrics against their definitions and scikit-learn's."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from chainsec.evaluation.metrics import (
    accuracy,
    auc,
    calibration_error,
    calibration_line,
    calibration_points,
    f1,
    interval,
    mcc,
    measure,
    recall_at,
    roc_line,
)


@st.composite
def judged_rows(draw):
    """Labels of both kinds and scores that often tie."""
    labels = draw(st.lists(st.booleans(), min_size=2, max_size=40))
    assume(0 < sum(labels) < len(labels))
    scores = draw(st.lists(st.integers(0, 10), min_size=len(labels), max_size=len(labels)))
    return np.array(labels), np.array(scores) / 10.0


@settings(max_examples=60)
@given(judged_rows())
def test_figures_are_those_of_scikit_learn(rows):
    labels, scores = rows
    called = scores >= 0.5
    assert auc(labels, scores) == pytest.approx(reference.roc_auc_score(labels, scores))
    assert f1(labels, scores) == pytest.approx(reference.f1_score(labels, called, zero_division=0.0))
    assert mcc(labels, scores) == pytest.approx(reference.matthews_corrcoef(labels, called))
    assert accuracy(labels, scores) == pytest.approx(reference.accuracy_score(labels, called))


@settings(max_examples=40)
@given(judged_rows())
def test_the_drawn_line_rises_to_the_end_and_has_nearly_the_area(rows):
    labels, scores = rows
    line = roc_line("ours", labels, scores)
    assert (line.xs[0], line.xs[-1], line.ys[-1]) == (0.0, 1.0, 1.0)
    assert (np.diff(line.ys) >= 0).all()
    assert np.trapezoid(line.ys, line.xs) == pytest.approx(auc(labels, scores), abs=0.01)


@settings(max_examples=40)
@given(judged_rows(), st.floats(0, 1), st.floats(0, 1))
def test_refusing_more_never_catches_less_and_refusing_all_catches_all(rows, a, b):
    low, high = sorted((a, b))
    assert recall_at(*rows, low) <= recall_at(*rows, high) + 1e-12
    assert recall_at(*rows, 1.0) == 1.0


def test_where_all_scores_tie_rows_are_caught_in_proportion():
    labels = np.array([True, False, False, False])
    assert recall_at(labels, np.full(4, 0.3), 0.25) == pytest.approx(0.25)


def test_calls_that_never_vary_correlate_with_nothing():
    labels = np.array([True, False, True])
    assert mcc(labels, np.zeros(3)) == mcc(labels, np.ones(3)) == 0.0
    assert f1(labels, np.zeros(3)) == 0.0


def test_calibration_error_is_the_mean_distance_between_said_and_seen():
    labels = np.array([False] * 8 + [True] * 2 + [True] * 10)
    said = np.array([0.1] * 10 + [0.9] * 10)
    assert calibration_error(labels, said, bins=2) == pytest.approx((0.1 + 0.1) / 2)
    assert calibration_error(labels, labels.astype(float)) == 0.0


def test_calibration_groups_hold_every_row_once_and_are_no_more_than_rows():
    labels, said = np.array([True, False, True]), np.array([0.9, 0.1, 0.5])
    means, rates, counts = calibration_points(labels, said, bins=15)
    assert (means.tolist(), rates.tolist(), counts.tolist()) == ([0.1, 0.5, 0.9], [0.0, 1.0, 1.0], [1.0] * 3)


def drawn(seed=0, n_rows=400):
    draw = np.random.default_rng(seed)
    labels = draw.random(n_rows) < 0.3
    return labels, labels + draw.normal(size=n_rows)


def test_an_interval_holds_the_figure_and_repeats_for_one_seed():
    labels, scores = drawn()
    low, high = interval(auc, labels, scores, 1)
    assert low < auc(labels, scores) < high
    assert interval(auc, labels, scores, 1) == (low, high)
    assert interval(auc, labels, scores, 2) != (low, high)


def test_an_interval_is_narrower_with_more_rows():
    def width(n_rows):
        low, high = interval(auc, *drawn(0, n_rows), 1, resamples=100)
        return high - low

    assert width(3_000) < 0.6 * width(300)


def test_rows_of_a_group_go_together():
    labels, scores = drawn()
    copied = np.tile(labels, 4), np.tile(scores, 4)
    people = np.tile(np.arange(len(labels)), 4)
    alone = np.ptp(interval(auc, labels, scores, 1))
    together = np.ptp(interval(auc, *copied, 1, groups=people, resamples=200))
    apart = np.ptp(interval(auc, *copied, 1, resamples=200))
    assert apart < 0.7 * alone
    assert together == pytest.approx(alone, rel=0.3)


def test_resamples_without_both_labels_are_drawn_anew():
    labels = np.array([True] + [False] * 5)
    assert interval(auc, labels, labels.astype(float), 1, resamples=50) == (1.0, 1.0)


def test_a_measured_figure_carries_what_others_reached():
    labels, scores = drawn()
    figure = measure("AUC", auc, labels, scores, 3, published=0.7, published_by="somebody", asked=0.6)
    assert (figure.ours, figure.low, figure.high) == (auc(labels, scores), *interval(auc, labels, scores, 3))
    assert (figure.published, figure.published_by, figure.is_reached) == (0.7, "somebody", True)
    assert measure("error", auc, labels, scores, 3, asked=0.6, lower_is_better=True).is_reached is False


def test_lines_have_axes_of_one_length_and_rise():
    labels, scores = drawn()
    line = roc_line("roc", labels, scores, n_points=11)
    assert (len(line.xs), len(line.ys), line.ys[-1]) == (11, 11, 1.0)
    assert list(line.ys) == sorted(line.ys)
    line = calibration_line("said", labels, 1.0 / (1.0 + np.exp(-scores)))
    assert len(line.xs) == len(line.ys) == 15
    assert list(line.xs) == sorted(line.xs)
