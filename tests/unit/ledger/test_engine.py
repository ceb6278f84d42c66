import itertools
import os
import subprocess
import sys

import pytest
from eth.chains.base import MiningChain
from eth.consensus import ConsensusApplier, NoProofConsensus
from eth.db.atomic import AtomicDB
from eth.vm.forks.cancun import CancunVM
from hypothesis import given, settings
from hypothesis import strategies as st

from chainsec.digest import keccak
from chainsec.errors import ConfigError, LedgerError
from chainsec.ledger.account import Account
from chainsec.ledger.contract import deployment_data
from chainsec.ledger.engine import CallReverted, open_engine
from chainsec.ledger.opening import open_local
from chainsec.primitives import ZERO_ADDRESS


def test_an_unknown_engine_is_refused_and_the_known_ones_are_named():
    with pytest.raises(ConfigError, match=r"no engine 'geth'; there is: eth-tester"):
        open_engine("geth")


@pytest.mark.parametrize("setting", [{"chain_id": 0}, {"genesis_time": -1}, {"block_gas_limit": 5}])
def test_a_setting_out_of_range_is_refused(setting):
    with pytest.raises(ConfigError):
        open_engine(**setting)


def test_an_empty_block_is_mined_one_second_later(engine):
    parent, block = engine.head(), engine.mine()
    assert (block.number, block.parent_hash, block.timestamp) == (1, parent.hash, parent.timestamp + 1)
    assert (block.state_root, block.gas_used, block.transaction_hashes) == (parent.state_root, 0, ())


def test_a_block_takes_the_time_it_is_given_and_refuses_one_that_is_not_later(bench):
    engine = bench.engine
    before = engine.head()
    assert engine.mine(before.timestamp + 1000).timestamp == before.timestamp + 1000
    waiting = bench.invoke("store", 1, 1, "")
    for late in (0, -5, engine.head().timestamp):
        with pytest.raises(LedgerError, match="not later"):
            engine.mine(late)
    assert engine.mine().transaction_hashes == (waiting,)


def test_receipts_tell_gas_status_place_and_logs(bench, bob):
    first, failed, last = (
        bench.invoke("store", 1, 2, "a"),
        bench.invoke("refuse", 1, sender=bob),
        bench.invoke("store", 2, 3, "b"),
    )
    block = bench.engine.mine()
    receipts = [bench.engine.receipt(sent) for sent in (first, failed, last)]
    assert [receipt.status for receipt in receipts] == [1, 0, 1]
    assert [receipt.index for receipt in receipts] == [0, 1, 2]
    assert sum(receipt.gas_used for receipt in receipts) == block.gas_used
    assert [[log.log_index for log in receipt.logs] for receipt in receipts] == [[0], [], [1]]
    assert receipts[2].logs[0].transaction_hash == last
    assert bench.engine.receipt(bytes(32)) is None


def test_state_can_be_read_at_any_block(bench, alice):
    engine = bench.engine
    bench.send(bytes([7]) * 20, value=5)
    engine.mine()
    seven = bytes([7]) * 20
    assert [engine.balance(seven, at=number) for number in range(3)] == [0, 0, 5]
    assert [engine.nonce(alice.address, at=number) for number in range(3)] == [0, 1, 2]
    assert [bool(engine.code(bench.probe.address, at=number)) for number in range(3)] == [False, True, True]
    assert [engine.storage(bench.probe.address, 1, at=number) for number in range(3)] == [0, 5, 5]
    for beyond in (-1, 3):
        with pytest.raises(LedgerError, match="no block"):
            engine.balance(seven, at=beyond)


def test_calls_leave_no_trace(bench):
    engine = bench.engine
    before = (engine.head(), bench.probe.call("total"), dict(engine.store.changes))
    data = bench.probe.encode("store", 1, 99, "x")
    for _ in range(3):
        engine.call(bench.probe.address, data)
    assert bench.probe.call("read", 1) == 0
    assert (engine.head(), bench.probe.call("total"), dict(engine.store.changes)) == before


