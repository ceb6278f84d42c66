"""The agent's only door and the guardians' desk: ceilings, budgets, bounded restrictions, and undoing all of it.

Changing the limits is in ``test_limits``, call data that no encoder made in ``test_calldata``.
"""

import pytest

from chainsec.digest import keccak
from chainsec.primitives import Hash32, Verdict

DAY_S = 86_400
RECEIPT = Hash32(keccak(b"a receipt"))
WHY = Hash32(keccak(b"guardians' reasons"))
NO_RECEIPT = Hash32(bytes(32))


def start_window(system):
    """Go to the first second of the next budget window; return that second."""
    start_s = (system.now_s // DAY_S + 1) * DAY_S
    system.move_to(start_s)
    return start_s


def decide_many(system, *decisions):
    return system.send(system.keys.agent, "Sentinel", "decideMany", list(decisions))


def revoke(system, item, receipt=RECEIPT, **options):
    return system.send(system.keys.agent, "Sentinel", "revoke", item.as_tuple(), receipt, **options)


def quarantine(system, account, ttl_s, receipt=RECEIPT, **options):
    return system.send(system.keys.agent, "Sentinel", "quarantine", account, ttl_s, receipt, **options)


def guard(system, function, *arguments, **options):
    return system.send(system.keys.guardian, "Sentinel", function, *arguments, **options)


def quarantined_until(system, account):
    return system.call("AccessGrants", "quarantinedUntil", account)


@pytest.mark.parametrize(
    ("verdict", "outcome"), [(Verdict.DENY, "DENIED"), (Verdict.ESCALATE, "ESCALATED"), (Verdict.GRANT, "GRANTED")]
)
def test_each_verdict_settles_its_request_and_no_other(system, verdict, outcome):
    item, other = system.pending(), system.pending()
    [(name, args)] = system.events(system.decide(item, verdict))
    until = system.now_s + 7 * DAY_S if verdict is Verdict.GRANT else 0
    assert name == "AccessDecided"
    assert (args["request"], args["basis"], args["until"], args["receipt"]) == (item.id, 0, until, RECEIPT)
    assert system.status(item) == outcome
    assert system.has_access(item) == (verdict is Verdict.GRANT)
    assert system.status(other) == "PENDING"
    assert system.call("Sentinel", "budgetLeft") == (500 - (verdict is Verdict.GRANT), 40)


@pytest.mark.parametrize("first", list(Verdict))
def test_request_is_decided_once_by_the_agent(system, reverts, first):
    item, fresh = system.pending(), system.pending()
    system.decide(item, first)
    settled = system.status(item)
    for verdict in Verdict:
        with reverts("SentinelAlreadyDecided", request=item.id):
            system.decide(item, verdict)
    receipt = decide_many(system, *(system.decision(entry, Verdict.GRANT) for entry in (item, fresh, fresh)))
    skipped = [args["request"] for name, args in system.events(receipt) if name == "DecisionSkipped"]
    assert skipped == [item.id, fresh.id]
    assert (system.status(item), system.status(fresh)) == (settled, "GRANTED")


def test_request_that_nobody_made_is_not_decided(system, reverts):
    made = system.pending()
    item = system.item(system.member(0), made.asset)
    for call in (
        lambda: system.decide(item),
        lambda: decide_many(system, system.decision(made), system.decision(item)),
    ):
        with reverts("AccessGrantsUnknownRequest", request=item.id):
            call()
    for function in ("approve", "cancel"):
        with reverts("AccessGrantsUnknownRequest", request=item.id):
            guard(system, function, item.as_tuple(), WHY)
    assert system.status(made) == "PENDING"


def test_every_act_needs_a_receipt(system, reverts):
    item, held = system.pending(), system.grant()
    for verdict in Verdict:
        with reverts("AccessGrantsReceiptMissing", request=item.id):
            system.decide(item, verdict, NO_RECEIPT)
    acts = [
        ("agent", "revoke", held.as_tuple()),
        ("agent", "quarantine", held.requester, 60),
        ("agent", "raiseAlert", held.requester, RECEIPT, 1),
        ("guardian", "approve", item.as_tuple()),
        ("guardian", "cancel", item.as_tuple()),
        ("guardian", "release", held.requester),
    ]
    for role, function, *arguments in acts:
        with reverts("SentinelReceiptMissing"):
            system.send(getattr(system.keys, role), "Sentinel", function, *arguments, NO_RECEIPT)
    assert system.has_access(held)
    assert system.status(item) == "PENDING"
    assert system.call("Sentinel", "shieldedUntil", held.requester) == 0


@pytest.mark.parametrize(("sensitivity", "outcome"), [(0, "GRANTED"), (2, "GRANTED"), (3, "ESCALATED")])
def test_agent_grants_up_to_the_ceiling_and_escalates_above(system, sensitivity, outcome):
    item = system.pending(sensitivity=sensitivity)
    [(_, args)] = system.events(system.decide(item))
    assert system.status(item) == outcome
    assert args["basis"] == (0 if outcome == "GRANTED" else 7)
    assert system.has_access(item) == (outcome == "GRANTED")


def test_sensitivity_raised_while_a_request_waits_counts(system):
    item = system.pending(sensitivity=2)
    system.send(system.keys.steward, "AssetRegistry", "raiseSensitivity", item.asset, 3)
    system.decide(item)
    assert system.status(item) == "ESCALATED"


def test_agents_grant_lasts_at_most_the_longest_grant(system):
    item = system.grant()
    until = system.now_s + 7 * DAY_S
    assert system.call("AccessGrants", "grantOf", item.requester, item.asset, item.purpose)[2] == until
    system.move_to(until)
    assert system.has_access(item)
    system.move_to(until + 1)
    assert not system.has_access(item)


def test_budget_of_grants_is_per_window_and_renewed_with_its_first_second(make_system):
    system = make_system(grants_per_window=2)
    items = [system.pending() for _ in range(5)]
    start_s = start_window(system)
    assert system.call("Sentinel", "budgetLeft") == (2, 40)
    receipt = decide_many(system, *(system.decision(item) for item in items[:3]))
    assert [args["basis"] for _, args in system.events(receipt)] == [0, 0, 8]
    assert [system.status(item) for item in items[:3]] == ["GRANTED", "GRANTED", "ESCALATED"]
    assert system.call("Sentinel", "budgetLeft") == (0, 40)
    decide = ("Sentinel", "decide")
    system.send(system.keys.agent, *decide, system.decision(items[3]), at_s=start_s + DAY_S - 1)
    assert system.status(items[3]) == "ESCALATED"
    system.send(system.keys.agent, *decide, system.decision(items[4]), at_s=start_s + DAY_S)
    assert system.status(items[4]) == "GRANTED"
    assert system.call("Sentinel", "budgetLeft") == (1, 40)


def test_what_is_not_granted_costs_no_grant(make_system):
    system = make_system(grants_per_window=1)
    start_window(system)
    asset = system.asset()
    without_consent = system.request(system.member(0), asset)
    denied, above, good = system.pending(), system.pending(sensitivity=3), system.pending()
    verdicts = [Verdict.GRANT, Verdict.DENY, Verdict.GRANT, Verdict.GRANT]
    items = [without_consent, denied, above, good]
    decide_many(system, *(system.decision(*pair) for pair in zip(items, verdicts, strict=True)))
    assert [system.status(item) for item in items] == ["DENIED", "DENIED", "ESCALATED", "GRANTED"]


def test_restrictions_share_a_budget_that_is_renewed_with_the_window(make_system, reverts):
    system = make_system(restrictions_per_window=2)
    first, second, third = system.grant(), system.grant(), system.grant()
    start_s = start_window(system)
    revoke(system, first)
    quarantine(system, system.stranger.address, 60)
    with reverts("SentinelBudgetSpent", perWindow=2):
        revoke(system, second)
    with reverts("SentinelBudgetSpent", perWindow=2):
        quarantine(system, second.requester, 60, at_s=start_s + DAY_S - 1)
    assert system.has_access(second)
    revoke(system, second, at_s=start_s + DAY_S)
    assert not system.has_access(second)
    assert system.has_access(third)
    assert system.call("Sentinel", "budgetLeft") == (500, 1)


def test_revocation_ends_one_grant_in_its_own_block(system, reverts):
    item, kept = system.grant(), system.grant()
    receipt = revoke(system, item)
    facts = {"requester": item.requester, "asset": item.asset, "purpose": item.purpose}
    assert system.events(receipt) == [("AccessRevoked", facts | {"receipt": RECEIPT})]
    assert system.basis(item) == "NO_GRANT"
    assert system.has_access(kept)
    with reverts("AccessGrantsNoGrant", request=item.id):
        revoke(system, item)
    assert system.call("Sentinel", "budgetLeft")[1] == 39


def test_quarantine_cuts_one_requester_off_until_its_end(system):
    item, kept = system.grant(system.member(1)), system.grant(system.member(2))
    receipt = quarantine(system, item.requester, 600)
    until = system.now_s + 600
    facts = {"requester": item.requester, "until": until, "receipt": RECEIPT}
    assert system.events(receipt) == [("RequesterQuarantined", facts)]
    assert system.basis(item) == "QUARANTINED"
    assert system.has_access(kept)
    system.move_to(until)
    assert not system.has_access(item)
    system.move_to(until + 1)
    assert system.has_access(item)


def test_grant_to_somebody_in_quarantine_becomes_an_escalation_that_guardians_can_grant_afterwards(system, reverts):
    member = system.member(1)
    waiting, unconsented = system.pending(member), system.request(member, system.asset())
    short = system.pending(member, until=system.now_s + 30)
    quarantine(system, member.address, 600)
    system.move_to(short.until)
    receipt = decide_many(system, *(system.decision(item) for item in (waiting, unconsented, short)))
    assert [(args["outcome"], args["basis"]) for _, args in system.events(receipt)] == [(3, 5), (2, 3), (2, 2)]
    assert [system.status(item) for item in (waiting, unconsented, short)] == ["ESCALATED", "DENIED", "DENIED"]
    assert system.call("Sentinel", "budgetLeft")[0] == 500
    with reverts("SentinelCannotGrant", request=waiting.id, basis=5):
        guard(system, "approve", waiting.as_tuple(), WHY)
    assert system.status(waiting) == "ESCALATED"
    guard(system, "release", member.address, WHY)
    guard(system, "approve", waiting.as_tuple(), WHY)
    assert system.has_access(waiting)


@pytest.mark.parametrize("ttl_s", [0, 3 * DAY_S + 1, 2**40 - 1])
def test_quarantine_lasts_from_a_second_to_the_maximum(system, reverts, ttl_s):
    requester = system.stranger.address
    with reverts("SentinelQuarantineTooLong", ttl_s=ttl_s, maximum_s=3 * DAY_S):
        quarantine(system, requester, ttl_s)
    assert quarantined_until(system, requester) == 0
    quarantine(system, requester, 3 * DAY_S)
    assert quarantined_until(system, requester) == system.now_s + 3 * DAY_S


def test_second_quarantine_prolongs_the_first_and_never_shortens_it(system):
    requester = system.stranger.address
    quarantine(system, requester, DAY_S)
    until = quarantined_until(system, requester)
    [(_, args)] = system.events(quarantine(system, requester, 1))
    assert args["until"] == quarantined_until(system, requester) == until
    quarantine(system, requester, 2 * DAY_S)
    assert quarantined_until(system, requester) == system.now_s + 2 * DAY_S


def test_alert_is_a_record_that_changes_no_right(system):
    item = system.grant()
    receipt = system.send(system.keys.agent, "Sentinel", "raiseAlert", item.requester, WHY, 3, RECEIPT)
    facts = {"subject": item.requester, "kind": WHY, "severity": 3, "receipt": RECEIPT}
    assert system.events(receipt) == [("AlertRaised", facts)]
    assert system.has_access(item)
    assert system.call("Sentinel", "budgetLeft") == (499, 40)


@pytest.mark.parametrize("before", [None, *Verdict])
def test_guardians_grant_whatever_the_agent_said_or_did_not_say(system, before):
    item = system.pending(sensitivity=3 if before is Verdict.GRANT else 1)
    if before is not None:
        system.decide(item, before)
    left = system.call("Sentinel", "budgetLeft")
    [(name, args)] = system.events(guard(system, "approve", item.as_tuple(), WHY))
    facts = (item.id, 4, 0, item.until, WHY)
    assert (name, *(args[key] for key in ("request", "outcome", "basis", "until", "receipt"))) == (
        "AccessDecided",
        *facts,
    )
    assert system.has_access(item)
    assert system.call("Sentinel", "budgetLeft") == left


def test_guardians_cannot_grant_what_does_not_stand(system, reverts):
    unconsented = system.request(system.member(0), system.asset())
    short, locked = system.pending(until=system.now_s + 20), system.pending(system.member(1))
    with reverts("SentinelCannotGrant", request=unconsented.id, basis=3):
        guard(system, "approve", unconsented.as_tuple(), WHY)
    quarantine(system, locked.requester, 600)
    with reverts("SentinelCannotGrant", request=locked.id, basis=5):
        guard(system, "approve", locked.as_tuple(), WHY)
    with reverts("SentinelCannotGrant", request=short.id, basis=2):
        guard(system, "approve", short.as_tuple(), WHY, at_s=short.until + 1)
    assert {system.status(item) for item in (unconsented, locked, short)} == {"PENDING"}


def test_guardians_deny_and_end_the_grant_it_led_to(system):
    item, kept, waiting = system.grant(), system.grant(), system.pending()
    names = [name for name, _ in system.events(guard(system, "cancel", item.as_tuple(), WHY))]
    assert names == ["AccessRevoked", "AccessDecided"]
    assert (system.status(item), system.basis(item)) == ("DENIED", "NO_GRANT")
    assert system.has_access(kept)
    assert [name for name, _ in system.events(guard(system, "cancel", waiting.as_tuple(), WHY))] == ["AccessDecided"]
    guard(system, "approve", item.as_tuple(), WHY)
    assert system.has_access(item)


def again(system, item, **fields):
    """File a second request of the same requester for the same asset and purpose."""
    return system.request(system.member(0), item.asset, **fields)


@pytest.mark.parametrize("verdict", [None, Verdict.DENY, Verdict.ESCALATE])
def test_cancelling_a_request_that_led_to_no_grant_leaves_the_grant_of_another(system, verdict):
    item = system.grant()
    second = again(system, item)
    if verdict is not None:
        system.decide(second, verdict)
    receipt = guard(system, "cancel", second.as_tuple(), WHY)
    assert [name for name, _ in system.events(receipt)] == ["AccessDecided"]
    assert system.status(second) == "DENIED"
    assert system.has_access(item)


@pytest.mark.parametrize("order", [("approve", "cancel"), ("cancel", "approve")])
def test_one_request_approved_and_another_cancelled_in_one_block_leaves_the_approved_grant(system, order):
    first = system.pending()
    second = again(system, first)
    for act in order:
        item = first if act == "approve" else second
        system.queue(system.keys.guardian, "Sentinel", act, item.as_tuple(), WHY)
    receipts = system.settle()
    assert receipts[0].block_number == receipts[1].block_number
    assert (system.status(first), system.status(second)) == ("GRANTED", "DENIED")
    assert system.has_access(first)


def test_grant_that_another_requests_grant_replaced_is_not_ended_with_its_request(system, reverts):
    item = system.grant()
    second = again(system, item)
    system.decide(second)
    held = system.call("AccessGrants", "grantOf", item.requester, item.asset, item.purpose)
    assert held[0] == second.id
    with reverts("AccessGrantsNoGrant", request=item.id):
        revoke(system, item)
    assert system.call("Sentinel", "budgetLeft")[1] == 40
    assert [name for name, _ in system.events(guard(system, "cancel", item.as_tuple(), WHY))] == ["AccessDecided"]
    assert (system.status(item), system.status(second)) == ("DENIED", "GRANTED")
    assert system.call("AccessGrants", "grantOf", item.requester, item.asset, item.purpose) == held
    assert system.has_access(second)
    assert [name for name, _ in system.events(revoke(system, second))] == ["AccessRevoked"]
    assert not system.has_access(second)
    guard(system, "approve", item.as_tuple(), WHY)
    assert system.has_access(item)


def test_nobody_but_the_agent_raises_alerts(system, reverts):
    for account in (system.keys.guardian, system.keys.admin, system.keys.policy, system.stranger):
        with reverts("AccessManagedUnauthorized", caller=account.address):
            system.send(account, "Sentinel", "raiseAlert", system.stranger.address, WHY, 1, RECEIPT)


def test_guardians_undo_revocation_and_denial_without_the_agent(system):
    revoked, denied = system.grant(), system.pending()
    revoke(system, revoked)
    system.decide(denied, Verdict.DENY)
    guard(system, "suspendAgent")
    for item in (revoked, denied):
        guard(system, "approve", item.as_tuple(), WHY)
        assert system.has_access(item)


def test_release_ends_a_quarantine_and_shields_from_the_next_for_its_longest_time(system, reverts):
    item = system.grant()
    quarantine(system, item.requester, DAY_S)
    receipt = guard(system, "release", item.requester, WHY)
    shielded = system.now_s + 3 * DAY_S
    assert system.events(receipt) == [("RequesterReleased", {"requester": item.requester, "receipt": WHY})]
    assert system.has_access(item)
    assert system.call("Sentinel", "shieldedUntil", item.requester) == shielded
    with reverts("SentinelShielded", requester=item.requester, until=shielded):
        quarantine(system, item.requester, 60, at_s=shielded)
    quarantine(system, system.stranger.address, 60)
    quarantine(system, item.requester, 60)
    assert system.basis(item) == "QUARANTINED"


def test_suspended_agent_does_nothing_until_policy_brings_it_back(system, reverts):
    item, held = system.pending(), system.grant()
    receipt = guard(system, "suspendAgent")
    assert system.events(receipt) == [("AgentSuspended", {"by": system.keys.guardian.address})]
    assert system.call("Sentinel", "isAgentSuspended")
    acts = [
        lambda: system.decide(item),
        lambda: decide_many(system),
        lambda: revoke(system, held),
        lambda: quarantine(system, held.requester, 60),
        lambda: system.send(system.keys.agent, "Sentinel", "raiseAlert", held.requester, WHY, 1, RECEIPT),
    ]
    for act in acts:
        with reverts("SentinelAgentSuspended"):
            act()
    assert system.has_access(held)
    assert system.status(item) == "PENDING"
    resume_agent = system.contracts["Sentinel"].encode("resumeAgent")
    system.run_scheduled(resume_agent)
    assert not system.call("Sentinel", "isAgentSuspended")
    system.decide(item)
    assert system.has_access(item)
