"""The agent acts within its budgets, guardians undo what it did, and a trial changes nothing."""

import pytest

from chainsec.config import Limits
from chainsec.digest import keccak
from chainsec.primitives import Decision, Verdict
from chainsec.services.access import Basis, Status
from chainsec.services.sentinel import limit_fields

LIMITS = Limits()


def test_decisions_go_through_in_one_transaction_with_their_receipts(ward, facts):
    asset = ward.asset()
    ward.consent_to(asset)
    items = [ward.request(asset, requester=person.address) for person in (ward.ann, ward.ben)]
    ward.decide(*items)
    events = ward.events(ward.access, "AccessDecided")
    assert [(event["request"], event["receipt"]) for event in events] == [(item.id, facts.receipt) for item in items]


def test_deciding_again_changes_nothing(ward, facts):
    item = ward.granted()
    ward.decide(item, verdict=Verdict.DENY)
    assert ward.has_access(item)
    assert ward.events(ward.access, "AccessDecided") == []
    assert ward.events(ward.access, "DecisionSkipped") == [{"request": item.id, "receipt": facts.receipt}]


def test_no_decisions_and_unknown_severities_are_refused_before_anything_is_sent(ward, facts, sends_no_transaction):
    with sends_no_transaction(ward):
        with pytest.raises(ValueError, match="nothing to decide"):
            ward.sentinel.decide(ward.keys.agent, [])
        for severity in (0, 4):
            with pytest.raises(ValueError, match="severity runs from 1 to 3"):
                ward.sentinel.raise_alert(ward.keys.agent, ward.ann.address, "volume", severity, facts.receipt)


def test_a_revocation_ends_one_grant_and_spends_one_of_the_budget(ward, facts):
    first, second = ward.granted(), ward.granted()
    left = ward.sentinel.restrictions_left()
    ward.sentinel.revoke(ward.keys.agent, first, facts.receipt)
    ward.settle()
    assert not ward.has_access(first)
    assert ward.has_access(second)
    assert ward.sentinel.restrictions_left() == left - 1


def test_trying_whether_an_act_would_pass_changes_nothing(ward, sends_no_transaction):
    item = ward.granted()
    agent, guardian = ward.keys.agent.address, ward.keys.guardian.address
    left = ward.sentinel.restrictions_left()
    with sends_no_transaction(ward):
        assert ward.sentinel.can_revoke(agent, item)
        assert ward.sentinel.can_quarantine(agent, item.requester, 60)
        assert ward.sentinel.can_approve(guardian, item)
        assert not ward.sentinel.can_revoke(ward.stranger.address, item)
        assert not ward.sentinel.can_quarantine(guardian, item.requester, 60)
        assert not ward.sentinel.can_approve(agent, item)
    assert ward.sentinel.restrictions_left() == left
    assert ward.has_access(item)


def test_what_would_not_pass_is_known_beforehand_and_does_not_pass(ward, facts, reverts):
    item = ward.request(ward.asset())
    agent, guardian = ward.keys.agent.address, ward.keys.guardian.address
    assert not ward.sentinel.can_revoke(agent, item)
    with reverts("AccessGrantsNoGrant", request=item.id):
        ward.sentinel.revoke(ward.keys.agent, item, facts.receipt)
    too_long_s = LIMITS.max_quarantine_s + 1
    assert not ward.sentinel.can_quarantine(agent, item.requester, too_long_s)
    with reverts("SentinelQuarantineTooLong", ttl_s=too_long_s, maximum_s=LIMITS.max_quarantine_s):
        ward.sentinel.quarantine(ward.keys.agent, item.requester, too_long_s, facts.receipt)
    assert not ward.sentinel.can_approve(guardian, item)
    with reverts("SentinelCannotGrant", request=item.id):
        ward.sentinel.approve(ward.keys.guardian, item, facts.receipt)
    assert ward.access.status_of(item.id) is Status.PENDING


def test_a_quarantine_ends_by_itself_or_by_guardians_who_shield_from_the_next(ward, facts, reverts):
    item = ward.granted()
    ward.sentinel.quarantine(ward.keys.agent, item.requester, 600, facts.receipt)
    ward.settle()
    assert ward.basis(item) is Basis.QUARANTINED
    assert ward.access.quarantined_until_s(item.requester) == ward.client.now_s + 600
    ward.sentinel.release(ward.keys.guardian, item.requester, facts.receipt)
    ward.settle()
    assert ward.access.quarantined_until_s(item.requester) == 0
    assert ward.sentinel.shielded_until_s(item.requester) == ward.client.now_s + LIMITS.max_quarantine_s
    assert ward.sentinel.shielded_until_s(ward.ben.address) == 0
    assert ward.has_access(item)
    assert not ward.sentinel.can_quarantine(ward.keys.agent.address, item.requester, 600)
    assert ward.sentinel.can_quarantine(ward.keys.agent.address, ward.ben.address, 600)
    with reverts("SentinelShielded", requester=item.requester):
        ward.sentinel.quarantine(ward.keys.agent, item.requester, 600, facts.receipt)


def test_an_alert_names_its_kind_by_hash_and_changes_no_right(ward, facts):
    item = ward.granted()
    ward.sentinel.raise_alert(ward.keys.agent, item.requester, "mass_export", 2, facts.receipt)
    ward.settle()
    [event] = ward.events(ward.sentinel, "AlertRaised")
    assert event == {
        "subject": item.requester,
        "kind": keccak(b"mass_export"),
        "severity": 2,
        "receipt": facts.receipt,
    }
    assert ward.has_access(item)


