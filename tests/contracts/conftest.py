"""The whole system on an in-process chain, for suites that talk to the contracts and to nothing above them."""

import json
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest

from chainsec.config import Limits
from chainsec.deployment import Deployment, Keys, deploy
from chainsec.digest import digest_json, keccak
from chainsec.errors import ContractReverted
from chainsec.ledger.account import Account
from chainsec.ledger.artifact import Artifact
from chainsec.ledger.client import Client
from chainsec.ledger.compiler import compile_sources
from chainsec.ledger.contract import Contract
from chainsec.ledger.engine import open_engine
from chainsec.ledger.solc import PINNED
from chainsec.primitives import ZERO_HASH, AccessRequest, Decision, Hash32, Scope, Verdict
from chainsec.purposes import find_purpose

SEED = b"tests/contracts"
TRANSACTION_GAS = 15_000_000
LIFETIME_S = 365 * 86_400
CARE = find_purpose("care").hash
RECEIPT = Hash32(keccak(b"a receipt"))
MEMBER = b"chainsec.member".ljust(32, b"\0")
GATEWAY = b"chainsec.gateway".ljust(32, b"\0")


@dataclass
class System:
    """Contracts by name, the accounts that act on them, and short ways to act and look."""

    client: Client
    keys: Keys
    contracts: dict[str, Contract]
    hospital: Account = field(default_factory=lambda: Account.derive(SEED, "hospital"))
    gateway: Account = field(default_factory=lambda: Account.derive(SEED, "gateway"))
    owner: Account = field(default_factory=lambda: Account.derive(SEED, "owner"))
    stranger: Account = field(default_factory=lambda: Account.derive(SEED, "stranger"))
    _serial: int = 0

    @property
    def now_s(self):
        return self.client.now_s

    def member(self, number):
        """Return the hospital's staff member ``number``, made a member on first use."""
        account = Account.derive(SEED, f"member:{number}")
        hospital = self.hospital.address
        if not self.call("DidRegistry", "validDelegate", hospital, MEMBER, account.address):
            self.send(self.hospital, "DidRegistry", "addDelegate", hospital, MEMBER, account.address, LIFETIME_S)
        return account

    def call(self, contract, function, *arguments, sender=None):
        return self.client.call(self.contracts[contract], function, *arguments, sender=sender)

    def queue(self, sender, contract, function, *arguments):
        """Sign and pool a transaction; it takes effect with the next ``settle``."""
        bound = self.contracts[contract]
        return self.client.transact(sender, bound.address, bound.encode(function, *arguments))

    def settle(self, timestamp_s=None):
        return self.client.settle(timestamp_s)

    def send(self, sender, contract, function, *arguments):
        """Send one transaction in a block of its own; return its receipt, or raise its typed error."""
        self.queue(sender, contract, function, *arguments)
        return self.settle()[-1]

    def wait(self, seconds):
        """Let time pass: the next block is ``seconds`` later. An anchor marks it, which touches no access state."""
        self.queue(self.keys.notary, "AuditTrail", "anchor", keccak(b"time"), keccak(b"passes"), 1)
        self.settle(self.now_s + seconds)

    def asset(self, *, sensitivity=1, owner=None):
        """Register a new asset of ``owner``; return its identifier."""
        holder = (owner or self.owner).address
        self._serial += 1
        content = keccak(f"content {self._serial}".encode())
        self.send(self.keys.steward, "AssetRegistry", "register", (holder, content, sensitivity, ZERO_HASH, []))
        return Hash32(self.call("AssetRegistry", "assetId", holder, content))

    def terms(self, asset, *, grantee=None, purpose=CARE, scope=Scope.READ, until=None):
        party = (grantee or self.hospital).address
        return (asset, party, purpose, int(scope), until or self.now_s + LIFETIME_S, RECEIPT)

    def consent(self, asset, **terms):
        """Let the owner give consent: to the hospital, for care, to read, unless ``terms`` say otherwise."""
        return self.send(self.owner, "ConsentLedger", "give", self.terms(asset, **terms))

    def item(self, requester, asset, *, organisation=None, purpose=CARE, scope=Scope.READ, until=None):
        """Return a request that nobody has made yet."""
        self._serial += 1
        return AccessRequest(
            requester=requester.address,
            organisation=(organisation or self.hospital).address,
            asset=asset,
            purpose=purpose,
            scope=scope,
            until=until or self.now_s + LIFETIME_S,
            context=Hash32(keccak(f"context {self._serial}".encode())),
        )

    def request(self, requester, asset, **fields):
        """File a request in the requester's own name; return it."""
        item = self.item(requester, asset, **fields)
        self.send(requester, "AccessGrants", "request", *item.as_tuple()[1:])
        return item

    def filing(self, item):
        fields = item.as_tuple()
        return (fields[0], *fields[2:])

    def decision(self, item, verdict=Verdict.GRANT, receipt=RECEIPT):
        decision = Decision(item, verdict, receipt)
        return (decision.request.as_tuple(), int(decision.verdict), decision.receipt)

    def decide(self, item, verdict=Verdict.GRANT, receipt=RECEIPT):
        return self.send(self.keys.agent, "Sentinel", "decide", self.decision(item, verdict, receipt))

    def grant(self, requester=None, *, sensitivity=1):
        """Go the whole way from a new asset to a live grant; return the request."""
        asset = self.asset(sensitivity=sensitivity)
        self.consent(asset)
        item = self.request(requester or self.member(0), asset)
        self.decide(item)
        assert self.has_access(item)
        return item

    def has_access(self, item):
        return self.call("AccessGrants", "hasAccess", item.requester, item.asset, item.purpose, int(item.scope))

    def status(self, item):
        return self.call("AccessGrants", "statusOf", item.id)[0]

    def deploy(self, artifact, *arguments, sender=None):
        """Deploy one more contract, for instance a hostile one, and know it by its artifact's name."""
        self.contracts[artifact.name] = self.client.deploy(sender or self.keys.admin, artifact, *arguments)
        return self.contracts[artifact.name]


