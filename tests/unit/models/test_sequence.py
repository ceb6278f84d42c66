"""The sequence model: own past before peers before everybody, learned online, and the same after being written down."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainsec.models.sequence import SequenceModel, summarise

ANN, BOB, NEW = ("", "nurses", "ann"), ("", "clerks", "bob"), ("", "nurses", "new")
WORDS = st.lists(st.sampled_from("abcd"), max_size=6)
DAYS = st.lists(st.tuples(WORDS, st.sampled_from([ANN, BOB])), max_size=8)


def learned(days, order=1, **settings_):
    model = SequenceModel(order, **settings_)
    for words, chain in days:
        model.learn(words, chain)
    return model


@settings(max_examples=40, deadline=None)
@given(DAYS, WORDS, st.integers(0, 3), st.sampled_from([ANN, BOB, NEW, ("",)]))
def test_probabilities_of_all_words_and_one_unknown_add_up_to_one(days, before, order, chain):
    model = learned(days, order)
    known = sorted({word for words, _ in days for word in words})
    total = math.fsum(model.probability(word, before, chain) for word in [*known, "never seen"])
    assert total == pytest.approx(1.0)


@settings(max_examples=40, deadline=None)
@given(DAYS, WORDS, st.integers(0, 2))
def test_a_model_read_back_says_the_same_and_writes_the_same(days, words, order):
    model = learned(days, order)
    read = SequenceModel.from_json(json.loads(json.dumps(model.to_json())))
    assert read.to_json() == model.to_json()
    assert read.bits(words, ANN) == model.bits(words, ANN)
    read.learn(words, ANN)
    model.learn(words, ANN)
    assert read.to_json() == model.to_json()


@settings(max_examples=30, deadline=None)
@given(DAYS, WORDS)
def test_asking_changes_nothing(days, words):
    model = learned(days)
    before = model.to_json()
    model.bits(words, NEW)
    model.surprise(words, ANN)
    assert model.to_json() == before


def test_what_was_learned_is_less_surprising_than_before_and_than_anything_else():
    model = learned([(["a", "b"], ANN)] * 3)
    before = model.probability("b", ["a"], ANN)
    model.learn(["a", "b"], ANN)
    assert model.probability("b", ["a"], ANN) > before > model.probability("c", ["a"], ANN)


def test_own_past_weighs_more_than_peers_and_peers_more_than_everybody():
    model = learned([(["a"], ("", "nurses", "carl"))] * 30 + [(["b"], BOB)] * 30 + [(["c"], ANN)] * 30)
    assert model.probability("c", [], ANN) > model.probability("a", [], ANN) > model.probability("b", [], ANN)


def test_a_newcomer_is_judged_as_peers_are_until_there_is_a_past_of_their_own():
    model = learned([(["a"], ANN)] * 30 + [(["b"], BOB)] * 30)
    assert model.probability("a", [], NEW) == model.probability("a", [], ("", "nurses"))
    for _ in range(30):
        model.learn(["b"], NEW)
    assert model.probability("b", [], NEW) > model.probability("b", [], ("", "nurses"))


def test_a_requester_called_like_a_role_is_another_level():
    model = learned([(["a"], ("", "nurses", "clerks"))] * 20 + [(["b"], ("", "clerks", "ann"))] * 20)
    assert model.probability("a", [], ("", "nurses", "clerks")) > 0.5
    assert model.probability("b", [], ("", "clerks", "new")) > 0.5


def test_the_word_before_matters_where_the_order_lets_it():
    days = [(["a", "x", "b", "y"], ANN)] * 20
    for order, matters in ((0, False), (1, True)):
        model = learned(days, order)
        after_a, after_b = (model.probability("x", [word], ANN) for word in "ab")
        assert (after_a > after_b) is matters


def test_the_beginning_of_a_sequence_is_a_context_of_its_own():
    model = learned([(["a", "b", "b", "b"], ANN)] * 20)
    assert model.probability("a", [], ANN) > 0.5 > model.probability("a", ["b"], ANN)


def test_repeating_a_word_does_not_make_a_day_more_surprising():
    model = learned([(["a"], ANN)] * 20, order=0)
    assert model.surprise(["x"] * 9, ANN) == model.surprise(["x"], ANN) > model.surprise(["a"] * 9, ANN)
    assert summarise(["x", "y", "x"], [1.0, 0.5, 2.0]) == (2.5, 1.25, 2.0)
    assert summarise([], []) == (0.0, 0.0, 0.0)


def test_memory_is_bounded_and_old_habits_fade():
    model = learned([(["a"], ANN)] * 1_000, order=0, memory=64)
    for _ in range(100):
        model.learn(["b"], ANN)
    assert model.probability("b", [], ANN) > model.probability("a", [], ANN)
    totals = [sum(counts.values()) for _, _, contexts in model.to_json()["levels"] for _, counts in contexts]
    assert max(totals) <= 64


@pytest.mark.parametrize("words", [["a", ""], ["a", 7], [None]])
def test_a_word_that_is_none_is_refused_and_nothing_of_its_sequence_is_learned(words):
    model = learned([(["a"], ANN)])
    before = model.to_json()
    with pytest.raises(ValueError, match="words that are texts"):
        model.learn(words, ANN)
    with pytest.raises(ValueError, match="a chain of levels"):
        model.learn(["a"], ())
    assert model.to_json() == before


@pytest.mark.parametrize(
    ("order", "strength", "memory"), [(-1, 8.0, 64), (1, 0.0, 64), (1, math.nan, 64), (1, math.inf, 64), (1, 8.0, 1)]
)
def test_settings_out_of_range_are_refused(order, strength, memory):
    with pytest.raises(ValueError, match="no sequence model has"):
        SequenceModel(order, strength=strength, memory=memory)


def spoil(value, *path, new):
    *way, last = path
    inner = value
    for step in way:
        inner = inner[step]
    inner[last] = new
    return value


@pytest.mark.parametrize(
    ("path", "new"),
    [
        (("format",), 2),
        (("strength",), math.nan),
        (("order",), "1"),
        (("words",), ["a"]),
        (("levels",), [[0, ""]]),
        (("levels", 0, 2, 0, 1, "a"), 0),
        (("levels", 0, 2, 0, 1, "a"), 1.5),
        (("levels", 0, 2, 0, 1, "unknown"), 1),
        (("levels", 0, 2, 0, 0), ["a", "b", "a"]),
        (("more",), 1),
    ],
)
def test_what_is_no_model_is_refused(path, new):
    value = json.loads(json.dumps(learned([(["a", "b"], ANN)]).to_json()))
    SequenceModel.from_json(value)
    with pytest.raises(ValueError, match="this is no sequence model"):
        SequenceModel.from_json(spoil(value, *path, new=new))


@pytest.mark.parametrize("value", [{}, [], None, {"format": 1}])
def test_what_is_no_object_of_a_model_is_refused(value):
    with pytest.raises(ValueError, match="this is no sequence model"):
        SequenceModel.from_json(value)
