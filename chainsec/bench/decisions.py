"""Requests decided in a second, end to end: handed in, on chain, final, scored, receipt on disk, decision on chain.

The hospital's requests in their own order, by a model trained as a run trains it, on the contracts as they are deployed
in a run. Layer: bench. Not here: uses of what was granted, guardians, labels (``chainsec.scenarios.play``).
"""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from chainsec.bench.engines import NO_NODE
from chainsec.bench.rows import PLAIN, Findings, Turns, compare
from chainsec.bench.sampling import profile
from chainsec.bench.senders import Web3Sender, open_plain
from chainsec.config import ChainSettings, Config, Limits
from chainsec.defence.risk import EvidenceRiskModel
from chainsec.errors import ConfigError, LedgerError
from chainsec.journal import Journal
from chainsec.ledger.anvil import Anvil, find_anvil
from chainsec.ledger.engine import open_engine
from chainsec.sandbox import Sandbox
from chainsec.scenarios.filing import file_requests
from chainsec.scenarios.hospital import hospital
from chainsec.scenarios.run import train_on_history, watch_history
from chainsec.scenarios.stage import set_stage
from chainsec.scenarios.ticks import cut_blocks
from chainsec.scenarios.venue import IN_THIS_PROCESS
from chainsec.services.access import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from chainsec.bench.rows import Peer
    from chainsec.ledger.engine import Engine
    from chainsec.scenarios.workload import Attempt, Workload

__all__ = ["BATCHES", "DecisionBench", "bench_decisions"]

BATCHES = (1, 10, 50, 100)
MOST_A_BATCH = 200
IN_PROCESS, ON_NODE = "in process", "on anvil"
PLAIN_TRANSACTIONS = f"{PLAIN}, transactions"
_SEED = 7
_HISTORY_DAYS, _SHORTEST_DAYS, _MOST_DAYS = 12, 24, 400
_MOST_GRANTS = 2**24 - 1
_WARM_UP = 10


class System:
    """Contracts, everybody whom the workload names, and an agent at work, on one chain.

    Args:
        engine: the chain, which this closes.
        config: settings; its batch size is the most that one transaction decides.
        workload: whose requests are decided, in their order.
        model: the agent's, its own copy.
        folder: for contexts and receipts.
    """

    def __init__(
        self, engine: Engine, config: Config, workload: Workload, model: EvidenceRiskModel, folder: Path
    ) -> None:
        self._stack = ExitStack()
        journals = [Journal(folder / f"{name}.jsonl") for name in ("contexts", "receipts")]
        for journal in journals:
            self._stack.callback(journal.close)
        self.box = self._stack.enter_context(
            Sandbox(config, engine=engine, key_seed=b"chainsec bench", contexts=journals[0])
        )
        self.receipts = journals[1]
        self._assets = set_stage(self.box, workload)
        self._agent = self.box.start_agent(model, watch_history(workload), receipts=self.receipts)
        self._houses = {member.name: member.organisation for member in workload.members}
        self._attempts: Iterator[Attempt] = iter(workload.live)
        self.outcomes: Counter[str] = Counter()

    def close(self) -> None:
        """Close chain and journals."""
        self._stack.close()

    def take(self, count: int) -> list[Attempt]:
        """Return the next attempts of the workload."""
        return [next(self._attempts) for _ in range(count)]

    def decide(self, attempts: Sequence[Attempt]) -> list[str]:
        """File requests, each house's in a transaction, all in one block, and let the agent decide what is pending.

        Returns the identifiers of the requests.
        """
        box, houses = self.box, self._houses
        time_s = attempts[-1].time_s
        now_s = max(time_s, box.now_s + box.config.chain.block_interval_s)
        identifiers: list[str] = []
        for filings in cut_blocks(attempts, lambda attempt: houses[attempt.requester], len(attempts), len(attempts)):
            for asked in file_requests(box, self._assets, filings, now_s=now_s, has_clock=True):
                identifiers += [str(request.id) for _, request in asked]
            box.client.settle(time_s)
        self._agent.step()
        return identifiers

    def require_decided(self, identifiers: Sequence[str], since: int) -> None:
        """Hold requests against the chain: each has one decision after block ``since``, and a receipt on disk.

        Raises:
            LedgerError: one has none.
        """
        events = self.box.deployment.access.contract.events("AccessDecided", since + 1, self.box.client.at)
        outcomes = {str(event.args["request"]): Status(event.args["outcome"]) for event in events}
        undecided = [identifier for identifier in identifiers if identifier not in outcomes]
        if undecided or len(events) != len(identifiers):
            raise LedgerError(f"{len(undecided)} of {len(identifiers)} requests were not decided", undecided=undecided)
        self.outcomes.update(outcomes[identifier].name.lower() for identifier in identifiers)
        if sum(self.outcomes.values()) != len(self.receipts):
            raise LedgerError(f"{len(self.receipts)} receipts for {sum(self.outcomes.values())} decisions")


