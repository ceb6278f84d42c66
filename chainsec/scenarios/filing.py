"""Hands what people ask for to their houses' gateways, which file it on chain.

Layer: scenarios. Not here: which attempts go into one block (``ticks``), what becomes of them (``play``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainsec.primitives import ACTION_SCOPES
from chainsec.purposes import find_purpose
from chainsec.scenarios.episodes import observed_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chainsec.primitives import AccessRequest, Hash32
    from chainsec.sandbox import Sandbox
    from chainsec.scenarios.ticks import Filing
    from chainsec.scenarios.workload import Attempt

__all__ = ["file_requests"]


def file_requests(
    box: Sandbox, assets: Mapping[str, Hash32], filings: Sequence[Filing], *, now_s: int, has_clock: bool
) -> list[list[tuple[Attempt, AccessRequest]]]:
    """Send each filing in a transaction of its house's gateway, to stand with the next ``settle``.

    Contexts are handed in, durably, before anything is sent.

    Args:
        box: the system.
        assets: identifiers by record name.
        filings: houses and what is asked for on their behalf.
        now_s: the time from which a request's duration counts, Unix seconds on chain.
        has_clock: whether attempts have times.

    Returns:
        The attempts of each filing with the requests that came of them.
    """
    filed, contexts = [], []
    for house, attempts in filings:
        asked = []
        for attempt in attempts:
            request, context = box.draft_request(
                box.account(attempt.requester).address,
                box.account(house).address,
                assets[attempt.asset],
                find_purpose(attempt.purpose).hash,
                ACTION_SCOPES[attempt.action],
                until=now_s + attempt.duration_s,
                observed=observed_of(attempt, has_clock=has_clock),
            )
            asked.append((attempt, request))
            contexts.append(context)
        filed.append(asked)
    box.hand_in(contexts)
    for (house, _), asked in zip(filings, filed, strict=True):
        requests = [request for _, request in asked]
        box.deployment.access.request_many(box.gateway(house), box.account(house).address, requests)
    return filed
