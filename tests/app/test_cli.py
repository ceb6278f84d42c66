import gzip
import json
import re
import subprocess
import sys

import pytest
from sklearn.metrics import roc_auc_score

from chainsec.app import cli
from chainsec.config import data_directory
from chainsec.ledger.anvil import Anvil
from chainsec.ledger.engine import open_engine
from chainsec.scenarios.report_schema import Report
from chainsec.scenarios.run import demo_scenario

COMMANDS = [
    "demo",
    "replay",
    "audit verify",
    "audit export",
    "compile",
    "bench engine",
    "bench decisions",
    "bench lookups",
    "bench network",
    "network run",
    "network scenarios",
    "network soak",
    "network calibrate",
    "network export besu",
    "deploy",
    "agent",
]


def assert_refused(told, *words):
    assert told.code == 2
    assert told.out == ""
    *progress, line = told.err.splitlines()
    assert line.startswith("chainsec: ")
    assert all(re.match(r"replay of .*: log [\d,]+/[\d,]+, ", earlier) for earlier in progress)
    for word in words:
        assert word in line, line


@pytest.fixture(scope="session")
def replayed(tmp_path_factory, log_rows):
    """Give a log and the directory of its finished replay; not to be changed."""
    folder = tmp_path_factory.mktemp("replay")
    log = folder / "log.csv"
    log.write_text("\n".join(log_rows) + "\n")
    command = [
        sys.executable,
        "-m",
        "chainsec.app.cli",
        "replay",
        log,
        "--mapping",
        "generic_csv",
        "--run",
        folder / "run",
    ]
    ended = subprocess.run([*command, "--history", "0.8"], capture_output=True, text=True, check=True)
    return log, folder / "run", ended


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_what_it_does_and_gives_an_example(chainsec, command):
    told = chainsec(*command.split(), "--help")
    assert told.code == 0
    text = " ".join(told.out.split())
    assert f"chainsec {command}" in text
    assert re.search(rf"Example: .*chainsec {command}", text)


def test_the_list_of_commands_is_short_and_says_what_exit_codes_mean(chainsec):
    told = chainsec("--help")
    assert told.code == 0
    assert all(command.split()[0] in told.out for command in COMMANDS)
    assert "Exit codes" in told.out


def test_help_and_version_load_no_chain_and_no_model():
    script = "import sys; from chainsec.app import cli; sys.argv = ['chainsec', '--version']\ntry: cli.main()\nfinally: print(sorted(m for m in sys.modules if m.split('.')[0] in {'web3', 'eth', 'sklearn', 'numpy'}))"  # noqa: E501
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    version, loaded = ended.stdout.splitlines()
    assert version.startswith("chainsec ")
    assert loaded == "[]"


def test_a_log_is_replayed_audited_and_shown(replayed):
    _, run, ended = replayed
    report = Report.model_validate_json((run / "report.json").read_bytes())
    assert (report.requests.history, report.requests.live) == (48, 12)
    assert report.run.source == "log.csv"
    assert report.audit.verified
    assert report.decisions.granted + report.decisions.denied + report.decisions.escalated == 12
    assert str(run / "report.html") in ended.stdout
    assert "replay of log.csv" in ended.stderr
    assert "\x1b" not in ended.stdout + ended.stderr


def test_a_finished_run_is_shown_again_without_playing_it(chainsec, replayed):
    log, run, _ = replayed
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    told = chainsec("replay", log, "--mapping", "generic_csv", "--history", "0.8", "--run", run)
    assert told.code == 0
    assert "had finished before; --fresh plays it again" in told.out
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_json_is_all_that_is_printed_where_json_is_asked_for(chainsec, replayed):
    log, run, _ = replayed
    told = chainsec("replay", log, "--mapping", "generic_csv", "--history", "0.8", "--run", run, "--json")
    assert told.code == 0
    assert told.err == ""
    assert json.loads(told.out) == json.loads((run / "report.json").read_bytes())


