"""Keys that sign transactions and digests, without web3 in the path.

Signatures are deterministic (RFC 6979), so the same transaction has the same hash every time.
Layer: ledger. Not here: nonces, and keeping keys in files.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import rlp
from coincurve import PrivateKey

from chainsec.digest import keccak
from chainsec.primitives import Address, Hash32

__all__ = ["Account", "SignedTransaction"]

_KEY_BYTES = 32
_EIP155_OFFSET = 35
_V_OFFSET = 27


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """A transaction ready to send: ``raw`` is what goes on the wire."""

    raw: bytes
    hash: Hash32
    nonce: int
    sender: Address


@dataclass(frozen=True, repr=False)
class Account:
    r"""An externally owned account.

    Args:
        private_key: 32 bytes, from 1 to the order of secp256k1 less 1.

    Raises:
        ValueError: no private key.

    >>> str(Account(bytes(31) + b"\x01").address)
    '0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf'
    """

    private_key: bytes

    def __post_init__(self) -> None:
        if len(self.private_key) != _KEY_BYTES:
            raise ValueError(f"a private key has 32 bytes, not {len(self.private_key)}")
        _ = self._key

    @cached_property
    def _key(self) -> PrivateKey:
        try:
            return PrivateKey(self.private_key)
        except ValueError:
            raise ValueError("a private key lies between 1 and the order of secp256k1") from None

    @cached_property
    def address(self) -> Address:
        """The last 20 bytes of the public key's Keccak-256."""
        return Address(keccak(self._key.public_key.format(compressed=False)[1:])[12:])

    @classmethod
    def derive(cls, seed: bytes, name: str) -> Self:
        """Return the account that ``seed`` gives ``name``: Keccak-256 of both, each with its length.

        >>> Account.derive(b"seed", "agent") == Account.derive(b"seed", "agent")
        True
        """
        label = name.encode()
        material = b"".join(len(part).to_bytes(8, "big") + part for part in (b"chainsec account", seed, label))
        while True:
            material = keccak(material)
            try:
                return cls(material)
            except ValueError:  # one digest in 2**128 is no key: take the next
                continue

    @classmethod
    def generate(cls) -> Self:
        """Return a new account from the operating system's randomness."""
        while True:
            try:
                return cls(secrets.token_bytes(_KEY_BYTES))
            except ValueError:  # as in derive
                continue

    def sign(
        self,
        *,
        nonce: int,
        to: bytes | None,
        data: bytes = b"",
        gas: int,
        chain_id: int,
        value: int = 0,
        gas_price: int = 0,
    ) -> SignedTransaction:
        """Sign a legacy transaction.

        Args:
            nonce: number of the sender's transactions before.
            to: receiver; None creates a contract from ``data``.
            data: call data.
            gas: limit.
            chain_id: the only chain on which it counts.
            value: wei.
            gas_price: wei for each gas; chains without a gas price take 0.

        Source: EIP-155.
        """
        fields: list[int | bytes] = [nonce, gas_price, gas, bytes(to or b""), value, bytes(data)]
        signature = self._key.sign_recoverable(keccak(rlp.encode([*fields, chain_id, 0, 0])), hasher=None)
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
        raw = rlp.encode([*fields, _EIP155_OFFSET + 2 * chain_id + signature[64], r, s])
        return SignedTransaction(raw, Hash32(keccak(raw)), nonce, self.address)

    def sign_digest(self, digest: bytes) -> bytes:
        """Sign 32 bytes, such as an EIP-712 digest. Returns 65 bytes: r, s and v (27 or 28).

        Raises:
            ValueError: not 32 bytes.
        """
        if len(digest) != _KEY_BYTES:
            raise ValueError(f"a digest has 32 bytes, not {len(digest)}")
        signature = self._key.sign_recoverable(bytes(digest), hasher=None)
        return signature[:64] + bytes([_V_OFFSET + signature[64]])

    def __repr__(self) -> str:
        return f"Account({self.address})"
