"""From a risk score to a verdict: the verdict with the least expected cost.

Pure functions. Layer: defence. Not here: how the score came about, what the contract makes of the verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chainsec.primitives import Verdict


@dataclass(frozen=True)
class Thresholds:
    """Where one verdict gives way to the next: grant below ``grant_below``, deny from ``deny_from`` on.

    Between the two a guardian is asked. Both lie in [0, 1], ``grant_below <= deny_from``.
    """

    grant_below: float
    deny_from: float


def find_thresholds(wrong_grant: float, wrong_denial: float, escalation: float) -> Thresholds:
    """Return the scores at which the cheapest verdict changes.

    Granting costs ``p * wrong_grant``, denying ``(1 - p) * wrong_denial``, asking ``escalation``, for a
    request that is bad with probability ``p``. Where asking is never cheapest, the two thresholds meet.

    Args:
        wrong_grant: cost of letting the wrong one in, > 0 for a request that can do harm.
        wrong_denial: cost of turning the right one away, same unit.
        escalation: cost of asking a guardian, same unit.

    >>> find_thresholds(20.0, 10.0, 2.0)
    Thresholds(grant_below=0.1, deny_from=0.8)
    >>> find_thresholds(1.0, 1.0, 5.0)
    Thresholds(grant_below=0.5, deny_from=0.5)
    """
    total = wrong_grant + wrong_denial
    even = wrong_denial / total if total else 1.0
    grant_below = min(escalation / wrong_grant, 1.0) if wrong_grant else 1.0
    deny_from = max(1.0 - escalation / wrong_denial, 0.0) if wrong_denial else 0.0
    if grant_below >= deny_from:
        return Thresholds(even, even)
    return Thresholds(grant_below, deny_from)


def choose_verdict(score: float, thresholds: Thresholds) -> Verdict:
    """Return the verdict for a risk ``score`` in [0, 1].

    >>> [choose_verdict(s, Thresholds(0.1, 0.8)).name for s in (0.05, 0.1, 0.8)]
    ['GRANT', 'ESCALATE', 'DENY']
    """
    if score >= thresholds.deny_from:
        return Verdict.DENY
    return Verdict.GRANT if score < thresholds.grant_below else Verdict.ESCALATE


def thresholds_by_sensitivity(
    wrong_grant: Sequence[float], wrong_denial: float, escalation: float
) -> tuple[Thresholds, ...]:
    """Return the thresholds for each sensitivity, in the order of ``wrong_grant``."""
    return tuple(find_thresholds(cost, wrong_denial, escalation) for cost in wrong_grant)
