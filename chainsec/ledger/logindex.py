"""Finds logs, receipts and transactions without walking blocks: two tables beside the chain's records.

Rows are written in the SQLite transaction of their block and cut back when blocks are taken back.
Layer: ledger. Not here: the records that consensus is about (``store``); these rows follow from them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["LogIndex", "LogRow", "TransactionRow"]

SCHEMA = (
    """CREATE TABLE transactions (
    hash BLOB NOT NULL PRIMARY KEY, block INTEGER NOT NULL, position INTEGER NOT NULL, status INTEGER NOT NULL,
    gas_used INTEGER NOT NULL, contract BLOB, first_log INTEGER NOT NULL, logs INTEGER NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX transactions_by_block ON transactions (block, position)",
    """CREATE TABLE logs (
    block INTEGER NOT NULL, position INTEGER NOT NULL, tx INTEGER NOT NULL, hash BLOB NOT NULL, address BLOB NOT NULL,
    topic0 BLOB, topic1 BLOB, topic2 BLOB, topic3 BLOB, data BLOB NOT NULL,
    PRIMARY KEY (block, position)) WITHOUT ROWID""",
    "CREATE INDEX logs_by_address ON logs (address, topic0)",
    "CREATE INDEX logs_by_topic0 ON logs (topic0)",
    "CREATE INDEX logs_by_topic1 ON logs (topic1) WHERE topic1 IS NOT NULL",
    "CREATE INDEX logs_by_topic2 ON logs (topic2) WHERE topic2 IS NOT NULL",
    "CREATE INDEX logs_by_topic3 ON logs (topic3) WHERE topic3 IS NOT NULL",
)
MAX_TOPICS = 4


class TransactionRow(NamedTuple):
    """Where a transaction stands and what its receipt says; ``first_log`` and ``logs`` point into its block's logs."""

    hash: bytes
    block: int
    position: int
    status: int
    gas_used: int
    contract: bytes | None
    first_log: int
    logs: int


class LogRow(NamedTuple):
    """One log; ``position`` counts in its block, ``tx`` is its transaction's place there."""

    block: int
    position: int
    tx: int
    hash: bytes
    address: bytes
    topic0: bytes | None
    topic1: bytes | None
    topic2: bytes | None
    topic3: bytes | None
    data: bytes

    @property
    def topics(self) -> tuple[bytes, ...]:
        """The topics there are, at most four."""
        return tuple(topic for topic in self[5:9] if topic is not None)


class LogIndex:
    """The two tables on one SQLite connection; whoever owns the connection opens and commits transactions."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def add(self, transactions: Iterable[TransactionRow], logs: Iterable[LogRow]) -> None:
        """Insert the rows of one block."""
        self._db.executemany("INSERT INTO transactions VALUES (?,?,?,?,?,?,?,?)", transactions)
        self._db.executemany("INSERT INTO logs VALUES (?,?,?,?,?,?,?,?,?,?)", logs)

    def cut_back(self, height: int) -> None:
        """Remove every row above block ``height``."""
        self._db.execute("DELETE FROM transactions WHERE block > ?", (height,))
        self._db.execute("DELETE FROM logs WHERE block > ?", (height,))

    def transaction(self, transaction_hash: bytes) -> TransactionRow | None:
        """Return where a mined transaction stands, or None."""
        row = self._db.execute("SELECT * FROM transactions WHERE hash = ?", (bytes(transaction_hash),)).fetchone()
        return None if row is None else TransactionRow(*row)

    def transactions_of(self, block: int) -> list[TransactionRow]:
        """Return the transactions of one block in order."""
        rows = self._db.execute("SELECT * FROM transactions WHERE block = ? ORDER BY position", (block,))
        return [TransactionRow(*row) for row in rows]

    def logs_at(self, block: int, first: int = 0, count: int = -1) -> list[LogRow]:
        """Return ``count`` logs of one block from position ``first`` on; all of them for -1."""
        rows = self._db.execute(
            "SELECT * FROM logs WHERE block = ? AND position >= ? ORDER BY position LIMIT ?", (block, first, count)
        )
        return [LogRow(*row) for row in rows]

    def search(
        self,
        from_block: int,
        to_block: int,
        addresses: Sequence[bytes] = (),
        topics: Sequence[Sequence[bytes]] = (),
    ) -> Iterator[LogRow]:
        """Yield matching logs in chain order.

        Args:
            from_block: first block, included.
            to_block: last block, included.
            addresses: any of these; none given matches all.
            topics: for each place the topics that match there; an empty one matches any topic that is present.
        """
        if len(topics) > MAX_TOPICS:
            return
        clauses, values = ["block BETWEEN ? AND ?"], [from_block, to_block]
        wanted = [("address", list(addresses))] if addresses else []
        wanted += [(f"topic{place}", list(choice)) for place, choice in enumerate(topics)]
        for column, choice in wanted:
            if choice:
                clauses.append(f"{column} IN ({','.join('?' * len(choice))})")
                values += [bytes(value) for value in choice]  # type: ignore[misc] # SQLite values of both kinds
            else:
                clauses.append(f"{column} IS NOT NULL")
        query = f"SELECT * FROM logs WHERE {' AND '.join(clauses)} ORDER BY block, position"  # noqa: S608 - values are bound
        for row in self._db.execute(query, values):
            yield LogRow(*row)
