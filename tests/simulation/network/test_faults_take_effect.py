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
    assert [node.slowness for node in staged.nodes] == [1] * 4


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


@pytest.mark.parametrize("kinds", [("crash", "crash"), ("wipe", "crash"), ("crash", "wipe")])
def test_a_node_is_down_while_any_of_its_faults_lasts_and_wiped_if_one_of_them_wipes_it(stage, kinds):
    first, second = kinds
    faults = [
        {"kind": first, "nodes": [2, 3], "at_s": 2, "until_s": 4},
        {"kind": second, "nodes": [3], "at_s": 3, "until_s": 8},
    ]
    found = stage(duration_s=30, fault=faults)
    two, three = found.nodes[2:]
    before = found.nodes[3].chain
    found.run(5)
    assert (two.is_up, three.is_up) == (True, False)
    found.run(2.9)
    assert not three.is_up
    found.run(0.2)
    assert three.is_up
    assert [event.event for event in found.events("restart", 3) + found.events("wiped", 3)] == [
        "wiped" if "wipe" in kinds else "restart"
    ]
    assert (three.chain is before) == ("wipe" not in kinds)
    found.run(20)
    assert caught_up(found)
    assert found.network.agreement.violations == []


def test_a_fault_for_good_outlasts_one_that_ends(stage):
    crash = {"kind": "crash", "nodes": [3]}
    found = stage(rate_per_s=0, fault=[{**crash, "at_s": 5}, {**crash, "at_s": 2, "until_s": 8}])
    found.run(12)
    assert not found.nodes[3].is_up
    assert found.events("restart") == []


def test_a_wipe_that_is_over_does_not_wipe_again(stage):
    faults = [
        {"kind": "wipe", "nodes": [3], "at_s": 2, "until_s": 3},
        {"kind": "crash", "nodes": [3], "at_s": 8, "until_s": 9},
    ]
    found = stage(duration_s=20, fault=faults)
    found.run(9.001)
    assert found.nodes[3].chain.height > 3
    assert len(found.events("wiped", 3)) == len(found.events("restart", 3)) == 1


def test_a_machine_is_as_slow_as_all_its_faults_together_and_exactly_as_fast_as_before_afterwards(stage):
    slow = {"kind": "slow", "nodes": [0]}
    faults = [
        {**slow, "factor": 49, "at_s": 1, "until_s": 5},
        {**slow, "factor": 0.3, "at_s": 2, "until_s": 3},
        {**slow, "factor": 7, "nodes": [0, 1], "at_s": 4, "until_s": 6},
    ]
    found = stage(rate_per_s=0, fault=faults)
    shown = []
    found.run(0.001)
    for _ in range(6):
        found.run(1)
        shown.append((found.nodes[0].slowness, found.nodes[1].slowness))
    assert shown == [(49, 1), (49 * 0.3, 1), (49, 1), (343, 7), (7, 7), (1, 1)]
    assert found.nodes[2].slowness == 1


def test_clocks_are_off_by_the_sum_of_their_faults(stage):
    faults = [
        {"kind": "skew", "nodes": [0, 1], "skew_ms": 0.1, "at_s": 1, "until_s": 3},
        {"kind": "skew", "nodes": [1], "skew_ms": -0.3, "at_s": 2, "until_s": 4},
    ]
    found = stage(rate_per_s=0, fault=faults)
    shown = []
    found.run(0.001)
    for _ in range(4):
        found.run(1)
        shown.append([node.skew_us for node in found.nodes])
    assert shown == [[100, 100, 0, 0], [100, -200, 0, 0], [0, -300, 0, 0], [0, 0, 0, 0]]


def test_links_have_all_changes_that_last_and_none_that_is_over(stage):
    faults = [
        {"kind": "links", "factor": 3, "loss_rate": 0.1, "at_s": 1, "until_s": 5},
        {"kind": "links", "factor": 2, "loss_rate": 0.2, "jitter_ms": 4, "senders": ["uk"], "at_s": 2, "until_s": 3},
        {"kind": "links", "bandwidth_mbps": 9, "receivers": ["germany"], "at_s": 4, "until_s": 6},
    ]
    found = stage(duration_s=10, rate_per_s=0, fault=faults)
    by_region = {node.region: node for node in found.nodes}

    def link(sender, receiver):
        return found.network.connection(by_region[sender], by_region[receiver]).link

    usual, other = link("uk", "germany"), link("germany", "uk")
    shown = []
    found.run(0.001)
    for _ in range(6):
        found.run(1)
        shown.append((link("uk", "germany"), link("germany", "uk")))
    assert [(one.latency_ms, two.latency_ms) for one, two in shown] == [
        (factor * usual.latency_ms, min(factor, 3) * other.latency_ms) for factor in (3, 6, 3, 3, 1, 1)
    ]
    assert [one.loss_rate for one, _ in shown] == [0.1, 0.2, 0.1, 0.1, usual.loss_rate, usual.loss_rate]
    assert [two.loss_rate for _, two in shown] == [0.1] * 4 + [other.loss_rate] * 2
    assert [one.bandwidth_mbps for one, _ in shown] == [usual.bandwidth_mbps] * 3 + [9, 9, usual.bandwidth_mbps]
    assert [one.jitter_ms for one, _ in shown] == [usual.jitter_ms, 4] + [usual.jitter_ms] * 4
    assert shown[-1] == (usual, other)


