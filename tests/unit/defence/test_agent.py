"""The agent scores before it learns, keeps receipts before it acts, and answers threats as hard as it may."""

import math

import pytest

from chainsec.defence.agent import SEVERITY, Agent, PendingRequest
from chainsec.defence.chainwatch import ChainWatch
from chainsec.defence.detectors import UseMonitor
from chainsec.defence.observation import Observation, Threat, Use
from chainsec.defence.policy import Thresholds
from chainsec.defence.renewal import Drift, RenewalSettings, Trial, Tried
from chainsec.digest import digest_json, keccak
from chainsec.errors import LedgerError, UnknownRequest
from chainsec.journal import Journal
from chainsec.primitives import ZERO_HASH, AccessRequest, Address, Hash32, Scope, Verdict

START_S = 1_767_225_600
ESCALATE_ALL, GRANT_ALL = (Thresholds(0.0, 1.0),) * 4, (Thresholds(1.0, 1.0),) * 4


def a_request(number, *, requester=1, asset=1):
    return AccessRequest(
        requester=Address(bytes([requester]) * 20),
        organisation=Address(bytes([2]) * 20),
        asset=Hash32(bytes([asset]) * 32),
        purpose=Hash32(bytes([4]) * 32),
        scope=Scope.READ,
        until=START_S + 86_400,
        context=Hash32(keccak(bytes([number]))),
    )


def pending(number, *, name="nurse-1", role="nurse", sensitivity=1, **fields):
    request = a_request(number, **fields)
    facts = {"role": role, "ward": "cardiology"}
    observation = Observation(
        str(request.id), START_S + number * 60, name, f"scan-{number}", "read", "treatment", sensitivity, facts
    )
    return PendingRequest(request, observation)


def use_of(request, *, time_s=START_S, action="read"):
    return Use(time_s, "nurse-1", "scan", action, 100, str(request.id))


class Inbox:
    """A source that hands out what is put into it, once, and finds what it was told of."""

    def __init__(self, *items, known=()):
        self.items = list(items)
        self.known = {str(request.id): request for request in known}

    def poll(self):
        found, self.items = self.items, []
        return found

    def find(self, request_id):
        return self.known.get(request_id)


class Desk:
    """Acts that are written down in order; what may be done is set from outside."""

    def __init__(self, *, left=10, may_quarantine=True, standing=None):
        self.acts = []
        self.left, self.may_quarantine, self.standing = left, may_quarantine, standing
        self.failure = None

    def decide(self, decisions):
        self.acts.append(("decide", list(decisions)))
        if self.failure:
            raise self.failure

    def restrictions_left(self):
        return self.left

    def can_revoke(self, request):
        return self.left > 0 and (self.standing is None or request in self.standing)

    def can_quarantine(self, _request):
        return self.left > 0 and self.may_quarantine

    def revoke(self, request, receipt):
        self.acts.append(("revoke", request, receipt))

    def quarantine(self, request, receipt):
        self.acts.append(("quarantine", request, receipt))

    def raise_alert(self, subject, kind, severity, receipt):
        self.acts.append(("alert", subject, kind, severity, receipt))

    def give_notice(self, kind, severity, receipt):
        if self.failure:
            raise self.failure
        self.acts.append(("notice", kind, severity, receipt))

    def anchor_model(self, model):
        self.acts.append(("anchor", model.digest))

    def settle(self):
        self.acts.append(("settle",))
        return self.acts.count(("settle",))


class Tattler:
    """A watcher that finds the threats it was given, one batch a use."""

    def __init__(self, *batches):
        self.batches = list(batches)
        self.seen = []
        self.expected = []

    def expect(self, request_id, action):
        self.expected.append((request_id, action))

    def observe(self, use):
        self.seen.append(use)
        return self.batches.pop(0) if self.batches else []


class Diary:
    """A model that writes down what it is asked, in order, and leaves the answer to the real one."""

    def __init__(self, model):
        self.model, self.calls = model, []
        self.digest = model.digest

    def __getattr__(self, name):
        real = getattr(self.model, name)

        def call(*arguments):
            self.calls.append(name)
            return real(*arguments)

        return call


class Chronicle:
    """A renewal whose news is set from outside."""

    def __init__(self):
        self.settings = RenewalSettings(trial_labels=1)
        self.news, self.calls = None, []

    def acknowledge(self):
        self.news = None
        self.calls.append(("acknowledge",))

    def __getattr__(self, name):
        return lambda *told: self.calls.append((name, *told))


