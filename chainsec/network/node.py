"""A node on its machine: its clock, the work that takes time, messages for other heights.

What comes is worked off in the order in which it comes; each piece starts when the one before is done. Around the
validator's state machine this is Besu's QbftController, FutureMessageBuffer and synchroniser.
Layer: network. Not here: agreeing (``validator``), how bytes travel and when a node fails (``simulation``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from chainsec.errors import LedgerError
from chainsec.network.messages import Code, read_message
from chainsec.network.synchroniser import FRAME_BYTES, Packet, Synchroniser

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainsec.network.chain import NodeChain
    from chainsec.network.header import Block
    from chainsec.network.machine import Machine
    from chainsec.network.messages import Message
    from chainsec.network.rounds import Memory
    from chainsec.network.validator import Validator
    from chainsec.primitives import Address

__all__ = ["Fabric", "Node", "Packet"]

MAX_HEIGHTS_AHEAD = 10
"""Messages for later heights than this are let go. Source: Besu, futuremessagesmaxdistance."""
MAX_BUFFERED = 1_000
"""Messages for later heights that wait at most. Source: Besu, futuremessageslimit."""
MAX_SEEN = 10_000
"""Messages of a height that are known again when they come once more; Besu's duplicateMessageLimit is 100."""


class Fabric(Protocol):
    """What a node asks of the network around it."""

    @property
    def origin_us(self) -> int:
        """Clock time at which virtual time begins, microseconds since 1970."""

    def peers(self, node: Node) -> Sequence[Node]:
        """Return the nodes that ``node`` is connected to, in a fixed order."""

    def send(self, sender: Node, receiver: Address, packet: Packet) -> None:
        """Send from where ``sender`` stands in time; without a connection it is lost."""

    def at(self, node: Node, time_us: int, act: Callable[[], None]) -> None:
        """Let ``node`` do something at a virtual time, unless it crashes before."""

    def note(self, node: Node, event: str, round_: int, detail: str = "") -> None:
        """Take note of something for the trace."""

    def imported(self, node: Node, block: Block) -> None:
        """Take note of a block that has become final at a node."""


