"""``chainsec network``: what it writes and prints, what it refuses in one line, and what its exit codes say."""

import gzip
import json
import re
import shlex

import pytest

from chainsec.network.scenario import load_scenario, shipped_scenarios

FILES = {"report.json", "report.html", "trace.jsonl.gz", "scenario.toml"}
TINY = """
name = "tiny"
about = "Four validators, a moment."
seed = 5
duration_s = 4
[network]
nodes = 4
regions = ["us-east", "uk"]
[load]
kind = "fixed"
rate_per_s = 2
[[variant]]
name = "faster links"
change = { "network.matrix" = "lan", "network.regions" = [] }
"""
HEAD = """
name = "small"
duration_s = 3
[network]
nodes = 4
"""
CSV_HEAD = "from,to,latency_ms,jitter_ms,bandwidth_mbps,loss_rate\n"


def content_of(folder):
    return {entry: entry.read_bytes() if entry.is_file() else None for entry in folder.rglob("*")}


@pytest.fixture
def scenario(tmp_path):
    """Give a function that writes a scenario and returns its path."""

    def write(text, name="small.toml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


@pytest.fixture
def refused(chainsec, tmp_path):
    """Give what runs a scenario that is refused: one line on standard error, exit code 2, nothing written."""

    def run(path, *words, more=()):
        before = content_of(tmp_path)
        told = chainsec("network", "run", path, "--run", tmp_path / "run", *more)
        assert (told.code, told.out) == (2, "")
        [line] = told.err.splitlines()
        assert line.startswith("chainsec: ")
        for word in words:
            assert str(word) in line, line
        assert content_of(tmp_path) == before

    return run


def play(chainsec, path, run, *more):
    return chainsec("network", "run", path, "--run", run, *more)


def test_a_scenario_is_played_told_in_tables_and_written_down(chainsec, scenario, tmp_path):
    path, run = scenario(TINY), tmp_path / "run"
    told = play(chainsec, path, run)
    assert told.code == 0
    assert {entry.name for entry in run.iterdir()} == FILES
    for word in ("as it stands", "faster links", "agreed", "node-0", "node-3", str(run / "report.html")):
        assert word in told.out
    report = json.loads((run / "report.json").read_bytes())
    assert (report["name"], report["seed"], report["warns_of"]) == ("tiny", 5, "nothing")
    assert [variant["name"] for variant in report["variants"]] == ["as it stands", "faster links"]
    assert all(variant["outcome"] == "agreed" for variant in report["variants"])
    assert (run / "scenario.toml").read_bytes() == path.read_bytes()
    lines = [json.loads(line) for line in gzip.decompress((run / "trace.jsonl.gz").read_bytes()).splitlines()]
    assert {line[0] for line in lines} == {"as it stands", "faster links"}
    assert {"round", "imported"} <= {line[3] for line in lines}
    assert "tiny" in (run / "report.html").read_text()


def test_json_is_all_that_is_printed_where_json_is_asked_for(chainsec, scenario, tmp_path):
    told = play(chainsec, scenario(TINY), tmp_path / "run", "--json")
    assert (told.code, told.err) == (0, "")
    assert json.loads(told.out) == json.loads((tmp_path / "run" / "report.json").read_bytes())


def test_the_command_that_the_report_names_gives_the_identical_files(chainsec, scenario, tmp_path):
    run, again = tmp_path / "run", tmp_path / "again"
    assert play(chainsec, scenario(TINY, "with a blank.toml"), run, "--seed", "6").code == 0
    replay = json.loads((run / "report.json").read_bytes())["replay"]
    program, *arguments = shlex.split(replay)
    assert program == "chainsec"
    assert arguments[-2:] == ["--seed", "6"]
    assert chainsec(*arguments, "--run", again).code == 0
    for name in FILES:
        assert (run / name).read_bytes() == (again / name).read_bytes(), name


def test_a_seed_on_the_command_line_takes_the_files_place_in_every_variant(chainsec, scenario, tmp_path):
    path, found = scenario(TINY), {}
    for seed in ("5", "6"):
        assert play(chainsec, path, tmp_path / seed, "--seed", seed).code == 0
        found[seed] = json.loads((tmp_path / seed / "report.json").read_bytes())
    for one, other in zip(found["5"]["variants"], found["6"]["variants"], strict=True):
        assert one["trace_digest"] != other["trace_digest"]
    assert [found[seed]["seed"] for seed in found] == [5, 6]
    assert all(variant["settings"]["seed"] == 6 for variant in found["6"]["variants"])


def test_the_same_scenario_with_the_same_seed_is_written_over_itself_also_where_it_was_not_finished(
    chainsec, scenario, tmp_path
):
    path, run = scenario(TINY), tmp_path / "run"
    assert play(chainsec, path, run).code == 0
    first = content_of(run)
    for lost in (), ("report.json",), ("report.json", "report.html", "trace.jsonl.gz"):
        for name in lost:
            (run / name).unlink()
        assert play(chainsec, path, run).code == 0
        assert content_of(run) == first


def test_another_scenario_or_seed_is_written_over_a_run_only_where_that_is_asked_for(
    chainsec, scenario, tmp_path, refused
):
    path, run = scenario(TINY), tmp_path / "run"
    assert play(chainsec, path, run).code == 0
    first = (run / "report.json").read_bytes()
    refused(path, run, "with another seed", "--replace", more=["--seed", "6"])
    other = scenario(TINY.replace("tiny", "other"), "other.toml")
    refused(other, run, "another scenario", "--replace")
    assert play(chainsec, other, run, "--replace").code == 0
    assert json.loads((run / "report.json").read_bytes())["name"] == "other"
    assert play(chainsec, path, run, "--replace").code == 0
    assert (run / "report.json").read_bytes() == first


@pytest.mark.parametrize("found", [b"", b"[]", b"{}", b'{"seed": "5"}', b"\xff"])
def test_a_report_that_is_none_is_not_written_over(scenario, tmp_path, refused, found):
    path, run = scenario(TINY), tmp_path / "run"
    run.mkdir()
    (run / "scenario.toml").write_bytes(path.read_bytes())
    (run / "report.json").write_bytes(found)
    refused(path, run, "another scenario")


def test_a_scenario_of_ones_own_in_the_runs_directory_is_not_written_over(scenario, tmp_path, refused):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "scenario.toml").write_text("mine")
    refused(scenario(TINY), tmp_path / "run", "another scenario")


