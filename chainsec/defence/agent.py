"""The agent: takes requests from a source, scores before it learns, decides, watches uses, responds.

It knows no chain. It is handed a source of requests, a log for receipts and the acts it may take, and it keeps no
state that the same inputs in the same order would not rebuild. Layer: defence. Not here: how a score comes about
(``risk``), which verdict it leads to (``policy``), what a threat is (``detectors``).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from chainsec.defence.receipts import decision_receipt, notice_receipt, refusal_receipt, threat_receipt, verdict_of
from chainsec.defence.renewal import Drift
from chainsec.errors import UnknownRequest
from chainsec.primitives import Decision

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from chainsec.defence.observation import DigestedModel, Observation, Threat, Use, UseWatcher
    from chainsec.defence.policy import Thresholds
    from chainsec.defence.renewal import Renewal
    from chainsec.primitives import AccessRequest, Address, Hash32


@dataclass(frozen=True)
class PendingRequest:
    """A request from a final block, joined with its context.

    Args:
        request: as it stands on chain.
        observation: the request in the agent's eyes; None where the context is refused.
        refusal: why the context is refused, "" where it is not.
    """

    request: AccessRequest
    observation: Observation | None
    refusal: str = ""


class RequestSource(Protocol):
    """Where requests come from."""

    def poll(self) -> Sequence[PendingRequest]:
        """Return the undecided requests of final blocks that were not returned before, in chain order."""

    def find(self, request_id: str) -> AccessRequest | None:
        """Return a request made at any time, by its identifier in 0x-hexadecimal; None where nobody made it."""


class ResponseActions(Protocol):
    """What the agent may do; every act carries the hash of its receipt.

    What is sent may be refused, by an error out of the act itself or out of ``settle``.
    """

    def decide(self, decisions: Sequence[Decision]) -> None:
        """Send the verdicts, many to a transaction."""

    def restrictions_left(self) -> int:
        """Return how many revocations and quarantines the window's budget still holds."""

    def can_revoke(self, request: AccessRequest) -> bool:
        """Tell whether there is a grant to revoke and budget to do it."""

    def can_quarantine(self, request: AccessRequest) -> bool:
        """Tell whether the requester may be cut off now."""

    def revoke(self, request: AccessRequest, receipt: Hash32) -> None:
        """End the grant that ``request`` led to."""

    def quarantine(self, request: AccessRequest, receipt: Hash32) -> None:
        """Cut off the requester of ``request``."""

    def raise_alert(self, subject: Address, kind: str, severity: int, receipt: Hash32) -> None:
        """Report a threat by somebody: a requester, or whoever else sends or signs what stands on chain."""

    def give_notice(self, kind: str, severity: int, receipt: Hash32) -> None:
        """Report something about the agent itself, as that its model no longer fits."""

    def anchor_model(self, model: DigestedModel) -> None:
        """Keep a model and put its digest on chain, before it is used."""

    def settle(self) -> int:
        """Return once what was sent has taken effect, with the number of the block by which it has."""


class ReceiptLog(Protocol):
    """Where receipts are kept before their hashes go on chain."""

    def append(self, records: Sequence[Mapping[str, Any]]) -> list[Hash32]:
        """Keep ``records`` durably and return their hashes."""


@dataclass(frozen=True)
class Response:
    """What the agent did about a threat.

    Args:
        threat: what was seen.
        action: ``alert``, ``revoke`` or ``quarantine``.
        block: the one by which all of it stands on chain.
    """

    threat: Threat
    action: str
    block: int


SEVERITY = {"alert": 1, "revoke": 2, "quarantine": 3}
"""How loud an alert is on chain, by response."""

WEIGHT = {"alert": 0.5, "revoke": 1.0, "quarantine": 1.5}
"""How much a response counts against the requester's next requests; 1 is one request found to be bad."""


