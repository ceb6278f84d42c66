"""What is held against a requester: denials that came to light and threats seen in uses, fading with time.

Layer: defence. Not here: scores of requests (``risk``), the detection of threats (``detectors``).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from chainsec.defence.features import DAY_S
from chainsec.models.curve import Curve

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chainsec.defence.observation import Observation

SIGNAL = "suspicion"
_HALF_LIFE_S = 2 * DAY_S
_EDGES = (0.25, 0.75, 1.5)
_STRENGTH = 8.0  # made-up requests at the base rate from which each level's denial rate starts
_ACQUITTAL = 0.7  # share of the suspicion that one request found good leaves


class Suspicion:
    """A level for each requester: 1 for one denial just now, half of it two days later.

    >>> held = Suspicion()
    >>> held.add("ann", 0, 1.0)
    >>> held.level("ann", 2 * 86_400), held.level("bob", 0)
    (0.5, 0.0)
    """

    def __init__(self) -> None:
        self._levels: dict[str, tuple[float, int]] = {}

    def level(self, requester: str, now_s: int) -> float:
        """Return what is held against ``requester`` at ``now_s``."""
        level, since_s = self._levels.get(requester, (0.0, now_s))
        return level * math.exp2(-max(now_s - since_s, 0) / _HALF_LIFE_S)

    def add(self, requester: str, time_s: int, severity: float) -> None:
        """Hold ``severity``, at least 0, against ``requester`` for what happened at ``time_s``."""
        _, since_s = self._levels.get(requester, (0.0, time_s))
        now_s = max(since_s, time_s)
        late = severity * math.exp2(-(now_s - time_s) / _HALF_LIFE_S)
        self._levels[requester] = (self.level(requester, now_s) + late, now_s)

    def take_back(self, requester: str, time_s: int, severity: float) -> None:
        """Hold no longer what was held for ``time_s`` by mistake: what is left of it now, never more than there is.

        >>> held = Suspicion()
        >>> held.add("ann", 0, 1.0)
        >>> held.add("ann", 2 * 86_400, 1.0)
        >>> held.take_back("ann", 0, 1.0)
        >>> held.level("ann", 2 * 86_400)
        1.0
        """
        if requester in self._levels:
            level, since_s = self._levels[requester]
            left = severity * math.exp2(-max(since_s - time_s, 0) / _HALF_LIFE_S)
            self._levels[requester] = (max(level - left, 0.0), since_s)

    def ease(self, requester: str) -> None:
        """Hold less against a requester who made a request that proved good."""
        if requester in self._levels:
            level, since_s = self._levels[requester]
            self._levels[requester] = (level * _ACQUITTAL, since_s)

    def to_json(self) -> dict[str, Any]:
        """Return the levels as JSON values."""
        return {name: list(pair) for name, pair in self._levels.items()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Suspicion:
        """Return what ``to_json`` wrote."""
        held = cls()
        held._levels = {name: (pair[0], pair[1]) for name, pair in value.items()}
        return held


def learn_suspicion(
    history: Sequence[Observation], denied: Sequence[bool | None], base_rate: float
) -> tuple[Curve, Suspicion]:
    """Return how much likelier than usual a request is bad at a level of suspicion, and the levels at the end.

    Reads off a labelled history, in time order, how often denials of one requester follow upon each other.

    Args:
        history: observations, oldest first; without clocks nothing is learned.
        denied: labels, None where unknown.
        base_rate: denial rate among all, in (0, 1).
    """
    held = Suspicion()
    counts = [[0.0, 0.0] for _ in _EDGES]
    for observation, label in zip(history, denied, strict=True):
        if label is None or not observation.has_clock:
            continue
        level = held.level(observation.requester, observation.time_s)
        reached = sum(level >= edge for edge in _EDGES)
        if reached:
            counts[reached - 1][0] += 1
            counts[reached - 1][1] += label
        if label:
            held.add(observation.requester, observation.time_s, 1.0)
        else:
            held.ease(observation.requester)
    xs, ys = [0.0], [0.0]
    for (seen, bad), level in zip(counts, (0.5, 1.0, 2.0), strict=True):
        rate = (bad + _STRENGTH * base_rate) / (seen + _STRENGTH)
        xs.append(level)
        ys.append(round(max(ys[-1], (rate - base_rate) / (1.0 - base_rate)), 6))
    return Curve(tuple(xs), tuple(ys)), held
