"""A node that makes its own blocks: what was sent is waited for, and what is lost on the way comes to stand again."""

import pytest

from chainsec.errors import LedgerError, RunMismatch
from chainsec.ledger.anvil import Anvil
from chainsec.ledger.client import Client
from chainsec.ledger.engine import open_engine

GAS = 1_000_000
FREE = ("--block-base-fee-per-gas", "0", "--gas-price", "0")


@pytest.fixture
def network(anvil_program):
    """A node that makes its own blocks, one for each transaction, without a gas price."""
    with Anvil(program=anvil_program, arguments=FREE) as running:
        yield running


def test_on_a_network_blocks_come_by_themselves_and_what_was_sent_is_waited_for(network, sender, probe_artifact):
    with open_engine(network.url, block_production="node") as engine:
        assert not engine.makes_blocks
        client = Client(engine, transaction_gas=GAS)
        probe = client.deploy(sender, probe_artifact, 5, "x")
        for key in (1, 2, 3):
            client.transact(sender, probe.address, probe.encode("store", key, 10 * key, ""))
        receipts = client.settle()
        assert [receipt.status for receipt in receipts] == [1, 1, 1]
        assert [receipt.block_number for receipt in receipts] == [2, 3, 4]
        assert client.call(probe, "read", 3) == 30
        for refused in (engine.snapshot, engine.dump):
            with pytest.raises(LedgerError, match="offers no"):
                refused()


def test_nonces_that_somebody_else_has_used_are_left_to_them(network, sender, probe_artifact):
    with open_engine(network.url, block_production="node") as engine:
        client, other = (Client(engine, transaction_gas=GAS) for _ in range(2))
        probe = client.deploy(sender, probe_artifact, 5, "x")
        other.transact(sender, probe.address, probe.encode("store", 1, 1, "other"))
        other.settle()
        client.transact(sender, probe.address, probe.encode("store", 2, 2, "own"))
        [receipt] = client.settle()
        assert receipt.status == 1
        assert [client.call(probe, "read", key) for key in (1, 2)] == [1, 2]
        assert engine.nonce(sender.address) == 3


def test_a_transaction_that_a_pool_forgot_is_sent_again_and_closes_the_gap(anvil_program, sender):
    with (
        Anvil(program=anvil_program, arguments=(*FREE, "--no-mining")) as node,
        open_engine(node.url, block_production="node") as engine,
    ):
        command = engine.web3.provider.make_request
        client = Client(engine, transaction_gas=GAS)
        sent = [client.transact(sender, sender.address, bytes([n])) for n in range(3)]
        command("anvil_dropTransaction", [str(sent[0])])
        assert engine.transaction(sent[0]) is None
        client._outbox._sleep = lambda _: command("evm_mine", [])
        receipts = client.settle()
        assert [receipt.transaction_hash for receipt in receipts] == sent
        assert [receipt.status for receipt in receipts] == [1, 1, 1]
        assert engine.nonce(sender.address) == 3


def test_what_a_network_does_not_mine_in_time_is_an_error_and_not_forgotten(anvil_program, sender):
    with (
        Anvil(program=anvil_program, arguments=(*FREE, "--no-mining")) as node,
        open_engine(node.url, block_production="node") as engine,
    ):
        client = Client(engine, transaction_gas=GAS, patience_s=0.2)
        sent = client.transact(sender, sender.address, b"")
        with pytest.raises(LedgerError, match=r"0 of 1 transactions were mined within 0\.2 s"):
            client.settle()
        assert engine.transaction(sent).block_number is None


def test_a_client_that_starts_again_finds_what_it_has_sent_and_goes_on_from_there(network, sender, probe_artifact):
    with open_engine(network.url, block_production="node") as engine:
        for steps in (1, 3, 2):
            client = Client(engine, transaction_gas=GAS, is_replay=True)
            probe = client.deploy(sender, probe_artifact, 5, "x")
            for key in range(steps):
                client.transact(sender, probe.address, probe.encode("store", key, 7, ""))
                client.settle()
                assert (client.call(probe, "read", key), client.call(probe, "read", key + 1)) == (7, 0)
            assert client.transactions == 1 + steps
        assert engine.nonce(sender.address) == engine.head().number == 4
        client = Client(engine, transaction_gas=GAS, is_replay=True)
        probe = client.deploy(sender, probe_artifact, 5, "x")
        with pytest.raises(RunMismatch, match="nonce 1"):
            client.transact(sender, probe.address, probe.encode("store", 9, 9, "never sent before"))
        assert engine.nonce(sender.address) == 4


def test_what_a_reorganisation_throws_out_is_sent_again_with_the_same_nonces(network, sender, probe_artifact):
    with open_engine(network.url, block_production="node", finality=5) as engine:
        client = Client(engine, transaction_gas=GAS)
        probe = client.deploy(sender, probe_artifact, 5, "x")
        sent = []
        for key in (1, 2, 3):
            sent.append(client.transact(sender, probe.address, probe.encode("store", key, key, "")))
            client.settle()
        hashes = [receipt.block_number for receipt in engine.receipts(sent)]
        assert hashes == [2, 3, 4]
        assert client.mend() == 0
        engine.web3.provider.make_request("anvil_reorg", [2, []])
        assert [receipt is None for receipt in engine.receipts(sent)] == [False, True, True]
        assert client.mend() == 2
        assert [receipt.status for receipt in engine.receipts(sent)] == [1, 1, 1]
        assert [client.call(probe, "read", key) for key in (1, 2, 3)] == [1, 2, 3]
        assert engine.nonce(sender.address) == 4
        assert client.mend() == 0


@pytest.mark.parametrize(("finality", "behind"), [("immediate", 0), (3, 3), (1_000, None), ("finalized", None)])
def test_finality_is_at_once_by_depth_or_by_the_nodes_own_tag(network, finality, behind):
    with open_engine(network.url, block_production="node", finality=finality) as engine:
        engine.web3.provider.make_request("anvil_mine", ["0x64"])
        head = engine.head().number
        tagged = engine.web3.eth.get_block("finalized").number
        expected = {"finalized": tagged, 1_000: 0}.get(finality, head - (behind or 0))
        assert engine.final_block() == expected
        assert head == 100
