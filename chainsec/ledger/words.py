"""Encodes and decodes the ABI's fixed-size values, and arrays of them, word by word: the shapes of nearly every call.

Strict: what is not exactly of its type is refused, and left to the general codec, which converts or explains.
Layer: ledger. Not here: strings, nested arrays and everything else that has no fixed size (``codec``).

Source: Solidity's contract ABI specification, formal definition of the encoding.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from chainsec.primitives import Address, Hash32

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Writer = Callable[[Any], bytes]
    Reader = Callable[[bytes], Any]

__all__ = ["Unfit", "word_decoder", "word_encoder"]

_WORD = 32
_ADDRESS_BYTES = 20
_PAD = bytes(_WORD - _ADDRESS_BYTES)
_UINT = re.compile(r"uint(\d+)")
_TRUE, _FALSE = (1).to_bytes(_WORD, "big"), bytes(_WORD)


class Unfit(Exception):  # noqa: N818 - no error yet: another codec has the last word
    """A value is not exactly of its type."""


def _write_address(value: Any) -> bytes:
    if not isinstance(value, bytes) or len(value) != _ADDRESS_BYTES:
        raise Unfit
    return _PAD + value


def _write_hash(value: Any) -> bytes:
    if not isinstance(value, bytes) or len(value) != _WORD:
        raise Unfit
    return value


def _write_bool(value: Any) -> bytes:
    if value is True:
        return _TRUE
    if value is False:
        return _FALSE
    raise Unfit


def _write_uint(bits: int) -> Writer:
    bound = 1 << bits

    def write(value: Any) -> bytes:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < bound:
            raise Unfit
        return value.to_bytes(_WORD, "big")

    return write


def _read_address(word: bytes) -> Address:
    if word[: _WORD - _ADDRESS_BYTES] != _PAD:
        raise Unfit
    return Address(word[_WORD - _ADDRESS_BYTES :])


def _read_bool(word: bytes) -> bool:
    if word == _TRUE:
        return True
    if word == _FALSE:
        return False
    raise Unfit


def _read_uint(bits: int) -> Reader:
    bound = 1 << bits

    def read(word: bytes) -> int:
        value = int.from_bytes(word, "big")
        if value >= bound:
            raise Unfit
        return value

    return read


def _word_codec(type_: str) -> tuple[Writer, Reader] | None:
    if type_ == "address":
        return _write_address, _read_address
    if type_ == "bytes32":
        return _write_hash, Hash32
    if type_ == "bool":
        return _write_bool, _read_bool
    uint = _UINT.fullmatch(type_)
    return (_write_uint(int(uint[1])), _read_uint(int(uint[1]))) if uint else None


def _static_writer(entry: Mapping[str, Any]) -> Writer | None:
    if entry["type"] != "tuple":
        codec = _word_codec(entry["type"])
        return codec and codec[0]
    writers = [_static_writer(part) for part in entry["components"]]
    known = [writer for writer in writers if writer is not None]
    return _write_tuple(known) if len(known) == len(writers) else None


def _write_tuple(writers: Sequence[Writer]) -> Writer:
    def write(value: Any) -> bytes:
        if not isinstance(value, tuple) or len(value) != len(writers):
            raise Unfit
        return b"".join([writer(item) for writer, item in zip(writers, value, strict=True)])

    return write


def _width(entry: Mapping[str, Any]) -> int:
    return sum(map(_width, entry["components"])) if entry["type"] == "tuple" else _WORD


def word_encoder(entries: Sequence[Mapping[str, Any]]) -> Callable[[Sequence[Any]], bytes] | None:
    """Return what encodes these ABI parameters, None where one of them is neither fixed nor an array of such.

    What it returns raises ``Unfit`` for a value that is not exactly of its type.

    >>> encode = word_encoder([{"type": "uint8"}, {"type": "bool[]"}])
    >>> [int.from_bytes(encode([7, [True]])[at : at + 32], "big") for at in range(0, 128, 32)]
    [7, 64, 1, 1]
    """
    plans: list[tuple[Writer, bool]] = []
    head_bytes = 0
    for entry in entries:
        is_array = entry["type"].endswith("[]")
        writer = _static_writer({**entry, "type": entry["type"].removesuffix("[]")})
        if writer is None:
            return None
        plans.append((writer, is_array))
        head_bytes += _WORD if is_array else _width(entry)

    def encode(values: Sequence[Any]) -> bytes:
        head, tail, at = [], [], head_bytes
        for (write, is_array), value in zip(plans, values, strict=True):
            if not is_array:
                head.append(write(value))
                continue
            if not isinstance(value, (list, tuple)):
                raise Unfit
            content = b"".join([len(value).to_bytes(_WORD, "big"), *map(write, value)])
            head.append(at.to_bytes(_WORD, "big"))
            tail.append(content)
            at += len(content)
        return b"".join([*head, *tail])

    return encode


def word_decoder(types: Sequence[str]) -> Callable[[bytes], tuple[Any, ...]] | None:
    r"""Return what decodes values of these ABI types, None where one of them is not a word.

    What it returns raises ``Unfit`` for data that is too short or not of these types.

    >>> word_decoder(["uint8", "bool"])(bytes(31) + b"\x07" + bytes(31) + b"\x01")
    (7, True)
    """
    codecs = [_word_codec(type_) for type_ in types]
    readers = [codec[1] for codec in codecs if codec is not None]
    if len(readers) != len(codecs):
        return None

    def decode(data: bytes) -> tuple[Any, ...]:
        if len(data) < _WORD * len(readers):
            raise Unfit
        return tuple([read(data[at * _WORD : (at + 1) * _WORD]) for at, read in enumerate(readers)])

    return decode
