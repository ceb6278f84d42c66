"""From a risk score to a verdict: the verdict with the least expected cost.

Pure functions. Layer: defence. Not here: how the score came about, what the contract makes of the verdict.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainsec.primitives import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Thresholds:
    """Where one verdict gives way to the next: grant below ``grant_below``, deny from ``deny_from`` on.

    Between the two a guardian is asked.

    Raises:
        ValueError: not ``0 <= grant_below <= deny_from <= 1``.

    >>> Thresholds(grant_below=0.1, deny_from=0.8).deny_from
    0.8
    """

    grant_below: float
    deny_from: float

    def __post_init__(self) -> None:
        if not 0 <= self.grant_below <= self.deny_from <= 1:
            raise ValueError(f"no thresholds: grant below {self.grant_below}, deny from {self.deny_from}")


def find_thresholds(wrong_grant: float, wrong_denial: float, escalation: float) -> Thresholds:
    """Return the scores at which the cheapest verdict changes.

    Granting costs ``p * wrong_grant``, denying ``(1 - p) * wrong_denial``, asking ``escalation``, for a
    request that is bad with probability ``p``. Where asking is never cheapest, the two thresholds meet.

    Args:
        wrong_grant: cost of letting the wrong one in, at least 0.
        wrong_denial: cost of turning the right one away, same unit, at least 0.
        escalation: cost of asking a guardian, same unit, at least 0.

    Raises:
        ValueError: a cost is negative, infinite or not a number.

    >>> find_thresholds(20.0, 10.0, 2.0)
    Thresholds(grant_below=0.1, deny_from=0.8)
    >>> find_thresholds(1.0, 1.0, 5.0)
    Thresholds(grant_below=0.5, deny_from=0.5)
    """
    for cost in (wrong_grant, wrong_denial, escalation):
        if not (math.isfinite(cost) and cost >= 0):
            raise ValueError(f"a cost is a number from 0 on, not {cost}")
    grant_below = min(escalation / wrong_grant, 1.0) if wrong_grant else 1.0
    deny_from = max(1.0 - escalation / wrong_denial, 0.0) if wrong_denial else 0.0
    if grant_below < deny_from:
        return Thresholds(grant_below, deny_from)
    even = 1.0 / (1.0 + wrong_grant / wrong_denial) if wrong_denial else float(not wrong_grant)
    return Thresholds(even, even)


def choose_verdict(score: float, thresholds: Thresholds) -> Verdict:
    """Return the verdict for a risk ``score`` in [0, 1].

    Raises:
        ValueError: the score lies elsewhere or is not a number.

    >>> [choose_verdict(s, Thresholds(0.1, 0.8)).name for s in (0.05, 0.1, 0.8)]
    ['GRANT', 'ESCALATE', 'DENY']
    """
    if not 0 <= score <= 1:
        raise ValueError(f"a risk score lies in [0, 1], not at {score}")
    if score >= thresholds.deny_from:
        return Verdict.DENY
    return Verdict.GRANT if score < thresholds.grant_below else Verdict.ESCALATE


def thresholds_by_sensitivity(
    wrong_grant: Sequence[float], wrong_denial: float, escalation: float
) -> tuple[Thresholds, ...]:
    """Return the thresholds for each sensitivity, in the order of ``wrong_grant``.

    Raises:
        ValueError: as ``find_thresholds``.

    >>> [found.grant_below for found in thresholds_by_sensitivity((10.0, 20.0), 10.0, 2.0)]
    [0.2, 0.1]
    """
    return tuple(find_thresholds(cost, wrong_denial, escalation) for cost in wrong_grant)
