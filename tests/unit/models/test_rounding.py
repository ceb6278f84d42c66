"""Features rounded together are those that ``round`` gives one by one."""

from hypothesis import example, given
from hypothesis import strategies as st

from chainsec.models.rounding import DECIMALS, round_all

NEAR_A_HALF = st.builds(
    lambda units, ulps: (units + 0.5) / 10**DECIMALS * (1.0 + ulps * 2.0**-52),
    st.integers(-(10**9), 10**9),
    st.integers(-3, 3),
)


@example([])
@example([-0.0, 1.7e308, 0.00005, 1.00015, -2.5e-5])
@given(st.lists(st.one_of(NEAR_A_HALF, st.floats(allow_nan=False, allow_infinity=False)), max_size=30))
def test_figures_rounded_together_are_rounded_as_each_is_alone(figures):
    assert list(map(repr, round_all(figures))) == [repr(round(figure, DECIMALS)) for figure in figures]
