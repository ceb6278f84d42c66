"""When bytes arrive: in order, never too early, one after the other; and matrices that are no matrices."""

from random import Random
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainsec.errors import BadInput
from chainsec.network.links import Connection, Link, Matrix, load_matrix

LINKS = st.builds(
    Link,
    st.sampled_from([0, 0.25, 35.5, 160]),
    st.sampled_from([0, 0.5, 10]),
    st.sampled_from([1, 100, 1_000]),
    st.sampled_from([0, 0.001, 0.2, 0.9]),
)
SENT = st.lists(st.tuples(st.integers(0, 50_000), st.integers(0, 200_000)), min_size=1, max_size=40)
HEADER = "from,to,latency_ms,jitter_ms,bandwidth_mbps,loss_rate\n"


def arrivals(link, sent, seed=1):
    """Send each message so much later than the one before; return when it was sent and when it arrives."""
    wire, now, found = Connection(link, Random(seed)), 0, []
    for later_us, size in sent:
        now += later_us
        found.append((now, wire.arrival_us(now, size)))
    return found


@given(LINKS, SENT, st.integers(0, 9))
def test_what_was_sent_first_arrives_first(link, sent, seed):
    times = [arrival for _, arrival in arrivals(link, sent, seed)]
    assert times == sorted(times)


@given(LINKS, SENT, st.integers(0, 9))
def test_nothing_arrives_before_it_can(link, sent, seed):
    for (sent_us, arrival_us), (_, size) in zip(arrivals(link, sent, seed), sent, strict=True):
        assert arrival_us >= sent_us + round(link.latency_ms * 1_000) + int(size * 8 / link.bandwidth_mbps)


@given(LINKS, SENT, st.integers(0, 9))
def test_the_same_seed_gives_the_same_arrivals(link, sent, seed):
    assert arrivals(link, sent, seed) == arrivals(link, sent, seed)


@given(st.sampled_from([8, 80, 800]), st.lists(st.integers(1, 100_000), min_size=1, max_size=20))
def test_messages_that_are_sent_at_once_share_the_bandwidth(mbps, sizes):
    times = [arrival for _, arrival in arrivals(Link(10, bandwidth_mbps=mbps), [(0, size) for size in sizes])]
    on_the_wire_us = 0
    for size, arrival in zip(sizes, times, strict=True):
        on_the_wire_us += size * 8 // mbps
        assert arrival == 10_000 + on_the_wire_us


def test_a_wire_that_is_free_again_starts_at_once():
    link = Link(5, bandwidth_mbps=8)
    assert [arrival for _, arrival in arrivals(link, [(0, 1_000), (50_000, 1_000)])] == [6_000, 56_000]


@given(SENT, st.integers(0, 9))
def test_loss_delays_and_never_loses(sent, seed):
    lossless = arrivals(Link(35), sent, seed)
    lossy = arrivals(Link(35, loss_rate=0.3), sent, seed)
    assert len(lossy) == len(lossless)
    for (_, without), (_, with_loss) in zip(lossless, lossy, strict=True):
        assert with_loss >= without
        assert with_loss - without <= sum(min(200_000 * 2**tries, 120_000_000) for tries in range(15))


def test_a_lost_packet_comes_a_timeout_later_and_what_follows_waits_for_it():
    times = [arrival for _, arrival in arrivals(Link(10, loss_rate=0.2), [(1_000, 100)] * 60, seed=3)]
    late_us = [time - 1_000 * number - 10_000 for number, time in enumerate(times, 1)]
    first = next(index for index, late in enumerate(late_us) if late)
    assert late_us[:first] == [0] * first
    assert late_us[first] in {200_000, 600_000, 1_400_000}  # lost once, twice, three times
    assert times[first + 1] >= times[first]
    assert len(times) == 60


def test_packets_are_lost_at_the_rate_of_the_link():
    spaced = [(10_000_000, 1_448)] * 4_000
    late = sum(arrival - sent > 50_000 for sent, arrival in arrivals(Link(10, loss_rate=0.05), spaced))
    assert 0.04 < late / 4_000 < 0.06


