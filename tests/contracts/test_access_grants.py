"""Requests, grants and access: one way in, one word that counts, every second of it."""

import pytest

from chainsec.digest import keccak
from chainsec.ledger.account import Account
from chainsec.primitives import ZERO_ADDRESS, ZERO_HASH, Hash32, Scope, Verdict
from chainsec.purposes import find_purpose
from chainsec.services.access import Basis

BASES = [basis.name for basis in Basis]
RESEARCH = find_purpose("research").hash
RECEIPT = Hash32(keccak(b"a receipt"))
CLINIC = Account.derive(b"test_access_grants", "clinic")
NO_GRANT = (ZERO_HASH, ZERO_ADDRESS, 0, 0, 0)


def grant_of(system, item):
    return system.call("AccessGrants", "grantOf", item.requester, item.asset, item.purpose)


def test_request_in_ones_own_name_has_the_requester_as_organisation(system):
    asset = system.asset()
    item = system.item(system.stranger, asset, organisation=system.stranger)
    arguments = ("AccessGrants", "request", *item.as_tuple()[2:])
    assert system.call(*arguments, sender=system.stranger.address) == item.id
    receipt = system.send(system.stranger, *arguments)
    names = ("requester", "organisation", "asset", "purpose", "scope", "until", "context")
    fields = dict(zip(names, item.as_tuple(), strict=True)) | {"request": item.id}
    assert system.events(receipt) == [("AccessRequested", fields)]
    assert system.status(item) == "PENDING"
    assert system.call("AccessGrants", "requestId", item.as_tuple()) == item.id
    assert grant_of(system, item) == NO_GRANT
    assert not system.has_access(item)


def test_person_with_consent_of_its_own_gets_access_without_any_organisation(system):
    asset = system.asset()
    system.consent(asset, grantee=system.stranger)
    item = system.request_alone(system.stranger, asset)
    system.decide(item)
    assert system.has_access(item)
    assert not system.call("AccessGrants", "hasAccess", system.hospital.address, asset, item.purpose, 1)


def test_gateway_files_for_members_of_its_own_organisation(system):
    one, two = system.member(1), system.member(2)
    assets = system.assets(2)
    items = [system.item(one, assets[0]), system.item(two, assets[1])]
    receipt = system.file(*items)
    found = [(name, args["request"], args["requester"], args["organisation"]) for name, args in system.events(receipt)]
    expected = [("AccessRequested", item.id, item.requester, system.hospital.address) for item in items]
    assert found == expected
    assert [system.status(item) for item in items] == ["PENDING"] * 2


@pytest.mark.parametrize("caller", ["stranger", "hospital", "owner"])
def test_nobody_but_its_gateway_files_for_an_organisation(system, reverts, caller):
    account = getattr(system, caller)
    item = system.item(system.member(0), system.asset())
    facts = {"organisation": system.hospital.address, "account": account.address}
    with reverts("AccessGrantsNotItsGateway", **facts):
        system.send(account, "AccessGrants", "requestMany", system.hospital.address, [system.filing(item)])
    assert system.status(item) == "NONE"


def test_gateway_of_one_organisation_is_none_of_another(system, reverts):
    item = system.item(system.member(0), system.asset(), organisation=CLINIC)
    with reverts("AccessGrantsNotItsGateway", organisation=CLINIC.address, account=system.gateway.address):
        system.send(system.gateway, "AccessGrants", "requestMany", CLINIC.address, [system.filing(item)])


def test_dismissed_gateway_files_nothing_more(system, reverts):
    gateway = system.call("AccessGrants", "GATEWAY")
    arguments = (system.hospital.address, gateway, system.gateway.address)
    system.send(system.hospital, "DidRegistry", "revokeDelegate", *arguments)
    with reverts("AccessGrantsNotItsGateway"):
        system.request(system.member(0), system.asset())


