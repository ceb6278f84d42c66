"""Validators that do not keep to the rules, each in one way: what honest ones have to put up with.

Each holds a real key and signs what it likes. Layer: network. Not here: honest behaviour (``validator``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chainsec.ledger.account import Account
from chainsec.network.execution import decode_raw
from chainsec.network.messages import Commit, Message, Prepare, Prepared, Proposal, RoundChange, sign, sign_seal
from chainsec.network.validator import Validator

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from chainsec.network.header import Block
    from chainsec.network.messages import Signed

__all__ = ["ROLES", "BadSeals", "Equivocator", "ForbiddenTransaction", "ForgedRoundChanges", "InvalidBlocks", "Silent"]

_STRANGER = "somebody without a role in this network"


class Silent(Validator):
    """Listens and never says a word, as a validator that hopes for others to fail."""

    def on_block_timer(self) -> None:
        """Enter the round, propose nothing."""
        if self.round is None and self.is_member:
            self._enter_round(0)

    def propose(self, block: Block, round_changes: tuple[Signed[RoundChange], ...], prepares: Sequence[Any]) -> None:
        """Say nothing."""

    def send_prepare(self, vote: Signed[Prepare]) -> None:
        """Say nothing."""

    def send_commit(self, commit: Signed[Commit]) -> None:
        """Say nothing."""

    def on_round_timer(self) -> None:
        """Stay, and say nothing."""

    def _change_round(self, number: int) -> None:
        """Say nothing, also where others' round changes would move an honest validator."""


class Equivocator(Validator):
    """Proposes one block to one half of the validators and another to the other half, and votes for both.

    What it hopes for: that two quorums form. Two quorums share an honest validator, which votes once.
    """

    def propose(self, block: Block, round_changes: tuple[Signed[RoundChange], ...], prepares: Sequence[Any]) -> None:
        """Send two proposals, and this validator's votes for each to those who see it."""
        assert self.round is not None
        if prepares:  # the block is fixed: anything else would be refused
            super().propose(block, round_changes, prepares)
            return
        other = self.chain.build(self.round.number, block.header.timestamp + 1)
        others = [validator for validator in self.height.validators if validator != self.account.address]
        self.surroundings.note("equivocated", self.round.number, block.header.hash.hex())
        for chosen, receivers in ((block, others[::2]), (other, others[1::2])):
            for message in self._all_for(chosen, round_changes):
                for receiver in receivers:
                    self.surroundings.send_to(receiver, message)

    def _all_for(self, block: Block, round_changes: tuple[Signed[RoundChange], ...]) -> list[Message]:
        assert self.round is not None
        height, round_, digest = self.height.number, self.round.number, block.header.seal_hash
        proposal = Proposal(height, round_, block, self.settings.has_access_list)
        seal = sign_seal(self.account, digest)
        return [
            Message(sign(self.account, proposal), round_changes=round_changes),
            Message(sign(self.account, Prepare(height, round_, digest))),
            Message(sign(self.account, Commit(height, round_, seal, digest))),
        ]


class BadSeals(Validator):
    """Takes part, but seals with another key, so that its commits would spoil a header that took them over."""

    def make_commit(self, digest: bytes, round_: int) -> Signed[Commit]:
        """Return a commit, rightly signed, around a seal of somebody else."""
        stranger = Account.derive(self.account.private_key, _STRANGER)
        return sign(self.account, Commit(self.height.number, round_, sign_seal(stranger, digest), digest))


class ForgedRoundChanges(Validator):
    """Calls for later rounds all the time, with a certificate of prepares that nobody has made.

    What it hopes for: rounds without end, or a block of its own in the place of the one that was prepared.
    """

    def start_height(self, *, is_waiting: bool = False) -> None:
        """Begin, and call for the next three rounds at once."""
        super().start_height(is_waiting=is_waiting)
        for number in range(1, 4) if self.is_member else ():
            self.surroundings.multicast(self.make_round_change(number))

    def make_round_change(self, number: int) -> Message:
        """Return a round change that claims that a block of its own was prepared."""
        timestamp_s = self.chain.head.timestamp + self.settings.block_period_s
        block = self.chain.build(number - 1, timestamp_s)
        digest = block.header.seal_hash
        claim = RoundChange(self.height.number, number, Prepared(number - 1, digest))
        vote = Prepare(self.height.number, number - 1, digest)
        forged = [
            sign(Account.derive(self.account.private_key, f"{_STRANGER} {place}"), vote)
            for place in range(self.height.quorum)
        ]
        self.surroundings.note("forged", number)
        return Message(
            sign(self.account, claim),
            block=block,
            prepares=tuple(forged),
            has_access_list=self.settings.has_access_list,
        )


class InvalidBlocks(Validator):
    """Proposes blocks whose state root is not what their transactions lead to."""

    def propose(self, block: Block, round_changes: tuple[Signed[RoundChange], ...], prepares: Sequence[Any]) -> None:
        """Send a proposal that nobody who executes it can take."""
        assert self.round is not None
        wrong = block.with_header(replace(block.header, state_root=bytes(32)))
        payload = Proposal(self.height.number, self.round.number, wrong, self.settings.has_access_list)
        self.surroundings.note("proposed", self.round.number, "an invalid block")
        message = Message(sign(self.account, payload), round_changes=round_changes, prepares=tuple(prepares))
        self.surroundings.multicast(message)


class ForbiddenTransaction(Validator):
    """Puts a transaction into its blocks that the permissions do not allow: of an account that nobody has admitted.

    Each height has another account: before the permissions are on chain everybody may send, and once has to do.
    """

    def propose(self, block: Block, round_changes: tuple[Signed[RoundChange], ...], prepares: Sequence[Any]) -> None:
        """Send a proposal with the stranger's transaction in it, executed rightly."""
        assert self.round is not None
        if not prepares:
            stranger = Account.derive(self.account.private_key, f"{_STRANGER} {self.height.number}")
            self.surroundings.note("proposed", self.round.number, "a forbidden transaction")
            transaction = stranger.sign(nonce=0, to=bytes(20), gas=21_000, chain_id=self.chain.chain_id)
            allowed = [*map(decode_raw, block.transactions), decode_raw(transaction.raw)]
            block = self.chain.build_of(allowed, self.round.number, block.header.timestamp)
        super().propose(block, round_changes, prepares)

    def _is_acceptable(self, message: Message) -> bool:
        """Vote for what it has proposed itself, whatever the rules are."""
        return message.author == self.account.address or super()._is_acceptable(message)


ROLES: dict[str, type[Validator]] = {
    "silent": Silent,
    "equivocator": Equivocator,
    "bad-seals": BadSeals,
    "forged-round-changes": ForgedRoundChanges,
    "invalid-blocks": InvalidBlocks,
    "forbidden-transaction": ForbiddenTransaction,
}
