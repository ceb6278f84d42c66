"""Plays a workload on a sandbox: requests, decisions, uses, guardians' answers and labels, in the order of time.

Everything here follows from the workload and the settings, so that an interrupted play starts again from its first
block, passes over what stands on chain and in the journals, and goes on. Layer: scenarios. Not here: what the
figures mean (``measure``), who is on stage (``stage``), what is remembered (``episodes``).
"""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from chainsec.defence.agent import SEVERITY
from chainsec.defence.chainwatch import Call, ChainWatch, WatchSettings
from chainsec.defence.observation import Use
from chainsec.network.watching import LedgerLookout
from chainsec.primitives import Address, Scope
from chainsec.scenarios.episodes import NORMAL_LIFE, Episode, GasBook, Score, ThreatSeen
from chainsec.scenarios.filing import file_requests
from chainsec.scenarios.grants import AGENT, GUARDIAN, StandingGrants
from chainsec.scenarios.guardians import APPROVE, GuardianDesk
from chainsec.scenarios.stage import chain_time, most_transactions
from chainsec.scenarios.ticks import cut_blocks, cut_ticks
from chainsec.services.access import Basis, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from chainsec.defence.agent import Agent, Response
    from chainsec.defence.observation import Threat
    from chainsec.journal import Journal
    from chainsec.primitives import Hash32
    from chainsec.sandbox import Sandbox
    from chainsec.scenarios.directory import RunDirectory
    from chainsec.scenarios.ticks import Filing
    from chainsec.scenarios.workload import Attempt, PlannedUse, Workload

__all__ = ["OUTCOMES", "USES", "Play", "Score"]

