"""The agent's risk model: statistics of labels and habits of people, in one score that anybody can recompute.

``features`` reads the past, ``score`` reads the features alone. Layer: defence, above its parts.
Not here: training (``training``), verdicts (``policy``), uses after a grant (``detectors``).
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from chainsec.defence.behaviour import Habits
from chainsec.defence.features import FacetPlan
from chainsec.defence.logistic import LogisticPart
from chainsec.defence.novelty import NoveltyPart
from chainsec.defence.statistics import EVIDENCE, CountTables, weigh_evidence
from chainsec.digest import canonical_json, keccak

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainsec.defence.observation import Observation

FORMAT = 1
MODEL_FILE = "model.json"
STATE_FILE = "state.json"
DECIMALS = 4
"""Decimals of a feature: enough for its meaning, short in a receipt."""


@dataclass(frozen=True)
class RiskSettings:
    """What training may be told.

    Args:
        strength: made-up requests at the base rate from which each log-odds starts, > 0.
        inverse_penalty: scikit-learn's ``C`` for standardised features, > 0.
        max_contexts: how many contexts keep statistics, those with the largest weights, at least 1.
        behaviour_emphasis: how much looser the penalty on departures from habits is, > 0.
        folds: blocks of history; evidence for a training row leaves out its own block's labels, at least 2.
        warm_up_rate: first share of the history that only fills the habits, in [0, 1).
        unseen_share: share of requests taken to be attacks that no label has shown, in (0, 1).
    """

    strength: float = 3.0
    inverse_penalty: float = 0.0015
    max_contexts: int = 48
    behaviour_emphasis: float = 3.0
    folds: int = 10
    warm_up_rate: float = 0.2
    unseen_share: float = 0.002

    def __post_init__(self) -> None:
        positive = (self.strength, self.inverse_penalty, self.behaviour_emphasis)
        shares = 0 <= self.warm_up_rate < 1 and 0 < self.unseen_share < 1
        if min(positive) <= 0 or self.max_contexts < 1 or self.folds < 2 or not shares:  # noqa: PLR2004 - leave-out needs 2
            raise ValueError("a setting of the risk model is out of range")


class EvidenceRiskModel:
    """Scores requests from label statistics and habits. Implements ``RiskModel``.

    The risk is that of two independent causes, ``1 - (1 - known) * (1 - novel)``: what resembles denied requests is
    ``known``, what departs from habits is ``novel``. It never falls when a departure grows in ``novel``.

    Args:
        settings: what training was told.
        plan: facets and contexts.
        base_rate: denial rate in the history, smoothed.
        known: part trained on labels.
        novel: part trained without.
        counts: statistics per context, updated by ``observe`` and ``learn``.
        habits: behaviour, updated by ``observe`` and ``learn``.
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
    ) -> None:
        self.settings = settings
        self.plan = plan
        self.base_rate = base_rate
        self.known = known
        self.novel = novel
        self._counts = counts
        self._habits = habits
        self._evidence_names = [tuple(f"{name}:{kind}" for kind in EVIDENCE) for name in plan.names]
        self._names = frozenset(novel.signals) | {name for names in self._evidence_names for name in names}
        self._model_file = canonical_json(self._describe())
        self.digest = "0x" + keccak(self._model_file).hex()

    def features(self, observation: Observation) -> dict[str, float]:
        """Return the named features of ``observation`` from the past so far. Changes nothing."""
        values = self.plan.values(observation)
        found: dict[str, float] = {}
        for names, counts in zip(self._evidence_names, self._counts.look_up(self.plan.keys(values)), strict=True):
            seen, labelled, denied = counts
            evidence = weigh_evidence(seen, labelled, denied, self.base_rate, self.settings.strength)
            found.update(zip(names, evidence, strict=True))
        found.update(self._habits.departures(self._habits.measure(observation, values), values))
        return {name: round(value, DECIMALS) for name, value in found.items()}

    def score(self, features: Mapping[str, float]) -> float:
        """Return the risk in [0, 1] from features alone, the same on every machine.

        Raises:
            ValueError: a feature is missing, unknown, NaN or infinite.
        """
        self._check(features)
        return _join(
            self.known.calibration.at(self.known.margin(features)), self.novel.risk.at(self.novel.total(features))
        )

    def reasons(self, features: Mapping[str, float], limit: int) -> list[tuple[str, float]]:
        """Return the features that moved the score most: the score minus what it were without that feature.

        Without a feature means: its part of the margin and of the rarity left out. Ties go by name.

        Raises:
            ValueError: as for ``score``.
        """
        self._check(features)
        added = self.known.contributions(features)
        bits = self.novel.contributions(features)
        margin, total = self.known.margin(features), self.novel.total(features)
        known, novel = self.known.calibration.at(margin), self.novel.risk.at(total)
        score = _join(known, novel)
        moved = []
        for name in self._names:
            share = added.get(name, 0.0)
            rarity = bits.get(name, 0.0)
            if share or rarity:
                left_known = self.known.calibration.at(margin - share) if share else known
                left_novel = self.novel.risk.at(total - rarity) if rarity else novel
                moved.append((name, score - _join(left_known, left_novel)))
        return sorted(moved, key=lambda pair: (-abs(pair[1]), pair[0]))[:limit]

    def observe(self, observation: Observation) -> None:
        """Let an unlabelled request into the behavioural baseline."""
        values = self.plan.values(observation)
        self._counts.see(self.plan.keys(values))
        self._habits.observe(observation, values)

    def learn(self, observation: Observation, denied: bool) -> None:  # noqa: FBT001 - the label itself
        """Let a revealed label into the statistics; what was denied leaves the habits. The weights stay.

        The observation must have been observed before.
        """
        values = self.plan.values(observation)
        self._counts.label(self.plan.keys(values), denied)
        if denied:
            self._habits.forget(observation, values)

    def to_files(self) -> dict[str, bytes]:
        """Return the model's canonical files, name to content.

        ``model.json`` is all that scores depend on, and ``digest`` is its Keccak-256; ``state.json`` holds counts
        and habits as they are now, for going on.
        """
        state = {"counts": self._counts.to_json(), "habits": self._habits.to_json()}
        return {MODEL_FILE: self._model_file, STATE_FILE: canonical_json(state)}

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> EvidenceRiskModel:
        """Return the model that ``to_files`` wrote. Without ``state.json`` it starts with an empty past.

        Raises:
            ValueError: ``model.json`` is not what ``to_files`` writes.
            KeyError: there is no ``model.json``.
        """
        try:
            value = json.loads(files[MODEL_FILE])
            if value["format"] != FORMAT:
                raise ValueError(f"risk model of format {value['format']!r}, not {FORMAT}")
            plan = FacetPlan.from_json(value["plan"])
            state = json.loads(files[STATE_FILE]) if STATE_FILE in files else None
            counts = CountTables.from_json(state["counts"]) if state else CountTables(len(plan.contexts))
            habits = Habits(plan.facets, has_clock=value["has_clock"])
            if state:
                habits = Habits.from_json(state["habits"], plan.facets, has_clock=value["has_clock"])
            known, novel = LogisticPart.from_json(value["known"]), NoveltyPart.from_json(value["novel"])
            model = cls(
                settings=RiskSettings(**value["settings"]),
                plan=plan,
                base_rate=value["base_rate"],
                known=known,
                novel=novel,
                counts=counts,
                habits=habits,
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
            "known": self.known.to_json(),
            "novel": self.novel.to_json(),
            "plan": self.plan.to_json(),
            "settings": asdict(self.settings),
        }

    def _check(self, features: Mapping[str, float]) -> None:
        if features.keys() != self._names:
            odd = min(features.keys() ^ self._names)
            raise ValueError(f"features are not those of model {self.digest}: {odd!r}")
        for name, value in features.items():
            if not math.isfinite(value):
                raise ValueError(f"feature {name!r} is not a finite number: {value!r}")


def _join(known: float, novel: float) -> float:
    return 1.0 - (1.0 - known) * (1.0 - novel)
