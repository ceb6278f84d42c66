"""Catching up with peers: who claims to be ahead, whom to ask for blocks, when a node may take part again.

Simpler than devp2p's: one request at a time, 32 blocks an answer. Besu's is the rule that who is far behind waits.
Layer: network. Not here: whether a block may follow (``chain``), what else a node does (``node``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from chainsec.network.header import Block

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from chainsec.network.chain import NodeChain
    from chainsec.primitives import Address

__all__ = ["FRAME_BYTES", "Host", "Packet", "Synchroniser"]

SYNC_TOLERANCE = 5
"""Further behind than this a node does not take part in agreeing. Source: Besu, SyncState."""
BLOCKS_A_REQUEST = 32
FRAME_BYTES = 100
"""What RLPx, TCP and IP add to a message."""
_REQUEST_TIMEOUT_US = 5_000_000
_BEFORE_THE_FIRST = -1


class Packet(NamedTuple):
    """What travels between two nodes: a message of QBFT, or what nodes exchange about blocks and transactions.

    ``kind`` is a ``Code``, or "status", "ask", "blocks", "transactions".
    """

    kind: int | str
    content: Any
    size_bytes: int


class Host(Protocol):
    """The node that is to catch up."""

    chain: NodeChain
    session: int

    def peers(self) -> Collection[Address]:
        """Return who is connected."""

    def send(self, peer: Address, packet: Packet) -> None:
        """Send something to a peer."""

    def call_later(self, delay_us: int, act: Callable[[], None]) -> None:
        """Do something after a while, unless the machine stops before."""

    def check_signatures(self, count: int) -> None:
        """Let checking so many take its time."""

    def note(self, event: str, round_: int, detail: str = "") -> None:
        """Take note of something for the trace."""

    def resume(self, *, has_moved: bool) -> None:
        """Take part again; ``has_moved`` where the head is another than before, or all was forgotten."""


class Synchroniser:
    """What a node knows of its peers' chains, and how it gets what it lacks.

    Args:
        host: the node.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._began_at: int | None = None
        self.forget()

    @property
    def is_active(self) -> bool:
        """Whether the node is catching up, and takes no messages of the height in until it has."""
        return self._began_at is not None

    def forget(self) -> None:
        """Lose what was in memory."""
        self._heights: dict[Address, int] = {}
        self._asked: tuple[Address, int] | None = None
        self._distrusted: set[Address] = set()

    def begin(self) -> None:
        """Wait for what peers say after a restart."""
        self._began_at = _BEFORE_THE_FIRST

    def look_around(self) -> None:
        """Take part again where nobody is there to ask; look again later, as who is there may go without a word."""
        if self._began_at != _BEFORE_THE_FIRST:
            return
        if self._host.peers():
            self._host.call_later(_REQUEST_TIMEOUT_US, self.look_around)
        else:
            self._end()

    def learn_height(self, peer: Address, height: int) -> None:
        """Take in that a peer claims to have a block of this height."""
        self._heights[peer] = max(height, self._heights.get(peer, 0))
        is_far = height > self._host.chain.height + SYNC_TOLERANCE
        if is_far and not self.is_active and peer not in self._distrusted:
            self._began_at = self._host.chain.height
        self._ask()

    def _end(self) -> None:
        """Take part again, once no peer is known to be ahead.

        Where no block has come meanwhile the height goes on as it was: a node that forgot its votes in the middle of a
        height, because somebody claimed to be far ahead, could help to undo what it has voted for.
        """
        if self._began_at is not None:
            has_moved, self._began_at = self._began_at != self._host.chain.height, None
            self._host.note("synced", -1)
            self._host.resume(has_moved=has_moved)

    def _ask(self) -> None:
        """Ask the peer that is furthest for what is missing, one request at a time.

        A peer that has not given what it claimed to have is asked last, and waited for by nobody, until it gives
        something.
        """
        height, connected = self._host.chain.height, set(self._host.peers())
        ahead = {peer: claimed for peer, claimed in self._heights.items() if claimed > height and peer in connected}
        is_promising = ahead.keys() - self._distrusted
        if not is_promising:
            self._end()
        if not ahead or (self._asked is not None and (self._asked[0] not in self._distrusted or not is_promising)):
            return
        peer = max(ahead, key=lambda each: (each in is_promising, ahead[each], each))
        asked = self._asked = (peer, height + 1)
        self._host.send(peer, Packet("ask", height + 1, FRAME_BYTES))

        def give_up() -> None:
            if self._asked == asked:
                self._asked = None
                self._distrust(peer)
                self._ask()

        self._host.call_later(_REQUEST_TIMEOUT_US, give_up)

    def _distrust(self, peer: Address) -> None:
        self._distrusted.add(peer)
        self._heights.pop(peer, None)

    def answer(self, peer: Address, first: int) -> None:
        """Give a peer the blocks from ``first`` on."""
        kept = self._host.chain.blocks[max(1, first) : first + BLOCKS_A_REQUEST]
        blocks = tuple(block.encoded for block in kept)
        self._host.send(peer, Packet("blocks", blocks, sum(map(len, blocks)) + FRAME_BYTES))

    def take(self, peer: Address, blocks: Sequence[bytes]) -> None:
        """Take in the blocks that a peer has given, and ask for more.

        What comes when nobody waits for it any more is taken too, if it fits: it is sealed, and the link was slow. It
        restores no trust.
        """
        if self._asked is None or self._asked[0] != peer:
            self._import_all(blocks)
            self._ask()
            return
        self._asked = None
        session, chain = self._host.session, self._host.chain
        fault = self._import_all(blocks)
        if self._host.session != session:
            return
        if fault is None and len(blocks) < BLOCKS_A_REQUEST and chain.height < self._heights.get(peer, 0):
            fault = "it has fewer blocks than it claimed"
        if fault is None:
            self._distrusted.discard(peer)
        else:
            self._host.note("rejected", -1, f"from a peer: {fault}")
            self._distrust(peer)
        self._ask()

    def _import_all(self, blocks: Sequence[bytes]) -> str | None:
        """Take blocks over; return what is wrong with the first that is refused."""
        chain = self._host.chain
        for encoded in blocks:
            try:
                block = Block.decode(encoded)
            except ValueError as error:
                return str(error)
            if block.number <= chain.height:
                continue
            self._host.check_signatures(len(block.header.extra.seals))
            fault = chain.import_sealed(block)
            if fault is not None:
                return f"block {block.number}: {fault}"
        return None
