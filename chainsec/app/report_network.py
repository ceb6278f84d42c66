"""What the report says of the network that a run was on: how long grants and revocations take, what slips through.

Layer: app. Not here: the figures (``chainsec.scenarios.network_run``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainsec.app import wording
from chainsec.app.table import Table, pair_up

if TYPE_CHECKING:
    from chainsec.scenarios.report_network import NetworkPart
    from chainsec.scenarios.report_schema import Report
    from chainsec.scenarios.report_series import Quantiles

__all__ = ["network_conditions", "network_facts", "network_sentence", "network_times"]

_HEAD = ("", "median", "95 %", "99 %")
_NUMBERS = frozenset({1, 2, 3})


def network_sentence(report: Report) -> str:
    """Return what a reader has to know about revocations on the network, "" for a run on one chain."""
    network = report.network
    if network is None or network.revoke_s is None:
        return ""
    still = network.still_read
    slipped = (
        f"{wording.plural(still.uses, 'use')} with {wording.data_size(still.bytes_read)} still got through"
        if still.uses
        else "nothing got through"
    )
    return (
        f"On {network.validators} validators ({network.links}, {_means(network)}) a revocation was final at every "
        f"gateway that was connected within {wording.amount(network.revoke_s.p99)} s of being sent, 99 % of them; in "
        f"between {slipped}."
    )


def _means(network: NetworkPart) -> str:
    found = [condition.means for condition in network.conditions if condition.name == network.condition]
    return found[0] if found else network.condition


def network_times(report: Report) -> Table:
    """Return how long grants and revocations took in this run, in seconds and blocks."""
    network = report.network
    if network is None:
        return Table("Time to grant, time to revoke", _HEAD, [])
    rows: list[tuple[str, Quantiles | None]] = [
        ("time to grant, s: request sent to grant final", network.grant_s),
        ("time to grant, blocks", network.grant_blocks),
        ("time to revoke, s: sent to final at the first gateway", network.revoke_first_s),
        ("time to revoke, s: sent to final at every gateway", network.revoke_s),
        ("time to revoke, blocks", network.revoke_blocks),
        ("read meanwhile at the attack's own pace, bytes", network.still_read.bytes_at_pace),
    ]
    note = (
        "Virtual time. A gateway sits beside each validator and asks its own node. What the agent does takes no "
        f"virtual time. In this run {wording.plural(network.still_read.uses, 'use')} fell between detection and "
        "finality."
    )
    body = [(name, *wording.percentiles(values)) for name, values in rows if values is not None]
    return Table("Time to grant, time to revoke", _HEAD, body, _NUMBERS, note)


def network_conditions(report: Report) -> Table:
    """Return the same for the network's other conditions, as probes find it."""
    network = report.network
    head = ("", "grant, s", "99 %", "revoke, s", "99 %", "blocks", "cut off")
    if network is None:
        return Table("With something wrong", head, [])
    rows = []
    for found in network.conditions:
        grant, revoke, blocks = (
            wording.percentiles(values) for values in (found.grant_s, found.revoke_s, found.revoke_blocks)
        )
        cut_off = wording.count(found.cut_off_nodes)
        rows.append((found.name, grant[0], grant[2], revoke[0], revoke[2], blocks[2], cut_off))
    meanings = "; ".join(f"{found.name}: {found.means}" for found in network.conditions)
    note = (
        f"{meanings[:1].upper()}{meanings[1:]}. Probes: small transactions at random points of time, on the same "
        "validators and links. A gateway beside a node that is cut off learns of no revocation until the partition "
        "ends: it has to refuse by itself once its node's newest block is older than it trusts."
    )
    return Table("With something wrong", head, rows, frozenset(range(1, 7)), note)


def network_facts(report: Report) -> Table:
    """Return what the network was and did."""
    network = report.network
    if network is None:
        return pair_up("Network", [])
    rounds = ", ".join(f"{wording.count(blocks)} in round {number}" for number, blocks in network.rounds.items())
    rows = [
        ("validators", wording.count(network.validators)),
        ("regions", ", ".join(network.regions)),
        ("links", network.links),
        ("condition", _means(network)),
        ("block period, s", wording.amount(network.block_period_s)),
        ("request timeout, s", wording.amount(network.request_timeout_s)),
        ("blocks agreed on", rounds),
        ("of them empty", wording.count(network.empty_blocks)),
        ("seals that hold", wording.count(network.seals)),
        ("heights with two blocks", wording.count(network.violations)),
        ("messages", wording.count(network.messages)),
        ("bytes sent", wording.data_size(network.bytes_sent)),
    ]
    return pair_up("Network", rows)
