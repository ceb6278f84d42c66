"""The four messages, byte by byte as RLP makes them, what is signed, and who signed it."""

import pytest
from coincurve import PublicKey

from chainsec.digest import keccak
from chainsec.ledger.account import Account
from chainsec.network.extradata import ExtraData
from chainsec.network.header import Block, Header
from chainsec.network.messages import (
    Code,
    Commit,
    Message,
    Prepare,
    Prepared,
    Proposal,
    RoundChange,
    Signed,
    read_message,
    seal_author,
    sign,
    sign_seal,
)
from chainsec.primitives import Address

ANN = Account.derive(b"tests/network", "ann")
DIGEST, SEAL, SIGNATURE = b"\xdd" * 32, b"\x5e" * 65, b"\x51" * 64 + b"\x01"
D = "a0" + "dd" * 32  # 33 bytes: a string of 32
X = "b841" + "51" * 64 + "01"  # 67 bytes: a string of 65 = 0x41, over 55

# height 5 and round 0: 1 + 1 + 33 = 35 bytes, 0xc0 + 35 = 0xe3; 0 is the empty string
PREPARE = "e3" + "05" + "80" + D
# height 0x1234567890 takes 0x85 and five bytes: 6 + 1 + 33 = 40, 0xe8
PREPARE_FAR = "e8" + "851234567890" + "02" + D
# 1 + 1 + 67 + 33 = 102 = 0x66, over 55
COMMIT = "f866" + "05" + "01" + "b841" + "5e" * 65 + D
# nothing prepared: an empty list; 1 + 1 + 1 = 3
CHANGE = "c3" + "05" + "02" + "c0"
# prepared in round 1: 1 + 33 = 34, 0xe2; 1 + 1 + 35 = 37, 0xe5
CHANGE_PREPARED = "e5" + "05" + "02" + "e2" + "01" + D

BLOCK = Block(
    Header(
        parent_hash=b"\xaa" * 32,
        coinbase=Address(b"\x11" * 20),
        state_root=b"\xbb" * 32,
        block_number=5,
        gas_limit=30_000_000,
        gas_used=21_000,
        timestamp=0x65000000,
        extra_data=ExtraData((Address(b"\x11" * 20),), round=2).encode(),
    )
)
B = BLOCK.encoded.hex()  # 609 bytes, derived in test_header
PROPOSAL = "f90264" + "05" + "02" + B + "80"  # 1 + 1 + 609 + 1 = 612 = 0x264, with the slot for an access list
PROPOSAL_BEFORE = "f90263" + "05" + "02" + B  # 611, without

PAYLOADS = {
    "prepare": (PREPARE, Prepare(5, 0, DIGEST)),
    "prepare far up": (PREPARE_FAR, Prepare(0x1234567890, 2, DIGEST)),
    "commit": (COMMIT, Commit(5, 1, SEAL, DIGEST)),
    "round change": (CHANGE, RoundChange(5, 2, None)),
    "round change, prepared": (CHANGE_PREPARED, RoundChange(5, 2, Prepared(1, DIGEST))),
    "proposal": (PROPOSAL, Proposal(5, 2, BLOCK)),
    "proposal before 26.1": (PROPOSAL_BEFORE, Proposal(5, 2, BLOCK, has_access_list=False)),
}

S_PREPARE = "f867" + PREPARE + X  # 36 + 67 = 103 = 0x67
S_CHANGE = "f847" + CHANGE + X  # 4 + 67 = 71 = 0x47
S_CHANGE_PREPARED = "f869" + CHANGE_PREPARED + X  # 38 + 67 = 105 = 0x69
PREPARES = "f869" + S_PREPARE  # one of 105 bytes
JUSTIFIED = "f8d8" + "f86b" + S_CHANGE_PREPARED + PREPARES  # lists of 109 (107 = 0x6b) and 107: 216 = 0xd8


def signed(name):
    return Signed(PAYLOADS[name][1], SIGNATURE)


ALL = {"round_changes": (signed("round change, prepared"),), "prepares": (signed("prepare"),)}
MESSAGES = {
    "prepare": (0x13, S_PREPARE, Message(signed("prepare"))),
    "commit": (0x14, "f8ab" + COMMIT + X, Message(signed("commit"))),  # 104 + 67 = 171 = 0xab
    # signed 73, no block, the slot, no prepares: 76 = 0x4c
    "round change": (0x15, "f84c" + S_CHANGE + "c0" + "80" + "c0", Message(signed("round change"))),
    "round change before 26.1": (
        0x15,
        "f84b" + S_CHANGE + "c0" + "c0",
        Message(signed("round change"), has_access_list=False),
    ),
    # 107 + 609 + 1 + 107 = 824 = 0x338
    "round change, prepared": (
        0x15,
        "f90338" + S_CHANGE_PREPARED + B + "80" + PREPARES,
        Message(signed("round change, prepared"), block=BLOCK, prepares=(signed("prepare"),)),
    ),
    "round change, prepared, before 26.1": (
        0x15,
        "f90337" + S_CHANGE_PREPARED + B + PREPARES,
        Message(signed("round change, prepared"), block=BLOCK, prepares=(signed("prepare"),), has_access_list=False),
    ),
    # signed: 615 + 67 = 682 = 0x2aa; with its prefix 685, and two empty lists in a list 3: 688 = 0x2b0
    "proposal": (0x12, "f902b0" + "f902aa" + PROPOSAL + X + "c2c0c0", Message(signed("proposal"))),
    # 685 + 218 = 903 = 0x387
    "proposal, justified": (
        0x12,
        "f90387" + "f902aa" + PROPOSAL + X + JUSTIFIED,
        Message(signed("proposal"), **ALL),
    ),
    "proposal, justified, before 26.1": (
        0x12,
        "f90386" + "f902a9" + PROPOSAL_BEFORE + X + JUSTIFIED,
        Message(signed("proposal before 26.1"), **ALL),
    ),
}


