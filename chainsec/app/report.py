"""The report's two files, ``report.json`` and ``report.html``: written both or not at all, read back strictly.

Layer: app. Not here: what the figures are (``chainsec.scenarios.report_schema``), the page (``report_html``).
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from chainsec.app.report_html import render_report
from chainsec.app.wording import visible_text
from chainsec.errors import BadInput
from chainsec.scenarios.report_schema import Report

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["JSON_NAME", "PAGE_NAME", "read_report", "render_report", "write_report"]

JSON_NAME = "report.json"
PAGE_NAME = "report.html"
_STAGING = ".report-staging"


def write_report(directory: Path, report: Report) -> tuple[Path, Path]:
    """Write both files into ``directory``, replacing older ones; after a failure the older pair still stands.

    Each file is replaced whole, ``report.json`` last: where it is new, the page is new too. It is canonical JSON
    and ends in a newline. One writer at a time: the run directory's lock sees to that.

    Returns:
        The paths of ``report.json`` and ``report.html``.

    Raises:
        OSError: the directory is missing, full or not writable.
    """
    contents = {PAGE_NAME: render_report(report).encode(), JSON_NAME: report.to_json() + b"\n"}
    staging = directory / _STAGING
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        for name, content in contents.items():
            _write_through(staging / name, content)
        _replace_all(staging, directory, contents)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    _sync_directory(directory)
    return directory / JSON_NAME, directory / PAGE_NAME


def read_report(directory: Path) -> Report:
    """Return the report that a run left in ``directory``.

    Raises:
        BadInput: the file is missing, is no JSON, or has a field that is unknown, missing or out of range.
    """
    path = directory / JSON_NAME
    try:
        return Report.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}", path=str(path)) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = visible_text(".".join(map(str, first["loc"])))
        place = f"{path}: {field}" if field else str(path)
        raise BadInput(f"{place}: {visible_text(first['msg'])}", path=str(path), field=field) from error


def _replace_all(staging: Path, directory: Path, contents: Mapping[str, bytes]) -> None:
    older: dict[str, Path | None] = {}
    try:
        for name in contents:
            kept, target = staging / f"{name}.older", directory / name
            older[name] = Path(shutil.copy2(target, kept)) if target.exists() else None
            (staging / name).replace(target)
    except OSError:
        for name, path in older.items():
            with suppress(OSError):
                if path is None:
                    (directory / name).unlink(missing_ok=True)
                else:
                    path.replace(directory / name)
        raise


def _write_through(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
