"""The agent's risk model: statistics of labels and habits of people, in one score that anybody can recompute.

``features`` reads the past, ``score`` reads the features alone. Layer: defence, above its parts.
Not here: training (``training``), verdicts (``policy``), uses after a grant (``detectors``).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from chainsec.defence.acquaintance import Acquaintance, TiePlan
from chainsec.defence.behaviour import Habits
from chainsec.defence.features import FacetPlan
from chainsec.defence.labelled import LabelledPart
from chainsec.defence.novelty import NoveltyPart
from chainsec.defence.scoring import HELD, TEXT, Scoring
from chainsec.defence.statistics import EVIDENCE, CountTables, weigh_evidence
from chainsec.defence.suspicion import Suspicion
from chainsec.defence.worded import WordedPart
from chainsec.digest import canonical_json, keccak, parse_canonical
from chainsec.models.curve import Curve
from chainsec.models.rounding import round_all

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chainsec.defence.observation import Observation

FORMAT = 4
MODEL_FILE = "model.json"
STATE_FILE = "state.json"


@dataclass(frozen=True)
class RiskSettings:
    """What training may be told.

    Args:
        strength: made-up requests at the base rate from which each log-odds starts, > 0.
        inverse_penalty: scikit-learn's ``C`` for standardised features, > 0.
        max_contexts: how many contexts keep statistics, those with the largest weights, at least 1.
        max_features: size of a receipt's feature list; signals come first, contexts share what they leave.
        behaviour_emphasis: how much looser the penalty on departures from habits is, > 0.
        folds: blocks of history; evidence for a training row leaves out its own block's labels, at least 2.
        warm_up_rate: first share of the history that only fills the habits, in [0, 1).
        unseen_share: share of requests taken to be attacks that no label has shown, at most; many labelled denials
            lower it. In (0, 1).
        injected_share: share of requests whose text is taken to carry instructions aimed at the agent, in (0, 1).
    """

    strength: float = 3.0
    inverse_penalty: float = 0.0015
    max_contexts: int = 36
    max_features: int = 120
    behaviour_emphasis: float = 3.0
    folds: int = 10
    warm_up_rate: float = 0.2
    unseen_share: float = 0.001
    injected_share: float = 0.01

    def __post_init__(self) -> None:
        positive = (self.strength, self.inverse_penalty, self.behaviour_emphasis)
        shares = 0 <= self.warm_up_rate < 1 and 0 < self.unseen_share < 1 and 0 < self.injected_share < 1
        if min(positive) <= 0 or self.max_contexts < 1 or self.folds < 2 or not shares:  # noqa: PLR2004 - leave-out needs 2
            raise ValueError("a setting of the risk model is out of range")


class EvidenceRiskModel:
    """Scores requests from label statistics and habits. Implements ``RiskModel``.

    The risk is that of four independent causes, ``1 - (1 - known) * (1 - novel) * (1 - held) * (1 - worded)``: what
    resembles denied requests is ``known``, what departs from habits is ``novel``, ``held`` is what the requester did
    before, and ``worded`` what the justification says. It never falls when a departure grows in ``novel``, when more is
    held against the requester, or when a text reads more like an instruction to the agent. A part that is missing, as
    ``known`` without labels or ``worded`` without a text, counts for nothing.

    Args:
        settings: what training was told.
        plan: facets and contexts.
        base_rate: denial rate in the history, smoothed.
        known: part trained on labels.
        novel: part trained without.
        counts: statistics per context, updated by ``observe`` and ``learn``.
        habits: behaviour, updated by ``observe`` and ``learn``.
        ties: contacts, updated by ``observe``; None where times are no times.
        held: suspicion to risk.
        worded: texts to risk.
        suspicion: what is held against requesters, updated by ``learn`` and ``note_threat``.
    """

    def __init__(
        self,
        *,
        settings: RiskSettings,
        plan: FacetPlan,
        base_rate: float,
        known: LabelledPart,
        novel: NoveltyPart,
        counts: CountTables,
        habits: Habits,
        ties: Acquaintance | None,
        held: Curve,
        worded: WordedPart,
        suspicion: Suspicion,
    ) -> None:
        self.settings = settings
        self.plan = plan
        self.base_rate = base_rate
        self._counts = counts
        self._habits = habits
        self._ties = ties
        self._suspicion = suspicion
        self._measured: tuple[Observation, Sequence[str], list[str], dict[str, float]] | None = None
        evidence = [f"{name}:{kind}" for name in plan.names for kind in EVIDENCE]
        measured = habits.signal_names + (ties.signal_names if ties else ())
        found_at = {name: at for at, name in enumerate((*evidence, *measured, HELD, TEXT))}
        self.scoring = Scoring(known, novel, held, worded, names=evidence)
        self._found_at = [found_at[name] for name in self.scoring.names]
        self._model_file = canonical_json(self._describe())
        self.digest = "0x" + keccak(self._model_file).hex()

    def features(self, observation: Observation) -> dict[str, float]:
        """Return the named features of ``observation`` from the past so far. Changes nothing."""
        values = self.plan.values(observation)
        keys = self.plan.keys(values)
        base_rate, strength = self.base_rate, self.settings.strength
        found: list[float] = []
        for seen, labelled, denied in self._counts.look_up(keys):
            found += weigh_evidence(seen, labelled, denied, base_rate, strength)
        measured = self._habits.measure(observation, values)
        found += self._habits.departures(measured, values).values()
        if self._ties is not None:
            found += self._ties.measure(observation, values).values()
        found += (
            self._suspicion.level(observation.requester, observation.time_s),
            self.scoring.worded.read(observation.text),
        )
        self._measured = (observation, values, keys, measured)
        return dict(zip(self.scoring.names, round_all([found[at] for at in self._found_at]), strict=True))

    def score(self, features: Mapping[str, float]) -> float:
        """Return the risk in [0, 1] from features alone, the same on every machine.

        Raises:
            ValueError: a feature is missing, unknown, NaN or infinite.
        """
        return self.scoring.score(features)

    def reasons(self, features: Mapping[str, float], limit: int) -> list[tuple[str, float]]:
        """Return the features that moved the score most; see ``Scoring.reasons``."""
        return self.scoring.reasons(features, limit)

    def observe(self, observation: Observation) -> None:
        """Let an unlabelled request into the behavioural baseline."""
        measured: dict[str, float] | None
        if self._measured is not None and self._measured[0] is observation:
            _, values, keys, measured = self._measured
        else:
            values = self.plan.values(observation)
            keys, measured = self.plan.keys(values), None
        self._measured = None
        self._counts.see(keys)
        self._habits.observe(observation, values, measured)
        if self._ties is not None:
            self._ties.observe(observation, values)

    def learn(self, observation: Observation, denied: bool) -> None:  # noqa: FBT001 - the label itself
        """Let a revealed label into the statistics; what was denied leaves the habits. The weights stay.

        The observation must have been observed before.
        """
        values = self.plan.values(observation)
        self._counts.label(self.plan.keys(values), denied)
        self._measured = None
        if denied:
            self._habits.forget(observation, values)
        if observation.has_clock and denied:
            self._suspicion.add(observation.requester, observation.time_s, 1.0)
        elif observation.has_clock:
            self._suspicion.ease(observation.requester)

    def correct(self, observation: Observation, denied: bool) -> None:  # noqa: FBT001 - the label itself
        """Put a label right that was learned the other way round.

        What was held against the requester for it is taken back; the good that a wrong acquittal did is not.
        """
        values = self.plan.values(observation)
        self._counts.relabel(self.plan.keys(values), denied)
        self._measured = None
        if denied:
            self._habits.forget(observation, values)
        else:
            self._habits.restore(observation, values)
        if not observation.has_clock:
            return
        if denied:
            self._suspicion.add(observation.requester, observation.time_s, 1.0)
        else:
            self._suspicion.take_back(observation.requester, observation.time_s, 1.0)
            self._suspicion.ease(observation.requester)

    def withdraw_threat(self, requester: str, time_s: int, severity: float) -> None:
        """Take back what ``note_threat`` noted, as far as it has not faded."""
        self._suspicion.take_back(requester, time_s, severity)

    def note_threat(self, requester: str, time_s: int, severity: float) -> None:
        """Let a threat seen in uses raise the risk of the requester's next requests.

        Args:
            requester: whom it is about.
            time_s: when it was seen, Unix seconds.
            severity: in denied requests: 1 weighs as much as one request found to be bad.

        Raises:
            ValueError: ``severity`` is negative or not finite.
        """
        if not (math.isfinite(severity) and severity >= 0):
            raise ValueError(f"a severity is finite and at least 0, not {severity!r}")
        self._suspicion.add(requester, time_s, severity)

    def to_files(self) -> dict[str, bytes]:
        """Return the model's canonical files, name to content.

        ``model.json`` is all that scores depend on, and ``digest`` is its Keccak-256; ``state.json`` holds counts
        and habits as they are now, for going on.
        """
        state = {
            "counts": self._counts.to_json(),
            "habits": self._habits.to_json(),
            "suspicion": self._suspicion.to_json(),
            "ties": None if self._ties is None else self._ties.to_json(),
        }
        return {MODEL_FILE: self._model_file, STATE_FILE: canonical_json(state)}

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> EvidenceRiskModel:
        """Return the model that ``to_files`` wrote. Without ``state.json`` it starts with an empty past.

        Raises:
            ValueError: ``model.json`` is not what ``to_files`` writes.
            KeyError: there is no ``model.json``.
        """
        try:
            value = parse_canonical(files[MODEL_FILE])
            if value["format"] != FORMAT:
                raise ValueError(f"risk model of format {value['format']!r}, not {FORMAT}")
            plan = FacetPlan.from_json(value["plan"])
            state = parse_canonical(files[STATE_FILE]) if STATE_FILE in files else None
            counts = CountTables.from_json(state["counts"]) if state else CountTables(len(plan.contexts))
            has_clock, reaches = value["has_clock"], value["ties"] is None
            habits = Habits(plan.facets, has_clock=has_clock, reaches=reaches)
            ties = None
            if value["ties"] is not None:
                ties = Acquaintance(TiePlan.from_json(value["ties"]), plan.facets)
            suspicion = Suspicion()
            if state:
                habits = Habits.from_json(state["habits"], plan.facets, has_clock=has_clock, reaches=reaches)
                ties = ties and Acquaintance.from_json(state["ties"], ties.plan, plan.facets)
                suspicion = Suspicion.from_json(state["suspicion"])
            known, novel = LabelledPart.from_json(value["known"]), NoveltyPart.from_json(value["novel"])
            model = cls(
                settings=RiskSettings(**value["settings"]),
                plan=plan,
                base_rate=value["base_rate"],
                known=known,
                novel=novel,
                counts=counts,
                habits=habits,
                ties=ties,
                held=Curve.from_json(value["held"]),
                worded=WordedPart.from_json(value["worded"]),
                suspicion=suspicion,
            )
        except (LookupError, TypeError, AttributeError) as error:
            if isinstance(error, KeyError) and error.args == (MODEL_FILE,):
                raise
            raise ValueError(f"not a risk model: {error!r}") from error
        if model._model_file != files[MODEL_FILE]:
            raise ValueError("the model file is not in canonical form")
        return model

    def _describe(self) -> dict[str, Any]:
        return {
            "base_rate": self.base_rate,
            "format": FORMAT,
            "has_clock": self._habits.has_clock,
            "held": self.scoring.held.to_json(),
            "known": self.scoring.known.to_json(),
            "novel": self.scoring.novel.to_json(),
            "plan": self.plan.to_json(),
            "settings": asdict(self.settings),
            "ties": None if self._ties is None else self._ties.plan.to_json(),
            "worded": self.scoring.worded.to_json(),
        }
