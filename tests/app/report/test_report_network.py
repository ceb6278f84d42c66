"""What a report says of the network that its run was on: times, conditions, facts; nothing where there was none."""

import io
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from chainsec.app import findings, wording
from chainsec.app.report import render_report
from chainsec.app.report_network import (
    network_conditions,
    network_facts,
    network_sentence,
    network_times,
    slowest_of,
)
from chainsec.app.terminal import show_report
from chainsec.network.conditions import CONDITIONS
from chainsec.scenarios.report_network import Condition, NetworkPart, StillRead
from chainsec.scenarios.report_series import Quantiles

HOSTILE = "<script>alert(1)</script>\"'&]]>--><b>\x1b[2J\u202eevil\x00\u200b"
SHOWN = r"""<script>alert(1)</script>"'&]]>--><b>\x1b[2J\u202eevil\x00\u200b"""
TITLE = "How fast on the network"


def quantiles(p50, p95, p99):
    return Quantiles(p50=float(p50), p95=float(p95), p99=float(p99))


def condition(name, means, base, **changes):
    """Return a condition whose every figure is another: ``base`` and tenths of it."""
    parts = {
        "probes": 60,
        "lost": 0,
        "grant_s": quantiles(base, base + 0.11, base + 0.22),
        "revoke_s": quantiles(base + 0.33, base + 0.44, base + 0.55),
        "revoke_blocks": quantiles(1, 2, 3),
        "cut_off_nodes": 0,
        "has_agreed": True,
    }
    return Condition(name=name, means=means, **{**parts, **changes})


def network_part(**changes):
    parts = {
        "validators": 7,
        "links": "wan",
        "regions": ("us-east", "germany", "uk"),
        "condition": "healthy",
        "block_period_s": 2.0,
        "request_timeout_s": 4.0,
        "blocks": 4_321,
        "empty_blocks": 27,
        "rounds": {"0": 4_300, "1": 20, "3": 1},
        "violations": 0,
        "seals": 21_605,
        "messages": 987_654,
        "bytes_sent": 432_100_000,
        "grants": 1_618,
        "grant_s": quantiles(2.71, 3.14, 4.66),
        "grant_blocks": quantiles(2, 5, 8),
        "revocations": 219,
        "never_everywhere": 0,
        "revoke_first_s": quantiles(1.21, 1.73, 1.94),
        "revoke_s": quantiles(1.41, 2.23, 2.64),
        "revoke_blocks": quantiles(11, 13, 17),
        "still_read": StillRead(bytes_at_pace=quantiles(1_100, 52_000, 76_500_000), uses=3, bytes_read=144_000),
        "conditions": (
            condition("healthy", "nobody fails", 1.05),
            condition("partition", "two are cut off", 6.07, cut_off_nodes=2, lost=4, revoke_blocks=quantiles(1, 2, 19)),
        ),
    }
    return NetworkPart(**{**parts, **changes})


@pytest.fixture(scope="module")
def on_network(make_report):
    """Give what draws a report of a run on a network; ``changes`` are of its network."""
    return lambda **changes: make_report(live=200, network=network_part(**changes))


def parse(page):
    return ET.fromstring(page.removeprefix("<!DOCTYPE html>\n"))


def words(node):
    return " ".join(" ".join(node.itertext()).split())


def sections(page):
    return {words(found.find("h2")): found for found in parse(page).iter("section")}


def rows_of(table):
    return {row[0]: list(row[1:]) for row in table.rows}


def test_a_report_of_a_run_on_one_chain_says_nothing_of_a_network(report):
    assert report.network is None
    assert TITLE not in sections(render_report(report))
    assert "Time to grant" not in render_report(report)
    assert network_sentence(report) == ""
    assert [table.rows for table in (network_times(report), network_conditions(report), network_facts(report))] == [
        [],
        [],
        [],
    ]


def test_the_section_stands_on_the_page_with_its_sentence_and_its_three_tables(on_network):
    report = on_network()
    found = sections(render_report(report))[TITLE]
    assert network_sentence(report) in words(found)
    captions = [words(each) for each in found.iter("caption")]
    assert captions == ["Time to grant, time to revoke", "With something wrong", "Network"]
    for table in (network_times(report), network_conditions(report), network_facts(report)):
        assert " ".join(table.note.split()) in words(found)
        [drawn] = [each for each in found.iter("table") if words(each.find("caption")) == table.title]
        assert [[words(cell) for cell in row] for row in drawn.find("tbody")] == [list(row) for row in table.rows]


