"""Keeps a chain's records in one SQLite file, or in memory, and moves from block to block in one step.

py-evm writes a block's records into an overlay; ``commit`` puts them, the block's index rows and the new height
into one SQLite transaction. A process killed at any moment leaves the store at a block boundary.
Layer: ledger. Not here: what the records mean; whether they are right (``verify``).
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

from eth.db.backends.base import BaseAtomicDB

from chainsec.errors import LedgerError
from chainsec.ledger import logindex
from chainsec.ledger.connection import connect
from chainsec.ledger.logindex import LogIndex, LogRow, TransactionRow
from chainsec.ledger.seal import broken_page, remove_seal, wal_path, write_seal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from chainsec.ledger.dump import Dump

__all__ = ["APPLICATION_ID", "ROWS", "SCHEMA_VERSION", "Store"]

SCHEMA_VERSION = 1
APPLICATION_ID = 0x43684365
SCHEMA = (
    "CREATE TABLE settings (name TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE records (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    *logindex.SCHEMA,
)
ROWS = {
    "settings": "SELECT * FROM settings ORDER BY name",
    "records": "SELECT * FROM records ORDER BY key",
    "transactions": "SELECT * FROM transactions ORDER BY hash",
    "logs": "SELECT * FROM logs ORDER BY block, position",
}
_ERASE = ("DELETE FROM settings", "DELETE FROM records", "DELETE FROM transactions", "DELETE FROM logs")
_CACHED_RECORDS = 50_000
_CHECKPOINT_BYTES = 64 * 2**20


class Store(BaseAtomicDB):  # type: ignore[misc] # py-evm is untyped
    """py-evm's key/value database over SQLite, one transaction a block.

    Args:
        path: the file; None keeps everything in memory.

    Raises:
        LedgerError: the file is no chain of this schema, or another process writes to it.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._overlay: dict[bytes, bytes | None] = {}
        self._cache: OrderedDict[bytes, bytes] = OrderedDict()
        self._undo: dict[int, dict[bytes, bytes | None]] | None = None
        is_new = path is None or not path.exists() or path.stat().st_size == 0
        page = None if path is None or is_new else broken_page(path)
        if page is not None:
            raise LedgerError(f"{path}: page {page} was changed since the chain was closed", path=path, page=page)
        self._is_writing = False
        try:
            self._db = connect(path)
            self._prepare(is_new=is_new)
        except sqlite3.Error as error:
            if hasattr(self, "_db"):
                self._db.close()
            raise LedgerError(f"{path}: cannot be opened as a chain: {error}", path=path) from error
        except LedgerError:
            self._db.close()
            raise
        self.index = LogIndex(self._db)

    def _prepare(self, *, is_new: bool) -> None:
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("PRAGMA cache_size = -65536")
        # a process killed while it made the file leaves one without tables
        is_new = is_new or not self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if not is_new:
            self._check_schema()
            was_killed = self.path is not None and wal_path(self.path).exists()
            self._db.execute("BEGIN EXCLUSIVE")
            self._db.execute("COMMIT")
            if was_killed:
                # what a killed commit left behind the last whole one goes before anything is written over it
                self._start_writing()
                self._checkpoint()
            return
        self._start_writing()
        self._db.execute("BEGIN IMMEDIATE")
        for statement in SCHEMA:
            self._db.execute(statement)
        self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        self._db.execute("COMMIT")

    def _start_writing(self) -> None:
        if self._is_writing or self.path is None:
            return
        remove_seal(self.path)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA wal_autocheckpoint = 0")
        self._is_writing = True

    def _check_schema(self) -> None:
        if self._db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise LedgerError(f"{self.path}: is no chain", path=self.path)
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version != SCHEMA_VERSION:
            raise LedgerError(f"{self.path}: schema version {version}, not {SCHEMA_VERSION}", path=self.path)

    @property
    def name(self) -> str:
        """What errors call it."""
        return str(self._db.name)

    def setting(self, name: str) -> bytes | None:
        """Return a stored setting, or None."""
        row = self._db.row("SELECT value FROM settings WHERE name = ?", (name,))
        return None if row is None else bytes(row[0])

    def __getitem__(self, key: bytes) -> bytes:
        if key in self._overlay:
            pending = self._overlay[key]
            if pending is None:
                raise KeyError(key)
            return pending
        value = self._cache.get(key)
        if value is not None:
            return value
        row = self._db.row("SELECT value FROM records WHERE key = ?", (key,))
        if row is None:
            raise KeyError(key)
        found: bytes = row[0]
        self._remember(key, found)
        return found

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._overlay[bytes(key)] = bytes(value)

    def __delitem__(self, key: bytes) -> None:
        if not self._exists(key):
            raise KeyError(key)
        self._overlay[bytes(key)] = None

    def _exists(self, key: bytes) -> bool:
        try:
            self[key]
        except KeyError:
            return False
        return True

    def _remember(self, key: bytes, value: bytes) -> None:
        self._cache[key] = value
        if len(self._cache) > _CACHED_RECORDS:
            self._cache.popitem(last=False)

    @contextmanager
    def atomic_batch(self) -> Iterator[Self]:
        """Give the store itself: nothing is on disk before ``commit``, and a failed block is dropped whole."""
        yield self

    @property
    def changes(self) -> Mapping[bytes, bytes | None]:
        """Records written since the last commit; None marks one that was deleted."""
        return self._overlay

    def commit(
        self,
        height: int,
        transactions: Sequence[TransactionRow] = (),
        logs: Sequence[LogRow] = (),
        settings: Mapping[str, bytes] | None = None,
    ) -> None:
        """Write everything since the last commit, with the index rows of block ``height``, in one transaction.

        Raises:
            LedgerError: SQLite could not write; nothing has changed on disk.
        """
        if self._undo is not None:
            self._undo[height] = {key: self._stored(key) for key in self._overlay}
        with self._transaction():
            self._write(self._overlay)
            self.index.add(transactions, logs)
            rows = [("height", str(height).encode()), *(settings or {}).items()]
            self._db.executemany("INSERT OR REPLACE INTO settings VALUES (?,?)", rows)
        for key, value in self._overlay.items():
            if value is None:
                self._cache.pop(key, None)
            else:
                self._remember(key, value)
        self._overlay = {}
        with suppress(OSError, sqlite3.Error):  # the block stands; folding the log into the file can wait
            if self.path is not None and wal_path(self.path).stat().st_size > _CHECKPOINT_BYTES:
                self._checkpoint()

    def rollback(self) -> None:
        """Forget everything since the last commit, also where that was interrupted right after it was written."""
        self._overlay = {}
        self._cache.clear()

    def keep_undo(self, above: int) -> None:
        """Keep, in memory, what ``cut_back`` needs to go back to block ``above``."""
        kept = {} if self._undo is None else self._undo
        self._undo = {number: undo for number, undo in kept.items() if number > above}

    def cut_back(self, height: int) -> None:
        """Take back every block above ``height``: its records as they were before, its index rows gone.

        Raises:
            LedgerError: no undo was kept for one of the blocks.
        """
        undo = {} if self._undo is None else self._undo
        top = int(self.setting("height") or b"0")
        above = range(top, height, -1)
        if any(number not in undo for number in above):
            raise LedgerError(
                f"blocks {height + 1} to {top} cannot be taken back: no snapshot was taken", height=height
            )
        before: dict[bytes, bytes | None] = {}
        for number in above:
            before |= undo[number]
        with self._transaction():
            self._write(before)
            self.index.cut_back(height)
            self._db.execute("INSERT OR REPLACE INTO settings VALUES ('height', ?)", (str(height).encode(),))
        self._overlay = {}
        for key in before:
            self._cache.pop(key, None)
        for number in above:
            del undo[number]

    @contextmanager
    def replacing(self, dump: Dump) -> Iterator[None]:
        """Put other rows in the place of all there are; an error inside leaves everything as it was."""
        try:
            with self._transaction():
                for statement in _ERASE:
                    self._db.execute(statement)
                self._overlay = {}
                self._cache.clear()
                self._db.executemany("INSERT INTO settings VALUES (?,?)", dump.settings)
                self._db.executemany("INSERT INTO records VALUES (?,?)", dump.records)
                self.index.add(dump.transactions, dump.logs)
                yield
        except BaseException:
            self._overlay = {}
            self._cache.clear()
            raise
        self._undo = None

    def close(self) -> None:
        """Fold the write-ahead log into the file, so that it stands alone, and seal its pages.

        A file that was only read stays as it is.

        Raises:
            LedgerError: the log could not be folded in, as on a full disk; everything is in it, and opening reads it.
        """
        try:
            if self._is_writing and self.path is not None:
                self._checkpoint()
                self._db.execute("PRAGMA journal_mode = DELETE")
                self._db.close()
                write_seal(self.path)
        except sqlite3.ProgrammingError:  # closed already
            return
        except sqlite3.Error as error:
            raise LedgerError(f"{self.path}: cannot be closed whole: {error}", path=self.path) from error
        finally:
            self._db.close()

    def abandon(self) -> None:
        """Let go of the file without sealing it."""
        self._db.close()

    def _stored(self, key: bytes) -> bytes | None:
        if key in self._cache:
            return self._cache[key]
        row = self._db.row("SELECT value FROM records WHERE key = ?", (key,))
        return None if row is None else row[0]

    def _write(self, records: Mapping[bytes, bytes | None]) -> None:
        self._db.executemany(
            "INSERT INTO records VALUES (?,?) ON CONFLICT DO UPDATE SET value = excluded.value",
            ((key, value) for key, value in records.items() if value is not None),
        )
        self._db.executemany(
            "DELETE FROM records WHERE key = ?", ((key,) for key, value in records.items() if value is None)
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._start_writing()
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except BaseException as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise LedgerError(f"{self.name}: cannot write: {error}", path=self.path) from error
            raise

    def _checkpoint(self) -> None:
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def __repr__(self) -> str:
        return f"Store({str(self.path or ':memory:')!r})"

    def rows(self, table: str) -> Iterator[tuple[Any, ...]]:
        """Yield every row of a table in the order of its key."""
        yield from self.query(ROWS[table])

    def query(self, statement: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query, for whoever examines the store."""
        try:
            yield from self._db.execute(statement)
        except sqlite3.Error as error:
            raise LedgerError(f"{self.name}: cannot be read: {error}", path=self.path) from error
