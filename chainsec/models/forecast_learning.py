"""Learns to forecast from the past: what was known at the beginning of each period, and what came of it.

Pasts are played again, so that no row sees what came to light later. Layer: models. Not here: what is remembered
(``forecaster``), what a model says (``forecast``).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from chainsec.errors import BadInput
from chainsec.models.axes import shorten
from chainsec.models.forecast import EVIDENCE, REASONS, ForecastModel, Head
from chainsec.models.forecaster import Asked, Forecaster

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

Vector = npt.NDArray[np.float64]

LEAST_PERIODS = 20
"""Periods of keys with a bad request, and without one, below which nothing is learned."""

_GROUP_STRENGTH = 5.0  # bad requests at everybody's rate, from which a group's rate starts
_RIDGE = 1.0  # penalty on the squares of weights of standardised features


@dataclass(frozen=True)
class Past:
    """What happened among a number of keys.

    Args:
        asked: requests with what is known of them, in any order.
        keys: every key and its group, those included that never asked.
        begin_s: keys are known from here on.
        wanted: when forecasts are made, rising, and of which keys.
        end_s: nothing is known of what comes from here on.
    """

    asked: Sequence[Asked]
    keys: Mapping[str, str]
    begin_s: int
    wanted: Mapping[int, Collection[str]]
    end_s: int


@dataclass
class Periods:
    """Forecasts that were, or could have been, made, with what came of them: one entry a key and moment.

    ``came`` holds the number of bad requests in the period, whenever that came to light.
    """

    keys: list[str] = field(default_factory=list)
    moments_s: list[int] = field(default_factory=list)
    features: list[dict[str, float]] = field(default_factory=list)
    came: list[int] = field(default_factory=list)


def replay(past: Past, model: ForecastModel, horizon_s: int) -> Periods:
    """Return the features of the keys at each moment whose period ends within the past, and what came of it."""
    watch, found, bad = Forecaster(model), Periods(), [each for each in past.asked if each.is_bad]
    for key, group in past.keys.items():
        watch.introduce(key, group, past.begin_s)
    moments = [moment_s for moment_s in past.wanted if moment_s + horizon_s <= past.end_s]
    for moment_s in watch.follow(past.asked, moments):
        end_s = moment_s + horizon_s
        came = Counter(each.key for each in bad if moment_s <= each.time_s < end_s)
        for key in past.wanted[moment_s]:
            found.keys.append(key)
            found.moments_s.append(moment_s)
            found.features.append(watch.features(key, moment_s, horizon_s))
            found.came.append(came[key])
    return found


def learn_forecast(pasts: Sequence[Past], horizons_s: Sequence[int]) -> ForecastModel:
    """Return a model for periods of these lengths; the same pasts give the same model.

    Raises:
        BadInput: there are too few periods with, or without, a bad request.

    >>> day = 86_400
    >>> asked = [Asked(n * day, f"key {n % 4}", "", is_bad=n % 4 == 0, known_s=n * day) for n in range(200)]
    >>> keys = {f"key {n}": "" for n in range(4)}
    >>> past = Past(asked, keys, 0, {n * day: tuple(keys) for n in range(20, 200)}, 200 * day)
    >>> model = learn_forecast([past], [4 * day])
    >>> watch = Forecaster(model)
    >>> list(watch.follow(asked, [200 * day]))
    [17280000]
    >>> [watch.forecast(key, 200 * day, 4 * day).probability > 0.9 for key in keys]
    [True, False, False, False]
    """
    known = ForecastModel({}, learn_ratios(pasts))
    heads = {horizon_s: learn_head([replay(past, known, horizon_s) for past in pasts]) for horizon_s in horizons_s}
    return ForecastModel(heads, known.group_ratios)


def learn_ratios(pasts: Sequence[Past]) -> dict[str, float]:
    """Return how often the keys of each group do bad beside everybody, starting from everybody's rate."""
    bad: Counter[str] = Counter()
    days: Counter[str] = Counter()
    for past in pasts:
        bad.update(each.group for each in past.asked if each.is_bad)
        for group in past.keys.values():
            days[group] += past.end_s - past.begin_s
    rate = bad.total() / max(1, days.total())
    return {
        group: shorten((bad[group] + _GROUP_STRENGTH) / (rate * days[group] + _GROUP_STRENGTH))
        for group in sorted(days)
    }


def learn_head(periods: Sequence[Periods]) -> Head:
    """Return what periods of one length teach.

    Raises:
        BadInput: there are too few with, or without, a bad request.
    """
    rows = np.array([[*row.values()] for each in periods for row in each.features])
    came = np.array([number for each in periods for number in each.came])
    n_least = min(int((came > 0).sum()), int((came == 0).sum()))
    if n_least < LEAST_PERIODS:
        raise BadInput(f"{n_least} periods with or without a bad request are too few: {LEAST_PERIODS} are needed")
    mean, spread = rows.mean(axis=0), rows.std(axis=0)
    varies = spread > 0
    spread[~varies] = 1.0
    best = _fit((rows - mean) / spread, came > 0)
    weights = np.where(varies, best[1:] / spread, 0.0)
    return Head(
        shorten(float(best[0] - weights @ mean)),
        tuple(shorten(float(weight)) for weight in weights),
        tuple(shorten(float(each)) for each in mean),
        shorten(float(came[came > 0].mean())),
    )


def _fit(x: Vector, has_any: npt.NDArray[np.bool_]) -> Vector:
    """Return intercept and weights of the logistic regression that fits best; those of evidence are at least 0."""

    def loss(weights: Vector) -> tuple[float, Vector]:
        margins = weights[0] + x @ weights[1:]
        error = 1.0 / (1.0 + np.exp(-margins)) - has_any
        cost = (np.logaddexp(0.0, margins) - has_any * margins).sum() + _RIDGE / 2 * (weights[1:] ** 2).sum()
        return float(cost), np.append(error.sum(), error @ x + _RIDGE * weights[1:])

    bounds = [(None, None), *((0.0 if name in EVIDENCE else None, None) for name in REASONS)]
    with threadpool_limits(1):  # so that sums are taken in one order
        found: Vector = minimize(loss, np.zeros(len(bounds)), jac=True, method="L-BFGS-B", bounds=bounds, tol=1e-10).x
    return found
