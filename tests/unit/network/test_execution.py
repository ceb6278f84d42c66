"""Executing blocks: the same for whoever executes, once where it is shared, and no state of one block in another."""

from dataclasses import fields, replace

import pytest
from eth._utils.address import generate_contract_address
from eth.vm.interrupt import MissingAccountTrieNode
from hypothesis import given, settings
from hypothesis import strategies as st

from chainsec.errors import TransactionRefused
from chainsec.ledger.account import Account
from chainsec.ledger.evm import Genesis
from chainsec.network.execution import Executor, Plan, decode_raw, genesis_block
from chainsec.network.extradata import ExtraData
from chainsec.network.header import EMPTY_TRIE_ROOT, Block
from chainsec.primitives import Address

CHAIN_ID = 1337
START_S = 1_800_000_000
GAS_LIMIT = 30_000_000
SENDERS = [Account.derive(b"tests/execution", f"sender {number}") for number in range(3)]
SINK = Address(b"\x09" * 20)
VALIDATORS = (Address(b"\x01" * 20), Address(b"\x02" * 20))
GENESIS = Genesis(
    chain_id=CHAIN_ID,
    timestamp=START_S,
    gas_limit=GAS_LIMIT,
    balances=tuple(sorted((sender.address, 10**18) for sender in SENDERS)),
)
LOOK_AROUND = bytes.fromhex("41600055" + "42600155" + "43600255" + "6001430340600355" + "45600455")
"""Init code: keep the coinbase, the time, the number, the hash of the block before and the gas limit, slot by slot."""
REVERT = bytes.fromhex("60006000fd")
LOG = bytes.fromhex("602a60006000a1")


def pay(sender, nonce=0, value=1, **changes):
    parts = {"to": SINK, "gas": 21_000, "gas_price": 0, "chain_id": CHAIN_ID}
    return decode_raw(SENDERS[sender].sign(nonce=nonce, value=value, **{**parts, **changes}).raw)


def create(sender, code, nonce=0):
    return pay(sender, nonce, value=0, to=None, data=code, gas=300_000)


def open_executor(*, is_shared=False):
    executor = Executor(CHAIN_ID, is_shared=is_shared)
    root = executor.put_genesis(GENESIS)
    return executor, genesis_block(GENESIS, VALIDATORS, root).header


@pytest.fixture
def own():
    return open_executor()


@pytest.fixture
def shared():
    return open_executor(is_shared=True)


def plan(parent, *transactions, coinbase=VALIDATORS[0], timestamp=None, gas_limit=GAS_LIMIT):
    return Plan(parent, coinbase, timestamp or parent.timestamp + 1, gas_limit, transactions)


def follow(executor, made, hashes=()):
    """Execute a plan and return the header over it."""
    return executor.execute(made, hashes).header(made, ExtraData(VALIDATORS))


# What comes of a block


def test_a_block_changes_the_state_and_says_what_it_used(own):
    executor, genesis = own
    made = plan(genesis, pay(0, value=5), pay(1, gas_price=2))
    found = executor.execute(made, ())
    assert (found.transactions, found.rejected, found.has_failed) == (made.transactions, (), (False, False))
    assert (found.gas_used, found.bloom) == (42_000, 0)
    state = executor.state_of(found.header(made, ExtraData(())))
    assert state.get_balance(bytes(SINK)) == 6
    assert state.get_balance(bytes(VALIDATORS[0])) == 2 * 21_000
    assert [state.get_nonce(bytes(sender.address)) for sender in SENDERS] == [1, 1, 0]
    before = executor.state_of(genesis)
    assert before.get_balance(bytes(SINK)) == 0
    assert before.get_nonce(bytes(SENDERS[0].address)) == 0


def test_an_empty_block_leaves_the_state_as_it_is(own):
    executor, genesis = own
    found = executor.execute(plan(genesis), ())
    assert found.state_root == genesis.state_root
    assert found.transaction_root == found.receipt_root == EMPTY_TRIE_ROOT
    assert (found.transactions, found.rejected, found.gas_used, found.bloom) == ((), (), 0, 0)


def test_a_transaction_that_reverts_is_part_of_the_block_and_marked(own):
    executor, genesis = own
    found = executor.execute(plan(genesis, create(0, REVERT), pay(1)), ())
    assert found.has_failed == (True, False)
    assert found.rejected == ()
    assert found.gas_used > 21_000 + 53_000 - 1


def test_a_log_is_in_the_bloom(own):
    executor, genesis = own
    assert executor.execute(plan(genesis, create(0, LOG)), ()).bloom != 0


def test_what_cannot_be_part_of_a_block_is_left_out_with_a_reason_and_touches_nothing(own):
    executor, genesis = own
    good = pay(0)
    with_bad = executor.execute(plan(genesis, pay(1, nonce=3), good, pay(0), pay(2, value=10**19)), ())
    assert with_bad.transactions == (good,)
    assert len(with_bad.rejected) == 3
    assert all(with_bad.rejected)
    alone = open_executor()[0].execute(plan(genesis, good), ())
    assert replace(with_bad, rejected=()) == alone


