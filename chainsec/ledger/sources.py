"""Solidity source units: which files a compilation is made of, imports included.

Every unit goes to the compiler inside its input, so that the compiler reads no file of its own accord and two builds
of one compiler see the same text. Layer: ledger. Not here: compiling.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from chainsec.digest import keccak
from chainsec.errors import CompilerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["closure", "find_modules", "imports_of", "read_unit", "source_hash"]

_IMPORT = re.compile(
    r"""//[^\n]*|/\*.*?\*/                        # comments and strings are matched to be passed over
    |\bimport\b[^;"']*(?P<quote>["'])(?P<path>[^"'\n]+)(?P=quote)
    |"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""",
    re.DOTALL | re.VERBOSE,
)


def imports_of(text: str) -> list[str]:
    """Return the paths that a source imports, as written, in order.

    >>> imports_of('import {A} from "./A.sol"; // import "./B.sol";')
    ['./A.sol']
    """
    return [match["path"] for match in _IMPORT.finditer(text) if match["path"]]


def source_hash(text: str) -> str:
    """Return the Keccak-256 of a source, 64 hexadecimal digits, as solc's metadata has it."""
    return keccak(text.encode()).hex()


def find_modules(root: Path) -> list[Path]:
    """Return the ``node_modules`` folders that a file in ``root`` can import from, nearest first."""
    start = root.resolve()
    return [folder for above in (start, *start.parents) if (folder := above / "node_modules").is_dir()]


def _unit_name(importer: str, path: str, remappings: Iterable[tuple[str, str]]) -> str:
    name = path
    if path.startswith(("./", "../")):
        name = posixpath.normpath(posixpath.join(posixpath.dirname(importer), path))
        while name.startswith("../"):
            name = name[3:]
    matching = [(prefix, target) for prefix, target in remappings if name.startswith(prefix)]
    if not matching:
        return name
    prefix, target = max(matching, key=lambda pair: len(pair[0]))
    return target + name.removeprefix(prefix)


def read_unit(name: str, folders: Iterable[Path]) -> str | None:
    """Return the text of unit ``name`` from the first of ``folders`` that has it, or None.

    Raises:
        CompilerError: the file is not UTF-8.
    """
    for folder in folders:
        path = folder / name
        if path.is_file():
            try:
                return path.read_bytes().decode()
            except UnicodeDecodeError as error:
                raise CompilerError(f"{name}: not UTF-8 at byte {error.start}", file=name) from error
    return None


def closure(entries: Mapping[str, str], root: Path, remappings: Iterable[tuple[str, str]] = ()) -> dict[str, str]:
    """Return ``entries`` and all that they import, text by source unit name, sorted by name.

    An import that no folder has is left out: the compiler then names it with its file and line.

    Args:
        entries: text of the units to start from.
        root: folder that unit names are relative to; ``node_modules`` in it or above it serve packages.
        remappings: pairs ``(prefix, target)``; the longest prefix of a unit name is replaced by its target.

    Raises:
        CompilerError: an imported file is not UTF-8.
    """
    pairs = list(remappings)
    folders = [root, *find_modules(root)]
    units = dict(entries)
    waiting = list(entries)
    while waiting:
        importer = waiting.pop()
        for path in imports_of(units[importer]):
            name = _unit_name(importer, path, pairs)
            if name not in units and (text := read_unit(name, folders)) is not None:
                units[name] = text
                waiting.append(name)
    return dict(sorted(units.items()))
