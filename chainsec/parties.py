"""The people and organisations of a sandbox by name: their keys, and who was introduced as what.

One seed gives every key. Layer: below ``sandbox``, above ``ledger``. Not here: what stands on chain of them, which
changes without this noticing (``services.identity``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainsec.digest import keccak
from chainsec.errors import UnknownParty
from chainsec.ledger.account import Account

if TYPE_CHECKING:
    from collections.abc import Sequence


class Parties:
    """Names and their keys.

    Args:
        key_seed: all keys follow from it.

    >>> parties = Parties(b"seed")
    >>> parties.enter_organisation("clinic")
    >>> parties.enter_member("clinic", "nurse")
    >>> parties.house_of("nurse")
    'clinic'
    """

    def __init__(self, key_seed: bytes) -> None:
        self._seeds = {"party": key_seed} | {kind: keccak(key_seed + kind.encode()) for kind in ("role", "gateway")}
        self._accounts: dict[tuple[str, str], Account] = {}
        self._known: set[str] = set()
        self._organisations: set[str] = set()
        self._houses: dict[str, list[str]] = {}

    def account(self, name: str) -> Account:
        """Return the key of a party, introduced or not. No name, wherever it comes from, gives a role's key.

        >>> Parties(b"seed").account("agent") == Parties(b"seed").role("agent")
        False
        """
        return self._key_of("party", name)

    def gateway(self, organisation: str) -> Account:
        """Return the key of an organisation's gateway."""
        return self._key_of("gateway", organisation)

    def role(self, role: str) -> Account:
        """Return the key of a role in the deployment."""
        return self._key_of("role", role)

    def enter(self, name: str) -> None:
        """Take note of a party."""
        self._known.add(name)

    def enter_organisation(self, name: str) -> None:
        """Take note of an organisation."""
        self.enter(name)
        self._organisations.add(name)

    def enter_member(self, organisation: str, name: str) -> None:
        """Take note that ``name`` acts for ``organisation``; somebody may act for several.

        Raises:
            UnknownParty: the organisation was not introduced.
        """
        self.require_organisation(organisation)
        self.enter(name)
        houses = self._houses.setdefault(name, [])
        if organisation not in houses:
            houses.append(organisation)

    def require(self, names: Sequence[str]) -> None:
        """Refuse a name that nobody introduced.

        Raises:
            UnknownParty: names the first of them.
        """
        for name in names:
            if name not in self._known:
                raise UnknownParty(f"nobody introduced {name!r}", party=name)

    def require_organisation(self, name: str) -> None:
        """Refuse what is no organisation.

        Raises:
            UnknownParty: nobody introduced it as one.
        """
        if name not in self._organisations:
            raise UnknownParty(f"no organisation {name!r} was introduced", party=name)

    def house_of(self, member: str, organisation: str | None = None) -> str:
        """Return the organisation that ``member`` acts for: the latest one, or the one that is asked for.

        Raises:
            UnknownParty: no such organisation was introduced, or no such member of it.
        """
        houses = self._houses.get(member, [])
        if organisation is None and houses:
            return houses[-1]
        if organisation is not None:
            self.require_organisation(organisation)
            if organisation in houses:
                return organisation
        of = f" of {organisation!r}" if organisation is not None else ""
        raise UnknownParty(f"no member {member!r}{of} was introduced", party=member)

    def _key_of(self, kind: str, name: str) -> Account:
        if (kind, name) not in self._accounts:
            self._accounts[kind, name] = Account.derive(self._seeds[kind], name)
        return self._accounts[kind, name]
