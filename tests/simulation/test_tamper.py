import json
import random
import re
import shutil
import sys

import pytest

from chainsec.app import cli
from chainsec.digest import canonical_json
from chainsec.errors import AuditFailed, RunInUse
from chainsec.ledger.seal import write_seal
from chainsec.scenarios.audit import verify_run
from chainsec.scenarios.directory import RunDirectory, digest_files, seal_content

CHAIN_RECORD = r"block \d+|node 0x|page \d+|row|record|lookup|score|setting|tables|schema"


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
    assert summary.scores == report["requests"]["live"]
    assert summary.uses == len((run / "uses.jsonl").read_bytes().splitlines())
    assert seen[-1] == (summary.blocks - 1, summary.blocks - 1)


def test_one_flipped_byte_in_the_chain_is_found_and_the_record_named(run):
    path, chance = run / "chain.sqlite", random.Random(1)
    sound = path.read_bytes()
    for _ in range(12):
        path.write_bytes(flip(sound, chance.randrange(len(sound)), chance.randrange(8)))
        with pytest.raises(AuditFailed, match=CHAIN_RECORD):
            verify_run(run)


@pytest.mark.parametrize("name", ["contexts.jsonl", "receipts.jsonl"])
def test_one_flipped_byte_in_a_record_with_its_own_hash_names_the_line(run, name):
    path, chance = run / name, random.Random(name)
    sound = path.read_bytes()
    places = [*chance.sample(range(len(sound)), 12), sound.index(b"\n"), len(sound) - 1]
    for place in places:
        path.write_bytes(flip(sound, place, chance.randrange(8)))
        line = sound[:place].count(b"\n") + 1
        with pytest.raises(AuditFailed, match=f"^{re.escape(name)}: line {line}: "):
            verify_run(run)


@pytest.mark.parametrize("name", ["uses.jsonl", "outcomes.jsonl"])
def test_one_flipped_byte_in_an_anchored_record_names_the_line_or_its_anchor(run, name):
    path, chance = run / name, random.Random(name)
    sound = path.read_bytes()
    for place in [*chance.sample(range(len(sound)), 12), len(sound) - 1]:
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
    for place in [*chance.sample(range(len(sound)), 10), 0, len(sound) - 1]:
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
        ("receipts.jsonl", lambda r: r.update(score=r["score"] / 2), r"receipts\.jsonl: line 3: no act on chain"),
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


@pytest.mark.parametrize("line", ["before block 3", "members 8/", "consents 21/"])
def test_a_run_that_stopped_while_the_stage_was_set_holds_too(small, tmp_path, monkeypatch, line):
    commit = small.Store.commit

    def commit_until(store, height, *rest, **settings):
        if line == f"before block {height}":
            raise small.Stopped
        commit(store, height, *rest, **settings)

    monkeypatch.setattr(small.Store, "commit", commit_until)
    with pytest.raises(small.Stopped):
        small.play_small(tmp_path / "run", seed=3, write=small.stop_at(line))
    summary = verify_run(tmp_path / "run")
    assert (summary.receipts, summary.is_sealed) == (0, False)


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
