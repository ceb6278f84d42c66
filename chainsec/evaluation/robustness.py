"""Study: how the agent stands up to somebody who plays against it, with each defence on and off.

Layer: evaluation. Not here: the attacks (``evasion``, ``flood``, ``insider``), the agent's judgement (``life``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import binomtest

from chainsec.config import DecisionCosts
from chainsec.defence.policy import thresholds_by_sensitivity
from chainsec.defence.renewal import RenewalSettings
from chainsec.defence.training import train_risk_model
from chainsec.evaluation.evasion import Gate, draw_at_random, find_knobs, hop_skip_jump
from chainsec.evaluation.flood import Escalation, answer_all, draw_flood
from chainsec.evaluation.insider import take_slowly
from chainsec.evaluation.life import known_labels, live_through, observe_all
from chainsec.evaluation.metrics import auc
from chainsec.evaluation.outcome import Figure, Line, Outcome, Plot
from chainsec.primitives import Verdict
from chainsec.scenarios.hospital import hospital

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from chainsec.defence.observation import Observation
    from chainsec.scenarios.workload import Workload

_SEEDS = (61, 62, 63, 64)
_DAYS, _POISON_DAYS = 24, 36
_TRIES, _WANTED = 40, 12
"""Tries for each bad request, and such requests in each hospital."""
_INSIDERS = 10
_ANSWERS_PER_HOUR, _LIFETIME_S = 12, 4 * 3_600
_FLOODS = (0, 10, 20, 40, 80)
_GROWTHS = (0.01, 0.02, 0.05, 0.1)
_POISONED_RATE = 0.05
_NOTES = (
    (
        "Hospitals and insiders are simulated. Poisoned labels: the defence is the renewal of the model, which learns "
        "from later labels too; setting doubtful labels aside before training cost as much as it saved."
    ),
    (
        "Evasion: the attacker varies hour, purpose, action, device, network, emergency, duty and text of a request "
        "that was not granted. HopSkipJump was made for images; drawing at random is beside it. Defence on: each "
        "refused try counts against the requester at once, as if a guardian looked in between."
    ),
    (
        "Flood: guardians look at 12 an hour, requests lapse after four hours; defence on: organisations, and "
        "requesters within them, take turns at the guardians' desk, otherwise it is first come, first served."
    ),
)


@dataclass(frozen=True)
class RobustnessStudy:
    """Implements ``Study``."""

    name: str = "robustness"
    title: str = "poisoned labels, evasion, a patient insider, a flood of the guardians"

    def run(self, folder: Path, seed: int, on_step: Callable[[str, int, int], None]) -> Outcome:  # noqa: ARG002 - draws its own
        """Attack in four ways, each with the defence on and off; see ``Study``."""
        found: list[tuple[list[Figure], Plot]] = []
        for done, attack in enumerate((_poison, _evade, _take_slowly, _flood)):
            on_step("robustness", done, 4)
            found.append(attack(seed))
        on_step("robustness", 4, 4)
        return Outcome(
            study=self.name,
            data=f"hospitals of the seeds {_SEEDS}, drawn insiders and floods",
            protocol="Each attack meets the agent's own judgement twice, without the defence and with it.",
            seed=seed,
            figures=tuple(figure for figures, _ in found for figure in figures),
            plots=tuple(plot for _, plot in found),
            notes=_NOTES,
        )


def _poison(seed: int) -> tuple[list[Figure], Plot]:
    """Flip labels of the history; the defence is a model that is renewed."""
    rates = (0.0, _POISONED_RATE)
    found: dict[bool, list[float]] = {False: [], True: []}
    for is_on in (False, True):
        for rate in rates:
            areas = []
            for drawn in _SEEDS:
                workload = hospital(drawn, days=_POISON_DAYS)
                labels = flip_labels(known_labels(workload.history), rate, seed + drawn)
                renewal = RenewalSettings() if is_on else None
                life = live_through(workload, DecisionCosts(), seed=drawn, labels=labels, renewal=renewal)
                half = len(life.denied) // 2
                areas.append(auc(life.denied[half:], life.scores[half:]))
            found[is_on].append(float(np.mean(areas)))
    figures = [
        Figure(f"AUC, later half, {rate:.0%} of labels flipped", on, undefended=off)
        for rate, off, on in zip(rates, found[False], found[True], strict=True)
    ]
    return figures, _plot("Poisoned labels", "share of labels flipped", "AUC, later half", rates, found)


def flip_labels(labels: Sequence[bool | None], rate: float, seed: int) -> list[bool | None]:
    """Return the labels with a share of the known ones the other way round.

    >>> flip_labels([True, False, None], 1.0, 1)
    [False, True, None]
    """
    known = [place for place, label in enumerate(labels) if label is not None]
    flipped = list(labels)
    for place in np.random.default_rng([seed, 31]).permutation(known)[: round(rate * len(known))].tolist():
        flipped[place] = not labels[place]
    return flipped


def _evade(seed: int) -> tuple[list[Figure], Plot]:
    """Let attackers try variations of requests that were not granted; the defence is a memory of refused tries."""
    ways = {"HopSkipJump": hop_skip_jump, "at random": draw_at_random}
    needed: dict[tuple[str, bool], list[int | None]] = {(way, on): [] for way in ways for on in (False, True)}
    costs = DecisionCosts()
    thresholds = thresholds_by_sensitivity(costs.wrong_grant, costs.wrong_denial, costs.escalation)
    for drawn in _SEEDS:
        workload = hospital(drawn, days=_DAYS)
        history = observe_all(workload.history, workload, "history-")
        files = train_risk_model(history, known_labels(workload.history)).to_files()
        knobs = find_knobs(history)
        for place, wanted in enumerate(_refused(workload, seed)):
            for (way, is_on), tries in needed.items():
                gate = Gate(files, wanted, knobs, thresholds, tries=_TRIES, remembers=is_on)
                ways[way](gate, knobs, seed + place)
                tries.append(gate.granted_after)
    at = tuple(float(count) for count in range(_TRIES + 1))
    lines = tuple(
        Line(f"{way}, {_on(is_on)}", at, tuple(_rate(tries, most) for most in at))
        for (way, is_on), tries in needed.items()
    )
    figures = []
    for way in ways:
        tries = needed[way, True]
        ends = binomtest(sum(count is not None for count in tries), len(tries)).proportion_ci(method="wilson")
        figures.append(
            Figure(
                f"let in within {_TRIES} tries, {way}",
                _rate(tries, _TRIES),
                float(ends.low),
                float(ends.high),
                undefended=_rate(needed[way, False], _TRIES),
            )
        )
    return figures, Plot("robustness", "Evasion", "tries", "share let in", lines)


def _rate(tries: Sequence[int | None], most: float) -> float:
    """Return the share that was let in within ``most`` tries."""
    return sum(count is not None and count <= most for count in tries) / len(tries)


def _refused(workload: Workload, seed: int) -> list[Observation]:
    """Return bad requests of the live part that the agent did not grant, a few of them."""
    life = live_through(workload, DecisionCosts(), seed=seed)
    live = observe_all(workload.live, workload, "live-")
    places = [
        place for place, verdict in enumerate(life.verdicts) if life.denied[place] and verdict is not Verdict.GRANT
    ]
    chosen = np.random.default_rng([seed, 32]).permutation(places)[:_WANTED]
    return [live[place] for place in sorted(chosen.tolist())]


def _take_slowly(seed: int) -> tuple[list[Figure], Plot]:
    """Let an insider take more every day; the defence is the rules for slow drift."""
    found: dict[bool, list[float]] = {False: [], True: []}
    for is_on in (False, True):
        for growth in _GROWTHS:
            taken = [take_slowly(growth, seed + drawn, watches_drift=is_on).bytes_beyond for drawn in range(_INSIDERS)]
            found[is_on].append(float(np.mean(taken)) / 1e6)
    figures = [
        Figure(f"MB beyond the usual before the first alarm, {growth:.0%} more a day", on, undefended=off)
        for growth, off, on in zip(_GROWTHS, found[False], found[True], strict=True)
    ]
    return figures, _plot("A patient insider", "growth a day", "MB beyond the usual", _GROWTHS, found)


def _flood(seed: int) -> tuple[list[Figure], Plot]:
    """Flood the guardians for three days; the defence is a queue in which sides take turns."""
    draw = np.random.default_rng([seed, 33])
    times = np.sort(draw.integers(0, 5 * 86_400, size=600)).tolist()
    honest = [
        Escalation(time_s, time_s + _LIFETIME_S, f"house-{draw.integers(3)}", f"person-{draw.integers(40)}")
        for time_s in times
    ]
    found: dict[bool, list[float]] = {False: [], True: []}
    for is_on in (False, True):
        for per_hour in _FLOODS:
            flood = draw_flood(86_400, 72, per_hour, 6, _LIFETIME_S)
            found[is_on].append(answer_all([*honest, *flood], _ANSWERS_PER_HOUR, is_fair=is_on).lapsed_rate)
    figures = [
        Figure(f"honest escalations that lapse, flood of {per_hour} an hour", on, undefended=off)
        for per_hour, off, on in zip(_FLOODS, found[False], found[True], strict=True)
    ]
    return figures, _plot("A flood of the guardians", "requests an hour", "honest ones that lapse", _FLOODS, found)


def _on(is_on: bool) -> str:  # noqa: FBT001 - the thing itself
    return "defence on" if is_on else "defence off"


def _plot(title: str, x_label: str, y_label: str, strengths: Sequence[float], damage: dict[bool, list[float]]) -> Plot:
    lines = tuple(Line(_on(is_on), tuple(map(float, strengths)), tuple(values)) for is_on, values in damage.items())
    return Plot("robustness", title, x_label, y_label, lines)
