"""Consent: only the owner gives it, taking it back is instant and final, a signature counts once and here only."""

import pytest

from chainsec.digest import keccak
from chainsec.ledger.account import Account
from chainsec.primitives import ZERO_ADDRESS, Hash32, Scope
from chainsec.purposes import find_purpose

CARE = find_purpose("treatment").hash
RESEARCH = find_purpose("research").hash
REASON = Hash32(keccak(b"a court's order"))
RECEIPT = Hash32(keccak(b"a receipt"))
HEIR = Account.derive(b"test_consent_ledger", "heir")
CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def is_valid(system, terms):
    return system.call("ConsentLedger", "isValid", *terms[:3])


def consent_of(system, terms):
    return system.call("ConsentLedger", "consentOf", *terms[:3])


def withdraw(system, terms, sender=None):
    return system.send(sender or system.owner, "ConsentLedger", "withdraw", *terms[:3])


def give_by_sig(system, terms, deadline, signature):
    return system.send(system.stranger, "ConsentLedger", "giveBySig", terms, deadline, signature)


def test_consent_allows_its_grantee_its_purpose_and_its_scope_only(system):
    asset, other = system.assets(2)
    terms = system.terms(asset, scope=Scope.READ | Scope.EXPORT)
    receipt = system.send(system.owner, "ConsentLedger", "give", terms)
    names = ("asset", "grantee", "purpose", "scope", "until", "record")
    assert system.events(receipt) == [("ConsentGiven", dict(zip(names, terms, strict=True)) | {"version": 1})]
    assert is_valid(system, terms)
    assert consent_of(system, terms) == (1, 1, 5, terms[4])
    for key in ((other, *terms[1:3]), (asset, system.stranger.address, CARE), (asset, terms[1], RESEARCH)):
        assert not system.call("ConsentLedger", "isValid", *key)
        assert system.call("ConsentLedger", "consentOf", *key) == (0, 0, 0, 0)
    covering = {s: system.call("ConsentLedger", "versionCovering", *terms[:3], s) for s in range(1, 8)}
    assert covering == {1: 1, 2: 0, 3: 0, 4: 1, 5: 1, 6: 0, 7: 0}


def test_only_the_owner_gives_and_withdraws(system, reverts):
    terms = system.terms(system.asset())
    accounts = (system.stranger, system.keys.admin, system.keys.agent, system.keys.guardian, system.keys.steward)
    for account in accounts:
        for function, argument in (("give", terms), ("giveMany", [terms])):
            with reverts("ConsentLedgerNotController", asset=terms[0], account=account.address):
                system.send(account, "ConsentLedger", function, argument)
    assert not is_valid(system, terms)
    system.consent(terms[0])
    for account in (*accounts, system.hospital):
        with reverts("ConsentLedgerNotController", asset=terms[0], account=account.address):
            withdraw(system, terms, account)
    assert is_valid(system, terms)


def test_consent_to_an_unknown_asset_is_refused(system, reverts):
    with reverts("AssetRegistryUnknownAsset", asset=REASON):
        system.send(system.owner, "ConsentLedger", "give", system.terms(REASON))


@pytest.mark.parametrize("change", [{3: 0}, {3: 8}, {3: 255}, {4: 1}, {1: ZERO_ADDRESS}])
def test_terms_without_sense_are_refused(system, reverts, change):
    terms = list(system.terms(system.asset()))
    for place, value in change.items():
        terms[place] = value
    with reverts("ConsentLedgerInvalidTerms", asset=terms[0]):
        system.send(system.owner, "ConsentLedger", "give", tuple(terms))


def test_consent_holds_until_its_last_second(system):
    asset = system.asset()
    until = system.now_s + 100
    system.consent(asset, until=until)
    terms = system.terms(asset)
    system.move_to(until)
    assert is_valid(system, terms)
    assert system.call("ConsentLedger", "versionCovering", *terms[:3], 1) == 1
    system.move_to(until + 1)
    assert not is_valid(system, terms)
    assert system.call("ConsentLedger", "versionCovering", *terms[:3], 1) == 0


def test_consent_may_end_in_the_very_second_it_is_given_but_not_before(system, reverts):
    terms = system.terms(system.asset(), until=system.now_s + 5)
    with reverts("ConsentLedgerInvalidTerms", asset=terms[0]):
        system.send(system.owner, "ConsentLedger", "give", terms, at_s=terms[4] + 1)
    later = (*terms[:4], system.now_s + 5, RECEIPT)
    system.send(system.owner, "ConsentLedger", "give", later, at_s=later[4])
    assert is_valid(system, later)


