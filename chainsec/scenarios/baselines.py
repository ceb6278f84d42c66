"""What the agent is set beside: granting everything, and the rules a competent administrator would write.

Layer: scenarios. Not here: the agent's model. The rules read what the gateway records, never the truth; their limits
come from the history alone.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from chainsec.scenarios.workload import Attempt

RULES = ("hours", "role", "rate", "ward")
"""The rules in the order in which ``fired`` names them."""

_HOUR_S = 3_600
_DAY_S = 86_400


@dataclass(frozen=True)
class RuleVerdict:
    """What a baseline says of one attempt.

    Args:
        denied: the verdict.
        score: share of the rules that fired, 0 to 1, high = suspicious.
        fired: names of the rules that fired.
    """

    denied: bool
    score: float
    fired: tuple[str, ...] = ()


@dataclass(frozen=True)
class RuleLimits:
    """What the administrator read off the history.

    Args:
        per_hour, per_day: most requests that a role may make, by role.
        usual: (role, purpose, kind of record) triples that are allowed.
        hours: first and last usual hour of the day by role, for logs without a roster.
        deny_from: number of rules that must fire for a refusal.
    """

    per_hour: Mapping[str, int]
    per_day: Mapping[str, int]
    usual: frozenset[tuple[str, str, str]]
    hours: Mapping[str, tuple[float, float]]
    deny_from: int


def _role(attempt: Attempt) -> str:
    return attempt.attributes.get("role", "")


def _triple(attempt: Attempt) -> tuple[str, str, str]:
    return _role(attempt), attempt.purpose, attempt.attributes.get("record_kind", "")


def breaks_hours(attempt: Attempt, limits: RuleLimits, *, has_clock: bool = True) -> bool:
    """Tell whether somebody asks outside their roster, or outside their role's hours where there is no roster."""
    if attempt.attributes.get("emergency") == "yes":
        return False
    duty = attempt.attributes.get("duty")
    if duty is not None:
        return duty == "off duty"
    first, last = limits.hours.get(_role(attempt), (0.0, 24.0))
    return has_clock and not first <= attempt.time_s % _DAY_S / _HOUR_S <= last


def breaks_role(attempt: Attempt, limits: RuleLimits) -> bool:
    """Tell whether the role does not use this kind of record for this purpose."""
    return _triple(attempt) not in limits.usual


def breaks_ward(attempt: Attempt) -> bool:
    """Tell whether a clinician treats a patient of another ward without being on the team list."""
    facts = attempt.attributes
    return (
        attempt.purpose == "treatment"
        and facts.get("ward_relation") in {"other ward", "other house", "outpatient"}
        and facts.get("team_list") == "not listed"
    )


class RuleEngine:
    """Judges attempts in time order by hours, role, rate and ward.

    Example:
        >>> from chainsec.scenarios.hospital import hospital
        >>> workload = hospital(3)
        >>> engine = RuleEngine.from_history(workload.history)
        >>> verdicts = engine.judge(workload.live)
        >>> len(verdicts) == len(workload.live)
        True
    """

    def __init__(self, limits: RuleLimits, *, has_clock: bool = True) -> None:
        self.limits = limits
        self._has_clock = has_clock
        self._recent: defaultdict[tuple[str, int], deque[int]] = defaultdict(deque)

    @classmethod
    def from_history(
        cls, history: Sequence[Attempt], *, has_clock: bool = True, refused_rate: float = 0.10, rare: int = 2
    ) -> RuleEngine:
        """Return an engine whose limits fit ``history``.

        Limits are the 99th percentile of each role's rates and the triples seen at least ``rare`` times among requests
        not known as abuse; a refusal needs as few rules as keep ``refused_rate`` of the good history unharmed. What is
        still unlabelled counts as good.

        Args:
            history: attempts in time order; only ``denied`` with a ``label_at_s`` is read as abuse.
            has_clock: whether times are real, so that hours and rates mean something.
            refused_rate: share of good requests that may be refused, in [0, 1].
            rare: how often a triple must have been seen, at least 1.
        """
        good = [attempt for attempt in history if not (attempt.denied and attempt.label_at_s is not None)]
        usual = frozenset(triple for triple, count in Counter(map(_triple, good)).items() if count >= rare)
        limits = RuleLimits(
            per_hour=_usual_most(good, _HOUR_S),
            per_day=_usual_most(good, _DAY_S),
            usual=usual,
            hours=_usual_hours(good),
            deny_from=1,
        )
        counts = [len(v.fired) for v in cls(limits, has_clock=has_clock).judge(good)]
        deny_from = 1
        while counts and deny_from < len(RULES) and np.mean(np.asarray(counts) >= deny_from) > refused_rate:
            deny_from += 1
        engine = cls(RuleLimits(limits.per_hour, limits.per_day, usual, limits.hours, deny_from), has_clock=has_clock)
        engine.judge(history)
        return engine

    def judge(self, attempts: Iterable[Attempt]) -> list[RuleVerdict]:
        """Return one verdict an attempt; remembers the times, so that rates carry over to the next call."""
        return [self._judge_one(attempt) for attempt in attempts]

    def _judge_one(self, attempt: Attempt) -> RuleVerdict:
        checks: dict[str, Callable[[], bool]] = {
            "hours": lambda: breaks_hours(attempt, self.limits, has_clock=self._has_clock),
            "role": lambda: breaks_role(attempt, self.limits),
            "rate": lambda: self._breaks_rate(attempt),
            "ward": lambda: breaks_ward(attempt),
        }
        fired = tuple(rule for rule in RULES if checks[rule]())
        return RuleVerdict(len(fired) >= self.limits.deny_from, len(fired) / len(RULES), fired)

    def _breaks_rate(self, attempt: Attempt) -> bool:
        if not self._has_clock:
            return False
        in_hour, in_day = self._count(attempt, _HOUR_S), self._count(attempt, _DAY_S)
        per_hour, per_day = self.limits.per_hour, self.limits.per_day
        role = _role(attempt)
        return in_hour > per_hour.get(role, in_hour) or in_day > per_day.get(role, in_day)

    def _count(self, attempt: Attempt, window_s: int) -> int:
        """Return how many requests the requester has made in the window that ends with this one."""
        recent = self._recent[attempt.requester, window_s]
        while recent and recent[0] <= attempt.time_s - window_s:
            recent.popleft()
        recent.append(attempt.time_s)
        return len(recent)


def _usual_most(good: Iterable[Attempt], window_s: int) -> dict[str, int]:
    """Return the 99th percentile, by role, of how many requests one person had made in the window before each."""
    recent: defaultdict[str, deque[int]] = defaultdict(deque)
    seen: defaultdict[str, list[int]] = defaultdict(list)
    for attempt in good:
        times = recent[attempt.requester]
        while times and times[0] <= attempt.time_s - window_s:
            times.popleft()
        times.append(attempt.time_s)
        seen[_role(attempt)].append(len(times))
    return {role: int(np.ceil(np.percentile(counts, 99.0))) for role, counts in seen.items()}


def _usual_hours(good: Iterable[Attempt]) -> dict[str, tuple[float, float]]:
    hours: defaultdict[str, list[float]] = defaultdict(list)
    for attempt in good:
        hours[_role(attempt)].append(attempt.time_s % _DAY_S / _HOUR_S)
    return {
        role: (float(np.percentile(values, 1.0)), float(np.percentile(values, 99.0))) for role, values in hours.items()
    }


def grant_all(attempts: Iterable[Attempt]) -> list[RuleVerdict]:
    """Return a grant for every attempt: what happens without any control beyond consent."""
    return [RuleVerdict(denied=False, score=0.0) for _ in attempts]