USES, OUTCOMES = "uses", "outcomes"
_QUIET_S = 86_400
"""The chain's watch speaks again of what has been quiet for so long."""
_WITHOUT_GRANT = {Basis.NO_GRANT, Basis.EXPIRED}


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
        on_filing: told that gateways come to file requests.

    While it runs it gathers ``episodes``, ``threats``, ``notices`` about the model with their times, ``gas`` (what came
    before it is "setup"), ``standing`` grants and ``harm`` (requester, kind of attack and time of each use that an
    attack got through).
    """

    box: Sandbox
    workload: Workload
    assets: dict[str, Hash32]
    agent: Agent
    directory: RunDirectory
    on_tick: Callable[[Score], None] = lambda _: None
    on_filing: Callable[[], None] = lambda: None
    score: Score = field(default_factory=Score)
    episodes: list[Episode] = field(default_factory=list)
    threats: list[ThreatSeen] = field(default_factory=list)
    notices: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    harm: list[tuple[str, str, int]] = field(default_factory=list)
    clock_s: int = 0

    def __post_init__(self) -> None:
        """Start with an empty agenda."""
        self._block_size = most_transactions(self.box)
        self.gas = GasBook(self.box.client)
        self.standing = StandingGrants(self.box.client, self.box.deployment.access.contract)
        self._watch = ChainWatch(WatchSettings(quiet_s=_QUIET_S))
        self._lookout = LedgerLookout(self.box.engine, self._watch, since=self.box.client.at)
        self._desk = GuardianDesk(self.box, self.directory, self._block_size)
        self._undecided: dict[str, Episode] = {}
        self._agenda: list[tuple[int, int, Callable[[int, Any], None], Any]] = []
        self._order = count()
        self._anchored = {USES: 0, OUTCOMES: 0}
        self._houses = {member.name: member.organisation for member in self.workload.members}
        self._sensitivities = {record.name: record.sensitivity for record in self.workload.records}

    def run(self) -> None:
        """Play the live part from beginning to end."""
        settings = self.box.config
        self.gas.charge("setup", self.box.client.transactions)
        interval_s = settings.run.anchor_interval_s
        next_anchor_s = self.workload.live[0].time_s + interval_s
        tick_s = settings.run.tick_s if self.workload.has_clock else settings.chain.batch_size
        for end_s, attempts in cut_ticks(self.workload.live, tick_s):
            while next_anchor_s <= end_s:
                self._pass_time(next_anchor_s)
                self._anchor()
                next_anchor_s += interval_s
            self._pass_time(end_s)
            for filings in cut_blocks(attempts, self._house_of, settings.chain.batch_size, self._block_size):
                self._take_requests(filings, end_s)
            self._report(self._lookout.follow(self.box.client.at), end_s)
            self.score.time_s = end_s
            self.on_tick(self.score)
        while self._agenda:
            self._pass_time(self._agenda[0][0])
        self._report(self._lookout.follow(self.box.client.at), self.score.time_s)
        self._anchor()
        self.on_tick(self.score)

    def sensitivity_of(self, record: str) -> int:
        """Return how sensitive a record of the workload is, 0 to 3."""
        return self._sensitivities[record]

    def _house_of(self, attempt: Attempt) -> str:
        return self._houses[attempt.requester]

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

    def _take_requests(self, filings: Sequence[Filing], time_s: int) -> None:
        is_fresh = self.box.client.is_caught_up
        started = time.perf_counter()
        self._file(filings, time_s)
        filed = time.perf_counter()
        decided = self._decide(time_s)
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

    def _decide(self, time_s: int) -> list[Episode]:
        """Let the agent decide what is final and return the episodes concerned."""
        notice = self.agent.tend()
        if notice is not None:
            self.notices.append((time_s, notice))
            self.gas.charge("notice", 1)
        receipts = self.agent.step()
        self.gas.charge("decision", len(receipts))
        at, decided = self.box.client.at, []
        outcomes = self.standing.follow(AGENT, time_s)
        for receipt in receipts:
            episode = self._undecided.pop(receipt["request"])
            event = outcomes[episode.request.id]
            episode.decided_block = at
            episode.score = receipt.get("score")
            episode.verdict = receipt["verdict"]
            episode.outcome = Status(event.args["outcome"])
            episode.basis = Basis(event.args["basis"])
            decided.append(episode)
        return decided

    def _file(self, filings: Sequence[Filing], time_s: int) -> None:
        """Let each house's gateway file what its members ask for, in one block."""
        box, now_s, has_clock = self.box, self._next_block_s(), self.workload.has_clock
        self.on_filing()
        filed = file_requests(box, self.assets, filings, now_s=now_s, has_clock=has_clock)
        box.client.settle(self.clock_s)
        asked = sum(map(len, filed))
        self.gas.charge("request", asked)
        for requests in filed:
            episodes = [Episode(attempt, request, time_s) for attempt, request in requests]
            for episode in episodes:
                episode.requested_block = box.client.at
                self._undecided[str(episode.request.id)] = episode
            self.standing.expect(episodes)
            self.episodes += episodes
        self.score.requests += asked

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
        at = self.box.client.at
        basis = self._look_up(episode, Scope[planned.action.upper()])
        allowed = basis is Basis.AGREED
        episode.uses_allowed += allowed
        episode.uses_refused += not allowed
        episode.bytes_allowed += planned.volume_bytes * allowed
        if allowed and episode.attempt.attack:
            self.harm.append((episode.attempt.requester, episode.attempt.attack, time_s))
        self.score.uses += 1
        behind = self.standing.behind(episode) or episode
        use = Use(
            time_s=time_s,
            requester=episode.attempt.requester,
            asset=episode.attempt.asset,
            action=planned.action,
            volume_bytes=planned.volume_bytes,
            request_id=str(behind.request.id),
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
        responses = self.agent.watch([use])
        if responses:
            self._note_responses(responses, episode, time_s, at)
        if allowed or (basis in _WITHOUT_GRANT and not episode.cut_off_by):  # what was taken back is missed innocently
            call = Call(self.clock_s, str(episode.request.requester), use.asset, is_refused=not allowed)
            self._report(self._watch.observe_call(call), time_s, episode.attack)

    def _report(self, threats: Iterable[Threat], time_s: int, attack: str | None = None) -> None:
        """Let the agent put on chain what the watch over it has found."""
        for threat in threats:
            at = self.box.client.at
            response = self.agent.report(threat, Address(threat.requester))
            acted_s = self.box.engine.block(response.block).timestamp - self.box.config.run.time_offset_s
            self.threats.append(ThreatSeen(response, time_s, at, acted_s, attack))
            self.score.alerts += 1
            self.gas.charge("alert", 1)

    def _look_up(self, episode: Episode, scope: Scope) -> Basis:
        """Ask the chain whether a use is allowed, as a gateway does, and hold the grant's end against the clock.

        On a chain that makes blocks only when something is sent, the time of the latest block may be long past.
        """
        request = episode.request
        basis = self.box.deployment.access.basis(request.requester, request.asset, request.purpose, scope)
        behind = self.standing.behind(episode)
        has_lapsed = behind is not None and self.clock_s > behind.granted_until_s
        return Basis.EXPIRED if basis is Basis.AGREED and has_lapsed else basis

    def _note_responses(self, responses: Sequence[Response], episode: Episode, time_s: int, seen_block: int) -> None:
        """Take note of what the agent did about one use."""
        for response in responses:
            acted_s = self.box.engine.block(response.block).timestamp - self.box.config.run.time_offset_s
            self.threats.append(ThreatSeen(response, time_s, seen_block, acted_s, episode.attack))
        self.score.alerts += len(responses)
        actions = {response.action for response in responses}
        before = len(self.standing.revocations)
        self.standing.follow(AGENT, time_s, since=seen_block + 1)
        revoked = len(self.standing.revocations) - before
        self.score.revoked += revoked
        self.gas.charge("revoke" if revoked else max(actions, key=SEVERITY.__getitem__), revoked or len(responses))
        if "quarantine" not in actions:
            return
        self.score.quarantined += 1
        self.standing.suspend(episode.request.requester, self.box.now_s)
        if episode.attack == NORMAL_LIFE and self.workload.has_clock:
            self._plan(time_s + self.box.config.run.guardian_delay_s, self._release, episode)

    def _release(self, _time_s: int, episode: Episode) -> None:
        """A guardian finds a quarantine unfounded and ends it; the agent holds nothing of it against anybody."""
        self._desk.release(episode, self.clock_s)
        self.gas.charge("release", 1)
        self.agent.release(episode.attempt.requester)

    def _ask_guardian(self, episode: Episode, time_s: int) -> None:
        due_s = self._desk.put_down(episode, time_s)
        if due_s is not None:
            self._plan(due_s, self._hold_sitting, None)

    def _hold_sitting(self, time_s: int, _: None) -> None:
        """Let guardians answer what waits; the agent learns what they think."""
        sitting = self._desk.sit(time_s, self.clock_s, self._next_block_s)
        if sitting.next_s is not None:
            self._plan(sitting.next_s, self._hold_sitting, None)
        self.gas.charge("guardian's answer", sitting.sent)
        before = len(self.standing.revocations)
        if sitting.sent:
            self.standing.follow(GUARDIAN, time_s, since=sitting.first_block)
        self.score.revoked += len(self.standing.revocations) - before
        for episode, is_good in sitting.judged:
            if episode.answer == APPROVE:
                self._plan_uses(episode, time_s)
            is_final = episode.attempt.label_at_s is None
            self._learn(episode, time_s, denied=not is_good, source="guardian", is_final=is_final)
        for episode in sitting.left:
            self._ask_guardian(episode, time_s)

    def _reveal(self, time_s: int, episode: Episode) -> None:
        denied = bool(episode.attempt.denied)
        self._learn(episode, time_s, denied=denied, source="review", is_final=True)

    def _learn(self, episode: Episode, time_s: int, *, denied: bool, source: str, is_final: bool) -> None:
        """Show the agent a label; a review has the last word, and puts right what a guardian got wrong."""
        request_id = str(episode.request.id)
        if not self.agent.has_scored(request_id) or not self.agent.learn(request_id, denied, is_final=is_final):
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
