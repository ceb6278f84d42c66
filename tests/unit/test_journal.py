"""Journals survive kills, compare what stands already, and never lose or half-write a record."""

import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chainsec.digest import digest_json
from chainsec.errors import RunMismatch
from chainsec.journal import Journal, write_atomically

RECORDS = [{"n": number, "text": "é" * number} for number in range(5)]


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def reopen(path, records=()):
    journal = Journal(path)
    journal.append(records)
    return journal


def test_a_record_is_one_canonical_line_and_its_hash_is_that_of_the_line(tmp_path):
    journal = Journal(tmp_path / "a.jsonl")
    digests = journal.append(RECORDS)
    assert digests == [digest_json(record) for record in RECORDS]
    assert (tmp_path / "a.jsonl").read_bytes() == b"".join(line + b"\n" for line in journal)
    assert len(journal) == 5


def test_the_same_records_after_reopening_change_no_byte(tmp_path):
    path = tmp_path / "a.jsonl"
    reopen(path, RECORDS).close()
    before = path.read_bytes(), path.stat().st_mtime_ns
    journal = reopen(path, RECORDS)
    journal.require_consumed()
    journal.close()
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_a_run_that_goes_on_adds_only_what_is_new(tmp_path):
    path = tmp_path / "a.jsonl"
    reopen(path, RECORDS[:2]).close()
    old = path.read_bytes()
    journal = Journal(path)
    assert len(journal) == 0
    assert list(journal) == []
    assert journal.append(RECORDS[:3]) == [digest_json(record) for record in RECORDS[:3]]
    assert path.read_bytes().startswith(old)
    assert len(journal) == 3


def test_another_record_where_one_stands_is_refused_by_line_and_nothing_is_written(tmp_path):
    path = tmp_path / "a.jsonl"
    reopen(path, RECORDS[:3]).close()
    before = path.read_bytes()
    journal = Journal(path)
    with pytest.raises(RunMismatch, match="line 2 is not the record") as caught:
        journal.append([RECORDS[0], {"n": "other"}, RECORDS[2], RECORDS[3]])
    assert (caught.value.path, caught.value.line) == (str(path), 2)
    assert path.read_bytes() == before
    assert len(journal) == 0


def test_records_beyond_the_end_of_a_run_are_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    reopen(path, RECORDS).close()
    journal = reopen(path, RECORDS[:4])
    with pytest.raises(RunMismatch, match="line 5 is beyond the end") as caught:
        journal.require_consumed()
    assert caught.value.line == 5
    journal.append(RECORDS[4:])
    journal.require_consumed()


def test_a_record_that_is_no_json_leaves_the_whole_batch_unwritten(tmp_path):
    journal = reopen(tmp_path / "a.jsonl", RECORDS[:1])
    with pytest.raises(ValueError, match="not JSON"):
        journal.append([RECORDS[1], {"n": b"bytes"}])
    assert len(journal) == 1
    assert (tmp_path / "a.jsonl").read_bytes().count(b"\n") == 1


def test_a_disk_that_fills_up_in_the_middle_of_a_batch_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "a.jsonl"
    journal = reopen(path, RECORDS[:2])
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 5, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            journal.append(RECORDS[2:])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before
    assert len(journal) == 2
    journal.append(RECORDS[2:])
    assert Journal(path).lines == [*journal]


def test_a_closed_journal_takes_nothing_more_but_can_still_be_read(tmp_path):
    journal = reopen(tmp_path / "a.jsonl", RECORDS[:1])
    journal.close()
    journal.close()
    with pytest.raises(ValueError, match="closed"):
        journal.append(RECORDS[1:])
    assert len(list(journal)) == 1


def test_a_journal_in_memory_hashes_like_one_on_disk_and_makes_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    journal = Journal(None)
    assert journal.append(RECORDS) == Journal(tmp_path / "a.jsonl").append(RECORDS)
    journal.close()
    assert names(tmp_path) == ["a.jsonl"]


def test_a_folder_in_place_of_the_file_is_refused_without_leaking_it(tmp_path):
    before = len([*Path("/proc/self/fd").iterdir()])
    with pytest.raises(IsADirectoryError):
        Journal(tmp_path)
    assert len([*Path("/proc/self/fd").iterdir()]) == before


def test_what_was_appended_before_a_kill_stands_after_it(tmp_path):
    path = tmp_path / "a.jsonl"
    script = (
        "import os, signal, sys, pathlib; from chainsec.journal import Journal\n"
        "j = Journal(pathlib.Path(sys.argv[1])); j.append([{'n': 1}, {'n': 2}]); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    journal = reopen(path, [{"n": 1}, {"n": 2}, {"n": 3}])
    assert path.read_bytes() == b'{"n":1}\n{"n":2}\n{"n":3}\n'
    journal.require_consumed()


def test_a_file_is_replaced_whole_and_no_draft_is_left(tmp_path):
    path = tmp_path / "seal.json"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert names(tmp_path) == ["seal.json"]


def test_a_replacement_that_fails_leaves_the_old_file_and_no_draft(tmp_path):
    path = tmp_path / "taken"
    path.mkdir()
    (path / "kept").write_bytes(b"old")
    with pytest.raises(IsADirectoryError):
        write_atomically(path, b"new")
    assert names(tmp_path) == ["taken"]
    assert (path / "kept").read_bytes() == b"old"
