"""Receipts: what a stranger needs to recompute a verdict.

A receipt is a JSON object; its canonical bytes are hashed and the hash goes on chain with the act it explains.
Whoever checks one reads a stranger's JSON: a fault is returned, whatever its shape. Layer: defence. Not here: where
receipts are kept, whether the chain names them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

from chainsec.defence.observation import RiskModel
from chainsec.defence.policy import choose_verdict
from chainsec.defence.surprise import RULES
from chainsec.primitives import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainsec.defence.observation import Observation, Threat
    from chainsec.defence.policy import Thresholds

FORMAT = 1
_MALFORMED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
RESPONSES = ("alert", "revoke", "quarantine")
"""Responses to a threat, from mild to hard."""


class DigestedModel(RiskModel, Protocol):
    """A risk model whose files have one digest."""

    @property
    def digest(self) -> str:
        """Digest of the model's canonical files, 0x-hexadecimal."""


def decision_receipt(
    observation: Observation, features: Mapping[str, float], model: DigestedModel, thresholds: Thresholds, limit: int
) -> dict[str, Any]:
    """Score ``features`` and return the receipt of the verdict that follows.

    Args:
        observation: the request; only its identifier, asset and requester are named in the receipt.
        features: named features, finite.
        model: the model that scores.
        thresholds: where verdicts change for this sensitivity.
        limit: how many reasons to name, at least 1.
    """
    score = model.score(features)
    return {
        "format": FORMAT,
        "kind": "decision",
        "request": observation.id,
        "requester": observation.requester,
        "asset": observation.asset,
        "sensitivity": observation.sensitivity,
        "model": model.digest,
        "features": dict(features),
        "score": score,
        "thresholds": {"grant_below": thresholds.grant_below, "deny_from": thresholds.deny_from},
        "verdict": choose_verdict(score, thresholds).name.lower(),
        "reasons": [[name, contribution] for name, contribution in model.reasons(features, limit)],
    }


def refusal_receipt(request_id: str, reason: str) -> dict[str, Any]:
    """Return the receipt of a denial that needs no model: the request's context is missing or does not match."""
    return {"format": FORMAT, "kind": "refusal", "request": request_id, "verdict": "deny", "reason": reason}


def threat_receipt(threat: Threat, response: str) -> dict[str, Any]:
    """Return the receipt of a response to a detected threat.

    Args:
        threat: what was found, with the figures that led there.
        response: what is done: ``alert``, ``revoke`` or ``quarantine``.
    """
    return {
        "format": FORMAT,
        "kind": response,
        "threat": threat.kind,
        "requester": threat.requester,
        "requests": list(threat.request_ids),
        "score": threat.score,
        "evidence": dict(threat.evidence),
    }


def guardian_receipt(request_id: str, answer: str, guardian: str) -> dict[str, Any]:
    """Return the receipt of a guardian's act: ``approve``, ``cancel`` or ``release``."""
    return {"format": FORMAT, "kind": answer, "request": request_id, "guardian": guardian}


def find_fault(receipt: Mapping[str, Any], model: DigestedModel, thresholds: Thresholds) -> str | None:
    """Recompute a decision receipt; return what does not follow from it, or None.

    Args:
        receipt: a receipt of kind ``decision``.
        model: the model whose digest the receipt should name.
        thresholds: the thresholds that the run's settings give for the receipt's sensitivity.
    """
    try:
        return _find_decision_fault(receipt, model, thresholds)
    except _MALFORMED as error:
        return f"it is no receipt of a decision: {error!r}"


def _find_decision_fault(receipt: Mapping[str, Any], model: DigestedModel, thresholds: Thresholds) -> str | None:
    if receipt["model"] != model.digest:
        return f"model is {receipt['model']!r}, not {model.digest!r}"
    return _find_score_fault(receipt, model) or _find_verdict_fault(receipt, thresholds)


def _find_score_fault(receipt: Mapping[str, Any], model: DigestedModel) -> str | None:
    features = receipt["features"]
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in features.values()):
        return "a feature is not a finite number"
    score = model.score(features)
    if score != receipt["score"]:
        return f"score is {receipt['score']!r}, the model gives {score!r}"
    reasons = [[name, contribution] for name, contribution in model.reasons(features, len(receipt["reasons"]))]
    return None if reasons == receipt["reasons"] else "reasons are not those of the model"


def _find_verdict_fault(receipt: Mapping[str, Any], thresholds: Thresholds) -> str | None:
    stated = receipt["thresholds"]
    if (stated["grant_below"], stated["deny_from"]) != (thresholds.grant_below, thresholds.deny_from):
        return "thresholds are not those of the run's settings"
    verdict = choose_verdict(receipt["score"], thresholds).name.lower()
    if verdict != receipt["verdict"]:
        return f"verdict is {receipt['verdict']!r}, the thresholds give {verdict!r}"
    return None


def find_threat_fault(receipt: Mapping[str, Any]) -> str | None:
    """Recompute the receipt of a response to a threat; return what does not follow from it, or None.

    The statistic has to follow from the evidence, and the response may be milder than its levels call for, not harder.
    """
    try:
        return _find_response_fault(receipt)
    except _MALFORMED as error:
        return f"it is no receipt of a response: {error!r}"


def _find_response_fault(receipt: Mapping[str, Any]) -> str | None:
    evidence = receipt["evidence"]
    levels = evidence["thresholds"]
    statistic = RULES[receipt["threat"]](**evidence["inputs"])
    if statistic != evidence["statistic"]:
        return f"statistic is {evidence['statistic']!r}, the rule gives {statistic!r}"
    if receipt["score"] != statistic / (statistic + levels[0]):
        return "score does not follow from statistic and threshold"
    if RESPONSES.index(receipt["kind"]) >= sum(statistic > level for level in levels):
        return f"the statistic does not call for {receipt['kind']!r}"
    return None


def verdict_of(receipt: Mapping[str, Any]) -> Verdict:
    """Return the verdict that a decision or refusal receipt states.

    Raises:
        KeyError: it states none.

    >>> verdict_of(refusal_receipt("0x00", "no context")).name
    'DENY'
    """
    return Verdict[receipt["verdict"].upper()]
