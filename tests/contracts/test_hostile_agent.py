"""The property that matters most, against random sequences of a stolen agent key.

The key calls anything anywhere; time passes, owners give and withdraw, members come and go, guardians act now and
then. After every step the chain is compared with a model in Python that shares no code with the contracts.
"""

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from chainsec.digest import keccak
from chainsec.errors import ContractReverted
from chainsec.ledger.account import Account
from chainsec.ledger.artifact import load_artifact
from chainsec.primitives import ZERO_ADDRESS, ZERO_HASH, AccessRequest, Hash32, Scope
from chainsec.purposes import find_purpose

EXAMPLES, STEPS = 18, 30
CEILING, GRANTS, RESTRICTIONS = 1, 3, 4
WINDOW_S, MAX_QUARANTINE_S, MAX_GRANT_S = 86_400, 2 * 86_400, 3 * 86_400
SENSITIVITIES = (0, 1, 2)
PURPOSE = find_purpose("treatment").hash
RECEIPT = Hash32(keccak(b"a receipt"))
GATEWAY = b"chainsec.gateway".ljust(32, b"\0")
MEMBER = b"chainsec.member".ljust(32, b"\0")
LONG_S = 10 * 365 * 86_400
AGENT_ROLE = 1
ACCOMPLICE = Account.derive(b"test_hostile_agent", "accomplice")
DENY, ESCALATE, GRANT = range(3)
VERDICTS = st.lists(st.sampled_from([DENY, ESCALATE, GRANT, GRANT, GRANT]), min_size=6, max_size=6)
FIRST_CONTEXT = Hash32(keccak(b"0"))
NO_GRANT = (ZERO_HASH, ZERO_ADDRESS, 0, 0, 0)
# what the model follows in rules of its own, or what only makes the agent weaker
FOLLOWED = {("Sentinel", name) for name in ("decide", "decideMany", "revoke", "quarantine", "raiseAlert")} | {
    ("AccessGrants", "request"),
    ("AccessGrants", "requestMany"),
    ("Authority", "renounceRole"),
}


