"""NodePermissions: which organisations, nodes and accounts take part in the network.

Layer: services. Not here: holding blocks to it, which validators do.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING

from coincurve import PrivateKey

from chainsec.digest import keccak
from chainsec.primitives import ZERO_ADDRESS, Address, Hash32

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainsec.ledger.account import Account
    from chainsec.ledger.client import Client
    from chainsec.ledger.contract import Contract

MANAGER = "manager"
"""The role that every organisation has from the start, with all powers, always."""

ADMINISTRATOR_FUNCTIONS = (
    "admitOrganisation",
    "appointManager",
    "suspendOrganisation",
    "restoreOrganisation",
    "allowValidator",
    "disallowValidator",
    "expelAccount",
    "expelNode",
    "enforce",
)
"""What the network's administrator does: ADMIN's, or the role's that ``Authority.open_functions`` opens them to."""


class Power(IntFlag):
    """What the accounts in a role may do."""

    TRANSACT = 1
    DEPLOY = 2
    MANAGE = 4


PERMISSION_POWERS = Power.TRANSACT | Power.DEPLOY | Power.MANAGE
"""All powers: what managers have."""


class Standing(IntEnum):
    """How an organisation stands."""

    NONE = 0
    ACTIVE = 1
    SUSPENDED = 2


@dataclass(frozen=True)
class OrganisationRecord:
    """How an organisation stands, and how many of its nodes are allowed to validate, suspended or not."""

    standing: Standing
    validators: int


@dataclass(frozen=True)
class AccountRecord:
    """Whom an account acts for (None: for nobody) and the powers it has now, none under suspension."""

    organisation: Address | None
    powers: Power


@dataclass(frozen=True)
class NodeRecord:
    """Whose a node is (None: nobody's) and whether it is allowed to validate, suspended or not."""

    organisation: Address | None
    is_allowed: bool


def role_hash(role: str) -> Hash32:
    """Return the on-chain name of a role.

    >>> role_hash("manager").hex()[:8]
    '2447c43a'
    """
    return Hash32(keccak(role.encode()))


def public_key_of(account: Account) -> bytes:
    """Return the public key of a node with this key, 64 bytes: its enode identifier.

    >>> from chainsec.ledger.account import Account
    >>> node = Account.derive(b"seed", "node")
    >>> node_address(public_key_of(node)) == node.address
    True
    """
    return PrivateKey(account.private_key).public_key.format(compressed=False)[1:]


def node_address(public_key: bytes) -> Address:
    """Return the address of the node with a public key of 64 bytes, which it validates under too."""
    return Address(keccak(public_key)[12:])


