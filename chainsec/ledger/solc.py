"""Which solc compiles, with which settings, and how it is run: a native build, or npm's behind ``solcjs.cjs``.

Layer: ledger. Not here: what is compiled (``compiler``, ``sources``).
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import solcx
from solcx.exceptions import SolcError

from chainsec.errors import CompilerError
from chainsec.ledger.sources import find_modules

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["PINNED", "PROJECT_ROOT", "Compiler", "CompilerSettings", "find_compiler", "report_of", "run_solc"]

PROJECT_ROOT = Path(__file__).parents[2]
_SHIM = Path(__file__).with_name("solcjs.cjs")
_DOWNLOAD_LIMIT_S = 120
# Runs in a process of its own, because the library downloads without a time limit.
_DOWNLOAD = """
import sys, requests, solcx
from solcx.install import BINARY_DOWNLOAD_BASE, _get_os_name
try:
    requests.head(BINARY_DOWNLOAD_BASE.format(_get_os_name(), "list.json"), timeout=3).raise_for_status()
    solcx.install_solc(sys.argv[1], show_progress=False)
except Exception as error:
    sys.exit(type(error).__name__)
"""


@dataclass(frozen=True)
class CompilerSettings:
    """What shapes the code that comes out, beside the sources.

    The metadata hash is left out of the code, so that the code changes only when its meaning does.

    Args:
        version: of solc, exactly.
        evm_version: the hard fork whose instructions may be used; py-evm runs up to ``prague``.
        optimizer_runs: expected calls of each instruction; more makes calls cheaper and deployment dearer.
        via_ir: compile through Yul: calls cost less (decisions 4 %, a revocation 5 %), compiling takes longer.
    """

    version: str = "0.8.37"
    evm_version: str = "cancun"
    optimizer_runs: int = 20_000
    via_ir: bool = True

    def to_standard_json(self) -> dict[str, Any]:
        """Return the ``settings`` of solc's standard JSON input.

        >>> CompilerSettings().to_standard_json()["evmVersion"]
        'cancun'
        """
        return {
            "evmVersion": self.evm_version,
            "optimizer": {"enabled": True, "runs": self.optimizer_runs},
            "viaIR": self.via_ir,
            "metadata": {"bytecodeHash": "none", "appendCBOR": False},
        }


PINNED = CompilerSettings()


@dataclass(frozen=True)
class Compiler:
    """A solc that can be run.

    Args:
        kind: ``native`` for an executable, ``npm`` for the WebAssembly build in a ``node_modules`` folder.
        path: the executable, or the ``node_modules`` folder.
    """

    kind: Literal["native", "npm"]
    path: Path

    @contextmanager
    def executable(self) -> Iterator[Path]:
        """Give an executable that speaks solc's command line, while the context lasts."""
        if self.kind == "native":
            yield self.path
            return
        with tempfile.TemporaryDirectory(prefix="chainsec-solc-") as folder:
            # Installed package data may have lost its executable bit, and solcx takes one path, not a command.
            wrapper = Path(folder) / "solc"
            words = ("node", str(_SHIM), "--modules", str(self.path.parent))
            wrapper.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
            wrapper.chmod(0o755)
            yield wrapper


def _native_compiler(version: str) -> Compiler | None:
    if version in {str(installed) for installed in solcx.get_installed_solc_versions()}:
        return Compiler("native", Path(solcx.install.get_executable(version)))
    on_path = shutil.which("solc")
    if on_path:
        try:
            if str(solcx.wrapper.get_solc_version(on_path)) == version:
                return Compiler("native", Path(on_path))
        except (OSError, subprocess.SubprocessError, SolcError):
            return None
    return None


def _npm_compiler(version: str, root: Path) -> Compiler | None:
    if not shutil.which("node"):
        return None
    for modules in find_modules(root):
        try:
            found = json.loads((modules / "solc" / "package.json").read_bytes())["version"]
        except (OSError, ValueError, KeyError):
            continue
        if found == version:
            return Compiler("npm", modules)
    return None


def _download_compiler(version: str) -> str | None:
    """Install a native solc. Return what went wrong, in a word, or None."""
    command = [sys.executable, "-c", _DOWNLOAD, version]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_DOWNLOAD_LIMIT_S, check=False)  # noqa: S603 - own code, own interpreter
    except subprocess.TimeoutExpired:
        return f"no end after {_DOWNLOAD_LIMIT_S} s"
    return None if done.returncode == 0 else done.stderr.strip().rpartition("\n")[2] or "failed"


def find_compiler(
    root: Path = PROJECT_ROOT, settings: CompilerSettings = PINNED, *, download: bool | None = None
) -> Compiler:
    """Return a solc of exactly the pinned version.

    Looked for in this order: a native solc of py-solc-x or on the PATH; a download, where asked for; the npm package
    in ``node_modules`` in or above ``root``; a download, where not forbidden. All give the same code.

    Args:
        root: folder of the sources.
        settings: names the version.
        download: True prefers a downloaded native solc to the npm package; None downloads only where nothing else is
            there; False never opens a connection. Without a network, a download gives up after a few seconds.

    Raises:
        CompilerError: no such compiler; says how to get one.
    """
    version = settings.version
    failure = None
    native = _native_compiler(version)
    if native is None and download:
        failure = _download_compiler(version)
        native = _native_compiler(version)
    found = native or _npm_compiler(version, root)
    if found is None and download is None:
        failure = _download_compiler(version)
        found = _native_compiler(version)
    if found is None:
        reason = f"; download: {failure}" if failure else ""
        raise CompilerError(f"no solc {version}: run `npm ci` in {root}, or install one{reason}", version=version)
    return found


def report_of(entries: Iterable[Mapping[str, Any]], units: Mapping[str, str]) -> CompilerError:
    """Return solc's messages as one error; ``file``, ``line`` (from 1) and ``code`` are those of the first."""
    errors = list(entries)
    first = errors[0]
    place = first.get("sourceLocation") or {}
    file = str(place.get("file"))
    line = units[file].encode()[: place["start"]].count(b"\n") + 1 if file in units and place["start"] >= 0 else None
    text = "\n".join(str(entry.get("formattedMessage") or entry["message"]).strip() for entry in errors)
    return CompilerError(text, file=place.get("file"), line=line, code=first.get("errorCode"), count=len(errors))


def run_solc(job: dict[str, Any], compiler: Compiler, root: Path) -> dict[str, Any]:
    """Return solc's standard JSON output for the standard JSON input ``job``.

    Raises:
        CompilerError: the sources do not compile: solc's own message; ``file``, ``line`` and ``code`` are the first
            error's. Or solc cannot be run.
    """
    units = {name: unit["content"] for name, unit in job["sources"].items()}
    try:
        with compiler.executable() as path:
            output: dict[str, Any] = solcx.compile_standard(job, base_path=root, solc_binary=path)
    except SolcError as error:
        entries = [entry for entry in error.error_dict or () if entry["severity"] == "error"]
        if entries:
            raise report_of(entries, units) from None
        lines = [line for line in (error.stderr_data or error.message or "").splitlines() if line.strip()]
        raise CompilerError(f"solc failed: {lines[-1] if lines else 'no message'}") from error
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise CompilerError(f"solc cannot be run: {error}") from error
    return output
