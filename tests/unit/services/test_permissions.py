"""An organisation, its accounts and its nodes, from the first act to enforced rules, through the service."""

import pytest

from chainsec.errors import BadAddress, ContractReverted
from chainsec.ledger.account import Account
from chainsec.ledger.artifact import load_artifact
from chainsec.primitives import Address
from chainsec.services.authority import Role
from chainsec.services.permissions import (
    ADMINISTRATOR_FUNCTIONS,
    MANAGER,
    PERMISSION_POWERS,
    AccountRecord,
    NodeRecord,
    OrganisationRecord,
    Permissions,
    Power,
    Standing,
    node_address,
    public_key_of,
)

OPERATOR, CLINIC = (Address(bytes([place]) * 20) for place in (1, 2))
NODES = [Account.derive(b"test_permissions", f"node {number}") for number in range(2)]


@pytest.fixture
def permissions(ward):
    """Rules with two organisations, the administrator's and one that ann manages; not enforced."""
    admin = ward.keys.admin
    contract = ward.client.deploy(admin, load_artifact("NodePermissions"), ward.authority.contract.address)
    found = Permissions(ward.client, contract)
    found.admit_organisation(admin, OPERATOR, admin.address)
    found.admit_organisation(admin, CLINIC, ward.ann.address)
    ward.settle()
    return found


@pytest.fixture
def enforced(ward, permissions):
    """The same in force, with one validator, the operator's."""
    node = permissions.add_node(ward.keys.admin, public_key_of(NODES[0]))
    permissions.allow_validator(ward.keys.admin, node)
    permissions.enforce(ward.keys.admin)
    ward.settle()
    return permissions


def test_nothing_is_known_and_everything_allowed_before_anything_is_said(ward, permissions):
    assert not permissions.is_enforced()
    assert permissions.validators() == []
    assert permissions.may_transact(ward.ben.address, is_creation=True)
    assert permissions.may_connect(NODES[0].address)
    assert permissions.may_validate(NODES[0].address)
    assert permissions.organisation(ward.ben.address) == OrganisationRecord(Standing.NONE, 0)
    assert permissions.account(ward.ben.address) == AccountRecord(None, Power(0))
    assert permissions.node(NODES[0].address) == NodeRecord(None, is_allowed=False)
    assert not permissions.has_role(ward.ben.address, MANAGER)


def test_managers_give_their_accounts_roles_and_take_them(ward, enforced):
    ben, ann = ward.ben.address, ward.ann
    assert enforced.account(ann.address) == AccountRecord(CLINIC, PERMISSION_POWERS)
    enforced.define_role(ann, "clerk", Power.TRANSACT)
    enforced.assign_account(ann, ben, "clerk")
    ward.settle()
    assert enforced.account(ben) == AccountRecord(CLINIC, Power.TRANSACT)
    assert enforced.powers_of(CLINIC, "clerk") == Power.TRANSACT
    assert enforced.has_role(ben, "clerk")
    wishes = [(ben, False), (ben, True), (ann.address, True), (ward.stranger.address, False)]
    assert enforced.may_transact_many(wishes) == [True, False, True, False]
    assert [enforced.may_transact(account, is_creation=flag) for account, flag in wishes] == [True, False, True, False]
    enforced.remove_account(ann, ben)
    ward.settle()
    assert enforced.account(ben) == AccountRecord(None, Power(0))
    assert not enforced.may_transact(ben)
    assert enforced.may_transact(ann.address)


def test_a_node_is_known_by_the_address_of_its_key_and_validates_when_allowed(ward, enforced):
    node = enforced.add_node(ward.ann, public_key_of(NODES[1]))
    ward.settle()
    assert node == node_address(public_key_of(NODES[1])) == NODES[1].address
    assert enforced.node(node) == NodeRecord(CLINIC, is_allowed=False)
    assert (enforced.may_connect(node), enforced.may_validate(node)) == (True, False)
    enforced.allow_validator(ward.keys.admin, node)
    ward.settle()
    assert enforced.node(node) == NodeRecord(CLINIC, is_allowed=True)
    assert enforced.organisation(CLINIC) == OrganisationRecord(Standing.ACTIVE, 1)
    assert enforced.validators() == sorted(entry.address for entry in NODES)
    enforced.disallow_validator(ward.keys.admin, node)
    ward.settle()
    assert (enforced.may_connect(node), enforced.may_validate(node)) == (True, False)
    enforced.remove_node(ward.ann, node)
    ward.settle()
    assert not enforced.may_connect(node)
    assert enforced.validators() == [NODES[0].address]


def test_the_administrator_suspends_restores_expels_and_appoints(ward, enforced):
    admin, ann = ward.keys.admin, ward.ann.address
    node = enforced.add_node(ward.ann, public_key_of(NODES[1]))
    enforced.suspend_organisation(admin, CLINIC)
    ward.settle()
    assert enforced.organisation(CLINIC).standing is Standing.SUSPENDED
    assert enforced.account(ann) == AccountRecord(CLINIC, Power(0))
    assert not enforced.may_connect(node)
    enforced.restore_organisation(admin, CLINIC)
    ward.settle()
    assert enforced.may_transact(ann)
    assert enforced.may_connect(node)
    enforced.expel_account(admin, ann)
    enforced.expel_node(admin, node)
    enforced.appoint_manager(admin, CLINIC, ward.ben.address)
    ward.settle()
    assert not enforced.may_transact(ann)
    assert enforced.node(node) == NodeRecord(None, is_allowed=False)
    assert enforced.has_role(ward.ben.address, MANAGER)


def test_the_administrators_functions_open_to_another_role(ward, permissions, reverts):
    with reverts("AccessManagedUnauthorized", caller=ward.keys.guardian.address):
        permissions.suspend_organisation(ward.keys.guardian, CLINIC)
    ward.authority.open_functions(ward.keys.admin, permissions.contract, ADMINISTRATOR_FUNCTIONS, Role.GUARDIAN)
    permissions.suspend_organisation(ward.keys.guardian, CLINIC)
    ward.settle()
    assert permissions.organisation(CLINIC).standing is Standing.SUSPENDED


def test_what_the_contract_refuses_comes_back_as_its_own_error(ward, enforced, reverts):
    with reverts("NodePermissionsNotManager", account=ward.ben.address):
        enforced.define_role(ward.ben, "clerk", Power.TRANSACT)
    with reverts("NodePermissionsLockOut", account=ward.ann.address):
        enforced.remove_account(ward.ann, ward.ann.address)
    with reverts("NodePermissionsNoValidator"):
        enforced.disallow_validator(ward.keys.admin, NODES[0].address)
    with reverts("NodePermissionsAlreadyEnforced"):
        enforced.enforce(ward.keys.admin)
    with pytest.raises(ContractReverted, match="NodePermissionsUnknownRole"):
        enforced.powers_of(CLINIC, "clerk")
    assert enforced.validators() == [NODES[0].address]


def test_what_is_no_address_is_refused_before_anything_is_sent(ward, permissions, sends_no_transaction):
    with sends_no_transaction(ward):
        for act in (permissions.expel_account, permissions.suspend_organisation, permissions.allow_validator):
            with pytest.raises(BadAddress):
                act(ward.keys.admin, "0x12")
        with pytest.raises(BadAddress):
            permissions.assign_account(ward.ann, b"short", MANAGER)
