"""How a report writes: figures with units, hostile text made harmless.

Pure functions, shared by the page and the terminal so that both say the same. Layer: app. Not here: sentences
(``findings``), HTML, tables, colours.
"""

from __future__ import annotations

import html
import unicodedata
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import JsonValue

    from chainsec.scenarios.report_series import Quantiles

NOT_MEASURED = "n/a"
RULES = "rules only"
GRANT_ALL = "grant all"
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400


def visible_text(text: str, limit: int = 200) -> str:
    r"""Return ``text`` with every character that a reader cannot see written out, cut at ``limit`` characters.

    Terminal escapes, direction overrides, zero-width marks and broken surrogates cannot act this way.

    >>> visible_text("eve\x1b[2J\u202e")
    'eve\\x1b[2J\\u202e'
    """
    shown = text if len(text) <= limit else text[: limit - 3] + "..."
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _HIDDEN_CATEGORIES else char
        for char in shown
    )


def escape(text: str, limit: int = 200) -> str:
    """Return ``text`` as harmless HTML, in content and in quoted attributes alike.

    >>> escape('<b onclick="x">')
    '&lt;b onclick=&quot;x&quot;&gt;'
    """
    return html.escape(visible_text(text, limit))


def count(value: float | None) -> str:
    """Return a whole number with separators.

    >>> count(1234567), count(None)
    ('1,234,567', 'n/a')
    """
    return NOT_MEASURED if value is None else f"{value:,.0f}"


def short_count(value: float) -> str:
    """Return a number in at most five characters and a unit, for axes and counters.

    >>> [short_count(value) for value in (0, 0.5, 950, 12_300, 91_200_000)]
    ['0', '0.5', '950', '12.3 k', '91.2 M']
    """
    for size, unit in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e4, " k")):
        if abs(value) >= size:
            divisor = 1e3 if unit == " k" else size
            return f"{value / divisor:.3g}{unit}" if value / divisor < 1e3 else f"{value / divisor:,.0f}{unit}"  # noqa: PLR2004
    return f"{value:,.3g}" if value < 1e3 else f"{value:,.0f}"  # noqa: PLR2004


def rate(value: float | None) -> str:
    """Return a share of one in percent, never rounded to nothing or to everything.

    >>> [rate(value) for value in (0, 0.0001, 0.1234, 0.99999, 1, None)]
    ['0 %', '<0.1 %', '12.3 %', '>99.9 %', '100 %', 'n/a']
    """
    if value is None:
        return NOT_MEASURED
    percent = 100 * value
    if percent in {0, 100}:
        return f"{percent:.0f} %"
    if percent < 0.1:  # noqa: PLR2004 - the last digit shown
        return "<0.1 %"
    return ">99.9 %" if percent >= 99.95 else f"{percent:.1f} %"  # noqa: PLR2004 - would read as 100.0


def score(value: float | None) -> str:
    """Return a figure in [0, 1] with three digits.

    >>> score(0.95149)
    '0.951'
    """
    return NOT_MEASURED if value is None else f"{value:.3f}"


def amount(value: float | None) -> str:
    """Return a measured quantity with as many digits as it deserves.

    >>> [amount(value) for value in (0.0421, 3.14159, 3, 1234.5)]
    ['0.0421', '3.14', '3', '1,234']
    """
    if value is None:
        return NOT_MEASURED
    return f"{value:,.0f}" if value == int(value) or value >= 1e3 else f"{value:.3g}"  # noqa: PLR2004


def data_size(size_bytes: int | None) -> str:
    """Return a number of bytes in the unit that fits.

    >>> data_size(1_240_000_000)
    '1.24 GB'
    """
    if size_bytes is None:
        return NOT_MEASURED
    for size, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size_bytes >= size:
            return f"{size_bytes / size:,.3g} {unit}" if size_bytes < 1e15 else f"{size_bytes / size:,.0f} {unit}"  # noqa: PLR2004
    return f"{size_bytes} B"


def duration(seconds: float) -> str:
    """Return a span of time in the unit that fits.

    >>> [duration(seconds) for seconds in (0, 45, 600, 9000, 200_000)]
    ['0 s', '45 s', '10 min', '2.5 h', '2.31 d']
    """
    for size, unit in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min")):
        if seconds >= size:
            return f"{amount(float(f'{seconds / size:.3g}'))} {unit}"
    return f"{amount(seconds)} s"


def moment(time_s: int, *, has_clock: bool) -> str:
    """Return a simulated time as a UTC date, or as a row number where there is no clock.

    >>> moment(1_767_225_600, has_clock=True), moment(7, has_clock=False)
    ('2026-01-01 00:00', 'row 7')
    """
    return f"{datetime.fromtimestamp(time_s, UTC):%Y-%m-%d %H:%M}" if has_clock else f"row {time_s:,}"


def percentiles(values: Quantiles | None) -> tuple[str, str, str]:
    """Return median, 95th and 99th percentile as texts."""
    if values is None:
        return NOT_MEASURED, NOT_MEASURED, NOT_MEASURED
    return amount(values.p50), amount(values.p95), amount(values.p99)


def plural(number: int, noun: str) -> str:
    """Return the number with its noun.

    >>> plural(1, "block"), plural(1200, "block")
    ('1 block', '1,200 blocks')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def blocks(number: float) -> str:
    """Return a delay in blocks, which need not be whole.

    >>> blocks(1), blocks(2.5)
    ('1 block', '2.5 blocks')
    """
    return "1 block" if number == 1 else f"{amount(number)} blocks"


def label(name: str) -> str:
    """Return an identifier as a reader sees it.

    >>> label("slow_exfiltration")
    'slow exfiltration'
    """
    return name.replace("_", " ")


def facts(value: JsonValue, name: str = "") -> list[str]:
    """Return the leaves of a JSON value as short texts, numbers with three digits.

    >>> facts({"statistic": 4.29236, "inputs": {"usual": None}, "limits": [1, 2.5]})
    ['statistic 4.29', 'usual none', 'limits 1 / 2.5']
    """
    if isinstance(value, dict):
        return [fact for key, inner in value.items() for fact in facts(inner, key)]
    if isinstance(value, list):
        shown = " / ".join(" ".join(facts(inner)) for inner in value)
    elif value is None or isinstance(value, bool):
        shown = {None: "none", True: "yes", False: "no"}[value]
    else:
        shown = value if isinstance(value, str) else f"{value:,.3g}" if abs(value) < 1e3 else f"{value:,.0f}"  # noqa: PLR2004
    return [f"{label(name)} {shown}".strip()]


def baseline_order(names: Iterable[str]) -> list[str]:
    """Return the baselines, the rules first: they are what the agent has to beat.

    >>> baseline_order(["grant all", "rules only"])
    ['rules only', 'grant all']
    """
    return sorted(names, key=lambda name: (name != RULES, name))
