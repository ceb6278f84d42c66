"""Study: the chain's watch on simulated networks: what it detects, after how many blocks, and how often in error.

Layer: evaluation. Not here: the networks (``chain_stage``), the rules (``chainsec.defence.chainrules``).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from chainsec.defence.receipts import threat_receipt
from chainsec.evaluation.chain_stage import FOLLOWER, LIAR, VALIDATORS, Stage
from chainsec.evaluation.outcome import Figure, Line, Outcome, Plot
from chainsec.network.misconduct import find_proof_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from chainsec.network.watching import Lookout

__all__ = ["ChainStudy", "poisson_interval", "rate_interval"]

_LIMIT_S = 180
_STEP_S = 2
_RESAMPLES = 1_000
_DAY_S = 86_400
_SECOND_US = 1_000_000
_PROOFS = ("equivocation", "bad_seal")
_WEATHERS: tuple[tuple[str, str, tuple[dict[str, object], ...]], ...] = (
    ("lan", "nothing amiss", ()),
    ("wan", "nothing amiss", ()),
    ("wan", "one machine twenty times as slow", ({"kind": "slow", "nodes": [1], "factor": 20, "at_s": 60},)),
    ("wan", "links twice as long, 2 % lost", ({"kind": "links", "factor": 2, "loss_rate": 0.02, "at_s": 60},)),
    ("wan", "half a second of jitter", ({"kind": "links", "factor": 1, "jitter_ms": 500, "at_s": 60},)),
    ("wan", "clocks 0.4 s off", ({"kind": "skew", "nodes": [1], "skew_ms": 400, "at_s": 60},)),
)


class _Expected(NamedTuple):
    """An alert that has to come.

    Args:
        name: what it is about.
        kind: of the alert.
        watchers: nodes of which one has to raise it.
        client: who is to blame; None for the validator that fails, -1 for nobody in particular.
    """

    name: str
    kind: str
    watchers: tuple[int, ...] = (0,)
    client: int | None = None


class _Trial(NamedTuple):
    """What befalls a network after a calm time, and the alerts that have to come of it."""

    begin: Callable[[Stage], None]
    expected: tuple[_Expected, ...]
    has_gossip: bool = True
    calm_s: int = 60


def _corrupt(role: str) -> Callable[[Stage], None]:
    return lambda stage: stage.corrupt(role)


def _trouble(stage: Stage) -> None:
    stage.burst()
    stage.use_odd_gas()
    stage.probe()


_HONEST = tuple(number for number in range(VALIDATORS) if number != LIAR)
_TRIALS = (
    _Trial(_corrupt("equivocator"), (_Expected("equivocation", "equivocation"),)),
    _Trial(
        _corrupt("equivocator"),
        (
            _Expected("equivocation, no gossip, one watches", "equivocation"),
            _Expected("equivocation, no gossip, all watch", "equivocation", _HONEST),
        ),
        has_gossip=False,
    ),
    _Trial(_corrupt("bad-seals"), (_Expected("bad seals", "bad_seal"),)),
    _Trial(_corrupt("silent"), (_Expected("silence", "silence"),)),
    _Trial(
        Stage.crash,
        (_Expected("crash", "silence"), _Expected("crash, headers only", "missed_turns", (FOLLOWER,))),
    ),
    _Trial(_corrupt("invalid-blocks"), (_Expected("invalid blocks", "missed_turns"),)),
    _Trial(_corrupt("forged-round-changes"), (_Expected("forged round changes", "round_changes"),)),
    _Trial(
        _trouble,
        (
            _Expected("burst", "flood", client=0),
            _Expected("odd gas", "odd_gas", client=1),
            _Expected("probing", "probing", client=3),
        ),
    ),
    _Trial(Stage.fill_block, (_Expected("full block", "full_block", client=-1),), calm_s=300),
)


class _Found(NamedTuple):
    """What came of a trial.

    Args:
        blocks, seconds: until the alert; None where there was none.
    """

    blocks: int | None
    seconds: float | None


class _Played(NamedTuple):
    """What a trial led to: each expectation's outcome, alerts about others, and lies whose proof does not hold."""

    found: dict[str, _Found]
    blamed: list[str]
    unproved: int


