"""Whole chains and Ethereum's own state tests: both loops, on both kinds of state, make the same of them."""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import rlp
from eth.constants import BLANK_ROOT_HASH
from eth.db.atomic import AtomicDB
from eth.db.backends.memory import MemoryDB
from eth.exceptions import VMError
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.cancun.state import CancunState
from eth.vm.forks.cancun.transactions import CancunTransactionBuilder
from eth_utils.exceptions import ValidationError

from chainsec import Sandbox
from chainsec.config import data_directory
from chainsec.digest import keccak
from chainsec.errors import ContractReverted
from chainsec.ledger.evm import LedgerVM
from chainsec.ledger.local import LocalEngine
from chainsec.ledger.state import LedgerState
from chainsec.ledger.store import ROWS, Store
from chainsec.primitives import AccessRequest, Decision, Hash32, Scope, Verdict
from chainsec.purposes import find_purpose
from chainsec.services.assets import Registration
from chainsec.services.consent import Terms

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PY_EVM_FAILS = ("test_insufficient_balance_blob_tx",)  # py-evm itself lets these transactions in
LONG = ("1024", "50000", "Consuming", "DiffPlaces", "MaxRounds", "Quadratic", "Recursive", "pairing", "recomp", "Loop")
MOST_GAS = 1_000_000


def play() -> LocalEngine:
    """Deploy everything; register, consent, request, decide, use, and fail now and then."""
    box = Sandbox()
    client, services = box.client, box.deployment
    box.add_organisation("clinic")
    for number in range(6):
        box.introduce_member("clinic", f"m{number}")
    client.settle()
    house, owner, purpose = box.account("clinic").address, box.account("owner"), find_purpose("treatment").hash
    assets = services.assets.register(
        box.keys.steward,
        [Registration(owner.address, Hash32(keccak(bytes([n]))), n % 4) for n in range(6)],
    )
    client.settle()
    terms = [Terms(asset, house, purpose, Scope.READ, box.now_s + 10**6) for asset in assets[:5]]
    services.consent.give(owner, terms)
    client.settle()
    requests = [
        AccessRequest(
            box.account(f"m{n}").address,
            house,
            assets[n],
            purpose,
            Scope.READ,
            box.now_s + 9_999,
            Hash32(bytes([n]) * 32),
        )
        for n in range(6)
    ]
    services.access.request_many(box.gateway("clinic"), house, requests)
    client.settle()
    verdicts = [Verdict.GRANT, Verdict.GRANT, Verdict.DENY, Verdict.ESCALATE, Verdict.GRANT, Verdict.GRANT]
    services.sentinel.decide(
        box.keys.agent,
        [Decision(item, verdict, Hash32(keccak(b"receipt"))) for item, verdict in zip(requests, verdicts, strict=True)],
    )
    client.settle()
    services.access.pause(box.keys.agent)  # may not
    with pytest.raises(ContractReverted):
        client.settle()
    assert services.access.has_access(requests[0].requester, assets[0], purpose)
    assert not services.access.has_access(requests[5].requester, assets[5], purpose)
    client.transact(owner, None, bytes.fromhex("60fe5f5360015ff3"))  # deploys an invalid opcode
    client.settle()
    return client.engine


def test_our_contracts_make_the_same_chain_in_both(monkeypatch):
    played = play()
    monkeypatch.setattr(LedgerVM, "_state_class", CancunState)
    again = LocalEngine(Store(), played.genesis)
    for number in range(1, played.height + 1):
        block = played.chain.get_canonical_block_by_number(number)
        for transaction in block.transactions:
            again.add(transaction)
        assert again.mine(block.header.timestamp) == played.block(number)
    assert played.height >= 10
    for table in ROWS:
        assert list(played.store.rows(table)) == list(again.store.rows(table))


