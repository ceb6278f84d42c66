"""How far a row lies from where normal rows lie; learned from normal rows alone.

Each direction counts by how little normal rows vary along it: what never happens among them weighs most, what varies
anyway hardly counts. A principal component residual says the same with a sharp border between directions that count
and those that do not; ``SOFTNESS`` draws the border softly. Layer: models. Not here: reading rows (``table``).

Source: Tipping and Bishop, "Probabilistic Principal Component Analysis" (1999); Shyu et al., "A Novel Anomaly
Detection Scheme Based on Principal Component Classifier" (2003).
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from chainsec.digest import digest_json
from chainsec.errors import BadInput
from chainsec.models.axes import Axis, Encoder, lay_axes, shorten
from chainsec.models.curve import Curve, rarity_curve
from chainsec.models.table import Reason, Table, Value, learn_table

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

Matrix = npt.NDArray[np.float64]

SOFTNESS = 0.3
"""Variance added to every direction, where a standardised column has at most about 1."""

LEAST_ROWS = 20
"""Normal rows below which nothing is learned."""

FORMAT = "chainsec subspace 1"

_PRECISION_DECIMALS = 6  # finer than any score shows, coarser than what machines' linear algebra differs by
_FOLDS = 5
_CHUNK = 512  # rows at a time, so that a batch stays in the processor's cache
_MOST_TRIED = 8  # texts that a reason may name instead of the row's own


@dataclass(frozen=True)
class Subspace:
    """Where normal rows lie.

    ``distance = sum of away[i] * precision[i][j] * away[j]`` over the differences ``away`` along the axes.

    Args:
        table: how rows are read.
        axes: those of numbers first.
        precision: inverse of the softened covariance of normal rows, symmetric, shape (n_axes, n_axes).
        bits: distance to rarity among normal rows.

    Raises:
        ValueError: shapes do not fit, a number is not finite, or an axis is of no column.
    """

    table: Table
    axes: tuple[Axis, ...]
    precision: tuple[tuple[float, ...], ...]
    bits: Curve

    def __post_init__(self) -> None:
        n_axes = len(self.axes)
        if not n_axes or len(self.precision) != n_axes or any(len(row) != n_axes for row in self.precision):
            raise ValueError("a precision matrix needs a row and a column for each axis")
        if not np.isfinite(self._precision).all() or not np.array_equal(self._precision, self._precision.T):
            raise ValueError("a precision matrix is symmetric and finite")
        if max(axis.column for axis in self.axes) >= len(self.table.names):
            raise ValueError("an axis is of no column")
        if [axis.code is None for axis in self.axes] != sorted((axis.code is None for axis in self.axes), reverse=True):
            raise ValueError("axes of numbers come first")

    @cached_property
    def _precision(self) -> Matrix:
        return np.array(self.precision, dtype=np.float64)

    @cached_property
    def _encoder(self) -> Encoder:
        return Encoder(self.axes)

    def distance(self, row: Mapping[str, Value]) -> float:
        """Return how far one row lies from normal rows: at least 0, high where it is odd.

        Raises:
            BadInput: as for ``Table.row``.
        """
        [away] = self._encoder.encode(np.array([self.table.row(row)]))
        return math.fsum((away * self._pull(away)).tolist())

    def distances(self, columns: Mapping[str, Sequence[Value]]) -> Matrix:
        """Return the distance of each row, bit for bit that of ``distance``; shape (n_rows,).

        Raises:
            BadInput: as for ``Table.matrix``.
        """
        return self._distances(self.table.matrix(columns))

    def rarity(self, row: Mapping[str, Value]) -> float:
        """Return how rare it is among normal rows to lie as far out, in bits: 3 is 1 in 8.

        Raises:
            BadInput: as for ``Table.row``.
        """
        return self.bits.at(self.distance(row))

    def rarities(self, columns: Mapping[str, Sequence[Value]]) -> Matrix:
        """Return the rarity of each row, shape (n_rows,).

        Raises:
            BadInput: as for ``Table.matrix``.
        """
        return self.bits.at_each(self.distances(columns))

    def _pull(self, away: Matrix) -> Matrix:
        # row after row of the matrix, as in a batch: a library's product would sum in an order of its own
        found: Matrix = (self._precision * away[:, None]).sum(axis=0)
        return found

    def _distances(self, figures: Matrix) -> Matrix:
        found = np.empty(len(figures))
        for first in range(0, len(figures), _CHUNK):
            away = np.ascontiguousarray(self._encoder.encode(figures[first : first + _CHUNK]).T)
            pull, term = np.zeros_like(away), np.empty_like(away)
            for row, along in zip(self._precision, away, strict=True):
                pull += np.multiply(row[:, None], along, out=term)
            found[first : first + _CHUNK] = [*map(math.fsum, (away * pull).T.tolist())]
        return found

    def reasons(self, row: Mapping[str, Value], limit: int = 3) -> list[Reason]:
        """Return the columns that put ``row`` where it lies, the one that matters most first.

        For each column stands what would fit the row's other columns best; ``effect`` is by how much the distance
        falls with it. Columns with which it does not fall are left out.

        Args:
            row: as for ``distance``.
            limit: at most this many.

        Raises:
            BadInput: as for ``Table.row``.
        """
        figures = np.array(self.table.row(row))
        tried = self._fitting(figures)
        changed = np.tile(figures, (len(tried) + 1, 1))
        for at, (column, figure) in enumerate(tried, 1):
            changed[at, column] = figure
        distance, *others = self._distances(changed).tolist()
        best: dict[int, Reason] = {}
        for other, (column, figure) in sorted(zip(others, tried, strict=True)):
            if other < distance and column not in best:
                name = self.table.names[column]
                best[column] = Reason(name, row[name], self.table.value(column, figure), distance - other)
        return [*best.values()][:limit]

    def _fitting(self, figures: Matrix) -> list[tuple[int, float]]:
        """Return for each column what could fit: the number on which the distance is least, frequent texts."""
        [away] = self._encoder.encode(figures[None, :])
        best = away - self._pull(away) / np.diag(self._precision)
        found = []
        for at, axis in enumerate(self.axes):
            if axis.code is None:
                found.append((axis.column, self._encoder.number(at, float(best[at]))))
        for column, known in enumerate(self.table.levels.values()):
            found += [(column, float(code)) for code in range(min(_MOST_TRIED, len(known or ())))]
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the model as JSON values."""
        return {
            "axes": [list(astuple(axis)) for axis in self.axes],
            "bits": self.bits.to_json(),
            "format": FORMAT,
            "precision": [list(row) for row in self.precision],
            "table": self.table.to_json(),
        }

    @classmethod
    def from_json(cls, value: Any) -> Subspace:
        """Return the model that ``to_json`` wrote.

        Raises:
            ValueError: it is none, or of another format.
        """
        if not isinstance(value, dict) or value.get("format") != FORMAT:
            raise ValueError(f"no model of the format {FORMAT!r}")
        try:
            return cls(
                Table.from_json(value["table"]),
                tuple(Axis(*each) for each in value["axes"]),
                tuple(map(tuple, value["precision"])),
                Curve.from_json(value["bits"]),
            )
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(f"no subspace: {error!r}") from error

    @cached_property
    def digest(self) -> bytes:
        """The Keccak-256 of the model, 32 bytes."""
        return digest_json(self.to_json())


