"""Charts of a network's run as SVG text: rounds of every validator, finality over time, who sent how much to whom.

What cannot be seen is not drawn: neighbours that share a pixel become one mark, which keeps the highest round.
Layer: app. Not here: markup around a chart (``markup``), what else the page says (``network_html``).
"""

from __future__ import annotations

from collections import defaultdict
from math import log10
from typing import TYPE_CHECKING

from chainsec.app.plots import nice_ticks
from chainsec.app.wording import amount, count, escape

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainsec.network.report_schema import RoundSpan, VariantReport

__all__ = ["finality_chart", "merge_spans", "message_matrix", "round_timeline"]

_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 1072, 84, 26, 34, 34
_PLOT = _WIDTH - _LEFT - _RIGHT
_HIGHEST_COLOUR = 5
_LABELLED_NODES = 24
_WRITTEN_CELLS = 16
_MOST_MARKS = 24
_MARKED = {
    "crash",
    "restart",
    "wiped",
    "partition",
    "healed",
    "vote",
    "disagreement",
    "links",
    "clock",
    "speed",
    "alert",
}


def merge_spans(spans: Sequence[RoundSpan], node: int, pixel_s: float) -> list[tuple[float, float, int]]:
    """Return when a node was in which round, as far as it can be seen: begin, end, round.

    Spans of one round that touch become one; within ``pixel_s`` the highest round stands for all.

    >>> from chainsec.network.report_schema import RoundSpan
    >>> spans = [RoundSpan(node=0, start_s=s, end_s=s + 1, height=1, round=0, ends_final=True) for s in (0, 1)]
    >>> merge_spans(spans, 0, 0.1)
    [(0.0, 2.0, 0)]
    """
    merged: list[tuple[float, float, int]] = []
    for span in spans:
        if span.node != node:
            continue
        if merged:
            begin, end, round_ = merged[-1]
            if span.start_s - end < pixel_s and (round_ == span.round or span.end_s - begin < pixel_s):
                merged[-1] = (begin, span.end_s, max(round_, span.round))
                continue
        merged.append((span.start_s, span.end_s, span.round))
    return merged


def round_timeline(variant: VariantReport, name: str, duration_s: float) -> str:
    """Draw a lane for each node: which round it was in, and what befell it."""
    nodes = len(variant.nodes)
    lane = 26 if nodes <= 12 else 14 if nodes <= 40 else 7  # noqa: PLR2004 - as many lanes as a page bears
    height = _TOP + nodes * lane + _BOTTOM
    x_of = _scale(duration_s)
    parts = [_time_axis(x_of, duration_s, height)]
    for node in variant.nodes:
        number = int(node.name.rpartition("-")[2])
        y = _TOP + number * lane
        parts.append(f'<path class="down" d="M{_LEFT} {y + lane / 2:.1f}H{_WIDTH - _RIGHT}"/>')
        if _has_label(number, nodes):
            parts.append(_text(_LEFT - 8, y + lane / 2 + 4, node.name, "end"))
        for begin, end, round_ in merge_spans(variant.spans, number, duration_s / _PLOT):
            width = max(0.8, x_of(end) - x_of(begin))
            tip = f"{node.name}: round {round_}, {begin:.1f} to {end:.1f} s"
            parts.append(
                f'<rect class="r{min(round_, _HIGHEST_COLOUR)}" x="{x_of(begin):.1f}" y="{y + 1}" '
                f'width="{width:.1f}" height="{lane - 2}"><title>{escape(tip)}</title></rect>'
            )
    parts += _incident_marks(variant, x_of, height)
    legend = [
        (f"round {number}" + (" and more" if number == _HIGHEST_COLOUR else ""), f"r{number}") for number in range(6)
    ]
    what = f"Rounds of {nodes} nodes over {duration_s:.0f} s; blocks by round: {_rounds(variant)}."
    return _svg(f"{name}-rounds", f"Rounds: {variant.name}", what, height, [*parts, _legend(legend)])


