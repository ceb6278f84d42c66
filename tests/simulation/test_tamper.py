import json
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys

import pytest

import chainsec.sandbox
from chainsec.app import cli
from chainsec.defence.agent import Agent
from chainsec.defence.receipts import FORMAT, threat_receipt
from chainsec.digest import canonical_json
from chainsec.errors import AuditFailed, RunInUse, RunMismatch
from chainsec.ledger.evm import Genesis
from chainsec.ledger.seal import write_seal
from chainsec.primitives import Verdict
from chainsec.scenarios import audit, origin
from chainsec.scenarios.audit import verify_run
from chainsec.scenarios.directory import RunDirectory, digest_files, seal_content
from chainsec.scenarios.export import export_trail
from chainsec.scenarios.play import Play
from chainsec.services.access import Basis

CHAIN_RECORD = r"block \d+|node 0x|page \d+|row|record|lookup|score|setting|tables|schema"


@pytest.fixture
def unfinished(small, tmp_path):
    """Give a run that stopped in the middle of its live part, wherever its ticks end."""
    path = tmp_path / "unfinished"

    def stop_half_way(line):
        place = re.match(r"live (\d+)/(\d+)", line)
        if place and 2 * int(place[1]) >= int(place[2]):
            raise small.Stopped(line)

    with pytest.raises(small.Stopped):
        small.play_small(path, seed=8, write=stop_half_way)
    return path


def find(run, name):
    [path] = run.rglob(name)
    return path


def flip(content, place, bit):
    return content[:place] + bytes([content[place] ^ (1 << bit)]) + content[place + 1 :]


def seal_again(run):
    write_seal(run / "chain.sqlite")
    (run / "seal.json").write_bytes(seal_content(digest_files(run)))


def edit_line(path, number, change):
    lines = path.read_bytes().split(b"\n")
    record = json.loads(lines[number - 1])
    change(record)
    lines[number - 1] = canonical_json(record)
    path.write_bytes(b"\n".join(lines))


def state_of(run):
    entries = [run, *sorted(run.rglob("*"))]
    return [(str(e), e.stat().st_mtime_ns, e.stat().st_mode, e.read_bytes() if e.is_file() else b"") for e in entries]


def test_a_finished_run_is_proved_and_nothing_in_it_is_touched(run):
    report = json.loads((run / "report.json").read_bytes())
    for entry in [*run.rglob("*"), run]:
        entry.chmod(0o555 if entry.is_dir() else 0o444)
    before, seen = state_of(run), []
    summary = verify_run(run, lambda *progress: seen.append(progress))
    assert state_of(run) == before
    assert summary.is_sealed
    assert summary.unanchored == 0
    assert (summary.blocks, summary.receipts) == (report["audit"]["blocks"], report["audit"]["receipts"])
    assert summary.head_hash == report["audit"]["head_hash"]
    assert (summary.scores, summary.refusals) == (report["requests"]["live"], 0)
    assert summary.uses == len((run / "uses.jsonl").read_bytes().splitlines())
    assert seen[-1] == (summary.blocks - 1, summary.blocks - 1)


def test_one_flipped_byte_in_the_chain_is_found_and_the_record_named(run):
    path, chance = run / "chain.sqlite", random.Random(1)
    sound = path.read_bytes()
    for _ in range(8):
        path.write_bytes(flip(sound, chance.randrange(len(sound)), chance.randrange(8)))
        with pytest.raises(AuditFailed, match=CHAIN_RECORD):
            verify_run(run)


@pytest.mark.parametrize("name", ["contexts.jsonl", "receipts.jsonl"])
def test_one_flipped_byte_in_a_record_with_its_own_hash_names_the_line(run, name):
    path, chance = run / name, random.Random(name)
    sound = path.read_bytes()
    places = [*chance.sample(range(len(sound)), 6), sound.index(b"\n"), len(sound) - 1]
    for place in places:
        path.write_bytes(flip(sound, place, chance.randrange(8)))
        line = sound[:place].count(b"\n") + 1
        with pytest.raises(AuditFailed, match=f"^{re.escape(name)}: line {line}: "):
            verify_run(run)