def test_same_request_stands_once_whatever_became_of_it(system, reverts):
    item = system.pending()
    for verdict in (None, Verdict.DENY):
        if verdict is not None:
            system.decide(item, verdict)
        with reverts("AccessGrantsDuplicateRequest", request=item.id):
            system.file(item)
    fresh = system.item(system.member(0), item.asset)
    with reverts("AccessGrantsDuplicateRequest", request=fresh.id):
        system.file(fresh, fresh)
    assert system.status(fresh) == "NONE"
    alone = system.request_alone(system.stranger, item.asset)
    with reverts("AccessGrantsDuplicateRequest", request=alone.id):
        system.send(system.stranger, "AccessGrants", "request", *alone.as_tuple()[2:])


@pytest.mark.parametrize("scope", [0, 8, 255])
def test_scope_that_is_empty_or_unknown_is_refused(system, reverts, scope):
    item = system.item(system.member(0), system.asset(), scope=scope)
    with reverts("AccessGrantsInvalidRequest", request=item.id):
        system.file(item)
    assert system.status(item) == "NONE"


def test_request_may_end_in_its_own_second_but_not_before(system, reverts):
    item = system.item(system.member(0), system.asset(), until=system.now_s + 10)
    arguments = ("AccessGrants", "requestMany", system.hospital.address, [system.filing(item)])
    with system.rewound(), reverts("AccessGrantsInvalidRequest", request=item.id):
        system.send(system.gateway, *arguments, at_s=item.until + 1)
    system.send(system.gateway, *arguments, at_s=item.until)
    assert system.status(item) == "PENDING"


@pytest.mark.parametrize("flaw", ["expired", "empty scope", "stands already"])
def test_one_bad_filing_turns_its_whole_batch_back_and_the_error_names_it(system, reverts, flaw):
    asset, stands = system.asset(), system.pending()
    bad = {
        "expired": system.item(system.member(0), asset, until=system.now_s),
        "empty scope": system.item(system.member(0), asset, scope=0),
        "stands already": stands,
    }[flaw]
    good = [system.item(system.member(0), asset) for _ in range(2)]
    error = "AccessGrantsDuplicateRequest" if bad is stands else "AccessGrantsInvalidRequest"
    with reverts(error, request=bad.id):
        system.file(good[0], bad, good[1])
    assert [system.status(item) for item in good] == ["NONE"] * 2
    system.file(*good)
    assert [system.status(item) for item in good] == ["PENDING"] * 2


def test_decisions_and_restrictions_come_through_the_door_only(system, reverts):
    item = system.pending()
    decision = system.decision(item)
    calls = {
        "decideMany": ([decision], (3, 100, 2**40 - 1)),
        "overrule": (decision,),
        "revoke": (item.as_tuple(), RECEIPT),
        "quarantine": (item.requester, 2**40 - 1, RECEIPT),
        "release": (item.requester, RECEIPT),
    }
    keys = system.keys
    for account in (keys.agent, keys.guardian, keys.admin, keys.policy, system.gateway, system.stranger):
        for function, arguments in calls.items():
            with reverts("AccessGrantsNotTheDoor", account=account.address):
                system.call("AccessGrants", function, *arguments, sender=account.address)
    assert system.status(item) == "PENDING"
    assert not system.has_access(item)


def test_door_is_set_by_an_administrator_and_closes_the_one_before(system, reverts):
    item = system.pending()
    door = system.contracts["Sentinel"].address
    assert system.call("AccessGrants", "door") == door
    for account in (system.keys.agent, system.keys.guardian, system.keys.policy, system.stranger):
        with reverts("AccessManagedUnauthorized", caller=account.address):
            system.send(account, "AccessGrants", "setDoor", account.address)
    receipt = system.send(system.keys.admin, "AccessGrants", "setDoor", system.stranger.address)
    assert system.events(receipt) == [("DoorSet", {"door": system.stranger.address})]
    with reverts("AccessGrantsNotTheDoor", account=door):
        system.decide(item)
    system.send(system.keys.admin, "AccessGrants", "setDoor", door)
    system.decide(item)
    assert system.has_access(item)


