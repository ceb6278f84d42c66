"""What a play remembers of each request and each threat, and its counters.

Layer: scenarios, below ``play``. Not here: how it comes about (``play``), what it amounts to (``measure``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chainsec.services.access import Basis, Status

if TYPE_CHECKING:
    from chainsec.defence.agent import Response
    from chainsec.ledger.client import Client
    from chainsec.primitives import AccessRequest
    from chainsec.scenarios.workload import Attempt

NORMAL_LIFE = ""
"""Stands for the kind of attack of what is known to be none."""


@dataclass
class Episode:
    """One live attempt and what became of it.

    ``filed_at_s`` is the simulated time at which the gateway handed it in. ``decided_block``, ``score``, ``verdict``,
    ``outcome`` and ``basis`` speak of the agent's decision, ``answer`` of the guardian's: ``approve``, ``cancel``,
    ``lapse`` where nobody looked in time, or "". ``granted_until_s`` is the last second of its grant in chain time, 0
    without one; ``cut_off_by`` says who took it back, or cut off its holder, while it stood: ``agent``, ``guardian`` or
    "".
    """

    attempt: Attempt
    request: AccessRequest
    filed_at_s: int
    requested_block: int = 0
    decided_block: int = 0
    score: float | None = None
    verdict: str = ""
    outcome: Status = Status.PENDING
    basis: Basis = Basis.AGREED
    answer: str = ""
    granted_until_s: int = 0
    uses_allowed: int = 0
    uses_refused: int = 0
    bytes_allowed: int = 0
    cut_off_by: str = ""

    @property
    def grant_key(self) -> tuple[bytes, bytes, bytes]:
        """What a grant is filed under on chain: requester, asset and purpose."""
        return self.request.requester, self.request.asset, self.request.purpose

    @property
    def attack(self) -> str | None:
        """The kind of attack it is part of, "" where it is known to be none, None where nothing tells."""
        return NORMAL_LIFE if self.attempt.denied is False else self.attempt.attack


@dataclass(frozen=True)
class ThreatSeen:
    """One response of the agent.

    Args:
        response: the threat and what was done.
        time_s: simulated time of the use that gave it away.
        seen_block: the block whose state the use was checked against.
        acted_s: time of the block that holds the response.
        attack: the kind of attack that use truly belonged to, "" for normal life, None where nothing tells.
    """

    response: Response
    time_s: int
    seen_block: int
    acted_s: int
    attack: str | None


@dataclass
class Score:
    """Counters while a play is on, for whoever watches."""

    requests: int = 0
    granted: int = 0
    denied: int = 0
    escalated: int = 0
    revoked: int = 0
    quarantined: int = 0
    alerts: int = 0
    uses: int = 0
    time_s: int = 0


class GasBook:
    """Puts down what a client's chain charges to operations.

    Args:
        client: counts what it has settled.

    ``entries`` holds items, transactions and gas by operation.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._charged = (0, 0)
        self.entries: dict[str, tuple[int, int, int]] = {}

    def charge(self, operation: str, items: int) -> None:
        """Put down to ``operation``, which did ``items`` things, what was charged since the last call."""
        now = (self._client.transactions, self._client.gas_used)
        transactions, gas = now[0] - self._charged[0], now[1] - self._charged[1]
        self._charged = now
        if transactions:
            before = self.entries.get(operation, (0, 0, 0))
            self.entries[operation] = (before[0] + items, before[1] + transactions, before[2] + gas)


def observed_of(attempt: Attempt, *, has_clock: bool) -> dict[str, Any]:
    """Return what an attempt's context tells the agent: the fields of an ``Observation`` without its identifier."""
    return {
        "time_s": attempt.time_s,
        "requester": attempt.requester,
        "asset": attempt.asset,
        "action": attempt.action,
        "purpose": attempt.purpose,
        "attributes": dict(attempt.attributes),
        "text": attempt.text,
        "has_clock": has_clock,
    }
