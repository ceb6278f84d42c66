"""Puts eth-tester and web3.py on the in-process chain, served by its pool and its index.

Layer: ledger. Not here: the chain (``local``). Whoever needs speed talks to the engine and not to this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eth_abi.abi import decode as abi_decode
from eth_abi.exceptions import DecodingError
from eth_account.typed_transactions.blob_transactions.blob_transaction import BlobTransaction
from eth_keys import KeyAPI
from eth_tester import EthereumTester
from eth_tester.backends.pyevm import main as pyevm
from eth_tester.backends.pyevm.serializers import serialize_transaction, serialize_transaction_receipt
from eth_tester.exceptions import BlockNotFound, TransactionFailed, TransactionNotFound, ValidationError
from eth_tester.validation.inbound import validate_inbound_withdrawals
from hexbytes import HexBytes
from web3 import EthereumTesterProvider, Web3
from web3.providers.eth_tester.defaults import API_ENDPOINTS

from chainsec.errors import LedgerError
from chainsec.ledger.engine import DEFAULT_CHAIN_ID, CallReverted
from chainsec.ledger.evm import Withdrawal
from chainsec.ledger.opening import open_local
from chainsec.primitives import Hash32

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from web3.types import RPCEndpoint, RPCResponse

    from chainsec.ledger.engine import Log
    from chainsec.ledger.local import LocalEngine

__all__ = ["ExecutionReverted", "LedgerBackend", "LedgerProvider", "LedgerTester", "connect_web3"]

_BLOB_TYPE = 3
_ERROR_SELECTOR = bytes.fromhex("08c379a0")
_REVERTED_CODE = 3
_NEWEST = (None, "latest", "safe", "finalized", "pending")


class ExecutionReverted(TransactionFailed):  # type: ignore[misc] # eth-tester is untyped
    """eth-tester's failure with the whole revert data in ``data``."""

    def __init__(self, failure: CallReverted) -> None:
        self.data = failure.data
        super().__init__(_reason(failure))


def _reason(failure: CallReverted) -> str:
    if failure.data[:4] == _ERROR_SELECTOR:
        try:
            return str(abi_decode(["string"], failure.data[4:])[0])
        except (DecodingError, UnicodeDecodeError):
            pass
    return f"0x{failure.data.hex()}" if failure.data else str(failure.name)


