"""What a justification's words are worth as risk: how likely they are an instruction aimed at the agent.

Text raises risk and never lowers it, and ordinary text counts for next to nothing. Layer: defence. Not here: reading
texts (``chainsec.models.text``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chainsec.models.curve import Curve
from chainsec.models.text import PACKAGED_DIGEST, PACKAGED_SETTINGS, default_text_model

if TYPE_CHECKING:
    from collections.abc import Mapping

SIGNAL = "text"
"""Name of the feature: what the text model makes of the justification, in [0, 1]."""

_KNOTS = (*(place / 32 for place in range(31)), *(1.0 - 2.0**-bits for bits in range(5, 14)), 1.0)
"""Scores at which the curve has knots: closer towards 1, where it bends."""
_DIGITS = 9


@dataclass(frozen=True)
class WordedPart:
    """A text to a risk, never falling in what the text model makes of it.

    Args:
        digest: of the text model.
        risk: its score to a probability.
    """

    digest: str
    risk: Curve

    def read(self, text: str) -> float:
        """Return what the text model makes of a justification; 0 for none."""
        return default_text_model().score(text) if text else 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the part as JSON values."""
        return {"digest": self.digest, "risk": self.risk.to_json()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> WordedPart:
        """Return the part that ``to_json`` wrote.

        Raises:
            ValueError: it was made with another text model than this version has.
        """
        if value["digest"] != PACKAGED_DIGEST:
            raise ValueError(f"its text model is {value['digest']!r}, this version has {PACKAGED_DIGEST!r}")
        return cls(value["digest"], Curve.from_json(value["risk"]))


def weigh_words(injected_share: float) -> WordedPart:
    """Return the part for a share of requests whose text is taken to carry instructions.

    The text model says how likely a text is one where as many are as in its training; Bayes' rule moves that to
    ``injected_share``, and what no text at all would get is 0.

    Args:
        injected_share: in (0, 1).

    >>> part = weigh_words(0.01)
    >>> part.risk.at(part.read("ward round")) < 0.01 < 0.5 < part.risk.at(1.0)
    True
    """
    usual = PACKAGED_SETTINGS.base_rate
    assert usual is not None  # the packaged model was trained for a stated share
    factor = injected_share / (1.0 - injected_share) * (1.0 - usual) / usual

    def posterior(score: float) -> float:
        return factor * score / (factor * score + (1.0 - score))

    return WordedPart(PACKAGED_DIGEST, Curve(_KNOTS, tuple(float(f"{posterior(x):.{_DIGITS}g}") for x in _KNOTS)))
