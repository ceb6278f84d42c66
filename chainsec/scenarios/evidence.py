"""Holds a run's off-chain records against its chain: settings, contexts, models, receipts, uses, outcomes.

Every record has to be the one that the chain carries the hash of, in the order of the chain, and every act on chain has
to have its record; what a receipt says is computed again. The first fault is raised, with file and line. Layer:
scenarios, below ``audit``. Not here: the chain itself (``chainsec.ledger.verify``), one receipt's arithmetic
(``chainsec.defence.receipts``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from chainsec.contexts import Contexts
from chainsec.defence.agent import SEVERITY
from chainsec.defence.policy import thresholds_by_sensitivity
from chainsec.defence.receipts import find_fault, find_threat_fault
from chainsec.defence.risk import EvidenceRiskModel
from chainsec.digest import keccak, merkle_root, parse_canonical
from chainsec.errors import AuditFailed
from chainsec.primitives import Hash32
from chainsec.scenarios.directory import MODELS, SETTINGS
from chainsec.services.access import Status
from chainsec.services.audit import leaves_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from chainsec.config import Config
    from chainsec.defence.observation import Observation
    from chainsec.ledger.contract import Event
    from chainsec.primitives import AccessRequest, Address
    from chainsec.scenarios.acts import Acts

USES, OUTCOMES = "uses", "outcomes"

_OUTCOMES = {
    "deny": {Status.DENIED},
    "escalate": {Status.ESCALATED},
    "grant": {Status.DENIED, Status.ESCALATED, Status.GRANTED},
    "approve": {Status.GRANTED},
    "cancel": {Status.DENIED},
}
"""What the contract may have made of a verdict or of a guardian's answer: it lowers, it never raises."""
_FOLLOWED_BY = {"alert": None, "revoke": "AccessRevoked", "quarantine": "RequesterQuarantined"}


class _Judged(NamedTuple):
    """What the agent had to see in a request, or why it had to refuse it."""

    observed: Observation | None
    refusal: str


