"""A made-up consortium: people, wards, rosters, stays, records and consents, and what is true of them when.

Frozen values, and the named random streams that all of the hospital scenario draws from. Layer: scenarios.
Not here: drawing a consortium (``consortium``), requests (``hospital``), what records show of them (``reception``).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from chainsec.scenarios.workload import ConsentTerms, Member, Record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

T = TypeVar("T")

START_S = 1_740_960_000
"""Monday, 3 March 2025, 00:00 UTC; day 28 ends the first quarter."""
HOUR_S = 3_600
DAY_S = 24 * HOUR_S

HOSPITALS = ("northfield", "riverside")
INSTITUTE = "helix"
ORGANISATIONS = (*HOSPITALS, INSTITUTE)
WARDS = ("emergency", "medicine", "surgery", "psychiatry")
CLINICAL = ("physician", "nurse")
CASELOAD_SHARE = 0.35
"""Share of patients whom one clerk or analyst looks after."""
KIND_SENSITIVITY = {"admin": 0, "chart": 1, "lab": 2, "psychiatry": 3, "genetics": 3}

READ, WRITE, EXPORT = 1, 2, 4

SHIFT_HOURS = {"early": (7, 15), "late": (14, 22), "night": (22, 31), "office": (8, 17), "call": (17, 32)}
"""First and last hour of a shift, counted from the midnight before it starts."""


def stream(seed: int, name: str) -> np.random.Generator:
    """Return the generator that belongs to one concern of one seed, independent of every other name's.

    >>> bool(stream(1, "roster").random() == stream(1, "roster").random())
    True
    >>> bool(stream(1, "roster").random() == stream(1, "stays").random())
    False
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(zlib.crc32(name.encode()),)))


def chance(rng: np.random.Generator, probability: float) -> bool:
    """Return True with ``probability`` in [0, 1]."""
    return bool(rng.random() < probability)


def pick(rng: np.random.Generator, items: Sequence[T]) -> T:
    """Return one of ``items``, all equally likely."""
    return items[int(rng.integers(len(items)))]


def weigh(rng: np.random.Generator, weights: Mapping[str, float]) -> str:
    """Return a key with probability proportional to its weight."""
    point = rng.random() * sum(weights.values())
    for key, weight in weights.items():
        point -= weight
        if point < 0:
            return key
    return next(reversed(list(weights)))


@dataclass(frozen=True)
class Staff:
    """One member of staff.

    Args:
        ward: where the person works first; ``next_ward`` from day ``moved_day`` on.
        recorded_move_day: when the personnel system learns of the move.
        active_days: first and one past the last day of employment.
        leave: first and one past the last day away.
        planned, worked: one shift name or "" a day: what the roster says, and what happened.
        devices: (first day, device) of the person's own machines, in order.
        dormant: left, and the account was never closed.
    """

    name: str
    organisation: str
    role: str
    ward: str
    next_ward: str
    moved_day: int
    recorded_move_day: int
    active_days: tuple[int, int]
    leave: tuple[int, int]
    planned: tuple[str, ...]
    worked: tuple[str, ...]
    devices: tuple[tuple[int, str], ...]
    dormant: bool

    def ward_on(self, day: int) -> str:
        """Return where the person really works on ``day``."""
        return self.next_ward if day >= self.moved_day else self.ward

    def recorded_ward_on(self, day: int) -> str:
        """Return the ward that the personnel system shows on ``day``."""
        return self.next_ward if day >= self.recorded_move_day else self.ward

    def device_on(self, day: int) -> str:
        """Return the person's own machine on ``day``."""
        return [device for since, device in self.devices if since <= day][-1]

    def planned_duty(self, hour: float) -> str:
        """Return what the roster says about ``hour`` (hours since the start): on duty, on call or off duty."""
        today = int(hour // 24)
        for day in (today, today - 1):
            shift = self.planned[day] if 0 <= day < len(self.planned) else ""
            if shift:
                first, last = SHIFT_HOURS[shift]
                if first <= hour - 24 * day < last:
                    return "on call" if shift == "call" else "on duty"
        return "off duty"


def is_assigned(person: Staff, patient: Patient, share: float) -> bool:
    """Tell whether ``patient`` is among the ``share`` of patients that falls to ``person`` by standing arrangement.

    A larger share includes a smaller one, and the arrangement lasts: who is consulted on somebody today will be again.
    """
    return zlib.crc32(f"{person.name}/{patient.name}".encode()) % 1000 < 1000 * share


@dataclass(frozen=True)
class Stay:
    """A patient's time in one ward, in hours since the start.

    ``seen_lag_h`` is how late the admission system shows it; ``team`` maps staff to the hours (from, to) in which
    the treating-team list names them, which trails the truth at both ends.
    """

    ward: str
    start_h: float
    end_h: float
    seen_lag_h: float
    carers: frozenset[str]
    team: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Patient:
    """A person with records. ``group`` is ``regular``, ``staff`` or ``public figure``."""

    name: str
    organisation: str
    group: str
    specialty: str
    refuses_research: bool
    referred: bool
    stays: tuple[Stay, ...]
    visits_h: tuple[float, ...]

    @property
    def records(self) -> dict[str, str]:
        """Kind of record to record name."""
        return {kind: f"{self.name}/{kind}" for kind in ("admin", "chart", self.specialty)}

    def stay_at(self, hour: float) -> Stay | None:
        """Return the stay under way at ``hour``, if any."""
        return next((stay for stay in self.stays if stay.start_h <= hour < stay.end_h), None)

    def recorded_stay_at(self, hour: float) -> Stay | None:
        """Return the stay that the admission system shows at ``hour``; it learns of comings and goings late."""
        return next(
            (s for s in reversed(self.stays) if s.start_h + s.seen_lag_h <= hour < s.end_h + s.seen_lag_h), None
        )


@dataclass(frozen=True)
class Clinic:
    """The whole consortium over ``days`` days of which the first ``history_days`` are history."""

    days: int
    history_days: int
    outbreak: tuple[int, int]
    staff: tuple[Staff, ...]
    patients: tuple[Patient, ...]
    consents: tuple[ConsentTerms, ...]

    @cached_property
    def members(self) -> tuple[Member, ...]:
        """Everybody who can ask, as the workload names them."""
        return tuple(Member(person.name, person.organisation) for person in self.staff)

    @cached_property
    def records(self) -> tuple[Record, ...]:
        """All records; genetics are kept by the institute, the rest by the patient's hospital."""
        return tuple(
            Record(
                name, patient.name, INSTITUTE if kind == "genetics" else patient.organisation, KIND_SENSITIVITY[kind]
            )
            for patient in self.patients
            for kind, name in patient.records.items()
        )

    @cached_property
    def _consent_ends(self) -> dict[tuple[str, str, str], ConsentTerms]:
        return {(terms.record, terms.grantee, terms.purpose): terms for terms in self.consents}

    def consents_to(self, record: str, organisation: str, purpose: str, action: str, time_s: int) -> bool:
        """Tell whether the owner allows this at that time."""
        terms = self._consent_ends.get((record, organisation, purpose))
        bit = {"read": READ, "write": WRITE, "export": EXPORT}[action]
        return terms is not None and time_s < terms.until_s and bool(terms.scope & bit)
