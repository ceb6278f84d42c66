"""Commands a development node (anvil, hardhat): blocks on demand, their time, marks, dumps.

While it is in charge the node mines only when told to, takes transactions without a gas price and has blocks as large
as those in process; ``release`` gives back what was found. Layer: ledger. Not here: what any node can do (``engine``).
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from chainsec.errors import ChainTakenBack, LedgerError, NodeUnreachable
from chainsec.ledger.rpc.answers import quantity, read_block, read_bytes, read_waiting
from chainsec.ledger.rpc.caller import Caller, RpcError

if TYPE_CHECKING:
    from chainsec.ledger.engine import Block

__all__ = ["DEVELOPMENT_GAS_LIMIT", "DevelopmentNode", "ask_newest"]

DEVELOPMENT_GAS_LIMIT = 1_000_000_000
_NEWEST = ("eth_getBlockByNumber", ("latest", False))
_FREE_OF_CHARGE = ("anvil_setNextBlockBaseFeePerGas", "hardhat_setNextBlockBaseFeePerGas")
_DROP_ALL = ("anvil_dropAllTransactions", "hardhat_dropAllTransactions")


def ask_newest(caller: Caller) -> Any:
    """Return what a node says of its newest block."""
    method, params = _NEWEST
    return caller.ask(method, *params)


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
        self._connection: int | None = None
        self._habits: tuple[str, Any] = ("evm_setAutomine", True)

    @staticmethod
    def is_offered(name: str) -> bool:
        """Tell whether a node of this name lets others command it.

        >>> DevelopmentNode.is_offered("anvil/v1.7.1"), DevelopmentNode.is_offered("besu/v25.1")
        (True, False)
        """
        return name.lower().startswith(("anvil", "hardhat"))

    def take_charge(self) -> None:
        """Switch automatic mining off and gas prices to zero; again after a restart, which forgets it."""
        if self.is_there_still:
            return
        if not self._is_in_charge:
            self._note_habits()
            self._caller.on_return = self._command_all
        self._caller.ask("eth_chainId")  # with patience; what is asked once follows only when the node is there
        self._command_all()

    def _note_habits(self) -> None:
        found = self._caller.ask_many([("anvil_getAutomine", ()), ("anvil_getIntervalMining", ())])
        mines, interval = (None if isinstance(item, RpcError) else item for item in found)
        automine = ("evm_setAutomine", mines is None or bool(mines))
        self._habits = ("evm_setIntervalMining", interval) if interval else automine

    def _command_all(self) -> None:
        self._is_in_charge = True
        self._command("evm_setAutomine", False)  # noqa: FBT003 - a parameter of the node's
        self._command("evm_setIntervalMining", 0)
        self._command("evm_setBlockGasLimit", quantity(self.gas_limit))
        self._first_of(_FREE_OF_CHARGE, quantity(0))
        self._connection = self._caller.connection

    def release(self) -> None:
        """Give the node its own way of mining back, if it is still there."""
        if not self._is_in_charge:
            return
        self._is_in_charge, self._caller.on_return = False, None
        with suppress(LedgerError):
            self._caller.tell(*self._habits)

    def look(self) -> tuple[Block, int]:
        """Return the newest block and how many transactions wait to be mined; one round trip."""
        latest, pool = self._caller.ask_many([_NEWEST, ("txpool_status", ())])
        if isinstance(latest, RpcError):
            raise latest
        return read_block(latest), 0 if isinstance(pool, RpcError) else read_waiting(pool)

    @property
    def is_there_still(self) -> bool:
        """Whether the node has been there ever since it was taken charge of."""
        return self._is_in_charge and self._caller.connection == self._connection is not None

    def mine(self, parent: Block, timestamp: int) -> Block | None:
        """Make a block on ``parent``; None where the node was gone in between and has not made it.

        Raises:
            LedgerError: the node refuses the time.
            ChainTakenBack: ``parent`` is no longer the newest block.
        """
        is_sure = False
        with suppress(NodeUnreachable):
            self._caller.tell("evm_mine", timestamp)
            is_sure = True
        newest = read_block(ask_newest(self._caller))
        if newest.number == parent.number + 1 and newest.timestamp == timestamp:
            return newest
        if is_sure or newest.hash != parent.hash:
            raise ChainTakenBack(
                f"{self._caller.url}: after block {parent.number + 1} was made, the newest is block {newest.number}",
                number=newest.number,
            )
        return None

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
                self._caller.tell(method, *params)
            except RpcError as error:
                if not error.is_unsupported:
                    raise
            else:
                return
