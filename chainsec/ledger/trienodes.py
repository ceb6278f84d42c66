"""Encodes and decodes the nodes of Merkle Patricia tries, and the numbers in them, as the RLP library does, but faster.

What is unusual, a damaged node among it, is left to the library, so that errors are the same too.
Layer: ledger. Not here: tries (``state``, ``itemtrie``).
"""

from __future__ import annotations

from typing import Any

import rlp
from rlp.codec import encode_raw, length_prefix

__all__ = ["BRANCH_ITEMS", "compact_path", "decode_integer", "decode_node", "encode_node", "expand_path"]

BRANCH_ITEMS = 17
_HASH_BYTES = 32
# RLP: where each kind of item starts, and how long a long one is at least
_EMPTY, _HASH, _LONG, _LIST, _LONG_LIST, _LEAST_LONG = 0x80, 0xA0, 0xB8, 0xC0, 0xF8, 56


def decode_node(encoded: bytes) -> Any:
    r"""Return the items of an encoded trie node; equals ``rlp.decode``, in results and in errors.

    >>> decode_node(bytes.fromhex("c3208180"))
    [b' ', b'\x80']
    """
    end = len(encoded)
    head = encoded[0] if end else 0
    if head == _LONG_LIST + 1 and end - 3 == int.from_bytes(encoded[1:3]) and encoded[1]:
        at = 3
    elif head == _LONG_LIST and end - 2 == int.from_bytes(encoded[1:2]) >= _LEAST_LONG:
        at = 2
    elif _LIST <= head < _LONG_LIST and end - 1 == head - _LIST:
        at = 1
    else:
        return rlp.decode(encoded)
    items = []
    while at < end:
        head = encoded[at]
        if head == _HASH:
            items.append(encoded[at + 1 : at + 33])
            at += 33
        elif head == _EMPTY:
            items.append(b"")
            at += 1
        elif head < _EMPTY:
            items.append(encoded[at : at + 1])
            at += 1
        else:
            start = at + 1
            if head == _LONG and int.from_bytes(encoded[start : start + 1]) >= _LEAST_LONG:
                start, length = start + 1, encoded[start]
            elif head < _LONG and (head > _EMPTY + 1 or encoded[start : start + 1] >= b"\x80"):
                length = head - _EMPTY
            else:
                return rlp.decode(encoded)
            at = start + length
            items.append(encoded[start:at])
    return items if at == end else rlp.decode(encoded)


def decode_integer(encoded: bytes) -> int:
    """Return an encoded whole number; equals ``rlp.decode`` with ``big_endian_int``, in results and in errors.

    >>> decode_integer(bytes.fromhex("820400"))
    1024
    """
    size = len(encoded) - 1
    if size > 1 and encoded[0] == _EMPTY + size and encoded[1]:
        return int.from_bytes(encoded[1:])
    return int(rlp.decode(encoded, sedes=rlp.sedes.big_endian_int))


def encode_node(node: list[Any]) -> bytes:
    r"""Return the encoding of a trie node's items; equals ``rlp.codec.encode_raw``.

    >>> encode_node([b" ", b"\x80"]).hex()
    'c3208180'
    """
    if len(node) != BRANCH_ITEMS or {*map(type, node)} != {bytes} or not {*map(len, node)} <= {0, _HASH_BYTES}:
        return bytes(encode_raw(node))
    payload = b"".join([b"\xa0" + item if item else b"\x80" for item in node])
    return bytes(length_prefix(len(payload), _LIST)) + payload


def compact_path(path: str, *, is_leaf: bool) -> bytes:
    """Return a path's hexadecimal digits as a node holds them: with their parity and the node's kind.

    >>> compact_path("abc", is_leaf=True).hex()
    '3abc'
    """
    flag = "31" if len(path) % 2 else "20"
    return bytes.fromhex((flag[0] if is_leaf else flag[1]) + ("" if len(path) % 2 else "0") + path)


def expand_path(prefix: bytes) -> tuple[bool, str]:
    """Return whether a node is a leaf, and its path's hexadecimal digits.

    >>> expand_path(bytes.fromhex("3abc"))
    (True, 'abc')
    """
    path = prefix.hex()
    return path[0] in "23", path[1:] if path[0] in "13" else path[2:]
