"""What happened in a network, in order: few events to read, and one digest over everything.

Layer: network. Not here: what follows from it (``measure``).
"""

from __future__ import annotations

import hashlib
import sys
from array import array
from collections import Counter
from typing import NamedTuple

__all__ = ["Event", "Trace"]

_MOST_EVENTS = 400_000
_BUFFERED_NUMBERS = 65_536


class Event(NamedTuple):
    """Something that happened at a node; ``round`` is -1 where none is meant, ``detail`` may be empty."""

    time_us: int
    node: int
    event: str
    height: int
    round: int
    detail: str


class Trace:
    """Keeps events, and takes every one of them and every packet into a digest.

    ``counts`` has how often each event came at each node, by ``(node, event)``: all of them. ``events`` has the first
    400,000; ``dropped`` says how many came after.

    >>> trace = Trace()
    >>> trace.add(Event(5, 0, "round", 1, 0, ""))
    >>> trace.digest[:8], len(trace.events), trace.counts[0, "round"], trace.dropped
    ('35472a28', 1, 1, 0)
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.counts: Counter[tuple[int, str]] = Counter()
        self.dropped = 0
        self._hash = hashlib.sha256()
        self._packets = hashlib.sha256()
        self._numbers = array("q")

    def add(self, event: Event) -> None:
        """Take an event in; only the first 400,000 stay readable, all are counted and in the digest."""
        self.counts[event.node, event.event] += 1
        self._hash.update(repr(tuple(event)).encode())
        if len(self.events) < _MOST_EVENTS:
            self.events.append(event)
        else:
            self.dropped += 1

    def add_packet(self, sender: int, receiver: int, arrival_us: int, size_bytes: int) -> None:
        """Take a packet into the digest."""
        self._numbers.extend((sender, receiver, arrival_us, size_bytes))
        if len(self._numbers) >= _BUFFERED_NUMBERS:
            self._flush()

    def _flush(self) -> None:
        if sys.byteorder == "big":
            self._numbers.byteswap()
        self._packets.update(self._numbers.tobytes())
        self._numbers = array("q")

    @property
    def digest(self) -> str:
        """SHA-256 of everything so far, hexadecimal: the same for the same run."""
        self._flush()
        return hashlib.sha256(self._hash.digest() + self._packets.digest()).hexdigest()
