"""Keeps the points of a chain to which it can go back: a thousand, however many are marked.

Each holds the pool as it was. What was overwritten since the oldest is kept too (``Store.keep_undo``), and grows with
every block until that point is gone back to or is dropped. Layer: ledger. Not here: going back (``local``).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from chainsec.errors import LedgerError

if TYPE_CHECKING:
    from chainsec.ledger.pool import Pool

__all__ = ["Marks", "Point"]

_KEPT_POINTS = 1_000


@dataclass
class Point:
    """Where the marks ``first`` to ``last`` go back to: a height, the header after it, and what waited then."""

    height: int
    header: Any
    pool: Pool
    first: int
    last: int


class Marks:
    """Numbers for points of a chain. A number is never given twice; the points are in the order of the chain.

    >>> from chainsec.ledger.pool import Pool
    >>> marks = Marks()
    >>> marks.add(4, None, Pool()), marks.add(4, None, Pool()), marks.lowest
    (1, 2, 4)
    """

    def __init__(self) -> None:
        self._points: list[Point] = []
        self._next = 1

    @property
    def lowest(self) -> int:
        """The least height of a point, where there is one."""
        return self._points[0].height

    def add(self, height: int, header: Any, pool: Pool) -> int:
        """Return a new mark; the oldest points go once there are more than a thousand."""
        mark, self._next = self._next, self._next + 1
        top = self._points[-1] if self._points else None
        if top and (top.height, top.last, len(top.pool), len(pool)) == (height, mark - 1, 0, 0):
            top.last = mark
        else:
            self._points.append(Point(height, header, pool.copy(), mark, mark))
            del self._points[:-_KEPT_POINTS]
        return mark

    def find(self, mark: int) -> Point:
        """Return the point of ``mark``.

        Raises:
            LedgerError: no such mark, or it was forgotten.
        """
        return self._points[self._place(mark)]

    def forget_after(self, mark: int) -> None:
        """Forget every mark later than ``mark``. Raises: LedgerError: as ``find``."""
        place = self._place(mark)
        del self._points[place + 1 :]
        self._points[place].last = mark

    def _place(self, mark: int) -> int:
        place = bisect_right(self._points, mark, key=attrgetter("first")) - 1
        if place < 0 or mark > self._points[place].last:
            raise LedgerError(f"no snapshot {mark}", snapshot=mark)
        return place

    def clear(self) -> None:
        """Forget every mark."""
        self._points.clear()
