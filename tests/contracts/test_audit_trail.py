"""Anchors: appended, never changed, each naming the one before."""

from eth_abi import encode
from hypothesis import given
from hypothesis import strategies as st

from chainsec.digest import keccak, merkle_proof, merkle_root
from chainsec.primitives import ZERO_HASH

USES = keccak(b"uses")
ROOT = keccak(b"root")


def anchor(system, root=ROOT, count=50, stream=USES, sender=None):
    return system.send(sender or system.keys.notary, "AuditTrail", "anchor", stream, root, count)


def head_after(*fields):
    types = ("bytes32", "uint64", "bytes32", "bytes32", "uint32", "address")
    return keccak(encode(types, fields))


def test_trail_begins_with_nothing(system):
    assert system.call("AuditTrail", "length") == 0
    assert system.call("AuditTrail", "head") == ZERO_HASH


def test_anchor_names_the_head_before_it_and_leaves_a_new_one(system):
    notary = system.keys.notary.address
    expected = ZERO_HASH
    for index, root in enumerate((ROOT, keccak(b"next"), ROOT)):
        previous, expected = expected, head_after(expected, index, USES, root, 50, notary)
        assert system.events(anchor(system, root)) == [
            (
                "Anchored",
                {
                    "index": index,
                    "stream": USES,
                    "root": root,
                    "count": 50,
                    "publisher": notary,
                    "previousHead": previous,
                    "head": expected,
                },
            )
        ]
        assert system.call("AuditTrail", "head") == expected
        assert system.call("AuditTrail", "length") == index + 1


def test_anchor_returns_its_number(system):
    anchor(system)
    notary = system.keys.notary.address
    assert system.call("AuditTrail", "anchor", USES, ROOT, 1, sender=notary) == 1
    assert system.call("AuditTrail", "length") == 1


def test_anchor_of_nothing_is_refused(system, reverts):
    for root, count in ((bytes(32), 50), (ROOT, 0)):
        with reverts("AuditTrailEmptyAnchor"):
            anchor(system, root, count)
    assert system.call("AuditTrail", "length") == 0
    assert system.call("AuditTrail", "head") == ZERO_HASH


def test_only_the_notary_appends(system, reverts):
    for account in (system.keys.admin, system.keys.agent, system.keys.guardian, system.stranger):
        with reverts("AccessManagedUnauthorized", caller=account.address):
            anchor(system, sender=account)
    assert system.call("AuditTrail", "length") == 0


@given(count=st.integers(1, 20), data=st.data())
def test_record_is_included_exactly_where_its_proof_says_so(shared_system, count, data):
    leaves = [keccak(keccak(bytes([place]))) for place in range(count)]
    place = data.draw(st.integers(0, count - 1))
    root, proof = merkle_root(leaves), merkle_proof(leaves, place)
    assert shared_system.call("AuditTrail", "isIncluded", root, leaves[place], proof)
    assert not shared_system.call("AuditTrail", "isIncluded", root, keccak(b"never written"), proof)
    assert not shared_system.call("AuditTrail", "isIncluded", keccak(root), leaves[place], proof)
    if proof:
        assert not shared_system.call("AuditTrail", "isIncluded", root, leaves[place], proof[:-1])
