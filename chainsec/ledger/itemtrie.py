"""Makes the Merkle Patricia trie of a list, as a block has of its transactions and its receipts.

A library's trie takes item after item and writes most nodes over and over; here every node is made once, from the
leaves up. Layer: ledger. Not here: tries that change, as accounts and storage have (``state``).
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import rlp
from eth.constants import BLANK_ROOT_HASH

from chainsec.digest import keccak
from chainsec.ledger.trienodes import BRANCH_ITEMS, compact_path, encode_node

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["make_item_trie"]

_HASH_BYTES = 32


def make_item_trie(items: Sequence[bytes]) -> tuple[bytes, dict[bytes, bytes]]:
    """Return the root of the trie that holds each item under its place, and every node by its hash.

    Args:
        items: encoded, none of them empty.

    >>> root, nodes = make_item_trie([b"first", b"second"])
    >>> root in nodes, len(nodes)
    (True, 1)

    Source: Yellow Paper, appendix D, with RLP of the place as key.
    """
    if not items:
        return BLANK_ROOT_HASH, {}
    nodes: dict[bytes, bytes] = {}
    # no RLP of a number is the beginning of another's, so that values stand in leaves only
    paths = {rlp.encode(place).hex(): item for place, item in enumerate(items)}
    encoded = encode_node(_make_node(sorted(paths.items()), 0, nodes))
    root = keccak(encoded)
    nodes[root] = encoded
    return root, nodes


def _make_node(leaves: list[tuple[str, bytes]], depth: int, nodes: dict[bytes, bytes]) -> list[Any]:
    first = leaves[0][0]
    if len(leaves) == 1:
        return [compact_path(first[depth:], is_leaf=True), leaves[0][1]]
    last = leaves[-1][0]
    shared = next(place for place in count(depth) if first[place] != last[place])
    if shared > depth:
        return [compact_path(first[depth:shared], is_leaf=False), _refer_to(_make_node(leaves, shared, nodes), nodes)]
    branch: list[Any] = [b""] * BRANCH_ITEMS
    groups: dict[str, list[tuple[str, bytes]]] = {}
    for leaf in leaves:
        groups.setdefault(leaf[0][depth], []).append(leaf)
    for digit, group in groups.items():
        branch[int(digit, 16)] = _refer_to(_make_node(group, depth + 1, nodes), nodes)
    return branch


def _refer_to(node: list[Any], nodes: dict[bytes, bytes]) -> Any:
    """Return what stands for a node in its parent: its hash, or the node itself where that is shorter."""
    encoded = encode_node(node)
    if len(encoded) < _HASH_BYTES:
        return node
    key = keccak(encoded)
    nodes[key] = encoded
    return key
