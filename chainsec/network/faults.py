"""Lets go wrong what a scenario lists, when it says so, and puts it right again.

Faults overlap: what holds at any time follows from all that have begun and not ended, in the order in which they began.
Layer: network. Not here: what a scenario may say (``sections``), validators that break the rules (``byzantine``).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import combinations
from math import prod
from typing import TYPE_CHECKING

from chainsec.network.extradata import Vote
from chainsec.network.permissions import Allowlist

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainsec.network.links import Link
    from chainsec.network.load import Traffic
    from chainsec.network.node import Node
    from chainsec.network.sections import Fault
    from chainsec.network.simulation import Simulation

__all__ = ["links_over_time", "plan_faults", "slowness_of"]

_SECOND_US = 1_000_000
_MS_US = 1_000


@dataclass
class _Course:
    """What goes wrong in one network: what is planned, what lasts now, whose disk is lost, who may not transact."""

    planned: Sequence[Fault]
    lasting: list[Fault] = field(default_factory=list)
    wiped: set[int] = field(default_factory=set)
    shut_out: set[int] = field(default_factory=set)
    links: dict[tuple[str, str], list[tuple[int, Link]]] = field(default_factory=dict)

    def of(self, *kinds: str) -> list[Fault]:
        """Return what lasts now of these kinds, in the order in which it began."""
        return [fault for fault in self.lasting if fault.kind in kinds]

    def has(self, fault: Fault) -> bool:
        """Tell whether this very fault lasts now."""
        return any(each is fault for each in self.lasting)


def plan_faults(network: Simulation, faults: Sequence[Fault], traffic: Traffic) -> None:
    """Put faults, and their ends, on a network's calendar.

    Args:
        network: before it starts.
        faults: checked against the network's size.
        traffic: the clients, whom a fault may name.
    """
    course = _Course(faults)
    for fault in faults:
        _plan(network, fault, traffic, course)


def _plan(network: Simulation, fault: Fault, traffic: Traffic, course: _Course) -> None:
    settle = _SETTLE[fault.kind]

    def begin() -> None:
        course.lasting.append(fault)
        settle(network, fault, traffic, course)

    def end() -> None:
        course.lasting = [each for each in course.lasting if each is not fault]
        settle(network, fault, traffic, course)

    network.schedule(round(fault.at_s * _SECOND_US), begin)
    if fault.until_s is not None:
        network.schedule(round(fault.until_s * _SECOND_US), end)


def links_over_time(faults: Sequence[Fault], sender: str, receiver: str, usual: Link) -> list[tuple[int, Link]]:
    """Return what a link is from when on, microseconds, where faults change it; from 0 on it is what it usually is.

    Args:
        faults: of any kind.
        sender: the region that it leads from.
        receiver: the region that it leads to.
        usual: its figures without any fault.

    Raises:
        ValueError: a figure is out of range; names the fault by its place.
    """
    meant = [
        (place, fault)
        for place, fault in enumerate(faults)
        if fault.kind == "links"
        and (not fault.senders or sender in fault.senders)
        and (not fault.receivers or receiver in fault.receivers)
    ]
    meant.sort(key=lambda item: item[1].at_s)
    times = {0.0, *(time_s for _, fault in meant for time_s in (fault.at_s, fault.until_s) if time_s is not None)}
    found = []
    for time_s in sorted(times):
        link = usual
        for place, fault in meant:
            if _lasts(fault, time_s):
                try:
                    link = _changed(link, fault)
                except ValueError as error:
                    raise ValueError(f"fault.{place}.factor: {fault.factor}: {error}") from error
        found.append((round(time_s * _SECOND_US), link))
    return found


def slowness_of(faults: Sequence[Fault], node: int) -> float:
    """Return how many times as long work takes at a node while all of these faults last."""
    return prod((fault.factor for fault in faults if fault.kind == "slow" and node in fault.nodes), start=1.0)


def _lasts(fault: Fault, time_s: float) -> bool:
    return fault.at_s <= time_s and (fault.until_s is None or time_s < fault.until_s)


def _changed(link: Link, fault: Fault) -> Link:
    given = {name: getattr(fault, name) for name in ("jitter_ms", "bandwidth_mbps", "loss_rate")}
    figures = {name: value for name, value in given.items() if value is not None}
    return replace(link, latency_ms=link.latency_ms * fault.factor, **figures)


def _nodes(network: Simulation, fault: Fault) -> list[Node]:
    return [network.nodes[number] for number in fault.nodes]


def _settle_crash(network: Simulation, fault: Fault, _: Traffic, course: _Course) -> None:
    if fault.kind == "wipe":
        course.wiped |= set(fault.nodes)
    for node in _nodes(network, fault):
        if any(node.number in each.nodes for each in course.of("crash", "wipe")):
            network.crash(node)
        else:
            network.restart(node, is_wiped=node.number in course.wiped)
            course.wiped.discard(node.number)


def _settle_partition(network: Simulation, fault: Fault, _: Traffic, course: _Course) -> None:
    group_of = {number: place for place, group in enumerate(fault.groups) for number in group}
    begins = course.has(fault)
    network.note(network.nodes[0], *(("partition", -1, str(fault.groups)) if begins else ("healed", -1)))
    for one, other in combinations(network.nodes, 2):
        if group_of.get(one.number) != group_of.get(other.number):
            (network.sever if begins else network.mend)(one, other)


def _settle_skew(network: Simulation, fault: Fault, _: Traffic, course: _Course) -> None:
    for node in _nodes(network, fault):
        node.skew_us = sum(round(each.skew_ms * _MS_US) for each in course.of("skew") if node.number in each.nodes)
        node.note("clock", -1, f"{node.skew_us / _MS_US:g} ms off")


def _settle_slow(network: Simulation, fault: Fault, _: Traffic, course: _Course) -> None:
    for node in _nodes(network, fault):
        node.slowness = slowness_of(course.lasting, node.number)
        node.note("speed", -1, f"{1 / node.slowness:g}")


def _settle_links(network: Simulation, fault: Fault, _: Traffic, course: _Course) -> None:
    network.note(network.nodes[0], "links", -1, "changed" if course.has(fault) else "restored")
    now_us, matrix = network.time_us, network.plan.matrix
    for pair in {(sender.region, receiver.region) for sender in network.nodes for receiver in network.nodes}:
        if pair not in course.links:
            course.links[pair] = links_over_time(course.planned, *pair, matrix.link(*pair))
    for sender in network.nodes:
        for receiver in network.nodes:
            if sender is not receiver:
                links, connection = course.links[sender.region, receiver.region], network.connection(sender, receiver)
                connection.link = [link for from_us, link in links if from_us <= now_us][-1]
                connection.later = [(from_us, link) for from_us, link in links if from_us > now_us]


def _settle_vote(network: Simulation, fault: Fault, _: Traffic, course: _Course) -> None:
    assert fault.subject is not None
    subject = network.nodes[fault.subject]
    for node in _nodes(network, fault):
        cast = [each for each in course.of("vote") if node.number in each.nodes and each.subject == fault.subject]
        others = [wish for wish in node.chain.wishes if wish.subject != subject.address]
        node.chain.wishes = others + [Vote(subject.address, each.is_add) for each in cast[-1:]]
        act = ("add" if cast[-1].is_add else "drop") if cast else "no more about"
        node.note("vote", -1, f"{act} {subject.name}")


def _settle_allow(network: Simulation, _: Fault, traffic: Traffic, course: _Course) -> None:
    shut_out = {number for each in course.of("allow") for number in each.accounts if not _is_admitted(course, number)}
    admitted, dismissed = course.shut_out - shut_out, shut_out - course.shut_out
    course.shut_out = shut_out
    clients = {number: traffic.client(number) for number in sorted(admitted | dismissed)}
    for node in network.nodes:
        rules = node.chain.rulebook
        if isinstance(rules, Allowlist):
            rules.accounts |= {clients[number] for number in admitted}
            rules.accounts -= {clients[number] for number in dismissed}
    for number in clients:
        traffic.set_client(number, is_allowed=number in admitted)
    network.note(network.nodes[0], "allowlist", -1, f"{len(admitted)} in, {len(dismissed)} out")


def _is_admitted(course: _Course, account: int) -> bool:
    return [fault.is_add for fault in course.of("allow") if account in fault.accounts][-1]


_SETTLE: dict[str, Callable[[Simulation, Fault, Traffic, _Course], None]] = {
    "crash": _settle_crash,
    "wipe": _settle_crash,
    "partition": _settle_partition,
    "skew": _settle_skew,
    "slow": _settle_slow,
    "links": _settle_links,
    "vote": _settle_vote,
    "allow": _settle_allow,
}
