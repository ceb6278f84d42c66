"""Axes on which rows of a table become comparable: standardised logarithms of numbers, and whether a text is held.

Every axis is cut at three, so that one odd column never outweighs all the others. Layer: models. Not here: reading rows
(``table``), what lies far from normal (``subspace``).
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from chainsec.models.rounding import round_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainsec.models.table import Table

Matrix = npt.NDArray[np.float64]

_IS_MISSING = -1  # the code that asks whether a number is missing
_FARTHEST = 3.0  # standard deviations
_LEAST_SPREAD = 1e-6  # where training rows never differ, the smallest difference is as far as can be
_LARGEST_LOGARITHM = 1e3  # of the largest double, in the smallest unit
_LARGEST_RAISED = 700.0  # beyond it there is no double
_DIGITS = 9  # significant digits of what is learned: the last bits of another machine's sums do not reach the digest
_MAX_FLAGS = 384  # of all texts together


@dataclass(frozen=True)
class Axis:
    """One axis of the space: a column's number on a logarithmic scale, or whether a column holds a certain text.

    Args:
        column: its place in the table.
        code: the text's place among the column's texts, the last axis of a column being for all further ones; -1 for
            "the number is missing"; None for the number itself.
        unit: what numbers are divided by before their logarithm, > 0.
        mean: of normal rows.
        scale: what a difference from ``mean`` is divided by, > 0.
        shift: mean of what comes of it, once it is cut at three.

    Raises:
        ValueError: a number is not finite, or lies outside its range.
    """

    column: int
    code: int | None
    unit: float
    mean: float
    scale: float
    shift: float = 0.0

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.unit, self.mean, self.scale, self.shift, self.code or 0))):
            raise ValueError(f"an axis needs finite numbers: {self}")
        if min(self.unit, self.scale) <= 0.0 or self.column < 0 or (self.code is not None and self.code < _IS_MISSING):
            raise ValueError(f"no axis: {self}")


class Encoder:
    """Turns rows of a table into differences along axes, those of numbers first."""

    def __init__(self, axes: Sequence[Axis]) -> None:
        self.n_numbers = sum(axis.code is None for axis in axes)
        self.columns = np.array([axis.column for axis in axes], dtype=np.intp)
        _, self.units, self.means, self.scales, self.shifts = np.array(
            [(0.0, *astuple(axis)[2:]) for axis in axes], dtype=np.float64
        ).T
        flags = axes[self.n_numbers :]
        last = {axis.column: axis.code for axis in flags}
        self.codes = np.array([axis.code for axis in flags], dtype=np.float64)
        self.lasts = np.array([last[axis.column] for axis in flags], dtype=np.float64)

    def encode(self, figures: Matrix) -> Matrix:
        """Return the differences of rows, shape (n_rows, n_columns) to (n_rows, n_axes); 0 for a missing number."""
        asked = figures[:, self.columns]
        numbers, flags = asked[:, : self.n_numbers], asked[:, self.n_numbers :]
        is_missing = np.isnan(numbers)
        found = np.empty_like(asked)
        found[:, : self.n_numbers] = _logarithms(np.where(is_missing, 0.0, numbers), self.units[: self.n_numbers])
        found[:, self.n_numbers :] = np.where(
            self.codes == _IS_MISSING, np.isnan(flags), np.minimum(flags, self.lasts) == self.codes
        )
        away: Matrix = np.clip((found - self.means) / self.scales, -_FARTHEST, _FARTHEST) - self.shifts
        away[:, : self.n_numbers][is_missing] = 0.0
        return away

    def number(self, at: int, away: float) -> float:
        """Return the number whose difference along axis ``at`` is ``away``, cut at three, to four digits."""
        cut = min(_FARTHEST, max(-_FARTHEST, away + self.shifts[at]))
        logarithm = min(_LARGEST_RAISED, max(-_LARGEST_RAISED, cut * self.scales[at] + self.means[at]))
        return float(f"{math.copysign(math.expm1(abs(logarithm)) * self.units[at], logarithm):.4g}")


def _logarithms(numbers: Matrix, units: Matrix) -> Matrix:
    """Return ``log(1 + |x| / unit)`` with the sign of ``x``, rounded: libraries' logarithms differ in the last bit."""
    with np.errstate(over="ignore"):
        found = np.copysign(np.log1p(np.abs(numbers) / units), numbers)
    bounded = np.clip(found, -_LARGEST_LOGARITHM, _LARGEST_LOGARITHM)
    return np.array(round_all(bounded.ravel().tolist())).reshape(bounded.shape)


def lay_axes(table: Table, figures: Matrix) -> list[Axis]:
    """Return the axes, not yet shifted: numbers, whether they are missing, texts."""
    numbers, flags = [], []
    n_texts = sum(known is not None for known in table.levels.values())
    for column, known in enumerate(table.levels.values()):
        held = figures[:, column]
        is_missing = np.isnan(held)
        if known is None:
            numbers.append(_number_axis(column, held[~is_missing]))
            if 0 < is_missing.sum() < len(held):
                flags.append(_flag_axis(column, _IS_MISSING, is_missing))
        else:
            n_kept = min(len(known), max(1, _MAX_FLAGS // n_texts))
            flags += [_flag_axis(column, code, held == code) for code in range(n_kept)]
            flags.append(_flag_axis(column, n_kept, held >= n_kept))
    return [*numbers, *flags]


def _number_axis(column: int, held: Matrix) -> Axis:
    unit = shorten(min(1.0, float(np.abs(held).max(initial=0.0)) or 1.0))
    logarithms = _logarithms(held, np.array(unit)) if len(held) else np.zeros(1)
    spread = max(_LEAST_SPREAD, float(logarithms.std()))
    return Axis(column, None, unit, shorten(float(logarithms.mean())), shorten(spread))


def _flag_axis(column: int, code: int, held: npt.NDArray[np.bool_]) -> Axis:
    """Return an axis scaled by the root of how often the text is held, so that a rare text counts more."""
    share = int(held.sum()) / len(held)
    return Axis(column, code, 1.0, share, math.sqrt(max(share, 1.0 / len(held))))


def shorten(value: float) -> float:
    """Return ``value`` to nine significant digits."""
    return float(f"{value:.{_DIGITS}g}")