def test_many_packets_lose_more_often_than_one():
    def late(size):
        spaced = [(10_000_000, size)] * 2_000
        return sum(arrival - sent > 50_000 for sent, arrival in arrivals(Link(10, loss_rate=0.01), spaced))

    assert late(14_480) > 5 * late(1_448)


def test_jitter_adds_its_mean_and_four_times_as_much_at_most():
    added = [arrival - sent - 10_000 for sent, arrival in arrivals(Link(10, jitter_ms=2), [(1_000_000, 0)] * 4_000)]
    assert 0 <= min(added) <= max(added) <= 8_000
    assert 1_900 < sum(added) / len(added) < 2_100


def test_half_of_all_messages_take_three_quarters_of_the_jitter_longer_than_the_latency():
    added = [arrival - sent - 10_000 for sent, arrival in arrivals(Link(10, jitter_ms=2), [(1_000_000, 0)] * 4_000)]
    assert median(added) == pytest.approx(0.747 * 2_000, rel=0.05)


class Unlucky(Random):
    """Loses every packet that can be lost."""

    def random(self):
        return 0.0


@pytest.mark.parametrize(
    ("latency_ms", "expected_s"),
    [
        (10, sum(0.2 * 2**tries for tries in range(10)) + 5 * 120),
        (2_000, 8 + 16 + 32 + 64 + 11 * 120),
        (60_000, 15 * 120),
    ],
)
def test_the_time_until_a_packet_is_sent_again_doubles_up_to_two_minutes(latency_ms, expected_s):
    wire = Connection(Link(latency_ms, loss_rate=0.5), Unlucky())
    assert wire.arrival_us(0, 0 + 1) == latency_ms * 1_000 + round(expected_s * 1_000_000)


def test_nothing_waits_behind_what_an_earlier_connection_had_to_carry():
    wire = Connection(Link(10, bandwidth_mbps=0.008), Random(1))  # a byte in a millisecond
    assert wire.arrival_us(0, 60_000, 1) == 60_010_000
    assert wire.arrival_us(5_000, 10, 1) == 60_020_000
    assert wire.arrival_us(5_000, 10, 2) == 25_000
    assert wire.arrival_us(5_000, 10, 2) == 35_000


def test_what_is_on_the_wire_goes_on_at_the_rate_that_the_link_has_by_then():
    wire = Connection(Link(10, bandwidth_mbps=0.008), Random(1))
    wire.later = [(2_000_000, Link(10, bandwidth_mbps=0.004)), (4_000_000, Link(10, bandwidth_mbps=8))]
    assert wire.arrival_us(0, 1_000) == 1_010_000
    assert wire.arrival_us(0, 5_000) == 4_003_000 + 10_000, "1,000 bytes in a second, 1,000 in two, the rest at once"
    assert wire.arrival_us(5_000_000, 1_000) == 5_011_000


def test_what_is_sent_again_is_lost_at_the_rate_that_the_link_has_by_then():
    wire = Connection(Link(10, loss_rate=0.9), Unlucky())
    wire.later = [(1_000_000, Link(10))]
    sent_again_us = 200_000 + 400_000 + 800_000  # the first try after a second
    assert wire.arrival_us(0, 0) == 10_000, "nothing to lose"
    assert wire.arrival_us(0, 100) == sent_again_us + 10_000
    wire.later = [(1_000_000, Link(10)), (1_300_000, Link(10, loss_rate=0.5)), (1_500_000, Link(10))]
    assert wire.arrival_us(0, 100) == sent_again_us + 1_600_000 + 10_000


def test_a_link_that_is_exchanged_never_turns_the_order_round():
    wire = Connection(Link(100), Random(1))
    slow = wire.arrival_us(0, 100)
    wire.link = Link(1)
    assert wire.latency_us == 1_000
    assert wire.arrival_us(1, 100) == slow
    assert wire.arrival_us(200_000, 100) == 201_000


