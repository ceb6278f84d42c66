"""Reading logs: what is read is what was written, and whatever is not a log is refused in one line."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import threading
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainsec.errors import BadInput
from chainsec.scenarios import logs
from chainsec.scenarios.defects import MAX_KEPT_ROWS, Defects, RowDefect
from chainsec.scenarios.json_records import ArrayScanner
from chainsec.scenarios.logs import MAX_FIELD_CHARS, open_log

TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)
FRAGMENTS = b'\n,\r,","",a,\0,\xff,\xef\xbb\xbf,{,},[,],:, ,\\,\x1f\x8b\x08,NaN,\xc3\xa9,\xed\xa0\x80,1e999'.split(b",")
FRAGMENTS.extend([b",", b'{"a":1}', b'{"Records":[', b'"\\ud800"'])
HOSTILE = st.lists(st.sampled_from(FRAGMENTS), max_size=40).map(b"".join)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("logs") / "log"


def write(file, content):
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def read(path, *, skip_bad=False):
    defects = Defects(path, skip_bad=skip_bad)
    with open_log(path) as log:
        return list(log.rows(defects)), defects


def check_one_line(error):
    assert str(error).isprintable()
    assert error.line >= 1


def refusal(path, *, skip_bad=False):
    with pytest.raises(BadInput) as caught:
        read(path, skip_bad=skip_bad)
    assert str(caught.value).startswith(f"{path}: line {caught.value.line}: ")
    check_one_line(caught.value)
    return caught.value


def as_csv(rows, header=("user", "file")):
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows([header, *rows])
    return out.getvalue().encode()


def test_the_form_is_found_in_the_content_whatever_the_name_says(tmp_path):
    record = '{"user":"ann"}'
    for name, content, form in [
        ("a.json", "user\nann\n", "csv"),
        ("b.csv", record, "json lines"),
        ("c.txt", gzip.compress(b"user\nann\n", mtime=0), "csv"),
        ("d.csv", gzip.compress(record.encode(), mtime=0), "json lines"),
        ("e.jsonl", f'\n {{"Records" :\n [{record}]}}', "json array"),
        ("f.jsonl.gz", gzip.compress(f"[{record}]".encode(), mtime=0), "json array"),
        ("g.csv", b"\xef\xbb\xbf" + b"user\nann\n", "csv"),
        ("h.jsonl", b"\xef\xbb\xbf" + record.encode(), "json lines"),
    ]:
        path = write(tmp_path / name, content)
        with open_log(path) as log:
            assert log.form == form
        assert [row.fields for row in read(path)[0]] == [{"user": "ann"}]


@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=8), st.booleans(), st.booleans())
def test_csv_reads_back_as_it_was_written(file, rows, packed, marked):
    content = b"\xef\xbb\xbf" * marked + as_csv(rows)
    got, defects = read(write(file, gzip.compress(content) if packed else content))
    assert [(row.fields["user"], row.fields["file"]) for row in got] == rows
    assert defects.total == 0
    lines = content.decode("utf-8-sig").split("\n")
    assert all(
        lines[row.line - 1].startswith('"' + user.split("\n")[0].replace('"', '""'))
        for row, (user, _) in zip(got, rows, strict=True)
    )


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.lists(st.dictionaries(TEXT, JSON_VALUES, max_size=4), min_size=1, max_size=6)


@settings(max_examples=50)
@given(OBJECTS, st.booleans())
def test_json_lines_read_back_as_they_were_written(file, objects, ascii_only):
    content = "\n\n".join(json.dumps(one, ensure_ascii=ascii_only) for one in objects)
    got, _ = read(write(file, content))
    assert [(row.line, row.fields) for row in got] == [(2 * i + 1, one) for i, one in enumerate(objects)]


@settings(max_examples=40)
@given(st.lists(OBJECTS, min_size=1, max_size=3), st.sampled_from([None, 2]), st.integers(1, 9), st.booleans())
def test_arrays_read_back_from_pieces_of_any_size(documents, indent, size, wrapped):
    text = "\n".join(json.dumps({"Records": some} if wrapped else some, indent=indent) for some in documents)
    scanner = ArrayScanner(text[i : i + size] for i in range(0, len(text), size))
    got = list(scanner.records())
    assert [json.loads(record) for _, record in got] == [one for some in documents for one in some]
    lines = text.split("\n")
    assert all("{" in lines[line - 1] for line, _ in got)


@settings(max_examples=400)
@given(HOSTILE | st.binary(max_size=200), st.booleans(), st.booleans())
def test_hostile_bytes_raise_nothing_but_one_line_of_bad_input(file, content, packed, skip_bad):
    path = write(file, gzip.compress(content) if packed else content)
    try:
        rows, defects = read(path, skip_bad=skip_bad)
    except BadInput as error:
        check_one_line(error)
    else:
        assert rows or defects.total
        assert skip_bad or not defects.total
        assert all(reason.isprintable() for _, reason in defects.rows)
        numbers = [row.record for row in rows]
        assert numbers == sorted(set(numbers))
        assert all(1 <= number <= len(rows) + defects.total for number in numbers)


@given(st.data())
def test_a_cut_gzip_gives_the_whole_lines_before_the_cut_and_never_half_a_line(file, data):
    rows = [(f"user{i}", f"file{i * 7919}") for i in range(60)]
    packed = gzip.compress(as_csv(rows))
    cut = data.draw(st.integers(2, len(packed) - 1))
    path = write(file, packed[:cut])
    assert "gzip" in str(refusal(path))
    try:
        got, defects = read(path, skip_bad=True)
    except BadInput:
        return
    assert [tuple(row.fields.values()) for row in got] == rows[: len(got)]
    assert defects.counts == {"damaged gzip": 1}


def test_a_gzip_with_a_flipped_byte_or_a_tail_of_garbage_is_refused(tmp_path):
    packed = bytearray(gzip.compress(as_csv([("ann", "x")] * 50)))
    assert "gzip" in str(refusal(write(tmp_path / "tail.gz", bytes(packed) + b"garbage")))
    packed[-6] ^= 1
    assert "gzip" in str(refusal(write(tmp_path / "crc.gz", bytes(packed))))


def test_what_has_no_rows_is_refused_even_where_bad_rows_are_skipped(tmp_path):
    for name, content, reason in [
        ("empty.csv", b"", "empty file"),
        ("blank.csv", b"\xef\xbb\xbf \n\n", "empty file"),
        ("empty.csv.gz", gzip.compress(b"", mtime=0), "empty file"),
        ("header.csv", b"user,file\n", "a header and no row"),
        ("none.json", b'{"Records":[]}', "no record"),
        ("plain.csv.gz", b"user,file\nann,x\n", "named .gz, but the content is not gzip"),
        ("twice.csv", b"\nuser,file,user\nann,x,y\n", "field user: this column name stands twice in the header"),
        ("nul.csv", b"user,fi\0le\nann,x\n", "broken header: a NUL byte"),
    ]:
        for skip_bad in (False, True):
            assert str(refusal(write(tmp_path / name, content), skip_bad=skip_bad)).endswith(reason)
    assert "No such file" in str(refusal(tmp_path / "nowhere.csv"))
    assert "directory" in str(refusal(tmp_path))


CSV_DEFECTS = [
    (b"only-one", "wrong number of fields", ""),
    (b"a,b,c", "wrong number of fields", ""),
    (b'a,"b"c', "broken line", ""),
    (b"a,\xff\xfe", "invalid UTF-8", "file"),
    (b"a\0,b", "NUL byte", "user"),
    (b"a," + b"x" * (MAX_FIELD_CHARS + 1), "oversized", ""),
    (b"a\rb,c", "broken line", ""),
]


@pytest.mark.parametrize(("line", "kind", "field"), CSV_DEFECTS)
def test_a_broken_csv_row_is_named_by_line_and_field_and_its_neighbours_survive(tmp_path, line, kind, field):
    path = write(tmp_path / "log.csv", b'user,file\nann,"two\nlines"\n' + line + b"\nbob,y\n")
    error = refusal(path)
    assert (error.line, error.field) == (4, field)
    rows, defects = read(path, skip_bad=True)
    assert [(row.line, row.record, row.fields["user"]) for row in rows] == [(2, 1, "ann"), (5, 3, "bob")]
    assert defects.counts == {kind: 1}
    assert [number for number, _ in defects.rows] == [4]


def test_a_quote_that_never_closes_costs_one_line_and_not_the_rest_of_the_file(tmp_path):
    rest = b"".join(b"user%d,file\n" % i for i in range(20_000))
    path = write(tmp_path / "log.csv", b'user,file\nann,"x\n' + rest)
    assert refusal(path).line == 2
    rows, defects = read(path, skip_bad=True)
    assert len(rows) == 20_000
    assert defects.total == 1


JSON_DEFECTS = [
    ('{"user": ', "broken line", "not JSON"),
    ("[1]", "broken line", "a JSON object is needed"),
    ('{"user": NaN}', "broken line", "NaN is not JSON"),
    ('{"user": 1, "user": 2}', "broken line", "stands twice"),
    ('{"a":' * 100_000, "broken line", "nested too deep"),
    ('{"a":' + "9" * 5000 + "}", "broken line", "not JSON"),
    ('{"user": "\0"}', "NUL byte", "NUL"),
    (b'{"user": "\xff"}', "invalid UTF-8", "UTF-8"),
]


@pytest.mark.parametrize(("line", "kind", "reason"), JSON_DEFECTS)
def test_a_broken_json_line_is_named_and_its_neighbours_survive(tmp_path, line, kind, reason):
    raw = line if isinstance(line, bytes) else line.encode()
    path = write(tmp_path / "log.jsonl", b'{"user":"ann"}\n' + raw + b'\n{"user":"bob"}')
    error = refusal(path)
    assert error.line == 2
    assert reason in str(error)
    rows, defects = read(path, skip_bad=True)
    assert [(row.line, row.record) for row in rows] == [(1, 1), (3, 3)]
    assert defects.counts == {kind: 1}


@pytest.mark.parametrize("broken", ['{"a" 1}', "7", '{"a":1} {"a":2}'])
def test_a_broken_record_of_an_array_is_named_by_number_and_its_neighbours_survive(tmp_path, broken):
    path = write(tmp_path / "trail.json", f'{{"Records":[{{"a":0}},{broken},{{"a":3}}]}}')
    error = refusal(path)
    assert "line 1: record " in str(error)
    rows, defects = read(path, skip_bad=True)
    assert rows[0].fields == {"a": 0}
    assert rows[-1].fields == {"a": 3}
    assert defects.total == 1


def test_an_array_that_ends_too_early_keeps_its_whole_records(tmp_path):
    for tail in ("", ",", ',{"a":', "]", "] garbage", ',{"a":"'):
        rows, defects = read(write(tmp_path / "trail.json", '{"Records":[{"a":0}' + tail), skip_bad=True)
        assert [row.fields for row in rows] == [{"a": 0}]
        assert defects.total == 1


def test_an_oversized_record_or_line_is_dropped_and_the_next_one_read(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "MAX_LINE_BYTES", 1000)
    monkeypatch.setattr("chainsec.scenarios.json_records.MAX_RECORD_CHARS", 1000)
    big = json.dumps({"a": 'x\\"' * 100_000})
    for content in (f'{big}\n{{"a":1}}', f'[{big},{{"a":1}}]', f'a\n"{big}"\n1', 'a\n"' + "x\n" * 501 + '"\n1'):
        rows, defects = read(write(tmp_path / "log", content), skip_bad=True)
        assert str(rows[-1].fields["a"]) == "1"
        assert defects.counts["oversized"] == 1


def test_a_large_log_is_read_row_by_row_and_never_held(tmp_path):
    record = json.dumps({"user": "x" * 200}).encode()
    contents = {
        "lines.gz": gzip.compress(b"\n".join([record] * 10_000), 1, mtime=0),
        "array.gz": gzip.compress(b'{"Records":[' + b",".join([record] * 10_000) + b"]}", 1),
        "csv.gz": gzip.compress(b"user\n" + (b"x" * 200 + b"\n") * 10_000, 1),
    }
    for name, content in contents.items():
        path = write(tmp_path / name, content)
        tracemalloc.start()
        with open_log(path) as log:
            count = sum(1 for _ in log.rows(Defects(path)))
            assert log.read_bytes == log.total_bytes
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == 10_000
        assert peak_bytes < 1_000_000


def test_a_pipe_can_be_read_and_has_no_size(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=write, args=(pipe, "user\nann\n"))
    writer.start()
    with open_log(pipe) as log:
        assert (log.total_bytes, log.read_bytes) == (None, 0)
        assert [row.fields for row in log.rows(Defects(pipe))] == [{"user": "ann"}]
    writer.join()


def test_a_log_with_millions_of_bad_rows_is_counted_in_bounded_memory():
    defects = Defects("log.csv", skip_bad=True)
    for line in range(MAX_KEPT_ROWS + 5):
        defects.add(line, RowDefect("broken line", "broken"))
    assert defects.total == MAX_KEPT_ROWS + 5
    assert len(defects.rows) == MAX_KEPT_ROWS