def an_agent(
    model, source, actions=None, *, watcher=None, thresholds=ESCALATE_ALL, receipts=None, careful=None, renewal=None
):
    return Agent(
        source=source,
        actions=actions or Desk(),
        receipts=receipts if receipts is not None else Journal(None),
        model=model,
        watcher=watcher or UseMonitor(),
        thresholds=thresholds,
        reasons=3,
        careful=careful,
        renewal=renewal,
    )


def a_threat(*requests, response="quarantine", kind="mass_export"):
    return Threat(
        kind,
        "nurse-1",
        tuple(str(request.id) for request in requests),
        0.9,
        response,
        {"statistic": 22.5, "thresholds": [2.5]},
    )


def test_every_request_is_scored_before_it_enters_the_past(model):
    diary = Diary(model)
    agent = an_agent(diary, Inbox(pending(1), pending(2)))
    agent.step()
    assert diary.calls == ["features", "score", "reasons", "observe"] * 2


def test_a_score_knows_the_requests_before_it_and_not_itself(model, model_files):
    items = [pending(number) for number in range(6)]
    receipts = an_agent(model, Inbox(*items)).step()
    untouched = type(model).from_files(model_files)
    for item, receipt in zip(items, receipts, strict=True):
        assert receipt["features"] == untouched.features(item.observation)
        assert receipt["score"] == untouched.score(receipt["features"])
        untouched.observe(item.observation)


def test_labels_are_learned_only_when_they_are_revealed_and_once(model):
    item = pending(1)
    agent = an_agent(model, Inbox(item))
    agent.step()
    request_id = str(item.request.id)
    before = model.to_files()["state.json"]
    assert agent.has_scored(request_id)
    agent.learn(request_id, True)  # noqa: FBT003 - the label itself
    assert model.to_files()["state.json"] != before
    assert not agent.has_scored(request_id)
    with pytest.raises(KeyError):
        agent.learn(request_id, True)  # noqa: FBT003 - the label itself


def test_a_review_that_contradicts_a_guardian_is_learned_and_one_that_agrees_is_no_news(model):
    diary = Diary(model)
    wrong, right, plain = (pending(number) for number in (1, 2, 3))
    agent = an_agent(diary, Inbox(wrong, right, plain))
    agent.step()
    ids = [str(item.request.id) for item in (wrong, right, plain)]
    diary.calls.clear()
    assert [agent.learn(name, denied=True, is_final=False) for name in ids[:2]] == [True, True]
    reviews = zip(ids, (False, True, False), strict=True)
    assert [agent.learn(name, denied=label) for name, label in reviews] == [True, False, True]
    assert diary.calls == ["learn", "learn", "correct", "learn"]
    assert not any(agent.has_scored(name) for name in ids)
    with pytest.raises(KeyError):
        agent.learn(ids[0], denied=True)


def test_a_release_takes_back_what_threats_added_to_the_next_scores_of_that_person_alone(model):
    first, other, later = pending(1), pending(2, name="clerk-1", requester=2), pending(3)
    watcher = UseMonitor()
    agent = an_agent(model, Inbox(first, other), watcher=watcher)
    agent.step()
    innocent = model.features(later.observation)
    uses = [Use(START_S + n, who, f"r{n}", "export", 9_000, str(item.request.id)) for n in range(40) for who, item in (("nurse-1", first), ("clerk-1", other))]  # fmt: skip # noqa: E501
    assert {response.threat.requester for response in agent.watch(uses)} == {"nurse-1", "clerk-1"}
    assert model.features(later.observation)["suspicion"] > innocent["suspicion"]
    of_clerk = model.features(pending(4, name="clerk-1", requester=2).observation)["suspicion"]
    agent.release("nurse-1")
    assert model.features(later.observation)["suspicion"] == pytest.approx(innocent["suspicion"], abs=1e-3)
    assert model.features(pending(4, name="clerk-1", requester=2).observation)["suspicion"] == of_clerk > 0
    agent.release("nurse-1")
    assert model.features(later.observation)["suspicion"] >= 0