class Node:
    """One machine of the network.

    Args:
        number: its place, from 0.
        address: its name on the network: the address of its key.
        region: where it stands.
        fabric: the network around it.
        machine: how fast it works.
        has_gossip: pass messages on to the other validators, as Besu does.

    ``chain`` and ``validator`` are given to it before it starts. ``on_message`` is told each message of QBFT that can
    be read, ``on_refusal`` each transaction of a client that this node does not take, and why.
    """

    chain: NodeChain
    validator: Validator

    def __init__(
        self, number: int, address: Address, region: str, fabric: Fabric, machine: Machine, *, has_gossip: bool = True
    ) -> None:
        self.number = number
        self.address = address
        self.name = f"node-{number}"
        self.region = region
        self.machine = machine
        self.has_gossip = has_gossip
        self.is_up = True
        self.session = 0
        self.skew_us = 0
        self.slowness = 1.0
        self.moment_us = 0
        self._fabric = fabric
        self._seen: dict[bytes, None] = {}
        self._later: dict[int, list[Packet]] = {}
        self.synchroniser = Synchroniser(self)
        self.on_message: list[Callable[[Message], None]] = []
        self.on_refusal: list[Callable[[bytes, LedgerError], None]] = []
        self._memory: Memory | None = None
        self._block_timer = 0
        self._round_timer = 0

    # Time

    @property
    def now_us(self) -> int:
        """The machine's clock, microseconds since 1970."""
        return self._fabric.origin_us + self.moment_us + self.skew_us

    def begin(self, time_us: int) -> None:
        """Start a piece of work that came at a virtual time: as soon as the one before it is done."""
        self.moment_us = max(self.moment_us, time_us)

    def spend(self, work_us: int) -> None:
        """Let work take its time."""
        self.moment_us += int(work_us * self.slowness)

    def work(self, gas: int, transactions: int) -> None:
        """Let one pass over a block take its time."""
        self.spend(self.machine.pass_us(gas, transactions))

    def set_block_timer(self, at_us: int | None) -> None:
        """Wake the validator at a time of this machine's clock, or not at all."""
        self._block_timer += 1
        number = self._block_timer

        def fire() -> None:
            if number == self._block_timer:
                self.validator.on_block_timer()

        if at_us is not None:
            self._fabric.at(self, max(self.moment_us, at_us - self._fabric.origin_us - self.skew_us), fire)

    def set_round_timer(self, delay_us: int | None) -> None:
        """Wake the validator after a while, or not at all."""
        self._round_timer += 1
        number = self._round_timer

        def fire() -> None:
            if number == self._round_timer:
                self.validator.on_round_timer()

        if delay_us is not None:
            self._fabric.at(self, self.moment_us + delay_us, fire)

    def call_later(self, delay_us: int, act: Callable[[], None]) -> None:
        """Do something after a while, unless the machine stops before."""
        self._fabric.at(self, self.moment_us + delay_us, act)

    def note(self, event: str, round_: int, detail: str = "") -> None:
        """Take note of something for the trace."""
        self._fabric.note(self, event, round_, detail)

    # Up and down

    def start(self) -> None:
        """Take part from the chain's head on."""
        self.validator.start_height()

    def crash(self) -> None:
        """Stop; all that was in memory is gone."""
        self.is_up = False
        self.session += 1
        self._memory = self.validator.remember() if self.validator.settings.keeps_votes else None
        self._seen, self._later = {}, {}
        self.synchroniser.forget()
        self.chain.forget_pool()

    def restart(self, time_us: int) -> None:
        """Come back with the chain that is on disk; peers say whether it is the newest, if there are any."""
        self.is_up = True
        self.moment_us = time_us
        self.validator.start_height(is_waiting=True)
        self.synchroniser.begin()

    def forget_votes(self) -> None:
        """Lose what was kept of votes: the disk is empty."""
        self._memory = None

    def connect(self, peer: Node) -> None:
        """Tell a peer that has just been connected where this node stands, and what waits here."""
        self._fabric.send(self, peer.address, Packet("status", self.chain.height, FRAME_BYTES))
        waiting = [transaction.encode() for transaction in self.chain.pool]
        if waiting:
            self._send_transactions(peer.address, waiting)

    # Messages

    def multicast(self, message: Message) -> None:
        """Send a message to all other validators."""
        packet = _pack(message)
        for validator in self.validator.height.validators:
            if validator != self.address:
                self._fabric.send(self, validator, packet)

    def send_to(self, validator: Address, message: Message) -> None:
        """Send a message to one other validator."""
        self._fabric.send(self, validator, _pack(message))

    def on_packet(self, sender: Address, packet: Packet) -> None:
        """Take in what a peer has sent."""
        if type(packet.kind) is int:
            self._on_qbft(sender, packet)
        elif packet.kind == "transactions":
            self._on_transactions(packet.content)
        elif packet.kind == "status":
            self.synchroniser.learn_height(sender, packet.content)
        elif packet.kind == "ask":
            self.synchroniser.answer(sender, packet.content)
        else:
            self.synchroniser.take(sender, packet.content)

    def _on_qbft(self, sender: Address, packet: Packet) -> None:
        if packet.content in self._seen:
            return
        self.spend(self.machine.message_us)
        try:
            message = read_message(int(packet.kind), packet.content)
        except ValueError as error:
            self.note("rejected", -1, f"from {sender}: {error}")
            return
        for listener in self.on_message:
            listener(message)
        height = self.chain.height + 1
        if message.height == height:
            self._on_message(sender, packet, message)
        elif message.height > height:
            self._keep(packet, message)
            if message.author in self.validator.height.members:
                self.synchroniser.learn_height(sender, message.height - 1)

    def _remember(self, packet: Packet) -> None:
        self._seen[packet.content] = None
        if len(self._seen) > MAX_SEEN:
            del self._seen[next(iter(self._seen))]

    def _on_message(self, sender: Address, packet: Packet, message: Message) -> None:
        members = self.validator.height.members
        if message.author not in members or self.address not in members or self.synchroniser.is_active:
            return
        self._remember(packet)
        if self.has_gossip:
            for validator in self.validator.height.validators:
                if validator not in {self.address, sender, message.author}:
                    self._fabric.send(self, validator, packet)
        further = len(message.round_changes) + len(message.prepares) + (message.code == Code.COMMIT)
        if further:
            self.check_signatures(further)
        self.validator.on_message(message)

    def _keep(self, packet: Packet, message: Message) -> None:
        """Keep a message for a height that is yet to come. Source: Besu, FutureMessageBuffer."""
        if message.height > self.chain.height + 1 + MAX_HEIGHTS_AHEAD:
            return
        self._remember(packet)
        self._later.setdefault(message.height, []).append(packet)
        if sum(map(len, self._later.values())) <= MAX_BUFFERED:
            return
        if len(self._later) > 1:
            del self._later[max(self._later)]
        else:
            del self._later[message.height][0]

    def head_changed(self, block: Block) -> None:
        """Begin with the next height, with what came for it too early."""
        self._fabric.imported(self, block)
        self._seen.clear()
        height = block.number + 1
        self._later = {later: kept for later, kept in self._later.items() if later >= height}
        waiting = self._later.pop(height, [])
        self.validator.start_height(is_waiting=self.synchroniser.is_active)
        for observer in self._fabric.peers(self):
            if observer.address not in self.validator.height.members:
                self._fabric.send(self, observer.address, Packet("status", block.number, FRAME_BYTES))
        session = self.session
        for packet in waiting:
            if self.session == session and self.chain.height + 1 == height:
                self._on_qbft(self.address, packet)

    # Catching up

    def peers(self) -> list[Address]:
        """Return who is connected."""
        return [peer.address for peer in self._fabric.peers(self)]

    def send(self, peer: Address, packet: Packet) -> None:
        """Send something to a peer."""
        self._fabric.send(self, peer, packet)

    def check_signatures(self, count: int) -> None:
        """Let checking so many take its time."""
        self.spend(count * self.machine.signature_us)

    def resume(self, *, has_moved: bool) -> None:
        """Take part again after catching up."""
        if has_moved and self.validator.settings.starts_after_sync:
            self.validator.start_height()
        memory, self._memory = self._memory, None
        if memory is not None:
            self.validator.recall(memory)

    # Transactions

    def submit(self, raws: Sequence[bytes]) -> list[str | None]:
        """Take transactions in from a client and hand them on; return for each why it was refused, or None."""
        outcomes: list[str | None] = []
        fresh = []
        for raw in raws:
            try:
                if self.chain.receive(raw):
                    fresh.append(raw)
                outcomes.append(None)
            except LedgerError as error:
                outcomes.append(str(error))
                for listener in self.on_refusal:
                    listener(raw, error)
        for peer in self._fabric.peers(self):
            if fresh:
                self._send_transactions(peer.address, fresh)
        return outcomes

    def _send_transactions(self, peer: Address, raws: Sequence[bytes]) -> None:
        size = sum(map(len, raws))
        self._fabric.send(self, peer, Packet("transactions", tuple(raws), size + FRAME_BYTES))

    def _on_transactions(self, raws: Sequence[bytes]) -> None:
        for raw in raws:
            try:
                self.chain.receive(raw)
            except (
                LedgerError
            ):  # this node's head is another, or its rules are: what is refused here may stand elsewhere
                continue


def _pack(message: Message) -> Packet:
    return Packet(int(message.code), message.encoded, len(message.encoded) + FRAME_BYTES)
