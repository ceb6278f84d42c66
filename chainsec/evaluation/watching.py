"""How soon the watch over uses finds an attack: hospitals drawn from seeds, everything granted, off chain.

Layer: evaluation. Not here: the watch (``chainsec.defence.detectors``), the hospital (``chainsec.scenarios``), what the
agent would have refused before a use could happen.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from chainsec.defence.observation import Use
from chainsec.evaluation.outcome import Line
from chainsec.scenarios.hospital import hospital
from chainsec.scenarios.run import watch_history

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from chainsec.defence.detectors import UseMonitor
    from chainsec.defence.observation import Threat
    from chainsec.scenarios.workload import Workload

_DAY_S, _MONTH_DAYS = 86_400, 30
_MOST_USES = 60


class Campaign(NamedTuple):
    """One requester's abuse of one kind, and how it was found.

    ``uses_until_found`` counts the abuse's own uses up to the first threat about the requester; None where none came.
    """

    requester: str
    attack: str
    uses_until_found: int | None


@dataclass(frozen=True)
class Watch:
    """What came of watching one or more hospitals.

    Args:
        campaigns: every abuse.
        false_alarms: threats about requesters while no abuse of theirs went on.
        requester_months: requesters times months watched.
    """

    campaigns: tuple[Campaign, ...]
    false_alarms: int
    requester_months: float

    @property
    def found_rate(self) -> float:
        """The share of campaigns that were found."""
        return sum(c.uses_until_found is not None for c in self.campaigns) / len(self.campaigns)

    @property
    def false_alarm_rate(self) -> float:
        """False alarms of one requester in 30 days."""
        return self.false_alarms / self.requester_months

    def delay_line(self, name: str) -> Line:
        """Return the share of campaigns found by each number of their uses, from 1 on."""
        needed = np.array([math.inf if c.uses_until_found is None else c.uses_until_found for c in self.campaigns])
        xs = range(1, _MOST_USES + 1)
        return Line(name, tuple(map(float, xs)), tuple(float(f"{np.mean(needed <= x):.5g}") for x in xs))

    def found_by_attack(self) -> dict[str, float]:
        """Return the share found of each kind of abuse."""
        by_attack: defaultdict[str, list[bool]] = defaultdict(list)
        for campaign in self.campaigns:
            by_attack[campaign.attack].append(campaign.uses_until_found is not None)
        return {attack: float(np.mean(found)) for attack, found in sorted(by_attack.items())}


def watch_hospitals(seeds: Sequence[int], without: Collection[str] = ()) -> Watch:
    """Watch the live uses of the hospitals of ``seeds`` after their history.

    Args:
        seeds: at least one.
        without: kinds of threat that are never raised.

    >>> watch = watch_hospitals([3], without={"burst", "odd_conduct"})
    >>> 0.1 < watch.found_rate < 0.6
    True
    """
    watches = [_watch_one(hospital(seed), without) for seed in seeds]
    return Watch(
        campaigns=tuple(campaign for watch in watches for campaign in watch.campaigns),
        false_alarms=sum(watch.false_alarms for watch in watches),
        requester_months=sum(watch.requester_months for watch in watches),
    )


def _watch_one(workload: Workload, without: Collection[str]) -> Watch:
    monitor = watch_history(workload)
    if without:
        floors = {**monitor.settings.least_threshold, **dict.fromkeys(without, math.inf)}
        monitor.settings = replace(monitor.settings, least_threshold=floors)
        monitor.warm_up(())
    threats: list[Threat] = []
    attacked: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for use, attack in _live_uses(workload, monitor):
        if attack is not None:
            attacked[use.requester, attack].append(use.time_s)
        threats += monitor.observe(use)
    found: dict[tuple[str, str], int] = {}
    false_alarms = 0
    for threat in threats:
        now_s = int(threat.evidence["time_s"])
        concerned = [
            key
            for key, times in attacked.items()
            if key[0] == threat.requester and times[0] <= now_s < times[-1] + _DAY_S
        ]
        false_alarms += not concerned
        for key in concerned:
            found.setdefault(key, sum(time_s <= now_s for time_s in attacked[key]))
    days = (workload.live[-1].time_s - workload.live[0].time_s) / _DAY_S
    people = len({attempt.requester for attempt in workload.live})
    campaigns = tuple(Campaign(*key, found.get(key)) for key in sorted(attacked))
    return Watch(campaigns, false_alarms, people * days / _MONTH_DAYS)


def _live_uses(workload: Workload, monitor: UseMonitor) -> list[tuple[Use, str | None]]:
    """Return the live uses in time order, each with its kind of abuse, and tell the monitor what was asked for."""
    uses = []
    for number, attempt in enumerate(workload.live):
        request_id = f"live-{number}"
        monitor.expect(request_id, attempt.action)
        for planned in attempt.uses:
            use = Use(
                time_s=attempt.time_s + planned.after_s,
                requester=attempt.requester,
                asset=attempt.asset,
                action=planned.action,
                volume_bytes=planned.volume_bytes,
                request_id=request_id,
                allowed=planned.action in {attempt.action, "read"},
            )
            uses.append((use, attempt.attack))
    return sorted(uses, key=lambda pair: pair[0].time_s)