@pytest.fixture
def make_system():
    """Give a function that deploys everything on a chain of its own, under the given limits."""
    engines = []

    def make(**limits):
        engine = open_engine("eth-tester")
        engines.append(engine)
        client = Client(engine, transaction_gas=TRANSACTION_GAS)
        keys = Keys(*(Account.derive(SEED, role) for role in Keys.__dataclass_fields__))
        deployment = deploy(client, keys, Limits(**limits))
        system = System(client, keys, contracts_of(deployment))
        gateway = system.gateway.address
        system.queue(keys.admin, "Authority", "grantRole", 3, gateway, 0)
        hospital = system.hospital.address
        system.queue(system.hospital, "DidRegistry", "addDelegate", hospital, GATEWAY, gateway, LIFETIME_S)
        system.settle()
        return system

    yield make
    for engine in engines:
        engine.close()


def contracts_of(deployment: Deployment) -> dict[str, Contract]:
    return {
        "Authority": deployment.authority.contract,
        "DidRegistry": deployment.identity.contract,
        "AssetRegistry": deployment.assets.contract,
        "ConsentLedger": deployment.consent.contract,
        "AccessGrants": deployment.access.contract,
        "Sentinel": deployment.sentinel.contract,
        "AuditTrail": deployment.audit.contract,
    }


@pytest.fixture
def system(make_system):
    return make_system()


@pytest.fixture(scope="session")
def reverts():
    """Give ``with reverts("CustomErrorName", argument=value): ...``: exactly that error, with these arguments."""

    @contextmanager
    def expect(name, **arguments):
        with pytest.raises(ContractReverted) as caught:
            yield caught
        assert caught.value.name == name, f"reverted with {caught.value}"
        assert {key: getattr(caught.value, key) for key in arguments} == arguments

    return expect


@pytest.fixture(scope="session")
def testing_artifacts(request, project_root):
    """Compile ``contracts/testing``, or take what was compiled from the same sources before; by contract name."""
    folder = request.config.cache.mkdir("solidity")
    files = sorted((project_root / "contracts").rglob("*.sol"))
    state = {path.relative_to(project_root).as_posix(): keccak(path.read_bytes()).hex() for path in files}
    kept = folder / f"{digest_json([state, PINNED.version, PINNED.to_standard_json()]).hex()}.json"
    if not kept.exists():
        compiler = request.getfixturevalue("solidity")
        made = compile_sources(project_root, testing=True, compiler=compiler)
        fresh = kept.with_suffix(f".{request.config.workerinput['workerid'] if hasattr(request.config, 'workerinput') else 0}")
        fresh.write_text(json.dumps([artifact.to_json().decode() for artifact in made.values()]))
        fresh.replace(kept)
    artifacts = [Artifact.from_json(text.encode()) for text in json.loads(kept.read_text())]
    return {artifact.name: artifact for artifact in artifacts}
