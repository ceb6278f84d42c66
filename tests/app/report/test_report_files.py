"""The two files of a report: both or none, the older pair unharmed, and one line for whatever cannot be read."""

from pathlib import Path

import pytest

from chainsec.app.report import JSON_NAME, PAGE_NAME, render_report, write_report
from chainsec.scenarios.report_schema import Report


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_a_written_report_reads_back_and_draws_the_same_page(tmp_path, report):
    json_path, page_path = write_report(tmp_path, report)
    assert (json_path, page_path) == (tmp_path / JSON_NAME, tmp_path / PAGE_NAME)
    again = Report.model_validate_json((tmp_path / JSON_NAME).read_bytes())
    assert again == report
    assert render_report(again) == page_path.read_text(encoding="utf-8")


def test_writing_leaves_two_files_and_touches_no_other(tmp_path, report):
    (tmp_path / "chain.sqlite").write_bytes(b"untouched")
    write_report(tmp_path, report)
    assert set(contents(tmp_path)) == {"chain.sqlite", JSON_NAME, PAGE_NAME}
    assert (tmp_path / "chain.sqlite").read_bytes() == b"untouched"


def test_equal_reports_give_equal_files(tmp_path, make_report):
    pairs = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        write_report(tmp_path / name, make_report(live=300))
        pairs.append(contents(tmp_path / name))
    assert pairs[0] == pairs[1]


def test_a_later_report_replaces_both_files(tmp_path, make_report):
    write_report(tmp_path, make_report(live=300))
    older = contents(tmp_path)
    write_report(tmp_path, make_report(live=301))
    newer = contents(tmp_path)
    assert set(newer) == set(older)
    assert all(newer[name] != older[name] for name in older)


def failing_replace(monkeypatch, failing_name):
    real = Path.replace

    def replace(self, target):
        if self.name == failing_name and self.parent != Path(target).parent:
            monkeypatch.setattr(Path, "replace", real)
            raise OSError(28, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)


@pytest.mark.parametrize("failing", [JSON_NAME, PAGE_NAME])
def test_a_failure_halfway_leaves_the_older_pair(tmp_path, make_report, monkeypatch, failing):
    write_report(tmp_path, make_report(live=300))
    older = contents(tmp_path)
    failing_replace(monkeypatch, failing)
    with pytest.raises(OSError, match="No space left"):
        write_report(tmp_path, make_report(live=301))
    assert contents(tmp_path) == older


@pytest.mark.parametrize("failing", [JSON_NAME, PAGE_NAME])
def test_a_failure_halfway_of_the_first_report_leaves_nothing(tmp_path, make_report, monkeypatch, failing):
    failing_replace(monkeypatch, failing)
    with pytest.raises(OSError, match="No space left"):
        write_report(tmp_path, make_report(live=300))
    assert contents(tmp_path) == {}


def test_what_a_killed_writer_left_does_not_stop_the_next(tmp_path, make_report):
    (tmp_path / ".report-staging").mkdir()
    (tmp_path / ".report-staging" / JSON_NAME).write_text("half a rep")
    write_report(tmp_path, make_report(live=300))
    assert set(contents(tmp_path)) == {JSON_NAME, PAGE_NAME}


def test_a_missing_directory_is_not_made(tmp_path, make_report):
    with pytest.raises(OSError, match="No such file"):
        write_report(tmp_path / "absent", make_report(live=10))
    assert contents(tmp_path) == {}
