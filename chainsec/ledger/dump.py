"""Writes a whole chain as one string of bytes, and reads it back whoever wrote it.

Equal chains give equal bytes. A keccak over them finds accidents; it is no evidence, as a dump is not executed again.
Layer: ledger. Not here: whether the records make a chain (``headcheck``), putting them in place (``store``).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from chainsec.digest import keccak
from chainsec.errors import LedgerError
from chainsec.ledger.logindex import MAX_TOPICS, LogRow, TransactionRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Dump", "read_dump", "write_dump"]

_MAGIC = b"chainsec chain\x00\x01"
_HASH_BYTES = 32
_ADDRESS_BYTES = 20
_COUNT = struct.Struct(">Q")
_PAIR = struct.Struct(">II")
_TRANSACTION = struct.Struct(">32sQIBQBII")
_LOG = struct.Struct(">QII32s20sBI")


class Dump(NamedTuple):
    """Every row of a chain's tables, each table in the order of its key."""

    settings: list[tuple[str, bytes]]
    records: list[tuple[bytes, bytes]]
    transactions: list[TransactionRow]
    logs: list[LogRow]


def write_dump(rows: Callable[[str], Iterator[tuple[Any, ...]]]) -> bytes:
    """Return everything that a store's tables hold; ``rows`` gives those of the table that it is asked for."""
    body = b"".join(
        [
            *_table((_write_pair(name.encode(), value) for name, value in rows("settings"))),
            *_table((_write_pair(key, value) for key, value in rows("records"))),
            *_table(_write_transaction(TransactionRow._make(row)) for row in rows("transactions")),
            *_table(_write_log(LogRow._make(row)) for row in rows("logs")),
        ]
    )
    return _MAGIC + keccak(body) + body


def read_dump(dump: bytes) -> Dump:
    """Return the rows that ``write_dump`` wrote.

    Raises:
        LedgerError: not the bytes of a dump.

    >>> read_dump(b"nothing")
    Traceback (most recent call last):
    chainsec.errors.LedgerError: not a dump of a chain: wrong beginning
    """
    start = len(_MAGIC) + _HASH_BYTES
    if dump[: len(_MAGIC)] != _MAGIC:
        raise LedgerError("not a dump of a chain: wrong beginning")
    body = memoryview(bytes(dump))[start:]
    if keccak(bytes(body)) != dump[len(_MAGIC) : start]:
        raise LedgerError("not a dump of a chain: it was cut short or changed")
    reader = _Reader(body)
    try:
        settings = [(name.decode(), value) for name, value in reader.table(reader.pair)]
        found = Dump(settings, reader.table(reader.pair), reader.table(reader.transaction), reader.table(reader.log))
    except (struct.error, ValueError) as error:
        raise LedgerError(f"not a dump of a chain: {error}") from error
    if reader.rest():
        raise LedgerError("not a dump of a chain: something follows it")
    return found


def _table(rows: Iterator[bytes]) -> list[bytes]:
    written = list(rows)
    return [_COUNT.pack(len(written)), *written]


def _write_pair(key: bytes, value: bytes) -> bytes:
    return _PAIR.pack(len(key), len(value)) + key + value


def _write_transaction(row: TransactionRow) -> bytes:
    numbers = (row.block, row.position, row.status, row.gas_used, row.contract is not None, row.first_log, row.logs)
    return _TRANSACTION.pack(row.hash, *numbers) + (row.contract or b"")


def _write_log(row: LogRow) -> bytes:
    topics = row.topics
    head = _LOG.pack(row.block, row.position, row.tx, row.hash, row.address, len(topics), len(row.data))
    return b"".join((head, *topics, row.data))


class _Reader:
    """Takes one thing after the other out of bytes that may end anywhere."""

    def __init__(self, body: memoryview) -> None:
        self._body = body
        self._at = 0

    def rest(self) -> int:
        """Return how many bytes are left."""
        return len(self._body) - self._at

    def table(self, read: Callable[[], Any]) -> list[Any]:
        """Read rows as many as the number before them says."""
        (count,) = self._unpack(_COUNT)
        if count > self.rest():
            raise ValueError("a table is longer than what is left")
        return [read() for _ in range(count)]

    def pair(self) -> tuple[bytes, bytes]:
        """Read a key and a value."""
        key_bytes, value_bytes = self._unpack(_PAIR)
        return self._take(key_bytes), self._take(value_bytes)

    def transaction(self) -> TransactionRow:
        """Read a row of the transactions."""
        key, block, position, status, gas_used, is_creation, first_log, logs = self._unpack(_TRANSACTION)
        contract = self._take(_ADDRESS_BYTES) if is_creation else None
        return TransactionRow(key, _number(block), position, status, _number(gas_used), contract, first_log, logs)

    def log(self) -> LogRow:
        """Read a row of the logs."""
        block, position, place, key, address, count, data_bytes = self._unpack(_LOG)
        if count > MAX_TOPICS:
            raise ValueError(f"a log with {count} topics")
        topics = [*(self._take(_HASH_BYTES) for _ in range(count)), *[None] * (MAX_TOPICS - count)]
        return LogRow._make([_number(block), position, place, key, address, *topics, self._take(data_bytes)])

    def _unpack(self, shape: struct.Struct) -> tuple[Any, ...]:
        fields = shape.unpack_from(self._body, self._at)
        self._at += shape.size
        return fields

    def _take(self, count: int) -> bytes:
        if count > self.rest():
            raise ValueError("it ends in the middle of a row")
        self._at += count
        return bytes(self._body[self._at - count : self._at])


def _number(value: int) -> int:
    if value >= 2**63:
        raise ValueError(f"{value} is no number of a block or of gas")
    return value
