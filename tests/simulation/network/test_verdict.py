"""What is called agreed, stalled or forked: networks that stand still in different ways, and some that do not."""

import pytest

from chainsec.network import justification
from chainsec.network.committee import select_proposer
from chainsec.network.measure import measure_variant
from chainsec.network.presence import Presence
from chainsec.network.run import play_scenario
from chainsec.network.surroundings import QbftSettings
from chainsec.network.verdict import judge, list_waits, longest_stall_us

SLOW = {"block_period_s": 1, "request_timeout_s": 8}


@pytest.mark.parametrize(
    ("qbft", "failing", "expected_s"),
    [
        (QbftSettings(1, 4), 1, 1 + 4 * 4 + 2),
        (QbftSettings(2, 3), 2, 2 + 3 * 8 + 2),
        (QbftSettings(1, 4), 0, 1 + 4 * 2 + 2),
        (QbftSettings(1, 1, empty_block_period_s=60), 1, 60 + 4 + 2),
    ],
)
def test_a_stall_is_what_lasts_longer_than_the_timeouts_of_absent_proposers(qbft, failing, expected_s):
    assert longest_stall_us(qbft, failing) == expected_s * 1_000_000


def crash(nodes, at_s, until_s=None):
    return {"kind": "crash", "nodes": nodes, "at_s": at_s} | ({} if until_s is None else {"until_s": until_s})


def silent(*nodes):
    return [{"node": node, "role": "silent"} for node in nodes]


@pytest.mark.parametrize("changes", [{"fault": [crash([0, 1, 2, 3], 0)]}, {"byzantine": silent(1, 2)}])
@pytest.mark.parametrize("duration_s", [5, 15])
def test_a_network_that_never_made_a_block_has_stalled_however_short_it_was(small_network, play, changes, duration_s):
    found = play(small_network(duration_s=duration_s, qbft=SLOW, **changes))
    assert (found.height, found.outcome) == (0, "stalled")
    reason = "fewer than 3 of 4 validators are honest, up and connected"
    assert found.said == f"no block in {duration_s}.0 s; {reason}"


@pytest.mark.parametrize(
    "changes",
    [
        {"fault": [crash([3, 4, 5], 6)]},
        {"fault": [{"kind": "partition", "groups": [[0, 1, 2], [3, 4, 5, 6]], "at_s": 6}]},
        {"fault": [crash([0], 6)], "byzantine": silent(5, 6)},
    ],
)
def test_without_a_quorum_at_the_end_it_has_stalled_whatever_the_timeouts_are(small_network, play, changes):
    found = play(small_network(nodes=7, duration_s=16, rate_per_s=0, qbft=SLOW, **changes))
    assert found.outcome == "stalled"
    assert found.said.startswith(f"no block after {found.height}, ")
    assert found.said.endswith("fewer than 5 of 7 validators are honest, up and connected")


def test_validators_that_are_all_there_and_make_no_block_are_told_by_the_time_that_passes(small_network, play):
    unusable = {"kind": "links", "factor": 400, "at_s": 10}
    found = play(small_network(nodes=7, duration_s=34, rate_per_s=0, fault=[unusable]))
    assert found.outcome == "stalled"
    assert "validators stand in rounds" in found.said


def test_one_that_is_down_or_cut_off_at_the_end_is_a_fault_that_the_others_bear(small_network, play):
    for fault in (crash([0], 4), {"kind": "partition", "groups": [[0], [1, 2, 3]], "at_s": 4}):
        found = play(small_network(duration_s=16, rate_per_s=0, fault=[fault]))
        assert found.outcome == "agreed"
        assert found.nodes[0].height < found.height - 2


def test_one_that_is_up_and_connected_and_left_behind_is_a_stall(stage):
    found = stage(duration_s=12)
    presence = Presence(found.network)
    found.run(12)
    height = found.network.agreement.height
    agreed = f"all honest nodes that are up and connected hold the same {height} blocks"
    assert judge(found.network, presence) == ("agreed", agreed)
    found.nodes[2].chain.blocks.pop()
    coming = f"no two honest nodes differ in {height} blocks; node-2 at {height - 1} so far"
    assert judge(found.network, presence) == ("agreed", coming)
    del found.nodes[2].chain.blocks[-3:]
    outcome, said = judge(found.network, presence)
    assert outcome == "stalled"
    assert f"behind at the end: node-2 at {found.nodes[2].chain.height}" in said


