"""Audits what validators have agreed on in a run on a network, and what its report says of them.

Layer: scenarios, below ``audit``. Not here: the rules that headers keep (``chainsec.network.evidence``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainsec.errors import AuditFailed
from chainsec.ledger.local import LocalEngine
from chainsec.network.evidence import check_headers, read_headers
from chainsec.network.surroundings import QbftSettings
from chainsec.scenarios.directory import HEADERS
from chainsec.scenarios.network_run import count_headers
from chainsec.services.audit import MODELS

if TYPE_CHECKING:
    from pathlib import Path

    from chainsec.ledger.engine import Engine
    from chainsec.scenarios.acts import Acts
    from chainsec.scenarios.network_run import NetworkTerms

__all__ = ["prove_headers"]


def prove_headers(
    path: Path, engine: Engine, acts: Acts, terms: NetworkTerms, seed: int
) -> tuple[dict[str, object], int]:
    """Hold the headers that validators sealed against the chain, and return what a report has to say of them.

    Who the validators are follows from the run's settings, and so does the block that they began on: the one that
    anchors the model, behind which nothing is laid any more.

    Returns:
        Figures of the report's network that follow from settings and headers, by name; how many seals hold.

    Raises:
        AuditFailed: names the first header that does not hold; or the run is not at its end, where they are written.
    """
    if not (path / HEADERS).exists():
        raise AuditFailed(f"{HEADERS}: is not there yet; a run on a network writes it when it ends", path=path)
    anchors = acts.anchors(MODELS)
    if not anchors:
        raise AuditFailed("the chain anchors no model, before which no validator makes a block")
    assert isinstance(engine, LocalEngine)
    headers = read_headers((path / HEADERS).read_bytes())
    seals = check_headers(
        headers,
        engine,
        validators=terms.addresses(seed),
        first_block=anchors[0].block_number,
        block_period_s=terms.block_period_s,
        epoch_blocks=QbftSettings().epoch_blocks,
    )
    stated = {name: getattr(terms, name) for name in ("validators", "links", "condition")}
    times = {name: getattr(terms, name) for name in ("block_period_s", "request_timeout_s")}
    figures = {**stated, **times, **count_headers(headers)}
    return {f"network.{name}": value for name, value in figures.items()}, seals
