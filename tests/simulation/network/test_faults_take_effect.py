"""Each fault does what it says, for as long as it says, and nodes catch up when it is over."""

import pytest

SECOND_US = 1_000_000


def caught_up(found, slack=1):
    return max(found.heights()) - min(found.heights()) <= slack


def in_time(found, since_s, until_s):
    """Return the rounds of blocks that were final somewhere between two times."""
    finals = found.network.agreement.finals[1:]
    return [
        final.block.header.extra.round
        for final in finals
        if since_s * SECOND_US < min(final.times_us.values()) <= until_s * SECOND_US
    ]


def test_a_node_that_crashed_keeps_its_chain_and_fetches_what_it_missed(stage):
    found = stage(duration_s=40, fault=[{"kind": "crash", "nodes": [3], "at_s": 5.5, "until_s": 20}])
    found.run(19.9)
    node = found.nodes[3]
    assert not node.is_up
    kept = node.chain.blocks[:]
    assert 4 <= node.chain.height < found.nodes[0].chain.height
    assert list(node.chain.pool) == []
    found.run(20)
    assert node.is_up
    assert node.chain.blocks[: len(kept)] == kept
    assert caught_up(found)
    assert found.events("synced", 3)
    assert found.network.agreement.violations == []
    assert set(in_time(found, 30, 40)) == {0}


def test_a_node_that_comes_back_wiped_begins_with_the_first_block_and_executes_everything_again(stage):
    found = stage(duration_s=40, fault=[{"kind": "wipe", "nodes": [3], "at_s": 10, "until_s": 15}])
    found.run(10)
    node = found.nodes[3]
    before, executor = node.chain.height, node.chain.executor
    assert before > 5
    found.run(5.01)
    assert node.chain.height == 0
    assert node.chain.executor is not executor
    assert node.chain.executor.executions == 0
    found.run(25)
    assert caught_up(found)
    assert node.chain.executor.executions >= node.chain.height
    assert found.hashes(before) == {node.chain.blocks[before].header.hash}
    assert found.network.agreement.violations == []


def test_only_the_group_with_a_quorum_goes_on_and_the_other_joins_it_when_the_partition_ends(stage):
    found = stage(duration_s=60, fault=[{"kind": "partition", "groups": [[0], [1, 2, 3]], "at_s": 5, "until_s": 25}])
    found.run(24.9)
    alone, *others = found.heights()
    assert alone <= 6
    assert len(set(others)) == 1
    assert others[0] > alone + 3
    assert not any(found.network.is_connected(found.nodes[0], other) for other in found.nodes[1:])
    assert found.network.is_connected(found.nodes[1], found.nodes[2])
    found.run(35)
    assert caught_up(found)
    assert found.network.agreement.violations == []
    assert set(in_time(found, 50, 60)) == {0}


def test_halves_make_no_blocks_and_no_fork_and_go_on_together_afterwards(stage):
    halves = {"kind": "partition", "groups": [[0, 1], [2, 3]], "at_s": 5, "until_s": 12}
    found = stage(duration_s=60, qbft={"has_catch_up": True, "round_change_repeat_s": 1}, fault=[halves])
    found.run(12)
    before = max(found.heights())
    assert before <= 6
    found.run(48)
    assert min(found.heights()) > before + 10
    assert found.network.agreement.violations == []


def test_nodes_that_no_group_names_are_a_group_of_their_own(stage):
    found = stage(duration_s=20, fault=[{"kind": "partition", "groups": [[0]], "at_s": 5}])
    found.run(6)
    network, nodes = found.network, found.nodes
    assert network.is_connected(nodes[1], nodes[3])
    assert not network.is_connected(nodes[0], nodes[3])


def test_two_partitions_at_once_end_when_the_last_of_them_does(stage):
    cut = {"kind": "partition", "groups": [[0], [1, 2, 3]]}
    found = stage(duration_s=30, fault=[{**cut, "at_s": 3, "until_s": 8}, {**cut, "at_s": 5, "until_s": 12}])
    network, (zero, one, *_) = found.network, found.nodes
    found.run(9)
    assert not network.is_connected(zero, one)
    found.run(4)
    assert network.is_connected(zero, one)


def test_what_is_on_its_way_when_a_connection_breaks_is_lost_and_what_comes_later_is_not(stage):
    found = stage(rate_per_s=0, duration_s=20)
    found.run(0.5)
    network, (zero, one, *_) = found.network, found.nodes
    raw = found.traffic._senders[0].sign(nonce=0, to=bytes(20), gas=21_000, chain_id=1337).raw
    zero.begin(network.time_us)
    zero.submit([raw])
    found.run(0.001)
    network.sever(zero, one)
    found.run(0.45)
    assert [len(list(node.chain.pool)) for node in found.nodes] == [1, 0, 1, 1]
    network.mend(zero, one)
    found.run(0.4)
    found.run(4)
    assert len({node.chain.height for node in found.nodes}) == 1
    assert raw in [raw for block in one.chain.blocks for raw in block.transactions]