def test_a_contract_sees_the_block_that_it_is_in(own):
    executor, genesis = own
    first = follow(executor, plan(genesis, pay(0)))
    made = plan(first, create(1, LOOK_AROUND), coinbase=VALIDATORS[1], timestamp=START_S + 77)
    header = follow(executor, made, [first.hash, genesis.hash])
    address = generate_contract_address(bytes(SENDERS[1].address), 0)
    seen = [executor.state_of(header).get_storage(address, slot) for slot in range(5)]
    assert seen == [
        int.from_bytes(bytes(VALIDATORS[1]), "big"),
        START_S + 77,
        2,
        int.from_bytes(first.hash, "big"),
        GAS_LIMIT,
    ]


# Headers over it


def test_a_header_over_an_execution_commits_to_it_and_any_other_claim_is_named(own):
    executor, genesis = own
    made = plan(genesis, pay(0), create(1, LOG))
    found = executor.execute(made, ())
    header = found.header(made, ExtraData(VALIDATORS, round=3))
    assert found.difference(header) is None
    assert (header.parent_hash, header.block_number) == (genesis.hash, 1)
    assert (header.coinbase, header.timestamp, header.gas_limit) == (made.coinbase, made.timestamp, made.gas_limit)
    assert header.extra == ExtraData(VALIDATORS, round=3)
    wrong = {
        "state root": {"state_root": bytes(32)},
        "transactions root": {"transaction_root": bytes(32)},
        "receipts root": {"receipt_root": bytes(32)},
        "gas used": {"gas_used": header.gas_used + 1},
        "bloom": {"bloom": header.bloom ^ 1},
    }
    for name, change in wrong.items():
        assert found.difference(replace(header, **change)) == f"executed here, its {name} is another"
    assert found.difference(replace(header, timestamp=1, coinbase=SINK)) is None, "those are others' rules"


def test_the_order_of_transactions_is_in_the_roots(own):
    executor, genesis = own
    one = executor.execute(plan(genesis, pay(0), pay(1)), ())
    other = executor.execute(plan(genesis, pay(1), pay(0)), ())
    assert one.state_root == other.state_root
    assert one.transaction_root != other.transaction_root


# Shared and own


plans = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 4), st.sampled_from(VALIDATORS), st.integers(1, 3)),
    min_size=1,
    max_size=8,
)
"""Blocks: on which earlier one, sender, value, who proposes, how long after its parent."""


def grow(executor, genesis, steps):
    """Execute a tree of blocks; return the headers in the order in which they came about."""
    headers, nonces = [genesis], {0: (0, 0, 0)}
    for back, sender, value, coinbase, step_s in steps:
        place = max(0, len(headers) - 1 - back)
        parent, counts = headers[place], nonces[place]
        made = plan(parent, pay(sender, counts[sender], value), coinbase=coinbase, timestamp=parent.timestamp + step_s)
        found = executor.execute(made, ())
        assert found.rejected == ()
        headers.append(found.header(made, ExtraData(VALIDATORS)))
        nonces[len(headers) - 1] = tuple(count + (who == sender) for who, count in enumerate(counts))
    return headers


@settings(max_examples=25)
@given(plans)
def test_whoever_executes_a_tree_of_blocks_finds_the_same_headers_shared_or_not(steps):
    (one, genesis), (other, _) = open_executor(), open_executor(is_shared=True)
    headers = grow(one, genesis, steps)
    assert grow(other, genesis, steps) == headers
    assert grow(other, genesis, steps) == headers
    assert one.executions == len(steps)
    assert other.executions == len({header.hash for header in headers[1:]})


@settings(max_examples=25)
@given(plans)
def test_no_block_of_a_tree_sees_what_only_another_branch_has_done(steps):
    """Each block's balances follow from its own ancestors, in whatever order branches were executed."""
    executor, genesis = open_executor(is_shared=True)
    headers = grow(executor, genesis, steps)
    received = {genesis.hash: 0}
    sent = {genesis.hash: (0, 0, 0)}
    for header, (_, sender, value, *_) in zip(headers[1:], steps, strict=True):
        received[header.hash] = received[header.parent_hash] + value
        sent[header.hash] = tuple(n + (who == sender) for who, n in enumerate(sent[header.parent_hash]))
    for header in headers:
        state = executor.state_of(header)
        assert state.get_balance(bytes(SINK)) == received[header.hash]
        assert tuple(state.get_nonce(bytes(each.address)) for each in SENDERS) == sent[header.hash]


def test_shared_execution_counts_a_block_once_and_own_execution_each_time(own, shared):
    for (executor, genesis), expected in ((own, 3), (shared, 1)):
        made = plan(genesis, pay(0))
        found = [executor.execute(plan(genesis, pay(0)), ()) for _ in range(3)]
        assert found == [executor.execute(made, ())] * 3
        assert executor.executions == expected + (not executor.is_shared)


