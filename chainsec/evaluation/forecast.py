"""Study: forecasts of bad requests, by requester and by asset, scored against persistence.

Layer: evaluation. Not here: data (``forecast_pasts``), scores (``forecast_scores``), the forecasts themselves
(``chainsec.models.forecast``).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from chainsec.evaluation.forecast_pasts import play_hospital, read_cert_pasts
from chainsec.evaluation.forecast_scores import (
    GROUP,
    OWN,
    PERSISTENCE,
    RAW,
    SIMPLE,
    TRUTH,
    Board,
    apply_rates,
    find_last_labels,
    find_states,
    learn_rates,
)
from chainsec.evaluation.metrics import auc, calibration_line, measure
from chainsec.evaluation.outcome import Figure, Line, Outcome, Plot
from chainsec.models.forecast import ForecastModel
from chainsec.models.forecast_learning import learn_head, learn_ratios, replay
from chainsec.models.forecaster import DAY_S

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from chainsec.evaluation.forecast_pasts import HospitalPasts
    from chainsec.models.forecast import Head
    from chainsec.models.forecast_learning import Past, Periods

_DEVELOPMENT, _REPORTED = tuple(range(101, 107)), tuple(range(201, 209))
_KINDS = ("requesters", "assets")
_PERIODS_DAYS = {1: "a day", 3: "three days", 7: "a week"}
_TOLD_DAYS = (1, 7)
_CERT_LEARNED = 1_336
_CERT_DELAYS_S = {DAY_S // 2: "labels the next morning", 7 * DAY_S: "labels a week later"}
_TELLS_SAMPLING = ("activity", "lately", "season")
_NOTES = (
    (
        "The hospitals are simulated, and who becomes an abuser is drawn at random: what can be foreseen is who works"
        " how much and when, which roles and records are abused most, and abuse that goes on for days. Real abuse may"
        " be easier or harder to foresee."
    ),
    (
        "All forecasts know the labels that came to light before their moment (about a third of the live part's bad"
        f" requests ever do), except '{TRUTH}', which nobody can make."
    ),
    "Absolute errors are of the median, which is nearly always 0: where bad requests are rare, saying 0 errs least.",
    (
        "CERT's user-days are a sample, half of them abuse, where CERT r4.2 has about 3 in 1,000; most sampled days of"
        " insiders are days of abuse, so that after one nearly every next one is. Forecasts are for days known to be in"
        " the sample, and their probabilities hold in such a sample only. How densely a user's days were sampled tells"
        " insiders from others, so that activity is left out."
    ),
)


@dataclass(frozen=True)
class ForecastStudy:
    """How much better than by persistence the risk of a coming period is foreseen.

    Args:
        development: seeds of the hospitals that weights are learned on.
        reported: seeds of those that figures are about.

    >>> ForecastStudy().name
    'forecast'
    """

    development: tuple[int, ...] = _DEVELOPMENT
    reported: tuple[int, ...] = _REPORTED

    @property
    def name(self) -> str:
        """A short word, as the command line takes it."""
        return "forecast"

    @property
    def title(self) -> str:
        """What is judged."""
        return "what comes next: bad requests of the coming day and week, by requester and by asset"

    def run(self, folder: Path, seed: int, on_step: Callable[[str, int, int], None]) -> Outcome:
        """Measure on simulated hospitals, and on the CERT data in ``folder``.

        Raises:
            BadInput: a file is missing or not what it should be.
        """
        started = time.perf_counter()
        seeds = (*self.development, *self.reported)
        steps = len(seeds) + len(_KINDS) + 1
        of_days = [figure for delay_s in _CERT_DELAYS_S for figure in _judge_user_days(folder, delay_s, seed)]
        on_step("user-days", 1, steps)
        played: list[HospitalPasts] = []
        for each in seeds:
            played.append(play_hospital(each))
            on_step(f"hospital {each}", 1 + len(played), steps)
        figures: list[Figure] = []
        boards: list[dict[int, Board]] = []
        for kind in _KINDS:
            pasts: list[Past] = [getattr(each, kind) for each in played]
            match = _Match(kind, pasts[: len(self.development)], pasts[len(self.development) :], seed)
            boards.append({days: match.play(days) for days in _PERIODS_DAYS})
            figures += [figure for days in _TOLD_DAYS for figure in _figures(boards[-1][days])]
            figures.append(match.play(min(_TOLD_DAYS), blind_to=("suspicion",)).log_skill(PERSISTENCE))
            on_step(kind, 1 + len(played) + len(boards), steps)
        return Outcome(
            study=self.name,
            data=(
                f"{len(self.reported)} simulated hospitals (60 requesters, 300 assets, 18 days after a history of 12);"
                " the last 572 user-days of cert_r42"
            ),
            protocol=(
                f"hospitals: weights and the rates of simple forecasts learned on seeds {self.development[0]} to"
                f" {self.development[-1]}, tested on {self.reported[0]} to {self.reported[-1]}, a forecast a day;"
                f" cert_r42: learned on the first {_CERT_LEARNED} user-days, tested on the others, a forecast at the"
                " beginning of each. Labels count once they are revealed. Intervals over hospitals, or users"
            ),
            seed=seed,
            figures=(*figures, *of_days),
            plots=_plots(boards),
            notes=_NOTES,
            seconds=time.perf_counter() - started,
        )


@dataclass(frozen=True)
class _Match:
    """Our forecast against simple ones, all learned on some hospitals and tested on others."""

    kind: str
    learned: Sequence[Past]
    tested: Sequence[Past]
    seed: int

    def play(self, days: int, blind_to: Sequence[str] = ()) -> Board:
        """Return the forecasts for periods of so many days, with features left out."""
        known, horizon_s = ForecastModel({}, learn_ratios(self.learned)), days * DAY_S
        before, now = ([replay(past, known, horizon_s) for past in pasts] for pasts in (self.learned, self.tested))
        model = ForecastModel({horizon_s: _learn(before, blind_to)}, {})
        states, ours = _states(self.learned, before, horizon_s), _states(self.tested, now, horizon_s)
        has_any = np.array([number > 0 for each in before for number in each.came])
        rounds = [(place, moment_s) for place, each in enumerate(now) for moment_s in each.moments_s]
        title = f"{self.kind}, {_PERIODS_DAYS[days]}"
        return Board(
            title + ", without the risk of requests" if blind_to else title,
            np.array([float(number) for each in now for number in each.came]),
            [model.forecast(features, horizon_s) for each in now for features in each.features],
            {name: apply_rates(learn_rates(states[name], has_any), ours[name]) for name in SIMPLE},
            np.array([*map(float, ours[RAW])]),
            np.array([place for place, _ in rounds]),
            np.unique(np.array(rounds), axis=0, return_inverse=True)[1].ravel(),
            self.seed,
        )


def _learn(periods: Sequence[Periods], blind_to: Sequence[str]) -> Head:
    """Return what periods teach whose features in ``blind_to`` never differ: these weigh nothing."""
    without = dict.fromkeys(blind_to, 0.0)
    return learn_head([replace(each, features=[row | without for row in each.features]) for each in periods])


def _states(pasts: Sequence[Past], periods: Sequence[Periods], horizon_s: int) -> dict[str, list[str]]:
    found = [find_states(past, each, horizon_s) for past, each in zip(pasts, periods, strict=True)]
    return {name: [state for each in found for state in each[name]] for name in SIMPLE}


def _figures(board: Board) -> list[Figure]:
    return [
        board.log_skill(PERSISTENCE, asked=0.0),
        *(board.log_skill(other) for other in (OWN, GROUP, TRUTH)),
        *(board.brier_skill(other) for other in (PERSISTENCE, RAW)),
        board.ranking(),
        board.ranking(PERSISTENCE),
        board.calibration(),
        board.coverage(),
        *board.count_errors(),
    ]


def _judge_user_days(folder: Path, delay_s: int, seed: int) -> list[Figure]:
    """Return figures of forecasts for the sampled user-days of CERT r4.2."""
    learned, tested = read_cert_pasts(folder, _CERT_LEARNED, delay_s)
    known = ForecastModel({}, {})
    before, now = (replay(past, known, DAY_S) for past in (learned, tested))
    model = ForecastModel({DAY_S: _learn([before], _TELLS_SAMPLING)}, {})
    rates = learn_rates(find_last_labels(learned, before), np.array(before.came) > 0)
    persistence = apply_rates(rates, find_last_labels(tested, now))
    people = np.array(now.keys)
    board = Board(
        f"user-days, {_CERT_DELAYS_S[delay_s]}",
        np.array(now.came, dtype=float),
        [model.forecast(features, DAY_S) for features in now.features],
        {PERSISTENCE: persistence},
        np.zeros(len(people)),
        people,
        np.zeros(len(people)),
        seed,
    )
    areas = [
        measure(f"{board.title}: {name}", auc, board.has_any, scores, seed, groups=people)
        for name, scores in (("AUC", board.said), (f"AUC of {PERSISTENCE}", persistence))
    ]
    return [board.log_skill(PERSISTENCE, asked=0.0), board.brier_skill(PERSISTENCE), *areas, board.calibration()]


def _plots(boards: Sequence[dict[int, Board]]) -> tuple[Plot, ...]:
    """Return the plots of probabilities and of skill by length of the period, from boards by days for each kind."""
    reliability = [
        calibration_line(each[days].title, each[days].has_any, each[days].said)
        for each in boards
        for days in _TOLD_DAYS
    ]
    skill = [
        Line(
            f"{kind}, over {other}",
            tuple(map(float, each)),
            tuple(float(f"{board.log_skill(other).ours:.5g}") for board in each.values()),
        )
        for kind, each in zip(_KINDS, boards, strict=True)
        for other in (PERSISTENCE, GROUP)
    ]
    return (
        Plot(
            "calibration", "Forecasts and what came", "probability said", "share with a bad request", tuple(reliability)
        ),
        Plot("other", "Skill by length of the period", "days ahead", "log-score skill", tuple(skill)),
    )
