"""What a benchmark gives: rows of figures, facts of the machine, and how peers take turns.

Layer: bench, at its bottom. Not here: what is measured.
"""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from statistics import median
from typing import TYPE_CHECKING, Any, Protocol

from chainsec import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = ["PLAIN", "Findings", "Peer", "Row", "Turns", "compare", "machine_facts"]

PLAIN = "web3 + eth-tester"
"""The peer that ratios are against."""

_PACKAGES = ("web3", "eth-tester", "py-evm", "coincurve")


@dataclass(frozen=True)
class Row:
    """One measured way of doing something.

    Args:
        name: what was done, and how.
        per_second: how many of it in a second, the median of the rounds.
        ratio: how often as many as its peer did; None where there is none.
        lowest: the slowest round, in a second.
        highest: the fastest round, in a second.
        rounds: how many of them.
    """

    name: str
    per_second: float
    ratio: float | None
    lowest: float
    highest: float
    rounds: int

    @classmethod
    def of(cls, name: str, rates: Sequence[float], peer: Row | None = None) -> Row:
        """Return the row of what was measured, beside ``peer``; without one it has no ratio.

        Args:
            name: the row's.
            rates: how many in a second, by round; at least one.
            peer: what it is held against.

        >>> plain = Row.of("plain", [90.0, 100.0, 130.0])
        >>> Row.of("ours", [400.0, 300.0, 350.0], plain).ratio
        3.5
        """
        middle = median(rates)
        ratio = None if peer is None else middle / peer.per_second
        return cls(name, middle, ratio, min(rates), max(rates), len(rates))

    @property
    def milliseconds(self) -> float:
        """How long one takes."""
        return 1000 / self.per_second


@dataclass(frozen=True)
class Findings:
    """What a benchmark has found.

    Args:
        bench: its name.
        rows: in the order they are to be read in.
        settings: what it was run with.
        unit: what the rows are best read in: "ms" for milliseconds each, otherwise how many a second.
        notes: what a reader of the rows has to know.
        shares: by place, what share of the time each kind of work takes; empty where nobody looked.
    """

    bench: str
    rows: Sequence[Row]
    settings: Mapping[str, Any]
    unit: str
    notes: Sequence[str] = ()
    shares: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """Return everything, and the facts of this machine, as JSON text; figures are rounded nowhere."""
        rows = [{**asdict(row), "milliseconds": row.milliseconds} for row in self.rows]
        content = {
            "bench": self.bench,
            "rows": rows,
            "settings": self.settings,
            "notes": self.notes,
            "shares": self.shares,
            "machine": machine_facts(),
        }
        return json.dumps(content, indent=2).encode() + b"\n"


def machine_facts() -> dict[str, Any]:
    """Return what a figure depends on besides the code: interpreter, versions of what it is held against, cores."""
    return {
        "chainsec": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        **{package: version(package) for package in _PACKAGES},
    }


class Peer(Protocol):
    """Something that can be timed."""

    @property
    def name(self) -> str:
        """What its row is called."""

    @property
    def share(self) -> float:
        """How many it does while the first peer does one; more where it is fast, so that its time can be told."""

    def run(self, count: int) -> Callable[[], None]:
        """Do it ``count`` times, and return what checks afterwards, untimed, that it was done.

        Raises:
            LedgerError: out of the check: something had not the effect it should have.
        """


class Turns:
    """Lets peers take turns, so that a machine whose speed drifts drifts for all of them.

    Args:
        peers: in the order of their turns.
        clock: seconds that never go back.
    """

    def __init__(self, peers: Sequence[Peer], clock: Callable[[], float] = time.perf_counter) -> None:
        self._peers = peers
        self._clock = clock
        self.rates: dict[str, list[float]] = {peer.name: [] for peer in peers}

    def take(self, count: int, rounds: int, on_step: Callable[[str, int, int], None], step: str) -> None:
        """Let each peer run once unmeasured, shortly, and then ``rounds`` times.

        Args:
            count: how many the first peer does in a round; the others as many as their share of it.
            rounds: at least 1.
            on_step: told which turn of all is over.
            step: what the turns are called there.
        """
        for peer in self._peers:
            peer.run(max(1, round(count * peer.share) // 10))()
        done, turns = 0, rounds * len(self._peers)
        for _ in range(rounds):
            for peer in self._peers:
                todo = max(1, round(count * peer.share))
                started = self._clock()
                check = peer.run(todo)
                elapsed_s = self._clock() - started
                check()
                self.rates[peer.name].append(todo / elapsed_s)
                done += 1
                on_step(step, done, turns)


def compare(turns: Iterable[tuple[str, Sequence[float]]]) -> list[Row]:
    """Return rows whose ratios are against the first.

    >>> [(row.name, row.ratio) for row in compare([("plain", [100.0]), ("ours", [250.0])])]
    [('plain', 1.0), ('ours', 2.5)]
    """
    rows: list[Row] = []
    for name, rates in turns:
        base = rows[0] if rows else Row.of(name, rates)
        rows.append(Row.of(name, rates, base))
    return rows
