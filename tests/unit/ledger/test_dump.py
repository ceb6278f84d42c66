import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainsec.digest import keccak
from chainsec.errors import LedgerError
from chainsec.ledger.account import Account
from chainsec.ledger.dump import read_dump, write_dump
from chainsec.ledger.engine import open_engine
from chainsec.ledger.verify import verify_chain

PEOPLE = [Account.derive(b"tests", name) for name in ("alice", "bob")]
HEADER_BYTES = 48


def everything(engine):
    tables = ("settings", "records", "transactions", "logs")
    return (engine.head(), len(engine.pool), engine.genesis, [list(engine.store.rows(table)) for table in tables])


@pytest.fixture
def full(bench, bob):
    """A chain with calls, failures, logs, an empty block, and something in its pool."""
    for number in range(3):
        bench.invoke("store", number, number, "x" * 40)
        bench.invoke("refuse", 1, sender=bob)
        bench.engine.mine()
    bench.engine.mine()
    bench.invoke("store", 9, 9, "")
    return bench


@pytest.fixture(params=["memory", "file"])
def other(request, tmp_path):
    path = None if request.param == "memory" else tmp_path / "chain.sqlite"
    with open_engine(path=path, accounts=PEOPLE, block_gas_limit=30_000_000) as opened:
        opened.mine()
        yield opened


def test_a_loaded_chain_is_the_dumped_one_and_goes_on_as_it_would(full, other, alice):
    engine = full.engine
    dump = engine.dump()
    mark = other.snapshot()
    other.send(alice.sign(nonce=0, to=bytes(20), gas=21_000, chain_id=1337).raw)
    assert other.nonce(alice.address) == 0  # read before, and not remembered afterwards
    other.load(dump)
    assert everything(other)[2:] == everything(engine)[2:]
    assert (other.head(), len(other.pool), other.nonce(alice.address)) == (engine.head(), 0, 4)
    assert other.dump() == dump
    with pytest.raises(LedgerError, match="no snapshot"):
        other.revert(mark)
    (waiting,) = engine.pool
    other.send(waiting.encode())
    mark = other.snapshot()
    assert other.mine() == engine.mine()
    other.revert(mark)
    assert other.dump() == dump


def test_a_chain_loaded_into_a_file_is_there_when_it_is_opened_again_and_proved(full, tmp_path):
    path = tmp_path / "chain.sqlite"
    with open_engine(path=path, accounts=PEOPLE) as other:
        other.load(full.engine.dump())
    with open_engine(path=path) as again:
        assert again.head() == full.engine.head()
    assert verify_chain(path).head_hash == full.engine.head().hash


def test_equal_chains_give_equal_dumps_whatever_became_of_other_blocks(full, bench_class):
    with open_engine(accounts=PEOPLE) as other:
        again = bench_class(other)
        mark = other.snapshot()
        other.mine(other.head().timestamp + 77)
        other.revert(mark)
        for number in range(3):
            again.invoke("store", number, number, "x" * 40)
            again.invoke("refuse", 1, sender=PEOPLE[1])
            other.mine()
        other.mine()
        assert other.dump() == full.engine.dump()


def test_a_dump_of_another_chain_id_is_refused_and_nothing_changes(full):
    with open_engine(chain_id=7) as other:
        other.mine()
        before = everything(other)
        with pytest.raises(LedgerError, match="chain id 1337, not 7"):
            other.load(full.engine.dump())
        assert everything(other) == before


@pytest.fixture(scope="module")
def sound(bench_class):
    with open_engine(accounts=PEOPLE) as engine:
        bench = bench_class(engine)
        bench.invoke("store", 1, 1, "x")
        engine.mine()
        return engine.dump()


@pytest.fixture(scope="module")
def target():
    with open_engine(accounts=PEOPLE) as engine:
        engine.mine()
        yield engine


@settings(max_examples=120, deadline=None)
@given(data=st.data(), is_resealed=st.booleans())
def test_hostile_bytes_are_refused_or_make_a_readable_chain_and_never_half_of_one(sound, target, data, is_resealed):
    place = data.draw(st.integers(0, len(sound)))
    cut = data.draw(st.integers(0, 8))
    hostile = sound[:place] + data.draw(st.binary(max_size=9)) + sound[place + cut :]
    if is_resealed:  # by somebody who can compute a hash
        hostile = sound[:16] + keccak(hostile[HEADER_BYTES:]) + hostile[HEADER_BYTES:]
    before = everything(target)
    try:
        target.load(hostile)
    except LedgerError:
        assert everything(target) == before
    else:
        assert is_resealed or hostile == sound
        target.receipts(target.head().transaction_hashes)
        target.reset()
        target.mine()


@pytest.mark.parametrize("hostile", [b"", b"chainsec", bytes(100), b"chainsec chain\x00\x01" + bytes(32)])
def test_what_is_no_dump_is_refused(hostile):
    with pytest.raises(LedgerError, match="not a dump"):
        read_dump(hostile)


def test_every_beginning_of_a_dump_is_refused(sound):
    for end in itertools.chain(range(60), range(60, len(sound), 97)):
        body = sound[HEADER_BYTES:end]
        for cut in (sound[:end], sound[:16] + keccak(body) + body):
            with pytest.raises(LedgerError, match="not a dump"):
                read_dump(cut)


@pytest.mark.parametrize("name", ["height", "genesis_hash"])
def test_a_damaged_head_is_refused_and_the_next_block_is_made_as_if_nothing_was(full, other, name):
    full.engine.store._db.execute("UPDATE settings SET value = CAST('1' AS BLOB) WHERE name = ?", (name,))
    before = everything(other)
    with pytest.raises(LedgerError, match=r"head|height|genesis hash"):
        other.load(full.engine.dump())
    assert everything(other) == before
    assert other.mine().number == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found._replace(logs=[*found.logs, found.logs[0]._replace(block=10**9)]),
        lambda found: found._replace(transactions=[row._replace(block=10**9) for row in found.transactions]),
        lambda found: found._replace(transactions=[row._replace(hash=keccak(row.hash)) for row in found.transactions]),
    ],
)
def test_rows_beyond_the_head_or_of_other_transactions_are_refused(full, other, change):
    full.engine.mine()
    found, before = read_dump(full.engine.dump()), everything(other)
    changed = change(found)
    with pytest.raises(LedgerError, match="the index does not fit the chain"):
        other.load(write_dump(lambda table: iter(getattr(changed, table))))
    assert everything(other) == before


def test_a_row_that_points_where_no_transaction_is_gives_one_line(full, other):
    found = read_dump(full.engine.dump())
    rows = [row._replace(position=row.position + 9) for row in found.transactions]
    other.load(write_dump(lambda table: iter(rows if table == "transactions" else getattr(found, table))))
    for row in rows:
        with pytest.raises(LedgerError, match=f"block {row.block} holds no transaction {row.position}"):
            other.transaction(row.hash)
