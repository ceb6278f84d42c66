"""Reads the chain of a node: blocks, receipts, logs in ranges, and the state after any block, with calls on it.

Layer: ledger. Not here: what changes the chain (``engine``).
"""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple

from chainsec.errors import LedgerError
from chainsec.ledger.engine import CALL_GAS, Block, CallReverted, Log, Receipt, TopicFilter, Transaction
from chainsec.ledger.rpc.answers import (
    failure_of,
    quantity,
    read_block,
    read_bytes,
    read_log,
    read_quantity,
    read_raw_transactions,
    read_receipt,
    read_transaction,
)
from chainsec.ledger.rpc.caller import RpcError
from chainsec.ledger.rpc.ranges import LogRanges
from chainsec.primitives import ZERO_ADDRESS, Hash32

if TYPE_CHECKING:
    from collections.abc import Sequence

    from web3 import Web3

    from chainsec.ledger.rpc.caller import Caller

__all__ = ["RpcReader"]


class RpcReader:
    """The reading half of an ``Engine`` on a node.

    Args:
        caller: asks the node.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._ranges = LogRanges()

    @property
    def url(self) -> str:
        """Where the node is, without secrets."""
        return self._caller.url

    @cached_property
    def web3(self) -> Web3:
        """A plain ``Web3`` on the same node, over the same connection."""
        from chainsec.ledger.rpc.provider import connect_web3  # noqa: PLC0415 - web3 takes seconds to import

        return connect_web3(self._caller)

    def block(self, number: int) -> Block:
        """Return a block by number."""
        return read_block(self._block_record(number, with_transactions=False))

    def _block_record(self, number: int, *, with_transactions: bool) -> dict[str, Any]:
        found = self._caller.ask("eth_getBlockByNumber", quantity(number), with_transactions) if number >= 0 else None
        if not isinstance(found, dict):
            self._require(number)
            raise LedgerError(f"no block {number}", number=number)
        return found

    def raw_transactions(self, number: int) -> list[bytes]:
        """Return the transactions of a block as they were signed; legacy ones only.

        Raises:
            LedgerError: no such block, or a transaction of another kind.
        """
        return read_raw_transactions(self._block_record(number, with_transactions=True))

    def receipt(self, transaction_hash: bytes) -> Receipt | None:
        """Return the receipt of a mined transaction."""
        return self._receipt(transaction_hash, self._caller.ask("eth_getTransactionReceipt", _hex(transaction_hash)))

    def _receipt(self, key: bytes, found: Any) -> Receipt | None:
        receipt = None if found is None else read_receipt(_raised(found))
        if receipt is not None and receipt.transaction_hash != key:
            raise LedgerError(f"{self.url}: gives the receipt of {receipt.transaction_hash} for that of {Hash32(key)}")
        return receipt

    def receipts(self, transaction_hashes: Sequence[bytes]) -> list[Receipt | None]:
        """Return receipts, in batches."""
        calls = [("eth_getTransactionReceipt", (_hex(key),)) for key in transaction_hashes]
        found = self._caller.ask_many(calls)
        return [self._receipt(key, item) for key, item in zip(transaction_hashes, found, strict=True)]

    def transaction(self, transaction_hash: bytes) -> Transaction | None:
        """Return a mined or waiting transaction."""
        found = self._caller.ask("eth_getTransactionByHash", _hex(transaction_hash))
        return None if found is None else read_transaction(found)

    def call(
        self,
        to: bytes | None,
        data: bytes,
        *,
        sender: bytes = ZERO_ADDRESS,
        at: int | None = None,
        value: int = 0,
        gas: int = CALL_GAS,
    ) -> bytes:
        """Execute a message without effect and return its output."""
        message = _message(to, data, sender, value) | {"gas": quantity(gas)}
        return read_bytes(self._execute("eth_call", message, at))

    def estimate(
        self, to: bytes | None, data: bytes, *, sender: bytes = ZERO_ADDRESS, at: int | None = None, value: int = 0
    ) -> int:
        """Return a gas limit that suffices."""
        return read_quantity(self._execute("eth_estimateGas", _message(to, data, sender, value), at))

    def _execute(self, method: str, message: dict[str, str], at: int | None) -> Any:
        try:
            return self._ask_at(at, method, message)
        except RpcError as error:
            failure = failure_of(error)
            if failure is None:
                raise
            raise failure from None

    def _ask_at(self, at: int | None, method: str, *params: Any) -> Any:
        """Ask for something as of a block."""
        try:
            return self._caller.ask(method, *params, _tag(at))
        except RpcError as error:
            if failure_of(error) is None:
                self._require(at)
            raise

    def _require(self, number: int | None) -> None:
        """Look whether a block that the node does not know has been there; whoever can tell raises."""

    def logs(
        self,
        from_block: int,
        to_block: int,
        address: bytes | Sequence[bytes] | None = None,
        topics: TopicFilter = (),
    ) -> list[Log]:
        """Return matching logs in chain order, asked for in ranges that the node can bear."""
        if address is not None and not isinstance(address, bytes) and not address:
            return []
        addresses = [address] if isinstance(address, bytes) else list(address or ())
        places = [[item] if isinstance(item, bytes) else list(item or ()) for item in topics]
        wanted = _Wanted(frozenset(addresses), tuple(map(frozenset, places)))
        last = self._last_up_to(to_block)
        try:
            return self._ranges.read(partial(self._fetch_logs, wanted), max(0, from_block), last)
        except RpcError:
            self._require(last)
            raise

    def _last_up_to(self, number: int) -> int:
        """Return the last block up to ``number`` that there is."""
        newest = read_quantity(self._caller.ask("eth_blockNumber"))
        if newest < number:
            self._require(number)
        return min(number, newest)

    def _fetch_logs(self, wanted: _Wanted, first: int, last: int) -> list[Log]:
        question = wanted.question() | {"fromBlock": quantity(first), "toBlock": quantity(last)}
        found = self._tell_logs(question, first, last)
        if not isinstance(found, list):
            raise LedgerError(f"{self.url}: eth_getLogs: no list of logs")
        logs = [read_log(item) for item in found]
        if not all(first <= log.block_number <= last and wanted.is_met_by(log) for log in logs):
            raise LedgerError(f"{self.url}: eth_getLogs: gives logs that were not asked for")
        # some nodes let a log pass that lacks a place where any topic may stand
        return [log for log in logs if len(log.topics) >= len(wanted.topics)]

    def _tell_logs(self, question: dict[str, Any], first: int, last: int) -> Any:
        # a node that gives no answer may have been asked for too much; only for one block is that out of the question
        ask = self._caller.ask if first == last else self._caller.tell
        return ask("eth_getLogs", question)

    def nonce(self, address: bytes, at: int | None = None) -> int:
        """Return how many transactions of ``address`` were mined."""
        return read_quantity(self._ask_at(at, "eth_getTransactionCount", _hex(address)))

    def next_nonce(self, address: bytes) -> int:
        """Return the nonce after the pool's."""
        return read_quantity(self._caller.ask("eth_getTransactionCount", _hex(address), "pending"))

    def balance(self, address: bytes, at: int | None = None) -> int:
        """Return the wei of ``address``."""
        return read_quantity(self._ask_at(at, "eth_getBalance", _hex(address)))

    def code(self, address: bytes, at: int | None = None) -> bytes:
        """Return the code at ``address``."""
        return read_bytes(self._ask_at(at, "eth_getCode", _hex(address)))

    def storage(self, address: bytes, slot: int, at: int | None = None) -> int:
        """Return a storage slot."""
        return read_quantity(self._ask_at(at, "eth_getStorageAt", _hex(address), quantity(slot)))

    def failure(self, transaction_hash: bytes) -> CallReverted | None:
        """Return why a mined transaction failed: by the node's trace of it, or by calling it before its block."""
        receipt, sent = self.receipt(transaction_hash), self.transaction(transaction_hash)
        if receipt is None or sent is None:
            raise LedgerError(f"no transaction {Hash32(transaction_hash)} was mined", transaction_hash=transaction_hash)
        if receipt.status:
            return None
        try:
            tracer = {"tracer": "callTracer", "tracerConfig": {"onlyTopCall": True}}
            traced = self._caller.ask("debug_traceTransaction", _hex(transaction_hash), tracer)
        except RpcError:
            traced = None
        if isinstance(traced, dict) and traced.get("error"):
            output = traced.get("output") or "0x"
            error = RpcError("debug_traceTransaction", {"message": traced["error"], "data": output})
            return failure_of(error) or CallReverted(error.said, b"")
        try:
            self.call(
                sent.to, sent.data, sender=sent.sender, at=receipt.block_number - 1, value=sent.value, gas=sent.gas
            )
        except CallReverted as failure:
            return failure
        return CallReverted("Unknown", b"")


