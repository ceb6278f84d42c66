"""AccessGrants: requests go in, gateways ask whether a use is allowed.

Layer: services. Not here: deciding (``sentinel``).
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from chainsec.errors import AccessDenied
from chainsec.primitives import ZERO_HASH, Hash32, Scope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainsec.ledger.account import Account
    from chainsec.ledger.client import Client
    from chainsec.ledger.contract import Contract
    from chainsec.primitives import AccessRequest, Address


class Status(IntEnum):
    """Where a request stands, as in ``IAccessGrants.Status``."""

    NONE = 0
    PENDING = 1
    DENIED = 2
    ESCALATED = 3
    GRANTED = 4


class Basis(IntEnum):
    """Why a grant or a use is refused, as in ``IAccessGrants.Basis``; AGREED where it is not."""

    AGREED = 0
    NO_GRANT = 1
    EXPIRED = 2
    NO_CONSENT = 3
    NOT_MEMBER = 4
    QUARANTINED = 5
    PAUSED = 6
    ABOVE_CEILING = 7
    BUDGET_SPENT = 8


class Access:
    """Files requests and checks access."""

    def __init__(self, client: Client, contract: Contract) -> None:
        self._client = client
        self.contract = contract

    def request(self, requester: Account, item: AccessRequest) -> Hash32:
        """Send a request in the requester's own name; return its identifier.

        Raises:
            ValueError: it is made on behalf of an organisation; that is its gateway's to file.
        """
        if not item.requester == item.organisation == requester.address:
            raise ValueError("a request in one's own name has its sender as requester and as organisation")
        self._send(requester, "request", *item.as_tuple()[2:])
        return item.id

    def request_many(self, gateway: Account, organisation: Address, items: Sequence[AccessRequest]) -> list[Hash32]:
        """Send one transaction with requests of an organisation's members; return their identifiers.

        One request that the contract refuses (it stands already, or has run out) turns all of them back.

        Raises:
            ValueError: no requests, or one on behalf of another organisation.
        """
        if not items:
            raise ValueError("there is nothing to request")
        if any(item.organisation != organisation for item in items):
            raise ValueError(f"a gateway of {organisation} files only for its own organisation")
        filings = [item.as_tuple() for item in items]
        self._send(gateway, "requestMany", organisation, [(filing[0], *filing[2:]) for filing in filings])
        return [item.id for item in items]

    def basis(self, requester: Address, asset: Hash32, purpose: Hash32, scope: Scope) -> Basis:
        """Return why a use is refused, or ``AGREED``."""
        return Basis(self._client.call(self.contract, "accessBasis", requester, asset, purpose, int(scope)))

    def has_access(self, requester: Address, asset: Hash32, purpose: Hash32, scope: Scope = Scope.READ) -> bool:
        """Tell whether ``requester`` may do all of ``scope`` with ``asset`` for ``purpose`` now."""
        return self.basis(requester, asset, purpose, scope) is Basis.AGREED

    def require(self, requester: Address, asset: Hash32, purpose: Hash32, scope: Scope = Scope.READ) -> None:
        """Let a use through or refuse it: what a gateway calls.

        Raises:
            AccessDenied: says why; ``reason`` is the lower-case name of the ``Basis``.
        """
        basis = self.basis(requester, asset, purpose, scope)
        if basis is not Basis.AGREED:
            reason = basis.name.lower().replace("_", " ")
            raise AccessDenied(
                f"{requester} may not use {asset}: {reason}", requester=requester, asset=asset, reason=reason
            )

    def status_of(self, request_id: Hash32) -> Status:
        """Return where a request stands; ``NONE`` where nobody made it."""
        return Status(self._client.call(self.contract, "statusOf", request_id))

    def request_behind(self, requester: Address, asset: Hash32, purpose: Hash32) -> Hash32 | None:
        """Return the identifier of the request that the latest grant answers, or None where no grant stands.

        What a gateway names when it logs a use: of several requests for the same, only this one's grant can be ended.
        """
        request_id, *_ = self._client.call(self.contract, "grantOf", requester, asset, purpose)
        return None if request_id == ZERO_HASH else Hash32(request_id)

    def quarantined_until_s(self, requester: Address) -> int:
        """Return the last second for which ``requester`` is cut off, Unix time; 0 or past: it is not."""
        return int(self._client.call(self.contract, "quarantinedUntil", requester))

    def is_paused(self) -> bool:
        """Tell whether all access stands still."""
        return bool(self._client.call(self.contract, "isPaused"))

    def set_door(self, admin: Account, door: Address) -> None:
        """Send: decisions, revocations and quarantines come through the contract ``door`` only."""
        self._send(admin, "setDoor", door)

    def pause(self, guardian: Account) -> None:
        """Send: nothing goes through until resumed."""
        self._send(guardian, "pause")

    def resume(self, guardian: Account) -> None:
        """Send: access goes on."""
        self._send(guardian, "resume")

    def _send(self, account: Account, function: str, *arguments: object) -> None:
        self._client.transact(account, self.contract.address, self.contract.encode(function, *arguments))