def test_guardians_grant_what_was_escalated_and_take_back_what_was_granted(ward, facts):
    asset = ward.asset()
    ward.consent_to(asset)
    item = ward.request(asset)
    ward.decide(item, verdict=Verdict.ESCALATE)
    assert not ward.has_access(item)
    ward.sentinel.approve(ward.keys.guardian, item, facts.receipt)
    ward.settle()
    assert ward.has_access(item)
    ward.sentinel.cancel(ward.keys.guardian, item, facts.receipt)
    ward.settle()
    assert not ward.has_access(item)
    assert ward.access.status_of(item.id) is Status.DENIED


def test_what_is_above_the_ceiling_is_escalated_and_not_granted(ward):
    asset = ward.asset(sensitivity=LIMITS.sensitivity_ceiling + 1)
    ward.consent_to(asset)
    item = ward.request(asset)
    ward.decide(item)
    assert ward.access.status_of(item.id) is Status.ESCALATED
    assert Basis(ward.events(ward.access, "AccessDecided")[0]["basis"]) is Basis.ABOVE_CEILING


def test_a_suspended_agent_does_nothing_and_guardians_still_act(ward, facts, reverts):
    item = ward.granted()
    ward.sentinel.suspend_agent(ward.keys.guardian)
    ward.settle()
    pending = ward.request(item.asset, requester=ward.ben.address)
    with reverts("SentinelAgentSuspended"):
        ward.sentinel.decide(ward.keys.agent, [Decision(pending, Verdict.GRANT, facts.receipt)])
    assert ward.sentinel.is_agent_suspended()
    assert not ward.sentinel.can_revoke(ward.keys.agent.address, item)
    ward.sentinel.cancel(ward.keys.guardian, item, facts.receipt)
    ward.settle()
    assert not ward.has_access(item)
    assert ward.access.status_of(pending.id) is Status.PENDING


def test_a_suspended_agent_comes_back_a_day_after_that_was_announced(ward, facts, reverts):
    policy, contract = ward.keys.policy, ward.sentinel.contract
    ward.sentinel.suspend_agent(ward.keys.guardian)
    ward.settle()
    with reverts("AccessManagerNotScheduled"):
        ward.sentinel.resume_agent(policy)
    ward.authority.schedule(policy, contract, "resumeAgent")
    ward.settle()
    with reverts("AccessManagerNotReady"):
        ward.sentinel.resume_agent(policy)
    assert ward.sentinel.is_agent_suspended()
    ward.sentinel.resume_agent(policy)
    ward.settle(ward.authority.due_s(policy.address, contract, "resumeAgent"))
    assert not ward.sentinel.is_agent_suspended()
    asset = ward.asset()
    ward.consent_to(asset, until=ward.client.now_s + facts.day_s)
    item = ward.request(asset)
    ward.decide(item)
    assert ward.has_access(item)


def test_limits_change_only_to_what_was_announced(ward, reverts):
    policy, contract = ward.keys.policy, ward.sentinel.contract
    limits = Limits(sensitivity_ceiling=0, window_s=600, grants_per_window=7, restrictions_per_window=3)
    call = ("setLimits", limit_fields(limits))
    ward.authority.schedule(policy, contract, *call)
    ward.settle()
    due_s = ward.authority.due_s(policy.address, contract, *call)
    with reverts("AccessManagerNotScheduled"):
        ward.sentinel.set_limits(policy, Limits(sensitivity_ceiling=3))
    assert ward.sentinel.limits() == LIMITS
    ward.sentinel.set_limits(policy, limits)
    ward.settle(due_s)
    assert ward.sentinel.limits() == limits
    assert (ward.sentinel.grants_left(), ward.sentinel.restrictions_left()) == (7, 3)
    with reverts("AccessManagerNotScheduled"):
        ward.sentinel.set_limits(policy, limits)


def test_a_revocation_ends_the_grant_of_its_own_request_only(ward, facts, reverts):
    item = ward.granted()
    second = ward.request(item.asset)
    ward.decide(second)
    key = (item.requester, item.asset, item.purpose)
    assert ward.access.request_behind(*key) == second.id
    assert not ward.sentinel.can_revoke(ward.keys.agent.address, item)
    with reverts("AccessGrantsNoGrant", request=item.id):
        ward.sentinel.revoke(ward.keys.agent, item, facts.receipt)
    ward.sentinel.cancel(ward.keys.guardian, item, facts.receipt)
    ward.settle()
    assert ward.access.request_behind(*key) == second.id
    assert ward.has_access(second)
    ward.sentinel.revoke(ward.keys.agent, second, facts.receipt)
    ward.settle()
    assert ward.access.request_behind(*key) is None
    assert not ward.has_access(second)


def test_the_budget_of_restrictions_is_what_the_settings_say_and_comes_back_with_the_next_window(ward, facts):
    assert ward.sentinel.restrictions_left() == LIMITS.restrictions_per_window
    ward.sentinel.quarantine(ward.keys.agent, ward.ben.address, 60, facts.receipt)
    ward.settle()
    assert ward.sentinel.restrictions_left() == LIMITS.restrictions_per_window - 1
    ward.sentinel.release(ward.keys.guardian, ward.ben.address, facts.receipt)
    ward.settle(ward.client.now_s + LIMITS.window_s)
    assert ward.sentinel.restrictions_left() == LIMITS.restrictions_per_window
