"""Holds signed transactions until the next block: checked on entry, each sender's in the order of its nonces.

Layer: ledger. Not here: execution. A pool lives in memory; what was not mined is sent again by whoever sent it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from eth.constants import SECPK1_N
from eth.vm.forks.cancun.constants import BLOB_TX_TYPE, GAS_PER_BLOB, MAX_BLOB_GAS_PER_BLOCK, VERSIONED_HASH_VERSION_KZG
from eth.vm.forks.shanghai.constants import INITCODE_WORD_COST, MAX_INITCODE_SIZE

from chainsec.errors import TransactionRefused
from chainsec.primitives import Address, Hash32

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["AccountView", "Pool", "check_form", "check_transaction", "decode_transaction"]

_HIGHEST_S = SECPK1_N // 2
_MOST_BLOBS = MAX_BLOB_GAS_PER_BLOCK // GAS_PER_BLOB
_HASH_BYTES = 32


class AccountView(Protocol):
    """What the pool asks the chain's head about an account."""

    def nonce(self, address: bytes) -> int:
        """Return the number of transactions mined from ``address``."""

    def balance(self, address: bytes) -> int:
        """Return the wei of ``address``."""


def decode_transaction(builder: Any, raw: bytes) -> Any:
    """Decode a signed transaction of any type Cancun knows and recover its sender.

    Raises:
        TransactionRefused: no transaction, or one that no key can have signed.
    """
    try:
        transaction = builder.decode(bytes(raw))
        transaction.validate()
        _ = transaction.sender
    except Exception as error:  # whatever a hostile encoding sets off, the answer is one refusal
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise TransactionRefused(f"not a valid transaction: {reason}") from error
    return transaction


def check_transaction(transaction: Any, *, chain_id: int, gas_limit: int, base_fee_wei: int, head: AccountView) -> None:
    """Refuse a transaction that no block on this head could hold.

    Raises:
        TransactionRefused: wrong chain id, gas above the block's, a fee below the base fee, a nonce already used,
            insufficient funds for value and gas, or what the rules forbid in every block.
    """
    check_form(transaction)
    if transaction.chain_id not in (chain_id, None):
        raise TransactionRefused(
            f"transaction is for chain id {transaction.chain_id}, not {chain_id}", chain_id=chain_id
        )
    if transaction.gas > gas_limit:
        raise TransactionRefused(
            f"gas {transaction.gas:,} is over the block's limit {gas_limit:,}", gas_limit=gas_limit
        )
    if transaction.max_fee_per_gas < base_fee_wei:
        raise TransactionRefused(
            f"fee of {transaction.max_fee_per_gas} wei is below the base fee {base_fee_wei}", base_fee=base_fee_wei
        )
    sender = Address(transaction.sender)
    nonce = head.nonce(sender)
    if transaction.nonce < nonce:
        raise TransactionRefused(
            f"nonce too low: {sender} is at {nonce}, not {transaction.nonce}", sender=sender, nonce=nonce
        )
    needed = transaction.value + transaction.gas * transaction.max_fee_per_gas
    if transaction.type_id == BLOB_TX_TYPE:
        needed += len(transaction.blob_versioned_hashes) * GAS_PER_BLOB * transaction.max_fee_per_blob_gas
    balance = head.balance(sender) if needed else 0
    if balance < needed:
        raise TransactionRefused(f"insufficient funds: {sender} has {balance} wei and needs {needed}", sender=sender)


def check_form(transaction: Any) -> None:
    """Refuse a transaction that the rules forbid in every block. Raises: TransactionRefused."""
    for broken in _broken_rules(transaction):
        raise TransactionRefused(f"not a valid transaction: {broken}")


