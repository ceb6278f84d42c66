"""Owners give consent, sign it, and take it back; nobody else does."""

from dataclasses import replace

import pytest

from chainsec.errors import BadAddress
from chainsec.primitives import Hash32, Scope
from chainsec.purposes import find_purpose


def test_consent_holds_for_its_asset_grantee_and_purpose_and_for_nothing_else(ward, facts):
    asset, other = ward.asset(), ward.asset()
    ward.consent_to(asset)
    assert ward.consent.is_valid(asset, ward.hospital.address, facts.care)
    assert not ward.consent.is_valid(other, ward.hospital.address, facts.care)
    assert not ward.consent.is_valid(asset, ward.ann.address, facts.care)
    assert not ward.consent.is_valid(asset, ward.hospital.address, find_purpose("research").hash)


def test_consent_ends_after_its_last_second(ward, facts):
    asset = ward.asset()
    until = ward.client.now_s + 1_000
    ward.consent_to(asset, until=until)
    for time_s, valid in ((until, True), (until + 2, False)):
        ward.consent.give(ward.owner, [ward.terms(asset, grantee=ward.ann.address, until=until + 10_000)])
        ward.settle(time_s)
        assert ward.consent.is_valid(asset, ward.hospital.address, facts.care) is valid


def test_withdrawn_consent_ends_the_grant_and_a_renewal_does_not_bring_it_back(ward, facts):
    item = ward.granted()
    ward.consent.withdraw(ward.owner, item.asset, ward.hospital.address, facts.care)
    ward.settle()
    assert not ward.has_access(item)
    ward.consent_to(item.asset)
    assert ward.consent.is_valid(item.asset, ward.hospital.address, facts.care)
    assert not ward.has_access(item)


def test_only_the_controller_of_the_owner_gives_and_withdraws(ward, facts, reverts):
    asset = ward.asset()
    with reverts("ConsentLedgerNotController", asset=asset, account=ward.ann.address):
        ward.consent.give(ward.ann, [ward.terms(asset)])
    assert not ward.consent.is_valid(asset, ward.hospital.address, facts.care)
    ward.consent_to(asset)
    with reverts("ConsentLedgerNotController", asset=asset, account=ward.ann.address):
        ward.consent.withdraw(ward.ann, asset, ward.hospital.address, facts.care)
    assert ward.consent.is_valid(asset, ward.hospital.address, facts.care)


def test_signed_consent_may_be_handed_in_by_anybody_but_only_once(ward, facts, reverts):
    terms = ward.terms(ward.asset(), record=Hash32(bytes([7]) * 32))
    key, deadline_s = (terms.asset, terms.grantee, facts.care), ward.client.now_s + 60
    replaces = ward.consent.version_of(*key)
    signature = ward.consent.sign(ward.owner, terms, replaces=replaces, deadline_s=deadline_s)
    ward.consent.give_signed(ward.stranger, terms, deadline_s=deadline_s, signature=signature)
    ward.settle()
    assert ward.consent.is_valid(*key)
    assert (replaces, ward.consent.version_of(*key)) == (0, 1)
    with reverts("ConsentLedgerInvalidSignature", signer=ward.owner.address):
        ward.consent.give_signed(ward.stranger, terms, deadline_s=deadline_s, signature=signature)


