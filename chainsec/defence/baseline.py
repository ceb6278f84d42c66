"""What an ordinary day looks like: decayed means of a requester or of a group of peers, and the day under way.

Layer: defence. Not here: what counts as ordinary (``detectors``), how surprising a day is (``surprise``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chainsec.defence.surprise import blend
from chainsec.defence.window import RecentTimes, UseWindow

if TYPE_CHECKING:
    from collections.abc import Mapping

COUNTED = ("mass_export", "beyond_scope", "burst", "odd_conduct")
"""Kinds of threat that are a count: exports and oversteps of a day, the most uses and odd uses at a time."""

_NO_HISTORY_RATE = 0.1
_LEAST_RATE = 0.02
"""Events a day that are taken as usual where nothing is known, and the least that is ever taken as usual."""


@dataclass
class Level:
    """A mean and variance in which old values count less and less.

    >>> level = Level()
    >>> for value in (1.0, 3.0):
    ...     level.learn(value, keep=1.0)
    >>> level.mean, level.variance
    (2.0, 1.0)
    """

    weight: float = 0.0
    mean: float = 0.0
    square: float = 0.0

    def learn(self, value: float, keep: float) -> None:
        """Take one value in; earlier ones keep the share ``keep``, in (0, 1], of their weight."""
        self.weight = self.weight * keep + 1.0
        self.mean += (value - self.mean) / self.weight
        self.square += (value * value - self.square) / self.weight

    @property
    def variance(self) -> float:
        """The population variance, at least 0."""
        return max(0.0, self.square - self.mean * self.mean)


@dataclass
class Baseline:
    """Ordinary days of one requester, or of a group of peers: volumes, and what is counted, by kind of threat."""

    level: Level = field(default_factory=Level)
    counts: dict[str, Level] = field(default_factory=lambda: {kind: Level() for kind in COUNTED})

    def learn(self, units: float, counts: Mapping[str, int], keep: float) -> None:
        """Take one ordinary day in: its volume, and each count."""
        self.level.learn(math.log1p(units), keep)
        for kind, count in counts.items():
            self.counts[kind].learn(count, keep)


@dataclass
class Person:
    """What is known of one requester, and their day so far."""

    burst: RecentTimes
    odd: RecentTimes
    baseline: Baseline = field(default_factory=Baseline)
    recent: UseWindow = field(default_factory=UseWindow)
    day: int = -1
    last_use_s: int = -1
    longest_silence_days: float = 0.0
    units: float = 0.0
    exported: set[str] = field(default_factory=set)
    oversteps: int = 0
    busiest: int = 0
    oddest: int = 0
    volumes: list[tuple[str, float]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    assets: dict[str, None] = field(default_factory=dict)
    requests: dict[str, None] = field(default_factory=dict)
    drift: dict[str, float] = field(default_factory=lambda: {"slow_volume": 0.0, "slow_export": 0.0})
    peaks: dict[str, float] = field(default_factory=dict)
    flagged: bool = False
    active_days: int = 0
    raised: dict[str, int] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """What is counted of the day so far, by kind of threat."""
        return dict(zip(COUNTED, (len(self.exported), self.oversteps, self.busiest, self.oddest), strict=True))

    def begin_day(self, day: int) -> None:
        """Let go of the day before; what was learned, the drift and the sliding windows stay."""
        self.day, self.units, self.exported, self.oversteps, self.busiest, self.oddest = day, 0.0, set(), 0, 0, 0
        self.volumes, self.words, self.assets, self.requests = [], [], {}, {}
        self.peaks, self.flagged = {}, False


def level_inputs(own: Level, peers: Level, strength_days: float, least_sd: float) -> dict[str, float]:
    """Return the ``mean_log`` and ``sd_log`` that ``level_surprise`` takes, own days drawn towards the peers'.

    >>> level_inputs(Level(2.0, 3.0, 9.0), Level(50.0, 1.0, 1.0), strength_days=2.0, least_sd=0.5)
    {'mean_log': 2.0, 'sd_log': 0.5}
    """
    variance = blend(own.variance, own.weight, peers.variance, strength_days)
    return {
        "mean_log": blend(own.mean, own.weight, peers.mean, strength_days),
        "sd_log": max(least_sd, math.sqrt(variance)),
    }


def count_inputs(count: int, own: Level, peers: Level, strength_days: float) -> dict[str, Any]:
    """Return what ``count_surprise`` takes; with no history at all, one event in ten days is taken as usual.

    >>> count_inputs(2, Level(weight=4.0, mean=0.5), Level(weight=90.0, mean=0.1), strength_days=5.0)
    {'count': 2, 'shape': 2.5, 'rate': 9.0}
    """
    prior = peers.mean if peers.weight > strength_days else _NO_HISTORY_RATE
    return {
        "count": count,
        "shape": own.mean * own.weight + max(prior, _LEAST_RATE) * strength_days,
        "rate": own.weight + strength_days,
    }
