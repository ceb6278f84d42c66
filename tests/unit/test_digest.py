"""One text for one value, and Merkle trees that refuse what is no leaf."""

import json

import pytest

from chainsec.digest import (
    MAX_DEPTH,
    canonical_json,
    digest_json,
    is_too_deep,
    keccak,
    merkle_proof,
    merkle_root,
    parse_canonical,
    verify_merkle_proof,
)


def test_keccak_is_the_one_of_ethereum_and_not_sha3():
    assert keccak(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


def test_names_are_sorted_at_every_depth_and_no_space_is_left():
    assert (
        canonical_json({"b": {"d": 1, "c": [True, None]}, "a": "ü"}) == '{"a":"ü","b":{"c":[true,null],"d":1}}'.encode()
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1, b"0.1"), (1e-7, b"1e-07"), (1.0, b"1.0"), (1, b"1"), (-0.0, b"-0.0"), (2**70, b"1180591620717411303424")],
)
def test_numbers_have_the_shortest_text_that_reads_back_as_the_same(value, text):
    assert canonical_json(value) == text
    assert json.loads(text) == value


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -float("inf"), b"bytes", {1, 2}, object(), "\ud800", [float("nan")]]
)
def test_what_json_does_not_have_is_refused(value):
    with pytest.raises(ValueError, match=r"not JSON|not JSON compliant|surrogates not allowed"):
        canonical_json({"value": value})


@pytest.mark.parametrize("value", [{1: "a"}, {None: "a"}, {True: "a"}, {"a": [{2.5: 1}]}, {"1": "a", 1: "b"}])
def test_a_name_that_is_no_text_is_refused_and_not_turned_into_one(value):
    with pytest.raises(ValueError, match="not JSON"):
        canonical_json(value)


def nested(depth):
    value = 0
    for _ in range(depth):
        value = [value]
    return value


def test_a_value_that_holds_itself_or_is_too_deep_is_refused():
    loop = []
    loop.append(loop)
    for value in (loop, nested(MAX_DEPTH + 1), nested(100_000), {"a": nested(MAX_DEPTH)}):
        with pytest.raises(ValueError, match="deeper than 64"):
            canonical_json(value)
    assert canonical_json(nested(MAX_DEPTH)) == b"[" * MAX_DEPTH + b"0" + b"]" * MAX_DEPTH


@pytest.mark.parametrize("value", [{}, [], None, 1.5, "[[[{{{", {"a": ["\\", '"', {"b": "]]]"}]}, nested(MAX_DEPTH)])
def test_canonical_text_reads_back_as_its_value(value):
    assert parse_canonical(canonical_json(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b'{"b":1,"a":2}',
        b'{"a":1,"a":1}',
        b'{"a": 1}',
        b"[1.50]",
        b"[NaN]",
        b"[1e400]",
        b'"\\u00e9"',
        b"\xff",
        b'"abc',
        b'"abc\\',
        b"{}\n",
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000,
        b"1" * 5_000,
        b'"\\ud800"',
    ],
    ids=lambda text: repr(text[:12]),
)
def test_text_that_is_not_canonical_is_refused_and_never_ends_the_process(text):
    with pytest.raises(ValueError):  # noqa: PT011 - who refuses it first says so in its own words
        parse_canonical(text)


def test_the_digest_of_a_value_is_that_of_its_text():
    assert digest_json({"b": 1, "a": 2}) == keccak(b'{"a":2,"b":1}')


def test_a_tree_of_one_leaf_is_the_leaf_and_needs_no_proof():
    leaf = keccak(b"leaf")
    assert merkle_root([leaf]) == leaf
    assert merkle_proof([leaf], 0) == []


def test_a_tree_without_leaves_or_with_a_leaf_of_another_width_is_refused():
    with pytest.raises(ValueError, match="at least one leaf"):
        merkle_root([])
    with pytest.raises(ValueError, match="leaf 1 has 31 bytes"):
        merkle_root([bytes(32), bytes(31)])
    with pytest.raises(ValueError, match="leaf 0 has 64 bytes"):
        merkle_proof([bytes(64)], 0)


@pytest.mark.parametrize("index", [-1, 2])
def test_a_proof_of_a_leaf_that_is_not_there_is_refused(index):
    with pytest.raises(ValueError, match=f"no leaf {index} among 2"):
        merkle_proof([bytes(32), bytes(32)], index)


def test_a_proof_with_one_byte_changed_proves_nothing():
    leaves = [keccak(bytes([n])) for n in range(7)]
    root, proof = merkle_root(leaves), merkle_proof(leaves, 4)
    assert verify_merkle_proof(root, leaves[4], proof)
    spoiled = [bytes([proof[0][0] ^ 1]) + proof[0][1:], *proof[1:]]
    assert not verify_merkle_proof(root, leaves[4], spoiled)
    assert not verify_merkle_proof(root, leaves[4], proof[:-1])
    assert not verify_merkle_proof(root, leaves[3], proof)


DEEP = '["\u2200",' + "[" * 3_000 + "]" * 3_000 + "]"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16", "utf-32-le", "utf-32-be", "utf-8-sig"])
def test_text_in_another_encoding_is_refused_however_deep_it_is(encoding):
    for text in (DEEP, "[1]"):
        with pytest.raises(ValueError, match=r"decode|canonical|BOM|Expecting|deeper"):
            parse_canonical(text.encode(encoding))


def test_bytes_that_hide_their_depth_from_a_count_of_bytes_do_not_reach_the_reader():
    hidden = "".join(chr(0x5B00 + 0x22) if place % 2 else "[" for place in range(400)).encode("utf-16-le")
    with pytest.raises(ValueError, match=r"decode|canonical|Expecting|deeper"):
        parse_canonical(hidden)


@pytest.mark.parametrize(
    ("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]"), (b'{"\\"[":[', b"]}")]
)
def test_depth_is_counted_the_same_whatever_it_is_made_of(opening, closing):
    most = MAX_DEPTH // len(closing)
    assert not is_too_deep(opening * most + b"1" + closing * most)
    assert is_too_deep(opening * (most + 1) + b"1" + closing * (most + 1))
    assert is_too_deep(opening * (most + 1))
