"""Runs a scenario in its directory from settings to report; the same call goes on with what was interrupted.

Layer: scenarios, at its top. Not here: each of the steps (``stage``, ``play``, ``measure``, ``audit``), and how a
report is shown or written (``chainsec.app``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from chainsec import __version__
from chainsec.config import ChainSettings, Config
from chainsec.defence.detectors import UseMonitor
from chainsec.defence.observation import Observation, Use
from chainsec.defence.risk import EvidenceRiskModel
from chainsec.defence.training import train_risk_model
from chainsec.digest import digest_json, keccak
from chainsec.ledger.engine import open_engine
from chainsec.sandbox import Sandbox
from chainsec.scenarios import measure
from chainsec.scenarios.audit import MODELS, AuditSummary, verify_run
from chainsec.scenarios.directory import SEAL, RunDirectory
from chainsec.scenarios.hospital import hospital
from chainsec.scenarios.mapping import load_mapping
from chainsec.scenarios.play import Play, Score, observed_of
from chainsec.scenarios.replay import build_replay
from chainsec.scenarios.report_schema import Audit, Report, Run
from chainsec.scenarios.stage import LEAD_S, set_stage
from chainsec.scenarios.workload import Attempt, Workload

ENGINE = "eth-tester"
REPORT = "report.json"


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

    kind: str
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
        OSError: the log cannot be opened.
    """
    found = load_mapping(mapping)
    digest = hashlib.sha256()
    with log.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    parameters = {
        "log_sha256": digest.hexdigest(),
        "mapping_digest": found.digest(),
        "history": history,
        "limit": limit,
        "skip_bad": skip_bad,
    }
    return Scenario(
        "replay",
        f"replay of {log.name}",
        parameters,
        lambda on_step: build_replay(
            log,
            found,
            history=history,
            limit=limit,
            skip_bad=skip_bad,
            on_progress=lambda done, total: on_step("log", done, total or done),
        ),
        source=log.name,
    )


def is_finished(path: Path) -> bool:
    """Tell whether ``path`` holds a run that has come to its end."""
    return (path / SEAL).exists()


def run_scenario(
    scenario: Scenario, config: Config, path: Path, watcher: Watcher, publish: Callable[[Path, Report], object]
) -> Report:
    """Play ``scenario`` in the directory ``path`` and return its report.

    Whatever an earlier call with the same arguments has left is gone over and kept: same blocks, same receipts. A
    finished run is not played again; its report is returned.

    Args:
        scenario: what is played.
        config: settings.
        path: the run's directory.
        watcher: told how it proceeds.
        publish: writes the report into the directory before the run is sealed.

    Raises:
        BadInput: the log cannot be read; nothing was written then.
        RunMismatch: the directory holds another run.
        RunInUse: another process works there.
        AuditFailed: the finished run's evidence does not hold.
    """
    workload = scenario.draw(watcher.on_step)
    config = _place_genesis(config, workload)
    settings = {"format": 1, "kind": scenario.kind, "name": scenario.name, "workload": dict(scenario.parameters), "config": config.model_dump(mode="json")}
    with RunDirectory(path, settings) as directory:
        if directory.is_finished:
            return Report.model_validate_json((path / REPORT).read_bytes())
        play, model = _play(workload, config, directory, watcher)
        summary = verify_run(path, on_block=lambda done, total: watcher.on_step("audit", done, total), is_sealed=False)
        report = _report(scenario, config, settings, play, model, directory, summary)
        publish(path, report)
        directory.seal()
    return report


def _place_genesis(config: Config, workload: Workload) -> Config:
    """Return ``config`` with a genesis that leaves a day for setting the stage before the first live request."""
    if not workload.has_clock:
        return config
    first_s = workload.live[0].time_s - LEAD_S
    return config.model_copy(
        update={"chain": ChainSettings(**{**config.chain.model_dump(), "genesis_time_s": max(1, first_s)})}
    )


def _play(
    workload: Workload, config: Config, directory: RunDirectory, watcher: Watcher
) -> tuple[Play, EvidenceRiskModel]:
    watcher.on_step("model", 0, 1)
    model = train_on_history(workload)
    initial = model.to_files()
    directory.keep_model(model.digest, initial)
    watcher.on_step("model", 1, 1)
    engine = open_engine(
        ENGINE,
        path=directory.chain_path,
        chain_id=config.chain.chain_id,
        accounts=(),
        genesis_time=config.chain.genesis_time_s,
    )
    key_seed = keccak(b"chainsec run" + config.seed.to_bytes(8, "big"))
    with Sandbox(config, engine=engine, key_seed=key_seed, is_replay=True, contexts=directory.contexts) as box:
        assets = set_stage(box, workload, watcher.on_step)
        box.deployment.audit.anchor(box.keys.notary, MODELS, [initial[name] for name in sorted(initial)])
        box.client.settle()
        monitor = watch_history(workload)
        clock: list[Play] = []
        agent = box.start_agent(model, monitor, receipts=directory.receipts, clock=lambda: clock[0].clock_s)
        play = Play(
            box,
            workload,
            assets,
            agent,
            directory,
            on_tick=lambda score: watcher.on_score(score, len(workload.live), box.client.at, box.client.gas_used),
        )
        clock.append(play)
        play.run()
        directory.require_consumed()
    return play, model


def train_on_history(workload: Workload) -> EvidenceRiskModel:
    """Train on the workload's history, with the labels that were known when the live part began."""
    sensitivities = {record.name: record.sensitivity for record in workload.records}
    history = [
        Observation(
            id=f"history-{number}",
            sensitivity=sensitivities[attempt.asset],
            **observed_of(attempt, has_clock=workload.has_clock),
        )
        for number, attempt in enumerate(workload.history)
    ]
    return train_risk_model(history, [_known_label(attempt) for attempt in workload.history])


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
    config: Config,
    settings: Mapping[str, Any],
    play: Play,
    model: EvidenceRiskModel,
    directory: RunDirectory,
    summary: AuditSummary,
) -> Report:
    workload, timings = play.workload, directory.timings()
    agent, baselines = measure.judge_by_agent(play.episodes), measure.judge_by_baselines(workload)
    span_s = workload.live[-1].time_s - workload.live[0].time_s
    return Report(
        run=Run(
            name=scenario.name,
            kind=scenario.kind,  # type: ignore[arg-type] # one of the two literals, by the two constructors above
            seed=config.seed,
            engine=ENGINE,
            model_digest=model.digest,
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
        quality=measure.measure_quality(agent, baselines),
        latency=measure.measure_latency(play, timings),
        cost=measure.measure_cost(play),
        throughput=measure.measure_throughput(timings),
        audit=Audit(
            blocks=summary.blocks, receipts=summary.receipts, verified=True, head_hash=summary.head_hash
        ),
        parties=measure.list_parties(play),
        series=measure.draw_series(play, agent, baselines, play.box.thresholds()),
        timeline=measure.list_alerts(play),
    )


def _flatten(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, item in value.items():
        name = f"{prefix}{key}"
        flat |= _flatten(item, f"{name}.") if isinstance(item, Mapping) else {name: item}
    return flat


