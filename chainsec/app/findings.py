"""What a report comes to, in sentences and in the few figures that lead it; the same for page and terminal.

Pure functions. Layer: app. Not here: how a figure is written (``wording``), tables, markup.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainsec.app.report_network import network_sentence
from chainsec.app.wording import (
    GRANT_ALL,
    RULES,
    blocks,
    count,
    data_size,
    duration,
    plural,
    rate,
    visible_text,
)

if TYPE_CHECKING:
    from chainsec.scenarios.report_schema import AttackOutcome, Measures, ModelNotice, Report
    from chainsec.scenarios.report_series import Histogram


@dataclass(frozen=True)
class Containment:
    """How many bad requests did no lasting harm.

    Args:
        requests: bad ones, by their labels.
        stopped: denied, or put before a guardian who did not approve.
        cut_off: granted, then cut off before half of the planned bytes were taken.
    """

    requests: int
    stopped: int
    cut_off: int

    @property
    def rate(self) -> float | None:
        """Share contained, 0 to 1; None without bad requests."""
        return self._share(self.stopped + self.cut_off)

    @property
    def stopped_rate(self) -> float | None:
        """Share stopped at the request."""
        return self._share(self.stopped)

    @property
    def cut_off_rate(self) -> float | None:
        """Share cut off later."""
        return self._share(self.cut_off)

    def _share(self, part: int) -> float | None:
        return part / self.requests if self.requests else None


def containment(measures: Measures) -> Containment:
    """Return what one way of deciding contained."""
    bad = measures.bad_requests
    return Containment(
        bad, round((measures.bad_stopped_rate or 0) * bad), round((measures.bad_cut_off_rate or 0) * bad)
    )


def contained_rate(outcome: AttackOutcome) -> float | None:
    """Return the share of one kind of attack that was stopped, or cut off before half was taken."""
    return Containment(outcome.requests, outcome.stopped, outcome.cut_off).rate


def has_attacks(report: Report) -> bool:
    """Tell whether bad requests are attacks known by kind, and not just denied by a log's label."""
    return report.run.kind == "demo" or bool(report.quality.per_attack)


def bad_name(report: Report, number: int) -> str:
    """Return the number of bad requests under the name that they have in this report."""
    if has_attacks(report):
        return plural(number, "attack request")
    return f"{plural(number, 'request')} denied by the log"


def disturbed_rate(measures: Measures) -> float | None:
    """Return the share of good requests that were refused or had to wait for a guardian."""
    if measures.good_denied_rate is None or measures.good_escalated_rate is None:
        return None
    return min(1.0, measures.good_denied_rate + measures.good_escalated_rate)


def wrongly_cut_off(report: Report) -> int | None:
    """Return how many honest people lost a grant by a false alarm; None where no alert's truth is known."""
    known = [alert for alert in report.timeline if alert.attack is not None]
    if not known:
        return None
    return len({alert.requester for alert in known if alert.attack == "" and alert.response != "alert"})


def median_bound(histogram: Histogram | None) -> float | None:
    """Return the bin edge below which at least half of the values lie.

    None without values, and where half of them lie in the last bin, which has no upper end.

    >>> from chainsec.scenarios.report_series import Histogram
    >>> median_bound(Histogram.of([30, 70, 400], edges=[0, 60, 600, 3600]))
    600.0
    """
    if histogram is None or not sum(histogram.counts):
        return None
    below, half = 0, sum(histogram.counts) / 2
    for edge, number in zip(histogram.edges[1:-1], histogram.counts[:-1], strict=True):
        below += number
        if below >= half:
            return edge
    return None


def time_to_revoke(report: Report) -> tuple[int, float] | None:
    """Return how many attacks were answered after they got in, and seconds within which half of them were.

    By a revocation or a quarantine, whether a grant still stood or not; counted from the first use that got through.
    None where none was, or the time has no upper end.
    """
    bound = median_bound(report.series.revocation_s)
    if report.series.revocation_s is None or bound is None:
        return None
    return sum(report.series.revocation_s.counts), bound


