"""The study of people's behaviour: what it reads, what it refuses, and floors on a part of the public data."""

import csv
import gzip
import math
import os
from pathlib import Path

import pytest

from chainsec.errors import BadInput
from chainsec.evaluation.behaviour import BehaviourStudy, _count_earlier
from chainsec.evaluation.metrics import auc, f1
from chainsec.evaluation.user_days import FIGURES_FILE, SEQUENCES_FILE, read_user_days
from chainsec.evaluation.watching import Campaign, Watch, watch_hospitals

FIGURES = ("index", "date_index", "user_index", "date", "label", "f1", "f2", "f3", "f4", "f5")
SEQUENCES = ("date_index", "user_index", "date", "label", "4", "5", "6")

needs_data = pytest.mark.skipif("CHAINSEC_DATA" not in os.environ, reason="CHAINSEC_DATA is not set")


def write(folder, name, header, rows):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def write_days(folder, *, figures=None, words=None, **changes):
    """Write three days of two people; changes replace fields of the last one."""
    names = ("user_index", "date", "label", "f1", "f2", "f3", "f4", "f5")
    facts = ("ann d0 0 .25 .5 0.0 0.0 0.0", "bob d0 1 .5 .75 .6 .7 2.0", "ann d1 0 .3 .8 0.0 0.0 0.0")
    rows = [dict(zip(names, day.split(), strict=True)) for day in facts]
    sequences = [{**row, "4": "13.0", "5": "11.0", "6": ""} for row in rows]
    rows[-1] |= changes | (figures or {})
    sequences[-1] |= changes | (words or {})
    write(folder, FIGURES_FILE, FIGURES, [[row.get(name, "0") for name in FIGURES] for row in rows])
    write(folder, SEQUENCES_FILE, SEQUENCES, [[row.get(name, "0") for name in SEQUENCES] for row in sequences])
    return folder


def test_days_are_read_with_their_figures_words_people_and_labels(tmp_path):
    data = read_user_days(write_days(tmp_path))
    assert data.days[1].figures == (0.5, 0.75, 0.6, 0.7, 2.0)
    assert {day.words for day in data.days} == {("13", "11")}
    assert data.people.tolist() == ["ann", "bob", "ann"]
    assert data.is_abuse.tolist() == [False, True, False]


def test_hours_become_words_and_a_device_that_was_not_there_none(tmp_path):
    data = read_user_days(write_days(tmp_path))
    assert data.timed_words[0] == ("13", "11", "begins 6", "ends 12")
    assert data.timed_words[1] == ("13", "11", "begins 12", "ends 18", "device from 14", "device to 16")


def test_further_figures_leave_everything_else(tmp_path):
    data = read_user_days(write_days(tmp_path))
    more = data.with_figures([(1.0,), (2.0,), (3.0,)])
    assert [day.figures[-1] for day in more.days] == [1.0, 2.0, 3.0]
    assert more.timed_words == data.timed_words
    assert len(data.days[0].figures) == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"figures": {"f2": "late"}}, r"line 4: f2 is 'late', no finite number"),
        ({"figures": {"f2": "nan"}}, r"line 4: f2 is 'nan', no finite number"),
        ({"figures": {"f5": "inf"}}, r"line 4: f5 is 'inf', no finite number"),
        ({"words": {"5": "11.5"}}, r"line 4: 5 is '11.5', no whole number"),
        ({"words": {"5": "logon"}}, r"line 4: 5 is 'logon', no finite number"),
        ({"label": "2"}, r"line 4: label is '2', not 0 or 1"),
        ({"words": {"user_index": "eve"}}, r"line 4: is not the day of that line in"),
    ],
)
def test_a_field_that_is_none_is_named(tmp_path, change, message):
    with pytest.raises(BadInput, match=message):
        read_user_days(write_days(tmp_path, **change))


def test_a_missing_file_column_or_row_is_named(tmp_path):
    with pytest.raises(BadInput, match="missing"):
        read_user_days(tmp_path)
    write_days(tmp_path)
    write(tmp_path, SEQUENCES_FILE, SEQUENCES, [["0", "ann", "d0", "0", "", "", ""]])
    with pytest.raises(BadInput, match="not as many rows"):
        read_user_days(tmp_path)
    write(tmp_path, SEQUENCES_FILE, SEQUENCES[1:2], [["ann"]] * 3)
    with pytest.raises(BadInput, match="no column 'date'"):
        read_user_days(tmp_path)


def test_surprise_of_a_day_follows_from_what_came_before_it_alone(tmp_path):
    data = read_user_days(write_days(tmp_path))
    study = BehaviourStudy()
    surprise = study._surprise(data, is_own=False)
    assert surprise.shape == (3, 3)
    assert surprise[0].tolist() == [0.0, 0.0, 0.0]
    changed = read_user_days(write_days(tmp_path, words={"5": "99"}))
    assert study._surprise(changed, is_own=False)[:2].tolist() == surprise[:2].tolist()
    assert study._surprise(changed, is_own=False)[2, 0] > surprise[2, 0]
    assert _count_earlier(data).tolist() == [0.0, 0.0, 1.0]


@needs_data
def test_insiders_days_are_told_from_ordinary_ones_of_other_people_inside_the_training_rows():
    """Only rows that the study learns from: the first 1,336, folds of different people, with a small forest."""
    whole = read_user_days(Path(os.environ["CHAINSEC_DATA"]))
    study = BehaviourStudy()
    n_rows = len(whole.days) - study.test_rows
    data = type(whole)(whole.days[:n_rows], whole.people[:n_rows], whole.is_abuse[:n_rows])
    surprise = study._surprise(data, is_own=False)
    assert auc(data.is_abuse, surprise[:, 0]) > 0.85
    scores = study._cross_validate(data.with_figures([tuple(row) for row in surprise.tolist()]), 0, lambda *_: None)
    assert auc(data.is_abuse, scores) > 0.92
    assert f1(data.is_abuse, scores) > 0.87


def test_pace_and_conduct_find_more_attacks_at_few_more_false_alarms():
    old, new = (watch_hospitals([5, 6], without=without) for without in (("burst", "odd_conduct"), ()))
    assert len(old.campaigns) == len(new.campaigns) > 40
    assert new.found_rate > old.found_rate
    assert new.found_by_attack()["stolen_credentials"] > old.found_by_attack()["stolen_credentials"]
    assert 0.0 < new.false_alarm_rate - old.false_alarm_rate < 0.1


def test_figures_of_a_watch_follow_from_its_campaigns():
    needed = (("theft", 1), ("theft", None), ("drift", 3), ("drift", 3))
    campaigns = tuple(Campaign(f"p{number}", *found) for number, found in enumerate(needed))
    watch = Watch(campaigns, 6, 12.0)
    assert (watch.found_rate, watch.false_alarm_rate) == (0.75, 0.5)
    assert watch.found_by_attack() == {"drift": 1.0, "theft": 0.5}
    line = watch.delay_line("all")
    assert line.ys[:4] == (0.25, 0.25, 0.75, 0.75)
    assert line.xs[0] == 1.0
    assert line.ys[-1] == watch.found_rate
    assert not any(map(math.isnan, line.ys))


def test_the_same_hospitals_give_the_same_watch():
    assert watch_hospitals([4]) == watch_hospitals([4])
