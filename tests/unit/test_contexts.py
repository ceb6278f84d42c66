"""A context is taken only where it hashes to what the chain says and speaks of this very request."""

from dataclasses import replace

import pytest

from chainsec.contexts import Contexts, find_observed_fault, make_context, read_context, request_fields
from chainsec.digest import canonical_json, keccak
from chainsec.primitives import ZERO_HASH, AccessRequest, Address, Hash32, Scope
from chainsec.purposes import find_purpose

OBSERVED = {
    "time_s": 1_767_225_600,
    "requester": "ann",
    "asset": "scan",
    "action": "export",
    "purpose": "research",
    "attributes": {"role": "nurse"},
    "text": "für die Studie",
    "has_clock": True,
}
BARE = AccessRequest(
    requester=Address(bytes([1]) * 20),
    organisation=Address(bytes([2]) * 20),
    asset=Hash32(bytes([3]) * 32),
    purpose=find_purpose("research").hash,
    scope=Scope.READ | Scope.EXPORT,
    until=1_767_312_000,
    context=ZERO_HASH,
)


def commit(line, bare=BARE):
    """Return the request that commits to ``line``, and contexts that hold it."""
    item = replace(bare, context=Hash32(keccak(line)))
    contexts = Contexts()
    contexts.put(item.context, line)
    return item, contexts


def join(line, bare=BARE):
    item, contexts = commit(line, bare)
    return contexts.join(item, 2)


def context_with(**observed):
    return make_context(request_fields(BARE), observed=OBSERVED | observed, salt="00" * 16)


def test_a_context_that_fits_becomes_what_the_agent_sees():
    line = canonical_json(context_with())
    item, contexts = commit(line)
    observation, refusal = contexts.join(item, 2)
    assert refusal == ""
    assert observation.id == str(item.id)
    assert observation.sensitivity == 2
    assert {name: getattr(observation, name) for name in OBSERVED} == OBSERVED


def test_a_missing_context_is_refused():
    assert Contexts().join(BARE, 0) == (None, "no context was handed in")


@pytest.mark.parametrize("place", [0, 40, -1])
def test_a_context_with_one_byte_changed_is_not_taken_and_the_good_one_remains(place):
    line = canonical_json(context_with())
    item, contexts = commit(line)
    spoiled = bytearray(line)
    spoiled[place] ^= 1
    with pytest.raises(ValueError, match="does not hash to"):
        contexts.put(item.context, bytes(spoiled))
    observation, refusal = contexts.join(item, 2)
    assert (observation.requester, refusal) == ("ann", "")


@pytest.mark.parametrize(
    "other",
    [
        {"requester": Address(bytes([9]) * 20)},
        {"organisation": Address(bytes([9]) * 20)},
        {"asset": Hash32(bytes([9]) * 32)},
        {"until": BARE.until + 1},
        {"scope": Scope.READ},
        {"purpose": find_purpose("billing").hash},
    ],
)
def test_a_context_of_another_request_is_refused(other):
    line = canonical_json(context_with())
    assert join(line, replace(BARE, **other)) == (None, "the context belongs to another request")


def test_a_field_that_only_equals_the_requests_is_refused():
    context = context_with()
    context["request"]["until"] = float(BARE.until)
    assert join(canonical_json(context)) == (None, "the context belongs to another request")


@pytest.mark.parametrize(
    ("observed", "refusal"),
    [
        ({"action": "read"}, "the context names another action than the request"),
        ({"purpose": "billing"}, "the context names another purpose than the request"),
        ({"purpose": "gossip"}, "the context names a purpose that nobody knows"),
        ({"action": "devour"}, "the context cannot be read: no action 'devour'"),
        ({"time_s": "noon"}, "the context cannot be read: time_s is no int"),
        ({"time_s": True}, "the context cannot be read: time_s is no int"),
        ({"time_s": -1}, "the context cannot be read: time_s is out of range"),
        ({"time_s": 2**63}, "the context cannot be read: time_s is out of range"),
        ({"has_clock": 1}, "the context cannot be read: has_clock is no bool"),
        ({"text": None}, "the context cannot be read: text is no str"),
        ({"attributes": []}, "the context cannot be read: attributes is no dict"),
        ({"attributes": {"role": 3}}, "the context cannot be read: attribute 'role' is no text"),
        ({"sensitivity": 0}, "the context cannot be read: sensitivity is unknown"),
        ({"id": "0x00"}, "the context cannot be read: id is unknown"),
    ],
)
def test_what_a_gateway_says_of_a_request_cannot_contradict_the_chain_or_mislead_the_agent(observed, refusal):
    assert join(canonical_json(context_with(**observed))) == (None, refusal)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"NaN",
        canonical_json(context_with()) + b"\n",
        canonical_json(context_with()).replace(b'"format":1', b'"format": 1'),
        b"[" * 200_000,
        b'{"a":' * 200_000,
    ],
    ids=lambda line: repr(line[:12]),
)
def test_bytes_that_are_no_canonical_object_are_refused_and_never_end_the_agent(line):
    assert join(line) == (None, "the context is not in canonical form")
    assert read_context(line) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda context: context.pop("salt"),
        lambda context: context.pop("observed"),
        lambda context: context.update(extra=1),
        lambda context: context.update(format=2),
        lambda context: context.update(salt=7),
    ],
)
def test_a_context_of_another_format_is_refused(change):
    context = context_with()
    change(context)
    assert join(canonical_json(context)) == (None, "the context is of another format")


def test_a_context_whose_observation_is_no_object_is_refused():
    context = context_with() | {"observed": "nothing"}
    assert join(canonical_json(context)) == (None, "the context cannot be read: it is no object")


@pytest.mark.parametrize("name", OBSERVED)
def test_every_field_of_an_observation_is_needed(name):
    assert find_observed_fault({key: value for key, value in OBSERVED.items() if key != name}) == f"{name} is missing"
    assert find_observed_fault(OBSERVED) == ""
