"""Contracts and agent on a node that others run: anvil, whose blocks come by themselves and whose gas is free."""

import json
import re
import signal
import stat
import subprocess
import sys
from collections import Counter
from types import SimpleNamespace

import pytest

from chainsec.attached.agency import keep_deciding, open_agent
from chainsec.attached.following import OpenActions
from chainsec.attached.keyring import ROLES, read_key
from chainsec.attached.model_files import find_model_files
from chainsec.attached.record import attach_deployment, deploy_contracts, read_record
from chainsec.config import Config, load_config
from chainsec.defence.observation import Observation
from chainsec.defence.training import train_risk_model
from chainsec.deployment import Keys
from chainsec.digest import keccak, parse_canonical
from chainsec.errors import LedgerError, NodeUnreachable, RunInUse, RunMismatch
from chainsec.journal import Journal
from chainsec.ledger.account import Account
from chainsec.ledger.anvil import Anvil
from chainsec.ledger.client import Client
from chainsec.ledger.engine import open_engine
from chainsec.ledger.rpc.engine import RpcEngine
from chainsec.parties import Parties
from chainsec.sandbox import Sandbox
from chainsec.services.access import Status

FREE = ("--block-base-fee-per-gas", "0", "--gas-price", "0")
SEED = b"tests/attached"


def refused(told, *words):
    assert told.code in {2, 3}
    [line] = told.err.splitlines()
    assert line.startswith("chainsec: ")
    for word in words:
        assert word in line, line
    return told.code


def write_keys(folder, seed=SEED):
    folder.mkdir(mode=0o700)
    for role in ROLES:
        path = folder / f"{role}.key"
        path.write_text(Parties(seed).role(role).private_key.hex())
        path.chmod(0o600)


@pytest.fixture
def node(anvil_program):
    with Anvil(program=anvil_program, arguments=FREE) as running:
        yield running


@pytest.fixture
def place(node, tmp_path, chainsec):
    """A deployment on a node: a clinic with members, a patient's scan with consent; what its gateway hands in."""
    write_keys(tmp_path / "keys")
    told = chainsec("deploy", "--engine", node.url, "--keys", tmp_path / "keys", "--out", tmp_path / "deployment.json")
    assert told.code == 0, told.err
    (tmp_path / "inbox").mkdir()
    contexts = Journal(tmp_path / "inbox" / "clinic.jsonl")
    engine = open_engine(node.url, block_production="node")
    with Sandbox(engine=engine, key_seed=SEED, is_replay=True, contexts=contexts) as box:
        box.add_organisation("clinic")
        for name in ("ann", "ben"):
            box.add_member("clinic", name)
        scan = box.add_asset("patient", b"the scan", sensitivity=1)
        box.give_consent("patient", scan, "clinic", "treatment")
        words = ["--deployment", tmp_path / "deployment.json", "--keys", tmp_path / "keys"]
        words += ["--contexts", tmp_path / "inbox", "--run", tmp_path / "run", "--engine", node.url]
        yield SimpleNamespace(
            node=node, box=box, scan=scan, path=tmp_path, words=words, record=read_record(tmp_path / "deployment.json")
        )


def ask(place, name="ann", hours=24):
    return place.box.request(name, place.scan, "treatment", hours=hours)


def decisions(place):
    contract = place.box.deployment.access.contract
    head = place.box.engine.head().number
    skipped = contract.events("DecisionSkipped", 0, head)
    return Counter(event.args["request"] for event in contract.events("AccessDecided", 0, head)), len(skipped)


def receipts(place):
    return [parse_canonical(line) for line in (place.path / "run" / "receipts.jsonl").read_bytes().splitlines()]


def assert_each_decided_once(place, requests):
    decided, skipped = decisions(place)
    assert decided == Counter({request.id: 1 for request in requests})
    assert skipped == 0
    assert [receipt["request"] for receipt in receipts(place)] == [str(request.id) for request in requests]
    named = {event.args["receipt"] for event in decided_events(place)}
    assert named == {keccak(line) for line in (place.path / "run" / "receipts.jsonl").read_bytes().splitlines()}


def decided_events(place):
    return place.box.deployment.access.contract.events("AccessDecided", 0, place.box.engine.head().number)


