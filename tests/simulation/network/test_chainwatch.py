"""A node on the lookout: what it finds on the project's own networks, and what anybody can check of it."""

import json
from itertools import pairwise

import pytest

from chainsec.defence.chainwatch import ChainWatch
from chainsec.defence.receipts import threat_receipt
from chainsec.ledger.account import Account
from chainsec.ledger.engine import open_engine
from chainsec.network.messages import Commit, Message, Prepare, Prepared, RoundChange, sign, sign_seal
from chainsec.network.misconduct import (
    Witness,
    find_proof_fault,
    list_statements,
    read_statement,
    seal_statements,
)
from chainsec.network.run import play_scenario
from chainsec.network.watching import LedgerLookout, Lookout, list_turns, watch_run

ANN, BEN = (Account.derive(b"watched", name) for name in ("ann", "ben"))
QUICK = {"network": {"is_execution_shared": True}}


def statement(payload, account=ANN):
    return next(list_statements(Message(sign(account, payload))))


def commit(digest, account=ANN, sealer=None, height=3, round_=0):
    return Commit(height, round_, sign_seal(sealer or account, digest), digest)


def found_in(lookout):
    names = {str(node.address): node.name for node in lookout.network.nodes}
    return {(alert.threat.kind, names[alert.threat.requester]) for alert in lookout.alerts}


def with_role(small_network, role, duration_s=60, **more):
    sections = {**QUICK, "byzantine": [{"node": 1, "role": role}], **more}
    return small_network(duration_s=duration_s, **sections)


@pytest.mark.parametrize(
    ("role", "kind", "most_blocks"),
    [("equivocator", "equivocation", 4), ("bad-seals", "bad_seal", 4), ("silent", "silence", 15)],
)
def test_a_validator_that_breaks_the_rules_is_named_and_nobody_else(small_network, role, kind, most_blocks):
    _, lookout = watch_run(with_role(small_network, role, 30))
    alert = lookout.alerts[0]
    assert found_in(lookout) == {(kind, "node-1")}
    assert alert.height <= most_blocks
    if role != "silent":
        receipt = json.loads(json.dumps(threat_receipt(alert.threat, "alert")))
        assert find_proof_fault(receipt) is None


@pytest.mark.parametrize(
    ("role", "kind"), [("invalid-blocks", "missed_turns"), ("forged-round-changes", "round_changes")]
)
def test_blocks_that_nobody_takes_and_calls_that_nobody_shares_are_noticed(small_network, role, kind):
    _, lookout = watch_run(with_role(small_network, role, 75))
    assert (kind, "node-1") in found_in(lookout)
    assert {name for _, name in found_in(lookout)} == {"node-1"}


def test_a_crash_is_noticed_by_a_validator_that_hears_and_by_a_node_that_only_follows(small_network):
    crash = {"kind": "crash", "nodes": [2], "at_s": 40}
    scenario = small_network(
        nodes=5, duration_s=110, network={"validators": 4, "is_execution_shared": True}, fault=[crash]
    )
    lookouts = []
    play_scenario(scenario, on_network=lambda network: lookouts.extend(Lookout(network, who) for who in (0, 4)))
    hearing, following = lookouts
    assert ("silence", "node-2") in found_in(hearing)
    assert ("missed_turns", "node-2") in found_in(following)
    assert {name for lookout in lookouts for _, name in found_in(lookout)} == {"node-2"}
    assert hearing.alerts[0].time_us < following.alerts[0].time_us


def test_a_healthy_network_raises_no_alert_and_the_watch_changes_nothing(small_network):
    scenario = small_network(duration_s=90, **QUICK)
    played, lookout = watch_run(scenario)
    assert lookout.alerts == []
    assert played.network.trace.digest == play_scenario(scenario).network.trace.digest


@pytest.mark.parametrize("nodes", [1, 2, 3])
def test_few_validators_are_watched_as_well(small_network, nodes):
    played, lookout = watch_run(small_network(nodes=nodes, duration_s=40, **QUICK))
    assert played.network.agreement.height > 30
    assert lookout.alerts == []


def test_a_slow_machine_is_not_taken_for_a_silent_one(small_network):
    slow = {"kind": "slow", "nodes": [2], "factor": 20, "at_s": 30}
    _, lookout = watch_run(small_network(duration_s=90, fault=[slow], **QUICK))
    assert lookout.alerts == []


