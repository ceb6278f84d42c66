"""Public texts with and without instructions to an agent: what each file holds, and attacks put into e-mails.

NotInject: harmless, with words that attackers use. WildGuard: harmless prompts. valid.json, on which InjecGuard's
authors chose their model: harmless ones and attacks of several sources. BIPIA: e-mails, and attacks of 15 categories;
an attack is put before, into or after an e-mail. Layer: evaluation. Not here: who is trained on what (``injection``).

Source: Li and Liu, "InjecGuard" (2024), arXiv 2410.22770; Yi et al., "Benchmarking and Defending Against Indirect
Prompt Injection Attacks" (2023), arXiv 2312.14197, builder of samples.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chainsec.errors import BadInput
from chainsec.evaluation.folder import find_file, read_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TRIGGERS, HARMLESS, EMAIL = "harmless with trigger words", "harmless", "e-mail"
ATTACK, BIPIA_ATTACK, IN_EMAIL = "attack", "BIPIA attack", "attack in an e-mail"

_FOLDER = "prompt_injection"
_SENTENCE = re.compile(r"(?:\A|(?<=[.!?]))\s*(?=\S)|\n\s*(?=\S)")


@dataclass(frozen=True)
class Sample:
    """A text to be judged.

    Args:
        text: as published.
        kind: one of the kinds above.
        source: what stands and falls together when halves and intervals are drawn: texts of one source are never on
            both sides.
        half: 0 or 1, of two parts that share no source.
    """

    text: str
    kind: str
    source: str
    half: int

    @property
    def is_bad(self) -> bool:
        """Whether it carries instructions aimed at an agent."""
        return self.kind in (ATTACK, BIPIA_ATTACK, IN_EMAIL)


def read_samples(folder: Path) -> list[Sample]:
    """Return the texts as published, each once: everything but the attacks in e-mails.

    Raises:
        BadInput: a file is missing or holds something else.
    """
    found: dict[str, tuple[str, str]] = {}
    for row in _read_rows(folder, "valid.json", ("prompt", "label", "source")):
        name = str(row["source"])
        kind = TRIGGERS if name.startswith("NotInject") else HARMLESS if not row["label"] else ATTACK
        found.setdefault(row["prompt"], (kind, f"{name} {row['prompt']}"))
    for number in ("one", "two"):
        for row in _read_rows(folder, f"NotInject_{number}.json", ("prompt", "word_list")):
            found[row["prompt"]] = (TRIGGERS, f"trigger {str(row['word_list'][0]).casefold()}")
    for row in _read_rows(folder, "wildguard_half.json", ("prompt",)):
        found.setdefault(row["prompt"], (HARMLESS, row["prompt"]))
    for email in read_emails(folder):
        found.setdefault(email, (EMAIL, f"e-mail {email}"))
    for category, attacks in read_attacks(folder).items():
        found |= dict.fromkeys(attacks, (BIPIA_ATTACK, category))
    halves: dict[str, int] = {}
    count: dict[str, int] = {}
    for kind, source in found.values():
        if source not in halves:
            halves[source] = count.get(kind, 0) % 2
            count[kind] = count.get(kind, 0) + 1
    return [Sample(text, kind, source, halves[source]) for text, (kind, source) in found.items()]


def read_emails(folder: Path) -> list[str]:
    """Return the distinct e-mails of BIPIA."""
    name = "bipia_email_train.jsonl"
    lines = read_text(find_file(folder, f"{_FOLDER}/{name}")).split("\n")
    rows = _check_rows([_parse(line, name) for line in lines if line], name, ("context",))
    return [*dict.fromkeys(str(row["context"]) for row in rows)]


def read_attacks(folder: Path) -> dict[str, list[str]]:
    """Return the attacks of BIPIA by category."""
    name = "bipia_text_attack_train.json"
    attacks = _parse(read_text(find_file(folder, f"{_FOLDER}/{name}")), name)
    if not isinstance(attacks, dict) or not all(isinstance(texts, list) for texts in attacks.values()):
        raise BadInput(f"{name}: no object of lists", path=name)
    return {str(category): [str(attack) for attack in texts] for category, texts in attacks.items()}


def draw_emails(samples: Sequence[Sample], n_each: int, seed: int) -> list[Sample]:
    """Return each BIPIA attack in ``n_each`` e-mails of its own half, in turn before, into and after the e-mail.

    Args:
        samples: from ``read_samples``.
        n_each: e-mails for each attack, at least 1.
        seed: of the draw of e-mails and of the place inside.
    """
    draw = random.Random(seed)  # noqa: S311 - a repeatable draw, no secret
    drawn = []
    for attack in samples:
        if attack.kind != BIPIA_ATTACK:
            continue
        emails = [sample.text for sample in samples if sample.kind == EMAIL and sample.half == attack.half]
        for number, email in enumerate(draw.sample(emails, n_each)):
            place = (0, draw.choice(find_starts(email)), len(email))[number % 3]
            parts = (email[:place], attack.text, email[place:])
            drawn.append(Sample("\n".join(part for part in parts if part), IN_EMAIL, attack.source, attack.half))
    return drawn


def find_starts(text: str) -> list[int]:
    """Return where the sentences of ``text`` begin.

    >>> find_starts("One. Two")
    [0, 5]
    """
    return [found.end() for found in _SENTENCE.finditer(text)] or [0]


def _read_rows(folder: Path, name: str, wanted: tuple[str, ...]) -> list[dict[str, Any]]:
    return _check_rows(_parse(read_text(find_file(folder, f"{_FOLDER}/{name}")), name), name, wanted)


def _check_rows(rows: Any, name: str, wanted: tuple[str, ...]) -> list[dict[str, Any]]:
    if not isinstance(rows, list):
        raise BadInput(f"{name}: no list", path=name)
    for number, row in enumerate(rows):
        missing = [field for field in wanted if not isinstance(row, dict) or field not in row]
        if missing:
            raise BadInput(f"{name}: entry {number} has no {missing[0]!r}", entry=number, field=missing[0])
    return rows


def _parse(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise BadInput(f"{name}: no JSON: {error}", path=name) from error
