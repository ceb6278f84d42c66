"""NodePermissions on a network: who may transact, connect and validate, by the rules as of each block's parent."""

import pytest

from chainsec.ledger.account import Account
from chainsec.network.execution import decode_raw
from chainsec.network.extradata import Vote
from chainsec.network.permissions import ContractRules
from chainsec.network.provision import permissions_address
from chainsec.services.permissions import public_key_of

CONTRACT = {"permissions": "contract"}
SEED = (11).to_bytes(8, "big")


@pytest.fixture
def ruled(stage):
    """Give a network of four validators and an observer whose rules are in force."""
    found = stage(nodes=5, duration_s=60, rate_per_s=0, network={**CONTRACT, "validators": 4})
    found.run(3)
    assert found.traffic.refused == {}
    return found


def client(number):
    return Account.derive(SEED, f"client {number}")


def call(account, nonce=0):
    """Return a raw transaction that only has to be allowed."""
    return account.sign(nonce=nonce, to=bytes(19) + b"\x09", gas=21_000, chain_id=1337).raw


def holds(stage, node, raw):
    return [block.number for block in stage.nodes[node].chain.blocks if raw in block.transactions]


def all_hold(stage, raw):
    found = {tuple(holds(stage, node.number, raw)) for node in stage.nodes if node.chain.height == stage.heights()[0]}
    assert len(found) == 1
    return list(found.pop())


def test_accounts_that_the_contract_knows_transact_and_others_are_turned_away_at_every_node(ruled):
    known = call(ruled.traffic._senders[0])
    stranger = call(Account.derive(SEED, "nobody"))
    assert ruled.send(0, [known]) == [None]
    for node in range(5):
        [refusal] = ruled.send(node, [stranger])
        assert "may not call" in refusal
    ruled.run(4)
    assert len(all_hold(ruled, known)) == 1
    assert all_hold(ruled, stranger) == []


def test_calls_are_allowed_to_clients_that_may_not_create_contracts(ruled):
    sender = ruled.traffic._senders[0]
    creation = sender.sign(nonce=0, to=None, data=b"\x00", gas=100_000, chain_id=1337).raw
    [refusal] = ruled.send(0, [creation])
    assert "may not create a contract" in refusal
    assert ruled.send(0, [call(sender)]) == [None]


def test_before_the_contract_stands_everybody_transacts(stage):
    early = stage(rate_per_s=0, network=CONTRACT)
    stranger = call(Account.derive(SEED, "nobody"))
    assert early.send(0, [stranger]) == [None]
    early.run(3)
    assert all_hold(early, stranger) == [1]


def test_an_account_that_a_block_removes_may_still_stand_in_that_block_and_not_in_the_next(ruled):
    """The contract removes client 0 in block k, before the client's own transaction in the same block."""
    sender = ruled.traffic._senders[0]
    chain = ruled.nodes[0].chain
    ruled.desk.set_client(sender.address, is_allowed=False)
    [removal] = ruled.traffic._drafts.take()
    first, second = call(sender, 0), call(sender, 1)
    now_s = chain.head.timestamp + 1
    together = chain.build_of([decode_raw(removal), decode_raw(first)], 0, now_s)
    assert together.transactions == (removal, first)
    for node in ruled.nodes[:4]:
        if node.chain.address in node.chain.validators:
            assert node.chain.rulebook.forbids_block(node.chain.head, together, [decode_raw(first)]) is None

    assert ruled.send(0, [removal, first]) == [None, None]
    ruled.run(4)
    assert all_hold(ruled, removal) == all_hold(ruled, first) != []

    [refusal] = ruled.send(0, [second])
    assert "may not call" in refusal
    late = ruled.nodes[0].chain
    forbidden = late.build_of([decode_raw(second)], 0, late.head.timestamp + 1)
    assert forbidden.transactions == (second,)
    for node in ruled.nodes[1:4]:
        if node.chain.height == late.height:
            assert "may not call" in node.chain.rulebook.forbids_block(late.head, forbidden, [decode_raw(second)])
    ruled.run(3)
    assert all_hold(ruled, second) == []
    assert ruled.network.agreement.violations == []


