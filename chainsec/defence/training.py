"""Training: from a history of requests and labels to a risk model, the same one every time.

Layer: defence. Not here: the model itself (``risk``), how well it does (``docs/models.md`` and its test).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from chainsec.defence.acquaintance import Acquaintance, plan_ties
from chainsec.defence.behaviour import Habits
from chainsec.defence.features import FacetPlan, plan_facets
from chainsec.defence.labelled import LabelledPart, train_labelled
from chainsec.defence.logistic import rank_columns
from chainsec.defence.novelty import family_of, train_novelty
from chainsec.defence.risk import EvidenceRiskModel, RiskSettings
from chainsec.defence.statistics import EVIDENCE, CountTables, weigh_many
from chainsec.defence.suspicion import learn_suspicion
from chainsec.defence.worded import weigh_words
from chainsec.models.rounding import DECIMALS

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
    habits, ties, signals, departures = _replay(plan, history, values, denied)
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
    # Contacts and profiles are strange whenever somebody is new to a task; only labels can say when that is bad.
    rare = [i for i, name in enumerate(signals) if family_of(name) not in {"tie", "fit"}]
    # After n denials none of which was of some kind, the next is of that kind with a chance of 1 in n + 1 at most.
    unseen_share = min(told.unseen_share, base_rate / (sum(labels) + 1))
    novel = train_novelty([signals[i] for i in rare], departures[usual][:, rare], unseen_share)
    held, suspicion = learn_suspicion(history, denied, base_rate)
    narrow = plan.restrict([plan.names[i] for i in kept])
    return EvidenceRiskModel(
        settings=told,
        plan=narrow,
        base_rate=base_rate,
        known=known,
        novel=novel,
        counts=counts.restrict(kept),
        habits=habits,
        ties=ties,
        held=held,
        worded=weigh_words(told.injected_share),
        suspicion=suspicion,
    )


def _replay(
    plan: FacetPlan, history: Sequence[Observation], values: Sequence[Sequence[str]], denied: Sequence[bool | None]
) -> tuple[Habits, Acquaintance | None, tuple[str, ...], Matrix]:
    """Live through the history; return habits and ties at its end, the signals' names and each row's departures.

    Each row is measured against what came before it, as live requests are.
    """
    has_clock = any(observation.has_clock for observation in history)
    ties = Acquaintance(plan_ties(plan, values), plan.facets) if has_clock else None
    habits = Habits(plan.facets, has_clock=has_clock, reaches=ties is None)
    names = habits.signal_names + (ties.signal_names if ties else ())
    departures = np.zeros((len(history), len(names)))
    for row, (observation, facets, label) in enumerate(zip(history, values, denied, strict=True)):
        measured = habits.measure(observation, facets)
        found = habits.departures(measured, facets)
        if ties:
            found.update(ties.measure(observation, facets))
            ties.observe(observation, facets)
        departures[row] = [round(found[name], DECIMALS) for name in names]
        habits.observe(observation, facets, measured)
        if label:
            habits.forget(observation, facets)
    return habits, ties, names, departures


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
    block = np.arange(n_rows) * told.folds // max(1, n_rows)
    labelled = np.array([label is not None for label in denied], dtype=np.int64)
    bad = np.array([label is True for label in denied], dtype=np.int64)
    total = CountTables(len(plan.contexts))
    evidence = np.zeros((n_rows, len(plan.contexts) * _N_KINDS))
    keyed = [plan.keys(facets) for facets in values]
    for position in range(len(plan.contexts)):
        code_of: dict[str, int] = {}
        code = np.array([code_of.setdefault(keys[position], len(code_of)) for keys in keyed], dtype=np.int64)
        n_codes = len(code_of)
        cell = code * told.folds + block
        seen = np.bincount(code, minlength=n_codes)
        told_of = [np.bincount(code, what, n_codes).astype(np.int64) for what in (labelled, bad)]
        own = [np.bincount(cell, what, n_codes * told.folds).astype(np.int64) for what in (labelled, bad)]
        total.fill(position, list(code_of), np.column_stack([seen, *told_of]))
        left = [everything[code] - inside[cell] for everything, inside in zip(told_of, own, strict=True)]
        columns = slice(position * _N_KINDS, (position + 1) * _N_KINDS)
        evidence[:, columns] = weigh_many(seen[code] - 1, left[0], left[1], base_rate, told.strength)
    return total, evidence.round(DECIMALS)


def _learn_known(
    plan: FacetPlan,
    *,
    signals: Sequence[str],
    evidence: Matrix,
    departures: Matrix,
    denied: Sequence[bool | None],
    base_rate: float,
    told: RiskSettings,
) -> tuple[LabelledPart, list[int]]:
    """Return the part that labels teach, and the positions of the contexts it needs.

    A first fit over all contexts ranks them by the absolute weight of their standardised evidence.
    """
    labelled = np.array([label is not None for label in denied], dtype=bool)
    truth = np.array([label for label in denied if label is not None], dtype=bool)
    kinds = [f"{context}:{kind}" for context in plan.names for kind in EVIDENCE]

    def fit(columns: list[int]) -> LabelledPart:
        return train_labelled(
            [*(kinds[i] for i in columns), *signals],
            np.hstack([evidence[labelled][:, columns], departures[labelled]]),
            truth,
            rising=np.array([False] * len(columns) + [True] * len(signals)),
            emphasis=[1.0] * len(columns) + [told.behaviour_emphasis] * len(signals),
            inverse_penalty=told.inverse_penalty,
            base_rate=base_rate,
        )

    n_contexts = len(plan.contexts)
    room = max(1, min(told.max_contexts, (told.max_features - len(signals) - 2) // _N_KINDS))
    if n_contexts <= room:
        return fit(list(range(len(kinds)))), list(range(n_contexts))
    pull = rank_columns(evidence[labelled], truth, told.inverse_penalty)
    strength = pull.reshape(n_contexts, _N_KINDS).sum(axis=1)
    kept = sorted(np.argsort(-strength, kind="stable")[:room].tolist())
    return fit([_N_KINDS * i + kind for i in kept for kind in range(_N_KINDS)]), kept
