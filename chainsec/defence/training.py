"""Training: from a history of requests and labels to a risk model, the same one every time.

Layer: defence. Not here: the model itself (``risk``), how well it does (``docs/models.md`` and its test).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from chainsec.defence.behaviour import Habits
from chainsec.defence.features import FacetPlan, plan_facets
from chainsec.defence.logistic import LogisticPart, train_logistic
from chainsec.defence.novelty import train_novelty
from chainsec.defence.risk import DECIMALS, EvidenceRiskModel, RiskSettings
from chainsec.defence.statistics import DENIED, EVIDENCE, LABELLED, SEEN, CountTables, weigh_evidence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainsec.defence.observation import Observation

Matrix = npt.NDArray[np.float64]
_N_KINDS = len(EVIDENCE)


def train_risk_model(
    history: Sequence[Observation], denied: Sequence[bool | None], *, settings: RiskSettings | None = None
) -> EvidenceRiskModel:
    """Train on ``history`` in time order; ``denied`` holds the labels, None where unknown.

    A history without labels, of one class, or empty gives a model too: it says the base rate and what habits say.
    Nothing is drawn at random: the same history gives the same digest.

    Args:
        history: observations, oldest first.
        denied: one label an observation, True = must not be granted.
        settings: defaults as in ``RiskSettings``.

    Raises:
        ValueError: labels and observations differ in number.

    >>> from chainsec.defence.observation import Observation
    >>> asks = [Observation(f"0x{i}", i * 60, "ann", "scan", "read", "treatment") for i in range(8)]
    >>> model = train_risk_model(asks, [False] * 8)
    >>> 0.0 < model.score(model.features(asks[0])) < 0.5
    True
    """
    if len(history) != len(denied):
        raise ValueError(f"{len(history)} observations, but {len(denied)} labels")
    told = settings or RiskSettings()
    labels = [label for label in denied if label is not None]
    base_rate = (sum(labels) + 0.5) / (len(labels) + 10.0)
    plan = plan_facets(history)
    values = [plan.values(observation) for observation in history]
    habits, signals, departures = _replay(plan, history, values, denied)
    counts, evidence = _gather_evidence(plan, values, denied, base_rate, told)

    known, kept = _learn_known(
        plan,
        signals=signals,
        evidence=evidence,
        departures=departures,
        denied=denied,
        base_rate=base_rate,
        told=told,
    )
    usual = np.array([label is not True for label in denied], dtype=bool)
    usual[: int(len(history) * told.warm_up_rate)] = False
    novel = train_novelty(signals, departures[usual], told.unseen_share)
    narrow = plan.restrict([plan.names[i] for i in kept])
    return EvidenceRiskModel(
        settings=told,
        plan=narrow,
        base_rate=base_rate,
        known=known,
        novel=novel,
        counts=counts.restrict(kept),
        habits=habits,
    )


def _replay(
    plan: FacetPlan, history: Sequence[Observation], values: Sequence[Sequence[str]], denied: Sequence[bool | None]
) -> tuple[Habits, tuple[str, ...], Matrix]:
    """Live through the history; return the habits at its end, the signals' names and each row's departures.

    Each row is measured against what came before it, as live requests are.
    """
    habits = Habits(plan.facets, has_clock=any(observation.has_clock for observation in history))
    names = habits.signal_names
    departures = np.zeros((len(history), len(names)))
    for row, (observation, facets, label) in enumerate(zip(history, values, denied, strict=True)):
        found = habits.departures(habits.measure(observation, facets), facets)
        departures[row] = [round(found[name], DECIMALS) for name in names]
        habits.observe(observation, facets)
        if label:
            habits.forget(observation, facets)
    return habits, names, departures


def _gather_evidence(
    plan: FacetPlan,
    values: Sequence[Sequence[str]],
    denied: Sequence[bool | None],
    base_rate: float,
    told: RiskSettings,
) -> tuple[CountTables, Matrix]:
    """Return the counts of the whole history, and each row's evidence, shape (n_rows, n_contexts * 3).

    A row's evidence leaves out the labels of its block of history and its own sighting, so that no row sees its own
    answer; blocks, not single rows, because neighbours in time often share one cause.
    """
    n_rows = len(values)
    total = CountTables(len(plan.contexts))
    blocks = [CountTables(len(plan.contexts)) for _ in range(told.folds)]
    keyed = [plan.keys(facets) for facets in values]
    for row, (keys, label) in enumerate(zip(keyed, denied, strict=True)):
        total.see(keys)
        if label is not None:
            total.label(keys, label)
            blocks[row * told.folds // n_rows].label(keys, label)
    evidence = np.zeros((n_rows, len(plan.contexts) * _N_KINDS))
    for row, keys in enumerate(keyed):
        own = blocks[row * told.folds // n_rows].look_up(keys)
        evidence[row] = [
            round(value, DECIMALS)
            for everything, block in zip(total.look_up(keys), own, strict=True)
            for value in weigh_evidence(
                everything[SEEN] - 1,
                everything[LABELLED] - block[LABELLED],
                everything[DENIED] - block[DENIED],
                base_rate,
                told.strength,
            )
        ]
    return total, evidence


def _learn_known(
    plan: FacetPlan,
    *,
    signals: Sequence[str],
    evidence: Matrix,
    departures: Matrix,
    denied: Sequence[bool | None],
    base_rate: float,
    told: RiskSettings,
) -> tuple[LogisticPart, list[int]]:
    """Return the part that labels teach, and the positions of the contexts it needs.

    A first fit over all contexts ranks them by the absolute weight of their standardised evidence.
    """
    labelled = np.array([label is not None for label in denied], dtype=bool)
    truth = np.array([label for label in denied if label is not None], dtype=bool)
    kinds = [f"{context}:{kind}" for context in plan.names for kind in EVIDENCE]

    def fit(columns: list[int]) -> LogisticPart:
        return train_logistic(
            [*(kinds[i] for i in columns), *signals],
            np.hstack([evidence[labelled][:, columns], departures[labelled]]),
            truth,
            rising=np.array([False] * len(columns) + [True] * len(signals)),
            emphasis=[1.0] * len(columns) + [told.behaviour_emphasis] * len(signals),
            inverse_penalty=told.inverse_penalty,
            base_rate=base_rate,
        )

    everything = list(range(len(kinds)))
    n_contexts = len(plan.contexts)
    known = fit(everything)
    if n_contexts <= told.max_contexts:
        return known, list(range(n_contexts))
    spread = evidence[labelled].std(axis=0) if known.weights else np.zeros(len(kinds))
    pull = [abs(known.weights[name][0]) * spread[i] if known.weights else 0.0 for i, name in enumerate(kinds)]
    strength = np.array(pull).reshape(n_contexts, _N_KINDS).sum(axis=1)
    kept = sorted(np.argsort(-strength, kind="stable")[: told.max_contexts].tolist())
    return fit([_N_KINDS * i + kind for i in kept for kind in range(_N_KINDS)]), kept
