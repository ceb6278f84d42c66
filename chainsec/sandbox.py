"""The composition root: settings in, a running system out.

A sandbox is one engine, the deployed contracts with their services, the keys of everybody who acts, and agents at
work on it. Layer: above services and defence, below scenarios. Not here: any rule.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from chainsec.chain_agent import ChainActions, ChainRequests
from chainsec.config import Config
from chainsec.contexts import Contexts, find_observed_fault, make_context, request_fields
from chainsec.defence.agent import Agent
from chainsec.defence.policy import thresholds_by_sensitivity
from chainsec.deployment import Keys, deploy
from chainsec.digest import digest_json, keccak
from chainsec.journal import Journal
from chainsec.ledger.client import Client
from chainsec.ledger.engine import open_engine
from chainsec.parties import Parties
from chainsec.primitives import ACTION_SCOPES, ZERO_HASH, AccessRequest, Hash32, Scope
from chainsec.purposes import find_purpose
from chainsec.services.assets import Registration
from chainsec.services.audit import MODELS
from chainsec.services.consent import Terms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from chainsec.defence.agent import ReceiptLog
    from chainsec.defence.observation import DigestedModel, UseWatcher
    from chainsec.defence.policy import Thresholds
    from chainsec.defence.renewal import Renewal
    from chainsec.ledger.account import Account
    from chainsec.ledger.engine import Engine
    from chainsec.primitives import Address

_LATEST_S = 2**40 - 1
MEMBERSHIP_S = 2**40
"""How long members and gateways act: whenever they are named, past the last second that the contracts can count."""


class Sandbox:
    """A whole ChainSec system on one engine.

    Every method that changes something makes a block and returns once it stands; names that nobody introduced, assets
    and purposes that nobody knows are refused before anything is sent. For many changes in one block use ``deployment``
    and ``client`` directly.

    Args:
        config: settings; defaults where omitted.
        engine: a chain to deploy on, which the sandbox closes with itself, but not where deploying fails; a fresh one
            in memory where omitted.
        key_seed: all keys follow from it. Omitted: from the operating system's randomness.
        is_replay: go over what stands on the engine's chain instead of adding to it; see ``Client``.
        contexts: where contexts are kept; in memory where omitted.

    Raises:
        ContractReverted, LedgerError: the contracts cannot be deployed under these settings.
        RunMismatch: in a replay, the engine's chain does not begin with this deployment.

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
        self._key_seed = key_seed if key_seed is not None else os.urandom(32)
        self._parties = Parties(self._key_seed)
        self._introductions: list[tuple[int, Hash32, Callable[[], None]]] = []
        self.keys = Keys(*(self._parties.role(role) for role in Keys.__dataclass_fields__))
        self.contexts = Contexts()
        self._context_log = Journal(None) if contexts is None else contexts
        self._salts = 0
        is_own = engine is None
        self.engine = engine or open_engine("eth-tester", chain_id=chain.chain_id, genesis_time=chain.genesis_time_s)
        try:
            self.client = Client(
                self.engine,
                transaction_gas=chain.transaction_gas,
                is_replay=is_replay,
                block_interval_s=chain.block_interval_s,
            )
            self.deployment = deploy(self.client, self.keys, self.config.limits)
        except BaseException:
            if is_own:
                self.engine.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the engine."""
        self.engine.close()

    @property
    def parties(self) -> Parties:
        """Everybody whose introduction stands on chain, and all keys."""
        if not self._introductions:
            return self._parties
        at, waiting = self.client.at, []
        for introduction in self._introductions:
            since, transaction, enter = introduction
            receipt = self.engine.receipt(transaction) if since < at else None
            if receipt is None:
                waiting.append(introduction)
            elif receipt.status:
                enter()
        self._introductions = waiting
        return self._parties

    @property
    def now_s(self) -> int:
        """Time of the latest block that this sandbox has reached, Unix seconds."""
        return self.client.now_s

    def account(self, name: str) -> Account:
        """Return the key that belongs to ``name``, introduced or not; the same name, the same key.

        No name gives the key of a role or a gateway.
        """
        return self._parties.account(name)

    def gateway(self, organisation: str) -> Account:
        """Return the key of an organisation's gateway."""
        return self._parties.gateway(organisation)

    def add_organisation(self, name: str) -> Account:
        """Introduce an organisation and its gateway; return the organisation's key."""
        self.introduce_organisation(name)
        self.client.settle()
        return self.account(name)

    def introduce_organisation(self, name: str) -> None:
        """Send what ``add_organisation`` sends, without making a block; it is known from the next block on."""
        at, gateway = self.client.at, self.gateway(name).address
        sent = self.deployment.identity.add_gateway(self.account(name), gateway, valid_s=MEMBERSHIP_S)
        self._introductions.append((at, sent, lambda: self._parties.enter_organisation(name)))

    def add_member(self, organisation: str, name: str) -> Account:
        """Let ``name`` act for ``organisation``; return the member's key. Somebody may act for several.

        Raises:
            UnknownParty: the organisation was not introduced.
            ContractReverted: the organisation has lost control of its identity; the member stays unknown.
        """
        self.introduce_member(organisation, name)
        self.client.settle()
        return self.account(name)

    def introduce_member(self, organisation: str, name: str) -> None:
        """Send what ``add_member`` sends, without making a block; the member is known from the next block on.

        Raises:
            UnknownParty: the organisation was not introduced.
        """
        self.parties.require_organisation(organisation)
        at, member = self.client.at, self.account(name).address
        sent = self.deployment.identity.add_member(self.account(organisation), member, valid_s=MEMBERSHIP_S)
        self._introductions.append((at, sent, lambda: self._parties.enter_member(organisation, name)))

    def add_asset(self, owner: str, content: bytes, *, sensitivity: int) -> Hash32:
        """Register ``content`` (only its hash goes on chain) and return the asset's identifier.

        Raises:
            ValueError: the sensitivity is not from 0 to 3.
            ContractReverted: ``owner`` has registered this content before.
        """
        registration = Registration(self.account(owner).address, Hash32(keccak(content)), sensitivity)
        [asset] = self.deployment.assets.register(self.keys.steward, [registration])
        self.client.settle()
        self.parties.enter(owner)
        return asset

    def give_consent(
        self, owner: str, asset: Hash32, grantee: str, purpose: str, *, scope: Scope = Scope.READ, days: int = 365
    ) -> None:
        """Let ``owner`` allow ``grantee``, an organisation or a person, to use ``asset`` for ``purpose``.

        Raises:
            UnknownPurpose: nobody knows that purpose.
            UnknownAsset: the asset is not registered.
            UnknownParty: owner or grantee was not introduced.
            ValueError: an empty scope, or no days, or more than the chain can count.
            ContractReverted: ``owner`` does not control the asset.
        """
        found = find_purpose(purpose)
        until = self._end_after(days * 86_400)
        if not scope:
            raise ValueError("a consent allows something")
        self.parties.require([owner, grantee])
        self.deployment.assets.require_registered(asset)
        terms = Terms(asset, self.account(grantee).address, found.hash, scope, until)
        self.deployment.consent.give(self.account(owner), [terms])
        self.client.settle()

    def withdraw_consent(self, owner: str, asset: Hash32, grantee: str, purpose: str) -> None:
        """Let ``owner`` take a consent back; what rests on it ends in the same block.

        Raises:
            UnknownPurpose, UnknownAsset, UnknownParty: as ``give_consent``.
            ContractReverted: ``owner`` does not control the asset, or there is no such consent in force.
        """
        found = find_purpose(purpose)
        self.parties.require([owner, grantee])
        self.deployment.assets.require_registered(asset)
        self.deployment.consent.withdraw(self.account(owner), asset, self.account(grantee).address, found.hash)
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
            organisation: on whose behalf; the member's latest where omitted.
            action: ``read``, ``write`` or ``export``.
            hours: how long access is asked for, at least 1.
            attributes: categorical context for the agent, name to text.
            text: why, in words.

        Raises:
            UnknownParty: the organisation was not introduced, or the requester is no member of it.
            UnknownAsset: the asset is not registered.
            UnknownPurpose: nobody knows that purpose.
            ValueError: an unknown action, an attribute that is no text, or no hours.
        """
        found = find_purpose(purpose)
        house = self.parties.house_of(requester, organisation)
        if action not in ACTION_SCOPES:
            raise ValueError(f"no action {action!r}; known: {', '.join(ACTION_SCOPES)}")
        until = self._end_after(hours * 3_600)
        self.deployment.assets.require_registered(asset)
        item, context = self.draft_request(
            self.account(requester).address,
            self.account(house).address,
            asset,
            found.hash,
            ACTION_SCOPES[action],
            until=until,
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
        """Return a request and the context that it commits to. Nothing is sent.

        Args:
            requester: who asks.
            organisation: on whose behalf.
            asset: what is asked for.
            purpose: hash of the purpose's IRI.
            scope: what is to be done.
            until: last second of the grant asked for, Unix time.
            observed: what the agent is told; see ``chainsec.contexts.find_observed_fault``.

        Raises:
            ValueError: the agent would refuse to read ``observed``.
        """
        fault = find_observed_fault(observed)
        if fault:
            raise ValueError(f"the agent could not read this context: {fault}")
        self._salts += 1
        salt = keccak(self._key_seed + b"salt" + self._salts.to_bytes(8, "big"))[:16].hex()
        bare = AccessRequest(requester, organisation, asset, purpose, scope, until, ZERO_HASH)
        context = make_context(request_fields(bare), observed=observed, salt=salt)
        return replace(bare, context=Hash32(digest_json(context))), context

    def hand_in(self, contexts: Sequence[Mapping[str, Any]]) -> None:
        """Keep contexts durably, for the agent and the auditor, before their requests go on chain."""
        first = len(self._context_log)
        hashes = self._context_log.append(contexts)
        for digest, line in zip(hashes, self._context_log.lines[first : first + len(hashes)], strict=True):
            self.contexts.put(digest, line)

    def thresholds(self, *, careful: bool = False) -> tuple[Thresholds, ...]:
        """Return where verdicts change, by sensitivity 0 to 3, for the costs in the settings.

        Args:
            careful: while the worth of the agent's model is in doubt.
        """
        costs = self.config.costs
        return thresholds_by_sensitivity(costs.wrong_grants(careful=careful), costs.wrong_denial, costs.escalation)

    def start_agent(
        self,
        model: DigestedModel,
        watcher: UseWatcher,
        *,
        receipts: ReceiptLog | None = None,
        clock: Callable[[], int | None] | None = None,
        renewal: Renewal | None = None,
        keep_model: Callable[[DigestedModel], None] | None = None,
    ) -> Agent:
        """Return an agent at work on this sandbox; call its ``step`` to let it decide.

        Args:
            model: scores requests.
            watcher: watches uses after a grant.
            receipts: where receipts are kept; in memory where omitted.
            clock: says the time of the agent's next block; right after the latest where omitted.
            renewal: watches over the model and finds a better one; without it the model stays as it is.
            keep_model: told to keep a model's files before its digest is anchored and it is put in use.
        """
        settings = self.config
        return Agent(
            source=ChainRequests(
                self.client,
                self.deployment,
                self.contexts,
                has_clock=settings.run.has_clock,
                tolerance_s=settings.agent.context_time_tolerance_s,
                offset_s=settings.run.time_offset_s,
            ),
            actions=ChainActions(
                self.client,
                self.deployment,
                self.keys.agent,
                batch_size=settings.chain.batch_size,
                quarantine_s=settings.agent.quarantine_s,
                clock=clock or (lambda: None),
                keep_model=partial(self._put_in_use, keep_model),
            ),
            receipts=Journal(None) if receipts is None else receipts,
            model=model,
            watcher=watcher,
            thresholds=self.thresholds(),
            reasons=settings.agent.reasons,
            careful=self.thresholds(careful=True),
            renewal=renewal,
        )

    def anchor_model(self, model: DigestedModel) -> None:
        """Put a model's files under a Merkle root on chain, as its notary; ``client.settle`` makes the block."""
        files = model.to_files()
        self.deployment.audit.anchor(self.keys.notary, MODELS, [files[name] for name in sorted(files)])

    def _put_in_use(self, keep: Callable[[DigestedModel], None] | None, model: DigestedModel) -> None:
        if keep is not None:
            keep(model)
        self.anchor_model(model)

    def _end_after(self, duration_s: int) -> int:
        until = self.now_s + duration_s
        if not self.now_s < until <= _LATEST_S:
            raise ValueError(f"a right lasts from 1 second to the end of the chain's time, not {duration_s} s")
        return until
