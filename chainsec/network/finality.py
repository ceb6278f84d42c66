"""When each block was due, and when each validator that agreed on it had it.

Layer: network. Not here: percentiles (``measure``).
"""

from __future__ import annotations

from itertools import pairwise
from statistics import median_low
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from chainsec.network.presence import Presence
    from chainsec.network.safety import Final
    from chainsec.network.simulation import Simulation

__all__ = ["Finality", "list_finality"]

_SECOND_US = 1_000_000


class Finality(NamedTuple):
    """How a block became final.

    Args:
        final: the block, with the time at which each honest node had it.
        due_us: when the validators could begin to agree on it, virtual time.
        times_us: the times that count, by node: of honest validators that were up and connected when the block was due,
            and got it by agreeing. Who was away and fetched it later says nothing about how long agreeing takes.
        left_out: honest validators of the height without such a time.
    """

    final: Final
    due_us: int
    times_us: dict[int, int]
    left_out: int


def list_finality(network: Simulation, presence: Presence) -> list[Finality]:
    """Return how each block became final, in order."""
    agreement, roles = network.agreement, network.plan.roles
    found = []
    for parent, final in pairwise(agreement.finals[agreement.founded - 1 :]):
        due_us = _due_us(network, presence, parent, final)
        counted = presence.at(due_us).connected & presence.agreed.get(final.block.number, set())
        validators = set(agreement.validators_of(final.block.number))
        honest = {node.number for node in network.nodes if node.address in validators and node.number not in roles}
        times_us = {number: time_us for number, time_us in final.times_us.items() if number in honest & counted}
        found.append(Finality(final, due_us, times_us, len(honest) - len(times_us)))
    return found


def _due_us(network: Simulation, presence: Presence, parent: Final, final: Final) -> int:
    """Return when a block was due.

    That is a block period after its parent's time; where the network waits for transactions, when its proposer saw
    some, or when the wait was over. What shows that time is the clock in the middle among the validators that could
    take part, or the proposer's if it is ahead of them: its block is taken at once. Nothing is due before its parent.
    """
    qbft, header = network.plan.qbft, final.block.header
    parent_s, parent_us = parent.block.header.timestamp, min(parent.times_us.values(), default=0)
    due_s = max(parent_s + qbft.block_period_s, min(header.timestamp, parent_s + qbft.empty_block_period_s))
    look, numbers = presence.at(parent_us), {node.address: node.number for node in network.nodes}
    validators = {numbers[address] for address in network.agreement.validators_of(header.block_number)}
    ahead_us = median_low(look.skews_us[number] for number in validators & look.connected or validators)
    if header.extra.round == 0:
        ahead_us = max(ahead_us, look.skews_us[numbers[header.coinbase]])
    due_us = max(due_s * _SECOND_US - network.origin_us - ahead_us, parent_us)
    return min(due_us, *final.times_us.values())  # header times are whole seconds: up to half a one after the block
