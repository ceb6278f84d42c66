"""Which grants stand, and who ended them: the chain's own account, read off its events in their order.

Layer: scenarios, below ``play``. Not here: deciding, responding (``play``), what it amounts to (``comparison``).
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from chainsec.primitives import Hash32
from chainsec.services.access import Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chainsec.ledger.client import Client
    from chainsec.ledger.contract import Contract, Event
    from chainsec.scenarios.episodes import Episode

GrantKey = tuple[bytes, bytes, bytes]
AGENT, GUARDIAN = "agent", "guardian"


@dataclass(frozen=True)
class Revocation:
    """A grant that was taken back.

    Args:
        time_s: simulated time.
        by: ``agent`` or ``guardian``.
        is_late: whether it had expired before.
    """

    time_s: int
    by: str
    is_late: bool


class StandingGrants:
    """The grants in force.

    There is one for each requester, asset and purpose: a later one takes the place of an earlier one, and whoever asked
    for either loses it together.

    Args:
        client: says which block has been reached.
        contract: ``AccessGrants``.

    ``revocations`` holds what was taken back so far.
    """

    def __init__(self, client: Client, contract: Contract) -> None:
        self._client = client
        self._contract = contract
        self._episodes: dict[bytes, Episode] = {}
        self._grants: dict[GrantKey, list[Episode]] = {}
        self._ends: list[tuple[int, int, GrantKey]] = []
        self._order = count()
        self.revocations: list[Revocation] = []

    def expect(self, episodes: Iterable[Episode]) -> None:
        """Know these episodes by their requests from now on."""
        self._episodes.update((bytes(episode.request.id), episode) for episode in episodes)

    def behind(self, episode: Episode) -> Episode | None:
        """Return whose grant the uses of ``episode`` rest on: its own or a later one for the same; None without any."""
        held = self._grants.get(episode.grant_key)
        return held[-1] if held else None

    def follow(self, by: str, time_s: int, since: int | None = None) -> dict[Hash32, Event]:
        """Take in what the blocks from ``since`` on granted and took back; return their decisions by request.

        Args:
            by: whose acts they hold, ``agent`` or ``guardian``.
            time_s: simulated time.
            since: the block that was reached where it is None.
        """
        at = self._client.at
        first = at if since is None else since
        names = ("AccessDecided", "AccessRevoked")
        events = [event for name in names for event in self._contract.events(name, first, at)]
        decided = {}
        for event in sorted(events, key=lambda event: (event.block_number, event.log_index)):
            if event.name == "AccessRevoked":
                self._end(event, by, time_s)
                continue
            decided[Hash32(event.args["request"])] = event
            if event.args["outcome"] == Status.GRANTED:
                self._begin(event)
        return decided

    def suspend(self, requester: bytes, at_s: int) -> None:
        """Note that the agent cut off whatever ``requester`` holds at ``at_s``, chain time, by a quarantine."""
        self._forget_expired(at_s)
        for (holder, _, _), held in self._grants.items():
            if holder == requester:
                _cut_off(held, AGENT, at_s)

    def _begin(self, event: Event) -> None:
        episode = self._episodes.get(bytes(event.args["request"]))
        if episode is None:
            return
        self._forget_expired(self._client.engine.block(event.block_number).timestamp)
        episode.granted_until_s = event.args["until"]
        self._grants.setdefault(episode.grant_key, []).append(episode)
        heapq.heappush(self._ends, (episode.granted_until_s, next(self._order), episode.grant_key))

    def _end(self, event: Event, by: str, time_s: int) -> None:
        at_s = self._client.engine.block(event.block_number).timestamp
        held = self._grants.pop((event.args["requester"], event.args["asset"], event.args["purpose"]), None)
        is_late = held is None or held[-1].granted_until_s < at_s
        self.revocations.append(Revocation(time_s, by, is_late))
        if held is not None and not is_late:
            _cut_off(held, by, at_s)

    def _forget_expired(self, now_s: int) -> None:
        while self._ends and self._ends[0][0] < now_s:
            _, _, key = heapq.heappop(self._ends)
            held = self._grants.get(key)
            if held and held[-1].granted_until_s < now_s:
                del self._grants[key]


def _cut_off(held: Iterable[Episode], by: str, at_s: int) -> None:
    for episode in held:
        if episode.granted_until_s >= at_s:
            episode.cut_off_by = episode.cut_off_by or by
