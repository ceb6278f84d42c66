"""Follows which model is in use as a run's receipts go by: alarms about it, careful times, trials, successors.

Scores and labels are watched again as the agent watched them, so that an alarm that nothing led to, a trial with other
figures, or a model that was used before it was anchored is found. Layer: scenarios, below ``examination``. Not here:
the watch itself (``chainsec.defence.renewal``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from chainsec.defence.receipts import find_drift_fault, find_trial_fault
from chainsec.defence.renewal import DriftWatches
from chainsec.models.drift import DriftSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chainsec.config import RenewalSettings
    from chainsec.ledger.contract import Event
    from chainsec.primitives import Address


class Label(NamedTuple):
    """A label that came to light: for which request, what it says, and after which block."""

    request_id: str
    denied: bool
    block: int


class Succession:
    """The models of a run, one after the other.

    Args:
        settings: when the agent looks for a better model.
        agent: the agent's account.
        anchored: block of each model's anchor by digest, in the chain's order.
        labels: that came to light, in order.

    ``is_careful`` tells whether an alarm stands, ``notices`` counts those that hold.
    """

    def __init__(
        self, settings: RenewalSettings, agent: Address, anchored: Mapping[str, int], labels: Sequence[Label]
    ) -> None:
        self._settings = settings
        self._agent = agent
        self._anchored = anchored
        self._labels = labels
        self._drift = DriftSettings(settings.reference_events, settings.events_per_false_alarm)
        self._watched: dict[str, float] = {}
        self._scores: dict[str, float] = {}
        self._in_use = next(iter(anchored), None)
        self.is_careful = False
        self.notices = 0

    def find_model_fault(self, receipt: Mapping[str, Any], block: int) -> str | None:
        """Return what speaks against the model that a decision names; take its score where nothing does."""
        digest = receipt["model"]
        if digest != self._in_use:
            return f"the model in use is {self._in_use}, not {digest}"
        if block <= self._anchored[digest]:
            return f"the model {digest} was used before it was anchored"
        self._scores[receipt["request"]] = receipt["score"]
        if not self.is_careful:
            self._watched[receipt["request"]] = receipt["score"]
        return None

    def find_notice_fault(self, receipt: Mapping[str, Any], events: Sequence[Event]) -> str | None:
        """Return what is wrong with the receipt of a notice; go on as it says where nothing is."""
        if [event.name for event in events] != ["AlertRaised"] or events[0].args["subject"] != self._agent:
            return "the chain has no alert about the agent itself with it"
        if not self._settings.enabled:
            return "the run's settings look for no better model"
        if receipt["model"] != self._in_use:
            return f"the model in use is {self._in_use}, not {receipt['model']!r}"
        block = events[0].block_number
        is_drift = receipt["kind"] == "drift"
        if is_drift is self.is_careful:
            return "an alarm stands already" if is_drift else "no alarm stands"
        fault = self._find_alarm_fault(receipt, block) if is_drift else self._find_trial_fault(receipt, block)
        if fault is None:
            self.notices += 1
            self.is_careful = is_drift
            self._watched.clear()
        return fault

    def _find_alarm_fault(self, receipt: Mapping[str, Any], block: int) -> str | None:
        watches = DriftWatches(self._drift)
        for request_id, score in self._watched.items():
            watches.note_score(request_id, score)
        for label in self._labels_before(block):
            watches.note_label(label.request_id, label.denied)
        return find_drift_fault(receipt, watches.alarm(receipt["stream"]))

    def _find_trial_fault(self, receipt: Mapping[str, Any], block: int) -> str | None:
        labels = {label.request_id: label.denied for label in self._labels_before(block)}
        fault = find_trial_fault(receipt, self._scores, labels, self._settings.trial_labels)
        if fault is None and receipt["adopted"]:
            if receipt["challenger"] not in self._anchored:
                return f"the model {receipt['challenger']} is not in the run"
            self._in_use = receipt["challenger"]
        return fault

    def _labels_before(self, block: int) -> list[Label]:
        return [label for label in self._labels if label.block < block]
