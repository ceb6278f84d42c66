"""Headers of 19 and 20 fields, byte by byte, their three hashes, and blocks as they travel."""

from dataclasses import replace

import pytest

from chainsec.digest import keccak
from chainsec.network.extradata import ExtraData
from chainsec.network.header import EMPTY_LIST_HASH, EMPTY_TRIE_ROOT, MIX_HASH, Block, Header
from chainsec.network.rlpitems import decode_strictly, encode, join
from chainsec.primitives import Address

VALIDATOR = Address(b"\x11" * 20)
EXTRA = ExtraData((VALIDATOR,))
PARENT, STATE = b"\xaa" * 32, b"\xbb" * 32
NO_OMMERS = "1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"  # keccak(0xc0), as in every header
NO_ITEMS = "56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"  # keccak(0x80), the empty trie
MIX = "63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365"  # as in every QBFT genesis

# vanity 33, one validator 22, no vote 1, round 0 1, no seals 1: 58 = 0x3a bytes, over 55, so 60 with the list's prefix
EXTRA_HEX = "f83a" + "a0" + "00" * 32 + "d594" + "11" * 20 + "c080c0"
FIELDS = [  # each with its length in bytes
    "a0" + "aa" * 32,  # 33 parent
    "a0" + NO_OMMERS,  # 33
    "94" + "11" * 20,  # 21 coinbase
    "a0" + "bb" * 32,  # 33 state
    "a0" + NO_ITEMS,  # 33 transactions
    "a0" + NO_ITEMS,  # 33 receipts
    "b90100" + "00" * 256,  # 259 bloom: 256 = 0x0100 bytes, a length of two bytes
    "01",  # 1 difficulty
    "05",  # 1 number
    "8401c9c380",  # 5 gas limit 30,000,000
    "825208",  # 3 gas used 21,000
    "8465000000",  # 5 time 0x65000000
    "b83c" + EXTRA_HEX,  # 62 a string of 60 = 0x3c bytes
    "a0" + MIX,  # 33
    "88" + "00" * 8,  # 9 nonce
    "80",  # 1 base fee 0
    "a0" + NO_ITEMS,  # 33 withdrawals
    "80",  # 1 blob gas used
    "80",  # 1 excess blob gas
]
HEADER = "f90258" + "".join(FIELDS)  # 600 = 0x258 bytes
# the first header: number and gas used are 0, one byte each (600 - 2), and 33 for the beacon root: 631 = 0x277
GENESIS = "f90277" + "".join([*FIELDS[:8], "80", FIELDS[9], "80", *FIELDS[11:]]) + "a0" + "00" * 32


def header(**changes):
    made = Header(
        parent_hash=PARENT,
        coinbase=VALIDATOR,
        state_root=STATE,
        block_number=5,
        gas_limit=30_000_000,
        gas_used=21_000,
        timestamp=0x65000000,
        extra_data=EXTRA.encode(),
    )
    return replace(made, **changes)


FIRST = header(block_number=0, gas_used=0, parent_beacon_block_root=bytes(32))


def test_a_header_has_nineteen_fields():
    assert header().encoded.hex() == HEADER
    assert len(decode_strictly(bytes.fromhex(HEADER), "header")) == 19
    assert Header.from_items(decode_strictly(bytes.fromhex(HEADER), "header")) == header()


def test_the_first_header_has_a_beacon_root_too():
    assert FIRST.encoded.hex() == GENESIS
    assert len(decode_strictly(bytes.fromhex(GENESIS), "header")) == 20
    assert Header.from_items(decode_strictly(bytes.fromhex(GENESIS), "header")) == FIRST


def test_constants_are_those_of_every_qbft_header():
    assert (EMPTY_LIST_HASH.hex(), EMPTY_TRIE_ROOT.hex(), MIX_HASH.hex()) == (NO_OMMERS, NO_ITEMS, MIX)


def test_the_hash_covers_neither_round_nor_seals():
    plain = header()
    done = plain.in_round(3).sealed([bytes(65), b"\x01" * 65])
    assert plain.hash == done.hash == keccak(bytes.fromhex(HEADER))
    assert done.extra == ExtraData((VALIDATOR,), round=3, seals=(bytes(65), b"\x01" * 65))


