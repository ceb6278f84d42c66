"""Reads the user-days of CERT r4.2 in ResHybnet's features: figures, activities, whose, and whether an insider's.

Layer: evaluation. Not here: what is made of them (``behaviour``, ``forecast``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from chainsec.errors import BadInput
from chainsec.evaluation.folder import find_file, read_columns
from chainsec.models.days import Day

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FIGURES_FILE = "cert_r42/1-data-test-combine.csv.gz"
SEQUENCES_FILE = "cert_r42/1-data-test-combine-sequence.csv.gz"

_FIGURES = ("f1", "f2", "f3", "f4", "f5")
_KEYS = ("user_index", "date", "label")
_NO_WORDS = frozenset({"date_index", *_KEYS})
_HOURS = 24


@dataclass(frozen=True)
class UserDays:
    """User-days in order of their dates.

    Args:
        days: figures are the shares of the day at which it begins and ends, at which a device was first and last
            connected, 0 where none was, and how often that was out of hours; words are activities.
        people: whose they are, shape (n_days,).
        is_abuse: whether they belong to an insider's campaign, shape (n_days,).
    """

    days: tuple[Day, ...]
    people: npt.NDArray[np.str_]
    is_abuse: npt.NDArray[np.bool_]

    @property
    def timed_words(self) -> list[tuple[str, ...]]:
        """Each day's activities, and the hours at which it and its devices began and ended, as words."""
        return [(*day.words, *_hour_words(day)) for day in self.days]

    def with_figures(self, figures: Sequence[tuple[float, ...]]) -> UserDays:
        """Return the same days with further figures, one tuple a day."""
        days = (Day(day.figures + more, day.words) for day, more in zip(self.days, figures, strict=True))
        return replace(self, days=tuple(days))


def _hour_words(day: Day) -> list[str]:
    names = ("begins", "ends", "device from", "device to")
    times = zip(names, day.figures, strict=False)
    return [f"{name} {int(share * _HOURS)}" for name, share in times if share > 0.0]


def read_user_days(folder: Path) -> UserDays:
    """Return the user-days below ``folder``.

    Raises:
        BadInput: a file is missing or cannot be read, the two do not speak of the same days, a figure is no finite
            number, an activity no whole number, or a label neither 0 nor 1.
    """
    path, sequence_path = find_file(folder, FIGURES_FILE), find_file(folder, SEQUENCES_FILE)
    figures, sequences = read_columns(path, (*_KEYS, *_FIGURES)), read_columns(sequence_path)
    for name in _KEYS:
        if name not in sequences:
            raise BadInput(f"{sequence_path}: has no column {name!r}", path=str(sequence_path))
    if len(sequences["date"]) != len(figures["date"]):
        raise BadInput(f"{sequence_path}: has not as many rows as {path}", path=str(sequence_path))
    places = [name for name in sequences if name not in _NO_WORDS]
    days = []
    for row, label in enumerate(figures["label"]):
        line = row + 2
        if label not in {"0", "1"}:
            raise BadInput(f"{path}: line {line}: label is {label!r}, not 0 or 1", line=line)
        if any(figures[name][row] != sequences[name][row] for name in _KEYS):
            raise BadInput(f"{sequence_path}: line {line}: is not the day of that line in {path}", line=line)
        numbers = tuple(_read_number(path, line, name, figures[name][row]) for name in _FIGURES)
        words = (_read_word(sequence_path, line, name, sequences[name][row]) for name in places)
        days.append(Day(numbers, tuple(word for word in words if word)))
    return UserDays(
        tuple(days), np.array(figures["user_index"]), np.array([label == "1" for label in figures["label"]])
    )


def _read_number(path: Path, line: int, name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise BadInput(f"{path}: line {line}: {name} is {text!r}, no finite number", line=line)
    return number


def _read_word(path: Path, line: int, name: str, text: str) -> str:
    """Return an activity's number as a word, "" where there is none: the set writes whole numbers as ``11.0``."""
    if not text:
        return ""
    number = _read_number(path, line, name, text)
    if number != int(number):
        raise BadInput(f"{path}: line {line}: {name} is {text!r}, no whole number", line=line)
    return str(int(number))
