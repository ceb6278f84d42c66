"""One height after another by hand: four validators with keys, a queue between them, timers that go off when told."""

from collections import deque
from dataclasses import replace

import pytest

from chainsec.network.blockrules import check_header, check_seals
from chainsec.network.extradata import ExtraData
from chainsec.network.header import EMPTY_TRIE_ROOT, Block, Header
from chainsec.network.messages import Code, Message, read_message
from chainsec.network.surroundings import QbftSettings
from chainsec.network.validator import MAX_ROUNDS_AHEAD, Validator

SETTINGS = QbftSettings(block_period_s=2, request_timeout_s=4)
SECOND_US = 1_000_000
TRANSACTION = bytes.fromhex("c101")


class Blocks:
    """A chain under the rules for headers; its transactions do nothing."""

    def __init__(self, world, who, validators):
        self.world, self.who, self.validators = world, who, validators
        self.blocks = [Block(world.team.genesis)]
        self.waiting = ()

    chain_id = 1337

    @property
    def head(self):
        return self.blocks[-1].header

    def build(self, round_, timestamp_s):
        return self.build_of(self.waiting, round_, timestamp_s)

    def build_of(self, transactions, round_, timestamp_s):
        header = Header(
            parent_hash=self.head.hash,
            coinbase=self.world.team.addresses[self.who],
            state_root=EMPTY_TRIE_ROOT,
            block_number=self.head.block_number + 1,
            gas_limit=self.head.gas_limit,
            timestamp=timestamp_s,
            extra_data=ExtraData(self.validators, round=round_).encode(),
        )
        return Block(header, tuple(transactions))

    def check(self, block):
        now_us = self.world.now_us
        return check_header(block.header, self.head, self.validators, block_period_s=2, now_us=now_us)

    def append(self, block):
        assert check_seals(block.header, self.validators) is None
        assert self.check(block) is None
        self.blocks.append(block)
        self.world.validators[self.who].start_height()


class Desk:
    """A machine that writes down what it is asked for."""

    def __init__(self, world, who):
        self.world, self.who = world, who
        self.block_timer_us = self.round_timer_us = None
        self.notes = []

    @property
    def now_us(self):
        return self.world.now_us

    def multicast(self, message):
        for other in range(len(self.world.team.accounts)):
            if other != self.who:
                self.world.post(self.who, other, message)

    def send_to(self, validator, message):
        self.world.post(self.who, self.world.team.addresses.index(validator), message)

    def set_block_timer(self, at_us):
        self.block_timer_us = at_us

    def set_round_timer(self, delay_us):
        self.round_timer_us = delay_us

    def note(self, event, round_, detail=""):
        self.notes.append((event, round_, detail))


class World:
    """Validators and what is on its way between them; ``passes`` tells what gets through."""

    def __init__(self, team, settings=SETTINGS, validators=None):
        self.team = team
        self.now_us = (team.genesis.timestamp + 2) * SECOND_US
        self.queue, self.sent, self.passes = deque(), [], lambda sender, receiver, message: True  # noqa: ARG005 - what it is given
        self.chains, self.desks, self.validators = [], [], []
        for who, account in enumerate(team.accounts):
            self.chains.append(Blocks(self, who, validators or team.addresses))
            self.desks.append(Desk(self, who))
            self.validators.append(Validator(account, self.chains[who], self.desks[who], settings))
        for validator in self.validators:
            validator.start_height()

    def post(self, sender, receiver, message):
        self.sent.append((sender, receiver, message))
        if self.passes(sender, receiver, message):
            self.queue.append((receiver, int(message.code), message.encoded))

    def deliver(self):
        while self.queue:
            receiver, code, encoded = self.queue.popleft()
            message = read_message(code, encoded)
            if message.height == self.validators[receiver].height.number:
                self.validators[receiver].on_message(message)

    def block_timers(self, whose=range(4)):
        for who in whose:
            self.validators[who].on_block_timer()
        self.deliver()

    def round_timers(self, whose=range(4)):
        for who in whose:
            self.validators[who].on_round_timer()
        self.deliver()

    def heads(self, whose=range(4)):
        return {self.chains[who].head.hash for who in whose}

    def heights(self):
        return [chain.head.block_number for chain in self.chains]

    def sent_by(self, who, code):
        return {message for sender, _, message in self.sent if sender == who and message.code == code}

    def rejected(self, who):
        return [detail for event, _, detail in self.desks[who].notes if event == "rejected"]


@pytest.fixture
def world(team):
    return World(team)


def no_proposal_from(proposer):
    return lambda sender, receiver, message: not (sender == proposer and message.code == Code.PROPOSAL)  # noqa: ARG005 - all three


def no_commits(sender, receiver, message):  # noqa: ARG001 - what a rule is given
    return message.code != Code.COMMIT


