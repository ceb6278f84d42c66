"""Audits a finished or interrupted run from its directory alone: chain, off-chain records, models, report, seal.

Nothing is taken on trust: blocks are executed again, every off-chain record is held against the hash that the chain
carries, every score is computed again. The first record that does not hold is named. The evidence is never changed.
Layer: scenarios. Not here: re-execution itself (``chainsec.ledger.verify``), the off-chain records (``evidence``).
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chainsec.config import Config
from chainsec.digest import digest_json, parse_canonical
from chainsec.errors import AuditFailed, LedgerError, RunInUse
from chainsec.ledger.engine import open_engine
from chainsec.ledger.verify import verify_chain
from chainsec.scenarios.acts import Acts, find_contracts
from chainsec.scenarios.audit_network import prove_headers
from chainsec.scenarios.directory import (
    CHAIN,
    CHAIN_FILES,
    SEAL,
    SETTINGS,
    digest_files,
    find_odd_file,
    reading,
    seal_content,
)
from chainsec.scenarios.evidence import USES, Evidence
from chainsec.scenarios.network_run import VIEW_LAG_S, NetworkTerms
from chainsec.scenarios.origin import check_origin, lay_origin
from chainsec.scenarios.report_schema import Quantiles, Report
from chainsec.services.access import Basis, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
        refusals: decisions without a score, as the context had to be refused.
        uses: uses under an anchor.
        seals: validators' seals that hold, over all headers; 0 for a run on one chain.
        unanchored: records that nothing on chain commits to yet; none in a finished run.
        is_sealed: whether the run was finished and its seal holds.
        head_hash: hash of the last block, 0x-hexadecimal.
    """

    blocks: int
    transactions: int
    receipts: int
    scores: int
    refusals: int
    uses: int
    seals: int
    unanchored: int
    is_sealed: bool
    head_hash: str


def verify_run(
    path: Path, on_block: Callable[[int, int], None] = lambda *_: None, *, is_own: bool = False, processes: int = 1
) -> AuditSummary:
    """Prove the run in ``path`` or name the first record that does not hold.

    Where there is a seal it has to hold. A seal that is broken decides the matter; what remains then is to find the
    record, and the chain is executed again only if its own file has changed.

    Args:
        path: a run's directory.
        on_block: told how many blocks are done, and of how many.
        is_own: the caller works on the run and has finished it but for the seal.
        processes: how many may execute blocks at once, this one included.

    Raises:
        AuditFailed: the evidence does not hold, or there is none.
        RunInUse: another process works on the run.
    """
    require_plain_files(path)
    with nullcontext() if is_own else reading(path):
        try:
            return _verify(path, on_block, is_own=is_own, processes=processes)
        except (AuditFailed, RunInUse):
            raise
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:_SHOWN_CHARS]
            raise AuditFailed(f"{path}: the evidence cannot be read: {reason}", path=path) from error


def _verify(path: Path, on_block: Callable[[int, int], None], *, is_own: bool, processes: int) -> AuditSummary:
    settings = read_settings(path)
    is_sealed = (path / SEAL).exists() and not is_own
    has_report = (path / REPORT).exists() and not is_own
    broken = find_broken_seal(path) if is_sealed else None
    chain: ChainSummary | None = None
    if broken is None or broken.name.startswith(CHAIN):
        _require_chain(path)
        chain = verify_chain(path / CHAIN, on_block, processes=processes)
    with open_evidence(path) as (engine, contracts):
        origin, acts = lay_origin(settings), Acts(engine, contracts)
        terms = parse_canonical((path / SETTINGS).read_bytes()).get("network")
        network, seals = dict[str, object](), 0
        evidence = Evidence(
            path,
            settings,
            acts,
            origin.keys,
            is_finished=is_sealed or is_own or has_report,
            view_lag_s=0 if terms is None else VIEW_LAG_S,
        )
        evidence.check_settings()  # before what follows from them
        check_origin(engine, origin)
        acts.check_lasting(len(origin.blocks) - 1)
        evidence.check_records()
        if terms is not None:
            network, seals = prove_headers(path, engine, acts, NetworkTerms(**terms), settings.seed)
        figures = _count_figures(path, acts, evidence) if broken is None and (is_sealed or has_report) else {}
    if broken is not None:
        raise broken
    assert chain is not None
    summary = AuditSummary(
        blocks=chain.blocks,
        transactions=chain.transactions,
        receipts=evidence.receipts,
        scores=evidence.scores,
        refusals=evidence.refusals,
        uses=evidence.anchored[USES],
        unanchored=evidence.unanchored,
        seals=seals,
        is_sealed=is_sealed,
        head_hash=str(chain.head_hash),
    )
    if is_sealed or has_report:
        _check_report(path, summary, evidence, figures | network)
    return summary


