"""The composition root: settings in, a running system out.

A sandbox is one engine, the deployed contracts with their services, the keys of everybody who acts, and agents at
work on it. Layer: above services and defence, below scenarios. Not here: any rule.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from chainsec.chain_agent import ChainActions, ChainRequests
from chainsec.config import Config
from chainsec.contexts import Contexts, make_context, request_fields
from chainsec.defence.agent import Agent, ReceiptLog
from chainsec.defence.policy import Thresholds, thresholds_by_sensitivity
from chainsec.deployment import Keys, deploy
from chainsec.digest import canonical_json, digest_json, keccak
from chainsec.errors import UnknownParty
from chainsec.journal import Journal
from chainsec.ledger.account import Account
from chainsec.ledger.client import Client
from chainsec.ledger.engine import open_engine
from chainsec.primitives import ACTION_SCOPES, ZERO_HASH, AccessRequest, Hash32, Scope
from chainsec.purposes import find_purpose
from chainsec.services.assets import Registration
from chainsec.services.consent import Terms

if TYPE_CHECKING:
    from chainsec.defence.observation import UseWatcher
    from chainsec.defence.receipts import DigestedModel
    from chainsec.ledger.engine import Engine
    from chainsec.primitives import Address

MEMBERSHIP_S = 10 * 365 * 86_400


class Sandbox:
    """A whole ChainSec system on one engine.

    Every method that changes something makes a block and returns once it stands. For many changes in one block use
    ``deployment`` and ``client`` directly.

    Args:
        config: settings; defaults where omitted.
        engine: a chain to deploy on; a fresh one in memory where omitted.
        key_seed: all keys follow from it. Omitted: from the operating system's randomness.
        is_replay: go over what stands on the engine's chain instead of adding to it; see ``Client``.
        contexts: where contexts are kept; in memory where omitted.

    >>> box = Sandbox()
    >>> clinic = box.add_organisation("clinic")
    >>> nurse = box.add_member("clinic", "nurse")
    >>> scan = box.add_asset("patient", b"the scan", sensitivity=2)
    >>> box.give_consent("patient", scan, "clinic", "treatment")
    >>> request = box.request("nurse", scan, "treatment", organisation="clinic")
    >>> box.deployment.access.status_of(request.id).name
    'PENDING'
    >>> box.close()
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        engine: Engine | None = None,
        key_seed: bytes | None = None,
        is_replay: bool = False,
        contexts: Journal | None = None,
    ) -> None:
        self.config = config or Config()
        chain = self.config.chain
        self.engine = engine or open_engine(
            "eth-tester", chain_id=chain.chain_id, genesis_time=chain.genesis_time_s
        )
        self._key_seed = key_seed if key_seed is not None else os.urandom(32)
        self._accounts: dict[str, Account] = {}
        self.client = Client(self.engine, transaction_gas=chain.transaction_gas, is_replay=is_replay)
        self.keys = Keys(*(self.account(f"role:{role}") for role in Keys.__dataclass_fields__))
        self.deployment = deploy(self.client, self.keys, self.config.limits)
        self.contexts = Contexts()
        self._context_log = Journal(None) if contexts is None else contexts
        self._members: dict[str, str] = {}
        self._salts = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the engine."""
        self.engine.close()

    @property
    def now_s(self) -> int:
        """Time of the latest block that this sandbox has reached, Unix seconds."""
        return self.client.now_s

    def account(self, name: str) -> Account:
        """Return the key that belongs to ``name``; the same name, the same key."""
        if name not in self._accounts:
            self._accounts[name] = Account.derive(self._key_seed, name)
        return self._accounts[name]

    def gateway(self, organisation: str) -> Account:
        """Return the key of an organisation's gateway."""
        return self.account(f"gateway:{organisation}")

    def add_organisation(self, name: str) -> Account:
        """Introduce an organisation and its gateway."""
        organisation = self.account(name)
        self.introduce_organisation(name)
        self.client.settle()
        return organisation

    def introduce_organisation(self, name: str) -> None:
        """Send what ``add_organisation`` sends, without making a block."""
        gateway = self.gateway(name).address
        self.deployment.identity.add_gateway(self.account(name), gateway, valid_s=MEMBERSHIP_S)

    def add_member(self, organisation: str, name: str) -> Account:
        """Let ``name`` act for ``organisation``."""
        self.introduce_member(organisation, name)
        self.client.settle()
        return self.account(name)

    def introduce_member(self, organisation: str, name: str) -> None:
        """Send what ``add_member`` sends, without making a block."""
        member = self.account(name).address
        self.deployment.identity.add_member(self.account(organisation), member, valid_s=MEMBERSHIP_S)
        self._members[name] = organisation

    def add_asset(self, owner: str, content: bytes, *, sensitivity: int) -> Hash32:
        """Register ``content`` (only its hash goes on chain) and return the asset's identifier."""
        registration = Registration(self.account(owner).address, Hash32(keccak(content)), sensitivity)
        [asset] = self.deployment.assets.register(self.keys.steward, [registration])
        self.client.settle()
        return asset

    def give_consent(
        self, owner: str, asset: Hash32, grantee: str, purpose: str, *, scope: Scope = Scope.READ, days: int = 365
    ) -> None:
        """Let ``owner`` allow ``grantee`` to use ``asset`` for ``purpose``.

        Raises:
            UnknownPurpose: nobody knows that purpose.
            UnknownAsset: the asset is not registered.
            ContractReverted: ``owner`` does not control the asset.
        """
        found = find_purpose(purpose)
        self.deployment.assets.require_registered(asset)
        terms = Terms(asset, self.account(grantee).address, found.hash, scope, self.now_s + days * 86_400)
        self.deployment.consent.give(self.account(owner), [terms])
        self.client.settle()

    def withdraw_consent(self, owner: str, asset: Hash32, grantee: str, purpose: str) -> None:
        """Let ``owner`` take a consent back; what rests on it ends in the same block."""
        self.deployment.consent.withdraw(
            self.account(owner), asset, self.account(grantee).address, find_purpose(purpose).hash
        )
        self.client.settle()

    def request(
        self,
        requester: str,
        asset: Hash32,
        purpose: str,
        *,
        organisation: str | None = None,
        action: str = "read",
        hours: int = 24,
        attributes: Mapping[str, str] | None = None,
        text: str = "",
    ) -> AccessRequest:
        """File a request through the organisation's gateway and return it as it stands on chain.

        Args:
            requester: a member's name.
            asset: a registered asset.
            purpose: short name or IRI of a purpose.
            organisation: on whose behalf; the member's own where omitted.
            action: ``read``, ``write`` or ``export``.
            hours: how long access is asked for.
            attributes: categorical context for the agent.
            text: why, in words.

        Raises:
            UnknownParty: the requester was not introduced.
            UnknownAsset: the asset is not registered.
            UnknownPurpose: nobody knows that purpose.
        """
        found = find_purpose(purpose)
        if requester not in self._members:
            raise UnknownParty(f"no member {requester!r} was introduced", requester=requester)
        if action not in ACTION_SCOPES:
            raise ValueError(f"no action {action!r}; known: {', '.join(ACTION_SCOPES)}")
        self.deployment.assets.require_registered(asset)
        house = organisation or self._members[requester]
        item, context = self.draft_request(
            self.account(requester).address,
            self.account(house).address,
            asset,
            found.hash,
            ACTION_SCOPES[action],
            until=self.now_s + hours * 3_600,
            observed={
                "time_s": self.now_s,
                "requester": requester,
                "asset": str(asset),
                "action": action,
                "purpose": found.name,
                "attributes": dict(attributes or {}),
                "text": text,
                "has_clock": True,
            },
        )
        self.hand_in([context])
        self.deployment.access.request_many(self.gateway(house), item.organisation, [item])
        self.client.settle()
        return item

    def draft_request(
        self,
        requester: Address,
        organisation: Address,
        asset: Hash32,
        purpose: Hash32,
        scope: Scope,
        *,
        until: int,
        observed: Mapping[str, Any],
    ) -> tuple[AccessRequest, dict[str, Any]]:
        """Return a request and the context that it commits to. Nothing is sent."""
        self._salts += 1
        salt = keccak(self._key_seed + b"salt" + self._salts.to_bytes(8, "big"))[:16].hex()
        bare = AccessRequest(requester, organisation, asset, purpose, scope, until, ZERO_HASH)
        context = make_context(request_fields(bare), observed=observed, salt=salt)
        return replace(bare, context=Hash32(digest_json(context))), context

    def hand_in(self, contexts: list[dict[str, Any]]) -> None:
        """Keep contexts durably, for the agent and the auditor, before their requests go on chain."""
        for context, digest in zip(contexts, self._context_log.append(contexts), strict=True):
            self.contexts.put(digest, canonical_json(context))

    def thresholds(self) -> tuple[Thresholds, ...]:
        """Return where verdicts change, by sensitivity 0 to 3, for the costs in the settings."""
        costs = self.config.costs
        return thresholds_by_sensitivity(costs.wrong_grant, costs.wrong_denial, costs.escalation)

    def start_agent(
        self,
        model: DigestedModel,
        watcher: UseWatcher,
        *,
        receipts: ReceiptLog | None = None,
        clock: Callable[[], int | None] | None = None,
    ) -> Agent:
        """Return an agent at work on this sandbox; call its ``step`` to let it decide.

        Args:
            model: scores requests.
            watcher: watches uses after a grant.
            receipts: where receipts are kept; in memory where omitted.
            clock: says the time of the agent's next block; right after the latest where omitted.
        """
        settings = self.config
        return Agent(
            ChainRequests(self.client, self.deployment, self.contexts, settings.run.finality_depth),
            ChainActions(
                self.client,
                self.deployment,
                self.keys.agent,
                batch_size=settings.chain.batch_size,
                quarantine_s=settings.agent.quarantine_s,
                clock=clock or (lambda: None),
            ),
            Journal(None) if receipts is None else receipts,
            model,
            watcher,
            self.thresholds(),
            settings.agent.reasons,
        )
