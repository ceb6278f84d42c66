"""What the chain of a run says: requests, acts with their receipts and senders, anchors, sensitivities, gas.

Layer: scenarios, below ``evidence``. Not here: whether the chain is sound (``chainsec.ledger.verify``), and whether the
off-chain records fit it (``evidence``).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from chainsec.chain_agent import filings_of
from chainsec.errors import AuditFailed
from chainsec.ledger.artifact import load_artifact
from chainsec.ledger.contract import Contract, Event
from chainsec.primitives import Hash32
from chainsec.scenarios.standing import Standing
from chainsec.services.access import Status
from chainsec.services.audit import stream_hash

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from chainsec.contexts import Admission, Filing
    from chainsec.ledger.engine import Engine
    from chainsec.primitives import AccessRequest, Address

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

_DECIDING = ("decide", "decideMany")
_ACTS = (*_DECIDING, "revoke", "quarantine", "raiseAlert", "approve", "cancel", "release")
_LASTING: Mapping[str, tuple[str, ...]] = {
    "Authority": (),
    "AccessGrants": ("AuthorityUpdated", "DoorSet"),
    "Sentinel": ("AuthorityUpdated", "LimitsSet"),
    "AssetRegistry": ("AuthorityUpdated",),
    "ConsentLedger": ("AuthorityUpdated",),
    "AuditTrail": ("AuthorityUpdated",),
}
"""Events that change who may do what; of ``Authority`` it is every one."""


class Act(NamedTuple):
    """What was asked of the Sentinel: a function, "" where it is none of the agent's or the guardians', and by whom."""

    function: str
    sender: Address

    @property
    def is_verdict(self) -> bool:
        """Whether it is the agent's decision of requests."""
        return self.function in _DECIDING


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

    ``filings`` and ``requests`` hold them by identifier, ``receipts`` the events that carry a receipt by its hash,
    ``decisions`` the agent's and the guardians' decisions, ``first_decision`` the first of each request.

    Args:
        engine: holds the chain.
        contracts: those of ``find_contracts``.
    """

    def __init__(self, engine: Engine, contracts: Mapping[str, Contract]) -> None:
        self._engine = engine
        self._head = engine.head().number
        self._contracts = contracts
        self._acts: dict[Hash32, Act] = {}
        sentinel = contracts.get("Sentinel")
        self._selectors = {sentinel.selector(name): name for name in _ACTS} if sentinel is not None else {}
        found = filings_of(self._events("AccessGrants", "AccessRequested"), engine)
        self.filings: dict[str, Filing] = {str(filing.request.id): filing for filing in found}
        self.requests: dict[str, AccessRequest] = {name: filing.request for name, filing in self.filings.items()}
        self.context_places: dict[Hash32, int] = {}
        for place, filing in enumerate(found):
            self.context_places.setdefault(filing.request.context, place)
        acts = [
            event
            for contract, names in _WITH_RECEIPT.items()
            for name in names
            for event in self._events(contract, name)
        ]
        acts.sort(key=lambda event: (event.block_number, event.log_index))
        self._acting = acts
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

    def act_of(self, event: Event) -> Act:
        """Return what was asked of the Sentinel, and by whom, in the transaction that gave an event."""
        key = event.transaction_hash
        if key not in self._acts:
            sentinel = self._contracts["Sentinel"]
            sent = self._engine.transaction(key)
            assert sent is not None
            function = self._selectors.get(bytes(sent.data[:4]), "") if sent.to == sentinel.address else ""
            self._acts[key] = Act(function, sent.sender)
        return self._acts[key]

    def verdicts(self) -> list[Event]:
        """Return the agent's decisions, those that came too late included."""
        named = {"AccessDecided", "DecisionSkipped"}
        carrying = (event for events in self.receipts.values() for event in events if event.name in named)
        return [event for event in carrying if self.act_of(event).is_verdict]

    def answers(self) -> Counter[str]:
        """Return how many requests guardians decided by each function."""
        return Counter(self.act_of(event).function for event in self.decisions if not self.act_of(event).is_verdict)

    def revocations(self) -> Counter[str]:
        """Return how many grants each function ended while they stood, and under "" how many had run out before."""
        ends: dict[tuple[bytes, ...], int] = {}
        found: Counter[str] = Counter()
        for event in self._acting:
            if event.name == "AccessDecided" and event.args["outcome"] == Status.GRANTED:
                request = self.requests[str(Hash32(event.args["request"]))]
                ends[request.requester, request.asset, request.purpose] = event.args["until"]
            elif event.name == "AccessRevoked":
                end_s = ends.pop((event.args["requester"], event.args["asset"], event.args["purpose"]), 0)
                found["" if end_s < self.time_of(event.block_number) else self.act_of(event).function] += 1
        return found

    def gas_of(self, events: Iterable[Event]) -> tuple[int, int]:
        """Return the number of transactions that gave ``events``, and the gas they took."""
        found = [self._engine.receipt(key) for key in {event.transaction_hash for event in events}]
        return len(found), sum(receipt.gas_used for receipt in found if receipt is not None)

    def gas_total(self) -> int:
        """Return the gas of all blocks."""
        return sum(self._engine.block(number).gas_used for number in range(self._head + 1))

    def follow(self, admission: Admission) -> None:
        """Tell ``admission`` who vouches for whom."""
        if "ConsentLedger" in self._contracts:
            admission.follow(self._contracts["DidRegistry"], self._contracts["ConsentLedger"], 0, self._head)

    def check_lasting(self, founded: int) -> None:
        """Refuse whatever changes roles, doors or limits after block ``founded``.

        Raises:
            AuditFailed: names the first such event.
        """
        for name in _LASTING.keys() & self._contracts.keys():
            contract = self._contracts[name]
            wanted = [[contract.topic(kind) for kind in _LASTING[name]]] if _LASTING[name] else ()
            for log in self._engine.logs(founded + 1, self._head, contract.address, wanted):
                event = contract.decode_log(log)
                what = name if event is None else event.name
                shown = f"block {log.block_number}: {what} changes who may do what"
                raise AuditFailed(shown, block=log.block_number)

    def standing(self, admission: Admission) -> Standing:
        """Return what grants were worth at any block."""
        return Standing(self._engine, self._contracts, self.requests, self.decisions, admission)

    def time_of(self, block: int) -> int:
        """Return the time of a block, Unix seconds; the last one's where there is none."""
        return self._engine.block(min(block, self._head)).timestamp

    def next_filled(self, block: int) -> int | None:
        """Return the first block after ``block`` that holds transactions; None where only empty ones follow."""
        place = bisect_right(self._filled, block)
        return self._filled[place] if place < len(self._filled) else None

    @cached_property
    def _filled(self) -> list[int]:
        return [number for number in range(self._head + 1) if self._engine.block(number).transaction_hashes]

    @property
    def head(self) -> int:
        """Number of the last block."""
        return self._head

    def sensitivity_of(self, asset: Hash32, before_block: int) -> int | None:
        """Return how sensitive an asset was said to be before a block, None where it was not registered."""
        levels = [level for block, level in self._levels.get(asset, ()) if block < before_block]
        return levels[-1] if levels else None

    def _events(self, contract: str, name: str) -> list[Event]:
        found = self._contracts.get(contract)
        return [] if found is None else found.events(name, 0, self._head)
