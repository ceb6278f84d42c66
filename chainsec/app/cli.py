"""The ``chainsec`` command: parses, calls one function of a scenario, shows what came out.

Layer: app. Not here: anything that a script could not do as well through the package.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chainsec import __version__
from chainsec.app import attach_commands
from chainsec.app.bench_commands import bench_app
from chainsec.app.model_commands import model_app
from chainsec.app.network_commands import network_app
from chainsec.errors import AuditFailed, BadInput, ChainSecError, CompilerError, ConfigError, RunInUse, RunMismatch

if TYPE_CHECKING:
    from chainsec.config import Config
    from chainsec.scenarios.network_run import NetworkTerms
    from chainsec.scenarios.run import Scenario

EXIT_CODES: tuple[tuple[type[ChainSecError], int], ...] = (
    (AuditFailed, 1),
    (BadInput, 2),
    (ConfigError, 2),
    (RunInUse, 2),
    (RunMismatch, 2),
    (CompilerError, 1),
    (ChainSecError, 3),
)
"""What the shell learns of a failure: the first class that fits."""

_INTERRUPTED = 130
"""What shells expect of a command that was stopped from the keyboard."""
_LONGEST_LINE = 1_000

app = typer.Typer(
    name="chainsec",
    help="Access control on a permissioned chain, decided by an AI agent that is held to account.",
    epilog="Exit codes: 0 done, 1 evidence or sources do not hold, 2 bad input or settings, 3 the chain refused, "
    "130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
audit_app = typer.Typer(help="Prove a run from its directory, or export its trail.", no_args_is_help=True)
app.add_typer(audit_app, name="audit")
app.add_typer(bench_app, name="bench")
app.add_typer(network_app, name="network")
app.add_typer(model_app, name="model")
app.command("deploy", rich_help_panel="On a network")(attach_commands.deploy)
app.command("agent", rich_help_panel="On a network")(attach_commands.agent)

SeedOption = Annotated[
    int | None,
    typer.Option(min=0, help="Every random choice follows from this number; 7, unless the settings have another."),
]
RunOption = Annotated[
    Path | None, typer.Option("--run", metavar="DIR", help="Where the run lives. Interrupted runs go on here.")
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Settings in TOML; see docs/settings.md.")
]
EngineOption = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="URL",
        help="Where the chain is made: in this process (eth-tester), or on a development node with a chain of its own, "
        "such as anvil: http://127.0.0.1:8545, ws://..., or the path of its .ipc socket.",
    ),
]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Delete what an earlier run left in the directory first.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print report.json instead of tables.")]


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,  # noqa: FBT002 - a flag of the command line
) -> None:
    """Show the version where it is asked for."""
    if version:
        typer.echo(f"chainsec {__version__}")
        raise typer.Exit


@app.command(rich_help_panel="Run")
def demo(
    *,
    seed: SeedOption = None,
    run: RunOption = None,
    days: Annotated[
        int, typer.Option(min=24, max=120, help="Simulated days; the agent learns from the first twelve.")
    ] = 30,
    engine: EngineOption = "eth-tester",
    validators: Annotated[
        int, typer.Option(min=0, help="Let so many QBFT validators agree on the chain, in virtual time; 0: one chain.")
    ] = 0,
    links: Annotated[
        str | None,
        typer.Option(
            metavar="MATRIX",
            help="Between validators: wan, lan, or a CSV file; see docs/network.md.",
            show_default="wan",
        ),
    ] = None,
    condition: Annotated[
        str | None,
        typer.Option(
            help="What is wrong with the network: healthy, down, partition or byzantine.", show_default="healthy"
        ),
    ] = None,
    config: ConfigOption = None,
    fresh: FreshOption = False,
    as_json: JsonOption = False,
) -> None:
    """Play a hospital consortium: 60 staff, 300 records, normal life and six kinds of attack.

    Contracts are deployed, the agent decides every request on chain, and the whole run is audited at the end.
    Interrupted, the same command goes on where it stopped. The chain is made inside this process, or with --engine on
    a development node, whose mining the run takes over; it needs a chain of its own there. With --validators the
    chain is a simulated network's, and the report says how long a revocation takes and what slips through until then.

    On a network: chainsec demo --validators 4 --links wan

    Example: chainsec demo --seed 7 --run runs/hospital
    """
    from chainsec.scenarios.network_run import NetworkTerms  # noqa: PLC0415 - --help stays fast
    from chainsec.scenarios.run import demo_scenario  # noqa: PLC0415 - --help stays fast

    settings = _settings(config, seed)
    terms = None
    if validators:
        terms = NetworkTerms(validators, links or "wan", condition or "healthy")
    elif links is not None or condition is not None:
        name, value = ("links", links) if links is not None else ("condition", condition)
        raise ConfigError(
            f"--{name} {value}: is of a network; --validators says how many agree on the chain", field=name
        )
    scenario = demo_scenario(settings.seed, days=days)
    path = run or Path("runs") / (f"demo-{settings.seed}" + (f"-{validators}-{terms.condition}" if terms else ""))
    _play(scenario, settings, path, engine=engine, network=terms, fresh=fresh, as_json=as_json)


@app.command(rich_help_panel="Run")
def replay(
    log: Annotated[Path, typer.Argument(metavar="LOG", help="CSV or JSON Lines, also gzip.")],
    *,
    mapping: Annotated[
        str, typer.Option("--mapping", metavar="MAP", help="What the log's fields mean: a TOML file or a shipped name.")
    ],
    history: Annotated[float, typer.Option(help="Share of the log, earliest first, that the agent learns from.")] = 0.5,
    run: RunOption = None,
    limit: Annotated[int | None, typer.Option(min=2, help="Take only the first rows of the log.")] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Count bad rows instead of stopping at the first.")
    ] = False,
    seed: SeedOption = None,
    engine: EngineOption = "eth-tester",
    config: ConfigOption = None,
    fresh: FreshOption = False,
    as_json: JsonOption = False,
) -> None:
    """Replay a real log of access requests: learn from its first part, decide the rest on chain.

    Only when a request has been decided is its label shown to the agent. Shipped mappings: amazon_access,
    aws_cloudtrail, generic_csv; docs/mappings.md says how to write one.

    Example: chainsec replay access.csv.gz --mapping amazon_access --history 0.5
    """
    from chainsec.scenarios.run import replay_scenario  # noqa: PLC0415 - --help stays fast

    _play(
        replay_scenario(log, mapping, history=history, limit=limit, skip_bad=skip_bad),
        _settings(config, seed),
        run or Path("runs") / f"replay-{_plain(log.name.split('.')[0])}",
        engine=engine,
        fresh=fresh,
        as_json=as_json,
    )


@audit_app.command("verify")
def audit_verify(run: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="The directory of a run.")]) -> None:
    """Prove a run from its directory alone; nothing in it is changed.

    Every block is executed again, every off-chain record held against its hash on chain, every score computed again
    from features and model. Exit code 1 and the first record that differs, if one does.

    Example: chainsec audit verify runs/demo-7
    """
    from chainsec.app.network_report import require_chain  # noqa: PLC0415 - --help stays fast
    from chainsec.app.terminal import open_progress  # noqa: PLC0415 - --help stays fast
    from chainsec.scenarios.audit import verify_run  # noqa: PLC0415 - --help stays fast

    require_chain(run)
    with open_progress("audit") as progress:
        summary = verify_run(run, lambda done, total: progress.on_step("audit", done, total), processes=_free_cores())
    state = "sealed" if summary.is_sealed else f"not finished; {summary.unanchored} records wait for their anchor"
    seals = f", {summary.seals} seals of validators" if summary.seals else ""
    typer.echo(
        f"{_shown(run)}: holds. {summary.blocks} blocks with {summary.transactions} transactions executed again, "
        f"{summary.receipts} receipts held against the chain, {summary.scores} scores computed again, "
        f"{summary.uses} uses under anchors{seals} ({state})."
    )


@audit_app.command("export")
def audit_export(
    run: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="The directory of a run.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where trail.jsonl and trail.csv go.")] = Path(
        "trail"
    ),
) -> None:
    """Write the trail as JSON Lines and CSV: every event in chain order with the record behind it.

    Example: chainsec audit export runs/demo-7 --out trail
    """
    from chainsec.app.network_report import require_chain  # noqa: PLC0415 - --help stays fast
    from chainsec.scenarios.export import export_trail  # noqa: PLC0415 - --help stays fast

    require_chain(run)
    lines, table, count = export_trail(run, out)
    typer.echo(f"{count} events: {_shown(lines)}, {_shown(table)}")


@app.command("compile", rich_help_panel="Build")
def compile_contracts(
    root_directory: Annotated[
        Path, typer.Argument(metavar="[ROOT]", help="Folder that holds contracts/ and node_modules/.")
    ] = Path(),
    *,
    check: Annotated[bool, typer.Option("--check", help="Compare with the artifacts instead of writing them.")] = False,
    download: Annotated[bool, typer.Option("--download", help="Fetch a native solc first.")] = False,
) -> None:
    """Compile contracts/ into the package's artifacts, with a native solc or the one from npm.

    Example: npm ci && chainsec compile
    """
    from chainsec.ledger.artifact import write_artifacts  # noqa: PLC0415 - --help stays fast
    from chainsec.ledger.compiler import check_artifacts, compile_sources  # noqa: PLC0415 - --help stays fast
    from chainsec.ledger.solc import find_compiler  # noqa: PLC0415 - --help stays fast

    compiler = find_compiler(root_directory, download=True if download else None)
    typer.echo(f"compiling {_shown(root_directory / 'contracts')} with the {compiler.kind} solc; a moment", err=True)
    if check:
        check_artifacts(root_directory, compiler=compiler)
        typer.echo("the artifacts are what the sources compile to")
        return
    artifacts = compile_sources(root_directory, compiler=compiler)
    write_artifacts(artifacts.values())
    for name, artifact in sorted(artifacts.items()):
        typer.echo(f"{name:16} {len(artifact.deployed_bytecode):>6} bytes")


def main() -> None:
    """Run the command line; expected failures become one line on standard error and an exit code."""
    from chainsec.app.wording import visible_text  # noqa: PLC0415 - --help stays fast

    try:
        app()
    except ChainSecError as error:
        typer.echo(f"chainsec: {visible_text(str(error), _LONGEST_LINE)}", err=True)
        sys.exit(next(code for kind, code in EXIT_CODES if isinstance(error, kind)))
    except OSError as error:
        typer.echo(f"chainsec: {visible_text(str(error.filename or 'file'))}: {error.strerror or error}", err=True)
        sys.exit(2)


def _shown(path: Path) -> str:
    """Return a path as a terminal may be given it, whole."""
    from chainsec.app.wording import visible_text  # noqa: PLC0415 - --help stays fast

    return visible_text(str(path), _LONGEST_LINE)


def _plain(name: str) -> str:
    """Return a file's name as a directory may have it: what cannot be printed gives way."""
    return "".join(char if char.isprintable() else "_" for char in name)


