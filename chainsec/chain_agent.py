"""The agent's eyes and hands on a chain: requests come from events, acts go through the Sentinel.

Implements the capabilities that ``defence.agent`` asks for. Layer: below ``sandbox``, above services and defence.
Not here: what is decided (``defence``), what a context has to say (``contexts``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from chainsec.defence.agent import PendingRequest
from chainsec.primitives import AccessRequest, Address, Hash32, Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from chainsec.contexts import Contexts
    from chainsec.deployment import Deployment
    from chainsec.ledger.account import Account
    from chainsec.ledger.client import Client
    from chainsec.primitives import Decision

_HASH = re.compile("0x[0-9a-f]{64}")


def request_of(arguments: Mapping[str, Any]) -> AccessRequest:
    """Return the request that an ``AccessRequested`` event states."""
    return AccessRequest(
        requester=Address(arguments["requester"]),
        organisation=Address(arguments["organisation"]),
        asset=Hash32(arguments["asset"]),
        purpose=Hash32(arguments["purpose"]),
        scope=Scope(arguments["scope"]),
        until=arguments["until"],
        context=Hash32(arguments["context"]),
    )


class ChainRequests:
    """Reads requests from a cursor, only from final blocks, and joins them with their contexts.

    Args:
        client: says which block has been reached.
        deployment: where the events come from.
        contexts: what the requests carry off chain.

    ``cursor`` is the last block that was read.
    """

    def __init__(self, client: Client, deployment: Deployment, contexts: Contexts) -> None:
        self._client = client
        self._deployment = deployment
        self._contexts = contexts
        self._sensitivities: dict[Hash32, int] = {}
        self._addresses: dict[str, Address] = {}
        self._names: dict[Address, str] = {}
        self.cursor = 0

    def poll(self) -> list[PendingRequest]:
        """Return the undecided requests of final blocks past the cursor, in chain order, and move the cursor on."""
        first, last = self.cursor + 1, min(self._client.at, self._client.engine.final_block())
        if last < first:
            return []
        self._follow_assets(first, last)
        grants = self._deployment.access.contract
        decided = {event.args["request"] for event in grants.events("AccessDecided", first, self._client.at)}
        requests = [
            request_of(event.args)
            for event in grants.events("AccessRequested", first, last)
            if event.args["request"] not in decided
        ]
        self.cursor = last
        return [self._join(request) for request in requests]

    def find(self, request_id: str) -> AccessRequest | None:
        """Return a request made up to the block that has been reached, or None."""
        if not _HASH.fullmatch(request_id):
            return None
        grants = self._deployment.access.contract
        found = grants.events("AccessRequested", 0, self._client.at, request=Hash32(request_id))
        return request_of(found[0].args) if found else None

    def _follow_assets(self, first: int, last: int) -> None:
        registry = self._deployment.assets.contract
        for event in registry.events("AssetRegistered", first, last):
            self._sensitivities[Hash32(event.args["asset"])] = event.args["sensitivity"]
        for event in registry.events("SensitivityRaised", first, last):
            self._sensitivities[Hash32(event.args["asset"])] = event.args["to"]

    def _join(self, request: AccessRequest) -> PendingRequest:
        sensitivity = self._sensitivities.get(request.asset)
        if sensitivity is None:
            return PendingRequest(request, None, "no such asset is registered")
        observation, refusal = self._contexts.join(request, sensitivity)
        if observation is not None and not self._is_bound(observation.requester, request.requester):
            return PendingRequest(request, None, "the requester's name goes with another address")
        return PendingRequest(request, observation, refusal)

    def _is_bound(self, name: str, address: Address) -> bool:
        """Tie a name to the first address it comes with, so that nobody asks under a colleague's habits."""
        return self._addresses.setdefault(name, address) == address and self._names.setdefault(address, name) == name


class ChainActions:
    """Sends the agent's acts through the Sentinel.

    Args:
        client: signs and sends.
        deployment: where the acts go.
        account: the agent's key.
        batch_size: decisions in one transaction, at most.
        quarantine_s: how long a quarantine lasts.
        clock: the time that the next block is to carry, Unix seconds.
    """

    def __init__(
        self,
        client: Client,
        deployment: Deployment,
        account: Account,
        *,
        batch_size: int,
        quarantine_s: int,
        clock: Callable[[], int | None],
    ) -> None:
        self._client = client
        self._sentinel = deployment.sentinel
        self._account = account
        self._batch_size = batch_size
        self._quarantine_s = quarantine_s
        self._clock = clock

    def decide(self, decisions: Sequence[Decision]) -> None:
        """Send the verdicts, ``batch_size`` to a transaction."""
        for start in range(0, len(decisions), self._batch_size):
            self._sentinel.decide(self._account, decisions[start : start + self._batch_size])

    def restrictions_left(self) -> int:
        """Return how many revocations and quarantines the window's budget still holds."""
        return self._sentinel.restrictions_left()

    def can_revoke(self, request: AccessRequest) -> bool:
        """Tell whether there is a grant to revoke and budget to do it."""
        return self._sentinel.can_revoke(self._account.address, request)

    def can_quarantine(self, request: AccessRequest) -> bool:
        """Tell whether the requester may be cut off: budget left, and not just released by guardians."""
        return self._sentinel.can_quarantine(self._account.address, request.requester, self._quarantine_s)

    def revoke(self, request: AccessRequest, receipt: Hash32) -> None:
        """End the grant that ``request`` led to."""
        self._sentinel.revoke(self._account, request, receipt)

    def quarantine(self, request: AccessRequest, receipt: Hash32) -> None:
        """Cut off the requester of ``request``."""
        self._sentinel.quarantine(self._account, request.requester, self._quarantine_s, receipt)

    def raise_alert(self, request: AccessRequest, kind: str, severity: int, receipt: Hash32) -> None:
        """Report a threat by the requester of ``request``."""
        self._sentinel.raise_alert(self._account, request.requester, kind, severity, receipt)

    def settle(self) -> None:
        """Put what was sent into a block."""
        self._client.settle(self._clock())
