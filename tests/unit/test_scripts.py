"""The examples in scripts/ run as they stand."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(name: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / name)], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_first_example_shows_a_grant_that_ends_with_the_consent():
    shown = run("decide_requests.py")
    assert "ann may read: True" in shown
    assert "kim: risk" in shown
    assert "on chain denied" in shown
    assert "after the patient withdrew consent: False" in shown


@pytest.mark.usefixtures("solidity")
def test_a_contract_of_ones_own_runs_on_the_same_chain():
    assert "count: 7 in block 2" in run("own_contract.py")
