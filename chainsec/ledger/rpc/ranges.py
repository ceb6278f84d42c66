"""Reads logs in ranges of blocks that the node can bear: smaller after a refusal, larger again while it goes well.

Nodes bound what one ``eth_getLogs`` may cover or return, each in its own way and with its own words.
Layer: ledger. Not here: asking (``caller``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainsec.errors import NodeUnreachable, TooMuch
from chainsec.ledger.rpc.caller import RpcError

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainsec.ledger.engine import Log

__all__ = ["LogRanges"]

_WIDEST_BLOCKS = 100_000
_GROWTH_RATE = 0.25
"""Slow enough that a limit, once found, is run into only now and then."""


class LogRanges:
    """Cuts ranges into pieces, and remembers from one to the next how wide a piece may be.

    Args:
        widest_blocks: what is tried first.

    ``width_blocks`` is what is asked for next.

    >>> def fetch(first, last):
    ...     if last - first >= 10:
    ...         raise RpcError("eth_getLogs", {"code": -32005, "message": "at most 10 blocks"})
    ...     return list(range(first, last + 1))
    >>> ranges = LogRanges(widest_blocks=64)
    >>> ranges.read(fetch, 1, 40) == list(range(1, 41)), ranges.width_blocks <= 20
    (True, True)
    """

    def __init__(self, *, widest_blocks: int = _WIDEST_BLOCKS) -> None:
        self._widest_blocks = widest_blocks
        self.width_blocks = widest_blocks

    def read(self, fetch: Callable[[int, int], list[Log]], from_block: int, to_block: int) -> list[Log]:
        """Return the logs of a range in chain order.

        Args:
            fetch: returns the logs from a first to a last block, both included.
            from_block: first block.
            to_block: last block.

        Raises:
            RpcError, TooMuch: the node refuses even a single block.
            NodeUnreachable: it gives no answer, not even for a single block.
        """
        found: list[Log] = []
        first = from_block
        while first <= to_block:
            last = min(to_block, first + self.width_blocks - 1)
            try:
                found += fetch(first, last)
            except (RpcError, NodeUnreachable, TooMuch) as error:
                if last == first or (isinstance(error, RpcError) and error.is_unsupported):
                    raise
                self.width_blocks = (last - first + 1) // 2
                continue
            wider = self.width_blocks + 1 + int(self.width_blocks * _GROWTH_RATE)
            self.width_blocks = min(self._widest_blocks, wider)
            first = last + 1
        return found
