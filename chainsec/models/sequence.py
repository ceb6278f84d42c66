"""How surprising a sequence of words is, learned online: own history, backed by peers, backed by everybody.

A word's probability starts at one in as many words as are known, is drawn towards what followed ever longer contexts
among everybody, then towards what peers do in the longest one, then towards the requester's own past. Where somebody
has no past, nothing draws: a newcomer is judged as their peers are. Layer: models. Not here: which words a use makes
(``chainsec.defence.conduct``), how much surprise is too much, what must not be learned.

Source: MacKay and Peto, "A hierarchical Dirichlet language model" (1995).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from chainsec.models.rounding import DECIMALS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

FORMAT = 1

_START = ""
_Contexts = dict[tuple[str, ...], dict[str, int]]


class Surprise(NamedTuple):
    """How surprising a sequence is, in bits: over different words, the most surprising time of each.

    What is done over and over counts once, so that a long ordinary day is no more than a short one.
    """

    total: float
    mean: float
    greatest: float


class SequenceModel:
    """Probabilities of words, each given those before it, at several levels from general to special.

    A level is named by its place in the chain and its name, so that a requester may be called like a role. Every chain
    begins with a level that all share. Probabilities use only ``+ - * /``.

    Args:
        order: words of context, at least 0.
        strength: how many own observations the more general estimate is worth, > 0.
        memory: observations that a context keeps; beyond them all its counts are halved, so that old habits fade and
            the model stays bounded. At least 2.

    Raises:
        ValueError: a setting is out of range.

    Example:
        >>> model = SequenceModel()
        >>> for _ in range(20):
        ...     model.learn(["logon", "mail", "logoff"], ("", "nurses", "ann"))
        >>> usual, odd = (model.surprise(["logon", word], ("", "nurses", "bob")) for word in ("mail", "copy"))
        >>> usual.total < 1.0 < odd.total
        True
    """

    def __init__(self, order: int = 1, *, strength: float = 8.0, memory: int = 4_096) -> None:
        if not (order >= 0 and 0.0 < strength < math.inf and memory > 1):
            raise ValueError(f"no sequence model has order {order!r}, strength {strength!r}, memory {memory!r}")
        self.order = order
        self.strength = strength
        self.memory = memory
        self._words: set[str] = set()
        self._levels: dict[tuple[int, str], _Contexts] = {}
        self._totals: dict[tuple[int, str], dict[tuple[str, ...], int]] = {}

    def probability(self, word: str, before: Sequence[str], chain: Sequence[str]) -> float:
        """Return how likely ``word`` is after ``before``; changes nothing.

        Args:
            word: any text but the empty one; one never seen has the probability of one more word.
            before: what came before it in the same sequence, the latest last.
            chain: names of levels from general to special, at least one.

        >>> SequenceModel().probability("x", [], [""])
        1.0
        """
        context = self._context(before)
        found = 1.0 / (len(self._words) + 1)
        for level in enumerate(chain):
            contexts, totals = self._levels.get(level), self._totals.get(level)
            if contexts is None or totals is None:
                continue
            for used in self._suffixes(context) if level[0] == 0 else (context,):
                if used in totals:
                    seen = contexts[used].get(word, 0)
                    found = (seen + self.strength * found) / (totals[used] + self.strength)
        return found

    def bits(self, words: Sequence[str], chain: Sequence[str]) -> list[float]:
        """Return each word's surprise, ``-log2`` of its probability, rounded; changes nothing."""
        found = [self.probability(word, words[:place], chain) for place, word in enumerate(words)]
        return [round(-math.log2(p), DECIMALS) + 0.0 for p in found]

    def surprise(self, words: Sequence[str], chain: Sequence[str]) -> Surprise:
        """Return how surprising a whole sequence is; changes nothing.

        >>> SequenceModel().surprise([], [""])
        Surprise(total=0.0, mean=0.0, greatest=0.0)
        """
        return summarise(words, self.bits(words, chain))

    def learn(self, words: Sequence[str], chain: Sequence[str]) -> None:
        """Take a whole sequence in, at every level of the chain.

        Raises:
            ValueError: the chain is empty, or a word is no text or the empty one; nothing was learned then.
        """
        if not chain or not all(isinstance(word, str) and word for word in words):
            raise ValueError("a sequence needs a chain of levels, and words that are texts and not empty")
        for place, word in enumerate(words):
            self._words.add(word)
            context = self._context(words[:place])
            for level in enumerate(chain):
                for used in self._suffixes(context) if level[0] == 0 else (context,):
                    self._count(level, used, word)

    def _context(self, before: Sequence[str]) -> tuple[str, ...]:
        """Return the longest context, which at the beginning of a sequence holds the beginning itself."""
        return (_START, *before)[-self.order :] if self.order else ()

    @staticmethod
    def _suffixes(context: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        """Yield the ends of a context, the empty one first."""
        return (context[length:] for length in range(len(context), -1, -1))

    def _count(self, level: tuple[int, str], context: tuple[str, ...], word: str) -> None:
        contexts, totals = self._levels.setdefault(level, {}), self._totals.setdefault(level, {})
        counts = contexts.setdefault(context, {})
        counts[word] = counts.get(word, 0) + 1
        totals[context] = totals.get(context, 0) + 1
        if totals[context] > self.memory:
            contexts[context] = {kept: count // 2 for kept, count in counts.items() if count > 1}
            totals[context] = sum(contexts[context].values())

    def to_json(self) -> dict[str, Any]:
        """Return the model as JSON values, the same for the same counts."""
        return {
            "format": FORMAT,
            "order": self.order,
            "strength": self.strength,
            "memory": self.memory,
            "words": sorted(self._words),
            "levels": [
                [
                    place,
                    name,
                    [[list(context), dict(sorted(counts.items()))] for context, counts in sorted(kept.items())],
                ]
                for (place, name), kept in sorted(self._levels.items())
            ],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SequenceModel:
        """Return the model that ``to_json`` wrote.

        Raises:
            ValueError: it is none.
        """
        try:
            return cls._rebuild(value)
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"this is no sequence model: {error}") from error

    @classmethod
    def _rebuild(cls, value: Mapping[str, Any]) -> SequenceModel:
        model = cls(value["order"], strength=value["strength"], memory=value["memory"])
        model._words = set(value["words"])
        for place, name, contexts in value["levels"]:
            model._fill((place, name), contexts)
        if model.to_json() != value:
            raise ValueError("it is of another format, or not what a model writes")
        return model

    def _fill(self, level: tuple[int, str], contexts: Sequence[tuple[Sequence[str], Mapping[str, int]]]) -> None:
        kept = {tuple(context): dict(counts) for context, counts in contexts}
        for context, counts in kept.items():
            whole = all(type(count) is int and count > 0 for count in counts.values())
            if not whole or not counts.keys() <= self._words or len(context) > self.order:
                raise ValueError(f"level {level!r} has an impossible context {context!r}")
        self._levels[level] = kept
        self._totals[level] = {context: sum(counts.values()) for context, counts in kept.items()}


def summarise(words: Sequence[str], bits: Sequence[float]) -> Surprise:
    """Return the surprise of a sequence from that of its words, each counted once.

    >>> summarise(["a", "b", "a"], [1.0, 2.0, 4.0])
    Surprise(total=6.0, mean=3.0, greatest=4.0)
    """
    highest: dict[str, float] = {}
    for word, figure in zip(words, bits, strict=True):
        highest[word] = max(highest.get(word, 0.0), figure)
    total = math.fsum(highest.values())
    return Surprise(total, total / max(1, len(highest)), max(highest.values(), default=0.0))
