"""Signs, sends and settles transactions on one engine; the single owner of its accounts' nonces.

A client can *replay*: it counts nonces from zero, so that the same calls make the same transactions, and one that
stands on chain already is found instead of sent. That is how an interrupted run goes on: it starts again from its
first block and passes over what was done. Reads are pinned to the block that the replay has reached.
Layer: ledger. Not here: what a call means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chainsec.errors import LedgerError, RunMismatch
from chainsec.ledger.artifact import load_all_errors
from chainsec.ledger.contract import Contract, deployment_data, revert_reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainsec.ledger.account import Account
    from chainsec.ledger.artifact import Artifact
    from chainsec.ledger.engine import Engine, Receipt
    from chainsec.primitives import Address, Hash32


class Client:
    """Sends transactions to an engine and waits for their effect.

    Args:
        engine: the chain.
        transaction_gas: gas limit of each transaction.
        is_replay: count nonces from zero and find what stands on chain already. Nobody else may send then.
        block_interval_s: least time between two blocks, at least 1.

    ``transactions`` and ``gas_used`` count what this client has settled.
    """

    def __init__(
        self, engine: Engine, *, transaction_gas: int, is_replay: bool = False, block_interval_s: int = 1
    ) -> None:
        if block_interval_s < 1:
            raise ValueError(f"blocks are at least 1 second apart, not {block_interval_s}")
        self.engine = engine
        self.transaction_gas = transaction_gas
        self._is_replay = is_replay
        self._block_interval_s = block_interval_s
        self._reached = 0
        self._nonces: dict[Address, int] = {}
        self._sent: list[Hash32] = []
        self._contracts: list[Contract] = []
        self.transactions = 0
        self.gas_used = 0

    @property
    def at(self) -> int:
        """Number of the block that reads are pinned to: the head, or the block that a replay has reached."""
        return self._reached if self._is_replay else self.engine.head().number

    @property
    def is_caught_up(self) -> bool:
        """Whether every block of the engine has been passed."""
        return self.at >= self.engine.head().number

    @property
    def now_s(self) -> int:
        """Timestamp of the block that reads are pinned to, Unix seconds."""
        return self.engine.block(self.at).timestamp

    def transact(self, account: Account, to: Address | None, data: bytes) -> Hash32:
        """Sign a transaction and send it, to take effect with the next ``settle``. Returns its hash.

        Raises:
            LedgerError: the engine does not take it; the account's nonce stays free.
            RunMismatch: a replay stands before the chain's head, and another transaction was sent there.
        """
        nonce = self._nonces.get(account.address, 0) if self._is_replay else self.engine.next_nonce(account.address)
        transaction = account.sign(
            nonce=nonce, to=to, data=data, gas=self.transaction_gas, chain_id=self.engine.chain_id
        )
        if self.is_caught_up:
            self.engine.send(transaction.raw)
        elif self.engine.receipt(transaction.hash) is None:
            raise self._mismatch()
        self._nonces[account.address] = nonce + 1
        self._sent.append(transaction.hash)
        return transaction.hash

    def settle(self, timestamp_s: int | None = None) -> list[Receipt]:
        """Put what was sent into one block, or find the block it stands in. Returns the receipts, in order of sending.

        Where nothing was sent there is no block.

        Args:
            timestamp_s: the block's time; moved on to ``block_interval_s`` after its parent where that is later.

        Raises:
            ContractReverted: the first transaction that failed, with its contract's typed error. The block stands.
            LedgerError: the engine could not make the block, or left a transaction out of it.
            RunMismatch: the chain's next block is another one than this run makes.
        """
        if not self._sent:
            return []
        if self.is_caught_up:
            self.engine.mine(self._next_time_s(self.engine.head().number, timestamp_s))
        else:
            self._check_next_block(timestamp_s)
        sent, self._sent = self._sent, []
        receipts = self._receipts(sent)
        self._reached = receipts[0].block_number
        self.transactions += len(receipts)
        self.gas_used += sum(receipt.gas_used for receipt in receipts)
        for receipt in receipts:
            if not receipt.status:
                raise revert_reason(self.engine, receipt.transaction_hash, self._contracts)
        return receipts

    def deploy(self, account: Account, artifact: Artifact, *arguments: Any) -> Contract:
        """Deploy a contract, in one block with whatever else was sent, and return its binding.

        Raises:
            ContractReverted, LedgerError, RunMismatch: as ``settle``.
            ValueError: the artifact is an interface, or an argument is wrong.
        """
        self.transact(account, None, deployment_data(artifact, *arguments))
        address = self.settle()[-1].contract_address
        assert address is not None
        return self.bind(address, artifact)

    def bind(self, address: Address, artifact: Artifact) -> Contract:
        """Return the binding of a contract that stands at ``address``."""
        contract = Contract(self.engine, address, artifact.abi, load_all_errors())
        self._contracts.append(contract)
        return contract

    def call(self, contract: Contract, function: str, *arguments: Any, sender: Address | None = None) -> Any:
        """Call a function as of the block that reads are pinned to.

        Raises:
            ContractReverted: with the contract's typed error.
        """
        return contract.call(function, *arguments, at=self.at, sender=sender)

    def _next_time_s(self, parent: int, timestamp_s: int | None) -> int:
        earliest_s = self.engine.block(parent).timestamp + self._block_interval_s
        return earliest_s if timestamp_s is None else max(timestamp_s, earliest_s)

    def _receipts(self, sent: Sequence[Hash32]) -> list[Receipt]:
        receipts = [receipt for receipt in map(self.engine.receipt, sent) if receipt]
        if len(receipts) != len(sent):
            head = self.engine.head().number
            raise LedgerError(f"block {head} holds {len(receipts)} of {len(sent)} transactions", block=head)
        return receipts

    def _check_next_block(self, timestamp_s: int | None) -> None:
        block = self.engine.block(self._reached + 1)
        expected_s = self._next_time_s(self._reached, timestamp_s)
        if sorted(block.transaction_hashes) != sorted(self._sent) or block.timestamp != expected_s:
            raise self._mismatch()

    def _mismatch(self) -> RunMismatch:
        number = self._reached + 1
        return RunMismatch(f"block {number} does not hold what this run puts there", block=number)
