"""The study of forecasts: simple forecasts know no more than they may, and scores are what they are called."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from chainsec.errors import BadInput
from chainsec.evaluation.forecast import ForecastStudy
from chainsec.evaluation.forecast_pasts import play_hospital, read_cert_pasts
from chainsec.evaluation.forecast_scores import (
    GROUP,
    OWN,
    PERSISTENCE,
    RAW,
    TRUTH,
    Board,
    apply_rates,
    find_last_labels,
    find_states,
    learn_rates,
)
from chainsec.evaluation.user_days import FIGURES_FILE, SEQUENCES_FILE
from chainsec.models.forecast import Forecast
from chainsec.models.forecast_learning import Past, Periods
from chainsec.models.forecaster import DAY_S, Asked

needs_data = pytest.mark.skipif("CHAINSEC_DATA" not in os.environ, reason="CHAINSEC_DATA is not set")


def make_past(*asked):
    return Past(asked, {"ann": "nurse", "bob": "clerk"}, 0, {}, 99 * DAY_S)


def make_board(came, said, others=None, clusters=None):
    n = len(came)
    forecasts = [Forecast(2 * each, each, 0, 0, 1, {}) for each in said]
    return Board(
        "x", np.array(came, dtype=float), forecasts, {name: np.array(each) for name, each in (others or {}).items()},
        np.zeros(n), np.arange(n) if clusters is None else np.array(clusters), np.zeros(n), 1,
    )  # fmt: skip


def test_persistence_sees_a_bad_request_only_once_it_has_come_to_light():
    past = make_past(Asked(5 * DAY_S, "ann", "nurse", is_bad=True, known_s=8 * DAY_S))
    days = (6, 7, 8, 9, 10, 12, 13)
    periods = Periods(["ann"] * len(days), [day * DAY_S for day in days], [], [])
    states = find_states(past, periods, DAY_S)
    quiet = "False False"
    assert states[PERSISTENCE] == [quiet, quiet, "True False", quiet, quiet, quiet, quiet]
    assert states[RAW] == ["0", "0", "1", "0", "0", "0", "0"]
    assert states[TRUTH] == ["True", *["False"] * 6]
    assert states[OWN] == ["0", "0", *["1"] * 5]
    assert set(states[GROUP]) == {"nurse"}
    week = find_states(past, periods, 7 * DAY_S)
    assert week[PERSISTENCE] == [quiet, quiet, *["True True"] * 4, "True False"]


def test_the_last_label_is_that_of_the_latest_day_whose_label_is_known():
    past = make_past(
        Asked(1 * DAY_S, "ann", "", is_bad=True, known_s=9 * DAY_S),
        Asked(2 * DAY_S, "ann", "", is_bad=False, known_s=3 * DAY_S),
        Asked(4 * DAY_S, "ann", "", is_bad=True, known_s=6 * DAY_S),
    )
    periods = Periods(["ann"] * 3 + ["bob"], [day * DAY_S for day in (2, 5, 10, 10)], [], [])
    assert find_last_labels(past, periods) == ["", "False", "True", ""]


def test_states_have_the_smoothed_rates_of_the_rows_they_were_learned_on():
    rates = learn_rates(["a", "a", "b", "b"], np.array([True, True, False, False]))
    assert apply_rates(rates, ["a", "b", "never seen"]).tolist() == [2.5 / 3, 0.5 / 3, 0.5]


def test_skill_is_the_share_of_a_loss_that_is_saved():
    board = make_board([1, 0, 0, 2], [0.5, 0.5, 0.5, 0.5], {PERSISTENCE: [0.25] * 4, "perfect": [0.9, 0.1, 0.1, 0.9]})
    theirs = -(2 * np.log(0.25) + 2 * np.log(0.75))
    assert board.log_skill(PERSISTENCE).ours == pytest.approx(1 - 4 * np.log(2) / theirs)
    assert board.log_skill("perfect").ours < -1
    assert board.brier_skill(PERSISTENCE).ours == pytest.approx(1 - 1.0 / (2 * 0.75**2 + 2 * 0.25**2))
    assert board.brier_skill(RAW).ours == pytest.approx(1 - 1.0 / 2)


def test_an_interval_lies_about_its_figure_and_one_cluster_has_no_spread():
    draw = np.random.default_rng(5)
    came, said = draw.integers(0, 2, 200), draw.uniform(0.3, 0.7, 200)
    figure = make_board(came, said, {PERSISTENCE: [0.4] * 200}).log_skill(PERSISTENCE)
    assert figure.low < figure.ours < figure.high
    alone = make_board(came, said, {PERSISTENCE: [0.4] * 200}, [0] * 200).log_skill(PERSISTENCE)
    assert alone.low == alone.high == pytest.approx(figure.ours)


def test_keys_are_ranked_within_their_round_only():
    board = make_board([1, 0, 1, 0], [0.3, 0.1, 0.9, 0.7])
    apart = Board(**{**vars(board), "rounds": np.array([0, 0, 1, 1])})
    assert (board.ranking().ours, apart.ranking().ours) == (0.75, 1.0)


def test_counts_are_judged_by_the_median_and_the_interval():
    board = make_board([0, 1, 3], [0.1, 0.1, 0.1])
    assert board.coverage().ours == pytest.approx(2 / 3)
    assert [figure.ours for figure in board.count_errors()] == pytest.approx([4 / 3, 4 / 3])


def test_a_hospital_forecast_knows_no_label_too_early_and_no_risk_of_the_history():
    requesters, assets = play_hospital(101)
    first_s = min(requesters.wanted)
    assert len(requesters.keys), len(assets.keys) == (60, 300)
    assert all(each.risk == 0.0 for each in requesters.asked if each.time_s < first_s)
    assert np.mean([each.risk for each in requesters.asked if each.time_s >= first_s]) > 0.02
    assert all(each.known_s is None or each.known_s >= each.time_s for each in requesters.asked)
    live_bad = [each for each in requesters.asked if each.is_bad and each.time_s >= first_s]
    assert 0.2 < sum(each.known_s is not None for each in live_bad) / len(live_bad) < 0.5
    assert sum(each.is_bad for each in assets.asked) == sum(each.is_bad for each in requesters.asked)
    assert {each.group for each in assets.asked} <= set(assets.keys.values())


def test_missing_data_are_named_before_anything_is_played(tmp_path):
    steps = []
    with pytest.raises(BadInput, match="1-data-test-combine"):
        ForecastStudy().run(tmp_path, 1, lambda *step: steps.append(step))
    assert steps == []


@needs_data
def test_user_days_that_are_out_of_order_are_refused_by_their_line(tmp_path):
    folder = Path(os.environ["CHAINSEC_DATA"])
    for name in (FIGURES_FILE, SEQUENCES_FILE):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        head, *rows = gzip.decompress((folder / name).read_bytes()).decode().splitlines()
        (tmp_path / name).write_bytes(gzip.compress("\n".join([head, *rows[:4], rows[900], rows[5]]).encode()))
    with pytest.raises(BadInput, match="line 7: its date comes before"):
        read_cert_pasts(tmp_path, 3, DAY_S)


@needs_data
def test_the_study_reaches_its_floors_on_few_hospitals():
    steps = []
    outcome = ForecastStudy((101,), (103,)).run(Path(os.environ["CHAINSEC_DATA"]), 1, lambda *step: steps.append(step))
    figures = {figure.metric: figure for figure in outcome.figures}
    assert len(figures) == len(outcome.figures)
    assert figures["user-days, labels the next morning: log-score skill over persistence"].ours > 0.3
    assert figures["user-days, labels a week later: log-score skill over persistence"].ours > 0.1
    assert figures["assets, a day: AUC"].ours > 0.6
    assert figures["requesters, a day: Brier skill over raw persistence"].ours > 0.25
    assert steps[-1][1:] == (5, 5)
    assert [plot.kind for plot in outcome.plots] == ["calibration", "other"]
    assert all(line.xs == (1.0, 3.0, 7.0) for line in outcome.plots[1].lines)
