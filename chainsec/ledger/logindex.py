"""Finds logs, receipts and transactions without walking blocks: two tables beside the chain's records.

Rows are written in the SQLite transaction of their block and cut back when blocks are taken back.
Layer: ledger. Not here: the records that consensus is about (``store``); these rows follow from them.
"""

from __future__ import annotations

from itertools import chain, takewhile
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from chainsec.ledger.connection import Connection

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
_MAX_INTEGER = 2**63 - 1
_BY_BLOCK = "sqlite_autoindex_logs_1"
_INDEXES = {_BY_BLOCK: ("block",), "logs_by_address": ("address", "topic0", "block")}
_INDEXES |= {f"logs_by_topic{place}": (f"topic{place}", "block") for place in range(MAX_TOPICS)}
_KEYS_AT_ONCE = 500
_COUNTED_ROWS = (64, 256, 1_024, 4_096, 16_384, 65_536)


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


class _Term(NamedTuple):
    """A condition and the values for its question marks."""

    text: str
    values: tuple[Any, ...]


def _one_of(column: str, choice: Sequence[bytes]) -> _Term:
    return _Term(f"{column} IN ({','.join('?' * len(choice))})", tuple(map(bytes, choice)))


def _all_of(terms: Iterable[_Term]) -> _Term:
    texts, values = zip(*terms, strict=True)
    return _Term(" AND ".join(texts), tuple(chain.from_iterable(values)))


class LogIndex:
    """The two tables on one SQLite connection; whoever owns the connection opens and commits transactions."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def add(self, transactions: Iterable[TransactionRow], logs: Iterable[LogRow]) -> None:
        """Insert the rows of one block."""
        self._db.executemany("INSERT INTO transactions VALUES (?,?,?,?,?,?,?,?)", transactions)
        self._db.executemany("INSERT INTO logs VALUES (?,?,?,?,?,?,?,?,?,?)", logs)

    def cut_back(self, height: int) -> None:
        """Remove every row above block ``height``."""
        self._db.execute("DELETE FROM transactions WHERE block > ?", (height,))
        self._db.execute("DELETE FROM logs WHERE block > ?", (height,))

    def last_block(self) -> int:
        """Return the highest block that a row is of, 0 where there is none."""
        return max(self._number(f"SELECT max(block) FROM {table}", ()) for table in ("transactions", "logs"))  # noqa: S608 - constants

    def transaction(self, transaction_hash: bytes) -> TransactionRow | None:
        """Return where a mined transaction stands, or None."""
        row = self._db.row("SELECT * FROM transactions WHERE hash = ?", (bytes(transaction_hash),))
        return None if row is None else TransactionRow(*row)

    def transactions(self, transaction_hashes: Sequence[bytes]) -> dict[bytes, TransactionRow]:
        """Return where mined transactions stand, by hash."""
        found: dict[bytes, TransactionRow] = {}
        for start in range(0, len(transaction_hashes), _KEYS_AT_ONCE):
            keys = [bytes(key) for key in transaction_hashes[start : start + _KEYS_AT_ONCE]]
            query = f"SELECT * FROM transactions WHERE hash IN ({','.join('?' * len(keys))})"  # noqa: S608 - values are bound
            found |= {row[0]: TransactionRow._make(row) for row in self._db.rows(query, keys)}
        return found

    def transactions_of(self, block: int) -> list[TransactionRow]:
        """Return the transactions of one block in order."""
        rows = self._db.rows("SELECT * FROM transactions WHERE block = ? ORDER BY position", (block,))
        return [TransactionRow(*row) for row in rows]

    def gas_used_until(self, block: int, position: int) -> int:
        """Return the gas of a block's transactions up to ``position``, included."""
        query = "SELECT sum(gas_used) FROM transactions WHERE block = ? AND position <= ?"
        return self._number(query, (block, position))

    def logs_at(self, block: int, first: int = 0, count: int = -1) -> list[LogRow]:
        """Return ``count`` logs of one block from position ``first`` on; all of them for -1."""
        rows = self._db.rows(
            "SELECT * FROM logs WHERE block = ? AND position >= ? ORDER BY position LIMIT ?", (block, first, count)
        )
        return [LogRow(*row) for row in rows]

    def search(
        self,
        from_block: int,
        to_block: int,
        addresses: Sequence[bytes] = (),
        topics: Sequence[Sequence[bytes]] = (),
    ) -> list[LogRow]:
        """Return matching logs in chain order, found through the index that leaves the fewest rows to look at.

        Args:
            from_block: first block, included.
            to_block: last block, included.
            addresses: any of these; none given matches all.
            topics: for each place the topics that match there; an empty one matches any topic that is present.
        """
        if len(topics) > MAX_TOPICS:
            return []
        between = (min(max(from_block, 0), _MAX_INTEGER), min(to_block, _MAX_INTEGER))
        terms = {"block": _Term("block BETWEEN ? AND ?", between)}
        if addresses:
            terms["address"] = _one_of("address", addresses)
        for place, choice in enumerate(topics):
            name = f"topic{place}"
            terms[name] = _one_of(name, choice) if choice else _Term(f"{name} IS NOT NULL", ())
        condition = _all_of(terms.values())
        query = (
            f"SELECT * FROM logs INDEXED BY {self._best_index(terms)} WHERE {condition.text} ORDER BY block, position"  # noqa: S608 - values are bound
        )
        return [LogRow._make(row) for row in self._db.rows(query, condition.values)]

    def _best_index(self, terms: Mapping[str, _Term]) -> str:
        """Return the index with the fewest rows to look at; SQLite, without statistics, would often take another.

        Rows under each are counted side by side, and no further than it takes to see which has the fewest.
        """
        usable = {}
        for index, columns in _INDEXES.items():
            searched = [terms[name] for name in takewhile(lambda name: name in terms and terms[name].values, columns)]
            if searched:
                usable[index] = _all_of(searched)
        best = _BY_BLOCK
        for most in _COUNTED_ROWS if len(usable) > 1 else ():
            fewest = most
            for index, condition in usable.items():
                count = self._count(index, condition, fewest)
                if count < fewest:
                    best, fewest = index, count
            if fewest < most:
                break
        return best

    def _count(self, index: str, condition: _Term, most: int) -> int:
        query = f"SELECT count(*) FROM (SELECT 1 FROM logs INDEXED BY {index} WHERE {condition.text} LIMIT {most})"  # noqa: S608 - as above
        return self._number(query, condition.values)

    def _number(self, query: str, values: Sequence[Any]) -> int:
        row = self._db.row(query, values)
        return int(row[0] or 0) if row else 0
