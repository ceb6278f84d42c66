"""What a scenario hands to the runner: parties, assets, consents and a timed list of access attempts.

Pure values, no chain and no agent. The hospital demo and the log replay both end here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Member:
    """A person or account that asks for access, in one organisation."""

    name: str
    organisation: str


@dataclass(frozen=True)
class Record:
    """An asset of the workload.

    Args:
        name: unique within the workload.
        owner: name of the identity that gives consent.
        organisation: who keeps it.
        sensitivity: 0 to 3.
    """

    name: str
    owner: str
    organisation: str
    sensitivity: int


@dataclass(frozen=True)
class ConsentTerms:
    """What an owner allows an organisation: one record, one purpose, a scope, until a time."""

    record: str
    grantee: str
    purpose: str
    scope: int
    until_s: int


@dataclass(frozen=True)
class PlannedUse:
    """A use that follows a grant, ``after_s`` seconds later; dropped where the grant is not given."""

    after_s: int
    action: str
    volume_bytes: int


@dataclass(frozen=True)
class Attempt:
    """One access request as it is going to happen.

    Args:
        time_s: Unix seconds.
        requester: name of a ``Member``.
        asset: name of a ``Record``.
        action: ``read``, ``write`` or ``export``.
        purpose: short purpose name.
        duration_s: how long a grant is asked for.
        attributes: categorical context, name to text.
        text: justification.
        denied: ground truth, True = must not be granted; None = unknown.
        attack: kind of attack, None for normal life.
        label_at_s: when the truth becomes known to the agent, None = never.
        uses: what the requester does once granted.
        row: line number in the source log, 0 for made-up workloads.
    """

    time_s: int
    requester: str
    asset: str
    action: str
    purpose: str
    duration_s: int
    attributes: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    denied: bool | None = None
    attack: str | None = None
    label_at_s: int | None = None
    uses: tuple[PlannedUse, ...] = ()
    row: int = 0


@dataclass(frozen=True)
class Workload:
    """A whole scenario. ``history`` comes before ``live``; both are in time order.

    ``has_clock`` is False where times only count rows.
    """

    name: str
    organisations: tuple[str, ...]
    members: tuple[Member, ...]
    records: tuple[Record, ...]
    consents: tuple[ConsentTerms, ...]
    history: tuple[Attempt, ...]
    live: tuple[Attempt, ...]
    skipped: int = 0
    has_clock: bool = True
