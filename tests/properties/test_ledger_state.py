"""Tries and accounts that are read and written with less work hold what the plain ones hold."""

from __future__ import annotations

from typing import Any

import pytest
import rlp
from eth.constants import BLANK_ROOT_HASH
from eth.db.atomic import AtomicDB
from eth.db.backends.memory import MemoryDB
from eth.vm.forks.cancun.state import CancunState
from eth_utils.exceptions import ValidationError
from hypothesis import given, settings
from hypothesis import strategies as st
from rlp.codec import encode_raw
from rlp.sedes import big_endian_int
from trie import HexaryTrie
from trie.exceptions import InvalidNode, MissingTrieNode

from chainsec.ledger.state import LedgerState, LedgerTrie
from chainsec.ledger.trienodes import decode_integer, decode_node, encode_node

ADDRESSES = [bytes([n]) * 20 for n in range(1, 6)]
items = st.sampled_from([b"", bytes(32), b"\x05", b"\x80", b"\x37" * 31]) | st.binary(max_size=60)
nodes = (
    st.lists(items | st.lists(items, min_size=2, max_size=2), min_size=2, max_size=2)
    | st.lists(st.sampled_from([b"", b"\xee" * 32]) | items, min_size=17, max_size=17)
    | st.lists(items | st.lists(items, max_size=3), max_size=20)
)
# few and short, so that they part early, late, or one inside the other
keys = st.binary(max_size=3) | st.sampled_from([b"\x12" * 32, b"\x12" * 31 + b"\x13", b"\x12" * 16 + b"\x20" * 16])
values = st.sampled_from([b"", b"v", b"w" * 40]) | st.binary(max_size=50)


