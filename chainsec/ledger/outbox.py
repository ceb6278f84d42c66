"""Owns the nonces of the accounts that send through it, and keeps what they sent until it can no longer be lost.

A transaction that vanished, from a pool or with a block, is sent again as it was signed: with its nonce it takes
effect once at most, and closes the gap behind which later ones wait.
Layer: ledger. Not here: what is sent and when a block is made (``client``).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from chainsec.errors import LedgerError, RunMismatch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainsec.ledger.account import Account, SignedTransaction
    from chainsec.ledger.engine import Engine, Receipt
    from chainsec.primitives import Address, Hash32

__all__ = ["Message", "Outbox"]

_LOOK_EVERY_S = 0.05


class Message(NamedTuple):
    """What somebody wants to send: the receiver, None to create a contract, call data, and the limit of gas."""

    to: Address | None
    data: bytes
    gas: int


class Outbox:
    """What some accounts send to one engine.

    Args:
        engine: the chain.
        is_replay: count nonces from zero instead of asking the chain.
        patience_s: how long a network may take to mine what was sent.
        clock: seconds that only go up.
        sleep: waits for so many seconds.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        is_replay: bool,
        patience_s: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._engine = engine
        self._is_replay = is_replay
        self._patience_s = patience_s
        self._clock = clock
        self._sleep = sleep
        self._nonces: dict[Address, int] = {}
        self._rewinds = engine.rewinds
        self._unsettled: dict[Hash32, SignedTransaction] = {}
        self._unfinal: dict[Hash32, tuple[SignedTransaction, int]] = {}

    def draft(self, account: Account, message: Message) -> SignedTransaction:
        """Return ``message`` as the transaction that ``account`` would send next, signed."""
        return account.sign(
            nonce=self._next_nonce(account.address), chain_id=self._engine.chain_id, **message._asdict()
        )

    def pass_over(self, transaction: SignedTransaction) -> None:
        """Count a transaction as sent that stands on chain already."""
        self._nonces[transaction.sender] = transaction.nonce + 1
        self._unsettled[transaction.hash] = transaction

    def send(self, account: Account, message: Message, transaction: SignedTransaction) -> Hash32:
        """Send what was drafted of ``message``; with the nonce that is free where others used its own.

        Raises:
            LedgerError: the engine does not take it; the nonce stays free.
            RunMismatch: in a replay, the nonce was used for something else.
        """
        try:
            self._engine.send(transaction.raw)
        except LedgerError as error:
            if self._engine.next_nonce(account.address) <= transaction.nonce:
                raise
            if self._is_replay:
                raise RunMismatch(
                    f"{account.address} has used nonce {transaction.nonce} for something else than this run sends",
                    sender=account.address,
                    nonce=transaction.nonce,
                ) from error
            self._nonces.pop(account.address, None)
            transaction = self.draft(account, message)
            self._engine.send(transaction.raw)
        self.pass_over(transaction)
        return transaction.hash

    def collect(self, sent: Sequence[Hash32]) -> list[Receipt]:
        """Return the receipts of what was sent; where the network makes the blocks, once all of it stands in some.

        Raises:
            LedgerError: the block that was made, or the blocks that came, left something out.
        """
        receipts = self._await(sent)
        for receipt in receipts:
            transaction = self._unsettled.pop(receipt.transaction_hash)
            if not self._engine.makes_blocks:
                self._unfinal[transaction.hash] = (transaction, receipt.block_number)
        return receipts

    def mend(self) -> list[Receipt]:
        """Send again what a reorganisation has thrown out of the chain, and return the new receipts.

        What stood in one block before goes out together and is waited for before the next, so that what rests on
        something earlier finds it there. What became final since is forgotten.

        Raises:
            LedgerError: it is not mined in time, or somebody else has used its nonce.
        """
        if not self._unfinal:
            return []
        final = self._engine.final_block()
        lost: dict[int, list[Hash32]] = {}
        keys = list(self._unfinal)
        for key, receipt in zip(keys, self._engine.receipts(keys), strict=True):
            transaction, number = self._unfinal[key]
            if receipt is None:
                lost.setdefault(number, []).append(key)
            elif receipt.block_number <= final:
                del self._unfinal[key]
            else:
                self._unfinal[key] = (transaction, receipt.block_number)
        mended: list[Receipt] = []
        for _, group in sorted(lost.items()):
            for receipt in self._await(group):
                self._unfinal[receipt.transaction_hash] = (
                    self._unfinal[receipt.transaction_hash][0],
                    receipt.block_number,
                )
                mended.append(receipt)
        return mended

    def _await(self, keys: Sequence[Hash32]) -> list[Receipt]:
        """Return the receipts of transactions; what gets lost on the way is sent again."""
        begun = self._clock()
        while True:
            found = self._engine.receipts(keys)
            receipts = [receipt for receipt in found if receipt is not None]
            if len(receipts) == len(keys):
                return receipts
            if self._engine.makes_blocks:
                head = self._engine.head().number
                raise LedgerError(f"block {head} holds {len(receipts)} of {len(keys)} transactions", block=head)
            if self._clock() - begun > self._patience_s:
                raise LedgerError(
                    f"{len(receipts)} of {len(keys)} transactions were mined within {self._patience_s:g} s",
                    mined=len(receipts),
                    sent=len(keys),
                )
            self._send_again([key for key, receipt in zip(keys, found, strict=True) if receipt is None])
            self._sleep(_LOOK_EVERY_S)

    def _send_again(self, missing: Sequence[Hash32]) -> None:
        """Send what the engine knows nothing of, in the order in which it was sent first."""
        for key in missing:
            if self._engine.transaction(key) is not None:
                continue
            transaction = self._unsettled.get(key) or self._unfinal[key][0]
            try:
                self._engine.send(transaction.raw)
            except LedgerError as error:
                if self._engine.nonce(transaction.sender) <= transaction.nonce:
                    raise
                if self._engine.receipt(key) is None:
                    raise LedgerError(
                        f"another transaction of {transaction.sender} has taken nonce {transaction.nonce}",
                        sender=transaction.sender,
                        nonce=transaction.nonce,
                    ) from error

    def _next_nonce(self, address: Address) -> int:
        if self._is_replay:
            return self._nonces.get(address, 0)
        if self._rewinds != self._engine.rewinds:
            self._nonces.clear()
            self._rewinds = self._engine.rewinds
        if address not in self._nonces:
            self._nonces[address] = self._engine.next_nonce(address)
        return self._nonces[address]