# Round 0


def test_four_agree_in_round_0_and_wait_for_the_next_block(world, team):
    world.block_timers()
    assert world.heights() == [1] * 4
    assert len(world.heads()) == 1
    head = world.chains[2].head
    assert (head.coinbase, head.extra.round) == (team.addresses[0], 0)
    assert all(not world.sent_by(who, Code.ROUND_CHANGE) for who in range(4))
    for code, counts in {
        Code.PROPOSAL: [3, 0, 0, 0],
        Code.PREPARE: [3] * 4,
        Code.COMMIT: [3] * 4,
    }.items():  # to 3 others
        assert [
            sum(sender == who and sent.code == code for sender, _, sent in world.sent) for who in range(4)
        ] == counts
    assert not any(world.rejected(who) for who in range(4))
    for desk, validator in zip(world.desks, world.validators, strict=True):
        assert (validator.round_number, desk.round_timer_us) == (-1, None)
        assert desk.block_timer_us == (head.timestamp + 2) * SECOND_US


def test_proposers_take_turns_from_block_to_block(world, team):
    for height in range(1, 6):
        world.block_timers()
        assert world.chains[0].head.coinbase == team.addresses[(height - 1) % 4]
        world.now_us += 2 * SECOND_US
    assert world.heights() == [5] * 4
    assert len(world.heads()) == 1


def test_three_of_four_are_enough(world):
    world.passes = lambda sender, receiver, message: 3 not in {sender, receiver}  # noqa: ARG005 - what a rule is given
    world.block_timers()
    assert world.heights() == [1, 1, 1, 0]


def test_two_of_four_decide_nothing(world):
    world.passes = lambda sender, receiver, message: {sender, receiver} <= {0, 1}  # noqa: ARG005 - what a rule is given
    world.block_timers()
    world.round_timers()
    assert world.heights() == [0] * 4


def test_a_proposal_before_its_time_starts_the_round(world):
    world.block_timers([0])  # the others' timers have not gone off
    assert world.heights() == [1] * 4


def test_a_block_too_far_ahead_of_a_clock_is_refused_there(world, team):
    early = replace(team.header(), timestamp=team.genesis.timestamp + 10)
    world.validators[1].on_message(team.proposal(0, 0, Block(early)))
    assert world.rejected(1) == ["proposal: its time lies in the future"]
    assert not world.sent_by(1, Code.PREPARE)


def test_the_first_of_two_proposals_stands(world, team):
    first, second = team.block(), team.block(gas_used=1)
    for block in (first, second):
        world.validators[1].on_message(team.proposal(0, 0, block))
    (prepare,) = world.sent_by(1, Code.PREPARE)
    assert prepare.signed.payload.digest == first.header.seal_hash


def test_votes_that_come_before_their_proposal_are_counted_with_it(world, team):
    block = team.block()
    digest = block.header.seal_hash
    one = world.validators[3]
    for who in range(3):
        for vote in (team.prepare(who, 0, digest), team.commit(who, 0, digest)):
            one.on_message(Message(vote))
    assert (world.heights()[3], one.round_number) == (0, -1)
    one.on_message(team.proposal(0, 0, block))
    assert world.chains[3].head.hash == block.header.hash


def test_who_sees_the_proposal_last_commits_at_once_when_the_others_have_prepared(world, team):
    block = team.block()
    digest = block.header.seal_hash
    for who in range(3):
        world.validators[3].on_message(Message(team.prepare(who, 0, digest)))
    world.validators[3].on_message(team.proposal(0, 0, block))
    (commit,) = world.sent_by(3, Code.COMMIT)
    assert commit.signed.payload.digest == digest
    assert world.heights()[3] == 0
    assert sum(sent.code == Code.COMMIT for _, _, sent in world.sent) == 3  # one to each, its own prepare adds none


def test_early_votes_for_another_block_are_let_go_of(world, team):
    one = world.validators[3]
    for who in range(3):
        one.on_message(Message(team.commit(who, 0, bytes(32))))
    one.on_message(team.proposal(0, 0, team.block()))
    assert world.heights()[3] == 0
    assert one.round.commits.keys() == {team.addresses[3]}


def test_a_commit_with_another_s_seal_does_not_count(world, team):
    block = team.block()
    digest = block.header.seal_hash
    one = world.validators[3]
    one.on_message(team.proposal(0, 0, block))
    (seal,) = team.seals(block.header, [0])
    one.on_message(Message(team.commit(0, 0, digest)))
    one.on_message(Message(team.commit(1, 0, digest, seal=seal)))
    assert world.rejected(3) == ["commit: its seal is not its author's"]
    assert world.heights()[3] == 0
    one.on_message(Message(team.commit(1, 0, digest)))
    assert world.heights()[3] == 1


