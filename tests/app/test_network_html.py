"""The page of a network's scenario: every variant is on it, every mark is a figure, and no text of a run can act."""

import re
from itertools import accumulate, pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainsec.app import wording
from chainsec.app.markup import page as make_page
from chainsec.app.markup import prose, section, table
from chainsec.app.network_charts import finality_chart, merge_spans, message_matrix, round_timeline
from chainsec.app.network_html import render_network_report
from chainsec.app.report_charts import Figure
from chainsec.app.table import Table
from chainsec.network.measure import measure_variant, write_report
from chainsec.network.report_schema import FinalBlock, Incident, RoundSpan
from chainsec.network.run import play_scenario
from chainsec.network.scenario import NetworkScenario

HOSTILE = "<script>alert(1)</script>\"'&]]>--><b>\x1b[2J\u202eevil\x00\u200b"
SHOWN = r"""<script>alert(1)</script>"'&]]>--><b>\x1b[2J\u202eevil\x00\u200b"""
LONG = "x" * 5_000
FULL_MARK = "0.80"
"""How dark the path with the most messages is."""
SCENARIO = {
    "name": "small quarrel",
    "about": "Four validators, and what two that stop do to them.",
    "seed": 11,
    "duration_s": 14,
    "network": {"nodes": 5, "validators": 4, "regions": ["us-east", "germany", "uk"]},
    "qbft": {"block_period_s": 1, "request_timeout_s": 1},
    "load": {"kind": "fixed", "rate_per_s": 2, "senders": 2},
    "variant": [
        {
            "name": "two stop",
            "warns_of": "stall",
            "change": {"duration_s": 20, "fault": [{"kind": "crash", "at_s": 4, "nodes": [2, 3]}]},
        },
    ],
}


@pytest.fixture(scope="module")
def network_report():
    """Give the report of a scenario that was played as it stands, and with two of four validators down."""
    scenario = NetworkScenario.model_validate(SCENARIO)
    measured = [measure_variant(name, play_scenario(variant)) for name, variant in scenario.variants()]
    return write_report(scenario, measured, replay="chainsec network run small.toml --seed 11", version="0.1.0")


@pytest.fixture(scope="module")
def agreed(network_report):
    return network_report.variants[0]


@pytest.fixture(scope="module")
def stalled(network_report):
    return network_report.variants[1]


def changed(report, **parts):
    """Return a report whose first variant has other parts."""
    first, *others = report.variants
    return report.model_copy(update={"variants": (first.model_copy(update=parts), *others)})


def parse(page):
    """Parse the page as XML, which forgives nothing."""
    assert page.startswith("<!DOCTYPE html>\n")
    return ET.fromstring(page.removeprefix("<!DOCTYPE html>\n"))


def words(node):
    return " ".join(" ".join(node.itertext()).split())


def shown_tables(root):
    """Return the page's tables by their captions, in order: rows of texts, the head first."""
    return [
        (words(found.find("caption")), [[words(cell) for cell in row] for row in found.iter("tr")])
        for found in root.iter("table")
    ]


def chart(root, name):
    [found] = [svg for svg in root.iter("svg") if svg.get("aria-labelledby").startswith(f"{name}-t ")]
    return found


def marks(svg, kind):
    """Return the rectangles of a chart that carry a tooltip, by their class."""
    return [(rect, rect.find("title").text) for rect in svg.iter("rect") if re.fullmatch(kind, rect.get("class", "")) and rect.find("title") is not None]  # fmt: skip # noqa: E501


def test_every_variant_has_a_tile_a_finding_a_column_and_a_section_with_its_outcome(network_report):
    root = parse(render_network_report(network_report))
    header = root.find("body/header")
    tiles = [(words(tile.find("dt")), words(tile.find("dd")), tile.find("dd").get("class")) for tile in header.iter("div")]  # fmt: skip # noqa: E501
    assert tiles == [("as it stands", "agreed", "ok"), ("two stop", "stalled", "fail")]
    found = [words(item) for item in header.iter("li")]
    assert found == [f"{each.name}: {each.outcome}: {each.said}." for each in network_report.variants]
    assert "14 virtual seconds" in words(header)
    assert "the validators agreed on every block" in words(header.find("h1"))
    titles = [words(each.find("h2")) for each in root.find("body/main")]
    assert titles == ["Side by side", "As it stands", "Two stop"]
    for each, shown in zip(network_report.variants, root.findall("body/main/section")[1:], strict=True):
        assert each.said in words(shown)
        assert each.trace_digest in words(shown)
    assert network_report.variants[1].trace_digest not in words(root.findall("body/main/section")[1])


