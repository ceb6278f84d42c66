"""What the report's tables say: one list of titled rows, for the page and for the terminal.

Layer: app. Not here: markup; whoever shows a table escapes its cells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainsec.app import findings, wording
from chainsec.app.report_network import network_conditions, network_times
from chainsec.app.table import Table, cut, pair_up
from chainsec.digest import canonical_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainsec.scenarios.report_schema import Measures, Report
    from chainsec.scenarios.report_series import Quantiles

_SAME_CONTRACT = (
    "Each way stands under the same contract, whose ceiling passes the most sensitive records to the same guardians. "
    "Contained: stopped, or cut off before half of the planned data was taken."
)
_BY_VALIDATORS = (
    "Validators agree on each block, empty ones among them; how long that takes stands under the network. A gateway "
    "hands requests in once a tick. A decision's share is the time of its batch over the number of decisions in it."
)
_ON_DEMAND = (
    "One validator makes a block whenever something is sent, so that a decision stands one block after its request by "
    "construction. A gateway hands requests in once a tick. A decision's share is the time of its batch over the "
    "number of decisions in it."
)


def comparison(report: Report, *, is_short: bool = False) -> Table:
    """Return the agent's measures beside those of the baselines; short, without the finer score figures."""
    quality = report.quality
    names = wording.baseline_order(quality.baselines)
    ways: list[Measures] = [quality, *(quality.baselines[name] for name in names)]
    found = [findings.containment(way) for way in ways]
    bad, good = (
        ("attacks", "honest requests") if findings.has_attacks(report) else ("denied by the log", "good requests")
    )
    verb = "contained" if findings.has_attacks(report) else "stopped"
    parts = [
        ("  stopped at the request", *(wording.rate(way.stopped_rate) for way in found)),
        ("  cut off before half was taken", *(wording.rate(way.cut_off_rate) for way in found)),
    ]
    rows = [
        (f"{bad}: {verb}", *(wording.rate(way.rate) for way in found)),
        *(parts if verb == "contained" else ()),
        ("  by the ceiling alone", *(wording.rate(way.bad_stopped_by_ceiling_rate) for way in ways)),
        (f"{good}: held up", *(wording.rate(findings.disturbed_rate(way)) for way in ways)),
        ("  refused at once", *(wording.rate(way.good_denied_rate) for way in ways)),
        ("  put before a guardian", *(wording.rate(way.good_escalated_rate) for way in ways)),
        ("  refused in the end", *(wording.rate(way.good_refused_rate) for way in ways)),
        ("  lapsed unanswered", *(wording.rate(way.good_lapsed_rate) for way in ways)),
        ("data that got out", *(wording.data_size(way.leaked_bytes) for way in ways)),
        ("records that got out", *(wording.count(way.leaked_records) for way in ways)),
        *_at_equal_cost(report, ways),
        ("score: caught, 1 % of good refused", *(wording.rate(way.denial_recall_at_1pct) for way in ways)),
        ("score: caught, 5 % of good refused", *(wording.rate(way.denial_recall_at_5pct) for way in ways)),
        ("score: caught, 10 % of good refused", *(wording.rate(way.denial_recall_at_10pct) for way in ways)),
        ("score: area under the ROC curve", *(wording.score(way.auc) for way in ways)),
        ("score: average precision", *(wording.score(way.average_precision) for way in ways)),
    ]
    shown = [row for row in rows if not is_short or not (_is_empty(row) or " 1 %" in row[0] or " 5 %" in row[0])]
    head = ("", "agent", *map(wording.label, names))
    return Table("The agent beside simpler ways", head, shown, frozenset(range(1, len(ways) + 1)), _SAME_CONTRACT)


def _at_equal_cost(report: Report, ways: Sequence[Measures]) -> list[tuple[str, ...]]:
    """Return the bad requests held up where every way holds up as many good ones, by score under the ceiling."""
    rows, rules = [], report.quality.baselines.get(wording.RULES)
    ours = wording.rate(findings.disturbed_rate(report.quality))
    rows.append((f"held up, where {ours} of good are", *(wording.rate(way.held_at_agents_share) for way in ways)))
    if rules is not None:
        theirs = wording.rate(findings.disturbed_rate(rules))
        rows.append((f"held up, where {theirs} of good are", *(wording.rate(way.held_at_rules_share) for way in ways)))
    return rows


