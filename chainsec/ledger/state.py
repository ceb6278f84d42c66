"""Gives the chain its state: py-evm's Cancun state, read and written with less work, and the loop that runs its code.

Every account, slot and trie node is the one that py-evm would give; only how it is encoded, decoded and looked up
changes. What is unusual, a damaged node among it, is left to py-evm, so that errors are the same too.
Layer: ledger. Not here: the loop itself (``interpreter``).
"""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple

import rlp
from eth._utils.address import generate_contract_address
from eth.constants import BLANK_ROOT_HASH, CREATE_CONTRACT_ADDRESS, EMPTY_SHA3
from eth.db.accesslog import KeyAccessLoggerDB
from eth.db.account import AccountDB
from eth.db.batch import BatchDB
from eth.db.cache import CacheDB
from eth.db.hash_trie import HashTrie
from eth.db.journal import JournalDB
from eth.db.storage import AccountStorageDB, StorageLookup
from eth.rlp.accounts import Account
from eth.vm.forks.cancun.constants import BLOB_TX_TYPE
from eth.vm.forks.cancun.state import CancunState, CancunTransactionExecutor
from eth.vm.interrupt import MissingBytecode, MissingStorageTrieNode
from eth.vm.message import Message
from trie import HexaryTrie
from trie.constants import BLANK_NODE, BLANK_NODE_HASH
from trie.exceptions import InvalidNode
from trie.validation import validate_is_node

from chainsec.config import interpreter_choice
from chainsec.digest import keccak
from chainsec.ledger.interpreter import FastComputation
from chainsec.ledger.trienodes import (
    BRANCH_ITEMS,
    compact_path,
    decode_integer,
    decode_node,
    encode_node,
    expand_path,
)

__all__ = ["LedgerState", "LedgerTrie", "state_class"]

_CACHED_ACCOUNTS = 4096
_CACHED_NODES = 16384
_HASH_BYTES = 32
_PAIR_ITEMS = 2


@lru_cache(maxsize=_CACHED_NODES)
def _read_node(encoded: bytes) -> Any:
    """Return the items of an encoded trie node for readers: they are shared, so nobody may change them."""
    return decode_node(encoded)


