"""How validators change: proposers cast votes in headers, more than half of the validators decide.

Pure values. Layer: network. Not here: who may be voted in at all (``permissions``), when a vote is cast (``chain``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chainsec.network.committee import majority_size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chainsec.network.extradata import Vote
    from chainsec.primitives import Address

__all__ = ["Tally"]

_Ballot = tuple["Address", "Address", bool]
"""Who voted about whom, and whether to add."""


@dataclass(frozen=True)
class Tally:
    """The validators after a block, and the votes since the epoch began that have not decided anything yet.

    Args:
        validators: sorted by address.
        ballots: the standing ones; the latest of each voter about each subject.
        epoch_blocks: how many blocks an epoch has; at each multiple of it, standing votes are void.

    >>> from chainsec.network.extradata import Vote
    >>> from chainsec.primitives import Address
    >>> a, b, c = (Address(bytes(19) + bytes([n])) for n in (1, 2, 3))
    >>> one = Tally((a, b)).after(1, a, Vote(c, is_add=True))
    >>> one.validators == (a, b), one.after(2, b, Vote(c, is_add=True)).validators == (a, b, c)
    (True, True)

    Source: Besu, VoteTally and VoteTallyUpdater.
    """

    validators: tuple[Address, ...]
    ballots: frozenset[_Ballot] = frozenset()
    epoch_blocks: int = 30_000

    def after(self, height: int, proposer: Address, vote: Vote | None) -> Tally:
        """Return the tally after the block at ``height``, whose proposer has cast ``vote``."""
        if height % self.epoch_blocks == 0:
            return replace(self, ballots=frozenset())
        if vote is None:
            return self
        cast = (proposer, vote.subject, vote.is_add)
        ballots = self.ballots - {(proposer, vote.subject, not vote.is_add)} | {cast}
        needed = majority_size(len(self.validators))
        votes = [is_add for _, subject, is_add in ballots if subject == vote.subject]
        if max(votes.count(True), votes.count(False)) < needed:
            return replace(self, ballots=ballots)
        left = frozenset(ballot for ballot in ballots if ballot[1] != vote.subject)
        if votes.count(True) >= needed:  # whichever way this vote went: fewer may be needed than when others voted
            return replace(self, validators=tuple(sorted({*self.validators, vote.subject})), ballots=left)
        remaining = tuple(validator for validator in self.validators if validator != vote.subject)
        return replace(
            self,
            validators=remaining or self.validators,  # nobody would be left to make another block
            ballots=frozenset(ballot for ballot in left if ballot[0] != vote.subject),
        )

    def choose(self, voter: Address, wishes: Iterable[Vote], height: int) -> Vote | None:
        """Return the first of a voter's wishes that the block at ``height`` can still further, or None."""
        if height % self.epoch_blocks == 0:
            return None
        for wish in wishes:
            has_come_true = (wish.subject in self.validators) == wish.is_add
            if not has_come_true and (voter, wish.subject, wish.is_add) not in self.ballots:
                return wish
        return None
