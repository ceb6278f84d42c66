"""Who takes part in the network: admitted by its administrator, run by each organisation's managers, nobody else's."""

import pytest

from chainsec.ledger.artifact import load_artifact
from chainsec.primitives import ZERO_ADDRESS, Address
from chainsec.services.permissions import ADMINISTRATOR_FUNCTIONS, Standing, public_key_of, role_hash

NAME = "NodePermissions"
MANAGER, READER, BUILDER = (role_hash(name) for name in ("manager", "reader", "builder"))
TRANSACT, DEPLOY, MANAGE = 1, 2, 4
MANAGERS_FUNCTIONS = ("defineRole", "assignAccount", "removeAccount", "addNode", "removeNode")
OPERATOR_ROLE = 77


def test_everybody_may_do_everything_until_the_rules_are_enforced(network):
    assert not network.call("isEnforced")
    assert network.may(network.dan) == (True, True)
    assert network.does(network.nodes[0]) == (True, True)
    assert network.validators() == []


def test_enforced_rules_let_through_what_they_allow_and_nothing_else(network):
    network.enforce()
    assert network.call("isEnforced")
    assert network.may(network.admin) == network.may(network.ann) == (True, True)
    assert network.may(network.dan) == (False, False)
    assert network.does(network.nodes[0]) == (True, True)
    assert network.does(network.nodes[1]) == (False, False)
    assert network.validators() == [network.nodes[0].address]


def test_enforcement_needs_a_validator_and_a_sender_that_may_transact_and_happens_once(network, refuses):
    refuses("NoValidator", network.admin, "enforce")
    network.add(network.admin, network.nodes[0])
    refuses("NoValidator", network.admin, "enforce")
    network.send(network.admin, "allowValidator", network.nodes[0].address)
    system = network.system
    system.send(network.admin, "Authority", "grantRole", 0, network.dan.address, 0)
    refuses("LockOut", network.dan, "enforce", account=network.dan.address)
    assert network.events(network.send(network.admin, "enforce")) == [("PermissionsEnforced", {})]
    refuses("AlreadyEnforced", network.admin, "enforce")


def test_admission_makes_one_active_organisation_with_one_manager(network):
    organisation = Address(bytes([9]) * 20)
    receipt = network.send(network.admin, "admitOrganisation", organisation, network.dan.address)
    assigned = {"account": network.dan.address, "organisation": organisation, "role": MANAGER}
    assert network.events(receipt) == [
        ("OrganisationAdmitted", {"organisation": organisation}),
        ("AccountAssigned", assigned),
    ]
    assert network.call("organisationOf", organisation) == (Standing.ACTIVE, 0)
    assert network.call("accountOf", network.dan.address) == (organisation, 7)
    assert network.call("holdsRole", network.dan.address, MANAGER)
    assert network.call("accountOf", network.cara.address) == (ZERO_ADDRESS, 0)


def test_admission_takes_nobodys_place(network, refuses):
    other, dan, ann = Address(bytes([9]) * 20), network.dan.address, network.ann.address
    wrong = {"organisation": network.clinic, "standing": Standing.ACTIVE}
    refuses("WrongStanding", network.admin, "admitOrganisation", network.clinic, dan, **wrong)
    facts = {"account": ann, "organisation": network.clinic}
    refuses("ForeignAccount", network.admin, "admitOrganisation", other, ann, **facts)
    refuses("InvalidAddress", network.admin, "admitOrganisation", ZERO_ADDRESS, dan)
    refuses("InvalidAddress", network.admin, "admitOrganisation", other, ZERO_ADDRESS)
    assert network.call("organisationOf", other) == (Standing.NONE, 0)


