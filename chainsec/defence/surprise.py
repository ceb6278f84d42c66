"""Rules by which a use is surprising: pure functions from figures to a statistic, high = suspicious.

A threat's evidence holds exactly these functions' inputs, so that anybody can recompute it. Layer: defence.
Not here: any state, history or clock (``detectors``).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MOST = 1e7
LEAST_RATE = 0.01
"""Ranges of what is counted: far beyond any requester's day, and near enough to bound the work."""

_NEGLIGIBLE = 1e-14
_TINY = 1e-300
_MOST_HEAD = 1.0 - 1e-16
_MOST_STEPS = 20_000
_MOST_SURPRISE = 300.0


def blend(own: float, own_days: float, peers: float, strength_days: float) -> float:
    """Return the own mean, pulled towards the peers' as if that had been seen on ``strength_days`` days.

    >>> blend(own=4.0, own_days=6.0, peers=1.0, strength_days=3.0)
    3.0
    """
    return (own * own_days + peers * strength_days) / (own_days + strength_days)


def level_surprise(amount: float, mean_log: float, sd_log: float) -> float:
    """Return how many standard deviations ``log(1 + amount)`` stands above its mean.

    Args:
        amount: at least 0.
        mean_log: mean of ``log(1 + amount)`` on ordinary days.
        sd_log: its standard deviation, > 0.

    >>> round(level_surprise(amount=math.e**3 - 1, mean_log=1.0, sd_log=0.5), 6)
    4.0
    """
    return (math.log1p(amount) - mean_log) / sd_log


def count_surprise(count: int, shape: float, rate: float) -> float:
    """Return ``-log10 P(K >= count)`` for a day's count whose mean is itself uncertain, at most 300.

    The mean has a gamma distribution, so that the count is negative binomial and its tail a regularised incomplete
    beta function, whose continued fraction takes a bounded number of steps whatever the figures are.

    Args:
        count: at least 0; what is beyond ``MOST`` counts as that.
        shape: events seen, own and peers' share, > 0, at most ``MOST``.
        rate: days on which they were seen, at least ``LEAST_RATE``, at most ``MOST``.

    Raises:
        ValueError: a figure is out of range; what a stranger wrote may be anything.

    >>> count_surprise(count=0, shape=1.0, rate=10.0)
    0.0
    >>> round(count_surprise(count=1, shape=1.0, rate=9.0), 6)  # P(K >= 1) = 1 - 9/10
    1.0

    Source: Gelman et al., Bayesian Data Analysis, section 2.6 (Poisson model, gamma prior); DLMF 8.17.5.
    """
    count = min(count, int(MOST))
    if not (count >= 0 and 0 < shape <= MOST and LEAST_RATE <= rate <= MOST):
        raise ValueError(f"no day has count {count!r}, shape {shape!r}, rate {rate!r}")
    if count == 0:
        return 0.0
    go, stay = 1.0 / (rate + 1.0), rate / (rate + 1.0)
    log_front = (
        math.lgamma(shape + count)
        - math.lgamma(shape)
        - math.lgamma(count)
        - count * math.log1p(rate)
        + shape * math.log(stay)
    )
    if go < (count + 1.0) / (count + shape + 2.0):
        log_tail = log_front - math.log(count * _beta_fraction(count, shape, go))
    else:  # the other end's fraction is the one that converges; the tail is no small number then
        log_tail = math.log1p(-min(_MOST_HEAD, math.exp(log_front) / (shape * _beta_fraction(shape, count, stay))))
    return min(_MOST_SURPRISE, max(0.0, -log_tail / math.log(10.0)))


def _beta_fraction(a: float, b: float, x: float) -> float:
    """Return the continued fraction under ``I_x(a, b) = x^a (1-x)^b / (a B(a, b)) / fraction``, by Lentz's method.

    Source: DLMF 8.17.22; Press et al., Numerical Recipes, sections 5.2 and 6.4.
    """
    value, c, d = 1.0, 1.0, 0.0
    for step in range(1, _MOST_STEPS):
        m = step // 2
        if step % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1.0 / _keep_off_zero(1.0 + term * d)
        c = _keep_off_zero(1.0 + term / c)
        value *= c * d
        if abs(c * d - 1.0) < _NEGLIGIBLE:
            return value
    raise ValueError(f"the tail for {a!r}, {b!r} does not converge")


