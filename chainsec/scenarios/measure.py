"""From a play to its report: every figure is counted from what happened, on chain and off.

Layer: scenarios. Not here: playing (``play``), formulas (``quality``), showing (``chainsec.app.report``).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chainsec.scenarios.baselines import RuleEngine, grant_all
from chainsec.scenarios.quality import (
    area_under_roc,
    average_precision,
    denial_recall,
    precision_recall_points,
    roc_points,
)
from chainsec.scenarios.report_schema import (
    Alert,
    AttackOutcome,
    Cost,
    Curves,
    DecisionBucket,
    Decisions,
    Histogram,
    Latency,
    Measures,
    OperationGas,
    Organisation,
    Quality,
    Quantiles,
    Requests,
    ScoreHistogram,
    ScoreMark,
    Series,
    Throughput,
)
from chainsec.services.access import Basis, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from chainsec.defence.policy import Thresholds
    from chainsec.scenarios.episodes import Episode, ThreatSeen
    from chainsec.scenarios.play import Play
    from chainsec.scenarios.workload import Attempt, Workload

_SCORE_BINS = 40
_ROW_SLICES = 24
_DAY_S = 86_400
_REVOCATION_EDGES_S = (0.0, 60.0, 600.0, 3_600.0, 6 * 3_600.0, 86_400.0, 3 * 86_400.0, 10 * 86_400.0, 30 * 86_400.0)
_READ_EDGES = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0)


@dataclass(frozen=True)
class Judged:
    """One live attempt as one way of deciding left it.

    Args:
        attempt: what was asked.
        score: risk score, high = suspicious.
        outcome: granted, denied or escalated.
        revoked: whether the grant was cut off later: taken back, or its holder quarantined.
        leaked_bytes: handed out under it.
    """

    attempt: Attempt
    score: float
    outcome: Status
    revoked: bool
    leaked_bytes: int


def judge_by_agent(episodes: Iterable[Episode]) -> list[Judged]:
    """Return what the agent and the contract made of each attempt. A request without a score counts as risk 1."""
    return [
        Judged(
            episode.attempt,
            1.0 if episode.score is None else episode.score,
            episode.outcome,
            episode.is_cut_off,
            episode.bytes_allowed,
        )
        for episode in episodes
    ]


def judge_by_baselines(workload: Workload) -> dict[str, list[Judged]]:
    """Return what granting all and rules alone would have made of the live part, every grant used in full."""
    engine = RuleEngine.from_history(workload.history, has_clock=workload.has_clock)
    verdicts = {"grant all": grant_all(workload.live), "rules only": engine.judge(workload.live)}
    return {
        name: [
            Judged(
                attempt,
                verdict.score,
                Status.DENIED if verdict.denied else Status.GRANTED,
                revoked=False,
                leaked_bytes=0 if verdict.denied else sum(use.volume_bytes for use in attempt.uses),
            )
            for attempt, verdict in zip(workload.live, found, strict=True)
        ]
        for name, found in verdicts.items()
    }


def measure_quality(agent: Sequence[Judged], baselines: Mapping[str, Sequence[Judged]]) -> Quality:
    """Return the agent's measures with those of the baselines beside them."""
    return Quality(
        **dict(_measure(agent)),
        baselines={name: _measure(judged) for name, judged in baselines.items()},
    )


def _measure(judged: Sequence[Judged]) -> Measures:
    labelled = [item for item in judged if item.attempt.denied is not None]
    scores, truth = [item.score for item in labelled], [bool(item.attempt.denied) for item in labelled]
    bad = [item for item in labelled if item.attempt.denied]
    good = [item for item in labelled if not item.attempt.denied]
    has_uses = any(item.attempt.uses for item in judged)
    kinds: defaultdict[str, list[Judged]] = defaultdict(list)
    for item in bad:
        if item.attempt.attack:
            kinds[item.attempt.attack].append(item)
    return Measures(
        auc=area_under_roc(scores, truth),
        average_precision=average_precision(scores, truth),
        denial_recall_at_1pct=denial_recall(scores, truth, 0.01),
        denial_recall_at_5pct=denial_recall(scores, truth, 0.05),
        denial_recall_at_10pct=denial_recall(scores, truth, 0.10),
        good_requests=len(good),
        bad_requests=len(bad),
        bad_stopped_rate=_share(bad, Status.DENIED, Status.ESCALATED),
        good_denied_rate=_share(good, Status.DENIED),
        good_escalated_rate=_share(good, Status.ESCALATED),
        leaked_bytes=sum(item.leaked_bytes for item in bad) if has_uses else None,
        leaked_records=_leaked_records(bad) if has_uses else None,
        per_attack={kind: _attack(items, has_uses=has_uses) for kind, items in sorted(kinds.items())},
    )