class Evidence:
    """The off-chain records of a run.

    Each method raises ``AuditFailed`` at the first record that does not hold, and ``ValueError``, ``LookupError`` or
    ``TypeError`` where a record is not even of the right shape.

    Args:
        path: the run's directory.
        settings: of the run.
        acts: what the chain says.
        is_finished: whether every record has to be on chain; those at the end of an interrupted run need not be yet.

    ``receipts`` and ``scores`` count what was held against the chain and computed again, ``anchored`` the records under
    an anchor by stream, ``unanchored`` those that wait for one.
    """

    def __init__(self, path: Path, settings: Config, acts: Acts, *, is_finished: bool) -> None:
        self._path = path
        self._acts = acts
        self._is_finished = is_finished
        costs = settings.costs
        self._thresholds = thresholds_by_sensitivity(costs.wrong_grant, costs.wrong_denial, costs.escalation)
        self._judged: dict[str, _Judged] = {}
        self.models: dict[str, EvidenceRiskModel] = {}
        self.receipts = self.scores = self.unanchored = 0
        self.anchored = {USES: 0, OUTCOMES: 0}

    def check_all(self) -> None:
        """Check everything, in the order in which one thing rests on another."""
        self.check_settings()
        self.check_contexts()
        self.check_models()
        self.check_receipts()
        for stream in (USES, OUTCOMES):
            self.check_anchored(stream)

    def check_settings(self) -> None:
        """The settings are those that were anchored when the run began."""
        roots = [event.args["root"] for event in self._acts.anchors(SETTINGS)]
        [leaf] = leaves_of([(self._path / SETTINGS).read_bytes()])
        if roots != [leaf] and (roots or self._is_finished):
            raise AuditFailed(f"{SETTINGS}: is not what was anchored on chain")

    def check_contexts(self) -> None:
        """Every context belongs to a request on chain, in the chain's order, and every request has its context."""
        contexts, handed_in = Contexts(), set()
        for line, digest in self._in_order("contexts.jsonl", self._acts.context_places, "no request on chain"):
            contexts.put(digest, line)
            handed_in.add(digest)
        for request in self._acts.requests.values():
            if request.context not in handed_in and not self._is_refused(request):
                raise AuditFailed(f"contexts.jsonl: the context of request {request.id} is missing")
        self._judged = self._look_again(contexts)

    def _look_again(self, contexts: Contexts) -> dict[str, _Judged]:
        """Return what the agent had to see in each request that was decided, in the order in which it saw them."""
        judged: dict[str, _Judged] = {}
        addresses: dict[str, Address] = {}
        names: dict[Address, str] = {}
        for name, request in self._acts.requests.items():
            decided = self._acts.first_decision.get(name)
            if decided is None:
                continue
            sensitivity = self._acts.sensitivity_of(request.asset, decided.block_number)
            if sensitivity is None:
                judged[name] = _Judged(None, "no such asset is registered")
                continue
            judged[name] = found = _Judged(*contexts.join(request, sensitivity))
            if found.observed is not None:
                who, address = found.observed.requester, request.requester
                if addresses.setdefault(who, address) != address or names.setdefault(address, who) != who:
                    judged[name] = _Judged(None, "the requester's name goes with another address")
        return judged

    def check_models(self) -> None:
        """Every model kept has the digest it is named by, and is anchored on chain."""
        roots = [bytes(event.args["root"]) for event in self._acts.anchors(MODELS)]
        for folder in sorted((self._path / MODELS).glob("*")):
            files = {file.name: file.read_bytes() for file in sorted(folder.iterdir())}
            name = f"{MODELS}/{folder.name}"
            root = merkle_root(leaves_of([files[file] for file in sorted(files)])) if files else b""
            if root not in roots and (self._is_finished or roots):
                raise AuditFailed(f"{name}: its files are not those that were anchored on chain")
            try:
                model = EvidenceRiskModel.from_files(files)
            except (ValueError, LookupError, TypeError) as error:
                if not roots:  # killed while it was written
                    continue
                raise AuditFailed(f"{name}: {error}") from error
            if model.digest != folder.name:
                raise AuditFailed(f"{name}: the model's digest is {model.digest}")
            self.models[model.digest] = model
        if len(self.models) < len(roots):
            raise AuditFailed(f"{MODELS}: a model that was anchored on chain is missing")

    def check_receipts(self) -> None:
        """Every act on chain has its receipt, in the chain's order, and follows from it."""
        found = set()
        places = self._acts.receipt_places
        for number, (line, digest) in enumerate(self._in_order("receipts.jsonl", places, "no act on chain"), 1):
            found.add(digest)
            fault = self._find_fault(parse_canonical(line), self._acts.receipts[digest])
            if fault:
                raise AuditFailed(f"receipts.jsonl: line {number}: {fault}", line=number)
            self.receipts += 1
        for digest, events in self._acts.receipts.items():
            if digest not in found:
                event = events[0]
                shown = f"of {event.name} in block {event.block_number} is missing"
                raise AuditFailed(f"receipts.jsonl: the receipt {digest} {shown}", block=event.block_number)

    def check_anchored(self, stream: str) -> None:
        """The records of ``stream``, cut where the anchors say, give the anchored roots, and each has its number."""
        name = f"{stream}.jsonl"
        lines = list(self._lines(name))
        done = 0
        for event in self._acts.anchors(stream):
            first, done = done, done + event.args["count"]
            if len(lines) < done:
                raise AuditFailed(f"{name}: line {len(lines) + 1}: is missing, anchor {event.args['index']} covers it")
            for number, line in enumerate(lines[first:done], first + 1):
                self._check_record(name, number, line)
            if merkle_root(leaves_of(lines[first:done])) != event.args["root"]:
                covered = f"a line from {first + 1} to {done} is not what anchor {event.args['index']} covers"
                raise AuditFailed(f"{name}: {covered}")
        if self._is_finished and done < len(lines):
            raise AuditFailed(f"{name}: line {done + 1}: no anchor covers it", line=done + 1)
        self.anchored[stream] = done
        self.unanchored += len(lines) - done

    def _check_record(self, name: str, number: int, line: bytes) -> None:
        fault = None
        try:
            record = parse_canonical(line)
            decided = self._acts.first_decision.get(record["request"])
            if record["number"] != number:
                fault = f"is record {record['number']}"
            elif decided is None:
                fault = "speaks of a request that was never decided"
            elif record["block"] < decided.block_number:
                fault = f"comes before the decision in block {decided.block_number}"
        except (ValueError, LookupError, TypeError) as error:
            fault = f"cannot be read: {error}"
        if fault:
            raise AuditFailed(f"{name}: line {number}: {fault}", line=number)

    def _find_fault(self, receipt: Mapping[str, Any], events: Sequence[Event]) -> str | None:
        kind = receipt["kind"]
        if kind in SEVERITY:
            return find_threat_fault(receipt) or self._find_response_fault(receipt, events)
        request = self._acts.requests.get(receipt["request"])
        if request is None:
            return "it speaks of a request that nobody made"
        if kind == "release":
            is_apt = [event.name for event in events] == ["RequesterReleased"]
            is_apt = is_apt and events[0].args["requester"] == request.requester
            return None if is_apt else "the chain does not release the requester with it"
        if kind not in {"decision", "refusal", "approve", "cancel"}:
            return f"its kind is {kind!r}"
        return self._find_decision_fault(receipt, request, events)

    def _find_decision_fault(
        self, receipt: Mapping[str, Any], request: AccessRequest, events: Sequence[Event]
    ) -> str | None:
        decided = [event for event in events if event.name in {"AccessDecided", "DecisionSkipped"}]
        if [Hash32(event.args["request"]) for event in decided] != [request.id]:
            return "it is the receipt of another request, or of more than one"
        verdict = receipt.get("verdict", receipt["kind"])
        outcome = Status(decided[0].args["outcome"]) if decided[0].name == "AccessDecided" else None
        if outcome is not None and outcome not in _OUTCOMES[verdict]:
            return f"its verdict is {verdict!r}, on chain stands {outcome.name.lower()}"
        others = {event.name for event in events} - {decided[0].name}
        if others - ({"AccessRevoked"} if receipt["kind"] == "cancel" else set()):
            return f"{min(others)} carries it too"
        if receipt["kind"] in {"approve", "cancel"}:
            return None
        return self._find_judgement_fault(receipt, request)

    def _find_judgement_fault(self, receipt: Mapping[str, Any], request: AccessRequest) -> str | None:
        observed, refusal = self._judged[str(request.id)]
        if receipt["kind"] == "refusal":
            return None if receipt["reason"] == refusal else f"it refuses though {refusal or 'the context holds'}"
        if observed is None:
            return f"it scores the request though {refusal}"
        stated = (receipt["requester"], receipt["asset"], receipt["sensitivity"])
        if stated != (observed.requester, observed.asset, observed.sensitivity):
            return "requester, asset or sensitivity are not those of the request"
        model = self.models.get(receipt["model"])
        if model is None:
            return f"the model {receipt['model']} is not in the run"
        self.scores += 1
        return find_fault(receipt, model, self._thresholds[observed.sensitivity])

    def _find_response_fault(self, receipt: Mapping[str, Any], events: Sequence[Event]) -> str | None:
        kind, alert, *acts = receipt["kind"], *events
        if alert.name != "AlertRaised" or {event.name for event in acts} - {_FOLLOWED_BY[kind]}:
            return f"the chain does not answer with {kind!r}"
        if bool(acts) != (_FOLLOWED_BY[kind] is not None):
            return f"the chain does not answer with {kind!r}"
        stated = (alert.args["kind"], alert.args["severity"])
        if stated != (keccak(receipt["threat"].encode()), SEVERITY[kind]):
            return "the alert on chain is of another kind or severity"
        subjects = {request.requester for request in map(self._acts.requests.get, receipt["requests"]) if request}
        if {alert.args["subject"]} != subjects or any(event.args["requester"] not in subjects for event in acts):
            return "the chain names another requester"
        return None

    def _is_refused(self, request: AccessRequest) -> bool:
        """Tell whether a request without context was turned away; ``check_receipts`` looks at the refusal itself."""
        decided = self._acts.first_decision.get(str(request.id))
        return decided is not None and Status(decided.args["outcome"]) is Status.DENIED

    def _in_order(self, name: str, places: Mapping[Hash32, int], what: str) -> Iterator[tuple[bytes, Hash32]]:
        """Yield the lines of a file with their hashes, each of which stands on chain after the one before it.

        Records that an interrupted run has written but not sent yet may follow at the end.
        """
        last, unsent = -1, 0
        for number, line in enumerate(self._lines(name), 1):
            digest = Hash32(keccak(line))
            place = places.get(digest)
            if place is None:
                unsent = unsent or number
                if self._is_finished:
                    break
                continue
            if unsent:
                break
            if place <= last:
                raise AuditFailed(f"{name}: line {number}: stands behind one that comes later on chain", line=number)
            last = place
            yield line, digest
        else:
            return
        raise AuditFailed(f"{name}: line {unsent}: {what} carries its hash", line=unsent)

    def _lines(self, name: str) -> Iterator[bytes]:
        """Yield the file's lines; a torn last line counts only in a finished run."""
        path = self._path / name
        if not path.exists():
            raise AuditFailed(f"{name}: the file is missing")
        lines = path.read_bytes().split(b"\n")
        if lines.pop() and self._is_finished:
            raise AuditFailed(f"{name}: line {len(lines) + 1}: is not ended", line=len(lines) + 1)
        yield from lines
