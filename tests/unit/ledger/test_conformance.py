"""One suite for every engine: in memory, in a file, and a node over each of its transports."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chainsec.errors import ContractReverted, LedgerError
from chainsec.ledger.account import Account
from chainsec.ledger.anvil import Anvil
from chainsec.ledger.contract import Contract, deployment_data
from chainsec.ledger.engine import CallReverted, open_engine
from chainsec.ledger.local import DEVELOPMENT_ACCOUNTS
from chainsec.primitives import ZERO_ADDRESS

GAS = 1_000_000
NODES = ("http", "websocket", "socket file")
FUNDED = {
    "in process": DEVELOPMENT_ACCOUNTS[0],
    "node": Account(bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")),
}
PROBE = SimpleNamespace(**json.loads((Path(__file__).parent / "probe.json").read_text()))
CREATION = SimpleNamespace(abi=PROBE.abi, bytecode=bytes.fromhex(PROBE.bytecode))
STORED = "Stored"


@pytest.fixture(scope="module")
def node(anvil_program, tmp_path_factory):
    """A node of this file's own; what a test leaves on it the next one finds."""
    socket = tmp_path_factory.mktemp("node") / "anvil.ipc"
    with Anvil(program=anvil_program, chain_id=1337, ipc_path=socket) as running:
        yield running


@pytest.fixture(params=["memory", "file", *NODES])
def engine(request, tmp_path):
    if request.param not in NODES:
        path = tmp_path / "chain.sqlite" if request.param == "file" else None
        with open_engine(path=path) as opened:
            yield opened
        return
    running = request.getfixturevalue("node")
    url = {"http": running.url, "websocket": running.ws_url, "socket file": str(running.ipc_path)}[request.param]
    with open_engine(url) as opened:
        yield opened


@pytest.fixture
def funded(engine):
    return FUNDED["in process" if engine.name == "eth-tester" else "node"]


class Desk:
    """Accounts of one test's own, a probe that they deployed, and the shortest way to send to it."""

    def __init__(self, engine):
        self.engine = engine
        self.alice, self.bob = Account.generate(), Account.generate()
        self.nonces = {}
        self.start = engine.head()
        sent = self.send(None, deployment_data(CREATION, 5, "hello"))
        engine.mine()
        self.probe = Contract(engine, engine.receipt(sent).contract_address, PROBE.abi)

    def sign(self, to, data=b"", *, sender=None, **options):
        sender = sender or self.alice
        nonce = self.nonces.get(sender, 0)
        options = {"nonce": nonce, "gas": GAS, "chain_id": self.engine.chain_id} | options
        return sender.sign(to=to, data=data, **options)

    def send(self, to, data=b"", *, sender=None, **options):
        sender = sender or self.alice
        signed = self.sign(to, data, sender=sender, **options)
        self.engine.send(signed.raw)
        self.nonces[sender] = self.nonces.get(sender, 0) + 1
        return signed.hash

    def invoke(self, name, *args, **options):
        return self.send(self.probe.address, self.probe.encode(name, *args), **options)


@pytest.fixture
def desk(engine):
    return Desk(engine)


def test_an_engine_says_what_it_is_and_which_chain_it_has(engine):
    assert engine.name == "eth-tester" or engine.name.startswith("anvil/")
    assert engine.chain_id == 1337
    assert engine.makes_blocks
    assert engine.gas_price_wei == 0
    assert engine.block_gas_limit == 1_000_000_000


def test_an_empty_block_comes_one_second_after_its_parent_and_changes_nothing(desk):
    before = desk.engine.head()
    block = desk.engine.mine()
    assert (block.number, block.timestamp) == (before.number + 1, before.timestamp + 1)
    assert (block.parent_hash, block.transaction_hashes, block.gas_used) == (before.hash, (), 0)
    assert desk.engine.head() == block == desk.engine.block(block.number)


def test_a_block_has_the_time_it_was_given_and_none_that_is_not_later_is_made(desk):
    engine = desk.engine
    parent = engine.mine(engine.head().timestamp + 1000)
    waiting = desk.invoke("store", 1, 1, "")
    for timestamp in (parent.timestamp, parent.timestamp - 1, 2**64):
        with pytest.raises(LedgerError, match="not later"):
            engine.mine(timestamp)
    assert engine.head() == parent
    assert engine.receipt(waiting) is None
    assert engine.mine(parent.timestamp + 7).timestamp == parent.timestamp + 7
    assert engine.receipt(waiting).status == 1