def test_grant_holds_until_its_last_second(system):
    item = system.grant(until=system.now_s + 1_000)
    assert grant_of(system, item) == (item.id, item.organisation, item.until, 1, 1)
    system.move_to(item.until)
    assert system.has_access(item)
    system.move_to(item.until + 1)
    assert system.basis(item) == "EXPIRED"
    assert not system.has_access(item)


def test_grant_allows_the_scope_it_was_given_for_and_no_more(system):
    asset = system.asset()
    system.consent(asset, scope=Scope.READ | Scope.WRITE | Scope.EXPORT)
    item = system.request(system.member(0), asset, scope=Scope.READ | Scope.EXPORT)
    system.decide(item)
    allowed = {scope for scope in range(8) if system.basis(item, scope or None) == "AGREED" and scope}
    assert allowed == {1, 4, 5}
    key = (item.requester, asset, item.purpose)
    for scope in (0, 8, 9, 255):
        assert not system.call("AccessGrants", "hasAccess", *key, scope)


def test_grant_is_for_one_requester_one_asset_and_one_purpose(system):
    item = system.grant()
    other = system.asset()
    system.consent(other)
    member = system.member(1).address
    for key in ((member, item.asset, item.purpose), (item.requester, other, item.purpose)):
        assert not system.call("AccessGrants", "hasAccess", *key, 1)
    assert not system.call("AccessGrants", "hasAccess", item.requester, item.asset, RESEARCH, 1)


def test_member_who_leaves_loses_access_in_the_same_block(system):
    item, kept = system.grant(system.member(1)), system.grant(system.member(2))
    member = system.call("AccessGrants", "MEMBER")
    arguments = (system.hospital.address, member, item.requester)
    system.send(system.hospital, "DidRegistry", "revokeDelegate", *arguments)
    assert system.basis(item) == "NOT_MEMBER"
    assert system.has_access(kept)


def test_grant_to_somebody_who_is_no_member_opens_nothing(system):
    item = system.pending(system.stranger)
    system.decide(item)
    assert system.status(item) == "GRANTED"
    assert system.basis(item) == "NOT_MEMBER"


def test_withdrawn_consent_ends_access_in_the_same_block(system):
    item, kept = system.grant(), system.grant()
    system.send(system.owner, "ConsentLedger", "withdraw", item.asset, item.organisation, item.purpose)
    assert system.basis(item) == "NO_CONSENT"
    assert system.has_access(kept)


def test_withdrawal_earlier_in_the_block_stops_the_grant(system):
    item = system.pending()
    system.queue(system.owner, "ConsentLedger", "withdraw", item.asset, item.organisation, item.purpose)
    system.queue(system.keys.agent, "Sentinel", "decide", system.decision(item))
    receipts = system.settle()
    assert receipts[0].block_number == receipts[1].block_number
    assert system.status(item) == "DENIED"
    assert not system.has_access(item)


def test_consent_that_runs_out_takes_the_grant_with_it(system):
    item = system.pending()
    terms_end = system.now_s + 500
    system.consent(item.asset, until=terms_end)
    system.decide(item)
    system.move_to(terms_end)
    assert system.has_access(item)
    system.move_to(terms_end + 1)
    assert system.basis(item) == "NO_CONSENT"


@pytest.mark.parametrize(
    ("break_it", "basis"),
    [("consent", "NO_CONSENT"), ("purpose", "NO_CONSENT"), ("scope", "NO_CONSENT"), ("expiry", "EXPIRED")],
)
def test_grant_that_does_not_stand_becomes_a_denial_with_its_reason(system, break_it, basis):
    asset = system.asset()
    fields = {"purpose": {"purpose": RESEARCH}, "scope": {"scope": Scope.WRITE}, "expiry": {"until": system.now_s + 9}}
    if break_it != "consent":
        system.consent(asset)
    item = system.request(system.member(0), asset, **fields.get(break_it, {}))
    if break_it == "expiry":
        system.move_to(item.until)
    [(name, args)] = system.events(system.decide(item))
    expected = {"request": item.id, "outcome": 2, "basis": args["basis"], "until": 0, "receipt": RECEIPT}
    assert (name, args) == ("AccessDecided", expected)
    assert system.status(item) == "DENIED"
    assert args["basis"] == {"NO_CONSENT": 3, "EXPIRED": 2}[basis]
    assert grant_of(system, item) == NO_GRANT


