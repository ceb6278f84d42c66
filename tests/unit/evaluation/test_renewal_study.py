"""The study of renewals: what it shifts, what it leaves alone."""

from collections import Counter

import numpy as np

from chainsec.evaluation.renewal import _delay, _reorganise
from chainsec.scenarios.hospital import hospital


def test_reorganised_staff_do_each_others_work_within_their_organisation_from_the_middle_on():
    workload = hospital(4, days=20, history_days=6, staff=20, records=90)
    changed = _reorganise(workload, 4)
    half = len(workload.live) // 2
    assert changed.live[:half] == workload.live[:half]
    houses = {member.name: member.organisation for member in workload.members}
    pairs = {(a.requester, b.requester) for a, b in zip(workload.live[half:], changed.live[half:], strict=True)}
    moved = {before for before, after in pairs if before != after}
    assert 5 <= len(moved) <= 10
    assert all(houses[before] == houses[after] for before, after in pairs)
    assert max(Counter(before for before, _ in pairs).values()) == 1
    assert [a.asset for a in changed.live] == [a.asset for a in workload.live]
    assert _reorganise(workload, 4) == changed


def test_a_stream_that_does_not_change_is_left_alone_and_one_that_does_is_noticed_afterwards():
    assert _delay(np.random.default_rng(1), 0.0, 2_000) is None
    assert 0 < _delay(np.random.default_rng(1), 2.0, 1_000) < 60
