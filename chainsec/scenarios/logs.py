"""Reads an access log row by row: CSV, JSON Lines or a JSON array of records, each also as gzip.

The format is found in the content, and no more than one row is held. Layer: scenarios. Not here: what a field
means (``mapping``), which rows become requests (``replay``).
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import os
import stat
import zlib
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from chainsec.scenarios.defects import Defects, RowDefect, bad_input
from chainsec.scenarios.json_records import ARRAY_START, ArrayScanner, parse_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

MAX_LINE_BYTES = 4 * 1024 * 1024
MAX_FIELD_CHARS = 131_072

_BOM = codecs.BOM_UTF8
_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK_BYTES = 64 * 1024
_GZIP_ERRORS = (EOFError, zlib.error, gzip.BadGzipFile)


@dataclass(frozen=True)
class LogRow:
    """One row of a log.

    Args:
        line: file line on which the row begins, from 1.
        record: number of the row in the file, from 1, bad rows counted.
        fields: column to text, or the JSON object.
        in_array: whether the row comes from a JSON array, where ``record`` finds it better than ``line``.
    """

    line: int
    record: int
    fields: Mapping[str, Any]
    in_array: bool = False


class _Lines:
    """Yields (line number, bytes or None for a line over the bound); a damaged stream ends it with ``damage`` set."""

    def __init__(self, stream: io.BufferedReader, number: int) -> None:
        self._stream = stream
        self.number = number
        self.damage: RowDefect | None = None

    def __iter__(self) -> Iterator[tuple[int, bytes | None]]:
        try:
            while raw := self._stream.readline(MAX_LINE_BYTES):
                number = self.number
                whole = raw
                while len(raw) == MAX_LINE_BYTES and not raw.endswith(b"\n"):
                    raw = self._stream.readline(MAX_LINE_BYTES)
                self.number += 1
                yield number, whole if raw is whole else None
        except _GZIP_ERRORS as error:
            self.damage = RowDefect("damaged gzip", f"damaged or truncated gzip: {error}")


class _Feed:
    """Hands lines to ``csv.reader`` and can take back all but the first of a record that turned out broken."""

    def __init__(self, lines: _Lines) -> None:
        self._lines = iter(lines)
        self._returned: deque[tuple[int, bytes | None]] = deque()
        self._size = 0
        self.taken: list[tuple[int, bytes | None]] = []
        self.suspect: RowDefect | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self._returned.popleft() if self._returned else next(self._lines)
        self.taken.append(line)
        raw = line[1]
        if raw is not None:
            self._size += len(raw)
        if raw is None or self._size > MAX_LINE_BYTES:
            raise RowDefect("oversized", f"a row of more than {MAX_LINE_BYTES} bytes")
        if b"\0" in raw:
            self.suspect = RowDefect("NUL byte", "a NUL byte")
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            self.suspect = RowDefect("invalid UTF-8", f"bytes that are not UTF-8, from byte {error.start + 1}")
            return raw.decode(errors="surrogateescape")

    def begin(self) -> None:
        self.taken.clear()
        self.suspect = None
        self._size = 0

    def return_rest(self) -> None:
        self._returned.extendleft(reversed(self.taken[1:]))


class Log:
    """An open log. Use as a context manager; ``rows`` can be taken once.

    Attributes:
        path: as given.
        form: ``csv``, ``json lines`` or ``json array``.
        columns: the CSV header, None for JSON.
        header_line: file line of the CSV header.
        total_bytes: size of the file, None where it has none (a pipe).
    """

    def __init__(self, path: str | Path, delimiter: str = ",") -> None:
        self.path = str(path)
        self.columns: tuple[str, ...] | None = None
        self.header_line = 1
        self._line = 1
        self._raw = self._open(Path(path))
        try:
            status = os.fstat(self._raw.fileno())
            self.total_bytes = status.st_size if stat.S_ISREG(status.st_mode) else None
            self._stream = self._decompress()
            self.form = self._find_form()
            self._lines = _Lines(self._stream, self._line)
            if self.form == "csv":
                self._feed = _Feed(self._lines)
                self._csv = csv.reader(self._feed, delimiter=delimiter, strict=True)
                self.columns = self._read_header()
        except BaseException:
            self._raw.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._raw.close()

    @property
    def read_bytes(self) -> int:
        """How much of the file has been read, at most ``total_bytes``; 0 for a pipe."""
        return 0 if self.total_bytes is None else self._raw.tell()

    def _open(self, path: Path) -> io.BufferedReader:
        try:
            return path.open("rb")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise bad_input(self.path, 1, f"cannot be opened: {reason}") from error

    def _decompress(self) -> io.BufferedReader:
        if self._raw.peek(2)[:2] == _GZIP_MAGIC:
            unpacked = gzip.GzipFile(fileobj=self._raw, mode="rb")
            return io.BufferedReader(cast("io.RawIOBase", unpacked), _CHUNK_BYTES)
        if self.path.lower().endswith(".gz") and self._raw.peek(1):
            raise bad_input(self.path, 1, "named .gz, but the content is not gzip")
        return self._raw

    def _find_form(self) -> str:
        try:
            if self._stream.peek(3)[:3] == _BOM:
                self._stream.read(3)
            while (head := self._stream.peek(_CHUNK_BYTES)) and not head.strip():
                self._line += self._stream.read(len(head)).count(b"\n")
        except _GZIP_ERRORS as error:
            raise bad_input(self.path, 1, f"damaged or truncated gzip: {error}") from error
        if not head:
            raise bad_input(self.path, 1, "empty file")
        if head.lstrip()[:1] not in (b"{", b"["):
            return "csv"
        return "json array" if ARRAY_START.match(head.decode(errors="replace")) else "json lines"

    def _read_header(self) -> tuple[str, ...]:
        names: list[str] = []
        while not names:
            self._feed.begin()
            try:
                names = next(self._csv)
            except (csv.Error, RowDefect) as error:
                raise bad_input(self.path, self._lines.number - 1, f"broken header: {error}") from error
            except StopIteration:
                damage = self._lines.damage
                raise bad_input(self.path, self._line, damage.reason if damage else "empty file") from None
        self.header_line = self._feed.taken[0][0]
        if self._feed.suspect:
            raise bad_input(self.path, self.header_line, f"broken header: {self._feed.suspect.reason}")
        seen: set[str] = set()
        for name in names:
            if name in seen:
                raise bad_input(self.path, self.header_line, "this column name stands twice in the header", name)
            seen.add(name)
        return tuple(names)

    def rows(self, defects: Defects) -> Iterator[LogRow]:
        """Yield the rows in file order; broken ones go to ``defects``.

        Raises:
            BadInput: a broken row and ``defects`` does not skip; or no row at all, which is never skipped.
        """
        record = 0
        in_array = self.form == "json array"
        form = {"csv": self._csv_rows, "json lines": self._json_rows, "json array": self._array_rows}[self.form]
        for record, (line, found) in enumerate(form(), start=1):
            if isinstance(found, RowDefect):
                defects.add(line, found, record if in_array else 0)
            else:
                yield LogRow(line, record, found, in_array)
        if self._lines.damage:
            defects.add(self._lines.number, self._lines.damage)
        if record == 0:
            what = "a header and no row" if self.form == "csv" else "no record"
            raise bad_input(self.path, self.header_line, what)

    def _csv_rows(self) -> Iterator[tuple[int, dict[str, str] | RowDefect]]:
        assert self.columns is not None
        columns, feed = self.columns, self._feed
        while True:
            feed.begin()
            try:
                values = next(self._csv)
            except StopIteration:
                return
            except RowDefect as defect:
                feed.return_rest()
                yield feed.taken[0][0], defect
                continue
            except csv.Error as error:
                if self._lines.damage:
                    return
                feed.return_rest()
                kind = "oversized" if "field limit" in str(error) else "broken line"
                yield feed.taken[0][0], RowDefect(kind, f"broken CSV: {error}")
                continue
            if values:
                yield feed.taken[0][0], self._checked(columns, values) or dict(zip(columns, values, strict=True))

    def _checked(self, columns: tuple[str, ...], values: list[str]) -> RowDefect | None:
        if len(values) != len(columns):
            return RowDefect("wrong number of fields", f"{len(values)} fields where the header has {len(columns)}")
        if suspect := self._feed.suspect:
            for name, value in zip(columns, values, strict=True):
                if "\0" in value or any("\udc80" <= character <= "\udcff" for character in value):
                    return RowDefect(suspect.kind, suspect.reason, name)
            return suspect
        if len(self._feed.taken[0][1] or b"") > MAX_FIELD_CHARS or len(self._feed.taken) > 1:
            for name, value in zip(columns, values, strict=True):
                if len(value) > MAX_FIELD_CHARS:
                    return RowDefect("oversized", f"{len(value)} characters, at most {MAX_FIELD_CHARS}", name)
        return None

    def _json_rows(self) -> Iterator[tuple[int, dict[str, Any] | RowDefect]]:
        for number, raw in self._lines:
            if raw is None:
                yield number, RowDefect("oversized", f"a line of more than {MAX_LINE_BYTES} bytes")
            elif not raw.isspace():
                yield number, _try_object(raw.decode(errors="surrogateescape"))

    def _chunks(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        try:
            while raw := self._stream.read1(_CHUNK_BYTES):
                yield decoder.decode(raw)
            yield decoder.decode(b"", final=True)
        except _GZIP_ERRORS as error:
            self._lines.damage = RowDefect("damaged gzip", f"damaged or truncated gzip: {error}")

    def _array_rows(self) -> Iterator[tuple[int, dict[str, Any] | RowDefect]]:
        scanner = ArrayScanner(self._chunks(), self._line)
        for line, text in scanner.records():
            self._lines.number = scanner.line
            if isinstance(text, str):
                yield line, _try_object(text)
            elif not self._lines.damage:
                yield line, text


def _try_object(text: str) -> dict[str, Any] | RowDefect:
    try:
        return parse_object(text)
    except RowDefect as defect:
        return defect


def open_log(path: str | Path, delimiter: str = ",") -> Log:
    r"""Open the log at ``path`` and find out its form.

    Args:
        path: a CSV, JSON Lines or JSON array file, each also as gzip; UTF-8, with or without byte order mark.
        delimiter: what separates CSV fields.

    Raises:
        BadInput: no such file, empty, not gzip though named so, or a broken or ambiguous CSV header.

    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "log.csv"
    >>> _ = path.write_text('user,file\nann,"a\nb"\nbob,c\n')
    >>> with open_log(path) as log:
    ...     [(row.line, row.fields["user"]) for row in log.rows(Defects(path))]
    [(2, 'ann'), (4, 'bob')]
    """
    return Log(path, delimiter)