@dataclass
class Model:
    """Who should have access, told from what happened and from nothing else."""

    sensitivity: dict
    members: set
    consents: dict = field(default_factory=dict)
    versions: dict = field(default_factory=dict)
    status: dict = field(default_factory=dict)
    grants: dict = field(default_factory=dict)
    locked: dict = field(default_factory=dict)
    shielded: dict = field(default_factory=dict)
    used: dict = field(default_factory=dict)
    is_paused: bool = False
    is_suspended: bool = False

    def consent_version(self, asset, grantee, scope, now_s):
        version, allowed, until = self.consents.get((asset, grantee), (0, 0, -1))
        return version if now_s <= until and allowed & scope == scope else 0

    def is_covered(self, item, now_s):
        return self.consent_version(item.asset, item.organisation, int(item.scope), now_s) > 0 and now_s <= item.until

    def is_held_up(self, requester, now_s):
        return self.is_paused or now_s <= self.locked.get(requester, -1)

    def answers(self, item):
        """Whether the grant that stands is the one that this very request led to."""
        return self.grants.get((item.requester, item.asset), (None,))[0] == item

    def has_access(self, requester, asset, scope, now_s):
        grant = self.grants.get((requester, asset))
        if grant is None:
            return False
        item, until, version = grant
        organisation, allowed = item.organisation, int(item.scope)
        return (
            not self.is_held_up(requester, now_s)
            and allowed & scope == scope
            and now_s <= until
            and version == self.consent_version(asset, organisation, scope, now_s)
            and (requester == organisation or (organisation, requester) in self.members)
        )

    def spend(self, kind, limit, now_s):
        key = (kind, now_s // WINDOW_S)
        if self.used.get(key, 0) >= limit:
            return False
        self.used[key] = self.used.get(key, 0) + 1
        return True

    def decide(self, item, verdict, now_s):
        """Settle a pending request as the agent's ``verdict`` would have it.

        A verdict to grant is never turned into a denial by anything that passes: a pause, a quarantine, a limit.
        """
        outcome = ("DENIED", "ESCALATED", "DENIED")[verdict]
        if verdict == GRANT and self.is_covered(item, now_s):
            outcome = "ESCALATED"
            is_within = self.sensitivity[item.asset] <= CEILING and not self.is_held_up(item.requester, now_s)
            if is_within and self.spend("grant", GRANTS, now_s):
                outcome = "GRANTED"
                self.grant(item, min(item.until, now_s + MAX_GRANT_S), now_s)
        self.status[item] = outcome

    def grant(self, item, until, now_s):
        version = self.consent_version(item.asset, item.organisation, int(item.scope), now_s)
        self.grants[item.requester, item.asset] = (item, until, version)


class HostileAgent(RuleBasedStateMachine):
    system = None

    @initialize()
    def take_up(self):
        system = self.system
        self.rewound = system.rewound()
        self.rewound.__enter__()
        self.agent = system.keys.agent
        self.people = [system.member(0), system.member(1), self.agent]
        self.assets = [system.asset(sensitivity=sensitivity) for sensitivity in SENSITIVITIES]
        system.send(self.agent, "DidRegistry", "addDelegate", self.agent.address, GATEWAY, self.agent.address, LONG_S)
        hospital = system.hospital.address
        members = {(hospital, person.address) for person in self.people[:2]}
        self.model = Model(dict(zip(self.assets, SENSITIVITIES, strict=True)), members)
        self.gateways = {hospital: system.gateway, self.agent.address: self.agent}
        self.pool_of_words = [*self.assets, PURPOSE, RECEIPT, GATEWAY, MEMBER, bytes(32)]
        self.functions = [
            (name, entry)
            for name in system.addresses
            for entry in load_artifact(name).abi
            if entry["type"] == "function" and entry["stateMutability"] not in ("view", "pure")
            if (name, entry["name"]) not in FOLLOWED
        ]
        for asset in self.assets:
            self.give(asset, hospital, 3, LONG_S)
        # two requests for each use, so that grants have rivals from the start
        pairs = [(person, asset) for person in self.people[:2] for asset in self.assets]
        for serial in range(2):
            for person, asset in pairs:
                self.file(person, asset, hospital, 1, lasts_s=LONG_S, serial=serial)
        self.pronounce([item for item in self.model.status if item.context == FIRST_CONTEXT][:4], [GRANT] * 4)

    def teardown(self):
        if not hasattr(self, "rewound"):
            return
        try:
            self.guardians_restore_everything()
            self.nobody_gained_a_role()
        finally:
            self.rewound.__exit__(None, None, None)

    @property
    def now_s(self):
        return self.system.now_s

    def attempt(self, sender, contract, function, *arguments):
        """Send; return the receipt, or None where it was refused. Either way a block has passed."""
        try:
            return self.system.send(sender, contract, function, *arguments)
        except ContractReverted:
            return None

    def give(self, asset, grantee, scope, lasts_s):
        until = self.now_s + lasts_s
        self.system.send(self.system.owner, "ConsentLedger", "give", (asset, grantee, PURPOSE, scope, until, RECEIPT))
        version = self.model.versions.get((asset, grantee), 0) + 1
        self.model.versions[asset, grantee] = version
        self.model.consents[asset, grantee] = (version, scope, until)

    def file(self, person, asset, organisation, scope, *, lasts_s, serial):
        until = self.now_s + lasts_s
        context = Hash32(keccak(f"{serial}".encode()))
        item = AccessRequest(person.address, organisation, asset, PURPOSE, Scope(scope), until, context)
        filing = self.system.filing(item)
        self.system.send(self.gateways[organisation], "AccessGrants", "requestMany", organisation, [filing])
        self.model.status[item] = "PENDING"

    def draw_items(self, data, least, most):
        items = sorted(self.model.status, key=lambda item: item.id)
        return data.draw(st.lists(st.sampled_from(items), min_size=least, max_size=most))

    def draw_contested(self, data):
        """Draw a request for a use that a grant stands for, be it its own or another request's, or else any."""
        items = [item for item in self.model.status if (item.requester, item.asset) in self.model.grants]
        if items and data.draw(st.booleans()):
            return data.draw(st.sampled_from(sorted(items, key=lambda item: item.id)))
        return self.draw_items(data, 1, 1)[0]

    @rule(data=st.data(), verdicts=VERDICTS, order=st.permutations(range(6)))
    def agent_decides(self, data, verdicts, order):
        waiting = [item for item, status in self.model.status.items() if status == "PENDING"]
        items = [*waiting[-3:], *self.draw_items(data, 1, 3)]
        self.pronounce([items[place] for place in order if place < len(items)], verdicts)

    @rule(data=st.data(), verdicts=VERDICTS, order=st.permutations(range(6)), stays=st.booleans())
    def pause_comes_before_the_decision(self, data, verdicts, order, stays):
        self.set_pause(True)
        self.agent_decides(data, verdicts, order)
        self.set_pause(stays)

    def pronounce(self, items, verdicts):
        if len(items) == 1:
            found = self.attempt(self.agent, "Sentinel", "decide", self.system.decision(items[0], verdicts[0]))
            expected = self.model.status[items[0]] == "PENDING"
        else:
            decisions = [self.system.decision(*pair) for pair in zip(items, verdicts, strict=False)]
            found = self.attempt(self.agent, "Sentinel", "decideMany", decisions)
            expected = True
        assert (found is not None) == (expected and not self.model.is_suspended)
        if found is not None:
            for item, verdict in zip(items, verdicts, strict=False):
                if self.model.status[item] == "PENDING":
                    self.model.decide(item, verdict, self.now_s)
        assert [self.system.status(item) for item in items] == [self.model.status[item] for item in items]

    @rule(data=st.data(), changes=st.lists(st.tuples(st.integers(0, 60), st.binary(min_size=32, max_size=32))))
    def agent_sends_bytes_that_no_encoder_made(self, data, changes):
        items = self.draw_items(data, 1, 3)
        words = bytearray(
            self.system.contracts["Sentinel"].encode("decideMany", [self.system.decision(item) for item in items])
        )
        for place, value in [*changes, (data.draw(st.integers(0, 1)), bytes(31) + b"\x07")]:
            start = 4 + 32 * (place % (len(words) // 32))
            words[start : start + 32] = value
        before = self.system.call("Sentinel", "budgetLeft")
        try:
            self.system.send_raw(self.agent, "Sentinel", bytes(words))
        except ContractReverted:
            return
        # what got through was an empty batch: seven items are not there, and no item lies elsewhere
        assert self.system.call("Sentinel", "budgetLeft") == before or self.now_s % WINDOW_S < 2

    @rule(data=st.data(), ttl_s=st.sampled_from([1, 3_600, MAX_QUARANTINE_S, MAX_QUARANTINE_S + 1]))
    def agent_quarantines(self, data, ttl_s):
        locked = sorted(self.model.locked)
        everybody = [person.address for person in self.people]
        person = data.draw(st.sampled_from(locked if locked and data.draw(st.booleans()) else everybody))
        found = self.attempt(self.agent, "Sentinel", "quarantine", person, ttl_s, RECEIPT)
        model, now_s = self.model, self.now_s
        is_allowed = not model.is_suspended and ttl_s <= MAX_QUARANTINE_S and now_s > model.shielded.get(person, -1)
        expected = is_allowed and model.spend("restriction", RESTRICTIONS, now_s)
        assert (found is not None) == expected
        if expected:
            model.locked[person] = max(model.locked.get(person, 0), now_s + ttl_s)

    @rule(data=st.data())
    def agent_revokes(self, data):
        model = self.model
        item = self.draw_contested(data)
        found = self.attempt(self.agent, "Sentinel", "revoke", item.as_tuple(), RECEIPT)
        is_allowed = not model.is_suspended and model.answers(item)
        expected = is_allowed and model.spend("restriction", RESTRICTIONS, self.now_s)
        assert (found is not None) == expected
        if expected:
            del model.grants[item.requester, item.asset]

    @rule(data=st.data(), number=st.integers(0, 2**16))
    def agent_calls_anything(self, data, number):
        contract, entry = self.functions[number % len(self.functions)]
        values = [self.draw_value(data, item) for item in entry["inputs"]]
        if contract == "DidRegistry" and entry["name"] != "changeOwner":
            values[0] = data.draw(st.sampled_from([self.system.hospital.address, self.system.owner.address]))
        elif contract == "DidRegistry":
            values[0] = self.system.owner.address
        signature = f"{entry['name']}({','.join(map(type_of, entry['inputs']))})"
        self.attempt(self.agent, contract, signature, *values)

    def draw_value(self, data, item):
        kind = item["type"]
        if kind.endswith("[]"):
            return [self.draw_value(data, {**item, "type": kind[:-2]}) for _ in range(data.draw(st.integers(0, 2)))]
        if kind == "tuple":
            return tuple(self.draw_value(data, part) for part in item["components"])
        system = self.system
        accounts = [self.agent, ACCOMPLICE, system.owner, system.hospital, self.people[0], system.keys.guardian]
        bits = int("".join(filter(str.isdigit, kind)) or 256)
        choices = {
            "address": [account.address for account in accounts] + list(system.addresses.values()),
            "bool": [False, True],
            "string": ["", "x"],
            "bytes": [b"", system.contracts["AccessGrants"].encode("setDoor", self.agent.address), *self.powers()],
            "bytes4": [bytes.fromhex("00000000"), *(power[:4] for power in self.powers())],
        }
        if kind.startswith("bytes") and kind not in choices:
            return data.draw(st.sampled_from([word[:bits] for word in self.pool_of_words]))
        if kind.startswith("uint"):
            return data.draw(st.sampled_from([n for n in (0, 1, 2, 3, 5, self.now_s + 99, 2**bits - 1) if n < 2**bits]))
        return data.draw(st.sampled_from(choices[kind]))

    def powers(self):
        """Call data that would mean harm, for whoever runs bytes it is given."""
        item = next(iter(self.model.status))
        encode = self.system.contracts["Sentinel"].encode
        grant_role = self.system.contracts["Authority"].encode("grantRole", 2, ACCOMPLICE.address, 0)
        return [encode("approve", item.as_tuple(), RECEIPT), encode("resumeAgent"), grant_role]

    @rule(data=st.data(), scope=st.sampled_from([1, 2, 3]), lasts_s=st.sampled_from([3_600, 5 * 86_400]))
    def somebody_asks(self, data, scope, lasts_s):
        person, asset = data.draw(st.sampled_from(self.people)), data.draw(st.sampled_from(self.assets))
        organisation = data.draw(st.sampled_from(sorted(self.gateways)))
        self.file(person, asset, organisation, scope, lasts_s=lasts_s, serial=self.now_s)

    @rule(data=st.data(), scope=st.sampled_from([1, 3]), lasts_s=st.sampled_from([3_600, LONG_S]))
    def owner_gives(self, data, scope, lasts_s):
        grantee = data.draw(st.sampled_from(sorted(self.gateways)))
        self.give(data.draw(st.sampled_from(self.assets)), grantee, scope, lasts_s)

    @rule(data=st.data())
    def owner_withdraws(self, data):
        asset, hospital = data.draw(st.sampled_from(self.assets)), self.system.hospital.address
        found = self.attempt(self.system.owner, "ConsentLedger", "withdraw", asset, hospital, PURPOSE)
        assert (found is not None) == bool(self.model.consent_version(asset, hospital, 0, self.now_s))
        if found is not None:
            del self.model.consents[asset, hospital]
            self.model.versions[asset, hospital] += 1

    @rule(place=st.integers(0, 1))
    def member_comes_or_goes(self, place):
        pair = (self.system.hospital.address, self.people[place].address)
        act, rest = ("revokeDelegate", ()) if pair in self.model.members else ("addDelegate", (LONG_S,))
        self.system.send(self.system.hospital, "DidRegistry", act, pair[0], MEMBER, pair[1], *rest)
        self.model.members ^= {pair}

    @rule(data=st.data(), act=st.sampled_from(["approve", "cancel", "release", "suspendAgent", "pause"]))
    def guardian_acts(self, data, act):
        guardian = self.system.keys.guardian
        if act == "suspendAgent":
            is_suspended = self.model.is_suspended = not self.model.is_suspended and data.draw(st.booleans())
            if is_suspended:
                self.system.send(guardian, "Sentinel", act)
            else:
                self.resume_agent()
        elif act == "pause":
            self.set_pause(not self.model.is_paused)
        elif act == "release":
            self.release(data.draw(st.sampled_from(self.people)).address)
        else:
            self.overrule(act, self.draw_contested(data))

    def set_pause(self, is_paused):
        if is_paused != self.model.is_paused:
            self.system.send(self.system.keys.guardian, "AccessGrants", "pause" if is_paused else "resume")
            self.model.is_paused = is_paused

    def resume_agent(self):
        policy, sentinel = self.system.keys.policy, self.system.contracts["Sentinel"]
        self.system.send(policy, "Authority", "schedule", sentinel.address, sentinel.encode("resumeAgent"), 0)
        self.system.wait(86_400)
        self.system.send(policy, "Sentinel", "resumeAgent")

    def release(self, person):
        self.system.send(self.system.keys.guardian, "Sentinel", "release", person, RECEIPT)
        self.model.locked.pop(person, None)
        self.model.shielded[person] = self.now_s + MAX_QUARANTINE_S

    def overrule(self, act, item):
        found = self.attempt(self.system.keys.guardian, "Sentinel", act, item.as_tuple(), RECEIPT)
        model, now_s = self.model, self.now_s
        if act == "cancel":
            assert found is not None
            model.status[item] = "DENIED"
            if model.answers(item):
                del model.grants[item.requester, item.asset]
            return
        assert (found is not None) == (model.is_covered(item, now_s) and not model.is_held_up(item.requester, now_s))
        if found is not None:
            model.status[item] = "GRANTED"
            model.grant(item, item.until, now_s)

    @rule(
        data=st.data(),
        kind=st.sampled_from(["span", "grants", "locked", "consents", "shielded"]),
        late_s=st.sampled_from([0, 1]),
    )
    def time_passes(self, data, kind, late_s):
        """Go on for a while, or to the very end of something, or to the second after it."""
        ends = {
            "grants": [grant[1] for grant in self.model.grants.values()],
            "locked": self.model.locked.values(),
            "consents": [consent[2] for consent in self.model.consents.values()],
            "shielded": self.model.shielded.values(),
        }
        moments = {end + late_s for end in ends.get(kind, ()) if self.now_s < end + late_s < self.now_s + LONG_S // 2}
        spans = [self.now_s + seconds for seconds in (60, WINDOW_S // 3, WINDOW_S)]
        self.system.move_to(data.draw(st.sampled_from(sorted(moments) or spans)))

    @invariant()
    def access_is_what_the_model_says(self):
        if not hasattr(self, "model"):
            return
        system, model, now_s = self.system, self.model, self.now_s
        for person in self.people:
            for asset in self.assets:
                key = (person.address, asset)
                item, *rest = model.grants.get(key, (None,))
                held = (item.id, item.organisation, *rest, int(item.scope)) if item else NO_GRANT
                assert system.call("AccessGrants", "grantOf", *key, PURPOSE) == held
                scope = held[-1] or 1
                found = system.call("AccessGrants", "hasAccess", person.address, asset, PURPOSE, scope)
                assert found == model.has_access(*key, scope, now_s)
            until = system.call("AccessGrants", "quarantinedUntil", person.address)
            assert until == model.locked.get(person.address, 0)
            assert until <= now_s + MAX_QUARANTINE_S

    @invariant()
    def budgets_are_what_the_model_says(self):
        if hasattr(self, "model"):
            window = self.now_s // WINDOW_S
            spent = [self.model.used.get((kind, window), 0) for kind in ("grant", "restriction")]
            left = (GRANTS - spent[0], RESTRICTIONS - spent[1])
            assert self.system.call("Sentinel", "budgetLeft") == left

    def guardians_restore_everything(self):
        """Whatever the agent did: without it, every request that consent covers is granted again."""
        system, model = self.system, self.model
        if not model.is_suspended:
            system.send(system.keys.guardian, "Sentinel", "suspendAgent")
        self.set_pause(False)
        for person in self.people:
            self.release(person.address)
        for item in sorted(model.status, key=lambda item: item.id):
            self.overrule("approve", item)
            if model.status[item] == "GRANTED" and (item.organisation, item.requester) in model.members:
                assert system.has_access(item) == model.is_covered(item, self.now_s)
            assert system.status(item) == model.status[item]

    def nobody_gained_a_role(self):
        for account in (self.agent.address, ACCOMPLICE.address):
            for role in range(6):
                held = self.system.call("Authority", "hasRole", role, account)[0]
                assert held == (role == AGENT_ROLE and account == self.agent.address)
        assert self.system.call("AccessGrants", "door") == self.system.addresses["Sentinel"]
        limits = (CEILING, WINDOW_S, GRANTS, RESTRICTIONS, MAX_QUARANTINE_S, MAX_GRANT_S)
        assert self.system.call("Sentinel", "limitsInForce") == limits


def type_of(item):
    if not item["type"].startswith("tuple"):
        return item["type"]
    return f"({','.join(map(type_of, item['components']))}){item['type'].removeprefix('tuple')}"


def test_stolen_agent_key_never_widens_access_and_guardians_undo_all_it_did(build):
    system = build(
        sensitivity_ceiling=CEILING,
        window_s=WINDOW_S,
        grants_per_window=GRANTS,
        restrictions_per_window=RESTRICTIONS,
        max_quarantine_s=MAX_QUARANTINE_S,
        max_grant_s=MAX_GRANT_S,
    )
    machine = type("Machine", (HostileAgent,), {"system": system})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None)
    )
    system.engine.close()
