"""The agent's eyes and hands on a chain: requests come from events, acts go through the Sentinel.

Implements the capabilities that ``defence.agent`` asks for. Layer: below ``sandbox``, above services and defence.
Not here: what is decided (``defence``), which requests are refused unseen (``contexts``).
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from chainsec.config import AgentSettings
from chainsec.contexts import Admission, Filing
from chainsec.defence.agent import PendingRequest
from chainsec.errors import ChainTakenBack, LedgerError
from chainsec.ledger.contract import read_events
from chainsec.primitives import AccessRequest, Address, Hash32, Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from chainsec.contexts import Contexts
    from chainsec.defence.observation import DigestedModel
    from chainsec.deployment import Deployment
    from chainsec.ledger.account import Account
    from chainsec.ledger.client import Client
    from chainsec.ledger.contract import Event
    from chainsec.ledger.engine import Block, Engine
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


def filings_of(events: Iterable[Event], engine: Engine, known: Iterable[Block] = ()) -> list[Filing]:
    """Return the requests that ``AccessRequested`` events state, with their blocks and those blocks' times.

    Args:
        events: in chain order.
        engine: asked for blocks.
        known: blocks that it need not be asked for.
    """
    times = {block.number: block.timestamp for block in known}
    filings = []
    for event in events:
        number = event.block_number
        if number not in times:
            times[number] = engine.block(number).timestamp
        filings.append(Filing(request_of(event.args), number, times[number]))
    return filings


def _stands(block: Block, engine: Engine) -> bool:
    """Tell whether a block that was read is still on the chain."""
    try:
        return engine.block(block.number).hash == block.hash
    except ChainTakenBack:  # a run on a node of its own has to bring those blocks back itself
        raise
    except LedgerError:
        return False


class ChainRequests:
    """Reads requests from a cursor, only from final blocks, and joins them with their contexts.

    Args:
        client: says which block has been reached.
        deployment: where the events come from.
        contexts: what the requests carry off chain.
        has_clock: whether contexts carry times.
        tolerance_s: how far a context's time may lie from that of the request's block.
        offset_s: how much later it is on the chain than where the contexts come from.

    ``cursor`` is the last block that was read.
    """

    def __init__(
        self,
        client: Client,
        deployment: Deployment,
        contexts: Contexts,
        *,
        has_clock: bool = True,
        tolerance_s: int = AgentSettings.model_fields["context_time_tolerance_s"].default,
        offset_s: int = 0,
    ) -> None:
        self._client = client
        self._deployment = deployment
        self._kinds = [
            (deployment.assets.contract, "AssetRegistered"),
            (deployment.assets.contract, "SensitivityRaised"),
            (deployment.identity.contract, "DIDDelegateChanged"),
            (deployment.consent.contract, "ConsentGiven"),
            (deployment.access.contract, "AccessRequested"),
            (deployment.access.contract, "AccessDecided"),
        ]
        self._new_admission = partial(
            Admission, contexts, has_clock=has_clock, tolerance_s=tolerance_s, offset_s=offset_s
        )
        self._admission = self._new_admission()
        self._sensitivities: dict[Hash32, int] = {}
        self._handed_out: set[Hash32] = set()
        self._forestalled: dict[Hash32, PendingRequest] = {}
        self._newest: Block | None = None
        self.cursor = 0

    def poll(self) -> list[PendingRequest]:
        """Return the undecided requests of final blocks past the cursor, in chain order, and move the cursor on.

        A request that somebody has decided in a block that is not final yet is kept, and handed out where that decision
        falls out of the chain.

        Where blocks that were read are gone, everything is read again from the first block, since what was followed in
        them may not have happened; no request is handed out twice.
        """
        self._client.mend()
        engine = self._client.engine
        if self._newest is not None and not _stands(self._newest, engine):
            self.cursor, self._newest = 0, None
            self._admission, self._sensitivities = self._new_admission(), {}
            self._forestalled.clear()
        at = self._client.at
        first, last = self.cursor + 1, min(at, engine.final_block())
        if last < first:
            return []
        newest = engine.block(last)
        assets, raised, delegates, consents, requested, decisions = read_events(self._kinds, first, at)
        decided = {event.args["request"]: event.block_number for event in decisions}
        # only what is final is followed; nobody decides what is not, but somebody may have decided what is
        assets, raised, delegates, consents, requested = (
            [event for event in events if event.block_number <= last]
            for events in (assets, raised, delegates, consents, requested)
        )
        self._follow_assets(assets, raised)
        self._admission.note(delegates, consents)
        # those that are decided tie names to accounts as well
        joined = [self._join(filing) for filing in filings_of(requested, engine, [newest])]
        joined = [*self._forestalled.values(), *(item for item in joined if item.request.id not in self._handed_out)]
        self._forestalled = {item.request.id: item for item in joined if decided.get(item.request.id, 0) > last}
        found = [item for item in joined if item.request.id not in decided]
        self._handed_out.update(item.request.id for item in found)
        self.cursor, self._newest = last, newest
        return found

    def find(self, request_id: str) -> AccessRequest | None:
        """Return a request made up to the block that has been reached, or None."""
        if not _HASH.fullmatch(request_id):
            return None
        grants = self._deployment.access.contract
        found = grants.events("AccessRequested", 0, self._client.at, request=Hash32(request_id))
        return request_of(found[0].args) if found else None

    def _follow_assets(self, registered: Iterable[Event], raised: Iterable[Event]) -> None:
        for event in registered:
            self._sensitivities[Hash32(event.args["asset"])] = event.args["sensitivity"]
        for event in raised:
            self._sensitivities[Hash32(event.args["asset"])] = event.args["to"]

    def _join(self, filing: Filing) -> PendingRequest:
        sensitivity = self._sensitivities.get(filing.request.asset)
        return PendingRequest(filing.request, *self._admission.admit(filing, sensitivity))


class ChainActions:
    """Sends the agent's acts through the Sentinel.

    Args:
        client: signs and sends.
        deployment: where the acts go.
        account: the agent's key.
        batch_size: decisions in one transaction, at most.
        quarantine_s: how long a quarantine lasts.
        clock: the time that the next block is to carry, Unix seconds.
        keep_model: keeps a model that is put in use, and puts its digest on chain.
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
        keep_model: Callable[[DigestedModel], None],
    ) -> None:
        self._client = client
        self._sentinel = deployment.sentinel
        self._account = account
        self._batch_size = batch_size
        self._quarantine_s = quarantine_s
        self._clock = clock
        self._keep_model = keep_model

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

    def raise_alert(self, subject: Address, kind: str, severity: int, receipt: Hash32) -> None:
        """Report a threat by somebody."""
        self._sentinel.raise_alert(self._account, subject, kind, severity, receipt)

    def give_notice(self, kind: str, severity: int, receipt: Hash32) -> None:
        """Report something about the agent itself."""
        self.raise_alert(self._account.address, kind, severity, receipt)

    def anchor_model(self, model: DigestedModel) -> None:
        """Keep a model and put its digest on chain."""
        self._keep_model(model)

    def settle(self) -> int:
        """Put what was sent into a block, and return the last that it stands in; the newest where nothing was."""
        receipts = self._client.settle(self._clock())
        return max((receipt.block_number for receipt in receipts), default=self._client.at)
