"""The ERC-1056 registry, unmodified: its rules that the other contracts lean on."""

import pytest

from chainsec.digest import keccak
from chainsec.ledger.account import Account
from chainsec.primitives import ZERO_ADDRESS
from chainsec.purposes import find_purpose

MEMBER = b"chainsec.member".ljust(32, b"\0")
NAME = b"did/pub/Secp256k1/veriKey".ljust(32, b"\0")
HEIR = Account.derive(b"test_did_registry", "heir")


def change_owner(system, sender, identity, owner):
    return system.send(sender, "DidRegistry", "changeOwner", identity.address, owner.address)


def controller(system, identity):
    return system.call("DidRegistry", "identityOwner", identity.address)


def is_member(system, account):
    return system.call("DidRegistry", "validDelegate", system.hospital.address, MEMBER, account.address)


def test_identity_controls_itself_until_it_names_another(system):
    assert controller(system, system.owner) == system.owner.address
    receipt = change_owner(system, system.owner, system.owner, HEIR)
    [(name, args)] = system.events(receipt)
    assert (name, args["identity"], args["owner"]) == ("DIDOwnerChanged", system.owner.address, HEIR.address)
    assert controller(system, system.owner) == HEIR.address
    assert controller(system, HEIR) == HEIR.address


def test_only_the_controller_changes_an_identity(system, reverts):
    change_owner(system, system.owner, system.owner, HEIR)
    identity, name = system.owner.address, NAME
    calls = {
        "changeOwner": (identity, system.stranger.address),
        "addDelegate": (identity, MEMBER, system.stranger.address, 60),
        "revokeDelegate": (identity, MEMBER, system.stranger.address),
        "setAttribute": (identity, name, b"key", 60),
        "revokeAttribute": (identity, name, b"key"),
    }
    for function, arguments in calls.items():
        for account in (system.stranger, system.owner, system.keys.admin, system.keys.agent):
            with reverts("Error", reason="bad_actor"):
                system.call("DidRegistry", function, *arguments, sender=account.address)
        system.call("DidRegistry", function, *arguments, sender=HEIR.address)


def test_delegate_is_valid_for_its_type_and_identity_until_its_time(system):
    hospital, person = system.hospital, system.stranger
    system.send(hospital, "DidRegistry", "addDelegate", hospital.address, MEMBER, person.address, 100)
    since = system.now_s
    assert is_member(system, person)
    other = b"chainsec.gateway".ljust(32, b"\0")
    assert not system.call("DidRegistry", "validDelegate", hospital.address, other, person.address)
    assert not system.call("DidRegistry", "validDelegate", system.owner.address, MEMBER, person.address)
    system.move_to(since + 99)
    assert is_member(system, person)
    system.move_to(since + 100)
    assert not is_member(system, person)


def test_delegate_can_be_revoked_before_its_time(system):
    one, two = system.member(1), system.member(2)
    system.send(system.hospital, "DidRegistry", "revokeDelegate", system.hospital.address, MEMBER, one.address)
    assert not is_member(system, one)
    assert is_member(system, two)


def test_back_links_lead_to_every_change_and_to_nothing_else(system):
    identity, head = system.owner.address, []
    acts = [
        ("setAttribute", identity, NAME, b"key", 60),
        ("addDelegate", identity, MEMBER, HEIR.address, 60),
        ("revokeAttribute", identity, NAME, b"key"),
        ("revokeDelegate", identity, MEMBER, HEIR.address),
        ("changeOwner", identity, HEIR.address),
    ]
    for function, *arguments in acts:
        receipt = system.send(system.owner, "DidRegistry", function, *arguments)
        system.member(len(head))
        head.append(receipt.block_number)
    found, block = [], system.call("DidRegistry", "changed", identity)
    bound = system.contracts["DidRegistry"]
    while block:
        found.append(block)
        logs = system.engine.logs(block, block, bound.address, [None, bytes(12) + identity])
        [event] = [bound.decode_log(log) for log in logs]
        block = event.args["previousChange"]
    assert found == head[::-1]


def signed_owner_change(system, signer, identity, owner):
    registry = system.contracts["DidRegistry"].address
    nonce = system.call("DidRegistry", "nonce", controller(system, identity))
    digest = keccak(
        b"\x19\x00" + registry + nonce.to_bytes(32, "big") + identity.address + b"changeOwner" + owner.address
    )
    signature = signer.sign_digest(digest)
    return (identity.address, signature[64], signature[:32], signature[32:64], owner.address)


def test_signature_of_the_controller_counts_once(system, reverts):
    arguments = signed_owner_change(system, system.owner, system.owner, HEIR)
    system.send(system.stranger, "DidRegistry", "changeOwnerSigned", *arguments)
    assert controller(system, system.owner) == HEIR.address
    with reverts("Error", reason="bad_signature"):
        system.send(system.stranger, "DidRegistry", "changeOwnerSigned", *arguments)


def test_signature_of_anybody_else_changes_nothing(system, reverts):
    arguments = signed_owner_change(system, system.stranger, system.owner, HEIR)
    with reverts("Error", reason="bad_signature"):
        system.send(system.stranger, "DidRegistry", "changeOwnerSigned", *arguments)
    assert controller(system, system.owner) == system.owner.address


def test_zero_identity_that_anybody_can_act_for_opens_nothing(system, reverts):
    # ecrecover answers a broken signature with the zero address, which controls the zero identity
    gateway = b"chainsec.gateway".ljust(32, b"\0")
    broken = (0, bytes(32), bytes(32))
    arguments = (ZERO_ADDRESS, *broken, gateway, system.stranger.address, 1_000)
    system.send(system.stranger, "DidRegistry", "addDelegateSigned", *arguments)
    asset = system.asset()
    filing = (system.stranger.address, asset, find_purpose("treatment").hash, 1, system.now_s + 100, bytes(32))
    system.send(system.stranger, "AccessGrants", "requestMany", ZERO_ADDRESS, [filing])
    terms = (asset, ZERO_ADDRESS, find_purpose("treatment").hash, 1, system.now_s + 100, bytes(32))
    with reverts("ConsentLedgerInvalidTerms", asset=asset):
        system.send(system.owner, "ConsentLedger", "give", terms)
    with reverts("AssetRegistryInvalidOwner"):
        entry = (ZERO_ADDRESS, keccak(b"content"), 0, bytes(32), [])
        system.send(system.keys.steward, "AssetRegistry", "register", entry)


@pytest.mark.parametrize("act", ["give", "withdraw"])
def test_new_controller_acts_for_the_owner_and_the_old_one_no_longer(system, reverts, act):
    asset = system.asset()
    system.consent(asset)
    change_owner(system, system.owner, system.owner, HEIR)
    terms = system.terms(asset)
    arguments = (terms,) if act == "give" else terms[:3]
    with reverts("ConsentLedgerNotController", asset=asset, account=system.owner.address):
        system.send(system.owner, "ConsentLedger", act, *arguments)
    system.send(HEIR, "ConsentLedger", act, *arguments)
    assert system.call("ConsentLedger", "isValid", *terms[:3]) is (act == "give")
