"""The kinds of field a mapping has: where a fact stands in a row of a log, and which words it may hold.

Layer: scenarios, below ``mapping``. Not here: reading a value out of a row (``extraction``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping  # noqa: TC003 - pydantic evaluates the annotations
from datetime import UTC, datetime, tzinfo
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from chainsec.errors import UnknownPurpose
from chainsec.primitives import Scope
from chainsec.purposes import find_purpose
from chainsec.scenarios.defects import show

ROW_ORDER = "row order"
MAX_SENSITIVITY = 3
_PROBE = datetime(2023, 11, 27, 22, 43, 51, tzinfo=UTC)


def _as_text(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else value


Word = Annotated[str, BeforeValidator(_as_text)]


class Table(BaseModel):
    """A table of the mapping file: frozen, and no key beyond those that are known."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LogField(Table):
    """Where one fact stands in a row. In TOML: a path, a list of paths joined into one, or a table of these keys.

    Args:
        path: a CSV column, or a dotted path into JSON (``user.name``, ``resources.0.ARN``).
        join: parts that together make the value; a separator inside a part is escaped, so no two differ and look alike.
        first: alternatives, the first that is there and not empty.
        value: a constant.
        separator: what stands between joined parts.
        optional: whether a row (or a CSV header) may lack it.
        default: what stands where it is lacking or empty; implies ``optional``.
        stand_in: why this stands for something that the log does not have; ends in the report.

    >>> LogField.model_validate(["dept", "title"]).join[1].path
    'title'
    """

    path: Annotated[str, Field(min_length=1)] | None = None
    join: tuple[LogField, ...] = ()
    first: tuple[LogField, ...] = ()
    value: Word | None = None
    separator: Annotated[str, Field(min_length=1, max_length=8)] = "|"
    optional: bool = False
    default: Word | None = None
    stand_in: str = ""

    @model_validator(mode="before")
    @classmethod
    def _take_short_form(cls, given: Any) -> Any:
        if isinstance(given, str):
            return {"path": given}
        if isinstance(given, list):
            return {"join": given}
        if not isinstance(given, (dict, LogField)):
            raise ValueError("a field is a path, a list of paths, or a table")  # noqa: TRY004 - pydantic wants it
        return given

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        sources = [self.path is not None, bool(self.join), bool(self.first), self.value is not None]
        if sum(sources) != 1:
            raise ValueError("needs exactly one of path, join, first and value")
        if "\\" in self.separator:
            raise ValueError("separator must not hold a backslash, which escapes it")
        return self

    def paths(self) -> frozenset[str]:
        """Return every path that the field may be read from.

        >>> sorted(LogField.model_validate(["a", {"first": ["b", "c.d"]}]).paths())
        ['a', 'b', 'c.d']
        """
        own = frozenset() if self.path is None else frozenset({self.path})
        return own.union(*(part.paths() for part in (*self.join, *self.first)))


class WordField(LogField):
    """A fact with few values. Words of the log are turned into ChainSec's by ``map``.

    Args:
        map: word of the log to word of ChainSec; ``*`` in a word stands for any text, exact words win.
        default: what a missing, empty or unmapped word stands for; without it such a row is bad.
    """

    map: Mapping[str, Word] = Field(default_factory=dict)

    @classmethod
    def accept(cls, word: str) -> str:
        """Return ChainSec's spelling of ``word``.

        Raises:
            ValueError: ChainSec has no such word.
        """
        raise NotImplementedError

    @model_validator(mode="after")
    def _check_words(self) -> Self:
        for word in (*self.map.values(), *(word for word in (self.value, self.default) if word is not None)):
            self.accept(word)
        return self


class ActionField(WordField):
    """What was to be done: ``read``, ``write`` or ``export``."""

    @classmethod
    def accept(cls, word: str) -> str:
        """Return ``word`` in lower case if it is an action."""
        action = word.lower()
        if action.upper() not in Scope.__members__:
            raise ValueError(f"{show(word)} is no action; actions are read, write and export")
        return action


class PurposeField(WordField):
    """Why it was asked for: a purpose of ``chainsec.purposes``, by short name or IRI."""

    @classmethod
    def accept(cls, word: str) -> str:
        """Return the short name of the purpose that ``word`` names."""
        try:
            return find_purpose(word).name
        except UnknownPurpose as error:
            raise ValueError(f"{show(word)} is no known purpose") from error


class SensitivityField(WordField):
    """How sensitive the asset is: 0 (public) to 3. In TOML also a bare number."""

    @model_validator(mode="before")
    @classmethod
    def _take_number(cls, given: Any) -> Any:
        return {"value": given} if isinstance(given, int) else given

    @classmethod
    def accept(cls, word: str) -> str:
        """Return ``word`` if it is a level."""
        if word not in {str(level) for level in range(MAX_SENSITIVITY + 1)}:
            raise ValueError(f"{show(word)} is no sensitivity; levels are 0 to {MAX_SENSITIVITY}")
        return word


class TimeField(LogField):
    """When it was asked for.

    Args:
        format: ``iso8601``, ``epoch_s``, ``epoch_ms``, or a pattern for ``datetime.strptime``.
        zone: IANA name of the zone of times that carry none.
    """

    format: str = "iso8601"
    zone: str = "UTC"

    def tz(self) -> tzinfo:
        """Return the zone of times that carry none."""
        return UTC if self.zone == "UTC" else ZoneInfo(self.zone)

    @model_validator(mode="after")
    def _check_format(self) -> Self:
        if self.value is not None:
            raise ValueError(f'a constant is no time; say time = "{ROW_ORDER}" where the log has none')
        try:
            self.tz()
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"zone: {show(self.zone)} is no time zone") from error
        if self.format in ("iso8601", "epoch_s", "epoch_ms"):
            return self
        reason = f"format: {show(self.format)} is neither iso8601, epoch_s, epoch_ms nor a strptime pattern"
        if "%" not in self.format:
            raise ValueError(reason)
        try:
            back = datetime.strptime(_PROBE.strftime(self.format), self.format)  # noqa: DTZ007 - only the date is used
        except (ValueError, re.error) as error:
            raise ValueError(f"{reason} ({error})") from error
        if back.date() != _PROBE.date():
            raise ValueError(f"format: {show(self.format)} does not hold year, month and day")
        return self


class LabelField(LogField):
    """What the answer was, where the log tells.

    Args:
        denied: values that mean denied; ``*`` stands for any text.
        granted: values that mean granted; ``*`` as above.
        others: what any other value is: a ``bad`` row, ``unknown``, or ``granted``.
        absent: what a missing or empty label is, likewise.
    """

    denied: Annotated[tuple[Word, ...], Field(min_length=1)]
    granted: tuple[Word, ...] = ()
    others: Literal["bad", "unknown", "granted"] = "bad"
    absent: Literal["bad", "unknown", "granted"] = "bad"

    @model_validator(mode="after")
    def _check_values(self) -> Self:
        if both := set(self.denied) & set(self.granted):
            raise ValueError(f"{show(min(both))} cannot mean both denied and granted")
        if not self.granted and "granted" not in (self.others, self.absent):
            raise ValueError('nothing would mean granted: list granted = [...], or set others or absent to "granted"')
        return self