def test_an_account_taken_on_in_a_block_may_not_stand_in_it_but_in_the_next(ruled):
    newcomer = Account.derive(SEED, "newcomer")
    raw = call(newcomer)
    ruled.desk.set_client(newcomer.address, is_allowed=True)
    [admission] = ruled.traffic._drafts.take()
    chain = ruled.nodes[0].chain
    transactions = [decode_raw(admission), decode_raw(raw)]
    together = chain.build_of(transactions, 0, chain.head.timestamp + 1)
    assert "may not call" in chain.rulebook.forbids_block(chain.head, together, transactions)
    assert ruled.send(0, [admission]) == [None]
    ruled.run(3)
    assert ruled.send(0, [raw]) == [None]
    ruled.run(3)
    [admitted], [standing] = all_hold(ruled, admission), all_hold(ruled, raw)
    assert standing > admitted


@pytest.mark.parametrize("number", range(4))
def test_a_forbidden_transaction_makes_the_block_invalid_and_the_next_round_agrees(stage, number):
    """One of the four proposes the first block, when nothing is forbidden yet: that it may send then is not all."""
    found = stage(duration_s=30, network=CONTRACT, byzantine=[{"node": number, "role": "forbidden-transaction"}])
    found.run(30)
    liar = found.nodes[number].address
    lies = [event for event in found.events("proposed", number) if "forbidden" in event.detail]
    lost = {event.height for event in lies if event.time_us > 4_000_000}
    assert len(lost) >= 3
    finals = found.network.agreement.finals
    for height in lost & set(range(len(finals))):
        header = finals[height].block.header
        assert header.coinbase != liar
        assert header.extra.round >= 1
        refusing = {e.node for e in found.events("rejected") if e.height == height and "may not call" in e.detail}
        assert refusing == {0, 1, 2, 3} - {number}
    ruled_from = min(lost)
    senders = {decode_raw(raw).sender for final in finals[ruled_from:] for raw in final.block.transactions}
    key, name = found.nodes[number].validator.account.private_key, "somebody without a role in this network"
    assert not {Account.derive(key, f"{name} {height}").address for height in lost} & senders
    assert found.network.agreement.violations == []
    assert found.heights() == [found.network.agreement.height] * 4


def test_without_rules_the_same_proposer_harms_nobody_and_its_transaction_stands(stage):
    found = stage(duration_s=12, byzantine=[{"node": 1, "role": "forbidden-transaction"}])
    found.run(12)
    assert found.reasons() == {}
    assert found.events("timeout") == []
    assert any(final.block.header.coinbase == found.nodes[1].address for final in found.network.agreement.finals)


def test_a_new_node_syncs_a_chain_whose_rules_changed_on_the_way(ruled):
    """Old blocks hold transactions of accounts that were removed later."""
    late = ruled.nodes[4]
    ruled.network.crash(late)
    senders = ruled.traffic._senders
    raws = [call(sender) for sender in senders]
    assert ruled.send(0, raws) == [None] * len(raws)
    ruled.run(3)
    for sender in senders[1:]:
        ruled.desk.set_client(sender.address, is_allowed=False)
    assert set(ruled.send(0)) == {None}
    ruled.run(3)
    ruled.network.restart(late, is_wiped=True)
    assert late.chain.height == 0
    ruled.run(6)
    assert late.chain.height == ruled.network.agreement.height
    assert ruled.hashes(late.chain.height - 1) == {late.chain.blocks[-2].header.hash}
    assert all(holds(ruled, 4, raw) for raw in raws)
    assert late.chain.rulebook.forbids(late.chain.head, decode_raw(call(senders[1], 1))) is not None
    assert late.chain.rulebook.forbids(late.chain.head, decode_raw(call(senders[0], 1))) is None
    assert ruled.reasons(4) == {}


