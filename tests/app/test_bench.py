"""``chainsec bench``, with counts so small that only what is measured and how it is told can be looked at."""

import json
import signal
from itertools import count
from types import SimpleNamespace

import pytest

from chainsec.bench import decisions, engines, lookups
from chainsec.bench.decisions import DecisionBench, System
from chainsec.bench.probe import BURST, NOTED, word
from chainsec.bench.rows import PLAIN, Turns, machine_facts
from chainsec.bench.sampling import REST, Sampler, kind_of_work
from chainsec.bench.senders import EngineSender, RawSender, Web3Sender, open_plain
from chainsec.config import Config
from chainsec.defence.risk import EvidenceRiskModel
from chainsec.errors import LedgerError
from chainsec.ledger.account import Account
from chainsec.ledger.anvil import Anvil
from chainsec.ledger.contract import deployment_data
from chainsec.ledger.engine import open_engine
from chainsec.scenarios.hospital import hospital
from chainsec.scenarios.run import train_on_history
from chainsec.scenarios.venue import IN_THIS_PROCESS

COMMANDS = ["bench engine", "bench decisions", "bench lookups", "bench judgement"]
IN_PROCESS = [
    PLAIN,
    f"{PLAIN}, gas estimated",
    "chainsec through web3, a block each",
    "chainsec through web3, mined together",
    "chainsec native, 200 a block",
]
ON_NODE = [
    "anvil, JSON-RPC, one a request",
    "anvil, JSON-RPC, batches of 100",
    "chainsec on anvil, a block each",
    "chainsec on anvil, 200 a block",
]
HOW_TO_GET_IT = "no rows on anvil: run `npm ci`, or put it on the PATH"


@pytest.fixture
def without_anvil(monkeypatch):
    for module in (engines, decisions):
        monkeypatch.setattr(module, "find_anvil", lambda: None)


@pytest.fixture
def measure(chainsec, tmp_path):
    """Give a function that runs a benchmark through the command line and returns what it wrote and printed."""

    def measure(*arguments):
        file = tmp_path / "figures.json"
        told = chainsec("bench", *arguments, "--json", file)
        assert told.code == 0, told.err
        assert f"Figures: {file}" in told.out.replace("\n", "")
        assert list(tmp_path.iterdir()) == [file]
        return json.loads(file.read_bytes()), told

    return measure


def assert_shape(found, bench, settings):
    assert set(found) == {"bench", "rows", "settings", "notes", "shares", "machine"}
    assert (found["bench"], found["settings"], found["machine"]) == (bench, settings, machine_facts())
    for row in found["rows"]:
        assert set(row) == {"name", "per_second", "ratio", "lowest", "highest", "rounds", "milliseconds"}
        assert 0 < row["lowest"] <= row["per_second"] <= row["highest"]
        assert row["milliseconds"] == pytest.approx(1000 / row["per_second"])


def assert_ratios_to_the_first(rows):
    assert [row["ratio"] for row in rows] == [row["per_second"] / rows[0]["per_second"] for row in rows]


def assert_shares(found, told):
    for shares in found["shares"].values():
        assert sum(shares.values()) == pytest.approx(1)
    assert "where the time goes" in told.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_benchmark_says_what_it_does_and_gives_an_example(chainsec, command):
    told = chainsec(*command.split(), "--help")
    assert told.code == 0
    assert f"Example: chainsec {command}" in " ".join(told.out.split())


@pytest.mark.usefixtures("anvil_program")
def test_transactions_are_measured_in_every_way_and_held_against_the_plain_one(measure):
    found, told = measure("engine", "--transactions", 3, "--rounds", 2, "--profile")
    assert_shape(found, "engine", {"transactions": 3, "rounds": 2})
    assert [row["name"] for row in found["rows"]] == [*IN_PROCESS, *ON_NODE]
    assert {row["rounds"] for row in found["rows"]} == {2}
    assert_ratios_to_the_first(found["rows"])
    assert list(found["shares"]) == ["plain", "through web3", "native", "on anvil"]
    assert_shares(found, told)
    assert all(name in told.out for name in (*IN_PROCESS, *ON_NODE))
    assert "turns 18/18" in told.err


@pytest.mark.usefixtures("without_anvil")
def test_without_anvil_its_rows_are_left_out_and_one_line_says_how_to_get_it(measure):
    found, told = measure("engine", "--transactions", 2, "--rounds", 1)
    assert [row["name"] for row in found["rows"]] == IN_PROCESS
    assert found["notes"] == [HOW_TO_GET_IT]
    assert told.out.count(HOW_TO_GET_IT) == 1


