"""Rulebooks by themselves: one for everybody, a list, and a contract asked in the state after a block's parent."""

from itertools import pairwise

import pytest
from eth._utils.address import generate_contract_address
from hypothesis import given, settings
from hypothesis import strategies as st

from chainsec.ledger.account import Account
from chainsec.ledger.evm import Genesis
from chainsec.network import permissions
from chainsec.network.execution import Executor, Plan, decode_raw, genesis_block
from chainsec.network.extradata import ExtraData, Vote
from chainsec.network.header import Block
from chainsec.network.permissions import Allowlist, ContractRules, OpenRules
from chainsec.network.provision import Drafts, PermissionDesk, permissions_address
from chainsec.primitives import Address

CHAIN_ID = 1337
SEED = b"tests/permissions"
SINK = Address(b"\x09" * 20)
GENESIS = Genesis(chain_id=CHAIN_ID, timestamp=1_800_000_000)
NODES = [Account.derive(SEED, f"node {number}") for number in range(3)]
CLIENTS = [Account.derive(SEED, f"client {number}") for number in range(3)]
STRANGER = Account.derive(SEED, "stranger")
EVERYBODY = [*NODES, *CLIENTS, STRANGER]
SITTING = tuple(sorted(node.address for node in NODES[:2]))
"""Who validates: those who may."""


def call(account, nonce=0):
    return decode_raw(account.sign(nonce=nonce, to=SINK, gas=21_000, chain_id=CHAIN_ID).raw)


def create(account, code=b"\x00", nonce=0):
    return decode_raw(account.sign(nonce=nonce, to=None, data=code, gas=200_000, chain_id=CHAIN_ID).raw)


class Land:
    """A chain of headers whose states hold ``NodePermissions``: two validators, an observer, three clients."""

    def __init__(self):
        self.executor = Executor(CHAIN_ID)
        self.genesis = genesis_block(GENESIS, SITTING, self.executor.put_genesis(GENESIS)).header
        self.drafts = Drafts(CHAIN_ID)
        self.desk = PermissionDesk(SEED, self.drafts, NODES, 2, CLIENTS)
        *before, enforcement = self.drafts.take()
        self.prepared = self.follow(self.genesis, before)
        self.enforced = self.follow(self.prepared, [enforcement])

    def follow(self, parent, raws, sitting=SITTING):
        """Return the header over a block of these transactions, all of which have to succeed."""
        made = Plan(
            parent, NODES[0].address, parent.timestamp + 1, parent.gas_limit, tuple(decode_raw(raw) for raw in raws)
        )
        found = self.executor.execute(made, [])
        assert not any(found.has_failed)
        assert found.rejected == ()
        return found.header(made, ExtraData(sitting))

    def after(self, parent, act):
        """Return the header after a block of what the desk signs for an act."""
        act(self.desk)
        return self.follow(parent, self.drafts.take())

    def rules(self):
        return ContractRules(permissions_address(SEED), self.executor)


@pytest.fixture
def land():
    return Land()


@pytest.fixture
def rules(land):
    return land.rules()


def block(proposer, vote=None, parent=None, sitting=SITTING):
    """Return a block of which only proposer, vote and validators are looked at."""
    made = Plan(parent, proposer, parent.timestamp + 1, parent.gas_limit, ())
    found = Executor(CHAIN_ID).execute(made, [])
    return Block(found.header(made, ExtraData(sitting, vote)))


# Open


def test_where_nobody_rules_everybody_may_do_everything(land):
    rules, parent = OpenRules(), land.enforced
    for account in EVERYBODY:
        assert rules.forbids(parent, call(account)) is None
        assert rules.forbids(parent, create(account)) is None
        assert rules.forbids_peer(parent, account.address) is None
        for is_add in (True, False):
            vote = Vote(account.address, is_add=is_add)
            assert rules.forbids_vote(parent, vote) is None
            assert rules.forbids_block(parent, block(account.address, vote, parent), [call(account)]) is None


# A list


@given(st.sets(st.sampled_from(range(len(EVERYBODY)))), st.sampled_from(EVERYBODY))
def test_exactly_those_on_the_list_transact(listed, account):
    rules = Allowlist(EVERYBODY[place].address for place in listed)
    is_listed = account in [EVERYBODY[place] for place in listed]
    for transaction, what in ((call(account), "call"), (create(account), "create a contract")):
        assert rules.forbids(None, transaction) == (None if is_listed else f"{account.address} may not {what}")


