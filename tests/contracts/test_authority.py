"""Who may call what: every function of every contract, every role, and the rules no administrator can bend."""

import pytest

from chainsec.ledger.artifact import load_artifact
from chainsec.primitives import ZERO_ADDRESS
from chainsec.services.authority import Role

PUBLIC = 2**64 - 1
OTHER_ROLE = 77
MIN_SETBACK_S = 5 * 86_400

ROLE_FUNCTIONS = {
    Role.AGENT: {"Sentinel": {"decide", "decideMany", "revoke", "quarantine", "raiseAlert"}},
    Role.GUARDIAN: {
        "Sentinel": {"approve", "cancel", "release", "suspendAgent"},
        "AccessGrants": {"pause", "resume"},
        "ConsentLedger": {"revoke"},
    },
    Role.STEWARD: {"AssetRegistry": {"register", "registerMany", "raiseSensitivity"}},
    Role.NOTARY: {"AuditTrail": {"anchor"}},
    Role.POLICY: {"Sentinel": {"setLimits", "resumeAgent"}},
    Role.ADMIN: {"AccessGrants": {"setDoor"}},
}
# These look at the caller themselves: its identity, its signature, or that it is the door or the Authority.
SELF_GUARDED = {
    "AccessGrants": {"request", "requestMany", "decideMany", "overrule", "revoke", "quarantine", "release"},
    "ConsentLedger": {"give", "giveMany", "giveBySig", "withdraw"},
}
EVERYWHERE = {"setAuthority"}
GUARDED = ("AccessGrants", "AssetRegistry", "AuditTrail", "ConsentLedger", "Sentinel")


def writing_functions(contract):
    return {
        entry["name"]
        for entry in load_artifact(contract).abi
        if entry["type"] == "function" and entry["stateMutability"] not in ("view", "pure")
    }


@pytest.mark.parametrize("contract", GUARDED)
def test_every_writing_function_belongs_to_one_role_or_guards_itself(contract):
    assigned = [functions.get(contract, set()) for functions in ROLE_FUNCTIONS.values()]
    placed = set().union(SELF_GUARDED.get(contract, set()), EVERYWHERE, *assigned)
    assert placed == writing_functions(contract)
    assert sum(map(len, assigned)) == len(set().union(*assigned))


def test_each_role_may_call_its_functions_and_no_others(system):
    accounts = {role: getattr(system.keys, role.name.lower()) for role in Role} | {None: system.stranger}
    for contract in GUARDED:
        bound = system.contracts[contract]
        for function in writing_functions(contract) - SELF_GUARDED.get(contract, set()) - EVERYWHERE:
            for role, account in accounts.items():
                may, delay_s = system.call(
                    "Authority", "canCall", account.address, bound.address, bound.selector(function)
                )
                expected = function in ROLE_FUNCTIONS.get(role, {}).get(contract, set())
                # POLICY may call, but only what it has scheduled a day before
                assert (may or delay_s > 0) == expected, (contract, function, role)
                assert (delay_s == 86_400) == (expected and role is Role.POLICY)


def test_contracts_enforce_what_the_authority_says(system, reverts):
    item = system.pending()
    receipt = item.id
    calls = {
        ("Sentinel", "decide"): (system.decision(item),),
        ("Sentinel", "decideMany"): ([system.decision(item)],),
        ("Sentinel", "revoke"): (item.as_tuple(), receipt),
        ("Sentinel", "quarantine"): (item.requester, 60, receipt),
        ("Sentinel", "raiseAlert"): (item.requester, receipt, 1, receipt),
        ("Sentinel", "approve"): (item.as_tuple(), receipt),
        ("Sentinel", "cancel"): (item.as_tuple(), receipt),
        ("Sentinel", "release"): (item.requester, receipt),
        ("Sentinel", "suspendAgent"): (),
        ("Sentinel", "resumeAgent"): (),
        ("Sentinel", "setLimits"): ((3, 1, 1, 1, 1, 1),),
        ("AccessGrants", "pause"): (),
        ("AccessGrants", "resume"): (),
        ("AccessGrants", "setDoor"): (system.stranger.address,),
        ("ConsentLedger", "revoke"): (item.asset, item.organisation, item.purpose, receipt),
        ("AssetRegistry", "register"): ((system.owner.address, receipt, 0, bytes(32), []),),
        ("AssetRegistry", "registerMany"): ([],),
        ("AssetRegistry", "raiseSensitivity"): (item.asset, 3),
        ("AuditTrail", "anchor"): (receipt, receipt, 1),
    }
    placed = {
        (contract, name) for calls_ in ROLE_FUNCTIONS.values() for contract in calls_ for name in calls_[contract]
    }
    assert set(calls) == placed
    root = system.engine.head().state_root
    for (contract, function), arguments in calls.items():
        with reverts("AccessManagedUnauthorized", caller=system.stranger.address):
            system.call(contract, function, *arguments, sender=system.stranger.address)
    assert system.engine.head().state_root == root


