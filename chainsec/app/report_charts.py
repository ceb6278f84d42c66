"""Which charts a report shows, with what beside them: caption and table of the figures drawn.

A chart without data is left out. Layer: app. Not here: drawing (``plots``), markup around a chart
(``report_html``).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from chainsec.app import findings, plots, report_tables, wording
from chainsec.app.plots import Chart, Group, Line
from chainsec.app.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainsec.scenarios.report_schema import Measures, Report
    from chainsec.scenarios.report_series import Histogram

_MOST_BARS = 12
_AGENT = "agent"
_COLOURS = {_AGENT: "blue", wording.RULES: "orange"}


@dataclass(frozen=True)
class Figure:
    """A chart ready to show: title, SVG, one sentence on how to read it, the figures as a table."""

    title: str
    svg: str
    caption: str
    table: Table | None = None


def quality_figures(report: Report) -> list[Figure]:
    """Return what was contained, scores by class, ROC and precision-recall, as far as there are data."""
    figures = [_contained(report), _scores(report), _roc(report), _precision_recall(report)]
    return [figure for figure in figures if figure is not None]


def time_figures(report: Report) -> list[Figure]:
    """Return decisions over time and how fast grants are taken back, as far as there are data."""
    series = report.series
    figures = [
        _over_time(report),
        _histogram(
            "From first use to answer",
            series.revocation_s,
            ("after the first use it got through", "attacks answered"),
            wording.duration,
            "Simulated time from the first use that an attack got through to the block that answers it by a revocation "
            "or a quarantine. Slow attacks take days to show themselves.",
        ),
        _histogram(
            "Uses before the cut",
            series.reads_before_revocation,
            ("uses that an attack had got through", "attacks answered"),
            wording.amount,
            "How often an attack that was let in had got hold of data until it was answered.",
        ),
        _histogram(
            "Blocks to revoke",
            series.revocation_blocks,
            ("blocks from threat seen to revoked", "revocations"),
            wording.amount,
            "A revocation takes effect with its block: the gateway asks the chain before it hands anything out.",
        ),
    ]
    return [figure for figure in figures if figure is not None]


def cost_figures(report: Report) -> list[Figure]:
    """Return gas per operation, once for one of each and once for all together."""
    entries = sorted(report.cost.gas_by_operation.items(), key=lambda item: (-item[1].gas_total, item[0]))[:_MOST_BARS]
    if not entries:
        return []
    names = [name for name, _ in entries]
    each = Chart(
        "gas-each", "Gas of one operation", _described("gas each", names, [e.gas_per_item for _, e in entries])
    )
    total = Chart("gas-all", "Gas of all", _described("gas in all", names, [e.gas_total for _, e in entries]))
    return [
        Figure(
            "Gas of one operation",
            plots.bars(each, names, [Group("gas each", "teal", [e.gas_per_item for _, e in entries])], wording.count),
            "Mean over the run; an operation that shares a transaction with others pays its share.",
        ),
        Figure(
            "Where the gas went",
            plots.bars(total, names, [Group("gas", "grey", [e.gas_total for _, e in entries])], wording.short_count),
            "Sum over the run.",
        ),
    ]


def _scores(report: Report) -> Figure | None:
    scores = report.series.scores
    if scores is None or not sum(scores.good) + sum(scores.bad) + sum(scores.unlabelled):
        return None
    edges = [wording.amount(edge) for edge in scores.edges]
    labels = [f"{low} to {high}" for low, high in pairwise(edges)]
    groups = [Group("good", "blue", scores.good), Group("bad", "orange", scores.bad)]
    if not sum(scores.good) + sum(scores.bad):
        groups = [Group("unlabelled", "grey", scores.unlabelled)]
        chart = Chart("scores", "Risk scores", "Requests by risk score.", "risk score", "requests")
        svg = plots.stacked_columns(chart, labels, groups, edges=edges)
    else:
        text = f"{sum(scores.good):,} good requests upwards, {sum(scores.bad):,} bad requests downwards, by risk score."
        chart = Chart("scores", "Risk scores by class", text, "risk score", "share of the class")
        marks = [(mark.name, mark.score) for mark in report.series.score_marks]
        svg = plots.mirrored_histogram(chart, scores.edges, groups[0], groups[1], marks)
    columns = [("good", scores.good), ("bad", scores.bad), ("unlabelled", scores.unlabelled)]
    caption = "The less the two sides overlap, the less a threshold has to trade. Heights are square roots of shares."
    return Figure("Risk scores by class", svg, caption, _counts("score", labels, columns))


def _contained(report: Report) -> Figure | None:
    quality = report.quality
    kinds = sorted(quality.per_attack, key=lambda kind: (-quality.per_attack[kind].requests, kind))[:_MOST_BARS]
    if not kinds:
        return None
    ours = [findings.contained_rate(quality.per_attack[kind]) for kind in kinds]
    groups = [Group(_AGENT, "blue", ours)]
    rules = quality.baselines.get(wording.RULES)
    if rules is not None:
        theirs = [
            findings.contained_rate(rules.per_attack[kind]) if kind in rules.per_attack else None for kind in kinds
        ]
        groups.append(Group(wording.RULES, "orange", theirs))
    names = [f"{wording.label(kind)} ({quality.per_attack[kind].requests:,})" for kind in kinds]
    title = "Attacks contained, by kind"
    chart = Chart("contained", title, _described("contained", names, ours, wording.rate))
    svg = plots.bars(chart, names, groups, wording.rate, 1.0)
    caption = "Stopped, or cut off before half of the planned data was taken. In brackets: how many requests."
    return Figure(title, svg, caption, report_tables.attacks(report))


def _ways(report: Report) -> list[tuple[str, str, Measures]]:
    quality = report.quality
    names = [name for name in wording.baseline_order(quality.baselines) if name in report.series.curves]
    baselines = [(name, _COLOURS.get(name, "grey"), quality.baselines[name]) for name in names]
    return [(_AGENT, _COLOURS[_AGENT], quality), *baselines] if _AGENT in report.series.curves else baselines


def _refused(way: Measures) -> float | None:
    if way.good_denied_rate is None or way.good_escalated_rate is None:
        return None
    return min(1.0, way.good_denied_rate + way.good_escalated_rate)


def _roc(report: Report) -> Figure | None:
    lines = []
    for name, colour, way in _ways(report):
        refused, marks = _refused(way), []
        if refused is not None and way.bad_held_up_rate is not None:
            label = f"{name}, as decided: {wording.rate(way.bad_held_up_rate)} of bad, {wording.rate(refused)} of good"
            marks = [(refused, way.bad_held_up_rate, label)]
        lines.append(Line(name, colour, report.series.curves[name].roc, marks))
    if not any(line.points for line in lines):
        return None
    areas = ", ".join(f"{name} {wording.score(way.auc)}" for name, _, way in _ways(report))
    chart = Chart("roc", "ROC", f"Area under the curve: {areas}.", "share of good requests refused", "bad caught")
    caption = (
        f"Area under the curve: {areas}. Curves are the scores alone; dots are what was held up as decided, under the "
        "contract's ceiling."
    )
    return Figure(
        "Bad requests caught against good ones refused", plots.line_chart(chart, lines, diagonal=True), caption
    )


def _precision_recall(report: Report) -> Figure | None:
    lines = []
    for name, colour, way in _ways(report):
        refused, marks = _refused(way), []
        if refused is not None and way.bad_held_up_rate is not None:
            caught = way.bad_held_up_rate * way.bad_requests
            stopped = caught + refused * way.good_requests
            if stopped:
                label = f"{name}, as decided: {wording.rate(min(1.0, caught / stopped))} of what it stopped was bad"
                marks = [(way.bad_held_up_rate, min(1.0, caught / stopped), label)]
        lines.append(Line(name, colour, _steps(report.series.curves[name].precision_recall), marks))
    if not any(line.points for line in lines):
        return None
    means = ", ".join(f"{name} {wording.score(way.average_precision)}" for name, _, way in _ways(report))
    chart = Chart(
        "pr", "Precision and recall", f"Average precision: {means}.", "share of bad requests caught", "precision"
    )
    caption = f"Of what is stopped, how much was bad. Average precision: {means}."
    return Figure("Precision against recall", plots.line_chart(chart, lines), caption)


def _steps(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return a precision-recall curve as the steps that average precision adds up.

    Between two thresholds there is nothing to draw a slope through: a straight line would flatter coarse scores.

    Source: Davis and Goadrich, The Relationship Between Precision-Recall and ROC Curves, 2006, section 4.
    """
    return [
        corner
        for (before, _), (recall, precision) in pairwise(points)
        for corner in ((before, precision), (recall, precision))
    ]


