"""Sealed headers as evidence: written and read in one form only, and held against the chain that was executed."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainsec.errors import AuditFailed
from chainsec.ledger.account import Account
from chainsec.ledger.evm import Genesis
from chainsec.network.committee import select_proposer
from chainsec.network.engine import NetworkEngine
from chainsec.network.evidence import check_headers, read_headers, write_headers
from chainsec.network.extradata import ExtraData, Vote
from chainsec.network.header import Header
from chainsec.network.links import load_matrix
from chainsec.network.messages import sign_seal
from chainsec.network.plan import NetworkPlan
from chainsec.network.rlpitems import encode
from chainsec.network.surroundings import QbftSettings
from chainsec.primitives import Address

CHAIN_ID = 1337
PERIOD_S = 1
EPOCH_BLOCKS = 30_000
SENDER = Account.derive(b"tests/evidence", "sender")
MATRIX = load_matrix("lan")
PLAN = NetworkPlan(
    seed=6,
    genesis=Genesis(chain_id=CHAIN_ID, timestamp=1_800_000_000),
    matrix=MATRIX,
    regions=tuple(MATRIX.regions[place % len(MATRIX.regions)] for place in range(5)),
    validators=4,
    qbft=QbftSettings(block_period_s=PERIOD_S, request_timeout_s=2),
)
KEYS = {account.address: account for account in map(PLAN.account, range(5))}
FIRST = [PLAN.account(number).address for number in range(4)]
LAID = 2


def pay(nonce):
    return SENDER.sign(nonce=nonce, to=SENDER.address, gas=21_000, chain_id=CHAIN_ID).raw


@pytest.fixture(scope="module")
def engine():
    """Give a chain of two blocks that were laid, and of a dozen agreed on, in which a fifth validator was voted in."""
    found = NetworkEngine(PLAN)
    for nonce in range(LAID):
        found.send(pay(nonce))
        found.mine(PLAN.genesis.timestamp + nonce + 1)
    found.go_live()
    for node in found.network.nodes[:4]:
        node.chain.wishes = [Vote(PLAN.account(4).address, is_add=True)]
    for nonce in range(LAID, LAID + 4):
        found.send(pay(nonce))
        found.mine()
    while found.height < LAID + 12:
        found.mine()
    assert len(found.headers[-1].extra.validators) == 5
    yield found
    found.close()


def check(headers, engine, **changes):
    settings = {
        "validators": FIRST,
        "first_block": LAID,
        "block_period_s": PERIOD_S,
        "epoch_blocks": EPOCH_BLOCKS,
    }
    return check_headers(headers, engine, **{**settings, **changes})


def sealed(header, authors=None):
    """Return a header that its own validators have sealed."""
    authors = header.extra.validators if authors is None else authors
    return header.sealed([sign_seal(KEYS[author], header.seal_hash) for author in authors])


def altered(headers, place, **changes):
    """Return headers of which one was changed and sealed again by all who could."""
    return [*headers[:place], sealed(replace(headers[place], **changes)), *headers[place + 1 :]]


# What holds


def test_headers_that_hold_are_counted_by_their_seals(engine):
    headers = engine.headers
    assert check(headers, engine) == sum(len(header.extra.seals) for header in headers) >= 3 * 12
    assert check(read_headers(write_headers(headers)), engine) == check(headers, engine)
    assert check(headers, engine, validators=FIRST[::-1]) == check(headers, engine)


def test_any_quorum_of_seals_will_do(engine):
    headers = list(engine.headers)
    five = sealed(headers[-1])
    assert check([*headers[:-1], five], engine) == check(headers, engine) + 5 - len(headers[-1].extra.seals)
    four = sealed(headers[-1], headers[-1].extra.validators[:4])
    assert check([*headers[:-1], four], engine) == check(headers, engine) + 4 - len(headers[-1].extra.seals)


# What does not


@pytest.mark.parametrize("round_", [0, 1, 2])
def test_who_had_no_turn_up_to_the_round_has_proposed_nothing_even_if_all_sealed_it(engine, round_):
    """No block hash covers the round: headers that were agreed on in later rounds could pass as untroubled ones."""
    headers = engine.headers
    parent, header = headers[3], headers[4]
    turns = [select_proposer(header.extra.validators, parent.coinbase, number) for number in range(4)]
    assert header.coinbase == turns[0]
    for number, proposer in enumerate(turns):
        extra = replace(header.extra, round=round_)
        forged = sealed(replace(header, coinbase=proposer, extra_data=extra.encode()))
        try:
            said = str(check([*headers[:4], forged, *headers[5:]], engine))
        except AuditFailed as error:  # also of the next header, whose parent had another hash
            said = str(error)
        assert (f"{proposer} had no turn in rounds 0 to {round_}" in said) == (number > round_)


def refused(headers, engine, **changes):
    with pytest.raises(AuditFailed) as caught:
        check(headers, engine, **changes)
    return caught.value


def test_headers_end_where_the_chain_ends(engine):
    assert "do not end where the chain ends" in str(refused([], engine))
    assert "do not end where the chain ends" in str(refused(engine.headers[:-1], engine))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("state_root", bytes(32)),
        ("transaction_root", bytes(32)),
        ("receipt_root", bytes(32)),
        ("bloom", 1),
        ("gas_used", 7),
        ("gas_limit", lambda header: header.gas_limit + 1),
        ("timestamp", lambda header: header.timestamp + 1),
    ],
)
@pytest.mark.parametrize("place", [1, 7, -1])
def test_a_field_that_execution_does_not_give_is_named_even_if_a_quorum_sealed_it(engine, field, value, place):
    place %= len(engine.headers)
    header = engine.headers[place]
    wrong = altered(engine.headers, place, **{field: value(header) if callable(value) else value})
    error = refused(wrong, engine)
    assert str(error) == (
        f"block {header.block_number}: header: the validators agreed on another {field} than the chain gives"
    )
    assert error.block == header.block_number


def test_a_header_without_a_quorum_is_named(engine):
    place = 5
    header = engine.headers[place]
    few = sealed(header, header.extra.validators[:2])
    stranger = Account.derive(b"tests/evidence", "stranger")
    forged = header.sealed([*header.extra.seals[:2], sign_seal(stranger, header.seal_hash)])
    for wrong, reason in ((few, "2 seals are no quorum"), (forged, "somebody who is no validator has sealed it")):
        error = refused([*engine.headers[:place], wrong, *engine.headers[place + 1 :]], engine)
        assert reason in str(error)
        assert error.block == header.block_number


def test_a_header_that_is_missing_and_one_on_another_parent_are_named(engine):
    headers = engine.headers
    error = refused([*headers[:4], *headers[5:]], engine)
    assert (error.block, "does not follow" in str(error)) == (headers[5].block_number, True)
    error = refused(altered(headers, 4, parent_hash=bytes(32)), engine)
    assert (error.block, "names another parent" in str(error)) == (headers[4].block_number, True)
    error = refused([*headers[:4], headers[4], *headers[4:]], engine)
    assert error.block == headers[4].block_number


def test_blocks_closer_than_the_period_are_named(engine):
    assert "is not 2 s after its parent's" in str(refused(engine.headers, engine, block_period_s=2))


def test_who_agrees_follows_from_the_votes_in_the_headers_and_from_nothing_that_they_list(engine):
    """The first of five to list a fifth validator comes after the third vote, and not before."""
    headers = engine.headers
    place = next(place for place, header in enumerate(headers) if len(header.extra.validators) == 5)
    assert sum(header.extra.vote is not None for header in headers[:place]) == 3
    listed = headers[place].extra.validators
    early = headers[place - 1].with_extra(replace(headers[place - 1].extra, validators=listed))
    error = refused([*headers[: place - 1], sealed(early), *headers[place:]], engine)
    assert "its validators are not those of its height" in str(error)
    assert error.block == headers[place - 1].block_number
    four = headers[place].with_extra(replace(headers[place].extra, validators=headers[0].extra.validators))
    error = refused([*headers[:place], sealed(four), *headers[place + 1 :]], engine)
    assert error.block == headers[place].block_number


def test_votes_that_an_epoch_makes_void_bring_nobody_in(engine):
    headers = engine.headers
    votes = [header.block_number for header in headers[1:] if header.extra.vote is not None]
    joins = next(header.block_number for header in headers if len(header.extra.validators) == 5)
    error = refused(headers, engine, epoch_blocks=votes[-1])
    assert error.block == joins
    assert "its validators are not those of its height" in str(error)


@pytest.mark.parametrize(
    "changes",
    [
        {"first_block": LAID - 1},
        {"first_block": LAID + 1},
        {"validators": FIRST[:3]},
        {"validators": [*FIRST[:3], PLAN.account(4).address]},
    ],
)
def test_headers_begin_on_the_block_and_with_the_validators_that_the_run_names(engine, changes):
    error = refused(engine.headers, engine, **changes)
    assert "is not what the validators began on" in str(error)
    assert error.block == LAID


def test_the_block_that_they_began_on_is_given_by_the_chain_alone(engine):
    first = engine.headers[0]
    for wrong in (replace(first, state_root=bytes(32)), sealed(first), replace(first, timestamp=first.timestamp + 1)):
        error = refused([wrong, *engine.headers[1:]], engine)
        assert "is not what the validators began on" in str(error)


# Writing and reading


def up_to(count_bytes):
    return st.one_of(st.integers(0, 300), st.integers(0, 2 ** (8 * count_bytes) - 1))


ADDRESS = st.binary(min_size=20, max_size=20).map(Address)
HASH = st.binary(min_size=32, max_size=32)
EXTRA = st.builds(
    ExtraData,
    st.lists(ADDRESS, max_size=3).map(tuple),
    st.none() | st.builds(Vote, ADDRESS, is_add=st.booleans()),
    up_to(4),
    st.lists(st.binary(min_size=65, max_size=65), max_size=3).map(tuple),
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
    parent_beacon_block_root=st.none() | HASH,
)


@given(st.lists(HEADER, max_size=4))
def test_what_is_written_is_read_back_a_line_for_each_header(headers):
    content = write_headers(headers)
    assert read_headers(content) == headers
    assert [header.encoded.hex() for header in headers] == content.decode("ascii").splitlines()
    assert content.endswith(b"\n") or not headers


@given(st.lists(HEADER, min_size=1, max_size=3), st.data())
def test_a_byte_that_was_changed_gives_another_header_or_an_error_that_names_its_line(headers, data):
    content = write_headers(headers)
    place = data.draw(st.integers(0, len(content) - 1).filter(lambda place: content[place] != ord("\n")))
    byte = data.draw(st.one_of(st.sampled_from(b"0189afAF \r\x00\xff"), st.integers(0, 255)))
    wrong = content[:place] + bytes([byte]) + content[place + 1 :]
    line = content[:place].count(b"\n") + 1
    found = error = None
    try:
        found = read_headers(wrong)
    except AuditFailed as refusal:
        error = refusal
    if error is None:
        assert write_headers(found) == wrong
        assert (found == headers) == (wrong == content)
    else:
        assert error.line in ({line} if byte != ord("\n") else {line, line + 1})
        assert f"headers: line {error.line}: " in str(error)


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: b"",
        lambda line: b"0x" + line,
        lambda line: line + b"0",
        lambda line: line + b"00",
        lambda line: line[:-2],
        lambda line: line.upper(),
        lambda line: line + b"\r",
        lambda line: b" " + line,
        lambda line: line[:10] + b" " + line[10:],
        lambda _: b"no header",
        lambda _: "größer".encode("latin-1"),
        lambda _: encode([b"", b""]).hex().encode(),
        lambda _: encode(b"text").hex().encode(),
        lambda line: line.replace(line[4:68], b"ab"),
    ],
)
def test_a_line_that_is_no_header_in_its_one_form_is_named(engine, spoil, place):
    lines = write_headers(engine.headers[1:4]).splitlines()
    lines[place] = spoil(lines[place])
    with pytest.raises(AuditFailed, match=rf"^headers: line {place + 1}: ") as caught:
        read_headers(b"\n".join(lines) + b"\n")
    assert caught.value.line == place + 1


def test_a_last_line_that_was_cut_short_is_named(engine):
    content = write_headers(engine.headers[:3])
    for short in (content[:-1], content[:-40], content + b"f"):
        with pytest.raises(AuditFailed, match="does not end") as caught:
            read_headers(short)
        assert caught.value.line == short.count(b"\n") + 1
    assert read_headers(b"") == []
