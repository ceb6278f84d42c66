"""Writes an exported network into a directory: all of it or nothing, and never over anything.

Layer: network. Not here: what the files say (``besu``, ``besu_operation``).
"""

from __future__ import annotations

import os
import secrets
import shutil
from typing import TYPE_CHECKING

from chainsec.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from chainsec.network.besu_operation import ExportedFile

__all__ = ["require_free", "write_export"]

_FOLDER_MODE = 0o700


def require_free(path: Path) -> None:
    """Refuse a directory that an export would mix with what stands there.

    Raises:
        BadInput: something stands there that is no empty directory, or there is no folder to put it into.
    """
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise BadInput(f"{path}: is not a directory", path=str(path))
    if path.exists() and any(path.iterdir()):
        raise BadInput(f"{path}: is not empty; nothing was written", path=str(path))
    if not path.absolute().parent.is_dir():
        raise BadInput(f"{path}: the folder it belongs into does not exist", path=str(path))


def write_export(path: Path, files: Mapping[str, ExportedFile]) -> None:
    """Write ``files`` below ``path``, each with its permission bits whatever the process's mask; folders are private.

    Everything is written beside it and moved into place at the very end.

    Raises:
        BadInput: as ``require_free``, also where somebody was quicker.
        OSError: the disk refuses; nothing is left.
    """
    require_free(path)
    draft = path.absolute().with_name(f".{path.absolute().name}.{secrets.token_hex(8)}")
    draft.mkdir(mode=_FOLDER_MODE)
    try:
        for name, file in files.items():
            _write(draft / name, file)
        for folder, _, _ in os.walk(draft):
            _sync(folder)
        try:
            draft.rename(path.absolute())  # onto an empty directory at most: the system refuses any other
        except OSError:
            require_free(path)
            raise
        _sync(path.absolute().parent)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _write(path: Path, file: ExportedFile) -> None:
    for folder in reversed(path.parents):
        if not folder.exists():
            folder.mkdir(mode=_FOLDER_MODE)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, file.mode & 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(file.content)
        opened.flush()
        os.fchmod(descriptor, file.mode)
        os.fsync(descriptor)


def _sync(folder: str | Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
