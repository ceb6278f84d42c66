"""Solidity sources to ``Artifact``: the project's own contracts, and a user's.

Layer: ledger. Not here: finding and running solc (``solc``), what an artifact is (``artifact``), which files belong
together (``sources``).
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chainsec.errors import CompilerError
from chainsec.ledger.artifact import ARTIFACT_DIR, Artifact
from chainsec.ledger.solc import PINNED, PROJECT_ROOT, Compiler, CompilerSettings, find_compiler, report_of, run_solc
from chainsec.ledger.sources import closure, find_modules, read_unit, source_hash

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["check_artifacts", "check_sources", "compile_source", "compile_sources"]

DID_REGISTRY = "ethr-did-registry/contracts/EthereumDIDRegistry.sol"
_RENAMED = {f"{DID_REGISTRY}:EthereumDIDRegistry": "DidRegistry"}


def _compile_units(
    units: Mapping[str, str],
    selected: Iterable[str],
    compiler: Compiler,
    root: Path,
    settings: CompilerSettings,
    *,
    remappings: Sequence[str] = (),
) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """Return solc's output by ``unit:contract`` for the selected units, and its warnings."""
    wanted = ["abi", "evm.bytecode", "evm.deployedBytecode", "metadata", "storageLayout", "userdoc"]
    job = {
        "language": "Solidity",
        "sources": {name: {"content": text} for name, text in units.items()},
        "settings": settings.to_standard_json()
        | {"remappings": list(remappings), "outputSelection": {unit: {"*": wanted} for unit in selected}},
    }
    output = run_solc(job, compiler, root)
    contracts = {
        f"{unit}:{name}": made for unit, group in output.get("contracts", {}).items() for name, made in group.items()
    }
    return contracts, [entry for entry in output.get("errors", ()) if entry["severity"] == "warning"]


def _is_deployable(made: Mapping[str, Any]) -> bool:
    kinds = {entry["type"] for entry in made["abi"]}
    has_door = not kinds.isdisjoint({"function", "constructor", "receive", "fallback"})
    return bool(made["evm"]["bytecode"]["object"]) and has_door


