"""One validator's part in agreeing on a block: heights, rounds, and what each message and timer leads to.

A state machine without rules and without a clock: ``justification`` and ``committee`` say what counts, a
``Surroundings`` tells the time, sets timers and carries messages, a ``Chain`` makes, checks and keeps blocks. Follows
Besu's QbftBlockHeightManager, QbftRound, RoundState and RoundChangeManager step by step.
Layer: network. Not here: messages for other heights, synchronising, processing time (``node``), faulty validators
(``byzantine``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from chainsec.network import justification
from chainsec.network.committee import catch_up_size, round_timeout_us
from chainsec.network.justification import Height
from chainsec.network.messages import Code, Commit, Message, Prepare, Prepared, Proposal, RoundChange, sign, sign_seal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainsec.ledger.account import Account
    from chainsec.network.header import Block, Header
    from chainsec.network.messages import Signed
    from chainsec.primitives import Address

__all__ = ["Chain", "Memory", "QbftSettings", "Surroundings", "Validator"]

MAX_ROUNDS_AHEAD = 64
"""Rounds further ahead than this are not remembered: their timeouts would outlast the age of the universe."""
_SECOND_US = 1_000_000


@dataclass(frozen=True)
class QbftSettings:
    """What a network's genesis fixes about QBFT.

    Args:
        block_period_s: least time between two blocks.
        request_timeout_s: how long round 0 may take; each further round twice as long.
        empty_block_period_s: how long the network waits before it makes a block without transactions; 0: not at all.
        epoch_blocks: votes about validators are void at every multiple of it.
        has_catch_up: f+1 round changes for higher rounds move a validator to the lowest of them, as the specification
            asks for; Besu has it off by default.
        round_change_repeat_s: a round change is sent again every so often, as long as the round lasts; 0: once only, as
            Besu does.
        has_access_list: messages have Besu 26.1's slot for a block access list.
        keeps_votes: what a validator has prepared is on its disk, and survives a restart. Besu has it in memory.
        keeps_prepared: a validator that others' messages move to a later round keeps what it has seen prepared, as the
            specification has it. Besu forgets it, and only its own timeout keeps it (QbftBlockHeightManager,
            startNewRound): of seven validators two that lie can then undo a block that is final somewhere.
        starts_after_sync: a node that has caught up takes part at once. Besu before 25.3 waited for the next block,
            which may never come (issue 8307).
        restores_prepared_round: a block that is proposed again is compared with what was prepared in the round in which
            it was. Besu before 24.12 compared it in the new round, where it is another (issue 6732).
    """

    block_period_s: int = 1
    request_timeout_s: float = 4.0
    empty_block_period_s: int = 0
    epoch_blocks: int = 30_000
    has_catch_up: bool = False
    round_change_repeat_s: float = 0.0
    has_access_list: bool = True
    keeps_votes: bool = False
    keeps_prepared: bool = False
    starts_after_sync: bool = True
    restores_prepared_round: bool = True


class Chain(Protocol):
    """What a validator asks of its own chain."""

    @property
    def head(self) -> Header:
        """The newest block's header, sealed."""

    @property
    def validators(self) -> tuple[Address, ...]:
        """Who agrees on the next block, sorted."""

    @property
    def chain_id(self) -> int:
        """EIP-155 identifier."""

    def build(self, round_: int, timestamp_s: int) -> Block:
        """Return a new block on the head, executed."""

    def build_of(self, transactions: Sequence[Any], round_: int, timestamp_s: int) -> Block:
        """Return a new block of these transactions, executed."""

    def check(self, block: Block) -> str | None:
        """Return why a proposed block cannot follow the head, or None."""

    def append(self, block: Block) -> None:
        """Make a block, sealed by a quorum and checked before, the head."""


class Surroundings(Protocol):
    """What a validator asks of the machine it runs on."""

    @property
    def now_us(self) -> int:
        """The machine's clock, microseconds since 1970."""

    def multicast(self, message: Message) -> None:
        """Send a message to all other validators."""

    def send_to(self, validator: Address, message: Message) -> None:
        """Send a message to one other validator."""

    def set_block_timer(self, at_us: int | None) -> None:
        """Call ``on_block_timer`` at a time of the machine's clock, or not at all; a timer set before is void."""

    def set_round_timer(self, delay_us: int | None) -> None:
        """Call ``on_round_timer`` after a while, or not at all; another timer set before is void."""

    def call_later(self, delay_us: int, act: Callable[[], None]) -> None:
        """Do something after a while, unless the machine stops before."""

    def note(self, event: str, round_: int, detail: str = "") -> None:
        """Take note of something for the trace."""


