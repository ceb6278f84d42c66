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

MODELS = "models"
"""The stream of the models that the agent uses: each anchor covers the files of one."""


def stream_hash(stream: str) -> bytes:
    """Return the on-chain name of a stream of records, 32 bytes."""
    return keccak(stream.encode())


def leaves_of(records: Sequence[bytes]) -> list[bytes]:
    """Return the records' Merkle leaves, each over its place and its content.

    The place makes the root say which record comes first, which sorted pairs alone would not; hashing twice keeps an
    inner node from passing for a leaf.
    """
    return [_leaf(place, record) for place, record in enumerate(records)]


def _leaf(place: int, record: bytes) -> bytes:
    return keccak(keccak(place.to_bytes(8, "big") + record))


class Audit:
    """Anchors records, as a notary."""

    def __init__(self, client: Client, contract: Contract) -> None:
        self._client = client
        self.contract = contract

    def anchor(self, notary: Account, stream: str, records: Sequence[bytes]) -> bytes:
        """Send: a Merkle root over ``records`` in their order, and their number. Returns the root.

        Raises:
            ValueError: no records.
        """
        root = merkle_root(leaves_of(records))
        data = self.contract.encode("anchor", stream_hash(stream), root, len(records))
        self._client.transact(notary, self.contract.address, data)
        return root

    def is_included(self, root: bytes, place: int, record: bytes, proof: Sequence[bytes]) -> bool:
        """Tell whether ``record`` is the one at ``place`` under ``root``, as the contract sees it.

        ``merkle_proof`` over ``leaves_of`` makes proofs.
        """
        return bool(self._client.call(self.contract, "isIncluded", root, _leaf(place, record), list(proof)))