@pytest.mark.parametrize(
    ("absent", "failing"), [((), 0), ((0, 1), 2), ((0,), 1), ((0, 2), 1), ((1, 2), 0), ((0, 1, 2), 2)]
)
def test_what_is_borne_follows_from_the_proposers_that_are_absent_one_after_the_other(stage, absent, failing):
    found = stage(nodes=7, rate_per_s=0)
    presence = Presence(found.network)
    found.run(4.5)
    chain = found.nodes[0].chain
    for round_ in absent:
        proposer = select_proposer(chain.validators, chain.head.coinbase, round_)
        found.network.crash(found.network.node_of(proposer))
    presence.look()
    found.run(0.1)
    assert found.network.agreement.height == chain.height
    *before, last = list_waits(found.network, presence)
    without_quorum_us = last.end_us - last.start_us if len(absent) > 2 else 0
    assert last.longest_us == without_quorum_us + longest_stall_us(found.network.plan.qbft, failing)
    assert {wait.longest_us for wait in before} == {longest_stall_us(found.network.plan.qbft, 0)}


def test_a_stall_that_is_over_counts_where_all_should_have_been_calm(small_network):
    unusable = {"kind": "links", "factor": 400, "at_s": 5, "until_s": 20}
    played = play_scenario(small_network(duration_s=60, rate_per_s=0, fault=[unusable]))
    assert measure_variant("x", played).outcome == "agreed"
    assert measure_variant("x", played, calm_from_s=55).outcome == "agreed"
    found = measure_variant("x", played, calm_from_s=10)
    assert found.outcome == "stalled"
    assert found.said.endswith("s, and the faults of that time account for 7.0 s")


def test_validators_that_never_begin_again_are_a_stall_however_many_they_are(small_network, play):
    """Without a quorum for two seconds rounds cannot have climbed far: that is no excuse for what comes after."""
    network = {"nodes": 16, "is_execution_shared": True, "has_gossip": False}
    away = crash(list(range(8, 16)), 10, 12)
    qbft = {"starts_after_sync": False}
    found = play(small_network(duration_s=50, rate_per_s=0, network=network, qbft=qbft, fault=[away]))
    assert found.outcome == "stalled"
    assert found.said.startswith(f"no block after {found.height}, ")
    cured = play(small_network(duration_s=50, rate_per_s=0, network=network, fault=[away]))
    assert (cured.outcome, cured.height > found.height + 20) == ("agreed", True)


def test_who_has_come_back_only_just_is_not_left_behind(small_network, play):
    found = play(small_network(duration_s=40, rate_per_s=0, fault=[crash([3], 5, 39.7)]))
    assert found.outcome == "agreed"
    assert found.nodes[3].is_up
    assert found.nodes[3].height < found.height - 2
    assert found.said.endswith(f"; node-3 at {found.nodes[3].height} so far")


class TestBadSeals:
    LIAR = ({"node": 1, "role": "bad-seals"},)

    def test_what_a_liar_holds_makes_neither_a_final_block_nor_a_time(self, small_network):
        played = play_scenario(small_network(byzantine=self.LIAR))
        finals = played.network.agreement.finals[1:]
        assert len(finals) >= 10
        assert all(set(final.times_us) <= {0, 2, 3} for final in finals)
        found = measure_variant("x", played)
        assert (found.outcome, found.violations) == ("agreed", ())
        assert found.agreement_s.count <= 3 * found.height

    def test_an_honest_node_that_takes_bad_seals_over_is_found_out(self, small_network, play, monkeypatch):
        monkeypatch.setattr(justification, "check_commit", lambda *_: None)
        found = play(small_network(byzantine=self.LIAR))
        assert found.outcome == "forked"
        assert "has a badly sealed block: somebody who is no validator has sealed it" in found.said
        assert all("node 1 " not in violation for violation in found.violations)