def _free_cores() -> int:
    return len(os.sched_getaffinity(0))


def _settings(path: Path | None, seed: int | None) -> Config:
    from chainsec.config import load_config  # noqa: PLC0415 - --help stays fast

    return load_config(path) if seed is None else load_config(path, seed=seed)


def _play(
    scenario: Scenario,
    config: Config,
    path: Path,
    *,
    engine: str,
    network: NetworkTerms | None = None,
    fresh: bool,
    as_json: bool,
) -> None:
    from chainsec.app.report import PAGE_NAME, write_report  # noqa: PLC0415 - --help stays fast
    from chainsec.app.terminal import open_progress, show_report  # noqa: PLC0415 - --help stays fast
    from chainsec.scenarios.run import is_finished, run_scenario  # noqa: PLC0415 - --help stays fast

    was_finished = is_finished(path) and not fresh
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends it is told how to go on, and a node let go
    try:
        with open_progress(scenario.name, is_quiet=as_json) as progress:
            report = run_scenario(
                scenario,
                config,
                path,
                progress,
                write_report,
                engine=engine,
                network=network,
                is_fresh=fresh,
                processes=_free_cores(),
            )
    except KeyboardInterrupt:
        typer.echo(f"chainsec: interrupted; the same command goes on from here: {_shown(path)}", err=True)
        raise typer.Exit(_INTERRUPTED) from None
    if as_json:
        typer.echo(json.dumps(report.model_dump(mode="json"), indent=2))
        return
    show_report(report)
    if was_finished:
        typer.echo("This run had finished before; --fresh plays it again.")
    typer.echo(f"Report: {_shown(path / PAGE_NAME)}\nProve it: chainsec audit verify {_shown(path)}")


if __name__ == "__main__":
    main()
