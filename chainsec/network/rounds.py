"""What a validator holds of one round: its proposal, the votes for it, and what is left of it when it is over.

Layer: network, rules. Not here: which votes count (``justification``), what follows from them (``validator``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chainsec.network import justification

if TYPE_CHECKING:
    from chainsec.network.header import Block
    from chainsec.network.justification import Height
    from chainsec.network.messages import Commit, Message, Prepare, Signed
    from chainsec.primitives import Address

__all__ = ["Certificate", "Memory", "Round"]


@dataclass(frozen=True)
class Certificate:
    """A block with the quorum of prepares that it had in a round."""

    block: Block
    prepares: tuple[Signed[Prepare], ...]
    round: int


@dataclass(frozen=True)
class Memory:
    """What a validator may not forget about a height: the last round it took part in, and what it saw prepared."""

    height: int
    round: int
    certificate: Certificate | None


@dataclass
class Round:
    """A round of a height. Before its proposal is there all votes are kept, as nobody knows which will count.

    Args:
        number: from 0.
    """

    number: int
    proposal: Message | None = None
    prepares: dict[Address, Signed[Prepare]] = field(default_factory=dict)
    commits: dict[Address, Signed[Commit]] = field(default_factory=dict)

    @property
    def block(self) -> Block | None:
        """The block that is proposed, None before."""
        return None if self.proposal is None else self.proposal.signed.payload.block

    def accept(self, proposal: Message, height: Height) -> None:
        """Take a proposal, and let go of the votes that are not for it."""
        self.proposal = proposal
        digest = proposal.signed.payload.block.header.seal_hash
        self.prepares = {
            author: vote
            for author, vote in self.prepares.items()
            if justification.check_prepare(vote, height, self.number, digest) is None
        }
        self.commits = {
            author: vote
            for author, vote in self.commits.items()
            if justification.check_commit(vote, height, self.number, digest) is None
        }

    def is_prepared(self, height: Height) -> bool:
        """Tell whether a quorum has prepared the block."""
        return self.proposal is not None and len(self.prepares) >= height.quorum

    def is_committed(self, height: Height) -> bool:
        """Tell whether a quorum has committed to the block."""
        return self.proposal is not None and len(self.commits) >= height.quorum

    def certify(self, height: Height) -> Certificate | None:
        """Return what shows that the block was prepared, None where it was not."""
        if self.block is None or not self.is_prepared(height):
            return None
        return Certificate(self.block, tuple(self.prepares.values()), self.number)