def test_a_directory_with_something_else_is_left_alone(scenario, tmp_path, refused):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "letters").write_text("mine")
    for more in (), ("--replace",):
        refused(scenario(TINY), tmp_path / "run", "something else", "letters", more=more)


@pytest.mark.parametrize("command", ["verify", "export"])
def test_a_scenarios_run_is_no_chain_to_prove_and_the_audit_says_what_to_do(chainsec, scenario, tmp_path, command):
    run = tmp_path / "run"
    assert play(chainsec, scenario(TINY), run).code == 0
    before = content_of(run)
    told = chainsec("audit", command, run)
    assert (told.code, told.out) == (2, "")
    assert "leaves no chain to prove: play it again" in told.err
    assert content_of(run) == before


def test_a_file_in_the_place_of_the_directory_is_refused_before_anything_is_played(scenario, tmp_path, refused):
    (tmp_path / "run").write_text("mine")
    refused(scenario(TINY), tmp_path / "run")


FAULT = HEAD + "[[fault]]\nkind = "
WRONG = {
    "unknown key": ("name = 'x'\ncolour = 'red'\n", ["unknown key", "colour"]),
    "unknown key in a section": (HEAD + "nodez = 5\n", ["unknown key", "network.nodez"]),
    "no name": ("duration_s = 3\n", ["name: is missing"]),
    "more than can be shown": (HEAD.replace("nodes = 4", f"nodes = {[1] * 500}"), ["network.nodes", "1, 1,...)"]),
    "nodes of another kind": (HEAD.replace("nodes = 4", "nodes = 'four'"), ["network.nodes", "four"]),
    "too many nodes": (HEAD.replace("nodes = 4", "nodes = 500"), ["network.nodes", "500"]),
    "more validators than nodes": (HEAD + "validators = 9\n", ["network.validators", 9, 4]),
    "node beyond the last": (FAULT + "'crash'\nat_s = 1\nnodes = [4]\n", ["fault.0.nodes", "node 4"]),
    "group beyond the last": (FAULT + "'partition'\nat_s = 1\ngroups = [[0], [7]]\n", ["fault.0.groups", "node 7"]),
    "subject beyond the last": (
        FAULT + "'vote'\nat_s = 1\nnodes = [0]\nsubject = 4\n",
        ["fault.0.subject", "node 4"],
    ),
    "liar beyond the last": (HEAD + "[[byzantine]]\nnode = 6\nrole = 'silent'\n", ["byzantine.node", "node 6"]),
    "nobody honest": (
        HEAD + "".join(f"[[byzantine]]\nnode = {n}\nrole = 'silent'\n" for n in range(4)),
        ["byzantine", "4 of 4 validators"],
    ),
    "two roles": (
        HEAD + "[[byzantine]]\nnode = 1\nrole = 'silent'\n[[byzantine]]\nnode = 1\nrole = 'bad-seals'\n",
        ["byzantine", "two roles"],
    ),
    "unknown role": (HEAD + "[[byzantine]]\nnode = 1\nrole = 'liar'\n", ["byzantine.0", "role", "'liar'", "silent"]),
    "ends before it begins": (
        FAULT + "'crash'\nat_s = 2\nuntil_s = 1\nnodes = [1]\n",
        ["fault.0", "until_s", "1.0", "2.0"],
    ),
    "crash of nobody": (FAULT + "'crash'\nat_s = 2\n", ["fault.0", "nodes"]),
    "vote about nobody": (FAULT + "'vote'\nat_s = 2\nnodes = [0]\n", ["fault.0", "subject"]),
    "wipe for good": (FAULT + "'wipe'\nat_s = 2\nnodes = [0]\n", ["fault.0", "until_s"]),
    "unknown fault": (FAULT + "'flood'\nat_s = 2\n", ["fault.0.kind", "'flood'"]),
    "negative time": (FAULT + "'crash'\nat_s = -1\nnodes = [0]\n", ["fault.0.at_s", "-1"]),
    "certain loss": (FAULT + "'links'\nat_s = 1\nloss_rate = 1.0\n", ["fault.0.loss_rate", "1.0"]),
    "unknown region": (HEAD + "regions = ['atlantis']\n", ["network.regions", "'atlantis'", "germany"]),
    "unknown region of nobody": (
        HEAD + "regions = ['uk', 'uk', 'uk', 'uk', 'atlantis']\n",
        ["network.regions", "'atlantis'"],
    ),
    "links from an unknown region": (
        FAULT + "'links'\nat_s = 1\nfactor = 2\nsenders = ['mars']\n",
        ["fault.0.senders", "'mars'"],
    ),
    "links to an unknown region": (
        FAULT + "'links'\nat_s = 1\nfactor = 2\nreceivers = ['mars']\n",
        ["fault.0.receivers", "'mars'"],
    ),
    "unknown matrix": (HEAD + "matrix = 'orbit'\n", ["orbit"]),
    "log without a log": (HEAD + "[load]\nkind = 'log'\n", ["load", "log", "None"]),
    **{
        f"{kind} load with {key}": (
            HEAD + f"[load]\nkind = '{kind}'\n{key} = {value}\n",
            [f"load.{key}", f"kind '{kind}' takes none", str(value)],
        )
        for kind, key, value in (
            ("none", "rate_per_s", 20.0),
            ("none", "waiting", 5),
            ("fixed", "end_rate_per_s", 20.0),
            ("fixed", "waiting", 5),
            ("fixed", "speed_up", 2.0),
            ("fixed", "mapping", "'generic_csv'"),
            ("fixed", "log", "'log.csv'"),
            ("linear", "waiting", 5),
            ("maximum", "rate_per_s", 20.0),
            ("log", "rate_per_s", 20.0),
        )
    },
    "load of no kind": (HEAD + "[load]\nrate_per_s = 20\n", ["load.kind", "is missing"]),
    "rate of nothing": (HEAD + "[load]\nkind = 'fixed'\nrate_per_s = 0\n", ["load.rate_per_s", "0"]),
    "no time": (HEAD.replace("duration_s = 3", "duration_s = 0"), ["duration_s", "0"]),
    "endless": (HEAD.replace("duration_s = 3", "duration_s = inf"), ["duration_s", "inf"]),
    "more prices than nodes": ("min_gas_price_wei = [1, 1, 1, 1, 1]\n" + HEAD, ["min_gas_price_wei", "5", "4"]),
    "variant of an unknown key": (
        HEAD + "[[variant]]\nname = 'v'\nchange = { 'qbft.patience' = 2 }\n",
        ["variant 'v'", "qbft.patience"],
    ),
    "variant with a wrong value": (
        HEAD + "[[variant]]\nname = 'v'\nchange = { 'network.nodes' = 0 }\n",
        ["variant 'v'", "network.nodes", "0"],
    ),
    "variant with an unknown region": (
        HEAD + "[[variant]]\nname = 'v'\nchange = { 'network.regions' = ['mars'] }\n",
        ["network.regions", "'mars'"],
    ),
    "no TOML": ("name = \n", ["line 1"]),
    "more digits than can be read": ("name = 'x'\nseed = " + "9" * 5_000, ["line 2", "seed = 99"]),
    "more digits than can be shown": ("name = 'x'\nseed = 0x" + "f" * 5_000, ["line 2", "seed = 0xff"]),
    "key of another fault": (
        FAULT + "'links'\nat_s = 1\nloss_rate = 0.5\nnodes = [1]\n",
        ["fault.0.nodes", "links", "(1,)"],
    ),
    "links that do not change": (FAULT + "'links'\nat_s = 1\n", ["fault.0", "factor", "loss_rate", "one of them"]),
    "links of nobody": (
        HEAD + "regions = ['uk']\n[[fault]]\nkind = 'links'\nat_s = 1\nfactor = 2\nsenders = ['japan']\n",
        ["fault.0.senders", "'japan'"],
    ),
    "links over the edge": (FAULT + "'links'\nat_s = 1\nfactor = 100000\n", ["fault.0.factor", "100000"]),
    "links that add up": (
        FAULT + "'links'\nat_s = 1\nfactor = 900\n[[fault]]\nkind = 'links'\nat_s = 2\nfactor = 900\n",
        ["fault.1.factor", "900", "latency_ms"],
    ),
    "jitter over the edge": (FAULT + "'links'\nat_s = 1\njitter_ms = 70000\n", ["fault.0.jitter_ms", "70000"]),
    "next to no bandwidth": (
        FAULT + "'links'\nat_s = 1\nbandwidth_mbps = 1e-300\n",
        ["fault.0.bandwidth_mbps", "1e-300"],
    ),
    "loss that is no number": (FAULT + "'links'\nat_s = 1\nloss_rate = nan\n", ["fault.0.loss_rate", "nan"]),
    "next to no speed": (HEAD + "[machine]\ngas_per_us = 1e-320\n", ["machine.gas_per_us", "1e-320"]),
    "next to no timeout": (HEAD + "[qbft]\nrequest_timeout_s = 1e-7\n", ["qbft.request_timeout_s", "1e-07"]),
    "repeated all the time": (
        HEAD + "[qbft]\nround_change_repeat_s = 1e-7\n",
        ["qbft.round_change_repeat_s", "1e-07"],
    ),
    "next to no time": (HEAD.replace("duration_s = 3", "duration_s = 1e-7"), ["duration_s", "1e-07"]),
    "over at once": (
        FAULT + "'crash'\nat_s = 1\nuntil_s = 1.0000001\nnodes = [1]\n",
        ["fault.0.until_s", "1.0000001"],
    ),
    "next to no skew": (FAULT + "'skew'\nat_s = 1\nnodes = [1]\nskew_ms = 1e-7\n", ["fault.0.skew_ms", "1e-07"]),
    "slower than can be counted": (HEAD + "[load]\nkind = 'fixed'\nspeed_up = 1e-300\n", ["load.speed_up", "1e-300"]),
    "fault after the end": (FAULT + "'crash'\nat_s = 600\nnodes = [1]\n", ["fault.0.at_s", "600", "duration_s 3"]),
    "matrix without an end": (HEAD + "matrix = '/dev/zero'\n", ["/dev/zero", "no file of at most"]),
    "matrix with a name that no file can have": (HEAD + f"matrix = '{'m' * 5_000}'\n", ["network.matrix", "at most"]),
    "change below what is no section": (
        HEAD + "[[variant]]\nname = 'v'\nchange = { 'network' = 5, 'network.nodes' = 3 }\n",
        ["variant 'v'", "unknown key 'network.nodes'"],
    ),
    "node in two groups": (
        FAULT + "'partition'\nat_s = 1\ngroups = [[0, 1], [1, 2, 3]]\n",
        ["fault.0.groups", "1 stands there twice"],
    ),
    "all in one group": (
        FAULT + "'partition'\nat_s = 1\ngroups = [[0, 1, 2, 3], []]\n",
        ["fault.0.groups", "0, 1, 2, 3", "everybody"],
    ),
    "node named twice": (FAULT + "'crash'\nat_s = 1\nnodes = [2, 2]\n", ["fault.0.nodes", "2 stands there twice"]),
    "allowlist where all is allowed": (FAULT + "'allow'\nat_s = 1\naccounts = [1]\n", ["fault.0", "allow", "open"]),
    "account of nobody": (
        HEAD + "permissions = 'allowlist'\n[[fault]]\nkind = 'allow'\nat_s = 1\naccounts = [77]\n",
        ["fault.0.accounts", "account 77", "load.senders, 20"],
    ),
    "liar that is no validator": (
        HEAD + "validators = 3\n[[byzantine]]\nnode = 3\nrole = 'silent'\n",
        ["byzantine.0.node", "3 is none of 3 validators"],
    ),
    "forbidden where all is allowed": (
        HEAD + "[[byzantine]]\nnode = 1\nrole = 'forbidden-transaction'\n",
        ["byzantine.0.role", "forbidden-transaction", "open"],
    ),
    "load that ends before it begins": (
        HEAD + "[load]\nkind = 'fixed'\nfrom_s = 2\nuntil_s = 1\n",
        ["load.until_s", "1.0", "2.0"],
    ),
    "load after the end": (HEAD + "[load]\nkind = 'fixed'\nfrom_s = 100\n", ["load.from_s", "100", "duration_s 3"]),
    "two variants of one name": (
        HEAD + "[[variant]]\nname = 'v'\nchange = { seed = 1 }\n" * 2,
        ["variant.1.name", "'v'"],
    ),
    "variant that has the scenario's name": (
        HEAD + "[[variant]]\nname = 'as it stands'\nchange = { seed = 1 }\n",
        ["variant.0.name", "'as it stands'"],
    ),
    "variant that changes nothing": (HEAD + "[[variant]]\nname = 'v'\nchange = {}\n", ["variant.0.change", "{}"]),
    **{
        f"variant that changes its {key}": (
            HEAD + f"[[variant]]\nname = 'v'\nchange = {{ {key} = 'fork' }}\n",
            ["variant.0.change", f"'{key}'", "'fork'"],
        )
        for key in ("name", "about", "variant", "warns_of")
    },
    "variant that undoes what a role is for": (
        HEAD
        + "permissions = 'contract'\n[[byzantine]]\nnode = 1\nrole = 'forbidden-transaction'\n"
        + "[[variant]]\nname = 'v'\nchange = { 'network.permissions' = 'open' }\n",
        ["byzantine.0.role", "forbidden-transaction", "open"],
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_scenario_is_one_line_with_key_and_value(what, scenario, refused):
    text, words = WRONG[what]
    path = scenario(text)
    refused(path, path, *words)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("a,a,-5,0,100,0\n", ["row 2", "latency_ms", "-5"]),
        ("a,a,5,-1,100,0\n", ["row 2", "jitter_ms", "-1"]),
        ("a,a,5,0,0,0\n", ["row 2", "bandwidth_mbps", "0"]),
        ("a,a,5,0,100,1\n", ["row 2", "loss_rate", "1"]),
        ("a,a,fast,0,100,0\n", ["row 2", "fast"]),
        ("a,a,nan,0,100,0\n", ["row 2", "latency_ms", "nan"]),
        ("a,a,5,0,100\n", ["row 2", "columns"]),
        ("a,a,5,0,100,0\na,a,6,0,100,0\n", ["row 3", "second link"]),
        ("a,a,5,0,100,0\na,b,5,0,100,0\nb,b,5,0,100,0\n", ["network.regions", "'b'", "'a'"]),
        ("", ["holds no links"]),
        ("a,a,5,0,1e-310,0\n", ["row 2", "bandwidth_mbps", "1e-310"]),
        ("a" * 131_073 + ",a,5,0,100,0\n", ["row 2", "field limit"]),
    ],
)
def test_a_wrong_matrix_is_one_line_with_row_and_value(rows, words, scenario, tmp_path, refused):
    (tmp_path / "links.csv").write_text(CSV_HEAD + rows)
    refused(scenario(HEAD + "matrix = 'links.csv'\n"), *words)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_matrix_of_ones_own_is_looked_for_beside_the_scenario(chainsec, scenario, tmp_path, mark):
    (tmp_path / "links.csv").write_text(mark + CSV_HEAD + "# measured at home\nhome,home,3,0,100,0\n")
    told = play(chainsec, scenario(HEAD + "matrix = 'links.csv'\n"), tmp_path / "run")
    assert told.code == 0
    report = json.loads((tmp_path / "run" / "report.json").read_bytes())
    assert {node["region"] for node in report["variants"][0]["nodes"]} == {"home"}


