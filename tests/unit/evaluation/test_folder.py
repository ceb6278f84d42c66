"""Reading public data: what is missing or wrong is told in one line."""

import gzip

import pytest

from chainsec.errors import BadInput
from chainsec.evaluation.folder import find_file, read_columns, read_text

TABLE = ' a , b\n1,x\n2,"y,\nz"\n'


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        packed = content if isinstance(content, bytes) else content.encode()
        path.write_bytes(gzip.compress(packed) if name.endswith(".gz") else packed)
        return path

    return write


def one_line(refused):
    return "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"set/rows\.csv: this file of the data is missing") as refused:
        find_file(tmp_path, "set/rows.csv")
    assert one_line(refused)
    with pytest.raises(BadInput, match="missing"):
        find_file(tmp_path.parent, tmp_path.name)


def test_a_file_that_is_there_is_found(write, tmp_path):
    path = write("rows.csv", TABLE)
    assert find_file(tmp_path, "rows.csv") == path


@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz"])
def test_packed_and_plain_files_read_alike(write, name):
    assert read_text(write(name, "\ufeffé\n")) == "é\n"


@pytest.mark.parametrize(
    "content",
    [b"no gzip", gzip.compress(b"x" * 999, mtime=0)[:-9], gzip.compress(b"x", mtime=0)[:-1] + b"!"],
    ids=["no gzip", "cut short", "another checksum"],
)
def test_a_damaged_archive_is_refused(tmp_path, content):
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"rows\.csv\.gz: cannot be read") as refused:
        read_text(path)
    assert one_line(refused)


def test_what_is_no_utf_8_is_refused(write):
    with pytest.raises(BadInput, match="cannot be read"):
        read_text(write("rows.csv", b"\xff\xfe\xfa"))


def test_columns_are_read_by_name_in_the_order_asked(write):
    path = write("rows.csv", "a , b,c\n1,x,3\n2,y,4\n")
    assert read_columns(path) == {"a": ["1", "2"], "b": ["x", "y"], "c": ["3", "4"]}
    assert list(read_columns(path, ["c", "a"]).items()) == [("c", ["3", "4"]), ("a", ["1", "2"])]


def test_a_missing_column_is_named(write):
    with pytest.raises(BadInput, match=r"rows\.csv: has no column 'z'"):
        read_columns(write("rows.csv", "a,b\n1,2\n"), ["a", "z"])


def test_an_empty_file_is_refused(write):
    with pytest.raises(BadInput, match="is empty"):
        read_columns(write("rows.csv", ""))


@pytest.mark.parametrize(("text", "found"), [("a,b\n1,2\n1\n", 1), ("a,b\n1,2\n1,2,3\n", 3), ("a,b\n1,2\n\n1,2\n", 0)])
def test_a_row_of_another_length_is_refused_by_its_line(write, text, found):
    with pytest.raises(BadInput, match=f"line 3: {found} values, not 2") as refused:
        read_columns(write("rows.csv", text))
    assert refused.value.line == 3
