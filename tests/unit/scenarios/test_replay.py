"""From a log and a mapping to a workload: nothing invented, nothing lost, no answer leaked."""

from __future__ import annotations

import gzip
import os
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainsec.errors import BadInput, ConfigError
from chainsec.primitives import Scope
from chainsec.scenarios.mapping import load_mapping, parse_mapping
from chainsec.scenarios.replay import build_replay

HEADER = "time,requester,asset,action,outcome"
GOOD = "2024-05-01T08:{:02}:00Z,user{},scan{},view,granted"
BAD = {
    "unreadable time": "yesterday,ann,scan,view,granted",
    "empty": "2024-05-01T08:00:00Z,,scan,view,granted",
    "unknown action": "2024-05-01T08:00:00Z,ann,scan,fly,granted",
    "unknown label": "2024-05-01T08:00:00Z,ann,scan,view,perhaps",
    "wrong number of fields": "2024-05-01T08:00:00Z,ann",
    "broken line": '2024-05-01T08:00:00Z,"ann"x,scan,view,granted',
}
STRICT_ACTION = parse_mapping(
    """
requester = "requester"
asset = "asset"
time = "time"
action = { path = "action", map = { view = "read" } }
label = { path = "outcome", denied = ["denied"], granted = ["granted"] }
"""
)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("replay") / "log.csv"


def write(path, *rows, header=HEADER):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def good(count):
    return [GOOD.format(i, i % 3, i % 2) for i in range(count)]


@given(st.lists(st.sampled_from(["good", *BAD]), min_size=1, max_size=20))
def test_kept_and_skipped_rows_make_up_the_file(file, kinds):
    rows = [*good(2), *(BAD.get(kind, good(1)[0]) for kind in kinds)]
    workload = build_replay(write(file, *rows), STRICT_ACTION, skip_bad=True)
    assert len(workload.history) + len(workload.live) + workload.skipped == len(rows)
    assert workload.skipped_by_reason == Counter(kind for kind in kinds if kind != "good")
    bad_lines = [number + 4 for number, kind in enumerate(kinds) if kind != "good"]
    assert [line for line, _ in workload.skipped_rows] == bad_lines
    assert {attempt.row for attempt in workload.history + workload.live} == set(range(2, len(rows) + 2)) - set(
        bad_lines
    )


@pytest.mark.parametrize("kind", BAD)
def test_the_first_bad_row_stops_the_replay_with_file_line_and_field(file, kind):
    path = write(file, *good(3), BAD[kind], *good(3))
    with pytest.raises(BadInput) as caught:
        build_replay(path, STRICT_ACTION)
    fields = {"unreadable time": "time", "empty": "requester", "unknown action": "action", "unknown label": "outcome"}
    assert (caught.value.path, caught.value.line, caught.value.field) == (str(path), 5, fields.get(kind, ""))
    assert str(caught.value).isprintable()


def test_a_missing_column_is_never_skipped_and_the_nearest_one_is_named(file):
    path = write(file, *good(3), header="time,requestor,asset,action,outcome")
    for skip_bad in (False, True):
        with pytest.raises(BadInput, match="mapped as requester; the nearest of 5 is 'requestor'") as caught:
            build_replay(path, STRICT_ACTION, skip_bad=skip_bad)
        assert (caught.value.line, caught.value.field) == (1, "requester")


def test_a_path_that_no_json_record_has_leaves_nothing_and_is_named(file):
    file.write_text('{"who":"ann"}\n' * 3)
    mapping = parse_mapping('requester = "user.name"\nasset = "who"\ntime = "row order"')
    with pytest.raises(BadInput, match="all 3 rows are bad") as caught:
        build_replay(file, mapping, skip_bad=True)
    assert (caught.value.line, caught.value.field) == (1, "user.name")


