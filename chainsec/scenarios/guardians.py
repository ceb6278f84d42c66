"""The guardians' desk: what was escalated waits for a sitting, where it is approved, cancelled or found lapsed.

A sitting has room for so many answers; organisations, and requesters within them, take turns, and what is left waits
for the next one. Layer: scenarios, below ``play``. Not here: when a sitting is held (``play``), what guardians may do
(the contracts).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chainsec.defence.receipts import guardian_receipt
from chainsec.defence.triage import FairQueue
from chainsec.digest import canonical_json, keccak

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainsec.sandbox import Sandbox
    from chainsec.scenarios.directory import RunDirectory
    from chainsec.scenarios.episodes import Episode
    from chainsec.scenarios.workload import Attempt

APPROVE, CANCEL, LAPSE = "approve", "cancel", "lapse"


def next_sitting_s(time_s: int, every_s: int) -> int:
    """Return the first whole multiple of ``every_s`` after ``time_s``: when guardians sit down to what comes in then.

    >>> [next_sitting_s(time_s, 3_600) for time_s in (0, 1, 3_599, 3_600)]
    [3600, 3600, 3600, 7200]
    """
    return (time_s // every_s + 1) * every_s


def find_good(seed: int, error_rate: float, attempt: Attempt) -> bool:
    """Return what guardians think of a request: the truth, but for the errors that they make.

    Which errors follows from the seed and from what is asked for, so that everybody who asks guardians about the same
    request gets the same answer, on whatever chain.

    Args:
        seed: of the run.
        error_rate: share of requests misjudged, in [0, 1].
        attempt: the request; its truth is in ``denied``, True = must not be granted.

    >>> from chainsec.scenarios.workload import Attempt
    >>> attempt = Attempt(0, "ann", "scan", "read", "service", 60, denied=False)
    >>> find_good(7, 0.0, attempt), find_good(7, 1.0, attempt)
    (True, False)
    """
    asked = canonical_json([seed, attempt.time_s, attempt.requester, attempt.asset, attempt.action, attempt.purpose])
    chance = int.from_bytes(keccak(asked)[:8], "big") / 2**64
    return bool(attempt.denied) is (chance < error_rate)


@dataclass
class Sitting:
    """What came of one sitting.

    Args:
        judged: each request looked at in time, and whether it was found good.
        left: found good, but cannot be granted now, as while its requester is quarantined.
        sent: answers that went on chain.
        first_block: the first block that holds one, 0 without any.
        next_s: when what had no room comes up, None without any or where that sitting is to be held anyway.
    """

    judged: list[tuple[Episode, bool]] = field(default_factory=list)
    left: list[Episode] = field(default_factory=list)
    sent: int = 0
    first_block: int = 0
    next_s: int | None = None


class GuardianDesk:
    """Guardians who sit down to what waits every ``guardian_delay_s``, and look at ``guardian_answers`` of it.

    Args:
        box: the system.
        directory: where receipts go.
        block_size: answers in one block, at most.
    """

    def __init__(self, box: Sandbox, directory: RunDirectory, block_size: int) -> None:
        self._box = box
        self._directory = directory
        self._block_size = block_size
        self._coming: dict[int, list[Episode]] = {}
        self._waiting: FairQueue[Episode] = FairQueue()

    def put_down(self, episode: Episode, time_s: int) -> int | None:
        """Put an escalation on the desk; return when it comes up, None where that sitting is to be held anyway."""
        due_s = next_sitting_s(time_s, self._box.config.run.guardian_delay_s)
        is_new = due_s not in self._coming
        self._coming.setdefault(due_s, []).append(episode)
        return due_s if is_new else None

    def sit(self, due_s: int, clock_s: int, next_block_s: Callable[[], int]) -> Sitting:
        """Answer what waits, in one block or several, as far as there is room.

        Args:
            due_s: when it was to be held, simulated time.
            clock_s: the same in chain time.
            next_block_s: says which time a block made now gets.
        """
        for episode in self._coming.pop(due_s):
            self._waiting.put((episode.request.organisation, episode.request.requester), episode)
        sitting, settings = Sitting(), self._box.config.run
        while len(self._waiting) and len(sitting.judged) < settings.guardian_answers:
            room = min(self._block_size, settings.guardian_answers - len(sitting.judged), len(self._waiting))
            before, block_s = sitting.sent, next_block_s()
            for _ in range(room):
                self._answer(self._waiting.take(), sitting, block_s)
            if sitting.sent > before:
                self._box.client.settle(clock_s)
                sitting.first_block = sitting.first_block or self._box.client.at
        if len(self._waiting):
            next_s = next_sitting_s(due_s, settings.guardian_delay_s)
            sitting.next_s = None if next_s in self._coming else next_s
            self._coming.setdefault(next_s, [])
        return sitting

    def release(self, episode: Episode, clock_s: int) -> None:
        """End the quarantine of an episode's requester, which guardians found unfounded."""
        guardian = self._box.keys.guardian
        receipt = guardian_receipt(str(episode.request.id), "release", str(guardian.address))
        [digest] = self._directory.receipts.append([receipt])
        self._box.deployment.sentinel.release(guardian, episode.request.requester, digest)
        self._box.client.settle(clock_s)

    def _answer(self, episode: Episode, sitting: Sitting, block_s: int) -> None:
        box, request = self._box, episode.request
        guardian, sentinel = box.keys.guardian, box.deployment.sentinel
        settings = box.config
        error_rate = settings.run.guardian_error_rate
        if request.until < block_s:
            episode.answer = LAPSE
            return
        is_good = find_good(settings.seed, error_rate, episode.attempt)
        sitting.judged.append((episode, is_good))
        if is_good and not sentinel.can_approve(guardian.address, request):
            sitting.left.append(episode)
            return
        episode.answer = APPROVE if is_good else CANCEL
        receipt = guardian_receipt(str(request.id), episode.answer, str(guardian.address))
        [digest] = self._directory.receipts.append([receipt])
        (sentinel.approve if is_good else sentinel.cancel)(guardian, request, digest)
        sitting.sent += 1
