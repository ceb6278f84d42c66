"""A node on its machine: its clock, the work that takes time, messages for other heights, and catching up with peers.

What comes is worked off in the order in which it comes; each piece starts when the one before is done. Around the
validator's state machine this is Besu's QbftController, FutureMessageBuffer and synchroniser.
Layer: network. Not here: agreeing (``validator``), how bytes travel and when a node fails (``simulation``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from chainsec.errors import LedgerError
from chainsec.network.header import Block
from chainsec.network.messages import Code, read_message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainsec.network.chain import NodeChain
    from chainsec.network.machine import Machine
    from chainsec.network.messages import Message
    from chainsec.network.validator import Memory, Validator
    from chainsec.primitives import Address

__all__ = ["Fabric", "Node", "Packet"]

MAX_HEIGHTS_AHEAD = 10
"""Messages for later heights than this are let go. Source: Besu, futuremessagesmaxdistance."""
MAX_BUFFERED = 1_000
"""Messages for later heights that wait at most. Source: Besu, futuremessageslimit."""
MAX_SEEN = 10_000
"""Messages of a height that are known again when they come once more; Besu's duplicateMessageLimit is 100."""
SYNC_TOLERANCE = 5
"""Further behind than this a node does not take part in agreeing. Source: Besu, SyncState."""
BLOCKS_A_REQUEST = 32
_RESTARTED = -1
_REQUEST_TIMEOUT_US = 5_000_000
_FRAME_BYTES = 100
"""What RLPx, TCP and IP add to a message."""


