"""DidRegistry: decentralised identifiers after ERC-1056; organisations name their members and gateways.

Layer: services. Not here: keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainsec.primitives import Address

if TYPE_CHECKING:
    from chainsec.ledger.account import Account
    from chainsec.ledger.client import Client
    from chainsec.ledger.contract import Contract
    from chainsec.primitives import Hash32

MEMBER = b"chainsec.member".ljust(32, b"\0")
GATEWAY = b"chainsec.gateway".ljust(32, b"\0")


class Identity:
    """Names delegates of identities and reads who controls them."""

    def __init__(self, client: Client, contract: Contract) -> None:
        self._client = client
        self.contract = contract

    def add_member(self, organisation: Account, member: Address, *, valid_s: int) -> Hash32:
        """Send: ``member`` acts for ``organisation`` for the next ``valid_s`` seconds. Returns the transaction's hash.

        Raises:
            BadAddress: ``member`` is no address.
            ValueError: ``valid_s`` is not positive.
        """
        return self._add_delegate(organisation, MEMBER, member, valid_s)

    def add_gateway(self, organisation: Account, gateway: Address, *, valid_s: int) -> Hash32:
        """Send: ``gateway`` files requests for members of ``organisation`` for ``valid_s`` seconds. Returns the hash.

        Raises:
            BadAddress, ValueError: as ``add_member``.
        """
        return self._add_delegate(organisation, GATEWAY, gateway, valid_s)

    def remove_member(self, organisation: Account, member: Address) -> None:
        """Send: ``member`` no longer acts for ``organisation``; every grant it holds on its behalf ends."""
        data = self.contract.encode("revokeDelegate", organisation.address, MEMBER, Address(member))
        self._client.transact(organisation, self.contract.address, data)

    def remove_gateway(self, organisation: Account, gateway: Address) -> None:
        """Send: ``gateway`` files no more requests for ``organisation``; what it has filed stands."""
        data = self.contract.encode("revokeDelegate", organisation.address, GATEWAY, Address(gateway))
        self._client.transact(organisation, self.contract.address, data)

    def is_gateway(self, organisation: Address, account: Address) -> bool:
        """Tell whether ``account`` files requests for ``organisation`` now."""
        return bool(self._client.call(self.contract, "validDelegate", organisation, GATEWAY, account))

    def is_member(self, organisation: Address, account: Address) -> bool:
        """Tell whether ``account`` acts for ``organisation`` now."""
        return bool(self._client.call(self.contract, "validDelegate", organisation, MEMBER, account))

    def controller_of(self, identity: Address) -> Address:
        """Return the account that controls ``identity``."""
        return Address(self._client.call(self.contract, "identityOwner", identity))

    def did(self, identity: Address) -> str:
        """Return the ``did:ethr`` of ``identity`` on this chain.

        Source: the ethr DID method specification.
        """
        return f"did:ethr:{hex(self._client.engine.chain_id)}:{identity}"

    def _add_delegate(self, organisation: Account, kind: bytes, delegate: Address, valid_s: int) -> Hash32:
        if valid_s <= 0:
            raise ValueError(f"a delegate acts for at least 1 second, not {valid_s}")
        data = self.contract.encode("addDelegate", organisation.address, kind, Address(delegate), valid_s)
        return self._client.transact(organisation, self.contract.address, data)
