"""Small charts as SVG text: columns, bars, lines, mirrored histograms. No script, no font, no address.

Colours are class names that the page's style sheet defines, so that dark mode and print can change them.
Every mark carries its figures as a tooltip, every chart a title and a description. Layer: app. Not here:
what is worth plotting (``report_html``).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, isfinite, log10, sqrt
from typing import TYPE_CHECKING

from chainsec.app.wording import escape, rate, short_count

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WIDTH = 460
HEIGHT = 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 30, 42
_CHAR_WIDTH = 6.6
_ROW_HEIGHT, _LABEL_WIDTH, _VALUE_WIDTH = 30, 164, 62
_LABEL_CHARS = 24
_SHARE_TICKS = (0.0, 0.01, 0.1, 0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Group:
    """One set of marks that share a colour: ``values`` in the order of the chart's labels."""

    name: str
    colour: str
    values: Sequence[float | None]


@dataclass(frozen=True)
class Line:
    """A curve through ``points`` (x, y), both in [0, 1]; ``marks`` are single points on it, with a tooltip."""

    name: str
    colour: str
    points: Sequence[tuple[float, float]]
    marks: Sequence[tuple[float, float, str]] = ()


@dataclass(frozen=True)
class Chart:
    """What every chart has: an identifier unique on the page, a title, a description and axis names."""

    id: str
    title: str
    description: str
    x_name: str = ""
    y_name: str = ""


@dataclass(frozen=True)
class Axis:
    """Where an axis begins and ends, where its ticks stand, and how they are written."""

    ticks: Sequence[float]
    written: Callable[[float], str]

    @property
    def ends(self) -> tuple[float, float]:
        """The lowest and the highest tick."""
        return self.ticks[0], self.ticks[-1]


def nice_ticks(high: float, limit: int = 5, *, is_count: bool = False) -> list[float]:
    """Return at most ``limit + 1`` round values from 0 that cover ``high``, whole ones where things are counted.

    >>> nice_ticks(7.3), nice_ticks(0)
    ([0.0, 2.0, 4.0, 6.0, 8.0], [0.0, 1.0])
    >>> nice_ticks(2), nice_ticks(2, is_count=True)
    ([0.0, 0.5, 1.0, 1.5, 2.0], [0.0, 1.0, 2.0])
    """
    if high <= 0 or not isfinite(high):
        return [0.0, 1.0]
    raw = max(1.0, high / limit) if is_count else high / limit
    power = 10.0 ** floor(log10(raw))
    factors = (1, 2, 5, 10) if is_count else (1, 2, 2.5, 5, 10)
    step = next(factor * power for factor in factors if factor * power >= raw * (1 - 1e-9))
    return [float(f"{step * i:.12g}") for i in range(ceil(high / step - 1e-9) + 1)]


def fit_axis(values: Sequence[float]) -> Axis:
    """Return an axis of plain figures over ``values``, with 0 on it.

    >>> fit_axis([3.0, 7.3]).ticks, fit_axis([-1.0, 1.0]).ticks
    ([0.0, 2.0, 4.0, 6.0, 8.0], [-1.0, -0.5, 0.0, 0.5, 1.0])
    """
    high, low = max(values, default=0.0), min(values, default=0.0)
    if low >= 0:
        return Axis(nice_ticks(high), short_count)
    step = nice_ticks(max(high, -low), 2)[1]
    below, above = ceil(-low / step - 1e-9), max(1, ceil(high / step - 1e-9))
    return Axis([float(f"{step * i:.12g}") for i in range(-below, above + 1)], short_count)


def line_chart(
    chart: Chart,
    lines: Sequence[Line],
    *,
    diagonal: bool = False,
    x_axis: Axis | None = None,
    y_axis: Axis | None = None,
    has_legend: bool = True,
) -> str:
    """Draw curves; ``diagonal`` adds the line of pure chance.

    Args:
        chart: title and axis names.
        lines: what is drawn, the first on top.
        diagonal: whether to draw the line from the origin to the opposite corner.
        x_axis: from 0 to 100 % where it is omitted.
        y_axis: from 0 to 100 % where it is omitted.
        has_legend: whether names and colours stand above the chart.
    """
    across, up = x_axis or _UNIT, y_axis or _UNIT
    x_of, y_of = _scale(*across.ends, _LEFT, WIDTH - _RIGHT), _scale(*up.ends, HEIGHT - _BOTTOM, _TOP)
    parts = [_y_axis(chart, up.ticks, y_of, up.written)]
    parts += [_text(x_of(tick), HEIGHT - _BOTTOM + 16, across.written(tick), "middle") for tick in across.ticks]
    if diagonal:
        parts.append(f'<path class="chance" d="M{_n(x_of(0))} {_n(y_of(0))}L{_n(x_of(1))} {_n(y_of(1))}"/>')
    for line in reversed(lines):
        thinned = _thin([(x_of(x), y_of(y)) for x, y in line.points])
        path = "L".join(f"{_n(x)} {_n(y)}" for x, y in thinned)
        parts.append(f'<path class="line {line.colour}" d="M{path}"><title>{escape(line.name)}</title></path>')
        for x, y, label in line.marks:
            parts.append(
                f'<circle class="dot {line.colour}" cx="{_n(x_of(x))}" cy="{_n(y_of(y))}" r="5">'
                f"<title>{escape(label)}</title></circle>"
            )
    legend = [_legend([(line.name, line.colour) for line in lines])] if has_legend else []
    return _svg(chart, HEIGHT, [*parts, *legend])


