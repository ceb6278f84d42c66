"""Shows what studies found: a table in the terminal, figures in a file, plots on a page.

Layer: app. Not here: measuring (``chainsec.evaluation``), drawing (``model_page``).
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from chainsec import __version__
from chainsec.app.table import Table
from chainsec.app.terminal import lay_out
from chainsec.app.wording import visible_text
from chainsec.digest import canonical_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainsec.evaluation.catalogue import Entry, PassedOver
    from chainsec.evaluation.outcome import Figure, Outcome

__all__ = ["outcomes_json", "show_outcomes", "show_studies", "tabulate_outcome"]

FORMAT = 1
_LONGEST = 1_000


def show_studies(entries: Sequence[Entry]) -> None:
    """List studies: name, what is judged, which data they read."""
    for entry in entries:
        reads = f"reads {entry.reads}" if entry.reads else "reads nothing, draws its own data"
        typer.echo(f"{entry.name}: {entry.load().title}; {reads}")


def show_outcomes(outcomes: Sequence[Outcome], passed_over: Sequence[PassedOver]) -> None:
    """Print a table for each study, what was passed over, and what is not as good as asked."""
    console = Console(highlight=False)
    for outcome in outcomes:
        found = tabulate_outcome(outcome)
        console.print(lay_out(found, console.width, longest=_LONGEST))
        console.print(visible_text(found.note, 4 * _LONGEST))
        console.print()
    for one in passed_over:
        typer.echo(f"{one.name}: passed over: {visible_text(one.reason, _LONGEST)}")
    missed = [
        f"{outcome.study}: {figure.metric}"
        for outcome in outcomes
        for figure in outcome.figures
        if figure.is_reached is False
    ]
    if missed:
        typer.echo(f"Not as good as asked: {'; '.join(missed)}")


def outcomes_json(outcomes: Sequence[Outcome], passed_over: Sequence[PassedOver], seed: int) -> bytes:
    """Return everything that was found as canonical JSON."""
    return canonical_json(
        {
            "format": FORMAT,
            "passed_over": {one.name: one.reason for one in passed_over},
            "seed": seed,
            "studies": [outcome.to_json() for outcome in outcomes],
            "version": __version__,
        }
    )


def tabulate_outcome(outcome: Outcome) -> Table:
    """Return a study's figures, and what must be known to judge them, as a table."""
    rows = [
        (
            figure.metric,
            figure_text(figure.ours),
            _interval(figure),
            _optional(figure.undefended),
            _asked(figure),
            f"{_optional(figure.published)} {figure.published_by}".strip(),
        )
        for figure in outcome.figures
    ]
    head = ("metric", "ours", "95 %", "without defence", "asked", "published")
    is_told = [at == 0 or any(row[at] for row in rows) for at in range(len(head))]
    told = [outcome.data, outcome.protocol, *outcome.notes, f"Seed {outcome.seed}, {outcome.seconds:.0f} s"]
    kept = [tuple(itertools.compress(row, is_told)) for row in (head, *rows)]
    numbers = frozenset(at for at, title in enumerate(kept[0]) if title in {"ours", "without defence"})
    return Table(
        outcome.study, kept[0], kept[1:], numbers, note=" ".join(f"{sentence.rstrip('.')}." for sentence in told)
    )


def figure_text(value: float) -> str:
    """Return a figure as people read it.

    >>> figure_text(0.91234), figure_text(58.04), figure_text(1234.5)
    ('0.912', '58.0', '1,234')
    """
    if abs(value) < 10:  # noqa: PLR2004 - rates and the like
        return f"{value:.3f}"
    return f"{value:,.1f}" if abs(value) < 1_000 else f"{value:,.0f}"  # noqa: PLR2004 - thousands need no decimals


def _interval(figure: Figure) -> str:
    if figure.low is None or figure.high is None:
        return ""
    return f"{figure_text(figure.low)} to {figure_text(figure.high)}"


def _optional(value: float | None) -> str:
    return "" if value is None else figure_text(value)


def _asked(figure: Figure) -> str:
    if figure.asked is None:
        return ""
    side = "\u2264" if figure.lower_is_better else "\u2265"
    ends = " by the whole interval," if figure.is_sure else ""
    return f"{side} {figure_text(figure.asked)}{ends} {'reached' if figure.is_reached else 'missed'}"
