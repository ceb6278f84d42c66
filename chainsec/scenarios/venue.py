"""Where a run's chain is made: in this process, or on a development node whose blocks and times it sets.

Layer: scenarios, below ``run``. Not here: what is played on it (``play``).
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chainsec.errors import BadInput, ConfigError, RunMismatch
from chainsec.ledger.engine import IN_PROCESS, open_engine
from chainsec.ledger.mirror import ChainSource, mirror_chain
from chainsec.ledger.rpc.transport import shown_url
from chainsec.network.engine import NetworkEngine
from chainsec.network.evidence import write_headers
from chainsec.scenarios.network_run import open_network
from chainsec.scenarios.replay import MOST_SPAN_S
from chainsec.scenarios.report_series import LAST_SECOND_S
from chainsec.scenarios.stage import LEAD_S, row_pace_s

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainsec.config import Config
    from chainsec.ledger.engine import Engine
    from chainsec.scenarios.directory import RunDirectory
    from chainsec.scenarios.network_run import NetworkTerms
    from chainsec.scenarios.workload import Workload

__all__ = ["IN_THIS_PROCESS", "Venue"]

_OF_THE_NODE = ("config.chain.chain_id", "config.chain.genesis_time_s", "config.run.time_offset_s")
"""Settings of a run that follow from the node."""
_YEAR_S = 366 * 86_400
_LATEST_S = LAST_SECOND_S - 2 * _YEAR_S
"""The last time of a live request: whatever it leads to is over before calendars end, within the chain's 40 bits."""


@dataclass(frozen=True)
class Venue:
    """A place for a run's chain.

    Args:
        engine: "eth-tester", or the URL of a development node; see ``open_engine``.
        network: terms of a simulated network that makes the live part of an in-process chain.

    Raises:
        ConfigError: a network and a node.
    """

    engine: str = IN_PROCESS
    network: NetworkTerms | None = None

    def __post_init__(self) -> None:
        """Refuse two places at once."""
        if self.network is not None and self.is_node:
            raise ConfigError(f"{shown_url(self.engine)}: a network of validators is simulated in this process")

    @property
    def is_node(self) -> bool:
        """Whether the chain is made outside this process."""
        return self.engine != IN_PROCESS

    def place(self, config: Config, workload: Workload, source: str) -> Config:
        """Return ``config`` with the chain that ``workload`` is to be played on.

        In process it begins a day before the first live request, for setting the stage. A node's chain has begun
        already: where it began after the workload, the whole run moves to a later time.

        Raises:
            BadInput: the workload's times cannot stand on a chain.
            ConfigError: they would last too long under these settings, or the node is none that a run can be made on.
            LedgerError: the node does not answer.
        """
        config = config.model_copy(update={"run": config.run.model_copy(update={"has_clock": workload.has_clock})})
        if workload.has_clock:
            _check_times(workload, source)
            first_s = workload.live[0].time_s
            config = _on_chain(config, genesis_time_s=first_s - LEAD_S)
        else:
            _check_pace(config, workload)
            first_s = None
        if not self.is_node:
            return config
        wanted = config.chain.chain_id if "chain_id" in config.chain.model_fields_set else None
        with open_engine(self.engine, chain_id=wanted) as node:
            if not node.makes_blocks:
                raise ConfigError(
                    f"{shown_url(self.engine)}: {node.name} makes its own blocks; a run of simulated time needs a node "
                    "whose blocks it can make, such as anvil"
                )
            begun_s = _begin_s(node)
            config = _on_chain(config, chain_id=node.chain_id, genesis_time_s=begun_s)
        offset_s = 0 if first_s is None else max(0, begun_s + LEAD_S - first_s)
        return config.model_copy(update={"run": config.run.model_copy(update={"time_offset_s": offset_s})})

    def open(self, config: Config, directory: RunDirectory) -> Engine:
        """Open the chain that ``place`` has found."""
        if self.network is not None:
            return open_network(self.network, config, directory.chain_path)
        if not self.is_node:
            return _open_file(config, directory)
        begun_s = config.chain.genesis_time_s
        with ExitStack() as opened:
            engine = opened.enter_context(open_engine(self.engine, chain_id=config.chain.chain_id, is_exclusive=True))
            if _begin_s(engine) != begun_s:
                raise RunMismatch(
                    f"{shown_url(self.engine)}: came back with another first block; what the run had there is gone: "
                    f"--fresh begins again, and anvil --state FILE --timestamp {begun_s} would have kept it",
                    genesis_time_s=begun_s,
                )
            opened.pop_all()
        return engine

    def settings(self) -> dict[str, Any]:
        """Return what the place adds to a run's settings."""
        return {} if self.network is None else {"network": self.network.settings()}

    def go_live(self, engine: Engine) -> None:
        """Take note that the stage is set: a network makes the blocks from now on."""
        if isinstance(engine, NetworkEngine):
            engine.go_live()

    def explain(self, error: RunMismatch) -> RunMismatch:
        """Say more of a node whose chain is not the run's."""
        if self.is_node and error.facts.get("key") in _OF_THE_NODE:
            return RunMismatch(
                f"{error.path}: holds a run on a chain with another chain id or first block than the one at "
                f"{shown_url(self.engine)}; bring that chain back (anvil --state FILE), or begin again with --fresh",
                path=error.path,
            )
        if self.is_node and error.facts.get("block") == 1:
            return RunMismatch(
                f"{shown_url(self.engine)}: its chain holds something else than this run; a run on a node needs "
                "a chain of its own: start the node afresh",
                block=1,
            )
        return error

    def bring_home(
        self, engine: Engine, config: Config, directory: RunDirectory, on_block: Callable[[int, int], None]
    ) -> None:
        """Leave the chain in the run's directory: what a node has made is executed again in this process.

        Raises:
            LedgerError: the node's chain does something else than the same transactions do here.
        """
        if isinstance(engine, NetworkEngine):
            directory.keep_headers(write_headers(engine.headers))
        if self.is_node:
            assert isinstance(engine, ChainSource)
            with _open_file(config, directory) as copy:
                mirror_chain(engine, copy, on_block)


