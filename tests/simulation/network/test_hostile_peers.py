"""What a validator, or somebody with no part in the network at all, can say to make honest nodes stop or forget."""

from itertools import product

import pytest

from chainsec.ledger.account import Account
from chainsec.network.byzantine import ROLES, Silent
from chainsec.network.execution import decode_raw
from chainsec.network.links import Link
from chainsec.network.messages import Commit, Message, Prepare, Proposal, sign, sign_seal
from chainsec.network.node import MAX_BUFFERED, MAX_SEEN, Packet

FAR = 10**6
SECOND_US = 1_000_000
AWAY = {"kind": "crash", "nodes": [3], "at_s": 5, "until_s": 60}
THIN = {"kind": "links", "receivers": ["us-west"], "bandwidth_mbps": 0.1, "at_s": 55}


def claim(account, height):
    message = Message(sign(account, Prepare(height, 0, bytes(32))))
    return Packet(int(message.code), message.encoded, len(message.encoded))


def claim_again_and_again(found, account, every_us=300_000):
    """Let node 3 send everybody messages for great heights, signed by an account."""
    network, liar, others = found.network, found.nodes[3], found.nodes[:3]
    heights = iter(range(FAR, 2 * FAR))

    def attack():
        packet = claim(account, next(heights))
        liar.begin(network.time_us)
        for other in others:
            network.send(liar, other.address, packet)
        network.schedule(network.time_us + every_us, attack)

    network.schedule(5 * SECOND_US, attack)


def test_who_is_no_validator_moves_nobody_by_claiming_a_great_height(stage):
    found = stage(duration_s=30)
    claim_again_and_again(found, Account.derive(b"nobody", "stranger"))
    found.run(30)
    assert found.events("synced") == []
    assert min(found.heights()) >= 27
    assert not any(node.synchroniser.is_active for node in found.nodes)


@pytest.mark.parametrize("has_answer", [True, False])
def test_a_validator_that_claims_a_great_height_holds_nobody_up_for_longer_than_one_request(stage, has_answer):
    found = stage(duration_s=60)
    if not has_answer:
        found.nodes[3].synchroniser.answer = lambda *_: None
    claim_again_and_again(found, found.network.plan.account(3))
    found.run(60)
    assert len(found.events("synced")) == 3, "each believes it once"
    assert min(found.heights()) >= (57 if has_answer else 48)
    assert found.network.agreement.violations == []
    assert all(found.nodes[3].address in node.synchroniser._distrusted for node in found.nodes[:3])


def test_whom_nobody_trusted_is_trusted_again_once_it_gives_blocks(stage):
    found = stage(duration_s=60, fault=[{"kind": "crash", "nodes": [2], "at_s": 10, "until_s": 30}])
    network, (zero, _, two, _) = found.network, found.nodes
    found.run(10)
    others = {node.address for node in found.nodes if node is not two}
    two.synchroniser._distrusted = set(others)
    found.run(15)
    two.synchroniser._distrusted = set(others)
    found.run(15)
    assert two.chain.height >= zero.chain.height - 1
    assert two.synchroniser._distrusted < others
    assert network.agreement.violations == []


def test_blocks_that_come_later_than_they_are_waited_for_are_taken_over_all_the_same(stage):
    found = stage(duration_s=120, rate_per_s=12, network={"has_gossip": False}, fault=[AWAY, THIN])
    found.run(120)
    late = [event for event in found.events("imported", 3) if event.time_us > 60 * SECOND_US]
    assert len(late) > 40
    assert found.nodes[3].chain.height >= found.network.agreement.height - 2


def test_a_validator_that_is_a_quorum_by_itself_begins_again_although_its_only_peer_goes_without_a_word(stage):
    alone, peer = {"kind": "crash", "nodes": [0], "at_s": 5, "until_s": 10}, {"kind": "crash", "nodes": [1]}
    found = stage(nodes=2, duration_s=30, network={"validators": 1}, fault=[alone, {**peer, "at_s": 10.05}])
    found.run(30)
    assert found.nodes[0].chain.height >= 18
    assert len(found.events("synced", 0)) == 1


def test_what_a_validator_saw_of_a_round_is_gone_when_it_comes_back(stage):
    found = stage(qbft={"starts_after_sync": False})
    node = found.nodes[2]
    while node.validator.round is None or not node.validator.round.prepares:
        found.run(0.01)
    found.network.crash(node)
    found.network.restart(node)
    assert (node.validator.round, node.validator.round_number) == (None, -1)
    assert node.validator.remember().certificate is None


class SplitsAndResets(Silent):
    """Shows one block to all, then makes two forget by a claim, and shows them another: what used to fork four."""

    has_lied = False

    def on_block_timer(self):
        if self.round is None:
            self._enter_round(0)
            if self.height.proposer(0) == self.account.address and not self.has_lied:
                self.has_lied = True
                self._lie()

    def _lie(self):
        node, network = self.surroundings, self.surroundings._fabric
        time_s = node.now_us // SECOND_US
        first, second = (self._votes(self.chain.build(0, time_s + late)) for late in (0, 1))
        everybody = [other.address for other in network.nodes if other.address != self.account.address]
        victims = everybody[1:]
        self._send(everybody, first[:2])
        for other, victim in product(everybody, victims):
            if other != victim:
                network.connection(network.node_of(other), network.node_of(victim)).link = Link(latency_ms=900)
        great = Message(sign(self.account, Prepare(FAR, 0, bytes(32))))
        node.call_later(1_400_000, lambda: self._send(victims, [great]))
        node.call_later(2_200_000, lambda: self._send(victims, second))

    def _send(self, receivers, messages):
        for receiver, message in product(receivers, messages):
            self.surroundings.send_to(receiver, message)

    def _votes(self, block):
        height, digest = self.height.number, block.header.seal_hash
        seal = sign_seal(self.account, digest)
        signed = (Proposal(height, 0, block), Prepare(height, 0, digest), Commit(height, 0, seal, digest))
        return [Message(sign(self.account, each)) for each in signed]


