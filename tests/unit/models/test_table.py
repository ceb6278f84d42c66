"""Rows of named columns become a matrix, and what cannot be one is refused by column and row."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainsec.errors import BadInput
from chainsec.models.table import MAX_LEVELS, Table, learn_table

ROWS = {"bytes": ["1", "2.5", " 3 ", ""], "service": ["http", "dns", "http", "ssh"]}
VALUES = st.one_of(st.none(), st.floats(allow_infinity=False), st.integers(-9, 9).map(str), st.just(" "))
TEXTS = st.one_of(st.none(), st.sampled_from(["a", " a", "b", "c", "new", ""]), st.integers(0, 3))


@pytest.fixture(scope="module")
def table():
    return learn_table(ROWS)


def test_frequent_texts_come_first_and_ties_by_name(table):
    assert table.levels == {"bytes": None, "service": ("http", "dns", "ssh")}


@settings(max_examples=40)
@given(st.lists(st.tuples(VALUES, TEXTS), max_size=8))
def test_a_batch_holds_what_each_row_gives_alone(pairs):
    table = Table({"bytes": None, "service": ("a", "b", "3")})
    columns = {"service": [text for _, text in pairs], "bytes": [value for value, _ in pairs]}
    alone = [table.row({"bytes": value, "service": text}) for value, text in pairs]
    np.testing.assert_array_equal(table.matrix(columns), np.array(alone).reshape(len(pairs), 2))


@pytest.mark.parametrize("nothing", [None, "", "  ", math.nan, "nan"])
def test_a_missing_number_is_nan_and_not_a_number(table, nothing):
    assert math.isnan(table.row({"bytes": nothing, "service": "http"})[0])


def test_a_text_that_was_not_seen_stands_behind_all_others(table):
    places = [table.row({"bytes": 1, "service": text})[1] for text in ("http", "ssh", "gopher", None)]
    assert places == [0.0, 2.0, 3.0, 3.0]


def test_a_missing_text_is_a_text_like_any_other_where_training_had_it():
    table = learn_table({"a": ["x", "", None, "x", "x"]})
    assert table.row({"a": None}) == table.row({"a": " "}) == [1.0]


def test_a_whole_number_is_the_text_that_shows_it():
    table = learn_table({"port": ["80", "443", 80]}, text=["port"])
    assert table.row({"port": 80}) == table.row({"port": "80"}) == [0.0]


def test_texts_beyond_the_limit_count_as_not_seen():
    names = [f"t{number:03}" for number in range(MAX_LEVELS + 5)]
    table = learn_table({"a": [names[0], *names]}, text=["a"])
    assert table.row({"a": names[-1]}) == table.row({"a": "never"}) == [float(MAX_LEVELS)]
    assert table.row({"a": names[0]}) == [0.0]


@pytest.mark.parametrize(
    ("value", "said"),
    [("abc", "'abc' is no number"), ("1,5", "'1,5' is no number"), ([], "is no number"), (10**400, "is no number"),
     ("inf", "'inf' is infinite"), (-math.inf, "-inf is infinite"), ("1e999", "'1e999' is infinite")],
)  # fmt: skip
def test_what_is_no_finite_number_is_refused_by_column_and_row(table, value, said):
    with pytest.raises(BadInput, match="row 2: column 'bytes': ") as refused:
        table.matrix({"bytes": ["1", value], "service": ["http", "http"]})
    assert said in str(refused.value)
    assert (refused.value.row, refused.value.column) == (2, "bytes")
    with pytest.raises(BadInput, match="column 'bytes'"):
        table.row({"bytes": value, "service": "http"})


@pytest.mark.parametrize("value", [1.5, ["a"]])
def test_what_is_no_text_is_refused(table, value):
    with pytest.raises(BadInput, match=r"row 1: column 'service': .* is no text"):
        table.row({"bytes": 1, "service": value})


@pytest.mark.parametrize(
    ("row", "said"),
    [({"bytes": 1}, "column 'service' is missing"),
     ({"bytes": 1, "service": "http", "flag": 1}, "column 'flag' is not among those"),
     ({"bytes": 1, "services": "http"}, "column 'service' is missing")],
)  # fmt: skip
def test_columns_of_another_version_are_refused(table, row, said):
    with pytest.raises(BadInput, match=said):
        table.row(row)
    with pytest.raises(BadInput, match=said):
        table.matrix({name: [value] for name, value in row.items()})


def test_columns_of_different_length_are_refused(table):
    with pytest.raises(BadInput, match="column 'service' has 1 values, another one 2"):
        table.matrix({"bytes": [1, 2], "service": ["http"]})


def test_no_rows_teach_nothing():
    with pytest.raises(BadInput, match="no rows"):
        learn_table({"a": []})


def test_a_slip_among_numbers_is_refused_in_training_and_makes_no_text_of_the_column():
    with pytest.raises(BadInput, match="row 3: column 'a': '7O' is no number"):
        learn_table({"a": ["1", "2", "7O"]})
    assert learn_table({"a": ["1", "2", "7O"]}, text=["a"]).levels == {"a": ("1", "2", "7O")}


def test_a_column_named_as_text_has_to_be_there():
    with pytest.raises(BadInput, match="column 'b' is missing"):
        learn_table({"a": [1]}, text=["b"])


def test_a_table_survives_json(table):
    again = Table.from_json(json.loads(json.dumps(table.to_json())))
    assert (again, again.names) == (table, table.names)


@pytest.mark.parametrize(
    "value",
    [
        None,
        3,
        {"ab": 1},
        [],
        [["a"]],
        [["a", 5]],
        [["a", [1]]],
        [[1, None]],
        [["a", None], ["a", None]],
        [["a", ["x", "x"]]],
    ],
)
def test_what_is_no_table_is_refused(value):
    with pytest.raises(ValueError, match=r"table|column|unpack"):
        Table.from_json(value)
