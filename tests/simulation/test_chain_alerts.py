"""Somebody tries one record after the other without a grant: the agent says so on chain, and the audit proves it."""

import json
from dataclasses import replace

import pytest

from chainsec.app.report import write_report
from chainsec.chain_agent import ChainActions
from chainsec.config import Config
from chainsec.defence.agent import Agent
from chainsec.defence.chainrules import CHAIN_RULES
from chainsec.defence.chainwatch import ChainWatch
from chainsec.defence.receipts import threat_receipt
from chainsec.errors import AuditFailed
from chainsec.primitives import Address
from chainsec.scenarios.audit import verify_run
from chainsec.scenarios.run import Scenario, run_scenario
from chainsec.scenarios.workload import PlannedUse

SEED = 8
RECORDS = 14
LAPSED_S, SOON_S = 40 * 86_400, 7_200


def draw_probe(small, *, is_thief=False):
    """Return a small hospital in which somebody reads many records, each long after the grant for it has lapsed.

    A thief reads them while the grants stand, is found out, loses them, and tries to read them again.
    """
    drawn = small.draw_small(SEED, live=RECORDS)
    template = next(attempt for attempt in drawn.live if attempt.denied is False)
    house = next(member.organisation for member in drawn.members if member.name == template.requester)
    level = next(record.sensitivity for record in drawn.records if record.name == template.asset)
    assets = [record.name for record in drawn.records if record.sensitivity <= level][:RECORDS]
    allowed = [replace(drawn.consents[0], record=asset, grantee=house, purpose=template.purpose) for asset in assets]
    reads = tuple(PlannedUse(after_s, "read", 1_000) for after_s in ((30, SOON_S) if is_thief else (LAPSED_S,)))
    theft = tuple(PlannedUse(60 + number, "export", 4_000_000) for number in range(7 * is_thief))
    live = tuple(
        replace(template, asset=asset, action="read", uses=(*theft * (asset == assets[1]), *reads), label_at_s=None)
        for asset in assets
    )
    return replace(drawn, consents=(*drawn.consents, *allowed), live=live)


@pytest.fixture(scope="session")
def play_probe(small):
    """Give what plays somebody who probes."""

    def play(path, *, is_thief=False):
        config = Config.model_validate({"seed": SEED, **small.SETTINGS})
        scenario = Scenario("demo", "probe", {"seed": SEED}, lambda _: draw_probe(small, is_thief=is_thief))
        return run_scenario(scenario, config, path, small.Teller(), write_report)

    return play


@pytest.fixture(scope="session")
def probed(play_probe, tmp_path_factory):
    """Give the directory of a run with somebody who probes, and its report; not to be changed."""
    path = tmp_path_factory.mktemp("probed") / "run"
    return path, play_probe(path)


def chain_receipts(path):
    receipts = map(json.loads, (path / "receipts.jsonl").read_text().splitlines())
    return [receipt for receipt in receipts if receipt.get("threat") in CHAIN_RULES]


def test_who_probes_is_alerted_about_on_chain_once_and_loses_no_right(probed):
    path, report = probed
    [alert] = [alert for alert in report.timeline if alert.kind == "probing"]
    people = {json.loads(line)["requester"] for line in (path / "uses.jsonl").read_text().splitlines()}
    assert {alert.requester} == people
    assert (alert.response, alert.grants) == ("alert", 0)
    assert (report.decisions.alerts, report.decisions.revoked) == (len(report.timeline), 0)
    [receipt] = chain_receipts(path)
    assert receipt["requests"] == []
    assert Address(receipt["requester"])
    assert verify_run(path).is_sealed


def test_who_was_cut_off_is_not_said_to_probe(play_probe, tmp_path):
    report = play_probe(tmp_path / "run", is_thief=True)
    uses = map(json.loads, (tmp_path / "run" / "uses.jsonl").read_text().splitlines())
    assert len({use["asset"] for use in uses if use["basis"] == "no_grant"}) > RECORDS / 2
    assert report.decisions.revoked_by_agent > RECORDS / 2
    assert chain_receipts(tmp_path / "run") == []


def test_a_run_that_stops_between_receipt_and_alert_goes_on_to_the_same_chain(small, play_probe, probed, tmp_path):
    raise_alert = ChainActions.raise_alert

    def stop(actions, subject, kind, severity, receipt):
        if kind == "probing":
            raise small.Stopped(kind)
        raise_alert(actions, subject, kind, severity, receipt)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ChainActions, "raise_alert", stop)
        with pytest.raises(small.Stopped):
            play_probe(tmp_path / "run")
    assert len(chain_receipts(tmp_path / "run")) == 1
    assert play_probe(tmp_path / "run").audit.head_hash == probed[1].audit.head_hash
    assert (tmp_path / "run" / "receipts.jsonl").read_bytes() == (probed[0] / "receipts.jsonl").read_bytes()


def exaggerate(receipt):
    receipt["evidence"]["statistic"] *= 2


def name_another(receipt):
    receipt["requester"] = str(Address(bytes(20)))


def name_nobody(receipt):
    receipt["requester"] = "usman"


def name_a_request(receipt):
    receipt["requests"] = ["0x" + "00" * 32]


def lower_the_bar(receipt):
    receipt["evidence"]["inputs"]["refused"] = 1
    receipt["evidence"]["statistic"] = CHAIN_RULES["probing"](**receipt["evidence"]["inputs"])
    receipt["score"] = receipt["evidence"]["statistic"] / (receipt["evidence"]["statistic"] + 1)


def leave_out_what_it_is_about(receipt):
    del receipt["evidence"]["about"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (exaggerate, "the rule gives"),
        (name_another, "the chain names somebody else"),
        (name_nobody, "the chain names somebody else"),
        (name_a_request, "it names requests, though it rests on none"),
        (lower_the_bar, "score does not follow from statistic and threshold"),
        (leave_out_what_it_is_about, "it is no receipt of an alert: 'about'"),
    ],
)
def test_an_alert_that_does_not_follow_from_its_evidence_does_not_pass(
    play_probe, monkeypatch, tmp_path, change, words
):
    def write(threat, response):
        receipt = threat_receipt(threat, response)
        if threat.kind == "probing":
            change(receipt)
        return receipt

    monkeypatch.setattr("chainsec.defence.agent.threat_receipt", write)
    with pytest.raises(AuditFailed, match=r"receipts\.jsonl: line \d+: ") as caught:
        play_probe(tmp_path / "run")
    assert words in str(caught.value)


def test_an_alert_on_chain_about_somebody_else_does_not_pass(play_probe, monkeypatch, tmp_path):
    report = Agent.report
    monkeypatch.setattr(Agent, "report", lambda agent, threat, _: report(agent, threat, Address(bytes(20))))
    with pytest.raises(AuditFailed, match="the chain names somebody else"):
        play_probe(tmp_path / "run")


def test_a_lie_of_a_validator_has_to_be_proved(play_probe, monkeypatch, tmp_path):
    def accuse(watch, call):
        return watch.observe_proof("equivocation", call.sender, call.time_s, ("0x01", "0x02"), {})

    monkeypatch.setattr(ChainWatch, "observe_call", accuse)
    with pytest.raises(AuditFailed, match="it holds no signed statement"):
        play_probe(tmp_path / "run")
