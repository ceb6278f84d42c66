"""Plays a workload on a sandbox: requests, decisions, uses, guardians' answers and labels, in the order of time.

Everything here follows from the workload and the settings, so that an interrupted play starts again from its first
block, passes over what stands on chain and in the journals, and goes on. Layer: scenarios. Not here: what the
figures mean (``measure``), who is on stage (``stage``), what is remembered (``episodes``).
"""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass, field
from itertools import count, groupby
from typing import TYPE_CHECKING, Any

from chainsec.defence.observation import Use
from chainsec.defence.receipts import guardian_receipt
from chainsec.digest import keccak
from chainsec.primitives import ACTION_SCOPES, Hash32, Scope
from chainsec.purposes import find_purpose
from chainsec.scenarios.episodes import NORMAL_LIFE, Episode, GasBook, Score, ThreatSeen, observed_of
from chainsec.scenarios.stage import chain_time
from chainsec.services.access import Basis, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from chainsec.defence.agent import Agent, Response
    from chainsec.journal import Journal
    from chainsec.ledger.contract import Event
    from chainsec.sandbox import Sandbox
    from chainsec.scenarios.directory import RunDirectory
    from chainsec.scenarios.workload import Attempt, PlannedUse, Workload

__all__ = ["OUTCOMES", "USES", "Play", "Score"]

