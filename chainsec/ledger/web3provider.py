"""Puts web3.py on the in-process chain: the requests that programs make most are answered straight from it.

They get what a node would write; all others, and every unusual form of these, go to eth-tester, whose answers are the
same. Layer: ledger. Not here: eth-tester (``ethtester``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from eth_tester.exceptions import BlockNotFound, TransactionFailed, TransactionNotFound
from web3 import EthereumTesterProvider
from web3.providers.eth_tester.defaults import API_ENDPOINTS
from web3.providers.eth_tester.middleware import (
    block_result_remapper,
    default_transaction_fields_middleware,
    log_result_remapper,
    receipt_result_remapper,
    request_formatters,
    result_formatters,
)

from chainsec.ledger.ethbackend import ExecutionReverted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from web3.types import RPCEndpoint, RPCResponse

    from chainsec.ledger.ethbackend import LedgerBackend

__all__ = ["EthTester", "LedgerProvider"]

_REVERTED_CODE = 3
_ADDRESS_CHARACTERS = 42
_HASH_CHARACTERS = 66
_MAX_TAG_NUMBER = 2**63
_BYTES_FIELDS = {"to": "to", "data": "data"}
_NUMBER_FIELDS = {
    "gas": "gas",
    "value": "value",
    "nonce": "nonce",
    "gasPrice": "gas_price",
    "maxFeePerGas": "max_fee_per_gas",
    "maxPriorityFeePerGas": "max_priority_fee_per_gas",
}


class _Unusual(Exception):  # noqa: N818 - no error: eth-tester takes over, and knows what is wrong, if anything
    """A request in a form that is left to eth-tester."""


def _number(value: Any) -> int:
    if type(value) is str and value.startswith("0x"):
        try:
            value = int(value, 16)
        except ValueError:
            raise _Unusual from None
    if type(value) is not int or value < 0:
        raise _Unusual
    return int(value)


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return bytes(value)
    if type(value) is not str or not value.startswith("0x"):
        raise _Unusual
    try:
        return bytes.fromhex(value[2:])
    except ValueError:
        raise _Unusual from None


def _sized(value: Any, characters: int) -> bytes:
    if type(value) is str and len(value) != characters:
        raise _Unusual
    found = _bytes(value)
    if 2 + 2 * len(found) != characters:
        raise _Unusual
    return found


def _address(value: Any) -> bytes:
    return _sized(value, _ADDRESS_CHARACTERS)


def _show(value: Any) -> Any:
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    return hex(value) if type(value) is int else value


class EthTester(Protocol):
    """What eth-tester does beside answering."""

    @property
    def backend(self) -> LedgerBackend:
        """What it stands on."""

    @property
    def locked_accounts(self) -> Any:
        """Accounts that have a password."""

    def submit(self, key: bytes) -> str:
        """Go on after a transaction reached the pool, and return its hash as a node writes it."""


class LedgerProvider(EthereumTesterProvider):
    """web3.py's eth-tester provider that knows its chain's id and hands reverts over as a node does.

    So web3 signs for the right chain, and decodes custom errors.

    Args:
        tester: what answers, where this does not.
    """

    # eth-tester's own names are wanted only where eth-tester answers: see ``_ask_tester``
    _middleware = (default_transaction_fields_middleware,)  # type: ignore[assignment] # web3 names a tuple of two

    def __init__(self, tester: EthTester) -> None:
        chain_id = tester.backend.engine.chain_id
        answers: dict[str, dict[str, Any]] = {
            "eth": {"chainId": lambda *_: chain_id, "maxPriorityFeePerGas": lambda *_: 0},
            "net": {"version": lambda *_: str(chain_id)},
        }
        endpoints = {space: methods | answers.get(space, {}) for space, methods in API_ENDPOINTS.items()}
        super().__init__(tester, endpoints)
        self._tester = tester
        self._backend = tester.backend
        self._engine = tester.backend.engine
        # by name and number of arguments
        self._answers: dict[tuple[str, int], Callable[..., Any]] = {
            ("eth_chainId", 0): lambda: hex(chain_id),
            ("eth_blockNumber", 0): lambda: hex(self._engine.height),
            ("eth_getTransactionCount", 2): self._transaction_count,
            ("eth_getBalance", 2): self._balance,
            ("eth_getBlockByNumber", 2): self._block_by_number,
            ("eth_getTransactionReceipt", 1): self._receipt,
            ("eth_getLogs", 1): self._logs,
            ("eth_call", 2): self._call,
            ("eth_sendTransaction", 1): self._send,
            ("eth_sendRawTransaction", 1): self._send_raw,
        }

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """Answer one request."""
        answer = self._answers.get((method, len(params)))
        try:
            if answer is None:
                return self._ask_tester(method, params)
            try:
                return {"jsonrpc": "2.0", "id": 0, "result": answer(*params)}
            except (_Unusual, BlockNotFound):
                return self._ask_tester(method, params)
        except TransactionFailed as failed:
            cause = failed if isinstance(failed, ExecutionReverted) else failed.__context__
            if not isinstance(cause, ExecutionReverted):
                raise
            return {
                "jsonrpc": "2.0",
                "id": 0,
                "error": {
                    "code": _REVERTED_CODE,
                    "message": f"execution reverted: {cause.args[0]}",
                    "data": f"0x{cause.data.hex()}",
                },
            }

    def _ask_tester(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """Let eth-tester answer, in web3's translation of its names."""
        translate = request_formatters.get(method)
        response = super().make_request(method, params if translate is None else translate(params))
        translate = (result_formatters or {}).get(method)
        if translate is not None and "result" in response:
            response = {**response, "result": translate(response["result"])}
        return response

    def _number_of(self, block: Any) -> int:
        if type(block) is str and not block.startswith("0x"):
            return self._backend.block_number(block) if block in {"latest", "earliest"} else self._unusual()
        number = _number(block)
        return self._backend.block_number(number) if number < _MAX_TAG_NUMBER else self._unusual()

    @staticmethod
    def _unusual() -> Any:
        raise _Unusual

    def _transaction_count(self, address: Any, block: Any) -> str:
        return hex(self._engine.nonce(_address(address), self._number_of(block)))

    def _balance(self, address: Any, block: Any) -> str:
        return hex(self._engine.balance(_address(address), self._number_of(block)))

    def _block_by_number(self, block: Any, with_transactions: Any) -> dict[str, Any]:
        if with_transactions is not False:
            raise _Unusual
        fields = self._backend.get_block_by_number(self._number_of(block), full_transaction=False)
        if fields["withdrawals"]:
            raise _Unusual
        shown = {name: _show(value) for name, value in fields.items()}
        shown["transactions"] = [f"0x{key.hex()}" for key in fields["transactions"]]
        shown["logs_bloom"] = fields["logs_bloom"]  # eth-tester's is a number, and web3 reads it as one
        found: dict[str, Any] = block_result_remapper(shown)
        return found

    def _receipt(self, key: Any) -> dict[str, Any] | None:
        try:
            fields = self._backend.get_transaction_receipt(_sized(key, _HASH_CHARACTERS))
        except TransactionNotFound:
            return None
        shown = {name: _show(value) for name, value in fields.items()}
        shown["logs"] = [self._show_log(log) for log in fields["logs"]]
        shown["state_root"] = fields["state_root"]
        shown["to"] = shown["to"] if fields["to"] else ""
        if not fields["status"]:
            shown["contract_address"] = None
        found: dict[str, Any] = receipt_result_remapper(shown)
        return found

    @staticmethod
    def _show_log(fields: Mapping[str, Any]) -> dict[str, Any]:
        shown = {name: _show(value) for name, value in fields.items()}
        shown["topics"] = [f"0x{topic.hex()}" for topic in fields["topics"]]
        found: dict[str, Any] = log_result_remapper(shown)
        return found

    def _logs(self, wanted: Any) -> list[dict[str, Any]]:
        """Answer as a node does: an empty list of topics is a place where any topic may stand."""
        if not isinstance(wanted, dict) or wanted.keys() - {"fromBlock", "toBlock", "address", "topics"}:
            raise _Unusual
        first, last = (self._number_of(wanted.get(name, "latest")) for name in ("fromBlock", "toBlock"))
        address = wanted.get("address")
        if address in ([], ()):
            raise _Unusual
        addresses = None if address is None else [_address(item) for item in _listed(address)]
        topics = [
            None if choice is None else [_sized(item, _HASH_CHARACTERS) for item in _listed(choice)]
            for choice in wanted.get("topics") or ()
        ]
        rows = self._engine.log_rows(first, last, addresses, topics)
        return [self._show_log(log) for log in self._backend.log_entries(rows)]

    def _fields(self, transaction: Any) -> dict[str, Any]:
        """Return a transaction's fields in eth-tester's names and canonical bytes and numbers."""
        if not isinstance(transaction, dict):
            raise _Unusual
        fields: dict[str, Any] = {"from": _address(transaction.get("from"))}
        for name, value in transaction.items():
            if name in _NUMBER_FIELDS:
                fields[_NUMBER_FIELDS[name]] = _number(value)
            elif name in _BYTES_FIELDS:
                fields[name] = _address(value) if name == "to" and value not in {"", b""} else _bytes(value or "0x")
            elif name != "from":
                raise _Unusual
        return fields

    def _call(self, transaction: Any, block: Any) -> str:
        fields = self._fields(transaction)
        return f"0x{self._backend.call(fields, self._number_of(block)).hex()}"

    def _send(self, transaction: Any) -> str:
        fields = self._fields(transaction)
        if "gas" not in fields or fields["from"] in self._tester.locked_accounts or "nonce" in fields:
            raise _Unusual
        return self._tester.submit(self._backend.send_transaction(fields))

    def _send_raw(self, raw: Any) -> str:
        return self._tester.submit(self._backend.send_raw_transaction(_bytes(raw)))


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]
