"""The hospital scenario: a consortium's daily requests with abuse among them, drawn from one seed.

Layer: scenarios; ends in a ``Workload``. Not here: the world (``clinic``), the records' view of it (``reception``),
abuse (``attacks``), any chain or agent.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from chainsec.scenarios.attacks import plan_attacks
from chainsec.scenarios.clinic import (
    CASELOAD_SHARE,
    CLINICAL,
    DAY_S,
    HOSPITALS,
    HOUR_S,
    ORGANISATIONS,
    SHIFT_HOURS,
    START_S,
    Clinic,
    Patient,
    Staff,
    chance,
    is_assigned,
    pick,
    stream,
    weigh,
)
from chainsec.scenarios.consortium import build_clinic
from chainsec.scenarios.reception import DURATION_S, Asking, Reception, choose_action, choose_place
from chainsec.scenarios.workload import Attempt, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_RATE_PER_SHIFT = {"physician": 3.2, "nurse": 2.9, "lab": 3.6, "clerk": 3.9, "researcher": 2.1}
_CLINICAL_KINDS = {
    "physician": {"admin": 0.10, "chart": 0.52, "third": 0.38},
    "nurse": {"admin": 0.17, "chart": 0.66, "third": 0.17},
}
AFTERCARE_H, CLINIC_H = 120.0, 24.0
"""For how long after a stay, and how near a clinic visit, a clinician still has reason to look, in hours."""
CONSULT_SHARE, CLINIC_SHARE = 0.15, 0.25
"""Shares of patients whom one clinician is consulted on, or sees in the clinic."""
CASELOAD_RATE = 0.92
"""Share of office and laboratory work that stays within the own caseload."""
QUARTER_END_DAYS = (25, 30)
"""First and one past the last day of the quarter's closing, when billing is busy."""


