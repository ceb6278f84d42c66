"""Nodes: known by their keys, one organisation's each, validators while they are allowed and it is active."""

import pytest
from coincurve import PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from chainsec.digest import keccak
from chainsec.services.permissions import Standing, public_key_of, role_hash

READER, TRANSACT = role_hash("reader"), 1
CURVE_PRIME = 2**256 - 2**32 - 977


def test_a_node_belongs_to_one_organisation_and_no_other_touches_it(network, refuses):
    node = network.nodes[1].address
    receipt = network.send(network.ann, "addNode", public_key_of(network.nodes[1]))
    fields = {"node": node, "organisation": network.clinic}
    assert network.events(receipt) == [("NodeAdded", fields | {"publicKey": public_key_of(network.nodes[1])})]
    refuses("KnownNode", network.ann, "addNode", public_key_of(network.nodes[1]), node=node)
    refuses("ForeignNode", network.ben, "addNode", public_key_of(network.nodes[1]), **fields)
    refuses("ForeignNode", network.ben, "removeNode", node, **fields)
    assert network.call("nodeOf", node) == (network.clinic, False)
    assert network.events(network.send(network.ann, "removeNode", node)) == [("NodeRemoved", fields)]
    for sender, function in (
        (network.ann, "removeNode"),
        (network.admin, "expelNode"),
        (network.admin, "allowValidator"),
        (network.admin, "disallowValidator"),
    ):
        refuses("UnknownNode", sender, function, node, node=node)
    network.send(network.ben, "addNode", public_key_of(network.nodes[1]))
    assert network.call("nodeOf", node) == (network.lab, False)


def test_a_nodes_address_is_what_its_key_validates_under(network):
    key = public_key_of(network.nodes[3])
    assert network.call("addNode", key, sender=network.ann.address) == network.nodes[3].address == keccak(key)[12:]


@pytest.mark.parametrize("length", [0, 32, 63, 65, 128])
def test_a_key_has_64_bytes(network, refuses, length):
    refuses("InvalidPublicKey", network.ann, "addNode", (public_key_of(network.nodes[1]) * 2)[:length])


@settings(max_examples=60)
@given(secret=st.integers(1, 2**255), place=st.integers(0, 63), flip=st.integers(0, 255))
def test_only_points_of_the_curve_are_keys(lasting_network, reverts, secret, place, flip):
    ann = lasting_network.ann.address
    key = bytearray(PrivateKey.from_int(secret).public_key.format(compressed=False)[1:])
    key[place] ^= flip
    x, y = int.from_bytes(key[:32]), int.from_bytes(key[32:])
    if x < CURVE_PRIME and y < CURVE_PRIME and (y * y - x**3 - 7) % CURVE_PRIME == 0:
        assert lasting_network.call("addNode", bytes(key), sender=ann) == keccak(key)[12:]
    else:
        with reverts("NodePermissionsInvalidPublicKey"):
            lasting_network.call("addNode", bytes(key), sender=ann)