def test_what_is_sealed_covers_the_round_and_no_seals():
    in_three = header().in_round(3)
    assert in_three.sealed([bytes(65)]).seal_hash == in_three.seal_hash
    # the round is the byte before the empty list of seals, 0x03 instead of 0x80
    assert in_three.seal_hash == keccak(bytes.fromhex(HEADER.replace("c080c0", "c003c0")))
    assert len({header().in_round(round_).seal_hash for round_ in range(4)}) == 4
    assert header().in_round(0).seal_hash == header().hash


def test_the_first_header_is_hashed_as_it_stands():
    assert FIRST.hash == keccak(bytes.fromhex(GENESIS))
    sealed = FIRST.sealed([bytes(65)])
    assert sealed.hash == keccak(sealed.encoded) != FIRST.hash


def test_changing_extra_data_leaves_the_header_as_it_was():
    plain = header()
    before = plain.encoded
    plain.in_round(9).sealed([bytes(65)])
    assert (plain.encoded, plain.extra) == (before, EXTRA)


NAMES = (
    *("parent_hash", "uncles_hash", "coinbase", "state_root", "transaction_root", "receipt_root", "bloom"),
    *("difficulty", "block_number", "gas_limit", "gas_used", "timestamp", "extra_data", "mix_hash", "nonce"),
    *("base_fee_per_gas", "withdrawals_root", "blob_gas_used", "excess_blob_gas", "parent_beacon_block_root"),
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("wrong", [[], bytes(33), bytes(7)])
def test_a_field_that_is_wrong_is_named(name, wrong):
    items = decode_strictly(FIRST.encoded, "header")
    items[NAMES.index(name)] = wrong
    match = "extraData: is no RLP" if name == "extra_data" and wrong != [] else f"{name}: is "
    with pytest.raises(ValueError, match=match):
        Header.from_items(items)


def test_a_header_of_another_fork_is_refused():
    items = decode_strictly(header().encoded, "header")
    for other in (items[:15], items[:18], [*items, bytes(32), bytes(32)], b"header"):
        with pytest.raises(ValueError, match="header: is no list of 19"):
            Header.from_items(other)


# nonce 1, price 0, gas 21,000, to, value 0, no data, v 37, r, s: 1 + 1 + 3 + 21 + 1 + 1 + 1 + 33 + 33 = 95 = 0x5f
LEGACY = "f85f" + "01" + "80" + "825208" + "94" + "22" * 20 + "80" + "80" + "25" + "a0" + "01" * 32 + "a0" + "02" * 32
TYPED = "02" + "c101"  # its kind, then anything


def test_a_block_is_header_transactions_no_ommers_and_no_withdrawals():
    # the header is 603 bytes with its prefix, and there are three empty lists: 606 = 0x25e
    assert Block(header()).encoded.hex() == "f9025e" + HEADER + "c0" + "c0" + "c0"
    # A legacy transaction is a list in the list, 97 bytes; a typed one, 3 bytes here, is a string: 0x83 and its bytes.
    # 97 + 4 = 101 = 0x65; 603 + 103 + 1 + 1 = 708 = 0x2c4
    block = Block(header(), (bytes.fromhex(LEGACY), bytes.fromhex(TYPED)))
    assert block.encoded.hex() == "f902c4" + HEADER + "f865" + LEGACY + "83" + TYPED + "c0" + "c0"
    assert Block.decode(block.encoded) == block
    assert block.number == 5


@pytest.mark.parametrize(
    ("items", "match"),
    [
        ([[], [[]], []], "block: has ommers or withdrawals"),
        ([[], [], [[]]], "block: has ommers or withdrawals"),
        ([b"", [], []], "transactions: is no list"),
        ([[b""], [], []], "transactions: one is neither a list nor typed"),
        ([[b"\xc0"], [], []], "transactions: one is neither a list nor typed"),  # a list disguised as a string
        ([[[[]]], [], []], "transactions: one that is a list holds another"),
        ([[]], "block: is no list of 4"),  # before Shanghai
    ],
)
def test_a_body_that_is_wrong_says_why(items, match):
    with pytest.raises(ValueError, match=match):
        Block.decode(join([header().encoded, *map(encode, items)]))


def test_another_header_leaves_the_transactions():
    block = Block(header(), (bytes.fromhex(LEGACY),))
    other = block.with_header(header().in_round(2))
    assert (other.transactions, other.header.extra.round) == (block.transactions, 2)
    assert block.header.extra.round == 0
