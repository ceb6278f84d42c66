"""The page of a network's scenario: what came out, variants side by side, rounds, finality, messages, nodes.

Layer: app. Not here: drawing (``network_charts``), shared markup (``markup``), figures (``chainsec.network.measure``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chainsec.app import wording
from chainsec.app.markup import page, prose, table
from chainsec.app.network_charts import finality_chart, message_matrix, round_timeline
from chainsec.app.network_tables import compare_variants, list_nodes, list_reasons
from chainsec.app.table import Table
from chainsec.app.wording import escape

if TYPE_CHECKING:
    from chainsec.network.report_schema import NetworkReport, VariantReport

__all__ = ["render_network_report"]

_MOST_INCIDENTS = 100
_LONG = 1_000
_OUTCOMES = {"agreed": "ok", "stalled": "fail", "forked": "fail"}
_SAID = {
    "agreed": "the validators agreed on every block",
    "stalled": "the network stalled",
    "forked": "the network forked",
}


def render_network_report(report: NetworkReport) -> str:
    """Return a scenario's report as a self-contained page, the same text for equal reports."""
    sections = [_comparison(report)]
    for number, variant in enumerate(report.variants):
        duration_s = float(variant.settings.get("duration_s", report.duration_s))
        sections.append(_variant(variant, f"v{number}", duration_s))
    return page(f"ChainSec network: {report.name}", _header(report), sections, _footer(report), styles=["network.css"])


def _header(report: NetworkReport) -> str:
    first = report.variants[0]
    tiles = "".join(
        f'<div class="tile"><dt>{escape(variant.name)}</dt><dd class="{_OUTCOMES[variant.outcome]}">'
        f"{escape(variant.outcome)}</dd><dd>{wording.count(variant.height)} blocks<br/>"
        f"longest without one {wording.amount(round(variant.longest_gap_s, 1))} s</dd></div>"
        for variant in report.variants
    )
    longest = f"; {wording.amount(round(first.longest_gap_s, 1))} s was the longest time without a block"
    found = "".join(f"<li>{prose(f'{v.name}: {v.outcome}: {v.said}.')}</li>" for v in report.variants)
    return (
        f'<header>\n<p class="brand">ChainSec network: {escape(report.name)} (seed {report.seed}, '
        f"{wording.amount(report.duration_s)} virtual seconds)</p>\n"
        f"<h1>{escape(report.name[:1].upper() + report.name[1:])}: {_SAID[first.outcome]}"
        f"{longest if first.outcome == 'agreed' else ''}.</h1>\n"
        f'<p>{escape(report.about, _LONG)}</p>\n<dl class="tiles">{tiles}</dl>\n'
        f'<ul class="findings">{found}</ul>\n</header>'
    )


def _comparison(report: NetworkReport) -> str:
    return f"<section>\n<h2>Side by side</h2>\n{table(compare_variants(report))}</section>\n"


def _variant(variant: VariantReport, name: str, duration_s: float) -> str:
    figures = (
        ("Rounds", "Each lane is a node; the warmer, the higher the round.", round_timeline(variant, name, duration_s)),
        (
            "Finality",
            "From when a block was due to when the first node and the last that agreed had it; coloured by its round.",
            finality_chart(variant, name, duration_s),
        ),
        ("Messages", "From each node (row) to each (column).", message_matrix(variant, name)),
    )
    drawn = "".join(
        f'<figure><h3>{title}</h3><div class="scroll">{svg}</div>'
        f"<figcaption>{escape(caption, 400)}</figcaption></figure>\n"
        for title, caption, svg in figures
    )
    tables = "".join(
        map(table, (replace(list_nodes(variant), title="Nodes"), list_reasons(variant), _incidents(variant)))
    )
    settings = Table("Settings", ("setting", "value"), [(key, str(value)) for key, value in variant.settings.items()])
    return (
        f'<section>\n<h2>{escape(variant.name[:1].upper() + variant.name[1:])}</h2>\n<p class="lead">'
        f'{escape(variant.said, _LONG)}</p>\n<div class="wide">{drawn}</div>\n{tables}'
        f"<details><summary>Settings</summary>{table(settings)}</details>\n"
        f'<p class="lead">Trace: <code>{escape(variant.trace_digest)}</code>{_dropped(variant)}</p></section>\n'
    )


def _dropped(variant: VariantReport) -> str:
    if not variant.dropped:
        return ""
    return f"; {wording.count(variant.dropped)} later events are counted, and neither drawn nor listed"


def _incidents(variant: VariantReport) -> Table:
    rows = [
        (f"{found.time_s:.3f} s", f"node-{found.node}", found.event, found.detail)
        for found in variant.incidents[:_MOST_INCIDENTS]
    ]
    left = len(variant.incidents) - len(rows)
    return Table(
        "Incidents", ("time", "node", "event", "what"), rows, note=f"{left} more in report.json." if left > 0 else ""
    )


def _footer(report: NetworkReport) -> str:
    return (
        "<footer>\n<h2>Play it again</h2>\n<p>The same seed gives the same events and packets, bit for bit, on any "
        f"machine:</p>\n<pre><code>{escape(report.replay, _LONG)}</code></pre>\n</footer>"
    )
