"""Words against the library: same bytes, same values, and what they refuse is the library's to judge."""

from hypothesis import given
from hypothesis import strategies as st

from chainsec.ledger.codec import Parameters, _encoder, _stream
from chainsec.ledger.words import Unfit, word_decoder, word_encoder
from chainsec.primitives import Address, Hash32

WORDS = {
    "address": st.binary(min_size=20, max_size=20).map(Address),
    "bytes32": st.binary(min_size=32, max_size=32).map(Hash32),
    "bool": st.booleans(),
    "uint8": st.integers(0, 2**8 - 1),
    "uint40": st.integers(0, 2**40 - 1),
    "uint256": st.integers(0, 2**256 - 1),
}
ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4), st.binary(max_size=34), st.just(())
)


@st.composite
def parameters(draw, depth=2):
    """An ABI parameter of fixed size, or an array of such, with a value for it."""
    kinds = [*WORDS, "tuple"] if depth else [*WORDS]
    kind = draw(st.sampled_from(kinds))
    if kind == "tuple":
        parts = draw(
            st.lists(
                parameters(depth=depth - 1).filter(lambda pair: "[]" not in pair[0]["type"]), min_size=1, max_size=4
            )
        )
        entry = {"type": "tuple", "components": [part for part, _ in parts], "name": "t"}
        value = tuple(value for _, value in parts)
    else:
        entry, value = {"type": kind, "name": "w"}, draw(WORDS[kind])
    if draw(st.integers(0, 3)):
        return entry, value
    count = draw(st.integers(0, 3))
    return {**entry, "type": f"{entry['type']}[]"}, [value] * count


def general(entries):
    """Return the encoder of the library for these parameters."""
    return _encoder(f"({','.join(Parameters([entry], 'f').types[0] for entry in entries)})")


@given(st.lists(parameters(), min_size=1, max_size=5))
def test_words_are_encoded_as_by_the_library(pairs):
    entries, values = [entry for entry, _ in pairs], [value for _, value in pairs]
    encode = word_encoder(entries)
    assert encode is not None
    assert encode(values) == general(entries)(tuple(values)) == Parameters(entries, "f").encode(values)


@given(st.sampled_from(sorted(WORDS)), ANYTHING)
def test_a_value_that_is_not_exactly_of_its_type_is_left_to_the_library(type_, value):
    entries = [{"type": type_, "name": "w"}]
    try:
        encoded = word_encoder(entries)([value])
    except Unfit:
        return
    assert encoded == general(entries)((value,))


@given(st.lists(st.sampled_from(sorted(WORDS)), min_size=1, max_size=4), st.data())
def test_words_are_decoded_as_they_were_encoded_with_whatever_follows(types, data):
    values = tuple(data.draw(WORDS[type_]) for type_ in types)
    encoded = word_encoder([{"type": type_, "name": "w"} for type_ in types])(values)
    found = word_decoder(types)(encoded + data.draw(st.binary(max_size=40)))
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


@given(st.lists(st.sampled_from(sorted(WORDS)), min_size=1, max_size=3), st.binary(max_size=100))
def test_any_bytes_are_decoded_as_by_the_library_or_refused_by_both(types, data):
    owner = Parameters([{"type": type_, "name": "w"} for type_ in types], "f")
    try:
        expected = owner._decode(_stream(data))
    except Exception:  # noqa: BLE001 - whatever the library says, the answer is a refusal
        expected = None
    try:
        found = word_decoder(types)(data)
    except Unfit:
        found = None
    assert found == expected


def test_what_has_no_fixed_size_has_no_words():
    assert word_encoder([{"type": "string"}]) is None
    assert word_encoder([{"type": "tuple[][]", "components": []}]) is None
    assert word_encoder([{"type": "tuple", "components": [{"type": "uint8[]"}]}]) is None
    assert word_decoder(["uint8", "bytes"]) is None
    assert word_decoder(["int8"]) is None
