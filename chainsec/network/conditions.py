"""What may be wrong with a network while it is used, within what QBFT bears: nothing, or as much as it bears.

Layer: network. Not here: schedules of faults (``faults``), what users notice (``probe``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chainsec.network.byzantine import InvalidBlocks
from chainsec.network.committee import most_faulty

if TYPE_CHECKING:
    from chainsec.network.plan import NetworkPlan
    from chainsec.network.simulation import Simulation

__all__ = ["CONDITIONS", "arrange", "with_condition"]

CONDITIONS = {
    "healthy": "nobody fails",
    "down": "as many validators as QBFT bears are down",
    "partition": "as many validators as QBFT bears are cut off from the others, with the gateways beside them",
    "byzantine": "as many validators as QBFT bears propose blocks that nobody can take",
}
"""Names of conditions, and what they mean."""


def with_condition(plan: NetworkPlan, condition: str) -> NetworkPlan:
    """Return a plan whose validators behave as the condition has it. Raises: KeyError: no such condition."""
    _ = CONDITIONS[condition]
    faulty = range(plan.validators - most_faulty(plan.validators), plan.validators)
    return replace(plan, roles=dict.fromkeys(faulty, InvalidBlocks)) if condition == "byzantine" else plan


def arrange(network: Simulation, condition: str) -> None:
    """Let what is wrong begin, on a network that has not started yet."""
    validators = network.plan.validators
    faulty = network.nodes[validators - most_faulty(validators) : validators]
    if condition == "down":

        def stop() -> None:
            for node in faulty:
                network.crash(node)

        network.schedule(0, stop)
    if condition == "partition":

        def cut() -> None:
            for one in faulty:
                for other in network.nodes:
                    if other not in faulty:
                        network.sever(one, other)

        network.schedule(0, cut)