@pytest.mark.parametrize("act", ["give", "withdraw", "revoke"])
def test_a_signature_is_worthless_once_its_consent_was_given_or_ended_in_another_way(ward, facts, reverts, act):
    asset = ward.asset()
    terms, deadline_s = ward.terms(asset), ward.client.now_s + 600
    key = (asset, terms.grantee, facts.care)
    ward.consent_to(asset)
    version = ward.consent.version_of(*key)
    signature = ward.consent.sign(ward.owner, terms, replaces=version, deadline_s=deadline_s)
    if act == "give":
        ward.consent_to(asset, scope=Scope.READ | Scope.WRITE)
    elif act == "withdraw":
        ward.consent.withdraw(ward.owner, *key)
    else:
        ward.consent.revoke(ward.keys.guardian, *key, reason=facts.receipt)
    ward.settle()
    assert ward.consent.version_of(*key) == version + 1
    with reverts("ConsentLedgerInvalidSignature", signer=ward.owner.address):
        ward.consent.give_signed(ward.stranger, terms, deadline_s=deadline_s, signature=signature)
    assert ward.consent.is_valid(*key) is (act == "give")
    renewed = ward.consent.sign(ward.owner, terms, replaces=version + 1, deadline_s=deadline_s)
    ward.consent.give_signed(ward.stranger, terms, deadline_s=deadline_s, signature=renewed)
    ward.settle()
    assert ward.consent.is_valid(*key)


def test_guardians_end_a_consent_with_their_reason_and_nobody_else_does(ward, facts, reverts):
    item, kept = ward.granted(), ward.granted()
    key = (item.asset, ward.hospital.address, facts.care)
    for account in (ward.stranger, ward.owner, ward.keys.agent):
        with reverts("AccessManagedUnauthorized", caller=account.address):
            ward.consent.revoke(account, *key, reason=facts.receipt)
    assert ward.has_access(item)
    ward.consent.revoke(ward.keys.guardian, *key, reason=facts.receipt)
    ward.settle()
    [event] = ward.events(ward.consent, "ConsentRevoked")
    assert (event["by"], event["reason"], event["asset"]) == (ward.keys.guardian.address, facts.receipt, item.asset)
    assert not ward.has_access(item)
    assert ward.has_access(kept)


@pytest.mark.parametrize(
    "change",
    [
        {"scope": Scope.READ | Scope.EXPORT},
        {"purpose": find_purpose("research").hash},
        {"until": 2**40 - 1},
        {"record": Hash32(bytes([1]) * 32)},
        {"grantee": bytes(19) + b"\x01"},
    ],
)
def test_a_signature_covers_every_term(ward, facts, reverts, change):
    terms = ward.terms(ward.asset())
    deadline_s = ward.client.now_s + 60
    signature = ward.consent.sign(ward.owner, terms, replaces=0, deadline_s=deadline_s)
    with reverts("ConsentLedgerInvalidSignature"):
        ward.consent.give_signed(ward.stranger, replace(terms, **change), deadline_s=deadline_s, signature=signature)
    assert not ward.consent.is_valid(terms.asset, terms.grantee, facts.care)
    assert ward.consent.version_of(terms.asset, terms.grantee, facts.care) == 0


def test_a_signature_of_another_or_after_its_deadline_is_refused(ward, reverts):
    terms = ward.terms(ward.asset())
    deadline_s = ward.client.now_s + 60
    forged = ward.consent.sign(ward.stranger, terms, replaces=0, deadline_s=deadline_s)
    with reverts("ConsentLedgerInvalidSignature"):
        ward.consent.give_signed(ward.stranger, terms, deadline_s=deadline_s, signature=forged)
    late = ward.consent.sign(ward.owner, terms, replaces=0, deadline_s=ward.client.now_s)
    with reverts("ConsentLedgerSignatureExpired"):
        ward.consent.give_signed(ward.stranger, terms, deadline_s=ward.client.now_s, signature=late)


def test_terms_that_cannot_be_right_are_refused_before_anything_is_sent(ward, sends_no_transaction):
    asset = ward.asset()
    with sends_no_transaction(ward):
        with pytest.raises(BadAddress):
            ward.consent.give(ward.owner, [ward.terms(asset, grantee="0x12")])
        with pytest.raises(BadAddress):
            ward.consent.withdraw(ward.owner, asset, "0x12", find_purpose("research").hash)
        with pytest.raises(ValueError, match="nothing to consent to"):
            ward.consent.give(ward.owner, [])
        with pytest.raises(ValueError, match="argument terms"):
            ward.consent.give(ward.owner, [ward.terms(asset, until=2**40)])