@pytest.mark.parametrize("powers", range(8))
def test_role_gives_the_powers_that_it_names(network, refuses, powers):
    network.enforce()
    receipt = network.send(network.ann, "defineRole", READER, powers)
    fields = {"organisation": network.clinic, "role": READER, "powers": powers}
    assert network.events(receipt) == [("RoleDefined", fields)]
    network.send(network.ann, "assignAccount", network.dan.address, READER)
    assert network.call("accountOf", network.dan.address) == (network.clinic, powers)
    assert network.may(network.dan) == (bool(powers & TRANSACT), bool(powers & DEPLOY))
    if powers & MANAGE:
        network.send(network.dan, "addNode", public_key_of(network.nodes[1]))
    else:
        refuses("NotManager", network.dan, "addNode", public_key_of(network.nodes[1]), account=network.dan.address)
    assert network.does(network.nodes[1]) == (bool(powers & MANAGE), False)


def test_role_that_changes_changes_for_all_who_hold_it_and_for_nobody_else(network):
    network.enforce()
    for manager, account, role in ((network.ann, network.cara, READER), (network.ben, network.dan, READER)):
        network.send(manager, "defineRole", role, TRANSACT)
        network.send(manager, "defineRole", BUILDER, DEPLOY)
        network.send(manager, "assignAccount", account.address, role)
    network.send(network.ann, "defineRole", READER, TRANSACT | DEPLOY)
    assert network.may(network.cara) == (True, True)
    assert network.may(network.dan) == (True, False)
    assert network.call("powersOf", network.clinic, BUILDER) == DEPLOY
    assert network.call("powersOf", network.lab, READER) == TRANSACT
    network.send(network.ann, "assignAccount", network.cara.address, BUILDER)
    assert network.may(network.cara) == (False, True)
    assert not network.call("holdsRole", network.cara.address, READER)
    assert network.call("holdsRole", network.cara.address, BUILDER)


def test_organisation_has_64_roles_each_with_powers_of_its_own(network, refuses):
    roles = {role_hash(f"role {number}"): (5 * number + 1) % 8 for number in range(63)}
    for role, powers in roles.items():
        network.system.queue(network.ann, NAME, "defineRole", role, powers)
    network.system.settle()
    refuses("TooManyRoles", network.ann, "defineRole", READER, 1, organisation=network.clinic)
    assert {role: network.call("powersOf", network.clinic, role) for role in roles} == roles
    last = role_hash("role 62")
    network.send(network.ann, "defineRole", last, 0)
    assert {role: network.call("powersOf", network.clinic, role) for role in roles} == roles | {last: 0}
    assert network.call("powersOf", network.clinic, MANAGER) == 7
    assert network.call("organisationOf", network.clinic) == (Standing.ACTIVE, 0)
    network.send(network.ann, "assignAccount", network.dan.address, role_hash("role 61"))
    assert network.call("accountOf", network.dan.address) == (network.clinic, roles[role_hash("role 61")])


def test_roles_are_an_organisations_own_and_the_managers_role_is_fixed(network, refuses, reverts):
    network.send(network.ann, "defineRole", READER, TRANSACT)
    unknown = {"organisation": network.lab, "role": READER}
    refuses("UnknownRole", network.ben, "assignAccount", network.dan.address, READER, **unknown)
    with reverts("NodePermissionsUnknownRole", **unknown):
        network.call("powersOf", network.lab, READER)
    with reverts("NodePermissionsUnknownRole", organisation=network.dan.address, role=MANAGER):
        network.call("powersOf", network.dan.address, MANAGER)
    refuses("FixedRole", network.ann, "defineRole", MANAGER, TRANSACT, role=MANAGER)
    refuses("InvalidPowers", network.ann, "defineRole", READER, 8, powers=8)
    refuses("InvalidAddress", network.ann, "assignAccount", ZERO_ADDRESS, READER)


def act_of(network, function):
    """Return arguments under which ``function`` works for the clinic's manager."""
    return {
        "defineRole": (BUILDER, DEPLOY),
        "assignAccount": (network.dan.address, READER),
        "removeAccount": (network.cara.address,),
        "addNode": (public_key_of(network.nodes[2]),),
        "removeNode": (network.nodes[1].address,),
    }[function]


