"""The chain inside this process: py-evm on a SQLite store, a pool, an index; an ``Engine`` without a server.

One thread at a time. Layer: ledger. Not here: the rules (``evm``), storage (``store``), reading (``reader``), web3
(``ethtester``).
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from eth_utils.exceptions import ValidationError

from chainsec.digest import keccak
from chainsec.errors import LedgerError
from chainsec.ledger import evm
from chainsec.ledger.account import Account
from chainsec.ledger.dump import read_dump, write_dump
from chainsec.ledger.engine import Transaction
from chainsec.ledger.headcheck import check_head, read_genesis
from chainsec.ledger.logindex import MAX_TOPICS, LogRow, TransactionRow
from chainsec.ledger.marks import Marks
from chainsec.ledger.pool import Pool, check_transaction, decode_transaction
from chainsec.ledger.reader import ChainReader, to_block
from chainsec.ledger.store import Store
from chainsec.primitives import ZERO_ADDRESS, Address, Hash32

if TYPE_CHECKING:
    from collections.abc import Sequence

    from web3 import Web3

    from chainsec.ledger.engine import Block

__all__ = ["DEVELOPMENT_ACCOUNTS", "LocalEngine", "index_rows"]

DEVELOPMENT_ACCOUNTS = tuple(Account(number.to_bytes(32, "big")) for number in range(1, 11))
_MAX_UINT64 = 2**64 - 1


def index_rows(built: evm.BuiltBlock) -> tuple[list[TransactionRow], list[LogRow]]:
    """Return the index rows that follow from a block's transactions and receipts."""
    number = built.block.number
    transactions: list[TransactionRow] = []
    logs: list[LogRow] = []
    gas_before = 0
    for position, (transaction, receipt, computation) in enumerate(
        zip(built.transactions, built.receipts, built.computations, strict=True)
    ):
        first = len(logs)
        key = bytes(transaction.hash)
        for log in receipt.logs:
            topics: list[bytes | None] = [topic.to_bytes(32, "big") for topic in log.topics]
            first_topics = (*topics, *[None] * (MAX_TOPICS - len(topics)))
            logs.append(LogRow._make((number, len(logs), position, key, log.address, *first_topics, log.data)))
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


