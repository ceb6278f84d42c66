"""Piecewise-linear curves: how a margin becomes a probability without a library's exponential.

A curve uses only +, -, * and / on doubles, which IEEE 754 rounds the same on every machine.
Layer: models, at the bottom. Not here: what the curves mean (``chainsec.defence``).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """A function through knots, straight between them and flat outside.

    Args:
        xs: strictly rising, at least one.
        ys: as many, never falling.

    Raises:
        ValueError: the knots do not rise, fall somewhere, or are not finite.

    >>> Curve((0.0, 2.0), (0.0, 1.0)).at(0.5)
    0.25
    """

    xs: tuple[float, ...]
    ys: tuple[float, ...]

    def __post_init__(self) -> None:
        steps = zip(self.xs, self.xs[1:], strict=False)
        if not self.xs or len(self.xs) != len(self.ys) or any(a >= b for a, b in steps):
            raise ValueError("a curve needs strictly rising xs and as many ys")
        if any(a > b for a, b in zip(self.ys, self.ys[1:], strict=False)):
            raise ValueError("a curve must not fall")
        if not all(map(math.isfinite, (*self.xs, *self.ys))):
            raise ValueError("a curve needs finite knots")

    @cached_property
    def slopes(self) -> list[float]:
        """The rise per unit between each knot and the next."""
        knots = [*zip(self.xs, self.ys, strict=True)]
        return [(y1 - y0) / (x1 - x0) for (x0, y0), (x1, y1) in pairwise(knots)]

    def at(self, x: float) -> float:
        """Return the value at ``x``."""
        right = bisect_right(self.xs, x)
        if right == 0:
            return self.ys[0]
        if right == len(self.xs):
            return self.ys[-1]
        left = right - 1
        found, highest = self.ys[left] + (x - self.xs[left]) * self.slopes[left], self.ys[right]
        return min(highest, found)

    @cached_property
    def _arrays(self) -> tuple[Vector, Vector, Vector]:
        return np.array(self.xs), np.array([*self.ys, self.ys[-1]]), np.array([*self.slopes, 0.0])

    def at_each(self, values: Vector) -> Vector:
        """Return the values at several points, bit for bit those of ``at``; shape (n,) to shape (n,)."""
        xs, ys, slopes = self._arrays
        right = xs.searchsorted(values, side="right")
        left = np.maximum(right - 1, 0)
        found: Vector = np.minimum(ys[left] + (values - xs[left]) * slopes[left], ys[right])
        # past the last knot the slope is 0; before the first one it must not count
        found[right == 0] = ys[0]
        return found

    def to_json(self) -> list[list[float]]:
        """Return the knots as JSON values."""
        return [list(self.xs), list(self.ys)]

    @classmethod
    def from_json(cls, value: Sequence[Sequence[float]]) -> Curve:
        """Return the curve that ``to_json`` wrote."""
        return cls(tuple(value[0]), tuple(value[1]))


class Bundle:
    """One or more curves that are read together, each at a point of its own.

    >>> Bundle([Curve((0.0, 2.0), (0.0, 1.0)), Curve((1.0,), (7.0,))]).at(np.array([0.5, 0.0])).tolist()
    [0.25, 7.0]
    """

    def __init__(self, curves: Sequence[Curve]) -> None:
        width = max(len(curve.xs) for curve in curves)
        self._xs = np.array([[*curve.xs, *[math.inf] * (width - len(curve.xs))] for curve in curves])
        pieces = [piece for curve in curves for piece in _pieces(curve)]
        self._from_x, self._from_y, self._slope, self._highest = np.array(pieces).T.copy()
        self._firsts = np.cumsum([0, *(1 + len(curve.xs) for curve in curves)])[:-1]

    def at(self, points: Vector) -> Vector:
        """Return the value of each curve at its point, bit for bit that of its ``at``; shape (n_curves,)."""
        here = self._firsts + np.count_nonzero(self._xs <= points[:, None], axis=1)
        found: Vector = np.minimum(
            self._from_y[here] + (points - self._from_x[here]) * self._slope[here], self._highest[here]
        )
        return found


def _pieces(curve: Curve) -> list[tuple[float, float, float, float]]:
    """Return where each straight piece begins, its slope and its highest value, flat ones first and last."""
    inside = zip(curve.xs, curve.ys, curve.slopes, curve.ys[1:], strict=False)
    first, last = ((curve.xs[at], curve.ys[at], 0.0, curve.ys[at]) for at in (0, -1))
    return [first, *inside, last]


def sample_curve(function: Callable[[float], float], low: float, high: float, n_knots: int) -> Curve:
    """Return a curve through ``function`` at ``n_knots`` even points from ``low`` to ``high``.

    >>> sample_curve(lambda x: x * x, 0.0, 2.0, 3).ys
    (0.0, 1.0, 4.0)
    """
    step = (high - low) / (n_knots - 1)
    xs = tuple(low + i * step for i in range(n_knots))
    return Curve(xs, tuple(map(function, xs)))


def rarity_curve(sample: Sequence[float], n_knots: int = 32) -> Curve:
    """Return the curve from a value to its rarity: minus log2 of the share of ``sample`` at or above it.

    Beyond the largest value the curve stays flat: a sample of n cannot tell what is rarer than 1 in n + 1.

    Args:
        sample: usual values, finite; from none follows a curve that is 0 everywhere.
        n_knots: at most this many knots, at least 2.

    >>> curve = rarity_curve([1.0, 2.0, 3.0])
    >>> curve.at(0.0), curve.at(3.0), curve.at(9.0)
    (0.0, 1.0, 2.0)
    """
    ordered = sorted(sample)
    n = len(ordered)
    if not n:
        return Curve((0.0,), (0.0,))
    # Knots halve the remaining share again and again, so the rare end is as finely drawn as the usual one.
    picks = sorted(
        {min(n - 1, round(n * (1 - 2 ** (-i * math.log2(n + 1) / (n_knots - 2))))) for i in range(n_knots - 1)}
    )
    knots: dict[float, float] = {}
    for i in picks:
        first = bisect_right(ordered, ordered[i]) - 1
        while first and ordered[first - 1] == ordered[i]:
            first -= 1
        knots[ordered[i]] = math.log2((n + 1) / (n - first + 1))
    last = ordered[-1]
    above = last + max(1e-3, (last - ordered[0]) / n)
    xs = (*sorted(knots), above)
    return Curve(xs, (*(knots[x] for x in xs[:-1]), math.log2(n + 1)))
