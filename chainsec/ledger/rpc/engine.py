"""The chain of a node as an ``Engine``: the same promises as in process, kept over JSON-RPC.

Layer: ledger. Not here: how the node is reached (``transport``), asked (``caller``) and commanded (``development``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Self

from chainsec.digest import keccak
from chainsec.errors import ChainTakenBack, LedgerError, NodeUnreachable, TransactionRefused
from chainsec.ledger.rpc.answers import (
    quantity,
    read_block,
    read_bytes,
    read_gas_limit,
    read_quantity,
    stated_chain_id,
)
from chainsec.ledger.rpc.caller import RpcError
from chainsec.ledger.rpc.development import ask_newest
from chainsec.ledger.rpc.reader import RpcReader
from chainsec.primitives import Hash32

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainsec.ledger.engine import Block, Finality
    from chainsec.ledger.rpc.caller import Caller
    from chainsec.ledger.rpc.development import DevelopmentNode

__all__ = ["RpcEngine"]

_LOOK_EVERY_S = 0.1
_NOT_YET = re.compile(r"not found|unknown block", re.IGNORECASE)
_KEPT_MARKS = 1_000


class RpcEngine(RpcReader):
    """An ``Engine`` on a node.

    Args:
        caller: asks the node.
        name: what the node calls itself.
        chain_id: of its chain.
        finality: when a block is final: "immediate", "finalized", or how many blocks stand on it.
        development: commands the node; None where it makes its blocks itself.
        is_exclusive: nobody else makes blocks while ``development`` does.
    """

    def __init__(
        self,
        caller: Caller,
        *,
        name: str,
        chain_id: int,
        finality: Finality = "immediate",
        development: DevelopmentNode | None = None,
        is_exclusive: bool = False,
    ) -> None:
        super().__init__(caller)
        self.name = name
        self.chain_id = chain_id
        self.finality = finality
        self._development = development
        self._is_exclusive = is_exclusive
        self._reached: Block | None = None
        self._waiting: dict[Hash32, bytes] = {}
        self._marks: dict[int, tuple[Any, Block, dict[Hash32, bytes]]] = {}
        self._next_mark = 1
        self.rewinds = 0

    @property
    def makes_blocks(self) -> bool:
        """Whether ``mine`` makes a block, or waits for one."""
        return self._development is not None

    @property
    def block_gas_limit(self) -> int:
        """Gas that the next block can hold."""
        if self._development is not None:
            return self._development.gas_limit
        return read_gas_limit(ask_newest(self._caller))

    @property
    def gas_price_wei(self) -> int:
        """Wei for each gas that the node asks for; nothing while a development node is commanded."""
        return 0 if self._development is not None else read_quantity(self._caller.ask("eth_gasPrice"))

    def head(self) -> Block:
        """Return the newest block. Raises ``ChainTakenBack`` where a commanded node has lost blocks."""
        newest = self._standing_head
        if newest is not None:
            return newest
        return self._keep_up(read_block(ask_newest(self._caller)))

    @property
    def _standing_head(self) -> Block | None:
        """The newest block of a node that makes none unasked and has been there ever since; None has to be asked."""
        is_sure = self._is_exclusive and self._development is not None and self._development.is_there_still
        return self._reached if is_sure else None

    def block(self, number: int) -> Block:
        """Return a block by number."""
        newest = self._standing_head
        return newest if newest is not None and newest.number == number else super().block(number)

    def _keep_up(self, newest: Block) -> Block:
        """Note the newest block of a commanded node, once it was held against the one that was the newest before."""
        if self._development is not None:
            if self._reached is not None:
                self._compare(newest, self._reached)
            self._reached = newest
        return newest

    def _compare(self, newest: Block, last: Block) -> None:
        """Raise ``ChainTakenBack`` where a block that was the newest is no longer on the chain."""
        if (newest.number, newest.hash) == (last.number, last.hash):
            return
        if newest.number <= last.number or super().block(last.number).hash != last.hash:
            raise ChainTakenBack(
                f"{self.url}: block {last.number} is gone; the newest is block {newest.number}", number=last.number
            )

    def _require(self, number: int | None) -> None:
        """Look whether a block that the node does not know is one that a commanded node has lost."""
        if number is not None and self._reached is not None and number <= self._reached.number:
            self._compare(read_block(ask_newest(self._caller)), self._reached)

    def _last_up_to(self, number: int) -> int:
        if not self.makes_blocks:
            return number  # whether it is there is for the node to show that gives the logs
        newest = self._standing_head
        return super()._last_up_to(number) if newest is None else min(number, newest.number)

    def _tell_logs(self, question: dict[str, Any], first: int, last: int) -> Any:
        """Get logs, and where others make the blocks a proof that whoever answers has come to the last of them.

        Behind one URL there may be several nodes, of which one lags: it gives the logs that it has, and no sign that
        there will be more. A batch is answered by one node, in its order.
        """
        if self.makes_blocks:
            return super()._tell_logs(question, first, last)
        asked: list[tuple[str, list[Any]]] = [
            ("eth_getBlockByNumber", [quantity(last), False]),
            ("eth_getLogs", [question]),
        ]
        there, logs = self._caller.tell_many(asked)
        if there is None:
            raise LedgerError(f"{self.url}: the node that answers has not come to block {last} yet", number=last)
        return logs

    def final_block(self) -> int:
        """Return the number of the newest final block."""
        if self.finality == "finalized":
            return self._finalized()
        behind = 0 if self.finality == "immediate" else self.finality
        newest = self._standing_head
        height = read_quantity(self._caller.ask("eth_blockNumber")) if newest is None else newest.number
        return max(0, height - behind)

    def _finalized(self) -> int:
        """Return the number of the block with that tag; on a young chain, which has none yet, the first."""
        try:
            found = self._caller.ask("eth_getBlockByNumber", "finalized", False)  # noqa: FBT003 - the method's parameter
        except RpcError as error:
            if not _NOT_YET.search(error.said):
                raise
            found = None
        return 0 if found is None else read_block(found).number

    def send(self, raw: bytes) -> Hash32:
        """Put a signed transaction into the node's pool; one that it knows already counts as sent."""
        return self.send_many([raw])[0]

    def send_many(self, raws: Sequence[bytes]) -> list[Hash32]:
        """Put signed transactions into the node's pool, in batches."""
        self._take_charge()
        for raw in raws:
            if (stated := stated_chain_id(raw)) not in (self.chain_id, None):
                raise TransactionRefused(
                    f"transaction is for chain id {stated}, not {self.chain_id}", chain_id=self.chain_id
                )
        hashes = [Hash32(keccak(raw)) for raw in raws]
        answers = self._caller.ask_many([("eth_sendRawTransaction", ("0x" + raw.hex(),)) for raw in raws])
        failed: LedgerError | None = None
        for key, raw, answer in zip(hashes, raws, answers, strict=True):
            if isinstance(answer, RpcError):
                # sent before, or by an attempt whose answer was lost
                known = self.transaction(key)
                if known is None:
                    kind = NodeUnreachable if answer.is_passing else TransactionRefused
                    failed = failed or kind(f"{self.url}: {answer.said}", said=answer.said)
                if known is None or known.block_number is not None:
                    continue
            elif read_bytes(answer) != key:
                raise LedgerError(f"{self.url}: took transaction {key} for another one", transaction_hash=key)
            if self._development is not None:
                self._waiting[key] = raw
        if failed is not None:
            raise failed
        return hashes

    def mine(self, timestamp: int | None = None) -> Block:
        """Make a block with what waits, or wait for the network's next one."""
        if self._development is None:
            return self._await_block()
        block = None
        while block is None:
            self._take_charge()
            newest, waiting = self._development.look()
            parent = self._keep_up(newest)
            if waiting < len(self._waiting):
                self._send_again()
            wanted = parent.timestamp + 1 if timestamp is None else timestamp
            if not parent.timestamp < wanted < 2**64:
                raise LedgerError(f"timestamp {wanted} is not later than the parent's {parent.timestamp}")
            if self._development.is_there_still:
                block = self._development.mine(parent, wanted)
        for key in block.transaction_hashes:
            self._waiting.pop(key, None)
        self._reached = block
        return block

    def _send_again(self) -> None:
        """Put back what a node that was restarted has forgotten; what it cannot mine any more is dropped."""
        kept, self._waiting = self._waiting, {}
        for raw in kept.values():
            try:
                self.send(raw)
            except TransactionRefused:
                continue
            except LedgerError:
                self._waiting = kept | self._waiting
                raise

    def _await_block(self) -> Block:
        parent, begun = self.head(), self._caller.clock()
        while (newest := self.head()).number <= parent.number:
            if self._caller.clock() - begun > self._caller.patience_s:
                raise LedgerError(
                    f"{self.url}: no block after block {parent.number} within {self._caller.patience_s:g} s",
                    number=parent.number,
                )
            self._caller.sleep(_LOOK_EVERY_S)
        return newest

    def _take_charge(self) -> None:
        if self._development is not None:
            self._development.take_charge()

    def snapshot(self) -> int:
        """Mark head and pool."""
        development = self._commanded("snapshots")
        self._take_charge()
        number, self._next_mark = self._next_mark, self._next_mark + 1
        head = self.head()
        self._marks[number] = (development.mark(), head, dict(self._waiting))
        if len(self._marks) > _KEPT_MARKS:
            del self._marks[next(iter(self._marks))]
        return number

    def revert(self, snapshot: int) -> None:
        """Go back to a mark."""
        development = self._commanded("snapshots")
        if snapshot not in self._marks:
            raise LedgerError(f"no snapshot {snapshot}", snapshot=snapshot)
        mark, head, waiting = self._marks[snapshot]
        self._marks = {number: kept for number, kept in self._marks.items() if number < snapshot}
        development.go_back(mark)
        self.rewinds += 1
        self._reached, self._waiting = head, {}
        self._marks[snapshot] = (development.mark(), head, waiting)
        if waiting:
            self.send_many(list(waiting.values()))

    def dump(self) -> bytes:
        """Return the node's own dump of its chain."""
        return self._commanded("dumps").dump()

    def load(self, dump: bytes) -> None:
        """Put a dumped chain in the place of the node's."""
        development = self._commanded("dumps")
        self._take_charge()
        development.load(dump)
        development.drop_waiting()
        self._reached, self._waiting, self._marks = None, {}, {}
        self.rewinds += 1

    def _commanded(self, what: str) -> DevelopmentNode:
        if self._development is None:
            raise LedgerError(f"{self.url}: {self.name} offers no {what}", name=self.name)
        return self._development

    def close(self) -> None:
        """Give a commanded node its own way of mining back, and let go of the connection."""
        if self._development is not None:
            self._development.release()
        self._caller.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
