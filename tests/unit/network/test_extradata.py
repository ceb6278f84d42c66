"""``extraData`` against Besu's own vector, a published genesis, and encodings derived byte by byte."""

import pytest

from chainsec.network.extradata import ExtraData, Vote
from chainsec.network.rlpitems import encode
from chainsec.primitives import Address

ONE, TWO = (Address(bytes(19) + bytes([n])) for n in (1, 2))
A1, A2 = "94" + "00" * 19 + "01", "94" + "00" * 19 + "02"  # a string of 20 bytes: 0x80 + 20, then the bytes
ZEROS = "a0" + "00" * 32  # a string of 32 bytes: 0x80 + 32
SEAL_A, SEAL_B = bytes(range(65)), b"\xbb" * 65

VECTORS = {
    # vanity 33, no validators 1, no vote 1, round 0 as the empty string 1, no seals 1: 37 bytes in the list, 0xc0 + 37
    "nothing": ("e5" + ZEROS + "c0" + "c0" + "80" + "c0", ExtraData(())),
    # two validators are 42 bytes in a list, 0xc0 + 42 = 0xea; 33 + 43 + 1 + 1 + 1 = 79 = 0x4f over 55: 0xf8, length
    "two validators": ("f84f" + ZEROS + "ea" + A1 + A2 + "c0" + "80" + "c0", ExtraData((ONE, TWO))),
    # to add: 0xff is over 0x7f and so takes 0x81; 21 + 2 = 23 bytes, 0xc0 + 23 = 0xd7; 33 + 22 + 24 + 1 + 1 = 81 = 0x51
    "to add": (
        "f851" + ZEROS + "d5" + A1 + "d7" + A2 + "81ff" + "03" + "c0",
        ExtraData((ONE,), Vote(TWO, is_add=True), 3),
    ),
    # to drop: the empty string; 21 + 1 = 22 bytes, 0xd6; round 256 is 0x82 0100; 33 + 22 + 23 + 3 + 1 = 82 = 0x52
    "to drop": (
        "f852" + ZEROS + "d5" + A1 + "d6" + A2 + "80" + "820100" + "c0",
        ExtraData((ONE,), Vote(TWO, is_add=False), 256),
    ),
    # a seal is 65 bytes behind 0xb8 0x41; two are 134 = 0x86 bytes in a list; 33 + 22 + 1 + 1 + 136 = 193 = 0xc1
    "seals": (
        "f8c1" + ZEROS + "d5" + A1 + "c0" + "01" + "f886" + "b841" + SEAL_A.hex() + "b841" + SEAL_B.hex(),
        ExtraData((ONE,), round=1, seals=(SEAL_A, SEAL_B)),
    ),
    # Source: Besu, QbftExtraDataCodecTest, RAW_HEX_ENCODING_STRING; seals with r = 1, s = 10 and r = 10, s = 1
    "Besu's own": (
        (
            "f8f0a00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"
            "ea940000000000000000000000000000000000000001940000000000000000000000000000000000000002"
            "d794000000000000000000000000000000000000000181ff83fedcbaf886b841"
            "0000000000000000000000000000000000000000000000000000000000000001"
            "000000000000000000000000000000000000000000000000000000000000000a00b841"
            "000000000000000000000000000000000000000000000000000000000000000a"
            "000000000000000000000000000000000000000000000000000000000000000100"
        ),
        ExtraData(
            (ONE, TWO),
            Vote(ONE, is_add=True),
            0xFEDCBA,
            tuple(r.to_bytes(32, "big") + s.to_bytes(32, "big") + b"\x00" for r, s in ((1, 10), (10, 1))),
            bytes(range(1, 33)),
        ),
    ),
    # Source: README of ConsenSys istanbul-tools, "qbft extra encode", four validators at genesis
    "genesis of four": (
        (
            "f87aa00000000000000000000000000000000000000000000000000000000000000000f854"
            "94475cc98b5521ab2a1335683e7567c8048bfe79ed9407d8299de61faed3686ba4c4e6c3b9083d7e2371"
            "944fe035ce99af680d89e2c4d73aca01dbfc1bd2fd94dc421209441a754f79c4a4ecd2b49c935aad0312c080c0"
        ),
        ExtraData(
            tuple(
                Address(bytes.fromhex(each))
                for each in (
                    "475cc98b5521ab2a1335683e7567c8048bfe79ed",
                    "07d8299de61faed3686ba4c4e6c3b9083d7e2371",
                    "4fe035ce99af680d89e2c4d73aca01dbfc1bd2fd",
                    "dc421209441a754f79c4a4ecd2b49c935aad0312",
                )
            )
        ),
    ),
}


@pytest.mark.parametrize("name", VECTORS)
def test_extra_data_is_encoded_and_read_as_in(name):
    hexadecimal, extra = VECTORS[name]
    assert extra.encode().hex() == hexadecimal
    assert ExtraData.decode(bytes.fromhex(hexadecimal)) == extra


def test_seals_cover_the_round_and_the_hash_covers_neither():
    extra = VECTORS["seals"][1]
    assert extra.for_seal() == ExtraData((ONE,), round=1)
    assert extra.for_hash() == ExtraData((ONE,))
    assert extra.seals == (SEAL_A, SEAL_B)


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ([bytes(31), [], [], b"", []], "vanity: is not 32 bytes"),
        ([bytes(32), b"", [], b"", []], "validators: is no list"),
        ([bytes(32), [bytes(19)], [], b"", []], "validator: is not 20 bytes"),
        ([bytes(32), [], b"", b"", []], "vote: is no list of 2"),  # null for no vote: Besu reads a list
        ([bytes(32), [], [bytes(20)], b"", []], "vote: is no list of 2"),
        ([bytes(32), [], [bytes(20), b"\x01"], b"", []], "vote: is neither add nor drop"),
        ([bytes(32), [], [bytes(20), []], b"", []], "vote: is neither add nor drop"),
        ([bytes(32), [], [bytes(19), b"\xff"], b"", []], "vote: is not 20 bytes"),
        ([bytes(32), [], [], b"\x00\xdc\xba", []], "round: is no number"),  # Besu: incorrectlyEncodedRound...
        ([bytes(32), [], [], b"\x01" * 5, []], "round: is no number of at most 4 bytes"),
        ([bytes(32), [], [], [], []], "round: is no number"),
        ([bytes(32), [], [], b"", b""], "seals: is no list"),
        ([bytes(32), [], [], b"", [bytes(64)]], "seal: is not 65 bytes"),
        ([bytes(32), [], [], b""], "extraData: is no list of 5"),
        ([bytes(32), [], [], b"", [], []], "extraData: is no list of 5"),
    ],
)
def test_a_field_that_is_wrong_is_named(fields, match):
    with pytest.raises(ValueError, match=match):
        ExtraData.decode(encode(fields))
