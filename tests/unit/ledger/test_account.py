import pytest
from eth_account import Account as Reference
from eth_keys import keys
from hypothesis import given, settings
from hypothesis import strategies as st

from chainsec.digest import keccak
from chainsec.ledger.account import Account

KEYS = st.integers(1, 2**255).map(lambda number: number.to_bytes(32, "big"))


@settings(max_examples=60, deadline=None)
@given(
    key=KEYS,
    nonce=st.integers(0, 2**40),
    to=st.one_of(st.none(), st.binary(min_size=20, max_size=20)),
    data=st.binary(max_size=80),
    gas=st.integers(21_000, 10**9),
    value=st.integers(0, 10**24),
    gas_price=st.integers(0, 10**12),
    chain_id=st.integers(1, 2**53),
)
def test_signed_transactions_equal_those_of_eth_account(key, nonce, to, data, gas, value, gas_price, chain_id):  # noqa: PLR0917 - pytest and hypothesis pass them by name
    mine = Account(key).sign(
        nonce=nonce, to=to, data=data, gas=gas, value=value, gas_price=gas_price, chain_id=chain_id
    )
    fields = {"nonce": nonce, "data": data, "gas": gas, "value": value, "gasPrice": gas_price, "chainId": chain_id}
    theirs = Reference.sign_transaction(fields | ({} if to is None else {"to": to}), key)
    assert (mine.raw, mine.hash, mine.sender) == (
        bytes(theirs.raw_transaction),
        bytes(theirs.hash),
        bytes.fromhex(Reference.from_key(key).address[2:]),
    )


@settings(max_examples=30, deadline=None)
@given(key=KEYS, message=st.binary(max_size=40))
def test_a_signed_digest_recovers_to_the_signer(key, message):
    signature = Account(key).sign_digest(keccak(message))
    vrs = keys.Signature(signature[:64] + bytes([signature[64] - 27]))
    assert vrs.recover_public_key_from_msg_hash(keccak(message)).to_canonical_address() == Account(key).address


def test_derived_accounts_differ_by_seed_and_by_name_and_never_by_run():
    derived = {Account.derive(seed, name).address for seed in (b"a", b"ab") for name in ("b", "bb", "")}
    assert len(derived) == 6
    assert str(Account.derive(b"a", "b").address) == str(Account.derive(b"a", "b").address)


def test_generated_accounts_are_never_twice_the_same():
    assert Account.generate() != Account.generate()


def test_the_private_key_is_not_shown():
    account = Account.derive(b"secret", "x")
    assert account.private_key.hex() not in repr(account)


@pytest.mark.parametrize("key", [b"", bytes(32), b"\xff" * 32, bytes(31)])
def test_what_is_no_private_key_is_refused(key):
    with pytest.raises(ValueError, match="private key"):
        Account(key)


def test_a_digest_of_another_length_is_refused(alice):
    with pytest.raises(ValueError, match="32 bytes"):
        alice.sign_digest(bytes(31))
