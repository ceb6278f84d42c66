"""From a play to its report: every figure is counted from what happened, on chain and off.

Layer: scenarios. Not here: playing (``play``), ways of deciding side by side (``comparison``), formulas (``quality``),
showing (``chainsec.app.report``).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from chainsec.scenarios.grants import AGENT, GUARDIAN
from chainsec.scenarios.guardians import APPROVE, CANCEL, LAPSE
from chainsec.scenarios.quality import precision_recall_points, roc_points
from chainsec.scenarios.replay import ReplayWorkload
from chainsec.scenarios.report_schema import (
    Alert,
    Cost,
    Curves,
    DecisionBucket,
    Decisions,
    Histogram,
    Latency,
    ModelNotice,
    OperationGas,
    Organisation,
    Quantiles,
    Requests,
    ScoreHistogram,
    ScoreMark,
    Series,
    Throughput,
)
from chainsec.services.access import Basis, Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chainsec.defence.policy import Thresholds
    from chainsec.scenarios.comparison import Judged
    from chainsec.scenarios.episodes import ThreatSeen
    from chainsec.scenarios.play import Play
    from chainsec.scenarios.workload import Workload

_SCORE_BINS = 40
_ROW_SLICES = 24
_DAY_S = 86_400
_REVOCATION_EDGES_S = (0.0, 60.0, 600.0, 3_600.0, 6 * 3_600.0, 86_400.0, 3 * 86_400.0, 10 * 86_400.0, 30 * 86_400.0)
_READ_EDGES = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0)


def count_requests(workload: Workload) -> Requests:
    """Return how many requests the workload has, on which side, and what is to be said about how it was read."""
    history, live = len(workload.history), len(workload.live)
    total = history + live + workload.skipped
    if not isinstance(workload, ReplayWorkload):
        return Requests(total=total, history=history, live=live, skipped=workload.skipped)
    return Requests(
        total=total,
        history=history,
        live=live,
        skipped=workload.skipped,
        skipped_by_reason=dict(workload.skipped_by_reason),
        skipped_rows=workload.skipped_rows,
        out_of_order=workload.out_of_order,
        notes=workload.notes,
    )


def count_decisions(play: Play) -> Decisions:
    """Return what stands on chain at the end, as agent and guardians left it."""
    outcomes = Counter(episode.outcome for episode in play.episodes)
    answers = Counter(episode.answer for episode in play.episodes)
    actions = Counter(seen.response.action for seen in play.threats)
    ended = Counter("late" if found.is_late else found.by for found in play.standing.revocations)
    honest = Counter(episode.cut_off_by for episode in play.episodes if episode.attempt.denied is False)
    return Decisions(
        granted=outcomes[Status.GRANTED],
        denied=outcomes[Status.DENIED],
        escalated=outcomes[Status.ESCALATED],
        approved=answers[APPROVE],
        cancelled=answers[CANCEL],
        lapsed=answers[LAPSE],
        revoked=ended[AGENT] + ended[GUARDIAN],
        revoked_by_agent=ended[AGENT],
        revoked_by_guardian=ended[GUARDIAN],
        revoked_after_expiry=ended["late"],
        honest_cut_off_by_agent=honest[AGENT],
        honest_cut_off_by_guardian=honest[GUARDIAN],
        quarantined=actions["quarantine"],
        alerts=len(play.threats),
        overruled_by_contract=sum(episode.basis is not Basis.AGREED for episode in play.episodes),
    )


def measure_latency(play: Play, timings: Sequence[Mapping[str, Any]]) -> Latency:
    """Return how long decisions and revocations took."""
    acted = [seen for seen in play.threats if seen.response.action != "alert"]
    batches = [t for t in timings if t["decisions"]]
    waited = [episode.filed_at_s - episode.attempt.time_s for episode in play.episodes]
    return Latency(
        tick_wait_s=Quantiles.of(waited) if play.workload.has_clock else None,
        decision_blocks=Quantiles.of([e.decided_block - e.requested_block for e in play.episodes]),
        decision_ms=Quantiles.of([t["decision_ms"] / t["decisions"] for t in batches for _ in range(t["decisions"])]),
        batch_ms=Quantiles.of([t["decision_ms"] for t in batches for _ in range(t["decisions"])]),
        revocation_blocks=Quantiles.of([seen.response.block - seen.seen_block for seen in acted]),
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
        revocation_blocks=Histogram.of([s.response.block - s.seen_block for s in acted], (0.0, 1.0, 2.0, 3.0, 4.0, 5.0))
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
    for found in play.standing.revocations:
        counts[(found.time_s - first_s) // width_s]["revoked"] += not found.is_late
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
    names = _names(play)
    return tuple(
        Alert(
            time_s=seen.time_s,
            block=seen.response.block,
            kind=seen.response.threat.kind,
            requester=names.get(seen.response.threat.requester, seen.response.threat.requester),
            response=seen.response.action,  # type: ignore[arg-type] # one of three; a wider type comes from the agent
            score=seen.response.threat.score,
            grants=len(seen.response.threat.request_ids),
            attack=seen.attack,
            evidence=dict(seen.response.threat.evidence),
        )
        for seen in play.threats
    )


def _names(play: Play) -> dict[str, str]:
    """Return by address who acts on the chain: alerts about what happens there know no other names."""
    box, workload = play.box, play.workload
    return {
        **{str(box.account(member.name).address): member.name for member in workload.members},
        **{str(box.gateway(house).address): f"gateway of {house}" for house in workload.organisations},
        **{str(account.address): role for role, account in vars(box.keys).items()},
    }


def list_notices(play: Play) -> tuple[ModelNotice, ...]:
    """Return what the agent reported about its model, in time order."""
    return tuple(
        ModelNotice(
            time_s=time_s,
            kind=receipt["kind"],
            model=receipt["model"],
            stream=receipt.get("stream"),
            events=receipt.get("events"),
            challenger=receipt.get("challenger"),
            tried=len(receipt["tried"]) if "tried" in receipt else None,
            losses=tuple(receipt["losses"]) if "losses" in receipt else None,
            adopted=receipt.get("adopted"),
        )
        for time_s, receipt in play.notices
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
