"""The made-up consortium behind the hospital scenario: people, wards, rosters, stays, records and consents.

Everything is drawn from named streams of one seed and never changes afterwards. Layer: scenarios.
Not here: requests (``hospital``), how the gateway sees them (``reception``), abuse (``attacks``).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from chainsec.scenarios.workload import ConsentTerms, Member, Record

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
KIND_SENSITIVITY = {"admin": 0, "chart": 1, "lab": 2, "psychiatry": 3, "genetics": 3}

READ, WRITE, EXPORT = 1, 2, 4

SHIFT_HOURS = {"early": (7, 15), "late": (14, 22), "night": (22, 31), "office": (8, 17), "call": (17, 32)}
"""First and last hour of a shift, counted from the midnight before it starts."""

_STAFF_SHARES = (
    ("northfield", "physician", 0.150),
    ("northfield", "nurse", 0.200),
    ("northfield", "lab", 0.050),
    ("northfield", "clerk", 0.067),
    ("riverside", "physician", 0.117),
    ("riverside", "nurse", 0.150),
    ("riverside", "lab", 0.050),
    ("riverside", "clerk", 0.050),
    ("helix", "researcher", 0.116),
    ("helix", "lab", 0.050),
)
_SURNAMES = (
    "abara adler almeida amari anders bakker banerjee baptiste bauer benali berg bianchi brandt castro chen cohen "
    "costa dalgaard danso diallo dubois duran eriksen fischer flores fontaine fraser gallo garcia gruber haddad "
    "hansen hartmann horvat ibrahim ito ivanova jansen jensen kaya keller khan kim kovacs kowalski kruger larsen "
    "laurent lindqvist lopez mancini marino mbeki mendes moreau nakamura nguyen novak okafor olsen osei park patel "
    "pereira petrov popescu quinn rahman reyes richter rossi sato schmid silva singh sorensen suzuki tanaka torres "
    "usman vargas vermeer vogel wagner weber wouters yilmaz zhang zimmer"
).split()


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
            Record(name, patient.name, INSTITUTE if kind == "genetics" else patient.organisation, KIND_SENSITIVITY[kind])
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


def _draw_roster(rng: np.random.Generator, role: str, days: int) -> list[str]:
    """Return the planned shift of every day: rotating for nurses, office hours for clerks, calls for physicians."""
    phase = int(rng.integers(10))
    rotation = ("early", "early", "late", "late", "", "night", "night", "", "", "early")
    bench = ("early", "early", "late", "early", "late", "", "")
    plan = []
    for day in range(days):
        weekend = day % 7 in (5, 6)
        if role == "nurse":
            shift = rotation[(day + phase) % len(rotation)]
        elif role == "lab":
            shift = bench[(day + phase) % len(bench)]
        elif role == "physician":
            shift = "call" if (day + phase) % 6 == 0 else "" if weekend else "office"
        else:
            shift = "office" if not weekend else ""
        plan.append(shift)
    return plan


def _work_roster(rng: np.random.Generator, role: str, plan: Sequence[str]) -> list[str]:
    """Return what really happened: swaps and cover that the roster does not show."""
    usual = {"nurse": ("early", "late", "night"), "lab": ("early", "late"), "physician": ("office", "call")}
    worked = list(plan)
    for day, shift in enumerate(plan):
        if chance(rng, 0.06 if role in usual else 0.02):
            worked[day] = pick(rng, usual.get(role, ("office",))) if not shift or chance(rng, 0.6) else ""
    return worked


def _hire(seed: int, count: int, days: int, history_days: int) -> tuple[Staff, ...]:
    rng = stream(seed, "staff")
    posts = [(org, role) for org, role, share in _STAFF_SHARES for _ in range(max(1, round(share * count)))]
    while len(posts) < count:
        posts.append(pick(rng, posts))
    posts = [posts[i] for i in sorted(rng.permutation(len(posts))[:count])]
    surnames = [f"{_SURNAMES[i % len(_SURNAMES)]}{i // len(_SURNAMES) or ''}" for i in rng.permutation(max(count, 90))]
    order = [int(i) for i in rng.permutation(count)]
    share = max(1, count // 15)
    # Four disjoint groups of clinical and office staff whose life changes on the way.
    joiners, movers, away = (set(order[i * share : (i + 1) * share]) for i in range(3))
    dormant = set(order[3 * share : 3 * share + max(1, share * 3 // 4)])
    bench = {"lab": "laboratory", "clerk": "office", "researcher": "institute"}
    people = []
    for index, (organisation, role) in enumerate(posts):
        ward = bench.get(role) or WARDS[index % len(WARDS)]
        target = pick(rng, [other for other in WARDS if other != ward]) if role in CLINICAL else ward
        moved = int(rng.integers(3, max(4, days - 4))) if index in movers else days
        first = int(rng.integers(2, max(3, days - 5))) if index in joiners else 0
        last = int(rng.integers(1, 4)) if index in dormant else days
        gone = int(rng.integers(1, max(2, days - 12))) if index in away else days
        back = gone + int(rng.integers(8, 13)) if index in away else days
        plan = _draw_roster(rng, role, days)
        absent = [not first <= day < last or gone <= day < back for day in range(days)]
        plan = ["" if absent[day] else shift for day, shift in enumerate(plan)]
        worked = ["" if absent[day] else shift for day, shift in enumerate(_work_roster(rng, role, plan))]
        tags = [f"lt-{int(rng.integers(16**4)):04x}" for _ in range(2)]
        swap = int(rng.integers(1, days)) if chance(rng, 0.25) else days
        people.append(
            Staff(
                name=surnames[index],
                organisation=organisation,
                role=role,
                ward=ward,
                next_ward=target,
                moved_day=moved,
                recorded_move_day=moved + int(rng.integers(4)),
                active_days=(first, last),
                leave=(gone, back),
                planned=tuple(plan),
                worked=tuple(worked),
                devices=((0, tags[0]), (swap, tags[1])),
                dormant=index in dormant,
            )
        )
    return tuple(people)


def _admit(rng: np.random.Generator, ward: str, start: float, end: float, carers: Sequence[Staff]) -> Stay:
    physicians = [person.name for person in carers if person.role == "physician"]
    nurses = [person.name for person in carers if person.role == "nurse"]
    team = [physicians[i] for i in rng.permutation(len(physicians))[:2]]
    team += [nurses[i] for i in rng.permutation(len(nurses))[:3]]
    listed = {}
    for name in team:
        if chance(rng, 0.85):
            listed[name] = (start + float(rng.lognormal(1.6, 0.9)), end + float(rng.exponential(40.0)))
    for name in physicians + nurses:
        if name not in listed and chance(rng, 0.12):
            listed[name] = (start, end)
    return Stay(ward, start, end, float(rng.lognormal(0.4, 0.8)), frozenset(team), listed)


def _fill_beds(seed: int, count: int, days: int, outbreak: tuple[int, int], staff: Sequence[Staff]) -> tuple[Patient, ...]:
    rng = stream(seed, "patients")
    patients = []
    for index in range(count):
        home = HOSPITALS[0] if chance(rng, 0.56) else HOSPITALS[1]
        specialty = weigh(rng, {"lab": 0.55, "psychiatry": 0.20, "genetics": 0.25})
        wards = {"medicine": 0.45, "surgery": 0.40, "psychiatry": 2.5 if specialty == "psychiatry" else 0.02}
        stays: list[Stay] = []
        hour = float(rng.uniform(-120.0, 160.0))
        while hour < 24 * days:
            infected = outbreak[0] <= hour / 24 < outbreak[1] and chance(rng, 0.5)
            ward = "medicine" if infected else weigh(rng, wards)
            end = hour + float(rng.lognormal(4.5, 0.6))
            steps = [(ward, hour, end)]
            if chance(rng, 0.4):
                steps = [("emergency", hour, hour + float(rng.uniform(3.0, 12.0)))]
            elif chance(rng, 0.45):
                door = hour + float(rng.uniform(3.0, 14.0))
                steps = [("emergency", hour, door), (ward, door, max(end, door + 6.0))]
            elif chance(rng, 0.3):
                middle = float(rng.uniform(hour, end))
                steps = [(ward, hour, middle), (weigh(rng, wards), middle, end)]
            for step_ward, start, stop in steps:
                day = min(max(int(start // 24), 0), days - 1)
                around = [p for p in staff if p.organisation == home and p.ward_on(day) == step_ward and not p.dormant]
                stays.append(_admit(rng, step_ward, start, stop, around))
            hour = stays[-1].end_h + float(rng.exponential(5 * 24.0)) + 24.0
        visits = np.sort(rng.integers(0, days, size=int(rng.poisson(days / 9))) * 24 + rng.uniform(9.0, 16.0))
        patients.append(
            Patient(
                name=f"patient-{index:03d}",
                organisation=home,
                group=weigh(rng, {"regular": 0.90, "staff": 0.06, "public figure": 0.04}),
                specialty=specialty,
                refuses_research=chance(rng, 0.27),
                referred=chance(rng, 0.4),
                stays=tuple(stays),
                visits_h=tuple(float(visit) for visit in visits if int(visit // 24) % 7 not in (5, 6)),
            )
        )
    return tuple(patients)


def _ask_consent(seed: int, patients: Sequence[Patient], days: int) -> tuple[ConsentTerms, ...]:
    """Return who may do what for which purpose: care for all, the rest as each patient sees fit."""
    rng = stream(seed, "consents")
    far = START_S + (days + 365) * DAY_S
    terms: list[ConsentTerms] = []

    def give(record: str, grantee: str, purpose: str, scope: int, willing: float = 1.0) -> None:
        if chance(rng, willing):
            short = purpose in {"research", "quality"} and chance(rng, 0.06)
            until = START_S + int(rng.uniform(0.4, 1.0) * days * DAY_S) if short else far
            terms.append(ConsentTerms(record, grantee, purpose, scope, until))

    for patient in patients:
        home = patient.organisation
        away = HOSPITALS[1 - HOSPITALS.index(home)]
        names = patient.records
        admin, chart, third = names["admin"], names["chart"], names[patient.specialty]
        give(admin, home, "treatment", READ | WRITE)
        give(admin, home, "administration", READ | WRITE)
        give(admin, home, "billing", READ | EXPORT)
        give(chart, home, "treatment", READ | WRITE | EXPORT)
        give(chart, home, "emergency", READ)
        give(chart, home, "billing", READ | EXPORT, 0.9)
        give(chart, home, "quality", READ | EXPORT, 0.75)
        give(chart, home, "legal", READ | EXPORT, 0.3)
        give(third, home, "treatment", READ | WRITE | EXPORT)
        give(third, home, "emergency", READ, 0.6)
        give(third, home, "billing", READ, 0.35)
        if patient.specialty != "psychiatry":
            give(third, home, "diagnosis", READ | WRITE | EXPORT)
        if patient.specialty == "genetics":
            give(third, INSTITUTE, "diagnosis", READ | WRITE | EXPORT)
        if patient.referred:
            give(chart, away, "sharing", READ | EXPORT)
            give(third, away, "sharing", READ, 0.6)
        give(chart, INSTITUTE, "quality", READ | EXPORT, 0.45)
        if not patient.refuses_research:
            give(chart, INSTITUTE, "research", READ | EXPORT, 0.9)
            give(third, INSTITUTE, "research", READ | EXPORT, 0.75)
    return tuple(terms)


def build_clinic(seed: int, *, days: int, history_days: int, staff: int, records: int) -> Clinic:
    """Draw a consortium: the same seed and sizes give the same one.

    Args:
        days: simulated days in all, at least 2.
        history_days: how many of them are history, 1 to ``days - 1``.
        staff: people in all, at least 10.
        records: assets in all, rounded down to three a patient, at least 30.

    >>> clinic = build_clinic(1, days=6, history_days=2, staff=20, records=60)
    >>> len(clinic.staff), len(clinic.patients), len(clinic.records)
    (20, 20, 60)
    """
    rng = stream(seed, "outbreak")
    first = int(rng.integers(history_days // 2, max(history_days // 2 + 1, days - 8)))
    outbreak = (first, first + int(rng.integers(3, 7)))
    people = _hire(seed, staff, days, history_days)
    patients = _fill_beds(seed, records // 3, days, outbreak, people)
    return Clinic(days, history_days, outbreak, people, patients, _ask_consent(seed, patients, days))
