"""Rows far from normal ones: distance, rarity, reasons, and what is refused."""

import copy
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainsec.errors import BadInput
from chainsec.evaluation.metrics import auc
from chainsec.evaluation.traffic import TEST, TEXT, TRAIN, read_connections
from chainsec.models.subspace import LEAST_ROWS, Subspace, learn_subspace

N_ROWS = 400
NUMBER = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=False))


def draw_rows(seed, n_rows=N_ROWS):
    """Packets follow bytes, and the port follows the service; a tenth of the delays is missing."""
    draw = np.random.default_rng(seed)
    size = np.round(np.exp(draw.normal(5.0, 1.0, n_rows)), 3)
    is_web = draw.random(n_rows) < 0.7
    delay = [None if draw.random() < 0.1 else round(float(draw.random()), 3) for _ in range(n_rows)]
    return {
        "bytes": size.tolist(),
        "packets": np.round(size / 50.0 + draw.random(n_rows), 2).tolist(),
        "delay": delay,
        "service": ["http" if web else "dns" for web in is_web],
        "port": ["80" if web else "53" for web in is_web],
        "version": [4] * n_rows,
    }


def row_of(columns, at):
    return {name: column[at] for name, column in columns.items()}


USUAL = {"bytes": 150, "packets": 3.5, "delay": 0.5, "service": "http", "port": "80", "version": 4}


@pytest.fixture(scope="module")
def space():
    return learn_subspace(draw_rows(0), text=["service", "port"])


def test_what_breaks_a_habit_lies_further_out_than_what_keeps_it(space):
    usual = space.distance(USUAL)
    for change in ({"packets": 500}, {"port": "53"}, {"service": "gopher"}, {"bytes": 1e9}, {"version": 6}):
        assert space.distance(USUAL | change) > usual + 3.0, change


def test_numbers_that_are_each_usual_are_odd_where_they_never_go_together(space):
    small, large = USUAL | {"bytes": 30, "packets": 1.0}, USUAL | {"bytes": 900, "packets": 18.5}
    crossed = USUAL | {"bytes": 30, "packets": 18.5}
    assert space.distance(crossed) > 2.0 * max(space.distance(small), space.distance(large))


def test_a_difference_where_normal_rows_never_differ_is_as_far_as_can_be(space):
    assert space.distance(USUAL | {"version": 5}) == space.distance(USUAL | {"version": 5_000})


def test_rarity_of_normal_rows_is_what_it_says(space):
    fresh = space.rarities(draw_rows(1, 4_000))
    for bits in (1.0, 2.0, 3.0, 4.0):
        assert -math.log2((fresh >= bits).mean()) == pytest.approx(bits, abs=0.4)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(NUMBER, NUMBER, NUMBER, st.sampled_from(["http", "dns", "new", None])), max_size=5))
def test_a_batch_gives_the_very_bits_of_each_row_alone_and_no_distance_is_below_0(space, parts):
    rows = [
        USUAL | {"bytes": size, "packets": packets, "delay": delay, "service": service}
        for size, packets, delay, service in parts
    ]
    columns = {name: [row[name] for row in rows] for name in USUAL}
    alone = [space.distance(row) for row in rows]
    assert space.distances(columns).tolist() == alone
    assert all(0.0 <= distance < math.inf for distance in alone)


def test_a_batch_larger_than_a_chunk_is_scored_to_its_last_row(space):
    columns = draw_rows(2, 1_030)
    found = space.distances(columns)
    for at in (0, 511, 512, 1_029):
        assert found[at] == space.distance(row_of(columns, at))


def test_what_is_missing_counts_as_usual_where_it_often_is_and_as_the_mean_elsewhere(space):
    assert 0.0 < space.distance(USUAL | {"delay": None}) - space.distance(USUAL | {"delay": 0.4}) < 20.0
    assert space.distance(USUAL | {"version": None}) == pytest.approx(space.distance(USUAL))


def test_a_column_in_tiny_units_is_not_lost():
    draw = np.random.default_rng(3)
    tiny = learn_subspace({"rate": (draw.random(100) * 1e-7).tolist()})
    usual, larger, huge = (tiny.distance({"rate": rate}) for rate in (5e-8, 2e-7, 1e-3))
    assert 5.0 * usual < larger <= huge


@pytest.mark.parametrize("seed", range(5))
def test_putting_the_reason_right_lowers_the_distance_by_its_effect(space, seed):
    draw = np.random.default_rng(seed)
    odd = USUAL | {"packets": float(draw.integers(100, 900)), "service": "gopher", "delay": float(draw.integers(5, 90))}
    reasons = space.reasons(odd)
    assert [reason.effect for reason in reasons] == sorted((reason.effect for reason in reasons), reverse=True)
    assert "service" in {reason.column for reason in reasons} <= {"bytes", "packets", "service", "delay"}
    for reason in reasons:
        assert reason.value == odd[reason.column]
        mended = space.distance(odd | {reason.column: reason.instead})
        assert mended == pytest.approx(space.distance(odd) - reason.effect)
        assert mended < space.distance(odd)


