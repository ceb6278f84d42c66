"""Organisations say who acts for them, for how long, and until when."""

import pytest

from chainsec.errors import BadAddress
from chainsec.services.identity import GATEWAY, MEMBER


def test_the_delegate_types_are_those_that_the_contract_asks_for(ward):
    grants = ward.access.contract
    assert ward.client.call(grants, "MEMBER") == MEMBER
    assert ward.client.call(grants, "GATEWAY") == GATEWAY


def test_a_member_acts_for_one_organisation_and_for_no_other(ward):
    ward.identity.add_member(ward.hospital, ward.stranger.address, valid_s=60)
    ward.settle()
    assert ward.identity.is_member(ward.hospital.address, ward.stranger.address)
    assert not ward.identity.is_member(ward.stranger.address, ward.hospital.address)
    assert not ward.identity.is_member(ward.owner.address, ward.stranger.address)


def test_membership_ends_by_itself(ward):
    ward.identity.add_member(ward.hospital, ward.stranger.address, valid_s=60)
    [receipt] = ward.settle()
    ends_s = ward.box.engine.block(receipt.block_number).timestamp + 60
    ward.asset()
    assert ward.identity.is_member(ward.hospital.address, ward.stranger.address)
    ward.identity.add_gateway(ward.hospital, ward.stranger.address, valid_s=1)
    ward.settle(ends_s)
    assert not ward.identity.is_member(ward.hospital.address, ward.stranger.address)
    assert ward.identity.is_member(ward.hospital.address, ward.ann.address)


def test_a_member_who_is_removed_keeps_no_access_and_the_others_keep_theirs(ward):
    item = ward.granted()
    ward.identity.remove_member(ward.hospital, ward.ann.address)
    ward.settle()
    assert not ward.identity.is_member(ward.hospital.address, ward.ann.address)
    assert ward.basis(item).name == "NOT_MEMBER"
    assert ward.identity.is_member(ward.hospital.address, ward.ben.address)


def test_a_gateway_is_no_member_and_files_for_its_organisation_only(ward, reverts):
    assert not ward.identity.is_member(ward.hospital.address, ward.gateway.address)
    item = ward.item(ward.asset())
    with reverts("AccessGrantsNotItsGateway", organisation=ward.hospital.address, account=ward.stranger.address):
        ward.access.request_many(ward.stranger, ward.hospital.address, [item])


@pytest.mark.parametrize("bad", ["0x12", b"short", "ann", "", None])
def test_a_bad_address_is_refused_before_anything_is_sent(ward, sends_no_transaction, bad):
    acts = (
        lambda: ward.identity.add_member(ward.hospital, bad, valid_s=60),
        lambda: ward.identity.add_gateway(ward.hospital, bad, valid_s=60),
        lambda: ward.identity.remove_member(ward.hospital, bad),
    )
    for act in acts:
        with sends_no_transaction(ward), pytest.raises(BadAddress):
            act()


@pytest.mark.parametrize("valid_s", [0, -1])
def test_a_membership_of_no_time_is_refused_before_anything_is_sent(ward, sends_no_transaction, valid_s):
    with sends_no_transaction(ward), pytest.raises(ValueError, match="at least 1 second"):
        ward.identity.add_member(ward.hospital, ward.stranger.address, valid_s=valid_s)


def test_everybody_controls_themselves_and_is_known_by_a_did_on_this_chain(ward):
    assert ward.identity.controller_of(ward.ann.address) == ward.ann.address
    assert ward.identity.did(ward.ann.address) == f"did:ethr:0x539:{ward.ann.address}"


def test_a_gateway_that_is_removed_files_no_more_and_what_it_filed_stands(ward, reverts):
    asset = ward.asset()
    item = ward.request(asset)
    assert ward.identity.is_gateway(ward.hospital.address, ward.gateway.address)
    ward.identity.remove_gateway(ward.hospital, ward.gateway.address)
    ward.settle()
    assert not ward.identity.is_gateway(ward.hospital.address, ward.gateway.address)
    with reverts("AccessGrantsNotItsGateway", account=ward.gateway.address):
        ward.access.request_many(ward.gateway, ward.hospital.address, [ward.item(asset)])
    assert ward.access.status_of(item.id).name == "PENDING"
