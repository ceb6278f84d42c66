"""Trains a risk model on a log of requests, and scores a log with one.

Any log that a mapping describes will do: with labels or without, with times or without. Layer: scenarios. Not here: the
model (``chainsec.defence``), its folder (``model_folder``), reading logs (``logs``, ``mapping``).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from chainsec.defence.observation import Observation
from chainsec.defence.training import train_risk_model
from chainsec.errors import BadInput
from chainsec.scenarios.defects import Defects
from chainsec.scenarios.episodes import observed_of
from chainsec.scenarios.quality import area_under_roc, denial_recall
from chainsec.scenarios.replay import read_attempts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from chainsec.defence.risk import EvidenceRiskModel
    from chainsec.scenarios.mapping import LogMapping

    OnStep = Callable[[str, int, int], None]

CHECKED_RATE = 0.2
"""Share of the rows, the latest ones, that a trained model is checked on."""
WEEK_S = 7 * 86_400
_ROWS_PER_STEP = 500


@dataclass(frozen=True)
class LogRows:
    """The rows of a log in the order of time.

    Args:
        observations: what the rows say.
        denied: their labels, None where the log tells none.
        records: which row of the log each is, the first one being 1.
        skipped: number of bad rows left out.
        remarks: sentences about how the rows were read.
    """

    observations: tuple[Observation, ...]
    denied: tuple[bool | None, ...]
    records: tuple[int, ...]
    skipped: int = 0
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Check:
    """How well a model trained on the earlier rows told apart the later ones.

    Args:
        trained: rows that it was trained on.
        tested: labelled rows among the later ones.
        denied: of these, those that were denied.
        auc: area under the ROC curve.
        caught: share of denied rows among the highest scores, by share of granted rows that would be refused.
    """

    trained: int
    tested: int
    denied: int
    auc: float
    caught: dict[float, float] = field(default_factory=dict)


def read_rows(log: Path, mapping: LogMapping, *, skip_bad: bool = False, on_step: OnStep = lambda *_: None) -> LogRows:
    """Return the rows of ``log``.

    Args:
        log: CSV, JSON Lines or a JSON array of records, each also as gzip.
        mapping: what the log's parts mean.
        skip_bad: leave bad rows out instead of failing at the first.
        on_step: told how it proceeds.

    Raises:
        BadInput: a bad row, named by file, line and field; a missing column; a log without a usable row.
    """
    defects = Defects(log, skip_bad=skip_bad)
    found = read_attempts(log, mapping, defects, on_progress=lambda done, total: on_step("log", done, total or done))
    if not found:
        raise BadInput(f"{log}: has no rows", path=str(log))
    found.sort(key=lambda one: one.attempt.time_s)
    return LogRows(
        observations=tuple(
            Observation(
                id=f"row-{one.record}",
                sensitivity=one.sensitivity,
                **observed_of(one.attempt, has_clock=mapping.has_clock),
            )
            for one in found
        ),
        denied=tuple(one.attempt.denied for one in found),
        records=tuple(one.record for one in found),
        skipped=defects.total,
        remarks=defects.list_unknown(),
    )


def move_behind(rows: LogRows, until_s: int) -> tuple[LogRows, int]:
    """Return the rows moved on by whole weeks, so that all come after ``until_s``, and by how many weeks.

    A model's past ends somewhere; requests from before that end would meet a past that lies in their future, and look
    hasty or new for no reason. Whole weeks keep the hour and the weekday; rows that come later stay as they are, and so
    do those of a log without times.

    Args:
        rows: in the order of time.
        until_s: the latest time that a model has seen.
    """
    first = rows.observations[0]
    if not first.has_clock or first.time_s > until_s:
        return rows, 0
    weeks = (until_s - first.time_s) // WEEK_S + 1
    moved = tuple(replace(found, time_s=found.time_s + weeks * WEEK_S) for found in rows.observations)
    return replace(rows, observations=moved), weeks


def train_on_rows(rows: LogRows) -> EvidenceRiskModel:
    """Return the model that the rows and their labels teach; the same rows give the same digest."""
    return train_risk_model(rows.observations, rows.denied)


def check_on_rows(rows: LogRows, on_step: OnStep = lambda *_: None) -> Check | None:
    """Train on the earlier rows and score the later ones, which stay unlabelled.

    Returns:
        What came of it; None where the later rows have not labels of both kinds.
    """
    split = len(rows.observations) - int(CHECKED_RATE * len(rows.observations))
    later = [label for label in rows.denied[split:] if label is not None]
    if len(set(later)) < 2 or not split:  # noqa: PLR2004 - denied and granted
        return None
    model = train_risk_model(rows.observations[:split], rows.denied[:split])
    tail = LogRows(rows.observations[split:], rows.denied[split:], rows.records[split:])
    by_record = dict(score_rows(model, tail, on_step=on_step))
    scores = [by_record[record] for record, label in zip(tail.records, tail.denied, strict=True) if label is not None]
    caught = {rate: denial_recall(scores, later, rate) or 0.0 for rate in (0.01, 0.05, 0.10)}
    return Check(split, len(later), sum(later), area_under_roc(scores, later) or 0.0, caught)


def score_rows(
    model: EvidenceRiskModel,
    rows: LogRows,
    *,
    learn_after: int | None = None,
    on_scored: Callable[[int, Mapping[str, float]], None] = lambda *_: None,
    on_step: OnStep = lambda *_: None,
) -> list[tuple[int, float]]:
    """Return each row's number and risk, in the order of the log; each row is scored before it enters the past.

    Args:
        model: what scores; it goes on from the past that it knows.
        rows: what is scored.
        learn_after: a row's label comes to light after so many further rows; None keeps all labels hidden.
        on_scored: told each row's number and features, while the model still stands as it scored them.
        on_step: told how it proceeds.
    """
    found: list[tuple[int, float]] = []
    waiting: deque[int] = deque()
    for place, observation in enumerate(rows.observations):
        while learn_after is not None and waiting and place - waiting[0] > learn_after:
            known = waiting.popleft()
            label = rows.denied[known]
            if label is not None:
                model.learn(rows.observations[known], label)
        features = model.features(observation)
        found.append((rows.records[place], model.score(features)))
        on_scored(rows.records[place], features)
        model.observe(observation)
        waiting.append(place)
        if place % _ROWS_PER_STEP == 0:
            on_step("score", place, len(rows.observations))
    on_step("score", len(rows.observations), len(rows.observations))
    return sorted(found)
