"""On a chain the agent decides what is final, exactly once, and refuses contexts that do not fit, with a receipt."""

from dataclasses import replace

import pytest

from chainsec.chain_agent import ChainActions, ChainRequests
from chainsec.config import ChainSettings
from chainsec.defence.agent import SEVERITY
from chainsec.defence.detectors import UseMonitor
from chainsec.defence.observation import Use
from chainsec.defence.risk import EvidenceRiskModel
from chainsec.deployment import POLICY_DELAY_S
from chainsec.digest import canonical_json, digest_json, keccak
from chainsec.errors import ContractReverted, UnknownRequest
from chainsec.journal import Journal
from chainsec.primitives import ZERO_HASH, Decision, Hash32, Scope, Verdict
from chainsec.sandbox import Sandbox
from chainsec.services.access import Basis, Status

NURSE = {"role": "nurse", "ward": "cardiology"}
RECEIPT = Hash32(bytes([7]) * 32)


def ask(clinic, name="ann", **fields):
    return clinic.box.request(name, clinic.scan, "treatment", attributes=NURSE, **fields)


def file(clinic, request):
    """Put a request on chain with whatever context it claims."""
    clinic.box.deployment.access.request_many(clinic.box.gateway("clinic"), request.organisation, [request])
    clinic.box.client.settle()


def draft(clinic, asset=None, **observed):
    """Return a request that nobody has filed yet, and its context."""
    box = clinic.box
    blank = {
        "time_s": box.now_s,
        "requester": "ann",
        "asset": str(asset or clinic.scan),
        "action": "read",
        "purpose": "treatment",
        "attributes": NURSE,
        "text": "",
        "has_clock": True,
    }
    return box.draft_request(
        clinic.ann.address,
        clinic.house.address,
        asset or clinic.scan,
        clinic.care,
        Scope.READ,
        until=box.now_s + 3_600,
        observed=blank | observed,
    )


@pytest.fixture
def agent(clinic, model):
    return clinic.box.start_agent(model, UseMonitor(), receipts=Journal(None))


def test_requests_come_in_chain_order_once_each(clinic):
    box = clinic.box
    source = ChainRequests(box.client, box.deployment, box.contexts)
    items = [ask(clinic, name) for name in ("ann", "ben", "ann")]
    assert [found.request for found in source.poll()] == items
    assert source.cursor == box.client.at
    assert source.poll() == []


def test_a_poll_asks_the_chain_as_often_for_many_requests_as_for_one(clinic, monkeypatch):
    box, asked = clinic.box, []
    source = ChainRequests(box.client, box.deployment, box.contexts)
    ask(clinic)
    source.poll()

    def count(name):
        act = getattr(box.engine, name)

        def counted(*args, **options):
            asked.append(name)
            return act(*args, **options)

        monkeypatch.setattr(box.engine, name, counted)

    for name in ("head", "block", "logs", "final_block", "call", "receipt", "receipts"):
        count(name)
    costs = []
    for number in (1, 5):
        drafts = [draft(clinic, text=f"{number} {place}") for place in range(number)]
        box.hand_in([context for _, context in drafts])
        items = [item for item, _ in drafts]
        box.deployment.access.request_many(box.gateway("clinic"), items[0].organisation, items)
        box.client.settle()
        asked.clear()
        assert [found.request for found in source.poll()] == items
        costs.append(sorted(asked))
    assert costs[0] == costs[1]
    assert (costs[0].count("logs"), costs[0].count("call")) == (1, 0)


def test_requests_decided_by_somebody_else_are_not_returned(clinic):
    box = clinic.box
    first, second = ask(clinic), ask(clinic, "ben")
    box.deployment.sentinel.cancel(box.keys.guardian, first, RECEIPT)
    box.client.settle()
    source = ChainRequests(box.client, box.deployment, box.contexts)
    assert [found.request for found in source.poll()] == [second]


def finalise_behind(box, monkeypatch, depth):
    """Let blocks become final only once ``depth`` more stand on them, as on chains that can reorganise."""
    monkeypatch.setattr(box.engine, "final_block", lambda: box.engine.head().number - depth)


