import itertools

import pytest
import rlp
from hypothesis import given, settings
from hypothesis import strategies as st

from chainsec.errors import LedgerError
from chainsec.ledger.account import Account
from chainsec.ledger.engine import open_engine

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
