"""The page stands alone, says every figure, and no text of a run can act on its reader."""

import re
from dataclasses import asdict
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainsec.app import report_tables, wording
from chainsec.app.plots import nice_ticks
from chainsec.app.report import render_report
from chainsec.app.table import MOST_ROWS
from chainsec.app.wording import escape, visible_text
from chainsec.scenarios.report_schema import Measures, Organisation, Quality, Report
from chainsec.scenarios.report_series import Series

HOSTILE = "<script>alert(1)</script>\"'&]]>--><b>\x1b[2J\u202eevil\x00\u200b"
LONG = "x" * 5000


def parse(page):
    """Parse the page as XML, which forgives nothing."""
    assert page.startswith("<!DOCTYPE html>\n")
    return ET.fromstring(page.removeprefix("<!DOCTYPE html>\n"))


def said(page):
    return " ".join(" ".join(parse(page).find("body").itertext()).split())


def hostile_report(make_report):
    """Return a report that has the hostile text in every place that takes text."""
    report = make_report(live=200)
    value = report.model_dump()
    value["run"] |= {"name": HOSTILE, "engine": HOSTILE, "source": HOSTILE, "version": HOSTILE}
    value["run"]["settings"] = {HOSTILE: HOSTILE, "nested": [HOSTILE, {HOSTILE: None}]}
    value["quality"]["per_attack"] = {HOSTILE: next(iter(report.quality.per_attack.values())).model_dump()}
    value["quality"]["baselines"] |= {HOSTILE: value["quality"]["baselines"]["grant all"]}
    value["series"]["curves"] |= {HOSTILE: value["series"]["curves"]["agent"]}
    value["series"]["score_marks"] = ({"name": HOSTILE, "score": 0.5},)
    value["cost"]["gas_by_operation"] = {HOSTILE: {"items": 1, "transactions": 1, "gas_total": 1}}
    value["audit"] |= {"verified": False, "first_difference": HOSTILE}
    value["parties"] = (Organisation(**(report.parties[0].model_dump() | {"name": HOSTILE})).model_dump(),)
    alert = {"kind": HOSTILE, "requester": HOSTILE, "attack": HOSTILE, "evidence": {HOSTILE: [HOSTILE]}}
    base = {"time_s": 1, "block": 1, "response": "alert", "score": 0.5, "grants": 1}
    value["timeline"] = (base | alert,)
    return Report.model_validate(value)


def test_the_page_is_well_formed_and_its_identifiers_are_unique(report):
    root = parse(render_report(report))
    ids = [node.get("id") for node in root.iter() if node.get("id")]
    assert len(ids) == len(set(ids)) > 0


def test_the_page_asks_nothing_of_anybody(report):
    page = render_report(report)
    root = parse(page)
    tags = {node.tag for node in root.iter()}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base", "audio", "video", "image"}
    attributes = {name for node in root.iter() for name in node.keys()}  # noqa: SIM118 - an element is no mapping
    assert not attributes & {"src", "href", "srcset", "action", "style", "background"}
    assert not {name for name in attributes if name.startswith("on")}
    assert not re.search(r"https?:|//\w|url\(|@import|data:", page)
    assert "default-src 'none'" in page


def test_every_chart_has_a_title_and_a_description_for_those_who_cannot_see_it(report):
    root = parse(render_report(report))
    by_id = {node.get("id"): node for node in root.iter() if node.get("id")}
    charts = list(root.iter("svg"))
    assert len(charts) >= 8
    for chart in charts:
        title, description = (by_id[name].text for name in chart.get("aria-labelledby").split())
        assert title
        assert description


def test_no_coordinate_leaves_the_numbers(report, make_report):
    for drawn in (report, make_report(live=1), make_report(live=0), make_report(live=100_000)):
        coordinates = " ".join(
            value
            for node in parse(render_report(drawn)).iter()
            for name, value in node.items()
            if name in {"d", "x", "y", "cx", "cy", "width", "height"}
        )
        assert not re.search(r"nan|inf|e[+-]\d", coordinates)


def test_every_figure_of_the_report_is_on_the_page(report):
    text = said(render_report(report))
    for section in (report.requests, report.decisions):
        for name, value in section:
            assert not isinstance(value, int) or wording.count(value) in text, name
    for way in (report.quality, *report.quality.baselines.values()):
        for name in ("auc", "average_precision"):
            assert wording.score(getattr(way, name)) in text, name
        for name in ("denial_recall_at_1pct", "denial_recall_at_5pct", "denial_recall_at_10pct"):
            assert wording.rate(getattr(way, name)) in text, name
        for name in (
            "bad_stopped_rate",
            "bad_stopped_by_ceiling_rate",
            "bad_cut_off_rate",
            "held_at_agents_share",
            "held_at_rules_share",
            "good_denied_rate",
            "good_escalated_rate",
            "good_refused_rate",
            "good_lapsed_rate",
        ):
            assert wording.rate(getattr(way, name)) in text, name
        assert wording.data_size(way.leaked_bytes) in text
    for _, delay in report.latency:
        assert all(figure in text for figure in wording.percentiles(delay))
    for name, entry in report.cost.gas_by_operation.items():
        assert name in text
        assert wording.count(entry.gas_total) in text
    assert wording.count(report.cost.gas_total) in text
    assert wording.count(report.cost.gas_per_decision) in text
    assert wording.amount(report.throughput.decisions_per_s) in text
    assert wording.count(report.audit.blocks) in text
    assert wording.count(report.audit.receipts) in text
    assert report.run.model_digest in text
    assert report.run.settings_digest in text
    assert all(party.name in text for party in report.parties)


