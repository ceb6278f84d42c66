"""Transactions in a second: plain web3.py with eth-tester, and every way of ours and of a node beside it.

Layer: bench. Not here: how each way sends (``senders``).
"""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from chainsec.bench.rows import PLAIN, Findings, Turns, compare
from chainsec.bench.sampling import profile
from chainsec.bench.senders import EngineSender, RawSender, Web3Sender, open_plain
from chainsec.ledger.anvil import ANVIL_MISSING, Anvil, find_anvil
from chainsec.ledger.engine import open_engine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chainsec.bench.rows import Peer

__all__ = ["NO_NODE", "bench_engine"]

PER_BLOCK, PER_REQUEST = 200, 100
_THROUGH_WEB3 = "chainsec through web3, a block each"
_NATIVE, _ON_NODE = (f"chainsec {place}, {PER_BLOCK} a block" for place in ("native", "on anvil"))
_PROFILED = {"plain": PLAIN, "through web3": _THROUGH_WEB3, "native": _NATIVE, "on anvil": _ON_NODE}
NO_NODE = f"no rows on anvil: {ANVIL_MISSING.removeprefix('needs anvil: ')}"


def bench_engine(
    *,
    transactions: int = 200,
    rounds: int = 5,
    is_profiled: bool = False,
    on_step: Callable[[str, int, int], None] = lambda *_: None,
) -> Findings:
    """Measure transactions in a second, each with one write and one event, from arguments to receipts.

    Args:
        transactions: of plain web3.py and eth-tester in a round; the faster a way, the more it sends.
        rounds: every way takes its turn in each; medians count.
        is_profiled: look afterwards where the time goes.
        on_step: told how many turns are over.

    Raises:
        LedgerError: a transaction had not the effect it should have, or anvil does not start.
    """
    program = find_anvil()
    with ExitStack() as stack:
        peers: list[Peer] = [
            Web3Sender(PLAIN, open_plain()),
            Web3Sender(f"{PLAIN}, gas estimated", open_plain(), gas=None, share=0.5),
            *_in_process(stack),
        ]
        raw = _raw_on_node(stack, program) if program else []
        peers += raw
        if program:
            peers += _on_node(stack, program)
        turns = Turns(peers)
        turns.take(transactions, rounds, on_step, "turns")
        named = {peer.name: peer for peer in peers} if is_profiled else {}
        shares = {
            title: profile(named[name], round(transactions * named[name].share))
            for title, name in _PROFILED.items()
            if name in named
        }
        stalls = sum(peer.stalls for peer in raw)
    notes = [] if program else [NO_NODE]
    if stalls:
        notes.append(f"anvil left a transaction unmined for a second {stalls} times and was told to mine")
    settings = {"transactions": transactions, "rounds": rounds}
    return Findings("engine", compare(turns.rates.items()), settings, "transactions/s", notes, shares)


def _in_process(stack: ExitStack) -> list[Peer]:
    one, together, native = (stack.enter_context(open_engine()) for _ in range(3))
    return [
        Web3Sender(_THROUGH_WEB3, one.web3),
        Web3Sender("chainsec through web3, mined together", together.web3, per_block=PER_BLOCK, share=2),
        EngineSender(_NATIVE, native, per_block=PER_BLOCK, share=5),
    ]


def _raw_on_node(stack: ExitStack, program: Path) -> list[RawSender]:
    one = stack.enter_context(Anvil(program=program))
    batched = stack.enter_context(Anvil(program=program, block_gas_limit=10**9, arguments=["--no-mining"]))
    senders = [
        RawSender("anvil, JSON-RPC, one a request", one.url, batch=1, share=2),
        RawSender(f"anvil, JSON-RPC, batches of {PER_REQUEST}", batched.url, batch=PER_REQUEST, share=10),
    ]
    for sender in senders:
        stack.enter_context(closing(sender))
    return senders


def _on_node(stack: ExitStack, program: Path) -> list[Peer]:
    nodes = [stack.enter_context(Anvil(program=program)) for _ in range(2)]
    one, together = (stack.enter_context(open_engine(node.url, is_exclusive=True)) for node in nodes)
    return [
        EngineSender("chainsec on anvil, a block each", one, per_block=1, share=2),
        EngineSender(_ON_NODE, together, per_block=PER_BLOCK, share=10),
    ]
