"""The scorer of the Numenta Anomaly Benchmark: what early detections earn, what late and false ones cost.

Layer: evaluation. Not here: detectors, reading the corpus (``series``).

Source: Lavin and Ahmad, "Evaluating Real-Time Anomaly Detection Algorithms - the Numenta Anomaly Benchmark" (2015),
section III; the benchmark's published sweeper for where it is more exact than the paper.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

Vector = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]

PROBATION_RATE, LONGEST_PROBATION = 0.15, 750
_STEEPNESS, _FAR = 5.0, 3.0


@dataclass(frozen=True)
class Profile:
    """What an application pays.

    Args:
        name: as the benchmark calls it.
        false_positive: cost of a false alarm, at most, > 0.
        false_negative: cost of a missed window, > 0. A window found at its beginning earns 1.
    """

    name: str
    false_positive: float
    false_negative: float


STANDARD = Profile("standard", 0.11, 1.0)
LOW_FALSE_POSITIVES = Profile("reward_low_FP_rate", 0.22, 1.0)
LOW_FALSE_NEGATIVES = Profile("reward_low_FN_rate", 0.11, 2.0)
PROFILES = (STANDARD, LOW_FALSE_POSITIVES, LOW_FALSE_NEGATIVES)


@dataclass(frozen=True)
class Labelled:
    """What is known of one series.

    Args:
        length: number of rows.
        windows: first and last row of each window that holds an anomaly, rising and apart.
    """

    length: int
    windows: tuple[tuple[int, int], ...]

    @property
    def probation(self) -> int:
        """Rows at the beginning that detectors may learn from and that are not scored."""
        return min(math.floor(PROBATION_RATE * self.length), LONGEST_PROBATION)


def scaled_sigmoid(position: float) -> float:
    """Return the worth of an alarm by its place: near 1 well before 0 (the window's end), -1 far behind it.

    >>> round(scaled_sigmoid(-1.0), 3), scaled_sigmoid(0.0), scaled_sigmoid(3.5)
    (0.987, 0.0, -1.0)
    """
    if position > _FAR:
        return -1.0
    return 2.0 / (1.0 + math.exp(_STEEPNESS * position)) - 1.0


def row_worths(labelled: Labelled) -> tuple[Vector, Places]:
    """Return what an alarm at each row is worth before weights, shape (length,), and its window, -1 outside."""
    worths, window_of = np.empty(labelled.length), np.full(labelled.length, -1, dtype=np.intp)
    best = scaled_sigmoid(-1.0)
    last: tuple[int, int] | None = None
    ahead = list(enumerate(labelled.windows))
    for row in range(labelled.length):
        while ahead and ahead[0][1][1] < row:
            last = ahead.pop(0)[1]
        if ahead and ahead[0][1][0] <= row:
            number, (first, end) = ahead[0]
            worths[row] = scaled_sigmoid(-(end - row + 1) / (end - first + 1)) / best
            window_of[row] = number
        elif last is None:
            worths[row] = -1.0
        else:
            worths[row] = scaled_sigmoid((row - last[1]) / max(1, last[1] - last[0]))
    return worths, window_of


class Sweep:
    """Scores of a corpus under every threshold; one threshold holds for all series.

    Args:
        series: what is known of each.
        alarms: the detector's scores for each series, shape (length,).

    Raises:
        ValueError: a series has other than one score a row, or one that is not finite.
    """

    def __init__(self, series: Sequence[Labelled], alarms: Sequence[Vector]) -> None:
        worths, windows, scores = [], [], []
        self.windows = 0
        for labelled, alarm in zip(series, alarms, strict=True):
            if len(alarm) != labelled.length or not np.isfinite(alarm).all():
                raise ValueError("a detector gives one finite score for each row")
            worth, window = row_worths(labelled)
            window[window >= 0] += self.windows
            self.windows += len(labelled.windows)
            worths.append(worth[labelled.probation :])
            windows.append(window[labelled.probation :])
            scores.append(np.asarray(alarm, dtype=np.float64)[labelled.probation :])
        self._worths, self._windows = np.concatenate(worths), np.concatenate(windows)
        self._scores = np.concatenate(scores)

    def raw(self, threshold: float, profile: Profile) -> float:
        """Return the sum over windows and false alarms with alarms from ``threshold`` on."""
        alarm = self._scores >= threshold
        outside = alarm & (self._windows < 0)
        earned = np.full(self.windows, -profile.false_negative)
        inside = alarm & (self._windows >= 0)
        np.maximum.at(earned, self._windows[inside], self._worths[inside])
        return float(earned.sum() + profile.false_positive * self._worths[outside].sum())

    def normalised(self, threshold: float, profile: Profile) -> float:
        """Return the score: 0 for a detector that never alarms, 100 for one that finds every window at its start."""
        nothing = -profile.false_negative * self.windows
        return 100.0 * (self.raw(threshold, profile) - nothing) / (self.windows - nothing)

    def best_threshold(self, profile: Profile) -> float:
        """Return the threshold with the highest score, the highest one of equals.

        Rows are taken in by falling score; a window's worth is that of its best alarm so far.
        """
        order = np.argsort(-self._scores, kind="stable")
        scores, worths, windows = self._scores[order], self._worths[order], self._windows[order]
        outside = windows < 0
        gains = np.where(outside, profile.false_positive * worths, 0.0)
        best = np.full(self.windows, -profile.false_negative)
        for place in np.flatnonzero(~outside).tolist():
            window, worth = windows[place], worths[place]
            if worth > best[window]:
                gains[place] = worth - best[window]
                best[window] = worth
        totals = np.cumsum(gains)
        ends = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)
        chosen = int(np.argmax(totals[ends]))
        return float(scores[ends[chosen]]) if totals[ends[chosen]] > 0.0 else math.inf
