"""The study of access requests: its protocol keeps a row's own label from its score, and its file is read with care."""

import gzip

import numpy as np
import pytest

from chainsec.defence.observation import Observation
from chainsec.errors import BadInput
from chainsec.evaluation.access import ATTRIBUTES, _costs, read_requests, score_in_folds, score_live

HEADER = ["ACTION", "RESOURCE", "MGR_ID", *ATTRIBUTES, "ROLE_CODE"]


def write(folder, rows):
    (folder / "amazon_access").mkdir(parents=True)
    text = "\n".join(",".join(map(str, row)) for row in [HEADER, *rows]) + "\n"
    (folder / "amazon_access" / "dev.csv.gz").write_bytes(gzip.compress(text.encode()))


def lone_requests(number):
    """Draw requests of which every value occurs once: only a row's own label could tell anything."""
    return [Observation(f"r{i}", i, f"m{i}", f"a{i}", "read", "", has_clock=False) for i in range(number)]


def test_rows_become_requests_of_the_managers_team(tmp_path):
    write(tmp_path, [[1, "res", "boss", *"abcdef", 9], [0, "res", "chef", *"abcdef", 9]])
    requests, denied = read_requests(tmp_path)
    assert denied.tolist() == [False, True]
    assert (requests[1].requester, requests[1].asset) == ("chef", "res")
    assert dict(requests[0].attributes) == dict(zip(ATTRIBUTES, "abcdef", strict=True))
    assert not requests[0].has_clock


def test_a_label_that_is_none_is_named_with_its_line(tmp_path):
    write(tmp_path, [[1, "res", "boss", *"abcdef", 9], ["yes", "res", "boss", *"abcdef", 9]])
    with pytest.raises(BadInput, match="line 3: ACTION is 'yes', not 0 or 1"):
        read_requests(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"dev\.csv\.gz: this file of the data is missing"):
        read_requests(tmp_path)


def test_a_rows_own_label_does_not_reach_its_score():
    requests, draw = lone_requests(120), np.random.default_rng(1)
    denied = draw.random(120) < 0.3
    for scores, labels in (
        (score_in_folds(requests, denied, 1, lambda *_: None), denied),
        (score_live(requests, denied, 60), denied[60:]),
    ):
        assert np.isfinite(scores).all()
        assert np.ptp(scores[labels]) + np.ptp(scores[~labels]) < 0.5
        assert abs(scores[labels].mean() - scores[~labels].mean()) < 0.05


def test_the_policys_cost_lies_between_knowing_everything_and_the_dumb_ways():
    denied = np.arange(100) < 10
    perfect = {figure.metric: figure.ours for figure in _costs(denied, denied.astype(float))}
    assert perfect["cost of a request by the policy, live half"] == 0
    assert perfect["the same where everything is granted"] == pytest.approx(0.9)
