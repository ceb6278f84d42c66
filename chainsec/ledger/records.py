"""Reads a stored chain as evidence: whatever stands there, the answer is a value or ``AuditFailed``.

Layer: ledger. Not here: executing anything (``redo``).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import rlp

from chainsec.digest import keccak
from chainsec.errors import AuditFailed
from chainsec.ledger import evm

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["NUMBER_LOOKUP", "CheckedNodes", "Records", "Text", "describe", "open_records"]

NUMBER_LOOKUP = b"block-number-to-hash:"
_HASH_BYTES = 32
_LOOKUPS = {
    b"transaction-hash-to-block:": "transaction lookup",
    NUMBER_LOOKUP: "number lookup",
    b"block-hash-to-score:": "score",
}


class Text:
    """A value stored as text, so that it is never taken for bytes."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw


def describe(key: Any) -> str:
    """Return what to call a record in a message."""
    if not isinstance(key, bytes):
        return f"record {key!r:.80}"
    for prefix, what in _LOOKUPS.items():
        if key.startswith(prefix):
            return f"{what} {key.removeprefix(prefix).decode(errors='replace')}"
    if len(key) == _HASH_BYTES:
        return f"state node 0x{key.hex()}"
    return f"record {key[:80].decode(errors='replace')}"


class Records:
    """What the evidence holds, read only.

    Args:
        db: a connection to it.
        name: of its file, for messages.
    """

    def __init__(self, db: sqlite3.Connection, name: str) -> None:
        self.db = db
        self.db.text_factory = Text
        self.name = name

    def record(self, key: bytes) -> bytes | None:
        """Return a record, None where there is none that is bytes."""
        row = self.db.execute("SELECT value FROM records WHERE key = ?", (bytes(key),)).fetchone()
        return row[0] if row is not None and isinstance(row[0], bytes) else None

    def setting(self, name: str) -> bytes:
        """Return a setting. Raises: AuditFailed: it is missing or of another type."""
        row = self.db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        if row is None or not isinstance(row[0], bytes):
            raise AuditFailed(f"setting {name}: is missing or of another type")
        return row[0]

    def genesis(self) -> evm.Genesis:
        """Return what the first block follows from. Raises: AuditFailed: it cannot be read."""
        try:
            return evm.Genesis.from_json(self.setting("genesis"))
        except ValueError as error:
            raise AuditFailed(f"settings: {error}") from error

    def height(self) -> int:
        """Return the number of the last block. Raises: AuditFailed: it cannot be read."""
        try:
            return int(self.setting("height"))
        except ValueError as error:
            raise AuditFailed(f"settings: {error}") from error

    def header(self, number: int) -> Any:
        """Return a header by its number. Raises: AuditFailed: it is not what its hash says."""
        lookup = self.record(NUMBER_LOOKUP + str(number).encode())
        try:
            block_hash = rlp.decode(lookup or b"", sedes=rlp.sedes.Binary.fixed_length(_HASH_BYTES))
            encoded = self.record(block_hash)
            header = rlp.decode(encoded or b"", sedes=evm.CancunBlockHeader)
        except rlp.RLPException as error:
            raise AuditFailed(f"block {number}: header: cannot be read", block=number) from error
        if encoded is None or keccak(encoded) != block_hash or header.block_number != number:
            raise AuditFailed(f"block {number}: header: is not what its hash says", block=number)
        return header


@contextmanager
def open_records(path: Path, name: str) -> Iterator[Records]:
    """Give the records of the file ``path``, which is called ``name`` in messages."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        yield Records(db, name)


class CheckedNodes(Mapping[bytes, bytes]):
    """The records as trie nodes, each of which has to be the preimage of its key."""

    def __init__(self, records: Records, where: str) -> None:
        self._records = records
        self.where = where

    def __getitem__(self, key: bytes) -> bytes:
        value = self._records.record(key)
        if value is None or keccak(value) != key:
            state = "is missing" if value is None else "differs"
            raise AuditFailed(f"{self.where}: node 0x{key.hex()} {state}")
        return value

    def __iter__(self) -> Iterator[bytes]:
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError
