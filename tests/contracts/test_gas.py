"""What each operation costs, beside its floor and its target; docs/gas.md shows the very figures measured here."""

from dataclasses import dataclass

import pytest

from chainsec.digest import keccak
from chainsec.ledger.account import Account
from chainsec.ledger.artifact import load_artifact
from chainsec.ledger.engine import CALL_GAS
from chainsec.primitives import Address, Hash32, Verdict
from chainsec.services.permissions import public_key_of, role_hash

BATCH = 50
FEW = 10
BASE_GAS = 21_000
PRICE_GAS = {"new": 22_100, "changed": 5_000, "cleared": 200, "read": 2_100, "account": 2_600}
ONCE = {"transaction": "once a transaction", "requester": "once a requester", "item": "once an item"}
MARK = "<!-- measured by tests/contracts/test_gas.py -->\n"


@dataclass(frozen=True)
class Slot:
    """A storage slot (or, of kind ``account``, a contract called) that an operation cannot do without."""

    place: str
    purpose: str
    kind: str
    per: str = "transaction"


@dataclass(frozen=True)
class Operation:
    name: str
    slots: tuple[Slot, ...]
    topics: int
    data_words: int
    items: int = 1
    target_gas: int | None = None
    requesters: int = 1

    def floor_gas(self, calldata):
        """Gas for each item that no code can save: transaction, call data, slots, contracts called, one event."""
        words = sum(4 if byte == 0 else 16 for byte in calldata)
        share = {"transaction": 1, "requester": self.requesters, "item": self.items}
        slots = sum(PRICE_GAS[slot.kind] * share[slot.per] for slot in self.slots)
        log = 375 + 375 * self.topics + 8 * 32 * self.data_words
        return round((BASE_GAS + words + slots) / self.items + log)


def guarded(contract, role):
    """Slots that AccessManaged and AccessManager read to let a caller through."""
    return (
        Slot(contract, "which Authority rules it", "read"),
        Slot("Authority", "whether the target is closed", "read"),
        Slot("Authority", "role of the function", "read"),
        Slot("Authority", f"since when the caller is {role}", "read"),
    )


AUTHORITY = Slot("Authority", "contract called", "account")
REQUEST_NEW = Slot("AccessGrants", "request: status, what it is granted (one packed slot)", "new", "item")
GRANT_NEW = Slot("AccessGrants", "grant: the request that it answers", "new", "item")
BOUNDS = Slot("Sentinel", "limits and the use made of them in this window (one packed slot)", "changed")
AGENT = (*guarded("Sentinel", "AGENT"), AUTHORITY, BOUNDS)
THROUGH_SENTINEL = (
    *AGENT,
    Slot("AccessGrants", "contract called", "account"),
    Slot("AccessGrants", "which contract is the door; whether all access is paused (one packed slot)", "read"),
)
SETTLED = (*THROUGH_SENTINEL, Slot("AccessGrants", "request: status, what it is granted", "changed", "item"))
GRANTED = (
    *SETTLED,
    Slot("AssetRegistry", "contract called", "account"),
    Slot("AssetRegistry", "asset: owner, sensitivity, superseded (one packed slot)", "read", "item"),
    Slot("AccessGrants", "until when the requester is quarantined", "read", "requester"),
    Slot("ConsentLedger", "contract called", "account"),
    Slot("ConsentLedger", "consent: end, version, scope, status (one packed slot)", "read", "item"),
    GRANT_NEW,
)
CONTROL = (
    Slot("AssetRegistry", "contract called", "account"),
    Slot("AssetRegistry", "asset: owner, sensitivity, superseded", "read"),
    Slot("DidRegistry", "contract called", "account"),
    Slot("DidRegistry", "who controls the owner's identity", "read"),
)
FILED = (
    Slot("DidRegistry", "contract called", "account"),
    Slot("DidRegistry", "until when the caller is the organisation's gateway", "read"),
    REQUEST_NEW,
)

