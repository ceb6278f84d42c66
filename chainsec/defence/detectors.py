"""Watches uses after a grant, without labels: volumes, exports, slow drift, overstepping, silence, pace, odd conduct.

A state machine over ``surprise``'s rules. It learns a requester's ordinary days and those of their peers, sets its
thresholds by the false alarms one is willing to have, and never learns from a day it has flagged. Layer: defence.
Not here: the rules themselves (``surprise``), what makes a use odd (``conduct``), scoring of requests, responses.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from chainsec.defence.baseline import Baseline, Level, Person, count_inputs, level_inputs
from chainsec.defence.conduct import Conduct
from chainsec.defence.detector_settings import DetectorSettings
from chainsec.defence.observation import Threat, Use
from chainsec.defence.surprise import RULES, blend, tail_threshold
from chainsec.defence.window import RecentTimes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KINDS = tuple(RULES)
"""Every kind of threat that ``UseMonitor`` can raise."""

RESPONSES = ("alert", "revoke", "quarantine")
"""Responses from mild to hard."""

ALERT_ONLY = frozenset({"sleeping_account", "burst", "odd_conduct"})
"""Kinds that are too often harmless to take anything away: they are told to guardians and raise the risk."""

_DAY_S = 86_400
_SCOPE = {"read": {"read"}, "write": {"read", "write"}, "export": {"read", "export"}}


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
        self._people: defaultdict[str, Person] = defaultdict(
            lambda: Person(RecentTimes(self.settings.burst_s), RecentTimes(self.settings.odd_s))
        )
        self._peers: defaultdict[str, Baseline] = defaultdict(Baseline)
        self._volumes: defaultdict[str, Level] = defaultdict(Level)
        self._conduct = Conduct(self.settings.odd_bits)
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
        levels = self._thresholds.get(kind, self.settings.cold_threshold)
        return (levels[0], math.inf, math.inf) if kind in ALERT_ONLY else levels

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
            person.begin_day(day)
        return person

    def _close_day(self, person: Person, name: str) -> None:
        """Let an ordinary day into the baselines; forget a flagged one."""
        for kind, inputs in self._drifts(person, name):
            # A flagged day does not add to the drift, and a day of rest does not take from it.
            person.drift[kind] = person.drift[kind] if person.flagged else RULES[kind](**inputs)
        if not person.flagged:
            group = self._peer_groups.get(name, "")
            # A peer baseline is fed by everybody, so it forgets as much slower as there are people.
            slow = self._keep ** (1.0 / max(1, len(self._people)))
            for baseline, keep in ((person.baseline, self._keep), (self._peers[group], slow)):
                baseline.learn(person.units, person.counts, keep)
            self._conduct.learn(name, group, person.words, tuple(person.assets))
            for key, log_volume in person.volumes:
                self._volumes[key].learn(log_volume, 0.98)
            person.active_days += 1
            if person.active_days > self.settings.settle_days:
                for kind in KINDS:
                    self._maxima[kind].append(person.peaks.get(kind, 0.0))

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
            self._note_conduct(person, use, units)
            if use.action == "export":
                person.exported.add(use.asset)
            log_volume = math.log1p(use.volume_bytes)
            person.volumes += [(f"asset {use.asset}", log_volume)]
            if use.asset in self._asset_groups:
                person.volumes.append((f"group {self._asset_groups[use.asset]}", log_volume))

    def _note_conduct(self, person: Person, use: Use, units: float) -> None:
        """Let a use into the requester's pace and sequence."""
        group = self._peer_groups.get(use.requester, "")
        words = self._conduct.words(use, group, self._asset_groups.get(use.asset, ""), units)
        if self._conduct.is_odd(words, person.words, use.requester, group):
            person.oddest = max(person.oddest, person.odd.add(use.time_s))
        person.busiest = max(person.busiest, person.burst.add(use.time_s))
        person.words += words
        person.assets[use.asset] = None

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
        counts = {"mass_export": person.recent.exported, "beyond_scope": person.recent.oversteps}
        is_known = own.level.weight + peers.level.weight > strength
        if is_known:
            counts |= {"burst": person.busiest, "odd_conduct": person.oddest}
        figures: list[tuple[str, dict[str, Any]]] = [
            (kind, count_inputs(count, own.counts[kind], peers.counts[kind], strength))
            for kind, count in counts.items()
        ]
        if is_known:
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
        seen = count_inputs(
            len(person.exported), own.counts["mass_export"], peers.counts["mass_export"], self.settings.strength_days
        )
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
        window_s = {"burst": self.settings.burst_s, "odd_conduct": self.settings.odd_s}.get(
            kind, self.settings.window_s
        )
        concerned = (
            person.requests
            if kind.startswith("slow")
            else dict.fromkeys(
                past.request_id for past, _, _ in person.recent.uses if past.time_s > use.time_s - window_s
            )
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
                "window_s": window_s,
                "time_s": use.time_s,
            },
        )
