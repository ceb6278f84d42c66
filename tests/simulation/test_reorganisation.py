"""A network that takes blocks back: the agent decides once, and what it did comes to stand again."""

import pytest

from chainsec.defence.detectors import UseMonitor
from chainsec.defence.training import train_risk_model
from chainsec.journal import Journal
from chainsec.ledger.anvil import Anvil
from chainsec.ledger.engine import open_engine
from chainsec.sandbox import Sandbox
from chainsec.services.access import Status

FREE = ("--block-base-fee-per-gas", "0", "--gas-price", "0")


@pytest.fixture(params=["immediate", 2])
def box(request, anvil_program):
    """A system on a node that makes its own blocks, one for each transaction."""
    with Anvil(program=anvil_program, arguments=FREE) as node:
        engine = open_engine(node.url, block_production="node", finality=request.param)
        with Sandbox(engine=engine, key_seed=b"tests/reorganisation") as opened:
            yield opened


def command(box, method, *params):
    return box.engine.web3.provider.make_request(method, list(params))["result"]


def decisions_of(box, request):
    grants = box.deployment.access.contract
    return grants.events("AccessDecided", 0, box.engine.head().number, request=request.id)


def test_a_request_that_fell_out_of_the_chain_with_its_decision_comes_back_with_it(box):
    box.add_organisation("clinic")
    for name in ("ann", "ben"):
        box.add_member("clinic", name)
    chart = box.add_asset("patient", b"the chart", sensitivity=1)
    box.give_consent("patient", chart, "clinic", "treatment")
    receipts = Journal(None)
    agent = box.start_agent(train_risk_model([], []), UseMonitor(), receipts=receipts)
    first = box.request("ann", chart, "treatment")
    command(box, "anvil_mine", "0x3")
    [decided] = agent.step()
    assert decided["request"] == str(first.id)
    second = box.request("ben", chart, "treatment")
    depth = box.engine.head().number - decisions_of(box, first)[0].block_number + 2
    command(box, "anvil_reorg", depth, [])
    assert decisions_of(box, first) == []
    assert box.deployment.access.status_of(second.id) is Status.NONE

    command(box, "anvil_mine", "0x3")
    later = agent.step()
    command(box, "anvil_mine", "0x3")
    later += agent.step()
    assert [receipt["request"] for receipt in later] == [str(second.id)]
    assert [len(decisions_of(box, request)) for request in (first, second)] == [1, 1]
    assert box.deployment.access.status_of(first.id) is box.deployment.access.status_of(second.id) is Status.GRANTED
    assert len(receipts) == 2
    command(box, "anvil_mine", "0x3")
    assert agent.step() == []
