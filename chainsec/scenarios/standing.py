"""What a grant was worth at any block of a run: why a use was let through or refused.

Most grants stand from the block that gave them until nothing more is done with them. Where events show that nothing
which a grant rests on was touched since the contract gave it, it stands still; everywhere else the contract is asked
again, as of that block. Layer: scenarios, below ``evidence``. Not here: the rule itself (``AccessGrants.sol``).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from chainsec.primitives import Hash32, Scope
from chainsec.services.access import Basis, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from chainsec.contexts import Admission
    from chainsec.ledger.contract import Contract, Event
    from chainsec.ledger.engine import Engine
    from chainsec.primitives import AccessRequest

_BY_ASSET = {
    "ConsentLedger": ("ConsentGiven", "ConsentWithdrawn", "ConsentRevoked"),
    "AssetRegistry": ("SensitivityRaised", "AssetSuperseded"),
}
_BY_REQUESTER = ("RequesterQuarantined", "RequesterReleased")
_FOR_ALL = ("AccessPaused", "AccessResumed")


class _Given(NamedTuple):
    block: int
    request: AccessRequest
    until_s: int


class Standing:
    """Answers for the grants of a run at any of its blocks.

    Args:
        engine: holds the chain.
        contracts: those of ``find_contracts``.
        requests: by identifier.
        decisions: ``AccessDecided`` events, in chain order.
        admission: knows who was whose member.
    """

    def __init__(
        self,
        engine: Engine,
        contracts: Mapping[str, Contract],
        requests: Mapping[str, AccessRequest],
        decisions: Iterable[Event],
        admission: Admission,
    ) -> None:
        self._engine = engine
        self._grants = contracts["AccessGrants"]
        self._admission = admission
        self._given: dict[tuple[bytes, ...], list[_Given]] = defaultdict(list)
        for event in decisions:
            request = requests[str(Hash32(event.args["request"]))]
            if event.args["outcome"] == Status.GRANTED:
                self._given[_key(request)].append(_Given(event.block_number, request, event.args["until"]))
        self._touched: dict[tuple[bytes, ...], list[int]] = defaultdict(list)
        self._lapses: dict[bytes, list[int]] = defaultdict(list)
        self._read(contracts, engine.head().number)

    def _read(self, contracts: Mapping[str, Contract], head: int) -> None:
        for name, events in _BY_ASSET.items():
            for event in (event for kind in events for event in contracts[name].events(kind, 0, head)):
                self._touched[(bytes(event.args["asset"]),)].append(event.block_number)
                if event.name == "ConsentGiven":
                    self._lapses[bytes(event.args["asset"])].append(event.args["until"])
        for event in (event for kind in _BY_REQUESTER for event in self._grants.events(kind, 0, head)):
            self._touched[(bytes(event.args["requester"]),)].append(event.block_number)
        for event in (event for kind in _FOR_ALL for event in self._grants.events(kind, 0, head)):
            self._touched[()].append(event.block_number)
        for event in self._grants.events("AccessRevoked", 0, head):
            key = tuple(bytes(event.args[name]) for name in ("requester", "asset", "purpose"))
            self._touched[key].append(event.block_number)
        for blocks in (*self._touched.values(), *self._lapses.values()):
            blocks.sort()

    def basis(self, request: AccessRequest, scope: Scope, block: int) -> tuple[Basis, int]:
        """Return why a use under ``request`` was refused after ``block``, or ``AGREED``, and the grant's end.

        The end is in Unix seconds, 0 where there is no grant.
        """
        given = [grant for grant in self._given[_key(request)] if grant.block <= block]
        until_s = given[-1].until_s if given else 0
        if given and self._is_untouched(given[-1], scope, block):
            return Basis.AGREED, until_s
        found = self._grants.call("accessBasis", *_key(request), int(scope), at=block)
        return Basis(found), until_s

    def _is_untouched(self, grant: _Given, scope: Scope, block: int) -> bool:
        """Tell whether a grant stands after ``block`` as it did when the contract gave it."""
        request, time_s = grant.request, self._engine.block(block).timestamp
        if scope & request.scope != scope or time_s > grant.until_s:
            return False
        asset = bytes(request.asset)
        for subject in ((), (asset,), (bytes(request.requester),), _key(request)):
            if _is_between(self._touched.get(subject, ()), grant.block, block):
                return False
        given_s = self._engine.block(grant.block).timestamp
        if _is_between(self._lapses.get(asset, ()), given_s - 1, time_s):
            return False
        return self._admission.is_member(request.organisation, request.requester, block, time_s)


def _key(request: AccessRequest) -> tuple[bytes, bytes, bytes]:
    return bytes(request.requester), bytes(request.asset), bytes(request.purpose)


def _is_between(places: Sequence[int], after: int, last: int) -> bool:
    """Tell whether one of the ascending ``places`` is over ``after`` and not over ``last``."""
    found = bisect_right(places, after)
    return found < len(places) and places[found] <= last
