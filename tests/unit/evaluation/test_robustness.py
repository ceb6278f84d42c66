"""Attacks on the agent: what they may do, that they stop where they should, that defences are really on and off."""

import numpy as np
import pytest

from chainsec.defence.policy import Thresholds
from chainsec.defence.training import train_risk_model
from chainsec.evaluation.evasion import TRY_S, Gate, OutOfTries, draw_at_random, find_knobs, hop_skip_jump
from chainsec.evaluation.flood import Escalation, answer_all, draw_flood
from chainsec.evaluation.insider import take_slowly
from chainsec.evaluation.life import known_labels, observe_all
from chainsec.evaluation.robustness import flip_labels
from chainsec.scenarios.hospital import hospital

NEVER, ALWAYS = (Thresholds(0.0, 0.0),) * 4, (Thresholds(1.0, 1.0),) * 4


@pytest.fixture(scope="module")
def scene():
    workload = hospital(3, days=20, history_days=8, staff=20, records=90, intensity=0.6)
    history = observe_all(workload.history, workload, "h-")
    files = train_risk_model(history, known_labels(workload.history)).to_files()
    bad = next(place for place, attempt in enumerate(workload.live) if attempt.denied)
    return files, observe_all(workload.live, workload, "l-")[bad], find_knobs(history)


def test_knobs_leave_requester_and_asset_alone_and_take_known_values_only(scene):
    _, wanted, knobs = scene
    for place in (np.zeros(knobs.size), np.ones(knobs.size), np.full(knobs.size, 0.5)):
        turned = knobs.turn(wanted, place)
        assert (turned.requester, turned.asset, turned.sensitivity) == (
            wanted.requester,
            wanted.asset,
            wanted.sensitivity,
        )
        assert turned.purpose in knobs.choices["purpose"]
        assert turned.time_s // 86_400 == wanted.time_s // 86_400
        assert set(turned.attributes) >= set(wanted.attributes)


@pytest.mark.parametrize("attack", [draw_at_random, hop_skip_jump])
def test_an_attack_ends_with_its_tries(scene, attack):
    files, wanted, knobs = scene
    gate = Gate(files, wanted, knobs, NEVER, tries=12, remembers=False)
    attack(gate, knobs, 1)
    assert gate.used == 12
    assert gate.granted_after is None


@pytest.mark.parametrize("attack", [draw_at_random, hop_skip_jump])
def test_an_attack_ends_with_the_first_grant(scene, attack):
    files, wanted, knobs = scene
    gate = Gate(files, wanted, knobs, ALWAYS, tries=12, remembers=False)
    attack(gate, knobs, 1)
    assert gate.granted_after == gate.used == 1
    with pytest.raises(OutOfTries):
        gate.ask(np.zeros(knobs.size))


def test_a_memory_of_refused_tries_raises_the_score_of_the_next_and_without_it_nothing_changes(scene):
    files, wanted, knobs = scene
    place = np.full(knobs.size, 0.5)
    for remembers in (False, True):
        gate = Gate(files, wanted, knobs, NEVER, tries=5, remembers=remembers)
        before = gate._model.score(gate._model.features(wanted))
        state = gate._model.to_files()
        for _ in range(5):
            gate.ask(place)
        assert (gate._model.to_files() == state) is not remembers
        assert (gate._model.score(gate._model.features(gate._wanted)) > before) is remembers
        assert (gate._wanted.time_s - wanted.time_s == 5 * TRY_S) is remembers


def test_a_flood_makes_honest_requests_lapse_and_taking_turns_does_not():
    honest = [Escalation(617 * i, 617 * i + 14_400, f"house-{i % 3}", f"p{i % 7}") for i in range(200)]
    flood = draw_flood(0, 30, 60, 6, 14_400)
    assert answer_all(honest, 12, is_fair=False).lapsed_rate == 0
    assert answer_all([*honest, *flood], 12, is_fair=False).lapsed_rate > 0.3
    assert answer_all([*honest, *flood], 12, is_fair=True).lapsed_rate < 0.02


def test_a_flood_of_none_is_none():
    assert draw_flood(0, 72, 0, 6, 100) == []


def test_who_takes_a_little_more_every_day_gets_less_where_drift_is_watched():
    blind, seeing = (take_slowly(0.02, 0, watches_drift=watches) for watches in (False, True))
    assert seeing.days < blind.days
    assert seeing.bytes_beyond < blind.bytes_beyond


def test_labels_are_flipped_at_the_rate_and_unknown_ones_stay_unknown():
    labels = [True, False, None] * 100
    flipped = flip_labels(labels, 0.05, 3)
    assert sum(before is not after for before, after in zip(labels, flipped, strict=True)) == 10
    assert [label is None for label in flipped] == [label is None for label in labels]
    assert flip_labels(labels, 0.0, 3) == labels
