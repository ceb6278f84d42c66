"""The client settles in order, raises typed errors, and goes over a chain that stands without adding to it."""

import pytest

from chainsec.errors import ContractReverted, LedgerError, RunMismatch
from chainsec.ledger.client import Client
from chainsec.ledger.engine import CallReverted, open_engine

GAS = 1_000_000


@pytest.fixture
def client(engine):
    return Client(engine, transaction_gas=GAS)


@pytest.fixture
def probe(client, alice, probe_artifact):
    return client.deploy(alice, probe_artifact, 5, "hello")


def store(client, probe, sender, number, *, at=1):
    return client.transact(sender, probe.address, probe.encode("store", at, number, f"n{number}"))


def test_receipts_come_in_the_order_of_sending_and_all_in_one_block(client, probe, alice, bob):
    height = client.at
    sent = [store(client, probe, sender, number, at=number) for number, sender in enumerate([alice, bob, bob, alice])]
    assert client.at == height
    receipts = client.settle()
    assert [receipt.transaction_hash for receipt in receipts] == sent
    assert {receipt.block_number for receipt in receipts} == {height + 1} == {client.at}
    assert [receipt.index for receipt in receipts] == [0, 1, 2, 3]


def test_where_nothing_was_sent_there_is_no_block(client):
    height = client.at
    assert client.settle() == []
    assert client.at == height


def test_what_was_settled_is_counted_and_nothing_else(client, probe, alice):
    counted = client.transactions, client.gas_used
    store(client, probe, alice, 1)
    assert (client.transactions, client.gas_used) == counted
    [receipt] = client.settle()
    assert (client.transactions, client.gas_used) == (counted[0] + 1, counted[1] + receipt.gas_used)


@pytest.mark.parametrize(("interval_s", "wanted", "expected"), [(1, None, 1), (5, None, 5), (5, 3, 5), (5, 100, 100)])
def test_a_block_comes_when_it_is_wanted_but_not_before_the_interval_has_passed(
    engine, alice, interval_s, wanted, expected
):
    client = Client(engine, transaction_gas=GAS, block_interval_s=interval_s)
    before_s = client.now_s
    client.transact(alice, alice.address, b"")
    client.settle(None if wanted is None else before_s + wanted)
    assert client.now_s == before_s + expected


def test_blocks_without_an_interval_are_refused(engine):
    with pytest.raises(ValueError, match="at least 1 second"):
        Client(engine, transaction_gas=GAS, block_interval_s=0)


def test_the_first_failure_of_a_block_comes_as_its_typed_error_and_the_others_stand(client, probe, alice, bob):
    store(client, probe, alice, 1, at=1)
    client.transact(bob, probe.address, probe.encode("refuse", 7))
    client.transact(bob, probe.address, b"\xde\xad\xbe\xef")
    store(client, probe, alice, 4, at=4)
    height = client.at
    with pytest.raises(ContractReverted) as caught:
        client.settle()
    assert type(caught.value) is probe.error(caught.value.name)
    assert client.at == height + 1
    assert client.call(probe, "read", 1) == 1
    assert client.call(probe, "read", 4) == 4
    assert client.settle() == []


def test_a_failed_call_comes_as_its_typed_error_too(client, probe):
    with pytest.raises(probe.error("Refused")):
        client.call(probe, "refuse", 7)


def test_a_transaction_that_the_engine_refuses_leaves_no_gap_behind_it(client, probe, alice):
    height = client.at
    client.transaction_gas = 2 * client.engine.block_gas_limit
    with pytest.raises(LedgerError, match="over the block's limit"):
        store(client, probe, alice, 1)
    client.transaction_gas = GAS
    store(client, probe, alice, 2)
    [receipt] = client.settle()
    assert (receipt.status, receipt.block_number) == (1, height + 1)


def test_a_transaction_that_does_not_fit_into_its_block_is_reported_and_not_passed_over(alice, bob):
    with open_engine(accounts=[alice, bob], block_gas_limit=2_000_000) as engine:
        client = Client(engine, transaction_gas=2_000_000)
        client.transact(alice, bob.address, b"")
        client.transact(bob, alice.address, b"")
        with pytest.raises(LedgerError, match="block 1 holds 1 of 2 transactions"):
            client.settle()


def test_reads_see_what_others_have_put_on_the_chain(client, probe, bob):
    other = Client(client.engine, transaction_gas=GAS)
    store(other, probe, bob, 9)
    other.settle()
    assert client.call(probe, "read", 1) == 9
    assert client.at == other.at
    store(client, probe, bob, 10)
    client.settle()
    assert other.call(probe, "read", 1) == 10


def test_a_client_goes_on_with_the_nonces_that_others_have_used(client, probe, alice):
    client.engine.web3.eth.send_transaction({"from": str(alice.address), "to": str(alice.address), "value": 1})
    store(client, probe, alice, 3)
    assert client.settle()[0].status == 1


def tell(path, artifact, people, *, steps, is_replay=True, number=1, interval_s=1, accounts=None):
    """Deploy a probe and take ``steps`` steps, some in one block; return the client, the engine still open."""
    alice, bob = people
    engine = open_engine(path=path, accounts=[alice, bob] if accounts is None else accounts)
    try:
        client = Client(engine, transaction_gas=GAS, is_replay=is_replay, block_interval_s=interval_s)
        probe = client.deploy(alice, artifact, 5, "hello")
        for step in range(steps):
            store(client, probe, alice, number + step, at=step)
            store(client, probe, bob, number + step, at=100 + step)
            client.settle()
    except BaseException:
        engine.close()
        raise
    return client, probe


