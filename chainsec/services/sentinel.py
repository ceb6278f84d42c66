"""Sentinel: the agent's only door, and the guardians' desk.

Layer: services. Not here: why a verdict is what it is (``defence``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainsec.config import Limits
from chainsec.digest import keccak
from chainsec.errors import ContractReverted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainsec.ledger.account import Account
    from chainsec.ledger.client import Client
    from chainsec.ledger.contract import Contract
    from chainsec.primitives import AccessRequest, Address, Decision, Hash32

_SEVERITIES = range(1, 4)
_ANY_RECEIPT = b"\x01".rjust(32, b"\0")


def limit_fields(limits: Limits) -> tuple[int, ...]:
    """Return ``limits`` in the order of the Solidity struct.

    >>> limit_fields(Limits(sensitivity_ceiling=1, window_s=600))[:2]
    (1, 600)
    """
    return (
        limits.sensitivity_ceiling,
        limits.window_s,
        limits.grants_per_window,
        limits.restrictions_per_window,
        limits.max_quarantine_s,
        limits.max_grant_s,
    )


class Sentinel:
    """Sends the agent's and the guardians' acts."""

    def __init__(self, client: Client, contract: Contract) -> None:
        self._client = client
        self.contract = contract

    def decide(self, agent: Account, decisions: Sequence[Decision]) -> None:
        """Send one transaction with all of ``decisions``.

        Raises:
            ValueError: no decisions.
        """
        if not decisions:
            raise ValueError("there is nothing to decide")
        items = [(item.request.as_tuple(), int(item.verdict), item.receipt) for item in decisions]
        self._send(agent, "decideMany", items)

    def revoke(self, agent: Account, request: AccessRequest, receipt: Hash32) -> None:
        """Send: the grant that answers ``request`` ends; where another request's grant has replaced it, none does."""
        self._send(agent, "revoke", request.as_tuple(), receipt)

    def quarantine(self, agent: Account, requester: Address, ttl_s: int, receipt: Hash32) -> None:
        """Send: ``requester`` is cut off for ``ttl_s`` seconds."""
        self._send(agent, "quarantine", requester, ttl_s, receipt)

    def raise_alert(self, agent: Account, subject: Address, kind: str, severity: int, receipt: Hash32) -> None:
        """Send: a threat of ``kind`` by ``subject``.

        Args:
            agent: who reports it.
            subject: whom it is about.
            kind: short noun; its hash goes on chain.
            severity: 1 (note) to 3 (act now).
            receipt: hash of the receipt.

        Raises:
            ValueError: another severity.
        """
        if severity not in _SEVERITIES:
            raise ValueError(f"severity runs from 1 to 3, not {severity}")
        self._send(agent, "raiseAlert", subject, keccak(kind.encode()), severity, receipt)

    def restrictions_left(self) -> int:
        """Return how many revocations and quarantines the agent has left in the current window."""
        _, restrictions = self._client.call(self.contract, "budgetLeft")
        return int(restrictions)

    def grants_left(self) -> int:
        """Return how many grants the agent has left in the current window."""
        grants, _ = self._client.call(self.contract, "budgetLeft")
        return int(grants)

    def can_revoke(self, agent: Address, request: AccessRequest) -> bool:
        """Tell whether ``revoke`` would go through now, by trying it without effect."""
        return self._would_pass(agent, "revoke", request.as_tuple(), _ANY_RECEIPT)

    def can_quarantine(self, agent: Address, requester: Address, ttl_s: int) -> bool:
        """Tell whether ``quarantine`` would go through now."""
        return self._would_pass(agent, "quarantine", requester, ttl_s, _ANY_RECEIPT)

    def can_approve(self, guardian: Address, request: AccessRequest) -> bool:
        """Tell whether guardians could grant ``request`` now."""
        return self._would_pass(guardian, "approve", request.as_tuple(), _ANY_RECEIPT)

    def approve(self, guardian: Account, request: AccessRequest, receipt: Hash32) -> None:
        """Send: guardians grant ``request``."""
        self._send(guardian, "approve", request.as_tuple(), receipt)

    def cancel(self, guardian: Account, request: AccessRequest, receipt: Hash32) -> None:
        """Send: guardians deny ``request`` and end the grant that answers it, not another request's for the same."""
        self._send(guardian, "cancel", request.as_tuple(), receipt)

    def release(self, guardian: Account, requester: Address, receipt: Hash32) -> None:
        """Send: the quarantine of ``requester`` ends, and the agent cannot renew it for a while."""
        self._send(guardian, "release", requester, receipt)

    def suspend_agent(self, guardian: Account) -> None:
        """Send: the agent is out of service at once."""
        self._send(guardian, "suspendAgent")

    def resume_agent(self, policy: Account) -> None:
        """Send: the agent is back in service. ``Authority.schedule(policy, contract, "resumeAgent")`` comes first."""
        self._send(policy, "resumeAgent")

    def set_limits(self, policy: Account, limits: Limits) -> None:
        """Send: ``limits`` are in force.

        ``Authority.schedule(policy, contract, "setLimits", limit_fields(limits))`` comes first, with the same limits.
        """
        self._send(policy, "setLimits", limit_fields(limits))

    def limits(self) -> Limits:
        """Return the limits in force."""
        fields = self._client.call(self.contract, "limitsInForce")
        return Limits(**dict(zip(Limits.model_fields, fields, strict=True)))

    def is_agent_suspended(self) -> bool:
        """Tell whether guardians took the agent out of service."""
        return bool(self._client.call(self.contract, "isAgentSuspended"))

    def shielded_until_s(self, requester: Address) -> int:
        """Return the last second for which guardians shield ``requester`` from quarantine, Unix time; 0 for never."""
        return int(self._client.call(self.contract, "shieldedUntil", requester))

    def _would_pass(self, sender: Address, function: str, *arguments: object) -> bool:
        try:
            self._client.call(self.contract, function, *arguments, sender=sender)
        except ContractReverted:
            return False
        return True

    def _send(self, account: Account, function: str, *arguments: object) -> None:
        self._client.transact(account, self.contract.address, self.contract.encode(function, *arguments))
