"""What no label has shown: how rare a departure from habits is, and what risk that is worth.

Each departure becomes rarity in bits by how often the history went as far; beyond the first bit it counts squared,
so that one very rare departure outweighs many slight ones, and families of departures count alike. How rare the total
is gives a probability. Layer: defence. Not here: the departures (``behaviour``).
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from chainsec.models.curve import Bundle, Curve, rarity_curve, sample_curve

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Matrix = npt.NDArray[np.float64]

_N_KNOTS = 129
_LEAST_FAMILY = 3  # a family of one signal must not outvote the rest
_BITS_BEYOND = 6.0  # how far past the rarest of n usual requests the tail may be drawn out
_INNOCENT = 0.5  # good requests that nobody has seen the like of, for each hostile one
_ORDINARY_BITS = 3.0  # what 1 request in 8 reaches is no news, and must not blur the ranking that labels give


_FAMILIES = {
    **{head: head for head in ("habit", "reach", "tie", "fit", "silence")},
    **dict.fromkeys(("breadth", "new", "stranger", "unusual"), "appetite"),
    **dict.fromkeys(("own", "shared", "switch"), "place"),
}


def family_of(signal: str) -> str:
    """Return the family of a signal; ``time`` for hours and rates.

    >>> family_of("habit:@role"), family_of("rate:day"), family_of("new:week")
    ('habit', 'time', 'appetite')
    """
    return _FAMILIES.get(signal.partition(":")[0], "time")


@dataclass(frozen=True)
class NoveltyPart:
    """Departures to a probability, never falling in any of them.

    Args:
        signals: signal name to its share in the total and its curve from departure to bits.
        risk: total to probability.
    """

    signals: Mapping[str, tuple[float, Curve]]
    risk: Curve

    def contributions(self, features: Mapping[str, float]) -> dict[str, float]:
        """Return what each signal adds to the total: its share times the square of its bits beyond the first."""
        if not self.signals:
            return {}
        shares, curves = self._columns
        excess = np.maximum(curves.at(np.array([features[name] for name in self.signals])) - 1.0, 0.0)
        return dict(zip(self.signals, (shares * excess * excess).tolist(), strict=True))

    def contributions_of(self, rows: Matrix) -> Matrix:
        """Return ``contributions`` of many requests; shape (n_rows, n_signals), columns in the order of ``signals``."""
        found = np.zeros(rows.shape)
        for place, (share, curve) in enumerate(self.signals.values()):
            excess = np.maximum(curve.at_each(rows[:, place]) - 1.0, 0.0)
            found[:, place] = share * excess * excess
        return found

    @cached_property
    def _columns(self) -> tuple[Matrix, Bundle]:
        shares, curves = zip(*self.signals.values(), strict=True)
        return np.array(shares), Bundle(curves)

    def total(self, features: Mapping[str, float]) -> float:
        """Return the total, at least 0."""
        return math.fsum(self.contributions(features).values())

    def to_json(self) -> dict[str, Any]:
        """Return the part as JSON values."""
        signals = {name: [share, curve.to_json()] for name, (share, curve) in self.signals.items()}
        return {"risk": self.risk.to_json(), "signals": signals}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> NoveltyPart:
        """Return the part that ``to_json`` wrote."""
        signals = {name: (share, Curve.from_json(curve)) for name, (share, curve) in value["signals"].items()}
        return cls(signals, Curve.from_json(value["risk"]))


def train_novelty(names: Sequence[str], usual: Matrix, unseen_share: float) -> NoveltyPart:
    """Return the part that knows how far usual requests depart from habits.

    A request as rare as 1 in r among usual ones gets the probability that Bayes' rule gives if ``unseen_share`` of
    requests were attacks of unknown kind, all at least as rare, and half as many were good and unheard of too, as
    those of newcomers are: ``s / (s + s / 2 + (1 - s) / r)``, less what an ordinary request (1 in 8) gets that way.
    What is no rarer gets 0, and nothing gets more than 2 in 3 for being rare: that asks a guardian and denies nobody.

    Args:
        names: signal names, one a column.
        usual: departures of requests not known as hostile, shape (n_requests, n_signals).
        unseen_share: share of attacks that no label has shown, in (0, 1).
    """
    curves = {name: rarity_curve(usual[:, i].tolist()) for i, name in enumerate(names)}
    sizes = Counter(family_of(name) for name in names)
    signals = {name: (1.0 / max(_LEAST_FAMILY, sizes[family_of(name)]), curve) for name, curve in curves.items()}
    draft = NoveltyPart(signals, Curve((0.0,), (0.0,)))
    totals = [draft.total(dict(zip(names, row, strict=True))) for row in usual.tolist()]
    rarity = _extend(rarity_curve(totals), totals)

    def posterior(bits: float) -> float:
        unheard_of = unseen_share * (1.0 + _INNOCENT)
        return unseen_share / (unheard_of + (1.0 - unseen_share) * math.exp2(-bits))

    def risk(total: float) -> float:
        return max(0.0, posterior(rarity.at(total)) - posterior(_ORDINARY_BITS))

    top = max(rarity.xs[-1], rarity.xs[0] + 1.0)
    return NoveltyPart(signals, sample_curve(risk, min(0.0, rarity.xs[0]), top, _N_KNOTS))


def _extend(rarity: Curve, totals: Sequence[float]) -> Curve:
    """Return ``rarity`` continued beyond the largest total at the rate of its last tenth, for six more bits.

    An exponential tail: what lies further out than anything seen must still rank by how far. Six bits and no more,
    since a short history must not claim to know how rare the unheard-of is.
    """
    if not totals:
        return rarity
    high = float(np.quantile(np.asarray(totals), 0.9))
    last = rarity.xs[-1]
    slope = (rarity.ys[-1] - rarity.at(high)) / max(last - high, 1e-3)
    if slope <= 0:
        return rarity
    return Curve((*rarity.xs, last + _BITS_BEYOND / slope), (*rarity.ys, rarity.ys[-1] + _BITS_BEYOND))