@pytest.mark.parametrize("name", ["uses.jsonl", "outcomes.jsonl"])
def test_one_flipped_byte_in_an_anchored_record_names_the_line_or_its_anchor(run, name):
    path, chance = run / name, random.Random(name)
    sound = path.read_bytes()
    for place in [*chance.sample(range(len(sound)), 6), len(sound) - 1]:
        path.write_bytes(flip(sound, place, chance.randrange(8)))
        line = sound[:place].count(b"\n") + 1
        with pytest.raises(AuditFailed, match=f"^{re.escape(name)}: ") as caught:
            verify_run(run)
        covered = re.search(r"line from (\d+) to (\d+)", str(caught.value))
        first, last = (
            map(int, covered.groups()) if covered else [int(re.search(r"line (\d+)", str(caught.value))[1])] * 2
        )
        assert first <= line <= last


@pytest.mark.parametrize(
    "name",
    ["model.json", "state.json", "run.json", "report.json", "report.html", "timings.jsonl", "seal.json"],
)
def test_one_flipped_byte_in_any_other_file_names_the_file(run, name):
    path, chance = find(run, name), random.Random(name)
    sound, folder = path.read_bytes(), path.parent.name if "models" in str(path) else name
    for place in [*chance.sample(range(len(sound)), 5), 0, len(sound) - 1]:
        path.write_bytes(flip(sound, place, chance.randrange(8)))
        with pytest.raises(AuditFailed, match=re.escape(folder)):
            verify_run(run)


def test_one_flipped_byte_in_the_seal_of_the_chain_names_the_page(run):
    path, chance = run / "chain.sqlite.seal", random.Random(2)
    sound = path.read_bytes()
    for place in chance.sample(range(len(sound)), 3):
        path.write_bytes(flip(sound, place, chance.randrange(8)))
        page = sound[:place].count(b"\n") + 1
        with pytest.raises(AuditFailed, match=rf"chain\.sqlite: page {page} "):
            verify_run(run)


def drop_line(lines):
    del lines[4]


def swap_neighbours(lines):
    lines[2], lines[3] = lines[3], lines[2]


def repeat_line(lines):
    lines.insert(4, lines[2])


def cut_short(lines):
    lines[-2:] = [lines[-2][:-5]]


JOURNALS = ["contexts.jsonl", "receipts.jsonl", "uses.jsonl", "outcomes.jsonl"]
CHANGES = [drop_line, swap_neighbours, repeat_line, cut_short]
RESEALED = [("contexts.jsonl", swap_neighbours), ("receipts.jsonl", swap_neighbours), ("outcomes.jsonl", cut_short)]


def change_lines(path, change):
    lines = path.read_bytes().split(b"\n")
    change(lines)
    path.write_bytes(b"\n".join(lines))


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", JOURNALS)
def test_lines_dropped_swapped_repeated_or_cut_are_noticed(run, name, change):
    change_lines(run / name, change)
    with pytest.raises(AuditFailed, match=rf"^{re.escape(name)}: .*\d"):
        verify_run(run)


@pytest.mark.parametrize(("name", "change"), [*RESEALED, *(("uses.jsonl", change) for change in CHANGES)])
def test_lines_dropped_swapped_repeated_or_cut_are_noticed_even_under_a_new_seal(run, name, change):
    change_lines(run / name, change)
    seal_again(run)
    with pytest.raises(AuditFailed, match=rf"^{re.escape(name)}: .*\d"):
        verify_run(run)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("receipts.jsonl", lambda r: r.update(format=0), r"receipts\.jsonl: line 3: no act on chain"),
        ("contexts.jsonl", lambda r: r["observed"].update(text="urgent"), r"contexts\.jsonl: line 3: no request"),
        ("uses.jsonl", lambda r: r.update(volume_bytes=1), r"uses\.jsonl: a line from 1 to \d+ .* anchor"),
        ("outcomes.jsonl", lambda r: r.update(denied=not r["denied"]), r"outcomes\.jsonl: a line from 1 .* anchor"),
    ],
)  # fmt: skip
def test_who_rewrites_a_record_and_seals_again_is_caught_by_the_chain(run, name, change, words):
    edit_line(run / name, 3, change)
    seal_again(run)
    with pytest.raises(AuditFailed, match=words):
        verify_run(run)


def edit_json(path, change):
    content = json.loads(path.read_bytes())
    change(content)
    path.write_bytes(canonical_json(content))


