"""Puts on a new network what its clients and its permissions need, as signed transactions in the order of sending.

Layer: network. Not here: when they are sent (``load``), what the contracts do (``contracts/``).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, cast

from eth._utils.address import generate_contract_address

from chainsec.digest import keccak
from chainsec.ledger.account import Account
from chainsec.ledger.artifact import load_artifact
from chainsec.ledger.contract import Contract, deployment_data
from chainsec.primitives import Address, Hash32
from chainsec.services.permissions import Permissions, Power, public_key_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainsec.ledger.client import Client
    from chainsec.ledger.engine import Engine

__all__ = ["Drafts", "PermissionDesk", "bind_offline", "deploy_offline", "permissions_address"]

_GAS = 8_000_000
_CLIENT = "client"


class Drafts:
    """Signs transactions without a chain: nonces are counted from zero.

    Takes the place of a ``Client`` where services only send. What was signed is in ``raws`` until it is taken.
    """

    def __init__(self, chain_id: int, gas_price_wei: int = 0) -> None:
        self.chain_id = chain_id
        self.gas_price_wei = gas_price_wei
        self._nonces: Counter[Address] = Counter()
        self._raws: list[bytes] = []

    def transact(self, account: Account, to: Address | None, data: bytes, *, gas: int = _GAS) -> Hash32:
        """Sign a transaction and keep it. Returns its hash."""
        signed = account.sign(
            nonce=self._nonces[account.address],
            to=to,
            data=data,
            gas=gas,
            chain_id=self.chain_id,
            gas_price=self.gas_price_wei,
        )
        self._nonces[account.address] += 1
        self._raws.append(signed.raw)
        return signed.hash

    def next_address(self, account: Account) -> Address:
        """Return where the contract will stand that ``account`` creates next."""
        return Address(generate_contract_address(bytes(account.address), self._nonces[account.address]))

    def take(self) -> list[bytes]:
        """Return what was signed since the last time."""
        taken, self._raws = self._raws, []
        return taken


def deploy_offline(drafts: Drafts, account: Account, name: str, *arguments: Any) -> Address:
    """Sign the creation of one of the project's contracts and return where it will stand."""
    address = drafts.next_address(account)
    drafts.transact(account, None, deployment_data(load_artifact(name), *arguments))
    return address


def bind_offline(name: str, address: Address) -> Contract:
    """Return a binding that encodes calls; there is no chain to read from."""
    return Contract(cast("Engine", None), address, load_artifact(name).abi, {})


def permissions_address(seed: bytes) -> Address:
    """Return where ``PermissionDesk`` of this seed puts ``NodePermissions``: the administrator's second contract."""
    return Address(generate_contract_address(bytes(Account.derive(seed, "network administrator").address), 1))


class PermissionDesk:
    """Sets up ``NodePermissions``: one organisation for each node, each with a share of the clients.

    Args:
        seed: keys follow from it.
        drafts: takes what is signed.
        nodes: keys of all nodes.
        validators: how many of them, from the first on, may validate.
        clients: accounts that may call; the first organisation's.
    """

    def __init__(
        self, seed: bytes, drafts: Drafts, nodes: Sequence[Account], validators: int, clients: Sequence[Account]
    ) -> None:
        self._admin = Account.derive(seed, "network administrator")
        self._managers = [Account.derive(seed, f"manager of organisation {place}") for place in range(len(nodes))]
        self._drafts = drafts
        self.organisations: list[Address] = []
        authority = deploy_offline(drafts, self._admin, "Authority", self._admin.address)
        self.address = deploy_offline(drafts, self._admin, "NodePermissions", authority)
        assert self.address == permissions_address(seed)
        self._permissions = Permissions(cast("Client", drafts), bind_offline("NodePermissions", self.address))
        self._found(seed, nodes, validators)
        for client in clients:
            self.set_client(client.address, is_allowed=True)
        self._permissions.enforce(self._admin)

    def _found(self, seed: bytes, nodes: Sequence[Account], validators: int) -> None:
        permissions = self._permissions
        for place, (node, manager) in enumerate(zip(nodes, self._managers, strict=True)):
            organisation = Address(keccak(seed + f"organisation {place}".encode())[12:])
            self.organisations.append(organisation)
            permissions.admit_organisation(self._admin, organisation, manager.address)
            permissions.define_role(manager, _CLIENT, Power.TRANSACT)
            permissions.add_node(manager, public_key_of(node))
            if place < validators:
                permissions.allow_validator(self._admin, node.address)
        # in an organisation of its own: another manager of the same one could shut the administrator out
        own = Address(keccak(seed + b"organisation of the administrator")[12:])
        permissions.admit_organisation(self._admin, own, self._admin.address)

    def set_client(self, account: Address, *, is_allowed: bool) -> None:
        """Sign: the first organisation takes a client on, or lets it go."""
        if is_allowed:
            self._permissions.assign_account(self._managers[0], account, _CLIENT)
        else:
            self._permissions.remove_account(self._managers[0], account)

    def set_validator(self, node: Address, *, is_allowed: bool) -> None:
        """Sign: the administrator allows a node to validate, or no longer."""
        act = self._permissions.allow_validator if is_allowed else self._permissions.disallow_validator
        act(self._admin, node)