def test_how_the_log_was_read_is_on_the_page_note_by_note_and_bad_row_by_bad_row(report, make_report):
    text = said(render_report(report))
    assert "The manager answers" not in text
    assert all(note[1:] in text for note in report.requests.notes)
    assert all(kind in text for kind in report.requests.skipped_by_reason)
    assert all(f"line {line:,}" in text and reason in text for line, reason in report.requests.skipped_rows)
    plain = make_report(
        requests=report.requests.model_copy(update={"notes": (), "skipped_by_reason": {}, "skipped_rows": ()})
    )
    assert "Rows left out" not in said(render_report(plain))


def test_every_attack_has_a_row_with_what_became_of_it(report):
    rows = {row[0].text: [cell.text for cell in row[1:]] for row in parse(render_report(report)).iter("tr")}
    for kind, outcome in report.quality.per_attack.items():
        for name in (
            "requests",
            "denied",
            "escalated",
            "approved",
            "stopped",
            "cut_off",
            "cut_off_late",
            "leaked_records",
        ):
            assert wording.count(getattr(outcome, name)) in rows[kind], name
        assert wording.data_size(outcome.leaked_bytes) in rows[kind]


def test_the_page_says_how_to_recompute_it(report):
    assert "chainsec audit verify" in said(render_report(report))


def test_hostile_text_is_shown_and_does_nothing(make_report):
    page = render_report(hostile_report(make_report))
    text = said(page)
    assert not {"script", "b"} & {node.tag for node in parse(page).iter()}
    assert "<script>alert(1)</script>" in text
    assert not {"\x1b", "\u202e", "\x00", "\u200b"} & set(page)
    assert r"\x1b[2J\u202eevil\x00\u200b" in text


def test_a_long_name_does_not_swell_the_page(make_report):
    report = make_report(live=50)
    named = report.model_copy(update={"run": report.run.model_copy(update={"name": LONG})})
    assert LONG not in render_report(named)
    assert len(render_report(named)) < len(render_report(report)) + 2000


@given(st.integers(1, 10**12))
def test_an_axis_of_counts_has_few_whole_evenly_spaced_ticks_that_cover_it(high):
    ticks = nice_ticks(high, is_count=True)
    steps = {round(b - a) for a, b in pairwise(ticks)}
    assert ticks[0] == 0
    assert ticks[-1] >= high
    assert len(ticks) <= 6
    assert all(tick == int(tick) for tick in ticks)
    assert len(steps) == 1


@given(st.text(alphabet=st.characters()))
def test_visible_text_holds_nothing_a_reader_cannot_see(text):
    shown = visible_text(text, limit=100_000)
    shown.encode()
    assert all(char.isprintable() or char.isspace() for char in shown)
    assert not set(shown) & set("\n\r\t\x1b\u200b\u202e\u2066")


@given(st.text(alphabet=st.characters(codec="utf-8") | st.sampled_from("<>&\"'")))
def test_escaped_text_reads_back_as_what_it_shows(text):
    root = ET.fromstring(f'<p title="{escape(text, 10_000)}">{escape(text, 10_000)}</p>')
    assert root.get("title") == visible_text(text, 10_000)
    assert (root.text or "") == visible_text(text, 10_000)


def test_one_class_alone_leaves_out_what_cannot_be_measured(make_report):
    page = render_report(make_report(live=200, attack_rate=0.0))
    root = parse(page)
    assert wording.NOT_MEASURED in said(page)
    assert "None" not in said(page)
    assert not [node for node in root.iter("svg") if node.get("aria-labelledby").startswith("roc")]


@pytest.mark.parametrize("live", [0, 1])
def test_next_to_nothing_still_makes_a_page(make_report, live):
    text = said(render_report(make_report(live=live)))
    assert "None" not in text
    assert "nan" not in text.split()


def test_a_report_without_labels_series_and_baselines_makes_no_claim(report):
    nothing = dict.fromkeys(Measures.model_fields)
    quality = Quality(**(nothing | {"good_requests": 0, "bad_requests": 0, "per_attack": {}}), baselines={})
    bare = report.model_copy(update={"quality": quality, "series": Series(), "timeline": (), "parties": ()})
    text = said(render_report(bare))
    assert "no label" in text
    assert "None" not in text
    assert not re.search(r"stopped \d", text)


def test_a_hundred_thousand_requests_make_a_page_that_a_browser_opens_at_once(make_report):
    page = render_report(make_report(live=100_000))
    parse(page)
    assert len(page) < 1_000_000


def test_evidence_that_does_not_hold_is_said_at_the_top(report):
    broken = report.audit.model_copy(update={"verified": False, "first_difference": "receipt 17"})
    header = parse(render_report(report.model_copy(update={"audit": broken}))).find("body/header")
    text = " ".join(header.itertext())
    assert "receipt 17" in text
    assert "NOT" in text


def test_a_table_cut_short_says_how_much_is_left(make_report):
    report = make_report(live=30)
    alert = make_report().timeline[0]
    many = report.model_copy(update={"timeline": (alert,) * (MOST_ROWS + 7)})
    table = report_tables.alerts(many)
    assert len(table.rows) == MOST_ROWS
    assert table.note.startswith("7 more")
    assert asdict(report_tables.alerts(report))["note"] == ""
