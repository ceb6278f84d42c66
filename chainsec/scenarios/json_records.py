"""JSON objects out of text: one object a line, or an array of them that is too large to hold, record by record.

Takes ``{"Records": [...]}`` as AWS CloudTrail writes it, a bare array, and several such documents one after
another (what ``zcat *.json.gz`` gives). Layer: scenarios, below ``logs``. Not here: files, gzip, what fields mean.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NoReturn

from chainsec.digest import is_too_deep
from chainsec.scenarios.defects import RowDefect, show

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

MAX_RECORD_CHARS = 4 * 1024 * 1024
ARRAY_START = re.compile(r'\s*(\{\s*"Records"\s*:\s*)?\[')

_SPACE = re.compile(r"\s*")
_OUTSIDE_STRING = re.compile(r'["{}\[\]]')
_INSIDE_STRING = re.compile(r'["\\]')
_NEXT_ITEM = re.compile(r"[{\]]")
_START_MIN_CHARS = 4096


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RowDefect("broken line", f"the key {show(twice)} stands twice in one object")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise RowDefect("broken line", f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)


def parse_object(text: str) -> dict[str, Any]:
    """Return the one JSON object that ``text`` is.

    Raises:
        RowDefect: not JSON, not an object, a key twice, NaN, NUL, bytes that were no UTF-8, or nested too deep.

    >>> parse_object('{"user": {"name": "ann"}}')
    {'user': {'name': 'ann'}}
    """
    if "\0" in text:
        raise RowDefect("NUL byte", "a NUL byte")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise RowDefect("invalid UTF-8", "bytes that are not UTF-8")
    if is_too_deep(text.encode()):
        raise RowDefect("broken line", "JSON nested too deep")
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise RowDefect("broken line", f"not JSON: {error.msg} at character {error.pos + 1}") from error
    except RecursionError as error:
        raise RowDefect("broken line", "JSON nested too deep") from error
    except ValueError as error:
        raise RowDefect("broken line", f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise RowDefect("broken line", f"a JSON object is needed, not {show(value)}")
    return value


class ArrayScanner:
    r"""Cuts the records out of JSON arrays without holding more than one of them.

    Args:
        chunks: the text in pieces of any size.
        line: file line on which the text starts.

    >>> scanner = ArrayScanner(['{"Records":[{"a"', ':1},\n{"a":"}"}]}'])
    >>> list(scanner.records())
    [(1, '{"a":1}'), (2, '{"a":"}"}')]
    """

    def __init__(self, chunks: Iterable[str], line: int = 1) -> None:
        self._chunks = iter(chunks)
        self._buffer = ""
        self._at = 0
        self.line = line

    def _fill(self) -> bool:
        chunk = next((chunk for chunk in self._chunks if chunk), "")
        self._buffer = self._buffer[self._at :] + chunk
        self._at = 0
        return bool(chunk)

    def _advance(self, to: int) -> str:
        passed = self._buffer[self._at : to]
        self.line += passed.count("\n")
        self._at = to
        return passed

    def _peek(self) -> str:
        while True:
            space = _SPACE.match(self._buffer, self._at)
            assert space is not None
            self._advance(space.end())
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._fill():
                return ""

    def _seek_item(self) -> None:
        while not (item := _NEXT_ITEM.search(self._buffer, self._at)):
            self._advance(len(self._buffer))
            if not self._fill():
                return
        self._advance(item.start())

    def _take_object(self) -> str | RowDefect:
        depth, at, in_string, oversized = 0, self._at, False, False
        while True:
            sign = (_INSIDE_STRING if in_string else _OUTSIDE_STRING).search(self._buffer, at)
            if sign is None:
                at = max(at, len(self._buffer))
                if oversized or at - self._at > MAX_RECORD_CHARS:
                    oversized = True
                    self._advance(len(self._buffer))
                at -= self._at
                if not self._fill():
                    self._advance(len(self._buffer))
                    return RowDefect("broken line", "the file ends inside a record")
                continue
            at = sign.end()
            if sign[0] == "\\":
                at += 1
            elif sign[0] == '"':
                in_string = not in_string
            else:
                depth += 1 if sign[0] in "{[" else -1
                if depth == 0:
                    text = self._advance(at)
                    if oversized or len(text) > MAX_RECORD_CHARS:
                        return RowDefect("oversized", f"a record of more than {MAX_RECORD_CHARS} characters")
                    return text

    def records(self) -> Iterator[tuple[int, str | RowDefect]]:
        """Yield (file line, text of one object), or the defect that stands in its place; goes on after a defect."""
        while self._peek():
            while len(self._buffer) - self._at < _START_MIN_CHARS and self._fill():
                pass
            start = ARRAY_START.match(self._buffer, self._at)
            if start is None:
                yield self.line, RowDefect("broken line", f"no array of records begins at {show(self._peek())}")
                return
            self._advance(start.end())
            if not (yield from self._items()):
                return
            if start[1] and self._peek() != "}":
                yield self.line, RowDefect("broken line", 'the object around "Records" is not closed')
                return
            self._advance(self._at + bool(start[1]))

    def _items(self) -> Generator[tuple[int, str | RowDefect], None, bool]:
        """Yield the records of one array; return whether it was closed."""
        is_first, is_cut = True, False
        while (sign := self._peek()) and sign != "]":
            if not is_first and sign == ",":
                self._advance(self._at + 1)
                if not (sign := self._peek()):
                    break
            elif not is_first:
                sign = "?"
            is_first = False
            line = self.line
            if sign == "{":
                found = self._take_object()
                is_cut = isinstance(found, RowDefect) and not self._peek()
                yield line, found
            else:
                yield line, RowDefect("broken line", f"an object is needed at {show(self._peek())}")
                self._seek_item()
                is_first = True
        self._advance(self._at + bool(sign))
        if not sign and not is_cut:
            yield self.line, RowDefect("broken line", "the file ends inside the array of records")
        return bool(sign)
