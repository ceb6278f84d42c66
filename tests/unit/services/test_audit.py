"""Anchors commit to records off chain, one after the other."""

import pytest

from chainsec.digest import keccak, merkle_proof, merkle_root
from chainsec.services.audit import leaves_of, stream_hash

RECORDS = [f"record {number}".encode() for number in range(5)]


def test_an_anchor_carries_stream_root_and_number_and_the_head_moves_on(ward):
    head = ward.client.call(ward.audit.contract, "head")
    root = ward.audit.anchor(ward.keys.notary, "uses", RECORDS)
    ward.settle()
    [event] = ward.events(ward.audit, "Anchored")
    assert root == merkle_root(leaves_of(RECORDS))
    assert (event["stream"], event["root"], event["count"]) == (stream_hash("uses"), root, 5)
    assert (event["publisher"], event["previousHead"]) == (ward.keys.notary.address, head)
    assert event["head"] == ward.client.call(ward.audit.contract, "head") != head


def test_a_record_is_under_its_root_with_its_own_proof_only(ward):
    leaves = leaves_of(RECORDS)
    root = merkle_root(leaves)
    for place, record in enumerate(RECORDS):
        proof = merkle_proof(leaves, place)
        assert ward.audit.is_included(root, place, record, proof)
        assert not ward.audit.is_included(root, place, record + b" ", proof)
        assert not ward.audit.is_included(keccak(root), place, record, proof)
    assert not ward.audit.is_included(root, 0, RECORDS[0], merkle_proof(leaves, 1))


def test_two_neighbours_cannot_change_places():
    swapped = [RECORDS[1], RECORDS[0], *RECORDS[2:]]
    assert merkle_root(leaves_of(swapped)) != merkle_root(leaves_of(RECORDS))


def test_an_inner_node_does_not_pass_for_a_record(ward):
    leaves = leaves_of(RECORDS[:4])
    inner = b"".join(sorted(leaves[:2]))
    assert not ward.audit.is_included(merkle_root(leaves), 0, inner, [merkle_root(leaves[2:])])


def test_an_anchor_of_nothing_is_refused_before_anything_is_sent(ward, sends_no_transaction):
    with sends_no_transaction(ward), pytest.raises(ValueError, match="at least one leaf"):
        ward.audit.anchor(ward.keys.notary, "uses", [])


def test_only_notaries_anchor(ward, reverts):
    with reverts("AccessManagedUnauthorized", caller=ward.keys.agent.address):
        ward.audit.anchor(ward.keys.agent, "uses", RECORDS)
    assert ward.client.call(ward.audit.contract, "length") == 0
