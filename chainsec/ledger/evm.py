"""The rules of the in-process chain, pinned in one place: py-evm's Cancun, made to give the same blocks every time.

State, gas and headers are py-evm's own. Changed is only what is slow or left to chance: tries of lists are made in one
go, and coinbase, time, extra data and PREVRANDAO of a block follow from its parent.
Layer: ledger. Not here: storage (``store``), waiting transactions (``pool``), reading the chain (``local``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eth.chains.base import MiningChain
from eth.consensus import NoProofConsensus
from eth.constants import BLANK_ROOT_HASH
from eth.exceptions import VMError
from eth.rlp.headers import BlockHeader
from eth.vm.chain_context import ChainContext
from eth.vm.forks.cancun import CancunVM
from eth.vm.forks.cancun.blocks import CancunBlock, CancunBlockHeader
from eth.vm.forks.cancun.constants import MAX_BLOB_GAS_PER_BLOCK
from eth.vm.forks.cancun.state import get_total_blob_gas
from eth.vm.forks.shanghai.withdrawals import Withdrawal
from eth.vm.spoof import SpoofTransaction
from eth_utils.exceptions import ValidationError
from rlp.sedes import CountableList

from chainsec.digest import canonical_json, keccak, parse_canonical
from chainsec.ledger.itemtrie import make_item_trie
from chainsec.ledger.signed import TransactionBuilder
from chainsec.ledger.state import state_class
from chainsec.primitives import Address

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "DEFAULT_BLOCK_GAS_LIMIT",
    "DEFAULT_GENESIS_TIME",
    "EMPTY_ROOT",
    "FORK",
    "BuiltBlock",
    "CancunBlockHeader",
    "Filling",
    "Genesis",
    "LedgerVM",
    "Withdrawal",
    "build_block",
    "create_chain",
    "execute_message",
    "fill_block",
    "open_chain",
    "write_genesis_state",
]

FORK = "cancun"
DEFAULT_GENESIS_TIME = 1_704_067_200
DEFAULT_BLOCK_GAS_LIMIT = 1_000_000_000
EMPTY_ROOT = BLANK_ROOT_HASH
_ZERO = bytes(20)
_BEFORE_GENESIS = BlockHeader(difficulty=0, block_number=-1, gas_limit=0)


class _Block(CancunBlock):  # type: ignore[misc] # py-evm is untyped
    transaction_builder = TransactionBuilder
    fields = (
        ("header", CancunBlockHeader),
        ("transactions", CountableList(TransactionBuilder)),
        ("uncles", CountableList(None, max_length=0)),
        ("withdrawals", CountableList(Withdrawal)),
    )

    def copy(self, **changes: Any) -> Any:
        """Return a block with other fields; what stays is shared, as no part of a block ever changes."""
        return type(self)(**(self.as_dict() | changes))


class LedgerVM(CancunVM):  # type: ignore[misc] # py-evm is untyped
    """Cancun rules without proof of work."""

    block_class = _Block
    consensus_class = NoProofConsensus
    _state_class = state_class()

    @classmethod
    def validate_receipt(cls, receipt: Any) -> None:
        """Accept: the receipt was made here, its bloom from its own logs."""

    def validate_block(self, block: Any) -> None:
        """Look at the header only: block and tries were made here, of the same transactions."""
        self.validate_header(block.header, self.chaindb.get_block_header_by_hash(block.header.parent_hash))

    def set_block_transactions_and_withdrawals(
        self,
        base_block: Any,
        new_header: Any,
        transactions: Sequence[Any],
        receipts: Sequence[Any],
        withdrawals: Sequence[Any] | None = None,
    ) -> Any:
        """Return the block with what it holds, whose tries are written to the database."""
        items = {"transaction_root": transactions, "receipt_root": receipts}
        fields = {"transactions": transactions}
        if withdrawals:
            items["withdrawals_root"] = fields["withdrawals"] = withdrawals
        roots = {}
        for name, listed in items.items():
            roots[name], nodes = make_item_trie([item.encode() for item in listed])
            self.chaindb.persist_trie_data_dict(nodes)
        return base_block.copy(header=new_header.copy(**roots), **fields)


class LedgerChain(MiningChain):  # type: ignore[misc] # py-evm is untyped
    """A py-evm chain whose next header depends on nothing but the parent and what is asked for."""

    vm_configuration = ((0, LedgerVM),)

    def create_header_from_parent(self, parent_header: Any, **header_params: Any) -> Any:
        """Return the header after ``parent_header``: its gas limit, one second later unless told otherwise."""
        params = {
            "gas_limit": parent_header.gas_limit,
            "timestamp": parent_header.timestamp + 1,
            "coinbase": _ZERO,
            "extra_data": b"",
            "mix_hash": keccak(parent_header.hash),
        }
        return super().create_header_from_parent(parent_header, **(params | header_params))

    def get_transaction_builder(self) -> Any:
        """Return the codec of this chain's transactions."""
        return TransactionBuilder


