"""What is held against requesters."""

import json

from chainsec.defence.observation import Observation
from chainsec.defence.suspicion import Suspicion, learn_suspicion

DAY_S = 86_400


def ask(time_s, requester):
    return Observation(f"0x{time_s}", time_s, requester, "scan", "read", "care")


def test_what_happened_earlier_weighs_less_in_whatever_order_it_comes_to_light():
    forward, backward = Suspicion(), Suspicion()
    for held, times in ((forward, (0, DAY_S)), (backward, (DAY_S, 0))):
        for time_s in times:
            held.add("ann", time_s, 1.0)
    assert forward.level("ann", 3 * DAY_S) == backward.level("ann", 3 * DAY_S) > 0.0
    assert forward.level("ann", 9 * DAY_S) < forward.level("ann", 3 * DAY_S)


def test_good_news_eases_and_never_accuses():
    held = Suspicion()
    held.ease("bob")
    held.add("ann", 0, 1.0)
    held.ease("ann")
    assert 0.0 < held.level("ann", 0) < 1.0
    assert held.level("bob", 0) == 0.0


def test_denials_that_follow_upon_each_other_make_suspicion_worth_something():
    asks = [ask(3_600 * n, "bad" if n % 10 < 3 else f"good-{n % 7}") for n in range(300)]
    labels = [observation.requester == "bad" for observation in asks]
    curve, held = learn_suspicion(asks, labels, 0.3)
    assert curve.at(0.0) == 0.0
    assert curve.at(2.0) > 0.5
    assert held.level("bad", asks[-1].time_s) > 1.0
    assert held.level("good-1", asks[-1].time_s) == 0.0


def test_denials_apart_from_each_other_make_it_worth_nothing():
    asks = [ask(3_600 * n, f"p{n}") for n in range(100)]
    curve, _ = learn_suspicion(asks, [n % 5 == 0 for n in range(100)], 0.2)
    assert curve.at(3.0) < 0.01


def test_levels_survive_json():
    held = Suspicion()
    held.add("ann", 5, 0.5)
    assert Suspicion.from_json(json.loads(json.dumps(held.to_json()))).level("ann", 9_000) == held.level("ann", 9_000)
