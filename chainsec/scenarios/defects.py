"""What is wrong with a row of a log: one line that names file, line and field, or a count of what was skipped.

Layer: scenarios, below reading and mapping. Not here: finding the defects.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Any

from chainsec.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

MAX_KEPT_ROWS = 10_000
_MAX_KEPT_WORDS, _SHOWN_WORDS = 1_000, 3
_MAX_SHOWN_CHARS = 60


class RowDefect(Exception):  # noqa: N818 - travels inside this package and is always turned into BadInput or a count
    """One row cannot be used.

    Args:
        kind: short noun to count by, for example ``unreadable time``.
        reason: the whole finding, one line.
        field: column or dotted path, "" where the whole line is meant.
    """

    def __init__(self, kind: str, reason: str, field: str = "") -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.field = field


def show(value: Any) -> str:
    r"""Return ``value`` as one short printable piece of a message.

    >>> show("two\nlines"), len(show("x" * 5000))
    ("'two\\nlines'", 63)
    """
    text = repr(value[: _MAX_SHOWN_CHARS + 1] if isinstance(value, str) else value)
    return text if len(text) <= _MAX_SHOWN_CHARS + 2 else text[:_MAX_SHOWN_CHARS] + "..."


def _plain(name: str) -> str:
    return name if name.isprintable() and len(name) <= 4 * _MAX_SHOWN_CHARS else show(name)


def _place(record: int, field: str) -> str:
    return (f"record {record}: " if record else "") + (f"field {_plain(field)}: " if field else "")


def _count_words(count: int) -> str:
    if count == 1:
        return "1 word that the mapping does not know is"
    most = f"{count:,} or more" if count >= _MAX_KEPT_WORDS else f"{count:,}"
    return f"{most} words that the mapping does not know are"


def bad_input(path: str | Path, line: int, reason: str, field: str = "", record: int = 0) -> BadInput:
    """Return the error that names file, line and field; the facts are its attributes.

    ``record`` counts from 1 where many records share a line, else it is 0 and not named.

    >>> error = bad_input("log.csv", 7, "empty requester", "user")
    >>> str(error), error.line
    ('log.csv: line 7: field user: empty requester', 7)
    """
    message = f"{_plain(str(path))}: line {line}: {_place(record, field)}{reason}"
    return BadInput(message, path=str(path), line=line, record=record, field=field, reason=reason)


class Defects:
    """Takes every defect of a log: raises it, or counts it where bad rows are to be skipped.

    Args:
        path: the log, for messages.
        skip_bad: count instead of raising.

    Attributes:
        counts: number of skipped rows by kind.
        rows: the first 10,000 skipped rows as (file line, reason).

    >>> defects = Defects("log.csv", skip_bad=True)
    >>> defects.add(3, RowDefect("empty", "empty asset", "file"))
    >>> defects.total, defects.rows
    (1, [(3, 'field file: empty asset')])
    """

    def __init__(self, path: str | Path, *, skip_bad: bool = False) -> None:
        self.path = str(path)
        self.skip_bad = skip_bad
        self.counts: Counter[str] = Counter()
        self.rows: list[tuple[int, str]] = []
        self.first: BadInput | None = None
        self._unknown: dict[tuple[str, str], dict[str, None]] = {}

    def note_unknown(self, field: str, word: str, default: str) -> None:
        """Remember a word of ``field`` that the mapping does not know, for which ``default`` stands."""
        words = self._unknown.setdefault((field, default), {})
        if len(words) < _MAX_KEPT_WORDS:
            words[word] = None

    def list_unknown(self) -> tuple[str, ...]:
        """Return a sentence for each field with words that the mapping does not know.

        >>> defects = Defects("log.csv")
        >>> defects.note_unknown("verb", "purge", "read")
        >>> defects.list_unknown()
        ("field verb: 1 word that the mapping does not know is taken for its default 'read': 'purge'",)
        """
        return tuple(
            f"field {_plain(field)}: {_count_words(len(words))} taken for its default {default!r}: "
            + ", ".join(map(show, islice(words, _SHOWN_WORDS)))
            + (" ..." if len(words) > _SHOWN_WORDS else "")
            for (field, default), words in sorted(self._unknown.items())
        )

    @property
    def total(self) -> int:
        """Number of rows skipped so far."""
        return self.counts.total()

    def add(self, line: int, defect: RowDefect, record: int = 0) -> None:
        """Record ``defect``, found at file line ``line``, in the ``record``-th record where lines do not tell.

        Raises:
            BadInput: bad rows are not to be skipped.
        """
        if not self.skip_bad or self.first is None:
            error = bad_input(self.path, line, defect.reason, defect.field, record)
            if not self.skip_bad:
                raise error
            self.first = error
        self.counts[defect.kind] += 1
        if len(self.rows) < MAX_KEPT_ROWS:
            self.rows.append((line, _place(record, defect.field) + defect.reason))