def cut_off_sentence(report: Report) -> str:
    """Return how fast attacks that got in were answered, and how far they had come; "" where none was."""
    found, reads = time_to_revoke(report), median_bound(report.series.reads_before_revocation)
    if found is None:
        return ""
    number, bound = found
    by_then = "" if reads is None else f", after fewer than {plural(int(reads), 'use')}"
    if number == 1:
        return (
            f"One attack that got in was met with a revocation or quarantine within {duration(bound)} of its first use"
            f"{by_then}."
        )
    half = by_then.replace("after", "half after")
    return (
        f"Of {number:,} attacks met with a revocation or quarantine after they got in, half were within "
        f"{duration(bound)} of their first use{half}."
    )


def headline(report: Report) -> str:
    """Return the finding in one sentence: what was contained, at what cost to honest people, against the rules."""
    quality = report.quality
    live = plural(report.requests.live, "request")
    if not quality.good_requests + quality.bad_requests:
        return f"The agent decided {live}; no label tells which were bad."
    held = disturbed_rate(quality)
    good = "honest" if has_attacks(report) else "good"
    if not quality.bad_requests:
        return f"The agent decided {live}, none of them bad by its label, and held up {rate(held)} of them."
    found, rules = containment(quality), quality.baselines.get(RULES)
    verb, again = ("contained", "contain") if found.cut_off else ("stopped", "stop")
    price = "" if held is None else f" and held up {rate(held)} of the {good} ones"
    sentence = f"The agent {verb} {rate(found.rate)} of {bad_name(report, quality.bad_requests)}{price}"
    if rules is None:
        return f"{sentence}."
    price = "" if held is None else f" and hold up {rate(disturbed_rate(rules))}"
    return f"{sentence}; under the same contract, rules alone {again} {rate(containment(rules).rate)}{price}."


def findings(report: Report) -> list[str]:
    """Return the further sentences a reader needs: how contained, whom it disturbed, how fast, what it cost."""
    sentences = [
        _how_contained(report),
        _by_ceiling(report),
        _at_equal_cost(report),
        _score_alone(report),
        _disturbed(report),
        _time_to_revoke(report),
        network_sentence(report),
    ]
    if report.cost.gas_per_decision is not None:
        sentences.append(f"A decision costs {count(report.cost.gas_per_decision)} gas.")
    sentences += [evidence(report), *reading(report)]
    return [sentence for sentence in sentences if sentence]


def reading(report: Report) -> list[str]:
    """Return what has to be known of how the log was read: stand-ins, order, bad rows; nothing for a drawn workload."""
    return [f"{visible_text(note[:1].upper() + note[1:], 400)}." for note in report.requests.notes]


def evidence(report: Report) -> str:
    """Return what the audit found."""
    audit = report.audit
    if audit.verified:
        return f"The audit replayed {plural(audit.blocks, 'block')} and {plural(audit.receipts, 'receipt')}: all hold."
    if audit.first_difference is None:
        return "The evidence is NOT verified."
    return f"The evidence does NOT hold; the first record that differs: {visible_text(audit.first_difference)}."


def _how_contained(report: Report) -> str:
    found = containment(report.quality)
    if found.rate is None or not (found.cut_off or report.quality.leaked_bytes):
        return ""
    sentence = (
        f"{rate(found.stopped_rate)} were stopped at the request, {rate(found.cut_off_rate)} were granted and cut off "
        f"before half of the planned data was taken, {rate(1 - found.rate)} got through."
    )
    leaked, rules = report.quality.leaked_bytes, report.quality.baselines.get(RULES)
    if leaked is None:
        return sentence
    against = (
        "" if rules is None or rules.leaked_bytes is None else f", under the rules {data_size(rules.leaked_bytes)}"
    )
    return f"{sentence} In all {data_size(leaked)} got out{against}."


def _by_ceiling(report: Report) -> str:
    everything = report.quality.baselines.get(GRANT_ALL)
    if everything is None or not everything.bad_stopped_rate:
        return ""
    return (
        f"The contract's ceiling and the guardians alone, with everything else granted, stop "
        f"{rate(everything.bad_stopped_rate)} and hold up {rate(disturbed_rate(everything))} of the good ones: every "
        f"way of deciding has these in its figures."
    )


