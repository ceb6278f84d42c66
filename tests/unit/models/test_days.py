"""The model of days: the same for the same days, whosever they are, and nothing but days gets a score."""

import json
import math
from collections import Counter

import numpy as np
import pytest

from chainsec.models.days import Day, DayModel, DaySettings, train_day_model

SETTINGS = DaySettings(n_trees=20)
PEOPLE = [f"p{n % 40}" for n in range(120)]


def draw_days(seed):
    """Return days of which the abusive ones begin late or copy after they connect."""
    rng = np.random.default_rng(seed)
    labels = rng.random(120) < 0.5
    days = []
    for is_abuse in labels:
        middle = [str(word) for word in rng.choice(["mail", "web"], size=rng.integers(1, 6))]
        habit = ["connect", "copy"] if is_abuse and rng.random() < 0.8 else ["mail"]
        days.append(Day((float(rng.normal(0.3 + 0.05 * is_abuse, 0.05)),), ("logon", *middle, *habit)))
    return days, labels


@pytest.fixture(scope="module")
def model():
    days, labels = draw_days(1)
    return train_day_model(days, labels, PEOPLE, SETTINGS)


def test_days_not_seen_are_told_apart(model):
    days, labels = draw_days(2)
    calls = np.array([model.score(day) >= 0.5 for day in days])
    assert (calls == labels).mean() > 0.85


def test_training_twice_gives_the_same_model_and_another_seed_another(model):
    days, labels = draw_days(1)
    assert train_day_model(days, labels, PEOPLE, SETTINGS).to_json() == model.to_json()
    assert train_day_model(days, labels, PEOPLE, DaySettings(n_trees=20, seed=1)).to_json() != model.to_json()


def test_a_model_read_back_scores_the_same_to_the_last_bit(model):
    read = DayModel.from_json(json.loads(json.dumps(model.to_json())))
    days, _ = draw_days(3)
    assert [read.score(day) for day in days] == [model.score(day) for day in days]


def test_scores_are_probabilities_even_of_empty_days_and_unknown_words(model):
    for day in (Day((0.3,), ()), Day((1e9,), ("never", "seen")), Day((-5.0,), ("copy",) * 500)):
        assert 0.0 <= model.score(day) <= 1.0


def test_columns_are_counts_figures_and_surprise_in_the_order_of_their_names(model):
    day = Day((0.25,), ("logon", "mail", "mail", "mail"))
    row = dict(zip(model.columns, model.row(day), strict=True))
    assert row["figure 0"] == 0.25
    assert (row["mail"], row["copy"], row["number of activities"]) == (3, 0, 4)
    assert row["mail then mail"] == 2
    assert row["surprise in bits, all"] == pytest.approx(sum(model.ordinary.bits(day.words, ("",))), abs=1e-3)
    copied = dict(zip(model.columns, model.row(Day((0.25,), ("logon", "connect", "copy"))), strict=True))
    assert copied["evidence of abuse in bits, all"] > 0 > row["evidence of abuse in bits, all"]


def test_training_rows_do_not_know_their_own_day():
    """Words that one person alone uses must not give that person's training days away."""
    days = [Day((0.5,), (f"word of {person}",)) for person in PEOPLE]
    labels = np.array([int(person[1:]) % 2 == 1 for person in PEOPLE])
    trained = train_day_model(days, labels, PEOPLE, SETTINGS)
    stranger = trained.score(Day((0.5,), ("word of somebody else",)))
    assert 0.2 < stranger < 0.8


def test_reasons_are_columns_and_the_strongest_come_first(model):
    reasons = model.reasons(Day((0.35,), ("logon", "connect", "copy")), 4)
    sizes = [abs(added) for _, added in reasons]
    assert len(reasons) == 4
    assert sizes == sorted(sizes, reverse=True)
    assert Counter(name in model.columns for name, _ in reasons) == {True: 4}
    assert reasons[0][1] > 0


@pytest.mark.parametrize("figure", [math.nan, math.inf, "0.3", None])
def test_a_figure_that_is_none_is_refused(figure):
    with pytest.raises(ValueError, match="figure 0 of a day"):
        Day((figure,), ("logon",))


@pytest.mark.parametrize("word", ["", 7, None])
def test_a_word_that_is_none_is_refused(word):
    with pytest.raises(ValueError, match="a word of a day"):
        Day((0.3,), (word,))


def test_a_day_with_other_figures_is_refused(model):
    with pytest.raises(ValueError, match="2 figures, the model 1"):
        model.score(Day((0.3, 0.4), ("logon",)))


def test_training_needs_both_kinds_of_days_of_one_form():
    days, labels = draw_days(1)
    with pytest.raises(ValueError, match="labels of both kinds"):
        train_day_model(days, np.zeros(len(days), dtype=bool), PEOPLE, SETTINGS)
    with pytest.raises(ValueError, match="as many figures"):
        train_day_model([Day((1.0, 2.0), ()), *days[1:]], labels, PEOPLE, SETTINGS)


@pytest.mark.parametrize(
    "change", [{"format": 9}, {"n_figures": None}, {"words": 3}, {"pairs": [["a"]]}, {"ordinary": {}}, {"words": []}]
)
def test_what_is_no_model_of_days_is_refused(model, change):
    with pytest.raises(ValueError, match="this is no model of days"):
        DayModel.from_json(json.loads(json.dumps(model.to_json())) | change)
