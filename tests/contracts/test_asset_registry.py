"""Assets: who they belong to, how sensitive they are, what they came from and what replaced them."""

import pytest

from chainsec.digest import keccak
from chainsec.primitives import ZERO_HASH, Hash32

CONTENT = keccak(b"a scan")
NOBODY = bytes(20)


def registration(system, content=CONTENT, *, owner=None, sensitivity=1, supersedes=ZERO_HASH, parents=()):
    holder = system.owner.address if owner is None else owner
    return (holder, content, sensitivity, supersedes, list(parents))


def register(system, *arguments, **fields):
    entry = registration(system, *arguments, **fields)
    receipt = system.send(system.keys.steward, "AssetRegistry", "register", entry)
    return Hash32(system.call("AssetRegistry", "assetId", entry[0], entry[1])), receipt


def is_registered(system, asset):
    return system.call("AssetRegistry", "isRegistered", asset)


def test_registered_asset_has_its_owner_and_sensitivity(system):
    other = system.asset(sensitivity=3)
    asset, receipt = register(system)
    assert system.events(receipt) == [
        (
            "AssetRegistered",
            {"asset": asset, "owner": system.owner.address, "contentHash": CONTENT, "sensitivity": 1},
        )
    ]
    assert is_registered(system, asset)
    assert system.call("AssetRegistry", "ownerOf", asset) == system.owner.address
    assert system.call("AssetRegistry", "sensitivityOf", asset) == 1
    assert system.call("AssetRegistry", "isSuperseded", asset) is False
    assert system.call("AssetRegistry", "sensitivityOf", other) == 3


def test_register_returns_the_identifier_that_was_foretold(system):
    foretold = system.call("AssetRegistry", "assetId", system.owner.address, CONTENT)
    steward = system.keys.steward.address
    assert system.call("AssetRegistry", "register", registration(system), sender=steward) == foretold
    assert not is_registered(system, foretold)


def test_identifier_depends_on_owner_and_content(system):
    identify = [(system.owner, CONTENT), (system.stranger, CONTENT), (system.owner, keccak(b"another"))]
    found = {system.call("AssetRegistry", "assetId", owner.address, content) for owner, content in identify}
    assert len(found) == 3


def test_two_owners_may_hold_the_same_content(system):
    mine, _ = register(system)
    theirs, _ = register(system, owner=system.stranger.address)
    assert mine != theirs
    assert system.call("AssetRegistry", "ownerOf", mine) == system.owner.address
    assert system.call("AssetRegistry", "ownerOf", theirs) == system.stranger.address


def test_one_owner_registers_a_content_once(system, reverts):
    asset, _ = register(system)
    with reverts("AssetRegistryAlreadyRegistered", asset=asset):
        register(system, sensitivity=0)
    assert system.call("AssetRegistry", "sensitivityOf", asset) == 1


@pytest.mark.parametrize("sensitivity", [0, 3])
def test_sensitivity_reaches_from_0_to_3(system, sensitivity):
    asset, _ = register(system, sensitivity=sensitivity)
    assert system.call("AssetRegistry", "sensitivityOf", asset) == sensitivity


def test_sensitivity_above_3_is_refused(system, reverts):
    with reverts("AssetRegistryInvalidSensitivity", sensitivity=4):
        register(system, sensitivity=4)


def test_nobody_owns_no_asset(system, reverts):
    with reverts("AssetRegistryInvalidOwner"):
        register(system, owner=NOBODY)


def test_parents_have_to_exist(system, reverts):
    unknown = keccak(b"unknown")
    known, _ = register(system)
    with reverts("AssetRegistryUnknownAsset", asset=unknown):
        register(system, keccak(b"child"), parents=[known, unknown])
    child = system.call("AssetRegistry", "assetId", system.owner.address, keccak(b"child"))
    assert not is_registered(system, child)


def test_asset_is_no_parent_of_its_own(system, reverts):
    own = system.call("AssetRegistry", "assetId", system.owner.address, CONTENT)
    with reverts("AssetRegistryUnknownAsset", asset=own):
        register(system, parents=[own])
    with reverts("AssetRegistryUnknownAsset", asset=own):
        register(system, supersedes=own)


