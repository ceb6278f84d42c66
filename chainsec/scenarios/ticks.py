"""What gateways hand in together: a workload's requests by tick, by house, and by what fits into one block.

Layer: scenarios, below ``play``. Not here: filing them.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from chainsec.scenarios.workload import Attempt

Filing = tuple[str, list["Attempt"]]
"""What one house's gateway files in one transaction."""


def cut_ticks(attempts: Iterable[Attempt], length_s: int) -> Iterator[tuple[int, list[Attempt]]]:
    """Yield the attempts of each tick with the time at which they are handed in: the tick's end.

    Args:
        attempts: in time order.
        length_s: of a tick, from one whole multiple to the next; ticks in which nobody asks are left out.

    >>> from chainsec.scenarios.workload import Attempt
    >>> asks = [Attempt(time_s, "ann", "scan", "read", "service", 60) for time_s in (0, 59, 60, 200)]
    >>> [(end_s, len(tick)) for end_s, tick in cut_ticks(asks, 60)]
    [(60, 2), (120, 1), (240, 1)]
    """
    tick: list[Attempt] = []
    end_s = 0
    for attempt in attempts:
        if tick and attempt.time_s >= end_s:
            yield end_s, tick
            tick = []
        if not tick:
            end_s = (attempt.time_s // length_s + 1) * length_s
        tick.append(attempt)
    if tick:
        yield end_s, tick


def cut_blocks(
    attempts: Iterable[Attempt], house_of: Callable[[Attempt], str], batch_size: int, block_size: int
) -> Iterator[Sequence[Filing]]:
    """Yield a tick's attempts by house, as many transactions at a time as fit into one block.

    Args:
        attempts: of one tick.
        house_of: on whose behalf an attempt is made.
        batch_size: attempts in one transaction, at most.
        block_size: transactions in one block, at most.

    >>> from chainsec.scenarios.workload import Attempt
    >>> asks = [Attempt(0, who, "scan", "read", "service", 60) for who in ("ann", "bob", "ann", "ann")]
    >>> blocks = cut_blocks(asks, lambda ask: ask.requester, batch_size=2, block_size=2)
    >>> [[(house, len(asked)) for house, asked in filings] for filings in blocks]
    [[('ann', 2), ('ann', 1)], [('bob', 1)]]
    """
    filings: list[Filing] = []
    for house, group in groupby(sorted(attempts, key=house_of), key=house_of):
        asked = list(group)
        filings += [(house, asked[start : start + batch_size]) for start in range(0, len(asked), batch_size)]
    for start in range(0, len(filings), block_size):
        yield filings[start : start + block_size]