def test_request_for_an_asset_that_nobody_registered_holds_up_no_batch(system):
    good = system.pending()
    bad = system.request(system.member(0), Hash32(keccak(b"never registered")))
    system.send(system.keys.agent, "Sentinel", "decideMany", [system.decision(bad), system.decision(good)])
    assert system.status(bad) == "DENIED"
    assert system.has_access(good)


def test_pause_stops_all_access_and_all_grants_until_resumed(system, reverts):
    item, waiting = system.grant(), system.pending()
    unconsented = system.request(system.member(0), system.asset())
    receipt = system.send(system.keys.guardian, "AccessGrants", "pause")
    assert system.events(receipt) == [("AccessPaused", {"by": system.keys.guardian.address})]
    assert system.call("AccessGrants", "isPaused")
    assert system.basis(item) == "PAUSED"
    [(_, args)] = system.events(system.decide(waiting))
    assert (system.status(waiting), BASES[args["basis"]]) == ("ESCALATED", "PAUSED")
    system.decide(unconsented)
    assert system.status(unconsented) == "DENIED"
    with reverts("SentinelCannotGrant", request=waiting.id, basis=BASES.index("PAUSED")):
        system.send(system.keys.guardian, "Sentinel", "approve", waiting.as_tuple(), RECEIPT)
    assert system.status(waiting) == "ESCALATED"
    receipt = system.send(system.keys.guardian, "AccessGrants", "resume")
    assert system.events(receipt) == [("AccessResumed", {"by": system.keys.guardian.address})]
    assert not system.call("AccessGrants", "isPaused")
    assert system.has_access(item)
    assert not system.has_access(waiting)
    system.send(system.keys.guardian, "Sentinel", "approve", waiting.as_tuple(), RECEIPT)
    assert system.has_access(waiting)


def test_verdict_to_deny_or_to_escalate_stands_during_a_pause(system):
    items = [system.pending(), system.pending()]
    system.send(system.keys.guardian, "AccessGrants", "pause")
    for item, verdict, outcome in zip(items, (Verdict.DENY, Verdict.ESCALATE), ("DENIED", "ESCALATED"), strict=True):
        [(_, args)] = system.events(system.decide(item, verdict))
        assert (system.status(item), args["basis"]) == (outcome, 0)


def test_overruling_that_does_not_stand_takes_away_what_the_request_was_granted_before(system):
    """No door but the Sentinel undoes it as a whole; AccessGrants keeps status and access in step by itself."""
    item = system.grant()
    system.send(system.keys.admin, "AccessGrants", "setDoor", system.stranger.address)
    system.send(system.owner, "ConsentLedger", "withdraw", item.asset, item.organisation, item.purpose)
    system.send(system.stranger, "AccessGrants", "overrule", system.decision(item))
    system.consent(item.asset)
    assert system.status(item) == "DENIED"
    assert system.basis(item) == "NO_GRANT"


def test_second_grant_for_the_same_use_replaces_the_first(system):
    asset = system.asset()
    system.consent(asset, scope=Scope.READ | Scope.WRITE)
    first = system.request(system.member(0), asset, scope=Scope.READ | Scope.WRITE)
    second = system.request(system.member(0), asset, scope=Scope.READ)
    system.decide(first)
    assert system.has_access(first)
    system.decide(second)
    assert system.has_access(second)
    assert system.basis(first) == "NO_GRANT"
