"""anvil as a process of the tests': it comes up, keeps its chain where asked to, and leaves nothing behind."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from chainsec.errors import LedgerError
from chainsec.ledger import anvil
from chainsec.ledger.anvil import Anvil, find_anvil

WITHOUT_TRANSACTIONS = False
ORPHAN = """
import sys
from pathlib import Path
from chainsec.ledger.anvil import Anvil
node = Anvil(program=Path(sys.argv[1]))
print(node.pid, node.port, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def start(anvil_program):
    """Give a way to start nodes that are all gone when the test is over."""
    nodes = []

    def start(**options):
        nodes.append(Anvil(program=anvil_program, **options))
        return nodes[-1]

    yield start
    for node in nodes:
        node.kill()


def ask(node, method, *params):
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(node.url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["result"]


def block(node, number):
    return ask(node, "eth_getBlockByNumber", number, WITHOUT_TRANSACTIONS)


def is_open(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_it_answers_as_it_was_told_to_be_and_is_gone_with_its_context(anvil_program, tmp_path):
    ipc = tmp_path / "anvil.ipc"
    with Anvil(
        program=anvil_program,
        chain_id=77,
        timestamp=1_700_000_000,
        block_gas_limit=12_345_678,
        accounts=3,
        ipc_path=ipc,
    ) as node:
        genesis = block(node, "0x0")
        assert int(ask(node, "eth_chainId"), 16) == 77
        assert int(genesis["timestamp"], 16) == 1_700_000_000
        assert int(block(node, "latest")["gasLimit"], 16) == 12_345_678
        assert len(ask(node, "eth_accounts")) == 3
        assert ask(node, "anvil_nodeInfo")["hardFork"] == "Cancun"
        assert (node.url, node.ws_url) == (f"http://127.0.0.1:{node.port}", f"ws://127.0.0.1:{node.port}")
        assert ipc.is_socket()
        assert node.is_running
    assert not node.is_running
    assert not is_open(node.port)
    with pytest.raises(ProcessLookupError):
        os.kill(node.pid, 0)


def test_two_stand_beside_each_other(start):
    first, second = start(chain_id=1), start(chain_id=2)
    assert first.port != second.port
    assert [ask(node, "eth_chainId") for node in (first, second)] == ["0x1", "0x2"]


def test_a_stopped_one_goes_on_from_its_state_file_on_the_same_port(start, tmp_path):
    node = start(state_path=tmp_path / "state.json")
    ask(node, "anvil_mine", "0x5")
    hashes = [block(node, hex(number))["hash"] for number in range(6)]
    pid, port = node.pid, node.port
    node.restart()
    assert (node.port, node.pid != pid) == (port, True)
    assert [block(node, hex(number))["hash"] for number in range(6)] == hashes


def test_a_killed_one_writes_nothing_and_comes_back_as_it_was_kept(start, tmp_path):
    kept = tmp_path / "state.json"
    node = start(state_path=kept)
    ask(node, "anvil_mine", "0x2")
    node.stop()
    before = kept.read_bytes()
    node.restart()
    ask(node, "anvil_mine", "0x3")
    node.kill()
    assert not node.is_running
    assert kept.read_bytes() == before
    node.restart()
    assert ask(node, "eth_blockNumber") == "0x2"


def test_stopping_twice_does_no_harm(start):
    node = start()
    for _ in range(2):
        node.stop()
        node.kill()
    assert not node.is_running


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux ends a process with its parent")
def test_a_killed_parent_leaves_no_orphan(anvil_program):
    command = [sys.executable, "-c", ORPHAN, str(anvil_program)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        pid, port = map(int, parent.stdout.readline().split())
        assert is_open(port)
        watch = os.pidfd_open(pid)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    readable, _, _ = select.select([watch], [], [], 30)
    os.close(watch)
    assert readable == [watch]
    assert not is_open(port)


def test_what_it_cannot_do_is_said_in_its_own_words(start, tmp_path):
    (tmp_path / "state.json").write_text("{")
    with pytest.raises(LedgerError, match=r"anvil ended at once: error: invalid value .*state\.json") as failure:
        start(state_path=tmp_path / "state.json")
    assert failure.value.code == 2
    assert (tmp_path / "state.json").read_text() == "{"


def test_one_that_never_answers_is_given_up_and_ended(tmp_path):
    told = tmp_path / "pid"
    mute = script(tmp_path / "mute", f"echo $$ > {told}\necho still thinking\nexec tail -f /dev/null")
    with pytest.raises(LedgerError, match=r"anvil gave no answer within 0\.5 s: still thinking$"):
        Anvil(program=mute, patience_s=0.5)
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)


def test_a_port_that_somebody_took_first_is_left_for_another(tmp_path, anvil_program):
    count = tmp_path / "count"
    late = script(
        tmp_path / "late",
        f'echo x >> {count}\n[ "$(wc -l < {count})" -gt 2 ] && exec {anvil_program} "$@"\n'
        "echo 'Error: Address already in use (os error 98)'\nexit 1",
    )
    with Anvil(program=late) as node:
        assert ask(node, "eth_chainId") == "0x539"
    assert count.read_text() == "x\n" * 3


def test_where_there_is_none_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(anvil, "find_anvil", lambda: None)
    with pytest.raises(LedgerError, match=r"^needs anvil: run `npm ci`, or put it on the PATH$"):
        Anvil()


def test_it_is_looked_for_on_the_path_then_in_node_modules_above(monkeypatch, tmp_path):
    monkeypatch.setattr(anvil, "_REPOSITORY", tmp_path)
    monkeypatch.setattr(anvil.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(anvil.sys, "platform", "linux")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    deep = tmp_path / "runs" / "today"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert find_anvil() is None
    packed = tmp_path / "node_modules" / "@foundry-rs" / "anvil-linux-amd64" / "bin" / "anvil"
    for program in (packed, tmp_path / "bin" / "anvil"):
        program.parent.mkdir(parents=True)
        script(program, "exit 0")
        assert find_anvil() == program
