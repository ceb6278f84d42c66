import hashlib

import pytest

from chainsec.network import trace as module
from chainsec.network.rlpitems import decode_strictly
from chainsec.network.trace import Event, Trace


def test_events_stand_in_the_order_in_which_they_came():
    trace = Trace()
    events = [Event(time_us, 0, "round", 1, 0, "") for time_us in (5, 3, 9)]
    for event in events:
        trace.add(event)
    assert trace.events == events


def test_every_field_of_an_event_and_of_a_packet_shows_in_the_digest():
    event, packet = (5, 1, "round", 2, 3, "why"), (0, 1, 77, 200)
    digests = set()
    for changed in [None, *range(6)]:
        trace = Trace()
        trace.add(Event(*[(value * 2 if place == changed else value) for place, value in enumerate(event)]))
        digests.add(trace.digest)
    for changed in range(4):
        trace = Trace()
        trace.add(Event(*event))
        trace.add_packet(*[(value + 1 if place == changed else value) for place, value in enumerate(packet)])
        digests.add(trace.digest)
    assert len(digests) == 11


def test_the_order_of_events_shows_in_the_digest():
    one, other = Event(5, 0, "round", 1, 0, ""), Event(5, 1, "round", 1, 0, "")
    digests = set()
    for order in ((one, other), (other, one)):
        trace = Trace()
        for event in order:
            trace.add(event)
        digests.add(trace.digest)
    assert len(digests) == 2


def test_the_digest_of_nothing_is_that_of_no_events_and_no_packets():
    nothing = hashlib.sha256().digest()
    assert Trace().digest == hashlib.sha256(nothing + nothing).hexdigest()


def test_asking_for_the_digest_does_not_change_what_comes_of_it_later():
    asked, unasked = Trace(), Trace()
    for number in range(5):
        for trace in (asked, unasked):
            trace.add(Event(number, 0, "round", 1, 0, ""))
            trace.add_packet(0, 1, number, 200)
        assert asked.digest == asked.digest
    assert asked.digest == unasked.digest


def test_events_beyond_what_is_kept_are_counted_and_still_in_the_digest(monkeypatch):
    monkeypatch.setattr(module, "_MOST_EVENTS", 2)
    trace, digests = Trace(), []
    for time_us in range(4):
        trace.add(Event(time_us, 0, "round", 1, 0, ""))
        digests.append(trace.digest)
    assert [event.time_us for event in trace.events] == [0, 1]
    assert trace.dropped == 2
    assert len(set(digests)) == 4


def test_every_event_is_counted_by_node_whether_it_is_kept_or_not(monkeypatch):
    monkeypatch.setattr(module, "_MOST_EVENTS", 2)
    trace = Trace()
    for node, event in [(0, "timeout"), (1, "timeout"), (0, "timeout"), (0, "rejected"), (1, "timeout")]:
        trace.add(Event(1, node, event, 1, 0, ""))
    assert len(trace.events) == 2
    assert trace.counts == {(0, "timeout"): 2, (1, "timeout"): 2, (0, "rejected"): 1}
    assert trace.counts[2, "timeout"] == 0
    assert trace.dropped == 3


@pytest.mark.parametrize("encoded", ["", "8101", "b803646f67", "83646f", "c2c0", "ff" * 9])
def test_a_refusal_that_goes_into_the_trace_is_in_our_words_alone(encoded):
    with pytest.raises(ValueError, match=r"^proposal: is no RLP$"):
        decode_strictly(bytes.fromhex(encoded), "proposal")
