"""Runs a scenario in its directory from settings to report; the same call goes on with what was interrupted.

Layer: scenarios, at its top. Not here: each of the steps (``stage``, ``play``, ``measure``, ``audit``), and how a
report is shown or written (``chainsec.app``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, Literal, Protocol

from chainsec import __version__
from chainsec.defence.detectors import UseMonitor
from chainsec.defence.observation import Observation, Use
from chainsec.defence.renewal import Renewal, RenewalSettings
from chainsec.defence.training import train_risk_model
from chainsec.digest import digest_json
from chainsec.errors import BadInput, ChainTakenBack, RunMismatch
from chainsec.ledger.engine import IN_PROCESS
from chainsec.models.drift import DriftSettings
from chainsec.network.engine import NetworkEngine
from chainsec.sandbox import Sandbox
from chainsec.scenarios import comparison, measure
from chainsec.scenarios.audit import REPORT, find_broken_seal, verify_run
from chainsec.scenarios.directory import FORMAT, SEAL, SETTINGS, RunDirectory, discard_run
from chainsec.scenarios.episodes import Score, observed_of
from chainsec.scenarios.hospital import hospital
from chainsec.scenarios.mapping import load_mapping
from chainsec.scenarios.network_run import measure_network, seen_at_head
from chainsec.scenarios.origin import run_key_seed
from chainsec.scenarios.play import Play
from chainsec.scenarios.replay import build_replay
from chainsec.scenarios.report_schema import Audit, Report, Run
from chainsec.scenarios.stage import set_stage
from chainsec.scenarios.venue import IN_THIS_PROCESS, Venue

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from chainsec.config import Config
    from chainsec.defence.risk import EvidenceRiskModel
    from chainsec.scenarios.audit import AuditSummary
    from chainsec.scenarios.network_run import NetworkTerms
    from chainsec.scenarios.report_network import NetworkPart
    from chainsec.scenarios.workload import Attempt, Workload

_MOST_RESTARTS = 10


class Watcher(Protocol):
    """Somebody who looks on while a run proceeds."""

    def on_step(self, step: str, done: int, total: int) -> None:
        """Take note that ``done`` of ``total`` parts of a step are finished."""

    def on_score(self, score: Score, live: int, blocks: int, gas: int) -> None:
        """Take note of the counters after a tick of the live part."""


@dataclass(frozen=True)
class Scenario:
    """What a run plays.

    Args:
        kind: ``demo`` or ``replay``.
        name: what the run is called.
        parameters: what the workload follows from, JSON values.
        draw: makes the workload; told whom to tell how it proceeds.
        source: name of the log, None for a drawn workload.
    """

    kind: Literal["demo", "replay"]
    name: str
    parameters: Mapping[str, Any]
    draw: Callable[[Callable[[str, int, int], None]], Workload]
    source: str | None = None


def demo_scenario(
    seed: int, *, days: int = 30, staff: int = 60, records: int = 300, intensity: float = 1.0
) -> Scenario:
    """Return the hospital consortium as a scenario; see ``hospital``."""
    parameters = {"seed": seed, "days": days, "staff": staff, "records": records, "intensity": intensity}
    return Scenario(
        "demo",
        "hospital",
        parameters,
        lambda _: hospital(seed, days=days, staff=staff, records=records, intensity=intensity),
    )


def replay_scenario(
    log: Path, mapping: str, *, history: float = 0.5, limit: int | None = None, skip_bad: bool = False
) -> Scenario:
    """Return a user's log as a scenario; see ``build_replay``.

    Raises:
        ConfigError: the mapping is wrong.
        BadInput: the log cannot be opened, or not twice, as where it is a pipe.
    """
    found = load_mapping(mapping)
    digest = _digest_log(log)
    name = log.name.encode("utf-8", "backslashreplace").decode()  # a name may hold bytes that are no text
    parameters = {
        "log_sha256": digest,
        "mapping_digest": found.digest(),
        "history": history,
        "limit": limit,
        "skip_bad": skip_bad,
    }
    return Scenario(
        "replay",
        f"replay of {name}",
        parameters,
        lambda on_step: build_replay(
            log,
            found,
            history=history,
            limit=limit,
            skip_bad=skip_bad,
            on_progress=lambda done, total: on_step("log", done, total or done),
        ),
        source=name,
    )


def _digest_log(log: Path) -> str:
    if log.exists() and not log.is_file():
        raise BadInput(f"{log}: is no file", path=str(log))
    try:
        with log.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadInput(f"{log}: cannot be opened: {error.strerror}", path=str(log)) from error


def is_finished(path: Path) -> bool:
    """Tell whether ``path`` holds a run that has come to its end."""
    return (path / SEAL).exists()


def run_scenario(
    scenario: Scenario,
    config: Config,
    path: Path,
    watcher: Watcher,
    publish: Callable[[Path, Report], object],
    *,
    engine: str = IN_PROCESS,
    network: NetworkTerms | None = None,
    is_fresh: bool = False,
    processes: int = 1,
) -> Report:
    """Play ``scenario`` in the directory ``path`` and return its report.

    Whatever an earlier call with the same arguments has left is gone over and kept: same blocks, same receipts. A
    finished run is not played again; its report is returned. A node that comes back with an older chain gets the blocks
    that it has lost once more.

    Args:
        scenario: what is played.
        config: settings.
        path: the run's directory.
        watcher: told how it proceeds.
        publish: writes the report into the directory before the run is sealed.
        engine: where the chain is made: "eth-tester", or the URL of a development node.
        network: let simulated validators agree on the live part, in virtual time. Interrupted, such a run makes its
            chain once more from the start, and the same one.
        is_fresh: delete what an earlier run has left in the directory, once it is known that this one can begin.
        processes: how many may execute blocks at once in the audit, this one included.

    Raises:
        BadInput: the log cannot be read or its times cannot stand on a chain; nothing was written then.
        RunMismatch: the directory holds another run, or one whose records are not what this run writes.
        RunInUse: another process works there.
        AuditFailed: the evidence does not hold, or a finished run is no longer as it was sealed.
        ConfigError: the node is none that a run can be made on.
        LedgerError: the node is gone, or its chain does something else than the same transactions do in process.
    """
    venue = Venue(engine, network)
    workload = scenario.draw(watcher.on_step)
    config = venue.place(config, workload, scenario.source or scenario.name)
    settings = {
        "format": FORMAT,
        "kind": scenario.kind,
        "name": scenario.name,
        "workload": dict(scenario.parameters),
        "config": config.model_dump(mode="json"),
        **venue.settings(),
    }
    if is_fresh:
        discard_run(path)
    for restart in count():
        try:
            with RunDirectory(path, settings) as directory:
                if directory.is_finished:
                    return _read_report(path)
                play, network_part = _play(workload, config, directory, watcher, venue)
                summary = verify_run(
                    path, lambda done, total: watcher.on_step("audit", done, total), is_own=True, processes=processes
                )
                report = _report(scenario, settings, play, directory.timings(), summary)
                report = report.model_copy(update={"network": network_part})
                publish(path, report)
                directory.seal()
                return report
        except ChainTakenBack:
            if restart == _MOST_RESTARTS:
                raise
            watcher.on_step("node lost blocks", restart + 1, _MOST_RESTARTS)
        except RunMismatch as error:
            raise venue.explain(error) from error
    raise AssertionError("counting never ends")


def _read_report(path: Path) -> Report:
    broken = find_broken_seal(path)
    if broken is not None:
        raise broken
    try:
        return Report.model_validate_json((path / REPORT).read_bytes())
    except ValueError as error:
        raise RunMismatch(f"{path / REPORT}: was written by another release", path=str(path)) from error


def _play(
    workload: Workload, config: Config, directory: RunDirectory, watcher: Watcher, venue: Venue = IN_THIS_PROCESS
) -> tuple[Play, NetworkPart | None]:
    watcher.on_step("model", 0, 1)
    model = train_on_history(workload)
    directory.keep_model(model.digest, model.to_files())
    watcher.on_step("model", 1, 1)
    key_seed = run_key_seed(config.seed)
    with (
        venue.open(config, directory) as engine,
        Sandbox(config, engine=engine, key_seed=key_seed, is_replay=True, contexts=directory.contexts) as box,
    ):
        assets = set_stage(box, workload, watcher.on_step)
        box.deployment.audit.anchor(box.keys.notary, SETTINGS, [directory.settings])
        box.anchor_model(model)
        box.client.settle()
        venue.go_live(engine)
        agent = box.start_agent(
            model,
            watch_history(workload),
            receipts=directory.receipts,
            clock=lambda: play.clock_s,
            renewal=plan_renewal(workload, config),
            keep_model=lambda found: directory.keep_model(found.digest, found.to_files()),
        )
        play = Play(
            box,
            workload,
            assets,
            agent,
            directory,
            on_tick=lambda score: watcher.on_score(score, len(workload.live), box.client.at, box.client.gas_used),
        )
        if isinstance(engine, NetworkEngine):
            play.on_filing = engine.note_arrivals
        play.run()
        directory.require_consumed()
        if not box.client.is_caught_up:
            raise RunMismatch(f"{directory.chain_path}: goes on after block {box.client.at}, where this run ends")
        venue.bring_home(engine, config, directory, lambda done, total: watcher.on_step("chain", done, total))
        measured = None
        if isinstance(engine, NetworkEngine) and venue.network is not None:
            play.threats[:] = seen_at_head(play.threats, engine)
            measured = measure_network(play, engine, venue.network, watcher.on_step)
    return play, measured


def train_on_history(workload: Workload) -> EvidenceRiskModel:
    """Train on the workload's history, with the labels that were known when the live part began."""
    return train_risk_model(*_observe_history(workload))