class _DailyLife:
    """Draws what people ask for on their shifts. Remembers live grants, so that nobody asks twice for the same."""

    def __init__(self, seed: int, clinic: Clinic, intensity: float) -> None:
        self._clinic = clinic
        self._reception = Reception(clinic)
        self._intensity = intensity
        self._rng = stream(seed, "requests")
        self._granted_until: dict[tuple[str, str, str], int] = {}
        self._by_house = {
            house: [patient for patient in clinic.patients if patient.organisation == house] for house in HOSPITALS
        }
        rng = stream(seed, "projects")
        willing = [patient for patient in clinic.patients if not patient.refuses_research]
        self._cohorts: dict[str, list[Patient]] = {}
        for person in clinic.staff:
            size = min(len(willing), 12 + int(rng.integers(10)))
            self._cohorts[person.name] = [willing[i] for i in rng.permutation(len(willing))[:size]]

    def requests_of(self, person: Staff, day: int) -> Iterator[Attempt]:
        """Yield one person's requests of one day, in no order."""
        shift = person.worked[day]
        if not shift:
            return
        rng = self._rng
        for _ in range(int(rng.poisson(_RATE_PER_SHIFT[person.role] * self._busyness(person, day, shift)))):
            first, last = SHIFT_HOURS[shift]
            # Most work clusters after the handover; some runs over the end of the shift.
            hour = first + (last - first + 1.2) * float(rng.beta(1.3, 1.8))
            yield from self._ask_once(person, day, 24 * day + hour, on_call=shift == "call")
        yield from self._ask_in_bulk(person, day, shift)

    def _busyness(self, person: Staff, day: int, shift: str) -> float:
        factor = self._intensity
        first, last = self._clinic.outbreak
        if first <= day < last and person.ward_on(day) in {"emergency", "medicine", "laboratory"}:
            factor *= 1.5
        if person.role == "clerk" and QUARTER_END_DAYS[0] <= day % 90 < QUARTER_END_DAYS[1]:
            factor *= 1.9
        return factor * {"call": 0.45, "night": 0.7}.get(shift, 1.0)

    def _ask_once(self, person: Staff, day: int, hour: float, *, on_call: bool) -> Iterator[Attempt]:
        rng = self._rng
        for _ in range(4):
            choice = self._choose(person, day, hour)
            if choice is None:
                continue
            patient, kind, purpose = choice
            at_home = on_call and purpose != "emergency" and chance(rng, 0.6)
            place = choose_place(rng, person, day, at_home=at_home)
            attempt = self._ask(person, patient, kind, purpose, hour=hour, place=place)
            if attempt is not None:
                yield attempt
                return

    def _ask(
        self, person: Staff, patient: Patient, kind: str, purpose: str, *, hour: float, place: Asking
    ) -> Attempt | None:
        time_s = START_S + int(hour * HOUR_S)
        record = patient.records[kind]
        action = choose_action(self._rng, person.role, purpose)
        key = (person.name, record, purpose)
        if self._granted_until.get(key, 0) > time_s or time_s >= START_S + self._clinic.days * DAY_S:
            return None
        if not self._clinic.consents_to(record, person.organisation, purpose, action, time_s + DURATION_S[purpose]):
            return None
        self._granted_until[key] = time_s + DURATION_S[purpose]
        return self._reception.write_down(
            self._rng, person, patient, kind=kind, action=action, purpose=purpose, time_s=time_s, asking=place
        )

    def _choose(self, person: Staff, day: int, hour: float) -> tuple[Patient, str, str] | None:
        if person.role in CLINICAL:
            return self._choose_for_care(person, day, hour)
        rng = self._rng
        if person.role == "researcher":
            patient = pick(rng, self._cohorts[person.name] if chance(rng, 0.93) else self._clinic.patients)
            return (
                patient,
                weigh(rng, {"chart": 0.5, patient.specialty: 0.5}),
                "research" if chance(rng, 0.9) else "quality",
            )
        if person.role == "lab":
            pool = self._by_house.get(person.organisation, self._clinic.patients)
            busy = [p for p in pool if self._is_around(p, hour)] or pool
            patient = pick(rng, self._prefer_caseload(person, busy))
            return patient, patient.specialty, "diagnosis"
        house = self._by_house[person.organisation]
        around = [p for p in house if self._was_around(p, hour)] or house
        patient = pick(rng, self._prefer_caseload(person, around))
        purpose = weigh(rng, {"billing": 0.66, "administration": 0.31, "legal": 0.03})
        kinds = {"billing": {"admin": 0.62, "chart": 0.30, patient.specialty: 0.08}, "legal": {"chart": 1.0}}
        return patient, weigh(rng, kinds.get(purpose, {"admin": 1.0})), purpose

    def _choose_for_care(self, person: Staff, day: int, hour: float) -> tuple[Patient, str, str] | None:
        rng = self._rng
        house = self._by_house[person.organisation]
        ward = person.ward_on(day)
        reason = weigh(
            rng, {"own": 0.41, "cover": 0.11, "aftercare": 0.08, "consult": 0.23, "clinic": 0.12, "alarm": 0.05}
        )
        if reason == "clinic" and person.role == "nurse":
            reason = "cover"
        purpose = "treatment"
        if reason == "own":
            pool = [p for p in house if (s := p.stay_at(hour)) and person.name in s.carers]
        elif reason == "cover":
            pool = [p for p in house if (s := p.stay_at(hour)) and s.ward == ward]
        elif reason == "aftercare":
            pool = [
                p
                for p in house
                if any(s.end_h <= hour < s.end_h + AFTERCARE_H and person.name in s.carers for s in p.stays)
            ]
        elif reason == "clinic":
            pool = [p for p in house if any(abs(visit - hour) <= CLINIC_H for visit in p.visits_h)]
            pool = [p for p in pool if is_assigned(person, p, CLINIC_SHARE)]
        elif reason == "consult" and chance(rng, 0.25):
            pool, purpose = (
                [p for p in self._clinic.patients if p.referred and p.organisation != person.organisation],
                "sharing",
            )
            pool = [p for p in pool if is_assigned(person, p, CONSULT_SHARE)]
        elif reason == "consult":
            pool = [p for p in house if (s := p.stay_at(hour)) and s.ward != ward]
            pool = [p for p in pool if is_assigned(person, p, CONSULT_SHARE)]
        else:
            pool, purpose = [p for p in house if chance(rng, 0.3)], "emergency"
        if not pool:
            return None
        patient = pick(rng, pool)
        kind = weigh(rng, _CLINICAL_KINDS[person.role])
        if kind == "admin" and purpose != "treatment":
            kind = "chart"
        return patient, patient.specialty if kind == "third" else kind, purpose

    def _ask_in_bulk(self, person: Staff, day: int, shift: str) -> Iterator[Attempt]:
        """Yield audits, cohort pulls and transfers: honest work that looks like harvesting."""
        rng = self._rng
        odds = {"researcher": 0.10, "clerk": 0.035, "physician": 0.02}.get(person.role, 0.0)
        if shift != "office" or not chance(rng, odds):
            return
        hour = 24 * day + float(rng.uniform(9.0, 16.0))
        place = choose_place(rng, person, day)
        purpose = {"researcher": "research", "clerk": "billing"}.get(person.role, "quality")
        pool: Sequence[Patient] = self._cohorts[person.name]
        if person.role != "researcher":
            pool = self._by_house[person.organisation]
        bulk = replace(place, volume_factor=1.6, reads=2.0) if person.role == "researcher" else place
        for index in rng.permutation(len(pool))[: 5 + int(rng.integers(7))]:
            hour += float(rng.exponential(0.12))
            kind = pool[index].specialty if purpose == "research" and chance(rng, 0.5) else "chart"
            attempt = self._ask(person, pool[index], kind, purpose, hour=hour, place=bulk)
            if attempt is not None:
                yield attempt

    def _prefer_caseload(self, person: Staff, pool: Sequence[Patient]) -> Sequence[Patient]:
        """Return the person's own part of ``pool``, or all of it when colleagues' work is covered."""
        own = [p for p in pool if is_assigned(person, p, CASELOAD_SHARE)]
        return own if own and chance(self._rng, CASELOAD_RATE) else pool

    @staticmethod
    def _is_around(patient: Patient, hour: float) -> bool:
        return patient.stay_at(hour) is not None or any(abs(visit - hour) <= 12 for visit in patient.visits_h)  # noqa: PLR2004 - hours

    @staticmethod
    def _was_around(patient: Patient, hour: float) -> bool:
        return any(stay.start_h <= hour < stay.end_h + 14 * 24 for stay in patient.stays)