@pytest.mark.parametrize("more", [["--seed", "8"], ["--history", "0.5"], ["--limit", "50"], ["--skip-bad"]])
def test_a_directory_with_another_run_is_refused_and_left_as_it_is(chainsec, replayed, more):
    log, run, _ = replayed
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    told = chainsec("replay", log, "--mapping", "generic_csv", "--history", "0.8", "--run", run, *more)
    key = {"--seed": "config.seed", "--skip-bad": "workload.skip_bad"}.get(more[0], f"workload.{more[0][2:]}")
    assert_refused(told, str(run), f"another {key}")
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_directory_that_holds_something_else_is_refused_and_left_as_it_is(chainsec, log, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("keep me")
    for more in ([], ["--fresh"]):
        assert_refused(chainsec("replay", log, "--mapping", "generic_csv", "--run", mine, *more), "holds no run")
        assert [path.name for path in mine.iterdir()] == ["notes.txt"]


def test_a_run_in_use_is_refused(chainsec, log, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    script = "import fcntl, os, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); sys.stdin.read()"  # noqa: E501
    with subprocess.Popen(
        [sys.executable, "-c", script, run / ".lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        for more in ([], ["--fresh"]):
            told = chainsec("replay", log, "--mapping", "generic_csv", "--run", run, *more)
            assert_refused(told, str(run), "another process works in this run")
        assert [path.name for path in run.iterdir()] == [".lock"]
        other.stdin.close()


def test_fresh_plays_again_from_the_beginning_but_not_before_the_new_log_is_read(chainsec, log, tmp_path):
    run = tmp_path / "run"
    arguments = ["replay", log, "--mapping", "generic_csv", "--history", "0.8", "--run", run, "--json"]
    assert chainsec(*arguments).code == 0
    first = Report.model_validate_json((run / "report.json").read_bytes())
    sound = log.read_text()
    log.write_text(sound.replace("2025-03-01T08", "yesterday at", 1))
    assert_refused(chainsec(*arguments, "--fresh"), "log.csv", "line 2", "time")
    assert (run / "seal.json").exists()
    log.write_text(sound)
    told = chainsec(*arguments, "--fresh", "--seed", "9")
    assert told.code == 0
    assert json.loads(told.out)["run"]["seed"] == 9
    assert json.loads(told.out)["audit"]["head_hash"] != first.audit.head_hash


def edit(lines, number, text):
    return [*lines[:number], text, *lines[number + 1 :]]


BAD_LOGS = {
    "missing column": (lambda rows: [rows[0].replace("asset", "thing"), *rows[1:]], ["line 1", "asset"]),
    "unreadable time": (lambda rows: edit(rows, 7, rows[7].replace("2025-", "last-")), ["line 8", "time"]),
    "before any chain": (lambda rows: [rows[0], *(r.replace("2025", "1955") for r in rows[1:])], ["line", "time"]),
    "broken line": (lambda rows: edit(rows, 9, rows[9] + ',"'), ["line 10"]),
    "too few fields": (lambda rows: edit(rows, 9, "2025-03-02T10:00:00Z,ann"), ["line 10", "fields"]),
    "no requester": (lambda rows: edit(rows, 3, rows[3].replace("nurse", "").replace("clerk", "").replace(",-", ",,", 1)), ["line 4"]),  # noqa: E501
    "unknown label": (lambda rows: edit(rows, 5, rows[5].rsplit(",", 1)[0] + ",maybe"), ["line 6", "outcome"]),
    "header only": (lambda rows: rows[:1], ["line 1"]),
    "nothing": (lambda _: [], ["empty file"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_LOGS)
def test_a_bad_log_gives_one_line_with_file_line_and_field_and_leaves_nothing_behind(
    chainsec, log_rows, tmp_path, case
):
    change, words = BAD_LOGS[case]
    log, run = tmp_path / "bad.csv", tmp_path / "run"
    log.write_text("".join(f"{row}\n" for row in change(log_rows)))
    assert_refused(chainsec("replay", log, "--mapping", "generic_csv", "--run", run), "bad.csv", *words)
    assert not run.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["bad.csv"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bad.csv.gz", b"time,requester\n"),
        ("bad.csv.gz", gzip.compress(b"time,requester,asset,action,outcome\n" * 400, mtime=0)[:-30]),
        ("bad.jsonl", b'{"time": 1, \n'),
        ("bad.csv", b"\x00\x01\x02"),
    ],
)
def test_a_log_that_is_not_what_its_name_says_gives_one_line(chainsec, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    told = chainsec("replay", tmp_path / name, "--mapping", "generic_csv", "--run", tmp_path / "run")
    assert_refused(told, name, "line 1")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("requster = 'a'\n", ["line 1", "requster"]),
        ("[requester]\npath = 'who'\ncolour = 'red'\n", ["colour"]),
        ("requester = \n", ["line 1"]),
        ("", ["requester"]),
    ],
)
def test_a_bad_mapping_gives_one_line_with_its_key(chainsec, log, tmp_path, text, words):
    mapping = tmp_path / "map.toml"
    mapping.write_text(text)
    assert_refused(chainsec("replay", log, "--mapping", mapping, "--run", tmp_path / "run"), "map.toml", *words)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--history", "1.5"], ["history"]),
        (["--history", "0.001"], ["history"]),
        (["--mapping", "no_such"], ["no_such", "generic_csv"]),
        (["--config", "missing.toml"], ["missing.toml"]),
    ],
)
def test_a_bad_option_gives_one_line_and_leaves_nothing_behind(chainsec, log, tmp_path, more, words):
    told = chainsec("replay", log, "--mapping", "generic_csv", "--run", tmp_path / "run", *more)
    assert_refused(told, *words)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("url", "code", "words"),
    [
        ("besu", 2, ["no engine 'besu'", "eth-tester", "http://"]),
        ("http://127.0.0.1:1", 3, ["no node answers at http://127.0.0.1:1", "Connection refused"]),
        ("/nowhere/node.ipc", 3, ["no node answers at /nowhere/node.ipc"]),
    ],
)
def test_an_engine_that_is_none_gives_one_line_and_leaves_nothing_behind(chainsec, log, tmp_path, url, code, words):  # noqa: PLR0917 - fixtures and cases
    run = tmp_path / "run"
    told = chainsec("replay", log, "--mapping", "generic_csv", "--run", run, "--engine", url)
    assert told.code == code
    line = told.err.splitlines()[-1]
    assert line.startswith("chainsec: ")
    assert all(word in line for word in words), line
    assert not run.exists()


@pytest.mark.parametrize(("text", "word"), [("[agent]\nmood = 1\n", "agent.mood"), ("seed = -1\n", "seed"), ("[", "")])
def test_bad_settings_give_one_line(chainsec, tmp_path, text, word):
    settings = tmp_path / "settings.toml"
    settings.write_text(text)
    assert_refused(chainsec("demo", "--config", settings, "--run", tmp_path / "run"), "settings.toml", word)
    assert not (tmp_path / "run").exists()


def test_a_log_that_cannot_be_read_twice_is_refused_and_not_waited_for(chainsec, tmp_path):
    for log in (tmp_path, tmp_path / "missing.csv", "/dev/null"):
        assert_refused(chainsec("replay", log, "--mapping", "generic_csv", "--run", tmp_path / "run"), str(log))
    assert not (tmp_path / "run").exists()


def test_what_stands_in_a_log_cannot_steer_the_terminal(chainsec, log_rows, tmp_path):
    log = tmp_path / "bad.csv"
    log.write_text("\n".join(edit(log_rows, 5, log_rows[5].replace("2025", "\x1b[2J2025"))))
    told = chainsec("replay", log, "--mapping", "generic_csv", "--run", tmp_path / "run")
    assert_refused(told, "line 6")
    assert "\x1b" not in told.err


def test_bad_rows_are_counted_where_that_is_asked_for(chainsec, log_rows, tmp_path):
    log, run = tmp_path / "log.csv", tmp_path / "run"
    log.write_text("\n".join(edit(edit(log_rows, 4, "broken"), 30, log_rows[30].replace("2025-", "last-"))) + "\n")
    told = chainsec("replay", log, "--mapping", "generic_csv", "--history", "0.8", "--run", run, "--skip-bad", "--json")
    assert told.code == 0
    requests = json.loads(told.out)["requests"]
    assert (requests["total"], requests["skipped"], requests["history"] + requests["live"]) == (60, 2, 58)


def test_a_run_stopped_from_the_keyboard_says_how_to_go_on(chainsec, log, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    run = tmp_path / "run"
    arguments = ["replay", log, "--mapping", "generic_csv", "--history", "0.8", "--run", run]
    monkeypatch.setattr("chainsec.scenarios.run.set_stage", stop)
    told = chainsec(*arguments)
    assert told.code == 130
    assert told.err.splitlines()[-1] == f"chainsec: interrupted; the same command goes on from here: {run}"
    monkeypatch.undo()


def test_a_run_told_to_end_says_how_to_go_on_and_leaves_its_node_mining_by_itself(anvil_program, tmp_path):
    run = tmp_path / "run"
    command = [sys.executable, "-m", "chainsec.app.cli", "demo", "--days", "24", "--run", run, "--engine"]
    with (
        Anvil(program=anvil_program) as node,
        subprocess.Popen([*command, node.url], stderr=subprocess.PIPE, text=True) as process,
    ):
        assert any(": live " in line for line in process.stderr)
        process.terminate()
        told = process.stderr.read()
        assert process.wait() == 130
        assert told.splitlines()[-1] == f"chainsec: interrupted; the same command goes on from here: {run}"
        with open_engine(node.url) as engine:
            assert engine.web3.provider.make_request("anvil_getAutomine", [])["result"] is True


def test_the_trail_is_exported_beside_the_run_and_never_into_it(chainsec, replayed, tmp_path):
    _, run, _ = replayed
    before = sorted(run.rglob("*"))
    for inside in (run, run / "trail", run / "models" / "more"):
        assert_refused(chainsec("audit", "export", run, "--out", inside), "lies inside the run")
    assert sorted(run.rglob("*")) == before
    told = chainsec("audit", "export", run, "--out", tmp_path / "trail")
    assert told.code == 0
    lines = (tmp_path / "trail" / "trail.jsonl").read_text().splitlines()
    assert told.out.startswith(f"{len(lines)} events")
    assert chainsec("audit", "verify", run).code == 0


@pytest.mark.parametrize("command", ["verify", "export"])
def test_a_directory_without_a_run_is_no_evidence(chainsec, tmp_path, command):
    told = chainsec("audit", command, tmp_path / "nothing")
    assert (told.code, told.out) == (1, "")
    assert "holds no run" in told.err.splitlines()[-1]
    assert not (tmp_path / "nothing").exists()


def test_the_shortest_demo_that_may_be_asked_for_can_be_drawn(chainsec):
    assert chainsec("demo", "--days", "23").code == 2
    workload = demo_scenario(7, days=24).draw(lambda *_: None)
    assert workload.history
    assert workload.live


def test_every_failure_that_is_expected_has_its_exit_code():
    classes = {kind for kind, _ in cli.EXIT_CODES}
    assert list(cli.EXIT_CODES)[-1] == (cli.ChainSecError, 3)
    assert {cli.AuditFailed, cli.BadInput, cli.ConfigError, cli.RunInUse, cli.RunMismatch} <= classes


@pytest.mark.skipif(data_directory() is None, reason="needs CHAINSEC_DATA")
def test_the_first_rows_of_a_real_log_are_replayed_and_proved(chainsec, tmp_path):
    log = data_directory() / "amazon_access" / "dev.csv.gz"
    run = tmp_path / "run"
    told = chainsec("replay", log, "--mapping", "amazon_access", "--limit", "800", "--run", run, "--json")
    assert told.code == 0
    report = json.loads(told.out)
    assert report["requests"]["live"] == 400
    assert report["audit"]["verified"]
    with gzip.open(log, "rt") as rows:
        is_denied = [row.startswith("0,") for row in list(rows)[401:801]]
    receipts = map(json.loads, (run / "receipts.jsonl").read_text().splitlines())
    scores = [receipt["score"] for receipt in receipts if receipt["kind"] == "decision"]
    assert report["quality"]["auc"] == pytest.approx(roc_auc_score(is_denied, scores))


@pytest.mark.parametrize("name", ["steer\x1b[31mEVIL.csv", "bytes\udcff.csv"])
def test_a_logs_name_can_neither_steer_the_terminal_nor_stop_the_run(chainsec, log, tmp_path, monkeypatch, name):
    hostile = log.rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    told = chainsec("replay", hostile, "--mapping", "generic_csv", "--history", "0.8")
    assert told.code == 0
    [run] = (tmp_path / "runs").iterdir()
    assert run.name.isprintable()
    assert not [char for char in told.out + told.err if not char.isprintable() and char != "\n"]
    told = chainsec("audit", "export", run, "--out", tmp_path / "trail\x1b[2J")
    assert told.code == 0
    assert "\x1b" not in told.out + told.err


def test_a_mistyped_year_is_refused_by_line_and_field_before_anything_is_written(chainsec, log, log_rows, tmp_path):
    for year, line in (("2525", 61), ("1925", 2)):
        wrong = [log_rows[line - 1].replace("2025", year)]
        log.write_text("\n".join([*log_rows[: line - 1], *wrong, *log_rows[line:]]) + "\n")
        told = chainsec("replay", log, "--mapping", "generic_csv", "--run", tmp_path / "run")
        assert_refused(told, "log.csv", f"line {line}", "field time", year)
        assert not (tmp_path / "run").exists()


def test_settings_that_stretch_a_log_without_times_beyond_any_chain_are_refused_in_one_line(chainsec, tmp_path):
    log, mapping, settings = tmp_path / "log.csv", tmp_path / "map.toml", tmp_path / "settings.toml"
    log.write_text("who,what\n" + "".join(f"ann,scan-{n}\n" for n in range(200)))
    mapping.write_text('requester = "who"\nasset = "what"\ntime = "row order"\n')
    settings.write_text("[limits]\nwindow_s = 8640000\ngrants_per_window = 1\n")
    told = chainsec("replay", log, "--mapping", mapping, "--config", settings, "--run", tmp_path / "run")
    assert_refused(told, "limits.window_s 8640000", "grants_per_window 1", "more than 20")
    assert not (tmp_path / "run").exists()
    told = chainsec(
        "replay", log, "--mapping", mapping, "--config", settings, "--limit", "20", "--run", tmp_path / "run"
    )
    assert told.code == 0


def test_how_a_log_was_read_stands_in_the_report_on_the_terminal_and_on_the_page(chainsec, log_rows, tmp_path):
    log, run, mapping = tmp_path / "log.csv", tmp_path / "run", tmp_path / "map.toml"
    rows = edit(edit(log_rows, 4, "broken"), 30, log_rows[30].replace("2025-", "last-"))
    log.write_text("\n".join([*rows[:10], rows[12], rows[10], rows[11], *rows[13:]]) + "\n")
    mapping.write_text(
        'asset = "asset"\ntime = "time"\n'
        'requester = { path = "requester", stand_in = "the desk answers for whoever sat there" }\n'
        '[label]\npath = "outcome"\ndenied = ["denied"]\ngranted = ["granted"]\n'
    )
    told = chainsec("replay", log, "--mapping", mapping, "--history", "0.8", "--run", run, "--skip-bad")
    assert told.code == 0
    requests = json.loads((run / "report.json").read_bytes())["requests"]
    assert requests["out_of_order"] == 2
    assert requests["skipped_by_reason"] == {"wrong number of fields": 1, "unreadable time": 1}
    assert [line for line, _ in requests["skipped_rows"]] == [5, 31]
    assert len(requests["notes"]) == 3
    page, terminal = (run / "report.html").read_text(), " ".join(told.out.split())
    for words in ("the desk answers for whoever sat there", "2 rows stood after", "2 bad rows were skipped"):
        assert words in page
        assert words in terminal
    assert "line 31" in page