@pytest.mark.parametrize("depth", [1, 3])
def test_requests_wait_until_their_block_is_final(clinic, monkeypatch, depth):
    box = clinic.box
    finalise_behind(box, monkeypatch, depth)
    source = ChainRequests(box.client, box.deployment, box.contexts)
    source.poll()
    item = ask(clinic)
    for number in range(depth):
        assert source.poll() == []
        box.add_asset("patient", bytes([number]), sensitivity=0)
    assert [found.request for found in source.poll()] == [item]
    assert source.poll() == []


def test_a_request_decided_while_it_waited_for_finality_is_not_returned(clinic, monkeypatch):
    box = clinic.box
    finalise_behind(box, monkeypatch, 1)
    source = ChainRequests(box.client, box.deployment, box.contexts)
    item = ask(clinic)
    box.deployment.sentinel.cancel(box.keys.guardian, item, RECEIPT)
    box.client.settle()
    assert source.poll() == []


def test_where_blocks_are_taken_back_the_cursor_goes_back_and_no_request_comes_twice(clinic):
    box = clinic.box
    source = ChainRequests(box.client, box.deployment, box.contexts)
    early = ask(clinic)
    mark = box.engine.snapshot()
    late = ask(clinic, "ben")
    assert [found.request for found in source.poll()] == [early, late]
    box.engine.revert(mark)
    assert source.poll() == []
    other = ask(clinic, "ben", hours=5)
    assert [found.request for found in source.poll()] == [other]
    file(clinic, late)
    assert source.poll() == []
    assert source.cursor == box.client.at


def test_what_was_followed_in_blocks_that_are_gone_counts_no_longer(clinic):
    box = clinic.box
    source = ChainRequests(box.client, box.deployment, box.contexts)
    mark = box.engine.snapshot()
    box.deployment.assets.raise_sensitivity(box.keys.steward, clinic.scan, 3)
    box.client.settle()
    ask(clinic)
    [found] = source.poll()
    assert found.observation.sensitivity == 3
    box.engine.revert(mark)
    ask(clinic, hours=5)
    ask(clinic, "ben")
    assert [found.observation.sensitivity for found in source.poll()] == [1, 1]


def test_the_sensitivity_is_the_latest_one_on_chain(clinic):
    box = clinic.box
    source = ChainRequests(box.client, box.deployment, box.contexts)
    ask(clinic)
    box.deployment.assets.raise_sensitivity(box.keys.steward, clinic.scan, 3)
    box.client.settle()
    ask(clinic, "ben")
    assert [found.observation.sensitivity for found in source.poll()] == [3, 3]


def test_any_request_can_be_found_by_its_identifier_and_nothing_else(clinic):
    box = clinic.box
    source = ChainRequests(box.client, box.deployment, box.contexts)
    item = ask(clinic)
    assert source.find(str(item.id)) == item
    for other in (str(ZERO_HASH), "0x12", "history-7", "", str(item.id)[2:], str(item.id).upper()):
        assert source.find(other) is None


def test_an_agent_decides_each_request_once_however_often_it_is_started(clinic, model_files):
    box, heads = clinic.box, []
    items = [ask(clinic, name) for name in ("ann", "ben")]
    for expected in (2, 0, 0):
        journal = Journal(None)
        agent = box.start_agent(EvidenceRiskModel.from_files(model_files), UseMonitor(), receipts=journal)
        assert len(agent.step()) == len(journal) == expected
        assert agent.step() == []
        heads.append(box.engine.head())
    assert heads[0] == heads[1] == heads[2]
    decided = box.deployment.access.contract.events("AccessDecided", 0, box.client.at)
    assert [event.args["request"] for event in decided] == [item.id for item in items]


def test_an_agent_started_later_decides_only_what_came_after(clinic, model_files):
    box = clinic.box
    ask(clinic)
    box.start_agent(EvidenceRiskModel.from_files(model_files), UseMonitor()).step()
    late = ask(clinic, "ben")
    [receipt] = box.start_agent(EvidenceRiskModel.from_files(model_files), UseMonitor()).step()
    assert receipt["request"] == str(late.id)


def a_missing_context(clinic):
    request, _ = draft(clinic)
    return request, "no context was handed in"


def a_changed_context(clinic):
    request, context = draft(clinic)
    with pytest.raises(ValueError, match="does not hash to"):
        clinic.box.contexts.put(request.context, canonical_json(context | {"salt": "00" * 16}))
    return request, "no context was handed in"


