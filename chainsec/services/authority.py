"""Authority: who may call what. Wires roles to functions and accounts.

Layer: services. Not here: which role may call what (``deployment``), who holds which key (``sandbox``).
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainsec.ledger.account import Account
    from chainsec.ledger.client import Client
    from chainsec.ledger.contract import Contract
    from chainsec.primitives import Address


class Role(IntEnum):
    """The roles of ``Authority.sol``."""

    ADMIN = 0
    AGENT = 1
    GUARDIAN = 2
    STEWARD = 3
    NOTARY = 4
    POLICY = 5


class Authority:
    """Gives roles to accounts and functions to roles, as an administrator."""

    def __init__(self, client: Client, contract: Contract) -> None:
        self._client = client
        self.contract = contract

    def grant_role(self, admin: Account, role: Role, account: Address, *, delay_s: int = 0) -> None:
        """Send: ``account`` gets ``role``; what it then calls waits for ``delay_s`` seconds."""
        self._send(admin, "grantRole", role, account, delay_s)

    def revoke_role(self, admin: Account, role: Role, account: Address) -> None:
        """Send: ``account`` loses ``role`` at once."""
        self._send(admin, "revokeRole", role, account)

    def open_functions(self, admin: Account, target: Contract, functions: Sequence[str], role: Role) -> None:
        """Send: holders of ``role`` may call ``functions`` of ``target``."""
        selectors = [target.selector(name) for name in functions]
        self._send(admin, "setTargetFunctionRole", target.address, selectors, role)

    def set_agent_door(self, admin: Account, door: Address) -> None:
        """Send: ``door`` is the only contract whose functions can be opened to the agent. Works once."""
        self._send(admin, "setAgentDoor", door)

    def has_role(self, role: Role, account: Address) -> bool:
        """Tell whether ``account`` holds ``role`` now."""
        is_member, _ = self._client.call(self.contract, "hasRole", role, account)
        return bool(is_member)

    def _send(self, account: Account, function: str, *arguments: object) -> None:
        self._client.transact(account, self.contract.address, self.contract.encode(function, *arguments))
