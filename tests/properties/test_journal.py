"""A journal torn at any byte, or full of anything, goes on to the same bytes or says which line is wrong."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainsec.digest import canonical_json, digest_json
from chainsec.errors import RunMismatch
from chainsec.journal import Journal

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
RECORD = st.dictionaries(TEXT, st.integers() | TEXT | st.lists(TEXT, max_size=2), max_size=3)
RECORDS = st.lists(RECORD, max_size=6)
CUTS = st.lists(st.integers(0, 6), max_size=3).map(sorted)


def write(path, records, cuts=()):
    """Append ``records``, in batches that end at ``cuts``, and return their hashes."""
    journal, digests, done = Journal(path), [], 0
    try:
        for cut in [*cuts, len(records)]:
            digests += journal.append(records[done:cut])
            done = max(done, min(cut, len(records)))
        journal.require_consumed()
        assert [*journal] == [canonical_json(record) for record in records]
    finally:
        journal.close()
    return digests


def whole(records):
    return b"".join(canonical_json(record) + b"\n" for record in records)


@settings(max_examples=4)
@given(RECORDS)
def test_a_file_torn_at_any_byte_is_completed_to_the_same_bytes(records):
    content = whole(records)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        for cut in range(len(content) + 1):
            path.write_bytes(content[:cut])
            assert write(path, records) == [digest_json(record) for record in records]
            assert path.read_bytes() == content


@settings(max_examples=50)
@given(RECORDS, st.data())
def test_a_tail_of_anything_without_an_end_of_line_is_cut_off(records, data):
    tail = data.draw(st.binary(max_size=20).filter(lambda raw: b"\n" not in raw))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        path.write_bytes(whole(records) + tail)
        write(path, records)
        assert path.read_bytes() == whole(records)


@settings(max_examples=50)
@given(RECORDS, CUTS, CUTS, st.integers(0, 6))
def test_how_records_are_batched_and_where_a_run_stopped_leaves_no_trace(records, first, second, stop):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        write(path, records[:stop], first)
        assert write(path, records, second) == [digest_json(record) for record in records]
        assert path.read_bytes() == whole(records)


@settings(max_examples=100)
@given(RECORDS, st.binary(max_size=60))
def test_hostile_content_is_the_same_run_or_is_refused_by_line_and_never_rewritten(records, content):
    lines = content.split(b"\n")[:-1]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        path.write_bytes(content)
        try:
            write(path, records)
        except RunMismatch as mismatch:
            wrong = mismatch.line - 1
            assert lines[:wrong] == [canonical_json(record) for record in records[:wrong]]
            assert wrong >= len(records) or lines[wrong] != canonical_json(records[wrong])
            assert path.read_bytes().startswith(content[: content.rfind(b"\n") + 1])
        else:
            assert path.read_bytes() == whole(records)


@settings(max_examples=100)
@given(RECORDS.filter(bool), st.data())
def test_one_byte_flipped_in_a_whole_line_is_found_in_that_line(records, data):
    content = bytearray(whole(records))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    line = bytes(whole(records)[:place]).count(b"\n") + 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        path.write_bytes(content)
        if place == len(content) - 1:  # the last end of line is gone: the line counts as torn and is written again
            write(path, records)
            assert path.read_bytes() == whole(records)
        else:
            with pytest.raises(RunMismatch) as caught:
                write(path, records)
            assert caught.value.line == line
