"""People's behaviour: insiders' days told from ordinary ones (CERT r4.2), and attacks found in the hospital's uses.

Layer: evaluation. Not here: the models (``chainsec.models.days``, ``chainsec.models.sequence``), reading the set
(``user_days``), watching hospitals (``watching``).
"""

from __future__ import annotations

import time
from bisect import bisect_left, insort
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold

from chainsec.evaluation.metrics import accuracy, auc, f1, measure, roc_line
from chainsec.evaluation.outcome import Figure, Outcome, Plot
from chainsec.evaluation.user_days import read_user_days
from chainsec.evaluation.watching import watch_hospitals
from chainsec.models.days import DaySettings, train_day_model
from chainsec.models.sequence import SequenceModel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chainsec.evaluation.user_days import UserDays
    from chainsec.models.sequence import Surprise

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

NEW_KINDS = ("burst", "odd_conduct")
"""Kinds of threat that are judged by pace and by conduct; the plot shows what the watch finds without them."""

_PUBLISHED = "ResHybnet"
_SETTLED_DAYS = 30
_FOLDS = 5
_SETTINGS = DaySettings()


@dataclass(frozen=True)
class BehaviourStudy:
    """How well abusive days, and attacks in uses, are found.

    Args:
        test_rows: last rows, which are tested; those before them are learned from.
        withheld_rate: share of the most surprising days that the detector without labels does not learn from.
        forests: how many are grown, each from a seed of its own.
        hospitals: how many are watched.
        first_hospital: added to the seed for the first of them; the rules were chosen on seeds below 20.
        settings: how days are told apart.
    """

    name: str = "behaviour"
    title: str = "People's behaviour (insiders' days)"
    test_rows: int = 572
    withheld_rate: float = 0.1
    forests: int = 5
    hospitals: int = 8
    first_hospital: int = 100
    settings: DaySettings = _SETTINGS

    def run(self, folder: Path, seed: int, on_step: Callable[[str, int, int], None]) -> Outcome:
        """Measure on the data in ``folder``; see ``Study.run``."""
        started = time.perf_counter()
        plain = read_user_days(folder)
        surprise, own = (self._surprise(plain, is_own=is_own) for is_own in (False, True))
        data = plain.with_figures([tuple(row) for row in surprise.tolist()])
        labels, n_rows = data.is_abuse, len(data.is_abuse)
        learned, tested = np.arange(n_rows - self.test_rows), np.arange(n_rows - self.test_rows, n_rows)
        forests = []
        for number in range(self.forests):
            on_step("forest", number, self.forests)
            forests.append(self._score(data, learned, tested, seed + number))
        folds = self._cross_validate(data, seed, on_step)
        seeds = range(seed + self.first_hospital, seed + self.first_hospital + self.hospitals)
        on_step("hospitals", 0, 2)
        old = watch_hospitals(seeds, without=NEW_KINDS)
        on_step("hospitals", 1, 2)
        new = watch_hospitals(seeds)
        people, truth, scores = data.people[tested], labels[tested], forests[0]
        stranger = ~np.isin(people, data.people[learned])
        figures = (
            measure(
                "F1 at a probability of 0.5, last rows", f1, truth, scores, seed, groups=people,
                published=0.921, published_by=_PUBLISHED, asked=0.921,
            ),
            Figure(
                f"F1, mean of {self.forests} forests, each from its own seed",
                float(np.mean([f1(truth, found) for found in forests])),
            ),
            measure(
                "accuracy, last rows", accuracy, truth, scores, seed, groups=people,
                published=0.925, published_by=_PUBLISHED,
            ),
            measure("AUC, last rows", auc, truth, scores, seed, groups=people),
            measure(
                "F1, last rows of people not learned from",
                f1, truth[stranger], scores[stranger], seed, groups=people[stranger],
            ),
            measure(
                "AUC, last rows of people not learned from",
                auc, truth[stranger], scores[stranger], seed, groups=people[stranger],
            ),
            measure("F1, all rows, folds of different people", f1, labels, folds, seed, groups=data.people),
            measure("AUC, all rows, folds of different people", auc, labels, folds, seed, groups=data.people),
            measure("AUC without labels, all rows", auc, labels, surprise[:, 0], seed, groups=data.people),
            measure("AUC without labels, last rows", auc, truth, surprise[tested, 0], seed, groups=people),
            measure("AUC without labels, own past first, all rows", auc, labels, own[:, 0], seed, groups=data.people),
            measure(
                "AUC of how often a person stood in the rows before (used by nothing)",
                auc, labels, _count_earlier(data), seed, groups=data.people,
            ),
            Figure("hospital: attacks found in uses", new.found_rate, undefended=old.found_rate),
            Figure(
                "hospital: false alarms of a requester in 30 days",
                new.false_alarm_rate, lower_is_better=True, undefended=old.false_alarm_rate,
            ),
        )  # fmt: skip
        before, after = old.found_by_attack(), new.found_by_attack()
        return Outcome(
            study=self.name,
            data=(
                f"CERT r4.2 (simulated; features of ResHybnet): {n_rows:,} user-days, {int(labels.sum()):,} insiders', "
                f"{len(set(data.people)):,} people; {self.hospitals} drawn hospitals, {len(new.campaigns)} attacks"
            ),
            protocol=(
                f"Learned from the first {len(learned):,} rows, tested on the last {self.test_rows} in order of dates; "
                f"besides, {_FOLDS} folds over all rows with no person on both sides. A day is judged by itself, "
                "whosever it is; its surprise without labels is among its figures: each day is scored before it is "
                f"learned, and the most surprising {self.withheld_rate:.0%} so far are not learned. Hospitals: all is "
                "granted, off chain, after their history; the defence is to judge pace and conduct. "
                "Intervals over people."
            ),
            seed=seed,
            figures=figures,
            plots=(
                Plot(
                    "roc", "Insiders' days", "ordinary days flagged (share)", "insiders' days flagged (share)",
                    (
                        roc_line("forest, last rows", truth, scores),
                        roc_line("forest, different people", labels, folds),
                        roc_line("without labels", labels, surprise[:, 0]),
                    ),
                ),
                Plot(
                    "delay", "Attacks in a hospital's uses", "uses since the attack began", "attacks found (share)",
                    (new.delay_line("all rules"), old.delay_line("without pace and conduct")),
                ),
            ),
            notes=(
                (
                    "The set holds all days of an insider's campaign and one or two of everybody else: who is often "
                    "in it is an insider, as the figure above shows. No part of the model counts that, and no "
                    "person's past is used where labels are learned from."
                ),
                (
                    f"{int(stranger.sum())} of the last {self.test_rows} rows are of people not learned from; some of "
                    "the others go on with campaigns that began before."
                ),
                "Attacks found, without and with pace and conduct: "
                + "; ".join(f"{kind.replace('_', ' ')} {before[kind]:.0%}, {after[kind]:.0%}" for kind in after) + ".",
            ),
            seconds=time.perf_counter() - started,
        )  # fmt: skip

    def _score(self, data: UserDays, learned: Indices, tested: Indices, seed: int) -> Vector:
        """Return the scores of tested rows by a model of learned ones."""
        days = [data.days[place] for place in learned.tolist()]
        people = [str(name) for name in data.people[learned]]
        model = train_day_model(days, data.is_abuse[learned], people, replace(self.settings, seed=seed))
        return np.array([model.score(data.days[place]) for place in tested.tolist()])

    def _cross_validate(self, data: UserDays, seed: int, on_step: Callable[[str, int, int], None]) -> Vector:
        """Return each row's score by a model that has never seen the person."""
        found = np.empty(len(data.days))
        folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed)
        for done, (learned, tested) in enumerate(folds.split(data.is_abuse, data.is_abuse, data.people)):
            on_step("folds", done, _FOLDS)
            found[tested] = self._score(data, learned, tested, seed)
        return found

    def _surprise(self, data: UserDays, *, is_own: bool) -> Matrix:
        """Return each day's surprise to what was learned before it, shape (n_days, 3), without labels.

        ``is_own`` lets the person's own past come first, as the watch over uses has it.
        """
        model = SequenceModel(order=0)
        found: list[Surprise] = []
        ordered: list[float] = []
        for words, person in zip(data.timed_words, data.people, strict=True):
            chain = ("", str(person)) if is_own else ("",)
            found.append(model.surprise(words, chain))
            rank = bisect_left(ordered, found[-1].total)
            insort(ordered, found[-1].total)
            if len(found) <= _SETTLED_DAYS or rank < (1.0 - self.withheld_rate) * (len(ordered) - 1):
                model.learn(words, chain)
        return np.array(found)


def _count_earlier(data: UserDays) -> Vector:
    """Return how many rows before each are of the same person."""
    seen: Counter[str] = Counter()
    found = []
    for person in data.people:
        found.append(float(seen[person]))
        seen[person] += 1
    return np.array(found)