def test_semicolons_and_windows_line_ends_are_read_where_the_mapping_says_so(file):
    file.write_bytes(b'requester;asset\r\nann;"a;b"\r\nbob;c\r\n')
    mapping = parse_mapping('requester = "requester"\nasset = "asset"\ntime = "row order"\ndelimiter = ";"')
    workload = build_replay(file, mapping)
    assert [attempt.asset for attempt in workload.history + workload.live] == ["a;b", "c"]
    with pytest.raises(BadInput, match="no such column, mapped as requester; the nearest of 1 is 'requester;asset'"):
        build_replay(file, mapping.model_copy(update={"delimiter": ","}))


def test_optional_columns_may_be_missing(file):
    path = write(file, "2024-05-01,ann,scan", "2024-05-02,bob,scan", header="time,requester,asset")
    workload = build_replay(path, "generic_csv")
    (attempt,) = workload.live
    assert (attempt.action, attempt.purpose, attempt.denied, attempt.label_at_s) == ("read", "service", None, None)
    assert (attempt.attributes, attempt.text) == ({}, "")


TIMES = st.lists(st.integers(0, 5), min_size=2, max_size=30)


@given(TIMES, st.floats(0.01, 0.99))
def test_history_is_the_earliest_share_and_equal_times_keep_the_order_of_the_file(file, times, history):
    write(file, *(f"{at},user,scan" for at in times), header="time,requester,asset")
    mapping = parse_mapping('requester = "requester"\nasset = "asset"\ntime = { path = "time", format = "epoch_s" }')
    expected = int(len(times) * history)
    if expected in (0, len(times)):
        with pytest.raises(ConfigError, match="empty"):
            build_replay(file, mapping, history=history)
        return
    workload = build_replay(file, mapping, history=history)
    assert len(workload.history) == expected
    every = [(attempt.time_s, attempt.row) for attempt in workload.history + workload.live]
    assert every == sorted((at, row) for row, at in enumerate(times, start=2))
    late = sum(at < max(times[: i + 1]) for i, at in enumerate(times))
    assert workload.out_of_order == late
    assert any(note.startswith(f"{late} rows stood after") for note in workload.notes) == bool(late)


@pytest.mark.parametrize("history", [0, 1, -0.5, 2, float("nan"), float("inf")])
def test_a_share_outside_zero_and_one_is_refused_before_the_log_is_opened(history):
    with pytest.raises(ConfigError, match="history must lie between 0 and 1"):
        build_replay("/nowhere.csv", "generic_csv", history=history)


def test_one_row_cannot_be_split(file):
    with pytest.raises(ConfigError, match="leaves the history empty"):
        build_replay(write(file, *good(1)), STRICT_ACTION)


def test_a_limit_takes_the_first_good_rows_and_reads_no_further(file):
    path = write(file, BAD["empty"], *good(6), BAD["empty"])
    workload = build_replay(path, STRICT_ACTION, limit=4, skip_bad=True)
    assert [attempt.row for attempt in workload.history + workload.live] == [3, 4, 5, 6]
    assert workload.skipped == 1
    with pytest.raises(ConfigError, match="limit must be at least 2"):
        build_replay(path, STRICT_ACTION, limit=1)


def test_the_operator_consents_to_what_the_log_shows_and_to_nothing_else(file):
    rows = [
        "1,ann,x,read,research,A,1",
        "2,bob,x,write,research,A,3",
        "3,eve,x,read,billing,B,0",
        "4,eve,y,export,billing,A,0",
    ]
    write(file, *rows, header="t,who,what,do,why,org,level")
    mapping = parse_mapping(
        'requester = "who"\nasset = "what"\ntime = {path = "t", format = "epoch_s"}\naction = "do"\npurpose = "why"\n'
        'organisation = "org"\nsensitivity = { path = "level" }\nduration_s = 60'
    )
    workload = build_replay(file, mapping)
    terms = {(c.record, c.grantee, c.purpose): Scope(c.scope) for c in workload.consents}
    assert terms == {
        ("x", "A", "research"): Scope.READ | Scope.WRITE,
        ("x", "B", "billing"): Scope.READ,
        ("y", "B", "billing"): Scope.READ | Scope.EXPORT,
    }
    assert all(c.until_s > 4 + 60 for c in workload.consents)
    assert workload.organisations == ("operator", "A", "B")
    assert {(m.name, m.organisation) for m in workload.members} == {("ann", "A"), ("bob", "A"), ("eve", "B")}
    assert {(r.name, r.owner, r.sensitivity) for r in workload.records} == {("x", "operator", 3), ("y", "operator", 0)}
    assert "1 requesters appear in more than one organisation; the first one holds" in workload.notes


