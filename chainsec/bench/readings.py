"""Times single acts of reading and gathers their rows.

Layer: bench. Not here: what is read (``lookups``, ``growth``).
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

from chainsec.bench.rows import Row
from chainsec.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Readings", "draw", "require", "time_each", "time_many"]


class Readings:
    """Gathers rows, and tells somebody how it proceeds.

    Args:
        on_step: told what is being done, and how much of it.
    """

    def __init__(self, on_step: Callable[[str, int, int], None]) -> None:
        self.on_step = on_step
        self.rows: list[Row] = []

    def add(self, name: str, rates: Sequence[float], peer: Row | None = None) -> None:
        """Append the row of what was timed, beside ``peer`` where there is one."""
        self.rows.append(Row.of(name, rates, peer))

    def add_peer(self, name: str, rates: Sequence[float]) -> Row:
        """Append and return the row that others are held against; its own ratio is 1."""
        row = Row.of(name, rates, Row.of(name, rates))
        self.rows.append(row)
        return row


def time_many(act: Callable[[], object], times: int) -> list[float]:
    """Return how often ``act`` would run in a second, for each of ``times`` runs."""
    return time_each(lambda _: act(), range(times))


def time_each(act: Callable[[Any], object], subjects: Sequence[Any]) -> list[float]:
    """Return how often ``act`` would run in a second, for each subject that it is given."""
    rates = []
    for subject in subjects:
        started = time.perf_counter()
        act(subject)
        rates.append(1 / (time.perf_counter() - started))
    return rates


def draw(subjects: Sequence[Any], most: int) -> list[Any]:
    """Return up to ``most`` subjects from all over a sequence, the same ones for the same sequence's length.

    >>> len(draw(range(100), 7)), draw([1, 2], 7) == draw([1, 2], 7)
    (7, True)
    """
    return random.Random(len(subjects)).sample(list(subjects), min(most, len(subjects)))  # noqa: S311 - picks what is timed


def require(holds: bool, what: str) -> None:  # noqa: FBT001 - the condition itself, as in an assert
    """Refuse a measurement of something that is not as it should be.

    Raises:
        LedgerError: ``holds`` is False; says ``what`` is wrong.
    """
    if not holds:
        raise LedgerError(what)
