"""Life without a chain: the agent's own judgement, guardians with little time, labels that come to light later."""

import numpy as np
import pytest

from chainsec.config import DecisionCosts
from chainsec.defence.renewal import RenewalSettings, Trial
from chainsec.evaluation.life import live_through
from chainsec.models.drift import DriftSettings
from chainsec.primitives import Verdict
from chainsec.scenarios.hospital import hospital


@pytest.fixture(scope="module")
def workload():
    return hospital(5, days=20, history_days=8, staff=20, records=90, intensity=0.6)


@pytest.fixture(scope="module")
def life(workload):
    return live_through(workload, DecisionCosts(), seed=5)


def test_the_same_arguments_give_the_same_life(workload, life):
    again = live_through(workload, DecisionCosts(), seed=5)
    assert np.array_equal(again.scores, life.scores)
    assert again.verdicts == life.verdicts
    assert again.answers == life.answers


def test_guardians_answer_what_was_escalated_and_nothing_else(life):
    escalated = {place for place, verdict in enumerate(life.verdicts) if verdict is Verdict.ESCALATE}
    assert escalated
    assert set(life.answers) == escalated
    granted = {place for place, verdict in enumerate(life.verdicts) if verdict is Verdict.GRANT}
    assert set(np.flatnonzero(life.let_in())) == granted | {place for place, let in life.answers.items() if let}


def test_guardians_without_error_let_in_the_good_alone(workload):
    life = live_through(workload, DecisionCosts(), seed=5, guardian_error_rate=0.0)
    assert all(let_in is not bool(life.denied[place]) for place, let_in in life.answers.items())


def test_where_guardians_have_no_time_requests_lapse(workload):
    costs = DecisionCosts(escalation=0.2)
    many = live_through(workload, costs, seed=5)
    few = live_through(workload, costs, seed=5, answers_per_hour=1)
    asked = sum(verdict is Verdict.ESCALATE for verdict in few.verdicts)
    assert len(many.answers) == sum(verdict is Verdict.ESCALATE for verdict in many.verdicts)
    assert len(few.answers) < asked


def test_with_renewal_a_model_is_tried_and_careful_verdicts_follow_an_alarm(workload):
    told = RenewalSettings(DriftSettings(20, 50), fresh_labels=20, trial_labels=30)
    life = live_through(workload, DecisionCosts(), seed=5, renewal=told)
    assert any(isinstance(news, Trial) for _, news in life.notices)
    assert [place for place, _ in life.notices] == sorted(place for place, _ in life.notices)
