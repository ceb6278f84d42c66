"""Sources to artifacts with the real compiler: same bytes every time, errors with file and line, all or nothing."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
import solcx
from hypothesis import given
from hypothesis import strategies as st

from chainsec.digest import keccak
from chainsec.errors import CompilerError
from chainsec.ledger import solc
from chainsec.ledger.artifact import Artifact, artifact_names, load_all_errors, load_artifact, write_artifacts
from chainsec.ledger.compiler import DID_REGISTRY, check_artifacts, check_sources, compile_source, compile_sources
from chainsec.ledger.solc import PINNED, Compiler, find_compiler
from chainsec.ledger.sources import closure, find_modules, imports_of, source_hash

HEAD = "// SPDX-License-Identifier: MIT\npragma solidity ^0.8.20;\n"
BOX = HEAD + "contract Box { error BoxFull(uint256 size); uint256 public content; }\n"


@pytest.fixture
def project(tmp_path, project_root):
    """A small project of its own beside the real node_modules."""
    (tmp_path / "contracts").mkdir()
    (tmp_path / "node_modules").symlink_to(project_root / "node_modules")
    (tmp_path / "contracts" / "Box.sol").write_text(BOX)
    return tmp_path


def files_in(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_packaged_artifacts_are_byte_for_byte_what_the_sources_compile_to(solidity):
    check_artifacts(compiler=solidity)


def test_packaged_artifacts_name_the_sources_they_were_made_from():
    check_sources()
    assert {
        "AccessGrants",
        "AssetRegistry",
        "AuditTrail",
        "Authority",
        "ConsentLedger",
        "DidRegistry",
        "Sentinel",
    } <= set(artifact_names())


def test_running_code_loads_artifacts_without_the_compiler():
    program = (
        "import sys; from chainsec.ledger.artifact import load_artifact; load_artifact('AccessGrants');"
        "sys.exit('solcx' in sys.modules or 'chainsec.ledger.compiler' in sys.modules)"
    )
    environment = {**os.environ, "PATH": ""}
    assert subprocess.run([sys.executable, "-c", program], env=environment, check=False).returncode == 0


def test_did_registry_is_the_unmodified_package(project_root, solidity):
    assert solidity
    source = next(folder / DID_REGISTRY for folder in find_modules(project_root)).read_text()
    assert load_artifact("DidRegistry").sources == {DID_REGISTRY: keccak(source.encode()).hex()}


def test_code_carries_no_metadata_and_runs_before_osaka():
    for name in artifact_names():
        artifact = load_artifact(name)
        assert b"solc" not in artifact.bytecode
        assert artifact.settings == PINNED.to_standard_json()
        assert artifact.compiler.startswith(PINNED.version + "+commit.")


def test_every_contract_fits_the_chain():
    for name in artifact_names():
        assert len(load_artifact(name).deployed_bytecode) <= 24_576


def test_all_errors_have_selectors_of_their_own_signatures():
    errors = load_all_errors()
    assert errors[keccak(b"AccessManagedUnauthorized(address)")[:4]]["name"] == "AccessManagedUnauthorized"
    assert errors[keccak(b"AssetRegistryUnknownAsset(bytes32)")[:4]]["inputs"][0]["name"] == "asset"


def test_an_unknown_artifact_is_named_with_those_there_are():
    with pytest.raises(CompilerError, match="no compiled contract 'Nothing'") as caught:
        load_artifact("Nothing")
    assert caught.value.known == artifact_names()


def test_a_project_compiles_to_artifacts_that_survive_writing_and_reading(project, solidity):
    made = compile_sources(project, compiler=solidity)
    assert sorted(made) == ["Box", "DidRegistry"]
    assert made["Box"].storage["contract"] == [
        {"label": "content", "slot": 0, "offset": 0, "size": 32, "type": "uint256"}
    ]
    assert made["Box"].sources == {"contracts/Box.sol": source_hash(BOX)}
    assert made["DidRegistry"] == load_artifact("DidRegistry")

    folder = project / "artifacts"
    paths = write_artifacts(made.values(), folder)
    assert [path.name for path in paths] == ["Box.json", "DidRegistry.json"]
    assert Artifact.from_json(paths[0].read_bytes()) == made["Box"]
    check_sources(project, folder)

    (folder / "Box.json").write_bytes(replace(made["Box"], bytecode=made["Box"].bytecode + b"\0").to_json())
    with pytest.raises(CompilerError, match=r"Box\.json differs from its source") as caught:
        check_artifacts(project, folder, compiler=solidity)
    assert caught.value.name == "Box"


def test_changed_new_and_removed_sources_are_found_without_a_compiler(project, solidity):
    folder = project / "artifacts"
    write_artifacts(compile_sources(project, compiler=solidity).values(), folder)
    box = project / "contracts" / "Box.sol"

    (project / "contracts" / "New.sol").write_text(BOX)
    with pytest.raises(CompilerError, match=r"contracts/New\.sol was never compiled"):
        check_sources(project, folder)
    (project / "contracts" / "New.sol").unlink()
    box.write_text(BOX + "\n")
    with pytest.raises(CompilerError, match=r"contracts/Box\.sol is not what was compiled"):
        check_sources(project, folder)
    box.unlink()
    with pytest.raises(CompilerError, match=r"contracts/Box\.sol is not what was compiled"):
        check_sources(project, folder)


def test_an_error_shows_the_compilers_message_with_file_and_line(project, solidity):
    (project / "contracts" / "Bad.sol").write_text(HEAD + "contract Bad {\n  uint8 x = 256;\n}\n")
    with pytest.raises(CompilerError) as caught:
        compile_sources(project, compiler=solidity)
    assert (caught.value.file, caught.value.line, caught.value.count) == ("contracts/Bad.sol", 4, 1)
    assert "contracts/Bad.sol:4:" in str(caught.value)


def test_a_warning_is_an_error_in_the_projects_contracts_only(project, solidity):
    unused = HEAD + "contract Careless { function f() external pure { uint256 spare; } }\n"
    (project / "lib").mkdir()
    (project / "lib" / "Careless.sol").write_text(unused)
    (project / "contracts" / "Box.sol").write_text('import "../lib/Careless.sol";\n' + BOX)
    assert "Box" in compile_sources(project, compiler=solidity)

    (project / "contracts" / "Careless.sol").write_text(unused)
    with pytest.raises(CompilerError, match="Unused local variable") as caught:
        compile_sources(project, compiler=solidity)
    assert (caught.value.file, caught.value.line) == ("contracts/Careless.sol", 3)


def test_testing_contracts_compile_apart_and_leave_the_others_alone(project, solidity):
    (project / "contracts" / "testing").mkdir()
    (project / "contracts" / "testing" / "Thief.sol").write_text(
        'import {Box} from "../Box.sol";\n' + HEAD + "contract Thief is Box { uint256 public loot; }\n"
    )
    assert sorted(compile_sources(project, compiler=solidity)) == ["Box", "DidRegistry"]
    assert sorted(compile_sources(project, testing=True, compiler=solidity)) == ["Thief"]


def test_two_contracts_of_one_name_are_refused(project, solidity):
    (project / "contracts" / "Again.sol").write_text(BOX)
    with pytest.raises(CompilerError, match="have one name: Box"):
        compile_sources(project, compiler=solidity)


def test_a_project_without_contracts_or_packages_says_what_is_missing(tmp_path):
    with pytest.raises(CompilerError, match="no contracts to compile"):
        compile_sources(tmp_path)
    (tmp_path / "contracts").mkdir()
    with pytest.raises(CompilerError, match="run `npm ci`"):
        compile_sources(tmp_path)


def test_a_users_text_compiles_in_one_call(solidity):
    text = (
        HEAD
        + 'import "@openzeppelin/contracts/utils/Nonces.sol";\ncontract A is Nonces {}\ncontract B {uint8 public b;}\n'
    )
    made = compile_source(text, "A", compiler=solidity)
    assert made.name == "A"
    assert "@openzeppelin/contracts/utils/Nonces.sol" in made.sources
    with pytest.raises(CompilerError, match="it has: A, B"):
        compile_source(text, compiler=solidity)
    with pytest.raises(CompilerError, match="no contract 'C'"):
        compile_source(text, "C", compiler=solidity)


def test_a_users_file_compiles_with_remappings_and_its_warnings_are_shown(tmp_path, solidity):
    (tmp_path / "vendor" / "boxes").mkdir(parents=True)
    (tmp_path / "vendor" / "boxes" / "Box.sol").write_text(BOX)
    user = tmp_path / "User.sol"
    user.write_text(
        HEAD
        + 'import {Box} from "boxes/Box.sol";\ncontract User is Box { function f() external pure { uint8 spare; } }\n'
    )
    with pytest.warns(UserWarning, match="Unused local variable"):
        made = compile_source(user, remappings={"boxes/": "vendor/boxes/"}, compiler=solidity)
    assert set(made.sources) == {"User.sol", "vendor/boxes/Box.sol"}
    with pytest.raises(CompilerError, match=r'User.sol:3:1[\s\S]*|"boxes/Box.sol" not found') as caught:
        compile_source(str(user), compiler=solidity)
    assert (caught.value.file, caught.value.line) == ("User.sol", 3)
    with pytest.raises(CompilerError, match="no Solidity file"):
        compile_source(tmp_path / "Gone.sol", compiler=solidity)


def test_code_that_needs_linking_is_refused(solidity):
    text = HEAD + "library L { function f() external {} }\ncontract C { function g() external { L.f(); } }\n"
    with pytest.raises(CompilerError, match="linked library"):
        compile_source(text, "C", compiler=solidity)


def test_an_executable_on_the_path_compiles_to_the_same_artifact_as_the_package(tmp_path, solidity, monkeypatch):
    with solidity.executable() as wrapper:
        program = tmp_path / "solc"
        shutil.copy(wrapper, program)
        monkeypatch.setattr(solcx, "get_installed_solc_versions", list)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        found = find_compiler(tmp_path, download=False)
        assert found == Compiler("native", program)
        assert compile_source(BOX, compiler=found).to_json() == compile_source(BOX, compiler=solidity).to_json()


def test_without_any_compiler_one_line_says_how_to_get_one(tmp_path, monkeypatch):
    monkeypatch.setattr(solcx, "get_installed_solc_versions", list)
    monkeypatch.setattr(solc, "_DOWNLOAD", "import sys; sys.exit('ConnectionError')")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        CompilerError, match=r"^no solc 0\.8\.37: run `npm ci` in .*, or install one; download: ConnectionError$"
    ):
        find_compiler(tmp_path)
    with pytest.raises(CompilerError, match=r"or install one$"):
        find_compiler(tmp_path, download=False)


def test_a_compiler_that_breaks_is_reported_in_one_line(tmp_path):
    program = tmp_path / "solc"
    program.write_text("#!/bin/sh\necho 'Version: 0.8.37+commit.f401782d'\n[ $1 = --version ] || exit 3\n")
    program.chmod(0o755)
    with pytest.raises(CompilerError, match=r"^solc "):
        compile_source(BOX, compiler=Compiler("native", program))
    with pytest.raises(CompilerError, match=r"^solc cannot be run"):
        compile_source(BOX, compiler=Compiler("native", tmp_path / "gone"))


def test_a_failed_write_leaves_the_old_artifacts(tmp_path):
    folder = tmp_path / "artifacts"
    old = load_artifact("DidRegistry")
    write_artifacts([old], folder)
    before = files_in(tmp_path)

    def broken():
        yield replace(old, name="Other")
        raise OSError(28, "no space")

    with pytest.raises(OSError, match="no space"):
        write_artifacts(broken(), folder)
    assert files_in(tmp_path) == before

    write_artifacts([replace(old, name="Other")], folder)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["Other.json"]


@pytest.mark.parametrize("field", ["abi", "bytecode", "source_digest", "sources"])
def test_a_damaged_artifact_is_refused(field):
    record = json.loads(load_artifact("DidRegistry").to_json())
    del record[field]
    with pytest.raises(CompilerError, match="not a compiled contract"):
        Artifact.from_json(json.dumps(record).encode())


def test_an_artifact_with_another_source_hash_is_refused():
    text = load_artifact("DidRegistry").to_json()
    digit = text.index(b'"sources":{"') + len(b'"sources":{"' + DID_REGISTRY.encode() + b'":"')
    other = bytes([text[digit] ^ 1])
    with pytest.raises(CompilerError, match="source digest"):
        Artifact.from_json(text[:digit] + other + text[digit + 1 :])


def test_runtime_code_is_recognised_whatever_its_immutables_hold():
    artifact = load_artifact("AccessGrants")
    assert artifact.immutables
    code = bytearray(artifact.deployed_bytecode)
    for offset, length in artifact.immutables:
        code[offset : offset + length] = b"\xaa" * length
    assert artifact.has_runtime(bytes(code))
    code[0] ^= 1
    assert not artifact.has_runtime(bytes(code))


PIECES = {
    'import "./a.sol";': ["./a.sol"],
    "import {X as Y, Z}\n  from './b.sol';": ["./b.sol"],
    'import * as all from "c/d.sol";': ["c/d.sol"],
    '// import "no1.sol"; it\'s\n': [],
    "/* import 'no2.sol'; \" */": [],
    'string constant S = "import \\"no3.sol\\"; //";': [],
    "string constant important = 'x';": [],
    "contract C { uint256 x; }": [],
}


@given(st.lists(st.sampled_from(sorted(PIECES)), max_size=8))
def test_imports_are_found_among_comments_and_strings(pieces):
    expected = [path for piece in pieces for path in PIECES[piece]]
    assert imports_of("\n".join(pieces)) == expected


def test_imports_are_followed_through_folders_and_packages(tmp_path):
    for name, text in {
        "src/A.sol": 'import "../lib/B.sol"; import "pkg/C.sol"; import "gone.sol";',
        "lib/B.sol": 'import "./D.sol";',
        "lib/D.sol": 'import "./B.sol";',
        "node_modules/pkg/C.sol": 'import "./E.sol";',
        "node_modules/pkg/E.sol": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    units = closure({"src/A.sol": (tmp_path / "src/A.sol").read_text()}, tmp_path)
    assert list(units) == ["lib/B.sol", "lib/D.sol", "pkg/C.sol", "pkg/E.sol", "src/A.sol"]
    (tmp_path / "lib/D.sol").write_bytes(b"\xff")
    with pytest.raises(CompilerError, match=r"lib/D\.sol: not UTF-8 at byte 0"):
        closure({"src/A.sol": (tmp_path / "src/A.sol").read_text()}, tmp_path)
