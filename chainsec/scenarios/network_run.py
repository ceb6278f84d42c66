"""A run on a network of QBFT validators: its terms, its engine, and what it measures besides.

Layer: scenarios, below ``venue``. Not here: the network (``chainsec.network``), playing (``play``).
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypedDict

from chainsec.errors import ConfigError
from chainsec.ledger.evm import Genesis
from chainsec.network.committee import most_faulty
from chainsec.network.conditions import CONDITIONS
from chainsec.network.engine import NetworkEngine
from chainsec.network.header import EMPTY_TRIE_ROOT
from chainsec.network.links import load_matrix
from chainsec.network.plan import NetworkPlan, node_account
from chainsec.network.probe import probe
from chainsec.network.surroundings import QbftSettings
from chainsec.primitives import Scope
from chainsec.scenarios.report_network import Condition, NetworkPart, StillRead
from chainsec.scenarios.report_series import Quantiles
from chainsec.services.access import Basis, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from chainsec.config import Config
    from chainsec.network.engine import Settlement
    from chainsec.network.header import Header
    from chainsec.primitives import AccessRequest, Address
    from chainsec.scenarios.episodes import ThreatSeen
    from chainsec.scenarios.play import Play

__all__ = ["VIEW_LAG_S", "NetworkTerms", "count_headers", "measure_network", "open_network", "seen_at_head"]

MOST_VALIDATORS = 40
PROBES = 60
VIEW_LAG_S = 60
"""A gateway's node may not have a block of this age yet: three rounds that end in a timeout, and the way to it."""
_SECOND_US = 1_000_000


@dataclass(frozen=True)
class NetworkTerms:
    """What a run's network is made of.

    Args:
        validators: from 1 to 40; one more in each region of the matrix in turn.
        links: ``wan``, ``lan``, or the path of a matrix.
        condition: what is wrong with it; see ``chainsec.network.conditions``.
        block_period_s: least time between two blocks.
        request_timeout_s: how long a round may take at first.

    Raises:
        ConfigError: a value out of range, or a condition that so few validators cannot be in.
    """

    validators: int
    links: str = "wan"
    condition: str = "healthy"
    block_period_s: int = 1
    request_timeout_s: float = 4.0

    def __post_init__(self) -> None:
        """Check the values."""
        if not 1 <= self.validators <= MOST_VALIDATORS:
            raise ConfigError(f"validators: {self.validators} is not from 1 to {MOST_VALIDATORS}", field="validators")
        if self.condition not in CONDITIONS:
            raise ConfigError(f"condition: {self.condition!r} is none of {', '.join(CONDITIONS)}", field="condition")
        if self.condition != "healthy" and not most_faulty(self.validators):
            raise ConfigError(
                f"condition: {self.condition!r} takes a validator that fails, and {self.validators} bear none: "
                "at least 4 are needed",
                field="condition",
            )

    def settings(self) -> dict[str, Any]:
        """Return what goes into the run's settings. Raises: BadInput: the matrix cannot be read."""
        load_matrix(self.links)  # here, before anything is written: who audits the run later need not have the file
        return asdict(self)

    def addresses(self, seed: int) -> list[Address]:
        """Return who the validators are; needs no matrix."""
        return [node_account(seed, number).address for number in range(self.validators)]

    def plan(self, config: Config) -> NetworkPlan:
        """Return the network that a run with these settings is on."""
        matrix = load_matrix(self.links)
        return NetworkPlan(
            seed=config.seed,
            genesis=Genesis(chain_id=config.chain.chain_id, timestamp=config.chain.genesis_time_s),
            matrix=matrix,
            regions=tuple(matrix.regions[place % len(matrix.regions)] for place in range(self.validators)),
            validators=self.validators,
            qbft=QbftSettings(block_period_s=self.block_period_s, request_timeout_s=self.request_timeout_s),
        )


def open_network(terms: NetworkTerms, config: Config, path: Path) -> NetworkEngine:
    """Open a run's chain, from its first block: what an interrupted run has left of it is made once more."""
    for old in path.parent.glob(f"{path.name}*"):
        old.unlink()
    return NetworkEngine(terms.plan(config), terms.condition, path)


def measure_network(
    play: Play, engine: NetworkEngine, terms: NetworkTerms, on_step: Callable[[str, int, int], None]
) -> NetworkPart:
    """Return what a run on a network has measured, and what probes say about the network's other conditions."""
    network = engine.network
    messages, bytes_sent = sum(network.messages.values()), sum(network.bytes_sent.values())
    engine.let_arrive()
    watch = _Watch(play, engine)
    names, conditions = list(CONDITIONS) if most_faulty(terms.validators) else ["healthy"], []
    for done, name in enumerate(names, 1):
        conditions.append(_probe(engine.plan_without_condition, name))
        on_step("conditions", done, len(names))
    return NetworkPart(
        validators=terms.validators,
        links=terms.links,
        regions=engine.plan.regions,
        condition=terms.condition,
        block_period_s=terms.block_period_s,
        request_timeout_s=terms.request_timeout_s,
        **count_headers(engine.headers),
        messages=messages,
        bytes_sent=bytes_sent,
        **watch.grants(),
        **watch.revocations(),
        violations=len(network.agreement.violations),
        still_read=watch.still_read(),
        conditions=tuple(conditions),
    )


