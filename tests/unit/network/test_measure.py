"""Figures that a reader has to be able to trust, from networks small enough to count by hand."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainsec.app.network_html import render_network_report
from chainsec.app.network_tables import compare_variants
from chainsec.network import trace
from chainsec.network.measure import measure_variant, spread_of, write_report
from chainsec.network.report_schema import NetworkReport
from chainsec.network.run import play_scenario
from chainsec.network.scenario import NetworkScenario

SCENARIO = NetworkScenario.model_validate(
    {
        "name": "x",
        "duration_s": 12,
        "network": {"nodes": 4, "regions": ["uk", "germany"]},
        "qbft": {"request_timeout_s": 1},
        "load": {"kind": "fixed", "rate_per_s": 3, "senders": 3, "until_s": 9},
        "fault": [{"kind": "crash", "nodes": [3], "at_s": 4, "until_s": 8}],
    }
)


@pytest.fixture(scope="module")
def played():
    return play_scenario(SCENARIO)


@pytest.fixture(scope="module")
def report(played):
    return measure_variant("as it stands", played)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300))
def test_percentiles_are_values_that_enough_others_do_not_exceed(values):
    found, ordered = spread_of(values), sorted(values)
    assert found.count == len(values)
    for share, value in ((50, found.p50), (95, found.p95), (99, found.p99), (100, found.most)):
        at_most = [each for each in ordered if round(each, 6) <= value]
        below = [each for each in ordered if round(each, 6) < value]
        assert 100 * len(at_most) >= share * len(values)
        assert 100 * len(below) < share * len(values)
        assert value in {round(each, 6) for each in ordered}


def test_of_nothing_there_are_no_percentiles():
    found = spread_of([])
    assert (found.count, found.p50, found.most) == (0, None, None)


def test_every_transaction_is_accounted_for(report, played):
    assert report.sent == len(played.traffic.sent_us) == 3 * 7
    assert (report.final, report.unfinished, report.failed) == (report.sent, 0, 0)
    assert sum(block.transactions for block in report.blocks) == report.sent + 1, "and the one that made the contract"
    assert report.waiting_s.count == report.final
    span_s = (max(played.traffic.final_us.values()) - min(played.traffic.sent_us.values())) / 1e6
    assert report.per_s == pytest.approx(report.final / span_s, abs=0.001)


def test_messages_add_up_by_connection_by_kind_and_by_node(report):
    assert sum(map(sum, report.message_matrix)) == report.messages == sum(report.kinds.values())
    assert [sum(row) for row in report.message_matrix] == [node.sent_messages for node in report.nodes]
    assert sum(node.sent_bytes for node in report.nodes) == report.bytes
    assert all(report.message_matrix[place][place] == 0 for place in range(4))
    assert {"proposal", "prepare", "commit", "transactions"} <= set(report.kinds)


def test_blocks_are_counted_by_round_and_timed_from_when_they_were_due(report):
    assert len(report.blocks) == report.height == sum(report.rounds.values())
    assert [block.height for block in report.blocks] == list(range(1, report.height + 1))
    assert report.empty_blocks == sum(not block.transactions for block in report.blocks)
    for block in report.blocks:
        assert block.due_s <= block.first_s <= block.last_s
    firsts = [0, *(block.first_s for block in report.blocks), 12]
    gaps = [later - earlier for earlier, later in pairwise(firsts)]
    assert report.longest_gap_s == pytest.approx(max(gaps))
    assert report.agreement_s.most == pytest.approx(max(block.last_s - block.due_s for block in report.blocks))
    assert report.agreement_s.count + report.agreement_left_out == 4 * report.height
    assert report.agreement_left_out >= 4, "what came while a node was down"


def test_spans_of_a_node_follow_each_other_and_those_that_end_final_are_its_blocks(report):
    for node in range(4):
        spans = sorted((span for span in report.spans if span.node == node), key=lambda span: span.start_s)
        assert all(one.end_s <= two.start_s for one, two in pairwise(spans))
        assert all(span.start_s <= span.end_s for span in spans)
        final = [span.height for span in spans if span.ends_final]
        assert len(set(final)) == len(final)
        assert set(final) <= set(range(1, report.height + 1))
    assert {span.round for span in report.spans} >= {0, 1}


def test_incidents_are_what_went_wrong_and_came_right_and_not_every_round(report):
    assert [(incident.event, incident.node) for incident in report.incidents][:2] == [("crash", 3), ("restart", 3)]
    assert [incident.time_s for incident in report.incidents][:2] == [4.0, 8.0]
    assert not {"round", "imported", "committed"} & {incident.event for incident in report.incidents}


def test_settings_are_flat_and_whole(report):
    assert report.settings["qbft.request_timeout_s"] == 1
    assert report.settings["network.nodes"] == 4
    assert not any(isinstance(value, dict) for value in report.settings.values())


@pytest.mark.parametrize(
    ("found", "is_as_promised"),
    [
        ([("nothing", "agreed"), ("nothing", "agreed")], True),
        ([("nothing", "agreed"), ("nothing", "stalled")], False),
        ([("stall", "stalled"), ("nothing", "agreed")], True),
        ([("stall", "stalled"), ("nothing", "stalled")], False),
        ([("nothing", "agreed"), ("stall", "stalled")], True),
        ([("stall", "forked")], False),
        ([("fork", "forked"), ("nothing", "agreed")], True),
        ([("fork", "forked"), ("nothing", "forked")], False),
        ([("fork", "forked"), ("fork", "stalled"), ("fork", "agreed")], True),
    ],
)
def test_each_variant_may_show_what_it_warns_of_itself_and_nothing_worse(report, found, is_as_promised):
    variants = [report.model_copy(update={"warns_of": warns_of, "outcome": outcome}) for warns_of, outcome in found]
    written = write_report(SCENARIO, variants, replay="again", version="0")
    assert written.is_as_promised is is_as_promised
    assert NetworkReport.model_validate_json(written.model_dump_json()) == written


def test_a_variant_is_judged_by_its_own_warning_and_not_by_the_scenarios(played):
    warned = played.scenario.model_copy(update={"warns_of": "fork"})
    assert measure_variant("x", replace(played, scenario=warned)).warns_of == "fork"
    assert measure_variant("x", played).warns_of == "nothing"


def test_where_the_trace_is_full_nothing_is_miscounted_and_the_report_says_what_it_does_not_list(report, monkeypatch):
    monkeypatch.setattr(trace, "_MOST_EVENTS", 60)
    cut = measure_variant("x", play_scenario(SCENARIO))
    assert cut.nodes == report.nodes
    assert (cut.agreement_s, cut.rounds, cut.outcome) == (report.agreement_s, report.rounds, report.outcome)
    assert sum(node.timeouts for node in cut.nodes) > 0
    assert cut.dropped > 100
    assert report.dropped == 0
    words = "not in the trace's file"
    for variant, is_said in ((cut, True), (report, False)):
        written = write_report(SCENARIO, [variant], replay="again", version="0")
        assert any(words in row[0] for row in compare_variants(written).rows) is is_said
        assert ("later events are counted" in render_network_report(written)) is is_said
