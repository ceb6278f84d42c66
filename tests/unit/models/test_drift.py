"""A change is noticed soon, and what does not change rarely raises an alarm."""

import math
from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainsec.models.drift import DriftSettings, DriftWatch


def feed(values, told=None):
    watch = DriftWatch(told)
    for value in values:
        if watch.observe(float(value)):
            break
    return watch


def test_where_nothing_changes_alarms_are_as_rare_as_stated():
    told = DriftSettings(events_per_false_alarm=2_000)
    streams = [np.random.default_rng(seed).gamma(0.3, size=600) for seed in range(60)]
    alarms = sum(feed(stream, told).drifted_at is not None for stream in streams)
    # 60 streams of 200 ranked figures make at most 6 alarms in the mean
    assert alarms <= 6


@pytest.mark.parametrize(("shift", "within"), [(0.5, 260), (1.0, 110), (-1.0, 110), (2.0, 70)])
def test_a_shifted_mean_is_noticed_within_a_stated_number_of_events(shift, within):
    delays = []
    for seed in range(30):
        draw = np.random.default_rng(seed)
        values = np.append(draw.normal(size=700), shift + draw.normal(size=600))
        watch = feed(values)
        assert watch.drifted_at is not None
        delays.append(watch.drifted_at - 700)
    assert min(delays) > 0
    assert np.quantile(delays, 0.95) <= within


def test_a_handful_of_extreme_figures_is_no_drift():
    draw = np.random.default_rng(1)
    watch = feed([*draw.normal(size=800), *[1e6] * 12])
    assert watch.drifted_at is None
    assert watch.statistic > 1


def test_what_comes_after_an_alarm_changes_nothing():
    watch = feed([*range(30), *[100.0] * 200], DriftSettings(reference_events=20, events_per_false_alarm=50))
    found = watch.drifted_at, watch.statistic, watch.events
    assert found[0] is not None
    assert watch.observe(0.0)
    assert (watch.drifted_at, watch.statistic, watch.events) == found


def test_nothing_is_said_before_the_reference_is_complete():
    watch = DriftWatch(DriftSettings(reference_events=50, events_per_false_alarm=2))
    assert not any(watch.observe(float(value)) for value in [*[0.0] * 25, *[9.0] * 25])
    assert watch.statistic == 0


def test_a_stream_of_one_value_never_drifts():
    assert feed([0.25] * 5_000, DriftSettings(events_per_false_alarm=6_000)).drifted_at is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_figures_that_are_no_numbers_are_refused_and_leave_no_trace(value):
    watch = DriftWatch()
    with pytest.raises(ValueError, match="finite"):
        watch.observe(value)
    assert watch.events == 0


@pytest.mark.parametrize("told", [{"reference_events": 19}, {"events_per_false_alarm": 1}])
def test_settings_out_of_range_are_refused(told):
    with pytest.raises(ValueError, match="range"):
        DriftSettings(**told)


@given(st.lists(st.floats(-1e6, 1e6), min_size=30, max_size=90), st.integers(-100, 100))
@settings(max_examples=30, deadline=None)
def test_only_the_order_of_figures_counts(values, shift):
    told = DriftSettings(reference_events=20, events_per_false_alarm=30)
    whole = [round(value) for value in values]  # so that no two values come together by scaling
    stretched = [math.ldexp(value, 3) + shift for value in whole]
    one, other = feed(whole, told), feed(stretched, told)
    assert (one.drifted_at, one.statistic) == (other.drifted_at, other.statistic)


def test_the_mean_wait_for_a_false_alarm_is_as_long_as_stated():
    told, waits = DriftSettings(reference_events=1_000, events_per_false_alarm=60), []
    for seed in range(150):
        draw, watch = np.random.default_rng(seed), DriftWatch(told)
        for events in count(1):
            if watch.observe(float(draw.random())) or events == 3_000:
                waits.append(events - 1_000)
                break
    assert np.mean(waits) >= 60
