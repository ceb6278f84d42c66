"""An agent at work on a deployment that stands on a network, in a directory that it goes on from.

Layer: attached, at its top. Not here: signals and what is printed (``app``), how requests are followed
(``following``).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from chainsec.attached.following import FollowedRequests, OpenActions
from chainsec.attached.inbox import Inbox
from chainsec.attached.model_files import load_model
from chainsec.attached.record import attach_deployment
from chainsec.defence.agent import Agent
from chainsec.defence.detectors import UseMonitor
from chainsec.defence.policy import thresholds_by_sensitivity
from chainsec.digest import keccak
from chainsec.errors import ChainTakenBack, ConfigError, LedgerError
from chainsec.ledger.client import Client
from chainsec.scenarios.directory import RunDirectory
from chainsec.services.authority import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from chainsec.attached.record import DeploymentRecord
    from chainsec.config import Config
    from chainsec.ledger.account import Account
    from chainsec.ledger.engine import Engine

__all__ = ["AttachedAgent", "Pause", "keep_deciding", "open_agent"]

_LONGEST_PAUSE_S = 60.0


class Pause(Protocol):
    """Waits; can be told to stop from elsewhere, as ``threading.Event`` can."""

    def is_set(self) -> bool:
        """Tell whether it is time to stop."""

    def wait(self, timeout: float) -> bool:
        """Return after so many seconds, or at once when it is time to stop; tell whether it is."""


class AttachedAgent:
    """What ``open_agent`` gives: call ``step`` to let it decide what has come up.

    ``earlier`` counts the receipts that stood when it was opened.
    """

    def __init__(self, agent: Agent, source: FollowedRequests, earlier: int) -> None:
        self._agent = agent
        self._source = source
        self._to_pass_over = earlier
        self.earlier = earlier

    @property
    def cursor(self) -> int:
        """The last block that was read."""
        return self._source.cursor

    def step(self) -> list[dict[str, Any]]:
        """Decide what final blocks have brought since the last time; return the new receipts.

        The first step after a start goes over everything that earlier starts judged, and sends what they could not; it
        reads no further than they did.

        Raises:
            LedgerError: the node does not answer, or refuses; the next step tries the same again.
            RunMismatch: chain or directory are not those of before.
        """
        receipts = self._agent.step()
        if not receipts:
            return []
        fresh, self._to_pass_over = receipts[self._to_pass_over :], 0
        return fresh


@contextmanager
def open_agent(
    engine: Engine,
    record: DeploymentRecord,
    account: Account,
    path: Path,
    *,
    contexts: Path,
    model_files: Mapping[str, bytes],
    config: Config,
) -> Iterator[AttachedAgent]:
    """Let an agent work in ``path`` until the block is left; no second one can work there meanwhile.

    Args:
        engine: the network's chain.
        record: where the contracts stand.
        account: the agent's key.
        path: keeps contexts, receipts, cursor and model.
        contexts: where gateways hand contexts in; see ``Inbox``.
        model_files: the model that the agent begins with.
        config: costs, reasons, batch size, tolerance of contexts' times.

    Raises:
        ConfigError: another chain, a key without the agent's role, or blocks with too little gas.
        LedgerError: no contract stands where one should.
        RunInUse: another agent works there.
        RunMismatch: the directory holds an agent's run with other settings, another model or another deployment.
    """
    chain = config.chain
    client = Client(engine, transaction_gas=chain.transaction_gas)
    deployment = attach_deployment(client, record)
    if not deployment.authority.has_role(Role.AGENT, account.address):
        raise ConfigError(f"{account.address} does not hold the agent's role in this deployment")
    if engine.block_gas_limit < chain.transaction_gas:
        raise ConfigError(
            f"chain.transaction_gas is {chain.transaction_gas}, over the {engine.block_gas_limit} gas that a block of "
            "this node holds"
        )
    model = load_model(dict(model_files))
    settings = {
        "agent": str(account.address),
        "config": config.model_dump(mode="json"),
        "deployment": record.model_dump(mode="json"),
        "model": {
            "digest": model.digest,
            "files": {name: "0x" + keccak(content).hex() for name, content in model_files.items()},
        },
    }
    with RunDirectory(path, settings) as directory:
        directory.keep_model(model.digest, model_files)
        _await_own(engine, account)
        source = FollowedRequests(client, deployment, Inbox(contexts), directory, config)
        costs = config.costs
        agent = Agent(
            source=source,
            actions=OpenActions(
                source,
                client,
                deployment,
                account,
                batch_size=chain.batch_size,
                quarantine_s=config.agent.quarantine_s,
                clock=lambda: None,
                keep_model=lambda _: None,  # its model stays as it was given
            ),
            receipts=directory.receipts,
            model=model,
            watcher=UseMonitor(),
            thresholds=thresholds_by_sensitivity(costs.wrong_grant, costs.wrong_denial, costs.escalation),
            reasons=config.agent.reasons,
        )
        yield AttachedAgent(agent, source, len(directory.receipts.lines))


def keep_deciding(
    agent: AttachedAgent,
    stop: Pause,
    *,
    interval_s: float,
    on_step: Callable[[int, list[dict[str, Any]]], None] = lambda *_: None,
    on_trouble: Callable[[str, float], None] = lambda *_: None,
) -> None:
    """Let an agent decide until it is time to stop. What a node refuses or leaves unanswered is tried again.

    Args:
        agent: decides.
        stop: says when; the step that is under way is finished first.
        interval_s: how often to look for new blocks, more than 0.
        on_step: told the cursor and the receipts of each step.
        on_trouble: told what went wrong, and for how many seconds to wait; twice as long from one time to the next.

    Raises:
        RunMismatch: chain or directory are not those of before.
        ChainTakenBack: blocks that were followed are gone.
    """
    pause_s = interval_s
    while not stop.is_set():
        try:
            receipts = agent.step()
        except ChainTakenBack:
            raise
        except LedgerError as error:
            on_trouble(str(error), pause_s)
            stop.wait(pause_s)
            pause_s = min(2 * pause_s, max(interval_s, _LONGEST_PAUSE_S))
            continue
        pause_s = interval_s
        on_step(agent.cursor, receipts)
        stop.wait(interval_s)


def _await_own(engine: Engine, account: Account) -> None:
    """Return once nothing waits of what an earlier start sent: only then the chain says what is decided.

    Raises:
        LedgerError: blocks do not come.
    """
    while engine.next_nonce(account.address) > engine.nonce(account.address):
        engine.mine()
