"""What a network begins with: the first block alone, or a chain that was laid before there were validators.

Layer: network. Not here: what is laid (``scenarios.stage``), agreeing on what follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainsec.network.execution import genesis_block
from chainsec.network.extradata import ExtraData
from chainsec.network.header import EMPTY_TRIE_ROOT, Block, Header

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainsec.ledger.evm import Genesis
    from chainsec.ledger.local import LocalEngine
    from chainsec.network.execution import Executor
    from chainsec.primitives import Address

__all__ = ["Founding", "executed_header", "found_empty", "found_on", "founding_blocks"]


@dataclass(frozen=True)
class Founding:
    """Blocks that every node has from the start, and the states that stand behind them.

    Args:
        blocks: from the first on, without seals: nobody had to agree on them.
        nodes: of the states' tries, by hash; None where ``genesis`` gives the only state.
        genesis: settings of the first block.
    """

    blocks: tuple[Block, ...]
    genesis: Genesis
    nodes: tuple[tuple[bytes, bytes], ...] | None = None

    def provide(self, executor: Executor) -> None:
        """Give an executor the states."""
        if self.nodes is None:
            executor.put_genesis(self.genesis)
        else:
            executor.put_nodes(self.nodes)


def found_empty(genesis: Genesis, validators: Sequence[Address], executor: Executor) -> Founding:
    """Return a founding of the first block alone."""
    return Founding((genesis_block(genesis, validators, executor.put_genesis(genesis)),), genesis)


def found_on(engine: LocalEngine, validators: Sequence[Address]) -> Founding:
    """Return a founding on everything that stands in ``engine``: its blocks, under headers as validators write them."""
    blocks = founding_blocks(engine, validators, engine.height)
    return Founding(blocks, engine.genesis, tuple(_state_nodes(engine)))


def founding_blocks(engine: LocalEngine, validators: Sequence[Address], height: int) -> tuple[Block, ...]:
    """Return the blocks of ``engine`` up to ``height``, under headers as validators write them, unsealed."""
    extra = ExtraData(tuple(sorted(validators)))
    blocks: list[Block] = []
    for number in range(height + 1):
        sealed = engine.sealed_block(number)
        header = executed_header(
            engine,
            number,
            parent_hash=blocks[-1].header.hash if blocks else bytes(32),
            coinbase=sealed.header.coinbase,
            extra_data=extra.encode(),
        )
        blocks.append(Block(header, tuple(transaction.encode() for transaction in sealed.transactions)))
    return tuple(blocks)


def executed_header(
    engine: LocalEngine, number: int, *, parent_hash: bytes, coinbase: Address, extra_data: bytes
) -> Header:
    """Return the header that validators write over what ``engine`` has executed as its block ``number``.

    Args:
        engine: holds the block.
        number: of the block.
        parent_hash: what validators call the block before it.
        coinbase: who proposed it.
        extra_data: validators, vote, round and seals.
    """
    found = engine.sealed_block(number).header
    return Header(
        parent_hash=parent_hash,
        coinbase=coinbase,
        state_root=found.state_root,
        transaction_root=found.transaction_root,
        receipt_root=found.receipt_root,
        bloom=found.bloom,
        block_number=number,
        gas_limit=found.gas_limit,
        gas_used=found.gas_used,
        timestamp=found.timestamp,
        extra_data=extra_data,
        parent_beacon_block_root=None if number else bytes(32),
    )


def _state_nodes(engine: LocalEngine) -> list[tuple[bytes, bytes]]:
    width = len(EMPTY_TRIE_ROOT)
    return [(key, value) for key, value in engine.store.rows("records") if len(key) == width]