def test_each_decision_carries_the_hash_of_the_receipt_that_was_kept_before_it(model):
    desk, journal = Desk(), Journal(None)
    items = [pending(number, sensitivity=number % 4) for number in range(5)]
    receipts = an_agent(model, Inbox(*items), desk, receipts=journal).step()
    [(_, decisions), settled] = desk.acts
    assert settled == ("settle",)
    assert [decision.request for decision in decisions] == [item.request for item in items]
    assert [decision.receipt for decision in decisions] == [keccak(line) for line in journal]
    assert [decision.receipt for decision in decisions] == [digest_json(receipt) for receipt in receipts]
    assert [decision.verdict.name.lower() for decision in decisions] == [receipt["verdict"] for receipt in receipts]
    assert all(len(receipt["reasons"]) <= 3 for receipt in receipts)


def test_the_thresholds_are_those_of_the_sensitivity(model):
    thresholds = (Thresholds(1.0, 1.0), Thresholds(0.0, 0.0), Thresholds(0.0, 1.0), Thresholds(1.0, 1.0))
    items = [pending(number, sensitivity=number) for number in range(4)]
    receipts = an_agent(model, Inbox(*items), thresholds=thresholds).step()
    assert [receipt["verdict"] for receipt in receipts] == ["grant", "deny", "escalate", "grant"]


def test_a_request_whose_context_is_refused_is_denied_and_never_reaches_the_model(model):
    desk, diary, watcher = Desk(), Diary(model), Tattler()
    item = PendingRequest(a_request(1), None, "no context was handed in")
    [receipt] = an_agent(diary, Inbox(item), desk, watcher=watcher, thresholds=GRANT_ALL).step()
    assert receipt["kind"] == "refusal"
    assert receipt["reason"] == "no context was handed in"
    [decision] = desk.acts[0][1]
    assert (decision.verdict, decision.receipt) == (Verdict.DENY, digest_json(receipt))
    assert (diary.calls, watcher.expected) == ([], [])


def test_where_nothing_is_pending_nothing_is_written_and_nothing_is_sent(model):
    desk, journal = Desk(), Journal(None)
    agent = an_agent(model, Inbox(pending(1)), desk, receipts=journal)
    agent.step()
    acts = len(desk.acts)
    assert agent.step() == []
    assert (len(desk.acts), len(journal)) == (acts, 1)


def test_decisions_that_could_not_be_sent_are_sent_again_and_not_made_again(model):
    desk, journal, diary = Desk(), Journal(None), Diary(model)
    inbox = Inbox(pending(1))
    agent = an_agent(diary, inbox, desk, receipts=journal)
    desk.failure = LedgerError("the agent is suspended")
    with pytest.raises(LedgerError):
        agent.step()
    with pytest.raises(LedgerError):
        agent.step()
    desk.failure = None
    inbox.items.append(pending(2))
    receipts = agent.step()
    assert [receipt["request"] for receipt in receipts] == [str(a_request(1).id), str(a_request(2).id)]
    assert diary.calls.count("score") == len(journal) == 2
    first, again, final = (decisions for kind, *rest in desk.acts if kind == "decide" for decisions in rest)
    assert first == again == final[:1]
    assert agent.step() == []


def test_requests_that_could_not_be_judged_or_written_down_are_not_lost_and_not_scored_twice(model):
    desk, journal, diary = Desk(), Journal(None), Diary(model)
    agent = an_agent(diary, Inbox(pending(1), pending(2), pending(3)), desk, receipts=journal)
    features, append = diary.features, journal.append

    def fail(*_):
        raise OSError("the disk is full")

    diary.features = lambda observation: features(observation) if observation.id != str(a_request(2).id) else fail()
    with pytest.raises(OSError, match="full"):
        agent.step()
    diary.features = features
    journal.append = fail
    with pytest.raises(OSError, match="full"):
        agent.step()
    assert len(journal) == len(desk.acts) == 0
    journal.append = append
    receipts = agent.step()
    assert [receipt["request"] for receipt in receipts] == [str(a_request(n).id) for n in (1, 2, 3)]
    assert diary.calls.count("score") == len(journal) == 3
    assert agent.step() == []


def test_a_threat_is_answered_with_an_alert_and_the_act_under_one_receipt(model):
    item, desk, journal = pending(1), Desk(), Journal(None)
    threat = a_threat(item.request)
    agent = an_agent(model, Inbox(item), desk, watcher=Tattler([threat]), receipts=journal)
    agent.step()
    desk.acts.clear()
    [response] = agent.watch([use_of(item.request)])
    assert (response.threat, response.action) == (threat, "quarantine")
    receipt = keccak(list(journal)[-1])
    assert desk.acts == [
        ("alert", item.request.requester, "mass_export", SEVERITY["quarantine"], receipt),
        ("quarantine", item.request, receipt),
        ("settle",),
    ]


