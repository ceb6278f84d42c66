"""Signs, sends and settles transactions on one engine; the single owner of its accounts' nonces.

A client can *replay*: it counts nonces from zero, so that the same calls make the same transactions, and one that
stands on chain already is found instead of sent. That is how an interrupted run goes on: it starts again from its
first block and passes over what was done. Reads are pinned to the block that the replay has reached.
Layer: ledger. Not here: what a call means.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from chainsec.errors import RunMismatch
from chainsec.ledger.artifact import load_all_errors
from chainsec.ledger.contract import Contract, deployment_data, revert_reason

if TYPE_CHECKING:
    from chainsec.ledger.account import Account
    from chainsec.ledger.artifact import Artifact
    from chainsec.ledger.engine import Block, Engine, Receipt
    from chainsec.primitives import Address, Hash32


class Client:
    """Sends transactions to an engine and waits for their effect.

    Args:
        engine: the chain.
        transaction_gas: gas limit of each transaction.
        is_replay: count nonces from zero and find what stands on chain already.
    """

    def __init__(self, engine: Engine, *, transaction_gas: int, is_replay: bool = False) -> None:
        self.engine = engine
        self.transaction_gas = transaction_gas
        self._is_replay = is_replay
        self._nonces: dict[Address, int] = {}
        self._sent: list[Hash32] = []
        self._contracts: list[Contract] = []
        self.at = 0 if is_replay else engine.head().number
        self.transactions = 0
        self.gas_used = 0

    @property
    def is_caught_up(self) -> bool:
        """Whether every block of the engine has been passed."""
        return self.at >= self.engine.head().number

    @property
    def now_s(self) -> int:
        """Timestamp of the block that reads are pinned to, Unix seconds."""
        return self.engine.block(self.at).timestamp

    def transact(self, account: Account, to: Address | None, data: bytes) -> Hash32:
        """Sign a transaction and send it, to take effect with the next ``settle``. Returns its hash."""
        nonce = self._nonces.get(account.address)
        if nonce is None:
            nonce = 0 if self._is_replay else self.engine.nonce(account.address)
        transaction = account.sign(
            nonce=nonce, to=to, data=data, gas=self.transaction_gas, chain_id=self.engine.chain_id
        )
        self._nonces[account.address] = nonce + 1
        if not (self._is_replay and self.engine.receipt(transaction.hash)):
            self.engine.send(transaction.raw)
        self._sent.append(transaction.hash)
        return transaction.hash

    def settle(self, timestamp_s: int | None = None) -> list[Receipt]:
        """Put what was sent into one block, or find the block it stands in. Returns the receipts, in order.

        Args:
            timestamp_s: the block's time; moved on to one second after its parent where that is later.

        Raises:
            ContractReverted: the first transaction that failed, with its contract's typed error.
            RunMismatch: the transactions stand on chain, but not together in the next block.
        """
        if not self._sent:
            return []
        sent, self._sent = self._sent, []
        if self._is_replay and self.engine.receipt(sent[0]):
            receipts = self._find(sent)
        else:
            self._mine(timestamp_s)
            receipts = self._receipts(sent)
        self.at = receipts[0].block_number
        self.transactions += len(receipts)
        self.gas_used += sum(receipt.gas_used for receipt in receipts)
        for receipt in receipts:
            if not receipt.status:
                raise revert_reason(self.engine, receipt.transaction_hash, self._contracts)
        return receipts

    def deploy(self, account: Account, artifact: Artifact, *arguments: Any) -> Contract:
        """Deploy a contract in a block of its own and return its binding."""
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
        """Call a function as of the block that reads are pinned to."""
        return contract.call(function, *arguments, at=self.at, sender=sender)

    def _mine(self, timestamp_s: int | None) -> Block:
        earliest_s = self.engine.head().timestamp + 1
        return self.engine.mine(max(timestamp_s or earliest_s, earliest_s))

    def _receipts(self, sent: Sequence[Hash32]) -> list[Receipt]:
        receipts = [self.engine.receipt(transaction_hash) for transaction_hash in sent]
        assert all(receipts)
        return [receipt for receipt in receipts if receipt]

    def _find(self, sent: Sequence[Hash32]) -> list[Receipt]:
        receipts = [receipt for receipt in map(self.engine.receipt, sent) if receipt]
        blocks = {receipt.block_number for receipt in receipts}
        if len(receipts) != len(sent) or blocks != {self.at + 1}:
            raise RunMismatch(
                f"block {self.at + 1} does not hold the transactions that this run puts there", block=self.at + 1
            )
        return receipts
