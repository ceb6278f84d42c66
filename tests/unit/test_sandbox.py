"""The friendly door: what it does stands on chain, and what nobody knows is refused before anything is sent."""

from itertools import pairwise

import pytest

from chainsec import sandbox
from chainsec.config import ChainSettings, Config
from chainsec.contexts import read_context
from chainsec.defence.detectors import UseMonitor
from chainsec.digest import canonical_json, keccak
from chainsec.errors import (
    AccessDenied,
    ChainSecError,
    ContractReverted,
    LedgerError,
    RunMismatch,
    UnknownAsset,
    UnknownParty,
    UnknownPurpose,
)
from chainsec.journal import Journal
from chainsec.ledger.engine import open_engine
from chainsec.primitives import AccessRequest, Decision, Hash32, Scope, Verdict
from chainsec.sandbox import Sandbox
from chainsec.services.access import Basis, Status

RECEIPT = Hash32(bytes([7]) * 32)
NOWHERE = Hash32(bytes([9]) * 32)


def grant(clinic, request):
    clinic.box.deployment.sentinel.decide(clinic.box.keys.agent, [Decision(request, Verdict.GRANT, RECEIPT)])
    clinic.box.client.settle()


def test_a_request_goes_through_the_gateway_with_its_context_kept_before_it(clinic):
    request = clinic.box.request("ann", clinic.scan, "treatment", attributes={"role": "nurse"}, text="check-up")
    assert clinic.box.deployment.access.status_of(request.id) is Status.PENDING
    assert request.organisation == clinic.house.address
    observation, refusal = clinic.box.contexts.join(request, 1)
    assert (refusal, observation.requester, observation.text) == ("", "ann", "check-up")
    assert not clinic.box.deployment.access.has_access(clinic.ann.address, clinic.scan, clinic.care)


def test_a_grant_lets_one_member_do_one_thing_and_a_withdrawal_ends_it(clinic):
    box, access = clinic.box, clinic.box.deployment.access
    grant(clinic, box.request("ann", clinic.scan, "treatment"))
    assert access.has_access(clinic.ann.address, clinic.scan, clinic.care)
    assert not access.has_access(clinic.ben.address, clinic.scan, clinic.care)
    assert not access.has_access(clinic.ann.address, clinic.scan, clinic.care, Scope.READ | Scope.EXPORT)
    box.withdraw_consent("patient", clinic.scan, "clinic", "treatment")
    assert access.basis(clinic.ann.address, clinic.scan, clinic.care, Scope.READ) is Basis.NO_CONSENT
    with pytest.raises(AccessDenied):
        access.require(clinic.ann.address, clinic.scan, clinic.care)


UNKNOWN = {
    "a purpose nobody knows": (UnknownPurpose, lambda c: c.box.request("ann", c.scan, "gossip")),
    "a requester nobody introduced": (UnknownParty, lambda c: c.box.request("zoe", c.scan, "treatment")),
    "an owner as requester": (UnknownParty, lambda c: c.box.request("patient", c.scan, "treatment")),
    "an asset nobody registered": (UnknownAsset, lambda c: c.box.request("ann", NOWHERE, "treatment")),
    "an asset that is too short": (UnknownAsset, lambda c: c.box.request("ann", b"scan", "treatment")),
    "an organisation nobody introduced": (
        UnknownParty,
        lambda c: c.box.request("ann", c.scan, "treatment", organisation="ghost"),
    ),
    "an action nobody knows": (ValueError, lambda c: c.box.request("ann", c.scan, "treatment", action="devour")),
    "no hours": (ValueError, lambda c: c.box.request("ann", c.scan, "treatment", hours=0)),
    "hours beyond all time": (ValueError, lambda c: c.box.request("ann", c.scan, "treatment", hours=2**40)),
    "an attribute that is no text": (
        ValueError,
        lambda c: c.box.request("ann", c.scan, "treatment", attributes={"age": 41}),
    ),
    "a text that is none": (ValueError, lambda c: c.box.request("ann", c.scan, "treatment", text="\ud800")),
    "consent for a purpose nobody knows": (
        UnknownPurpose,
        lambda c: c.box.give_consent("patient", c.scan, "clinic", "gossip"),
    ),
    "consent to an asset nobody registered": (
        UnknownAsset,
        lambda c: c.box.give_consent("patient", NOWHERE, "clinic", "treatment"),
    ),
    "consent for somebody nobody introduced": (
        UnknownParty,
        lambda c: c.box.give_consent("patient", c.scan, "clinik", "treatment"),
    ),
    "consent by somebody nobody introduced": (
        UnknownParty,
        lambda c: c.box.give_consent("patience", c.scan, "clinic", "treatment"),
    ),
    "consent to nothing": (
        ValueError,
        lambda c: c.box.give_consent("patient", c.scan, "clinic", "treatment", scope=Scope(0)),
    ),
    "consent for no days": (ValueError, lambda c: c.box.give_consent("patient", c.scan, "clinic", "treatment", days=0)),
    "a withdrawal for a purpose nobody knows": (
        UnknownPurpose,
        lambda c: c.box.withdraw_consent("patient", c.scan, "clinic", "gossip"),
    ),
    "a withdrawal from an asset nobody registered": (
        UnknownAsset,
        lambda c: c.box.withdraw_consent("patient", NOWHERE, "clinic", "treatment"),
    ),
    "a withdrawal from somebody nobody introduced": (
        UnknownParty,
        lambda c: c.box.withdraw_consent("patient", c.scan, "ghost", "treatment"),
    ),
    "a member of an organisation nobody introduced": (UnknownParty, lambda c: c.box.add_member("ghost", "zoe")),
    "an asset more sensitive than anything": (ValueError, lambda c: c.box.add_asset("patient", b"x", sensitivity=4)),
}