@pytest.mark.parametrize("function", MANAGERS_FUNCTIONS)
def test_only_managers_of_an_active_organisation_act_for_it(network, refuses, function):
    network.send(network.ann, "defineRole", READER, TRANSACT | DEPLOY)
    network.send(network.ann, "assignAccount", network.cara.address, READER)
    network.add(network.ann, network.nodes[1])
    act = (function, *act_of(network, function))
    for account in (network.cara, network.dan, network.system.keys.guardian):
        refuses("NotManager", account, *act, account=account.address)
    network.send(network.admin, "suspendOrganisation", network.clinic)
    refuses("WrongStanding", network.ann, *act, organisation=network.clinic, standing=Standing.SUSPENDED)
    network.send(network.admin, "restoreOrganisation", network.clinic)
    assert len(network.send(network.ann, *act).logs) == 1


def test_an_account_belongs_to_one_organisation_and_no_other_touches_it(network, refuses):
    network.send(network.ann, "defineRole", READER, TRANSACT)
    receipt = network.send(network.ann, "assignAccount", network.dan.address, READER)
    fields = {"account": network.dan.address, "organisation": network.clinic}
    assert network.events(receipt) == [("AccountAssigned", fields | {"role": READER})]
    refuses("ForeignAccount", network.ben, "assignAccount", network.dan.address, MANAGER, **fields)
    refuses("ForeignAccount", network.ben, "removeAccount", network.dan.address, **fields)
    refuses("ForeignAccount", network.admin, "appointManager", network.lab, network.dan.address, **fields)
    assert network.events(network.send(network.ann, "removeAccount", network.dan.address)) == [
        ("AccountRemoved", fields)
    ]
    refuses("UnknownAccount", network.ann, "removeAccount", network.dan.address, account=network.dan.address)
    network.send(network.ben, "assignAccount", network.dan.address, MANAGER)
    assert network.call("accountOf", network.dan.address) == (network.lab, 7)


def test_expelled_accounts_and_nodes_are_free_for_any_organisation(network, refuses):
    network.enforce()
    network.add(network.ann, network.nodes[1], is_allowed=True)
    node, ann = network.nodes[1].address, network.ann.address
    fields = {"node": node, "organisation": network.clinic}
    receipt = network.send(network.admin, "expelNode", node)
    assert network.events(receipt) == [("ValidatorDisallowed", fields), ("NodeExpelled", fields)]
    assert network.does(network.nodes[1]) == (False, False)
    receipt = network.send(network.admin, "expelAccount", ann)
    assert network.events(receipt) == [("AccountExpelled", {"account": ann, "organisation": network.clinic})]
    assert network.may(network.ann) == (False, False)
    refuses("UnknownAccount", network.admin, "expelAccount", ann, account=ann)
    network.send(network.ben, "addNode", public_key_of(network.nodes[1]))
    network.send(network.ben, "assignAccount", ann, MANAGER)
    assert network.call("nodeOf", node) == (network.lab, False)
    assert network.call("accountOf", ann) == (network.lab, 7)


def test_an_organisation_without_managers_gets_one_from_the_administrator(network, refuses):
    network.send(network.admin, "expelAccount", network.ann.address)
    refuses("NotManager", network.ann, "removeAccount", network.dan.address)
    network.send(network.admin, "appointManager", network.clinic, network.dan.address)
    network.send(network.dan, "addNode", public_key_of(network.nodes[1]))
    assert network.call("nodeOf", network.nodes[1].address) == (network.clinic, False)
    unknown = Address(bytes([9]) * 20)
    facts = {"organisation": unknown, "standing": Standing.NONE}
    refuses("WrongStanding", network.admin, "appointManager", unknown, network.cara.address, **facts)


