"""Who may validate, connect and transact: what the network's contract says, as of a block's parent.

Answers are kept by the root of the contract's storage: the contract's views read nothing else, so that the same root
gives the same answers. Layer: network. Not here: the contract itself (``contracts/NodePermissions.sol``), its acts
(``services.permissions``).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Protocol

from chainsec.digest import keccak
from chainsec.ledger import evm
from chainsec.ledger.engine import CALL_GAS
from chainsec.network.extradata import Vote
from chainsec.primitives import ZERO_ADDRESS, Address

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from chainsec.network.execution import Executor
    from chainsec.network.header import Block, Header

__all__ = ["Allowlist", "ContractRules", "OpenRules", "Rulebook"]

_CACHED_ANSWERS = 65_536
_WORD = 32
_MAY_TRANSACT = keccak(b"mayTransact(address,bool)")[:4]
_MAY_VALIDATE = keccak(b"mayValidate(address)")[:4]
_MAY_CONNECT = keccak(b"mayConnect(address)")[:4]


class Rulebook(Protocol):
    """Who may do what, after a block."""

    def forbids(self, parent: Header, transaction: Any) -> str | None:
        """Return why a transaction may not stand in the block after ``parent``, or None."""

    def forbids_block(self, parent: Header, block: Block, transactions: Collection[Any]) -> str | None:
        """Return what in a block is not allowed after ``parent``, or None."""

    def forbids_vote(self, parent: Header, vote: Vote) -> str | None:
        """Return why a vote may not be cast after ``parent``, or None."""

    def wishes(self, parent: Header, validators: Sequence[Address]) -> list[Vote]:
        """Return what honest proposers vote for after ``parent``, whoever their operators want in or out."""

    def forbids_peer(self, head: Header, node: Address) -> str | None:
        """Return why a node may not connect, after the block ``head``, or None."""


class OpenRules:
    """A network where everybody may do everything."""

    def forbids(self, parent: Header, transaction: Any) -> str | None:  # noqa: ARG002 - as the protocol has it
        """Return None."""
        return None

    def forbids_block(self, parent: Header, block: Block, transactions: Collection[Any]) -> str | None:  # noqa: ARG002 - as the protocol has it
        """Return None."""
        return None

    def forbids_vote(self, parent: Header, vote: Vote) -> str | None:  # noqa: ARG002 - as the protocol has it
        """Return None."""
        return None

    def wishes(self, parent: Header, validators: Sequence[Address]) -> list[Vote]:  # noqa: ARG002 - as the protocol has it
        """Return nothing."""
        return []

    def forbids_peer(self, head: Header, node: Address) -> str | None:  # noqa: ARG002 - as the protocol has it
        """Return None."""
        return None


class Allowlist(OpenRules):
    """A file of accounts on each node that may transact: what Besu has left. It knows today's accounts only.

    Args:
        accounts: that may transact now; changed as the operator changes the file.
    """

    def __init__(self, accounts: Iterable[Address]) -> None:
        self.accounts = set(accounts)

    def forbids(self, parent: Header, transaction: Any) -> str | None:  # noqa: ARG002 - the file knows no heights
        """Return why a transaction may not stand in any block, or None."""
        return _not_allowed(transaction) if transaction.sender not in self.accounts else None

    def forbids_block(self, parent: Header, block: Block, transactions: Collection[Any]) -> str | None:  # noqa: ARG002 - as above
        """Return what in a block is not allowed, or None."""
        return next((fault for each in transactions if (fault := self.forbids(parent, each)) is not None), None)


class ContractRules:
    """What ``NodePermissions`` says, in the state after a block's parent; all is allowed while there is no contract.

    The contract cannot see who sits among the validators; who does stays connected and goes on sealing until it is
    voted out, and where none of those who sit may validate any more all of them may propose. Otherwise one act of the
    administrator could stop the network, with the act that would undo it waiting for a block.

    Args:
        address: of the contract.
        executor: has the states of the blocks that are asked about.
    """

    def __init__(self, address: Address, executor: Executor) -> None:
        self.address = address
        self._executor = executor
        self._answers: OrderedDict[tuple[bytes, bytes], bool] = OrderedDict()
        self._roots: OrderedDict[bytes, bytes] = OrderedDict()

    def forbids(self, parent: Header, transaction: Any) -> str | None:
        """Return why a transaction may not stand in the block after ``parent``, or None."""
        creates = (not transaction.to).to_bytes(_WORD, "big")
        data = _MAY_TRANSACT + bytes(transaction.sender).rjust(_WORD, b"\0") + creates
        return None if self._allows(parent, data) else _not_allowed(transaction)

    def forbids_block(self, parent: Header, block: Block, transactions: Collection[Any]) -> str | None:
        """Return what in a block is not allowed after ``parent``: its proposer, its vote or a transaction; or None."""
        proposer, sitting = block.header.coinbase, block.header.extra.validators
        if not self._may_validate(parent, proposer) and self._allowed(parent, sitting):
            return f"{proposer} may not validate"
        vote = block.header.extra.vote
        fault = None if vote is None else self.forbids_vote(parent, vote)
        if fault is not None:
            return fault
        return next((fault for each in transactions if (fault := self.forbids(parent, each)) is not None), None)

    def forbids_vote(self, parent: Header, vote: Vote) -> str | None:
        """Return why a vote may not be cast after ``parent``, or None: nobody is voted in who may not validate."""
        if vote.is_add and not self._may_validate(parent, vote.subject):
            return f"{vote.subject} may not validate and cannot be voted in"
        return None

    def wishes(self, parent: Header, validators: Sequence[Address]) -> list[Vote]:
        """Return votes against those validators who may not validate, as long as there is one who may."""
        allowed = self._allowed(parent, validators)
        return [Vote(node, is_add=False) for node in validators if node not in allowed] if allowed else []

    def _allowed(self, parent: Header, validators: Sequence[Address]) -> set[Address]:
        return {node for node in validators if self._may_validate(parent, node)}

    def forbids_peer(self, head: Header, node: Address) -> str | None:
        """Return why a node may not connect after the block ``head``, or None; who validates stays connected."""
        if node in head.extra.validators:
            return None
        may_connect = self._allows(head, _MAY_CONNECT + bytes(node).rjust(_WORD, b"\0"))
        return None if may_connect else f"{node} may not connect"

    def _may_validate(self, parent: Header, node: Address) -> bool:
        return self._allows(parent, _MAY_VALIDATE + bytes(node).rjust(_WORD, b"\0"))

    def _allows(self, at: Header, data: bytes) -> bool:
        key = (self._storage_root(at), data)
        found = self._answers.get(key)
        if found is None:
            found = self._answers[key] = self._ask(at, data)
            if len(self._answers) > _CACHED_ANSWERS:
                self._answers.popitem(last=False)
        return found

    def _storage_root(self, at: Header) -> bytes:
        found = self._roots.get(at.state_root)
        if found is None:
            accounts = self._executor.state_of(at)._account_db  # noqa: SLF001 - py-evm shows no storage root otherwise
            account = accounts._get_account(bytes(self.address))  # noqa: SLF001 - as above
            found = self._roots[at.state_root] = bytes(account.storage_root) + bytes(account.code_hash)
            if len(self._roots) > _CACHED_ANSWERS:
                self._roots.popitem(last=False)
        return found

    def _ask(self, at: Header, data: bytes) -> bool:
        vm = self._executor.machine_of(at)
        if not vm.state.get_code(bytes(self.address)):
            return True
        computation = evm.execute_message(
            vm, vm.state, sender=ZERO_ADDRESS, to=bytes(self.address), data=data, value=0, gas=CALL_GAS
        )
        return computation is not None and not computation.is_error and int.from_bytes(computation.output, "big") == 1


def _not_allowed(transaction: Any) -> str:
    what = "call" if transaction.to else "create a contract"
    return f"{Address(transaction.sender)} may not {what}"