def outcome(function: Any, *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except Exception as error:  # noqa: BLE001 - any error counts
        return type(error), str(error)


@given(nodes)
def test_a_node_is_encoded_and_decoded_as_by_rlp(node):
    encoded = encode_raw(node)
    assert encode_node(node) == encoded
    assert decode_node(encoded) == rlp.decode(encoded) == node


@settings(max_examples=300)
@given(st.binary(max_size=80) | st.tuples(nodes, st.integers(0, 900), st.integers(0, 255)))
def test_damaged_bytes_are_refused_as_by_rlp(raw):
    if isinstance(raw, tuple):
        node, place, byte = raw
        encoded = encode_raw(node)
        place %= len(encoded) + 1
        raw = encoded[:place] + bytes([byte]) * (place % 3) + encoded[place + 1 :]
    assert outcome(decode_node, raw) == outcome(rlp.decode, raw)


@given(st.integers(0, 2**256) | st.integers(0, 300), st.binary(max_size=34))
def test_an_integer_is_decoded_as_by_rlp(number, raw):
    assert decode_integer(rlp.encode(number)) == number
    assert outcome(decode_integer, raw) == outcome(rlp.decode, raw, big_endian_int)


@settings(max_examples=200)
@given(st.lists(st.lists(st.tuples(keys, values), max_size=8), max_size=4))
def test_a_trie_holds_the_same_nodes_after_any_writes(rounds):
    plain, fast = ({}, HexaryTrie), ({}, LedgerTrie)
    tries = [kind(records) for records, kind in (plain, fast)]
    for writes in rounds:
        for trie in tries:
            with trie.squash_changes() as scratch:
                for key, value in writes:
                    scratch[key] = value
                    assert scratch[key] == value
        assert tries[0].root_hash == tries[1].root_hash
        assert plain[0] == fast[0]
        for key, _ in writes:
            for place in (key, key[:-1], key + b"\x01", key[:1] + b"\xff"):
                assert outcome(tries[0].get, place) == outcome(tries[1].get, place)


@given(st.dictionaries(keys, st.binary(min_size=33, max_size=40), min_size=4), st.data())
def test_a_missing_node_is_named_alike(content, data):
    records: dict[bytes, bytes] = {}
    trie = HexaryTrie(records)
    for key, value in content.items():
        trie[key] = value
    gone = data.draw(st.sampled_from(sorted(records)))
    left = {key: value for key, value in records.items() if key != gone}
    for key in content:
        seen = []
        for kind in (HexaryTrie, LedgerTrie):
            read = outcome(kind(dict(left), trie.root_hash).get, key)
            written = outcome(kind(dict(left), trie.root_hash).set, key, b"new")
            seen.append((read, written))
        assert seen[0] == seen[1]


def test_a_damaged_trie_is_refused():
    root = b"\x11" * 32
    for encoded in (rlp.encode([b"a", b"b", b"c"]), rlp.encode(b"z" * 17)):
        for kind in (HexaryTrie, LedgerTrie):
            with pytest.raises(InvalidNode):
                kind({root: encoded}, root).get(b"key")
            with pytest.raises(InvalidNode):
                kind({root: encoded}, root).set(b"key", b"value")
    with pytest.raises(MissingTrieNode):
        LedgerTrie({}, root).get(b"key")


numbers = st.sampled_from([0, 1, 127, 128, 2**64, 2**255])
steps = st.one_of(
    st.tuples(st.just("set_balance"), st.sampled_from(ADDRESSES), numbers),
    st.tuples(st.just("set_nonce"), st.sampled_from(ADDRESSES), st.integers(0, 300)),
    st.tuples(st.just("set_code"), st.sampled_from(ADDRESSES), st.binary(max_size=40)),
    st.tuples(st.just("set_storage"), st.sampled_from(ADDRESSES), st.integers(0, 9), numbers),
    st.tuples(st.just("delete_storage"), st.sampled_from(ADDRESSES)),
    st.tuples(st.just("delete_account"), st.sampled_from(ADDRESSES)),
    st.tuples(st.just("touch_account"), st.sampled_from(ADDRESSES)),
    st.tuples(st.just("mark_storage_warm"), st.sampled_from(ADDRESSES), st.integers(0, 3)),
    st.tuples(st.just("mark_address_warm"), st.sampled_from(ADDRESSES)),
    st.tuples(st.sampled_from(["snapshot", "revert", "commit", "lock_changes", "make_state_root", "persist", "look"])),
)


def look(state: Any) -> Any:
    return [
        (
            state.get_balance(address),
            state.get_nonce(address),
            state.get_code(address),
            state.account_exists(address),
            state.is_address_warm(address),
            [
                (state.get_storage(address, slot), state.get_storage(address, slot, from_journal=False))
                for slot in range(10)
            ],
            [state.is_storage_warm(address, slot) for slot in range(4)],
        )
        for address in ADDRESSES
    ]


def take(state: Any, marks: list[Any], name: str, *arguments: Any) -> Any:
    if name == "look":
        return look(state)
    if name == "snapshot":
        marks.append(state.snapshot())
        return None
    if name in {"revert", "commit"}:
        return outcome(getattr(state, name), marks.pop()) if marks else None
    if name in {"lock_changes", "make_state_root", "persist"}:
        marks.clear()
    result = outcome(getattr(state, name), *arguments)
    return vars(result) if name == "persist" else result


@settings(max_examples=150)
@given(st.lists(steps, max_size=20))
def test_accounts_hold_the_same_after_any_steps(taken):
    seen = []
    for kind in (CancunState, LedgerState):
        store, marks = AtomicDB(MemoryDB()), []
        state = kind(store, None, BLANK_ROOT_HASH)
        found = [take(state, marks, *step) for step in [*taken, ("look",), ("persist",)]]
        seen.append((found, state.state_root, store.wrapped_db.kv_store))
    assert seen[0] == seen[1]


def test_a_bad_address_is_refused_as_before():
    for kind in (CancunState, LedgerState):
        with pytest.raises(ValidationError, match="not a valid canonical address"):
            kind(AtomicDB(MemoryDB()), None, BLANK_ROOT_HASH).get_code(b"short")
