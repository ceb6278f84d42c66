"""Plays a workload on a sandbox: requests, decisions, uses, guardians' answers and labels, in the order of time.

Everything here follows from the workload and the settings, so that an interrupted play starts again from its first
block, passes over what stands on chain and in the journals, and goes on. Layer: scenarios. Not here: what the
figures mean (``measure``), who is on stage (``stage``).
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from chainsec.defence.observation import Use
from chainsec.defence.receipts import guardian_receipt
from chainsec.digest import keccak
from chainsec.primitives import ACTION_SCOPES, AccessRequest, Hash32, Scope
from chainsec.purposes import find_purpose
from chainsec.scenarios.stage import chain_time
from chainsec.services.access import Basis, Status

if TYPE_CHECKING:
    from chainsec.defence.agent import Agent, Response
    from chainsec.ledger.engine import Receipt
    from chainsec.sandbox import Sandbox
    from chainsec.scenarios.directory import RunDirectory
    from chainsec.scenarios.workload import Attempt, PlannedUse, Workload

USES, OUTCOMES = "uses", "outcomes"


@dataclass
class Episode:
    """One live attempt and what became of it.

    ``decided_*`` speak of the agent's decision, ``answer`` of the guardian's, ``cut_off_s`` of the first
    revocation, cancellation or quarantine that hit its grant.
    """

    attempt: Attempt
    request: AccessRequest
    requested_block: int
    decided_block: int = 0
    score: float | None = None
    verdict: str = ""
    outcome: Status = Status.PENDING
    basis: Basis = Basis.AGREED
    answer: str = ""
    uses_allowed: int = 0
    uses_refused: int = 0
    bytes_allowed: int = 0
    revoked: bool = False


@dataclass(frozen=True)
class ThreatSeen:
    """One response of the agent.

    Args:
        response: the threat and what was done.
        time_s: simulated time of the use that gave it away.
        seen_block: the block whose state the use was checked against.
        acted_block: the block that holds the response.
        acted_s: that block's time.
        attack: the kind of attack that use truly belonged to, "" for normal life.
    """

    response: Response
    time_s: int
    seen_block: int
    acted_block: int
    acted_s: int
    attack: str


@dataclass
class Score:
    """Counters while a play is on, for whoever watches."""

    requests: int = 0
    granted: int = 0
    denied: int = 0
    escalated: int = 0
    revoked: int = 0
    quarantined: int = 0
    alerts: int = 0
    uses: int = 0
    time_s: int = 0


@dataclass
class Play:
    """A workload at play on a sandbox.

    Args:
        box: the system.
        workload: what happens.
        assets: identifiers by record name.
        agent: decides and watches.
        directory: where records go.
        on_tick: told the counters after every tick.

    While it runs it gathers ``episodes``, ``threats``, ``gas`` (operation to items, transactions and gas) and
    ``harm`` (requester, kind of attack and time of each use that an attack got through).
    """

    box: Sandbox
    workload: Workload
    assets: dict[str, Hash32]
    agent: Agent
    directory: RunDirectory
    on_tick: Callable[[Score], None] = lambda _: None
    score: Score = field(default_factory=Score)
    episodes: list[Episode] = field(default_factory=list)
    threats: list[ThreatSeen] = field(default_factory=list)
    gas: dict[str, list[int]] = field(default_factory=dict)
    harm: list[tuple[str, str, int]] = field(default_factory=list)
    clock_s: int = 0

    def __post_init__(self) -> None:
        """Start with an empty agenda."""
        self._by_id: dict[str, Episode] = {}
        self._agenda: list[tuple[int, int, Callable[[int, Any], None], Any]] = []
        self._order = count()
        self._desk: dict[int, list[Episode]] = {}
        self._anchored = {USES: 0, OUTCOMES: 0}
        self._houses = {member.name: member.organisation for member in self.workload.members}
        self._sensitivities = {record.name: record.sensitivity for record in self.workload.records}

    def run(self) -> None:
        """Play the live part from beginning to end."""
        interval_s = self.box.config.run.anchor_interval_s
        next_anchor_s = self.workload.live[0].time_s + interval_s
        for end_s, attempts in self._ticks():
            while next_anchor_s <= end_s:
                self._pass_time(next_anchor_s)
                self._anchor()
                next_anchor_s += interval_s
            self._pass_time(end_s)
            self._take_requests(attempts, end_s)
            self.score.time_s = end_s
            self.on_tick(self.score)
        while self._agenda:
            self._pass_time(self._agenda[0][0])
        self._anchor()
        self.on_tick(self.score)

    def sensitivity_of(self, record: str) -> int:
        """Return how sensitive a record of the workload is, 0 to 3."""
        return self._sensitivities[record]

    def _ticks(self) -> Iterator[tuple[int, list[Attempt]]]:
        """Yield what gateways hand in together, with the time at which they do."""
        settings = self.box.config
        length = settings.run.tick_s if self.workload.has_clock else settings.chain.batch_size
        tick: list[Attempt] = []
        end_s = 0
        for attempt in self.workload.live:
            if tick and attempt.time_s >= end_s:
                yield end_s, tick
                tick = []
            if not tick:
                end_s = (attempt.time_s // length + 1) * length
            tick.append(attempt)
        if tick:
            yield end_s, tick

    def _chain_time(self, time_s: int) -> int:
        return chain_time(self.box.config, self.workload, time_s)

    def _plan(self, time_s: int, act: Callable[[int, Any], None], subject: Any) -> None:
        heapq.heappush(self._agenda, (time_s, next(self._order), act, subject))

    def _pass_time(self, until_s: int) -> None:
        while self._agenda and self._agenda[0][0] <= until_s:
            time_s, _, act, subject = heapq.heappop(self._agenda)
            self.clock_s = self._chain_time(time_s)
            act(time_s, subject)
        self.clock_s = self._chain_time(until_s)

    def _take_requests(self, attempts: Sequence[Attempt], time_s: int) -> None:
        is_fresh = self.box.client.is_caught_up
        started = time.perf_counter()
        episodes = self._file(attempts)
        filed = time.perf_counter()
        receipts = self.agent.step()
        decided = time.perf_counter()
        if is_fresh:
            self.directory.note_timing(
                {
                    "decisions": len(receipts),
                    "request_ms": 1000 * (filed - started),
                    "decision_ms": 1000 * (decided - filed),
                }
            )
        self._note_decisions(receipts)
        for episode in episodes:
            self._follow_decision(episode, time_s)

    def _file(self, attempts: Sequence[Attempt]) -> list[Episode]:
        box, episodes, contexts = self.box, [], []
        by_house: dict[str, list[AccessRequest]] = {}
        for attempt in attempts:
            house = self._houses[attempt.requester]
            request, context = box.draft_request(
                box.account(attempt.requester).address,
                box.account(house).address,
                self.assets[attempt.asset],
                find_purpose(attempt.purpose).hash,
                ACTION_SCOPES[attempt.action],
                until=self.clock_s + attempt.duration_s,
                observed=observed_of(attempt, has_clock=self.workload.has_clock),
            )
            contexts.append(context)
            by_house.setdefault(house, []).append(request)
            episodes.append(Episode(attempt, request, 0))
        box.hand_in(contexts)
        size = box.config.chain.batch_size
        for house, requests in by_house.items():
            for start in range(0, len(requests), size):
                box.deployment.access.request_many(
                    box.gateway(house), box.account(house).address, requests[start : start + size]
                )
        self._charge("request", box.client.settle(self.clock_s), len(attempts))
        for episode in episodes:
            episode.requested_block = box.client.at
            self._by_id[str(episode.request.id)] = episode
        self.episodes += episodes
        self.score.requests += len(episodes)
        return episodes

    def _note_decisions(self, receipts: Sequence[dict[str, Any]]) -> None:
        at = self.box.client.at
        decided = self.box.deployment.access.contract.events("AccessDecided", at, at)
        outcomes = {Hash32(event.args["request"]): event for event in decided}
        transactions = {event.transaction_hash for event in decided}
        mined = [self.box.engine.receipt(transaction) for transaction in sorted(transactions)]
        self._charge("decision", [receipt for receipt in mined if receipt], len(receipts))
        for receipt in receipts:
            episode = self._by_id[receipt["request"]]
            event = outcomes[episode.request.id]
            episode.decided_block = at
            episode.score = receipt.get("score")
            episode.verdict = receipt["verdict"]
            episode.outcome = Status(event.args["outcome"])
            episode.basis = Basis(event.args["basis"])

    def _follow_decision(self, episode: Episode, time_s: int) -> None:
        attempt = episode.attempt
        if episode.outcome is Status.GRANTED:
            self.score.granted += 1
            self._plan_uses(episode, time_s)
        elif episode.outcome is Status.DENIED:
            self.score.denied += 1
        else:
            self.score.escalated += 1
            if attempt.denied is not None and self.workload.has_clock:
                self._ask_guardian(episode, time_s)
        if attempt.denied is not None and attempt.label_at_s is not None:
            self._plan(max(attempt.label_at_s, time_s), self._reveal, episode)

    def _plan_uses(self, episode: Episode, time_s: int) -> None:
        for planned in episode.attempt.uses:
            self._plan(time_s + planned.after_s, self._use, (episode, planned))

    def _use(self, time_s: int, subject: tuple[Episode, PlannedUse]) -> None:
        """A gateway checks one use and logs it; the agent watches, and responds before the next use."""
        episode, planned = subject
        request, at = episode.request, self.box.client.at
        basis = self.box.deployment.access.basis(
            request.requester, request.asset, request.purpose, Scope[planned.action.upper()]
        )
        allowed = basis is Basis.AGREED
        episode.uses_allowed += allowed
        episode.uses_refused += not allowed
        episode.bytes_allowed += planned.volume_bytes * allowed
        if allowed and episode.attempt.attack:
            self.harm.append((episode.attempt.requester, episode.attempt.attack, time_s))
        self.score.uses += 1
        use = Use(
            time_s=time_s,
            requester=episode.attempt.requester,
            asset=episode.attempt.asset,
            action=planned.action,
            volume_bytes=planned.volume_bytes,
            request_id=str(request.id),
            allowed=allowed,
        )
        self.directory.uses.append(
            [
                {
                    "time_s": use.time_s,
                    "requester": use.requester,
                    "asset": use.asset,
                    "action": use.action,
                    "volume_bytes": use.volume_bytes,
                    "request": use.request_id,
                    "basis": basis.name.lower(),
                    "block": at,
                }
            ]
        )
        for response in self.agent.watch([use]):
            self._note_response(response, episode, time_s, at)

    def _note_response(self, response: Response, episode: Episode, time_s: int, seen_block: int) -> None:
        at = self.box.client.at
        attack = episode.attempt.attack or ""
        self.threats.append(ThreatSeen(response, time_s, seen_block, at, self.box.now_s, attack))
        self.score.alerts += 1
        if response.action == "alert":
            return
        for request_id in response.threat.request_ids:
            if request_id in self._by_id:
                self._by_id[request_id].revoked = True
        if response.action == "revoke":
            self.score.revoked += 1
            return
        self.score.quarantined += 1
        if not attack:
            self._plan(time_s + self.box.config.run.guardian_delay_s, self._release, episode)

    def _release(self, _time_s: int, episode: Episode) -> None:
        """A guardian finds a quarantine unfounded and ends it."""
        guardian = self.box.keys.guardian
        [receipt] = self.directory.receipts.append(
            [guardian_receipt(str(episode.request.id), "release", str(guardian.address))]
        )
        self.box.deployment.sentinel.release(guardian, episode.request.requester, receipt)
        self._charge("release", self.box.client.settle(self.clock_s), 1)

    def _ask_guardian(self, episode: Episode, time_s: int) -> None:
        """Put an escalation on the guardians' desk; they sit down to it once every ``guardian_delay_s``."""
        every_s = self.box.config.run.guardian_delay_s
        due_s = (time_s // every_s + 2) * every_s
        if due_s not in self._desk:
            self._desk[due_s] = []
            self._plan(due_s, self._answer_all, self._desk[due_s])
        self._desk[due_s].append(episode)

    def _answer_all(self, time_s: int, episodes: list[Episode]) -> None:
        """Guardians answer what lies on their desk, mostly rightly, in one block."""
        box = self.box
        guardian, sentinel = box.keys.guardian, box.deployment.sentinel
        for episode in episodes:
            errs = _chance(box.config.seed, episode.request.id) < box.config.run.guardian_error_rate
            wants_to = bool(episode.attempt.denied) is errs
            approves = wants_to and sentinel.can_approve(guardian.address, episode.request)
            episode.answer = "approve" if approves else "cancel"
            [receipt] = self.directory.receipts.append(
                [guardian_receipt(str(episode.request.id), episode.answer, str(guardian.address))]
            )
            act = sentinel.approve if approves else sentinel.cancel
            act(guardian, episode.request, receipt)
        self._charge("guardian's answer", box.client.settle(self.clock_s), len(episodes))
        for episode in episodes:
            if episode.answer == "approve":
                self._plan_uses(episode, time_s)
            self._learn(episode, time_s, denied=episode.answer == "cancel", source="guardian")

    def _reveal(self, time_s: int, episode: Episode) -> None:
        self._learn(episode, time_s, denied=bool(episode.attempt.denied), source="review")

    def _learn(self, episode: Episode, time_s: int, *, denied: bool, source: str) -> None:
        request_id = str(episode.request.id)
        if not self.agent.has_scored(request_id):
            return
        self.directory.outcomes.append(
            [{"time_s": time_s, "request": request_id, "denied": denied, "source": source}]
        )
        self.agent.learn(request_id, denied)

    def _anchor(self) -> None:
        box = self.box
        for stream, journal in ((USES, self.directory.uses), (OUTCOMES, self.directory.outcomes)):
            records = list(journal)[self._anchored[stream] :]
            if records:
                box.deployment.audit.anchor(box.keys.notary, stream, records)
                self._anchored[stream] += len(records)
        self._charge("anchor", box.client.settle(self.clock_s), 1)

    def _charge(self, operation: str, receipts: Sequence[Receipt], items: int) -> None:
        if receipts:
            entry = self.gas.setdefault(operation, [0, 0, 0])
            entry[0] += items
            entry[1] += len(receipts)
            entry[2] += sum(receipt.gas_used for receipt in receipts)


def observed_of(attempt: Attempt, *, has_clock: bool) -> dict[str, Any]:
    """Return what an attempt's context tells the agent: the fields of an ``Observation`` without its identifier."""
    return {
        "time_s": attempt.time_s,
        "requester": attempt.requester,
        "asset": attempt.asset,
        "action": attempt.action,
        "purpose": attempt.purpose,
        "attributes": dict(attempt.attributes),
        "text": attempt.text,
        "has_clock": has_clock,
    }


def _chance(seed: int, request_id: Hash32) -> float:
    """Return a number in [0, 1) that follows from the seed and the request alone, whatever came before."""
    return int.from_bytes(keccak(seed.to_bytes(8, "big") + request_id)[:8], "big") / 2**64
