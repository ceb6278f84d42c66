"""Contexts: what a request carries off chain, how it is held against the chain, and which requests the agent looks at.

A context is a JSON object whose canonical bytes hash to ``AccessRequest.context``. It repeats the request's own
fields, so that a context cannot be passed off under another request, and carries a salt, so that nobody finds its
content by trying. Whoever files a request chooses the bytes behind the hash: the request's own fields have to be those
on chain, the time has to be near that of its block, and a name belongs to the first account that an organisation
vouches for under it. Attributes and text remain what the organisation says. Layer: below ``sandbox``. Not here: what
the agent makes of it (``defence``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from chainsec.defence.observation import Observation
from chainsec.digest import keccak, parse_canonical
from chainsec.errors import UnknownPurpose
from chainsec.ledger.contract import read_events
from chainsec.primitives import ACTION_SCOPES, Address
from chainsec.purposes import find_purpose
from chainsec.services.identity import MEMBER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from chainsec.ledger.contract import Contract, Event
    from chainsec.primitives import AccessRequest, Hash32

_FORMAT = 1
_FIELDS = {"format", "request", "observed", "salt"}
_OBSERVED = {
    "time_s": int,
    "requester": str,
    "asset": str,
    "action": str,
    "purpose": str,
    "attributes": dict,
    "text": str,
    "has_clock": bool,
}


def make_context(request: Mapping[str, Any], *, observed: Mapping[str, Any], salt: str) -> dict[str, Any]:
    """Return the context of a request.

    Args:
        request: ``requester``, ``organisation``, ``asset``, ``purpose`` (0x-hexadecimal), ``scope``, ``until``.
        observed: what the agent is to know: names, action, time, attributes, text; see ``find_observed_fault``.
        salt: 32 hexadecimal digits nobody can guess.
    """
    return {"format": _FORMAT, "request": dict(request), "observed": dict(observed), "salt": salt}


def request_fields(item: AccessRequest) -> dict[str, Any]:
    """Return the fields of a request that its context repeats."""
    return {
        "requester": str(item.requester),
        "organisation": str(item.organisation),
        "asset": str(item.asset),
        "purpose": str(item.purpose),
        "scope": int(item.scope),
        "until": item.until,
    }


class Contexts:
    """Contexts by their hash."""

    def __init__(self) -> None:
        self._lines: dict[Hash32, bytes] = {}

    def put(self, claimed: Hash32, line: bytes) -> None:
        """Keep ``line`` under the hash it is said to have.

        Raises:
            ValueError: it has another one; what stands under that hash remains.
        """
        if keccak(line) != claimed:
            raise ValueError(f"the context does not hash to {claimed}")
        self._lines[claimed] = line

    def join(self, item: AccessRequest, sensitivity: int) -> tuple[Observation | None, str]:
        """Return the request in the agent's eyes, or None and why its context is refused."""
        line = self._lines.get(item.context)
        if line is None:
            return None, "no context was handed in"
        context = read_context(line)
        if context is None:
            return None, "the context is not in canonical form"
        fault = find_context_fault(context, item)
        return (None, fault) if fault else (observe(item, context["observed"], sensitivity), "")


def read_context(line: bytes) -> dict[str, Any] | None:
    """Return the context in ``line``, None where that is no canonical JSON object."""
    try:
        context = parse_canonical(line)
    except ValueError:
        return None
    return context if isinstance(context, dict) else None


class Filing(NamedTuple):
    """A request as it stands on chain, with the block that holds it and that block's time, Unix seconds."""

    request: AccessRequest
    block: int
    time_s: int