def soften_costs(run):
    edit_json(run / "run.json", lambda settings: settings["config"]["costs"].update(wrong_grant=[1.0, 1.0, 1.0, 1.0]))


def raise_budget(run):
    edit_json(run / "run.json", lambda settings: settings["config"]["limits"].update(grants_per_window=501))


def hide_alerts(run):
    edit_json(run / "report.json", lambda report: report["decisions"].update(alerts=0))


def forge_gas(run):
    edit_json(run / "report.json", lambda report: report["cost"].update(gas_total=1))


def forge_gas_of_decisions(run):
    edit_json(run / "report.json", lambda report: report["cost"].update(gas_per_decision=1.0))


def forge_gas_of_an_operation(run):
    edit_json(run / "report.json", lambda r: r["cost"]["gas_by_operation"]["anchor"].update(gas_total=1))


def forge_waits(run):
    fast = {"p50": 0.0, "p95": 0.0, "p99": 0.0}
    edit_json(run / "report.json", lambda report: report["latency"].update(decision_blocks=fast))


def praise_another_model(run):
    edit_json(run / "report.json", lambda report: report["run"].update(model_digest="0x" + "00" * 32))


def add_model(run):
    [folder] = (run / "models").iterdir()
    shutil.copytree(folder, folder.with_name("0x" + "11" * 32))
    edit_json(folder.with_name("0x" + "11" * 32) / "model.json", lambda model: model.update(more=1))


def change_model(run):
    path = find(run, "state.json")
    path.write_bytes(path.read_bytes().replace(b"0", b"1", 1))


def rename_model(run):
    [folder] = (run / "models").iterdir()
    folder.rename(folder.with_name("0x" + "22" * 32))


def drop_models(run):
    shutil.rmtree(run / "models")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (soften_costs, r"run\.json"),
        (raise_budget, r"run\.json"),
        (hide_alerts, r"report\.json: decisions\.alerts is 0"),
        (forge_gas, r"report\.json: cost\.gas_total is 1"),
        (forge_gas_of_decisions, r"report\.json: cost\.gas_per_decision is 1\.0"),
        (forge_gas_of_an_operation, r"report\.json: cost\.gas_by_operation does not add up"),
        (forge_waits, r"report\.json: latency\.decision_blocks"),
        (praise_another_model, r"report\.json: run\.model_digest"),
        (add_model, "models/0x11"),
        (change_model, "models/0x"),
        (rename_model, "models/0x22"),
        (drop_models, "models"),
    ],
)
def test_who_changes_settings_report_or_model_and_seals_again_is_caught(run, change, words):
    change(run)
    seal_again(run)
    with pytest.raises(AuditFailed, match=words):
        verify_run(run)


def test_a_record_of_the_chain_that_was_changed_under_new_seals_is_found_by_executing_again(run):
    path = run / "chain.sqlite"
    receipt = next(iter((run / "receipts.jsonl").read_bytes().splitlines()))
    score = json.loads(receipt)["request"]
    content = path.read_bytes()
    place = content.rindex(bytes.fromhex(score[2:]))
    path.write_bytes(flip(content, place + 5, 3))
    seal_again(run)
    with pytest.raises(AuditFailed, match=CHAIN_RECORD):
        verify_run(run)


@pytest.mark.parametrize(
    "name",
    ["chain.sqlite", "contexts.jsonl", "receipts.jsonl", "uses.jsonl", "outcomes.jsonl", "run.json", "report.json"],
)
@pytest.mark.parametrize("how", ["removed", "emptied", "halved"])
def test_a_file_that_was_removed_or_cut_is_named(run, name, how):
    path = run / name
    content = path.read_bytes()
    path.unlink()
    if how != "removed":
        path.write_bytes(b"" if how == "emptied" else content[: len(content) // 2])
    with pytest.raises(AuditFailed, match=re.escape(name)) as caught:
        verify_run(run)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["notes.txt", ".hidden", "models/more.json", ".report-staging/report.json"])
def test_a_file_that_was_added_is_named(run, name):
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).write_text("more")
    with pytest.raises(AuditFailed, match=re.escape(f"{name.split('/')[0]}")):
        verify_run(run)


