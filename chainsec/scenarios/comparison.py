"""Sets the agent beside simpler ways of deciding, all under one contract, before the same guardians, at equal cost.

Layer: scenarios. Not here: playing (``play``), the rules (``baselines``), formulas (``quality``).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainsec.primitives import ACTION_SCOPES, Scope
from chainsec.scenarios.baselines import RuleEngine, grant_all
from chainsec.scenarios.guardians import APPROVE, CANCEL, LAPSE, find_good, next_sitting_s
from chainsec.scenarios.quality import area_under_roc, average_precision, denial_recall
from chainsec.scenarios.report_quality import RULES, AttackOutcome, Measures, Quality
from chainsec.scenarios.stage import chain_time
from chainsec.services.access import Basis, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from chainsec.scenarios.baselines import RuleVerdict
    from chainsec.scenarios.episodes import Episode
    from chainsec.scenarios.play import Play
    from chainsec.scenarios.workload import Attempt

_ABOVE_ALL_SCORES = 2.0


@dataclass(frozen=True)
class Judged:
    """One live attempt as one way of deciding left it.

    Args:
        attempt: what was asked.
        score: risk score, high = suspicious.
        outcome: granted, denied or escalated, at the request.
        answer: the guardians', ``approve``, ``cancel``, ``lapse`` or "".
        is_above_ceiling: whether the contract lets no agent grant it, only guardians.
        is_lowered: whether it would have been granted but for that ceiling.
        cut_off_by: who ended the grant while it stood, "" where nobody did.
        leaked_bytes: handed out under it.
    """

    attempt: Attempt
    score: float
    outcome: Status
    answer: str
    is_above_ceiling: bool
    is_lowered: bool
    cut_off_by: str
    leaked_bytes: int

    @property
    def is_stopped(self) -> bool:
        """Whether it was denied, or put before a guardian who did not approve it."""
        return self.outcome is not Status.GRANTED and self.answer != APPROVE

    @property
    def is_refused(self) -> bool:
        """Whether it was denied for good, by whoever decides or by a guardian."""
        return self.outcome is Status.DENIED or self.answer == CANCEL

    @property
    def is_cut_off(self) -> bool:
        """Whether it was granted, and cut off before half of the planned bytes were taken."""
        planned = sum(use.volume_bytes for use in self.attempt.uses)
        taken_in_part = 2 * self.leaked_bytes < planned or planned == 0
        return not self.is_stopped and self.cut_off_by != "" and taken_in_part


def judge_by_agent(play: Play) -> list[Judged]:
    """Return what the agent, the contract and the guardians made of each attempt.

    A request without a score counts as risk 1.
    """
    ceiling = play.box.config.limits.sensitivity_ceiling
    return [
        Judged(
            episode.attempt,
            1.0 if episode.score is None else episode.score,
            episode.outcome,
            episode.answer,
            is_above_ceiling=play.sensitivity_of(episode.attempt.asset) > ceiling,
            is_lowered=episode.basis is Basis.ABOVE_CEILING,
            cut_off_by=episode.cut_off_by,
            leaked_bytes=episode.bytes_allowed,
        )
        for episode in play.episodes
    ]


def judge_by_baselines(play: Play) -> dict[str, list[Judged]]:
    """Return what granting all and rules alone would have made of the same attempts.

    Contract and guardians are the agent's: what lies above the ceiling goes before the guardians, who err about the
    same requests; grants end when they would have ended. Nobody cuts anything off.
    """
    workload = play.workload
    engine = RuleEngine.from_history(workload.history, has_clock=workload.has_clock)
    verdicts = {"grant all": grant_all(workload.live), RULES: engine.judge(workload.live)}
    judged = {}
    for name, found in verdicts.items():
        by_attempt = {id(attempt): verdict for attempt, verdict in zip(workload.live, found, strict=True)}
        judged[name] = [_judge(play, episode, by_attempt[id(episode.attempt)]) for episode in play.episodes]
    return judged


def _judge(play: Play, episode: Episode, verdict: RuleVerdict) -> Judged:
    attempt, config = episode.attempt, play.box.config
    is_above = play.sensitivity_of(attempt.asset) > config.limits.sensitivity_ceiling
    is_lowered = is_above and not verdict.denied
    outcome = Status.DENIED if verdict.denied else Status.ESCALATED if is_above else Status.GRANTED
    start_s, until_s, answer = episode.filed_at_s, episode.request.until, ""
    if is_lowered and attempt.denied is not None and play.workload.has_clock:
        start_s = next_sitting_s(start_s, config.run.guardian_delay_s)
        is_good = find_good(config.seed, config.run.guardian_error_rate, attempt)
        is_late = until_s < chain_time(config, play.workload, start_s)
        answer = LAPSE if is_late else APPROVE if is_good else CANCEL
    elif outcome is Status.GRANTED:
        until_s = min(until_s, chain_time(config, play.workload, start_s) + config.limits.max_grant_s)
    is_open = outcome is Status.GRANTED or answer == APPROVE
    return Judged(
        attempt,
        verdict.score,
        outcome,
        answer,
        is_above_ceiling=is_above,
        is_lowered=is_lowered,
        cut_off_by="",
        leaked_bytes=_takeable_bytes(play, attempt, start_s, until_s) if is_open else 0,
    )


def _takeable_bytes(play: Play, attempt: Attempt, start_s: int, until_s: int) -> int:
    """Return what a grant that nobody cuts off hands out: uses within its scope and time."""
    config, workload = play.box.config, play.workload
    return sum(
        use.volume_bytes
        for use in attempt.uses
        if Scope[use.action.upper()] in ACTION_SCOPES[attempt.action]
        and chain_time(config, workload, start_s + use.after_s) <= until_s
    )


def measure_quality(agent: Sequence[Judged], baselines: Mapping[str, Sequence[Judged]]) -> Quality:
    """Return the agent's measures with those of the baselines beside them, at equal cost too."""
    rules = baselines.get(RULES, ())
    shares = (held_up_rate(agent), held_up_rate(rules))
    return Quality(
        **dict(_measure(agent, *shares)),
        baselines={name: _measure(judged, *shares) for name, judged in baselines.items()},
    )