def test_a_name_that_is_no_scenario_is_refused_with_those_that_there_are(refused):
    refused("no-such-scenario", "no-such-scenario", "healthy-wan", "lost-quorum")


def test_a_folder_is_no_scenario(tmp_path, refused):
    refused(tmp_path, tmp_path)


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_out_of_range_is_one_line_with_its_value(scenario, refused, seed):
    refused(scenario(TINY), "seed", seed, more=["--seed", str(seed)])


TOO_MANY_DOWN = """
name = "too many"
duration_s = 20
[network]
nodes = 4
[qbft]
request_timeout_s = 1
[load]
kind = "fixed"
[[fault]]
kind = "crash"
nodes = [2, 3]
at_s = 6
"""


def test_a_stall_that_nobody_was_warned_of_is_exit_code_1_with_the_report_written(chainsec, scenario, tmp_path):
    told = play(chainsec, scenario(TOO_MANY_DOWN), tmp_path / "run")
    assert told.code == 1
    assert "stalled: no block after" in told.out
    assert "--seed 7" in told.out, "the seed and the command that plays it again"
    report = json.loads((tmp_path / "run" / "report.json").read_bytes())
    [found] = report["variants"]
    assert found["outcome"] == "stalled"
    assert 0 < found["final"] < found["sent"] == 179, "ten a second from 2 s to the end"
    assert found["per_s"] == pytest.approx(found["final"] / 17.8, abs=0.001), "a network that is dead is not fast"


