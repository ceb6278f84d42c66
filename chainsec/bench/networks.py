"""What a simulated network costs this machine: validators beside one engine on the same transactions, and their number.

Layer: bench. Not here: virtual time, which no figure here depends on.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from chainsec.bench.rows import Findings, Row
from chainsec.errors import LedgerError
from chainsec.ledger.account import Account
from chainsec.ledger.engine import open_engine
from chainsec.ledger.evm import DEFAULT_GENESIS_TIME, Genesis
from chainsec.network.execution import decode_raw
from chainsec.network.links import load_matrix
from chainsec.network.plan import NetworkPlan
from chainsec.network.provision import Drafts, bind_offline, deploy_offline
from chainsec.network.simulation import Simulation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["bench_network", "fit_exponent"]

PER_BLOCK = 200
SIZES = (4, 7, 16, 40, 100)
_CHAIN_ID = 1337
_SECOND_US = 1_000_000
_GAS = 150_000
_ONE, _OWN, _SHARED = "one engine", "4 validators, each executes", "4 validators, executed once for all"


def bench_network(
    *,
    transactions: int = 1_000,
    rounds: int = 3,
    blocks: int = 20,
    sizes: Sequence[int] = SIZES,
    on_step: Callable[[str, int, int], None] = lambda *_: None,
) -> Findings:
    """Measure transactions in a second of wall clock, and empty blocks in a second by the number of validators.

    Args:
        transactions: in a round, each opening an account: one new slot.
        rounds: every way takes its turn in each; medians count.
        blocks: empty ones, for each number of validators.
        sizes: numbers of validators.
        on_step: told how many turns are over.

    Raises:
        LedgerError: something had not the effect it should have.
    """
    raws = _sign(transactions)
    rates: dict[str, list[float]] = {_ONE: [], _OWN: [], _SHARED: []}
    ways: dict[str, Callable[[], float]] = {
        _ONE: lambda: _time_engine(raws),
        _OWN: lambda: _time_network(raws, is_shared=False),
        _SHARED: lambda: _time_network(raws, is_shared=True),
    }
    for turn in range(rounds * len(ways)):
        name = list(ways)[turn % len(ways)]
        rates[name].append(transactions / ways[name]())
        on_step("turns", turn + 1, rounds * len(ways))
    one = Row.of(_ONE, rates[_ONE])
    rows = [Row.of(name, found, one) for name, found in rates.items()]
    notes = [f"{row.name}: {1 / (row.ratio or 1):.2f} times the wall clock of one engine" for row in rows[1:]]
    spent: dict[int, float] = {}
    for done, size in enumerate(sizes, 1):
        spent[size], messages = _time_empty(size, blocks)
        rows.append(Row.of(f"{size} validators, empty blocks, {messages} messages a block", [1 / spent[size]]))
        on_step("sizes", done, len(sizes))
    if len(spent) > 1:
        notes.append(f"wall clock of an empty block grows with the validators' number to the {fit_exponent(spent):.2f}")
    settings = {"transactions": transactions, "rounds": rounds, "blocks": blocks, "has_gossip": False}
    return Findings("network", rows, settings, "a second of wall clock", notes)


def fit_exponent(spent: dict[int, float]) -> float:
    """Return the exponent of the power law that fits times by size best, by least squares on logarithms.

    >>> round(fit_exponent({10: 100.0, 20: 400.0, 40: 1600.0}), 3)
    2.0
    """
    points = [(math.log(size), math.log(seconds)) for size, seconds in spent.items()]
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / sum((x - middle_x) ** 2 for x, _ in points)


def _sign(count: int) -> list[bytes]:
    drafts, sender = Drafts(_CHAIN_ID), Account.derive(b"bench", "sender")
    contract = bind_offline("Accounts", deploy_offline(drafts, sender, "Accounts"))
    for number in range(count):
        drafts.transact(sender, contract.address, contract.encode("open", f"account {number}", 10_000), gas=_GAS)
    return drafts.take()


def _batches(raws: Sequence[bytes]) -> list[Sequence[bytes]]:
    return [raws[start : start + PER_BLOCK] for start in range(0, len(raws), PER_BLOCK)]


def _time_engine(raws: Sequence[bytes]) -> float:
    decode_raw.cache_clear()
    with open_engine(chain_id=_CHAIN_ID, accounts=()) as engine:
        started = time.perf_counter()
        for batch in _batches(raws):
            engine.send_many(batch)
            engine.mine()
        elapsed_s = time.perf_counter() - started
        if sum(len(engine.block(number).transaction_hashes) for number in range(engine.head().number + 1)) != len(raws):
            raise LedgerError("one engine: left a transaction out")
    return elapsed_s


def _plan(validators: int, *, is_shared: bool) -> NetworkPlan:
    matrix = load_matrix("wan")
    regions = tuple(matrix.regions[place % len(matrix.regions)] for place in range(validators))
    genesis = Genesis(chain_id=_CHAIN_ID, timestamp=DEFAULT_GENESIS_TIME)
    return NetworkPlan(7, genesis, matrix, regions, validators, has_gossip=False, is_execution_shared=is_shared)


def _time_network(raws: Sequence[bytes], *, is_shared: bool) -> float:
    decode_raw.cache_clear()
    network = Simulation(_plan(4, is_shared=is_shared))
    started = time.perf_counter()
    network.start()
    for batch in _batches(raws):
        network.nodes[0].begin(network.time_us)
        network.nodes[0].submit(batch)
        network.run_until(network.time_us + _SECOND_US)
    network.run_until(network.time_us + 2 * _SECOND_US)
    elapsed_s = time.perf_counter() - started
    for node in network.nodes:
        if sum(len(block.transactions) for block in node.chain.blocks) != len(raws) or network.agreement.violations:
            raise LedgerError(f"{node.name}: has another chain than it should")
    return elapsed_s


def _time_empty(validators: int, blocks: int) -> tuple[float, int]:
    """Return the wall clock of an empty block, and its messages."""
    network = Simulation(_plan(validators, is_shared=validators > 4))  # noqa: PLR2004 - nothing is executed either way
    network.start()
    network.run_until(2 * _SECOND_US)
    before, sent, started = network.agreement.height, sum(network.messages.values()), time.perf_counter()
    network.run_until((2 + blocks) * _SECOND_US)
    elapsed_s, made = time.perf_counter() - started, network.agreement.height - before
    return elapsed_s / made, (sum(network.messages.values()) - sent) // made
