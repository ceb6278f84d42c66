"""The folder a trained model is kept in: its canonical files, and a record of what they are and came from.

Layer: scenarios. Not here: training and scoring (``log_models``), a run's models (``directory``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chainsec.defence.risk import MODEL_FILE, STATE_FILE, EvidenceRiskModel
from chainsec.digest import canonical_json, keccak, parse_canonical
from chainsec.errors import BadInput
from chainsec.journal import write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = [
    "MODEL_FILES",
    "RECORD",
    "check_model_folder",
    "latest_time",
    "load_model",
    "read_model_files",
    "write_model",
]

RECORD = "trained.json"
"""What the files are, by their Keccak-256, and what they came from."""
MODEL_FILES = (MODEL_FILE, STATE_FILE, RECORD)
FORMAT = 1


def check_model_folder(folder: Path, *, replaces: bool) -> None:
    """Make sure that a model may be written into ``folder``.

    Raises:
        BadInput: it is no folder, holds something else than a model, or a model that is not to be replaced.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise BadInput(f"{folder}: is no folder", path=str(folder))
    names = sorted(entry.name for entry in folder.iterdir())
    odd = [name for name in names if name not in MODEL_FILES]
    if odd:
        raise BadInput(f"{folder}: holds {odd[0]!r}, which is no part of a model", path=str(folder))
    if names and not replaces:
        raise BadInput(f"{folder}: holds a model already; --replace writes over it", path=str(folder))


def write_model(folder: Path, model: EvidenceRiskModel, origin: Mapping[str, Any]) -> None:
    """Write a model's files into ``folder``; the record comes last, so that a torn folder is known for one.

    Args:
        folder: made where it is missing.
        model: what is written.
        origin: what it was trained on, JSON values.
    """
    files = model.to_files()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECORD).unlink(missing_ok=True)
    for name, content in sorted(files.items()):
        write_atomically(folder / name, content)
    record = {
        "digest": model.digest,
        "files": {name: _digest(content) for name, content in sorted(files.items())},
        "format": FORMAT,
        "origin": dict(origin),
    }
    write_atomically(folder / RECORD, canonical_json(record))


def read_model_files(folder: Path) -> dict[str, bytes]:
    """Return a model's files by name, held against the record where there is one.

    Raises:
        BadInput: there is no model, or a file is missing or not the one that the record names.
    """
    try:
        files = {name: (folder / name).read_bytes() for name in (MODEL_FILE, STATE_FILE) if (folder / name).is_file()}
        record = (folder / RECORD).read_bytes() if (folder / RECORD).is_file() else None
    except OSError as error:
        raise BadInput(f"{error.filename}: {error.strerror}", path=str(folder)) from error
    if MODEL_FILE not in files:
        raise BadInput(f"{folder}: holds no {MODEL_FILE}", path=str(folder))
    if record is not None:
        _check(folder, files, record)
    return files


def latest_time(folder: Path) -> int | None:
    """Return the latest time that the model in ``folder`` was trained on, None where the record names none."""
    path = folder / RECORD
    found = parse_canonical(path.read_bytes())["origin"].get("until_s") if path.is_file() else None
    return found if isinstance(found, int) else None


def load_model(files: Mapping[str, bytes]) -> EvidenceRiskModel:
    """Return the model in ``files``.

    Raises:
        BadInput: they are no model's, or one's of another format.
    """
    try:
        return EvidenceRiskModel.from_files(files)
    except (ValueError, LookupError) as error:
        raise BadInput(f"{MODEL_FILE}: {error}", path=MODEL_FILE) from error


def _check(folder: Path, files: Mapping[str, bytes], content: bytes) -> None:
    place = folder / RECORD
    try:
        record = parse_canonical(content)
        found = record["format"]
        named = {str(name): str(digest) for name, digest in record["files"].items()}
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise BadInput(f"{place}: cannot be read: {error}", path=str(place)) from error
    if found != FORMAT:
        raise BadInput(f"{place}: is of format {found!r}, not {FORMAT}", path=str(place))
    for name in sorted({*named, *files}):
        if name not in files:
            raise BadInput(f"{folder / name}: is missing, {RECORD} names it", path=str(folder / name))
        if named.get(name) != _digest(files[name]):
            raise BadInput(
                f"{folder / name}: is not the file that {RECORD} names: its digest differs", path=str(folder)
            )


def _digest(content: bytes) -> str:
    return "0x" + keccak(content).hex()
