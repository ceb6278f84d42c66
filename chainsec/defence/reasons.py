"""Reasons in words: what a feature with its value says about a request, for a guardian who knows no model.

A sentence says what is true for that value, names facts by their kind and never by their content. Pure. Layer: defence.
Not here: which features moved a score, and how far (``scoring``).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from chainsec.defence.suspicion import SIGNAL as HELD
from chainsec.defence.worded import SIGNAL as TEXT

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_FACTS = 3  # of a context that are named
_FAINT = 0.1  # log-odds, or standard deviations of an excess, that mean nothing
_UNUSUAL = 1.0  # standard deviations above what is usual from which something counts as unusual
_OFTEN_TRUE = 0.5  # text score from which a text is more likely an instruction than not
_LIKELIER_NOT_BITS = 1.0  # improbability from which something is less likely than not
_MISFIT_BITS = 3.0  # improbability of a fact among peers from which it does not fit

_CLOCK = {"clock": "time of day", "week": "part of the week"}
_CONTACTS = {
    "own": ("the requester had no dealings with the subject lately", "the requester dealt with the subject lately"),
    "team": ("the requester's team did not deal with the subject lately", "the requester's team knows the subject"),
    "share": ("others than the requester's team deal with the subject", "the requester's team deals with the subject"),
    "company": ("who deals with the subject has other contacts", "who deals with the subject has like contacts"),
}
_NO_CONTACT_BITS = {"own": 1.0, "team": 1.0, "share": 1.0, "company": 3.0}


def put_in_words(name: str, value: float) -> str:
    """Return what a feature says about a request, at most 120 characters.

    Args:
        name: of the feature, as a receipt has it.
        value: finite.

    >>> put_in_words("requester+asset:seen", 0.0)
    'requester and asset were never seen together before'
    >>> put_in_words("@ward:odds", 1.2)
    'requests with this ward were denied more often than others'
    >>> put_in_words("silence", 4.0)
    'the account was silent for unusually long'
    """
    head, _, tail = name.rpartition(":")
    if name in _ALONE:
        return _ALONE[name](value)
    if tail in _EVIDENCE:
        return _EVIDENCE[tail](head, value)
    family, _, about = name.partition(":")
    speak = _FAMILIES.get(family)
    return f"{name} is {value:.4g}" if speak is None else speak(about, value)


def _fact(facet: str) -> str:
    """Return a facet's name in words.

    >>> _fact("@record_kind"), _fact("clock")
    ('record kind', 'time of day')
    """
    return _CLOCK.get(facet, facet.removeprefix("@").replace("_", " "))


def _facts(context: str) -> str:
    """Return the facts of a context, the first ones by name.

    >>> _facts("requester+@ward+action"), _facts("a+b+c+d+e")
    ('requester, ward and action', 'a, b, c and 2 more')
    """
    named = [_fact(facet) for facet in context.split("+")]
    if len(named) > _MOST_FACTS:
        return f"{', '.join(named[:_MOST_FACTS])} and {len(named) - _MOST_FACTS} more"
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"


def _with(context: str) -> str:
    return f"requests with this {_facts(context)}"


def _odds(context: str, value: float) -> str:
    if abs(value) < _FAINT:
        return f"labels say nothing about {_with(context)}"
    return f"{_with(context)} were denied {'more' if value > 0 else 'less'} often than others"


def _excess(context: str, value: float) -> str:
    if abs(value) < _FAINT:
        return f"{_with(context)} were denied as often as chance has it"
    return f"{_with(context)} were denied {'more' if value > 0 else 'less'} often than chance explains"


def _seen(context: str, value: float) -> str:
    times = round(math.expm1(min(value, 40.0)))
    often = "never seen" if times < 1 else "seen once" if times == 1 else f"seen {times:,} times"
    if "+" in context:
        return f"{_facts(context)} were {often} together before"
    return f"this {_facts(context)} was {often} before"


def _habit(facet: str, value: float) -> str:
    return f"the {_fact(facet)} is {'unusual' if value >= _UNUSUAL else 'usual'} for this requester"


def _reach(facet: str, value: float) -> str:
    return f"the {_fact(facet)} is {'unusual' if value >= _UNUSUAL else 'usual'} for this asset"


def _fit(facet: str, value: float) -> str:
    is_odd = value >= _MISFIT_BITS
    return f"among peers, the {_fact(facet)} {'does not fit' if is_odd else 'fits'} the rest of the request"


def _contact(about: str, value: float) -> str:
    strange, known = _CONTACTS.get(about, ("the contact is unusual", "the contact is usual"))
    return strange if value >= _NO_CONTACT_BITS.get(about, 1.0) else known


def _pace(what: str) -> Callable[[str, float], str]:
    return lambda window, value: (
        f"{'unusually many' if value >= _UNUSUAL else 'no more than usual'} {what} {_within(window)}"
    )


def _count(one: str, many: str, from_one: int) -> Callable[[str, float], str]:
    """Return what tells a count that is kept as the logarithm to base 2 of itself, or of itself and one."""

    def tell(window: str, value: float) -> str:
        count = round(2.0 ** min(value, 40.0)) - from_one
        return f"{count:,} {one if count == 1 else many} {_within(window)}"

    return tell


def _within(window: str) -> str:
    return f"within {'an' if window == 'hour' else 'a'} {window}"


def _unusual(window: str, value: float) -> str:
    return f"{'unusual' if value >= _LIKELIER_NOT_BITS else 'no unusual'} actions {_within(window)}"


def _place(odd: str, usual: str, least: float = _LIKELIER_NOT_BITS) -> Callable[[str, float], str]:
    return lambda facet, value: (odd if value >= least else usual).format(_fact(facet))


def _either(odd: str, usual: str, least: float) -> Callable[[float], str]:
    return lambda value: odd if value >= least else usual


_EVIDENCE: dict[str, Callable[[str, float], str]] = {"odds": _odds, "excess": _excess, "seen": _seen}
_ALONE: dict[str, Callable[[float], str]] = {
    "hour": _either("the hour is unusual for this requester", "the hour is usual for this requester", _UNUSUAL),
    "silence": _either("the account was silent for unusually long", "the account was in use as usual", _UNUSUAL),
    HELD: _either(
        "earlier denials or alarms are held against this requester", "nothing is held against this requester", 1e-4
    ),
    TEXT: _either(
        "the justification reads like an instruction to the agent", "the justification reads like a reason", _OFTEN_TRUE
    ),
}
_FAMILIES: dict[str, Callable[[str, float], str]] = {
    "habit": _habit,
    "reach": _reach,
    "fit": _fit,
    "tie": _contact,
    "rate": _pace("requests"),
    "fresh": _pace("first requests for an asset"),
    "breadth": _count("subject", "different subjects", 0),
    "new": _count("subject new to the requester", "subjects new to the requester", 1),
    "stranger": _count("subject new to the team", "subjects new to the team", 1),
    "unusual": _unusual,
    "own": _place("the requester hardly ever used this {}", "the requester often uses this {}"),
    "shared": _place("mostly others than the team use this {}", "the team uses this {}"),
    "switch": _place("the {} changed within the hour", "the {} did not change within the hour", 0.5),
}
