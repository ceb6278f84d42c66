"""Who could take part when: honest nodes within reach of a quorum, their clocks, and who agreed instead of fetching.

What is written down is how the network really stood, whatever the reason: faults may overlap, and rules on chain cut
nodes off too. Layer: network. Not here: what follows from it (``finality``, ``verdict``).
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from chainsec.network.committee import quorum_size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chainsec.network.header import Block
    from chainsec.network.node import Node
    from chainsec.network.simulation import Simulation

__all__ = ["Look", "Presence"]

_SECOND_US = 1_000_000


class Look(NamedTuple):
    """How a network stood from a moment on.

    Args:
        time_us: that moment, virtual time.
        connected: honest nodes that were up and connected to a quorum of honest validators, themselves included, or to
            as many as anybody where that was fewer; by number.
        has_quorum: whether it was a quorum.
        skews_us: how far each node's clock was ahead, by number.
    """

    time_us: int
    connected: frozenset[int]
    has_quorum: bool
    skews_us: tuple[int, ...]

    @property
    def able(self) -> frozenset[int]:
        """The nodes that could take part in making a block, or follow it."""
        return self.connected if self.has_quorum else frozenset()


class Presence:
    """Looks at a network when told to, and at each block that becomes final somewhere first.

    Args:
        network: best one that has not started yet. What was before the first look is taken to have been like it.

    ``agreed`` holds, by height, the honest nodes that had a quorum of commits for the block themselves.
    """

    def __init__(self, network: Simulation) -> None:
        self.agreed: dict[int, set[int]] = {}
        self._network = network
        self._height = network.agreement.height
        self._looks: list[Look] = []
        self.look()
        network.on_import.append(self._on_import)

    def look(self) -> None:
        """Take note of how the network stands now."""
        network = self._network
        look = Look(network.time_us, *_connected(network), tuple(node.skew_us for node in network.nodes))
        if not self._looks or self._looks[-1][1:] != look[1:]:
            self._looks.append(look)

    def look_at(self, times_s: Iterable[float]) -> None:
        """Look at these virtual times too, after whatever is planned for them already."""
        for time_s in times_s:
            self._network.schedule(round(time_s * _SECOND_US), self.look)

    def at(self, time_us: int) -> Look:
        """Return how the network stood at a time."""
        return self._looks[self._place(time_us)]

    def able_throughout(self, start_us: int, end_us: int) -> frozenset[int]:
        """Return the nodes that could take part all the time from ``start_us`` to ``end_us``."""
        looks = self._looks[self._place(start_us) : self._place(end_us) + 1]
        return frozenset.intersection(*(look.able for look in looks))

    def quorum_since(self, start_us: int, end_us: int) -> int:
        """Return since when there was a quorum until ``end_us`` without a break, ``start_us`` at the earliest.

        ``end_us`` where there is none at the end.
        """
        since: int | None = start_us
        for look in self._looks[self._place(start_us) : self._place(end_us) + 1]:
            if not look.able:
                since = None
            elif since is None:
                since = look.time_us
        return end_us if since is None else since

    def _place(self, time_us: int) -> int:
        return max(0, bisect_right(self._looks, time_us, key=lambda look: look.time_us) - 1)

    def _on_import(self, node: Node, block: Block) -> None:
        if node.number in self._network.plan.roles:
            return
        if _has_quorum(node):
            self.agreed.setdefault(block.number, set()).add(node.number)
        if block.number > self._height:
            self._height = block.number
            self.look()


def _connected(network: Simulation) -> tuple[frozenset[int], bool]:
    validators = network.agreement.validators_of(network.agreement.height + 1)
    honest = [node for node in network.nodes if node.is_up and node.number not in network.plan.roles]
    voters = [node for node in honest if node.address in validators]
    reached = {
        node.number: sum(1 for voter in voters if voter is node or network.is_connected(node, voter)) for node in honest
    }
    quorum, most = quorum_size(len(validators)), max(reached.values(), default=0)
    needed = max(1, min(quorum, most))
    return frozenset(number for number, count in reached.items() if count >= needed), most >= quorum


def _has_quorum(node: Node) -> bool:
    """Tell whether a node, while it imports a block, has seen a quorum commit to it: else it was fetched."""
    round_, height = node.validator.round, node.validator.height
    return round_ is not None and round_.block is not None and len(round_.commits) >= height.quorum