def test_the_headline_speaks_of_the_scenario_as_it_stands(network_report, stalled):
    alone = network_report.model_copy(update={"variants": (stalled,)})
    headline = words(parse(render_network_report(alone)).find("body/header/h1"))
    assert headline.endswith("the network stalled.")  # which may be no matter of time: one was left behind
    agreed = words(parse(render_network_report(network_report)).find("body/header/h1"))
    assert agreed.endswith(
        f"{wording.amount(round(network_report.variants[0].longest_gap_s, 1))} s was the longest time without a block."
    )
    forked = changed(network_report, outcome="forked")
    root = parse(render_network_report(forked))
    assert "the network forked" in words(root.find("body/header/h1"))
    assert root.find("body/header/dl/div/dd").get("class") == "fail"


def test_the_figures_of_variants_stand_side_by_side(network_report, agreed, stalled):
    caption, rows = shown_tables(parse(render_network_report(network_report)))[0]
    assert caption == network_report.name
    assert rows[0][1:] == ["as it stands", "two stop"]
    by_name = {row[0]: row[1:] for row in rows}
    assert by_name["outcome"] == ["agreed", "stalled"]
    assert by_name["blocks"] == [str(agreed.height), str(stalled.height)]
    assert by_name["blocks by round"][0] == f"{agreed.height} in 0"
    for name in ("sent", "final", "messages"):
        row = by_name["transactions sent" if name == "sent" else name]
        assert row == [wording.count(getattr(each, name)) for each in (agreed, stalled)]
    assert by_name["bytes"] == [wording.data_size(each.bytes) for each in (agreed, stalled)]
    assert by_name["longest without a block, s"] == [wording.amount(each.longest_gap_s) for each in (agreed, stalled)]


def test_every_node_has_a_row_with_what_it_did(network_report):
    found = [rows for caption, rows in shown_tables(parse(render_network_report(network_report))) if caption == "Nodes"]
    for variant, rows in zip(network_report.variants, found, strict=True):
        for node, row in zip(variant.nodes, rows[1:], strict=True):
            role = node.role if node.is_validator else "Observer"
            assert row[:4] == [node.name, node.region, role, "up" if node.is_up else "down"]
            assert row[4:] == [
                wording.count(value)
                for value in (node.height, node.proposed, node.timeouts, node.rejected, node.sent_messages)
            ]
    assert [row[3] for row in found[1][1:]] == ["up", "up", "down", "down", "up"]
    assert [row[2] for row in found[0][1:]] == ["Validator"] * 4 + ["Observer"]


def test_incidents_and_refusals_are_listed_and_what_is_left_out_is_counted(network_report, agreed, stalled):
    captions = [rows for caption, rows in shown_tables(parse(render_network_report(network_report))) if caption == "Incidents"]  # fmt: skip # noqa: E501
    [rows] = captions
    assert agreed.incidents == ()
    assert (
        [row[1:3] for row in rows[1:]]
        == [["node-2", "crash"], ["node-3", "crash"]]
        == [[f"node-{each.node}", each.event] for each in stalled.incidents]
    )
    assert [row[0] for row in rows[1:]] == ["4.000 s", "4.000 s"]
    many = tuple(Incident(time_s=n / 10, node=n % 5, event="crash", detail=f"number {n}.") for n in range(107))
    page = render_network_report(changed(network_report, incidents=many, rejected={"too late": 1_234}))
    text = words(parse(page).find("body/main"))
    assert "number 99." in text
    assert "number 100." not in text
    assert "7 more in report.json." in text
    assert ["too late", "1,234"] in dict(shown_tables(parse(page)))["refused"]


def test_settings_and_the_command_that_plays_it_again_are_on_the_page(network_report):
    root = parse(render_network_report(network_report))
    found = [dict(rows[1:]) for caption, rows in shown_tables(root) if caption == "Settings"]
    expected = [
        {key: wording.visible_text(str(value)) for key, value in each.settings.items()}
        for each in network_report.variants
    ]
    assert found == expected
    assert [settings["duration_s"] for settings in found] == ["14.0", "20.0"]
    assert words(root.find("body/footer/pre/code")) == network_report.replay


