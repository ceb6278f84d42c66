"""Measures of how well scores tell bad requests from good ones.

Layer: scenarios. Not here: which requests count (``comparison``), where the figures go (``report_schema``).
Truth is True for a request that must be denied; a high score is suspicious. Where a class is missing, a measure that
needs it is None and a curve is empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Numbers = Sequence[float] | NDArray[np.float64]
    Flags = Sequence[bool] | NDArray[np.bool_]

MOST_POINTS = 200
"""How many points of a curve are kept for plotting."""


def _arrays(scores: Numbers, truth: Flags) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return both as arrays of shape (n_requests,).

    Raises:
        ValueError: lengths differ, or a score is not finite.
    """
    values, bad = np.asarray(scores, dtype=np.float64), np.asarray(truth, dtype=np.bool_)
    if values.shape != bad.shape or values.ndim != 1:
        raise ValueError(f"{values.size} scores for {bad.size} truths")
    if not np.isfinite(values).all():
        raise ValueError("a score is not a finite number")
    return values, bad


def area_under_roc(scores: Numbers, truth: Flags) -> float | None:
    """Return the chance that a bad request scores higher than a good one, ties counting half.

    Args:
        scores: shape (n_requests,), finite.
        truth: shape (n_requests,).

    >>> area_under_roc([0.1, 0.4, 0.35, 0.8], [False, False, True, True])
    0.75
    >>> area_under_roc([0.1, 0.4], [True, True]) is None
    True
    """
    values, bad = _arrays(scores, truth)
    return float(roc_auc_score(bad, values)) if bad.any() and not bad.all() else None


def average_precision(scores: Sequence[float], truth: Sequence[bool]) -> float | None:
    """Return the mean precision over the bad requests, in order of score.

    Args:
        scores: shape (n_requests,), finite.
        truth: shape (n_requests,).

    >>> average_precision([0.9, 0.8, 0.1], [True, False, True])  # (1/1 + 2/3) / 2
    0.8333333333333333
    """
    values, bad = _arrays(scores, truth)
    return float(average_precision_score(bad, values)) if bad.any() and not bad.all() else None


def denial_recall(scores: Numbers, truth: Flags, refused_rate: float) -> float | None:
    """Return the share of bad requests caught when exactly ``refused_rate`` of the good ones are refused.

    Whoever scores highest is refused first, and of those that score alike a lot decides: between two points of the ROC
    curve the answer lies on the straight line. So a score of few levels is neither held back nor helped by them.

    Args:
        scores: shape (n_requests,), finite.
        truth: shape (n_requests,).
        refused_rate: the share of the good requests that is refused, in [0, 1].

    >>> scores, truth = [0.9, 0.8, 0.7, 0.6, 0.2], [True, False, True, False, False]
    >>> denial_recall(scores, truth, 0.0), denial_recall(scores, truth, 1 / 3)
    (0.5, 1.0)
    >>> denial_recall([0.5] * 5, truth, 0.1)
    0.1

    Source: Fawcett, An introduction to ROC analysis, 2006, section 10.
    """
    if not 0.0 <= refused_rate <= 1.0:
        raise ValueError(f"a share lies in [0, 1], not at {refused_rate}")
    values, bad = _arrays(scores, truth)
    if not bad.any() or bad.all():
        return None
    refused, caught, _ = roc_curve(bad, values, drop_intermediate=False)
    # one part in 10^12 forgives the rounding of shares such as 0.1 * 30
    last = int(np.searchsorted(refused, refused_rate + 1e-12, side="right")) - 1
    if last + 1 == len(refused):
        return 1.0
    share = max(0.0, (refused_rate - refused[last]) / (refused[last + 1] - refused[last]))
    return float(caught[last] + share * (caught[last + 1] - caught[last]))


def roc_points(scores: Sequence[float], truth: Sequence[bool]) -> tuple[tuple[float, float], ...]:
    """Return (share of good refused, share of bad caught), rising, at most ``MOST_POINTS`` with both ends.

    >>> roc_points([0.9, 0.1], [True, False])
    ((0.0, 0.0), (0.0, 1.0), (1.0, 1.0))
    """
    values, bad = _arrays(scores, truth)
    if not bad.any() or bad.all():
        return ()
    refused, caught, _ = roc_curve(bad, values)
    return _thin(refused, caught)


def precision_recall_points(scores: Sequence[float], truth: Sequence[bool]) -> tuple[tuple[float, float], ...]:
    """Return (recall, precision), rising in recall, at most ``MOST_POINTS`` with both ends.

    >>> precision_recall_points([0.9, 0.1], [True, False])
    ((0.0, 1.0), (1.0, 1.0), (1.0, 0.5))
    """
    values, bad = _arrays(scores, truth)
    if not bad.any() or bad.all():
        return ()
    precision, recall, _ = precision_recall_curve(bad, values)
    return _thin(recall[::-1], precision[::-1])


def _thin(across: NDArray[np.float64], up: NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    """Keep points evenly along the curve's length, so that steep parts stay sharp."""
    if len(across) > MOST_POINTS:
        steps = np.abs(np.diff(across)) + np.abs(np.diff(up))
        length = np.concatenate(([0.0], np.cumsum(steps)))
        wanted = np.searchsorted(length, np.linspace(0.0, length[-1], MOST_POINTS - 1))
        chosen = np.unique(np.concatenate(([0], wanted, [len(across) - 1])))[-MOST_POINTS:]
        chosen[0] = 0
        across, up = across[chosen], up[chosen]
    return tuple((float(x), float(y)) for x, y in zip(across, up, strict=True))