@pytest.mark.parametrize(("error", "act"), UNKNOWN.values(), ids=UNKNOWN)
def test_what_nobody_knows_is_refused_before_anything_is_sent(clinic, sends_nothing, error, act):
    with sends_nothing(clinic.box), pytest.raises(error):
        act(clinic)
    assert clinic.box.request("ann", clinic.scan, "treatment").until > clinic.box.now_s


def test_a_member_of_two_houses_asks_for_the_one_that_is_named(clinic):
    lab = clinic.box.add_organisation("lab")
    clinic.box.add_member("lab", "ann")
    assert clinic.box.request("ann", clinic.scan, "treatment").organisation == lab.address
    named = clinic.box.request("ann", clinic.scan, "treatment", organisation="clinic")
    assert named.organisation == clinic.house.address
    with pytest.raises(UnknownParty, match="no member 'ben' of 'lab'"):
        clinic.box.request("ben", clinic.scan, "treatment", organisation="lab")


def test_what_the_contracts_refuse_comes_as_their_error_and_the_next_act_goes_through(clinic):
    box = clinic.box
    with pytest.raises(ContractReverted) as caught:
        box.give_consent("ann", clinic.scan, "clinic", "treatment")
    assert (caught.value.name, caught.value.account) == ("ConsentLedgerNotController", clinic.ann.address)
    with pytest.raises(ContractReverted) as caught:
        box.add_asset("patient", b"the scan", sensitivity=2)
    assert (caught.value.name, caught.value.asset) == ("AssetRegistryAlreadyRegistered", clinic.scan)
    with pytest.raises(ContractReverted) as caught:
        box.withdraw_consent("patient", clinic.scan, "ann", "treatment")
    assert caught.value.name == "ConsentLedgerNotInForce"
    assert box.deployment.assets.sensitivity_of(clinic.scan) == 1
    assert box.deployment.consent.is_valid(clinic.scan, clinic.house.address, clinic.care)


def give_away(box, name):
    """Let an organisation lose control of its own identity, so that the chain refuses what it says from then on."""
    registry = box.deployment.identity.contract
    data = registry.encode("changeOwner", box.account(name).address, box.account("thief").address)
    box.client.transact(box.account(name), registry.address, data)
    box.client.settle()


def test_an_introduction_that_the_chain_refuses_leaves_nobody_known(clinic, sends_nothing):
    box = clinic.box
    for name in ("clinic", "lab"):
        give_away(box, name)
    with pytest.raises(ContractReverted):
        box.add_member("clinic", "zoe")
    with pytest.raises(ContractReverted):
        box.add_organisation("lab")
    with sends_nothing(box):
        with pytest.raises(UnknownParty, match="no member 'zoe'"):
            box.request("zoe", clinic.scan, "treatment")
        with pytest.raises(UnknownParty, match="no organisation 'lab'"):
            box.add_member("lab", "ann")
    assert box.request("ann", clinic.scan, "treatment").organisation == clinic.house.address


def test_of_introductions_in_one_block_those_that_stand_are_known(clinic):
    box = clinic.box
    give_away(box, "lab")
    for name in ("ward", "lab", "pharmacy"):
        box.introduce_organisation(name)
    with pytest.raises(UnknownParty):
        box.introduce_member("ward", "zoe")
    with pytest.raises(ContractReverted):
        box.client.settle()
    for name in ("ward", "pharmacy"):
        box.add_member(name, "zoe")
    with pytest.raises(UnknownParty):
        box.add_member("lab", "zoe")


