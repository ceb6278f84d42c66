"""Addresses and hashes are what they say, and a request has the identifier that the contract gives it."""

import pickle

import pytest
from eth_abi.abi import encode as abi_encode
from hypothesis import given
from hypothesis import strategies as st

from chainsec.digest import keccak
from chainsec.errors import BadAddress, BadInput
from chainsec.ledger.artifact import load_artifact
from chainsec.ledger.client import Client
from chainsec.ledger.engine import open_engine
from chainsec.primitives import ACTION_SCOPES, ZERO_ADDRESS, AccessRequest, Address, Hash32, Purpose, Scope, Verdict
from chainsec.services.access import Basis, Status

MIXED = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"


@pytest.mark.parametrize("text", [MIXED, MIXED.lower(), "0x" + MIXED[2:].upper(), MIXED[2:]])
def test_an_address_reads_one_case_or_the_checksum_and_prints_the_checksum(text):
    assert str(Address(text)) == MIXED
    assert Address(text) == bytes.fromhex(MIXED[2:])


@pytest.mark.parametrize(
    "bad",
    [
        MIXED.swapcase(),
        MIXED[:-1],
        MIXED + "0",
        "0x" + "g" * 40,
        MIXED[2:].swapcase(),
        "0X" + MIXED[2:],
        "",
        "ann",
        " " + MIXED,
        MIXED + "\n",
        bytes(19),
        bytes(21),
        b"",
        None,
        7,
        1.5,
    ],
)
def test_what_is_no_address_is_refused_with_what_it_was(bad):
    with pytest.raises(BadAddress) as caught:
        Address(bad)
    assert caught.value.value == bad
    assert isinstance(caught.value, BadInput)
    assert isinstance(caught.value, ValueError)


@given(st.binary(min_size=20, max_size=20))
def test_an_address_survives_its_text_its_repr_and_pickling(raw):
    address = Address(raw)
    assert Address(str(address)) == address == pickle.loads(pickle.dumps(address))
    assert eval(repr(address)) == address


@given(st.binary(min_size=32, max_size=32))
def test_a_hash_survives_its_text_its_repr_and_pickling(raw):
    digest = Hash32(raw)
    assert Hash32(str(digest)) == digest == pickle.loads(pickle.dumps(digest))
    assert eval(repr(digest)) == digest == Hash32(digest.hex())


@pytest.mark.parametrize(
    "bad", [bytes(31), bytes(33), "0x" + "0" * 63, "z" * 64, "", " " * 64, "ab " * 32, "0x0x" + "0" * 62]
)
def test_what_is_no_hash_is_refused(bad):
    with pytest.raises(ValueError, match=r"a hash has|fromhex"):
        Hash32(bad)


def test_a_purpose_is_known_on_chain_by_the_hash_of_its_iri():
    assert Purpose("any", "https://w3id.org/dpv#X").hash == keccak(b"https://w3id.org/dpv#X")


def test_nobody_writes_or_exports_without_reading():
    assert all(Scope.READ in scope for scope in ACTION_SCOPES.values())
    assert len(set(ACTION_SCOPES.values())) == len(ACTION_SCOPES)


def a_request(**fields):
    blank = {
        "requester": Address(bytes([1]) * 20),
        "organisation": Address(bytes([2]) * 20),
        "asset": Hash32(bytes([3]) * 32),
        "purpose": Hash32(bytes([4]) * 32),
        "scope": Scope.READ | Scope.EXPORT,
        "until": 2**40 - 1,
        "context": Hash32(bytes([5]) * 32),
    }
    return AccessRequest(**blank | fields)


def test_the_identifier_of_a_request_is_the_one_the_contract_computes():
    with open_engine() as engine:
        artifact = load_artifact("AccessGrants")
        account = engine.accounts[0]
        client = Client(engine, transaction_gas=15_000_000)
        grants = client.deploy(account, artifact, account.address, ZERO_ADDRESS, ZERO_ADDRESS, ZERO_ADDRESS)
        item = a_request()
        assert grants.call("requestId", item.as_tuple()) == item.id


@pytest.mark.parametrize(
    "changed", [{"requester": ZERO_ADDRESS}, {"scope": Scope.READ}, {"until": 1}, {"context": Hash32(bytes(32))}]
)
def test_a_request_with_one_other_field_has_another_identifier(changed):
    assert a_request(**changed).id != a_request().id


def test_a_request_with_a_bad_address_has_no_encoding():
    with pytest.raises(BadAddress):
        a_request(requester="0x12").as_tuple()


def test_the_numbers_of_verdicts_statuses_and_bases_are_those_of_the_contract():
    source = {
        name: [m.name for m in kind] for name, kind in (("Verdict", Verdict), ("Status", Status), ("Basis", Basis))
    }
    assert source["Verdict"] == ["DENY", "ESCALATE", "GRANT"]
    assert [int(member) for member in Verdict] == [0, 1, 2]
    assert [int(member) for member in Status] == list(range(5))
    assert [int(member) for member in Basis] == list(range(9))
    assert len(abi_encode(["uint8"], [max(Basis)])) == 32
