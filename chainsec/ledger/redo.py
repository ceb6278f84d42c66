"""Executes a stretch of a stored chain again and compares every record with what that gives.

A stretch that begins after a block leans on what the evidence says of that block and of earlier ones. That is no gap:
the stretch before it proves those records; state, code and headers are only taken when they are what their hash says.
Layer: ledger. Not here: how stretches are put together to a proof, settings, seals (``verify``).
"""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import rlp
from eth.db.backends.base import BaseAtomicDB
from eth.rlp.sedes import chain_gaps
from trie import HexaryTrie

from chainsec.digest import keccak
from chainsec.errors import AuditFailed, ChainSecError
from chainsec.ledger import evm
from chainsec.ledger.local import index_rows
from chainsec.ledger.pool import decode_transaction
from chainsec.ledger.records import NUMBER_LOOKUP, CheckedNodes, Records, describe, open_records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["LASTING", "Proof", "Stretch"]

_HEAD = b"v1:canonical_head_hash"
_GAPS = (b"v1:header_chain_gaps", b"v1:chain_gaps")
LASTING = (_HEAD, *_GAPS)
"""Records that every block overwrites."""

_HASH_BYTES = 32
_ROWS_OF_BLOCK = {
    "transactions": "SELECT * FROM transactions WHERE block = ? ORDER BY position",
    "logs": "SELECT * FROM logs WHERE block = ? ORDER BY position",
}


class _Replica(BaseAtomicDB):  # type: ignore[misc] # py-evm is untyped
    """py-evm's key/value database of a stretch: what its blocks wrote, and below that what came before."""

    def __init__(self, before: Callable[[bytes], bytes | None] = lambda _: None) -> None:
        self._before = before
        self._kept: dict[bytes, bytes] = {}
        self.changes: dict[bytes, bytes] = {}

    def __getitem__(self, key: bytes) -> bytes:
        value = self.changes.get(key)
        if value is None:
            value = self._kept.get(key)
        if value is None:
            value = self._before(key)
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self.changes[bytes(key)] = bytes(value)

    def __delitem__(self, key: bytes) -> None:
        raise NotImplementedError("a chain that only grows deletes nothing")

    def _exists(self, key: bytes) -> bool:
        try:
            self[key]
        except KeyError:
            return False
        return True

    @contextmanager
    def atomic_batch(self) -> Iterator[Self]:
        yield self

    def settle(self) -> None:
        """Keep what was changed."""
        self._kept |= self.changes
        self.changes = {}

    def written(self) -> dict[bytes, bytes]:
        """Return everything that was kept."""
        return self._kept


@dataclass(frozen=True)
class Proof:
    """What a stretch proved.

    Args:
        transactions: in its blocks.
        head_hash: of its last block.
        keys: of every record that its blocks wrote; each was compared.
        lasting: value of each of ``LASTING`` after its last block; not compared yet.
    """

    transactions: int
    head_hash: bytes
    keys: frozenset[bytes]
    lasting: tuple[bytes, ...]

    def to_json(self) -> str:
        """Return the proof as JSON."""
        record = {"transactions": self.transactions, "head_hash": self.head_hash.hex()}
        keys, lasting = [key.hex() for key in self.keys], [value.hex() for value in self.lasting]
        return json.dumps(record | {"keys": keys, "lasting": lasting})

    @classmethod
    def from_json(cls, text: str) -> Proof:
        """Return the proof that ``to_json`` wrote."""
        record = json.loads(text)
        return cls(
            transactions=record["transactions"],
            head_hash=bytes.fromhex(record["head_hash"]),
            keys=frozenset(map(bytes.fromhex, record["keys"])),
            lasting=tuple(map(bytes.fromhex, record["lasting"])),
        )


