"""Habits: how far a request departs from what its requester, the requester's peers and everybody usually do.

Needs no labels. A newcomer is measured against peers (same ``role``), and against everybody where there are none.
Layer: defence. Not here: what a departure is worth (``novelty``), what labels say (``statistics``).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from chainsec.defence.features import DAY_S, HOUR_S, hour_of_day

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chainsec.defence.observation import Observation

WINDOWS_S = {"hour": HOUR_S, "day": DAY_S, "week": 7 * DAY_S}
"""Half-lives of the decaying counts of requests and of first-time assets."""

_SHRINK = 4.0  # requests after which own habits weigh as much as those one falls back on
_MEMORY = 200.0  # requests after which a running mean forgets, so that a person may change
_DEPARTURE_RANGE = (-3.0, 12.0)
_HOURS = 24
_EVERYBODY = "*"
_PEER_FACET = "@role"
Moments = npt.NDArray[np.float64]


class _Circle:
    """What one entity is used to: a requester, an asset, a group of peers, or everybody."""

    __slots__ = ("facets", "hours", "moments", "n_requests", "weight")

    def __init__(self, n_facets: int) -> None:
        self.n_requests = 0
        self.facets: list[dict[str, int]] = [{} for _ in range(n_facets)]
        self.hours = [0] * _HOURS
        self.weight = 0.0
        self.moments: Moments | None = None  # shape (2, n_measurements): mean, variance; None where unmeasured


class _Track:
    """Where one requester stands in time: when last seen, and counts that halve with each window."""

    __slots__ = ("counts", "gap_h", "last_s")

    def __init__(self, last_s: int) -> None:
        self.last_s = last_s
        self.gap_h = 0.0
        self.counts = [0.0] * (2 * len(WINDOWS_S))

    def decayed(self, now_s: int) -> list[float]:
        """Return the counts as of ``now_s``: requests per window, then first-time assets per window."""
        gap_s = max(now_s - self.last_s, 0)
        factors = [math.exp2(-gap_s / window_s) for window_s in WINDOWS_S.values()] * 2
        return [count * factor for count, factor in zip(self.counts, factors, strict=True)]

    def longest_gap_h(self, now_s: int) -> float:
        """Return the longest silence up to ``now_s`` in hours; an earlier one halves every week.

        An account that wakes up stays conspicuous for more than its first request.
        """
        gap_s = max(now_s - self.last_s, 0)
        return max(gap_s / HOUR_S, self.gap_h * math.exp2(-gap_s / WINDOWS_S["week"]))


class Habits:
    """The behavioural baseline. ``measure`` changes nothing, ``observe`` lets a request in, ``forget`` takes it out.

    Args:
        facets: the facets' names, ``requester`` and ``asset`` first.
        has_clock: whether times are times of day.
        reaches: whether each facet is also held against the habits of the asset; otherwise only the requester is.

    ``signal_names`` are the names of all measurements, in the order of ``measure``.
    """

    def __init__(self, facets: Sequence[str], *, has_clock: bool, reaches: bool = True) -> None:
        self._facets = tuple(facets)
        self.has_clock = has_clock
        self._held = range(1, len(self._facets))
        self._reached = [i for i in range(len(self._facets)) if i != 1 and (reaches or i == 0)]
        habit = [f"habit:{self._facets[i]}" for i in self._held]
        reach = [f"reach:{self._facets[i]}" for i in self._reached]
        pace = [f"{what}:{window}" for what in ("rate", "fresh") for window in WINDOWS_S]
        self.signal_names = (*habit, *reach, *(["hour", *pace, "silence"] if has_clock else []))
        self._peer_at = self._facets.index(_PEER_FACET) if _PEER_FACET in self._facets else None
        self._circles: dict[str, _Circle] = {}
        self._tracks: dict[str, _Track] = {}

    def _lineage(self, values: Sequence[str]) -> list[str]:
        """Return whom to compare with, from everybody to the requester."""
        peers = [] if self._peer_at is None else [f"@{values[self._peer_at]}"]
        return [_EVERYBODY, *peers, f"={values[0]}"]

    def measure(self, observation: Observation, values: Sequence[str]) -> dict[str, float]:
        """Return the raw measurements; high = unusual. Bits for improbability, logarithms for counts and gaps."""
        circles = [self._circles.get(name) for name in self._lineage(values)]
        of_asset = [circles[0], self._circles.get(f"#{values[1]}")]
        found = [*self._surprises(circles, values, self._held), *self._surprises(of_asset, values, self._reached)]
        if self.has_clock:
            found.append(self._hour_surprise(circles, hour_of_day(observation.time_s)))
            found += self._pace(observation.time_s, values[0])
        return dict(zip(self.signal_names, found, strict=True))

    def departures(self, measured: Mapping[str, float], values: Sequence[str]) -> dict[str, float]:
        """Return each measurement in standard deviations above what is usual for this requester.

        The usual mean and variance shrink to those of peers and of everybody while own requests are few.
        """
        value = np.array([*measured.values()])
        mean, variance = value.copy(), np.ones(len(value))
        for name in self._lineage(values):
            circle = self._circles.get(name)
            if circle is not None and circle.moments is not None:
                usual, spread = circle.moments
                weight = circle.weight / (circle.weight + _SHRINK)
                mean += weight * (usual - mean)
                variance += weight * (spread - variance)
        low, high = _DEPARTURE_RANGE
        found = np.minimum(np.maximum((value - mean) / np.sqrt(variance + 0.1), low), high)
        return dict(zip(measured, found.tolist(), strict=True))

    def observe(
        self, observation: Observation, values: Sequence[str], measured: Mapping[str, float] | None = None
    ) -> None:
        """Let one request into the habits of its requester, of the peers, of the asset and of everybody.

        ``measured`` saves measuring again what has been measured since the last change.
        """
        if measured is None:
            measured = self.measure(observation, values)
        value = np.array([*measured.values()])
        for name in self._lineage(values):
            circle = self._circle(name)
            self._count(circle, observation, values, 1)
            if circle.moments is None:
                circle.moments = np.stack([value, np.zeros(len(value))])
            usual, spread = circle.moments
            circle.weight = min(circle.weight + 1.0, _MEMORY)
            step = value - usual
            usual += step / circle.weight
            spread += (step * (value - usual) - spread) / circle.weight
        self._count(self._circle(f"#{values[1]}"), observation, values, 1)
        if self.has_clock:
            self._advance(observation.time_s, values)

    def forget(self, observation: Observation, values: Sequence[str]) -> None:
        """Take the facets of a request that proved hostile out of the habits again.

        Raises:
            KeyError: nothing of its kind was ever observed.
        """
        self._recount(observation, values, -1)

    def restore(self, observation: Observation, values: Sequence[str]) -> None:
        """Let the facets of a request back in that were forgotten by mistake.

        Raises:
            KeyError: nothing of its kind was ever observed.
        """
        self._recount(observation, values, 1)

    def _recount(self, observation: Observation, values: Sequence[str], step: int) -> None:
        for name in (*self._lineage(values), f"#{values[1]}"):
            self._count(self._circles[name], observation, values, step)

    def _circle(self, name: str) -> _Circle:
        found = self._circles.get(name)
        if found is None:
            found = self._circles[name] = _Circle(len(self._facets))
        return found

    def _count(self, circle: _Circle, observation: Observation, values: Sequence[str], step: int) -> None:
        circle.n_requests += step
        for counts, value in zip(circle.facets, values, strict=True):
            counts[value] = counts.get(value, 0) + step
        circle.hours[hour_of_day(observation.time_s)] += step

    @staticmethod
    def _surprises(circles: Sequence[_Circle | None], values: Sequence[str], places: Sequence[int]) -> list[float]:
        """Return the improbability in bits of the values at ``places``, falling back from last circle to first."""
        everybody = circles[0]
        if everybody is None:
            return [0.0] * len(places)
        closer = [(circle.facets, circle.n_requests + _SHRINK) for circle in circles[1:] if circle is not None]
        found = []
        for i in places:
            value, counts = values[i], everybody.facets[i]
            probability = (counts.get(value, 0) + 0.5) / (everybody.n_requests + 0.5 * (len(counts) + 1))
            for facets, divisor in closer:
                probability = (facets[i].get(value, 0) + _SHRINK * probability) / divisor
            found.append(-math.log2(probability))
        return found

    @staticmethod
    def _hour_surprise(circles: Sequence[_Circle | None], hour: int) -> float:
        """Return the improbability of the hour in bits, from circular histograms smoothed over neighbours."""
        probability = 1.0 / _HOURS
        for circle in circles:
            if circle is not None:
                hours = circle.hours
                near = 0.5 * hours[hour] + 0.25 * (hours[hour - 1] + hours[(hour + 1) % _HOURS])
                probability = (near + _SHRINK * probability) / (circle.n_requests + _SHRINK)
        return -math.log2(probability)

    def _pace(self, now_s: int, requester: str) -> list[float]:
        """Return requests and first-time assets in each window, and the longest silence, as logarithms."""
        track = self._tracks.get(requester)
        if track is None:
            counts, gap_h = [0.0] * (2 * len(WINDOWS_S)), 0.0
        else:
            counts, gap_h = track.decayed(now_s), track.longest_gap_h(now_s)
        return [math.log2(1.0 + figure) for figure in (*counts, gap_h)]

    def _advance(self, now_s: int, values: Sequence[str]) -> None:
        track = self._tracks.setdefault(values[0], _Track(now_s))
        track.counts, track.gap_h = track.decayed(now_s), track.longest_gap_h(now_s)
        track.last_s = max(now_s, track.last_s)
        is_first = self._circles[f"={values[0]}"].facets[1][values[1]] == 1
        for position in range(len(WINDOWS_S)):
            track.counts[position] += 1.0
            track.counts[len(WINDOWS_S) + position] += is_first

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        names = self.signal_names
        return {
            "circles": {
                name: {
                    "facets": c.facets,
                    "hours": c.hours,
                    "moments": {}
                    if c.moments is None
                    else {name: [c.weight, *pair] for name, pair in zip(names, c.moments.T.tolist(), strict=True)},
                    "requests": c.n_requests,
                }
                for name, c in self._circles.items()
            },
            "tracks": {
                name: {"counts": t.counts, "gap_h": t.gap_h, "last_s": t.last_s} for name, t in self._tracks.items()
            },
        }

    @classmethod
    def from_json(
        cls, value: Mapping[str, Any], facets: Sequence[str], *, has_clock: bool, reaches: bool = True
    ) -> Habits:
        """Return the habits that ``to_json`` wrote; later changes do not reach ``value``."""
        habits = cls(facets, has_clock=has_clock, reaches=reaches)
        for name, state in value["circles"].items():
            circle = habits._circles[name] = _Circle(0)
            circle.facets = [dict(counts) for counts in state["facets"]]
            circle.hours = list(state["hours"])
            if state["moments"]:
                rows = np.array([state["moments"][key] for key in habits.signal_names], dtype=float)
                circle.weight, circle.moments = float(rows[0, 0]), rows[:, 1:].T.copy()
            circle.n_requests = state["requests"]
        for name, state in value["tracks"].items():
            track = habits._tracks[name] = _Track(state["last_s"])
            track.counts, track.gap_h = list(state["counts"]), state["gap_h"]
        return habits
