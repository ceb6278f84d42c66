"""Counts per context value: how often it was seen, labelled and denied, and the evidence that follows.

Updated online: requests as they come, labels as they are revealed. Layer: defence. Not here: what forms a context
(``features``), weights (``logistic``).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Column = npt.NDArray[np.int64]
Columns = npt.NDArray[np.float64]

SEEN, LABELLED, DENIED = 0, 1, 2
EVIDENCE = ("odds", "excess", "seen")
"""The features of one context value: smoothed log-odds of denial against the base rate, denials in excess of it in
standard deviations, and the logarithm of how often it was seen."""

_NEVER = (0, 0, 0)
_REMEMBERED = 65_536


def weigh_evidence(seen: int, labelled: int, denied: int, base_rate: float, strength: float) -> tuple[float, ...]:
    """Return the features named in ``EVIDENCE``; all are 0 for what was never seen.

    Args:
        seen: requests seen, labelled or not, at least 0.
        labelled: requests whose label is known.
        denied: requests labelled as denied, at most ``labelled``.
        base_rate: denial rate among all, strictly between 0 and 1.
        strength: how many made-up requests at the base rate the log-odds starts from, > 0.

    >>> weigh_evidence(0, 0, 0, 0.1, 3.0)
    (0.0, 0.0, 0.0)
    >>> odds, excess, seen = weigh_evidence(9, 8, 4, 0.1, 3.0)
    >>> round(odds, 3), round(excess, 3), round(seen, 3)
    (1.754, 2.44, 2.303)
    """
    return *_weigh_labels(labelled, denied, base_rate, strength), math.log1p(seen)


@lru_cache(_REMEMBERED)
def _weigh_labels(labelled: int, denied: int, base_rate: float, strength: float) -> tuple[float, float]:
    if not labelled:
        return 0.0, 0.0
    good = labelled - denied + strength * (1 - base_rate)
    odds = math.log((denied + strength * base_rate) / good * (1 - base_rate) / base_rate)
    expected = labelled * base_rate
    return odds, (denied - expected) / math.sqrt(expected * (1 - base_rate) + 1)


def weigh_many(seen: Column, labelled: Column, denied: Column, base_rate: float, strength: float) -> Columns:
    """Return ``weigh_evidence`` for many context values at once, shape (n_rows, 3).

    Args:
        seen: requests seen, shape (n_rows,), at least 0.
        labelled: requests whose label is known, shape (n_rows,).
        denied: requests labelled as denied, shape (n_rows,), at most ``labelled``.
        base_rate: strictly between 0 and 1.
        strength: > 0.
    """
    odds = np.log((denied + strength * base_rate) / (labelled - denied + strength * (1 - base_rate)))
    odds += math.log((1 - base_rate) / base_rate)
    expected = labelled * base_rate
    excess = (denied - expected) / np.sqrt(expected * (1 - base_rate) + 1)
    known = labelled > 0
    return np.column_stack([np.where(known, odds, 0.0), np.where(known, excess, 0.0), np.log1p(seen)])


class CountTables:
    """Seen, labelled and denied counts of every value of every context.

    Args:
        n_contexts: how many contexts there are.

    >>> tables = CountTables(1)
    >>> tables.see(["ann"])
    >>> tables.label(["ann"], True)
    >>> tables.look_up(["ann"]), tables.look_up(["bob"])
    ([[1, 1, 1]], [(0, 0, 0)])
    """

    def __init__(self, n_contexts: int) -> None:
        self._tables: list[dict[str, list[int]]] = [{} for _ in range(n_contexts)]

    def look_up(self, keys: Sequence[str]) -> list[Sequence[int]]:
        """Return seen, labelled and denied per context; zeros for what is new."""
        return [table.get(key, _NEVER) for table, key in zip(self._tables, keys, strict=True)]

    def see(self, keys: Sequence[str]) -> None:
        """Count one request as seen."""
        self._add(keys, SEEN)

    def label(self, keys: Sequence[str], denied: bool) -> None:  # noqa: FBT001 - the label itself
        """Count one revealed label."""
        self._add(keys, LABELLED)
        if denied:
            self._add(keys, DENIED)

    def relabel(self, keys: Sequence[str], denied: bool) -> None:  # noqa: FBT001 - the label itself
        """Turn a label that was counted the other way round into ``denied``."""
        self._add(keys, DENIED, 1 if denied else -1)

    def _add(self, keys: Sequence[str], what: int, step: int = 1) -> None:
        for table, key in zip(self._tables, keys, strict=True):
            counts = table.get(key)
            if counts is None:
                counts = table[key] = [0, 0, 0]
            counts[what] += step

    def fill(self, position: int, keys: Sequence[str], counts: npt.NDArray[np.int64]) -> None:
        """Set one context's table: a row of seen, labelled and denied for each of ``keys``, shape (n_keys, 3)."""
        self._tables[position] = dict(zip(keys, counts.tolist(), strict=True))

    def restrict(self, positions: Sequence[int]) -> CountTables:
        """Return tables that share the counts of the contexts at ``positions``, in that order."""
        tables = CountTables(0)
        tables._tables = [self._tables[i] for i in positions]
        return tables

    def to_json(self) -> list[dict[str, list[int]]]:
        """Return the counts as JSON values."""
        return self._tables

    @classmethod
    def from_json(cls, value: Sequence[Mapping[str, Any]]) -> CountTables:
        """Return the tables that ``to_json`` wrote; later changes do not reach ``value``."""
        tables = cls(0)
        tables._tables = [{key: list(counts) for key, counts in table.items()} for table in value]
        return tables
