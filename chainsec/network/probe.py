"""How long a client's acts take on a network under each condition: small transactions, sent at random points of time.

A grant takes two of them, one after the other: the request, and the agent's decision once the request is final. A
revocation takes one. Layer: network. Not here: a whole run on the network (``scenarios``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainsec.ledger.account import Account
from chainsec.network.conditions import arrange, with_condition
from chainsec.network.provision import Drafts
from chainsec.network.simulation import Simulation

if TYPE_CHECKING:
    from chainsec.network.node import Node
    from chainsec.network.plan import NetworkPlan
    from chainsec.primitives import Address

__all__ = ["Probed", "probe"]

_SECOND_US = 1_000_000
_WARM_UP_US = 20 * _SECOND_US
_SPREAD_US = 10 * _SECOND_US
_PATIENCE_US = 120 * _SECOND_US
_STEP_US = 10_000
_GAS = 21_000


@dataclass(frozen=True)
class Probed:
    """What probes of one condition found; virtual seconds, and blocks.

    Args:
        grant_s: from a request's sending until its grant is final at the node that it was sent to.
        revoke_s: from a revocation's sending until it is final at every node that is connected.
        revoke_blocks: blocks from the head when it was sent to the one that holds it.
        lost: acts that were not final within two minutes, or not everywhere.
        cut_off_nodes: nodes that learn nothing of it as long as the condition lasts.
        has_agreed: no two nodes held different blocks.
    """

    condition: str
    grant_s: tuple[float, ...]
    revoke_s: tuple[float, ...]
    revoke_blocks: tuple[int, ...]
    lost: int
    cut_off_nodes: int
    has_agreed: bool


def probe(plan: NetworkPlan, condition: str, *, probes: int = 60) -> Probed:
    """Send ``probes`` requests, grants and revocations to a network and wait for each.

    Args:
        plan: the network; its own state does not matter.
        condition: what is wrong with it.
        probes: how many.
    """
    network = Simulation(with_condition(plan, condition))
    arrange(network, condition)
    network.start()
    network.run_until(_WARM_UP_US)
    dice = plan.stream(f"probes {condition}")
    client = Account.derive(plan.seed.to_bytes(8, "big"), "probe")
    drafts = Drafts(plan.genesis.chain_id)
    grants: list[float] = []
    revocations: list[float] = []
    blocks: list[int] = []
    for _ in range(probes):
        network.run_until(network.time_us + dice.randrange(_SPREAD_US))
        begun_us = network.time_us
        asked = _settle(network, drafts, client, is_everywhere=False)
        decided = _settle(network, drafts, client, is_everywhere=False)
        if asked is not None and decided is not None:
            grants.append((decided[0] - begun_us) / _SECOND_US)
        network.run_until(network.time_us + dice.randrange(_SPREAD_US))
        begun_us, head = network.time_us, network.agreement.height
        revoked = _settle(network, drafts, client, is_everywhere=True)
        if revoked is not None:
            revocations.append((revoked[0] - begun_us) / _SECOND_US)
            blocks.append(revoked[1] - head)
    lasting = sum(1 for node in network.nodes if node.is_up and not _is_reached(network, node.address))
    return Probed(
        condition,
        tuple(grants),
        tuple(revocations),
        tuple(blocks),
        2 * probes - len(grants) - len(revocations),
        lasting,
        not network.agreement.violations,
    )


def _is_reached(network: Simulation, address: Address) -> bool:
    node = network.node_of(address)
    return node is network.nodes[0] or network.is_connected(network.nodes[0], node)


def _is_meant(network: Simulation, node: Node) -> bool:
    return node.is_up and node.number not in network.plan.roles and _is_reached(network, node.address)


def _settle(network: Simulation, drafts: Drafts, client: Account, *, is_everywhere: bool) -> tuple[int, int] | None:
    """Send a transaction at the first node; return when and in which block it was final there, or everywhere."""
    key = drafts.transact(client, client.address, b"", gas=_GAS)
    entry = network.nodes[0]
    entry.begin(network.time_us)
    entry.submit(drafts.take())
    since_us, first = network.time_us, entry.chain.height + 1
    while network.time_us - since_us < _PATIENCE_US:
        network.run_until(network.time_us + _STEP_US)
        for number in range(first, entry.chain.height + 1):
            executed = entry.chain.executed[number]
            if executed is None or all(bytes(found.hash) != bytes(key) for found in executed.transactions):
                continue
            times = network.agreement.finals[number].times_us
            wanted = [node.number for node in network.nodes if _is_meant(network, node)]
            if is_everywhere and not all(place in times for place in wanted):
                break
            return max(times[place] for place in wanted) if is_everywhere else times[0], number
    return None
