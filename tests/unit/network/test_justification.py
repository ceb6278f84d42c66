"""What a message has to bring along: each fault alone, and the reason that is given for it."""

from dataclasses import replace

import pytest

from chainsec.network.justification import (
    Height,
    best_prepared,
    check_commit,
    check_prepare,
    check_proposal,
    check_round_change,
)
from chainsec.network.messages import Message, Prepare, Prepared, RoundChange, sign

ELSEWHERE = "it is for another height or round"


def test_a_prepare_counts_at_its_place_for_its_block_from_a_validator(team, stranger):
    digest = team.block().header.seal_hash
    assert check_prepare(team.prepare(2, 1, digest), team.height, 1, digest) is None
    assert check_prepare(team.prepare(2, 0, digest), team.height, 1, digest) == ELSEWHERE
    assert check_prepare(team.prepare(2, 1, digest, height=2), team.height, 1, digest) == ELSEWHERE
    assert check_prepare(team.prepare(2, 1, bytes(32)), team.height, 1, digest) == "it is for another block"
    foreign = sign(stranger, Prepare(1, 1, digest))
    assert check_prepare(foreign, team.height, 1, digest) == "its author is no validator"
    forged = replace(team.prepare(2, 1, digest), signature=bytes(65))
    assert check_prepare(forged, team.height, 1, digest) == "its author is no validator"


def test_a_commit_counts_with_its_author_s_seal_on_that_block(team):
    digest = team.block().header.seal_hash
    assert check_commit(team.commit(2, 0, digest), team.height, 0, digest) is None
    assert check_commit(team.commit(2, 0, digest), team.height, 1, digest) == ELSEWHERE
    assert check_commit(team.commit(2, 0, bytes(32)), team.height, 0, digest) == "it is for another block"
    (other,) = team.seals(team.header(), [1])
    for seal in (other, bytes(65)):
        assert check_commit(team.commit(2, 0, digest, seal=seal), team.height, 0, digest) == (
            "its seal is not its author's"
        )


# Round changes


@pytest.fixture
def prepared(team):
    """Give a block of round 1 and a round change of number 2 to round 3 with the prepares of three for it."""
    block = team.block(1, proposer=1)
    return block, team.round_change(2, 3, block, prepared_by=(0, 1, 3))


def test_a_round_change_counts_with_nothing_or_with_a_block_and_its_prepares(team, prepared):
    _, message = prepared
    assert check_round_change(team.round_change(2, 3), team.height) is None
    assert check_round_change(message, team.height) is None


def test_prepares_that_nothing_asks_for_are_passed_over(team):
    block = team.block()
    message = replace(team.round_change(2, 3), prepares=team.prepares(block, (0,)))
    assert check_round_change(message, team.height) is None  # as in Besu
    assert best_prepared([message]) is None


def test_a_round_change_is_refused_for_each_fault_alone(team, prepared, stranger):
    block, message = prepared
    by_stranger = Message(sign(stranger, RoundChange(1, 3, None)))
    other = team.block(1, proposer=1, gas_used=1)
    digest = block.header.seal_hash
    late = Message(
        sign(team.accounts[2], RoundChange(1, 3, Prepared(2, digest))),
        block=block,
        prepares=tuple(team.prepare(who, 2, digest) for who in (0, 1, 3)),
    )
    same_round = team.round_change(2, 1, block, prepared_by=(0, 1, 3))
    faults = {
        "it is for another height or round": team.round_change(2, 3, height=2),
        "its author is no validator": by_stranger,
        "nobody changes to round 0": team.round_change(2, 0),
        "what it names as prepared was so in no earlier round": same_round,
        "it names a prepared round and brings no block": replace(message, block=None),
        "it brings a block and names no prepared round": replace(team.round_change(2, 3), block=block),
        "it brings another block than was prepared": replace(message, block=other),
        "its block is of another round than the prepared one": late,
        "2 prepares are no quorum": replace(message, prepares=team.prepares(block, (0, 1))),
        "two of its prepares have one author": replace(message, prepares=team.prepares(block, (0, 1, 1))),
        "one of its prepares does not count: it is for another block": replace(
            message, prepares=(*team.prepares(block, (0, 1)), *team.prepares(other, (3,)))
        ),
        "one of its prepares does not count: it is for another height or round": replace(
            message, prepares=(*team.prepares(block, (0, 1)), *team.prepares(block, (3,), round_=0))
        ),
        "one of its prepares does not count: its author is no validator": replace(
            message, prepares=(*team.prepares(block, (0, 1)), sign(stranger, Prepare(1, 1, digest)))
        ),
    }
    for reason, faulty in faults.items():
        assert check_round_change(faulty, team.height) == reason