# Who is listened to


def test_somebody_who_is_no_validator_neither_speaks_nor_is_heard(team_class):
    team = team_class(5)
    members = team.addresses[:4]
    team.genesis = team.genesis.with_extra(ExtraData(members))
    world = World(team, validators=members)
    outsider = world.validators[4]
    assert not outsider.is_member
    assert world.desks[4].block_timer_us is None
    digest = bytes(32)
    for message in (Message(team.prepare(4, 0, digest)), team.round_change(4, 1)):
        world.validators[1].on_message(message)
        outsider.on_message(message)
    assert (world.validators[1]._early, world.validators[1]._round_changes) == ({}, {})
    world.block_timers(range(5))
    assert world.heights() == [1, 1, 1, 1, 0]
    assert [message for sender, _, message in world.sent if sender == 4] == []


# Later rounds


def test_a_silent_proposer_costs_one_timeout(world, team):
    world.passes = lambda sender, receiver, message: sender != 0  # noqa: ARG005 - what a rule is given
    world.block_timers()
    assert world.heights() == [0] * 4
    assert {desk.round_timer_us for desk in world.desks[1:]} == {4 * SECOND_US}
    world.now_us += 4 * SECOND_US
    world.round_timers([1, 2])
    assert world.heights() == [0] * 4  # two want to go on, and two are no quorum
    assert world.desks[1].round_timer_us == 8 * SECOND_US
    world.round_timers([3])
    assert world.heights()[1:] == [1] * 3
    head = world.chains[1].head
    assert (head.coinbase, head.extra.round) == (team.addresses[1], 1)
    assert head.timestamp == team.genesis.timestamp + 6


def test_what_a_quorum_has_prepared_is_proposed_again(world, team):
    world.passes = no_commits
    world.block_timers()
    assert world.heights() == [0] * 4
    prepared = world.validators[0].round.block
    world.passes = lambda *_: True
    world.now_us += 4 * SECOND_US
    world.round_timers()
    assert world.heights() == [1] * 4
    head = world.chains[3].head
    assert (head.hash, head.extra.round) == (prepared.header.hash, 1)
    assert (head.coinbase, head.timestamp) == (team.addresses[0], prepared.header.timestamp)
    (proposal,) = world.sent_by(1, Code.PROPOSAL)
    assert len(proposal.round_changes) == 3
    assert len(proposal.prepares) >= 3


def test_one_that_saw_it_prepared_is_enough_to_keep_a_block_if_it_is_heard(world):
    world.passes = lambda sender, receiver, message: message.code == Code.PROPOSAL or receiver == 2  # noqa: ARG005 - what a rule is given
    world.block_timers()
    assert world.heights() == [0] * 4
    prepared = world.validators[2].round.block
    world.passes = lambda *_: True
    world.now_us += 4 * SECOND_US
    world.round_timers([1, 2, 3])
    assert world.heights()[1:] == [1] * 3
    assert world.chains[1].head.hash == prepared.header.hash


def test_before_besu_24_12_what_was_prepared_stalled_the_network(team):
    world = World(team, replace(SETTINGS, restores_prepared_round=False))
    world.passes = no_commits
    world.block_timers()
    world.passes = lambda *_: True
    for _ in range(4):
        world.round_timers()
    assert world.heights() == [0] * 4
    assert "proposal: its block is not the one that was prepared last" in world.rejected(2)


def test_a_validator_s_round_changes_keep_naming_what_it_saw_prepared(world):
    world.passes = no_commits
    world.block_timers()
    digest = world.validators[2].round.block.header.seal_hash
    world.passes = lambda *_: False
    for round_ in (1, 2, 3):
        world.round_timers([2])
        assert world.validators[2].round_number == round_
    changes = sorted(world.sent_by(2, Code.ROUND_CHANGE), key=lambda message: message.round)
    assert [(each.round, each.signed.payload.prepared.round) for each in changes] == [(1, 0), (2, 0), (3, 0)]
    assert {each.signed.payload.prepared.digest for each in changes} == {digest}
    assert world.desks[2].round_timer_us == 32 * SECOND_US


def test_a_quorum_for_a_later_round_moves_a_validator_without_catching_up(world, team):
    one = world.validators[0]
    one.on_block_timer()
    for who in (1, 2):
        one.on_message(team.round_change(who, 3))
    assert one.round_number == 0
    one.on_message(team.round_change(3, 3))
    assert one.round_number == 3
    assert not world.sent_by(0, Code.ROUND_CHANGE)  # it is moved and does not ask