def test_parents_are_on_record_and_stay_what_they_were(system):
    first, _ = register(system)
    second, _ = register(system, keccak(b"second"), owner=system.stranger.address)
    child, receipt = register(system, keccak(b"child"), parents=[first, second])
    derived = [args for name, args in system.events(receipt) if name == "AssetDerived"]
    assert derived == [{"asset": child, "parent": first}, {"asset": child, "parent": second}]
    assert not system.call("AssetRegistry", "isSuperseded", first)


def test_later_ones_of_a_batch_may_name_earlier_ones_as_parents_only(system, reverts):
    contents = [keccak(bytes([place])) for place in range(2)]
    first, second = (system.call("AssetRegistry", "assetId", system.owner.address, content) for content in contents)
    forward = [registration(system, contents[0], parents=[second]), registration(system, contents[1])]
    with reverts("AssetRegistryUnknownAsset", asset=second):
        system.send(system.keys.steward, "AssetRegistry", "registerMany", forward)
    assert not is_registered(system, first)
    backward = [registration(system, contents[0]), registration(system, contents[1], parents=[first])]
    receipt = system.send(system.keys.steward, "AssetRegistry", "registerMany", backward)
    assert [name for name, _ in system.events(receipt)] == ["AssetRegistered", "AssetDerived", "AssetRegistered"]
    assert is_registered(system, first)
    assert is_registered(system, second)


def test_version_supersedes_one_asset_of_its_owner(system):
    old, _ = register(system)
    new, receipt = register(system, keccak(b"new"), supersedes=old)
    assert ("AssetSuperseded", {"asset": old, "successor": new}) in system.events(receipt)
    assert system.call("AssetRegistry", "isSuperseded", old)
    assert not system.call("AssetRegistry", "isSuperseded", new)
    assert is_registered(system, old)


def test_asset_has_one_successor(system, reverts):
    old, _ = register(system)
    register(system, keccak(b"new"), supersedes=old)
    with reverts("AssetRegistryCannotSupersede", asset=old):
        register(system, keccak(b"newer"), supersedes=old)
    assert not is_registered(system, system.call("AssetRegistry", "assetId", system.owner.address, keccak(b"newer")))


def test_asset_of_another_owner_is_not_superseded(system, reverts):
    old, _ = register(system)
    with reverts("AssetRegistryCannotSupersede", asset=old):
        register(system, keccak(b"new"), owner=system.stranger.address, supersedes=old)
    assert not system.call("AssetRegistry", "isSuperseded", old)


def test_sensitivity_is_raised_for_that_asset_only(system):
    asset, _ = register(system)
    other = system.asset(sensitivity=1)
    receipt = system.send(system.keys.steward, "AssetRegistry", "raiseSensitivity", asset, 3)
    assert system.events(receipt) == [("SensitivityRaised", {"asset": asset, "from": 1, "to": 3})]
    assert system.call("AssetRegistry", "sensitivityOf", asset) == 3
    assert system.call("AssetRegistry", "sensitivityOf", other) == 1
    assert system.call("AssetRegistry", "ownerOf", asset) == system.owner.address


@pytest.mark.parametrize("sensitivity", [0, 1, 4, 255])
def test_sensitivity_is_never_lowered_nor_kept_nor_above_3(system, reverts, sensitivity):
    asset, _ = register(system, sensitivity=1)
    with reverts("AssetRegistryInvalidSensitivity", sensitivity=sensitivity):
        system.send(system.keys.steward, "AssetRegistry", "raiseSensitivity", asset, sensitivity)
    assert system.call("AssetRegistry", "sensitivityOf", asset) == 1


@pytest.mark.parametrize("function", ["ownerOf", "sensitivityOf", "isSuperseded"])
def test_unknown_asset_is_an_error_with_its_identifier(system, reverts, function):
    with reverts("AssetRegistryUnknownAsset", asset=CONTENT):
        system.call("AssetRegistry", function, CONTENT)
    assert not is_registered(system, CONTENT)


def test_sensitivity_of_an_unknown_asset_cannot_be_raised(system, reverts):
    with reverts("AssetRegistryUnknownAsset", asset=CONTENT):
        system.send(system.keys.steward, "AssetRegistry", "raiseSensitivity", CONTENT, 3)
