"""RLP by its items: the yellow paper's forms, and refusal of every other."""

import pytest

from chainsec.network.rlpitems import as_address, as_bytes, as_list, as_number, decode_strictly, encode, encode_number
from chainsec.network.rlpitems import join as join_items
from chainsec.primitives import Address

# From the rules in appendix B of the yellow paper: a byte under 0x80 is itself; up to 55 bytes follow 0x80 + length,
# more follow 0xb7 + bytes of the length; lists the same with 0xc0 and 0xf7.
FORMS = {
    "80": b"",
    "00": b"\x00",
    "7f": b"\x7f",
    "8180": b"\x80",
    "83646f67": b"dog",
    "b7" + "61" * 55: b"a" * 55,
    "b838" + "61" * 56: b"a" * 56,
    "b90100" + "61" * 256: b"a" * 256,
    "c0": [],
    "c1c0": [[]],
    "c88363617483646f67": [b"cat", b"dog"],
    "f7" + "01" * 55: [b"\x01"] * 55,
    "f838" + "01" * 56: [b"\x01"] * 56,
}


@pytest.mark.parametrize(("hexadecimal", "item"), FORMS.items())
def test_items_have_the_form_that_the_yellow_paper_gives_them(hexadecimal, item):
    encoded = bytes.fromhex(hexadecimal)
    assert encode(item) == encoded
    assert decode_strictly(encoded, "it") == item


@pytest.mark.parametrize(
    "hexadecimal",
    [
        "",  # nothing
        "8101",  # a byte that stands for itself
        "b803646f67",  # long form of a short string
        "b90038" + "61" * 56,  # a length with a leading zero
        "f803c0c0c0",  # long form of a short list
        "83646f",  # shorter than it says
        "83646f6767",  # longer than it says
        "c2c0",  # a list that is shorter than it says
        "c0c0",  # a list that goes on
        "c28364",  # an item that reaches out of its list
        "b8",  # a length that is missing
        "bfffffffffffffffff",  # a length over everything
        "ff" * 9,
    ],
)
def test_another_form_of_the_same_item_is_refused(hexadecimal):
    with pytest.raises(ValueError, match="it: is no RLP"):
        decode_strictly(bytes.fromhex(hexadecimal), "it")


def test_joined_encodings_are_the_list_of_their_items():
    assert join_items([encode(b"cat"), encode([b"dog"])]) == encode([b"cat", [b"dog"]])
    assert join_items([]) == b"\xc0"


@pytest.mark.parametrize(("value", "encoded"), [(0, b""), (1, b"\x01"), (255, b"\xff"), (256, b"\x01\x00")])
def test_a_number_has_no_leading_zeros(value, encoded):
    assert encode_number(value) == encoded
    assert as_number(encoded, "it") == value


@pytest.mark.parametrize("item", [b"\x00", b"\x00\x01", b"\x01" * 9, [], [b"\x01"]])
def test_what_is_no_number_is_refused_by_name(item):
    with pytest.raises(ValueError, match="round: is no number of at most 8 bytes"):
        as_number(item, "round")


def test_a_number_of_more_bytes_than_its_field_has_is_refused():
    assert as_number(b"\xff" * 4, "round", most_bytes=4) == 2**32 - 1
    with pytest.raises(ValueError, match="at most 4 bytes"):
        as_number(b"\x01" + bytes(4), "round", most_bytes=4)


def test_lists_bytes_and_addresses_are_refused_by_name_and_size():
    assert as_list([b"", []], 2, "pair") == [b"", []]
    assert as_address(bytes(20), "who") == Address(bytes(20))
    with pytest.raises(ValueError, match="pair: is no list of 2"):
        as_list([b""], 2, "pair")
    with pytest.raises(ValueError, match=r"seals: is no list$"):
        as_list(b"", None, "seals")
    with pytest.raises(ValueError, match="digest: is not 32 bytes"):
        as_bytes(bytes(31), 32, "digest")
    with pytest.raises(ValueError, match="who: is not 20 bytes"):
        as_address([], "who")
