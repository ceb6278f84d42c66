"""Contexts that gateways put into files, found by their hash.

Layer: attached. Not here: whether the agent accepts a context (``contexts``).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from chainsec.contexts import read_context
from chainsec.digest import keccak
from chainsec.primitives import Hash32

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

__all__ = ["Inbox"]

_SUFFIX = ".jsonl"
_LONGEST_LINE = 1 << 20


class Inbox:
    r"""Lines of the ``.jsonl`` files in a folder, each read once, as the files grow.

    A gateway writes a context there, one line of canonical JSON, before it files the request. Lines that are no
    context, or longer than a mebibyte, are passed over.

    Args:
        path: the folder, or one such file; it may come to be later.

    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "clinic.jsonl").write_bytes(b'{"a":1}\n{"b":')
    >>> inbox = Inbox(folder)
    >>> inbox.look()
    >>> inbox.find(Hash32(keccak(b'{"a":1}')))
    {'a': 1}
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_to: dict[tuple[int, int], int] = {}
        self._lines: dict[Hash32, bytes] = {}

    def find(self, digest: Hash32) -> dict[str, Any] | None:
        """Return the context with that hash, None where nobody had handed it in at the last look."""
        line = self._lines.get(digest)
        return None if line is None else read_context(line)

    def forget(self, digest: Hash32) -> None:
        """Drop a context that is kept elsewhere now."""
        self._lines.pop(digest, None)

    def look(self) -> None:
        """Read what was added since the last time."""
        if self._path.is_dir():
            files = sorted(file for file in self._path.iterdir() if file.suffix == _SUFFIX)
        else:
            files = [self._path] if self._path.exists() else []
        for file in files:
            self._read(file)

    def _read(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            facts = os.fstat(descriptor)
            key = (facts.st_dev, facts.st_ino)
            begun = self._read_to.get(key, 0)
            if facts.st_size < begun:  # written anew
                begun = 0
            file.seek(begun)
            while line := file.readline(_LONGEST_LINE + 1):
                if not line.endswith(b"\n"):
                    if len(line) <= _LONGEST_LINE:  # still being written
                        break
                    while line and not line.endswith(b"\n"):
                        line = file.readline(_LONGEST_LINE)
                    if not line:
                        break
                elif read_context(line[:-1]) is not None:
                    self._lines[Hash32(keccak(line[:-1]))] = line[:-1]
                begun = file.tell()
            self._read_to[key] = begun
