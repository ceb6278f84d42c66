"""Owns the nonces of the accounts that send through it, and keeps what they sent until it can no longer be lost.

A transaction that vanished, from a pool or with a block, is sent again as it was signed: with its nonce it takes
effect once at most, and closes the gap behind which later ones wait.
Layer: ledger. Not here: what is sent and when a block is made (``client``).
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from chainsec.errors import LedgerError, RunMismatch, TransactionRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainsec.ledger.account import Account, SignedTransaction
    from chainsec.ledger.engine import Engine, Receipt
    from chainsec.primitives import Address, Hash32

__all__ = ["Message", "Outbox"]

_LOOK_EVERY_S = 0.05
_SURE_AFTER_S = 1.0
"""How long a network is asked again before what it does not know of is taken to be nowhere: its nodes may lag."""
_MOST_UNFINAL = 200


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
    """

    def __init__(self, engine: Engine, *, is_replay: bool, patience_s: float) -> None:
        self._engine = engine
        self._is_replay = is_replay
        self._patience_s = patience_s
        self._clock = time.monotonic
        self._sleep = time.sleep
        self._nonces: dict[Address, int] = {}
        self._rewinds = engine.rewinds
        self._doubtful: dict[tuple[Address, Message], SignedTransaction] = {}
        self._unsettled: dict[Hash32, SignedTransaction] = {}
        self._unfinal: dict[Hash32, tuple[SignedTransaction, int]] = {}

    def draft(self, account: Account, message: Message) -> SignedTransaction:
        """Return ``message`` as the transaction that ``account`` would send next, signed.

        Where sending it failed with an open end, it is the same one again, unless others have surely taken its nonce.
        """
        doubtful = self._doubtful.get((account.address, message))
        if doubtful is not None and not self._is_gone(doubtful):
            return doubtful
        return account.sign(
            nonce=self._next_nonce(account.address), chain_id=self._engine.chain_id, **message._asdict()
        )

    def _is_gone(self, transaction: SignedTransaction) -> bool:
        """Tell whether a transaction of unknown fate can never take effect: its nonce is another's."""
        if self._rewinds != self._engine.rewinds:
            return True
        return self._engine.nonce(transaction.sender) > transaction.nonce and self._is_others(transaction)

    def pass_over(self, transaction: SignedTransaction) -> None:
        """Count a transaction as sent that stands on chain already."""
        self._nonces[transaction.sender] = max(self._nonces.get(transaction.sender, 0), transaction.nonce + 1)
        self._unsettled[transaction.hash] = transaction
        self._doubtful = {key: one for key, one in self._doubtful.items() if one.hash != transaction.hash}

    def send(self, account: Account, message: Message, transaction: SignedTransaction) -> Hash32:
        """Send what was drafted of ``message``; with the nonce that is free where others used its own.

        Raises:
            TransactionRefused: the engine does not take it; the nonce stays free.
            NodeUnreachable: whether the engine has taken it is unknown. The same message sent again takes effect once.
            RunMismatch: in a replay, the nonce was used for something else.
        """
        self._doubtful[account.address, message] = transaction  # until it is known what became of it
        try:
            self._engine.send(transaction.raw)
        except TransactionRefused as error:
            if self._engine.next_nonce(account.address) <= transaction.nonce:
                del self._doubtful[account.address, message]
                raise
            if self._is_others(transaction):
                del self._doubtful[account.address, message]
                if self._is_replay:
                    raise RunMismatch(
                        f"{account.address} has used nonce {transaction.nonce} for something else than this run sends",
                        sender=account.address,
                        nonce=transaction.nonce,
                    ) from error
                self._nonces.pop(account.address, None)
                return self.send(account, message, self.draft(account, message))
        self.pass_over(transaction)
        return transaction.hash

    def _is_others(self, transaction: SignedTransaction) -> bool:
        """Tell whether a nonce went to another transaction than this one; of a network once that is sure.

        Raises:
            LedgerError: another one waits there, and is not mined in time.
        """
        begun, used_since = self._clock(), None
        while self._engine.transaction(transaction.hash) is None:
            if self._engine.makes_blocks:
                return True
            now = self._clock()
            if self._engine.nonce(transaction.sender) > transaction.nonce:
                used_since = used_since or now
                if now - used_since >= _SURE_AFTER_S:
                    return True
            elif now - begun > self._patience_s:
                raise LedgerError(
                    f"nonce {transaction.nonce} of {transaction.sender} is held by another transaction, not mined "
                    f"within {self._patience_s:g} s",
                    sender=transaction.sender,
                    nonce=transaction.nonce,
                )
            self._sleep(_LOOK_EVERY_S)
        return False

    def is_waiting(self, key: Hash32) -> bool:
        """Tell whether a transaction was sent and may still be mined."""
        return key in self._unsettled

    def collect(self, sent: Sequence[Hash32]) -> list[Receipt]:
        """Return the receipts of what was sent; where the network makes the blocks, once all of it stands in some.

        Raises:
            LedgerError: the block that was made, or the blocks that came, left something out. It can be collected
                later, but for what has lost its nonce to another transaction.
        """
        receipts = self._await([self._unsettled[key] for key in dict.fromkeys(sent)])
        for receipt in receipts:
            transaction = self._unsettled.pop(receipt.transaction_hash)
            if not self._engine.makes_blocks:
                self._unfinal[transaction.hash] = (transaction, receipt.block_number)
        if len(self._unfinal) > _MOST_UNFINAL:
            with suppress(LedgerError):  # what was mined is told in any case; forgetting can wait
                self._find_lost()
        return receipts

    def mend(self) -> list[Receipt]:
        """Send again what a reorganisation has thrown out of the chain, and return the new receipts.

        What stood in one block before goes out together and is waited for before the next, so that what rests on
        something earlier finds it there. What became final since is forgotten.

        Raises:
            LedgerError: it is not mined in time, or somebody else has used its nonce.
        """
        mended: list[Receipt] = []
        for _, group in sorted(self._find_lost().items()):
            for receipt in self._await(group):
                transaction, _ = self._unfinal[receipt.transaction_hash]
                self._unfinal[receipt.transaction_hash] = transaction, receipt.block_number
                mended.append(receipt)
        return mended

    def _find_lost(self) -> dict[int, list[SignedTransaction]]:
        """Return what no longer stands on chain, by the block it stood in, and forget what became final."""
        lost: dict[int, list[SignedTransaction]] = {}
        keys = list(self._unfinal)
        final = self._engine.final_block() if keys else 0
        for key, receipt in zip(keys, self._engine.receipts(keys), strict=True):
            transaction, number = self._unfinal[key]
            if receipt is None:
                lost.setdefault(number, []).append(transaction)
            elif receipt.block_number <= final:
                del self._unfinal[key]
            else:
                self._unfinal[key] = (transaction, receipt.block_number)
        return lost

    def _await(self, transactions: Sequence[SignedTransaction]) -> list[Receipt]:
        """Return the receipts of transactions; what gets lost on the way, or holds them up, is sent again."""
        begun = self._clock()
        keys = [transaction.hash for transaction in transactions]
        used_since: dict[Hash32, float] = {}
        while True:
            found = self._engine.receipts(keys)
            receipts = [receipt for receipt in found if receipt is not None]
            if len(receipts) == len(keys):
                return receipts
            missing = [one for one, receipt in zip(transactions, found, strict=True) if receipt is None]
            if self._engine.makes_blocks:
                for transaction in missing:
                    if self._engine.transaction(transaction.hash) is None:  # it waits no more
                        self._unsettled.pop(transaction.hash, None)
                head = self._engine.head().number
                raise LedgerError(f"block {head} holds {len(receipts)} of {len(keys)} transactions", block=head)
            if self._clock() - begun > self._patience_s:
                raise LedgerError(
                    f"{len(receipts)} of {len(keys)} transactions were mined within {self._patience_s:g} s",
                    mined=len(receipts),
                    sent=len(keys),
                )
            now, used = self._clock(), self._send_again(missing)
            used_since = {transaction.hash: used_since.get(transaction.hash, now) for transaction in used}
            for transaction in used:
                if now - used_since[transaction.hash] >= _SURE_AFTER_S:
                    self._unsettled.pop(transaction.hash, None)
                    self._unfinal.pop(transaction.hash, None)
                    raise LedgerError(
                        f"another transaction of {transaction.sender} has taken nonce {transaction.nonce}",
                        sender=transaction.sender,
                        nonce=transaction.nonce,
                    )
            self._sleep(_LOOK_EVERY_S)

    def _send_again(self, missing: Sequence[SignedTransaction]) -> list[SignedTransaction]:
        """Send what the engine knows nothing of and what it waits behind, each sender's in the order of nonces.

        Returns:
            Those whose nonce was used, by themselves in a block that came just now or by another transaction.
        """
        kept = [*self._unsettled.values(), *(transaction for transaction, _ in self._unfinal.values())]
        used: list[SignedTransaction] = []
        for sender in dict.fromkeys(transaction.sender for transaction in missing):
            own = [transaction for transaction in missing if transaction.sender == sender]
            mined, last = self._engine.nonce(sender), max(transaction.nonce for transaction in own)
            used += [transaction for transaction in own if transaction.nonce < mined]
            behind = {one.nonce: one for one in kept if one.sender == sender and mined <= one.nonce <= last}
            for _, transaction in sorted(behind.items()):
                if self._engine.transaction(transaction.hash) is not None:
                    continue
                try:
                    self._engine.send(transaction.raw)
                except TransactionRefused:
                    if self._engine.next_nonce(sender) <= transaction.nonce:
                        raise
        return used

    def _next_nonce(self, address: Address) -> int:
        if self._is_replay:
            return self._nonces.get(address, 0)
        if self._rewinds != self._engine.rewinds:
            self._nonces.clear()
            self._doubtful.clear()
            self._rewinds = self._engine.rewinds
        if address not in self._nonces:
            self._nonces[address] = self._engine.next_nonce(address)
        return self._nonces[address]
