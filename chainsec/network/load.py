"""Clients of the network: sign transactions, send them when a scenario says so, and wait for each to become final.

Layer: network. Not here: reading an access log (its times come as numbers), what is made of the waiting times
(``measure``).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from typing import TYPE_CHECKING

from chainsec.digest import keccak
from chainsec.ledger.account import Account
from chainsec.network.provision import Drafts, PermissionDesk, bind_offline, deploy_offline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainsec.network.header import Block
    from chainsec.network.node import Node
    from chainsec.network.sections import Load
    from chainsec.network.simulation import Simulation
    from chainsec.primitives import Address

__all__ = ["Traffic"]

_SECOND_US = 1_000_000
_TICK_US = 10_000
"""Clients send in steps of a hundredth of a second."""
_SETUP_US = 100_000
_RESEND_US = 10_000_000
"""What is not final after ten seconds is sent again, to the next node."""
_OPEN_GAS, _TOKEN_GAS = 150_000, 120_000
_SUPPLY = 10**30


class Traffic:
    """What clients send to a network, and what became of it.

    Args:
        network: before it starts.
        load: what is sent.
        end_us: virtual time at which the scenario ends.
        has_permissions: put ``NodePermissions`` on the network first, and admit the clients.
        times_s: of ``log``: when each request is made, from the first on.

    ``sent_us`` and ``final_us`` hold virtual times by a transaction's hash; ``failed`` counts what was reverted on
    chain. They and ``refused`` are about the load alone: not what sets it up, nor what changes permissions.
    """

    def __init__(
        self,
        network: Simulation,
        load: Load,
        end_us: int,
        *,
        has_permissions: bool = False,
        times_s: Sequence[float] = (),
    ) -> None:
        self.network = network
        self.load = load
        self.sent_us: dict[bytes, int] = {}
        self.final_us: dict[bytes, int] = {}
        self._refusals: dict[bytes, str] = {}
        self.failed = 0
        self._seed = network.plan.seed.to_bytes(8, "big")
        self._drafts = Drafts(network.plan.genesis.chain_id, load.gas_price_wei)
        self._senders = [Account.derive(self._seed, f"client {place}") for place in range(load.senders)]
        self._deployer = Account.derive(self._seed, "deployer of loads")
        self._waiting: dict[bytes, tuple[int, bytes, int]] = {}
        self._held: dict[bytes, dict[int, bool]] = {}
        self._count = 0
        self._due = 0.0
        self._times_us = [round(time_s * _SECOND_US / load.speed_up) for time_s in times_s]
        self._end_us = end_us if load.until_s is None else min(end_us, round(load.until_s * _SECOND_US))
        self._begin_us = round(load.from_s * _SECOND_US)
        self.desk: PermissionDesk | None = None
        network.on_import.append(self._note_final)
        setup = self._prepare(has_permissions=has_permissions)
        if setup:
            network.schedule(_SETUP_US, lambda: self._send_together(setup))
        if load.kind != "none":
            network.schedule(self._begin_us, self._tick)
        network.schedule(_RESEND_US, self._resend)

    def client(self, number: int) -> Address:
        """Return the address of a client's account."""
        return self._senders[number % len(self._senders)].address

    @property
    def refused(self) -> Counter[str]:
        """How many transactions a node has refused, by the reason that was given first."""
        return Counter(self._refusals.values())

    @property
    def accounts(self) -> set[Address]:
        """Everybody who sends anything."""
        return {self._deployer.address, *(sender.address for sender in self._senders)}

    def _prepare(self, *, has_permissions: bool) -> list[bytes]:
        plan = self.network.plan
        deployer = self._deployer
        if self.load.kind != "none":
            name, arguments = ("Token", [_SUPPLY]) if self.load.action == "token" else ("Accounts", [])
            self._contract = bind_offline(name, deploy_offline(self._drafts, deployer, name, *arguments))
            if name == "Token":
                for sender in self._senders:
                    data = self._contract.encode("transfer", sender.address, _SUPPLY // (2 * len(self._senders)))
                    self._drafts.transact(deployer, self._contract.address, data, gas=_TOKEN_GAS)
        if has_permissions:
            nodes = [plan.account(number) for number in range(len(plan.regions))]
            self.desk = PermissionDesk(self._seed, self._drafts, nodes, plan.validators, self._senders)
        return self._drafts.take()

    def set_client(self, number: int, *, is_allowed: bool) -> None:
        """Let the permissions' contract take a client on, or let it go."""
        if self.desk is not None:
            self.desk.set_client(self.client(number), is_allowed=is_allowed)
            self._send_together(self._drafts.take())

    def _tick(self) -> None:
        """Send what has come due since the last tick."""
        now_us = self.network.time_us
        if now_us >= self._end_us:
            return
        for _ in range(self._new_count(now_us)):
            self._draft(self._count)
            self._count += 1
        raws = self._drafts.take()
        if raws:
            self._send(raws)
        self.network.schedule(now_us + _TICK_US, self._tick)

    def _new_count(self, now_us: int) -> int:
        load, passed_us = self.load, now_us - self._begin_us
        if load.kind == "maximum":
            return max(0, load.waiting - len(self._waiting))
        if load.kind == "log":
            return bisect_right(self._times_us, passed_us) - self._count
        rate = load.rate_per_s
        if load.kind == "linear":
            span_us = max(1, self._end_us - self._begin_us)
            rate += (load.end_rate_per_s - load.rate_per_s) * passed_us / span_us
        self._due += rate * _TICK_US / _SECOND_US
        count = int(self._due)
        self._due -= count
        return count

    def _draft(self, number: int) -> None:
        load, sender = self.load, self._senders[number % len(self._senders)]
        if load.action == "token":
            receiver = Account.derive(self._seed, f"holder {number % 1_000}").address
            data, gas = self._contract.encode("transfer", receiver, 1), _TOKEN_GAS
        elif load.action == "transfer" and number >= 2 * len(self._senders):
            first = number % (2 * len(self._senders))
            data = self._contract.encode("transfer", f"account {first}", f"account {first ^ 1}", 1)
            gas = _OPEN_GAS
        else:
            data, gas = self._contract.encode("open", f"account {number}", 10_000), _OPEN_GAS
        self._drafts.transact(sender, self._contract.address, data, gas=gas)

    def _send(self, raws: Sequence[bytes]) -> None:
        now_us = self.network.time_us
        by_node: dict[int, list[bytes]] = {}
        for raw in raws:
            node = self._entry(len(self.sent_us))
            transaction_hash = keccak(raw)
            self.sent_us[transaction_hash] = now_us
            self._waiting[transaction_hash] = (now_us, raw, node.number)
            by_node.setdefault(node.number, []).append(raw)
        self._submit(by_node)

    def _send_together(self, raws: Sequence[bytes]) -> None:
        """Send what only makes sense in its order, to one node; it does not count as load."""
        node = self._entry(0)
        for raw in raws:
            self._waiting[keccak(raw)] = (self.network.time_us, raw, node.number)
        self._submit({node.number: list(raws)})

    def _submit(self, by_node: dict[int, list[bytes]]) -> None:
        for number, raws in by_node.items():
            node = self.network.nodes[number]
            if node.is_up:
                node.begin(self.network.time_us)
                outcomes = node.submit(raws)
            else:
                outcomes = ["the node is down"] * len(raws)
            for raw, outcome in zip(raws, outcomes, strict=True):
                key = keccak(raw)
                if outcome is not None and key in self.sent_us:
                    self._refusals.setdefault(key, outcome)

    def _entry(self, number: int) -> Node:
        """Return the node that takes a transaction, or the next one that is up."""
        nodes = self.network.nodes
        first = number if self.load.entry is None else self.load.entry
        for step in range(len(nodes)):
            node = nodes[(first + step) % len(nodes)]
            if node.is_up:
                return node
        return nodes[first % len(nodes)]

    def _resend(self) -> None:
        """Send what should have been final by now once more, to another node."""
        now_us = self.network.time_us
        by_node: dict[int, list[bytes]] = {}
        for key, (sent_us, raw, number) in list(self._waiting.items()):
            if now_us - sent_us >= _RESEND_US:
                node = self._entry(number + 1)
                self._waiting[key] = (now_us, raw, node.number)
                if node.number in self._held.get(key, {}):  # it is there already: the other node kept that to itself
                    self._finish(key, now_us)
                else:
                    by_node.setdefault(node.number, []).append(raw)
        self._submit(by_node)
        self.network.schedule(now_us + _SECOND_US, self._resend)

    def _note_final(self, node: Node, block: Block) -> None:
        executed = node.chain.executed[-1]
        assert executed is not None
        for raw, has_failed in zip(block.transactions, executed.has_failed, strict=True):
            key = keccak(raw)
            waiting = self._waiting.get(key)
            if waiting is not None:
                self._held.setdefault(key, {})[node.number] = has_failed
                if waiting[2] == node.number:
                    self._finish(key, node.moment_us)

    def _finish(self, key: bytes, time_us: int) -> None:
        has_failed = self._held.pop(key)
        node = self._waiting.pop(key)[2]
        if key in self.sent_us:
            self.final_us[key] = time_us
            self.failed += has_failed[node]