def a_time_far_from_the_requests(clinic, days=2.1):
    request, context = draft(clinic, time_s=clinic.box.now_s - int(days * 86_400))
    clinic.box.hand_in([context])
    return request, "the context's time is far from that of the request"


def a_time_beyond_all_time(clinic):
    return a_time_far_from_the_requests(clinic, days=-(2**62) / 86_400)


def a_context_without_a_time(clinic):
    request, context = draft(clinic, has_clock=False, time_s=7)
    clinic.box.hand_in([context])
    return request, "the context has no time"


def another_requests_context(clinic):
    request, context = draft(clinic)
    clinic.box.hand_in([context])
    return replace(request, requester=clinic.ben.address), "the context belongs to another request"


def a_context_that_plays_the_request_down(clinic):
    request, _ = draft(clinic)
    export = replace(request, scope=Scope.READ | Scope.EXPORT)
    _, context = draft(clinic)
    context["request"]["scope"] = int(export.scope)
    clinic.box.hand_in([context])
    return (
        replace(export, context=Hash32(digest_json(context)), until=context["request"]["until"]),
        "the context names another action than the request",
    )


def a_request_for_nothing(clinic):
    request, context = draft(clinic, asset=Hash32(bytes([9]) * 32))
    clinic.box.hand_in([context])
    return request, "no such asset is registered"


@pytest.mark.parametrize(
    "make",
    [
        a_missing_context,
        a_changed_context,
        a_time_far_from_the_requests,
        a_time_beyond_all_time,
        a_context_without_a_time,
        another_requests_context,
        a_context_that_plays_the_request_down,
        a_request_for_nothing,
    ],
    ids=lambda make: make.__name__,
)
def test_a_request_whose_context_does_not_fit_is_denied_on_chain_with_a_receipt(clinic, agent, make):
    request, reason = make(clinic)
    file(clinic, request)
    good = ask(clinic, "ben")
    refusal, decision = agent.step()
    assert (refusal["kind"], refusal["request"], refusal["reason"]) == ("refusal", str(request.id), reason)
    assert clinic.box.deployment.access.status_of(request.id) is Status.DENIED
    [event] = clinic.box.deployment.access.contract.events("AccessDecided", 0, clinic.box.client.at, request=request.id)
    assert (event.args["receipt"], Basis(event.args["basis"])) == (digest_json(refusal), Basis.AGREED)
    assert (decision["kind"], decision["request"]) == ("decision", str(good.id))
    assert not agent.has_scored(str(request.id))


def test_decisions_go_out_in_batches_into_one_block(clinic):
    box = clinic.box
    items = [ask(clinic) for _ in range(5)]
    actions = ChainActions(
        box.client,
        box.deployment,
        box.keys.agent,
        batch_size=2,
        quarantine_s=60,
        clock=lambda: box.now_s + 500,
        keep_model=box.anchor_model,
    )
    before, transactions, now_s = box.client.at, box.client.transactions, box.now_s
    actions.decide([Decision(item, Verdict.DENY, RECEIPT) for item in items])
    actions.settle()
    assert (box.client.at, box.client.transactions) == (before + 1, transactions + 3)
    assert box.now_s == now_s + 500
    assert all(box.deployment.access.status_of(item.id) is Status.DENIED for item in items)


def resume_agent(box):
    """Let the policy keeper's act wait for its day, and then take effect."""
    sentinel, authority = box.deployment.sentinel.contract, box.deployment.authority.contract
    data = sentinel.encode("resumeAgent")
    box.client.transact(box.keys.policy, authority.address, authority.encode("schedule", sentinel.address, data, 0))
    box.client.settle()
    box.client.transact(box.keys.policy, sentinel.address, data)
    box.client.settle(box.now_s + POLICY_DELAY_S)


def test_a_suspended_agent_decides_what_waited_once_it_is_back(clinic, agent):
    box, access = clinic.box, clinic.box.deployment.access
    item = ask(clinic, hours=72)
    box.deployment.sentinel.suspend_agent(box.keys.guardian)
    box.client.settle()
    with pytest.raises(ContractReverted) as caught:
        agent.step()
    assert caught.value.name == "SentinelAgentSuspended"
    assert access.status_of(item.id) is Status.PENDING
    other = ask(clinic, "ben", hours=72)
    resume_agent(box)
    assert [receipt["request"] for receipt in agent.step()] == [str(item.id), str(other.id)]
    decided = access.contract.events("AccessDecided", 0, box.client.at)
    assert [event.args["request"] for event in decided] == [item.id, other.id]
    assert agent.step() == []


