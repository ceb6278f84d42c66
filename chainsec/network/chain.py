"""A validator's own chain: makes, checks and keeps blocks, with the state after each of them.

Layer: network. Not here: agreeing on blocks (``validator``), what executing costs in time (``node``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chainsec.errors import LedgerError
from chainsec.ledger.pool import Pool, check_transaction
from chainsec.network.blockrules import check_header, check_seals
from chainsec.network.execution import Plan, decode_raw
from chainsec.network.extradata import ExtraData
from chainsec.network.header import Block
from chainsec.network.votes import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainsec.network.execution import Executed, Executor
    from chainsec.network.extradata import Vote
    from chainsec.network.header import Header
    from chainsec.network.permissions import Rulebook
    from chainsec.network.surroundings import QbftSettings
    from chainsec.primitives import Address

__all__ = ["NodeChain"]

_REMEMBERED_HASHES = 256


class NodeChain:
    """What one node holds to be the chain.

    Args:
        founding: what every node has from the start; its states stand in ``executor``.
        executor: executes, and keeps states; the node's own, or one that several share.
        settings: the network's.
        address: who proposes when this node makes a block.
        clock: the machine's time, microseconds since 1970.
        rulebook: who may do what.
        min_gas_price_wei: transactions that offer less are left out of blocks that this node makes.
        on_work: told the gas and the transactions of a block whenever a real node executes it: to make it, to check it,
            and once more to keep it.
        on_head: told of each block once it is the head.
    """

    def __init__(
        self,
        founding: Sequence[Block],
        executor: Executor,
        settings: QbftSettings,
        address: Address,
        *,
        clock: Callable[[], int],
        rulebook: Rulebook,
        min_gas_price_wei: int = 0,
        on_work: Callable[[int, int], None] = lambda *_: None,
        on_head: Callable[[Block], None] = lambda _: None,
    ) -> None:
        self.executor = executor
        self.settings = settings
        self.address = address
        self.rulebook = rulebook
        self.min_gas_price_wei = min_gas_price_wei
        self.wishes: list[Vote] = []
        self.pool = Pool()
        self.blocks = list(founding)
        self.executed: list[Executed | None] = [None] * len(self.blocks)
        self.tally = Tally(self.head.extra.validators, epoch_blocks=settings.epoch_blocks)
        self._clock = clock
        self._on_work = on_work
        self._on_head = on_head
        self._found: dict[tuple[bytes, tuple[bytes, ...]], tuple[str | None, Executed | None]] = {}
        self._view: Any = None

    @property
    def head(self) -> Header:
        """The newest block's header."""
        return self.blocks[-1].header

    @property
    def chain_id(self) -> int:
        """EIP-155 identifier."""
        return self.executor.chain_id

    @property
    def height(self) -> int:
        """Number of the newest block."""
        return len(self.blocks) - 1

    @property
    def validators(self) -> tuple[Address, ...]:
        """Who agrees on the next block, sorted."""
        return self.tally.validators

    def nonce(self, address: bytes) -> int:
        """Return the number of transactions of ``address`` on the chain."""
        return int(self._state().get_nonce(bytes(address)))

    def balance(self, address: bytes) -> int:
        """Return the wei of ``address``."""
        return int(self._state().get_balance(bytes(address)))

    def _state(self) -> Any:
        if self._view is None:
            self._view = self.executor.state_of(self.head)
        return self._view

    def _hashes(self) -> list[bytes]:
        return [block.header.hash for block in self.blocks[: -_REMEMBERED_HASHES - 1 : -1]]

    def forget_pool(self) -> None:
        """Let go of the transactions that wait: they are in memory only."""
        self.pool = Pool()

    def receive(self, raw: bytes) -> bool:
        """Put a transaction into the pool; tell whether it is new there.

        Raises:
            TransactionRefused: no block on this head could hold it.
        """
        transaction = decode_raw(raw)
        if transaction.hash in self.pool:
            return False
        check_transaction(
            transaction, chain_id=self.executor.chain_id, gas_limit=self.head.gas_limit, base_fee_wei=0, head=self
        )
        fault = self.rulebook.forbids(self.head, transaction)
        if fault is not None:
            raise LedgerError(fault)
        self.pool.add(transaction)
        return True

    def build(self, round_: int, timestamp_s: int) -> Block:
        """Return a block of what the pool holds, executed."""
        return self.build_of(self.offer(), round_, timestamp_s)

    def offer(self) -> list[Any]:
        """Return the pool's transactions that the next block may hold."""
        return [
            transaction
            for transaction in self.pool.ready(self)
            if transaction.max_fee_per_gas >= self.min_gas_price_wei
            and self.rulebook.forbids(self.head, transaction) is None
        ]

    def build_of(self, transactions: Sequence[Any], round_: int, timestamp_s: int) -> Block:
        """Return a block of these transactions, executed; those that it cannot hold are left out."""
        plan = Plan(self.head, self.address, timestamp_s, self.head.gas_limit, tuple(transactions))
        executed = self._execute(plan)
        if executed.rejected:
            plan = Plan(self.head, self.address, timestamp_s, self.head.gas_limit, executed.transactions)
        vote = self.tally.choose(self.address, self._wishes(), self.height + 1)
        header = executed.header(plan, ExtraData(self.validators, vote, round_))
        block = Block(header, tuple(transaction.encode() for transaction in plan.transactions))
        self._found[header.hash, block.transactions] = (None, executed)
        self._on_work(header.gas_used, len(block.transactions))
        return block

    def _wishes(self) -> list[Vote]:
        """Return what the operator wants as far as the rules let it, and then what the rules want."""
        allowed = [wish for wish in self.wishes if self.rulebook.forbids_vote(self.head, wish) is None]
        return allowed + self.rulebook.wishes(self.head, self.validators)

    def _execute(self, plan: Plan) -> Executed:
        return self.executor.execute(plan, self._hashes())

    def check(self, block: Block) -> str | None:
        """Return why ``block`` cannot follow the head, or None; the same block is executed once.

        Clock and rules are asked every time: what came too early, or before a list was put right, may be right later.
        """
        header = block.header
        fault = check_header(
            header,
            self.head,
            self.validators,
            block_period_s=self.settings.block_period_s,
            now_us=self._clock(),
        )
        fault = fault or self._forbidden(block)
        if fault is None:
            fault, executed = self._look_into(block)
            if executed is not None:
                self._on_work(executed.gas_used, len(block.transactions))
        return fault

    def _forbidden(self, block: Block) -> str | None:
        """Return what the rules have against a block; asked every time, as an operator's list may change meanwhile."""
        try:
            transactions = tuple(decode_raw(raw) for raw in block.transactions)
        except LedgerError as error:
            return str(error)
        foreign = [each.chain_id for each in transactions if each.chain_id not in (self.chain_id, None)]
        if foreign:
            return f"a transaction cannot stand there: it is for chain id {foreign[0]}"
        return self.rulebook.forbids_block(self.head, block, transactions)

    def _look_into(self, block: Block) -> tuple[str | None, Executed | None]:
        key = (block.header.hash, block.transactions)  # a header alone may come with transactions that are not its own
        if key not in self._found:
            self._found[key] = self._execute_block(block)
        return self._found[key]

    def _execute_block(self, block: Block) -> tuple[str | None, Executed | None]:
        header = block.header
        transactions = tuple(decode_raw(raw) for raw in block.transactions)
        plan = Plan(self.head, header.coinbase, header.timestamp, header.gas_limit, transactions)
        executed = self._execute(plan)
        if executed.rejected:
            return f"a transaction cannot stand there: {executed.rejected[0]}", None
        return executed.difference(header), executed

    def append(self, block: Block) -> None:
        """Make a sealed block, found right before, the head."""
        fault, executed = self._look_into(block)
        assert fault is None, fault
        assert executed is not None
        header = block.header
        self.tally = self.tally.after(header.block_number, header.coinbase, header.extra.vote)
        self.blocks.append(block)
        self._view = None
        self._found.clear()
        self.executed.append(executed)
        for transaction in executed.transactions:
            self.pool.remove(transaction)
        self._on_work(header.gas_used, len(block.transactions))
        self._on_head(block)

    def import_sealed(self, block: Block) -> str | None:
        """Take a block over from a peer: return why not, or None where it is the head now."""
        if block.number != self.height + 1:
            return f"height {block.number} does not follow {self.height}"
        fault = check_seals(block.header, self.validators) or self.check(block)  # who is sealed is worth executing
        if fault is None:
            self.append(block)
        return fault
