"""Works out a report's figures from a network that has come to its end.

Layer: network. Not here: what the fields mean (``report_schema``).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from chainsec.network.finality import list_finality
from chainsec.network.messages import Code
from chainsec.network.presence import Presence
from chainsec.network.report_schema import (
    FinalBlock,
    Incident,
    NetworkReport,
    NodeReport,
    RoundSpan,
    Spread,
    VariantReport,
)
from chainsec.network.verdict import judge, list_waits

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from chainsec.network.finality import Finality
    from chainsec.network.run import Played
    from chainsec.network.scenario import NetworkScenario
    from chainsec.network.simulation import Simulation
    from chainsec.network.trace import Event

__all__ = ["measure_variant", "spread_of", "write_report"]

_SECOND_US = 1_000_000
_MOST_REASONS = 12
_MOST_SPANS = 20_000
_MOST_INCIDENTS = 500
_QUIET = {"round", "proposed", "prepared", "committed", "imported", "timeout", "rejected", "forged"}
"""Events that are too many to be listed one by one."""


def spread_of(values: Iterable[float]) -> Spread:
    """Return the percentiles of values: each is one of them, the smallest that enough are no larger than.

    >>> spread_of([3, 1, 2]).p50
    2.0
    """
    ordered = sorted(values)
    if not ordered:
        return Spread(count=0)
    p50, p95, p99 = (ordered[max(0, -(-len(ordered) * share // 100) - 1)] for share in (50, 95, 99))
    return Spread(
        count=len(ordered),
        p50=round(p50, 6),
        p95=round(p95, 6),
        p99=round(p99, 6),
        most=round(ordered[-1], 6),
    )


def write_report(
    scenario: NetworkScenario, variants: Sequence[VariantReport], *, replay: str, version: str
) -> NetworkReport:
    """Return a scenario's report, with the command that plays it again and the release that played it."""
    return NetworkReport(
        name=scenario.name,
        about=" ".join(scenario.about.split()),
        seed=scenario.seed,
        duration_s=scenario.duration_s,
        warns_of=scenario.warns_of,
        version=version,
        replay=replay,
        variants=tuple(variants),
    )


def measure_variant(name: str, played: Played, *, calm_from_s: float | None = None) -> VariantReport:
    """Return the figures of a scenario that was played.

    Args:
        name: the variant's.
        played: the network at its end.
        calm_from_s: virtual time from which on no wait for a block may last longer than QBFT bears, even if a block
            came in the end; only the last wait is judged where omitted.
    """
    network, traffic = played.network, played.traffic
    presence = played.presence or Presence(network)
    outcome, said = judge(network, presence, None if calm_from_s is None else round(calm_from_s * _SECOND_US))
    settled = list_finality(network, presence)
    blocks = [_final_block(network, each) for each in settled]
    finals = traffic.final_us
    sent_us = traffic.sent_us.values()
    span_us = max([*finals.values(), *sent_us], default=0) - min(sent_us, default=0)
    executors = {id(node.chain.executor): node.chain.executor for node in network.nodes}
    return VariantReport(
        name=name,
        outcome=outcome,
        said=said,
        warns_of=played.scenario.warns_of,
        settings=_flatten(played.scenario.model_dump(mode="json", exclude={"variant", "name", "about"})),
        height=network.agreement.height,
        rounds=dict(sorted(Counter(block.round for block in blocks).items())),
        empty_blocks=sum(1 for block in blocks if not block.transactions),
        agreement_s=spread_of(
            (time_us - each.due_us) / _SECOND_US for each in settled for time_us in each.times_us.values()
        ),
        agreement_left_out=sum(each.left_out for each in settled),
        waiting_s=spread_of((finals[key] - traffic.sent_us[key]) / _SECOND_US for key in finals),
        longest_gap_s=max(wait.end_us - wait.start_us for wait in list_waits(network, presence)) / _SECOND_US,
        sent=len(traffic.sent_us),
        final=len(finals),
        unfinished=len(traffic.sent_us) - len(finals),
        failed=traffic.failed,
        refused=dict(traffic.refused.most_common(_MOST_REASONS)),
        per_s=round(len(finals) * _SECOND_US / span_us, 3) if span_us > 0 else 0.0,
        messages=sum(network.messages.values()),
        bytes=sum(network.bytes_sent.values()),
        kinds={_kind_name(kind): count for kind, count in sorted(network.kinds.items(), key=lambda item: str(item[0]))},
        rejected=dict(_reasons(network).most_common(_MOST_REASONS)),
        violations=tuple(network.agreement.violations[:_MOST_INCIDENTS]),
        executions=sum(executor.executions for executor in executors.values()),
        is_execution_shared=network.plan.is_execution_shared,
        trace_digest=network.trace.digest,
        dropped=network.trace.dropped,
        nodes=tuple(_node_report(network, number) for number in range(len(network.nodes))),
        blocks=tuple(blocks),
        spans=tuple(_spans(network)),
        incidents=tuple(_incidents(network)),
        message_matrix=_matrix(network),
    )


