"""Deploys the contracts, gives each role its functions, and hands out the services on top.

Layer: below ``sandbox``, above ``services``. Not here: who holds which key (``sandbox``); what a function does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainsec.ledger.artifact import load_artifact
from chainsec.services.access import Access
from chainsec.services.assets import Assets
from chainsec.services.audit import Audit
from chainsec.services.authority import Authority, Role
from chainsec.services.consent import Consent
from chainsec.services.identity import Identity
from chainsec.services.sentinel import Sentinel, limit_fields

if TYPE_CHECKING:
    from chainsec.config import Limits
    from chainsec.ledger.account import Account
    from chainsec.ledger.client import Client
    from chainsec.primitives import Address


@dataclass(frozen=True)
class Keys:
    """The accounts that run a deployment; each holds one role."""

    admin: Account
    agent: Account
    guardian: Account
    steward: Account
    notary: Account
    policy: Account


@dataclass(frozen=True)
class Deployment:
    """The services of one deployment."""

    authority: Authority
    identity: Identity
    assets: Assets
    consent: Consent
    access: Access
    sentinel: Sentinel
    audit: Audit

    def addresses(self) -> dict[str, Address]:
        """Return each contract's address, by its name in ``contracts/``."""
        return {
            "Authority": self.authority.contract.address,
            "DidRegistry": self.identity.contract.address,
            "AssetRegistry": self.assets.contract.address,
            "ConsentLedger": self.consent.contract.address,
            "AccessGrants": self.access.contract.address,
            "Sentinel": self.sentinel.contract.address,
            "AuditTrail": self.audit.contract.address,
        }


POLICY_DELAY_S = 86_400
"""A change of limits waits for a day, in which guardians can cancel it."""

_AGENT_FUNCTIONS = ("decide", "decideMany", "revoke", "quarantine", "raiseAlert")
_GUARDIAN_FUNCTIONS = ("approve", "cancel", "release", "suspendAgent")


def deploy(client: Client, keys: Keys, limits: Limits) -> Deployment:
    """Deploy every contract and wire the roles, from ``keys.admin``.

    Each contract stands in a block of its own, the wiring in one more.

    Args:
        client: sends; nothing else of it is waiting.
        keys: who gets which role. The agent's account must hold no other.
        limits: what the Sentinel lets the agent do.

    Raises:
        ContractReverted: the chain refused a step.
    """
    admin = keys.admin
    authority = client.deploy(admin, load_artifact("Authority"), admin.address)
    identities = client.deploy(admin, load_artifact("DidRegistry"))
    assets = client.deploy(admin, load_artifact("AssetRegistry"), authority.address)
    consents = client.deploy(
        admin, load_artifact("ConsentLedger"), authority.address, assets.address, identities.address
    )
    grants = client.deploy(
        admin, load_artifact("AccessGrants"), authority.address, assets.address, consents.address, identities.address
    )
    sentinel = client.deploy(admin, load_artifact("Sentinel"), authority.address, grants.address, limit_fields(limits))
    trail = client.deploy(admin, load_artifact("AuditTrail"), authority.address)
    deployment = Deployment(
        authority=Authority(client, authority),
        identity=Identity(client, identities),
        assets=Assets(client, assets),
        consent=Consent(client, consents),
        access=Access(client, grants),
        sentinel=Sentinel(client, sentinel),
        audit=Audit(client, trail),
    )
    _wire(deployment, keys)
    client.settle()
    return deployment


def _wire(deployment: Deployment, keys: Keys) -> None:
    authority, admin = deployment.authority, keys.admin
    sentinel, grants = deployment.sentinel.contract, deployment.access.contract
    authority.set_agent_door(admin, sentinel.address)
    deployment.access.set_door(admin, sentinel.address)
    authority.open_functions(admin, sentinel, _AGENT_FUNCTIONS, Role.AGENT)
    authority.open_functions(admin, sentinel, _GUARDIAN_FUNCTIONS, Role.GUARDIAN)
    authority.open_functions(admin, sentinel, ("setLimits", "resumeAgent"), Role.POLICY)
    authority.open_functions(admin, grants, ("pause", "resume"), Role.GUARDIAN)
    authority.open_functions(
        admin, deployment.assets.contract, ("register", "registerMany", "raiseSensitivity"), Role.STEWARD
    )
    authority.open_functions(admin, deployment.consent.contract, ("revoke",), Role.GUARDIAN)
    authority.open_functions(admin, deployment.audit.contract, ("anchor",), Role.NOTARY)
    authority.grant_role(admin, Role.AGENT, keys.agent.address)
    authority.grant_role(admin, Role.GUARDIAN, keys.guardian.address)
    authority.grant_role(admin, Role.STEWARD, keys.steward.address)
    authority.grant_role(admin, Role.NOTARY, keys.notary.address)
    authority.grant_role(admin, Role.POLICY, keys.policy.address, delay_s=POLICY_DELAY_S)
