"""Metrics with confidence intervals.

Intervals are percentiles over resamples of rows, or of whole groups where rows of a group go together. Layer:
evaluation. Not here: which rows are tested (the studies).

Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_curve

from chainsec.evaluation.outcome import Figure, Line
from chainsec.scenarios.quality import area_under_roc, denial_recall

if TYPE_CHECKING:
    from collections.abc import Callable

Vector = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

RESAMPLES = 400
_BINS = 15


def auc(labels: Flags, scores: Vector) -> float:
    """Return the area under the ROC curve; ties count half.

    Args:
        labels: True is what a high score should mean, shape (n,), both kinds present.
        scores: shape (n,), finite.

    >>> auc(np.array([False, True, True]), np.array([0.1, 0.1, 0.9]))
    0.75
    """
    found = area_under_roc(scores, labels)
    assert found is not None  # both kinds are present
    return found


def recall_at(labels: Flags, scores: Vector, refused_rate: float) -> float:
    """Return the share of bad rows caught where ``refused_rate`` of the good ones are refused.

    The highest scores are refused; where scores tie at the limit, rows are caught in proportion.

    >>> recall_at(np.array([True, True, False, False]), np.array([0.9, 0.2, 0.3, 0.1]), 0.5)
    1.0
    """
    found = denial_recall(scores, labels, refused_rate)
    assert found is not None  # both kinds are present
    return found


def calibration_points(labels: Flags, probabilities: Vector, bins: int = _BINS) -> tuple[Vector, Vector, Vector]:
    """Return mean probability, observed rate and number of rows in each of ``bins`` equally large groups.

    Rows are grouped in the order of their probability; rows of the same probability may stand in two groups.
    """
    groups = np.array_split(np.argsort(probabilities, kind="stable"), min(bins, len(labels)))
    said = np.array([probabilities[group].mean() for group in groups])
    seen = np.array([labels[group].mean() for group in groups])
    return said, seen, np.array([float(len(group)) for group in groups])


def calibration_error(labels: Flags, probabilities: Vector, bins: int = _BINS) -> float:
    """Return the expected calibration error over groups of equal size.

    >>> calibration_error(np.array([True, False, False, False]), np.full(4, 0.25), bins=1)
    0.0

    Source: Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning" (2015).
    """
    said, seen, count = calibration_points(labels, probabilities, bins)
    return float((np.abs(said - seen) * count).sum() / count.sum())


def f1(labels: Flags, calls: npt.NDArray[Any]) -> float:
    """Return the F1 of the calls (True, or from 0.5 on) against labels.

    >>> round(f1(np.array([True, True, False]), np.array([0.9, 0.1, 0.2])), 3)
    0.667
    """
    called = np.asarray(calls) >= 0.5  # noqa: PLR2004 - more likely than not
    hits = int((called & labels).sum())
    return 2 * hits / max(1, int(called.sum()) + int(labels.sum()))


def mcc(labels: Flags, calls: npt.NDArray[Any]) -> float:
    """Return Matthews' correlation of the calls (True, or from 0.5 on) with labels; 0 where one of them never varies.

    >>> mcc(np.array([True, False]), np.array([1.0, 0.0]))
    1.0
    """
    called = np.asarray(calls) >= 0.5  # noqa: PLR2004 - more likely than not
    hits, falls = float((called & labels).sum()), float((called & ~labels).sum())
    missed, passed = float((~called & labels).sum()), float((~called & ~labels).sum())
    spread = (hits + falls) * (hits + missed) * (passed + falls) * (passed + missed)
    return (hits * passed - falls * missed) / spread**0.5 if spread else 0.0


def accuracy(labels: Flags, calls: npt.NDArray[Any]) -> float:
    """Return the share of calls (True, or from 0.5 on) that are right."""
    return float(((np.asarray(calls) >= 0.5) == labels).mean())  # noqa: PLR2004 - more likely than not


def interval(
    metric: Callable[[Flags, Vector], float],
    labels: Flags,
    scores: Vector,
    seed: int,
    *,
    groups: npt.NDArray[Any] | None = None,
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """Return the 95 % percentile interval of ``metric``.

    Args:
        metric: of labels and scores.
        labels: shape (n,).
        scores: shape (n,).
        seed: of the resamples.
        groups: one name a row; whole groups are drawn where it is given, as rows of one person go together.
        resamples: how many, at least 1; those without both labels are drawn anew.

    >>> low, high = interval(auc, np.arange(100) > 50, np.arange(100.0), seed=1)
    >>> round(low, 6), round(high, 6)
    (1.0, 1.0)
    """
    draw = np.random.default_rng(seed)
    members = None
    if groups is not None:
        _, code = np.unique(groups, return_inverse=True)
        members = np.split(np.argsort(code, kind="stable"), np.cumsum(np.bincount(code))[:-1])
    found: list[float] = []
    while len(found) < resamples:
        if members is None:
            rows = draw.integers(len(labels), size=len(labels))
        else:
            rows = np.concatenate([members[i] for i in draw.integers(len(members), size=len(members))])
        if 0 < labels[rows].sum() < len(rows):
            found.append(metric(labels[rows], scores[rows]))
    low, high = np.percentile(found, (2.5, 97.5))
    return float(low), float(high)


def measure(
    name: str,
    metric: Callable[[Flags, Vector], float],
    labels: Flags,
    scores: Vector,
    seed: int,
    *,
    groups: npt.NDArray[Any] | None = None,
    published: float | None = None,
    published_by: str = "",
    asked: float | None = None,
    lower_is_better: bool = False,
) -> Figure:
    """Return ``metric`` as a figure with its interval; arguments as for ``interval`` and ``Figure``."""
    low, high = interval(metric, labels, scores, seed, groups=groups)
    return Figure(
        name,
        metric(labels, scores),
        low,
        high,
        published=published,
        published_by=published_by,
        asked=asked,
        lower_is_better=lower_is_better,
    )


def roc_line(name: str, labels: Flags, scores: Vector, n_points: int = 101) -> Line:
    """Return the ROC curve as a line of at most ``n_points`` points."""
    falls, hits, _ = roc_curve(labels, scores, drop_intermediate=False)
    at = np.linspace(0.0, 1.0, n_points)
    return Line(name, tuple(map(float, at)), tuple(float(f"{y:.5g}") for y in np.interp(at, falls, hits)))


def calibration_line(name: str, labels: Flags, probabilities: Vector) -> Line:
    """Return observed rates over mean probabilities as a line."""
    said, seen, _ = calibration_points(labels, probabilities)
    return Line(name, tuple(float(f"{x:.5g}") for x in said), tuple(float(f"{y:.5g}") for y in seen))
