"""Our own contracts, used and abused in any order: plain py-evm imports every block, with the same gas, logs, roots."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.abi import collapse_if_tuple
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chainsec import Sandbox
from chainsec.digest import keccak
from chainsec.errors import ContractReverted
from chainsec.ledger.artifact import load_artifact
from chainsec.primitives import AccessRequest, Decision, Hash32, Scope, Verdict
from chainsec.purposes import find_purpose
from chainsec.services.assets import Registration
from chainsec.services.consent import Terms

CONTRACTS = ("AccessGrants", "AssetRegistry", "AuditTrail", "Authority", "ConsentLedger", "DidRegistry", "Sentinel")
ROLES = ("admin", "agent", "guardian", "steward", "notary", "policy")
REASON = Hash32(keccak(b"reason"))
TIME_BITS = 40
VERDICTS = (Verdict.GRANT, Verdict.DENY, Verdict.ESCALATE)


class House:
    """A deployment with a clinic, three members and three assets, and a plain chain that follows."""

    def __init__(self, follower: Any) -> None:
        self.box = box = Sandbox(key_seed=b"contracts on chain".ljust(32))
        self.engine = box.engine
        self.follower = follower(self.engine)
        self.organisation = box.add_organisation("clinic")
        for number in range(3):
            box.introduce_member("clinic", f"m{number}")
        box.client.settle()
        self.house, self.owner = box.account("clinic").address, box.account("owner")
        self.purpose = find_purpose("treatment").hash
        listed = [Registration(self.owner.address, Hash32(keccak(bytes([n]))), n) for n in range(3)]
        self.assets = box.deployment.assets.register(box.keys.steward, listed)
        box.client.settle()
        self.requests: list[AccessRequest] = []
        self.pool = [
            *(bytes(address) for address in box.deployment.addresses().values()),
            *(bytes(getattr(box.keys, role).address) for role in ROLES),
            bytes(self.owner.address),
        ]
        self.follower.compare()

    def do(self, step: Any) -> None:
        """Send what one step says."""
        kind, who, number, other = step
        services, keys = self.box.deployment, self.box.keys
        account = getattr(keys, ROLES[who])
        if kind == "consent":
            terms = [Terms(self.assets[number], self.house, self.purpose, Scope.READ, self.box.now_s + 10**6)]
            services.consent.give(self.owner if other else account, terms)
        elif kind == "request":
            member = self.box.account(f"m{number}").address
            salt = Hash32(keccak(bytes([len(self.requests) % 256])))
            asked = AccessRequest(
                member, self.house, self.assets[other], self.purpose, Scope.READ, self.box.now_s + 9_999, salt
            )
            services.access.request_many(self.box.gateway("clinic"), self.house, [asked])
            self.requests.append(asked)
        elif kind == "decide" and self.requests:
            asked = self.requests[-1 - number % len(self.requests)]
            services.sentinel.decide(keys.agent if who else account, [Decision(asked, VERDICTS[other], REASON)])
        elif kind == "pause":
            services.access.pause(account)

    def call_raw(self, step: Any) -> None:
        """Send what a step gives to any function of any contract."""
        name, place, who, seeds = step
        functions = [
            entry
            for entry in load_artifact(name).abi
            if entry["type"] == "function" and entry["stateMutability"] not in {"view", "pure"}
        ]
        function = functions[place % len(functions)]
        types = [collapse_if_tuple(item) for item in function["inputs"]]
        values = [self.value(kind, iter(seeds * 40)) for kind in types]
        data = keccak(f"{function['name']}({','.join(types)})".encode())[:4] + encode(types, values)
        address = self.box.deployment.addresses()[name]
        self.box.client.transact(getattr(self.box.keys, ROLES[who]), address, data)

    def value(self, kind: str, seeds: Any) -> Any:
        """Return a value of an ABI type that the contracts may well know."""
        seed = next(seeds)
        if kind.endswith("[]"):
            return [self.value(kind[:-2], seeds) for _ in range(seed % 3)]
        if kind.startswith("("):
            return tuple(self.value(part, seeds) for part in split(kind[1:-1]))
        return self.plain_value(kind, seed)

    def plain_value(self, kind: str, seed: int) -> Any:
        """Return a value of a type that has no parts."""
        if kind == "address":
            return self.pool[seed % len(self.pool)]
        if kind == "bytes32":
            return bytes([self.purpose, REASON, bytes(32), *self.assets][seed % (3 + len(self.assets))])
        if kind.startswith("bytes"):
            return bytes([seed % 256]) * int(kind.removeprefix("bytes") or seed % 70)
        if kind in {"bool", "string"}:
            return bool(seed % 2) if kind == "bool" else "x" * (seed % 40)
        wide = int(kind.removeprefix("u").removeprefix("int") or 256)
        is_time = wide == TIME_BITS and seed % 2
        return (self.box.now_s + 500 if is_time else seed) % 2 ** (wide - 1)


def split(types: str) -> list[str]:
    """Split the types inside a tuple at its own commas."""
    parts, depth = [""], 0
    for character in types:
        depth += (character == "(") - (character == ")")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return [part for part in parts if part]


@pytest.fixture(scope="module")
def house(follower) -> House:
    return House(follower)


acts = st.tuples(
    st.sampled_from(["consent", "request", "request", "decide", "decide", "pause"]),
    st.integers(0, 5),
    st.integers(0, 2),
    st.integers(0, 2),
)
raws = st.tuples(
    st.sampled_from(CONTRACTS),
    st.integers(0, 40),
    st.integers(0, 5),
    st.lists(st.integers(0, 300), min_size=1, max_size=9),
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(acts | raws, min_size=1, max_size=5), min_size=1, max_size=4))
def test_any_use_of_our_contracts_ends_as_in_plain_py_evm(house, blocks):
    for block in blocks:
        for step in block:
            if step[0] in CONTRACTS:
                house.call_raw(step)
            else:
                house.do(step)
        with suppress(ContractReverted):
            house.box.client.settle()
    house.follower.compare()


def test_a_request_that_was_consented_to_is_granted_on_both_chains(follower):
    house = House(follower)
    for step in (("consent", 0, 0, 1), ("request", 0, 0, 0), ("decide", 1, 0, 0)):
        house.do(step)
        house.box.client.settle()
    house.follower.compare()
    assert house.box.deployment.access.has_access(house.requests[0].requester, house.assets[0], house.purpose)
