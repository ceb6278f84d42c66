"""What a run reports: the contract of ``report.json``, for the demo and for a replay alike.

Frozen pydantic models, units in the names, unknown keys refused. ``None`` stands where a figure does not
exist (an AUC when the log has one class only, a percentile of nothing). Layer: scenarios. Not here:
measuring (the runner does it), writing and showing (``chainsec.app.report``).
"""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import JsonValue, model_validator

from chainsec.digest import canonical_json, digest_json
from chainsec.scenarios.report_network import NetworkPart
from chainsec.scenarios.report_quality import RULES, AttackOutcome, Measures, Quality
from chainsec.scenarios.report_series import (
    Alert,
    Amount,
    Count,
    Curves,
    DecisionBucket,
    Hex32,
    Histogram,
    Part,
    Quantiles,
    Rate,
    ScoreHistogram,
    ScoreMark,
    Seconds,
    Series,
)

__all__ = [
    "RULES",
    "WALL_CLOCK_FIELDS",
    "Alert",
    "AttackOutcome",
    "Audit",
    "Cost",
    "Curves",
    "DecisionBucket",
    "Decisions",
    "Histogram",
    "Latency",
    "Measures",
    "ModelNotice",
    "OperationGas",
    "Organisation",
    "Quality",
    "Quantiles",
    "Report",
    "Requests",
    "Run",
    "ScoreHistogram",
    "ScoreMark",
    "Series",
    "Throughput",
    "deterministic_digest",
    "deterministic_part",
]

WALL_CLOCK_FIELDS: tuple[tuple[str, ...], ...] = (("latency", "decision_ms"), ("latency", "batch_ms"), ("throughput",))
"""Paths that depend on the machine. Everything else is the same for two runs of one seed."""


class Run(Part):
    """Which run this is, and everything it can be repeated from.

    Args:
        name: what the run is called, for example ``hospital``.
        kind: ``demo`` (a drawn workload) or ``replay`` (a user's log).
        seed: the one seed of every random choice.
        engine: which chain executed it, for example ``eth-tester``.
        model_digest: Keccak-256 of the model's canonical files, 0x-hexadecimal.
        started_at_s: simulated start of the live part, Unix seconds (a row number without a clock).
        days: simulated length of the live part.
        has_clock: False where times only count rows.
        settings: the settings in force, dotted name to value.
        settings_digest: Keccak-256 of the settings' canonical JSON.
        source: name of the log replayed, None for a drawn workload.
        version: release of ChainSec that ran it.
    """

    name: str
    kind: Literal["demo", "replay"]
    seed: int
    engine: str
    model_digest: Hex32
    started_at_s: Seconds
    days: Amount
    has_clock: bool = True
    settings: Mapping[str, JsonValue]
    settings_digest: Hex32
    source: str | None = None
    version: str


class Requests(Part):
    """Requests in the log: ``total`` = ``history`` (learned from) + ``live`` (decided) + ``skipped`` (bad lines).

    Args:
        skipped_by_reason: number of bad lines by kind of defect.
        skipped_rows: the first of them as (line, what is wrong).
        out_of_order: rows that stood after a row of a later time.
        notes: what stands in for what the log does not have, and how else it was read.
    """

    total: Count
    history: Count
    live: Count
    skipped: Count
    skipped_by_reason: Mapping[str, Count] = {}
    skipped_rows: tuple[tuple[Count, str], ...] = ()
    out_of_order: Count = 0
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.total != self.history + self.live + self.skipped:
            raise ValueError(f"total {self.total} is not {self.history} history + {self.live} live + {self.skipped}")
        return self


class Decisions(Part):
    """What stands on chain at the end.

    Args:
        granted: live requests granted by the agent's verdict and the contract.
        denied: live requests denied by either.
        escalated: live requests passed to a guardian.
        approved: of the escalated ones, approved by a guardian.
        cancelled: of the escalated ones, refused by a guardian.
        lapsed: of the escalated ones, lapsed before a guardian could approve them.
        revoked: grants taken back while they stood.
        revoked_by_agent: of these, in answer to a threat.
        revoked_by_guardian: of these, with a request that a guardian cancelled.
        revoked_after_expiry: grants taken back that had expired by then.
        honest_cut_off_by_agent: grants of good requests ended by the agent while they stood: taken back, or their
            holder quarantined.
        honest_cut_off_by_guardian: grants of good requests taken back by guardians while they stood.
        quarantined: times a requester was cut off.
        alerts: threats raised on chain; what the agent reports about its own model is counted apart.
        overruled_by_contract: verdicts of the agent that the contract lowered, counted as what they became.
    """

    granted: Count
    denied: Count
    escalated: Count
    approved: Count
    cancelled: Count
    lapsed: Count
    revoked: Count
    revoked_by_agent: Count
    revoked_by_guardian: Count
    revoked_after_expiry: Count
    honest_cut_off_by_agent: Count
    honest_cut_off_by_guardian: Count
    quarantined: Count
    alerts: Count
    overruled_by_contract: Count

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.revoked != self.revoked_by_agent + self.revoked_by_guardian:
            raise ValueError(f"revoked {self.revoked} is not the agent's and the guardians' together")
        if self.approved + self.cancelled + self.lapsed > self.escalated:
            raise ValueError(f"more answers than the {self.escalated} escalated")
        return self


