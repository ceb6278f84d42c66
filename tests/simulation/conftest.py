"""A small run, played once for each worker, and copies of it to tamper with."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def small():
    """Give the module that plays small runs, which is a script as well."""
    spec = importlib.util.spec_from_file_location("small_run", HERE / "small_run.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def finished(small, tmp_path_factory):
    """Give the directory of a finished run; not to be changed."""
    path = tmp_path_factory.mktemp("finished") / "run"
    small.play_small(path, seed=8)
    return path


@pytest.fixture
def run(finished, tmp_path):
    """Give a copy of the finished run."""
    return Path(shutil.copytree(finished, tmp_path / "run"))
