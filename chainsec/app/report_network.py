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

__all__ = ["network_conditions", "network_facts", "network_sentence", "network_times", "slowest_of"]

_HEAD = ("", "median", "95 %", "99 %")
_NUMBERS = frozenset({1, 2, 3})
_HUNDRED = 100


def network_sentence(report: Report) -> str:
    """Return what a reader has to know about revocations on the network, "" for a run on one chain."""
    network = report.network
    if network is None or network.revoke_s is None:
        return ""
    still = network.still_read
    pace, meanwhile = still.bytes_at_pace, ""
    if pace is not None:
        usual, most = (wording.data_size(round(value)) for value in (pace.p50, pace.p99))
        meanwhile = f"; meanwhile an attack goes on at its own pace: {usual} in the median, {most} at worst"
    return (
        f"On {network.validators} validators ({network.links}, {_means(network)}) the agent cut somebody off "
        f"{wording.plural(network.revocations, 'time')}. {slowest_of(network.revocations)} was final at every gateway "
        f"that was connected within {wording.amount(network.revoke_s.p99)} s of being sent{meanwhile}."
    )


def slowest_of(count: int) -> str:
    """Return what the 99th percentile of so many is, in words: of few it is the slowest.

    >>> slowest_of(4), slowest_of(1_000)
    ('The slowest of 4', '99 % of 1,000')
    """
    return f"The slowest of {wording.count(count)}" if count < _HUNDRED else f"99 % of {wording.count(count)}"


def _means(network: NetworkPart) -> str:
    found = [condition.means for condition in network.conditions if condition.name == network.condition]
    return found[0] if found else network.condition


def network_times(report: Report) -> Table:
    """Return how long grants and revocations took in this run, in seconds and blocks."""
    network = report.network
    if network is None:
        return Table("Time to grant, time to revoke", _HEAD, [])
    grants, revocations = wording.count(network.grants), wording.count(network.revocations)
    rows: list[tuple[str, Quantiles | None]] = [
        (f"time to grant ({grants}), s: request sent to grant final there", network.grant_s),
        ("time to grant, blocks", network.grant_blocks),
        (f"time to revoke ({revocations}), s: sent to final at the first gateway", network.revoke_first_s),
        ("time to revoke, s: sent to final at every connected gateway", network.revoke_s),
        ("time to revoke, blocks", network.revoke_blocks),
        ("read meanwhile at the attack's own pace, bytes", network.still_read.bytes_at_pace),
    ]
    still, missed = network.still_read, network.never_everywhere
    fell = "1 use of attackers falls" if still.uses == 1 else f"{wording.count(still.uses)} uses of attackers fall"
    note = (
        "Virtual time; of fewer than a hundred, 99 % means the slowest. Blocks: from the head when it was sent, or the "
        "request's own block, to the block that holds it. A revocation is an act that cuts somebody off, however "
        "many grants it takes back. A gateway sits beside each validator and asks its own node. What the agent does "
        f"takes no virtual time. {fell} between detection and finality"
        f"{f', {wording.data_size(still.bytes_read)}' if still.uses else ''}."
        + (f" {wording.plural(missed, 'revocation')} never reached a gateway that was connected." if missed else "")
    )
    body = [(name, *wording.percentiles(values)) for name, values in rows if values is not None]
    return Table("Time to grant, time to revoke", _HEAD, body, _NUMBERS, note)


def network_conditions(report: Report) -> Table:
    """Return the same for the network's other conditions, as probes find it."""
    network = report.network
    head = ("", "grant, s", "99 %", "revoke, s", "99 %", "blocks, 99 %", "nodes cut off")
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
    probes = wording.plural(max((found.probes for found in network.conditions), default=0), "grant")
    probes += " and as many revocations"
    late = sum(found.lost for found in network.conditions)
    alone = " So few validators bear no fault: no other condition was probed." if len(network.conditions) == 1 else ""
    lost = f"; {wording.count(late)} were not final within two minutes, and are left out" if late else ""
    note = (
        f"{meanings[:1].upper()}{meanings[1:]}. Probes: {probes} of small transactions at random points of time, on "
        f"the same validators and links{lost}.{alone} Blocks are those until the revocation. A gateway beside a node "
        "that is cut off learns of no revocation until the partition ends: it has to refuse by itself once its node's "
        "newest block is older than it trusts."
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