def test_the_list_is_todays_at_every_height_and_for_transactions_only(land):
    rules = Allowlist([CLIENTS[0].address])
    for parent in (land.genesis, land.enforced):
        assert rules.forbids(parent, call(CLIENTS[0])) is None
        assert rules.forbids(parent, call(CLIENTS[1])) is not None
    rules.accounts = {CLIENTS[1].address}
    for parent in (land.genesis, land.enforced):
        assert rules.forbids(parent, call(CLIENTS[0])) == f"{CLIENTS[0].address} may not call"
        assert rules.forbids(parent, call(CLIENTS[1])) is None
    assert rules.forbids_peer(land.enforced, STRANGER.address) is None
    assert rules.forbids_vote(land.enforced, Vote(STRANGER.address, is_add=True)) is None


def test_a_block_with_one_transaction_of_somebody_else_is_named_by_the_first(land):
    rules, parent = Allowlist(client.address for client in CLIENTS[:2]), land.enforced
    inside = block(STRANGER.address, parent=parent)
    good = [call(client) for client in CLIENTS[:2]]
    assert rules.forbids_block(parent, inside, good) is None
    assert rules.forbids_block(parent, inside, []) is None
    wrong = [good[0], create(CLIENTS[2]), call(STRANGER), good[1]]
    assert rules.forbids_block(parent, inside, wrong) == f"{CLIENTS[2].address} may not create a contract"


def test_two_nodes_lists_are_their_own():
    accounts = [CLIENTS[0].address]
    one, other = Allowlist(accounts), Allowlist(accounts)
    one.accounts.clear()
    accounts.clear()
    assert other.forbids(None, call(CLIENTS[0])) is None


# The contract


def test_before_the_contract_stands_and_before_it_is_in_force_everything_is_allowed(land, rules):
    for parent in (land.genesis, land.prepared):
        assert rules.forbids(parent, call(STRANGER)) is None
        assert rules.forbids(parent, create(STRANGER)) is None
        assert rules.forbids_peer(parent, STRANGER.address) is None
        assert rules.forbids_vote(parent, Vote(STRANGER.address, is_add=True)) is None
        assert rules.forbids_block(parent, block(STRANGER.address, parent=parent), [call(STRANGER)]) is None


def test_in_force_it_says_who_calls_creates_connects_and_validates(land, rules):
    parent = land.enforced
    calls = {account.address for account in EVERYBODY if rules.forbids(parent, call(account)) is None}
    assert calls == {client.address for client in CLIENTS}
    creates = {account.address for account in EVERYBODY if rules.forbids(parent, create(account)) is None}
    assert creates == set()
    connects = {account.address for account in EVERYBODY if rules.forbids_peer(parent, account.address) is None}
    assert connects == {node.address for node in NODES}
    validates = {
        account.address
        for account in EVERYBODY
        if rules.forbids_block(parent, block(account.address, parent=parent), []) is None
    }
    assert validates == {node.address for node in NODES[:2]}


def test_reasons_name_who_and_what(land, rules):
    parent, who = land.enforced, STRANGER.address
    assert rules.forbids(parent, call(STRANGER)) == f"{who} may not call"
    assert rules.forbids(parent, create(STRANGER)) == f"{who} may not create a contract"
    assert rules.forbids(parent, create(CLIENTS[0])) == f"{CLIENTS[0].address} may not create a contract"
    assert rules.forbids_peer(parent, who) == f"{who} may not connect"
    assert rules.forbids_vote(parent, Vote(who, is_add=True)) == f"{who} may not validate and cannot be voted in"


def test_anybody_may_be_voted_out_and_only_who_may_validate_in(land, rules):
    parent = land.enforced
    for account in EVERYBODY:
        assert rules.forbids_vote(parent, Vote(account.address, is_add=False)) is None
        is_refused = rules.forbids_vote(parent, Vote(account.address, is_add=True)) is not None
        assert is_refused == (account not in NODES[:2])


def test_of_a_block_its_proposer_its_vote_and_each_transaction_is_looked_at(land, rules):
    parent, good = land.enforced, NODES[0].address
    fine = [call(CLIENTS[0]), call(CLIENTS[1])]
    into = Vote(STRANGER.address, is_add=True)
    assert rules.forbids_block(parent, block(good, Vote(NODES[1].address, is_add=True), parent), fine) is None
    assert rules.forbids_block(parent, block(good, Vote(STRANGER.address, is_add=False), parent), fine) is None
    observer = NODES[2].address
    assert rules.forbids_block(parent, block(observer, into, parent), fine) == f"{observer} may not validate"
    voted = rules.forbids_block(parent, block(good, into, parent), [call(STRANGER)])
    assert voted == f"{STRANGER.address} may not validate and cannot be voted in"
    assert rules.forbids_block(parent, block(good, None, parent), [*fine, call(STRANGER)]) == (
        f"{STRANGER.address} may not call"
    )


