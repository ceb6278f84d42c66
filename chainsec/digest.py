"""Canonical JSON, Keccak-256 and Merkle roots: how anything becomes 32 bytes that a stranger can recompute.

Layer: bottom, beside ``primitives``. Not here: signatures, ABI encoding.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from eth_hash.auto import keccak

__all__ = ["canonical_json", "digest_json", "keccak", "merkle_proof", "merkle_root", "verify_merkle_proof"]


def canonical_json(value: Any) -> bytes:
    """Encode ``value`` as the one JSON text that equal values share: sorted keys, no spaces, UTF-8.

    Floats are written in Python's shortest form that reads back as the same double.

    Raises:
        ValueError: NaN, an infinity, or a type that JSON does not have.

    >>> canonical_json({"b": 0.1, "a": ["é", None]})
    b'{"a":["\\xc3\\xa9",null],"b":0.1}'

    Source: the rules of RFC 8785, save that numbers keep Python's notation.
    """
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except TypeError as error:
        raise ValueError(f"not JSON: {error}") from error
    return text.encode()


def digest_json(value: Any) -> bytes:
    """Return the Keccak-256 of the canonical JSON of ``value``, 32 bytes."""
    return keccak(canonical_json(value))


def _node(left: bytes, right: bytes) -> bytes:
    return keccak(left + right) if left < right else keccak(right + left)


def _levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    levels = [list(leaves)]
    while len(levels[-1]) > 1:
        row = levels[-1]
        above = [_node(row[i], row[i + 1]) for i in range(0, len(row) - 1, 2)]
        if len(row) % 2:
            above.append(row[-1])
        levels.append(above)
    return levels


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Return the Merkle root of 32-byte ``leaves``; pairs are sorted, so proofs need no left/right marks.

    A leaf must be a hash of a hash (or carry a domain prefix) so that no inner node can pass for one.

    Raises:
        ValueError: no leaves.

    Source: the tree that OpenZeppelin's ``MerkleProof.verify`` accepts.
    """
    if not leaves:
        raise ValueError("a Merkle tree needs at least one leaf")
    return _levels(leaves)[-1][0]


def merkle_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the siblings from leaf ``index`` up to the root, at most ``ceil(log2(n))`` hashes.

    >>> leaves = [keccak(bytes([i])) for i in range(5)]
    >>> all(verify_merkle_proof(merkle_root(leaves), leaf, merkle_proof(leaves, i)) for i, leaf in enumerate(leaves))
    True
    """
    if not 0 <= index < len(leaves):
        raise ValueError(f"no leaf {index} among {len(leaves)}")
    proof = []
    for row in _levels(leaves)[:-1]:
        sibling = index ^ 1
        if sibling < len(row):
            proof.append(row[sibling])
        index //= 2
    return proof


def verify_merkle_proof(root: bytes, leaf: bytes, proof: Sequence[bytes]) -> bool:
    """Tell whether ``proof`` leads from ``leaf`` to ``root``."""
    node = leaf
    for sibling in proof:
        node = _node(node, sibling)
    return node == root


