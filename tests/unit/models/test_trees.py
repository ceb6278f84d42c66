"""Trees grown by scikit-learn and evaluated here."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from chainsec.models.trees import NO_TREES, GrowthSettings, Trees, grow_regression, grow_trees

SETTINGS = GrowthSettings(max_iter=12, max_leaf_nodes=6, min_samples_leaf=5, max_features=0.7, seed=3)


def rows_of(seed, n_rows=120, missing_rate=0.1):
    draw = np.random.default_rng(seed)
    rows = np.round(draw.normal(size=(n_rows, 4)), 1)
    rows[draw.random(rows.shape) < missing_rate] = np.nan
    labels = np.nan_to_num(rows[:, 0]) + np.isnan(rows[:, 1]) + 0.3 * draw.normal(size=n_rows) > 0.3
    return rows, labels


def learner_of(kind):
    return kind(
        max_iter=12, max_leaf_nodes=6, min_samples_leaf=5, max_features=0.7, random_state=3,
        l2_regularization=1.0, learning_rate=0.1, early_stopping=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def trees():
    return grow_trees(*rows_of(0), SETTINGS)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.2]))
def test_margins_are_those_of_scikit_learn(seed, missing_rate):
    rows, labels = rows_of(seed, missing_rate=missing_rate)
    others, _ = rows_of(seed + 1, missing_rate=0.3)
    expected = learner_of(HistGradientBoostingClassifier).fit(rows, labels).decision_function(others)
    np.testing.assert_allclose(grow_trees(rows, labels, SETTINGS).margins(others), expected, rtol=0, atol=1e-7)


def test_a_regression_says_what_scikit_learn_says_with_weights():
    rows, labels = rows_of(5)
    targets, weights = np.nan_to_num(rows[:, 2]) * 3.0 + labels, np.linspace(0.1, 2.0, len(rows))
    expected = learner_of(HistGradientBoostingRegressor).fit(rows, targets, sample_weight=weights).predict(rows)
    found = grow_regression(rows, targets, SETTINGS, weights=weights)
    np.testing.assert_allclose(found.margins(rows), expected, rtol=0, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.floats(-4, 4) | st.just(math.nan), min_size=4, max_size=4), min_size=1, max_size=6))
def test_a_batch_gives_the_very_bits_of_each_row_alone(trees, rows):
    assert trees.margins(np.array(rows)).tolist() == [trees.margin(row) for row in rows]


def test_a_batch_larger_than_a_chunk_is_scored_to_its_last_row(trees):
    rows = np.random.default_rng(1).normal(size=(4_100, 4))
    assert trees.margins(rows)[[0, 4_095, 4_096, 4_099]].tolist() == [
        trees.margin(rows[at]) for at in (0, 4_095, 4_096, 4_099)
    ]


def test_a_value_at_the_threshold_goes_left_and_a_missing_one_where_it_was_learned():
    stump = Trees(0.5, (0,), (0, 0, 0), (2.0, math.inf, math.inf), (1, 1, 2), (2, 1, 2), (False,) * 3, (0.0, -1.0, 1.0))
    assert [stump.margin([x]) for x in (2.0, math.nextafter(2.0, 3.0), math.nan)] == [-0.5, 1.5, 1.5]
    assert stump.margin([math.inf]) == 1.5


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-4, 4) | st.just(math.nan), min_size=4, max_size=4))
def test_contributions_and_the_expected_margin_add_up_to_the_margin(trees, row):
    expected = trees.base + math.fsum(trees.values[root] for root in trees.roots)
    assert math.fsum([expected, *trees.contributions(row)]) == pytest.approx(trees.margin(row), abs=1e-9)


def test_a_column_that_no_node_asks_about_contributes_nothing():
    rows, labels = rows_of(2)
    rows[:, 3] = 1.0
    trees = grow_trees(rows, labels, SETTINGS)
    assert 3 not in trees.used
    assert trees.contributions(rows[0])[3] == 0.0
    assert max(map(abs, trees.contributions(rows[0]))) > 0.0


def test_the_same_rows_give_the_same_trees_and_another_seed_others():
    rows, labels = rows_of(7)
    again = grow_trees(rows.copy(), labels.copy(), SETTINGS)
    assert again == grow_trees(rows, labels, SETTINGS)
    assert again != grow_trees(rows, labels, GrowthSettings(**{**vars(SETTINGS), "seed": 4}))


def test_trees_survive_json_to_the_last_bit(trees):
    again = Trees.from_json(json.loads(json.dumps(trees.to_json(), allow_nan=False)))
    rows, _ = rows_of(9)
    assert again == trees
    assert again.margins(rows).tolist() == trees.margins(rows).tolist()


def test_no_trees_say_nothing():
    assert NO_TREES.margins(np.ones((3, 2))).tolist() == [0.0] * 3
    assert NO_TREES.contributions([1.0, 2.0]).tolist() == [0.0, 0.0]
    assert Trees.from_json(NO_TREES.to_json()) == NO_TREES


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("columns", lambda found: found[:-1]),
        ("values", lambda found: [math.nan, *found[1:]]),
        ("thresholds", lambda found: [math.nan, *found[1:]]),
        ("left", lambda found: [0, *found[1:]]),
        ("right", lambda found: [len(found), *found[1:]]),
        ("roots", lambda found: [-1, *found[1:]]),
        ("columns", lambda found: [-1, *found[1:]]),
        ("base", lambda _: math.inf),
    ],
)
def test_what_is_no_trees_is_refused(trees, name, change):
    value = trees.to_json()
    value[name] = change(value[name])
    with pytest.raises(ValueError, match=r"trees|node|outside"):
        Trees.from_json(value)


def test_an_infinite_value_is_refused_in_training():
    rows, labels = rows_of(1)
    rows[3, 2] = -math.inf
    with pytest.raises(ValueError, match="infinite"):
        grow_trees(rows, labels, SETTINGS)


@pytest.mark.parametrize("label", [True, False])
def test_labels_of_one_kind_are_refused(label):
    rows, labels = rows_of(1)
    with pytest.raises(ValueError, match="both kinds"):
        grow_trees(rows, np.full(len(labels), label), SETTINGS)