def _kind_name(kind: int | str) -> str:
    return Code(kind).name.lower() if isinstance(kind, int) else kind


def _final_block(network: Simulation, settled: Finality) -> FinalBlock:
    header, first_us = settled.final.block.header, min(settled.final.times_us.values())
    return FinalBlock(
        height=header.block_number,
        due_s=settled.due_us / _SECOND_US,
        first_s=first_us / _SECOND_US,
        last_s=max([first_us, *settled.times_us.values()]) / _SECOND_US,
        round=header.extra.round,
        proposer=network.node_of(header.coinbase).number,
        transactions=len(settled.final.block.transactions),
        gas_used=header.gas_used,
    )


def _reasons(network: Simulation) -> Counter[str]:
    return Counter(event.detail for event in network.trace.events if event.event == "rejected")


def _node_report(network: Simulation, number: int) -> NodeReport:
    node, counts = network.nodes[number], network.trace.counts
    return NodeReport(
        name=node.name,
        region=node.region,
        role=type(node.validator).__name__,
        is_validator=node.address in network.nodes[number].chain.validators,
        is_up=node.is_up,
        height=node.chain.height,
        proposed=counts[number, "proposed"],
        timeouts=counts[number, "timeout"],
        rejected=counts[number, "rejected"],
        sent_messages=sum(count for (sender, _), count in network.messages.items() if sender == number),
        sent_bytes=sum(count for (sender, _), count in network.bytes_sent.items() if sender == number),
    )


def _spans(network: Simulation) -> list[RoundSpan]:
    """Return which round each node was in from when to when; the first 20,000 of them."""
    spans: list[RoundSpan] = []
    current: dict[int, Event] = {}

    def close(event: Event, *, ends_final: bool) -> None:
        opened = current.pop(event.node, None)
        if opened is not None and len(spans) < _MOST_SPANS:
            spans.append(
                RoundSpan(
                    node=event.node,
                    start_s=opened.time_us / _SECOND_US,
                    end_s=event.time_us / _SECOND_US,
                    height=opened.height,
                    round=opened.round,
                    ends_final=ends_final,
                )
            )

    for event in network.trace.events:
        if event.event in {"round", "crash", "imported"}:
            close(event, ends_final=event.event == "imported")
        if event.event == "round":
            current[event.node] = event
    for opened in list(current.values()):
        close(opened._replace(time_us=network.time_us), ends_final=False)
    return spans


def _incidents(network: Simulation) -> list[Incident]:
    listed = [event for event in network.trace.events if event.event not in _QUIET]
    return [
        Incident(time_s=event.time_us / _SECOND_US, node=event.node, event=event.event, detail=event.detail)
        for event in listed[:_MOST_INCIDENTS]
    ]


def _matrix(network: Simulation) -> tuple[tuple[int, ...], ...]:
    numbers, messages = range(len(network.nodes)), network.messages
    return tuple(tuple(messages.get((sender, receiver), 0) for receiver in numbers) for sender in numbers)


def _flatten(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, item in value.items():
        name = f"{prefix}{key}"
        flat |= _flatten(item, f"{name}.") if isinstance(item, dict) else {name: item}
    return flat