def test_nobody_takes_its_own_power_to_transact_or_to_manage(network, refuses):
    ann, admin = network.ann.address, network.admin.address
    network.send(network.ann, "defineRole", READER, TRANSACT | DEPLOY)
    network.send(network.ann, "defineRole", BUILDER, 7)
    refuses("LockOut", network.ann, "removeAccount", ann, account=ann)
    refuses("LockOut", network.ann, "assignAccount", ann, READER, account=ann)
    refuses("LockOut", network.admin, "expelAccount", admin, account=admin)
    refuses("LockOut", network.admin, "suspendOrganisation", network.operator, account=admin)
    network.send(network.ann, "assignAccount", ann, BUILDER)
    for powers in (DEPLOY | MANAGE, TRANSACT | DEPLOY):
        refuses("LockOut", network.ann, "defineRole", BUILDER, powers, account=ann)
    network.send(network.ann, "defineRole", BUILDER, TRANSACT | MANAGE)
    assert network.call("accountOf", ann) == (network.clinic, TRANSACT | MANAGE)


def test_a_wallet_does_not_lock_out_who_sends_through_it(network, testing_artifacts, reverts):
    wallet = network.system.deploy(testing_artifacts["Wallet"], network.cara.address)
    permissions = network.bound
    network.send(network.ann, "defineRole", READER, TRANSACT)
    network.send(network.ann, "assignAccount", network.cara.address, READER)
    network.send(network.ann, "assignAccount", wallet.address, MANAGER)

    def through_wallet(function, *arguments):
        return network.system.send(
            network.cara, "Wallet", "execute", permissions.address, permissions.encode(function, *arguments)
        )

    with reverts("NodePermissionsLockOut", account=network.cara.address):
        through_wallet("removeAccount", network.cara.address)
    with reverts("NodePermissionsLockOut", account=wallet.address):
        through_wallet("removeAccount", wallet.address)
    through_wallet("removeAccount", network.ann.address)
    assert network.call("accountOf", network.cara.address) == (network.clinic, TRANSACT)
    assert network.call("accountOf", wallet.address) == (network.clinic, 7)
    assert network.call("accountOf", network.ann.address) == (ZERO_ADDRESS, 0)


def test_every_act_is_the_administrators_or_a_managers(network):
    abi = load_artifact(NAME).abi
    writing = {item["name"] for item in abi if item["type"] == "function" and item["stateMutability"] == "nonpayable"}
    assert writing == {*ADMINISTRATOR_FUNCTIONS, *MANAGERS_FUNCTIONS, "setAuthority"}
    assert network.call("authority") == network.system.contracts["Authority"].address


def test_the_administrators_acts_belong_to_a_role_that_can_be_given_away(network, reverts):
    system, permissions = network.system, network.bound
    dan, clinic, node = network.dan.address, network.clinic, network.nodes[0].address
    arguments = {"admitOrganisation": (Address(b"\x09" * 20), dan), "appointManager": (clinic, dan), "enforce": ()}
    subjects = {"expelAccount": dan, "allowValidator": node, "disallowValidator": node, "expelNode": node}
    for function in ADMINISTRATOR_FUNCTIONS:
        given = arguments.get(function, (subjects.get(function, clinic),))
        for account in (network.dan, network.ann, system.keys.guardian, system.keys.agent):
            with reverts("AccessManagedUnauthorized", caller=account.address):
                network.call(function, *given, sender=account.address)
    selectors = [permissions.selector(name) for name in ADMINISTRATOR_FUNCTIONS]
    system.send(network.admin, "Authority", "setTargetFunctionRole", permissions.address, selectors, OPERATOR_ROLE)
    system.send(network.admin, "Authority", "grantRole", OPERATOR_ROLE, dan, 0)
    network.send(network.dan, "suspendOrganisation", clinic)
    with reverts("AccessManagedUnauthorized", caller=network.admin.address):
        network.send(network.admin, "restoreOrganisation", clinic)
    assert network.call("organisationOf", clinic)[0] == Standing.SUSPENDED
