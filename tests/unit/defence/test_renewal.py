"""A model that no longer fits is noticed, a challenger is tried beside it, and only one that is no worse takes over."""

import random

import pytest

from chainsec.defence.observation import Observation
from chainsec.defence.renewal import Drift, Renewal, RenewalSettings, Trial, Tried, count_losses
from chainsec.digest import digest_json
from chainsec.models.drift import DriftSettings

TOLD = RenewalSettings(
    DriftSettings(reference_events=100, events_per_false_alarm=5_000), fresh_labels=60, trial_labels=60
)


class WardRates:
    """A small model: each ward's share of bad requests in what it was trained on."""

    def __init__(self, rows, labels):
        known = [(row.attributes["ward"], label) for row, label in zip(rows, labels, strict=True) if label is not None]
        wards = {ward for ward, _ in known}
        self.rates = {
            ward: (sum(label for other, label in known if other == ward) + 0.5)
            / (sum(other == ward for other, _ in known) + 5)
            for ward in sorted(wards)
        }
        self.digest = "0x" + digest_json(self.rates).hex()
        self.calls = []

    def features(self, observation):
        return {"rate": self.rates.get(observation.attributes["ward"], 0.1)}

    def score(self, features):
        return features["rate"]

    def __getattr__(self, name):
        return lambda *told: self.calls.append((name, *told))


def requests(number, seed, bad_ward, share=0.3):
    """Draw requests of wards, of which those of one ward are mostly bad."""
    draw = random.Random(seed)
    for i in range(number):
        ward = bad_ward if draw.random() < share else draw.choice(["ear", "eye", "heart"])
        denied = draw.random() < (0.9 if ward == bad_ward else 0.05)
        attributes = {"ward": ward}
        yield (
            Observation(f"{seed}-{i}", i, f"p{i % 9}", f"a{i % 5}", "read", "", 0, attributes, has_clock=False),
            denied,
        )


def changing(number):
    """Draw requests as they were, and then ``number`` of a world in which another ward's are bad."""
    yield from requests(150, 2, "ear")
    yield from requests(number, 3, "heart", share=0.7)


def history():
    rows = list(requests(300, 1, "ear"))
    return [row[0] for row in rows], [row[1] for row in rows]


def live_through(renewal, model, rows, *, labelled=lambda i: i % 2 == 0, trials=9):
    """Let requests be scored and every other label come to light; return the models in use and all news."""
    news = []
    for i, (observation, denied) in enumerate(rows):
        found = renewal.news
        if found is not None:
            news.append((i, found))
            if sum(isinstance(one, Trial) for _, one in news) > trials:
                break
            if isinstance(found, Trial) and found.is_won(renewal.settings.trial_labels):
                model = found.challenger
            renewal.acknowledge()
        score = model.score(model.features(observation))
        model.observe(observation)
        renewal.note_score(observation, score)
        if labelled(i):
            model.learn(observation, denied)
            renewal.note_label(observation, denied)
    return model, news


def test_after_a_change_of_the_world_a_better_model_takes_over():
    model = WardRates(*history())
    renewal = Renewal(*history(), WardRates, TOLD)
    after, news = live_through(renewal, model, changing(700))
    kinds = [type(found) for _, found in news]
    assert kinds[:2] == [Drift, Trial]
    assert 150 < news[0][0] <= 250  # noticed within a hundred requests
    assert after is not model
    rows = list(requests(200, 4, "heart"))
    losses = [
        count_losses([(denied, chosen.score(chosen.features(observation))) for observation, denied in rows])
        for chosen in (model, after)
    ]
    assert losses[1] < losses[0]


def test_the_same_events_lead_to_the_same_model():
    digests = []
    for _ in range(2):
        renewal = Renewal(*history(), WardRates, TOLD)
        after, _ = live_through(renewal, WardRates(*history()), changing(700))
        digests.append(after.digest)
    assert digests[0] == digests[1] != WardRates(*history()).digest


