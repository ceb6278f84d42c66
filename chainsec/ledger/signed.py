"""Signed transactions as the chain holds them: py-evm's, with what follows from them worked out once.

Layer: ledger. Not here: making signatures (``account``), rules about senders (``pool``).
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import rlp
from coincurve import PublicKey
from eth.vm.forks.cancun.transactions import CancunLegacyTransaction, CancunTransactionBuilder
from eth_utils.exceptions import ValidationError

from chainsec.digest import keccak
from chainsec.primitives import Address

__all__ = ["SignedLegacyTransaction", "TransactionBuilder", "recover_address"]

_FIRST_EIP155_V = 35


def recover_address(digest: bytes, y_parity: int, r: int, s: int) -> Address:
    """Return the address whose key signed ``digest``.

    Raises:
        ValueError: no key can have made this signature.

    Source: SEC 1, section 4.1.6.
    """
    try:
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([y_parity])
        public_key = PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except Exception as error:
        raise ValueError(f"bad signature: {error}") from error
    return Address(keccak(public_key.format(compressed=False)[1:])[12:])


class SignedLegacyTransaction(CancunLegacyTransaction):  # type: ignore[misc] # py-evm is untyped
    """py-evm's legacy transaction with its encoding, hash and sender worked out once.

    A signature from which a key can be recovered is that key's signature, so recovery is the check.
    """

    @cached_property
    def _encoded(self) -> bytes:
        return bytes(rlp.encode(self))

    def encode(self) -> bytes:
        """Return what goes on the wire."""
        return self._encoded

    @cached_property
    def hash(self) -> bytes:
        """Keccak-256 of the encoded transaction."""
        return keccak(self._encoded)

    @cached_property
    def intrinsic_gas(self) -> int:
        """Gas due before the first opcode."""
        return int(self.get_intrinsic_gas())

    @cached_property
    def _is_validated(self) -> bool:
        super().validate()
        return True

    def validate(self) -> None:
        """Raise ``ValidationError`` for fields out of range, too little gas or a bad signature; looks once."""
        _ = self._is_validated

    def get_message_for_signing(self) -> bytes:
        """Return the bytes that were signed (EIP-155 where ``v`` says so)."""
        fields: list[Any] = [self.nonce, self.gas_price, self.gas, self.to, self.value, self.data]
        if self.v >= _FIRST_EIP155_V:
            fields += [self.chain_id, 0, 0]
        return bytes(rlp.encode(fields))

    def get_sender(self) -> bytes:
        """Recover the sender's address."""
        return bytes(recover_address(keccak(self.get_message_for_signing()), self.y_parity, self.r, self.s))

    def check_signature_validity(self) -> None:
        """Raise ``ValidationError`` where no key can have signed."""
        try:
            _ = self.sender
        except ValueError as error:
            raise ValidationError(str(error)) from error


class TransactionBuilder(CancunTransactionBuilder):  # type: ignore[misc] # py-evm is untyped
    """py-evm's codec of transactions, with the legacy ones of this module."""

    legacy_signed = SignedLegacyTransaction