class Permissions:
    """Admits and shuts out, as the network's administrator; runs an organisation, as its manager; reads the rules.

    Whoever sends is the act's first argument, and nobody takes the power to transact or to manage from itself.
    """

    def __init__(self, client: Client, contract: Contract) -> None:
        self._client = client
        self.contract = contract

    def admit_organisation(self, admin: Account, organisation: Address, first_manager: Address) -> None:
        """Send: ``organisation`` takes part; ``first_manager``, who belongs to nobody, manages it."""
        self._send(admin, "admitOrganisation", Address(organisation), Address(first_manager))

    def appoint_manager(self, admin: Account, organisation: Address, account: Address) -> None:
        """Send: ``account``, which is the organisation's or nobody's, manages it: for when it has lost its keys."""
        self._send(admin, "appointManager", Address(organisation), Address(account))

    def suspend_organisation(self, admin: Account, organisation: Address) -> None:
        """Send: nothing of ``organisation`` transacts, connects or validates until it is restored."""
        self._send(admin, "suspendOrganisation", Address(organisation))

    def restore_organisation(self, admin: Account, organisation: Address) -> None:
        """Send: the suspension of ``organisation`` ends; everything is as it was."""
        self._send(admin, "restoreOrganisation", Address(organisation))

    def allow_validator(self, admin: Account, node: Address) -> None:
        """Send: ``node`` validates, as long as its organisation is active."""
        self._send(admin, "allowValidator", Address(node))

    def disallow_validator(self, admin: Account, node: Address) -> None:
        """Send: ``node`` validates no more. It still connects."""
        self._send(admin, "disallowValidator", Address(node))

    def expel_account(self, admin: Account, account: Address) -> None:
        """Send: ``account`` is no longer its organisation's. An organisation can take it on again."""
        self._send(admin, "expelAccount", Address(account))

    def expel_node(self, admin: Account, node: Address) -> None:
        """Send: ``node`` is no longer its organisation's and validates no more. It can be added again."""
        self._send(admin, "expelNode", Address(node))

    def enforce(self, admin: Account) -> None:
        """Send: the rules are in force from the next block on, for good.

        The contract refuses where no node validates by them, or ``admin`` itself may not transact.
        """
        self._send(admin, "enforce")

    def define_role(self, manager: Account, role: str, powers: Power) -> None:
        """Send: ``role`` has ``powers`` in the manager's organisation, for all who hold it."""
        self._send(manager, "defineRole", role_hash(role), int(powers))

    def assign_account(self, manager: Account, account: Address, role: str) -> None:
        """Send: ``account``, which is the manager's organisation's or nobody's, has ``role`` in it and no other."""
        self._send(manager, "assignAccount", Address(account), role_hash(role))

    def remove_account(self, manager: Account, account: Address) -> None:
        """Send: ``account`` is no longer the manager's organisation's."""
        self._send(manager, "removeAccount", Address(account))

    def add_node(self, manager: Account, public_key: bytes) -> Address:
        """Send: the node with ``public_key`` (64 bytes, from ``public_key_of``) is the organisation's.

        Returns:
            The node's address.
        """
        self._send(manager, "addNode", public_key)
        return node_address(public_key)

    def remove_node(self, manager: Account, node: Address) -> None:
        """Send: ``node`` is no longer the manager's organisation's, and validates no more."""
        self._send(manager, "removeNode", Address(node))

    def may_transact(self, account: Address, *, is_creation: bool = False) -> bool:
        """Tell whether ``account`` may send a transaction now; one that creates a contract, where ``is_creation``."""
        return bool(self._client.call(self.contract, "mayTransact", account, is_creation))

    def may_transact_many(self, wishes: Sequence[tuple[Address, bool]]) -> list[bool]:
        """Tell the same of many pairs of an account and whether it creates a contract, in their order."""
        accounts, creations = [account for account, _ in wishes], [is_creation for _, is_creation in wishes]
        return list(self._client.call(self.contract, "mayTransactMany", accounts, creations))

    def may_connect(self, node: Address) -> bool:
        """Tell whether ``node`` may connect to the others now."""
        return bool(self._client.call(self.contract, "mayConnect", node))

    def may_validate(self, node: Address) -> bool:
        """Tell whether ``node`` may validate now."""
        return bool(self._client.call(self.contract, "mayValidate", node))

    def validators(self) -> list[Address]:
        """Return the nodes that validate by the rules, ascending, in force or not."""
        return sorted(map(Address, self._client.call(self.contract, "getValidators")))

    def is_enforced(self) -> bool:
        """Tell whether the rules are in force; until then everybody may do everything."""
        return bool(self._client.call(self.contract, "isEnforced"))

    def organisation(self, organisation: Address) -> OrganisationRecord:
        """Return how ``organisation`` stands."""
        standing, validators = self._client.call(self.contract, "organisationOf", organisation)
        return OrganisationRecord(Standing(standing), int(validators))

    def account(self, account: Address) -> AccountRecord:
        """Return whose ``account`` is and what it may do by the rules."""
        organisation, powers = self._client.call(self.contract, "accountOf", account)
        return AccountRecord(_known(organisation), Power(powers))

    def node(self, node: Address) -> NodeRecord:
        """Return whose ``node`` is."""
        organisation, is_allowed = self._client.call(self.contract, "nodeOf", node)
        return NodeRecord(_known(organisation), bool(is_allowed))

    def has_role(self, account: Address, role: str) -> bool:
        """Tell whether ``account`` has ``role`` in its organisation, whatever that organisation's standing."""
        return bool(self._client.call(self.contract, "holdsRole", account, role_hash(role)))

    def powers_of(self, organisation: Address, role: str) -> Power:
        """Return the powers of a role of ``organisation``.

        Raises:
            ContractReverted: it has not defined that role.
        """
        return Power(self._client.call(self.contract, "powersOf", organisation, role_hash(role)))

    def _send(self, account: Account, function: str, *arguments: object) -> None:
        self._client.transact(account, self.contract.address, self.contract.encode(function, *arguments))


def _known(organisation: bytes) -> Address | None:
    return None if organisation == ZERO_ADDRESS else Address(organisation)
