"""The agent's eyes and hands on a network that goes on without it: nothing is judged twice, or decided twice.

What has been read is written down before it is judged: first the contexts that were there, then the cursor. So an
agent that starts again judges the same requests, in the same order, by the same contexts as before, and its receipts
come out the same; those that stand are compared, not written.
Layer: attached. Not here: what is decided (``defence``), which requests are refused unseen (``contexts``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chainsec.chain_agent import ChainActions, filings_of, request_of
from chainsec.contexts import Admission, Contexts
from chainsec.defence.agent import PendingRequest
from chainsec.digest import canonical_json, keccak, parse_json
from chainsec.errors import LedgerError, RunMismatch
from chainsec.journal import write_atomically
from chainsec.ledger.contract import read_events
from chainsec.primitives import AccessRequest, Hash32

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainsec.attached.inbox import Inbox
    from chainsec.config import Config
    from chainsec.contexts import Filing
    from chainsec.deployment import Deployment
    from chainsec.ledger.client import Client
    from chainsec.primitives import Decision
    from chainsec.scenarios.directory import RunDirectory

__all__ = ["CURSOR", "FollowedRequests", "OpenActions"]

CURSOR = "cursor.json"


class FollowedRequests:
    """Requests of a deployment, block by block, kept in a directory.

    Args:
        client: asks the node.
        deployment: where the events come from.
        inbox: where gateways hand contexts in.
        directory: keeps contexts, receipts and the cursor.
        config: what contexts have to be like.

    ``cursor`` is the last block that was read; ``decided`` holds every request that anybody
    decided up to there, or up to the newest final block at the start.

    Raises:
        RunMismatch: the cursor cannot be read.
    """

    def __init__(
        self, client: Client, deployment: Deployment, inbox: Inbox, directory: RunDirectory, config: Config
    ) -> None:
        self._client = client
        self._kinds = [
            (deployment.assets.contract, "AssetRegistered"),
            (deployment.assets.contract, "SensitivityRaised"),
            (deployment.identity.contract, "DIDDelegateChanged"),
            (deployment.consent.contract, "ConsentGiven"),
            (deployment.access.contract, "AccessRequested"),
            (deployment.access.contract, "AccessDecided"),
        ]
        self._grants = deployment.access.contract
        self._inbox = inbox
        self._directory = directory
        self._contexts = Contexts()
        self._admission = Admission(
            self._contexts,
            has_clock=config.run.has_clock,
            tolerance_s=config.agent.context_time_tolerance_s,
            offset_s=config.run.time_offset_s,
        )
        self._sensitivities: dict[Hash32, int] = {}
        self._is_resumed = False
        self._kept: set[Hash32] = set()
        self._judged = [_request_in(line) for line in directory.receipts.lines]
        self.decided: set[Hash32] = set()
        self.cursor, self._cursor_hash = _read_cursor(directory)

    def poll(self) -> list[PendingRequest]:
        """Return requests that are to be judged; after a start, those of earlier starts first, in their old order.

        Raises:
            RunMismatch: the node's chain is not the one that was followed, or lacks a request that was judged.
            LedgerError: the node has not come to the cursor yet, or does not answer.
        """
        self._client.settle()  # what was sent before and not seen mined
        self._client.mend()
        self._require_cursor()
        if not self._is_resumed:
            return self._resume()
        first, last = self.cursor + 1, self._client.engine.final_block()
        if last < first:
            return []
        newest = self._client.engine.block(last)
        events = read_events(self._kinds, first, last)
        filings = filings_of(events[4], self._client.engine, [newest])
        self._keep_contexts(filings)
        record = {"block": last, "hash": str(newest.hash)}
        write_atomically(self._directory.path / CURSOR, canonical_json(record))
        self.cursor, self._cursor_hash = last, newest.hash
        return [item for item in self._follow(events, filings) if item.request.id not in self.decided]

    def find(self, request_id: str) -> AccessRequest | None:
        """Return a request made at any time, or None."""
        try:
            key = Hash32(request_id)
        except ValueError:
            return None
        found = self._grants.events("AccessRequested", 0, self._client.at, request=key)
        return request_of(found[0].args) if found else None

    def _require_cursor(self) -> None:
        head = self._client.engine.head().number
        if head < self.cursor:
            raise LedgerError(f"the node has come to block {head} only; {self.cursor} were followed", number=head)
        if self._cursor_hash is not None and self._client.engine.block(self.cursor).hash != self._cursor_hash:
            raise RunMismatch(
                f"block {self.cursor} of the node is not the one that was followed; choose another directory",
                block=self.cursor,
            )

    def _resume(self) -> list[PendingRequest]:
        """Read again what earlier starts read, and hand out what they judged, and what they had no time to judge."""
        lines = self._directory.contexts.lines
        self._directory.contexts.append([parse_json(line) for line in lines])
        for line in lines:
            self._put(line)
        joined: dict[Hash32, PendingRequest] = {}
        if self.cursor:
            events = read_events(self._kinds, 0, self.cursor)
            filings = filings_of(events[4], self._client.engine)
            joined = {item.request.id: item for item in self._follow(events, filings)}
        since = read_events(self._kinds[-1:], self.cursor + 1, self._client.engine.final_block())
        self.decided.update(Hash32(event.args["request"]) for event in since[0])
        judged = []
        for key in self._judged:
            item = joined.pop(key, None)
            if item is None:
                raise RunMismatch(f"{self._directory.receipts.path}: nobody made the request {key}", request=str(key))
            judged.append(item)
        self._is_resumed = True
        return judged + [item for key, item in joined.items() if key not in self.decided]

    def _follow(self, events: Sequence[Sequence[Any]], filings: Sequence[Filing]) -> list[PendingRequest]:
        """Take note of events, in the chain's order, and return the requests joined with their contexts."""
        registered, raised, delegates, consents, _, decisions = events
        for event in registered:
            self._sensitivities[Hash32(event.args["asset"])] = event.args["sensitivity"]
        for event in raised:
            self._sensitivities[Hash32(event.args["asset"])] = event.args["to"]
        self._admission.note(delegates, consents)
        self.decided.update(Hash32(event.args["request"]) for event in decisions)
        return [
            PendingRequest(
                filing.request, *self._admission.admit(filing, self._sensitivities.get(filing.request.asset))
            )
            for filing in filings
        ]

    def _keep_contexts(self, filings: Sequence[Filing]) -> None:
        """Write down which contexts are there now: one that comes later is too late, also after another start."""
        wanted = dict.fromkeys(filing.request.context for filing in filings)
        self._inbox.look()  # once, after the requests were seen: whatever was handed in before them is there
        found = [self._inbox.find(digest) for digest in wanted if digest not in self._kept]
        contexts = [context for context in found if context is not None]
        first = len(self._directory.contexts)
        self._directory.contexts.append(contexts)
        for line in self._directory.contexts.lines[first : first + len(contexts)]:
            self._put(line)
        for digest in wanted:
            self._inbox.forget(digest)

    def _put(self, line: bytes) -> None:
        digest = Hash32(keccak(line))
        self._contexts.put(digest, line)
        self._kept.add(digest)


class OpenActions(ChainActions):
    """Sends the agent's acts, but no verdict on what is decided already.

    Args:
        source: knows what is decided.
        arguments: as for ``ChainActions``.
    """

    def __init__(self, source: FollowedRequests, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._source = source

    def decide(self, decisions: Sequence[Decision]) -> None:
        """Send the verdicts on what is open.

        Raises:
            LedgerError: guardians have the agent suspended; nothing was sent.
        """
        waiting = [decision for decision in decisions if decision.request.id not in self._source.decided]
        if waiting and self._sentinel.is_agent_suspended():
            raise LedgerError("guardians have suspended the agent", requests=len(waiting))
        super().decide(waiting)


def _request_in(line: bytes) -> Hash32:
    return Hash32(parse_json(line)["request"])


def _read_cursor(directory: RunDirectory) -> tuple[int, Hash32 | None]:
    path = directory.path / CURSOR
    try:
        record = parse_json(path.read_bytes())
        return int(record["block"]), Hash32(record["hash"])
    except FileNotFoundError:
        return 0, None
    except (ValueError, KeyError, TypeError) as error:
        raise RunMismatch(f"{path}: is no cursor", path=str(path)) from error
