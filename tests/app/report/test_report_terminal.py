"""A run on the terminal: whole figures at any width, harmless text, plain lines where bars cannot move."""

import io
import os
import pty
import re
import subprocess
import sys

import pytest
from rich.console import Console

from chainsec.app import wording
from chainsec.app.terminal import Lines, is_animated, open_progress, show_report
from chainsec.scenarios.play import Score

HOSTILE = "[red]eve[/red]\x1b[2J\u202e\n"


class Clock:
    """A clock that moves when it is told."""

    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


def printed(report, width):
    out = io.StringIO()
    show_report(report, Console(file=out, width=width, highlight=False, color_system=None))
    return out.getvalue()


def follow(clock, lines, batches=200, batch=10, seconds=0.05):
    """Tell ``lines`` of a run of ``batches`` batches, the clock moving ``seconds`` with each."""
    score = Score()
    for i in range(1, batches + 1):
        clock.now_s += seconds
        score.requests += batch
        score.granted += batch
        score.time_s = 1_767_571_200 + 3600 * i
        lines.on_score(score, batches * batch, i, i * 1_000_000)
    lines.close()


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_tables_fit_the_terminal(report, width):
    assert all(len(line.rstrip()) <= width for line in printed(report, width).splitlines())


def test_at_80_columns_the_leading_figures_stand_whole(report):
    text = printed(report, 80)
    assert wording.score(report.quality.auc) in text
    assert wording.count(report.cost.gas_per_decision) in text
    assert all(kind in text for kind in report.quality.per_attack)
    assert wording.count(report.audit.blocks) in text


def test_evidence_that_does_not_hold_is_said_and_hides_no_other_figure(report):
    culprit = "receipts.jsonl, line 17: the score is 0.41 by its features and 0.14 by the receipt 0x" + "3f" * 32
    audit = report.audit.model_copy(update={"verified": False, "first_difference": culprit})
    text = printed(report.model_copy(update={"audit": audit}), 80)
    assert "NOT" in text
    assert "receipts.jsonl, line 17" in " ".join(text.split())
    assert wording.count(report.cost.gas_per_decision) + " gas" in text


@pytest.mark.parametrize("width", [30, 50, 80])
def test_a_figure_is_left_out_rather_than_cut(make_report, width):
    many = make_report(live=100_000)
    wide = set(re.findall(r"\d[\d,.]*\d", printed(many, 400)))
    narrow = set(re.findall(r"\d[\d,.]*\d", printed(many, width)))
    assert narrow <= wide


def test_names_of_a_run_cannot_act_on_the_terminal(report):
    outcome = next(iter(report.quality.per_attack.values()))
    quality = report.quality.model_copy(update={"per_attack": {HOSTILE: outcome}})
    text = printed(report.model_copy(update={"quality": quality}), 120)
    assert "[red]eve[/red]" in text
    assert not {"\x1b", "\u202e"} & set(text)


@pytest.mark.parametrize(("live", "rate"), [(0, 0.0), (1, 0.0), (200, 0.0), (200, 1.0)])
def test_missing_figures_are_said_to_be_missing(make_report, live, rate):
    text = printed(make_report(live=live, attack_rate=rate), 80)
    assert "None" not in text
    assert not re.search(r"\bnan\b", text)


def test_plain_lines_come_at_most_once_a_second_and_end_with_the_whole():
    clock, said = Clock(), []
    follow(clock, Lines("hospital", said.append, clock=clock))
    assert 5 <= len(said) <= 12
    assert "2,000/2,000" in said[-1]
    assert "2,000 granted" in said[-1]


def test_plain_lines_hold_no_escape_and_no_break():
    clock, said = Clock(), []
    follow(clock, Lines(HOSTILE, said.append, clock=clock))
    assert said
    assert all(line.isprintable() for line in said)


def test_plain_lines_keep_to_the_width_they_are_given():
    clock, said = Clock(), []
    follow(clock, Lines("hospital", said.append, width=60, clock=clock))
    assert said
    assert all(len(line) <= 60 for line in said)


def test_speed_is_what_was_decided_over_the_time_it_took():
    clock, said = Clock(), []
    follow(clock, Lines("hospital", said.append, clock=clock), batches=101, batch=10, seconds=0.1)
    assert "100 decisions/s" in said[-1]


def test_progress_leaves_standard_output_to_what_was_asked_for(capsys):
    with open_progress("hospital") as progress:
        progress.on_step("members", 60, 60)
    out, err = capsys.readouterr()
    assert out == ""
    assert "members 60/60" in err
    assert "\x1b" not in err


def test_bars_move_on_standard_error_alone():
    ours, theirs = pty.openpty()
    script = (
        "from chainsec.app.terminal import open_progress\n"
        "with open_progress('hospital') as progress:\n"
        "    progress.on_step('members', 60, 60)\n"
        "print('asked for')\n"
    )
    settings = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | {"TERM": "xterm"}
    done = subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=theirs, env=settings, check=True
    )
    os.close(theirs)
    drawn = os.read(ours, 100_000).decode()
    os.close(ours)
    assert done.stdout == b"asked for\n"
    assert "60/60" in drawn
    assert "\x1b[" in drawn


def test_quiet_progress_says_nothing_anywhere(capsys):
    with open_progress("hospital", is_quiet=True) as progress:
        progress.on_step("members", 60, 60)
        progress.on_score(Score(), 1, 1, 1)
    assert capsys.readouterr() == ("", "")


def fail_after_seven():
    with open_progress("hospital") as progress:
        progress.on_step("members", 7, 60)
        raise KeyError("members")


def test_progress_ends_its_lines_when_the_run_fails(capsys):
    with pytest.raises(KeyError):
        fail_after_seven()
    assert "members 7/60" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("is_terminal", "no_color", "animated"), [(True, "", True), (True, "1", False), (False, "", False)]
)
def test_bars_move_only_on_a_terminal_whose_user_wants_it(monkeypatch, is_terminal, no_color, animated):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", no_color)
    assert is_animated(Console(file=io.StringIO(), force_terminal=is_terminal)) is animated
