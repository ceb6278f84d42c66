"""What validators have agreed on, as evidence: the sealed headers of a chain, and whether they hold.

Layer: network. Not here: executing the blocks again (``ledger.verify``).
"""

from __future__ import annotations

from dataclasses import fields
from itertools import pairwise
from typing import TYPE_CHECKING

from chainsec.errors import AuditFailed
from chainsec.network.blockrules import check_header, check_seals
from chainsec.network.committee import select_proposer
from chainsec.network.founding import executed_header, founding_blocks
from chainsec.network.header import Header
from chainsec.network.rlpitems import decode_strictly
from chainsec.network.votes import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chainsec.ledger.local import LocalEngine
    from chainsec.primitives import Address

__all__ = ["check_headers", "read_headers", "write_headers"]

_FAR_US = 2**62


def write_headers(headers: Sequence[Header]) -> bytes:
    """Return headers as lines of hexadecimal RLP; the first is the one that the validators began on."""
    return b"".join(header.encoded.hex().encode() + b"\n" for header in headers)


def read_headers(content: bytes) -> list[Header]:
    """Return what ``write_headers`` wrote. Raises: AuditFailed: names the line that is no header."""
    return list(_read(content))


def _read(content: bytes) -> Iterator[Header]:
    *lines, rest = content.split(b"\n")
    if rest:
        raise AuditFailed(f"headers: line {len(lines) + 1}: does not end", line=len(lines) + 1)
    for number, line in enumerate(lines, 1):
        try:
            header = Header.from_items(decode_strictly(bytes.fromhex(line.decode()), "header"))
        except (ValueError, UnicodeDecodeError) as error:
            raise AuditFailed(f"headers: line {number}: {error}", line=number) from error
        if header.encoded.hex().encode() != line:
            raise AuditFailed(f"headers: line {number}: is not as it is written", line=number)
        yield header


def check_headers(
    headers: Sequence[Header],
    engine: LocalEngine,
    *,
    validators: Sequence[Address],
    first_block: int,
    block_period_s: int,
    epoch_blocks: int,
) -> int:
    """Hold sealed headers against a chain that was executed: parents, rules, seals, and every field that it gives.

    Args:
        headers: the first is the block that the validators began on, unsealed, as it follows from the blocks before it;
            each of the others was agreed on.
        engine: the chain, which has to end with the last of them.
        validators: that the network began with.
        first_block: the block that it began on.
        block_period_s: the network's.
        epoch_blocks: the network's.

    Returns:
        How many seals hold.

    Raises:
        AuditFailed: names the first block whose header does not hold.
    """
    if not headers or headers[-1].block_number != engine.head().number:
        raise AuditFailed("headers: do not end where the chain ends")
    laid = founding_blocks(engine, validators, first_block)[-1].header
    if laid.encoded != headers[0].encoded:
        raise AuditFailed(
            f"block {headers[0].block_number}: header: is not what the validators began on, block {first_block}",
            block=headers[0].block_number,
        )
    tally, seals = Tally(laid.extra.validators, epoch_blocks=epoch_blocks), 0
    for parent, header in pairwise(headers):
        number = header.block_number
        fault = (
            check_header(header, parent, tally.validators, block_period_s=block_period_s, now_us=_FAR_US)
            or check_seals(header, tally.validators)
            or _misplaced(header, parent, tally.validators)
            or _differing(header, engine)
        )
        if fault is not None:
            raise AuditFailed(f"block {number}: header: {fault}", block=number)
        tally = tally.after(number, header.coinbase, header.extra.vote)
        seals += len(header.extra.seals)
    return seals


def _misplaced(header: Header, parent: Header, validators: Sequence[Address]) -> str | None:
    """Say where no round up to the header's had its proposer, None where one had: a block may be proposed again.

    Besu does not ask that of a block that it imports; of one that was agreed on it has to be so. A proposer that is one
    of the validators, as ``check_header`` asks, is found within as many rounds as there are of them.
    """
    turns = (select_proposer(validators, parent.coinbase, round_) for round_ in range(header.extra.round + 1))
    if header.coinbase in turns:
        return None
    return f"{header.coinbase} had no turn in rounds 0 to {header.extra.round}"


def _differing(header: Header, engine: LocalEngine) -> str | None:
    """Say which field is not what execution gives, None where all are."""
    executed = executed_header(
        engine,
        header.block_number,
        parent_hash=header.parent_hash,
        coinbase=header.coinbase,
        extra_data=header.extra_data,
    )
    differing = [each.name for each in fields(header) if getattr(header, each.name) != getattr(executed, each.name)]
    return f"the validators agreed on another {differing[0]} than the chain gives" if differing else None