def test_a_reason_names_what_the_rest_of_the_row_leads_to_expect(space):
    [reason] = space.reasons(USUAL | {"bytes": 1_000, "packets": 2.0}, limit=1)
    # which of the two is wrong cannot be known: whichever is named fits the other
    assert (reason.column == "packets" and 8 < reason.instead < 40) or (
        reason.column == "bytes" and reason.instead < 300
    )
    [reason] = [each for each in space.reasons(USUAL | {"port": "53"}) if each.column == "port"]
    assert reason.instead == "80"


def test_only_what_lowers_the_distance_is_a_reason(space):
    for change in ({}, {"service": "dns"}, {"bytes": 1e7}):
        reasons = space.reasons(USUAL | change, limit=99)
        assert all(reason.effect > 0.0 for reason in reasons)
        assert len({reason.column for reason in reasons}) == len(reasons)


def test_reasons_leave_the_row_alone_and_are_as_many_as_asked(space):
    odd = USUAL | {"packets": 800, "port": "53", "version": 7}
    before = dict(odd)
    assert [len(space.reasons(odd, limit)) for limit in (0, 1, 2)] == [0, 1, 2]
    assert odd == before


def test_the_same_rows_give_the_same_digest_and_others_another(space):
    assert learn_subspace(draw_rows(0), text=["port", "service"]).digest == space.digest
    assert learn_subspace(draw_rows(1), text=["port", "service"]).digest != space.digest


def test_a_model_survives_json_to_the_last_bit(space):
    again = Subspace.from_json(json.loads(json.dumps(space.to_json(), allow_nan=False)))
    columns = draw_rows(4, 50)
    assert again.digest == space.digest
    assert again.distances(columns).tolist() == space.distances(columns).tolist()
    assert again.rarities(columns).tolist() == [space.rarity(row_of(columns, at)) for at in range(50)]


def change_of(*path, to):
    def change(value):
        at = value
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = to

    return change


@pytest.mark.parametrize(
    "change",
    [
        change_of("format", to="chainsec subspace 2"),
        change_of("precision", 0, 1, to=9.0),
        change_of("precision", 0, 0, to=math.nan),
        change_of("precision", 0, to=[]),
        change_of("precision", to=[]),
        change_of("axes", to=[]),
        change_of("axes", 0, 0, to=99),
        change_of("axes", 0, 2, to=0.0),
        change_of("axes", 0, 3, to=math.inf),
        change_of("axes", 0, 1, to=0),
        change_of("axes", -1, 1, to=math.nan),
        change_of("axes", -1, 1, to=-2),
        change_of("axes", -1, 0, to=-1),
        change_of("axes", 0, to=[1]),
        change_of("bits", to=[]),
        change_of("bits", to=[[0.0], [math.nan]]),
        change_of("table", to=None),
    ],
)
def test_what_is_no_model_is_refused(space, change):
    value = copy.deepcopy(space.to_json())
    change(value)
    with pytest.raises(ValueError, match=r"\w"):
        Subspace.from_json(value)


@pytest.mark.parametrize("value", [None, [], "x", {}])
def test_what_is_no_json_of_a_model_is_refused(value):
    with pytest.raises(ValueError, match="format"):
        Subspace.from_json(value)


def test_bad_values_are_refused_by_column(space):
    for change, said in (({"bytes": "many"}, "'bytes'"), ({"bytes": math.inf}, "'bytes'"), ({"extra": 1}, "'extra'")):
        with pytest.raises(BadInput, match=said):
            space.distance(USUAL | change)
        with pytest.raises(BadInput, match=said):
            space.distances({name: [value] for name, value in (USUAL | change).items()})


def test_too_few_rows_teach_nothing():
    with pytest.raises(BadInput, match=f"{LEAST_ROWS - 1} normal rows are too few"):
        learn_subspace({"a": [*range(LEAST_ROWS - 1)]})
    assert learn_subspace({"a": [*range(LEAST_ROWS)]}).distance({"a": 3}) >= 0.0


@pytest.mark.skipif("CHAINSEC_DATA" not in os.environ, reason="CHAINSEC_DATA is not set")
def test_attacks_lie_further_out_than_normal_connections():
    folder = Path(os.environ["CHAINSEC_DATA"])
    train, test = read_connections(folder / TRAIN), read_connections(folder / TEST)
    normal = np.flatnonzero(~train.is_attack)[::4]
    space = learn_subspace(train.only(np.isin(np.arange(len(train.kinds)), normal)), TEXT)
    some = np.arange(len(test.kinds)) % 8 == 0
    assert auc(test.is_attack[some], space.distances(test.only(some))) >= 0.95
