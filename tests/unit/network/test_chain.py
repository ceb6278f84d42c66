"""A node's own chain: what it takes for its next block and why not, what waits for one, and who agrees afterwards."""

from dataclasses import replace

import pytest
from eth._utils.address import generate_contract_address
from hypothesis import given, settings
from hypothesis import strategies as st

from chainsec.errors import LedgerError, TransactionRefused
from chainsec.ledger.account import Account
from chainsec.ledger.evm import Genesis
from chainsec.network.chain import NodeChain
from chainsec.network.execution import Executor, decode_raw
from chainsec.network.extradata import Vote
from chainsec.network.founding import found_empty
from chainsec.network.messages import sign_seal
from chainsec.network.permissions import Allowlist, OpenRules
from chainsec.network.surroundings import QbftSettings

CHAIN_ID = 1337
START_S = 1_800_000_000
PERIOD_S = 2
SENDERS = [Account.derive(b"tests/chain", f"sender {number}") for number in range(3)]
NEWCOMER = Account.derive(b"tests/chain", "newcomer")
POOR = Account.derive(b"tests/chain", "poor")
WEALTH_WEI = 10**18
GENESIS = Genesis(
    chain_id=CHAIN_ID,
    timestamp=START_S,
    gas_limit=30_000_000,
    balances=tuple(sorted((sender.address, WEALTH_WEI) for sender in SENDERS)),
)
REMEMBER_PARENT = bytes.fromhex("6001430340600055")
"""Init code: put the hash of the block before this one into slot 0."""


def pay(sender, nonce, **changes):
    """Return a raw transaction of one wei, free of charge where no price is given."""
    parts = {"to": POOR.address, "value": 1, "gas": 21_000, "gas_price": 0, "chain_id": CHAIN_ID}
    return sender.sign(nonce=nonce, **{**parts, **changes}).raw


class Stand:
    """One node's chain, its clock, and what it told of its work."""

    def __init__(self, team, who=0, **changes):
        executor = Executor(CHAIN_ID)
        founding = found_empty(GENESIS, team.addresses, executor)
        self.team = team
        self.keys = {account.address: account for account in [*team.accounts, NEWCOMER]}
        self.time_s = START_S
        self.worked = []
        self.heads = []
        settings_ = QbftSettings(block_period_s=PERIOD_S, epoch_blocks=changes.pop("epoch_blocks", 30_000))
        self.chain = NodeChain(
            founding.blocks,
            executor,
            settings_,
            team.addresses[who],
            clock=lambda: self.time_s * 1_000_000,
            rulebook=changes.pop("rulebook", OpenRules()),
            on_work=lambda gas, transactions: self.worked.append((gas, transactions)),
            on_head=lambda block: self.heads.append((block, self.chain.height, len(self.chain.pool))),
            **changes,
        )

    def pass_time(self):
        self.time_s = self.chain.head.timestamp + PERIOD_S
        return self.time_s

    def build(self, round_=0):
        return self.chain.build(round_, self.pass_time())

    def seal(self, block, validators=None, quorum=None):
        """Return the block, sealed by as many validators as are asked for, all where none is."""
        listed = (validators or self.chain.validators)[:quorum]
        return block.with_header(
            block.header.sealed([sign_seal(self.keys[one], block.header.seal_hash) for one in listed])
        )

    def reseal(self, block, **changes):
        """Return a block with another header, honestly sealed."""
        return self.seal(block.with_header(replace(block.header, **changes)))

    def grow(self, blocks=1):
        return [self.take(self.seal(self.build())) for _ in range(blocks)]

    def take(self, block):
        self.time_s = max(self.time_s, block.header.timestamp)
        assert self.chain.import_sealed(block) is None
        return block

    def state(self):
        """Return everything that a refusal has to leave alone."""
        chain = self.chain
        return (chain.head, tuple(chain.blocks), tuple(chain.executed), chain.tally, tuple(chain.pool), len(self.heads))


@pytest.fixture
def stand(team):
    """Give what makes a chain for one of the team."""
    return lambda who=0, **changes: Stand(team, who, **changes)


@pytest.fixture
def proposer(stand):
    return stand(0)


@pytest.fixture
def follower(stand):
    return stand(1)


