"""The whole system on an in-process chain, for suites that talk to the contracts and to nothing above them."""

import json
import os
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from eth_abi import encode

from chainsec.config import Limits
from chainsec.deployment import POLICY_DELAY_S, Keys, deploy
from chainsec.digest import digest_json, keccak
from chainsec.errors import ContractReverted
from chainsec.ledger.account import Account
from chainsec.ledger.artifact import Artifact, load_all_errors, load_artifact
from chainsec.ledger.client import Client
from chainsec.ledger.compiler import compile_sources
from chainsec.ledger.contract import Contract
from chainsec.ledger.engine import Engine, open_engine
from chainsec.ledger.solc import PINNED
from chainsec.primitives import ZERO_HASH, AccessRequest, Address, Decision, Hash32, Scope, Verdict
from chainsec.purposes import find_purpose
from chainsec.services.access import Basis, Status

SEED = b"tests/contracts"
TRANSACTION_GAS = 15_000_000
LIFETIME_S = 365 * 86_400
CARE = find_purpose("treatment").hash
RECEIPT = Hash32(keccak(b"a receipt"))
BASES = [basis.name for basis in Basis]
STATUSES = [status.name for status in Status]
MEMBER = b"chainsec.member".ljust(32, b"\0")
GATEWAY = b"chainsec.gateway".ljust(32, b"\0")
DOMAIN_TYPE = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
TERMS_TYPE = (
    b"Consent(bytes32 asset,address grantee,bytes32 purpose,uint8 scope,uint40 until,bytes32 record,"
    b"uint40 replaces,uint256 deadline)"
)


