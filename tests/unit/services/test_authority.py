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


def test_an_announced_call_is_cancelled_by_guardians_and_announced_again(ward, reverts):
    policy, contract = ward.keys.policy, ward.sentinel.contract
    call = (policy.address, contract, "resumeAgent")
    assert ward.authority.due_s(*call) is None
    ward.authority.schedule(policy, contract, "resumeAgent")
    [receipt] = ward.settle()
    announced_s = ward.box.engine.block(receipt.block_number).timestamp
    assert ward.authority.due_s(*call) == announced_s + POLICY_DELAY_S
    with reverts("AccessManagerUnauthorizedCancel", msgsender=ward.keys.agent.address):
        ward.authority.cancel(ward.keys.agent, *call)
    ward.authority.cancel(ward.keys.guardian, *call)
    ward.settle()
    assert ward.authority.due_s(*call) is None
    later_s = ward.client.now_s + 3 * POLICY_DELAY_S
    ward.authority.schedule(policy, contract, "resumeAgent", earliest_s=later_s)
    ward.settle()
    assert ward.authority.due_s(*call) == later_s
    with reverts("AccessManagerNotReady"):
        ward.sentinel.resume_agent(policy)


def test_nobody_announces_what_it_may_not_call_or_for_too_soon(ward, reverts):
    contract = ward.sentinel.contract
    for account in (ward.keys.agent, ward.keys.guardian, ward.stranger):
        with reverts("AccessManagerUnauthorizedCall", caller=account.address):
            ward.authority.schedule(account, contract, "resumeAgent")
    with reverts("AccessManagerUnauthorizedCall", caller=ward.keys.policy.address):
        ward.authority.schedule(ward.keys.policy, contract, "resumeAgent", earliest_s=ward.client.now_s + 60)
    assert ward.authority.due_s(ward.keys.policy.address, contract, "resumeAgent") is None


def test_a_closed_contract_answers_no_role_until_it_is_opened_again(ward, reverts):
    contract = ward.access.contract
    ward.authority.close(ward.keys.admin, contract)
    ward.settle()
    assert ward.authority.is_closed(contract)
    assert not ward.authority.is_closed(ward.sentinel.contract)
    with reverts("AccessManagedUnauthorized", caller=ward.keys.guardian.address):
        ward.access.pause(ward.keys.guardian)
    assert not ward.access.is_paused()
    ward.authority.reopen(ward.keys.admin, contract)
    ward.settle()
    ward.access.pause(ward.keys.guardian)
    ward.settle()
    assert ward.access.is_paused()


def test_only_administrators_give_roles(ward, reverts):
    with reverts("AccessManagerUnauthorizedAccount", msgsender=ward.keys.guardian.address):
        ward.authority.grant_role(ward.keys.guardian, Role.NOTARY, ward.stranger.address)
    assert not ward.authority.has_role(Role.NOTARY, ward.stranger.address)


def test_policy_acts_wait_for_a_day(ward):
    is_member, delay_s = ward.client.call(ward.authority.contract, "hasRole", Role.POLICY, ward.keys.policy.address)
    assert (is_member, delay_s) == (True, POLICY_DELAY_S)
