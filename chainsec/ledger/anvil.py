"""Runs anvil, Foundry's development node, as a process of this one on a loopback port.

For tests, benchmarks and trials of a chain beyond this process. Layer: ledger. Not here: how a node is spoken to
(``rpc``); nodes that others run.
"""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from chainsec.errors import LedgerError
from chainsec.ledger.sources import find_modules

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["ANVIL_MISSING", "Anvil", "find_anvil"]

ANVIL_MISSING = "needs anvil: run `npm ci`, or put it on the PATH"
"""What to tell whoever has none."""

_HOST = "127.0.0.1"
_REPOSITORY = Path(__file__).parents[2]
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_ASKS_FOR_CHAIN_ID = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []})
_LOOK_EVERY_S = 0.01
_PORT_TAKEN = "Address already in use"
_MOST_PORTS = 5
_STOP_LIMIT_S = 30
_LAST_LINES, _LONGEST_LINE, _TAIL_BYTES = 5, 300, 4_000
_PR_SET_PDEATHSIG = 1


def find_anvil() -> Path | None:
    """Return the anvil on the PATH, or the one of npm in ``node_modules`` in or above this folder or the package's.

    Packages: ``@foundry-rs/anvil-linux-amd64`` and its siblings for other machines.
    """
    on_path = shutil.which("anvil")
    if on_path:
        return Path(on_path)
    machine = platform.machine()
    package = f"anvil-{sys.platform}-{_MACHINES.get(machine, machine)}"
    for modules in (*find_modules(Path.cwd()), *find_modules(_REPOSITORY)):
        program = modules / "@foundry-rs" / package / "bin" / "anvil"
        if program.is_file():
            return program
    return None


class Anvil:
    """An anvil that runs while the context lasts; it ends with this process, however that ends.

    It ends with the thread that started it, too: start it from one that stays.

    Args:
        program: which anvil; the one that ``find_anvil`` finds where omitted.
        chain_id: EIP-155 identifier.
        hardfork: the rules of all its blocks.
        timestamp: of block 0, Unix seconds; now where omitted.
        block_gas_limit: of every block; anvil's own where omitted.
        accounts: how many of the well-known development accounts hold ether.
        ipc_path: socket to listen on beside the port, at most some 100 characters.
        state_path: file that the chain is kept in; read where it is there, written when anvil stops, states of past
            blocks with it.
        state_interval_s: write ``state_path`` every so many seconds too.
        arguments: more of anvil's own.
        patience_s: how long it may take to answer first.

    Raises:
        LedgerError: there is no anvil, it ends at once, or does not answer in time; with its last lines.

    Example:
        with Anvil(chain_id=7) as node, open_engine(node.url) as engine:
            engine.mine()
    """

    def __init__(
        self,
        *,
        program: Path | None = None,
        chain_id: int = 1337,
        hardfork: str = "cancun",
        timestamp: int | None = None,
        block_gas_limit: int | None = None,
        accounts: int = 10,
        ipc_path: Path | None = None,
        state_path: Path | None = None,
        state_interval_s: int | None = None,
        arguments: Sequence[str] = (),
        patience_s: float = 30,
    ) -> None:
        found = program or find_anvil()
        if found is None:
            raise LedgerError(ANVIL_MISSING)
        self.ipc_path = ipc_path
        self.patience_s = patience_s
        options = {
            "--chain-id": chain_id,
            "--hardfork": hardfork,
            "--accounts": accounts,
            "--timestamp": timestamp,
            "--gas-limit": block_gas_limit,
            "--ipc": ipc_path,
            "--state": state_path,
            "--state-interval": state_interval_s,
        }
        given = [word for name, value in options.items() if value is not None for word in (name, str(value))]
        history = ["--preserve-historical-states"] if state_path is not None else []
        self._command = [str(found), "--quiet", "--host", _HOST, *given, *history, *arguments]
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None
        self.port = 0
        self._start_on_free_port()

    @property
    def url(self) -> str:
        """Where it answers over HTTP."""
        return f"http://{_HOST}:{self.port}"

    @property
    def ws_url(self) -> str:
        """Where it answers over WebSocket."""
        return f"ws://{_HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """Its process id; of the last one where it does not run."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """End it in order: it writes its state file first. Does nothing where it does not run.

        Raises:
            LedgerError: it did not end in time and was killed; its state file may be old.
        """
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, as a crash would. Does nothing where it does not run."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop it if it runs and start it on the same port, from its state file if it has one.

        Raises:
            LedgerError: as for a first start.
        """
        self.stop()
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start_on_free_port(self) -> None:
        """Start on a port that is free now; somebody may be quicker to take it, then on another."""
        for attempt in range(1, _MOST_PORTS + 1):
            with socket.socket() as probe:
                probe.bind((_HOST, 0))
                self.port = probe.getsockname()[1]
            try:
                self._start()
            except LedgerError as error:
                if _PORT_TAKEN not in str(error) or attempt == _MOST_PORTS:
                    raise
            else:
                return

    def _start(self) -> None:
        if self.ipc_path is not None:
            self.ipc_path.unlink(missing_ok=True)
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the process has ended
        self._process = subprocess.Popen(  # noqa: S603 - a program that the caller chose, no shell
            [*self._command, "--port", str(self.port)],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            preexec_fn=_die_with_parent(),  # noqa: PLW1509 - calls a function that is loaded already, and nothing else
        )
        try:
            self._await_answer(self._process)
        except BaseException:
            self.kill()
            raise

    def _await_answer(self, process: subprocess.Popen[bytes]) -> None:
        end_s = time.monotonic() + self.patience_s
        while not (self._answers() and (self.ipc_path is None or self.ipc_path.exists())):
            with suppress(subprocess.TimeoutExpired):  # waiting for its end is what spaces the attempts
                process.wait(_LOOK_EVERY_S)
                raise LedgerError(f"anvil ended at once: {self._last_words()}", code=process.returncode)
            if time.monotonic() > end_s:
                raise LedgerError(f"anvil gave no answer within {self.patience_s:g} s: {self._last_words()}")

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(_HOST, self.port, timeout=self.patience_s)
        try:
            connection.request("POST", "/", _ASKS_FOR_CHAIN_ID, {"Content-Type": "application/json"})
            answer: Any = json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException, ValueError):
            return False
        finally:
            connection.close()
        return isinstance(answer, dict) and "result" in answer

    def _end(self, how: signal.Signals) -> None:
        process, output = self._process, self._output
        if process is None or output is None:
            return
        self._output = None
        with output:
            process.send_signal(how)
            try:
                process.wait(_STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise LedgerError(f"anvil did not end within {_STOP_LIMIT_S} s and was killed") from None

    def _last_words(self) -> str:
        assert self._output is not None
        size = os.fstat(self._output.fileno()).st_size
        # Read without moving the place in the file, which anvil shares.
        text = os.pread(self._output.fileno(), _TAIL_BYTES, max(0, size - _TAIL_BYTES)).decode(errors="replace")
        lines = [line.strip()[:_LONGEST_LINE] for line in text.splitlines() if line.strip()]
        return " | ".join(lines[-_LAST_LINES:]) or "it said nothing"


def _die_with_parent() -> Callable[[], None] | None:
    """Return what makes the child of a fork end with its parent, on Linux; nothing elsewhere."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM)) and None
