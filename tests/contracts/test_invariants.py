"""What must always hold in the registries, against random sequences: graph, consent and trail beside Python models."""

from eth_abi import encode
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from chainsec.digest import keccak
from chainsec.errors import ContractReverted
from chainsec.ledger.account import Account
from chainsec.primitives import ZERO_HASH, Hash32
from chainsec.purposes import find_purpose

EXAMPLES, STEPS = 12, 25
FOREVER_S = 2**256 - 1
PURPOSES = [find_purpose(name).hash for name in ("treatment", "research")]
RECEIPT = Hash32(keccak(b"a receipt"))
HEIR = Account.derive(b"test_invariants", "heir")


class OnChain(RuleBasedStateMachine):
    """A machine on a system that every example finds as it was deployed."""

    system = None

    @initialize()
    def take_up(self):
        self.rewound = self.system.rewound()
        self.rewound.__enter__()
        self.begin()

    def teardown(self):
        if hasattr(self, "rewound"):
            self.rewound.__exit__(None, None, None)

    def attempt(self, sender, contract, function, *arguments):
        """Send; return the receipt, or the name of the error."""
        try:
            return self.system.send(sender, contract, function, *arguments)
        except ContractReverted as error:
            return error.name


def run(machine, system):
    bound = type(machine.__name__, (machine,), {"system": system})
    run_state_machine_as_test(bound, settings=settings(max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None))


class Assets(OnChain):
    def begin(self):
        self.owners = [self.system.owner.address, self.system.stranger.address]
        self.known = {}
        self.successors = {}
        self.first_block = self.system.client.at + 1

    def pick(self, data):
        unknown = [Hash32(keccak(b"unknown")), *(self.identify(0, serial) for serial in range(12))]
        return data.draw(st.sampled_from(sorted({*self.known, *unknown})))

    def identify(self, owner, serial):
        return Hash32(self.system.call("AssetRegistry", "assetId", self.owners[owner], keccak(bytes([serial]))))

    @rule(data=st.data(), owner=st.integers(0, 1), serial=st.integers(0, 11), sensitivity=st.integers(0, 4))
    def register(self, data, owner, serial, sensitivity):
        parents = [self.pick(data) for _ in range(data.draw(st.integers(0, 3)))]
        replaced = self.pick(data) if data.draw(st.booleans()) else ZERO_HASH
        asset = self.identify(owner, serial)
        entry = (self.owners[owner], keccak(bytes([serial])), sensitivity, replaced, parents)
        found = self.attempt(self.system.keys.steward, "AssetRegistry", "register", entry)
        may_replace = replaced == ZERO_HASH or (
            self.known.get(replaced, {}).get("owner") == self.owners[owner] and replaced not in self.successors
        )
        expected = (
            sensitivity <= 3 and asset not in self.known and all(p in self.known for p in parents) and may_replace
        )
        assert (not isinstance(found, str)) == expected
        if expected:
            self.known[asset] = {"owner": self.owners[owner], "sensitivity": sensitivity, "order": len(self.known)}
            if replaced != ZERO_HASH:
                self.successors[replaced] = asset

    @rule(data=st.data(), sensitivity=st.integers(0, 4))
    def raise_sensitivity(self, data, sensitivity):
        asset = self.pick(data)
        found = self.attempt(self.system.keys.steward, "AssetRegistry", "raiseSensitivity", asset, sensitivity)
        expected = asset in self.known and self.known[asset]["sensitivity"] < sensitivity <= 3
        assert (not isinstance(found, str)) == expected
        if expected:
            self.known[asset]["sensitivity"] = sensitivity

    @invariant()
    def registry_is_what_was_registered(self):
        for asset, facts in getattr(self, "known", {}).items():
            assert self.system.call("AssetRegistry", "ownerOf", asset) == facts["owner"]
            assert self.system.call("AssetRegistry", "sensitivityOf", asset) == facts["sensitivity"]
            assert self.system.call("AssetRegistry", "isSuperseded", asset) == (asset in self.successors)

    @invariant()
    def graph_on_record_has_no_cycle_and_one_successor_each(self):
        if not hasattr(self, "known"):
            return
        bound, head = self.system.contracts["AssetRegistry"], self.system.client.at
        for event in bound.events("AssetDerived", self.first_block, head):
            child, parent = (self.known[event.args[name]]["order"] for name in ("asset", "parent"))
            assert parent < child
        found = [event.args for event in bound.events("AssetSuperseded", self.first_block, head)]
        assert {entry["asset"]: entry["successor"] for entry in found} == self.successors
        assert len(found) == len(self.successors)


