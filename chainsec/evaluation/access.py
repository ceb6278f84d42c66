"""Study: access requests of Amazon's employees, ranked and calibrated by the agent's risk model.

Layer: evaluation. Not here: the model (``chainsec.defence.risk``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from chainsec.config import DecisionCosts
from chainsec.defence.observation import Observation
from chainsec.defence.policy import choose_verdict, find_thresholds
from chainsec.defence.training import train_risk_model
from chainsec.errors import BadInput
from chainsec.evaluation.folder import find_file, read_columns
from chainsec.evaluation.metrics import (
    auc,
    calibration_error,
    calibration_line,
    measure,
    recall_at,
    roc_line,
)
from chainsec.evaluation.outcome import Figure, Outcome, Plot
from chainsec.primitives import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILE = "amazon_access/dev.csv.gz"
REQUESTER, ASSET, LABEL = "MGR_ID", "RESOURCE", "ACTION"
ATTRIBUTES = ("ROLE_ROLLUP_1", "ROLE_ROLLUP_2", "ROLE_DEPTNAME", "ROLE_TITLE", "ROLE_FAMILY_DESC", "ROLE_FAMILY")
"""The log names no requester: the manager stands for the team that asks. ROLE_CODE repeats ROLE_TITLE."""
FOLDS, BATCH = 5, 50
_REFUSED = (0.01, 0.05, 0.10)

Vector = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def read_requests(folder: Path) -> tuple[list[Observation], Flags]:
    """Return the requests in file order, and which of them were denied.

    Raises:
        BadInput: the file is missing, lacks a column, or a label is neither 0 nor 1.
    """
    path = find_file(folder, FILE)
    columns = read_columns(path, (LABEL, ASSET, REQUESTER, *ATTRIBUTES))
    for line, label in enumerate(columns[LABEL], 2):
        if label not in {"0", "1"}:
            raise BadInput(f"{path}: line {line}: {LABEL} is {label!r}, not 0 or 1", path=str(path), line=line)
    observations = [
        Observation(
            f"row-{place}",
            place,
            columns[REQUESTER][place],
            columns[ASSET][place],
            "read",
            "",
            attributes={name: columns[name][place] for name in ATTRIBUTES},
            has_clock=False,
        )
        for place in range(len(columns[LABEL]))
    ]
    return observations, np.array([label == "0" for label in columns[LABEL]])


@dataclass(frozen=True)
class AccessStudy:
    """Implements ``Study``."""

    name: str = "access"
    title: str = "access requests: who should be denied"

    def run(self, folder: Path, seed: int, on_step: Callable[[str, int, int], None]) -> Outcome:
        """Score every row by a model of the other folds, and the later half live; see ``Study``."""
        requests, denied = read_requests(folder)
        folded = score_in_folds(requests, denied, seed, on_step)
        half = len(requests) // 2
        on_step("access: live half", 0, 1)
        live, told = score_live(requests, denied, half), denied[half:]
        on_step("access: live half", 1, 1)
        boosting = "boosting on target-encoded pairs, the full set"
        figures = [
            measure("AUC, 5-fold", auc, denied, folded, seed, published=0.887, published_by=boosting, asked=0.88),
            measure(
                "AUC, live half, learning as labels come",
                auc,
                told,
                live,
                seed,
                published=0.851,
                published_by="the same, not learning",
                asked=0.86,
            ),
            *(
                measure(
                    f"calibration error, {what}",
                    calibration_error,
                    labels,
                    scores,
                    seed,
                    asked=0.02,
                    lower_is_better=True,
                )
                for what, labels, scores in (("5-fold", denied, folded), ("live half", told, live))
            ),
            *_recalls("5-fold", denied, folded, seed),
            *_recalls("live half", told, live, seed),
            *_costs(told, live),
        ]
        return Outcome(
            study=self.name,
            data=f"amazon_access/dev, {len(requests):,} requests, {denied.mean():.1%} denied",
            protocol=(
                f"{FOLDS} folds drawn by the seed: each is scored by a model of the others, which learns nothing from "
                f"it. Live: the first half of the file is history, the rest is scored in file order, labels come to "
                f"light in batches of {BATCH}."
            ),
            seed=seed,
            figures=tuple(figures),
            plots=(
                Plot(
                    "roc",
                    "Access requests",
                    "share of granted requests refused",
                    "share of denied caught",
                    (roc_line("5-fold", denied, folded), roc_line("live half", told, live)),
                ),
                Plot(
                    "calibration",
                    "Access requests",
                    "score",
                    "share denied",
                    (calibration_line("5-fold", denied, folded), calibration_line("live half", told, live)),
                ),
            ),
            notes=("Granting everything is right in 94.2 % of the cases: accuracy says nothing here.",),
        )


def score_in_folds(
    requests: list[Observation], denied: Flags, seed: int, on_step: Callable[[str, int, int], None]
) -> Vector:
    """Return each request's score by a model of the other folds, which keeps them in file order."""
    fold = np.random.default_rng([seed, FOLDS]).permutation(len(requests)) % FOLDS
    scores = np.zeros(len(requests))
    for number in range(FOLDS):
        on_step("access: folds", number, FOLDS)
        known, unseen = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        model = train_risk_model([requests[i] for i in known], [bool(denied[i]) for i in known])
        for place in unseen:
            scores[place] = model.score(model.features(requests[place]))
    on_step("access: folds", FOLDS, FOLDS)
    return scores


def score_live(requests: list[Observation], denied: Flags, half: int) -> Vector:
    """Return the scores of the requests from ``half`` on, in file order, labels coming to light in batches."""
    model = train_risk_model(requests[:half], [bool(label) for label in denied[:half]])
    scores: list[float] = []
    for first in range(half, len(requests), BATCH):
        batch = range(first, min(first + BATCH, len(requests)))
        for place in batch:
            scores.append(model.score(model.features(requests[place])))
            model.observe(requests[place])
        for place in batch:
            model.learn(requests[place], bool(denied[place]))
    return np.array(scores)


def _recalls(what: str, denied: Flags, scores: Vector, seed: int) -> list[Figure]:
    return [
        measure(
            f"denied caught, {rate:.0%} of granted refused, {what}",
            lambda labels, found, rate=rate: recall_at(labels, found, rate),  # type: ignore[misc]
            denied,
            scores,
            seed,
        )
        for rate in _REFUSED
    ]


def _costs(denied: Flags, scores: Vector) -> list[Figure]:
    """Return what the policy's verdicts cost a request, beside granting, denying or escalating everything."""
    costs = DecisionCosts()
    wrong_grant = costs.wrong_grant[0]
    thresholds = find_thresholds(wrong_grant, costs.wrong_denial, costs.escalation)
    price = {
        Verdict.GRANT: denied * wrong_grant,
        Verdict.DENY: ~denied * costs.wrong_denial,
        Verdict.ESCALATE: np.full(len(denied), costs.escalation),
    }
    verdicts = [choose_verdict(score, thresholds) for score in scores.tolist()]
    by_policy = float(np.mean([price[verdict][place] for place, verdict in enumerate(verdicts)]))
    return [
        Figure("cost of a request by the policy, live half", by_policy),
        Figure("the same where everything is granted", float(price[Verdict.GRANT].mean())),
        Figure("the same where everything is put before a guardian", costs.escalation),
    ]
