"""A titled table of plain text, for the page and for the terminal.

Layer: app, below ``report_tables``. Not here: what tables say, markup.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_ROWS = 200


@dataclass(frozen=True)
class Table:
    """A titled table of plain text.

    Args:
        title: what the rows are about.
        head: names of the columns.
        rows: one text per column each; the first names the row.
        numbers: indices of the columns that hold figures, set flush right.
        note: a sentence below the table, "" for none.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: frozenset[int] = frozenset()
    note: str = ""


def pair_up(title: str, rows: Sequence[tuple[str, str]], note: str = "") -> Table:
    """Return a table of names and figures without a head.

    >>> pair_up("Speed", [("decisions per second", "83")]).numbers
    frozenset({1})
    """
    return Table(title, ("", ""), rows, frozenset({1}), note)


def cut(table: Table) -> Table:
    """Return the table with at most ``MOST_ROWS`` rows, saying how many are left out.

    >>> cut(Table("Long", ("",), [("x",)] * 1_250)).note
    '1,050 more in report.json.'
    """
    left = len(table.rows) - MOST_ROWS
    if left <= 0:
        return table
    return replace(table, rows=table.rows[:MOST_ROWS], note=f"{left:,} more in report.json.")
