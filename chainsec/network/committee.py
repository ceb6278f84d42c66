"""Who has to agree, and whose turn it is: quorum, bound on faults, proposer.

Pure functions over sorted lists of validators. Layer: network, at its bottom. Not here: how the list changes
(``votes``), what a message has to bring along (``justification``).
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainsec.primitives import Address

__all__ = ["catch_up_size", "majority_size", "most_faulty", "quorum_size", "round_timeout_us", "select_proposer"]

_US = 1_000_000


def quorum_size(validators: int) -> int:
    """Return how many of ``validators`` have to prepare or commit: two thirds, rounded up.

    >>> [quorum_size(n) for n in (1, 2, 3, 4, 5, 6, 7, 100)]
    [1, 2, 2, 3, 4, 4, 5, 67]

    Source: Besu, BftHelpers.calculateRequiredValidatorQuorum.
    """
    return -(-2 * validators // 3)


def most_faulty(validators: int) -> int:
    """Return how many of ``validators`` may fail in any way without harm.

    >>> [most_faulty(n) for n in (1, 3, 4, 6, 7, 100)]
    [0, 0, 1, 1, 2, 33]
    """
    return (validators - 1) // 3


def majority_size(validators: int) -> int:
    """Return how many of ``validators`` have to vote for somebody to join or leave: more than half.

    >>> [majority_size(n) for n in (1, 4, 5)]
    [1, 3, 3]
    """
    return validators // 2 + 1


def catch_up_size(validators: int) -> int:
    """Return how many round changes for higher rounds move a validator on: at least one of them is honest.

    >>> [catch_up_size(n) for n in (4, 7)]
    [2, 3]
    """
    return most_faulty(validators) + 1


def round_timeout_us(request_timeout_s: float, round_: int) -> int:
    """Return how long a round may take, microseconds: it doubles from round to round.

    >>> round_timeout_us(4, 10) // 1_000_000
    4096

    Source: Besu, RoundTimer.startTimer.
    """
    return round(request_timeout_s * _US) << round_


def select_proposer(validators: Sequence[Address], previous: Address, round_: int) -> Address:
    """Return who proposes in a round: the next after the previous block's proposer, and on by one each round.

    Args:
        validators: of the height, sorted by address.
        previous: who proposed the block before; where it has left, the next higher address begins.
        round_: from 0.

    >>> from chainsec.primitives import Address
    >>> a, b, c = (Address(bytes(19) + bytes([n])) for n in (1, 2, 3))
    >>> select_proposer([a, b, c], c, 0) == a, select_proposer([a, b, c], c, 2) == c, select_proposer([a, c], b, 0) == c
    (True, True, True)

    Source: Besu, BftProposerSelector.
    """
    place = bisect_right(validators, previous)  # one past it, or where it would have stood
    return validators[(place + round_) % len(validators)]
