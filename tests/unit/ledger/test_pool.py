import itertools

import pytest
import rlp
from hypothesis import given, settings
from hypothesis import strategies as st

from chainsec.digest import keccak
from chainsec.errors import LedgerError
from chainsec.ledger.account import Account
from chainsec.ledger.engine import CallReverted, open_engine
from chainsec.ledger.evm import build_block
from chainsec.ledger.pool import decode_transaction
from chainsec.ledger.verify import verify_chain

BLOB = b"\x01" + bytes(31)
CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
STRANGER = Account.derive(b"tests", "stranger")


def signed(account, nonce, **options):
    options = {"to": bytes(20), "gas": 21_000, "chain_id": 1337} | options
    return account.sign(nonce=nonce, **options)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda a: signed(a, 0, chain_id=1), "chain id 1, not 1337"),
        (lambda a: signed(a, 0, gas=2_000_000_000), "over the block's limit"),
        (lambda a: signed(a, 0, gas=20_000), "not a valid transaction"),
        (lambda _: signed(STRANGER, 0, value=1), "insufficient funds"),
        (lambda _: signed(STRANGER, 0, gas_price=1), "insufficient funds"),
    ],
)
def test_what_no_block_could_hold_is_refused_on_entry(engine, alice, make, words):
    with pytest.raises(LedgerError, match=words):
        engine.send(make(alice).raw)
    assert engine.mine().transaction_hashes == ()


def typed(account, kind, nonce, *, fees=(0, 0), gas=50_000, to=bytes(20), data=b"", more=(), has_high_s=False):
    """Return a signed transaction of a type that ``Account.sign`` does not make, rules kept or not."""
    fields = [1337, nonce, *fees, gas, to, 0, data, [], *more]
    signature = account.sign_digest(keccak(bytes([kind]) + rlp.encode(fields)))
    parity, r, s = signature[64] - 27, int.from_bytes(signature[:32]), int.from_bytes(signature[32:64])
    if has_high_s:
        parity, s = 1 - parity, CURVE_ORDER - s
    return bytes([kind]) + rlp.encode([*fields, parity, r, s])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda a: typed(a, 2, 0, gas=20_000), "gas 20,000 is under the 21,000"),
        (lambda a: typed(a, 2, 0, fees=(2, 1)), "max_priority_fee_per_gas is over max_fee_per_gas"),
        (lambda a: typed(a, 2, 0, has_high_s=True), "upper half"),
        (lambda a: typed(a, 2, 0, to=b"", data=bytes(49_153), gas=10**7), "init code of 49,153 bytes, over 49,152"),
        (lambda a: typed(a, 2, 0, to=b"", data=bytes(32), gas=53_000 + 32 * 4), "gas 53,128 is under the 53,130"),
        (lambda a: typed(a, 3, 0, more=(1, [])), "0 blobs, not 1 to 6"),
        (lambda a: typed(a, 3, 0, more=(1, [BLOB] * 7)), "7 blobs, not 1 to 6"),
        (lambda a: typed(a, 3, 0, more=(1, [bytes(32)])), "another version than 1"),
        (lambda a: typed(a, 3, 0, more=(1, [b"\x01"])), "another version than 1|not a valid"),
        (lambda a: typed(a, 3, 0, more=(0, [BLOB])), "no fee is offered for the blobs"),
        (lambda a: typed(a, 3, 0, more=(2**200, [BLOB])), "insufficient funds"),
    ],
)
def test_what_the_rules_forbid_in_every_block_is_refused_and_its_sender_goes_on(engine, alice, make, words):
    with pytest.raises(LedgerError, match=words):
        engine.send(make(alice))
    engine.send(signed(alice, 0).raw)
    assert len(engine.mine().transaction_hashes) == 1


def test_blobs_beyond_what_a_block_can_hold_wait_for_the_next_one(engine, alice):
    for nonce in range(2):
        engine.send(typed(alice, 3, nonce, more=(1, [BLOB] * 4)))
    assert [len(engine.mine().transaction_hashes) for _ in range(3)] == [1, 1, 0]


@pytest.mark.parametrize(
    "make",
    [
        lambda a: typed(a, 2, 0, fees=(0, 10**9), gas=20_000),
        lambda a: typed(a, 2, 0, to=b"", data=bytes(60_000), gas=10**7),
    ],
)
def test_what_turns_out_to_be_forbidden_while_it_is_executed_leaves_no_trace(tmp_path, alice, bob, make):
    """Nothing of the kind gets into a pool; a block that is handed one has to stand all the same."""
    path = tmp_path / "chain.sqlite"
    with open_engine(path=path, accounts=[alice, bob]) as engine:
        funds = engine.balance(alice.address)
        builder = engine.chain.get_transaction_builder()
        engine.pool.add(decode_transaction(builder, make(alice)))
        engine.send(signed(bob, 0).raw)
        assert len(engine.mine().transaction_hashes) == 1
        assert (engine.nonce(alice.address), engine.balance(alice.address), len(engine.pool)) == (0, funds, 0)
        hostile, honest = decode_transaction(builder, make(alice)), decode_transaction(builder, signed(bob, 1).raw)
        built = build_block(engine.chain, [hostile, honest], timestamp=engine.head().timestamp + 1)
        assert [one for one, _ in built.rejected] == [hostile]
        assert built.transactions == (honest,)
        engine.store.rollback()
    assert verify_chain(path).transactions == 1


def test_init_code_that_is_too_long_is_a_failed_call_and_no_traceback(engine):
    with pytest.raises(CallReverted, match="OutOfGas"):
        engine.call(None, bytes(60_000))
    with pytest.raises(CallReverted, match="OutOfGas"):
        engine.estimate(None, bytes(60_000))


def test_a_used_nonce_is_refused(engine, alice):
    engine.send(signed(alice, 0).raw)
    engine.mine()
    with pytest.raises(LedgerError, match="nonce too low"):
        engine.send(signed(alice, 0, value=1).raw)


def test_a_broken_signature_is_refused(engine, alice):
    fields = rlp.decode(signed(alice, 0).raw)
    for place, value in ((7, bytes(32)), (7, b"\xff" * 32), (8, b"\xff" * 32), (6, b"\x01"), (6, b"")):
        broken = list(fields)
        broken[place] = value
        with pytest.raises(LedgerError, match="not a valid transaction"):
            engine.send(rlp.encode(broken))
    assert len(engine.pool) == 0


@settings(max_examples=80, deadline=None)
@given(raw=st.binary(max_size=300))
def test_garbage_is_refused_with_one_kind_of_error(raw):
    with pytest.raises(LedgerError):
        ENGINE.send(raw)


ENGINE = open_engine(accounts=[Account.derive(b"tests", "alice")])


def test_the_same_transaction_twice_waits_once(engine, alice):
    assert engine.send(signed(alice, 0).raw) == engine.send(signed(alice, 0).raw)
    assert len(engine.mine().transaction_hashes) == 1


def test_another_transaction_with_a_waiting_nonce_is_refused(engine, alice):
    first = engine.send(signed(alice, 0).raw)
    with pytest.raises(LedgerError, match="is taken by"):
        engine.send(signed(alice, 0, value=1).raw)
    assert engine.mine().transaction_hashes == (first,)


def test_many_of_one_sender_are_mined_in_the_order_of_nonces_however_they_come(engine, alice):
    transactions = [signed(alice, nonce) for nonce in range(4)]
    for order in itertools.islice(itertools.permutations(transactions), 5, 24, 6):
        mark = engine.snapshot()
        for transaction in order:
            engine.send(transaction.raw)
        assert engine.mine().transaction_hashes == tuple(t.hash for t in transactions)
        engine.revert(mark)


def test_a_gap_makes_later_nonces_wait_for_the_missing_one(engine, alice, bob):
    later = engine.send(signed(alice, 1).raw)
    other = engine.send(signed(bob, 0).raw)
    assert engine.next_nonce(alice.address) == 0
    assert engine.mine().transaction_hashes == (other,)
    missing = engine.send(signed(alice, 0).raw)
    assert engine.next_nonce(alice.address) == 2
    assert engine.mine().transaction_hashes == (missing, later)


def test_what_cannot_pay_any_more_is_left_out_and_does_not_stop_the_block(engine, alice, bob):
    wealth = engine.balance(alice.address)
    spent = engine.send(signed(alice, 0, to=STRANGER.address, value=wealth).raw)
    broke = engine.send(signed(alice, 1, value=1).raw)
    other = engine.send(signed(bob, 0).raw)
    assert engine.mine().transaction_hashes == (spent, other)
    assert engine.receipt(broke) is None
    assert engine.transaction(broke) is None
    assert engine.mine().transaction_hashes == ()


def test_what_does_not_fit_waits_for_the_next_block(alice):
    with open_engine(accounts=[alice], block_gas_limit=100_000) as engine:
        sent = [engine.send(signed(alice, nonce, gas=45_000, gas_price=10).raw) for nonce in range(6)]
        first, second = engine.mine(), engine.mine()
        assert first.transaction_hashes + second.transaction_hashes == tuple(sent)
        assert len(first.transaction_hashes) == 3


def test_what_offers_less_than_a_risen_base_fee_waits_until_it_falls(alice):
    with open_engine(accounts=[alice], block_gas_limit=100_000) as engine:
        for nonce in range(3):
            engine.send(signed(alice, nonce).raw)
        late = engine.send(signed(alice, 3).raw)
        assert len(engine.mine().transaction_hashes) == 4
        assert engine.gas_price_wei == 1
        with pytest.raises(LedgerError, match="below the base fee"):
            engine.send(signed(alice, 4).raw)
        assert engine.receipt(late).status == 1


def test_a_waiting_transaction_is_known_before_it_is_mined(engine, alice):
    sent = engine.send(signed(alice, 0).raw)
    assert engine.transaction(sent).block_number is None
    assert engine.receipt(sent) is None
    engine.mine()
    assert (engine.transaction(sent).block_number, engine.transaction(sent).index) == (1, 0)
    assert engine.transaction(sent).sender == alice.address