@pytest.mark.usefixtures("anvil_program")
def test_decisions_are_measured_by_batch_in_process_and_on_a_node(measure):
    sizes = ["--batches", "1,4", "--requests", 5, "--transactions", 3, "--rounds", 1]
    found, told = measure("decisions", *sizes, "--profile")
    assert_shape(found, "decisions", {"batches": [1, 4], "requests": 5, "transactions": 3, "rounds": 1})
    places = ["in process", "on anvil"]
    ways = [f"{place}, {size} a batch" for place in places for size in (1, 4)]
    assert [row["name"] for row in found["rows"]] == [f"{PLAIN}, transactions", *ways]
    assert_ratios_to_the_first(found["rows"])
    in_process, on_node = [note.partition(": ")[2] for note in found["notes"]]
    assert in_process == on_node, "the same requests get the same answers"
    assert in_process.startswith("17 requests decided on chain")  # (1 to warm up + 5) x 2 sizes + 5 looked at
    assert list(found["shares"]) == places
    assert_shares(found, told)


def test_lookups_are_measured_beside_eth_tester_and_against_length(measure, monkeypatch):
    monkeypatch.setattr(lookups, "FEW_EVENTS", 20)  # eth-tester reads 100 in seconds
    monkeypatch.setattr(lookups, "EVENTS", 40)
    found, told = measure("lookups", "--blocks", 100, "--events", 1_000)
    assert_shape(found, "lookups", {"blocks": 100, "events": 1_000, "slow_peers": False})
    rows = {row["name"]: row for row in found["rows"]}
    pairs = [
        ("20 events, web3 + eth-tester", "20 events, chainsec through web3"),
        ("20 events, web3 + eth-tester", "20 events, chainsec native"),
        ("snapshot and revert, eth-tester", "snapshot and revert, chainsec native"),
    ]
    for what in ("receipt in 21 blocks", "transaction in 21 blocks"):
        pairs += [(f"{what}, eth-tester", f"{what}, chainsec {own}") for own in ("as tester", "native")]
    for theirs, ours in pairs:
        assert rows[theirs]["ratio"] == 1
        assert rows[ours]["ratio"] == rows[ours]["per_second"] / rows[theirs]["per_second"]
    alone = {name for name, row in rows.items() if row["ratio"] is None}
    lengths = {
        f"{what} in {n} blocks, chainsec native" for what in ("receipt", "transaction") for n in (1, 5, 25, 50, 100)
    }
    assert alone == lengths | {
        "40 events, chainsec through web3",
        "40 events, chainsec native",
        "1 of 1,000 events, chainsec native",
        "reopening a file of 51 blocks, chainsec",
    }
    assert "--slow-peers" in told.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["decisions", "--batches", "1,x"], "--batches 1,x: needs numbers with commas between them"),
        (["decisions", "--batches", ""], "--batches : needs numbers"),
        (["decisions", "--batches", "0"], "different sizes from 1 to 200, not [0]"),
        (["decisions", "--batches", "201", "--requests", "300"], "different sizes from 1 to 200, not [201]"),
        (["decisions", "--batches", "5,5"], "different sizes from 1 to 200, not [5, 5]"),
        (["decisions", "--requests", "99"], "99 requests in a round do not fill a batch of 100"),
        (["engine", "--json", "no/such/folder/x.json"], "--json no/such/folder/x.json: its directory does not exist"),
        (["lookups", "--json", "."], "--json .: is a directory"),
    ],
)
def test_a_bad_value_is_refused_in_one_line_before_anything_is_measured(
    chainsec, monkeypatch, tmp_path, arguments, words
):
    monkeypatch.chdir(tmp_path)
    told = chainsec("bench", *arguments)
    assert (told.code, told.out) == (2, "")
    assert told.err.startswith("chainsec: ")
    assert words in told.err
    assert told.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_peers_take_turns_and_each_turn_counts_its_share():
    ticks, calls, steps = count(), [], []

    def peer(name, share):
        def run(number):
            calls.append((name, number))
            return lambda: calls.append((name, "checked"))

        return SimpleNamespace(name=name, share=share, run=run)

    turns = Turns([peer("plain", 1), peer("quick", 5)], clock=lambda: next(ticks))
    turns.take(20, 2, lambda *step: steps.append(step), "turns")
    warm_up, one_round = [("plain", 2), ("quick", 10)], [("plain", 20), ("quick", 100)]
    assert [call for call in calls if call[1] != "checked"] == [*warm_up, *one_round, *one_round]
    assert calls[1::2] == [(name, "checked") for name, _ in calls[::2]]
    assert turns.rates == {"plain": [20, 20], "quick": [100, 100]}
    assert steps == [("turns", done, 4) for done in range(1, 5)]


