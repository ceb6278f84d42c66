"""Rules for every suite: what happens where the Solidity compiler is missing, and fixed seeds for hypothesis."""

import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings

from chainsec.errors import CompilerError
from chainsec.ledger.anvil import find_anvil
from chainsec.ledger.solc import Compiler, find_compiler

COMPILER_MISSING = "needs the Solidity compiler: run `npm ci`"
NODE_MISSING = "needs anvil: run `npm ci`"
PROJECT_ROOT = Path(__file__).parents[1]

# Shared machines stall now and then; a slow example is no failure, and the same examples run everywhere.
settings.register_profile("chainsec", derandomize=True, deadline=None)
settings.load_profile("chainsec")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-gas", action="store_true", help="write the measured table into docs/gas.md")


@pytest.fixture(scope="session")
def project_root() -> Path:
    return PROJECT_ROOT


@pytest.fixture(scope="session")
def solidity() -> Compiler:
    """Give the pinned compiler; skip without one, but fail where CI=true says that it has to be there."""
    found = None
    with suppress(CompilerError):
        found = find_compiler(PROJECT_ROOT, download=False)
    if found is None and os.environ.get("CI") == "true":
        pytest.fail(COMPILER_MISSING, pytrace=False)
    if found is None:
        pytest.skip(COMPILER_MISSING)
    return found


@pytest.fixture(scope="session")
def anvil_program() -> Path:
    """Give the development node's program; skip without one, but fail where CI=true says that it has to be there."""
    found = find_anvil()
    if found is None and os.environ.get("CI") == "true":
        pytest.fail(NODE_MISSING, pytrace=False)
    if found is None:
        pytest.skip(NODE_MISSING)
    return found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for missing in (COMPILER_MISSING, NODE_MISSING):
        skipped = [report for report in terminalreporter.stats.get("skipped", []) if missing in str(report.longrepr)]
        if skipped:
            terminalreporter.write_line(f"{len(skipped)} tests skipped, each {missing}")
