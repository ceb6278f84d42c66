"""Labelled rows of a table to the probability of the label, with reasons.

Boosted trees give a margin, and Platt's curve, fitted on rows that its trees had not seen, a probability. Layer:
models. Not here: reading rows (``table``), growing trees (``trees``), what no label has shown (``subspace``).

Source: Platt, "Probabilistic Outputs for Support Vector Machines" (1999).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from chainsec.digest import digest_json
from chainsec.errors import BadInput
from chainsec.models.axes import shorten
from chainsec.models.curve import Curve, sample_curve
from chainsec.models.table import Reason, Table, Value, learn_table
from chainsec.models.trees import GrowthSettings, Trees, grow_trees

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

Matrix = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

FORMAT = "chainsec table classifier 1"

LEAST_ROWS = 20
"""Rows of either label below which nothing is learned."""

USUAL_GROWTH = GrowthSettings(
    max_iter=300, learning_rate=0.08, max_leaf_nodes=24, min_samples_leaf=5, l2_regularization=0.0, max_features=0.3
)
"""How trees are grown where nothing else is said."""

_FOLDS = 3
_MARGIN_RANGE = 16.0  # log-odds; beyond it a probability differs from 0 or 1 by less than 2e-7
_N_KNOTS = 257
_MOST_TRIED = 8  # columns, the most likely reasons, that are put to the test


@dataclass(frozen=True)
class TableClassifier:
    """Rows to the probability of their label.

    Args:
        table: how rows are read.
        trees: row to margin.
        calibration: margin to probability.
        usual: for each column what a row without the label usually holds, as ``Table.row`` gives it.

    Raises:
        ValueError: the trees ask about a column that the table does not have, or ``usual`` is of another length.
    """

    table: Table
    trees: Trees
    calibration: Curve
    usual: tuple[float, ...]

    def __post_init__(self) -> None:
        n_columns = len(self.table.names)
        if len(self.usual) != n_columns or max(self.trees.columns, default=0) >= n_columns:
            raise ValueError(f"trees and usual values must be of the table's {n_columns} columns")
        if any(map(math.isinf, self.usual)):
            raise ValueError("a usual value is infinite")

    def score(self, row: Mapping[str, Value]) -> float:
        """Return the probability that one row has the label.

        Raises:
            BadInput: as for ``Table.row``.
        """
        return self.calibration.at(self.trees.margin(self.table.row(row)))

    def scores(self, columns: Mapping[str, Sequence[Value]]) -> Matrix:
        """Return the probability for each row, bit for bit that of ``score``; shape (n_rows,).

        Raises:
            BadInput: as for ``Table.matrix``.
        """
        return self.calibration.at_each(self.trees.margins(self.table.matrix(columns)))

    def margin(self, row: Mapping[str, Value]) -> float:
        """Return the trees' log-odds for one row, before calibration.

        Raises:
            BadInput: as for ``Table.row``.
        """
        return self.trees.margin(self.table.row(row))

    def reasons(self, row: Mapping[str, Value], limit: int = 3) -> list[Reason]:
        """Return the columns that move the score of ``row`` most, the one that matters most first.

        ``effect`` is the row's margin less the margin with the column's usual value: above 0 the column speaks for the
        label, below 0 against it. Columns without an effect are left out.

        Args:
            row: as for ``score``.
            limit: at most this many.

        Raises:
            BadInput: as for ``Table.row``.
        """
        figures = np.array(self.table.row(row))
        likely = np.argsort(-np.abs(self.trees.contributions(figures)), kind="stable")[:_MOST_TRIED]
        changed = np.tile(figures, (len(likely) + 1, 1))
        for at, column in enumerate(likely.tolist(), 1):
            changed[at, column] = self.usual[column]
        margin, *others = self.trees.margins(changed).tolist()
        found = []
        for other, column in zip(others, likely.tolist(), strict=True):
            if other != margin:
                name = self.table.names[column]
                found.append(Reason(name, row[name], self.table.value(column, self.usual[column]), margin - other))
        return sorted(found, key=lambda reason: -abs(reason.effect))[:limit]

    def to_json(self) -> dict[str, Any]:
        """Return the model as JSON values."""
        return {
            "calibration": self.calibration.to_json(),
            "format": FORMAT,
            "table": self.table.to_json(),
            "trees": self.trees.to_json(),
            "usual": [None if math.isnan(figure) else figure for figure in self.usual],
        }

    @classmethod
    def from_json(cls, value: Any) -> TableClassifier:
        """Return the model that ``to_json`` wrote.

        Raises:
            ValueError: it is none, or of another format.
        """
        if not isinstance(value, dict) or value.get("format") != FORMAT:
            raise ValueError(f"no model of the format {FORMAT!r}")
        try:
            return cls(
                Table.from_json(value["table"]),
                Trees.from_json(value["trees"]),
                Curve.from_json(value["calibration"]),
                tuple(math.nan if figure is None else figure for figure in value["usual"]),
            )
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(f"no table classifier: {error!r}") from error

    @cached_property
    def digest(self) -> bytes:
        """The Keccak-256 of the model, 32 bytes."""
        return digest_json(self.to_json())


def learn_classifier(
    columns: Mapping[str, Sequence[Value]],
    labels: npt.ArrayLike,
    text: Collection[str] | None = None,
    growth: GrowthSettings = USUAL_GROWTH,
) -> TableClassifier:
    """Return a classifier of rows; the same rows in the same order give the same classifier.

    Args:
        columns: name to values, all as long.
        labels: True or False, one a row, at least ``LEAST_ROWS`` of either.
        text: columns that hold texts; as for ``learn_table``.
        growth: how trees are grown.

    Raises:
        BadInput: as for ``learn_table``, or there are too few rows of a label, or not as many labels as rows.

    >>> rows = {"bytes": [*range(200)], "service": ["http", "dns"] * 100}
    >>> model = learn_classifier(rows, [number >= 100 for number in range(200)])
    >>> odd = {"bytes": 170, "service": "dns"}
    >>> model.score({"bytes": 30, "service": "dns"}) < 0.1 < 0.9 < model.score(odd)
    True
    >>> [(reason.column, reason.instead) for reason in model.reasons(odd)]
    [('bytes', 49.0)]
    """
    table = learn_table(columns, text)
    figures, wanted = table.matrix(columns), np.asarray(labels, dtype=bool)
    if len(wanted) != len(figures):
        raise BadInput(f"{len(wanted)} labels for {len(figures)} rows")
    n_least = min(int(wanted.sum()), int((~wanted).sum()))
    if n_least < LEAST_ROWS:
        raise BadInput(f"{n_least} rows of a label are too few to learn from: {LEAST_ROWS} are needed")
    trees = grow_trees(figures, wanted, growth)
    return TableClassifier(table, trees, _calibrate(figures, wanted, growth), _usual(table, figures[~wanted]))


def _calibrate(figures: Matrix, labels: Flags, growth: GrowthSettings) -> Curve:
    """Return Platt's curve for margins of rows that the trees had not seen."""
    fold = np.empty(len(labels), dtype=np.intp)
    draw = np.random.default_rng(growth.seed)
    for rows in (np.flatnonzero(labels), np.flatnonzero(~labels)):
        fold[draw.permutation(rows)] = np.arange(len(rows)) % _FOLDS
    margins = np.empty(len(labels))
    for number in range(_FOLDS):
        inside = fold == number
        margins[inside] = grow_trees(figures[~inside], labels[~inside], growth).margins(figures[inside])
    with threadpool_limits(1):  # as for trees
        platt = LogisticRegression(C=1e3, tol=1e-8).fit(margins[:, None], labels)
    slope, shift = max(0.0, float(platt.coef_[0][0])), float(platt.intercept_[0])
    return sample_curve(lambda x: shorten(_sigmoid(slope * x + shift)), -_MARGIN_RANGE, _MARGIN_RANGE, _N_KNOTS)


def _sigmoid(logit: float) -> float:
    return 1.0 / (1.0 + math.exp(-logit)) if logit >= 0.0 else math.exp(logit) / (1.0 + math.exp(logit))


def _usual(table: Table, figures: Matrix) -> tuple[float, ...]:
    """Return each column's middle number (one that a row holds) or most frequent text."""
    found = []
    for column, known in enumerate(table.levels.values()):
        held = np.sort(figures[:, column][~np.isnan(figures[:, column])])
        if known is not None:
            found.append(float(np.bincount(held.astype(np.intp)).argmax()))
        else:
            found.append(float(held[(len(held) - 1) // 2]) if len(held) else math.nan)
    return tuple(found)