def test_receipts_tell_status_gas_place_and_logs(desk):
    engine = desk.engine
    sent = [
        desk.invoke("store", 1, 11, "a"),
        desk.invoke("refuse", 3, sender=desk.bob),
        desk.invoke("store", 2, 22, "b", sender=desk.bob),
    ]
    block = engine.mine()
    receipts = engine.receipts([sent[2], b"\1" * 32, *sent[:2]])
    third, missing, first, second = receipts
    assert missing is None
    assert receipts[0] == engine.receipt(sent[2])
    assert [r.status for r in (first, second, third)] == [1, 0, 1]
    assert [r.index for r in (first, second, third)] == [0, 1, 2]
    assert {r.block_number for r in (first, second, third)} == {block.number}
    assert sum(r.gas_used for r in (first, second, third)) == block.gas_used
    assert [len(r.logs) for r in (first, second, third)] == [1, 0, 1]
    assert [log.log_index for r in (first, third) for log in r.logs] == [0, 1]
    assert [log.transaction_index for r in (first, third) for log in r.logs] == [0, 2]
    assert block.transaction_hashes == tuple(sent)
    assert engine.receipt(b"\1" * 32) is None


def test_what_no_block_could_hold_is_refused_and_does_not_wait(desk):
    engine, to = desk.engine, desk.probe.address
    desk.send(to, desk.probe.encode("store", 1, 1, ""))
    parent = engine.mine()
    waiting = desk.invoke("store", 1, 2, "")
    refused = {
        "no transaction": b"\x12\x34",
        "cut off": desk.sign(to).raw[:-1],
        "signed by nobody": desk.sign(to).raw[:-33] + b"\xa0" + b"\xff" * 32,
        "another chain": desk.sign(to, chain_id=5).raw,
        "nonce used": desk.sign(to, nonce=1).raw,
        "nonce taken": desk.sign(to, desk.probe.encode("store", 1, 3, ""), nonce=2).raw,
        "no funds": desk.sign(to, value=1).raw,
        "too much gas": desk.sign(to, gas=engine.block_gas_limit + 1).raw,
        "too little gas": desk.sign(to, gas=20_000).raw,
    }
    for raw in refused.values():
        with pytest.raises(LedgerError):
            engine.send(raw)
    assert engine.head() == parent
    assert engine.mine().transaction_hashes == (waiting,)


def test_the_same_transaction_sent_twice_waits_once_and_counts_as_sent_when_it_stands(desk):
    engine = desk.engine
    signed = desk.sign(desk.probe.address, desk.probe.encode("store", 3, 3, ""))
    assert engine.send(signed.raw) == engine.send(signed.raw) == signed.hash
    assert engine.mine().transaction_hashes == (signed.hash,)
    if engine.name != "eth-tester":  # in process nothing is lost on the way, and it is said that the nonce is used
        assert engine.send(signed.raw) == signed.hash
    assert engine.mine().transaction_hashes == ()


def test_a_transaction_is_known_while_it_waits_and_when_it_stands(desk):
    engine = desk.engine
    sent = desk.invoke("store", 1, 5, "note")
    found = engine.transaction(sent)
    assert (found.sender, found.nonce, found.to, found.gas) == (desk.alice.address, 1, desk.probe.address, GAS)
    assert found.data == desk.probe.encode("store", 1, 5, "note")
    assert (found.block_number, found.index) == (None, None)
    assert (engine.nonce(desk.alice.address), engine.next_nonce(desk.alice.address)) == (1, 2)
    block = engine.mine()
    found = engine.transaction(sent)
    assert (found.block_number, found.index) == (block.number, 0)
    assert (engine.nonce(desk.alice.address), engine.next_nonce(desk.alice.address)) == (2, 2)
    assert engine.transaction(b"\2" * 32) is None


def test_many_are_sent_at_once_and_a_gap_in_their_nonces_holds_back_what_is_behind_it(desk):
    engine = desk.engine
    raws = [desk.sign(desk.probe.address, desk.probe.encode("store", n, n, ""), nonce=n).raw for n in (1, 2, 3, 5, 6)]
    hashes = engine.send_many(raws)
    assert engine.mine().transaction_hashes == tuple(hashes[:3])
    filler = engine.send(desk.sign(desk.probe.address, desk.probe.encode("store", 4, 4, ""), nonce=4).raw)
    assert sorted(engine.mine().transaction_hashes) == sorted([filler, *hashes[3:]])
    assert [desk.probe.call("read", n) for n in (3, 4, 6)] == [3, 4, 6]


def test_state_can_be_read_at_any_block(desk, funded):
    engine = desk.engine
    receiver = Account.generate().address
    desk.invoke("store", 1, 100, "")
    first = engine.mine().number
    desk.invoke("store", 1, 200, "")
    nonce = engine.next_nonce(funded.address)
    engine.send(funded.sign(nonce=nonce, to=receiver, value=7, gas=21_000, chain_id=engine.chain_id).raw)
    second = engine.mine().number
    assert [desk.probe.call("read", 1, at=at) for at in (first, second, None)] == [100, 200, 200]
    assert [engine.balance(receiver, at) for at in (first, second, None)] == [0, 7, 7]
    assert [engine.nonce(desk.alice.address, at) for at in (desk.start.number, first, second)] == [0, 2, 3]
    assert engine.code(desk.probe.address, desk.start.number) == b""
    assert engine.code(desk.probe.address) != b""
    assert {engine.storage(desk.probe.address, slot, second) for slot in range(4)} != {0}
    assert engine.storage(desk.probe.address, 0, desk.start.number) == 0


