"""Facets: what an observation comes down to before anything is counted, and the contexts made of facets.

A facet is a named categorical fact, a context a set of one or more facets whose joint value has statistics of its
own. Layer: defence, above ``observation``. Not here: counts (``statistics``), habits in time (``behaviour``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from chainsec.defence.observation import Observation

HOUR_S = 3_600
DAY_S = 86_400
_EPOCH_WEEKDAY = 3  # 1 January 1970 was a Thursday, and weeks begin on Monday
_SEPARATOR, _ESCAPE = "\x1f", "\x1e"
_ALWAYS = 2  # requester and asset come first and form contexts even where a history has only one of them

_CORE: dict[str, Callable[[Observation], str]] = {
    "requester": lambda o: o.requester,
    "asset": lambda o: o.asset,
    "action": lambda o: o.action,
    "purpose": lambda o: o.purpose,
    "sensitivity": lambda o: str(o.sensitivity),
}


def _escape_all(values: Sequence[str]) -> Sequence[str]:
    joined = "".join(values)
    if _SEPARATOR not in joined and _ESCAPE not in joined:
        return values
    return [value.replace(_ESCAPE, f"{_ESCAPE}0").replace(_SEPARATOR, f"{_ESCAPE}1") for value in values]


def hour_of_day(time_s: int) -> int:
    """Return the hour, 0 to 23, in UTC.

    >>> hour_of_day(1_740_960_000 + 7 * 3600)
    7
    """
    return time_s // HOUR_S % 24


def describe(observation: Observation) -> dict[str, str]:
    """Return every facet of ``observation`` by name; attributes are prefixed with ``@``.

    >>> from chainsec.defence.observation import Observation
    >>> ask = Observation("0x1", 0, "ann", "scan", "read", "treatment", attributes={"role": "nurse"})
    >>> facets = describe(ask)
    >>> facets["requester"], facets["@role"], facets["clock"], facets["week"]
    ('ann', 'nurse', '0-3', 'workday')
    """
    facets = {name: read(observation) for name, read in _CORE.items()}
    facets.update((f"@{name}", value) for name, value in observation.attributes.items())
    if observation.has_clock:
        first = hour_of_day(observation.time_s) // 4 * 4
        weekday = (observation.time_s // DAY_S + _EPOCH_WEEKDAY) % 7
        facets["clock"] = f"{first}-{first + 3}"
        facets["week"] = "weekend" if weekday > 4 else "workday"  # noqa: PLR2004 - Saturday and Sunday
    return facets


@dataclass(frozen=True)
class FacetPlan:
    """Which facets count and which contexts they form.

    Args:
        facets: facet names in the order that context keys use.
        contexts: each a tuple of positions in ``facets``.
    """

    facets: tuple[str, ...]
    contexts: tuple[tuple[int, ...], ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The contexts' names: the names of their facets, joined with ``+``."""
        return tuple("+".join(self.facets[i] for i in context) for context in self.contexts)

    def values(self, observation: Observation) -> Sequence[str]:
        r"""Return the facet values in plan order; a fact that is missing reads as empty text.

        Keys are joined with the separator U+001F. Where a fact holds it, it is written as two other characters, so that
        no requester can pass for another one by their name.

        >>> from chainsec.defence.observation import Observation
        >>> plan = FacetPlan(("requester", "asset"), ((0, 1),))
        >>> asks = [Observation("", 0, *names, "read", "") for names in (("a\x1fb", "c"), ("a", "b\x1fc"))]
        >>> len({key for ask in asks for key in plan.keys(plan.values(ask))})
        2
        """
        facets = describe(observation)
        values = [facets.get(name, "") for name in self.facets]
        return _escape_all(values)

    def keys(self, values: Sequence[str]) -> list[str]:
        """Return one key per context for facet ``values``; keys of different values differ.

        >>> plan = FacetPlan(("requester", "asset"), ((0,), (0, 1)))
        >>> [key.split(chr(31)) for key in plan.keys(["ann", "scan"])]
        [['ann'], ['ann', 'scan']]
        """
        safe = _escape_all(values)
        return [_SEPARATOR.join([safe[i] for i in context]) for context in self.contexts]

    def restrict(self, names: Sequence[str]) -> FacetPlan:
        """Return the plan with only the contexts in ``names``."""
        wanted = set(names)
        pairs = zip(self.names, self.contexts, strict=True)
        return FacetPlan(self.facets, tuple(context for name, context in pairs if name in wanted))

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return {"contexts": [list(context) for context in self.contexts], "facets": list(self.facets)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> FacetPlan:
        """Return the plan that ``to_json`` wrote."""
        return cls(tuple(value["facets"]), tuple(tuple(context) for context in value["contexts"]))


def plan_facets(history: Sequence[Observation]) -> FacetPlan:
    """Choose facets from ``history`` and form contexts: each facet, each pair, and all but asset or requester.

    A facet that repeats an earlier one value by value says nothing new and is left out. One that never varies stays,
    so that a first departure from it is noticed, but it forms no context: labels cannot speak of it yet.

    Args:
        history: observations, any number; a plan from none has the core facets, with requester and asset as contexts.
    """
    described = [describe(observation) for observation in history]
    core = [*_CORE]
    extra = sorted({name for facets in described for name in facets} - set(core))
    chosen: list[str] = []
    columns: dict[str, list[str]] = {}
    for name in core + extra:
        column = [facets.get(name, "") for facets in described]
        if len(chosen) < _ALWAYS or not any(_repeats(column, columns[other]) for other in chosen):
            chosen.append(name)
            columns[name] = column
    positions = [i for i, name in enumerate(chosen) if i < _ALWAYS or len(set(columns[name])) > 1]
    contexts: list[tuple[int, ...]] = [*combinations(positions, 1), *combinations(positions, 2)]
    # The whole profile, without the asset, without the requester, without both: who somebody is, beyond the name.
    for left_out in ((1,), (0,), (0, 1)):
        profile = tuple(i for i in positions if i not in left_out and chosen[i] not in {"clock", "week"})
        if len(profile) > 2 and profile not in contexts:  # noqa: PLR2004 - smaller ones are singles and pairs
            contexts.append(profile)
    return FacetPlan(tuple(chosen), tuple(contexts))


def _repeats(column: Sequence[str], other: Sequence[str]) -> bool:
    pairs = set(zip(column, other, strict=True))
    return 1 < len(pairs) == len(set(column)) == len(set(other))
