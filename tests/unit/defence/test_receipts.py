"""A receipt can be recomputed by a stranger, and every change to it is found and named."""

import copy
import json
from dataclasses import replace

import pytest

from chainsec.defence.detectors import UseMonitor
from chainsec.defence.observation import Observation, Use
from chainsec.defence.policy import Thresholds
from chainsec.defence.receipts import (
    ANSWERS,
    RESPONSES,
    VERDICTS,
    decision_receipt,
    find_fault,
    find_shape_fault,
    find_threat_fault,
    guardian_receipt,
    refusal_receipt,
    threat_receipt,
    verdict_of,
)
from chainsec.digest import canonical_json
from chainsec.primitives import Verdict

THRESHOLDS = Thresholds(0.1, 0.8)
REQUEST = Observation(
    "0x01", 1_767_225_600, "nurse-1", "scan-3", "read", "treatment", 1, {"role": "nurse", "ward": "cardiology"}
)


@pytest.fixture
def receipt(model):
    return decision_receipt(REQUEST, model.features(REQUEST), model, THRESHOLDS, 4)


@pytest.fixture(scope="module")
def answered():
    """The receipt of an answer to a mass export, as strong as its levels call for."""
    monitor = UseMonitor()
    uses = [Use(600 * number, "ann", f"r{number}", "export", 9_000, f"q{number}") for number in range(60)]
    threats = [threat for use in uses for threat in monitor.observe(use)]
    threat = max(threats, key=lambda threat: ("alert", "revoke", "quarantine").index(threat.response))
    return threat_receipt(threat, threat.response)


def test_a_receipt_survives_json_and_holds_for_a_model_read_from_its_files(receipt, model, model_files):
    read = json.loads(canonical_json(receipt))
    assert canonical_json(read) == canonical_json(receipt)
    assert find_fault(read, type(model).from_files(model_files), THRESHOLDS, 4) is None


def test_making_and_checking_a_receipt_teaches_the_model_nothing(receipt, model, model_files):
    find_fault(receipt, model, THRESHOLDS, 4)
    assert model.to_files() == model_files


def test_a_receipt_names_request_parties_model_and_reasons(receipt, model):
    assert (receipt["request"], receipt["requester"], receipt["asset"]) == ("0x01", "nurse-1", "scan-3")
    assert receipt["model"] == model.digest
    assert 1 <= len(receipt["reasons"]) <= 4
    assert verdict_of(receipt).name.lower() == receipt["verdict"]


CHANGES = {
    "score": (lambda r: r.update(score=r["score"] + 1e-9), "score is"),
    "verdict": (lambda r: r.update(verdict={"grant": "deny"}.get(r["verdict"], "grant")), "verdict is"),
    "thresholds": (lambda r: r["thresholds"].update(grant_below=0.2), "thresholds are not those"),
    "model": (lambda r: r.update(model="0x00"), "model is '0x00'"),
    "reason": (lambda r: r["reasons"][0].__setitem__(1, 0.5), "reasons are not those"),
    "reasons left out": (lambda r: r["reasons"].pop(0), "reasons are not those"),
    "feature missing": (lambda r: r["features"].pop(next(iter(r["features"]))), "no receipt of a decision"),
    "feature added": (lambda r: r["features"].update(made_up=1.0), "no receipt of a decision"),
    "feature not finite": (
        lambda r: r["features"].update(dict.fromkeys(list(r["features"])[:1], float("nan"))),
        "finite",
    ),
    "feature too large": (
        lambda r: r["features"].update(dict.fromkeys(list(r["features"])[:1], 10**400)),
        "no receipt",
    ),
    "feature no number": (lambda r: r["features"].update(dict.fromkeys(list(r["features"])[:1], "1")), "finite"),
    "features no object": (lambda r: r.update(features=[1.0]), "no receipt of a decision"),
    "score missing": (lambda r: r.pop("score"), "no receipt of a decision"),
    "reasons no list": (lambda r: r.update(reasons=None), "reasons are not those"),
    "fewer reasons": (lambda r: r.update(reasons=r["reasons"][:1]), "reasons are not those"),
    "no reasons": (lambda r: r.update(reasons=[]), "reasons are not those"),
    "a threshold more": (lambda r: r["thresholds"].update(more=1), "thresholds are not those"),
}


@pytest.mark.parametrize(("change", "fault"), CHANGES.values(), ids=CHANGES)
def test_every_change_to_a_decision_is_found_and_named(receipt, model, change, fault):
    changed = copy.deepcopy(receipt)
    change(changed)
    assert fault in find_fault(changed, model, THRESHOLDS, 4)
    assert find_fault(receipt, model, THRESHOLDS, 4) is None


def test_thresholds_other_than_the_runs_are_found(receipt, model):
    assert find_fault(receipt, model, Thresholds(0.1, 0.9), 4) == "thresholds are not those of the run's settings"


def test_an_answer_to_a_threat_follows_from_its_evidence(answered):
    read = json.loads(canonical_json(answered))
    assert find_threat_fault(read) is None
    assert find_threat_fault(read | {"kind": "alert"}) is None


