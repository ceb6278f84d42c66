"""Audits a finished or interrupted run from its directory alone: chain, off-chain records, models, report, seal.

Nothing is taken on trust: blocks are executed again, every off-chain record is held against the hash that the chain
carries, every score is computed again. The first record that does not hold is named. The evidence is never changed.
Layer: scenarios. Not here: re-execution itself (``chainsec.ledger.verify``), the off-chain records (``evidence``).
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chainsec.config import Config
from chainsec.digest import canonical_json, digest_json, parse_canonical
from chainsec.errors import AuditFailed, LedgerError, RunInUse
from chainsec.ledger.engine import open_engine
from chainsec.ledger.verify import verify_chain
from chainsec.scenarios.acts import Acts, find_contracts
from chainsec.scenarios.directory import CHAIN, SEAL, SETTINGS, digest_files, reading, seal_content
from chainsec.scenarios.evidence import USES, Evidence
from chainsec.scenarios.report_schema import Report
from chainsec.services.access import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from chainsec.ledger.contract import Contract
    from chainsec.ledger.engine import Engine
    from chainsec.ledger.verify import ChainSummary

REPORT = "report.json"
_SHOWN_CHARS = 200


@dataclass(frozen=True)
class AuditSummary:
    """What was proved.

    Args:
        blocks: executed again, the first one included.
        transactions: in them.
        receipts: agent's and guardians' receipts held against the chain.
        scores: computed again.
        uses: uses under an anchor.
        unanchored: uses and outcomes written after the last anchor; none in a finished run.
        is_sealed: whether the run was finished and its seal holds.
        head_hash: hash of the last block, 0x-hexadecimal.
    """

    blocks: int
    transactions: int
    receipts: int
    scores: int
    uses: int
    unanchored: int
    is_sealed: bool
    head_hash: str


def verify_run(
    path: Path, on_block: Callable[[int, int], None] = lambda *_: None, *, is_own: bool = False
) -> AuditSummary:
    """Prove the run in ``path`` or name the first record that does not hold.

    Where there is a seal it has to hold. A seal that is broken decides the matter; what remains then is to find the
    record, and the chain is executed again only if its own file has changed.

    Args:
        path: a run's directory.
        on_block: told how many blocks are done, and of how many.
        is_own: the caller works on the run and has finished it but for the seal.

    Raises:
        AuditFailed: the evidence does not hold, or there is none.
        RunInUse: another process works on the run.
    """
    with nullcontext() if is_own else reading(path):
        try:
            return _verify(path, on_block, is_own=is_own)
        except (AuditFailed, RunInUse):
            raise
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:_SHOWN_CHARS]
            raise AuditFailed(f"{path}: the evidence cannot be read: {reason}", path=path) from error


def _verify(path: Path, on_block: Callable[[int, int], None], *, is_own: bool) -> AuditSummary:
    settings = read_settings(path)
    is_sealed = (path / SEAL).exists() and not is_own
    broken = find_broken_seal(path) if is_sealed else None
    chain: ChainSummary | None = None
    if broken is None or broken.name.startswith(CHAIN):
        chain = verify_chain(path / CHAIN, on_block)
    with open_evidence(path) as (engine, contracts):
        acts = Acts(engine, contracts)
        evidence = Evidence(path, settings, acts, is_finished=is_sealed or is_own)
        evidence.check_all()
    if broken is not None:
        raise broken
    assert chain is not None
    summary = AuditSummary(
        blocks=chain.blocks,
        transactions=chain.transactions,
        receipts=evidence.receipts,
        scores=evidence.scores,
        uses=evidence.anchored[USES],
        unanchored=evidence.unanchored,
        is_sealed=is_sealed,
        head_hash=str(chain.head_hash),
    )
    if is_sealed:
        _check_report(path, summary, acts, evidence)
    return summary


@contextmanager
def open_evidence(path: Path) -> Iterator[tuple[Engine, dict[str, Contract]]]:
    """Give a copy of a run's chain and the contracts on it, by name; the run itself is not touched.

    Raises:
        AuditFailed: there is no run, or the contracts are not where a run puts them.
    """
    chain = read_settings(path).chain
    if not (path / CHAIN).is_file():
        raise AuditFailed(f"{CHAIN}: there is no such file", path=path)
    with tempfile.TemporaryDirectory(prefix="chainsec-audit-") as folder:
        for file in path.glob(f"{CHAIN}*"):
            shutil.copyfile(file, Path(folder) / file.name)
        try:
            with open_engine(
                path=Path(folder) / CHAIN, chain_id=chain.chain_id, genesis_time=chain.genesis_time_s
            ) as engine:
                yield engine, find_contracts(engine)
        except LedgerError as error:
            raise AuditFailed(f"{CHAIN}: {str(error).replace(folder, str(path))}", path=path) from error


def read_settings(path: Path) -> Config:
    """Return the settings of a run. Raises: AuditFailed: there are none, or they cannot be read."""
    try:
        content = (path / SETTINGS).read_bytes()
        settings = parse_canonical(content)
        if canonical_json(settings) != content:
            raise ValueError("it is not in canonical form")  # noqa: TRY301 - refused as what cannot be read
        return Config.model_validate(settings["config"])
    except OSError as error:
        raise AuditFailed(f"{path}: holds no run: {SETTINGS} cannot be read: {error.strerror}", path=path) from error
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise AuditFailed(f"{SETTINGS}: {' '.join(str(error).split())[:_SHOWN_CHARS]}", path=path) from error


def find_broken_seal(path: Path) -> AuditFailed | None:
    """Return what to say of the first file that is not as it was sealed, None where all are. ``name`` is the file's."""
    actual = digest_files(path)
    try:
        content = (path / SEAL).read_bytes()
        stated = parse_canonical(content)["files"]
        is_whole = content == seal_content(stated)
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        return AuditFailed(f"{SEAL}: cannot be read: {error}", path=path, name=SEAL)
    if not is_whole:
        return AuditFailed(f"{SEAL}: was changed", path=path, name=SEAL)
    differing = [name for name in {*stated, *actual} if stated.get(name) != actual.get(name)]
    # the chain comes first: whether other records hold is asked of it
    for name in sorted(differing, key=lambda name: (not name.startswith(CHAIN), name)):
        state = "is missing" if name not in actual else "was added" if name not in stated else "was changed"
        return AuditFailed(f"{name}: {state} after the run was sealed", path=path, name=name)
    return None


