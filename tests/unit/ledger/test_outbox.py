"""On a network: what is sent takes effect once, whatever becomes of answers, pools and blocks on the way."""

import pytest

from chainsec.errors import LedgerError, NodeUnreachable
from chainsec.ledger.account import Account
from chainsec.ledger.anvil import Anvil
from chainsec.ledger.client import Client
from chainsec.ledger.engine import open_engine

GAS = 1_000_000
FREE = ("--block-base-fee-per-gas", "0", "--gas-price", "0")
LOST = ["lose", 504, b"<html>bad gateway</html>"]


class Network:
    """A node whose blocks come when the test says so, and a client on it."""

    def __init__(self, node, engine, **options):
        self.node = node
        self.engine = engine
        self.sender = Account.generate()
        self.client = Client(engine, transaction_gas=GAS, **{"patience_s": 5} | options)
        self.client._outbox._sleep = lambda _: self.command("evm_mine")

    def command(self, method, *params):
        with open_engine(self.node.url, block_production="node") as aside:
            return aside.web3.provider.make_request(method, list(params))["result"]

    def stand_still(self, patience_s=0.2):
        self.client._outbox._sleep = lambda _: None
        self.client._outbox._patience_s = patience_s

    def go_on(self):
        self.client._outbox._sleep = lambda _: self.command("evm_mine")
        self.client._outbox._patience_s = 5

    def transact(self, data):
        return self.client.transact(self.sender, self.sender.address, data)

    def mined(self):
        """Return the data of all that was mined of the sender, in the order of nonces."""
        found = []
        for number in range(1, self.engine.head().number + 1):
            found += [self.engine.transaction(key) for key in self.engine.block(number).transaction_hashes]
        return [one.data for one in sorted(found, key=lambda one: one.nonce)]


@pytest.fixture
def node(anvil_program):
    with Anvil(program=anvil_program, arguments=(*FREE, "--no-mining")) as running:
        yield running


@pytest.fixture
def network(node):
    with open_engine(node.url, block_production="node", finality=50) as engine:
        yield Network(node, engine)


@pytest.fixture
def shaky(node, through):
    """Give the network behind a proxy, with little patience."""
    between = through(node.url)
    with open_engine(between.url, block_production="node", patience_s=0.3) as engine:
        yield Network(node, engine), between


@pytest.mark.parametrize("verdict", LOST)
def test_where_every_answer_is_lost_the_same_message_sent_again_takes_effect_once(shaky, verdict):
    network, between = shaky
    between.rule = lambda method, _: verdict if method == "eth_sendRawTransaction" else None
    with pytest.raises(LedgerError):
        network.transact(b"A")
    between.rule = lambda *_: None
    network.transact(b"A")
    assert [receipt.status for receipt in network.client.settle()] == [1]
    assert network.mined() == [b"A"]


@pytest.mark.parametrize("arrives", [True, False])
def test_a_message_of_unknown_fate_is_known_again_also_when_others_were_sent_since(shaky, arrives):
    network, between = shaky
    between.rule = lambda method, _: ("lose" if arrives else "drop") if method == "eth_sendRawTransaction" else None
    with pytest.raises(NodeUnreachable):
        network.transact(b"A")
    between.rule = lambda *_: None
    network.command("evm_mine")
    network.transact(b"B")
    network.transact(b"A")
    network.transact(b"C")
    network.client.settle()
    assert sorted(network.mined()) == [b"A", b"B", b"C"]


def test_a_message_of_unknown_fate_is_known_again_by_a_node_that_lags_and_after_more_lost_answers(shaky):
    network, between = shaky
    between.rule = lambda method, _: "lose" if method == "eth_sendRawTransaction" else None
    with pytest.raises(NodeUnreachable):
        network.transact(b"A")
    between.rule = lambda *_: None
    network.command("evm_mine")
    network.transact(b"B")
    between.rule = lambda *_: "drop"
    with pytest.raises(NodeUnreachable):
        network.transact(b"A")
    lags = iter([{"result": None}] * 3)
    between.rule = lambda method, _: next(lags, None) if method == "eth_getTransactionByHash" else None
    network.transact(b"A")
    network.client.settle()
    assert network.mined() == [b"A", b"B"]


