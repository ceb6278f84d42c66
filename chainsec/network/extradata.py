"""What QBFT keeps in a header's ``extraData``: validators, a vote, the round, the commit seals.

Layer: network, codec. Not here: whether any of it is right (``blockrules``), what votes lead to (``votes``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chainsec.network.rlpitems import as_address, as_bytes, as_list, as_number, decode_strictly, encode, encode_number

if TYPE_CHECKING:
    from chainsec.primitives import Address

__all__ = ["SEAL_BYTES", "VANITY_BYTES", "ExtraData", "Vote"]

VANITY_BYTES = 32
SEAL_BYTES = 65
_ROUND_BYTES = 4
_ADD, _DROP = b"\xff", b""


@dataclass(frozen=True, slots=True)
class Vote:
    """A proposer's wish that ``subject`` become a validator, or cease to be one."""

    subject: Address
    is_add: bool


@dataclass(frozen=True, slots=True)
class ExtraData:
    r"""The five fields of QBFT's ``extraData``.

    Args:
        validators: of the block that carries it, sorted; empty where a contract lists them.
        vote: the proposer's, if it casts one.
        round: in which the block was agreed on, from 0.
        seals: 65-byte signatures over the block's seal hash.
        vanity: 32 free bytes.

    >>> from chainsec.primitives import Address
    >>> data = ExtraData((Address(bytes(19) + b"\x01"),), round=2)
    >>> ExtraData.decode(data.encode()) == data
    True

    Source: Besu, QbftExtraDataCodec.
    """

    validators: tuple[Address, ...]
    vote: Vote | None = None
    round: int = 0
    seals: tuple[bytes, ...] = ()
    vanity: bytes = bytes(VANITY_BYTES)

    def encode(self) -> bytes:
        """Return the RLP that stands in the header."""
        vote = [] if self.vote is None else [bytes(self.vote.subject), _ADD if self.vote.is_add else _DROP]
        validators = [bytes(validator) for validator in self.validators]
        return encode([self.vanity, validators, vote, encode_number(self.round), list(self.seals)])

    def for_seal(self) -> ExtraData:
        """Return what commit seals and digests cover: no seals, the round kept."""
        return replace(self, seals=()) if self.seals else self

    def for_hash(self) -> ExtraData:
        """Return what the block's hash covers: no seals, round 0."""
        return replace(self, seals=(), round=0)

    @classmethod
    def decode(cls, encoded: bytes) -> ExtraData:
        """Read what ``encode`` wrote; every other form is refused.

        Raises:
            ValueError: says what is wrong with which field.
        """
        fields = as_list(decode_strictly(encoded, "extraData"), 5, "extraData")
        vanity = as_bytes(fields[0], VANITY_BYTES, "vanity")
        validators = tuple(as_address(item, "validator") for item in as_list(fields[1], None, "validators"))
        vote = None
        if fields[2] != []:
            subject, kind = as_list(fields[2], 2, "vote")
            if kind not in (_ADD, _DROP):  # a tuple: what stands there may be a list, which no set takes
                raise ValueError("vote: is neither add nor drop")
            vote = Vote(as_address(subject, "vote"), kind == _ADD)
        seals = tuple(as_bytes(item, SEAL_BYTES, "seal") for item in as_list(fields[4], None, "seals"))
        return cls(validators, vote, as_number(fields[3], "round", most_bytes=_ROUND_BYTES), seals, vanity)
