"""Any log trains a model and is scored by one; the past grows row by row, labels only as told."""

import csv
import random
from dataclasses import replace

import pytest

from chainsec.errors import BadInput
from chainsec.scenarios.log_models import LogRows, check_on_rows, move_behind, read_rows, score_rows, train_on_rows
from chainsec.scenarios.mapping import load_mapping
from chainsec.scenarios.model_folder import RECORD, check_model_folder, load_model, read_model_files, write_model
from chainsec.scenarios.quality import area_under_roc


def write_log(path, rows=240, seed=1, *, labelled=True):
    draw = random.Random(seed)
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["time", "requester", "asset", "action", *(["outcome"] if labelled else [])])
        for i in range(rows):
            clerk = draw.random() < 0.3
            asset = f"scan-{draw.randrange(6)}"
            denied = clerk and asset != "scan-0"
            time = f"2024-05-{1 + i // 24:02d}T{i % 24:02d}:00:00Z"
            outcome = ["denied" if denied else "granted"] if labelled else []
            table.writerow([time, f"{'clerk' if clerk else 'nurse'}-{draw.randrange(3)}", asset, "read", *outcome])
    return path


@pytest.fixture(scope="module")
def mapping():
    return load_mapping("generic_csv")


@pytest.fixture(scope="module")
def rows(mapping, tmp_path_factory):
    return read_rows(write_log(tmp_path_factory.mktemp("log") / "log.csv"), mapping)


@pytest.fixture(scope="module")
def model_of_rows(rows):
    return train_on_rows(rows)


def test_training_twice_on_the_same_log_gives_the_same_digest(rows, model_of_rows):
    assert train_on_rows(rows).digest == model_of_rows.digest


def test_what_was_written_is_read_and_scores_alike(model_of_rows, mapping, tmp_path):
    write_model(tmp_path / "m", model_of_rows, {"rows": 240})
    found = load_model(read_model_files(tmp_path / "m"))
    assert found.digest == model_of_rows.digest
    new = read_rows(write_log(tmp_path / "new.csv", 40, seed=2), mapping)
    first, again = (
        score_rows(load_model(read_model_files(tmp_path / "m")), new),
        score_rows(load_model(read_model_files(tmp_path / "m")), new),
    )
    assert first == again
    assert [record for record, _ in first] == list(range(1, 41))
    assert all(0 <= score <= 1 for _, score in first)


def test_scores_tell_denied_from_granted_in_rows_never_seen(rows, mapping, model_of_rows, tmp_path):
    until_s = rows.observations[-1].time_s
    write_model(tmp_path / "m", model_of_rows, {})
    new, weeks = move_behind(read_rows(write_log(tmp_path / "new.csv", 80, seed=3), mapping), until_s)
    assert weeks == 2
    scores = dict(score_rows(load_model(read_model_files(tmp_path / "m")), new))
    assert area_under_roc([scores[record] for record in new.records], new.denied) > 0.8


def test_rows_are_scored_in_the_order_of_time_and_told_in_that_of_the_log(mapping, model_of_rows, tmp_path):
    path = write_log(tmp_path / "log.csv", 30, seed=4)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    turned = read_rows(path, mapping)
    assert turned.records[0] == 30
    write_model(tmp_path / "m", model_of_rows, {})
    scores = score_rows(load_model(read_model_files(tmp_path / "m")), turned)
    assert [record for record, _ in scores] == list(range(1, 31))


def test_labels_stay_hidden_unless_they_are_to_come_to_light(model_of_rows, mapping, tmp_path):
    write_model(tmp_path / "m", model_of_rows, {})
    files = read_model_files(tmp_path / "m")
    labelled = read_rows(write_log(tmp_path / "a.csv", 60, seed=5), mapping)
    bare = read_rows(
        write_log(tmp_path / "b.csv", 60, seed=5, labelled=False), mapping.model_copy(update={"label": None})
    )
    assert set(bare.denied) == {None}
    assert score_rows(load_model(files), labelled) == score_rows(load_model(files), bare)
    assert score_rows(load_model(files), labelled, learn_after=0) != score_rows(load_model(files), bare)


def test_a_log_without_labels_trains_a_model_too(mapping, tmp_path):
    bare = mapping.model_copy(update={"label": None})
    found = read_rows(write_log(tmp_path / "log.csv", 60, labelled=False), bare)
    assert check_on_rows(found) is None
    scores = score_rows(train_on_rows(found), found)
    assert all(0 <= score <= 1 for _, score in scores)


def test_the_check_says_how_later_rows_fared_and_trains_on_earlier_ones_alone(rows):
    check = check_on_rows(rows)
    assert (check.trained, check.tested) == (192, 48)
    assert check.auc > 0.8
    assert set(check.caught) == {0.01, 0.05, 0.10}


def test_a_torn_or_tampered_folder_is_named(model_of_rows, tmp_path):
    folder = tmp_path / "m"
    write_model(folder, model_of_rows, {})
    content = (folder / "model.json").read_bytes()
    (folder / "model.json").write_bytes(content.replace(b'"base_rate":0.', b'"base_rate":0.1', 1))
    with pytest.raises(BadInput, match=r"model\.json: is not the file that trained\.json names"):
        read_model_files(folder)
    (folder / "model.json").write_bytes(content)
    (folder / "state.json").unlink()
    with pytest.raises(BadInput, match=r"state\.json: is missing"):
        read_model_files(folder)
    (folder / RECORD).write_text("{}")
    with pytest.raises(BadInput, match=r"trained\.json: cannot be read"):
        read_model_files(folder)
    (folder / RECORD).unlink()
    assert load_model(read_model_files(folder)).digest == model_of_rows.digest
    (folder / "model.json").write_bytes(content[:-40])
    with pytest.raises(BadInput, match=r"model\.json: "):
        load_model(read_model_files(folder))
    (folder / "model.json").unlink()
    with pytest.raises(BadInput, match=r"holds no model\.json"):
        read_model_files(folder)


def test_a_folder_is_written_over_only_where_that_is_wanted(model_of_rows, tmp_path):
    check_model_folder(tmp_path / "new", replaces=False)
    write_model(tmp_path / "new", model_of_rows, {})
    with pytest.raises(BadInput, match="holds a model already"):
        check_model_folder(tmp_path / "new", replaces=False)
    check_model_folder(tmp_path / "new", replaces=True)
    (tmp_path / "new" / "thesis.txt").write_text("mine")
    with pytest.raises(BadInput, match=r"holds 'thesis\.txt'"):
        check_model_folder(tmp_path / "new", replaces=True)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BadInput, match="is no folder"):
        check_model_folder(tmp_path / "file", replaces=True)


def test_rows_from_before_the_end_of_a_models_past_move_on_by_whole_weeks(rows):
    first, last = rows.observations[0].time_s, rows.observations[-1].time_s
    moved, weeks = move_behind(rows, last)
    assert weeks == 2
    assert moved.observations[0].time_s > last
    assert {
        (b.time_s - a.time_s) % (7 * 86_400) for a, b in zip(rows.observations, moved.observations, strict=True)
    } == {0}
    assert move_behind(rows, first - 1) == (rows, 0)
    bare = LogRows(tuple(replace(row, has_clock=False) for row in rows.observations), rows.denied, rows.records)
    assert move_behind(bare, last) == (bare, 0)
