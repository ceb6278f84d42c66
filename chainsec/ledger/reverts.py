"""Turns revert data into typed errors: a class for each custom error, its arguments as attributes.

Layer: ledger. Not here: calling (``contract``), finding out why a mined transaction failed (``engine.failure``).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from eth_utils.abi import abi_to_signature

from chainsec.digest import keccak
from chainsec.errors import ContractReverted
from chainsec.ledger.codec import Parameters
from chainsec.ledger.engine import CallReverted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["PANICS", "ErrorCodec", "decode_revert", "error_codecs"]

_SELECTOR_BYTES = 4
PANICS = {
    0x00: "a panic of the compiler's own",
    0x01: "an assertion failed",
    0x11: "arithmetic over- or underflow",
    0x12: "division by zero",
    0x21: "a value outside an enum",
    0x22: "a badly encoded storage byte array",
    0x31: "pop from an empty array",
    0x32: "an index out of bounds",
    0x41: "too much memory",
    0x51: "a call to a zero function pointer",
}
_RESERVED = {"self", "message", "name", "data", "facts", "signature", *dir(Exception)}


@cache
def _error_class(name: str) -> type[ContractReverted]:
    return type(name, (ContractReverted,), {"__doc__": f"The contract raised ``{name}``.", "__module__": __name__})


class ErrorCodec:
    """Decoder of one custom error."""

    def __init__(self, entry: Mapping[str, Any]) -> None:
        self.name: str = entry["name"]
        self.signature = abi_to_signature(dict(entry))  # type: ignore[arg-type] # an ABI entry is a typed dict there
        self.selector = keccak(self.signature.encode())[:_SELECTOR_BYTES]
        self.inputs = Parameters(entry["inputs"], self.name)
        self.error_class = _error_class(self.name)

    def decode(self, data: bytes) -> ContractReverted:
        """Return the error that ``data``, selector included, stands for.

        Raises:
            ValueError: ``data`` does not hold this error's arguments.
        """
        values = self.inputs.decode(data[_SELECTOR_BYTES:])
        shown = ", ".join(f"{name}={value}" for name, value in zip(self.inputs.names, values, strict=True))
        facts = {f"{n}_" if n in _RESERVED else n: v for n, v in zip(self.inputs.names, values, strict=True)}
        return self.error_class(f"{self.name}({shown})", **facts, name=self.name, data=data)


def error_codecs(entries: Iterable[Mapping[str, Any]]) -> dict[bytes, ErrorCodec]:
    """Return the decoders of ABI error entries by selector."""
    codecs = [ErrorCodec(entry) for entry in entries]
    return {codec.selector: codec for codec in codecs}


_BUILT_IN = error_codecs(
    [
        {"type": "error", "name": "Error", "inputs": [{"name": "reason", "type": "string"}]},
        {"type": "error", "name": "Panic", "inputs": [{"name": "code", "type": "uint256"}]},
    ]
)


def decode_revert(
    codecs: Mapping[bytes, ErrorCodec], data: bytes, failure: CallReverted | None = None
) -> ContractReverted:
    """Turn revert data into the typed error it stands for.

    Args:
        codecs: custom errors that are known, by selector.
        data: what the contract returned.
        failure: what to return where nothing known fits; a plain ``CallReverted`` by default.

    >>> panic = bytes.fromhex("4e487b71") + (0x11).to_bytes(32, "big")
    >>> error = decode_revert({}, panic)
    >>> error.name, error.code, str(error)
    ('Panic', 17, 'Panic: arithmetic over- or underflow (0x11)')
    """
    selector = data[:_SELECTOR_BYTES]
    codec = codecs.get(selector) or _BUILT_IN.get(selector)
    if codec is not None:
        try:
            error = codec.decode(data)
        except ValueError:
            codec = None
    if codec is None:
        return failure or CallReverted("Revert", data)
    if codec.selector in _BUILT_IN:
        return _built_in(codec, error)
    return error


def _built_in(codec: ErrorCodec, error: ContractReverted) -> ContractReverted:
    facts = dict(error.facts)
    if codec.name == "Error":
        return codec.error_class(f"reverted: {facts['reason']}", **facts)
    meaning = PANICS.get(facts["code"], "an unknown panic")
    return codec.error_class(f"Panic: {meaning} ({facts['code']:#04x})", meaning=meaning, **facts)
