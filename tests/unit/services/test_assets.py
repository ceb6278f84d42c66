"""Assets are registered once by stewards, known by owner and content, and only ever become more sensitive."""

from dataclasses import replace

import pytest

from chainsec.digest import keccak
from chainsec.errors import BadAddress, ContractReverted, UnknownAsset
from chainsec.primitives import Hash32
from chainsec.services.assets import Registration


def registration(ward, content, **fields):
    blank = {"owner": ward.owner.address, "content_hash": Hash32(keccak(content)), "sensitivity": 1}
    return Registration(**blank | fields)


def test_an_asset_has_the_identifier_that_the_contract_gives_it_and_everything_about_it_reads_back(ward):
    items = [registration(ward, b"a", sensitivity=0), registration(ward, b"b", sensitivity=3)]
    found = ward.assets.register(ward.keys.steward, items)
    assert not ward.assets.is_registered(found[0])
    ward.settle()
    for asset, item in zip(found, items, strict=True):
        assert asset == ward.client.call(ward.assets.contract, "assetId", item.owner, item.content_hash)
        assert ward.assets.is_registered(asset)
        assert ward.assets.owner_of(asset) == ward.owner.address
        assert ward.assets.sensitivity_of(asset) == item.sensitivity


def test_parents_and_what_is_superseded_stand_in_the_events(ward):
    old, parent = ward.asset(), ward.asset()
    [new] = ward.assets.register(ward.keys.steward, [registration(ward, b"new", supersedes=old, parents=(parent,))])
    ward.settle()
    assert ward.events(ward.assets, "AssetDerived") == [{"asset": new, "parent": parent}]
    assert ward.events(ward.assets, "AssetSuperseded") == [{"asset": old, "successor": new}]
    assert ward.client.call(ward.assets.contract, "isSuperseded", old)
    assert not ward.client.call(ward.assets.contract, "isSuperseded", parent)


def test_sensitivity_rises_and_nothing_else_changes(ward, reverts):
    asset, other = ward.asset(), ward.asset()
    ward.assets.raise_sensitivity(ward.keys.steward, asset, 3)
    ward.settle()
    assert (ward.assets.sensitivity_of(asset), ward.assets.sensitivity_of(other)) == (3, 1)
    with reverts("AssetRegistryInvalidSensitivity", sensitivity=2):
        ward.assets.raise_sensitivity(ward.keys.steward, asset, 2)
    assert ward.assets.sensitivity_of(asset) == 3


def test_only_stewards_register(ward, reverts):
    item = registration(ward, b"c")
    with reverts("AccessManagedUnauthorized", caller=ward.owner.address):
        [asset] = ward.assets.register(ward.owner, [item])
    assert not ward.assets.is_registered(asset)


def test_the_same_content_of_one_owner_is_registered_once_and_another_owner_may_have_it_too(ward, reverts):
    item = registration(ward, b"d")
    [asset] = ward.assets.register(ward.keys.steward, [item])
    ward.settle()
    with reverts("AssetRegistryAlreadyRegistered", asset=asset):
        ward.assets.register(ward.keys.steward, [item])
    [other] = ward.assets.register(ward.keys.steward, [replace(item, owner=ward.ann.address)])
    ward.settle()
    assert ward.assets.owner_of(other) == ward.ann.address


@pytest.mark.parametrize("nothing", [Hash32(bytes(32)), Hash32(bytes([9]) * 32), b"", b"short", bytes(33)])
def test_an_asset_that_nobody_registered_is_unknown(ward, sends_no_transaction, nothing):
    with sends_no_transaction(ward), pytest.raises(UnknownAsset) as caught:
        ward.assets.require_registered(nothing)
    assert caught.value.asset == nothing
    assert not ward.assets.is_registered(nothing)


def test_reading_an_unknown_asset_is_the_contracts_error(ward):
    for read in (ward.assets.owner_of, ward.assets.sensitivity_of):
        with pytest.raises(ContractReverted) as caught:
            read(Hash32(bytes([9]) * 32))
        assert caught.value.name == "AssetRegistryUnknownAsset"


def test_a_registration_that_cannot_be_right_is_refused_before_anything_is_sent(ward, sends_no_transaction):
    with sends_no_transaction(ward):
        for sensitivity in (-1, 4):
            with pytest.raises(ValueError, match="sensitivity runs from 0 to 3"):
                registration(ward, b"e", sensitivity=sensitivity)
        with pytest.raises(BadAddress):
            ward.assets.register(ward.keys.steward, [registration(ward, b"e", owner="0x12")])
        with pytest.raises(ValueError, match="nothing to register"):
            ward.assets.register(ward.keys.steward, [])