class Latency(Part):
    """How long things take.

    Args:
        tick_wait_s: simulated seconds from asking until the gateway hands the request in; None without a clock.
        decision_blocks: from the request's block to its decision's block. Blocks are made on demand on a chain of one
            validator, so that this is 1 by construction.
        decision_ms: wall-clock time of a batch of decisions, scoring to block, divided by their number. Depends on the
            machine.
        batch_ms: wall-clock time of the whole batch that a decision stands in: how long its request waits.
        revocation_blocks: from the block in which a threat was seen to the block that revokes.
    """

    tick_wait_s: Quantiles | None
    decision_blocks: Quantiles | None
    decision_ms: Quantiles | None
    batch_ms: Quantiles | None
    revocation_blocks: Quantiles | None


class OperationGas(Part):
    """Gas of one kind of operation: ``items`` of it (requests, decisions ...) in so many transactions."""

    items: Count
    transactions: Count
    gas_total: Count

    @property
    def gas_per_item(self) -> float | None:
        """Mean gas of one item, None when there were none."""
        return self.gas_total / self.items if self.items else None


class Cost(Part):
    """What the chain charged.

    Args:
        transactions: mined in the whole run.
        gas_total: of all transactions.
        gas_per_decision: mean gas of one live decision; None without decisions.
        gas_by_operation: name of the operation to its gas.
    """

    transactions: Count
    gas_total: Count
    gas_per_decision: Amount | None
    gas_by_operation: Mapping[str, OperationGas] = {}


class Throughput(Part):
    """Speed on this machine, wall clock. Both None where nothing was timed."""

    decisions_per_s: Amount | None
    elapsed_s: Amount | None = None


class Audit(Part):
    """Result of replaying the evidence. ``first_difference`` names the first record that differs, if one does."""

    blocks: Count
    receipts: Count
    verified: bool
    head_hash: Hex32 | None = None
    first_difference: str | None = None


class Organisation(Part):
    """One organisation and what was decided for its members."""

    name: str
    members: Count
    records: Count
    requests: Count
    granted: Count
    denied: Count
    escalated: Count


class ModelNotice(Part):
    """What the agent reported about its own model.

    Args:
        time_s: simulated time, Unix seconds (a row number without a clock).
        kind: ``drift`` (an alarm: the agent is careful from here on) or ``renewal`` (the end of that).
        model: digest of the model in use until then.
        stream: of an alarm: ``scores`` or ``outcomes``.
        events: of an alarm: figures of that stream since the model was put in use or last confirmed.
        challenger: of a renewal: digest of the model that was tried, None where labels did not suffice to train one.
        tried: of a renewal: requests that both models scored and whose label came to light.
        losses: of a renewal: Brier's scores on them, of the model in use and of the challenger.
        adopted: of a renewal: whether the challenger took over.
    """

    time_s: Seconds
    kind: Literal["drift", "renewal"]
    model: Hex32
    stream: str | None = None
    events: Count | None = None
    challenger: Hex32 | None = None
    tried: Count | None = None
    losses: tuple[Rate, Rate] | None = None
    adopted: bool | None = None


class Report(Part):
    """The whole of ``report.json``; ``network`` where validators agreed on the chain.

    Raises:
        pydantic.ValidationError: an unknown key, a missing or impossible figure.
    """

    run: Run
    requests: Requests
    decisions: Decisions
    quality: Quality
    latency: Latency
    cost: Cost
    throughput: Throughput
    audit: Audit
    parties: tuple[Organisation, ...] = ()
    series: Series = Series()
    timeline: tuple[Alert, ...] = ()
    model: tuple[ModelNotice, ...] = ()
    network: NetworkPart | None = None

    @model_validator(mode="after")
    def _no_more_decisions_than_requests(self) -> Self:
        decided = self.decisions.granted + self.decisions.denied + self.decisions.escalated
        if decided > self.requests.live:
            raise ValueError(f"{decided} decisions on {self.requests.live} live requests")
        return self

    def to_json(self) -> bytes:
        """Return the canonical JSON text, the same bytes for equal reports."""
        return canonical_json(self.model_dump(mode="json"))


def deterministic_part(report: Report) -> dict[str, Any]:
    """Return ``report`` as JSON values without what the machine's clock put in (``WALL_CLOCK_FIELDS``)."""
    value: dict[str, Any] = report.model_dump(mode="json")
    for *parents, leaf in WALL_CLOCK_FIELDS:
        holder = value
        for name in parents:
            holder = holder[name]
        del holder[leaf]
    return value


def deterministic_digest(report: Report) -> str:
    """Return the Keccak-256 of the deterministic part: equal for two runs of one seed, on any machine."""
    return "0x" + digest_json(deterministic_part(report)).hex()
