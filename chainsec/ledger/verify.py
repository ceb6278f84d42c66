"""Proves a stored chain by doing it again: every block is executed from the first, every record compared.

Works on a copy; the evidence is read only. Whatever the file holds, the end is a summary or ``AuditFailed`` with the
first record that differs. Layer: ledger. Not here: executing a stretch of it (``redo``); off-chain records.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from chainsec.errors import AuditFailed
from chainsec.ledger.records import Records, Text, describe, open_records
from chainsec.ledger.redo import LASTING, Proof, Stretch
from chainsec.ledger.seal import broken_frame, broken_page, wal_path
from chainsec.ledger.store import APPLICATION_ID, SCHEMA_VERSION, Store
from chainsec.primitives import Hash32

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["ChainSummary", "verify_chain"]

_LEAST_GAS = 20_000_000
"""Gas for which another process pays."""


@dataclass(frozen=True, slots=True)
class ChainSummary:
    """What was proved: ``blocks`` counts the first one too."""

    blocks: int
    transactions: int
    receipts: int
    head_hash: Hash32


def verify_chain(
    path: Path, on_block: Callable[[int, int], None] = lambda *_: None, *, processes: int = 1
) -> ChainSummary:
    """Re-link and re-execute the chain in ``path`` and compare every record with what that gives.

    Args:
        path: SQLite file of a chain, closed or left behind by a killed process.
        on_block: told how many blocks are proved, and of how many; the first block is not counted.
        processes: how many may work on it at once, this one included.

    Raises:
        AuditFailed: names the first record that differs, in the order of the chain.
    """
    try:
        return _prove(path, on_block, processes)
    except AuditFailed:
        raise
    except sqlite3.Error as error:
        raise AuditFailed(f"{path.name}: a page is unreadable: {error}", path=path) from error
    except Exception as error:
        raise AuditFailed(f"{path.name}: holds what no chain holds: {type(error).__name__}", path=path) from error


def _prove(path: Path, on_block: Callable[[int, int], None], processes: int) -> ChainSummary:
    if not path.is_file():
        raise AuditFailed(f"{path.name}: there is no such file", path=path)
    frame = broken_frame(path)
    if frame is not None:
        where = f"frame {frame}" if frame else "header"
        raise AuditFailed(f"{wal_path(path).name}: {where} was changed", path=path, frame=frame)
    with tempfile.TemporaryDirectory(prefix="chainsec-audit-") as folder:
        copy = Path(folder) / "chain.sqlite"
        shutil.copyfile(path, copy)
        if wal_path(path).exists():
            shutil.copyfile(wal_path(path), wal_path(copy))
        with open_records(copy, path.name) as records:
            _compare_schema(records)
            height = records.height()
            proofs = _prove_stretches(records, copy, _divide(records, height, processes), height, on_block)
            _compare_rest(records, height, proofs)
    page = broken_page(path)
    if page is not None:
        shown = f"page {page} is not as it was sealed, outside of any record"
        raise AuditFailed(f"{path.name}: {shown}", path=path, page=page)
    transactions = sum(proof.transactions for proof in proofs)
    return ChainSummary(height + 1, transactions, transactions, Hash32(proofs[-1].head_hash))


def _divide(records: Records, height: int, processes: int) -> list[tuple[int, int]]:
    """Return the first and last block of stretches of about equal gas, as the evidence tells it."""
    rows = records.db.execute("SELECT block, total(gas_used) FROM transactions GROUP BY block")
    gas = {block: max(0.0, used) for block, used in rows if type(block) is int and 0 < block < height}
    total = sum(gas.values())
    parts = min(processes, int(min(total / _LEAST_GAS, processes)))
    ends: list[int] = []
    passed = 0.0
    for block in sorted(gas):
        passed += gas[block]
        if len(ends) + 1 < parts and passed >= total * (len(ends) + 1) / parts:
            ends.append(block)
    return list(zip([0, *(end + 1 for end in ends)], [*ends, height], strict=True))


def _prove_stretches(
    records: Records,
    copy: Path,
    stretches: Sequence[tuple[int, int]],
    height: int,
    on_block: Callable[[int, int], None],
) -> list[Proof]:
    """Prove the first stretch here and the others in processes of their own; the first failure in the chain counts."""
    with ExitStack() as stack:
        helpers = [stack.enter_context(closing(_Helper(copy, records.name, *ends))) for ends in stretches[1:]]

        def tell(number: int) -> None:
            on_block(number + sum(helper.blocks for helper in helpers), height)

        proofs = [Stretch(records, *stretches[0]).prove(tell)]
        for helper in helpers:
            while helper.is_at_work(seconds=0.2):
                tell(stretches[0][1])
            proofs.append(helper.proof())
        if helpers:
            on_block(height, height)
        return proofs


class _Helper:
    """A process that proves a stretch. It ends with this one: nobody reads what it prints any more."""

    def __init__(self, copy: Path, name: str, first: int, last: int) -> None:
        self.blocks = 0
        self._stretch = f"blocks {first} to {last}"
        self._last_line = ""
        self._process = subprocess.Popen(  # noqa: S603 - this very interpreter and module
            [sys.executable, "-m", "chainsec.ledger.redo", str(copy), name, str(first), str(last)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self._listener = Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line == ".\n":
                self.blocks += 1
            else:
                self._last_line = line

    def is_at_work(self, seconds: float) -> bool:
        """Wait for at most so long and tell whether the process still works."""
        self._listener.join(seconds)
        return self._listener.is_alive()

    def proof(self) -> Proof:
        """Return the proof once the process has ended. Raises: AuditFailed: the stretch does not hold."""
        if self._process.wait() or not self._last_line:
            raise AuditFailed(f"{self._stretch}: the process that executed them ended with {self._process.returncode}")
        failed = json.loads(self._last_line).get("failed")
        if failed is not None:
            raise AuditFailed(failed)
        return Proof.from_json(self._last_line)

    def close(self) -> None:
        """End the process if it still works."""
        self._process.kill()
        self._process.wait()
        self._listener.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


def _compare_schema(records: Records) -> None:
    found = [records.db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
    if found != [APPLICATION_ID, SCHEMA_VERSION]:
        raise AuditFailed(f"{records.name}: is no chain of schema {SCHEMA_VERSION}")
    query = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY 1, 2"
    with closing(Store()) as store:
        expected = [tuple(map(_plain, row)) for row in store.query(query)]
    if [tuple(map(_plain, row)) for row in records.db.execute(query)] != expected:
        raise AuditFailed(f"{records.name}: its tables are not those of a chain")


def _compare_rest(records: Records, height: int, proofs: Sequence[Proof]) -> None:
    """Compare what every block overwrites, and find what no block wrote."""
    for key, value in zip(LASTING, proofs[-1].lasting, strict=True):
        if records.record(key) != value:
            raise AuditFailed(f"{describe(key)}: does not follow from the blocks", table="records")
    known = frozenset(LASTING).union(*(proof.keys for proof in proofs))
    for (key,) in records.db.execute("SELECT key FROM records ORDER BY key"):
        if key not in known:
            raise AuditFailed(f"{describe(_plain(key))}: does not follow from the blocks", table="records")
    _compare_settings(records, height)
    for table in ("transactions", "logs"):
        stray = f"SELECT block FROM {table} WHERE typeof(block) <> 'integer' OR block NOT BETWEEN 1 AND ?"  # noqa: S608 - the names above
        for (block,) in records.db.execute(stray, (height,)):
            raise AuditFailed(
                f"{table} row of block {_plain(block)!r:.80}: does not follow from the blocks", table=table
            )
    for (problem,) in records.db.execute("PRAGMA integrity_check(1)"):
        if problem.raw != b"ok":
            shown = problem.raw.decode(errors="replace").splitlines()[-1]
            raise AuditFailed(f"{records.name}: a page is unreadable: {shown}")


def _compare_settings(records: Records, height: int) -> None:
    settings = {
        "genesis": records.genesis().to_json(),
        "genesis_hash": records.header(0).hash,
        "height": str(height).encode(),
    }
    wanted = [(_plain(name), value) for name, value in settings.items()]
    rows = [tuple(map(_plain, row)) for row in records.db.execute("SELECT name, value FROM settings ORDER BY name")]
    for row, expected in zip_longest(rows, wanted):
        if row != expected:
            raise AuditFailed(f"settings row {(row or expected or ('',))[0]!r:.80}: does not follow from the blocks")


def _plain(value: Any) -> Any:
    if isinstance(value, Text):
        return ("text", value.raw)
    return ("text", value.encode()) if isinstance(value, str) else value
