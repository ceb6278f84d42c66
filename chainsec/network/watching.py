"""Gives a chain's watch what a node, or who reads a chain, really sees: messages, sealed headers, transactions, gas.

The watch knows no chain: blocks and messages become plain values here. A validator hears messages, so that the last
one to answer is no different from the first; who only follows knows of others what stands in headers, a quorum's seals
of each block. Layer: network. Not here: what is alarming (``defence``), proof of a lie (``misconduct``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from chainsec.defence.chainrules import explain
from chainsec.defence.chainwatch import Call, ChainWatch, RollCall, WatchSettings
from chainsec.errors import TransactionRefused
from chainsec.network.committee import catch_up_size, select_proposer
from chainsec.network.execution import decode_raw
from chainsec.network.messages import Code, seal_author
from chainsec.network.misconduct import Statement, Witness, list_statements, seal_statements
from chainsec.network.run import play_scenario
from chainsec.primitives import Address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from chainsec.defence.observation import Threat
    from chainsec.ledger.engine import Block as LedgerBlock
    from chainsec.ledger.engine import Engine
    from chainsec.network.header import Block, Header
    from chainsec.network.messages import Message
    from chainsec.network.node import Node
    from chainsec.network.run import Played
    from chainsec.network.scenario import NetworkScenario
    from chainsec.network.simulation import Simulation

__all__ = ["Alert", "LedgerLookout", "Lookout", "list_turns", "place_of", "watch_run"]

_SECOND_US = 1_000_000
_SELECTOR_BYTES = 4
_MOST_CALLED = 10_000


class Alert(NamedTuple):
    """What a watch has found, when, and how high the observer's chain was then."""

    time_us: int
    height: int
    threat: Threat


def place_of(to: bytes | None, data: bytes) -> str:
    """Return what a transaction is about: contract and function.

    >>> place_of(bytes(20), bytes.fromhex("a9059cbb00"))
    '0x0000000000000000000000000000000000000000:a9059cbb'
    >>> place_of(None, b"")
    'a new contract'
    """
    return f"{Address(to)}:{data[:_SELECTOR_BYTES].hex()}" if to else "a new contract"


def list_turns(header: Header, parent: Header) -> list[tuple[Address, bool]]:
    """Return whose turns to propose came to nothing before a block, and who made it, with whether the turn was kept.

    A block that is proposed again in a later round counts for the first turn of who made it: that the rounds between
    ended without it is nobody's doing that a header tells.
    """
    turns = []
    for round_ in range(header.extra.round + 1):
        proposer = select_proposer(header.extra.validators, parent.coinbase, round_)
        turns.append((proposer, proposer == header.coinbase))
        if proposer == header.coinbase:
            break
    return turns


