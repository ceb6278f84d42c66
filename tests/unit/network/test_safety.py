from dataclasses import replace

import pytest

from chainsec.network.header import Block
from chainsec.network.safety import Agreement


@pytest.fixture
def chain(team):
    """Give a first block and three that follow it."""
    blocks = [Block(team.genesis)]
    for number in range(1, 4):
        parent = blocks[-1].header
        blocks.append(
            Block(replace(team.header(), block_number=number, parent_hash=parent.hash, timestamp=parent.timestamp + 2))
        )
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


def test_the_same_block_agreed_on_in_another_round_is_the_same(agreement, chain):
    again = chain[1].with_header(chain[1].header.in_round(4))
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