def attacks(report: Report, *, is_short: bool = False) -> Table:
    """Return what became of each kind of attack, the most frequent first; short, without its details."""
    quality = report.quality
    rules = quality.baselines.get(wording.RULES)
    rows = []
    for kind, outcome in sorted(quality.per_attack.items(), key=lambda item: (-item[1].requests, item[0])):
        by_rules = rules.per_attack.get(kind) if rules else None
        rows.append(
            (
                wording.label(kind),
                wording.count(outcome.requests),
                wording.rate(findings.contained_rate(outcome)),
                wording.rate(findings.contained_rate(by_rules) if by_rules else None),
                *([] if is_short else [wording.count(outcome.denied), wording.count(outcome.escalated)]),
                *([] if is_short else [wording.count(outcome.approved)]),
                wording.count(outcome.stopped),
                wording.count(outcome.cut_off),
                *([] if is_short else [wording.count(outcome.cut_off_late)]),
                wording.data_size(outcome.leaked_bytes),
                *([] if is_short else [wording.count(outcome.leaked_records)]),
            )
        )
    detail, late, records = (
        ((), (), ()) if is_short else (("denied", "escalated", "approved"), ("cut off late",), ("records out",))
    )
    head = ("attack", "requests", "contained", "by rules", *detail, "stopped", "cut off", *late, "data out", *records)
    return cut(Table("Attacks", head, rows, frozenset(range(1, len(head)))))


def decisions(report: Report) -> Table:
    """Return how many requests there were and what became of them."""
    requests, made = report.requests, report.decisions
    rows = [
        ("requests in the log", requests.total),
        ("history, learned from", requests.history),
        ("live, decided on chain", requests.live),
        ("bad lines skipped", requests.skipped),
        ("granted", made.granted),
        ("denied", made.denied),
        ("lowered by the contract against the agent", made.overruled_by_contract),
        ("escalated to a guardian", made.escalated),
        ("  approved by a guardian", made.approved),
        ("  cancelled by a guardian", made.cancelled),
        ("  lapsed before a guardian could approve", made.lapsed),
        ("grants revoked while they stood", made.revoked),
        ("  by the agent", made.revoked_by_agent),
        ("  by a guardian", made.revoked_by_guardian),
        ("revoked after they had expired", made.revoked_after_expiry),
        ("good requests' grants ended by the agent", made.honest_cut_off_by_agent),
        ("good requests' grants ended by a guardian", made.honest_cut_off_by_guardian),
        ("requesters quarantined", made.quarantined),
        ("alerts", made.alerts),
    ]
    return pair_up("Requests and decisions", [(name, wording.count(value)) for name, value in rows])


def latency(report: Report) -> Table:
    """Return the percentiles of every delay, those of the machine's own clock marked."""
    times = report.latency
    rows = [
        ("waiting for the gateway's tick, simulated s", *wording.percentiles(times.tick_wait_s)),
        ("decision, blocks", *wording.percentiles(times.decision_blocks)),
        ("revocation, blocks", *wording.percentiles(times.revocation_blocks)),
        ("decision, its share of its batch, ms on this machine", *wording.percentiles(times.decision_ms)),
        ("decision, its whole batch, ms on this machine", *wording.percentiles(times.batch_ms)),
    ]
    return Table(
        "Delays",
        ("from event to answer", "median", "95 %", "99 %"),
        rows,
        frozenset({1, 2, 3}),
        _ON_DEMAND if report.network is None else _BY_VALIDATORS,
    )


def bad_rows(report: Report) -> Table:
    """Return the rows of the log that were left out: by kind, then line by line, at most ``MOST_ROWS``."""
    requests = report.requests
    by_kind = sorted(requests.skipped_by_reason.items(), key=lambda item: (-item[1], item[0]))
    rows = [(wording.plural(count, "row"), kind) for kind, count in by_kind]
    rows += [(f"line {line:,}", reason) for line, reason in requests.skipped_rows]
    return cut(Table("Rows left out", ("row", "what is wrong"), rows))


