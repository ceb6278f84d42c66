"""Plays a scenario, and each of its variants, to the end.

Layer: network. Not here: the figures (``measure``), files and pages (``chainsec.app``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainsec.ledger.evm import DEFAULT_GENESIS_TIME, Genesis
from chainsec.network.byzantine import ROLES
from chainsec.network.faults import plan_faults
from chainsec.network.load import Traffic
from chainsec.network.permissions import Allowlist, ContractRules, OpenRules
from chainsec.network.plan import NetworkPlan
from chainsec.network.presence import Presence
from chainsec.network.provision import permissions_address
from chainsec.network.simulation import Simulation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from chainsec.network.execution import Executor
    from chainsec.network.permissions import Rulebook
    from chainsec.network.scenario import NetworkScenario

__all__ = ["Played", "plan_network", "play_scenario"]

_SECOND_US = 1_000_000
_STEPS = 50


@dataclass(frozen=True)
class Played:
    """A scenario after it was played.

    Args:
        scenario: what happened.
        network: as it stands at the end.
        traffic: its clients.
        presence: who could take part when; None where nobody watched, and only the end can still be looked at.
    """

    scenario: NetworkScenario
    network: Simulation
    traffic: Traffic
    presence: Presence | None = None


def plan_network(scenario: NetworkScenario, folder: Path | None = None) -> NetworkPlan:
    """Return what a scenario's network is made of.

    Args:
        scenario: checked.
        folder: that a relative path to a matrix starts from.
    """
    matrix = scenario.matrix(folder)
    roles = {role.node: ROLES[role.role] for role in scenario.byzantine}
    return NetworkPlan(
        seed=scenario.seed,
        genesis=Genesis(timestamp=DEFAULT_GENESIS_TIME, gas_limit=scenario.network.gas_limit),
        matrix=matrix,
        regions=scenario.places(matrix),
        validators=scenario.validators,
        qbft=scenario.qbft_settings,
        machine=scenario.machine_model,
        has_gossip=scenario.network.has_gossip,
        is_execution_shared=scenario.network.is_execution_shared,
        roles=roles,
        rulebook=_rulebook(scenario),
        min_gas_prices_wei=dict(enumerate(scenario.min_gas_price_wei)),
    )


def _rulebook(scenario: NetworkScenario) -> Callable[[Executor], Rulebook]:
    seed = scenario.seed.to_bytes(8, "big")
    if scenario.network.permissions == "contract":
        return lambda executor: ContractRules(permissions_address(seed), executor)
    if scenario.network.permissions == "allowlist":
        return lambda _: Allowlist(())
    return lambda _: OpenRules()


def play_scenario(
    scenario: NetworkScenario,
    folder: Path | None = None,
    *,
    times_s: Sequence[float] = (),
    on_time: Callable[[float], None] = lambda _: None,
    on_network: Callable[[Simulation], object] = lambda _: None,
) -> Played:
    """Play a scenario as it stands, without its variants.

    Args:
        scenario: what happens.
        folder: that a relative path to a matrix starts from.
        times_s: of a load that follows a log: when each request is made, from the first on.
        on_time: told how much virtual time has passed, seconds, now and then.
        on_network: given the network before it starts, as whoever watches it wants it.
    """
    network = Simulation(plan_network(scenario, folder))
    on_network(network)
    end_us = round(scenario.duration_s * _SECOND_US)
    has_contract = scenario.network.permissions == "contract"
    traffic = Traffic(network, scenario.load, end_us, has_permissions=has_contract, times_s=times_s)
    _allow_clients(network, traffic)
    plan_faults(network, scenario.fault, traffic)
    presence = Presence(network)
    for fault in scenario.fault:
        presence.look_at(time_s for time_s in (fault.at_s, fault.until_s) if time_s is not None)
    network.start()
    for step in range(1, _STEPS + 1):
        network.run_until(end_us * step // _STEPS)
        on_time(network.time_us / _SECOND_US)
    return Played(scenario, network, traffic, presence)


def _allow_clients(network: Simulation, traffic: Traffic) -> None:
    """Give each node the operators' list of today: everybody who sends anything."""
    for node in network.nodes:
        rules = node.chain.rulebook
        if isinstance(rules, Allowlist):
            rules.accounts |= traffic.accounts
