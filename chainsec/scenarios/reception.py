"""How a request looks to the gateway: recorded facts that lag or err, a justification, and the uses that follow.

Layer: scenarios. Not here: who asks when (``hospital``), abuse (``attacks``). The truth of care stays in ``clinic``;
only what the records show gets into the attributes.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from chainsec.scenarios.clinic import DAY_S, HOUR_S, START_S, Clinic, Patient, Staff, chance, pick, weigh
from chainsec.scenarios.workload import Attempt, PlannedUse

DURATION_S = {
    "treatment": 24 * HOUR_S,
    "emergency": 4 * HOUR_S,
    "diagnosis": 12 * HOUR_S,
    "sharing": 48 * HOUR_S,
    "administration": 24 * HOUR_S,
    "billing": 48 * HOUR_S,
    "quality": 72 * HOUR_S,
    "legal": 72 * HOUR_S,
    "research": 7 * DAY_S,
}
"""How long a grant is asked for, by purpose."""

_LOG_VOLUME = {
    "admin": (np.log(2e4), 0.6),
    "chart": (np.log(1.2e5), 0.8),
    "lab": (np.log(4e5), 0.9),
    "psychiatry": (np.log(1.5e5), 0.8),
    "genetics": (np.log(2.5e7), 0.7),
}
"""Mean and spread of the logarithm of the bytes in one use, by kind of record."""

_WORDS = {
    "treatment": ("ward round", "medication review", "handover", "new symptoms", "follow-up", "wound check", "", ""),
    "emergency": (
        "cardiac arrest, bed {n}",
        "trauma call, patient unconscious",
        "sepsis alert, allergies needed",
        "stroke team, door time {n} min",
        "anaphylaxis in bay {n}",
        "urgent",
    ),
    "diagnosis": ("order {n}", "repeat of sample {n}", "critical value", "validation", ""),
    "sharing": ("referral {n}", "transfer letter", "second opinion", ""),
    "administration": ("address change", "appointment letter", "insurance data", "bed planning", ""),
    "billing": ("invoice {n}", "coding query {n}", "claim {n} returned", "quarter close", ""),
    "quality": ("audit sample {n}", "readmission review", "infection audit", "mortality review"),
    "legal": ("claim file {n}", "disclosure request {n}"),
    "research": ("cohort {n}", "protocol amendment, cohort {n}", "data check", ""),
}


@dataclass(frozen=True)
class Asking:
    """What decides a request's looks besides who asks for what.

    Args:
        device, network: where the request comes from.
        reads: mean number of reads after the first.
        export_rate: probability of an export among the uses where the action allows one.
        volume_factor: how much larger than usual the volumes are.
        spread: share of the grant's duration over which uses fall, in (0, 1].
    """

    device: str
    network: str
    reads: float = 0.7
    export_rate: float = 0.9
    volume_factor: float = 1.0
    spread: float = 0.35


def workstation(organisation: str, ward: str, number: int) -> str:
    """Return the name of a shared machine.

    >>> workstation("northfield", "surgery", 2)
    'ws-nor-sur-2'
    """
    return f"ws-{organisation[:3]}-{ward[:3]}-{number}"


def choose_place(rng: np.random.Generator, person: Staff, day: int, *, at_home: bool = False) -> Asking:
    """Return the machine and network that a person uses on an ordinary occasion."""
    ward = person.ward_on(day)
    own = person.device_on(day)
    if at_home:
        return Asking(own, "vpn")
    if chance(rng, 0.025):
        return Asking(f"loan-{int(rng.integers(16**3)):03x}", pick(rng, ("wifi", "ward-lan")))
    favourite = zlib.crc32(person.name.encode()) % 3
    shared = workstation(
        person.organisation, ward, 1 + (favourite + int(chance(rng, 0.25)) + int(chance(rng, 0.1))) % 3
    )
    if person.role in {"clerk", "researcher"}:
        remote = chance(rng, 0.28 if person.role == "researcher" else 0.06)
        return Asking(own, "vpn" if remote else "office-lan")
    if person.role == "physician" and chance(rng, 0.4):
        return Asking(own, "vpn" if chance(rng, 0.12) else "wifi")
    if chance(rng, 0.05):
        elsewhere = pick(rng, ("emergency", "medicine", "surgery", "laboratory"))
        return Asking(workstation(person.organisation, elsewhere, 1 + int(rng.integers(3))), "ward-lan")
    return Asking(shared, "ward-lan")


def plan_uses(
    rng: np.random.Generator, kind: str, action: str, duration_s: int, asking: Asking, *, beyond: float = 0.004
) -> tuple[PlannedUse, ...]:
    """Draw the uses that follow a grant, in time order; volumes are lognormal by kind of record.

    Args:
        rng: the stream to draw from.
        kind: of record; sets the usual volume.
        action: what was asked for: ``read``, ``write`` or ``export``.
        duration_s: how long the grant lasts, more than 60.
        asking: how many uses, how large, how soon.
        beyond: probability that one use tries to export under a grant that does not allow it.
    """
    mean, spread = _LOG_VOLUME[kind]
    actions = ["read"] * (1 + int(rng.poisson(asking.reads)))
    if action == "write":
        actions.append("write")
    elif action == "export":
        if chance(rng, asking.export_rate):
            actions += ["export"] * (1 + int(rng.poisson(0.15)))
    elif chance(rng, beyond):
        actions.append("export")
    span = duration_s * asking.spread
    moments = np.sort(np.minimum(rng.exponential(span / 3, size=len(actions)), duration_s - 60)).astype(int) + 20
    volumes = rng.lognormal(mean + np.log(asking.volume_factor), spread, size=len(actions)).astype(int) + 1
    return tuple(PlannedUse(int(t), a, int(v)) for t, a, v in zip(moments, actions, volumes, strict=True))


class Reception:
    """Writes requests down as the gateway knows them. Holds no state but the clinic.

    Args:
        clinic: the world that the records describe, with their lags.
    """

    def __init__(self, clinic: Clinic) -> None:
        self._clinic = clinic

    def attributes(self, person: Staff, patient: Patient, kind: str, time_s: int, asking: Asking) -> dict[str, str]:
        """Return the categorical facts on record at ``time_s``. Changes nothing."""
        hour = (time_s - START_S) / HOUR_S
        day = min(int(hour // 24), self._clinic.days - 1)
        ward = person.recorded_ward_on(day)
        stay = patient.recorded_stay_at(hour)
        place = stay.ward if stay else "outpatient"
        return {
            "role": person.role,
            "organisation": person.organisation,
            "requester_ward": ward,
            "patient": patient.name,
            "patient_hospital": patient.organisation,
            "patient_ward": place,
            "patient_group": patient.group,
            "ward_relation": self._relate(person, ward, patient, place),
            "team_list": self._read_team_list(person, patient, hour),
            "duty": person.planned_duty(hour),
            "device": asking.device,
            "network": asking.network,
            "record_kind": kind,
        }

    def write_down(
        self,
        rng: np.random.Generator,
        person: Staff,
        patient: Patient,
        *,
        kind: str,
        action: str,
        purpose: str,
        time_s: int,
        asking: Asking,
        attack: str | None = None,
        uses: tuple[PlannedUse, ...] | None = None,
    ) -> Attempt:
        """Return the request as it reaches the chain, with its truth and the uses that would follow."""
        duration_s = DURATION_S[purpose]
        wording = pick(rng, _WORDS[purpose]).format(n=int(rng.integers(1, 100)))
        planned = plan_uses(rng, kind, action, duration_s, asking) if uses is None else uses
        attributes = self.attributes(person, patient, kind, time_s, asking)
        attributes["emergency"] = "yes" if purpose == "emergency" else "no"
        return Attempt(
            time_s=time_s,
            requester=person.name,
            asset=patient.records[kind],
            action=action,
            purpose=purpose,
            duration_s=duration_s,
            attributes=attributes,
            text=wording,
            denied=attack is not None,
            attack=attack,
            uses=planned,
        )

    @staticmethod
    def _relate(person: Staff, ward: str, patient: Patient, place: str) -> str:
        if person.organisation != patient.organisation:
            return "other house"
        if place == "outpatient":
            return "outpatient"
        return "same ward" if ward == place else "other ward"

    @staticmethod
    def _read_team_list(person: Staff, patient: Patient, hour: float) -> str:
        spans = [stay.team[person.name] for stay in patient.stays if person.name in stay.team]
        if any(start <= hour < end for start, end in spans):
            return "listed"
        return "earlier" if any(end <= hour for _, end in spans) else "not listed"


def choose_action(rng: np.random.Generator, role: str, purpose: str) -> str:
    """Return what is usually done with a record in that role for that purpose."""
    if purpose in {"treatment", "diagnosis"}:
        writes = {"physician": 0.16, "nurse": 0.12, "lab": 0.25}.get(role, 0.0)
        return weigh(rng, {"read": 0.97 - writes, "write": writes, "export": 0.03})
    exports = {"research": 0.30, "billing": 0.12, "sharing": 0.15, "quality": 0.10, "legal": 0.30}.get(purpose, 0.0)
    return "export" if chance(rng, exports) else "read"
