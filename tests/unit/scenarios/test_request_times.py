"""When the requests of a log were made: seconds since the first of them, in order, or a line on why not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainsec.errors import BadInput, ConfigError
from chainsec.scenarios.request_times import read_times

HEADER = "time,requester,asset,action,outcome"
NO_CLOCK = """
requester = "who"
asset = "what"
time = "row order"
"""
OTHER_COLUMNS = """
requester = "who"
asset = "what"
time = { path = "when", format = "iso8601", zone = "UTC" }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("times")


def write(folder, *times, header=HEADER, name="log.csv"):
    rows = [f"{time},ann,scan,view,granted" for time in times]
    (folder / name).write_text("\n".join([header, *rows]) + "\n")
    return name


def clock(seconds):
    return f"2024-05-{1 + seconds // 86_400:02}T{seconds // 3_600 % 24:02}:{seconds // 60 % 60:02}:{seconds % 60:02}Z"


def test_times_count_from_the_first_request(folder):
    log = write(folder, "2024-05-01T08:00:10Z", "2024-05-01T08:00:12Z", "2024-05-01T08:00:12Z", "2024-05-02T08:00:10Z")
    assert read_times(log, None, folder) == [0.0, 2.0, 2.0, 86_400.0]


@given(st.lists(st.integers(0, 20 * 86_400), min_size=1, max_size=30))
def test_times_ascend_from_zero_one_for_each_row_whatever_the_order_of_rows(folder, seconds):
    found = read_times(write(folder, *map(clock, seconds)), None, folder)
    assert found == [float(second - min(seconds)) for second in sorted(seconds)]
    assert found[0] == 0.0
    assert all(isinstance(time_s, float) for time_s in found)


def test_what_is_asked_for_and_who_asks_makes_no_difference(folder):
    (folder / "others.csv").write_text(
        f"{HEADER}\n2024-05-01T08:00:10Z,eve,vault,delete,denied\n2024-05-01T08:00:15Z,bob,scan,view,granted\n"
    )
    assert read_times("others.csv", None, folder) == [0.0, 5.0]


def test_a_mapping_says_where_the_time_stands(folder):
    (folder / "map.toml").write_text(OTHER_COLUMNS)
    (folder / "own.csv").write_text("when,who,what\n2024-05-01T08:00:00Z,ann,scan\n2024-05-01T08:01:00Z,ann,scan\n")
    assert read_times("own.csv", str(folder / "map.toml"), folder) == [0.0, 60.0]
    with pytest.raises(BadInput):
        read_times("own.csv", None, folder)


def test_a_log_whose_rows_carry_no_times_is_refused_with_its_name_and_its_mappings(folder):
    mapping = folder / "rows.toml"
    mapping.write_text(NO_CLOCK)
    (folder / "rows.csv").write_text("who,what\nann,scan\n")
    with pytest.raises(BadInput, match=r"rows\.csv: the mapping .*rows\.toml gives rows no times"):
        read_times("rows.csv", str(mapping), folder)


def test_a_log_is_looked_for_in_the_scenarios_folder(folder, tmp_path):
    log = write(folder, "2024-05-01T08:00:10Z", name="here.csv")
    assert read_times(log, None, folder) == [0.0]
    with pytest.raises(BadInput, match=r"here\.csv"):
        read_times(log, None, tmp_path)
    assert read_times(str(folder / log), None, tmp_path) == [0.0]


def test_a_row_without_a_readable_time_stops_the_reading_with_its_line(folder):
    log = write(folder, "2024-05-01T08:00:10Z", "yesterday", "2024-05-01T08:00:12Z")
    with pytest.raises(BadInput) as caught:
        read_times(log, None, folder)
    assert (caught.value.line, caught.value.field) == (3, "time")


def test_an_unknown_mapping_is_refused(folder):
    with pytest.raises(ConfigError, match="nowhere"):
        read_times(write(folder, "2024-05-01T08:00:10Z"), "nowhere", folder)