def test_the_sentence_says_how_many_where_how_long_and_what_is_taken_meanwhile(on_network):
    assert network_sentence(on_network()) == (
        "On 7 validators (wan, nobody fails) the agent cut somebody off 219 times. 99 % of 219 was final at every "
        "gateway that was connected within 2.64 s of being sent; meanwhile an attack goes on at its own pace: 1.1 kB "
        "in the median, 76.5 MB at worst."
    )
    unpaced = on_network(still_read=StillRead(bytes_at_pace=None, uses=0, bytes_read=0), revocations=1)
    assert network_sentence(unpaced) == (
        "On 7 validators (wan, nobody fails) the agent cut somebody off 1 time. The slowest of 1 was final at every "
        "gateway that was connected within 2.64 s of being sent."
    )


def test_a_run_that_cut_nobody_off_claims_no_time_to_revoke(on_network):
    quiet = on_network(
        revocations=0,
        revoke_s=None,
        revoke_first_s=None,
        revoke_blocks=None,
        still_read=StillRead(bytes_at_pace=None, uses=0, bytes_read=0),
    )
    assert network_sentence(quiet) == ""
    found = words(sections(render_report(quiet))[TITLE])
    assert "2.71 3.14 4.66" in found
    assert "time to revoke (" not in found
    assert "None" not in found
    assert [row for row in network_times(quiet).rows if "revoke" in row[0]] == []
    header = words(parse(render_report(quiet)).find("body/header"))
    assert "sent to final at every connected gateway" not in header


def test_the_time_to_revoke_is_a_tile_and_a_finding(on_network):
    report = on_network()
    header = parse(render_report(report)).find("body/header")
    tiles = {words(tile.find("dt")): [words(each) for each in tile.findall("dd")] for tile in header.iter("div")}
    assert tiles["Time to revoke"][0] == "2.64 s"
    assert "99 % of 219" in tiles["Time to revoke"][1]
    assert network_sentence(report) in findings.findings(report)
    assert "stand on chain within" not in " ".join(findings.findings(report))


def test_what_is_measured_of_few_is_called_the_slowest(on_network):
    assert [slowest_of(count) for count in (1, 99, 100, 12_345)] == [
        "The slowest of 1",
        "The slowest of 99",
        "99 % of 100",
        "99 % of 12,345",
    ]
    assert "The slowest of 99 was final" in network_sentence(on_network(revocations=99))


def test_every_time_of_the_run_is_in_its_row(on_network):
    report = on_network()
    rows = rows_of(network_times(report))
    assert rows == {
        "time to grant (1,618), s: request sent to grant final there": ["2.71", "3.14", "4.66"],
        "time to grant, blocks": ["2", "5", "8"],
        "time to revoke (219), s: sent to final at the first gateway": ["1.21", "1.73", "1.94"],
        "time to revoke, s: sent to final at every connected gateway": ["1.41", "2.23", "2.64"],
        "time to revoke, blocks": ["11", "13", "17"],
        "read meanwhile at the attack's own pace, bytes": ["1,100", "52,000", "76,500,000"],
    }
    assert network_times(report).numbers == {1, 2, 3}


@pytest.mark.parametrize("field", ["grant_s", "grant_blocks", "revoke_first_s", "revoke_s", "revoke_blocks"])
def test_a_time_that_was_not_measured_has_no_row(on_network, field):
    everything, without = network_times(on_network()), network_times(on_network(**{field: None}))
    assert len(without.rows) == len(everything.rows) - 1
    gone = [list(row) for row in everything.rows if row not in without.rows]
    assert [row[1:] for row in gone] == [list(wording.percentiles(getattr(network_part(), field)))]


def test_uses_between_detection_and_finality_are_counted_with_what_they_read(on_network):
    def note(uses, size, missed=0):
        still = StillRead(bytes_at_pace=None, uses=uses, bytes_read=size)
        return network_times(on_network(still_read=still, never_everywhere=missed)).note

    assert "3 uses of attackers fall between detection and finality, 144 kB." in note(3, 144_000)
    assert "1 use of attackers falls between detection and finality, 48 kB." in note(1, 48_000)
    assert "0 uses of attackers fall between detection and finality." in note(0, 0)
    assert "never reached" not in note(0, 0)
    assert "2 revocations never reached a gateway that was connected." in note(0, 0, missed=2)
    assert "1 revocation never reached" in note(0, 0, missed=1)


