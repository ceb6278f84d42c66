import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainsec.errors import LedgerError
from chainsec.ledger import marks
from chainsec.ledger.engine import open_engine
from chainsec.ledger.marks import Marks
from chainsec.ledger.pool import Pool


def test_a_snapshot_for_each_of_many_tests_leaves_nothing_behind(bench):
    engine = bench.engine
    first = engine.snapshot()
    nonce = bench.nonces.copy()
    for number in range(50):
        bench.nonces = nonce.copy()
        mark = engine.snapshot()
        bench.invoke("store", number, number, "")
        engine.mine()
        engine.mine()
        engine.revert(mark)
    assert mark == first + 50
    assert len(engine._marks._points) == 1
    assert not engine.store._undo
    assert engine.height == 1


def test_what_it_takes_to_go_back_behind_the_oldest_point_is_dropped(engine, monkeypatch):
    monkeypatch.setattr(marks, "_KEPT_POINTS", 3)
    given_out = []
    for _ in range(10):
        given_out.append(engine.snapshot())
        engine.mine()
    assert sorted(engine.store._undo) == [8, 9, 10]
    for forgotten in given_out[:7]:
        with pytest.raises(LedgerError, match=f"no snapshot {forgotten}"):
            engine.revert(forgotten)
    assert engine.height == 10
    engine.revert(given_out[7])
    assert engine.height == 7


def test_a_chain_without_a_snapshot_keeps_nothing_to_go_back(engine):
    engine.mine()
    assert engine.store._undo is None


def test_a_mark_is_never_given_twice_and_later_ones_are_forgotten(engine):
    one, two = engine.snapshot(), engine.snapshot()
    engine.mine()
    three = engine.snapshot()
    engine.revert(one)
    assert engine.snapshot() == three + 1
    for forgotten in (two, three):
        with pytest.raises(LedgerError, match="no snapshot"):
            engine.revert(forgotten)
    engine.revert(one)


STEPS = st.lists(st.sampled_from(["mark", "mine", "send"]) | st.integers(1, 12), max_size=30)


@settings(max_examples=200)
@given(STEPS)
def test_marks_behave_as_a_dictionary_of_copies(steps):
    points, known, numbers = Marks(), {}, itertools.count(1)
    height, pool = 0, Pool()
    for step in steps:
        if step == "mark":
            mark = points.add(height, ("header", height), pool)
            known[mark] = (height, len(pool))
            assert mark == next(numbers)
        elif step == "mine":
            height, pool = height + 1, Pool()
        elif step == "send":
            pool = Pool({**pool._waiting, bytes([len(pool)]): None})
        elif step in known:
            point = points.find(step)
            points.forget_after(step)
            assert (point.height, len(point.pool)) == known[step]
            assert point.header == ("header", point.height)
            height, pool = point.height, point.pool.copy()
            known = {mark: kept for mark, kept in known.items() if mark <= step}
        else:
            with pytest.raises(LedgerError, match="no snapshot"):
                points.find(step)
            with pytest.raises(LedgerError, match="no snapshot"):
                points.forget_after(step)
        if known:
            assert points.lowest == min(kept[0] for kept in known.values())


def test_what_was_read_of_blocks_that_stay_is_still_right_after_going_back(bench, alice):
    engine = bench.engine
    hashes = [engine.block(number).hash for number in range(2)]
    mark = engine.snapshot()
    for late in (10, 20):
        sent = bench.invoke("store", late, late, "")
        bench.invoke("refuse", 1)
        block = engine.mine(engine.head().timestamp + late)
        failed = block.transaction_hashes[1]
        assert engine.failure(failed) is not None
        assert engine.transaction(sent).block_number == 2
        assert engine.block(2).timestamp == engine.header(2).timestamp == block.timestamp
        assert engine.nonce(alice.address, at=2) == 3
        assert engine.web3.eth.get_block(2).hash == block.hash
        engine.revert(mark)
        bench.nonces[alice] = 1
        assert engine.receipts([sent, failed]) == [None, None]
        assert [engine.block(number).hash for number in range(2)] == hashes
        assert engine.nonce(alice.address) == 1
        with pytest.raises(LedgerError, match="no block 2"):
            engine.block(2)


def test_a_file_goes_back_as_memory_does(tmp_path, bench_class, alice, bob):
    path = tmp_path / "chain.sqlite"
    with open_engine(path=path, accounts=[alice, bob]) as engine:
        bench = bench_class(engine)
        before = engine.dump()
        mark = engine.snapshot()
        bench.invoke("store", 1, 1, "x")
        engine.mine()
        engine.revert(mark)
        assert engine.dump() == before
    with open_engine(path=path) as again:
        assert again.dump() == before