def _reveal(rng: np.random.Generator, attempt: Attempt, live_from_s: int) -> int | None:
    """Return when the truth about ``attempt`` becomes known, or None.

    History has been audited: all but some undetected abuse is known before the live part. Later the privacy office
    reviews one request in eight, and victims find out about some abuse on their own.
    """
    if attempt.time_s < live_from_s:
        if attempt.denied and chance(rng, 0.12):
            return None
        return min(live_from_s, attempt.time_s + int(rng.uniform(1.0, 5.0) * DAY_S))
    candidates = []
    if chance(rng, 0.12):
        candidates.append(rng.lognormal(np.log(2.5), 0.5))
    if attempt.denied and chance(rng, 0.25):
        candidates.append(rng.lognormal(np.log(1.5), 0.6))
    return attempt.time_s + int(min(candidates) * DAY_S) if candidates else None


def hospital(
    seed: int, *, days: int = 30, history_days: int = 12, staff: int = 60, records: int = 300, intensity: float = 1.0
) -> Workload:
    """Draw the hospital workload of one seed: 3 organisations, normal life, and six kinds of abuse.

    Args:
        seed: any non-negative integer; equal arguments give equal workloads, byte for byte.
        days: simulated days in all, at least 20.
        history_days: days before the live part, at least 6 and at most ``days - 10``.
        staff: people who ask, at least 20.
        records: assets, three a patient, at least 90.
        intensity: factor on how often people ask, more than 0.

    Raises:
        ValueError: a size is out of range.

    >>> workload = hospital(1)
    >>> len(workload.members), len(workload.records), len(workload.live) >= 2000
    (60, 300, True)
    """
    if days < 20 or not 6 <= history_days <= days - 10 or staff < 20 or records < 90 or intensity <= 0:  # noqa: PLR2004 - documented ranges
        raise ValueError("need days >= 20, 6 <= history_days <= days - 10, staff >= 20, records >= 90, intensity > 0")
    clinic = build_clinic(seed, days=days, history_days=history_days, staff=staff, records=records)
    life = _DailyLife(seed, clinic, intensity)
    normal = [attempt for day in range(days) for person in clinic.staff for attempt in life.requests_of(person, day)]
    normal.sort(key=lambda attempt: (attempt.time_s, attempt.requester, attempt.asset))
    live_from_s = START_S + history_days * DAY_S
    attempts = [*normal, *plan_attacks(seed, clinic, normal)]
    attempts.sort(key=lambda attempt: (attempt.time_s, attempt.requester, attempt.asset))
    rng = stream(seed, "labels")
    labelled = [replace(attempt, label_at_s=_reveal(rng, attempt, live_from_s)) for attempt in attempts]
    return Workload(
        name=f"hospital-{seed}",
        organisations=ORGANISATIONS,
        members=clinic.members,
        records=clinic.records,
        consents=clinic.consents,
        history=tuple(attempt for attempt in labelled if attempt.time_s < live_from_s),
        live=tuple(attempt for attempt in labelled if attempt.time_s >= live_from_s),
    )
