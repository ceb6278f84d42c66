"""Executes a node's chain again in this process, block for block, and holds every receipt against the node's.

What comes of it is a chain file that needs no node any more: evidence for whoever audits it later.
Layer: ledger. Not here: proving a chain file (``verify``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from chainsec.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainsec.ledger.engine import Block, Engine, Receipt

__all__ = ["ChainSource", "mirror_chain"]


@runtime_checkable
class ChainSource(Protocol):
    """A chain whose blocks can be read whole."""

    @property
    def name(self) -> str:
        """What executes it."""

    def head(self) -> Block:
        """Return the newest block."""

    def block(self, number: int) -> Block:
        """Return a block by number."""

    def raw_transactions(self, number: int) -> list[bytes]:
        """Return the transactions of a block as they were signed."""

    def receipts(self, transaction_hashes: Sequence[bytes]) -> list[Receipt | None]:
        """Return the receipts of several transactions."""


def mirror_chain(source: ChainSource, engine: Engine, on_block: Callable[[int, int], None] = lambda *_: None) -> None:
    """Bring ``engine`` to the head of ``source``.

    Block hashes differ, as a node may fill a header with what it likes; transactions, times, and all that
    transactions do have to be the same. What an earlier call has brought over is looked at and kept.

    Args:
        source: the chain to copy.
        engine: an in-process chain with the same chain id and genesis time.
        on_block: told how many blocks are done, and of how many.

    Raises:
        LedgerError: names the first block that cannot be the same, as where the node's EVM has other rules.
    """
    last = source.head().number
    if engine.head().number > last:
        raise LedgerError(f"block {last + 1} is not on the chain of {source.name}", block=last + 1)
    for number in range(1, last + 1):
        block = source.block(number)
        if number > engine.head().number:
            _copy(source, engine, block)
        found = engine.block(number)
        if (found.transaction_hashes, found.timestamp) != (block.transaction_hashes, block.timestamp):
            raise LedgerError(f"block {number} is another one than on the chain of {source.name}", block=number)
        _compare_receipts(source, engine, block)  # also of what was kept: an earlier call may have ended before it
        on_block(number, last)


def _copy(source: ChainSource, engine: Engine, block: Block) -> None:
    try:
        engine.send_many(source.raw_transactions(block.number))
    except LedgerError as error:
        raise LedgerError(f"block {block.number} of {source.name}: {error}", block=block.number) from error
    engine.mine(block.timestamp)


def _compare_receipts(source: ChainSource, engine: Engine, block: Block) -> None:
    hashes = block.transaction_hashes
    for stated, found in zip(source.receipts(hashes), engine.receipts(hashes), strict=True):
        if stated is None or found is None or stated != found:
            reason = _first_difference(stated, found)
            raise LedgerError(
                f"block {block.number} of {source.name}: executed again, a transaction {reason}", block=block.number
            )


def _first_difference(stated: Receipt | None, found: Receipt | None) -> str:
    if stated is None or found is None:
        return "is missing"
    for name in ("status", "gas_used", "contract_address", "index", "logs"):
        if getattr(stated, name) != getattr(found, name):
            shown = "" if name == "logs" else f": {getattr(found, name)}, not {getattr(stated, name)}"
            return f"has another {name.replace('_', ' ')}{shown}"
    return "stands in another place"