def plan_renewal(workload: Workload, config: Config) -> Renewal | None:
    """Return what watches over the model that ``train_on_history`` gives; None where the settings want none."""
    settings = config.renewal
    if not settings.enabled:
        return None
    told = RenewalSettings(
        drift=DriftSettings(settings.reference_events, settings.events_per_false_alarm),
        fresh_labels=settings.fresh_labels,
        trial_labels=settings.trial_labels,
        patience_events=settings.patience_events,
    )
    return Renewal(*_observe_history(workload), train_risk_model, told)


def _observe_history(workload: Workload) -> tuple[list[Observation], list[bool | None]]:
    sensitivities = {record.name: record.sensitivity for record in workload.records}
    history = [
        Observation(
            id=f"history-{number}",
            sensitivity=sensitivities[attempt.asset],
            **observed_of(attempt, has_clock=workload.has_clock),
        )
        for number, attempt in enumerate(workload.history)
    ]
    return history, [_known_label(attempt) for attempt in workload.history]


def watch_history(workload: Workload) -> UseMonitor:
    """Return a monitor that knows the ordinary uses of the history, without those known to be abuse."""
    roles = {attempt.requester: attempt.attributes.get("role", "") for attempt in workload.history}
    kinds = {attempt.asset: attempt.attributes.get("record_kind", "") for attempt in workload.history}
    monitor = UseMonitor(peer_groups=roles, asset_groups=kinds)
    uses = [
        Use(
            time_s=attempt.time_s + planned.after_s,
            requester=attempt.requester,
            asset=attempt.asset,
            action=planned.action,
            volume_bytes=planned.volume_bytes,
            request_id=f"history-{number}",
        )
        for number, attempt in enumerate(workload.history)
        if not _known_label(attempt)
        for planned in attempt.uses
    ]
    live_from_s = workload.live[0].time_s
    monitor.warm_up(use for use in sorted(uses, key=lambda use: use.time_s) if use.time_s < live_from_s)
    return monitor


