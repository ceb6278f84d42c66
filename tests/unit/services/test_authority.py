"""Roles open functions, and nothing else does."""

import pytest

from chainsec.deployment import POLICY_DELAY_S
from chainsec.services.authority import Role


def test_the_numbers_of_the_roles_are_those_of_the_contract(ward):
    for role in (Role.AGENT, Role.GUARDIAN, Role.STEWARD, Role.NOTARY, Role.POLICY):
        assert ward.client.call(ward.authority.contract, role.name) == role


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
def test_each_role_has_its_one_account_after_deployment(ward, role):
    holders = {name for name, account in vars(ward.keys).items() if ward.authority.has_role(role, account.address)}
    assert holders == {role.name.lower()}


def test_a_role_that_is_given_opens_its_functions_until_it_is_taken(ward, reverts):
    with reverts("AccessManagedUnauthorized", caller=ward.stranger.address):
        ward.audit.anchor(ward.stranger, "uses", [b"record"])
    ward.authority.grant_role(ward.keys.admin, Role.NOTARY, ward.stranger.address)
    ward.settle()
    assert ward.authority.has_role(Role.NOTARY, ward.stranger.address)
    ward.audit.anchor(ward.stranger, "uses", [b"record"])
    ward.settle()
    ward.authority.revoke_role(ward.keys.admin, Role.NOTARY, ward.stranger.address)
    ward.settle()
    with reverts("AccessManagedUnauthorized", caller=ward.stranger.address):
        ward.audit.anchor(ward.stranger, "uses", [b"record"])
    assert ward.authority.has_role(Role.NOTARY, ward.keys.notary.address)


def test_the_agents_account_gets_no_other_role_and_its_role_no_other_door(ward, reverts):
    agent = ward.keys.agent.address
    with reverts("AuthorityRoleConflict", account=agent):
        ward.authority.grant_role(ward.keys.admin, Role.GUARDIAN, agent)
    with reverts("AuthorityNotTheAgentDoor", target=ward.access.contract.address):
        ward.authority.open_functions(ward.keys.admin, ward.access.contract, ["pause"], Role.AGENT)
    with reverts("AuthorityDoorAlreadySet"):
        ward.authority.set_agent_door(ward.keys.admin, ward.stranger.address)
    assert not ward.authority.has_role(Role.GUARDIAN, agent)


def test_only_administrators_give_roles(ward, reverts):
    with reverts("AccessManagerUnauthorizedAccount", msgsender=ward.keys.guardian.address):
        ward.authority.grant_role(ward.keys.guardian, Role.NOTARY, ward.stranger.address)
    assert not ward.authority.has_role(Role.NOTARY, ward.stranger.address)


def test_policy_acts_wait_for_a_day(ward):
    is_member, delay_s = ward.client.call(ward.authority.contract, "hasRole", Role.POLICY, ward.keys.policy.address)
    assert (is_member, delay_s) == (True, POLICY_DELAY_S)