class _Wanted(NamedTuple):
    """Which logs are asked for: of any of these addresses, with any of these topics in each place; empty means all."""

    addresses: frozenset[bytes]
    topics: tuple[frozenset[bytes], ...]

    def question(self) -> dict[str, Any]:
        """Return it as ``eth_getLogs`` takes it."""
        places = [sorted(map(_hex, choice)) or None for choice in self.topics]
        return ({"address": sorted(map(_hex, self.addresses))} if self.addresses else {}) | {"topics": places}

    def is_met_by(self, log: Log) -> bool:
        """Tell whether a log is one of these, as far as it has topics for the places where any may stand."""
        return (not self.addresses or log.address in self.addresses) and all(
            not choice or (place < len(log.topics) and log.topics[place] in choice)
            for place, choice in enumerate(self.topics)
        )


def _hex(data: bytes) -> str:
    return "0x" + bytes(data).hex()


def _tag(at: int | None) -> str:
    return "latest" if at is None else quantity(at)


def _message(to: bytes | None, data: bytes, sender: bytes, value: int) -> dict[str, str]:
    message = {"from": _hex(sender), "data": _hex(data), "value": quantity(value)}
    return message if to is None else message | {"to": _hex(to)}


def _raised(found: Any) -> Any:
    if isinstance(found, RpcError):
        raise found
    return found
