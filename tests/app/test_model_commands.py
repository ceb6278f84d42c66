"""``chainsec model``: evaluates, trains, scores; what cannot be done is one line, and nothing is half written."""

import csv
import json
from dataclasses import replace

import pytest

from chainsec.app import model_page
from chainsec.app.model_page import draw_page
from chainsec.evaluation import catalogue
from chainsec.evaluation.catalogue import Entry, find_studies
from chainsec.evaluation.outcome import Figure, Line, Outcome, Plot

OUTCOME = Outcome(
    study="coins",
    data="1,000 throws",
    protocol="Each throw is guessed before it falls.",
    seed=3,
    figures=(
        Figure("AUC", 0.91, 0.88, 0.94, published=0.9, published_by="Somebody 2020", asked=0.88),
        Figure("error <script>alert(1)</script>", 0.03, asked=0.02, lower_is_better=True),
    ),
    plots=(
        Plot("roc", "ROC", "good refused", "bad caught", (Line("ours", (0.0, 0.2, 1.0), (0.0, 0.9, 1.0)),)),
        Plot(
            "delay",
            "Delay",
            "events",
            "share",
            (Line("a", (0.0, 400.0), (0.0, 1.0)), Line("b", (0.0, 400.0), (0.0, 0.5))),
        ),
    ),
    notes=("Coins are made up.",),
)


class Coins:
    name, title = "coins", "whether a coin falls on its head"

    def run(self, _folder, _seed, on_step):
        on_step("coins", 1, 1)
        return OUTCOME


@pytest.fixture
def coins(monkeypatch):
    """Put a study into the catalogue that is done at once."""
    entries = (Entry("coins", "coins:Coins", ""), Entry("missing", "missing:Missing", "not_there"))
    monkeypatch.setattr(catalogue, "STUDIES", entries)
    monkeypatch.setattr(Entry, "load", lambda _: Coins())


def write_log(path, rows=120):
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["time", "requester", "asset", "outcome"])
        for i in range(rows):
            who = ("ann", "bob", "eve")[i % 3]
            outcome = "denied" if who == "eve" else "granted"
            table.writerow([f"2024-05-{1 + i // 24:02d}T{i % 24:02d}:00:00Z", who, f"scan-{i % 5}", outcome])
    return path


@pytest.mark.usefixtures("coins")
def test_studies_are_shown_written_and_drawn_and_missing_data_said(chainsec, tmp_path):
    figures, page = tmp_path / "figures.json", tmp_path / "page.html"
    code, out, _ = chainsec("model", "evaluate", "--json", str(figures), "--plots", str(page), "--seed", "3")
    assert code == 0
    assert "0.910" in out
    assert "\u2265 0.880 reached" in " ".join(out.split())
    assert "missing: passed over" in out
    assert "Not as good as asked: coins: error" in out
    found = json.loads(figures.read_bytes())
    assert found["studies"][0]["figures"][0]["is_reached"] is True
    assert "not_there" in found["passed_over"]["missing"]
    text = page.read_text()
    assert text.count("<svg") == 2
    assert "<script>" not in text
    assert "1 of 2 figures are as good as asked" in text


@pytest.mark.usefixtures("coins")
def test_a_study_that_is_named_must_have_its_data(chainsec, tmp_path):
    code, _, err = chainsec("model", "evaluate", "missing", "--data", str(tmp_path))
    assert code == 2
    assert err.strip().splitlines()[-1].startswith("chainsec: missing: ")
    assert "not_there" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["evaluate", "astrology"], "no study 'astrology'; known: access,"),
        (["evaluate", "--data", "/no/such/folder"], "is no folder of data"),
        (["evaluate", "--json", "/no/such/folder/x.json"], "its directory does not exist"),
    ],
)
def test_what_cannot_be_evaluated_is_one_line(chainsec, arguments, words):
    code, _, err = chainsec("model", *arguments)
    assert code == 2
    assert words in err
    assert "Traceback" not in err


def test_every_study_of_the_catalogue_loads_and_is_named_as_there():
    for entry in find_studies([]):
        study = entry.load()
        assert study.name == entry.name
        assert study.title


def test_a_model_is_trained_on_a_log_and_scores_another(chainsec, tmp_path):
    log, folder, scores = write_log(tmp_path / "log.csv"), tmp_path / "m", tmp_path / "scores.csv"
    code, out, _ = chainsec("model", "train", str(log), "--mapping", "generic_csv", "--out", str(folder))
    assert code == 0
    assert "120 rows, 120 with a label, 40 of them denied" in out
    assert "Check: trained on the first 96 rows" in out
    digest = json.loads((folder / "trained.json").read_bytes())["digest"]
    assert f"Model {digest}" in out
    code, out, _ = chainsec("model", "score", str(folder), str(log), "--mapping", "generic_csv", "--out", str(scores))
    assert code == 0
    assert "moved on by 1 weeks" in out
    lines = scores.read_text().splitlines()
    assert lines[0] == "row,score"
    assert [line.split(",")[0] for line in lines[1:]] == [str(i + 1) for i in range(120)]
    assert all(0 <= float(line.split(",")[1]) <= 1 for line in lines[1:])
    code, _, err = chainsec("model", "train", str(log), "--mapping", "generic_csv", "--out", str(folder))
    assert code == 2
    assert "holds a model already; --replace writes over it" in err