@dataclass
class _Round:
    number: int
    proposal: Message | None = None
    prepares: dict[Address, Signed[Prepare]] = field(default_factory=dict)
    commits: dict[Address, Signed[Commit]] = field(default_factory=dict)

    @property
    def block(self) -> Block | None:
        return None if self.proposal is None else self.proposal.signed.payload.block


@dataclass(frozen=True)
class _Certificate:
    block: Block
    prepares: tuple[Signed[Prepare], ...]
    round: int


@dataclass(frozen=True)
class Memory:
    """What a validator may not forget about a height: the last round it took part in, and what it saw prepared."""

    height: int
    round: int
    certificate: _Certificate | None


class Validator:
    """Takes part in agreeing on the block after its chain's head.

    Args:
        account: the validator's key.
        chain: its own chain.
        surroundings: the machine.
        settings: the network's.

    ``round`` is the current one, None while the next block is not due; ``round_number`` is -1 then.
    """

    round: _Round | None
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
        self._certificate: _Certificate | None = None
        self._early: dict[int, _Round] = {}
        self._round_changes: dict[int, dict[Address, Message]] = {}
        self._answered: set[int] = set()
        self._rounds_of: dict[Address, int] = {}

    def _set_round(self, round_: _Round | None) -> None:
        self.round = round_
        self.round_number = -1 if round_ is None else round_.number

    @property
    def is_member(self) -> bool:
        """Whether this validator has a vote at the height."""
        return self.account.address in self.height.members

    def remember(self) -> Memory:
        """Return what goes to disk where votes are kept."""
        certificate = self._certificate if self.round is None else self._certify(self.round)
        return Memory(self.height.number, self.round_number, certificate)

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
        if self.round is not None and self.settings.keeps_prepared:
            self._certificate = self._certify(self.round)
        self._set_round(self._early.pop(number, None) or _Round(number))
        self._early = {later: votes for later, votes in self._early.items() if later > number}
        self._round_changes = {later: sent for later, sent in self._round_changes.items() if later >= number}
        self.surroundings.set_round_timer(round_timeout_us(self.settings.request_timeout_s, number))
        self.surroundings.note("round", number)

    def _change_round(self, number: int) -> None:
        if self.round is not None:
            if self.round.number >= number:
                return
            self._certificate = self._certify(self.round)
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

    def _certify(self, round_: _Round) -> _Certificate | None:
        if not self._is_prepared(round_):
            return self._certificate
        assert round_.block is not None
        return _Certificate(round_.block, tuple(round_.prepares.values()), round_.number)

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
        round_.proposal = message
        header = message.signed.payload.block.header
        digest, height, number = header.seal_hash, self.height, round_.number
        round_.prepares = {
            author: vote
            for author, vote in round_.prepares.items()
            if justification.check_prepare(vote, height, number, digest) is None
        }
        round_.commits = {
            author: vote
            for author, vote in round_.commits.items()
            if justification.check_commit(vote, height, number, digest) is None
        }
        commit = self.make_commit(digest, number)
        if self._is_prepared(round_):  # the others were faster: their prepares alone are a quorum
            self.send_commit(commit)
        round_.commits.setdefault(self.account.address, commit)
        if self._import_if_committed(round_):
            return
        self.send_prepare(sign(self.account, Prepare(height.number, number, digest)))

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
            early = self._early.setdefault(message.round, _Round(message.round))
            votes: dict[Any, Any] = early.prepares if message.code == Code.PREPARE else early.commits
            votes.setdefault(message.author, message.signed)

    def _count_prepare(self, vote: Signed[Prepare]) -> None:
        round_ = self.round
        if round_ is None or round_.number != vote.payload.round:
            return
        was_prepared = self._is_prepared(round_)
        if self._counts(justification.check_prepare, vote, round_):
            assert vote.author is not None
            round_.prepares.setdefault(vote.author, vote)
        if not was_prepared and self._is_prepared(round_):
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

    def _counts(self, rule: Any, vote: Signed[Any], round_: _Round) -> bool:
        """Tell whether a vote counts; before the proposal is there nobody knows, and it is looked at again then."""
        if round_.block is None:
            return True
        fault = rule(vote, self.height, round_.number, round_.block.header.seal_hash)
        if fault is not None:
            self.surroundings.note("rejected", round_.number, f"{vote.payload.code.name.lower()}: {fault}")
        return fault is None

    def _is_prepared(self, round_: _Round) -> bool:
        return round_.proposal is not None and len(round_.prepares) >= self.height.quorum

    def _import_if_committed(self, round_: _Round) -> bool:
        if round_.block is None or len(round_.commits) < self.height.quorum:
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