def stacked_columns(
    chart: Chart,
    labels: Sequence[str],
    groups: Sequence[Group],
    *,
    edges: Sequence[str] = (),
    overlay: Group | None = None,
) -> str:
    """Draw one column per label, the groups on top of each other.

    Args:
        chart: title and axis names.
        labels: what each column is, for its tooltip and, where there is room, the axis.
        groups: one value per label each.
        edges: texts for the boundaries between columns, one more than ``labels``; replaces labels on the axis.
        overlay: further values, drawn as a short line across the column.
    """
    totals = [sum(group.values[i] or 0 for group in groups) for i in range(len(labels))]
    tops = totals + [value or 0 for value in (overlay.values if overlay else ())]
    ticks = nice_ticks(max(tops, default=0), is_count=True)
    y_of = _scale(0, ticks[-1], HEIGHT - _BOTTOM, _TOP)
    step = (WIDTH - _LEFT - _RIGHT) / max(1, len(labels))
    gap = min(4.0, 0.2 * step)
    parts = [_y_axis(chart, ticks, y_of, short_count)]
    for i, label in enumerate(labels):
        x, base = _LEFT + i * step + gap / 2, 0.0
        for group in groups:
            value = group.values[i] or 0
            if value:
                tip = f"{label}: {value:,.0f} {group.name}"
                parts.append(
                    _rect(
                        x, y_of(base + value), step - gap, y_of(base) - y_of(base + value), colour=group.colour, tip=tip
                    )
                )
            base += value
        extra = overlay.values[i] if overlay else None
        if overlay and extra:
            y, tip = _n(y_of(extra)), escape(f"{label}: {extra:,.0f} {overlay.name}")
            place = f'd="M{_n(x - gap / 2)} {y}h{_n(step)}"'
            parts.append(f'<path class="tick-mark {overlay.colour}" {place}><title>{tip}</title></path>')
    places = edges or labels
    every = max(1, ceil(len(places) * (max(map(len, places), default=1) + 1.5) * _CHAR_WIDTH / (WIDTH - _LEFT)))
    for i in range(0, len(places), every):
        x = _LEFT + i * step + (0 if edges else step / 2)
        parts.append(_text(x, HEIGHT - _BOTTOM + 16, places[i], "middle"))
    shown = [*groups, overlay] if overlay else list(groups)
    legend = _legend([(group.name, group.colour) for group in shown]) if len(shown) > 1 else ""
    return _svg(chart, HEIGHT, [*parts, legend])


def mirrored_histogram(
    chart: Chart, edges: Sequence[float], up: Group, down: Group, marks: Sequence[tuple[str, float]] = ()
) -> str:
    """Draw two distributions over one axis, one upwards, one downwards, each as shares of its own total.

    Heights go with the square root of the share, so that a class's few odd ones out can be seen beside its bulk.

    Args:
        chart: title and axis names.
        edges: ascending bin edges within [0, 1].
        up: counts drawn upwards.
        down: counts drawn downwards.
        marks: named places on the axis, drawn as dashed lines.
    """
    shares = [
        [(value or 0) / (sum(v or 0 for v in group.values) or 1) for value in group.values] for group in (up, down)
    ]
    high = max(*shares[0], *shares[1], 0.01)
    ticks = [tick for tick in _SHARE_TICKS if tick <= high] or [0.0]
    middle = (_TOP + HEIGHT - _BOTTOM) / 2
    x_of = _scale(0, 1, _LEFT, WIDTH - _RIGHT)
    linear = (_scale(0, sqrt(high), middle, _TOP), _scale(0, sqrt(high), middle, HEIGHT - _BOTTOM))
    sides: list[Callable[[float], float]] = [lambda share, to=to: to(sqrt(share)) for to in linear]  # type: ignore[misc] # bound early
    parts = [_y_axis(chart, ticks, sides[0], _percent), _y_axis(Chart("", "", ""), ticks[1:], sides[1], _percent)]
    for group, side, y_of in zip((up, down), shares, sides, strict=True):
        for i, share in enumerate(side):
            if share:
                x, width = x_of(edges[i]), x_of(edges[i + 1]) - x_of(edges[i])
                y = min(y_of(0), y_of(share))
                tip = f"score {edges[i]:.3g} to {edges[i + 1]:.3g}: {group.values[i]:,} {group.name}, {rate(share)}"
                parts.append(
                    _rect(x + 0.5, y, max(0.5, width - 1), abs(y_of(share) - y_of(0)), colour=group.colour, tip=tip)
                )
    parts += [_text(x_of(i / 5), HEIGHT - _BOTTOM + 16, f"{i / 5:.1f}", "middle") for i in range(6)]
    for name, score in marks:
        x, anchor = x_of(score), "end" if score > 0.5 else "start"  # noqa: PLR2004 - the label stays inside
        parts.append(f'<path class="mark" d="M{_n(x)} {_TOP}V{HEIGHT - _BOTTOM}"/>')
        parts.append(_text(x + (-4 if anchor == "end" else 4), HEIGHT - _BOTTOM - 5, name, anchor, "mark-label"))
    return _svg(chart, HEIGHT, [*parts, _legend([(up.name, up.colour), (down.name, down.colour)])])


