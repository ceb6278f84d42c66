"""Canonical JSON, Keccak-256 and Merkle roots: how anything becomes 32 bytes that a stranger can recompute.

Layer: bottom, below ``primitives``. Not here: signatures, ABI encoding.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from eth_hash.auto import keccak

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "canonical_json",
    "digest_json",
    "keccak",
    "merkle_proof",
    "merkle_root",
    "parse_canonical",
    "parse_json",
    "verify_merkle_proof",
]

MAX_DEPTH = 64
"""Arrays and objects in each other. py-evm lifts Python's recursion limit so far that a deeper text, which a stranger
may have written, would overflow the stack and kill the process."""

_LEAF_BYTES = 32
_TEXT = frozenset({str})
_PLAIN = frozenset({str, int, float, bool, type(None)})
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_AS_SQUARE = bytes.maketrans(b"{}", b"[]")
_OPENING = ord("[")
_STRING = re.compile(rb'"(?:[^"\\]|\\.?)*+(?:"|\Z)', re.DOTALL)


def canonical_json(value: Any) -> bytes:
    r"""Encode ``value`` as one JSON text: names sorted by code point, no spaces, UTF-8.

    Integers have no fraction, floats are written in Python's shortest form that reads back as the same double:
    ``1`` and ``1.0`` are different texts.

    Raises:
        ValueError: NaN, an infinity, a lone surrogate, a name that is no text, a type that JSON does not have, or a
            depth over ``MAX_DEPTH``.

    >>> canonical_json({"b": 0.1, "a": ["é", None]})
    b'{"a":["\xc3\xa9",null],"b":0.1}'

    Source: RFC 8785, save for the notation of numbers and the order of names beyond the Basic Multilingual Plane.
    """
    try:
        _check_structure(value, MAX_DEPTH)
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except TypeError as error:
        raise ValueError(f"not JSON: {error}") from error
    return text.encode()


def parse_canonical(text: bytes) -> Any:
    """Return the value whose canonical JSON is ``text``, whoever wrote it.

    Raises:
        ValueError: it is not canonical JSON.

    >>> parse_canonical(b'{"a":[1,2]}')
    {'a': [1, 2]}
    """
    value = parse_json(text)
    if canonical_json(value) != text:
        raise ValueError("not in canonical form")
    return value


def parse_json(text: bytes) -> Any:
    """Return the value of a JSON text in UTF-8 that a stranger may have written.

    Raises:
        ValueError: it is none, or nests deeper than ``MAX_DEPTH``.

    >>> parse_json(b'[1, {"a": null}]')
    [1, {'a': None}]
    """
    # as text: bytes might be UTF-16 to ``json``, and nest deeper than what was counted
    decoded = text.decode("utf-8", "strict")
    if is_too_deep(text):
        raise ValueError(f"deeper than {MAX_DEPTH}")
    return json.loads(decoded)


def is_too_deep(text: bytes) -> bool:
    """Tell whether JSON ``text``, in UTF-8, nests deeper than ``MAX_DEPTH``.

    To be asked before ``json`` reads what a stranger wrote: where another library has raised Python's recursion limit,
    as py-evm does, depth alone would end the process. ``json`` takes bytes of other encodings too: give it the decoded
    text.

    >>> is_too_deep(b"[" * 10_000), is_too_deep(b'{"a":[1,"[[["]}')
    (True, False)
    """
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return False
    outside = _STRING.sub(b"", text) if b"\\" in text else b"".join(text.split(b'"')[::2])
    brackets = outside.translate(_AS_SQUARE, _NO_BRACKETS)
    left = brackets
    for _ in range(MAX_DEPTH):  # each turn takes the innermost level away
        left = left.replace(b"[]", b"")
    if not left:
        return False
    depth = 0
    for token in brackets:
        depth += 1 if token == _OPENING else -1
        if depth > MAX_DEPTH:
            return True
    return False


def _check_structure(value: Any, depth: int) -> None:
    """Refuse what is too deep, and names that ``json`` would turn into text: 1 and "1" would become the same name."""
    if isinstance(value, dict):
        if not {*map(type, value)} <= _TEXT:
            odd = [name for name in value if not isinstance(name, str)]
            if odd:
                raise TypeError(f"the name {odd[0]!r} is no text")
        inside: Any = value.values()
    elif isinstance(value, (list, tuple)):
        inside = value
    else:
        return
    if not depth:
        raise ValueError(f"not JSON: deeper than {MAX_DEPTH}")
    if not {*map(type, inside)} <= _PLAIN:
        for inner in inside:
            if isinstance(inner, (dict, list, tuple)):
                _check_structure(inner, depth - 1)


def digest_json(value: Any) -> bytes:
    """Return the Keccak-256 of the canonical JSON of ``value``, 32 bytes.

    Raises:
        ValueError: as ``canonical_json``.

    >>> digest_json({}).hex()[:8]
    'b48d38f9'
    """
    return keccak(canonical_json(value))


def _node(left: bytes, right: bytes) -> bytes:
    return keccak(left + right) if left < right else keccak(right + left)


def _levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    if not leaves:
        raise ValueError("a Merkle tree needs at least one leaf")
    for place, leaf in enumerate(leaves):
        if len(leaf) != _LEAF_BYTES:
            raise ValueError(f"leaf {place} has {len(leaf)} bytes, not {_LEAF_BYTES}")
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

    A leaf must be a hash of a hash (or carry a domain prefix) so that no inner node can pass for one. Since pairs are
    sorted, the root does not commit to which of two neighbours comes first.

    Raises:
        ValueError: no leaves, or one that has not 32 bytes.

    >>> leaves = [keccak(bytes([i])) for i in range(2)]
    >>> merkle_root(leaves) == keccak(b"".join(sorted(leaves)))
    True

    Source: the tree that OpenZeppelin's ``MerkleProof.verify`` accepts.
    """
    return _levels(leaves)[-1][0]


def merkle_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the siblings from leaf ``index`` up to the root, at most ``ceil(log2(n))`` hashes.

    Raises:
        ValueError: no such leaf, or a leaf that has not 32 bytes.

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
    """Tell whether ``proof`` leads from ``leaf`` to ``root``.

    >>> verify_merkle_proof(root=bytes(32), leaf=bytes(32), proof=[])
    True
    """
    node = leaf
    for sibling in proof:
        node = _node(node, sibling)
    return node == root
