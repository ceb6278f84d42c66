"""Keeps the model in use up to date: notices drift, trains a challenger, tries it in the shadow, replaces or keeps.

Two streams are watched: the scores, and how far each label lies from the score that its request got. An alarm makes
the agent careful. Once enough labels of later requests have come to light, a challenger is trained on all that is
known by then. It scores the requests that follow beside the model in use, without deciding, and takes over where it was
no worse on those of them whose labels came to light. What is tried is what is put in use.
Layer: defence, below ``agent``. Not here: what is done on chain about it (``agent``), the test (``models.drift``).
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from chainsec.models.drift import DriftSettings, DriftWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from chainsec.defence.observation import DigestedModel, Observation

    Train = Callable[[Sequence[Observation], Sequence[bool | None]], DigestedModel]

STREAMS = ("scores", "outcomes")
"""What is watched for drift: the scores, and label minus score."""


@dataclass(frozen=True)
class RenewalSettings:
    """When a model is renewed.

    Args:
        drift: when a change counts as one.
        fresh_labels: labels of requests made after an alarm before a challenger is trained, at least 1.
        trial_labels: labels of requests that both models scored before one of them is chosen, at least 1.
        patience_events: requests after which a trial that lacks labels ends without a change, at least 1.
        most_rows: the latest requests that a challenger is trained on, at most.
    """

    drift: DriftSettings = field(default_factory=DriftSettings)
    fresh_labels: int = 40
    trial_labels: int = 80
    patience_events: int = 4_000
    most_rows: int = 50_000

    def __post_init__(self) -> None:
        if min(self.fresh_labels, self.trial_labels, self.patience_events, self.most_rows) < 1:
            raise ValueError("a setting of the renewal is out of range")


@dataclass(frozen=True)
class Drift:
    """An alarm.

    Args:
        stream: what drifted, one of ``STREAMS``.
        events: figures of that stream since the model was put in use or last confirmed.
        statistic: what the test has come to.
        threshold: from where on it is an alarm.
    """

    stream: str
    events: int
    statistic: float
    threshold: int


class Tried(NamedTuple):
    """One request of a trial: both scores, and the label as it stands."""

    request_id: str
    denied: bool
    in_use: float
    challenger: float


def count_losses(rows: Iterable[tuple[bool, float]]) -> float:
    """Return Brier's score of pairs of label and score.

    >>> count_losses([(True, 0.5), (False, 0.5)])
    0.25

    Source: Brier, "Verification of forecasts expressed in terms of probability" (1950).
    """
    losses = [(denied - score) ** 2 for denied, score in rows]
    return math.fsum(losses) / max(1, len(losses))


@dataclass(frozen=True)
class Trial:
    """The end of a trial.

    Args:
        challenger: the model that was tried, None where the labels never sufficed to train one.
        rows: what it was trained on.
        tried: the requests that count, in the order of their labels.
    """

    challenger: DigestedModel | None
    rows: int
    tried: tuple[Tried, ...]

    @property
    def losses(self) -> tuple[float, float]:
        """Brier's score of the model in use and of the challenger; 0 where nothing was tried."""
        return (
            count_losses((row.denied, row.in_use) for row in self.tried),
            count_losses((row.denied, row.challenger) for row in self.tried),
        )

    def is_won(self, least: int) -> bool:
        """Tell whether the challenger takes over: ``least`` labels or more, and no worse than the model in use."""
        in_use, challenger = self.losses
        return self.challenger is not None and len(self.tried) >= least and challenger <= in_use


class DriftWatches:
    """Both watches over a model in use; whoever replays its receipts and labels comes to the same alarms.

    Args:
        settings: when a change counts as one.
    """

    def __init__(self, settings: DriftSettings) -> None:
        self._settings = settings
        self._scores: dict[str, float] = {}
        self._told: set[str] = set()
        self._watches = {stream: DriftWatch(settings) for stream in STREAMS}

    def note_score(self, request_id: str, score: float) -> None:
        """Take the score of a request."""
        self._scores[request_id] = score
        self._watches["scores"].observe(score)

    def note_label(self, request_id: str, denied: bool) -> None:  # noqa: FBT001 - the label itself
        """Take the first label of a request; one that corrects, or of another request, is passed over."""
        if request_id in self._scores and request_id not in self._told:
            self._told.add(request_id)
            self._watches["outcomes"].observe(denied - self._scores[request_id])

    def alarm(self, stream: str) -> Drift | None:
        """Return the alarm that is due for a stream, None where there is none, or no such stream."""
        watch = self._watches.get(stream)
        if watch is None or watch.drifted_at is None:
            return None
        return Drift(stream, watch.drifted_at, watch.statistic, self._settings.events_per_false_alarm)


@dataclass
class _Row:
    observation: Observation
    denied: bool | None