class Agent:
    """Decides requests and responds to threats.

    Args:
        source: where requests come from.
        actions: what it may do.
        receipts: where receipts are kept.
        model: scores requests.
        watcher: watches uses.
        thresholds: where verdicts change, by sensitivity 0 to 3.
        reasons: how many reasons a receipt names, at least 1.
        careful: the same while the model's worth is in doubt; ``thresholds`` where omitted.
        renewal: watches over the model and finds a better one; without it the model stays as it is.
    """

    def __init__(
        self,
        *,
        source: RequestSource,
        actions: ResponseActions,
        receipts: ReceiptLog,
        model: DigestedModel,
        watcher: UseWatcher,
        thresholds: Sequence[Thresholds],
        reasons: int,
        careful: Sequence[Thresholds] | None = None,
        renewal: Renewal | None = None,
    ) -> None:
        self._source = source
        self._actions = actions
        self._receipts = receipts
        self.model = model
        self._watcher = watcher
        self._thresholds = tuple(thresholds)
        self._reasons = reasons
        self._careful = tuple(careful or thresholds)
        self._renewal = renewal
        self._notice: tuple[dict[str, Any], deque[Callable[[], None]]] | None = None
        self.is_careful = False
        self._observed: dict[str, Observation] = {}
        self._requests: dict[str, AccessRequest] = {}
        self._pending: deque[PendingRequest] = deque()
        self._judged: list[tuple[PendingRequest, dict[str, Any]]] = []
        self._unsent: list[tuple[Decision, dict[str, Any]]] = []
        self._labels: dict[str, bool] = {}
        self._held: dict[str, list[tuple[int, float]]] = {}

    def step(self) -> list[dict[str, Any]]:
        """Decide what is pending and return the receipts, in order; an empty list where nothing is.

        Where the decisions cannot be sent, as while guardians have the agent suspended, the error comes through and
        the next step sends the same decisions again: nothing is scored twice. So it is with what could not be judged
        or written down.
        """
        self.tend()
        self._pending.extend(self._source.poll())
        while self._pending:  # what fails stays, so that no request is lost
            self._judged.append((self._pending[0], self._judge(self._pending[0])))
            self._pending.popleft()
        hashes = self._receipts.append([receipt for _, receipt in self._judged]) if self._judged else []
        for (item, receipt), digest in zip(self._judged, hashes, strict=True):
            self._unsent.append((Decision(item.request, verdict_of(receipt), digest), receipt))
        self._judged.clear()
        if not self._unsent:
            return []
        self._actions.decide([decision for decision, _ in self._unsent])
        self._actions.settle()
        sent, self._unsent = self._unsent, []
        return [receipt for _, receipt in sent]

    def tend(self) -> dict[str, Any] | None:
        """Make known what was found out about the model, and act on it; return the receipt, None where nothing was.

        An alarm makes the agent careful; a trial ends that, and puts the challenger in use where it has won. Every
        ``step`` begins with this. What could not be sent is sent by the next call, nothing twice.
        """
        renewal = self._renewal
        news = None if renewal is None else renewal.news
        if renewal is None or news is None:
            return None
        least = renewal.settings.trial_labels
        winner = None if isinstance(news, Drift) or not news.is_won(least) else news.challenger
        if self._notice is None:
            receipt = notice_receipt(news, self.model, least)
            [digest] = self._receipts.append([receipt])
            report = partial(self._actions.give_notice, receipt["kind"], SEVERITY["alert"], digest)
            anchor = [] if winner is None else [partial(self._actions.anchor_model, winner)]
            self._notice = receipt, deque([report, *anchor])
        receipt, acts = self._notice
        while acts:
            acts[0]()
            self._actions.settle()
            acts.popleft()
        self._notice = None
        self.is_careful = isinstance(news, Drift)
        if winner is not None:
            self.model = winner
        renewal.acknowledge()
        return receipt

    def watch(self, uses: Sequence[Use]) -> list[Response]:
        """Take uses in time order and respond to what they reveal, each before the next is looked at.

        Raises:
            UnknownRequest: a use names a request that nobody made; neither it nor any later use was looked at.
            Exception: what the acts raise, as while guardians have the agent suspended.
        """
        responses = []
        for use in uses:
            subject = self._find(use.request_id)
            if subject is None:
                raise UnknownRequest(f"nobody made the request {use.request_id}", request=use.request_id)
            for threat in self._watcher.observe(use):
                responses.append(self._respond(threat, subject))
                weight = WEIGHT[threat.response]
                self.model.note_threat(threat.requester, use.time_s, weight)
                if self._renewal is not None:
                    self._renewal.note_threat(threat.requester, use.time_s, weight)
                self._held.setdefault(threat.requester, []).append((use.time_s, weight))
        return responses

    def report(self, threat: Threat, subject: Address) -> Response:
        """Put on chain what a watch over it has found; nobody loses a right by it.

        Args:
            threat: that calls for an alert.
            subject: whom it is about, on chain.

        Raises:
            Exception: what the acts raise, as while guardians have the agent suspended.
        """
        [receipt] = self._receipts.append([threat_receipt(threat, "alert")])
        self._actions.raise_alert(subject, threat.kind, SEVERITY["alert"], receipt)
        return Response(threat, "alert", self._actions.settle())

    def learn(self, request_id: str, denied: bool, *, is_final: bool = True) -> bool:  # noqa: FBT001 - the label itself
        """Let the truth about a request, come to light later, into the model; return whether it was news.

        Args:
            request_id: a request that was scored.
            denied: the label; one that contradicts an earlier one corrects it.
            is_final: nothing better will come; the request is forgotten.

        Raises:
            KeyError: the agent never scored that request, or has learned its final label.
        """
        observation, known = self._observed[request_id], self._labels.get(request_id)
        if known is None:
            self.model.learn(observation, denied)
        elif known is not denied:
            self.model.correct(observation, denied)
        if known is not denied and self._renewal is not None:
            self._renewal.note_label(observation, denied)
        if is_final:
            del self._observed[request_id]
            self._labels.pop(request_id, None)
        else:
            self._labels[request_id] = denied
        return known is not denied

    def release(self, requester: str) -> None:
        """Take back what was held against a requester for threats, as guardians do who find the alarm false.

        Args:
            requester: as uses name whoever it is.
        """
        self._watcher.release(requester)
        for time_s, weight in self._held.pop(requester, ()):
            self.model.withdraw_threat(requester, time_s, weight)
            if self._renewal is not None:
                self._renewal.withdraw_threat(requester, time_s, weight)

    def has_scored(self, request_id: str) -> bool:
        """Tell whether the request was scored and its final label not learned yet."""
        return request_id in self._observed

    def _judge(self, item: PendingRequest) -> dict[str, Any]:
        observation = item.observation
        self._requests[str(item.request.id)] = item.request
        if observation is None:
            return refusal_receipt(str(item.request.id), item.refusal)
        features = self.model.features(observation)
        thresholds = (self._careful if self.is_careful else self._thresholds)[observation.sensitivity]
        receipt = decision_receipt(observation, features, self.model, thresholds, self._reasons)
        self.model.observe(observation)
        if self._renewal is not None:
            self._renewal.note_score(observation, receipt["score"])
        self._observed[observation.id] = observation
        self._watcher.expect(observation.id, observation.action)
        return receipt

    def _find(self, request_id: str) -> AccessRequest | None:
        """Return a request that was judged, or that was decided before this agent began; None for any other."""
        request = self._requests.get(request_id) or self._source.find(request_id)
        if request is not None:
            self._requests[request_id] = request
        return request

    def _respond(self, threat: Threat, subject: AccessRequest) -> Response:
        """Do what the threat calls for, or the next milder thing that the contract lets through now."""
        action = threat.response
        if action == "quarantine" and not self._actions.can_quarantine(subject):
            action = "revoke"
        revocable = self._revocable(threat) if action == "revoke" else []
        if action == "revoke" and not revocable:
            action = "alert"
        [receipt] = self._receipts.append([threat_receipt(threat, action)])
        self._actions.raise_alert(subject.requester, threat.kind, SEVERITY[action], receipt)
        if action == "quarantine":
            self._actions.quarantine(subject, receipt)
        for request in revocable:
            self._actions.revoke(request, receipt)
        return Response(threat, action, self._actions.settle())

    def _revocable(self, threat: Threat) -> list[AccessRequest]:
        """Return the requests concerned whose grants stand, one for each grant."""
        # uses that the watcher was warmed up with rest on no request of this chain
        concerned = [request for request in map(self._find, threat.request_ids) if request is not None]
        standing = [request for request in dict.fromkeys(concerned) if self._actions.can_revoke(request)]
        return standing[: self._actions.restrictions_left()]
