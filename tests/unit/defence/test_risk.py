"""The risk model as a whole: scores before it learns, the same everywhere, and falls for nothing unseen."""

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from chainsec.defence.observation import Observation
from chainsec.defence.risk import MODEL_FILE, STATE_FILE, EvidenceRiskModel, RiskSettings
from chainsec.defence.training import train_risk_model
from chainsec.digest import keccak

START_S = 1_740_960_000
ROLES = ("nurse", "clerk", "physician")


def draw_history(n_rows=500, seed=4):
    """Return office life of twelve people, in which reading billing files from the wrong role is denied."""
    rng = random.Random(seed)
    history, denied = [], []
    for row in range(n_rows):
        person = rng.randrange(12)
        role = ROLES[person % 3]
        kind = rng.choice(("chart", "bill") if role == "clerk" or rng.random() < 0.15 else ("chart",))
        time_s = START_S + row * 2_400 // 24 * 24 + (8 + rng.randrange(9)) * 3_600
        facts = {"role": role, "kind": kind, "device": f"pc-{person}"}
        history.append(
            Observation(f"0x{row:x}", time_s, f"p{person}", f"{kind}-{rng.randrange(30)}", "read", "care", 1, facts)
        )
        denied.append(role != "clerk" and kind == "bill")
    history.sort(key=lambda observation: observation.time_s)
    by_id = {f"0x{row:x}": label for row, label in enumerate(denied)}
    return history, [by_id[observation.id] for observation in history]


HISTORY, DENIED = draw_history()
SPLIT = 400


@pytest.fixture
def model():
    return train_risk_model(HISTORY[:SPLIT], DENIED[:SPLIT])


def test_denied_patterns_of_the_history_score_above_all_else(model):
    scores = [model.score(model.features(observation)) for observation in HISTORY[SPLIT:]]
    bad = [score for score, label in zip(scores, DENIED[SPLIT:], strict=True) if label]
    good = [score for score, label in zip(scores, DENIED[SPLIT:], strict=True) if not label]
    beaten = sum(b > g for b in bad for g in good) / (len(bad) * len(good))
    assert bad
    assert beaten > 0.95
    assert all(0.0 <= score <= 1.0 for score in scores)


def test_a_kind_of_attack_that_no_label_has_shown_scores_high(model):
    usual = HISTORY[SPLIT]
    person = usual.requester
    stolen = Observation(
        "0xbad", usual.time_s // 86_400 * 86_400 + 86_400 + 3 * 3_600, person, "chart-999", "export", "curiosity", 3,
        {"role": usual.attributes["role"], "kind": "chart", "device": "never-seen"},
    )  # fmt: skip
    fine = [
        model.score(model.features(o)) for o, label in zip(HISTORY[SPLIT:], DENIED[SPLIT:], strict=True) if not label
    ]
    assert model.score(model.features(stolen)) > sorted(fine)[int(0.95 * len(fine))]


def test_reading_features_scoring_and_explaining_change_nothing(model):
    before = model.to_files()
    features = model.features(HISTORY[SPLIT])
    assert model.features(HISTORY[SPLIT]) == features
    assert model.score(features) == model.score(features)
    model.reasons(features, 5)
    assert model.to_files() == before


def test_learning_moves_later_features_but_neither_digest_nor_weights(model):
    probe = HISTORY[SPLIT]
    digest, before = model.digest, model.score(model.features(probe))
    for _ in range(10):
        model.observe(probe)
        model.learn(probe, denied=True)
    assert model.score(model.features(probe)) > before
    assert model.digest == digest
    assert model.to_files()[MODEL_FILE] == train_risk_model(HISTORY[:SPLIT], DENIED[:SPLIT]).to_files()[MODEL_FILE]


@pytest.mark.parametrize("truth", [True, False])
def test_a_label_put_right_leaves_what_the_right_label_at_once_would_have_left(truth):
    first, mistaken = (train_risk_model(HISTORY[:SPLIT], DENIED[:SPLIT]) for _ in range(2))
    asked, probes = HISTORY[SPLIT], HISTORY[SPLIT + 1 : SPLIT + 60]
    for model in (first, mistaken):
        model.observe(asked)
    first.learn(asked, truth)
    mistaken.learn(asked, not truth)

    def look(model):
        found = [model.features(probe) for probe in probes]
        # an acquittal eases what is held for other things too, and that is not put right
        return found if not truth else [{**features, "suspicion": 0} for features in found]

    misled = look(mistaken)
    mistaken.correct(asked, truth)
    assert look(mistaken) == look(first) != misled
    assert mistaken.digest == first.digest


def test_a_threat_seen_in_uses_raises_that_requesters_risk_for_some_days_only(model):
    probe, other = HISTORY[SPLIT], next(o for o in HISTORY[SPLIT:] if o.requester != HISTORY[SPLIT].requester)
    before, calm = model.score(model.features(probe)), model.features(other)
    digest = model.digest
    model.note_threat(probe.requester, probe.time_s, 3.0)
    features = model.features(probe)
    assert features["suspicion"] == pytest.approx(3.0, abs=0.1)
    assert model.score(features) >= before
    assert model.features(other) == calm
    assert model.digest == digest
    late = Observation(
        "0xlate", probe.time_s + 20 * 86_400, probe.requester, probe.asset, "read", "care", 1, probe.attributes
    )
    assert model.features(late)["suspicion"] < 0.01
    with pytest.raises(ValueError, match="severity"):
        model.note_threat(probe.requester, probe.time_s, -1.0)


def test_training_twice_gives_the_same_files_and_another_history_another_digest(model):
    again = train_risk_model(HISTORY[:SPLIT], DENIED[:SPLIT])
    other = train_risk_model(HISTORY[:SPLIT], [not label for label in DENIED[:SPLIT]])
    assert again.to_files() == model.to_files()
    assert other.digest != model.digest


