"""Answers eth-tester from the in-process chain, its pool and its index: a backend that has no chain of its own.

Layer: ledger. Not here: the chain (``local``), what a test talks to (``ethtester``), web3.py (``web3provider``).
"""

from __future__ import annotations

from collections import OrderedDict
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import rlp
from eth.exceptions import HeaderNotFound
from eth_abi.abi import decode as abi_decode
from eth_abi.exceptions import DecodingError
from eth_account.typed_transactions.blob_transactions.blob_transaction import BlobTransaction
from eth_keys import KeyAPI
from eth_tester.backends.pyevm import main as pyevm
from eth_tester.backends.pyevm.serializers import serialize_block, serialize_transaction
from eth_tester.constants import GAS_PER_BLOB
from eth_tester.exceptions import BlockNotFound, TransactionFailed, TransactionNotFound, ValidationError
from eth_tester.validation.inbound import validate_inbound_withdrawals
from hexbytes import HexBytes

from chainsec.digest import keccak
from chainsec.errors import LedgerError
from chainsec.ledger.engine import DEFAULT_CHAIN_ID, CallReverted
from chainsec.ledger.evm import Withdrawal
from chainsec.ledger.opening import open_local
from chainsec.ledger.signed import SignedLegacyTransaction
from chainsec.primitives import Hash32

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from chainsec.ledger.local import LocalEngine
    from chainsec.ledger.logindex import LogRow, TransactionRow

__all__ = ["ExecutionReverted", "LedgerBackend"]

