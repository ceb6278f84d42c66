"""Tells abusive days from ordinary ones by their figures and their sequence of activities, from labelled days.

Besides counts of words and pairs, a day is described by its surprise to two sequence models, one of ordinary and one of
abusive days; a forest of extremely randomised trees weighs all that. Nothing tells whose day it is. Layer: models. Not
here: the sequence model (``sequence``), evaluating trees (``trees``), where days come from (``chainsec.evaluation``).

Source: Geurts, Ernst and Wehenkel, "Extremely randomized trees" (2006).
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import ExtraTreesClassifier
from threadpoolctl import threadpool_limits

from chainsec.models.rounding import round_all
from chainsec.models.sequence import SequenceModel
from chainsec.models.trees import Trees

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FORMAT = 1

Matrix = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_EVERYBODY = ("",)
_BLOCKS = 5  # of people, so that no training day is described by a model that has learned it
_LEAF_DIGITS = 9


@dataclass(frozen=True)
class Day:
    """One requester's day.

    Args:
        figures: as many for every day, finite.
        words: activities in their order, may be none.

    Raises:
        ValueError: a figure is not finite, or a word is no text or the empty one.

    >>> Day((0.3, float("nan")), ("logon",))
    Traceback (most recent call last):
    ...
    ValueError: figure 1 of a day is nan
    """

    figures: tuple[float, ...]
    words: tuple[str, ...]

    def __post_init__(self) -> None:
        for place, figure in enumerate(self.figures):
            if not isinstance(figure, int | float) or not math.isfinite(figure):
                raise ValueError(f"figure {place} of a day is {figure!r}")
        if not all(isinstance(word, str) and word for word in self.words):
            raise ValueError("a word of a day is no text, or empty")


@dataclass(frozen=True)
class DaySettings:
    """How days are told apart.

    Args:
        n_trees: of the forest, at least 1.
        min_leaf: training days in a leaf, at least 1.
        min_pair_days: training days that a pair of words must be in to be counted.
        order, strength: of the two sequence models.
        seed: of the forest.
    """

    n_trees: int = 150
    min_leaf: int = 2
    min_pair_days: int = 8
    order: int = 1
    strength: float = 12.0
    seed: int = 0


@dataclass(frozen=True)
class DayModel:
    """Scores days; the same on every machine, for the same files.

    Args:
        n_figures: figures of a day.
        words, pairs: what is counted.
        ordinary, abusive: what each kind of day looks like.
        forest: its margin is the share of its votes for abuse.

    Raises:
        ValueError: the forest asks about columns that there are not.
    """

    n_figures: int
    words: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    ordinary: SequenceModel
    abusive: SequenceModel
    forest: Trees

    def __post_init__(self) -> None:
        if self.forest.used and self.forest.used[-1] >= len(self.columns):
            raise ValueError(f"the forest asks about column {self.forest.used[-1]} of {len(self.columns)}")

    @property
    def columns(self) -> tuple[str, ...]:
        """What the forest knows of a day, in words."""
        figures = (f"figure {number}" for number in range(self.n_figures))
        pairs = (f"{first} then {second}" for first, second in self.pairs)
        return (*figures, *self.words, "number of activities", *pairs, *_SURPRISES)

    def row(self, day: Day) -> list[float]:
        """Return the columns of a day.

        Raises:
            ValueError: it has more or fewer figures than those learned from.
        """
        if len(day.figures) != self.n_figures:
            raise ValueError(f"the day has {len(day.figures)} figures, the model {self.n_figures}")
        counts, pairs = Counter(day.words), Counter(pairwise(day.words))
        seen = [counts[word] for word in self.words]
        follow = [pairs[pair] for pair in self.pairs]
        surprises = _surprises(day, self.ordinary, self.abusive)
        return round_all([*day.figures, *seen, len(day.words), *follow, *surprises])

    def score(self, day: Day) -> float:
        """Return how likely the day is abusive, in [0, 1].

        Raises:
            ValueError: as ``row`` does.
        """
        return min(1.0, max(0.0, self.forest.margin(self.row(day))))

    def reasons(self, day: Day, limit: int) -> list[tuple[str, float]]:
        """Return the columns that moved the score most, with what each added to it."""
        added = self.forest.contributions(self.row(day))
        order = np.argsort(-np.abs(added), kind="stable")[:limit]
        return [(self.columns[place], float(added[place])) for place in order]

    def to_json(self) -> dict[str, Any]:
        """Return the model as JSON values."""
        return {
            "format": FORMAT,
            "n_figures": self.n_figures,
            "words": list(self.words),
            "pairs": [list(pair) for pair in self.pairs],
            "ordinary": self.ordinary.to_json(),
            "abusive": self.abusive.to_json(),
            "forest": self.forest.to_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> DayModel:
        """Return the model that ``to_json`` wrote.

        Raises:
            ValueError: it is none.
        """
        try:
            return cls._rebuild(value)
        except (LookupError, TypeError, ValueError) as error:
            raise ValueError(f"this is no model of days: {error}") from error

    @classmethod
    def _rebuild(cls, value: Mapping[str, Any]) -> DayModel:
        if value["format"] != FORMAT:
            raise ValueError(f"its format is {value['format']!r}, not {FORMAT}")
        return cls(
            n_figures=int(value["n_figures"]),
            words=tuple(value["words"]),
            pairs=tuple((first, second) for first, second in value["pairs"]),
            ordinary=SequenceModel.from_json(value["ordinary"]),
            abusive=SequenceModel.from_json(value["abusive"]),
            forest=Trees.from_json(value["forest"]),
        )


_SURPRISES = (
    "surprise in bits, all",
    "surprise in bits, mean",
    "surprise in bits, greatest",
    "evidence of abuse in bits, all",
    "evidence of abuse in bits, mean",
    "evidence of abuse in bits, greatest",
    "evidence of abuse in bits, least",
)


def _surprises(day: Day, ordinary: SequenceModel, abusive: SequenceModel) -> list[float]:
    """Return the columns that ``_SURPRISES`` names; evidence is what an abusive day explains better."""
    usual = ordinary.bits(day.words, _EVERYBODY) or [0.0]
    evidence = [a - b for a, b in zip(usual, abusive.bits(day.words, _EVERYBODY) or [0.0], strict=True)]
    n, gained = len(usual), math.fsum(evidence)
    return [math.fsum(usual), math.fsum(usual) / n, max(usual), gained, gained / n, max(evidence), min(evidence)]


def train_day_model(
    days: Sequence[Day], labels: Flags, people: Sequence[str], settings: DaySettings | None = None
) -> DayModel:
    """Return a model of labelled days; the same days give the same model.

    Args:
        days: all with as many figures.
        labels: True is abuse, shape (n_days,), both kinds present.
        people: whose day each is: a training day's surprise is that of models that know nobody of its block.
        settings: how they are told apart.

    Raises:
        ValueError: days differ in their figures, there are none, or only one kind of label is there.

    >>> days = [Day((n / 60,), ("logon", "copy" if n % 2 else "mail")) for n in range(60)]
    >>> people = [f"p{n}" for n in range(60)]
    >>> model = train_day_model(days, np.arange(60) % 2 == 1, people, DaySettings(n_trees=20))
    >>> model.score(Day((0.5,), ("logon", "mail"))) < 0.5 < model.score(Day((0.5,), ("logon", "copy")))
    True
    """
    told = settings or DaySettings()
    if len(np.unique(labels)) < 2 or len({len(day.figures) for day in days}) > 1:  # noqa: PLR2004 - two kinds
        raise ValueError("a model of days needs labels of both kinds, and days with as many figures each")
    bare = DayModel(
        n_figures=len(days[0].figures),
        words=tuple(sorted({word for day in days for word in day.words})),
        pairs=_common_pairs(days, told.min_pair_days),
        ordinary=_learn_days(days, ~labels, told),
        abusive=_learn_days(days, labels, told),
        forest=Trees(0.0, (), (), (), (), (), (), ()),
    )
    rows = np.array([bare.row(day) for day in days])
    blocks = np.unique(np.asarray(people), return_inverse=True)[1] % _BLOCKS
    for block in range(_BLOCKS):
        inside = blocks == block
        ordinary, abusive = (_learn_days(days, chosen & ~inside, told) for chosen in (~labels, labels))
        for place in np.flatnonzero(inside).tolist():
            rows[place, -len(_SURPRISES) :] = round_all(_surprises(days[place], ordinary, abusive))
    return DayModel(bare.n_figures, bare.words, bare.pairs, bare.ordinary, bare.abusive, _grow(rows, labels, told))


def _common_pairs(days: Sequence[Day], min_days: int) -> tuple[tuple[str, str], ...]:
    seen = Counter(pair for day in days for pair in set(pairwise(day.words)))
    return tuple(sorted(pair for pair, count in seen.items() if count >= min_days))


def _learn_days(days: Sequence[Day], chosen: Flags, settings: DaySettings) -> SequenceModel:
    model = SequenceModel(settings.order, strength=settings.strength)
    for day, is_chosen in zip(days, chosen, strict=True):
        if is_chosen:
            model.learn(day.words, _EVERYBODY)
    return model


def _grow(rows: Matrix, labels: Flags, settings: DaySettings) -> Trees:
    """Return a forest whose margin is the mean over trees of a leaf's share of abuse."""
    learner = ExtraTreesClassifier(
        settings.n_trees, min_samples_leaf=settings.min_leaf, random_state=settings.seed, n_jobs=1
    )
    with threadpool_limits(1):
        learner.fit(rows, labels)
    roots: list[int] = []
    columns: list[int] = []
    thresholds: list[float] = []
    left: list[int] = []
    right: list[int] = []
    values: list[float] = []
    for grown in learner.estimators_:
        tree, first = grown.tree_, len(columns)
        roots.append(first)
        for node in range(tree.node_count):
            is_leaf = tree.children_left[node] < 0
            columns.append(0 if is_leaf else int(tree.feature[node]))
            thresholds.append(math.inf if is_leaf else float(tree.threshold[node]))
            left.append(first + (node if is_leaf else int(tree.children_left[node])))
            right.append(first + (node if is_leaf else int(tree.children_right[node])))
            good, bad = tree.value[node][0]
            values.append(float(f"{bad / (good + bad) / settings.n_trees:.{_LEAF_DIGITS}g}"))
    return Trees(
        base=0.0,
        roots=tuple(roots),
        columns=tuple(columns),
        thresholds=tuple(thresholds),
        left=tuple(left),
        right=tuple(right),
        missing_left=(False,) * len(columns),
        values=tuple(values),
    )
