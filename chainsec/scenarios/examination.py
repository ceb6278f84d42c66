"""Holds one receipt against the acts that carry its hash: whose they are, what they did, what follows from what.

What kind of receipt it may be is for the chain to say, never for the receipt: the account that sent the act and the
function that it called. Layer: scenarios, below ``evidence``. Not here: files and their order (``evidence``), the
arithmetic of a receipt (``chainsec.defence.receipts``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from chainsec.defence.agent import SEVERITY
from chainsec.defence.chainrules import CHAIN_RULES
from chainsec.defence.policy import thresholds_by_sensitivity
from chainsec.defence.receipts import (
    ANSWERS,
    NOTICES,
    RESPONSES,
    VERDICTS,
    find_fault,
    find_shape_fault,
    find_threat_fault,
)
from chainsec.digest import keccak
from chainsec.network.misconduct import PROOFS, find_proof_fault
from chainsec.primitives import Address, Hash32
from chainsec.services.access import Basis, Status

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from chainsec.config import Config
    from chainsec.defence.observation import Observation
    from chainsec.defence.risk import EvidenceRiskModel
    from chainsec.deployment import Keys
    from chainsec.ledger.contract import Event
    from chainsec.primitives import AccessRequest
    from chainsec.scenarios.acts import Acts
    from chainsec.scenarios.succession import Succession

_OUTCOMES = {
    "deny": {Status.DENIED},
    "escalate": {Status.ESCALATED},
    "grant": {Status.DENIED, Status.ESCALATED, Status.GRANTED},
    "approve": {Status.GRANTED},
    "cancel": {Status.DENIED},
}
"""What the contract may have made of a verdict or of a guardian's answer: it lowers, it never raises."""
_FOLLOWED_BY = {"alert": None, "revoke": "AccessRevoked", "quarantine": "RequesterQuarantined"}
_RESPONDING = {"raiseAlert", "revoke", "quarantine"}


class Judged(NamedTuple):
    """What the agent had to see in a request, or why it had to refuse it."""

    observed: Observation | None
    refusal: str


