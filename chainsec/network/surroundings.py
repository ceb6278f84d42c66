"""What a validator is given: the network's settings, a chain of its own, and a machine to run on.

Layer: network. Not here: what a validator does with them (``validator``), real ones (``chain``, ``node``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainsec.network.header import Block, Header
    from chainsec.network.messages import Message
    from chainsec.primitives import Address

__all__ = ["Chain", "QbftSettings", "Surroundings"]


@dataclass(frozen=True)
class QbftSettings:
    """What a network's genesis fixes about QBFT.

    Args:
        block_period_s: least time between two blocks.
        request_timeout_s: how long round 0 may take; each further round twice as long.
        empty_block_period_s: how long the network waits before it makes a block without transactions; 0: not at all.
        epoch_blocks: votes about validators are void at every multiple of it.
        has_catch_up: f+1 round changes for higher rounds move a validator to the lowest of them, as the specification
            asks for; Besu has it off by default.
        round_change_repeat_s: a round change is sent again every so often, as long as the round lasts; 0: once only, as
            Besu does.
        has_access_list: messages have Besu 26.1's slot for a block access list.
        keeps_votes: what a validator has prepared is on its disk, and survives a restart. Besu has it in memory.
        keeps_prepared: a validator that others' messages move to a later round keeps what it has seen prepared, as the
            specification has it. Besu forgets it, and only its own timeout keeps it (QbftBlockHeightManager,
            startNewRound): of seven validators two that lie can then undo a block that is final somewhere.
        starts_after_sync: a node that has caught up takes part at once. Besu before 25.3 waited for the next block,
            which may never come (issue 8307).
        restores_prepared_round: a block that is proposed again is compared with what was prepared in the round in which
            it was. Besu before 24.12 compared it in the new round, where it is another (issue 6732).
    """

    block_period_s: int = 1
    request_timeout_s: float = 4.0
    empty_block_period_s: int = 0
    epoch_blocks: int = 30_000
    has_catch_up: bool = False
    round_change_repeat_s: float = 0.0
    has_access_list: bool = True
    keeps_votes: bool = False
    keeps_prepared: bool = False
    starts_after_sync: bool = True
    restores_prepared_round: bool = True


class Chain(Protocol):
    """What a validator asks of its own chain."""

    @property
    def head(self) -> Header:
        """The newest block's header, sealed."""

    @property
    def validators(self) -> tuple[Address, ...]:
        """Who agrees on the next block, sorted."""

    @property
    def chain_id(self) -> int:
        """EIP-155 identifier."""

    def build(self, round_: int, timestamp_s: int) -> Block:
        """Return a new block on the head, executed."""

    def build_of(self, transactions: Sequence[Any], round_: int, timestamp_s: int) -> Block:
        """Return a new block of these transactions, executed."""

    def check(self, block: Block) -> str | None:
        """Return why a proposed block cannot follow the head, or None."""

    def append(self, block: Block) -> None:
        """Make a block, sealed by a quorum and checked before, the head."""


class Surroundings(Protocol):
    """What a validator asks of the machine it runs on."""

    @property
    def now_us(self) -> int:
        """The machine's clock, microseconds since 1970."""

    def multicast(self, message: Message) -> None:
        """Send a message to all other validators."""

    def send_to(self, validator: Address, message: Message) -> None:
        """Send a message to one other validator."""

    def set_block_timer(self, at_us: int | None) -> None:
        """Call ``on_block_timer`` at a time of the machine's clock, or not at all; a timer set before is void."""

    def set_round_timer(self, delay_us: int | None) -> None:
        """Call ``on_round_timer`` after a while, or not at all; another timer set before is void."""

    def call_later(self, delay_us: int, act: Callable[[], None]) -> None:
        """Do something after a while, unless the machine stops before."""

    def note(self, event: str, round_: int, detail: str = "") -> None:
        """Take note of something for the trace."""
