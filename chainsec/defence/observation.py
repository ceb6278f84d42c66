"""What the agent sees: requests joined with their context, uses after a grant, outcomes learned later.

Frozen values, plus the two capabilities the agent asks its surroundings for. Layer: bottom of defence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Observation:
    """One access request in the agent's eyes.

    Args:
        id: the request's identifier, 0x-hexadecimal.
        time_s: when it was made, Unix seconds; a log without times counts rows instead.
        requester: name or address of who asks.
        asset: name or identifier of what is asked for.
        action: ``read``, ``write`` or ``export``.
        purpose: short name of the purpose, "" if none is stated.
        sensitivity: 0 (public) to 3 (most sensitive).
        attributes: further categorical facts, name to text.
        text: free-text justification, "" if there is none.
        has_clock: whether ``time_s`` is a real time of day.
    """

    id: str
    time_s: int
    requester: str
    asset: str
    action: str
    purpose: str
    sensitivity: int = 0
    attributes: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    has_clock: bool = True


@dataclass(frozen=True)
class Use:
    """One use of an asset under a grant, as the gateway logged it.

    Args:
        time_s: Unix seconds.
        requester: who used it.
        asset: what was used.
        action: ``read``, ``write`` or ``export``.
        volume_bytes: how much data was handed out, at least 0.
        request_id: the request whose grant was used.
        allowed: whether the gateway handed the data out.
    """

    time_s: int
    requester: str
    asset: str
    action: str
    volume_bytes: int
    request_id: str
    allowed: bool = True


@dataclass(frozen=True)
class Threat:
    """What a detector found. ``response`` is ``alert``, ``revoke`` or ``quarantine``.

    Args:
        kind: short noun, for example ``volume``, ``exfiltration``.
        requester: whom it is about.
        request_ids: grants concerned, may be empty.
        score: 0 to 1, high = suspicious.
        response: what the policy does about it.
        evidence: the figures that led here, JSON values.
    """

    kind: str
    requester: str
    request_ids: tuple[str, ...]
    score: float
    response: str
    evidence: Mapping[str, Any]


class RiskModel(Protocol):
    """Scores a request. ``score`` never sees the answer; ``learn`` comes after."""

    def features(self, observation: Observation) -> dict[str, float]:
        """Return the named features of ``observation`` from the past so far. Changes nothing."""

    def score(self, features: Mapping[str, float]) -> float:
        """Return the risk in [0, 1] from features alone, the same on every machine."""

    def reasons(self, features: Mapping[str, float], limit: int) -> list[tuple[str, float]]:
        """Return the features that moved the score most, with signed contributions."""

    def observe(self, observation: Observation) -> None:
        """Let an unlabelled request into the behavioural baseline."""

    def learn(self, observation: Observation, denied: bool) -> None:  # noqa: FBT001 - the label itself
        """Let a revealed label into the statistics."""

    def correct(self, observation: Observation, denied: bool) -> None:  # noqa: FBT001 - the label itself
        """Put a label right that was learned the other way round."""

    def note_threat(self, requester: str, time_s: int, severity: float) -> None:
        """Let a threat seen in uses raise the risk of the requester's next requests; 1 weighs as a bad request."""

    def withdraw_threat(self, requester: str, time_s: int, severity: float) -> None:
        """Take back what ``note_threat`` noted with these arguments."""

    def to_files(self) -> dict[str, bytes]:
        """Return the model's canonical files, name to content."""


class DigestedModel(RiskModel, Protocol):
    """A risk model whose files have one digest."""

    @property
    def digest(self) -> str:
        """Digest of the model's canonical files, 0x-hexadecimal."""


class UseWatcher(Protocol):
    """Watches uses after a grant."""

    def expect(self, request_id: str, action: str) -> None:
        """Note what a request asked for, before its uses come."""

    def observe(self, use: Use) -> Sequence[Threat]:
        """Take one use, return what it reveals."""

    def release(self, requester: str) -> None:
        """Take back what is held against a requester, whose alarm proved false."""
