"""Draws justifications as requesters might write them, harmless ones and ones that carry instructions to the agent.

The packaged text model learns from these alone. Sentences come from the rules in ``justifications.txt``, all written
for this project; public data is only what it is tested on. Layer: models. Not here: learning (``text_training``).
"""

from __future__ import annotations

import base64
import random
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

N_GROUPS = 8
_RULE, _NAME = re.compile(r"\[([a-z.]+)\]"), re.compile(r"\{([a-z.]+)\}")
_REASONS = ("good.care", "good.finance", "good.supply", "good.office")
_SURROUNDINGS = (*_REASONS, "good.news", "good.tale", "good.chat")
_ANYTHING = ("good.tale", "good.chat", "good.technology", "good.news", "good.advice")
_MORE_SENTENCES = (0, 0, 0, 1, 1, 2, 3, 5, 8, 12)
_SURROUNDING_SENTENCES = (0, 0, 1, 2, 3)
_BAD_TIMES = 2  # there are about half as many rules of them
_DISGUISED_RATE, _SPECKED_RATE = 0.1, 0.02
_CAPITAL_RATE, _STOP_RATE = 0.9, 0.97

_LEET = str.maketrans("oieast", "013457")
_ALIKE = str.maketrans("aceopxyi", "\u0430\u0441\u0435\u043e\u0440\u0445\u0443\u0456")


@dataclass(frozen=True)
class Justification:
    """A drawn text.

    Args:
        text: what the requester wrote.
        is_bad: whether it carries instructions aimed at the agent.
        group: which share of each rule's ways to write it its subject comes from: no other group has it.
    """

    text: str
    is_bad: bool
    group: int


@cache
def read_rules() -> Mapping[str, tuple[str, ...]]:
    """Return the rules by name, each with its ways to be written.

    >>> sum(name.startswith("bad.") for name in read_rules())
    8
    """
    rules: dict[str, list[str]] = {}
    ways: list[str] = []
    for line in resources.files(__package__).joinpath("justifications.txt").read_text("utf-8").splitlines():
        opened = _RULE.fullmatch(line)
        if opened:
            ways = rules.setdefault(opened[1], [])
        elif line and not line.startswith("# "):
            ways.append(line)
    return MappingProxyType({name: tuple(ways) for name, ways in rules.items()})


def draw_justifications(n_each: int, seed: int) -> list[Justification]:
    """Return ``n_each`` texts for each rule of harmless sentences, twice as many for each of bad ones.

    The same seed draws the same texts.

    >>> drawn = draw_justifications(2, seed=1)
    >>> len(drawn), sum(one.is_bad for one in drawn)
    (66, 32)
    """
    draw = random.Random(seed)  # noqa: S311 - a repeatable draw, no secret
    drawn: list[Justification] = []
    for name in read_rules():
        if name.startswith("good."):
            drawn += [_write_good(name, number % N_GROUPS, draw) for number in range(n_each)]
        elif name.startswith("bad."):
            drawn += [_write_bad(name, number % N_GROUPS, draw) for number in range(_BAD_TIMES * n_each)]
    return drawn


def _write_good(name: str, group: int, draw: random.Random) -> Justification:
    others = _REASONS if name in {*_REASONS, "good.trigger"} else (name, *_ANYTHING)
    sentences = [_write_sentence(name, group, draw)]
    sentences += [_write_sentence(draw.choice(others), group, draw) for _ in range(draw.choice(_MORE_SENTENCES))]
    text = _join(sentences, draw)
    if draw.random() < _SPECKED_RATE:
        text = DISGUISES["zero-width characters"](text)
    return Justification(text, is_bad=False, group=group)


def _write_bad(name: str, group: int, draw: random.Random) -> Justification:
    sentences = [_write_sentence(name, group, draw) for _ in range(draw.choice((1, 1, 1, 2)))]
    if draw.random() < _DISGUISED_RATE:
        sentences[0] = DISGUISES[draw.choice([*DISGUISES])](sentences[0])
    about = draw.choice(_SURROUNDINGS)
    around = [_write_sentence(about, group, draw) for _ in range(draw.choice(_SURROUNDING_SENTENCES))]
    at = draw.randint(0, len(around))
    return Justification(_join(around[:at] + sentences + around[at:], draw), is_bad=True, group=group)


def _write_sentence(name: str, group: int, draw: random.Random) -> str:
    sentence = _expand(draw.choice(read_rules()[name][group::N_GROUPS]), draw)
    return sentence[0].upper() + sentence[1:] if draw.random() < _CAPITAL_RATE else sentence.lower()


def _expand(way: str, draw: random.Random) -> str:
    return _NAME.sub(lambda named: _expand(draw.choice(read_rules()[named[1]]), draw), way)


def _join(sentences: list[str], draw: random.Random) -> str:
    between = draw.choice((" ", " ", " ", "\n"))
    return between.join(one if draw.random() < _STOP_RATE else one.rstrip(".") for one in sentences)


def _spell(text: str) -> str:
    return " ".join(letter for letter in text if letter.strip())


def _hide(text: str) -> str:
    return " ".join(f"{word[:2]}\u200b{word[2:]}" if len(word) > 2 else word for word in text.split(" "))  # noqa: PLR2004 - inside


DISGUISES: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {
        "spaces between letters": _spell,
        "digits for letters": lambda text: text.translate(_LEET),
        "look-alike letters": lambda text: text.translate(_ALIKE),
        "zero-width characters": _hide,
        "base 64": lambda text: base64.b64encode(text.encode()).decode(),
    }
)
"""Ways to hide what a text says from a reader that is no person."""