def require_plain_files(path: Path) -> None:
    """Refuse a directory with anything but files and folders in it. Raises: AuditFailed."""
    odd = find_odd_file(path)
    if odd is not None:
        raise AuditFailed(f"{odd}: is no regular file", path=path)


def _require_chain(path: Path) -> None:
    if not (path / CHAIN).is_file():
        when = "" if (path / SEAL).exists() else " yet; a run on a node brings its chain home when it ends"
        raise AuditFailed(f"{CHAIN}: there is no such file{when}", path=path)


@contextmanager
def open_evidence(path: Path) -> Iterator[tuple[Engine, dict[str, Contract]]]:
    """Give a copy of a run's chain and the contracts on it, by name; the run itself is not touched.

    Raises:
        AuditFailed: there is no run, or the contracts are not where a run puts them.
    """
    chain = read_settings(path).chain
    _require_chain(path)
    with tempfile.TemporaryDirectory(prefix="chainsec-audit-") as folder:
        for name in CHAIN_FILES:
            if (path / name).exists():
                shutil.copyfile(path / name, Path(folder) / name)
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
        return Config.model_validate(parse_canonical((path / SETTINGS).read_bytes())["config"])
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


def _count_figures(path: Path, acts: Acts, evidence: Evidence) -> dict[str, object]:
    """Return those figures of the report that follow from the chain, by name."""
    agents = Counter(Status(event.args["outcome"]) for event in acts.first_decision.values())
    answers, ended, verdicts = acts.answers(), acts.revocations(), acts.verdicts()
    transactions, gas = acts.gas_of(verdicts)
    waits = [event.block_number - acts.filings[name].block for name, event in acts.first_decision.items()]
    overruled = [event for event in acts.first_decision.values() if Basis(event.args["basis"]) is not Basis.AGREED]
    operation = "cost.gas_by_operation.decision"
    counted = {f"{operation}.items": len(verdicts), f"{operation}.transactions": transactions}
    return {
        "run.settings_digest": "0x" + digest_json(parse_canonical((path / SETTINGS).read_bytes())).hex(),
        "requests.live": len(acts.requests),
        "decisions.granted": agents[Status.GRANTED],
        "decisions.denied": agents[Status.DENIED],
        "decisions.escalated": agents[Status.ESCALATED],
        "decisions.approved": answers["approve"],
        "decisions.cancelled": answers["cancel"],
        "decisions.revoked_by_agent": ended["revoke"],
        "decisions.revoked_by_guardian": ended["cancel"],
        "decisions.revoked_after_expiry": ended[""],
        "decisions.quarantined": acts.count("RequesterQuarantined"),
        "decisions.alerts": acts.count("AlertRaised") - evidence.notices,
        "decisions.overruled_by_contract": len(overruled),
        "latency.decision_blocks": Quantiles.of(waits),
        "cost.gas_total": acts.gas_total(),
        "cost.gas_per_decision": gas / len(verdicts) if verdicts else None,
        "audit.receipts": evidence.receipts,
        **(counted | {f"{operation}.gas_total": gas} if verdicts else {}),
    }


def _check_report(path: Path, summary: AuditSummary, evidence: Evidence, figures: Mapping[str, object]) -> None:
    """Hold those figures of the report against the run that can be read from it."""
    try:
        report = Report.model_validate_json((path / REPORT).read_bytes())
    except (OSError, ValueError) as error:
        raise AuditFailed(f"{REPORT}: cannot be read: {' '.join(str(error).split())[:_SHOWN_CHARS]}") from error
    found = {
        **figures,
        "cost.transactions": summary.transactions,
        "audit.blocks": summary.blocks,
        "audit.head_hash": summary.head_hash,
    }
    for name, expected in found.items():
        stated = _figure(report, name)
        if stated != expected:
            raise AuditFailed(f"{REPORT}: {name} is {stated!r}, the run gives {expected!r}")
    if report.run.model_digest not in evidence.models:
        raise AuditFailed(f"{REPORT}: run.model_digest is {report.run.model_digest!r}, a model that the run has not")
    operations = report.cost.gas_by_operation.values()
    parts = sum(part.transactions for part in operations), sum(part.gas_total for part in operations)
    if parts != (report.cost.transactions, report.cost.gas_total):
        raise AuditFailed(f"{REPORT}: cost.gas_by_operation does not add up")
    if len(report.model) != evidence.notices:
        raise AuditFailed(f"{REPORT}: model has {len(report.model)} notices, the run {evidence.notices}")
    if report.network is not None and "network.seals" not in figures:
        raise AuditFailed(f"{REPORT}: tells of a network, and the run was on one chain")


def _figure(report: Report, name: str) -> object:
    found: object = report
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else getattr(found, part, None)
    return found