def export_everything(clinic, agent):
    """Let ann export forty records that she was granted; return the requests and what the agent did."""
    box = clinic.box
    requests = []
    for number in range(20):
        asset = box.add_asset("patient", f"record {number}".encode(), sensitivity=0)
        box.give_consent("patient", asset, "clinic", "treatment", scope=Scope.READ | Scope.EXPORT)
        requests.append(box.request("ann", asset, "treatment", action="export", attributes=NURSE))
    agent.step()
    for request in requests:
        box.deployment.sentinel.approve(box.keys.guardian, request, RECEIPT)
    box.client.settle()
    uses = [Use(box.now_s + n, "ann", str(r.asset), "export", 10**6, str(r.id)) for n, r in enumerate(requests)]
    return requests, agent.watch(uses)


def test_a_mass_export_cuts_the_requester_off_and_nobody_else(clinic, agent):
    requests, responses = export_everything(clinic, agent)
    grants = clinic.box.deployment.access.contract
    assert "quarantine" in {response.action for response in responses}
    assert grants.call("quarantinedUntil", clinic.ann.address) > clinic.box.now_s
    assert grants.call("quarantinedUntil", clinic.ben.address) == 0
    assert not any(clinic.box.deployment.access.has_access(r.requester, r.asset, r.purpose) for r in requests)
    calm = ask(clinic, "ben")
    clinic.box.deployment.sentinel.approve(clinic.box.keys.guardian, calm, RECEIPT)
    clinic.box.client.settle()
    assert clinic.box.deployment.access.has_access(clinic.ben.address, clinic.scan, clinic.care)


def test_every_answer_to_a_threat_stands_on_chain_under_its_receipt(clinic, model):
    journal = Journal(None)
    agent = clinic.box.start_agent(model, UseMonitor(), receipts=journal)
    _, responses = export_everything(clinic, agent)
    alerts = clinic.box.deployment.sentinel.contract.events("AlertRaised", 0, clinic.box.client.at)
    assert len(alerts) == len(responses) > 0
    assert {event.args["receipt"] for event in alerts} <= {Hash32(keccak(line)) for line in journal}
    assert [event.args["severity"] for event in alerts] == [SEVERITY[response.action] for response in responses]


def test_a_use_under_a_request_that_nobody_made_moves_nothing(clinic, agent, sends_nothing):
    with sends_nothing(clinic.box), pytest.raises(UnknownRequest):
        agent.watch([Use(clinic.box.now_s, "ann", "scan", "read", 1, str(ZERO_HASH))])


def test_a_batch_of_the_largest_size_fits_into_a_transaction():
    size = ChainSettings.model_fields["batch_size"].default
    with Sandbox(key_seed=b"many") as box:
        box.add_organisation("clinic")
        box.add_member("clinic", "ann")
        actions = ChainActions(
            box.client,
            box.deployment,
            box.keys.agent,
            batch_size=size,
            quarantine_s=60,
            clock=lambda: None,
            keep_model=box.anchor_model,
        )
        scan = box.add_asset("patient", b"scan", sensitivity=1)
        box.give_consent("patient", scan, "clinic", "treatment")
        items = [box.request("ann", scan, "treatment") for _ in range(size)]
        actions.decide([Decision(item, Verdict.GRANT, RECEIPT) for item in items])
        actions.settle()
        assert all(box.deployment.access.status_of(item.id) is Status.GRANTED for item in items)


def test_contexts_handed_in_later_are_of_no_use_to_what_was_decided(clinic, agent):
    request, context = draft(clinic)
    file(clinic, request)
    agent.step()
    clinic.box.hand_in([context])
    assert agent.step() == []
    assert clinic.box.deployment.access.status_of(request.id) is Status.DENIED


@pytest.fixture
def rogue(clinic):
    """An organisation with a consent of its own, and eve, its member."""
    box = clinic.box
    box.add_organisation("rogue")
    eve = box.add_member("rogue", "eve")
    box.give_consent("patient", clinic.scan, "rogue", "treatment")
    return eve


