"""A run on the terminal: bars and counters while it is on, on standard error; tables at its end, on standard output.

Where standard error is no terminal, or colour is unwanted (``NO_COLOR``), plain lines take the place of the bars. A
figure that does not fit is left out whole, never cut. Layer: app. Not here: what the tables say (``report_tables``).
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table as Grid
from rich.text import Text

from chainsec.app import findings, report_tables, wording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import ConsoleOptions, RenderResult

    from chainsec.app.table import Table
    from chainsec.scenarios.play import Score
    from chainsec.scenarios.report_schema import Report

LIVE = "live"
_EARLIEST_CLOCK_S = 100_000_000
"""Below this, before March 1973, a time is a row number: no log of access requests is that old."""
_NAME_WIDTH, _TIME_WIDTH, _WIDEST_BAR, _SMALLEST_BAR, _GAP = 8, 5, 40, 6, 2
_NARROWEST_NAME = 14
_LINE_INTERVAL_S = 1.0
_REFRESH_PER_S = 8


class Progress(Protocol):
    """What a run tells; see ``chainsec.scenarios.run.Watcher``."""

    def on_step(self, step: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` parts of a step are finished."""

    def on_score(self, score: Score, live: int, blocks: int, gas: int) -> None:
        """Show the counters of the live part: ``live`` requests in all, ``blocks`` mined, ``gas`` used."""


@contextmanager
def open_progress(name: str, *, is_quiet: bool = False) -> Iterator[Progress]:
    """Show how a run proceeds until the block is left, on standard error.

    Args:
        name: what the run is called.
        is_quiet: show nothing.

    Example:
        >>> with open_progress("hospital", is_quiet=True) as progress:
        ...     progress.on_step("members", 60, 60)
    """
    if is_quiet:
        yield Silence()
        return
    console = Console(stderr=True, highlight=False)
    if is_animated(console):
        bars = Bars(name)
        with Live(bars, console=console, refresh_per_second=_REFRESH_PER_S, redirect_stdout=False):
            yield bars
        return
    width = console.width if console.is_terminal else None
    lines = Lines(name, lambda line: print(line, file=sys.stderr, flush=True), width=width)  # noqa: T201 - its task
    try:
        yield lines
    finally:
        lines.close()


def is_animated(console: Console) -> bool:
    """Tell whether bars may move: a terminal that understands it, and a user who has not asked for plain text."""
    return console.is_terminal and not console.is_dumb_terminal and not os.environ.get("NO_COLOR")


def join_fitting(items: Sequence[str], width: int | None, separator: str = "  ") -> str:
    """Return as many leading ``items`` as fit into ``width`` cells, all where it is None; none is ever cut.

    >>> join_fitting(["1,512 granted", "61 escalated", "90 denied"], 30)
    '1,512 granted  61 escalated'
    """
    line = ""
    for item in items:
        longer = f"{line}{separator}{item}" if line else item
        if width is not None and cell_len(longer) > width:
            break
        line = longer
    return line


@dataclass
class Phase:
    """One step of a run: ``done`` of ``total`` parts, when it began and when it was last heard of (seconds)."""

    name: str
    done: int
    total: int
    since_s: float
    seen_s: float

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return self.done >= self.total

    def count(self) -> str:
        """Return the parts done beside all of them."""
        return f"{self.done:,}/{self.total:,}"

    def elapsed(self, now_s: float) -> str:
        """Return for how long it ran, or has been running, as minutes and seconds."""
        seconds = int((self.seen_s if self.is_done else now_s) - self.since_s)
        return f"{seconds // 60}:{seconds % 60:02d}"


@dataclass
class Counters:
    """The counters of the live part, and the speed since they were first seen."""

    score: Score
    blocks: int
    gas: int
    decisions_per_s: float | None

    def verdicts(self) -> list[str]:
        """Return what became of the requests and grants, the most telling first."""
        score = self.score
        names = ("granted", "escalated", "denied", "revoked", "quarantined", "alerts", "uses")
        return [f"{getattr(score, name):,} {name}" for name in names]

    def pace(self) -> list[str]:
        """Return speed, simulated time and what stands on chain."""
        has_clock = self.score.time_s >= _EARLIEST_CLOCK_S
        speed = [] if self.decisions_per_s is None else [f"{wording.amount(self.decisions_per_s)} decisions/s"]
        moment = wording.moment(self.score.time_s, has_clock=has_clock)
        return [*speed, moment, f"{self.blocks:,} blocks", f"{wording.short_count(self.gas)} gas"]


class Silence:
    """Shows nothing."""

    def on_step(self, step: str, done: int, total: int) -> None:
        """Do nothing."""

    def on_score(self, score: Score, live: int, blocks: int, gas: int) -> None:
        """Do nothing."""