class LedgerTrie(HexaryTrie):  # type: ignore[misc] # the trie library is untyped
    """The library's trie with shorter ways down to a value and from a node to its hash."""

    root_hash: bytes

    def get(self, key: bytes) -> bytes:
        """Return the value under ``key``, empty where there is none."""
        path, at = key.hex(), 0
        with suppress(KeyError):  # a node is missing: the library names it
            node = self._peek(self.root_hash)
            while type(node) is list:
                if len(node) == BRANCH_ITEMS and at < len(path):
                    node = self._peek(node[int(path[at], 16)])
                    at += 1
                    continue
                is_leaf, part = expand_path(node[0]) if len(node) == _PAIR_ITEMS else (False, path)
                if is_leaf:
                    return bytes(node[1]) if path[at:] == part else b""
                if len(node) != _PAIR_ITEMS or not path.startswith(part, at):
                    break
                at += len(part)
                node = self._peek(node[1])
            if node == BLANK_NODE:
                return b""
        return bytes(super().get(key))

    def get_node(self, node_hash: Any) -> Any:
        """Return the items of the node with this hash, or of one held in its parent."""
        if node_hash in (BLANK_NODE, BLANK_NODE_HASH):
            return BLANK_NODE
        if type(node_hash) is not bytes:
            return super().get_node(node_hash)
        return decode_node(self.db[node_hash] if len(node_hash) == _HASH_BYTES else node_hash)

    def _peek(self, reference: Any) -> Any:
        if type(reference) is bytes and len(reference) == _HASH_BYTES and reference != BLANK_NODE_HASH:
            return _read_node(self.db[reference])
        return self.get_node(reference)

    def set(self, key: bytes, value: bytes) -> None:
        """Put ``value`` under ``key``; an empty one deletes it."""
        if not value or type(key) is not bytes or type(value) is not bytes:
            super().set(key, value)
            return
        with self._prune_on_success():
            try:
                root = self._put(self.root_hash, key.hex(), value)
            except KeyError as error:
                self._raise_missing_node(error, key)
            self.root_hash = self._set_raw_node(root)

    def _put(self, reference: Any, path: str, value: bytes) -> Any:
        node = self.get_node(reference)
        if node == BLANK_NODE:
            return [compact_path(path, is_leaf=True), value]
        if type(node) is not list or len(node) not in {_PAIR_ITEMS, BRANCH_ITEMS}:
            raise InvalidNode("Unable to determine node type")
        if self.is_pruning and type(reference) is bytes:
            self._pending_prune_keys[reference] += 1
        if len(node) == BRANCH_ITEMS:
            if path:
                at = int(path[0], 16)
                node[at] = self._persist_node(self._put(node[at], path[1:], value))
            else:
                node[-1] = value
            return node
        is_leaf, part = expand_path(node[0])
        if is_leaf and part == path:
            return [node[0], value]
        if not is_leaf and path.startswith(part):
            return [node[0], self._persist_node(self._put(node[1], path[len(part) :], value))]
        differs = (one != other for one, other in zip(part, path, strict=False))
        shared = next((n for n, is_other in enumerate(differs) if is_other), min(len(part), len(path)))
        branch = [b""] * BRANCH_ITEMS
        self._hang(branch, part[shared:], node[1], is_leaf=is_leaf)
        self._hang(branch, path[shared:], value, is_leaf=True)
        return [compact_path(path[:shared], is_leaf=False), self._persist_node(branch)] if shared else branch

    def _hang(self, branch: list[Any], path: str, item: Any, *, is_leaf: bool) -> None:
        if not path:
            branch[-1] = item
        elif len(path) == 1 and not is_leaf:
            branch[int(path, 16)] = item
        else:
            branch[int(path[0], 16)] = self._persist_node([compact_path(path[1:], is_leaf=is_leaf), item])

    def _node_to_db_mapping(self, node: Any) -> Any:
        validate_is_node(node)
        if not node:
            return BLANK_NODE, None
        encoded = encode_node(node)
        return (node, None) if len(encoded) < _HASH_BYTES else (keccak(encoded), encoded)


class _StorageLookup(StorageLookup):  # type: ignore[misc] # py-evm is untyped
    _write_trie: Any
    _trie_nodes_batch: Any

    def _get_write_trie(self) -> Any:
        if self._write_trie is None:
            self._trie_nodes_batch = BatchDB(self._db, read_through_deletes=True)
            self._write_trie = LedgerTrie(self._trie_nodes_batch, root_hash=self._starting_root_hash, prune=True)
        return self._write_trie

    def _get_read_trie(self) -> Any:
        if self._write_trie is not None:
            return self._write_trie
        return LedgerTrie(self._db, root_hash=self._starting_root_hash)


