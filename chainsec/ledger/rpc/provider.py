"""Lets web3.py talk to the node of an ``RpcEngine`` over the same connection.

Layer: ledger. Not here: the engine itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from web3 import Web3
from web3.providers.base import JSONBaseProvider

from chainsec.digest import MAX_DEPTH, is_too_deep
from chainsec.errors import LedgerError, NodeUnreachable

if TYPE_CHECKING:
    from web3.types import RPCEndpoint, RPCResponse

    from chainsec.ledger.rpc.caller import Caller

__all__ = ["connect_web3"]


class _Provider(JSONBaseProvider):
    def __init__(self, caller: Caller) -> None:
        super().__init__()
        self._caller = caller

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """Carry one request of web3's to the node and its answer back."""
        try:
            answer = self._caller.transport.exchange(self.encode_rpc_request(method, params))
        except NodeUnreachable as error:  # web3 knows it by this name
            raise ConnectionError(str(error)) from error
        if is_too_deep(answer):
            raise LedgerError(f"{self._caller.url}: {method}: an answer deeper than {MAX_DEPTH}")
        return self.decode_rpc_response(answer)


def connect_web3(caller: Caller) -> Web3:
    """Return a plain ``Web3`` on the caller's node."""
    return Web3(_Provider(caller))