USES, OUTCOMES = "uses", "outcomes"


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

    While it runs it gathers ``episodes``, ``threats``, ``gas`` (what came before it is "setup") and ``harm``
    (requester, kind of attack and time of each use that an attack got through).
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
    harm: list[tuple[str, str, int]] = field(default_factory=list)
    clock_s: int = 0

    def __post_init__(self) -> None:
        """Start with an empty agenda."""
        self.gas = GasBook(self.box.client)
        self._undecided: dict[str, Episode] = {}
        self._agenda: list[tuple[int, int, Callable[[int, Any], None], Any]] = []
        self._order = count()
        self._desk: dict[int, list[Episode]] = {}
        self._standing: dict[tuple[bytes, bytes, bytes], Episode] = {}
        self._anchored = {USES: 0, OUTCOMES: 0}
        self._houses = {member.name: member.organisation for member in self.workload.members}
        self._sensitivities = {record.name: record.sensitivity for record in self.workload.records}

    def run(self) -> None:
        """Play the live part from beginning to end."""
        self.gas.charge("setup", self.box.client.transactions)
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

    def _next_block_s(self) -> int:
        """Return the time that a block made now gets. Calls still see the time of the block before it."""
        return max(self.clock_s, self.box.now_s + self.box.config.chain.block_interval_s)

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
        self._file(attempts)
        filed = time.perf_counter()
        decided = self._decide()
        if is_fresh:
            self.directory.note_timing(
                {
                    "decisions": len(decided),
                    "request_ms": 1000 * (filed - started),
                    "decision_ms": 1000 * (time.perf_counter() - filed),
                }
            )
        for episode in decided:
            self._follow_decision(episode, time_s)

    def _decide(self) -> list[Episode]:
        """Let the agent decide what is final and return the episodes concerned."""
        receipts = self.agent.step()
        self.gas.charge("decision", len(receipts))
        at, decided = self.box.client.at, []
        outcomes = {Hash32(event.args["request"]): event for event in self._events("AccessDecided")}
        for receipt in receipts:
            episode = self._undecided.pop(receipt["request"])
            event = outcomes[episode.request.id]
            episode.decided_block = at
            episode.score = receipt.get("score")
            episode.verdict = receipt["verdict"]
            episode.outcome = Status(event.args["outcome"])
            episode.basis = Basis(event.args["basis"])
            episode.granted_until_s = event.args["until"]
            decided.append(episode)
        return decided

    def _file(self, attempts: Sequence[Attempt]) -> None:
        """Let each house's gateway file what its members ask for, in one block."""
        box, drafts = self.box, []
        now_s = self._next_block_s()
        for attempt in attempts:
            house = self._houses[attempt.requester]
            request, context = box.draft_request(
                box.account(attempt.requester).address,
                box.account(house).address,
                self.assets[attempt.asset],
                find_purpose(attempt.purpose).hash,
                ACTION_SCOPES[attempt.action],
                until=now_s + attempt.duration_s,
                observed=observed_of(attempt, has_clock=self.workload.has_clock),
            )
            drafts.append((house, Episode(attempt, request, 0), context))
        drafts.sort(key=lambda draft: draft[0])  # contexts lie in the order in which their requests reach the chain
        box.hand_in([context for _, _, context in drafts])
        size = box.config.chain.batch_size
        for house, group in groupby(drafts, key=lambda draft: draft[0]):
            requests = [episode.request for _, episode, _ in group]
            for start in range(0, len(requests), size):
                box.deployment.access.request_many(
                    box.gateway(house), box.account(house).address, requests[start : start + size]
                )
        box.client.settle(self.clock_s)
        self.gas.charge("request", len(attempts))
        episodes = [episode for _, episode, _ in drafts]
        for episode in episodes:
            episode.requested_block = box.client.at
            self._undecided[str(episode.request.id)] = episode
        self.episodes += episodes
        self.score.requests += len(episodes)

    def _events(self, name: str) -> list[Event]:
        """Return the events of ``AccessGrants`` in the block that was reached."""
        at = self.box.client.at
        return self.box.deployment.access.contract.events(name, at, at)

    def _follow_decision(self, episode: Episode, time_s: int) -> None:
        attempt = episode.attempt
        if episode.outcome is Status.GRANTED:
            self.score.granted += 1
            self._begin_grant(episode, time_s)
        elif episode.outcome is Status.DENIED:
            self.score.denied += 1
        else:
            self.score.escalated += 1
            if attempt.denied is not None and self.workload.has_clock:
                self._ask_guardian(episode, time_s)
        if attempt.denied is not None and attempt.label_at_s is not None:
            self._plan(max(attempt.label_at_s, time_s), self._reveal, episode)

    def _begin_grant(self, episode: Episode, time_s: int) -> None:
        self._standing[episode.grant_key] = episode
        for planned in episode.attempt.uses:
            self._plan(time_s + planned.after_s, self._use, (episode, planned))

    def _use(self, time_s: int, subject: tuple[Episode, PlannedUse]) -> None:
        """A gateway checks one use and logs it; the agent watches, and responds before the next use."""
        episode, planned = subject
        at = self.box.client.at
        basis = self._look_up(episode, Scope[planned.action.upper()])
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
            request_id=str(episode.request.id),
            allowed=allowed,
        )
        record = {
            "number": len(self.directory.uses) + 1,
            "time_s": use.time_s,
            "requester": use.requester,
            "asset": use.asset,
            "action": use.action,
            "volume_bytes": use.volume_bytes,
            "request": use.request_id,
            "basis": basis.name.lower(),
            "block": at,
        }
        self.directory.uses.append([record])
        for response in self.agent.watch([use]):
            self._note_response(response, episode, time_s, at)

    def _look_up(self, episode: Episode, scope: Scope) -> Basis:
        """Ask the chain whether a use is allowed, as a gateway does, and hold the grant's end against the clock.

        On a chain that makes blocks only when something is sent, the time of the latest block may be long past.
        """
        request = episode.request
        basis = self.box.deployment.access.basis(request.requester, request.asset, request.purpose, scope)
        standing = self._standing.get(episode.grant_key)
        if basis is Basis.AGREED and standing is not None and self.clock_s > standing.granted_until_s:
            return Basis.EXPIRED
        return basis

    def _note_response(self, response: Response, episode: Episode, time_s: int, seen_block: int) -> None:
        at = self.box.client.at
        self.threats.append(ThreatSeen(response, time_s, seen_block, at, self.box.now_s, episode.attack))
        self.score.alerts += 1
        revoked = self._note_revocations(time_s)
        self.gas.charge(response.action, revoked if response.action == "revoke" else 1)
        if response.action != "quarantine":
            return
        self.score.quarantined += 1
        for standing in self._standing.values():
            standing.is_cut_off |= standing.request.requester == episode.request.requester
        if episode.attack == NORMAL_LIFE and self.workload.has_clock:
            self._plan(time_s + self.box.config.run.guardian_delay_s, self._release, episode)

    def _note_revocations(self, time_s: int) -> int:
        """Take note of the grants that ended before their time in the block that was reached; return their number."""
        events = self._events("AccessRevoked")
        for event in events:
            ended = self._standing.pop((event.args["requester"], event.args["asset"], event.args["purpose"]))
            ended.revoked_at_s, ended.is_cut_off = time_s, True
            self.score.revoked += 1
        return len(events)

    def _release(self, _time_s: int, episode: Episode) -> None:
        """A guardian finds a quarantine unfounded and ends it."""
        guardian = self.box.keys.guardian
        [receipt] = self.directory.receipts.append(
            [guardian_receipt(str(episode.request.id), "release", str(guardian.address))]
        )
        self.box.deployment.sentinel.release(guardian, episode.request.requester, receipt)
        self.box.client.settle(self.clock_s)
        self.gas.charge("release", 1)

    def _ask_guardian(self, episode: Episode, time_s: int) -> None:
        """Put an escalation on the guardians' desk; they sit down to it once every ``guardian_delay_s``."""
        every_s = self.box.config.run.guardian_delay_s
        due_s = (time_s // every_s + 2) * every_s
        if due_s not in self._desk:
            self._desk[due_s] = []
            self._plan(due_s, self._answer_all, self._desk[due_s])
        self._desk[due_s].append(episode)

    def _answer_all(self, time_s: int, episodes: list[Episode]) -> None:
        """Guardians answer what lies on their desk, mostly rightly, in one block; what has lapsed by then they cancel.

        The agent learns what they think of a request, not whether it could still be granted.
        """
        box = self.box
        guardian, sentinel = box.keys.guardian, box.deployment.sentinel
        judged = []
        for episode in episodes:
            errs = _draw_chance(box.config.seed, episode.request.id) < box.config.run.guardian_error_rate
            is_found_good = bool(episode.attempt.denied) is errs
            is_open = episode.request.until >= self._next_block_s()
            approves = is_found_good and is_open and sentinel.can_approve(guardian.address, episode.request)
            episode.answer = "approve" if approves else "cancel"
            [receipt] = self.directory.receipts.append(
                [guardian_receipt(str(episode.request.id), episode.answer, str(guardian.address))]
            )
            act = sentinel.approve if approves else sentinel.cancel
            act(guardian, episode.request, receipt)
            judged.append((episode, is_found_good))
        box.client.settle(self.clock_s)
        self.gas.charge("guardian's answer", len(episodes))
        self._note_revocations(time_s)
        for episode, is_found_good in judged:
            if episode.answer == "approve":
                episode.granted_until_s = episode.request.until
                self._begin_grant(episode, time_s)
            self._learn(episode, time_s, denied=not is_found_good, source="guardian")

    def _reveal(self, time_s: int, episode: Episode) -> None:
        self._learn(episode, time_s, denied=bool(episode.attempt.denied), source="review")

    def _learn(self, episode: Episode, time_s: int, *, denied: bool, source: str) -> None:
        request_id = str(episode.request.id)
        if not self.agent.has_scored(request_id):
            return
        record = {
            "number": len(self.directory.outcomes) + 1,
            "time_s": time_s,
            "request": request_id,
            "denied": denied,
            "source": source,
            "block": self.box.client.at,
        }
        self.directory.outcomes.append([record])
        self.agent.learn(request_id, denied)

    def _anchor(self) -> None:
        """Put what was recorded since the last time under a Merkle root on chain."""
        box, streams = self.box, 0
        journals: tuple[tuple[str, Journal], ...] = ((USES, self.directory.uses), (OUTCOMES, self.directory.outcomes))
        for stream, journal in journals:
            records = journal.lines[self._anchored[stream] : len(journal)]
            if records:
                box.deployment.audit.anchor(box.keys.notary, stream, records)
                self._anchored[stream] += len(records)
                streams += 1
        box.client.settle(self.clock_s)
        self.gas.charge("anchor", streams)


def _draw_chance(seed: int, request_id: Hash32) -> float:
    """Return a number in [0, 1) that follows from the seed and the request alone, whatever came before."""
    return int.from_bytes(keccak(seed.to_bytes(8, "big") + request_id)[:8], "big") / 2**64
