"""``chainsec bench``: measures, shows a table, writes the figures to a file.

Layer: app. Not here: measuring (``chainsec.bench``).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chainsec.errors import BadInput, ConfigError

if TYPE_CHECKING:
    from chainsec.app.table import Table
    from chainsec.bench.rows import Findings

__all__ = ["bench_app"]

PER_TURN = 10
"""Fewer transactions than this cannot be timed."""

bench_app = typer.Typer(help="Measure speed, beside others in the same run.", no_args_is_help=True)

FileOption = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Write rows, settings and facts of the machine to a file, too."),
]
RoundsOption = Annotated[int, typer.Option(min=1, help="Each way takes a turn in every round; medians are shown.")]
PlainOption = Annotated[
    int, typer.Option(min=1, help="Plain web3 + eth-tester sends so many a round; faster ways send more.")
]
ProfileOption = Annotated[bool, typer.Option("--profile", help="Look afterwards where the time goes.")]


@bench_app.command("engine")
def engine(
    *,
    transactions: PlainOption = 200,
    rounds: RoundsOption = 5,
    profile: ProfileOption = False,
    json_path: FileOption = None,
) -> None:
    """Transactions a second: plain web3 + eth-tester, ours in each way, anvil by itself and as our engine.

    Each writes one slot and emits one event. Timed from arguments to receipt: encoding, signing, sending, mining,
    reading; every receipt is checked. Takes about a minute.

    Example: chainsec bench engine --json engine.json
    """
    from chainsec.app.terminal import open_progress  # noqa: PLC0415 - --help stays fast
    from chainsec.bench.engines import bench_engine  # noqa: PLC0415 - --help stays fast

    _check_target(json_path)
    with open_progress("bench engine") as progress:
        found = bench_engine(transactions=transactions, rounds=rounds, is_profiled=profile, on_step=progress.on_step)
    _show(found, json_path)


@bench_app.command("decisions")
def decisions(
    *,
    batches: Annotated[
        str,
        typer.Option(metavar="N,N,...", help="Requests handed in together and decided in one transaction, 1 to 200."),
    ] = "1,10,50,100",
    requests: Annotated[int, typer.Option(min=1, help="Decided in a turn; at least the largest batch.")] = 200,
    transactions: PlainOption = 100,
    rounds: RoundsOption = 3,
    profile: ProfileOption = False,
    json_path: FileOption = None,
) -> None:
    """Requests decided a second, end to end, in process and on anvil, beside plain transactions.

    Context handed in, request on chain, final, scored, receipt on disk, decision on chain: two writes each. Requests
    are those of the demo's hospital, the model is trained as the demo trains it. Takes a minute or two.

    Example: chainsec bench decisions --batches 1,50 --profile
    """
    from chainsec.app.terminal import open_progress  # noqa: PLC0415 - --help stays fast
    from chainsec.bench.decisions import bench_decisions  # noqa: PLC0415 - --help stays fast

    _check_target(json_path)
    try:
        sizes = [int(size) for size in batches.split(",")]
    except ValueError:
        raise ConfigError(f"--batches {batches}: needs numbers with commas between them, such as 1,50") from None
    with open_progress("bench decisions") as progress:
        found = bench_decisions(
            batches=sizes,
            requests=requests,
            transactions=transactions,
            rounds=rounds,
            is_profiled=profile,
            on_step=progress.on_step,
        )
    _show(found, json_path)


@bench_app.command("lookups")
def lookups(
    *,
    blocks: Annotated[int, typer.Option(min=100, help="Length of the longest chain; half of it is reopened.")] = 20_000,
    events: Annotated[int, typer.Option(min=1_000, help="A query picks one in a thousand of them.")] = 100_000,
    slow_peers: Annotated[
        bool, typer.Option("--slow-peers", help="Let eth-tester read 400 events, not 100: some 20 s each time.")
    ] = False,
    json_path: FileOption = None,
) -> None:
    """Milliseconds to read logs, receipts and transactions, to go back to a mark, to reopen a chain.

    Beside plain eth-tester on a chain that it carries, then alone on longer ones. Takes a few minutes.

    Example: chainsec bench lookups --blocks 2000 --events 10000
    """
    from chainsec.app.terminal import open_progress  # noqa: PLC0415 - --help stays fast
    from chainsec.bench.lookups import bench_lookups  # noqa: PLC0415 - --help stays fast

    _check_target(json_path)
    with open_progress("bench lookups") as progress:
        found = bench_lookups(blocks=blocks, events=events, has_slow_peers=slow_peers, on_step=progress.on_step)
    _show(found, json_path)


@bench_app.command("network")
def network(
    *,
    transactions: Annotated[int, typer.Option(min=PER_TURN, help="In a round, for each way.")] = 1_000,
    rounds: Annotated[int, typer.Option(min=1, help="Each way takes a turn in every round; medians are shown.")] = 3,
    blocks: Annotated[int, typer.Option(min=1, help="Empty blocks for each number of validators.")] = 20,
    json_path: FileOption = None,
) -> None:
    """What simulated validators cost this machine: beside one engine on the same transactions, and by their number.

    Four validators that each execute every block, four that share one execution, and 4, 7, 16, 40 and 100 validators on
    empty blocks. Takes about two minutes.

    Example: chainsec bench network --json network.json
    """
    from chainsec.app.terminal import open_progress  # noqa: PLC0415 - --help stays fast
    from chainsec.bench.networks import bench_network  # noqa: PLC0415 - --help stays fast

    _check_target(json_path)
    with open_progress("bench network") as progress:
        found = bench_network(transactions=transactions, rounds=rounds, blocks=blocks, on_step=progress.on_step)
    _show(found, json_path)


@bench_app.command("judgement")
def judgement(
    *,
    days: Annotated[int, typer.Option(min=30, help="Days of a hospital that the model knows.")] = 60,
    requests: Annotated[int, typer.Option(min=100, help="Judged one after the other.")] = 2_000,
    rounds: RoundsOption = 5,
    json_path: FileOption = None,
) -> None:
    """Requests judged a second on one core: one from its facts to its reasons, and many at once.

    Beside scikit-learn's own boosting, calibrated, on the same features. Takes about half a minute.

    Example: chainsec bench judgement --json judgement.json
    """
    from chainsec.app.terminal import open_progress  # noqa: PLC0415 - --help stays fast
    from chainsec.bench.judgement import bench_judgement  # noqa: PLC0415 - --help stays fast

    _check_target(json_path)
    with open_progress("bench judgement") as progress:
        found = bench_judgement(days=days, requests=requests, rounds=rounds, on_step=progress.on_step)
    _show(found, json_path)


def _check_target(path: Path | None) -> None:
    """Refuse a file that could not be written, before anything is measured."""
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise BadInput(f"--json {path}: {'is a directory' if path.is_dir() else 'its directory does not exist'}")


def _show(found: Findings, path: Path | None) -> None:
    """Write the figures to a file where one is named, and print tables and notes."""
    from rich.console import Console  # noqa: PLC0415 - --help stays fast

    from chainsec.app.terminal import lay_out  # noqa: PLC0415 - --help stays fast
    from chainsec.app.wording import visible_text  # noqa: PLC0415 - --help stays fast
    from chainsec.journal import write_atomically  # noqa: PLC0415 - --help stays fast

    if path is not None:
        write_atomically(path, found.to_json())
    console = Console(highlight=False)
    console.print(lay_out(tabulate(found), console.width))
    if found.shares:
        console.print()
        console.print(lay_out(tabulate_shares(found), console.width))
    for note in found.notes:
        typer.echo(note)
    if path is not None:
        typer.echo(f"Figures: {visible_text(str(path), 1_000)}")


def tabulate(found: Findings) -> Table:
    """Return a benchmark's rows: what was done, how many a second or how long one takes, how often its peer's."""
    from chainsec.app.table import Table  # noqa: PLC0415 - --help stays fast
    from chainsec.app.wording import amount  # noqa: PLC0415 - --help stays fast

    is_timed = found.unit == "ms"
    rows = [
        (
            row.name,
            amount(row.milliseconds if is_timed else row.per_second),
            "" if row.ratio is None else f"{amount(row.ratio)} x",
            f"{amount(1000 / row.highest)} - {amount(1000 / row.lowest)}"
            if is_timed
            else f"{amount(row.lowest)} - {amount(row.highest)}",
        )
        for row in found.rows
    ]
    return Table(f"bench {found.bench}", ("", found.unit, "ratio", "range"), rows, frozenset({1, 2, 3}))


def tabulate_shares(found: Findings) -> Table:
    """Return where the time goes: a row for each kind of work, a column for each place."""
    from chainsec.app.table import Table  # noqa: PLC0415 - --help stays fast
    from chainsec.app.wording import rate  # noqa: PLC0415 - --help stays fast

    kinds = dict.fromkeys(kind for shares in found.shares.values() for kind in shares)
    rows = [(kind, *(rate(shares.get(kind, 0.0)) for shares in found.shares.values())) for kind in kinds]
    places = range(1, len(found.shares) + 1)
    return Table("where the time goes", ("", *found.shares), rows, frozenset(places))
