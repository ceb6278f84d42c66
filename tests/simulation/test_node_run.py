"""The same run on a node: same decisions, same chain, whatever becomes of the node or of this process on the way."""

import json
import shutil

import pytest

from chainsec.errors import AuditFailed, ConfigError, LedgerError, NodeUnreachable, RunMismatch
from chainsec.ledger.anvil import Anvil
from chainsec.ledger.engine import open_engine
from chainsec.ledger.rpc import reader
from chainsec.scenarios.audit import verify_run

SEED = 8


@pytest.fixture(scope="session")
def expected(finished):
    """Give what the run comes to in process: its settings, and its receipts' verdicts in order."""
    settings = json.loads((finished / "run.json").read_text())["config"]
    return settings, verdicts(finished), verify_run(finished)


@pytest.fixture
def twin(anvil_program, expected, tmp_path):
    """Give a node whose first block is that of the run in process, and which keeps its chain in a file."""
    begun_s = expected[0]["chain"]["genesis_time_s"]
    with Anvil(program=anvil_program, timestamp=begun_s, state_path=tmp_path / "state.json") as node:
        yield node


def verdicts(path):
    named = ("verdict", "kind", "score", "features")
    return [[json.loads(line).get(name) for name in named] for line in (path / "receipts.jsonl").open()]


def lines(path, name):
    return (path / f"{name}.jsonl").read_bytes()


def test_on_a_node_with_the_same_first_block_every_block_transaction_and_receipt_is_the_same(
    small, finished, expected, twin, tmp_path
):
    report = small.play_small(tmp_path / "run", SEED, engine=twin.url)
    assert report.run.engine.startswith("anvil/")
    for name in ("contexts", "receipts", "uses", "outcomes"):
        assert lines(tmp_path / "run", name) == lines(finished, name)
    assert verify_run(tmp_path / "run").head_hash == expected[2].head_hash


def test_on_any_other_node_the_same_is_decided_and_the_directory_proves_it_without_the_node(
    small, expected, anvil_program, tmp_path
):
    """Another chain id, other rules, a first block of today, over another transport."""
    with Anvil(program=anvil_program, chain_id=31337, hardfork="osaka") as node:
        report = small.play_small(tmp_path / "run", SEED, engine=node.ws_url)
    settings, decided, proved = expected
    summary = verify_run(tmp_path / "run")
    assert verdicts(tmp_path / "run") == decided
    assert (summary.blocks, summary.receipts, summary.uses) == (proved.blocks, proved.receipts, proved.uses)
    assert summary.head_hash != proved.head_hash
    assert report.audit.verified
    assert json.loads((tmp_path / "run" / "run.json").read_text())["config"]["run"]["time_offset_s"] > 0
    assert settings["run"]["time_offset_s"] == 0


class Mishap:
    """Does something to a node when the run tells of a line that begins so, once each."""

    def __init__(self, acts):
        self.acts = list(acts)
        self.told = []

    def __call__(self, line):
        self.told.append(line)
        if self.acts and line.startswith(self.acts[0][0]):
            self.acts.pop(0)[1]()


def test_a_node_that_ends_and_comes_back_with_its_chain_is_gone_on_with(small, expected, twin, tmp_path):
    def restart():
        twin.stop()
        twin.restart()

    mishap = Mishap([("members", restart), ("live 2/", restart), ("live 18/", restart)])
    small.play_small(tmp_path / "run", SEED, mishap, engine=twin.url)
    assert mishap.acts == []
    assert not any(line.startswith("node lost") for line in mishap.told)
    assert verify_run(tmp_path / "run").head_hash == expected[2].head_hash


def test_what_a_node_has_lost_when_it_comes_back_is_brought_to_it_again_and_nothing_twice(
    small, finished, expected, twin, tmp_path
):
    state, kept = tmp_path / "state.json", tmp_path / "kept.json"

    def keep():
        twin.stop()
        shutil.copyfile(state, kept)
        twin.restart()

    def lose():
        twin.kill()
        shutil.copyfile(kept, state)
        twin.restart()

    mishap = Mishap([("live 2/", keep), ("live 18/", lose)])
    small.play_small(tmp_path / "run", SEED, mishap, engine=twin.url)
    assert mishap.acts == []
    assert sum(line.startswith("node lost") for line in mishap.told) == 1
    assert lines(tmp_path / "run", "receipts") == lines(finished, "receipts")
    assert verify_run(tmp_path / "run").head_hash == expected[2].head_hash