def rate_interval(hits: int, tries: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a rate.

    >>> [round(end, 3) for end in rate_interval(5, 5)]
    [0.566, 1.0]

    Source: Wilson, Probable inference, Journal of the American Statistical Association 22 (1927).
    """
    z = 1.96
    middle, spread = hits + z * z / 2, z * math.sqrt(hits * (tries - hits) / tries + z * z / 4)
    return max(0.0, (middle - spread) / (tries + z * z)), min(1.0, (middle + spread) / (tries + z * z))


def poisson_interval(count: int) -> tuple[float, float]:
    """Return the exact 95 % interval of the mean behind a count.

    >>> [round(end, 3) for end in poisson_interval(0)], [round(end, 3) for end in poisson_interval(3)]
    ([0.0, 3.689], [0.619, 8.767])

    Source: Garwood, Fiducial limits for the Poisson distribution, Biometrika 28 (1936).
    """

    def find(chance: float, most: int) -> float:
        """Return the mean under which no more than ``most`` events have this chance."""
        low, high = 0.0, 10.0 + 4.0 * most
        for _ in range(100):
            mean = (low + high) / 2
            found = math.fsum(math.exp(-mean + k * math.log(mean) - math.lgamma(k + 1)) for k in range(most + 1))
            low, high = (mean, high) if found > chance else (low, mean)
        return low

    return (find(0.975, count - 1) if count else 0.0), find(0.025, count)


@dataclass(frozen=True)
class ChainStudy:
    """How soon the chain's watch finds what befalls a simulated network, and what it makes of healthy ones.

    Args:
        networks: of each kind of trial.
        healthy_s: virtual time of each healthy network; there are as many as kinds of weather.

    >>> ChainStudy().name
    'chain'
    """

    networks: int = 6
    healthy_s: int = 1_200

    @property
    def name(self) -> str:
        """A short word, as the command line takes it."""
        return "chain"

    @property
    def title(self) -> str:
        """What is judged."""
        return "validators that lie or fall silent, odd gas, bursts, probing, on simulated networks"

    def run(self, folder: Path, seed: int, on_step: Callable[[str, int, int], None]) -> Outcome:  # noqa: ARG002 - no data
        """Measure; nothing is read from ``folder``, as these networks are simulated."""
        started = time.perf_counter()
        trials = [(trial, 1_000 * seed + network) for network in range(self.networks) for trial in _TRIALS]
        steps, played, alarms = len(trials) + len(_WEATHERS), [], []
        for done, (trial, its_seed) in enumerate(trials, 1):
            played.append(_play(trial, its_seed))
            on_step(trial.expected[0].name, done, steps)
        for done, (matrix, words, faults) in enumerate(_WEATHERS, 1):
            alarms += _live(1_000 * seed + 500 + done, matrix, faults, self.healthy_s)
            on_step(words, len(trials) + done, steps)
        found = {
            each.name: [trial.found[each.name] for trial in played if each.name in trial.found] for each in _ALERTS
        }
        return Outcome(
            study=self.name,
            data=f"{len(trials)} simulated networks with a fault, {len(_WEATHERS)} healthy ones",
            protocol=(
                f"{VALIDATORS} QBFT validators in four regions, a follower, six clients, blocks of a second; after"
                f" {_TRIALS[0].calm_s} s, {_TRIALS[-1].calm_s} of 'full block', something befalls the network, and one"
                f" validator watches (of 'headers only' the follower) for {_LIMIT_S} s at most. Nothing is trained;"
                " intervals over the networks"
            ),
            seed=seed,
            figures=(*self._false_alarms(alarms), *_figures(found, seed)),
            plots=(_plot(found),),
            notes=self._notes(played, alarms),
            seconds=time.perf_counter() - started,
        )

    def _false_alarms(self, alarms: Sequence[str]) -> tuple[Figure, ...]:
        watched_days = (2 * VALIDATORS - 1) * len(_WEATHERS) * self.healthy_s / _DAY_S
        low, high = poisson_interval(len(alarms))
        rate = len(alarms) / watched_days
        return (Figure("false alarms a validator-day", rate, low / watched_days, high / watched_days),)

    def _notes(self, played: Sequence[_Played], alarms: Sequence[str]) -> tuple[str, ...]:
        hours, weathers = len(_WEATHERS) * self.healthy_s / 3_600, "; ".join(words for _, words, _ in _WEATHERS)
        blamed = sorted(each for trial in played for each in trial.blamed)
        healthy = f"Healthy: {hours:.1f} hours of virtual time ({weathers}), seen by a validator and by the follower;"
        return (
            "All networks are simulated (docs/network.md); the faults are those that the simulator knows.",
            f"{healthy} alarms, about clients too: {', '.join(sorted(alarms)) or 'none'}.",
            f"Alerts in networks with a fault that blamed somebody else: {', '.join(blamed) or 'none'}.",
            f"Proofs of a lie that did not hold: {sum(trial.unproved for trial in played)}.",
        )


_ALERTS = tuple(each for trial in _TRIALS for each in trial.expected)


def _play(trial: _Trial, seed: int) -> _Played:
    watchers = sorted({number for each in trial.expected for number in each.watchers})
    stage = Stage(seed, has_gossip=trial.has_gossip, watchers=watchers)
    stage.run_for(trial.calm_s)
    heights, begun_s = {number: stage.network.nodes[number].chain.height for number in watchers}, stage.time_s
    trial.begin(stage)
    found = dict.fromkeys((each.name for each in trial.expected), _Found(None, None))
    while stage.time_s < begun_s + _LIMIT_S and not all(each.seconds is not None for each in found.values()):
        stage.run_for(_STEP_S)
        for each in trial.expected:
            if found[each.name].seconds is None:
                found[each.name] = _look(stage, each, heights, begun_s)
    lookouts = stage.lookouts.values()
    culprits = {_culprit(stage, each) for each in trial.expected}
    blamed = [
        alert.threat.kind
        for lookout in lookouts
        for alert in lookout.alerts
        if None not in culprits and alert.threat.requester not in culprits
    ]
    return _Played(found, blamed, sum(map(_count_unproved, lookouts)))


def _culprit(stage: Stage, expected: _Expected) -> str | None:
    if expected.client is None:
        return str(stage.network.nodes[LIAR].address)
    return None if expected.client < 0 else str(stage.clients[expected.client].address)


def _look(stage: Stage, expected: _Expected, heights: dict[int, int], begun_s: float) -> _Found:
    """Return when the first of the watchers raised the alert."""
    culprit, alerts = _culprit(stage, expected), []
    for number in expected.watchers:
        for alert in stage.lookouts[number].alerts:
            is_it = alert.threat.kind == expected.kind and culprit in {None, alert.threat.requester}
            if is_it and alert.time_us >= begun_s * _SECOND_US:
                alerts.append(_Found(alert.height - heights[number], alert.time_us / _SECOND_US - begun_s))
    return min(alerts, key=lambda each: each.seconds or 0.0, default=_Found(None, None))


def _count_unproved(lookout: Lookout) -> int:
    threats = [alert.threat for alert in lookout.alerts if alert.threat.kind in _PROOFS]
    return sum(find_proof_fault(threat_receipt(threat, "alert")) is not None for threat in threats)


def _live(seed: int, matrix: str, faults: Sequence[dict[str, object]], span_s: int) -> list[str]:
    """Return the alerts that a healthy network has led to, by kind."""
    stage = Stage(seed, matrix=matrix, faults=faults)
    stage.run_for(span_s)
    return [alert.threat.kind for lookout in stage.lookouts.values() for alert in lookout.alerts]


def _figures(found: dict[str, list[_Found]], seed: int) -> list[Figure]:
    figures = []
    for name, trials in found.items():
        hits = [each for each in trials if each.blocks is not None and each.seconds is not None]
        figures.append(Figure(f"{name}: detected", len(hits) / len(trials), *rate_interval(len(hits), len(trials))))
        if hits:
            figures.append(_mean(f"{name}: blocks until the alert", [each.blocks or 0 for each in hits], seed))
            figures.append(_mean(f"{name}: seconds until the alert", [each.seconds or 0 for each in hits], seed))
    return figures


def _mean(metric: str, values: Sequence[float], seed: int) -> Figure:
    """Return a mean with its interval over resampled networks."""
    numbers = np.array(values, dtype=float)
    drawn = np.random.default_rng(seed).integers(len(numbers), size=(_RESAMPLES, len(numbers)))
    low, high = np.percentile(numbers[drawn].mean(axis=1), (2.5, 97.5))
    return Figure(metric, float(numbers.mean()), float(low), float(high), lower_is_better=True)


def _plot(found: dict[str, list[_Found]]) -> Plot:
    lines = []
    for name, trials in found.items():
        delays = sorted(each.blocks for each in trials if each.blocks is not None)
        shares = [(place + 1) / len(trials) for place in range(len(delays))]
        lines.append(Line(name, (0.0, *map(float, delays)), (0.0, *shares)))
    return Plot("delay", "Detection on a simulated network", "blocks since it began", "detected", tuple(lines))