def _check_report(path: Path, summary: AuditSummary, acts: Acts, evidence: Evidence) -> None:
    """Hold those figures of the report against the chain that can be read from it."""
    try:
        report = Report.model_validate_json((path / REPORT).read_bytes())
    except (OSError, ValueError) as error:
        raise AuditFailed(f"{REPORT}: cannot be read: {' '.join(str(error).split())[:_SHOWN_CHARS]}") from error
    agents = Counter(Status(event.args["outcome"]) for event in acts.first_decision.values())
    figures: Mapping[str, tuple[object, object]] = {
        "run.settings_digest": (
            report.run.settings_digest,
            "0x" + digest_json(parse_canonical((path / SETTINGS).read_bytes())).hex(),
        ),
        "run.model_digest": (report.run.model_digest in evidence.models, True),
        "requests.live": (report.requests.live, len(acts.requests)),
        "decisions.granted": (report.decisions.granted, agents[Status.GRANTED]),
        "decisions.denied": (report.decisions.denied, agents[Status.DENIED]),
        "decisions.escalated": (report.decisions.escalated, agents[Status.ESCALATED]),
        "decisions.revoked": (report.decisions.revoked, acts.count("AccessRevoked")),
        "decisions.quarantined": (report.decisions.quarantined, acts.count("RequesterQuarantined")),
        "decisions.alerts": (report.decisions.alerts, acts.count("AlertRaised")),
        "cost.transactions": (report.cost.transactions, summary.transactions),
        "audit.blocks": (report.audit.blocks, summary.blocks),
        "audit.receipts": (report.audit.receipts, summary.receipts),
        "audit.head_hash": (report.audit.head_hash, summary.head_hash),
    }
    for name, (stated, found) in figures.items():
        if stated != found:
            raise AuditFailed(f"{REPORT}: {name} is {stated!r}, the run gives {found!r}")