def test_the_same_stall_is_no_failure_where_the_scenario_warns_of_it(chainsec, scenario, tmp_path):
    warned = TOO_MANY_DOWN.replace('name = "too many"', 'name = "too many"\nwarns_of = "stall"')
    told = play(chainsec, scenario(warned), tmp_path / "run")
    assert told.code == 0
    assert "did not come" not in told.out


def test_what_was_announced_and_did_not_come_is_told(chainsec, scenario, tmp_path):
    told = play(chainsec, scenario('warns_of = "fork"\n' + HEAD), tmp_path / "run")
    assert told.code == 0
    assert "agreed: all honest nodes that are up and connected hold the same" in told.out
    assert "; a fork was announced (warns_of) and did not come" in " ".join(told.out.split())


@pytest.mark.parametrize(("warning", "code"), [("nothing", 1), ("stall", 1), ("fork", 0)])
def test_a_fork_is_exit_code_1_unless_the_scenario_warns_of_a_fork(chainsec, scenario, tmp_path, warning, code):
    text = shipped_scenarios()["forgotten-votes"].read_text().split("[[variant]]")[0]
    text = re.sub("duration_s = .*", "duration_s = 34", text).replace('"fork"', f'"{warning}"')
    told = play(chainsec, scenario(text), tmp_path / "run")
    assert told.code == code
    assert "forked: height 4" in told.out