def test_events_that_were_dropped_are_said_to_be_neither_drawn_nor_listed(network_report):
    assert "later events" not in render_network_report(network_report)
    dropped = render_network_report(changed(network_report, dropped=12_345))
    assert "12,345 later events are counted, and neither drawn nor listed" in words(parse(dropped).find("body/main"))


def test_equal_reports_give_the_same_page_and_its_identifiers_are_unique(network_report):
    page = render_network_report(network_report)
    assert render_network_report(network_report.model_copy(deep=True)) == page
    ids = [node.get("id") for node in parse(page).iter() if node.get("id")]
    assert len(ids) == len(set(ids)) == 2 * 3 * len(network_report.variants)


def test_the_page_asks_nothing_of_anybody_and_runs_nothing(network_report):
    page = render_network_report(network_report)
    root = parse(page)
    tags = {node.tag for node in root.iter()}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base", "audio", "video", "image"}
    attributes = {name for node in root.iter() for name in node.keys()}  # noqa: SIM118 - an element is no mapping
    assert not attributes & {"src", "href", "srcset", "action", "style", "background"}
    assert not {name for name in attributes if name.startswith("on")}
    assert not re.search(r"https?:|//\w|url\(|@import|data:", page)
    [policy] = [node.get("content") for node in root.iter("meta") if node.get("http-equiv")]
    assert policy.startswith("default-src 'none'")


def test_hostile_text_is_shown_everywhere_and_does_nothing_anywhere(network_report, agreed):
    nodes = tuple(node.model_copy(update={"region": HOSTILE, "role": HOSTILE}) for node in agreed.nodes)
    hostile = changed(
        network_report,
        name=HOSTILE,
        said=HOSTILE,
        nodes=nodes,
        settings={HOSTILE: HOSTILE, "nested": [HOSTILE]},
        rejected={HOSTILE: 1},
        trace_digest=HOSTILE,
        incidents=(Incident(time_s=1, node=0, event="vote", detail=HOSTILE),),
    ).model_copy(update={"name": HOSTILE, "about": HOSTILE, "replay": HOSTILE})
    page = render_network_report(hostile)
    root = parse(page)
    assert {node.tag for node in root.iter()} == {node.tag for node in parse(render_network_report(network_report)).iter()}  # fmt: skip # noqa: E501
    assert not {"\x1b", "\u202e", "\x00", "\u200b"} & set(page)
    assert "<script" not in page
    tables = dict(reversed(shown_tables(root)))  # the first of each caption: the first variant's
    assert tables["Nodes"][1][1:3] == [SHOWN, SHOWN]
    assert tables["Incidents"][1][3] == SHOWN
    assert tables["refused"][1] == [SHOWN, "1"]
    assert tables["Settings"][1] == [SHOWN, SHOWN]
    assert words(root.find("body/footer/pre/code")) == SHOWN
    assert words(root.find("head/title")) == f"ChainSec network: {SHOWN}"
    header = words(root.find("body/header"))
    assert header.count(SHOWN) == 6  # brand, headline, what it is about, tile, and both texts of its finding
    for name in ("rounds", "finality", "messages"):
        assert SHOWN in chart(root, f"v0-{name}").find("title").text
    assert any(SHOWN in mark.find("title").text for mark in chart(root, "v0-rounds").iter("path") if len(mark))


@given(st.text(alphabet=st.characters(codec="utf-8") | st.sampled_from("<>&\"'"), min_size=1, max_size=60))
def test_any_text_in_a_cell_a_caption_or_a_sentence_reads_back_as_what_it_shows(text):
    shown = wording.visible_text(text)
    drawn = ET.fromstring(table(Table(text, ("name", text), [("row", text)], note=text)).replace("</div><p", "<p", 1).strip() + ("</div>"))  # fmt: skip # noqa: E501
    assert drawn.find("table/caption").text == shown
    assert [cell.text for cell in drawn.iter("th")][1] == shown
    assert drawn.find("table/tbody/tr/td").text == shown
    assert drawn.find("p").text == shown
    assert ET.fromstring(f"<p>{prose(text)}</p>").text == shown.replace(" %", "\u00a0%")


