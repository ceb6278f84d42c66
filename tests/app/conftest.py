"""The command line as a shell sees it, and a small log to replay."""

from __future__ import annotations

import random
import sys
from typing import NamedTuple

import pytest

from chainsec.app import cli


class Told(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def chainsec(monkeypatch, capsys):
    """Give a function that runs the command in this process, and returns its exit code and what it printed."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["chainsec", *map(str, arguments)])
        capsys.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as left:
            code = left.code or 0
        printed = capsys.readouterr()
        return Told(code, printed.out, printed.err)

    return call


@pytest.fixture(scope="session")
def log_rows():
    """Give the lines of a log in which clerks are turned away from scans."""
    chance, rows = random.Random(4), ["time,requester,asset,action,outcome"]
    for number in range(60):
        is_clerk = chance.random() < 0.3
        who = f"clerk-{chance.randrange(2)}" if is_clerk else f"nurse-{chance.randrange(4)}"
        what = f"scan-{chance.randrange(6)}"
        rows.append(f"2025-03-{1 + number // 6:02}T{8 + number % 6:02}:00:00Z,{who},{what},read,{'denied' if is_clerk else 'granted'}")  # fmt: skip # noqa: E501
    return rows


@pytest.fixture
def log(log_rows, tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("\n".join(log_rows) + "\n")
    return path
