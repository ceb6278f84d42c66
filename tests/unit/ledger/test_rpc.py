"""A node that misbehaves: a proxy before a real one that drops, refuses, mangles and limits as it is told to."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainsec.errors import ChainTakenBack, ConfigError, LedgerError, NodeUnreachable
from chainsec.ledger.anvil import Anvil
from chainsec.ledger.client import Client
from chainsec.ledger.contract import deployment_data, read_events
from chainsec.ledger.engine import CallReverted, open_engine
from chainsec.ledger.rpc.answers import (
    failure_of,
    read_block,
    read_log,
    read_raw_transactions,
    read_receipt,
    read_transaction,
    stated_chain_id,
)
from chainsec.ledger.rpc.caller import Caller, RpcError
from chainsec.ledger.rpc.ranges import LogRanges
from chainsec.ledger.rpc.transport import open_transport, shown_url

GAS = 1_000_000
RECORD = json.loads((Path(__file__).parent / "probe.json").read_text())
PROBE = SimpleNamespace(abi=RECORD["abi"], bytecode=bytes.fromhex(RECORD["bytecode"]))
FREE = ("--block-base-fee-per-gas", "0", "--gas-price", "0")


@pytest.fixture
def engine(proxy):
    with open_engine(proxy.url, patience_s=5) as opened:
        yield opened


def deploy(engine, sender, nonce=0):
    signed = sender.sign(
        nonce=nonce, to=None, data=deployment_data(PROBE, 5, "x"), gas=2 * GAS, chain_id=engine.chain_id
    )
    engine.send(signed.raw)
    return signed


@pytest.mark.parametrize("verdict", ["drop", 503, 429])
def test_a_question_is_repeated_until_the_node_answers(engine, proxy, verdict):
    before = engine.head()
    proxy.first(3, "eth_getBlockByNumber", verdict)
    proxy.asked.clear()
    assert engine.head() == before
    assert proxy.asked == ["eth_getBlockByNumber"] * 4


def test_a_node_that_stays_silent_is_given_up_after_the_patience_there_is():
    waited = []
    now = [0.0]

    def sleep(seconds):
        waited.append(seconds)
        now[0] += seconds

    caller = Caller(open_transport("http://127.0.0.1:1", 1), patience_s=10, clock=lambda: now[0], sleep=sleep)
    with pytest.raises(NodeUnreachable, match="Connection refused; no answer for 10 s"):
        caller.ask("eth_chainId")
    assert 8 < sum(waited) <= 10
    assert waited == sorted(waited)
    assert max(waited) <= 2


def test_other_states_of_http_are_errors_at_once(engine, proxy):
    proxy.rule = lambda *_: 401
    proxy.asked.clear()
    with pytest.raises(LedgerError, match="HTTP 401"):
        engine.head()
    assert len(proxy.asked) == 1


def test_a_transaction_whose_answer_is_lost_is_sent_again_and_takes_effect_once(engine, proxy, sender):
    proxy.first(1, "eth_sendRawTransaction", "lose")
    proxy.asked.clear()
    signed = deploy(engine, sender)
    assert proxy.asked.count("eth_sendRawTransaction") == 2
    assert engine.mine().transaction_hashes == (signed.hash,)
    assert engine.nonce(sender.address) == 1


def test_a_block_whose_answer_is_lost_is_looked_for_and_not_made_twice(engine, proxy, sender):
    signed = deploy(engine, sender)
    parent = engine.head()
    proxy.first(1, "evm_mine", "lose")
    proxy.asked.clear()
    block = engine.mine()
    assert proxy.asked.count("evm_mine") == 1
    assert (block.number, block.transaction_hashes) == (parent.number + 1, (signed.hash,))


def test_a_block_that_the_node_was_never_told_to_make_is_made_by_the_second_attempt(engine, proxy, sender):
    signed = deploy(engine, sender)
    parent = engine.head()
    proxy.first(1, "evm_mine", "drop")
    proxy.asked.clear()
    block = engine.mine()
    assert proxy.asked.count("evm_mine") == 2
    assert (block.number, block.transaction_hashes) == (parent.number + 1, (signed.hash,))


def test_a_node_that_takes_no_batches_is_asked_one_by_one_from_then_on(engine, proxy, sender):
    proxy.takes_batches = False
    signed = deploy(engine, sender)
    engine.mine()
    proxy.asked.clear()
    assert [receipt is not None for receipt in engine.receipts([signed.hash, b"\1" * 32])] == [True, False]
    assert proxy.asked == ["eth_getTransactionReceipt"] * 2


@pytest.mark.parametrize(
    "verdict",
    [
        b"no json",
        b"[1, 2]",
        b'{"jsonrpc":"2.0","id":99999,"result":"0x1"}',
        {"result": None},
        {"result": "0x"},
        {"result": {"number": "0x1"}},
        {"result": {"number": 1, "hash": "0x12", "transactions": 3}},
        {"result": [[]]},
        {},
    ],
)
def test_answers_that_are_none_are_refused_in_one_line(engine, proxy, verdict):
    proxy.rule = lambda *_: verdict
    for ask in (engine.head, lambda: engine.block(0), lambda: engine.receipts([b"\1" * 32] * 2), engine.final_block):
        try:
            ask()
        except LedgerError as error:
            assert "\n" not in str(error)  # noqa: PT017 - some of these answers are fine for some of the questions


STRANGE = "0x" + "11" * 32
STRANGE_LOG = {
    "address": "0x" + "22" * 20,
    "topics": [],
    "data": "0x",
    "blockNumber": "0x1",
    "transactionHash": STRANGE,
    "transactionIndex": "0x0",
    "logIndex": "0x0",
}


@pytest.mark.parametrize(
    ("question", "verdict", "said"),
    [
        ("txpool_status", {"result": None}, "the node's waiting cannot be read"),
        ("txpool_status", {"result": {"held": "0x1"}}, "the node's waiting cannot be read"),
        ("eth_getTransactionReceipt", {"id": []}, "no answer to what was asked"),
        ("eth_getLogs", {"result": [STRANGE_LOG]}, "gives logs that were not asked for"),
        ("eth_getLogs", {"result": {}}, "no list of logs"),
    ],
)
def test_an_answer_to_something_else_is_one_line_from_whoever_needed_it(proxy, sender, question, verdict, said):
    engine = open_engine(proxy.url, patience_s=5)
    client = Client(engine, transaction_gas=GAS)
    probe = client.deploy(sender, PROBE, 5, "x")
    client.transact(sender, probe.address, probe.encode("store", 1, 1, ""))
    proxy.rule = lambda asked, _: verdict if asked == question else None

    def settle_and_read():
        client.settle()
        return probe.events("Stored", 0, engine.head().number)

    with engine, pytest.raises(LedgerError, match=said):
        settle_and_read()


def test_logs_without_a_topic_where_any_may_stand_are_left_out_as_in_process(engine, sender):
    client = Client(engine, transaction_gas=GAS)
    probe = client.deploy(sender, PROBE, 5, "x")
    client.transact(sender, probe.address, probe.encode("store", 1, 1, ""))
    client.settle()
    newest = engine.head().number
    [log] = engine.logs(newest, newest)
    here = len(log.topics)
    for places in range(5):
        found = engine.logs(newest, newest, None, [None] * places)
        assert found == ([log] if places <= here else [])
    assert engine.logs(newest, newest, None, [log.topics[0], *[None] * here]) == []


def test_the_receipt_of_another_transaction_is_refused(engine, proxy, sender):
    signed = deploy(engine, sender)
    engine.mine()
    honest = engine.web3.provider.make_request("eth_getTransactionReceipt", [str(signed.hash)])["result"]
    proxy.rule = lambda *_: {"result": honest | {"transactionHash": STRANGE}}
    for ask in (engine.receipt, lambda key: engine.receipts([key])):
        with pytest.raises(LedgerError, match=f"the receipt of {STRANGE} for that of {signed.hash}"):
            ask(signed.hash)


def test_a_log_that_is_not_what_its_event_says_is_one_line(engine, proxy, sender):
    client = Client(engine, transaction_gas=GAS)
    probe = client.deploy(sender, PROBE, 5, "x")
    client.transact(sender, probe.address, probe.encode("store", 1, 1, ""))
    client.settle()
    newest = engine.head().number
    asked = {"fromBlock": hex(newest), "toBlock": hex(newest)}
    [log] = engine.web3.provider.make_request("eth_getLogs", [asked])["result"]
    proxy.rule = lambda method, _: {"result": [log | {"data": "0x12"}]} if method == "eth_getLogs" else None
    with pytest.raises(LedgerError, match=f"block {newest}, log 0: is no event Stored"):
        probe.events("Stored", newest, newest)
    proxy.rule = lambda method, _: (
        {"result": [log | {"topics": log["topics"][:1]}]} if method == "eth_getLogs" else None
    )
    with pytest.raises(LedgerError, match=f"block {newest}, log 0: is no event Stored"):
        read_events([(probe, "Stored")], newest, newest)


@pytest.mark.parametrize(
    "verdict", [{"result": None}, {"error": {"code": -39001, "message": "Finalized block not found"}}]
)
def test_a_chain_too_young_to_have_a_finalized_block_has_its_first_one(node, through, verdict):
    between = through(node.url)
    with open_engine(between.url, block_production="node", finality="finalized") as engine:
        between.rule = lambda _, params: verdict if "finalized" in params else None
        assert engine.final_block() == 0


def test_logs_are_asked_for_in_smaller_ranges_where_an_answer_would_be_too_large(engine, proxy, sender):
    for _ in range(30):
        engine.mine()
    signed = deploy(engine, sender)
    place = engine.mine() and engine.receipt(signed.hash).contract_address
    everything = engine.logs(0, engine.head().number, place)
    said = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32602,"message":"max 8 blocks"}}'
    for refusal in ((413, b"too large"), (400, said)):

        def rule(method, params, refusal=refusal):
            wide = method == "eth_getLogs" and int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) >= 8
            return refusal if wide else None

        proxy.rule = rule
        engine._ranges.width_blocks = 100
        assert engine.logs(0, engine.head().number, place) == everything
        assert engine._ranges.width_blocks <= 16


def test_blocks_that_somebody_else_makes_are_seen_unless_the_engine_was_told_that_it_is_alone(node):
    with open_engine(node.url) as engine, open_engine(node.url, is_exclusive=True) as alone:
        reached = alone.mine().number
        engine.mine()
        assert (engine.head().number, engine.final_block()) == (reached + 1, reached + 1)
        assert alone.head().number == reached
        with open_engine(node.url) as other:
            other.mine()
        assert (engine.head().number, engine.final_block()) == (reached + 2, reached + 2)


def test_what_waits_is_kept_while_the_node_is_away(anvil_program, through, sender):
    with Anvil(program=anvil_program) as node:
        between = through(node.url)
        with open_engine(between.url, patience_s=0.2) as engine:
            for nonce in range(3):
                engine.send(sender.sign(nonce=nonce, to=sender.address, gas=GAS, chain_id=1337).raw)
            engine.web3.provider.make_request("anvil_dropAllTransactions", [])
            between.rule = lambda method, _: "drop" if method == "eth_sendRawTransaction" else None
            with pytest.raises(NodeUnreachable):
                engine.mine()
            between.rule = lambda *_: None
            assert len(engine.mine().transaction_hashes) == 3


def test_of_many_marks_the_oldest_go(engine, monkeypatch):
    monkeypatch.setattr("chainsec.ledger.rpc.engine._KEPT_MARKS", 3)
    marks = [engine.snapshot() for _ in range(5)]
    with pytest.raises(LedgerError, match="no snapshot"):
        engine.revert(marks[1])
    engine.revert(marks[2])


def test_web3_is_told_by_its_own_kind_of_error_that_a_node_is_gone(node, through):
    between = through(node.url)
    with open_engine(between.url, patience_s=0.2) as engine:
        assert engine.web3.is_connected()
        between.rule = lambda *_: "drop"
        assert not engine.web3.is_connected()
        between.rule = lambda *_: b"[" * 100_000 + b"]" * 100_000
        with pytest.raises(LedgerError, match="deeper than 64"):
            engine.web3.eth.get_block("latest")
        with pytest.raises(LedgerError, match="no JSON"):
            engine.block(0)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text("0x1f", max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["number", "hash", "logs", "topics", "to", "v", "nonce"]), inner)
        ),
        max_leaves=10,
    )
)
def test_no_answer_whatever_does_more_than_being_refused(found):
    for read in (read_block, read_log, read_receipt, read_transaction, read_raw_transactions):
        with pytest.raises(LedgerError, match="cannot be read"):
            read(found)


@given(st.binary(max_size=60))
def test_no_bytes_that_are_sent_do_more_than_being_refused(raw):
    try:
        assert stated_chain_id(raw) is None or stated_chain_id(raw) >= 0
    except LedgerError as error:
        assert "not a valid transaction" in str(error)  # noqa: PT017 - either is right


@given(
    st.lists(st.integers(0, 200), max_size=60).map(sorted),
    st.integers(1, 40),
    st.integers(1, 300),
    st.integers(0, 100),
    st.integers(0, 120),
)
def test_logs_in_ranges_are_all_logs_in_order_whatever_the_node_bears(blocks, most_blocks, widest, first, length):
    """A node that bears so many blocks, and 20 logs more than any single block has."""

    def fetch(start, end):
        found = [block for block in blocks if start <= block <= end]
        if end - start + 1 > most_blocks or (start < end and len(found) > 20):
            raise RpcError("eth_getLogs", {"code": -32005, "message": "query exceeds limits"})
        return found

    found = LogRanges(widest_blocks=widest).read(fetch, first, first + length)
    assert found == [block for block in blocks if first <= block <= first + length]


def test_a_limit_on_log_ranges_is_learned_and_kept_for_the_next_question(engine, proxy, sender):
    for _ in range(30):
        engine.mine()
    signed = deploy(engine, sender)
    place = engine.mine() and engine.receipt(signed.hash).contract_address

    def rule(method, params):
        if method == "eth_getLogs" and int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) >= 8:
            return {"error": {"code": -32602, "message": "block range too large, max 8"}}
        return None

    everything = engine.logs(0, engine.head().number, place)
    proxy.rule = rule
    assert engine.logs(0, engine.head().number, place) == everything
    proxy.asked.clear()
    engine.logs(0, engine.head().number, place)
    assert proxy.asked.count("eth_getLogs") < 2 * engine.head().number / 4


def test_logs_of_blocks_that_a_node_has_lost_are_said_to_be_gone_and_not_an_odd_range(engine, proxy, node):
    with open_engine(node.url) as behind:
        mark = behind.snapshot()
        for _ in range(5):
            behind.mine()
        reached = engine.head().number

        def lose_first(method, _):
            if method == "eth_getLogs" and behind.head().number == reached:
                behind.revert(mark)

        proxy.rule = lose_first
        with pytest.raises(ChainTakenBack, match=f"block {reached} is gone"):
            engine.logs(reached, reached)


@pytest.mark.parametrize("takes_batches", [True, False])
def test_a_node_that_lags_behind_another_at_its_url_gives_an_error_and_not_fewer_logs(
    node, proxy, sender, takes_batches
):
    proxy.takes_batches = takes_batches
    with open_engine(node.url) as miner, open_engine(proxy.url, block_production="node", patience_s=1) as engine:
        signed = deploy(miner, sender)
        place = miner.mine() and miner.receipt(signed.hash).contract_address
        everything = miner.logs(0, miner.head().number, place)
        reached = engine.head().number
        assert engine.logs(0, reached, place) == everything
        lacking = hex(reached)
        proxy.rule = lambda method, params: (
            {"result": None}
            if method == "eth_getBlockByNumber" and params[0] == lacking
            else {"result": []}
            if method == "eth_getLogs"
            else None
        )
        with pytest.raises(LedgerError, match=f"has not come to block {reached} yet"):
            engine.logs(reached, reached, place)
        with pytest.raises(LedgerError, match=f"has not come to block {reached + 1} yet"):
            engine.logs(0, reached + 1, place)
        proxy.rule = lambda method, params: None  # noqa: ARG005 - what a rule is given
        assert engine.logs(0, reached, place) == everything


def test_a_node_that_does_not_know_logs_says_so_at_once(engine, proxy):
    proxy.rule = lambda method, _: {"error": {"code": -32601, "message": "not found"}} if "Logs" in method else None
    proxy.asked.clear()
    with pytest.raises(RpcError, match="eth_getLogs: not found"):
        engine.logs(0, engine.head().number)
    assert proxy.asked.count("eth_getLogs") == 1


def test_where_there_is_no_tracer_a_failure_is_explained_by_calling_again(engine, proxy, sender):
    client = Client(engine, transaction_gas=GAS)
    probe = client.deploy(sender, PROBE, 5, "x")
    proxy.rule = lambda method, _: (
        {"error": {"code": -32601, "message": "none"}} if method.startswith("debug") else None
    )
    sent = client.transact(sender, probe.address, probe.encode("refuse", 6))
    engine.mine()
    assert int.from_bytes(engine.failure(sent).data[-32:], "big") == 6


@pytest.mark.parametrize(
    ("code", "message", "data", "name"),
    [
        (3, "execution reverted", "0x1234", "Revert"),
        (-32000, "execution reverted", None, "Revert"),
        (-32000, "err: intrinsic gas too low", None, "OutOfGas"),
        (-32015, "VM execution error", {"data": "0xabcd"}, "Revert"),
        (-32000, "insufficient funds for transfer", None, "InsufficientFunds"),
        (-32000, "invalid opcode: INVALID", None, "InvalidInstruction"),
    ],
)
def test_failures_are_known_in_the_words_of_many_nodes(code, message, data, name):
    found = failure_of(RpcError("eth_call", {"code": code, "message": message, "data": data}))
    assert isinstance(found, CallReverted)
    assert found.name == name


def test_an_error_that_is_no_failure_of_the_call_is_none():
    assert failure_of(RpcError("eth_call", {"code": -32602, "message": "header not found"})) is None
    assert failure_of(RpcError("eth_call", "boom")) is None


@pytest.mark.parametrize(
    "url", ["", "eth-node", "ftp://host", "http://", "http://host:port", "ws://:1", "http://[::1", "redis://h:1"]
)
def test_what_is_no_way_to_a_node_is_refused_and_the_ways_are_named(url):
    with pytest.raises(ConfigError, match="URL"):
        open_engine(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "ws://127.0.0.1:1", "/nowhere/node.ipc"])
def test_where_no_node_is_that_is_said_at_once(url):
    with pytest.raises(NodeUnreachable, match="no node answers at"):
        open_engine(url)


def test_a_secret_in_a_url_is_never_shown(node):
    port = node.url.rpartition(":")[2]
    url = f"http://me:hidden@127.0.0.1:{port}/?key=hidden"
    assert "hidden" not in shown_url(url)
    with open_engine(url) as engine, pytest.raises(LedgerError) as failed:
        engine.send(b"\x12")
    assert "hidden" not in str(failed.value) + engine.url


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"finality": "soon"}, "finality"),
        ({"finality": -1}, "finality"),
        ({"block_production": "me"}, "block production"),
        ({"patience_s": 0}, "patience"),
        ({"path": Path("x")}, "path"),
        ({"accounts": ()}, "accounts"),
        ({"chain_id": 5}, "has chain id 1337, not 5"),
        ({"block_production": "node", "block_gas_limit": 10**7}, "gas limit of its own"),
    ],
)
def test_settings_that_a_node_does_not_take_are_refused(node, setting, said):
    with pytest.raises(ConfigError, match=said):
        open_engine(node.url, **setting)


def test_a_chain_that_began_at_another_time_is_refused(node):
    with pytest.raises(LedgerError, match="made with genesis time"):
        open_engine(node.url, genesis_time=5)


def test_an_address_without_code_is_refused_when_it_is_bound(engine, sender):
    with pytest.raises(LedgerError, match=r"no contract at 0x.* on chain 1337 .anvil"):
        Client(engine, transaction_gas=GAS).bind(sender.address, PROBE)
