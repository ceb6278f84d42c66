"""Block headers as QBFT hashes them, and blocks as they travel.

One header has three hashes: with everything (nobody uses it), without seals (``seal_hash``: what seals and digests
cover), and without seals in round 0 (``hash``: what the next block names as its parent).
Layer: network, codec. Not here: rules about headers (``blockrules``), how blocks come about (``execution``).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from chainsec.digest import keccak
from chainsec.network.extradata import ExtraData
from chainsec.network.rlpitems import as_bytes, as_list, as_number, decode_strictly, encode, encode_number, join
from chainsec.primitives import Address, Hash32

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["EMPTY_LIST_HASH", "EMPTY_TRIE_ROOT", "MIX_HASH", "Block", "Header"]

MIX_HASH = b"ctical byzantine fault tolerance"
"""Marks a block as agreed on by a Byzantine fault tolerant protocol. Source: Besu, BftHelpers.EXPECTED_MIX_HASH."""
EMPTY_LIST_HASH = keccak(b"\xc0")
EMPTY_TRIE_ROOT = keccak(b"\x80")
_HASH, _ADDRESS, _BLOOM, _NONCE = 32, 20, 256, 8
_LIST = 0xC0
_CACHED_BLOCKS = 1_024


@dataclass(frozen=True)
class Header:
    """The header of a block after the Cancun fork, as Besu writes it under QBFT.

    There is no beacon chain, and so no root of its blocks, except in the first header, where it is zero. Numbers are
    integers, hashes 32 bytes; ``bloom`` is the number behind its 256 bytes. Attributes carry the names that py-evm
    reads when it executes.

    >>> header = Header(parent_hash=bytes(32), coinbase=Address(bytes(20)), state_root=EMPTY_TRIE_ROOT, block_number=1,
    ...                 gas_limit=30_000_000, timestamp=1, extra_data=ExtraData((), round=3).encode())
    >>> header.hash == header.in_round(0).seal_hash != header.seal_hash
    True
    """

    parent_hash: bytes
    coinbase: Address
    state_root: bytes
    block_number: int
    gas_limit: int
    timestamp: int
    extra_data: bytes
    transaction_root: bytes = EMPTY_TRIE_ROOT
    receipt_root: bytes = EMPTY_TRIE_ROOT
    bloom: int = 0
    gas_used: int = 0
    difficulty: int = 1
    mix_hash: bytes = MIX_HASH
    nonce: bytes = bytes(8)
    uncles_hash: bytes = EMPTY_LIST_HASH
    base_fee_per_gas: int = 0
    withdrawals_root: bytes = EMPTY_TRIE_ROOT
    blob_gas_used: int = 0
    excess_blob_gas: int = 0
    parent_beacon_block_root: bytes | None = None

    @cached_property
    def extra(self) -> ExtraData:
        """What ``extra_data`` holds. Raises: ValueError: not what QBFT puts there."""
        return ExtraData.decode(self.extra_data)

    @cached_property
    def encoded(self) -> bytes:
        """The header's RLP, seals and all."""
        return self._encode(self.extra_data)

    @cached_property
    def seal_hash(self) -> Hash32:
        """Keccak-256 without seals: what a commit seal signs and a digest names."""
        return Hash32(keccak(self._encode(self.extra.for_seal().encode())))

    @cached_property
    def hash(self) -> Hash32:
        """Keccak-256 without seals, in round 0: the block's name in the chain; of the first block, with everything."""
        if self.block_number == 0:
            return Hash32(keccak(self.encoded))
        return Hash32(keccak(self._encode(self.extra.for_hash().encode())))

    def in_round(self, round_: int) -> Header:
        """Return the header with another round and no seals."""
        return self.with_extra(replace(self.extra, round=round_, seals=()))

    def sealed(self, seals: Sequence[bytes]) -> Header:
        """Return the header with commit seals; its hashes do not cover them and stay, but for the first block's."""
        sealed = self.with_extra(replace(self.extra, seals=tuple(seals)))
        if self.block_number:
            sealed.__dict__.update(hash=self.hash, seal_hash=self.seal_hash)
        return sealed

    def with_extra(self, extra: ExtraData) -> Header:
        """Return the header with another ``extraData``."""
        changed = replace(self, extra_data=extra.encode())
        changed.__dict__["extra"] = extra  # known already: never decoded again
        return changed

    def _encode(self, extra_data: bytes) -> bytes:
        items = [
            self.parent_hash,
            self.uncles_hash,
            bytes(self.coinbase),
            self.state_root,
            self.transaction_root,
            self.receipt_root,
            self.bloom.to_bytes(_BLOOM, "big"),
            encode_number(self.difficulty),
            encode_number(self.block_number),
            encode_number(self.gas_limit),
            encode_number(self.gas_used),
            encode_number(self.timestamp),
            extra_data,
            self.mix_hash,
            self.nonce,
            encode_number(self.base_fee_per_gas),
            self.withdrawals_root,
            encode_number(self.blob_gas_used),
            encode_number(self.excess_blob_gas),
        ]
        if self.parent_beacon_block_root is not None:
            items.append(self.parent_beacon_block_root)
        return encode(items)

    @classmethod
    def from_items(cls, items: Any) -> Header:
        """Read a decoded header, ``extra_data`` and all. Raises: ValueError: names the field that is wrong."""
        has_beacon_root = isinstance(items, list) and len(items) == len(_READERS)
        values = as_list(items, len(_READERS) - (not has_beacon_root), "header")
        header = cls(**{name: read(value, name) for (name, read), value in zip(_READERS, values, strict=False)})
        _ = header.extra  # decoded at the border: no rule meets one that cannot be read
        return header


