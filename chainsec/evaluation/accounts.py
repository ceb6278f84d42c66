"""Fraud on chain: accounts told apart by how they send and receive (Kaggle's Ethereum fraud detection set).

Layer: evaluation. Not here: the model (``chainsec.models.classifier``).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedKFold

from chainsec.errors import BadInput
from chainsec.evaluation.folder import find_file, read_columns
from chainsec.evaluation.metrics import auc, calibration_error, calibration_line, f1, measure, roc_line
from chainsec.evaluation.outcome import Figure, Outcome, Plot
from chainsec.models.classifier import USUAL_GROWTH, learn_classifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from chainsec.models.trees import GrowthSettings

Vector = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

FILE = "ethereum_fraud/transaction_dataset.csv.gz"

_NO_FEATURES = frozenset({"", "Index", "Address", "FLAG"})
_TOKENS = "ERC20"  # these columns are missing for one source of the labels: they tell the source, not the fraud


@dataclass(frozen=True)
class Accounts:
    """Accounts, each address once.

    Args:
        columns: what they did, name to values.
        is_fraud: their labels.
    """

    columns: dict[str, list[str]]
    is_fraud: Flags

    def only(self, wanted: Iterable[int]) -> dict[str, list[str]]:
        """Return the columns of the accounts at the wanted places."""
        places = [*wanted]
        return {name: [column[at] for at in places] for name, column in self.columns.items()}

    @property
    def is_idle(self) -> Flags:
        """Whether all columns of an account are 0: it never sent or received Ether."""
        return np.array(
            [not any(value.strip("0.") for value in row) for row in zip(*self.columns.values(), strict=True)]
        )


def read_accounts(path: Path) -> Accounts:
    """Return the accounts without tokens' columns; of an address that stands twice, the first.

    Raises:
        BadInput: the file cannot be read, lacks a column, or a label is neither 0 nor 1.
    """
    columns = read_columns(path)
    for name in ("Address", "FLAG"):
        if name not in columns:
            raise BadInput(f"{path}: has no column {name!r}", path=str(path))
    for line, flag in enumerate(columns["FLAG"], 2):
        if flag not in {"0", "1"}:
            raise BadInput(f"{path}: line {line}: FLAG is {flag!r}, not 0 or 1", line=line)
    _, first = np.unique(columns["Address"], return_index=True)
    wanted = np.sort(first).tolist()
    named = {name: column for name, column in columns.items() if name not in _NO_FEATURES and _TOKENS not in name}
    return Accounts(
        {name: [column[at] for at in wanted] for name, column in named.items()},
        np.array([columns["FLAG"][at] == "1" for at in wanted]),
    )


@dataclass(frozen=True)
class AccountsStudy:
    """How well fraudulent accounts are told from others.

    Args:
        folds: of the cross-validation.
        repeats: how often it is done, each time with other folds.
        growth: how trees are grown.
    """

    name: str = "accounts"
    title: str = "Fraud on chain (Ethereum accounts)"
    folds: int = 10
    repeats: int = 2
    growth: GrowthSettings = USUAL_GROWTH

    def run(self, folder: Path, seed: int, on_step: Callable[[str, int, int], None]) -> Outcome:
        """Measure on the data in ``folder``; see ``Study.run``."""
        started = time.perf_counter()
        accounts = read_accounts(find_file(folder, FILE))
        rounds = [self._cross_validate(accounts, seed + number, number, on_step) for number in range(self.repeats)]
        scores = np.concatenate(rounds)
        address = np.tile(np.arange(len(accounts.is_fraud)), self.repeats)
        labels, is_idle = accounts.is_fraud[address], accounts.is_idle[address]
        figures = (
            measure(
                "F1 at a probability of 0.5", f1, labels, scores, seed, groups=address, asked=0.893,
                published=0.96, published_by="Farrugia et al. 2020, another sample, with tokens' columns",
            ),
            measure(
                "AUC", auc, labels, scores, seed, groups=address,
                published=0.994, published_by="Farrugia et al. 2020, another sample, with tokens' columns",
            ),
            measure(
                "expected calibration error", calibration_error, labels, scores, seed, groups=address,
                lower_is_better=True,
            ),
            measure(
                "F1 without accounts that never moved Ether",
                f1, labels[~is_idle], scores[~is_idle], seed, groups=address[~is_idle],
            ),
            *(
                Figure(f"F1, folds drawn by seed {seed + number}", f1(accounts.is_fraud, found))
                for number, found in enumerate(rounds)
            ),
        )  # fmt: skip
        n_fraud, n_idle = int(accounts.is_fraud.sum()), int(accounts.is_idle.sum())
        n_idle_fraud = int((accounts.is_idle & accounts.is_fraud).sum())
        return Outcome(
            study=self.name,
            data=f"Ethereum fraud detection (Kaggle, vagifa): {len(accounts.is_fraud):,} addresses, {n_fraud:,} fraud",
            protocol=(
                f"{self.folds}-fold cross-validation, stratified, {self.repeats} times with folds drawn anew, measured "
                "together, intervals over addresses; each address once, without the ERC20 columns; trees and their "
                "calibration learned inside the training folds; one threshold, 0.5."
            ),
            seed=seed,
            figures=figures,
            plots=(
                Plot(
                    "roc", "Fraudulent accounts", "other accounts refused (share)", "fraud caught (share)",
                    (roc_line("trees", labels, scores),),
                ),
                Plot(
                    "calibration", "Fraudulent accounts", "mean probability", "observed share of fraud",
                    (calibration_line("trees", labels, scores),),
                ),
            ),
            notes=(
                (
                    f"{n_idle} accounts never sent or received Ether and are the same in all columns, "
                    f"{n_idle_fraud} of them fraud: easy, and on both sides of every fold."
                ),
                "Published figures are of another sample and use tokens' columns, which tell where a label came from.",
            ),
            seconds=time.perf_counter() - started,
        )  # fmt: skip

    def _cross_validate(
        self, accounts: Accounts, seed: int, number: int, on_step: Callable[[str, int, int], None]
    ) -> Vector:
        """Return the probability of fraud of each account, by a model that has not seen it."""
        labels = accounts.is_fraud
        found = np.empty(len(labels))
        folds = StratifiedKFold(self.folds, shuffle=True, random_state=seed).split(labels, labels)
        for done, (learned, tested) in enumerate(folds, self.folds * number):
            on_step("cross-validation", done, self.folds * self.repeats)
            model = learn_classifier(accounts.only(learned), labels[learned], (), self.growth)
            found[tested] = model.scores(accounts.only(tested))
        return found
