"""Whatever a stranger writes into a threat's evidence, its rule comes to an end: with a figure or a refusal."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainsec.defence.surprise import LEAST_RATE, MOST, RULES, count_surprise

ANY = st.floats(allow_nan=True, allow_infinity=True) | st.integers() | st.sampled_from([0, 10**400, -1, 1e-300, MOST])


@given(ANY, ANY, ANY)
def test_a_count_has_a_surprise_in_range_or_is_refused(count, shape, rate):
    try:
        found = count_surprise(count, shape, rate)
    except (ValueError, ArithmeticError):
        return
    assert 0.0 <= found <= 300.0


@given(st.integers(1, 10**7), st.floats(1e-6, MOST), st.floats(LEAST_RATE, MOST))
def test_the_tail_of_any_count_in_range_is_found(count, shape, rate):
    assert 0.0 <= count_surprise(count, shape, rate) <= 300.0


@given(st.integers(1, 300), st.floats(0.05, 1e4), st.floats(LEAST_RATE, 1e4))
def test_the_surprise_is_that_of_an_incomplete_beta_function(count, shape, rate):
    special = pytest.importorskip("scipy.special")
    tail = float(special.betainc(count, shape, 1.0 / (1.0 + rate)))
    expected = -math.log10(tail) if tail > 1e-290 else None
    if expected is not None:
        assert count_surprise(count, shape, rate) == pytest.approx(expected, rel=1e-7, abs=1e-9)


@given(st.integers(0, 200), st.floats(0.05, 100), st.floats(1, 100))
def test_one_more_is_never_less_surprising(count, shape, rate):
    assert count_surprise(count + 1, shape, rate) >= count_surprise(count, shape, rate) - 1e-12


@pytest.mark.parametrize("kind", RULES)
def test_figures_that_are_none_are_refused(kind):
    with pytest.raises((TypeError, ValueError, ArithmeticError)):
        RULES[kind](count="many", shape=None, rate=[])
