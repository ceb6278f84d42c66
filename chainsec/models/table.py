"""Rows with named columns of numbers and texts, as a matrix that models read.

A number stays what it is and a missing one becomes NaN. A text becomes its place among the texts of training, the most
frequent first; one that was not seen stands behind all of them. What is no number where a number belongs, an infinity,
and columns of another version are refused, with column and row. Layer: models. Not here: scaling (``subspace``).
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from chainsec.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

Matrix = npt.NDArray[np.float64]
Value = str | float | None

MAX_LEVELS = 128
"""Texts of a column that are told apart; rarer ones count as not seen."""

_MOST_ARE_NUMBERS = 0.5  # from this share of numbers on, what is no number is a mistake and not a text


@dataclass(frozen=True)
class Reason:
    """Why a row scores as it does: one column, and how far the score would fall if it held something else.

    Args:
        column: its name.
        value: what the row holds there, None where it is missing.
        instead: what would be usual.
        effect: score of the row less the score with ``instead``, in the model's own unit.
    """

    column: str
    value: Value
    instead: Value
    effect: float


@dataclass(frozen=True)
class Table:
    """Which columns rows have, and which texts are known.

    Args:
        levels: column name to its known texts, most frequent first; None for a column of numbers.

    Raises:
        ValueError: no column, or a text that stands twice or is too many.

    >>> table = learn_table({"bytes": [10, "20"], "service": ["http", "ssh"]})
    >>> table.row({"bytes": "7.5", "service": "ssh"}), table.row({"bytes": None, "service": "gopher"})
    ([7.5, 1.0], [nan, 2.0])
    """

    levels: Mapping[str, tuple[str, ...] | None]

    def __post_init__(self) -> None:
        if not self.levels:
            raise ValueError("a table needs a column")
        for name, known in self.levels.items():
            if known is not None and (len(set(known)) != len(known) or len(known) > MAX_LEVELS):
                raise ValueError(f"column {name!r}: texts stand twice, or there are more than {MAX_LEVELS}")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The columns in their order."""
        return tuple(self.levels)

    @cached_property
    def _places(self) -> tuple[tuple[str, dict[str, float] | None], ...]:
        return tuple(
            (name, None if known is None else {text: float(at) for at, text in enumerate(known)})
            for name, known in self.levels.items()
        )

    def row(self, values: Mapping[str, Value]) -> list[float]:
        """Return one row as numbers, shape (n_columns,).

        Raises:
            BadInput: a column is missing or unknown, or holds what it cannot hold.
        """
        self._check_names(values.keys())
        return [
            _number(name, 1, values[name]) if places is None else _place(places, name, 1, values[name])
            for name, places in self._places
        ]

    def matrix(self, columns: Mapping[str, Sequence[Value]]) -> Matrix:
        """Return rows given as columns, each as ``row`` would; shape (n_rows, n_columns).

        Raises:
            BadInput: as for ``row``, or columns differ in length.
        """
        self._check_names(columns.keys())
        n_rows = _count_rows(columns)
        found = np.empty((n_rows, len(self._places)))
        for at, (name, places) in enumerate(self._places):
            found[:, at] = _numbers(name, columns[name]) if places is None else _texts(places, name, columns[name])
        return found

    def value(self, column: int, figure: float) -> Value:
        """Return what stands for ``figure`` in a column: a number, a text, None for what is missing or was not seen.

        Args:
            column: its place.
            figure: as ``row`` gives it.
        """
        known = self.levels[self.names[column]]
        if known is None:
            return None if math.isnan(figure) else figure
        return known[int(figure)] if figure < len(known) else None

    def _check_names(self, names: Collection[str]) -> None:
        if names == self.levels.keys():
            return
        for name in self.levels:
            if name not in names:
                raise BadInput(f"column {name!r} is missing", column=name)
        surplus = min(set(names) - self.levels.keys())
        raise BadInput(f"column {surplus!r} is not among those that the model was trained with", column=surplus)

    def to_json(self) -> list[list[Any]]:
        """Return the columns as JSON values, in their order."""
        return [[name, None if known is None else list(known)] for name, known in self.levels.items()]

    @classmethod
    def from_json(cls, value: Any) -> Table:
        """Return the table that ``to_json`` wrote.

        Raises:
            ValueError: it is none.
        """
        if not isinstance(value, list):
            raise ValueError("no table: not a list of columns")  # noqa: TRY004 - what a file says is no type of ours
        try:
            levels = {name: None if known is None else tuple(known) for name, known in value}
            texts = [*levels, *(text for known in levels.values() for text in known or ())]
        except TypeError as error:
            raise ValueError(f"no table: {error}") from error
        if len(levels) != len(value) or not all(isinstance(text, str) for text in texts):
            raise ValueError("no table: a column stands twice, or a name is no text")
        return cls(levels)


