"""The network in virtual time: nodes, connections, faults, and the watch over what they agree on.

simpy carries time, in whole microseconds; every random choice comes from a named stream of one seed, so that the same
settings give the same events on every machine. Layer: network. Not here: what the settings mean to a user
(``scenario``), where transactions come from (``load``), figures (``measure``).
"""

from __future__ import annotations

import gc
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import simpy

from chainsec.network.chain import NodeChain
from chainsec.network.execution import Executor
from chainsec.network.founding import Founding, found_empty, found_on
from chainsec.network.links import Connection
from chainsec.network.node import Node
from chainsec.network.permissions import Allowlist, OpenRules
from chainsec.network.safety import Agreement
from chainsec.network.trace import Event, Trace
from chainsec.network.validator import Validator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chainsec.ledger.local import LocalEngine
    from chainsec.network.header import Block
    from chainsec.network.node import Packet
    from chainsec.network.permissions import Rulebook
    from chainsec.network.plan import NetworkPlan
    from chainsec.primitives import Address

__all__ = ["Simulation"]

SECOND_US = 1_000_000
_YOUNG_OBJECTS = 200_000
_RECONNECT_ROUND_TRIPS = 3
"""TCP, RLPx and Hello, one after the other."""


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Look for garbage less often: packets on their way are many, young and free of cycles."""
    before = gc.get_threshold()
    gc.set_threshold(_YOUNG_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@dataclass(slots=True)
class _Pair:
    """Two nodes: how often their connection has broken, and how many faults keep it so."""

    epoch: int = 0
    severed: int = 0


@dataclass(slots=True)
class _Path:
    """One direction between two nodes, with what was sent on it; ``is_open`` is None until it is worked out anew."""

    sender: Node
    receiver: Node
    pair: _Pair
    connection: Connection
    is_open: bool | None = None
    messages: int = 0
    bytes_sent: int = 0


class Simulation:
    """A network at work.

    Args:
        plan: what it is made of.
        founding: a chain with the same genesis to begin on; the first block alone where omitted.

    ``time_us`` counts from the genesis time on. ``agreement`` holds every block that is final anywhere.
    """

    def __init__(self, plan: NetworkPlan, founding: LocalEngine | None = None) -> None:
        self.plan = plan
        self.origin_us = 0
        self.trace = Trace()
        self.kinds: Counter[int | str] = Counter()
        self.on_import: list[Callable[[Node, Block], None]] = []
        self._env = simpy.Environment()
        self._pairs: dict[tuple[int, int], _Pair] = {}
        self._paths: dict[int, dict[Address, _Path]] = {}
        self.nodes: list[Node] = []
        self._numbers: dict[Address, int] = {}
        self.founding = self._found(founding)
        self._make_nodes()
        self._has_rules = not isinstance(self.nodes[0].chain.rulebook, OpenRules)
        self.agreement = Agreement(self.founding.blocks, plan.roles, plan.qbft.epoch_blocks)
        self.origin_us = self.founding.blocks[-1].header.timestamp * SECOND_US

    def _found(self, founding: LocalEngine | None) -> Founding:
        plan = self.plan
        first = [plan.account(number).address for number in range(plan.validators)]
        if founding is None:
            return found_empty(plan.genesis, first, Executor(plan.genesis.chain_id))
        return found_on(founding, first)

    def _make_nodes(self) -> None:
        plan = self.plan
        shared = Executor(plan.genesis.chain_id, is_shared=True) if plan.is_execution_shared else None
        accounts = [plan.account(number) for number in range(len(plan.regions))]
        for number, (account, region) in enumerate(zip(accounts, plan.regions, strict=True)):
            node = Node(number, account.address, region, self, plan.machine, has_gossip=plan.has_gossip)
            executor = shared or Executor(plan.genesis.chain_id)
            if shared is None or number == 0:
                self.founding.provide(executor)
            node.chain = self._make_chain(node, executor, plan.rulebook(executor))
            role = plan.roles.get(number, Validator)
            node.validator = role(account, node.chain, node, plan.qbft)
            self.nodes.append(node)
            self._numbers[account.address] = number
        self._lay_paths()

    def _make_chain(self, node: Node, executor: Executor, rulebook: Rulebook) -> NodeChain:
        return NodeChain(
            self.founding.blocks,
            executor,
            self.plan.qbft,
            node.address,
            clock=lambda: node.now_us,
            rulebook=rulebook,
            min_gas_price_wei=self.plan.min_gas_prices_wei.get(node.number, 0),
            on_work=node.work,
            on_head=node.head_changed,
        )

    # Time

    @property
    def time_us(self) -> int:
        """Virtual time since the first block's."""
        return int(self._env.now)

    def start(self) -> None:
        """Let every node begin."""
        for node in self.nodes:
            node.start()

    def run_until(self, time_us: int) -> None:
        """Let time pass."""
        if time_us > self._env.now:
            with _rare_collections():
                self._env.run(until=time_us)

    def jump(self, by_us: int) -> None:
        """Put all clocks forward at once: whatever was going on goes on, at a later hour."""
        self.origin_us += by_us

    def schedule(self, time_us: int, act: Callable[[], None]) -> None:
        """Let something happen at a virtual time."""
        event = self._env.timeout(max(0, time_us - self.time_us))
        event.callbacks.append(lambda _: act())

    def at(self, node: Node, time_us: int, act: Callable[[], None]) -> None:
        """Let a node do something at a virtual time, unless it crashes before."""
        session = node.session

        def fire(_: Any) -> None:
            if node.session == session:
                node.begin(self.time_us)
                act()

        self._env.timeout(max(0, time_us - self.time_us)).callbacks.append(fire)

    # Connections

    def node_of(self, address: Address) -> Node:
        """Return the node whose key gives ``address``."""
        return self.nodes[self._numbers[address]]

    def is_connected(self, one: Node, other: Node) -> bool:
        """Tell whether two nodes can reach each other."""
        path = self._paths[one.number][other.address]
        if path.is_open is None:
            path.is_open = self._can_connect(one, other)
        return path.is_open

    def _can_connect(self, one: Node, other: Node) -> bool:
        if not (one.is_up and other.is_up) or self._pairs[_pair(one, other)].severed:
            return False
        return (
            one.chain.rulebook.forbids_peer(one.chain.head, other.address) is None
            and other.chain.rulebook.forbids_peer(other.chain.head, one.address) is None
        )

    def _forget_paths(self) -> None:
        """Work out anew who is connected to whom: a node, a connection or a rule has changed."""
        for paths in self._paths.values():
            for path in paths.values():
                path.is_open = None

    def peers(self, node: Node) -> list[Node]:
        """Return the nodes that ``node`` is connected to."""
        return [path.receiver for path in self._paths[node.number].values() if self.is_connected(node, path.receiver)]

    def connection(self, sender: Node, receiver: Node) -> Connection:
        """Return one direction between two nodes."""
        return self._paths[sender.number][receiver.address].connection

    def _lay_paths(self) -> None:
        matrix, stream = self.plan.matrix, self.plan.stream
        for sender in self.nodes:
            self._paths[sender.number] = {}
            for receiver in self.nodes:
                if sender is not receiver:
                    pair = self._pairs.setdefault(_pair(sender, receiver), _Pair())
                    dice = stream(f"link {sender.number} {receiver.number}")
                    connection = Connection(matrix.link(sender.region, receiver.region), dice)
                    self._paths[sender.number][receiver.address] = _Path(sender, receiver, pair, connection)

    def send(self, sender: Node, receiver: Address, packet: Packet) -> None:
        """Send a packet from where its sender stands in time."""
        path = self._paths[sender.number].get(receiver)
        if path is None:
            return
        is_open = path.is_open
        if not (self.is_connected(sender, path.receiver) if is_open is None else is_open):
            return
        epoch = path.pair.epoch
        arrival_us = path.connection.arrival_us(sender.moment_us, packet.size_bytes, epoch)
        path.messages += 1
        path.bytes_sent += packet.size_bytes
        self.kinds[packet.kind] += 1
        self.trace.add_packet(sender.number, path.receiver.number, arrival_us, packet.size_bytes)
        travelling = (path, packet, epoch)
        self._env.timeout(arrival_us - int(self._env.now), travelling).callbacks.append(self._arrive)

    def _arrive(self, event: Any) -> None:
        path, packet, epoch = event.value
        if path.pair.epoch == epoch:  # else the connection broke on the way
            target = path.receiver
            target.begin(int(self._env.now))
            target.on_packet(path.sender.address, packet)

    @property
    def messages(self) -> dict[tuple[int, int], int]:
        """How many messages each node has sent to each, by their numbers."""
        return {key: path.messages for key, path in self._all_paths()}

    @property
    def bytes_sent(self) -> dict[tuple[int, int], int]:
        """How many bytes each node has sent to each, by their numbers."""
        return {key: path.bytes_sent for key, path in self._all_paths()}

    def _all_paths(self) -> Iterator[tuple[tuple[int, int], _Path]]:
        for paths in self._paths.values():
            for path in paths.values():
                yield (path.sender.number, path.receiver.number), path

    def sever(self, one: Node, other: Node) -> None:
        """Break the connection of two nodes; what is on its way is lost."""
        pair = self._pairs[_pair(one, other)]
        pair.severed += 1
        pair.epoch += 1
        self._forget_paths()

    def mend(self, one: Node, other: Node) -> None:
        """Let two nodes connect again; they tell each other where they stand."""
        pair = self._pairs[_pair(one, other)]
        pair.severed = max(0, pair.severed - 1)
        self._forget_paths()
        if not pair.severed:
            self._greet(one, other)

    def _greet(self, one: Node, other: Node) -> None:
        pair = self._pairs[_pair(one, other)]
        epoch = pair.epoch
        wait_us = _RECONNECT_ROUND_TRIPS * (
            self.connection(one, other).latency_us + self.connection(other, one).latency_us
        )

        def meet() -> None:
            if pair.epoch == epoch and self.is_connected(one, other):
                for node, peer in ((one, other), (other, one)):
                    node.begin(self.time_us)
                    node.connect(peer)

        self.schedule(self.time_us + wait_us, meet)

    # Nodes

    def crash(self, node: Node) -> None:
        """Stop a node; what is on its way to it is lost."""
        if node.is_up:
            node.crash()
            self._forget_paths()
            for path in self._paths[node.number].values():
                path.pair.epoch += 1
            self.note(node, "crash", -1)

    def restart(self, node: Node, *, is_wiped: bool = False) -> None:
        """Bring a node back: with its chain, or with the first block alone."""
        if node.is_up:
            return
        if is_wiped:
            executor, rulebook = node.chain.executor, node.chain.rulebook
            if not executor.is_shared:
                executor = Executor(self.plan.genesis.chain_id)
                self.founding.provide(executor)
            if not isinstance(rulebook, Allowlist):  # that file is the operator's: it is today's on a new disk too
                rulebook = self.plan.rulebook(executor)
            node.chain = self._make_chain(node, executor, rulebook)
            node.forget_votes()
            node.validator.chain = node.chain
        node.restart(self.time_us)
        self._forget_paths()
        node.synchroniser.look_around()
        self.note(node, "wiped" if is_wiped else "restart", -1)
        for other in self.nodes:
            if other is not node:
                self._greet(node, other)

    # What is seen

    def note(self, node: Node, event: str, round_: int, detail: str = "") -> None:
        """Take note of something for the trace."""
        time_us = max(node.moment_us, self.time_us)
        self.trace.add(Event(time_us, node.number, event, node.chain.height + 1, round_, detail))

    def imported(self, node: Node, block: Block) -> None:
        """Hold a block that is final at a node against what others have."""
        if self._has_rules:
            self._forget_paths()
        fault = self.agreement.add(node.number, block, node.moment_us)
        self.note(node, "imported", block.header.extra.round, block.header.hash.hex())
        if fault is not None:
            self.note(node, "disagreement", block.header.extra.round, fault)
        for listener in self.on_import:
            listener(node, block)


def _pair(one: Node, other: Node) -> tuple[int, int]:
    return (one.number, other.number) if one.number < other.number else (other.number, one.number)