def bars(
    chart: Chart,
    labels: Sequence[str],
    groups: Sequence[Group],
    written: Callable[[float], str],
    high: float | None = None,
) -> str:
    """Draw horizontal bars, one row per label, the groups below each other, each value written at its end.

    Args:
        chart: title; the axis needs no name, values are written out.
        labels: names of the rows.
        groups: one value per label each; None leaves a gap and says so.
        written: how a value is shown.
        high: end of the axis, the highest value unless told.
    """
    row = _ROW_HEIGHT + 12 * (len(groups) - 1)
    top = _TOP if len(groups) > 1 else 8
    height = top + row * len(labels) + 8
    ends = [value for group in groups for value in group.values if value is not None]
    x_of = _scale(0, high or max(ends, default=1) or 1, _LABEL_WIDTH, WIDTH - _VALUE_WIDTH)
    thick = (row - 10) / len(groups)
    parts = [f'<path class="axis" d="M{_LABEL_WIDTH} {top}V{height - 8}"/>']
    for i, label in enumerate(labels):
        y = top + i * row + 5
        parts.append(_text(_LABEL_WIDTH - 8, y + (row - 10) / 2 + 4, label, "end", limit=_LABEL_CHARS))
        for j, group in enumerate(groups):
            value, bar_y = group.values[i], y + j * thick
            text = "n/a" if value is None else written(value)
            tip = f"{label}, {group.name}: {text}"
            parts.append(
                _rect(_LABEL_WIDTH, bar_y + 1, x_of(value or 0) - _LABEL_WIDTH, thick - 2, colour=group.colour, tip=tip)
            )
            parts.append(_text(x_of(value or 0) + 5, bar_y + thick / 2 + 4, text, "start", "value"))
    legend = _legend([(group.name, group.colour) for group in groups]) if len(groups) > 1 else ""
    return _svg(chart, height, [*parts, legend])


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _percent(value: float) -> str:
    return f"{100 * value:.3g} %"


_UNIT = Axis([i / 5 for i in range(6)], _percent)


def _text(x: float, y: float, text: str, anchor: str, name: str = "", *, limit: int = 60) -> str:
    kind = f' class="{name}"' if name else ""
    return f'<text x="{_n(x)}" y="{_n(y)}" text-anchor="{anchor}"{kind}>{escape(text, limit)}</text>'


def _rect(x: float, y: float, width: float, height: float, *, colour: str, tip: str) -> str:
    box = f'x="{_n(x)}" y="{_n(y)}" width="{_n(max(width, 0))}" height="{_n(max(height, 0))}"'
    return f'<rect class="{colour}" {box}><title>{escape(tip)}</title></rect>'


def _y_axis(
    chart: Chart, ticks: Sequence[float], y_of: Callable[[float], float], written: Callable[[float], str]
) -> str:
    parts = []
    for tick in ticks:
        y = y_of(tick)
        kind = "axis" if tick == 0 else "grid"
        parts.append(f'<path class="{kind}" d="M{_LEFT} {_n(y)}H{WIDTH - _RIGHT}"/>')
        parts.append(_text(_LEFT - 6, y + 4, written(tick), "end"))
    if chart.x_name:
        parts.append(_text((_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 6, chart.x_name, "middle", "axis-name"))
    if chart.y_name:
        parts.append(_text(0, 11, chart.y_name, "start", "axis-name"))
    return "".join(parts)


def _legend(entries: Sequence[tuple[str, str]]) -> str:
    parts, x = [], float(WIDTH - _RIGHT)
    for name, colour in reversed(entries):
        x -= len(name) * _CHAR_WIDTH
        parts.append(_text(x, 11, name, "start"))
        parts.append(f'<rect class="{colour}" x="{_n(x - 15)}" y="2" width="10" height="10" rx="2"/>')
        x -= 28
    return "".join(parts)


def _thin(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Drop points that lie within half a unit of the last one kept; the ends stay."""
    kept = list(points[:1])
    for x, y in points[1:-1]:
        if abs(x - kept[-1][0]) >= 0.5 or abs(y - kept[-1][1]) >= 0.5:  # noqa: PLR2004 - half a pixel at width 460
            kept.append((x, y))
    return kept + list(points[1:][-1:])


def _svg(chart: Chart, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {_n(height)}" role="img" aria-labelledby="{chart.id}-t {chart.id}-d">'
        f'<title id="{chart.id}-t">{escape(chart.title)}</title>'
        f'<desc id="{chart.id}-d">{escape(chart.description, 1000)}</desc>{"".join(parts)}</svg>'
    )