def test_a_chain_begins_with_what_it_was_founded_on(proposer, team):
    chain = proposer.chain
    assert (chain.height, chain.head.block_number, chain.validators) == (0, 0, team.addresses)
    assert (chain.chain_id, chain.executed) == (CHAIN_ID, [None])
    assert [chain.balance(sender.address) for sender in SENDERS] == [WEALTH_WEI] * 3
    assert [chain.nonce(sender.address) for sender in SENDERS] == [0, 0, 0]
    assert (len(chain.pool), proposer.worked, proposer.heads) == (0, [], [])


def test_a_block_of_what_waits_is_taken_by_another_node_and_changes_both_states_alike(proposer, follower, team):
    raws = [pay(SENDERS[0], 0), pay(SENDERS[1], 0, value=5), pay(SENDERS[0], 1)]
    assert [proposer.chain.receive(raw) for raw in raws] == [True, True, True]
    assert follower.chain.receive(raws[1])
    block = proposer.build(round_=2)
    header = block.header
    assert block.transactions == tuple(raws)
    assert (header.parent_hash, header.block_number) == (proposer.chain.head.hash, 1)
    assert (header.coinbase, header.timestamp, header.extra.round) == (team.addresses[0], START_S + PERIOD_S, 2)
    assert header.extra.validators == team.addresses
    assert header.gas_used == 3 * 21_000
    assert (proposer.chain.height, len(proposer.chain.pool)) == (0, 3), "making a block is not agreeing on it"

    sealed = proposer.seal(block)
    for node in (proposer, follower):
        node.take(sealed)
        assert node.chain.head is sealed.header
        assert [node.chain.nonce(sender.address) for sender in SENDERS] == [2, 1, 0]
        assert node.chain.balance(POOR.address) == 7
        assert len(node.chain.pool) == 0
        assert node.heads == [(sealed, 1, 0)]
        assert node.chain._found == {}, "what was found of other candidates is of no use any more"
        assert node.chain.executed[1].state_root == header.state_root
        assert len(node.chain.blocks) == len(node.chain.executed) == 2


def test_work_is_told_each_time_that_a_real_node_executes_and_done_once(proposer, follower):
    proposer.chain.receive(pay(SENDERS[0], 0))
    block = proposer.seal(proposer.build())
    assert (proposer.worked, proposer.chain.executor.executions) == ([(21_000, 1)], 1)
    proposer.take(block)
    assert (len(proposer.worked), proposer.chain.executor.executions) == (3, 1)
    follower.time_s = proposer.time_s
    assert follower.chain.check(block) is None
    assert follower.chain.check(block) is None
    follower.take(block)
    assert follower.worked == [(21_000, 1)] * 4
    assert follower.chain.executor.executions == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"parent_hash": bytes(32)}, "it names another parent"),
        ({"timestamp": START_S + PERIOD_S - 1}, "its time is not 2 s after its parent's"),
        ({"timestamp": START_S + 100}, "its time lies in the future"),
        ({"gas_limit": 29_000_000}, "its gas limit moves too far"),
        ({"coinbase": POOR.address}, "its proposer is no validator"),
        ({"state_root": bytes(32)}, "executed here, its state root is another"),
        ({"transaction_root": bytes(32)}, "executed here, its transactions root is another"),
        ({"receipt_root": bytes(32)}, "executed here, its receipts root is another"),
        ({"gas_used": 20_999}, "executed here, its gas used is another"),
        ({"bloom": 1}, "executed here, its bloom is another"),
    ],
)
def test_a_block_that_breaks_a_rule_is_refused_with_the_reason_and_leaves_no_trace(proposer, follower, changes, reason):
    proposer.chain.receive(pay(SENDERS[0], 0))
    follower.chain.receive(pay(SENDERS[1], 0))
    block = proposer.build()
    follower.time_s = proposer.time_s
    before = follower.state()
    wrong = proposer.reseal(block, **changes)
    assert follower.chain.check(wrong) == reason
    assert follower.chain.import_sealed(wrong) == reason
    assert follower.state() == before
    follower.take(proposer.seal(block))


def test_blocks_are_imported_one_height_after_the_other(proposer, follower):
    first, second, third = proposer.grow(3)
    before = follower.state()
    assert follower.chain.import_sealed(third) == "height 3 does not follow 0"
    assert follower.state() == before
    for block in (first, second):
        follower.take(block)
    assert follower.chain.import_sealed(second) == "height 2 does not follow 2"
    assert follower.chain.import_sealed(first) == "height 1 does not follow 2"
    follower.take(third)
    assert follower.chain.head.hash == proposer.chain.head.hash


