"""The page of the studies: each with its figures, its plots and what must be known to judge them.

Layer: app. Not here: measuring (``chainsec.evaluation``), drawing (``plots``), shared markup (``markup``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chainsec import __version__
from chainsec.app import plots
from chainsec.app.markup import page, section
from chainsec.app.model_tables import tabulate_outcome
from chainsec.app.plots import Chart, Line
from chainsec.app.report_charts import Figure
from chainsec.app.table import Table
from chainsec.app.wording import escape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chainsec.evaluation.outcome import Outcome, Plot

__all__ = ["draw_page"]

_COLOURS = ("blue", "orange", "teal", "amber", "grey")
_MOST_LINES = len(_COLOURS)
_ADDED = {"roc": ": caught against refused", "calibration": ": what a score means"}
_LONG = 60
"""Characters that the names of a chart's lines may have together, so that they fit beside its title."""


def draw_page(outcomes: Sequence[Outcome]) -> str:
    """Return the studies as a self-contained page, the same text for equal outcomes."""
    return page("ChainSec: the agent's judgement", _header(outcomes), [_study(o) for o in outcomes], _footer(outcomes))


def _header(outcomes: Sequence[Outcome]) -> str:
    asked = [figure for outcome in outcomes for figure in outcome.figures if figure.asked is not None]
    reached = sum(bool(figure.is_reached) for figure in asked)
    return (
        f'<header>\n<p class="brand">ChainSec {escape(__version__)}: models on public data</p>\n'
        f"<h1>{reached} of {len(asked)} figures are as good as asked.</h1>\n</header>"
    )


def _study(outcome: Outcome) -> str:
    found = tabulate_outcome(outcome)
    parts = [part for plot in outcome.plots for part in _split(plot)]
    names = list(dict.fromkeys(line.name for plot in parts for line in plot.lines))
    colour_of = dict(zip(names, _COLOURS, strict=False)) if len(names) <= _MOST_LINES else {}
    drawn = [_draw(plot, f"{outcome.study}-{number}", colour_of) for number, plot in enumerate(parts)]
    return section(outcome.study, "", drawn, [found])


def _split(plot: Plot) -> list[Plot]:
    """Return a plot as several of which each has a colour for every line."""
    return [
        replace(plot, lines=plot.lines[first : first + _MOST_LINES]) for first in range(0, len(plot.lines), _MOST_LINES)
    ]


def _draw(plot: Plot, name: str, colour_of: Mapping[str, str]) -> Figure:
    """Return a plot's picture; a line has its colour by its name, else by its place."""
    lines = [
        Line(line.name, colour_of.get(line.name, colour), [*zip(line.xs, line.ys, strict=True)])
        for line, colour in zip(plot.lines, _COLOURS, strict=False)
    ]
    title = f"{plot.title}{_ADDED.get(plot.kind, '')}"
    is_square = plot.kind in {"roc", "calibration"}
    chart = Chart(name, title, ", ".join(line.name for line in lines), plot.x_label, plot.y_label)
    # the name of the upright axis stands where a long legend would
    fits = sum(len(line.name) + 4 for line in lines) + len(plot.y_label) <= _LONG
    svg = plots.line_chart(
        chart,
        lines,
        diagonal=is_square,
        x_axis=None if is_square else plots.fit_axis([x for line in lines for x, _ in line.points]),
        y_axis=None if is_square else plots.fit_axis([y for line in lines for _, y in line.points]),
        has_legend=fits,
    )
    caption = "" if fits else "; ".join(f"{line.colour}: {line.name}" for line in lines)
    return Figure(title, svg, caption, _figures(plot))


def _figures(plot: Plot) -> Table:
    rows = [(line.name, f"{x:.4g}", f"{y:.4g}") for line in plot.lines for x, y in zip(line.xs, line.ys, strict=True)]
    return Table(plot.title, ("line", plot.x_label, plot.y_label), rows, frozenset({1, 2}))


def _footer(outcomes: Sequence[Outcome]) -> str:
    names = " ".join(outcome.study for outcome in outcomes)
    seed = outcomes[0].seed if outcomes else 0
    return f"<footer><p>chainsec model evaluate {escape(names, 300)} --seed {seed}</p></footer>"