class Examination:
    """Examines the receipts of a run, in the chain's order.

    Args:
        settings: of the run.
        acts: what the chain says.
        keys: who holds the roles.
        judged: what the agent had to see in each request that was decided.
        models: of the run, by digest.
        succession: which of them was in use when.

    ``scores`` counts the scores that were computed again, ``refusals`` the decisions that had to have none.
    """

    def __init__(
        self,
        settings: Config,
        acts: Acts,
        keys: Keys,
        *,
        judged: Mapping[str, Judged],
        models: Mapping[str, EvidenceRiskModel],
        succession: Succession,
    ) -> None:
        costs = settings.costs
        self._thresholds = {
            careful: thresholds_by_sensitivity(
                costs.wrong_grants(careful=careful), costs.wrong_denial, costs.escalation
            )
            for careful in (False, True)
        }
        self._succession = succession
        self._reasons = settings.agent.reasons
        self._acts = acts
        self._keys = keys
        self._judged = judged
        self._models = models
        self._levels: dict[str, Sequence[float]] = {}
        self.scores = self.refusals = 0

    def find_fault(self, receipt: Any, events: Sequence[Event]) -> str | None:
        """Return what is wrong with a receipt, or None. ``events`` are those that carry its hash, at least one."""
        kinds, sender = self._find_kinds(events)
        fault = find_shape_fault(receipt, kinds) if kinds else "its acts are not one account's to do together"
        if fault:
            return fault
        if receipt["kind"] in NOTICES:
            return self._succession.find_notice_fault(receipt, events)
        if receipt["kind"] in RESPONSES:
            return self._find_levels_fault(receipt) or self._find_response_fault(receipt, events)
        request = self._acts.requests.get(receipt["request"])
        if request is None:
            return "it speaks of a request that nobody made"
        if kinds is not VERDICTS and receipt["guardian"] != str(sender):
            return f"its guardian is {receipt['guardian']!r}, the act was sent by {sender}"
        is_release = receipt["kind"] == "release"
        return (self._find_release_fault if is_release else self._find_decision_fault)(receipt, request, events)

    def _find_kinds(self, events: Sequence[Event]) -> tuple[Collection[str], Address | None]:
        """Return the kinds of receipt that may explain the acts behind ``events``, and who sent them.

        The agent decides and responds, the guardian answers; there are no kinds where somebody else did.
        """
        acts = {self._acts.act_of(event) for event in events}
        senders, functions = {act.sender for act in acts}, {act.function for act in acts}
        kinds: Collection[str] = ()
        if senders == {self._keys.agent.address}:
            reports = (*RESPONSES, *NOTICES)
            kinds = VERDICTS if all(act.is_verdict for act in acts) else reports if functions <= _RESPONDING else ()
        elif senders == {self._keys.guardian.address} and len(functions) == 1 and functions <= set(ANSWERS):
            kinds = tuple(functions)
        return kinds, min(senders)

    @staticmethod
    def _find_release_fault(_receipt: Mapping[str, Any], request: AccessRequest, events: Sequence[Event]) -> str | None:
        is_apt = [event.name for event in events] == ["RequesterReleased"]
        is_apt = is_apt and events[0].args["requester"] == request.requester
        return None if is_apt else "the chain does not release the requester with it"

    def _find_decision_fault(
        self, receipt: Mapping[str, Any], request: AccessRequest, events: Sequence[Event]
    ) -> str | None:
        decided = [event for event in events if event.name in {"AccessDecided", "DecisionSkipped"}]
        if [Hash32(event.args["request"]) for event in decided] != [request.id]:
            return "it is the receipt of another request, or of more than one"
        verdict = receipt.get("verdict", receipt["kind"])
        if decided[0].name == "AccessDecided":
            outcome, basis = Status(decided[0].args["outcome"]), Basis(decided[0].args["basis"])
            is_lowered = verdict == "grant" and outcome is not Status.GRANTED
            if outcome not in _OUTCOMES[verdict] or (is_lowered and basis is Basis.AGREED):
                return f"its verdict is {verdict!r}, on chain stands {outcome.name.lower()}"
        others = {event.name for event in events} - {decided[0].name}
        if others - ({"AccessRevoked"} if receipt["kind"] == "cancel" else set()):
            return f"{min(others)} carries it too"
        if receipt["kind"] not in VERDICTS:
            return None
        return self._find_judgement_fault(receipt, request, decided[0].block_number)

    def _find_judgement_fault(self, receipt: Mapping[str, Any], request: AccessRequest, block: int) -> str | None:
        observed, refusal = self._judged[str(request.id)]
        if receipt["kind"] == "refusal":
            self.refusals += 1
            if observed is not None or receipt["reason"] != refusal:
                return f"it refuses though {refusal or 'the context holds'}"
            return None if receipt["verdict"] == "deny" else f"it refuses with {receipt['verdict']!r}"
        if observed is None:
            return f"it scores the request though {refusal}"
        stated = (receipt["requester"], receipt["asset"], receipt["sensitivity"])
        if stated != (observed.requester, observed.asset, observed.sensitivity):
            return "requester, asset or sensitivity are not those of the request"
        model = self._models.get(receipt["model"])
        if model is None:
            return f"the model {receipt['model']} is not in the run"
        self.scores += 1
        thresholds = self._thresholds[self._succession.is_careful][observed.sensitivity]
        fault = find_fault(receipt, model, thresholds, self._reasons)
        return fault or self._succession.find_model_fault(receipt, block)

    def _find_levels_fault(self, receipt: Mapping[str, Any]) -> str | None:
        """Return what is wrong with the arithmetic of a response; a kind of threat has the same levels all along."""
        fault = (find_proof_fault if receipt["threat"] in PROOFS else find_threat_fault)(receipt)
        if fault:
            return fault
        levels = receipt["evidence"]["thresholds"]
        if self._levels.setdefault(receipt["threat"], levels) != levels:
            return f"its thresholds are not those of earlier threats of the kind {receipt['threat']!r}"
        return None

    def _find_response_fault(self, receipt: Mapping[str, Any], events: Sequence[Event]) -> str | None:
        kind, alert, *acts = receipt["kind"], *events
        if alert.name != "AlertRaised" or {event.name for event in acts} - {_FOLLOWED_BY[kind]}:
            return f"the chain does not answer with {kind!r}"
        if bool(acts) != (_FOLLOWED_BY[kind] is not None):
            return f"the chain does not answer with {kind!r}"
        stated = (alert.args["kind"], alert.args["severity"])
        if stated != (keccak(receipt["threat"].encode()), SEVERITY[kind]):
            return "the alert on chain is of another kind or severity"
        if receipt["threat"] in CHAIN_RULES:
            return self._find_bystander_fault(receipt, alert)
        return self._find_subject_fault(receipt, alert, acts)

    @staticmethod
    def _find_bystander_fault(receipt: Mapping[str, Any], alert: Event) -> str | None:
        """Return what keeps an alert about the chain from being about whom it names; it rests on no request."""
        if receipt["requests"] != []:
            return "it names requests, though it rests on none"
        is_apt = receipt["requester"] == str(Address(alert.args["subject"]))
        return None if is_apt else "the chain names somebody else"

    def _find_subject_fault(self, receipt: Mapping[str, Any], alert: Event, acts: Sequence[Event]) -> str | None:
        """Return what keeps a response from being about the requests that its receipt names."""
        named = [request for request in map(self._acts.requests.get, receipt["requests"]) if request is not None]
        subjects = {request.requester for request in named}
        if {alert.args["subject"]} != subjects or any(event.args["requester"] not in subjects for event in acts):
            return "the chain names another requester"
        seen = (self._judged.get(str(request.id), Judged(None, "")).observed for request in named)
        if any(observed is not None and observed.requester != receipt["requester"] for observed in seen):
            return "the requests that it names are another requester's"
        grants = {(request.asset, request.purpose) for request in named}
        if any((act.args["asset"], act.args["purpose"]) not in grants for act in acts if act.name == "AccessRevoked"):
            return "the chain revokes what none of its requests asked for"
        return None