def test_a_block_on_another_parent_of_the_same_height_is_refused(proposer, follower, stand):
    proposer.chain.receive(pay(SENDERS[0], 0))
    other = stand(2)
    proposer.grow()
    other.grow()
    assert proposer.chain.head.hash != other.chain.head.hash
    follower.take(proposer.chain.blocks[1])
    strange = other.seal(other.build())
    follower.time_s = other.time_s
    assert follower.chain.import_sealed(strange) == "it names another parent"
    assert follower.chain.head.hash == proposer.chain.head.hash


def test_what_no_quorum_has_sealed_is_refused_before_it_is_executed(proposer, follower, stranger):
    proposer.chain.receive(pay(SENDERS[0], 0))
    block = proposer.build()
    follower.time_s = proposer.time_s
    few = proposer.seal(block, quorum=2)
    strange = block.with_header(
        block.header.sealed([*few.header.extra.seals, sign_seal(stranger, block.header.seal_hash)])
    )
    assert follower.chain.import_sealed(block) == "0 seals are no quorum of 4 validators"
    assert follower.chain.import_sealed(few) == "2 seals are no quorum of 4 validators"
    assert follower.chain.import_sealed(strange) == "somebody who is no validator has sealed it"
    assert (follower.chain.height, follower.chain.executor.executions, follower.worked) == (0, 0, [])
    follower.take(proposer.seal(block, quorum=3))


def test_a_block_from_the_future_is_right_later_and_is_not_executed_twice(proposer, follower):
    block = proposer.build()
    follower.time_s = block.header.timestamp - 2
    assert follower.chain.check(block) == "its time lies in the future"
    follower.time_s += 1
    assert follower.chain.check(block) is None
    follower.time_s -= 1
    assert follower.chain.check(block) == "its time lies in the future"
    assert follower.chain.executor.executions == 1


@pytest.mark.parametrize("is_right_first", [True, False])
def test_a_header_that_comes_with_transactions_of_another_block_is_refused_and_harms_neither(
    proposer, follower, is_right_first
):
    proposer.chain.receive(pay(SENDERS[0], 0))
    block = proposer.seal(proposer.build())
    swapped = replace(block, transactions=(pay(SENDERS[1], 0),))
    emptied = replace(block, transactions=())
    follower.time_s = proposer.time_s
    if is_right_first:
        assert follower.chain.check(block) is None
    for wrong in (swapped, emptied):
        assert "executed here, its" in follower.chain.import_sealed(wrong)
    assert follower.chain.height == 0
    follower.take(block)
    assert follower.chain.nonce(SENDERS[0].address) == 1
    assert follower.chain.nonce(SENDERS[1].address) == 0


@pytest.mark.parametrize(
    ("raws", "reason"),
    [
        ([b"\x02nonsense"], "not a valid transaction"),
        ([pay(SENDERS[0], 0, chain_id=1)], "it is for chain id 1"),
        ([pay(SENDERS[0], 1)], "a transaction cannot stand there"),
        ([pay(SENDERS[0], 0), pay(SENDERS[0], 0)], "a transaction cannot stand there"),
        ([pay(POOR, 0)], "a transaction cannot stand there"),
        ([pay(SENDERS[0], 0, gas=40_000_000)], "a transaction cannot stand there"),
    ],
    ids=["no transaction", "another chain", "after a gap", "twice", "from the poor", "over the limit"],
)
def test_a_block_with_a_transaction_that_cannot_stand_there_is_refused(proposer, follower, raws, reason):
    block = proposer.build()
    follower.time_s = proposer.time_s
    before = follower.state()
    wrong = replace(proposer.seal(block), transactions=tuple(raws))
    assert reason in follower.chain.check(wrong)
    assert reason in follower.chain.import_sealed(wrong)
    assert follower.state() == before


def test_a_block_that_the_rulebook_forbids_is_refused_by_who_has_that_rulebook_only(proposer, follower, stand):
    strict = stand(2, rulebook=Allowlist([SENDERS[1].address]))
    proposer.chain.receive(pay(SENDERS[0], 0))
    block = proposer.seal(proposer.build())
    follower.take(block)
    strict.time_s = proposer.time_s
    assert strict.chain.import_sealed(block) == f"{SENDERS[0].address} may not call"
    assert (strict.chain.height, strict.chain.executor.executions) == (0, 0)


