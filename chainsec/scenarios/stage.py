"""Sets the stage: puts a workload's organisations, members, records and consents on chain.

Layer: scenarios. Not here: the play itself (``play``).
"""

from __future__ import annotations

from collections import defaultdict
from itertools import islice
from typing import TYPE_CHECKING, Any

from chainsec.digest import keccak
from chainsec.primitives import Hash32, Scope
from chainsec.purposes import find_purpose
from chainsec.services.assets import Registration
from chainsec.services.consent import Terms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from chainsec.config import Config
    from chainsec.sandbox import Sandbox
    from chainsec.scenarios.workload import ConsentTerms, Workload

LEAD_S = 86_400
"""Chain time between genesis and the live part, for setting the stage."""

_TRANSACTIONS_PER_BLOCK = 40
_ITEMS_PER_TRANSACTION = 60


def set_stage(
    box: Sandbox, workload: Workload, on_step: Callable[[str, int, int], None] = lambda *_: None
) -> dict[str, Hash32]:
    """Introduce everybody and everything; return the assets' identifiers by record name.

    Consents that lapse before the live part have nothing left to allow and stay off the chain.

    Args:
        box: where it goes.
        workload: what is to be introduced.
        on_step: told what is being done, how much of it is done, and of how much.
    """
    block_size = most_transactions(box)
    for _, names in _batches(workload.organisations, block_size):
        for name in names:
            box.introduce_organisation(name)
        box.client.settle()
    for done, batch in _batches(workload.members, block_size):
        for member in batch:
            box.introduce_member(member.organisation, member.name)
        box.client.settle()
        on_step("members", done, len(workload.members))
    assets = _register_records(box, workload, on_step)
    _give_consents(box, workload, assets, on_step)
    return assets


def _register_records(box: Sandbox, workload: Workload, on_step: Callable[[str, int, int], None]) -> dict[str, Hash32]:
    assets: dict[str, Hash32] = {}
    for done, batch in _batches(workload.records, _ITEMS_PER_TRANSACTION):
        registrations = [
            Registration(box.account(record.owner).address, Hash32(keccak(record.name.encode())), record.sensitivity)
            for record in batch
        ]
        identifiers = box.deployment.assets.register(box.keys.steward, registrations)
        assets.update(zip((record.name for record in batch), identifiers, strict=True))
        box.client.settle()
        on_step("records", done, len(workload.records))
    return assets


def chain_time(config: Config, workload: Workload, time_s: int) -> int:
    """Return the block time for a workload's time; later by the settings' offset where the workload has times.

    Rows of a log without times start a day after genesis and follow each other at the pace that the agent's budget of
    grants allows, so that a log of years is not squeezed into one window. What comes after the last rows are handed
    in is counted in seconds.
    """
    if workload.has_clock:
        return time_s + config.run.time_offset_s
    rows = min(time_s, workload.live[-1].time_s + config.chain.batch_size)
    return config.chain.genesis_time_s + LEAD_S + rows * row_pace_s(config) + time_s - rows


def row_pace_s(config: Config) -> int:
    """Return the chain time from one row of a log without times to the next, seconds.

    >>> from chainsec.config import Config
    >>> row_pace_s(Config())
    173
    """
    return -(-config.limits.window_s // max(1, config.limits.grants_per_window))


def most_transactions(box: Sandbox) -> int:
    """Return how many transactions are sure to fit into one block, whatever gas each of them takes; at least 1."""
    return max(1, min(_TRANSACTIONS_PER_BLOCK, box.engine.block_gas_limit // box.config.chain.transaction_gas))


def _give_consents(
    box: Sandbox, workload: Workload, assets: dict[str, Hash32], on_step: Callable[[str, int, int], None]
) -> None:
    owners = {record.name: record.owner for record in workload.records}
    by_owner: dict[str, list[ConsentTerms]] = defaultdict(list)
    standing = [consent for consent in workload.consents if consent.until_s > workload.live[0].time_s]
    for consent in standing:
        by_owner[owners[consent.record]].append(consent)
    given = 0
    for sent, (owner, consents) in enumerate(by_owner.items(), 1):
        for _, batch in _batches(consents, _ITEMS_PER_TRANSACTION):
            terms = [
                Terms(
                    assets[consent.record],
                    box.account(consent.grantee).address,
                    find_purpose(consent.purpose).hash,
                    Scope(consent.scope),
                    chain_time(box.config, workload, consent.until_s),
                )
                for consent in batch
            ]
            box.deployment.consent.give(box.account(owner), terms)
            given += len(batch)
            if len(consents) > _ITEMS_PER_TRANSACTION:
                box.client.settle()
                on_step("consents", given, len(standing))
        if sent % most_transactions(box) == 0:
            box.client.settle()
            on_step("consents", given, len(standing))
    box.client.settle()
    on_step("consents", given, len(standing))


def _batches(items: Sequence[Any], size: int) -> Iterator[tuple[int, list[Any]]]:
    iterator, done = iter(items), 0
    while batch := list(islice(iterator, size)):
        done += len(batch)
        yield done, batch
