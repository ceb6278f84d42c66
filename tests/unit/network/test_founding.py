"""What a network begins with: the first block, or a chain that was laid, with every state behind it."""

from dataclasses import replace
from itertools import pairwise

import pytest
from eth._utils.address import generate_contract_address

from chainsec.ledger.account import Account
from chainsec.ledger.evm import Genesis
from chainsec.ledger.local import LocalEngine
from chainsec.ledger.store import Store
from chainsec.network.execution import Executor, Plan, decode_raw
from chainsec.network.extradata import ExtraData
from chainsec.network.founding import Founding, executed_header, found_empty, found_on, founding_blocks
from chainsec.primitives import Address

CHAIN_ID = 1337
SENDER = Account.derive(b"tests/founding", "sender")
SINK = Address(b"\x09" * 20)
VALIDATORS = [Address(bytes([number]) * 20) for number in (7, 3, 5)]
GENESIS = Genesis(chain_id=CHAIN_ID, timestamp=1_800_000_000, balances=((SENDER.address, 10**18),))
COUNTER = bytes.fromhex("69" + "60005460010160005500" + "600052" + "600a6016f3")
"""Init code of a contract that adds one to slot 0 whenever it is called."""
COUNTER_ADDRESS = generate_contract_address(bytes(SENDER.address), 0)


def sign(nonce, **changes):
    parts = {"to": SINK, "gas": 200_000, "chain_id": CHAIN_ID}
    return SENDER.sign(nonce=nonce, **{**parts, **changes}).raw


def call(nonce):
    return sign(nonce, to=Address(COUNTER_ADDRESS))


@pytest.fixture(scope="module")
def laid():
    """Give a chain of four blocks: a contract, two calls in one block, nothing, a payment."""
    with LocalEngine(Store(), GENESIS) as engine:
        for raws in ([sign(0, to=None, data=COUNTER)], [call(1), call(2)], [], [sign(3, value=5)]):
            for raw in raws:
                engine.send(raw)
            engine.mine(engine.head().timestamp + 10)
        yield engine


@pytest.fixture(scope="module")
def founding(laid):
    return found_on(laid, VALIDATORS)


def test_founding_blocks_are_the_chains_under_headers_as_validators_write_them(founding, laid):
    blocks = founding.blocks
    assert [block.number for block in blocks] == [0, 1, 2, 3, 4]
    for block in blocks:
        header, own = block.header, laid.sealed_block(block.number)
        assert header.extra == ExtraData(tuple(sorted(VALIDATORS)))
        for name in ("state_root", "transaction_root", "receipt_root", "bloom", "gas_used", "gas_limit", "timestamp"):
            assert getattr(header, name) == getattr(own.header, name), name
        assert header.coinbase == own.header.coinbase
        assert block.transactions == tuple(each.encode() for each in own.transactions)
    assert [len(block.transactions) for block in blocks] == [0, 1, 2, 0, 1]
    assert blocks[2].transactions == (call(1), call(2))
    assert founding.genesis == GENESIS


def test_each_names_the_one_before_by_what_validators_call_it(founding, laid):
    for one, two in pairwise(founding.blocks):
        assert two.header.parent_hash == one.header.hash
    assert founding.blocks[0].header.parent_hash == bytes(32)
    assert founding.blocks[0].header.parent_beacon_block_root == bytes(32)
    assert all(block.header.parent_beacon_block_root is None for block in founding.blocks[1:])
    assert founding.blocks[4].header.hash != laid.head().hash, "the engine's own headers are others"


def test_the_order_in_which_validators_are_named_does_not_matter_and_who_they_are_does(founding, laid):
    assert found_on(laid, VALIDATORS[::-1]).blocks == founding.blocks
    others = found_on(laid, VALIDATORS[:2]).blocks
    assert {one.header.hash for one in others}.isdisjoint(block.header.hash for block in founding.blocks)