class Stretch:
    """The blocks ``first`` to ``last`` of the evidence; with ``first`` 0 the first block is made from the genesis.

    Args:
        records: the evidence.
        first, last: numbers of the first and the last block, ``first`` at most ``last``.
    """

    def __init__(self, records: Records, first: int, last: int) -> None:
        self._records = records
        self._first, self._last = first, last
        self._db = _Replica() if first == 0 else _Replica(self._before)

    def prove(self, on_block: Callable[[int], None]) -> Proof:
        """Execute the blocks and compare all that they write; ``on_block`` is told the number of each.

        Raises:
            AuditFailed: names the first record that differs, in the order of the chain.
        """
        self._begin()
        transactions = 0
        for number in range(max(1, self._first), self._last + 1):
            try:
                transactions += self._redo(number)
            except AuditFailed:
                raise
            except sqlite3.Error as error:
                shown = f"a page is unreadable at block {number}: {error}"
                raise AuditFailed(f"{self._records.name}: {shown}") from error
            except Exception as error:
                reason = " ".join(str(error).split())[:120]
                raise AuditFailed(f"block {number}: {type(error).__name__}: {reason}") from error
            on_block(number)
        lasting = tuple(self._db[key] for key in LASTING)
        keys = frozenset(self._db.written()) - frozenset(LASTING)
        return Proof(transactions, self._chain.get_canonical_head().hash, keys, lasting)

    def _begin(self) -> None:
        genesis = self._records.genesis()
        if self._first:
            before = self._first - 1
            self._db[_HEAD] = self._records.header(before).hash
            for key in _GAPS:
                self._db[key] = rlp.encode(((), self._first), sedes=chain_gaps)
            self._db.settle()
            self._chain = evm.open_chain(self._db, genesis.chain_id)
            return
        self._chain = evm.create_chain(self._db, genesis)
        self._compare_header(0, self._chain.get_canonical_head())
        self._compare_changes(0)
        self._db.settle()

    def _before(self, key: bytes) -> bytes | None:
        """Return what the blocks before this stretch wrote under ``key``."""
        if key.startswith(NUMBER_LOOKUP) and int(key.removeprefix(NUMBER_LOOKUP)) >= self._first:
            return None
        value = self._records.record(key)
        return None if value is not None and len(key) == _HASH_BYTES and keccak(value) != key else value

    def _redo(self, number: int) -> int:
        header = self._records.header(number)
        if header.parent_hash != self._chain.get_canonical_head().hash:
            raise AuditFailed(f"block {number}: header: parent_hash differs", block=number)
        transactions = self._transactions(number, header)
        nodes = CheckedNodes(self._records, f"block {number}: withdrawals")
        withdrawals = [rlp.decode(item, sedes=evm.Withdrawal) for item in _items(nodes, header.withdrawals_root)]
        built = evm.build_block(
            self._chain,
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
        self._compare_changes(number)
        rows = index_rows(built)
        self._compare_rows(number, rows[0], "transactions", "transaction index row")
        self._compare_rows(number, rows[1], "logs", "log index row")
        self._db.settle()
        return len(transactions)

    def _transactions(self, number: int, header: Any) -> list[Any]:
        nodes = CheckedNodes(self._records, f"block {number}: transactions")
        found = []
        for place, raw in enumerate(_items(nodes, header.transaction_root)):
            try:
                transaction = decode_transaction(self._chain.get_transaction_builder(), raw)
            except ChainSecError as error:
                raise AuditFailed(f"block {number}: transaction {place}: {error}", block=number) from error
            if transaction.chain_id not in (self._chain.chain_id, None):
                raise AuditFailed(f"block {number}: transaction {place}: is for another chain", block=number)
            found.append(transaction)
        return found

    def _compare_header(self, number: int, expected: Any) -> None:
        header = self._records.header(number)
        for field in header._meta.field_names:  # noqa: SLF001 - rlp has no other list of fields
            if getattr(header, field) != getattr(expected, field):
                raise AuditFailed(f"block {number}: header: {field} differs", block=number, field=field)

    def _compare_receipts(self, number: int, header: Any, built: evm.BuiltBlock) -> None:
        nodes = CheckedNodes(self._records, f"block {number}: receipts")
        trie = HexaryTrie(nodes, header.receipt_root)
        for place, receipt in enumerate(built.receipts):
            nodes.where = f"block {number}: receipt {place}"
            if trie[rlp.encode(place)] != receipt.encode():
                raise AuditFailed(f"block {number}: receipt {place}: differs", block=number, receipt=place)

    def _compare_changes(self, number: int) -> None:
        for key, value in self._db.changes.items():
            if key in LASTING:
                continue
            found = self._records.record(key)
            if found != value:
                state = "is missing" if found is None else "differs"
                raise AuditFailed(f"{describe(key)} of block {number}: {state}", block=number, key=key)

    def _compare_rows(self, number: int, expected: list[Any], table: str, what: str) -> None:
        rows = self._records.db.execute(_ROWS_OF_BLOCK[table], (number,))
        for place, (row, wanted) in enumerate(zip_longest(rows, expected)):
            if row is None or wanted is None or tuple(row) != tuple(wanted):
                raise AuditFailed(f"block {number}: {what} {place}: differs", block=number)


def _items(nodes: CheckedNodes, root: bytes) -> Iterator[bytes]:
    trie = HexaryTrie(nodes, root)
    for place in count():
        item = trie[rlp.encode(place)]
        if item == b"":
            return
        yield item


def _main(path: str, name: str, first: str, last: str) -> None:
    """Prove a stretch and print what came of it: a dot for each block, then a line of JSON."""
    with open_records(Path(path), name) as records:
        try:
            proof = Stretch(records, int(first), int(last)).prove(lambda _: print(".", flush=True))  # noqa: T201 - to the process that asked
        except AuditFailed as error:
            print(json.dumps({"failed": str(error)}))  # noqa: T201 - as above
        else:
            print(proof.to_json())  # noqa: T201 - as above


if __name__ == "__main__":
    _main(*sys.argv[1:])