def _known_label(attempt: Attempt) -> bool | None:
    """Return the label that was known before the live part: history labels are revealed by then or never."""
    return attempt.denied if attempt.label_at_s is not None else None


def _report(
    scenario: Scenario,
    settings: Mapping[str, Any],
    play: Play,
    timings: Sequence[Mapping[str, Any]],
    summary: AuditSummary,
) -> Report:
    workload, config = play.workload, play.box.config
    agent, baselines = comparison.judge_by_agent(play), comparison.judge_by_baselines(play)
    span_s = workload.live[-1].time_s - workload.live[0].time_s
    return Report(
        run=Run(
            name=scenario.name,
            kind=scenario.kind,
            seed=config.seed,
            engine=play.box.engine.name,
            model_digest=play.agent.model.digest,
            started_at_s=workload.live[0].time_s,
            days=-(-span_s // 86_400) if workload.has_clock else 0,
            has_clock=workload.has_clock,
            settings=_flatten(settings),
            settings_digest="0x" + digest_json(settings).hex(),
            source=scenario.source,
            version=__version__,
        ),
        requests=measure.count_requests(workload),
        decisions=measure.count_decisions(play),
        quality=comparison.measure_quality(agent, baselines),
        latency=measure.measure_latency(play, timings),
        cost=measure.measure_cost(play),
        throughput=measure.measure_throughput(timings),
        audit=Audit(blocks=summary.blocks, receipts=summary.receipts, verified=True, head_hash=summary.head_hash),
        parties=measure.list_parties(play),
        series=measure.draw_series(play, agent, baselines, play.box.thresholds()),
        timeline=measure.list_alerts(play),
        model=measure.list_notices(play),
    )


def _flatten(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, item in value.items():
        name = f"{prefix}{key}"
        flat |= _flatten(item, f"{name}.") if isinstance(item, Mapping) else {name: item}
    return flat
