"""What a header has to be, given its parent: QBFT's rules, without executing anything.

Pure functions that return a reason, or None. Layer: network, rules. Not here: what transactions do (``execution``),
messages (``justification``), who may do what (``permissions``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainsec.network.committee import quorum_size
from chainsec.network.header import EMPTY_LIST_HASH, EMPTY_TRIE_ROOT, MIX_HASH
from chainsec.network.messages import seal_author

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chainsec.network.header import Header
    from chainsec.primitives import Address

__all__ = ["MAX_AHEAD_S", "check_header", "check_seals"]

MAX_AHEAD_S = 1
"""How far a block may lie ahead of the clock of who checks it. Source: Besu, TimestampBoundedByFutureParameter."""
_SECOND_US = 1_000_000
_MIN_GAS_LIMIT, _GAS_LIMIT_PART = 5_000, 1_024


def check_header(
    header: Header, parent: Header, validators: Sequence[Address], *, block_period_s: int, now_us: int
) -> str | None:
    """Return why ``header`` cannot follow ``parent``, or None.

    Args:
        header: with or without seals.
        parent: the header before.
        validators: of the height, sorted.
        block_period_s: least time between two blocks.
        now_us: the clock of who checks, microseconds since 1970.

    Source: Besu, QbftBlockHeaderValidationRulesetFactory.
    """
    return next(_broken_rules(header, parent, tuple(validators), block_period_s, now_us), None)


def _broken_rules(
    header: Header, parent: Header, validators: tuple[Address, ...], block_period_s: int, now_us: int
) -> Iterator[str]:
    try:
        extra = header.extra
    except ValueError as error:
        yield f"extra data: {error}"
        return
    if header.block_number != parent.block_number + 1:
        yield f"height {header.block_number} does not follow {parent.block_number}"
    if header.parent_hash != parent.hash:
        yield "it names another parent"
    if header.gas_used > header.gas_limit:
        yield "it uses more gas than its limit"
    step = parent.gas_limit // _GAS_LIMIT_PART
    if header.gas_limit < _MIN_GAS_LIMIT or abs(header.gas_limit - parent.gas_limit) >= step:
        yield "its gas limit moves too far"
    if header.timestamp * _SECOND_US > now_us + MAX_AHEAD_S * _SECOND_US:
        yield "its time lies in the future"
    if header.timestamp < parent.timestamp + block_period_s:
        yield f"its time is not {block_period_s} s after its parent's"
    if extra.validators != validators:
        yield "its validators are not those of its height"
    if header.coinbase not in validators:
        yield "its proposer is no validator"
    yield from _broken_constants(header)


def _broken_constants(header: Header) -> Iterator[str]:
    constants = {
        "mix hash": header.mix_hash == MIX_HASH,
        "difficulty": header.difficulty == 1,
        "ommers": header.uncles_hash == EMPTY_LIST_HASH,
        "base fee": header.base_fee_per_gas == 0,
        "withdrawals": header.withdrawals_root == EMPTY_TRIE_ROOT,
        "blob gas": header.excess_blob_gas == 0 == header.blob_gas_used,
        "beacon root": header.parent_beacon_block_root is None,
    }
    yield from (f"its {name} is not the constant it has to be" for name, is_right in constants.items() if not is_right)


def check_seals(header: Header, validators: Sequence[Address]) -> str | None:
    """Return why ``header`` is not sealed by a quorum of its validators, or None.

    Source: Besu, BftCommitSealsValidationRule.
    """
    authors = [seal_author(header.seal_hash, seal) for seal in header.extra.seals]
    if len(set(authors)) != len(authors):
        return "one validator has sealed it twice"
    if not set(authors) <= set(validators):
        return "somebody who is no validator has sealed it"
    if len(authors) < quorum_size(len(validators)):
        return f"{len(authors)} seals are no quorum of {len(validators)} validators"
    return None
