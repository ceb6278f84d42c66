"""The report's two files, ``report.json`` and ``report.html``: written both or not at all.

Layer: app. Not here: what the figures are (``chainsec.scenarios.report_schema``), the page (``report_html``).
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from chainsec.app.report_html import render_report
from chainsec.scenarios.directory import sync

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainsec.scenarios.report_schema import Report

__all__ = ["JSON_NAME", "PAGE_NAME", "render_report", "write_report"]

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
    sync(directory)
    return directory / JSON_NAME, directory / PAGE_NAME


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
