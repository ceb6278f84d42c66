"""The agent's risk model: statistics of labels and habits of people, in one score that anybody can recompute.

``features`` reads the past, ``score`` reads the features alone. Layer: defence, above its parts.
Not here: training (``training``), verdicts (``policy``), uses after a grant (``detectors``).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainsec.defence.acquaintance import Acquaintance, TiePlan
from chainsec.defence.behaviour import Habits
from chainsec.defence.features import FacetPlan
from chainsec.defence.logistic import LogisticPart
from chainsec.defence.novelty import NoveltyPart
from chainsec.defence.statistics import EVIDENCE, CountTables, weigh_evidence
from chainsec.defence.suspicion import SIGNAL, Suspicion
from chainsec.digest import canonical_json, keccak, parse_canonical
from chainsec.models.curve import Curve
from chainsec.models.rounding import round_all

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chainsec.defence.observation import Observation

FORMAT = 2
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
        unseen_share: share of requests taken to be attacks that no label has shown, in (0, 1).
    """

    strength: float = 3.0
    inverse_penalty: float = 0.0015
    max_contexts: int = 36
    max_features: int = 120
    behaviour_emphasis: float = 3.0
    folds: int = 10
    warm_up_rate: float = 0.2
    unseen_share: float = 0.001

    def __post_init__(self) -> None:
        positive = (self.strength, self.inverse_penalty, self.behaviour_emphasis)
        shares = 0 <= self.warm_up_rate < 1 and 0 < self.unseen_share < 1
        if min(positive) <= 0 or self.max_contexts < 1 or self.folds < 2 or not shares:  # noqa: PLR2004 - leave-out needs 2
            raise ValueError("a setting of the risk model is out of range")


class EvidenceRiskModel:
    """Scores requests from label statistics and habits. Implements ``RiskModel``.

    The risk is that of three independent causes, ``1 - (1 - known) * (1 - novel) * (1 - held)``: what resembles denied
    requests is ``known``, what departs from habits is ``novel``, and ``held`` is what the requester did before. It
    never falls when a departure grows in ``novel``, or when more is held against the requester.

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
        suspicion: what is held against requesters, updated by ``learn`` and ``note_threat``.
    """

    def __init__(
        self,
        *,
        settings: RiskSettings,
        plan: FacetPlan,
        base_rate: float,
        known: LogisticPart,
        novel: NoveltyPart,
        counts: CountTables,
        habits: Habits,
        ties: Acquaintance | None,
        held: Curve,
        suspicion: Suspicion,
    ) -> None:
        self.settings = settings
        self.plan = plan
        self.base_rate = base_rate
        self.known = known
        self.novel = novel
        self._counts = counts
        self._habits = habits
        self._ties = ties
        self.held = held
        self._suspicion = suspicion
        self._measured: tuple[Observation, Sequence[str], list[str], dict[str, float]] | None = None
        self._weighed: _Weighed | None = None
        evidence = [f"{name}:{kind}" for name in plan.names for kind in EVIDENCE]
        self._names = {*novel.signals, *known.weights, *evidence, SIGNAL}
        self._ordered = sorted(self._names)  # as a receipt has them
        measured = habits.signal_names + (ties.signal_names if ties else ())
        found_at = {name: at for at, name in enumerate((*evidence, *measured, SIGNAL))}
        self._found_at = [found_at[name] for name in self._ordered]
        places = {name: place for place, name in enumerate(self._ordered)}
        self._known_at = np.array([places[name] for name in known.weights], dtype=np.intp)
        self._novel_at = np.array([places[name] for name in novel.signals], dtype=np.intp)
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
        found.append(self._suspicion.level(observation.requester, observation.time_s))
        self._measured = (observation, values, keys, measured)
        return dict(zip(self._ordered, round_all([found[at] for at in self._found_at]), strict=True))

    def score(self, features: Mapping[str, float]) -> float:
        """Return the risk in [0, 1] from features alone, the same on every machine.

        Raises:
            ValueError: a feature is missing, unknown, NaN or infinite.
        """
        return self._weigh(features).score

    def reasons(self, features: Mapping[str, float], limit: int) -> list[tuple[str, float]]:
        """Return the features that moved the score most: the score minus what it were without that feature.

        Without a feature means: its part of the margin and of the rarity left out. Ties go by name.

        Raises:
            ValueError: as for ``score``.
        """
        weighed = self._weigh(features)
        known, novel, held, score = weighed.known, weighed.novel, weighed.held, weighed.score
        shares, rarities = np.zeros(len(self._ordered)), np.zeros(len(self._ordered))
        shares[self._known_at], rarities[self._novel_at] = weighed.added, weighed.bits
        left_known = self.known.calibration.at_each(weighed.margin - shares)
        left_novel = self.novel.risk.at_each(weighed.total - rarities)
        without = score - (1.0 - (1.0 - left_known) * (1.0 - left_novel) * (1.0 - held))
        counting = np.flatnonzero((shares != 0) | (rarities != 0))
        first = counting[np.argsort(-np.abs(without[counting]), kind="stable")][:limit]
        moved = [(self._ordered[place], float(without[place])) for place in first]
        if held:
            moved.append((SIGNAL, score - _join(known, novel, 0.0)))
        return sorted(moved, key=lambda pair: (-abs(pair[1]), pair[0]))[:limit]

    def _weigh(self, features: Mapping[str, float]) -> _Weighed:
        """Return what a score consists of; asked twice about the same features, it is worked out once."""
        if self._weighed is None or self._weighed.features != features:
            self._check(features)
            added = [*self.known.contributions(features).values()]
            bits = [*self.novel.contributions(features).values()]
            margin, total = math.fsum((self.known.intercept, *added)), math.fsum(bits)
            known, novel = self.known.calibration.at(margin), self.novel.risk.at(total)
            held = self.held.at(features[SIGNAL])
            score = _join(known, novel, held)
            self._weighed = _Weighed(dict(features), added, bits, margin, total, known, novel, held, score)
        return self._weighed

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
            known, novel = LogisticPart.from_json(value["known"]), NoveltyPart.from_json(value["novel"])
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
            "held": self.held.to_json(),
            "known": self.known.to_json(),
            "novel": self.novel.to_json(),
            "plan": self.plan.to_json(),
            "settings": asdict(self.settings),
            "ties": None if self._ties is None else self._ties.plan.to_json(),
        }

    def _check(self, features: Mapping[str, float]) -> None:
        if features.keys() != self._names:
            odd = min(features.keys() ^ self._names)
            raise ValueError(f"features are not those of model {self.digest}: {odd!r}")
        if not all(map(math.isfinite, features.values())):
            odd = next(name for name, value in features.items() if not math.isfinite(value))
            raise ValueError(f"feature {odd!r} is not a finite number: {features[odd]!r}")


class _Weighed(NamedTuple):
    """What the score of ``features`` consists of: parts of margin and rarity, their sums, and the three causes."""

    features: dict[str, float]
    added: list[float]
    bits: list[float]
    margin: float
    total: float
    known: float
    novel: float
    held: float
    score: float


def _join(known: float, novel: float, held: float) -> float:
    return 1.0 - (1.0 - known) * (1.0 - novel) * (1.0 - held)
