"""The rules of a network with three organisations: the operator's, which is the administrator's own, and two more."""

import pytest

from chainsec.ledger.account import Account
from chainsec.ledger.artifact import load_artifact
from chainsec.primitives import Address
from chainsec.services.permissions import public_key_of

NAME = "NodePermissions"
SEED = b"tests/contracts/permissions"


class Network:
    """A contract on a system, some accounts and nodes, and short ways to act and look."""

    def __init__(self, system):
        self.system = system
        system.deploy(load_artifact(NAME), system.contracts["Authority"].address)
        self.bound, self.admin = system.contracts[NAME], system.keys.admin
        people = ("ann", "ben", "cara", "dan")
        self.ann, self.ben, self.cara, self.dan = (Account.derive(SEED, name) for name in people)
        self.nodes = [Account.derive(SEED, f"node {number}") for number in range(4)]
        self.operator, self.clinic, self.lab = (Address(bytes([place]) * 20) for place in (1, 2, 3))
        for organisation, manager in ((self.operator, self.admin), (self.clinic, self.ann), (self.lab, self.ben)):
            self.send(self.admin, "admitOrganisation", organisation, manager.address)

    def send(self, sender, function, *arguments):
        return self.system.send(sender, NAME, function, *arguments)

    def call(self, function, *arguments, sender=None):
        return self.system.call(NAME, function, *arguments, sender=sender)

    def events(self, receipt):
        return self.system.events(receipt)

    def add(self, manager, node, *, is_allowed=False):
        self.send(manager, "addNode", public_key_of(node))
        if is_allowed:
            self.send(self.admin, "allowValidator", node.address)

    def enforce(self):
        """Let the operator's first node validate, and put the rules in force."""
        self.add(self.admin, self.nodes[0], is_allowed=True)
        self.send(self.admin, "enforce")

    def validators(self):
        return sorted(self.call("getValidators"))

    def may(self, account):
        return self.call("mayTransact", account.address, False), self.call("mayTransact", account.address, True)  # noqa: FBT003 - the contract's own arguments

    def does(self, node):
        return self.call("mayConnect", node.address), self.call("mayValidate", node.address)


@pytest.fixture
def network(system):
    return Network(system)


@pytest.fixture(scope="module")
def lasting_network(shared_system):
    """A network for properties whose examples change nothing."""
    with shared_system.rewound():
        yield Network(shared_system)


@pytest.fixture
def refuses(network, reverts):
    """Give ``refuses("Error", sender, function, ...)``: the contract answers with that error and these facts."""

    def expect(name, sender, function, *arguments, **facts):
        with reverts(f"NodePermissions{name}", **facts):
            network.send(sender, function, *arguments)

    return expect
