"""Looks at the head of a stored chain before anything is built on it; executes nothing.

Layer: ledger. Not here: proving a whole chain (``verify``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import rlp

from chainsec.digest import keccak
from chainsec.errors import LedgerError
from chainsec.ledger import evm

if TYPE_CHECKING:
    from chainsec.ledger.store import Store

__all__ = ["check_head", "read_genesis"]


def check_head(store: Store, chain_id: int) -> None:
    """Look at the newest block of a stored chain without executing anything.

    Its header has to be what its hash says, follow its parent, and have its state's root, its transactions and
    its index rows in the store.

    Raises:
        LedgerError: names what does not fit.
    """
    try:
        height = int(store.setting("height") or b"")
        head_hash = store[b"v1:canonical_head_hash"]
        header = rlp.decode(store[head_hash], sedes=evm.CancunBlockHeader)
        chain = evm.open_chain(store, chain_id)
        parent = rlp.decode(store[header.parent_hash], sedes=evm.CancunBlockHeader) if height else None
        checks = {
            "head's hash": keccak(rlp.encode(header)) == head_hash,
            "height": header.block_number == height,
            "parent link": parent is None or keccak(rlp.encode(parent)) == header.parent_hash,
            "state root": header.state_root == evm.EMPTY_ROOT or keccak(store[header.state_root]) == header.state_root,
            "index": [row.hash for row in store.index.transactions_of(height)]
            == list(chain.chaindb.get_block_transaction_hashes(header))
            and store.index.last_block() <= height,
            "genesis hash": rlp.decode(store[b"block-number-to-hash:0"]) == store.setting("genesis_hash"),
        }
    except Exception as error:  # whatever a damaged record sets off, the answer is one refusal
        reason = type(error).__name__
        raise LedgerError(f"{store.name}: the chain's head cannot be read: {reason}", path=store.path) from error
    for name, holds in checks.items():
        if not holds:
            raise LedgerError(f"{store.name}: the {name} does not fit the chain", path=store.path)


def read_genesis(text: bytes, name: object) -> evm.Genesis:
    """Return what the first block of the chain called ``name`` follows from.

    Raises:
        LedgerError: it cannot be read.
    """
    try:
        return evm.Genesis.from_json(text)
    except ValueError as error:
        raise LedgerError(f"{name}: its settings cannot be read: {error}", path=name) from error
