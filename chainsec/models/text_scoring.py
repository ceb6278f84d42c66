"""Scores a text by the n-grams it is made of: integer weights, so that every machine finds the same sum.

A justification is judged by its worst run of words inside one sentence: sentences around it take nothing away. Other
texts, as short messages, are judged whole. Layer: models. Not here: how weights are learned (``text_training``),
how words are read (``text_reading``).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from chainsec.digest import digest_json
from chainsec.models.curve import Curve
from chainsec.models.text_reading import END, MOST_CHARACTERS, Reader, cut_text, find_chunks, read_plainly

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FORMAT = "chainsec text 1"
OVERLONG_SCORE = 0.5
"""Joined to the score of a text of more than ``MOST_CHARACTERS``, of which the middle is not read."""

LEAST_WORDS, MOST_WORDS = 8, 24
"""Words of a run that is judged; a shorter sentence is judged whole."""

UNITS = 1_000
"""What a weight of 1 in the log-odds is stored as."""

Grams = Literal["words", "plain words", "characters"]

_START = "^"
_LONGEST_GRAM = 5
_BEGINNINGS = (3, 4, 5)  # letters
_MOST_WEIGHT = 10**7
_MOST_REMEMBERED = 20_000
_LONGEST_PHRASE = 12
_MOST_REASONS = 8


@dataclass(frozen=True)
class TextSettings:
    """What a text model looks at, and how it is trained.

    Args:
        grams: ``words``: words, pairs, triples and the first letters of words, in runs inside a sentence, disguises
            undone; ``plain words``: the same without undoing them; ``characters``: runs of one to five characters of
            the whole text as it is written, each counted once.
        strength: how freely weights grow, the inverse of the L2 penalty, > 0.
        least_texts: training texts in which an n-gram has to occur, at least 1.
        most_grams: n-grams that are kept, those of the largest weights, at least 1.
        base_rate: share of texts that are bad where the model is used, in (0, 1); scores are calibrated to it. Without
            it, the share in training.

    Raises:
        ValueError: out of these bounds.
    """

    grams: Grams = "words"
    strength: float = 0.1
    least_texts: int = 3
    most_grams: int = 16_000
    base_rate: float | None = None

    def __post_init__(self) -> None:
        bounds = self.strength > 0 and min(self.least_texts, self.most_grams) >= 1
        if self.grams not in get_args(Grams) or not bounds or not 0 < (self.base_rate or 0.5) < 1:
            raise ValueError(f"text settings are out of bounds: {self}")


class Run(NamedTuple):
    """The run of a text that weighs most, as places of units (words or chunks): ``first`` up to before ``end``."""

    weight: int
    first: int
    end: int


@dataclass(frozen=True)
class TextModel:
    """How likely a text is bad: carries instructions aimed at whoever judges it, or is spam, as it was trained.

    Args:
        settings: what it was trained with.
        bias: weight of any text, in ``UNITS``.
        weights: of each n-gram, in ``UNITS``.
        curve: from the log-odds that the weights add up to, to a probability.
    """

    settings: TextSettings
    bias: int
    weights: Mapping[str, int]
    curve: Curve
    _own: dict[str, int] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def reader(self) -> Reader:
        """Reads texts by the words that this model knows."""
        return Reader(gram for gram in self.weights if gram.isalpha())

    @cached_property
    def digest(self) -> str:
        """Keccak-256 of the canonical JSON, as 0x and 64 digits."""
        return "0x" + digest_json(self.to_json()).hex()

    def score(self, text: str) -> float:
        """Return the probability that ``text`` is bad; 0.0 for a text without words.

        Of a text of more than ``MOST_CHARACTERS`` the middle is not read, and it scores ``OVERLONG_SCORE`` at least.

        Raises:
            TypeError: not a ``str``.
        """
        if not isinstance(text, str):
            raise TypeError(f"a text is a str, not {type(text).__name__}")
        margin = self.margin(cut_text(text))
        score = 0.0 if margin is None else self.curve.at(margin / UNITS)
        return score if len(text) <= MOST_CHARACTERS else 1.0 - (1.0 - score) * (1.0 - OVERLONG_SCORE)

    def margin(self, text: str) -> int | None:
        """Return the log-odds of ``text`` in ``UNITS``, before the curve; None for a text without words."""
        units, weighed, _ = self._weigh(text)
        run = self._find_run(units, weighed)
        return None if run is None else self.bias + run.weight

    def reasons(self, text: str, limit: int = 3) -> list[tuple[str, float]]:
        """Return phrases of ``text`` that raise its score, and by how much.

        The heaviest phrase is taken out wherever it occurs, and what the score falls by is its value; then the heaviest
        of what is left. So the values add up to the score of the text less that of the text without these phrases. A
        value is 0 or negative where another phrase, further down the list, weighs as much.

        Args:
            text: as for ``score``.
            limit: phrases at most; no more than 8 are looked for.
        """
        found: list[tuple[str, float]] = []
        left, score = text, self.score(text)
        while len(found) < min(limit, _MOST_REASONS):
            phrase = self._heaviest_phrase(cut_text(left))
            if not phrase:
                break
            left = left.replace(phrase, " ")
            after = self.score(left)
            found.append((phrase, score - after))
            score = after
        return found

    def _heaviest_phrase(self, text: str) -> str:
        units, weighed, places = self._weigh(text)
        run = self._find_run(units, weighed)
        if run is None:
            return ""
        sums = _running_sums(weighed[run.first : run.end])
        ways = [
            (sums[end] - sums[first], first - end, run.first + first, run.first + end)
            for first in range(len(sums) - 1)
            for end in range(first + 1, min(first + _LONGEST_PHRASE, len(sums) - 1) + 1)
        ]
        weight, _, first, end = max(ways)
        if weight <= 0:
            return ""
        chunks = find_chunks(text)
        return text[chunks[places[first][0]][0] : chunks[places[end - 1][1]][1]]

    def _weigh(self, text: str) -> tuple[Sequence[str], list[int], list[tuple[int, int]]]:
        """Return the units of ``text``, the weight that each adds, and the chunks that each was read from."""
        if self.settings.grams == "characters":
            return self._weigh_characters(text)
        words, places = self.reader.read(text) if self.settings.grams == "words" else read_plainly(text)
        return words, self._weigh_words(words), places

    def _weigh_words(self, words: Sequence[str]) -> list[int]:
        """Return the weight that each word adds, by the n-grams of ``list_grams``."""
        weight_of, own_of = self.weights.get, self._own.get
        added = []
        before, last = "", _START
        for word in words:
            own = own_of(word)
            if own is None:
                own = self._weigh_alone(word)
            if word == END:
                before, last = "", _START
            elif word[0] != "<":
                pair = f"{last} {word}"
                own += weight_of(pair, 0)
                if before:
                    own += weight_of(f"{before} {pair}", 0)
                before, last = last, word
            added.append(own)
        return added

    def _weigh_alone(self, word: str) -> int:
        own = sum(self.weights.get(gram, 0) for gram in list_beginnings(word))
        if len(self._own) >= _MOST_REMEMBERED:
            self._own.clear()
        self._own[word] = own
        return own

    def _weigh_characters(self, text: str) -> tuple[Sequence[str], list[int], list[tuple[int, int]]]:
        chunks = find_chunks(text)
        weight_of = self.weights.get
        added = [sum(weight_of(gram, 0) for gram in grams) for grams in list_character_grams(text, chunks)]
        return ["" for _ in chunks], added, [(place, place) for place in range(len(chunks))]

    def _find_run(self, units: Sequence[str], weighed: Sequence[int]) -> Run | None:
        if self.settings.grams == "characters":
            return Run(sum(weighed), 0, len(units)) if units else None
        return find_worst_run(units, weighed)

    def to_json(self) -> dict[str, Any]:
        """Return the model as JSON values."""
        return {
            "bias": self.bias,
            "curve": self.curve.to_json(),
            "format": FORMAT,
            "settings": asdict(self.settings),
            "weights": dict(self.weights),
        }

    @classmethod
    def from_json(cls, value: Any) -> TextModel:
        """Return the model that ``to_json`` wrote.

        Raises:
            ValueError: it is none: another format, a part missing, a weight that is no whole number or too large, a
                curve that leaves [0, 1].
        """
        try:
            form, bias, weights = value["format"], value["bias"], {**value["weights"]}
            settings, curve = TextSettings(**value["settings"]), Curve.from_json(value["curve"])
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise ValueError(f"not a text model: {error!r}") from error
        if form != FORMAT:
            raise ValueError(f"not a text model of format {FORMAT!r}: {form!r}")
        for gram, weight in [("", bias), *weights.items()]:
            if type(weight) is not int or abs(weight) > _MOST_WEIGHT or not isinstance(gram, str):
                raise ValueError(f"not a text model: {gram!r} weighs {weight!r}")
        if not 0.0 <= curve.ys[0] <= curve.ys[-1] <= 1.0:
            raise ValueError("not a text model: its curve leaves [0, 1]")
        return cls(settings, bias, weights, curve)


def list_grams(words: Sequence[str]) -> list[list[str]]:
    """Return the n-grams that end at each word: none reaches over the end of a sentence; a mark stands alone.

    >>> [grams[-1] for grams in list_grams(["do", "this", "now"])]
    ['^ do', '^ do this', 'do this now']
    """
    listed = []
    before, last = "", _START
    for word in words:
        grams = list_beginnings(word)
        if word == END:
            before, last = "", _START
        elif word[0] != "<":
            grams.append(f"{last} {word}")
            if before:
                grams.append(f"{before} {last} {word}")
            before, last = last, word
        listed.append(grams)
    return listed


def list_beginnings(word: str) -> list[str]:
    """Return a word and its first letters; a mark alone; nothing for the end of a sentence.

    >>> list_beginnings("rules")
    ['rules', '#rul', '#rule']
    """
    if word == END:
        return []
    if word[0] == "<":
        return [word]
    return [word, *(f"#{word[:n]}" for n in _BEGINNINGS if n < len(word))]


def list_character_grams(text: str, chunks: Sequence[tuple[int, int]]) -> list[set[str]]:
    """Return the runs of one to five characters that end in each chunk or the blanks before it, each where it is new.

    >>> [sorted(grams) for grams in list_character_grams("a a", [(0, 1), (2, 3)])]
    [['a'], [' ', ' a', 'a ', 'a a']]
    """
    listed, seen, at = [], set[str](), 0
    for _, last in chunks:
        ends = range(at + 1, last + 1)
        new = {text[end - n : end] for end in ends for n in range(1, min(_LONGEST_GRAM, end) + 1)} - seen
        seen |= new
        listed.append(new)
        at = last
    return listed


def find_worst_run(words: Sequence[str], weighed: Sequence[int] | Sequence[float]) -> Run | None:
    """Return the run of ``LEAST_WORDS`` to ``MOST_WORDS`` words inside one sentence that weighs most.

    A shorter sentence is a run as it is. Of equal runs it is the first to end. None where there is no word.

    >>> find_worst_run(["a", "b", ".", "c"], [1, 2, 0, 9])
    Run(weight=9, first=3, end=4)
    """
    worst: Run | None = None
    for first, end in find_sentences(words):
        sums = _running_sums(weighed[first:end])
        least = min(LEAST_WORDS, end - first)
        for last in range(least, end - first + 1):
            low = max(0, last - MOST_WORDS)
            lowest = min(sums[low : last - least + 1])
            if worst is None or sums[last] - lowest > worst.weight:
                worst = Run(sums[last] - lowest, first + sums.index(lowest, low), first + last)
    return worst


def find_sentences(words: Sequence[str]) -> list[tuple[int, int]]:
    """Return where each sentence begins and ends, empty ones left out.

    >>> find_sentences(["a", "b", ".", ".", "c"])
    [(0, 2), (4, 5)]
    """
    ends = [place for place, word in enumerate(words) if word == END]
    return [(a + 1, b) for a, b in zip([-1, *ends], [*ends, len(words)], strict=True) if b > a + 1]


def _running_sums(values: Sequence[Any]) -> list[Any]:
    sums = [0]
    for value in values:
        sums.append(sums[-1] + value)
    return sums