def reopened(place, engine, **changes):
    account = read_key(place.path / "keys" / "agent.key")
    given = {
        "contexts": place.path / "inbox",
        "model_files": find_model_files(None, place.path / "run"),
        "config": Config(),
    }
    return open_agent(engine, place.record, account, place.path / "run", **given | changes)


class Process:
    """The agent as a shell starts it."""

    def __init__(self, place, *more):
        command = [sys.executable, "-m", "chainsec.app.cli", "agent", *place.words, "--interval", "0.05", *more]
        self.process = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def until(self, pattern):
        for line in self.process.stdout:
            if re.search(pattern, line):
                return line
        raise AssertionError(self.process.stderr.read())

    def end(self, how):
        self.process.send_signal(how)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err


def test_deploying_makes_keys_for_their_owner_alone_and_writes_down_addresses_only(chainsec, node, tmp_path):
    told = chainsec("deploy", "--engine", node.url, "--keys", tmp_path / "keys", "--out", tmp_path / "d.json")
    assert told.code == 0
    text = (tmp_path / "d.json").read_text()
    record = read_record(tmp_path / "d.json")
    assert {path.name for path in (tmp_path / "keys").iterdir()} == {f"{role}.key" for role in ROLES}
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    for role in ROLES:
        path = tmp_path / "keys" / f"{role}.key"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert record.roles[role] == str(read_key(path).address)
        assert read_key(path).private_key.hex() not in text + told.out
    with open_engine(node.url, block_production="node") as engine:
        assert (record.chain_id, record.first_block) == (1337, str(engine.block(0).hash))
        deployment = attach_deployment(Client(engine, transaction_gas=1_000_000), record)
        assert deployment.sentinel.limits() == Config().limits
        assert {name: str(address) for name, address in deployment.addresses().items()} == record.contracts


def test_deploying_again_with_the_same_keys_sends_nothing(chainsec, node, tmp_path):
    words = ["deploy", "--engine", node.url, "--keys", tmp_path / "keys", "--out", tmp_path / "d.json"]
    chainsec(*words)
    before = (tmp_path / "d.json").read_bytes()
    with open_engine(node.url, block_production="node") as engine:
        head = engine.head()
        told = chainsec(*words)
        assert told.code == 0
        assert "nothing was sent" in told.out
        assert engine.head() == head
    assert (tmp_path / "d.json").read_bytes() == before


def test_a_deployment_that_was_cut_off_goes_on_where_it_stopped(node, tmp_path, monkeypatch):
    keys, config = Keys(*(Account.generate() for _ in ROLES)), Config()
    with open_engine(node.url, block_production="node") as engine:
        sent = []

        def send_three(raw, send=engine.send):
            if len(sent) == 3:
                raise KeyboardInterrupt
            sent.append(raw)
            return send(raw)

        monkeypatch.setattr(engine, "send", send_three)
        with pytest.raises(KeyboardInterrupt):
            deploy_contracts(engine, keys, config.limits, config.chain, tmp_path / "d.json")
        assert not (tmp_path / "d.json").exists()
        assert engine.nonce(keys.admin.address) == 3
    with open_engine(node.url, block_production="node") as engine:
        record = deploy_contracts(engine, keys, config.limits, config.chain, tmp_path / "d.json")
        fresh = Keys(*(Account.generate() for _ in ROLES))
        deploy_contracts(engine, fresh, config.limits, config.chain, tmp_path / "other.json")
        assert engine.nonce(keys.admin.address) == engine.nonce(fresh.admin.address)
    assert read_record(tmp_path / "d.json") == record


def test_an_administrators_key_that_was_used_for_something_else_is_refused(chainsec, node, tmp_path):
    write_keys(tmp_path / "keys")
    admin = read_key(tmp_path / "keys" / "admin.key")
    with open_engine(node.url, block_production="node") as engine:
        Client(engine, transaction_gas=100_000).transact(admin, admin.address, b"")
        told = chainsec("deploy", "--engine", node.url, "--keys", tmp_path / "keys", "--out", tmp_path / "d.json")
        assert refused(told, str(admin.address), "nonce 0") == 2
        assert engine.nonce(admin.address) == 1
    assert not (tmp_path / "d.json").exists()


