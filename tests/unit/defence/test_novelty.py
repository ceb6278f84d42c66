"""What departures from habits are worth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainsec.defence.novelty import NoveltyPart, train_novelty

NAMES = ("habit:@role", "habit:@device", "reach:requester", "hour")
USUAL = np.abs(np.random.default_rng(3).normal(size=(400, 4)))
PART = train_novelty(NAMES, USUAL, 0.002)
DEPARTURES = st.lists(st.floats(-3.0, 12.0), min_size=4, max_size=4)


def risk(row):
    return PART.risk.at(PART.total(dict(zip(NAMES, row, strict=True))))


@given(DEPARTURES, st.integers(0, 3), st.floats(0.0, 9.0))
def test_a_larger_departure_never_lowers_the_risk(row, which, more):
    grown = [value + more * (i == which) for i, value in enumerate(row)]
    assert 0.0 <= risk(row) <= risk(grown) <= 1.0


def test_what_is_ordinary_has_no_risk_and_what_nobody_did_has_much():
    assert np.mean([risk(row) == 0.0 for row in USUAL.tolist()]) > 0.8
    assert risk([4.0, 4.0, 4.0, 4.0]) > 0.3


def test_one_very_rare_departure_outweighs_several_slight_ones():
    extreme = float(USUAL.max()) + 1.0
    assert risk([0.0, 0.0, 0.0, extreme]) > risk([0.9, 0.9, 0.9, 0.9])


def test_few_usual_requests_never_claim_much():
    part = train_novelty(NAMES, USUAL[:8], 0.002)
    assert part.risk.at(part.total(dict.fromkeys(NAMES, 9.0))) < 0.9
    nothing = train_novelty(NAMES, USUAL[:0], 0.002)
    assert nothing.risk.at(nothing.total(dict.fromkeys(NAMES, 9.0))) == 0.0


@pytest.mark.parametrize("unseen_share", [1e-5, 0.002, 0.3])
def test_however_unheard_of_nothing_gets_more_than_two_in_three(unseen_share):
    part = train_novelty(NAMES, USUAL, unseen_share)
    risks = [part.risk.at(part.total(dict.fromkeys(NAMES, far))) for far in (5.0, 50.0, 1e9)]
    assert risks == sorted(risks)
    assert risks[-1] <= 2 / 3


def test_the_contributions_add_up_to_the_total():
    features = dict(zip(NAMES, (0.5, 2.0, 3.0, 1.0), strict=True))
    assert sum(PART.contributions(features).values()) == pytest.approx(PART.total(features))


def test_json_keeps_the_part():
    assert NoveltyPart.from_json(PART.to_json()) == PART