SENDER = (
    Slot("NodePermissions", "account of the sender: its organisation, its role (one packed slot)", "read"),
    Slot("NodePermissions", "organisation: standing, powers of all its roles (one packed slot)", "read"),
)
NETWORK = (*guarded("NodePermissions", "ADMIN"), AUTHORITY)
VALIDATING = (
    Slot("NodePermissions", "which Authority rules it, and the number of validators (one packed slot)", "changed"),
    *NETWORK[1:],
)

OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation("request, alone", (REQUEST_NEW,), 4, 5, target_gas=55_000),
        Operation("request, in a batch of 50", FILED, 4, 5, BATCH, 32_000),
        Operation("granting decision, alone", GRANTED, 2, 4, target_gas=130_000),
        Operation("granting decision, in a batch of 50 by 50 requesters", GRANTED, 2, 4, BATCH, 45_000, BATCH),
        Operation("granting decision, in a batch of 50 by 10 requesters", GRANTED, 2, 4, BATCH, 45_000, FEW),
        Operation("denial, in a batch of 50", SETTLED, 2, 4, BATCH),
        Operation(
            "revocation",
            (*THROUGH_SENTINEL, Slot("AccessGrants", "grant, set back to zero: 4,800 are refunded", "cleared")),
            4,
            1,
            target_gas=60_000,
        ),
        Operation(
            "quarantine",
            (
                *THROUGH_SENTINEL,
                Slot("Sentinel", "until when guardians shield the requester", "read"),
                Slot("AccessGrants", "until when the requester is quarantined", "new"),
            ),
            2,
            2,
        ),
        Operation(
            "alert",
            (*guarded("Sentinel", "AGENT"), AUTHORITY, Slot("Sentinel", "whether the agent is suspended", "read")),
            3,
            2,
        ),
        Operation(
            "consent, first",
            (*CONTROL, Slot("ConsentLedger", "consent: end, version, scope, status (one packed slot)", "new")),
            4,
            4,
        ),
        Operation("consent, withdrawn", (*CONTROL, Slot("ConsentLedger", "consent: status", "changed")), 4, 1),
        Operation(
            "registration of an asset",
            (
                *guarded("AssetRegistry", "STEWARD"),
                AUTHORITY,
                Slot("AssetRegistry", "asset: owner, sensitivity, superseded (one packed slot)", "new"),
            ),
            3,
            2,
        ),
        Operation(
            "anchor, after the first",
            (
                *guarded("AuditTrail", "NOTARY"),
                AUTHORITY,
                Slot("AuditTrail", "head of the chain of anchors", "changed"),
                Slot("AuditTrail", "number of anchors", "changed"),
            ),
            3,
            5,
        ),
        Operation(
            "organisation admitted",
            (
                *NETWORK,
                Slot("NodePermissions", "organisation: standing, powers of all its roles (one packed slot)", "new"),
                Slot("NodePermissions", "account of its first manager (one packed slot)", "new"),
            ),
            4,
            0,
        ),
        Operation(
            "role defined",
            (
                SENDER[0],
                Slot("NodePermissions", "organisation: powers of all its roles", "changed"),
                Slot("NodePermissions", "place of the role's powers", "new"),
            ),
            3,
            1,
        ),
        Operation(
            "account assigned",
            (
                *SENDER,
                Slot("NodePermissions", "place of the role's powers", "read"),
                Slot("NodePermissions", "account: its organisation, its role (one packed slot)", "new"),
            ),
            4,
            0,
        ),
        Operation(
            "node added",
            (
                *SENDER,
                Slot("NodePermissions", "node: its organisation, its place in the list (one packed slot)", "new"),
            ),
            3,
            4,
        ),
        Operation(
            "validator allowed, after the first",
            (
                *VALIDATING,
                Slot("NodePermissions", "node: its place in the list", "changed"),
                Slot("NodePermissions", "length of the list", "changed"),
                Slot("NodePermissions", "place in the list", "new"),
                Slot("NodePermissions", "organisation: number of its validators", "changed"),
            ),
            3,
            0,
        ),
        Operation(
            "organisation suspended",
            (*VALIDATING, *SENDER, Slot("NodePermissions", "organisation: standing", "changed")),
            2,
            0,
        ),
    )
}


@dataclass(frozen=True)
class Measurement:
    operation: Operation
    gas: int
    floor_gas: int


