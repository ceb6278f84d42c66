"""The directory a run lives in: settings, chain, contexts, receipts, uses, outcomes, models, report, seal.

Layer: scenarios. Not here: what is written (``play``) and how it is proved (``audit``).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import stat
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Self

from chainsec.digest import canonical_json, parse_canonical
from chainsec.errors import BadInput, RunInUse, RunMismatch
from chainsec.journal import Journal, write_atomically
from chainsec.services.audit import MODELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

FORMAT = 1
SETTINGS = "run.json"
CHAIN = "chain.sqlite"
CHAIN_FILES = (CHAIN, f"{CHAIN}-wal", f"{CHAIN}-journal", f"{CHAIN}.seal")
"""What a chain consists of, besides what SQLite makes again by itself."""
HEADERS = "headers.txt"
"""The sealed headers of a chain that validators agreed on."""
JOURNALS = ("contexts", "receipts", "uses", "outcomes")
SEAL = "seal.json"
TIMINGS = "timings.jsonl"
LOCK = ".lock"

_TIMED = {"decisions", "request_ms", "decision_ms"}

_OWN_FILES = re.compile(
    rf"{re.escape(CHAIN)}(-wal|-shm|-journal|\.seal|\.new)?|({'|'.join(JOURNALS)})\.jsonl|{re.escape(TIMINGS)}"
    rf"|{re.escape(HEADERS)}"
    r"|(run|seal|report)\.json|report\.html|models|\.lock|\.report-staging"
)
_PLAIN = os.O_NOFOLLOW | os.O_NONBLOCK
"""Flags that open no link, and wait at no pipe."""
_DRAFT = re.compile(r"\.[a-z]+\.json\.\d+")
"""What a killed ``write_atomically`` leaves behind."""


class RunDirectory:
    """One run's files, locked for one process.

    Args:
        path: made where it is missing.
        settings: everything the run follows from, JSON values. A directory that holds a run with other settings
            is refused, so that nothing of an earlier run is ever mixed with a later one.

    Raises:
        BadInput: the settings cannot be written as JSON; nothing was made.
        RunInUse: another process works here.
        RunMismatch: the directory holds another run, or files that are no run; or its measurements cannot be read.

    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp()) / "run"
    >>> with RunDirectory(folder, {"seed": 1}) as directory:
    ...     directory.is_finished, directory.chain_path.name
    (False, 'chain.sqlite')
    >>> RunDirectory(folder, {"seed": 2})
    Traceback (most recent call last):
    chainsec.errors.RunMismatch: ...: holds a run with another seed; choose another directory or start afresh
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        self.settings = settings_content(settings)
        _refuse_strangers(path)
        path.mkdir(parents=True, exist_ok=True)
        with ExitStack() as opened:
            opened.enter_context(_locked(path))
            self._settle_settings(self.settings)
            if not self.is_finished:
                _clean(path)
                self.timings()  # what cannot be read is said before hours of work, not after
            journals = [Journal(path / f"{name}.jsonl") for name in JOURNALS]
            for journal in journals:
                opened.callback(journal.close)
            self.contexts, self.receipts, self.uses, self.outcomes = journals
            self._opened = opened.pop_all()

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
        self._opened.close()

    def keep_model(self, digest: str, files: Mapping[str, bytes]) -> None:
        """Write a model's canonical files under its digest, each whole or not at all.

        Raises:
            RunMismatch: another file stands there.
        """
        folder = self.path / MODELS / digest
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in sorted(files.items()):
            file = folder / name
            if not file.exists():
                write_atomically(file, content)
            elif file.read_bytes() != content:
                raise RunMismatch(f"{file}: is not the file that this run writes there", path=str(file))

    def keep_headers(self, content: bytes) -> None:
        """Write the headers that validators have sealed."""
        write_atomically(self.path / HEADERS, content)

    def require_consumed(self) -> None:
        """Refuse records beyond the end of the run. Raises: RunMismatch."""
        for journal in (self.contexts, self.receipts, self.uses, self.outcomes):
            journal.require_consumed()

    def note_timing(self, record: Mapping[str, Any]) -> None:
        """Keep a wall-clock measurement; these are no evidence and differ from run to run.

        Args:
            record: number of ``decisions``, and the milliseconds it took to file the requests and to decide them,
                ``request_ms`` and ``decision_ms``.
        """
        with (self.path / TIMINGS).open("ab") as file:
            file.write(canonical_json(record) + b"\n")

    def timings(self) -> list[dict[str, Any]]:
        """Return the measurements of every start of this run.

        Raises:
            RunMismatch: a line is none.
        """
        path = self.path / TIMINGS
        found = []
        for number, line in enumerate(path.read_bytes().split(b"\n")[:-1] if path.exists() else (), 1):
            try:
                record = parse_canonical(line)
            except ValueError:
                record = None
            if not _is_measurement(record):
                raise RunMismatch(f"{path}: line {number} is no measurement", path=str(path), line=number)
            found.append(record)
        return found

    def seal(self) -> None:
        """Write the digest of every file: from now on one flipped byte anywhere shows.

        What is sealed is on the disk first, so that no crash leaves a seal over files that are not there.
        """
        digests = digest_files(self.path)
        for name in digests:
            sync(self.path / name)
        write_atomically(self.path / SEAL, seal_content(digests))
        sync(self.path)

    def _settle_settings(self, content: bytes) -> None:
        path = self.path / SETTINGS
        if not path.exists():
            write_atomically(path, content)
            return
        found = path.read_bytes()
        if found == content:
            return
        key = _first_difference(parse_canonical(found), parse_canonical(content)) or "way of writing"
        raise RunMismatch(
            f"{self.path}: holds a run with another {key}; choose another directory or start afresh",
            path=str(self.path),
            key=key,
        )