class DecisionBench:
    """Decides requests on one system, so many at a time.

    Args:
        place: where the chain is.
        system: decides.
        batch: requests handed in together and decided in one transaction.
        share: see ``Peer``.
    """

    def __init__(self, place: str, system: System, batch: int, share: float) -> None:
        self.name = f"{place}, {batch} a batch"
        self.share = share
        self._system = system
        self._batch = batch

    def run(self, count: int) -> Callable[[], None]:
        """Decide the next ``count`` requests of the workload."""
        system, since = self._system, self._system.box.client.at
        attempts = system.take(count)
        identifiers: list[str] = []
        for start in range(0, count, self._batch):
            identifiers += system.decide(attempts[start : start + self._batch])
        return lambda: system.require_decided(identifiers, since)


def bench_decisions(
    *,
    batches: Sequence[int] = BATCHES,
    requests: int = 200,
    transactions: int = 100,
    rounds: int = 3,
    is_profiled: bool = False,
    on_step: Callable[[str, int, int], None] = lambda *_: None,
) -> Findings:
    """Measure requests decided in a second, beside transactions of plain web3.py and eth-tester.

    Args:
        batches: how many requests are handed in together, 1 to 200 each.
        requests: decided in a round, for each size of a batch and each chain; at least the largest batch.
        transactions: of the plain peer in a round.
        rounds: every way takes its turn in each; medians count.
        is_profiled: look afterwards where the time goes, with the largest batch.
        on_step: told what is being done, and how much of it.

    Raises:
        ConfigError: sizes out of range, or more requests than there are in a year.
        LedgerError: a request was not decided.
    """
    if not batches or len(set(batches)) != len(batches) or not all(1 <= size <= MOST_A_BATCH for size in batches):
        raise ConfigError(f"batches: different sizes from 1 to {MOST_A_BATCH}, not {list(batches)}", batches=batches)
    if requests < max(batches):
        raise ConfigError(f"{requests} requests in a round do not fill a batch of {max(batches)}", requests=requests)
    warm_up = max(1, requests // _WARM_UP)
    needed = len(batches) * (warm_up + rounds * requests) + is_profiled * requests
    workload = _draw(needed)
    config = IN_THIS_PROCESS.place(
        Config(
            seed=_SEED,
            chain=ChainSettings(batch_size=max(batches)),
            limits=Limits(grants_per_window=_MOST_GRANTS),
        ),
        workload,
        "hospital",
    )
    on_step("model", 0, 1)
    files = train_on_history(workload).to_files()
    on_step("model", 1, 1)
    with ExitStack() as stack:
        engines = _open_engines(stack, config)
        systems: dict[str, System] = {}
        for place, (engine, folder) in engines.items():
            systems[place] = System(engine, config, workload, EvidenceRiskModel.from_files(files), folder)
            stack.callback(systems[place].close)
            on_step("stage", len(systems), len(engines))
        peers: list[Peer] = [Web3Sender(PLAIN_TRANSACTIONS, open_plain())]
        share = requests / transactions
        peers += [DecisionBench(place, system, size, share) for place, system in systems.items() for size in batches]
        turns = Turns(peers)
        turns.take(transactions, rounds, on_step, "turns")
        shares = {}
        if is_profiled:
            shares = {
                place: profile(DecisionBench(place, it, max(batches), 1), requests) for place, it in systems.items()
            }
        notes = [f"{place}: {_tell(system.outcomes)}" for place, system in systems.items()]
    if ON_NODE not in systems:
        notes.append(NO_NODE)
    settings = {"batches": list(batches), "requests": requests, "transactions": transactions, "rounds": rounds}
    return Findings("decisions", compare(turns.rates.items()), settings, "a second", notes, shares)


def _draw(needed: int) -> Workload:
    """Return the hospital with at least ``needed`` live requests."""
    days = _SHORTEST_DAYS
    while True:
        workload = hospital(_SEED, days=days, history_days=_HISTORY_DAYS)
        if len(workload.live) >= needed:
            return workload
        if days >= _MOST_DAYS:
            raise ConfigError(f"{needed} requests are more than the hospital makes in {_MOST_DAYS} days", needed=needed)
        live_days = days - _HISTORY_DAYS
        days = min(_MOST_DAYS, _HISTORY_DAYS + live_days * needed * 11 // (10 * len(workload.live)) + 1)


def _open_engines(stack: ExitStack, config: Config) -> dict[str, tuple[Engine, Path]]:
    """Open a chain in a file and, where there is one, on anvil; each with a folder for its records."""
    top, chain = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chainsec-bench-"))), config.chain
    folders = {place: top / place for place in (IN_PROCESS, ON_NODE)}
    for folder in folders.values():
        folder.mkdir()
    here = open_engine(
        path=folders[IN_PROCESS] / "chain.sqlite",
        chain_id=chain.chain_id,
        accounts=(),
        genesis_time=chain.genesis_time_s,
    )
    engines: dict[str, tuple[Engine, Path]] = {IN_PROCESS: (here, folders[IN_PROCESS])}
    program = find_anvil()
    if program:
        node = stack.enter_context(Anvil(program=program, chain_id=chain.chain_id, timestamp=chain.genesis_time_s))
        engines[ON_NODE] = (open_engine(node.url, is_exclusive=True), folders[ON_NODE])
    return engines


def _tell(outcomes: Counter[str]) -> str:
    told = ", ".join(f"{number} {name}" for name, number in outcomes.most_common())
    return f"{sum(outcomes.values())} requests decided on chain: {told}"
