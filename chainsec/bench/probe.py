"""The contracts that benchmarks call, assembled by hand: as little work as a write and an event can be.

No compiler is at hand where the package is installed. Layer: bench. Not here: sending (``senders``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chainsec.digest import keccak

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["BURST", "KINDS", "RECORDED", "RECORDER", "Probe", "word"]

RECORDED = keccak(b"Recorded(uint256)")
NOTED = keccak(b"Noted(uint256,uint256)")
KINDS = 1_000
"""Of how many kinds the events of ``BURST`` are."""


@dataclass(frozen=True)
class Probe:
    """A contract ready to deploy; as ``chainsec.ledger.contract.deployment_data`` takes it."""

    abi: Sequence[Mapping[str, Any]]
    bytecode: bytes


def word(value: int) -> bytes:
    """Return a number as the EVM holds it, 32 bytes."""
    return value.to_bytes(32, "big")


def _assemble(*parts: str | bytes) -> bytes:
    return b"".join(part if isinstance(part, bytes) else bytes.fromhex(part) for part in parts)


def _creation(runtime: bytes) -> bytes:
    """Return code that leaves ``runtime``, at most 255 bytes, as the contract's."""
    # PUSH1 size DUP1 PUSH1 11 PUSH1 0 CODECOPY PUSH1 0 RETURN
    return _assemble(bytes([0x60, len(runtime)]), "80 600b 6000 39 6000 f3", runtime)


def _uint(name: str, *, indexed: bool | None = None) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": name, "type": "uint256"}
    return entry if indexed is None else {**entry, "indexed": indexed}


def _function(name: str, *inputs: str) -> dict[str, Any]:
    given = [_uint(each) for each in inputs]
    return {"type": "function", "name": name, "stateMutability": "nonpayable", "inputs": given, "outputs": []}


def _event(name: str, *inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "event", "name": name, "anonymous": False, "inputs": list(inputs)}


RECORDER = Probe(
    abi=[_function("record", "value"), _event("Recorded", _uint("value", indexed=False))],
    bytecode=_creation(
        _assemble(
            "6004 35",  # PUSH1 4 CALLDATALOAD          value
            "80 6000 55",  # DUP1 PUSH1 0 SSTORE           slot 0 = value
            "6000 52",  # PUSH1 0 MSTORE                memory = value
            b"\x7f" + RECORDED,  # PUSH32 topic
            "6020 6000 a1",  # PUSH1 32 PUSH1 0 LOG1         Recorded(value)
            "00",  # STOP
        )
    ),
)
"""``record(value)`` writes slot 0 and emits ``Recorded(value)``; any call does, whatever its selector."""

BURST = Probe(
    abi=[
        _function("burst", "first", "count"),
        _event("Noted", _uint("kind", indexed=True), _uint("value", indexed=False)),
    ],
    bytecode=_creation(
        _assemble(
            "6004 35 80 6024 35 01 90",  # i = first, end = first + count       end i
            "5b",  # JUMPDEST, at 9
            "81 81 10 15 6046 57",  # DUP2 DUP2 LT ISZERO PUSH1 70 JUMPI      while i < end
            "80 6000 52",  # DUP1 PUSH1 0 MSTORE                      memory = i
            "6103e8 81 06",  # PUSH2 1000 DUP2 MOD                      kind = i % 1000
            b"\x7f" + NOTED,  # PUSH32 topic
            "6020 6000 a2",  # PUSH1 32 PUSH1 0 LOG2                    Noted(kind, i)
            "6001 01 6009 56",  # PUSH1 1 ADD PUSH1 9 JUMP                 i = i + 1
            "5b 00",  # JUMPDEST STOP, at 70
        )
    ),
)
"""``burst(first, count)`` emits ``Noted(i % 1000, i)`` for each ``i`` from ``first`` on, and writes nothing."""