def test_nodes_that_the_table_leaves_out_are_counted(chainsec, scenario, tmp_path):
    text = HEAD.replace("nodes = 4", "nodes = 23\nvalidators = 4\nmatrix = 'lan'")
    told = play(chainsec, scenario(text), tmp_path / "run")
    assert "\n3 more in report.json.\n" in told.out


def test_every_shipped_scenario_is_listed_with_what_it_shows(chainsec, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    told = chainsec("network", "scenarios")
    assert told.code == 0
    words = " ".join(told.out.split())
    assert all(f"{name} {' '.join(load_scenario(name)[0].about.split())}" in words for name in shipped_scenarios())
    assert "chainsec network run NAME" in told.out


def test_a_load_follows_the_log_that_stands_beside_the_scenario(chainsec, scenario, log_rows, tmp_path):
    (tmp_path / "log.csv").write_text("\n".join(log_rows) + "\n")
    text = HEAD.replace("duration_s = 3", "duration_s = 14") + (
        "[load]\nkind = 'log'\nlog = 'log.csv'\nspeed_up = 100000\nentry = 0\n"
        "[[variant]]\nname = 'slower'\nchange = { 'load.speed_up' = 200000 }\n"
    )
    told = play(chainsec, scenario(text), tmp_path / "run")
    assert told.code == 0
    found = json.loads((tmp_path / "run" / "report.json").read_bytes())["variants"]
    assert found[0]["sent"] == found[0]["final"] == 60 == found[1]["final"]


def test_how_much_of_a_log_comes_too_late_is_told(chainsec, scenario, log_rows, tmp_path):
    (tmp_path / "log.csv").write_text("\n".join(log_rows) + "\n")
    text = HEAD.replace("duration_s = 3", "duration_s = 6") + (
        "[load]\nkind = 'log'\nlog = 'log.csv'\nspeed_up = 100000\n"
        "[[variant]]\nname = 'faster'\nchange = { 'load.speed_up' = 1000000 }\n"
    )
    told = play(chainsec, scenario(text), tmp_path / "run")
    assert told.code == 0
    [line] = [line for line in told.err.splitlines() if "too late" in line]
    sent = [variant["sent"] for variant in json.loads((tmp_path / "run" / "report.json").read_bytes())["variants"]]
    assert sent[1] == 60 > sent[0]
    assert f"as it stands: log.csv: {60 - sent[0]} of 60 requests come too late to be sent" in line


def test_a_variant_may_be_the_one_that_follows_a_log(chainsec, scenario, log_rows, tmp_path):
    (tmp_path / "log.csv").write_text("\n".join(log_rows) + "\n")
    change = "{ 'load.kind' = 'log', 'load.log' = 'log.csv', 'load.speed_up' = 200000 }"
    text = HEAD.replace("duration_s = 3", "duration_s = 9") + f"[[variant]]\nname = 'by log'\nchange = {change}\n"
    assert play(chainsec, scenario(text), tmp_path / "run").code == 0
    found = json.loads((tmp_path / "run" / "report.json").read_bytes())["variants"]
    assert [variant["sent"] for variant in found] == [0, 60]


def test_a_log_that_is_not_there_is_refused_before_anything_is_played(scenario, refused, tmp_path):
    refused(scenario(HEAD + "[load]\nkind = 'log'\nlog = 'gone.csv'\n"), tmp_path / "gone.csv")


def test_random_schedules_are_played_and_counted(chainsec):
    told = chainsec("network", "soak", "--count", "2", "--first", "5")
    assert told.code == 0
    assert re.search(r"2 schedules, \d+ blocks agreed on, 0 that forked or stalled", told.out)


def test_a_schedule_that_stalls_is_named_with_the_command_that_plays_it_again(chainsec, monkeypatch):
    monkeypatch.setattr("chainsec.network.soak.most_faulty", lambda nodes: nodes - 1)  # more than QBFT bears
    told = chainsec("network", "soak", "--count", "1", "--first", "15")
    assert told.code == 1
    assert "schedule 15: stalled: no block" in told.err
    assert "chainsec network soak --count 1 --first 15" in told.err
    assert "1 that forked or stalled" in told.out
