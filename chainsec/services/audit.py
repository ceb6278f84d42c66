"""AuditTrail: Merkle roots of off-chain records, in a chain of anchors.

Layer: services. Not here: the records (``journal``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainsec.digest import keccak, merkle_root

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        """Send: a Merkle root over ``records`` and their number. Returns the root.

        The root does not say which of two neighbours comes first; see ``merkle_root``.

        Raises:
            ValueError: no records.
        """
        root = merkle_root([leaf_of(record) for record in records])
        data = self.contract.encode("anchor", stream_hash(stream), root, len(records))
        self._client.transact(notary, self.contract.address, data)
        return root

    def is_included(self, root: bytes, record: bytes, proof: Sequence[bytes]) -> bool:
        """Tell whether ``record`` is under ``root``, as the contract sees it; ``merkle_proof`` makes proofs."""
        return bool(self._client.call(self.contract, "isIncluded", root, leaf_of(record), list(proof)))
