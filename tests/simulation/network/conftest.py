"""Networks in virtual time: shipped scenarios cut short, and small ones described in place."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from chainsec.network.faults import plan_faults
from chainsec.network.load import Traffic
from chainsec.network.measure import measure_variant
from chainsec.network.run import plan_network, play_scenario
from chainsec.network.scenario import NetworkScenario, load_scenario
from chainsec.network.simulation import Simulation

if TYPE_CHECKING:
    from chainsec.network.report_schema import VariantReport

SECOND_US = 1_000_000
NEAR = ["us-east", "germany", "uk", "us-west"]


def describe(*, nodes=4, duration_s=12, rate_per_s=2, **sections) -> NetworkScenario:
    """Return a small scenario; sections take the place of what stands here, key by key."""
    content = {
        "name": "small",
        "seed": 11,
        "duration_s": duration_s,
        "network": {"nodes": nodes, "regions": NEAR},
        "qbft": {"block_period_s": 1, "request_timeout_s": 2},
        "load": {"kind": "fixed", "rate_per_s": rate_per_s, "senders": 3} if rate_per_s else {"kind": "none"},
    }
    for name, section in sections.items():
        content[name] = {**content.get(name, {}), **section} if isinstance(section, dict) else section
    return NetworkScenario.model_validate(content)


class Stage:
    """A network that is set up, not started yet, and can be stopped at any time to act on it."""

    def __init__(self, scenario: NetworkScenario) -> None:
        self.scenario = scenario
        self.network = Simulation(plan_network(scenario))
        has_contract = scenario.network.permissions == "contract"
        end_us = round(scenario.duration_s * SECOND_US)
        self.traffic = Traffic(self.network, scenario.load, end_us, has_permissions=has_contract)
        plan_faults(self.network, scenario.fault, self.traffic)
        self.network.start()

    @property
    def nodes(self):
        return self.network.nodes

    @property
    def desk(self):
        return self.traffic.desk

    def run(self, seconds: float) -> None:
        """Let virtual seconds pass."""
        self.network.run_until(self.network.time_us + round(seconds * SECOND_US))

    def send(self, node: int = 0, raws=None) -> list[str | None]:
        """Hand in at a node what the desk has signed, or these transactions."""
        entry = self.nodes[node]
        entry.begin(self.network.time_us)
        return entry.submit(self.traffic._drafts.take() if raws is None else raws)

    def heights(self) -> list[int]:
        return [node.chain.height for node in self.nodes]

    def hashes(self, height: int, whose=None) -> set[bytes]:
        """Return the hashes of the blocks that nodes hold at a height."""
        return {self.nodes[who].chain.blocks[height].header.hash for who in whose or range(len(self.nodes))}

    def events(self, event: str, node: int | None = None):
        return [e for e in self.network.trace.events if e.event == event and node in {None, e.node}]

    def reasons(self, node: int | None = None) -> Counter[str]:
        return Counter(event.detail for event in self.events("rejected", node))


def report_of(scenario: NetworkScenario) -> VariantReport:
    """Play a scenario and return its figures."""
    return measure_variant("as it stands", play_scenario(scenario))


def shipped(name: str, variant: str = "as it stands", **changes) -> NetworkScenario:
    """Return a shipped scenario, or one of its variants; ``changes`` by key, ``load__rate_per_s`` in a section."""
    scenario, _ = load_scenario(name)
    found = dict(scenario.variants())[variant]
    for key, value in changes.items():
        section, _, inner = key.partition("__")
        part = getattr(found, section).model_copy(update={inner: value}) if inner else value
        found = found.model_copy(update={section: part})
    return found


@pytest.fixture(scope="session")
def small_network():
    """Give what describes a small scenario."""
    return describe


@pytest.fixture(scope="session")
def stage():
    """Give what sets a network up that a test acts on while it runs."""
    return lambda **changes: Stage(describe(**changes))


@pytest.fixture(scope="session")
def play():
    """Give what plays a scenario and measures it."""
    return report_of


@pytest.fixture(scope="session")
def shipped_scenario():
    """Give what finds a shipped scenario, with changes."""
    return shipped
