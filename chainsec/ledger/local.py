"""The chain inside this process: py-evm on a SQLite store, a pool, an index; an ``Engine`` without a server.

One thread at a time. Layer: ledger. Not here: the rules (``evm``), storage (``store``), web3 (``ethtester``).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import rlp
from eth.exceptions import HeaderNotFound, Revert
from eth_utils.exceptions import ValidationError

from chainsec.digest import keccak
from chainsec.errors import ConfigError, LedgerError
from chainsec.ledger import evm
from chainsec.ledger.account import Account
from chainsec.ledger.engine import CALL_GAS, Block, CallReverted, Log, Receipt, TopicFilter, Transaction
from chainsec.ledger.logindex import LogRow, TransactionRow
from chainsec.ledger.pool import Pool, check_transaction, decode_transaction
from chainsec.ledger.store import Store
from chainsec.primitives import ZERO_ADDRESS, Address, Hash32

if TYPE_CHECKING:
    from web3 import Web3

__all__ = ["DEVELOPMENT_ACCOUNTS", "LocalEngine", "index_rows", "open_local"]

DEVELOPMENT_ACCOUNTS = tuple(Account(number.to_bytes(32, "big")) for number in range(1, 11))
_FUNDS_WEI = 10**24
_CACHED_BLOCKS = 1024
_REPLAYED_BLOCKS = 16
_MIN_GAS_LIMIT = 30_000
_MAX_UINT64 = 2**64 - 1
_ESTIMATE_TOLERANCE = 0.02
_STIPEND_GAS = 2_300


def open_local(
    path: Path | None,
    *,
    chain_id: int,
    accounts: Sequence[Account] | None = None,
    genesis_time: int | None = None,
    block_gas_limit: int | None = None,
) -> LocalEngine:
    """Open the chain in ``path``, or make one; the arguments are ``open_engine``'s."""
    if not 0 < chain_id <= _MAX_UINT64 // 4:
        raise ConfigError(f"chain id {chain_id} is not between 1 and 2**62", chain_id=chain_id)
    if genesis_time is not None and not 0 < genesis_time <= _MAX_UINT64 // 4:
        raise ConfigError(f"genesis time {genesis_time} is no time in Unix seconds", genesis_time=genesis_time)
    if block_gas_limit is not None and not _MIN_GAS_LIMIT <= block_gas_limit <= _MAX_UINT64 // 4:
        raise ConfigError(f"block gas limit {block_gas_limit} is under {_MIN_GAS_LIMIT}", gas_limit=block_gas_limit)
    store = Store(path)
    try:
        stored = store.setting("genesis")
        funded = DEVELOPMENT_ACCOUNTS if accounts is None else tuple(accounts)
        if stored is None:
            genesis = evm.Genesis(
                chain_id=chain_id,
                timestamp=evm.DEFAULT_GENESIS_TIME if genesis_time is None else genesis_time,
                gas_limit=evm.DEFAULT_BLOCK_GAS_LIMIT if block_gas_limit is None else block_gas_limit,
                balances=tuple(sorted({account.address: _FUNDS_WEI for account in funded}.items())),
            )
            return LocalEngine(store, genesis, accounts=funded)
        genesis = _read_genesis(store, stored)
        wanted = {"chain id": chain_id, "genesis time": genesis_time, "block gas limit": block_gas_limit}
        has = {
            "chain id": genesis.chain_id,
            "genesis time": genesis.timestamp,
            "block gas limit": genesis.gas_limit,
            "accounts": tuple(account for account, _ in genesis.balances),
        }
        if accounts is not None:
            wanted["accounts"] = tuple(sorted({account.address for account in funded}))  # type: ignore[assignment] # compared only
        for name, value in wanted.items():
            if value is not None and value != has[name]:
                shown = "" if name == "accounts" else f" {has[name]}, not {value}"
                raise LedgerError(f"{path}: the chain was made with {'other ' * (not shown)}{name}{shown}", setting=name)
        known = dict(genesis.balances)
        return LocalEngine(store, genesis, accounts=[account for account in funded if account.address in known])
    except BaseException:
        store.rollback()
        store.close()
        raise


