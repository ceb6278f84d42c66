"""Boosted trees: grown by scikit-learn, kept as plain numbers and evaluated here, bit for bit on every machine.

A row goes left where its value is at most the threshold. The margin is the exactly rounded sum of one leaf for each
tree, so that neither order nor library changes its last bit. Layer: models. Not here: columns (``table``), calibration.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Matrix = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]

_DIGITS = 9  # significant digits of a leaf: the last bits of another machine's sums do not reach the digest
_CHUNK = 256  # rows at a time, so that a batch stays in the processor's cache


@dataclass(frozen=True)
class GrowthSettings:
    """How trees are grown; names and meanings are scikit-learn's ``HistGradientBoostingClassifier``'s.

    Args:
        max_iter: trees, at least 1.
        learning_rate: share of each tree's answer that is used, > 0.
        max_leaf_nodes: leaves of a tree, at least 2.
        min_samples_leaf: training rows in a leaf, at least 1.
        l2_regularization: penalty on leaves, at least 0.
        max_features: share of the columns that a split may choose from, in (0, 1].
        seed: of the draw of those columns.
    """

    max_iter: int = 100
    learning_rate: float = 0.1
    max_leaf_nodes: int = 16
    min_samples_leaf: int = 20
    l2_regularization: float = 1.0
    max_features: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Trees:
    """Trees as arrays over all their nodes, children after their parents; a leaf is its own child.

    Args:
        base: margin before any tree.
        roots: node of each tree's root, shape (n_trees,).
        columns: column that a node asks about; 0 at a leaf.
        thresholds: a value at most this goes left; infinity at a leaf.
        left, right: children.
        missing_left: whether a missing value (NaN) goes left.
        values: mean margin of the training rows that came through a node, by their weight; a leaf's own at a leaf.

    Raises:
        ValueError: the arrays are no trees: lengths differ, a child does not come after its parent, a number is NaN.
    """

    base: float
    roots: tuple[int, ...]
    columns: tuple[int, ...]
    thresholds: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    missing_left: tuple[bool, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        n_nodes = len(self.columns)
        parts = (self.thresholds, self.left, self.right, self.missing_left, self.values)
        if any(len(part) != n_nodes for part in parts):
            raise ValueError("the arrays of trees differ in length")
        for node, (left, right) in enumerate(zip(self.left, self.right, strict=True)):
            is_leaf = left == right == node
            if not is_leaf and not node < min(left, right) <= max(left, right) < n_nodes:
                raise ValueError(f"node {node} has children {left} and {right}")
        if not all(0 <= root < n_nodes for root in self.roots) or min(self.columns, default=0) < 0:
            raise ValueError("a root or column lies outside")
        if not all(map(math.isfinite, (self.base, *self.values))) or any(map(math.isnan, self.thresholds)):
            raise ValueError("trees need finite values and thresholds that are numbers")

    @cached_property
    def _arrays(self) -> tuple[Indices, Indices, Matrix, Indices, Indices, Flags, Matrix]:
        return (
            np.array(self.roots, dtype=np.intp),
            np.array(self.columns, dtype=np.intp),
            np.array(self.thresholds, dtype=np.float64),
            np.array(self.left, dtype=np.intp),
            np.array(self.right, dtype=np.intp),
            np.array(self.missing_left, dtype=np.bool_),
            np.array(self.values, dtype=np.float64),
        )

    @cached_property
    def depth(self) -> int:
        """The longest way from a root to a leaf, in steps."""
        level = [0] * len(self.columns)
        for node, (left, right) in enumerate(zip(self.left, self.right, strict=True)):
            if left != node:
                level[left] = level[right] = level[node] + 1
        return max(level, default=0)

    def margins(self, rows: Matrix) -> Matrix:
        """Return the margin of each row, bit for bit that of ``margin``; shape (n_rows, n_columns) to (n_rows,)."""
        found = np.empty(len(rows))
        for first in range(0, len(rows), _CHUNK):
            leaves = self._leaves(rows[first : first + _CHUNK])
            found[first : first + _CHUNK] = [math.fsum((self.base, *row)) for row in leaves.tolist()]
        return found

    def _leaves(self, rows: Matrix) -> Matrix:
        roots, columns, thresholds, left, right, missing_left, values = self._arrays
        n_rows, n_trees = len(rows), len(roots)
        flat, starts = np.ascontiguousarray(rows).ravel(), np.repeat(np.arange(n_rows) * rows.shape[1], n_trees)
        has_missing = bool(np.isnan(flat).any())
        at = np.tile(roots, n_rows)
        under_way, here = np.arange(len(at)), at
        while len(under_way):
            asked = flat[starts[under_way] + columns[here]]
            goes_left = asked <= thresholds[here]
            if has_missing:
                goes_left = np.where(np.isnan(asked), missing_left[here], goes_left)
            here = np.where(goes_left, left[here], right[here])
            at[under_way] = here
            is_inner = left[here] != here
            under_way, here = under_way[is_inner], here[is_inner]
        found: Matrix = values[at].reshape(n_rows, n_trees)
        return found

    def margin(self, row: Sequence[float] | Matrix) -> float:
        """Return the margin of one row, shape (n_columns,)."""
        return float(self.margins(np.asarray(row, dtype=np.float64)[None, :])[0])

    def contributions(self, row: Sequence[float] | Matrix) -> Matrix:
        """Return what each column adds to the margin of ``row``, shape (n_columns,).

        A step from a node to its child adds the difference of their values to the column that the node asks about; the
        sum over columns and the expected margin is the margin, up to rounding.

        Source: Saabas, "Interpreting random forests" (2014).
        """
        roots, columns, thresholds, left, right, missing_left, values = self._arrays
        asked_of = np.asarray(row, dtype=np.float64)
        added, at = np.zeros(len(asked_of)), roots
        for _ in range(self.depth):
            asked = asked_of[columns[at]]
            goes_left = np.where(np.isnan(asked), missing_left[at], asked <= thresholds[at])
            following = np.where(goes_left, left[at], right[at])
            np.add.at(added, columns[at], values[following] - values[at])
            at = following
        return added

    @property
    def used(self) -> tuple[int, ...]:
        """The columns that a node asks about, rising."""
        pairs = zip(self.columns, self.left, strict=True)
        return tuple(sorted({column for node, (column, left) in enumerate(pairs) if left != node}))

    def to_json(self) -> dict[str, Any]:
        """Return the trees as JSON values; leaves have no threshold."""
        return {
            "base": self.base,
            "columns": list(self.columns),
            "left": list(self.left),
            "missing_left": [int(flag) for flag in self.missing_left],
            "right": list(self.right),
            "roots": list(self.roots),
            "thresholds": [None if math.isinf(bound) else bound for bound in self.thresholds],
            "values": list(self.values),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Trees:
        """Return the trees that ``to_json`` wrote.

        Raises:
            ValueError: they are no trees.
            TypeError: a node or column is no whole number.
        """
        return cls(
            base=value["base"],
            roots=tuple(map(index, value["roots"])),
            columns=tuple(map(index, value["columns"])),
            thresholds=tuple(math.inf if bound is None else bound for bound in value["thresholds"]),
            left=tuple(map(index, value["left"])),
            right=tuple(map(index, value["right"])),
            missing_left=tuple(map(bool, value["missing_left"])),
            values=tuple(value["values"]),
        )


NO_TREES = Trees(0.0, (), (), (), (), (), (), ())
"""Says 0 to everything."""


def grow_trees(
    rows: Matrix, labels: npt.ArrayLike, settings: GrowthSettings | None = None, *, weights: Matrix | None = None
) -> Trees:
    """Return trees whose margin is the log-odds of ``labels``; the same rows give the same trees.

    Args:
        rows: shape (n_rows, n_columns); NaN is a missing value.
        labels: True or False, shape (n_rows,), both kinds present.
        settings: how they are grown.
        weights: of each row, > 0; all the same without it.

    Raises:
        ValueError: a value is infinite, or only one kind of label is there.

    >>> rows = np.arange(200.0)[:, None]
    >>> trees = grow_trees(rows, rows[:, 0] >= 100, GrowthSettings(max_iter=20))
    >>> trees.margin([30.0]) < 0 < trees.margin([170.0])
    True
    """
    return _grow(HistGradientBoostingClassifier, rows, np.asarray(labels, dtype=bool), settings, weights)


def grow_regression(
    rows: Matrix, targets: Matrix, settings: GrowthSettings | None = None, *, weights: Matrix | None = None
) -> Trees:
    """Return trees whose margin is the expected value of ``targets``; arguments and errors as for ``grow_trees``.

    >>> rows = np.arange(200.0)[:, None]
    >>> trees = grow_regression(rows, rows[:, 0] * 2.0, GrowthSettings(max_iter=50))
    >>> abs(trees.margin([100.0]) - 200.0) < 20.0
    True
    """
    return _grow(HistGradientBoostingRegressor, rows, targets, settings, weights)


def _grow(
    kind: type, rows: Matrix, targets: npt.NDArray[Any], settings: GrowthSettings | None, weights: Matrix | None
) -> Trees:
    if np.isinf(rows).any():
        raise ValueError("a value is infinite")
    told = settings or GrowthSettings()
    if kind is HistGradientBoostingClassifier and len(np.unique(targets)) < 2:  # noqa: PLR2004 - two kinds
        raise ValueError("trees need labels of both kinds")
    learner = kind(
        max_iter=told.max_iter,
        learning_rate=told.learning_rate,
        max_leaf_nodes=told.max_leaf_nodes,
        min_samples_leaf=told.min_samples_leaf,
        l2_regularization=told.l2_regularization,
        max_features=told.max_features,
        random_state=told.seed,
        early_stopping=False,
    )
    with threadpool_limits(1):  # how many threads share a sum would decide its last bits
        learner.fit(rows, targets, sample_weight=weights)
    return _lay_flat(learner)


def _lay_flat(learner: Any) -> Trees:
    """Return the learner's trees, nodes of all of them in one numbering."""
    roots: list[int] = []
    columns: list[int] = []
    thresholds: list[float] = []
    left: list[int] = []
    right: list[int] = []
    missing_left: list[bool] = []
    values: list[float] = []
    for [tree] in learner._predictors:  # noqa: SLF001 - scikit-learn shows its trees nowhere else
        nodes, first = tree.nodes, len(columns)
        roots.append(first)
        means = _mean_values(nodes)
        for number, node in enumerate(nodes):
            is_leaf = bool(node["is_leaf"])
            columns.append(0 if is_leaf else int(node["feature_idx"]))
            thresholds.append(math.inf if is_leaf else float(node["num_threshold"]))
            left.append(first + (number if is_leaf else int(node["left"])))
            right.append(first + (number if is_leaf else int(node["right"])))
            missing_left.append(bool(node["missing_go_to_left"]))
            values.append(float(f"{means[number]:.{_DIGITS}g}"))
    base = float(f"{float(np.ravel(learner._baseline_prediction)[0]):.{_DIGITS}g}")  # noqa: SLF001 - as above
    return Trees(
        base=base,
        roots=tuple(roots),
        columns=tuple(columns),
        thresholds=tuple(thresholds),
        left=tuple(left),
        right=tuple(right),
        missing_left=tuple(missing_left),
        values=tuple(values),
    )


def _mean_values(nodes: Any) -> Matrix:
    """Return each node's value: a leaf's own, and above it the mean of the leaves below, by training rows."""
    means: Matrix = nodes["value"].astype(np.float64)
    for number in range(len(nodes) - 1, -1, -1):
        node = nodes[number]
        if not node["is_leaf"]:
            left, right = int(node["left"]), int(node["right"])
            counts = float(nodes["count"][left]), float(nodes["count"][right])
            means[number] = (means[left] * counts[0] + means[right] * counts[1]) / (counts[0] + counts[1])
    return means
