"""Reads the in-process chain: blocks, receipts, logs, and the state after any block, with calls on it.

Layer: ledger. Not here: what changes the chain (``local``).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from eth.exceptions import HeaderNotFound, Revert, TransactionNotFound, VMError

from chainsec.errors import LedgerError
from chainsec.ledger import evm
from chainsec.ledger.engine import CALL_GAS, IN_PROCESS, Block, CallReverted, Log, Receipt, TopicFilter
from chainsec.primitives import ZERO_ADDRESS, Address, Hash32

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainsec.ledger.logindex import LogRow, TransactionRow
    from chainsec.ledger.store import Store

__all__ = ["ChainReader", "to_block"]

_CACHED_BLOCKS = 1024
_REPLAYED_BLOCKS = 16
_SEALED_BLOCKS = 16
_ESTIMATE_TOLERANCE = 0.02
_STIPEND_GAS = 2_300


class ChainReader:
    """The reading half of an ``Engine`` on a store.

    Args:
        store: where the chain's records and index are.
        genesis: settings of the first block.
        finality_blocks: how far the final block lies behind the head.
    """

    chain: evm.LedgerChain

    def __init__(self, store: Store, genesis: evm.Genesis, *, finality_blocks: int = 0) -> None:
        self.store = store
        self.genesis = genesis
        self.finality_blocks = finality_blocks
        self._blocks: OrderedDict[int, Block] = OrderedDict()
        self._failures: OrderedDict[int, list[CallReverted | None]] = OrderedDict()
        self._sealed: OrderedDict[int, Any] = OrderedDict()
        self._state: tuple[int, Any] | None = None

    def forget(self, above: int = -1) -> None:
        """Drop what was read of blocks above ``above``: they were taken back."""
        for kept in (self._blocks, self._failures, self._sealed):
            for number in [number for number in kept if number > above]:
                del kept[number]
        if self._state is not None and self._state[0] > above:
            self._state = None

    @property
    def name(self) -> str:
        """What executes."""
        return IN_PROCESS

    @property
    def makes_blocks(self) -> bool:
        """True: ``mine`` makes a block at once."""
        return True

    @property
    def chain_id(self) -> int:
        """EIP-155 identifier."""
        return self.genesis.chain_id

    @property
    def block_gas_limit(self) -> int:
        """Gas that one block can hold."""
        return self.genesis.gas_limit

    @property
    def gas_price_wei(self) -> int:
        """Base fee of the next block, wei."""
        return int(self.chain.header.base_fee_per_gas)

    @property
    def height(self) -> int:
        """Number of the head."""
        return int(self.chain.header.block_number) - 1

    def head(self) -> Block:
        """Return the newest block."""
        return self.block(self.height)

    def block(self, number: int) -> Block:
        """Return a block by number."""
        found = self._blocks.get(number)
        if found is None:
            header = self.header(number)
            hashes = tuple(Hash32(row.hash) for row in self.store.index.transactions_of(number))
            found = self._remember(to_block(header, hashes))
        return found

    def _remember(self, block: Block) -> Block:
        self._blocks[block.number] = block
        if len(self._blocks) > _CACHED_BLOCKS:
            self._blocks.popitem(last=False)
        return block

    def block_hash(self, number: int) -> Hash32:
        """Return the hash of a block that there is."""
        found = self._blocks.get(number)
        if found is not None:
            return found.hash
        try:
            return Hash32(self.chain.chaindb.get_canonical_block_hash(number))
        except HeaderNotFound as error:
            raise LedgerError(f"no block {number}; the head is {self.height}", number=number) from error

    def sealed_block(self, number: int) -> Any:
        """Return py-evm's block with its transactions."""
        found = self._sealed.get(number)
        return self._keep_sealed(self.chain.get_block_by_header(self.header(number))) if found is None else found

    def _keep_sealed(self, block: Any) -> Any:
        self._sealed[block.number] = block
        if len(self._sealed) > _SEALED_BLOCKS:
            self._sealed.popitem(last=False)
        return block

    def mined_transaction(self, row: TransactionRow) -> Any:
        """Return py-evm's transaction that stands at ``row``."""
        block = self._sealed.get(row.block)
        try:
            if block is not None:
                return block.transactions[row.position]
            return self.chain.get_canonical_transaction_by_index(row.block, row.position)
        except (IndexError, HeaderNotFound, TransactionNotFound) as error:
            raise LedgerError(f"block {row.block} holds no transaction {row.position}", number=row.block) from error

    def header(self, number: int | None) -> Any:
        """Return py-evm's header of a block; the head's for None."""
        height = self.height
        if number is None:
            number = height
        if not 0 <= number <= height:
            raise LedgerError(f"no block {number}; the head is {height}", number=number)
        if number in self._sealed:
            return self._sealed[number].header
        try:
            return self.chain.get_canonical_block_header_by_number(number)
        except HeaderNotFound as error:
            raise LedgerError(f"block {number} is missing", number=number) from error

    def final_block(self) -> int:
        """Return the number of the newest final block."""
        return max(0, self.height - self.finality_blocks)

    def receipt(self, transaction_hash: bytes) -> Receipt | None:
        """Return the receipt of a mined transaction."""
        row = self.store.index.transaction(transaction_hash)
        if row is None:
            return None
        return _receipt(row, self.store.index.logs_at(row.block, row.first_log, row.logs) if row.logs else [])

    def receipts(self, transaction_hashes: Sequence[bytes]) -> list[Receipt | None]:
        """Return the receipts of several transactions, None for each that was not mined."""
        rows = self.store.index.transactions(transaction_hashes)
        ends: dict[int, tuple[int, int]] = {}
        for row in rows.values():
            first, last = ends.get(row.block, (row.first_log, 0))
            ends[row.block] = min(first, row.first_log), max(last, row.first_log + row.logs)
        logs = {
            block: (first, self.store.index.logs_at(block, first, last - first) if last > first else [])
            for block, (first, last) in ends.items()
        }
        found: dict[bytes, Receipt] = {}
        for key, row in rows.items():
            first, between = logs[row.block]
            start = row.first_log - first
            found[key] = _receipt(row, between[start : start + row.logs])
        return [found.get(bytes(key)) for key in transaction_hashes]

    def call(
        self,
        to: bytes | None,
        data: bytes,
        *,
        sender: bytes = ZERO_ADDRESS,
        at: int | None = None,
        value: int = 0,
        gas: int = CALL_GAS,
    ) -> bytes:
        """Execute a message without effect and return its output."""
        computation = self._execute(to, data, sender=sender, at=at, value=value, gas=gas)
        failure = _failure(computation)
        if failure is not None:
            raise failure
        return bytes(computation.output)

    def estimate(
        self, to: bytes | None, data: bytes, *, sender: bytes = ZERO_ADDRESS, at: int | None = None, value: int = 0
    ) -> int:
        """Return a gas limit that suffices, at most 2 % over the smallest."""

        def attempt(gas: int) -> Any:
            return self._execute(to, data, sender=sender, at=at, value=value, gas=gas)

        high = self.block_gas_limit
        computation = attempt(high)
        failure = _failure(computation)
        if failure is not None:
            raise failure
        used = high - computation.get_gas_remaining()
        low = used - 1 - computation.get_gas_refund()
        guesses = [used, (used + _STIPEND_GAS) * 64 // 63]
        while high - low > max(1, int(low * _ESTIMATE_TOLERANCE)):
            guess = guesses.pop(0) if guesses else 0
            middle = guess if low < guess < high else (low + high) // 2
            if _failure(attempt(middle)) is None:
                high = middle
            else:
                low = middle
        return high

    def logs(
        self,
        from_block: int,
        to_block: int,
        address: bytes | Sequence[bytes] | None = None,
        topics: TopicFilter = (),
    ) -> list[Log]:
        """Return matching logs in chain order."""
        return [_log(row) for row in self.log_rows(from_block, to_block, address, topics)]

    def log_rows(
        self, from_block: int, to_block: int, address: bytes | Sequence[bytes] | None = None, topics: TopicFilter = ()
    ) -> list[LogRow]:
        """Return matching logs in chain order, as the index holds them."""
        addresses = [address] if isinstance(address, bytes) else list(address or ())
        if address is not None and not addresses:
            return []
        choices = [[topic] if isinstance(topic, bytes) else list(topic or ()) for topic in topics]
        return self.store.index.search(from_block, to_block, addresses, choices)

    def nonce(self, address: bytes, at: int | None = None) -> int:
        """Return how many transactions of ``address`` were mined."""
        return int(self._state_at(at).get_nonce(bytes(address)))

    def balance(self, address: bytes, at: int | None = None) -> int:
        """Return the wei of ``address``."""
        return int(self._state_at(at).get_balance(bytes(address)))

    def code(self, address: bytes, at: int | None = None) -> bytes:
        """Return the code at ``address``."""
        return bytes(self._state_at(at).get_code(bytes(address)))

    def storage(self, address: bytes, slot: int, at: int | None = None) -> int:
        """Return a storage slot."""
        return int(self._state_at(at).get_storage(bytes(address), slot))

    def failure(self, transaction_hash: bytes) -> CallReverted | None:
        """Return why a mined transaction failed."""
        row = self.store.index.transaction(transaction_hash)
        if row is None:
            raise LedgerError(f"no transaction {Hash32(transaction_hash)} was mined", transaction_hash=transaction_hash)
        if row.status:
            return None
        return self._failures_in(row.block)[row.position]

    def _failures_in(self, number: int) -> list[CallReverted | None]:
        if number not in self._failures:
            header = self.header(number)
            vm = self.chain.get_vm(header.copy(state_root=self.header(number - 1).state_root))
            failures = []
            for transaction in self.sealed_block(number).transactions:
                vm.state.lock_changes()
                failures.append(_failure(vm.state.apply_transaction(transaction)))
            self._failures[number] = failures
            if len(self._failures) > _REPLAYED_BLOCKS:
                self._failures.popitem(last=False)
        return self._failures[number]

    def _state_at(self, at: int | None) -> Any:
        number = self.height if at is None else at
        if self._state is None or self._state[0] != number:
            # calls offer no gas price, so they run without a base fee
            header = self.header(number).copy(base_fee_per_gas=0)
            self._state = (number, self.chain.get_vm(header).state)
        return self._state[1]

    def _execute(self, to: bytes | None, data: bytes, *, sender: bytes, at: int | None, value: int, gas: int) -> Any:
        try:
            return evm.execute_message(
                self.chain,
                self._state_at(at),
                sender=bytes(sender),
                to=to and bytes(to),
                data=bytes(data),
                value=value,
                gas=gas,
            )
        except VMError as error:  # init code that is too long never becomes a computation
            raise CallReverted(type(error).__name__, b"") from error


def _failure(computation: Any) -> CallReverted | None:
    if computation is None:
        return CallReverted("InsufficientFunds", b"")
    if not computation.is_error:
        return None
    error = computation.error
    return CallReverted(type(error).__name__, bytes(computation.output) if isinstance(error, Revert) else b"")


def to_block(header: Any, hashes: tuple[Hash32, ...]) -> Block:
    """Return the record of a block from py-evm's header."""
    return Block(
        number=header.block_number,
        hash=Hash32(header.hash),
        parent_hash=Hash32(header.parent_hash),
        timestamp=header.timestamp,
        state_root=Hash32(header.state_root),
        gas_used=header.gas_used,
        transaction_hashes=hashes,
    )


def _receipt(row: TransactionRow, logs: Sequence[LogRow]) -> Receipt:
    return Receipt(
        transaction_hash=Hash32(row.hash),
        block_number=row.block,
        index=row.position,
        status=row.status,
        gas_used=row.gas_used,
        contract_address=None if row.contract is None else Address(row.contract),
        logs=tuple(_log(log) for log in logs),
    )


def _log(row: LogRow) -> Log:
    return Log(
        address=Address(row.address),
        topics=tuple(Hash32(topic) for topic in row.topics),
        data=row.data,
        block_number=row.block,
        transaction_hash=Hash32(row.hash),
        transaction_index=row.tx,
        log_index=row.position,
    )
