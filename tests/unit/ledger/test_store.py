import os
import random
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
from eth.exceptions import HeaderNotFound

from chainsec.errors import LedgerError
from chainsec.ledger.engine import open_engine
from chainsec.ledger.seal import seal_path, wal_path
from chainsec.ledger.store import Store
from chainsec.ledger.verify import verify_chain

WRITER = """
import sys
from pathlib import Path
from chainsec.ledger.account import Account
from chainsec.ledger.engine import open_engine
alice = Account.derive(b"tests", "alice")
engine = open_engine(path=Path(sys.argv[1]), accounts=[alice])
print("ready", flush=True)
while True:
    for _ in range(8):
        nonce = engine.next_nonce(alice.address)
        engine.send(alice.sign(nonce=nonce, to=nonce.to_bytes(20), value=1, gas=21000, chain_id=1337).raw)
    print(engine.mine().number, flush=True)
"""


def test_after_kill_9_at_any_moment_the_store_stands_at_a_block_boundary(tmp_path, alice):
    path = tmp_path / "chain.sqlite"
    moments = random.Random(7)
    height = 0
    for _ in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
        )
        assert writer.stdout.readline() == "ready\n"
        reported = [int(writer.stdout.readline()) for _ in range(moments.randint(1, 6))]
        time.sleep(moments.random() * 0.03)  # the moment is what is tested
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        reported += [int(line) for line in writer.stdout.read().split() if line]
        assert not seal_path(path).exists()
        summary = verify_chain(path)
        height = summary.blocks - 1
        assert height >= max(reported)
        with open_engine(path=path, accounts=[alice]) as engine:
            assert engine.head().hash == summary.head_hash
            assert engine.nonce(alice.address) == 8 * height == summary.transactions
    assert height > 3


def test_a_file_left_behind_while_it_was_made_is_made_again(tmp_path):
    path = tmp_path / "chain.sqlite"
    sqlite3.connect(path).execute("PRAGMA journal_mode = WAL").connection.close()
    assert path.stat().st_size
    with open_engine(path=path) as engine:
        assert engine.mine().number == 1
    Store(tmp_path / "tables.sqlite").abandon()
    with open_engine(path=tmp_path / "tables.sqlite") as engine:
        assert engine.mine().number == 1


def test_a_closed_chain_stands_alone_in_its_file(tmp_path, bench_class, alice, bob):
    path = tmp_path / "chain.sqlite"
    with open_engine(path=path, accounts=[alice, bob]) as engine:
        bench = bench_class(engine)
        sent = bench.invoke("store", 1, 2, "x")
        head = engine.mine()
        assert wal_path(path).exists()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["chain.sqlite", "chain.sqlite.seal"]
    moved = tmp_path / "elsewhere.sqlite"
    path.rename(moved)
    with open_engine(path=moved) as engine:
        assert engine.head() == head
        assert engine.receipt(sent).logs[0].data
        assert engine.mine().number == head.number + 1


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"chain_id": 5}, "chain id 1337, not 5"),
        ({"genesis_time": 1_800_000_000}, "genesis time 1704067200, not 1800000000"),
        ({"block_gas_limit": 9_000_000}, "block gas limit 1000000000, not 9000000"),
        ({"accounts": []}, "other accounts"),
    ],
)
def test_a_stored_chain_opened_with_other_settings_is_refused_and_unchanged(tmp_path, alice, other, words):
    path = tmp_path / "chain.sqlite"
    open_engine(path=path, accounts=[alice]).close()
    before = path.read_bytes()
    with pytest.raises(LedgerError, match=words):
        open_engine(path=path, **other)
    with open_engine(path=path, accounts=[alice]) as engine:
        assert engine.head().number == 0
    assert path.read_bytes() == before


def test_two_processes_cannot_write_to_one_chain(tmp_path):
    path = tmp_path / "chain.sqlite"
    with open_engine(path=path), pytest.raises(LedgerError, match="locked"):
        open_engine(path=path)