def measure_gas(system):
    """Run every operation once, in a state like a running system's, and return its gas for each item."""
    found = {}

    def measure(name, sender, contract, function, *arguments):
        operation = OPERATIONS[name]
        calldata = system.contracts[contract].encode(function, *arguments)
        receipt = system.send(sender, contract, function, *arguments)
        gas = round(receipt.gas_used / operation.items)
        found[name] = Measurement(operation, gas, operation.floor_gas(calldata))
        return receipt

    agent, steward, notary = system.keys.agent, system.keys.steward, system.keys.notary
    members = [system.member(number) for number in range(BATCH)]

    def file_batch(requesters, name=None):
        assets = system.assets(BATCH)
        system.send(system.owner, "ConsentLedger", "giveMany", [system.terms(asset) for asset in assets])
        items = [system.item(members[place % requesters], asset) for place, asset in enumerate(assets)]
        filings = [system.filing(item) for item in items]
        call = (system.gateway, "AccessGrants", "requestMany", system.hospital.address, filings)
        measure(name, *call) if name else system.send(*call)
        return items

    def decisions(items, verdict):
        return [system.decision(item, verdict, Hash32(keccak(item.id))) for item in items]

    system.grant(members[0])
    content = keccak(b"one more record")
    registration = (system.owner.address, content, 1, bytes(32), [])
    measure("registration of an asset", steward, "AssetRegistry", "register", registration)
    asset = Hash32(system.call("AssetRegistry", "assetId", system.owner.address, content))
    measure("consent, first", system.owner, "ConsentLedger", "give", system.terms(asset))
    alone = system.item(members[1], asset, organisation=members[1])
    measure("request, alone", members[1], "AccessGrants", "request", *alone.as_tuple()[2:])
    item = system.request(members[1], asset)
    measure("granting decision, alone", agent, "Sentinel", "decide", system.decision(item))
    for requesters, name in ((BATCH, "request, in a batch of 50"), (FEW, None)):
        items = file_batch(requesters, name)
        batch = f"granting decision, in a batch of 50 by {requesters} requesters"
        measure(batch, agent, "Sentinel", "decideMany", decisions(items, Verdict.GRANT))
        assert all(map(system.has_access, items))
    denied = file_batch(FEW)
    measure("denial, in a batch of 50", agent, "Sentinel", "decideMany", decisions(denied, Verdict.DENY))
    assert not any(map(system.has_access, denied))
    receipt = keccak(b"why")
    measure("revocation", agent, "Sentinel", "revoke", item.as_tuple(), receipt)
    assert not system.has_access(item)
    measure("quarantine", agent, "Sentinel", "quarantine", item.requester, 3_600, receipt)
    measure("alert", agent, "Sentinel", "raiseAlert", item.requester, keccak(b"mass export"), 3, receipt)
    consent = (item.asset, item.organisation, item.purpose)
    measure("consent, withdrawn", system.owner, "ConsentLedger", "withdraw", *consent)
    system.send(notary, "AuditTrail", "anchor", keccak(b"uses"), keccak(b"root 0"), 50)
    measure("anchor, after the first", notary, "AuditTrail", "anchor", keccak(b"uses"), keccak(b"root 1"), 50)
    measure_network(system, measure)
    return found


def measure_network(system, measure):
    """Measure what the network's administrator and managers do, in a network of four validators in the end."""
    name, admin = "NodePermissions", system.keys.admin
    manager, reader = (Account.derive(b"test_gas", person) for person in ("manager", "reader"))
    nodes = [Account.derive(b"test_gas", f"node {number}") for number in range(5)]
    operator, clinic, role = Address(b"\x01" * 20), Address(b"\x02" * 20), role_hash("reader")
    system.deploy(load_artifact(name), system.contracts["Authority"].address)
    system.send(admin, name, "admitOrganisation", operator, admin.address)
    measure("organisation admitted", admin, name, "admitOrganisation", clinic, manager.address)
    measure("role defined", manager, name, "defineRole", role, 1)
    measure("account assigned", manager, name, "assignAccount", reader.address, role)
    measure("node added", manager, name, "addNode", public_key_of(nodes[0]))
    for node in nodes[1:]:
        system.send(admin, name, "addNode", public_key_of(node))
        system.send(admin, name, "allowValidator", node.address)
    measure("validator allowed, after the first", admin, name, "allowValidator", nodes[0].address)
    measure("organisation suspended", admin, name, "suspendOrganisation", clinic)
    system.send(admin, name, "restoreOrganisation", clinic)
    system.send(admin, name, "expelNode", nodes[1].address)
    system.send(admin, name, "enforce")


