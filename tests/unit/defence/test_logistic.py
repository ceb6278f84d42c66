"""The linear part against scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from chainsec.defence.logistic import LogisticPart, train_logistic

NAMES = ("a", "b", "c")


def draw(n_rows=600):
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(n_rows, 3)) * (1.0, 5.0, 0.1)
    denied = rng.random(n_rows) < 1 / (1 + np.exp(2.0 - rows[:, 0] - 0.3 * rows[:, 1]))
    return rows, denied


def train(rows, denied, *, rising=(False, False, False), penalty=0.1):
    return train_logistic(
        NAMES,
        rows,
        denied,
        emphasis=[1.0] * 3,
        rising=np.array(rising),
        inverse_penalty=penalty,
        base_rate=0.2,
    )


def test_the_evaluator_agrees_with_scikit_learns_own_probabilities():
    rows, denied = draw()
    part = train(rows, denied)
    reference = LogisticRegression(C=0.1, max_iter=1_000, tol=1e-6)
    scaled = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    expected = reference.fit(scaled, denied).predict_proba(scaled)[:, 1]
    margins = [part.margin(dict(zip(NAMES, row, strict=True))) for row in rows.tolist()]
    np.testing.assert_allclose(1 / (1 + np.exp(-np.array(margins))), expected, atol=1e-7)


def test_the_calibrated_probability_means_what_it_says():
    rows, denied = draw(4_000)
    part = train(rows[:2_000], denied[:2_000])
    said = [part.calibration.at(part.margin(dict(zip(NAMES, row, strict=True)))) for row in rows[2_000:].tolist()]
    bins = np.array_split(np.argsort(said), 10)
    error = np.mean([abs(np.mean(np.array(said)[rows_]) - denied[2_000:][rows_].mean()) for rows_ in bins])
    assert error < 0.04


def test_the_margin_does_not_depend_on_the_order_of_the_features():
    rows, denied = draw()
    part = train(rows, denied)
    backwards = LogisticPart(part.intercept, dict(reversed(part.weights.items())), part.calibration)
    for row in rows[:50].tolist():
        features = dict(zip(NAMES, row, strict=True))
        assert part.margin(features) == backwards.margin(features)


def test_a_rising_feature_never_lowers_the_margin():
    rows, denied = draw()
    rows[:, 1] *= -1.0
    assert train(rows, denied).weights["b"].weight < 0
    part = train(rows, denied, rising=(True, True, True))
    assert "b" not in part.weights
    assert all(one.weight >= 0 for one in part.weights.values())


def test_a_feature_beyond_what_the_history_showed_counts_as_the_farthest_seen():
    rows, denied = draw()
    part = train(rows, denied)
    for sign, farthest in ((1.0, rows.max(axis=0)), (-1.0, rows.min(axis=0))):
        seen = dict(zip("abc", farthest.tolist(), strict=True))
        beyond = {name: value + sign * 1e6 for name, value in seen.items()}
        assert part.margin(beyond) == part.margin(seen)
        both = np.array([[seen[name] for name in part.weights], [beyond[name] for name in part.weights]])
        assert np.array_equal(*part.contributions_of(both))


@pytest.mark.parametrize("n_denied", [0, 4, 600, 596])
def test_too_few_labels_of_one_kind_teach_nothing_but_the_base_rate(n_denied):
    rows, _ = draw()
    part = train(rows, np.arange(600) < n_denied)
    assert part.weights == {}
    assert part.calibration.at(part.margin({})) == 0.2


def test_training_twice_gives_the_same_part_and_json_keeps_it():
    rows, denied = draw()
    part = train(rows, denied)
    assert part == train(rows, denied) == LogisticPart.from_json(part.to_json())