def test_a_node_that_comes_back_with_its_first_block_alone_gets_everything_again(
    small, expected, anvil_program, tmp_path
):
    begun_s = expected[0]["chain"]["genesis_time_s"]
    with Anvil(program=anvil_program, timestamp=begun_s) as node:

        def empty():
            node.kill()
            node.restart()

        mishap = Mishap([("live 18/", empty)])
        small.play_small(tmp_path / "run", SEED, mishap, engine=node.url)
    assert sum(line.startswith("node lost") for line in mishap.told) == 1
    assert verify_run(tmp_path / "run").head_hash == expected[2].head_hash


def test_a_node_that_comes_back_with_another_first_block_ends_the_run_with_what_to_do(small, anvil_program, tmp_path):
    with Anvil(program=anvil_program) as node:

        def begun_s():
            with open_engine(node.url) as engine:
                return engine.block(0).timestamp

        first_s = begun_s()

        def begin_anew():
            while begun_s() == first_s:  # its clock counts seconds
                node.kill()
                node.restart()

        with pytest.raises(RunMismatch, match=rf"another first block.*--fresh.*--timestamp {first_s} "):
            small.play_small(tmp_path / "run", SEED, Mishap([("live 18/", begin_anew)]), engine=node.url)
        kept = lines(tmp_path / "run", "receipts")
        with pytest.raises(RunMismatch, match=r"run: holds a run on a chain with another .* first block .*--fresh"):
            small.play_small(tmp_path / "run", SEED, engine=node.url)
    assert kept
    assert lines(tmp_path / "run", "receipts") == kept


def test_an_interrupted_run_goes_on_with_the_same_command(small, expected, twin, tmp_path):
    for place in ("records", "live 15/", "report begins"):
        with pytest.raises(small.Stopped):
            small.play_small(tmp_path / "run", SEED, small.stop_at(place), engine=twin.url)
        if place != "report begins":
            with pytest.raises(AuditFailed, match=r"chain.sqlite: there is no such file yet; a run on a node"):
                verify_run(tmp_path / "run")
    small.play_small(tmp_path / "run", SEED, engine=twin.url)
    assert verify_run(tmp_path / "run").head_hash == expected[2].head_hash


def test_a_node_is_left_mining_by_itself_as_it_was(small, twin, tmp_path):
    with pytest.raises(small.Stopped):
        small.play_small(tmp_path / "run", SEED, small.stop_at("records"), engine=twin.url)
    with open_engine(twin.url) as engine:
        before = engine.head().number
        assert engine.web3.provider.make_request("anvil_getAutomine", [])["result"] is True
        assert engine.head().number == before


def test_a_node_whose_chain_holds_something_else_is_refused_in_one_line(small, twin, tmp_path):
    with open_engine(twin.url) as engine:
        engine.mine()
    with pytest.raises(RunMismatch, match=r"http://127.*holds something else.*chain of its own"):
        small.play_small(tmp_path / "run", SEED, engine=twin.url)


def test_a_wrong_chain_id_is_refused_before_anything_is_written(small, twin, tmp_path):
    settings = {**small.SETTINGS, "chain": {**small.SETTINGS["chain"], "chain_id": 5}}
    with pytest.raises(ConfigError, match="has chain id 1337, not 5"):
        small.play_small(tmp_path / "run", SEED, settings=settings, engine=twin.url)
    assert not (tmp_path / "run").exists()


def test_where_no_node_answers_that_is_said_at_once_and_nothing_is_written(small, tmp_path):
    with pytest.raises(NodeUnreachable, match=r"no node answers at http://127\.0\.0\.1:1: Connection refused"):
        small.play_small(tmp_path / "run", SEED, engine="http://127.0.0.1:1")
    assert not (tmp_path / "run").exists()


def test_a_chain_that_does_something_else_than_the_same_transactions_do_here_is_no_evidence(
    small, twin, tmp_path, monkeypatch
):
    """A node that charges other gas is found out when its chain is brought home."""
    honest = reader.read_receipt

    def dearer(found):
        return honest({**found, "gasUsed": hex(1 + int(found["gasUsed"], 16))})

    monkeypatch.setattr(reader, "read_receipt", dearer)
    for _ in range(3):  # also what an earlier attempt has brought over is held against the node's receipts
        with pytest.raises(LedgerError, match=r"block 1 of anvil/.*another gas used"):
            small.play_small(tmp_path / "run", SEED, engine=twin.url)
    assert not (tmp_path / "run" / "seal.json").exists()
