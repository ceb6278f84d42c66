"""What reading costs beside plain eth-tester on a chain of the same length: logs, receipts, transactions, marks.

Layer: bench. Not here: longer chains, which eth-tester does not carry (``growth``); sending (``engines``).
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from chainsec.bench.growth import pick_from_many, read_at_lengths
from chainsec.bench.probe import RECORDED, word
from chainsec.bench.readings import Readings, draw, require, time_each, time_many
from chainsec.bench.rows import PLAIN, Findings
from chainsec.bench.senders import Web3Sender, open_plain
from chainsec.errors import ConfigError
from chainsec.ledger.engine import open_engine

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainsec.bench.rows import Row
    from chainsec.ledger.engine import Engine

__all__ = ["EVENTS", "bench_lookups"]

EVENTS, FEW_EVENTS = 400, 100
SHORTEST_CHAIN, FEWEST_EVENTS = 100, 1_000
_TIMES, _SLOW_TIMES, _SAMPLE = 9, 3, 20


def bench_lookups(
    *,
    blocks: int = 20_000,
    events: int = 100_000,
    has_slow_peers: bool = False,
    on_step: Callable[[str, int, int], None] = lambda *_: None,
) -> Findings:
    """Measure what reading costs; a ratio of 1 is plain eth-tester doing the same.

    Args:
        blocks: length of the longest chain, one transaction a block, at least 100; half of them are reopened.
        events: in the chain that a query picks one in a thousand from; at least 1,000.
        has_slow_peers: let eth-tester, too, read all 400 events, which takes it some 20 seconds; otherwise 100.
        on_step: told what is being done, and how much of it.

    Raises:
        ConfigError: a size out of range.
        LedgerError: something read is not what was written.
    """
    if blocks < SHORTEST_CHAIN or events < FEWEST_EVENTS:
        raise ConfigError(
            f"needs at least {SHORTEST_CHAIN} blocks and {FEWEST_EVENTS:,} events, not {blocks} and {events:,}"
        )
    readings = Readings(on_step)
    _read_beside_plain(readings, EVENTS if has_slow_peers else FEW_EVENTS)
    pick_from_many(readings, events)
    read_at_lengths(readings, blocks)
    fewer = f"{PLAIN} read {FEW_EVENTS} events, not {EVENTS}: its time grows with their square (all: --slow-peers)"
    notes = [] if has_slow_peers else [fewer]
    settings = {"blocks": blocks, "events": events, "slow_peers": has_slow_peers}
    return Findings("lookups", readings.rows, settings, "ms", notes)


def _read_beside_plain(readings: Readings, count: int) -> None:
    """Time reading on two chains of ``count`` blocks with an event each, then logs on ours with 400."""
    with open_engine() as engine:
        plain, ours = Web3Sender(PLAIN, open_plain()), Web3Sender("chainsec", engine.web3)
        _record(readings, plain, count, "plain chain")
        _record(readings, ours, count, "own chain")
        found: list[int] = []
        rates = time_many(lambda: found.append(len(_query(plain))), _SLOW_TIMES if count < EVENTS else 1)
        require(set(found) == {count}, "eth-tester does not return the logs that were written")
        peer = readings.add_peer(f"{count} events, {PLAIN}", rates)
        _read_logs(readings, ours, engine, count, peer)
        _find_by_hash(readings, plain, engine, ours)
        if count < EVENTS:
            _record(readings, ours, EVENTS - count, "longer chain")
            _read_logs(readings, ours, engine, EVENTS, None)
        _go_back(readings, plain, engine, ours)


def _record(readings: Readings, sender: Web3Sender, count: int, step: str) -> None:
    for done in range(1, count + 1):
        sender.run(1)()
        readings.on_step(step, done, count)


def _query(sender: Web3Sender) -> Any:
    topic: Any = f"0x{RECORDED.hex()}"
    return sender.web3.eth.get_logs(
        {"fromBlock": 0, "toBlock": "latest", "address": sender.contract.address, "topics": [topic]}
    )


def _read_logs(readings: Readings, ours: Web3Sender, engine: Engine, count: int, peer: Row | None) -> None:
    address, head = bytes.fromhex(ours.contract.address[2:]), engine.head().number
    written = [word(value) for value in range(1, count + 1)]
    require([log["data"] for log in _query(ours)] == written, "web3 does not return the logs that were written")
    readings.add(f"{count} events, chainsec through web3", time_many(lambda: _query(ours), _TIMES), peer)
    found = [log.data for log in engine.logs(0, head, address, [RECORDED])]
    require(found == written, "the engine does not return the logs that were written")
    rates = time_many(lambda: engine.logs(0, head, address, [RECORDED]), _TIMES)
    readings.add(f"{count} events, chainsec native", rates, peer)


def _tester(sender: Web3Sender) -> Any:
    return sender.web3.provider.ethereum_tester  # type: ignore[attr-defined] # the provider is a tester's


def _find_by_hash(readings: Readings, plain: Web3Sender, engine: Engine, ours: Web3Sender) -> None:
    hashes = {
        sender: [block["transactions"][0] for block in map(sender.web3.eth.get_block, range(1, head + 1))]
        for sender, head in ((plain, plain.web3.eth.block_number), (ours, engine.head().number))
    }
    ways: list[tuple[str, Callable[[Any, str], Any], Callable[[bytes], Any]]] = [
        ("receipt", lambda tester, key: tester.get_transaction_receipt(key), engine.receipt),
        ("transaction", lambda tester, key: tester.get_transaction_by_hash(key), engine.transaction),
    ]
    for name, ask, native in ways:
        named = f"{name} in {len(hashes[ours]):,} blocks"
        theirs, own = ([f"0x{key.hex()}" for key in draw(hashes[sender], _SAMPLE)] for sender in (plain, ours))
        peer = readings.add_peer(f"{named}, eth-tester", time_each(partial(ask, _tester(plain)), theirs))
        readings.add(f"{named}, chainsec as tester", time_each(partial(ask, _tester(ours)), own), peer)
        mine = [bytes(key) for key in draw(hashes[ours], _SAMPLE)]
        require(None not in map(native, mine), f"a {name} is missing")
        readings.add(f"{named}, chainsec native", time_each(native, mine), peer)


def _go_back(readings: Readings, plain: Web3Sender, engine: Engine, ours: Web3Sender) -> None:
    """Time a mark and the way back to it, with a mined transaction in between that goes untimed."""
    tester = _tester(plain)
    theirs: list[float] = []
    own: list[float] = []
    for done in range(1, _TIMES + 1):
        theirs.append(_time_mark(tester.take_snapshot, plain, tester.revert_to_snapshot))
        own.append(_time_mark(engine.snapshot, ours, engine.revert))
        readings.on_step("marks", done, _TIMES)
    peer = readings.add_peer("snapshot and revert, eth-tester", theirs)
    readings.add("snapshot and revert, chainsec native", own, peer)


def _time_mark(mark: Callable[[], Any], sender: Web3Sender, revert: Callable[[Any], object]) -> float:
    height = sender.web3.eth.block_number
    started = time.perf_counter()
    found = mark()
    marked = time.perf_counter()
    sender.run(1)()
    require(sender.web3.eth.block_number == height + 1, f"{sender.name} made no block")
    resumed = time.perf_counter()
    revert(found)
    ended = time.perf_counter()
    require(sender.web3.eth.block_number == height, f"{sender.name} did not go back")
    return 1 / (marked - started + ended - resumed)