def test_a_block_that_is_not_there_is_an_error_and_its_logs_are_none(engine):
    beyond = engine.head().number + 1
    for number in (beyond, -1):
        with pytest.raises(LedgerError, match=f"no block {number}"):
            engine.block(number)
    assert engine.logs(beyond, beyond + 10) == []
    with pytest.raises(LedgerError):
        engine.call(ZERO_ADDRESS, b"", at=beyond)


def test_calls_leave_no_trace_and_failures_keep_what_was_returned(desk):
    engine, before = desk.engine, desk.engine.head()
    engine.call(desk.probe.address, desk.probe.encode("store", 9, 9, ""), sender=desk.bob.address)
    assert desk.probe.call("read", 9) == 0
    assert engine.head() == before
    with pytest.raises(CallReverted) as refused:
        engine.call(desk.probe.address, desk.probe.encode("refuse", 3))
    assert refused.value.name == "Revert"
    assert len(refused.value.data) == 4 + 64
    with pytest.raises(ContractReverted) as typed:
        desk.probe.call("refuse", 3)
    assert (typed.value.name, typed.value.limit) == ("Refused", 3)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("fe", "InvalidInstruction"),
        ("5b600056", "OutOfGas"),
        ("600356", "InvalidJumpDestination"),
        ("01", "InsufficientStack"),
    ],
)
def test_what_stops_a_call_has_the_same_name_everywhere(engine, code, name):
    with pytest.raises(CallReverted) as stopped:
        engine.call(None, bytes.fromhex(code), gas=200_000)
    assert (stopped.value.name, stopped.value.data) == (name, b"")


def test_a_call_without_receiver_runs_creation_code(engine):
    assert len(engine.call(None, deployment_data(CREATION, 1, ""))) > 1000


def test_an_estimate_suffices_is_close_and_fails_where_the_call_does(desk):
    engine, data = desk.engine, desk.probe.encode("store", 7, 7, "estimated")
    estimate = engine.estimate(desk.probe.address, data, sender=desk.alice.address)
    sent = desk.send(desk.probe.address, data, gas=estimate)
    engine.mine()
    receipt = engine.receipt(sent)
    assert receipt.status == 1
    assert receipt.gas_used <= estimate <= receipt.gas_used * 1.02 + 2_300
    with pytest.raises(CallReverted):
        engine.estimate(desk.probe.address, desk.probe.encode("refuse", 3))


def test_logs_are_found_by_address_topic_and_range_in_chain_order(desk):
    engine, start = desk.engine, desk.start.number + 1
    second = Desk(engine)
    for key in (1, 2):
        desk.invoke("store", key, key, "")
        second.invoke("store", key, key, "")
        desk.invoke("store", key, key, "", sender=desk.bob)
        engine.mine()
    head = engine.head().number
    place = desk.probe.address
    mine = engine.logs(start, head, place)
    assert len(mine) == 4
    assert mine == sorted(mine, key=lambda log: (log.block_number, log.log_index))
    topic, key_topic, sender_topic = mine[0].topics
    assert {log.topics[0] for log in mine} == {topic}
    assert engine.logs(start, head, place, [topic, key_topic]) == [log for log in mine if log.topics[1] == key_topic]
    assert engine.logs(start, head, place, [None, None, sender_topic]) == [
        log for log in mine if log.topics[2] == sender_topic
    ]
    both = engine.logs(start, head, [place, second.probe.address], [[topic, b"\3" * 32]])
    assert len(both) == 6
    assert engine.logs(head, head, place) == [log for log in mine if log.block_number == head]
    assert engine.logs(start, head, []) == []
    assert engine.logs(start, head, ZERO_ADDRESS) == []
    assert engine.logs(start, head, place, [b"\3" * 32]) == []
    assert engine.logs(head, start, place) == []
    assert mine == [
        log
        for number in range(start, head + 1)
        for r in engine.receipts(engine.block(number).transaction_hashes)
        for log in r.logs
        if log.address == place
    ]


def test_a_failure_is_explained_as_it_stood_in_its_block(desk):
    engine = desk.engine
    sent = [desk.invoke("store", 4, 1, ""), desk.invoke("refuseOnceStored", 4), desk.invoke("refuse", 8)]
    engine.mine()
    assert engine.failure(sent[0]) is None
    assert [engine.receipt(key).status for key in sent] == [1, 0, 0]
    assert engine.failure(sent[1]).data[:4] == engine.failure(sent[2]).data[:4]
    assert int.from_bytes(engine.failure(sent[2]).data[-32:], "big") == 8
    with pytest.raises(LedgerError, match="was mined"):
        engine.failure(b"\4" * 32)


