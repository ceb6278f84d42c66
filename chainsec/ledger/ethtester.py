"""Puts eth-tester and web3.py on the in-process chain, whose pool is what waits and whose index finds logs.

Layer: ledger. Not here: what answers eth-tester (``ethbackend``) and web3 (``web3provider``). Whoever needs speed talks
to the engine and not to this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eth_tester import EthereumTester
from eth_tester.constants import ZERO_ADDRESS_HEX
from hexbytes import HexBytes
from web3 import Web3

from chainsec.ledger.ethbackend import LedgerBackend
from chainsec.ledger.web3provider import LedgerProvider

if TYPE_CHECKING:
    from chainsec.ledger.local import LocalEngine

__all__ = ["LedgerTester", "connect_web3"]


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

    def mine_blocks(self, num_blocks: int = 1, coinbase: Any = ZERO_ADDRESS_HEX) -> Any:
        """Mine blocks, the first with what waits in the pool."""
        if self._block_filters or self._log_filters:
            return super().mine_blocks(num_blocks, coinbase)
        self.validator.validate_inbound_account(coinbase)
        receiver = self.normalizer.normalize_inbound_account(coinbase)
        return [f"0x{key.hex()}" for key in self.backend.mine_blocks(num_blocks, receiver)]

    @property
    def locked_accounts(self) -> Any:
        """Accounts that have a password."""
        return self._account_passwords

    def submit(self, key: bytes) -> str:
        """Go on after a transaction reached the pool: filters, and a block unless that is turned off."""
        shown = f"0x{key.hex()}"
        self._handle_filtering_for_transaction(shown)
        self._after_sending(shown)
        return shown

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
        rows = self.backend.engine.log_rows(
            self.backend.block_number(first), self.backend.block_number(last), _canonical(addresses), list(wanted or ())
        )
        return tuple(map(self.normalizer.normalize_outbound_log_entry, self.backend.log_entries(rows)))


def _canonical(addresses: Any) -> Any:
    if addresses is None or isinstance(addresses, bytes):
        return addresses
    if isinstance(addresses, str):
        return bytes(HexBytes(addresses))
    return [_canonical(item) for item in addresses]


def connect_web3(engine: LocalEngine) -> Web3:
    """Return a plain ``Web3`` on the engine's chain."""
    return Web3(LedgerProvider(LedgerTester(LedgerBackend(engine))))