def test_a_record_of_another_deployment_is_never_overwritten(chainsec, node, tmp_path):
    chainsec("deploy", "--engine", node.url, "--keys", tmp_path / "keys", "--out", tmp_path / "d.json")
    before = (tmp_path / "d.json").read_bytes()
    with open_engine(node.url, block_production="node") as engine:
        head = engine.head()
        told = chainsec("deploy", "--engine", node.url, "--keys", tmp_path / "new", "--out", tmp_path / "d.json")
        assert refused(told, "d.json", "another deployment") == 2
        assert engine.head() == head
    assert (tmp_path / "d.json").read_bytes() == before


@pytest.mark.parametrize(
    ("out", "words"), [("nowhere/d.json", "does not exist"), ("keys", "is a directory"), (".", "is a directory")]
)
def test_a_place_where_no_record_can_be_written_is_refused_before_anything_is_sent(
    chainsec, node, tmp_path, out, words
):
    write_keys(tmp_path / "keys")
    with open_engine(node.url, block_production="node") as engine:
        told = chainsec("deploy", "--engine", node.url, "--keys", tmp_path / "keys", "--out", tmp_path / out)
        assert refused(told, str(tmp_path / out), words) == 2
        assert engine.head().number == 0


def test_keys_in_a_folder_that_others_can_write_into_are_refused(chainsec, node, tmp_path):
    write_keys(tmp_path / "keys")
    (tmp_path / "keys").chmod(0o777)
    told = chainsec("deploy", "--engine", node.url, "--keys", tmp_path / "keys", "--out", tmp_path / "d.json")
    assert refused(told, str(tmp_path / "keys"), "chmod 700") == 2
    assert not (tmp_path / "d.json").exists()


def test_contracts_that_stand_in_each_others_place_are_refused(chainsec, place):
    path = place.path / "deployment.json"
    record = json.loads(path.read_bytes())
    contracts = record["contracts"]
    contracts["Sentinel"], contracts["AuditTrail"] = contracts["AuditTrail"], contracts["Sentinel"]
    path.write_text(json.dumps(record))
    told = chainsec("agent", *place.words, "--once")
    assert refused(told, "Sentinel", contracts["Sentinel"], "something else") == 3
    assert not (place.path / "run" / "receipts.jsonl").exists()


def test_a_network_that_charges_for_gas_says_so_in_one_line(chainsec, anvil_program, tmp_path):
    with Anvil(program=anvil_program) as dear:
        refused(chainsec("deploy", "--engine", dear.url, "--keys", tmp_path / "keys", "--out", tmp_path / "d.json"))
    assert not (tmp_path / "d.json").exists()


@pytest.mark.parametrize("command", ["deploy", "agent"])
def test_a_node_that_is_not_there_is_one_line(chainsec, command, place):
    words = place.words[:4] if command == "agent" else place.words[2:4]
    told = chainsec(command, *words, "--engine", "http://127.0.0.1:9", "--patience", "0.5")
    assert refused(told, "127.0.0.1:9") == 3


def test_another_chain_is_refused_by_its_identifier_and_by_its_first_block(chainsec, place, anvil_program):
    with Anvil(program=anvil_program, chain_id=7, arguments=FREE) as other:
        assert refused(chainsec("agent", *place.words, "--engine", other.url), "chain 1337", "chain 7") == 2
    with Anvil(program=anvil_program, timestamp=1_800_000_000, arguments=FREE) as twin:
        assert refused(chainsec("agent", *place.words, "--engine", twin.url), place.record.first_block) == 2
    assert not (place.path / "run").exists()


def test_a_key_without_the_role_is_refused(chainsec, place):
    (place.path / "keys" / "agent.key").write_text(Account.generate().private_key.hex())
    assert refused(chainsec("agent", *place.words), "does not hold the agent's role") == 2
    assert not (place.path / "run").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda keys: (keys / "agent.key").unlink(), ["agent.key", "no such key"]),
        (lambda keys: (keys / "agent.key").chmod(0o640), ["agent.key", "chmod 600"]),
        (lambda keys: (keys / "agent.key").write_text("12"), ["agent.key", "64 hexadecimal"]),
        (lambda keys: (keys / "agent.key").write_text("0" * 64), ["agent.key", "64 hexadecimal"]),
    ],
)
def test_a_bad_key_file_is_named(chainsec, place, change, words):
    change(place.path / "keys")
    assert refused(chainsec("agent", *place.words), *words) == 2