@pytest.mark.parametrize(
    ("figures", "match"),
    [
        ((-1, 0, 1, 0), "latency_ms is -1, not from 0 to 60000"),
        ((60_001, 0, 1, 0), "latency_ms is 60001"),
        ((float("nan"), 0, 1, 0), "latency_ms is nan"),
        ((1, -0.5, 1, 0), "jitter_ms is -0.5"),
        ((1, 0, 0, 0), "bandwidth_mbps is 0, not from 0.001 to 1000000"),
        ((1, 0, 1e-310, 0), "bandwidth_mbps is 1e-310"),
        ((1, 0, float("inf"), 0), "bandwidth_mbps is inf"),
        ((1, 60_001, 1, 0), "jitter_ms is 60001, not from 0 to 60000"),
        ((1, 0, 1, 1), "loss_rate is 1, not from 0 to under 1"),
        ((1, 0, 1, -0.1), "loss_rate is -0.1"),
    ],
)
def test_a_figure_out_of_range_is_named(figures, match):
    with pytest.raises(ValueError, match=match):
        Link(*figures)


@pytest.mark.parametrize("name", ["wan", "lan"])
def test_matrices_that_ship_link_all_their_regions(name):
    matrix = load_matrix(name)
    matrix.require(matrix.regions, name)
    assert len(matrix.links) == len(matrix.regions) ** 2
    for region in matrix.regions:
        assert matrix.link(region, region).latency_ms < 1


def test_a_user_s_matrix_is_read_from_its_folder(tmp_path):
    (tmp_path / "mine.csv").write_text(
        "# measured in May\n" + HEADER + "\na,a,1,0,10,0\n# and in June\na,b,2,0.5,10,0.1\n"
    )
    matrix = load_matrix("mine.csv", tmp_path)
    assert matrix.regions == ("a",)
    assert matrix.link("a", "b") == Link(2, 0.5, 10, 0.1)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "has the columns of nothing; needs from, to"),
        ("from,to,latency\n", "has the columns from, to, latency; needs from, to, latency_ms"),
        (HEADER, "holds no links"),
        (HEADER + "a,a,1,0,10\n", "row 2: 5 columns, not 6"),
        (HEADER + "a,a,1,0,10,0\na,b,-5,0,10,0\n", "row 3: latency_ms is -5.0, not from 0 to 60000"),
        (HEADER + "# a remark\n\na,b,1,0,10,2\n", "row 4: loss_rate is 2.0, not from 0 to under 1"),
        (HEADER + "a,a,fast,0,10,0\n", "row 2: latency_ms: 'fast' is no number"),
        (HEADER + "a,a,1,0,10,0\na,a,2,0,10,0\n", "row 3: a second link from 'a' to 'a'"),
        (HEADER + "a,a,1,0,10,0\n" + "b" * 131_073 + ",a,2,0,10,0\n", "row 3: field larger than field limit"),
        (HEADER + "a,a,1,0,1e-310,0\n", "row 2: bandwidth_mbps is 1e-310, not from 0.001"),
    ],
)
def test_a_matrix_that_is_none_is_one_line_with_row_and_figure(tmp_path, text, match):
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(BadInput, match=match) as caught:
        load_matrix("bad.csv", tmp_path)
    assert str(caught.value).startswith(str(tmp_path / "bad.csv"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\xff"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "odd.csv").write_bytes(content)
    with pytest.raises(BadInput, match=r"odd\.csv: is no matrix of regions that can be read"):
        load_matrix("odd.csv", tmp_path)


def test_a_region_or_pair_that_is_missing_is_named():
    matrix = Matrix({("a", "a"): Link(1), ("a", "b"): Link(1), ("b", "b"): Link(1)})
    matrix.require(["a"], "mine")
    with pytest.raises(BadInput, match="mine: no region 'c'; known: a, b"):
        matrix.require(["a", "c"], "mine")
    with pytest.raises(BadInput, match="mine: no link from 'b' to 'a'"):
        matrix.require(["a", "b"], "mine")
