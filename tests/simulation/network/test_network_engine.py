"""An engine on a network: the same contracts and answers as on one chain, with times that the network gives."""

from dataclasses import replace
from itertools import pairwise

import pytest

from chainsec.config import Config
from chainsec.errors import LedgerError
from chainsec.ledger.account import Account
from chainsec.ledger.engine import open_engine
from chainsec.ledger.evm import Genesis
from chainsec.network.blockrules import check_header, check_seals
from chainsec.network.engine import NetworkEngine
from chainsec.network.links import load_matrix
from chainsec.network.plan import NetworkPlan
from chainsec.network.surroundings import QbftSettings
from chainsec.primitives import Decision, Hash32, Verdict
from chainsec.purposes import find_purpose
from chainsec.sandbox import Sandbox
from chainsec.services.access import Status

CHAIN = Config().chain
RECEIPT = Hash32(bytes(31) + b"\x01")
KEYS = b"tests/network engine"
SECOND_US = 1_000_000
A_DAY_S = 86_400


def plan(validators=4, links="wan", **changes):
    matrix = load_matrix(links)
    return NetworkPlan(
        seed=3,
        genesis=Genesis(chain_id=CHAIN.chain_id, timestamp=CHAIN.genesis_time_s),
        matrix=matrix,
        regions=tuple(matrix.regions[place % len(matrix.regions)] for place in range(validators)),
        validators=validators,
        qbft=QbftSettings(block_period_s=1, request_timeout_s=2),
        **changes,
    )


def tell(box, go_live=lambda: None):
    """Play a request, its grant and its revocation; return what the contracts say after each."""
    access = box.deployment.access
    house, ann = box.add_organisation("clinic"), box.add_member("clinic", "ann")
    scan = box.add_asset("patient", b"the scan", sensitivity=1)
    box.give_consent("patient", scan, "clinic", "treatment")
    go_live()
    purpose = find_purpose("treatment").hash
    said = []

    def look():
        said.append((access.status_of(request.id), access.has_access(ann.address, scan, purpose)))

    request = box.request("ann", scan, "treatment")
    look()
    box.deployment.sentinel.decide(box.keys.agent, [Decision(request, Verdict.GRANT, RECEIPT)])
    box.client.settle()
    look()
    box.deployment.sentinel.revoke(box.keys.agent, request, RECEIPT)
    box.client.settle()
    look()
    return said, house.address


@pytest.fixture(scope="module")
def story():
    """Give an engine on which a sandbox has played its story, what it saw, and the height at which it went live."""
    engine = NetworkEngine(plan())
    with Sandbox(engine=engine, key_seed=KEYS) as box:
        heights = []

        def go_live():
            heights.append(engine.height)
            engine.go_live()

        said, _ = tell(box, go_live)
        engine.let_arrive()
        yield engine, said, heights[0]


def test_contracts_answer_as_they_do_on_one_chain(story):
    _, said, _ = story
    with Sandbox(engine=open_engine(genesis_time=CHAIN.genesis_time_s), key_seed=KEYS) as alone:
        expected, _ = tell(alone)
    assert said == expected
    assert [status for status, _ in said][:2] == [Status.PENDING, Status.GRANTED]
    assert [has for _, has in said] == [False, True, False]


def test_what_was_laid_before_stands_at_every_validator_and_goes_on_there(story):
    engine, _, laid = story
    network = engine.network
    assert laid > 5
    assert network.agreement.founded == laid + 1
    for node in network.nodes:
        assert node.chain.height >= engine.height
        for number in range(engine.height + 1):
            header, block = node.chain.blocks[number].header, engine.block(number)
            assert (header.state_root, header.timestamp, header.gas_used) == (
                block.state_root,
                block.timestamp,
                block.gas_used,
            )
            assert len(node.chain.blocks[number].transactions) == len(block.transaction_hashes)
    assert [node.chain.executor.executions > 0 for node in network.nodes] == [True] * 4
    assert network.agreement.violations == []


def test_every_live_block_is_sealed_by_a_quorum_and_its_header_is_kept(story):
    engine, _, laid = story
    first, *live = engine.headers
    validators = tuple(sorted(node.address for node in engine.network.nodes))
    assert first.block_number == laid
    assert first.extra.seals == ()
    assert [header.block_number for header in live] == list(range(laid + 1, engine.height + 1))
    for parent, header in pairwise(engine.headers):
        assert check_header(header, parent, validators, block_period_s=1, now_us=2**62) is None
        assert check_seals(header, validators) is None


def test_each_settlement_was_sent_before_it_was_final_and_final_in_the_blocks_that_hold_it(story):
    engine, _, laid = story
    assert len(engine.settlements) >= 3
    assert engine.settlements[0].head_block == laid
    for found in engine.settlements:
        assert found.head_block < found.first_block <= found.last_block
        times = engine.final_us(found)
        assert times.keys() == found.reached == {0, 1, 2, 3}
        assert all(found.sent_us < final_us < found.sent_us + 5 * SECOND_US for final_us in times.values())
        assert engine.block(found.last_block).transaction_hashes
    for earlier, later in pairwise(engine.settlements):
        assert engine.final_us(earlier)[earlier.entry] <= later.sent_us
        assert earlier.last_block < later.first_block


@pytest.fixture
def live():
    """Give an engine on a network that has nothing but its first block behind it."""
    engine = NetworkEngine(plan())
    engine.go_live()
    yield engine
    engine.close()