def held_up_rate(judged: Iterable[Judged]) -> float | None:
    """Return the share of good requests that were denied or put before a guardian."""
    return _share([item.outcome is not Status.GRANTED for item in judged if item.attempt.denied is False])


def _held_at(labelled: Sequence[Judged], share: float | None) -> float | None:
    """Return the share of bad requests held up when ``share`` of the good ones are, by score, the ceiling first."""
    if share is None:
        return None
    scores = [_ABOVE_ALL_SCORES if item.is_above_ceiling else item.score for item in labelled]
    return denial_recall(scores, [bool(item.attempt.denied) for item in labelled], share)


def _measure(judged: Sequence[Judged], agents_share: float | None, rules_share: float | None) -> Measures:
    labelled = [item for item in judged if item.attempt.denied is not None]
    scores, truth = [item.score for item in labelled], [bool(item.attempt.denied) for item in labelled]
    bad = [item for item in labelled if item.attempt.denied]
    good = [item for item in labelled if not item.attempt.denied]
    has_uses = any(item.attempt.uses for item in judged)
    kinds: defaultdict[str, list[Judged]] = defaultdict(list)
    for item in bad:
        if item.attempt.attack:
            kinds[item.attempt.attack].append(item)
    return Measures(
        auc=area_under_roc(scores, truth),
        average_precision=average_precision(scores, truth),
        denial_recall_at_1pct=denial_recall(scores, truth, 0.01),
        denial_recall_at_5pct=denial_recall(scores, truth, 0.05),
        denial_recall_at_10pct=denial_recall(scores, truth, 0.10),
        good_requests=len(good),
        bad_requests=len(bad),
        bad_held_up_rate=_share([item.outcome is not Status.GRANTED for item in bad]),
        bad_stopped_rate=_share([item.is_stopped for item in bad]),
        bad_stopped_by_ceiling_rate=_share([item.is_stopped and item.is_lowered for item in bad]),
        bad_cut_off_rate=_share([item.is_cut_off for item in bad]),
        held_at_agents_share=_held_at(labelled, agents_share),
        held_at_rules_share=_held_at(labelled, rules_share),
        good_denied_rate=_share([item.outcome is Status.DENIED for item in good]),
        good_escalated_rate=_share([item.outcome is Status.ESCALATED for item in good]),
        good_refused_rate=_share([item.is_refused for item in good]),
        good_lapsed_rate=_share([item.answer == LAPSE for item in good]),
        leaked_bytes=sum(item.leaked_bytes for item in bad) if has_uses else None,
        leaked_records=_leaked_records(bad) if has_uses else None,
        per_attack={kind: _attack(items, has_uses=has_uses) for kind, items in sorted(kinds.items())},
    )


def _attack(items: Sequence[Judged], *, has_uses: bool) -> AttackOutcome:
    stopped = sum(item.is_stopped for item in items)
    return AttackOutcome(
        requests=len(items),
        denied=sum(item.outcome is Status.DENIED for item in items),
        escalated=sum(item.outcome is Status.ESCALATED for item in items),
        approved=sum(item.answer == APPROVE for item in items),
        stopped=stopped,
        cut_off=sum(item.is_cut_off for item in items),
        cut_off_late=sum(item.cut_off_by != "" and not item.is_stopped and not item.is_cut_off for item in items),
        recall=stopped / len(items),
        leaked_bytes=sum(item.leaked_bytes for item in items) if has_uses else None,
        leaked_records=_leaked_records(items) if has_uses else None,
    )


def _share(flags: Sequence[bool]) -> float | None:
    return sum(flags) / len(flags) if flags else None


def _leaked_records(items: Iterable[Judged]) -> int:
    return len({item.attempt.asset for item in items if item.leaked_bytes})
