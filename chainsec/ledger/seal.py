"""Checks the bytes of a chain file as bytes: between its records, and in a write-ahead log left by a killed process.

A database file has gaps that belong to no record. The seal of a closed one, a small file beside it, holds a hash of
every page. It is no evidence by itself (who changes a file may change its seal); records are proved by re-execution.
Layer: ledger. Not here: what the pages hold.
"""

from __future__ import annotations

import os
import struct
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["broken_frame", "broken_page", "remove_seal", "seal_path", "wal_path", "write_seal"]

_PAGE_BYTES = 4096
_HASH_BYTES = 16
_WAL_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
_WAL_MAGIC = 0x377F0682
_WAL_VERSION = 3_007_000
_MASK = 0xFFFF_FFFF


def seal_path(path: Path) -> Path:
    """Return where the seal of ``path`` lies.

    >>> from pathlib import Path
    >>> seal_path(Path("chain.sqlite")).name
    'chain.sqlite.seal'
    """
    return path.with_name(path.name + ".seal")


def _page_hashes(path: Path) -> list[bytes]:
    hashes = []
    with path.open("rb") as file:
        while page := file.read(_PAGE_BYTES):
            hashes.append(blake2b(page, digest_size=_HASH_BYTES).digest())
    return hashes


def write_seal(path: Path) -> None:
    """Seal ``path`` as it is now: one line of hexadecimal for each page of 4,096 bytes."""
    fresh = seal_path(path).with_suffix(".new")
    with fresh.open("w") as file:
        file.writelines(f"{value.hex()}\n" for value in _page_hashes(path))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(seal_path(path))


def remove_seal(path: Path) -> None:
    """Break the seal before ``path`` is written to."""
    seal_path(path).unlink(missing_ok=True)


def broken_page(path: Path) -> int | None:
    """Return the first page, from 1, that differs from the seal; None where all agree or nothing was sealed."""
    seal = seal_path(path)
    if not seal.exists():
        return None
    sealed = seal.read_bytes().split(b"\n")
    actual = [value.hex().encode() for value in _page_hashes(path)] + [b""]
    for number in range(max(len(sealed), len(actual))):
        if sealed[number : number + 1] != actual[number : number + 1]:
            return number + 1
    return None


def wal_path(path: Path) -> Path:
    """Return where SQLite keeps the write-ahead log of ``path``."""
    return path.with_name(path.name + "-wal")


def _checksum(order: str, data: bytes, first: int, second: int) -> tuple[int, int]:
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for index in range(0, len(words), 2):
        first = (first + words[index] + second) & _MASK
        second = (second + words[index + 1] + first) & _MASK
    return first, second


def broken_frame(path: Path) -> int | None:
    """Return the first frame, from 1, of the write-ahead log of ``path`` that was changed; 0 stands for its header.

    SQLite passes silently over everything from a broken frame on. A killed process can leave a frame that is too
    short, and nothing behind it; a whole frame that does not fit its checksum was changed afterwards.

    Source: SQLite's file format, section on the WAL.
    """
    wal = wal_path(path)
    if not wal.exists() or not wal.stat().st_size:
        return None
    with wal.open("rb") as file:
        header = file.read(_WAL_HEADER_BYTES)
        if len(header) < _WAL_HEADER_BYTES:
            return None
        magic, version, page_bytes, _, salt_1, salt_2, *expected = struct.unpack(">8I", header)
        order = ">" if magic & 1 else "<"
        sums = _checksum(order, header[:24], 0, 0)
        if magic & ~1 != _WAL_MAGIC or version != _WAL_VERSION or list(sums) != expected:
            return 0
        number = 0
        while len(frame := file.read(_FRAME_HEADER_BYTES + page_bytes)) == _FRAME_HEADER_BYTES + page_bytes:
            number += 1
            _, _, frame_salt_1, frame_salt_2, *expected = struct.unpack(">6I", frame[:_FRAME_HEADER_BYTES])
            sums = _checksum(order, frame[:8], *sums)
            sums = _checksum(order, frame[_FRAME_HEADER_BYTES:], *sums)
            if (salt_1, salt_2) != (frame_salt_1, frame_salt_2) or list(sums) != expected:
                return number
    return None