def test_a_run_without_its_seal_still_has_to_hold_and_is_said_not_to_be_sealed(run):
    (run / "seal.json").unlink()
    assert not verify_run(run).is_sealed
    edit_line(run / "receipts.jsonl", 2, lambda receipt: receipt.update(score=0.5))
    with pytest.raises(AuditFailed, match=r"receipts\.jsonl: line 2: no act on chain"):
        verify_run(run)


def test_an_interrupted_run_holds_as_far_as_it_has_come(unfinished):
    before = state_of(unfinished)
    summary = verify_run(unfinished)
    assert not summary.is_sealed
    assert summary.scores > 0
    assert summary.unanchored > 0
    assert state_of(unfinished) == before
    edit_line(unfinished / "contexts.jsonl", 1, lambda context: context.update(salt="00"))
    with pytest.raises(AuditFailed, match=r"contexts\.jsonl: line 1"):
        verify_run(unfinished)


@pytest.mark.parametrize("line", ["before block 3", "members ", "consents "])
def test_a_run_that_stopped_while_the_stage_was_set_holds_too(small, tmp_path, monkeypatch, line):
    commit = small.Store.commit

    def commit_until(store, height, *rest, **settings):
        if line == f"before block {height}":
            raise small.Stopped
        commit(store, height, *rest, **settings)

    with monkeypatch.context() as killing:
        killing.setattr(small.Store, "commit", commit_until)
        with pytest.raises(small.Stopped):
            small.play_small(tmp_path / "run", seed=8, write=small.stop_at(line))
    summary = verify_run(tmp_path / "run")
    assert (summary.receipts, summary.is_sealed) == (0, False)


def test_a_report_has_to_hold_without_a_seal_too(run):
    (run / "seal.json").unlink()
    hide_alerts(run)
    with pytest.raises(AuditFailed, match=r"report\.json: decisions\.alerts is 0"):
        verify_run(run)


@pytest.mark.parametrize("name", JOURNALS)
@pytest.mark.parametrize("line", [b"not even json\n", b'{"invented":1}\n'])
def test_a_run_with_a_report_but_no_seal_has_no_lines_that_the_chain_does_not_know(run, name, line):
    (run / "seal.json").unlink()
    with (run / name).open("ab") as file:
        file.write(line)
    with pytest.raises(AuditFailed, match=rf"^{re.escape(name)}: line \d+: "):
        verify_run(run)


@pytest.mark.parametrize("name", JOURNALS)
def test_junk_behind_the_last_line_of_an_interrupted_run_is_named(unfinished, name):
    with (unfinished / name).open("ab") as file:
        file.write(b"not even json\n")
    with pytest.raises(AuditFailed, match=rf"^{re.escape(name)}: line \d+: cannot be read"):
        verify_run(unfinished)


@pytest.mark.parametrize("name", ["contexts.jsonl", "receipts.jsonl"])
def test_records_that_nothing_on_chain_carries_are_counted_in_an_interrupted_run(unfinished, name):
    before = verify_run(unfinished)
    with (unfinished / name).open("ab") as file:
        file.write(b'{"not":"sent yet"}\n')
    after = verify_run(unfinished)
    assert after.unanchored == before.unanchored + 1
    assert (after.receipts, after.scores) == (before.receipts, before.scores)


def test_a_run_that_somebody_works_on_is_not_judged(run):
    with (
        RunDirectory(run, json.loads((run / "run.json").read_bytes())),
        pytest.raises(RunInUse, match="another process"),
    ):
        verify_run(run)
    assert verify_run(run).is_sealed


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"config":{}}', '{"config":{"seed":-1}}', "[" * 9000])
def test_what_is_no_run_at_all_fails_in_one_line(tmp_path, content):
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(AuditFailed, match=r"run\.json|chain\.sqlite") as caught:
        verify_run(tmp_path)
    assert "\n" not in str(caught.value)


