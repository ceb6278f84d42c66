"""The trie of a list, made in one go, holds what py-evm's trie holds after item by item."""

import pytest
import rlp
from eth.db.trie import _make_trie_root_and_nodes
from hypothesis import example, given
from hypothesis import strategies as st

from chainsec.digest import keccak
from chainsec.ledger.itemtrie import make_item_trie

ITEM = st.binary(min_size=1, max_size=3) | st.binary(min_size=30, max_size=34) | st.binary(min_size=200, max_size=210)


@given(st.lists(ITEM, max_size=40))
@example([])
@example([b"\x01"] * 20)
@example([b"\x80"])
def test_root_and_nodes_are_py_evm_s(items):
    root, nodes = make_item_trie(items)
    assert (root, nodes) == _make_trie_root_and_nodes(tuple(items))
    assert all(keccak(node) == key for key, node in nodes.items())


@pytest.mark.parametrize("count", [1, 2, 16, 17, 127, 128, 129, 255, 256, 257, 300, 4_000])
def test_lists_whose_places_grow_longer_have_py_evm_s_root(count):
    items = [rlp.encode(place) * (1 + place % 40) for place in range(count)]
    assert make_item_trie(items) == _make_trie_root_and_nodes(tuple(items))
