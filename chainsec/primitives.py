"""The nouns that every layer shares: addresses, hashes, purposes, requests, verdicts, decisions.

Frozen values without behaviour beyond their own encoding. Layer: bottom, above ``digest``. Not here: rules about them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from functools import cached_property, lru_cache
from typing import Self

from eth_abi.abi import encode as abi_encode
from eth_utils.address import to_checksum_address

from chainsec.digest import keccak
from chainsec.errors import BadAddress

_ADDRESS = re.compile("(0x)?[0-9a-fA-F]{40}")
_REMEMBERED_CHECKSUMS = 65_536


@lru_cache(_REMEMBERED_CHECKSUMS)
def _checksummed(raw: bytes) -> str:
    return to_checksum_address(raw)


class Address(bytes):
    """A 20-byte account address; prints with its EIP-55 checksum.

    Args:
        value: 20 bytes, or 40 hexadecimal digits; of one case, or in the mixed case of EIP-55.

    Raises:
        BadAddress: not 20 bytes, not hexadecimal, or a wrong EIP-55 checksum. It is a ``ValueError`` too.

    >>> str(Address("0xfb6916095ca1df60bb79ce92ce3ea74c37c5d359"))
    '0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359'
    """

    def __new__(cls, value: str | bytes) -> Self:
        """Check ``value``."""
        if isinstance(value, bytes):
            if len(value) != 20:  # noqa: PLR2004 - the width of an address
                raise BadAddress(f"an address has 20 bytes, not {len(value)}", value=value)
            return super().__new__(cls, value)
        if not (isinstance(value, str) and _ADDRESS.fullmatch(value)):
            raise BadAddress(f"not an address: {value!r}", value=value)
        digits = value[-40:]
        if digits not in {digits.lower(), digits.upper(), to_checksum_address(value.lower())[2:]}:
            raise BadAddress(f"not an address, its checksum is wrong: {value}", value=value)
        return super().__new__(cls, bytes.fromhex(digits))

    def __str__(self) -> str:
        return _checksummed(bytes(self))

    def __repr__(self) -> str:
        return f"Address({str(self)!r})"


class Hash32(bytes):
    """A 32-byte hash or identifier; prints as 0x-prefixed hexadecimal.

    Args:
        value: 32 bytes, or 64 hexadecimal digits after an optional ``0x``.

    Raises:
        ValueError: not 32 bytes, or not hexadecimal.

    >>> str(Hash32("ab" * 32)) == "0x" + "ab" * 32
    True
    """

    def __new__(cls, value: str | bytes) -> Self:
        """Check ``value``."""
        if isinstance(value, str):
            digits = value.removeprefix("0x")
            if len(digits) != 64:  # noqa: PLR2004 - the width of a hash; fromhex alone would pass over spaces
                raise ValueError(f"a hash has 64 hexadecimal digits, not {len(digits)}")
            value = bytes.fromhex(digits)
        if len(value) != 32:  # noqa: PLR2004 - the width of a hash
            raise ValueError(f"a hash has 32 bytes, not {len(value)}")
        return super().__new__(cls, value)

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
    'd716e58f'
    """

    name: str
    iri: str

    @cached_property
    def hash(self) -> Hash32:
        """The Keccak-256 of the IRI."""
        return Hash32(keccak(self.iri.encode()))


_WORD_BYTES = 32
_LEFT_OF_ADDRESS = bytes(12)
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
        """Return the fields in the order of the Solidity struct.

        Raises:
            BadAddress: requester or organisation is none.
        """
        return (
            Address(self.requester),
            Address(self.organisation),
            self.asset,
            self.purpose,
            int(self.scope),
            self.until,
            self.context,
        )

    @cached_property
    def id(self) -> Hash32:
        """The request's identifier: Keccak-256 of its ABI encoding, as ``AccessGrants`` computes it."""
        requester, organisation, asset, purpose, scope, until, context = self.as_tuple()
        is_in_range = 0 <= scope < 2**8 and 0 <= until < 2**40
        if not (is_in_range and len(asset) == len(purpose) == len(context) == _WORD_BYTES):
            return Hash32(keccak(abi_encode(_REQUEST_TYPES, self.as_tuple())))  # which says what is wrong
        numbers = scope.to_bytes(_WORD_BYTES, "big") + until.to_bytes(_WORD_BYTES, "big")
        return Hash32(
            keccak(_LEFT_OF_ADDRESS + requester + _LEFT_OF_ADDRESS + organisation + asset + purpose + numbers + context)
        )


@dataclass(frozen=True)
class Decision:
    """The agent's verdict on one request, with the hash of the receipt that explains it."""

    request: AccessRequest
    verdict: Verdict
    receipt: Hash32