def test_labels_become_known_right_after_their_attempt_and_never_before(file):
    workload = build_replay(write(file, *good(9), GOOD.replace("granted", "denied").format(30, 1, 1)), STRICT_ACTION)
    assert all(attempt.label_at_s == attempt.time_s + 1 for attempt in workload.history + workload.live)
    assert [attempt.denied for attempt in workload.live] == [False] * 4 + [True]


def test_the_same_log_gives_the_same_workload(file):
    path = write(file, *good(9))
    assert build_replay(path, STRICT_ACTION) == build_replay(path, STRICT_ACTION)


def test_progress_ends_at_the_size_of_the_file(file):
    seen = []
    build_replay(
        write(file, *good(50) * 100), STRICT_ACTION, on_progress=lambda done, total: seen.append((done, total))
    )
    size = file.stat().st_size
    assert len(seen) == 3
    assert seen == sorted(seen)
    assert seen[-1] == (size, size)


def check_one_line(error):
    assert str(error).isprintable()


@settings(max_examples=150)
@given(st.binary(max_size=120), st.booleans(), st.booleans())
def test_hostile_rows_raise_nothing_but_bad_input(file, noise, packed, skip_bad):
    content = "\n".join([HEADER, *good(3)]).encode() + b"\n" + noise
    file.write_bytes(gzip.compress(content) if packed else content)
    before = file.read_bytes()
    try:
        workload = build_replay(file, "generic_csv", skip_bad=skip_bad)
    except BadInput as error:
        check_one_line(error)
    else:
        assert len(workload.history + workload.live) >= 3
    assert file.read_bytes() == before


def test_a_log_without_times_counts_its_rows_and_says_what_stands_in(file):
    header = ",".join(["ACTION", "RESOURCE", "MGR_ID", *load_mapping("amazon_access").attributes, "ROLE_CODE"])
    rows = ["1,10,7,1,2,3,4,5,6,99", "0,11,8,1,2,3,4,5,6,99", ",12,8,1,2,3,4,5,6,99", "0,11,8,1,2,3,4,5,6,99"]
    workload = build_replay(write(file, *rows, header=header), "amazon_access", skip_bad=True, history=0.4)
    assert not workload.has_clock
    assert [(a.time_s, a.row, a.requester, a.denied) for a in workload.history + workload.live] == [
        (1, 2, "7", False),
        (2, 3, "8", True),
        (4, 5, "8", True),
    ]
    assert "ROLE_CODE" not in workload.live[0].attributes
    assert len(workload.live[0].attributes) == 6
    assert any("MGR_ID" in note for note in workload.notes)
    assert any("order of its rows" in note for note in workload.notes)
    assert "1 bad rows were skipped: 1 empty" in workload.notes


@pytest.mark.skipif("CHAINSEC_DATA" not in os.environ, reason="CHAINSEC_DATA names no folder of data sets")
def test_the_amazon_log_is_read_whole_and_fast():
    path = Path(os.environ["CHAINSEC_DATA"]) / "amazon_access" / "dev.csv.gz"
    started_s = time.process_time()
    workload = build_replay(path, "amazon_access")
    assert time.process_time() - started_s < 2
    assert (len(workload.history), len(workload.live), workload.skipped) == (13_108, 13_108, 0)
    attempts = workload.history + workload.live
    assert [attempt.row for attempt in attempts] == list(range(2, 26_218))
    assert sum(bool(attempt.denied) for attempt in attempts) == 1_509