def expel(ruled, node):
    desk = ruled.desk
    desk._permissions.expel_node(desk._admin, node.address)
    assert ruled.send(0) == [None]
    ruled.run(3)


def test_a_node_that_may_not_connect_is_dropped_and_hears_of_no_block_any_more(ruled):
    network, observer = ruled.network, ruled.nodes[4]
    assert all(network.is_connected(observer, other) for other in ruled.nodes[:4])
    expel(ruled, observer)
    assert not any(network.is_connected(observer, other) for other in ruled.nodes[:4])
    assert observer not in network.peers(ruled.nodes[0])
    stands_at = observer.chain.height
    ruled.run(5)
    assert observer.chain.height == stands_at
    assert len(set(ruled.heights()[:4])) == 1
    assert ruled.heights()[0] >= stands_at + 4
    assert ruled.network.agreement.violations == []


def test_a_node_that_was_dropped_comes_back_when_it_may_connect_again(ruled):
    desk, observer = ruled.desk, ruled.nodes[4]
    expel(ruled, observer)
    ruled.run(4)
    desk._permissions.add_node(desk._managers[4], public_key_of(ruled.network.plan.account(4)))
    assert ruled.send(0) == [None]
    ruled.run(5)
    assert observer.chain.height >= ruled.network.agreement.height - 1


def test_a_node_that_may_not_validate_cannot_be_voted_in(ruled):
    observer = ruled.nodes[4]
    wish = Vote(observer.address, is_add=True)
    chain = ruled.nodes[0].chain
    assert "cannot be voted in" in chain.rulebook.forbids_vote(chain.head, wish)
    for node in ruled.nodes[:4]:
        node.chain.wishes = [wish]
    ruled.run(8)
    assert observer.address not in ruled.nodes[0].chain.validators
    assert all(final.block.header.extra.vote is None for final in ruled.network.agreement.finals)

    ruled.desk.set_validator(observer.address, is_allowed=True)
    assert ruled.send(0) == [None]
    ruled.run(10)
    assert observer.address in ruled.nodes[0].chain.validators
    assert any(final.block.header.coinbase == observer.address for final in ruled.network.agreement.finals)
    assert len({node.chain.tally for node in ruled.nodes}) == 1


def test_a_validator_that_may_no_longer_validate_proposes_nothing_more_and_is_voted_out(ruled):
    out = ruled.nodes[2]
    ruled.desk.set_validator(out.address, is_allowed=False)
    assert ruled.send(0) == [None]
    ruled.run(3)
    since = ruled.network.agreement.height
    ruled.run(14)
    later = [final.block.header for final in ruled.network.agreement.finals[since + 1 :]]
    assert out.address not in {header.coinbase for header in later}
    votes = [header.extra.vote for header in later if header.extra.vote is not None]
    assert votes
    assert set(votes) == {Vote(out.address, is_add=False)}
    assert len(votes) <= 4, "nobody votes once it is out"
    assert all(node.chain.validators == tuple(sorted(set(addresses(ruled, 4)) - {out.address})) for node in ruled.nodes)
    timeouts, settled = len(ruled.events("timeout")), ruled.network.agreement.height
    ruled.run(8)
    assert len(ruled.events("timeout")) == timeouts
    assert ruled.network.agreement.height >= settled + 7
    assert out.chain.height >= ruled.network.agreement.height - 1, "it follows as long as it may connect"
    assert ruled.network.agreement.violations == []


def addresses(ruled, count):
    return [node.address for node in ruled.nodes[:count]]


