"""Receipts: what a stranger needs to recompute a verdict.

A receipt is a JSON object; its canonical bytes are hashed and the hash goes on chain with the act it explains.
Whoever checks one reads a stranger's JSON: a fault is returned, whatever its shape. Layer: defence. Not here: where
receipts are kept, whether the chain names them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from chainsec.defence.chainrules import CHAIN_RULES, find_alert_fault
from chainsec.defence.policy import choose_verdict
from chainsec.defence.reasons import put_in_words
from chainsec.defence.renewal import Drift, Trial, count_losses
from chainsec.defence.surprise import RULES
from chainsec.primitives import Verdict

if TYPE_CHECKING:
    from collections.abc import Collection

    from chainsec.defence.observation import DigestedModel, Observation, Threat
    from chainsec.defence.policy import Thresholds

FORMAT = 2
TOLERANCE = 1e-6
"""How far a stored statistic may lie from the one that the rule gives, as a share of it or of 1: machines differ in the
last bits of exponentials and logarithms. Which response it calls for follows from the stored one, exactly."""

_DIGITS = 9
"""Significant digits of the figures behind a response, so that the same run gives the same receipt on any machine."""
_MALFORMED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
RESPONSES = ("alert", "revoke", "quarantine")
"""Responses to a threat, from mild to hard."""
VERDICTS = ("decision", "refusal")
"""Kinds of receipt that explain a verdict of the agent."""
ANSWERS = ("approve", "cancel", "release")
"""Kinds of receipt that explain a guardian's act, named like it."""
NOTICES = ("drift", "renewal")
"""Kinds of receipt that explain what the agent reports about its own model: an alarm, and what a trial came to."""

_FIELDS = {
    "decision": "request requester asset sensitivity model features score thresholds verdict reasons",
    "refusal": "request verdict reason",
    **dict.fromkeys(RESPONSES, "threat requester requests score evidence"),
    **dict.fromkeys(ANSWERS, "request guardian"),
    "drift": "model stream events statistic threshold",
    "renewal": "model challenger rows tried losses adopted",
}
_EVIDENCE = {"inputs", "statistic", "thresholds", "window_s", "time_s"}


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
        "reasons": list_reasons(features, model, limit),
    }


def list_reasons(features: Mapping[str, float], model: DigestedModel, limit: int) -> list[list[Any]]:
    """Return the features that moved the score most: name, by how much, and what that says in words."""
    return [[name, moved, put_in_words(name, features[name])] for name, moved in model.reasons(features, limit)]


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
        "score": _round_figures(threat.score),
        "evidence": _round_figures(threat.evidence),
    }


def _round_figures(value: Any) -> Any:
    """Return ``value`` with every float in it at ``_DIGITS`` significant digits."""
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, Mapping):
        return {name: _round_figures(item) for name, item in value.items()}
    return [_round_figures(item) for item in value] if isinstance(value, list | tuple) else value


def guardian_receipt(request_id: str, answer: str, guardian: str) -> dict[str, Any]:
    """Return the receipt of a guardian's act: ``approve``, ``cancel`` or ``release``."""
    return {"format": FORMAT, "kind": answer, "request": request_id, "guardian": guardian}


def notice_receipt(news: Drift | Trial, model: DigestedModel, least_tried: int) -> dict[str, Any]:
    """Return the receipt of what the agent reports about the model in use.

    Args:
        news: an alarm, or the end of a trial.
        model: the model in use.
        least_tried: labels that a challenger needs to take over.
    """
    if isinstance(news, Drift):
        return {
            "format": FORMAT,
            "kind": "drift",
            "model": model.digest,
            "stream": news.stream,
            "events": news.events,
            "statistic": news.statistic,
            "threshold": news.threshold,
        }
    return {
        "format": FORMAT,
        "kind": "renewal",
        "model": model.digest,
        "challenger": None if news.challenger is None else news.challenger.digest,
        "rows": news.rows,
        "tried": [list(row) for row in news.tried],
        "losses": list(news.losses),
        "adopted": news.is_won(least_tried),
    }


def find_shape_fault(receipt: Any, kinds: Collection[str]) -> str | None:
    """Return what keeps ``receipt`` from being one of ``kinds``, field by field, or None.

    Which kinds there may be is for the chain to say: who sent the act that carries the receipt, and which act it is.

    >>> find_shape_fault(refusal_receipt("0x00", "no context"), ["refusal"])
    >>> find_shape_fault(refusal_receipt("0x00", "no context"), ["approve"])
    "its kind is 'refusal' where the chain has approve"
    """
    if not isinstance(receipt, dict):
        return "it is no object"
    kind: Any = receipt.get("kind")
    if kind not in kinds:
        return f"its kind is {kind!r} where the chain has {' or '.join(kinds)}"
    wanted = {"format", "kind", *_FIELDS[kind].split()}
    odd = sorted(receipt.keys() ^ wanted)
    if odd:
        return f"{odd[0]} is {'missing' if odd[0] in wanted else 'no field of it'}"
    return None if type(receipt["format"]) is int and receipt["format"] == FORMAT else "it is of another format"


