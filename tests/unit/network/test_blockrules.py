"""Rules about headers, each broken alone, and the seals of a quorum."""

import pytest

from chainsec.network.blockrules import check_header, check_seals
from chainsec.network.extradata import ExtraData
from chainsec.network.messages import sign_seal
from chainsec.primitives import Address

PERIOD_S = 2


@pytest.fixture
def check(team):
    """Check a header on the team's genesis at the moment that it names, or ``ahead_us`` earlier."""

    def check_one(header, ahead_us=0, parent=team.genesis):
        now_us = header.timestamp * 1_000_000 - ahead_us
        return check_header(header, parent, team.addresses, block_period_s=PERIOD_S, now_us=now_us)

    return check_one


def test_a_header_that_keeps_every_rule_is_taken_in_any_round_with_or_without_seals(team, check):
    header = team.header()
    assert check(header) is None
    assert check(header.in_round(3)) is None
    assert check(header.sealed(team.seals(header, range(3)))) is None


# A gas limit of 30,000,000 may move by less than a 1,024th: by 29,295 at most.
BROKEN = {
    "height 2 does not follow 0": {"block_number": 2},
    "height 0 does not follow 0": {"block_number": 0},
    "it names another parent": {"parent_hash": bytes(32)},
    "it uses more gas than its limit": {"gas_used": 30_000_001},
    "its gas limit moves too far": {"gas_limit": 30_000_000 + 29_296},
    "its proposer is no validator": {"coinbase": Address(b"\x77" * 20)},
    "its mix hash is not the constant it has to be": {"mix_hash": bytes(32)},
    "its difficulty is not the constant it has to be": {"difficulty": 0},
    "its ommers is not the constant it has to be": {"uncles_hash": bytes(32)},
    "its base fee is not the constant it has to be": {"base_fee_per_gas": 7},
    "its withdrawals is not the constant it has to be": {"withdrawals_root": bytes(32)},
    "its blob gas is not the constant it has to be": {"blob_gas_used": 131_072},
    "its beacon root is not the constant it has to be": {"parent_beacon_block_root": bytes(32)},
    "extra data: extraData: is no RLP": {"extra_data": b"ChainSec"},
}


@pytest.mark.parametrize("reason", BROKEN)
def test_a_header_is_refused_with_the_rule_that_it_breaks(team, check, reason):
    assert check(team.header(**BROKEN[reason])).startswith(reason)


def test_blob_gas_is_zero_in_both_fields(team, check):
    assert check(team.header(excess_blob_gas=1)) == "its blob gas is not the constant it has to be"


@pytest.mark.parametrize("moved", [29_295, -29_295])
def test_a_gas_limit_may_move_by_less_than_a_1024th(team, check, moved):
    assert check(team.header(gas_limit=30_000_000 + moved)) is None
    assert check(team.header(gas_limit=30_000_000 + moved + (1 if moved > 0 else -1))) == "its gas limit moves too far"


def test_a_gas_limit_is_never_under_5000(team, check):
    parent = team.header(gas_limit=5_000)
    on_it = team.header(block_number=2, parent_hash=parent.hash, timestamp=parent.timestamp + PERIOD_S, gas_limit=5_000)
    assert check(on_it, parent=parent) is None
    lower = team.header(block_number=2, parent_hash=parent.hash, timestamp=parent.timestamp + PERIOD_S, gas_limit=4_999)
    assert check(lower, parent=parent) == "its gas limit moves too far"


def test_all_its_gas_may_be_used(team, check):
    assert check(team.header(gas_used=30_000_000)) is None


def test_a_block_comes_a_period_after_its_parent_at_the_earliest(team, check):
    assert (
        check(team.header(timestamp=team.genesis.timestamp + PERIOD_S - 1)) == "its time is not 2 s after its parent's"
    )
    assert check(team.header(timestamp=team.genesis.timestamp + 10 * PERIOD_S)) is None


def test_a_block_lies_a_second_ahead_of_the_clock_at_most(team, check):
    assert check(team.header(), ahead_us=1_000_000) is None
    assert check(team.header(), ahead_us=1_000_001) == "its time lies in the future"


@pytest.mark.parametrize("change", ["one missing", "one more", "another order"])
def test_validators_in_a_header_are_those_of_its_height_in_order(team, check, change):
    listed = {
        "one missing": team.addresses[:-1],
        "one more": tuple(sorted([*team.addresses, Address(b"\x77" * 20)])),
        "another order": team.addresses[::-1],
    }[change]
    wrong = team.header(extra_data=ExtraData(listed).encode())
    assert check(wrong) == "its validators are not those of its height"


def test_a_quorum_of_seals_is_enough_and_more_do_no_harm(team):
    header = team.header()
    for whose in ((0, 1, 2), (3, 1, 0), (0, 1, 2, 3)):
        assert check_seals(header.sealed(team.seals(header, whose)), team.addresses) is None


@pytest.mark.parametrize(("size", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 4), (6, 4), (7, 5)])
def test_seals_of_fewer_than_two_thirds_are_refused(team_class, size, needed):
    team = team_class(size)
    header = team.header()
    assert check_seals(header.sealed(team.seals(header, range(needed))), team.addresses) is None
    few = header.sealed(team.seals(header, range(needed - 1)))
    assert check_seals(few, team.addresses) == f"{needed - 1} seals are no quorum of {size} validators"


def test_one_validator_seals_once(team):
    header = team.header()
    twice = header.sealed(team.seals(header, (0, 1, 2, 2)))
    assert check_seals(twice, team.addresses) == "one validator has sealed it twice"


def test_a_stranger_s_seal_spoils_the_others(team, stranger):
    header = team.header()
    seals = [*team.seals(header, range(3)), sign_seal(stranger, header.seal_hash)]
    assert check_seals(header.sealed(seals), team.addresses) == "somebody who is no validator has sealed it"
    impossible = header.sealed([*seals[:3], bytes(65)])
    assert check_seals(impossible, team.addresses) == "somebody who is no validator has sealed it"


def test_seals_are_worth_nothing_on_another_round_or_block(team):
    header = team.header()
    seals = team.seals(header, range(3))
    assert check_seals(header.sealed(seals), team.addresses) is None
    for other in (header.in_round(1), team.header(gas_used=1)):
        assert check_seals(other.sealed(seals), team.addresses) == "somebody who is no validator has sealed it"