def test_what_a_gateway_answers_for_its_node_is_no_refusal(shaky):
    network, between = shaky
    said = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"upstream timed out"}}'
    between.rule = lambda method, _: (500, said) if method == "eth_sendRawTransaction" else None
    with pytest.raises(NodeUnreachable, match="upstream timed out"):
        network.transact(b"A")
    between.rule = lambda *_: None
    network.command("evm_mine")
    network.transact(b"B")
    network.transact(b"A")
    network.client.settle()
    assert network.mined() == [b"A", b"B"]


def test_the_same_message_may_be_meant_twice(network):
    for _ in range(2):
        network.transact(b"A")
    network.client.settle()
    network.transact(b"A")
    network.client.settle()
    assert network.mined() == [b"A", b"A", b"A"]


def test_receipts_are_told_also_where_forgetting_others_fails(shaky, monkeypatch):
    network, between = shaky
    monkeypatch.setattr("chainsec.ledger.outbox._MOST_UNFINAL", 0)
    network.transact(b"A")
    monkeypatch.setattr(network.engine, "final_block", lambda: network.engine._caller.tell("no_such_method"))
    assert [receipt.status for receipt in network.client.settle()] == [1]
    assert network.client.transactions == 1
    assert between.asked


def test_a_lost_answer_and_a_node_that_lags_behind_do_not_make_two_of_one(shaky):
    network, between = shaky
    left = {"eth_sendRawTransaction": "lose", "eth_getTransactionByHash": {"result": None}}
    between.rule = lambda method, _: left.pop(method, None)
    network.transact(b"A")
    network.client.settle()
    assert left == {}
    assert network.mined() == [b"A"]


@pytest.mark.parametrize("verdict", LOST)
def test_a_replay_whose_answer_was_lost_finds_its_own_transaction_and_no_stranger(node, through, verdict):
    between = through(node.url)
    with open_engine(between.url, block_production="node", patience_s=0.3) as engine:
        network = Network(node, engine, is_replay=True)
        between.rule = lambda method, _: verdict if method == "eth_sendRawTransaction" else None
        with pytest.raises(LedgerError):
            network.transact(b"A")
        between.rule = lambda *_: None
        again = Network(node, engine, is_replay=True)
        again.sender = network.sender
        again.transact(b"A")
        again.client.settle()
        assert again.mined() == [b"A"]


def test_what_was_not_mined_in_time_and_then_lost_is_sent_again_with_what_comes_next(network):
    network.stand_still()
    lost = network.transact(b"A")
    with pytest.raises(LedgerError, match="0 of 1 transactions were mined"):
        network.client.settle()
    network.command("anvil_dropTransaction", str(lost))
    assert network.engine.transaction(lost) is None
    network.transact(b"B")
    network.go_on()
    assert [receipt.status for receipt in network.client.settle()] == [1, 1]
    assert network.mined() == [b"A", b"B"]
    assert network.client.transactions == 2


def test_what_was_not_mined_in_time_can_be_settled_later(network):
    network.stand_still()
    sent = network.transact(b"A")
    with pytest.raises(LedgerError, match="0 of 1"):
        network.client.settle()
    network.go_on()
    assert [receipt.transaction_hash for receipt in network.client.settle()] == [sent]
    assert network.client.settle() == []


def test_a_reorganisation_while_something_waits_is_mended_before_it(network):
    network.command("anvil_mine", "0x5")
    first = network.transact(b"A")
    network.client.settle()
    second = network.transact(b"B")
    network.command("anvil_reorg", 1, [])
    network.command("anvil_dropAllTransactions")
    assert network.engine.receipt(first) is None
    assert [receipt.transaction_hash for receipt in network.client.settle()] == [second]
    assert network.mined() == [b"A", b"B"]
    assert network.client.mend() == 0


