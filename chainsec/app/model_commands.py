"""``chainsec model``: measures the models on public data, trains one on a log, scores a log with one.

Layer: app. Not here: models (``chainsec.models``, ``chainsec.defence``), studies (``chainsec.evaluation``).
"""

from __future__ import annotations

import csv
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chainsec.errors import BadInput, ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from chainsec.scenarios.log_models import Check

__all__ = ["model_app"]

model_app = typer.Typer(
    help="The agent's judgement: what it is worth on public data, and models trained on a log of your own.",
    no_args_is_help=True,
)

LogArgument = Annotated[
    Path, typer.Argument(metavar="LOG", help="CSV, JSON Lines or a JSON array of records, each also as gzip.")
]
MappingOption = Annotated[
    str, typer.Option("--mapping", metavar="MAP", help="What the log's parts mean: a shipped mapping or a TOML file.")
]
SkipOption = Annotated[bool, typer.Option("--skip-bad", help="Leave bad rows out instead of failing at the first.")]


@model_app.command("evaluate")
def evaluate(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Studies; all of them where none is named.")
    ] = None,
    *,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="Folder of the public data sets; else $CHAINSEC_DATA."),
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write figures, intervals and curves to a file, too.")
    ] = None,
    page_path: Annotated[
        Path | None, typer.Option("--plots", metavar="FILE", help="Write a page (HTML) with the plots, too.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Every resample and every draw follows from it.")] = 7,
    lists: Annotated[bool, typer.Option("--list", help="List the studies and the files they read, and leave.")] = False,
) -> None:
    """Measure the models on public data, beside what others published, with 95 % intervals.

    Each study states its protocol. A study whose data are missing is passed over and said so; one that is named
    has to have them.

    Example: chainsec model evaluate access spam --data ../data --json figures.json
    """
    from chainsec.app.model_page import draw_page  # noqa: PLC0415 - --help stays fast
    from chainsec.app.model_tables import outcomes_json, show_outcomes, show_studies  # noqa: PLC0415 - --help stays fast
    from chainsec.app.terminal import open_progress  # noqa: PLC0415 - --help stays fast
    from chainsec.config import data_directory  # noqa: PLC0415 - --help stays fast
    from chainsec.evaluation.catalogue import find_studies, run_studies  # noqa: PLC0415 - --help stays fast
    from chainsec.journal import write_atomically  # noqa: PLC0415 - --help stays fast

    studies = find_studies(names or [])
    if lists:
        show_studies(studies)
        return
    _check_target(json_path, "--json")
    _check_target(page_path, "--plots")
    folder = data or data_directory()
    if folder is not None and not folder.is_dir():
        raise BadInput(f"{folder}: is no folder of data", path=str(folder))
    with open_progress("model evaluate") as progress:
        outcomes, missing = run_studies(studies, folder, seed, progress.on_step, must_have_data=bool(names))
    if json_path is not None:
        write_atomically(json_path, outcomes_json(outcomes, missing, seed))
    if page_path is not None:
        write_atomically(page_path, draw_page(outcomes).encode())
    show_outcomes(outcomes, missing)
    for what, path in (("Figures", json_path), ("Plots", page_path)):
        if path is not None:
            typer.echo(f"{what}: {_shown(path)}")


@model_app.command("train")
def train(
    log: LogArgument,
    *,
    mapping: MappingOption,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder that the model is written to.")],
    skip_bad: SkipOption = False,
    replaces: Annotated[bool, typer.Option("--replace", help="Write over a model that is there.")] = False,
    checks: Annotated[
        bool, typer.Option("--check/--no-check", help="First train on the earlier 80 % and score the rest.")
    ] = True,
) -> None:
    """Train a risk model on a log of requests; labels are used where the mapping names them.

    The same log gives the same model, with the same digest. Before that a model of the earlier 80 % of the rows is held
    against the later ones, so that you know what to expect.

    Example: chainsec model train requests.csv --mapping generic_csv --out models/requests
    """
    from chainsec.app.terminal import open_progress  # noqa: PLC0415 - --help stays fast
    from chainsec.scenarios.log_models import check_on_rows, read_rows, train_on_rows  # noqa: PLC0415 - as above
    from chainsec.scenarios.mapping import load_mapping  # noqa: PLC0415 - --help stays fast
    from chainsec.scenarios.model_folder import check_model_folder, write_model  # noqa: PLC0415 - --help stays fast

    found = load_mapping(mapping)
    check_model_folder(out, replaces=replaces)
    with open_progress("model train") as progress:
        rows = read_rows(log, found, skip_bad=skip_bad, on_step=progress.on_step)
        check = check_on_rows(rows, progress.on_step) if checks else None
        progress.on_step("model", 0, 1)
        model = train_on_rows(rows)
        progress.on_step("model", 1, 1)
    known = [label for label in rows.denied if label is not None]
    origin = {"rows": len(rows.records), "labels": len(known), "denied": sum(known), "mapping": found.digest()}
    if found.has_clock:
        origin["until_s"] = max(observation.time_s for observation in rows.observations)
    write_model(out, model, origin)
    left_out = f"; {rows.skipped:,} bad rows left out" if rows.skipped else ""
    typer.echo(f"{len(rows.records):,} rows, {len(known):,} with a label, {sum(known):,} of them denied{left_out}")
    _tell_remarks(rows.remarks)
    if checks:
        typer.echo(_tell_check(check))
    typer.echo(f"Model {model.digest}")
    typer.echo(f"Score with it: chainsec model score {_shown(out)} LOG --mapping {mapping} --out scores.csv")


