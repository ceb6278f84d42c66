"""One deployment for all services' tests; every test leaves it as it found it."""

from contextlib import contextmanager
from itertools import count
from types import SimpleNamespace

import pytest

from chainsec.digest import keccak
from chainsec.errors import ContractReverted
from chainsec.primitives import AccessRequest, Decision, Hash32, Scope, Verdict
from chainsec.purposes import find_purpose
from chainsec.sandbox import Sandbox
from chainsec.services.assets import Registration
from chainsec.services.consent import Terms

CARE = find_purpose("treatment").hash
RECEIPT = Hash32(keccak(b"a receipt"))
DAY_S = 86_400


class Ward:
    """The services of a sandbox, its people, and short ways to act; each act makes a block."""

    def __init__(self, box):
        self.box = box
        self.client = box.client
        self.keys = box.keys
        self.serial = count()
        for name, service in vars(box.deployment).items():
            setattr(self, name, service)
        self.hospital, self.gateway = box.account("hospital"), box.gateway("hospital")
        self.owner, self.ann, self.ben, self.stranger = (box.account(name) for name in ("owner", "ann", "ben", "zoe"))

    def settle(self, timestamp_s=None):
        return self.client.settle(timestamp_s)

    def asset(self, *, sensitivity=1, content=None):
        fresh = content or f"content {next(self.serial)}".encode()
        [asset] = self.assets.register(
            self.keys.steward, [Registration(self.owner.address, Hash32(keccak(fresh)), sensitivity)]
        )
        self.settle()
        return asset

    def terms(self, asset, **fields):
        blank = {
            "grantee": self.hospital.address,
            "purpose": CARE,
            "scope": Scope.READ,
            "until": self.client.now_s + DAY_S,
        }
        return Terms(asset=asset, **blank | fields)

    def consent_to(self, asset, **fields):
        self.consent.give(self.owner, [self.terms(asset, **fields)])
        self.settle()

    def item(self, asset, **fields):
        blank = {
            "requester": self.ann.address,
            "organisation": self.hospital.address,
            "purpose": CARE,
            "scope": Scope.READ,
            "until": self.client.now_s + DAY_S,
            "context": Hash32(keccak(f"context {next(self.serial)}".encode())),
        }
        return AccessRequest(asset=asset, **blank | fields)

    def request(self, asset, **fields):
        item = self.item(asset, **fields)
        self.access.request_many(self.gateway, item.organisation, [item])
        self.settle()
        return item

    def decide(self, *items, verdict=Verdict.GRANT):
        self.sentinel.decide(self.keys.agent, [Decision(item, verdict, RECEIPT) for item in items])
        self.settle()

    def granted(self, **fields):
        """Go the whole way to a live grant for ann; return its request."""
        asset = self.asset()
        self.consent_to(asset, **fields)
        item = self.request(asset)
        self.decide(item)
        assert self.has_access(item)
        return item

    def has_access(self, item):
        return self.access.has_access(item.requester, item.asset, item.purpose, item.scope)

    def basis(self, item):
        return self.access.basis(item.requester, item.asset, item.purpose, item.scope)

    def events(self, service, name):
        return [event.args for event in service.contract.events(name, self.client.at, self.client.at)]


@pytest.fixture(scope="session")
def shared_ward():
    with Sandbox(key_seed=b"tests/services") as box:
        box.add_organisation("hospital")
        for name in ("ann", "ben"):
            box.add_member("hospital", name)
        yield Ward(box)


@pytest.fixture
def ward(shared_ward):
    mark = shared_ward.box.engine.snapshot()
    yield shared_ward
    shared_ward.client._sent.clear()
    shared_ward.box.engine.revert(mark)


@pytest.fixture(scope="session")
def facts():
    return SimpleNamespace(care=CARE, receipt=RECEIPT, day_s=DAY_S)


@pytest.fixture(scope="session")
def sends_no_transaction():
    """Give ``with sends_no_transaction(ward): ...``: nothing on chain, nothing that waits for a block."""

    @contextmanager
    def watch(ward):
        head = ward.box.engine.head()
        yield
        assert ward.box.engine.head() == head
        assert len(ward.box.engine.pool) == 0
        assert ward.client._sent == []

    return watch


@pytest.fixture
def reverts(ward):
    """Give ``with reverts("Name", argument=value): ...``, which settles what was sent inside."""

    @contextmanager
    def expect(name, **arguments):
        with pytest.raises(ContractReverted) as caught:  # noqa: PT012 - the sending or the settling fails
            yield
            ward.settle()
        assert caught.value.name == name, f"reverted with {caught.value}"
        assert {key: getattr(caught.value, key) for key in arguments} == arguments

    return expect