@pytest.fixture
def story(tmp_path, probe_artifact, alice, bob):
    """Give ``story(steps=..., ...)``: the same file each time."""
    opened = []

    def go(**options):
        for client in opened:
            client.engine.close()
        client, probe = tell(tmp_path / "chain", probe_artifact, (alice, bob), **options)
        opened.append(client)
        return client, probe

    yield go
    for client in opened:
        client.engine.close()


def test_the_same_calls_after_reopening_send_nothing_and_count_the_same(story):
    first, _ = story(steps=3)
    head, counted = first.engine.head(), (first.transactions, first.gas_used)
    again, _ = story(steps=3)
    assert again.engine.head() == head
    assert len(again.engine.pool) == 0
    assert (again.transactions, again.gas_used) == counted
    assert again.is_caught_up


@pytest.mark.parametrize("stop", range(4))
def test_a_run_that_stopped_anywhere_ends_with_the_same_chain(story, stop):
    whole, _ = story(steps=3)
    expected = whole.engine.head().hash
    whole.engine.reset()
    assert whole.engine.head().number == 0
    story(steps=stop)
    resumed, _ = story(steps=3)
    assert resumed.engine.head().hash == expected


def test_reads_of_a_replay_see_the_block_it_has_reached_and_nothing_later(story, alice, bob, probe_artifact):
    done, probe = story(steps=3)
    engine = done.engine
    client = Client(engine, transaction_gas=GAS, is_replay=True)
    assert (client.at, client.is_caught_up) == (0, False)
    assert client.now_s == engine.block(0).timestamp
    with pytest.raises(LedgerError, match="no contract there"):
        client.call(probe, "read", 0)
    again = client.deploy(alice, probe_artifact, 5, "hello")
    assert again.address == probe.address
    for step in range(3):
        assert client.call(probe, "read", step) == 0
        store(client, probe, alice, 1 + step, at=step)
        store(client, probe, bob, 1 + step, at=100 + step)
        assert client.call(probe, "read", step) == 0
        client.settle()
        assert client.call(probe, "read", step) == 1 + step
        assert client.now_s == engine.block(client.at).timestamp


def test_other_calls_than_those_that_stand_are_refused_and_the_chain_stays(story):
    first, _ = story(steps=2)
    head = first.engine.head()
    with pytest.raises(RunMismatch, match="block 2 does not hold") as caught:
        story(steps=2, number=7)
    assert caught.value.block == 2
    again, _ = story(steps=2)
    assert again.engine.head() == head


def pass_first_block(client, sender):
    """Bring a replay past the block in which ``sender`` deployed."""
    client._outbox._nonces[sender.address] = 1
    client._reached = client.engine.block(1)


def test_fewer_or_more_calls_in_a_block_than_stand_there_are_refused(story, alice, bob):
    done, probe = story(steps=1)
    for senders in ([alice], [alice, bob, bob]):
        client = Client(done.engine, transaction_gas=GAS, is_replay=True)
        pass_first_block(client, alice)
        with pytest.raises(RunMismatch, match="block 2"):  # noqa: PT012 - which of the calls is the one too many
            for sender in senders:
                store(client, probe, sender, 1, at=100 if sender is bob else 0)
            client.settle()
    assert len(done.engine.pool) == 0
    assert done.engine.head().number == 2


def test_calls_of_two_blocks_put_into_one_are_refused(story, alice, bob):
    done, probe = story(steps=2)
    client = Client(done.engine, transaction_gas=GAS, is_replay=True)
    pass_first_block(client, alice)
    for step in range(2):
        store(client, probe, alice, 1 + step, at=step)
        store(client, probe, bob, 1 + step, at=100 + step)
    with pytest.raises(RunMismatch, match="block 2"):
        client.settle()


def test_a_block_of_another_time_than_this_run_would_give_it_is_refused(story):
    story(steps=1, interval_s=3)
    with pytest.raises(RunMismatch, match="block 1"):
        story(steps=1, interval_s=4)
    story(steps=1, interval_s=3)


def test_a_failure_that_stands_is_raised_again_when_it_is_gone_over(tmp_path, probe_artifact, alice):
    heads = []
    for _ in range(2):
        with open_engine(path=tmp_path / "chain", accounts=[alice]) as engine:
            client = Client(engine, transaction_gas=GAS, is_replay=True)
            probe = client.deploy(alice, probe_artifact, 5, "hello")
            client.transact(alice, probe.address, probe.encode("refuse", 7))
            with pytest.raises(probe.error("Refused")):
                client.settle()
            store(client, probe, alice, 3)
            client.settle()
            heads.append(engine.head())
    assert heads[0] == heads[1]


def test_a_client_that_does_not_replay_adds_to_what_stands(story):
    story(steps=1)
    client, probe = story(steps=1, is_replay=False)
    assert client.engine.head().number == 4
    assert client.call(probe, "read", 0) == 1


def test_an_unknown_failure_keeps_its_data(client, alice, probe):
    client.transact(alice, probe.address, b"\xde\xad\xbe\xef")
    with pytest.raises(CallReverted) as caught:
        client.settle()
    assert caught.value.data == b""
