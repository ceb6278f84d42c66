"""Scores of forecasts beside simple ones: persistence, a key's own rate, its group's rate.

A simple forecast sorts keys into a few states, as "was bad in the last period", and gives each state the rate at which
bad requests followed it where forecasts were learned. Intervals are over resampled clusters: whole hospitals, or people
with all their days. Layer: evaluation. Not here: data (``forecast_pasts``), the study (``forecast``).

Source: Gneiting and Raftery, "Strictly Proper Scoring Rules, Prediction, and Estimation" (2007).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from chainsec.evaluation.metrics import auc, calibration_error, measure
from chainsec.evaluation.outcome import Figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chainsec.models.forecast import Forecast
    from chainsec.models.forecast_learning import Past, Periods

Vector = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

RAW = "raw persistence"
"""As many bad requests as came to light in the last period, for certain."""
PERSISTENCE = "persistence"
"""Whether a bad request came to light in the last period, and whether one that was made in it is known."""
TRUTH = "persistence that knew the truth at once"
"""Whether there was a bad request in the last period. Nobody can make this forecast: labels come late, or never."""
OWN, GROUP = "own rate", "group rate"
"""How many of a key's requests are known to be bad; the group of the key."""
SIMPLE = (RAW, PERSISTENCE, TRUTH, OWN, GROUP)

_MOST_BAD = 3  # known bad requests of a key; more are one state
_RESAMPLES = 1_000


def find_states(past: Past, periods: Periods, horizon_s: int) -> dict[str, list[str]]:
    """Return the state of each row in the eyes of each simple forecast."""
    bad = defaultdict(list)
    for each in past.asked:
        if each.is_bad:
            bad[each.key].append(each)
    found: dict[str, list[str]] = {name: [] for name in SIMPLE}
    for key, now_s in zip(periods.keys, periods.moments_s, strict=True):
        since_s = now_s - horizon_s
        before = [each for each in bad[key] if each.time_s < now_s]
        known = [(each.known_s, each.time_s) for each in before if each.known_s is not None and each.known_s <= now_s]
        n_revealed = sum(known_s > since_s for known_s, _ in known)
        is_recent = any(time_s >= since_s for _, time_s in known)
        found[RAW].append(str(n_revealed))
        found[PERSISTENCE].append(f"{n_revealed > 0} {is_recent}")
        found[TRUTH].append(str(any(each.time_s >= since_s for each in before)))
        found[OWN].append(str(min(_MOST_BAD, len(known))))
        found[GROUP].append(past.keys.get(key, ""))
    return found


def find_last_labels(past: Past, periods: Periods) -> list[str]:
    """Return for each row the last label of its key that was known: ``True``, ``False``, or "" where none was."""
    told = defaultdict(list)
    for each in past.asked:
        if each.known_s is not None:
            told[each.key].append(each)
    found = []
    for key, now_s in zip(periods.keys, periods.moments_s, strict=True):
        known = [each for each in told[key] if each.known_s is not None and each.known_s <= now_s]
        found.append(str(max(known).is_bad) if known else "")
    return found


def learn_rates(states: Sequence[str], has_any: Flags) -> dict[str, float]:
    """Return how often a bad request followed each state, and, as of "", any: smoothed by one row at that rate.

    >>> learn_rates(["True", "True", "False"], np.array([True, False, False]))["False"]
    0.16666666666666666
    """
    usual = float(has_any.mean())
    seen, bad = Counter(states), Counter(state for state, is_bad in zip(states, has_any, strict=True) if is_bad)
    return {"": usual} | {state: (bad[state] + usual) / (seen[state] + 1) for state in seen}


def apply_rates(rates: Mapping[str, float], states: Sequence[str]) -> Vector:
    """Return the probability of each row; a state that was never seen has the usual rate."""
    return np.array([rates.get(state, rates[""]) for state in states])


