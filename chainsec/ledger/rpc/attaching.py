"""Attaches to the node at a URL: who it is, which chain it has, who makes its blocks.

Layer: ledger. Not here: the engine that comes of it (``engine``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainsec.errors import ConfigError, LedgerError, NodeUnreachable
from chainsec.ledger.rpc.answers import read_quantity
from chainsec.ledger.rpc.caller import Caller, RpcError
from chainsec.ledger.rpc.development import DEVELOPMENT_GAS_LIMIT, DevelopmentNode
from chainsec.ledger.rpc.engine import RpcEngine
from chainsec.ledger.rpc.transport import open_transport

if TYPE_CHECKING:
    from chainsec.ledger.engine import BlockProduction, Finality

__all__ = ["attach"]

_ANSWER_S = 30.0
_SHOWN_CHARS = 100


def attach(
    url: str,
    *,
    chain_id: int | None = None,
    genesis_time: int | None = None,
    block_gas_limit: int | None = None,
    finality: Finality = "immediate",
    block_production: BlockProduction = "auto",
    is_exclusive: bool = False,
    patience_s: float = 60,
) -> RpcEngine:
    """Return the engine on the node at ``url``; the arguments are ``open_engine``'s."""
    _check_choices(finality, block_production, patience_s)
    caller = Caller(open_transport(url, min(_ANSWER_S, patience_s)), patience_s=patience_s)
    try:
        name, found = _ask_who(caller)
        development = None
        if block_production == "engine" or (block_production == "auto" and DevelopmentNode.is_offered(name)):
            development = DevelopmentNode(caller, block_gas_limit or DEVELOPMENT_GAS_LIMIT)
        engine = RpcEngine(
            caller,
            name=name,
            chain_id=found,
            finality=finality,
            development=development,
            is_exclusive=is_exclusive,
        )
        _compare(engine, chain_id, genesis_time, block_gas_limit)
    except BaseException:
        caller.close()
        raise
    return engine


def _check_choices(finality: Finality, block_production: BlockProduction, patience_s: float) -> None:
    if finality not in ("immediate", "finalized") and not (type(finality) is int and finality >= 0):
        raise ConfigError(f"finality {finality!r}: choose immediate, finalized or a number of blocks", value=finality)
    if block_production not in ("auto", "engine", "node"):
        raise ConfigError(f"block production {block_production!r}: choose auto, engine or node", value=block_production)
    if not patience_s > 0:
        raise ConfigError(f"patience of {patience_s} s: has to be more than none", value=patience_s)


def _compare(engine: RpcEngine, chain_id: int | None, genesis_time: int | None, gas_limit: int | None) -> None:
    """Refuse a node whose chain is not as it was asked for."""
    if chain_id not in (engine.chain_id, None):
        raise ConfigError(f"{engine.url}: has chain id {engine.chain_id}, not {chain_id}", chain_id=engine.chain_id)
    if gas_limit is not None and not engine.makes_blocks:
        raise ConfigError(f"{engine.url}: {engine.name} has a gas limit of its own", field="block_gas_limit")
    if genesis_time is not None:
        first_s = engine.block(0).timestamp
        if first_s != genesis_time:
            raise LedgerError(f"{engine.url}: the chain was made with genesis time {first_s}, not {genesis_time}")


def _ask_who(caller: Caller) -> tuple[str, int]:
    """Return the node's name and chain id. One attempt is enough: nothing is lost yet, and a URL may be wrong."""
    try:
        chain_id = int(read_quantity(caller.tell("eth_chainId")))
    except NodeUnreachable as error:
        raise NodeUnreachable(f"no node answers at {error}", url=caller.url) from error
    except RpcError as error:
        raise LedgerError(f"{caller.url}: is no Ethereum node: {error.said}", url=caller.url) from error
    try:
        name = ascii(str(caller.ask("web3_clientVersion")))[1:-1][:_SHOWN_CHARS]
    except RpcError:
        name = "a node"
    return name, chain_id
