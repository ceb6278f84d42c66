"""How well a way of deciding did: the part of a report that sets the agent beside simpler ways.

Frozen pydantic models as in ``report_schema``, of which this is a part. Layer: scenarios, below ``report_schema``.
Not here: measuring (``comparison``).
"""

from collections.abc import Mapping
from typing import Self

from pydantic import model_validator

from chainsec.scenarios.report_series import Count, Part, Rate

RULES = "rules only"
"""Name of the baseline that the agent has to beat."""


class AttackOutcome(Part):
    """What became of one kind of attack.

    Args:
        requests: live requests of this kind.
        denied: of these, denied.
        escalated: of these, passed to a guardian.
        approved: of the escalated ones, approved by a guardian all the same.
        stopped: denied, or escalated and not approved.
        cut_off: granted, then cut off before half of the planned bytes were taken.
        cut_off_late: granted, then cut off after that.
        recall: ``stopped / requests``; None without requests.
        leaked_bytes: handed out to this kind of attack; None where the log has no uses.
        leaked_records: distinct records handed out to it.
    """

    requests: Count
    denied: Count
    escalated: Count
    approved: Count
    stopped: Count
    cut_off: Count
    cut_off_late: Count
    recall: Rate | None
    leaked_bytes: Count | None = None
    leaked_records: Count | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.stopped != self.denied + self.escalated - self.approved:
            raise ValueError(f"stopped {self.stopped} is not {self.denied} + {self.escalated} - {self.approved}")
        if self.stopped + self.cut_off + self.cut_off_late > self.requests:
            raise ValueError(f"more outcomes than the {self.requests} requests")
        if (self.recall is None) != (self.requests == 0):
            raise ValueError("recall exists exactly where there are requests")
        return self


class Measures(Part):
    """How well one way of deciding tells bad requests from good ones, over the labelled live requests.

    Every way is judged under the same contract: what is more sensitive than its ceiling goes before the same guardians,
    whatever the way says. ``denial_recall`` speaks of the score alone; between two points of its ROC curve it is
    interpolated, as if a lot decided among equal scores.

    Args:
        auc: area under the ROC curve of the score; None where one class is missing.
        average_precision: area under the precision-recall curve.
        denial_recall_at_1pct: bad requests caught where the score refuses 1 % of the good ones.
        denial_recall_at_5pct: the same at 5 %.
        denial_recall_at_10pct: the same at 10 %.
        good_requests: labelled live requests that had to be granted.
        bad_requests: labelled live requests that had to be denied.
        bad_held_up_rate: bad requests denied, or passed to a guardian whatever came of it.
        bad_stopped_rate: bad requests denied, or passed to a guardian and not approved.
        bad_stopped_by_ceiling_rate: of all bad requests, those that were stopped only because the contract's ceiling
            passed them to a guardian.
        bad_cut_off_rate: bad requests that were granted, then cut off before half of the planned bytes were taken.
        held_at_agents_share: bad requests held up where the score, under the ceiling, holds up as many good ones as the
            agent did; interpolated.
        held_at_rules_share: the same at the share of good requests that the rules held up.
        good_denied_rate: good requests denied at once.
        good_escalated_rate: good requests passed to a guardian.
        good_refused_rate: good requests refused in the end: denied at once, or cancelled by a guardian.
        good_lapsed_rate: good requests that lapsed before a guardian could approve them.
        leaked_bytes: handed out for bad requests; None where the log has no uses.
        leaked_records: distinct records handed out for bad requests.
        per_attack: kind of attack to what became of it.
    """

    auc: Rate | None
    average_precision: Rate | None
    denial_recall_at_1pct: Rate | None
    denial_recall_at_5pct: Rate | None
    denial_recall_at_10pct: Rate | None
    good_requests: Count
    bad_requests: Count
    bad_held_up_rate: Rate | None
    bad_stopped_rate: Rate | None
    bad_stopped_by_ceiling_rate: Rate | None
    bad_cut_off_rate: Rate | None
    held_at_agents_share: Rate | None
    held_at_rules_share: Rate | None
    good_denied_rate: Rate | None
    good_escalated_rate: Rate | None
    good_refused_rate: Rate | None
    good_lapsed_rate: Rate | None
    leaked_bytes: Count | None = None
    leaked_records: Count | None = None
    per_attack: Mapping[str, AttackOutcome] = {}


class Quality(Measures):
    """The agent's measures, and those of simpler ways of deciding on the same log.

    Args:
        baselines: name (``grant all``, ``rules only``) to its measures.
    """

    baselines: Mapping[str, Measures] = {}