def test_what_a_watch_over_the_chain_finds_becomes_an_alert_and_nothing_else(model):
    desk, journal, subject = Desk(), Journal(None), Address(bytes([9]) * 20)
    [threat] = ChainWatch().observe_proof("equivocation", str(subject), START_S, ("0x01", "0x02"), {})
    agent = an_agent(model, Inbox(), desk, receipts=journal)
    response = agent.report(threat, subject)
    assert (response.threat, response.action, response.block) == (threat, "alert", 1)
    receipt = keccak(list(journal)[-1])
    assert desk.acts == [("alert", subject, "equivocation", SEVERITY["alert"], receipt), ("settle",)]


@pytest.mark.parametrize(
    ("called_for", "desk", "action"),
    [
        ("alert", Desk(), "alert"),
        ("revoke", Desk(), "revoke"),
        ("revoke", Desk(standing=[]), "alert"),
        ("revoke", Desk(left=0), "alert"),
        ("quarantine", Desk(), "quarantine"),
        ("quarantine", Desk(may_quarantine=False), "revoke"),
        ("quarantine", Desk(may_quarantine=False, standing=[]), "alert"),
        ("quarantine", Desk(left=0), "alert"),
    ],
)
def test_the_answer_is_what_is_called_for_or_the_next_milder_that_goes_through(model, called_for, desk, action):
    item, journal = pending(1), Journal(None)
    watcher = Tattler([a_threat(item.request, response=called_for)])
    agent = an_agent(model, Inbox(item), desk, watcher=watcher, receipts=journal)
    agent.step()
    desk.acts.clear()
    [response] = agent.watch([use_of(item.request)])
    assert response.action == action
    assert [act[0] for act in desk.acts] == ["alert", *([action] if action != "alert" else []), "settle"]
    assert desk.acts[0][3] == SEVERITY[action]
    assert f'"kind":"{action}"'.encode() in list(journal)[-1]


def test_a_revocation_ends_each_grant_once_and_no_more_than_the_budget_holds(model):
    same = [pending(1, asset=1), pending(2, asset=1), pending(3, asset=2), pending(4, asset=3)]
    requests = [item.request for item in same]
    for left, ended in ((10, [requests[1], requests[2], requests[3]]), (2, [requests[1], requests[2]])):
        desk = Desk(left=left, standing=requests[1:])  # the second request's grant took the place of the first one's
        threat = a_threat(*requests, *requests, response="revoke")
        agent = an_agent(model, Inbox(*same), desk, watcher=Tattler([threat]))
        agent.step()
        agent.watch([use_of(requests[0])])
        assert [act[1] for act in desk.acts if act[0] == "revoke"] == ended


def test_a_use_under_a_request_that_nobody_made_is_refused_before_it_is_looked_at(model):
    desk, watcher, journal = Desk(), Tattler(), Journal(None)
    agent = an_agent(model, Inbox(), desk, watcher=watcher, receipts=journal)
    with pytest.raises(UnknownRequest) as caught:
        agent.watch([use_of(a_request(1))])
    assert caught.value.request == str(a_request(1).id)
    assert (desk.acts, watcher.seen, len(journal)) == ([], [], 0)


def test_an_agent_started_later_answers_for_grants_that_were_decided_before_it(model):
    old = a_request(1)
    desk = Desk()
    agent = an_agent(model, Inbox(known=[old]), desk, watcher=Tattler([a_threat(old, response="revoke")]))
    [response] = agent.watch([use_of(old)])
    assert response.action == "revoke"
    assert ("revoke", old) == desk.acts[1][:2]


def test_uses_from_before_the_chain_concern_no_grant(model):
    item = pending(1)
    threat = Threat(
        "volume",
        "nurse-1",
        ("history-7", str(item.request.id)),
        0.9,
        "revoke",
        {"statistic": 22.5, "thresholds": [2.5]},
    )
    desk = Desk()
    agent = an_agent(model, Inbox(item), desk, watcher=Tattler([threat]))
    agent.step()
    agent.watch([use_of(item.request)])
    assert [act[1] for act in desk.acts if act[0] == "revoke"] == [item.request]


