"""Opens a chain in a file, or makes one there, and refuses one that was made with other settings.

Layer: ledger. Not here: looking at a stored head (``headcheck``), proving a whole chain (``verify``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainsec.errors import ConfigError, LedgerError
from chainsec.ledger import evm
from chainsec.ledger.headcheck import read_genesis
from chainsec.ledger.local import DEVELOPMENT_ACCOUNTS, LocalEngine
from chainsec.ledger.store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from chainsec.ledger.account import Account

__all__ = ["open_local"]

_FUNDS_WEI = 10**24
_MIN_GAS_LIMIT = 30_000
_MAX_SETTING = 2**62


def open_local(
    path: Path | None,
    *,
    chain_id: int,
    accounts: Sequence[Account] | None = None,
    genesis_time: int | None = None,
    block_gas_limit: int | None = None,
) -> LocalEngine:
    """Open the chain in ``path``, or make one; the arguments are ``open_engine``'s."""
    if not 0 < chain_id <= _MAX_SETTING:
        raise ConfigError(f"chain id {chain_id} is not between 1 and 2**62", chain_id=chain_id)
    if genesis_time is not None and not 0 < genesis_time <= _MAX_SETTING:
        raise ConfigError(f"genesis time {genesis_time} is no time in Unix seconds", genesis_time=genesis_time)
    if block_gas_limit is not None and not _MIN_GAS_LIMIT <= block_gas_limit <= evm.DEFAULT_BLOCK_GAS_LIMIT:
        shown = f"is not between {_MIN_GAS_LIMIT} and {evm.DEFAULT_BLOCK_GAS_LIMIT}"
        raise ConfigError(f"block gas limit {block_gas_limit} {shown}", gas_limit=block_gas_limit)
    store = Store(path)
    try:
        stored = store.setting("genesis")
        funded = DEVELOPMENT_ACCOUNTS if accounts is None else tuple(accounts)
        if stored is None:
            genesis = evm.Genesis(
                chain_id=chain_id,
                timestamp=evm.DEFAULT_GENESIS_TIME if genesis_time is None else genesis_time,
                gas_limit=evm.DEFAULT_BLOCK_GAS_LIMIT if block_gas_limit is None else block_gas_limit,
                balances=tuple(sorted({account.address: _FUNDS_WEI for account in funded}.items())),
            )
            return LocalEngine(store, genesis, accounts=funded)
        genesis = read_genesis(stored, path)
        known = dict(genesis.balances)
        wanted = {"chain id": chain_id, "genesis time": genesis_time, "block gas limit": block_gas_limit}
        _compare_settings(path, genesis, wanted)
        if accounts is not None and set(known) != {account.address for account in funded}:
            raise LedgerError(f"{path}: the chain was made with other accounts", setting="accounts")  # noqa: TRY301 - refused as the others
        return LocalEngine(store, genesis, accounts=[account for account in funded if account.address in known])
    except BaseException:
        store.abandon()
        raise


def _compare_settings(path: Path | None, genesis: evm.Genesis, wanted: Mapping[str, int | None]) -> None:
    stored = {
        "chain id": genesis.chain_id,
        "genesis time": genesis.timestamp,
        "block gas limit": genesis.gas_limit,
    }
    for name, value in wanted.items():
        if value is not None and value != stored[name]:
            raise LedgerError(f"{path}: the chain was made with {name} {stored[name]}, not {value}", setting=name)
