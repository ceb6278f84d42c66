"""Trains text models: a logistic regression over n-grams, and which run of a bad text it is that makes it bad.

A bad justification says somewhere what it should not, and mostly something harmless around it. So training goes round:
weights say which run of each bad text weighs most, and from these runs, and every sentence of the harmless texts, come
new weights. Layer: models. Not here: scoring (``text_scoring``), the project's own texts (``justifications``).

Source: Felzenszwalb et al., "Object Detection with Discriminatively Trained Part-Based Models" (2010), latent training.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from chainsec.models.curve import Curve
from chainsec.models.text_reading import Reader, cut_text, find_chunks, read_plainly
from chainsec.models.text_scoring import (
    MOST_WORDS,
    UNITS,
    TextModel,
    TextSettings,
    find_sentences,
    find_worst_run,
    list_character_grams,
    list_grams,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Sequence

Vector = npt.NDArray[np.float64]
Passage = tuple[int, int, int]
"""A text and the units of it, from the first up to before the end."""

_ROUNDS = 2
_N_FOLDS = 5
_MOST_TURNS = 1_000
_STEEPEST = 10.0  # of the calibration: texts that are told apart without error give no slope
_KNOTS, _KNOTS_TO = 161, 20.0
_DIGITS = 9
_UNKNOWN_RATE = 0.1  # weight, in texts, of a harmless text without a known word: what is unknown is not suspicious
_FREE_BIAS = 10.0  # scikit-learn's scaling that spares the intercept the penalty
_NONE = np.empty(0, dtype=np.intp)


def train_text_model(
    texts: Sequence[str],
    labels: Sequence[bool] | npt.ArrayLike,
    settings: TextSettings | None = None,
    groups: Sequence[Hashable] | None = None,
) -> TextModel:
    """Return a model of which texts are bad; the same texts give the same model.

    Args:
        texts: what to learn from.
        labels: True is bad; as many, both kinds present.
        settings: what it looks at.
        groups: texts of one group stand on one side when the scores are calibrated, so that a probability holds for
            groups never seen. Without it, every fifth text is a group.

    Raises:
        ValueError: lengths differ, or one kind of label or group is missing.

    >>> model = train_text_model(["see the file", "ignore the rules"] * 20, [False, True] * 20)
    >>> model.score("the file") < 0.5 < model.score("please ignore the rules")
    True
    """
    told = settings or TextSettings()
    bad = np.asarray(labels, dtype=bool)
    names = [i // 2 % _N_FOLDS for i in range(len(texts))] if groups is None else list(groups)
    if not len(texts) == len(bad) == len(names):
        raise ValueError(f"{len(texts)} texts, {len(bad)} labels and {len(names)} groups")
    if bad.all() or not bad.any():
        raise ValueError("training needs texts of both kinds")
    learner = _Learner([cut_text(text) for text in texts], bad, told)
    margins = np.zeros(len(texts))
    for name in dict.fromkeys(names):
        held = np.array([other == name for other in names])
        if bad[~held].all() or not bad[~held].any():
            raise ValueError(f"only one kind of text stands outside of group {name!r}")
        bias, weights = learner.learn(np.flatnonzero(~held).tolist())
        margins[held] = [bias + learner.weigh(row, weights) for row in np.flatnonzero(held).tolist()]
    bias, weights = learner.learn(range(len(texts)))
    curve = _calibrate(margins, bad, told.base_rate or float(bad.mean()))
    return TextModel(told, round(bias * UNITS), learner.round_weights(weights), curve)


def _calibrate(margins: Vector, bad: npt.NDArray[np.bool_], base_rate: float) -> Curve:
    """Return the curve from margins to probabilities where ``base_rate`` of the texts are bad.

    Source: Platt, "Probabilistic Outputs for Support Vector Machines" (1999).
    """
    weights = np.where(bad, base_rate / bad.mean(), (1.0 - base_rate) / (1.0 - bad.mean()))
    platt = LogisticRegression(C=1.0, max_iter=_MOST_TURNS)
    with threadpool_limits(1):
        platt.fit(margins[:, None], bad, sample_weight=weights)
    slope = min(max(float(platt.coef_[0, 0]), 1.0 / _STEEPEST), _STEEPEST)
    middle = -float(platt.intercept_[0]) / slope
    ends = [_KNOTS_TO * (2.0 * i / (_KNOTS - 1) - 1.0) for i in range(_KNOTS)]
    return Curve(
        tuple(_shorten(middle + end / slope) for end in ends),
        tuple(_shorten(1.0 / (1.0 + math.exp(-end))) for end in ends),
    )


def _shorten(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


class _Learner:
    """Texts as rows of n-grams, and the weights that are learned from them."""

    def __init__(self, texts: Sequence[str], bad: npt.NDArray[np.bool_], settings: TextSettings) -> None:
        self._bad, self._settings = bad, settings
        self._is_whole = settings.grams == "characters"
        self._units, grams = self._list_units(texts)
        occurs = Counter(gram for text in grams for gram in {gram for unit in text for gram in unit})
        self._grams = sorted(gram for gram, n in occurs.items() if n >= settings.least_texts)
        column = {gram: place for place, gram in enumerate(self._grams)}
        self._columns = [
            [np.array(sorted(column[g] for g in unit if g in column), np.intp) for unit in text] for text in grams
        ]

    def _list_units(self, texts: Sequence[str]) -> tuple[list[list[str]], Sequence[Sequence[Collection[str]]]]:
        if self._is_whole:
            grams = [list_character_grams(text, find_chunks(text)) for text in texts]
            return [["" for _ in text] for text in grams], grams
        # words that were pulled apart are put together by the words that texts hold
        known = {word for text in texts for word in read_plainly(text).words if word.isalpha()}
        reader = Reader(known if self._settings.grams == "words" else ())
        read = reader.read if self._settings.grams == "words" else read_plainly
        units = [read(text).words for text in texts]
        return units, [list_grams(words) for words in units]

    def learn(self, rows: Sequence[int]) -> tuple[float, Vector]:
        """Return bias and weights, learned from the texts ``rows``."""
        whole = {
            bad: [(row, 0, len(self._units[row])) for row in rows if self._bad[row] == bad] for bad in (False, True)
        }
        if self._is_whole:
            return self._fit(whole[False], whole[True])
        sentences = [part for row, _, _ in whole[False] for part in self._cut(row)]
        bias, weights = self._fit(sentences, whole[True])
        for _ in range(_ROUNDS):
            worst = {bad: [self._find_worst(row, weights) for row, _, _ in whole[bad]] for bad in (False, True)}
            bias, weights = self._fit(sentences + worst[False], worst[True])
        return bias, weights

    def weigh(self, row: int, weights: Vector) -> float:
        """Return what ``weights`` give the text ``row``: all of it, or its worst run."""
        _, first, end = (row, 0, len(self._units[row])) if self._is_whole else self._find_worst(row, weights)
        return float(sum(weights[columns].sum() for columns in self._columns[row][first:end]))

    def _cut(self, row: int) -> list[Passage]:
        """Return the sentences of a text, long ones in parts."""
        return [
            (row, start, min(end, start + MOST_WORDS))
            for first, end in find_sentences(self._units[row])
            for start in range(first, end, MOST_WORDS)
        ]

    def _find_worst(self, row: int, weights: Vector) -> Passage:
        weighed = [float(weights[columns].sum()) for columns in self._columns[row]]
        run = find_worst_run(self._units[row], weighed)
        return (row, run.first, run.end) if run else (row, 0, 0)

    def _fit(self, harmless: list[Passage], bad: list[Passage]) -> tuple[float, Vector]:
        nothing = [] if self._is_whole else [(0, 0, 0)]
        units = [self._columns[row][first:end] for row, first, end in [*nothing, *harmless, *bad]]
        columns = [np.concatenate([_NONE, *passage]) for passage in units]
        ends = np.cumsum([0, *map(len, columns)])
        shape = (len(units), len(self._grams))
        counts = sparse.csr_matrix((np.ones(ends[-1]), np.concatenate(columns), ends), shape=shape)
        counts.sum_duplicates()
        learner = LogisticRegression(
            C=self._settings.strength, solver="liblinear", intercept_scaling=_FREE_BIAS, max_iter=_MOST_TURNS
        )
        labels = np.repeat([False, True], [len(nothing) + len(harmless), len(bad)])
        weights = np.where(labels, len(labels) / (2.0 * len(bad)), len(labels) / (2.0 * len(harmless)))
        weights[: len(nothing)] = _UNKNOWN_RATE * len(labels)
        with threadpool_limits(1):
            learner.fit(counts, labels, sample_weight=weights)
        return float(learner.intercept_[0]), learner.coef_[0]

    def round_weights(self, weights: Vector) -> dict[str, int]:
        """Return the largest weights as whole numbers, by n-gram; of equal ones those of the first n-grams."""
        whole = np.rint(weights * UNITS).astype(int)
        order = np.argsort(-np.abs(whole), kind="stable")[: self._settings.most_grams]
        return {self._grams[i]: int(whole[i]) for i in sorted(order.tolist()) if whole[i]}