def test_a_call_without_receiver_runs_creation_code(engine, probe_artifact):
    assert len(engine.call(None, deployment_data(probe_artifact, 1, ""))) > 100


def test_a_reverting_call_raises_with_its_raw_data(bench):
    with pytest.raises(CallReverted) as caught:
        bench.engine.call(bench.probe.address, bench.probe.encode("refuse", 3), sender=bytes([9]) * 20)
    assert caught.value.data == keccak(b"Refused(address,uint256)")[:4] + bytes(12) + bytes([9]) * 20 + (3).to_bytes(32)
    with pytest.raises(CallReverted, match="OutOfGas"):
        bench.engine.call(bench.probe.address, bench.probe.encode("burn"), gas=100_000)


def test_an_estimate_suffices_and_is_close(bench):
    data = bench.probe.encode("store", 5, 5, "some words")
    estimate = bench.engine.estimate(bench.probe.address, data)
    sent = bench.send(bench.probe.address, data, gas=estimate)
    bench.engine.mine()
    receipt = bench.engine.receipt(sent)
    assert receipt.status == 1
    assert receipt.gas_used <= estimate <= receipt.gas_used * 1.05
    with pytest.raises(CallReverted):
        bench.engine.estimate(bench.probe.address, bench.probe.encode("complain"))


def test_a_plain_transfer_is_estimated_exactly(engine, alice, bob):
    assert engine.estimate(bob.address, b"", sender=alice.address, value=1) == 21_000


def test_reverting_to_a_snapshot_takes_blocks_index_and_pool_back(bench, alice):
    engine = bench.engine
    waiting = bench.invoke("store", 1, 1, "kept")
    mark = engine.snapshot()
    before = (engine.head(), list(engine.store.rows("records")), list(engine.store.rows("logs")))
    mined = engine.mine()
    bench.invoke("store", 2, 2, "lost")
    engine.mine()
    for _ in range(2):
        engine.revert(mark)
        assert (engine.head(), list(engine.store.rows("records")), list(engine.store.rows("logs"))) == before
        assert engine.receipt(waiting) is None
        assert engine.nonce(alice.address) == 1
        assert engine.mine() == mined
    with pytest.raises(LedgerError, match="no snapshot"):
        engine.revert(mark + 1)


def test_final_block_is_the_head_or_lies_behind_it(engine):
    for _ in range(3):
        engine.mine()
    assert engine.final_block() == 3
    engine.finality_blocks = 2
    assert engine.final_block() == 1


def test_a_failure_while_mining_changes_nothing_and_the_next_attempt_works(bench, monkeypatch):
    engine = bench.engine
    sent = bench.invoke("store", 1, 7, "")
    before = (engine.head(), list(engine.store.rows("records")))
    for broken in ("add", "_write"):
        target = engine.store.index if broken == "add" else engine.store
        with monkeypatch.context() as patch:
            patch.setattr(target, broken, lambda *_: (_ for _ in ()).throw(RuntimeError("disk on fire")))
            with pytest.raises(RuntimeError):
                engine.mine()
        assert (engine.head(), list(engine.store.rows("records")), dict(engine.store.changes)) == (*before, {})
        assert bench.probe.call("read", 1) == 0
    assert engine.mine().transaction_hashes == (sent,)
    assert bench.probe.call("read", 1) == 7


SCRIPT = """
import hashlib
from chainsec.ledger.account import Account
from chainsec.ledger.engine import open_engine
people = [Account.derive(b"d", str(n)) for n in range(12)]
with open_engine(accounts=people[:6]) as engine:
    for block in range(4):
        for person in people[:6]:
            for other in people[6:]:
                nonce = engine.next_nonce(person.address)
                engine.send(person.sign(nonce=nonce, to=other.address, value=block + 1, gas=21000, chain_id=1337).raw)
        engine.mine()
    rows = hashlib.sha256(repr([list(engine.store.rows(t)) for t in ("settings", "records", "transactions")]).encode())
    print(engine.head().hash, rows.hexdigest())
"""