def test_what_was_prepared_last_is_what_is_proposed_again(team):
    first, second = team.block(0), team.block(2, proposer=2)
    messages = [
        team.round_change(0, 4),
        team.round_change(1, 4, second, prepared_by=(0, 1, 2)),
        team.round_change(2, 4, first, prepared_by=(1, 2, 3)),
    ]
    for order in (messages, messages[::-1]):
        assert best_prepared(order) == (second, team.prepares(second, (0, 1, 2)))
    assert best_prepared(messages[:1]) is None
    assert best_prepared([]) is None


# Proposals


def test_in_round_0_a_proposal_needs_nothing_and_brings_nothing(team):
    block = team.block()
    assert check_proposal(team.proposal(0, 0, block), team.height, 0) is None
    changes = [team.round_change(who, 1) for who in range(3)]
    nothing = "in round 0 there is nothing to justify"
    assert check_proposal(team.proposal(0, 0, block, changes), team.height, 0) == nothing
    bringing = team.proposal(0, 0, block, (), team.prepares(block, range(3)))
    assert check_proposal(bringing, team.height, 0) == nothing


@pytest.mark.parametrize("round_", [1, 2])
def test_a_new_block_needs_a_quorum_of_round_changes_and_nothing_more(team, round_):
    block = team.block(round_, proposer=round_)
    changes = [team.round_change(who, round_) for who in (3, 0, 2)]
    assert check_proposal(team.proposal(round_, round_, block, changes), team.height, round_) is None
    assert check_proposal(team.proposal(round_, round_, block), team.height, round_) == "0 round changes are no quorum"


@pytest.fixture
def again(team):
    """Give the parts of a proposal in round 3: a block of number 0, prepared in round 1, and who says so."""
    old, block = team.block(0), team.block(1, gas_used=2)
    changes = [
        team.round_change(0, 3, old, prepared_by=(0, 1, 2)),
        team.round_change(1, 3, block, prepared_by=(0, 1, 2)),
        team.round_change(2, 3),
    ]
    return block, changes, team.prepares(block, (0, 1, 2))


def in_round(block, round_):
    return block.with_header(block.header.in_round(round_))


def test_what_was_prepared_last_is_justified_again_by_its_prepares(team, again):
    block, changes, prepares = again
    message = team.proposal(3, 3, in_round(block, 3), changes, prepares)
    assert check_proposal(message, team.height, 3) is None
    others = team.prepares(block, (3, 1, 0))
    assert check_proposal(replace(message, prepares=others), team.height, 3) is None


