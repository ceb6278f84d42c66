"""Axes on which rows of a table become comparable."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainsec.models.axes import Axis, Encoder, lay_axes, shorten
from chainsec.models.table import MAX_LEVELS, Table, learn_table

NUMBERS = Encoder([Axis(0, None, 1.0, 2.0, 1.5, 0.1)])


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_lies_within_three_of_the_mean(number):
    [[away]] = NUMBERS.encode(np.array([[number]]))
    assert -3.0 <= away + 0.1 <= 3.0


@given(st.floats(-50, 500), st.floats(0, 500))
def test_a_larger_number_never_lies_lower(number, more):
    low, high = NUMBERS.encode(np.array([[number], [number + more]]))[:, 0]
    assert low <= high


@pytest.mark.parametrize("number", [-3.0, 0.0, 0.25, 60.0, 200.0])
def test_the_number_of_a_difference_is_found_again(number):
    [[away]] = NUMBERS.encode(np.array([[number]]))
    assert NUMBERS.number(0, away) == pytest.approx(number, rel=2e-3, abs=1e-3)


def test_a_number_that_no_double_holds_is_bounded():
    huge = Encoder([Axis(0, None, 1.0, 690.0, 100.0)])
    assert math.isfinite(huge.number(0, 99.0))
    assert math.isfinite(huge.number(0, -1e9))


def test_a_missing_number_is_the_mean_and_a_number_is_never_taken_for_missing():
    table = learn_table({"a": [1.0, 2.0, -1.0, None]})
    axes = lay_axes(table, table.matrix({"a": [1.0, 2.0, -1.0, None]}))
    assert [axis.code for axis in axes] == [None, -1]
    [missing, minus_one] = Encoder(axes).encode(np.array([[math.nan], [-1.0]]))
    assert missing.tolist() == [0.0, 1.5]
    assert minus_one[0] < 0.0
    assert minus_one[1] == -0.5


def test_texts_lie_apart_and_all_that_were_not_seen_together():
    table = Table({"a": ("x", "y")})
    encoder = Encoder(lay_axes(table, np.array([[0.0], [0.0], [0.0], [1.0]])))
    x, y, unseen, further = encoder.encode(np.array([[0.0], [1.0], [2.0], [7.0]]))
    assert (x.argmax(), y.argmax()) == (0, 1)
    assert unseen.tolist() == further.tolist()
    assert unseen.argmax() == 2


def test_a_rarer_text_lies_further_out():
    figures = np.array([[0.0]] * 60 + [[1.0]] * 40)
    encoder = Encoder(lay_axes(Table({"a": ("x", "y")}), figures))
    common, rare = encoder.encode(np.array([[0.0], [1.0]]))
    assert rare @ rare > common @ common


def test_many_columns_of_texts_share_what_axes_there_are():
    table = Table({f"c{number}": tuple(f"t{at}" for at in range(MAX_LEVELS)) for number in range(8)})
    axes = lay_axes(table, np.zeros((30, 8)))
    assert len(axes) == 8 * (384 // 8 + 1)


def test_nine_digits_are_kept():
    assert shorten(0.123456789123) == 0.123456789
