"""What an ordinary day looks like: decayed means of a requester or of a group of peers.

Layer: bottom of defence. Not here: what counts as ordinary (``detectors``), how surprising a day is (``surprise``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field


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
    """Ordinary days of one requester, or of a group of peers."""

    level: Level = field(default_factory=Level)
    exports: Level = field(default_factory=Level)
    oversteps: Level = field(default_factory=Level)

    def learn(self, units: float, exported: int, oversteps: int, keep: float) -> None:
        """Take one ordinary day in: its volume, its distinct exports, its oversteps."""
        self.level.learn(math.log1p(units), keep)
        self.exports.learn(exported, keep)
        self.oversteps.learn(oversteps, keep)
