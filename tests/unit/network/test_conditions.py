"""What may be wrong with a network, never more than QBFT bears, and what probes find under each of it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainsec.ledger.evm import Genesis
from chainsec.network.byzantine import InvalidBlocks, Silent
from chainsec.network.committee import most_faulty, quorum_size
from chainsec.network.conditions import CONDITIONS, arrange, with_condition
from chainsec.network.links import load_matrix
from chainsec.network.plan import NetworkPlan
from chainsec.network.probe import probe
from chainsec.network.simulation import Simulation
from chainsec.network.surroundings import QbftSettings

SECOND_US = 1_000_000
MATRIX = load_matrix("lan")
PROBES = 4


def plan(validators, nodes=None, **changes):
    nodes = nodes or validators
    parts = {
        "seed": 5,
        "genesis": Genesis(),
        "matrix": MATRIX,
        "regions": (MATRIX.regions[0],) * nodes,
        "validators": validators,
        "qbft": QbftSettings(block_period_s=1, request_timeout_s=1),
    }
    return NetworkPlan(**{**parts, **changes})


def begin(validators, condition, nodes=None):
    """Return a network a moment after it has started under a condition."""
    network = Simulation(with_condition(plan(validators, nodes), condition))
    arrange(network, condition)
    network.start()
    network.run_until(1)
    return network


def groups(network):
    """Return the sets of nodes that are up and reach each other."""
    up = [node for node in network.nodes if node.is_up]
    return {frozenset([node.number, *(peer.number for peer in network.peers(node))]) for node in up}


# Arranging


@given(st.integers(1, 40), st.sampled_from(list(CONDITIONS)))
def test_only_lies_change_a_plan_and_no_more_lie_than_qbft_bears(validators, condition):
    before = plan(validators)
    after = with_condition(before, condition)
    assert replace(after, roles={}) == before
    assert before.roles == {}
    liars = sorted(after.roles)
    assert liars == (
        list(range(validators))[validators - most_faulty(validators) :] if condition == "byzantine" else []
    )
    assert validators - len(liars) >= quorum_size(validators)
    assert all(role is InvalidBlocks for role in after.roles.values())


def test_a_condition_that_there_is_not_is_a_bug_of_the_caller():
    with pytest.raises(KeyError, match="stormy"):
        with_condition(plan(4), "stormy")


@pytest.mark.parametrize(("validators", "failing"), [(1, 0), (3, 0), (4, 1), (6, 1), (7, 2)])
def test_as_many_validators_as_qbft_bears_are_down_from_the_start_and_the_first_node_is_not(validators, failing):
    network = begin(validators, "down", nodes=validators + 1)
    down = [node.number for node in network.nodes if not node.is_up]
    assert down == list(range(validators - failing, validators)), "the observer after them stays up"
    assert groups(network) == {frozenset(set(range(validators + 1)) - set(down))}


@pytest.mark.parametrize(("validators", "failing"), [(3, 0), (4, 1), (7, 2)])
def test_as_many_as_qbft_bears_are_cut_off_together_and_reach_one_another(validators, failing):
    network = begin(validators, "partition", nodes=validators + 1)
    assert all(node.is_up for node in network.nodes)
    cut_off = frozenset(range(validators - failing, validators))
    assert groups(network) == {frozenset(range(validators + 1)) - cut_off, cut_off} - {frozenset()}


@pytest.mark.parametrize("condition", ["healthy", "byzantine"])
def test_nobody_is_down_or_cut_off_where_nothing_is_wrong_with_machines_and_links(condition):
    network = begin(7, condition)
    assert groups(network) == {frozenset(range(7))}
    liars = [node.number for node in network.nodes if isinstance(node.validator, InvalidBlocks)]
    assert liars == ([5, 6] if condition == "byzantine" else [])


@pytest.mark.parametrize("condition", CONDITIONS)
def test_under_every_condition_the_others_go_on_agreeing(condition):
    network = begin(4, condition)
    network.run_until(20 * SECOND_US)
    assert min(node.chain.height for node in network.nodes[:3]) >= 4
    assert network.nodes[3].chain.height == (0 if condition in {"down", "partition"} else network.nodes[0].chain.height)
    assert network.agreement.violations == []
    if condition == "byzantine":
        assert any(event.event == "rejected" and event.node == 0 for event in network.trace.events)


# Probes


@pytest.fixture(scope="module")
def probed():
    return {condition: probe(plan(4, nodes=5), condition, probes=PROBES) for condition in CONDITIONS}


def test_every_probe_is_final_in_time_or_counted_as_lost(probed):
    for condition, found in probed.items():
        assert found.condition == condition
        assert len(found.grant_s) + len(found.revoke_s) + found.lost == 2 * PROBES
        assert len(found.revoke_blocks) == len(found.revoke_s)
        assert (found.lost, found.has_agreed) == (0, True)


def test_a_grant_takes_two_blocks_and_a_revocation_one_on_a_network_where_nobody_fails(probed):
    """Blocks come a second apart: the request waits for the next, and so does the decision after it."""
    healthy = probed["healthy"]
    assert all(1 < each < 2.3 for each in healthy.grant_s)
    assert all(0 < each < 1.3 for each in healthy.revoke_s)
    assert set(healthy.revoke_blocks) <= {1, 2}
    assert len(set(healthy.grant_s)) == PROBES, "at random points of time"


def test_who_is_cut_off_is_counted_and_who_is_down_or_lies_is_not(probed):
    assert {condition: found.cut_off_nodes for condition, found in probed.items()} == {
        "healthy": 0,
        "down": 0,
        "partition": 1,
        "byzantine": 0,
    }


def test_where_a_proposer_is_missing_it_takes_longer_now_and_then_and_never_less(probed):
    for condition in ("down", "partition"):
        assert max(probed[condition].grant_s) > 2.3, condition
        assert min(probed[condition].grant_s) > 1, condition


def test_the_same_plan_is_probed_with_the_same_figures_and_another_seed_with_others(probed):
    again = probe(plan(4, nodes=5), "healthy", probes=PROBES)
    assert again == probed["healthy"]
    assert probe(plan(4, nodes=5, seed=6), "healthy", probes=PROBES).grant_s != again.grant_s


def test_probes_on_a_network_that_cannot_agree_are_lost_and_have_no_times():
    """Two of four say nothing and one more is down: what is sent waits until nobody waits for it any more."""
    dead = plan(4, roles={1: Silent, 2: Silent})
    found = probe(dead, "down", probes=1)
    assert (found.grant_s, found.revoke_s, found.revoke_blocks, found.lost) == ((), (), (), 2)
    assert found.has_agreed
