"""Makes functions that read one field of a mapping out of a row: plain text, a word, a time, a label.

Layer: scenarios, between ``mapping_fields`` and ``extraction``. Not here: whole rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from fnmatch import translate
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from chainsec.scenarios.defects import RowDefect, show
from chainsec.scenarios.logs import MAX_FIELD_CHARS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainsec.scenarios.mapping_fields import LabelField, LogField, TimeField, WordField

MAX_TIME_S = 253_402_300_799
_MEMO_WORDS = 4096
_NUMBER = re.compile(r"-?[0-9]{1,17}(\.[0-9]{1,9})?")
_MISSING = object()

Reader = Callable[[Mapping[str, Any]], str | None]
"""Takes the fields of a row; returns the value, "" if it is empty, None if the row lacks it and may."""


def _to_text(value: Any, path: str) -> str:
    if isinstance(value, str):
        text = value
    elif value is None:
        return ""
    elif isinstance(value, bool):
        return "true" if value else "false"
    elif isinstance(value, (int, float)):
        return str(value)
    else:
        raise RowDefect("not a single value", f"a list or object where one value is needed: {show(value)}", path)
    if len(text) > MAX_FIELD_CHARS:
        raise RowDefect("oversized", f"{len(text)} characters, at most {MAX_FIELD_CHARS}", path)
    if "\0" in text:
        raise RowDefect("NUL byte", "a NUL character", path)
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise RowDefect("invalid UTF-8", "half a surrogate pair, which is no character", path)
    return text


def _walk(fields: Mapping[str, Any], parts: Sequence[str]) -> Any:
    value: Any = fields
    for part in parts:
        if isinstance(value, Mapping):
            value = value.get(part, _MISSING)
        elif isinstance(value, list) and part.isascii() and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return _MISSING
    return value


def _path_reader(path: str, *, optional: bool) -> Reader:
    parts = path.split(".")

    def read(fields: Mapping[str, Any]) -> str | None:
        value = fields.get(path, _MISSING)
        if type(value) is str and len(value) <= MAX_FIELD_CHARS and value.isascii() and "\0" not in value:
            return value
        if value is _MISSING and len(parts) > 1:
            value = _walk(fields, parts)
        if value is _MISSING:
            if optional:
                return None
            raise RowDefect("missing field", "this field is missing", path)
        return _to_text(value, path)

    return read


def _join_reader(field: LogField) -> Reader:
    readers = [field_reader(part) for part in field.join]
    names = [field_name(part) for part in field.join]
    separator = field.separator

    def read_all(fields: Mapping[str, Any]) -> str:
        values = [reader(fields) for reader in readers]
        if not any(values):
            return ""
        for value, name in zip(values, names, strict=True):
            if value == "":
                raise RowDefect("empty", "empty, but a part of a joined value", name)
        return separator.join(
            (value or "").replace("\\", "\\\\").replace(separator, "\\" + separator) for value in values
        )

    return _forgiving(read_all) if field.optional else read_all


def _forgiving(read: Reader, kinds: tuple[str, ...] = ("missing field", "empty")) -> Reader:
    def read_or_none(fields: Mapping[str, Any]) -> str | None:
        try:
            return read(fields)
        except RowDefect as defect:
            if defect.kind in kinds:
                return None
            raise

    return read_or_none


def _first_reader(field: LogField) -> Reader:
    parts = [part.model_copy(update={"optional": True}) for part in field.first]
    readers = [_forgiving(field_reader(part), ("missing field", "empty", "not a single value")) for part in parts]
    name, optional = field_name(field), field.optional

    def read(fields: Mapping[str, Any]) -> str | None:
        for reader in readers:
            if value := reader(fields):
                return value
        if optional:
            return None
        raise RowDefect("missing field", "none of these is there", name)

    return read


def field_name(field: LogField) -> str:
    """Return how messages name ``field``: its path, or its parts.

    >>> from chainsec.scenarios.mapping_fields import LogField
    >>> field_name(LogField.model_validate(["dept", {"first": ["a.b", "c"]}]))
    'dept + a.b or c'
    """
    if field.path is not None:
        return field.path
    if field.join:
        return " + ".join(field_name(part) for part in field.join)
    return " or ".join(field_name(part) for part in field.first) or "constant"


def field_reader(field: LogField) -> Reader:
    r"""Return the function that reads ``field`` out of a row's fields.

    Joined parts are escaped, so that two different rows never give the same joined value.

    >>> from chainsec.scenarios.mapping_fields import LogField
    >>> read = field_reader(LogField.model_validate({"join": ["user.org", "user.name"], "separator": "/"}))
    >>> read({"user": {"org": "a/b", "name": "c"}}), read({"user": {"org": "a", "name": "b/c"}})
    ('a\\/b/c', 'a/b\\/c')
    """
    default = field.default
    optional = field.optional or default is not None
    if field.value is not None:
        constant = field.value
        return lambda _fields: constant
    if field.path is not None:
        read = _path_reader(field.path, optional=optional)
    else:
        relaxed = field.model_copy(update={"optional": optional})
        read = _join_reader(relaxed) if field.join else _first_reader(relaxed)
    if default is None:
        return read
    return lambda fields: read(fields) or default


def missing_columns(field: LogField, columns: frozenset[str]) -> list[str]:
    """Return the CSV columns that ``field`` needs and the header lacks."""
    if field.value is not None or field.optional or field.default is not None:
        return []
    if field.path is not None:
        return [] if field.path in columns else [field.path]
    if field.join:
        return [name for part in field.join for name in missing_columns(part, columns)]
    per_part = [missing_columns(part, columns) for part in field.first]
    return [] if any(not missing for missing in per_part) else per_part[0]


def _patterns(words: Mapping[str, str]) -> Callable[[str], str | None]:
    globs = [(re.compile(translate(word)), meaning) for word, meaning in words.items() if "*" in word]

    def find(word: str) -> str | None:
        if (exact := words.get(word)) is not None:
            return exact
        return next((meaning for pattern, meaning in globs if pattern.fullmatch(word)), None)

    return find


def word_reader(
    field: WordField, role: str, on_unknown: Callable[[str, str, str], None] = lambda *_: None
) -> Callable[[Mapping[str, Any]], str]:
    """Return the function that reads one of ChainSec's words (``role`` names what they are) out of a row.

    ``on_unknown`` is told the field, a word that has no meaning, and the default that it is taken for.
    """
    read = field_reader(field.model_copy(update={"default": None, "optional": field.default is not None}))
    find, name = _patterns(field.map), field_name(field)

    @lru_cache(_MEMO_WORDS)
    def translate_word(word: str) -> str:
        if (meaning := find(word)) is not None:
            return field.accept(meaning)
        try:
            return field.accept(word)
        except ValueError as error:
            if field.default is not None:
                if word:
                    on_unknown(name, word, field.default)
                return field.accept(field.default)
            raise RowDefect(
                f"unknown {role}" if word else "empty", str(error) if word else f"empty {role}", name
            ) from error

    if field.value is not None:
        constant = translate_word(field.value.strip())
        return lambda _fields: constant
    return lambda fields: translate_word((read(fields) or "").strip())


def time_reader(field: TimeField) -> Callable[[Mapping[str, Any]], int]:
    """Return the function that reads a time, Unix seconds from 0 to the end of the year 9999.

    >>> from chainsec.scenarios.mapping_fields import TimeField
    >>> read = time_reader(TimeField(path="at", zone="Europe/Berlin"))
    >>> read({"at": "2024-01-01T01:00:00"}), read({"at": "2024-01-01T00:00:00Z"})
    (1704067200, 1704067200)
    """
    read, name, zone, form = field_reader(field), field_name(field), field.tz(), field.format

    def parse(text: str) -> int:
        if form in ("epoch_s", "epoch_ms"):
            if not _NUMBER.fullmatch(text):
                raise ValueError("not a number")
            whole = int(text.partition(".")[0])
            return whole if form == "epoch_s" else whole // 1000
        moment = datetime.fromisoformat(text) if form == "iso8601" else datetime.strptime(text, form)  # noqa: DTZ007 - the zone comes next
        return int((moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp())

    def read_time(fields: Mapping[str, Any]) -> int:
        text = (read(fields) or "").strip()
        try:
            time_s = parse(text)
        except (ValueError, OverflowError) as error:
            reason = f"unreadable time {show(text)}, expected {form}" if text else "empty time"
            raise RowDefect("unreadable time", reason, name) from error
        if text.startswith("-") or not 0 <= time_s <= MAX_TIME_S:
            raise RowDefect("unreadable time", f"time {show(text)} lies outside 1970 to 9999", name)
        return time_s

    return read_time


def label_reader(field: LabelField) -> Callable[[Mapping[str, Any]], bool | None]:
    """Return the function that tells of a row whether access was denied; None where the label tells nothing."""
    read, name = field_reader(field), field_name(field)
    find = _patterns(dict.fromkeys(field.denied, "denied") | dict.fromkeys(field.granted, "granted"))

    @lru_cache(_MEMO_WORDS)
    def judge(word: str) -> bool | None:
        meaning = (find(word) or field.others) if word else field.absent
        if meaning == "bad":
            raise RowDefect(
                "unknown label" if word else "empty", f"unknown label {show(word)}" if word else "empty label", name
            )
        return None if meaning == "unknown" else meaning == "denied"

    return lambda fields: judge((read(fields) or "").strip())


def volume_reader(field: LogField) -> Callable[[Mapping[str, Any]], int | None]:
    """Return the function that reads a number of bytes, at least 0; None where the row tells none."""
    read, name = field_reader(field), field_name(field)

    def read_volume(fields: Mapping[str, Any]) -> int | None:
        text = (read(fields) or "").strip()
        if not text:
            return None
        if not _NUMBER.fullmatch(text) or text.startswith("-"):
            raise RowDefect("unreadable volume", f"{show(text)} is no number of bytes", name)
        return int(text.partition(".")[0])

    return read_volume
