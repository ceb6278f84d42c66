"""Executes blocks on a validator's own state, with the ledger's EVM under QBFT's headers.

Everything that decides what a block does is in its key: the parent, who proposes, the time, the transactions. With a
shared ``Executor`` the same block is executed once in a process, for as many validators as ask.
Layer: network. Not here: what a header has to be (``blockrules``), a validator's chain (``chain``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from eth.db.atomic import AtomicDB
from eth.db.chain import ChainDB
from eth.vm.chain_context import ChainContext

from chainsec.ledger import evm
from chainsec.ledger.itemtrie import make_item_trie
from chainsec.ledger.pool import check_form, decode_transaction
from chainsec.ledger.signed import TransactionBuilder
from chainsec.network.extradata import ExtraData
from chainsec.network.header import EMPTY_TRIE_ROOT, Block, Header
from chainsec.primitives import Address

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Executed", "Executor", "Plan", "decode_raw", "genesis_block"]

_CACHED_TRANSACTIONS = 65_536


@lru_cache(maxsize=_CACHED_TRANSACTIONS)
def decode_raw(raw: bytes) -> Any:
    """Return py-evm's transaction behind its wire form; decoded, and its signature checked, once in a process.

    Raises:
        TransactionRefused: no transaction, one that no key can have signed, or one that no block may hold.
    """
    transaction = decode_transaction(TransactionBuilder, raw)
    check_form(transaction)
    return transaction


@dataclass(frozen=True)
class Plan:
    """Everything that the execution of a block follows from.

    Args:
        parent: header of the block before.
        coinbase: who proposes.
        timestamp: Unix seconds.
        gas_limit: of the block.
        transactions: py-evm's, in their order.
    """

    parent: Header
    coinbase: Address
    timestamp: int
    gas_limit: int
    transactions: tuple[Any, ...]

    @property
    def key(self) -> tuple[Any, ...]:
        """The same for the same execution."""
        hashes = tuple(transaction.hash for transaction in self.transactions)
        return (self.parent.hash, self.coinbase, self.timestamp, self.gas_limit, hashes)


@dataclass(frozen=True)
class Executed:
    """What came of a block.

    Args:
        transactions: that are part of it, py-evm's.
        has_failed: of each, whether it was reverted.
        rejected: why others cannot be part of it.
        gas_used, bloom: sums over its transactions.
        state_root, transaction_root, receipt_root: after it, 32 bytes each.
        gas_until: of each, the gas that it and those before it used.
    """

    transactions: tuple[Any, ...]
    has_failed: tuple[bool, ...]
    rejected: tuple[str, ...]
    gas_used: int
    bloom: int
    state_root: bytes
    transaction_root: bytes = EMPTY_TRIE_ROOT
    receipt_root: bytes = EMPTY_TRIE_ROOT
    gas_until: tuple[int, ...] = ()

    def header(self, plan: Plan, extra: ExtraData) -> Header:
        """Return the header that commits to it."""
        return Header(
            parent_hash=plan.parent.hash,
            coinbase=plan.coinbase,
            state_root=self.state_root,
            transaction_root=self.transaction_root,
            receipt_root=self.receipt_root,
            bloom=self.bloom,
            block_number=plan.parent.block_number + 1,
            gas_limit=plan.gas_limit,
            gas_used=self.gas_used,
            timestamp=plan.timestamp,
            extra_data=extra.encode(),
        )

    def difference(self, header: Header) -> str | None:
        """Return what ``header`` claims that did not come of it, or None."""
        found = {
            "state root": self.state_root == header.state_root,
            "transactions root": self.transaction_root == header.transaction_root,
            "receipts root": self.receipt_root == header.receipt_root,
            "gas used": self.gas_used == header.gas_used,
            "bloom": self.bloom == header.bloom,
        }
        return next((f"executed here, its {name} is another" for name, is_equal in found.items() if not is_equal), None)


class Executor:
    """Executes blocks and keeps the states that come of them.

    Args:
        chain_id: EIP-155 identifier.
        is_shared: keep what came of each block for other validators in this process: they take it over instead of
            executing. What they would find different stays unseen then.
    """

    def __init__(self, chain_id: int, *, is_shared: bool = False) -> None:
        self.chain_id = chain_id
        self.is_shared = is_shared
        self.executions = 0
        self._db = AtomicDB()
        self._chaindb = ChainDB(self._db)
        self._context = ChainContext(chain_id)
        self._executed: dict[tuple[Any, ...], Executed] = {}

    def put_genesis(self, genesis: evm.Genesis) -> bytes:
        """Write the first block's state and return its root."""
        return evm.write_genesis_state(self._db, genesis)

    def put_nodes(self, nodes: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over states that stand elsewhere, as the nodes of their tries and codes, by hash."""
        for key, value in nodes:
            self._db[key] = value

    def state_of(self, header: Header, previous_hashes: Sequence[bytes] = ()) -> Any:
        """Return py-evm's state after a block, seen from within it."""
        return evm.LedgerVM.build_state(self._db, header, self._context, previous_hashes)

    def machine_of(self, header: Header, previous_hashes: Sequence[bytes] = ()) -> Any:
        """Return py-evm's machine on the state that ``header`` names."""
        vm = evm.LedgerVM(header, self._chaindb, self._context, None)
        vm._state = self.state_of(header, previous_hashes)  # noqa: SLF001 - its own look-up of hashes needs a py-evm chain
        return vm

    def execute(self, plan: Plan, previous_hashes: Sequence[bytes]) -> Executed:
        """Return what comes of a block; transactions that cannot be part of it are left out and reported.

        Args:
            plan: the block.
            previous_hashes: of the blocks before, newest first, up to 256.
        """
        key = plan.key
        found = self._executed.get(key)
        if found is None:
            found = self._execute(plan, previous_hashes)
            if self.is_shared:
                self._executed[key] = found
        return found

    def _execute(self, plan: Plan, previous_hashes: Sequence[bytes]) -> Executed:
        self.executions += 1
        inside = Header(
            parent_hash=plan.parent.hash,
            coinbase=plan.coinbase,
            state_root=plan.parent.state_root,
            block_number=plan.parent.block_number + 1,
            gas_limit=plan.gas_limit,
            timestamp=plan.timestamp,
            extra_data=b"",
        )
        if not plan.transactions:
            return Executed((), (), (), 0, 0, plan.parent.state_root)
        vm, filling = evm.fill_block(
            lambda: self.machine_of(inside, previous_hashes), plan.gas_limit, plan.transactions
        )
        vm.state.persist()
        transaction_root, _ = make_item_trie([transaction.encode() for transaction in filling.transactions])
        receipt_root, _ = make_item_trie([receipt.encode() for receipt in filling.receipts])
        return Executed(
            transactions=filling.transactions,
            has_failed=tuple(bool(computation.is_error) for computation in filling.computations),
            rejected=tuple(reason for _, reason in filling.rejected),
            gas_used=filling.gas_used,
            bloom=filling.bloom,
            state_root=bytes(vm.state.state_root),
            transaction_root=transaction_root,
            receipt_root=receipt_root,
            gas_until=tuple(int(receipt.gas_used) for receipt in filling.receipts),
        )


def genesis_block(genesis: evm.Genesis, validators: Sequence[Address], state_root: bytes) -> Block:
    r"""Return a network's first block, as Besu makes it of a genesis file with the same settings.

    >>> from chainsec.primitives import Address
    >>> block = genesis_block(evm.Genesis(), [Address(bytes([1] * 20))], EMPTY_TRIE_ROOT)
    >>> block.number, len(block.header.extra.validators)
    (0, 1)
    """
    header = Header(
        parent_hash=bytes(32),
        coinbase=Address(bytes(20)),
        state_root=state_root,
        block_number=0,
        gas_limit=genesis.gas_limit,
        timestamp=genesis.timestamp,
        extra_data=ExtraData(tuple(sorted(validators))).encode(),
        parent_beacon_block_root=bytes(32),
    )
    return Block(header)