class LedgerBackend(pyevm.PyEVMBackend):  # type: ignore[misc] # eth-tester is untyped
    """eth-tester's py-evm backend whose chain, pool and look-ups are an engine's.

    Args:
        engine: the chain; a new one in memory by default.
    """

    def __init__(self, engine: LocalEngine | None = None) -> None:  # the parent's would make a chain of its own
        engine = engine or open_local(None, chain_id=DEFAULT_CHAIN_ID)
        self.engine = engine
        self.account_keys = tuple(KeyAPI().PrivateKey(account.private_key) for account in engine.accounts)

    @property
    def chain(self) -> Any:
        """py-evm's chain, as it is now."""
        return self.engine.chain

    def reset_to_genesis(self, *_: Any, **__: Any) -> None:
        """Go back to the first block of the same genesis."""
        self.engine.reset()

    def take_snapshot(self) -> int:
        """Mark head and pool."""
        return self.engine.snapshot()

    def revert_to_snapshot(self, snapshot: int) -> None:
        """Go back to a mark."""
        self.engine.revert(snapshot)

    def time_travel(self, to_timestamp: int) -> int:
        """Mine a block so that the next one can have ``to_timestamp``."""
        self.engine.mine(to_timestamp - 1)
        return to_timestamp

    def mine_blocks(self, num_blocks: int = 1, coinbase: bytes = bytes(20)) -> tuple[bytes, ...]:
        """Mine blocks, the first with what waits in the pool."""
        return tuple(bytes(self.engine.mine_with(coinbase=coinbase).hash) for _ in range(num_blocks))

    def apply_withdrawals(self, withdrawals_list: Sequence[Mapping[str, Any]]) -> None:
        """Mine a block that holds EIP-4895 withdrawals."""
        validate_inbound_withdrawals(withdrawals_list)
        withdrawals = [
            Withdrawal(
                index=item["index"],
                validator_index=item["validator_index"],
                address=bytes(HexBytes(item["address"])),
                amount=item["amount"],
            )
            for item in withdrawals_list
        ]
        self.engine.mine_with(withdrawals=withdrawals)

    def get_nonce(self, account: bytes, block_number: Any = "latest") -> int:
        """Return an account's nonce; "pending" counts the pool."""
        if block_number == "pending":
            return self.engine.next_nonce(account)
        return self.engine.nonce(account, self.block_number(block_number))

    def get_balance(self, account: bytes, block_number: Any = "latest") -> int:
        """Return an account's wei."""
        return self.engine.balance(account, self.block_number(block_number))

    def get_code(self, account: bytes, block_number: Any = "latest") -> bytes:
        """Return the code at an account."""
        return self.engine.code(account, self.block_number(block_number))

    def get_storage(self, account: bytes, slot: int, block_number: Any = "latest") -> int:
        """Return a storage slot."""
        return self.engine.storage(account, slot, self.block_number(block_number))

    def get_base_fee(self, block_number: Any = "latest") -> int:
        """Return a block's base fee in wei."""
        return int(self.engine.header(self.block_number(block_number)).base_fee_per_gas)

    def block_number(self, block_number: Any) -> int:
        """Return the number that a block's number or tag stands for; None and every newest tag is the head."""
        if block_number == "earliest":
            return 0
        if block_number in _NEWEST:
            return self.engine.height
        if not 0 <= block_number <= self.engine.height:
            raise BlockNotFound(f"No block found for block number: {block_number}")
        return int(block_number)

    def get_transaction_by_hash(self, transaction_hash: bytes) -> Any:
        """Return a waiting or mined transaction."""
        waiting = self.engine.pool.get(transaction_hash)
        if waiting is not None:
            return serialize_transaction(self.chain.get_block(), waiting, 0, is_pending=True)
        block, position = self._find(transaction_hash)
        return serialize_transaction(block, block.transactions[position], position, is_pending=False)

    def get_transaction_receipt(self, transaction_hash: bytes) -> Any:
        """Return the receipt of a mined transaction."""
        block, position = self._find(transaction_hash)
        receipts = block.get_receipts(self.chain.chaindb)
        found = serialize_transaction_receipt(
            block,
            receipts,
            block.transactions[position],
            position,
            False,  # noqa: FBT003 - the signature is eth-tester's
            self.chain.get_vm(),
        )
        first = sum(len(receipt.logs) for receipt in receipts[:position])
        for log in found["logs"]:
            log["log_index"] += first
        return found

    def _find(self, transaction_hash: bytes) -> tuple[Any, int]:
        row = self.engine.store.index.transaction(transaction_hash)
        if row is None:
            raise TransactionNotFound(f"No transaction found for transaction hash: {Hash32(transaction_hash)}")
        return self.chain.get_canonical_block_by_number(row.block), row.position

    def send_raw_transaction(self, raw_transaction: bytes) -> bytes:
        """Put a signed transaction into the pool; a blob's sidecar is left aside, as it belongs to consensus."""
        if raw_transaction[:1] == bytes([_BLOB_TYPE]):
            blob = BlobTransaction.from_bytes(HexBytes(raw_transaction))
            blob.blob_data = None
            raw_transaction = bytes([_BLOB_TYPE]) + blob.payload()
        transaction = self.chain.get_transaction_builder().decode(raw_transaction)
        return self._add(transaction)

    def send_signed_transaction(self, signed_transaction: Mapping[str, Any], block_number: Any = "latest") -> bytes:
        """Put a signed transaction, given by its fields, into the pool."""
        fields = self._normalize_transaction(signed_transaction, block_number)
        return self._add(self._create_type_aware_signed_transaction(fields))

    def send_transaction(self, transaction: Mapping[str, Any]) -> bytes:
        """Sign a transaction with one of the accounts and put it into the pool."""
        if "nonce" not in transaction:
            transaction = {**transaction, "nonce": self.engine.next_nonce(transaction["from"])}
        signed = self._get_normalized_and_signed_evm_transaction(transaction)
        return self._add(self.chain.get_transaction_builder().decode(signed.encode()))

    def _add(self, transaction: Any) -> bytes:
        try:
            transaction.validate()
            return bytes(self.engine.add(transaction, is_replacement=True))
        except LedgerError as error:
            raise ValidationError(str(error)) from error

    def call(self, transaction: Mapping[str, Any], block_number: Any = "latest") -> bytes:
        """Execute a message without effect."""
        gas = {"gas": transaction["gas"]} if "gas" in transaction else {}
        try:
            return self.engine.call(
                transaction.get("to") or None,
                transaction.get("data", b""),
                sender=transaction["from"],
                at=self.block_number(block_number),
                value=transaction.get("value", 0),
                **gas,
            )
        except CallReverted as failure:
            raise ExecutionReverted(failure) from failure

    def estimate_gas(self, transaction: Mapping[str, Any], block_number: Any = "latest") -> int:
        """Return a gas limit that suffices."""
        if block_number == "pending":
            raise NotImplementedError('"pending" block identifier is unsupported in eth-tester')
        try:
            return self.engine.estimate(
                transaction.get("to") or None,
                transaction.get("data", b""),
                sender=transaction["from"],
                at=self.block_number(block_number),
                value=transaction.get("value", 0),
            )
        except CallReverted as failure:
            raise ExecutionReverted(failure) from failure


