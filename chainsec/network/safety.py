"""Whether all honest nodes hold the same chain, sealed as it has to be: each block of theirs against the first.

Layer: network. Not here: why blocks differ.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chainsec.network.blockrules import check_seals
from chainsec.network.votes import Tally

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from chainsec.network.header import Block
    from chainsec.primitives import Address

__all__ = ["Agreement", "Final"]


@dataclass
class Final:
    """A height on which an honest node holds a block: the first that became final, and when each node had it.

    Args:
        block: that one, sealed.
        times_us: virtual time at which this block was final at an honest node, by the node's number.
    """

    block: Block
    times_us: dict[int, int] = field(default_factory=dict)


class Agreement:
    """What the honest nodes have agreed on so far.

    Args:
        founding: blocks that everybody has from the start.
        liars: nodes that do not keep to the rules, by number: what they hold, and when, says nothing.
        epoch_blocks: how many blocks an epoch of votes about validators has.

    ``founded`` counts the first ones, ``violations`` says in words where two nodes hold different blocks at one height,
    and where one holds a block that no quorum of its validators has sealed.
    """

    def __init__(self, founding: Sequence[Block], liars: Container[int] = (), epoch_blocks: int = 30_000) -> None:
        self.finals = [Final(block) for block in founding]
        self.founded = len(founding)
        self.violations: list[str] = []
        self._liars = liars
        self._tallies = [Tally(founding[-1].header.extra.validators, epoch_blocks=epoch_blocks)]

    def add(self, node: int, block: Block, time_us: int) -> str | None:
        """Take a block in that is final at a node; return what is wrong with it, or None.

        A node that imports a chain again after losing its disk is held against it too.
        """
        if node in self._liars:
            return None
        height, header = block.number, block.header
        if height == len(self.finals):
            self.finals.append(Final(block))
            self._tallies.append(self._tallies[-1].after(height, header.coinbase, header.extra.vote))
        elif height > len(self.finals):
            return self._violate(f"height {height}: node {node} has a block and nobody had the one before")
        first = self.finals[height]
        names = ("hash", "state_root", "receipt_root")
        differing = [name for name in names if getattr(header, name) != getattr(first.block.header, name)]
        if differing:
            return self._violate(
                f"height {height}: node {node} has block {header.hash.hex()[:12]}, and the first that became final is"
                f" {first.block.header.hash.hex()[:12]}: {', '.join(differing)} differ"
            )
        first.times_us.setdefault(node, time_us)
        fault = check_seals(header, self.validators_of(height))
        if fault is None:
            return None
        return self._violate(f"height {height}: node {node} has a badly sealed block: {fault}")

    def _violate(self, what: str) -> str:
        self.violations.append(what)
        return what

    @property
    def height(self) -> int:
        """The highest block that is final anywhere."""
        return len(self.finals) - 1

    def validators_of(self, height: int) -> tuple[Address, ...]:
        """Return who agrees on the block at a height, sorted: as its parent gives them. The founding's come later."""
        return self._tallies[height - self.founded].validators
