"""The benchmark's scorer: what published scores it gives again, and what early, late and false alarms are worth."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from chainsec.errors import BadInput
from chainsec.evaluation.nab import LOW_FALSE_POSITIVES, PROFILES, STANDARD, Labelled, Sweep, row_worths, scaled_sigmoid
from chainsec.evaluation.series import read_corpus, split_corpus, watch, windowed_gaussian

ONE = Labelled(1_000, ((400, 499),))


def alarms(*places):
    found = np.zeros(1_000)
    found[list(places)] = 1.0
    return found


def score(*places, profile=STANDARD, labelled=ONE):
    return Sweep([labelled], [alarms(*places)]).normalised(0.5, profile)


def test_never_alarming_scores_nothing_and_alarming_at_once_everything():
    assert score() == 0.0
    assert score(400) == pytest.approx(100.0)


def test_an_earlier_alarm_in_the_window_is_worth_more_and_only_the_best_counts():
    assert score(400) > score(450) > score(490) > score(499) > 50.0
    assert score(450, 490) == score(450)


def test_a_false_alarm_costs_little_and_more_where_the_profile_says_so():
    assert score(400, 800) < score(400)
    assert score(400, 800, profile=LOW_FALSE_POSITIVES) < score(400, 800)
    assert score(400) - score(400, 505) < score(400) - score(400, 800)


def test_what_stands_in_the_probation_is_not_scored():
    assert ONE.probation == 150
    assert score(10, 149) == 0.0
    assert score(150) < 0.0
    assert Labelled(50_000, ()).probation == 750


def test_before_the_first_window_an_alarm_is_worth_least():
    worths, window_of = row_worths(ONE)
    assert worths[399] == -1.0
    assert set(window_of[400:500]) == {0}
    assert (window_of[:400] == -1).all()
    assert worths[400] == pytest.approx(1.0)
    assert worths[500] == pytest.approx(scaled_sigmoid(1 / 99))


def test_one_threshold_is_chosen_for_all_series_and_none_where_alarms_only_cost():
    good, noise = np.zeros(1_000), np.linspace(0, 0.4, 1_000)
    good[410] = 0.9
    sweep = Sweep([ONE, Labelled(1_000, ())], [good, noise])
    assert sweep.best_threshold(STANDARD) == 0.9
    assert Sweep([Labelled(1_000, ())], [noise]).best_threshold(STANDARD) == math.inf


def test_the_best_threshold_is_that_of_trying_all():
    draw = np.random.default_rng(2)
    found = np.round(draw.random(1_000), 2)
    sweep = Sweep([ONE], [found])
    best = max(sweep.raw(threshold, STANDARD) for threshold in np.unique(found))
    assert sweep.raw(sweep.best_threshold(STANDARD), STANDARD) == pytest.approx(best)


@pytest.mark.parametrize("wrong", [np.zeros(999), np.full(1_000, math.nan)])
def test_scores_that_do_not_fit_the_series_are_refused(wrong):
    with pytest.raises(ValueError, match="one finite score for each row"):
        Sweep([ONE], [wrong])


def test_a_missing_or_torn_corpus_is_one_line(tmp_path):
    with pytest.raises(BadInput, match=r"nab_corpus\.tar\.xz: this file of the data is missing"):
        read_corpus(tmp_path)
    (tmp_path / "nab").mkdir()
    (tmp_path / "nab" / "nab_corpus.tar.xz").write_bytes(b"no archive")
    (tmp_path / "nab" / "combined_windows.json").write_text("{}")
    with pytest.raises(BadInput, match=r"nab_corpus\.tar\.xz: cannot be read"):
        read_corpus(tmp_path)


@pytest.fixture(scope="module")
def corpus():
    if "CHAINSEC_DATA" not in os.environ:
        pytest.skip("CHAINSEC_DATA is not set")
    return read_corpus(Path(os.environ["CHAINSEC_DATA"]))


def test_the_published_scores_of_a_published_detector_come_out_exactly(corpus):
    published = json.loads((Path(os.environ["CHAINSEC_DATA"]) / "nab" / "final_results.json").read_text())
    sweep = Sweep([series.labelled for series in corpus], [windowed_gaussian(series.values) for series in corpus])
    assert sweep.windows == 116
    for profile in PROFILES:
        score = sweep.normalised(sweep.best_threshold(profile), profile)
        assert score == pytest.approx(published["windowedGaussian"][profile.name], abs=1e-6)


def test_half_of_each_folder_is_held_out_and_the_watch_does_well_on_it(corpus):
    chosen, held_out = split_corpus(corpus)
    assert sorted([*chosen, *held_out]) == list(range(58))
    assert abs(len(chosen) - len(held_out)) <= 7
    sweep = Sweep([corpus[i].labelled for i in held_out], [watch(corpus[i]) for i in held_out])
    assert sweep.normalised(0.5, STANDARD) > 60
