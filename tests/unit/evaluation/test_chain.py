"""The study of the chain's watch, on few and short networks."""

import json
from pathlib import Path

import pytest

from chainsec.evaluation.chain import ChainStudy, poisson_interval, rate_interval
from chainsec.evaluation.chain_stage import FOLLOWER, LIAR, Stage

NOWHERE = Path("no-such-folder")


@pytest.fixture(scope="module")
def outcome():
    return ChainStudy(networks=1, healthy_s=60).run(NOWHERE, 3, lambda *_: None)


def figures(outcome):
    return {figure.metric: figure for figure in outcome.figures}


def test_what_befalls_a_network_is_found_within_a_minute_and_nothing_where_all_is_well(outcome):
    found = figures(outcome)
    rates = {name: each.ours for name, each in found.items() if name.endswith(": detected")}
    assert rates.pop("equivocation, no gossip, one watches: detected") in {0.0, 1.0}
    assert set(rates.values()) == {1.0}
    assert len(rates) == 12
    assert all(each.ours <= 60 for name, each in found.items() if "until the alert" in name)
    assert found["false alarms a validator-day"].ours == 0.0


def test_each_figure_lies_in_its_interval(outcome):
    for figure in outcome.figures:
        assert figure.low <= figure.ours <= figure.high, figure.metric


def test_the_outcome_is_json_and_shows_delays(outcome):
    value = json.loads(json.dumps(outcome.to_json()))
    assert value["study"] == ChainStudy().name == "chain"
    [plot] = outcome.plots
    assert plot.kind == "delay"
    assert all(list(line.xs) == sorted(line.xs) and max(line.ys) <= 1.0 for line in plot.lines)
    assert any("simulated" in note for note in outcome.notes)
    assert "Proofs of a lie that did not hold: 0." in outcome.notes


def test_the_same_seed_gives_the_same_network_and_another_seed_another():
    def play(seed):
        stage = Stage(seed)
        stage.run_for(20)
        return stage.network.trace.digest, len(stage.network.nodes[0].chain.blocks)

    assert play(1) == play(1)
    assert play(1)[0] != play(2)[0]


def test_clients_are_at_work_and_some_calls_are_refused():
    stage = Stage(1)
    stage.run_for(150)
    executed = [each for each in stage.network.nodes[0].chain.executed[2:] if each is not None]
    failed = [has_failed for each in executed for has_failed in each.has_failed]
    assert len(failed) > 20
    assert 0 < sum(failed) < len(failed) / 4
    assert stage.lookouts[0].alerts == stage.lookouts[FOLLOWER].alerts == []


def test_faults_begin_when_they_are_told_to():
    stage = Stage(1, watchers=(0,))
    stage.run_for(10)
    assert stage.lookouts[0].alerts == []
    stage.corrupt("bad-seals")
    stage.run_for(5)
    [alert] = stage.lookouts[0].alerts
    assert (alert.threat.kind, alert.threat.requester) == ("bad_seal", str(stage.network.nodes[LIAR].address))


def test_intervals_hold_what_was_counted():
    for count in range(6):
        low, high = poisson_interval(count)
        assert low <= count < high
    for hits in range(6):
        low, high = rate_interval(hits, 5)
        assert 0.0 <= low <= hits / 5 <= high <= 1.0