def test_members_and_gateways_act_in_whatever_second_the_contracts_can_count(clinic):
    box = clinic.box
    latest_s = 2**40 - 1
    item = AccessRequest(
        clinic.ann.address, clinic.house.address, clinic.scan, clinic.care, Scope.READ, latest_s, RECEIPT
    )
    box.deployment.access.request_many(box.gateway("clinic"), item.organisation, [item])
    box.client.settle(latest_s)
    assert box.now_s == latest_s
    assert box.deployment.access.status_of(item.id) is Status.PENDING
    assert box.deployment.identity.is_member(clinic.house.address, clinic.ann.address)


def test_a_sandbox_that_cannot_deploy_closes_its_own_engine_and_nobody_elses(monkeypatch):
    opened = []

    def keep(*arguments, **options):
        opened.append(open_engine(*arguments, **options))
        return opened[-1]

    monkeypatch.setattr(sandbox, "open_engine", keep)
    starved = Config(chain=ChainSettings(transaction_gas=60_000))
    with pytest.raises(ChainSecError):
        Sandbox(starved)
    with pytest.raises(LedgerError, match="closed"):
        opened[0].receipt(RECEIPT)
    with open_engine(accounts=()) as theirs:
        with pytest.raises(ChainSecError):
            Sandbox(starved, engine=theirs)
        assert theirs.receipt(RECEIPT) is None


def test_blocks_keep_the_interval_that_the_settings_ask_for():
    with Sandbox(Config(chain=ChainSettings(block_interval_s=12))) as box:
        box.add_organisation("clinic")
        times = [box.engine.block(number).timestamp for number in range(box.engine.head().number + 1)]
    assert times[0] == ChainSettings().genesis_time_s
    assert {later - earlier for earlier, later in pairwise(times)} == {12}


def test_sandboxes_without_a_seed_share_no_key():
    with Sandbox() as first, Sandbox() as second:
        assert first.account("ann") != second.account("ann")
        assert first.keys.agent != second.keys.agent


def test_what_is_sent_through_web3_is_seen_at_once(clinic):
    box = clinic.box
    before = box.client.at
    box.engine.web3.eth.send_transaction(
        {"from": box.engine.web3.eth.accounts[0], "to": str(clinic.ann.address), "value": 1}
    )
    assert box.client.at == before + 1
    assert box.engine.balance(clinic.ann.address, at=box.client.at) == 1
    grant(clinic, box.request("ann", clinic.scan, "treatment"))
    assert box.deployment.access.has_access(clinic.ann.address, clinic.scan, clinic.care)


def play(path, contexts, *, is_replay=True, text="check-up"):
    """Play a short story on the chain in ``path``; return its head."""
    engine = open_engine(path=path, accounts=(), genesis_time=ChainSettings().genesis_time_s)
    log = Journal(contexts)
    try:
        with Sandbox(engine=engine, key_seed=b"story", is_replay=is_replay, contexts=log) as box:
            box.add_organisation("clinic")
            box.add_member("clinic", "ann")
            scan = box.add_asset("patient", b"the scan", sensitivity=1)
            box.give_consent("patient", scan, "clinic", "treatment")
            box.request("ann", scan, "treatment", text=text)
            return box.engine.head()
    finally:
        log.close()
        engine.close()


def test_the_same_story_told_again_adds_no_block_and_no_context(tmp_path):
    head = play(tmp_path / "chain", tmp_path / "contexts")
    lines = (tmp_path / "contexts").read_bytes()
    assert play(tmp_path / "chain", tmp_path / "contexts") == head
    assert (tmp_path / "contexts").read_bytes() == lines


def test_another_story_on_the_same_chain_is_refused(tmp_path):
    head = play(tmp_path / "chain", tmp_path / "contexts")
    with pytest.raises(RunMismatch):
        play(tmp_path / "chain", tmp_path / "other", text="another reason")
    assert play(tmp_path / "chain", tmp_path / "contexts") == head


def test_contexts_are_kept_in_the_journal_with_a_salt_each(clinic):
    box = clinic.box
    first, second = (box.request("ann", clinic.scan, "treatment") for _ in range(2))
    assert first.context != second.context
    lines = list(box._context_log)
    assert [keccak(line) for line in lines] == [first.context, second.context]
    salts = {read_context(line)["salt"] for line in lines}
    assert len(salts) == 2
    assert all(len(bytes.fromhex(salt)) == 16 for salt in salts)
    assert [canonical_json(read_context(line)) for line in lines] == lines


def test_an_agent_started_on_a_sandbox_decides_what_was_asked(clinic, model):
    agent = clinic.box.start_agent(model, UseMonitor())
    request = clinic.box.request("ann", clinic.scan, "treatment", attributes={"role": "nurse"})
    [receipt] = agent.step()
    assert receipt["request"] == str(request.id)
    assert clinic.box.deployment.access.status_of(request.id) is not Status.PENDING
    assert agent.step() == []
