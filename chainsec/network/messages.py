"""The four messages of QBFT, their encoding, and who signed them.

A payload is signed; a message is a signed payload with what justifies it. Everything is immutable and encoded once;
a signature is recovered once, however many validators read the message.
Layer: network, codec. Not here: what makes a message justified (``justification``), when one is sent (``validator``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from chainsec.digest import keccak
from chainsec.ledger.signed import recover_address
from chainsec.network.header import Block
from chainsec.network.rlpitems import as_bytes, as_list, as_number, decode_strictly, encode, encode_number, join

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainsec.ledger.account import Account
    from chainsec.primitives import Address

__all__ = [
    "Code",
    "Commit",
    "Message",
    "Payload",
    "Prepare",
    "Prepared",
    "Proposal",
    "RoundChange",
    "Signed",
    "read_message",
    "seal_author",
    "sign",
    "sign_seal",
]

_SIGNATURE_BYTES, _DIGEST_BYTES, _ROUND_BYTES = 65, 32, 4
_NULL, _EMPTY = b"\x80", b"\xc0"
_CACHED_MESSAGES = 4096


class Code(IntEnum):
    """What kind of message it is, as on the wire. Source: Besu, QbftV1."""

    PROPOSAL = 0x12
    PREPARE = 0x13
    COMMIT = 0x14
    ROUND_CHANGE = 0x15


@dataclass(frozen=True)
class Payload:
    """What every payload says: the height it is about, and the round at that height."""

    height: int
    round: int

    @property
    def code(self) -> Code:
        """Which kind of message it belongs to."""
        raise NotImplementedError

    @property
    def encoded(self) -> bytes:
        """The payload's RLP."""
        raise NotImplementedError

    @cached_property
    def signing_hash(self) -> bytes:
        """What its author signs: Keccak-256 of code and payload, 32 bytes."""
        return keccak(join([bytes([self.code]), self.encoded]))


@dataclass(frozen=True)
class Prepare(Payload):
    """The author has checked the proposal that ``digest`` names, and takes it."""

    digest: bytes

    @property
    def code(self) -> Code:
        """As on the wire."""
        return Code.PREPARE

    @cached_property
    def encoded(self) -> bytes:
        """RLP of height, round, digest."""
        return encode([encode_number(self.height), encode_number(self.round), self.digest])


@dataclass(frozen=True)
class Commit(Payload):
    """The author has seen a quorum prepare ``digest``, and seals the block."""

    seal: bytes
    digest: bytes

    @property
    def code(self) -> Code:
        """As on the wire."""
        return Code.COMMIT

    @cached_property
    def encoded(self) -> bytes:
        """RLP of height, round, seal, digest."""
        return encode([encode_number(self.height), encode_number(self.round), self.seal, self.digest])


@dataclass(frozen=True)
class Prepared:
    """The latest round in which a validator saw a quorum prepare, and what they prepared."""

    round: int
    digest: bytes


@dataclass(frozen=True)
class RoundChange(Payload):
    """The author gives the round before ``round`` up; what it saw prepared has to be proposed again."""

    prepared: Prepared | None

    @property
    def code(self) -> Code:
        """As on the wire."""
        return Code.ROUND_CHANGE

    @cached_property
    def encoded(self) -> bytes:
        """RLP of height, round, and a list that is empty or holds round and digest."""
        prepared = [] if self.prepared is None else [encode_number(self.prepared.round), self.prepared.digest]
        return encode([encode_number(self.height), encode_number(self.round), prepared])


@dataclass(frozen=True)
class Proposal(Payload):
    """The author proposes ``block``.

    Args:
        has_access_list: whether the slot for a block access list is there, always empty: since Besu 26.1.
    """

    block: Block
    has_access_list: bool = True

    @property
    def code(self) -> Code:
        """As on the wire."""
        return Code.PROPOSAL

    @cached_property
    def encoded(self) -> bytes:
        """RLP of height, round, block, and the empty slot."""
        items = [_scalar(self.height), _scalar(self.round), self.block.encoded]
        return join([*items, _NULL] if self.has_access_list else items)


PayloadT = TypeVar("PayloadT", bound=Payload)


@dataclass(frozen=True)
class Signed(Generic[PayloadT]):
    """A payload with its author's signature, 65 bytes: r, s, and 0 or 1."""

    payload: PayloadT
    signature: bytes

    @cached_property
    def author(self) -> Address | None:
        """Who signed; None where no key can have."""
        return _signer(self.payload.signing_hash, self.signature)

    @cached_property
    def encoded(self) -> bytes:
        """RLP of payload and signature."""
        return join([self.payload.encoded, encode(self.signature)])


@dataclass(frozen=True)
class Message:
    """A signed payload and what justifies it, as it travels.

    Args:
        signed: the payload and its signature.
        block: of a round change, the block that was prepared.
        round_changes: of a proposal after round 0, a quorum of them.
        prepares: of a proposal or a round change, those of the prepared block.
    """

    signed: Signed[Any]
    block: Block | None = None
    round_changes: tuple[Signed[RoundChange], ...] = ()
    prepares: tuple[Signed[Prepare], ...] = ()
    has_access_list: bool = field(default=True, compare=False)

    @cached_property
    def code(self) -> Code:
        """What kind it is."""
        return self.signed.payload.code  # type: ignore[no-any-return] # a payload of any kind

    @cached_property
    def height(self) -> int:
        """The height it is about."""
        return self.signed.payload.height  # type: ignore[no-any-return] # as above

    @cached_property
    def round(self) -> int:
        """The round it is about."""
        return self.signed.payload.round  # type: ignore[no-any-return] # as above

    @cached_property
    def author(self) -> Address | None:
        """Who signed it."""
        return self.signed.author

    @cached_property
    def encoded(self) -> bytes:
        """What travels, after the code."""
        if self.code == Code.PROPOSAL:
            round_changes = join(signed.encoded for signed in self.round_changes)
            return join([self.signed.encoded, join([round_changes, self._prepares])])
        if self.code == Code.ROUND_CHANGE:
            block = _EMPTY if self.block is None else self.block.encoded
            slot = [_NULL] if self.has_access_list else []
            return join([self.signed.encoded, block, *slot, self._prepares])
        return self.signed.encoded

    @property
    def _prepares(self) -> bytes:
        return join(signed.encoded for signed in self.prepares)


