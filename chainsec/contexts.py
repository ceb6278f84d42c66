"""Contexts: what a request carries off chain, and how it is held against the hash on chain.

A context is a JSON object whose canonical bytes hash to ``AccessRequest.context``. It repeats the request's own
fields, so that a context cannot be passed off under another request, and carries a salt, so that nobody finds its
content by trying. Layer: below ``sandbox``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from chainsec.defence.observation import Observation
from chainsec.digest import keccak
from chainsec.primitives import AccessRequest, Hash32


def make_context(
    request: Mapping[str, Any], *, observed: Mapping[str, Any], salt: str
) -> dict[str, Any]:
    """Return the context of a request.

    Args:
        request: ``requester``, ``organisation``, ``asset``, ``purpose`` (0x-hexadecimal), ``scope``, ``until``.
        observed: what the agent is to know: names, action, time, attributes, text.
        salt: 32 hexadecimal digits nobody can guess.
    """
    return {"format": 1, "request": dict(request), "observed": dict(observed), "salt": salt}


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
        context = read_context(line, item.context)
        if context is None:
            return None, "the context does not match its hash"
        if context.get("request") != request_fields(item):
            return None, "the context belongs to another request"
        return observe(item, context["observed"], sensitivity), ""


def read_context(line: bytes, expected: Hash32) -> dict[str, Any] | None:
    """Return the context in ``line``, or None where it does not hash to ``expected``."""
    if keccak(line) != expected:
        return None
    context = json.loads(line)
    return context if isinstance(context, dict) else None


def observe(item: AccessRequest, observed: Mapping[str, Any], sensitivity: int) -> Observation:
    """Return a request, with what its context says, as the agent sees it."""
    return Observation(id=str(item.id), sensitivity=sensitivity, **observed)
