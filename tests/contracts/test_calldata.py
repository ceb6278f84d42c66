"""Call data that no encoder made: the Sentinel hands decisions on as bytes, and no bytes do more than honest ones."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainsec.errors import ContractReverted

DAY_S = 86_400


def batch(system, *items):
    return system.contracts["Sentinel"].encode("decideMany", [system.decision(item) for item in items])


def word(value):
    return (value % 2**256).to_bytes(32, "big")


def test_trailing_bytes_change_nothing(system):
    one, two = system.pending(), system.pending()
    system.send_raw(system.keys.agent, "Sentinel", batch(system, one) + b"\xff" * 77)
    single = system.contracts["Sentinel"].encode("decide", system.decision(two))
    system.send_raw(system.keys.agent, "Sentinel", single + b"\xff" * 77)
    assert system.has_access(one)
    assert system.has_access(two)
    assert system.call("Sentinel", "budgetLeft")[0] == 498


@pytest.mark.parametrize("place", [0, 1, 4, 5, 7], ids=["requester", "organisation", "scope", "until", "verdict"])
def test_dirty_upper_bits_decide_nothing(system, place):
    item = system.pending()
    for data in (batch(system, item), system.contracts["Sentinel"].encode("decide", system.decision(item))):
        start = 4 + 64 * (len(data) > 4 + 9 * 32) + 32 * place
        dirty = data[:start] + b"\x01" + data[start + 1 :]
        with pytest.raises(ContractReverted, match=r"AccessGrantsUnknownRequest|Revert|FailedCall"):
            system.send_raw(system.keys.agent, "Sentinel", dirty)
        assert system.status(item) == "PENDING"
        assert not system.has_access(item)


OFFSET, LENGTH, REQUESTER = 0, 1, 2
# what the first word of the call data, or the second, is made to say; whether it then passes for an empty batch
LIES = {
    "array where the offset is, of no items": (OFFSET, 0, True),
    "array where the requester is": (OFFSET, 32 * REQUESTER, False),
    "array beyond all memory": (OFFSET, 2**256 - 1, False),
    "array at the very end": (OFFSET, 32 * 11, False),
    "no items": (LENGTH, 0, True),
    "one item too many": (LENGTH, 2, False),
    "more items than can be": (LENGTH, 2**255, False),
}


@pytest.mark.parametrize(("place", "value", "passes"), LIES.values(), ids=LIES)
def test_offsets_and_lengths_that_lie_decide_nothing(system, place, value, passes):
    item, other = system.pending(), system.pending()
    data = batch(system, item)
    lie = data[: 4 + 32 * place] + word(value) + data[36 + 32 * place :]
    left = system.call("Sentinel", "budgetLeft")
    if passes:
        assert system.send_raw(system.keys.agent, "Sentinel", lie).logs == ()
    else:
        with pytest.raises(ContractReverted):
            system.send_raw(system.keys.agent, "Sentinel", lie)
    assert [system.status(entry) for entry in (item, other)] == ["PENDING"] * 2
    assert system.call("Sentinel", "budgetLeft") == left


def test_array_that_the_offset_puts_elsewhere_decides_what_lies_at_its_usual_place(system):
    """Its length is read where the offset points, its items where an encoder puts them: one item, and no other."""
    item, other = system.pending(), system.pending()
    honest = batch(system, item)
    tail = batch(system, other)[36:]
    system.send_raw(system.keys.agent, "Sentinel", honest[:4] + word(len(honest) - 4) + honest[36:] + tail)
    assert [system.status(entry) for entry in (item, other)] == ["GRANTED", "PENDING"]
    assert system.call("Sentinel", "budgetLeft")[0] == 499


@pytest.fixture(scope="module")
def one_grant_left(build):
    """A budget of one grant; two requests that could have it, and one above the ceiling."""
    system = build(grants_per_window=1)
    system.move_to((system.now_s // DAY_S + 1) * DAY_S)
    yield system, [system.pending(), system.pending(), system.pending(sensitivity=3)]
    system.engine.close()


@settings(max_examples=60)
@given(data=st.data())
def test_no_bytes_at_all_grant_beyond_budget_and_ceiling(one_grant_left, data):
    system, items = one_grant_left
    call = bytearray(batch(system, *items))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, (len(call) - 4) // 32 - 1))
        other = data.draw(st.integers(0, (len(call) - 4) // 32 - 1))
        values = [word(n) for n in (0, 1, 2, 3, 32, 64, 96, 288, 2**160, 2**255)] + [call[4 + 32 * other :][:32]]
        call[4 + 32 * place : 36 + 32 * place] = data.draw(st.sampled_from(values))
    with system.rewound():
        with suppress(ContractReverted):
            system.send_raw(system.keys.agent, "Sentinel", bytes(call))
        granted = [item for item in items if system.status(item) == "GRANTED"]
        assert len(granted) <= 1
        assert items[2] not in granted
        assert [item for item in items if system.has_access(item)] == granted
        assert system.call("Sentinel", "budgetLeft")[0] == 1 - len(granted)