@pytest.mark.parametrize("keeps_votes", [False, True])
def test_nobody_forgets_in_the_middle_of_a_height_what_it_has_voted_for(stage, monkeypatch, keeps_votes):
    monkeypatch.setitem(ROLES, "silent", SplitsAndResets)
    found = stage(
        duration_s=60,
        rate_per_s=0,
        qbft={"block_period_s": 5, "request_timeout_s": 8, "keeps_votes": keeps_votes},
        byzantine=[{"node": 3, "role": "silent"}],
    )
    found.nodes[3].has_gossip = False
    found.run(60)
    assert found.nodes[3].validator.has_lied
    assert len(found.events("synced")) == 2, "the claim was believed"
    assert found.network.agreement.violations == []
    assert min(found.heights()[:3]) >= 7


def test_what_is_sent_again_and_again_fills_no_memory(stage):
    found = stage(duration_s=10)
    node, liar = found.nodes[0], found.nodes[3]
    for number in range(2 * MAX_SEEN):
        node.on_packet(liar.address, Packet(0x13, number.to_bytes(4, "big") * 50, 200))
    assert not node._seen
    account = found.network.plan.account(3)
    prepares = [Message(sign(account, Prepare(2, round_, bytes(32)))) for round_ in range(MAX_BUFFERED + 200)]
    good = Message(sign(found.network.plan.account(1), Prepare(2, 0, bytes(32))))
    for message in (*prepares[:300], good, *prepares[300:]):
        node.on_packet(liar.address, Packet(int(message.code), message.encoded, 100))
    kept = [packet.content for packet in node._later[2]]
    assert len(kept) == MAX_BUFFERED
    assert good.encoded in kept, "the oldest go, not all"


def test_a_repeated_round_change_counts_after_a_node_has_caught_up_though_it_came_before(stage):
    found = stage(duration_s=10, rate_per_s=0)
    node = found.nodes[0]
    account = found.network.plan.account(1)
    message = found.nodes[1].validator.make_round_change(2)
    assert message.author == account.address
    packet = Packet(int(message.code), message.encoded, 200)
    node.synchroniser._began_at = 0
    node.on_packet(account.address, packet)
    assert node.validator._round_changes == {}
    node.synchroniser._began_at = None
    node.on_packet(account.address, packet)
    assert list(node.validator._round_changes) == [2]


def test_a_single_validator_that_crashed_goes_on_where_it_was(small_network, play):
    alone = small_network(
        nodes=1, duration_s=20, rate_per_s=0, fault=[{"kind": "crash", "nodes": [0], "at_s": 5, "until_s": 10}]
    )
    found = play(alone)
    assert found.outcome == "agreed"
    assert found.height >= 12


def test_a_transaction_for_another_chain_makes_a_block_invalid(stage):
    found = stage(duration_s=20, rate_per_s=0)
    found.run(5.4)
    proposer, judge = found.nodes[0], found.nodes[1]
    sender = Account.derive(b"test", "sender")
    foreign = sender.sign(nonce=0, to=bytes(20), gas=21_000, chain_id=1).raw
    own = sender.sign(nonce=0, to=bytes(20), gas=21_000, chain_id=1337).raw
    proposer.moment_us = judge.moment_us = 20 * SECOND_US
    for raw, fault in ((own, None), (foreign, "a transaction cannot stand there: it is for chain id 1")):
        block = proposer.chain.build_of([decode_raw(raw)], 0, proposer.chain.head.timestamp + 1)
        assert len(block.transactions) == 1
        assert judge.chain.check(block) == fault


def test_an_unsealed_block_of_a_peer_is_refused_before_it_is_executed(stage):
    found = stage(duration_s=20)
    found.run(3.3)
    judge, proposer = found.nodes[0], found.nodes[1]
    judge.moment_us = proposer.moment_us = 20 * SECOND_US
    block = proposer.chain.build(0, proposer.chain.head.timestamp + 1)
    before, moment_us = judge.chain.executor.executions, judge.moment_us
    assert "seals are no quorum" in judge.chain.import_sealed(block)
    assert (judge.chain.executor.executions, judge.moment_us) == (before, moment_us)


def test_a_proposal_that_nobody_can_take_opens_no_round(stage):
    """Before the next block is due the round of a proposal begins with it, unless the block is refused."""
    found = stage(duration_s=20, rate_per_s=0, qbft={"block_period_s": 5, "request_timeout_s": 2})
    found.run(0.5)
    validator = next(node.validator for node in found.nodes if node.address != node.validator.height.proposer(0))
    proposer = found.network.node_of(validator.height.proposer(0))
    block = proposer.chain.build(0, proposer.chain.head.timestamp + 5)
    account = found.network.plan.account(proposer.number)
    validator.on_message(Message(sign(account, Proposal(1, 0, block))))
    assert validator.round is None
    assert found.reasons()["proposal: its time lies in the future"] == 1
