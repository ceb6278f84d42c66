"""What a network is made of: keys, links, validators, what each node may and how fast it works.

Layer: network. Not here: the network at work (``simulation``), what a user's scenario says (``scenario``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from chainsec.ledger.account import Account
from chainsec.network.machine import Machine
from chainsec.network.permissions import OpenRules
from chainsec.network.surroundings import QbftSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chainsec.ledger.evm import Genesis
    from chainsec.network.execution import Executor
    from chainsec.network.links import Matrix
    from chainsec.network.permissions import Rulebook
    from chainsec.network.validator import Validator

__all__ = ["NetworkPlan", "node_account"]


@dataclass(frozen=True)
class NetworkPlan:
    """What a network is made of.

    Args:
        seed: every key and every random choice follows from it.
        genesis: chain id, first time, gas limit, balances.
        matrix: links between regions.
        regions: where each node stands; one name for each node.
        validators: how many of the nodes, from the first on, are validators at the beginning.
        qbft: what the genesis fixes.
        machine: how fast nodes work.
        has_gossip: nodes pass messages on.
        is_execution_shared: a block is executed once for all nodes instead of once by each.
        roles: kinds of validators by the node's number; honest where none is named.
        rulebook: makes each node's rules, of its executor; all is allowed where omitted.
        min_gas_prices_wei: least price that nodes take into their blocks, by number; 0 where none is named.
    """

    seed: int
    genesis: Genesis
    matrix: Matrix
    regions: tuple[str, ...]
    validators: int
    qbft: QbftSettings = field(default_factory=QbftSettings)
    machine: Machine = field(default_factory=Machine)
    has_gossip: bool = True
    is_execution_shared: bool = False
    roles: Mapping[int, type[Validator]] = field(default_factory=dict)
    rulebook: Callable[[Executor], Rulebook] = lambda _: OpenRules()
    min_gas_prices_wei: Mapping[int, int] = field(default_factory=dict)

    def stream(self, name: str) -> Random:
        """Return the random stream of this name."""
        return Random(f"{self.seed}/{name}")  # noqa: S311 - a simulation's dice, no secrets

    def account(self, number: int) -> Account:
        """Return a node's key."""
        return node_account(self.seed, number)


def node_account(seed: int, number: int) -> Account:
    """Return the key of a node of a network with this seed."""
    return Account.derive(seed.to_bytes(8, "big"), f"node {number}")
