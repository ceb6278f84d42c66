"""The same settings give the same events, bit for bit, in any process on any machine."""

import json
import os
import subprocess
import sys

import pytest

from chainsec.network.run import play_scenario
from chainsec.network.scenario import NetworkScenario

TINY = {
    "name": "tiny",
    "seed": 11,
    "duration_s": 8,
    "network": {"nodes": 4, "regions": ["us-east", "germany", "singapore", "brazil"], "permissions": "contract"},
    "qbft": {"block_period_s": 1, "request_timeout_s": 2},
    "load": {"kind": "fixed", "rate_per_s": 4, "senders": 3},
    "fault": [
        {"kind": "links", "at_s": 1, "until_s": 4, "loss_rate": 0.05, "jitter_ms": 20},
        {"kind": "crash", "at_s": 2.5, "until_s": 4.5, "nodes": [2]},
    ],
    "byzantine": [{"node": 1, "role": "equivocator"}],
}
PINNED = "399ee4a714260f36d15f6968f3be6d583f29c7f741aa88fdb44f1d456a737098"
"""Changes when behaviour does: then pin it anew, knowingly. It never changes with the machine."""
SCRIPT = """
import json, sys
from chainsec.network.run import play_scenario
from chainsec.network.scenario import NetworkScenario
print(play_scenario(NetworkScenario.model_validate(json.load(sys.stdin))).network.trace.digest)
"""


@pytest.fixture(scope="module")
def tiny():
    return NetworkScenario.model_validate(TINY)


@pytest.fixture(scope="module")
def played(tiny):
    return play_scenario(tiny)


def test_one_tiny_run_has_the_digest_that_it_has_always_had(played):
    assert played.network.trace.digest == PINNED


def test_the_same_seed_gives_the_same_events_blocks_and_times(tiny, played):
    again = play_scenario(tiny)
    assert again.network.trace.events == played.network.trace.events
    assert again.network.trace.digest == played.network.trace.digest
    assert again.network.agreement.finals == played.network.agreement.finals
    assert again.traffic.final_us == played.traffic.final_us


def test_another_seed_gives_other_keys_other_times_and_another_digest(tiny, played):
    other = play_scenario(tiny.model_copy(update={"seed": tiny.seed + 1}))
    assert other.network.trace.digest != played.network.trace.digest
    assert {node.address for node in other.network.nodes}.isdisjoint(node.address for node in played.network.nodes)
    assert other.network.agreement.violations == []


@pytest.mark.parametrize(
    "change",
    [
        {"fault": [TINY["fault"][0], {**TINY["fault"][1], "at_s": 2.500_001}]},
        {"fault": [{**TINY["fault"][0], "jitter_ms": 20.001}, TINY["fault"][1]]},
        {"machine": {"message_us": 301}},
    ],
)
def test_the_least_change_of_a_setting_shows_in_the_digest(played, change):
    other = play_scenario(NetworkScenario.model_validate(TINY | change))
    assert other.network.trace.digest != played.network.trace.digest


def test_no_hash_seed_of_a_process_shows_in_the_digest(played):
    digests = set()
    for seed in ("0", "4242"):
        ended = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            input=json.dumps(TINY),
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(ended.stdout.strip())
    assert digests == {played.network.trace.digest}


def test_who_watches_in_which_steps_changes_nothing(stage, tiny, played):
    watched = stage(**TINY)
    while watched.network.time_us + 137_500 < tiny.duration_s * 1_000_000:
        watched.run(0.137_5)
        assert watched.network.agreement.violations == []
    watched.network.run_until(round(tiny.duration_s * 1_000_000))
    assert watched.network.trace.events == played.network.trace.events
    assert watched.network.trace.digest == played.network.trace.digest
