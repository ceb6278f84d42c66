"""Binds an ABI to an address: its encoders and decoders are made once a process, reverts come as typed errors.

Works on any engine; web3 is not in the path. Layer: ledger. Not here: signing (``account``), sending (``client``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from eth_utils.abi import abi_to_signature

from chainsec.digest import keccak
from chainsec.errors import ContractReverted, LedgerError
from chainsec.ledger.codec import Parameters
from chainsec.ledger.engine import CallReverted
from chainsec.ledger.reverts import decode_revert, error_codecs
from chainsec.primitives import ZERO_ADDRESS, Address, Hash32

if TYPE_CHECKING:
    from chainsec.ledger.engine import Engine, Log
    from chainsec.ledger.reverts import ErrorCodec

__all__ = ["Contract", "Event", "HasCode", "deployment_data", "read_events", "revert_reason"]

_SELECTOR_BYTES = 4
_KEPT_INTERFACES = 64


class HasCode(Protocol):
    """What ``deployment_data`` needs of a compiled contract."""

    @property
    def abi(self) -> Sequence[Mapping[str, Any]]:
        """The contract's ABI."""

    @property
    def bytecode(self) -> bytes:
        """Creation code."""


@dataclass(frozen=True, slots=True)
class Event:
    """A decoded log. ``args`` holds indexed and plain arguments by name; a hashed one is its hash."""

    name: str
    args: dict[str, Any]
    block_number: int
    transaction_hash: Hash32
    log_index: int
    address: Address


class _Function:
    def __init__(self, entry: Mapping[str, Any]) -> None:
        self.name = entry["name"]
        self.signature = abi_to_signature(dict(entry))  # type: ignore[arg-type] # an ABI entry is a typed dict there
        self.selector = keccak(self.signature.encode())[:_SELECTOR_BYTES]
        self.inputs = Parameters(entry["inputs"], self.name)
        self.outputs = Parameters(entry.get("outputs", ()), self.name)


class _EventCodec:
    def __init__(self, entry: Mapping[str, Any]) -> None:
        self.name = entry["name"]
        self.signature = abi_to_signature(dict(entry))  # type: ignore[arg-type] # an ABI entry is a typed dict there
        self.topic = Hash32(keccak(self.signature.encode()))
        self.indexed = Parameters([item for item in entry["inputs"] if item["indexed"]], self.name)
        self.plain = Parameters([item for item in entry["inputs"] if not item["indexed"]], self.name)
        self.names = [item["name"] or f"arg{place}" for place, item in enumerate(entry["inputs"])]
        self.is_indexed = [item["indexed"] for item in entry["inputs"]]

    def decode(self, log: Log) -> Event:
        try:
            topics = iter([self.indexed.decode_topic(i, t) for i, t in enumerate(log.topics[1:])])
            plain = iter(self.plain.decode(log.data))
            args = {
                name: next(topics if is_indexed else plain)
                for name, is_indexed in zip(self.names, self.is_indexed, strict=True)
            }
        except (ValueError, IndexError, StopIteration) as error:
            where = f"block {log.block_number}, log {log.log_index}"
            raise LedgerError(f"{where}: is no event {self.name}: {error}", block=log.block_number) from error
        return Event(self.name, args, log.block_number, log.transaction_hash, log.log_index, log.address)

    def topics(self, wanted: Mapping[str, Any]) -> list[Any]:
        filters: list[Any] = [self.topic] + [None] * len(self.indexed.names)
        for name, value in wanted.items():
            if name not in self.indexed.names:
                known = ", ".join(self.indexed.names) or "none"
                raise ValueError(f"event {self.name} has no indexed argument {name!r}; there are: {known}")
            place = self.indexed.names.index(name)
            choice = value if isinstance(value, (list, set, frozenset)) else [value]
            filters[place + 1] = [self.indexed.encode_topic(place, item) for item in choice]
        return filters


@dataclass(frozen=True, slots=True)
class _Interface:
    functions: dict[str, list[_Function]]
    events: dict[bytes, _EventCodec]
    errors: dict[bytes, ErrorCodec]