def learn_subspace(normal: Mapping[str, Sequence[Value]], text: Collection[str] | None = None) -> Subspace:
    """Return where normal rows lie; the same rows give the same model.

    Rarities come from rows that the space was not learned from, a fifth at a time.

    Args:
        normal: rows as columns, name to values; at least ``LEAST_ROWS``, none of them known as odd.
        text: columns that hold texts; as for ``learn_table``.

    Raises:
        BadInput: as for ``learn_table``, or there are too few rows.

    >>> rows = {"bytes": [*range(100, 200)], "service": ["http", "dns"] * 50}
    >>> space = learn_subspace(rows)
    >>> odd = {"bytes": 90_000, "service": "gopher"}
    >>> space.distance({"bytes": 150, "service": "dns"}) < 10.0 < space.distance(odd)
    True
    >>> [(reason.column, reason.value) for reason in space.reasons(odd)]
    [('service', 'gopher'), ('bytes', 90000)]
    """
    table = learn_table(normal, text)
    figures = table.matrix(normal)
    if len(figures) < LEAST_ROWS:
        raise BadInput(f"{len(figures)} normal rows are too few to learn from: {LEAST_ROWS} are needed")
    unseen = np.empty(len(figures))
    with threadpool_limits(1):  # how many threads share a sum would decide its last bits
        for fold in range(_FOLDS):
            inside = np.arange(len(figures)) % _FOLDS == fold
            unseen[inside] = _fit(table, figures[~inside], Curve((0.0,), (0.0,)))._distances(figures[inside])  # noqa: SLF001
        bits = rarity_curve([*map(shorten, unseen.tolist())])
        return _fit(table, figures, bits)


def _fit(table: Table, figures: Matrix, bits: Curve) -> Subspace:
    drafts = lay_axes(table, figures)
    away = Encoder(drafts).encode(figures)
    shifts = [*map(shorten, away.mean(axis=0).tolist())]
    away -= np.array(shifts)
    covariance = away.T @ away / len(away)
    inverse = np.linalg.inv(covariance + SOFTNESS * np.eye(len(drafts)))
    precision = np.round((inverse + inverse.T) / 2.0, _PRECISION_DECIMALS) + 0.0
    axes = tuple(replace(axis, shift=shift) for axis, shift in zip(drafts, shifts, strict=True))
    return Subspace(table, axes, tuple(map(tuple, precision.tolist())), bits)