def test_the_digest_is_the_keccak_of_the_model_file(model):
    assert model.digest == "0x" + keccak(model.to_files()[MODEL_FILE]).hex()


def test_a_model_read_back_scores_bit_for_bit_and_goes_on_learning_alike(model):
    again = EvidenceRiskModel.from_files(model.to_files())
    for observation, label in zip(HISTORY[SPLIT:], DENIED[SPLIT:], strict=True):
        features = model.features(observation)
        assert again.features(observation) == features
        assert again.score(json.loads(json.dumps(features))) == model.score(features)
        assert again.reasons(features, 4) == model.reasons(features, 4)
        for each in (model, again):
            each.observe(observation)
            each.learn(observation, denied=label)
    assert again.to_files() == model.to_files()


def test_the_model_file_alone_is_enough_to_score(model):
    features = model.features(HISTORY[SPLIT])
    auditor = EvidenceRiskModel.from_files({MODEL_FILE: model.to_files()[MODEL_FILE]})
    assert auditor.score(dict(reversed(features.items()))) == model.score(features)


def test_leaving_out_the_top_reason_moves_the_score_by_what_it_says(model):
    worst = max(HISTORY[SPLIT:], key=lambda observation: model.score(model.features(observation)))
    features = model.features(worst)
    reasons = model.reasons(features, 200)
    name, moved = reasons[0]
    assert moved == max((by for _, by in reasons), key=abs)
    without = dict(features)
    if name in model.scoring.known.linear.weights:
        without[name] = model.scoring.known.linear.weights[name][1]
    if name in model.scoring.novel.signals:
        without[name] = min(without[name], model.scoring.novel.signals[name][1].xs[0])
    # A feature in both parts is set to the value that is neutral in one of them: near, not equal.
    assert model.score(features) - model.score(without) == pytest.approx(moved, abs=0.02)
    assert len(model.reasons(features, 3)) == 3


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_feature_that_is_no_finite_number_is_refused(model, value):
    features = model.features(HISTORY[SPLIT])
    features["habit:@device"] = value
    with pytest.raises(ValueError, match="habit:@device"):
        model.score(features)
    with pytest.raises(ValueError, match="habit:@device"):
        model.reasons(features, 3)


def test_features_of_another_version_are_refused(model):
    features = model.features(HISTORY[SPLIT])
    with pytest.raises(ValueError, match="are not those of this model"):
        model.score({**features, "shoe-size": 1.0})
    features.popitem()
    with pytest.raises(ValueError, match="are not those of this model"):
        model.score(features)


@pytest.mark.parametrize(
    ("rows", "labels"),
    [
        ([], []),
        (HISTORY[:3], [None] * 3),
        (HISTORY[:60], [False] * 60),
        (HISTORY[:60], [True] * 60),
        ([HISTORY[0]] * 40, [True, False] * 20),
    ],
    ids=["empty", "unlabelled", "all granted", "all denied", "one requester, one asset"],
)
def test_a_history_that_teaches_little_still_gives_a_model(rows, labels):
    model = train_risk_model(rows, labels)
    again = EvidenceRiskModel.from_files(model.to_files())
    for observation in HISTORY[SPLIT : SPLIT + 5]:
        score = model.score(model.features(observation))
        assert 0.0 <= score <= 1.0
        assert again.score(model.features(observation)) == score
        model.observe(observation)
        again.observe(observation)
        model.learn(observation, denied=True)
        again.learn(observation, denied=True)


def test_one_class_gives_the_base_rate_to_what_is_ordinary():
    model = train_risk_model(HISTORY[:60], [False] * 60)
    assert model.score(model.features(HISTORY[30])) < 0.05


@given(
    st.text(max_size=5),
    st.text(max_size=5),
    st.dictionaries(st.sampled_from(["role", "kind", "x"]), st.text(max_size=3)),
)
@hypothesis_settings(max_examples=40, deadline=None)
def test_unseen_categories_give_a_defined_score(requester, asset, attributes):
    probe = Observation("0xff", START_S, requester, asset, "write", "?", 3, attributes)
    features = UNSEEN_MODEL.features(probe)
    assert all(math.isfinite(value) for value in features.values())
    assert 0.0 <= UNSEEN_MODEL.score(features) <= 1.0


UNSEEN_MODEL = train_risk_model(HISTORY[:200], DENIED[:200])


def test_labels_that_do_not_match_the_history_are_refused():
    with pytest.raises(ValueError, match="2 observations, but 1 labels"):
        train_risk_model(HISTORY[:2], [True])


@pytest.mark.parametrize(
    "wrong",
    [{"strength": 0.0}, {"inverse_penalty": -1.0}, {"max_contexts": 0}, {"folds": 1}, {"warm_up_rate": 1.0},
     {"unseen_share": 0.0}],
)  # fmt: skip
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="out of range"):
        RiskSettings(**wrong)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace(b'"format":4', b'"format":3'),
        lambda text: text + b" ",
        lambda text: text[:-20],
        lambda text: text.replace(b'"known"', b'"knwon"'),
        lambda _: b"[]",
    ],
    ids=["other format", "not canonical", "cut short", "misnamed part", "no object"],
)
def test_a_model_file_that_is_not_one_is_refused(model, spoil):
    files = model.to_files()
    with pytest.raises(ValueError, match=r".+"):
        EvidenceRiskModel.from_files({**files, MODEL_FILE: spoil(files[MODEL_FILE])})
    assert EvidenceRiskModel.from_files(files).digest == model.digest


def test_files_without_a_model_are_refused(model):
    with pytest.raises(KeyError):
        EvidenceRiskModel.from_files({STATE_FILE: model.to_files()[STATE_FILE]})