def test_proposals_of_a_clock_five_seconds_ahead_are_rejected_until_it_is_right_again(stage):
    ahead = {"kind": "skew", "nodes": [1], "skew_ms": 5_000, "at_s": 3, "until_s": 25}
    found = stage(duration_s=45, fault=[ahead])
    found.run(25)
    refused = found.reasons()["proposal: its time lies in the future"]
    assert refused >= 3
    skewed = found.nodes[1].address
    during = [
        final.block.header.coinbase
        for final in found.network.agreement.finals[1:]
        if 6 * SECOND_US < min(final.times_us.values()) < 25 * SECOND_US
    ]
    assert skewed not in during
    assert during
    found.run(20)
    assert found.nodes[1].skew_us == 0
    assert set(in_time(found, 38, 45)) == {0}
    assert caught_up(found)
    assert found.network.agreement.violations == []


@pytest.mark.parametrize("skew_ms", [-400, 400])
def test_a_clock_that_is_off_by_less_than_a_second_costs_no_round(stage, skew_ms):
    found = stage(duration_s=20, fault=[{"kind": "skew", "nodes": [1], "skew_ms": skew_ms, "at_s": 3}])
    found.run(20)
    assert found.reasons() == {}
    assert set(in_time(found, 0, 20)) == {0}


def test_a_slow_machine_makes_all_its_work_take_longer_and_is_as_fast_as_before_afterwards(stage, play, small_network):
    slow = {"kind": "slow", "nodes": [0, 1, 2, 3], "factor": 12, "at_s": 5, "until_s": 15}
    found = play(small_network(duration_s=25, fault=[slow]))

    def worst(since_s, until_s):
        return max(block.last_s - block.due_s for block in found.blocks if since_s < block.due_s < until_s)

    assert worst(6, 14) > 3 * worst(0, 5)
    assert worst(17, 24) < 2 * worst(0, 5)
    assert found.outcome == "agreed"
    staged = stage(duration_s=25, fault=[slow])
    staged.run(10)
    assert [node.slowness for node in staged.nodes] == [12] * 4
    staged.run(10)
    assert [node.slowness for node in staged.nodes] == pytest.approx([1] * 4)


def test_changed_links_change_the_regions_that_are_meant_in_the_direction_that_is_meant(stage):
    change = {
        "kind": "links",
        "senders": ["uk"],
        "receivers": ["germany"],
        "factor": 3,
        "bandwidth_mbps": 7.5,
        "loss_rate": 0.25,
        "jitter_ms": 1,
        "at_s": 2,
        "until_s": 4,
    }
    found = stage(duration_s=10, fault=[change])
    network = found.network
    by_region = {node.region: node for node in found.nodes}

    def links():
        return {
            (one, other): network.connection(by_region[one], by_region[other]).link
            for one in by_region
            for other in by_region
            if one != other
        }

    before = links()
    found.run(3)
    during = links()
    assert {pair for pair in during if during[pair] != before[pair]} == {("uk", "germany")}
    changed, usual = during["uk", "germany"], before["uk", "germany"]
    assert (changed.latency_ms, changed.bandwidth_mbps) == (3 * usual.latency_ms, 7.5)
    assert (changed.loss_rate, changed.jitter_ms) == (0.25, 1)
    found.run(2)
    assert links() == before


def test_lossy_links_lose_time_and_no_messages(small_network, play):
    usual = play(small_network(duration_s=20))
    lossy = play(small_network(duration_s=20, fault=[{"kind": "links", "at_s": 1, "loss_rate": 0.2}]))
    assert lossy.outcome == "agreed"
    assert lossy.waiting_s.p95 > 1.3 * usual.waiting_s.p95
    assert lossy.violations == ()


def test_a_vote_that_is_taken_back_counts_no_more(stage):
    vote = {"kind": "vote", "nodes": [0, 1], "subject": 3, "is_add": False, "at_s": 2, "until_s": 8}
    found = stage(duration_s=20, fault=[vote])
    found.run(7)
    assert found.nodes[0].chain.wishes
    found.run(13)
    assert all(node.chain.wishes == [] for node in found.nodes)
    assert len(found.nodes[0].chain.validators) == 4, "two of four are no majority"


def test_a_majority_votes_a_validator_out_and_it_stays_as_an_observer(stage):
    vote = {"kind": "vote", "nodes": [0, 1, 2], "subject": 3, "is_add": False, "at_s": 2}
    found = stage(duration_s=25, fault=[vote])
    found.run(25)
    assert {len(node.chain.validators) for node in found.nodes} == {3}
    assert caught_up(found)
    last = found.network.agreement.finals[-6:]
    assert found.nodes[3].address not in {final.block.header.coinbase for final in last}
    assert set(in_time(found, 0, 25)) == {0}
