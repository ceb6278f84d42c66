"""Encodes and decodes lists of ABI parameters with codecs that are made once.

On the fast path values go straight to eth_abi; only where it refuses them are they converted and the culprit named.
Layer: ledger. Not here: selectors, contracts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache, cached_property
from typing import Any

from eth_abi.decoding import AddressDecoder, BytesDecoder, ContextFramesBytesIO
from eth_abi.encoding import AddressEncoder
from eth_abi.exceptions import DecodingError, EncodingError
from eth_abi.registry import BaseEquals
from eth_abi.registry import registry as default_registry

from chainsec.digest import keccak
from chainsec.ledger.words import Unfit, word_decoder, word_encoder
from chainsec.primitives import Address, Hash32

__all__ = ["Parameters"]

_WORD_BYTES = 32
_ADDRESS_BYTES = 20
_ARRAY = re.compile(r"^(.*)\[(\d*)\]$")


class _AddressEncoder(AddressEncoder):
    def encode(self, value: Any) -> bytes:
        if isinstance(value, bytes) and len(value) == _ADDRESS_BYTES:
            return bytes(12) + value
        encoded: bytes = super().encode(value)  # type: ignore[no-untyped-call] # so is eth_abi
        return encoded

    @classmethod
    def validate_value(cls, value: Any) -> None:
        if not (isinstance(value, bytes) and len(value) == _ADDRESS_BYTES):
            super().validate_value(value)  # type: ignore[no-untyped-call] # so is eth_abi


class _AddressDecoder(AddressDecoder):
    @staticmethod
    def decoder_fn(data: Any) -> Any:
        return Address(bytes(data))


class _FixedBytesDecoder(BytesDecoder):
    @staticmethod
    def decoder_fn(data: bytes) -> bytes:
        return Hash32(data) if len(data) == _WORD_BYTES else data


def _make_registry() -> Any:
    registry: Any = default_registry
    registry = registry.copy()
    equals: Any = BaseEquals
    registry.unregister("address")
    registry.register(equals("address"), _AddressEncoder, _AddressDecoder, label="address")
    registry.unregister_decoder("bytes<M>")
    registry.register_decoder(equals("bytes", with_sub=True), _FixedBytesDecoder, label="bytes<M>")
    return registry


_REGISTRY = _make_registry()


@cache
def _encoder(type_: str) -> Any:
    return _REGISTRY.get_encoder(type_)


@cache
def _decoder(type_: str) -> Any:
    return _REGISTRY.get_decoder(type_)


def _stream(data: bytes) -> Any:
    return ContextFramesBytesIO(bytes(data))  # type: ignore[no-untyped-call] # so is eth_abi


def _type_of(entry: Mapping[str, Any]) -> str:
    type_: str = entry["type"]
    if not type_.startswith("tuple"):
        return type_
    return f"({','.join(_type_of(part) for part in entry['components'])}){type_[5:]}"


def _names_of(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a name for each entry; one without a name is called by its place, and like no other."""
    given = {entry.get("name") for entry in entries}
    names = []
    for place, entry in enumerate(entries):
        name = entry.get("name") or f"arg{place}"
        while not entry.get("name") and name in given:
            name += "_"
        names.append(name)
    return names


