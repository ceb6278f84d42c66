"""The directory a run lives in: settings, chain, contexts, receipts, uses, outcomes, models, report, seal.

Layer: scenarios. Not here: what is written (``play``) and how it is verified (``verify``).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from chainsec.digest import canonical_json
from chainsec.errors import RunInUse, RunMismatch
from chainsec.journal import Journal, write_atomically

SETTINGS = "run.json"
CHAIN = "chain.sqlite"
JOURNALS = ("contexts", "receipts", "uses", "outcomes")
SEAL = "seal.json"
TIMINGS = "timings.jsonl"
LOCK = ".lock"


class RunDirectory:
    """One run's files, locked for one process.

    Args:
        path: made where it is missing.
        settings: everything the run follows from, JSON values. A directory that holds a run with other settings
            is refused, so that nothing of an earlier run is ever mixed with a later one.

    Raises:
        RunInUse: another process works here.
        RunMismatch: the directory holds another run, or files that are no run.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        _refuse_strangers(path)
        path.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(path)
        try:
            self._settle_settings(settings)
        except BaseException:
            os.close(self._lock)
            raise
        self.contexts, self.receipts, self.uses, self.outcomes = (
            Journal(path / f"{name}.jsonl") for name in JOURNALS
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def chain_path(self) -> Path:
        """Where the chain is kept."""
        return self.path / CHAIN

    @property
    def is_finished(self) -> bool:
        """Whether the run has come to its end and was sealed."""
        return (self.path / SEAL).exists()

    def close(self) -> None:
        """Flush everything and give the lock back."""
        for journal in (self.contexts, self.receipts, self.uses, self.outcomes):
            journal.close()
        os.close(self._lock)

    def keep_model(self, digest: str, files: Mapping[str, bytes]) -> None:
        """Write a model's canonical files under its digest, each whole or not at all."""
        folder = self.path / "models" / digest
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in sorted(files.items()):
            if not (folder / name).exists():
                write_atomically(folder / name, content)

    def require_consumed(self) -> None:
        """Refuse records beyond the end of the run. Raises: RunMismatch."""
        for journal in (self.contexts, self.receipts, self.uses, self.outcomes):
            journal.require_consumed()

    def note_timing(self, record: Mapping[str, Any]) -> None:
        """Keep a wall-clock measurement; these are no evidence and differ from run to run."""
        with (self.path / TIMINGS).open("ab") as file:
            file.write(canonical_json(record) + b"\n")

    def timings(self) -> list[dict[str, Any]]:
        """Return the measurements of every start of this run; a torn last line is passed over."""
        path = self.path / TIMINGS
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in lines]

    def seal(self) -> None:
        """Write the digest of every file: from now on one flipped byte anywhere shows."""
        write_atomically(self.path / SEAL, seal_content(digest_files(self.path)))

    def _settle_settings(self, settings: Mapping[str, Any]) -> None:
        path = self.path / SETTINGS
        content = canonical_json(settings)
        if not path.exists():
            write_atomically(path, content)
        elif path.read_bytes() != content:
            key = _first_difference(json.loads(path.read_bytes()), json.loads(content))
            raise RunMismatch(
                f"{self.path}: holds a run with another {key}; choose another directory or start afresh",
                path=str(self.path),
                key=key,
            )


def digest_files(path: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of a run except seal, lock and drafts, by relative name."""
    digests = {}
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path).as_posix()
        if file.is_file() and name not in (SEAL, LOCK) and not file.name.startswith("."):
            with file.open("rb") as content:
                digests[name] = hashlib.file_digest(content, "sha256").hexdigest()
    return digests


def discard_run(path: Path) -> None:
    """Delete the run in ``path``, if there is one.

    Raises:
        RunMismatch: the directory holds something else.
        RunInUse: another process works there.
    """
    _refuse_strangers(path)
    if path.exists():
        os.close(_lock(path))
        shutil.rmtree(path)


def seal_content(digests: Mapping[str, str]) -> bytes:
    """Return the text of a seal over files with these digests."""
    return canonical_json({"format": 1, "files": dict(digests)})


def _refuse_strangers(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise RunMismatch(f"{path}: is not a directory", path=str(path))
    names = {file.name for file in path.iterdir()} - {LOCK} if path.exists() else set()
    if names and SETTINGS not in names and not all(name.startswith(f".{SETTINGS}") for name in names):
        raise RunMismatch(f"{path}: is not empty and holds no run", path=str(path))


def _lock(path: Path) -> int:
    descriptor = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise RunInUse(f"{path}: another process works in this run", path=str(path)) from error
    return descriptor


def _first_difference(old: Any, new: Any, prefix: str = "") -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            if old.get(key) != new.get(key):
                return _first_difference(old.get(key), new.get(key), f"{prefix}.{key}" if prefix else key)
    return prefix
