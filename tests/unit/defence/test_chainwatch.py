"""The watch over a chain: what raises an alert, what does not, and what anybody can recompute."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainsec.defence.chainhabits import MOST_KEPT
from chainsec.defence.chainrules import (
    CERTAIN,
    CHAIN_RULES,
    alarm_level,
    explain,
    fill_surprise,
    find_alert_fault,
    gas_surprise,
    probing_surprise,
    proof_surprise,
    run_surprise,
)
from chainsec.defence.chainwatch import Call, ChainWatch, RollCall, WatchSettings
from chainsec.defence.receipts import find_threat_fault, threat_receipt
from chainsec.defence.surprise import RULES

NAMES = ("ann", "ben", "cat", "dan")


def kinds(threats):
    return [(threat.kind, threat.requester) for threat in threats]


def call_roll(watch, first_s, rounds, absent=()):
    present = tuple(name for name in NAMES if name not in absent)
    found = []
    for time_s in range(first_s, first_s + rounds):
        found += watch.observe_roll_call(RollCall(time_s, time_s, present, tuple(absent)))
    return found


def lead_a_life(watch, senders=6, seconds=600, every_s=10, gas=50_000):
    """Let senders make ordinary calls, one in twenty refused."""
    found = []
    for time_s in range(0, seconds, every_s):
        for number in range(senders):
            is_refused = (time_s // every_s + number) % 20 == 0
            call = Call(time_s, f"sender {number}", "door:open", 64, gas + 100 * (time_s % 7), is_refused)
            found += watch.observe_call(call) + watch.observe_sent(time_s, call.sender)
    return found


def alert_of_everything():
    """Return one alert of each kind."""
    watch = ChainWatch()
    found = [
        *watch.observe_proof("equivocation", "ann", 0, ("0x01", "0x02"), {"message": "commit", "height": 1, "round": 0})
    ]
    found += watch.observe_proof("bad_seal", "ann", 0, ("0x01", "0x02"), {"height": 1, "round": 0})
    call_roll(watch, 0, 60)
    found += call_roll(watch, 60, 20, absent=("ben",))
    for height in range(80):
        found += watch.observe_turn(height, height, NAMES[height % 4], is_kept=height < 40 or height % 4 != 2)
    for time_s in range(0, 240, 60):
        for name in NAMES:
            watch.observe_sent(time_s, name, kind="round_changes", count=0)
    for _ in range(60):
        found += watch.observe_sent(200, "dan", kind="round_changes")
    lead_a_life(watch)
    for _ in range(200):
        found += watch.observe_sent(700, "sender 1")
    found += watch.observe_call(Call(800, "sender 2", "door:open", 64, 5_000_000))
    for height in range(200):
        watch.observe_block(height, height, "ann", 0.01)
    found += watch.observe_block(900, 900, "ann", 0.99)
    for place in range(20):
        found += watch.observe_call(Call(1_000 + place, "sender 3", f"gate:{place}", is_refused=True))
    return found


def test_everything_that_a_rule_is_for_is_found_and_about_the_right_one():
    found = kinds(alert_of_everything())
    assert {kind for kind, _ in found} == set(CHAIN_RULES)
    assert dict(found) == {
        "equivocation": "ann",
        "bad_seal": "ann",
        "silence": "ben",
        "missed_turns": "cat",
        "round_changes": "dan",
        "flood": "sender 1",
        "odd_gas": "sender 2",
        "full_block": "ann",
        "probing": "sender 3",
    }
    assert len(found) == len(CHAIN_RULES), "one alert an episode"


def test_no_kind_of_alert_means_two_things():
    assert not CHAIN_RULES.keys() & RULES.keys()


def test_a_receipt_of_each_kind_is_json_and_follows_from_its_evidence():
    for threat in alert_of_everything():
        receipt = json.loads(json.dumps(threat_receipt(threat, "alert")))
        assert find_alert_fault(receipt) is find_threat_fault(receipt) is None, threat.kind
        said = explain(receipt["threat"], receipt["evidence"])
        assert said[0].islower()
        assert "{" not in said


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda r: r["evidence"].update(statistic=8.5), "the rule gives"),
        (lambda r: r["evidence"]["inputs"].update(run=9), "the rule gives"),
        (lambda r: r["evidence"]["inputs"].update(run=float("nan")), "no receipt of an alert"),
        (lambda r: r["evidence"]["inputs"].update(run="5"), "no receipt of an alert"),
        (lambda r: r["evidence"].update(thresholds=[50.0]), "score does not follow"),
        (lambda r: r.update(score=0.1), "score does not follow"),
        (lambda r: r.update(kind="quarantine"), "not 'alert'"),
        (lambda r: r.update(threat="boredom"), "no receipt of an alert"),
        (lambda r: r.update(extra=1), "'extra'"),
        (lambda r: r["evidence"].pop("about"), "'about'"),
    ],
)
def test_a_receipt_that_was_changed_has_a_fault(change, fault):
    watch = ChainWatch()
    call_roll(watch, 0, 60)
    [threat] = call_roll(watch, 60, 10, absent=("ben",))
    receipt = threat_receipt(threat, "alert")
    change(receipt)
    assert fault in find_alert_fault(receipt)


def test_an_alert_below_its_level_has_a_fault():
    inputs = {"run": 1, "absent": 1.0, "present": 9.0}
    statistic = run_surprise(**inputs)
    evidence = {"inputs": inputs, "statistic": statistic, "thresholds": [5.0], "window_s": 0, "time_s": 0, "about": {}}
    receipt = {
        "format": 1,
        "kind": "alert",
        "threat": "silence",
        "requester": "ann",
        "requests": [],
        "score": statistic / (statistic + 5.0),
        "evidence": evidence,
    }
    assert find_alert_fault(receipt) == "the statistic does not call for an alert"
    assert "no receipt" in find_alert_fault({})


def test_who_is_often_absent_is_given_more_time_than_who_never_is():
    def absences_until_alert(usual_absences):
        watch = ChainWatch()
        for time_s in range(0, 400, 4):
            call_roll(watch, time_s, 4 - usual_absences)
            call_roll(watch, time_s, usual_absences, absent=("ben",))
        found = [call_roll(watch, 400 + n, 1, absent=("ben",)) for n in range(100)]
        return next(n for n, threats in enumerate(found, 1) if threats)

    assert absences_until_alert(0) <= 5
    assert 15 <= absences_until_alert(2) <= 40
    assert absences_until_alert(3) > absences_until_alert(2)


def test_a_sign_of_life_ends_a_silence():
    watch = ChainWatch()
    call_roll(watch, 0, 60)
    for start_s in range(60, 160, 4):
        assert call_roll(watch, start_s, 3, absent=("ben",)) == []
        assert call_roll(watch, start_s + 3, 1) == []


def test_an_episode_is_told_once_and_the_next_one_again():
    watch = ChainWatch(WatchSettings(quiet_s=100))
    call_roll(watch, 0, 60)
    assert kinds(call_roll(watch, 60, 200, absent=("ben",))) == [("silence", "ben")]
    assert call_roll(watch, 260, 150) == []
    assert kinds(call_roll(watch, 410, 30, absent=("ben",))) == [("silence", "ben")]


def test_whom_a_guardian_releases_is_alerted_about_anew():
    watch = ChainWatch()
    proof = ("equivocation", "ann", 5, ("0x01", "0x02"), {"message": "commit", "height": 1, "round": 0})
    assert len(watch.observe_proof(*proof)) == 1
    assert watch.observe_proof(*proof) == []
    watch.release("ben")
    assert watch.observe_proof(*proof) == []
    watch.release("ann")
    assert len(watch.observe_proof(*proof)) == 1


def test_statements_that_are_the_same_prove_nothing():
    assert proof_surprise("0x01", "0x01") == proof_surprise("", "0x01") == 0.0
    assert ChainWatch().observe_proof("equivocation", "ann", 0, ("0x01", "0x01"), {}) == []


def test_ordinary_life_raises_no_alert():
    watch = ChainWatch()
    assert lead_a_life(watch, seconds=6_000) == []
    assert call_roll(watch, 0, 500) == []
    assert [watch.observe_block(n, n, "ann", 0.01 * (n % 5)) for n in range(500)] == [[]] * 500


def test_a_busy_hour_of_everybody_is_no_burst_of_anybody():
    watch = ChainWatch()
    lead_a_life(watch)
    found = []
    for call in range(300):
        for number in range(6):
            found += watch.observe_sent(660 + call // 10, f"sender {number}")
    assert found == []


def test_a_newcomer_who_sends_much_more_than_its_peers_bursts():
    watch = ChainWatch()
    lead_a_life(watch)
    found = [watch.observe_sent(650, "stranger") for _ in range(100)]
    first = next(n for n, threats in enumerate(found, 1) if threats)
    assert 15 <= first <= 60
    assert sum(map(len, found)) == 1


def test_a_single_sender_without_peers_is_judged_by_nobody_at_first():
    watch = ChainWatch()
    assert [watch.observe_sent(0, "ann") for _ in range(500)] == [[]] * 500


def test_one_call_that_fails_again_and_again_is_no_probing():
    watch = ChainWatch()
    lead_a_life(watch)
    assert [watch.observe_call(Call(700 + n, "clumsy", "door:open", is_refused=True)) for n in range(100)] == [[]] * 100


def test_refusals_among_many_calls_that_go_through_are_no_probing():
    watch = ChainWatch()
    for n in range(400):
        found = watch.observe_call(Call(n, "ann", f"door:{n}", is_refused=n % 10 == 0))
        assert found == []


@pytest.mark.parametrize(("entries", "gas", "is_odd"), [(1, 30_000, False), (1, 1_500_000, False), (1, 3_000, True)])
def test_a_shorter_list_may_use_as_much_less_gas_and_no_less_than_that(entries, gas, is_odd):
    watch = ChainWatch()
    for number in range(20):
        assert watch.observe_call(Call(number, "ann", "door:openMany", 100 * 50, 1_500_000 + number)) == []
    found = watch.observe_call(Call(60, "ann", "door:openMany", 100 * entries, gas))
    assert [threat.kind for threat in found] == ["odd_gas"] * is_odd


def test_gas_that_is_new_raises_one_alert_and_is_usual_before_long():
    watch = ChainWatch()
    lead_a_life(watch)
    found = [watch.observe_call(Call(700 + n, f"sender {n}", "door:open", 64, 1_000_000)) for n in range(40)]
    assert kinds(found[0]) == [("odd_gas", "sender 0")]
    assert found[20:] == [[]] * 20


def test_a_call_of_a_size_never_seen_is_held_against_all_calls_of_its_function():
    watch = ChainWatch()
    lead_a_life(watch)
    assert kinds(watch.observe_call(Call(700, "sender 1", "door:open", 100_000, 1_700_000))) == [
        ("odd_gas", "sender 1")
    ]
    assert watch.observe_call(Call(700, "sender 1", "gate:open", 100_000, 1_700_000)) == [], (
        "of this one nothing is known"
    )


def test_memory_is_bounded_whoever_sends_what():
    watch = ChainWatch()
    for n in range(MOST_KEPT + 500):
        watch.observe_call(Call(n, f"sender {n}", f"door:{n}", 64, 50_000, is_refused=True))
        watch.observe_sent(n, f"sender {n}")
    for table in (watch._tests, watch._senders, watch._functions):
        assert len(table) <= MOST_KEPT
    for n in range(1_000):
        watch.observe_call(Call(n, "prober", f"gate:{n}", is_refused=True))
    assert len(watch._tests["prober"].places) <= 256


def test_the_same_stream_gives_the_same_alerts():
    assert alert_of_everything() == alert_of_everything()


def test_fewer_false_alarms_are_paid_for_with_delay():
    def delay(rate):
        watch = ChainWatch(WatchSettings(false_alarms_per_day=rate))
        call_roll(watch, 0, 60)
        return next(n for n in range(50) if call_roll(watch, 60 + n, 1, absent=("ben",)))

    assert delay(10.0) < delay(0.01) < delay(0.000_01)


def test_chance_passes_the_level_no_more_often_than_accepted():
    """A validator that is absent from every tenth round by chance, at a level for one alarm in 1,000 rounds."""
    from random import Random  # noqa: PLC0415 - only here

    dice, alarms, rounds = Random(5), 0, 40_000
    watch = ChainWatch(WatchSettings(false_alarms_per_day=1.0, occasions_per_day=1_000.0, quiet_s=0))
    assert alarm_level(1_000.0, 1.0) == pytest.approx(3.0)
    for n in range(rounds):
        absent = ("ben",) if dice.random() < 0.1 else ()
        alarms += len(call_roll(watch, 2 * n, 1, absent=absent))
    assert 1 <= alarms <= rounds / 1_000


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 1e6), st.floats(0.01, 1e6))
def test_one_more_absence_is_never_less_surprising_and_one_more_earlier_absence_never_more(run, absent, present):
    tolerance = 1e-6
    surprise = run_surprise(run, absent, present)
    assert run_surprise(run + 1, absent, present) >= surprise - tolerance
    assert run_surprise(run, absent + 1, present) <= surprise + tolerance
    assert run_surprise(run, absent, present + 1) >= surprise - tolerance


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 10**9), st.floats(1.0, 1e9), st.floats(0.0, 5.0), st.floats(1.0, 1e3))
def test_gas_is_as_odd_below_as_above_and_never_negative(gas, usual, widest, seen):
    surprise = gas_surprise(gas, usual, widest, seen)
    assert 0.0 <= surprise <= CERTAIN
    assert gas_surprise(gas * 2, gas, widest, seen) == pytest.approx(gas_surprise(gas, gas * 2, widest, seen))
    assert gas_surprise(gas, usual, widest + 1, seen) <= surprise


@pytest.mark.parametrize(
    "call",
    [
        lambda: run_surprise(-1, 1.0, 1.0),
        lambda: run_surprise(1, 0.0, 1.0),
        lambda: run_surprise(1, 1.0, float("nan")),
        lambda: run_surprise(1, float("inf"), 1.0),
        lambda: probing_surprise(1, 0, 0.6, 0.6),
        lambda: probing_surprise(1, 0, 0.0, 0.6),
        lambda: gas_surprise(0, 1.0, 0.0, 1.0),
        lambda: fill_surprise(0.5, 0.1, 0.0),
    ],
)
def test_figures_out_of_range_are_refused(call):
    with pytest.raises(ValueError, match=r"nobody has|no test between|domain|expected"):
        call()
