"""Counts and the evidence that follows from them."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainsec.defence.statistics import CountTables, weigh_evidence

COUNTS = st.tuples(st.integers(0, 500), st.integers(0, 500)).map(lambda pair: (max(pair), min(pair)))


@given(COUNTS, st.floats(0.01, 0.99))
def test_one_more_denial_among_the_same_labels_raises_odds_and_excess(counts, base_rate):
    labelled, denied = counts
    before = weigh_evidence(labelled, labelled, denied, base_rate, 3.0)
    after = weigh_evidence(labelled + 1, labelled + 1, denied + 1, base_rate, 3.0)
    assert after[0] > before[0]
    assert after[1] > before[1]


def test_labels_at_the_base_rate_are_no_evidence_either_way():
    odds, excess, _ = weigh_evidence(20, 20, 2, 0.1, 3.0)
    assert odds == pytest.approx(0.0, abs=1e-9)
    assert excess == pytest.approx(0.0, abs=1e-9)


def test_more_labels_at_the_same_rate_weigh_more():
    few = weigh_evidence(2, 2, 1, 0.1, 3.0)
    many = weigh_evidence(20, 20, 10, 0.1, 3.0)
    assert many[0] > few[0] > 0
    assert many[1] > few[1] > 0


def test_looking_up_counts_changes_nothing():
    tables = CountTables(2)
    tables.see(["ann", "scan"])
    before = copy.deepcopy(tables.to_json())
    assert [list(counts) for counts in tables.look_up(["bob", "scan"])] == [[0, 0, 0], [1, 0, 0]]
    assert tables.to_json() == before


def test_a_label_counts_in_its_own_values_only():
    tables = CountTables(2)
    tables.see(["ann", "scan"])
    tables.see(["bob", "scan"])
    tables.label(["ann", "scan"], denied=True)
    tables.label(["bob", "scan"], denied=False)
    assert tables.to_json() == [{"ann": [1, 1, 1], "bob": [1, 1, 0]}, {"scan": [2, 2, 1]}]


def test_tables_read_back_are_equal_and_apart():
    tables = CountTables(1)
    tables.see(["ann"])
    again = CountTables.from_json(tables.to_json())
    again.see(["ann"])
    assert tables.to_json() == [{"ann": [1, 0, 0]}]
    assert again.to_json() == [{"ann": [2, 0, 0]}]
