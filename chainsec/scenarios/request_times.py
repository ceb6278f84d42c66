"""When the requests of an access log were made, for a load on a network that follows it.

Layer: scenarios. Not here: what they ask for (``replay``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainsec.errors import BadInput
from chainsec.scenarios.defects import Defects
from chainsec.scenarios.mapping import load_mapping
from chainsec.scenarios.replay import read_attempts

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_times"]


def read_times(log: str, mapping: str | None, folder: Path) -> list[float]:
    """Return the times of a log's requests, seconds since the first, in ascending order.

    Args:
        log: file, relative to ``folder``.
        mapping: what its fields mean; ``generic_csv`` where omitted.
        folder: of the scenario.

    Raises:
        BadInput: the log cannot be read, or its rows carry no times.
        ConfigError: the mapping is wrong.
    """
    found = load_mapping(mapping or "generic_csv")
    if not found.has_clock:
        raise BadInput(f"{log}: the mapping {mapping or 'generic_csv'} gives rows no times; a load needs them")
    rows = read_attempts(folder / log, found, Defects(folder / log))
    times = sorted(row.attempt.time_s for row in rows)
    return [float(time_s - times[0]) for time_s in times]
