"""A simulated network with clients at work, and what may befall it: the stage on which the chain's watch is measured.

Four validators in four regions agree, a fifth node follows. Clients open accounts and move money at random times, and
are refused now and then. Layer: evaluation. Not here: figures (``chain``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from chainsec.ledger.account import Account
from chainsec.network.byzantine import ROLES
from chainsec.network.faults import plan_faults
from chainsec.network.load import Traffic
from chainsec.network.provision import Drafts, PermissionDesk, bind_offline, deploy_offline
from chainsec.network.run import plan_network
from chainsec.network.scenario import NetworkScenario
from chainsec.network.simulation import Simulation
from chainsec.network.watching import Lookout
from chainsec.services.permissions import Permissions, Power

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from chainsec.ledger.client import Client

__all__ = ["FOLLOWER", "LIAR", "VALIDATORS", "Stage"]

VALIDATORS, LIAR, FOLLOWER = 4, 2, 4
"""How many validate; which of them fails; the node that only follows."""
_CLIENTS = 6
_REGIONS = ["us-east", "germany", "singapore", "brazil", "uk"]
_SECOND_US = 1_000_000
_SETUP_US, _FIRST_US = 100_000, 5 * _SECOND_US
_GAS, _GAS_LIMIT = 1_000_000, 30_000_000
_ODD_BYTES = 40_000
_BURST_PER_S = 2.0
_FULL_CALLS = 45
_PROBE_S = 3
_LONGEST_S = 1_000_000


class Stage:
    """A network with its clients, and nodes on the lookout.

    Args:
        seed: every key and every random choice follows from it.
        faults: of the scenario, as in its file.
        has_gossip: whether nodes pass messages on.
        matrix: the links, ``wan`` or ``lan``.
        watchers: nodes on the lookout, by number.
        clients_per_s: what each client sends in a second on average.
    """

    def __init__(
        self,
        seed: int,
        *,
        faults: Sequence[Mapping[str, Any]] = (),
        has_gossip: bool = True,
        matrix: str = "wan",
        watchers: Sequence[int] = (0, FOLLOWER),
        clients_per_s: float = 0.1,
    ) -> None:
        scenario = NetworkScenario.model_validate(
            {
                "name": "watched",
                "seed": seed,
                "duration_s": _LONGEST_S,
                "network": {
                    "nodes": VALIDATORS + 1,
                    "validators": VALIDATORS,
                    "matrix": matrix,
                    "regions": _REGIONS if matrix == "wan" else [],
                    "has_gossip": has_gossip,
                    "is_execution_shared": True,
                    "gas_limit": _GAS_LIMIT,
                },
                "fault": list(faults),
            }
        )
        self.network = Simulation(plan_network(scenario))
        self.plan = self.network.plan
        plan_faults(self.network, scenario.fault, Traffic(self.network, scenario.load, 0))
        self.lookouts = {number: Lookout(self.network, number) for number in watchers}
        self._dice = self.plan.stream("clients")
        self._key = seed.to_bytes(8, "big")
        self._drafts = Drafts(self.plan.genesis.chain_id)
        self._opened = 0
        self.clients = [Account.derive(self._key, f"client {number}") for number in range(_CLIENTS)]
        self._set_up(clients_per_s)
        self.network.start()

    def _set_up(self, clients_per_s: float) -> None:
        deployer = Account.derive(self._key, "deployer")
        self._accounts = bind_offline("Accounts", deploy_offline(self._drafts, deployer, "Accounts"))
        nodes = [self.plan.account(number) for number in range(VALIDATORS + 1)]
        desk = PermissionDesk(self._key, self._drafts, nodes, VALIDATORS, self.clients)
        permissions = bind_offline("NodePermissions", desk.address)
        self._permissions = Permissions(cast("Client", self._drafts), permissions)
        self.network.schedule(_SETUP_US, lambda: self._send(0))
        for number in range(_CLIENTS):
            self._plan_next(number, clients_per_s, _FIRST_US)

    # Time

    @property
    def time_s(self) -> float:
        """Virtual time, seconds."""
        return self.network.time_us / _SECOND_US

    def run_for(self, span_s: float) -> None:
        """Let time pass."""
        self.network.run_until(self.network.time_us + round(span_s * _SECOND_US))

    def _later(self, after_s: float, act: Callable[[], None]) -> None:
        self.network.schedule(self.network.time_us + round(after_s * _SECOND_US), act)

    # What befalls the network

    def corrupt(self, role: str) -> None:
        """Let one validator keep to the rules no longer, each role in its way."""
        node = self.network.nodes[LIAR]
        node.validator = ROLES[role](self.plan.account(LIAR), node.chain, node, self.plan.qbft)
        node.begin(self.network.time_us)
        node.validator.start_height()

    def crash(self) -> None:
        """Stop one validator for good."""
        self.network.crash(self.network.nodes[LIAR])

    def burst(self) -> None:
        """Let the first client send many times as much as anybody, for two minutes."""
        for call in range(int(120 * _BURST_PER_S)):
            self._later(call / _BURST_PER_S, lambda: self._open(0))

    def use_odd_gas(self) -> None:
        """Let the second client call a function of everyday use so that it takes many times the gas."""
        self._open(1, _ODD_BYTES)

    def fill_block(self) -> None:
        """Let the third client fill most of a block."""
        for _ in range(_FULL_CALLS):
            self._open(2, _ODD_BYTES)

    def probe(self) -> None:
        """Let the fourth client try one function of the permissions after the other, which it may not call."""
        for place, attempt in enumerate(self._attempts()):
            self._later(_PROBE_S * place, attempt)

    def _attempts(self) -> Iterator[Callable[[], None]]:
        permissions, client = self._permissions, self.clients[3]
        stranger, node = Account.derive(self._key, "stranger").address, self.network.nodes[0].address
        acts: list[Callable[[], object]] = [
            lambda: permissions.admit_organisation(client, stranger, client.address),
            lambda: permissions.appoint_manager(client, stranger, client.address),
            lambda: permissions.suspend_organisation(client, stranger),
            lambda: permissions.restore_organisation(client, stranger),
            lambda: permissions.allow_validator(client, node),
            lambda: permissions.disallow_validator(client, node),
            lambda: permissions.expel_account(client, stranger),
            lambda: permissions.expel_node(client, node),
            lambda: permissions.define_role(client, "owner", Power.TRANSACT),
            lambda: permissions.assign_account(client, stranger, "owner"),
            lambda: permissions.remove_account(client, stranger),
            lambda: permissions.remove_node(client, node),
        ]
        for act in acts:

            def attempt(act: Callable[[], object] = act) -> None:
                act()
                self._send(3)

            yield attempt

    # Everyday life

    def _plan_next(self, number: int, per_s: float, at_us: int) -> None:
        def act() -> None:
            self._live(number)
            self._plan_next(number, per_s, self.network.time_us)

        self.network.schedule(at_us + round(self._dice.expovariate(per_s) * _SECOND_US), act)

    def _live(self, number: int) -> None:
        chance = self._dice.random()
        known = f"account {self._dice.randrange(max(1, self._opened))}"
        if chance < 0.7:  # noqa: PLR2004 - most calls open an account
            self._open(number)
        elif chance < 0.95:  # noqa: PLR2004 - some move money
            other = f"account {self._dice.randrange(max(1, self._opened))}"
            self._call(number, "transfer", known, other, 1)
        else:  # the rest is refused: there is one of that name
            self._call(number, "open", known, 1)

    def _open(self, number: int, padding_bytes: int = 0) -> None:
        self._call(number, "open", f"account {self._opened}{' ' * padding_bytes}", 10_000)
        self._opened += 1

    def _call(self, number: int, function: str, *arguments: Any) -> None:
        data = self._accounts.encode(function, *arguments)
        self._drafts.transact(self.clients[number], self._accounts.address, data, gas=_GAS)
        self._send(number)

    def _send(self, number: int) -> None:
        """Hand in what was signed at the client's own node, or where that is down at the next."""
        nodes = self.network.nodes[number % VALIDATORS :] + self.network.nodes
        node = next(node for node in nodes if node.is_up)
        node.begin(self.network.time_us)
        node.submit(self._drafts.take())
