"""Turns a log of real access requests into a workload: history to learn from, and a live part to decide.

Layer: scenarios. Not here: deciding anything, or the chain. A replay draws nothing at random.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from chainsec.errors import BadInput, ConfigError
from chainsec.primitives import ACTION_SCOPES
from chainsec.scenarios.defects import Defects, RowDefect, bad_input
from chainsec.scenarios.extraction import DEFAULT_ORGANISATION, Extracted, Extractor
from chainsec.scenarios.field_readers import field_name
from chainsec.scenarios.logs import open_log
from chainsec.scenarios.mapping import LogMapping, load_mapping
from chainsec.scenarios.workload import Attempt, ConsentTerms, Member, Record, Workload

CONSENT_MARGIN_S = 30 * 24 * 3600
MOST_SPAN_S = 20 * 366 * 24 * 3600
"""The longest that a log may last: beyond that a time is mistyped, and no chain of a run lasts as long."""
_ROWS_PER_PROGRESS = 2_000

Progress = Callable[[int, int | None], None]
"""Takes the bytes of the log read so far, and in all (None where that is not known)."""


@dataclass(frozen=True)
class ReplayWorkload(Workload):
    """A workload from a log, with what is to be said about how it was read.

    Args:
        notes: sentences for the report: what stands in for what, what was sorted, what was skipped.
        skipped_by_reason: number of skipped rows by kind.
        skipped_rows: the first 10,000 skipped rows as (file line, reason).
        out_of_order: rows that stood after a row of a later time.
        mapping_digest: hash of the mapping's settings.
    """

    notes: tuple[str, ...] = ()
    skipped_by_reason: Mapping[str, int] = field(default_factory=dict)
    skipped_rows: tuple[tuple[int, str], ...] = ()
    out_of_order: int = 0
    mapping_digest: str = ""


def read_attempts(
    log: str | Path,
    mapping: LogMapping,
    defects: Defects,
    *,
    limit: int | None = None,
    on_progress: Progress | None = None,
) -> list[Extracted]:
    """Return what the rows of ``log`` say, in file order.

    Args:
        log: file to read.
        mapping: what its parts mean.
        defects: takes every bad row.
        limit: stop after so many good rows.
        on_progress: called now and then, and at the end.

    Raises:
        BadInput: a bad row that is not to be skipped, a missing column, or no usable row at all.
    """
    found: list[Extracted] = []
    with open_log(log, mapping.delimiter) as opened:
        extractor = Extractor(mapping, opened, defects.note_unknown)
        for row in opened.rows(defects):
            try:
                found.append(extractor.extract(row))
            except RowDefect as defect:
                defects.add(row.line, defect, row.record if row.in_array else 0)
            if on_progress and row.record % _ROWS_PER_PROGRESS == 0:
                on_progress(opened.read_bytes, opened.total_bytes)
            if limit is not None and len(found) >= limit:
                break
        if on_progress:
            on_progress(opened.read_bytes, opened.total_bytes)
    if not found and defects.first:
        first = defects.first
        raise BadInput(f"{first}; all {defects.total} rows are bad, so that nothing is left", **first.facts)
    return found


def _split(attempts: Sequence[Attempt], history: float, log: str) -> int:
    at = int(len(attempts) * history)
    for side, count in (("history", at), ("live part", len(attempts) - at)):
        if count == 0:
            raise ConfigError(
                f"{log}: history {history} of {len(attempts)} rows leaves the {side} empty",
                path=log,
                field="history",
                value=history,
            )
    return at


def _check_span(attempts: Sequence[Attempt], log: str, field_of_time: str) -> None:
    """Refuse times too far apart by the row that lies furthest from the others. Raises: BadInput."""
    first, middle, last = attempts[0], attempts[len(attempts) // 2], attempts[-1]
    if last.time_s - first.time_s <= MOST_SPAN_S:
        return
    odd = last if last.time_s - middle.time_s >= middle.time_s - first.time_s else first
    shown = datetime.fromtimestamp(odd.time_s, UTC).date().isoformat()
    reason = f"{shown} is more than 20 years from other rows of this log; is the year mistyped?"
    raise bad_input(log, odd.row, reason, field_of_time)


def _grant_consents(found: Sequence[Extracted], members: Mapping[str, str], until_s: int) -> tuple[ConsentTerms, ...]:
    scopes: dict[tuple[str, str, str], int] = {}
    for attempt, _, _, _ in found:
        key = (attempt.asset, members[attempt.requester], attempt.purpose)
        scopes[key] = scopes.get(key, 0) | int(ACTION_SCOPES[attempt.action])
    return tuple(
        ConsentTerms(record=asset, grantee=grantee, purpose=purpose, scope=scope, until_s=until_s)
        for (asset, grantee, purpose), scope in scopes.items()
    )


def _describe(mapping: LogMapping, defects: Defects, out_of_order: int, moved: int) -> tuple[str, ...]:
    notes = [f"{role}: {field.stand_in}" for role, field in mapping.mapped_fields() if field.stand_in]
    if not mapping.has_clock:
        notes.append("time: the log has none; the order of its rows stands for it")
    if out_of_order:
        notes.append(f"{out_of_order} rows stood after a row of a later time; all rows were sorted by time")
    if moved:
        notes.append(f"{moved} requesters appear in more than one organisation; the first one holds")
    if defects.total:
        kinds = ", ".join(f"{count} {kind}" for kind, count in defects.counts.most_common())
        notes.append(f"{defects.total} bad rows were skipped: {kinds}")
    return (*notes, *defects.list_unknown())


def build_replay(
    log: str | Path,
    mapping: LogMapping | str | Path,
    *,
    history: float = 0.5,
    limit: int | None = None,
    skip_bad: bool = False,
    on_progress: Progress | None = None,
) -> ReplayWorkload:
    """Return the workload that replays ``log``.

    The log's operator owns every asset, and consents to each asset and purpose that the log shows for the
    organisation that asked, with the scope it asked for: what is left to decide is the agent's part.

    Args:
        log: CSV, JSON Lines or a JSON array of records, each also as gzip.
        mapping: what the log's parts mean, or the name or path of a mapping.
        history: share of the rows, earliest first, that the agent learns from, in (0, 1).
        limit: take only the first so many good rows of the file, at least 2.
        skip_bad: count bad rows instead of failing at the first.
        on_progress: called with the bytes read and the bytes in all.

    Raises:
        ConfigError: ``history`` or ``limit`` out of range, an empty side, or a bad mapping.
        BadInput: a bad row, named by file, line and field; a missing column; a log without a usable row; times
            more than 20 years apart.

    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "log.csv"
    >>> _ = path.write_text('''time,requester,asset,outcome
    ... 2024-05-01T08:00:00Z,ann,scan-1,granted
    ... 2024-05-01T09:00:00Z,bob,scan-1,denied
    ... ''')
    >>> workload = build_replay(path, "generic_csv")
    >>> [attempt.requester for attempt in workload.history], workload.live[0].denied
    (['ann'], True)
    """
    if not 0 < history < 1:
        raise ConfigError(f"history must lie between 0 and 1, not {history}", field="history", value=history)
    if limit is not None and limit < 2:  # noqa: PLR2004 - one row for each side
        raise ConfigError(f"limit must be at least 2, not {limit}", field="limit", value=limit)
    if not isinstance(mapping, LogMapping):
        mapping = load_mapping(mapping)
    defects = Defects(log, skip_bad=skip_bad)
    found = read_attempts(log, mapping, defects, limit=limit, on_progress=on_progress)
    out_of_order = _count_late(found)
    found.sort(key=lambda one: one.attempt.time_s)
    attempts = [one.attempt for one in found]
    if mapping.time is not None:
        _check_span(attempts, str(log), field_name(mapping.time))
    at = _split(attempts, history, str(log))

    members: dict[str, str] = {}
    moved: set[str] = set()
    levels: dict[str, int] = {}
    for attempt, organisation, sensitivity, _ in found:
        if members.setdefault(attempt.requester, organisation) != organisation:
            moved.add(attempt.requester)
        levels[attempt.asset] = max(sensitivity, levels.get(attempt.asset, 0))
    until_s = attempts[-1].time_s + mapping.duration_s + CONSENT_MARGIN_S
    return ReplayWorkload(
        name=f"replay of {Path(log).name}",
        organisations=tuple(dict.fromkeys((DEFAULT_ORGANISATION, *members.values()))),
        members=tuple(Member(name, organisation) for name, organisation in members.items()),
        records=tuple(
            Record(name, owner=DEFAULT_ORGANISATION, organisation=DEFAULT_ORGANISATION, sensitivity=level)
            for name, level in levels.items()
        ),
        consents=_grant_consents(found, members, until_s),
        history=tuple(attempts[:at]),
        live=tuple(attempts[at:]),
        skipped=defects.total,
        has_clock=mapping.has_clock,
        notes=_describe(mapping, defects, out_of_order, len(moved)),
        skipped_by_reason=dict(defects.counts),
        skipped_rows=tuple(defects.rows),
        out_of_order=out_of_order,
        mapping_digest=mapping.digest(),
    )


def _count_late(found: Sequence[Extracted]) -> int:
    latest, late = 0, 0
    for one in found:
        late += one.attempt.time_s < latest
        latest = max(latest, one.attempt.time_s)
    return late