@dataclass(frozen=True)
class Genesis:
    """Everything that the first block follows from.

    Args:
        chain_id: EIP-155 identifier, at least 1.
        timestamp: Unix seconds.
        gas_limit: of every block. The default is so high that the base fee never rises in practice.
        base_fee_wei: of the first block; zero, as on a permissioned chain without a gas price.
        balances: account and wei, in address order.
    """

    chain_id: int = 1337
    timestamp: int = DEFAULT_GENESIS_TIME
    gas_limit: int = DEFAULT_BLOCK_GAS_LIMIT
    base_fee_wei: int = 0
    balances: tuple[tuple[Address, int], ...] = ()

    def to_json(self) -> bytes:
        """Encode as canonical JSON; wei are strings, as they outgrow what JSON readers keep exactly."""
        record = {name: getattr(self, name) for name in ("chain_id", "timestamp", "gas_limit", "base_fee_wei")}
        return canonical_json(record | {"fork": FORK, "balances": {a.hex(): str(wei) for a, wei in self.balances}})

    @classmethod
    def from_json(cls, text: bytes) -> Genesis:
        """Read back what ``to_json`` wrote.

        Whoever wrote it: gas bounds the work that a stranger's block can make, so more than ``DEFAULT_BLOCK_GAS_LIMIT``
        in a block is refused.

        Raises:
            ValueError: not a canonical genesis record of this fork, or of blocks that hold too much gas.

        >>> Genesis.from_json(Genesis(chain_id=7).to_json()).chain_id
        7
        """
        try:
            record = parse_canonical(text)
            balances = record.pop("balances")
            if record.pop("fork") != FORK:
                raise ValueError(f"not a {FORK} chain")
            genesis = cls(
                balances=tuple((Address(bytes.fromhex(account)), int(wei)) for account, wei in balances.items()),
                **record,
            )
        except (TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError(f"not a genesis record: {error}") from error
        if genesis.to_json() != text:
            raise ValueError("not a canonical genesis record")
        numbers = (genesis.chain_id, genesis.timestamp, genesis.gas_limit, genesis.base_fee_wei)
        if not all(type(number) is int and number >= 0 for number in numbers):
            raise ValueError("not a genesis record: a number is none")
        if genesis.gas_limit > DEFAULT_BLOCK_GAS_LIMIT:
            raise ValueError(f"blocks of {genesis.gas_limit} gas, over {DEFAULT_BLOCK_GAS_LIMIT}")
        return genesis


@dataclass(frozen=True)
class BuiltBlock:
    """A sealed block with what its execution gave.

    ``transactions`` are the very objects that were executed, so that hash and sender are not worked out again;
    ``rejected`` holds the transactions that could not be part of it, each with py-evm's reason.
    """

    block: Any
    transactions: tuple[Any, ...]
    receipts: tuple[Any, ...]
    computations: tuple[Any, ...]
    rejected: tuple[tuple[Any, str], ...]


@dataclass(frozen=True)
class Filling:
    """What transactions make of a block: as in ``BuiltBlock``, and the header's sums over them."""

    transactions: tuple[Any, ...]
    receipts: tuple[Any, ...]
    computations: tuple[Any, ...]
    rejected: tuple[tuple[Any, str], ...]
    gas_used: int
    bloom: int
    blob_gas: int


@dataclass
class _GasCursor:
    """What py-evm reads of a header between two transactions of a block."""

    gas_limit: int
    gas_used: int = 0


def _configured(chain_id: int) -> type[LedgerChain]:
    return type("LedgerChain", (LedgerChain,), {"chain_id": chain_id})


def write_genesis_state(store: Any, genesis: Genesis) -> bytes:
    """Write the state of the first block into ``store`` and return its root, 32 bytes."""
    state = LedgerVM.build_state(store, _BEFORE_GENESIS, ChainContext(genesis.chain_id))
    for account, wei in genesis.balances:
        state.set_balance(bytes(account), wei)
    state.persist()
    return bytes(state.state_root)


def create_chain(store: Any, genesis: Genesis) -> LedgerChain:
    """Write the first block into ``store`` and return the chain that starts there."""
    chain_class = _configured(genesis.chain_id)
    header = LedgerVM.create_genesis_header(
        difficulty=0,
        gas_limit=genesis.gas_limit,
        timestamp=genesis.timestamp,
        base_fee_per_gas=genesis.base_fee_wei,
        state_root=write_genesis_state(store, genesis),
        nonce=bytes(8),
        extra_data=b"",
    )
    chain: LedgerChain = chain_class.from_genesis_header(store, header)
    return chain


def open_chain(store: Any, chain_id: int) -> LedgerChain:
    """Return the chain that stands in ``store``, at its head."""
    return _configured(chain_id)(store)


def fill_block(
    new_vm: Callable[[], Any], gas_limit: int, transactions: Sequence[Any], *, dropped: tuple[tuple[Any, str], ...] = ()
) -> tuple[Any, Filling]:
    """Execute ``transactions`` one after the other, leaving out what the block cannot hold.

    Args:
        new_vm: makes py-evm's machine for the block, on the state before it.
        gas_limit: of the block.
        transactions: in their order.
        dropped: what was tried before and is reported as rejected too.

    Returns:
        The machine, its state executed but not persisted, and what came of each transaction.
    """
    vm, cursor = new_vm(), _GasCursor(gas_limit)
    included, receipts, computations, rejected, bloom, blob_gas = [], [], [], [], 0, 0
    for place, transaction in enumerate(transactions):
        if blob_gas + get_total_blob_gas(transaction) > MAX_BLOB_GAS_PER_BLOCK:
            rejected.append((transaction, "the block holds as many blobs as it can"))
            continue
        nonce = vm.state.get_nonce(transaction.sender)
        try:
            receipt, computation = vm.apply_transaction(cursor, transaction)
        except (ValidationError, VMError) as error:
            if vm.state.get_nonce(transaction.sender) != nonce:  # py-evm found fault after it had begun
                others = [*transactions[:place], *transactions[place + 1 :]]
                return fill_block(new_vm, gas_limit, others, dropped=(*dropped, (transaction, str(error))))
            rejected.append((transaction, str(error)))
            continue
        cursor.gas_used = receipt.gas_used
        blob_gas += get_total_blob_gas(transaction)
        bloom |= receipt.bloom
        included.append(transaction)
        receipts.append(receipt)
        computations.append(computation)
    return vm, Filling(
        tuple(included),
        tuple(receipts),
        tuple(computations),
        (*rejected, *dropped),
        cursor.gas_used,
        bloom,
        blob_gas,
    )


def build_block(
    chain: LedgerChain,
    transactions: Sequence[Any],
    *,
    timestamp: int,
    coinbase: bytes = _ZERO,
    withdrawals: Sequence[Any] = (),
) -> BuiltBlock:
    """Execute ``transactions`` on the head, seal the block and write it to the chain's database.

    The chain's own header moves on only once everything is written.

    Args:
        chain: grows by one block.
        transactions: in their order; one that py-evm refuses is left out and reported.
        timestamp: Unix seconds, later than the head's.
        coinbase: receives tips.
        withdrawals: EIP-4895 withdrawals.

    Raises:
        ValidationError: the sealed block breaks the rules, as a time that is not later than the head's.
    """
    header = chain.header.copy(timestamp=timestamp, coinbase=coinbase)
    vm, filling = fill_block(lambda: chain.get_vm(header), header.gas_limit, transactions)
    if withdrawals:
        vm.apply_all_withdrawals(withdrawals)
    filled = vm.set_block_transactions_and_withdrawals(
        vm.get_block(),
        header.copy(gas_used=filling.gas_used, bloom=filling.bloom, blob_gas_used=filling.blob_gas),
        filling.transactions,
        filling.receipts,
        withdrawals=tuple(withdrawals),
    )
    block = vm.mine_block(filled).block
    chain.chaindb.persist_block(block)
    chain.header = chain.create_header_from_parent(block.header)
    return BuiltBlock(block, filling.transactions, filling.receipts, filling.computations, filling.rejected)


def execute_message(
    chain: LedgerChain, state: Any, *, sender: bytes, to: bytes | None, data: bytes, value: int, gas: int
) -> Any:
    """Execute a transaction-like message on ``state``, free of charge, and take its effects back.

    The gas due before the first opcode is charged; nonce and funds for gas are not asked for.

    Returns:
        py-evm's computation; None where ``gas`` or the sender's funds do not even let it start.
    """
    unsigned = chain.create_unsigned_transaction(
        nonce=state.get_nonce(sender), gas_price=0, gas=gas, to=to or b"", value=value, data=data
    )
    transaction = SpoofTransaction(unsigned, from_=sender)
    if gas < transaction.intrinsic_gas or state.get_balance(sender) < value:
        return None
    state.lock_changes()
    snapshot = state.snapshot()
    try:
        executor = state.get_transaction_executor()
        return executor.build_computation(executor.build_evm_message(transaction), transaction)
    finally:
        state.revert(snapshot)