_BLOB_TYPE = 3
_SHOWN_BLOCKS = 16
_SIGNED_FIELDS = {"nonce": 0, "gas_price": 0, "gas": 0, "to": b"", "value": 0, "data": b""}
_LEGACY_FIELDS = {"from", *_SIGNED_FIELDS}
_ERROR_SELECTOR = bytes.fromhex("08c379a0")
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
        self._accounts = {bytes(account.address): account for account in engine.accounts}
        self.account_keys = tuple(KeyAPI().PrivateKey(account.private_key) for account in engine.accounts)
        self._shown: OrderedDict[bytes, dict[str, Any]] = OrderedDict()

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

    def get_block_by_number(self, block_number: Any, full_transaction: bool = True) -> Any:  # noqa: FBT001, FBT002 - eth-tester's signature
        """Return a block."""
        if full_transaction or block_number == "pending":
            return super().get_block_by_number(block_number, full_transaction)
        return self._block_fields(self.block_number(block_number))

    def get_block_by_hash(self, block_hash: bytes, full_transaction: bool = True) -> Any:  # noqa: FBT001, FBT002 - eth-tester's signature
        """Return a block of this chain."""
        try:
            number = self.chain.get_block_header_by_hash(block_hash).block_number
        except HeaderNotFound as error:
            raise BlockNotFound(f"No block found for block hash: {block_hash!r}") from error
        if number > self.engine.height or self.engine.block_hash(number) != block_hash:
            raise BlockNotFound(f"No block found for block hash: {block_hash!r}")
        return self.get_block_by_number(number, full_transaction)

    def _block_fields(self, number: int) -> dict[str, Any]:
        key = bytes(self.engine.block_hash(number))
        found = self._shown.get(key)
        if found is None:
            found = self._shown[key] = serialize_block(
                self.engine.sealed_block(number), full_transaction=False, is_pending=False
            )
            if len(self._shown) > _SHOWN_BLOCKS:
                self._shown.popitem(last=False)
        return dict(found)

    def get_transaction_by_hash(self, transaction_hash: bytes) -> Any:
        """Return a waiting or mined transaction."""
        waiting = self.engine.pool.get(transaction_hash)
        if waiting is not None:
            return serialize_transaction(None, waiting, 0, is_pending=True)
        row = self._find(transaction_hash)
        header = self.engine.header(row.block)
        place = SimpleNamespace(hash=bytes(self.engine.block_hash(row.block)), number=row.block, header=header)
        return serialize_transaction(place, self.engine.mined_transaction(row), row.position, is_pending=False)

    def get_transaction_receipt(self, transaction_hash: bytes) -> Any:
        """Return the receipt of a mined transaction, from the index."""
        row = self._find(transaction_hash)
        transaction = self.engine.mined_transaction(row)
        base_fee_wei = self.engine.header(row.block).base_fee_per_gas
        index = self.engine.store.index
        fields = {
            "block_hash": bytes(self.engine.block_hash(row.block)),
            "block_number": row.block,
            "contract_address": row.contract,
            "cumulative_gas_used": index.gas_used_until(row.block, row.position),
            "effective_gas_price": min(
                transaction.max_fee_per_gas, transaction.max_priority_fee_per_gas + base_fee_wei
            ),
            "from": transaction.sender,
            "gas_used": row.gas_used,
            "logs": [*self.log_entries(index.logs_at(row.block, row.first_log, row.logs) if row.logs else ())],
            "state_root": b"\x01" if row.status else b"",
            "status": row.status,
            "to": transaction.to,
            "transaction_hash": row.hash,
            "transaction_index": row.position,
            "type": transaction.type_id or 0,
        }
        if transaction.type_id == _BLOB_TYPE:
            gas = GAS_PER_BLOB * len(transaction.blob_versioned_hashes)
            fields |= {"blob_gas_used": gas, "blob_gas_price": self.chain.get_vm().state.blob_base_fee * gas}
        return fields

    def _find(self, transaction_hash: bytes) -> TransactionRow:
        row = self.engine.store.index.transaction(transaction_hash)
        if row is None:
            raise TransactionNotFound(f"No transaction found for transaction hash: {Hash32(transaction_hash)}")
        return row

    def log_entries(self, rows: Iterable[LogRow]) -> Iterator[dict[str, Any]]:
        """Yield logs as eth-tester writes them."""
        for row in rows:
            yield {
                "type": "mined",
                "log_index": row.position,
                "transaction_index": row.tx,
                "transaction_hash": row.hash,
                "block_hash": bytes(self.engine.block_hash(row.block)),
                "block_number": row.block,
                "address": row.address,
                "data": row.data,
                "topics": [*row.topics],
            }

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
        signed = self._sign_legacy(transaction)
        if signed is None:
            typed = self._get_normalized_and_signed_evm_transaction(transaction)
            signed = self.chain.get_transaction_builder().decode(typed.encode())
        return self._add(signed)

    def _sign_legacy(self, transaction: Mapping[str, Any]) -> Any | None:
        """Sign what has nothing but a legacy transaction's fields, as eth-tester would; None for all else."""
        if transaction.keys() - _LEGACY_FIELDS or "gas_price" not in transaction:
            return None
        account = self._accounts.get(transaction["from"])
        if account is None:
            return None
        values = [transaction.get(name, default) for name, default in _SIGNED_FIELDS.items()]
        signature = account.sign_digest(keccak(rlp.encode(values)))
        r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:64])
        return SignedLegacyTransaction(*values, signature[64], r, s)

    def _add(self, transaction: Any) -> bytes:
        try:
            transaction.validate()
            return bytes(self.engine.add(transaction, is_replacement=True))
        except LedgerError as error:
            raise ValidationError(str(error)) from error

    def _message(self, transaction: Mapping[str, Any], block_number: Any) -> dict[str, Any]:
        return {
            "to": transaction.get("to") or None,
            "data": transaction.get("data", b""),
            "sender": transaction["from"],
            "at": self.block_number(block_number),
            "value": transaction.get("value", 0),
        }

    def call(self, transaction: Mapping[str, Any], block_number: Any = "latest") -> bytes:
        """Execute a message without effect."""
        gas = {"gas": transaction["gas"]} if "gas" in transaction else {}
        try:
            return self.engine.call(**self._message(transaction, block_number), **gas)
        except CallReverted as failure:
            raise ExecutionReverted(failure) from failure

    def estimate_gas(self, transaction: Mapping[str, Any], block_number: Any = "latest") -> int:
        """Return a gas limit that suffices."""
        if block_number == "pending":
            raise NotImplementedError('"pending" block identifier is unsupported in eth-tester')
        try:
            return self.engine.estimate(**self._message(transaction, block_number))
        except CallReverted as failure:
            raise ExecutionReverted(failure) from failure
