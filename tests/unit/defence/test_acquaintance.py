"""Contacts, places and profiles."""

import json
import random

import pytest

from chainsec.defence.acquaintance import Acquaintance, plan_ties
from chainsec.defence.features import plan_facets
from chainsec.defence.observation import Observation

START_S = 1_740_960_000
HOUR_S = 3_600
WARDS = ("north", "south")


def ask(number, person, patient, *, kind="chart", action="read", device=None):
    facts = {
        "role": "nurse" if person % 4 < 3 else "clerk",
        "ward": WARDS[person % 2],
        "patient": f"s{patient}",
        "device": device or f"pc-{person}",
        "kind": kind,
    }
    return Observation(
        f"0x{number}", START_S + number * HOUR_S, f"p{person}", f"s{patient}/{kind}", action, "care", 1, facts
    )


def live(n_requests=400):
    """Return people of two wards, each with patients of its own; one request in twenty looks after the other's."""
    rng = random.Random(6)
    asks = []
    for number in range(n_requests):
        person = rng.randrange(12)
        ward = (person + (rng.random() < 0.05)) % 2
        asks.append(ask(number, person, 2 * rng.randrange(8) + ward, kind=rng.choice(("chart", "lab"))))
    return asks


@pytest.fixture
def memory():
    history = live()
    plan = plan_facets(history)
    rows = [plan.values(observation) for observation in history]
    found = Acquaintance(plan_ties(plan, rows), plan.facets)
    for observation, row in zip(history, rows, strict=True):
        found.observe(observation, row)
    return found, plan


def measure(memory, observation):
    found, plan = memory
    return found.measure(observation, plan.values(observation))


def test_the_plan_finds_patients_wards_and_devices(memory):
    found, plan = memory
    assert plan.facets[found.plan.subject] == "@patient"
    assert "@ward" in {plan.facets[i] for i in found.plan.team}
    assert [plan.facets[i] for i in found.plan.places] in ([], ["@device"])


def test_a_patient_of_another_ward_is_a_stranger_and_one_of_the_own_is_not(memory):
    found, _ = memory
    stranger = next(n for n in range(1, 16, 2) if f"s{n}" not in found.to_json()["contacts"]["p0"])
    own = measure(memory, ask(401, 0, 2))
    other = measure(memory, ask(401, 0, stranger))
    assert other["tie:own"] > own["tie:own"]
    assert other["tie:team"] > own["tie:team"]
    assert other["new:hour"] > own["new:hour"]
    assert other["stranger:hour"] >= own["stranger:hour"]


def test_the_company_of_colleagues_patients_is_closer_on_the_whole(memory):
    found = [measure(memory, ask(401, 0, patient))["tie:company"] for patient in range(16)]
    assert sum(found[0::2]) < sum(found[1::2])


def test_an_action_nobody_takes_adds_up_over_the_week(memory):
    found, plan = memory
    before = measure(memory, ask(401, 0, 2))["unusual:week"]
    for number in (401, 402, 403):
        taken = ask(number, 0, 2, action="export")
        found.observe(taken, plan.values(taken))
    assert measure(memory, ask(404, 0, 2))["unusual:week"] > before + 1.0
    assert measure(memory, ask(404, 2, 2))["unusual:week"] == pytest.approx(before, abs=0.5)


def test_measuring_changes_nothing_and_names_every_signal(memory):
    found, _ = memory
    before = json.dumps(found.to_json(), sort_keys=True)
    assert tuple(measure(memory, ask(401, 0, 99, device="ghost"))) == found.signal_names
    assert json.dumps(found.to_json(), sort_keys=True) == before


def test_a_memory_read_back_measures_alike_and_is_apart(memory):
    found, plan = memory
    again = Acquaintance.from_json(json.loads(json.dumps(found.to_json())), found.plan, plan.facets)
    probe = ask(401, 0, 3)
    row = plan.values(probe)
    assert again.measure(probe, row) == found.measure(probe, row)
    again.observe(probe, row)
    assert again.measure(probe, row) != found.measure(probe, row)