def test_what_a_list_forbids_is_taken_once_the_list_is_put_right_and_is_executed_once(stand, proposer):
    rules = Allowlist([])
    follower = stand(1, rulebook=rules)
    proposer.chain.receive(pay(SENDERS[0], 0))
    block = proposer.seal(proposer.build())
    follower.time_s = block.header.timestamp
    assert "may not call" in follower.chain.import_sealed(block)
    assert follower.chain.height == 0
    rules.accounts.add(SENDERS[0].address)
    assert follower.chain.import_sealed(block) is None
    assert (follower.chain.height, follower.chain.executor.executions) == (1, 1)


def test_what_a_list_forbids_meanwhile_is_not_taken_though_it_was_found_right_before(stand, proposer):
    rules = Allowlist([SENDERS[0].address])
    follower = stand(1, rulebook=rules)
    proposer.chain.receive(pay(SENDERS[0], 0))
    block = proposer.seal(proposer.build())
    follower.time_s = block.header.timestamp
    assert follower.chain.check(block) is None
    rules.accounts.clear()
    assert "may not call" in follower.chain.check(block)


def test_a_block_that_was_not_found_right_is_never_made_the_head(proposer):
    block = proposer.build()
    with pytest.raises(AssertionError, match="state root is another"):
        proposer.chain.append(proposer.reseal(block, state_root=bytes(32)))
    assert (proposer.chain.height, proposer.heads) == (0, [])


# The pool


def test_a_transaction_waits_once(proposer):
    raw = pay(SENDERS[0], 0)
    assert [proposer.chain.receive(raw) for _ in range(3)] == [True, False, False]
    assert len(proposer.chain.pool) == 1


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (pay(SENDERS[0], 0, chain_id=1), "chain id 1, not 1337"),
        (pay(SENDERS[0], 0, gas=30_000_001), "over the block's limit"),
        (pay(POOR, 0), "insufficient funds"),
        (pay(SENDERS[0], 0, value=WEALTH_WEI, gas_price=1), "insufficient funds"),
        (pay(SENDERS[0], 0, gas=20_999), "Insufficient gas"),
        (b"", "not a valid transaction"),
        (b"\x05" * 40, "not a valid transaction"),
    ],
    ids=["another chain", "over the limit", "from the poor", "value and gas", "too little gas", "nothing", "no type"],
)
def test_what_no_block_could_hold_is_turned_away_with_the_reason(proposer, raw, reason):
    with pytest.raises(TransactionRefused, match=reason):
        proposer.chain.receive(raw)
    assert len(proposer.chain.pool) == 0
    assert proposer.chain.receive(pay(SENDERS[0], 0, value=WEALTH_WEI))


def test_a_nonce_is_taken_once_while_it_waits_and_used_up_afterwards(proposer):
    proposer.chain.receive(pay(SENDERS[0], 0))
    with pytest.raises(TransactionRefused, match=r"nonce 0 of .* is taken"):
        proposer.chain.receive(pay(SENDERS[0], 0, value=9))
    proposer.grow()
    with pytest.raises(TransactionRefused, match="nonce too low"):
        proposer.chain.receive(pay(SENDERS[0], 0, value=9))
    assert proposer.chain.receive(pay(SENDERS[0], 1))


def test_who_may_not_transact_is_turned_away_and_what_waits_is_left_out_once_it_may_not(stand):
    rules = Allowlist([SENDERS[0].address])
    node = stand(0, rulebook=rules)
    with pytest.raises(LedgerError, match="may not call"):
        node.chain.receive(pay(SENDERS[1], 0))
    raw = pay(SENDERS[0], 0)
    assert node.chain.receive(raw)
    rules.accounts.clear()
    assert node.chain.offer() == []
    assert node.build().transactions == ()
    assert len(node.chain.pool) == 1
    rules.accounts.add(SENDERS[0].address)
    assert node.build().transactions == (raw,)


def test_a_node_offers_what_pays_its_price_and_takes_others_blocks_with_what_does_not(stand, proposer):
    dear = stand(1, min_gas_price_wei=10)
    cheap, enough = pay(SENDERS[0], 0, gas_price=9), pay(SENDERS[1], 0, gas_price=10)
    for node in (dear, proposer):
        assert [node.chain.receive(raw) for raw in (cheap, enough)] == [True, True]
    assert dear.build().transactions == (enough,)
    block = proposer.seal(proposer.build())
    assert block.transactions == (cheap, enough)
    dear.take(block)
    assert dear.chain.balance(proposer.chain.address) == 19 * 21_000