def test_a_long_name_does_not_swell_the_page(network_report):
    plain = render_network_report(network_report)
    swollen = changed(network_report, name=LONG, said=LONG).model_copy(update={"name": LONG, "about": LONG})
    page = render_network_report(swollen)
    assert LONG not in page
    assert "x" * 900 in page, "what a scenario is about may take a paragraph"
    assert len(page) < len(plain) + 8_000


def test_a_table_without_rows_is_not_there_and_one_with_figures_sets_them_right():
    assert table(Table("empty", ("a", "b"), [], note="nothing")) == ""
    drawn = ET.fromstring(table(Table("t", ("a", "b"), [("one", "1"), (" part", "2")], frozenset({1}))))
    assert [cell.get("class") for cell in drawn.iter("td")] == ["number", "number"]
    assert [(cell.get("class"), cell.text) for cell in drawn.iter("th") if cell.get("scope") == "row"] == [
        (None, "one"),
        ("part", "part"),
    ]


def test_a_section_and_a_document_hold_what_they_are_given_in_order():
    found = Table("figures", ("", ""), [("one", "1")])
    drawn = ET.fromstring(section("Title & more", "Lead.", [Figure("Chart", "<svg/>", "What it says.", found)], [found]))  # fmt: skip # noqa: E501
    assert [child.tag for child in drawn] == ["h2", "p", "div", "div"]
    assert drawn.find("h2").text == "Title & more"
    assert drawn.find("div/figure/figcaption").text == "What it says."
    assert drawn.find("div/figure/details//td").text == "1"
    bare = ET.fromstring(section("Title", "", [], []))
    assert [child.tag for child in bare] == ["h2"]
    document = parse(make_page("T", "<header/>", ["<section/>", "<section/>"], "<footer/>"))
    assert [child.tag for child in document.find("body")] == ["header", "main", "footer"]
    assert len(document.find("body/main")) == 2
    more = parse(make_page("T", "<header/>", [], "<footer/>", styles=["network.css"]))
    assert len(more.find("head/style").text) > len(document.find("head/style").text)


# Messages


def drawn_matrix(svg, nodes):
    found = [[None] * nodes for _ in range(nodes)]
    for _, tip in marks(svg, "heat"):
        sender, receiver, value = re.fullmatch(r"node-(\d+) to node-(\d+): ([\d,]+) messages", tip).groups()
        assert found[int(sender)][int(receiver)] is None
        found[int(sender)][int(receiver)] = int(value.replace(",", ""))
    return found


def test_the_cells_of_the_message_matrix_are_the_reports(network_report):
    root = parse(render_network_report(network_report))
    for number, variant in enumerate(network_report.variants):
        drawn = drawn_matrix(chart(root, f"v{number}-messages"), len(variant.nodes))
        assert drawn == [list(row) for row in variant.message_matrix]
        assert sum(map(sum, drawn)) == variant.messages > 100
        assert [sum(row) for row in drawn] == [node.sent_messages for node in variant.nodes]


def test_a_cell_stands_in_its_senders_row_and_its_receivers_column_the_darker_the_more(agreed):
    matrix = ((0, 10, 40), (20, 0, 30), (12_345, 5, 0))
    three = agreed.model_copy(update={"nodes": agreed.nodes[:3], "message_matrix": matrix})
    svg = ET.fromstring(message_matrix(three, "v0"))
    cells = marks(svg, "heat")
    places = [(float(rect.get("y")), float(rect.get("x"))) for rect, _ in cells]
    assert places == sorted(places)
    assert len(set(places)) == 9
    assert len({x for _, x in places}) == len({y for y, _ in places}) == 3
    dark = {value: rect.get("fill-opacity") for value, (rect, _) in zip([v for row in matrix for v in row], cells, strict=True)}  # fmt: skip # noqa: E501
    assert (dark[0], dark[12_345]) == ("0.00", FULL_MARK)
    shades = [float(dark[value]) for value in sorted(dark)]
    assert shades == sorted(shades)
    assert shades[1] > 0, "few messages are not none"
    written = [text.text for text in svg.iter("text") if text.get("class") == "value"]
    assert written == ["10", "40", "20", "30", "12.3k", "5"]
    assert "the most on one path are 12,345" in svg.find("desc").text


