"""Rounds features: many at once, and to the last bit as ``round`` rounds each of them.

Layer: models, at the bottom. Not here: the figures in receipts of threats (``receipts``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

DECIMALS = 4
"""Decimals of a feature: enough for its meaning, short in a receipt."""

_UNITS = 10.0**DECIMALS
_MOST_UNITS, _NEARLY_HALF = 1e9, 0.5 - 1e-6


def round_all(figures: Sequence[float]) -> list[float]:
    """Return each figure, a finite number, as ``round`` gives it at ``DECIMALS``.

    >>> round_all([0.12345, 2.00005, -0.7]) == [round(figure, DECIMALS) for figure in (0.12345, 2.00005, -0.7)]
    True
    """
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.array(figures) * _UNITS
        whole = np.rint(scaled)
        # the product is rounded itself, by less than 1e-6 up to a thousand million: only near a half does that matter
        doubtful = (np.abs(scaled - whole) > _NEARLY_HALF) | (np.abs(scaled) > _MOST_UNITS)
    rounded: list[float] = (whole / _UNITS).tolist()
    for at in np.flatnonzero(doubtful).tolist():
        rounded[at] = round(figures[at], DECIMALS)
    return rounded
