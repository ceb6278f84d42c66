"""Proves a stored chain by doing it again: every block is executed from the first, every record compared.

Works on a copy; the evidence is read only. Whatever the file holds, the end is a summary or ``AuditFailed`` with the
first record that differs. Layer: ledger. Not here: off-chain records (receipts, contexts, models).
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import count, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rlp
from trie import HexaryTrie

from chainsec.digest import keccak
from chainsec.errors import AuditFailed, ChainSecError
from chainsec.ledger import evm
from chainsec.ledger.local import LocalEngine, index_rows
from chainsec.ledger.pool import decode_transaction
from chainsec.ledger.seal import broken_frame, broken_page, wal_path
from chainsec.ledger.store import APPLICATION_ID, ROWS, SCHEMA_VERSION, Store

if TYPE_CHECKING:
    from chainsec.primitives import Hash32

__all__ = ["ChainSummary", "verify_chain"]

_HASH_BYTES = 32
_LASTING = (b"v1:canonical_head_hash", b"v1:header_chain_gaps", b"v1:chain_gaps")
_ROWS_OF_BLOCK = {
    "transactions": "SELECT * FROM transactions WHERE block = ? ORDER BY position",
    "logs": "SELECT * FROM logs WHERE block = ? ORDER BY position",
}
_LOOKUPS = {
    b"transaction-hash-to-block:": "transaction lookup",
    b"block-number-to-hash:": "number lookup",
    b"block-hash-to-score:": "score",
}


@dataclass(frozen=True, slots=True)
class ChainSummary:
    """What was proved: ``blocks`` counts the first one too."""

    blocks: int
    transactions: int
    receipts: int
    head_hash: Hash32


def verify_chain(path: Path, on_block: Callable[[int, int], None] | None = None) -> ChainSummary:
    """Re-link and re-execute the chain in ``path`` and compare every record with what that gives.

    Args:
        path: SQLite file of a chain, closed or left behind by a killed process.
        on_block: called with the number of each proved block and the number of the head.

    Raises:
        AuditFailed: names the first record that differs, in the order of the chain.
    """
    try:
        return _prove(path, on_block)
    except AuditFailed:
        raise
    except sqlite3.Error as error:
        raise AuditFailed(f"{path.name}: a page is unreadable: {error}", path=path) from error
    except Exception as error:
        raise AuditFailed(f"{path.name}: holds what no chain holds: {type(error).__name__}", path=path) from error


def _prove(path: Path, on_block: Callable[[int, int], None] | None) -> ChainSummary:
    if not path.is_file():
        raise AuditFailed(f"{path.name}: there is no such file", path=path)
    frame = broken_frame(path)
    if frame is not None:
        where = f"frame {frame}" if frame else "header"
        raise AuditFailed(f"{wal_path(path).name}: {where} was changed", path=path, frame=frame)
    with tempfile.TemporaryDirectory(prefix="chainsec-audit-") as folder:
        copy = Path(folder) / "chain.sqlite"
        shutil.copyfile(path, copy)
        if wal_path(path).exists():
            shutil.copyfile(wal_path(path), wal_path(copy))
        with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
            summary = _Audit(connection, path.name).run(on_block)
    page = broken_page(path)
    if page is not None:
        shown = f"page {page} is not as it was sealed, outside of any record"
        raise AuditFailed(f"{path.name}: {shown}", path=path, page=page)
    return summary


class _CheckedNodes(Mapping[bytes, bytes]):
    """The records as trie nodes, each of which has to be the preimage of its key."""

    def __init__(self, audit: _Audit, where: str) -> None:
        self._audit = audit
        self.where = where

    def __getitem__(self, key: bytes) -> bytes:
        value = self._audit.record(key)
        if value is None or keccak(value) != key:
            state = "is missing" if value is None else "differs"
            raise AuditFailed(f"{self.where}: node 0x{key.hex()} {state}")
        return value

    def __iter__(self) -> Iterator[bytes]:
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError


class _Audit:
    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        self._db = connection
        self._db.text_factory = _Text
        self._name = name

    def record(self, key: bytes) -> bytes | None:
        row = self._db.execute("SELECT value FROM records WHERE key = ?", (bytes(key),)).fetchone()
        return row[0] if row is not None and isinstance(row[0], bytes) else None

    def setting(self, name: str) -> bytes:
        row = self._db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        if row is None or not isinstance(row[0], bytes):
            raise AuditFailed(f"setting {name}: is missing or of another type")
        return row[0]

    def run(self, on_block: Callable[[int, int], None] | None) -> ChainSummary:
        with closing(Store()) as store:
            self._compare_schema(store)
            try:
                genesis = evm.Genesis.from_json(self.setting("genesis"))
                height = int(self.setting("height"))
            except ValueError as error:
                raise AuditFailed(f"settings: {error}") from error
            again = LocalEngine(store, genesis)
            self._compare_header(0, again.header(0))
            self._compare_changes(0, dict(store.rows("records")))
            transactions = 0
            for number in range(1, height + 1):
                try:
                    transactions += self._redo(again, number)
                except AuditFailed:
                    raise
                except sqlite3.Error as error:
                    raise AuditFailed(f"{self._name}: a page is unreadable at block {number}: {error}") from error
                except Exception as error:
                    reason = " ".join(str(error).split())[:120]
                    raise AuditFailed(f"block {number}: {type(error).__name__}: {reason}") from error
                if on_block:
                    on_block(number, height)
            self._compare_tables(store)
            for (problem,) in self._db.execute("PRAGMA integrity_check(1)"):
                if problem.raw != b"ok":
                    shown = problem.raw.decode(errors="replace").splitlines()[-1]
                    raise AuditFailed(f"{self._name}: a page is unreadable: {shown}")
            return ChainSummary(height + 1, transactions, transactions, again.head().hash)

    def _compare_schema(self, store: Store) -> None:
        found = [self._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
        if found != [APPLICATION_ID, SCHEMA_VERSION]:
            raise AuditFailed(f"{self._name}: is no chain of schema {SCHEMA_VERSION}")
        query = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY 1, 2"
        expected = [tuple(_plain(item) for item in row) for row in store.query(query)]
        if [tuple(_plain(item) for item in row) for row in self._db.execute(query)] != expected:
            raise AuditFailed(f"{self._name}: its tables are not those of a chain")

    def _header(self, number: int) -> Any:
        lookup = self.record(f"block-number-to-hash:{number}".encode())
        try:
            block_hash = rlp.decode(lookup or b"", sedes=rlp.sedes.Binary.fixed_length(_HASH_BYTES))
            encoded = self.record(block_hash)
            header = rlp.decode(encoded or b"", sedes=evm.CancunBlockHeader)
        except rlp.RLPException as error:
            raise AuditFailed(f"block {number}: header: cannot be read", block=number) from error
        if encoded is None or keccak(encoded) != block_hash or header.block_number != number:
            raise AuditFailed(f"block {number}: header: is not what its hash says", block=number)
        return header

    def _compare_header(self, number: int, expected: Any) -> None:
        header = self._header(number)
        for field in header._meta.field_names:  # noqa: SLF001 - rlp has no other list of fields
            if getattr(header, field) != getattr(expected, field):
                raise AuditFailed(f"block {number}: header: {field} differs", block=number, field=field)

    def _redo(self, again: LocalEngine, number: int) -> int:
        header = self._header(number)
        if header.parent_hash != again.head().hash:
            raise AuditFailed(f"block {number}: header: parent_hash differs", block=number)
        transactions = self._transactions(again, number, header)
        nodes = _CheckedNodes(self, f"block {number}: withdrawals")
        withdrawals = [rlp.decode(item, sedes=evm.Withdrawal) for item in _items(nodes, header.withdrawals_root)]
        built = evm.build_block(
            again.chain,
            transactions,
            timestamp=header.timestamp,
            coinbase=header.coinbase,
            withdrawals=withdrawals,
        )
        for transaction, reason in built.rejected:
            place = transactions.index(transaction)
            raise AuditFailed(f"block {number}: transaction {place}: {reason}", block=number)
        self._compare_receipts(number, header, built)
        self._compare_header(number, built.block.header)
        self._compare_changes(number, again.store.changes)
        rows = index_rows(built)
        self._compare_rows(number, rows[0], "transactions", "transaction index row")
        self._compare_rows(number, rows[1], "logs", "log index row")
        again.store.commit(number, *rows)
        return len(transactions)

    def _transactions(self, again: LocalEngine, number: int, header: Any) -> list[Any]:
        nodes = _CheckedNodes(self, f"block {number}: transactions")
        found = []
        for place, raw in enumerate(_items(nodes, header.transaction_root)):
            try:
                transaction = decode_transaction(again.chain.get_transaction_builder(), raw)
            except ChainSecError as error:
                raise AuditFailed(f"block {number}: transaction {place}: {error}", block=number) from error
            if transaction.chain_id not in (again.chain_id, None):
                raise AuditFailed(f"block {number}: transaction {place}: is for another chain", block=number)
            found.append(transaction)
        return found

    def _compare_receipts(self, number: int, header: Any, built: evm.BuiltBlock) -> None:
        nodes = _CheckedNodes(self, f"block {number}: receipts")
        trie = HexaryTrie(nodes, header.receipt_root)
        for place, receipt in enumerate(built.receipts):
            nodes.where = f"block {number}: receipt {place}"
            if trie[rlp.encode(place)] != receipt.encode():
                raise AuditFailed(f"block {number}: receipt {place}: differs", block=number, receipt=place)

    def _compare_changes(self, number: int, changes: Mapping[bytes, bytes | None]) -> None:
        for key, value in changes.items():
            if key in _LASTING:
                continue
            found = self.record(key)
            if found != value:
                state = "is missing" if found is None else "differs"
                raise AuditFailed(f"{_describe(key)} of block {number}: {state}", block=number, key=key)

    def _compare_rows(self, number: int, expected: list[Any], table: str, what: str) -> None:
        rows = self._db.execute(_ROWS_OF_BLOCK[table], (number,))
        for place, (row, wanted) in enumerate(zip_longest(rows, expected)):
            if row is None or wanted is None or tuple(row) != tuple(wanted):
                raise AuditFailed(f"block {number}: {what} {place}: differs", block=number)

    def _compare_tables(self, store: Store) -> None:
        for table, statement in ROWS.items():
            rows = self._db.execute(statement)
            for row, wanted in zip_longest(rows, store.rows(table)):
                found = None if row is None else tuple(_plain(item) for item in row)
                if found != (None if wanted is None else tuple(_plain(item) for item in wanted)):
                    key = (found or wanted or (b"",))[0]
                    shown = _describe(key) if table == "records" else f"{table} row {key!r:.80}"
                    raise AuditFailed(f"{shown}: does not follow from the blocks", table=table)


class _Text:
    """A value stored as text, so that it is never taken for bytes."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw


def _plain(value: Any) -> Any:
    if isinstance(value, _Text):
        return ("text", value.raw)
    return ("text", value.encode()) if isinstance(value, str) else value


def _items(nodes: _CheckedNodes, root: bytes) -> Iterator[bytes]:
    trie = HexaryTrie(nodes, root)
    for place in count():
        item = trie[rlp.encode(place)]
        if item == b"":
            return
        yield item


def _describe(key: Any) -> str:
    if not isinstance(key, bytes):
        return f"record {key!r:.80}"
    for prefix, what in _LOOKUPS.items():
        if key.startswith(prefix):
            return f"{what} {key.removeprefix(prefix).decode(errors='replace')}"
    if len(key) == _HASH_BYTES:
        return f"state node 0x{key.hex()}"
    return f"record {key[:80].decode(errors='replace')}"