def _read_genesis(store: Store, text: bytes) -> evm.Genesis:
    try:
        return evm.Genesis.from_json(text)
    except ValueError as error:
        raise LedgerError(f"{store.path}: its settings cannot be read: {error}", path=store.path) from error


def index_rows(built: evm.BuiltBlock) -> tuple[list[TransactionRow], list[LogRow]]:
    """Return the index rows that follow from a block's transactions and receipts."""
    number = built.block.number
    transactions, logs, gas_before = [], [], 0
    for position, (transaction, receipt, computation) in enumerate(
        zip(built.block.transactions, built.receipts, built.computations, strict=True)
    ):
        first = len(logs)
        key = bytes(transaction.hash)
        for log in receipt.logs:
            topics = [topic.to_bytes(32, "big") for topic in log.topics]
            padded: list[bytes | None] = [*topics, *[None] * (4 - len(topics))]
            logs.append(LogRow(number, len(logs), position, key, log.address, *padded, log.data))
        transactions.append(
            TransactionRow(
                hash=key,
                block=number,
                position=position,
                status=int(not computation.is_error),
                gas_used=receipt.gas_used - gas_before,
                contract=None if transaction.to else bytes(computation.msg.storage_address),
                first_log=first,
                logs=len(logs) - first,
            )
        )
        gas_before = receipt.gas_used
    return transactions, logs