def _storage_of(layout: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Flatten solc's layout to rows without the node numbers, which shift with every unrelated source."""
    types = layout["types"] or {}

    def rows(members: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return [
            {
                "label": member["label"],
                "slot": int(member["slot"]),
                "offset": member["offset"],
                "size": int(types[member["type"]]["numberOfBytes"]),
                "type": types[member["type"]]["label"],
            }
            for member in members
        ]

    structs = {kind["label"]: rows(kind["members"]) for kind in types.values() if "members" in kind}
    return {"contract": rows(layout["storage"])} | dict(sorted(structs.items()))


def _notices_of(userdoc: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for group in ("methods", "events", "errors"):
        for signature, entry in userdoc.get(group, {}).items():
            text = entry[0]["notice"] if isinstance(entry, list) else entry.get("notice")
            if text:
                found[signature] = text
    return found


def _artifact_of(place: str, made: Mapping[str, Any], settings: CompilerSettings) -> Artifact:
    if made["evm"]["bytecode"]["linkReferences"]:
        raise CompilerError(f"{place} needs a linked library, which is not supported", contract=place)
    metadata = json.loads(made["metadata"])
    runtime = made["evm"]["deployedBytecode"]
    holes = (hole for group in runtime.get("immutableReferences", {}).values() for hole in group)
    return Artifact(
        name=_RENAMED.get(place) or place.rpartition(":")[2],
        source=place,
        abi=made["abi"],
        bytecode=bytes.fromhex(made["evm"]["bytecode"]["object"]),
        deployed_bytecode=bytes.fromhex(runtime["object"]),
        immutables=tuple(sorted((hole["start"], hole["length"]) for hole in holes)),
        storage=_storage_of(made["storageLayout"]),
        notices=_notices_of(made.get("userdoc", {})),
        compiler=metadata["compiler"]["version"],
        settings=settings.to_standard_json(),
        sources={unit: entry["keccak256"].removeprefix("0x") for unit, entry in metadata["sources"].items()},
    )


def _project_units(root: Path) -> dict[str, str]:
    """Return the text of every unit under ``contracts`` and of the ERC-1056 registry."""
    folder = root / "contracts"
    if not folder.is_dir():
        raise CompilerError(f"no contracts to compile in {folder}", file=str(folder))
    units = {}
    for path in sorted(folder.rglob("*.sol")):
        name = path.relative_to(root).as_posix()
        units[name] = read_unit(name, [root]) or ""
    registry = read_unit(DID_REGISTRY, find_modules(root))
    if registry is None:
        raise CompilerError(f"no {DID_REGISTRY} in node_modules: run `npm ci` in {root}", file=DID_REGISTRY)
    return units | {DID_REGISTRY: registry}


def _is_own(unit: str) -> bool:
    return unit.startswith("contracts/")


def _is_testing(unit: str) -> bool:
    return unit.startswith("contracts/testing/")


def _makes_code(unit: str) -> bool:
    return not unit.startswith("contracts/interfaces/")


def compile_sources(
    root: Path = PROJECT_ROOT,
    *,
    testing: bool = False,
    compiler: Compiler | None = None,
    settings: CompilerSettings = PINNED,
) -> dict[str, Artifact]:
    """Compile the contracts of a project into artifacts, sorted by name.

    Takes ``contracts/*.sol`` and, unmodified, the ERC-1056 registry as ``DidRegistry``; interfaces, abstract contracts
    and libraries without an entry give no artifact.

    Args:
        root: folder that holds ``contracts`` and, in it or above it, ``node_modules``.
        testing: compile ``contracts/testing/*.sol`` instead, which may import the contracts above.
        compiler: solc to use; by default what ``find_compiler(root, settings)`` gives.
        settings: of the compiler.

    Raises:
        CompilerError: a source has an error or, in ``contracts``, a warning: solc's message, with ``file`` and
            ``line``; two contracts have one name; there is no compiler.
    """
    project = {unit: text for unit, text in _project_units(root).items() if testing or not _is_testing(unit)}
    selected = [unit for unit in project if _makes_code(unit) and _is_testing(unit) == testing]
    if not selected:
        return {}
    units = closure(project, root)
    chosen = compiler or find_compiler(root, settings)
    contracts, found = _compile_units(units, selected, chosen, root, settings)
    own = [entry for entry in found if _is_own((entry.get("sourceLocation") or {}).get("file", ""))]
    if own:
        raise report_of(own, units)
    artifacts: dict[str, Artifact] = {}
    for place, made in sorted(contracts.items()):
        if not _is_deployable(made):
            continue
        artifact = _artifact_of(place, made, settings)
        if artifact.name in artifacts:
            other = artifacts[artifact.name].source
            raise CompilerError(f"{other} and {place} have one name: {artifact.name}", name=artifact.name)
        artifacts[artifact.name] = artifact
    return dict(sorted(artifacts.items()))


def check_artifacts(
    root: Path = PROJECT_ROOT, directory: Path = ARTIFACT_DIR, *, compiler: Compiler | None = None
) -> None:
    """Compile the project again and compare with the artifacts in ``directory``, byte for byte.

    Opens no connection: the compiler must be there.

    Raises:
        CompilerError: an artifact differs, is missing or belongs to no source: ``name`` is the first of them. Or the
            sources do not compile.
    """
    chosen = compiler or find_compiler(root, download=False)
    fresh = {f"{name}.json": artifact.to_json() for name, artifact in compile_sources(root, compiler=chosen).items()}
    kept = {path.name: path.read_bytes() for path in directory.glob("*.json")}
    for file in sorted(fresh.keys() | kept.keys()):
        if fresh.get(file) == kept.get(file):
            continue
        how = "is missing" if file not in kept else "has no source" if file not in fresh else "differs from its source"
        raise CompilerError(f"{directory / file} {how}: run `chainsec compile`", name=file.removesuffix(".json"))


def check_sources(root: Path = PROJECT_ROOT, directory: Path = ARTIFACT_DIR) -> None:
    """Compare the sources with those the artifacts in ``directory`` say they were made from; needs no compiler.

    Imported packages are compared where ``node_modules`` has them.

    Raises:
        CompilerError: a source was changed, removed or never compiled: ``file`` is the first of them.

    >>> check_sources()
    """
    made_from: dict[str, str] = {}
    for path in sorted(directory.glob("*.json")):
        made_from |= Artifact.from_json(path.read_bytes()).sources
    folders = [root, *find_modules(root)]
    for unit, expected in sorted(made_from.items()):
        text = read_unit(unit, folders)
        if text is None and not _is_own(unit):
            continue
        if text is None or source_hash(text) != expected:
            raise CompilerError(f"{unit} is not what was compiled: run `chainsec compile`", file=unit)
    for path in sorted((root / "contracts").glob("*.sol")):
        unit = path.relative_to(root).as_posix()
        if unit not in made_from:
            raise CompilerError(f"{unit} was never compiled: run `chainsec compile`", file=unit)


def compile_source(
    source: str | Path,
    contract: str | None = None,
    *,
    remappings: Mapping[str, str] | None = None,
    root: Path | None = None,
    compiler: Compiler | None = None,
    settings: CompilerSettings = PINNED,
) -> Artifact:
    """Compile a user's own Solidity; warnings of solc become Python warnings.

    Args:
        source: a file, or the text itself; a string on one line that ends in ``.sol`` is a file.
        contract: name of the contract to return; may be left out where the source has one.
        remappings: target by prefix, for imports.
        root: folder that imports are relative to; by default the nearest folder at or above the file (for a text: the
            working directory) that has a ``node_modules``, else the file's own folder.
        compiler: solc to use; by default what ``find_compiler(root, settings)`` gives.
        settings: of the compiler; the version is what the source's pragma has to allow.

    Raises:
        CompilerError: no such file or contract, more than one contract to choose from, an error in the source (solc's
            message, ``file`` and ``line``), or no compiler.

    Example: ``compile_source("pragma solidity ^0.8.0; contract Box { uint256 public content; }")`` has the name
    ``Box`` and one storage row, ``content``, in slot 0.
    """
    is_file = isinstance(source, Path) or (source.endswith(".sol") and "\n" not in source)
    path = Path(source).resolve() if is_file else Path.cwd() / "source.sol"
    modules = find_modules(path.parent)
    base = (root or (modules[0].parent if modules else path.parent)).resolve()
    unit = path.relative_to(base).as_posix() if path.is_relative_to(base) else path.name
    text = read_unit(unit, [base]) if is_file else str(source)
    if text is None:
        raise CompilerError(f"no Solidity file {path}", file=str(path))
    pairs = list((remappings or {}).items())
    units = closure({unit: text}, base, pairs)
    chosen = compiler or _find_for_user(base, settings)
    words = [f"{prefix}={target}" for prefix, target in pairs]
    contracts, found = _compile_units(units, [unit], chosen, base, settings, remappings=words)
    for entry in found:
        warnings.warn(str(entry["formattedMessage"]).strip(), stacklevel=2)
    names = {place.rpartition(":")[2]: place for place, made in contracts.items() if _is_deployable(made)}
    listed = ", ".join(names) or "none"
    if contract is None and len(names) != 1:
        raise CompilerError(f"{unit}: name the contract to compile; it has: {listed}", file=unit, known=list(names))
    place = names.get(contract or next(iter(names)), "")
    if not place:
        raise CompilerError(f"{unit} has no contract {contract!r}; it has: {listed}", file=unit, known=list(names))
    return _artifact_of(place, contracts[place], settings)


def _find_for_user(base: Path, settings: CompilerSettings) -> Compiler:
    """Prefer what is there, in the user's folders or the project's, to a download."""
    try:
        return find_compiler(base, settings, download=False)
    except CompilerError:
        return find_compiler(PROJECT_ROOT, settings)