@model_app.command("score")
def score(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a trained model.")],
    log: LogArgument,
    *,
    mapping: MappingOption,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="CSV file for row and score.")],
    skip_bad: SkipOption = False,
    learn_after: Annotated[
        int | None,
        typer.Option("--learn-after", min=0, help="Let each row's label come to light after so many further rows."),
    ] = None,
    reasons: Annotated[
        int, typer.Option("--reasons", min=0, max=20, help="Say in a third column what moved each score most.")
    ] = 0,
) -> None:
    """Score the requests of a log: row (the first is 1) and risk from 0 to 1, in the order of the log.

    Each row is scored before it enters the past, as the agent does it, so that a score depends on the rows before
    it. Labels in the log stay hidden, unless --learn-after lets them come to light.

    Example: chainsec model score models/requests new.csv --mapping generic_csv --out scores.csv
    """
    from chainsec.app.terminal import open_progress  # noqa: PLC0415 - --help stays fast
    from chainsec.defence.receipts import list_reasons  # noqa: PLC0415 - --help stays fast
    from chainsec.journal import write_atomically  # noqa: PLC0415 - --help stays fast
    from chainsec.scenarios.log_models import move_behind, read_rows, score_rows  # noqa: PLC0415 - --help stays fast
    from chainsec.scenarios.mapping import load_mapping  # noqa: PLC0415 - --help stays fast
    from chainsec.scenarios.model_folder import (  # noqa: PLC0415 - --help stays fast
        MODEL_FILES,
        RECORD,
        latest_time,
        load_model,
        read_model_files,
    )

    _check_target(out, "--out", (log, *(folder / name for name in MODEL_FILES)))
    found = load_mapping(mapping)
    if learn_after is not None and found.label is None:
        raise ConfigError("--learn-after needs a mapping with a label", option="--learn-after")
    model = load_model(read_model_files(folder))
    with open_progress("model score") as progress:
        rows = read_rows(log, found, skip_bad=skip_bad, on_step=progress.on_step)
        until_s = latest_time(folder)
        rows, weeks = (rows, 0) if until_s is None else move_behind(rows, until_s)
        told: dict[int, str] = {}

        def explain(record: int, features: Mapping[str, float]) -> None:
            named = list_reasons(features, model, reasons) if reasons else []
            told[record] = "; ".join(f"{words} ({moved:+.3f})" for _, moved, words in named)

        scores = score_rows(model, rows, learn_after=learn_after, on_scored=explain, on_step=progress.on_step)
    written = StringIO()
    lines = csv.writer(written, lineterminator="\n")
    lines.writerow(["row", "score", *["reasons"] * (reasons > 0)])
    lines.writerows([record, repr(risk), *[told[record]] * (reasons > 0)] for record, risk in scores)
    write_atomically(out, written.getvalue().encode())
    left_out = f"; {rows.skipped:,} bad rows left out" if rows.skipped else ""
    _tell_remarks(rows.remarks)
    if weeks:
        typer.echo(
            f"The log begins before the model's past ends: its times were moved on by {weeks:,} weeks, so that hours "
            "and weekdays stay"
        )
    typer.echo(f"{len(scores):,} rows scored by model {model.digest}{left_out}: {_shown(out)}")
    if not (folder / RECORD).is_file():
        typer.echo(f"{_shown(folder)} holds no {RECORD}: whether its files are as they were written, only you can tell")


def _tell_check(check: Check | None) -> str:
    if check is None:
        return "No check: the latest fifth of the rows has not labels of both kinds"
    caught = ", ".join(f"{recall:.1%} at {rate:.0%}" for rate, recall in check.caught.items())
    return (
        f"Check: trained on the first {check.trained:,} rows, on the {check.tested:,} labelled ones after them "
        f"({check.denied:,} denied) the area under the ROC curve is {check.auc:.3f}; denied ones caught by share of "
        f"granted ones refused: {caught}"
    )


def _tell_remarks(remarks: Sequence[str]) -> None:
    from chainsec.app.wording import visible_text  # noqa: PLC0415 - --help stays fast

    for remark in remarks:
        typer.echo(visible_text(f"{remark[:1].upper()}{remark[1:]}", 1_000))


def _check_target(path: Path | None, option: str, inputs: Iterable[Path] = ()) -> None:
    """Refuse a file that could not be written, or is read from, before anything slow is done."""
    if path is None:
        return
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise BadInput(f"{option} {path}: {'is a directory' if path.is_dir() else 'its directory does not exist'}")
    if path.exists() and any(read.exists() and read.samefile(path) for read in inputs):
        raise BadInput(f"{option} {path}: is what is read from; name another file", path=str(path))


def _shown(path: Path) -> str:
    from chainsec.app.wording import visible_text  # noqa: PLC0415 - --help stays fast

    return visible_text(str(path), 1_000)
