"""The purposes that requests and consents may name, each tied to a term of the W3C Data Privacy Vocabulary.

Layer: above ``primitives``. Not here: whether a purpose is allowed for anything; that is what consents say.

Source: DPV 2.2, ``dpv/modules/purposes`` and ``sector/health/modules/purposes``.
"""

from __future__ import annotations

from types import MappingProxyType

from chainsec.errors import UnknownPurpose
from chainsec.primitives import Hash32, Purpose

DPV_ROOT = "https://w3id.org/dpv"
_CORE = DPV_ROOT + "#"
_HEALTH = DPV_ROOT + "/sector/health#"

_TERMS = {
    "treatment": _HEALTH + "ServiceProvision",
    "emergency": _HEALTH + "EmergencyCareManagement",
    "diagnosis": _HEALTH + "DiagnosisManagement",
    "sharing": _HEALTH + "ProvidersDataSharing",
    "administration": _HEALTH + "PatientInformationManagement",
    "insurance": _HEALTH + "HealthInsuranceManagement",
    "public-health": _HEALTH + "PublicHealthMonitoring",
    "billing": _CORE + "PaymentManagement",
    "research": _CORE + "ScientificResearch",
    "quality": _CORE + "ImproveHealthcare",
    "legal": _CORE + "LegalCompliance",
    "security": _CORE + "EnforceSecurity",
    "service": _CORE + "ServiceProvision",
}

PURPOSES = MappingProxyType({name: Purpose(name, iri) for name, iri in _TERMS.items()})
"""Every known purpose by its short name. ``service`` stands for access to an internal IT resource."""

_BY_IRI = {purpose.iri: purpose for purpose in PURPOSES.values()}
_BY_HASH = {purpose.hash: purpose for purpose in PURPOSES.values()}


def find_purpose(name_or_iri: str) -> Purpose:
    """Return the purpose with that short name or that DPV IRI.

    Args:
        name_or_iri: a short name, any case, spaces around it ignored; or an exact IRI under ``https://w3id.org/dpv``.

    Raises:
        UnknownPurpose: nothing is registered under it; the message lists the names that are.

    >>> find_purpose("research").iri
    'https://w3id.org/dpv#ScientificResearch'
    >>> find_purpose("https://w3id.org/dpv/sector/health#EmergencyCareManagement").name
    'emergency'
    """
    wanted = name_or_iri.strip()
    found = PURPOSES.get(wanted.lower()) or _BY_IRI.get(wanted)
    if found is None:
        known = ", ".join(sorted(PURPOSES))
        raise UnknownPurpose(
            f"unknown purpose {wanted!r}; known are {known}, and the IRIs they stand for",
            purpose=wanted,
            known=tuple(sorted(PURPOSES)),
        )
    return found


def purpose_of_hash(digest: bytes) -> Purpose:
    """Return the purpose that stands on chain as ``digest``.

    Args:
        digest: Keccak-256 of the purpose's IRI, 32 bytes.

    Raises:
        UnknownPurpose: no registered purpose has that hash.

    >>> purpose_of_hash(find_purpose("billing").hash).name
    'billing'
    """
    found = _BY_HASH.get(Hash32(digest))
    if found is None:
        raise UnknownPurpose(f"no registered purpose has the hash {Hash32(digest)}", purpose=str(Hash32(digest)))
    return found
