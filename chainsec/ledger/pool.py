"""Holds signed transactions until the next block: checked on entry, each sender's in the order of its nonces.

Layer: ledger. Not here: execution. A pool lives in memory; what was not mined is sent again by whoever sent it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from chainsec.errors import LedgerError
from chainsec.primitives import Address, Hash32

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["AccountView", "Pool", "check_transaction", "decode_transaction"]

_BLOB_TYPE = 3


class AccountView(Protocol):
    """What the pool asks the chain's head about an account."""

    def nonce(self, address: bytes) -> int:
        """Return the number of transactions mined from ``address``."""

    def balance(self, address: bytes) -> int:
        """Return the wei of ``address``."""


def decode_transaction(builder: Any, raw: bytes) -> Any:
    """Decode a signed transaction of any type Cancun knows and recover its sender.

    Raises:
        LedgerError: no transaction, or one that no key can have signed.
    """
    try:
        transaction = builder.decode(bytes(raw))
        transaction.validate()
        _ = transaction.sender
    except Exception as error:  # whatever a hostile encoding sets off, the answer is one refusal
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise LedgerError(f"not a valid transaction: {reason}") from error
    return transaction


def check_transaction(transaction: Any, *, chain_id: int, gas_limit: int, base_fee_wei: int, head: AccountView) -> None:
    """Refuse a transaction that no block on this head could hold.

    Raises:
        LedgerError: wrong chain id, gas above the block's, a fee below the base fee, a nonce already used, or
            insufficient funds for value and gas.
    """
    if transaction.chain_id not in (chain_id, None):
        raise LedgerError(f"transaction is for chain id {transaction.chain_id}, not {chain_id}", chain_id=chain_id)
    if transaction.gas > gas_limit:
        raise LedgerError(f"gas {transaction.gas:,} is over the block's limit {gas_limit:,}", gas_limit=gas_limit)
    if transaction.max_fee_per_gas < base_fee_wei:
        raise LedgerError(
            f"fee of {transaction.max_fee_per_gas} wei is below the base fee {base_fee_wei}", base_fee=base_fee_wei
        )
    sender = Address(transaction.sender)
    nonce = head.nonce(sender)
    if transaction.nonce < nonce:
        raise LedgerError(f"nonce too low: {sender} is at {nonce}, not {transaction.nonce}", sender=sender, nonce=nonce)
    needed = transaction.value + transaction.gas * transaction.max_fee_per_gas
    balance = head.balance(sender) if needed else 0
    if balance < needed:
        raise LedgerError(f"insufficient funds: {sender} has {balance} wei and needs {needed}", sender=sender)


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
            LedgerError: another transaction of the sender has this nonce, and this is no replacement.
        """
        key = bytes(transaction.hash)
        place = (bytes(transaction.sender), transaction.nonce)
        other = self._places.get(place, key)
        if other != key:
            if not is_replacement:
                raise LedgerError(
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