def learn_table(columns: Mapping[str, Sequence[Value]], text: Collection[str] | None = None) -> Table:
    """Return the table of training rows.

    Args:
        columns: name to values, all as long.
        text: columns that hold texts; without it, those where at most half of what is not missing are numbers.

    Raises:
        BadInput: there are no rows, columns differ in length, one of ``text`` is not there, or a column of numbers
            holds something else.

    >>> learn_table({"a": ["1", "x", "x"], "b": [1, 2, 3]}).levels
    {'a': ('x', '1'), 'b': None}
    """
    if not _count_rows(columns):
        raise BadInput("there are no rows to learn from")
    for name in text or ():
        if name not in columns:
            raise BadInput(f"column {name!r} is missing", column=name)
    levels: dict[str, tuple[str, ...] | None] = {}
    for name, column in columns.items():
        if name in text if text is not None else _is_text(column):
            counts = Counter(_text(name, at, value) for at, value in enumerate(column, 1))
            ranked = sorted(counts, key=lambda known: (-counts[known], known))
            levels[name] = tuple(ranked[:MAX_LEVELS])
        else:
            _numbers(name, column)
            levels[name] = None
    return Table(levels)


def _count_rows(columns: Mapping[str, Sequence[Value]]) -> int:
    lengths = {name: len(column) for name, column in columns.items()}
    n_rows = max(lengths.values(), default=0)
    for name, length in lengths.items():
        if length != n_rows:
            raise BadInput(f"column {name!r} has {length} values, another one {n_rows}", column=name)
    return n_rows


def _is_text(column: Sequence[Value]) -> bool:
    there = [value for value in column if not _is_missing(value)]
    return bool(there) and sum(map(_is_number, there)) <= _MOST_ARE_NUMBERS * len(there)


def _is_missing(value: Value) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _refusal(name: str, row: int, value: Any, what: str) -> BadInput:
    return BadInput(f"row {row}: column {name!r}: {value!r} is {what}", row=row, column=name)


def _number(name: str, row: int, value: Any) -> float:
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        if _is_missing(value):
            return math.nan
        raise _refusal(name, row, value, "no number") from None
    if math.isinf(found):
        raise _refusal(name, row, value, "infinite")
    return found


def _numbers(name: str, column: Sequence[Any]) -> Matrix:
    try:
        found = np.array([*map(float, column)], dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return np.array([_number(name, row, value) for row, value in enumerate(column, 1)], dtype=np.float64)
    if np.isinf(found).any():
        row = int(np.flatnonzero(np.isinf(found))[0])
        raise _refusal(name, row + 1, column[row], "infinite")
    return found


def _text(name: str, row: int, value: Value) -> str:
    """Return a text without blanks around it; what is missing is the empty text, a text like any other."""
    if isinstance(value, str):
        return value.strip()
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return ""
    if isinstance(value, int):
        return str(value)
    raise _refusal(name, row, value, "no text")


def _place(places: Mapping[str, float], name: str, row: int, value: Value) -> float:
    return places.get(_text(name, row, value), float(len(places)))


def _texts(places: Mapping[str, float], name: str, column: Sequence[Value]) -> Matrix:
    unseen = float(len(places))
    found = [places.get(_text(name, row, value), unseen) for row, value in enumerate(column, 1)]
    return np.array(found, dtype=np.float64)