def test_with_half_of_the_organisations_suspended_the_act_that_restores_them_still_finds_a_block(ruled):
    """Two of four cannot be voted out by two; they go on sealing, and nobody cuts them off."""
    desk = ruled.desk
    admin, permissions = desk._admin, desk._permissions
    for organisation in desk.organisations[:2]:
        permissions.suspend_organisation(admin, organisation)
    assert ruled.send(2) == [None, None]
    ruled.run(12)
    rules, head = ruled.nodes[2].chain.rulebook, ruled.nodes[2].chain.head
    assert not rules._may_validate(head, ruled.nodes[0].address)
    assert set(ruled.nodes[2].chain.validators) == set(addresses(ruled, 4))
    stands_at = ruled.network.agreement.height
    ruled.run(12)
    assert ruled.network.agreement.height > stands_at + 3
    proposers = {final.block.header.coinbase for final in ruled.network.agreement.finals[stands_at:]}
    assert proposers == {node.address for node in ruled.nodes[2:4]}
    for organisation in desk.organisations[:2]:
        permissions.restore_organisation(admin, organisation)
    assert ruled.send(2) == [None, None]
    ruled.run(25)
    assert max(ruled.heights()) - min(ruled.heights()) <= 1
    last = [final.block.header.coinbase for final in ruled.network.agreement.finals[-4:]]
    assert set(last) == set(addresses(ruled, 4))
    assert ruled.network.agreement.violations == []


def test_where_nobody_who_sits_may_validate_any_more_they_go_on_until_somebody_may(ruled):
    desk, spare = ruled.desk, ruled.nodes[4]
    desk.set_validator(spare.address, is_allowed=True)
    for node in ruled.nodes[:4]:
        desk.set_validator(node.address, is_allowed=False)
    assert ruled.send(0) == [None] * 5
    ruled.run(4)
    stands_at = ruled.network.agreement.height
    ruled.run(6)
    assert ruled.network.agreement.height >= stands_at + 5
    desk.set_validator(ruled.nodes[1].address, is_allowed=True)
    assert ruled.send(0) == [None]
    ruled.run(6)
    stands_at = ruled.network.agreement.height
    ruled.run(15)
    assert {final.block.header.coinbase for final in ruled.network.agreement.finals[stands_at + 1 :]} == {
        ruled.nodes[1].address
    }
    assert ruled.network.agreement.violations == []


def test_no_other_organisations_manager_can_shut_the_administrator_out(ruled):
    desk = ruled.desk
    for manager in desk._managers:
        desk._permissions.remove_account(manager, desk._admin.address)
    ruled.send(0)
    ruled.run(4)
    assert ruled.nodes[0].chain.rulebook.forbids(ruled.nodes[0].chain.head, decode_raw(call(desk._admin))) is None


def test_answers_follow_the_root_of_the_contracts_storage_and_are_asked_for_once(ruled):
    chain, sender = ruled.nodes[0].chain, ruled.traffic._senders[0]
    rules, about, asked = chain.rulebook, bytes(sender.address), []
    assert isinstance(rules, ContractRules)
    ask = rules._ask
    rules._ask = lambda at, data: (about in data and asked.append(at.block_number)) or ask(at, data)
    transaction, before = decode_raw(call(sender)), chain.head
    assert rules.forbids(before, transaction) is None
    assert asked == [before.block_number]
    ruled.send(0, [call(sender)])  # another state, and the same storage of the contract
    ruled.run(3)
    assert chain.head.state_root != before.state_root
    assert rules.forbids(chain.head, transaction) is None
    assert asked == [before.block_number]

    ruled.desk.set_client(sender.address, is_allowed=False)
    ruled.send(0)
    ruled.run(3)
    assert "may not call" in rules.forbids(chain.head, transaction)
    assert rules.forbids(before, transaction) is None
    assert len(asked) == 2


def test_every_node_asks_the_contract_on_its_own_state(ruled):
    rules = [node.chain.rulebook for node in ruled.nodes]
    assert len({id(each) for each in rules}) == 5
    assert {each.address for each in rules} == {permissions_address(SEED)}
    assert len({id(each._executor) for each in rules}) == 5