class Bars:
    """What has been told of a run, drawn as a bar for each phase and two lines of counters.

    Args:
        name: what the run is called.
        clock: seconds that never go back.
    """

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = wording.visible_text(name)
        self.phases: dict[str, Phase] = {}
        self.counters: Counters | None = None
        self._clock = clock
        self._first: tuple[float, int] | None = None

    def on_step(self, step: str, done: int, total: int) -> None:
        """Take note of a step."""
        now = self._clock()
        phase = self.phases.setdefault(step, Phase(step, done, total, now, now))
        phase.done, phase.total, phase.seen_s = done, total, now

    def on_score(self, score: Score, live: int, blocks: int, gas: int) -> None:
        """Take note of the counters."""
        self.on_step(LIVE, score.requests, live)
        now, decided = self._clock(), score.granted + score.escalated + score.denied
        self._first = self._first or (now, decided)
        since_s, before = self._first
        speed = (decided - before) / (now - since_s) if decided > before and now > since_s else None
        self.counters = Counters(replace(score), blocks, gas, speed)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw for the width that the terminal has now."""
        width, now = options.max_width, self._clock()
        yield Text(join_fitting(["ChainSec", self.name], width), style="bold")
        phases = list(self.phases.values())
        count_width = max((len(phase.count()) for phase in phases), default=0)
        for phase in phases:
            yield _draw_phase(phase, now, width, count_width)
        if self.counters is not None:
            yield Text(join_fitting(self.counters.verdicts(), width))
            yield Text(join_fitting(self.counters.pace(), width), style="dim")


class Lines(Bars):
    """The same as plain lines, for logs and pipes: at most one a second for each phase, and always its last.

    Args:
        name: what the run is called.
        write: takes a line.
        width: cells that a line may have, None for any number.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[str], object],
        *,
        width: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(name, clock)
        self._write, self._width = write, width
        self._current: Phase | None = None
        self._written_s = 0.0
        self._is_due = False

    def on_step(self, step: str, done: int, total: int) -> None:
        """Take note of a step; write of the step before it what is still unsaid."""
        if self._current is not None and self._current.name != step:
            self.close()
        super().on_step(step, done, total)
        if self._current is None:
            self._current, self._written_s = self.phases[step], self._clock()
        self._is_due = True
        if step != LIVE:
            self._write_at_times()

    def on_score(self, score: Score, live: int, blocks: int, gas: int) -> None:
        """Take note of the counters."""
        super().on_score(score, live, blocks, gas)
        self._write_at_times()

    def close(self) -> None:
        """Write what is still unsaid."""
        if self._is_due:
            self._write_line()
        self._current = None

    def _write_at_times(self) -> None:
        if self._clock() - self._written_s >= _LINE_INTERVAL_S:
            self._write_line()

    def _write_line(self) -> None:
        phase, now = self._current, self._clock()
        if phase is None:
            return
        items = [f"{self.name}: {phase.name} {phase.count()}", phase.elapsed(now)]
        if phase.name == LIVE and self.counters is not None:
            items += [*self.counters.verdicts()[:4], *self.counters.pace()]
        self._write(join_fitting(items, self._width, ", "))
        self._written_s, self._is_due = now, False


def show_report(report: Report, console: Console | None = None) -> None:
    """Print the finding and the tables of a run's end.

    Args:
        report: what came out.
        console: where to, standard output unless told.
    """
    console = console or Console(highlight=False)
    console.print(Text(wording.visible_text(findings.headline(report), 600), style="bold"))
    for table in report_tables.terminal_tables(report):
        if table.rows:
            console.print()
            console.print(lay_out(table, console.width))


def lay_out(table: Table, width: int, longest: int = 200) -> Grid:
    """Return ``table`` for a terminal of ``width`` cells; a cell's text is cut at ``longest`` characters.

    The first column gives way down to a few cells, names and prose are broken between words, then columns fall away
    from the right; figures are never cut.
    """
    rows = [[wording.visible_text(cell, longest) for cell in row] for row in (table.head, *table.rows)]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    shown = last = len(widths)
    if last - 1 not in table.numbers:
        widths[-1] = max(_NARROWEST_NAME, min(widths[-1], width - sum(_GAP + w for w in widths[:-1])))
    while shown > 1 and min(widths[0], _NARROWEST_NAME) + sum(_GAP + w for w in widths[1:shown]) > width:
        shown -= 1
    first = min(widths[0], width - sum(_GAP + w for w in widths[1:shown]))
    grid = Grid(
        title=Text(table.title, style="bold"),
        title_justify="left",
        box=None,
        padding=(0, _GAP, 0, 0),
        pad_edge=False,
        show_header=any(table.head),
        header_style="dim",
    )
    for i, size in enumerate([first, *widths[1:shown]]):
        side = "right" if i in table.numbers else "left"
        is_figure = i in table.numbers
        grid.add_column(Text(rows[0][i]), width=size, no_wrap=is_figure, overflow="ellipsis", justify=side)  # type: ignore[arg-type] # one of the two
    for row in rows[1:]:
        grid.add_row(*map(Text, row[:shown]))
    return grid


def _draw_phase(phase: Phase, now_s: float, width: int, count_width: int) -> Grid:
    """Return one line: name, bar, count, time; the bar goes first where there is no room, then the time."""
    count, elapsed = f"{phase.count():>{count_width}}", f"{phase.elapsed(now_s):>{_TIME_WIDTH}}"
    room = width - _NAME_WIDTH - count_width - _TIME_WIDTH - 3
    is_pulsing = phase.done == 0 and phase.total <= 1
    cells: list[Text | ProgressBar] = [Text(f"{wording.visible_text(phase.name)[:_NAME_WIDTH]:{_NAME_WIDTH}}")]
    if room >= _SMALLEST_BAR:
        bar = ProgressBar(
            total=max(phase.total, 1), completed=phase.done, width=min(room, _WIDEST_BAR), pulse=is_pulsing
        )
        cells.append(bar)
    cells.append(Text(count, no_wrap=True, overflow="crop"))
    if room >= 0:
        cells.append(Text(elapsed, style="dim", no_wrap=True))
    grid = Grid.grid(padding=(0, 1, 0, 0))
    for _ in cells:
        grid.add_column(no_wrap=True)
    grid.add_row(*cells)
    return grid
