"""From a few figures about a requester or an asset to the bad requests of its coming period.

A logistic regression, learned from past periods, gives the chance of any bad request; where there is one, more follow
with a constant chance (a hurdle model). Layer: models. Not here: remembering what the figures follow from
(``forecaster``), learning the weights (``forecast_learning``), how good forecasts are (``chainsec.evaluation``).

Source: Mullahy, "Specification and testing of some modified count data models" (1986).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from chainsec.digest import digest_json
from chainsec.models.curve import Curve, sample_curve

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT = "chainsec forecast 1"

REASONS = {
    "activity": "how much it asked in recent weeks",
    "lately": "how much it asked in the last day",
    "season": "how busy its group is on these weekdays",
    "group": "how often its group's requests proved bad",
    "own": "how often its own requests proved bad, beside its group's",
    "revealed": "bad requests of its own that came to light in the last days",
    "suspicion": "the risk of its latest requests, added up",
}
"""Features of a forecast, in the order of the weights, and what they are in words."""

EVIDENCE = ("group", "own", "revealed", "suspicion")
"""Features that speak of bad requests: their weights are at least 0."""

_RANGE, _KNOTS = 12.0, 385
LOGISTIC = sample_curve(lambda x: round(1.0 / (1.0 + math.exp(-x)), 9), -_RANGE, _RANGE, _KNOTS)
"""Log-odds to probability, within 0.0001 of the logistic function."""

_MOST, _MOST_IF_ANY = 1e6, 1e4  # of weights and features, and of bad requests in one period: far beyond any use
_TAIL = 0.05  # chance left out at either end of an interval


class Forecast(NamedTuple):
    """What is expected of one key in the coming period.

    Args:
        expected: bad requests, the mean.
        probability: of at least one.
        low, median, high: of their number; ``low`` and ``high`` are the ends of the central 90 % interval.
        features: what it follows from, as ``ForecastModel.forecast`` takes them.
    """

    expected: float
    probability: float
    low: int
    median: int
    high: int
    features: dict[str, float]


@dataclass(frozen=True)
class Head:
    """What one length of period has taught.

    Args:
        intercept: log-odds where all features are 0.
        weights: of the features, in the order of ``REASONS``.
        usual: each feature's mean over the periods learned from.
        mean_if_any: bad requests of a key that has any, 1 to 10,000.

    Raises:
        ValueError: a figure is out of range or not finite, or there are not as many as features.
    """

    intercept: float
    weights: tuple[float, ...]
    usual: tuple[float, ...]
    mean_if_any: float

    def __post_init__(self) -> None:
        if len(self.weights) != len(REASONS) or len(self.usual) != len(REASONS):
            raise ValueError(f"a forecast has {len(REASONS)} features")
        if not all(map(_is_in_range, (self.intercept, *self.weights, *self.usual))):
            raise ValueError("a figure of a forecast is out of range")
        if not 1.0 <= self.mean_if_any <= _MOST_IF_ANY:
            raise ValueError(f"{self.mean_if_any!r} bad requests of a key that has any are out of range")


@dataclass(frozen=True)
class ForecastModel:
    """Features to forecasts, by +, -, *, / and comparisons alone.

    Args:
        heads: by length of the period, seconds.
        group_ratios: how often a group's keys do bad beside everybody, > 0; 1 for a group that is not named.
        chance: log-odds to probability.

    Raises:
        ValueError: a length is not positive, a ratio is not positive and finite, or a probability not in [0, 1].

    >>> model = ForecastModel({86_400: Head(-3.0, (0, 0, 0, 1, 1, 1, 2), (0.0,) * 7, 1.5)}, {})
    >>> features = dict.fromkeys(REASONS, 0.0) | {"suspicion": 1.5, "revealed": 0.7}
    >>> found = model.forecast(features, 86_400)
    >>> round(found.probability, 3), round(found.expected, 3), (found.low, found.high)
    (0.668, 1.002, (0, 3))
    >>> model.reasons(features, 86_400)
    [('suspicion', 3.0), ('revealed', 0.7)]
    """

    heads: Mapping[int, Head]
    group_ratios: Mapping[str, float]
    chance: Curve = LOGISTIC

    def __post_init__(self) -> None:
        if any(horizon_s <= 0 for horizon_s in self.heads):
            raise ValueError("a period has a positive length")
        if not all(math.isfinite(ratio) and ratio > 0 for ratio in self.group_ratios.values()):
            raise ValueError("the ratio of a group must be positive and finite")
        if self.chance.ys[0] < 0.0 or self.chance.ys[-1] > 1.0:
            raise ValueError("a probability lies in [0, 1]")

    def ratio(self, group: str) -> float:
        """Return how often a group's keys do bad beside everybody."""
        return self.group_ratios.get(group, 1.0)

    def forecast(self, features: Mapping[str, float], horizon_s: int) -> Forecast:
        """Return the forecast that follows from ``features``, all of ``REASONS``.

        Raises:
            ValueError: a feature is missing, unknown or out of range, or no period of this length was learned.
        """
        head, values = self._head(horizon_s), _in_order(features)
        margin = math.fsum([head.intercept, *(weight * x for weight, x in zip(head.weights, values, strict=True))])
        probability = self.chance.at(margin)
        more = 1.0 - 1.0 / head.mean_if_any
        low, median, high = (_quantile(probability, more, above) for above in (1.0 - _TAIL, 0.5, _TAIL))
        return Forecast(probability * head.mean_if_any, probability, low, median, high, dict(features))

    def reasons(self, features: Mapping[str, float], horizon_s: int, limit: int = 3) -> list[tuple[str, float]]:
        """Return the features that move the forecast most, with the log-odds that each adds beside its usual value.

        Raises:
            ValueError: as for ``forecast``.
        """
        head, values = self._head(horizon_s), _in_order(features)
        moved = [
            (name, weight * (x - usual))
            for name, weight, x, usual in zip(REASONS, head.weights, values, head.usual, strict=True)
        ]
        return sorted((each for each in moved if each[1]), key=lambda each: -abs(each[1]))[:limit]

    def _head(self, horizon_s: int) -> Head:
        if horizon_s not in self.heads:
            raise ValueError(f"no forecast for {horizon_s} s was learned, only for {sorted(self.heads)} s")
        return self.heads[horizon_s]

    def to_json(self) -> dict[str, Any]:
        """Return the model as JSON values."""
        heads = {
            str(horizon_s): [head.intercept, list(head.weights), list(head.usual), head.mean_if_any]
            for horizon_s, head in self.heads.items()
        }
        return {
            "chance": self.chance.to_json(),
            "features": list(REASONS),
            "format": FORMAT,
            "groups": dict(self.group_ratios),
            "heads": heads,
        }

    @classmethod
    def from_json(cls, value: Any) -> ForecastModel:
        """Return the model that ``to_json`` wrote.

        Raises:
            ValueError: it is none, of another format, or made for other features.
        """
        if not isinstance(value, dict) or value.get("format") != FORMAT or value.get("features") != list(REASONS):
            raise ValueError(f"no model of the format {FORMAT!r} with its features")
        try:
            heads = {
                int(horizon): Head(intercept, tuple(weights), tuple(usual), mean)
                for horizon, (intercept, weights, usual, mean) in value["heads"].items()
            }
            return cls(heads, dict(value["groups"]), Curve.from_json(value["chance"]))
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise ValueError(f"no forecast model: {error!r}") from error

    @cached_property
    def digest(self) -> bytes:
        """The Keccak-256 of the model, 32 bytes."""
        return digest_json(self.to_json())


def _is_in_range(figure: float) -> bool:
    return -_MOST <= figure <= _MOST


def _in_order(features: Mapping[str, float]) -> list[float]:
    if features.keys() != REASONS.keys():
        raise ValueError(f"features {sorted(features.keys() ^ REASONS.keys())} are missing or unknown")
    values = [features[name] for name in REASONS]
    if not all(map(_is_in_range, values)):
        raise ValueError("a feature is not finite or out of range")
    return values


def _quantile(probability: float, more: float, above: float) -> int:
    """Return the least count that is passed with a chance of at most ``above``.

    A count is above 0 by ``probability``, and each further bad request comes with the chance ``more``.
    """
    found, passed = 0, probability
    while passed > above:
        found, passed = found + 1, passed * more
    return found