def finality_chart(variant: VariantReport, name: str, duration_s: float) -> str:
    """Draw for every block how long after it was due the first and the last node had it; on a logarithmic scale."""
    height = 300
    x_of = _scale(duration_s)
    low, high = 0.01, max([1.0, *(block.last_s - block.due_s for block in variant.blocks)]) * 1.2

    def y_of(seconds: float) -> float:
        share = (log10(max(seconds, low)) - log10(low)) / (log10(high) - log10(low))
        return height - _BOTTOM - share * (height - _BOTTOM - _TOP)

    parts = [_time_axis(x_of, duration_s, height)]
    tick = low
    while tick <= high:
        parts.append(f'<path class="grid" d="M{_LEFT} {y_of(tick):.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(_text(_LEFT - 8, y_of(tick) + 4, f"{amount(tick)} s", "end"))
        tick *= 10
    columns: dict[int, list[tuple[float, float, int, str]]] = defaultdict(list)
    for block in variant.blocks:
        first, last = block.first_s - block.due_s, block.last_s - block.due_s
        tip = f"block {block.height}, round {block.round}: first node {first:.2f} s, last {last:.2f} s after it was due"
        columns[round(x_of(block.first_s))].append((first, last, block.round, tip))
    for x, found in columns.items():
        first, last = min(item[0] for item in found), max(item[1] for item in found)
        _, _, round_, tip = max(found, key=lambda item: (item[2], item[1]))
        parts.append(f'<path class="span" d="M{x} {y_of(first):.1f}V{y_of(last):.1f}"/>')
        parts.append(
            f'<rect class="r{min(round_, _HIGHEST_COLOUR)}" x="{x - 1.5}" y="{y_of(last) - 3:.1f}" width="3" '
            f'height="6"><title>{escape(tip)}</title></rect>'
        )
    parts += _incident_marks(variant, x_of, height)
    spread = variant.agreement_s
    what = f"Due to final: median {amount(spread.p50)} s, 99 % within {amount(spread.p99)} s."
    return _svg(f"{name}-finality", f"Finality: {variant.name}", what, height, parts)


def message_matrix(variant: VariantReport, name: str) -> str:
    """Draw how many messages each node sent to each: the more, the darker."""
    nodes = len(variant.nodes)
    cell = min(40.0, (_WIDTH - _LEFT - 400) / nodes)
    high = max((value for row in variant.message_matrix for value in row), default=0) or 1
    height = _TOP + nodes * cell + 12
    parts = []
    for sender, row in enumerate(variant.message_matrix):
        y = _TOP + sender * cell
        if _has_label(sender, nodes):
            parts.append(_text(_LEFT - 8, y + cell / 2 + 4, f"node-{sender}", "end"))
            parts.append(_text(_LEFT + (sender + 0.5) * cell, _TOP - 6, str(sender), "middle"))
        for receiver, value in enumerate(row):
            x = _LEFT + receiver * cell
            tip = f"node-{sender} to node-{receiver}: {count(value)} messages"
            shade = 0.08 + 0.72 * value / high if value else 0
            parts.append(
                f'<rect class="heat" fill-opacity="{shade:.2f}" x="{x:.1f}" y="{y:.1f}" width="{cell - 1:.1f}" '
                f'height="{cell - 1:.1f}"><title>{escape(tip)}</title></rect>'
            )
            if nodes <= _WRITTEN_CELLS and value:
                shown = f"{value / 1_000:.1f}k" if value >= 10_000 else str(value)  # noqa: PLR2004 - what fits a cell
                parts.append(_text(x + cell / 2, y + cell / 2 + 4, shown, "middle", "value"))
    what = f"Messages from each node (row) to each (column); the most on one path are {count(high)}."
    return _svg(f"{name}-messages", f"Messages: {variant.name}", what, height, parts)


def _has_label(number: int, nodes: int) -> bool:
    """Tell whether there is room for a node's name: of many nodes every second one has it, or every third."""
    return number % -(-nodes // _LABELLED_NODES) == 0


def _rounds(variant: VariantReport) -> str:
    return ", ".join(f"{blocks} in round {number}" for number, blocks in variant.rounds.items()) or "none"


def _scale(duration_s: float) -> Callable[[float], float]:
    return lambda time_s: _LEFT + _PLOT * time_s / duration_s


def _time_axis(x_of: Callable[[float], float], duration_s: float, height: float) -> str:
    parts = [f'<path class="axis" d="M{_LEFT} {height - _BOTTOM}H{_WIDTH - _RIGHT}"/>']
    ticks = [tick for tick in nice_ticks(duration_s, 10) if tick <= duration_s]
    parts += [_text(x_of(tick), height - _BOTTOM + 16, f"{tick:g} s", "middle") for tick in ticks]
    return "".join(parts)


def _incident_marks(variant: VariantReport, x_of: Callable[[float], float], height: float) -> list[str]:
    parts, written_to = [], 0.0
    for incident in [found for found in variant.incidents if found.event in _MARKED][:_MOST_MARKS]:
        x = x_of(incident.time_s)
        tip = f"{incident.time_s:.1f} s, node-{incident.node}: {incident.event} {incident.detail}"
        place = f'd="M{x:.1f} {_TOP - 4}V{height - _BOTTOM}"'
        parts.append(f'<path class="incident" {place}><title>{escape(tip)}</title></path>')
        if x >= written_to:
            parts.append(_text(x + 3, _TOP - 8, incident.event, "start", "incident-label"))
            written_to = x + 8 + 6.2 * len(incident.event)
    return parts


def _legend(entries: Sequence[tuple[str, str]]) -> str:
    parts, x = [], float(_LEFT)
    for name, colour in entries:
        parts.append(f'<rect class="{colour}" x="{x:.1f}" y="2" width="10" height="10" rx="2"/>')
        parts.append(_text(x + 14, 11, name, "start"))
        x += 34 + 6.6 * len(name)
    return "".join(parts)


def _text(x: float, y: float, text: str, anchor: str, name: str = "") -> str:
    kind = f' class="{name}"' if name else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{escape(text, 60)}</text>'


def _svg(name: str, title: str, description: str, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-labelledby="{name}-t {name}-d">'
        f'<title id="{name}-t">{escape(title)}</title><desc id="{name}-d">{escape(description, 1000)}</desc>'
        f"{''.join(parts)}</svg>"
    )
