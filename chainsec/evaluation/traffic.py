"""Network traffic: attacks told from normal connections, by what is normal alone and by labels (NSL-KDD).

Layer: evaluation. Not here: the models (``chainsec.models.subspace``, ``chainsec.models.classifier``).

Source: Tavallaee, Bagheri, Lu and Ghorbani, "A Detailed Analysis of the KDD CUP 99 Data Set" (2009).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from chainsec.errors import BadInput
from chainsec.evaluation.folder import find_file, read_text
from chainsec.evaluation.metrics import accuracy, auc, calibration_line, measure, recall_at, roc_line
from chainsec.evaluation.outcome import Outcome, Plot
from chainsec.models.classifier import learn_classifier
from chainsec.models.subspace import learn_subspace
from chainsec.models.trees import GrowthSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Vector = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

TRAIN = "nsl_kdd/KDDTrain+_20Percent.txt.gz"
TEST = "nsl_kdd/KDDTest+.txt.gz"

COLUMNS = (
    *("duration", "protocol_type", "service", "flag", "src_bytes", "dst_bytes", "land", "wrong_fragment", "urgent"),
    *("hot", "num_failed_logins", "logged_in", "num_compromised", "root_shell", "su_attempted", "num_root"),
    *("num_file_creations", "num_shells", "num_access_files", "num_outbound_cmds", "is_host_login", "is_guest_login"),
    *("count", "srv_count", "serror_rate", "srv_serror_rate", "rerror_rate", "srv_rerror_rate", "same_srv_rate"),
    *("diff_srv_rate", "srv_diff_host_rate", "dst_host_count", "dst_host_srv_count", "dst_host_same_srv_rate"),
    *("dst_host_diff_srv_rate", "dst_host_same_src_port_rate", "dst_host_srv_diff_host_rate", "dst_host_serror_rate"),
    *("dst_host_srv_serror_rate", "dst_host_rerror_rate", "dst_host_srv_rerror_rate"),
)
"""What a line of the files holds before its label and its difficulty; the files have no header."""

TEXT = ("protocol_type", "service", "flag")

UNSEEN_SHARE = 0.05
"""Share of connections that are taken to be attacks of kinds that no label has shown."""

_ORDINARY_BITS = 3.0  # what 1 connection in 8 reaches is no news
_NORMAL = "normal"
_GENTLE = GrowthSettings(
    max_iter=150, learning_rate=0.05, max_leaf_nodes=12, min_samples_leaf=20, l2_regularization=5.0, max_features=0.3
)


@dataclass(frozen=True)
class Connections:
    """Connections of one file.

    Args:
        columns: name to values.
        kinds: the label of each: ``normal``, or which attack.
    """

    columns: dict[str, list[str]]
    kinds: npt.NDArray[np.str_]

    @property
    def is_attack(self) -> Flags:
        """Whether each connection is an attack."""
        found: Flags = self.kinds != _NORMAL
        return found

    def only(self, wanted: Flags) -> dict[str, list[str]]:
        """Return the columns of the wanted connections."""
        places = np.flatnonzero(wanted).tolist()
        return {name: [column[at] for at in places] for name, column in self.columns.items()}


def read_connections(path: Path) -> Connections:
    """Return a file of NSL-KDD.

    Raises:
        BadInput: it cannot be read, is empty, or a line has too few or too many values.
    """
    rows = [line.split(",") for line in read_text(path).splitlines()]
    n_values = len(COLUMNS) + 2
    for number, row in enumerate(rows, 1):
        if len(row) != n_values:
            raise BadInput(f"{path}: line {number}: {len(row)} values, not {n_values}", line=number)
    if not rows:
        raise BadInput(f"{path}: is empty", path=str(path))
    columns = [list(column) for column in zip(*rows, strict=True)]
    kinds = np.array(columns[len(COLUMNS)])
    return Connections(dict(zip(COLUMNS, columns[: len(COLUMNS)], strict=True)), kinds)


def novelty_risk(rarity_bits: Vector) -> Vector:
    """Return the probability of an attack of unknown kind, for what is as rare among normal connections.

    Bayes' rule where ``UNSEEN_SHARE`` of connections are such attacks, all at least as rare, less what an ordinary
    connection gets that way.

    >>> novelty_risk(np.array([3.0, 5.0, 10.0])).round(2).tolist()
    [0.0, 0.33, 0.69]
    """
    posterior = UNSEEN_SHARE / (UNSEEN_SHARE + (1.0 - UNSEEN_SHARE) * np.exp2(-rarity_bits))
    ordinary = UNSEEN_SHARE / (UNSEEN_SHARE + (1.0 - UNSEEN_SHARE) * 2.0**-_ORDINARY_BITS)
    found: Vector = np.maximum(posterior - ordinary, 0.0)
    return found


@dataclass(frozen=True)
class TrafficStudy:
    """How well attacks are told from normal connections."""

    name: str = "traffic"
    title: str = "Network traffic (NSL-KDD)"

    def run(self, folder: Path, seed: int, on_step: Callable[[str, int, int], None]) -> Outcome:
        """Measure on the data in ``folder``; see ``Study.run``."""
        started = time.perf_counter()
        train, test = (read_connections(find_file(folder, name)) for name in (TRAIN, TEST))
        on_step("learning what is normal", 0, 2)
        space = learn_subspace(train.only(~train.is_attack), TEXT)
        distances = space.distances(test.columns)
        on_step("learning from labels", 1, 2)
        known = learn_classifier(train.columns, train.is_attack, TEXT, _GENTLE).scores(test.columns)
        both = 1.0 - (1.0 - known) * (1.0 - novelty_risk(space.bits.at_each(distances)))
        on_step("measured", 2, 2)

        labels = test.is_attack
        new_kinds = sorted(set(test.kinds.tolist()) - set(train.kinds.tolist()))
        is_new = np.isin(test.kinds, new_kinds)
        figures = (
            measure("AUC, trained on normal connections alone", auc, labels, distances, seed, asked=0.96),
            measure(
                "attacks caught where 5 % of normal connections are refused, trained on normal ones alone",
                _recall_at_5_percent, labels, distances, seed,
            ),
            measure("AUC, trained on labels", auc, labels, known, seed),
            measure(
                "accuracy, trained on labels", accuracy, labels, known, seed,
                published=0.820, published_by="NBTree, Tavallaee et al. 2009 (random forest 0.807, SVM 0.695)",
            ),
            measure("AUC, labels and novelty together", auc, labels, both, seed),
            measure(
                "accuracy, labels and novelty together", accuracy, labels, both, seed,
                published=0.820, published_by="NBTree, Tavallaee et al. 2009",
            ),
            measure(
                "AUC on kinds of attack that training lacks, labels",
                auc, *_without_known(labels, is_new, known), seed,
            ),
            measure(
                "AUC on kinds of attack that training lacks, labels and novelty",
                auc, *_without_known(labels, is_new, both), seed,
            ),
        )  # fmt: skip
        return Outcome(
            study=self.name,
            data=f"NSL-KDD: {len(train.kinds):,} connections of KDDTrain+_20Percent, {len(labels):,} of KDDTest+",
            protocol=(
                "Learned from KDDTrain+_20Percent, its normal connections alone or all of them with labels; tested on "
                "all of KDDTest+. Settings were chosen on the training file. Accuracy at a probability of 0.5."
            ),
            seed=seed,
            figures=figures,
            plots=(
                Plot(
                    "roc", "Attacks in KDDTest+", "normal connections refused (share)", "attacks caught (share)",
                    (
                        roc_line("normal connections alone", labels, distances),
                        roc_line("labels", labels, known),
                        roc_line("labels and novelty", labels, both),
                    ),
                ),
                Plot(
                    "calibration", "Attacks in KDDTest+", "mean probability", "observed share of attacks",
                    (calibration_line("labels", labels, known), calibration_line("labels and novelty", labels, both)),
                ),
            ),
            notes=(
                "The traffic was recorded in 1998; figures on it say little about a network of today.",
                (
                    f"KDDTest+ holds {len(new_kinds)} kinds of attack that training does not have, "
                    f"{int(is_new.sum()):,} of {int(labels.sum()):,} attacks, and the others in other proportions: "
                    "probabilities learned in training are too low there, which accuracy shows and AUC does not."
                ),
                "Nothing is drawn in training; the seed decides the resamples of the intervals.",
            ),
            seconds=time.perf_counter() - started,
        )  # fmt: skip


def _recall_at_5_percent(labels: Flags, scores: Vector) -> float:
    return recall_at(labels, scores, 0.05)


def _without_known(labels: Flags, is_new: Flags, scores: Vector) -> tuple[Flags, Vector]:
    """Return labels and scores of normal connections and of attacks of new kinds."""
    wanted = ~labels | is_new
    return labels[wanted], scores[wanted]