def test_a_network_that_sent_nothing_has_a_matrix_without_marks(agreed):
    silent = agreed.model_copy(update={"message_matrix": ((0,) * 5,) * 5})
    svg = ET.fromstring(message_matrix(silent, "v0"))
    assert {rect.get("fill-opacity") for rect, _ in marks(svg, "heat")} == {"0.00"}
    assert not [text for text in svg.iter("text") if text.get("class") == "value"]


# Rounds


def lanes(svg, nodes=5):
    """Return the marks of each lane: begin and end on the page, the round by its colour, the tooltip."""
    found = {}
    for rect, tip in marks(svg, r"r\d"):
        begin = float(rect.get("x"))
        found.setdefault(tip.partition(":")[0], []).append(
            (begin, begin + float(rect.get("width")), int(rect.get("class")[1:]), tip)
        )
    assert len(found) <= nodes
    return found


def test_every_node_has_a_lane_that_shows_the_highest_round_it_was_in(stalled):
    svg = ET.fromstring(round_timeline(stalled, "v1", 20.0))
    drawn = lanes(svg)
    assert list(drawn) == [node.name for node in stalled.nodes if node.name != "node-4"], "an observer is in no round"
    for number in range(4):
        rounds = [span.round for span in stalled.spans if span.node == number]
        assert max(colour for _, _, colour, _ in drawn[f"node-{number}"]) == min(max(rounds), 5)
    assert max(colour for _, _, colour, _ in drawn["node-0"]) >= 2
    assert max(colour for _, _, colour, _ in drawn["node-3"]) == 0
    names = [text.text for text in svg.iter("text")]
    assert [name for name in names if name.startswith("node-")] == [node.name for node in stalled.nodes]
    assert f"blocks by round: {stalled.height} in round 0." in svg.find("desc").text


def test_marks_of_a_lane_follow_one_another_from_the_start_of_time_to_its_end(stalled):
    drawn = lanes(ET.fromstring(round_timeline(stalled, "v1", 20.0)))
    left, right = 84, 1072 - 26
    for found in drawn.values():
        assert all(left <= begin < end <= right + 0.8 for begin, end, *_ in found)
        assert all(one[1] <= two[0] + 0.2 for one, two in pairwise(found))
    crashed, up = drawn["node-3"][-1], drawn["node-0"][-1]
    assert crashed[1] <= left + (right - left) * 4 / 20 < up[0]
    assert up[1] == pytest.approx(right, abs=0.2)


def test_a_lane_is_as_long_as_its_own_variant_lasts(network_report):
    root = parse(render_network_report(network_report))
    for number, seconds in enumerate((14, 20)):
        for name in ("rounds", "finality"):
            ticks = [text.text for text in chart(root, f"v{number}-{name}").iter("text") if text.get("text-anchor") == "middle"]  # fmt: skip # noqa: E501
            assert ticks[0] == "0 s"
            assert ticks[-1] == f"{seconds} s"


def test_what_befell_nodes_is_marked_at_its_time(stalled):
    for draw in (round_timeline, finality_chart):
        svg = ET.fromstring(draw(stalled, "v1", 20.0))
        found = [path for path in svg.iter("path") if path.get("class") == "incident"]
        assert [path.find("title").text.strip() for path in found] == ["4.0 s, node-2: crash", "4.0 s, node-3: crash"]
        assert {path.get("d").split()[0] for path in found} == {f"M{84 + 962 * 4 / 20:.1f}"}
        assert [text.text for text in svg.iter("text") if text.get("class") == "incident-label"] == ["crash"]


def test_a_round_beyond_the_last_colour_keeps_its_number_in_the_tooltip(agreed):
    spans = (RoundSpan(node=0, start_s=1, end_s=9, height=1, round=17, ends_final=False),)
    drawn = lanes(ET.fromstring(round_timeline(agreed.model_copy(update={"spans": spans}), "v0", 14.0)))
    [(_, _, colour, tip)] = drawn["node-0"]
    assert (colour, tip) == (5, "node-0: round 17, 1.0 to 9.0 s")


