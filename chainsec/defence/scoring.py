"""From named features to a risk and its reasons: four causes, joined; the same for one request and for many.

Pure: no past is read or changed. Layer: defence, below ``risk``. Not here: features (``risk``), training
(``training``).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from chainsec.defence.suspicion import SIGNAL as HELD
from chainsec.defence.worded import SIGNAL as TEXT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from chainsec.defence.labelled import LabelledPart
    from chainsec.defence.novelty import NoveltyPart
    from chainsec.defence.worded import WordedPart
    from chainsec.models.curve import Curve

__all__ = ["HELD", "TEXT", "Scoring"]

_SPARE = 8  # reasons looked at beyond those asked for: on their way through trees features only guess what they move

Vector = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


class Scoring:
    """Features to a risk: ``1 - (1 - known) * (1 - novel) * (1 - held) * (1 - worded)``.

    Args:
        known: what labels taught.
        novel: what departs from habits.
        held: what the requester did before, to a probability.
        worded: what the justification says.
        names: of all features, those included that no part weighs.

    ``names`` holds them in the order in which receipts and ``score_many`` have them.
    """

    def __init__(
        self, known: LabelledPart, novel: NoveltyPart, held: Curve, worded: WordedPart, *, names: Iterable[str]
    ) -> None:
        self.known, self.novel, self.held, self.worded = known, novel, held, worded
        self.names = tuple(sorted({*names, *known.linear.weights, *novel.signals, HELD, TEXT}))
        self._set = frozenset(self.names)
        places = {name: place for place, name in enumerate(self.names)}
        self._known_at = np.array([places[name] for name in known.linear.weights], dtype=np.intp)
        self._novel_at = np.array([places[name] for name in novel.signals], dtype=np.intp)
        self._asked_at = np.array([places[name] for name in known.columns], dtype=np.intp)
        self._column_of = {places[name]: column for column, name in enumerate(known.columns)}
        self._held_at, self._text_at = places[HELD], places[TEXT]
        self._weighed: _Weighed | None = None

    def score(self, features: Mapping[str, float]) -> float:
        """Return the risk in [0, 1], the same on every machine.

        Raises:
            ValueError: a feature is missing, unknown, NaN or infinite.
        """
        return self._weigh(features).score

    def score_many(self, rows: Vector) -> Vector:
        """Return the risk of many requests, bit for bit that of ``score``; shape (n_rows, n_names) to (n_rows,).

        Raises:
            ValueError: the columns are not as many as ``names``, or a value is NaN or infinite.
        """
        if rows.ndim != 2 or rows.shape[1] != len(self.names):  # noqa: PLR2004 - rows and columns
            raise ValueError(f"rows of {len(self.names)} features are scored, not of shape {rows.shape}")
        if not np.isfinite(rows).all():
            row, column = np.argwhere(~np.isfinite(rows))[0]
            raise ValueError(f"feature {self.names[column]!r} of row {row} is not a finite number")
        known = self.known
        added = (1.0 - known.share) * known.linear.contributions_of(rows[:, self._known_at])
        by_trees = known.trees.margins(rows[:, self._asked_at]) if known.share else np.zeros(len(rows))
        margins = np.array(
            [known.join(each, tree) for each, tree in zip(added.tolist(), by_trees.tolist(), strict=True)]
        )
        totals = np.array([math.fsum(bits) for bits in self.novel.contributions_of(rows[:, self._novel_at]).tolist()])
        causes = (
            known.calibration.at_each(margins),
            self.novel.risk.at_each(totals),
            self.held.at_each(rows[:, self._held_at]),
            self.worded.risk.at_each(rows[:, self._text_at]),
        )
        joined: Vector = _join(*causes)
        return joined

    def reasons(self, features: Mapping[str, float], limit: int) -> list[tuple[str, float]]:
        """Return the features that moved the score most: the score minus what it were without that feature.

        Without a feature means: at its mean in the history for what labels taught, no rarity for what departs from
        habits, nothing held against the requester, no text. Ties go by name.

        Raises:
            ValueError: as for ``score``.
        """
        weighed = self._weigh(features)
        linear, rarities = np.zeros(len(self.names)), np.zeros(len(self.names))
        linear[self._known_at], rarities[self._novel_at] = weighed.added, weighed.bits
        guessed = linear + self._moves_of_trees(weighed.row)
        counting = np.flatnonzero((guessed != 0) | (rarities != 0))
        moved = weighed.score - self._score_without(weighed, guessed, rarities)
        first = counting[np.argsort(-np.abs(moved[counting]), kind="stable")][: limit + _SPARE]
        linear[first] += self._exact_moves_of_trees(weighed, first)
        moved = weighed.score - self._score_without(weighed, linear, rarities)
        found = [(self.names[place], float(moved[place])) for place in first]
        known, novel, held, worded = weighed.known, weighed.novel, weighed.held, weighed.worded
        if held:
            found.append((HELD, weighed.score - _join(known, novel, 0.0, worded)))
        if worded:
            found.append((TEXT, weighed.score - _join(known, novel, held, 0.0)))
        return sorted(found, key=lambda pair: (-abs(pair[1]), pair[0]))[:limit]

    def _score_without(self, weighed: _Weighed, in_margin: Vector, in_total: Vector) -> Vector:
        """Return the score without what each feature adds to the margin and to the rarity, shape (n_names,)."""
        known = self.known.calibration.at_each(weighed.margin - in_margin)
        novel = self.novel.risk.at_each(weighed.total - in_total)
        without: Vector = _join(known, novel, weighed.held, weighed.worded)
        return without

    def _moves_of_trees(self, row: Vector) -> Vector:
        """Return what each feature adds to the margin on its way through the trees, shape (n_names,)."""
        moves = np.zeros(len(self.names))
        if self.known.share:
            moves[self._asked_at] = self.known.share * self.known.trees.contributions(row)
        return moves

    def _exact_moves_of_trees(self, weighed: _Weighed, places: Indices) -> Vector:
        """Return what the trees' margin loses with each feature at its mean, shape (n_places,)."""
        known, moves = self.known, np.zeros(len(places))
        columns = np.array([self._column_of.get(place, -1) for place in places.tolist()], dtype=np.intp)
        asked = np.flatnonzero(columns >= 0)
        if known.share and len(asked):
            rows, at = np.repeat(weighed.row[None, :], len(asked), axis=0), columns[asked]
            rows[np.arange(len(asked)), at] = known.usual[at]
            moves[asked] = known.share * (weighed.by_trees - known.trees.margins(rows))
        return moves

    def _weigh(self, features: Mapping[str, float]) -> _Weighed:
        """Return what a score consists of; asked twice about the same features, it is worked out once."""
        if self._weighed is None or self._weighed.features != features:
            self._check(features)
            added = [*self.known.contributions(features).values()]
            bits = [*self.novel.contributions(features).values()]
            row = self.known.row(features)
            by_trees = self.known.trees.margin(row) if self.known.share else 0.0
            margin, total = self.known.join(added, by_trees), math.fsum(bits)
            known, novel = self.known.calibration.at(margin), self.novel.risk.at(total)
            held, worded = self.held.at(features[HELD]), self.worded.risk.at(features[TEXT])
            score = _join(known, novel, held, worded)
            self._weighed = _Weighed(
                dict(features), added, bits, row, by_trees, margin, total, known, novel, held, worded, score
            )
        return self._weighed

    def _check(self, features: Mapping[str, float]) -> None:
        if features.keys() != self._set:
            odd = min(features.keys() ^ self._set)
            raise ValueError(f"features are not those of this model: {odd!r}")
        if not all(map(math.isfinite, features.values())):
            odd = next(name for name, value in features.items() if not math.isfinite(value))
            raise ValueError(f"feature {odd!r} is not a finite number: {features[odd]!r}")


class _Weighed(NamedTuple):
    """What the score of ``features`` consists of: parts of margin and rarity, their sums, and the four causes."""

    features: dict[str, float]
    added: list[float]
    bits: list[float]
    row: Vector
    by_trees: float
    margin: float
    total: float
    known: float
    novel: float
    held: float
    worded: float
    score: float


def _join(known: Any, novel: Any, held: Any, worded: Any) -> Any:
    """Return the risk of four independent causes, each a number or a column of numbers."""
    return 1.0 - (1.0 - known) * (1.0 - novel) * (1.0 - held) * (1.0 - worded)
