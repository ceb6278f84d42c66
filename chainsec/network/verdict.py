"""Whether a network that has come to its end agreed, stalled or forked, and how long it may go without a block.

Layer: network. Not here: comparing blocks (``safety``), figures (``measure``).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple

from chainsec.network.committee import most_faulty, quorum_size, select_proposer

if TYPE_CHECKING:
    from collections.abc import Collection

    from chainsec.network.presence import Presence
    from chainsec.network.simulation import Simulation
    from chainsec.network.surroundings import QbftSettings

__all__ = ["Outcome", "Wait", "judge", "list_waits", "longest_stall_us"]

Outcome = Literal["agreed", "stalled", "forked"]

_SECOND_US = 1_000_000
_GRACE_US = 2 * _SECOND_US
_BEHIND_BLOCKS = 2


class Wait(NamedTuple):
    """A time without a block: from one to the next, from the beginning, or to the end; ``longest_us`` is borne."""

    start_us: int
    end_us: int
    longest_us: int

    @property
    def is_stall(self) -> bool:
        """Whether it lasted longer than the faults of that time account for."""
        return self.end_us - self.start_us > self.longest_us


def longest_stall_us(qbft: QbftSettings, failing: int) -> int:
    """Return how long a network may go without a block while ``failing`` proposers in a row are absent, microseconds.

    Their rounds end by timeouts, each twice as long as the one before, and so does one more: for a message that was
    late, or a clock that was off.

    >>> from chainsec.network.surroundings import QbftSettings
    >>> [longest_stall_us(QbftSettings(request_timeout_s=4), failing) // 1_000_000 for failing in (0, 1, 2)]
    [11, 19, 35]
    """
    quiet_s = max(qbft.block_period_s, qbft.empty_block_period_s)
    return round((quiet_s + qbft.request_timeout_s * (2 << failing)) * _SECOND_US) + _GRACE_US


def list_waits(network: Simulation, presence: Presence) -> list[Wait]:
    """Return the times between blocks that became final one after the other, from the beginning to the end."""
    agreement = network.agreement
    times = [0, *(min(final.times_us.values()) for final in agreement.finals[agreement.founded :]), network.time_us]
    waits = []
    for height, (start_us, end_us) in enumerate(pairwise(times), agreement.founded):
        since_us = presence.quorum_since(start_us, end_us)
        failing = _failing(network, presence, height, since_us, end_us)
        climbed = _rounds_within(network.plan.qbft, since_us - start_us)
        waits.append(
            Wait(start_us, end_us, since_us - start_us + longest_stall_us(network.plan.qbft, failing + climbed))
        )
    return waits


def _rounds_within(qbft: QbftSettings, span_us: int) -> int:
    """Return how many rounds can end by their timeouts while there is no quorum: the next one lasts the longer."""
    timeout_us, rounds = round(qbft.request_timeout_s * _SECOND_US), 0
    while timeout_us * ((2 << rounds) - 1) <= span_us:
        rounds += 1
    return rounds


def _failing(network: Simulation, presence: Presence, height: int, start_us: int, end_us: int) -> int:
    """Return how many proposers in a row were not there for a height, at most as many as QBFT bears."""
    validators = network.agreement.validators_of(height)
    previous = network.agreement.finals[height - 1].block.header.coinbase
    able = {network.nodes[number].address for number in presence.able_throughout(start_us, end_us)}
    most = most_faulty(len(validators))
    return next((round_ for round_ in range(most) if select_proposer(validators, previous, round_) in able), most)


def judge(network: Simulation, presence: Presence, calm_from_us: int | None = None) -> tuple[Outcome, str]:
    """Return what came of a network, and the same in a sentence.

    ``forked``: two honest nodes hold different blocks, or one holds a block that is badly sealed. ``stalled``: there is
    no block at all; or too few validators are left at the end to make another; or the last one is longer ago than the
    faults since then account for; or an honest node that has been up and connected is more than two blocks behind.

    Args:
        network: at its end.
        presence: who could take part when.
        calm_from_us: a wait that ends after this time is a stall too, even if a block came in the end.
    """
    agreement = network.agreement
    if agreement.violations:
        return "forked", agreement.violations[0]
    presence.look()
    waits, able = list_waits(network, presence), presence.at(network.time_us).able
    lack, last = _lack(network, able), waits[-1]
    if len(waits) == 1:
        return "stalled", "; ".join(filter(None, (f"no block in {last.end_us / _SECOND_US:.1f} s", lack)))
    if lack or last.is_stall:
        return "stalled", (
            f"no block after {len(waits) - 1}, {last.start_us / _SECOND_US:.1f} s, until the end"
            f" {(last.end_us - last.start_us) / _SECOND_US:.1f} s later; {lack or _rounds(network)}"
        )
    calm = [] if calm_from_us is None else [wait for wait in waits if wait.end_us > calm_from_us and wait.is_stall]
    if calm:
        return "stalled", (
            f"no block from {calm[0].start_us / _SECOND_US:.1f} s to {calm[0].end_us / _SECOND_US:.1f} s, and the"
            f" faults of that time account for {calm[0].longest_us / _SECOND_US:.1f} s"
        )
    settled_us = max(0, network.time_us - longest_stall_us(network.plan.qbft, 0))  # who came later may still fetch
    settled = presence.able_throughout(settled_us, network.time_us)
    behind = {number for number in settled if network.nodes[number].chain.height + _BEHIND_BLOCKS < agreement.height}
    if behind:
        return "stalled", f"height {agreement.height}, but behind at the end: {_heights(network, behind)}"
    return "agreed", _agreed(network, able)


def _agreed(network: Simulation, able: frozenset[int]) -> str:
    height = network.agreement.height
    coming = {number for number in able if network.nodes[number].chain.height < height}
    if coming:
        return f"no two honest nodes differ in {height} blocks; {_heights(network, coming)} so far"
    return f"all honest nodes that are up and connected hold the same {height} blocks"


def _heights(network: Simulation, numbers: Collection[int]) -> str:
    nodes = [network.nodes[number] for number in sorted(numbers)]
    return ", ".join(f"{node.name} at {node.chain.height}" for node in nodes)


def _lack(network: Simulation, able: frozenset[int]) -> str:
    """Return why nobody can make another block, or nothing."""
    validators = network.agreement.validators_of(network.agreement.height + 1)
    if able:
        return ""
    return f"fewer than {quorum_size(len(validators))} of {len(validators)} validators are honest, up and connected"


def _rounds(network: Simulation) -> str:
    rounds = sorted({node.validator.round_number for node in network.nodes if node.is_up})
    return f"validators stand in rounds {', '.join('none' if number < 0 else str(number) for number in rounds)}"
