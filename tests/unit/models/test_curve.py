"""Piecewise-linear curves."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainsec.models.curve import Bundle, Curve, rarity_curve, sample_curve

FINITE = st.floats(-1e6, 1e6)


@given(st.lists(FINITE, max_size=60), FINITE, FINITE)
def test_rarity_never_falls_and_never_exceeds_what_the_sample_can_tell(sample, a, b):
    curve = rarity_curve(sample)
    low, high = sorted((a, b))
    assert 0.0 <= curve.at(low) <= curve.at(high) <= math.log2(len(sample) + 1) + 1e-12


def test_rarity_is_the_share_at_or_above():
    curve = rarity_curve([float(i) for i in range(1, 1024)], n_knots=40)
    for share in (2, 8, 64):
        assert curve.at(1024 - 1024 / share) == pytest.approx(math.log2(share), abs=0.15)


def test_a_value_that_everybody_has_is_not_rare():
    curve = rarity_curve([0.0] * 50)
    assert curve.at(0.0) == 0.0
    assert curve.at(5.0) == math.log2(51)


def test_a_sampled_curve_stays_near_its_function():
    curve = sample_curve(math.tanh, -4.0, 4.0, 257)
    assert max(abs(curve.at(x / 50) - math.tanh(x / 50)) for x in range(-200, 201)) < 1e-4


@given(st.lists(FINITE, max_size=60), st.lists(FINITE, max_size=20))
def test_many_points_at_once_give_the_very_bits_of_one_after_the_other(sample, points):
    for curve in (rarity_curve(sample), sample_curve(math.tanh, -4.0, 4.0, 33), Curve((1.0,), (2.0,))):
        places = [*points, *curve.xs, curve.xs[0] - 1.0, curve.xs[-1] + 1.0]
        assert curve.at_each(np.array(places)).tolist() == [curve.at(x) for x in places]


@given(st.lists(st.tuples(st.lists(FINITE, max_size=40), FINITE), min_size=1, max_size=8))
def test_curves_in_a_bundle_give_the_very_bits_that_each_gives_alone(rows):
    curves = [rarity_curve(sample) for sample, _ in rows]
    bundle = Bundle(curves)
    spots = [[x for _, x in rows], *([curve.xs[end] for curve in curves] for end in (0, -1))]
    for points in spots:
        assert bundle.at(np.array(points)).tolist() == [curve.at(x) for curve, x in zip(curves, points, strict=True)]


def test_a_curve_is_flat_outside_its_knots():
    curve = Curve((0.0, 1.0), (0.2, 0.4))
    assert (curve.at(-9.0), curve.at(9.0)) == (0.2, 0.4)


@pytest.mark.parametrize(
    ("xs", "ys"), [((), ()), ((1.0, 1.0), (0.0, 1.0)), ((0.0, 1.0), (1.0, 0.0)), ((0.0,), (math.nan,)), ((0.0,), ())]
)
def test_knots_that_make_no_rising_function_are_refused(xs, ys):
    with pytest.raises(ValueError, match="a curve"):
        Curve(xs, ys)
