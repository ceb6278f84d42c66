"""Writes a run's trail for people and tools: every act on chain, in order, with the record that explains it.

Layer: scenarios. Not here: whether the evidence holds (``audit``).
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from chainsec.digest import canonical_json, keccak, parse_canonical
from chainsec.errors import AuditFailed, ConfigError
from chainsec.journal import write_atomically
from chainsec.primitives import Hash32
from chainsec.scenarios.audit import open_evidence, require_plain_files
from chainsec.scenarios.directory import reading

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COLUMNS = ("block", "time_s", "transaction", "log_index", "contract", "event", "arguments", "record")
_RECORD_FILES = ("contexts.jsonl", "receipts.jsonl")


def export_trail(path: Path, out: Path) -> tuple[Path, Path, int]:
    """Write ``trail.jsonl`` and ``trail.csv`` into ``out`` and return their paths and the number of rows.

    A row is one event, in chain order. ``record`` is the context or receipt whose hash the event carries.

    Raises:
        AuditFailed: there is no run, or its chain cannot be read.
        RunInUse: another process works on the run.
        ConfigError: ``out`` lies inside the run, whose seal would break.
    """
    if path.resolve() in (out.resolve(), *out.resolve().parents):
        raise ConfigError(f"{out}: lies inside the run; its seal would no longer hold", path=str(out))
    rows = list(_rows(path))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    for row in rows:
        writer.writerow({**row, "arguments": canonical_json(row["arguments"]).decode(), "record": _cell(row["record"])})
    out.mkdir(parents=True, exist_ok=True)
    lines, table = out / "trail.jsonl", out / "trail.csv"
    write_atomically(lines, b"".join(canonical_json(row) + b"\n" for row in rows))
    write_atomically(table, text.getvalue().encode())
    return lines, table, len(rows)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    require_plain_files(path)
    with reading(path), open_evidence(path) as (engine, contracts):
        records = _read_records(path)
        names = {contract.address: (name, contract) for name, contract in contracts.items()}
        head = engine.head().number
        times: dict[int, int] = {}
        for log in engine.logs(0, head, list(names)):
            name, contract = names[log.address]
            event = contract.decode_log(log)
            if event is None:
                continue
            time_s = times.setdefault(log.block_number, engine.block(log.block_number).timestamp)
            arguments = {key: _plain(value) for key, value in event.args.items()}
            proof = event.args.get("receipt") or event.args.get("context")
            yield {
                "block": log.block_number,
                "time_s": time_s,
                "transaction": str(log.transaction_hash),
                "log_index": log.log_index,
                "contract": name,
                "event": event.name,
                "arguments": arguments,
                "record": records.get(Hash32(proof)) if proof else None,
            }


def _read_records(path: Path) -> dict[Hash32, Any]:
    records = {}
    for name in _RECORD_FILES:
        try:
            lines = (path / name).read_bytes().split(b"\n")[:-1]
            records.update({Hash32(keccak(line)): parse_canonical(line) for line in lines})
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise AuditFailed(f"{name}: cannot be read: {reason}", path=path) from error
    return records


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return str(value) if type(value) is not bytes else "0x" + value.hex()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def _cell(record: Any) -> str:
    return "" if record is None else canonical_json(record).decode()