def _keep_off_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def drift_surprise(carried: float, today: float, slack: float) -> float:
    """Return the CUSUM after a day: what was carried, plus how far today exceeds ``slack``, never below 0.

    >>> drift_surprise(carried=2.0, today=1.5, slack=0.5), drift_surprise(carried=0.2, today=-1.0, slack=0.5)
    (3.0, 0.0)

    Source: Page, Continuous inspection schemes, Biometrika 41 (1954).
    """
    return max(0.0, carried + today - slack)


def export_drift_surprise(carried: float, exported: int, expected: float, ratio: float) -> float:
    """Return the Poisson CUSUM of exports against a rate ``ratio`` times the expected one, never below 0.

    Args:
        carried: the statistic up to yesterday.
        exported: distinct assets exported today.
        expected: the same on an ordinary day, > 0.
        ratio: how many times the ordinary rate is worth noticing, > 1.

    >>> round(export_drift_surprise(carried=0.0, exported=3, expected=0.1, ratio=4.0), 3)
    3.859

    Source: Lucas, Counted data CUSUMs, Technometrics 27 (1985).
    """
    return max(0.0, carried + exported * math.log(ratio) - expected * (ratio - 1.0))


def silence_surprise(silent_days: float, longest_days: float, strength_days: float) -> float:
    """Return how long a silence was, in multiples of the longest one known, with ``strength_days`` added to that.

    >>> silence_surprise(silent_days=18.0, longest_days=3.0, strength_days=6.0)
    2.0
    """
    return silent_days / (longest_days + strength_days)


def tail_threshold(maxima: Sequence[float], days_per_month: float, false_alarms_per_month: float) -> float:
    """Return the level that ordinary days exceed ``false_alarms_per_month`` times a month.

    The upper tenth of ``maxima`` is taken as exponential beyond its start, which carries the estimate past what a
    short history has seen.

    Args:
        maxima: highest value of a statistic on each ordinary day of a requester, shape (n_days,), not empty.
        days_per_month: active days of one requester in a month, > 0.
        false_alarms_per_month: expected alarms of one requester in a month, > 0.

    >>> days = [i / 100 for i in range(100)]
    >>> tail_threshold(days, 20.0, 0.1) > tail_threshold(days, 20.0, 1.0) > 0.9
    True

    Source: Coles, An Introduction to Statistical Modeling of Extreme Values, chapter 4 (shape 0).
    """
    if not maxima:
        raise ValueError("a threshold needs at least one ordinary day")
    ordered = sorted(maxima)
    start = ordered[min(len(ordered) - 1, int(0.9 * len(ordered)))]
    above = [value - start for value in ordered if value > start]
    if not above:
        return start
    share = len(above) / len(ordered)
    scale = sum(above) / len(above)
    return start + scale * max(0.0, math.log(share * days_per_month / false_alarms_per_month))


RULES: Mapping[str, Callable[..., float]] = {
    "volume": level_surprise,
    "mass_export": count_surprise,
    "slow_volume": drift_surprise,
    "slow_export": export_drift_surprise,
    "beyond_scope": count_surprise,
    "sleeping_account": silence_surprise,
    "burst": count_surprise,
    "odd_conduct": count_surprise,
}
"""The rule behind each kind of threat."""


def recompute(kind: str, evidence: Mapping[str, Any]) -> float:
    """Return the statistic of a threat from the ``inputs`` in its evidence.

    >>> recompute("sleeping_account", {"inputs": {"silent_days": 12.0, "longest_days": 2.0, "strength_days": 4.0}})
    2.0
    """
    return RULES[kind](**evidence["inputs"])
