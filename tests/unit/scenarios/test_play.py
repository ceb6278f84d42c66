"""Small replays: what guardians, grants and revocations come to, whatever the order in which a block holds them."""

import json
from dataclasses import replace

import pytest

from chainsec.config import Config
from chainsec.scenarios import comparison, stage
from chainsec.scenarios.directory import RunDirectory
from chainsec.scenarios.replay import build_replay
from chainsec.scenarios.run import _play
from chainsec.scenarios.workload import PlannedUse
from chainsec.services.access import Status

HEADER = "time,requester,asset,sensitivity,outcome"
RUN = {"guardian_error_rate": 0.0, "anchor_interval_s": 10**9}


class Silence:
    def on_step(self, *_):
        pass

    def on_score(self, *_):
        pass


@pytest.fixture
def play(tmp_path):
    """Give a function that plays a log of one's own, and returns the play after its end."""

    def play_log(live, *, uses=(), duration_s=86_400, change=lambda workload: workload, **settings):
        log = tmp_path / "log.csv"
        past = [
            f"2024-05-01T{8 + n // 6:02}:{n % 6 * 10:02}:00Z,p{n % 3},scan-{n % 4},internal,granted" for n in range(12)
        ]
        log.write_text("\n".join([HEADER, *past, *(f"2024-05-02T{row}" for row in live)]) + "\n")
        workload = build_replay(log, "generic_csv", history=len(past) / (len(past) + len(live)))
        assert len(workload.live) == len(live)
        asked = tuple(replace(attempt, duration_s=duration_s, uses=tuple(uses)) for attempt in workload.live)
        workload = change(replace(workload, live=asked))
        config = Config.model_validate({"run": RUN | settings.pop("run", {}), **settings})
        config = config.model_copy(
            update={"chain": config.chain.model_copy(update={"genesis_time_s": asked[0].time_s - 86_400})}
        )
        with RunDirectory(tmp_path / f"run{len(list(tmp_path.iterdir()))}", {"any": 1}) as directory:
            return _play(workload, config, directory, Silence())[0]

    return play_log


def vault(minute, outcome="granted", requester="ann", hour=8):
    """Return a request that the contract always passes to a guardian."""
    return f"{hour:02}:{minute:02}:00Z,{requester},vault,restricted,{outcome}"


@pytest.mark.parametrize("outcomes", ["gd", "dg", "gdgd", "ggdd", "dddd"])
def test_answers_to_repeated_requests_for_one_thing_may_stand_in_one_block_in_any_order(play, outcomes):
    rows = [vault(5 * n, {"g": "granted", "d": "denied"}[outcome]) for n, outcome in enumerate(outcomes)]
    played = play(rows, uses=[PlannedUse(60, "read", 1_000)])
    assert [e.outcome for e in played.episodes] == [Status.ESCALATED] * len(rows)
    assert [e.answer for e in played.episodes] == [{"g": "approve", "d": "cancel"}[outcome] for outcome in outcomes]
    late = [found for found in played.standing.revocations if found.is_late]
    assert not late
    assert all(found.by == "guardian" for found in played.standing.revocations)
    for episode in played.episodes:
        assert (episode.granted_until_s > 0) == (episode.answer == "approve")
        assert episode.cut_off_by in {"", "guardian"}
        assert episode.answer == "approve" or not episode.cut_off_by


def test_an_answer_comes_with_the_next_sitting_and_what_is_still_open_then_can_be_approved(play):
    played = play([vault(5), vault(10, "denied", "bob")], duration_s=3_600 + 600)
    assert [episode.answer for episode in played.episodes] == ["approve", "cancel"]
    first = played.episodes[0]
    assert first.filed_at_s % 3_600 == 0
    assert played.box.config.run.guardian_delay_s == 3_600


def test_a_request_that_lapses_before_anybody_looks_is_not_cancelled_and_still_teaches(play):
    played = play([vault(5), vault(10, "denied", "bob")], duration_s=900)
    assert [episode.answer for episode in played.episodes] == ["lapse", "lapse"]
    assert "guardian's answer" not in played.gas.entries
    receipts = [json.loads(line) for line in played.directory.receipts.lines]
    assert {receipt["kind"] for receipt in receipts} == {"decision"}


def test_guardians_sit_in_as_many_blocks_as_their_answers_need(play, monkeypatch):
    monkeypatch.setattr(stage, "_TRANSACTIONS_PER_BLOCK", 2)
    rows = [vault(n, requester=f"p{n % 3}") for n in range(5)]
    played = play(rows, chain={"batch_size": 1})
    assert [episode.answer for episode in played.episodes] == ["approve"] * 5
    assert [e.requested_block for e in played.episodes] == sorted(e.requested_block for e in played.episodes)
    blocks = {episode.requested_block for episode in played.episodes}
    assert len(blocks) == 3
    assert all(episode.decided_block == episode.requested_block + 1 for episode in played.episodes)


def test_what_the_review_finds_corrects_what_a_guardian_got_wrong(play):
    def review_late(workload):
        live = tuple(replace(attempt, label_at_s=attempt.time_s + 90_000) for attempt in workload.live)
        return replace(workload, live=live)

    played = play([vault(5), vault(10, "denied", "bob")], change=review_late, run={"guardian_error_rate": 1.0})
    told = [json.loads(line) for line in played.directory.outcomes.lines]
    assert [(record["source"], record["denied"]) for record in told] == [
        ("guardian", True),
        ("guardian", False),
        ("review", False),
        ("review", True),
    ]
    agreeing = play([vault(5)], change=review_late)
    assert [json.loads(line)["source"] for line in agreeing.directory.outcomes.lines] == ["guardian"]


def test_every_way_meets_the_same_ceiling_and_the_same_guardians(play):
    rows = [vault(n, "denied" if n % 3 == 0 else "granted", f"p{n % 3}") for n in range(20)]
    rows += [f"09:{n:02}:00Z,p{n % 3},scan-1,internal,{'denied' if n % 5 == 0 else 'granted'}" for n in range(20)]
    played = play(
        rows, uses=[PlannedUse(60, "read", 700), PlannedUse(120, "export", 9)], run={"guardian_error_rate": 0.4}
    )
    ways = {"agent": comparison.judge_by_agent(played), **comparison.judge_by_baselines(played)}
    answered = {name: {id(j.attempt): j.answer for j in judged if j.is_above_ceiling} for name, judged in ways.items()}
    assert {len(found) for found in answered.values()} == {20}
    assert {*answered["grant all"].values()} == {"approve", "cancel"}
    assert answered["grant all"] == answered["agent"]
    for item in ways["grant all"]:
        assert item.outcome is (Status.ESCALATED if item.is_above_ceiling else Status.GRANTED)
        assert item.leaked_bytes == (0 if item.answer == "cancel" else 700)
    quality = comparison.measure_quality(ways["agent"], {name: ways[name] for name in ("grant all", "rules only")})
    everything = quality.baselines["grant all"]
    assert everything.bad_stopped_rate == everything.bad_stopped_by_ceiling_rate > 0
    approved = sum(j.answer == "approve" and j.attempt.denied for j in ways["grant all"])
    assert approved > 0
    assert everything.bad_held_up_rate - everything.bad_stopped_rate == pytest.approx(
        approved / everything.bad_requests
    )
    assert everything.good_refused_rate < everything.good_escalated_rate
