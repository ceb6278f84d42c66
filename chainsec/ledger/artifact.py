"""Compiled contracts as package data: what is kept of each, how it is written, how it is read back.

One canonical JSON file per contract, so that equal sources give equal bytes and running needs no compiler.
Layer: ledger, at its bottom. Not here: compiling (``compiler``), calling (``contract``).
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from eth_utils.abi import abi_to_signature

from chainsec.digest import canonical_json, digest_json, keccak
from chainsec.errors import CompilerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from eth_typing import ABIError

__all__ = ["ARTIFACT_DIR", "Artifact", "artifact_names", "load_all_errors", "load_artifact", "write_artifacts"]

ARTIFACT_DIR = Path(__file__).parents[1] / "artifacts"


def _signature(entry: dict[str, Any]) -> str:
    return abi_to_signature(cast("ABIError", entry))


@dataclass(frozen=True)
class Artifact:
    """One compiled contract.

    Args:
        name: name that ``load_artifact`` knows it by.
        source: ``unit:contract``, the place of the contract in its sources.
        abi: functions, events and every custom error the contract's own code can raise.
        bytecode: creation code without constructor arguments.
        deployed_bytecode: runtime code; immutables are zero bytes.
        immutables: ``(offset, length)`` in bytes of each immutable's places in ``deployed_bytecode``.
        storage: storage layout, one row a variable or struct member: ``label``, ``slot``, ``offset`` and
            ``size`` in bytes, ``type``.
        notices: what each function, event and error means, by signature, in one sentence from the sources.
        compiler: full version of solc.
        settings: compiler settings that shape the code.
        sources: Keccak-256, hexadecimal, of every source unit the contract is made from.
    """

    name: str
    source: str
    abi: list[dict[str, Any]]
    bytecode: bytes
    deployed_bytecode: bytes
    immutables: tuple[tuple[int, int], ...]
    storage: dict[str, list[dict[str, Any]]]
    notices: dict[str, str]
    compiler: str
    settings: dict[str, Any]
    sources: dict[str, str]

    @cached_property
    def source_digest(self) -> bytes:
        """Keccak-256 over sources, compiler and settings: all that decides the code, 32 bytes."""
        return digest_json({"compiler": self.compiler, "settings": self.settings, "sources": self.sources})

    @cached_property
    def errors(self) -> Mapping[bytes, dict[str, Any]]:
        """ABI entry of each custom error by its 4-byte selector."""
        entries = (entry for entry in self.abi if entry["type"] == "error")
        return MappingProxyType({keccak(_signature(entry).encode())[:4]: entry for entry in entries})

    def has_runtime(self, code: bytes) -> bool:
        """Tell whether ``code``, as a chain holds it, is this contract's, whatever its immutables say.

        >>> registry = load_artifact("DidRegistry")
        >>> registry.has_runtime(registry.deployed_bytecode), registry.has_runtime(b"")
        (True, False)
        """
        blank = bytearray(code)
        for offset, length in self.immutables:
            blank[offset : offset + length] = bytes(len(blank[offset : offset + length]))
        return bytes(blank) == self.deployed_bytecode

    def to_json(self) -> bytes:
        """Encode as the canonical JSON text of the artifact's file, with a newline at its end."""
        record = asdict(self) | {
            "bytecode": self.bytecode.hex(),
            "deployed_bytecode": self.deployed_bytecode.hex(),
            "immutables": [list(place) for place in self.immutables],
            "source_digest": self.source_digest.hex(),
        }
        return canonical_json(record) + b"\n"

    @classmethod
    def from_json(cls, text: bytes) -> Artifact:
        """Read back what ``to_json`` wrote.

        Raises:
            CompilerError: the text is not an artifact, or its digest is not that of its own sources.

        >>> registry = load_artifact("DidRegistry")
        >>> Artifact.from_json(registry.to_json()) == registry
        True
        """
        try:
            record = json.loads(text)
            digest = record.pop("source_digest")
            record["bytecode"] = bytes.fromhex(record["bytecode"])
            record["deployed_bytecode"] = bytes.fromhex(record["deployed_bytecode"])
            record["immutables"] = tuple((offset, length) for offset, length in record["immutables"])
            artifact = cls(**record)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CompilerError(f"not a compiled contract: {error}") from error
        if artifact.source_digest.hex() != digest:
            raise CompilerError(f"{artifact.name}: the source digest is not that of its sources", name=artifact.name)
        return artifact


def write_artifacts(artifacts: Iterable[Artifact], directory: Path = ARTIFACT_DIR) -> list[Path]:
    """Replace the compiled contracts in ``directory`` by ``artifacts``: all of them, or none.

    The new directory is filled beside the old one and takes its place by renaming.

    Returns:
        The files, sorted by name.

    Raises:
        OSError: no space, no right to write. The old artifacts are still there.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{directory.name}-", dir=directory.parent) as scratch:
        fresh, old = Path(scratch) / "fresh", Path(scratch) / "old"
        fresh.mkdir()
        for artifact in artifacts:
            (fresh / f"{artifact.name}.json").write_bytes(artifact.to_json())
        if directory.exists():
            directory.rename(old)
        try:
            fresh.rename(directory)
        except OSError:
            if old.exists():
                shutil.move(old, directory)
            raise
    load_artifact.cache_clear()
    load_all_errors.cache_clear()
    return sorted(directory.glob("*.json"))


def artifact_names() -> list[str]:
    """Return the names of the contracts that the package carries, sorted."""
    folder = files("chainsec") / "artifacts"
    if not folder.is_dir():
        return []
    return sorted(entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json"))


@cache
def load_artifact(name: str) -> Artifact:
    """Return the compiled contract ``name`` from the package's data.

    Raises:
        CompilerError: no such contract was compiled; ``name`` and ``known`` are attributes.

    >>> [entry["name"] for entry in load_artifact("DidRegistry").abi if entry["type"] == "event"]
    ['DIDAttributeChanged', 'DIDDelegateChanged', 'DIDOwnerChanged']
    """
    known = artifact_names()
    if name not in known:
        listed = ", ".join(known) or "none"
        raise CompilerError(f"no compiled contract {name!r}; there are: {listed}", name=name, known=known)
    return Artifact.from_json((files("chainsec") / "artifacts" / f"{name}.json").read_bytes())


@cache
def load_all_errors() -> Mapping[bytes, dict[str, Any]]:
    """Return the ABI entry of every custom error of every packaged contract, by 4-byte selector.

    A call that runs through several contracts can revert with any of them, so a decoder needs them all.

    Raises:
        CompilerError: two errors of different signatures share a selector.

    >>> all(len(selector) == 4 and entry["type"] == "error" for selector, entry in load_all_errors().items())
    True
    """
    found: dict[bytes, dict[str, Any]] = {}
    for name in artifact_names():
        for selector, entry in load_artifact(name).errors.items():
            other = found.setdefault(selector, entry)
            if _signature(other) != _signature(entry):
                raise CompilerError(f"errors {other['name']} and {entry['name']} share selector 0x{selector.hex()}")
    return MappingProxyType(found)