def _at_equal_cost(report: Report) -> str:
    quality, rules = report.quality, report.quality.baselines.get(RULES)
    if quality.held_at_agents_share is None or rules is None:
        return ""
    parts = [
        (disturbed_rate(quality), quality.held_at_agents_share, rules.held_at_agents_share),
        (disturbed_rate(rules), quality.held_at_rules_share, rules.held_at_rules_share),
    ]
    told = [
        f"with {rate(share)} of the good requests held up, the agent's score holds up {rate(ours)} of the bad ones, "
        f"that of the rules {rate(theirs)}"
        for share, ours, theirs in parts
    ]
    return f"At equal cost, ceiling included: {'; '.join(told)}."


def _score_alone(report: Report) -> str:
    quality, rules = report.quality, report.quality.baselines.get(RULES)
    if quality.denial_recall_at_10pct is None:
        return ""
    caught = rate(quality.denial_recall_at_10pct)
    against = "" if rules is None else f", that of the rules {rate(rules.denial_recall_at_10pct)}"
    return f"Without the ceiling, refusing 10 % of the good requests, its score alone catches {caught}{against}."


def renewal_sentence(report: Report) -> str:
    """Return how often the model in use no longer fitted, and what became of it; "" where nothing was reported."""
    alarms = sum(notice.kind == "drift" for notice in report.model)
    tried = [notice for notice in report.model if notice.kind == "renewal"]
    if not alarms:
        return ""
    replaced = sum(bool(notice.adopted) for notice in tried)
    return (
        f"{plural(alarms, 'drift alarm')}, each with more care from then on; "
        f"{plural(len(tried), 'challenger')} tried, {replaced:,} put in use"
    )


def notice_sentence(notice: ModelNotice) -> str:
    """Return on what grounds a notice about the model was given."""
    if notice.kind == "drift":
        what = "scores" if notice.stream == "scores" else "labels, against their scores,"
        return f"after {count(notice.events)} {what} they are no longer what they were; more care from here on"
    if notice.challenger is None or notice.losses is None or not notice.tried:
        return "too few labels came to light to try another"
    in_use, challenger = notice.losses
    on = plural(notice.tried, "request")
    return f"Brier's score on {on}: {in_use:.4f} in use, {challenger:.4f} the challenger {notice.challenger[:10]}"


def _disturbed(report: Report) -> str:
    quality = report.quality
    if quality.good_denied_rate is None:
        return ""
    asked = f" and put {rate(quality.good_escalated_rate)} before a guardian" if quality.good_escalated_rate else ""
    sentence = f"Of the good requests it refused {rate(quality.good_denied_rate)} at once{asked}"
    sentence += f"; refused in the end were {rate(quality.good_refused_rate)}"
    if quality.good_lapsed_rate:
        sentence += f", and {rate(quality.good_lapsed_rate)} lapsed before a guardian could approve them"
    rules = quality.baselines.get(RULES)
    if rules is not None:
        sentence += f"; under the rules {rate(rules.good_refused_rate)}"
    return " ".join(part for part in (f"{sentence}.", _wrongly_hit(report)) if part)


def _wrongly_hit(report: Report) -> str:
    wrong, made = wrongly_cut_off(report), report.decisions
    by_agent, by_guardian = made.honest_cut_off_by_agent, made.honest_cut_off_by_guardian
    parts = []
    if wrong is not None:
        people = "person" if wrong == 1 else "people"
        parts.append(f"By false alarm it cut off {wrong:,} honest {people}." if wrong else "It cut off nobody wrongly.")
    if by_agent or by_guardian:
        parts.append(
            f"Of good requests, {plural(by_agent, 'grant')} ended early by its responses, "
            f"{by_guardian:,} by a guardian's error."
        )
    return " ".join(parts)


def _time_to_revoke(report: Report) -> str:
    seen = report.latency.revocation_blocks
    parts = [cut_off_sentence(report)]
    if seen is not None and report.network is None:
        parts.append(f"Once a threat is seen, 99 % of revocations stand on chain within {blocks(seen.p99)}.")
    return " ".join(part for part in parts if part)