def test_what_changes_in_a_block_counts_after_it_and_not_before(land, rules):
    client = CLIENTS[0]
    without = land.after(land.enforced, lambda desk: desk.set_client(client.address, is_allowed=False))
    again = land.after(without, lambda desk: desk.set_client(client.address, is_allowed=True))
    expected = {land.enforced.hash: True, without.hash: False, again.hash: True}
    for parent in (again, without, land.enforced, without, again):
        assert (rules.forbids(parent, call(client)) is None) == expected[parent.hash]
        assert rules.forbids(parent, call(CLIENTS[1])) is None
    gone = land.after(again, lambda desk: desk.set_validator(NODES[1].address, is_allowed=False))
    proposed = block(NODES[1].address, parent=gone)
    assert rules.forbids_block(gone, proposed, []) == f"{NODES[1].address} may not validate"
    assert rules.forbids_block(again, proposed, []) is None
    assert rules.forbids_peer(gone, NODES[1].address) is None, "it may connect all the same"


def test_who_may_not_validate_proposes_nothing_as_long_as_one_of_the_others_may(land, rules):
    first, second = (node.address for node in NODES[:2])
    gone = land.after(land.enforced, lambda desk: desk.set_validator(second, is_allowed=False))
    assert rules.forbids_block(gone, block(first, parent=gone), []) is None
    assert rules.forbids_block(gone, block(second, parent=gone), []) == f"{second} may not validate"
    assert rules.forbids_block(gone, block(second, parent=gone, sitting=(second,)), []) is None
    nobody = (second, NODES[2].address)
    for proposer in nobody:
        assert rules.forbids_block(gone, block(proposer, parent=gone, sitting=nobody), []) is None
        forbidden = [call(STRANGER)]
        assert "may not call" in rules.forbids_block(gone, block(proposer, parent=gone, sitting=nobody), forbidden)


def test_honest_proposers_want_out_who_may_not_validate_unless_nobody_would_be_left(land, rules):
    second = NODES[1].address
    assert rules.wishes(land.enforced, SITTING) == []
    strangers = (*SITTING, NODES[2].address, STRANGER.address)
    expected = [Vote(NODES[2].address, is_add=False), Vote(STRANGER.address, is_add=False)]
    assert rules.wishes(land.enforced, strangers) == expected
    assert rules.wishes(land.prepared, strangers) == [], "the contract is not in force yet"
    gone = land.after(land.enforced, lambda desk: desk.set_validator(second, is_allowed=False))
    assert rules.wishes(gone, SITTING) == [Vote(second, is_add=False)]
    assert rules.wishes(gone, (second, STRANGER.address)) == []
    for open_rules in (OpenRules(), Allowlist([])):
        assert open_rules.wishes(gone, SITTING) == []


def test_who_validates_stays_connected_whatever_the_contract_says(land, rules):
    outsider = STRANGER.address
    assert rules.forbids_peer(land.enforced, outsider) == f"{outsider} may not connect"
    sits = land.follow(land.enforced, [], sitting=tuple(sorted([*SITTING, outsider])))
    assert rules.forbids_peer(sits, outsider) is None
    assert rules.forbids_peer(sits, CLIENTS[0].address) is not None


ACTS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2), st.booleans()), min_size=1, max_size=5)
"""Changes of clients: on which earlier block, who, and whether it may transact afterwards."""


