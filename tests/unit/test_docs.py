"""The documents say what the code does."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import get_args

from typer.main import get_command

from chainsec.app.cli import app
from chainsec.config import Config
from chainsec.network import sections
from chainsec.network.scenario import NetworkScenario, load_scenario

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").glob("*.md"))]


def settings(model=Config, prefix=""):
    for name, field in model.model_fields.items():
        if hasattr(field.annotation, "model_fields"):
            yield from settings(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field.default


def test_the_settings_page_names_every_setting_with_its_default():
    page = (ROOT / "docs" / "settings.md").read_text()
    rows = dict(re.findall(r"^\| `([\w.]+)` \| `([^`]*)` \|", page, re.MULTILINE))
    assert rows == {name: repr(list(value) if isinstance(value, tuple) else value) for name, value in settings()}


def test_the_example_on_the_settings_page_is_accepted():
    [example] = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "settings.md").read_text(), re.DOTALL)
    assert Config.model_validate(tomllib.loads(example)) != Config()


NETWORK_SECTIONS = {
    "": NetworkScenario,
    "network": sections.NetworkSection,
    "qbft": sections.QbftSection,
    "machine": sections.MachineSection,
    "load": sections.Load,
    "fault": sections.Fault,
    "byzantine": sections.Byzantine,
    "variant": sections.Variant,
}


def test_the_networks_page_names_every_key_of_a_scenario_and_no_other():
    page = (ROOT / "docs" / "network.md").read_text()
    [table] = re.findall(r"\| key \| default \| means \|\n(.*?)\n\n", page, re.DOTALL)
    kinds = set(get_args(sections.Fault.model_fields["kind"].annotation))
    named, section = {}, ""
    for row in table.splitlines():
        found = re.match(r"\| (?:\*\*`\[+(\w+)\]+`\*\* )?([^|]*)\|", row)
        section = (found and found[1]) or section
        named.setdefault(section, set()).update(re.findall(r"`(\w+)`", found[2] if found else ""))
    named["fault"] -= kinds
    keys = {name: set(model.model_fields) for name, model in NETWORK_SECTIONS.items()}
    assert named == keys | {"": keys[""] - keys.keys()}


def test_the_networks_page_has_a_scenario_and_a_matrix_that_are_accepted(tmp_path):
    page = (ROOT / "docs" / "network.md").read_text()
    [scenario] = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    [matrix] = re.findall(r"```csv\n(.*?)```", page, re.DOTALL)
    (tmp_path / "own.csv").write_text(matrix)
    (tmp_path / "own.toml").write_text(
        scenario.replace('"wan"', '"own.csv"').replace('["us-east", "germany"]', '["paris", "tokyo"]')
    )
    (tmp_path / "page.toml").write_text(scenario)
    for name in ("page.toml", "own.toml"):
        assert [title for title, _ in load_scenario(str(tmp_path / name))[0].variants()][1:] == ["shorter timeout"]


def test_every_command_in_the_documents_exists():
    commands = get_command(app).commands
    known = {*commands, *(f"audit {name}" for name in commands["audit"].commands)}
    for path in DOCUMENTS:
        for first, second in re.findall(r"(?:^|`)chainsec ([a-z]+)(?: ([a-z]+))?", path.read_text(), re.MULTILINE):
            assert first in known or f"{first} {second}" in known, (path.name, first, second)


def test_every_link_between_the_documents_leads_somewhere():
    for path in DOCUMENTS:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text()):
            assert (path.parent / target).exists(), (path.name, target)


def readme_examples():
    return re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def test_the_readmes_script_decides_a_request(capsys):
    exec(compile(readme_examples()[0], "README.md", "exec"), {})
    assert capsys.readouterr().out == "grant GRANTED\n"


def test_the_readmes_test_passes(tmp_path):
    (tmp_path / "test_readme.py").write_text(readme_examples()[1])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "1 passed" in ended.stdout, ended.stdout