@st.composite
def spans_of_a_node(draw, node=0):
    """Draw spans one after the other, with gaps now and then, as one node goes through rounds."""
    time_s, found = 0.0, []
    for _ in range(draw(st.integers(1, 30))):
        time_s += draw(st.sampled_from([0.0, 0.0, 0.0, 0.05, 3.0]))
        end_s = time_s + draw(st.sampled_from([0.01, 0.4, 1.0, 7.0]))
        found.append(
            RoundSpan(node=node, start_s=time_s, end_s=end_s, height=1, round=draw(st.integers(0, 6)), ends_final=True)
        )
        time_s = end_s
    return found


@given(spans_of_a_node(), st.sampled_from([0.001, 0.1, 0.5, 2.0, 50.0]))
def test_merging_loses_no_time_and_no_higher_round(spans, pixel_s):
    merged = merge_spans(spans, 0, pixel_s)
    assert (merged[0][0], merged[-1][1]) == (spans[0].start_s, spans[-1].end_s)
    assert all(one[1] <= two[0] for one, two in pairwise(merged))
    for span in spans:
        for time_s in (span.start_s, (span.start_s + span.end_s) / 2, span.end_s):
            assert any(begin <= time_s <= end for begin, end, _ in merged)
        over = [round_ for begin, end, round_ in merged if begin < span.end_s and span.start_s < end]
        assert max(over) >= span.round
    for begin, end, round_ in merged:
        assert round_ in {s.round for s in spans if s.start_s < end + pixel_s and begin - pixel_s < s.end_s}
    assert max(each[2] for each in merged) == max(span.round for span in spans)


@given(spans_of_a_node(), st.sampled_from([0.001, 0.1, 0.5, 2.0]))
def test_nothing_is_merged_over_a_gap_that_a_reader_sees(spans, pixel_s):
    merged = merge_spans(spans, 0, pixel_s)
    for one, two in pairwise(spans):
        if two.start_s - one.end_s >= pixel_s:
            assert not [each for each in merged if each[0] <= one.start_s and two.end_s <= each[1]]


@pytest.mark.parametrize("pixel_s", [600 / 962, 3_600 / 962])
def test_a_short_span_of_a_higher_round_colours_no_more_than_a_pixel_of_what_is_beside_it(pixel_s):
    lengths = [(1.0, 0)] * 100 + [(0.3, 1)] + [(1.0, 0)] * 400
    ends = list(accumulate(length for length, _ in lengths))
    spans = [
        RoundSpan(node=0, start_s=end - length, end_s=end, height=1, round=round_, ends_final=True)
        for end, (length, round_) in zip(ends, lengths, strict=True)
    ]
    before, higher, after = merge_spans(spans, 0, pixel_s)
    assert (before[2], higher[2], after[2]) == (0, 1, 0)
    assert before[1] == higher[0] == 100.0
    assert 0.3 <= round(higher[1] - higher[0], 6) <= max(0.3, pixel_s)


def test_spans_of_one_round_become_one_mark_and_wide_ones_of_two_rounds_stay_two():
    wide = [RoundSpan(node=0, start_s=n, end_s=n + 1, height=n, round=int(n > 3), ends_final=True) for n in range(8)]
    assert merge_spans(wide, 0, 0.5) == [(0.0, 4.0, 0), (4.0, 8.0, 1)]
    narrow = [span.model_copy(update={"start_s": span.start_s / 20, "end_s": span.end_s / 20}) for span in wide]
    assert merge_spans(narrow[3:5], 0, 0.5) == [(0.15, 0.25, 1)]


@given(spans_of_a_node(0), spans_of_a_node(1))
def test_a_lane_holds_its_own_nodes_spans_only(mine, others):
    mixed = sorted([*mine, *others], key=lambda span: span.start_s)
    assert merge_spans(mixed, 0, 0.1) == merge_spans(mine, 0, 0.1)
    assert merge_spans(mixed, 2, 0.1) == []


# Finality


def test_every_block_that_has_a_column_of_its_own_is_drawn_with_its_round_and_times(agreed):
    svg = ET.fromstring(finality_chart(agreed, "v0", 14.0))
    found = marks(svg, r"r\d")
    assert len(found) == len(agreed.blocks) == agreed.height > 8
    for block, (rect, tip) in zip(agreed.blocks, found, strict=True):
        assert rect.get("class") == f"r{block.round}"
        assert tip.startswith(f"block {block.height}, round {block.round}: first node {block.first_s - block.due_s:.2f} s")  # fmt: skip # noqa: E501
        assert float(rect.get("x")) + 1.5 == pytest.approx(84 + 962 * block.first_s / 14, abs=0.51)
    middle = wording.amount(agreed.agreement_s.p50)
    assert f"median {middle} s" in svg.find("desc").text