def file_as(clinic, name, account, house="rogue"):
    """Let ``account`` ask under ``name`` through ``house``, or in its own name where there is none."""
    box = clinic.box
    observed = {
        "time_s": box.now_s,
        "requester": name,
        "asset": str(clinic.scan),
        "action": "read",
        "purpose": "treatment",
        "attributes": NURSE,
        "text": "",
        "has_clock": True,
    }
    filer = box.account(house) if house else account
    item, context = box.draft_request(
        account.address,
        filer.address,
        clinic.scan,
        clinic.care,
        Scope.READ,
        until=box.now_s + 3_600,
        observed=observed,
    )
    box.hand_in([context])
    if house:
        box.deployment.access.request_many(box.gateway(house), item.organisation, [item])
    else:
        box.deployment.access.request(account, item)
    box.client.settle()


def refusals(source):
    return [found.refusal for found in source.poll()]


NAME_TAKEN = "the requester's name goes with another address"
ADDRESS_TAKEN = "the requester's address goes with another name"


def test_nobody_asks_under_the_name_of_a_colleague_who_was_first(clinic, rogue):
    source = ChainRequests(clinic.box.client, clinic.box.deployment, clinic.box.contexts)
    ask(clinic, "ann")
    file_as(clinic, "ann", rogue)
    file_as(clinic, "eve", rogue)
    ask(clinic, "ann")
    assert refusals(source) == ["", NAME_TAKEN, "", ""]


def test_who_is_refused_under_a_colleagues_name_does_not_use_it_up(clinic, rogue):
    source = ChainRequests(clinic.box.client, clinic.box.deployment, clinic.box.contexts)
    file_as(clinic, "eve", rogue)
    file_as(clinic, "ann", rogue)
    ask(clinic, "ann")
    assert refusals(source) == ["", ADDRESS_TAKEN, ""]


def test_a_request_refused_for_its_context_ties_no_name(clinic, rogue):
    source = ChainRequests(clinic.box.client, clinic.box.deployment, clinic.box.contexts)
    request, _ = a_time_far_from_the_requests(clinic)
    file(clinic, request)
    file_as(clinic, "ann", rogue)
    assert refusals(source) == ["the context's time is far from that of the request", ""]


@pytest.mark.parametrize("house", [None, "shell", "clinic"], ids=["own name", "unknown house", "not a member"])
def test_a_stranger_whom_nobody_vouches_for_uses_up_no_name(clinic, house):
    box = clinic.box
    source = ChainRequests(box.client, box.deployment, box.contexts)
    box.add_organisation("shell")
    mallory = box.add_member("shell", "mallory")
    file_as(clinic, "ann", mallory, house)
    ask(clinic, "ann")
    assert refusals(source) == ["nobody vouches for the requester", ""]


def test_who_holds_a_consent_may_ask_in_their_own_name(clinic):
    box = clinic.box
    source = ChainRequests(box.client, box.deployment, box.contexts)
    box.give_consent("patient", clinic.scan, "ben", "treatment")
    file_as(clinic, "ben", clinic.ben, None)
    assert refusals(source) == [""]


def test_who_has_left_is_vouched_for_no_longer(clinic):
    box = clinic.box
    source = ChainRequests(box.client, box.deployment, box.contexts)
    ask(clinic, "ann")
    box.deployment.identity.remove_member(clinic.house, clinic.ann.address)
    box.client.settle()
    ask(clinic, "ann")
    ask(clinic, "ben")
    assert refusals(source) == ["", "nobody vouches for the requester", ""]


def test_an_agent_started_later_knows_whose_name_is_whose(clinic, rogue, model_files):
    box = clinic.box
    ask(clinic, "ann")
    box.start_agent(EvidenceRiskModel.from_files(model_files), UseMonitor()).step()
    file_as(clinic, "ann", rogue)
    source = ChainRequests(box.client, box.deployment, box.contexts)
    assert refusals(source) == [NAME_TAKEN]


def test_rows_without_times_have_none_that_could_be_far(clinic):
    box = clinic.box
    rows = ChainRequests(box.client, box.deployment, box.contexts, has_clock=False)
    request, context = draft(clinic, has_clock=False, time_s=7)
    box.hand_in([context])
    file(clinic, request)
    ask(clinic, "ben")
    assert refusals(rows) == ["", "the context has a time where there are none"]
