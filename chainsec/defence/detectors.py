"""Watches uses after a grant, without labels: bursts, mass exports, slow drift, overstepping, sleeping accounts.

A state machine over ``surprise``'s rules. It learns a requester's ordinary days and those of their peers, sets its
thresholds by the false alarms one is willing to have, and never learns from a day it has flagged. Layer: defence.
Not here: the rules themselves (``surprise``), scoring of requests, carrying out a response.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chainsec.defence.baseline import Baseline, Level
from chainsec.defence.observation import Threat, Use
from chainsec.defence.surprise import RULES, blend, tail_threshold

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KINDS = tuple(RULES)
"""Every kind of threat that ``UseMonitor`` can raise."""

RESPONSES = ("alert", "revoke", "quarantine")
"""Responses from mild to hard."""

_DAY_S = 86_400
_SCOPE = {"read": {"read"}, "write": {"read", "write"}, "export": {"read", "export"}}


@dataclass(frozen=True)
class DetectorSettings:
    """How ``UseMonitor`` judges. Rates are expected false alarms of one requester in 30 days, for each kind.

    Args:
        alert_rate, revoke_rate, quarantine_rate: false alarms accepted for each response, falling, > 0.
        window_s: over which bursts and mass exports are counted, seconds.
        half_life_days: of a requester's own baseline, in active days.
        strength_days: how many own days the peers' mean is worth.
        least_sd: floor of the standard deviation of ``log(1 + volume)``.
        drift_slack: standard deviations a day that slow drift forgives.
        export_ratio: multiple of the ordinary export rate that slow drift looks for.
        silence_strength_days: added to the longest silence known.
        silence_ratio: multiple of that sum from which a sleeping account is alerted.
        settle_days: active days of a requester before their days set thresholds.
        calibration_days: fewest requester-days that set a threshold; fewer leave ``cold_threshold``.
        cold_threshold: thresholds for alert, revoke and quarantine before there is a history.
        least_threshold: floor of a set threshold, by kind.
        rearm_share: share of the threshold below which a statistic must fall before the same alarm is raised again.
    """

    alert_rate: float = 0.05
    revoke_rate: float = 0.02
    quarantine_rate: float = 0.004
    window_s: int = _DAY_S
    half_life_days: float = 14.0
    strength_days: float = 8.0
    least_sd: float = 0.45
    drift_slack: float = 0.4
    export_ratio: float = 3.0
    silence_strength_days: float = 5.0
    silence_ratio: float = 1.6
    settle_days: int = 2
    calibration_days: int = 40
    cold_threshold: tuple[float, float, float] = (5.0, 7.0, 10.0)
    least_threshold: Mapping[str, float] = field(default_factory=lambda: {"mass_export": 2.5, "beyond_scope": 2.6})
    rearm_share: float = 0.6


@dataclass
class _Person:
    """What is known of one requester, and their day so far."""

    baseline: Baseline = field(default_factory=Baseline)
    recent: deque[tuple[Use, float, bool]] = field(default_factory=deque)
    day: int = -1
    last_use_s: int = -1
    longest_silence_days: float = 0.0
    units: float = 0.0
    exported: set[str] = field(default_factory=set)
    oversteps: int = 0
    volumes: list[tuple[str, float]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    drift: dict[str, float] = field(default_factory=lambda: {"slow_volume": 0.0, "slow_export": 0.0})
    peaks: dict[str, float] = field(default_factory=dict)
    flagged: bool = False
    active_days: int = 0
    raised: dict[str, int] = field(default_factory=dict)


class UseMonitor:
    """Finds threats in a stream of uses in time order; the same stream gives the same threats.

    Args:
        settings: how it judges.
        peer_groups: requester to group (a role, say); without it all are peers of each other.
        asset_groups: asset to group (a kind of record, say), so that the first use of an asset has a usual volume.

    Example:
        >>> monitor = UseMonitor()
        >>> uses = [Use(600 * i, "ana", f"r{i}", "export", 9_000, f"q{i}") for i in range(40)]
        >>> threats = [threat for use in uses for threat in monitor.observe(use)]
        >>> threats[0].kind, threats[0].requester
        ('mass_export', 'ana')
    """

    def __init__(
        self,
        settings: DetectorSettings | None = None,
        *,
        peer_groups: Mapping[str, str] | None = None,
        asset_groups: Mapping[str, str] | None = None,
    ) -> None:
        self.settings = settings or DetectorSettings()
        self._peer_groups = peer_groups or {}
        self._asset_groups = asset_groups or {}
        self._keep = 0.5 ** (1.0 / self.settings.half_life_days)
        self._people: defaultdict[str, _Person] = defaultdict(_Person)
        self._peers: defaultdict[str, Baseline] = defaultdict(Baseline)
        self._volumes: defaultdict[str, Level] = defaultdict(Level)
        self._asked: dict[str, str] = {}
        self._maxima: defaultdict[str, list[float]] = defaultdict(list)
        self._thresholds: dict[str, tuple[float, ...]] = {}
        self._span_s = [-1, -1]

    def expect(self, request_id: str, action: str) -> None:
        """Note what a request asked for, so that a refusal for another reason does not count as overstepping."""
        self._asked[request_id] = action

    def warm_up(self, uses: Iterable[Use]) -> None:
        """Learn from ordinary uses in time order and set the thresholds; raises no threat.

        Leave out what is known to be abuse. May be called again with later uses.
        """
        for use in uses:
            person = self._enter(use)
            self._note(person, use)
            for kind, inputs in self._figures(person, use):
                person.peaks[kind] = max(person.peaks.get(kind, 0.0), RULES[kind](**inputs))
        self._thresholds = self._calibrate()

    def thresholds(self, kind: str) -> tuple[float, ...]:
        """Return the levels of ``kind`` for alert, revoke and quarantine."""
        if kind == "sleeping_account":
            return (self.settings.silence_ratio, math.inf, math.inf)
        return self._thresholds.get(kind, self.settings.cold_threshold)

    def observe(self, use: Use) -> list[Threat]:
        """Take one use, return what it reveals: at most one threat of each kind."""
        person = self._enter(use)
        figures = [*self._silence(person, use)]
        self._note(person, use)
        figures += self._figures(person, use)
        found = [self._judge(person, use, kind, inputs) for kind, inputs in figures]
        return [threat for threat in found if threat is not None]

    def _calibrate(self) -> dict[str, tuple[float, ...]]:
        """Return the thresholds at which the days so far would have given the accepted false alarms."""
        settings = self.settings
        span_days = max(1.0, (self._span_s[1] - self._span_s[0]) / _DAY_S)
        active = sum(person.active_days for person in self._people.values())
        days_per_month = 30.0 * active / span_days / max(1, len(self._people))
        rates = (settings.alert_rate, settings.revoke_rate, settings.quarantine_rate)
        return {
            kind: tuple(
                max(settings.least_threshold.get(kind, 0.0), tail_threshold(maxima, days_per_month, rate))
                for rate in rates
            )
            for kind, maxima in sorted(self._maxima.items())
            if len(maxima) >= settings.calibration_days
        }

    def _enter(self, use: Use) -> _Person:
        """Return the requester, with the days before this use closed."""
        self._span_s = [use.time_s if self._span_s[0] < 0 else self._span_s[0], use.time_s]
        person = self._people[use.requester]
        day = use.time_s // _DAY_S
        if day != person.day:
            if person.day >= 0:
                self._close_day(person, use.requester)
            person.day = day
        return person

    def _close_day(self, person: _Person, name: str) -> None:
        """Let an ordinary day into the baselines; forget a flagged one."""
        for kind, inputs in self._drifts(person, name):
            # A flagged day does not add to the drift, and a day of rest does not take from it.
            person.drift[kind] = person.drift[kind] if person.flagged else RULES[kind](**inputs)
        if not person.flagged:
            peers = self._peers[self._peer_groups.get(name, "")]
            # A peer baseline is fed by everybody, so it forgets as much slower as there are people.
            slow = self._keep ** (1.0 / max(1, len(self._people)))
            for baseline, keep in ((person.baseline, self._keep), (peers, slow)):
                baseline.learn(person.units, len(person.exported), person.oversteps, keep)
            for key, log_volume in person.volumes:
                self._volumes[key].learn(log_volume, 0.98)
            person.active_days += 1
            if person.active_days > self.settings.settle_days:
                for kind in KINDS:
                    self._maxima[kind].append(person.peaks.get(kind, 0.0))
        person.units, person.exported, person.oversteps = 0.0, set(), 0
        person.volumes, person.requests, person.peaks, person.flagged = [], [], {}, False

    def _note(self, person: _Person, use: Use) -> None:
        """Let a use into the requester's day."""
        asked = self._asked.get(use.request_id)
        overstepped = use.action not in _SCOPE[asked] if asked else not use.allowed
        units = self._units(use) if use.allowed else 0.0
        person.recent.append((use, units, overstepped))
        while person.recent[0][0].time_s <= use.time_s - self.settings.window_s:
            person.recent.popleft()
        if person.last_use_s >= 0:
            silent = (use.time_s - person.last_use_s) / _DAY_S
            person.longest_silence_days = max(person.longest_silence_days, silent)
        person.last_use_s = use.time_s
        person.units += units
        person.oversteps += overstepped
        if use.request_id not in person.requests:
            person.requests.append(use.request_id)
        if use.allowed:
            if use.action == "export":
                person.exported.add(use.asset)
            log_volume = math.log1p(use.volume_bytes)
            person.volumes += [(f"asset {use.asset}", log_volume)]
            if use.asset in self._asset_groups:
                person.volumes.append((f"group {self._asset_groups[use.asset]}", log_volume))

    def _units(self, use: Use) -> float:
        """Return the volume as a multiple of what is usual for the asset, 1 where nothing is known."""
        group = self._volumes.get(f"group {self._asset_groups.get(use.asset, '')}")
        own = self._volumes.get(f"asset {use.asset}")
        if own is None and group is None:
            return 1.0
        known = own or Level()
        prior = group or known
        usual = blend(known.mean, known.weight, prior.mean, self.settings.strength_days)
        return math.exp(math.log1p(use.volume_bytes) - usual)

    def _figures(self, person: _Person, use: Use) -> list[tuple[str, dict[str, Any]]]:
        """Return the inputs of every rule that this use concerns."""
        own, peers = person.baseline, self._peers[self._peer_groups.get(use.requester, "")]
        strength = self.settings.strength_days
        exported = {past.asset for past, _, _ in person.recent if past.allowed and past.action == "export"}
        oversteps = sum(overstepped for _, _, overstepped in person.recent)
        figures: list[tuple[str, dict[str, Any]]] = [
            ("mass_export", _count_inputs(len(exported), own.exports, peers.exports, strength)),
            ("beyond_scope", _count_inputs(oversteps, own.oversteps, peers.oversteps, strength)),
        ]
        if own.level.weight + peers.level.weight > strength:
            amount = math.fsum(units for _, units, _ in person.recent)
            figures.append(("volume", {"amount": amount, **self._level_inputs(own.level, peers.level)}))
            figures += self._drifts(person, use.requester)
        return figures

    def _level_inputs(self, own: Level, peers: Level) -> dict[str, float]:
        strength = self.settings.strength_days
        variance = blend(own.variance, own.weight, peers.variance, strength)
        return {
            "mean_log": blend(own.mean, own.weight, peers.mean, strength),
            "sd_log": max(self.settings.least_sd, math.sqrt(variance)),
        }

    def _drifts(self, person: _Person, name: str) -> list[tuple[str, dict[str, Any]]]:
        own, peers = person.baseline, self._peers[self._peer_groups.get(name, "")]
        level = self._level_inputs(own.level, peers.level)
        today = RULES["volume"](amount=person.units, **level)
        expected = blend(own.exports.mean, own.exports.weight, peers.exports.mean, self.settings.strength_days)
        return [
            (
                "slow_volume",
                {"carried": person.drift["slow_volume"], "today": today, "slack": self.settings.drift_slack},
            ),
            (
                "slow_export",
                {
                    "carried": person.drift["slow_export"],
                    "exported": len(person.exported),
                    "expected": max(expected, 0.05),
                    "ratio": self.settings.export_ratio,
                },
            ),
        ]

    def _silence(self, person: _Person, use: Use) -> list[tuple[str, dict[str, Any]]]:
        if person.last_use_s < 0:
            return []
        return [
            (
                "sleeping_account",
                {
                    "silent_days": (use.time_s - person.last_use_s) / _DAY_S,
                    "longest_days": person.longest_silence_days,
                    "strength_days": self.settings.silence_strength_days,
                },
            )
        ]

    def _judge(self, person: _Person, use: Use, kind: str, inputs: dict[str, Any]) -> Threat | None:
        """Return a threat where a statistic crosses a level that it has not crossed since it last came down."""
        statistic = RULES[kind](**inputs)
        levels = self.thresholds(kind)
        reached = sum(statistic > level for level in levels)
        person.peaks[kind] = max(person.peaks.get(kind, 0.0), statistic)
        if reached:
            person.flagged = True
        if statistic < levels[0] * self.settings.rearm_share:
            person.raised[kind] = 0
        if reached <= person.raised.get(kind, 0):
            return None
        person.raised[kind] = reached
        concerned = (
            person.requests
            if kind.startswith("slow")
            else dict.fromkeys(past.request_id for past, _, _ in person.recent)
        )
        return Threat(
            kind=kind,
            requester=use.requester,
            request_ids=tuple(concerned),
            score=statistic / (statistic + levels[0]),
            response=RESPONSES[reached - 1],
            evidence={
                "inputs": inputs,
                "statistic": statistic,
                "thresholds": [level for level in levels if math.isfinite(level)],
                "window_s": self.settings.window_s,
                "time_s": use.time_s,
            },
        )


def _count_inputs(count: int, own: Level, peers: Level, strength: float) -> dict[str, Any]:
    """Return the inputs of ``count_surprise``; with no history at all, one event in ten days is taken as usual."""
    prior = peers.mean if peers.weight > strength else 0.1
    return {
        "count": count,
        "shape": own.mean * own.weight + max(prior, 0.02) * strength,
        "rate": own.weight + strength,
    }