class _Storage(AccountStorageDB):  # type: ignore[misc] # py-evm is untyped
    def __init__(self, db: Any, storage_root: bytes, address: bytes) -> None:
        super().__init__(db, storage_root, address)
        self._storage_lookup = _StorageLookup(db, storage_root, address)
        self._storage_cache = CacheDB(self._storage_lookup)
        self._locked_changes = JournalDB(self._storage_cache)
        self._journal_storage = JournalDB(self._locked_changes)

    def get(self, slot: int, from_journal: bool = True) -> int:  # noqa: FBT001, FBT002 - py-evm's signature
        self._accessed_slots.add(slot)
        key = slot.to_bytes(max(1, (slot.bit_length() + 7) // 8))
        try:
            encoded = (self._journal_storage if from_journal else self._locked_changes)[key]
        except MissingStorageTrieNode:
            raise
        except KeyError:
            return 0
        return decode_integer(encoded) if encoded else 0


class _Account(NamedTuple):
    nonce: int = 0
    balance: int = 0
    storage_root: bytes = BLANK_ROOT_HASH
    code_hash: bytes = EMPTY_SHA3

    def copy(self, **changes: Any) -> _Account:
        return self._replace(**changes)


@lru_cache(maxsize=_CACHED_ACCOUNTS)
def _decode_account(encoded: bytes) -> _Account:
    return _Account(*rlp.decode(encoded, sedes=Account))


@lru_cache(maxsize=_CACHED_ACCOUNTS)
def _encode_account(account: _Account) -> bytes:
    return bytes(rlp.encode(Account(*account), sedes=Account))


class _Accounts(AccountDB):  # type: ignore[misc] # py-evm is untyped
    def __init__(self, db: Any, state_root: bytes = BLANK_ROOT_HASH) -> None:
        super().__init__(db, state_root)
        self._trie = HashTrie(LedgerTrie(self._batchtrie, state_root, prune=True))
        self._trie_logger = KeyAccessLoggerDB(self._trie, log_missing_keys=False)
        self._trie_cache = CacheDB(self._trie_logger)
        self._journaltrie = JournalDB(self._trie_cache)

    def get_code(self, address: bytes) -> bytes:
        code_hash = self.get_code_hash(address)
        if code_hash == EMPTY_SHA3:
            return b""
        try:
            return bytes(self._journaldb[code_hash])
        except KeyError:
            raise MissingBytecode(code_hash) from KeyError
        finally:
            if code_hash in self._raw_store_db._keys_read:  # noqa: SLF001 - the public name copies the whole set
                self._accessed_bytecodes.add(address)

    def is_storage_warm(self, address: bytes, slot: int) -> bool:
        return self._get_storage_tracker_key(address, slot) in self._journal_accessed_state._journal._current_values  # noqa: SLF001 - a key stands there or not; it is never marked as deleted

    def is_address_warm(self, address: bytes) -> bool:
        return address in self._journal_accessed_state._journal._current_values  # noqa: SLF001 - as for slots

    def _get_address_store(self, address: bytes) -> Any:
        if address not in self._account_stores:
            root = self._get_storage_root(address)
            self._account_stores[address] = _Storage(self._raw_store_db, root, address)
        return self._account_stores[address]

    def _get_account(self, address: bytes, from_journal: bool = True) -> Any:  # noqa: FBT001, FBT002 - py-evm's signature
        if from_journal and address in self._account_cache:
            return self._account_cache[address]
        encoded = self._get_encoded_account(address, from_journal)
        account = _decode_account(encoded) if encoded else _Account()
        if from_journal:
            self._account_cache[address] = account
        return account

    def _set_account(self, address: bytes, account: Any) -> None:
        self._account_cache[address] = account
        self._journaltrie[address] = _encode_account(account)


class _Executor(CancunTransactionExecutor):  # type: ignore[misc] # py-evm is untyped
    def build_evm_message(self, transaction: Any) -> Any:
        state = self.vm_state
        # py-evm writes out code, data and transaction for a log that is off as a rule
        if state.logger.show_debug2:
            return super().build_evm_message(transaction)
        fee = transaction.gas * state.get_gas_price(transaction)
        if transaction.type_id == BLOB_TX_TYPE:
            fee += self.calc_data_fee(transaction)
        sender, to = transaction.sender, transaction.to
        state.delta_balance(sender, -fee)
        state.increment_nonce(sender)
        is_create = to == CREATE_CONTRACT_ADDRESS
        return Message(
            gas=transaction.gas - transaction.intrinsic_gas,
            to=to,
            sender=sender,
            value=transaction.value,
            data=b"" if is_create else transaction.data,
            code=transaction.data if is_create else state.get_code(to),
            create_address=generate_contract_address(sender, state.get_nonce(sender) - 1) if is_create else None,
        )


class LedgerState(CancunState):  # type: ignore[misc] # py-evm is untyped
    """py-evm's Cancun state, whose messages run in the fast loop."""

    computation_class = FastComputation
    account_db_class = _Accounts
    transaction_executor_class = _Executor


def state_class() -> Any:
    """Return the class of state that this process was asked to use."""
    return LedgerState if interpreter_choice() == "fast" else CancunState
