"""What labels taught: a linear margin, boosted trees beside it where held-back rows say so, and a calibration.

Layer: defence, above ``logistic``. Not here: the features (``statistics``, ``behaviour``), what no label has shown
(``novelty``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from chainsec.defence.logistic import LogisticPart, calibrate, hold_back, train_and_hold_back
from chainsec.models.curve import Curve
from chainsec.models.trees import NO_TREES, GrowthSettings, Trees, grow_trees

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Matrix = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

SHARE = 0.4
"""Share of the trees in the margin where they pay; held-back rows flatter them, so that it is not left to those."""
_GROWTH = GrowthSettings(
    max_iter=60, learning_rate=0.12, max_leaf_nodes=12, min_samples_leaf=20, l2_regularization=5.0, max_features=0.2
)
_LEAST_OF_EACH = 60  # labels of either kind below which trees are not tried
_LEAST_GAIN = 1.0  # standard errors by which trees have to lower the loss on held-back rows


@dataclass(frozen=True)
class LabelledPart:
    """Features to the probability that a request like this is denied.

    ``margin = (1 - share) * linear + share * trees``; ``calibration`` turns it into a probability.

    Args:
        linear: margin of a logistic regression.
        trees: margin of boosted trees over ``columns``.
        columns: names of the features that trees ask about, in their order; each has a weight in ``linear`` too.
        share: how much trees count, in [0, 1].
        calibration: margin to probability.
    """

    linear: LogisticPart
    trees: Trees
    columns: tuple[str, ...]
    share: float
    calibration: Curve

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1 or not set(self.columns) <= set(self.linear.weights):
            raise ValueError("trees that ask about features without a usual value, or count for no share")
        if max(self.trees.columns, default=-1) >= len(self.columns):
            raise ValueError("trees ask about a column that has no name")

    @cached_property
    def usual(self) -> Matrix:
        """What each of ``columns`` usually is: its mean in the history."""
        return np.array([self.linear.weights[name].mean for name in self.columns])

    def row(self, features: Mapping[str, float]) -> Matrix:
        """Return the features that trees ask about, shape (n_columns,)."""
        return np.array([features[name] for name in self.columns])

    def contributions(self, features: Mapping[str, float]) -> dict[str, float]:
        """Return what each feature adds to the margin by the linear part."""
        left = 1.0 - self.share
        return {name: left * added for name, added in self.linear.contributions(features).items()}

    def margin(self, features: Mapping[str, float]) -> float:
        """Return the logit before calibration."""
        tree_margin = self.trees.margin(self.row(features)) if self.share else 0.0
        return self.join(self.contributions(features).values(), tree_margin)

    def join(self, added: Iterable[float], tree_margin: float) -> float:
        """Return the margin of what features add by the linear part, and of the trees."""
        return math.fsum(((1.0 - self.share) * self.linear.intercept, *added, self.share * tree_margin))

    def to_json(self) -> dict[str, Any]:
        """Return the part as JSON values."""
        return {
            "calibration": self.calibration.to_json(),
            "columns": list(self.columns),
            "linear": self.linear.to_json(),
            "share": self.share,
            "trees": self.trees.to_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> LabelledPart:
        """Return the part that ``to_json`` wrote.

        Raises:
            ValueError: it is none.
        """
        return cls(
            linear=LogisticPart.from_json(value["linear"]),
            trees=Trees.from_json(value["trees"]),
            columns=tuple(value["columns"]),
            share=value["share"],
            calibration=Curve.from_json(value["calibration"]),
        )


def train_labelled(
    names: Sequence[str],
    rows: Matrix,
    denied: Flags,
    *,
    emphasis: Sequence[float],
    rising: Flags,
    inverse_penalty: float,
    base_rate: float,
) -> LabelledPart:
    """Train on labelled rows in time order and return the part to evaluate.

    Trees learn from the features that may raise and lower the margin; those that may only raise it stay with the
    linear part. Trees count only where they lower the logarithmic loss on blocks of time that neither had seen by more
    than one standard error.

    Args:
        names: feature names, one a column.
        rows: shape (n_labelled, n_features), finite.
        denied: labels, shape (n_labelled,).
        emphasis: factor on each standardised column, > 0.
        rising: features that may raise the margin but never lower it.
        inverse_penalty: scikit-learn's ``C``, > 0.
        base_rate: denial rate to say where nothing can be learned.
    """
    linear, by_linear = train_and_hold_back(
        names, rows, denied, emphasis=emphasis, rising=rising, inverse_penalty=inverse_penalty, base_rate=base_rate
    )
    alone = LabelledPart(linear, NO_TREES, (), 0.0, linear.calibration)
    asked = np.array([name in linear.weights for name in names]) & ~rising
    n_denied = int(denied.sum())
    if by_linear is None or not asked.any() or min(n_denied, len(denied) - n_denied) < _LEAST_OF_EACH:
        return alone
    columns = np.ascontiguousarray(rows[:, asked])
    by_trees = hold_back(
        denied, lambda taught: grow_trees(columns[taught], denied[taught], _GROWTH).margins(columns[~taught])
    )
    assert by_trees is not None  # the linear part had both kinds of label in the same blocks
    margins = (1.0 - SHARE) * by_linear + SHARE * by_trees
    gained = _losses(by_linear, denied) - _losses(margins, denied)
    if gained.mean() <= _LEAST_GAIN * gained.std() / math.sqrt(len(gained)):
        return alone
    asked_for = tuple(name for name, is_asked in zip(names, asked, strict=True) if is_asked)
    return LabelledPart(linear, grow_trees(columns, denied, _GROWTH), asked_for, SHARE, calibrate(margins, denied))


def _losses(margins: Matrix, denied: Flags) -> Matrix:
    """Return each row's logarithmic loss under the calibrated margin, in nats."""
    said = np.clip(calibrate(margins, denied).at_each(margins), 1e-7, 1.0 - 1e-7)
    losses: Matrix = -np.log(np.where(denied, said, 1.0 - said))
    return losses