def test_a_nonce_that_went_to_somebody_else_while_it_waited_is_an_error_once_and_the_client_goes_on(network):
    sent = network.transact(b"A")
    network.command("anvil_dropTransaction", str(sent))
    other = network.sender.sign(nonce=0, to=network.sender.address, data=b"other", gas=GAS, chain_id=1337)
    network.engine.send(other.raw)
    network.command("evm_mine")
    with pytest.raises(LedgerError, match=r"another transaction of .* has taken nonce 0"):
        network.client.settle()
    assert network.client.settle() == []
    network.transact(b"B")
    network.client.settle()
    assert network.mined() == [b"other", b"B"]


def test_a_nonce_that_another_transaction_waits_with_is_left_to_it_once_it_is_mined(network):
    draft = network.client._outbox._next_nonce(network.sender.address)
    other = network.sender.sign(nonce=draft, to=network.sender.address, data=b"other", gas=GAS, chain_id=1337)
    network.engine.send(other.raw)
    network.stand_still()
    with pytest.raises(LedgerError, match=r"nonce 0 of .* is held by another transaction, not mined within 0\.2 s"):
        network.transact(b"A")
    network.go_on()
    network.transact(b"A")
    network.client.settle()
    assert network.mined() == [b"other", b"A"]


def test_a_second_draft_whose_answer_is_lost_takes_effect_once_too(shaky):
    network, between = shaky
    network.client._outbox._next_nonce(network.sender.address)
    other = network.sender.sign(nonce=0, to=network.sender.address, data=b"other", gas=GAS, chain_id=1337)
    network.engine.send(other.raw)
    network.command("evm_mine")
    passed = iter([None])
    between.rule = lambda method, _: next(passed, "lose") if method == "eth_sendRawTransaction" else None
    with pytest.raises(NodeUnreachable):
        network.transact(b"A")
    between.rule = lambda *_: None
    network.command("evm_mine")
    network.transact(b"A")
    network.client.settle()
    assert network.mined() == [b"other", b"A"]


def test_what_waits_no_more_spoils_one_settling_and_not_those_after_it():
    with open_engine() as engine:
        sender = Account.generate()
        client = Client(engine, transaction_gas=GAS)
        mark = engine.snapshot()
        client.transact(sender, sender.address, b"gone")
        engine.revert(mark)
        with pytest.raises(LedgerError, match="holds 0 of 1"):
            client.settle()
        for data in (b"A", b"gone"):
            client.transact(sender, sender.address, data)
            assert [receipt.status for receipt in client.settle()] == [1]
        client.transact(sender, sender.address, b"B")
        engine.revert(mark)
        client.transact(sender, sender.address, b"B")
        with pytest.raises(LedgerError, match="holds 1 of 2"):
            client.settle()
        assert [receipt.status for receipt in client.settle()] == [1]


def test_what_is_refused_leaves_its_nonce_free(network):
    with pytest.raises(LedgerError, match=r"gas"):
        network.client._outbox.send(
            network.sender,
            None,
            network.sender.sign(nonce=0, to=network.sender.address, gas=20_000, chain_id=1337),
        )
    network.transact(b"A")
    network.client.settle()
    assert network.mined() == [b"A"]


def test_what_became_final_is_forgotten_also_where_nobody_mends(network, monkeypatch):
    monkeypatch.setattr("chainsec.ledger.outbox._MOST_UNFINAL", 3)
    for number in range(6):
        network.transact(bytes([number]))
        network.client.settle()
    assert len(network.client._outbox._unfinal) == 6
    network.command("anvil_mine", "0x64")
    network.transact(b"last")
    network.client.settle()
    assert len(network.client._outbox._unfinal) == 1
