"""What the terminal shows of a network's scenario: variants side by side, then each variant's nodes.

Layer: app. Not here: the figures (``chainsec.network.measure``), the page (``network_html``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainsec.app.table import Table
from chainsec.app.wording import amount, count, data_size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainsec.network.calibration import Comparison
    from chainsec.network.report_schema import NetworkReport, Spread, VariantReport

__all__ = ["compare_variants", "list_comparisons", "list_nodes", "list_reasons"]

_MOST_NODES = 20
_FINALITY = (
    "Due: a block period after its parent's time on the validators' clocks, once the parent is final; idle time of "
    "empty block periods does not count. Left out: validators that were away when a block was due, or fetched it later."
)


def _spread(spread: Spread) -> str:
    return " / ".join(amount(value) for value in (spread.p50, spread.p95, spread.p99))


def _rounds(variant: VariantReport) -> str:
    return ", ".join(f"{blocks} in {round_}" for round_, blocks in variant.rounds.items()) or "none"


def compare_variants(report: NetworkReport, variants: Sequence[VariantReport] | None = None) -> Table:
    """Return a table with a row for each figure and a column for each variant, of all or of those that are given."""
    variants = report.variants if variants is None else variants
    rows: list[tuple[str, Callable[[VariantReport], str]]] = [
        ("outcome", lambda variant: variant.outcome),
        ("blocks", lambda variant: count(variant.height)),
        ("of them empty", lambda variant: count(variant.empty_blocks)),
        ("blocks by round", _rounds),
        ("due to final, s, p50/p95/p99", lambda variant: _spread(variant.agreement_s)),
        ("validators' blocks left out", lambda variant: count(variant.agreement_left_out)),
        ("sent to final, s, p50/p95/p99", lambda variant: _spread(variant.waiting_s)),
        ("longest without a block, s", lambda variant: amount(variant.longest_gap_s)),
        ("transactions sent", lambda variant: count(variant.sent)),
        ("final", lambda variant: count(variant.final)),
        ("final a second", lambda variant: amount(variant.per_s)),
        ("messages", lambda variant: count(variant.messages)),
        ("bytes", lambda variant: data_size(variant.bytes)),
        ("differing or badly sealed", lambda variant: count(len(variant.violations))),
        ("each block executed", lambda variant: "once for all" if variant.is_execution_shared else "by every node"),
    ]
    if any(variant.dropped for variant in variants):
        rows.append(("events not in the trace's file", lambda variant: count(variant.dropped)))
    body = [(name, *(show(variant) for variant in variants)) for name, show in rows]
    columns = range(1, len(variants) + 1)
    return Table(report.name, ("", *(variant.name for variant in variants)), body, frozenset(columns), _FINALITY)


def list_nodes(variant: VariantReport) -> Table:
    """Return a table of a variant's nodes; of many, the first twenty."""
    rows = [
        (
            node.name,
            node.region,
            node.role if node.is_validator else "Observer",
            "up" if node.is_up else "down",
            count(node.height),
            count(node.proposed),
            count(node.timeouts),
            count(node.rejected),
            count(node.sent_messages),
        )
        for node in variant.nodes[:_MOST_NODES]
    ]
    head = ("node", "region", "role", "", "height", "proposed", "timeouts", "rejected", "messages")
    left = len(variant.nodes) - len(rows)
    note = f"{left} more in report.json." if left > 0 else ""
    return Table(variant.name, head, rows, frozenset(range(4, 9)), note)


def list_reasons(variant: VariantReport) -> Table:
    """Return a table of what a variant's nodes refused, and why."""
    rows = [(reason, count(times)) for reason, times in variant.rejected.items()]
    return Table("refused", ("", "times"), rows, frozenset({1}))


def list_comparisons(found: Sequence[Comparison]) -> list[Table]:
    """Return a table for each source: the published figure, the simulator's, and how far that is off."""
    tables = []
    for source in dict.fromkeys(each.source for each in found):
        rows = [
            (each.setting, each.unit, amount(each.published), amount(each.simulated), f"{each.error:+.0%}")
            for each in found
            if each.source == source
        ]
        head = ("setting", "unit", "published", "simulated", "error")
        tables.append(Table(source, head, rows, frozenset({2, 3, 4})))
    return tables