@dataclass(frozen=True)
class Board:
    """Forecasts, simple ones beside them, and what came.

    Args:
        title: of what they are, in a few words.
        came: bad requests, shape (n,).
        forecasts: ours, one a row.
        others: the probability of any by simple forecast, shape (n,) each.
        last: bad requests as raw persistence has them, shape (n,).
        clusters: rows of one cluster are resampled together, shape (n,).
        rounds: rows of one round, all of one cluster, are ranked against each other, shape (n,).
        seed: of the resamples.
    """

    title: str
    came: Vector
    forecasts: Sequence[Forecast]
    others: Mapping[str, Vector]
    last: Vector
    clusters: npt.NDArray[Any]
    rounds: npt.NDArray[Any]
    seed: int

    @cached_property
    def has_any(self) -> Flags:
        """Whether there was a bad request, shape (n,)."""
        return self.came > 0

    @cached_property
    def said(self) -> Vector:
        """Our probability of a bad request, shape (n,)."""
        return np.array([each.probability for each in self.forecasts])

    def log_skill(self, other: str, asked: float | None = None) -> Figure:
        """Return the share of a simple forecast's log loss that ours saves."""
        ours, theirs = (_log_loss(self.has_any, each) for each in (self.said, self.others[other]))
        return self._saved(f"log-score skill over {other}", ours, theirs, asked)

    def brier_skill(self, other: str) -> Figure:
        """Return the share of a simple forecast's Brier score that ours saves."""
        theirs = np.minimum(self.last, 1.0) if other == RAW else self.others[other]
        return self._saved(f"Brier skill over {other}", (self.said - self.has_any) ** 2, (theirs - self.has_any) ** 2)

    def count_errors(self) -> list[Figure]:
        """Return the mean absolute error of the number of bad requests: of our median, and of raw persistence."""
        medians = np.array([float(each.median) for each in self.forecasts])
        names = ("number of bad requests, mean absolute error", f"the same of {RAW}")
        errors = (np.abs(each - self.came) for each in (medians, self.last))
        return [self._mean(name, rows, is_error=True) for name, rows in zip(names, errors, strict=True)]

    def coverage(self) -> Figure:
        """Return how often the number of bad requests lies in the 90 % interval."""
        inside = [each.low <= came <= each.high for each, came in zip(self.forecasts, self.came, strict=True)]
        return self._mean("number of bad requests inside its 90 % interval", np.array(inside, dtype=float))

    def ranking(self, other: str = "") -> Figure:
        """Return the AUC of keys ranked against each other in the same round, by us or by a simple forecast."""
        scores = self.others[other] if other else self.said
        won, pairs = np.zeros(len(scores)), np.zeros(len(scores))
        order = np.argsort(self.rounds, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(self.rounds[order])) + 1):
            bad = self.has_any[rows]
            if 0 < bad.sum() < len(bad):
                pairs[rows[0]] = float(bad.sum() * (~bad).sum())
                won[rows[0]] = auc(bad, scores[rows]) * pairs[rows[0]]
        return self._ratio(f"AUC of {other}" if other else "AUC", won, pairs)

    def calibration(self) -> Figure:
        """Return the expected calibration error of our probabilities."""
        name = f"{self.title}: expected calibration error"
        found = measure(name, calibration_error, self.has_any, self.said, self.seed, groups=self.clusters)
        return replace(found, lower_is_better=True)

    def _saved(self, what: str, ours: Vector, theirs: Vector, asked: float | None = None) -> Figure:
        lost = self._ratio(what, ours, theirs)
        return replace(
            lost,
            ours=1.0 - lost.ours,
            low=1.0 - (lost.high or 0.0),
            high=1.0 - (lost.low or 0.0),
            asked=asked,
            is_sure=True,
        )

    def _mean(self, what: str, rows: Vector, *, is_error: bool = False) -> Figure:
        return replace(self._ratio(what, rows, np.ones_like(rows)), lower_is_better=is_error)

    def _ratio(self, what: str, above: Vector, below: Vector) -> Figure:
        """Return the ratio of two sums over rows, with its interval over resampled clusters."""
        _, cluster = np.unique(self.clusters, return_inverse=True)
        sums = np.array([np.bincount(cluster, weights=rows) for rows in (above, below)])
        drawn = np.random.default_rng(self.seed).integers(sums.shape[1], size=(_RESAMPLES, sums.shape[1]))
        tops, bottoms = sums[:, drawn].sum(axis=2)
        low, high = np.percentile(tops[bottoms > 0] / bottoms[bottoms > 0], (2.5, 97.5))
        return Figure(f"{self.title}: {what}", float(sums[0].sum() / sums[1].sum()), float(low), float(high))


def _log_loss(has_any: Flags, said: Vector) -> Vector:
    found: Vector = -np.log(np.where(has_any, said, 1.0 - said))
    return found