@pytest.mark.parametrize("name", PAYLOADS)
def test_a_payload_is_encoded_as_derived(name):
    hexadecimal, payload = PAYLOADS[name]
    assert payload.encoded.hex() == hexadecimal


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_is_encoded_and_read_as_derived(name):
    code, hexadecimal, message = MESSAGES[name]
    assert (message.code, message.encoded.hex()) == (code, hexadecimal)
    read = read_message(code, bytes.fromhex(hexadecimal))
    assert read == message
    assert (read.has_access_list, read.signed.payload) == (message.has_access_list, message.signed.payload)
    assert (read.height, read.encoded) == (5, message.encoded)


def test_a_signature_covers_code_and_payload():
    # rlp([code, payload]): the code stands for itself, so 1 + 36 = 37 bytes, 0xe5
    assert Prepare(5, 0, DIGEST).signing_hash == keccak(bytes.fromhex("e5" + "13" + PREPARE))
    assert RoundChange(5, 2, None).signing_hash == keccak(bytes.fromhex("c5" + "15" + CHANGE))
    assert Commit(5, 1, SEAL, DIGEST).signing_hash == keccak(bytes.fromhex("f869" + "14" + COMMIT))
    assert Proposal(5, 2, BLOCK).signing_hash == keccak(bytes.fromhex("f90268" + "12" + PROPOSAL))


def test_codes_are_besu_s():
    assert {code.name: int(code) for code in Code} == {
        "PROPOSAL": 0x12,
        "PREPARE": 0x13,
        "COMMIT": 0x14,
        "ROUND_CHANGE": 0x15,
    }


def test_a_signature_is_r_s_and_which_of_two_keys():
    for number in range(16):
        one = sign(ANN, Prepare(number, 0, DIGEST))
        key = PublicKey.from_signature_and_message(one.signature, one.payload.signing_hash, hasher=None)
        assert keccak(key.format(compressed=False)[1:])[12:] == ANN.address == one.author
        assert (len(one.signature), one.signature[64] in {0, 1}) == (65, True)


def test_a_seal_names_its_author_for_that_digest_alone():
    seal = sign_seal(ANN, DIGEST)
    assert seal_author(DIGEST, seal) == ANN.address
    assert seal_author(b"\xdc" * 32, seal) != ANN.address


@pytest.mark.parametrize("signature", [bytes(65), b"\xff" * 65, b"\x01" * 64 + b"\x1b", b"\x01" * 64 + b"\x04"])
def test_a_signature_that_no_key_can_have_made_has_no_author(signature):
    assert Signed(Prepare(1, 0, DIGEST), signature).author is None
    assert seal_author(DIGEST, signature) is None


def test_one_payload_under_another_code_has_another_author():
    # the bytes of a prepare are no other payload's; what keeps kinds apart even so is the code that is signed
    prepare = sign(ANN, Prepare(5, 0, DIGEST))
    assert Signed(RoundChange(5, 0, None), prepare.signature).author != ANN.address
    assert Signed(Prepare(5, 1, DIGEST), prepare.signature).author != ANN.address


BAD = {
    "a code of another protocol": (0x11, "c0", "code 0x11 is no message of QBFT"),
    "a prepare as a commit": (0x14, S_PREPARE, "commit|prepare|is no list of 4"),
    "a digest that is short": (0x13, "f866" + "e2" + "05" + "80" + "9f" + "dd" * 31 + X, "digest: is not 32 bytes"),
    "a signature that is short": (
        0x13,
        "f866" + PREPARE + "b840" + "51" * 64,
        "signature: is not 65 bytes",
    ),
    "a height of nine bytes": (
        0x13,
        "f870" + "ec" + "89" + "01" * 9 + "80" + D + X,
        "height: is no number of at most 8 bytes",
    ),
    "a round of five bytes": (0x13, "f86c" + "e8" + "05" + "85" + "01" * 5 + D + X, "round: is no number of at most 4"),
    "a round of zero with a byte": (0x13, "f867" + "e3" + "05" + "00" + D + X, "round: is no number"),
    "a list where a block access list is": (0x15, "f84c" + S_CHANGE + "c0" + "c0" + "c0", "block access list"),
    "a block access list": (0x15, "f84c" + S_CHANGE + "c0" + "01" + "c0", "block access list"),
    "a block access list in a proposal": (
        0x12,
        "f902b0" + "f902aa" + PROPOSAL[:-2] + "c0" + X + "c2c0c0",
        "block access list",
    ),
    "prepared by half": (0x15, "f84c" + "f848" + "c4" + "05" + "02" + "c1" + "01" + X + "c0c0", "prepared round"),
    "no justification": (0x12, "f902ad" + "f902aa" + PROPOSAL + X, "proposal: is no list of 2"),
    "half a justification": (0x12, "f902af" + "f902aa" + PROPOSAL + X + "c1c0", "justification: is no list of 2"),
    "a block that is a string": (0x15, "f84c" + S_CHANGE + "80" + "80" + "c0", "block: is no list of 4"),
    "nothing": (0x13, "", "message: is no RLP"),
}


@pytest.mark.parametrize("name", BAD)
def test_bytes_that_are_no_message_say_what_is_wrong(name):
    code, hexadecimal, match = BAD[name]
    with pytest.raises(ValueError, match=match):
        read_message(code, bytes.fromhex(hexadecimal))


def test_reading_the_same_bytes_twice_decodes_them_once():
    encoded = bytes.fromhex(S_PREPARE)
    assert read_message(0x13, encoded) is read_message(0x13, bytes(encoded))
