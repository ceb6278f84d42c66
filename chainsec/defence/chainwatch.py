"""Watches a chain as one of its nodes sees it: validators that lie or fall silent, odd gas, bursts, probing.

A state machine over ``chainrules``. It takes plain values, learns what is usual as they come, and raises one alert for
each episode. Work for each value and memory are bounded, whoever sends what. Layer: defence. Not here: the rules
themselves (``chainrules``), reading blocks and messages (``network.watching``), what is done about an alert.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from chainsec.defence.baseline import Level
from chainsec.defence.chainhabits import (
    GROWTH,
    KEEP,
    MOST_KEPT,
    MOST_SEEN,
    Crowd,
    Function,
    Record,
    Refusals,
    Sender,
    keep,
)
from chainsec.defence.chainrules import CHAIN_RULES, LEAST_FILL_RATE, alarm_level
from chainsec.defence.observation import Threat
from chainsec.defence.surprise import LEAST_RATE, blend

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["Call", "ChainWatch", "RollCall", "WatchSettings"]

_MOST_PLACES = 256
_LEAST_ALIKE = 10
_WINDOW_KEEP, _CROWD_KEEP = 0.98, 0.999
_SETTLED_WINDOWS, _SETTLED_CROWD = 3, 3
_LEAST_USUAL, _LEAST_DISPERSION = 1.0, 2.0


@dataclass(frozen=True)
class WatchSettings:
    """How ``ChainWatch`` judges.

    Args:
        false_alarms_per_day: accepted for one subject and one kind of alert, > 0.
        occasions_per_day: how often a statistic is looked at for one subject: one a second by default. Where blocks
            come faster, false alarms do too.
        quiet_s: an alert is raised again once its rule has called for none for so long.
        window_s: over which bursts are counted.
        silence_strength, turn_strength: how many roll calls, or turns, the others' share is worth beside the own.
        window_strength: how many windows the others' mean is worth beside the own.
        probing_rate: share of calls refused to somebody who probes.
        least_usual_rate, most_usual_rate: bounds of the share of calls taken as usually refused.
    """

    false_alarms_per_day: float = 0.01
    occasions_per_day: float = 86_400.0
    quiet_s: int = 600
    window_s: int = 60
    silence_strength: float = 10.0
    turn_strength: float = 30.0
    window_strength: float = 8.0
    probing_rate: float = 0.6
    least_usual_rate: float = 0.02
    most_usual_rate: float = 0.3

    @property
    def level(self) -> float:
        """The statistic from which on an alert is raised."""
        return alarm_level(self.occasions_per_day, self.false_alarms_per_day)


class RollCall(NamedTuple):
    """A round of agreement: which validators gave a sign of life in it, and which did not. Height as of that round."""

    time_s: int
    height: int
    present: Collection[str]
    absent: Collection[str]


class Call(NamedTuple):
    """A call that somebody made: a transaction on the chain, or one that was refused before it got there.

    Args:
        time_s: Unix seconds.
        sender: who made it.
        place: what it was about: contract and function, or an asset.
        size_bytes: of what was sent with it.
        gas: that it used; 0 where it was not executed.
        is_refused: whether it came to nothing.
        name: the transaction's hash, or whatever else it is known by.
    """

    time_s: int
    sender: str
    place: str
    size_bytes: int = 0
    gas: int = 0
    is_refused: bool = False
    name: str = ""


class ChainWatch:
    """Finds threats in what happens on a chain, in the order of its observer's time; the same gives the same.

    Example:
        >>> watch = ChainWatch()
        >>> for second in range(60):
        ...     assert not watch.observe_roll_call(RollCall(second, second, ("ann", "ben", "cat"), ()))
        >>> found = [watch.observe_roll_call(RollCall(60 + n, 60 + n, ("ann", "cat"), ("ben",))) for n in range(8)]
        >>> [(n, threat.kind, threat.requester) for n, threats in enumerate(found) for threat in threats]
        [(3, 'silence', 'ben')]
    """

    def __init__(self, settings: WatchSettings | None = None) -> None:
        self.settings = settings or WatchSettings()
        self._level = self.settings.level
        self._raised: dict[tuple[str, str], int] = {}
        self._records: dict[tuple[str, str], Record] = {}
        self._pools = {"silence": Record(), "missed_turns": Record()}
        self._functions: dict[tuple[str, int | None, bool], Function] = {}
        self._senders: dict[tuple[str, str], Sender] = {}
        self._crowds = {"flood": Crowd(), "round_changes": Crowd()}
        self._tests: dict[str, Refusals] = {}
        self._calls = Level()
        self._blocks, self._fullest = 0, 0.0

    def observe_proof(
        self, kind: str, subject: str, time_s: int, proofs: tuple[str, str], about: Mapping[str, Any]
    ) -> list[Threat]:
        """Take in two statements that ``subject`` has signed and that nobody who keeps to the rules signs both.

        Args:
            kind: ``equivocation`` or ``bad_seal``.
            subject: who signed them.
            time_s: when the second became known.
            proofs: the statements, hexadecimal; of a bad seal the commit and the seal in it.
            about: which statements they are.
        """
        return self._judge(kind, subject, time_s, dict(zip(("first", "second"), proofs, strict=True)), about)

    def observe_roll_call(self, call: RollCall) -> list[Threat]:
        """Take in who gave a sign of life in a round of agreement."""
        found = []
        for name in call.present:
            self._note_presence("silence", name, call.time_s)
        for name in call.absent:
            found += self._note_absence("silence", name, call.time_s, call.height, self.settings.silence_strength)
        return found

    def observe_turn(self, time_s: int, height: int, proposer: str, *, is_kept: bool) -> list[Threat]:
        """Take in that it was somebody's turn to propose, and whether the block became the chain's."""
        if is_kept:
            self._note_presence("missed_turns", proposer, time_s)
            return []
        return self._note_absence("missed_turns", proposer, time_s, height, self.settings.turn_strength)

    def observe_sent(self, time_s: int, sender: str, *, kind: str = "flood", count: int = 1) -> list[Threat]:
        """Take in that somebody sent something: a transaction, a request, or with ``round_changes`` a call for a round.

        A ``count`` of 0 says that the sender is there and sends nothing.
        """
        window, crowd = time_s // self.settings.window_s, self._crowds[kind]
        own = keep(self._senders, (kind, sender), Sender)
        if window > crowd.window:
            crowd.window, crowd.count, crowd.senders = window, 0, 0
        if window > own.window:
            if own.window >= 0 and not own.is_odd:
                own.usual.learn(own.count, _WINDOW_KEEP)
                crowd.usual.learn(own.count, _CROWD_KEEP)
            own.window, own.count, own.is_odd = window, 0, False
            crowd.senders += 1
        own.count += count
        crowd.count += count
        if not count or max(crowd.usual.weight / _SETTLED_WINDOWS, crowd.senders / _SETTLED_CROWD) < 1.0:
            return []
        mean, inputs = self._burst_inputs(own, crowd)
        about = {"events": own.count, "usual": mean}
        found = self._judge(kind, sender, time_s, inputs, about, window_s=self.settings.window_s)
        own.is_odd = own.is_odd or self._is_alarming(kind, inputs)
        return found

    def observe_call(self, call: Call) -> list[Threat]:
        """Take in a call: how much gas it used, and whether it was refused."""
        return [*self._note_gas(call), *self._note_refusal(call)]

    def observe_block(self, time_s: int, height: int, proposer: str, fill_rate: float) -> list[Threat]:
        """Take in how full a block is, as a share of its gas limit."""
        found = []
        if self._blocks:
            inputs = {"fill_rate": fill_rate, "fullest_rate": self._fullest, "seen": self._blocks}
            found = self._judge("full_block", proposer, time_s, inputs, {"height": height})
        grown = min(fill_rate, GROWTH * (self._fullest + LEAST_FILL_RATE))
        self._fullest = max(self._fullest * KEEP, grown if self._blocks else fill_rate)
        self._blocks = min(self._blocks + 1, MOST_SEEN)
        return found

    def release(self, subject: str) -> None:
        """Take back what is held against somebody whose alarm proved false: it may be raised anew at once."""
        for kind in CHAIN_RULES:
            self._raised.pop((kind, subject), None)
            self._records.pop((kind, subject), None)
            self._senders.pop((kind, subject), None)
        self._tests.pop(subject, None)

    def _note_presence(self, kind: str, name: str, time_s: int) -> None:
        record, pool = keep(self._records, (kind, name), Record), self._pools[kind]
        is_flagged = record.run > 0 and time_s - self._raised.get((kind, name), -math.inf) <= self.settings.quiet_s
        for each in (record, pool):
            each.learn(0 if is_flagged else record.run)
        record.run = 0

    def _note_absence(self, kind: str, name: str, time_s: int, height: int, strength: float) -> list[Threat]:
        record, pool = keep(self._records, (kind, name), Record), self._pools[kind]
        record.run += 1
        share = (pool.absent + 1.0) / (pool.absent + pool.present + 10.0)
        inputs = {
            "run": record.run,
            "absent": record.absent + strength * share,
            "present": record.present + strength * (1.0 - share),
        }
        return self._judge(kind, name, time_s, inputs, {"height": height})

    def _burst_inputs(self, own: Sender, crowd: Crowd) -> tuple[float, dict[str, Any]]:
        """Return what is usual in a window, and what ``count_surprise`` takes; counts vary by more than chance."""
        others = (crowd.count - own.count) / (crowd.senders - 1) if crowd.senders > 1 else 0.0
        habit = blend(own.usual.mean, own.usual.weight, crowd.usual.mean, self.settings.window_strength)
        mean = max(habit, others, _LEAST_USUAL)
        dispersion = max(_LEAST_DISPERSION, crowd.usual.variance / max(crowd.usual.mean, _LEAST_USUAL))
        rate = max(LEAST_RATE, 1.0 / (dispersion - 1.0))
        return mean, {"count": own.count, "shape": mean * rate, "rate": rate}

    def _note_gas(self, call: Call) -> list[Threat]:
        if not call.gas:
            return []
        alike, all_calls = (
            keep(self._functions, (call.place, size, call.is_refused), Function)
            for size in (call.size_bytes.bit_length(), None)
        )
        known = alike if alike.seen >= _LEAST_ALIKE else all_calls
        log_gas, log_size = math.log(call.gas), math.log(call.size_bytes + 1)
        found: list[Threat] = []
        if known.seen:
            inputs = {
                "gas": call.gas,
                "usual_gas": math.exp(known.expect(log_gas, log_size)),
                "widest_log": known.widest_log,
                "seen": known.seen,
            }
            about = {"function": call.place, "transaction": call.name}
            found = self._judge("odd_gas", call.sender, call.time_s, inputs, about)
        for each in (alike, all_calls):
            each.learn(log_gas, log_size)
        return found

    def _note_refusal(self, call: Call) -> list[Threat]:
        settings, test = self.settings, keep(self._tests, call.sender, Refusals)
        if not (test.refused or test.allowed):
            usual = (self._calls.mean * self._calls.weight + 1.0) / (self._calls.weight + 20.0)
            test.usual_rate = min(settings.most_usual_rate, max(settings.least_usual_rate, usual))
        if not call.is_refused:
            test.allowed += 1
        elif call.place not in test.places:
            test.refused += 1
            if len(test.places) < _MOST_PLACES:
                test.places.add(call.place)
        inputs = {
            "refused": test.refused,
            "allowed": test.allowed,
            "usual_rate": test.usual_rate,
            "probing_rate": settings.probing_rate,
        }
        found = self._judge("probing", call.sender, call.time_s, inputs, {"last": call.place})
        if ("probing", call.sender) not in self._raised:
            self._calls.learn(call.is_refused, _CROWD_KEEP)
        if CHAIN_RULES["probing"](**inputs) == 0.0:
            self._tests[call.sender] = Refusals()
        return found

    def _is_alarming(self, kind: str, inputs: Mapping[str, Any]) -> bool:
        return CHAIN_RULES[kind](**inputs) >= self._level

    def _judge(
        self,
        kind: str,
        subject: str,
        time_s: int,
        inputs: dict[str, Any],
        about: Mapping[str, Any],
        *,
        window_s: int = 0,
    ) -> list[Threat]:
        """Return an alert where a statistic reaches the level, and has not done so for a while."""
        statistic = CHAIN_RULES[kind](**inputs)
        if statistic < self._level:
            return []
        last_s = self._raised.pop((kind, subject), None)
        self._raised[kind, subject] = time_s
        if len(self._raised) > MOST_KEPT:
            del self._raised[next(iter(self._raised))]
        if last_s is not None and time_s - last_s <= self.settings.quiet_s:
            return []
        evidence = {
            "inputs": inputs,
            "statistic": statistic,
            "thresholds": [self._level],
            "window_s": window_s,
            "time_s": time_s,
            "about": dict(about),
        }
        return [Threat(kind, subject, (), statistic / (statistic + self._level), "alert", evidence)]
