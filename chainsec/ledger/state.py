"""Gives the chain its state: py-evm's Cancun state, read and written with less work, and the loop that runs its code.

Every account, slot and trie node is the one that py-evm would give; only how it is encoded, decoded and looked up
changes. What is unusual, a damaged node among it, is left to py-evm, so that errors are the same too.
Layer: ledger. Not here: the loop itself (``interpreter``).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import rlp
from eth.constants import BLANK_ROOT_HASH, EMPTY_SHA3
from eth.db.account import AccountDB
from eth.db.accesslog import KeyAccessLoggerDB
from eth.db.batch import BatchDB
from eth.db.cache import CacheDB
from eth.db.hash_trie import HashTrie
from eth.db.journal import JournalDB
from eth.db.storage import AccountStorageDB, StorageLookup
from eth.rlp.accounts import Account
from eth.vm.forks.cancun.state import CancunState
from eth.vm.interrupt import MissingBytecode
from rlp.codec import encode_raw, length_prefix
from trie import HexaryTrie
from trie.constants import BLANK_NODE, BLANK_NODE_HASH

from chainsec.config import interpreter_choice
from chainsec.digest import keccak
from chainsec.ledger.interpreter import FastComputation

__all__ = ["LedgerState", "LedgerTrie", "decode_node", "encode_node", "state_class"]

_CACHED_ACCOUNTS = 4096
_HASH_BYTES = 32
_PAIR_ITEMS = 2
_BRANCH_ITEMS = 17
# RLP: where each kind of item starts
_EMPTY, _HASH, _LONG, _LONGER, _LIST, _LONG_LIST = 0x80, 0xA0, 0xB8, 0xB9, 0xC0, 0xF8
_LEAST_LONG = 56


def decode_node(encoded: bytes) -> Any:
    """Return the items of an encoded trie node; equals ``rlp.decode``, in results and in errors.

    >>> decode_node(bytes.fromhex("c3208180"))
    [b' ', b'\\x80']
    """
    end = len(encoded)
    head = encoded[0] if end else 0
    if head == _LONG_LIST + 1 and end - 3 == int.from_bytes(encoded[1:3]) and encoded[1]:
        at = 3
    elif head == _LONG_LIST and end - 2 == encoded[1] >= _LEAST_LONG:
        at = 2
    elif _LIST <= head < _LONG_LIST and end - 1 == head - _LIST:
        at = 1
    else:
        return rlp.decode(encoded)
    items = []
    while at < end:
        head = encoded[at]
        if head == _HASH:
            items.append(encoded[at + 1 : at + 33])
            at += 33
        elif head == _EMPTY:
            items.append(b"")
            at += 1
        elif head < _EMPTY:
            items.append(encoded[at : at + 1])
            at += 1
        else:
            start = at + 1
            if head == _LONG and encoded[start : start + 1] >= b"8":
                start, length = start + 1, encoded[start]
            elif head < _LONG and (head > _EMPTY + 1 or encoded[start : start + 1] >= b"\x80"):
                length = head - _EMPTY
            else:
                return rlp.decode(encoded)
            at = start + length
            items.append(encoded[start:at])
    return items if at == end else rlp.decode(encoded)


def encode_node(node: list[Any]) -> bytes:
    """Return the encoding of a trie node's items; equals ``rlp.codec.encode_raw``.

    >>> encode_node([b" ", b"\\x80"]).hex()
    'c3208180'
    """
    payload = b"".join(
        [
            b"\xa0" + item if len(item) == _HASH_BYTES and type(item) is bytes else encode_raw(item) if item else b"\x80"
            for item in node
        ]
    )
    return bytes(length_prefix(len(payload), _LIST)) + payload


class LedgerTrie(HexaryTrie):  # type: ignore[misc] # the trie library is untyped
    """The library's trie with shorter ways down to a value and from a node to its hash."""

    __slots__ = ()

    def get(self, key: bytes) -> bytes:
        """Return the value under ``key``, empty where there is none."""
        path, at = key.hex(), 0
        try:
            node = self.get_node(self.root_hash)
            while True:
                if len(node) == _BRANCH_ITEMS and at < len(path):
                    node = self.get_node(node[int(path[at], 16)])
                    at += 1
                elif len(node) == _PAIR_ITEMS:
                    prefix = node[0].hex()
                    part = prefix[1:] if prefix[0] in "13" else prefix[2:]
                    if prefix[0] in "23":
                        return bytes(node[1]) if path[at:] == part else b""
                    if not path.startswith(part, at):
                        return b""
                    at += len(part)
                    node = self.get_node(node[1])
                elif not node:
                    return b""
                else:
                    return bytes(super().get(key))
        except KeyError:
            return bytes(super().get(key))  # names the node that is missing

    def get_node(self, node_hash: Any) -> Any:
        """Return the items of the node with this hash, or of one held in its parent."""
        if node_hash in (BLANK_NODE, BLANK_NODE_HASH):
            return BLANK_NODE
        if type(node_hash) is not bytes:
            return super().get_node(node_hash)
        return decode_node(self.db[node_hash] if len(node_hash) == _HASH_BYTES else node_hash)

    def _node_to_db_mapping(self, node: Any) -> Any:
        is_plain = type(node) is list and (
            [*map(type, node)] == [bytes, bytes]
            if len(node) == _PAIR_ITEMS
            else len(node) == _BRANCH_ITEMS
            and type(node[-1]) is bytes
            and all(type(item) is bytes and len(item) in (0, _HASH_BYTES) for item in node[:-1])
        )
        if not is_plain:
            return self._create_node_to_db_mapping(node)
        encoded = encode_node(node)
        return (node, None) if len(encoded) < _HASH_BYTES else (keccak(encoded), encoded)


class _StorageLookup(StorageLookup):  # type: ignore[misc] # py-evm is untyped
    def _get_write_trie(self) -> LedgerTrie:
        if self._trie_nodes_batch is None:
            self._trie_nodes_batch = BatchDB(self._db, read_through_deletes=True)
        if self._write_trie is None:
            self._write_trie = LedgerTrie(self._trie_nodes_batch, root_hash=self._starting_root_hash, prune=True)
        return self._write_trie

    def _get_read_trie(self) -> LedgerTrie:
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


class LedgerAccountDB(AccountDB):  # type: ignore[misc] # py-evm is untyped
    """py-evm's accounts on ``LedgerTrie``, each encoded and decoded once."""

    def __init__(self, db: Any, state_root: bytes = BLANK_ROOT_HASH) -> None:
        super().__init__(db, state_root)
        self._trie = HashTrie(LedgerTrie(self._batchtrie, state_root, prune=True))
        self._trie_logger = KeyAccessLoggerDB(self._trie, log_missing_keys=False)
        self._trie_cache = CacheDB(self._trie_logger)
        self._journaltrie = JournalDB(self._trie_cache)

    def get_code(self, address: bytes) -> bytes:
        """Return an account's code, without copying the list of what was read."""
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

    def _get_address_store(self, address: bytes) -> Any:
        store = self._account_stores.get(address)
        if store is None:
            store = _Storage(self._raw_store_db, self._get_storage_root(address), address)
            self._account_stores[address] = store
        return store

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


class LedgerState(CancunState):  # type: ignore[misc] # py-evm is untyped
    """py-evm's Cancun state, whose messages run in the fast loop."""

    computation_class = FastComputation
    account_db_class = LedgerAccountDB


def state_class() -> Any:
    """Return the class of state that this process was asked to use."""
    return LedgerState if interpreter_choice() == "fast" else CancunState