def _bytes(length: int) -> Callable[[Any, str], bytes]:
    return lambda item, what: as_bytes(item, length, what)


def _extra_data(item: Any, what: str) -> bytes:
    if not isinstance(item, bytes):
        raise ValueError(f"{what}: is a list")  # noqa: TRY004 - bad input, not a bug of the caller
    return item


def _base_fee(item: Any, what: str) -> int:
    return as_number(item, what, most_bytes=32)


_READERS: tuple[tuple[str, Callable[[Any, str], Any]], ...] = (
    ("parent_hash", _bytes(_HASH)),
    ("uncles_hash", _bytes(_HASH)),
    ("coinbase", lambda item, what: Address(as_bytes(item, _ADDRESS, what))),
    ("state_root", _bytes(_HASH)),
    ("transaction_root", _bytes(_HASH)),
    ("receipt_root", _bytes(_HASH)),
    ("bloom", lambda item, what: int.from_bytes(as_bytes(item, _BLOOM, what), "big")),
    ("difficulty", _base_fee),
    ("block_number", as_number),
    ("gas_limit", as_number),
    ("gas_used", as_number),
    ("timestamp", as_number),
    ("extra_data", _extra_data),
    ("mix_hash", _bytes(_HASH)),
    ("nonce", _bytes(_NONCE)),
    ("base_fee_per_gas", _base_fee),
    ("withdrawals_root", _bytes(_HASH)),
    ("blob_gas_used", as_number),
    ("excess_blob_gas", as_number),
    ("parent_beacon_block_root", _bytes(_HASH)),
)
assert {name for name, _ in _READERS} == {item.name for item in fields(Header)}


@dataclass(frozen=True)
class Block:
    """A header with the transactions it commits to, each in its wire form.

    Args:
        header: of the block.
        transactions: signed transactions; a legacy one is a list in RLP, a typed one a string of bytes (EIP-2718).
    """

    header: Header
    transactions: tuple[bytes, ...] = ()

    @property
    def number(self) -> int:
        """The block's height."""
        return self.header.block_number

    @cached_property
    def encoded(self) -> bytes:
        """RLP: header, transactions, no ommers, no withdrawals."""
        return join([self.header.encoded, self._body, b"\xc0", b"\xc0"])

    @cached_property
    def _body(self) -> bytes:
        return join(raw if raw[0] >= _LIST else encode(raw) for raw in self.transactions)

    def with_header(self, header: Header) -> Block:
        """Return a block of the same transactions under another header."""
        return replace(self, header=header)

    @staticmethod
    def decode(encoded: bytes) -> Block:
        """Read what ``encoded`` gives; the same bytes are decoded once in a process.

        Raises:
            ValueError: says what is wrong with which field.
        """
        return _decode_block(encoded)

    @classmethod
    def from_items(cls, items: Any) -> Block:
        """Read a decoded block. Raises: ValueError: says what is wrong with which field."""
        header, transactions, ommers, withdrawals = as_list(items, 4, "block")
        if ommers != [] or withdrawals != []:
            raise ValueError("block: has ommers or withdrawals")
        raws = tuple(_raw_transaction(item) for item in as_list(transactions, None, "transactions"))
        return cls(Header.from_items(header), raws)


def _raw_transaction(item: Any) -> bytes:
    if isinstance(item, bytes):
        if not item or item[0] >= _LIST:
            raise ValueError("transactions: one is neither a list nor typed")
        return item
    if not all(isinstance(field, bytes) for field in item):  # encoding lists as deep as a peer likes ends the process
        raise ValueError("transactions: one that is a list holds another")
    return encode(item)


@lru_cache(maxsize=_CACHED_BLOCKS)
def _decode_block(encoded: bytes) -> Block:
    return Block.from_items(decode_strictly(encoded, "block"))
