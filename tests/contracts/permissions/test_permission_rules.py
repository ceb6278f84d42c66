"""Random acts of the administrator and of managers, beside a small model of who may do what."""

from copy import deepcopy
from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from chainsec.errors import ContractReverted
from chainsec.ledger.account import Account
from chainsec.ledger.artifact import load_artifact
from chainsec.primitives import ZERO_ADDRESS, Address
from chainsec.services.permissions import ADMINISTRATOR_FUNCTIONS, public_key_of, role_hash

EXAMPLES, STEPS = 12, 30
NAME = "NodePermissions"
TRANSACT, DEPLOY, MANAGE = 1, 2, 4
NONE, ACTIVE, SUSPENDED = range(3)
SEED = b"test_permission_rules"
OPERATOR, CLINIC, LAB, LATE = ORGANISATIONS = [Address(bytes([number]) * 20) for number in range(1, 5)]
PEOPLE = [Account.derive(SEED, f"person {number}") for number in range(6)]
NODE_KEYS = [Account.derive(SEED, f"node {number}") for number in range(7)]
NODES = [node.address for node in NODE_KEYS]
MANAGER, READER, *_ = ROLES = [role_hash(name) for name in ("manager", "reader", "builder", "never defined")]


class Refused(Exception):  # noqa: N818 - as the contract's errors, it names what happened
    """The rules do not allow an act."""


def refuse_if(condition, name):
    if condition:
        raise Refused(name)


class Rules:
    """What the contract says, in sets and dictionaries."""

    def __init__(self):
        self.standing = {}
        self.powers = {}
        self.role = {}
        self.owner = {}
        self.allowed = set()
        self.enforced = False

    def powers_of(self, account):
        organisation, role = self.role.get(account, (None, None))
        return self.powers[organisation, role] if self.standing.get(organisation) == ACTIVE else 0

    def may_transact(self, account, power):
        return not self.enforced or bool(self.powers_of(account) & power)

    def may_connect(self, node):
        return not self.enforced or self.standing.get(self.owner.get(node)) == ACTIVE

    def validators(self):
        return {node for node in self.allowed if self.standing[self.owner[node]] == ACTIVE}

    def beyond(self, organisations):
        """Return all that belongs to others: accounts with what they may do, nodes, allowances, standings."""
        accounts = {a: (entry, self.powers_of(a)) for a, entry in self.role.items() if entry[0] not in organisations}
        nodes = {n: (owner, n in self.allowed) for n, owner in self.owner.items() if owner not in organisations}
        return accounts, nodes, {o: standing for o, standing in self.standing.items() if o not in organisations}

    def managed_by(self, sender):
        organisation, role = self.role.get(sender, (None, None))
        refuse_if(self.standing.get(organisation) == SUSPENDED, "WrongStanding")
        refuse_if(not self.powers.get((organisation, role), 0) & MANAGE, "NotManager")
        return organisation

    def after(self, sender, act, *arguments):
        """Return the rules after an act; what every act has to leave as it is, is checked here once for all."""
        then = deepcopy(self)
        getattr(then, act)(sender, *arguments)
        refuse_if(then.enforced and not then.validators(), "NoValidator")
        lost = self.powers_of(sender) & ~then.powers_of(sender)
        refuse_if(lost & (TRANSACT | MANAGE), "LockOut")
        return then

    def assign(self, organisation, account, role):
        refuse_if(self.role.get(account, (organisation,))[0] != organisation, "ForeignAccount")
        refuse_if((organisation, role) not in self.powers, "UnknownRole")
        self.role[account] = (organisation, role)

    def take(self, node):
        refuse_if(node not in self.owner, "UnknownNode")
        del self.owner[node]
        self.allowed.discard(node)

    def admitOrganisation(self, _, organisation, manager):  # noqa: N802 - acts have the contract's names
        refuse_if(organisation in self.standing, "WrongStanding")
        self.standing[organisation], self.powers[organisation, MANAGER] = ACTIVE, 7
        self.assign(organisation, manager, MANAGER)

    def appointManager(self, _, organisation, account):  # noqa: N802
        refuse_if(organisation not in self.standing, "WrongStanding")
        self.assign(organisation, account, MANAGER)

    def suspendOrganisation(self, _, organisation):  # noqa: N802
        refuse_if(self.standing.get(organisation) != ACTIVE, "WrongStanding")
        self.standing[organisation] = SUSPENDED

    def restoreOrganisation(self, _, organisation):  # noqa: N802
        refuse_if(self.standing.get(organisation) != SUSPENDED, "WrongStanding")
        self.standing[organisation] = ACTIVE

    def allowValidator(self, _, node):  # noqa: N802
        refuse_if(node not in self.owner, "UnknownNode")
        refuse_if(node in self.allowed, "AlreadyAllowed")
        self.allowed.add(node)

    def disallowValidator(self, _, node):  # noqa: N802
        refuse_if(node not in self.owner, "UnknownNode")
        refuse_if(node not in self.allowed, "NotAllowed")
        self.allowed.discard(node)

    def expelAccount(self, _, account):  # noqa: N802
        refuse_if(account not in self.role, "UnknownAccount")
        del self.role[account]

    def expelNode(self, _, node):  # noqa: N802
        self.take(node)

    def enforce(self, sender):
        refuse_if(self.enforced, "AlreadyEnforced")
        refuse_if(not self.validators(), "NoValidator")
        refuse_if(not self.powers_of(sender) & TRANSACT, "LockOut")
        self.enforced = True

    def defineRole(self, sender, role, powers):  # noqa: N802
        organisation = self.managed_by(sender)
        refuse_if(role == MANAGER, "FixedRole")
        self.powers[organisation, role] = powers

    def assignAccount(self, sender, account, role):  # noqa: N802
        self.assign(self.managed_by(sender), account, role)

    def removeAccount(self, sender, account):  # noqa: N802
        organisation = self.managed_by(sender)
        refuse_if(account not in self.role, "UnknownAccount")
        refuse_if(self.role[account][0] != organisation, "ForeignAccount")
        del self.role[account]

    def addNode(self, sender, node):  # noqa: N802
        organisation = self.managed_by(sender)
        refuse_if(self.owner.get(node) == organisation, "KnownNode")
        refuse_if(node in self.owner, "ForeignNode")
        self.owner[node] = organisation

    def removeNode(self, sender, node):  # noqa: N802
        organisation = self.managed_by(sender)
        refuse_if(node not in self.owner, "UnknownNode")
        refuse_if(self.owner[node] != organisation, "ForeignNode")
        self.take(node)


