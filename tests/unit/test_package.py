"""The package imports cheaply, shows its public names, and declares what it imports."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib

import pytest

import chainsec

HEAVY = {
    "numpy",
    "scipy",
    "sklearn",
    "web3",
    "eth",
    "eth_tester",
    "eth_account",
    "pydantic",
    "rlp",
    "asyncio",
    "sqlite3",
}


def modules_loaded_by(statement):
    """Return what a fresh interpreter loads for ``statement`` beyond what it loads for nothing."""
    found = []
    for code in ("pass", statement):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=True
        )
        found.append({line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if "|" in line})
    return found[1] - found[0]


def test_importing_the_package_loads_nothing_heavy_and_no_other_module_of_its_own():
    loaded = modules_loaded_by("import chainsec")
    assert "chainsec" in loaded
    assert not {name for name in loaded if name.startswith("chainsec.")}
    assert not {name.split(".")[0] for name in loaded} & HEAVY
    assert not {name.split(".")[0] for name in loaded if name.startswith("eth")}


def test_reading_the_errors_loads_nothing_but_the_errors():
    show = "import sys; from chainsec import ChainSecError; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {name for name in loaded if name.startswith("chainsec")} == {"chainsec", "chainsec.errors"}
    assert not loaded & HEAVY


def test_the_fast_keccak_is_chosen_before_any_ethereum_library_but_a_users_choice_stands():
    show = "import os, chainsec; from eth_hash.auto import keccak; keccak(b''); print(os.environ['ETH_HASH_BACKEND'])"
    for chosen, expected in ((None, "pysha3"), ("pycryptodome", "pycryptodome")):
        environment = {"PATH": "", "PYTHONPATH": ":".join(sys.path)} | ({"ETH_HASH_BACKEND": chosen} if chosen else {})
        done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, env=environment, check=True)
        assert done.stdout.strip() == expected


@pytest.mark.parametrize("name", chainsec.__all__)
def test_every_public_name_is_there_and_documented(name):
    assert name in dir(chainsec)
    assert getattr(chainsec, name).__doc__


def test_a_name_that_is_not_public_is_refused():
    with pytest.raises(AttributeError, match="has no attribute 'Sandpit'"):
        _ = chainsec.Sandpit


def test_whatever_the_package_imports_is_declared_with_both_bounds(project_root):
    project = tomllib.loads((project_root / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"]["robustness"]]
    names = {re.match(r"[\w.-]+", line).group().lower().replace("_", "-") for line in declared}
    assert all("==" in line or (">=" in line and "<" in line) for line in declared)
    homes = importlib.metadata.packages_distributions()
    for path in (project_root / "chainsec").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                imported = [node.module]
            for top in {name.split(".")[0] for name in imported} - sys.stdlib_module_names - {"chainsec"}:
                assert {home.lower().replace("_", "-") for home in homes.get(top, [])} & names, (path.name, top)
