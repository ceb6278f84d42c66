"""Remembers what a forecast of bad requests follows from, as requests and labels come in.

Of each requester or asset a few sums are kept that halve again and again: its requests, the bad ones among them, and
how risky the latest ones looked. Rates are pooled: a key's starts at its group's, a group's at everybody's, and each
moves as evidence comes in. A forecast knows nothing that came to light only after its moment. Layer: models. Not here:
what the figures amount to (``forecast``).

Source: Gelman et al., "Bayesian Data Analysis" (2013), section 2.7, for pooled rates (Gamma-Poisson); Hawkes, "Spectra
of some self-exciting and mutually exciting point processes" (1971), for what excites and fades.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from chainsec.models.forecast import REASONS
from chainsec.models.rounding import DECIMALS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chainsec.models.forecast import Forecast, ForecastModel

DAY_S = 86_400

_ACTIVITY, _LATELY, _SUSPICION, _REVEALED, _BAD = range(5)
_SLOW_S = 28 * DAY_S
_HALF_LIVES_S = (7 * DAY_S, DAY_S, DAY_S, 2 * DAY_S, _SLOW_S)
_WEEK = 7
_OWN_STRENGTH = 1.0  # bad requests at its group's rate, from which a key's own rate starts
_GROUP_STRENGTH = 20.0  # the same for a group's rate beside everybody's
_SEASON_STRENGTH = 5.0  # requests spread as everybody's are, from which a group's week starts


class Asked(NamedTuple):
    """A request as a replay takes it.

    Args:
        time_s: when it was made.
        key: whose it is, a requester or an asset.
        group: of the key.
        risk: its score when it was made, in [0, 1].
        is_bad: the truth.
        known_s: when the truth comes to light, None for never.
    """

    time_s: int
    key: str
    group: str
    risk: float = 0.0
    is_bad: bool = False
    known_s: int | None = None


class _Fading:
    """Sums that halve again and again, each at its own pace."""

    __slots__ = ("_half_lives_s", "_since_s", "_sums")

    def __init__(self, half_lives_s: Sequence[int], time_s: int) -> None:
        self._half_lives_s, self._since_s, self._sums = half_lives_s, time_s, [0.0] * len(half_lives_s)

    def add(self, place: int, amount: float, time_s: int) -> None:
        """Add ``amount`` to a sum for what happened at ``time_s``, which may be a while ago; it stays at least 0."""
        if time_s > self._since_s:
            self._sums, self._since_s = self.at(time_s), time_s
        left = amount * math.exp2((time_s - self._since_s) / self._half_lives_s[place])
        self._sums[place] = max(0.0, self._sums[place] + left)

    def at(self, now_s: int) -> list[float]:
        """Return what is left of the sums at ``now_s``."""
        gone_s = max(0, now_s - self._since_s)
        return [
            each * math.exp2(-gone_s / half_life_s)
            for each, half_life_s in zip(self._sums, self._half_lives_s, strict=True)
        ]


class _Key:
    """One requester or asset."""

    __slots__ = ("first_s", "group", "sums")

    def __init__(self, group: str, first_s: int) -> None:
        self.group, self.first_s, self.sums = group, first_s, _Fading(_HALF_LIVES_S, first_s)


class _Crowd:
    """A group, or everybody: requests by weekday, bad ones, and for how long its members could be seen."""

    _BAD, _NEW = _WEEK, _WEEK + 1

    def __init__(self, first_s: int) -> None:
        self._members = 0.0
        self._sums = _Fading((_SLOW_S,) * (_WEEK + 2), first_s)

    def join(self, weight: float, time_s: int) -> None:
        self._members += weight
        self._sums.add(self._NEW, weight, time_s)

    def ask(self, time_s: int) -> None:
        self._sums.add(time_s // DAY_S % _WEEK, 1.0, time_s)

    def blame(self, weight: float, time_s: int) -> None:
        self._sums.add(self._BAD, weight, time_s)

    def at(self, now_s: int) -> tuple[list[float], float, float]:
        """Return requests by weekday, bad ones, and exposure: 1 for a member of old, 0 for one who came just now."""
        *week, bad, new = self._sums.at(now_s)
        return week, bad, max(0.0, self._members - new)


class Forecaster:
    """Forecasts for every key that it has been told of, and for newcomers. Memory: a few figures a key and group.

    Args:
        model: weighs what is remembered.

    >>> from chainsec.models.forecast import ForecastModel, Head
    >>> head = Head(-3.0, (0.1, 0.1, 0.5, 1.0, 1.0, 1.0, 1.0), (0.0,) * 7, 1.5)
    >>> watch = Forecaster(ForecastModel({DAY_S: head}, {}))
    >>> watch.note_request("ann", "nurse", time_s=0, risk=0.2)
    >>> calm = watch.forecast("ann", DAY_S, DAY_S)
    >>> watch.note_bad("ann", time_s=0, known_s=DAY_S)
    >>> round(calm.probability, 3), round(watch.forecast("ann", DAY_S, DAY_S).probability, 3)
    (0.057, 0.108)
    """

    def __init__(self, model: ForecastModel) -> None:
        self.model = model
        self._keys: dict[str, _Key] = {}
        self._groups: dict[str, _Crowd] = {}
        self._everybody = _Crowd(0)
        self._first_s: int | None = None
        self._latest_s: int | None = None

    def introduce(self, key: str, group: str, time_s: int) -> None:
        """Know of ``key`` from ``time_s`` on, before it asks for the first time; who is known already stays so."""
        if key in self._keys:
            return
        self._pass(time_s)
        if group not in self._groups:
            self._groups[group] = _Crowd(time_s)
        self._keys[key] = _Key(group, time_s)
        self._groups[group].join(1.0, time_s)
        self._everybody.join(self.model.ratio(group), time_s)

    def note_request(self, key: str, group: str, time_s: int, risk: float = 0.0) -> None:
        """Take a request of ``key``.

        Args:
            key: a requester or an asset.
            group: of the key; that of its first request counts.
            time_s: when it was made; requests may come late.
            risk: its score, 0 where it has none.

        Raises:
            ValueError: the risk is not in [0, 1].
        """
        if not 0.0 <= risk <= 1.0:
            raise ValueError(f"the risk of a request lies in [0, 1], not at {risk!r}")
        self.introduce(key, group, time_s)
        self._pass(time_s)
        known = self._keys[key]
        for place, amount in ((_ACTIVITY, 1.0), (_LATELY, 1.0), (_SUSPICION, risk)):
            known.sums.add(place, amount, time_s)
        self._groups[known.group].ask(time_s)
        self._everybody.ask(time_s)

    def note_bad(self, key: str, time_s: int, known_s: int, weight: float = 1.0) -> None:
        """Learn that a request of ``key`` was bad, or of a threat seen in its uses.

        Args:
            key: as it asked before.
            time_s: when the request was made, or the threat seen.
            known_s: when that came to light, not before ``time_s``.
            weight: 1 for a bad request, less for a lesser threat; its negative takes back what proved false.

        Raises:
            ValueError: the key has never asked, the weight is not finite, or the times are the wrong way round.
        """
        if key not in self._keys:
            raise ValueError(f"{key!r} has never asked")
        if known_s < time_s or not math.isfinite(weight):
            raise ValueError("what proved bad needs a finite weight, and comes to light after it happened")
        self._pass(known_s)
        known = self._keys[key]
        known.sums.add(_BAD, weight, time_s)
        known.sums.add(_REVEALED, weight, known_s)
        self._groups[known.group].blame(weight, time_s)
        self._everybody.blame(weight, time_s)

    def _pass(self, time_s: int) -> None:
        self._first_s = time_s if self._first_s is None else min(self._first_s, time_s)
        self._latest_s = time_s if self._latest_s is None else max(self._latest_s, time_s)

    def follow(self, asked: Sequence[Asked], moments_s: Sequence[int]) -> Iterator[int]:
        """Take requests and their labels as they come to be known, and stop at each moment.

        Args:
            asked: requests, in any order.
            moments_s: rising; a request at the moment itself is not taken yet, a label is.

        Yields:
            Each moment.
        """
        told = [(each.time_s + 1, 0, place) for place, each in enumerate(asked)]
        for place, each in enumerate(asked):
            if each.is_bad and each.known_s is not None:
                told.append((max(each.known_s, each.time_s + 1), 1, place))
        told.sort(reverse=True)
        for moment_s in moments_s:
            while told and told[-1][0] <= moment_s:
                time_s, is_label, place = told.pop()
                each = asked[place]
                if is_label:
                    self.note_bad(each.key, each.time_s, time_s)
                else:
                    self.note_request(each.key, each.group, each.time_s, each.risk)
            yield moment_s

    def forecast(self, key: str, now_s: int, horizon_s: int, group: str = "") -> Forecast:
        """Return the forecast for ``key`` from ``now_s`` on, for ``horizon_s`` seconds.

        Args:
            key: one that was never told of is a newcomer.
            now_s: not before anything that was noted.
            horizon_s: a length that the model has learned.
            group: of a newcomer.

        Raises:
            ValueError: ``now_s`` or ``horizon_s`` is not as said.
        """
        return self.model.forecast(self.features(key, now_s, horizon_s, group), horizon_s)

    def features(self, key: str, now_s: int, horizon_s: int, group: str = "") -> dict[str, float]:
        """Return the features of a forecast; arguments as for ``forecast``."""
        if horizon_s <= 0:
            raise ValueError(f"a period of {horizon_s} s has no length")
        if self._latest_s is not None and now_s < self._latest_s:
            raise ValueError("a forecast may not lie before what is known already")
        known = self._keys.get(key) or _Key(group, now_s)
        activity, lately, suspicion, revealed, bad = known.sums.at(now_s)
        crowd = self._groups.get(known.group) or _Crowd(now_s)
        week, group_bad, group_exposure = crowd.at(now_s)
        all_week, all_bad, all_exposure = self._everybody.at(now_s)
        prior = self.model.ratio(known.group)
        usual = prior * all_bad / all_exposure if all_exposure else 0.0
        ratio = _pool(group_bad, usual * group_exposure, _GROUP_STRENGTH)
        exposure = 1.0 - math.exp2(-max(0, now_s - known.first_s) / _SLOW_S)
        values = (
            math.log1p(activity),
            math.log1p(lately),
            math.log(self._season(week, all_week, now_s, horizon_s)),
            math.log(prior * ratio),
            math.log(_pool(bad, usual * ratio * exposure, _OWN_STRENGTH)),
            math.log1p(revealed),
            math.log1p(suspicion),
        )
        return {name: round(value, DECIMALS) for name, value in zip(REASONS, values, strict=True)}

    def _season(self, week: Sequence[float], all_week: Sequence[float], now_s: int, horizon_s: int) -> float:
        """Return how busy a group is in the coming period, 1 for its usual rate."""
        if self._first_s is None:
            return 1.0
        days = _days_seen(self._first_s // DAY_S, now_s // DAY_S)
        shape = _shape(all_week, days, (1.0,) * _WEEK)
        shape = _shape(week, days, shape)
        busy, end_s, at_s = 0.0, now_s + horizon_s, now_s
        while at_s < end_s:
            until_s = min(end_s, (at_s // DAY_S + 1) * DAY_S)
            busy += (until_s - at_s) * shape[at_s // DAY_S % _WEEK]
            at_s = until_s
        return busy / horizon_s


def _pool(seen: float, expected: float, strength: float) -> float:
    """Return the mean ratio of what is seen to what is expected, where it starts at 1 with ``strength``."""
    return (strength + seen) / (strength + expected)


def _days_seen(first: int, today: int) -> list[float]:
    """Return how many days of each weekday have gone by since ``first``, faded as requests are."""
    pace, days = math.exp2(-_WEEK * DAY_S / _SLOW_S), [0.0] * _WEEK
    for ago in range(1, min(_WEEK, today - first) + 1):
        times = (today - ago - first) // _WEEK + 1
        days[(today - ago) % _WEEK] = math.exp2(-ago * DAY_S / _SLOW_S) * (1.0 - pace**times) / (1.0 - pace)
    return days


def _shape(week: Sequence[float], days: Sequence[float], usual: Sequence[float]) -> list[float]:
    """Return the factor of each weekday: ``usual`` until requests tell otherwise."""
    spread = math.fsum(day * factor for day, factor in zip(days, usual, strict=True))
    per_day = math.fsum(week) / spread if spread else 0.0
    return [
        factor * _pool(seen, per_day * day * factor, _SEASON_STRENGTH)
        for seen, day, factor in zip(week, days, usual, strict=True)
    ]
