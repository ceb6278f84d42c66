"""Holds a run's off-chain records against its chain: settings, contexts, models, receipts, uses, outcomes.

Every record has to be the one that the chain carries the hash of, in the order of the chain, and every act on chain has
to have its record; what a receipt says is computed again. The first fault is raised, with file and line. Layer:
scenarios, below ``audit``. Not here: the chain itself (``chainsec.ledger.verify``), one receipt (``examination``).
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

from chainsec.contexts import Admission, Contexts
from chainsec.defence.risk import EvidenceRiskModel
from chainsec.digest import keccak, merkle_root, parse_canonical
from chainsec.errors import AuditFailed
from chainsec.primitives import Hash32, Scope
from chainsec.scenarios.directory import SETTINGS
from chainsec.scenarios.examination import Examination, Judged
from chainsec.scenarios.succession import Label, Succession
from chainsec.services.access import Basis, Status
from chainsec.services.audit import MODELS, leaves_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from chainsec.config import Config
    from chainsec.deployment import Keys
    from chainsec.primitives import AccessRequest
    from chainsec.scenarios.acts import Acts
    from chainsec.scenarios.standing import Standing

USES, OUTCOMES = "uses", "outcomes"


class Evidence:
    """The off-chain records of a run.

    Each method raises ``AuditFailed`` at the first record that does not hold, and ``ValueError``, ``LookupError`` or
    ``TypeError`` where a record is not even of the right shape.

    Args:
        path: the run's directory.
        settings: of the run.
        acts: what the chain says.
        keys: who holds the roles.
        is_finished: whether every record has to be on chain; those at the end of an interrupted run need not be yet.
        view_lag_s: how old the newest block may be that a gateway's node does not have yet, seconds: none on a chain
            in one process.

    ``receipts``, ``scores``, ``refusals`` and ``notices`` count what was held against the chain and computed again,
    ``anchored`` the records under an anchor by stream, ``unanchored`` those that nothing on chain commits to yet.
    """

    def __init__(
        self, path: Path, settings: Config, acts: Acts, keys: Keys, *, is_finished: bool, view_lag_s: int = 0
    ) -> None:
        self._path = path
        self._settings = settings
        self._acts = acts
        self._keys = keys
        self._is_finished = is_finished
        self._view_lag_s = view_lag_s
        self._has_clock = settings.run.has_clock
        self._time_offset_s = settings.run.time_offset_s
        self._judged: dict[str, Judged] = {}
        self._standing: Standing | None = None
        self._anchored_at: dict[str, int] = {}
        self.models: dict[str, EvidenceRiskModel] = {}
        self.receipts = self.scores = self.refusals = self.notices = self.unanchored = 0
        self.anchored = {USES: 0, OUTCOMES: 0}

    def check_records(self) -> None:
        """Check everything but the settings, in the order in which one thing rests on another."""
        self.check_contexts()
        self.check_models()
        self.check_anchored(OUTCOMES)
        self.check_receipts()
        self.check_anchored(USES)

    def check_settings(self) -> None:
        """The settings are those that were anchored when the run began."""
        roots = [event.args["root"] for event in self._acts.anchors(SETTINGS)]
        [leaf] = leaves_of([(self._path / SETTINGS).read_bytes()])
        if roots != [leaf] and (roots or self._is_finished):
            raise AuditFailed(f"{SETTINGS}: is not what was anchored on chain")

    def check_contexts(self) -> None:
        """Every context belongs to a request on chain, in the chain's order, and every request has its context."""
        contexts, handed_in = Contexts(), set()
        for line, digest in self._in_order("contexts.jsonl", self._acts.context_places, "no request on chain"):
            contexts.put(digest, line)
            handed_in.add(digest)
        for request in self._acts.requests.values():
            if request.context not in handed_in and not self._is_refused(request):
                raise AuditFailed(f"contexts.jsonl: the context of request {request.id} is missing")
        self._judged = self._look_again(contexts)

    def _look_again(self, contexts: Contexts) -> dict[str, Judged]:
        """Return what the agent had to see in each request that was decided, in the order in which it saw them."""
        agent = self._settings.agent
        admission = Admission(
            contexts,
            has_clock=self._has_clock,
            tolerance_s=agent.context_time_tolerance_s,
            offset_s=self._time_offset_s,
        )
        self._acts.follow(admission)
        if self._acts.decisions:
            self._standing = self._acts.standing(admission)
        judged: dict[str, Judged] = {}
        for name, filing in self._acts.filings.items():
            decided = self._acts.first_decision.get(name)
            if decided is not None:
                sensitivity = self._acts.sensitivity_of(filing.request.asset, decided.block_number)
                judged[name] = Judged(*admission.admit(filing, sensitivity))
        return judged

    def check_models(self) -> None:
        """Every model kept has the digest it is named by, and is anchored on chain."""
        roots = {bytes(event.args["root"]): event.block_number for event in reversed(self._acts.anchors(MODELS))}
        for folder in sorted((self._path / MODELS).glob("*")):
            files = {file.name: file.read_bytes() for file in sorted(folder.iterdir())}
            name = f"{MODELS}/{folder.name}"
            root = merkle_root(leaves_of([files[file] for file in sorted(files)])) if files else b""
            if root not in roots and (self._is_finished or roots):
                raise AuditFailed(f"{name}: its files are not those that were anchored on chain")
            try:
                model = EvidenceRiskModel.from_files(files)
            except (ValueError, LookupError, TypeError) as error:
                if not roots:  # killed while it was written
                    continue
                raise AuditFailed(f"{name}: {error}") from error
            if model.digest != folder.name:
                raise AuditFailed(f"{name}: the model's digest is {model.digest}")
            self.models[model.digest] = model
            if root in roots:
                self._anchored_at[model.digest] = roots[root]
        if len(self.models) < len(roots):
            raise AuditFailed(f"{MODELS}: a model that was anchored on chain is missing")

    def check_receipts(self) -> None:
        """Every act on chain has its receipt, in the chain's order, and follows from it."""
        self._check_first_decisions()
        in_order = dict(sorted(self._anchored_at.items(), key=itemgetter(1)))
        succession = Succession(self._settings.renewal, self._keys.agent.address, in_order, list(self._read_labels()))
        examination = Examination(
            self._settings, self._acts, self._keys, judged=self._judged, models=self.models, succession=succession
        )
        found = set()
        places = self._acts.receipt_places
        for number, (line, digest) in enumerate(self._in_order("receipts.jsonl", places, "no act on chain"), 1):
            found.add(digest)
            fault = examination.find_fault(parse_canonical(line), self._acts.receipts[digest])
            if fault:
                raise AuditFailed(f"receipts.jsonl: line {number}: {fault}", line=number)
            self.receipts += 1
        for digest, events in self._acts.receipts.items():
            if digest not in found:
                event = events[0]
                shown = f"of {event.name} in block {event.block_number} is missing"
                raise AuditFailed(f"receipts.jsonl: the receipt {digest} {shown}", block=event.block_number)
        self.scores, self.refusals = examination.scores, examination.refusals
        self.notices = succession.notices
        decisions = len(self._acts.verdicts())
        if self.scores + self.refusals != decisions:
            judged = f"{self.scores} scores and {self.refusals} refusals"
            raise AuditFailed(f"receipts.jsonl: the agent decided {decisions} times, with {judged}")

    def _read_labels(self) -> Iterator[Label]:
        for line in self._lines("outcomes.jsonl"):
            record = parse_canonical(line)
            yield Label(record["request"], record["denied"], record["block"])

    def _check_first_decisions(self) -> None:
        """The agent is the first to decide each request."""
        for name, filing in self._acts.filings.items():
            decided = self._acts.first_decision.get(name)
            if decided is None and self._is_finished:
                raise AuditFailed(f"block {filing.block}: request {name} was never decided", block=filing.block)
            if decided is not None and not self._acts.act_of(decided).is_verdict:
                shown = f"block {decided.block_number}: request {name} was decided before the agent looked at it"
                raise AuditFailed(shown, block=decided.block_number)

    def check_anchored(self, stream: str) -> None:
        """The records of ``stream``, cut where the anchors say, give the anchored roots, and each has its number."""
        name = f"{stream}.jsonl"
        lines = list(self._lines(name))
        done = 0
        for event in self._acts.anchors(stream):
            first, done = done, done + event.args["count"]
            for number, line in enumerate(lines[first:done], first + 1):
                self._check_record(name, number, line)
            if len(lines) < done:
                raise AuditFailed(f"{name}: line {len(lines) + 1}: is missing, anchor {event.args['index']} covers it")
            if merkle_root(leaves_of(lines[first:done])) != event.args["root"]:
                covered = f"a line from {first + 1} to {done} is not what anchor {event.args['index']} covers"
                raise AuditFailed(f"{name}: {covered}")
        if self._is_finished and done < len(lines):
            raise AuditFailed(f"{name}: line {done + 1}: no anchor covers it", line=done + 1)
        for number, line in enumerate(lines[done:], done + 1):
            self._check_record(name, number, line)
        self.anchored[stream] = done
        self.unanchored += len(lines) - done

    def _check_record(self, name: str, number: int, line: bytes) -> None:
        fault = None
        try:
            record = parse_canonical(line)
            decided = self._acts.first_decision.get(record["request"])
            if record["number"] != number:
                fault = f"is record {record['number']}"
            elif decided is None:
                fault = "speaks of a request that was never decided"
            elif not decided.block_number <= record["block"] <= self._acts.head:
                fault = f"stands in block {record['block']}, its decision in block {decided.block_number}"
            elif name == "uses.jsonl":
                fault = self._find_use_fault(record)
        except (ValueError, LookupError, TypeError) as error:
            fault = f"cannot be read: {error}"
        if fault:
            raise AuditFailed(f"{name}: line {number}: {fault}", line=number)

    def _find_use_fault(self, record: Mapping[str, Any]) -> str | None:
        """Hold what a gateway noted of a use against what the contract says after its block, and against the clock."""
        assert self._standing is not None
        observed, _ = self._judged[record["request"]]
        if observed is not None and (record["requester"], record["asset"]) != (observed.requester, observed.asset):
            return "requester or asset are not those of its request"
        block, time_s = record["block"], record["time_s"] + self._time_offset_s
        following = self._acts.next_filled(block)  # empty blocks, as validators make them, change nothing
        if self._has_clock and following and self._acts.time_of(following) < time_s - self._view_lag_s:
            return f"names block {block}, though later ones stood by then"
        request, scope = self._acts.requests[record["request"]], Scope[record["action"].upper()]
        basis, until_s = self._standing.basis(request, scope, block)
        # the time of the latest block may be long past; rows of a log without times have none to compare
        if basis is Basis.AGREED and self._has_clock and time_s > until_s:
            basis = Basis.EXPIRED
        expected = {basis.name.lower()} if self._has_clock else {basis.name.lower(), "expired"}
        if record["basis"] in expected:
            return None
        return f"its basis is {record['basis']!r}, the chain gives {basis.name.lower()!r}"

    def _is_refused(self, request: AccessRequest) -> bool:
        """Tell whether a request without context was turned away; ``check_receipts`` looks at the refusal itself."""
        decided = self._acts.first_decision.get(str(request.id))
        return decided is not None and Status(decided.args["outcome"]) is Status.DENIED

    def _in_order(self, name: str, places: Mapping[Hash32, int], what: str) -> Iterator[tuple[bytes, Hash32]]:
        """Yield the lines of a file with their hashes, each of which stands on chain after the one before it.

        Records that an interrupted run has written but not sent yet may follow at the end.
        """
        last, unsent = -1, 0
        for number, line in enumerate(self._lines(name), 1):
            digest = Hash32(keccak(line))
            place = places.get(digest)
            if place is None:
                unsent = unsent or number
                if self._is_finished:
                    break
                self._check_canonical(name, number, line)
                self.unanchored += 1
                continue
            if unsent:
                break
            if place <= last:
                raise AuditFailed(f"{name}: line {number}: stands behind one that comes later on chain", line=number)
            last = place
            yield line, digest
        else:
            return
        raise AuditFailed(f"{name}: line {unsent}: {what} carries its hash", line=unsent)

    @staticmethod
    def _check_canonical(name: str, number: int, line: bytes) -> None:
        try:
            parse_canonical(line)
        except ValueError as error:
            raise AuditFailed(f"{name}: line {number}: cannot be read: {error}", line=number) from error

    def _lines(self, name: str) -> Iterator[bytes]:
        """Yield the file's lines; a torn last line counts only in a finished run."""
        path = self._path / name
        if not path.exists():
            raise AuditFailed(f"{name}: the file is missing")
        lines = path.read_bytes().split(b"\n")
        if lines.pop() and self._is_finished:
            raise AuditFailed(f"{name}: line {len(lines) + 1}: is not ended", line=len(lines) + 1)
        yield from lines
