"""Measures how long the agent's judgement takes: one request from its facts to its reasons, and many at once.

Beside scikit-learn's own boosting, calibrated, on the same features in the same run. Layer: bench. Not here: what the
judgement is worth (``chainsec.evaluation``).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from chainsec.bench.rows import Findings, Row
from chainsec.defence.observation import Observation
from chainsec.defence.training import train_risk_model
from chainsec.scenarios.episodes import observed_of
from chainsec.scenarios.hospital import hospital

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainsec.defence.risk import EvidenceRiskModel

    OnStep = Callable[[str, int, int], None]

_SEED, _REASONS = 7, 4
_BATCH = 4_000
_PEER = "scikit-learn, calibrated boosting"


def bench_judgement(
    *, days: int = 60, requests: int = 2_000, rounds: int = 5, on_step: OnStep = lambda *_: None
) -> Findings:
    """Time the steps of a judgement on one core.

    Args:
        days: of the hospital whose history the model knows, at least 30; ten more are judged.
        requests: judged one after the other, at least 100.
        rounds: batches scored, at least 1.
        on_step: told how it proceeds.

    Returns:
        Rows in requests a second, ratios against scikit-learn; notes with the median and the slowest in a hundred.
    """
    on_step("hospital", 0, 1)
    workload = hospital(_SEED, days=days + 10, history_days=days, intensity=1.5)
    sensitivities = {record.name: record.sensitivity for record in workload.records}
    history, live = (
        [
            Observation(f"r{place}", sensitivity=sensitivities[one.asset], **observed_of(one, has_clock=True))
            for place, one in enumerate(attempts)
        ]
        for attempts in (workload.history, workload.live)
    )
    labels = [one.denied if one.label_at_s is not None else None for one in workload.history]
    on_step("hospital", 1, 1)
    model = train_risk_model(history, labels)
    with threadpool_limits(1):
        taken, rows = _judge_each(model, live, requests, on_step)
        peer = _fit_peer(rows, np.array([bool(one.denied) for one in workload.live[: len(rows)]]))
        found = _compare(model, peer, taken, rows, rounds=rounds, on_step=on_step)
    whole = np.sum([*taken.values()], axis=0)
    known = f"The model knows {len(history):,} requests, receipts hold {rows.shape[1]} features"
    notes = [
        f"{known}, trees count {model.scoring.known.share:.0%}.",
        *(_quantiles(name, times) for name, times in (*taken.items(), ("one request, all of it", whole))),
    ]
    settings = {"days": days, "requests": requests, "rounds": rounds, "seed": _SEED}
    return Findings("judgement", found, settings, "a second", notes)


def _judge_each(
    model: EvidenceRiskModel, live: Sequence[Observation], requests: int, on_step: OnStep
) -> tuple[dict[str, Any], Any]:
    """Judge requests one by one as the agent does; return the seconds of each step, and the features."""
    steps: dict[str, list[float]] = {"features": [], "score": [], "reasons": [], "observe": []}
    rows: list[list[float]] = []
    todo = live[:requests]
    for place, observation in enumerate(todo):
        marks = [time.perf_counter()]
        features = model.features(observation)
        marks.append(time.perf_counter())
        model.score(features)
        marks.append(time.perf_counter())
        model.reasons(features, _REASONS)
        marks.append(time.perf_counter())
        model.observe(observation)
        marks.append(time.perf_counter())
        for times, began, ended in zip(steps.values(), marks, marks[1:], strict=False):
            times.append(ended - began)
        rows.append([features[name] for name in model.scoring.names])
        if place % 100 == 0:
            on_step("one by one", place, len(todo))
    on_step("one by one", len(todo), len(todo))
    return {name: np.array(times) for name, times in steps.items()}, np.array(rows)


def _fit_peer(rows: Any, denied: Any) -> CalibratedClassifierCV:
    boosting = HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=12, early_stopping=False, random_state=0)
    return CalibratedClassifierCV(boosting, method="sigmoid", cv=3).fit(rows, denied)


def _compare(
    model: EvidenceRiskModel,
    peer: CalibratedClassifierCV,
    taken: dict[str, Any],
    rows: Any,
    *,
    rounds: int,
    on_step: OnStep,
) -> list[Row]:
    batch = np.tile(rows, (-(-_BATCH // len(rows)), 1))[:_BATCH]
    single, many_ours, many_theirs = [], [], []
    for done in range(rounds):
        single.append(_rate(lambda: [peer.predict_proba(row[None, :]) for row in rows[:20]], 20))
        many_theirs.append(_rate(lambda: peer.predict_proba(batch), len(batch)))
        many_ours.append(_rate(lambda: model.scoring.score_many(batch), len(batch)))
        on_step("batches", done + 1, rounds)
    score = [len(part) / part.sum() for part in np.array_split(taken["score"], rounds)]
    whole = np.sum([*taken.values()], axis=0)
    each = [len(part) / part.sum() for part in np.array_split(whole, rounds)]
    one_peer, many_peer = Row.of(f"score of one, {_PEER}", single), Row.of(f"score of many, {_PEER}", many_theirs)
    return [
        one_peer,
        Row.of("score of one, chainsec", score, one_peer),
        Row.of("facts to reasons of one, chainsec", each, one_peer),
        many_peer,
        Row.of("score of many, chainsec", many_ours, many_peer),
    ]


def _quantiles(name: str, times_s: Any) -> str:
    median, slowest = 1000 * np.percentile(times_s, (50, 99))
    return f"{name}: median {median:.3f} ms, 99 % within {slowest:.3f} ms"


def _rate(act: Callable[[], object], count: int) -> float:
    began = time.perf_counter()
    act()
    return count / (time.perf_counter() - began)
