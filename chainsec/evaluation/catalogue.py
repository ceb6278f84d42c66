"""All studies by name, and running several of them.

Layer: evaluation, at its top. Not here: the studies, showing what they found (``chainsec.app``).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from chainsec.errors import BadInput, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainsec.evaluation.outcome import Outcome, Study


@dataclass(frozen=True)
class Entry:
    """A study in the catalogue.

    Args:
        name: as the command line takes it.
        place: its class, ``module:class`` below ``chainsec.evaluation``.
        reads: folder of the public data that it reads, "" where it makes its own.
    """

    name: str
    place: str
    reads: str

    def load(self) -> Study:
        """Return the study; its libraries are imported only now."""
        module, name = self.place.split(":")
        study: Study = getattr(import_module(f"chainsec.evaluation.{module}"), name)()
        return study


STUDIES = (
    Entry("access", "access:AccessStudy", "amazon_access"),
    Entry("behaviour", "behaviour:BehaviourStudy", "cert_r42"),
    Entry("traffic", "traffic:TrafficStudy", "nsl_kdd"),
    Entry("accounts", "accounts:AccountsStudy", "ethereum_fraud"),
    Entry("spam", "spam:SpamStudy", "sms_spam"),
    Entry("injection", "injection:InjectionStudy", "prompt_injection"),
    Entry("series", "series:SeriesStudy", "nab"),
    Entry("forecast", "forecast:ForecastStudy", "cert_r42"),
    Entry("chain", "chain:ChainStudy", ""),
    Entry("renewal", "renewal:RenewalStudy", ""),
    Entry("robustness", "robustness:RobustnessStudy", ""),
)


@dataclass(frozen=True)
class PassedOver:
    """A study that could not be run, and why."""

    name: str
    reason: str


def find_studies(names: Sequence[str]) -> tuple[Entry, ...]:
    """Return the entries with these names in the order of the catalogue, each once; all where none is named.

    Raises:
        ConfigError: there is no study of a name.

    >>> [entry.name for entry in find_studies(["spam", "access"])]
    ['access', 'spam']
    """
    known = {entry.name for entry in STUDIES}
    for name in names:
        if name not in known:
            raise ConfigError(f"no study {name!r}; known: {', '.join(entry.name for entry in STUDIES)}", study=name)
    return tuple(entry for entry in STUDIES if not names or entry.name in names)


def run_studies(
    entries: Sequence[Entry],
    folder: Path | None,
    seed: int,
    on_step: Callable[[str, int, int], None],
    *,
    must_have_data: bool,
) -> tuple[list[Outcome], list[PassedOver]]:
    """Run studies one after the other.

    Args:
        entries: which.
        folder: holds the public data sets, one folder each; None where nobody has them.
        seed: of everything drawn.
        on_step: told how they proceed.
        must_have_data: fail where data are missing instead of passing a study over.

    Raises:
        BadInput: data are missing, or not what they should be.
    """
    outcomes, passed_over = [], []
    for entry in entries:
        if entry.reads and (folder is None or not (folder / entry.reads).is_dir()):
            reason = (
                f"reads {entry.reads}/, name its folder with --data or CHAINSEC_DATA"
                if folder is None
                else f"{folder / entry.reads}: this folder of the data is missing"
            )
            if must_have_data:
                raise BadInput(f"{entry.name}: {reason}", study=entry.name)
            passed_over.append(PassedOver(entry.name, reason))
            continue
        began = time.perf_counter()
        outcome = entry.load().run(folder or Path(), seed, on_step)
        outcomes.append(replace(outcome, seconds=round(time.perf_counter() - began, 1)))
    return outcomes, passed_over