class Packet(NamedTuple):
    """What travels between two nodes: a message of QBFT, or what nodes exchange about blocks and transactions.

    ``kind`` is a ``Code``, or "status", "ask", "blocks", "transactions".
    """

    kind: int | str
    content: Any
    size_bytes: int


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

    ``chain`` and ``validator`` are given to it before it starts.
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
        self._heights: dict[Address, int] = {}
        self._asked: tuple[Address, int] | None = None
        self._distrusted: set[Address] = set()
        self._sync_from: int | None = None
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
        self._seen, self._later, self._heights, self._asked, self._distrusted = {}, {}, {}, None, set()
        self.chain.forget_pool()

    def restart(self, time_us: int) -> None:
        """Come back with the chain that is on disk; peers say whether it is the newest, if there are any."""
        self.is_up = True
        self.moment_us = time_us
        self._sync_from = _RESTARTED

    def forget_votes(self) -> None:
        """Lose what was kept of votes: the disk is empty."""
        self._memory = None

    def connect(self, peer: Node) -> None:
        """Tell a peer that has just been connected where this node stands, and what waits here."""
        self._fabric.send(self, peer.address, Packet("status", self.chain.height, _FRAME_BYTES))
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
            self._learn_height(sender, packet.content)
        elif packet.kind == "ask":
            self._answer(sender, packet.content)
        else:
            self._on_blocks(sender, packet.content)

    def _on_qbft(self, sender: Address, packet: Packet) -> None:
        if packet.content in self._seen:
            return
        self.spend(self.machine.message_us)
        try:
            message = read_message(int(packet.kind), packet.content)
        except ValueError as error:
            self.note("rejected", -1, f"from {sender}: {error}")
            return
        height = self.chain.height + 1
        if message.height == height:
            self._on_message(sender, packet, message)
        elif message.height > height:
            self._keep(packet, message)
            if message.author in self.validator.height.members:
                self._learn_height(sender, message.height - 1)

    @property
    def is_syncing(self) -> bool:
        """Whether the node is catching up, and takes no messages of the height in until it has."""
        return self._sync_from is not None

    def _remember(self, packet: Packet) -> None:
        self._seen[packet.content] = None
        if len(self._seen) > MAX_SEEN:
            del self._seen[next(iter(self._seen))]

    def _on_message(self, sender: Address, packet: Packet, message: Message) -> None:
        members = self.validator.height.members
        if message.author not in members or self.address not in members or self.is_syncing:
            return
        self._remember(packet)
        if self.has_gossip:
            for validator in self.validator.height.validators:
                if validator not in {self.address, sender, message.author}:
                    self._fabric.send(self, validator, packet)
        further = len(message.round_changes) + len(message.prepares) + (message.code == Code.COMMIT)
        if further:
            self.spend(further * self.machine.signature_us)
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
        self.validator.start_height(is_waiting=self.is_syncing)
        for observer in self._fabric.peers(self):
            if observer.address not in self.validator.height.members:
                self._fabric.send(self, observer.address, Packet("status", block.number, _FRAME_BYTES))
        session = self.session
        for packet in waiting:
            if self.session == session and self.chain.height + 1 == height:
                self._on_qbft(self.address, packet)

    # Catching up

    def _learn_height(self, peer: Address, height: int) -> None:
        self._heights[peer] = max(height, self._heights.get(peer, 0))
        is_far = height > self.chain.height + SYNC_TOLERANCE
        if is_far and not self.is_syncing and peer not in self._distrusted:
            self._sync_from = self.chain.height
        self._ask()

    def look_around(self) -> None:
        """Take part again after a restart where nobody is there to ask."""
        if not self._fabric.peers(self):
            self._end_sync()

    def _end_sync(self) -> None:
        """Take part again, once no peer is known to be ahead.

        Where no block has come meanwhile the height goes on as it was: a node that forgot its votes in the middle of a
        height, because somebody claimed to be far ahead, could help to undo what it has voted for.
        """
        if self._sync_from is None:
            return
        has_moved, self._sync_from = self._sync_from != self.chain.height, None
        self.note("synced", -1)
        if has_moved and self.validator.settings.starts_after_sync:
            self.validator.start_height()
        memory, self._memory = self._memory, None
        if memory is not None:
            self.validator.recall(memory)

    def _ask(self) -> None:
        """Ask the peer that is furthest for what is missing, one request at a time.

        A peer that has not given what it claimed to have is asked last, and waited for by nobody, until it gives
        something.
        """
        connected = {peer.address for peer in self._fabric.peers(self)}
        ahead = {
            peer: height for peer, height in self._heights.items() if height > self.chain.height and peer in connected
        }
        is_promising = ahead.keys() - self._distrusted
        if not is_promising:
            self._end_sync()
        if not ahead or (self._asked is not None and (self._asked[0] not in self._distrusted or not is_promising)):
            return
        peer = max(ahead, key=lambda each: (each in is_promising, ahead[each], each))
        asked = self._asked = (peer, self.chain.height + 1)
        self._fabric.send(self, peer, Packet("ask", self.chain.height + 1, _FRAME_BYTES))

        def give_up() -> None:
            if self._asked == asked:
                self._asked = None
                self._distrust(peer)
                self._ask()

        self._fabric.at(self, self.moment_us + _REQUEST_TIMEOUT_US, give_up)

    def _distrust(self, peer: Address) -> None:
        self._distrusted.add(peer)
        self._heights.pop(peer, None)

    def _answer(self, peer: Address, first: int) -> None:
        blocks = tuple(block.encoded for block in self.chain.blocks[max(1, first) : first + BLOCKS_A_REQUEST])
        size = sum(map(len, blocks))
        self._fabric.send(self, peer, Packet("blocks", blocks, size + _FRAME_BYTES))

    def _on_blocks(self, peer: Address, blocks: Sequence[bytes]) -> None:
        if self._asked is None or self._asked[0] != peer:
            return
        self._asked = None
        session = self.session
        fault = self._import_all(blocks)
        if self.session != session:
            return
        is_missing = len(blocks) < BLOCKS_A_REQUEST and self.chain.height < self._heights.get(peer, 0)
        if fault is None and is_missing:
            fault = "it has fewer blocks than it claimed"
        if fault is not None:
            self.note("rejected", -1, f"from a peer: {fault}")
            self._distrust(peer)
        else:
            self._distrusted.discard(peer)
        self._ask()

    def _import_all(self, blocks: Sequence[bytes]) -> str | None:
        """Take blocks over; return what is wrong with the first that is refused."""
        for encoded in blocks:
            try:
                block = Block.decode(encoded)
            except ValueError as error:
                return str(error)
            if block.number <= self.chain.height:
                continue
            self.spend(self.machine.signature_us * len(block.header.extra.seals))
            fault = self.chain.import_sealed(block)
            if fault is not None:
                return f"block {block.number}: {fault}"
        return None

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
        for peer in self._fabric.peers(self):
            if fresh:
                self._send_transactions(peer.address, fresh)
        return outcomes

    def _send_transactions(self, peer: Address, raws: Sequence[bytes]) -> None:
        size = sum(map(len, raws))
        self._fabric.send(self, peer, Packet("transactions", tuple(raws), size + _FRAME_BYTES))

    def _on_transactions(self, raws: Sequence[bytes]) -> None:
        for raw in raws:
            try:
                self.chain.receive(raw)
            except (
                LedgerError
            ):  # this node's head is another, or its rules are: what is refused here may stand elsewhere
                continue


def _pack(message: Message) -> Packet:
    return Packet(int(message.code), message.encoded, len(message.encoded) + _FRAME_BYTES)