def sign(account: Account, payload: PayloadT) -> Signed[PayloadT]:
    """Return ``payload`` signed by ``account``.

    >>> from chainsec.ledger.account import Account
    >>> ann = Account.derive(b"seed", "ann")
    >>> sign(ann, Prepare(1, 0, bytes(32))).author == ann.address
    True
    """
    return Signed(payload, sign_seal(account, payload.signing_hash))


def sign_seal(account: Account, digest: bytes) -> bytes:
    """Return the 65 bytes of a signature as Besu writes them: r, s, and 0 or 1."""
    signature = account.sign_digest(digest)
    return signature[:64] + bytes([signature[64] - 27])


@lru_cache(maxsize=65_536)
def _signer(digest: bytes, signature: bytes) -> Address | None:
    try:
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
        return recover_address(digest, signature[64], r, s)
    except ValueError:
        return None


def seal_author(digest: bytes, seal: bytes) -> Address | None:
    """Return who sealed ``digest``; None where no key can have. Worked out once in a process."""
    return _signer(bytes(digest), seal)


@lru_cache(maxsize=_CACHED_MESSAGES)
def read_message(code: int, encoded: bytes) -> Message:
    """Return the message that ``encoded`` holds; the same bytes are decoded once in a process.

    Both forms are read: with the slot for a block access list, which Besu writes since 26.1, and without.

    Raises:
        ValueError: an unknown code, or says what is wrong with which field.
    """
    items = decode_strictly(encoded, "message")
    if code == Code.PREPARE:
        return Message(_signed(items, _prepare))
    if code == Code.COMMIT:
        return Message(_signed(items, _commit))
    if code == Code.PROPOSAL:
        signed, justification = as_list(items, 2, "proposal")
        round_changes, prepares = as_list(justification, 2, "justification")
        return Message(
            _signed(signed, _proposal),
            round_changes=tuple(_signed(item, _round_change) for item in as_list(round_changes, None, "round changes")),
            prepares=tuple(_signed(item, _prepare) for item in as_list(prepares, None, "prepares")),
        )
    if code == Code.ROUND_CHANGE:
        return _read_round_change(items)
    raise ValueError(f"code {code:#x} is no message of QBFT")


def _read_round_change(items: Any) -> Message:
    has_access_list = len(as_list(items, None, "round change")) == 4  # noqa: PLR2004 - three without that slot
    parts = as_list(items, 4 if has_access_list else 3, "round change")
    if has_access_list and parts[2] != b"":
        raise ValueError("round change: holds a block access list, which this fork has not")
    return Message(
        _signed(parts[0], _round_change),
        block=None if parts[1] == [] else Block.from_items(parts[1]),
        prepares=tuple(_signed(item, _prepare) for item in as_list(parts[-1], None, "prepares")),
        has_access_list=has_access_list,
    )


def _signed(item: Any, read: Callable[[Any], PayloadT]) -> Signed[PayloadT]:
    payload, signature = as_list(item, 2, "signed payload")
    return Signed(read(payload), as_bytes(signature, _SIGNATURE_BYTES, "signature"))


def _place(height: Any, round_: Any) -> tuple[int, int]:
    return as_number(height, "height"), as_number(round_, "round", most_bytes=_ROUND_BYTES)


def _prepare(item: Any) -> Prepare:
    height, round_, digest = as_list(item, 3, "prepare")
    return Prepare(*_place(height, round_), as_bytes(digest, _DIGEST_BYTES, "digest"))


def _commit(item: Any) -> Commit:
    height, round_, seal, digest = as_list(item, 4, "commit")
    return Commit(
        *_place(height, round_), as_bytes(seal, _SIGNATURE_BYTES, "seal"), as_bytes(digest, _DIGEST_BYTES, "digest")
    )


def _round_change(item: Any) -> RoundChange:
    height, round_, metadata = as_list(item, 3, "round change")
    prepared = None
    if metadata != []:
        prepared_round, digest = as_list(metadata, 2, "prepared round")
        number = as_number(prepared_round, "prepared round", most_bytes=_ROUND_BYTES)
        prepared = Prepared(number, as_bytes(digest, _DIGEST_BYTES, "digest"))
    return RoundChange(*_place(height, round_), prepared)


def _proposal(item: Any) -> Proposal:
    parts = as_list(item, None, "proposal")
    has_access_list = len(parts) == 4  # noqa: PLR2004 - three without that slot
    height, round_, block, *slot = as_list(parts, 4 if has_access_list else 3, "proposal")
    if slot not in ([], [b""]):
        raise ValueError("proposal: holds a block access list, which this fork has not")
    return Proposal(*_place(height, round_), Block.from_items(block), has_access_list)


def _scalar(value: int) -> bytes:
    return encode(encode_number(value))