class Gainsayer(WardRates):
    """Lets in whom it should not, and nobody else."""

    def features(self, observation):
        return {"rate": float(observation.attributes["ward"] != "heart")}


def test_a_challenger_that_does_worse_is_not_put_in_use():
    model = WardRates(*history())
    renewal = Renewal(*history(), Gainsayer, TOLD)
    after, news = live_through(renewal, model, changing(700))
    trials = [found for _, found in news if isinstance(found, Trial)]
    assert trials
    assert after is model
    in_use, challenger = trials[0].losses
    assert challenger > in_use


def test_a_trial_without_labels_ends_and_changes_nothing():
    told = RenewalSettings(TOLD.drift, fresh_labels=60, trial_labels=60, patience_events=150)
    model = WardRates(*history())
    renewal = Renewal(*history(), WardRates, told)
    after, news = live_through(renewal, model, changing(500), labelled=lambda _: False)
    assert [type(found) for _, found in news][:2] == [Drift, Trial]
    trial = news[1][1]
    assert trial.challenger is None
    assert trial.tried == ()
    assert not trial.is_won(1)
    assert after is model


def test_while_news_waits_nothing_else_happens():
    model = WardRates(*history())
    renewal = Renewal(*history(), WardRates, TOLD)
    rows = changing(900)
    while renewal.news is None:
        observation, denied = next(rows)
        renewal.note_score(observation, model.score(model.features(observation)))
        renewal.note_label(observation, denied)
    waiting = renewal.news
    for observation, denied in rows:
        renewal.note_score(observation, 0.5)
        renewal.note_label(observation, denied)
    assert renewal.news is waiting


def test_a_corrected_label_counts_as_it_stands_at_the_end_of_the_trial():
    told = RenewalSettings(TOLD.drift, fresh_labels=1, trial_labels=3)
    model = WardRates(*history())
    renewal = Renewal(*history(), WardRates, told)
    changed = changing(900)
    while renewal.news is None:
        observation, denied = next(changed)
        renewal.note_score(observation, model.score(model.features(observation)))
    renewal.acknowledge()
    observation, denied = next(changed)
    renewal.note_score(observation, 0.5)
    renewal.note_label(observation, denied)  # the fresh label that a challenger is trained with
    rows = list(requests(4, 9, "heart"))
    for observation, _ in rows:
        renewal.note_score(observation, 0.25)
    for place, denied in ((0, False), (1, True), (0, True)):
        renewal.note_label(rows[place][0], denied)
    assert renewal.news is None
    renewal.note_label(rows[2][0], rows[2][1])
    tried = {row.request_id: (row.denied, row.in_use) for row in renewal.news.tried}
    assert tried[rows[0][0].id] == (True, 0.25)
    assert len(tried) == 3


def test_what_wins_has_enough_labels_and_is_no_worse():
    bad, good = True, False
    rows = (Tried("a", bad, 0.5, 0.5), Tried("b", good, 0.5, 0.4))
    challenger = object()
    assert Trial(challenger, 9, rows).is_won(2)
    assert not Trial(challenger, 9, rows).is_won(3)
    assert not Trial(None, 9, rows).is_won(2)
    worse = (Tried("a", bad, 0.5, 0.49), Tried("b", good, 0.5, 0.5))
    assert not Trial(challenger, 9, worse).is_won(2)


def test_only_the_latest_rows_are_kept_for_training():
    seen = []

    def train(rows, labels):
        seen.append(len(rows))
        return WardRates(rows, labels)

    told = RenewalSettings(TOLD.drift, fresh_labels=5, trial_labels=5, most_rows=120)
    renewal = Renewal(*history(), train, told)
    live_through(renewal, WardRates(*history()), changing(400))
    assert seen
    assert set(seen) == {120}


@pytest.mark.parametrize("wrong", [{"fresh_labels": 0}, {"trial_labels": 0}, {"patience_events": 0}, {"most_rows": 0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="range"):
        RenewalSettings(**wrong)