def test_withdrawal_is_instant_and_touches_no_other_consent(system):
    asset = system.asset()
    system.consent(asset)
    system.consent(asset, purpose=RESEARCH)
    terms, kept = system.terms(asset), system.terms(asset, purpose=RESEARCH)
    receipt = withdraw(system, terms)
    key = dict(zip(("asset", "grantee", "purpose"), terms, strict=False))
    assert system.events(receipt) == [("ConsentWithdrawn", key | {"version": 2})]
    assert not is_valid(system, terms)
    assert consent_of(system, terms)[:2] == (2, 2)
    assert is_valid(system, kept)


def test_what_is_not_in_force_cannot_be_ended(system, reverts):
    asset = system.asset()
    terms = system.terms(asset)
    facts = {"asset": asset, "grantee": system.hospital.address, "purpose": CARE}
    with reverts("ConsentLedgerNotInForce", **facts):
        withdraw(system, terms)
    system.consent(asset, until=system.now_s + 10)
    system.wait(10)
    with reverts("ConsentLedgerNotInForce", **facts):
        withdraw(system, terms)
    system.consent(asset)
    withdraw(system, terms)
    with reverts("ConsentLedgerNotInForce", **facts):
        withdraw(system, terms)
    with reverts("ConsentLedgerNotInForce", **facts):
        system.send(system.keys.guardian, "ConsentLedger", "revoke", *terms[:3], REASON)
    assert consent_of(system, terms)[:2] == (2, 3)


def test_guardian_revokes_with_a_reason(system):
    asset = system.asset()
    system.consent(asset)
    terms = system.terms(asset)
    receipt = system.send(system.keys.guardian, "ConsentLedger", "revoke", *terms[:3], REASON)
    key = dict(zip(("asset", "grantee", "purpose"), terms, strict=False))
    expected = key | {"version": 2, "by": system.keys.guardian.address, "reason": REASON}
    assert system.events(receipt) == [("ConsentRevoked", expected)]
    assert not is_valid(system, terms)
    assert consent_of(system, terms)[0] == 3


def test_renewal_is_a_new_consent_that_revives_no_grant(system):
    item = system.grant()
    terms = system.terms(item.asset)
    withdraw(system, terms)
    assert not system.has_access(item)
    system.consent(item.asset)
    assert consent_of(system, terms)[1] == 3
    assert is_valid(system, terms)
    assert system.basis(item) == "NO_CONSENT"
    again = system.request(system.member(0), item.asset)
    system.decide(again)
    assert system.has_access(again)


def test_consent_replaced_while_in_force_ends_the_grants_that_rest_on_it(system):
    item = system.grant()
    system.consent(item.asset)
    assert system.basis(item) == "NO_CONSENT"


def test_give_many_gives_all_or_nothing(system, reverts):
    assets = system.assets(3)
    foreign = system.asset(owner=system.stranger)
    with reverts("ConsentLedgerNotController", asset=foreign, account=system.owner.address):
        batch = [system.terms(assets[0]), system.terms(foreign)]
        system.send(system.owner, "ConsentLedger", "giveMany", batch)
    assert not is_valid(system, system.terms(assets[0]))
    # one asset after the other, also back and forth: the controller is asked whenever the asset changes
    order = [assets[0], assets[0], assets[1], assets[0], assets[2]]
    purposes = [CARE, RESEARCH, CARE, CARE, CARE]
    terms = [system.terms(asset, purpose=purpose) for asset, purpose in zip(order, purposes, strict=True)]
    system.send(system.owner, "ConsentLedger", "giveMany", terms)
    assert all(is_valid(system, entry) for entry in terms)
    assert [consent_of(system, entry)[1] for entry in terms] == [2, 1, 1, 2, 1]
    with reverts("ConsentLedgerNotController", asset=foreign, account=system.owner.address):
        system.send(system.owner, "ConsentLedger", "giveMany", [terms[0], system.terms(foreign), terms[0]])


def test_signature_of_the_owner_gives_whoever_hands_it_in(system):
    terms = system.terms(system.asset())
    receipt = give_by_sig(system, terms, system.now_s + 60, system.sign(terms, system.now_s + 60))
    assert [name for name, _ in system.events(receipt)] == ["ConsentGiven"]
    assert consent_of(system, terms) == (1, 1, terms[3], terms[4])


def test_signature_counts_once(system, reverts):
    terms = system.terms(system.asset())
    deadline = system.now_s + 1_000
    signature = system.sign(terms, deadline)
    give_by_sig(system, terms, deadline, signature)
    withdraw(system, terms)
    with reverts("ConsentLedgerInvalidSignature", signer=system.owner.address):
        give_by_sig(system, terms, deadline, signature)
    assert not is_valid(system, terms)


