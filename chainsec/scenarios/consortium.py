"""Draws the consortium behind the hospital scenario from one seed: whom it employs, treats, and who consents.

Layer: scenarios. Not here: what a consortium is (``clinic``), requests (``hospital``), abuse (``attacks``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chainsec.scenarios.clinic import (
    CLINICAL,
    DAY_S,
    EXPORT,
    HOSPITALS,
    INSTITUTE,
    READ,
    START_S,
    WARDS,
    WRITE,
    Clinic,
    Patient,
    Staff,
    Stay,
    chance,
    pick,
    stream,
    weigh,
)
from chainsec.scenarios.workload import ConsentTerms

if TYPE_CHECKING:
    from collections.abc import Sequence

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
)


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
        if chance(rng, 0.13 if role in usual else 0.03):
            worked[day] = pick(rng, usual.get(role, ("office",))) if not shift or chance(rng, 0.6) else ""
    return worked


def _hire(seed: int, count: int, days: int) -> tuple[Staff, ...]:
    rng = stream(seed, "staff")
    posts = [(org, role) for org, role, share in _STAFF_SHARES for _ in range(max(1, round(share * count)))]
    while len(posts) < count:
        posts.append(pick(rng, posts))
    posts = [posts[i] for i in sorted(rng.permutation(len(posts))[:count])]
    names = _SURNAMES.split()
    surnames = [f"{names[i % len(names)]}{i // len(names) or ''}" for i in rng.permutation(max(count, len(names)))]
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
        worked = ["" if absent[day] else shift for day, shift in enumerate(_work_roster(rng, role, plan))]
        if index not in dormant:  # nobody has taken the dormant accounts' owners off the roster
            plan = ["" if absent[day] else shift for day, shift in enumerate(plan)]
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


def _fill_beds(
    seed: int, count: int, days: int, outbreak: tuple[int, int], staff: Sequence[Staff]
) -> tuple[Patient, ...]:
    rng = stream(seed, "patients")
    patients = []
    for index in range(count):
        home = HOSPITALS[0] if chance(rng, 0.56) else HOSPITALS[1]
        specialty = weigh(rng, {"lab": 0.74, "psychiatry": 0.13, "genetics": 0.13})
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
        seed: any non-negative integer.
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
    people = _hire(seed, staff, days)
    patients = _fill_beds(seed, records // 3, days, outbreak, people)
    return Clinic(days, history_days, outbreak, people, patients, _ask_consent(seed, patients, days))
