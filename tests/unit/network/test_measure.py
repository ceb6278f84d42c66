"""Figures that a reader has to be able to trust, from networks small enough to count by hand."""

from itertools import pairwise
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainsec.network.measure import _final_blocks, _outcome, longest_stall_us, measure_variant, spread_of, write_report
from chainsec.network.report_schema import NetworkReport
from chainsec.network.run import play_scenario
from chainsec.network.scenario import NetworkScenario


@pytest.fixture(scope="module")
def played():
    return play_scenario(
        NetworkScenario.model_validate(
            {
                "name": "x",
                "duration_s": 12,
                "network": {"nodes": 4, "regions": ["uk", "germany"]},
                "qbft": {"request_timeout_s": 1},
                "load": {"kind": "fixed", "rate_per_s": 3, "senders": 3, "until_s": 9},
                "fault": [{"kind": "crash", "nodes": [3], "at_s": 4, "until_s": 8}],
            }
        )
    )


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


@pytest.mark.parametrize(
    ("nodes", "qbft", "expected_s"),
    [
        (4, {"block_period_s": 1, "request_timeout_s": 4}, 1 + 4 * 4 + 2),
        (7, {"block_period_s": 2, "request_timeout_s": 3}, 2 + 3 * 8 + 2),
        (1, {"block_period_s": 1, "request_timeout_s": 4}, 1 + 4 * 2 + 2),
        (4, {"request_timeout_s": 1, "empty_block_period_s": 60}, 60 + 4 + 2),
    ],
)
def test_a_stall_is_what_lasts_longer_than_as_many_timeouts_as_qbft_bears(nodes, qbft, expected_s):
    scenario = NetworkScenario.model_validate({"name": "x", "network": {"nodes": nodes}, "qbft": qbft})
    assert longest_stall_us(scenario) == expected_s * 1_000_000


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
    ("warns_of", "outcomes", "is_as_promised"),
    [
        ("nothing", ["agreed", "agreed"], True),
        ("nothing", ["agreed", "stalled"], False),
        ("stall", ["stalled", "agreed"], True),
        ("stall", ["forked"], False),
        ("fork", ["forked", "stalled", "agreed"], True),
    ],
)
def test_what_a_scenario_warns_of_may_happen_and_nothing_worse(report, played, warns_of, outcomes, is_as_promised):
    scenario = played.scenario.model_copy(update={"warns_of": warns_of})
    variants = [report.model_copy(update={"outcome": outcome}) for outcome in outcomes]
    found = write_report(scenario, variants, replay="again", version="0")
    assert found.is_as_promised is is_as_promised
    assert NetworkReport.model_validate_json(found.model_dump_json()) == found


def test_a_node_that_is_left_behind_is_a_stall_and_one_that_is_down_or_lies_is_not(played):
    def judge(**changes):
        network = played.network
        node = network.nodes[2]
        kept = node.chain.blocks
        node.chain.blocks = kept[:-4]
        node.is_up, roles = changes.get("is_up", True), changes.get("roles", {})
        try:
            stand_in = SimpleNamespace(
                **{name: getattr(network, name) for name in ("agreement", "nodes", "time_us")},
                plan=SimpleNamespace(roles=roles),
            )
            return _outcome(SimpleNamespace(network=stand_in, scenario=played.scenario), _final_blocks(network))
        finally:
            node.chain.blocks, node.is_up = kept, True

    outcome, said = judge()
    assert outcome == "stalled"
    assert "behind at the end: node-2 at " in said
    assert judge(is_up=False)[0] == "agreed"
    assert judge(roles={2: object})[0] == "agreed"
