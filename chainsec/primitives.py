"""The nouns that every layer shares: addresses, hashes, purposes, requests, verdicts, decisions.

Frozen values without behaviour beyond their own encoding. Layer: bottom.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from functools import cached_property
from typing import Self

from eth_abi import encode as abi_encode
from eth_utils import is_address, to_canonical_address, to_checksum_address

from chainsec.digest import keccak


class Address(bytes):
    """A 20-byte account address; prints with its EIP-55 checksum.

    >>> str(Address("0x00000000000000000000000000000000000000ff"))
    '0x00000000000000000000000000000000000000fF'

    Raises:
        ValueError: not 20 bytes, not hexadecimal, or a wrong EIP-55 checksum.
    """

    def __new__(cls, value: str | bytes) -> Self:
        if isinstance(value, bytes):
            if len(value) != 20:  # noqa: PLR2004 - the width of an address
                raise ValueError(f"an address has 20 bytes, not {len(value)}")
            return super().__new__(cls, value)
        if not is_address(value):
            raise ValueError(f"not an address: {value!r}")
        return super().__new__(cls, to_canonical_address(value))

    def __str__(self) -> str:
        return to_checksum_address(bytes(self))

    def __repr__(self) -> str:
        return f"Address({str(self)!r})"


class Hash32(bytes):
    """A 32-byte hash or identifier; prints as 0x-prefixed hexadecimal.

    Raises:
        ValueError: not 32 bytes.
    """

    def __new__(cls, value: str | bytes) -> Self:
        raw = bytes.fromhex(value.removeprefix("0x")) if isinstance(value, str) else value
        if len(raw) != 32:  # noqa: PLR2004 - the width of a hash
            raise ValueError(f"a hash has 32 bytes, not {len(raw)}")
        return super().__new__(cls, raw)

    def __str__(self) -> str:
        return "0x" + self.hex()

    def __repr__(self) -> str:
        return f"Hash32({str(self)!r})"


ZERO_HASH = Hash32(bytes(32))
ZERO_ADDRESS = Address(bytes(20))


class Scope(IntFlag):
    """What may be done with an asset; a request asks for a subset of what a consent allows."""

    READ = 1
    WRITE = 2
    EXPORT = 4


ACTION_SCOPES = {"read": Scope.READ, "write": Scope.READ | Scope.WRITE, "export": Scope.READ | Scope.EXPORT}
"""What a request for an action asks for: nobody writes or exports without reading."""


class Verdict(IntEnum):
    """What the agent says of a request. The contract may lower it, never raise it."""

    DENY = 0
    ESCALATE = 1
    GRANT = 2


@dataclass(frozen=True)
class Purpose:
    """Why data is asked for: a term of the W3C Data Privacy Vocabulary, on chain as the hash of its IRI.

    >>> Purpose("research", "https://w3id.org/dpv#ScientificResearch").hash.hex()[:8]
    '5b5ef3f4'
    """

    name: str
    iri: str

    @cached_property
    def hash(self) -> Hash32:
        """The Keccak-256 of the IRI."""
        return Hash32(keccak(self.iri.encode()))


_REQUEST_TYPES = ("address", "address", "bytes32", "bytes32", "uint8", "uint40", "bytes32")


@dataclass(frozen=True)
class AccessRequest:
    """One request as it stands on chain.

    Args:
        requester: who wants to use the asset.
        organisation: on whose behalf; the requester itself when it acts alone. Consent names this party.
        asset: identifier of the asset.
        purpose: hash of the purpose's IRI.
        scope: what is to be done; a non-empty set of ``Scope``.
        until: last second of the grant asked for, Unix time.
        context: hash of the off-chain context (canonical JSON, with a salt).
    """

    requester: Address
    organisation: Address
    asset: Hash32
    purpose: Hash32
    scope: Scope
    until: int
    context: Hash32

    def as_tuple(self) -> tuple[bytes, bytes, bytes, bytes, int, int, bytes]:
        """Return the fields in the order of the Solidity struct."""
        return (
            self.requester,
            self.organisation,
            self.asset,
            self.purpose,
            int(self.scope),
            self.until,
            self.context,
        )

    @cached_property
    def id(self) -> Hash32:
        """The request's identifier: Keccak-256 of its ABI encoding, as ``AccessGrants`` computes it."""
        return Hash32(keccak(abi_encode(_REQUEST_TYPES, self.as_tuple())))


@dataclass(frozen=True)
class Decision:
    """The agent's verdict on one request, with the hash of the receipt that explains it."""

    request: AccessRequest
    verdict: Verdict
    receipt: Hash32
