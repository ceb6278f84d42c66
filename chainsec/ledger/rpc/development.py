"""Commands a development node (anvil, hardhat): blocks on demand, their time, marks, dumps.

While it is in charge the node mines only when told to, takes transactions without a gas price and has blocks as large
as those in process; ``release`` gives back what was found. Layer: ledger. Not here: what any node can do (``engine``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chainsec.errors import ChainTakenBack, LedgerError, NodeUnreachable
from chainsec.ledger.rpc.answers import quantity, read_block, read_bytes, read_quantity
from chainsec.ledger.rpc.caller import Caller, RpcError

if TYPE_CHECKING:
    from chainsec.ledger.engine import Block

__all__ = ["DEVELOPMENT_GAS_LIMIT", "DevelopmentNode"]

DEVELOPMENT_GAS_LIMIT = 1_000_000_000
_LATEST = ("eth_getBlockByNumber", ("latest", False))
_FREE_OF_CHARGE = ("anvil_setNextBlockBaseFeePerGas", "hardhat_setNextBlockBaseFeePerGas")
_DROP_ALL = ("anvil_dropAllTransactions", "hardhat_dropAllTransactions")


class DevelopmentNode:
    """A node that makes blocks on command.

    Args:
        caller: asks it.
        gas_limit: of the blocks that it is to make.
    """

    def __init__(self, caller: Caller, gas_limit: int) -> None:
        self._caller = caller
        self.gas_limit = gas_limit
        self._is_in_charge = False
        self._faults = 0
        self._restored: list[tuple[str, Any]] = []

    @staticmethod
    def is_offered(name: str) -> bool:
        """Tell whether a node of this name lets others command it.

        >>> DevelopmentNode.is_offered("anvil/v1.7.1"), DevelopmentNode.is_offered("besu/v25.1")
        (True, False)
        """
        return name.lower().startswith(("anvil", "hardhat"))

    def take_charge(self) -> None:
        """Switch automatic mining off and gas prices to zero; again after a fault, as a node that restarts forgets."""
        if self._is_in_charge and self._faults == self._caller.faults:
            return
        found = self._caller.ask_many([("anvil_getAutomine", ()), ("anvil_getIntervalMining", ()), _LATEST])
        mines, interval, latest = (None if isinstance(item, RpcError) else item for item in found)
        if not self._is_in_charge:
            automine = ("evm_setAutomine", mines is None or bool(mines))
            self._restored = [("evm_setIntervalMining", interval)] if interval else [automine]
        self._command("evm_setAutomine", False)  # noqa: FBT003 - a parameter of the node's
        self._command("evm_setIntervalMining", 0)
        if latest is None or read_quantity(latest["gasLimit"]) != self.gas_limit:
            self._command("evm_setBlockGasLimit", quantity(self.gas_limit))
        self._first_of(_FREE_OF_CHARGE, quantity(0))
        self._is_in_charge = True
        self._faults = self._caller.faults

    def release(self) -> None:
        """Give the node its own way of mining back, if it is still there."""
        if not self._is_in_charge:
            return
        self._is_in_charge = False
        try:
            for method, value in self._restored:
                self._caller.tell(method, value)
        except LedgerError:  # it is gone, or was never asked for more than it can do
            return

    def look(self) -> tuple[Block, int]:
        """Return the newest block and how many transactions wait to be mined; one round trip."""
        latest, pool = self._caller.ask_many([_LATEST, ("txpool_status", ())])
        if isinstance(latest, RpcError):
            raise latest
        waiting = 0 if isinstance(pool, RpcError) else read_quantity(pool["pending"])
        return read_block(latest), waiting

    def mine(self, parent: Block, timestamp: int) -> Block:
        """Make a block on ``parent``; if the answer is lost, look whether it was made before trying again.

        Raises:
            LedgerError: the node refuses the time.
            ChainTakenBack: ``parent`` is no longer the newest block.
        """
        while True:
            try:
                self._caller.tell("evm_mine", timestamp)
                is_sure = True
            except NodeUnreachable:
                is_sure = False
            newest = read_block(self._caller.ask(*_LATEST[:1], *_LATEST[1]))
            if newest.number == parent.number + 1 and newest.timestamp == timestamp:
                return newest
            if is_sure or newest.hash != parent.hash:
                raise ChainTakenBack(
                    f"{self._caller.url}: block {newest.number} is the newest after block {parent.number + 1} was made",
                    number=newest.number,
                )

    def mark(self) -> Any:
        """Return the node's name for its present state."""
        return self._command("evm_snapshot")

    def go_back(self, mark: Any) -> None:
        """Return to a mark, which is used up, and drop what waits.

        Raises:
            LedgerError: the node knows no such mark.
        """
        if self._command("evm_revert", mark) is not True:
            raise LedgerError(f"{self._caller.url}: no snapshot {mark}", snapshot=mark)
        self.drop_waiting()

    def drop_waiting(self) -> None:
        """Empty the node's pool."""
        self._first_of(_DROP_ALL)

    def dump(self) -> bytes:
        """Return the node's dump of its chain."""
        return read_bytes(self._command("anvil_dumpState"))

    def load(self, dump: bytes) -> None:
        """Load a dump that this kind of node made, and set its clock to the block that is the newest then."""
        self._command("anvil_loadState", "0x" + dump.hex())
        newest, _ = self.look()
        self._command("evm_setTime", newest.timestamp)

    def _command(self, method: str, *params: Any) -> Any:
        try:
            return self._caller.tell(method, *params)
        except RpcError as error:
            if error.is_unsupported:
                raise LedgerError(f"{self._caller.url}: offers no {method}", method=method) from error
            raise

    def _first_of(self, methods: tuple[str, ...], *params: Any) -> None:
        for method in methods:
            try:
                self._caller.ask(method, *params)
            except RpcError as error:
                if not error.is_unsupported:
                    raise
            else:
                return
