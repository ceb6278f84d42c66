"""Requests are filed by those who may, and each use is let through or refused with its reason."""

import pytest

from chainsec.errors import AccessDenied
from chainsec.primitives import Scope, Verdict
from chainsec.purposes import find_purpose
from chainsec.services.access import Basis, Status


def test_a_request_in_ones_own_name_stands_as_it_was_made(ward):
    item = ward.item(ward.asset(), organisation=ward.ann.address)
    assert ward.access.request(ward.ann, item) == item.id
    ward.settle()
    assert ward.access.status_of(item.id) is Status.PENDING
    [event] = ward.events(ward.access, "AccessRequested")
    assert (event["request"], event["requester"], event["organisation"]) == (
        item.id,
        ward.ann.address,
        ward.ann.address,
    )


def test_a_batch_through_the_gateway_stands_whole_and_in_order(ward):
    asset = ward.asset()
    items = [ward.item(asset, requester=person.address) for person in (ward.ann, ward.ben, ward.ann)]
    assert ward.access.request_many(ward.gateway, ward.hospital.address, items) == [item.id for item in items]
    assert len(ward.settle()) == 1
    assert [event["request"] for event in ward.events(ward.access, "AccessRequested")] == [item.id for item in items]
    assert all(ward.access.status_of(item.id) is Status.PENDING for item in items)
    assert ward.access.status_of(ward.item(asset).id) is Status.NONE


def test_a_request_filed_by_the_wrong_party_is_refused_before_anything_is_sent(ward, sends_no_transaction):
    item = ward.item(ward.asset())
    with sends_no_transaction(ward):
        with pytest.raises(ValueError, match="in one's own name"):
            ward.access.request(ward.ann, item)
        with pytest.raises(ValueError, match="in one's own name"):
            ward.access.request(ward.ben, ward.item(item.asset, organisation=ward.ann.address))
        with pytest.raises(ValueError, match="only for its own organisation"):
            ward.access.request_many(ward.gateway, ward.owner.address, [item])
        with pytest.raises(ValueError, match="nothing to request"):
            ward.access.request_many(ward.gateway, ward.hospital.address, [])


def test_the_same_request_twice_is_refused_by_the_contract(ward, reverts):
    item = ward.request(ward.asset())
    with reverts("AccessGrantsDuplicateRequest", request=item.id):
        ward.access.request_many(ward.gateway, item.organisation, [item])
    assert ward.access.status_of(item.id) is Status.PENDING


def test_a_grant_covers_what_was_asked_and_nothing_beside_it(ward):
    item = ward.granted(scope=Scope.READ | Scope.WRITE | Scope.EXPORT)
    access = ward.access
    access.require(item.requester, item.asset, item.purpose)
    assert access.basis(item.requester, item.asset, item.purpose, Scope.WRITE) is Basis.NO_GRANT
    assert access.basis(item.requester, item.asset, item.purpose, Scope(0)) is Basis.NO_GRANT
    assert access.basis(item.requester, item.asset, find_purpose("research").hash, Scope.READ) is Basis.NO_GRANT
    assert access.basis(ward.ben.address, item.asset, item.purpose, Scope.READ) is Basis.NO_GRANT


def test_a_refused_use_says_who_what_and_why(ward):
    item = ward.granted()
    with pytest.raises(AccessDenied) as caught:
        ward.access.require(ward.ben.address, item.asset, item.purpose)
    assert (caught.value.requester, caught.value.asset, caught.value.reason) == (
        ward.ben.address,
        item.asset,
        "no grant",
    )
    assert str(ward.ben.address) in str(caught.value)


def test_each_reason_of_a_refusal_has_its_name(ward, facts):
    item = ward.granted()
    ward.access.pause(ward.keys.guardian)
    ward.settle()
    assert ward.basis(item) is Basis.PAUSED
    ward.access.resume(ward.keys.guardian)
    ward.settle()
    assert ward.basis(item) is Basis.AGREED
    ward.sentinel.quarantine(ward.keys.agent, item.requester, 60, facts.receipt)
    ward.settle()
    assert ward.basis(item) is Basis.QUARANTINED
    ward.access.pause(ward.keys.guardian)
    ward.settle(item.until + 1)
    assert ward.basis(item) is Basis.EXPIRED


@pytest.mark.parametrize(
    ("verdict", "status"),
    [(Verdict.DENY, Status.DENIED), (Verdict.ESCALATE, Status.ESCALATED), (Verdict.GRANT, Status.GRANTED)],
)
def test_a_decision_moves_a_request_to_its_status(ward, verdict, status):
    asset = ward.asset()
    ward.consent_to(asset)
    item, other = ward.request(asset), ward.request(asset, requester=ward.ben.address)
    ward.decide(item, verdict=verdict)
    assert ward.access.status_of(item.id) is status
    assert ward.has_access(item) is (status is Status.GRANTED)
    assert ward.access.status_of(other.id) is Status.PENDING


def test_a_grant_without_consent_becomes_a_denial(ward):
    item = ward.request(ward.asset())
    ward.decide(item)
    assert ward.access.status_of(item.id) is Status.DENIED
    assert Basis(ward.events(ward.access, "AccessDecided")[0]["basis"]) is Basis.NO_CONSENT


@pytest.mark.parametrize(("hold", "basis"), [("pause", Basis.PAUSED), ("quarantine", Basis.QUARANTINED)])
def test_a_grant_that_something_holds_up_becomes_an_escalation_for_afterwards(ward, facts, hold, basis):
    asset, guardian = ward.asset(), ward.keys.guardian
    ward.consent_to(asset)
    item = ward.request(asset)
    if hold == "pause":
        ward.access.pause(guardian)
    else:
        ward.sentinel.quarantine(ward.keys.agent, item.requester, 60, facts.receipt)
    ward.settle()
    ward.decide(item)
    assert ward.access.status_of(item.id) is Status.ESCALATED
    assert Basis(ward.events(ward.access, "AccessDecided")[0]["basis"]) is basis
    assert not ward.sentinel.can_approve(guardian.address, item)
    if hold == "pause":
        ward.access.resume(guardian)
    else:
        ward.sentinel.release(guardian, item.requester, facts.receipt)
    ward.sentinel.approve(guardian, item, facts.receipt)
    ward.settle()
    assert ward.has_access(item)


def test_only_guardians_pause_and_only_administrators_name_the_door(ward, reverts):
    with reverts("AccessManagedUnauthorized", caller=ward.keys.agent.address):
        ward.access.pause(ward.keys.agent)
    with reverts("AccessManagedUnauthorized", caller=ward.keys.guardian.address):
        ward.access.set_door(ward.keys.guardian, ward.stranger.address)
    assert not ward.client.call(ward.access.contract, "isPaused")
    assert ward.client.call(ward.access.contract, "door") == ward.sentinel.contract.address