class LedgerTester(EthereumTester):  # type: ignore[misc] # eth-tester is untyped
    """``EthereumTester`` whose waiting transactions are the engine's pool and whose logs come from its index."""

    backend: LedgerBackend

    def send_transaction(self, transaction: Any) -> Any:
        """Send from one of the accounts; mines at once unless that is turned off."""
        return self._after_sending(self._add_transaction_to_pending_block(transaction))

    def send_raw_transaction(self, raw_transaction_hex: Any) -> Any:
        """Send a signed transaction; mines at once unless that is turned off."""
        self.validator.validate_inbound_raw_transaction(raw_transaction_hex)
        raw = self.normalizer.normalize_inbound_raw_transaction(raw_transaction_hex)
        key = self.normalizer.normalize_outbound_transaction_hash(self.backend.send_raw_transaction(raw))
        self._handle_filtering_for_transaction(key)
        return self._after_sending(key)

    def _after_sending(self, transaction_hash: Any) -> Any:
        if self.auto_mine_transactions:
            self.mine_block()
        return transaction_hash

    def get_transaction_by_hash(self, transaction_hash: Any) -> Any:
        """Return a waiting or mined transaction."""
        self.validator.validate_inbound_transaction_hash(transaction_hash)
        key = self.normalizer.normalize_inbound_transaction_hash(transaction_hash)
        found = self.backend.get_transaction_by_hash(key)
        self.validator.validate_outbound_transaction(found)
        return self.normalizer.normalize_outbound_transaction(found)

    def _pop_pending_transactions_to_pending_block(self) -> list[Any]:
        hashes = [transaction.hash for transaction in self.backend.engine.pool]
        return [self.normalizer.normalize_outbound_transaction_hash(key) for key in hashes]

    def _handle_filtering_for_transaction(self, transaction_hash: Any) -> None:
        key = self.normalizer.normalize_inbound_transaction_hash(transaction_hash)
        for waiting_filter in self._pending_transaction_filters.values():
            waiting_filter.add(key)

    def get_logs(self, from_block: Any = None, to_block: Any = None, address: Any = None, topics: Any = None) -> Any:
        """Return matching logs from the index."""
        self.validator.validate_inbound_filter_params(
            from_block=from_block, to_block=to_block, address=address, topics=topics
        )
        first, last, addresses, wanted = self.normalizer.normalize_inbound_filter_params(
            from_block=from_block, to_block=to_block, address=address, topics=topics
        )
        engine = self.backend.engine
        found = engine.logs(
            self.backend.block_number(first), self.backend.block_number(last), _canonical(addresses), list(wanted or ())
        )
        return tuple(self.normalizer.normalize_outbound_log_entry(entry) for entry in self._entries(found))

    def _entries(self, logs: Sequence[Log]) -> Iterator[dict[str, Any]]:
        for log in logs:
            yield {
                "type": "mined",
                "log_index": log.log_index,
                "transaction_index": log.transaction_index,
                "transaction_hash": bytes(log.transaction_hash),
                "block_hash": bytes(self.backend.engine.block(log.block_number).hash),
                "block_number": log.block_number,
                "address": bytes(log.address),
                "data": log.data,
                "topics": [bytes(topic) for topic in log.topics],
            }


def _canonical(addresses: Any) -> Any:
    if addresses is None or isinstance(addresses, bytes):
        return addresses
    if isinstance(addresses, str):
        return bytes(HexBytes(addresses))
    return [_canonical(item) for item in addresses]


class LedgerProvider(EthereumTesterProvider):
    """web3.py's eth-tester provider that knows its chain's id and hands reverts over as a node does.

    So web3 signs for the right chain, and decodes custom errors.

    Args:
        tester: what answers.
    """

    def __init__(self, tester: LedgerTester) -> None:
        chain_id = tester.backend.engine.chain_id
        answers: dict[str, dict[str, Any]] = {
            "eth": {"chainId": lambda *_: chain_id, "maxPriorityFeePerGas": lambda *_: 0},
            "net": {"version": lambda *_: str(chain_id)},
        }
        endpoints = {space: methods | answers.get(space, {}) for space, methods in API_ENDPOINTS.items()}
        super().__init__(tester, endpoints)

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """Answer one request."""
        try:
            return super().make_request(method, params)
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


def connect_web3(engine: LocalEngine) -> Web3:
    """Return a plain ``Web3`` on the engine's chain."""
    return Web3(LedgerProvider(LedgerTester(LedgerBackend(engine))))
