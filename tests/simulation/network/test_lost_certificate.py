"""Two liars of seven, which QBFT bears: whether they can undo a block depends on what a jump to a later round keeps.

The liars propose in round 1 what is right there, and show it to one validator only. That one goes to round 1, as the
proposal is justified, and there forgets, or does not, that it saw the block prepared and has committed to it.
"""

import pytest

from chainsec.network.messages import Code, Commit, Message, Prepare, Proposal, RoundChange, sign, sign_seal

SECOND_US = 1_000_000


class ByHand:
    """Seven validators without a network: every message is carried by the test."""

    def __init__(self, found):
        self.network = found.network
        self.accounts = {node.address: found.network.plan.account(node.number) for node in found.nodes}
        self.nodes = {node.address: node for node in found.nodes}
        self.sent = []
        for node in found.nodes:
            node.multicast = self.sent.append
            node.moment_us = 2 * SECOND_US
            node.validator.start_height()
        self.height = found.nodes[0].validator.height

    def of(self, address):
        return self.nodes[address].validator

    def take(self, code):
        """Return what was sent of a kind since the last time."""
        found = [message for message in self.sent if message.code == code]
        self.sent.clear()
        return found

    def sign(self, payload, whose):
        return [Message(sign(self.accounts[address], payload)) for address in whose]

    def votes(self, block, round_, whose):
        """Return the prepares and the commits of some for a block."""
        digest = block.header.seal_hash
        commits = [
            Message(sign(account, Commit(1, round_, sign_seal(account, digest), digest)))
            for account in (self.accounts[address] for address in whose)
        ]
        return self.sign(Prepare(1, round_, digest), whose), commits

    def give(self, receivers, messages):
        for address in receivers:
            for message in messages:
                self.of(address).on_message(message)


def finalise_at_one(hands, first, keepers, late, liars):
    """Round 0: a block is prepared at three honest validators, and final at the first of them."""
    hands.of(first).on_block_timer()
    [proposal] = hands.take(Code.PROPOSAL)
    for address in late:
        hands.of(address).on_block_timer()
    block = proposal.signed.payload.block
    hands.give(keepers, [proposal])
    prepares, commits = hands.votes(block, 0, (first, *keepers, *liars))
    hands.give((first, *keepers), prepares)
    hands.give([first], commits)
    assert hands.nodes[first].chain.head.hash == block.header.hash
    hands.take(Code.COMMIT)
    return block, prepares


def propose_to_one(hands, block, prepares, *, who, victim, late, liars):
    """Round 1: its proposer, a liar, proposes the block once more as the rules want, to one validator only."""
    for address in (who, *late):
        hands.of(address).on_round_timer()
    changes = hands.take(Code.ROUND_CHANGE) + hands.sign(RoundChange(1, 1, None), liars)
    assert len(changes) == hands.height.quorum
    again = block.with_header(block.header.in_round(1))
    signed = sign(hands.accounts[hands.height.proposer(1)], Proposal(1, 1, again))
    justified = Message(
        signed,
        round_changes=tuple(each.signed for each in changes),
        prepares=tuple(each.signed for each in prepares),
    )
    hands.give([victim], [justified])
    assert hands.of(victim).round_number == 1
    assert hands.of(victim).round.proposal is not None


@pytest.mark.parametrize("keeps_prepared", [False, True])
def test_what_a_jump_to_a_later_round_forgets_two_liars_of_seven_can_undo(stage, keeps_prepared):
    found = stage(nodes=7, rate_per_s=0, network={"regions": ["uk"]}, qbft={"keeps_prepared": keeps_prepared})
    hands = ByHand(found)
    proposers = [hands.height.proposer(round_) for round_ in range(3)]
    others = [address for address in hands.height.validators if address not in proposers]
    first, last = proposers[0], proposers[2]
    liars, victim, keeper, late = (proposers[1], others[0]), others[1], others[2], (last, others[3])
    block, prepares = finalise_at_one(hands, first, (victim, keeper), late, liars)
    propose_to_one(hands, block, prepares, who=keeper, victim=victim, late=late, liars=liars)
    for address in (victim, *late):
        hands.of(address).on_round_timer()
    changes = hands.take(Code.ROUND_CHANGE)
    claimed = changes[0].signed.payload.prepared
    assert (claimed is not None) is keeps_prepared
    changes += hands.sign(RoundChange(1, 2, None), liars)
    for node in found.nodes:
        node.moment_us = 9 * SECOND_US
    hands.give([last], changes)
    [proposal] = hands.take(Code.PROPOSAL)
    hands.give([victim, late[1]], [proposal])
    other = proposal.signed.payload.block
    for votes in hands.votes(other, 2, (victim, *late, *liars)):
        hands.give([victim, *late], votes)
    assert [hands.nodes[address].chain.height for address in (first, victim, *late)] == [1] * 4
    if keeps_prepared:
        assert other.header.hash == block.header.hash
        assert found.network.agreement.violations == []
    else:
        assert len(found.network.agreement.violations) == 3
