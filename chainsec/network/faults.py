"""Lets go wrong what a scenario lists, when it says so, and puts it right again.

Layer: network. Not here: what a scenario may say (``scenario``), validators that break the rules (``byzantine``).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

from chainsec.network.extradata import Vote
from chainsec.network.permissions import Allowlist

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainsec.network.links import Link
    from chainsec.network.load import Traffic
    from chainsec.network.node import Node
    from chainsec.network.scenario import Fault
    from chainsec.network.simulation import Simulation

__all__ = ["plan_fault"]

_SECOND_US = 1_000_000
_MS_US = 1_000


def plan_fault(network: Simulation, fault: Fault, traffic: Traffic) -> None:
    """Put a fault, and its end, on a network's calendar.

    Args:
        network: before it starts.
        fault: checked against the network's size.
        traffic: the clients, whom a fault may name.
    """
    begin, end = _ACTS[fault.kind](network, fault, traffic)
    network.schedule(round(fault.at_s * _SECOND_US), begin)
    if fault.until_s is not None:
        network.schedule(round(fault.until_s * _SECOND_US), end)


_Acts = tuple["Callable[[], None]", "Callable[[], None]"]


def _nodes(network: Simulation, fault: Fault) -> list[Node]:
    return [network.nodes[number] for number in fault.nodes]


def _crash(network: Simulation, fault: Fault, _: Traffic) -> _Acts:
    nodes = _nodes(network, fault)

    def begin() -> None:
        for node in nodes:
            network.crash(node)

    def end() -> None:
        for node in nodes:
            network.restart(node, is_wiped=fault.kind == "wipe")

    return begin, end


def _partition(network: Simulation, fault: Fault, _: Traffic) -> _Acts:
    group_of = {number: place for place, group in enumerate(fault.groups) for number in group}
    apart = [
        (one, other)
        for one, other in combinations(network.nodes, 2)
        if group_of.get(one.number) != group_of.get(other.number)
    ]

    def begin() -> None:
        network.note(network.nodes[0], "partition", -1, str(fault.groups))
        for one, other in apart:
            network.sever(one, other)

    def end() -> None:
        network.note(network.nodes[0], "healed", -1)
        for one, other in apart:
            network.mend(one, other)

    return begin, end


def _skew(network: Simulation, fault: Fault, _: Traffic) -> _Acts:
    change_us = round(fault.skew_ms * _MS_US)

    def shift(by_us: int) -> None:
        for node in _nodes(network, fault):
            node.skew_us += by_us
            node.note("clock", -1, f"{node.skew_us / _MS_US:g} ms off")

    return lambda: shift(change_us), lambda: shift(-change_us)


def _slow(network: Simulation, fault: Fault, _: Traffic) -> _Acts:
    def scale(factor: float) -> None:
        for node in _nodes(network, fault):
            node.slowness *= factor
            node.note("speed", -1, f"{1 / node.slowness:g}")

    return lambda: scale(fault.factor), lambda: scale(1 / fault.factor)


def _links(network: Simulation, fault: Fault, _: Traffic) -> _Acts:
    def is_meant(one: Node, other: Node) -> bool:
        return (not fault.senders or one.region in fault.senders) and (
            not fault.receivers or other.region in fault.receivers
        )

    def change(link: Link) -> Link:
        return replace(
            link,
            latency_ms=link.latency_ms * fault.factor,
            jitter_ms=link.jitter_ms if fault.jitter_ms is None else fault.jitter_ms,
            bandwidth_mbps=link.bandwidth_mbps if fault.bandwidth_mbps is None else fault.bandwidth_mbps,
            loss_rate=link.loss_rate if fault.loss_rate is None else fault.loss_rate,
        )

    def begin() -> None:
        network.note(network.nodes[0], "links", -1, "changed")
        network.relink(is_meant, change)

    def end() -> None:
        network.note(network.nodes[0], "links", -1, "restored")
        network.relink(is_meant, lambda link: link)

    return begin, end


def _vote(network: Simulation, fault: Fault, _: Traffic) -> _Acts:
    assert fault.subject is not None
    vote = Vote(network.nodes[fault.subject].address, fault.is_add)

    def begin() -> None:
        for node in _nodes(network, fault):
            node.chain.wishes = [wish for wish in node.chain.wishes if wish.subject != vote.subject] + [vote]
            node.note("vote", -1, f"{'add' if vote.is_add else 'drop'} {network.nodes[fault.subject or 0].name}")

    def end() -> None:
        for node in _nodes(network, fault):
            node.chain.wishes = [wish for wish in node.chain.wishes if wish != vote]

    return begin, end


def _allow(network: Simulation, fault: Fault, traffic: Traffic) -> _Acts:
    accounts = {traffic.client(number) for number in fault.accounts}

    def change(*, is_add: bool) -> None:
        for node in network.nodes:
            rules = node.chain.rulebook
            if isinstance(rules, Allowlist):
                rules.accounts = rules.accounts | accounts if is_add else rules.accounts - accounts
        for number in fault.accounts:
            traffic.set_client(number, is_allowed=is_add)
        network.note(network.nodes[0], "allowlist", -1, f"{'+' if is_add else '-'}{len(accounts)}")

    return lambda: change(is_add=fault.is_add), lambda: change(is_add=not fault.is_add)


_ACTS: dict[str, Callable[[Simulation, Fault, Traffic], _Acts]] = {
    "crash": _crash,
    "wipe": _crash,
    "partition": _partition,
    "skew": _skew,
    "slow": _slow,
    "links": _links,
    "vote": _vote,
    "allow": _allow,
}