THREAT_CHANGES = {
    "count": (lambda r: r["evidence"]["inputs"].update(count=1), "statistic is"),
    "statistic": (lambda r: r["evidence"].update(statistic=99.0), "statistic is"),
    "score": (lambda r: r.update(score=0.99), "score does not follow"),
    "level": (lambda r: r["evidence"]["thresholds"].__setitem__(0, 1e9), "score does not follow"),
    "levels": (lambda r: r["evidence"].update(thresholds=r["evidence"]["thresholds"][:1]), "does not call for"),
    "no levels": (lambda r: r["evidence"].update(thresholds=[]), "no receipt of a response"),
    "other rule": (lambda r: r.update(threat="volume"), "no receipt of a response"),
    "unknown rule": (lambda r: r.update(threat="gossip"), "no receipt of a response"),
    "unknown answer": (lambda r: r.update(kind="banish"), "no receipt of a response"),
    "no evidence": (lambda r: r.pop("evidence"), "no receipt of a response"),
    "rate of zero": (lambda r: r["evidence"]["inputs"].update(rate=0.0), "no receipt of a response"),
    "hardly a rate": (lambda r: r["evidence"]["inputs"].update(rate=1e-15), "no receipt of a response"),
    "endless shape": (lambda r: r["evidence"]["inputs"].update(shape=1e18), "no receipt of a response"),
    "statistic a little off": (
        lambda r: r["evidence"].update(statistic=r["evidence"]["statistic"] + 1e-4),
        "statistic is",
    ),
    "levels turned round": (lambda r: r["evidence"]["thresholds"].append(0.1), "a harder response has a lower"),
    "more evidence": (lambda r: r["evidence"].update(more=1), "no receipt of a response"),
}


@pytest.mark.parametrize(("change", "fault"), THREAT_CHANGES.values(), ids=THREAT_CHANGES)
def test_every_change_to_an_answer_is_found_and_named(answered, change, fault):
    changed = copy.deepcopy(answered)
    change(changed)
    assert fault in find_threat_fault(changed)
    assert find_threat_fault(answered) is None


def test_an_answer_harder_than_its_evidence_calls_for_is_found():
    monitor = UseMonitor()
    uses = [Use(600 * number, "ann", f"r{number}", "export", 9_000, f"q{number}") for number in range(60)]
    threat = next(threat for use in uses for threat in monitor.observe(use) if threat.response == "alert")
    assert find_threat_fault(threat_receipt(threat, "alert")) is None
    assert find_threat_fault(threat_receipt(threat, "quarantine")) == "the statistic does not call for 'quarantine'"


def test_a_refusal_and_a_guardians_act_say_what_they_are():
    refusal = refusal_receipt("0x01", "no context was handed in")
    assert verdict_of(refusal) is Verdict.DENY
    assert refusal["reason"] == "no context was handed in"
    act = guardian_receipt("0x01", "approve", "0xab")
    assert (act["kind"], act["request"], act["guardian"]) == ("approve", "0x01", "0xab")
    with pytest.raises(KeyError):
        verdict_of(act)


def off_by_bits(value):
    """Return ``value`` as a machine may give it whose exponentials differ in their last bits."""
    if isinstance(value, float):
        return value * (1 + 4e-16)
    if isinstance(value, dict):
        return {name: off_by_bits(item) for name, item in value.items()}
    return [off_by_bits(item) for item in value] if isinstance(value, list) else value


def test_machines_that_differ_in_the_last_bits_write_the_same_receipt_and_believe_each_other():
    monitor = UseMonitor()
    uses = [Use(600 * number, "ann", f"r{number}", "export", 9_000, f"q{number}") for number in range(60)]
    for threat in (threat for use in uses for threat in monitor.observe(use)):
        other = replace(threat, evidence=off_by_bits(threat.evidence), score=off_by_bits(threat.score))
        receipt = threat_receipt(threat, threat.response)
        assert canonical_json(threat_receipt(other, threat.response)) == canonical_json(receipt)
        assert find_threat_fault(receipt) is None


def test_a_statistic_that_rounding_puts_on_its_level_still_calls_for_the_response(answered):
    edge = copy.deepcopy(answered)
    levels = edge["evidence"]["thresholds"]
    levels[:] = [edge["evidence"]["statistic"]] * len(levels)
    edge["score"] = 0.5
    assert find_threat_fault(edge) is None


SHAPES = {
    "another kind": (lambda r: r.update(kind="approve"), "its kind is 'approve'"),
    "no kind": (lambda r: r.pop("kind"), "its kind is None"),
    "a kind that is a list": (lambda r: r.update(kind=["refusal"]), "its kind is"),
    "a field more": (lambda r: r.update(guardian="0x11"), "guardian is no field of it"),
    "a field less": (lambda r: r.pop("reason"), "reason is missing"),
    "another format": (lambda r: r.update(format=1), "another format"),
    "a format that only equals it": (lambda r: r.update(format=True), "another format"),
}


@pytest.mark.parametrize(("change", "fault"), SHAPES.values(), ids=SHAPES)
def test_a_receipt_has_the_fields_of_its_kind_and_no_others(change, fault):
    refusal = refusal_receipt("0x01", "no context was handed in")
    assert find_shape_fault(refusal, VERDICTS) is None
    change(refusal)
    assert fault in find_shape_fault(refusal, VERDICTS)


def test_what_the_agent_and_the_guardians_write_has_the_right_fields(receipt, answered):
    assert find_shape_fault(receipt, VERDICTS) is None
    assert find_shape_fault(answered, RESPONSES) is None
    for answer in ANSWERS:
        assert find_shape_fault(guardian_receipt("0x01", answer, "0xab"), [answer]) is None
    assert find_shape_fault([], VERDICTS) == "it is no object"