def block(height, round_, first_s, last_s):
    times = {"due_s": first_s - 0.1, "first_s": first_s, "last_s": last_s}
    return FinalBlock(height=height, round=round_, proposer=0, transactions=0, gas_used=0, **times)


def test_of_blocks_that_share_a_column_the_highest_round_is_shown_and_the_longest_time(agreed):
    together = (block(1, 0, 100.0, 100.2), block(2, 3, 100.1, 100.5), block(3, 1, 100.2, 109.0))
    svg = ET.fromstring(finality_chart(agreed.model_copy(update={"blocks": together}), "v0", 10_000.0))
    [(rect, tip)] = marks(svg, r"r\d")
    assert rect.get("class") == "r3"
    assert tip.startswith("block 2, round 3")
    [span] = [path.get("d") for path in svg.iter("path") if path.get("class") == "span"]
    low, high = map(float, re.fullmatch(r"M\d+ ([\d.]+)V([\d.]+)", span).groups())
    assert high < low, "later is further up"
    assert float(rect.get("y")) + 3 == pytest.approx(high)
    alone = ET.fromstring(finality_chart(agreed.model_copy(update={"blocks": together[:2]}), "v0", 10_000.0))
    assert tip not in {found for _, found in marks(alone, "r0")}


def test_a_variant_without_a_block_still_has_its_charts(network_report):
    bare = changed(network_report, blocks=(), spans=(), rounds={}, height=0)
    root = parse(render_network_report(bare))
    assert "blocks by round: none." in chart(root, "v0-rounds").find("desc").text
    assert marks(chart(root, "v0-finality"), r"r\d") == []


# Size


def test_no_coordinate_leaves_the_numbers(network_report):
    empty = changed(network_report, blocks=(), spans=())
    for shown in (network_report, empty):
        coordinates = " ".join(
            value
            for node in parse(render_network_report(shown)).iter()
            for name, value in node.items()
            if name in {"d", "x", "y", "width", "height", "viewBox", "fill-opacity"}
        )
        assert coordinates
        assert not re.search(r"nan|inf|e[+-]\d", coordinates)


def test_a_long_run_of_many_nodes_makes_a_page_that_a_browser_opens_at_once(network_report, agreed):
    nodes, heights, seconds = 40, 20_000, 20_000.0
    named = tuple(agreed.nodes[0].model_copy(update={"name": f"node-{number}"}) for number in range(nodes))
    spans = tuple(
        RoundSpan(node=n % nodes, start_s=n, end_s=n + 40.0, height=n, round=n // 7 % 3, ends_final=True)
        for n in range(20_000)
    )
    blocks = tuple(block(height, height % 4, float(height), height + 0.5) for height in range(1, heights))
    incidents = tuple(Incident(time_s=n, node=0, event="crash", detail="again") for n in range(500))
    matrix = tuple(tuple(range(nodes)) for _ in range(nodes))
    long = changed(
        network_report,
        nodes=named, spans=spans, blocks=blocks, incidents=incidents, message_matrix=matrix,
        settings={**agreed.settings, "duration_s": seconds},
    )  # fmt: skip
    page = render_network_report(long)
    root = parse(page)
    assert len(page) < 4_000_000
    assert len(marks(chart(root, "v0-finality"), r"r\d")) <= 963
    assert len([path for path in chart(root, "v0-rounds").iter("path") if path.get("class") == "incident"]) == 24
    assert drawn_matrix(chart(root, "v0-messages"), nodes) == [list(row) for row in matrix]
    assert "20 more in report.json." in words(root.find("body/main"))


def test_of_many_nodes_every_second_has_its_name(agreed):
    nodes = tuple(agreed.nodes[0].model_copy(update={"name": f"node-{number}"}) for number in range(30))
    svg = ET.fromstring(round_timeline(agreed.model_copy(update={"nodes": nodes}), "v0", 12.0))
    names = [text.text for text in svg.iter("text") if (text.text or "").startswith("node-")]
    assert names == [f"node-{number}" for number in range(0, 30, 2)]
