"""Study: how soon drift is noticed, how seldom without any, and what renewing the model is worth.

Layer: evaluation. Not here: the watch (``chainsec.models.drift``), the renewal (``chainsec.defence.renewal``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from chainsec.config import DecisionCosts
from chainsec.defence.renewal import Drift, RenewalSettings, Trial
from chainsec.evaluation.life import Life, live_through
from chainsec.evaluation.metrics import auc, calibration_error
from chainsec.evaluation.outcome import Figure, Line, Outcome, Plot
from chainsec.models.drift import DriftSettings, DriftWatch
from chainsec.scenarios.hospital import hospital

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chainsec.scenarios.workload import Workload

_SEEDS = (51, 52)
_DAYS = 42
_SHIFTS = (0.5, 1.0, 2.0)
_STREAMS = 100
_STILL = 20_000
_WITHIN = 250
"""Events within which a change of half a standard deviation is to be noticed."""
_NOTES = (
    (
        "Hospitals are simulated. Reorganised: from the middle on, every second one of the staff does the work of "
        "another one of the same organisation."
    ),
    (
        "Scores drift without any change of the world too: what a model counts grows from day to day while its weights "
        "stay, and a renewal mends that as well."
    ),
)


@dataclass(frozen=True)
class RenewalStudy:
    """Implements ``Study``."""

    name: str = "renewal"
    title: str = "drift: noticed when, and what a renewed model is worth"

    def run(self, folder: Path, seed: int, on_step: Callable[[str, int, int], None]) -> Outcome:  # noqa: ARG002 - draws its own
        """Watch drawn streams, then let hospitals live with and without renewal; see ``Study``."""
        figures, plot = _watch_streams(seed)
        total = 4 * len(_SEEDS)
        done = 0
        for world, change in (("as it was", None), ("reorganised half-way", _reorganise)):
            kept: list[Life] = []
            renewed: list[Life] = []
            for drawn in _SEEDS:
                workload = hospital(drawn, days=_DAYS)
                workload = workload if change is None else change(workload, drawn)
                for lives, settings in ((kept, None), (renewed, RenewalSettings())):
                    on_step("renewal", done, total)
                    lives.append(live_through(workload, DecisionCosts(), seed=drawn, renewal=settings))
                    done += 1
            figures += _compare(world, kept, renewed)
        on_step("renewal", total, total)
        return Outcome(
            study=self.name,
            data=f"{_STREAMS} drawn streams for each change; hospitals of the seeds {_SEEDS}, {_DAYS} days",
            protocol=(
                "A stream of normal figures changes its mean after 1,000. A hospital's model learns twelve days; "
                "live, guardians answer escalations at once and some labels come to light later. Figures are of the "
                "second half of the live part, with the truth of every request."
            ),
            seed=seed,
            figures=tuple(figures),
            plots=(plot,),
            notes=_NOTES,
        )


def _watch_streams(seed: int) -> tuple[list[Figure], Plot]:
    still = [_delay(np.random.default_rng([seed, i]), 0.0, _STILL) for i in range(_STREAMS // 2)]
    alarms = sum(delay is not None for delay in still)
    watched = (_STILL - DriftSettings().reference_events) * len(still)
    figures = [
        Figure(
            f"false alarms in 20,000 events without drift ({len(still)} streams)",
            alarms * _STILL / watched,
            asked=1.0,
            lower_is_better=True,
        )
    ]
    lines = []
    for shift in _SHIFTS:
        delays = [_delay(np.random.default_rng([seed, 1, i]), shift, 1_000) for i in range(_STREAMS)]
        found = np.array([np.inf if delay is None else delay for delay in delays])
        figures.append(
            Figure(f"noticed within {_WITHIN} events, mean up by {shift} sd", float((found <= _WITHIN).mean()))
        )
        figures.append(Figure(f"events until noticed, median, mean up by {shift} sd", float(np.median(found))))
        at = np.arange(0, 401, 10)
        share = tuple(float((found <= events).mean()) for events in at)
        lines.append(Line(f"by {shift} sd", tuple(map(float, at)), share))
    return figures, Plot("delay", "Drift noticed", "events since the change", "share of streams", tuple(lines))


def _delay(draw: np.random.Generator, shift: float, events: int) -> int | None:
    """Return how many events after the change the alarm comes; None where it does not within ``events``."""
    watch, before = DriftWatch(), 1_000 if shift else 0
    for place, value in enumerate(draw.normal(size=before + events)):
        if watch.observe(float(value) + shift * (place >= before)):
            return place + 1 - before
    return None


def _reorganise(workload: Workload, seed: int) -> Workload:
    """Let every second person do the work of another one of the same organisation, from the middle of the live part."""
    draw = np.random.default_rng([seed, 2])
    roles: dict[str, list[str]] = {}
    for member in workload.members:
        roles.setdefault(member.organisation, []).append(member.name)
    takes_over: dict[str, str] = {}
    for names in roles.values():
        moving = [names[i] for i in draw.permutation(len(names))[: len(names) // 2]]
        takes_over.update(zip(moving, [*moving[1:], *moving[:1]], strict=True))
    half = len(workload.live) // 2
    later = [
        replace(attempt, requester=takes_over.get(attempt.requester, attempt.requester))
        for attempt in workload.live[half:]
    ]
    return replace(workload, live=(*workload.live[:half], *later))


def _compare(world: str, kept: list[Life], renewed: list[Life]) -> list[Figure]:
    figures = []
    for name, lives in (("renewed", renewed), ("never renewed", kept)):
        denied = np.concatenate([life.denied[len(life.denied) // 2 :] for life in lives])
        scores = np.concatenate([life.scores[len(life.denied) // 2 :] for life in lives])
        figures += [
            Figure(f"AUC, hospital {world}, {name}", auc(denied, scores)),
            Figure(f"Brier's score, hospital {world}, {name}", float(np.mean((denied - scores) ** 2))),
            Figure(f"calibration error, hospital {world}, {name}", calibration_error(denied, scores)),
        ]
    notices = [news for life in renewed for _, news in life.notices]
    least = RenewalSettings().trial_labels
    alarms = [
        place - len(life.denied) // 2
        for life in renewed
        for place, news in life.notices
        if isinstance(news, Drift) and place >= len(life.denied) // 2
    ]
    tried = [news for news in notices if isinstance(news, Trial)]
    figures.append(Figure(f"challengers tried, hospital {world}", float(len(tried))))
    figures.append(Figure(f"of these put in use, hospital {world}", float(sum(news.is_won(least) for news in tried))))
    if alarms:
        figures.append(Figure(f"requests from the middle to the next alarm, hospital {world}", float(min(alarms))))
    return figures