@lru_cache(maxsize=_KEPT_INTERFACES)
def _read_interface(text: str) -> _Interface:
    """Return what contracts with this ABI and these errors share, wherever they stand."""
    abi, errors = json.loads(text)
    functions: dict[str, list[_Function]] = {}
    events: dict[bytes, _EventCodec] = {}
    for entry in abi:
        if entry["type"] == "function":
            function = _Function(entry)
            functions.setdefault(function.name, []).append(function)
            functions[function.signature] = [function]
        elif entry["type"] == "event" and not entry.get("anonymous"):
            event = _EventCodec(entry)
            events[event.topic] = event
    return _Interface(functions, events, error_codecs([*(e for e in abi if e["type"] == "error"), *errors]))


class Contract:
    """A contract at an address of an engine.

    Args:
        engine: where it stands.
        address: its place.
        abi: its interface; overloaded functions are named by their full signature, ``"f(uint256)"``.
        errors: ABI entries of errors that other contracts may raise through it, by whatever key.
    """

    def __init__(
        self,
        engine: Engine,
        address: bytes | str,
        abi: Sequence[Mapping[str, Any]],
        errors: Iterable[Mapping[str, Any]] | Mapping[Any, Mapping[str, Any]] = (),
    ) -> None:
        self.engine = engine
        self.address = Address(address)
        extra = errors.values() if isinstance(errors, Mapping) else errors
        interface = _read_interface(json.dumps([list(abi), list(extra)]))
        self.errors = interface.errors
        self._functions, self._events = interface.functions, interface.events

    def encode(self, name: str, *args: Any) -> bytes:
        """Return the call data of a function.

        Args:
            name: the function's name, or its full signature where it is overloaded.
            args: addresses as ``Address``, 20 bytes or text; fixed bytes as bytes or 0x text; structs as tuples,
                mappings by component name, or objects with ``as_tuple``.

        Raises:
            ValueError: no such function, or a wrong count, type or range of an argument, which is named.
        """
        function = self._function(name, len(args))
        return function.selector + function.inputs.encode(args)

    def selector(self, name: str) -> bytes:
        """Return the 4-byte selector of a function, named as for ``encode`` (by its signature where overloaded)."""
        found = self._functions.get(name, [])
        return self._function(name, len(found[0].inputs.names) if found else 0).selector

    def call(self, name: str, *args: Any, at: int | None = None, sender: bytes | None = None) -> Any:
        """Call a function without effect and return what it returns: None, one value, or several as a tuple.

        Args:
            name: as for ``encode``.
            args: as for ``encode``.
            at: block after which the state counts; the head by default.
            sender: who calls.

        Raises:
            ContractReverted: with the contract's own error decoded.
            LedgerError: the output is not what the ABI promises, as where no contract stands.
        """
        function = self._function(name, len(args))
        data = function.selector + function.inputs.encode(args)
        try:
            output = self.engine.call(self.address, data, sender=sender or ZERO_ADDRESS, at=at)
        except CallReverted as failure:
            raise self.decode_error(failure.data, failure) from None
        try:
            values = function.outputs.decode(output)
        except ValueError as error:
            reason = "no contract there" if not output else str(error)
            raise LedgerError(
                f"{name} at {self.address} returned something else: {reason}", address=self.address
            ) from None
        return values[0] if len(values) == 1 else values or None

    def events(self, name: str, from_block: int, to_block: int, **wanted: Any) -> list[Event]:
        """Return this contract's events of one kind, in chain order.

        Args:
            name: the event's name, or its full signature where it is overloaded.
            from_block: first block, included.
            to_block: last block, included.
            wanted: indexed arguments and their value, or a list or set of values any of which matches.

        Raises:
            ValueError: no such event or indexed argument.
        """
        codec = self._event(name)
        logs = self.engine.logs(from_block, to_block, self.address, codec.topics(wanted))
        return [codec.decode(log) for log in logs]

    def topic(self, name: str) -> Hash32:
        """Return the first topic of an event: the hash of its signature."""
        return self._event(name).topic

    def decode_log(self, log: Log) -> Event | None:
        """Decode a log of any of this contract's events; None where it is none of them."""
        codec = self._events.get(log.topics[0]) if log.topics else None
        return None if codec is None or log.address != self.address else codec.decode(log)

    def decode_error(self, data: bytes, failure: CallReverted | None = None) -> ContractReverted:
        """Turn revert data into an error whose ``name`` and arguments are attributes.

        ``Error(string)`` has ``reason``, ``Panic(uint256)`` has ``code`` and ``meaning``; anything unknown is the
        ``failure`` itself.
        """
        return decode_revert(self.errors, data, failure)

    def error(self, name: str) -> type[ContractReverted]:
        """Return the class of one of this contract's errors, for ``except`` and ``pytest.raises``.

        Raises:
            ValueError: no such error.
        """
        for codec in self.errors.values():
            if name in (codec.name, codec.signature):
                return codec.error_class
        raise ValueError(f"contract has no error {name!r}")

    def _function(self, name: str, count: int) -> _Function:
        found = self._functions.get(name, [])
        if len(found) > 1:
            found = [function for function in found if len(function.inputs.names) == count]
        if len(found) != 1:
            signatures = sorted(f.signature for f in self._functions.get(name, []))
            if signatures:
                raise ValueError(f"function {name} is overloaded, name one of: {', '.join(signatures)}")
            raise ValueError(f"contract has no function {name!r}")
        return found[0]

    def _event(self, name: str) -> _EventCodec:
        found = [event for event in self._events.values() if name in (event.name, event.signature)]
        if len(found) != 1:
            raise ValueError(f"contract has {'no' if not found else 'more than one'} event {name!r}")
        return found[0]

    def __repr__(self) -> str:
        return f"Contract({self.address})"


