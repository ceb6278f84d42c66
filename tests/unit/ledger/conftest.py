"""A chain in memory, two accounts, and a contract that exercises what bindings and the chain have to carry."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import urllib3

from chainsec.ledger.account import Account
from chainsec.ledger.anvil import Anvil
from chainsec.ledger.contract import Contract, deployment_data
from chainsec.ledger.engine import open_engine

ALICE = Account.derive(b"tests", "alice")
BOB = Account.derive(b"tests", "bob")
GAS = 1_000_000


def load_probe():
    record = json.loads((Path(__file__).parent / "probe.json").read_text())
    return SimpleNamespace(abi=record["abi"], bytecode=bytes.fromhex(record["bytecode"]))


PROBE = load_probe()


class Bench:
    """An engine with a deployed probe, and the shortest way to send to it."""

    def __init__(self, engine):
        self.engine = engine
        self.nonces = {}
        self.send(None, deployment_data(PROBE, 5, "hello"))
        receipt = self.engine.receipt(self.engine.mine().transaction_hashes[0])
        self.probe = Contract(engine, receipt.contract_address, PROBE.abi)

    def send(self, to, data=b"", *, sender=ALICE, **options):
        nonce = self.nonces.get(sender, 0)
        self.nonces[sender] = nonce + 1
        options = {"gas": GAS, "chain_id": self.engine.chain_id} | options
        return self.engine.send(sender.sign(nonce=nonce, to=to, data=data, **options).raw)

    def invoke(self, name, *args, **options):
        return self.send(self.probe.address, self.probe.encode(name, *args), **options)


@pytest.fixture
def engine():
    with open_engine(accounts=[ALICE, BOB]) as opened:
        yield opened


@pytest.fixture
def bench(engine):
    return Bench(engine)


@pytest.fixture(scope="session")
def bench_class():
    return Bench


@pytest.fixture
def alice():
    return ALICE


@pytest.fixture
def bob():
    return BOB


@pytest.fixture
def probe_artifact():
    return PROBE


@pytest.fixture(scope="module")
def node(anvil_program):
    with Anvil(program=anvil_program) as running:
        yield running


class Proxy:
    """Stands between an engine and its node; ``rule`` may answer a question itself.

    A rule is given one call (method and parameters) and returns None to let it pass, DROP to hang up unanswered,
    LOSE to let the node act and hang up then, an HTTP status, a status and the body under it, or what the answer is to
    hold besides its number.
    """

    DROP, LOSE = "drop", "lose"

    def __init__(self, url):  # noqa: C901 - the server and what it does belong together
        self.rule = lambda method, params: None  # noqa: ARG005 - what a rule is given
        self.takes_batches = True
        self.asked = []
        proxy, pool = self, urllib3.connection_from_url(url)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                text = self.rfile.read(int(self.headers["Content-Length"]))
                question = json.loads(text)
                calls = question if isinstance(question, list) else [question]
                proxy.asked += [call["method"] for call in calls]
                verdicts = [proxy.rule(call["method"], call["params"]) for call in calls]
                if proxy.DROP in verdicts:
                    self.close_connection = True
                    return
                status = next((verdict for verdict in verdicts if isinstance(verdict, int)), 200)
                said = next((verdict for verdict in verdicts if isinstance(verdict, tuple)), None)
                body = pool.request("POST", "/", body=text, headers={"Content-Type": "application/json"}).data
                if proxy.LOSE in verdicts:
                    self.close_connection = True
                    return
                if isinstance(question, list) and not proxy.takes_batches:
                    body = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no batches"}}'
                elif any(isinstance(verdict, (dict, bytes)) for verdict in verdicts):
                    body = self.replace(question, json.loads(body), verdicts)
                if said is not None:
                    status, body = said
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def replace(self, question, answers, verdicts):
                raw = next((verdict for verdict in verdicts if isinstance(verdict, bytes)), None)
                if raw is not None:
                    return raw
                found = answers if isinstance(answers, list) else [answers]
                for answer, verdict in zip(found, verdicts, strict=True):
                    if verdict is not None:
                        answer.pop("result", None)
                        answer.update(verdict)
                return json.dumps(found if isinstance(question, list) else found[0]).encode()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def first(self, count, method, verdict):
        """Answer so to the first ``count`` calls of a method."""
        left = [count]

        def rule(asked, _):
            if asked != method or not left[0]:
                return None
            left[0] -= 1
            return verdict

        self.rule = rule


@pytest.fixture
def proxy(node):
    between = Proxy(node.url)
    yield between
    between.stop()


@pytest.fixture
def through():
    """Give a function that puts a proxy before any node."""
    opened = []

    def put(url):
        opened.append(Proxy(url))
        return opened[-1]

    yield put
    for between in opened:
        between.stop()


@pytest.fixture
def sender():
    return Account.generate()