def _over_time(report: Report) -> Figure | None:
    buckets = report.series.decisions_over_time
    if not buckets:
        return None
    moments = [wording.moment(bucket.start_s, has_clock=report.run.has_clock) for bucket in buckets]
    labels = [text[5:10] for text in moments] if report.run.has_clock else [text[4:] for text in moments]
    groups = [
        Group("granted", "blue", [bucket.granted for bucket in buckets]),
        Group("escalated", "amber", [bucket.escalated for bucket in buckets]),
        Group("denied", "orange", [bucket.denied for bucket in buckets]),
    ]
    bad = Group("truly bad", "ink", [bucket.bad for bucket in buckets])
    text = f"{sum(b.granted for b in buckets):,} granted, {sum(b.escalated for b in buckets):,} escalated, "
    text += f"{sum(b.denied for b in buckets):,} denied over {len(buckets)} intervals."
    unit = "day" if report.run.has_clock else "first row"
    chart = Chart("over-time", "Decisions over time", text, unit, "requests")
    columns = [(group.name, list(group.values)) for group in (*groups, bad)]
    columns.append(("revoked", [bucket.revoked for bucket in buckets]))
    caption = "Requests by verdict. The short line is how many of them were bad by their labels."
    svg = plots.stacked_columns(chart, labels, groups, overlay=bad if sum(b.bad for b in buckets) else None)
    return Figure("Decisions over time", svg, caption, _counts(unit, moments, columns))