class LocalEngine(ChainReader):
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
        super().__init__(store, genesis, finality_blocks=finality_blocks)
        self.accounts = tuple(accounts)
        self.pool = Pool()
        self._marks = Marks()
        self.rewinds = 0
        if store.setting("genesis") is None:
            self._create()
        else:
            check_head(store, genesis.chain_id)
            self.chain = evm.open_chain(store, genesis.chain_id)

    def _create(self) -> None:
        self.chain = evm.create_chain(self.store, self.genesis)
        head = self.chain.get_canonical_head()
        self.store.commit(0, settings={"genesis": self.genesis.to_json(), "genesis_hash": head.hash})

    @cached_property
    def web3(self) -> Web3:
        """A plain ``Web3`` on this chain; what is sent there is mined at once, a block each."""
        from chainsec.ledger.ethtester import connect_web3  # noqa: PLC0415 - web3 takes seconds to import

        return connect_web3(self)

    def send(self, raw: bytes) -> Hash32:
        """Put a signed transaction into the pool."""
        key = keccak(bytes(raw))
        if key in self.pool:
            return Hash32(key)
        return self.add(decode_transaction(self.chain.get_transaction_builder(), raw))

    def send_many(self, raws: Sequence[bytes]) -> list[Hash32]:
        """Put signed transactions into the pool, up to the first that is refused."""
        return [self.send(raw) for raw in raws]

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
        if timestamp is None:
            timestamp = self.header(None).timestamp + 1
        return self.seal(self.pool.ready(self), timestamp, coinbase=coinbase, withdrawals=withdrawals)

    def seal(
        self,
        transactions: Sequence[Any],
        timestamp: int,
        *,
        coinbase: bytes = ZERO_ADDRESS,
        withdrawals: Sequence[Any] = (),
    ) -> Block:
        """Seal a block with these transactions, which need not have waited in the pool; those that it cannot hold stay.

        Raises:
            LedgerError: as ``mine``.
        """
        parent = self.header(None)
        if not parent.timestamp < timestamp <= _MAX_UINT64:
            raise LedgerError(f"timestamp {timestamp} is not later than the parent's {parent.timestamp}")
        try:
            built = evm.build_block(
                self.chain, transactions, timestamp=timestamp, coinbase=bytes(coinbase), withdrawals=withdrawals
            )
            rows, logs = index_rows(built)
            self.store.commit(built.block.number, rows, logs)
            self._state = None
            self._keep_sealed(built.block)
            for transaction in built.transactions:
                self.pool.remove(transaction)
            self._drop_hopeless(built.rejected)
            return self._remember(to_block(built.block.header, tuple(Hash32(row.hash) for row in rows)))
        except BaseException as error:
            self._take_up_stored()
            if isinstance(error, ValidationError):
                raise LedgerError(f"block {parent.block_number + 1} cannot be sealed: {error}") from error
            raise

    def _take_up_stored(self) -> None:
        """Go on from the head that is stored: what came in between may have come before the block was, or after."""
        self.store.rollback()
        self.chain = evm.open_chain(self.store, self.chain_id)
        self.forget()
        for transaction in list(self.pool):
            if transaction.nonce < self.nonce(transaction.sender):
                self.pool.remove(transaction)

    def _drop_hopeless(self, rejected: Sequence[tuple[Any, str]]) -> None:
        for transaction, _ in rejected:
            try:
                # a base fee falls again and a full block is followed by another: neither is a reason to drop
                check_transaction(
                    transaction, chain_id=self.chain_id, gas_limit=self.block_gas_limit, base_fee_wei=0, head=self
                )
            except LedgerError:
                self.pool.remove(transaction)

    def transaction(self, transaction_hash: bytes) -> Transaction | None:
        """Return a mined or waiting transaction."""
        found = self.pool.get(bytes(transaction_hash))
        row = None if found is not None else self.store.index.transaction(transaction_hash)
        if row is not None:
            found = self.mined_transaction(row)
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

    def next_nonce(self, address: bytes) -> int:
        """Return the nonce after the pool's."""
        return self.pool.next_nonce(address, self.nonce(address))

    def snapshot(self) -> int:
        """Mark head and pool; a mark goes once a thousand others stand at later points."""
        mark = self._marks.add(self.height, self.chain.header, self.pool)
        self.store.keep_undo(self._marks.lowest)
        return mark

    def revert(self, snapshot: int) -> None:
        """Go back to a mark."""
        point = self._marks.find(snapshot)
        if point.height < self.height:
            self.store.cut_back(point.height)
            self.chain.header = point.header
            self.forget(above=point.height)
        self._marks.forget_after(snapshot)
        self.pool = point.pool.copy()
        self.rewinds += 1

    def reset(self) -> None:
        """Go back to the first block, with an empty pool and no snapshots."""
        with LocalEngine(Store(), self.genesis) as fresh:
            self.load(fresh.dump())

    def dump(self) -> bytes:
        """Return everything the chain is; equal chains give equal bytes."""
        return write_dump(self.store.rows)

    def load(self, dump: bytes) -> None:
        """Put a dumped chain in the place of this one."""
        found = read_dump(dump)
        genesis = read_genesis(dict(found.settings).get("genesis", b""), "dump")
        if genesis.chain_id != self.chain_id:
            raise LedgerError(f"the dump is of chain id {genesis.chain_id}, not {self.chain_id}", setting="chain id")
        with self.store.replacing(found):
            check_head(self.store, genesis.chain_id)
        self.genesis = genesis
        self.chain = evm.open_chain(self.store, genesis.chain_id)
        self._begin_anew()

    def _begin_anew(self) -> None:
        self.pool = Pool()
        self._marks.clear()
        self.forget()
        self.rewinds += 1

    def close(self) -> None:
        """Fold everything into the file."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
