"""Where the time goes: looks at the running code a thousand times a second and counts what it was at.

Unlike a tracing profiler it slows nothing down by much, and time in C code and in waiting for a node counts for whoever
called it. Layer: bench. Not here: what runs meanwhile.
"""

from __future__ import annotations

import signal
import sysconfig
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

    from chainsec.bench.rows import Peer

__all__ = ["KINDS_OF_WORK", "REST", "Sampler", "kind_of_work", "profile"]

_EVERY_S = 0.001
_STANDARD = sysconfig.get_path("stdlib") + "/"
_OWN = str(Path(__file__).parents[1]) + "/"
REST = "everything else"

KINDS_OF_WORK: Sequence[tuple[str, tuple[str, ...]]] = (
    ("waiting for the node", ("<stdlib>/socket.py", "<stdlib>/ssl.py", "/urllib3/", "/websockets/", "<stdlib>/http/")),
    ("JSON-RPC", ("<own>/ledger/rpc/", "/requests/")),
    ("signatures", ("/eth_keys/", "/coincurve/", "<own>/ledger/account.py", "<own>/ledger/signed.py")),
    (
        "state and trie",
        (
            "/trie/",
            "/eth/db/",
            "/eth/vm/forks/frontier/state.py",
            *(f"<own>/ledger/{module}.py" for module in ("state", "itemtrie", "trienodes")),
        ),
    ),
    ("SQLite", ("<own>/ledger/store.py", "<own>/ledger/logindex.py")),
    ("EVM", ("<own>/ledger/interpreter.py", "/eth/vm/", "/eth/precompiles/", "<own>/ledger/evm.py")),
    ("blocks and receipts", ("/eth/", "<own>/ledger/local.py", "<own>/ledger/pool.py", "<own>/ledger/reader.py")),
    (
        "ABI coding",
        ("/eth_abi/", "<own>/ledger/codec.py", "<own>/ledger/words.py", "<own>/ledger/contract.py", "<own>/services/"),
    ),
    ("journal and receipts", ("<own>/journal.py", "<own>/defence/receipts.py")),
    ("contexts", ("<own>/contexts.py", "<own>/sandbox.py", "<own>/chain_agent.py")),
    ("scoring", ("<own>/defence/", "/sklearn/")),
    (
        "web3 and eth-tester",
        (
            "/web3/",
            "/eth_tester/",
            "/eth_account/",
            *(f"<own>/ledger/{module}.py" for module in ("ethtester", "ethbackend", "web3provider")),
        ),
    ),
)
"""What code of which place is at work on; a place is part of a file's path, and the first that fits counts."""


def kind_of_work(path: str) -> str | None:
    """Return what the code in a file is at work on; None where that depends on its caller.

    >>> kind_of_work("/venv/site-packages/eth/vm/stack.py"), kind_of_work("/venv/site-packages/rlp/codec.py")
    ('EVM', None)
    """
    for kind, places in KINDS_OF_WORK:
        for place in places:
            if place.startswith("<"):
                whole = place.replace("<own>/", _OWN).replace("<stdlib>/", _STANDARD)
                if path.startswith(whole):
                    return kind
            elif place in path:
                return kind
    return None


class Sampler:
    """Counts what this thread is at, while ``watching``; only in the main thread, and one at a time."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._kinds: dict[str, str | None] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Take samples of real time, waiting included, until the block is left."""
        before = signal.signal(signal.SIGALRM, self._look)
        signal.setitimer(signal.ITIMER_REAL, _EVERY_S, _EVERY_S)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def shares(self) -> dict[str, float]:
        """Return the share of the samples that each kind of work has, largest first; they add up to 1."""
        total = sum(self._counts.values())
        return {kind: count / total for kind, count in self._counts.most_common()}

    def _look(self, _: int, frame: FrameType | None) -> None:
        while frame is not None:
            kind = self._kind(frame.f_code.co_filename)
            if kind is not None:
                self._counts[kind] += 1
                return
            frame = frame.f_back
        self._counts[REST] += 1

    def _kind(self, path: str) -> Any:
        if path not in self._kinds:
            self._kinds[path] = kind_of_work(path)
        return self._kinds[path]


def profile(peer: Peer, count: int) -> dict[str, float]:
    """Let a peer run ``count`` times and return what share of the time each kind of work took.

    Raises:
        LedgerError: what it did had not the effect it should have.
    """
    sampler = Sampler()
    with sampler.watching():
        check = peer.run(count)
    check()
    return sampler.shares()
