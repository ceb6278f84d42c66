"""A run in which the model drifts, is tried against a challenger and replaced, is proved; one that cheats is not."""

import json
from collections import Counter

import pytest

from chainsec.chain_agent import ChainActions
from chainsec.defence.agent import Agent
from chainsec.defence.policy import thresholds_by_sensitivity
from chainsec.defence.receipts import notice_receipt
from chainsec.defence.renewal import Trial
from chainsec.errors import AuditFailed
from chainsec.scenarios.audit import verify_run

RENEWAL = {
    "reference_events": 20,
    "events_per_false_alarm": 2,
    "fresh_labels": 1,
    "trial_labels": 2,
    "patience_events": 30,
}
SIZES = {"history": 60, "live": 48}


@pytest.fixture(scope="session")
def settings(small):
    return {**small.SETTINGS, "renewal": RENEWAL}


@pytest.fixture
def play(small, settings, tmp_path):
    """Give what plays the same run again, in a directory of its own."""
    return lambda: small.play_small(tmp_path / "run", 3, settings=settings, **SIZES)


@pytest.fixture(scope="session")
def renewed(small, settings, tmp_path_factory):
    """Give the directory of a run in which models were renewed; not to be changed."""
    path = tmp_path_factory.mktemp("renewed") / "run"
    report = small.play_small(path, 3, settings=settings, **SIZES)
    return path, report


def receipts_of(path):
    return [json.loads(line) for line in (path / "receipts.jsonl").read_text().splitlines()]


def test_alarm_trial_and_successor_stand_in_receipts_that_an_audit_proves(renewed):
    path, report = renewed
    kinds = Counter(receipt["kind"] for receipt in receipts_of(path))
    assert kinds["drift"] >= kinds["renewal"] >= 1
    assert verify_run(path).is_sealed
    adopted = [r["challenger"] for r in receipts_of(path) if r["kind"] == "renewal" and r["adopted"]]
    assert adopted
    assert report.run.model_digest in {folder.name for folder in (path / "models").iterdir()} >= set(adopted)


def test_each_decision_names_the_model_that_was_in_use_and_is_careful_after_an_alarm(renewed):
    path, _ = renewed
    costs = json.loads((path / "run.json").read_bytes())["config"]["costs"]
    usual, careful = (
        thresholds_by_sensitivity(
            [factor * cost for cost in costs["wrong_grant"]], costs["wrong_denial"], costs["escalation"]
        )
        for factor in (1.0, costs["caution"])
    )
    in_use, stands, seen = None, usual, set()
    for receipt in receipts_of(path):
        if receipt["kind"] == "decision":
            in_use = in_use or receipt["model"]
            assert receipt["model"] == in_use
            assert receipt["thresholds"]["grant_below"] == stands[receipt["sensitivity"]].grant_below
            seen.add((in_use, stands is careful))
        elif receipt["kind"] == "drift":
            stands = careful
        elif receipt["kind"] == "renewal":
            stands, in_use = usual, receipt["challenger"] if receipt["adopted"] else in_use
    assert {careful for _, careful in seen} == {False, True}
    assert len({model for model, _ in seen}) > 1


def test_the_same_seed_gives_the_same_chain_with_models_renewed(play, renewed, tmp_path):
    path, report = renewed
    again = play()
    assert again.audit.head_hash == report.audit.head_hash
    assert receipts_of(tmp_path / "run") == receipts_of(path)


def cry_wolf(receipt):
    if receipt["kind"] == "drift":
        receipt["events"] += 1
    return receipt


def praise_the_challenger(receipt):
    if receipt["kind"] == "renewal":
        receipt["losses"][1] = 0.0
    return receipt


def score_in_hindsight(receipt):
    if receipt["kind"] == "renewal" and receipt["tried"]:
        receipt["tried"][0][2] = 0.5
    return receipt


def turn_a_label(receipt):
    if receipt["kind"] == "renewal" and receipt["tried"]:
        receipt["tried"][0][1] = not receipt["tried"][0][1]
    return receipt


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (cry_wolf, "scores and labels lead to no such alarm"),
        (praise_the_challenger, "its scores give"),
        (score_in_hindsight, "score or label of the tried request"),
        (turn_a_label, "score or label of the tried request"),
    ],
)
def test_notices_that_do_not_follow_from_scores_and_labels_do_not_pass(play, monkeypatch, change, words):
    def write(news, model, least):
        return change(notice_receipt(news, model, least))

    monkeypatch.setattr("chainsec.defence.agent.notice_receipt", write)
    with pytest.raises(AuditFailed, match=r"receipts\.jsonl: line \d+: ") as caught:
        play()
    assert words in str(caught.value)


def test_a_model_that_lost_its_trial_may_not_be_put_in_use(play, monkeypatch):
    monkeypatch.setattr(Trial, "losses", property(lambda _: (0.5, 0.0)))
    with pytest.raises(AuditFailed, match=r"receipts\.jsonl: line \d+: its losses are"):
        play()


def test_a_model_may_not_be_used_before_it_is_anchored(play, monkeypatch):
    monkeypatch.setattr(ChainActions, "anchor_model", lambda *_: None)
    with pytest.raises(AuditFailed, match=r"the model 0x\w+ is not in the run"):
        play()


def test_an_agent_that_is_careful_without_an_alarm_does_not_pass(play, monkeypatch):
    step = Agent.step

    def anxious(agent):
        agent.is_careful = True
        return step(agent)

    monkeypatch.setattr(Agent, "step", anxious)
    with pytest.raises(AuditFailed, match=r"thresholds are not those of the run's settings"):
        play()


def test_an_agent_that_hides_an_alarm_from_the_chain_changes_models_without_leave(play, monkeypatch):
    def tend_in_silence(agent):
        news = agent._renewal.news
        if news is not None:
            agent.model = getattr(news, "challenger", None) or agent.model
            agent._renewal.acknowledge()

    monkeypatch.setattr(Agent, "tend", tend_in_silence)
    with pytest.raises(AuditFailed, match=r"the model 0x\w+ is not in the run"):
        play()