def test_transactions_after_a_gap_wait_until_it_is_filled(proposer):
    late, early = pay(SENDERS[0], 1), pay(SENDERS[0], 0)
    proposer.chain.receive(late)
    assert proposer.build().transactions == ()
    proposer.chain.receive(early)
    assert proposer.build().transactions == (early, late)


def test_what_a_block_cannot_hold_is_left_out_of_it_and_the_rest_is_a_block_that_others_take(proposer, follower):
    good, gap, broke = pay(SENDERS[0], 0), pay(SENDERS[1], 5), pay(POOR, 0, value=2)
    block = proposer.chain.build_of([decode_raw(raw) for raw in (gap, good, broke)], 0, proposer.pass_time())
    assert block.transactions == (good,)
    assert block.header.gas_used == 21_000
    follower.take(proposer.seal(block))
    assert follower.chain.nonce(SENDERS[0].address) == 1


def test_what_waits_is_forgotten_and_can_come_again(proposer):
    raw = pay(SENDERS[0], 0)
    proposer.chain.receive(raw)
    proposer.chain.forget_pool()
    assert len(proposer.chain.pool) == 0
    assert proposer.build().transactions == ()
    assert proposer.chain.receive(raw)


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4), st.integers(0, 3)), max_size=14), st.integers(1, 3))
def test_every_node_that_imports_what_a_pool_gave_has_the_same_state_and_nothing_stands_twice(team, sent, rounds):
    maker, taker = Stand(team, 0), Stand(team, 1)
    share = -(-len(sent) // rounds) or 1
    for start in range(0, max(1, len(sent)), share):
        for who, nonce, value in sent[start : start + share]:
            try:
                maker.chain.receive(pay(SENDERS[who], nonce, value=value))
            except TransactionRefused as refused:
                assert "nonce" in str(refused)  # noqa: PT017 - the only reason there can be
        taker.take(maker.grow()[0])
    found = [decode_raw(raw) for block in taker.chain.blocks for raw in block.transactions]
    for who, sender in enumerate(SENDERS):
        mine = [each.nonce for each in found if each.sender == bytes(sender.address)]
        assert mine == list(range(len(mine)))
        assert taker.chain.nonce(sender.address) == maker.chain.nonce(sender.address) == len(mine)
        offered = {nonce for one, nonce, _ in sent if one == who}
        assert set(mine) <= offered
        assert len(mine) not in offered, "what could stand is not left behind"
    assert taker.chain.head.state_root == maker.chain.head.state_root
    assert taker.chain.balance(POOR.address) == sum(each.value for each in found)


# The state after each block


def test_a_contract_in_a_block_sees_the_hash_of_the_block_before(proposer, follower):
    follower.take(proposer.grow()[0])
    deploy = SENDERS[0].sign(nonce=0, to=None, data=REMEMBER_PARENT, gas=200_000, chain_id=CHAIN_ID)
    proposer.chain.receive(deploy.raw)
    parent = proposer.chain.head.hash
    follower.take(proposer.grow()[0])
    assert follower.chain.executed[2].has_failed == (False,)
    address = generate_contract_address(bytes(SENDERS[0].address), 0)
    for chain in (proposer.chain, follower.chain):
        assert chain.executor.state_of(chain.head).get_storage(address, 0) == int.from_bytes(parent, "big")


def test_a_chain_made_anew_on_an_empty_disk_takes_every_block_again_and_ends_the_same(proposer, stand):
    for nonce in range(4):
        proposer.chain.receive(pay(SENDERS[0], nonce))
        proposer.grow()
    wiped = stand(0)
    assert wiped.chain.nonce(SENDERS[0].address) == 0
    for block in proposer.chain.blocks[1:]:
        wiped.take(block)
    assert wiped.chain.head.encoded == proposer.chain.head.encoded
    assert [each.state_root for each in wiped.chain.executed[1:]] == [
        each.state_root for each in proposer.chain.executed[1:]
    ]
    assert wiped.chain.executor.executions == 4


# Validators


def add(subject=NEWCOMER):
    return Vote(subject.address, is_add=True)


def vote_in_turn(stands, wish, voters):
    """Let one node after the other cast its vote in a block that everybody takes."""
    for voter in voters:
        stands[voter].chain.wishes = [wish]
        block = stands[voter].seal(stands[voter].build())
        assert block.header.extra.vote == wish
        for each in stands:
            each.take(block)
    return stands[0].chain


def test_who_more_than_half_vote_for_agrees_from_the_next_block_on(stand, team):
    stands = [stand(who) for who in range(4)]
    chain = vote_in_turn(stands, add(), [0, 1])
    assert chain.validators == team.addresses
    vote_in_turn(stands, add(), [2])
    five = tuple(sorted([*team.addresses, NEWCOMER.address]))
    assert all(each.chain.validators == five for each in stands)
    assert all(each.chain.head.extra.validators == team.addresses for each in stands)

    block = stands[3].build()
    assert block.header.extra.validators == five
    assert block.header.extra.vote is None
    stands[0].time_s = stands[3].time_s
    assert stands[0].chain.import_sealed(stands[3].seal(block, quorum=3)) == "3 seals are no quorum of 5 validators"
    old = block.header.with_extra(replace(block.header.extra, validators=team.addresses))
    outdated = stands[3].seal(block.with_header(old))
    assert stands[0].chain.import_sealed(outdated) == "its validators are not those of its height"
    stands[0].take(stands[3].seal(block, quorum=4))


def test_who_is_voted_out_seals_and_proposes_no_more(stand, team):
    stands = [stand(who) for who in range(4)]
    gone = team.addresses[3]
    chain = vote_in_turn(stands, Vote(gone, is_add=False), [0, 1, 2])
    assert chain.validators == team.addresses[:3]
    block = stands[0].build()
    stands[1].time_s = stands[0].time_s
    sealed = stands[0].seal(block, validators=(*team.addresses[:2], gone))
    assert stands[1].chain.import_sealed(sealed) == "somebody who is no validator has sealed it"
    theirs = stands[3].build()
    assert stands[1].chain.check(theirs) == "its proposer is no validator"
    stands[1].take(stands[0].seal(block))


def test_a_node_casts_a_wish_once_and_only_while_it_can_still_come_true(proposer, team):
    proposer.chain.wishes = [Vote(team.addresses[1], is_add=True), add()]
    [first, second] = proposer.grow(2)
    assert first.header.extra.vote == add()
    assert second.header.extra.vote is None


def test_votes_are_void_at_the_end_of_an_epoch(stand, team):
    stands = [stand(who, epoch_blocks=3) for who in range(4)]
    vote_in_turn(stands, add(), [0, 1])
    stands[2].chain.wishes = [add()]
    epoch = stands[2].seal(stands[2].build())
    assert epoch.header.extra.vote is None
    for each in stands:
        each.take(epoch)
    chain = vote_in_turn(stands, add(), [2])
    assert chain.validators == team.addresses


class NobodyIsVotedIn(OpenRules):
    def forbids_vote(self, parent, vote):  # noqa: ARG002 - as the protocol has it
        return "nobody" if vote.is_add else None


def test_a_wish_that_the_rulebook_forbids_is_not_cast_and_the_next_one_is(stand, team):
    node = stand(0, rulebook=NobodyIsVotedIn())
    out = Vote(team.addresses[3], is_add=False)
    node.chain.wishes = [add(), out]
    [block] = node.grow()
    assert block.header.extra.vote == out


class LastOneOut(OpenRules):
    def wishes(self, parent, validators):  # noqa: ARG002 - as the protocol has it
        return [Vote(validators[-1], is_add=False)]


def test_what_the_rules_want_is_voted_for_after_what_the_operator_wants(stand, team):
    node = stand(0, rulebook=LastOneOut())
    node.chain.wishes = [add()]
    blocks = node.grow(3)
    assert [block.header.extra.vote for block in blocks] == [add(), Vote(team.addresses[3], is_add=False), None]
    assert node.chain.wishes == [add()]


def test_votes_are_counted_again_by_a_chain_that_is_made_anew(stand):
    stands = [stand(who) for who in range(4)]
    vote_in_turn(stands, add(), [0, 1, 2])
    wiped = stand(2)
    for block in stands[0].chain.blocks[1:]:
        wiped.take(block)
    assert wiped.chain.tally == stands[0].chain.tally
    assert NEWCOMER.address in wiped.chain.validators