def test_the_command_line_tells_a_sound_run_from_a_broken_one(run, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["chainsec", "audit", "verify", str(run)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 0
    told = capsys.readouterr()
    assert re.search(r"holds\. \d+ blocks with \d+ transactions executed again.*\(sealed\)", told.out)
    edit_line(run / "receipts.jsonl", 4, lambda receipt: receipt.update(score=0.5))
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines()[-1] == "chainsec: receipts.jsonl: line 4: no act on chain carries its hash"


def test_the_command_line_says_that_a_run_is_not_finished(unfinished, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["chainsec", "audit", "verify", str(unfinished)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 0
    assert re.search(r"holds.*not finished; \d+ records wait for their anchor", capsys.readouterr().out)


def decide_as(monkeypatch, change):
    """Let the agent put other receipts under its decisions, and grant everything where one names no verdict."""
    judge = Agent._judge
    monkeypatch.setattr(Agent, "_judge", lambda agent, item: change(judge(agent, item)))
    monkeypatch.setattr(
        "chainsec.defence.agent.verdict_of",
        lambda receipt: Verdict[receipt.get("verdict", "grant").upper()],
    )
    step = Agent.step
    monkeypatch.setattr(Agent, "step", lambda agent: [{"verdict": "grant"} | receipt for receipt in step(agent)])


def call_it_an_approval(receipt):
    return {"format": 1, "kind": "approve", "request": receipt["request"], "guardian": "0x" + "11" * 20}


def call_it_an_approval_and_keep_the_rest(receipt):
    return receipt | {"kind": "approve", "verdict": "grant"}


def call_it_a_refusal(receipt):
    return {"format": FORMAT, "kind": "refusal", "request": receipt["request"], "verdict": "grant", "reason": ""}


def name_one_reason(receipt):
    return receipt | {"reasons": receipt["reasons"][:1]}


def add_a_field(receipt):
    return receipt | {"note": "trust me"}


def turn_away(receipt):
    return receipt | {"verdict": "deny"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (call_it_an_approval, "its kind is 'approve' where the chain has decision or refusal"),
        (call_it_an_approval_and_keep_the_rest, "its kind is 'approve'"),
        (call_it_a_refusal, "it refuses though the context holds"),
        (name_one_reason, "reasons are not those of the model"),
        (add_a_field, "note is no field of it"),
        (turn_away, "the thresholds give"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_agent_that_decides_otherwise_than_its_model_does_not_pass(small, tmp_path, monkeypatch, change, words):
    decide_as(monkeypatch, change)
    with pytest.raises(AuditFailed, match=r"receipts\.jsonl: line \d+: ") as caught:
        small.play_small(tmp_path / "run", seed=8, live=12)
    assert words in str(caught.value)


def test_an_agent_that_sends_another_verdict_than_its_receipt_says_does_not_pass(small, tmp_path, monkeypatch):
    monkeypatch.setattr("chainsec.defence.agent.verdict_of", lambda _: Verdict.DENY)
    with pytest.raises(AuditFailed, match=r"its verdict is '\w+', on chain stands denied"):
        small.play_small(tmp_path / "run", seed=8, live=12)


def leave_requests_out(receipt, _count):
    return receipt | {"requests": receipt["requests"][-1:]} if receipt["kind"] == "revoke" else receipt


def name_nobody(receipt, _count):
    return receipt | {"requester": "nobody"}


def play_it_down(receipt, _count):
    return receipt | {"kind": "alert"}


def lower_a_level(receipt, count):
    """Lower the last level, which the score does not depend on, of every threat but the first."""
    levels = receipt["evidence"]["thresholds"]
    lowered = [*levels[:-1], levels[-1] - 1e-3 * (count > 0)]
    return receipt | {"evidence": receipt["evidence"] | {"thresholds": lowered}}


def blow_it_up(receipt, _count):
    return receipt | {"evidence": receipt["evidence"] | {"statistic": 99.0}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (leave_requests_out, "the chain revokes what none of its requests asked for"),
        (name_nobody, "the requests that it names are another requester's"),
        (play_it_down, "the chain does not answer with 'alert'"),
        (lower_a_level, "its thresholds are not those of earlier threats of the kind"),
        (blow_it_up, "statistic is 99.0, the rule gives"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_agent_whose_responses_do_not_follow_from_their_receipts_does_not_pass(
    small, tmp_path, monkeypatch, change, words
):
    written = []

    def write(threat, response):
        written.append(change(threat_receipt(threat, response), len(written)))
        return written[-1]

    monkeypatch.setattr("chainsec.defence.agent.threat_receipt", write)
    with pytest.raises(AuditFailed, match=r"receipts\.jsonl: line \d+: ") as caught:
        small.play_small(tmp_path / "run", seed=8)
    assert words in str(caught.value)


def test_a_gateway_that_notes_refused_uses_as_allowed_does_not_pass(small, tmp_path, monkeypatch):
    look_up = Play._look_up
    asked = []

    def always(play, episode, scope):
        asked.append(look_up(play, episode, scope))
        return Basis.AGREED

    monkeypatch.setattr(Play, "_look_up", always)
    with pytest.raises(AuditFailed, match=r"uses\.jsonl: line \d+: its basis is 'agreed', the chain gives '\w+'"):
        small.play_small(tmp_path / "run", seed=8)
    assert {Basis.AGREED} < set(asked)


def test_a_sentinel_with_other_limits_than_the_settings_say_does_not_pass(small, tmp_path, monkeypatch):
    deploy = chainsec.sandbox.deploy
    generous = {"sensitivity_ceiling": 3, "grants_per_window": 10**6, "max_grant_s": 2**31}
    lay = origin.lay_origin

    def lay_as_said(config):
        with monkeypatch.context() as honest:
            honest.setattr(chainsec.sandbox, "deploy", deploy)
            return lay(config)

    monkeypatch.setattr(audit, "lay_origin", lay_as_said)
    monkeypatch.setattr(
        chainsec.sandbox,
        "deploy",
        lambda client, keys, limits: deploy(client, keys, limits.model_copy(update=generous)),
    )
    with pytest.raises(AuditFailed, match=r"^block \d: is not the deployment that the run's settings give"):
        small.play_small(tmp_path / "run", seed=8, live=6)


def open_another_door(box):
    box.deployment.access.set_door(box.keys.admin, box.keys.admin.address)


def give_another_a_role(box):
    box.deployment.authority.grant_role(box.keys.admin, 2, box.account("somebody").address)


def open_a_function(box):
    grants = box.deployment.access.contract
    box.deployment.authority.open_functions(box.keys.admin, grants, ("setDoor",), 2)


@pytest.mark.parametrize("act", [open_another_door, give_another_a_role, open_a_function])
def test_whoever_changes_who_may_do_what_during_a_run_is_noticed(small, tmp_path, monkeypatch, act):
    anchor = Play._anchor

    def act_too(play):
        if play.agent is not None and not done:
            done.append(act(play.box))
        anchor(play)

    done = []
    monkeypatch.setattr(Play, "_anchor", act_too)
    with pytest.raises(AuditFailed, match=r"^block \d+: \w+ changes who may do what"):
        small.play_small(tmp_path / "run", seed=8, live=6)


def put_pipe(path):
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def put_link(path):
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("put", [put_pipe, put_link])
@pytest.mark.parametrize("name", ["run.json", ".lock", "receipts.jsonl", "chain.sqlite", "chain.sqlite-x", "seal.json"])
def test_a_run_with_a_pipe_or_a_link_in_it_is_refused_before_anything_is_read(run, tmp_path, put, name):
    put(run / name)
    settings = {"seed": 1}
    with pytest.raises(AuditFailed, match=re.escape(f"{name}: is no regular file")):
        verify_run(run)
    with pytest.raises(AuditFailed, match="is no regular file"):
        export_trail(run, tmp_path / "trail")
    with pytest.raises(RunMismatch, match="is no regular file"):
        RunDirectory(run, settings)
    assert not (tmp_path / "trail").exists()


def hide_depth(run):
    (run / "run.json").write_bytes(('["\u2200",' + "[" * 200_000 + "]" * 200_000 + "]").encode("utf-16-le"))


def set_genesis(run, text):
    with sqlite3.connect(run / "chain.sqlite") as db:
        db.execute("UPDATE settings SET value = ? WHERE name = 'genesis'", (text,))
    db.close()
    seal_again(run)


def nest_genesis(run):
    set_genesis(run, b"[" * 200_000)


def fill_blocks_without_end(run):
    set_genesis(run, Genesis(gas_limit=2**62).to_json())


@pytest.mark.parametrize("spoil", [hide_depth, nest_genesis, fill_blocks_without_end])
def test_what_would_end_the_process_ends_in_one_line(run, spoil):
    spoil(run)
    command = [sys.executable, "-c", "from chainsec.app.cli import main; main()", "audit", "verify", str(run)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("chainsec: ")
    assert "Traceback" not in ended.stderr
