import json
from collections import Counter

import pytest

from chainsec.defence.risk import EvidenceRiskModel
from chainsec.digest import keccak, merkle_proof
from chainsec.primitives import Hash32
from chainsec.scenarios.acts import Acts
from chainsec.scenarios.audit import open_evidence
from chainsec.scenarios.report_schema import Report
from chainsec.services.access import Status
from chainsec.services.audit import leaves_of


def read_lines(run, name):
    return [json.loads(line) for line in (run / f"{name}.jsonl").read_bytes().splitlines()]


def read_report(run):
    return Report.model_validate_json((run / "report.json").read_bytes())


@pytest.fixture(scope="module")
def chain(finished):
    with open_evidence(finished) as (engine, contracts):
        yield engine, contracts


@pytest.fixture(scope="module")
def acts(chain):
    return Acts(*chain)


@pytest.fixture(scope="module")
def receipts(finished):
    return read_lines(finished, "receipts")


@pytest.fixture(scope="module")
def report(finished):
    return read_report(finished)


def test_every_request_is_decided_once_by_the_agent_in_the_next_block(chain, acts, receipts, report):
    engine, contracts = chain
    requested = contracts["AccessGrants"].events("AccessRequested", 0, engine.head().number)
    judged = [receipt["request"] for receipt in receipts if receipt["kind"] == "decision"]
    assert judged == [str(Hash32(event.args["request"])) for event in requested]
    assert len(judged) == report.requests.live
    for event in requested:
        decided = acts.first_decision[str(Hash32(event.args["request"]))]
        assert decided.block_number == event.block_number + 1
    assert report.latency.decision_blocks.p99 == 1


def test_what_is_reported_is_what_stands_on_chain(chain, acts, report):
    engine, contracts = chain
    outcomes = Counter(Status(event.args["outcome"]) for event in acts.first_decision.values())
    names = {
        name: len(contracts[contract].events(name, 0, engine.head().number))
        for contract, name in (
            ("AccessGrants", "AccessRevoked"),
            ("AccessGrants", "RequesterQuarantined"),
            ("Sentinel", "AlertRaised"),
        )
    }
    decisions = report.decisions
    assert (decisions.granted, decisions.denied, decisions.escalated) == (
        outcomes[Status.GRANTED],
        outcomes[Status.DENIED],
        outcomes[Status.ESCALATED],
    )
    revoked = decisions.revoked + decisions.revoked_after_expiry
    assert (revoked, decisions.quarantined, decisions.alerts) == tuple(names.values())
    assert min(names.values()) > 0
    assert len(report.timeline) == decisions.alerts
    assert sum(bucket.revoked for bucket in report.series.decisions_over_time) == decisions.revoked


def test_gas_by_operation_adds_up_to_all_that_was_spent(chain, report):
    engine, _ = chain
    blocks = [engine.block(number) for number in range(1, engine.head().number + 1)]
    operations = report.cost.gas_by_operation.values()
    assert sum(entry.gas_total for entry in operations) == report.cost.gas_total
    assert sum(block.gas_used for block in blocks) == report.cost.gas_total
    assert sum(entry.transactions for entry in operations) == report.cost.transactions
    assert report.cost.gas_by_operation["decision"].items == report.requests.live


def test_every_score_follows_from_the_features_and_the_model_in_the_run(finished, receipts, report):
    folder = finished / "models" / report.run.model_digest
    model = EvidenceRiskModel.from_files({file.name: file.read_bytes() for file in folder.iterdir()})
    judged = [receipt for receipt in receipts if receipt["kind"] == "decision"]
    assert [model.score(receipt["features"]) for receipt in judged] == [receipt["score"] for receipt in judged]
    assert len({receipt["score"] for receipt in judged}) > 5


def test_guardians_answer_every_escalation_and_the_chain_follows_them(chain, acts, receipts, report):
    _, contracts = chain
    escalated = {request for request, event in acts.first_decision.items() if event.args["outcome"] == Status.ESCALATED}
    answers = {receipt["request"]: receipt["kind"] for receipt in receipts if receipt["kind"] in {"approve", "cancel"}}
    assert answers.keys() <= escalated
    decisions = report.decisions
    assert len(escalated) - len(answers) == decisions.lapsed
    assert (decisions.approved, decisions.cancelled) == tuple(map([*answers.values()].count, ("approve", "cancel")))
    assert "approve" in answers.values()
    for request, answer in answers.items():
        status = contracts["AccessGrants"].call("statusOf", Hash32(request))
        assert Status(status) is (Status.GRANTED if answer == "approve" else Status.DENIED)


