"""Ways of getting transactions into a chain and their receipts back: web3.py, the native engine, bare JSON-RPC.

Each is timed from arguments to receipts: encoding, signing, sending, mining, reading. All call ``record`` of a probe of
their own. Layer: bench. Not here: taking turns (``rows``).
"""

from __future__ import annotations

import http.client
import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from chainsec.bench.probe import RECORDER, word
from chainsec.errors import LedgerError
from chainsec.ledger.account import Account
from chainsec.ledger.contract import Contract, deployment_data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from web3 import Web3

    from chainsec.ledger.engine import Engine
    from chainsec.primitives import Hash32

__all__ = ["ANVIL_ACCOUNT", "EngineSender", "RawSender", "Web3Sender", "open_plain"]

ANVIL_ACCOUNT = Account(bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"))
"""The first of anvil's well-known development accounts, which hold ether."""

_GAS = 100_000
_DEPLOYMENT_GAS = 1_000_000
_STALL_S = 1.0
_PRICE_WEI = 2_000_000_000

Effect = tuple[int, "list[bytes]"]
"""A receipt's status and its logs' data."""


def open_plain() -> Web3:
    """Return web3.py on eth-tester as they come."""
    from eth_tester import EthereumTester, PyEVMBackend  # noqa: PLC0415 - slow to import
    from web3 import EthereumTesterProvider, Web3  # noqa: PLC0415 - as above

    return Web3(EthereumTesterProvider(EthereumTester(PyEVMBackend())))


def _cut(values: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


class _Sender:
    """Numbers what it records, and holds receipts against it."""

    def __init__(self, name: str, share: float) -> None:
        self.name = name
        self.share = share
        self._recorded = 0

    def run(self, count: int) -> Callable[[], None]:
        """Send ``count`` transactions and read their receipts; the check looks at every one."""
        values = range(self._recorded + 1, self._recorded + count + 1)
        self._recorded += count
        receipts = self._send(values)
        return lambda: self._check(values, self._effects(receipts))

    def _send(self, values: Sequence[int]) -> list[Any]:
        raise NotImplementedError

    def _effects(self, receipts: Iterable[Any]) -> Iterator[Effect]:
        raise NotImplementedError

    def _check(self, values: Sequence[int], effects: Iterator[Effect]) -> None:
        found = list(effects)
        if len(found) != len(values):
            raise LedgerError(f"{self.name}: {len(found)} receipts for {len(values)} transactions", name=self.name)
        for value, (status, data) in zip(values, found, strict=True):
            if status != 1 or data != [word(value)]:
                raise LedgerError(
                    f"{self.name}: transaction {value} has status {status} and {len(data)} logs", name=self.name
                )


class Web3Sender(_Sender):
    """Sends through web3.py: ``transact`` and the receipt.

    Args:
        name: its row's.
        web3: on a tester.
        gas: limit of each transaction; None lets web3 estimate it.
        per_block: transactions in a block; one, mined as it is sent, by default.
        share: see ``Peer``.
    """

    def __init__(self, name: str, web3: Web3, *, gas: int | None = _GAS, per_block: int = 1, share: float = 1) -> None:
        super().__init__(name, share)
        self.web3 = web3
        sender = web3.eth.accounts[0]
        self._fields: Any = {"from": sender} if gas is None else {"from": sender, "gas": gas}
        self._per_block = per_block
        factory = web3.eth.contract(abi=RECORDER.abi, bytecode=RECORDER.bytecode)
        deployed = web3.eth.wait_for_transaction_receipt(factory.constructor().transact({"from": sender}))
        self.contract = web3.eth.contract(address=deployed["contractAddress"], abi=RECORDER.abi)

    def _send(self, values: Sequence[int]) -> list[Any]:
        eth, fields, record = self.web3.eth, self._fields, self.contract.functions.record
        if self._per_block == 1:
            return [eth.wait_for_transaction_receipt(record(value).transact(fields)) for value in values]
        tester: Any = self.web3.provider.ethereum_tester  # type: ignore[attr-defined] # the provider is a tester's
        receipts: list[Any] = []
        tester.disable_auto_mine_transactions()
        try:
            for part in _cut(values, self._per_block):
                hashes = [record(value).transact(fields) for value in part]
                tester.mine_block()
                receipts += [eth.get_transaction_receipt(key) for key in hashes]
        finally:
            tester.enable_auto_mine_transactions()
        return receipts

    def _effects(self, receipts: Iterable[Any]) -> Iterator[Effect]:
        for receipt in receipts:
            yield receipt["status"], [bytes(log["data"]) for log in receipt["logs"]]


class EngineSender(_Sender):
    """Sends through an ``Engine``, in this process or on a node.

    Args:
        name: its row's.
        engine: takes transactions without a gas price.
        per_block: transactions in a block.
        share: see ``Peer``.
    """

    def __init__(self, name: str, engine: Engine, *, per_block: int, share: float) -> None:
        super().__init__(name, share)
        self.engine = engine
        self._per_block = per_block
        self._account = Account.derive(b"chainsec bench", name)
        self._nonce = engine.next_nonce(self._account.address)
        [deployed] = self._mine([self._sign(None, deployment_data(RECORDER), _DEPLOYMENT_GAS)])
        self.contract = Contract(engine, deployed.contract_address or b"", RECORDER.abi)

    def _sign(self, to: bytes | None, data: bytes, gas: int) -> bytes:
        nonce, self._nonce = self._nonce, self._nonce + 1
        chain_id = self.engine.chain_id
        return self._account.sign(nonce=nonce, to=to, data=data, gas=gas, chain_id=chain_id).raw

    def _mine(self, raws: Sequence[bytes]) -> list[Any]:
        hashes: Sequence[Hash32] = self.engine.send_many(raws)
        self.engine.mine()
        return self.engine.receipts(hashes)

    def _send(self, values: Sequence[int]) -> list[Any]:
        contract, receipts = self.contract, []
        for part in _cut(values, self._per_block):
            raws = [self._sign(contract.address, contract.encode("record", value), _GAS) for value in part]
            receipts += self._mine(raws)
        return receipts

    def _effects(self, receipts: Iterable[Any]) -> Iterator[Effect]:
        for receipt in receipts:
            if receipt is not None:
                yield receipt.status, [log.data for log in receipt.logs]


class RawSender(_Sender):
    """Sends to a node by nothing but JSON over one kept connection: about the least that Python can do.

    One a request waits for each receipt before the next transaction, on a node that mines at once; in batches the node
    has to mine when told.

    Args:
        name: its row's.
        url: of the node's HTTP door; its first account is anvil's.
        batch: transactions in a request, and in a block.
        share: see ``Peer``.

    ``stalls`` counts how often the node had to be told to mine what it should have mined by itself.
    """

    def __init__(self, name: str, url: str, *, batch: int, share: float) -> None:
        super().__init__(name, share)
        self._door = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        self._batch = batch
        self._nonce = 0
        self._address = b""
        self.stalls = 0
        self._chain_id = int(self._ask("eth_chainId"), 16)
        key = self._ask("eth_sendRawTransaction", self._sign(None, RECORDER.bytecode, _DEPLOYMENT_GAS))
        if batch > 1:
            self._ask("evm_mine")
        self._address = bytes.fromhex(self._await_receipt(key)["contractAddress"][2:])

    def close(self) -> None:
        """Let go of the connection."""
        self._door.close()

    def _post(self, body: Any) -> Any:
        self._door.request("POST", "/", json.dumps(body), {"Content-Type": "application/json"})
        return json.loads(self._door.getresponse().read())

    def _ask(self, method: str, *params: Any) -> Any:
        answer = self._post({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        return self._result(answer)

    def _ask_many(self, method: str, arguments: Sequence[str]) -> list[Any]:
        asked = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": [argument]}
            for number, argument in enumerate(arguments)
        ]
        answers = {answer["id"]: self._result(answer) for answer in self._post(asked)}
        return [answers[number] for number in range(len(arguments))]

    def _result(self, answer: Any) -> Any:
        if "error" in answer:
            raise LedgerError(f"{self.name}: {answer['error'].get('message')}", name=self.name)
        return answer["result"]

    def _sign(self, to: bytes | None, data: bytes, gas: int = _GAS) -> str:
        nonce, self._nonce = self._nonce, self._nonce + 1
        signed = ANVIL_ACCOUNT.sign(
            nonce=nonce, to=to, data=data, gas=gas, chain_id=self._chain_id, gas_price=_PRICE_WEI
        )
        return f"0x{signed.raw.hex()}"

    def _sign_call(self, value: int) -> str:
        return self._sign(self._address, bytes(4) + word(value))

    def _send(self, values: Sequence[int]) -> list[Any]:
        if self._batch == 1:
            return [
                self._await_receipt(self._ask("eth_sendRawTransaction", self._sign_call(value))) for value in values
            ]
        receipts: list[Any] = []
        for part in _cut(values, self._batch):
            hashes = self._ask_many("eth_sendRawTransaction", [self._sign_call(value) for value in part])
            self._ask("evm_mine")
            receipts += self._ask_many("eth_getTransactionReceipt", hashes)
        return receipts

    def _await_receipt(self, key: str) -> Any:
        """Ask for a receipt until it is there; where the node's own mining stalls, as anvil's can, tell it to mine."""
        asked_s = time.monotonic()
        while (receipt := self._ask("eth_getTransactionReceipt", key)) is None:
            if time.monotonic() - asked_s > _STALL_S:
                self._ask("evm_mine")
                self.stalls += 1
                asked_s = time.monotonic()
        return receipt

    def _effects(self, receipts: Iterable[Any]) -> Iterator[Effect]:
        for receipt in receipts:
            if receipt is not None:
                yield int(receipt["status"], 16), [bytes.fromhex(log["data"][2:]) for log in receipt["logs"]]
