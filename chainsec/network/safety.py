"""Whether all nodes hold the same chain: every block that becomes final anywhere, held against the first at its height.

Layer: network. Not here: why blocks differ.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainsec.network.header import Block

__all__ = ["Agreement", "Final"]


@dataclass
class Final:
    """A height on which somebody holds a block: the first that became final, and when each node had it.

    Args:
        block: that one, sealed.
        times_us: virtual time at which it was final at a node, by the node's number.
    """

    block: Block
    times_us: dict[int, int] = field(default_factory=dict)


class Agreement:
    """What the nodes have agreed on so far.

    Args:
        founding: blocks that everybody has from the start.

    ``founded`` counts those, ``violations`` says in words where two nodes hold different blocks at one height.
    """

    def __init__(self, founding: Sequence[Block]) -> None:
        self.finals = [Final(block) for block in founding]
        self.founded = len(founding)
        self.violations: list[str] = []

    def add(self, node: int, block: Block, time_us: int) -> str | None:
        """Take a block in that is final at a node; return what is wrong with it, or None.

        A node that imports a chain again after losing its disk is held against it too.
        """
        height = block.number
        if height == len(self.finals):
            self.finals.append(Final(block))
        elif height > len(self.finals):
            return self._violate(f"height {height}: node {node} has a block and nobody had the one before")
        first = self.finals[height]
        first.times_us.setdefault(node, time_us)
        names = ("hash", "state_root", "receipt_root")
        differing = [name for name in names if getattr(block.header, name) != getattr(first.block.header, name)]
        if not differing:
            return None
        return self._violate(
            f"height {height}: node {node} has block {block.header.hash.hex()[:12]}, others"
            f" {first.block.header.hash.hex()[:12]}: {', '.join(differing)} differ"
        )

    def _violate(self, what: str) -> str:
        self.violations.append(what)
        return what

    @property
    def height(self) -> int:
        """The highest block that is final anywhere."""
        return len(self.finals) - 1