@pytest.mark.parametrize("way", ["web3", "engine", "node"])
def test_a_transaction_without_effect_is_no_measurement(way, request):
    silent = Account(word(2**200)).address
    with open_engine() as engine:
        if way == "web3":
            sender = Web3Sender("plain", open_plain())
            sender.contract = sender.web3.eth.contract(address=str(silent), abi=sender.contract.abi)
            check = sender.run(1)
        elif way == "engine":
            sender = EngineSender("native", engine, per_block=2, share=1)
            sender.contract.address = silent
            check = sender.run(3)
        else:
            with Anvil(program=request.getfixturevalue("anvil_program")) as node:
                sender = RawSender("raw", node.url, batch=1, share=1)
                sender._address = silent
                check = sender.run(2)
                sender.close()
        with pytest.raises(LedgerError, match=r": transaction 1 has status 1 and 0 logs$"):
            check()


def test_the_burst_emits_as_many_events_of_as_many_kinds_as_it_is_told_to():
    with open_engine() as engine:
        account = Account(word(5))
        send = {"gas": 10_000_000, "chain_id": engine.chain_id}
        deployed = account.sign(nonce=0, to=None, data=deployment_data(BURST), **send)
        engine.send(deployed.raw)
        engine.mine()
        address = engine.receipt(deployed.hash).contract_address
        called = account.sign(nonce=1, to=address, data=bytes(4) + word(998) + word(4), **send)
        engine.send(called.raw)
        engine.mine()
        logs = [(log.topics, log.data) for log in engine.receipt(called.hash).logs]
        assert logs == [((NOTED, word(i % 1000)), word(i)) for i in (998, 999, 1000, 1001)]


def test_a_request_without_a_decision_is_no_measurement(tmp_path):
    workload = hospital(3, days=20, history_days=6, staff=20, records=90)
    config = IN_THIS_PROCESS.place(Config(), workload, "hospital")
    model = train_on_history(workload)
    engine = open_engine(chain_id=config.chain.chain_id, genesis_time=config.chain.genesis_time_s)
    system = System(engine, config, workload, EvidenceRiskModel.from_files(model.to_files()), tmp_path)
    DecisionBench("here", system, 2, 1).run(3)()
    assert sum(system.outcomes.values()) == len(system.receipts) == 3
    system._agent = SimpleNamespace(step=list)
    check = DecisionBench("here", system, 2, 1).run(2)
    with pytest.raises(LedgerError, match=r"^2 of 2 requests were not decided$"):
        check()
    system.close()


def test_a_sample_counts_for_the_innermost_code_whose_work_is_known():
    sampler = Sampler()
    before = signal.getsignal(signal.SIGALRM)
    with sampler.watching():
        signal.raise_signal(signal.SIGALRM)
        as_if_by_evm = compile("signal.raise_signal(signal.SIGALRM)", "/site-packages/eth/vm/x.py", "exec")
        exec(as_if_by_evm, {"signal": signal})
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert {REST, "EVM"} <= set(sampler.shares())
    assert sum(sampler.shares().values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (decisions.__file__, None),
        (json.__file__, None),
        (Anvil.__init__.__code__.co_filename.replace("anvil.py", "store.py"), "SQLite"),
        ("/venv/site-packages/eth/vm/logic/storage.py", "EVM"),
        ("/venv/site-packages/eth/db/account.py", "state and trie"),
        ("/venv/site-packages/eth_abi/decoding.py", "ABI coding"),
        (signal.__file__.replace("signal.py", "socket.py"), "waiting for the node"),
        ("/home/user/socket.py", None),
    ],
)
def test_code_belongs_to_a_kind_of_work_by_its_place(path, kind):
    assert kind_of_work(path) == kind


def test_judgements_are_measured_one_by_one_and_many_at_once(chainsec, tmp_path):
    path = tmp_path / "judgement.json"
    code, out, _ = chainsec("bench", "judgement", "--days", "30", "--requests", "100", "--rounds", "2", "--json", path)
    assert code == 0
    rows = {row["name"]: row for row in json.loads(path.read_bytes())["rows"]}
    assert len(rows) == 5
    assert all(row["per_second"] > 0 for row in rows.values())
    assert rows["score of one, chainsec"]["ratio"] > 1
    assert "one request, all of it: median" in out