@pytest.mark.parametrize(
    ("edit", "word"),
    [
        (lambda record: record | {"chain_id": "x"}, "chain_id"),
        (lambda record: record | {"keys": {}}, "keys"),
        (lambda record: record | {"contracts": {}}, "AccessGrants"),
        (lambda record: record | {"roles": {"agent": "0x12"}}, "roles.agent"),
        (lambda record: [record], "deployment.json"),
    ],
)
def test_a_bad_deployment_file_is_named(chainsec, place, edit, word):
    path = place.path / "deployment.json"
    path.write_text(json.dumps(edit(json.loads(path.read_text()))))
    assert refused(chainsec("agent", *place.words), "deployment.json", word) == 2


def test_the_agent_needs_no_other_key_than_its_own(chainsec, place):
    for role in set(ROLES) - {"agent"}:
        (place.path / "keys" / f"{role}.key").unlink()
    request = ask(place)
    told = chainsec("agent", *place.words, "--once")
    assert told.code == 0, told.err
    assert "1 receipts in all" in told.out
    assert [path.name for path in (place.path / "keys").iterdir()] == ["agent.key"]
    assert_each_decided_once(place, [request])


def test_a_request_whose_context_nobody_handed_in_is_denied_and_stays_so(chainsec, place):
    known = ask(place)
    inbox = place.path / "inbox" / "clinic.jsonl"
    whole = inbox.read_bytes()
    lost = ask(place, "ben")
    late = inbox.read_bytes()
    inbox.write_bytes(whole)
    assert chainsec("agent", *place.words, "--once").code == 0
    inbox.write_bytes(late)
    again = ask(place, "ben", hours=12)
    told = chainsec("agent", *place.words, "--once")
    assert told.code == 0, told.err
    assert_each_decided_once(place, [known, lost, again])
    assert [receipt["kind"] for receipt in receipts(place)] == ["decision", "refusal", "decision"]
    assert receipts(place)[1]["reason"] == "no context was handed in"
    assert place.box.deployment.access.status_of(lost.id) is Status.DENIED


def test_an_inbox_that_is_not_there_yet_is_told(chainsec, place):
    told = chainsec("agent", *place.words, "--once")
    assert (told.code, told.err) == (0, "")
    words = [place.path / "post" if word == place.path / "inbox" else word for word in place.words]
    told = chainsec("agent", *words, "--once")
    assert told.code == 0
    assert "post: is not there yet: what comes without its context is denied" in told.err


def test_killed_the_agent_goes_on_and_decides_every_request_once(place):
    asked = [ask(place, hours=2)]
    running = Process(place)
    running.until("1 receipts in all")
    assert running.end(signal.SIGKILL)[0] == -signal.SIGKILL
    asked += [ask(place, name, hours=3) for name in ("ann", "ben")]
    running = Process(place)
    assert "and 1 receipts" in running.until("agent 0x")
    running.until("3 receipts in all")
    asked.append(ask(place, hours=4))
    running.until("4 receipts in all")
    code, out, err = running.end(signal.SIGTERM)
    assert (code, err) == (0, "")
    assert "4 receipts; the same command goes on" in out
    assert_each_decided_once(place, asked)


def test_killed_between_receipt_and_decision_it_sends_the_same_receipt(place, monkeypatch):
    requests = [ask(place), ask(place, "ben")]
    with open_engine(place.node.url, block_production="node") as engine, reopened(place, engine) as agent:

        def die(_raw):
            raise KeyboardInterrupt

        monkeypatch.setattr(engine, "send", die)
        assert agent.step() == []
        with pytest.raises(KeyboardInterrupt):
            agent.step()
    written = (place.path / "run" / "receipts.jsonl").read_bytes()
    assert len(written.splitlines()) == 2
    assert decisions(place)[0] == Counter()
    (place.path / "inbox" / "clinic.jsonl").unlink()  # its own copy of the contexts is enough
    with open_engine(place.node.url, block_production="node") as engine, reopened(place, engine) as agent:
        assert agent.earlier == 2
        assert agent.step() == []
        assert agent.step() == []
    assert (place.path / "run" / "receipts.jsonl").read_bytes() == written
    assert_each_decided_once(place, requests)