@dataclass
class _Attempt:
    """What is under way since an alarm."""

    began_at: int
    scored: set[str] = field(default_factory=set)
    labelled: int = 0
    challenger: DigestedModel | None = None
    rows: int = 0
    pairs: dict[str, tuple[float, float]] = field(default_factory=dict)
    labels: dict[str, bool] = field(default_factory=dict)


class Renewal:
    """Watches over a model in use. The same events in the same order lead to the same alarms and the same models.

    Args:
        history: what the model in use was trained on, oldest first.
        denied: the labels it was trained with, None where unknown.
        train: makes a model of observations and labels.
        settings: when a model is renewed.

    ``news`` is what the agent has to make known before it goes on, None where there is nothing.
    """

    def __init__(
        self,
        history: Sequence[Observation],
        denied: Sequence[bool | None],
        train: Train,
        settings: RenewalSettings | None = None,
    ) -> None:
        self.settings = settings or RenewalSettings()
        self._train = train
        self._rows: deque[_Row] = deque(
            (_Row(*pair) for pair in zip(history, denied, strict=True)), maxlen=self.settings.most_rows
        )
        self._by_id: dict[str, _Row] = {}
        self._watches = DriftWatches(self.settings.drift)
        self._attempt: _Attempt | None = None
        self._events = 0
        self.news: Drift | Trial | None = None

    def note_score(self, observation: Observation, score: float) -> None:
        """Take a request that the model in use has scored."""
        if len(self._rows) == self._rows.maxlen:
            self._by_id.pop(self._rows[0].observation.id, None)
        row = _Row(observation, None)
        self._rows.append(row)
        self._by_id[observation.id] = row
        self._events += 1
        attempt = self._attempt
        if attempt is None:
            self._watches.note_score(observation.id, score)
        elif attempt.challenger is None:
            attempt.scored.add(observation.id)
        else:
            features = attempt.challenger.features(observation)
            attempt.pairs[observation.id] = score, attempt.challenger.score(features)
            attempt.challenger.observe(observation)
        self._look()

    def note_label(self, observation: Observation, denied: bool) -> None:  # noqa: FBT001 - the label itself
        """Take a label that has come to light, or that corrects an earlier one."""
        row = self._by_id.get(observation.id)
        before = None if row is None else row.denied
        if row is not None:
            row.denied = denied
        attempt = self._attempt
        if attempt is None:
            self._watches.note_label(observation.id, denied)
        elif attempt.challenger is None:
            attempt.labelled += before is None and observation.id in attempt.scored
        else:
            (attempt.challenger.learn if before is None else attempt.challenger.correct)(observation, denied)
            if observation.id in attempt.pairs:
                attempt.labels[observation.id] = denied
        self._look()

    def note_threat(self, requester: str, time_s: int, severity: float) -> None:
        """Let the challenger know of a threat."""
        if self._attempt is not None and self._attempt.challenger is not None:
            self._attempt.challenger.note_threat(requester, time_s, severity)

    def withdraw_threat(self, requester: str, time_s: int, severity: float) -> None:
        """Let the challenger know that a threat was none."""
        if self._attempt is not None and self._attempt.challenger is not None:
            self._attempt.challenger.withdraw_threat(requester, time_s, severity)

    def acknowledge(self) -> None:
        """Go on after ``news`` was made known: gather labels after an alarm, watch anew after a trial."""
        if isinstance(self.news, Drift):
            self._attempt = _Attempt(self._events)
        elif self.news is not None:
            self._attempt = None
            self._watches = DriftWatches(self.settings.drift)
        self.news = None

    def _look(self) -> None:
        """See whether something is due. While news waits to be made known, nothing else is."""
        if self.news is not None:
            return
        attempt, settings = self._attempt, self.settings
        if attempt is None:
            self.news = self._watches.alarm("scores") or self._watches.alarm("outcomes")
            return
        if attempt.challenger is None and attempt.labelled >= settings.fresh_labels:
            attempt.rows = len(self._rows)
            attempt.challenger = self._train(
                [row.observation for row in self._rows], [row.denied for row in self._rows]
            )
        is_over = self._events - attempt.began_at >= settings.patience_events
        if len(attempt.labels) >= settings.trial_labels or is_over:
            tried = [Tried(name, denied, *attempt.pairs[name]) for name, denied in attempt.labels.items()]
            self.news = Trial(attempt.challenger, attempt.rows, tuple(tried))

    def describe(self) -> dict[str, Any]:
        """Return where the renewal stands, JSON values, for whoever looks on."""
        attempt = self._attempt
        stage = "watching" if attempt is None else "gathering" if attempt.challenger is None else "trying"
        return {"stage": stage, "events": self._events, "labels": 0 if attempt is None else len(attempt.labels)}