IN_THIS_PROCESS = Venue()


def _open_file(config: Config, directory: RunDirectory) -> Engine:
    chain = config.chain
    return open_engine(
        path=directory.chain_path, chain_id=chain.chain_id, accounts=(), genesis_time=chain.genesis_time_s
    )


def _begin_s(node: Engine) -> int:
    """Return when a node's chain begins; not at 0, where settings cannot have it."""
    return max(1, node.block(0).timestamp)


def _on_chain(config: Config, **facts: int) -> Config:
    return config.model_copy(update={"chain": config.chain.model_copy(update=facts)})


def _check_times(workload: Workload, source: str) -> None:
    first, last = workload.live[0], workload.live[-1]
    if first.time_s <= LEAD_S or last.time_s >= _LATEST_S:
        late = last if first.time_s > LEAD_S else first
        place = f"{source}: line {late.row}: time" if late.row else f"{source}: time"
        raise BadInput(f"{place}: {late.time_s} s since 1970 cannot stand on a chain", path=source, line=late.row)


def _check_pace(config: Config, workload: Workload) -> None:
    """Refuse settings under which rows without times would last longer than a log may. Raises: ConfigError."""
    rows, limits = workload.live[-1].time_s, config.limits
    span_s = rows * row_pace_s(config)
    if span_s > MOST_SPAN_S:
        raise ConfigError(
            f"limits.window_s {limits.window_s} with limits.grants_per_window {limits.grants_per_window} stretches "
            f"{rows} rows without times over {span_s // _YEAR_S} years of chain time, more than 20",
            field="limits.window_s",
            value=limits.window_s,
        )
