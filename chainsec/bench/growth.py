"""What reading costs as a chain grows: a query into many events, look-ups against length, reopening a file.

Layer: bench. Not here: peers, which do not get this far (``lookups``).
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from chainsec.bench.probe import BURST, KINDS, NOTED, RECORDER, word
from chainsec.bench.readings import Readings, draw, require, time_each, time_many
from chainsec.ledger.account import Account
from chainsec.ledger.contract import Contract, deployment_data
from chainsec.ledger.engine import open_engine

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from chainsec.bench.probe import Probe
    from chainsec.ledger.engine import Engine, Receipt
    from chainsec.primitives import Hash32

__all__ = ["pick_from_many", "read_at_lengths"]

_PARTS = (100, 20, 4, 2, 1)
"""Look-ups are timed when the chain has reached the whole length over each of these."""
_REOPENED_AT = 2
_BURST, _KIND = 1_000, 7
_GAS = 20_000_000
_TIMES, _SAMPLE, _REOPENINGS = 9, 200, 5
_TOLD_EVERY = 100


class _Writer:
    """Calls one contract, a transaction a block."""

    def __init__(self, engine: Engine, probe: Probe) -> None:
        self._account = Account.derive(b"chainsec bench", "growth")
        self._nonce = 0
        self.engine = engine
        deployed = self._send(None, deployment_data(probe))
        self.contract = Contract(engine, deployed.contract_address or b"", probe.abi)

    def call(self, function: str, *arguments: int) -> Receipt:
        """Mine one call and return its receipt."""
        return self._send(self.contract.address, self.contract.encode(function, *arguments))

    def _send(self, to: bytes | None, data: bytes) -> Receipt:
        signed = self._account.sign(nonce=self._nonce, to=to, data=data, gas=_GAS, chain_id=self.engine.chain_id)
        self._nonce += 1
        self.engine.send(signed.raw)
        self.engine.mine()
        receipt = self.engine.receipt(signed.hash)
        assert receipt is not None
        require(receipt.status == 1, f"transaction {signed.nonce} failed")
        return receipt


def pick_from_many(readings: Readings, events: int) -> None:
    """Time a query by topic that matches one in a thousand of ``events``."""
    with open_engine() as engine:
        writer = _Writer(engine, BURST)
        for first in range(0, events, _BURST):
            writer.call("burst", first, min(_BURST, events - first))
            readings.on_step("events", min(events, first + _BURST), events)
        address, head = writer.contract.address, engine.head().number

        def query() -> list[bytes]:
            return [log.data for log in engine.logs(0, head, address, [NOTED, word(_KIND)])]

        require(len(engine.logs(0, head, address)) == events, f"there are no {events} events")
        expected = [word(value) for value in range(_KIND, events, KINDS)]
        require(query() == expected, "the query does not return the logs that match")
        readings.add(f"{len(expected)} of {events:,} events, chainsec native", time_many(query, _TIMES))


def read_at_lengths(readings: Readings, blocks: int) -> None:
    """Time look-ups by hash in a chain file as it grows to ``blocks`` blocks, and opening it half-way."""
    with tempfile.TemporaryDirectory(prefix="chainsec-bench-") as folder:
        path = Path(folder) / "chain.sqlite"
        engine = open_engine(path=path)
        try:
            writer = _Writer(engine, RECORDER)
            hashes: list[Hash32] = []
            for part in _PARTS:
                while len(hashes) < blocks // part:
                    hashes.append(writer.call("record", len(hashes)).transaction_hash)
                    if len(hashes) % _TOLD_EVERY == 0 or len(hashes) == blocks:
                        readings.on_step("blocks", len(hashes), blocks)
                _look_up(readings, "receipt", engine.receipt, hashes)
                _look_up(readings, "transaction", engine.transaction, hashes)
                if part == _REOPENED_AT:
                    engine = _reopen(readings, engine, path)
                    writer.engine = engine
        finally:
            engine.close()


def _look_up(readings: Readings, name: str, find: Callable[[bytes], Any], hashes: list[Hash32]) -> None:
    """Time ``find`` for hashes from all over the chain, each of them once."""
    sample = draw(hashes, _SAMPLE)
    rates = time_each(find, sample)
    require(None not in map(find, sample), f"a {name} is missing")
    readings.add(f"{name} in {len(hashes):,} blocks, chainsec native", rates)


def _reopen(readings: Readings, engine: Engine, path: Path) -> Engine:
    """Time opening the file, its head's check and its first answer included; return the engine that is open then."""
    head, rates = engine.head(), []
    for done in range(1, _REOPENINGS + 1):
        engine.close()
        started = time.perf_counter()
        engine = open_engine(path=path)
        found = engine.head()
        rates.append(1 / (time.perf_counter() - started))
        require(found == head, "the head is another one after reopening")
        readings.on_step("reopenings", done, _REOPENINGS)
    readings.add(f"reopening a file of {head.number:,} blocks, chainsec", rates)
    return engine
