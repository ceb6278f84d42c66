"""ConsentLedger: owners allow organisations or people to use an asset for a purpose.

Layer: services. Not here: who owns what (``assets``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from eth_account.messages import encode_typed_data

from chainsec.digest import keccak
from chainsec.primitives import ZERO_HASH, Address, Hash32, Scope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainsec.ledger.account import Account
    from chainsec.ledger.client import Client
    from chainsec.ledger.contract import Contract

_CONSENT_TYPE = [
    {"name": "asset", "type": "bytes32"},
    {"name": "grantee", "type": "address"},
    {"name": "purpose", "type": "bytes32"},
    {"name": "scope", "type": "uint8"},
    {"name": "until", "type": "uint40"},
    {"name": "record", "type": "bytes32"},
    {"name": "replaces", "type": "uint40"},
    {"name": "deadline", "type": "uint256"},
]


@dataclass(frozen=True)
class Terms:
    """What an owner allows.

    Args:
        asset: what it is about.
        grantee: organisation or person that may use it.
        purpose: hash of the purpose's IRI.
        scope: what may be done.
        until: last second of validity, Unix time.
        record: hash of the off-chain consent record (ISO/IEC TS 27560).
    """

    asset: Hash32
    grantee: Address
    purpose: Hash32
    scope: Scope
    until: int
    record: Hash32 = ZERO_HASH

    def as_tuple(self) -> tuple[object, ...]:
        """Return the fields in the order of the Solidity struct."""
        return (self.asset, Address(self.grantee), self.purpose, int(self.scope), self.until, self.record)


class Consent:
    """Gives, withdraws and reads consent."""

    def __init__(self, client: Client, contract: Contract) -> None:
        self._client = client
        self.contract = contract

    def give(self, owner: Account, terms: Sequence[Terms]) -> None:
        """Send one transaction in which the owner's controller gives all of ``terms``.

        Raises:
            ValueError: no terms.
        """
        if not terms:
            raise ValueError("there is nothing to consent to")
        self._send(owner, "giveMany", [item.as_tuple() for item in terms])

    def sign(self, owner: Account, terms: Terms, *, replaces: int, deadline_s: int) -> bytes:
        """Return the controller's EIP-712 signature over ``terms``, 65 bytes, for ``give_signed``.

        It counts as long as the consent for the same asset, grantee and purpose stays as it is: whatever gives,
        withdraws or revokes it in between makes the signature worthless.

        Args:
            owner: the controller's key.
            terms: what is allowed.
            replaces: the consent's version now, from ``version_of``; 0 where there was never one.
            deadline_s: last second in which the signature counts, Unix time.
        """
        message = dict(zip((field["name"] for field in _CONSENT_TYPE[:6]), terms.as_tuple(), strict=True))
        domain = {
            "name": "ChainSec ConsentLedger",
            "version": "1",
            "chainId": self._client.engine.chain_id,
            "verifyingContract": str(self.contract.address),
        }
        signable = encode_typed_data(
            domain_data=domain,
            message_types={"Consent": _CONSENT_TYPE},
            message_data={**message, "grantee": str(terms.grantee), "replaces": replaces, "deadline": deadline_s},
        )
        return owner.sign_digest(keccak(b"\x19" + signable.version + signable.header + signable.body))

    def give_signed(self, sender: Account, terms: Terms, *, deadline_s: int, signature: bytes) -> None:
        """Send ``terms`` that the owner signed; anybody may, until the deadline or the consent's next change."""
        self._send(sender, "giveBySig", terms.as_tuple(), deadline_s, signature)

    def version_of(self, asset: Hash32, grantee: Address, purpose: Hash32) -> int:
        """Return how often this consent was given or ended; 0 where it was never given."""
        _, version, _, _ = self._client.call(self.contract, "consentOf", asset, grantee, purpose)
        return int(version)

    def withdraw(self, owner: Account, asset: Hash32, grantee: Address, purpose: Hash32) -> None:
        """Send: the owner takes the consent back. Grants that rest on it end in the same block."""
        self._send(owner, "withdraw", asset, Address(grantee), purpose)

    def revoke(self, guardian: Account, asset: Hash32, grantee: Address, purpose: Hash32, *, reason: Hash32) -> None:
        """Send: guardians end a consent that is not theirs, for instance on a court's order.

        Args:
            guardian: who ends it.
            asset: what it is about.
            grantee: who may use it so far.
            purpose: hash of the purpose's IRI.
            reason: hash of the order that explains it.
        """
        self._send(guardian, "revoke", asset, Address(grantee), purpose, reason)

    def is_valid(self, asset: Hash32, grantee: Address, purpose: Hash32) -> bool:
        """Tell whether a consent is in force."""
        return bool(self._client.call(self.contract, "isValid", asset, grantee, purpose))

    def _send(self, account: Account, function: str, *arguments: object) -> None:
        self._client.transact(account, self.contract.address, self.contract.encode(function, *arguments))
