"""Forecasts follow from named features, know nothing too early, and start a newcomer at its group's rate."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainsec.digest import canonical_json
from chainsec.errors import BadInput
from chainsec.models.forecast import EVIDENCE, REASONS, ForecastModel, Head
from chainsec.models.forecast_learning import Past, learn_forecast, replay
from chainsec.models.forecaster import DAY_S, Asked, Forecaster

WEEK_S = 7 * DAY_S
WEIGHTS = (-0.2, 0.2, 0.7, 0.8, 0.6, 0.4, 1.4)
HEADS = {DAY_S: Head(-3.5, WEIGHTS, (0.5,) * 7, 2.0), WEEK_S: Head(-1.5, WEIGHTS, (0.5,) * 7, 3.0)}
MODEL = ForecastModel(HEADS, {"nurse": 1.5, "clerk": 0.5})
FEATURES = dict.fromkeys(REASONS, 0.25)


def watch_crowd(days=20, model=MODEL):
    """Ten nurses and ten clerks who ask once a day; nurse 0 does bad on every fourth day, known a day later."""
    watch = Forecaster(model)
    asked = [
        Asked(day * DAY_S + 9 * 3600 + n, f"{role} {n}", role, 0.1, bad, (day + 1) * DAY_S)
        for day in range(days)
        for role in ("nurse", "clerk")
        for n in range(10)
        for bad in [role == "nurse" and n == 0 and day % 4 == 0]
    ]
    list(watch.follow(asked, [days * DAY_S]))
    return watch


def make_past(days=60, n_keys=8):
    """A few keys of which two do bad in spells of a week."""
    asked = [
        Asked(
            time_s=day * DAY_S + 3600 * n,
            key=f"key {n}",
            group="x" if n < 4 else "y",
            risk=0.2,
            is_bad=n < 2 and day // 7 % 2 == n,
            known_s=(day + 2) * DAY_S,
        )
        for day in range(days)
        for n in range(n_keys)
    ]
    keys = {f"key {n}": "x" if n < 4 else "y" for n in range(n_keys)}
    return Past(asked, keys, 0, {day * DAY_S: tuple(keys) for day in range(10, days)}, days * DAY_S)


def test_a_forecast_is_recomputed_from_its_features_and_the_model_alone():
    made = watch_crowd().forecast("nurse 0", 20 * DAY_S, DAY_S)
    read = ForecastModel.from_json(json.loads(canonical_json(MODEL.to_json())))
    assert read == MODEL
    assert read.digest == MODEL.digest
    assert read.forecast(json.loads(json.dumps(made.features)), DAY_S) == made
    assert made.features == {name: round(value, 4) for name, value in made.features.items()}


def test_who_did_bad_is_at_higher_risk_than_a_peer_and_a_peer_than_another_group():
    watch = watch_crowd()
    culprit, peer, clerk = (
        watch.forecast(key, 20 * DAY_S, DAY_S).probability for key in ("nurse 0", "nurse 1", "clerk 1")
    )
    assert culprit > 1.5 * peer > 1.5 * clerk > 0.0


def test_a_newcomer_starts_at_the_rate_of_its_group():
    watch = watch_crowd()
    new, other = (watch.features("new", 20 * DAY_S, DAY_S, group) for group in ("nurse", "clerk"))
    assert new["own"] == new["revealed"] == new["suspicion"] == new["activity"] == 0.0
    assert new["group"] == watch.features("nurse 1", 20 * DAY_S, DAY_S)["group"] > other["group"]
    before = watch.forecast("new", 20 * DAY_S, DAY_S, "nurse")
    watch.introduce("new", "nurse", 20 * DAY_S)
    assert watch.forecast("new", 20 * DAY_S, DAY_S).features["own"] == before.features["own"]


def test_of_an_unknown_group_and_before_anything_happened_only_the_intercept_counts():
    found = Forecaster(MODEL).forecast("ann", 0, DAY_S, "guest")
    assert set(found.features.values()) == {0.0}
    assert found.probability == MODEL.chance.at(-3.5)


def remember(asked, keys, ratios, now_s):
    """Return the features but for the season, each sum taken anew over all that is known at ``now_s``."""

    def fade(time_s, days):
        return 2.0 ** (-(now_s - time_s) / (days * DAY_S))

    def exposure(key):
        return 1.0 - fade(keys[key][1], 28)

    past = [each for each in asked if each.time_s < now_s]
    bad = [each for each in past if each.is_bad and each.known_s is not None and each.known_s <= now_s]
    blame = {key: sum(fade(each.time_s, 28) for each in bad if each.key == key) for key in keys}
    rate = sum(blame.values()) / sum(ratios.get(keys[key][0], 1.0) * exposure(key) for key in keys)
    found = {}
    for key, (group, _) in keys.items():
        peers = [peer for peer in keys if keys[peer][0] == group]
        usual = rate * ratios.get(group, 1.0)
        ratio = (20 + sum(blame[peer] for peer in peers)) / (20 + usual * sum(map(exposure, peers)))
        own = [each for each in past if each.key == key]
        found[key] = {
            "activity": math.log1p(sum(fade(each.time_s, 7) for each in own)),
            "lately": math.log1p(sum(fade(each.time_s, 1) for each in own)),
            "group": math.log(ratios.get(group, 1.0) * ratio),
            "own": math.log((1 + blame[key]) / (1 + usual * ratio * exposure(key))),
            "revealed": math.log1p(sum(fade(each.known_s, 2) for each in bad if each.key == key)),
            "suspicion": math.log1p(sum(each.risk * fade(each.time_s, 1) for each in own)),
        }
    return found


def test_features_are_what_their_definitions_give():
    groups, asked = {"ann": "nurse", "bob": "nurse", "cid": "clerk", "dan": "guest"}, []
    keys = {key: (group, n * 3 * DAY_S) for n, (key, group) in enumerate(groups.items())}
    for n, (key, (group, since_s)) in enumerate(keys.items()):
        for at in range(20 - 2 * n):
            time_s, is_bad = since_s + at * at * 7_000 + n, at % (n + 3) == 0
            asked.append(Asked(time_s, key, group, at % 5 / 5, is_bad, time_s + at % 4 * DAY_S if at % 7 else None))
    watch, now_s = Forecaster(MODEL), 31 * DAY_S + 777
    for key, (group, since_s) in keys.items():
        watch.introduce(key, group, since_s)
    list(watch.follow(asked, [now_s]))
    for key, expected in remember(asked, keys, MODEL.group_ratios, now_s).items():
        found = watch.features(key, now_s, DAY_S)
        assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-4)


def test_the_season_is_what_its_definition_gives():
    watch, days = Forecaster(MODEL), 24
    asked = [
        Asked(day * DAY_S + n, f"{group} {n}", group)
        for day in range(days)
        for group, per_day in (("nurse", 4 + day % 7), ("clerk", 6 if day % 7 < 5 else 0))
        for n in range(per_day)
    ]
    list(watch.follow(asked, [days * DAY_S]))

    def pool(seen, expected):
        return (5 + seen) / (5 + expected)

    fade = [2.0 ** (-(days - day) / 28) for day in range(days)]
    usual = [1.0] * 7
    for wanted in ("", "nurse"):
        seen, there = [0.0] * 7, [0.0] * 7
        for day in range(days):
            there[day % 7] += fade[day]
            seen[day % 7] += sum(fade[day] for each in asked if each.time_s // DAY_S == day and wanted in each.key)
        pace = sum(seen) / sum(day * factor for day, factor in zip(there, usual, strict=True))
        usual = [
            factor * pool(count, pace * day * factor) for factor, count, day in zip(usual, seen, there, strict=True)
        ]
    found = watch.features("nurse 1", days * DAY_S, 2 * DAY_S)["season"]
    assert found == pytest.approx(math.log((usual[days % 7] + usual[(days + 1) % 7]) / 2), abs=1e-4)


def test_a_label_changes_nothing_before_it_comes_to_light():
    told = [Asked(3600 * n, "ann", "x", 0.1, is_bad=True, known_s=5 * DAY_S) for n in range(5)]
    silent = [each._replace(is_bad=False, known_s=None) for each in told]
    one, other = Forecaster(MODEL), Forecaster(MODEL)
    days = range(1, 8)
    rows = [
        [watch.features("ann", moment, DAY_S) for moment in watch.follow(asked, [day * DAY_S for day in days])]
        for watch, asked in ((one, told), (other, silent))
    ]
    assert rows[0][:4] == rows[1][:4]
    assert rows[0][4]["revealed"] > 1.5
    assert rows[1][4]["revealed"] == 0.0


def test_a_request_at_the_moment_itself_is_not_taken_yet():
    watch = Forecaster(MODEL)
    asked = [Asked(DAY_S - 1, "ann", ""), Asked(DAY_S, "ann", "")]
    activity = [watch.features("ann", moment, DAY_S)["activity"] for moment in watch.follow(asked, [DAY_S, 2 * DAY_S])]
    assert activity == [round(math.log1p(2 ** (-1 / 7 / DAY_S)), 4), round(math.log1p(2 * 2 ** (-1 / 7)), 4)]


def test_a_forecast_that_lies_before_what_is_known_is_refused():
    watch = watch_crowd()
    with pytest.raises(ValueError, match="before what is known"):
        watch.forecast("nurse 0", 19 * DAY_S, DAY_S)


@given(st.integers(0, 9), st.integers(0, 3 * DAY_S), st.floats(0.01, 2.0))
@settings(max_examples=15, deadline=None)
def test_what_proves_bad_never_lowers_the_risk_of_a_key_and_fades(n, ago_s, weight):
    watch, now_s, key = watch_crowd(8), 8 * DAY_S, f"clerk {n}"
    before = watch.forecast(key, now_s, DAY_S)
    watch.note_bad(key, now_s - ago_s, now_s, weight)
    after, later = (watch.forecast(key, time_s, DAY_S) for time_s in (now_s, now_s + 30 * DAY_S))
    assert after.probability >= before.probability
    assert after.features["revealed"] > later.features["revealed"]


def test_what_proved_false_is_taken_back_as_if_it_had_not_been():
    watch = watch_crowd()
    before = watch.features("clerk 3", 20 * DAY_S, DAY_S)
    watch.note_bad("clerk 3", 18 * DAY_S, 20 * DAY_S)
    assert watch.features("clerk 3", 20 * DAY_S, DAY_S) != before
    watch.note_bad("clerk 3", 18 * DAY_S, 20 * DAY_S, -1.0)
    assert watch.features("clerk 3", 20 * DAY_S, DAY_S) == before


@given(st.permutations(range(12)))
@settings(max_examples=25, deadline=None)
def test_requests_that_come_late_count_as_if_they_had_come_in_time(order):
    times = [n * n * 3_000 for n in range(12)]
    one, other = Forecaster(MODEL), Forecaster(MODEL)
    for watch in (one, other):
        watch.introduce("ann", "nurse", 0)
    for n in range(12):
        one.note_request("ann", "nurse", times[n], n / 20)
        other.note_request("ann", "nurse", times[order[n]], order[n] / 20)
    now_s = times[-1] + 100
    assert one.features("ann", now_s, DAY_S) == pytest.approx(other.features("ann", now_s, DAY_S), abs=1.01e-4)


def test_busy_weekdays_are_foreseen_for_a_day_and_even_out_over_a_week():
    watch = Forecaster(MODEL)
    asked = [Asked(day * DAY_S + n, "ann", "clerk") for day in range(56) if day % 7 < 5 for n in range(10)]
    list(watch.follow(asked, [56 * DAY_S]))
    working, resting, half = (
        watch.features("ann", now_s, DAY_S)["season"] for now_s in (56 * DAY_S, 61 * DAY_S, 60 * DAY_S + DAY_S // 2)
    )
    assert working > math.log(1.3)
    assert resting < math.log(0.1)
    assert resting < half < working
    assert abs(watch.features("ann", 56 * DAY_S, WEEK_S)["season"]) < 0.05


def test_a_weekday_that_was_never_seen_is_taken_for_a_usual_one():
    watch = Forecaster(MODEL)
    list(watch.follow([Asked(day * DAY_S + n, "ann", "") for day in range(3) for n in range(20)], [3 * DAY_S]))
    assert watch.features("ann", 3 * DAY_S, DAY_S)["season"] == 0.0


def test_a_label_that_comes_with_its_request_is_taken_after_it():
    watch = Forecaster(MODEL)
    list(watch.follow([Asked(5, "ann", "", is_bad=True, known_s=5)], [DAY_S]))
    assert watch.features("ann", DAY_S, DAY_S)["revealed"] > 0.5


@given(st.floats(-5.0, 5.0), st.sampled_from([DAY_S, WEEK_S]))
@settings(max_examples=50, deadline=None)
def test_median_and_interval_are_the_least_counts_that_are_passed_that_rarely(x, horizon_s):
    found = MODEL.forecast(FEATURES | {"suspicion": x}, horizon_s)
    more = 1.0 - 1.0 / HEADS[horizon_s].mean_if_any

    def passes(count):
        return found.probability * more**count

    for count, above in ((found.low, 0.95), (found.median, 0.5), (found.high, 0.05)):
        assert passes(count) <= above + 1e-12
        assert count == 0 or passes(count - 1) > above - 1e-12
    assert math.isclose(sum(map(passes, range(300))), found.expected, rel_tol=1e-6)


def test_the_reason_that_is_removed_moves_the_forecast_by_what_it_was_said_to_add():
    features = FEATURES | {"suspicion": 2.0, "own": 1.0, "activity": 3.0}
    name, effect = MODEL.reasons(features, DAY_S)[0]
    without = MODEL.forecast(features | {name: HEADS[DAY_S].usual[list(REASONS).index(name)]}, DAY_S)
    margin = -3.5 + sum(weight * x for weight, x in zip(WEIGHTS, features.values(), strict=True))
    assert (name, without.probability) == ("suspicion", pytest.approx(MODEL.chance.at(margin - effect)))
    assert effect == pytest.approx(1.4 * 1.5)
    assert all(reason in REASONS for reason, _ in MODEL.reasons(features, WEEK_S, limit=99))


def test_learning_twice_gives_the_same_digest_and_a_useful_model():
    past = make_past()
    model = learn_forecast([past], [DAY_S])
    assert learn_forecast([past], [DAY_S]).digest == model.digest
    periods = replay(past, model, DAY_S)
    said = [model.forecast(row, DAY_S).probability for row in periods.features]
    came = [number > 0 for number in periods.came]
    mean = sum(came) / len(came)
    ours = sum((each - is_any) ** 2 for each, is_any in zip(said, came, strict=True))
    usual = sum((mean - is_any) ** 2 for is_any in came)
    assert ours < 0.75 * usual
    assert sum(said) / len(said) == pytest.approx(mean, abs=0.002)
    assert model.ratio("x") > 1.3
    assert model.ratio("y") < 0.7
    assert all(model.heads[DAY_S].weights[list(REASONS).index(name)] >= 0.0 for name in EVIDENCE)


def test_a_row_of_the_past_is_the_same_whatever_comes_later():
    past = make_past(40)
    cut = Past([each for each in past.asked if each.time_s < 20 * DAY_S], past.keys, 0, past.wanted, 20 * DAY_S)
    short, whole = (replay(each, MODEL, DAY_S) for each in (cut, past))
    n_rows = len(short.keys)
    assert n_rows == 10 * len(past.keys)
    assert (whole.features[:n_rows], whole.came[:n_rows]) == (short.features, short.came)


def test_too_few_bad_periods_teach_nothing():
    past = make_past(30)
    good = Past([each._replace(is_bad=False) for each in past.asked], past.keys, 0, past.wanted, past.end_s)
    with pytest.raises(BadInput, match="0 periods with or without a bad request are too few"):
        learn_forecast([good], [DAY_S])


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ({name: 0.0 for name in REASONS if name != "own"}, "own"),
        (FEATURES | {"height": 1.0}, "height"),
        (FEATURES | {"own": math.nan}, "range"),
        (FEATURES | {"own": math.inf}, "range"),
    ],
)
def test_features_of_another_version_or_without_a_value_are_refused(features, words):
    with pytest.raises(ValueError, match=words):
        MODEL.forecast(features, DAY_S)


def test_a_length_that_was_not_learned_is_refused():
    with pytest.raises(ValueError, match="no forecast for 3600 s"):
        MODEL.forecast(FEATURES, 3600)
    with pytest.raises(ValueError, match="no length"):
        Forecaster(MODEL).features("ann", 0, 0)


def spoil(**changes):
    return {**MODEL.to_json(), **changes}


def with_head(*head):
    return spoil(heads={"86400": list(head)})


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        spoil(format="chainsec forecast 0"),
        spoil(features=[*REASONS][::-1]),
        {key: value for key, value in MODEL.to_json().items() if key != "groups"},
        spoil(groups={"nurse": 0.0}),
        spoil(groups={"nurse": math.inf}),
        spoil(groups={"nurse": "much"}),
        spoil(chance=[[0.0, 1.0], [0.0, 1.5]]),
        spoil(heads={"-5": [0.0, [0.0] * 7, [0.0] * 7, 1.0]}),
        spoil(heads={"day": [0.0, [0.0] * 7, [0.0] * 7, 1.0]}),
        spoil(heads=[1]),
        with_head(0.0, [0.0] * 6, [0.0] * 7, 1.0),
        with_head(0.0, [0.0] * 7, [0.0] * 7, 0.5),
        with_head(0.0, [0.0] * 7, [0.0] * 7, 1e300),
        with_head(math.nan, [0.0] * 7, [0.0] * 7, 1.0),
        with_head(0.0, ["1"] * 7, [0.0] * 7, 1.0),
        with_head(0.0, [0.0] * 7),
    ],
)
def test_what_is_no_model_is_refused(value):
    with pytest.raises(ValueError, match=r"."):
        ForecastModel.from_json(value)


@pytest.mark.parametrize("risk", [-0.1, 1.1, math.nan])
def test_a_risk_outside_its_range_is_refused_and_leaves_no_trace(risk):
    watch = Forecaster(MODEL)
    with pytest.raises(ValueError, match="risk"):
        watch.note_request("ann", "nurse", 0, risk)
    with pytest.raises(ValueError, match="never asked"):
        watch.note_bad("ann", 0, 0)


def test_bad_requests_without_weight_or_known_before_they_happen_are_refused():
    watch = watch_crowd()
    before = watch.features("nurse 1", 21 * DAY_S, DAY_S)
    for time_s, known_s, weight in ((5, 4, 1.0), (5, 6, math.nan), (5, 6, math.inf)):
        with pytest.raises(ValueError, match="finite weight"):
            watch.note_bad("nurse 1", time_s, known_s, weight)
    assert watch.features("nurse 1", 21 * DAY_S, DAY_S) == before