def summary(report: Report) -> Table:
    """Return decisions, delays, cost, speed and evidence in a line each."""
    requests, made, times, cost = report.requests, report.decisions, report.latency, report.cost
    verdicts = f"{made.granted:,} granted, {made.escalated:,} escalated, {made.denied:,} denied"
    if made.overruled_by_contract:
        verdicts += f"; {made.overruled_by_contract:,} lowered by the contract"
    if made.escalated:
        verdicts += f"; guardians: {made.approved:,} approved, {made.cancelled:,} cancelled, {made.lapsed:,} lapsed"
    late = f", {made.revoked_after_expiry:,} after they had expired" if made.revoked_after_expiry else ""
    cut_off = (
        f"{made.revoked_by_agent:,} grants revoked by the agent, {made.revoked_by_guardian:,} by guardians{late}; "
        f"{made.quarantined:,} quarantined, {made.alerts:,} alerts"
    )
    wrong = findings.wrongly_cut_off(report)
    rows = [
        ("requests", f"{requests.live:,} decided, {requests.history:,} learned from, {requests.skipped:,} skipped"),
        ("decisions", verdicts),
        ("afterwards", cut_off if wrong is None else f"{cut_off}; {wrong:,} honest people hit"),
        ("model", findings.renewal_sentence(report)),
        ("waiting", _wait(times.tick_wait_s)),
        ("decision", _delay(times.decision_blocks, times.decision_ms)),
        ("revocation", _delay(times.revocation_blocks, None)),
        ("", findings.cut_off_sentence(report)),
        (
            "cost",
            f"{wording.count(cost.gas_per_decision)} gas a decision, {wording.short_count(cost.gas_total)} in "
            + wording.plural(cost.transactions, "transaction"),
        ),
        ("speed", f"{wording.amount(report.throughput.decisions_per_s)} decisions/s on this machine"),
        ("audit", findings.evidence(report)),
        *(("the log", sentence) for sentence in findings.reading(report)),
    ]
    return Table("The run", ("", ""), [row for row in rows if row[1]])


def terminal_tables(report: Report) -> list[Table]:
    """Return the tables that close a run on the terminal."""
    network = [network_times(report), network_conditions(report)]
    return [comparison(report, is_short=True), attacks(report, is_short=True), summary(report), *network, gas(report)]


def chain(report: Report) -> Table:
    """Return what the chain holds and charged, and what the audit found."""
    cost, audit = report.cost, report.audit
    rows = [
        ("transactions", wording.count(cost.transactions)),
        ("gas in all", wording.count(cost.gas_total)),
        ("gas per decision", wording.count(cost.gas_per_decision)),
        ("blocks replayed", wording.count(audit.blocks)),
        ("receipts recomputed", wording.count(audit.receipts)),
        ("evidence", "verified" if audit.verified else "NOT verified"),
    ]
    if audit.first_difference is not None:
        rows.append(("first difference", audit.first_difference))
    if audit.head_hash is not None:
        rows.append(("last block", audit.head_hash))
    return pair_up("Chain and evidence", rows)


def speed(report: Report) -> Table:
    """Return the wall-clock figures: they differ from machine to machine."""
    rows = [
        ("decisions per second", wording.amount(report.throughput.decisions_per_s)),
        ("seconds in all", wording.amount(report.throughput.elapsed_s)),
    ]
    return pair_up("Speed on this machine", rows, "Wall-clock times are no part of what two runs of one seed share.")


def gas(report: Report) -> Table:
    """Return the gas of every kind of operation, the dearest in sum first."""
    rows = [
        (
            name,
            wording.count(entry.items),
            wording.count(entry.transactions),
            wording.count(entry.gas_per_item),
            wording.count(entry.gas_total),
        )
        for name, entry in sorted(report.cost.gas_by_operation.items(), key=lambda item: (-item[1].gas_total, item[0]))
    ]
    head = ("operation", "times", "transactions", "gas each", "gas in all")
    return cut(Table("Gas by operation", head, rows, frozenset({1, 2, 3, 4})))


