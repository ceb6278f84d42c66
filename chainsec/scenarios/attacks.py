"""Six kinds of abuse, planned into the normal life of a clinic so that each overlaps with it.

Layer: scenarios. Not here: normal requests (``hospital``), when abuse becomes known (``hospital``), detection.
Attackers, victims, days and sizes vary with the seed; no attack asks for what no owner consented to, because the
contracts stop that without any agent.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from chainsec.scenarios.clinic import (
    CASELOAD_SHARE,
    CLINICAL,
    DAY_S,
    HOSPITALS,
    HOUR_S,
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
from chainsec.scenarios.reception import (
    DURATION_S,
    Asking,
    Reception,
    choose_action,
    choose_place,
    plan_uses,
    workstation,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from chainsec.scenarios.workload import Attempt

ATTACK_KINDS = (
    "stolen_credentials",
    "snooping",
    "purpose_misuse",
    "mass_export",
    "dormant_account",
    "slow_exfiltration",
)
"""Every kind of abuse, as it stands in ``Attempt.attack``."""

HISTORY_SHARES = {"stolen_credentials": 0.025, "snooping": 0.028, "purpose_misuse": 0.022}
"""Attack requests of each kind, as a share of the normal requests of the history. The other kinds come later."""

LIVE_SHARES = {
    "stolen_credentials": 0.019,
    "snooping": 0.021,
    "purpose_misuse": 0.014,
    "mass_export": 0.009,
    "dormant_account": 0.007,
    "slow_exfiltration": 0.009,
}
"""The same for the live part; together 7.9 % of normal requests, that is 7.3 % of all."""


class _Villains:
    """Plans campaigns between two days. Knows the truth of the clinic, and takes care to look ordinary."""

    def __init__(self, seed: int, clinic: Clinic, normal: Sequence[Attempt], phase: str) -> None:
        self._rng = stream(seed, f"attacks/{phase}")
        self._clinic = clinic
        self._reception = Reception(clinic)
        self._first, self._last = (0, clinic.history_days) if phase == "history" else (clinic.history_days, clinic.days)
        self._staff = {person.name: person for person in clinic.staff}
        self._woken: set[str] = set()
        counts = Counter(attempt.requester for attempt in normal)
        self._busy = [person for person in clinic.staff if counts[person.name] >= 5 and not person.dormant]  # noqa: PLR2004 - enough to imitate

    def campaign(self, kind: str) -> Iterator[Attempt]:
        """Yield the requests of one campaign of ``kind``; an unlucky draw yields none."""
        plans: dict[str, Callable[[], Iterator[Attempt]]] = {
            "stolen_credentials": self._steal_credentials,
            "snooping": self._snoop,
            "purpose_misuse": self._misuse_purpose,
            "mass_export": self._export_en_masse,
            "dormant_account": self._wake_account,
            "slow_exfiltration": self._exfiltrate_slowly,
        }
        yield from plans[kind]()

    def _day(self, person: Staff) -> int | None:
        """Return a day in this phase on which the person works."""
        days = [day for day in range(self._first, self._last) if person.worked[day]]
        return pick(self._rng, days) if days else None

    def _shift_hour(self, person: Staff, day: int) -> float:
        first, last = SHIFT_HOURS[person.worked[day] or "office"]
        return 24 * day + first + (last - first + 0.8) * float(self._rng.beta(1.3, 1.8))

    def _request(
        self,
        attack: str,
        person: Staff,
        patient: Patient,
        kind: str,
        purpose: str,
        *,
        hour: float,
        place: Asking,
        action: str = "",
    ) -> Iterator[Attempt]:
        """Yield the request, or its reading kin, if an owner's consent covers it and it falls into this phase."""
        time_s = START_S + int(hour * HOUR_S)
        action = action or choose_action(self._rng, person.role, purpose)
        inside = self._first <= hour / 24 < self._last
        until_s = time_s + DURATION_S[purpose]
        record = patient.records[kind]
        for allowed in dict.fromkeys((action, "read")):
            if inside and self._clinic.consents_to(record, person.organisation, purpose, allowed, until_s):
                beyond = 0.25 if attack == "mass_export" else 0.02
                uses = plan_uses(self._rng, kind, allowed, DURATION_S[purpose], place, beyond=beyond)
                yield self._reception.write_down(
                    self._rng,
                    person,
                    patient,
                    kind=kind,
                    action=allowed,
                    purpose=purpose,
                    time_s=time_s,
                    asking=place,
                    attack=attack,
                    uses=uses,
                )
                return

    def _steal_credentials(self) -> Iterator[Attempt]:
        """Somebody else works with a clinician's account for a few evenings, on patients all over the house."""
        rng = self._rng
        person = pick(rng, [p for p in self._busy if p.role in CLINICAL or (p.role == "lab" and chance(rng, 0.5))])
        daytime = chance(rng, 0.7)
        start = pick(
            rng, [d for d in range(self._first, self._last) if person.planned[d] or not daytime] or [self._first]
        )
        foreign = f"lt-{int(rng.integers(16**4)):04x}"
        hijacked = chance(rng, 0.1)
        house = self._house(person)
        for night in range(1 + int(rng.integers(3))):
            hour = 24.0 * (start + night) + (rng.uniform(8.0, 17.0) if daytime else rng.normal(21.5, 2.5))
            for _ in range(2 + int(rng.integers(4))):
                hour += float(rng.exponential(0.35))
                day = min(max(int(hour // 24), 0), self._clinic.days - 1)
                own = choose_place(rng, person, day)
                place = own if hijacked and chance(rng, 0.8) else Asking(foreign, weigh(rng, {"vpn": 0.6, "wifi": 0.4}))
                if chance(rng, 0.06):
                    ward = pick(rng, ("emergency", "medicine", "surgery"))
                    place = Asking(workstation(person.organisation, ward, 1 + int(rng.integers(3))), "ward-lan")
                patient = pick(rng, house)
                if chance(rng, 0.2):  # what lies open on the victim's own worklist
                    patient = pick(rng, self._own_patients(person, hour) or house)
                kind = weigh(rng, {"admin": 0.15, "chart": 0.45, patient.specialty: 0.40})
                purpose = "diagnosis" if person.role == "lab" else "emergency" if chance(rng, 0.15) else "treatment"
                busy = replace(place, reads=1.8)
                yield from self._request("stolen_credentials", person, patient, kind, purpose, hour=hour, place=busy)

    def _house(self, person: Staff) -> list[Patient]:
        """Return the patients whom the person's organisation works for."""
        if person.organisation in HOSPITALS:
            return [p for p in self._clinic.patients if p.organisation == person.organisation]
        return list(self._clinic.patients)

    def _own_patients(self, person: Staff, hour: float) -> list[Patient]:
        return [p for p in self._clinic.patients if (stay := p.stay_at(hour)) and person.name in stay.carers]

    def _snoop(self) -> Iterator[Attempt]:
        """One of the staff looks at people they have no care relation with, on duty and at their own desk."""
        rng = self._rng
        person = pick(rng, [p for p in self._busy if p.organisation in HOSPITALS])
        day = self._day(person)
        if day is None:
            return
        hour = self._shift_hour(person, day)
        strangers = [
            p
            for p in self._clinic.patients
            if p.organisation == person.organisation and not any(person.name in stay.carers for stay in p.stays)
        ]
        known = [p for p in strangers if p.group != "regular"]
        near = [p for p in strangers if (stay := p.stay_at(hour)) and stay.ward == person.ward_on(day)]
        if near and chance(rng, 0.2):
            strangers, known = near, []
        if not strangers:
            return
        patient = pick(rng, known if known and chance(rng, 0.7) else strangers)
        purpose = {"clerk": weigh(rng, {"administration": 0.3, "billing": 0.7}), "lab": "diagnosis"}.get(
            person.role, "emergency" if chance(rng, 0.3) else "treatment"
        )
        for _ in range(1 + int(rng.integers(3))):
            kind = weigh(rng, {"admin": 0.15, "chart": 0.5, patient.specialty: 0.35})
            place = replace(choose_place(rng, person, day), reads=0.8)
            yield from self._request("snooping", person, patient, kind, purpose, hour=hour, place=place, action="read")
            hour += float(rng.exponential(0.3)) if chance(rng, 0.7) else 24.0

    def _misuse_purpose(self) -> Iterator[Attempt]:
        """Data is taken under a purpose that its owner allowed, for one that was not allowed."""
        rng = self._rng
        role = weigh(rng, {"researcher": 0.25, "clerk": 0.2, "lab": 0.15, "physician": 0.25, "nurse": 0.15})
        person = pick(rng, [p for p in self._busy if p.role == role] or self._busy)
        day = self._day(person)
        if day is None:
            return
        place = choose_place(rng, person, day)
        hour = self._shift_hour(person, day)
        claimed = {
            "researcher": ("quality", ("chart",)),
            "clerk": ("billing", ("chart", "third")),
            "lab": ("diagnosis", ("third",)),
        }.get(person.role, ("treatment", ("chart", "third")))
        pool = self._house(person)
        if person.role == "researcher" or chance(rng, 0.5):
            pool = [p for p in pool if p.refuses_research] or pool
        for _ in range(4 + int(rng.integers(5))):
            patient = pick(rng, pool)
            kind = pick(rng, claimed[1])
            kind = patient.specialty if kind == "third" else kind
            action = "export" if chance(rng, 0.5) else "read"
            yield from self._request(
                "purpose_misuse", person, patient, kind, claimed[0], hour=hour, place=place, action=action
            )
            hour += float(rng.exponential(0.25))

    def _export_en_masse(self) -> Iterator[Attempt]:
        """Somebody about to leave takes along what their ordinary requests open; the harm is in the uses."""
        rng = self._rng
        person = pick(rng, [p for p in self._busy if p.role in {"researcher", "clerk", "physician"}])
        day = self._day(person)
        if day is None:
            return
        purpose = {"researcher": "research", "clerk": "billing"}.get(person.role, "treatment")
        hour = self._shift_hour(person, day)
        count = 9 + int(rng.integers(7))
        taken: set[str] = set()
        for number in range(count):
            if number == count // 2 and chance(rng, 0.6):
                day = self._day(person) or day
                hour = self._shift_hour(person, day)
            patient = self._plausible(person, hour, taken)
            kind = weigh(
                rng, {"chart": 0.6, patient.specialty: 0.4} if purpose != "billing" else {"admin": 0.5, "chart": 0.5}
            )
            action = "export" if chance(rng, 0.8) else "read"
            place = replace(choose_place(rng, person, day), reads=9.0, volume_factor=3.0, export_rate=1.0, spread=0.12)
            yield from self._request(
                "mass_export", person, patient, kind, purpose, hour=hour, place=place, action=action
            )
            hour += float(rng.exponential(0.2))

    def _plausible(self, person: Staff, hour: float, taken: set[str]) -> Patient:
        """Return a patient whom nobody would wonder about, and note them as taken.

        Who wants many records has no use for the same one twice, so what is new to them runs out near at hand.
        """
        rng = self._rng
        house = [p for p in self._house(person) if p.name not in taken] or self._house(person)
        near = house
        if person.role in CLINICAL:
            day = min(max(int(hour // 24), 0), self._clinic.days - 1)
            near = [p for p in house if (s := p.stay_at(hour)) and s.ward == person.ward_on(day)]
        elif person.role == "clerk":
            near = [p for p in house if is_assigned(person, p, CASELOAD_SHARE)]
        patient = pick(rng, near if near and chance(rng, 0.5) else house)
        taken.add(patient.name)
        return patient

    def _wake_account(self) -> Iterator[Attempt]:
        """The account of somebody who left is used again."""
        rng = self._rng
        asleep = [p for p in self._clinic.staff if p.dormant]
        person = pick(rng, [p for p in asleep if p.name not in self._woken] or asleep)
        self._woken.add(person.name)
        start = pick(rng, range(self._first + 1, self._last))
        foreign = f"lt-{int(rng.integers(16**4)):04x}" if chance(rng, 0.6) else person.device_on(0)
        house = self._house(person)
        purpose = {"researcher": "research", "clerk": "billing", "lab": "diagnosis"}.get(person.role, "treatment")
        days = [
            day for day in range(start, start + 5) if day < self._last and (person.planned[day] or chance(rng, 0.3))
        ]
        for day in days[: 1 + int(rng.integers(3))]:
            first, last = SHIFT_HOURS[person.planned[day] or "office"]
            hour = 24 * day + float(rng.uniform(first - 0.5, last - 0.5))
            for _ in range(2 + int(rng.integers(3))):
                patient = pick(rng, house)
                kind = weigh(rng, {"chart": 0.6, patient.specialty: 0.4})
                place = Asking(foreign, weigh(rng, {"vpn": 0.5, "wifi": 0.25, "office-lan": 0.25}), reads=2.0)
                yield from self._request("dormant_account", person, patient, kind, purpose, hour=hour, place=place)
                hour += float(rng.exponential(0.5))

    def _exfiltrate_slowly(self) -> Iterator[Attempt]:
        """One or two ordinary requests a shift for weeks, each used a little more than its work would need."""
        rng = self._rng
        person = pick(rng, [p for p in self._busy if p.role in {"researcher", "clerk", "physician", "nurse"}])
        purpose = {"researcher": "research", "clerk": "billing"}.get(person.role, "treatment")
        start = self._first + int(rng.integers(5))
        taken: set[str] = set()
        for day in range(start, self._last):
            if not person.worked[day]:
                continue
            for _ in range(1 + int(rng.integers(2)) + int(chance(rng, 0.3))):
                hour = self._shift_hour(person, day)
                patient = self._plausible(person, hour, taken)
                kind = weigh(rng, {"admin": 0.1, "chart": 0.6, patient.specialty: 0.3})
                place = replace(choose_place(rng, person, day), reads=4.0, volume_factor=2.2, export_rate=1.0)
                action = "export" if chance(rng, 0.8) else "read"
                yield from self._request(
                    "slow_exfiltration", person, patient, kind, purpose, hour=hour, place=place, action=action
                )


def plan_attacks(seed: int, clinic: Clinic, normal: Sequence[Attempt]) -> list[Attempt]:
    """Return the labelled attacks of one seed, in no order; ``denied`` is True for each.

    Args:
        seed: any non-negative integer.
        clinic: the world they happen in.
        normal: the requests among which the attacks hide; they set how many attacks there are.
    """
    live_from_s = START_S + clinic.history_days * DAY_S
    attacks: list[Attempt] = []
    for phase, shares in (("history", HISTORY_SHARES), ("live", LIVE_SHARES)):
        villains = _Villains(seed, clinic, normal, phase)
        size = sum((attempt.time_s < live_from_s) == (phase == "history") for attempt in normal)
        for kind, share in shares.items():
            wanted = round(share * size)
            planned: list[Attempt] = []
            for _ in range(4 * wanted):
                if len(planned) >= wanted:
                    break
                planned += villains.campaign(kind)
            attacks += planned[:wanted]
    return attacks
