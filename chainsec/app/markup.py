"""Markup that every page shares: the document, sections, figures, tables. No script, no font, no request.

All text of a run passes ``escape``. Layer: app. Not here: what a page says (``report_html``, ``network_html``).
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from chainsec.app.wording import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainsec.app.report_charts import Figure
    from chainsec.app.table import Table

__all__ = ["figure", "page", "prose", "section", "table"]

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(title: str, header: str, sections: Sequence[str], footer: str, *, styles: Sequence[str] = ()) -> str:
    """Return a self-contained document, light, dark and on paper.

    Args:
        title: plain text.
        header: markup.
        sections: markup.
        footer: markup.
        styles: names of further style sheets in ``templates``.
    """
    folder = files("chainsec.app") / "templates"
    style = "".join((folder / name).read_text(encoding="utf-8") for name in ("report.css", *styles))
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8"/>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"/>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"/>\n'
        f"<title>{escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n{header}\n"
        f"<main>\n{''.join(sections)}</main>\n{footer}\n</body>\n</html>\n"
    )


def prose(text: str) -> str:
    """Return a sentence as markup, its percentages unbroken."""
    return escape(text, 400).replace(" %", "\u00a0%")


def section(title: str, lead: str, figures: Sequence[Figure], tables: Sequence[Table]) -> str:
    """Return a titled section: what it says, its charts, its tables."""
    paragraph = f'<p class="lead">{escape(lead, 400)}</p>' if lead else ""
    plots = f'<div class="plots">{"".join(map(figure, figures))}</div>' if figures else ""
    return f"<section>\n<h2>{escape(title)}</h2>\n{paragraph}{plots}{''.join(map(table, tables))}</section>\n"


def figure(shown: Figure) -> str:
    """Return a chart with its caption, and its figures folded away."""
    data = f"<details><summary>Figures</summary>{table(shown.table)}</details>" if shown.table else ""
    return (
        f"<figure><h3>{escape(shown.title)}</h3>{shown.svg}"
        f"<figcaption>{escape(shown.caption, 400)}</figcaption>{data}</figure>\n"
    )


def table(shown: Table) -> str:
    """Return a table; nothing where it has no rows."""
    if not shown.rows:
        return ""
    kinds = [' class="number"' if i in shown.numbers else "" for i in range(len(shown.head))]
    head = "".join(f'<th scope="col"{kind}>{escape(name)}</th>' for name, kind in zip(shown.head, kinds, strict=True))
    body = "".join(_row(row, kinds) for row in shown.rows)
    note = f'<p class="lead">{escape(shown.note, 3_000)}</p>' if shown.note else ""
    return (
        f'<div class="scroll"><table><caption>{escape(shown.title)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{note}\n"
    )


def _row(row: Sequence[str], kinds: Sequence[str]) -> str:
    cells = "".join(f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(row[1:], kinds[1:], strict=True))
    part = ' class="part"' if row[0].startswith(" ") else ""
    return f'<tr><th scope="row"{part}>{escape(row[0].strip())}</th>{cells}</tr>\n'
