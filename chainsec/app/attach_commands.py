"""``chainsec deploy`` and ``chainsec agent``: contracts and agent on a node that others run.

Layer: app. Not here: deploying and deciding (``chainsec.attached``).
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chainsec.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chainsec.ledger.engine import Engine

__all__ = ["agent", "deploy"]

_LONGEST_LINE = 1_000
_INTERRUPTED = 130

NodeOption = Annotated[
    str,
    typer.Option("--engine", metavar="URL", help="The node: http://127.0.0.1:8545, ws://..., or its .ipc socket."),
]
KeysOption = Annotated[Path, typer.Option("--keys", metavar="DIR", help="Files ROLE.key, for their owner's eyes only.")]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Settings in TOML; see docs/settings.md.")
]
PatienceOption = Annotated[
    float, typer.Option("--patience", metavar="S", help="Seconds that the node may fail to answer.")
]
OutOption = Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the addresses are written down.")]
DeploymentOption = Annotated[
    Path, typer.Option("--deployment", metavar="FILE", help="The addresses that `chainsec deploy` wrote down.")
]
ContextsOption = Annotated[
    Path, typer.Option("--contexts", metavar="DIR", help="Where gateways put requests' contexts, in .jsonl files.")
]
ModelOption = Annotated[
    Path | None,
    typer.Option("--model", metavar="DIR", help="A trained model's folder, or a run with one; a fresh one if omitted."),
]
RunOption = Annotated[
    Path, typer.Option("--run", metavar="DIR", help="Receipts, contexts, cursor. A stopped agent goes on here.")
]
IntervalOption = Annotated[float, typer.Option("--interval", metavar="S", help="Seconds between two looks.")]


def deploy(
    *,
    engine: NodeOption,
    keys: KeysOption = Path("keys"),
    out: OutOption = Path("deployment.json"),
    config: ConfigOption = None,
    patience: PatienceOption = 60,
) -> None:
    """Deploy the contracts on a running node and write down where they stand.

    Keys that are missing are made: admin, agent, guardian, steward, notary, policy. Interrupted, the same command goes
    on; once all stands, it sends nothing. The network has to take transactions without a gas price.

    Example: chainsec deploy --engine http://127.0.0.1:8545 --keys keys
    """
    from chainsec.attached.keyring import open_keys  # noqa: PLC0415 - --help stays fast
    from chainsec.attached.record import deploy_contracts, require_writable  # noqa: PLC0415 - --help stays fast
    from chainsec.config import load_config  # noqa: PLC0415 - --help stays fast

    settings = load_config(config)
    require_writable(out)
    with _open(engine, patience) as node:
        found = open_keys(keys)
        sent = node.nonce(found.admin.address)
        record = deploy_contracts(node, found, settings.limits, settings.chain, out)
        is_new = node.nonce(found.admin.address) > sent
    for name, address in record.contracts.items():
        typer.echo(f"{name:14} {address}")
    state = f"deployed by block {record.block}" if is_new else "stood already; nothing was sent"
    typer.echo(f"chain {record.chain_id}: {state}. Addresses: {_shown(out)}, keys: {_shown(keys)}")


def agent(
    *,
    engine: NodeOption,
    deployment: DeploymentOption = Path("deployment.json"),
    keys: KeysOption = Path("keys"),
    run: RunOption = Path("runs/agent"),
    contexts: ContextsOption = Path("inbox"),
    model: ModelOption = None,
    config: ConfigOption = None,
    interval: IntervalOption = 1.0,
    patience: PatienceOption = 60,
    once: Annotated[bool, typer.Option("--once", help="Decide what there is, and leave.")] = False,
) -> None:
    """Let the agent decide on a running node, until it is told to end (Ctrl-C or SIGTERM).

    Of the keys it needs agent.key alone. Every receipt is in the run's directory before its verdict goes on chain.
    Ended in any way, the same command goes on: no request is decided twice, and none is left out.

    Example: chainsec agent --engine http://127.0.0.1:8545 --deployment deployment.json --keys keys --run runs/agent
    """
    from chainsec.attached.agency import keep_deciding, open_agent  # noqa: PLC0415 - --help stays fast
    from chainsec.attached.keyring import key_path, read_key  # noqa: PLC0415 - --help stays fast
    from chainsec.attached.model_files import find_model_files  # noqa: PLC0415 - --help stays fast
    from chainsec.attached.record import read_record  # noqa: PLC0415 - --help stays fast
    from chainsec.config import load_config  # noqa: PLC0415 - --help stays fast

    if not 0 < interval <= 3_600:  # noqa: PLR2004 - an hour between two looks is no agent any more
        raise ConfigError(f"--interval {interval:g}: is not between 0 and 3600 seconds")
    settings, record, account = load_config(config), read_record(deployment), read_key(key_path(keys, "agent"))
    stop, teller = threading.Event(), _Teller()
    with (
        _stopped_by_signals(stop),
        _open(engine, patience) as node,
        open_agent(
            node,
            record,
            account,
            run,
            contexts=contexts,
            model_files=find_model_files(model, run),
            config=settings,
        ) as deciding,
    ):
        teller.total = deciding.earlier
        typer.echo(
            f"agent {account.address} on chain {record.chain_id}, after block {deciding.cursor} "
            f"and {deciding.earlier} receipts: {_shown(run)}"
        )
        if not contexts.exists():
            typer.echo(f"{_shown(contexts)}: is not there yet: what comes without its context is denied", err=True)
        if once:
            for _ in range(2):  # what earlier starts left, and what has come since
                receipts = deciding.step()
                teller.tell(deciding.cursor, receipts)
        else:
            keep_deciding(deciding, stop, interval_s=interval, on_step=teller.tell, on_trouble=teller.complain)
        typer.echo(f"ended after block {deciding.cursor} and {teller.total} receipts; the same command goes on")


class _Teller:
    """Says what the agent has done, a line for each step with something to say."""

    def __init__(self) -> None:
        self.total = 0
        self._said = ""

    def tell(self, block: int, receipts: list[dict[str, Any]]) -> None:
        """Say how a step's requests were judged."""
        self._said = ""
        if not receipts:
            return
        self.total += len(receipts)
        counts = {verdict: sum(one["verdict"] == verdict for one in receipts) for verdict in ("grant", "deny")}
        unseen = sum(one["kind"] == "refusal" for one in receipts)
        typer.echo(
            f"block {block}: {counts['grant']} grant, {len(receipts) - sum(counts.values())} escalate, "
            f"{counts['deny']} deny ({unseen} unseen); {self.total} receipts in all"
        )

    def complain(self, what: str, pause_s: float) -> None:
        """Say what went wrong, once for as long as it stays the same."""
        if what != self._said:
            typer.echo(f"chainsec: {_visible(what)}; trying again, next in {pause_s:g} s", err=True)
        self._said = what


def _open(url: str, patience_s: float) -> Engine:
    from chainsec.ledger.engine import IN_PROCESS, open_engine  # noqa: PLC0415 - --help stays fast

    if url == IN_PROCESS:
        raise ConfigError(f"--engine {url}: needs the URL of a running node")
    return open_engine(url, block_production="node", patience_s=patience_s)


@contextmanager
def _stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """Let the first signal end the agent after its step, and a second one at once."""

    def end(number: int, frame: Any) -> None:
        if stop.is_set():
            signal.default_int_handler(number, frame)
        stop.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("chainsec: interrupted; the same command goes on from here", err=True)
        raise typer.Exit(_INTERRUPTED) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _shown(path: Path) -> str:
    return _visible(str(path))


def _visible(text: str) -> str:
    from chainsec.app.wording import visible_text  # noqa: PLC0415 - --help stays fast

    return visible_text(text, _LONGEST_LINE)
