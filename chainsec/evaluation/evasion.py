"""Evasion by somebody who sees decisions only: varies what is theirs to vary until a bad request is granted.

The attacker turns knobs (hour, purpose, action, device and the like, justification) and learns whether a try was
granted. Two ways of trying: adversarial-robustness-toolbox's HopSkipJump, and drawing at random. Layer: evaluation. Not
here: the study (``robustness``).

Source: Chen, Jordan and Wainwright, "HopSkipJumpAttack: A Query-Efficient Decision-Based Attack" (2020).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from chainsec.defence.policy import Thresholds, choose_verdict
from chainsec.defence.risk import EvidenceRiskModel
from chainsec.errors import ConfigError
from chainsec.primitives import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chainsec.defence.observation import Observation

Vector = npt.NDArray[np.float64]

TRY_S = 600
"""Time between two tries."""
_ATTRIBUTES = ("device", "network", "emergency", "duty")
"""Attributes that a gateway takes over from who asks, and that can be made up."""
_TEXTS = ("", "follow-up", "handover", "urgent", "second opinion")


class OutOfTries(Exception):  # noqa: N818 - names what happened
    """The attacker has no try left, or has been let in."""


@dataclass(frozen=True)
class Knobs:
    """What an attacker may vary, and the values that are known from the history.

    Args:
        choices: values by field or attribute, in a fixed order.
    """

    choices: Mapping[str, Sequence[str]]

    @property
    def size(self) -> int:
        """How many knobs there are, the hour included."""
        return len(self.choices) + 1

    def turn(self, wanted: Observation, place: Vector) -> Observation:
        """Return the request with the knobs at ``place``, each in [0, 1]; shape (size,)."""
        hour = min(23, int(place[0] * 24))
        day_s = wanted.time_s - wanted.time_s % 86_400
        chosen = {
            name: values[min(len(values) - 1, int(place[at] * len(values)))]
            for at, (name, values) in enumerate(self.choices.items(), 1)
        }
        attributes = dict(wanted.attributes) | {name: chosen[name] for name in _ATTRIBUTES if name in chosen}
        return replace(
            wanted,
            time_s=day_s + 3_600 * hour,
            purpose=chosen["purpose"],
            action=chosen["action"],
            text=chosen["text"],
            attributes=attributes,
        )


def find_knobs(history: Sequence[Observation]) -> Knobs:
    """Return the knobs with every value that the history shows."""
    known = {
        "purpose": sorted({one.purpose for one in history}),
        "action": sorted({one.action for one in history}),
        "text": list(_TEXTS),
    }
    for name in _ATTRIBUTES:
        values = sorted({one.attributes[name] for one in history if name in one.attributes})
        if len(values) > 1:
            known[name] = values
    return Knobs(known)


class Gate:
    """Answers tries for one bad request with granted or not.

    Args:
        files: of the model at the time.
        wanted: the bad request.
        knobs: what may be varied.
        thresholds: where verdicts change, by sensitivity.
        tries: how many there are.
        remembers: whether each refused try is held against the requester, as the agent does once a guardian has looked;
            otherwise every try meets the same agent.
    """

    def __init__(
        self,
        files: Mapping[str, bytes],
        wanted: Observation,
        knobs: Knobs,
        thresholds: Sequence[Thresholds],
        *,
        tries: int,
        remembers: bool,
    ) -> None:
        self._model = EvidenceRiskModel.from_files(files)
        self._wanted, self._knobs = wanted, knobs
        self._threshold = thresholds[wanted.sensitivity]
        self._left, self._remembers = tries, remembers
        self.granted_after: int | None = None
        self.used = 0

    def ask(self, place: Vector) -> bool:
        """Return whether the try is granted.

        Raises:
            OutOfTries: it was the last one, or was granted.
        """
        if self.used >= self._left or self.granted_after is not None:
            raise OutOfTries
        self.used += 1
        asked = self._knobs.turn(self._wanted, np.clip(place, 0.0, 1.0))
        asked = replace(asked, id=f"try-{self.used}")
        score = self._model.score(self._model.features(asked))
        is_granted = choose_verdict(score, self._threshold) is Verdict.GRANT
        if is_granted:
            self.granted_after = self.used
        elif self._remembers:
            self._model.observe(asked)
            self._model.learn(asked, denied=True)
            self._wanted = replace(self._wanted, time_s=self._wanted.time_s + TRY_S)
        return is_granted


def draw_at_random(gate: Gate, knobs: Knobs, seed: int) -> None:
    """Try places drawn evenly until one is granted or no try is left."""
    draw = np.random.default_rng([seed, 21])
    try:
        while not gate.ask(draw.random(knobs.size)):
            pass
    except OutOfTries:
        return


def hop_skip_jump(gate: Gate, knobs: Knobs, seed: int) -> None:
    """Let HopSkipJump look for a granted place until one is found or no try is left.

    Raises:
        ConfigError: adversarial-robustness-toolbox is not installed.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # it misses PyTorch, which this attack has no use for
            from art.attacks.evasion import HopSkipJump  # noqa: PLC0415 - an extra
            from art.estimators.classification import BlackBoxClassifier  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigError(
            "this study needs an extra: pip install 'chainsec[robustness]'", extra="robustness"
        ) from error

    def predict(rows: Any) -> Any:
        return np.array([[0.0, 1.0] if gate.ask(row) else [1.0, 0.0] for row in np.asarray(rows, dtype=np.float64)])

    classifier = BlackBoxClassifier(predict, input_shape=(knobs.size,), nb_classes=2, clip_values=(0.0, 1.0))
    attack = HopSkipJump(
        classifier, targeted=False, max_iter=20, max_eval=40, init_eval=10, init_size=60, verbose=False
    )
    np.random.seed(seed)  # noqa: NPY002 - the attack draws from the global generator
    try:
        attack.generate(np.random.default_rng([seed, 22]).random((1, knobs.size)).astype(np.float32))
    except OutOfTries:
        return