def settings_content(settings: Mapping[str, Any]) -> bytes:
    """Return the text of ``run.json``.

    Raises:
        BadInput: the settings are no JSON, as where a log's name is no UTF-8.
    """
    try:
        return canonical_json(settings)
    except ValueError as error:
        shown = ascii(str(error))[1:-1]
        raise BadInput(f"the run's settings cannot be written as JSON: {shown}") from error


def find_odd_file(path: Path) -> str | None:
    """Return the relative name of something in a run that is neither a file nor a folder, None where there is nothing.

    Whoever wrote a run may have put a pipe or a link where a file belongs, and reading that might never end.
    """
    for folder, folders, files in os.walk(path):
        for name in sorted(folders + files):
            entry = os.path.join(folder, name)  # noqa: PTH118 - names may be no text that a Path prints
            try:
                mode = os.lstat(entry).st_mode
            except FileNotFoundError:
                continue
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                return ascii(os.path.relpath(entry, path))[1:-1]
    return None


def digest_files(path: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of a run except its seal and its lock, by relative name."""
    digests = {}
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path).as_posix()
        if name in {SEAL, LOCK} or (file.is_dir() and not file.is_symlink()):
            continue
        if file.is_symlink() or not file.is_file():
            digests[name] = "no file"
            continue
        with file.open("rb") as content:
            digests[name] = hashlib.file_digest(content, "sha256").hexdigest()
    return digests


def seal_content(digests: Mapping[str, str]) -> bytes:
    """Return the text of a seal over files with these digests.

    Its own digest tells a broken seal from a broken file.
    """
    whole = hashlib.sha256(canonical_json(digests)).hexdigest()
    return canonical_json({"format": FORMAT, "files": dict(digests), "digest": whole})


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Keep a run's directory as it is while it is read; nothing in it is touched.

    Raises:
        RunInUse: a process works there, so that its files do not fit together at any moment.
    """
    try:
        descriptor = os.open(path / LOCK, os.O_RDONLY | _PLAIN)
    except OSError:  # a copy without its lock: nobody works there
        yield
        return
    try:
        _take(descriptor, fcntl.LOCK_SH, path)
        yield
    finally:
        os.close(descriptor)


def discard_run(path: Path) -> None:
    """Delete the run in ``path``, if there is one.

    Raises:
        RunMismatch: the directory holds something else, or something besides a run.
        RunInUse: another process works there.
    """
    _refuse_strangers(path)
    if not path.exists():
        return
    for file in sorted(path.iterdir()):
        if not _OWN_FILES.fullmatch(file.name) and not _DRAFT.fullmatch(file.name):
            raise RunMismatch(
                f"{path}: holds {file.name}, which is no part of a run; nothing was deleted", path=str(path)
            )
    with _locked(path):
        shutil.rmtree(path)


def _refuse_strangers(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise RunMismatch(f"{path}: is not a directory", path=str(path))
    odd = find_odd_file(path)
    if odd is not None:
        raise RunMismatch(f"{path}: {odd} is no regular file", path=str(path))
    names = {file.name for file in path.iterdir()} - {LOCK} if path.exists() else set()
    if SETTINGS in names:
        try:
            settings = parse_canonical((path / SETTINGS).read_bytes())
        except ValueError:
            settings = None
        if not isinstance(settings, dict):
            raise RunMismatch(f"{path}: its {SETTINGS} is not that of a run", path=str(path))
    elif not all(_DRAFT.fullmatch(name) for name in names):
        raise RunMismatch(f"{path}: is not empty and holds no run", path=str(path))


def _is_measurement(record: Any) -> bool:
    if not isinstance(record, dict) or record.keys() != _TIMED:
        return False
    return all(type(value) in {int, float} and value >= 0 for value in record.values())


def _clean(path: Path) -> None:
    """Remove what a killed process left half-written, and cut a torn measurement off."""
    for draft in path.rglob(".*.json.*"):
        if _DRAFT.fullmatch(draft.name):
            draft.unlink()
    (path / f"{CHAIN}.new").unlink(missing_ok=True)
    timings = path / TIMINGS
    if timings.exists():
        whole = timings.read_bytes().rfind(b"\n") + 1
        os.truncate(timings, whole)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | _PLAIN, 0o644)
    try:
        _take(descriptor, fcntl.LOCK_EX, path)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, kind: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        raise RunInUse(f"{path}: another process works in this run", path=str(path)) from error


def sync(path: Path) -> None:
    """Return once a file's content, or a folder's entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _first_difference(old: Any, new: Any, prefix: str = "") -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        # where a run begins follows from the workload, so that what was asked for is named first
        for key in sorted({*old, *new}, key=lambda key: (key == "config", key)):
            if old.get(key) != new.get(key):
                return _first_difference(old.get(key), new.get(key), f"{prefix}.{key}" if prefix else key)
    return prefix
