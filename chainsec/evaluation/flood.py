"""A flood of the guardians' queue: accounts file borderline requests so that honest ones lapse before anybody looks.

Layer: evaluation. Not here: the order of the queue (``chainsec.defence.triage``), the study (``robustness``).
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from chainsec.defence.triage import FairQueue

if TYPE_CHECKING:
    from collections.abc import Sequence

HOUR_S = 3_600


@dataclass(frozen=True)
class Escalation:
    """A request that waits for a guardian.

    Args:
        time_s: when it was escalated.
        until_s: when it lapses.
        organisation: of the requester.
        requester: who asks.
        is_flood: whether it belongs to the flood.
    """

    time_s: int
    until_s: int
    organisation: str
    requester: str
    is_flood: bool = False


@dataclass(frozen=True)
class Answered:
    """What became of honest escalations.

    Args:
        lapsed_rate: share that lapsed before a guardian looked, in [0, 1].
        median_wait_s: of those that were looked at; 0 where none was.
    """

    lapsed_rate: float
    median_wait_s: float


def draw_flood(start_s: int, hours: int, per_hour: int, accounts: int, lifetime_s: int) -> list[Escalation]:
    """Return a flood that comes evenly from several accounts of one organisation."""
    step_s = HOUR_S / per_hour if per_hour else 0.0
    times = [start_s + round(place * step_s) for place in range(per_hour * hours)]
    return [
        Escalation(time_s, time_s + lifetime_s, "flooded-house", f"mob-{place % accounts}", is_flood=True)
        for place, time_s in enumerate(times)
    ]


def answer_all(escalations: Sequence[Escalation], answers_per_hour: int, *, is_fair: bool) -> Answered:
    """Let guardians answer one escalation after the other.

    Args:
        escalations: in any order.
        answers_per_hour: how many they can look at.
        is_fair: organisations and requesters take turns; otherwise first come, first served.
    """
    coming = sorted(range(len(escalations)), key=lambda place: (escalations[place].time_s, place))
    queue: FairQueue[int] = FairQueue()
    agenda = [(escalations[place].time_s, place) for place in coming]
    heapq.heapify(agenda)
    step_s, free_s = HOUR_S / answers_per_hour, 0.0
    waits: list[float] = []
    lapsed = honest = 0
    while agenda or len(queue):
        if not len(queue):
            free_s = max(free_s, float(agenda[0][0]))
        while agenda and agenda[0][0] <= free_s:
            _, place = heapq.heappop(agenda)
            one = escalations[place]
            queue.put((one.organisation, one.requester) if is_fair else (), place)
        one = escalations[queue.take()]
        in_time = free_s <= one.until_s
        if not one.is_flood:
            honest += 1
            lapsed += not in_time
            if in_time:
                waits.append(free_s - one.time_s)
        free_s += step_s if in_time else 0.0
    return Answered(lapsed / max(1, honest), float(np.median(waits)) if waits else 0.0)