def _attack(items: Sequence[Judged], *, has_uses: bool) -> AttackOutcome:
    outcomes = Counter(item.outcome for item in items)
    stopped = outcomes[Status.DENIED] + outcomes[Status.ESCALATED]
    return AttackOutcome(
        requests=len(items),
        denied=outcomes[Status.DENIED],
        escalated=outcomes[Status.ESCALATED],
        stopped=stopped,
        revoked_later=sum(item.revoked for item in items if item.outcome is Status.GRANTED),
        recall=stopped / len(items),
        leaked_bytes=sum(item.leaked_bytes for item in items) if has_uses else None,
        leaked_records=_leaked_records(items) if has_uses else None,
    )


def _share(items: Sequence[Judged], *outcomes: Status) -> float | None:
    return sum(item.outcome in outcomes for item in items) / len(items) if items else None


def _leaked_records(items: Iterable[Judged]) -> int:
    return len({item.attempt.asset for item in items if item.leaked_bytes})


def count_requests(workload: Workload) -> Requests:
    """Return how many requests the workload has, and on which side."""
    history, live = len(workload.history), len(workload.live)
    total = history + live + workload.skipped
    return Requests(total=total, history=history, live=live, skipped=workload.skipped)


def count_decisions(play: Play) -> Decisions:
    """Return what stands on chain at the end, as the agent's own decisions left it."""
    outcomes = Counter(episode.outcome for episode in play.episodes)
    actions = Counter(seen.response.action for seen in play.threats)
    return Decisions(
        granted=outcomes[Status.GRANTED],
        denied=outcomes[Status.DENIED],
        escalated=outcomes[Status.ESCALATED],
        revoked=sum(episode.revoked_at_s is not None for episode in play.episodes),
        quarantined=actions["quarantine"],
        alerts=len(play.threats),
        overruled_by_contract=sum(episode.basis is not Basis.AGREED for episode in play.episodes),
    )


def measure_latency(play: Play, timings: Sequence[Mapping[str, Any]]) -> Latency:
    """Return how long decisions and revocations took."""
    acted = [seen for seen in play.threats if seen.response.action != "alert"]
    return Latency(
        decision_blocks=Quantiles.of([e.decided_block - e.requested_block for e in play.episodes]),
        decision_ms=Quantiles.of([t["decision_ms"] for t in timings for _ in range(t["decisions"])]),
        revocation_blocks=Quantiles.of([seen.acted_block - seen.seen_block for seen in acted]),
    )


def measure_throughput(timings: Sequence[Mapping[str, Any]]) -> Throughput:
    """Return requests filed, scored and decided on chain per second of wall clock, from filing to decision."""
    elapsed_s = sum(t["decision_ms"] + t["request_ms"] for t in timings) / 1000
    decisions = sum(t["decisions"] for t in timings)
    return Throughput(decisions_per_s=decisions / elapsed_s if elapsed_s else None, elapsed_s=elapsed_s or None)


def measure_cost(play: Play) -> Cost:
    """Return what the chain charged, in all and by operation."""
    client = play.box.client
    operations = {
        name: OperationGas(items=items, transactions=transactions, gas_total=gas)
        for name, (items, transactions, gas) in sorted(play.gas.entries.items())
    }
    decided = operations.get("decision")
    return Cost(
        transactions=client.transactions,
        gas_total=client.gas_used,
        gas_per_decision=decided.gas_per_item if decided else None,
        gas_by_operation=operations,
    )


def draw_series(
    play: Play,
    agent: Sequence[Judged],
    baselines: Mapping[str, Sequence[Judged]],
    thresholds: Sequence[Thresholds],
) -> Series:
    """Return what the report's plots show."""
    attacks = [seen for seen in play.threats if seen.attack and seen.response.action != "alert"]
    starts = [(seen, *_before(play, seen)) for seen in attacks]
    acted = [seen for seen in play.threats if seen.response.action != "alert"]
    return Series(
        scores=_score_histogram(agent),
        score_marks=_score_marks(play, thresholds),
        curves={name: _curves(judged) for name, judged in {"agent": agent, **baselines}.items() if name != "grant all"},
        decisions_over_time=_decisions_over_time(play),
        revocation_blocks=Histogram.of([s.acted_block - s.seen_block for s in acted], (0.0, 1.0, 2.0, 3.0, 4.0, 5.0))
        if acted
        else None,
        revocation_s=Histogram.of([seen.acted_s - since_s for seen, since_s, _ in starts], _REVOCATION_EDGES_S)
        if starts
        else None,
        reads_before_revocation=Histogram.of([reads for _, _, reads in starts], _READ_EDGES) if starts else None,
    )


