"""An ``Engine`` whose blocks a simulated network agrees on: clients send to its nodes, and time passes virtually.

The engine is a full node of its own: it executes each final block again, and its state has to be the validators'.
Stretches in which nobody asks for anything are cut out: the nodes' clocks jump, their rhythm goes on as it was.
Layer: network. Not here: the network (``simulation``), what a run measures (``scenarios.network_run``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainsec.errors import LedgerError
from chainsec.ledger.local import LocalEngine
from chainsec.ledger.store import Store
from chainsec.network.conditions import arrange, with_condition
from chainsec.network.execution import decode_raw
from chainsec.network.simulation import Simulation

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chainsec.ledger.engine import Block
    from chainsec.network.header import Header
    from chainsec.network.node import Node
    from chainsec.network.plan import NetworkPlan

__all__ = ["NetworkEngine", "Settlement"]

_SECOND_US = 1_000_000
_CYCLE_US = 5 * _SECOND_US
"""What comes after a quiet stretch meets the network at a random point of so many seconds of its rhythm."""
_PATIENCE_US = 3_600 * _SECOND_US
_RESEND_US = 10 * _SECOND_US
_ARRIVAL_US = 60 * _SECOND_US
_STEP_US = 20_000


@dataclass(frozen=True)
class Settlement:
    """What was sent together.

    Args:
        sent_us: virtual time at which clients sent it, at node ``entry``.
        entry: the node that it was handed in at.
        reached: nodes that were connected to it then, itself among them: each of them will have the blocks.
        head_block: the newest block when it was sent.
        first_block, last_block: of the blocks that hold it.
        clock_s: the chain's time when it was sent, Unix seconds.
    """

    sent_us: int
    entry: int
    reached: frozenset[int]
    head_block: int
    first_block: int
    last_block: int
    clock_s: float


class NetworkEngine(LocalEngine):
    """A chain that is laid by itself, and from ``go_live`` on made by a network of validators.

    Args:
        plan: what the network is made of; its genesis is the engine's.
        condition: what is wrong with it; see ``conditions``.
        path: SQLite file of the chain, which must not be there yet; None keeps it in memory.

    ``settlements`` holds what was sent since then, ``headers`` the sealed headers of all blocks since then.
    """

    network: Simulation

    def __init__(self, plan: NetworkPlan, condition: str = "healthy", path: Path | None = None) -> None:
        super().__init__(Store(path), plan.genesis)
        self.plan_without_condition = plan
        self.plan = with_condition(plan, condition)
        self.condition = condition
        self.is_live = False
        self.settlements: list[Settlement] = []
        self.headers: list[Header] = []
        self._dice = plan.stream("arrival of clients")
        self._has_arrivals = False

    def go_live(self) -> None:
        """Hand the chain as it stands to the network's nodes; from now on they make the blocks."""
        self.network = Simulation(self.plan, founding=self)
        self.headers = [self.network.founding.blocks[-1].header]
        arrange(self.network, self.condition)
        self.network.start()
        self.network.run_until(1)  # who is down from the start is down before the first client comes
        self.is_live = True

    def note_arrivals(self) -> None:
        """Take what is sent next for something that clients come with, at a random point of the network's rhythm.

        Without it, what is sent less than five seconds after a block answers what stands in that block, at once.
        """
        self._has_arrivals = True

    @property
    def name(self) -> str:
        """What executes."""
        return f"{self.plan.validators} QBFT validators"

    def mine(self, timestamp: int | None = None) -> Block:
        """Send what waits to the network, and return the block in which the last of it is final.

        Args:
            timestamp: not before this time, Unix seconds; the block's own time is the network's.

        Raises:
            LedgerError: the network made no such block for an hour of virtual time, or executes it differently.
        """
        if not self.is_live:
            return super().mine(timestamp)
        if timestamp is not None:
            self._pass_time(timestamp)
        waiting = self.pool.ready(self)
        if not waiting:
            return self._follow_until(lambda: self._node().chain.height > self.height)
        network, raws = self.network, [transaction.encode() for transaction in waiting]
        first, entry = self.height + 1, self._node()
        sent_us = max(network.time_us, entry.moment_us)  # not before the node that it goes to told of what came before
        reached, clock_s = self._reached(entry), (network.origin_us + sent_us) / _SECOND_US
        wanted = {bytes(transaction.hash) for transaction in waiting}
        self._submit(raws)
        resend_us = sent_us + _RESEND_US
        while wanted:
            self._advance(sent_us)
            for block in self._take_over():
                wanted -= {bytes(key) for key in block.transaction_hashes}
            if wanted and network.time_us >= resend_us:
                resend_us = network.time_us + _RESEND_US
                self._submit([raw for raw, each in zip(raws, waiting, strict=True) if bytes(each.hash) in wanted])
        block = self.head()
        holding = [number for number in range(first, block.number + 1) if self.block(number).transaction_hashes]
        settlement = Settlement(sent_us, entry.number, reached, first - 1, holding[0], block.number, clock_s)
        self.settlements.append(settlement)
        return block

    def final_us(self, settlement: Settlement) -> dict[int, int]:
        """Return when each of the nodes that were connected had the last of a settlement's blocks, by their numbers.

        One that is missing has it not yet; see ``let_arrive``.
        """
        times = self.network.agreement.finals[settlement.last_block].times_us
        return {number: times[number] for number in settlement.reached if number in times}

    def let_arrive(self) -> None:
        """Let a minute pass in which nothing is sent, so that the newest blocks get everywhere that they can.

        The network goes on meanwhile; what it agrees on is no part of the engine's chain any more.
        """
        self.network.run_until(self.network.time_us + _ARRIVAL_US)

    def _node(self) -> Node:
        """Return the node that clients use and the engine follows: the first that is up."""
        return next(node for node in self.network.nodes if node.is_up)

    def _reached(self, entry: Node) -> frozenset[int]:
        network = self.network
        honest = (node for node in network.nodes if node.number not in self.plan.roles)
        return frozenset(node.number for node in honest if node is entry or network.is_connected(entry, node))

    def _pass_time(self, timestamp: int) -> None:
        network = self.network
        gap_us = timestamp * _SECOND_US - network.origin_us - network.time_us
        has_arrivals, self._has_arrivals = self._has_arrivals, False
        passed_us = 0
        if gap_us > _CYCLE_US:  # what is cut out leaves the rhythm alone
            passed_us = self._dice.randrange(_CYCLE_US)
            network.jump(gap_us - passed_us)
        elif not has_arrivals:  # how far apart blocks are is the network's business: this means now
            return
        network.run_until(network.time_us + passed_us + self._dice.randrange(_SECOND_US))
        self._take_over()

    def _submit(self, raws: list[bytes]) -> None:
        """Hand transactions in at a node."""
        node = self._node()
        node.begin(self.network.time_us)
        node.submit(raws)

    def _advance(self, since_us: int) -> None:
        network = self.network
        if network.time_us - since_us > _PATIENCE_US:
            raise LedgerError(
                f"{self.name}: no block with what was sent for {_PATIENCE_US // _SECOND_US} s of virtual time",
                height=self.height,
            )
        network.run_until(network.time_us + _STEP_US)

    def _follow_until(self, is_done: Callable[[], bool]) -> Block:
        since_us = self.network.time_us
        while not is_done():
            self._advance(since_us)
        self._take_over()
        return self.head()

    def _take_over(self) -> list[Block]:
        """Execute the blocks that are final at the node followed, and compare."""
        chain, taken = self._node().chain, []
        while self.height < chain.height:
            block = chain.blocks[self.height + 1]
            header = block.header
            transactions = [decode_raw(raw) for raw in block.transactions]
            found = self.seal(transactions, header.timestamp)
            if found.state_root != header.state_root or found.gas_used != header.gas_used:
                raise LedgerError(f"block {block.number}: executed here, its state is another than the validators'")
            self.headers.append(header)
            taken.append(found)
        return taken