def test_a_file_that_is_no_chain_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "other.sqlite"
    path.write_text("not a database, but long enough to be looked at" * 100)
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="cannot be opened as a chain"):
        open_engine(path=path)
    assert path.read_bytes() == before
    path.unlink()
    sqlite3.connect(path).execute("CREATE TABLE t (x)").connection.close()
    with pytest.raises(LedgerError, match="is no chain"):
        open_engine(path=path)


def spoil(path, statement, *values):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(statement, values)
    connection.close()
    seal_path(path).unlink()


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("PRAGMA user_version = 99", "schema version 99, not 1"),
        ("UPDATE settings SET value = '7' WHERE name = 'height'", "cannot be read|height"),
        ("UPDATE settings SET value = CAST('x' AS BLOB) WHERE name = 'genesis'", "settings cannot be read"),
        ("UPDATE settings SET value = zeroblob(32) WHERE name = 'genesis_hash'", "genesis hash"),
        ("DELETE FROM records WHERE key = CAST('v1:canonical_head_hash' AS BLOB)", "cannot be read"),
        ("UPDATE records SET value = zeroblob(40) WHERE length(key) = 32", "cannot be read"),
        ("DELETE FROM transactions WHERE block = 1", "index"),
    ],
)
def test_a_damaged_head_is_refused_in_one_line(tmp_path, bench_class, alice, bob, statement, words):  # noqa: PLR0917 - pytest and hypothesis pass them by name
    path = tmp_path / "chain.sqlite"
    with open_engine(path=path, accounts=[alice, bob]) as engine:
        bench_class(engine)
    spoil(path, statement)
    with pytest.raises(LedgerError, match=words) as caught:
        open_engine(path=path)
    assert "\n" not in str(caught.value)


def test_a_file_changed_since_it_was_closed_is_refused_and_not_sealed_again(tmp_path):
    path = tmp_path / "chain.sqlite"
    open_engine(path=path).close()
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    before = (path.read_bytes(), seal_path(path).read_bytes())
    with pytest.raises(LedgerError, match=r"page \d+ was changed"):
        open_engine(path=path)
    assert (path.read_bytes(), seal_path(path).read_bytes()) == before


def test_a_chain_that_is_only_read_stays_as_it_is(tmp_path, alice):
    path = tmp_path / "chain.sqlite"
    open_engine(path=path, accounts=[alice]).close()
    before = (path.read_bytes(), seal_path(path).stat().st_mtime_ns)
    with open_engine(path=path) as engine:
        assert engine.balance(alice.address) == 10**24
    assert (path.read_bytes(), seal_path(path).stat().st_mtime_ns) == before


def test_reopening_executes_nothing(tmp_path, bench_class, alice, bob, monkeypatch):
    path = tmp_path / "chain.sqlite"
    with open_engine(path=path, accounts=[alice, bob]) as engine:
        bench_class(engine)
        head = engine.head()

    def forbid(*_):
        raise AssertionError("something was executed")

    monkeypatch.setattr("eth.vm.base.VM.apply_transaction", forbid)
    monkeypatch.setattr("chainsec.ledger.evm.create_chain", forbid)
    with open_engine(path=path) as engine:
        assert engine.head() == head


def test_records_written_after_a_commit_are_gone_after_a_rollback():
    store = Store()
    store[b"a"] = b"1"
    store.commit(0)
    store[b"a"] = b"2"
    store[b"b"] = b"3"
    del store[b"a"]
    assert b"a" not in store
    store.rollback()
    assert (store[b"a"], b"b" in store) == (b"1", False)


def test_taking_back_without_undo_is_refused():
    store = Store()
    store.commit(0)
    store.commit(1)
    with pytest.raises(LedgerError, match="no snapshot was taken"):
        store.cut_back(0)


def test_a_reset_goes_back_to_the_same_first_block(bench):
    engine = bench.engine
    first = engine.block(0)
    engine.reset()
    assert (engine.head(), len(engine.pool)) == (first, 0)
    with pytest.raises((LedgerError, HeaderNotFound)):
        engine.block(1)
    assert engine.mine().number == 1