def test_a_validator_that_is_cut_off_blames_nobody_and_learns_that_its_own_turns_went_by(small_network):
    apart = {"kind": "partition", "groups": [[0], [1, 2, 3]], "at_s": 20, "until_s": 60}
    played, lookout = watch_run(small_network(duration_s=90, fault=[apart], **QUICK))
    assert played.network.nodes[0].chain.height > 60
    assert found_in(lookout) == {("missed_turns", "node-0")}


def test_an_alert_stands_in_the_trace_of_which_the_report_takes_its_incidents(small_network):
    played, lookout = watch_run(with_role(small_network, "bad-seals", 10))
    noted = [event for event in played.network.trace.events if event.event == "alert"]
    assert len(noted) == len(lookout.alerts) == 1
    assert noted[0].node == lookout.node.number
    assert noted[0].detail.startswith("node-1 signed a commit at height 1, round 0, around a seal")


def test_without_gossip_some_honest_validator_can_prove_the_lie(small_network):
    scenario = with_role(small_network, "equivocator", 20, network={"has_gossip": False, "is_execution_shared": True})
    lookouts = []
    play_scenario(scenario, on_network=lambda network: lookouts.extend(Lookout(network, who) for who in (0, 2, 3)))
    alerts = [alert for lookout in lookouts for alert in lookout.alerts if alert.threat.kind == "equivocation"]
    assert alerts
    assert all(find_proof_fault(threat_receipt(alert.threat, "alert")) is None for alert in alerts)


def test_a_transaction_that_the_permissions_refuse_counts_as_an_attempt_of_its_sender(stage):
    found = stage(duration_s=30, network={"permissions": "contract"})
    lookout = Lookout(found.network, 0)
    found.run(10)
    stranger = Account.derive(b"nobody", "stranger")
    raws = [
        stranger.sign(nonce=0, to=bytes(19) + bytes([n]), data=bytes([n] * 4), gas=100_000, chain_id=1337).raw
        for n in range(12)
    ]
    outcomes = found.send(0, raws)
    assert all("may not" in outcome for outcome in outcomes)
    assert [(alert.threat.kind, alert.threat.requester) for alert in lookout.alerts] == [
        ("probing", str(stranger.address))
    ]


def test_a_ledger_is_read_once_and_a_failed_call_is_a_refusal_if_its_error_says_so():
    with open_engine() as engine:
        account = Account.derive(b"ledger", "caller")
        lookouts = [
            LedgerLookout(engine, ChainWatch()),
            LedgerLookout(engine, ChainWatch(), is_refusal=lambda _: False),
        ]
        creation = bytes.fromhex("6005600c60003960056000f3") + bytes.fromhex("60006000fd")  # always reverts
        engine.send(account.sign(nonce=0, to=None, data=creation, gas=200_000, chain_id=1337).raw)
        engine.mine()
        [key] = engine.head().transaction_hashes
        door = engine.receipt(key).contract_address
        for n in range(12):
            raw = account.sign(nonce=n + 1, to=door, data=bytes([n] * 4), gas=100_000, chain_id=1337).raw
            engine.send(raw)
        engine.mine()
        late = LedgerLookout(engine, ChainWatch(), since=0)
        assert late.follow(1) == late.follow(0) == []
        assert late.cursor == 1
        assert [threat.kind for threat in late.follow()] == ["probing"]
        found = [lookout.follow() for lookout in lookouts]
        assert [threat.kind for threat in found[0]] == ["probing"]
        assert found[1] == []
        assert [lookout.follow() for lookout in lookouts] == [[], []]


def test_statements_contradict_each_other_only_where_they_are_about_one_thing():
    witness, zero, one = Witness(), bytes(32), b"\1" * 32
    first = statement(Prepare(3, 0, zero))
    assert witness.hear(first, 3) is None
    for harmless in (
        statement(Prepare(3, 0, zero)),
        statement(Prepare(3, 1, one)),
        statement(Prepare(4, 0, one)),
        statement(Prepare(3, 0, one), BEN),
        statement(commit(one)),
        statement(RoundChange(3, 1, None)),
    ):
        assert witness.hear(harmless, 3) is None
    assert witness.hear(statement(Prepare(3, 0, one)), 3) == first
    assert witness.hear(statement(RoundChange(3, 1, Prepared(0, zero))), 3) is not None
    assert witness.hear(statement(Prepare(99, 0, one)), 3) is None
    assert witness.hear(statement(Prepare(99, 0, zero)), 3) is None, "too far away to be kept"


