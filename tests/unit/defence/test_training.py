"""The risk model on real requests: the figure that ``docs/models.md`` names."""

import csv
import gzip
import os
from pathlib import Path

import pytest
from sklearn.metrics import roc_auc_score

from chainsec.defence.observation import Observation
from chainsec.defence.risk import RiskSettings
from chainsec.defence.training import train_risk_model

BATCH = 50


def read_amazon(path):
    with gzip.open(path, "rt", newline="") as lines:
        rows = list(csv.DictReader(lines))
    observations = [
        Observation(
            f"row-{number}", number, row["MGR_ID"], row["RESOURCE"], "read", "",
            attributes={name: row[name] for name in row if name not in {"ACTION", "RESOURCE", "MGR_ID", "ROLE_CODE"}},
            has_clock=False,
        )
        for number, row in enumerate(rows)
    ]  # fmt: skip
    return observations, [row["ACTION"] == "0" for row in rows]


def replay(history_rate=0.5, settings=None):
    """Train on the first part; score the rest in file order, learning labels in batches; return scores and truth."""
    observations, denied = read_amazon(Path(os.environ["CHAINSEC_DATA"]) / "amazon_access" / "dev.csv.gz")
    split = int(history_rate * len(observations))
    model = train_risk_model(observations[:split], denied[:split], settings=settings)
    scores = []
    for start in range(split, len(observations), BATCH):
        batch = observations[start : start + BATCH]
        for observation in batch:
            scores.append(model.score(model.features(observation)))
            model.observe(observation)
        for observation, label in zip(batch, denied[start : start + BATCH], strict=True):
            model.learn(observation, denied=label)
    return scores, denied[split:]


@pytest.mark.skipif("CHAINSEC_DATA" not in os.environ, reason="CHAINSEC_DATA is not set")
def test_requests_of_the_amazon_log_are_ranked_well_in_file_order():
    scores, denied = replay()
    assert roc_auc_score(denied, scores) >= 0.86


def test_the_number_of_contexts_kept_is_bounded_and_the_rest_still_works():
    observations = [
        Observation(f"0x{i}", i, f"p{i % 7}", f"a{i % 11}", "read", "", 0, {"x": str(i % 5), "y": str(i % 3)})
        for i in range(200)
    ]
    denied = [i % 5 == 0 and i % 3 == 0 for i in range(200)]
    model = train_risk_model(observations, denied, settings=RiskSettings(max_contexts=4))
    assert len(model.plan.contexts) == 4
    scores = [model.score(model.features(observation)) for observation in observations]
    assert roc_auc_score(denied, scores) > 0.9


def test_a_row_never_sees_its_own_label():
    # Each value occurs once, so only its own label could tell rows apart; evidence that leaked would rank them.
    observations = [Observation(f"0x{i}", i, f"p{i}", f"a{i}", "read", "", has_clock=False) for i in range(300)]
    denied = [i % 4 == 0 for i in range(300)]
    model = train_risk_model(observations, denied)
    assert all(abs(weight) < 1e-6 for name, (weight, _) in model.known.weights.items() if name.endswith(":odds"))
