"""What the chain of a run says: requests, acts with their receipts, anchors, sensitivities; all read from events.

Layer: scenarios, below ``evidence``. Not here: whether the chain is sound (``chainsec.ledger.verify``), and whether the
off-chain records fit it (``evidence``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainsec.chain_agent import request_of
from chainsec.errors import AuditFailed
from chainsec.ledger.artifact import load_artifact
from chainsec.ledger.contract import Contract, Event
from chainsec.primitives import Hash32
from chainsec.services.audit import stream_hash

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainsec.ledger.engine import Engine
    from chainsec.primitives import AccessRequest

DEPLOYED = ("Authority", "DidRegistry", "AssetRegistry", "ConsentLedger", "AccessGrants", "Sentinel", "AuditTrail")
"""The contracts of a run, in the order in which its first blocks deploy them."""

_WITH_RECEIPT = {
    "AccessGrants": (
        "AccessDecided",
        "DecisionSkipped",
        "AccessRevoked",
        "RequesterQuarantined",
        "RequesterReleased",
    ),
    "Sentinel": ("AlertRaised",),
}


def find_contracts(engine: Engine) -> dict[str, Contract]:
    """Return the contracts that the first blocks deployed, each with the code of its artifact.

    A run that was killed while it deployed has only the first of them.

    Raises:
        AuditFailed: a block does not deploy what belongs there.
    """
    found = {}
    for number, name in enumerate(DEPLOYED[: engine.head().number], 1):
        artifact = load_artifact(name)
        receipt = engine.receipt(engine.block(number).transaction_hashes[0])
        if receipt is None or receipt.contract_address is None:
            raise AuditFailed(f"block {number}: does not deploy {name}", block=number)
        if not artifact.has_runtime(engine.code(receipt.contract_address)):
            raise AuditFailed(f"block {number}: {name} has other code than its artifact", block=number)
        found[name] = Contract(engine, receipt.contract_address, artifact.abi)
    return found


class Acts:
    """The acts of a run, in chain order.

    ``requests`` holds them by identifier, ``receipts`` the events that carry a receipt by its hash, ``decisions`` the
    agent's and the guardians' decisions.

    Args:
        engine: holds the chain.
        contracts: those of ``find_contracts``.
    """

    def __init__(self, engine: Engine, contracts: Mapping[str, Contract]) -> None:
        self._head = engine.head().number
        self._contracts = contracts
        found = [request_of(event.args) for event in self._events("AccessGrants", "AccessRequested")]
        self.requests: dict[str, AccessRequest] = {str(request.id): request for request in found}
        self.context_places: dict[Hash32, int] = {}
        for place, request in enumerate(found):
            self.context_places.setdefault(request.context, place)
        acts = [
            event
            for contract, names in _WITH_RECEIPT.items()
            for name in names
            for event in self._events(contract, name)
        ]
        acts.sort(key=lambda event: (event.block_number, event.log_index))
        self.receipts: dict[Hash32, list[Event]] = {}
        for event in acts:
            self.receipts.setdefault(Hash32(event.args["receipt"]), []).append(event)
        self.receipt_places = {receipt: place for place, receipt in enumerate(self.receipts)}
        self.decisions = [event for event in acts if event.name == "AccessDecided"]
        self.first_decision = {str(Hash32(e.args["request"])): e for e in reversed(self.decisions)}
        self._anchors = self._events("AuditTrail", "Anchored")
        self._levels: dict[Hash32, list[tuple[int, int]]] = {}
        for name, field in (("AssetRegistered", "sensitivity"), ("SensitivityRaised", "to")):
            for event in self._events("AssetRegistry", name):
                levels = self._levels.setdefault(Hash32(event.args["asset"]), [])
                levels.append((event.block_number, event.args[field]))

    def anchors(self, stream: str) -> list[Event]:
        """Return the anchors of a stream of records."""
        wanted = stream_hash(stream)
        return [event for event in self._anchors if event.args["stream"] == wanted]

    def count(self, name: str) -> int:
        """Return how many events of that name carry a receipt."""
        return sum(event.name == name for events in self.receipts.values() for event in events)

    def sensitivity_of(self, asset: Hash32, before_block: int) -> int | None:
        """Return how sensitive an asset was said to be before a block, None where it was not registered."""
        levels = [level for block, level in self._levels.get(asset, ()) if block < before_block]
        return levels[-1] if levels else None

    def _events(self, contract: str, name: str) -> list[Event]:
        found = self._contracts.get(contract)
        return [] if found is None else found.events(name, 0, self._head)
