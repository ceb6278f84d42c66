"""Notices that a stream of figures is no longer what it was, with a stated rate of false alarms.

The first figures are the reference. Each later one is ranked among them; were nothing changed, every rank would be as
likely as any other. A gambler who bets on higher or lower ranks gains nothing then, so that a fortune tells
of a change.
Layer: models. Not here: what the figures are and what is done about a change (``chainsec.defence.renewal``).

Source: Shiryaev-Roberts procedure on conformal p-values; Vovk et al., "Retrain or not retrain: conformal test
martingales for change-point detection" (COPA 2021).
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass

_STAKES = (-0.6, -0.3, 0.3, 0.6)
"""Shares of the fortune put on a rank that is higher (positive) or lower than the middle. Bounded, so that a handful of
extreme figures, as one attacker leaves them, is no drift."""


@dataclass(frozen=True)
class DriftSettings:
    """When a change counts as one.

    Args:
        reference_events: how many figures make up the reference, at least 20.
        events_per_false_alarm: events between two false alarms on average, at least, where nothing changes; > 1.

    Raises:
        ValueError: a setting is out of range.
    """

    reference_events: int = 400
    events_per_false_alarm: int = 20_000

    def __post_init__(self) -> None:
        if self.reference_events < 20 or self.events_per_false_alarm <= 1:  # noqa: PLR2004 - as documented
            raise ValueError("a setting of the drift watch is out of range")


class DriftWatch:
    """Watches one stream of figures. The same figures give the same alarm.

    Args:
        settings: when a change counts as one.

    ``events`` counts the figures up to the alarm, ``drifted_at`` is that number once there was one, else None.

    >>> watch = DriftWatch(DriftSettings(reference_events=100))
    >>> any([watch.observe(i * 61 % 100 / 100) for i in range(500)])
    False
    >>> [watch.observe(0.9 + i % 10 / 100) for i in range(100)].index(True) < 40
    True
    """

    def __init__(self, settings: DriftSettings | None = None) -> None:
        self.settings = settings or DriftSettings()
        self._reference: list[float] = []
        self._fortunes = [0.0] * len(_STAKES)
        self.events = 0
        self.drifted_at: int | None = None

    @property
    def statistic(self) -> float:
        """The mean fortune; an alarm is due where it reaches ``events_per_false_alarm``."""
        return math.fsum(self._fortunes) / len(_STAKES)

    def observe(self, value: float) -> bool:
        """Take the next figure, and tell whether the stream has drifted by now; later figures change nothing then.

        Raises:
            ValueError: ``value`` is not a finite number.
        """
        if not math.isfinite(value):
            raise ValueError(f"a drift watch needs finite figures, not {value!r}")
        if self.drifted_at is not None:
            return True
        self.events += 1
        known = self._reference
        if len(known) < self.settings.reference_events:
            insort(known, value)
            return False
        below, upto = bisect_left(known, value), bisect_right(known, value)
        lean = (below + upto + 1.0) / (len(known) + 1.0) - 1.0
        self._fortunes = [
            (1.0 + fortune) * (1.0 + stake * lean) for fortune, stake in zip(self._fortunes, _STAKES, strict=True)
        ]
        if self.statistic >= self.settings.events_per_false_alarm:
            self.drifted_at = self.events
        return self.drifted_at is not None