class Lookout:
    """One node's watch over the network around it.

    Args:
        network: before it starts.
        observer: the node's number; the first honest one by default.
        settings: how the watch judges.
        organisation_of: names the organisation behind a sender, or nobody.

    ``alerts`` holds what was found; each is in the network's trace too, and so among its report's incidents.
    """

    def __init__(
        self,
        network: Simulation,
        observer: int | None = None,
        settings: WatchSettings | None = None,
        organisation_of: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        honest = (node.number for node in network.nodes if node.number not in network.plan.roles)
        self.network = network
        self.node: Node = network.nodes[next(honest) if observer is None else observer]
        self.watch = ChainWatch(settings)
        self.alerts: list[Alert] = []
        self._organisation_of = organisation_of
        self._witness = Witness()
        self._position = (0, 0)
        self._heard: set[Address] = set()
        self._called: set[tuple[Address, int]] = set()
        self._lies: dict[int, Address] = {}
        self.node.on_message.append(self._on_message)
        self.node.on_refusal.append(self._on_refusal)
        network.on_import.append(self._on_import)

    @property
    def _now_s(self) -> int:
        return self.node.now_us // _SECOND_US

    def _on_message(self, message: Message) -> None:
        height = self.node.validator.height
        members = height.members
        for statement in list_statements(message):
            if statement.author in members:
                self._hear(statement)
        author = message.author
        if author is None or author not in members or author == self.node.address:
            return
        position = (height.number, max(0, self.node.validator.round_number))
        if position != self._position:
            self._call_the_roll(position, height.validators)
        self._heard.add(author)
        if message.code == Code.COMMIT:
            self._check_seal(message, author)
        elif message.code == Code.ROUND_CHANGE and message.height == height.number:
            self._count_call(message, author)

    def _hear(self, statement: Statement) -> None:
        other = self._witness.hear(statement, self.node.chain.height + 1)
        if other is None:
            return
        self._lies[statement.height] = statement.author
        proofs = (_hex(other.proof), _hex(statement.proof))
        about = {"message": _name(statement.code), "height": statement.height, "round": statement.round}
        self._raise(self.watch.observe_proof("equivocation", str(statement.author), self._now_s, proofs, about))

    def _check_seal(self, message: Message, author: Address) -> None:
        commit = message.signed.payload
        if seal_author(commit.digest, commit.seal) == author:
            return
        proof = next(list_statements(message)).proof
        about = {"height": commit.height, "round": commit.round}
        proofs = (_hex(proof), _hex(commit.seal))
        self._raise(self.watch.observe_proof("bad_seal", str(author), self._now_s, proofs, about))

    def _count_call(self, message: Message, author: Address) -> None:
        call = (author, message.round)
        if call not in self._called and len(self._called) < _MOST_CALLED:
            self._called.add(call)
            self._raise(self.watch.observe_sent(self._now_s, str(author), kind="round_changes"))

    def _call_the_roll(self, position: tuple[int, int], validators: Sequence[Address]) -> None:
        """Note who spoke since the last round began, unless so few did that the observer may be what is cut off."""
        if position[0] != self._position[0]:
            self._called.clear()
        others = [validator for validator in validators if validator != self.node.address]
        spoke = sum(other in self._heard for other in others)
        if spoke and 1 + spoke >= catch_up_size(len(validators)):
            self._note_roll(self._position[0], others, self._heard)
            for other in others:
                self._raise(self.watch.observe_sent(self._now_s, str(other), kind="round_changes", count=0))
        self._position = position
        self._heard = set()

    def _note_roll(self, height: int, validators: Iterable[Address], heard: set[Address]) -> None:
        present = [str(validator) for validator in validators if validator in heard]
        absent = [str(validator) for validator in validators if validator not in heard]
        self._raise(self.watch.observe_roll_call(RollCall(self._now_s, height, present, absent)))

    def _on_import(self, node: Node, block: Block) -> None:
        if node is not self.node:
            return
        header, parent = block.header, node.chain.blocks[-2].header
        liars = {self._lies.get(height) for height in (block.number - 1, block.number)}
        self._lies = {height: liar for height, liar in self._lies.items() if height >= block.number}
        for proposer, is_kept in list_turns(header, parent):
            if liars != {None} and not is_kept and proposer not in liars:  # whom a lie led astray is not to blame
                continue
            self._raise(self.watch.observe_turn(self._now_s, block.number, str(proposer), is_kept=is_kept))
        seals = list(seal_statements(header))
        for statement in seals:
            self._hear(statement)
        validators = header.extra.validators
        if node.address not in validators:
            self._note_roll(block.number, validators, {header.coinbase, *(seal.author for seal in seals)})
        fill_rate = header.gas_used / header.gas_limit
        self._raise(self.watch.observe_block(self._now_s, block.number, str(header.coinbase), fill_rate))
        for call in self._list_calls():
            self._note_call(call)

    def _list_calls(self) -> Iterator[Call]:
        executed = self.node.chain.executed[-1]
        assert executed is not None
        before = 0
        for transaction, until, has_failed in zip(
            executed.transactions, executed.gas_until, executed.has_failed, strict=True
        ):
            yield _call_of(transaction, self._now_s, gas=until - before, is_refused=has_failed)
            before = until

    def _on_refusal(self, raw: bytes, error: Exception) -> None:
        """Note a transaction that the permissions do not allow; what no chain takes says nothing of its sender."""
        if not isinstance(error, TransactionRefused):
            self._note_call(_call_of(decode_raw(raw), self._now_s, gas=0, is_refused=True))

    def _note_call(self, call: Call) -> None:
        self._raise(self.watch.observe_call(call))
        for sender in (call.sender, self._organisation_of(call.sender)):
            if sender is not None:
                self._raise(self.watch.observe_sent(call.time_s, sender))

    def _raise(self, threats: Iterable[Threat]) -> None:
        for threat in threats:
            time_us = max(self.node.moment_us, self.network.time_us)
            self.alerts.append(Alert(time_us, self.node.chain.height, threat))
            names = {str(node.address): node.name for node in self.network.nodes}
            said = explain(threat.kind, threat.evidence)
            self.node.note("alert", -1, f"{names.get(threat.requester, threat.requester)} {said}")


class LedgerLookout:
    """Watches the transactions of a chain that is read through an ``Engine``.

    Args:
        engine: the chain.
        watch: what is told of them.
        organisation_of: names the organisation behind a sender, or nobody.
        is_refusal: whether a failed transaction's revert data say that it was not allowed; any failure by default.
        since: the last block that is of no interest; the last final one by default.

    ``cursor`` is the last block that was read.
    """

    def __init__(
        self,
        engine: Engine,
        watch: ChainWatch,
        organisation_of: Callable[[str], str | None] = lambda _: None,
        is_refusal: Callable[[bytes], bool] = lambda _: True,
        since: int | None = None,
    ) -> None:
        self.engine = engine
        self.watch = watch
        self.cursor = engine.final_block() if since is None else since
        self._organisation_of = organisation_of
        self._is_refusal = is_refusal

    def follow(self, until: int | None = None) -> list[Threat]:
        """Read the blocks that have become final since the last time, and return what they reveal.

        Args:
            until: the last block to read, as for who goes over a chain again; all by default.
        """
        found: list[Threat] = []
        final = self.engine.final_block()
        last = final if until is None else min(until, final)
        while self.cursor < last:
            self.cursor += 1
            block = self.engine.block(self.cursor)
            for call in self._list_calls(block):
                found += self.watch.observe_call(call)
                for sender in (call.sender, self._organisation_of(call.sender)):
                    found += self.watch.observe_sent(call.time_s, sender) if sender is not None else []
        return found

    def _list_calls(self, block: LedgerBlock) -> Iterator[Call]:
        for key, receipt in zip(block.transaction_hashes, self.engine.receipts(block.transaction_hashes), strict=True):
            transaction = self.engine.transaction(key)
            assert transaction is not None
            assert receipt is not None
            failure = None if receipt.status else self.engine.failure(key)
            yield Call(
                time_s=block.timestamp,
                sender=str(transaction.sender),
                place=place_of(transaction.to, transaction.data),
                size_bytes=len(transaction.data),
                gas=receipt.gas_used,
                is_refused=failure is not None and self._is_refusal(failure.data),
                name=_hex(key),
            )


def watch_run(
    scenario: NetworkScenario,
    folder: Path | None = None,
    *,
    observer: int | None = None,
    settings: WatchSettings | None = None,
) -> tuple[Played, Lookout]:
    """Play a scenario with a node on the lookout; arguments as for ``play_scenario`` and ``Lookout``."""
    lookouts: list[Lookout] = []
    played = play_scenario(
        scenario, folder, on_network=lambda network: lookouts.append(Lookout(network, observer, settings))
    )
    return played, lookouts[0]


def _call_of(transaction: Any, time_s: int, *, gas: int, is_refused: bool) -> Call:
    return Call(
        time_s=time_s,
        sender=str(Address(transaction.sender)),
        place=place_of(bytes(transaction.to) or None, bytes(transaction.data)),
        size_bytes=len(transaction.data),
        gas=gas,
        is_refused=is_refused,
        name=_hex(transaction.hash),
    )


def _name(code: Code) -> str:
    return code.name.lower().replace("_", " ")


def _hex(content: bytes) -> str:
    return "0x" + content.hex()