def find_fault(receipt: Mapping[str, Any], model: DigestedModel, thresholds: Thresholds, reasons: int) -> str | None:
    """Recompute a decision receipt; return what does not follow from it, or None.

    Args:
        receipt: a receipt of kind ``decision``.
        model: the model whose digest the receipt should name.
        thresholds: the thresholds that the run's settings give for the receipt's sensitivity.
        reasons: how many reasons the run's settings ask for, at least 1.
    """
    try:
        return _find_decision_fault(receipt, model, thresholds, reasons)
    except _MALFORMED as error:
        return f"it is no receipt of a decision: {error!r}"


def _find_decision_fault(
    receipt: Mapping[str, Any], model: DigestedModel, thresholds: Thresholds, limit: int
) -> str | None:
    if receipt["model"] != model.digest:
        return f"model is {receipt['model']!r}, not {model.digest!r}"
    return _find_score_fault(receipt, model, limit) or _find_verdict_fault(receipt, thresholds)


def _find_score_fault(receipt: Mapping[str, Any], model: DigestedModel, limit: int) -> str | None:
    features = receipt["features"]
    if not all(type(value) in {int, float} and math.isfinite(value) for value in features.values()):
        return "a feature is not a finite number"
    score = model.score(features)
    if score != receipt["score"]:
        return f"score is {receipt['score']!r}, the model gives {score!r}"
    return None if list_reasons(features, model, limit) == receipt["reasons"] else "reasons are not those of the model"


def _find_verdict_fault(receipt: Mapping[str, Any], thresholds: Thresholds) -> str | None:
    if receipt["thresholds"] != {"grant_below": thresholds.grant_below, "deny_from": thresholds.deny_from}:
        return "thresholds are not those of the run's settings"
    verdict = choose_verdict(receipt["score"], thresholds).name.lower()
    if verdict != receipt["verdict"]:
        return f"verdict is {receipt['verdict']!r}, the thresholds give {verdict!r}"
    return None


def find_threat_fault(receipt: Mapping[str, Any]) -> str | None:
    """Recompute the receipt of a response to a threat; return what does not follow from it, or None.

    The statistic has to follow from the evidence, up to ``TOLERANCE``, and the response may be milder than the stored
    statistic and levels call for, not harder. What happens on a chain calls for no more than an alert.
    """
    try:
        find = find_alert_fault if receipt["threat"] in CHAIN_RULES else _find_response_fault
        return find(receipt)
    except _MALFORMED as error:
        return f"it is no receipt of a response: {error!r}"


def _find_response_fault(receipt: Mapping[str, Any]) -> str | None:
    evidence = receipt["evidence"]
    if evidence.keys() != _EVIDENCE:
        return f"it is no receipt of a response: evidence has {min(evidence.keys() ^ _EVIDENCE)!r}"
    levels, stated = evidence["thresholds"], evidence["statistic"]
    statistic = RULES[receipt["threat"]](**evidence["inputs"])
    if not abs(statistic - stated) <= TOLERANCE * max(1.0, abs(statistic)):
        return f"statistic is {stated!r}, the rule gives {statistic!r}"
    if not abs(receipt["score"] - stated / (stated + levels[0])) <= TOLERANCE:
        return "score does not follow from statistic and threshold"
    if levels != sorted(levels):
        return "a harder response has a lower threshold"
    # rounding may have made equal what was over the level, never the other way round
    if RESPONSES.index(receipt["kind"]) >= sum(stated >= level for level in levels):
        return f"the statistic does not call for {receipt['kind']!r}"
    return None


def find_drift_fault(receipt: Mapping[str, Any], due: Drift | None) -> str | None:
    """Hold the receipt of an alarm against the alarm that scores and labels lead to; return what differs, or None."""
    stated = tuple(receipt[name] for name in ("stream", "events", "statistic", "threshold"))
    if due is None or stated != (due.stream, due.events, due.statistic, due.threshold):
        return "scores and labels lead to no such alarm"
    return None


def find_trial_fault(
    receipt: Mapping[str, Any], scores: Mapping[str, float], labels: Mapping[str, bool], least_tried: int
) -> str | None:
    """Recompute the receipt of a trial; return what does not follow from it, or None.

    What the challenger would have scored is stated, not proved: its features stand in no receipt.

    Args:
        receipt: a receipt of kind ``renewal``.
        scores: of the model in use, by request.
        labels: that had come to light, by request.
        least_tried: labels that a challenger needs to take over.
    """
    try:
        for name, denied, in_use, challenger in receipt["tried"]:
            if scores.get(name) != in_use or labels.get(name) is not denied:
                return f"score or label of the tried request {name} are others"
            if not 0 <= challenger <= 1:
                return f"a score of the challenger is {challenger!r}"
        tried = [(row[1], row[2], row[3]) for row in receipt["tried"]]
    except _MALFORMED as error:
        return f"it is no receipt of a trial: {error!r}"
    losses = [count_losses([(row[0], row[side]) for row in tried]) for side in (1, 2)]
    if losses != receipt["losses"]:
        return f"its losses are {receipt['losses']}, its scores give {losses}"
    is_won = receipt["challenger"] is not None and len(tried) >= least_tried and losses[1] <= losses[0]
    return None if receipt["adopted"] is is_won else f"adopted is {receipt['adopted']!r}, its losses say {is_won}"


def verdict_of(receipt: Mapping[str, Any]) -> Verdict:
    """Return the verdict that a decision or refusal receipt states.

    Raises:
        KeyError: it states none.

    >>> verdict_of(refusal_receipt("0x00", "no context")).name
    'DENY'
    """
    return Verdict[receipt["verdict"].upper()]