def send(engine, nonce=0):
    account = Account.derive(KEYS, "sender")
    signed = account.sign(nonce=nonce, to=account.address, gas=21_000, chain_id=CHAIN.chain_id)
    return engine.send(signed.raw)


def test_what_is_sent_together_is_in_the_blocks_that_mining_waits_for(live):
    hashes = [send(live, nonce) for nonce in range(5)]
    block = live.mine()
    found = [live.transaction(key) for key in hashes]
    assert all(live.settlements[0].first_block <= each.block_number <= block.number for each in found)
    live.let_arrive()
    assert {node.chain.blocks[block.number].header.hash for node in live.network.nodes} == {live.headers[-1].hash}


def test_without_anything_to_send_mining_waits_for_the_next_block(live):
    before = live.height
    block = live.mine()
    assert block.number == before + 1
    assert not block.transaction_hashes
    assert live.settlements == []


def test_a_long_quiet_stretch_is_cut_out_and_the_rhythm_goes_on(live):
    live.mine()
    height, passed_us, events = live.height, live.network.time_us, len(live.network.trace.events)
    wanted_s = live.head().timestamp + 30 * A_DAY_S
    send(live)
    block = live.mine(wanted_s)
    assert wanted_s <= block.timestamp < wanted_s + 12
    assert live.network.time_us - passed_us < 12 * SECOND_US, "thirty days take a few seconds of virtual time"
    assert block.number - height < 12
    assert len(live.network.trace.events) - events < 400
    later = [live.mine() for _ in range(5)]
    steps = [two.timestamp - one.timestamp for one, two in pairwise([block, *later])]
    assert steps == [1] * 5
    assert live.network.agreement.violations == []
    assert {header.extra.round for header in live.headers[1:]} == {0}


def test_a_time_that_is_nearly_reached_cuts_nothing_out(live):
    live.mine()
    jumped_us = live.network.origin_us
    send(live)
    live.mine(live.head().timestamp + 2)
    assert live.network.origin_us == jumped_us


def test_an_answer_goes_out_at_once_and_clients_come_at_any_point_between_two_blocks(live):
    """A second apart are the blocks; what answers one of them is sent at the same point after each."""
    send(live)
    live.mine(live.head().timestamp + A_DAY_S)
    answers, arrivals, nonce = [], [], 1
    for _ in range(12):
        for found, has_arrivals in ((answers, False), (arrivals, True)):
            if has_arrivals:
                live.note_arrivals()
            send(live, nonce)
            nonce += 1
            live.mine(live.head().timestamp + 1)
            found.append(live.settlements[-1].sent_us % SECOND_US)
    assert max(answers) - min(answers) < SECOND_US / 10
    assert max(arrivals) - min(arrivals) > SECOND_US / 2
    assert len({moment // (SECOND_US // 5) for moment in arrivals}) >= 4


def test_times_never_go_back_over_jumps(live):
    for nonce in range(4):
        send(live, nonce)
        live.mine(live.head().timestamp + A_DAY_S)
    clocks = [found.clock_s for found in live.settlements]
    assert clocks == sorted(clocks)
    stamps = [live.block(number).timestamp for number in range(live.height + 1)]
    assert all(one < two for one, two in pairwise(stamps))
    for found in live.settlements:
        assert live.block(found.first_block).timestamp >= found.clock_s - 1


@pytest.mark.parametrize(
    ("condition", "out", "roles"),
    [("down", {3}, 0), ("partition", {3}, 0), ("byzantine", set(), 1)],
)
def test_with_as_much_wrong_as_qbft_bears_everything_is_still_agreed_on(condition, out, roles):
    engine = NetworkEngine(plan(links="lan"), condition)
    engine.go_live()
    for nonce in range(3):
        send(engine, nonce)
        engine.mine()
    assert len(engine.network.plan.roles) == roles
    assert engine.network.agreement.violations == []
    engine.let_arrive()
    liars = set(engine.network.plan.roles)
    for found in engine.settlements:
        assert engine.final_us(found).keys() == found.reached == {0, 1, 2, 3} - out - liars
    assert len(engine.settlements) == 3
    engine.close()


def test_a_network_that_cannot_agree_any_more_is_an_error_that_says_so(live):
    for node in live.network.nodes[2:]:
        live.network.crash(node)
    send(live)
    before = live.height
    with pytest.raises(LedgerError, match="4 QBFT validators: no block with what was sent for 3600 s"):
        live.mine()
    assert live.height == before


def test_a_validator_state_that_is_not_the_engines_is_an_error_that_names_the_block(live):
    send(live)
    network = live.network

    def tamper(node, block):
        node.chain.blocks[block.number] = block.with_header(replace(block.header, state_root=bytes(32)))

    network.on_import.append(tamper)
    with pytest.raises(LedgerError, match=r"block 1: executed here, its state is another than the validators'"):
        live.mine()


def test_the_chain_of_the_same_plan_is_the_same_each_time():
    heads = set()
    for _ in range(2):
        engine = NetworkEngine(plan(links="lan"))
        engine.go_live()
        send(engine)
        engine.mine(CHAIN.genesis_time_s + A_DAY_S)
        heads.add((engine.headers[-1].encoded, engine.network.trace.digest))
        engine.close()
    assert len(heads) == 1