def test_the_vote_that_began_last_holds_while_it_lasts_and_then_the_one_before(stage):
    vote = {"kind": "vote", "nodes": [0, 1], "subject": 3}
    faults = [
        {**vote, "is_add": False, "at_s": 1, "until_s": 5},
        {**vote, "nodes": [1], "is_add": True, "at_s": 2, "until_s": 3},
    ]
    found = stage(rate_per_s=0, fault=faults)
    shown = []
    found.run(0.001)
    for _ in range(5):
        found.run(1)
        shown.append([[wish.is_add for wish in node.chain.wishes] for node in found.nodes[:3]])
    drop = [[False], [False], []]
    assert shown == [drop, [[False], [True], []], drop, drop, [[], [], []]]


def test_an_account_is_dismissed_while_the_act_that_began_last_says_so(stage):
    act = {"kind": "allow", "is_add": False}
    faults = [
        {**act, "accounts": [0, 1], "at_s": 3, "until_s": 6},
        {**act, "accounts": [1], "at_s": 4, "until_s": 8},
        {**act, "accounts": [1], "is_add": True, "at_s": 9, "until_s": 10},
    ]
    found = stage(duration_s=20, rate_per_s=0, network={"permissions": "allowlist"}, load={"senders": 3}, fault=faults)
    clients = [found.traffic.client(number) for number in range(3)]
    for node in found.nodes:
        node.chain.rulebook.accounts = set(clients)
    shown = {}
    found.run(0.001)
    for second in range(1, 12):
        found.run(1)
        lists = {frozenset(node.chain.rulebook.accounts) for node in found.nodes}
        assert len(lists) == 1
        shown[second] = [number for number, client in enumerate(clients) if client in next(iter(lists))]
    assert {second: shown[second] for second in (2, 3, 4, 6, 8, 9, 10)} == {
        2: [0, 1, 2],
        3: [2],
        4: [2],
        6: [0, 2],
        8: [0, 1, 2],
        9: [0, 1, 2],
        10: [0, 1, 2],
    }
    assert [event.detail for event in found.events("allowlist")] == [
        "0 in, 2 out",
        "0 in, 0 out",
        "1 in, 0 out",
        "1 in, 0 out",
        "0 in, 0 out",
        "0 in, 0 out",
    ]


@pytest.mark.parametrize("change", [{"loss_rate": 0.9}, {"bandwidth_mbps": 0.001}])
def test_links_that_are_all_but_dead_for_five_seconds_stop_a_network_for_little_longer(stage, change):
    found = stage(duration_s=40, fault=[{"kind": "links", **change, "at_s": 10, "until_s": 15}])
    found.run(40)
    assert in_time(found, 11, 15) == []
    assert len(in_time(found, 15, 25)) >= 1
    assert set(in_time(found, 30, 40)) == {0}
    assert len(in_time(found, 30, 40)) >= 9
    assert caught_up(found)


def test_a_connection_that_is_made_anew_carries_nothing_of_the_one_before(stage):
    found = stage(rate_per_s=0, duration_s=30)
    found.run(5)
    network, (one, *others) = found.network, found.nodes
    for other in others:
        network.connection(other, one).arrival_us(network.time_us, 2 * 10**9)
    found.run(5)
    height = one.chain.height
    assert height <= 6, "everything waits behind two gigabytes"
    for other in others:
        network.sever(one, other)
        network.mend(one, other)
    found.run(3)
    assert one.chain.height >= height + 5
    assert caught_up(found)


def test_refusals_are_those_of_transactions_of_the_load_each_once(stage):
    down = {"kind": "crash", "nodes": [0, 1, 2, 3], "at_s": 5, "until_s": 25}
    found = stage(duration_s=40, rate_per_s=2, load={"from_s": 2, "until_s": 12}, fault=[down])
    found.run(4.9)
    assert found.traffic.refused == {}
    found.run(15)
    before = found.traffic.refused
    assert before == {"the node is down": len(found.traffic.sent_us) - len(found.traffic.final_us)}
    found.run(20)
    assert len(found.traffic.final_us) == len(found.traffic.sent_us) == 20
    assert found.traffic.refused == before, "the same once more is no other refusal"


def test_what_sets_a_load_up_is_not_among_its_refusals(stage):
    down = {"kind": "crash", "nodes": [0, 1, 2, 3], "at_s": 0, "until_s": 3}
    found = stage(duration_s=20, rate_per_s=2, load={"from_s": 6}, fault=[down])
    found.run(5)
    assert found.traffic.refused == {}
    found.run(14)
    assert found.traffic.refused == {}