def test_killed_between_sending_and_mining_it_waits_and_sends_nothing_again(place, monkeypatch):
    request = ask(place)
    agent_address = read_key(place.path / "keys" / "agent.key").address
    with open_engine(place.node.url, block_production="node") as engine, reopened(place, engine) as agent:
        agent.step()
        engine._caller.ask("evm_setAutomine", *[False])

        def die(keys, ask=engine.receipts):
            if keys:
                raise KeyboardInterrupt
            return ask(keys)

        monkeypatch.setattr(engine, "receipts", die)
        with pytest.raises(KeyboardInterrupt):
            agent.step()
        assert engine.nonce(agent_address) == 0
        assert engine.next_nonce(agent_address) == 1
    with open_engine(place.node.url, block_production="node") as engine:
        monkeypatch.setattr(engine, "mine", lambda: engine._caller.ask("evm_mine"))
        with reopened(place, engine) as agent:
            assert agent.step() == []
        engine._caller.ask("evm_setAutomine", *[True])
        assert engine.next_nonce(agent_address) == 1
    assert_each_decided_once(place, [request])


def test_what_somebody_else_decided_meanwhile_is_not_decided_again(place):
    requests = [ask(place), ask(place, "ben")]
    with (
        open_engine(place.node.url, block_production="node") as engine,
        open_engine(place.node.url, block_production="node") as aside,
        reopened(place, engine) as agent,
    ):
        agent.step()
        client = Client(aside, transaction_gas=15_000_000)
        deployment = attach_deployment(client, place.record)
        deployment.sentinel.cancel(Parties(SEED).role("guardian"), requests[0], keccak(b"receipt"))
        client.settle()
        assert [receipt["request"] for receipt in agent.step()] == [str(requests[1].id)]
    decided, skipped = decisions(place)
    assert decided == Counter({request.id: 1 for request in requests})
    assert skipped == 0


def test_a_second_agent_on_the_same_directory_is_refused(chainsec, place):
    with open_engine(place.node.url, block_production="node") as engine, reopened(place, engine):
        assert refused(chainsec("agent", *place.words), "run", "another process") == 2
    with (
        open_engine(place.node.url, block_production="node") as engine,
        reopened(place, engine),
        pytest.raises(RunInUse),
        reopened(place, engine),
    ):
        pass


def test_a_directory_goes_on_only_with_what_it_began_with(chainsec, place):
    asks = [Observation(f"0x{i}", i * 60, "ann", "scan", "read", "treatment") for i in range(8)]
    model = train_risk_model(asks, [False] * 8)
    (place.path / "model").mkdir()
    for name, content in model.to_files().items():
        (place.path / "model" / name).write_bytes(content)
    ask(place)
    assert chainsec("agent", *place.words, "--once", "--model", place.path / "model").code == 0
    assert receipts(place)[0]["model"] == model.digest
    other = place.path / "run2"
    assert chainsec("agent", *place.words, "--once", "--run", other, "--model", place.path / "run").code == 0
    assert refused(chainsec("agent", *place.words, "--model", place.path / "keys"), "0 models") == 2
    assert chainsec("agent", *place.words, "--once").code == 0  # the model it began with
    (place.path / "fresh").mkdir()
    for name, content in train_risk_model([], []).to_files().items():
        (place.path / "fresh" / name).write_bytes(content)
    assert refused(chainsec("agent", *place.words, "--model", place.path / "fresh"), "another model.digest") == 2
    (place.path / "s.toml").write_text("[agent]\nreasons = 5\n")
    assert refused(chainsec("agent", *place.words, "--config", place.path / "s.toml"), "another config.agent") == 2
    assert load_config(place.path / "s.toml").agent.reasons == 5


def test_a_receipt_that_was_changed_is_noticed(place):
    ask(place)
    with open_engine(place.node.url, block_production="node") as engine, reopened(place, engine) as agent:
        agent.step()
        agent.step()
    path = place.path / "run" / "receipts.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"score":', b'"score":1', 1))
    with (
        open_engine(place.node.url, block_production="node") as engine,
        reopened(place, engine) as agent,
        pytest.raises(RunMismatch, match=r"receipts\.jsonl: line 1"),
    ):
        agent.step()