def end_as_owner(system, terms):
    withdraw(system, terms)


def end_as_guardian(system, terms):
    system.send(system.keys.guardian, "ConsentLedger", "revoke", *terms[:3], REASON)


def give_in_person(system, terms):
    system.send(system.owner, "ConsentLedger", "give", terms)


@pytest.mark.parametrize("change", [end_as_owner, end_as_guardian, give_in_person])
def test_signature_is_dead_once_its_consent_has_changed_and_no_other_is(system, reverts, change):
    asset = system.asset()
    terms, other = system.terms(asset), system.terms(asset, purpose=RESEARCH)
    system.send(system.owner, "ConsentLedger", "giveMany", [terms, other])
    deadline = system.now_s + 1_000
    held_back, kept = (system.sign(entry, deadline) for entry in (terms, other))
    change(system, terms)
    before = consent_of(system, terms)
    with reverts("ConsentLedgerInvalidSignature", signer=system.owner.address):
        give_by_sig(system, terms, deadline, held_back)
    assert consent_of(system, terms) == before
    give_by_sig(system, other, deadline, kept)
    assert consent_of(system, other)[:2] == (1, 2)


def test_signature_given_out_before_the_first_consent_is_dead_after_it(system, reverts):
    asset = system.asset()
    narrow, wide = system.terms(asset), system.terms(asset, scope=Scope.READ | Scope.WRITE)
    deadline = system.now_s + 1_000
    held_back = system.sign(narrow, deadline)
    give_in_person(system, wide)
    item = system.request(system.member(0), asset, scope=Scope.READ | Scope.WRITE)
    system.decide(item)
    with reverts("ConsentLedgerInvalidSignature", signer=system.owner.address):
        give_by_sig(system, narrow, deadline, held_back)
    assert consent_of(system, wide)[:3] == (1, 1, 3)
    assert system.has_access(item)
    withdraw(system, wide)
    with reverts("ConsentLedgerInvalidSignature", signer=system.owner.address):
        give_by_sig(system, narrow, deadline, held_back)
    assert not is_valid(system, narrow)


def test_of_two_signatures_for_the_same_consent_the_first_handed_in_counts(system, reverts):
    asset = system.asset()
    narrow, wide = system.terms(asset), system.terms(asset, scope=Scope.READ | Scope.WRITE)
    deadline = system.now_s + 1_000
    first, second = (system.sign(terms, deadline) for terms in (wide, narrow))
    give_by_sig(system, wide, deadline, first)
    with reverts("ConsentLedgerInvalidSignature", signer=system.owner.address):
        give_by_sig(system, narrow, deadline, second)
    assert consent_of(system, wide)[:3] == (1, 1, 3)


def test_signatures_for_several_consents_are_handed_in_in_any_order(system):
    entries = [system.terms(asset) for asset in system.assets(3)]
    deadline = system.now_s + 1_000
    signatures = [system.sign(terms, deadline) for terms in entries]
    for place in (2, 0, 1):
        give_by_sig(system, entries[place], deadline, signatures[place])
    assert all(is_valid(system, terms) for terms in entries)


def test_consent_that_ran_out_by_itself_is_renewed_by_a_signature_made_before(system):
    asset = system.asset()
    system.consent(asset, until=system.now_s + 10)
    terms, deadline = system.terms(asset), system.now_s + 1_000
    signature = system.sign(terms, deadline)
    system.wait(20)
    assert not is_valid(system, terms)
    give_by_sig(system, terms, deadline, signature)
    assert consent_of(system, terms)[:2] == (1, 2)


def test_signature_that_was_given_out_is_called_back_in_one_block(system, reverts):
    terms, deadline = system.terms(system.asset()), system.now_s + 1_000
    signature = system.sign(terms, deadline)
    system.queue(system.owner, "ConsentLedger", "give", terms)
    system.queue(system.owner, "ConsentLedger", "withdraw", *terms[:3])
    receipts = system.settle()
    assert receipts[0].block_number == receipts[1].block_number
    with reverts("ConsentLedgerInvalidSignature"):
        give_by_sig(system, terms, deadline, signature)
    assert not is_valid(system, terms)


def test_signature_holds_until_the_last_second_before_its_deadline_has_passed(system, reverts):
    terms = system.terms(system.asset())
    deadline = system.now_s + 60
    signature = system.sign(terms, deadline)
    arguments = ("ConsentLedger", "giveBySig", terms, deadline, signature)
    with system.rewound():
        with reverts("ConsentLedgerSignatureExpired", deadline=deadline):
            system.send(system.stranger, *arguments, at_s=deadline + 1)
        assert not is_valid(system, terms)
    system.send(system.stranger, *arguments, at_s=deadline)
    assert is_valid(system, terms)