def test_a_snapshot_brings_head_state_logs_and_pool_back_as_often_as_wanted(desk):
    engine = desk.engine
    waiting = desk.invoke("store", 1, 1, "waits")
    head, mark = engine.head(), engine.snapshot()
    for value in (2, 3):
        other = desk.invoke("store", 1, value, "", sender=desk.bob)
        engine.mine()
        later = engine.snapshot()
        engine.mine()
        assert desk.probe.call("read", 1) == value
        engine.revert(mark)
        desk.nonces[desk.bob] -= 1
        assert engine.head() == head
        assert desk.probe.call("read", 1) == 0
        assert engine.receipt(other) is engine.receipt(waiting) is engine.transaction(other) is None
        assert engine.logs(head.number + 1, head.number + 2) == []
        assert engine.next_nonce(desk.bob.address) == 0
        assert engine.transaction(waiting).block_number is None
        with pytest.raises(LedgerError, match="no snapshot"):
            engine.revert(later)
    assert engine.mine().transaction_hashes == (waiting,)
    with pytest.raises(LedgerError, match="no snapshot"):
        engine.revert(10**6)


def test_a_dump_brings_a_chain_back_and_other_bytes_are_refused(desk):
    engine = desk.engine
    desk.invoke("store", 1, 42, "")
    sent = engine.mine().transaction_hashes[0]
    head, dump = engine.head(), engine.dump()
    desk.invoke("store", 1, 43, "")
    engine.mine()
    engine.mine()
    newest = engine.head()
    for wrong in (b"", b"no dump", dump[: len(dump) // 2]):
        with pytest.raises(LedgerError):
            engine.load(wrong)
    assert engine.head() == newest
    engine.load(dump)
    assert engine.head() == head
    assert desk.probe.call("read", 1) == 42
    assert engine.receipt(sent).status == 1
    assert len(engine.logs(head.number, head.number, desk.probe.address)) == 1
    assert engine.mine().number == head.number + 1


def test_the_newest_block_is_final_at_once(engine):
    newest = engine.mine()
    assert engine.final_block() == newest.number


def test_web3_stands_on_the_same_chain(desk):
    engine, web3 = desk.engine, desk.engine.web3
    sent = desk.invoke("store", 1, 77, "")
    block = engine.mine()
    assert web3.eth.chain_id == engine.chain_id
    assert web3.eth.block_number == block.number
    assert bytes(web3.eth.get_block(block.number).hash) == block.hash
    assert web3.eth.get_transaction_receipt(sent).gasUsed == engine.receipt(sent).gas_used
    contract = web3.eth.contract(address=str(desk.probe.address), abi=PROBE.abi)
    assert contract.functions.read(1).call() == 77


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("store"), st.integers(0, 3), st.integers(0, 2**256 - 1), st.text("ab", max_size=40)),
        st.tuples(st.just("refuse"), st.integers(0, 3)),
        st.tuples(st.just("refuseOnceStored"), st.integers(0, 3)),
        st.tuples(st.just("burn")),
        st.tuples(st.just("overflow"), st.integers(0, 2**256 - 1)),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, gas=st.sampled_from([30_000, 60_000, GAS]))
def test_a_node_and_the_chain_in_process_do_the_same(node, steps, gas):
    """Gas, status, return data and logs; the node's fork is the engine's."""
    told = []
    creator = Account.generate()
    for url in ("eth-tester", node.url):
        with open_engine(url) as engine:
            create = creator.sign(
                nonce=0, to=None, data=deployment_data(CREATION, 5, "x"), gas=2 * GAS, chain_id=engine.chain_id
            )
            engine.send(create.raw)
            engine.mine()
            probe = Contract(engine, engine.receipt(create.hash).contract_address, PROBE.abi)
            raws = [
                creator.sign(nonce=n, to=probe.address, data=probe.encode(*step), gas=gas, chain_id=engine.chain_id).raw
                for n, step in enumerate(steps, 1)
            ]
            hashes = engine.send_many(raws)
            block = engine.mine()
            failures = [engine.failure(key) for key in hashes]
            told.append(
                (
                    probe.address,
                    block.gas_used,
                    [(r.status, r.gas_used, r.index, r.contract_address) for r in engine.receipts(hashes)],
                    [(log.topics, log.data, log.log_index) for r in engine.receipts(hashes) for log in r.logs],
                    [failure and (failure.name, failure.data) for failure in failures],
                    [probe.call("read", key) for key in range(4)],
                    [engine.storage(probe.address, slot) for slot in range(4)],
                )
            )
    assert told[0] == told[1]