@pytest.mark.parametrize("contract", GUARDED)
def test_nobody_but_the_authority_replaces_the_authority(system, reverts, contract):
    with reverts("AccessManagedUnauthorized", caller=system.keys.admin.address):
        system.send(system.keys.admin, contract, "setAuthority", system.stranger.address)


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.AGENT])
def test_holder_of_another_role_never_becomes_the_agent(system, reverts, role):
    account = getattr(system.keys, role.name.lower()).address
    with reverts("AuthorityRoleConflict", account=account, heldRole=role):
        system.send(system.keys.admin, "Authority", "grantRole", Role.AGENT, account, 0)
    assert system.call("Authority", "hasRole", Role.AGENT, account) == (False, 0)


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.AGENT] + [OTHER_ROLE])
def test_agent_never_gets_another_role(system, reverts, role):
    agent = system.keys.agent.address
    with reverts("AuthorityRoleConflict", account=agent, heldRole=Role.AGENT):
        system.send(system.keys.admin, "Authority", "grantRole", role, agent, 0)
    assert system.call("Authority", "hasRole", role, agent) == (False, 0)
    assert system.call("Authority", "hasRole", Role.AGENT, agent) == (True, 0)


def test_roles_made_later_conflict_with_the_agents_too(system, reverts):
    account = system.stranger.address
    system.send(system.keys.admin, "Authority", "grantRole", OTHER_ROLE, account, 0)
    with reverts("AuthorityRoleConflict", account=account, heldRole=OTHER_ROLE):
        system.send(system.keys.admin, "Authority", "grantRole", Role.AGENT, account, 0)
    system.send(system.keys.admin, "Authority", "revokeRole", OTHER_ROLE, account)
    system.send(system.keys.admin, "Authority", "grantRole", Role.AGENT, account, 0)
    assert system.call("Authority", "hasRole", Role.AGENT, account) == (True, 0)


@pytest.mark.parametrize(("first", "second"), [(Role.STEWARD, Role.AGENT), (Role.AGENT, Role.STEWARD)])
def test_membership_that_waits_for_its_grant_delay_conflicts_already(system, reverts, first, second):
    admin, account = system.keys.admin, system.stranger.address
    system.send(admin, "Authority", "setGrantDelay", first, 3_600)
    system.wait(MIN_SETBACK_S)
    system.send(admin, "Authority", "grantRole", first, account, 0)
    assert system.call("Authority", "hasRole", first, account) == (False, 0)
    with reverts("AuthorityRoleConflict", account=account, heldRole=first):
        system.send(admin, "Authority", "grantRole", second, account, 0)


def test_agent_that_left_is_free_and_one_who_stays_can_be_granted_again(system):
    admin, agent = system.keys.admin, system.keys.agent
    system.send(admin, "Authority", "grantRole", Role.AGENT, agent.address, 60)
    assert system.call("Authority", "getAccess", Role.AGENT, agent.address)[1] in (0, 60)
    system.send(agent, "Authority", "renounceRole", Role.AGENT, agent.address)
    system.send(admin, "Authority", "grantRole", Role.STEWARD, agent.address, 0)
    assert system.call("Authority", "hasRole", Role.STEWARD, agent.address) == (True, 0)
    assert system.call("Authority", "hasRole", Role.AGENT, agent.address)[0] is False


