"""A patient insider: reads ordinary records and takes a little more every day, so that the baseline follows.

Layer: evaluation. Not here: the watch over uses (``chainsec.defence.detectors``), the study (``robustness``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from chainsec.defence.detector_settings import DetectorSettings
from chainsec.defence.detectors import UseMonitor
from chainsec.defence.observation import Use

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY_S = 86_400
_PEERS, _WARM_UP_DAYS, _DAYS = 20, 60, 60
_USES_A_DAY, _USUAL_BYTES, _SPREAD = 6, 100_000, 0.6
_RECORDS = 40
_SLOW = ("slow_volume", "slow_export")


@dataclass(frozen=True)
class Taken:
    """What an insider got away with.

    Args:
        days: until the first alarm about it; None where none came.
        bytes_beyond: handed out beyond what the insider usually takes, until then.
    """

    days: int | None
    bytes_beyond: float


def take_slowly(growth_rate: float, seed: int, *, watches_drift: bool) -> Taken:
    """Let one of many ordinary people take ``growth_rate`` more every day, for sixty days.

    Args:
        growth_rate: growth of the volume of each use from day to day, at least 0.
        seed: of everybody's uses.
        watches_drift: whether the rules for slow drift are on.
    """
    settings = DetectorSettings()
    if not watches_drift:
        never = dict.fromkeys(_SLOW, 1000000000.0)
        settings = replace(settings, least_threshold={**settings.least_threshold, **never})
    names = [f"p{number}" for number in range(_PEERS)]
    monitor = UseMonitor(
        settings,
        peer_groups=dict.fromkeys(names, "nurse"),
        asset_groups={f"r{number}": "chart" for number in range(_RECORDS)},
    )
    draw = np.random.default_rng([seed, 11])
    monitor.warm_up(use for day in range(_WARM_UP_DAYS) for use in _day(draw, names, day, 1.0))
    beyond = 0.0
    for day in range(_DAYS):
        factor = (1.0 + growth_rate) ** (day + 1)
        for use in _day(draw, names, _WARM_UP_DAYS + day, factor):
            threats = monitor.observe(use)
            if use.requester == names[0]:
                beyond += use.volume_bytes * (1.0 - 1.0 / factor)
                if threats:
                    return Taken(day + 1, beyond)
    return Taken(None, beyond)


def _day(draw: np.random.Generator, names: list[str], day: int, factor: float) -> Iterator[Use]:
    """Yield everybody's uses of a day in time order; the first one's are ``factor`` times as large as they were."""
    uses = []
    for name in names:
        for _ in range(int(draw.poisson(_USES_A_DAY))):
            volume = _USUAL_BYTES * float(draw.lognormal(0.0, _SPREAD)) * (factor if name == names[0] else 1.0)
            time_s = day * DAY_S + int(draw.integers(8 * 3_600, 17 * 3_600))
            uses.append(Use(time_s, name, f"r{draw.integers(_RECORDS)}", "read", int(volume), f"{name}-{day}"))
    yield from sorted(uses, key=lambda use: (use.time_s, use.requester, use.asset))
