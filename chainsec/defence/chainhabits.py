"""What is usual on a chain, as it is learned: attendance, gas of functions, what senders send; and how much is kept.

Layer: defence, below ``chainwatch``. Not here: what is alarming (``chainrules``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from chainsec.defence.baseline import Level
from chainsec.defence.chainrules import LEAST_GAS_RATIO_LOG

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["GROWTH", "KEEP", "MOST_KEPT", "MOST_SEEN", "Crowd", "Function", "Record", "Refusals", "Sender", "keep"]

MOST_KEPT = 10_000
"""Subjects, functions and senders that are remembered, each; the one not seen for longest goes."""
MOST_SEEN, KEEP, GROWTH = 1_000, 0.999, 1.5
"""How many calls or blocks count as history, how slowly the farthest is forgotten, how fast it may grow."""
_MEMORY = 2_000.0

ValueT = TypeVar("ValueT")


@dataclass
class Record:
    """How often somebody was absent and present, and how often in a row absent up to now."""

    absent: float = 0.0
    present: float = 0.0
    run: int = 0

    def learn(self, absent: int) -> None:
        """Take in a presence, and the absences before it."""
        self.absent += absent
        self.present += 1
        total = self.absent + self.present
        if total > _MEMORY:
            self.absent, self.present = self.absent * _MEMORY / total, self.present * _MEMORY / total


@dataclass
class Function:
    """Gas that calls of one function have used: all of them, or those of about one size."""

    seen: int = 0
    mean_log: float = 0.0
    mean_size_log: float = 0.0
    widest_log: float = 0.0

    def expect(self, log_gas: float, log_size: float) -> float:
        """Return the logarithm of the gas that is usual for a call of a size, the one nearest to ``log_gas``.

        A shorter call than usual may use as much less gas, as a shorter list does; a longer one has to become usual.
        """
        return max(self.mean_log + min(log_size - self.mean_size_log, 0.0), min(self.mean_log, log_gas))

    def learn(self, log_gas: float, log_size: float) -> None:
        """Take in a call. What is far away counts as less far than it is: once is no history, again and again is."""
        if not self.seen:
            self.mean_log, self.mean_size_log = log_gas, log_size
        departure = log_gas - self.expect(log_gas, log_size)
        most = GROWTH * (self.widest_log + LEAST_GAS_RATIO_LOG)
        self.widest_log = max(self.widest_log * KEEP, min(abs(departure), most))
        self.mean_size_log += (log_size - self.mean_size_log) / (self.seen + 1)
        self.mean_log += max(-most, min(most, log_gas - self.mean_log)) / (self.seen + 1)
        self.seen = min(self.seen + 1, MOST_SEEN)


@dataclass
class Sender:
    """What somebody sends, window by window."""

    window: int = -1
    count: int = 0
    is_odd: bool = False
    usual: Level = field(default_factory=Level)


@dataclass
class Crowd:
    """What everybody sends in a window."""

    window: int = -1
    count: int = 0
    senders: int = 0
    usual: Level = field(default_factory=Level)


@dataclass
class Refusals:
    """A sequential test of somebody's calls: refusals, each at another place, against what goes through."""

    refused: int = 0
    allowed: int = 0
    usual_rate: float = 0.0
    places: set[str] = field(default_factory=set)


def keep(table: dict[Any, ValueT], key: Any, make: Callable[[], ValueT]) -> ValueT:
    """Return a table's value for ``key``, made where there is none; of too many the one not asked for longest goes."""
    value = table.pop(key, None)
    table[key] = found = make() if value is None else value
    if len(table) > MOST_KEPT:
        del table[next(iter(table))]
    return found