@pytest.mark.parametrize("function", ["setRoleAdmin", "setRoleGuardian"])
@pytest.mark.parametrize("power", [Role.AGENT, PUBLIC])
def test_neither_the_agent_nor_everybody_administers_or_guards_a_role(system, reverts, function, power):
    getter = function.replace("set", "get")
    before = system.call("Authority", getter, Role.GUARDIAN)
    with reverts("AuthorityAgentHasNoPower", roleId=Role.GUARDIAN):
        system.send(system.keys.admin, "Authority", function, Role.GUARDIAN, power)
    assert system.call("Authority", getter, Role.GUARDIAN) == before
    system.send(system.keys.admin, "Authority", function, Role.GUARDIAN, Role.POLICY)
    assert system.call("Authority", getter, Role.GUARDIAN) == Role.POLICY


@pytest.mark.parametrize("contract", [name for name in GUARDED if name != "Sentinel"])
def test_functions_outside_the_sentinel_are_never_opened_to_the_agent(system, reverts, contract):
    target = system.contracts[contract].address
    with reverts("AuthorityNotTheAgentDoor", target=target):
        system.send(system.keys.admin, "Authority", "setTargetFunctionRole", target, [b"\1\2\3\4"], Role.AGENT)
    assert system.call("Authority", "getTargetFunctionRole", target, b"\1\2\3\4") == Role.ADMIN


def test_door_is_named_once_by_an_administrator(system, reverts):
    door = system.contracts["Sentinel"].address
    assert system.call("Authority", "agentDoor") == door
    with reverts("AuthorityDoorAlreadySet", door=door):
        system.send(system.keys.admin, "Authority", "setAgentDoor", system.stranger.address)
    fresh = system.deploy(load_artifact("Authority"), system.keys.admin.address)
    assert system.call("Authority", "agentDoor") == ZERO_ADDRESS
    with reverts("AccessManagerUnauthorizedAccount", msgsender=system.stranger.address, roleId=Role.ADMIN):
        system.send(system.stranger, "Authority", "setAgentDoor", system.stranger.address)
    with reverts("AuthorityNotTheAgentDoor"):
        system.send(system.keys.admin, "Authority", "setTargetFunctionRole", door, [b"\1\2\3\4"], Role.AGENT)
    receipt = system.send(system.keys.admin, "Authority", "setAgentDoor", door)
    assert fresh.decode_log(receipt.logs[0]).args == {"door": door}
    system.send(system.keys.admin, "Authority", "setTargetFunctionRole", door, [b"\1\2\3\4"], Role.AGENT)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("grantRole", (Role.GUARDIAN, bytes(20), 0)),
        ("revokeRole", (Role.GUARDIAN, bytes(20))),
        ("setRoleAdmin", (Role.GUARDIAN, 7)),
        ("setRoleGuardian", (Role.POLICY, 7)),
        ("setGrantDelay", (Role.GUARDIAN, 7)),
        ("labelRole", (Role.GUARDIAN, "mine")),
        ("setTargetClosed", (bytes(20), True)),
        ("setTargetAdminDelay", (bytes(20), 1)),
        ("setTargetFunctionRole", (bytes(20), [], Role.GUARDIAN)),
        ("setAgentDoor", (bytes(20),)),
        ("updateAuthority", (bytes(20), bytes(20))),
    ],
)
def test_agent_administers_nothing(system, reverts, function, arguments):
    agent = system.keys.agent
    with reverts("AccessManagerUnauthorizedAccount", msgsender=agent.address, roleId=Role.ADMIN):
        system.send(agent, "Authority", function, *arguments)


def test_labels_name_the_roles_for_whoever_reads_the_chain(system):
    found = system.contracts["Authority"].events("RoleLabel", 0, system.engine.head().number)
    expected = {role.value: role.name for role in Role if role is not Role.ADMIN}
    assert {event.args["roleId"]: event.args["label"] for event in found} == expected
