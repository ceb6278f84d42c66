"""Sliding sums are what walking the window gives, to the last bit, and cost no walk."""

import math
import time

from hypothesis import given
from hypothesis import strategies as st

from chainsec.defence.observation import Use
from chainsec.defence.window import Step, StepWindow, UseWindow

GAPS = st.lists(st.integers(0, 40), min_size=1, max_size=60)


@given(GAPS, st.randoms(use_true_random=False), st.integers(0, 120))
def test_sums_of_steps_are_those_of_a_walk_and_asking_changes_nothing(gaps, chance, later_s):
    window, steps, now_s = StepWindow(60), [], 0
    for gap in gaps:
        now_s += gap
        step = Step(now_s, chance.choice("abc"), chance.random() < 0.5, chance.random() < 0.5, chance.randrange(9))
        steps.append(step)
        window.add(step)
        at_s = now_s + later_s
        walked = [past for past in steps if past.time_s > at_s - 60]
        expected = (
            len({past.subject for past in walked} | {"a"}),
            sum(past.is_new for past in walked),
            sum(past.is_stranger for past in walked),
            sum(past.oddity for past in walked),
        )
        assert window.sums(at_s, "a") == window.sums(at_s, "a") == expected


@given(GAPS, st.randoms(use_true_random=False))
def test_sums_of_uses_are_those_of_a_walk_to_the_last_bit(gaps, chance):
    window, uses, now_s = UseWindow(), [], 0
    for gap in gaps:
        now_s += gap
        action = chance.choice(("read", "export"))
        use = Use(now_s, "ann", chance.choice("abc"), action, 1, "q", allowed=chance.random() < 0.8)
        units, overstepped = math.exp(chance.uniform(-30.0, 30.0)), chance.random() < 0.3
        uses.append((use, units, overstepped))
        window.add(use, units, overstepped=overstepped, length_s=60)
        walked = [past for past in uses if past[0].time_s > now_s - 60]
        assert window.amount == math.fsum(units for _, units, _ in walked)
        assert window.oversteps == sum(overstepped for _, _, overstepped in walked)
        assert window.exported == len({use.asset for use, _, _ in walked if use.allowed and use.action == "export"})


def test_ten_times_the_uses_of_one_requester_take_about_ten_times_as_long_not_a_hundred():
    def seconds(n_uses):
        window, started = UseWindow(), time.process_time()
        for number in range(n_uses):
            window.add(Use(number, "ann", "a", "read", 1, "q"), 1.5, overstepped=False, length_s=10**9)
            assert window.amount == 1.5 * (number + 1)
        return time.process_time() - started

    sizes = (2_000, 20_000)
    few, many = (min(seconds(size) for _ in range(3)) for size in sizes)
    assert many < 40 * few