def measure_views(system):
    """Return the gas of each question that validators ask, without that of a transaction around it."""
    reader, stranger, node = (
        Account.derive(b"test_gas", name).address for name in ("reader", "nobody's account", "node 0")
    )
    people = [Account.derive(b"test_gas", name).address for name in ("manager", "reader")] * (BATCH // 2)
    questions = {
        "mayTransact, yes": ("mayTransact", reader, False),
        "mayTransact, no": ("mayTransact", stranger, False),
        "mayTransactMany, each of 50 by 2 accounts": ("mayTransactMany", people, [False] * BATCH),
        "mayConnect": ("mayConnect", node),
        "mayValidate": ("mayValidate", node),
        "getValidators, each of 4 of 2 organisations": ("getValidators",),
        "isEnforced": ("isEnforced",),
    }
    bound, found = system.contracts["NodePermissions"], {}
    for question, (name, *arguments) in questions.items():
        data = bound.encode(name, *arguments)
        computation = system.engine._execute(bound.address, data, sender=stranger, at=None, value=0, gas=CALL_GAS)
        items = {"mayTransactMany": BATCH, "getValidators": 4}.get(name, 1)
        found[question] = round(computation.get_gas_used() / items)
    assert len(system.call("NodePermissions", "getValidators")) == 4
    assert system.call("NodePermissions", "mayTransactMany", [reader, stranger], [False] * 2) == (True, False)
    return found


def render(found, views):
    lines = [
        "| operation | floor | measured | target | over the floor |",
        "|---|---:|---:|---:|---:|",
    ]
    for name in OPERATIONS:
        it = found[name]
        target = f"{it.operation.target_gas:,}" if it.operation.target_gas else ""
        lines.append(f"| {name} | {it.floor_gas:,} | {it.gas:,} | {target} | {it.gas - it.floor_gas:,} |")
    for operation in OPERATIONS.values():
        lines += ["", f"**{operation.name}**", ""]
        log = f"event with {operation.topics} topics and {operation.data_words} words of data"
        lines += [f"- {slot.place}: {slot.purpose} ({slot.kind}, {ONCE[slot.per]})" for slot in operation.slots]
        lines += [f"- {log}, once an item"]
    lines += ["", "**what validators ask at each block**, without a transaction around it", ""]
    lines += ["| question | gas |", "|---|---:|", *(f"| {question} | {gas:,} |" for question, gas in views.items())]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def running(shared_system):
    """Give the system that was measured, and what was found."""
    with shared_system.rewound():
        yield shared_system, measure_gas(shared_system)


@pytest.fixture(scope="module")
def measured(running):
    return running[1]


@pytest.mark.parametrize("name", [name for name, operation in OPERATIONS.items() if operation.target_gas])
def test_operation_stays_within_its_target(measured, name):
    assert measured[name].gas <= OPERATIONS[name].target_gas


@pytest.mark.parametrize("name", OPERATIONS)
def test_floor_accounts_for_most_of_the_cost_and_for_no_more_than_all(measured, name):
    floor, gas = measured[name].floor_gas, measured[name].gas
    assert gas * 2 / 3 <= floor <= gas


def test_the_table_in_the_docs_is_the_one_measured(running, project_root, request):
    system, measured = running
    path = project_root / "docs" / "gas.md"
    text = path.read_text()
    head, mark, _ = text.partition(MARK)
    assert mark
    expected = head + mark + "\n" + render(measured, measure_views(system))
    if request.config.getoption("--write-gas", default=False):
        path.write_text(expected)
        return
    assert text == expected, "run pytest tests/contracts/test_gas.py --write-gas"
