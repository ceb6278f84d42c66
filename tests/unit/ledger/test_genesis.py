"""A genesis record that a stranger wrote is read as what ``to_json`` writes, or refused."""

import json

import pytest

from chainsec.digest import canonical_json
from chainsec.ledger.evm import DEFAULT_BLOCK_GAS_LIMIT, Genesis

RECORD = json.loads(Genesis().to_json())


def test_what_is_written_is_read_back():
    genesis = Genesis(chain_id=9, timestamp=5, gas_limit=DEFAULT_BLOCK_GAS_LIMIT)
    assert Genesis.from_json(genesis.to_json()) == genesis


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 5_000,
        b"[]",
        b"null",
        b"",
        b" " + Genesis().to_json(),
        Genesis().to_json().decode().encode("utf-16"),
        canonical_json(RECORD | {"fork": "paris"}),
        canonical_json(RECORD | {"chain_id": True}),
        canonical_json(RECORD | {"gas_limit": 1e9}),
        canonical_json(RECORD | {"gas_limit": DEFAULT_BLOCK_GAS_LIMIT + 1}),
        canonical_json(RECORD | {"gas_limit": 2**62}),
        canonical_json(RECORD | {"timestamp": -1}),
        canonical_json(RECORD | {"balances": []}),
        canonical_json(RECORD | {"more": 1}),
    ],
)
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        Genesis.from_json(text)
