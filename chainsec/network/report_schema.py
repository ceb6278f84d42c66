"""What a scenario's report holds: ``report.json`` is this, field for field.

Times are virtual seconds since the network's first block, sizes are bytes. Layer: network. Not here: how figures come
about (``measure``), how they are shown (``chainsec.app``).
"""

from __future__ import annotations

from typing import Any, Literal

from chainsec.config import Settings

__all__ = ["Incident", "NetworkReport", "NodeReport", "RoundSpan", "Spread", "VariantReport"]


class Spread(Settings):
    """Percentiles of ``count`` values; None where there are none."""

    count: int
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    most: float | None = None


class NodeReport(Settings):
    """One node: what it did, and where it stood at the end."""

    name: str
    region: str
    role: str
    is_validator: bool
    is_up: bool
    height: int
    proposed: int
    timeouts: int
    rejected: int
    sent_messages: int
    sent_bytes: int


class RoundSpan(Settings):
    """A node was in ``round`` of ``height`` from ``start_s`` to ``end_s``; ``ends_final`` if it got the block then."""

    node: int
    start_s: float
    end_s: float
    height: int
    round: int
    ends_final: bool


class Incident(Settings):
    """Something that went wrong, was put right, or that somebody did: faults, votes, Byzantine acts, disagreement."""

    time_s: float
    node: int
    event: str
    detail: str


class FinalBlock(Settings):
    """A height: when the block was due, when the first honest node and the last that agreed had it, what it holds.

    When it is due, and who agreed, is what ``VariantReport.agreement_s`` says.
    """

    height: int
    due_s: float
    first_s: float
    last_s: float
    round: int
    proposer: int
    transactions: int
    gas_used: int


class VariantReport(Settings):
    """What came of a scenario as it stands, or of one of its variants.

    Attributes:
        name: the variant's.
        outcome: ``agreed``, ``stalled`` or ``forked``; ``said`` says it in a sentence.
        warns_of: what this one shows beyond QBFT's promises: ``nothing``, ``stall`` or ``fork``.
        height: highest block that is final anywhere.
        rounds: how many blocks were agreed on in each round, by round.
        empty_blocks: blocks without transactions.
        agreement_s: from when a block was due to when a validator had it, over blocks and honest validators that were
            up and connected when it was due and agreed on it themselves. Due is a block period after the parent's time,
            as the validators' clocks show it, and not before the parent was final; where blocks may not be empty, when
            there was something to put in, or when the wait for it was over.
        agreement_left_out: how often an honest validator had a block otherwise, or not at all: it was away when the
            block was due, or fetched it later.
        waiting_s: from when a client sent a transaction to when it was final at the node that took it.
        longest_gap_s: between two blocks that became final one after the other, or from the last one to the end.
        sent, final, unfinished, failed, refused: transactions of the load; ``refused`` by reason.
        per_s: final transactions for each second from the first that was sent to the last that was sent or became
            final.
        messages, bytes: on all connections; ``kinds`` counts messages by what they are.
        rejected: what nodes refused, by reason, the most frequent ones.
        violations: where two honest nodes hold different blocks at one height, or one holds a badly sealed block.
        executions: blocks executed in this process; ``is_execution_shared``: once for all nodes.
        trace_digest: SHA-256 over every event and every packet.
        dropped: events that came when the trace was full: figures and digest count them; reasons, spans, incidents and
            the trace's file do not have them.
        message_matrix: messages from each node (row) to each (column).
    """

    name: str
    outcome: Literal["agreed", "stalled", "forked"]
    said: str
    warns_of: Literal["nothing", "stall", "fork"]
    settings: dict[str, Any]
    height: int
    rounds: dict[int, int]
    empty_blocks: int
    agreement_s: Spread
    agreement_left_out: int
    waiting_s: Spread
    longest_gap_s: float
    sent: int
    final: int
    unfinished: int
    failed: int
    refused: dict[str, int]
    per_s: float
    messages: int
    bytes: int
    kinds: dict[str, int]
    rejected: dict[str, int]
    violations: tuple[str, ...]
    executions: int
    is_execution_shared: bool
    trace_digest: str
    dropped: int
    nodes: tuple[NodeReport, ...]
    blocks: tuple[FinalBlock, ...]
    spans: tuple[RoundSpan, ...]
    incidents: tuple[Incident, ...]
    message_matrix: tuple[tuple[int, ...], ...]

    @property
    def is_as_promised(self) -> bool:
        """Whether nothing happened that QBFT, or what this one warns of, rules out."""
        allowed = {"nothing": {"agreed"}, "stall": {"agreed", "stalled"}, "fork": {"agreed", "stalled", "forked"}}
        return self.outcome in allowed[self.warns_of]


class NetworkReport(Settings):
    """A scenario with its variants.

    Attributes:
        warns_of: what the scenario as it stands shows beyond QBFT's promises; each variant has its own.
        replay: the command that gives the same once more, event for event.
    """

    name: str
    about: str
    seed: int
    duration_s: float
    warns_of: Literal["nothing", "stall", "fork"]
    version: str
    replay: str
    variants: tuple[VariantReport, ...]

    @property
    def is_as_promised(self) -> bool:
        """Whether each variant keeps to what it promises."""
        return all(variant.is_as_promised for variant in self.variants)