def _broken_rules(transaction: Any) -> Iterator[str]:
    """Yield what no block at all could hold: gas due at once, init code (EIP-3860), signature (EIP-2), fees, blobs."""
    least, length = transaction.intrinsic_gas, len(transaction.data)
    if not transaction.to:
        least += INITCODE_WORD_COST * ((length + 31) // 32)
        if length > MAX_INITCODE_SIZE:
            yield f"init code of {length:,} bytes, over {MAX_INITCODE_SIZE:,}"
    if transaction.gas < least:
        yield f"gas {transaction.gas:,} is under the {least:,} due before the first opcode"
    if transaction.s > _HIGHEST_S:
        yield "the signature's s is in the upper half of the curve's order"
    if transaction.max_priority_fee_per_gas > transaction.max_fee_per_gas:
        yield "max_priority_fee_per_gas is over max_fee_per_gas"
    if transaction.type_id == BLOB_TX_TYPE:
        yield from _broken_blob_rules(transaction)


def _broken_blob_rules(transaction: Any) -> Iterator[str]:
    """Yield what EIP-4844 forbids in every block."""
    blobs = transaction.blob_versioned_hashes
    if not transaction.to:
        yield "a transaction with blobs cannot create a contract"
    if not 0 < len(blobs) <= _MOST_BLOBS:
        yield f"{len(blobs)} blobs, not 1 to {_MOST_BLOBS}"
    if any(len(blob) != _HASH_BYTES or blob[:1] != VERSIONED_HASH_VERSION_KZG for blob in blobs):
        yield "a blob's hash has another version than 1"
    if transaction.max_fee_per_blob_gas < 1:
        yield "no fee is offered for the blobs"


@dataclass
class Pool:
    """Waiting transactions by hash, in the order in which they came."""

    _waiting: dict[bytes, Any] = field(default_factory=dict)
    _places: dict[tuple[bytes, int], bytes] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, transaction_hash: bytes) -> bool:
        return transaction_hash in self._waiting

    def __iter__(self) -> Iterator[Any]:
        return iter(self._waiting.values())

    def get(self, transaction_hash: bytes) -> Any | None:
        """Return a waiting transaction, or None."""
        return self._waiting.get(transaction_hash)

    def add(self, transaction: Any, *, is_replacement: bool = False) -> Hash32:
        """Let a transaction wait; the same one twice waits once.

        Args:
            transaction: decoded and checked.
            is_replacement: take the place of another transaction with the same sender and nonce.

        Raises:
            TransactionRefused: another transaction of the sender has this nonce, and this is no replacement.
        """
        key = bytes(transaction.hash)
        place = (bytes(transaction.sender), transaction.nonce)
        other = self._places.get(place, key)
        if other != key:
            if not is_replacement:
                raise TransactionRefused(
                    f"nonce {transaction.nonce} of {Address(place[0])} is taken by {Hash32(other)}", nonce=place[1]
                )
            del self._waiting[other]
        self._waiting[key] = transaction
        self._places[place] = key
        return Hash32(key)

    def remove(self, transaction: Any) -> None:
        """Take a transaction out, if it is there."""
        if self._waiting.pop(bytes(transaction.hash), None) is not None:
            del self._places[bytes(transaction.sender), transaction.nonce]

    def next_nonce(self, sender: bytes, nonce: int) -> int:
        """Return the first nonce from ``nonce`` on that no waiting transaction of ``sender`` has."""
        while (bytes(sender), nonce) in self._places:
            nonce += 1
        return nonce

    def ready(self, head: AccountView) -> list[Any]:
        """Return what the next block can hold: in order of arrival, each sender's in order of nonces, without gaps."""
        expected: dict[bytes, int] = {}
        found: list[Any] = []
        seen: set[bytes] = set()
        for key, transaction in self._waiting.items():
            seen.add(key)
            sender = bytes(transaction.sender)
            if sender not in expected:
                expected[sender] = head.nonce(sender)
            while (following := self._places.get((sender, expected[sender]))) in seen:
                found.append(self._waiting[following])
                expected[sender] += 1
        return found

    def copy(self) -> Pool:
        """Return a pool with the same transactions."""
        return Pool(dict(self._waiting), dict(self._places))
