"""AuditTrail: Merkle roots of off-chain records, chained on chain.

Layer: services. Not here: the records (``journal``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from chainsec.digest import keccak, merkle_root

if TYPE_CHECKING:
    from chainsec.ledger.account import Account
    from chainsec.ledger.client import Client
    from chainsec.ledger.contract import Contract


def stream_hash(stream: str) -> bytes:
    """Return the on-chain name of a stream of records, 32 bytes."""
    return keccak(stream.encode())


def leaf_of(record: bytes) -> bytes:
    """Return a record's Merkle leaf: hashed twice, so that no inner node passes for a leaf."""
    return keccak(keccak(record))


class Audit:
    """Anchors records, as a notary."""

    def __init__(self, client: Client, contract: Contract) -> None:
        self._client = client
        self.contract = contract

    def anchor(self, notary: Account, stream: str, records: Sequence[bytes]) -> bytes:
        """Send: a Merkle root over ``records``, in order. Returns the root.

        Raises:
            ValueError: no records.
        """
        root = merkle_root([leaf_of(record) for record in records])
        data = self.contract.encode("anchor", stream_hash(stream), root, len(records))
        self._client.transact(notary, self.contract.address, data)
        return root