@settings(max_examples=10)
@given(ACTS, st.randoms(use_true_random=False))
def test_on_every_branch_answers_follow_from_its_own_blocks_whatever_was_asked_before(acts, dice):
    """Two branches may say otherwise of the same account; one cache serves both."""
    land = Land()
    shared = land.rules()
    headers, allowed = [land.enforced], [{client.address for client in CLIENTS}]
    for back, who, is_allowed in acts:
        place, address = max(0, len(headers) - 1 - back), CLIENTS[who].address
        if (address in allowed[place]) == is_allowed:
            continue
        drafts = Drafts(CHAIN_ID)
        drafts._nonces.update({sender: nonces_of(land, headers[place], sender) for sender in land.drafts._nonces})
        land.desk._drafts = drafts
        land.desk._permissions._client = drafts
        land.drafts = drafts
        headers.append(
            land.after(headers[place], lambda desk, a=address, i=is_allowed: desk.set_client(a, is_allowed=i))
        )
        allowed.append(allowed[place] | {address} if is_allowed else allowed[place] - {address})
    questions = [(place, client) for place in range(len(headers)) for client in CLIENTS] * 2
    dice.shuffle(questions)
    for place, client in questions:
        assert (shared.forbids(headers[place], call(client)) is None) == (client.address in allowed[place])


def nonces_of(land, header, address):
    return land.executor.state_of(header).get_nonce(bytes(address))


# Answers that are kept


def asking(rules):
    """Count what a rulebook asks its contract."""
    asked, ask = [], rules._ask
    rules._ask = lambda at, data: asked.append((at.block_number, data)) or ask(at, data)
    return asked


def test_the_contract_is_asked_once_for_as_long_as_its_storage_stays_the_same(land, rules):
    asked = asking(rules)
    later = [land.enforced]
    for nonce in range(3):
        later.append(land.follow(later[-1], [CLIENTS[0].sign(nonce=nonce, to=SINK, gas=21_000, chain_id=CHAIN_ID).raw]))
    assert all(one.state_root != two.state_root for one, two in pairwise(later))
    for parent in (*later, *later):
        assert rules.forbids(parent, call(CLIENTS[0])) is None
    assert [number for number, _ in asked] == [land.enforced.block_number]
    assert rules.forbids(later[-1], create(CLIENTS[0])) is not None
    assert rules.forbids_peer(later[-1], CLIENTS[0].address) is not None
    assert len({data for _, data in asked}) == len(asked) == 3


def test_what_is_forgotten_is_asked_again_and_answered_the_same(land, rules, monkeypatch):
    monkeypatch.setattr(permissions, "_CACHED_ANSWERS", 2)
    without = land.after(land.enforced, lambda desk: desk.set_client(CLIENTS[1].address, is_allowed=False))
    asked = asking(rules)
    parents = (land.genesis, land.prepared, land.enforced, without)
    for _ in range(2):
        for parent in parents:
            found = [rules.forbids(parent, call(account)) is None for account in (CLIENTS[0], CLIENTS[1], STRANGER)]
            assert (
                found
                == {
                    land.genesis: [True, True, True],
                    land.prepared: [True, True, True],
                    land.enforced: [True, True, False],
                    without: [True, False, False],
                }[parent]
            )
            assert len(rules._answers) <= 2
            assert len(rules._roots) <= 2
    assert len(asked) == 2 * 3 * len(parents)


@pytest.mark.parametrize(
    ("runtime", "is_allowed"),
    [
        ("600160005260206000f3", True),
        ("600060005260206000f3", False),
        ("600260005260206000f3", False),
        ("60006000fd", False),
        ("600160005260206000fd", False),
        ("fe", False),
        ("00", False),
    ],
    ids=["one", "zero", "two", "reverts", "reverts with one", "breaks", "says nothing"],
)
def test_only_a_plain_yes_of_the_contract_allows(land, runtime, is_allowed):
    code = bytes.fromhex(runtime)
    data = (
        bytes([0x60 + len(code) - 1]) + code + bytes.fromhex(f"600052{0x6000 + len(code):04x}60{32 - len(code):02x}f3")
    )
    made = STRANGER.sign(nonce=0, to=None, data=data, gas=200_000, chain_id=CHAIN_ID)
    parent = land.follow(land.genesis, [made.raw])
    address = Address(generate_contract_address(bytes(STRANGER.address), 0))
    assert land.executor.state_of(parent).get_code(bytes(address)) == code
    rules = ContractRules(address, land.executor)
    for account in (CLIENTS[0], STRANGER):
        assert (rules.forbids(parent, call(account)) is None) == is_allowed
        assert (rules.forbids_peer(parent, account.address) is None) == is_allowed
    assert rules.forbids(land.genesis, call(STRANGER)) is None


def test_asking_changes_no_state(land, rules):
    root = land.executor.state_of(land.enforced).state_root
    executions = land.executor.executions
    for account in EVERYBODY:
        rules.forbids(land.enforced, call(account))
    assert land.executor.state_of(land.enforced).state_root == root == land.enforced.state_root
    assert land.executor.executions == executions
