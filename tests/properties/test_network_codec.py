"""Whatever is sent is read back as it was; whatever bytes come are one message in its one form, or a ValueError."""

import pytest
import rlp
from hypothesis import given, settings
from hypothesis import strategies as st

from chainsec.network.extradata import ExtraData, Vote
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
)
from chainsec.network.rlpitems import as_number, decode_strictly, encode, encode_number, join
from chainsec.primitives import Address


def exactly(size):
    """Draw bytes of which most are zero now and then, as numbers and hashes in attacks are."""
    return st.one_of(st.binary(min_size=size, max_size=size), st.sampled_from([bytes(size), b"\xff" * size]))


def up_to(count_bytes):
    return st.one_of(st.integers(0, 300), st.integers(0, 2 ** (8 * count_bytes) - 1))


ADDRESS = exactly(20).map(Address)
HASH, SIGNATURE = exactly(32), exactly(65)
VOTE = st.builds(Vote, ADDRESS, is_add=st.booleans())
EXTRA = st.builds(
    ExtraData,
    st.lists(ADDRESS, max_size=5).map(tuple),
    st.none() | VOTE,
    up_to(4),
    st.lists(SIGNATURE, max_size=4).map(tuple),
    HASH,
)
HEADER = st.builds(
    Header,
    parent_hash=HASH,
    coinbase=ADDRESS,
    state_root=HASH,
    block_number=up_to(8),
    gas_limit=up_to(8),
    timestamp=up_to(8),
    extra_data=EXTRA.map(ExtraData.encode),
    bloom=st.one_of(st.just(0), st.integers(0, 2**2048 - 1)),
    gas_used=up_to(8),
    difficulty=up_to(32),
    base_fee_per_gas=up_to(32),
    blob_gas_used=up_to(8),
    excess_blob_gas=up_to(8),
    parent_beacon_block_root=st.none() | HASH,
)
LEGACY = st.lists(st.binary(max_size=60), max_size=9).map(encode)
TYPED = st.tuples(st.integers(0, 0x7F), st.binary(max_size=60)).map(lambda pair: bytes([pair[0]]) + pair[1])
BLOCK = st.builds(Block, HEADER, st.lists(LEGACY | TYPED, max_size=3).map(tuple))
PLACE = (up_to(8), up_to(4))
PREPARE = st.builds(Prepare, *PLACE, HASH)
COMMIT = st.builds(Commit, *PLACE, SIGNATURE, HASH)
ROUND_CHANGE = st.builds(RoundChange, *PLACE, st.none() | st.builds(Prepared, up_to(4), HASH))
PROPOSAL = st.builds(Proposal, *PLACE, BLOCK, st.booleans())


def signed(payload):
    return st.builds(Signed, payload, SIGNATURE)


def several(payload):
    return st.lists(signed(payload), max_size=2).map(tuple)


MESSAGE = st.one_of(
    st.builds(Message, signed(PREPARE)),
    st.builds(Message, signed(COMMIT)),
    st.builds(
        Message,
        signed(ROUND_CHANGE),
        block=st.none() | BLOCK,
        prepares=several(PREPARE),
        has_access_list=st.booleans(),
    ),
    st.builds(Message, signed(PROPOSAL), round_changes=several(ROUND_CHANGE), prepares=several(PREPARE)),
)


@given(st.integers(0, 2**64 - 1))
def test_numbers_survive(value):
    assert as_number(encode_number(value), "it") == value


@given(st.recursive(st.binary(max_size=70), lambda inner: st.lists(inner, max_size=6), max_leaves=20))
def test_items_are_encoded_as_the_library_encodes_them_and_survive(item):
    assert encode(item) == rlp.encode(item)
    assert decode_strictly(encode(item), "it") == item


@given(EXTRA)
def test_extra_data_survives(extra):
    assert ExtraData.decode(extra.encode()) == extra


@given(HEADER, EXTRA)
def test_a_header_survives_and_its_hash_never_depends_on_round_and_seals(header, other):
    assert Header.from_items(decode_strictly(header.encoded, "header")) == header
    sealed = header.in_round(other.round).sealed(other.seals)
    assert (sealed.hash == header.hash) == (header.block_number > 0 or sealed == header)
    assert (sealed.seal_hash == header.seal_hash) == (other.round == header.extra.round)


@given(BLOCK)
def test_a_block_survives(block):
    read = Block.decode(block.encoded)
    assert (read, read.encoded, read.header.hash) == (block, block.encoded, block.header.hash)


@given(MESSAGE)
def test_a_message_survives(message):
    read = read_message(message.code, message.encoded)
    assert (read, read.encoded, read.has_access_list) == (message, message.encoded, message.has_access_list)
    assert (read.height, read.round, read.author) == (message.height, message.round, message.author)
    assert read.signed.payload.signing_hash == message.signed.payload.signing_hash


