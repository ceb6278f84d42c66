"""A series is watched for what is new in its situation; what is no value is refused, a gap is a value of its own."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainsec.models.series import SeriesDetector, SeriesSettings, Situation

TOLD = SeriesSettings(learn_values=60, rest_values=20)


def feed(values, told=TOLD):
    watch = SeriesDetector(told)
    return watch, [watch.observe(60.0 * place, value) for place, value in enumerate(values)]


def daily(number):
    draw = random.Random(1)
    return [10 + 5 * math.sin(2 * math.pi * place / 24) + draw.gauss(0, 0.2) for place in range(number)]


def test_a_spike_is_an_alarm_and_ordinary_days_are_none():
    values = daily(600)
    values[500] = 40.0
    _, scores = feed(values, SeriesSettings(learn_values=240, rest_values=20))
    assert scores[500] == 1.0
    assert max(scores[300:500]) < 0.5


def test_a_usual_value_at_an_unusual_moment_is_new_to_its_situation():
    values = [float(place % 8) for place in range(400)]
    values[300] = values[302]
    watch = SeriesDetector(SeriesSettings(learn_values=60, rest_values=20, known_range=(0.0, 7.0)))
    scores = []
    for place, value in enumerate(values):
        scores.append(watch.observe(place, value))
        if place == 300:
            reasons = watch.reasons()
    assert scores[300] >= 0.5
    assert reasons[0].values_before == 3
    assert all(situation.seen > 0 for situation in reasons)


def test_one_incident_is_one_alarm():
    values = [1.0, 2.0] * 100 + [50.0] * 15 + [1.0, 2.0] * 60
    _, scores = feed(values)
    assert sum(score >= 0.5 for score in scores) == 1


def test_nothing_is_said_while_the_range_is_learned():
    _, scores = feed([1.0, 900.0, -5.0] * 20)
    assert scores == [0.0] * 60


def test_a_first_gap_is_news_and_a_usual_one_is_not():
    _, scores = feed([1.0, 2.0, 3.0] * 50 + [None])
    assert scores[-1] == 1.0
    _, scores = feed([1.0, None, 3.0] * 50 + [1.0, math.nan])
    assert scores[-1] == 0.0


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_an_infinite_value_is_refused_and_changes_nothing(value):
    watch, _ = feed([1.0, 2.0] * 50)
    with pytest.raises(ValueError, match="a number or missing"):
        watch.observe(6_000, value)
    assert watch.observe(6_000, 1.0) == 0.0


def test_time_may_stand_still_and_never_goes_back():
    watch, _ = feed([1.0, 2.0] * 50)
    assert watch.observe(60.0 * 99, 1.0) == 0.0
    with pytest.raises(ValueError, match="does not come after"):
        watch.observe(60.0 * 98, 2.0)
    with pytest.raises(ValueError, match="does not come after"):
        watch.observe(math.nan, 2.0)


def test_a_series_of_one_value_is_quiet_until_it_changes():
    _, scores = feed([7.0] * 300 + [7.000_001] * 3 + [9.0])
    assert max(scores[:303]) == 0.0
    assert scores[-1] == 1.0


def test_huge_values_are_told_apart_only_up_to_a_bound():
    _, scores = feed([1.0, 2.0] * 50 + [1e300] + [1.0, 2.0] * 30 + [-1e300, 1.0])
    assert scores[100] == 1.0
    assert scores[161] == 1.0


def test_a_known_range_is_taken_as_it_is():
    told = SeriesSettings(learn_values=60, rest_values=20, known_range=(0.0, 7.0))
    _, scores = feed([float(place % 3) for place in range(120)] + [6.5], told)
    assert scores[-1] == 1.0
    assert max(scores[:-1]) == 0.0


@given(st.lists(st.one_of(st.none(), st.floats(-1e12, 1e12)), min_size=80, max_size=160))
@settings(max_examples=40, deadline=None)
def test_scores_lie_in_the_unit_interval_and_repeat(values):
    first, again = feed(values)[1], feed(values)[1]
    assert first == again
    assert all(0 <= score <= 1 for score in first)


@pytest.mark.parametrize(
    "wrong",
    [
        {"learn_values": 1},
        {"levels": 1},
        {"most_before": 0},
        {"rest_values": -1},
        {"widen": -0.1},
        {"widen": math.inf},
        {"alarm_score": 0.0},
        {"known_range": (1.0, 1.0)},
        {"known_range": (0.0, math.nan)},
    ],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="range"):
        SeriesSettings(**wrong)


def test_a_situation_says_how_often_what_came_before_was_seen():
    watch, scores = feed([1.0, 2.0] * 50 + [9.0])
    assert scores[-1] == 1.0
    assert watch.reasons()[-1] == Situation(0, 100)