def test_a_witness_forgets_and_is_not_filled_by_one_that_talks_much():
    witness = Witness()
    for height in range(1, 200):
        for round_ in range(100):
            witness.hear(statement(Prepare(height, round_, bytes(32))), height) if height > 197 else None
        witness.hear(statement(Prepare(height, 0, bytes(32)), BEN), height)
    assert len(witness._said) <= 27
    assert all(len(said) <= 64 for of_height in witness._said.values() for said in of_height.values())


def test_a_statement_is_read_back_from_its_proof_a_seal_too(small_network):
    played, _ = watch_run(small_network(duration_s=4, **QUICK))
    header = played.network.nodes[0].chain.blocks[2].header
    seals = list(seal_statements(header))
    assert {seal.author for seal in seals} <= set(header.extra.validators)
    for said in (*seals, statement(Prepare(3, 1, bytes(32))), statement(commit(bytes(32)))):
        assert read_statement(said.proof)[:5] == said[:5]
    assert seals[0][1:4] == statement(commit(header.seal_hash, height=2, round_=header.extra.round))[1:4]
    for bad in (b"", b"\x00", b"\x13\xc0", b"\x99abc", b"\x12" + b"\xff" * 40):
        with pytest.raises(ValueError, match=r"statement|RLP|list|code"):
            read_statement(bad)


def proof_of(first, second, subject=ANN, kind="equivocation"):
    watch = ChainWatch()
    proofs = tuple("0x" + part.hex() for part in (first, second))
    [threat] = watch.observe_proof(kind, str(subject.address), 0, proofs, {})
    return threat_receipt(threat, "alert")


def test_what_proves_no_equivocation_is_told():
    prepare, other = statement(Prepare(3, 0, bytes(32))), statement(Prepare(3, 0, b"\1" * 32))
    assert find_proof_fault(proof_of(prepare.proof, other.proof)) is None
    assert "not both signed" in find_proof_fault(proof_of(prepare.proof, other.proof, BEN))
    ben = statement(Prepare(3, 0, b"\1" * 32), BEN)
    assert "not both signed" in find_proof_fault(proof_of(prepare.proof, ben.proof))
    later = statement(Prepare(3, 1, b"\1" * 32))
    assert "not about one thing" in find_proof_fault(proof_of(prepare.proof, later.proof))
    same = read_statement(prepare.proof).proof[:-1] + bytes([prepare.proof[-1] ^ 1])
    assert find_proof_fault(proof_of(prepare.proof, same)) is not None
    assert "no signed statement" in find_proof_fault(proof_of(prepare.proof, b"nothing"))


def test_what_proves_no_bad_seal_is_told():
    bad, good = commit(bytes(32), sealer=BEN), commit(bytes(32))
    proof, seal = statement(bad).proof, bad.seal
    assert find_proof_fault(proof_of(proof, seal, kind="bad_seal")) is None
    assert "is not the one" in find_proof_fault(proof_of(proof, good.seal, kind="bad_seal"))
    assert "its author's own" in find_proof_fault(proof_of(statement(good).proof, good.seal, kind="bad_seal"))
    assert "no commit" in find_proof_fault(proof_of(proof, seal, BEN, kind="bad_seal"))
    prepare = statement(Prepare(3, 0, bytes(32))).proof
    assert "no commit" in find_proof_fault(proof_of(prepare, seal, kind="bad_seal"))


def test_turns_that_came_to_nothing_are_those_before_the_first_of_who_made_the_block(small_network):
    played, _ = watch_run(with_role(small_network, "silent", 20))
    blocks, silent = played.network.nodes[0].chain.blocks, played.network.nodes[1].address
    turns = [turn for parent, block in pairwise(blocks) for turn in list_turns(block.header, parent.header)]
    assert {name for name, is_kept in turns if not is_kept} == {silent}
    assert sum(is_kept for _, is_kept in turns) == len(blocks) - 1
    late = blocks[5].header.in_round(3)
    assert list_turns(late, blocks[4].header) == list_turns(blocks[5].header, blocks[4].header), "proposed again later"