def test_a_node_that_lost_its_chain_is_refused_and_one_behind_is_waited_for(place):
    ask(place)
    with open_engine(place.node.url, block_production="node") as engine, reopened(place, engine) as agent:
        agent.step()
        agent.step()
    cursor = place.path / "run" / "cursor.json"
    record = json.loads(cursor.read_text())
    cursor.write_text(json.dumps(record | {"hash": "0x" + "11" * 32}))
    with (
        open_engine(place.node.url, block_production="node") as engine,
        reopened(place, engine) as agent,
        pytest.raises(RunMismatch, match="is not the one that was followed"),
    ):
        agent.step()
    cursor.write_text(json.dumps(record | {"block": record["block"] + 1_000}))
    with (
        open_engine(place.node.url, block_production="node") as engine,
        reopened(place, engine) as agent,
        pytest.raises(LedgerError, match="has come to block"),
    ):
        agent.step()


class Turns:
    """A pause that takes no time and says after some turns that it is time to stop."""

    def __init__(self, turns, acts):
        self.left, self.acts, self.waited = turns, acts, []

    def is_set(self):
        return self.left == 0

    def wait(self, timeout):
        self.left -= 1
        self.waited.append(timeout)
        if self.acts:
            self.acts.pop(0)()


def test_while_the_agent_is_suspended_or_its_node_away_it_tries_less_and_less_often_and_then_goes_on(place):
    guardian, policy = (Parties(SEED).role(role) for role in ("guardian", "policy"))
    request = ask(place)
    sentinel, client = place.box.deployment.sentinel, place.box.client
    sentinel.suspend_agent(guardian)
    client.settle()
    troubles, told = [], []
    with open_engine(place.node.url, block_production="node", patience_s=0.2) as engine, reopened(place, engine) as one:
        keep_deciding(
            one,
            Turns(4, []),
            interval_s=1,
            on_step=lambda _, receipts: told.extend(receipts),
            on_trouble=lambda what, pause_s: troubles.append((what, pause_s)),
        )
        agent_address = read_key(place.path / "keys" / "agent.key").address
        assert engine.nonce(agent_address) == 0
        assert told == []
        assert troubles == [("guardians have suspended the agent", pause_s) for pause_s in (1, 2, 4)]
        place.box.deployment.authority.schedule(policy, sentinel.contract, "resumeAgent")
        client.settle()
        engine._caller.ask("evm_increaseTime", 2 * 86_400)
        engine._caller.ask("evm_mine")
        sentinel.resume_agent(policy)
        client.settle()
        keep_deciding(one, Turns(1, []), interval_s=1, on_step=lambda _, receipts: told.extend(receipts))
        assert [receipt["request"] for receipt in told] == [str(request.id)]
        place.node.kill()
        with pytest.raises(NodeUnreachable):
            one.step()
        keep_deciding(one, Turns(2, []), interval_s=1, on_trouble=lambda what, _: troubles.append(what))
        assert len([what for what in troubles if place.node.url in what]) == 2


def test_interrupted_from_the_keyboard_it_ends_its_step_first_and_at_once_the_second_time(chainsec, place, monkeypatch):
    request = ask(place)
    before, look = signal.getsignal(signal.SIGINT), RpcEngine.final_block

    def look_and_interrupt(engine):
        signal.raise_signal(signal.SIGINT)
        return look(engine)

    monkeypatch.setattr(RpcEngine, "final_block", look_and_interrupt)
    told = chainsec("agent", *place.words, "--once")
    assert (told.code, told.out.count("\n")) == (130, 1)
    assert "the same command goes on" in told.err
    assert signal.getsignal(signal.SIGINT) is before
    monkeypatch.setattr(RpcEngine, "final_block", look)
    decide = OpenActions.decide

    def decide_and_interrupt(actions, verdicts):
        signal.raise_signal(signal.SIGTERM)
        decide(actions, verdicts)

    monkeypatch.setattr(OpenActions, "decide", decide_and_interrupt)
    told = chainsec("agent", *place.words)
    assert (told.code, told.err) == (0, "")
    assert_each_decided_once(place, [request])


@pytest.mark.parametrize("command", ["deploy", "agent"])
def test_the_commands_say_what_they_do_and_load_no_chain_for_it(chainsec, command):
    told = chainsec(command, "--help")
    assert told.code == 0
    assert re.search(rf"Example: chainsec {command}", " ".join(told.out.split()))


def test_a_chain_in_this_process_is_no_node(chainsec, tmp_path):
    told = chainsec("deploy", "--engine", "eth-tester", "--keys", tmp_path / "keys")
    assert refused(told, "--engine eth-tester") == 2
    assert not (tmp_path / "keys").exists()