def test_each_condition_has_a_row_of_what_probes_found_under_it(on_network):
    table = network_conditions(on_network())
    assert rows_of(table) == {
        "healthy": ["1.05", "1.27", "1.38", "1.6", "3", "0"],
        "partition": ["6.07", "6.29", "6.4", "6.62", "19", "2"],
    }
    assert len(table.head) == 7
    assert table.note.startswith("Healthy: nobody fails; partition: two are cut off. Probes: 60 grants and as many ")
    assert "; 4 were not final within two minutes, and are left out." in table.note
    assert "bear no fault" not in table.note
    calm = network_conditions(on_network(conditions=(condition("healthy", "nobody fails", 1.05),)))
    assert "two minutes" not in calm.note
    assert "So few validators bear no fault: no other condition was probed." in calm.note


def test_a_condition_under_which_nothing_was_final_has_no_figures_but_is_there(on_network):
    nothing = {"grant_s": None, "revoke_s": None, "revoke_blocks": None, "lost": 120}
    report = on_network(conditions=(condition("partition", "half are cut off", 1.0, **nothing),))
    assert rows_of(network_conditions(report)) == {"partition": ["n/a"] * 5 + ["0"]}
    assert "120 were not final" in words(sections(render_report(report))[TITLE])


def test_the_sentence_names_the_condition_of_the_run_and_not_the_first_of_all(on_network):
    assert "(wan, two are cut off)" in network_sentence(on_network(condition="partition"))
    assert rows_of(network_facts(on_network(condition="partition")))["condition"] == ["two are cut off"]
    unprobed = on_network(condition="byzantine")
    assert "(wan, byzantine)" in network_sentence(unprobed)


def test_what_the_network_was_and_did_is_told_fact_by_fact(on_network):
    assert rows_of(network_facts(on_network(violations=2))) == {
        "validators": ["7"],
        "regions": ["us-east, germany, uk"],
        "links": ["wan"],
        "condition": ["nobody fails"],
        "block period, s": ["2"],
        "request timeout, s": ["4"],
        "blocks agreed on": ["4,300 in round 0, 20 in round 1, 1 in round 3"],
        "of them empty": ["27"],
        "seals that hold": ["21,605"],
        "heights with two blocks": ["2"],
        "messages": ["987,654"],
        "bytes sent": ["432 MB"],
    }


def printed(report):
    out = io.StringIO()
    show_report(report, Console(file=out, width=120, highlight=False, color_system=None))
    return [" ".join(line.split()) for line in out.getvalue().splitlines()]


def test_the_terminal_shows_the_same_times_and_conditions_of_a_run_on_a_network_only(on_network, report):
    lines = printed(on_network())
    assert any(line.endswith("2.71 3.14 4.66") for line in lines)
    assert any(line.endswith("1.41 2.23 2.64") for line in lines)
    assert "partition 6.07 6.29 6.4 6.62 19 2" in lines
    bare = printed(report)
    assert not [line for line in bare if "With something wrong" in line or "Time to grant" in line]


def test_hostile_names_of_links_regions_and_conditions_are_shown_and_do_nothing(on_network):
    both = (condition("c", HOSTILE, 1.0), condition(HOSTILE, "m", 2.0))
    report = on_network(links=HOSTILE, regions=(HOSTILE,), condition="c", conditions=both)
    page = render_report(report)
    root = parse(page)
    assert not {"script", "b"} & {node.tag for node in root.iter()}
    assert "<script" not in page
    assert not {"\x1b", "\u202e", "\x00", "\u200b"} & set(page)
    found = sections(page)[TITLE]
    cells = [words(cell) for cell in found.iter("td")] + [words(cell) for cell in found.iter("th")]
    assert cells.count(SHOWN) == 4  # regions, links, the run's condition, the name of another
    assert f"On 7 validators ({SHOWN}, {SHOWN})" in words(found)
    assert f"C: {SHOWN}; {SHOWN}: m." in words(found)
    assert SHOWN in words(root.find("body/header/ul"))


def test_no_note_of_the_conditions_that_there_are_is_cut_short(on_network):
    every = tuple(condition(name, means, 1.0, lost=1_234) for name, means in CONDITIONS.items())
    report = on_network(conditions=every)
    found = words(sections(render_report(report))[TITLE])
    assert all(f"{name}: {means}" in found.replace("Healthy:", "healthy:") for name, means in CONDITIONS.items())
    assert network_conditions(report).note.endswith("older than it trusts.")
    assert network_conditions(report).note in found