@pytest.mark.parametrize("height", range(5))
def test_blocks_up_to_a_height_are_the_beginning_of_all_and_do_not_depend_on_what_follows(founding, laid, height):
    assert founding_blocks(laid, VALIDATORS, height) == founding.blocks[: height + 1]


def test_every_state_can_be_executed_on_by_an_executor_of_its_own(founding):
    executor = Executor(CHAIN_ID)
    founding.provide(executor)
    counts = [executor.state_of(block.header).get_storage(COUNTER_ADDRESS, 0) for block in founding.blocks]
    assert counts == [0, 0, 2, 2, 2]
    paid = [executor.state_of(block.header).get_balance(bytes(SINK)) for block in founding.blocks]
    assert paid == [0, 0, 0, 0, 5]
    head = founding.blocks[-1].header
    made = Plan(head, VALIDATORS[0], head.timestamp + 1, head.gas_limit, (decode_raw(call(4)),))
    found = executor.execute(made, [])
    assert found.has_failed == (False,)
    assert executor.state_of(found.header(made, ExtraData(()))).get_storage(COUNTER_ADDRESS, 0) == 3


def test_executing_the_laid_blocks_again_gives_their_headers(founding):
    executor = Executor(CHAIN_ID)
    executor.put_genesis(GENESIS)
    hashes = [founding.blocks[0].header.hash]
    for parent, block in pairwise(founding.blocks):
        header = block.header
        transactions = tuple(decode_raw(raw) for raw in block.transactions)
        made = Plan(parent.header, header.coinbase, header.timestamp, header.gas_limit, transactions)
        found = executor.execute(made, hashes)
        assert found.difference(header) is None
        assert found.header(made, header.extra) == header
        hashes.insert(0, header.hash)


def test_what_executors_do_afterwards_stays_theirs(founding, laid):
    before, root = len(founding.nodes), laid.head().state_root
    one, other = Executor(CHAIN_ID), Executor(CHAIN_ID)
    for executor in (one, other):
        founding.provide(executor)
    head = founding.blocks[-1].header
    made = Plan(head, VALIDATORS[0], head.timestamp + 1, head.gas_limit, (decode_raw(call(4)),))
    after = one.execute(made, []).header(made, ExtraData(()))
    assert (len(founding.nodes), laid.head().state_root) == (before, root)
    assert after.state_root not in {key for key, _ in founding.nodes}
    assert after.state_root not in other._db
    assert head.state_root in other._db


def test_the_first_block_alone_is_what_a_chain_without_further_blocks_gives():
    executor = Executor(CHAIN_ID)
    empty = found_empty(GENESIS, VALIDATORS, executor)
    with LocalEngine(Store(), GENESIS) as engine:
        assert found_on(engine, VALIDATORS).blocks == empty.blocks
    assert len(empty.blocks) == 1
    assert empty.nodes is None
    assert executor.state_of(empty.blocks[0].header).get_balance(bytes(SENDER.address)) == 10**18


def test_a_founding_on_the_first_block_gives_every_executor_its_state():
    empty = found_empty(GENESIS, VALIDATORS, Executor(CHAIN_ID))
    fresh = Executor(CHAIN_ID)
    empty.provide(fresh)
    assert fresh.state_of(empty.blocks[0].header).get_balance(bytes(SENDER.address)) == 10**18
    poorer = Founding(empty.blocks, replace(GENESIS, balances=()))
    other = Executor(CHAIN_ID)
    poorer.provide(other)
    assert empty.blocks[0].header.state_root not in other._db


def test_a_header_over_an_executed_block_takes_from_the_chain_all_but_what_it_is_given(laid):
    extra = ExtraData((VALIDATORS[0],), round=4).encode()
    header = executed_header(laid, 2, parent_hash=b"\x05" * 32, coinbase=VALIDATORS[1], extra_data=extra)
    assert (header.parent_hash, header.coinbase, header.extra_data) == (b"\x05" * 32, VALIDATORS[1], extra)
    assert (header.block_number, header.state_root) == (2, laid.block(2).state_root)
    assert header.gas_used == laid.block(2).gas_used > 0
