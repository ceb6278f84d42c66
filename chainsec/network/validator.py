"""One validator's part in agreeing on a block: heights, rounds, and what each message and timer leads to.

A state machine without rules and without a clock: ``justification`` and ``committee`` say what counts, a
``Surroundings`` tells the time, sets timers and carries messages, a ``Chain`` makes, checks and keeps blocks. Follows
Besu's QbftBlockHeightManager, QbftRound, RoundState and RoundChangeManager step by step.
Layer: network. Not here: messages for other heights, synchronising, processing time (``node``), faulty validators
(``byzantine``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chainsec.network import justification
from chainsec.network.committee import catch_up_size, round_timeout_us
from chainsec.network.justification import Height
from chainsec.network.messages import Code, Commit, Message, Prepare, Prepared, Proposal, RoundChange, sign, sign_seal
from chainsec.network.rounds import Certificate, Memory, Round

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainsec.ledger.account import Account
    from chainsec.network.header import Block
    from chainsec.network.messages import Signed
    from chainsec.network.surroundings import Chain, QbftSettings, Surroundings
    from chainsec.primitives import Address

__all__ = ["Validator"]

MAX_ROUNDS_AHEAD = 64
"""Rounds further ahead than this are not remembered: their timeouts would outlast the age of the universe."""
_SECOND_US = 1_000_000


class Validator:
    """Takes part in agreeing on the block after its chain's head.

    Args:
        account: the validator's key.
        chain: its own chain.
        surroundings: the machine.
        settings: the network's.

    ``round`` is the current one, None while the next block is not due; ``round_number`` is -1 then.
    """

    round: Round | None
    round_number: int

    def __init__(self, account: Account, chain: Chain, surroundings: Surroundings, settings: QbftSettings) -> None:
        self.account = account
        self.chain = chain
        self.surroundings = surroundings
        self.settings = settings
        self._start()

    def _start(self) -> None:
        head = self.chain.head
        restores = self.settings.restores_prepared_round
        self.height = Height(head.block_number + 1, self.chain.validators, head.coinbase, restores)
        self._set_round(None)
        self._certificate: Certificate | None = None
        self._early: dict[int, Round] = {}
        self._round_changes: dict[int, dict[Address, Message]] = {}
        self._answered: set[int] = set()
        self._rounds_of: dict[Address, int] = {}

    def _set_round(self, round_: Round | None) -> None:
        self.round = round_
        self.round_number = -1 if round_ is None else round_.number

    @property
    def is_member(self) -> bool:
        """Whether this validator has a vote at the height."""
        return self.account.address in self.height.members

    def remember(self) -> Memory:
        """Return what goes to disk where votes are kept."""
        return Memory(self.height.number, self.round_number, self._latest_certificate())

    def recall(self, memory: Memory) -> None:
        """Go on after a restart: never again in a round in which this validator may have voted."""
        if memory.height == self.height.number and memory.round >= 0 and self.is_member:
            self._certificate = memory.certificate
            self._change_round(memory.round + 1)

    def start_height(self, *, is_waiting: bool = False) -> None:
        """Begin with the block after the head: wait until it is due, or with ``is_waiting`` for another head."""
        self._start()
        self.surroundings.set_round_timer(None)
        if is_waiting:
            self.surroundings.set_block_timer(None)
        elif self.is_member:
            due_s = self.chain.head.timestamp + self.settings.block_period_s
            self.surroundings.set_block_timer(due_s * _SECOND_US)

    # Timers

    def on_block_timer(self) -> None:
        """Begin round 0, and propose if it is this validator's turn."""
        if self.round is not None or not self.is_member:
            return
        self._enter_round(0)
        now_us = self.surroundings.now_us
        if self.height.proposer(0) != self.account.address:
            if self._may_not_be_empty(now_us):
                self._wait_for_transactions(now_us)
            return
        block = self.chain.build(0, (now_us + _SECOND_US // 2) // _SECOND_US)
        if not block.transactions and self._may_not_be_empty(now_us):
            self._wait_for_transactions(now_us)
        else:
            self.propose(block, (), ())

    def _may_not_be_empty(self, now_us: int) -> bool:
        period_s = self.settings.empty_block_period_s
        return period_s > 0 and now_us <= (self.chain.head.timestamp + period_s) * _SECOND_US

    def _wait_for_transactions(self, now_us: int) -> None:
        """Look again a block period later; nobody has to propose until then."""
        empty_at_us = (self.chain.head.timestamp + self.settings.empty_block_period_s) * _SECOND_US
        self.surroundings.set_round_timer(None)
        self._set_round(None)
        self.surroundings.set_block_timer(min(empty_at_us + 1, now_us + self.settings.block_period_s * _SECOND_US))

    def on_round_timer(self) -> None:
        """Give the round up."""
        if self.round is not None:
            self.surroundings.note("timeout", self.round.number)
            self._change_round(self.round.number + 1)

    def _enter_round(self, number: int) -> None:
        if self.settings.keeps_prepared:
            self._certificate = self._latest_certificate()
        self._set_round(self._early.pop(number, None) or Round(number))
        self._early = {later: votes for later, votes in self._early.items() if later > number}
        self._round_changes = {later: sent for later, sent in self._round_changes.items() if later >= number}
        self.surroundings.set_round_timer(round_timeout_us(self.settings.request_timeout_s, number))
        self.surroundings.note("round", number)

    def _change_round(self, number: int) -> None:
        if self.round is not None:
            if self.round.number >= number:
                return
            self._certificate = self._latest_certificate()
        self._enter_round(number)
        message = self.make_round_change(number)
        self.on_round_change(message)
        self.surroundings.multicast(message)
        self._plan_repetition(message)

    def _plan_repetition(self, message: Message) -> None:
        repeat_s = self.settings.round_change_repeat_s
        if repeat_s <= 0:
            return

        def repeat() -> None:
            if (self.height.number, self.round_number) == (message.height, message.round):
                self.surroundings.multicast(message)
                self._plan_repetition(message)

        self.surroundings.call_later(round(repeat_s * _SECOND_US), repeat)

    def _latest_certificate(self) -> Certificate | None:
        """Return what shows the block that was prepared last, None where none was."""
        found = None if self.round is None else self.round.certify(self.height)
        return found or self._certificate

    def make_round_change(self, number: int) -> Message:
        """Return this validator's round change to a round, with what it has seen prepared."""
        certificate, prepared = self._certificate, None
        if certificate is not None:
            prepared = Prepared(certificate.round, certificate.block.header.seal_hash)
        signed = sign(self.account, RoundChange(self.height.number, number, prepared))
        return Message(
            signed,
            block=None if certificate is None else certificate.block,
            prepares=() if certificate is None else certificate.prepares,
            has_access_list=self.settings.has_access_list,
        )

    # Messages

    def on_message(self, message: Message) -> None:
        """Take a message of this height in; whatever it is, only validators of the height are listened to."""
        if not self.is_member or message.author not in self.height.members:
            return
        if message.code in {Code.PREPARE, Code.COMMIT}:
            self._on_vote(message)
        elif message.code == Code.PROPOSAL:
            self.on_proposal(message)
        else:
            self.on_round_change(message)

    def on_proposal(self, message: Message) -> None:
        """Take a proposal for this round or a later one; a later one is gone to if it is justified."""
        if message.round < self.round_number or not self._is_acceptable(message):
            return
        if message.round > self.round_number:
            self._enter_round(message.round)
        self._accept(message)

    def propose(self, block: Block, round_changes: tuple[Signed[RoundChange], ...], prepares: Sequence[Any]) -> None:
        """Send a proposal for the current round, and take it as everybody else does."""
        assert self.round is not None
        payload = Proposal(self.height.number, self.round.number, block, self.settings.has_access_list)
        message = Message(sign(self.account, payload), round_changes=round_changes, prepares=tuple(prepares))
        self.surroundings.note("proposed", self.round.number, block.header.hash.hex())
        self.surroundings.multicast(message)
        if self._is_acceptable(message):
            self._accept(message)

    def _is_acceptable(self, message: Message) -> bool:
        """Tell whether a proposal is the first of its round, justified, and of a block that can follow the head."""
        if self.round is not None and self.round.number == message.round and self.round.proposal is not None:
            return False
        fault = justification.check_proposal(message, self.height, message.round)
        fault = fault or self.chain.check(message.signed.payload.block)
        if fault is not None:
            self.surroundings.note("rejected", message.round, f"proposal: {fault}")
        return fault is None

    def _accept(self, message: Message) -> None:
        """Vote for the proposal of the current round."""
        round_ = self.round
        assert round_ is not None
        round_.accept(message, self.height)
        digest, number = message.signed.payload.block.header.seal_hash, round_.number
        commit = self.make_commit(digest, number)
        if round_.is_prepared(self.height):  # the others were faster: their prepares alone are a quorum
            self.send_commit(commit)
        round_.commits.setdefault(self.account.address, commit)
        if self._import_if_committed(round_):
            return
        self.send_prepare(sign(self.account, Prepare(self.height.number, number, digest)))

    def send_prepare(self, vote: Signed[Prepare]) -> None:
        """Count this validator's prepare and send it."""
        message = Message(vote)
        self._count_prepare(vote)
        self.surroundings.multicast(message)

    def make_commit(self, digest: bytes, round_: int) -> Signed[Commit]:
        """Return this validator's commit, with its seal."""
        seal = sign_seal(self.account, digest)
        return sign(self.account, Commit(self.height.number, round_, seal, digest))

    def send_commit(self, commit: Signed[Commit]) -> None:
        """Send this validator's commit: a quorum has prepared."""
        self.surroundings.note("prepared", commit.payload.round)
        self.surroundings.multicast(Message(commit))

    def _on_vote(self, message: Message) -> None:
        if message.round < self.round_number:
            return
        if message.round == self.round_number:
            count = self._count_prepare if message.code == Code.PREPARE else self._count_commit
            count(message.signed)
        elif message.round <= self.round_number + MAX_ROUNDS_AHEAD:
            early = self._early.setdefault(message.round, Round(message.round))
            votes: dict[Any, Any] = early.prepares if message.code == Code.PREPARE else early.commits
            votes.setdefault(message.author, message.signed)

    def _count_prepare(self, vote: Signed[Prepare]) -> None:
        round_ = self.round
        if round_ is None or round_.number != vote.payload.round:
            return
        was_prepared = round_.is_prepared(self.height)
        if self._counts(justification.check_prepare, vote, round_):
            assert vote.author is not None
            round_.prepares.setdefault(vote.author, vote)
        if not was_prepared and round_.is_prepared(self.height):
            own = round_.commits.get(self.account.address)
            assert round_.block is not None
            self.send_commit(own or self.make_commit(round_.block.header.seal_hash, round_.number))

    def _count_commit(self, vote: Signed[Commit]) -> None:
        round_ = self.round
        assert round_ is not None
        if self._counts(justification.check_commit, vote, round_):
            assert vote.author is not None
            round_.commits.setdefault(vote.author, vote)
        self._import_if_committed(round_)

    def _counts(self, rule: Any, vote: Signed[Any], round_: Round) -> bool:
        """Tell whether a vote counts; before the proposal is there nobody knows, and it is looked at again then."""
        if round_.block is None:
            return True
        fault = rule(vote, self.height, round_.number, round_.block.header.seal_hash)
        if fault is not None:
            self.surroundings.note("rejected", round_.number, f"{vote.payload.code.name.lower()}: {fault}")
        return fault is None

    def _import_if_committed(self, round_: Round) -> bool:
        if round_.block is None or not round_.is_committed(self.height):
            return False
        seals = [vote.payload.seal for vote in round_.commits.values()]
        block = round_.block.with_header(round_.block.header.sealed(seals))
        self.surroundings.note("committed", round_.number, block.header.hash.hex())
        self.chain.append(block)
        return True

    def on_round_change(self, message: Message) -> None:
        """Count a round change; a quorum opens the round, and its proposer proposes."""
        if not self.round_number <= message.round <= self.round_number + MAX_ROUNDS_AHEAD:
            return
        fault = justification.check_round_change(message, self.height)
        if fault is None and message.block is not None:
            fault = self.chain.check(message.block)
        if fault is not None:
            self.surroundings.note("rejected", message.round, f"round change: {fault}")
            return
        assert message.author is not None
        self._rounds_of[message.author] = max(message.round, self._rounds_of.get(message.author, 0))
        target = message.round
        sent = self._round_changes.setdefault(target, {})
        if target not in self._answered:
            sent.setdefault(message.author, message)
        if self.settings.has_catch_up:
            if target == self.round_number and self._is_quorum(target):
                self._open_round(target)
            self._catch_up()
        elif self._is_quorum(target):
            if target > self.round_number:
                self._enter_round(target)
            self._open_round(target)

    def _is_quorum(self, target: int) -> bool:
        return target not in self._answered and len(self._round_changes[target]) >= self.height.quorum

    def _open_round(self, number: int) -> None:
        """Propose in a round that a quorum has changed to, if it is this validator's turn."""
        self._answered.add(number)
        if self.height.proposer(number) != self.account.address:
            return
        sent = tuple(self._round_changes[number].values())
        best = justification.best_prepared(sent)
        prepares: Sequence[Signed[Prepare]] = ()
        if best is None:
            block = self.chain.build(number, self.surroundings.now_us // _SECOND_US)
        else:
            block, prepares = best[0].with_header(best[0].header.in_round(number)), best[1]
        self.propose(block, tuple(message.signed for message in sent), prepares)

    def _catch_up(self) -> None:
        """Go to the lowest of the higher rounds that f+1 others are in. Source: EEA QBFT specification."""
        higher = [round_ for round_ in self._rounds_of.values() if round_ > self.round_number]
        if len(higher) >= catch_up_size(len(self.height.validators)):
            self._change_round(min(higher))
