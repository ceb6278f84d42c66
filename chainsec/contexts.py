"""Contexts: what a request carries off chain, and how it is held against the hash on chain.

A context is a JSON object whose canonical bytes hash to ``AccessRequest.context``. It repeats the request's own
fields, so that a context cannot be passed off under another request, and carries a salt, so that nobody finds its
content by trying. Whoever files a request chooses the bytes behind the hash, so nothing in them is taken on trust.
Layer: below ``sandbox``. Not here: whether the names in a context are those of the accounts on chain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chainsec.defence.observation import Observation
from chainsec.digest import canonical_json, keccak, parse_canonical
from chainsec.errors import UnknownPurpose
from chainsec.primitives import ACTION_SCOPES
from chainsec.purposes import find_purpose

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    """Contexts by the hash they claim to have; what is handed out is checked by who asks."""

    def __init__(self) -> None:
        self._lines: dict[Hash32, bytes] = {}

    def put(self, claimed: Hash32, line: bytes) -> None:
        """Keep ``line`` under the hash it is said to have."""
        self._lines[claimed] = line

    def join(self, item: AccessRequest, sensitivity: int) -> tuple[Observation | None, str]:
        """Return the request in the agent's eyes, or None and why its context is refused."""
        line = self._lines.get(item.context)
        if line is None:
            return None, "no context was handed in"
        if keccak(line) != item.context:
            return None, "the context does not match its hash"
        context = read_context(line, item.context)
        if context is None:
            return None, "the context is not in canonical form"
        fault = find_context_fault(context, item)
        return (None, fault) if fault else (observe(item, context["observed"], sensitivity), "")


def read_context(line: bytes, expected: Hash32) -> dict[str, Any] | None:
    """Return the context in ``line``, or None where it does not hash to ``expected`` or is no canonical JSON object."""
    if keccak(line) != expected:
        return None
    try:
        context = parse_canonical(line)
    except ValueError:
        return None
    return context if isinstance(context, dict) else None


def find_context_fault(context: Mapping[str, Any], item: AccessRequest) -> str:
    """Return what speaks against ``context`` as that of request ``item``, "" where nothing does."""
    if context.keys() != _FIELDS or context["format"] != _FORMAT or not isinstance(context["salt"], str):
        return "the context is of another format"
    # as text, because True and 1.0 equal 1
    if canonical_json(context["request"]) != canonical_json(request_fields(item)):
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