def test_coordinates_beyond_the_field_are_no_second_name_of_a_node(network, refuses):
    # x = 1 and x = 1 + p are one point; the second would be another address for one key
    y = pow(8, (CURVE_PRIME + 1) // 4, CURVE_PRIME)
    assert network.call("addNode", (1).to_bytes(32) + y.to_bytes(32), sender=network.ann.address)
    refuses("InvalidPublicKey", network.ann, "addNode", (1 + CURVE_PRIME).to_bytes(32) + y.to_bytes(32))
    refuses("InvalidPublicKey", network.ann, "addNode", bytes(64))


def test_a_node_validates_while_it_is_there_allowed_and_its_organisation_active(network, refuses):
    network.enforce()
    node = network.nodes[1].address
    fields = {"node": node, "organisation": network.clinic}
    network.add(network.ann, network.nodes[1])
    assert network.does(network.nodes[1]) == (True, False)
    refuses("NotAllowed", network.admin, "disallowValidator", node, node=node)
    assert network.events(network.send(network.admin, "allowValidator", node)) == [("ValidatorAllowed", fields)]
    refuses("AlreadyAllowed", network.admin, "allowValidator", node, node=node)
    assert network.does(network.nodes[1]) == (True, True)
    assert network.validators() == sorted([network.nodes[0].address, node])
    assert network.events(network.send(network.admin, "disallowValidator", node)) == [("ValidatorDisallowed", fields)]
    assert network.does(network.nodes[1]) == (True, False)
    network.send(network.admin, "allowValidator", node)
    receipt = network.send(network.ann, "removeNode", node)
    assert network.events(receipt) == [("ValidatorDisallowed", fields), ("NodeRemoved", fields)]
    network.add(network.ann, network.nodes[1])
    assert network.does(network.nodes[1]) == (True, False)
    assert network.validators() == [network.nodes[0].address]


def test_suspension_takes_everything_and_restoration_gives_it_back_as_it_was(network, refuses):
    network.enforce()
    network.send(network.ann, "defineRole", READER, TRANSACT)
    network.send(network.ann, "assignAccount", network.dan.address, READER)
    network.add(network.ann, network.nodes[1], is_allowed=True)
    network.add(network.ann, network.nodes[2])
    network.add(network.ben, network.nodes[3], is_allowed=True)

    def picture():
        accounts = [network.may(account) for account in (network.ann, network.dan)]
        return (*accounts, *map(network.does, network.nodes[1:3]), network.validators())

    before = picture()
    receipt = network.send(network.admin, "suspendOrganisation", network.clinic)
    assert network.events(receipt) == [("OrganisationSuspended", {"organisation": network.clinic})]
    others = sorted([network.nodes[0].address, network.nodes[3].address])
    assert picture() == ((False, False), (False, False), (False, False), (False, False), others)
    assert network.may(network.ben) == (True, True)
    assert network.call("nodeOf", network.nodes[1].address) == (network.clinic, True)
    wrong = {"organisation": network.clinic, "standing": Standing.SUSPENDED}
    refuses("WrongStanding", network.admin, "suspendOrganisation", network.clinic, **wrong)
    refuses("WrongStanding", network.admin, "admitOrganisation", network.clinic, network.cara.address, **wrong)
    network.send(network.admin, "restoreOrganisation", network.clinic)
    assert picture() == before
    wrong["standing"] = Standing.ACTIVE
    refuses("WrongStanding", network.admin, "restoreOrganisation", network.clinic, **wrong)


def test_what_is_allowed_or_expelled_under_suspension_counts_from_the_restoration_on(network):
    network.enforce()
    network.add(network.ann, network.nodes[1], is_allowed=True)
    network.add(network.ann, network.nodes[2])
    network.send(network.admin, "suspendOrganisation", network.clinic)
    network.send(network.admin, "allowValidator", network.nodes[2].address)
    network.send(network.admin, "expelNode", network.nodes[1].address)
    assert network.call("organisationOf", network.clinic) == (Standing.SUSPENDED, 1)
    assert network.validators() == [network.nodes[0].address]
    network.send(network.admin, "restoreOrganisation", network.clinic)
    assert network.validators() == sorted([network.nodes[0].address, network.nodes[2].address])


def test_the_last_validator_stays_once_the_rules_are_enforced(network, refuses):
    network.add(network.ann, network.nodes[1], is_allowed=True)
    network.send(network.ann, "removeNode", network.nodes[1].address)
    network.enforce()
    network.add(network.ann, network.nodes[1], is_allowed=True)
    network.send(network.admin, "disallowValidator", network.nodes[0].address)
    for sender, function, subject in (
        (network.ann, "removeNode", network.nodes[1].address),
        (network.admin, "expelNode", network.nodes[1].address),
        (network.admin, "disallowValidator", network.nodes[1].address),
        (network.admin, "suspendOrganisation", network.clinic),
    ):
        refuses("NoValidator", sender, function, subject)
    assert network.validators() == [network.nodes[1].address]
    network.send(network.admin, "suspendOrganisation", network.lab)
    network.send(network.ann, "addNode", public_key_of(network.nodes[2]))
    network.send(network.ann, "removeNode", network.nodes[2].address)
