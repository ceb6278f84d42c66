"""Measures of how well scores tell bad requests from good ones, and how often decisions get it right.

Layer: scenarios. Not here: which requests count and where the figures go (``measure``, ``report_schema``).
Truth is True for a request that must be denied; a high score is suspicious. Where a class is missing, a measure that
needs it is None and a curve is empty.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

MOST_POINTS = 200
"""How many points of a curve are kept for plotting."""

REFUSED_RATES = (0.01, 0.05, 0.10)
"""The shares of good requests refused at which recall is reported."""


@dataclass(frozen=True)
class ScoreQuality:
    """What scores alone are worth.

    Args:
        good_requests: with truth False.
        bad_requests: with truth True.
        auc: area under the ROC curve, in [0, 1].
        average_precision: in [0, 1].
        denial_recall: share of good requests refused to the share of bad ones caught.
        per_attack: kind of attack to its AUC against all good requests.
    """

    good_requests: int
    bad_requests: int
    auc: float | None
    average_precision: float | None
    denial_recall: Mapping[float, float | None]
    per_attack: Mapping[str, float | None]


@dataclass(frozen=True)
class VerdictQuality:
    """What decisions are worth: rates in [0, 1], None without requests of that class."""

    bad_stopped_rate: float | None
    good_stopped_rate: float | None
    per_attack: Mapping[str, float]


def _arrays(scores: Sequence[float], truth: Sequence[bool]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
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


def area_under_roc(scores: Sequence[float], truth: Sequence[bool]) -> float | None:
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


def denial_recall(scores: Sequence[float], truth: Sequence[bool], refused_rate: float) -> float | None:
    """Return the share of bad requests caught by the lowest threshold that refuses few enough good ones.

    Everything that scores at least the threshold is refused. Requests with equal scores stand or fall together, so
    that no luck in sorting counts; scores that are all equal catch nothing.

    Args:
        scores: shape (n_requests,), finite.
        truth: shape (n_requests,).
        refused_rate: the most of the good requests that may be refused, in [0, 1].

    >>> scores, truth = [0.9, 0.8, 0.7, 0.6, 0.2], [True, False, True, False, False]
    >>> denial_recall(scores, truth, 0.0), denial_recall(scores, truth, 0.34)
    (0.5, 1.0)
    """
    if not 0.0 <= refused_rate <= 1.0:
        raise ValueError(f"a share lies in [0, 1], not at {refused_rate}")
    values, bad = _arrays(scores, truth)
    if not bad.any() or bad.all():
        return None
    refused, caught, _ = roc_curve(bad, values, drop_intermediate=False)
    # One part in 10^12 forgives the rounding of shares such as 0.1 * 30.
    return float(caught[refused <= refused_rate + 1e-12].max())


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


def percentiles(values: Sequence[float]) -> dict[str, float] | None:
    """Return p50, p95 and p99 by nearest rank: each is one of ``values``. None when there are none.

    >>> percentiles(range(1, 201))
    {'p50': 100.0, 'p95': 190.0, 'p99': 198.0}
    """
    if not len(values):
        return None
    found = np.percentile(np.asarray(values, dtype=np.float64), (50, 95, 99), method="inverted_cdf")
    return {name: float(value) for name, value in zip(("p50", "p95", "p99"), found, strict=True)}


def measure_scores(scores: Sequence[float], truth: Sequence[bool], attacks: Sequence[str | None]) -> ScoreQuality:
    """Return every measure that scores alone allow.

    Args:
        scores: shape (n_requests,), finite.
        truth: shape (n_requests,).
        attacks: kind of attack of each request, None for good ones, shape (n_requests,).

    >>> found = measure_scores([0.9, 0.2, 0.1], [True, False, False], ["snooping", None, None])
    >>> found.auc, found.per_attack
    (1.0, {'snooping': 1.0})
    """
    values, bad = _arrays(scores, truth)
    kinds = np.asarray([kind or "" for kind in attacks])
    if kinds.shape != bad.shape:
        raise ValueError(f"{kinds.size} kinds of attack for {bad.size} truths")
    per_attack = {}
    for kind in sorted(set(kinds[bad]) - {""}):
        chosen = ~bad | (bad & (kinds == kind))
        per_attack[str(kind)] = area_under_roc(values[chosen].tolist(), bad[chosen].tolist())
    return ScoreQuality(
        good_requests=int((~bad).sum()),
        bad_requests=int(bad.sum()),
        auc=area_under_roc(scores, truth),
        average_precision=average_precision(scores, truth),
        denial_recall={rate: denial_recall(scores, truth, rate) for rate in REFUSED_RATES},
        per_attack=per_attack,
    )


def measure_verdicts(stopped: Sequence[bool], truth: Sequence[bool], attacks: Sequence[str | None]) -> VerdictQuality:
    """Return how often bad and good requests were stopped, and the recall of each kind of attack.

    Args:
        stopped: whether the request was denied or passed to a guardian, shape (n_requests,).
        truth: shape (n_requests,).
        attacks: kind of attack of each request, None for good ones, shape (n_requests,).

    >>> measure_verdicts([True, False, False, True], [True, True, False, False], ["snooping", "snooping", None, None])
    VerdictQuality(bad_stopped_rate=0.5, good_stopped_rate=0.5, per_attack={'snooping': 0.5})
    """
    outcomes: dict[bool, list[bool]] = {True: [], False: []}
    kinds: defaultdict[str, list[bool]] = defaultdict(list)
    for was_stopped, is_bad, kind in zip(stopped, truth, attacks, strict=True):
        outcomes[bool(is_bad)].append(bool(was_stopped))
        if is_bad and kind:
            kinds[kind].append(bool(was_stopped))

    def share(flags: Sequence[bool]) -> float | None:
        return sum(flags) / len(flags) if flags else None

    return VerdictQuality(
        bad_stopped_rate=share(outcomes[True]),
        good_stopped_rate=share(outcomes[False]),
        per_attack={kind: sum(flags) / len(flags) for kind, flags in sorted(kinds.items())},
    )
