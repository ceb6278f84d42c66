"""A report as the hospital demo could leave it, drawn from one seed: every figure follows from the scores drawn."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from chainsec.scenarios.report_schema import (
    AttackOutcome,
    Audit,
    Cost,
    Decisions,
    Latency,
    Measures,
    OperationGas,
    Organisation,
    Quality,
    Report,
    Requests,
    Run,
    Throughput,
)
from chainsec.scenarios.report_series import (
    Alert,
    Curves,
    DecisionBucket,
    Histogram,
    Quantiles,
    ScoreHistogram,
    ScoreMark,
    Series,
)

if TYPE_CHECKING:
    from collections.abc import Callable

DAY_S = 86_400
START_S = 1_767_571_200
KINDS = (
    "stolen credentials",
    "snooping",
    "mass export",
    "purpose misuse",
    "dormant account",
    "slow exfiltration",
)
RECORD_BYTES = 48_000


def measure(scores, bad, kinds, *, denied, escalated, revoked) -> dict:
    good_n, bad_n = int((~bad).sum()), int(bad.sum())
    both = good_n > 0 and bad_n > 0
    fpr, tpr, _ = roc_curve(bad, scores) if both else ([0], [0], [0])
    recalls = [float(np.interp(share, fpr, tpr)) if both else None for share in (0.01, 0.05, 0.1, 0.2, 0.3)]
    held = denied | escalated
    approved = escalated & (np.arange(len(scores)) % 7 == 0)
    stopped = held & ~approved
    lapsed = escalated & (np.arange(len(scores)) % 7 == 1)
    cancelled = escalated & ~approved & ~lapsed
    lowered = escalated & (np.arange(len(scores)) % 3 == 2)
    revoked = revoked & ~stopped

    def share(flags, of):
        return float(flags[of].mean()) if of.any() else None

    leaked = int((bad & ~stopped).sum())
    per_attack = {}
    for kind in KINDS:
        of_kind = kinds == kind
        n = int(of_kind.sum())
        if n:
            per_attack[kind] = AttackOutcome(
                requests=n,
                denied=int((of_kind & denied).sum()),
                escalated=int((of_kind & escalated).sum()),
                approved=int((of_kind & approved).sum()),
                stopped=int((of_kind & stopped).sum()),
                cut_off=int((of_kind & revoked).sum()),
                cut_off_late=0,
                recall=float((of_kind & stopped).sum() / n),
                leaked_bytes=int((of_kind & ~stopped).sum()) * RECORD_BYTES,
                leaked_records=int((of_kind & ~stopped).sum()),
            )
    return {
        "auc": float(roc_auc_score(bad, scores)) if both else None,
        "average_precision": float(average_precision_score(bad, scores)) if both else None,
        "denial_recall_at_1pct": recalls[0],
        "denial_recall_at_5pct": recalls[1],
        "denial_recall_at_10pct": recalls[2],
        "good_requests": good_n,
        "bad_requests": bad_n,
        "bad_held_up_rate": share(held, bad),
        "bad_stopped_rate": share(stopped, bad),
        "bad_stopped_by_ceiling_rate": share(stopped & lowered, bad),
        "bad_cut_off_rate": share(revoked, bad),
        "held_at_agents_share": recalls[3],
        "held_at_rules_share": recalls[4],
        "good_denied_rate": share(denied, ~bad),
        "good_escalated_rate": share(escalated, ~bad),
        "good_refused_rate": share(denied | cancelled, ~bad),
        "good_lapsed_rate": share(lapsed, ~bad),
        "leaked_bytes": leaked * RECORD_BYTES,
        "leaked_records": leaked,
        "per_attack": per_attack,
    }


def curves(scores, bad) -> Curves | None:
    if bad.all() or not bad.any():
        return None
    fpr, tpr, _ = roc_curve(bad, scores, drop_intermediate=False)
    precision, recall, _ = precision_recall_curve(bad, scores)
    return Curves(
        roc=tuple((float(x), float(y)) for x, y in zip(fpr, tpr, strict=True)),
        precision_recall=tuple((float(x), float(y)) for x, y in zip(recall[::-1], precision[::-1], strict=True)),
    )


def draw_report(live: int = 2113, attack_rate: float = 0.068, seed: int = 7, **changes) -> Report:
    rng = np.random.default_rng(seed)
    bad = rng.random(live) < attack_rate
    kinds = np.where(bad, rng.choice(KINDS, live, p=[0.22, 0.26, 0.14, 0.14, 0.06, 0.18]), "")
    skill = np.select([kinds == kind for kind in KINDS], [1.0, 0.5, 1.3, 0.9, 1.1, 0.42], 0)
    scores = np.where(bad, rng.beta(1 + 5 * skill, 1.6), rng.beta(0.7, 8.5, live))
    rules = np.clip(np.round(np.where(bad, rng.beta(1.2, 1.8, live), rng.beta(0.9, 3.2, live)) * 6) / 6, 0, 1)
    denied, escalated = scores >= 0.7, (scores >= 0.45) & (scores < 0.7)
    rules_denied = rules >= 0.6
    none = np.zeros(live, dtype=bool)
    revoked = bad & ~denied & ~escalated & (rng.random(live) < 0.6)
    agent = measure(scores, bad, kinds, denied=denied, escalated=escalated, revoked=revoked)
    baselines = {
        "grant all": Measures(**measure(np.zeros(live), bad, kinds, denied=none, escalated=none, revoked=none)),
        "rules only": Measures(**measure(rules, bad, kinds, denied=rules_denied, escalated=none, revoked=none)),
    }
    day = rng.integers(0, 30, live)
    edges = np.linspace(0, 1, 21)
    delays = rng.geometric(0.86, int(revoked.sum()))
    seconds = delays * 12 + rng.integers(0, 12, len(delays))
    reads = rng.poisson(0.7, len(delays))
    drawn = {"agent": curves(scores, bad), "rules only": curves(rules, bad)}
    timeline = tuple(
        Alert(
            time_s=START_S + int(day[i]) * DAY_S + 3600 * (i % 24),
            block=int(3 * i // 2),
            kind="volume" if i % 2 else "exfiltration",
            requester=f"nurse-{i % 60:02d}",
            response=("alert", "revoke", "quarantine")[i % 3],
            score=float(scores[i]),
            grants=1 + i % 3,
            attack=str(kinds[i]),
            evidence={"records_per_hour": 9 + i % 20, "usual": 2.5},
        )
        for i in map(int, np.flatnonzero(revoked))
    )
    decided = live
    request_gas, decision_gas = 30_412 * live, 43_871 * live
    operations = {
        "request": OperationGas(items=live, transactions=-(-live // 25), gas_total=request_gas),
        "decide": OperationGas(items=live, transactions=-(-live // 25), gas_total=decision_gas),
        "revoke": OperationGas(items=len(delays), transactions=len(delays), gas_total=58_120 * len(delays)),
        "alert": OperationGas(items=len(timeline), transactions=len(timeline), gas_total=39_004 * len(timeline)),
        "anchor uses": OperationGas(items=30, transactions=30, gas_total=30 * 52_310),
        "consent": OperationGas(items=900, transactions=18, gas_total=900 * 27_400),
        "deploy": OperationGas(items=7, transactions=7, gas_total=9_812_004),
    }
    parts = {
        "run": Run(
            name="hospital",
            kind="demo",
            seed=seed,
            engine="eth-tester",
            model_digest="0x" + "3f" * 32,
            started_at_s=START_S,
            days=30.0,
            settings={"policy.deny_score": 0.7, "policy.escalate_score": 0.45, "agent.batch_size": 25, "strict": True},
            settings_digest="0x" + "a1" * 32,
            version="0.1.0",
        ),
        "requests": Requests(
            total=live + 1402,
            history=1400,
            live=live,
            skipped=2,
            skipped_by_reason={"unreadable time": 1, "empty": 1},
            skipped_rows=((17, "field time: unreadable time 'noon', expected iso8601"), (40, "empty requester")),
            out_of_order=12,
            notes=(
                "requester: the manager answers for each request",
                "12 rows were sorted by time",
            ),
        ),
        "decisions": Decisions(
            granted=decided - int(denied.sum()) - int(escalated.sum()),
            denied=int(denied.sum()),
            escalated=int(escalated.sum()),
            approved=int(escalated.sum()) // 2,
            cancelled=int(escalated.sum()) // 3,
            lapsed=int(escalated.sum()) // 9,
            revoked=len(delays),
            revoked_by_agent=len(delays) - len(delays) // 4,
            revoked_by_guardian=len(delays) // 4,
            revoked_after_expiry=3,
            honest_cut_off_by_agent=5,
            honest_cut_off_by_guardian=2,
            quarantined=sum(alert.response == "quarantine" for alert in timeline),
            alerts=len(timeline),
            overruled_by_contract=min(4, live),
        ),
        "quality": Quality(**agent, baselines=baselines),
        "latency": Latency(
            tick_wait_s=Quantiles.of(rng.integers(1, 3600, live)),
            decision_blocks=Quantiles.of(rng.geometric(0.7, live)),
            batch_ms=Quantiles.of(rng.gamma(9, 4.0, live)),
            decision_ms=Quantiles.of(rng.gamma(3, 0.4, live)),
            revocation_blocks=Quantiles.of(delays),
        ),
        "cost": Cost(
            transactions=sum(entry.transactions for entry in operations.values()),
            gas_total=sum(entry.gas_total for entry in operations.values()),
            gas_per_decision=decision_gas / live if live else None,
            gas_by_operation=operations,
        ),
        "throughput": Throughput(decisions_per_s=83.4, elapsed_s=25.3),
        "audit": Audit(blocks=1843, receipts=live, verified=True, head_hash="0x" + "0c" * 32),
        "parties": tuple(
            Organisation(
                name=name,
                members=20,
                records=100,
                requests=live // 3,
                granted=live // 4,
                denied=live // 30,
                escalated=live // 40,
            )
            for name in ("Nordkai Hospital", "Lindenhof Clinic", "Institute for Registry Research")
        ),
        "series": Series(
            scores=ScoreHistogram(
                edges=tuple(map(float, edges)),
                good=tuple(map(int, np.histogram(scores[~bad], edges)[0])),
                bad=tuple(map(int, np.histogram(scores[bad], edges)[0])),
                unlabelled=(0,) * 20,
            ),
            score_marks=(ScoreMark(name="escalate", score=0.45), ScoreMark(name="deny", score=0.7)),
            curves={name: curve for name, curve in drawn.items() if curve is not None},
            decisions_over_time=tuple(
                DecisionBucket(
                    start_s=START_S + d * DAY_S,
                    granted=int((~denied & ~escalated)[day == d].sum()),
                    denied=int(denied[day == d].sum()),
                    escalated=int(escalated[day == d].sum()),
                    bad=int(bad[day == d].sum()),
                    revoked=int(revoked[day == d].sum()),
                )
                for d in range(30)
            ),
            revocation_blocks=Histogram.of(delays, range(1, max(Counter(delays), default=1) + 3)),
            revocation_s=Histogram.of(seconds, [0, 15, 30, 60, 120, 300]),
            reads_before_revocation=Histogram.of(reads, range(8)),
        ),
        "timeline": timeline,
    }
    return Report(**{**parts, **changes})


@pytest.fixture(scope="session")
def make_report() -> Callable[..., Report]:
    """Return the drawer: ``make_report(live, attack_rate, seed, **replaced parts)``."""
    return draw_report


@pytest.fixture(scope="session")
def report() -> Report:
    return draw_report()