def _histogram(
    title: str, histogram: Histogram | None, names: tuple[str, str], written: Callable[[float], str], caption: str
) -> Figure | None:
    if histogram is None or not sum(histogram.counts):
        return None
    last = max(i for i, number in enumerate(histogram.counts) if number)
    edges, counts = histogram.edges[: last + 2], histogram.counts[: last + 1]
    whole = all(edge == int(edge) for edge in edges) and all(b - a == 1 for a, b in pairwise(edges))
    texts = [written(edge) for edge in edges]
    spans = texts[:-1] if whole else [f"{low} to {high}" for low, high in pairwise(texts)]
    text = "; ".join(f"{span}: {count:,}" for span, count in zip(spans, counts, strict=True) if count)
    chart = Chart(title.lower().replace(" ", "-"), title, text, *names)
    svg = plots.stacked_columns(chart, spans, [Group(names[1], "teal", counts)], edges=() if whole else texts)
    return Figure(title, svg, caption, _counts(names[0], spans, [(names[1], counts)]))


def _counts(first: str, labels: Sequence[str], columns: Sequence[tuple[str, Sequence[float | None]]]) -> Table:
    rows = [
        (label, *(wording.count(values[i]) for _, values in columns))
        for i, label in enumerate(labels)
        if any(values[i] for _, values in columns)
    ]
    head = (first, *(name for name, _ in columns))
    return Table("Figures of the plot", head, rows, frozenset(range(1, len(head))))


def _described(
    what: str,
    names: Sequence[str],
    values: Sequence[float | None],
    written: Callable[[float | None], str] = wording.count,
) -> str:
    return what + ": " + "; ".join(f"{name} {written(value)}" for name, value in zip(names, values, strict=True)) + "."
