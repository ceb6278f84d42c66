"""Sends transactions to one engine, settles them in blocks, and reads as of the block it has reached.

A client can *replay*: it counts nonces from zero, so that the same calls make the same transactions, and one that
stands on chain already is found instead of sent. That is how an interrupted run goes on: it starts again from its
first block and passes over what was done. Reads are pinned to the block that the replay has reached.
Layer: ledger. Not here: nonces and what becomes of a transaction that is lost (``outbox``); what a call means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chainsec.errors import LedgerError, RunMismatch
from chainsec.ledger.artifact import load_all_errors
from chainsec.ledger.contract import Contract, deployment_data, revert_reason
from chainsec.ledger.outbox import Message, Outbox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainsec.ledger.account import Account
    from chainsec.ledger.artifact import Artifact
    from chainsec.ledger.engine import Block, Engine, Receipt
    from chainsec.primitives import Address, Hash32


class Client:
    """Sends transactions to an engine and waits for their effect.

    Args:
        engine: the chain.
        transaction_gas: gas limit of each transaction.
        is_replay: count nonces from zero and find what stands on chain already. Nobody else may send then.
        block_interval_s: least time between two blocks that the engine makes, at least 1.
        patience_s: how long a network that makes its own blocks may take to mine what was sent.

    ``transactions`` and ``gas_used`` count what this client has settled.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        transaction_gas: int,
        is_replay: bool = False,
        block_interval_s: int = 1,
        patience_s: float = 120,
    ) -> None:
        if block_interval_s < 1:
            raise ValueError(f"blocks are at least 1 second apart, not {block_interval_s}")
        self.engine = engine
        self.transaction_gas = transaction_gas
        self._is_replay = is_replay
        self._block_interval_s = block_interval_s
        self._outbox = Outbox(engine, is_replay=is_replay, patience_s=patience_s)
        self._reached: Block | None = None
        self._is_caught_up = False
        self._sent: list[Hash32] = []
        self._contracts: list[Contract] = []
        self.transactions = 0
        self.gas_used = 0

    @property
    def _position(self) -> Block:
        """The block that reads are pinned to."""
        if not self._is_replay:
            return self.engine.head()
        if self._reached is None:
            self._reached = self.engine.block(0)
        return self._reached

    @property
    def at(self) -> int:
        """Number of the block that reads are pinned to: the head, or the block that a replay has reached."""
        return self._position.number

    @property
    def is_caught_up(self) -> bool:
        """Whether every block of the engine has been passed; once that is so it stays so, as nobody else sends."""
        if not self._is_caught_up:
            self._is_caught_up = not self._is_replay or self.at >= self.engine.head().number
        return self._is_caught_up

    @property
    def now_s(self) -> int:
        """Timestamp of the block that reads are pinned to, Unix seconds."""
        return self._position.timestamp

    def transact(self, account: Account, to: Address | None, data: bytes) -> Hash32:
        """Sign a transaction and send it, to take effect with the next ``settle``. Returns its hash.

        Raises:
            LedgerError: the engine does not take it; the account's nonce stays free.
            RunMismatch: a replay stands before the chain's head, and another transaction was sent there.
        """
        message = Message(to, data, self.transaction_gas)
        transaction = self._outbox.draft(account, message)
        if self._is_sent(transaction.hash):
            self._outbox.pass_over(transaction)
            key = transaction.hash
        else:
            key = self._outbox.send(account, message, transaction)
        self._sent.append(key)
        return key

    def _is_sent(self, key: Hash32) -> bool:
        """Tell whether a transaction stands where a replay passes over it."""
        if not self._is_replay or (self.engine.makes_blocks and self.is_caught_up):
            return False
        if self.engine.receipt(key) is not None:
            return True
        if self.engine.makes_blocks:  # then blocks hold nothing but this run, and a gap in it is another run
            raise self._mismatch()
        return False

    def settle(self, timestamp_s: int | None = None) -> list[Receipt]:
        """Put what was sent into one block, or find the block it stands in. Returns the receipts, in order of sending.

        Where nothing was sent there is no block. A network that makes its own blocks may need several of them.

        Args:
            timestamp_s: the block's time; moved on to ``block_interval_s`` after its parent where that is later.

        Raises:
            ContractReverted: the first transaction that failed, with its contract's typed error. The block stands.
            LedgerError: the engine could not make the block, or left a transaction out of it, or the network mined it
                not in time. What may still be mined is waited for by the next ``settle``; it need not be sent again.
            RunMismatch: the chain's next block is another one than this run makes.
        """
        if not self._sent:
            return []
        block = None
        if self.engine.makes_blocks:
            block = self._make_block(timestamp_s) if self.is_caught_up else self._find_block(timestamp_s)
        try:
            receipts = self._outbox.collect(self._sent)
        except LedgerError:  # what can still be mined is waited for the next time
            self._sent = [key for key in self._sent if self._outbox.is_waiting(key)]
            raise
        self._sent = []
        if self._is_replay:
            self._reached = block or self.engine.block(max(receipt.block_number for receipt in receipts))
        self.transactions += len(receipts)
        self.gas_used += sum(receipt.gas_used for receipt in receipts)
        self._require_success(receipts)
        return receipts

    def _require_success(self, receipts: Sequence[Receipt]) -> None:
        for receipt in receipts:
            if not receipt.status:
                raise revert_reason(self.engine, receipt.transaction_hash, self._contracts)

    def mend(self) -> int:
        """Send again what a reorganisation has thrown out of the chain; return how many transactions that were.

        Raises:
            ContractReverted: one of them fails where it stands now.
            LedgerError: one was not mined in time, or somebody else has used its nonce.
        """
        receipts = self._outbox.mend()
        self._require_success(receipts)
        return len(receipts)

    def deploy(self, account: Account, artifact: Artifact, *arguments: Any) -> Contract:
        """Deploy a contract, in one block with whatever else was sent, and return its binding.

        Raises:
            ContractReverted, LedgerError, RunMismatch: as ``settle``.
            ValueError: the artifact is an interface, or an argument is wrong.
        """
        self.transact(account, None, deployment_data(artifact, *arguments))
        address = self.settle()[-1].contract_address
        if address is None:
            raise LedgerError(f"{self.engine.name}: the receipt of a deployment names no contract")
        return self.bind(address, artifact)

    def bind(self, address: Address, artifact: Artifact) -> Contract:
        """Return the binding of a contract that stands at ``address``.

        Raises:
            LedgerError: none stands there.
        """
        if not self.engine.code(address):
            raise LedgerError(
                f"no contract at {address} on chain {self.engine.chain_id} ({self.engine.name})", address=address
            )
        contract = Contract(self.engine, address, artifact.abi, load_all_errors())
        self._contracts.append(contract)
        return contract

    def call(self, contract: Contract, function: str, *arguments: Any, sender: Address | None = None) -> Any:
        """Call a function as of the block that reads are pinned to.

        Raises:
            ContractReverted: with the contract's typed error.
        """
        return contract.call(function, *arguments, at=self.at, sender=sender)

    def _make_block(self, timestamp_s: int | None) -> Block:
        return self.engine.mine(self._next_time_s(self.engine.head(), timestamp_s))

    def _find_block(self, timestamp_s: int | None) -> Block:
        block = self.engine.block(self.at + 1)
        expected_s = self._next_time_s(self._position, timestamp_s)
        if sorted(block.transaction_hashes) != sorted(self._sent) or block.timestamp != expected_s:
            raise self._mismatch()
        return block

    def _next_time_s(self, parent: Block, timestamp_s: int | None) -> int:
        earliest_s = parent.timestamp + self._block_interval_s
        return earliest_s if timestamp_s is None else max(timestamp_s, earliest_s)

    def _mismatch(self) -> RunMismatch:
        number = self.at + 1
        return RunMismatch(f"block {number} does not hold what this run puts there", block=number)