def read_events(kinds: Sequence[tuple[Contract, str]], from_block: int, to_block: int) -> list[list[Event]]:
    """Return events of several kinds with one query: a list for each kind, in chain order.

    Args:
        kinds: contracts of one engine, each with an event's name, or its full signature where it is overloaded.
        from_block: first block, included.
        to_block: last block, included.

    Raises:
        ValueError: a contract has no such event.
    """
    found: dict[tuple[Address, Hash32], list[Event]] = {(it.address, it.topic(name)): [] for it, name in kinds}
    if not found:
        return []
    addresses, topics = ([*dict.fromkeys(part)] for part in zip(*found, strict=True))
    contracts = {contract.address: contract for contract, _ in kinds}
    for log in kinds[0][0].engine.logs(from_block, to_block, addresses, [topics]):
        event = contracts[log.address].decode_log(log)
        if event is not None and (events := found.get((log.address, log.topics[0]))) is not None:
            events.append(event)
    return [found[contract.address, contract.topic(name)] for contract, name in kinds]


def deployment_data(artifact: HasCode, *args: Any) -> bytes:
    """Return creation code with constructor arguments, ready to be a transaction's data.

    Raises:
        ValueError: the artifact has no code, or an argument is wrong.
    """
    if not artifact.bytecode:
        raise ValueError("an interface or abstract contract cannot be deployed")
    inputs: Sequence[Any] = next((entry["inputs"] for entry in artifact.abi if entry["type"] == "constructor"), ())
    return artifact.bytecode + Parameters(inputs, "constructor").encode(args)


def revert_reason(engine: Engine, transaction_hash: bytes, contracts: Iterable[Contract] = ()) -> ContractReverted:
    """Replay a failed transaction where it stood and return its typed error.

    Args:
        engine: holds the transaction.
        transaction_hash: which one.
        contracts: their errors are known.

    Raises:
        LedgerError: it was not mined, or did not fail.
    """
    failure = engine.failure(transaction_hash)
    if failure is None:
        raise LedgerError(f"transaction {Hash32(transaction_hash)} did not fail", transaction_hash=transaction_hash)
    known = {selector: codec for contract in contracts for selector, codec in contract.errors.items()}
    return decode_revert(known, failure.data, failure)
