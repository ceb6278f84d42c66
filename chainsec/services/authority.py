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

    def schedule(
        self, caller: Account, target: Contract, function: str, *arguments: object, earliest_s: int | None = None
    ) -> None:
        """Send: announce a call that waits for ``caller``'s delay; guardians can cancel it until it is made.

        Once it is due, and within a week from then, ``caller`` makes the very same call.

        Args:
            caller: who announces it and will make it.
            target: contract to be called.
            function: its name.
            arguments: its arguments, exactly as they will be.
            earliest_s: from when on it may be made, Unix time, not before the delay is over; at its end where omitted.
        """
        self._send(caller, "schedule", target.address, target.encode(function, *arguments), earliest_s or 0)

    def cancel(self, guardian: Account, caller: Address, target: Contract, function: str, *arguments: object) -> None:
        """Send: the call that ``caller`` announced is not to be made; whoever announced it may take it back too."""
        self._send(guardian, "cancel", caller, target.address, target.encode(function, *arguments))

    def due_s(self, caller: Address, target: Contract, function: str, *arguments: object) -> int | None:
        """Return from when on ``caller`` may make a call that it announced, Unix time.

        None where it was not announced, was made or cancelled since, or the week in which it could be made is over.
        """
        data = target.encode(function, *arguments)
        operation = self._client.call(self.contract, "hashOperation", caller, target.address, data)
        return int(self._client.call(self.contract, "getSchedule", operation)) or None

    def close(self, admin: Account, target: Contract) -> None:
        """Send: break-glass; no role calls ``target`` any more, guardians neither, until ``reopen``."""
        self._send(admin, "setTargetClosed", target.address, True)  # noqa: FBT003 - the contract's own argument

    def reopen(self, admin: Account, target: Contract) -> None:
        """Send: ``target`` answers its roles again."""
        self._send(admin, "setTargetClosed", target.address, False)  # noqa: FBT003 - the contract's own argument

    def is_closed(self, target: Contract) -> bool:
        """Tell whether ``target`` was closed."""
        return bool(self._client.call(self.contract, "isTargetClosed", target.address))

    def has_role(self, role: Role, account: Address) -> bool:
        """Tell whether ``account`` holds ``role`` now."""
        is_member, _ = self._client.call(self.contract, "hasRole", role, account)
        return bool(is_member)

    def _send(self, account: Account, function: str, *arguments: object) -> None:
        self._client.transact(account, self.contract.address, self.contract.encode(function, *arguments))
