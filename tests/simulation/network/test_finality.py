"""When a block was due and whose time counts, where clocks are off, blocks are rare, and nodes come and go."""

from itertools import pairwise

import pytest

from chainsec.network.finality import list_finality
from chainsec.network.run import play_scenario
from chainsec.network.soak import draw_schedule


@pytest.fixture
def settle(small_network):
    """Give what plays a small scenario and returns how its blocks became final, and the network."""

    def act(**changes):
        played = play_scenario(small_network(**({"rate_per_s": 0} | changes)))
        return list_finality(played.network, played.presence), played.network

    return act


def delays_s(settled):
    return [(time_us - each.due_us) / 1e6 for each in settled for time_us in each.times_us.values()]


def skew(nodes, skew_ms):
    return {"kind": "skew", "nodes": nodes, "skew_ms": skew_ms, "at_s": 0}


def test_a_block_is_due_a_period_after_its_parents_time_and_every_validator_has_a_time(settle):
    settled, _ = settle()
    assert [each.due_us for each in settled] == [height * 1_000_000 for height in range(1, len(settled) + 1)]
    assert all(set(each.times_us) == {0, 1, 2, 3} and each.left_out == 0 for each in settled)
    assert all(each.times_us == each.final.times_us for each in settled)


@pytest.mark.parametrize("skew_ms", [-900, -300, 300, 900])
def test_where_all_clocks_are_off_alike_finality_is_as_if_they_were_right(settle, skew_ms):
    usual, _ = settle()
    found, _ = settle(fault=[skew([0, 1, 2, 3], skew_ms)])
    assert {each.due_us % 1_000_000 for each in found[1:9]} == {-skew_ms * 1_000 % 1_000_000}
    both = [sorted(delays_s(each[1:9])) for each in (found, usual)]  # each proposer's turn twice
    assert both[0] == pytest.approx(both[1], abs=0.03)


def test_a_proposer_whose_clock_is_late_costs_time_and_one_whose_clock_is_early_gains_nobody_any(settle):
    late, network = settle(fault=[skew([0], -400)])
    own = [each for each in late[4:] if network.node_of(each.final.block.header.coinbase).number == 0]
    assert min(delays_s(own)) > 0.4
    early, _ = settle(fault=[skew([0], 400)])
    assert min(delays_s(early)) > 0.05
    assert max(delays_s(early[4:])) < 0.4


def test_the_time_in_which_a_network_waits_for_transactions_does_not_count(settle):
    qbft = {"empty_block_period_s": 5}
    idle, _ = settle(duration_s=30, qbft=qbft)
    assert len(idle) == 5
    assert [each.due_us for each in idle] == [5_000_000 * place for place in range(1, 6)]
    busy, _ = settle(duration_s=30, qbft=qbft, rate_per_s=0.4)
    assert len(busy) > 8
    assert any(later.due_us - each.due_us > 1_500_000 for each, later in pairwise(busy))
    assert all(0 < delay_s < 0.5 for delay_s in delays_s([*idle, *busy]))


def test_who_was_away_or_fetched_a_block_is_left_out_and_counted(settle):
    settled, _ = settle(duration_s=30, fault=[{"kind": "crash", "nodes": [3], "at_s": 5.5, "until_s": 20.5}])
    away = [each for each in settled if 5_500_000 <= each.due_us < 20_500_000]
    assert len(away) > 5
    assert all(set(each.times_us) == {0, 1, 2} and each.left_out == 1 for each in away)
    assert all(3 in each.final.times_us for each in away), "it has them by now"
    assert max(delays_s(settled)) < 2.5, "a timeout, and not how long it was away"
    assert 3 in settled[-1].times_us


def test_who_waits_for_others_that_are_down_has_waited_for_the_block(settle):
    settled, _ = settle(duration_s=40, fault=[{"kind": "crash", "nodes": [2, 3], "at_s": 5.5, "until_s": 15.5}])
    late = max(settled, key=lambda each: max(each.times_us.values(), default=0) - each.due_us)
    assert late.due_us == 6_000_000
    assert set(late.times_us) == {0, 1}
    assert max(delays_s([late])) > 10


def test_liars_and_observers_are_not_asked(settle):
    liar = [{"node": 1, "role": "equivocator"}]
    settled, _ = settle(nodes=5, network={"validators": 4}, byzantine=liar, qbft={"request_timeout_s": 1})
    assert settled
    assert all(set(each.times_us) <= {0, 2, 3} and each.left_out == 3 - len(each.times_us) for each in settled)


@pytest.mark.parametrize("number", [2, 6, 11, 15])
def test_whatever_happens_nothing_is_due_before_its_parent_or_after_itself(number):
    played = play_scenario(draw_schedule(number))
    settled = list_finality(played.network, played.presence)
    assert len(settled) >= 10
    for before, each in pairwise(settled):
        assert min(before.final.times_us.values()) <= each.due_us <= min(each.final.times_us.values())
        assert each.left_out + len(each.times_us) <= len(played.network.nodes)