@pytest.mark.parametrize(
    "change",
    [
        {"coinbase": VALIDATORS[1]},
        {"timestamp": START_S + 9},
        {"gas_limit": GAS_LIMIT - 1},
        {"transactions": (create(0, LOOK_AROUND), pay(1))},
        {"transactions": (pay(0),)},
        {"transactions": ()},
    ],
)
def test_whatever_a_block_follows_from_is_in_its_key(shared, change):
    executor, genesis = shared
    made = plan(genesis, create(0, LOOK_AROUND))
    first = executor.execute(made, ())
    other = replace(made, **change)
    assert other.key != made.key
    second = executor.execute(other, ())
    assert executor.executions == 2
    fresh, _ = open_executor()
    assert second == fresh.execute(other, ())
    assert executor.execute(made, ()) == first
    assert {each.name for each in fields(Plan)} == {"parent", "coinbase", "timestamp", "gas_limit", "transactions"}


def test_the_same_transactions_on_another_parent_are_another_execution(shared):
    executor, genesis = shared
    parents = [follow(executor, plan(genesis, timestamp=START_S + later)) for later in (1, 2)]
    assert parents[0].state_root == parents[1].state_root
    keys = {plan(parent, pay(0), timestamp=START_S + 9).key for parent in parents}
    assert len(keys) == 2


def test_a_candidate_that_nobody_agreed_on_leaves_no_trace_in_the_one_that_was(own):
    executor, genesis = own
    for value in (1, 2, 3):
        executor.execute(plan(genesis, pay(0, value=value), pay(1, value=value)), ())
    agreed = plan(genesis, pay(0, value=7))
    header = follow(executor, agreed)
    fresh, _ = open_executor()
    assert follow(fresh, agreed) == header
    state = executor.state_of(header)
    assert (state.get_balance(bytes(SINK)), state.get_nonce(bytes(SENDERS[1].address))) == (7, 0)


def test_changing_a_state_that_was_looked_at_changes_no_block(own):
    executor, genesis = own
    looked_at = executor.state_of(genesis)
    looked_at.set_balance(bytes(SINK), 10**30)
    assert executor.state_of(genesis).get_balance(bytes(SINK)) == 0
    executor.machine_of(genesis).state.set_balance(bytes(SINK), 10**30)
    header = follow(executor, plan(genesis, pay(0, value=4)))
    assert executor.state_of(header).get_balance(bytes(SINK)) == 4


def test_two_executors_share_nothing(own, shared):
    (one, genesis), (other, _) = own, shared
    header = follow(one, plan(genesis, pay(0)))
    assert other.executions == 0
    with pytest.raises(MissingAccountTrieNode):
        other.execute(plan(header, pay(1)), ())


def test_states_that_stand_elsewhere_can_be_taken_over(own):
    executor, genesis = own
    header = follow(executor, plan(genesis, pay(0)))
    third = Executor(CHAIN_ID)
    third.put_nodes(dict(executor._db.wrapped_db.kv_store).items())
    assert third.state_of(header).get_balance(bytes(SINK)) == 1
    assert follow(third, plan(header, pay(1))) == follow(executor, plan(header, pay(1)))


# Transactions and the first block


def test_the_same_bytes_are_decoded_once_and_what_is_no_transaction_each_time():
    raw = SENDERS[0].sign(nonce=99, to=SINK, gas=21_000, chain_id=CHAIN_ID).raw
    assert decode_raw(raw) is decode_raw(bytes(raw))
    for bad in (b"", b"\xc0", raw[:-1], b"\x7f" + raw):
        for _ in range(2):
            with pytest.raises(TransactionRefused, match="not a valid transaction"):
                decode_raw(bad)


def test_a_form_that_no_block_may_hold_is_no_transaction():
    too_much_code = SENDERS[0].sign(nonce=0, to=None, data=bytes(49_153), gas=5_000_000, chain_id=CHAIN_ID)
    with pytest.raises(TransactionRefused, match="init code of 49,153 bytes"):
        decode_raw(too_much_code.raw)


def test_the_first_block_lists_its_validators_in_order_whatever_order_they_are_given_in():
    root = Executor(CHAIN_ID).put_genesis(GENESIS)
    block = genesis_block(GENESIS, VALIDATORS[::-1], root)
    assert block == genesis_block(GENESIS, VALIDATORS, root)
    assert block.header.extra == ExtraData(VALIDATORS)
    assert (block.number, block.header.timestamp, block.header.gas_limit) == (0, START_S, GAS_LIMIT)
    assert block.header.state_root == root
    assert block.header.parent_beacon_block_root == bytes(32)
    assert Block.decode(block.encoded) == block
    richer = replace(GENESIS, balances=((SENDERS[0].address, 1),))
    assert Executor(CHAIN_ID).put_genesis(richer) != root
