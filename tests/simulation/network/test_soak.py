"""Two hundred random schedules of faults within what QBFT bears; each is the same on every machine."""

import pytest

from chainsec.network.byzantine import ROLES
from chainsec.network.committee import most_faulty
from chainsec.network.measure import measure_variant
from chainsec.network.run import play_scenario
from chainsec.network.sections import Fault
from chainsec.network.soak import draw_schedule, play_schedule
from chainsec.network.verdict import longest_stall_us

SCHEDULES, AT_ONCE = 200, 10
HARMFUL = {"crash", "wipe", "partition"}
CALM_S = 20
A_LOT_MS = 1_000
A_LOT_SLOWER = 5


@pytest.mark.parametrize("first", range(0, SCHEDULES, AT_ONCE))
def test_random_faults_within_what_qbft_bears_neither_fork_a_network_nor_stall_it(first):
    broken = []
    for number in range(first, first + AT_ONCE):
        found = play_schedule(number)
        replay = f"schedule {number}: {found.outcome}: {found.said}\n  chainsec network soak --count 1 --first {number}"
        if found.outcome != "agreed" or found.violations:
            broken.append(replay)
        assert found.height >= 10, replay
        assert (found.final > 0, found.failed) == (True, 0), replay
    assert not broken, "\n".join(broken)


def faulty_nodes(schedule):
    """Return who breaks the rules or fails in a schedule: weather that honest nodes live with does not count."""
    found = {role.node for role in schedule.byzantine}
    for fault in schedule.fault:
        if fault.kind == "partition":
            found |= set(min(fault.groups, key=len))
        elif (
            fault.kind in HARMFUL
            or (fault.kind == "skew" and abs(fault.skew_ms) >= A_LOT_MS)
            or (fault.kind == "slow" and fault.factor >= A_LOT_SLOWER)
        ):
            found |= set(fault.nodes)
    return found


def test_no_schedule_has_more_faulty_validators_than_qbft_bears_and_most_have_as_many():
    schedules = [draw_schedule(number) for number in range(SCHEDULES)]
    faulty = [(len(faulty_nodes(schedule)), most_faulty(schedule.validators)) for schedule in schedules]
    assert all(count <= bound for count, bound in faulty)
    assert sum(count == bound for count, bound in faulty) > SCHEDULES // 3


def test_each_schedule_lasts_until_a_network_that_stood_still_from_the_calm_on_would_be_called_stalled():
    for number in range(2 * SCHEDULES):
        schedule = draw_schedule(number)
        ends = [fault.until_s or fault.at_s for fault in schedule.fault]
        assert max(ends, default=0) <= CALM_S
        stall_us = longest_stall_us(schedule.qbft_settings, len(faulty_nodes(schedule)))
        assert (schedule.duration_s - CALM_S) * 1_000_000 > stall_us


@pytest.mark.parametrize("number", [0, 1, 2, 3])
@pytest.mark.parametrize("halt", [{"kind": "crash", "nodes": [0, 1, 2, 3]}, {"kind": "links", "factor": 400.0}])
def test_a_network_that_halts_for_good_once_all_is_calm_has_stalled(number, halt):
    schedule = draw_schedule(number)
    faults = (*schedule.fault, Fault(at_s=CALM_S + 0.5, **halt))
    found = measure_variant("x", play_scenario(schedule.model_copy(update={"fault": faults})))
    assert found.outcome == "stalled"
    assert found.said.startswith("no block after")


def test_the_schedules_of_the_suite_hold_every_kind_of_fault_and_every_byzantine_role():
    schedules = [draw_schedule(number) for number in range(SCHEDULES)]
    kinds = {fault.kind for schedule in schedules for fault in schedule.fault}
    assert kinds == {"crash", "wipe", "partition", "skew", "slow", "links"}
    assert {role.role for schedule in schedules for role in schedule.byzantine} == set(ROLES)
    assert {schedule.network.nodes for schedule in schedules} == {4, 5, 7}


def test_a_schedule_is_the_same_each_time_and_another_number_is_another_schedule():
    assert draw_schedule(17) == draw_schedule(17)
    assert draw_schedule(17) != draw_schedule(18)
    assert play_schedule(3).trace_digest == play_schedule(3).trace_digest


def test_one_faulty_validator_too_many_is_judged_as_a_stall_so_that_silence_means_something(small_network, play):
    down = [{"kind": "crash", "nodes": [2, 3], "at_s": 3}]
    found = play(small_network(duration_s=30, fault=down))
    assert found.outcome == "stalled"
    assert "no block after" in found.said
    assert found.violations == ()
