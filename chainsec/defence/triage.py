"""In which order guardians look at what was escalated, so that a flood from one side cannot keep the others waiting.

Organisations take turns, within an organisation its requesters, and each requester's own requests come in the order in
which they were made. Pure; nobody starves: whoever is next in one of n queues waits for n - 1 answers at most. Layer:
defence. Not here: the guardians' desk.

Source: Nagle, "On Packet Switches with Infinite Storage" (RFC 970, 1985): fair queueing.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

Item = TypeVar("Item")


class FairQueue(Generic[Item]):
    """A queue of queues that take turns; without names of any side it is first come, first served.

    >>> queue = FairQueue[str]()
    >>> for name, request in (("mob", "m1"), ("mob", "m2"), ("mob", "m3"), ("ann", "a1")):
    ...     queue.put(("clinic", name), request)
    >>> [queue.take() for _ in range(4)]
    ['m1', 'a1', 'm2', 'm3']
    """

    def __init__(self) -> None:
        self._waiting: dict[Hashable, FairQueue[Item]] = {}
        self._own: deque[Item] = deque()
        self._turns: deque[Hashable] = deque()

    def put(self, sides: tuple[Hashable, ...], item: Item) -> None:
        """Let an item wait.

        Args:
            sides: whose it is, from the widest to the narrowest, such as organisation and requester.
            item: what waits.
        """
        if not sides:
            self._own.append(item)
            return
        first, *rest = sides
        if first not in self._waiting:
            self._waiting[first] = FairQueue()
            self._turns.append(first)
        self._waiting[first].put(tuple(rest), item)

    def take(self) -> Item:
        """Return what comes next.

        Raises:
            LookupError: nothing waits.
        """
        if self._own:
            return self._own.popleft()
        if not self._turns:
            raise LookupError("nothing waits")
        side = self._turns.popleft()
        item = self._waiting[side].take()
        if len(self._waiting[side]):
            self._turns.append(side)
        else:
            del self._waiting[side]
        return item

    def __len__(self) -> int:
        return len(self._own) + sum(map(len, self._waiting.values()))

    def __iter__(self) -> Iterator[Item]:
        """Yield what waits, in no order."""
        yield from self._own
        for queue in self._waiting.values():
            yield from queue
