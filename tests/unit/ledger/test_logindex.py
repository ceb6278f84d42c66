import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainsec.digest import keccak
from chainsec.ledger import logindex
from chainsec.ledger.connection import connect
from chainsec.ledger.logindex import LogIndex, LogRow
from chainsec.primitives import Address

TOPICS = [keccak(bytes([number])) for number in range(3)]
ADDRESSES = [Address(bytes([number]) * 20) for number in range(3)]
LOG = st.tuples(st.sampled_from(ADDRESSES), st.lists(st.sampled_from(TOPICS), max_size=4), st.binary(max_size=3))
CHAIN = st.lists(st.lists(LOG, max_size=4), min_size=1, max_size=6)
CHOICE = st.one_of(st.none(), st.sampled_from(TOPICS), st.lists(st.sampled_from(TOPICS), min_size=1, max_size=2))


def filled(chain):
    connection = connect(None)
    for statement in logindex.SCHEMA:
        connection.execute(statement)
    index = LogIndex(connection)
    for number, logs in enumerate(chain):
        index.add([], rows_of(number, logs))
    return index


def rows_of(number, logs):
    return [
        LogRow(number, place, 0, bytes(32), address, *(topics + [None] * (4 - len(topics))), data)
        for place, (address, topics, data) in enumerate(logs)
    ]


def matches(row, addresses, topics):
    if addresses and row.address not in addresses:
        return False
    if len(row.topics) < len(topics):
        return False
    return all(not choice or topic in choice for topic, choice in zip(row.topics, topics, strict=False))


@settings(max_examples=150, deadline=None)
@given(
    chain=CHAIN,
    first=st.integers(0, 5),
    last=st.integers(0, 6),
    addresses=st.lists(st.sampled_from(ADDRESSES), max_size=2),
    choices=st.lists(CHOICE, max_size=5),
    height=st.integers(-1, 6),
)
def test_a_search_finds_what_a_scan_of_every_log_finds_before_and_after_cutting_back(  # noqa: PLR0917 - pytest and hypothesis pass them by name
    chain, first, last, addresses, choices, height
):
    index = filled(chain)
    topics = [[] if c is None else [c] if isinstance(c, bytes) else c for c in choices]
    for kept in (chain, chain[: height + 1]):
        everything = [row for number, logs in enumerate(kept) for row in rows_of(number, logs)]
        expected = [row for row in everything if first <= row.block <= last and matches(row, addresses, topics)]
        assert list(index.search(first, last, addresses, topics)) == expected
        index.cut_back(height)


def test_the_index_of_a_real_chain_equals_its_receipts(bench, alice, bob):
    engine = bench.engine
    for number in range(3):
        for who in (alice, bob):
            bench.invoke("store", number, number, "x", sender=who)
            bench.invoke("tag", "t", bytes(32), sender=who)
        engine.mine()
    scanned = []
    for number in range(engine.height + 1):
        receipts = engine.chain.get_canonical_block_by_number(number).get_receipts(engine.chain.chaindb)
        logs = [(place, log) for place, receipt in enumerate(receipts) for log in receipt.logs]
        scanned += [
            (number, position, place, log.address, tuple(t.to_bytes(32) for t in log.topics), log.data)
            for position, (place, log) in enumerate(logs)
        ]
    found = [
        (log.block_number, log.log_index, log.transaction_index, log.address, log.topics, log.data)
        for log in engine.logs(0, engine.height)
    ]
    assert found == scanned
    assert len(found) == 12


def test_address_and_topics_may_be_one_many_or_any(bench):
    engine, probe = bench.engine, bench.probe
    bench.invoke("store", 1, 1, "x")
    bench.invoke("tag", "t", bytes(32))
    number = engine.mine().number
    stored, tagged = probe.topic("Stored"), probe.topic("Tagged")
    assert len(engine.logs(0, number, probe.address, [stored])) == 1
    assert len(engine.logs(0, number, [probe.address, bytes(20)], [[stored, tagged]])) == 2
    assert len(engine.logs(0, number, None, [None, (1).to_bytes(32)])) == 1
    assert engine.logs(0, number, []) == []
    assert engine.logs(0, number, None, [None] * 5) == []
    assert engine.logs(number, number - 1) == []


SKEWED_EVENTS = 20_000


@pytest.fixture(scope="module")
def skewed():
    """20,000 events, 20 a block: half from one contract, nearly all with one first topic, half with each last one."""
    index = filled([])
    index._db.execute("BEGIN")
    for block in range(SKEWED_EVENTS // 20):
        rows = []
        for position in range(20):
            n = 20 * block + position
            address = bytes(20) if n % 2 else (1 + n // 2 % 99).to_bytes(20)
            first = min(n % 10, 1)
            topics = [keccak(b"%d %d" % pair) for pair in ((0, first), (1, n % 200), (2, n // 7 % 200), (3, n % 2))]
            rows.append(LogRow(block, position, position, bytes(32), address, *topics, b""))
        index.add([], rows)
    index._db.execute("COMMIT")
    return index


def word(place, number):
    return [keccak(b"%d %d" % (place, number))]


@pytest.mark.parametrize(
    ("blocks", "addresses", "topics", "matches"),
    [
        ((0, 999), [bytes(20)], [word(0, 1), word(1, 3)], 100),
        ((0, 999), [], [[], [], word(2, 5)], 105),
        ((500, 509), [bytes(20)], [], 100),
        ((500, 509), [bytes(20)], [word(0, 1)], 100),
        ((500, 509), [], [[], [], [], word(3, 1)], 100),
        ((0, 999), [(7).to_bytes(20)], [word(0, 1)], 81),
        ((0, 999), [], [[], [], word(2, 5), word(3, 0)], 45),
        ((0, 999), [(7).to_bytes(20), (8).to_bytes(20)], [[], [], [], word(3, 0)], 202),
        ((990, 2**70), [], [word(0, 1)], 180),
    ],
)
def test_a_search_looks_at_few_more_rows_than_it_finds(skewed, blocks, addresses, topics, matches):
    steps = []
    skewed._db.set_progress_handler(lambda: steps.append(0), 100)
    found = skewed.search(*blocks, addresses, topics)
    skewed._db.set_progress_handler(None, 0)
    assert len(found) == matches
    assert 100 * len(steps) < 30_000  # SQLite's instructions; by a wrong index they are 70,000 to 260,000


@pytest.mark.parametrize("topic", ["topic0", "topic1", "topic2", "topic3"])
def test_every_topic_is_searched_through_an_index(topic):
    index = filled([])
    query = f"EXPLAIN QUERY PLAN SELECT * FROM logs WHERE {topic} IN (?) AND block BETWEEN 0 AND 9"
    plan = " ".join(row[3] for row in index._db.execute(query, (TOPICS[0],)))
    assert f"logs_by_{topic}" in plan
