"""Reads what a node says into the ledger's records, and refuses what is none.

Source: Ethereum's execution API (JSON-RPC), schemas of blocks, receipts, logs and transactions.
Layer: ledger. Not here: asking (``caller``).
"""

from __future__ import annotations

import re
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import rlp

from chainsec.digest import keccak
from chainsec.errors import LedgerError, TransactionRefused
from chainsec.ledger.engine import Block, CallReverted, Log, Receipt, Transaction
from chainsec.primitives import Address, Hash32

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chainsec.ledger.rpc.caller import RpcError

__all__ = [
    "failure_of",
    "quantity",
    "read_block",
    "read_bytes",
    "read_gas_limit",
    "read_log",
    "read_quantity",
    "read_raw_transactions",
    "read_receipt",
    "read_transaction",
    "read_waiting",
    "stated_chain_id",
]

_Record = TypeVar("_Record")
_MOST_BITS = 256
_REVERTED_CODE = 3
_FIRST_EIP155_V = 35
_LEGACY_FIELDS = 9
_FIRST_TYPE_BEYOND = 0x80
_HALTS = (
    ("OutOfGas", re.compile(r"out ?of ?gas|gas required exceeds|intrinsic gas", re.IGNORECASE)),
    ("InsufficientFunds", re.compile(r"insufficient (funds|balance)", re.IGNORECASE)),
    ("InvalidJumpDestination", re.compile(r"(invalid|bad) ?jump", re.IGNORECASE)),
    ("InsufficientStack", re.compile(r"stack ?underflow", re.IGNORECASE)),
    ("FullStack", re.compile(r"stack ?(overflow|limit)", re.IGNORECASE)),
    ("WriteProtection", re.compile(r"write ?protection|state ?change ?during ?static", re.IGNORECASE)),
    ("InvalidInstruction", re.compile(r"invalid ?(fe ?)?opcode|opcode ?not ?found|invalid instruction", re.IGNORECASE)),
)
"""How nodes name what stops a call, by py-evm's name for it."""
_REVERTED = re.compile(r"revert", re.IGNORECASE)


def quantity(number: int) -> str:
    """Return a number as JSON-RPC writes it.

    >>> quantity(1337)
    '0x539'
    """
    return hex(number)


def _refusing(read: Callable[[Any], _Record]) -> Callable[[Any], _Record]:
    """Turn whatever a malformed answer sets off into one refusal."""

    @wraps(read)
    def refusing(found: Any) -> _Record:
        try:
            return read(found)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            kind = read.__name__.removeprefix("read_").replace("_", " ")
            raise LedgerError(f"the node's {kind} cannot be read: {type(error).__name__}: {error}") from error

    return refusing


def _number(text: Any) -> int:
    if not isinstance(text, str) or not text.startswith("0x"):
        raise ValueError(f"{text!r} is no quantity")
    number = int(text, 16)
    if number.bit_length() > _MOST_BITS:
        raise ValueError("a quantity is too large")
    return number


def _bytes(text: Any) -> bytes:
    if not isinstance(text, str) or not text.startswith("0x"):
        raise ValueError(f"{text!r} is no data")
    return bytes.fromhex(text[2:])


def _address(text: Any) -> Address:
    return Address(_bytes(text))


def _hash(text: Any) -> Hash32:
    return Hash32(_bytes(text))


@_refusing
def read_quantity(found: Any) -> int:
    """Return a quantity.

    >>> read_quantity("0x539")
    1337
    """
    return _number(found)


@_refusing
def read_bytes(found: Any) -> bytes:
    """Return data."""
    return _bytes(found)


@_refusing
def read_block(found: Mapping[str, Any]) -> Block:
    """Return a block, asked for with hashes or with whole transactions."""
    return Block(
        number=_number(found["number"]),
        hash=_hash(found["hash"]),
        parent_hash=_hash(found["parentHash"]),
        timestamp=_number(found["timestamp"]),
        state_root=_hash(found["stateRoot"]),
        gas_used=_number(found["gasUsed"]),
        transaction_hashes=tuple(
            _hash(item if isinstance(item, str) else item["hash"]) for item in found["transactions"]
        ),
    )