def test_a_bad_row_is_named_and_no_model_is_written(chainsec, tmp_path):
    log = write_log(tmp_path / "log.csv", 10)
    log.write_text(log.read_text() + "yesterday,ann,scan-1,granted\n")
    code, _, err = chainsec("model", "train", str(log), "--mapping", "generic_csv", "--out", str(tmp_path / "m"))
    assert code == 2
    assert "line 12" in err
    assert not (tmp_path / "m").exists()
    code, out, _ = chainsec(
        "model", "train", str(log), "--mapping", "generic_csv", "--out", str(tmp_path / "m"), "--skip-bad"
    )
    assert code == 0
    assert "1 bad rows left out" in out


def test_scores_are_not_written_where_the_model_is_another(chainsec, tmp_path):
    log, folder = write_log(tmp_path / "log.csv", 40), tmp_path / "m"
    chainsec("model", "train", str(log), "--mapping", "generic_csv", "--out", str(folder), "--no-check")
    model = folder / "model.json"
    model.write_bytes(model.read_bytes().replace(b"base_rate", b"base_rite", 1))
    out = tmp_path / "scores.csv"
    code, _, err = chainsec("model", "score", str(folder), str(log), "--mapping", "generic_csv", "--out", str(out))
    assert code == 2
    assert "model.json: is not the file that trained.json names" in err
    assert not out.exists()


@pytest.fixture
def trained(chainsec, tmp_path):
    """Give a log and the folder of a model that was trained on it."""
    log, folder = write_log(tmp_path / "log.csv", 60), tmp_path / "m"
    assert chainsec("model", "train", log, "--mapping", "generic_csv", "--out", folder, "--no-check").code == 0
    return log, folder


def test_reasons_stand_in_a_third_column_and_leave_the_scores_as_they_are(chainsec, trained, tmp_path):
    log, folder = trained
    plain, told = tmp_path / "plain.csv", tmp_path / "told.csv"
    for out, more in ((plain, ()), (told, ("--reasons", "2"))):
        assert chainsec("model", "score", folder, log, "--mapping", "generic_csv", "--out", out, *more).code == 0
    rows = list(csv.reader(told.open(newline="")))
    assert rows[0] == ["row", "score", "reasons"]
    assert [row[:2] for row in rows] == list(csv.reader(plain.open(newline="")))
    assert all(1 <= len(row[2].split("; ")) <= 2 and row[2][0].isalpha() for row in rows[1:])


def test_what_is_read_from_is_not_written_over(chainsec, trained):
    log, folder = trained
    for out in (log, folder / "model.json", folder / "trained.json"):
        before = out.read_bytes()
        told = chainsec("model", "score", folder, log, "--mapping", "generic_csv", "--out", out)
        assert (told.code, out.read_bytes()) == (2, before)
        assert f"--out {out}: is what is read from" in told.err


def test_a_folder_without_its_record_scores_and_says_that_nothing_vouches_for_it(chainsec, trained, tmp_path):
    log, folder = trained
    (folder / "trained.json").unlink()
    told = chainsec("model", "score", folder, log, "--mapping", "generic_csv", "--out", tmp_path / "s.csv")
    assert told.code == 0
    assert "holds no trained.json: whether its files are as they were written, only you can tell" in told.out


def test_words_that_a_default_stands_for_are_named(chainsec, tmp_path):
    log = write_log(tmp_path / "log.csv", 60)
    lines = log.read_text().splitlines()
    words = ["action", *(["read", "purge", "", "lesen\x1b[2J"][i % 4] for i in range(60))]
    log.write_text("\n".join(f"{line},{word}" for line, word in zip(lines, words, strict=True)) + "\n")
    told = chainsec("model", "train", log, "--mapping", "generic_csv", "--out", tmp_path / "m", "--no-check")
    assert told.code == 0
    words = "Field action: 2 words that the mapping does not know are taken for its default 'read': 'purge', 'lesen"
    assert words in told.out
    assert "\x1b" not in told.out
    told = chainsec("replay", log, "--mapping", "generic_csv", "--run", tmp_path / "run")
    assert told.code == 0
    notes = json.loads((tmp_path / "run" / "report.json").read_text())["requests"]["notes"]
    assert any("field action: 2 words" in note for note in notes)


def test_studies_are_listed_whole_however_narrow_the_terminal(chainsec, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    lines = chainsec("model", "evaluate", "--list").out.splitlines()
    assert len(lines) == len(find_studies([]))
    assert "traffic: " in lines[2]
    assert lines[2].endswith("; reads nsl_kdd")


def test_a_line_has_one_colour_in_all_plots_of_a_study():
    def plot(kind, *names):
        return Plot(kind, "Coins", "x", "y", tuple(Line(name, (0.0, 1.0), (0.0, 1.0)) for name in names))

    few = replace(OUTCOME, plots=(plot("roc", "a", "b"), plot("calibration", "b")))
    page = draw_page([few])
    assert "Coins: caught against refused" in page
    assert "Coins: what a score means" in page
    colours = {name: model_page._draw(plot("roc", name), "x", {"b": "orange"}).svg for name in "ab"}
    assert colours["a"] != colours["b"].replace(">b<", ">a<")


def test_a_plot_of_many_lines_becomes_several():
    many = Plot("other", "Coins", "x", "y", tuple(Line(f"line {n}", (0.0, 1.0), (0.0, 1.0)) for n in range(12)))
    assert [len(part.lines) for part in model_page._split(many)] == [5, 5, 2]


def test_a_page_of_nothing_is_a_page():
    assert "0 of 0 figures" in draw_page([])
    assert model_page.__doc__