class Admission:
    """Says what the agent is to see in a request, or why it has to refuse it: one rule for the agent and its auditor.

    An organisation vouches for a requester whom it names as its member, or who is itself; it counts as one once
    anybody's consent names it. So nobody takes a colleague's name, and a stranger cannot use one up.

    Args:
        contexts: what the requests carry.
        has_clock: whether contexts carry times; else they only count.
        tolerance_s: how far a context's time may lie from that of the request's block.
        offset_s: how much later it is on the chain than where the contexts come from.
    """

    def __init__(self, contexts: Contexts, *, has_clock: bool, tolerance_s: int, offset_s: int = 0) -> None:
        self._contexts = contexts
        self._offset_s = offset_s
        self._has_clock = has_clock
        self._tolerance_s = tolerance_s
        self._members: dict[tuple[Address, Address], list[tuple[int, int]]] = {}
        self._known_since: dict[Address, int] = {}
        self._addresses: dict[str, Address] = {}
        self._names: dict[Address, str] = {}

    def follow(self, identities: Contract, consents: Contract, first: int, last: int) -> None:
        """Read who vouches for whom in the blocks from ``first`` to ``last``, before requests in them are admitted."""
        self.note(*read_events([(identities, "DIDDelegateChanged"), (consents, "ConsentGiven")], first, last))

    def note(self, delegates: Iterable[Event], consents: Iterable[Event]) -> None:
        """Learn who vouches for whom from ``DIDDelegateChanged`` and ``ConsentGiven``, each in chain order."""
        for event in delegates:
            if event.args["delegateType"] == MEMBER:
                pair = Address(event.args["identity"]), Address(event.args["delegate"])
                self._members.setdefault(pair, []).append((event.block_number, event.args["validTo"]))
        for event in consents:
            self._known_since.setdefault(Address(event.args["grantee"]), event.block_number)

    def admit(self, filing: Filing, sensitivity: int | None) -> tuple[Observation | None, str]:
        """Return the request in the agent's eyes, or None and why it is refused. To be asked in the chain's order.

        Args:
            filing: the request.
            sensitivity: of its asset, None where nobody registered that.
        """
        request = filing.request
        if sensitivity is None:
            return None, "no such asset is registered"
        observed, refusal = self._contexts.join(request, sensitivity)
        if observed is None:
            return None, refusal
        refusal = self._find_clock_fault(observed, filing.time_s) or self._find_name_fault(observed.requester, filing)
        if refusal:
            return None, refusal
        # only now, so that a request that is refused ties nothing to anybody
        self._addresses[observed.requester] = request.requester
        self._names[request.requester] = observed.requester
        return observed, ""

    def _find_clock_fault(self, observed: Observation, time_s: int) -> str:
        if observed.has_clock is not self._has_clock:
            return "the context has a time where there are none" if observed.has_clock else "the context has no time"
        if self._has_clock and abs(observed.time_s + self._offset_s - time_s) > self._tolerance_s:
            return "the context's time is far from that of the request"
        return ""

    def _find_name_fault(self, name: str, filing: Filing) -> str:
        request = filing.request
        if self._addresses.get(name, request.requester) != request.requester:
            return "the requester's name goes with another address"
        if self._names.get(request.requester, name) != name:
            return "the requester's address goes with another name"
        if not self._is_vouched_for(filing):
            return "nobody vouches for the requester"
        return ""

    def _is_vouched_for(self, filing: Filing) -> bool:
        request = filing.request
        since = self._known_since.get(request.organisation)
        if since is None or since > filing.block:
            return False
        return self.is_member(request.organisation, request.requester, filing.block, filing.time_s)

    def is_member(self, organisation: Address, account: Address, block: int, time_s: int) -> bool:
        """Tell whether ``account`` acts for ``organisation`` after ``block``, whose time is ``time_s``."""
        if account == organisation:
            return True
        ends = [valid_to for since, valid_to in self._members.get((organisation, account), ()) if since <= block]
        return bool(ends) and ends[-1] > time_s


def find_context_fault(context: Mapping[str, Any], item: AccessRequest) -> str:
    """Return what speaks against ``context`` as that of request ``item``, "" where nothing does."""
    if context.keys() != _FIELDS or context["format"] != _FORMAT or not isinstance(context["salt"], str):
        return "the context is of another format"
    if not _is_same(context["request"], request_fields(item)):
        return "the context belongs to another request"
    observed = context["observed"]
    fault = find_observed_fault(observed) if isinstance(observed, dict) else "it is no object"
    if fault:
        return f"the context cannot be read: {fault}"
    if ACTION_SCOPES[observed["action"]] != item.scope:
        return "the context names another action than the request"
    try:
        purpose = find_purpose(observed["purpose"])
    except UnknownPurpose:
        return "the context names a purpose that nobody knows"
    return "" if purpose.hash == item.purpose else "the context names another purpose than the request"


def _is_same(stated: Any, fields: Mapping[str, Any]) -> bool:
    """Tell whether both are the same JSON; True and 1.0 equal 1, but are none."""
    return stated == fields and all(type(stated[name]) is type(value) for name, value in fields.items())


def find_observed_fault(observed: Mapping[str, Any]) -> str:
    """Return what keeps ``observed`` from being what the agent is told of a request, "" where nothing does.

    It has the fields of an ``Observation`` except ``id`` and ``sensitivity``, which the chain says.

    >>> find_observed_fault({"time_s": 0})
    'requester is missing'
    """
    for name, kind in _OBSERVED.items():
        if name not in observed:
            return f"{name} is missing"
        if type(observed[name]) is not kind:
            return f"{name} is no {kind.__name__}"
    unknown = sorted(str(name) for name in observed.keys() - _OBSERVED.keys())
    if unknown:
        return f"{unknown[0]} is unknown"
    for name, value in observed["attributes"].items():
        if not (isinstance(name, str) and isinstance(value, str)):
            return f"attribute {name!r} is no text"
    if observed["action"] not in ACTION_SCOPES:
        return f"no action {observed['action']!r}"
    return "" if 0 <= observed["time_s"] < 2**63 else "time_s is out of range"


def observe(item: AccessRequest, observed: Mapping[str, Any], sensitivity: int) -> Observation:
    """Return a request, with what its context says, as the agent sees it."""
    return Observation(id=str(item.id), sensitivity=sensitivity, **observed)