def parties(report: Report) -> Table:
    """Return the organisations and what was decided for their members."""
    rows = [
        (
            party.name,
            *map(
                wording.count,
                (party.members, party.records, party.requests, party.granted, party.denied, party.escalated),
            ),
        )
        for party in report.parties
    ]
    head = ("organisation", "members", "records", "requests", "granted", "denied", "escalated")
    return cut(Table("Parties", head, rows, frozenset(range(1, 7))))


def alerts(report: Report) -> Table:
    """Return the alerts in time order, at most ``MOST_ROWS``."""
    rows = [
        (
            wording.moment(alert.time_s, has_clock=report.run.has_clock),
            wording.count(alert.block),
            wording.label(alert.kind),
            alert.requester,
            alert.response,
            wording.score(alert.score),
            wording.count(alert.grants),
            {None: "unknown", "": "false alarm"}.get(alert.attack, wording.label(alert.attack or "")),
            ", ".join(wording.facts(dict(alert.evidence))),
        )
        for alert in report.timeline
    ]
    head = ("time", "block", "found", "requester", "response", "score", "grants", "in truth", "evidence")
    return cut(Table("Alerts", head, rows, frozenset({1, 5, 6})))


def model(report: Report) -> Table:
    """Return what the agent found out about its model, in time order: alarms, trials, successors."""
    rows = [
        (
            wording.moment(notice.time_s, has_clock=report.run.has_clock),
            "drift" if notice.kind == "drift" else "replaced" if notice.adopted else "kept",
            notice.model[:10],
            findings.notice_sentence(notice),
        )
        for notice in report.model
    ]
    return cut(Table("The model", ("time", "what", "model in use", "on what grounds"), rows))


def run(report: Report) -> Table:
    """Return which run this is."""
    facts = report.run
    start = wording.moment(facts.started_at_s, has_clock=facts.has_clock)
    rows = [
        ("name", facts.name),
        ("kind", facts.kind),
        ("log", facts.source or "drawn from the seed"),
        ("seed", str(facts.seed)),
        ("simulated start", f"{start} UTC" if facts.has_clock else start),
        ("simulated days", wording.amount(facts.days) if facts.has_clock else wording.NOT_MEASURED),
        ("engine", facts.engine),
        ("version", facts.version),
        ("model digest", facts.model_digest),
        ("settings digest", facts.settings_digest),
    ]
    return Table("Run", ("", ""), rows)


def settings(report: Report) -> Table:
    """Return the settings in force, by name."""
    rows = [
        (name, value if isinstance(value, str) else canonical_json(value).decode())
        for name, value in sorted(report.run.settings.items())
    ]
    return Table("Settings", ("setting", "value"), rows)


def all_figures(report: Report) -> list[Table]:
    """Return the tables that close the page."""
    makers = (decisions, bad_rows, attacks, latency, chain, speed, parties, alerts, model, run, settings)
    return [make(report) for make in makers]


def _delay(in_blocks: Quantiles | None, in_ms: Quantiles | None) -> str:
    parts = []
    if in_blocks is not None:
        parts.append(f"median {wording.blocks(in_blocks.p50)}, 99 % within {wording.blocks(in_blocks.p99)}")
    if in_ms is not None:
        parts.append(
            f"{wording.amount(in_ms.p50)} ms as its share of a batch, 99 % within {wording.amount(in_ms.p99)} ms"
        )
    return "; ".join(parts)


def _wait(tick_wait_s: Quantiles | None) -> str:
    if tick_wait_s is None:
        return ""
    longest = wording.duration(tick_wait_s.p99)
    return f"for the gateway's tick, simulated: median {wording.duration(tick_wait_s.p50)}, 99 % within {longest}"


def _is_empty(row: Sequence[str]) -> bool:
    return all(cell == wording.NOT_MEASURED for cell in row[1:])
