"""A chain in memory, two accounts, and a contract that exercises what bindings and the chain have to carry."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from chainsec.ledger.account import Account
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
