import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from chainsec.scenarios.acts import Acts
from chainsec.scenarios.audit import open_evidence, verify_run
from chainsec.scenarios.report_schema import Report, deterministic_digest

HERE = Path(__file__).parent
JOURNALS = ("contexts.jsonl", "receipts.jsonl", "uses.jsonl", "outcomes.jsonl")
SEED = 8


class Runner:
    """Plays small runs in processes of their own and kills them with SIGKILL."""

    def __init__(self):
        self.server = subprocess.Popen(
            [sys.executable, HERE / "small_run.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def close(self):
        self.server.stdin.close()
        self.server.stdout.close()
        self.server.wait()

    def play(self, path, is_enough=lambda _: False):
        """Play until a line is enough, kill then; return the lines told and how the process ended."""
        self.server.stdin.write(f"{path} {SEED}\n")
        self.server.stdin.flush()
        told, pid = [], None
        for line in map(str.strip, self.server.stdout):
            if line.startswith("pid "):
                pid = int(line.split()[1])
            elif line.startswith("ended "):
                return told, int(line.split()[1])
            elif pid is not None:
                told.append(line)
                if is_enough(line):
                    os.kill(pid, signal.SIGKILL)
                    pid = None
        raise AssertionError("the server has ended")


@pytest.fixture(scope="module")
def runner():
    runner = Runner()
    yield runner
    runner.close()


def phase_of(told, place):
    phases = {"members": "setup", "live": "live", "audit": "audit", "report begins": "report", "report written": "seal"}
    phase = "setup"
    for line in told[: place + 1]:
        phase = next((name for start, name in phases.items() if line.startswith(start)), phase)
    return phase


def assert_same_run(path, other):
    report, expected = (Report.model_validate_json((run / "report.json").read_bytes()) for run in (path, other))
    assert report.audit.head_hash == expected.audit.head_hash
    assert deterministic_digest(report) == deterministic_digest(expected)
    for name in JOURNALS:
        assert (path / name).read_bytes() == (other / name).read_bytes(), name
    files, wanted = (sorted(str(e.relative_to(run)) for e in run.rglob("*")) for run in (path, other))
    assert files == wanted
    assert verify_run(path).is_sealed


def count_decisions(path):
    """Return how often each request was decided by the agent, whose decisions are those that are not overrulings."""
    with open_evidence(path) as (engine, contracts):
        acts = Acts(engine, contracts)
        by_guardians = {
            event.transaction_hash for event in acts.decisions if engine.transaction(event.transaction_hash).sender
            != engine.transaction(acts.decisions[0].transaction_hash).sender
        }  # fmt: skip
        decided = Counter(str(e.args["request"]) for e in acts.decisions if e.transaction_hash not in by_guardians)
        return decided, [str(request.id) for request in acts.requests.values()]


def test_killed_again_and_again_a_run_ends_as_if_nothing_had_happened(runner, finished, tmp_path):
    told, status = runner.play(tmp_path / "whole")
    assert status == 0
    assert_same_run(tmp_path / "whole", finished)

    chance = random.Random(8)
    places = {line: place for place, line in reversed(list(enumerate(told)))}
    phases = [phase_of(told, place) for place in range(len(told) - 1)]  # after the last line nothing is left to kill
    targets = sorted(
        target
        for phase, count in (("setup", 3), ("live", 5), ("audit", 1), ("report", 1), ("seal", 1))
        for target in chance.sample([place for place, name in enumerate(phases) if name == phase], count)
    )
    path, killed = tmp_path / "killed", Counter()
    for target in targets:
        lines, status = runner.play(path, lambda line, target=target: places.get(line, -1) >= target)
        assert os.WTERMSIG(status) == signal.SIGKILL
        killed[phases[places[lines[-1]]]] += 1
    lines, status = runner.play(path)
    assert status == 0
    assert lines
    assert killed.total() >= 10
    assert set(killed) == {"setup", "live", "audit", "report", "seal"}
    assert_same_run(path, finished)
    decided, requests = count_decisions(path)
    assert decided == Counter(requests)


class Crash(BaseException):
    """Not even ``except Exception`` stops it."""


@pytest.mark.parametrize("plan", [(1, 17, False), (9, 23, True)])
def test_a_crash_at_any_write_that_lasts_is_made_good_by_the_next_start(small, finished, tmp_path, monkeypatch, plan):
    """Every n-th write fails: before it is made or torn in its middle, or right after it was made."""
    fails_at, step, is_done = plan
    path, crashes, writes = tmp_path / "run", Counter(), 0

    def fail_at_nth(kind, act, tear):
        def write(*args, **facts):
            nonlocal writes
            if kind == "commit" and args[0].path is None:  # an audit executes in memory
                return act(*args, **facts)
            writes += 1
            if writes == fails_at:
                crashes[kind] += 1
                (act if is_done else tear)(*args, **facts)
                raise Crash(kind)
            return act(*args, **facts)

        return write

    journal, store = sys.modules["chainsec.journal"], small.Store
    monkeypatch.setattr(
        journal,
        "_write_all",
        fail_at_nth("append", journal._write_all, lambda descriptor, content: os.write(descriptor, content[:-9])),
    )
    monkeypatch.setattr(store, "commit", fail_at_nth("commit", store.commit, lambda *_, **__: None))
    monkeypatch.setattr(Path, "replace", fail_at_nth("replace", Path.replace, lambda *_: None))
    while True:
        writes = 0
        try:
            small.play_small(path, SEED)
            break
        except Crash:
            fails_at = step
    monkeypatch.undo()
    assert set(crashes) >= {"append", "commit"}
    assert crashes.total() >= 8
    assert_same_run(path, finished)
