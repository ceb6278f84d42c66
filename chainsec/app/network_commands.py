"""``chainsec network``: plays scenarios of a permissioned network, lists those that ship.

Layer: app. Not here: playing (``chainsec.network``), files for a real network (``network_export``).
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chainsec import __version__
from chainsec.app.network_export import export_app

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainsec.app.terminal import Progress
    from chainsec.network.report_schema import NetworkReport, VariantReport
    from chainsec.network.scenario import NetworkScenario
    from chainsec.network.trace import Event

__all__ = ["network_app"]

_LONGEST_ABOUT = 1_000

network_app = typer.Typer(
    help="A permissioned network of QBFT validators in virtual time: what agreement costs, and what faults do to it.",
    no_args_is_help=True,
)
network_app.add_typer(export_app, name="export")


@network_app.command("run")
def run(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="A TOML file, or the name of a shipped one.")],
    *,
    seed: Annotated[
        int | None, typer.Option(help="Every key and every random choice follows from it; else the file's.")
    ] = None,
    run_directory: Annotated[
        Path | None, typer.Option("--run", metavar="DIR", help="Where report.json, report.html and the trace go.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print report.json instead of tables.")] = False,
    replaces: Annotated[
        bool, typer.Option("--replace", help="Also over a run of another scenario, or with another seed, in DIR.")
    ] = False,
) -> None:
    """Play a scenario, and each of its variants, in virtual time.

    Every validator executes every block on its own state, and blocks are compared at each height. The same seed gives
    the same run, event for event. Exit code 1 if the network, or a variant of it, stalled or forked, with however many
    faults, and the file does not say that it would (warns_of = "stall" or "fork").

    Example: chainsec network run one-of-five-down --run runs/five
    """
    from chainsec.app.network_report import check_directory, show_network, write_network  # noqa: PLC0415 - as below
    from chainsec.app.terminal import open_progress  # noqa: PLC0415 - --help stays fast
    from chainsec.network.scenario import load_scenario  # noqa: PLC0415 - --help stays fast

    found, path = load_scenario(scenario, seed)
    directory = run_directory or Path("runs") / f"network-{path.stem}-{found.seed}"
    text = path.read_bytes()
    check_directory(directory, None if replaces else (text, found.seed))
    with open_progress(found.name, is_quiet=as_json) as progress:
        report, traces = _play(found, path, scenario, progress)
    write_network(directory, report, traces, text)
    show_network(report, directory, as_json=as_json)
    if not report.is_as_promised:
        raise typer.Exit(1)


def _play(
    scenario: NetworkScenario, path: Path, name: str, progress: Progress
) -> tuple[NetworkReport, list[Sequence[Event]]]:
    from chainsec.network.measure import measure_variant, write_report  # noqa: PLC0415 - --help stays fast
    from chainsec.network.run import play_scenario  # noqa: PLC0415 - --help stays fast
    from chainsec.network.watching import Lookout  # noqa: PLC0415 - --help stays fast
    from chainsec.scenarios.request_times import read_times  # noqa: PLC0415 - --help stays fast

    measured: list[VariantReport] = []
    traces: list[Sequence[Event]] = []
    logs = {
        variant.load: read_times(variant.load.log, variant.load.mapping, path.parent)
        for _, variant in scenario.variants()
        if variant.load.log is not None
    }
    for title, variant in scenario.variants():
        total, times_s = round(variant.duration_s), logs.get(variant.load, [])

        def note(time_s: float, title: str = title, total: int = total) -> None:
            progress.on_step(title, round(time_s), total)

        played = play_scenario(variant, path.parent, times_s=times_s, on_time=note, on_network=Lookout)
        measured.append(measure_variant(title, played))
        late = len(times_s) - measured[-1].sent
        if late > 0:
            log = f"{variant.load.log}: {late:,} of {len(times_s):,} requests"
            typer.echo(f"{title}: {log} come too late to be sent", err=True)
        traces.append(played.network.trace.events)
    replay = f"chainsec network run {shlex.quote(name)} --seed {scenario.seed}"
    return write_report(scenario, measured, replay=replay, version=__version__), traces


@network_app.command("scenarios")
def scenarios() -> None:
    """List the scenarios that ship with the package, with what each shows.

    Example: chainsec network scenarios
    """
    from rich.console import Console  # noqa: PLC0415 - --help stays fast

    from chainsec.app.table import Table  # noqa: PLC0415 - --help stays fast
    from chainsec.app.terminal import lay_out  # noqa: PLC0415 - --help stays fast
    from chainsec.network.scenario import load_scenario, shipped_scenarios  # noqa: PLC0415 - --help stays fast

    rows = [(name, " ".join(load_scenario(name)[0].about.split())) for name in shipped_scenarios()]
    console = Console(highlight=False)
    console.print(lay_out(Table("scenarios", ("name", "what it shows"), rows), console.width, longest=_LONGEST_ABOUT))
    typer.echo("Play one: chainsec network run NAME")


@network_app.command("soak")
def soak(
    *,
    count: Annotated[int, typer.Option(min=1, help="How many schedules.")] = 200,
    first: Annotated[int, typer.Option(min=0, help="Number of the first one; each number is always the same one.")] = 0,
) -> None:
    """Play random schedules of faults within what QBFT bears; none may fork, or stall for long.

    Exit code 1 if one does; what it was and the command that plays it again are printed.

    Example: chainsec network soak --count 1000 --first 5000
    """
    from chainsec.app.terminal import open_progress  # noqa: PLC0415 - --help stays fast
    from chainsec.network.soak import play_schedule  # noqa: PLC0415 - --help stays fast

    broken, blocks = 0, 0
    with open_progress("soak") as progress:
        for number in range(first, first + count):
            found = play_schedule(number)
            blocks += found.height
            if found.outcome != "agreed":
                broken += 1
                typer.echo(f"schedule {number}: {found.outcome}: {found.said}", err=True)
                typer.echo(f"  chainsec network soak --count 1 --first {number}", err=True)
            progress.on_step("schedules", number - first + 1, count)
    typer.echo(f"{count} schedules, {blocks:,} blocks agreed on, {broken} that forked or stalled")
    if broken:
        raise typer.Exit(1)


@network_app.command("calibrate")
def calibrate() -> None:
    """Hold the simulator against published figures of real Besu networks, at the same settings.

    The machine's speed was read from the first set; the second is a prediction. Takes about a minute.

    Example: chainsec network calibrate
    """
    from rich.console import Console  # noqa: PLC0415 - --help stays fast

    from chainsec.app.network_tables import list_comparisons  # noqa: PLC0415 - --help stays fast
    from chainsec.app.terminal import lay_out, open_progress  # noqa: PLC0415 - --help stays fast
    from chainsec.network.calibration import compare_with_published  # noqa: PLC0415 - --help stays fast

    with open_progress("calibrate") as progress:
        found = compare_with_published(progress.on_step)
    console = Console(highlight=False)
    for table in list_comparisons(found):
        console.print(lay_out(table, console.width))
        console.print()