def test_a_proposal_is_refused_for_each_fault_alone(team, again, stranger):
    block, changes, prepares = again
    shown = in_round(block, 3)
    old, new = in_round(changes[0].block, 3), team.block(3, proposer=3)
    # number 3's claim about another block, prepared in the round in which ``block`` was
    other = team.block(1, gas_used=1)
    claim = team.round_change(3, 3, other)
    unnamed = [team.round_change(who, 3) for who in (0, 1, 2)]
    by_stranger = Message(sign(stranger, RoundChange(1, 3, None)))
    one = "one of its round changes does not count: "
    faults = [
        ("its author is not the proposer of the round", team.proposal(2, 3, shown, changes, prepares)),
        ("it is for another height or round", team.proposal(3, 2, shown, changes, prepares)),
        ("it is for another height or round", team.proposal(3, 3, shown, changes, prepares, height=2)),
        ("its block is of another height or round", team.proposal(3, 3, block, changes, prepares)),
        (
            "its block is of another height or round",
            team.proposal(3, 3, team.block(3, block_number=2), changes, prepares),
        ),
        ("2 round changes are no quorum", team.proposal(3, 3, shown, changes[:2], prepares)),
        ("two of its round changes have one author", team.proposal(3, 3, shown, [*changes, changes[0]], prepares)),
        (one + ELSEWHERE, team.proposal(3, 3, shown, [*changes[:2], team.round_change(2, 2)], prepares)),
        (one + ELSEWHERE, team.proposal(3, 3, shown, [*changes[:2], team.round_change(2, 3, height=2)], prepares)),
        (one + "its author is no validator", team.proposal(3, 3, shown, [*changes[:2], by_stranger], prepares)),
        (
            one + "what it names as prepared was so in no earlier round",
            team.proposal(3, 3, shown, [*changes[:2], team.round_change(3, 3, shown)], prepares),
        ),
        (
            "its round changes name different blocks for one prepared round",
            team.proposal(3, 3, shown, [*changes[:2], claim], prepares),
        ),
        ("its block is not the one that was prepared last", team.proposal(3, 3, old, changes, prepares)),
        ("its block is not the one that was prepared last", team.proposal(3, 3, new, changes, prepares)),
        ("its block is not the one that was prepared last", team.proposal(3, 3, new, changes)),
        ("0 prepares are no quorum", team.proposal(3, 3, shown, changes)),
        ("2 prepares are no quorum", team.proposal(3, 3, shown, changes, prepares[:2])),
        ("two of its prepares have one author", team.proposal(3, 3, shown, changes, [*prepares, prepares[0]])),
        (
            "one of its prepares does not count: it is for another block",
            team.proposal(3, 3, shown, changes, [*prepares[:2], *team.prepares(other, (3,))]),
        ),
        (
            "one of its prepares does not count: it is for another height or round",
            team.proposal(3, 3, shown, changes, [*prepares[:2], *team.prepares(block, (3,), round_=0)]),
        ),
        (
            "it brings prepares though none of its round changes names a prepared block",
            team.proposal(3, 3, new, unnamed, prepares),
        ),
        ("its block names another proposer", team.proposal(3, 3, shown, unnamed)),
    ]
    for reason, message in faults:
        assert check_proposal(message, team.height, 3) == reason
    assert check_proposal(team.proposal(0, 0, team.block(proposer=1)), team.height, 0) == (
        "its block names another proposer"
    )


def test_a_proposal_is_good_in_its_round_alone(team, again):
    block, changes, prepares = again
    message = team.proposal(3, 3, in_round(block, 3), changes, prepares)
    for round_ in (0, 1, 2, 4):
        assert check_proposal(message, team.height, round_) is not None
    assert check_proposal(message, team.height, 7) == "it is for another height or round"  # number 3 proposes there too


def test_comparing_in_the_new_round_refuses_what_was_prepared(team, again):
    # Besu issues 6613 and 6732, cured in 24.12: a block's digest names its round, so the comparison never held.
    block, changes, prepares = again
    then = replace(team.height, restores_prepared_round=False)
    message = team.proposal(3, 3, in_round(block, 3), changes, prepares)
    assert check_proposal(message, then, 3) == "its block is not the one that was prepared last"
    assert check_proposal(message, team.height, 3) is None


def test_a_validator_alone_needs_only_itself(team_class):
    team = team_class(1)
    height = Height(1, team.addresses, team.genesis.coinbase)
    block = team.block(1)
    assert check_proposal(team.proposal(0, 1, block, [team.round_change(0, 1)]), height, 1) is None
    assert check_proposal(team.proposal(0, 1, block), height, 1) == "0 round changes are no quorum"
