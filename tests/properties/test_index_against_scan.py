"""After any blocks, snapshots and ways back, the index answers as a scan over the receipts of the chain does."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chainsec.ledger.account import Account
from chainsec.ledger.engine import Log, Receipt, open_engine
from chainsec.primitives import Address, Hash32

if TYPE_CHECKING:
    from chainsec.ledger.local import LocalEngine

SENDER = Account.derive(b"scan", "sender")
WORDS = [number.to_bytes(32, "big") for number in range(3)]


def code_of_logger() -> bytes:
    """Return code that logs as many topics as the call data's first byte says: the words after it; more than 4 fail."""
    table, bodies = bytes.fromhex("5f3560f81c"), b""  # the first byte
    start = len(table) + 5 * 8 + 1
    for count in range(5):
        table += bytes([0x80, 0x60, count, 0x14, 0x61, *(start + len(bodies)).to_bytes(2, "big"), 0x57])
        topics = b"".join(bytes([0x60, 1 + 32 * place, 0x35]) for place in reversed(range(count)))
        data = bytes([0x60, 1 + 32 * count, 0x35, 0x5F, 0x52, 0x60, 1, 0x5F])
        bodies += b"\x5b" + topics + data + bytes([0xA0 + count, 0x00])
    return table + b"\xfe" + bodies


LOGGER = code_of_logger()
INIT = bytes([0x61, *len(LOGGER).to_bytes(2, "big"), 0x80, 0x60, 0x0A, 0x5F, 0x39, 0x5F, 0xF3]) + LOGGER


class Chain:
    """An engine with three loggers, and what it should answer by reading every block."""

    def __init__(self, engine: LocalEngine) -> None:
        self.engine = engine
        for _ in range(3):
            self.send(None, INIT)
        receipts = engine.receipts(engine.mine().transaction_hashes)
        self.loggers = [Address(receipt.contract_address) for receipt in receipts]

    def send(self, to: bytes | None, data: bytes) -> Hash32:
        nonce = self.engine.next_nonce(SENDER.address)
        return self.engine.send(SENDER.sign(nonce=nonce, to=to, data=data, gas=200_000, chain_id=1337).raw)

    def scan(self) -> tuple[list[Log], dict[Hash32, Receipt]]:
        """Read every receipt of every block out of the tries."""
        found, receipts = [], {}
        for number in range(self.engine.height + 1):
            block = self.engine.chain.get_canonical_block_by_number(number)
            gas_before = position = 0
            for place, (transaction, receipt) in enumerate(
                zip(block.transactions, block.get_receipts(self.engine.chain.chaindb), strict=True)
            ):
                logs = [
                    Log(
                        Address(log.address),
                        tuple(Hash32(topic.to_bytes(32, "big")) for topic in log.topics),
                        log.data,
                        number,
                        Hash32(transaction.hash),
                        place,
                        position + offset,
                    )
                    for offset, log in enumerate(receipt.logs)
                ]
                position += len(logs)
                found += logs
                created = None if transaction.to else self.loggers[transaction.nonce]
                status = receipt.state_root == b"\x01"
                gas = receipt.gas_used - gas_before
                gas_before = receipt.gas_used
                key = Hash32(transaction.hash)
                receipts[key] = Receipt(key, number, place, int(status), gas, created, tuple(logs))
        return found, receipts


def is_match(log: Log, first: int, last: int, addresses: Any, topics: Any) -> bool:
    if not first <= log.block_number <= last or (addresses is not None and log.address not in addresses):
        return False
    return len(log.topics) >= len(topics) and all(
        choice is None or topic in choice for topic, choice in zip(log.topics, topics, strict=False)
    )


words = st.sampled_from(WORDS)
entries = st.tuples(st.integers(0, 2), st.integers(0, 5), st.lists(words, min_size=5, max_size=5))
steps = st.lists(st.lists(entries, max_size=4) | st.just("snapshot") | st.integers(0, 5), min_size=1, max_size=10)
queries = st.lists(
    st.tuples(
        st.integers(-1, 9),
        st.integers(-1, 2**70) | st.integers(0, 9),
        st.none() | st.lists(st.integers(0, 2), max_size=2),
        st.lists(st.none() | st.lists(words, min_size=1, max_size=2), max_size=4),
    ),
    min_size=1,
    max_size=6,
)


@pytest.fixture(scope="module")
def chain() -> Any:
    with open_engine(accounts=[SENDER]) as engine:
        yield Chain(engine)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=steps, queries=queries)
def test_the_index_answers_as_a_scan_of_the_receipts_does(chain, steps, queries):
    engine = chain.engine
    start = engine.snapshot()
    marks, sent = [start], []
    for step in steps:
        if step == "snapshot":
            marks.append(engine.snapshot())
        elif isinstance(step, int):
            del marks[step % len(marks) + 1 :]
            engine.revert(marks[-1])
        else:
            for who, count, topics in step:
                sent.append(chain.send(chain.loggers[who], bytes([count]) + b"".join(topics)))
            engine.mine()
    logs, receipts = chain.scan()
    for first, last, places, topics in queries:
        addresses = None if places is None else [chain.loggers[place] for place in places]
        expected = [log for log in logs if is_match(log, first, last, addresses, topics)]
        assert engine.logs(first, last, addresses, topics) == expected
    asked = [*sent, Hash32(bytes(32)), *receipts]
    assert engine.receipts(asked) == [receipts.get(key) for key in asked]
    assert [engine.receipt(key) for key in asked] == [receipts.get(key) for key in asked]
    places = Counter(receipt.block_number for receipt in receipts.values())
    assert all(len(engine.block(number).transaction_hashes) == count for number, count in places.items())
    engine.revert(start)
    assert engine.height == 1
