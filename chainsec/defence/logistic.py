"""What labels taught: a logistic regression, trained by scikit-learn and evaluated here, bit for bit.

Layer: defence. Not here: the features (``statistics``, ``behaviour``), what no label has shown (``novelty``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from chainsec.models.curve import Curve, sample_curve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Matrix = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_MARGIN_RANGE = 16.0  # logit; beyond it a probability differs from 0 or 1 by less than 2e-7
_N_KNOTS = 257
_CALIBRATION_FOLDS = 5
_MIN_PER_CLASS = 5  # labels of either kind below which no weight is learned


def sigmoid(logit: float) -> float:
    """Return the logistic function of ``logit``, without overflow.

    >>> sigmoid(0.0)
    0.5
    """
    if logit >= 0:
        return 1.0 / (1.0 + math.exp(-logit))
    return math.exp(logit) / (1.0 + math.exp(logit))


class Weight(NamedTuple):
    """What a feature counts, and its mean, least and most in the history; what lies beyond counts as these."""

    weight: float
    mean: float
    least: float
    most: float


@dataclass(frozen=True)
class LogisticPart:
    """A linear margin with a calibration curve.

    ``margin = intercept + sum of weight * (feature - mean)``, summed by ``math.fsum``, which rounds once and so
    does not depend on order; ``calibration`` turns it into a probability. A feature counts within the range that the
    history showed: labels say nothing about what lies beyond.

    Args:
        intercept: margin where every feature is at its mean.
        weights: by feature name.
        calibration: margin to probability.
    """

    intercept: float
    weights: Mapping[str, Weight]
    calibration: Curve

    def contributions(self, features: Mapping[str, float]) -> dict[str, float]:
        """Return what each feature adds to the margin."""
        row = np.array([features[name] for name in self.weights])
        return dict(zip(self.weights, self.contributions_of(row[None]).ravel().tolist(), strict=True))

    def contributions_of(self, rows: Matrix) -> Matrix:
        """Return ``contributions`` of many requests; shape (n_rows, n_weights), columns in the order of ``weights``."""
        weights, means, least, most = self._columns
        added: Matrix = weights * (np.minimum(np.maximum(rows, least), most) - means)
        return added

    @cached_property
    def _columns(self) -> Matrix:
        """Weights, means, least and most; shape (4, n_weights)."""
        return np.array([*self.weights.values()]).reshape(-1, 4).T.copy()

    def margin(self, features: Mapping[str, float]) -> float:
        """Return the logit before calibration."""
        return math.fsum((self.intercept, *self.contributions(features).values()))

    def to_json(self) -> dict[str, Any]:
        """Return the part as JSON values."""
        return {
            "calibration": self.calibration.to_json(),
            "intercept": self.intercept,
            "weights": {name: list(weight) for name, weight in self.weights.items()},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> LogisticPart:
        """Return the part that ``to_json`` wrote."""
        weights = {name: Weight(*stored) for name, stored in value["weights"].items()}
        return cls(value["intercept"], weights, Curve.from_json(value["calibration"]))


def _fit(rows: Matrix, denied: Flags, inverse_penalty: float, tolerance: float = 1e-6) -> LogisticRegression:
    return LogisticRegression(C=inverse_penalty, max_iter=1_000, tol=tolerance).fit(rows, denied)


def rank_columns(rows: Matrix, denied: Flags, inverse_penalty: float) -> Matrix:
    """Return how much each standardised column weighs in a rough fit, shape (n_columns,); zeros without both classes.

    Args:
        rows: shape (n_labelled, n_columns), finite.
        denied: labels, shape (n_labelled,).
        inverse_penalty: scikit-learn's ``C``, > 0.
    """
    if min(int(denied.sum()), int((~denied).sum())) < _MIN_PER_CLASS:
        return np.zeros(rows.shape[1])
    scaled = np.ascontiguousarray((rows - rows.mean(axis=0)) / np.maximum(rows.std(axis=0), 1e-6))
    weights: Matrix = np.abs(_fit(scaled, denied, inverse_penalty, 1e-2).coef_[0])
    return weights


def train_logistic(
    names: Sequence[str],
    rows: Matrix,
    denied: Flags,
    *,
    emphasis: Sequence[float],
    rising: Flags,
    inverse_penalty: float,
    base_rate: float,
) -> LogisticPart:
    """Train on labelled rows in time order and return the part to evaluate.

    Columns are standardised, so the penalty is even; ``emphasis`` loosens it where a feature deserves more trust.
    The calibration is Platt's, fitted on margins of rows that the weights had not seen, in blocks of time.
    With fewer than five labels of either kind the part says ``base_rate`` to everything.

    Args:
        names: feature names, one a column.
        rows: shape (n_labelled, n_features), finite.
        denied: labels, shape (n_labelled,).
        emphasis: factor on each standardised column, > 0.
        rising: features that may raise the margin but never lower it; one that would is left out.
        inverse_penalty: scikit-learn's ``C``, > 0.
        base_rate: denial rate to say where nothing can be learned.
    """
    return train_and_hold_back(
        names, rows, denied, emphasis=emphasis, rising=rising, inverse_penalty=inverse_penalty, base_rate=base_rate
    )[0]


def train_and_hold_back(
    names: Sequence[str],
    rows: Matrix,
    denied: Flags,
    *,
    emphasis: Sequence[float],
    rising: Flags,
    inverse_penalty: float,
    base_rate: float,
) -> tuple[LogisticPart, Matrix | None]:
    """Return the part of ``train_logistic``, and each row's margin by weights that had not seen it.

    There are no such margins, but None, where nothing is learned or a block of time is all that has one kind of label.
    """
    if min(int(denied.sum()), int((~denied).sum())) < _MIN_PER_CLASS:
        return LogisticPart(0.0, {}, Curve((0.0,), (base_rate,))), None
    mean = rows.mean(axis=0)
    scale = np.asarray(emphasis) / np.maximum(rows.std(axis=0), 1e-6)
    scaled = (rows - mean) * scale
    used = np.arange(len(names))
    while True:
        # One memory layout fixes the summation order inside the solver, and with it the last bits of every weight.
        columns = np.ascontiguousarray(scaled[:, used])
        model = _fit(columns, denied, inverse_penalty)
        falls = rising[used] & (model.coef_[0] < 0)
        if not falls.any():
            break
        used = used[~falls]
    margins = hold_back(
        denied,
        lambda taught: _fit(columns[taught], denied[taught], inverse_penalty).decision_function(columns[~taught]),
    )
    weights = {
        names[i]: Weight(
            _shorten(weight * scale[i]), _shorten(mean[i]), float(rows[:, i].min()), float(rows[:, i].max())
        )
        for i, weight in zip(used.tolist(), model.coef_[0], strict=True)
    }
    return LogisticPart(_shorten(model.intercept_[0]), weights, calibrate(margins, denied)), margins


def _shorten(value: float) -> float:
    """Return ``value`` to 9 significant digits, so that the last bits of a BLAS hardly ever reach the digest."""
    return float(f"{value:.9g}")


def hold_back(denied: Flags, predict: Callable[[Flags], Matrix]) -> Matrix | None:
    """Return each row's margin by a model of the other blocks of time; None where a block holds all of one kind.

    Args:
        denied: labels in time order, shape (n_labelled,).
        predict: told which rows to learn from, shape (n_labelled,); returns the margins of the others.
    """
    fold = np.arange(len(denied)) * _CALIBRATION_FOLDS // len(denied)
    margins = np.zeros(len(denied))
    for number in range(_CALIBRATION_FOLDS):
        taught = fold != number
        if len(np.unique(denied[taught])) == 1:
            return None
        margins[~taught] = predict(taught)
    return margins


def calibrate(margins: Matrix | None, denied: Flags) -> Curve:
    """Return Platt's curve from margin to probability; the logistic function where there is none to be had.

    Args:
        margins: of rows that the model had not seen, shape (n_labelled,), or None.
        denied: labels, shape (n_labelled,).

    Source: Platt, "Probabilistic Outputs for Support Vector Machines" (1999).
    """
    slope, shift = 1.0, 0.0
    if margins is not None:
        platt = _fit(margins[:, None], denied, 1e3)
        if platt.coef_[0][0] > 0:
            slope, shift = _shorten(platt.coef_[0][0]), _shorten(platt.intercept_[0])
    return sample_curve(lambda x: _shorten(sigmoid(slope * x + shift)), -_MARGIN_RANGE, _MARGIN_RANGE, _N_KNOTS)