@pytest.mark.parametrize(
    "elsewhere",
    [{"chain_id": 1}, {"contract": "AccessGrants"}, {"replaces": 1}, {"signer": HEIR}],
    ids=["other chain", "other contract", "later version", "other signer"],
)
def test_signature_made_for_elsewhere_or_by_another_gives_nothing(system, reverts, elsewhere):
    terms = system.terms(system.asset())
    signature = system.sign(terms, system.now_s + 60, **elsewhere)
    with reverts("ConsentLedgerInvalidSignature", signer=system.owner.address):
        give_by_sig(system, terms, system.now_s + 60, signature)
    assert consent_of(system, terms) == (0, 0, 0, 0)


def test_signature_covers_every_term_and_the_deadline(system, reverts):
    terms = system.terms(system.asset())
    other = system.asset()
    deadline = system.now_s + 600
    signature = system.sign(terms, deadline)
    changes = (other, system.stranger.address, RESEARCH, 7, terms[4] + 1, REASON)
    for place, value in enumerate(changes):
        changed = (*terms[:place], value, *terms[place + 1 :])
        with reverts("ConsentLedgerInvalidSignature"):
            give_by_sig(system, changed, deadline, signature)
    with reverts("ConsentLedgerInvalidSignature"):
        give_by_sig(system, terms, deadline + 1, signature)
    give_by_sig(system, terms, deadline, signature)


def test_malleable_and_malformed_signatures_are_refused(system, reverts):
    terms = system.terms(system.asset())
    deadline = system.now_s + 600
    good = system.sign(terms, deadline)
    high_s = (CURVE_ORDER - int.from_bytes(good[32:64], "big")).to_bytes(32, "big")
    mirrored = good[:32] + high_s + bytes([55 - good[64]])
    compact = good[:32] + (int.from_bytes(good[32:64], "big") | (good[64] - 27) << 255).to_bytes(32, "big")
    for bad in (mirrored, compact, good[:64], good + b"\0", bytes(65), b""):
        with reverts("ConsentLedgerInvalidSignature"):
            give_by_sig(system, terms, deadline, bad)
    assert not is_valid(system, terms)


def test_signature_counts_only_while_its_signer_controls_the_owner(system, reverts):
    terms = system.terms(system.asset())
    deadline = system.now_s + 600
    signature = system.sign(terms, deadline)
    system.send(system.owner, "DidRegistry", "changeOwner", system.owner.address, HEIR.address)
    with reverts("ConsentLedgerInvalidSignature", signer=HEIR.address):
        give_by_sig(system, terms, deadline, signature)
    give_by_sig(system, terms, deadline, system.sign(terms, deadline, signer=HEIR))
    assert is_valid(system, terms)


def test_wallet_contract_signs_and_acts_for_its_identity(system, reverts, testing_artifacts):
    wallet = system.deploy(testing_artifacts["Wallet"], HEIR.address)
    asset = system.asset(owner=wallet)
    terms = system.terms(asset)
    deadline = system.now_s + 600
    with reverts("ConsentLedgerInvalidSignature", signer=wallet.address):
        give_by_sig(system, terms, deadline, system.sign(terms, deadline, signer=system.stranger))
    give_by_sig(system, terms, deadline, system.sign(terms, deadline, signer=HEIR))
    assert is_valid(system, terms)
    with reverts("ConsentLedgerInvalidSignature", signer=wallet.address):
        give_by_sig(system, terms, deadline, system.sign(terms, deadline, signer=HEIR, replaces=0))
    ledger = system.contracts["ConsentLedger"]
    with reverts("WalletNotItsSigner", account=system.stranger.address):
        system.send(system.stranger, "Wallet", "execute", ledger.address, ledger.encode("withdraw", *terms[:3]))
    system.send(HEIR, "Wallet", "execute", ledger.address, ledger.encode("withdraw", *terms[:3]))
    assert not is_valid(system, terms)


def test_domain_is_announced_as_eip_5267_says(system):
    fields, name, version, chain_id, contract, salt, extensions = system.call("ConsentLedger", "eip712Domain")
    assert (fields, name, version, chain_id) == (b"\x0f", "ChainSec ConsentLedger", "1", system.engine.chain_id)
    assert contract == system.contracts["ConsentLedger"].address
    assert (salt, tuple(extensions)) == (bytes(32), ())
