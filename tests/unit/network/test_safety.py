from dataclasses import replace

import pytest

from chainsec.network.extradata import ExtraData, Vote
from chainsec.network.header import Block
from chainsec.network.messages import sign_seal
from chainsec.network.safety import Agreement

QUORUM = (0, 1, 2)


def following(team, parent, *, proposer=0, vote=None, validators=None, sealed_by=QUORUM):
    """Return a block after another, sealed by some of the team."""
    header = replace(
        team.header(0, proposer),
        block_number=parent.number + 1,
        parent_hash=parent.header.hash,
        timestamp=parent.header.timestamp + 2,
        extra_data=ExtraData(validators or team.addresses, vote).encode(),
    )
    return Block(header.sealed(team.seals(header, sealed_by)))


@pytest.fixture
def chain(team):
    """Give a first block and three that follow it, each sealed by a quorum."""
    blocks = [Block(team.genesis)]
    for _ in range(3):
        blocks.append(following(team, blocks[-1]))
    return blocks


@pytest.fixture
def agreement(chain):
    found = Agreement(chain[:1])
    for node in range(3):
        assert found.add(node, chain[1], 10 + node) is None
    return found


def test_a_block_that_several_nodes_have_is_one_block_with_a_time_for_each(agreement, chain):
    assert agreement.height == 1
    assert agreement.finals[1].block is chain[1]
    assert agreement.finals[1].times_us == {0: 10, 1: 11, 2: 12}
    assert agreement.violations == []


def test_the_time_that_counts_is_the_first_at_which_a_node_had_the_block(agreement, chain):
    assert agreement.add(0, chain[1], 99) is None
    assert agreement.finals[1].times_us[0] == 10


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"timestamp": 9}, "hash"),
        ({"state_root": b"\x07" * 32}, "state_root"),
        ({"receipt_root": b"\x07" * 32}, "receipt_root"),
    ],
)
def test_another_block_at_the_same_height_is_told_with_node_height_and_what_differs(agreement, chain, change, word):
    other = chain[1].with_header(replace(chain[1].header, **change))
    fault = agreement.add(3, other, 20)
    assert "height 1: node 3" in fault
    assert word in fault
    assert agreement.violations == [fault]
    assert agreement.finals[1].block is chain[1]
    assert 3 not in agreement.finals[1].times_us, "it has another block"


def test_the_same_block_agreed_on_in_another_round_is_the_same(agreement, chain, team):
    header = chain[1].header.in_round(4)
    again = chain[1].with_header(header.sealed(team.seals(header, (1, 2, 3))))
    assert agreement.add(3, again, 20) is None
    assert agreement.violations == []


def test_a_block_after_one_that_nobody_had_is_a_fault(agreement, chain):
    fault = agreement.add(0, chain[3], 30)
    assert "nobody had the one before" in fault
    assert agreement.height == 1


def test_founding_blocks_are_everybodys_and_counted(chain):
    found = Agreement(chain[:3])
    assert (found.founded, found.height) == (3, 2)
    assert found.finals[2].times_us == {}
    assert found.add(1, chain[3], 5) is None
    assert found.height == 3


class TestSeals:
    @pytest.mark.parametrize(
        ("seals", "reason"),
        [
            (lambda team, header: team.seals(header, (0, 1)), "2 seals are no quorum of 4 validators"),
            (lambda team, header: [*team.seals(header, (0, 1, 1))], "one validator has sealed it twice"),
            (lambda _, header: header.extra.seals[:2], "2 seals are no quorum of 4 validators"),
            (lambda team, _: team.seals(team.genesis, QUORUM), "somebody who is no validator has sealed it"),
        ],
    )
    def test_a_block_that_no_quorum_has_sealed_is_a_fault_of_the_node_that_holds_it(
        self, agreement, chain, team, seals, reason
    ):
        header = chain[1].header
        fault = agreement.add(3, chain[1].with_header(header.sealed(seals(team, header))), 20)
        assert fault == f"height 1: node 3 has a badly sealed block: {reason}"
        assert agreement.violations == [fault]

    def test_one_seal_of_a_stranger_spoils_a_header(self, agreement, chain, team, stranger):
        header = chain[1].header
        spoiled = [*team.seals(header, QUORUM), sign_seal(stranger, header.seal_hash)]
        assert "no validator has sealed it" in agreement.add(3, chain[1].with_header(header.sealed(spoiled)), 20)

    def test_who_has_to_seal_a_block_follows_from_the_votes_up_to_its_parent_and_not_from_itself(self, team):
        left, gone = team.addresses[:3], team.addresses[3]
        blocks = [Block(team.genesis)]
        for proposer in range(3):
            blocks.append(following(team, blocks[-1], proposer=proposer, vote=Vote(gone, is_add=False)))
        found = Agreement(blocks[:1])
        assert [found.add(0, block, 1) for block in blocks[1:]] == [None, None, None]
        assert [found.validators_of(height) for height in range(1, 5)] == [team.addresses] * 3 + [left]
        two, all_four = (following(team, blocks[-1], sealed_by=whose) for whose in ((0, 1), range(4)))
        assert found.add(1, two, 2) is None, "two of three are a quorum"
        assert "somebody who is no validator has sealed it" in found.add(2, all_four, 3)
        assert len(found.violations) == 1

    def test_at_the_end_of_an_epoch_votes_are_void(self, team):
        blocks = [Block(team.genesis)]
        for proposer in range(3):
            vote = Vote(team.addresses[3], is_add=False)
            blocks.append(following(team, blocks[-1], proposer=proposer, vote=vote))
        found = Agreement(blocks[:1], epoch_blocks=2)
        assert [found.add(0, block, 1) for block in blocks[1:]] == [None, None, None]
        assert found.validators_of(4) == team.addresses


class TestLiars:
    def test_what_a_liar_holds_and_when_says_nothing(self, chain, team):
        found = Agreement(chain[:1], liars={3})
        spoiled = chain[1].with_header(chain[1].header.sealed(team.seals(chain[1].header, (0,))))
        assert found.add(3, spoiled, 5) is None
        assert found.height == 0
        assert found.add(0, chain[1], 10) is None
        assert (found.finals[1].block, found.finals[1].times_us) == (chain[1], {0: 10})
        assert found.add(3, chain[2], 12) is None
        assert (found.height, found.violations) == (1, [])

    def test_who_does_not_lie_is_listened_to_beside_one_who_does(self, chain):
        found = Agreement(chain[:1], liars={3})
        assert "nobody had the one before" in found.add(0, chain[2], 5)