def seen_at_head(threats: Iterable[ThreatSeen], engine: NetworkEngine) -> list[ThreatSeen]:
    """Return threats as seen at the head on which the agent acted: quiet blocks went by between use and response."""
    sent = _by_block(engine)
    return [replace(seen, seen_block=sent[seen.response.block].head_block) for seen in threats]


def _by_block(engine: NetworkEngine) -> dict[int, Settlement]:
    return {number: found for found in engine.settlements for number in range(found.first_block, found.last_block + 1)}


class HeaderCounts(TypedDict):
    """What the sealed headers of a run say of themselves; fields as in ``NetworkPart``."""

    blocks: int
    empty_blocks: int
    rounds: dict[str, int]
    seals: int


def count_headers(headers: Sequence[Header]) -> HeaderCounts:
    """Return what sealed headers say of themselves; the first is the one that the validators began on."""
    live = headers[1:]
    rounds = Counter(header.extra.round for header in live)
    return {
        "blocks": len(live),
        "empty_blocks": sum(1 for header in live if header.transaction_root == EMPTY_TRIE_ROOT),
        "rounds": {str(round_): count for round_, count in sorted(rounds.items())},
        "seals": sum(len(header.extra.seals) for header in live),
    }


class _Watch:
    """Holds what a play did against when it was final."""

    def __init__(self, play: Play, engine: NetworkEngine) -> None:
        self._play = play
        self._engine = engine
        self._sent = _by_block(engine)
        acted = [seen for seen in play.threats if seen.response.action != "alert"]
        self._acted = [(seen, self._sent[seen.response.block]) for seen in acted]

    def grants(self) -> dict[str, Any]:
        """Return the figures of grants that the agent gave at once."""
        waits, blocks = [], []
        for episode in self._play.episodes:
            if episode.outcome is Status.GRANTED:
                asked, decided = self._sent[episode.requested_block], self._sent[episode.decided_block]
                waits.append((self._engine.final_us(decided)[asked.entry] - asked.sent_us) / _SECOND_US)
                blocks.append(episode.decided_block - episode.requested_block)
        return {"grants": len(waits), "grant_s": Quantiles.of(waits), "grant_blocks": Quantiles.of(blocks)}

    def revocations(self) -> dict[str, Any]:
        """Return the figures of what the agent did to cut somebody off."""
        cut = [found for _, found in self._acted]
        return {
            "revocations": len(cut),
            "never_everywhere": sum(1 for found in cut if self._engine.final_us(found).keys() != found.reached),
            "revoke_first_s": Quantiles.of([self._seconds(found, min) for found in cut]),
            "revoke_s": Quantiles.of([self._seconds(found, max) for found in cut]),
            "revoke_blocks": Quantiles.of([found.last_block - found.head_block for found in cut]),
        }

    def _seconds(self, found: Settlement, choose: Callable[[Iterable[int]], int]) -> float:
        return (choose(self._engine.final_us(found).values()) - found.sent_us) / _SECOND_US

    def still_read(self) -> StillRead:
        """Count what attackers could read between detection and finality at the last gateway."""
        uses = [json.loads(line) for line in self._play.directory.uses.lines]
        requests = {str(episode.request.id): episode.request for episode in self._play.episodes}
        slipped, size, at_pace = 0, 0, []
        for seen, found in self._acted:
            if not seen.attack:
                continue
            window_s = self._seconds(found, max)
            own = [use for use in uses if use["requester"] == seen.response.threat.requester]
            late = [use for use in own if seen.time_s < use["time_s"] <= seen.time_s + window_s]
            late = [use for use in late if self._was_allowed(use, requests, seen.seen_block)]
            slipped += len(late)
            size += sum(use["volume_bytes"] for use in late)
            taken = [use for use in own if use["time_s"] <= seen.time_s and use["basis"] == "agreed"]
            span_s = seen.time_s - min((use["time_s"] for use in taken), default=seen.time_s)
            if span_s > 0:
                at_pace.append(sum(use["volume_bytes"] for use in taken) / span_s * window_s)
        return StillRead(bytes_at_pace=Quantiles.of(at_pace), uses=slipped, bytes_read=size)

    def _was_allowed(self, use: Mapping[str, Any], requests: Mapping[str, AccessRequest], block: int) -> bool:
        """Tell whether a gateway that knew no later block let a use pass."""
        request, scope = requests[use["request"]], Scope[use["action"].upper()]
        contract = self._play.box.deployment.access.contract
        found = contract.call("accessBasis", request.requester, request.asset, request.purpose, int(scope), at=block)
        return Basis(found) is Basis.AGREED


def _probe(plan: NetworkPlan, name: str) -> Condition:
    found = probe(plan, name, probes=PROBES)
    return Condition(
        name=name,
        means=CONDITIONS[name],
        probes=PROBES,
        lost=found.lost,
        grant_s=Quantiles.of(found.grant_s),
        revoke_s=Quantiles.of(found.revoke_s),
        revoke_blocks=Quantiles.of(found.revoke_blocks),
        cut_off_nodes=found.cut_off_nodes,
        has_agreed=found.has_agreed,
    )
