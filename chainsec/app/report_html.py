"""The report as one HTML page that needs nothing else: no script, no font, no request, light, dark and on paper.

Told from the top for a security architect: the finding, who is stopped, how fast, at what cost, then every
figure in tables. All text of the run passes ``escape``. Layer: app. Not here: drawing (``plots``), the
tables' contents (``report_tables``), files (``report``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainsec.app import findings, report_charts, report_tables, wording
from chainsec.app.markup import page, prose, section
from chainsec.app.report_network import (
    network_conditions,
    network_facts,
    network_sentence,
    network_times,
    slowest_of,
)
from chainsec.app.wording import escape
from chainsec.scenarios.report_schema import deterministic_digest

if TYPE_CHECKING:
    from chainsec.scenarios.report_schema import Report


def render_report(report: Report) -> str:
    """Return ``report`` as a self-contained page, the same text for equal reports."""
    title = f"ChainSec report: {report.run.name}"
    sections = [
        section(
            "Who is stopped", _who(report), report_charts.quality_figures(report), [report_tables.comparison(report)]
        ),
        section("What happens over time", _when(report), report_charts.time_figures(report), []),
        *_network(report),
        section("What it costs", _what(report), report_charts.cost_figures(report), [report_tables.gas(report)]),
        section("All figures", "", [], report_tables.all_figures(report)),
    ]
    return page(title, _header(report), sections, _footer(report))


def _network(report: Report) -> list[str]:
    if report.network is None:
        return []
    tables = [network_times(report), network_conditions(report), network_facts(report)]
    return [section("How fast on the network", network_sentence(report), [], tables)]


def _header(report: Report) -> str:
    run = report.run
    where = f"{run.kind}, seed {run.seed}, {run.engine}"
    when = wording.moment(run.started_at_s, has_clock=run.has_clock)
    span = f"{wording.amount(run.days)} simulated days from {when} UTC" if run.has_clock else "a log without times"
    found = "".join(f"<li>{prose(sentence)}</li>" for sentence in findings.findings(report))
    return (
        f'<header>\n<p class="brand">ChainSec report: {escape(run.name)} ({escape(where)}; {escape(span)})</p>\n'
        f"<h1>{prose(findings.headline(report))}</h1>\n{_tiles(report)}\n"
        f'<ul class="findings">{found}</ul>\n</header>'
    )


def _tiles(report: Report) -> str:
    quality, cost, audit = report.quality, report.cost, report.audit
    rules = quality.baselines.get(wording.RULES)
    has_attacks, found = findings.has_attacks(report), findings.containment(quality)
    parts = (f"{wording.rate(found.stopped_rate)} at request", f"{wording.rate(found.cut_off_rate)} cut off in time")
    cells: list[tuple[str, str, tuple[str, ...]]] = [
        (
            f"{'Attacks' if has_attacks else 'Denied by the log:'} {'contained' if found.cut_off else 'stopped'}",
            wording.rate(found.rate),
            (
                *(parts if found.cut_off else ()),
                _by_rules(wording.rate(findings.containment(rules).rate)) if rules else "",
            ),
        ),
        (
            f"{'Honest' if has_attacks else 'Good'} ones held up",
            wording.rate(findings.disturbed_rate(quality)),
            (
                f"{wording.rate(quality.good_escalated_rate)} to a guardian",
                f"{wording.rate(quality.good_refused_rate)} refused in the end",
                _by_rules(wording.rate(findings.disturbed_rate(rules))) if rules else "",
            ),
        ),
        _time_tile(report),
        (
            "Data that got out",
            wording.data_size(quality.leaked_bytes),
            (_by_rules(wording.data_size(rules.leaked_bytes)) if rules else "",),
        ),
        (
            "Gas per decision",
            wording.count(cost.gas_per_decision),
            (f"{wording.short_count(cost.gas_total)} gas in {wording.plural(cost.transactions, 'transaction')}",),
        ),
        (
            "Audit",
            "verified" if audit.verified else "NOT verified",
            (wording.plural(audit.blocks, "block"), wording.plural(audit.receipts, "receipt")),
        ),
    ]
    colours = {"verified": "ok", "NOT verified": "fail"}
    tiles = "".join(
        f'<div class="tile"><dt>{escape(name)}</dt><dd class="{colours.get(value, "figure")}">{escape(value)}</dd>'
        f"<dd>{'<br/>'.join(escape(note) for note in notes if note)}</dd></div>"
        for name, value, notes in cells
        if value != wording.NOT_MEASURED
    )
    return f'<dl class="tiles">{tiles}</dl>'


def _time_tile(report: Report) -> tuple[str, str, tuple[str, ...]]:
    if report.network is not None and report.network.revoke_s is not None:
        times, which = report.network.revoke_s, slowest_of(report.network.revocations).lower()
        return "Time to revoke", f"{wording.amount(times.p99)} s", (which, "sent to final at every connected gateway")
    cut_off, seen = findings.time_to_revoke(report), report.latency.revocation_blocks
    within = wording.NOT_MEASURED if seen is None else wording.blocks(seen.p99)
    if cut_off is None:
        return "Time to revoke", within, ("99 %, from threat seen",)
    number, bound = cut_off
    what = "from its first use" if number == 1 else f"median of {number:,} attacks"
    return "Time to revoke", f"\u2264 {wording.duration(bound)}", (what, "" if seen is None else f"{within} once seen")


def _by_rules(figure: str) -> str:
    return f"rules only: {figure}"


def _who(report: Report) -> str:
    quality = report.quality
    if not quality.good_requests + quality.bad_requests:
        return "The log carries no labels, so nothing can be said about right and wrong."
    return (
        f"Over {wording.plural(quality.good_requests, 'good request')} and "
        f"{wording.plural(quality.bad_requests, 'bad one')}, scored before their labels were shown to the agent."
    )


def _when(report: Report) -> str:
    decisions = report.decisions
    return (
        f"{wording.count(decisions.granted)} granted, {wording.count(decisions.denied)} denied, "
        f"{wording.count(decisions.escalated)} passed to a guardian. Afterwards "
        f"{wording.plural(decisions.revoked, 'grant')} revoked, {decisions.revoked_by_agent:,} of them by the agent, "
        f"and {wording.plural(decisions.quarantined, 'quarantine')} on {wording.plural(decisions.alerts, 'alert')}."
    )


def _what(report: Report) -> str:
    return (
        f"{wording.count(report.cost.gas_total)} gas in {wording.plural(report.cost.transactions, 'transaction')} "
        f"and {wording.plural(report.audit.blocks, 'block')}."
    )


def _footer(report: Report) -> str:
    return (
        "<footer>\n<h2>Do not believe this page: recompute it</h2>\n"
        "<p>The run directory is all it takes. This command links every block again, recomputes every score from "
        "features and model file, and names the first record that differs:</p>\n"
        "<pre><code>chainsec audit verify RUN_DIR</code></pre>\n"
        "<p>Two runs of one seed agree in everything but wall-clock times; what they share has the digest "
        f"<code>{deterministic_digest(report)}</code>.</p>\n</footer>"
    )
