"""What a study found: figures beside the published ones, the lines of its plots, and how it was done.

Layer: evaluation, at the bottom. Not here: measuring (the studies), showing (``chainsec.app``).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PlotKind = Literal["roc", "calibration", "delay", "robustness", "other"]


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    Args:
        metric: what is measured, in words.
        ours: the figure.
        low, high: ends of its 95 % confidence interval; None where there is none.
        published: what others report on the same data, None where nobody does.
        published_by: who does.
        asked: the figure to reach, None where none is set.
        lower_is_better: whether less than ``asked`` is wanted.
        is_sure: whether all of its interval has to be as good as asked, not only the figure.
        undefended: the same with the defence switched off, None where the figure is not about a defence.
    """

    metric: str
    ours: float
    low: float | None = None
    high: float | None = None
    published: float | None = None
    published_by: str = ""
    asked: float | None = None
    lower_is_better: bool = False
    is_sure: bool = False
    undefended: float | None = None

    @property
    def is_reached(self) -> bool | None:
        """Whether the figure is as good as asked; None where nothing is asked.

        >>> Figure("AUC", 0.91, asked=0.88).is_reached, Figure("ECE", 0.03, asked=0.02, lower_is_better=True).is_reached
        (True, False)
        >>> Figure("skill", 0.01, low=-0.01, high=0.03, asked=0.0, is_sure=True).is_reached
        False
        """
        if self.asked is None:
            return None
        if self.lower_is_better:
            return (self.high if self.is_sure and self.high is not None else self.ours) <= self.asked
        return (self.low if self.is_sure and self.low is not None else self.ours) >= self.asked


@dataclass(frozen=True)
class Line:
    """One line of a plot: its name and its points, both axes as long."""

    name: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]


@dataclass(frozen=True)
class Plot:
    """A plot of one or more lines.

    Args:
        kind: what it shows.
        title: a heading.
        x_label, y_label: what the axes hold, with units.
        lines: what is drawn.
    """

    kind: PlotKind
    title: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Outcome:
    """What a study found.

    Args:
        study: its name.
        data: which data, with their number of rows.
        protocol: who learns from what and is tested on what, in a sentence or two.
        seed: everything drawn follows from it.
        figures: what was measured, the most telling first.
        plots: lines to draw.
        notes: what a reader must know to judge the figures.
        seconds: how long it took.
    """

    study: str
    data: str
    protocol: str
    seed: int
    figures: tuple[Figure, ...]
    plots: tuple[Plot, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as JSON values, each figure with ``is_reached``."""
        value = asdict(self)
        for entry, figure in zip(value["figures"], self.figures, strict=True):
            entry["is_reached"] = figure.is_reached
        return value


class Study(Protocol):
    """A question to the models that data answer."""

    @property
    def name(self) -> str:
        """A short word, as the command line takes it."""

    @property
    def title(self) -> str:
        """What is judged, in a few words."""

    def run(self, folder: Path, seed: int, on_step: Callable[[str, int, int], None]) -> Outcome:
        """Measure on the data in ``folder``.

        Args:
            folder: holds the data sets, one folder each.
            seed: of everything drawn.
            on_step: told what is done, how much of it, and of how much.

        Raises:
            BadInput: a file is missing or not what it should be.
        """