class Parameters:
    """The inputs or outputs of a function, event or error.

    Args:
        entries: ABI parameters.
        owner: name of what they belong to, for messages.

    >>> pair = Parameters([{"name": "who", "type": "address"}, {"name": "ok", "type": "bool"}], "f")
    >>> pair.decode(pair.encode([bytes(20), True]))
    (Address('0x0000000000000000000000000000000000000000'), True)
    """

    def __init__(self, entries: Sequence[Mapping[str, Any]], owner: str) -> None:
        self.owner = owner
        self._entries = [dict(entry) for entry in entries]
        self.types = [_type_of(entry) for entry in entries]
        self.names = _names_of(entries)
        whole = f"({','.join(self.types)})"
        self._encode = _encoder(whole) if self.types else lambda _: b""
        self._decode = _decoder(whole) if self.types else lambda _: ()
        self._encode_words, self._decode_words = word_encoder(self._entries), word_decoder(self.types)
        self._decode_topics = [word_decoder([type_]) for type_ in self.types]

    def encode(self, values: Sequence[Any]) -> bytes:
        """Return the ABI encoding of ``values``.

        Raises:
            ValueError: wrong count, or a value of the wrong type or range; the message names it.
        """
        if len(values) != len(self.types):
            raise ValueError(f"{self.owner} takes {len(self.types)} arguments, not {len(values)}")
        if self._encode_words is not None:
            with suppress(Unfit):
                return self._encode_words(values)
        try:
            encoded: bytes = self._encode(tuple(values))
        except (EncodingError, TypeError, ValueError, AttributeError):
            return self._encode_converted(values)
        return encoded

    def _encode_converted(self, values: Sequence[Any]) -> bytes:
        converted = []
        for name, type_, entry, value in zip(self.names, self.types, self._entries, values, strict=True):
            try:
                plain = _convert(entry, value)
                _encoder(type_)(plain)
            except (EncodingError, TypeError, ValueError, AttributeError, KeyError) as error:
                reason = " ".join(str(error).split())[:160]
                raise ValueError(f"{self.owner}: argument {name} is no {type_}: {reason}") from None
            converted.append(plain)
        encoded: bytes = self._encode(tuple(converted))
        return encoded

    def decode(self, data: bytes) -> tuple[Any, ...]:
        """Decode ABI-encoded ``data``: addresses as ``Address``, bytes32 as ``Hash32``, structs as tuples.

        Raises:
            ValueError: ``data`` does not hold these types.
        """
        if self._decode_words is not None:
            with suppress(Unfit):
                return self._decode_words(data)
        try:
            values: tuple[Any, ...] = self._decode(_stream(data))
        except (DecodingError, OverflowError, UnicodeDecodeError) as error:
            raise ValueError(f"{self.owner}: {' '.join(str(error).split())[:160]}") from None
        return values

    @cached_property
    def _alone(self) -> list[Parameters]:
        return [Parameters([entry], self.owner) for entry in self._entries]

    def encode_topic(self, place: int, value: Any) -> bytes:
        """Return the topic under which an indexed argument of this value is found.

        Raises:
            ValueError: the value is of the wrong type.
        """
        type_ = self.types[place]
        if type_ in ("string", "bytes"):
            return keccak(value.encode() if isinstance(value, str) else bytes(value))
        encoded = self._alone[place].encode([value])
        if _is_hashed(type_):
            raise ValueError(f"{self.owner}: {self.names[place]} is indexed by a hash and cannot be searched by value")
        return encoded

    def decode_topic(self, place: int, topic: bytes) -> Any:
        """Return the value of an indexed argument; a string, bytes, array or struct is known by its hash only."""
        decode, type_ = self._decode_topics[place], self.types[place]
        if decode is not None:
            with suppress(Unfit):
                return decode(topic)[0]
        return Hash32(topic) if _is_hashed(type_) else _decoder(type_)(_stream(topic))


def _is_hashed(type_: str) -> bool:
    return type_ in ("string", "bytes") or type_.endswith(("]", ")"))


def _convert(entry: Mapping[str, Any], value: Any) -> Any:
    array = _ARRAY.match(entry["type"])
    if array:
        inner = dict(entry) | {"type": array.group(1)}
        if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
            raise TypeError(f"got {value!r}")
        return [_convert(inner, item) for item in value]
    if entry["type"] == "tuple":
        parts = entry["components"]
        if hasattr(value, "as_tuple"):
            value = value.as_tuple()
        elif isinstance(value, Mapping):
            value = [value[part["name"]] for part in parts]
        if len(value) != len(parts):
            raise ValueError(f"takes {len(parts)} values, not {len(value)}")
        return tuple(_convert(part, item) for part, item in zip(parts, value, strict=True))
    if entry["type"].startswith("bytes") and isinstance(value, str):
        return bytes.fromhex(value.removeprefix("0x"))
    if entry["type"] == "address" and isinstance(value, str):
        return Address(value)
    return value