@dataclass(frozen=True)
class Case:
    """One state test: an environment, accounts, a transaction, and what comes of it."""

    env: dict[str, str]
    pre: dict[str, Any]
    post: dict[str, Any]

    @property
    def gas(self) -> int:
        """Most gas that the transaction can use; 0 where it cannot be read."""
        try:
            return int(self._transaction().gas)
        except (ValidationError, rlp.exceptions.RLPException):
            return 0

    def run(self, kind: Any) -> Any:
        """Return what the transaction did, with the state's root and the hash of the logs."""
        state = kind(AtomicDB(MemoryDB()), self._context(), BLANK_ROOT_HASH)
        for address, account in self.pre.items():
            key = bytes_of(address)
            for slot, value in account["storage"].items():
                state.set_storage(key, int(slot, 16), int(value, 16))
            state.set_nonce(key, int(account["nonce"], 16))
            state.set_balance(key, int(account["balance"], 16))
            state.set_code(key, bytes_of(account["code"]))
        state.persist()
        logs: tuple[Any, ...] = ()
        try:
            state.lock_changes()
            done = state.apply_transaction(self._transaction())
            logs = done.get_log_entries()
            seen = (str(done._error), done.output, done.get_gas_used(), done.get_gas_refund(), done.return_data)
        except (ValidationError, VMError, rlp.exceptions.RLPException) as error:
            seen = (type(error), str(error))
        encoded = rlp.encode(
            [[who, [topic.to_bytes(32, "big") for topic in topics], data] for who, topics, data in logs]
        )
        return (state.make_state_root(), keccak(encoded)), seen

    def _transaction(self) -> Any:
        transaction = CancunTransactionBuilder.decode(bytes_of(self.post["txbytes"]))
        if transaction.gas > int(self.env["currentGasLimit"], 16):
            raise ValidationError("more gas than a block has")
        return transaction

    def _context(self) -> ExecutionContext:
        number = int(self.env["currentNumber"], 16)
        return ExecutionContext(
            coinbase=bytes_of(self.env["currentCoinbase"]),
            timestamp=int(self.env["currentTimestamp"], 16),
            block_number=number,
            difficulty=0,
            mix_hash=bytes_of(self.env["currentRandom"]),
            gas_limit=int(self.env["currentGasLimit"], 16),
            prev_hashes=tuple(keccak(str(number - back).encode()) for back in range(1, min(number, 256) + 1)),
            chain_id=1,
            base_fee_per_gas=int(self.env["currentBaseFee"], 16),
            excess_blob_gas=int(self.env.get("currentExcessBlobGas", "0x0"), 16),
        )


def bytes_of(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def sampled_cases(folder: Path, every: int) -> Iterator[tuple[str, Case]]:
    """Yield one case of each ``every``-th file, without those made to take long."""
    with tarfile.open(folder / "state_tests" / "cancun_dev.tar.xz") as archive:
        files = sorted((member for member in archive if member.isfile()), key=lambda member: member.name)
        for place, member in enumerate(files):
            if place % every or any(word in member.name for word in LONG):
                continue
            for name, case in json.load(archive.extractfile(member)).items():
                posts = case["post"]["Cancun"]
                yield name, Case(case["env"], case["pre"], posts[place % len(posts)])


@pytest.mark.filterwarnings("ignore:SELFDESTRUCT:DeprecationWarning")
def test_ethereum_state_tests_end_as_in_py_evm_and_as_expected():
    folder = data_directory()
    if folder is None or not (folder / "state_tests" / "cancun_dev.tar.xz").is_file():
        pytest.skip("needs CHAINSEC_DATA with state_tests")
    count = 0
    for name, case in sampled_cases(folder, every=4):
        if case.gas > MOST_GAS or "expectException" in case.post:  # what no block may hold is refused before it runs
            continue
        result, seen = case.run(LedgerState)
        assert (result, seen) == case.run(CancunState), name
        if not any(known in name for known in PY_EVM_FAILS):
            assert result == (bytes_of(case.post["hash"]), bytes_of(case.post["logs"])), name
        count += 1
    assert count > 100