class LocalEngine:
    """An ``Engine`` on a store of its own.

    Args:
        store: empty, or holding a chain with this genesis.
        genesis: settings of the first block.
        accounts: those that ``web3`` signs for.
        finality_blocks: how far the final block lies behind the head.

    Raises:
        LedgerError: the stored chain is damaged at its head.
    """

    def __init__(
        self, store: Store, genesis: evm.Genesis, *, accounts: Sequence[Account] = (), finality_blocks: int = 0
    ) -> None:
        self.store = store
        self.genesis = genesis
        self.accounts = tuple(accounts)
        self.finality_blocks = finality_blocks
        self.pool = Pool()
        self._blocks: OrderedDict[int, Block] = OrderedDict()
        self._failures: OrderedDict[int, list[CallReverted | None]] = OrderedDict()
        self._snapshots: dict[int, tuple[int, Pool]] = {}
        self._next_snapshot = 1
        self._state: tuple[int, Any] | None = None
        if store.setting("genesis") is None:
            self._create()
        else:
            self._check_head()
            self.chain = evm.open_chain(store, genesis.chain_id)

    def _create(self) -> None:
        self.chain = evm.create_chain(self.store, self.genesis)
        head = self.chain.get_canonical_head()
        self.store.commit(0, settings={"genesis": self.genesis.to_json(), "genesis_hash": head.hash})

    def _check_head(self) -> None:
        try:
            height = int(self.store.setting("height") or b"")
            head_hash = self.store[b"v1:canonical_head_hash"]
            header = rlp.decode(self.store[head_hash], sedes=evm.CancunBlockHeader)
            parent = rlp.decode(self.store[header.parent_hash], sedes=evm.CancunBlockHeader) if height else None
            checks = {
                "head's hash": keccak(rlp.encode(header)) == head_hash,
                "height": header.block_number == height,
                "parent link": parent is None or keccak(rlp.encode(parent)) == header.parent_hash,
                "state root": keccak(self.store[header.state_root]) == header.state_root
                or header.state_root == evm.EMPTY_ROOT,
                "index": len(self.store.index.transactions_of(height)) == sum(1 for _ in self._hashes_at(header)),
                "genesis hash": rlp.decode(self.store[b"block-number-to-hash:0"]) == self.store.setting("genesis_hash"),
            }
        except Exception as error:
            reason = type(error).__name__
            raise LedgerError(f"{self.store.path}: the chain's head cannot be read: {reason}", path=self.store.path) from error
        for name, holds in checks.items():
            if not holds:
                raise LedgerError(f"{self.store.path}: the {name} does not fit the chain", path=self.store.path)

    def _hashes_at(self, header: Any) -> Sequence[bytes]:
        chain = evm.open_chain(self.store, self.genesis.chain_id)
        return tuple(chain.chaindb.get_block_transaction_hashes(header))

    @property
    def chain_id(self) -> int:
        """EIP-155 identifier."""
        return self.genesis.chain_id

    @cached_property
    def web3(self) -> Web3:
        """A plain ``Web3`` on this chain; what is sent there is mined at once, a block each."""
        from chainsec.ledger.ethtester import connect_web3  # noqa: PLC0415 - web3 takes seconds to import

        return connect_web3(self)

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
            found = self._blocks[number] = _block(header, hashes)
            if len(self._blocks) > _CACHED_BLOCKS:
                self._blocks.popitem(last=False)
        return found

    def header(self, number: int | None) -> Any:
        """Return py-evm's header of a block; the head's for None."""
        height = self.height
        if number is None:
            number = height
        if not 0 <= number <= height:
            raise LedgerError(f"no block {number}; the head is {height}", number=number)
        try:
            return self.chain.get_canonical_block_header_by_number(number)
        except HeaderNotFound as error:
            raise LedgerError(f"block {number} is missing", number=number) from error

    def final_block(self) -> int:
        """Return the number of the newest final block."""
        return max(0, self.height - self.finality_blocks)

    def send(self, raw: bytes) -> Hash32:
        """Put a signed transaction into the pool."""
        key = keccak(bytes(raw))
        if key in self.pool:
            return Hash32(key)
        return self.add(decode_transaction(self.chain.get_transaction_builder(), raw))

    def add(self, transaction: Any, *, is_replacement: bool = False) -> Hash32:
        """Check a decoded transaction and put it into the pool."""
        check_transaction(
            transaction,
            chain_id=self.chain_id,
            gas_limit=self.block_gas_limit,
            base_fee_wei=self.gas_price_wei,
            head=self,
        )
        return self.pool.add(transaction, is_replacement=is_replacement)

    def mine(self, timestamp: int | None = None) -> Block:
        """Seal a block with the pool's transactions."""
        return self.mine_with(timestamp)

    def mine_with(
        self, timestamp: int | None = None, *, coinbase: bytes = ZERO_ADDRESS, withdrawals: Sequence[Any] = ()
    ) -> Block:
        """Seal a block as ``mine`` does, with a coinbase and EIP-4895 withdrawals."""
        parent = self.header(None)
        if timestamp is None:
            timestamp = parent.timestamp + 1
        if not parent.timestamp < timestamp <= _MAX_UINT64:
            raise LedgerError(f"timestamp {timestamp} is not later than the parent's {parent.timestamp}")
        pending_header = self.chain.header
        try:
            built = evm.build_block(
                self.chain,
                self.pool.ready(self),
                timestamp=timestamp,
                coinbase=bytes(coinbase),
                withdrawals=withdrawals,
            )
            transactions, logs = index_rows(built)
            self.store.commit(built.block.number, transactions, logs)
        except BaseException as error:
            self.store.rollback()
            self.chain.header = pending_header
            if isinstance(error, ValidationError):
                raise LedgerError(f"block {parent.block_number + 1} cannot be sealed: {error}") from error
            raise
        self._state = None
        for transaction in built.block.transactions:
            self.pool.remove(transaction)
        for transaction, reason in built.rejected:
            if "exceeds gas limit" not in reason:
                self.pool.remove(transaction)
        block = _block(built.block.header, tuple(Hash32(row.hash) for row in transactions))
        self._blocks[block.number] = block
        return block

    def receipt(self, transaction_hash: bytes) -> Receipt | None:
        """Return the receipt of a mined transaction."""
        row = self.store.index.transaction(transaction_hash)
        if row is None:
            return None
        logs = self.store.index.logs_at(row.block, row.first_log, row.logs) if row.logs else ()
        return Receipt(
            transaction_hash=Hash32(row.hash),
            block_number=row.block,
            index=row.position,
            status=row.status,
            gas_used=row.gas_used,
            contract_address=None if row.contract is None else Address(row.contract),
            logs=tuple(_log(log) for log in logs),
        )

    def transaction(self, transaction_hash: bytes) -> Transaction | None:
        """Return a mined or waiting transaction."""
        found = self.pool.get(bytes(transaction_hash))
        row = None if found is not None else self.store.index.transaction(transaction_hash)
        if row is not None:
            found = self.chain.get_canonical_transaction_by_index(row.block, row.position)
        if found is None:
            return None
        return Transaction(
            hash=Hash32(found.hash),
            sender=Address(found.sender),
            nonce=found.nonce,
            to=Address(found.to) if found.to else None,
            value=found.value,
            gas=found.gas,
            data=found.data,
            block_number=None if row is None else row.block,
            index=None if row is None else row.position,
        )

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
        guess = (used + _STIPEND_GAS) * 64 // 63
        while high - low > max(1, int(low * _ESTIMATE_TOLERANCE)):
            middle = guess if low < guess < high else (low + high) // 2
            guess = 0
            if _failure(attempt(middle)) is not None:
                low = middle
            else:
                high = middle
        return high

    def logs(
        self,
        from_block: int,
        to_block: int,
        address: bytes | Sequence[bytes] | None = None,
        topics: TopicFilter = (),
    ) -> list[Log]:
        """Return matching logs in chain order."""
        addresses = [address] if isinstance(address, bytes) else list(address or ())
        if address is not None and not addresses:
            return []
        choices = [[topic] if isinstance(topic, bytes) else list(topic or ()) for topic in topics]
        return [_log(row) for row in self.store.index.search(from_block, to_block, addresses, choices)]

    def nonce(self, address: bytes, at: int | None = None) -> int:
        """Return how many transactions of ``address`` were mined."""
        return int(self._state_at(at).get_nonce(bytes(address)))

    def next_nonce(self, address: bytes) -> int:
        """Return the nonce after the pool's."""
        return self.pool.next_nonce(address, self.nonce(address))

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
            for transaction in self.chain.get_block_by_header(header).transactions:
                vm.state.lock_changes()
                failures.append(_failure(vm.state.apply_transaction(transaction)))
            self._failures[number] = failures
            if len(self._failures) > _REPLAYED_BLOCKS:
                self._failures.popitem(last=False)
        return self._failures[number]

    def snapshot(self) -> int:
        """Mark head and pool."""
        self.store.keep_undo(is_kept=True)
        mark, self._next_snapshot = self._next_snapshot, self._next_snapshot + 1
        self._snapshots[mark] = (self.height, self.pool.copy())
        return mark

    def revert(self, snapshot: int) -> None:
        """Go back to a mark."""
        if snapshot not in self._snapshots:
            raise LedgerError(f"no snapshot {snapshot}", snapshot=snapshot)
        height, pool = self._snapshots[snapshot]
        if height < self.height:
            self.store.cut_back(height)
            self._forget()
        self._snapshots = {mark: kept for mark, kept in self._snapshots.items() if mark <= snapshot}
        self.pool = pool.copy()

    def reset(self) -> None:
        """Go back to the first block, with an empty pool and no snapshots."""
        self.store.erase()
        self.store.keep_undo(is_kept=False)
        self._snapshots.clear()
        self.pool = Pool()
        self._create()
        self._forget()

    def _forget(self) -> None:
        self.chain = evm.open_chain(self.store, self.chain_id)
        self._blocks.clear()
        self._failures.clear()
        self._state = None

    def _state_at(self, at: int | None) -> Any:
        number = self.height if at is None else at
        if self._state is None or self._state[0] != number:
            # calls offer no gas price, so they run without a base fee
            header = self.header(number).copy(base_fee_per_gas=0)
            self._state = (number, self.chain.get_vm(header).state)
        return self._state[1]

    def _execute(self, to: bytes | None, data: bytes, *, sender: bytes, at: int | None, value: int, gas: int) -> Any:
        return evm.execute_message(
            self.chain, self._state_at(at), sender=bytes(sender), to=to and bytes(to), data=bytes(data), value=value, gas=gas
        )

    def close(self) -> None:
        """Fold everything into the file."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _failure(computation: Any) -> CallReverted | None:
    if computation is None:
        return CallReverted("InsufficientFunds", b"")
    if not computation.is_error:
        return None
    error = computation.error
    return CallReverted(type(error).__name__, bytes(computation.output) if isinstance(error, Revert) else b"")


def _block(header: Any, hashes: tuple[Hash32, ...]) -> Block:
    return Block(
        number=header.block_number,
        hash=Hash32(header.hash),
        parent_hash=Hash32(header.parent_hash),
        timestamp=header.timestamp,
        state_root=Hash32(header.state_root),
        gas_used=header.gas_used,
        transaction_hashes=hashes,
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
