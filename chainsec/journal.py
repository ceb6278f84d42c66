"""Append-only JSON Lines files that survive ``kill -9``: contexts, receipts, uses, outcomes.

Each line is canonical JSON and is itself the preimage of a hash on chain, so every byte counts. A run that
starts again writes the same lines in the same order; a line that stands already is compared, not written.
Layer: bottom, beside ``config``. Not here: what a line means; keeping a second writer out (``scenarios.directory``).
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from chainsec.digest import canonical_json, keccak
from chainsec.errors import RunMismatch
from chainsec.primitives import Hash32

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


class Journal:
    """One append-only file of canonical JSON lines.

    A torn last line, left by a crash in the middle of a write, is cut off when the file is opened. ``len`` and
    iteration speak of the lines that this run has come to; ``lines`` holds all, those of an earlier start too.

    Args:
        path: the file; made where it is missing. ``None`` keeps the lines in memory.

    Raises:
        OSError: the file cannot be opened for reading and writing.

    >>> journal = Journal(None)
    >>> [digest] = journal.append([{"b": 1, "a": 2}])
    >>> journal.lines
    [b'{"a":2,"b":1}']
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.lines: list[bytes] = []
        self._position = 0
        self._descriptor: int | None = None
        if path is not None:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                self.lines = _read_whole_lines(path, self._descriptor)
            except BaseException:
                os.close(self._descriptor)
                raise

    def append(self, records: Sequence[Mapping[str, Any]]) -> list[Hash32]:
        """Write ``records``, or find them written by an earlier start, and return their hashes.

        Either all of them stand afterwards or, on an error, none that did not stand before.

        Raises:
            RunMismatch: another record stands where this one belongs; names file and line.
            ValueError: a record is not JSON, or the journal is closed.
            OSError: the disk refuses the write.
        """
        if self.path is not None and self._descriptor is None:
            raise ValueError(f"{self.path}: the journal is closed")
        lines = [canonical_json(record) for record in records]
        known = min(len(lines), len(self.lines) - self._position)
        for offset in range(known):
            if self.lines[self._position + offset] != lines[offset]:
                raise RunMismatch(
                    f"{self.path}: line {self._position + offset + 1} is not the record this run writes there",
                    path=str(self.path),
                    line=self._position + offset + 1,
                )
        fresh = lines[known:]
        if fresh and self._descriptor is not None:
            _write_all(self._descriptor, b"".join(line + b"\n" for line in fresh))
        self.lines.extend(fresh)
        self._position += len(lines)
        return [Hash32(keccak(line)) for line in lines]

    def require_consumed(self) -> None:
        """Refuse lines that this run did not come to write.

        Raises:
            RunMismatch: the file goes on where the run has ended.
        """
        if self._position < len(self.lines):
            raise RunMismatch(
                f"{self.path}: line {self._position + 1} is beyond the end of this run",
                path=str(self.path),
                line=self._position + 1,
            )

    def close(self) -> None:
        """Flush to the disk and close; may be called twice. What was read or written can still be looked at."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def __len__(self) -> int:
        return self._position

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.lines[: self._position])


def _read_whole_lines(path: Path, descriptor: int) -> list[bytes]:
    """Return the file's whole lines and cut off what follows them."""
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole != len(content):
        os.ftruncate(descriptor, whole)
    return content[:whole].split(b"\n")[:-1]


def _write_all(descriptor: int, content: bytes) -> None:
    """Append ``content``; a disk that fills up in the middle is left as it was."""
    before = os.fstat(descriptor).st_size
    view = memoryview(content)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, before)
        raise


def write_atomically(path: Path, content: bytes) -> None:
    """Put ``content`` at ``path`` so that a crash leaves the old file or the new one, never a part.

    Raises:
        OSError: the disk refuses; the old file stands, and no draft of the new one.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
