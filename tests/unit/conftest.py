"""A clinic on a chain of its own, a risk model from a short history, and proof that nothing was sent."""

import random
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from chainsec.defence.observation import Observation
from chainsec.defence.risk import EvidenceRiskModel
from chainsec.defence.training import train_risk_model
from chainsec.purposes import find_purpose
from chainsec.sandbox import Sandbox

NURSE = {"role": "nurse", "ward": "cardiology"}
CLERK = {"role": "clerk", "ward": "billing"}


@pytest.fixture
def box():
    with Sandbox(key_seed=b"tests/unit") as opened:
        yield opened


@pytest.fixture
def clinic(box):
    """A clinic with two members, a patient's scan, and the patient's consent to treatment."""
    house = box.add_organisation("clinic")
    ann, ben = (box.add_member("clinic", name) for name in ("ann", "ben"))
    scan = box.add_asset("patient", b"the scan", sensitivity=1)
    box.give_consent("patient", scan, "clinic", "treatment")
    care = find_purpose("treatment").hash
    return SimpleNamespace(box=box, house=house, ann=ann, ben=ben, scan=scan, care=care, owner=box.account("patient"))


@pytest.fixture(scope="session")
def sends_nothing():
    """Give ``with sends_nothing(box): ...``: no block, nothing that waits for one, no new context."""

    @contextmanager
    def watch(box):
        contexts = len(box._context_log)
        before = box.engine.head(), box.client.transactions
        yield
        assert (box.engine.head(), box.client.transactions) == before
        assert len(box.engine.pool) == 0
        assert box.client._sent == []
        assert len(box._context_log) == contexts

    return watch


@pytest.fixture(scope="session")
def model_files():
    """Files of a model that saw nurses let in by day, and clerks who read scans turned away."""
    rng = random.Random(5)
    history, denied = [], []
    for row in range(400):
        is_clerk = rng.random() < 0.2
        name = f"clerk-{rng.randrange(3)}" if is_clerk else f"nurse-{rng.randrange(8)}"
        time_s = 1_767_225_600 - (400 - row) * 3_600
        facts = CLERK if is_clerk else NURSE
        asset = f"scan-{rng.randrange(40)}"
        history.append(Observation(f"past-{row}", time_s, name, asset, "read", "treatment", 1, facts))
        denied.append(is_clerk)
    return train_risk_model(history, denied).to_files()


@pytest.fixture
def model(model_files):
    return EvidenceRiskModel.from_files(model_files)
