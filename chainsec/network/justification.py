"""What a message has to bring along to be taken: QBFT's rules for proposals, prepares, commits and round changes.

Pure functions over one height; each returns a reason, or None. They decide safety: a block that a quorum has prepared
is the only one that a later round can agree on. Layer: network, rules. Not here: whether a block can be executed
(``execution``), what follows from a message (``validator``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from chainsec.network.committee import quorum_size, select_proposer
from chainsec.network.messages import Message, Prepare, Prepared, Proposal, RoundChange, Signed, seal_author

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainsec.network.header import Block
    from chainsec.network.messages import Commit
    from chainsec.primitives import Address

__all__ = ["Height", "best_prepared", "check_commit", "check_prepare", "check_proposal", "check_round_change"]


@dataclass(frozen=True)
class Height:
    """What the rules have to know about the height that is being decided.

    Args:
        number: of the block to agree on.
        validators: sorted by address.
        previous_proposer: who proposed the block before.
        restores_prepared_round: see ``QbftSettings``; False is a defect that once was.
    """

    number: int
    validators: tuple[Address, ...]
    previous_proposer: Address
    restores_prepared_round: bool = True

    @cached_property
    def quorum(self) -> int:
        """How many validators have to agree."""
        return quorum_size(len(self.validators))

    @cached_property
    def members(self) -> frozenset[Address]:
        """The validators, for looking up."""
        return frozenset(self.validators)

    def proposer(self, round_: int) -> Address:
        """Return who proposes in a round."""
        return select_proposer(self.validators, self.previous_proposer, round_)


def check_prepare(vote: Signed[Prepare], height: Height, round_: int, digest: bytes) -> str | None:
    """Return why a prepare does not count for ``digest`` in a round, or None. Source: Besu, PrepareValidator."""
    return _wrong_place(vote, height, round_) or ("it is for another block" if vote.payload.digest != digest else None)


def check_commit(vote: Signed[Commit], height: Height, round_: int, digest: bytes) -> str | None:
    """Return why a commit does not count for ``digest`` in a round, or None. Source: Besu, CommitValidator."""
    fault = _wrong_place(vote, height, round_)
    if fault is None and vote.payload.digest != digest:
        fault = "it is for another block"
    if fault is None and seal_author(digest, vote.payload.seal) != vote.author:
        fault = "its seal is not its author's"
    return fault


def check_round_change(message: Message, height: Height) -> str | None:
    """Return why a round change does not count, or None; its block is not looked into.

    Source: Besu, RoundChangeMessageValidator.
    """
    signed: Signed[RoundChange] = message.signed
    fault = _bad_round_change(signed, height, signed.payload.round)
    if fault is not None:
        return fault
    prepared = signed.payload.prepared
    if message.block is None:
        return "it names a prepared round and brings no block" if prepared else None
    if prepared is None:
        return "it brings a block and names no prepared round"
    if message.block.header.seal_hash != prepared.digest:
        return "it brings another block than was prepared"
    if message.block.header.extra.round != prepared.round:
        return "its block is of another round than the prepared one"
    return _bad_prepares(message.prepares, height, prepared)


def check_proposal(message: Message, height: Height, round_: int) -> str | None:
    """Return why a proposal is not justified in a round, or None; its block is not looked into.

    In round 0 nothing has to be brought along. Later it takes a quorum of round changes: where none of them names a
    prepared block any new block will do, otherwise it is the block of the latest prepared round once more, with the
    quorum of prepares that shows it.

    Source: Besu, ProposalValidator; EEA QBFT specification.
    """
    signed: Signed[Proposal] = message.signed
    block = signed.payload.block
    if signed.author != height.proposer(round_):
        return "its author is not the proposer of the round"
    if (signed.payload.height, signed.payload.round) != (height.number, round_):
        return "it is for another height or round"
    if block.number != height.number or block.header.extra.round != round_:
        return "its block is of another height or round"
    if round_ == 0:
        if message.round_changes or message.prepares:
            return "in round 0 there is nothing to justify"
        return None if block.header.coinbase == signed.author else "its block names another proposer"
    return _unjustified(message, height, round_)


def _unjustified(message: Message, height: Height, round_: int) -> str | None:
    fault = _bad_quorum(message.round_changes, height, "round changes")
    if fault is not None:
        return fault
    for signed in message.round_changes:
        fault = _bad_round_change(signed, height, round_)
        if fault is not None:
            return f"one of its round changes does not count: {fault}"
    named = {signed.payload.prepared for signed in message.round_changes if signed.payload.prepared is not None}
    if len({prepared.round for prepared in named}) != len(named):
        return "its round changes name different blocks for one prepared round"
    if not named:
        return _bad_fresh_block(message)
    latest = max(named, key=lambda prepared: prepared.round)
    header = message.signed.payload.block.header
    compared = header.in_round(latest.round) if height.restores_prepared_round else header
    if compared.seal_hash != latest.digest:
        return "its block is not the one that was prepared last"
    return _bad_prepares(message.prepares, height, latest)


def _bad_fresh_block(message: Message) -> str | None:
    if message.prepares:
        return "it brings prepares though none of its round changes names a prepared block"
    is_own = message.signed.payload.block.header.coinbase == message.author
    return None if is_own else "its block names another proposer"


def _bad_quorum(signed: Sequence[Signed[Any]], height: Height, what: str) -> str | None:
    if len({each.author for each in signed}) != len(signed):
        return f"two of its {what} have one author"
    return f"{len(signed)} {what} are no quorum" if len(signed) < height.quorum else None


def _bad_round_change(signed: Signed[RoundChange], height: Height, round_: int) -> str | None:
    fault = _wrong_place(signed, height, round_)
    if fault is None and signed.payload.round < 1:
        return "nobody changes to round 0"
    prepared = signed.payload.prepared
    if fault is None and prepared is not None and prepared.round >= signed.payload.round:
        return "what it names as prepared was so in no earlier round"
    return fault


def _bad_prepares(prepares: Sequence[Signed[Prepare]], height: Height, prepared: Prepared) -> str | None:
    fault = _bad_quorum(prepares, height, "prepares")
    if fault is not None:
        return fault
    for signed in prepares:
        fault = check_prepare(signed, height, prepared.round, prepared.digest)
        if fault is not None:
            return f"one of its prepares does not count: {fault}"
    return None


def _wrong_place(signed: Signed[Any], height: Height, round_: int) -> str | None:
    if (signed.payload.height, signed.payload.round) != (height.number, round_):
        return "it is for another height or round"
    if signed.author not in height.members:
        return "its author is no validator"
    return None


def best_prepared(round_changes: Sequence[Message]) -> tuple[Block, tuple[Signed[Prepare], ...]] | None:
    """Return the block that was prepared last among valid round changes, with its prepares; None where none was.

    Source: Besu, RoundChangeArtifacts.
    """
    bearing = [(message.signed.payload.prepared, message) for message in round_changes if message.block is not None]
    if not bearing:
        return None
    _, latest = max(bearing, key=lambda pair: pair[0].round)
    assert latest.block is not None
    return latest.block, latest.prepares
