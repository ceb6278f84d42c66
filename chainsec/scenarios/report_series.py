"""Distributions and time lines of a report: what its plots are drawn from, and the base of all its parts.

Frozen pydantic models, units in the names, unknown keys refused. Layer: scenarios, below ``report_schema``.
Not here: drawing (``chainsec.app.plots``).
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import ceil
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

LAST_SECOND_S = 253_402_300_799
"""31 December 9999, the last time that a calendar can show."""

Count = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0)]
Seconds = Annotated[int, Field(ge=0, le=LAST_SECOND_S)]
Hex32 = Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$")]
Point = tuple[Rate, Rate]


class Part(BaseModel):
    """Base of every part of the report: frozen, strict, no unknown key, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Quantiles(Part):
    """Median, 95th and 99th percentile by nearest rank; the unit is in the name of the field that holds them."""

    p50: Amount
    p95: Amount
    p99: Amount

    @model_validator(mode="after")
    def _ascends(self) -> Self:
        if not self.p50 <= self.p95 <= self.p99:
            raise ValueError("percentiles must not fall")
        return self

    @classmethod
    def of(cls, values: Sequence[float]) -> Self | None:
        """Return the percentiles of ``values`` (at least 0), or None when there are none.

        >>> Quantiles.of(range(1, 101))
        Quantiles(p50=50.0, p95=95.0, p99=99.0)
        """
        ranked = sorted(float(value) for value in values)
        if not ranked:
            return None
        p50, p95, p99 = (ranked[max(0, ceil(percent * len(ranked) / 100) - 1)] for percent in (50, 95, 99))
        return cls(p50=p50, p95=p95, p99=p99)


class Histogram(Part):
    """Counts between ascending ``edges``: bin i holds edges[i] <= value < edges[i + 1]; the last bin its edge too."""

    edges: tuple[float, ...] = Field(min_length=2)
    counts: tuple[Count, ...]

    @model_validator(mode="after")
    def _matches(self) -> Self:
        _check_edges(self.edges, self.counts)
        return self

    @classmethod
    def of(cls, values: Sequence[float], edges: Sequence[float]) -> Self:
        """Count ``values`` between ``edges``; a value outside is counted in the nearest bin.

        >>> Histogram.of([1, 1, 2, 9], edges=[1, 2, 3, 4]).counts
        (2, 1, 1)
        """
        counts = [0] * (len(edges) - 1)
        for value in values:
            counts[min(max(bisect_right(edges, value) - 1, 0), len(counts) - 1)] += 1
        return cls(edges=tuple(float(edge) for edge in edges), counts=tuple(counts))


class ScoreHistogram(Part):
    """Risk scores by class, counts in bins between ``edges`` within [0, 1]."""

    edges: tuple[Rate, ...] = Field(min_length=2)
    good: tuple[Count, ...]
    bad: tuple[Count, ...]
    unlabelled: tuple[Count, ...]

    @model_validator(mode="after")
    def _matches(self) -> Self:
        for counts in (self.good, self.bad, self.unlabelled):
            _check_edges(self.edges, counts)
        return self


class ScoreMark(Part):
    """A threshold worth drawing among the scores, for example ``deny`` at 0.7."""

    name: str
    score: Rate


class Curves(Part):
    """Points of one way of deciding.

    Args:
        roc: (share of good refused, share of bad caught), ascending in the first.
        precision_recall: (recall, precision), ascending in the first.
    """

    roc: tuple[Point, ...]
    precision_recall: tuple[Point, ...]


class DecisionBucket(Part):
    """Decisions of one day, or of one slice of rows where there is no clock.

    Args:
        start_s: first second of the day (first row of the slice).
        granted: requests granted.
        denied: requests denied.
        escalated: requests passed to a guardian.
        bad: requests of the day that had to be denied, by their label.
        revoked: grants taken back on that day.
    """

    start_s: Seconds
    granted: Count
    denied: Count
    escalated: Count
    bad: Count
    revoked: Count


class Series(Part):
    """What the plots show. An empty tuple or None leaves a plot out.

    Args:
        scores: risk scores by class.
        score_marks: thresholds to draw among the scores.
        curves: ``agent`` and the names of the baselines that have a score, to their curves.
        decisions_over_time: in time order.
        revocation_blocks: blocks from threat seen to revoked.
        revocation_s: simulated seconds from the first use that an attack got through to the block that answers it.
        reads_before_revocation: uses that an attack had got through by then.
    """

    scores: ScoreHistogram | None = None
    score_marks: tuple[ScoreMark, ...] = ()
    curves: Mapping[str, Curves] = {}
    decisions_over_time: tuple[DecisionBucket, ...] = ()
    revocation_blocks: Histogram | None = None
    revocation_s: Histogram | None = None
    reads_before_revocation: Histogram | None = None


class Alert(Part):
    """One threat that the agent raised on chain.

    Args:
        time_s: simulated, Unix seconds.
        block: number of the block that holds the alert.
        kind: what the detector found, for example ``volume``.
        requester: whom it is about.
        response: what the agent did.
        score: 0 to 1, high = suspicious.
        grants: how many grants are concerned.
        attack: kind of attack it truly was, "" for normal life (a false alarm), None where no label tells.
        evidence: the figures that led to it.
    """

    time_s: Seconds
    block: Count
    kind: str
    requester: str
    response: Literal["alert", "revoke", "quarantine"]
    score: Rate
    grants: Count
    attack: str | None = None
    evidence: Mapping[str, JsonValue] = {}


def _check_edges(edges: Sequence[float], counts: Sequence[int]) -> None:
    if len(counts) != len(edges) - 1:
        raise ValueError(f"{len(edges)} edges need {len(edges) - 1} counts, not {len(counts)}")
    if any(low >= high for low, high in pairwise(edges)):
        raise ValueError("edges must ascend")