ACTS_TAKE = {
    "admitOrganisation": ("organisation", "account"),
    "appointManager": ("organisation", "account"),
    "suspendOrganisation": ("organisation",),
    "restoreOrganisation": ("organisation",),
    "allowValidator": ("node",),
    "disallowValidator": ("node",),
    "expelAccount": ("account",),
    "expelNode": ("node",),
    "enforce": (),
    "defineRole": ("role", "powers"),
    "assignAccount": ("account", "role"),
    "removeAccount": ("account",),
    "addNode": ("node",),
    "removeNode": ("node",),
}
OFTEN = ("suspendOrganisation", "restoreOrganisation", "defineRole", "assignAccount", "addNode", "allowValidator")
ACTS = (*ACTS_TAKE, *OFTEN)
FITTING_RATE = 0.7
STEPS_PER_LOOK = 6


class Permissions(RuleBasedStateMachine):
    system = None

    @initialize(seed=st.integers(0, 2**32), is_enforced=st.booleans())
    def found(self, seed, is_enforced):
        self.random = Random(seed)  # evenly, where hypothesis would try much the same again and again
        self.rewound = self.system.rewound()
        self.rewound.__enter__()
        self.admin = self.system.keys.admin
        self.bound = self.system.deploy(load_artifact(NAME), self.system.contracts["Authority"].address)
        self.accounts = [*PEOPLE, self.admin]
        self.rules, self.steps = Rules(), 0
        for organisation, manager, node in zip(ORGANISATIONS[:3], (self.admin, *PEOPLE), NODES, strict=False):
            self.act(self.admin, "admitOrganisation", organisation, manager.address)
            self.act(manager, "addNode", node)
            self.act(self.admin, "allowValidator", node)
            self.act(manager, "defineRole", READER, TRANSACT)
        self.act(PEOPLE[0], "assignAccount", PEOPLE[2].address, READER)
        if is_enforced:
            self.act(self.admin, "enforce")

    def teardown(self):
        if not hasattr(self, "rewound"):
            return
        try:
            self.look_at_records()
        finally:
            self.rewound.__exit__(None, None, None)

    def call(self, function, *arguments):
        return self.system.call(NAME, function, *arguments)

    def act(self, sender, function, *arguments):
        """Send; the contract does what the model does, or refuses with the error that the model expects."""
        expected = None
        try:
            then = self.rules.after(sender.address, function, *arguments)
        except Refused as refusal:
            then, expected = self.rules, f"NodePermissions{refusal}"
        if function == "addNode":
            arguments = [public_key_of(node) for node in NODE_KEYS if node.address == arguments[0]]
        found = None
        try:
            self.system.send(sender, NAME, function, *arguments)
        except ContractReverted as error:
            found = error.name
        assert found == expected, (function, arguments)
        self.rules = then

    def act_watched(self, sender, function, *arguments):
        """Act, and hold what is others' against what it was: as views equal the model, the model speaks for them."""
        before = self.rules
        self.act(sender, function, *arguments)
        if function not in ADMINISTRATOR_FUNCTIONS:
            own = {before.role.get(sender.address, (None,))[0], None}
            assert before.beyond(own) == self.rules.beyond(own)

    @rule()
    def act_at_random(self):
        random = self.random
        function = random.choice(ACTS)
        sender = self.admin if function in ADMINISTRATOR_FUNCTIONS else self.pick_manager(random)
        arguments = [self.pick(random, kind, function, sender) for kind in ACTS_TAKE[function]]
        self.act_watched(sender, function, *arguments)

    def pick_manager(self, random):
        """Return who acts for an organisation: mostly one of the accounts that may."""
        managers = [entry for entry in self.accounts if self.rules.powers_of(entry.address) & MANAGE]
        return random.choice(managers * 4 + self.accounts)

    def pick(self, random, kind, function, sender):
        """Return an argument: mostly, where it is an organisation or a node, one with which the act makes sense."""
        rules = self.rules
        known = {node: node in rules.owner for node in NODES}
        own = rules.role.get(sender.address, (None,))[0]
        sensible = {
            "suspendOrganisation": [entry for entry in ORGANISATIONS if rules.standing.get(entry) == ACTIVE],
            "restoreOrganisation": [entry for entry in ORGANISATIONS if rules.standing.get(entry) == SUSPENDED],
            "admitOrganisation": [entry for entry in ORGANISATIONS if entry not in rules.standing],
            "addNode": [node for node in known if not known[node]],
            "removeNode": [node for node in known if rules.owner.get(node) == own],
            "allowValidator": [node for node in known if known[node] and node not in rules.allowed],
            "disallowValidator": sorted(rules.validators()),
        }
        anything = {
            "organisation": ORGANISATIONS,
            "account": [entry.address for entry in (sender, sender, *self.accounts)],
            "node": NODES,
            "role": ROLES,
            "powers": range(8),
        }[kind]
        fitting = sensible.get(function) if kind in {"organisation", "node"} else None
        return random.choice(fitting if fitting and random.random() < FITTING_RATE else anything)

    @invariant()
    def views_say_what_the_model_says(self):
        rules, people = self.rules, [account.address for account in self.accounts]
        assert self.call("isEnforced") == rules.enforced
        validators = self.call("getValidators")
        assert (set(validators), len(validators)) == (rules.validators(), len(rules.validators()))
        for power in (TRANSACT, DEPLOY):
            answers = [rules.may_transact(account, power) for account in people]
            assert [*self.call("mayTransactMany", people, [power == DEPLOY] * len(people))] == answers
        for node in NODES:
            assert self.call("mayConnect", node) == rules.may_connect(node)
            assert self.call("mayValidate", node) == (not rules.enforced or node in rules.validators())

    @invariant()
    def records_say_what_the_model_says(self):
        self.steps += 1
        if self.steps % STEPS_PER_LOOK == 0:
            self.look_at_records()

    def look_at_records(self):
        rules = self.rules
        for node in NODES:
            assert self.call("nodeOf", node) == (rules.owner.get(node, ZERO_ADDRESS), node in rules.allowed)
        for account in (entry.address for entry in self.accounts):
            organisation, role = rules.role.get(account, (ZERO_ADDRESS, None))
            assert self.call("accountOf", account) == (organisation, rules.powers_of(account))
            assert self.call("holdsRole", account, role or MANAGER) == (role is not None)
            assert not self.call("holdsRole", account, ROLES[ROLES.index(role) - 1] if role else READER)
        for (organisation, role), powers in rules.powers.items():
            assert self.call("powersOf", organisation, role) == powers
        for organisation in ORGANISATIONS:
            validators = sum(rules.owner[node] == organisation for node in rules.allowed)
            standing = rules.standing.get(organisation, NONE)
            assert self.call("organisationOf", organisation) == (standing, validators)

    @invariant()
    def suspended_is_suspended(self):
        rules = self.rules
        for organisation in (name for name, standing in rules.standing.items() if standing == SUSPENDED):
            held = [account for account, (owner, _) in rules.role.items() if owner == organisation]
            owned = {node for node, owner in rules.owner.items() if owner == organisation}
            assert not any(rules.powers_of(account) for account in held)
            assert not owned & rules.validators()
            assert not rules.enforced or not any(rules.may_connect(node) for node in owned)

    @invariant()
    def nobody_has_locked_the_network_out(self):
        assert not self.rules.enforced or self.rules.validators()


def test_views_equal_the_model_and_no_organisation_changes_anothers(shared_system):
    bound = type("Permissions", (Permissions,), {"system": shared_system})
    run_state_machine_as_test(bound, settings=settings(max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None))