def test_a_label_is_shown_only_after_the_decision_and_again_only_to_correct_a_guardian(finished, acts):
    outcomes = read_lines(finished, "outcomes")
    assert outcomes
    told = {}
    for outcome in outcomes:
        told.setdefault(outcome["request"], []).append((outcome["source"], outcome["denied"]))
    for first, *more in told.values():
        assert more in ([], [("review", not first[1])])
        assert not more or first[0] == "guardian"
    for outcome in outcomes:
        assert outcome["block"] >= acts.first_decision[outcome["request"]].block_number
    assert [outcome["time_s"] for outcome in outcomes] == sorted(outcome["time_s"] for outcome in outcomes)


def test_every_use_can_be_proved_against_a_root_on_chain(finished, chain, acts):
    _, contracts = chain
    lines, done = (finished / "uses.jsonl").read_bytes().splitlines(), 0
    for anchor in acts.anchors("uses"):
        records = lines[done : done + anchor.args["count"]]
        batch = leaves_of(records)
        for place in {0, len(batch) // 2, len(batch) - 1}:
            proof = merkle_proof(batch, place)
            assert contracts["AuditTrail"].call("isIncluded", anchor.args["root"], batch[place], proof)
            forged = leaves_of([*records[:place], records[place] + b" "])[-1]
            assert not contracts["AuditTrail"].call("isIncluded", anchor.args["root"], forged, proof)
        done += len(batch)
    assert done == len(lines) > 0


def test_who_is_quarantined_is_refused_until_a_guardian_finds_it_unfounded(finished, chain, acts):
    engine, contracts = chain
    uses, head = read_lines(finished, "uses"), engine.head().number
    cut_off = contracts["AccessGrants"].events("RequesterQuarantined", 0, head)
    freed = contracts["AccessGrants"].events("RequesterReleased", 0, head)
    assert cut_off
    assert freed
    refused = 0
    for event in cut_off:
        who = event.args["requester"]
        end = min((e.block_number for e in freed if e.args["requester"] == who and e.block_number > event.block_number), default=head)  # fmt: skip # noqa: E501
        for use in uses:
            is_theirs = acts.requests[use["request"]].requester == who
            if is_theirs and event.block_number <= use["block"] < end:
                assert use["basis"] != "agreed"
                refused += use["basis"] == "quarantined"
    assert refused


def test_a_use_is_allowed_only_as_the_chain_said_at_that_block(finished, chain, acts):
    _, contracts = chain
    uses = read_lines(finished, "uses")
    for use in uses[::7]:
        request = acts.requests[use["request"]]
        scope = {"read": 1, "write": 2, "export": 4}[use["action"]]
        allowed = contracts["AccessGrants"].call(
            "hasAccess", request.requester, request.asset, request.purpose, scope, at=use["block"]
        )
        assert allowed == (use["basis"] == "agreed")
    assert len({use["basis"] for use in uses}) > 2


def test_contexts_lie_in_the_order_in_which_their_requests_reached_the_chain(finished, chain):
    engine, contracts = chain
    requested = contracts["AccessGrants"].events("AccessRequested", 0, engine.head().number)
    lines = (finished / "contexts.jsonl").read_bytes().splitlines()
    assert [keccak(line) for line in lines] == [event.args["context"] for event in requested]
    assert len({event.args["organisation"] for event in requested}) > 1


def test_one_seed_gives_one_head_and_another_seed_another(small, finished, tmp_path):
    again = small.play_small(tmp_path / "again", seed=8)
    other = small.play_small(tmp_path / "other", seed=4)
    assert again.audit.head_hash == read_report(finished).audit.head_hash
    assert other.audit.head_hash != again.audit.head_hash
    for name in ("contexts", "receipts", "uses", "outcomes"):
        assert (tmp_path / "again" / f"{name}.jsonl").read_bytes() == (finished / f"{name}.jsonl").read_bytes()


def test_a_run_whose_agent_states_another_score_than_its_model_does_not_pass_its_own_audit(
    small, tmp_path, monkeypatch
):
    honest = EvidenceRiskModel.score
    monkeypatch.setattr(EvidenceRiskModel, "score", lambda model, features: honest(model, features) / 2)

    def come_clean(line):
        if line.startswith("audit"):
            monkeypatch.setattr(EvidenceRiskModel, "score", honest)

    with pytest.raises(Exception, match=r"receipts\.jsonl: line 1: score is .*, the model gives"):
        small.play_small(tmp_path / "run", seed=8, write=come_clean, live=6)
    assert not (tmp_path / "run" / "seal.json").exists()
    assert not (tmp_path / "run" / "report.json").exists()