class Consents(OnChain):
    def begin(self):
        system = self.system
        self.assets = system.assets(2)
        self.grantees = [system.hospital, system.stranger]
        self.accounts = [system.owner, HEIR, system.stranger, system.keys.agent]
        self.controller = system.owner
        self.model = {}
        self.signed = []

    def draw_key(self, data):
        parts = (self.assets, [grantee.address for grantee in self.grantees], PURPOSES)
        return tuple(data.draw(st.sampled_from(part)) for part in parts)

    def in_force(self, key):
        status, _, _, until = self.model.get(key, (0, 0, 0, 0))
        return status == 1 and self.system.now_s <= until

    @rule(data=st.data(), scope=st.integers(0, 8), lasts_s=st.sampled_from([-5, 50, 5_000]), who=st.integers(0, 3))
    def give(self, data, scope, lasts_s, who):
        key, sender = self.draw_key(data), self.accounts[who if data.draw(st.booleans()) else 0]
        until = self.system.now_s + lasts_s
        terms = (*key, scope, until, RECEIPT)
        found = self.attempt(sender, "ConsentLedger", "give", terms)
        expected = sender is self.controller and 1 <= scope <= 7 and lasts_s > 0
        assert (not isinstance(found, str)) == expected
        if expected:
            self.model[key] = (1, self.model.get(key, (0, 0))[1] + 1, scope, until)

    @rule(data=st.data(), who=st.integers(0, 3))
    def withdraw(self, data, who):
        key, sender = self.draw_key(data), self.accounts[who if data.draw(st.booleans()) else 0]
        found = self.attempt(sender, "ConsentLedger", "withdraw", *key)
        expected = sender is self.controller and self.in_force(key)
        assert (not isinstance(found, str)) == expected
        if expected:
            self.end(key, 2)

    @rule(data=st.data())
    def revoke(self, data):
        key = self.draw_key(data)
        found = self.attempt(self.system.keys.guardian, "ConsentLedger", "revoke", *key, RECEIPT)
        assert (not isinstance(found, str)) == self.in_force(key)
        if self.in_force(key):
            self.end(key, 3)

    def end(self, key, status):
        _, version, *rest = self.model[key]
        self.model[key] = (status, version + 1, *rest)

    @rule(data=st.data(), scope=st.integers(1, 7), lasts_s=st.sampled_from([50, 5_000]), who=st.integers(0, 1))
    def sign(self, data, scope, lasts_s, who):
        """Let somebody sign terms for the consent as it stands; the signature is handed in at some later time."""
        key = self.draw_key(data)
        terms, signer = (*key, scope, self.system.now_s + lasts_s, RECEIPT), self.accounts[who]
        replaces = self.model.get(key, (0, 0))[1]
        signature = self.system.sign(terms, FOREVER_S, signer=signer, replaces=replaces)
        self.signed.append((terms, signature, signer, replaces))

    @precondition(lambda self: getattr(self, "signed", None))
    @rule(data=st.data())
    def hand_in(self, data):
        terms, signature, signer, replaces = data.draw(st.sampled_from(self.signed))
        key, scope, until = terms[:3], *terms[3:5]
        found = self.attempt(self.system.stranger, "ConsentLedger", "giveBySig", terms, FOREVER_S, signature)
        version = self.model.get(key, (0, 0))[1]
        expected = signer is self.controller and version == replaces and self.system.now_s <= until
        assert (not isinstance(found, str)) == expected
        if expected:
            self.model[key] = (1, version + 1, scope, until)

    @rule(who=st.integers(0, 1))
    def controller_changes(self, who):
        identity = self.system.owner.address
        self.system.send(self.controller, "DidRegistry", "changeOwner", identity, self.accounts[who].address)
        self.controller = self.accounts[who]

    @rule(seconds=st.sampled_from([1, 48, 49, 5_000]))
    def time_passes(self, seconds):
        self.system.wait(seconds)

    @invariant()
    def ledger_is_what_the_model_says(self):
        for key, (status, version, scope, until) in getattr(self, "model", {}).items():
            assert self.system.call("ConsentLedger", "consentOf", *key) == (status, version, scope, until)
            assert self.system.call("ConsentLedger", "isValid", *key) == self.in_force(key)
            for wanted in (1, 6):
                expected = version if self.in_force(key) and scope & wanted == wanted else 0
                assert self.system.call("ConsentLedger", "versionCovering", *key, wanted) == expected


class Trail(OnChain):
    def begin(self):
        self.head, self.anchors = ZERO_HASH, []
        self.first_block = self.system.client.at + 1

    @rule(
        stream=st.sampled_from([keccak(b"uses"), keccak(b"receipts")]),
        root=st.binary(min_size=32, max_size=32),
        count=st.sampled_from([0, 1, 50, 2**32 - 1]),
        is_notary=st.booleans(),
    )
    def anchor(self, stream, root, count, is_notary):
        sender = self.system.keys.notary if is_notary else self.system.keys.agent
        found = self.attempt(sender, "AuditTrail", "anchor", stream, root, count)
        expected = is_notary and root != bytes(32) and count > 0
        assert (not isinstance(found, str)) == expected
        if expected:
            fields = (self.head, len(self.anchors), stream, root, count, sender.address)
            types = ("bytes32", "uint64", "bytes32", "bytes32", "uint32", "address")
            self.head = Hash32(keccak(encode(types, fields)))
            self.anchors.append((*fields, self.head))

    @invariant()
    def chain_of_anchors_is_whole(self):
        if not hasattr(self, "anchors"):
            return
        assert self.system.call("AuditTrail", "head") == self.head
        assert self.system.call("AuditTrail", "length") == len(self.anchors)
        names = ("previousHead", "index", "stream", "root", "count", "publisher", "head")
        found = self.system.contracts["AuditTrail"].events("Anchored", self.first_block, self.system.client.at)
        assert [tuple(event.args[name] for name in names) for event in found] == self.anchors


def test_assets_form_a_graph_without_cycles_in_which_each_has_one_successor(shared_system):
    run(Assets, shared_system)


def test_consent_is_the_controllers_to_give_and_ends_for_good(shared_system):
    run(Consents, shared_system)


def test_trail_only_grows_and_its_head_commits_to_every_anchor(shared_system):
    run(Trail, shared_system)
