"""Lets web3.py talk to the node of an ``RpcEngine`` over the same connection.

Layer: ledger. Not here: the engine itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from web3 import Web3
from web3.providers.base import JSONBaseProvider

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
        answer = self._caller.transport.exchange(self.encode_rpc_request(method, params))
        return self.decode_rpc_response(answer)

    def is_connected(self, show_traceback: bool = False) -> bool:  # noqa: FBT001, FBT002 - the signature is web3's
        """Tell whether the node answers."""
        return super().is_connected(show_traceback)


def connect_web3(caller: Caller) -> Web3:
    """Return a plain ``Web3`` on the caller's node."""
    return Web3(_Provider(caller))
