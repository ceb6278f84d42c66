"""A network that takes blocks back: the agent decides once, and what it did comes to stand again."""

import pytest

from chainsec.defence.detectors import UseMonitor
from chainsec.defence.training import train_risk_model
from chainsec.errors import LedgerError
from chainsec.journal import Journal
from chainsec.ledger.anvil import Anvil
from chainsec.ledger.engine import open_engine
from chainsec.ledger.outbox import Outbox
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


def prepared(box):
    """Introduce somebody who may ask, and return what for."""
    box.add_organisation("clinic")
    box.add_member("clinic", "ann")
    chart = box.add_asset("patient", b"the chart", sensitivity=1)
    box.give_consent("patient", chart, "clinic", "treatment")
    return chart


@pytest.mark.parametrize("box", [3], indirect=True)
def test_a_request_whose_decision_alone_fell_out_is_decided_by_whoever_reads_on(box):
    """The agent that decided has ended, and nobody sends its decision again."""
    chart = prepared(box)
    ended = box.start_agent(train_risk_model([], []), UseMonitor(), receipts=Journal(None))
    request = box.request("ann", chart, "treatment")
    command(box, "anvil_mine", "0x3")
    assert len(ended.step()) == 1
    box.client._outbox = Outbox(box.engine, is_replay=False, patience_s=20)
    agent = box.start_agent(train_risk_model([], []), UseMonitor(), receipts=Journal(None))
    assert agent.step() == []
    command(box, "anvil_reorg", 1, [])
    assert box.deployment.access.status_of(request.id) is Status.PENDING
    later = []
    for _ in range(4):
        command(box, "anvil_mine", "0x3")
        later += agent.step()
    assert [receipt["request"] for receipt in later] == [str(request.id)]
    assert box.deployment.access.status_of(request.id) is Status.GRANTED
    assert len(decisions_of(box, request)) == 1


@pytest.mark.parametrize("box", ["immediate"], indirect=True)
def test_an_agent_whose_network_stood_still_and_forgot_its_pool_goes_on(box):
    chart = prepared(box)
    receipts = Journal(None)
    agent = box.start_agent(train_risk_model([], []), UseMonitor(), receipts=receipts)
    request = box.request("ann", chart, "treatment")
    command(box, "evm_setAutomine", False)  # noqa: FBT003 - a parameter of the node's
    box.client._outbox._patience_s = 0.3
    with pytest.raises(LedgerError, match="0 of 1 transactions were mined"):
        agent.step()
    command(box, "anvil_dropAllTransactions")
    command(box, "evm_setAutomine", True)  # noqa: FBT003 - as above
    box.client._outbox._patience_s = 20
    assert [receipt["request"] for receipt in agent.step()] == [str(request.id)]
    assert agent.step() == []
    assert box.deployment.access.status_of(request.id) is Status.GRANTED
    assert (len(decisions_of(box, request)), len(receipts)) == (1, 1)
