"""Reasons are told in words that are true for the value, and never tell a fact's content."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainsec.defence.observation import Observation
from chainsec.defence.policy import Thresholds
from chainsec.defence.reasons import put_in_words
from chainsec.defence.receipts import decision_receipt, find_fault
from chainsec.defence.training import train_risk_model
from chainsec.scenarios.hospital import hospital
from chainsec.scenarios.run import train_on_history

GOLDEN = {
    ("requester+asset:odds", 1.7): "requests with this requester and asset were denied more often than others",
    ("requester+asset:odds", -0.4): "requests with this requester and asset were denied less often than others",
    ("purpose:odds", 0.0): "labels say nothing about requests with this purpose",
    ("@ward:excess", 2.0): "requests with this ward were denied more often than chance explains",
    ("@ward+@role+week:seen", 0.0): "ward, role and part of the week were never seen together before",
    ("asset:seen", 0.6931): "this asset was seen once before",
    ("asset:seen", 2.3026): "this asset was seen 9 times before",
    ("habit:@record_kind", 2.0): "the record kind is unusual for this requester",
    ("habit:@record_kind", 0.2): "the record kind is usual for this requester",
    ("reach:requester", 1.5): "the requester is unusual for this asset",
    ("hour", 3.0): "the hour is unusual for this requester",
    ("rate:hour", 3.0): "unusually many requests within an hour",
    ("silence", 0.0): "the account was in use as usual",
    ("breadth:day", 3.0): "8 different subjects within a day",
    ("new:week", 1.0): "1 subject new to the requester within a week",
    ("tie:own", 2.3): "the requester had no dealings with the subject lately",
    ("switch:@device", 0.9): "the device changed within the hour",
    ("suspicion", 1.0): "earlier denials or alarms are held against this requester",
    ("text", 0.97): "the justification reads like an instruction to the agent",
}


@pytest.mark.parametrize(("told", "words"), GOLDEN.items(), ids=[" ".join(map(str, told)) for told in GOLDEN])
def test_a_feature_with_its_value_says_this(told, words):
    assert put_in_words(*told) == words


@pytest.fixture(scope="module")
def models():
    """Give models of a hospital and of a log without times, so that every family of features occurs."""
    chance = random.Random(1)
    rows = [
        Observation(
            f"r{i}",
            i,
            f"p{i % 9}",
            f"a{i % 7}",
            "read",
            "",
            attributes={"team": f"t{chance.randrange(3)}"},
            has_clock=False,
        )
        for i in range(120)
    ]
    clockless = train_risk_model(rows, [i % 5 == 0 for i in range(120)])
    return train_on_history(hospital(1, days=20, history_days=8, staff=20, records=90)), clockless


def test_every_feature_of_a_trained_model_has_words_of_its_own(models):
    for model in models:
        for name in model.scoring.names:
            words = put_in_words(name, 0.0), put_in_words(name, 9.0)
            assert words[0] != words[1]
            assert all(not said.startswith(name) and len(said) <= 120 for said in words)


@given(st.integers(0, 10_000), st.floats(-20, 60))
@settings(max_examples=80, deadline=None)
def test_any_value_has_a_sentence_of_bounded_length(models, place, value):
    names = models[0].scoring.names
    words = put_in_words(names[place % len(names)], value)
    assert 5 < len(words) <= 120
    assert "@" not in words


def test_a_receipt_carries_words_that_an_auditor_computes_again(models):
    model = models[1]
    observation = Observation("0x01", 200, "p1", "a1", "read", "", attributes={"team": "t1"}, has_clock=False)
    thresholds = Thresholds(0.1, 0.8)
    receipt = decision_receipt(observation, model.features(observation), model, thresholds, 3)
    assert len(receipt["reasons"]) == 3
    assert all(words == put_in_words(name, receipt["features"][name]) for name, _, words in receipt["reasons"])
    assert find_fault(receipt, model, thresholds, 3) is None
    receipt["reasons"][0][2] = "nothing to worry about"
    assert find_fault(receipt, model, thresholds, 3) == "reasons are not those of the model"