def test_interrupted_right_after_a_block_was_written_the_engine_goes_on_from_it(bench, monkeypatch):
    engine = bench.engine

    def interrupt(*_):
        monkeypatch.undo()
        raise KeyboardInterrupt

    sent = bench.invoke("store", 1, 2, "x")
    monkeypatch.setattr(engine.store, "_remember", interrupt)
    with pytest.raises(KeyboardInterrupt):
        engine.mine()
    assert (engine.head().number, engine.receipt(sent).block_number, len(engine.pool)) == (2, 2, 0)
    bench.invoke("store", 1, 3, "y")
    assert engine.mine().number == 3


def test_interrupted_before_a_block_was_written_the_engine_makes_it_next_time(bench, monkeypatch):
    engine = bench.engine

    def interrupt(*_):
        monkeypatch.undo()
        raise KeyboardInterrupt

    sent, before = bench.invoke("store", 1, 2, "x"), engine.head()
    monkeypatch.setattr(engine.store.index, "add", interrupt)
    with pytest.raises(KeyboardInterrupt):
        engine.mine()
    assert (engine.head(), engine.receipt(sent), len(engine.pool)) == (before, None, 1)
    assert engine.mine().number == 2
    assert engine.receipt(sent).status


def test_killed_while_it_is_reset_a_chain_keeps_its_own_first_block(tmp_path, alice, monkeypatch):
    path = tmp_path / "chain.sqlite"
    engine = open_engine(path=path, accounts=[alice], genesis_time=1_800_000_000, block_gas_limit=30_000_000)
    engine.mine()

    def end(*_):
        engine.store.abandon()
        raise KeyboardInterrupt

    monkeypatch.setattr("chainsec.ledger.local.check_head", end)
    with pytest.raises((KeyboardInterrupt, sqlite3.ProgrammingError)):
        engine.reset()
    monkeypatch.undo()
    with open_engine(path=path, accounts=[alice]) as engine:
        assert engine.head().number == 1
        assert engine.block(0).timestamp == 1_800_000_000
        assert engine.block_gas_limit == 30_000_000


def test_a_page_that_cannot_be_read_is_one_line_whatever_is_asked_for(tmp_path, bench_class, alice, bob):
    path = tmp_path / "chain.sqlite"
    with open_engine(path=path, accounts=[alice, bob]) as engine:
        bench = bench_class(engine)
        sent = [bench.invoke("store", number, number, "x" * 400) for number in range(60) if engine.mine()]
        engine.mine()
    seal_path(path).unlink()
    content = bytearray(path.read_bytes())
    page = int.from_bytes(content[16:18])
    for start in range(page, len(content), page):
        content[start : start + page] = os.urandom(page)
    path.write_bytes(content)
    store = Store(path)
    asked = [
        lambda: store.setting("height"),
        lambda: store[b"v1:canonical_head_hash"],
        lambda: store.index.transaction(sent[0]),
        lambda: store.index.transactions(sent),
        lambda: store.index.transactions_of(1),
        lambda: store.index.logs_at(1),
        lambda: store.index.search(0, 99),
        store.index.last_block,
        lambda: list(store.rows("records")),
    ]
    for ask in asked:
        with pytest.raises(LedgerError, match=r"chain\.sqlite: cannot be read"):
            ask()
    store.abandon()


def test_what_lies_beyond_every_chain_is_answered_or_refused_in_one_line(bench):
    engine = bench.engine
    assert engine.logs(2**63, 2**70) == []
    assert engine.logs(-5, 2**70) == engine.logs(0, engine.head().number)
    with pytest.raises(LedgerError, match="no block 99; the head is 1"):
        engine.block_hash(99)
    with pytest.raises(LedgerError, match="chain in memory: cannot be read"):
        engine.logs(0, 9, topics=[[bytes(32)] * 300_000])
