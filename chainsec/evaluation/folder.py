"""Reads the public data sets, and says in one line what is missing or wrong.

Layer: evaluation. Not here: what a data set's columns mean (the studies).
"""

from __future__ import annotations

import csv
import gzip
import zlib
from typing import TYPE_CHECKING

from chainsec.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def find_file(folder: Path, name: str) -> Path:
    """Return the path of a file of the data, ``name`` relative to ``folder``.

    Raises:
        BadInput: it is not there.
    """
    path = folder / name
    if not path.is_file():
        raise BadInput(f"{path}: this file of the data is missing", path=str(path))
    return path


def read_text(path: Path) -> str:
    """Return a text file, unpacked where its name ends in ``.gz``.

    Raises:
        BadInput: it cannot be read, unpacked, or is no UTF-8.
    """
    try:
        packed = path.read_bytes()
        return (gzip.decompress(packed) if path.suffix == ".gz" else packed).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read: {error}", path=str(path)) from error


def read_columns(path: Path, wanted: Sequence[str] | None = None) -> dict[str, list[str]]:
    """Return a CSV file's columns by name, blanks around names removed, as text.

    Args:
        path: file with a header line.
        wanted: columns that have to be there; all are returned without it.

    Raises:
        BadInput: the file cannot be read, a wanted column is missing, or a row has too few or too many values.
    """
    rows = csv.reader(read_text(path).splitlines())
    names = [name.strip() for name in next(rows, [])]
    missing = sorted(set(wanted or ()) - set(names))
    if missing or not names:
        raise BadInput(f"{path}: has no column {missing[0]!r}" if missing else f"{path}: is empty", path=str(path))
    found = []
    for row in rows:
        if len(row) != len(names):
            raise BadInput(f"{path}: line {rows.line_num}: {len(row)} values, not {len(names)}", line=rows.line_num)
        found.append(row)
    columns = {name: list(column) for name, column in zip(names, zip(*found, strict=True), strict=True)}
    return {name: columns[name] for name in wanted} if wanted else columns
