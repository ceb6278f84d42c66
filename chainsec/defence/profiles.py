"""Profiles: which facts go together among the peers of one group, and how badly a request's facts fit together.

A fact is a facet with its value. Needs no labels. Layer: defence, below ``acquaintance``. Not here: which facets make
up a profile, and what a bad fit is worth (``novelty``, ``logistic``).
"""

from __future__ import annotations

from math import log2
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PRIOR = 2.0  # sightings that an expectation counts for
_NEVER: dict[str, int] = {}


class Profile:
    """How often a group was seen at all, with each fact, and with each two of them.

    >>> nurses = Profile()
    >>> for ward in ("eye", "eye", "ear"):
    ...     nurses.count([f"ward={ward}", "action=read"])
    >>> usual, odd = nurses.fit(["ward=eye", "action=read"]), nurses.fit(["ward=eye", "action=export"])
    >>> usual[1] < odd[1]
    True
    """

    __slots__ = ("_both", "_single", "_total")

    def __init__(self) -> None:
        self._total = 0
        self._single: dict[str, int] = {}
        self._both: dict[str, dict[str, int]] = {}

    def count(self, facts: Sequence[str]) -> None:
        """Count one request with these facts, always one of each facet and in the same order."""
        self._total += 1
        for place, fact in enumerate(facts):
            self._single[fact] = self._single.get(fact, 0) + 1
            row = self._both.get(fact)
            if row is None:
                row = self._both[fact] = {}
            for other in facts[place + 1 :]:
                row[other] = row.get(other, 0) + 1

    def fit(self, facts: Sequence[str]) -> list[float]:
        """Return each fact's mean improbability in bits given each of the others; 0 where there are none."""
        single = [self._single.get(fact, 0) for fact in facts]
        expected = [_PRIOR * (count + 0.5) / (self._total + 3.0) for count in single]
        given = [count + _PRIOR for count in single]
        bits = [0.0] * len(facts)
        for a, fact in enumerate(facts):
            row, expected_a, given_a = self._both.get(fact, _NEVER), expected[a], given[a]
            for b in range(a + 1, len(facts)):
                both = row.get(facts[b], 0)
                bits[a] -= log2((both + expected_a) / given[b])
                bits[b] -= log2((both + expected[b]) / given_a)
        others = max(1, len(facts) - 1)
        return [total / others for total in bits]

    def counts(self) -> Iterator[tuple[tuple[str, ...], int]]:
        """Yield every count, with no, one or two facts that it belongs to."""
        yield (), self._total
        for fact, count in self._single.items():
            yield (fact,), count
        for fact, row in self._both.items():
            for other, count in row.items():
                yield (fact, other), count

    def put(self, facts: Sequence[str], count: int) -> None:
        """Set one of ``counts``.

        Raises:
            ValueError: there are more than two facts.
        """
        if not facts:
            self._total = count
        elif len(facts) == 1:
            self._single[facts[0]] = count
        else:
            first, second = facts
            self._both.setdefault(first, {})[second] = count
