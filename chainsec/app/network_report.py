"""Writes what a scenario of a network gave: tables, ``report.json``, ``report.html``, the trace, the scenario itself.

Layer: app. Not here: the figures (``chainsec.network.measure``), the page (``network_html``).
"""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from chainsec.app.network_html import render_network_report
from chainsec.app.network_tables import compare_variants, list_nodes, list_reasons
from chainsec.app.report import JSON_NAME, PAGE_NAME
from chainsec.app.terminal import lay_out
from chainsec.app.wording import visible_text
from chainsec.digest import canonical_json
from chainsec.errors import BadInput
from chainsec.journal import write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from chainsec.network.report_schema import NetworkReport, VariantReport
    from chainsec.network.trace import Event

__all__ = ["SCENARIO_NAME", "TRACE_NAME", "check_directory", "require_chain", "show_network", "write_network"]

SCENARIO_NAME = "scenario.toml"
TRACE_NAME = "trace.jsonl.gz"
_MOST_ALERTS = 12
_LONGEST_LINE = 1_000


def check_directory(directory: Path, same: tuple[bytes, int] | None = None) -> None:
    """Look whether a run may be written into ``directory``, before it is played.

    Args:
        directory: may be missing.
        same: the scenario's text and the seed that a run must have had that stands there; any may stand there if None.

    Raises:
        BadInput: it holds something else, or another run.
        OSError: it is none, or cannot be read.
    """
    ours = {JSON_NAME, PAGE_NAME, TRACE_NAME, SCENARIO_NAME}
    found = sorted(path.name for path in directory.iterdir()) if directory.exists() else []
    other = [name for name in found if name not in ours]
    if other:
        raise BadInput(f"{directory}: holds something else than a network's run: {other[0]}", path=str(directory))
    if found and same is not None and not _is_of(directory, *same):
        raise BadInput(
            f"{directory}: holds a run of another scenario, or with another seed: --replace writes over it",
            path=str(directory),
        )


def _is_of(directory: Path, scenario: bytes, seed: int) -> bool:
    """Tell whether what stands in a directory is a run of a scenario with a seed, or was meant to become one."""
    played, report = directory / SCENARIO_NAME, directory / JSON_NAME
    if not played.exists() or played.read_bytes() != scenario:
        return False
    if not report.exists():  # it is written last
        return True
    try:
        found = json.loads(report.read_bytes())
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("seed") == seed


def require_chain(directory: Path) -> None:
    """Look whether a directory may hold a chain to prove. Raises: BadInput: it holds a run of a network's scenario."""
    if (directory / TRACE_NAME).exists():
        raise BadInput(
            f"{directory}: a network's scenario leaves no chain to prove: play it again, with the command at the end "
            f"of {PAGE_NAME}, and compare trace_digest in {JSON_NAME}",
            path=str(directory),
        )


def write_network(directory: Path, report: NetworkReport, traces: Sequence[Sequence[Event]], scenario: bytes) -> None:
    """Write everything into ``directory``; what an earlier run of a scenario left there is replaced, file by file.

    Raises:
        BadInput: the directory holds something else.
        OSError: it cannot be written.
    """
    check_directory(directory)
    directory.mkdir(parents=True, exist_ok=True)
    write_atomically(directory / SCENARIO_NAME, scenario)
    write_atomically(directory / TRACE_NAME, _pack(report, traces))
    write_atomically(directory / PAGE_NAME, render_network_report(report).encode())
    write_atomically(directory / JSON_NAME, canonical_json(report.model_dump(mode="json")) + b"\n")


def _pack(report: NetworkReport, traces: Sequence[Sequence[Event]]) -> bytes:
    lines = []
    for variant, events in zip(report.variants, traces, strict=True):
        lines += [json.dumps([variant.name, *event], ensure_ascii=True) for event in events]
    return gzip.compress("\n".join(lines).encode(), mtime=0)


def show_network(report: NetworkReport, directory: Path, *, as_json: bool) -> None:
    """Print tables and what came out, or the report itself."""
    if as_json:
        typer.echo(json.dumps(report.model_dump(mode="json"), indent=2))
        return
    console = Console(highlight=False)
    first, *others = report.variants
    pairs: list[tuple[VariantReport, ...]] = [(first, other) for other in others] or [(first,)]
    for pair in pairs:  # more columns do not fit
        console.print(lay_out(compare_variants(report, pair), console.width))
        console.print()
    for variant in report.variants:
        nodes = list_nodes(variant)
        console.print(lay_out(nodes, console.width))
        if nodes.note:
            typer.echo(nodes.note)
        if variant.rejected:
            console.print(lay_out(list_reasons(variant), console.width))
        for alert in [found for found in variant.incidents if found.event == "alert"][:_MOST_ALERTS]:
            typer.echo(f"{alert.time_s:.1f} s, node-{alert.node} alerts: {visible_text(alert.detail, _LONGEST_LINE)}")
        missed = variant.warns_of != "nothing" and variant.outcome == "agreed"
        announced = f"; a {variant.warns_of} was announced (warns_of) and did not come" if missed else ""
        said = visible_text(variant.said, _LONGEST_LINE)
        typer.echo(f"{visible_text(variant.name)}: {variant.outcome}: {said}{announced}\n")
    typer.echo(f"Report: {visible_text(str(directory / PAGE_NAME), _LONGEST_LINE)}")
    typer.echo(f"The same once more, event for event: {visible_text(report.replay, _LONGEST_LINE)}")
