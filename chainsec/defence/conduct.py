"""What a use looks like in words, and how odd that is: hour, kind of asset, volume, and whose assets are touched.

Each use is three words, in the requester's sequence of the day; ``chainsec.models.sequence`` tells how likely they are,
from the requester's own past, the peers' and everybody's. Layer: defence, below ``detectors``. Not here: how many odd
uses are too many (``detectors``), which days are ordinary (``detectors``).
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from chainsec.models.sequence import SequenceModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainsec.defence.observation import Use

_HOUR_S, _DAY_S = 3_600, 86_400
_SHIFT_HOURS = 4
_SMALL, _LARGE = 0.5, 2.0


class Conduct:
    """What requesters, their peers and everybody do, learned day by day.

    Args:
        odd_bits: from how many bits of surprise on a use is odd, > 0.

    >>> from chainsec.defence.observation import Use
    >>> conduct = Conduct(odd_bits=4.0)
    >>> for day in range(30):
    ...     use = Use(day * 86_400 + 36_000, "ann", "r1", "read", 100, "q")
    ...     conduct.learn("ann", "nurses", conduct.words(use, "nurses", "chart", 1.0), ["r1"])
    >>> night = Use(30 * 86_400 + 7_200, "ann", "r9", "export", 100, "q")
    >>> [conduct.is_odd(conduct.words(each, "nurses", "chart", 1.0), [], "ann", "nurses") for each in (use, night)]
    [False, True]
    """

    def __init__(self, odd_bits: float) -> None:
        self._least_likely: float = 2.0**-odd_bits
        self._model = SequenceModel(order=1)
        self._own: defaultdict[str, set[str]] = defaultdict(set)
        self._shared: defaultdict[str, set[str]] = defaultdict(set)

    def words(self, use: Use, group: str, kind: str, units: float) -> tuple[str, str, str]:
        """Return a use in words; changes nothing.

        Args:
            use: it.
            group: of the requester's peers.
            kind: of asset, "" if none is known.
            units: its volume as a multiple of what is usual.
        """
        size = "large" if units > _LARGE else "small" if units < _SMALL else "usual"
        known = use.asset in self._own[use.requester]
        whose = "own" if known else "peers" if use.asset in self._shared[group] else "nobody"
        shift = use.time_s % _DAY_S // (_SHIFT_HOURS * _HOUR_S)
        outcome = "" if use.allowed else "refused "
        return (f"{outcome}{use.action} {kind} {size}", f"shift {shift}", f"asset of {whose}")

    def is_odd(self, words: Sequence[str], before: Sequence[str], requester: str, group: str) -> bool:
        """Tell whether a use is so unlikely that it is odd; changes nothing.

        Args:
            words: the use's.
            before: those of the same day's uses before it.
            requester: whose use it is.
            group: of the requester's peers.
        """
        so_far, likely = [*before[-1:]], 1.0
        for word in words:
            likely *= self._model.probability(word, so_far, _chain(requester, group))
            so_far.append(word)
        return likely <= self._least_likely

    def learn(self, requester: str, group: str, words: Sequence[str], assets: Sequence[str]) -> None:
        """Take an ordinary day in: the words of its uses, one use after the other, and the assets touched."""
        self._model.learn(words, _chain(requester, group))
        self._own[requester].update(assets)
        self._shared[group].update(assets)


def _chain(requester: str, group: str) -> tuple[str, str, str]:
    return ("", group, requester)
