"""Sums over sliding windows, kept up as things come and go, so that nobody walks a busy requester's day at each use.

The sums are those that walking the window would give, to the last bit. Layer: defence, below ``acquaintance`` and
``baseline``. Not here: what a sum means.
"""

from __future__ import annotations

from collections import Counter, deque
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from chainsec.defence.observation import Use

_ONE = 2**1074
"""Every finite float is a whole number of its inverse, and whole numbers add up exactly."""


class Step(NamedTuple):
    """One request on its requester's path; ``oddity`` is a whole number of any small unit."""

    time_s: int
    subject: str
    is_new: bool
    is_stranger: bool
    oddity: int


class StepWindow:
    """The steps of the last ``length_s`` seconds and what they come to.

    >>> window = StepWindow(60)
    >>> for time_s, subject in ((0, "x"), (30, "y"), (40, "y")):
    ...     window.add(Step(time_s, subject, True, False, 5))
    >>> window.sums(50, "z"), window.sums(85, "y")
    ((3, 3, 0, 15), (1, 2, 0, 10))
    """

    __slots__ = ("_new", "_oddity", "_strangers", "_subjects", "length_s", "steps")

    def __init__(self, length_s: int) -> None:
        self.length_s = length_s
        self.steps: deque[Step] = deque()
        self._subjects: Counter[str] = Counter()
        self._new = self._strangers = self._oddity = 0

    def add(self, step: Step) -> None:
        """Take a step in, no earlier than the one before it, and let go of those that have become too old."""
        self.steps.append(step)
        self._count(step, 1)
        while self.steps[0].time_s <= step.time_s - self.length_s:
            self._count(self.steps.popleft(), -1)

    def _count(self, step: Step, sign: int) -> None:
        self._subjects[step.subject] += sign
        if not self._subjects[step.subject]:
            del self._subjects[step.subject]
        self._new += sign * step.is_new
        self._strangers += sign * step.is_stranger
        self._oddity += sign * step.oddity

    def sums(self, now_s: int, subject: str) -> tuple[int, int, int, int]:
        """Return distinct subjects with ``subject`` among them, new ones, strangers and oddity at ``now_s``.

        Walks only what has become too old since the last step. Changes nothing.
        """
        is_there = subject in self._subjects
        if not self.steps or self.steps[0].time_s > now_s - self.length_s:
            return len(self._subjects) + (not is_there), self._new, self._strangers, self._oddity
        gone = list(takewhile(lambda step: step.time_s <= now_s - self.length_s, self.steps))
        left = Counter(step.subject for step in gone)
        ended = sum(self._subjects[name] == count for name, count in left.items())
        is_there = self._subjects[subject] > left[subject]
        return (
            len(self._subjects) - ended + (not is_there),
            self._new - sum(step.is_new for step in gone),
            self._strangers - sum(step.is_stranger for step in gone),
            self._oddity - sum(step.oddity for step in gone),
        )


class UseWindow:
    """A requester's uses of the last while, each with its volume and whether it overstepped.

    >>> from chainsec.defence.observation import Use
    >>> window = UseWindow()
    >>> for time_s, asset in ((0, "x"), (30, "y"), (70, "y")):
    ...     window.add(Use(time_s, "ann", asset, "export", 1, "q"), 0.1, overstepped=False, length_s=60)
    >>> window.amount, window.exported, window.oversteps
    (0.2, 1, 0)
    """

    def __init__(self) -> None:
        self.uses: deque[tuple[Use, float, bool]] = deque()
        self.oversteps = 0
        self._exports: Counter[str] = Counter()
        self._units = 0

    @property
    def amount(self) -> float:
        """The sum of the volumes, rounded once, as ``math.fsum`` gives it."""
        return self._units / _ONE

    @property
    def exported(self) -> int:
        """How many assets were exported."""
        return len(self._exports)

    def add(self, use: Use, units: float, *, overstepped: bool, length_s: int) -> None:
        """Take a use in and let go of those that lie ``length_s`` seconds or more before it."""
        self.uses.append((use, units, overstepped))
        self._count(use, units, overstepped, 1)
        while self.uses[0][0].time_s <= use.time_s - length_s:
            self._count(*self.uses.popleft(), -1)

    def _count(self, use: Use, units: float, overstepped: bool, sign: int) -> None:  # noqa: FBT001 - as it is kept
        over, under = units.as_integer_ratio()
        self._units += sign * over * (_ONE // under)
        self.oversteps += sign * overstepped
        if use.allowed and use.action == "export":
            self._exports[use.asset] += sign
            if not self._exports[use.asset]:
                del self._exports[use.asset]


class RecentTimes:
    """How many things happened in the last while.

    >>> recent = RecentTimes(60)
    >>> [recent.add(time_s) for time_s in (0, 30, 70)]
    [1, 2, 2]
    """

    def __init__(self, length_s: int) -> None:
        self._times: deque[int] = deque()
        self._length_s = length_s

    def add(self, time_s: int) -> int:
        """Take one in, no earlier than the one before it; return how many there were in the ``length_s`` up to it."""
        self._times.append(time_s)
        while self._times[0] <= time_s - self._length_s:
            self._times.popleft()
        return len(self._times)
