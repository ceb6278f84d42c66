"""Applies a mapping to the rows of a log: each row becomes an ``Attempt`` or a ``RowDefect``.

Layer: scenarios, between ``mapping`` and ``replay``. Not here: reading files, splitting history from live.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple

from chainsec.scenarios.defects import RowDefect, bad_input, show
from chainsec.scenarios.field_readers import (
    field_name,
    field_reader,
    label_reader,
    missing_columns,
    time_reader,
    volume_reader,
    word_reader,
)
from chainsec.scenarios.workload import Attempt, PlannedUse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chainsec.errors import BadInput
    from chainsec.scenarios.logs import Log, LogRow
    from chainsec.scenarios.mapping import LogMapping
    from chainsec.scenarios.mapping_fields import LogField

DEFAULT_ORGANISATION = "operator"
LABEL_DELAY_S = 1
_MAX_COMPARED_COLUMNS = 1_000


class Extracted(NamedTuple):
    """What one row says, and which row of the log it is, the first one being 1."""

    attempt: Attempt
    organisation: str
    sensitivity: int
    record: int


class Extractor:
    """A mapping made ready for one log.

    Args:
        mapping: what the log's parts mean.
        log: the open log, whose header must have every column that the mapping needs.
        on_unknown: told of words that a default stands for, as ``word_reader`` says.

    Raises:
        BadInput: the header lacks a column. Never skipped.
    """

    def __init__(
        self, mapping: LogMapping, log: Log, on_unknown: Callable[[str, str, str], None] = lambda *_: None
    ) -> None:
        self._mapping = mapping
        self._check_columns(log)
        self._requester = self._name_reader(mapping.requester, "requester")
        self._asset = self._name_reader(mapping.asset, "asset")
        self._organisation = self._name_reader(mapping.organisation, "organisation") if mapping.organisation else None
        self._time = time_reader(mapping.time) if mapping.time else None
        self._action = word_reader(mapping.action, "action", on_unknown)
        self._purpose = word_reader(mapping.purpose, "purpose", on_unknown)
        self._sensitivity = word_reader(mapping.sensitivity, "sensitivity", on_unknown)
        self._attributes = [(name, field_reader(field)) for name, field in mapping.attributes.items()]
        self._text = field_reader(mapping.text) if mapping.text else None
        self._label = label_reader(mapping.label) if mapping.label else None
        self._volume = volume_reader(mapping.volume_bytes) if mapping.volume_bytes else None
        self._memo: dict[str, str] = {}

    def _check_columns(self, log: Log) -> None:
        if log.columns is None:
            return
        columns = frozenset(log.columns)
        for role, field in self._mapping.mapped_fields():
            for name in missing_columns(field, columns):
                raise self._missing(log, name, role)

    def _missing(self, log: Log, name: str, role: str) -> BadInput:
        nearest = get_close_matches(name, (log.columns or ())[:_MAX_COMPARED_COLUMNS], 1, 0.0)
        reason = f"no such column, mapped as {role}; the nearest of {len(log.columns or ())} is {show(nearest[0])}"
        return bad_input(log.path, log.header_line, reason, name)

    def _name_reader(self, field: LogField, role: str) -> Callable[[Mapping[str, Any]], str]:
        read, name = field_reader(field), field_name(field)

        def read_name(fields: Mapping[str, Any]) -> str:
            text = (read(fields) or "").strip()
            if not text:
                raise RowDefect("empty", f"empty {role}", name)
            return self._memo.setdefault(text, text)

        return read_name

    def _uses(self, fields: Mapping[str, Any], action: str) -> tuple[PlannedUse, ...]:
        volume_bytes = self._volume(fields) if self._volume else None
        return () if volume_bytes is None else (PlannedUse(after_s=1, action=action, volume_bytes=volume_bytes),)

    def extract(self, row: LogRow) -> Extracted:
        """Return what ``row`` says.

        Raises:
            RowDefect: a field is missing, empty, unreadable or unknown.
        """
        fields, memo = row.fields, self._memo
        time_s = self._time(fields) if self._time else row.record
        action = self._action(fields)
        denied = self._label(fields) if self._label else None
        attributes = {
            name: memo.setdefault(value, value)
            for name, read in self._attributes
            if (value := (read(fields) or "").strip())
        }
        attempt = Attempt(
            time_s=time_s,
            requester=self._requester(fields),
            asset=self._asset(fields),
            action=action,
            purpose=self._purpose(fields),
            duration_s=self._mapping.duration_s,
            attributes=attributes,
            text=(self._text(fields) if self._text else None) or "",
            denied=denied,
            label_at_s=None if denied is None else time_s + LABEL_DELAY_S,
            uses=self._uses(fields, action),
            row=row.record if row.in_array else row.line,
        )
        organisation = self._organisation(fields) if self._organisation else DEFAULT_ORGANISATION
        return Extracted(attempt, organisation, int(self._sensitivity(fields)), row.record)
