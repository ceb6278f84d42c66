"""What a run on a network of validators reports besides: how long grants and revocations take, and what slips through.

Layer: scenarios, below ``report_schema``. Not here: measuring (``network_run``).
"""

from collections.abc import Mapping

from chainsec.scenarios.report_series import Amount, Count, Part, Quantiles

__all__ = ["Condition", "NetworkPart", "StillRead"]


class StillRead(Part):
    """What attackers could read between their detection and the finality of what stopped them.

    Args:
        bytes_at_pace: in that time at the pace of what the attack had taken until then, by attack.
        uses: uses of the workload that fall into that time and were allowed before: a gateway that lags lets them pass.
        bytes_read: in these.
    """

    bytes_at_pace: Quantiles | None
    uses: Count
    bytes_read: Count


class Condition(Part):
    """The same network, with something wrong with it: probes instead of the whole run.

    Args:
        means: what is wrong.
        probes: grants, and as many revocations.
        lost: of both, those that were not final within two minutes.
        cut_off_nodes: nodes that learn of no revocation as long as it lasts.
        has_agreed: no two nodes held different blocks.
    """

    name: str
    means: str
    probes: Count
    lost: Count
    grant_s: Quantiles | None
    revoke_s: Quantiles | None
    revoke_blocks: Quantiles | None
    cut_off_nodes: Count
    has_agreed: bool


class NetworkPart(Part):
    """The network of a run.

    Args:
        validators: that agreed on every block of the live part.
        links: name of the matrix between their regions.
        condition: what was wrong with it during the run.
        rounds: blocks of the live part by the round in which they were agreed on.
        empty_blocks: of the live part. Quiet stretches are cut out, so that these are few.
        violations: heights at which two nodes held different blocks.
        seals: that hold, over all headers.
        grants: requests that were granted by the agent at once, of which the next two tell.
        grant_s: from a request's sending until its grant is final at the node that it was sent to.
        grant_blocks: from the request's block to the grant's.
        revocations: acts of the agent that cut somebody off, of which the next three tell.
        never_everywhere: of these, those that a node had not got a minute after the run, though it was connected.
        revoke_first_s: from the sending of what cuts somebody off until it is final at the first node.
        revoke_s: until it is final at every node that was connected: only then is nobody let through any more.
        revoke_blocks: from the head when it was sent to the block that holds it.
        still_read: what slips through in between.
        conditions: the same network under each condition.
    """

    validators: Count
    links: str
    regions: tuple[str, ...]
    condition: str
    block_period_s: Amount
    request_timeout_s: Amount
    blocks: Count
    empty_blocks: Count
    rounds: Mapping[str, Count]
    violations: Count
    seals: Count
    messages: Count
    bytes_sent: Count
    grants: Count
    grant_s: Quantiles | None
    grant_blocks: Quantiles | None
    revocations: Count
    never_everywhere: Count
    revoke_first_s: Quantiles | None
    revoke_s: Quantiles | None
    revoke_blocks: Quantiles | None
    still_read: StillRead
    conditions: tuple[Condition, ...]
