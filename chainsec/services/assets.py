"""AssetRegistry: datasets, records and models, each known by its owner and the hash of its content.

Layer: services. Not here: the content itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from eth_abi.abi import encode as abi_encode

from chainsec.digest import keccak
from chainsec.errors import UnknownAsset
from chainsec.primitives import ZERO_HASH, Address, Hash32

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainsec.ledger.account import Account
    from chainsec.ledger.client import Client
    from chainsec.ledger.contract import Contract


_SENSITIVITIES = range(4)


@dataclass(frozen=True)
class Registration:
    """An asset to be registered.

    Args:
        owner: identity that controls it and gives consent.
        content_hash: Keccak-256 of the content.
        sensitivity: 0 (public) to 3.
        supersedes: asset of the same owner that this one replaces.
        parents: assets it was made from.

    Raises:
        ValueError: another sensitivity.
    """

    owner: Address
    content_hash: Hash32
    sensitivity: int
    supersedes: Hash32 = ZERO_HASH
    parents: tuple[Hash32, ...] = ()

    def __post_init__(self) -> None:
        if self.sensitivity not in _SENSITIVITIES:
            raise ValueError(f"sensitivity runs from 0 to 3, not {self.sensitivity}")

    def as_tuple(self) -> tuple[object, ...]:
        """Return the fields in the order of the Solidity struct."""
        return (Address(self.owner), self.content_hash, self.sensitivity, self.supersedes, list(self.parents))


class Assets:
    """Registers assets, as a steward, and reads what is known of them."""

    def __init__(self, client: Client, contract: Contract) -> None:
        self._client = client
        self.contract = contract

    def register(self, steward: Account, registrations: Sequence[Registration]) -> list[Hash32]:
        """Send one transaction that registers all of ``registrations``; return the assets' identifiers.

        Raises:
            ValueError: no registrations.
        """
        if not registrations:
            raise ValueError("there is nothing to register")
        data = self.contract.encode("registerMany", [item.as_tuple() for item in registrations])
        self._client.transact(steward, self.contract.address, data)
        return [self.identifier(item.owner, item.content_hash) for item in registrations]

    def raise_sensitivity(self, steward: Account, asset: Hash32, sensitivity: int) -> None:
        """Send: ``asset`` is more sensitive than said before."""
        self._client.transact(
            steward, self.contract.address, self.contract.encode("raiseSensitivity", asset, sensitivity)
        )

    def identifier(self, owner: Address, content_hash: Hash32) -> Hash32:
        """Return the identifier that ``owner``'s content has here, as ``AssetRegistry.assetId`` computes it."""
        preimage = (self._client.engine.chain_id, self.contract.address, owner, content_hash)
        return Hash32(keccak(abi_encode(("uint256", "address", "address", "bytes32"), preimage)))

    def is_registered(self, asset: Hash32) -> bool:
        """Tell whether ``asset`` exists; what has not 32 bytes does not."""
        return len(asset) == len(ZERO_HASH) and bool(self._client.call(self.contract, "isRegistered", asset))

    def require_registered(self, asset: Hash32) -> None:
        """Refuse an asset that does not exist.

        Raises:
            UnknownAsset: nothing is registered under that identifier.
        """
        if not self.is_registered(asset):
            raise UnknownAsset(f"no asset {asset!s} is registered", asset=asset)

    def owner_of(self, asset: Hash32) -> Address:
        """Return the owner of a registered asset.

        Raises:
            ContractReverted: nothing is registered under that identifier.
        """
        return Address(self._client.call(self.contract, "ownerOf", asset))

    def sensitivity_of(self, asset: Hash32) -> int:
        """Return the sensitivity of a registered asset, 0 to 3.

        Raises:
            ContractReverted: nothing is registered under that identifier.
        """
        return int(self._client.call(self.contract, "sensitivityOf", asset))
