"""Which risk model an agent begins with: a trained one's files, the one of its own directory, or a fresh one.

Layer: attached. Not here: training on a history (``defence.training``), keeping the files (``scenarios.directory``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainsec.defence.risk import MODEL_FILE
from chainsec.defence.training import train_risk_model
from chainsec.digest import parse_json
from chainsec.errors import BadInput, RunMismatch
from chainsec.scenarios.directory import SETTINGS
from chainsec.scenarios.model_folder import load_model, read_model_files
from chainsec.services.audit import MODELS

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["find_model_files", "load_model"]


def find_model_files(path: Path | None, run: Path) -> dict[str, bytes]:
    """Return the files of the model to begin with, by name.

    Args:
        path: a folder with ``model.json``, or a run's directory that holds one model; None takes the model that the
            agent in ``run`` began with, and a fresh one where none did.
        run: the agent's directory.

    Raises:
        BadInput: there is no model, or several.
        RunMismatch: the agent's directory has lost its model.
    """
    if path is not None:
        return read_model_files(_folder_in(path))
    begun = _digest_in(run)
    fresh = train_risk_model([], [])
    if begun is None or (begun == fresh.digest and not (run / MODELS / begun).is_dir()):
        return fresh.to_files()
    try:
        return read_model_files(run / MODELS / begun)
    except BadInput as error:
        raise RunMismatch(f"{run}: the model it began with is gone; name it again", path=str(run)) from error


def _folder_in(path: Path) -> Path:
    if (path / MODEL_FILE).is_file():
        return path
    models = sorted(folder for folder in (path / MODELS).glob("*") if (folder / MODEL_FILE).is_file())
    if len(models) != 1:
        raise BadInput(f"{path}: holds {len(models)} models; name a folder with one {MODEL_FILE}", path=str(path))
    return models[0]


def _digest_in(run: Path) -> str | None:
    """Return the digest of the model that an agent's directory names, None where there is no such directory."""
    try:
        digest = parse_json((run / SETTINGS).read_bytes())["model"]["digest"]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise RunMismatch(f"{run}: holds something else than an agent's run", path=str(run)) from error
    return str(digest)