@dataclass
class System:
    """Contracts by name, the accounts that act on them, and short ways to act and look."""

    engine: Engine
    keys: Keys
    addresses: dict[str, Address]
    client: Client = field(init=False)
    contracts: dict[str, Contract] = field(init=False)
    hospital: Account = field(default_factory=lambda: Account.derive(SEED, "hospital"))
    gateway: Account = field(default_factory=lambda: Account.derive(SEED, "gateway"))
    owner: Account = field(default_factory=lambda: Account.derive(SEED, "owner"))
    stranger: Account = field(default_factory=lambda: Account.derive(SEED, "stranger"))
    _serial: int = 0

    def __post_init__(self):
        errors = load_all_errors()
        self.contracts = {
            name: Contract(self.engine, address, load_artifact(name).abi, errors)
            for name, address in self.addresses.items()
        }
        self._connect()

    def _connect(self):
        """Take up the chain where it stands, knowing every contract's errors wherever they come through."""
        self.client = Client(self.engine, transaction_gas=TRANSACTION_GAS)
        self.client._contracts = list(self.contracts.values())

    @contextmanager
    def rewound(self):
        """Undo at its end whatever happens inside, for one example of a property."""
        mark, serial, contracts = self.engine.snapshot(), self._serial, dict(self.contracts)
        try:
            yield self
        finally:
            self.engine.revert(mark)
            self._serial, self.contracts = serial, contracts
            self._connect()

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

    def send(self, sender, contract, function, *arguments, at_s=None):
        """Send one transaction in a block of its own; return its receipt, or raise its typed error."""
        self.queue(sender, contract, function, *arguments)
        return self.settle(at_s)[-1]

    def send_raw(self, sender, contract, data):
        """Send bytes that no encoder made."""
        self.client.transact(sender, self.contracts[contract].address, data)
        return self.settle()[-1]

    def move_to(self, timestamp_s):
        """Let time pass until then. An anchor marks it, which touches no access state."""
        self.queue(self.keys.notary, "AuditTrail", "anchor", keccak(b"time"), keccak(b"passes"), 1)
        self.settle(timestamp_s)
        assert self.now_s == timestamp_s

    def wait(self, seconds):
        self.move_to(self.now_s + seconds)

    def assets(self, count, *, sensitivity=1, owner=None):
        """Register new assets of ``owner`` in one transaction; return their identifiers."""
        holder = (owner or self.owner).address
        contents = [keccak(f"content {self._serial + place}".encode()) for place in range(count)]
        self._serial += count
        entries = [(holder, content, sensitivity, ZERO_HASH, []) for content in contents]
        self.send(self.keys.steward, "AssetRegistry", "registerMany", entries)
        return [Hash32(self.call("AssetRegistry", "assetId", holder, content)) for content in contents]

    def asset(self, *, sensitivity=1, owner=None):
        """Register one new asset of ``owner``; return its identifier."""
        [asset] = self.assets(1, sensitivity=sensitivity, owner=owner)
        return asset

    def terms(self, asset, *, grantee=None, purpose=CARE, scope=Scope.READ, until=None):
        party = (grantee or self.hospital).address
        return (asset, party, purpose, int(scope), until or self.now_s + LIFETIME_S, RECEIPT)

    def consent(self, asset, **terms):
        """Let the owner give consent: to the hospital, for care, to read, unless ``terms`` say otherwise."""
        return self.send(self.owner, "ConsentLedger", "give", self.terms(asset, **terms))

    def sign(self, terms, deadline, *, signer=None, replaces=None, chain_id=None, contract="ConsentLedger"):
        """Sign ``terms`` as EIP-712 says, here and for the consent as it stands, or (where told so) for another."""
        if replaces is None:
            replaces = self.call("ConsentLedger", "consentOf", *terms[:3])[1]
        place = (chain_id or self.engine.chain_id, self.contracts[contract].address)
        name = (keccak(DOMAIN_TYPE), keccak(b"ChainSec ConsentLedger"), keccak(b"1"), *place)
        domain = keccak(encode(("bytes32", "bytes32", "bytes32", "uint256", "address"), name))
        types = ("bytes32", "bytes32", "address", "bytes32", "uint8", "uint40", "bytes32", "uint40", "uint256")
        struct = keccak(encode(types, (keccak(TERMS_TYPE), *terms, replaces, deadline)))
        return (signer or self.owner).sign_digest(keccak(b"\x19\x01" + domain + struct))

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

    def file(self, *items):
        """File requests of the hospital's members in one transaction, through its gateway; return its receipt."""
        filings = [self.filing(item) for item in items]
        return self.send(self.gateway, "AccessGrants", "requestMany", self.hospital.address, filings)

    def request(self, requester, asset, **fields):
        """File one request of a member; return it."""
        item = self.item(requester, asset, **fields)
        self.file(item)
        return item

    def request_alone(self, requester, asset, **fields):
        """File a request in the requester's own name; return it."""
        item = self.item(requester, asset, organisation=requester, **fields)
        self.send(requester, "AccessGrants", "request", *item.as_tuple()[2:])
        return item

    def filing(self, item):
        fields = item.as_tuple()
        return (fields[0], *fields[2:])

    def decision(self, item, verdict=Verdict.GRANT, receipt=RECEIPT):
        decision = Decision(item, verdict, receipt)
        return (decision.request.as_tuple(), int(decision.verdict), decision.receipt)

    def decide(self, item, verdict=Verdict.GRANT, receipt=RECEIPT):
        return self.send(self.keys.agent, "Sentinel", "decide", self.decision(item, verdict, receipt))

    def pending(self, requester=None, *, sensitivity=1, until=None, **terms):
        """Go from a new asset to a pending request that consent covers; return the request."""
        asset = self.asset(sensitivity=sensitivity)
        self.consent(asset, **terms)
        return self.request(requester or self.member(0), asset, until=until)

    def grant(self, requester=None, **fields):
        """Go the whole way from a new asset to a live grant; return the request."""
        item = self.pending(requester, **fields)
        self.decide(item)
        assert self.has_access(item)
        return item

    def events(self, receipt):
        """Return a transaction's events in order: pairs of a name and the arguments."""
        found = []
        for log in receipt.logs:
            decoded = [event for bound in self.contracts.values() if (event := bound.decode_log(log))]
            found += [(event.name, event.args) for event in decoded]
        assert len(found) == len(receipt.logs)
        return found

    def basis(self, item, scope=None):
        place = self.call(
            "AccessGrants", "accessBasis", item.requester, item.asset, item.purpose, int(scope or item.scope)
        )
        return BASES[place]

    def has_access(self, item):
        return self.call("AccessGrants", "hasAccess", item.requester, item.asset, item.purpose, int(item.scope))

    def status(self, item):
        return STATUSES[self.call("AccessGrants", "statusOf", item.id)]

    def schedule(self, data, sender=None):
        """Announce a call of the Sentinel, as POLICY has to."""
        target = self.contracts["Sentinel"].address
        return self.send(sender or self.keys.policy, "Authority", "schedule", target, data, 0)

    def run_scheduled(self, data):
        """Announce a call of the Sentinel, wait until it is due, and make it."""
        self.schedule(data)
        self.wait(POLICY_DELAY_S)
        return self.send_raw(self.keys.policy, "Sentinel", data)

    def deploy(self, artifact, *arguments, sender=None):
        """Deploy one more contract, for instance a hostile one, and know it by its artifact's name."""
        bound = self.client.deploy(sender or self.keys.admin, artifact, *arguments)
        self.contracts[artifact.name] = Contract(self.engine, bound.address, artifact.abi, load_all_errors())
        return self.contracts[artifact.name]


def build_system(**limits):
    """Deploy everything on a chain of its own, under the given limits, with one organisation and its gateway."""
    engine = open_engine("eth-tester")
    keys = Keys(*(Account.derive(SEED, role) for role in Keys.__dataclass_fields__))
    deployment = deploy(Client(engine, transaction_gas=TRANSACTION_GAS), keys, Limits(**limits))
    system = System(engine, keys, deployment.addresses())
    gateway, hospital = system.gateway.address, system.hospital.address
    system.queue(system.hospital, "DidRegistry", "addDelegate", hospital, GATEWAY, gateway, LIFETIME_S)
    system.settle()
    return system


@pytest.fixture(scope="session")
def build():
    """Give ``build(**limits)``: a system for whoever closes its engine."""
    return build_system


@pytest.fixture
def make_system():
    """Give ``make_system(**limits)``: a system under other limits than the default ones."""
    systems = []

    def make(**limits):
        systems.append(build_system(**limits))
        return systems[-1]

    yield make
    for system in systems:
        system.engine.close()


@pytest.fixture(scope="session")
def shared_system():
    system = build_system()
    yield system
    system.engine.close()


@pytest.fixture
def system(shared_system):
    """The whole system under default limits, as freshly deployed."""
    with shared_system.rewound():
        yield shared_system


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
        fresh = kept.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps([artifact.to_json().decode() for artifact in made.values()]))
        fresh.replace(kept)
    artifacts = [Artifact.from_json(text.encode()) for text in json.loads(kept.read_text())]
    return {artifact.name: artifact for artifact in artifacts}
