"""Audits a finished or interrupted run from its directory alone: chain, contexts, receipts, uses, outcomes, models.

Nothing is taken on trust: blocks are executed again, every off-chain record is held against the hash that the chain
carries, every score is computed again. The first record that does not hold is named. The evidence is never changed.
Layer: scenarios. Not here: re-execution itself (``chainsec.ledger.verify``), one receipt (``defence.receipts``).
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chainsec.config import Config
from chainsec.contexts import request_fields
from chainsec.chain_agent import request_of
from chainsec.defence.policy import Thresholds, thresholds_by_sensitivity
from chainsec.defence.receipts import find_fault, find_threat_fault
from chainsec.defence.risk import EvidenceRiskModel
from chainsec.digest import canonical_json, keccak, merkle_root
from chainsec.errors import AuditFailed, ChainSecError, LedgerError
from chainsec.ledger.artifact import load_artifact
from chainsec.ledger.contract import Contract, Event
from chainsec.ledger.engine import Engine, open_engine
from chainsec.ledger.verify import verify_chain
from chainsec.primitives import AccessRequest, Hash32
from chainsec.scenarios.directory import CHAIN, SEAL, SETTINGS, digest_files, seal_content
from chainsec.services.access import Status
from chainsec.services.audit import leaf_of, stream_hash

MODELS, USES, OUTCOMES = "models", "uses", "outcomes"
_DEPLOYED = ("Authority", "DidRegistry", "AssetRegistry", "ConsentLedger", "AccessGrants", "Sentinel", "AuditTrail")
_OUTCOMES = {"deny": (Status.DENIED,), "escalate": (Status.ESCALATED,), "grant": tuple(Status)[2:]}


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
    path: Path, on_block: Callable[[int, int], None] = lambda *_: None, *, is_sealed: bool | None = None
) -> AuditSummary:
    """Prove the run in ``path`` or name the first record that does not hold.

    Args:
        path: a run's directory.
        on_block: told how many blocks are done, and of how many.
        is_sealed: whether a seal has to be there; by default, if there is one it has to hold.

    Raises:
        AuditFailed: the evidence does not hold, or there is none.
    """
    sealed = (path / SEAL).exists() if is_sealed is None else is_sealed
    settings = _read_settings(path)
    summary = verify_chain(path / CHAIN, on_block)
    try:
        with open_evidence(path) as (engine, contracts):
            evidence = _Evidence(path, settings, _Acts(engine, contracts), is_finished=sealed)
            evidence.check_contexts()
            evidence.check_models()
            evidence.check_receipts()
            evidence.check_anchored(USES)
            evidence.check_anchored(OUTCOMES)
    except AuditFailed:
        raise
    except (ChainSecError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise AuditFailed(f"{path}: the evidence cannot be read: {error}", path=path) from error
    if sealed:
        _check_seal(path)
    return AuditSummary(
        blocks=summary.blocks,
        transactions=summary.transactions,
        receipts=evidence.receipts,
        scores=evidence.scores,
        uses=evidence.anchored[USES],
        unanchored=evidence.unanchored,
        is_sealed=sealed,
        head_hash=str(summary.head_hash),
    )


@contextmanager
def open_evidence(path: Path) -> Iterator[tuple[Engine, dict[str, Contract]]]:
    """Give a copy of a run's chain and the contracts on it, by name; the run itself is not touched.

    Raises:
        AuditFailed: there is no run, or the contracts are not where a run puts them.
    """
    chain = _read_settings(path).chain
    with tempfile.TemporaryDirectory(prefix="chainsec-audit-") as folder:
        for file in path.glob(f"{CHAIN}*"):
            shutil.copyfile(file, Path(folder) / file.name)
        try:
            with open_engine(
                path=Path(folder) / CHAIN, chain_id=chain.chain_id, genesis_time=chain.genesis_time_s
            ) as engine:
                yield engine, _find_contracts(engine)
        except LedgerError as error:
            raise AuditFailed(f"{path / CHAIN}: {error}", path=path) from error


class _Acts:
    """What the chain says of requests, acts and anchors, read from events."""

    def __init__(self, engine: Engine, contracts: Mapping[str, Contract]) -> None:
        self._head = engine.head().number
        grants, sentinel, trail = contracts["AccessGrants"], contracts["Sentinel"], contracts["AuditTrail"]
        self.requests: dict[str, AccessRequest] = {}
        for event in self._events(grants, "AccessRequested"):
            request = request_of(event.args)
            self.requests[str(request.id)] = request
        self.context_hashes = {request.context for request in self.requests.values()}
        self.decisions = {Hash32(e.args["receipt"]): e for e in self._events(grants, "AccessDecided")}
        self.receipt_hashes = dict.fromkeys(self.decisions)
        for contract, name in (
            (grants, "DecisionSkipped"),
            (grants, "AccessRevoked"),
            (grants, "RequesterQuarantined"),
            (grants, "RequesterReleased"),
            (sentinel, "AlertRaised"),
        ):
            self.receipt_hashes |= dict.fromkeys(
                Hash32(event.args["receipt"]) for event in self._events(contract, name)
            )
        self.anchors = list(self._events(trail, "Anchored"))
        self.sensitivities: dict[Hash32, int] = {}
        for event in self._events(contracts["AssetRegistry"], "AssetRegistered"):
            self.sensitivities[Hash32(event.args["asset"])] = event.args["sensitivity"]

    def _events(self, contract: Contract, name: str) -> list[Event]:
        return contract.events(name, 0, self._head)


def _find_contracts(engine: Engine) -> dict[str, Contract]:
    """Return the contracts that the first blocks deployed, each with the code of its artifact."""
    found = {}
    for number, name in enumerate(_DEPLOYED, 1):
        artifact = load_artifact(name)
        block = engine.block(number)
        receipt = engine.receipt(block.transaction_hashes[0])
        if receipt is None or receipt.contract_address is None:
            raise AuditFailed(f"block {number}: does not deploy {name}", block=number)
        if not artifact.has_runtime(engine.code(receipt.contract_address)):
            raise AuditFailed(f"block {number}: {name} has other code than its artifact", block=number)
        found[name] = Contract(engine, receipt.contract_address, artifact.abi)
    return found


class _Evidence:
    """The off-chain records of a run, held against the chain."""

    def __init__(self, path: Path, settings: Config, acts: _Acts, *, is_finished: bool) -> None:
        self._path = path
        self._acts = acts
        self._is_finished = is_finished
        costs = settings.costs
        self._thresholds: tuple[Thresholds, ...] = thresholds_by_sensitivity(
            costs.wrong_grant, costs.wrong_denial, costs.escalation
        )
        self._models: dict[str, EvidenceRiskModel] = {}
        self.receipts = self.scores = self.unanchored = 0
        self.anchored = {USES: 0, OUTCOMES: 0}

    def check_contexts(self) -> None:
        """Every request's context is there and is its preimage; every context belongs to a request."""
        found = set()
        for number, line in self._lines("contexts.jsonl"):
            digest = Hash32(keccak(line))
            if digest not in self._acts.context_hashes:
                self._refuse_unless_tail("contexts.jsonl", number, "no request on chain carries its hash")
                continue
            found.add(digest)
        for request in self._acts.requests.values():
            if request.context not in found:
                raise AuditFailed(f"contexts.jsonl: the context of request {request.id} is missing")
        self._check_context_fields()

    def _check_context_fields(self) -> None:
        by_context = {request.context: request for request in self._acts.requests.values()}
        for number, line in self._lines("contexts.jsonl"):
            request = by_context.get(Hash32(keccak(line)))
            if request is not None and json.loads(line)["request"] != request_fields(request):
                raise AuditFailed(f"contexts.jsonl: line {number}: belongs to another request than {request.id}")

    def check_models(self) -> None:
        """Every model kept has the digest it is named by, and is anchored on chain."""
        roots = {bytes(event.args["root"]) for event in self._anchors(MODELS)}
        for folder in sorted((self._path / "models").glob("0x*")):
            files = {file.name: file.read_bytes() for file in sorted(folder.iterdir()) if not file.name.startswith(".")}
            name = f"models/{folder.name}"
            try:
                model = EvidenceRiskModel.from_files(files)
            except (ValueError, LookupError) as error:
                raise AuditFailed(f"{name}: {error}") from error
            if model.digest != folder.name:
                raise AuditFailed(f"{name}: the model's digest is {model.digest}")
            root = merkle_root([leaf_of(files[file]) for file in sorted(files)])
            if root not in roots and (self._is_finished or roots):
                raise AuditFailed(f"{name}: its files are not those that were anchored on chain")
            self._models[model.digest] = model

    def check_receipts(self) -> None:
        """Every act on chain has its receipt, every receipt its act, and every verdict follows from its receipt."""
        found = set()
        for number, line in self._lines("receipts.jsonl"):
            digest = Hash32(keccak(line))
            if digest not in self._acts.receipt_hashes:
                self._refuse_unless_tail("receipts.jsonl", number, "no act on chain carries its hash")
                continue
            found.add(digest)
            fault = self._find_fault(json.loads(line), digest)
            if fault:
                raise AuditFailed(f"receipts.jsonl: line {number}: {fault}", line=number)
            self.receipts += 1
        missing = [digest for digest in self._acts.receipt_hashes if digest not in found]
        if missing:
            raise AuditFailed(f"receipts.jsonl: the receipt {missing[0]} that the chain names is missing")

    def check_anchored(self, stream: str) -> None:
        """The records of ``stream``, cut where the anchors say, give the anchored roots."""
        name = f"{stream}.jsonl"
        lines = [line for _, line in self._lines(name)]
        done = 0
        for event in self._anchors(stream):
            batch = lines[done : done + event.args["count"]]
            if len(batch) < event.args["count"]:
                raise AuditFailed(f"{name}: line {len(lines) + 1}: is missing, anchor {event.args['index']} covers it")
            if merkle_root([leaf_of(line) for line in batch]) != event.args["root"]:
                first, last = done + 1, done + len(batch)
                raise AuditFailed(
                    f"{name}: a line from {first} to {last} is not what anchor {event.args['index']} covers"
                )
            done += len(batch)
        self.anchored[stream] = done
        self.unanchored += len(lines) - done
        if self._is_finished and done < len(lines):
            raise AuditFailed(f"{name}: line {done + 1}: no anchor covers it")

    def _find_fault(self, receipt: Mapping[str, Any], digest: Hash32) -> str | None:
        kind = receipt["kind"]
        if kind in ("alert", "revoke", "quarantine"):
            return find_threat_fault(receipt)
        if receipt["request"] not in self._acts.requests:
            return "it speaks of a request that nobody made"
        event = self._acts.decisions.get(digest)
        if event is None:
            return None if kind == "release" else "it is no receipt of a decision"
        if str(Hash32(event.args["request"])) != receipt["request"]:
            return "it is the receipt of another request"
        if kind in ("decision", "refusal") and Status(event.args["outcome"]) not in _OUTCOMES[receipt["verdict"]]:
            return f"its verdict is {receipt['verdict']!r}, on chain stands {Status(event.args['outcome']).name.lower()}"
        return self._find_score_fault(receipt) if kind == "decision" else None

    def _find_score_fault(self, receipt: Mapping[str, Any]) -> str | None:
        model = self._models.get(receipt["model"])
        if model is None:
            return f"the model {receipt['model']} is not in the run"
        sensitivity = self._acts.sensitivities.get(self._acts.requests[receipt["request"]].asset)
        if sensitivity != receipt["sensitivity"]:
            return f"sensitivity is {receipt['sensitivity']}, on chain stands {sensitivity}"
        self.scores += 1
        return find_fault(receipt, model, self._thresholds[sensitivity])

    def _refuse_unless_tail(self, name: str, number: int, fault: str) -> None:
        """Let records pass that an interrupted run has written but not sent yet: those after the last one on chain."""
        hashes = self._acts.context_hashes if name.startswith("contexts") else set(self._acts.receipt_hashes)
        later = any(Hash32(keccak(line)) in hashes for place, line in self._lines(name) if place > number)
        if self._is_finished or later:
            raise AuditFailed(f"{name}: line {number}: {fault}", line=number)

    def _anchors(self, stream: str) -> list[Event]:
        wanted = stream_hash(stream)
        return [event for event in self._acts.anchors if event.args["stream"] == wanted]

    def _lines(self, name: str) -> Iterator[tuple[int, bytes]]:
        """Yield the file's lines with their numbers; a torn last line counts only in a finished run."""
        path = self._path / name
        if not path.exists():
            raise AuditFailed(f"{name}: the file is missing")
        lines = path.read_bytes().split(b"\n")
        if lines.pop() and self._is_finished:
            raise AuditFailed(f"{name}: line {len(lines) + 1}: is not ended")
        yield from enumerate(lines, 1)


def _read_settings(path: Path) -> Config:
    file = path / SETTINGS
    try:
        content = file.read_bytes()
        settings = json.loads(content)
        if canonical_json(settings) != content:
            raise ValueError("it is not in canonical form")
        return Config.model_validate(settings["config"])
    except OSError as error:
        raise AuditFailed(f"{path}: holds no run: {SETTINGS} cannot be read: {error.strerror}", path=path) from error
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise AuditFailed(f"{file}: {error}", path=path) from error


def _check_seal(path: Path) -> None:
    actual = digest_files(path)
    try:
        content = (path / SEAL).read_bytes()
        stated = json.loads(content)["files"]
        differing = [name for name in sorted({*stated, *actual}) if stated.get(name) != actual.get(name)]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise AuditFailed(f"{SEAL}: cannot be read: {error}", path=path) from error
    for name in differing:
        state = "is missing" if name not in actual else "was added" if name not in stated else "was changed"
        raise AuditFailed(f"{name}: {state} after the run was sealed", path=path)
    if content != seal_content(actual):
        raise AuditFailed(f"{SEAL}: is not in canonical form", path=path)
