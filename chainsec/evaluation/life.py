"""Plays a workload past the agent's judgement without a chain: scores, verdicts, guardians' answers, revealed labels.

The model, the policy, the renewal are the agent's own; left out are the chain, its delays and the watch over uses.
Layer: evaluation. Not here: what is asked of it (the studies).
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from chainsec.defence.observation import Observation
from chainsec.defence.policy import choose_verdict, thresholds_by_sensitivity
from chainsec.defence.renewal import Drift, Renewal, RenewalSettings, Trial
from chainsec.defence.training import train_risk_model
from chainsec.primitives import Verdict
from chainsec.scenarios.episodes import observed_of
from chainsec.scenarios.guardians import find_good

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainsec.config import DecisionCosts
    from chainsec.defence.observation import DigestedModel
    from chainsec.scenarios.workload import Attempt, Workload

    Train = Callable[[Sequence[Observation], Sequence[bool | None]], DigestedModel]

HOUR_S = 3_600


@dataclass
class Life:
    """What came of the live part, one entry a request.

    ``denied`` is the truth, ``scores`` the risk, ``verdicts`` the agent's, ``answers`` the guardians' by place of the
    request (True = let in; nothing where nobody asked, or nobody looked in time), ``notices`` the place of the request
    before which something was found out about the model, and what.
    """

    denied: npt.NDArray[np.bool_]
    scores: npt.NDArray[np.float64]
    verdicts: list[Verdict] = field(default_factory=list)
    answers: dict[int, bool] = field(default_factory=dict)
    notices: list[tuple[int, Drift | Trial]] = field(default_factory=list)

    def let_in(self) -> npt.NDArray[np.bool_]:
        """Return which requests were granted, by the agent or by a guardian."""
        granted = [verdict is Verdict.GRANT for verdict in self.verdicts]
        return np.array([grant or self.answers.get(place, False) for place, grant in enumerate(granted)])


def observe_all(attempts: Sequence[Attempt], workload: Workload, prefix: str) -> list[Observation]:
    """Return attempts of a workload in the agent's eyes, each with an identifier that begins with ``prefix``."""
    sensitivities = {record.name: record.sensitivity for record in workload.records}
    return [
        Observation(
            id=f"{prefix}{place}",
            sensitivity=sensitivities[attempt.asset],
            **observed_of(attempt, has_clock=workload.has_clock),
        )
        for place, attempt in enumerate(attempts)
    ]


def known_labels(attempts: Sequence[Attempt]) -> list[bool | None]:
    """Return the labels that come to light at all."""
    return [attempt.denied if attempt.label_at_s is not None else None for attempt in attempts]


def live_through(
    workload: Workload,
    costs: DecisionCosts,
    *,
    seed: int,
    labels: Sequence[bool | None] | None = None,
    train: Train = train_risk_model,
    renewal: RenewalSettings | None = None,
    guardian_error_rate: float = 0.03,
    answers_per_hour: int | None = None,
) -> Life:
    """Train on the history, then let the live part go by; everything follows from the arguments.

    Args:
        workload: what happens; its live requests have a truth.
        costs: what errors cost, for the policy.
        seed: of the guardians' errors.
        labels: of the history, what came to light of them where omitted.
        train: makes a model.
        renewal: when the model is renewed; never where omitted.
        guardian_error_rate: share of escalations that guardians misjudge.
        answers_per_hour: how many escalations guardians can answer, oldest first; all of them where omitted.
    """
    return _Player(
        workload,
        costs,
        labels=known_labels(workload.history) if labels is None else list(labels),
        train=train,
        renewal=renewal,
        guardians=_Guardians(seed, guardian_error_rate, answers_per_hour),
    ).play()


@dataclass
class _Guardians:
    """Guardians who answer one escalation after the other."""

    seed: int
    error_rate: float
    per_hour: int | None
    free_at_s: int = 0

    def answer(self, attempt: Attempt, time_s: int) -> tuple[int, bool] | None:
        """Return when they answer and whether they let it in; None where the request has lapsed by then."""
        self.free_at_s = max(self.free_at_s, time_s) + (HOUR_S // self.per_hour if self.per_hour else 1)
        if self.free_at_s > time_s + attempt.duration_s:
            return None
        return self.free_at_s, find_good(self.seed, self.error_rate, attempt)


class _Label(NamedTuple):
    time_s: int
    order: int
    place: int
    denied: bool
    is_answer: bool


class _Player:
    """The agent's judgement at work on one workload."""

    def __init__(
        self,
        workload: Workload,
        costs: DecisionCosts,
        *,
        labels: Sequence[bool | None],
        train: Train,
        renewal: RenewalSettings | None,
        guardians: _Guardians,
    ) -> None:
        history = observe_all(workload.history, workload, "history-")
        self._attempts = workload.live
        self._live = observe_all(workload.live, workload, "live-")
        self._model = train(history, labels)
        self._keeper = None if renewal is None else Renewal(history, labels, train, renewal)
        self._guardians = guardians
        self._thresholds = [
            thresholds_by_sensitivity(costs.wrong_grants(careful=careful), costs.wrong_denial, costs.escalation)
            for careful in (False, True)
        ]
        self._is_careful = False
        self._agenda: list[_Label] = []
        self._told: dict[int, bool] = {}
        self._order = count()
        denied = np.array([bool(attempt.denied) for attempt in workload.live])
        self._life = Life(denied, np.zeros(len(self._live)))

    def play(self) -> Life:
        """Let every request go by."""
        for place, (observation, attempt) in enumerate(zip(self._live, self._attempts, strict=True)):
            while self._agenda and self._agenda[0].time_s <= observation.time_s:
                self._reveal(heapq.heappop(self._agenda))
            self._tend(place)
            self._judge(place, observation, attempt)
        for label in sorted(self._agenda):
            if label.is_answer:
                self._life.answers[label.place] = not label.denied
        return self._life

    def _reveal(self, label: _Label) -> None:
        place, denied = label.place, label.denied
        if label.is_answer:
            self._life.answers[place] = not denied
        if self._told.get(place) is denied:
            return
        learn = self._model.correct if place in self._told else self._model.learn
        learn(self._live[place], denied)
        self._told[place] = denied
        if self._keeper is not None:
            self._keeper.note_label(self._live[place], denied)

    def _tend(self, place: int) -> None:
        keeper = self._keeper
        if keeper is None or keeper.news is None:
            return
        news = keeper.news
        self._life.notices.append((place, news))
        self._is_careful = isinstance(news, Drift)
        if isinstance(news, Trial) and news.challenger is not None and news.is_won(keeper.settings.trial_labels):
            self._model = news.challenger
        keeper.acknowledge()

    def _judge(self, place: int, observation: Observation, attempt: Attempt) -> None:
        score = self._model.score(self._model.features(observation))
        verdict = choose_verdict(score, self._thresholds[self._is_careful][observation.sensitivity])
        self._life.scores[place] = score
        self._life.verdicts.append(verdict)
        self._model.observe(observation)
        if self._keeper is not None:
            self._keeper.note_score(observation, score)
        answer = self._guardians.answer(attempt, observation.time_s) if verdict is Verdict.ESCALATE else None
        if answer is not None:
            self._plan(answer[0], place, denied=not answer[1], is_answer=True)
        if attempt.label_at_s is not None and attempt.denied is not None:
            self._plan(attempt.label_at_s, place, denied=attempt.denied, is_answer=False)

    def _plan(self, time_s: int, place: int, *, denied: bool, is_answer: bool) -> None:
        heapq.heappush(self._agenda, _Label(time_s, next(self._order), place, denied, is_answer))