def test_the_watcher_is_told_what_was_asked_for_before_its_uses_come(model):
    item, watcher = pending(1), Tattler()
    an_agent(model, Inbox(item), watcher=watcher).step()
    assert watcher.expected == [(str(item.request.id), "read")]


def test_a_real_monitor_finds_a_mass_export_and_the_agent_ends_it(model):
    items = [pending(number, asset=number + 1) for number in range(40)]
    desk = Desk()
    agent = an_agent(model, Inbox(*items), desk)
    agent.step()
    uses = [
        Use(START_S + 60 * number, "nurse-1", f"scan-{number}", "export", 9_000, str(item.request.id))
        for number, item in enumerate(items)
    ]
    responses = agent.watch(uses)
    assert responses
    assert {act[0] for act in desk.acts} >= {"alert"}
    assert all(math.isfinite(response.threat.score) for response in responses)


def test_the_zero_hash_is_no_receipt_of_anything(model):
    desk = Desk()
    an_agent(model, Inbox(pending(1)), desk).step()
    assert all(decision.receipt != ZERO_HASH for decision in desk.acts[0][1])


DRIFT = Drift("scores", 500, 2e4, 20_000)


def test_an_alarm_stands_on_chain_before_the_next_decision_and_makes_it_careful(model):
    desk, renewal, receipts = Desk(), Chronicle(), Journal(None)
    agent = an_agent(
        model, Inbox(pending(1)), desk, thresholds=GRANT_ALL, careful=ESCALATE_ALL, renewal=renewal, receipts=receipts
    )
    renewal.news = DRIFT
    [receipt] = agent.step()
    assert receipt["verdict"] == "escalate"
    assert [act[0] for act in desk.acts] == ["notice", "settle", "decide", "settle"]
    assert desk.acts[0][1:] == ("drift", SEVERITY["alert"], Hash32(keccak(receipts.lines[0])))
    assert agent.is_careful
    assert renewal.news is None


def test_scores_and_labels_reach_the_renewal_once_each(model):
    renewal, item = Chronicle(), pending(1)
    agent = an_agent(model, Inbox(item), renewal=renewal)
    [receipt] = agent.step()
    request_id = str(item.request.id)
    agent.learn(request_id, denied=True, is_final=False)
    agent.learn(request_id, denied=True, is_final=False)
    agent.learn(request_id, denied=False)
    assert renewal.calls == [
        ("note_score", item.observation, receipt["score"]),
        ("note_label", item.observation, True),
        ("note_label", item.observation, False),
    ]


def test_a_challenger_that_won_is_anchored_before_it_scores_anything(model, model_files):
    better = type(model).from_files(model_files)
    for number in range(20, 24):
        better.observe(pending(number).observation)
    desk, renewal = Desk(), Chronicle()
    agent = an_agent(model, Inbox(pending(1)), desk, renewal=renewal)
    agent.is_careful = True
    renewal.news = Trial(better, 9, (Tried("0x1", denied=True, in_use=0.2, challenger=0.9),))
    agent.step()
    assert [act[0] for act in desk.acts] == ["notice", "settle", "anchor", "settle", "decide", "settle"]
    assert agent.model is better
    assert not agent.is_careful


def test_a_challenger_that_lost_is_neither_anchored_nor_used(model):
    desk, renewal = Desk(), Chronicle()
    agent = an_agent(model, Inbox(pending(1)), desk, renewal=renewal)
    renewal.news = Trial(object_with_digest(), 9, (Tried("0x1", denied=True, in_use=0.9, challenger=0.2),))
    agent.step()
    assert [act[0] for act in desk.acts] == ["notice", "settle", "decide", "settle"]
    assert agent.model is model


def object_with_digest():
    class Challenger:
        digest = "0x" + "11" * 32

    return Challenger()


def test_a_notice_that_could_not_be_sent_is_sent_by_the_next_step_with_one_receipt(model):
    desk, renewal, receipts = Desk(), Chronicle(), Journal(None)
    agent = an_agent(model, Inbox(pending(1)), desk, renewal=renewal, receipts=receipts)
    renewal.news = DRIFT
    desk.failure = LedgerError("suspended")
    for _ in range(2):
        with pytest.raises(LedgerError, match="suspended"):
            agent.step()
    assert not agent.is_careful
    assert renewal.calls == []
    desk.failure = None
    agent.step()
    assert [act[0] for act in desk.acts] == ["notice", "settle", "decide", "settle"]
    assert len(receipts) == 2
