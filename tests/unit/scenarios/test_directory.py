"""A run's directory is made whole or not at all, and what does not belong to a run is named in one line."""

import os

import pytest

from chainsec.errors import BadInput, RunMismatch
from chainsec.scenarios.directory import LOCK, RunDirectory, discard_run, find_odd_file, reading

SETTINGS = {"seed": 1}
TIMED = {"decisions": 1, "request_ms": 2.5, "decision_ms": 4.0}


def test_settings_that_are_no_json_leave_nothing_behind(tmp_path):
    name = os.fsdecode(b"l\xffg.csv")
    with pytest.raises(BadInput, match="cannot be written as JSON") as caught:
        RunDirectory(tmp_path / "run", {"name": f"replay of {name}"})
    assert str(caught.value).isascii()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("line", [b"junk", b"", b"[1]", b"\xff", b'{"a": 1}', b'{"a":1}', b"[" * 5_000])
def test_a_line_that_is_no_measurement_is_named(tmp_path, line):
    with RunDirectory(tmp_path, SETTINGS) as directory:
        directory.note_timing(TIMED)
        with (tmp_path / "timings.jsonl").open("ab") as file:
            file.write(line + b"\n")
        with pytest.raises(RunMismatch, match=r"timings\.jsonl: line 2 is no measurement"):
            directory.timings()
    with pytest.raises(RunMismatch, match=r"timings\.jsonl: line 2 is no measurement"):
        RunDirectory(tmp_path, SETTINGS)


def test_a_measurement_that_was_cut_short_is_gone_after_the_next_start(tmp_path):
    with RunDirectory(tmp_path, SETTINGS) as directory:
        directory.note_timing(TIMED)
    with (tmp_path / "timings.jsonl").open("ab") as file:
        file.write(b'{"decis')
    with RunDirectory(tmp_path, SETTINGS) as directory:
        assert directory.timings() == [TIMED]


@pytest.mark.parametrize("name", ["run.json", "uses.jsonl", "models/pipe"])
def test_what_is_neither_file_nor_folder_is_found_at_any_depth(tmp_path, name):
    (tmp_path / "models").mkdir()
    (tmp_path / "run.json").write_text("{}")
    assert find_odd_file(tmp_path) is None
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    assert find_odd_file(tmp_path) == name
    with pytest.raises(RunMismatch, match=f"{name} is no regular file"):
        discard_run(tmp_path)
    assert (tmp_path / name).exists()


def test_a_link_to_a_folder_is_not_followed(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "models").symlink_to(tmp_path)
    assert find_odd_file(tmp_path / "run") == "models"


def test_nobody_waits_at_a_lock_that_is_a_pipe(tmp_path):
    os.mkfifo(tmp_path / LOCK)
    with reading(tmp_path):
        pass
    with pytest.raises(RunMismatch, match="lock is no regular file"):
        RunDirectory(tmp_path, SETTINGS)
