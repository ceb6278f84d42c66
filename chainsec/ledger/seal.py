"""Seals a closed chain file page by page, so that a byte changed between its records shows as well.

A database file has gaps that belong to no record. The seal, a small file beside it, holds a hash of every page.
It is no evidence by itself (who changes a file may change its seal); records are proved by re-execution.
Layer: ledger. Not here: what the pages hold.
"""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path

__all__ = ["broken_page", "remove_seal", "seal_path", "write_seal"]

_PAGE_BYTES = 4096
_HASH_BYTES = 16


def seal_path(path: Path) -> Path:
    """Return where the seal of ``path`` lies.

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
    fresh.write_text("".join(f"{value.hex()}\n" for value in _page_hashes(path)))
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