def test_the_same_transactions_give_the_same_bytes_in_another_process():
    outputs = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


PEOPLE = [Account.derive(b"equal", str(number)) for number in range(3)]


class PlainChain(MiningChain):
    chain_id = 1337
    vm_configuration = ConsensusApplier(NoProofConsensus).amend_vm_configuration(((0, CancunVM),))

    def create_header_from_parent(self, parent_header, **params):
        kept = {"gas_limit": parent_header.gas_limit, "timestamp": parent_header.timestamp + 1}
        return super().create_header_from_parent(parent_header, **(kept | params))


ACTIONS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["store", "refuse", "burn", "tag", "send", "create", "refuseOnceStored", "empty"]),
        st.integers(0, 3),
        st.sampled_from([0, 1, 10**9]),
        st.booleans(),
    ),
    max_size=14,
)


@settings(max_examples=12, deadline=None)
@given(actions=ACTIONS, coinbase=st.sampled_from([ZERO_ADDRESS, PEOPLE[0].address]))
def test_plain_py_evm_accepts_every_block_and_finds_the_same_gas_receipts_and_roots(make_bench_once, actions, coinbase):
    bench, plain = make_bench_once()
    engine = bench.engine
    for who, what, number, gas_price, is_last in actions:
        options = {"sender": PEOPLE[who], "gas": 90_000, "gas_price": gas_price}
        arguments = {
            "store": (number, number, "n" * number),
            "refuse": (number,),
            "burn": (),
            "tag": ("t", bytes(32)),
            "refuseOnceStored": (number,),
        }
        if what in arguments:
            bench.invoke(what, *arguments[what], **options)
        elif what == "send":
            bench.send(PEOPLE[number % 3].address, value=number, **options)
        elif what == "create":
            bench.send(None, bytes([0x60, number, 0x60, 0x00, 0xF3]), **options)
        if is_last or what == "empty":
            engine.mine_with(coinbase=coinbase)
    engine.mine()
    for number in range(1, engine.height + 1):
        block = engine.chain.get_canonical_block_by_number(number)
        stock = plain.get_vm(block.header).get_block_class()(
            header=block.header,
            transactions=[
                plain.get_vm().get_transaction_builder().decode(item.encode()) for item in block.transactions
            ],
            uncles=[],
            withdrawals=[],
        )
        imported = plain.import_block(stock, perform_validation=True).imported_block
        assert imported.hash == engine.block(number).hash
        theirs = imported.get_receipts(plain.chaindb)
        mine = [engine.receipt(transaction_hash) for transaction_hash in engine.block(number).transaction_hashes]
        totals = [0, *(receipt.gas_used for receipt in theirs)]
        assert [b - a for a, b in itertools.pairwise(totals)] == [receipt.gas_used for receipt in mine]
        assert [receipt.state_root for receipt in theirs] == [bytes([r.status] if r.status else b"") for r in mine]
        assert [(log.address, log.data) for r in theirs for log in r.logs] == [
            (log.address, log.data) for r in mine for log in r.logs
        ]


@pytest.fixture(scope="module")
def make_bench_once(bench_class):
    def make():
        engine = open_local(None, chain_id=1337, accounts=[*PEOPLE, Account.derive(b"tests", "alice")])
        genesis = engine.header(0)
        state = {
            bytes(account): {"balance": wei, "nonce": 0, "code": b"", "storage": {}}
            for account, wei in engine.genesis.balances
        }
        params = {
            name: getattr(genesis, name)
            for name in ("difficulty", "gas_limit", "timestamp", "base_fee_per_gas", "nonce", "extra_data")
        }
        plain = PlainChain.from_genesis(AtomicDB(), params, state)
        assert plain.get_canonical_head().hash == genesis.hash
        return bench_class(engine), plain

    return make
