"""Canonical text and Merkle trees, held against a second opinion: json itself, and OpenZeppelin's verifier on chain."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainsec.digest import (
    canonical_json,
    keccak,
    merkle_proof,
    merkle_root,
    parse_canonical,
    verify_merkle_proof,
)
from chainsec.ledger.artifact import load_artifact
from chainsec.ledger.client import Client
from chainsec.ledger.engine import open_engine

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)
LEAVES = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40)


def shuffled(value):
    """Return an equal value whose names come in the opposite order."""
    if isinstance(value, dict):
        return {name: shuffled(inner) for name, inner in reversed(value.items())}
    return [shuffled(inner) for inner in value] if isinstance(value, list) else value


@given(VALUE)
def test_canonical_text_is_json_of_the_same_value_and_forgets_the_order_of_names(value):
    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(json.loads(text)) == text == canonical_json(shuffled(value))
    assert repr(parse_canonical(text)) == repr(json.loads(text))


@given(VALUE, st.data())
def test_a_changed_byte_is_another_text_or_no_text_at_all(value, data):
    text = canonical_json(value)
    place = data.draw(st.integers(0, len(text) - 1))
    changed = text[:place] + bytes([text[place] ^ data.draw(st.integers(1, 255))]) + text[place + 1 :]
    try:
        read = parse_canonical(changed)
    except ValueError:
        return
    assert canonical_json(read) == changed != text


@given(st.binary(max_size=60) | st.text('[]{}"\\:,1eE.-ntf ', max_size=60).map(str.encode))
def test_hostile_bytes_are_read_exactly_or_refused(text):
    try:
        value = parse_canonical(text)
    except ValueError:
        return
    assert canonical_json(value) == text


@given(LEAVES)
def test_every_leaf_has_a_short_proof_that_holds(leaves):
    root = merkle_root(leaves)
    for place, leaf in enumerate(leaves):
        proof = merkle_proof(leaves, place)
        assert len(proof) <= (len(leaves) - 1).bit_length()
        assert verify_merkle_proof(root, leaf, proof)


@given(LEAVES, st.data())
def test_a_leaf_that_changes_changes_the_root_and_breaks_its_proof(leaves, data):
    place = data.draw(st.integers(0, len(leaves) - 1))
    changed = data.draw(st.binary(min_size=32, max_size=32).filter(lambda leaf: leaf != leaves[place]))
    proof = merkle_proof(leaves, place)
    others = [*leaves[:place], changed, *leaves[place + 1 :]]
    assert not verify_merkle_proof(merkle_root(leaves), changed, proof)
    assert verify_merkle_proof(merkle_root(others), changed, merkle_proof(others, place))


@pytest.fixture(scope="module")
def trail():
    with open_engine() as engine:
        client = Client(engine, transaction_gas=15_000_000)
        account = engine.accounts[0]
        yield client.deploy(account, load_artifact("AuditTrail"), account.address)


@settings(max_examples=40)
@given(leaves=LEAVES, data=st.data())
def test_openzeppelins_verifier_on_chain_says_the_same_of_every_proof(trail, leaves, data):
    root = merkle_root(leaves)
    place = data.draw(st.integers(0, len(leaves) - 1))
    proof = merkle_proof(leaves, place)
    assert trail.call("isIncluded", root, leaves[place], proof)
    spoiled = data.draw(
        st.lists(st.binary(min_size=32, max_size=32), max_size=6)
        | st.permutations(proof)
        | st.just(proof[:-1])
        | st.just([*proof, keccak(root)])
    )
    leaf = data.draw(st.sampled_from([*leaves, keccak(leaves[0])]))
    assert trail.call("isIncluded", root, leaf, spoiled) == verify_merkle_proof(root, leaf, spoiled)
