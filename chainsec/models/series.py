"""Watches a series of values, one at a time and without labels, for what never happened in that situation before.

Values become levels of a range that the first values show, made wider. Each level is held against what followed the
same last levels so far: the score is the share of known situations that the value is new to. After an alarm the watch
rests, so that one incident is one alarm. Layer: models. Not here: who is told.

The idea of novel contexts with a rest is that of the Contextual Anomaly Detector (Smirnov, 2016).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

_MISSING = "missing"
_SPAN = 2  # levels beyond the range on either side that are told apart, in ranges


@dataclass(frozen=True)
class SeriesSettings:
    """How a series is watched.

    Args:
        learn_values: values at the beginning that show the range and are not scored, at least 2.
        levels: of the range, at least 2.
        most_before: how many values before are looked at, at least 1.
        widen: how much the range of the first values is made wider on either side, as a share of it, at least 0.
        rest_values: values after an alarm that raise none, at least 0.
        alarm_score: from where on a score is an alarm, in (0, 1].
        known_range: lowest and highest possible value where they are known; nothing is made wider then.

    Raises:
        ValueError: a setting is out of range.
    """

    learn_values: int = 750
    levels: int = 8
    most_before: int = 3
    widen: float = 1.0
    rest_values: int = 94
    alarm_score: float = 0.5
    known_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.learn_values < 2 or self.levels < 2 or self.most_before < 1 or self.rest_values < 0:  # noqa: PLR2004 - as documented
            raise ValueError("a setting of the series watch is out of range")
        if not (0 <= self.widen < math.inf and 0 < self.alarm_score <= 1):
            raise ValueError("a setting of the series watch is out of range")
        if self.known_range is not None:
            low, high = self.known_range
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ValueError(f"a range rises from a number to a number, not from {low} to {high}")


@dataclass(frozen=True)
class Situation:
    """One situation that a value is new to: so many values before it, and how often what came before was seen."""

    values_before: int
    seen: int


class SeriesDetector:
    """Watches one series. The same values give the same scores.

    A missing value (None or NaN) is a level of its own, so that a first gap is news and a usual one is not. Values
    count in the order in which they come; how far apart they are does not matter.

    Args:
        settings: how it watches.

    >>> watch = SeriesDetector(SeriesSettings(learn_values=40, rest_values=10))
    >>> scores = [watch.observe(60 * i, float(i % 4)) for i in range(200)]
    >>> max(scores), watch.observe(12_000, 9.0), watch.observe(12_060, 9.0)
    (0.0, 1.0, 0.0)
    """

    def __init__(self, settings: SeriesSettings | None = None) -> None:
        self.settings = settings or SeriesSettings()
        self._learning: list[float | None] = []
        self._low = self._step = 0.0
        self._followed: dict[tuple[int | str, ...], dict[int | str, int]] = {}
        self._before: tuple[int | str, ...] = ()
        self._last_s = -math.inf
        self._resting = 0
        self._news: tuple[Situation, ...] = ()

    def observe(self, time_s: float, value: float | None) -> float:
        """Take the next value and return how new it is to its situation, in [0, 1]; 0 while learning and resting.

        Raises:
            ValueError: the value is infinite, or the time is no number or earlier than the last one; nothing changed.
        """
        if not math.isfinite(time_s) or time_s < self._last_s:
            raise ValueError(f"time {time_s!r} does not come after {self._last_s!r}")
        found = None if value is None or math.isnan(value) else float(value)
        if found is not None and math.isinf(found):
            raise ValueError(f"a value is a number or missing, not {value!r}")
        self._last_s = time_s
        if len(self._learning) < self.settings.learn_values:
            self._learning.append(found)
            if len(self._learning) == self.settings.learn_values:
                self._settle()
            return 0.0
        score = self._take(self._level(found))
        if self._resting:
            self._resting = self.settings.rest_values if score >= self.settings.alarm_score else self._resting - 1
            return 0.0
        if score >= self.settings.alarm_score:
            self._resting = self.settings.rest_values
        return score

    def reasons(self) -> tuple[Situation, ...]:
        """Return the situations that the last value was new to, the longest first."""
        return tuple(reversed(self._news))

    def _settle(self) -> None:
        """Fix the range by what was learned, and learn what follows what."""
        known = [value for value in self._learning if value is not None]
        low, high = self.settings.known_range or (min(known, default=0.0), max(known, default=0.0))
        if self.settings.known_range is None:
            spread = (high - low) or max(abs(high) * 0.1, 1e-6)
            low, high = low - self.settings.widen * spread, high + self.settings.widen * spread
        self._low, self._step = low, (high - low) / (self.settings.levels - 1)
        for value in self._learning:
            self._take(self._level(value))

    def _level(self, value: float | None) -> int | str:
        if value is None:
            return _MISSING
        reach = _SPAN * self.settings.levels
        place = (value - self._low) / self._step
        return math.floor(max(-reach, min(reach + self.settings.levels, place)))

    def _take(self, level: int | str) -> float:
        """Let a level in and return the share of known situations that it is new to."""
        news: list[Situation] = []
        known = 0
        for count in range(len(self._before) + 1):
            followed = self._followed.setdefault(self._before[len(self._before) - count :], {})
            if followed:
                known += 1
                if level not in followed:
                    news.append(Situation(count, sum(followed.values())))
            followed[level] = followed.get(level, 0) + 1
        self._before = (*self._before, level)[-self.settings.most_before :]
        self._news = tuple(news)
        return len(news) / known if known else 0.0
