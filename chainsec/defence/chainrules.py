"""Rules by which what happens on a chain is alarming: pure functions from figures to a statistic, high = suspicious.

Every statistic counts powers of ten: how much rarer than once the seen would be, were all in order. So one level serves
all of them, and it follows from the false alarms that one accepts. An alert's evidence holds exactly a function's
inputs, so that anybody can recompute it; what proofs hold is read where the chain is known (``network.misconduct``).
Layer: defence. Not here: any state, history or clock (``chainwatch``).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from chainsec.defence.surprise import MOST, count_surprise

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CERTAIN = 300.0
"""Statistic of what nobody who keeps to the rules ever does."""
LEAST_GAS_RATIO_LOG = 0.3
"""Added to the widest departure known, as a natural logarithm: nobody minds a third more gas than ever before."""
LEAST_FILL_RATE = 0.1
"""Added to the fullest block known: nobody minds a block of an idle network that is a tenth full."""

_TOLERANCE = 1e-6
_MALFORMED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
_RECEIPT = {"format", "kind", "threat", "requester", "requests", "score", "evidence"}
_EVIDENCE = {"inputs", "statistic", "thresholds", "window_s", "time_s", "about"}


def alarm_level(occasions_per_day: float, false_alarms_per_day: float) -> float:
    """Return the statistic that is passed by chance ``false_alarms_per_day`` times.

    Args:
        occasions_per_day: how often a statistic is looked at, > 0.
        false_alarms_per_day: accepted for one subject and one kind, > 0.

    >>> alarm_level(occasions_per_day=100_000, false_alarms_per_day=0.01)
    7.0

    Source: Lorden, Procedures for reacting to a change in distribution, Annals of Mathematical Statistics 42 (1971): a
    likelihood ratio that begins anew at each occasion passes 10^level no more often than once in 10^level occasions.
    """
    return math.log10(occasions_per_day / false_alarms_per_day)


def proof_surprise(first: str, second: str) -> float:
    """Return ``CERTAIN`` where two signed statements are given that differ, else 0.

    >>> proof_surprise("0x01", "0x02"), proof_surprise("0x01", "0x01")
    (300.0, 0.0)
    """
    return CERTAIN if first and second and first != second else 0.0


def run_surprise(run: int, absent: float, present: float) -> float:
    """Return ``-log10`` of the chance that somebody is absent ``run`` times in a row, at least 0.

    How often that one is absent is itself uncertain: it has a beta distribution, so that little history, or a history
    with many absences, makes an absence no alarm.

    Args:
        run: absences in a row, from 0.
        absent: earlier absences, own and peers' share, > 0.
        present: the same of presences, > 0.

    Raises:
        ValueError: a figure is out of range.

    >>> round(run_surprise(run=3, absent=1.0, present=99.0), 2)  # 1/100 * 2/101 * 3/102
    5.23
    >>> round(run_surprise(run=3, absent=60.0, present=40.0), 2)
    0.66

    Source: Gelman et al., Bayesian Data Analysis, section 2.4 (beta-binomial prediction).
    """
    if not (0 <= run <= MOST and 0 < absent <= MOST and 0 < present <= MOST):
        raise ValueError(f"nobody has run {run!r}, absent {absent!r}, present {present!r}")
    log_chance = (
        math.lgamma(absent + run)
        - math.lgamma(absent)
        + math.lgamma(absent + present)
        - math.lgamma(absent + present + run)
    )
    return max(0.0, -log_chance / math.log(10.0))


def gas_surprise(gas: int, usual_gas: float, widest_log: float, seen: float) -> float:
    """Return how far a call's gas lies from what is usual for its function, beyond the farthest of ``seen`` calls.

    Departures are natural logarithms of ratios. Of ``seen`` departures with an exponential tail the farthest lies where
    one in ``seen`` lies beyond it, and twice as far lies one in ``seen`` squared.

    Args:
        gas: used by the call, > 0.
        usual_gas: geometric mean of earlier calls, made up for the call's size, > 0.
        widest_log: the farthest departure of earlier calls, at least 0.
        seen: earlier calls, at least 1.

    >>> round(gas_surprise(gas=1_000_000, usual_gas=50_000.0, widest_log=0.1, seen=100.0), 1)
    15.0
    >>> round(gas_surprise(gas=60_000, usual_gas=50_000.0, widest_log=0.1, seen=100.0), 1)
    0.9
    """
    departure = abs(math.log(gas) - math.log(usual_gas))
    return min(CERTAIN, math.log10(seen) * departure / (widest_log + LEAST_GAS_RATIO_LOG))


def fill_surprise(fill_rate: float, fullest_rate: float, seen: float) -> float:
    """Return how much fuller a block is than the fullest of ``seen`` blocks, as ``gas_surprise`` does.

    >>> round(fill_surprise(fill_rate=0.95, fullest_rate=0.05, seen=1000.0), 1)
    19.0
    >>> fill_surprise(fill_rate=0.05, fullest_rate=0.05, seen=1000.0) < 1.01
    True
    """
    return min(CERTAIN, math.log10(seen) * fill_rate / (fullest_rate + LEAST_FILL_RATE))


def probing_surprise(refused: int, allowed: int, usual_rate: float, probing_rate: float) -> float:
    """Return the logarithm of how many times likelier calls are from who probes than from anybody, at least 0.

    Args:
        refused: calls refused, each of another function or asset, since the test began.
        allowed: calls that went through since then.
        usual_rate: share of everybody's calls that are refused, in (0, 1).
        probing_rate: the same of who probes, in (0, 1), higher.

    >>> round(probing_surprise(refused=5, allowed=0, usual_rate=0.02, probing_rate=0.6), 2)
    7.39
    >>> probing_surprise(refused=1, allowed=9, usual_rate=0.02, probing_rate=0.6)
    0.0

    Source: Wald, Sequential Tests of Statistical Hypotheses, Annals of Mathematical Statistics 16 (1945); begun anew
    whenever it falls to 0: Page, Continuous inspection schemes, Biometrika 41 (1954).
    """
    if not 0.0 < usual_rate < probing_rate < 1.0:
        raise ValueError(f"no test between {usual_rate!r} and {probing_rate!r}")
    found = refused * math.log10(probing_rate / usual_rate)
    return max(0.0, found + allowed * math.log10((1.0 - probing_rate) / (1.0 - usual_rate)))


CHAIN_RULES: Mapping[str, Callable[..., float]] = {
    "equivocation": proof_surprise,
    "bad_seal": proof_surprise,
    "silence": run_surprise,
    "missed_turns": run_surprise,
    "round_changes": count_surprise,
    "flood": count_surprise,
    "odd_gas": gas_surprise,
    "full_block": fill_surprise,
    "probing": probing_surprise,
}
"""The rule behind each kind of alert about the chain."""

_WORDS = {
    "equivocation": "signed two different {message}s at height {height}, round {round}",
    "bad_seal": "signed a commit at height {height}, round {round}, around a seal that is not its own",
    "silence": "gave no sign of life in {run} rounds of agreement in a row",
    "missed_turns": "let {run} turns as proposer in a row go by without a block of its own",
    "round_changes": "called for {events} later rounds in {window_s} s, where {usual:.1f} are usual",
    "flood": "sent {events} transactions in {window_s} s, where {usual:.1f} are usual",
    "odd_gas": "used {gas:,} gas for a call of {function}, where {usual_gas:,.0f} is usual for its size",
    "full_block": "made a block that is {fill_rate:.0%} full, where {fullest_rate:.0%} was the most",
    "probing": "was refused at {refused} different places in a row, and went through {allowed} times between",
}


def explain(kind: str, evidence: Mapping[str, Any]) -> str:
    """Return in words what somebody did, of an alert's kind and evidence; the sentence lacks its subject.

    >>> explain("silence", {"inputs": {"run": 5, "absent": 0.5, "present": 90.0}, "about": {}, "statistic": 7.2})
    'gave no sign of life in 5 rounds of agreement in a row: by chance once in 10^7.2'
    """
    said = _WORDS[kind].format(**{**evidence, **evidence["inputs"], **evidence["about"]})
    return said if evidence["statistic"] >= CERTAIN else f"{said}: by chance once in 10^{evidence['statistic']:.1f}"


def find_alert_fault(receipt: Mapping[str, Any]) -> str | None:
    """Recompute the receipt of an alert about the chain; return what does not follow from it, or None.

    The statistic has to follow from the evidence and to reach the level. Whether signed statements are what they claim
    to be is found by ``network.misconduct``.
    """
    try:
        return _find_fault(receipt)
    except _MALFORMED as error:
        return f"it is no receipt of an alert: {error!r}"


def _find_fault(receipt: Mapping[str, Any]) -> str | None:
    evidence = receipt["evidence"]
    odd = sorted((receipt.keys() ^ _RECEIPT) | (evidence.keys() ^ _EVIDENCE))
    if odd:
        return f"it is no receipt of an alert: {odd[0]!r}"
    if receipt["kind"] != "alert":
        return f"its kind is {receipt['kind']!r}, not 'alert'"
    (level,) = evidence["thresholds"]
    stated, statistic = evidence["statistic"], CHAIN_RULES[receipt["threat"]](**evidence["inputs"])
    if not abs(statistic - stated) <= _TOLERANCE * max(1.0, abs(statistic)):
        return f"statistic is {stated!r}, the rule gives {statistic!r}"
    if not abs(receipt["score"] - stated / (stated + level)) <= _TOLERANCE:
        return "score does not follow from statistic and threshold"
    return None if stated >= level > 0 else "the statistic does not call for an alert"