def _before(play: Play, seen: ThreatSeen) -> tuple[int, int]:
    """Return when the attack behind a threat first got hold of data, and how often it had by then."""
    uses = sorted(
        time_s
        for requester, attack, time_s in play.harm
        if requester == seen.response.threat.requester and attack == seen.attack and time_s <= seen.time_s
    )
    return (uses[0], len(uses)) if uses else (seen.time_s, 0)


def _score_histogram(judged: Sequence[Judged]) -> ScoreHistogram:
    edges = tuple(i / _SCORE_BINS for i in range(_SCORE_BINS + 1))
    by_class: dict[bool | None, list[float]] = {True: [], False: [], None: []}
    for item in judged:
        by_class[item.attempt.denied].append(item.score)
    counts = {truth: Histogram.of(scores, edges).counts for truth, scores in by_class.items()}
    return ScoreHistogram(edges=edges, good=counts[False], bad=counts[True], unlabelled=counts[None])


def _score_marks(play: Play, thresholds: Sequence[Thresholds]) -> tuple[ScoreMark, ...]:
    """Return the thresholds of the sensitivity that is asked for most."""
    levels = Counter(play.sensitivity_of(episode.attempt.asset) for episode in play.episodes)
    [(level, _)] = levels.most_common(1)
    found = thresholds[level]
    if found.grant_below == found.deny_from:
        return (ScoreMark(name="deny", score=found.deny_from),)
    return (ScoreMark(name="ask", score=found.grant_below), ScoreMark(name="deny", score=found.deny_from))


def _curves(judged: Sequence[Judged]) -> Curves:
    labelled = [item for item in judged if item.attempt.denied is not None]
    scores, truth = [item.score for item in labelled], [bool(item.attempt.denied) for item in labelled]
    return Curves(roc=roc_points(scores, truth), precision_recall=precision_recall_points(scores, truth))


def _decisions_over_time(play: Play) -> tuple[DecisionBucket, ...]:
    live = play.workload.live
    first_s, last_s = live[0].time_s, live[-1].time_s
    if play.workload.has_clock:
        first_s -= first_s % _DAY_S
        width_s = _DAY_S
    else:
        width_s = max(1, -(-(last_s - first_s + 1) // _ROW_SLICES))
    counts: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for episode in play.episodes:
        bucket = counts[(episode.attempt.time_s - first_s) // width_s]
        bucket[episode.outcome.name.lower()] += 1
        bucket["bad"] += bool(episode.attempt.denied)
        if episode.revoked_at_s is not None:
            counts[(episode.revoked_at_s - first_s) // width_s]["revoked"] += 1
    return tuple(
        DecisionBucket(
            start_s=first_s + number * width_s,
            granted=counts[number]["granted"],
            denied=counts[number]["denied"],
            escalated=counts[number]["escalated"],
            bad=counts[number]["bad"],
            revoked=counts[number]["revoked"],
        )
        for number in range(max(counts) + 1)
    )


def list_alerts(play: Play) -> tuple[Alert, ...]:
    """Return the threats that were raised, in time order."""
    return tuple(
        Alert(
            time_s=seen.time_s,
            block=seen.acted_block,
            kind=seen.response.threat.kind,
            requester=seen.response.threat.requester,
            response=seen.response.action,  # type: ignore[arg-type] # one of three; a wider type comes from the agent
            score=seen.response.threat.score,
            grants=len(seen.response.threat.request_ids),
            attack=seen.attack,
            evidence=dict(seen.response.threat.evidence),
        )
        for seen in play.threats
    )


def list_parties(play: Play) -> tuple[Organisation, ...]:
    """Return the organisations and what was decided for their members."""
    workload = play.workload
    members = Counter(member.organisation for member in workload.members)
    records = Counter(record.organisation for record in workload.records)
    houses = {member.name: member.organisation for member in workload.members}
    outcomes: defaultdict[str, Counter[Status]] = defaultdict(Counter)
    for episode in play.episodes:
        outcomes[houses[episode.attempt.requester]][episode.outcome] += 1
    return tuple(
        Organisation(
            name=name,
            members=members[name],
            records=records[name],
            requests=outcomes[name].total(),
            granted=outcomes[name][Status.GRANTED],
            denied=outcomes[name][Status.DENIED],
            escalated=outcomes[name][Status.ESCALATED],
        )
        for name in workload.organisations
    )
