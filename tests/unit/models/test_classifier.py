"""Labelled rows to probabilities with reasons."""

import copy
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainsec.errors import BadInput
from chainsec.evaluation.metrics import auc, calibration_error
from chainsec.models.classifier import LEAST_ROWS, TableClassifier, learn_classifier
from chainsec.models.trees import GrowthSettings

GROWTH = GrowthSettings(max_iter=40, max_leaf_nodes=8, min_samples_leaf=10)
USUAL = {"amount": 20.0, "hour": 11, "country": "NL", "noise": 0.5}


def draw_rows(seed, n_rows=900):
    """Large amounts at night or from XX are mostly bad; a tenth of the hours is missing."""
    draw = np.random.default_rng(seed)
    amount = np.round(np.exp(draw.normal(3.0, 1.0, n_rows)), 2)
    hour = draw.integers(0, 24, n_rows)
    country = draw.choice(["NL", "DE", "XX"], n_rows, p=[0.6, 0.3, 0.1])
    margin = 1.5 * np.log(amount / 20.0) + 2.0 * (hour < 6) + 3.0 * (country == "XX") - 2.0
    labels = draw.random(n_rows) < 1.0 / (1.0 + np.exp(-margin))
    columns = {
        "amount": amount.tolist(),
        "hour": [None if draw.random() < 0.1 else int(each) for each in hour],
        "country": country.tolist(),
        "noise": draw.random(n_rows).tolist(),
    }
    return columns, labels


@pytest.fixture(scope="module")
def model():
    return learn_classifier(*draw_rows(0), growth=GROWTH)


def test_unseen_rows_are_ranked_and_their_probabilities_hold(model):
    columns, labels = draw_rows(1, 4_000)
    scores = model.scores(columns)
    assert auc(labels, scores) >= 0.83
    assert calibration_error(labels, scores) <= 0.04


def test_rows_that_say_nothing_of_their_label_get_the_share_of_the_label():
    draw = np.random.default_rng(5)
    columns = {"a": draw.random(1_000).tolist(), "b": draw.random(1_000).tolist()}
    model = learn_classifier(columns, draw.random(1_000) < 0.1, growth=GROWTH)
    fresh = {"a": draw.random(1_000).tolist(), "b": draw.random(1_000).tolist()}
    assert model.scores(fresh).mean() == pytest.approx(0.1, abs=0.03)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.tuples(st.none() | st.floats(allow_infinity=False), st.sampled_from(["NL", "XX", "new", None])), max_size=6
    )
)
def test_a_batch_gives_the_very_bits_of_each_row_alone(model, parts):
    rows = [USUAL | {"amount": amount, "country": country} for amount, country in parts]
    columns = {name: [row[name] for row in rows] for name in USUAL}
    alone = [model.score(row) for row in rows]
    assert model.scores(columns).tolist() == alone
    assert all(0.0 <= score <= 1.0 for score in alone)


@pytest.mark.parametrize("seed", range(4))
def test_putting_the_reason_right_moves_the_margin_by_its_effect_and_the_score_the_same_way(model, seed):
    columns, _ = draw_rows(seed + 10, 12)
    for at in range(12):
        row = {name: column[at] for name, column in columns.items()}
        reasons = model.reasons(row)
        assert [abs(reason.effect) for reason in reasons] == sorted(
            (abs(reason.effect) for reason in reasons), reverse=True
        )
        for reason in reasons:
            mended = row | {reason.column: reason.instead}
            assert reason.value == row[reason.column]
            assert model.margin(mended) == pytest.approx(model.margin(row) - reason.effect)
            fall = model.score(row) - model.score(mended)
            assert fall * reason.effect >= 0.0


def test_the_reason_is_what_makes_the_row_bad(model):
    [first, *_] = model.reasons(USUAL | {"country": "XX"})
    assert (first.column, first.value, first.instead) == ("country", "XX", "NL")
    assert first.effect > 1.0
    [first, *_] = model.reasons(USUAL | {"amount": 900.0})
    assert first.column == "amount"
    assert first.instead < 30.0


def test_a_row_of_usual_values_has_no_reason(model):
    usual = {name: model.table.value(at, model.usual[at]) for at, name in enumerate(model.table.names)}
    assert model.reasons(usual) == []


def test_reasons_are_as_many_as_asked(model):
    odd = {"amount": 500.0, "hour": 3, "country": "XX", "noise": 0.1}
    assert [len(model.reasons(odd, limit)) for limit in (0, 1, 3)] == [0, 1, 3]


def test_training_is_repeatable(model):
    assert learn_classifier(*draw_rows(0), growth=GROWTH).digest == model.digest
    assert learn_classifier(*draw_rows(2), growth=GROWTH).digest != model.digest


def test_a_model_survives_json_to_the_last_bit(model):
    again = TableClassifier.from_json(json.loads(json.dumps(model.to_json(), allow_nan=False)))
    columns, _ = draw_rows(3, 50)
    assert again.digest == model.digest
    assert again.scores(columns).tolist() == model.scores(columns).tolist()
    row = {name: column[0] for name, column in columns.items()}
    assert again.reasons(row) == model.reasons(row)


def test_a_column_that_is_always_missing_in_good_rows_survives_json():
    columns, labels = draw_rows(4)
    columns["hour"] = [3 if bad else None for bad in labels]
    model = learn_classifier(columns, labels, growth=GROWTH)
    assert math.isnan(model.usual[1])
    assert TableClassifier.from_json(json.loads(json.dumps(model.to_json()))).digest == model.digest
    [first, *_] = model.reasons(USUAL | {"hour": 3})
    assert (first.column, first.instead) == ("hour", None)


def change_of(name, to):
    def change(value):
        value[name] = to(value[name]) if callable(to) else to

    return change


@pytest.mark.parametrize(
    "change",
    [
        change_of("format", "chainsec table classifier 2"),
        change_of("usual", lambda usual: usual[:-1]),
        change_of("usual", lambda usual: [math.inf, *usual[1:]]),
        change_of("usual", lambda usual: ["x", *usual[1:]]),
        change_of("table", lambda table: table[:1]),
        change_of("trees", {}),
        change_of("trees", []),
        change_of("calibration", [[0.0, 1.0], [1.0, 0.0]]),
        change_of("calibration", None),
    ],
)
def test_what_is_no_model_is_refused(model, change):
    value = copy.deepcopy(model.to_json())
    change(value)
    with pytest.raises(ValueError, match=r"\w"):
        TableClassifier.from_json(value)


@pytest.mark.parametrize("value", [None, [], "x", {}])
def test_what_is_no_json_of_a_model_is_refused(value):
    with pytest.raises(ValueError, match="format"):
        TableClassifier.from_json(value)


def test_bad_values_are_refused_by_column(model):
    for change, said in (({"amount": "many"}, "'amount'"), ({"hour": math.inf}, "'hour'"), ({"extra": 1}, "'extra'")):
        for ask in (model.score, model.margin, model.reasons):
            with pytest.raises(BadInput, match=said):
                ask(USUAL | change)


def test_too_few_rows_of_a_label_teach_nothing():
    rows = {"a": [*range(100)]}
    with pytest.raises(BadInput, match=f"{LEAST_ROWS - 1} rows of a label are too few"):
        learn_classifier(rows, [number < LEAST_ROWS - 1 for number in range(100)], growth=GROWTH)
    with pytest.raises(BadInput, match="99 labels for 100 rows"):
        learn_classifier(rows, [True] * 99, growth=GROWTH)
    assert learn_classifier(rows, [number < LEAST_ROWS for number in range(100)], growth=GROWTH).trees.roots
