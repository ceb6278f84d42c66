"""Watches uses after a grant, without labels: bursts, mass exports, slow drift, overstepping, sleeping accounts.

A state machine over ``surprise``'s rules. It learns a requester's ordinary days and those of their peers, sets its
thresholds by the false alarms one is willing to have, and never learns from a day it has flagged. Layer: defence.
Not here: the rules themselves (``surprise``), scoring of requests, carrying out a response.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chainsec.defence.baseline import Baseline, Level, Person, count_inputs, level_inputs
from chainsec.defence.observation import Threat, Use
from chainsec.defence.surprise import RULES, blend, tail_threshold

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KINDS = tuple(RULES)
"""Every kind of threat that ``UseMonitor`` can raise."""

RESPONSES = ("alert", "revoke", "quarantine")
"""Responses from mild to hard."""

_DAY_S = 86_400
_LEAST_THRESHOLD = {"volume": 2.5, "mass_export": 2.5, "slow_volume": 4.0, "slow_export": 2.5, "beyond_scope": 2.6}
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
        caution_sd: standard deviations by which the ordinary export rate is taken higher than estimated.
        silence_strength_days: added to the longest silence known.
        silence_ratio: multiple of that sum from which a sleeping account is alerted.
        settle_days: active days of a requester before their days set thresholds.
        calibration_days: fewest requester-days that set a threshold; fewer leave ``cold_threshold``.
        cold_threshold: thresholds for alert, revoke and quarantine before there is a history.
        least_threshold: floor of a set threshold, by kind: a history without events must not make one event a crime.
        least_steps: the same floor for alert, revoke and quarantine, as multiples.
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
    caution_sd: float = 1.0
    silence_strength_days: float = 5.0
    silence_ratio: float = 1.6
    settle_days: int = 2
    calibration_days: int = 40
    cold_threshold: tuple[float, float, float] = (5.0, 7.0, 10.0)
    least_threshold: Mapping[str, float] = field(default_factory=lambda: dict(_LEAST_THRESHOLD))
    least_steps: tuple[float, float, float] = (1.0, 1.25, 1.6)
    rearm_share: float = 0.6


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
        self._people: defaultdict[str, Person] = defaultdict(Person)
        self._peers: defaultdict[str, Baseline] = defaultdict(Baseline)
        self._volumes: defaultdict[str, Level] = defaultdict(Level)
        self._asked: dict[str, str] = {}
        self._cut_off: set[str] = set()
        self._maxima: defaultdict[str, list[float]] = defaultdict(list)
        self._thresholds: dict[str, tuple[float, ...]] = {}
        self._span_s = [-1, -1]

    def expect(self, request_id: str, action: str) -> None:
        """Note what a request asked for, so that a refusal for another reason does not count as overstepping.

        Optional: without it, a refused write or export counts, unless this monitor had the grant cut off.
        """
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

    def release(self, requester: str) -> None:
        """Take back what is held against a requester, as a guardian does who finds the alarm false.

        The day becomes an ordinary one again, drift starts from zero, and the same alarm may be raised anew.
        """
        person = self._people[requester]
        person.flagged = False
        person.raised.clear()
        person.drift = dict.fromkeys(person.drift, 0.0)

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
        found = {}
        for kind, maxima in sorted(self._maxima.items()):
            if len(maxima) >= settings.calibration_days:
                least = settings.least_threshold.get(kind, 0.0)
                found[kind] = tuple(
                    max(least * step, tail_threshold(maxima, days_per_month, rate))
                    for rate, step in zip(rates, settings.least_steps, strict=True)
                )
        return found

    def _enter(self, use: Use) -> Person:
        """Return the requester, with the days before this use closed."""
        self._span_s = [use.time_s if self._span_s[0] < 0 else self._span_s[0], use.time_s]
        person = self._people[use.requester]
        day = use.time_s // _DAY_S
        if day != person.day:
            if person.day >= 0:
                self._close_day(person, use.requester)
            person.day = day
        return person

    def _close_day(self, person: Person, name: str) -> None:
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
        person.volumes, person.requests, person.peaks, person.flagged = [], {}, {}, False

    def _note(self, person: Person, use: Use) -> None:
        """Let a use into the requester's day."""
        overstepped = self._oversteps(use)
        units = self._units(use) if use.allowed else 0.0
        person.recent.add(use, units, overstepped=overstepped, length_s=self.settings.window_s)
        if person.last_use_s >= 0:
            silent = (use.time_s - person.last_use_s) / _DAY_S
            person.longest_silence_days = max(person.longest_silence_days, silent)
        person.last_use_s = use.time_s
        person.units += units
        person.oversteps += overstepped
        person.requests[use.request_id] = None
        if use.allowed:
            if use.action == "export":
                person.exported.add(use.asset)
            log_volume = math.log1p(use.volume_bytes)
            person.volumes += [(f"asset {use.asset}", log_volume)]
            if use.asset in self._asset_groups:
                person.volumes.append((f"group {self._asset_groups[use.asset]}", log_volume))

    def _oversteps(self, use: Use) -> bool:
        """Tell whether a use goes beyond what was asked for; a refusal of a grant that was cut off does not."""
        asked = self._asked.get(use.request_id)
        if asked is not None:
            return use.action not in _SCOPE[asked]
        return not use.allowed and use.action != "read" and use.request_id not in self._cut_off

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

    def _figures(self, person: Person, use: Use) -> list[tuple[str, dict[str, Any]]]:
        """Return the inputs of every rule that this use concerns."""
        own, peers = person.baseline, self._peers[self._peer_groups.get(use.requester, "")]
        strength = self.settings.strength_days
        figures: list[tuple[str, dict[str, Any]]] = [
            ("mass_export", count_inputs(person.recent.exported, own.exports, peers.exports, strength)),
            ("beyond_scope", count_inputs(person.recent.oversteps, own.oversteps, peers.oversteps, strength)),
        ]
        if own.level.weight + peers.level.weight > strength:
            figures.append(
                (
                    "volume",
                    {
                        "amount": person.recent.amount,
                        **level_inputs(own.level, peers.level, self.settings.strength_days, self.settings.least_sd),
                    },
                )
            )
            figures += self._drifts(person, use.requester)
        return figures

    def _drifts(self, person: Person, name: str) -> list[tuple[str, dict[str, Any]]]:
        own, peers = person.baseline, self._peers[self._peer_groups.get(name, "")]
        level = level_inputs(own.level, peers.level, self.settings.strength_days, self.settings.least_sd)
        today = RULES["volume"](amount=person.units, **level)
        seen = count_inputs(len(person.exported), own.exports, peers.exports, self.settings.strength_days)
        # A rate that a few days gave may be too low by chance, and drift would add that up day after day.
        carried, ratio = person.drift, self.settings.export_ratio
        expected = (seen["shape"] + self.settings.caution_sd * math.sqrt(seen["shape"])) / seen["rate"]
        return [
            (
                "slow_volume",
                {"carried": carried["slow_volume"], "today": today, "slack": self.settings.drift_slack},
            ),
            (
                "slow_export",
                {
                    "carried": carried["slow_export"],
                    "exported": len(person.exported),
                    "expected": expected,
                    "ratio": ratio,
                },
            ),
        ]

    def _silence(self, person: Person, use: Use) -> list[tuple[str, dict[str, Any]]]:
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

    def _judge(self, person: Person, use: Use, kind: str, inputs: dict[str, Any]) -> Threat | None:
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
        if reached > 1:
            self._cut_off.update(person.requests, (past.request_id for past, _, _ in person.recent.uses))
        concerned = (
            person.requests
            if kind.startswith("slow")
            else dict.fromkeys(past.request_id for past, _, _ in person.recent.uses)
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