@_refusing
def read_log(found: Mapping[str, Any]) -> Log:
    """Return a log of a mined block."""
    return Log(
        address=_address(found["address"]),
        topics=tuple(_hash(topic) for topic in found["topics"]),
        data=_bytes(found["data"]),
        block_number=_number(found["blockNumber"]),
        transaction_hash=_hash(found["transactionHash"]),
        transaction_index=_number(found["transactionIndex"]),
        log_index=_number(found["logIndex"]),
    )


@_refusing
def read_receipt(found: Mapping[str, Any]) -> Receipt:
    """Return a receipt."""
    created = found.get("contractAddress")
    return Receipt(
        transaction_hash=_hash(found["transactionHash"]),
        block_number=_number(found["blockNumber"]),
        index=_number(found["transactionIndex"]),
        status=_number(found["status"]),
        gas_used=_number(found["gasUsed"]),
        # some nodes name an address where nothing was created
        contract_address=_address(created) if created and not found.get("to") else None,
        logs=tuple(read_log(log) for log in found["logs"]),
    )


@_refusing
def read_transaction(found: Mapping[str, Any]) -> Transaction:
    """Return a mined or waiting transaction."""
    to, block, index = found.get("to"), found.get("blockNumber"), found.get("transactionIndex")
    is_mined = block is not None
    return Transaction(
        hash=_hash(found["hash"]),
        sender=_address(found["from"]),
        nonce=_number(found["nonce"]),
        to=_address(to) if to else None,
        value=_number(found["value"]),
        gas=_number(found["gas"]),
        data=_bytes(found["input"]),
        block_number=_number(block) if is_mined else None,
        index=_number(index) if is_mined else None,
    )


@_refusing
def read_gas_limit(found: Mapping[str, Any]) -> int:
    """Return the gas that a block can hold."""
    return _number(found["gasLimit"])


@_refusing
def read_waiting(found: Mapping[str, Any]) -> int:
    """Return how many transactions a node's pool holds, from its ``txpool_status``."""
    return sum(_number(found[kind]) for kind in ("pending", "queued"))


@_refusing
def read_raw_transactions(block: Mapping[str, Any]) -> list[bytes]:
    """Return the transactions of a block that was asked for with whole ones, each as it was signed."""
    return [_raw_of(item) for item in block["transactions"]]


def _raw_of(found: Mapping[str, Any]) -> bytes:
    """Return a legacy transaction as it was signed; what comes out hashes to what the node says.

    Source: EIP-155.
    """
    fields = [_number(found[name]) for name in ("nonce", "gasPrice", "gas")]
    to = _bytes(found["to"]) if found.get("to") else b""
    signature = [_number(found[name]) for name in ("v", "r", "s")]
    raw = bytes(rlp.encode([*fields, to, _number(found["value"]), _bytes(found["input"]), *signature]))
    if keccak(raw) != _bytes(found["hash"]):
        raise ValueError(f"transaction {found['hash']} is none of the legacy kind")
    return raw


def stated_chain_id(raw: bytes) -> int | None:
    """Return the chain that a signed transaction is for; None where it counts on any.

    Raises:
        TransactionRefused: no signed transaction.

    Source: EIP-155, EIP-2718.
    """
    try:
        if raw[0] < _FIRST_TYPE_BEYOND:
            return int.from_bytes(rlp.decode(raw[1:])[0], "big")
        fields = rlp.decode(raw)
        if len(fields) != _LEGACY_FIELDS:
            raise ValueError(f"{len(fields)} fields")  # noqa: TRY301 - refused as the others
        v = int.from_bytes(fields[6], "big")
    except Exception as error:  # whatever a hostile encoding sets off, the answer is one refusal
        reason = " ".join(str(error).split())[:_MOST_BITS] or type(error).__name__
        raise TransactionRefused(f"not a valid transaction: {reason}") from error
    return (v - _FIRST_EIP155_V) // 2 if v >= _FIRST_EIP155_V else None


def failure_of(error: RpcError) -> CallReverted | None:
    """Return the failed execution that a node's error tells of, or None where it tells of something else."""
    data = error.data.get("data") if isinstance(error.data, dict) else error.data
    returned = bytes.fromhex(data[2:]) if isinstance(data, str) and re.fullmatch(r"0x([0-9a-f]{2})*", data) else b""
    if error.code == _REVERTED_CODE or returned or _REVERTED.search(error.said):
        return CallReverted("Revert", returned)
    for name, pattern in _HALTS:
        if pattern.search(error.said):
            return CallReverted(name, b"")
    return None