@pytest.mark.parametrize(("has_catch_up", "round_"), [(False, 0), (True, 3)])
def test_catching_up_takes_f_and_one_more_in_higher_rounds_to_the_lowest_of_them(team, has_catch_up, round_):
    world = World(team, replace(SETTINGS, has_catch_up=has_catch_up))
    one = world.validators[0]
    one.on_block_timer()
    one.on_message(team.round_change(1, 5))
    one.on_message(team.round_change(1, 4))
    assert one.round_number == 0  # one of four may lie
    one.on_message(team.round_change(2, 3))
    assert one.round_number == round_
    assert {message.round for message in world.sent_by(0, Code.ROUND_CHANGE)} == ({3} if has_catch_up else set())


def test_validators_that_have_drifted_apart_meet_only_by_catching_up(team):
    # Besu issue 7642 in small: everybody is in another round, number 3 far ahead.
    for has_catch_up, heights in ((False, [0] * 4), (True, [1, 1, 1, 0])):
        world = World(team, replace(SETTINGS, has_catch_up=has_catch_up))
        world.passes = lambda *_: False
        world.block_timers()
        for who, rounds in enumerate((1, 2, 3, 5)):
            for _ in range(rounds):
                world.round_timers([who])
        world.passes = lambda *_: True
        world.now_us += 60 * SECOND_US
        world.round_timers([2, 3])  # to 4 and 6: f + 1 are above numbers 0 and 1
        assert world.heights() == heights
        assert [world.validators[who].round_number for who in (0, 1)] == ([-1, -1] if has_catch_up else [1, 2])


def test_votes_of_a_later_round_wait_for_it(world, team):
    one = world.validators[3]
    world.passes = lambda *_: False
    one.on_block_timer()
    block = team.block(1, proposer=1, timestamp=world.now_us // SECOND_US)
    digest = block.header.seal_hash
    for who in range(3):
        one.on_message(Message(team.prepare(who, 1, digest)))
        one.on_message(Message(team.commit(who, 1, digest)))
    assert (one.round_number, world.heights()[3]) == (0, 0)
    one.on_message(team.proposal(1, 1, block, [team.round_change(who, 1) for who in range(3)]))
    assert world.chains[3].head.hash == block.header.hash
    assert world.chains[3].head.extra.round == 1


def test_a_proposal_of_a_later_round_that_is_not_justified_moves_nobody(world, team):
    one = world.validators[3]
    one.on_block_timer()
    changes = [team.round_change(who, 1) for who in range(2)]
    one.on_message(team.proposal(1, 1, team.block(1, proposer=1), changes))
    assert (one.round_number, one.round.proposal) == (0, None)
    assert world.rejected(3) == ["proposal: 2 round changes are no quorum"]


def test_what_belongs_to_a_round_that_is_over_is_passed_over(world, team):
    one = world.validators[3]
    world.passes = lambda *_: False
    one.on_block_timer()
    one.on_round_timer()
    block = team.block()
    one.on_message(team.proposal(0, 0, block))
    for who in range(3):
        one.on_message(Message(team.commit(who, 0, block.header.seal_hash)))
    assert (one.round_number, one.round.proposal, world.heights()[3]) == (1, None, 0)
    assert world.rejected(3) == []


def test_what_lies_more_than_64_rounds_ahead_is_not_kept(world, team):
    one = world.validators[3]
    one.on_block_timer()
    digest = bytes(32)
    for round_ in (MAX_ROUNDS_AHEAD, MAX_ROUNDS_AHEAD + 1, 2**32 - 1):
        one.on_message(Message(team.prepare(1, round_, digest)))
        one.on_message(Message(team.commit(1, round_, digest)))
        one.on_message(team.round_change(1, round_))
    assert MAX_ROUNDS_AHEAD == 64
    assert one._early.keys() == one._round_changes.keys() == {64}
    assert one._rounds_of == {team.addresses[1]: 64}


# Blocks without transactions


def test_an_empty_block_waits_for_transactions_and_comes_in_the_end(team):
    world = World(team, replace(SETTINGS, empty_block_period_s=6))
    world.block_timers()
    assert (world.heights(), world.sent) == ([0] * 4, [])
    for desk, validator in zip(world.desks, world.validators, strict=True):
        assert (validator.round_number, desk.round_timer_us) == (-1, None)
        assert desk.block_timer_us == world.now_us + 2 * SECOND_US
    world.now_us = (team.genesis.timestamp + 6) * SECOND_US + 1
    world.block_timers()
    assert world.heights() == [1] * 4
    assert world.chains[0].blocks[1].transactions == ()


def test_a_transaction_ends_the_wait(team):
    world = World(team, replace(SETTINGS, empty_block_period_s=6))
    world.block_timers()
    world.now_us += 2 * SECOND_US
    world.chains[0].waiting = (TRANSACTION,)
    world.block_timers()
    assert world.heights() == [1] * 4
    assert world.chains[3].blocks[1].transactions == (TRANSACTION,)