def read_or_refuse(code, encoded):
    """Read bytes: whatever is read is written again as it was. Any other failure than ValueError fails the test."""
    try:
        message = read_message(code, encoded)
    except ValueError:
        return None
    assert (message.code, message.encoded) == (code, encoded)
    assert message.author is None or len(message.author) == 20
    if message.code == Code.PROPOSAL:
        assert message.signed.payload.block.header.hash
    return message


@given(st.sampled_from(Code), st.binary(max_size=300))
def test_bytes_at_random_are_refused(code, encoded):
    read_or_refuse(code, encoded)


@given(st.sampled_from(Code), st.recursive(st.binary(max_size=66), lambda inner: st.lists(inner, max_size=5)))
def test_items_at_random_are_refused(code, item):
    read_or_refuse(code, encode(item))


@settings(max_examples=150)
@given(MESSAGE, st.data())
def test_bytes_that_were_changed_are_another_message_or_none(message, data):
    encoded = message.encoded
    place = data.draw(st.integers(0, len(encoded) - 1))
    value = data.draw(st.integers(0, 255))
    for changed in (
        encoded[:place] + bytes([value]) + encoded[place + 1 :],
        encoded[:place] + bytes([value]) + encoded[place:],
        encoded[:place] + encoded[place + 1 :],
    ):
        read_or_refuse(message.code, changed)


@given(MESSAGE, st.data())
def test_what_is_cut_off_or_goes_on_is_refused(message, data):
    encoded = message.encoded
    cut = data.draw(st.integers(0, len(encoded) - 1))
    assert read_or_refuse(message.code, encoded[:cut]) is None
    assert read_or_refuse(message.code, encoded + data.draw(st.binary(min_size=1, max_size=3))) is None


@given(MESSAGE, st.sampled_from(Code))
def test_one_kind_is_never_read_as_another(message, code):
    read = read_or_refuse(code, message.encoded)
    assert (read is not None) == (code == message.code)


def paths(item, path=()):
    """List the places of an item and of everything in it."""
    inner = [] if isinstance(item, bytes) else [each for n, part in enumerate(item) for each in paths(part, (*path, n))]
    return [path, *inner]


def encode_oddly(item, path):
    """Return an encoding whose item at ``path`` has its length written with one byte too many."""
    if path:
        return join(encode_oddly(part, path[1:]) if n == path[0] else encode(part) for n, part in enumerate(item))
    is_list = isinstance(item, list)
    body = b"".join(map(encode, item)) if is_list else item
    size = encode_number(len(body))
    if len(body) > 55:
        size = b"\x00" + size
    return bytes([(0xF7 if is_list else 0xB7) + max(1, len(size))]) + (size or b"\x00") + body


@given(MESSAGE, st.data())
def test_a_length_that_is_written_longer_than_needed_is_refused_wherever_it_stands(message, data):
    item = decode_strictly(message.encoded, "message")
    path = data.draw(st.sampled_from(paths(item)))
    assert read_or_refuse(message.code, encode_oddly(item, path)) is None


@given(MESSAGE)
def test_a_number_with_a_leading_zero_is_refused(message):
    item = decode_strictly(message.encoded, "message")
    payload = item[0] if message.code in {Code.PREPARE, Code.COMMIT} else item[0][0]
    for place in (0, 1):
        before = payload[place]
        payload[place] = b"\x00" + before
        assert read_or_refuse(message.code, encode(item)) is None
        payload[place] = before
    assert read_or_refuse(message.code, encode(item)) == message


@given(EXTRA, st.data())
def test_extra_data_in_another_form_is_refused(extra, data):
    item = decode_strictly(extra.encode(), "extraData")
    path = data.draw(st.sampled_from(paths(item)))
    with pytest.raises(ValueError, match="extraData"):
        ExtraData.decode(encode_oddly(item, path))


@pytest.mark.parametrize("depth", [9, 500, 5_000])
def test_lists_in_lists_in_lists_are_refused(depth):
    # py-evm raises Python's limit on recursion to 100,000: what is not refused would end the process
    bomb = b"\xc0"
    for _ in range(depth):
        bomb = join([bomb])
    header = Header(bytes(32), Address(bytes(20)), bytes(32), 1, 1, 1, ExtraData(()).encode())
    block = join([header.encoded, join([bomb]), b"\xc0", b"\xc0"])
    payload = join([b"\x01", b"\x80", block, b"\x80"])
    message = join([join([payload, encode(bytes(65))]), join([b"\xc0", b"\xc0"])])
    for code, encoded in ((Code.PROPOSAL, message), *((code, bomb) for code in Code)):
        assert read_or_refuse(code, encoded) is None
    with pytest.raises(ValueError, match="extraData"):
        ExtraData.decode(bomb)
