"""An SQLite connection whose failures to read are one line about the file.

Layer: ledger. Not here: tables and what they hold (``store``, ``logindex``), writing (``store``).
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from chainsec.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Connection", "connect"]


class Connection(sqlite3.Connection):
    """A connection that is read through ``row`` and ``rows``; ``name`` is the file's, for messages."""

    name: Path | str = "chain in memory"

    def row(self, statement: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """Return the first row of a query, or None. Raises: LedgerError."""
        try:
            found: tuple[Any, ...] | None = self.execute(statement, values).fetchone()
        except sqlite3.Error as error:
            raise self._unreadable(error) from error
        return found

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a query. Raises: LedgerError."""
        try:
            return self.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: sqlite3.Error) -> LedgerError:
        return LedgerError(f"{self.name}: cannot be read: {error}", path=self.name)


def connect(path: Path | None) -> Connection:
    """Open a file, or a database in memory, for one process; transactions are begun by whoever writes."""
    connection = sqlite3.connect(
        path or ":memory:", isolation_level=None, check_same_thread=False, timeout=0.2, factory=Connection
    )
    connection.name = path or connection.name
    return connection
