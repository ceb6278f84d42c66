"""The guardians' desk on a real chain: what is approved, cancelled, lapsed, or kept for the next sitting."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainsec.digest import keccak
from chainsec.journal import Journal
from chainsec.primitives import Hash32
from chainsec.scenarios.episodes import Episode
from chainsec.scenarios.guardians import GuardianDesk, find_good, next_sitting_s
from chainsec.scenarios.workload import Attempt
from chainsec.services.access import Status

ATTEMPT = Attempt(0, "nurse", "scan", "read", "treatment", 3_600, denied=False)
RECEIPT = Hash32(keccak(b"receipt"))
EVERY_S = 3_600


@pytest.fixture
def desk(clinic):
    clinic.box.config = clinic.box.config.model_copy(
        update={"run": clinic.box.config.run.model_copy(update={"guardian_error_rate": 0.0})}
    )
    directory = SimpleNamespace(receipts=Journal(None))
    return SimpleNamespace(
        clinic=clinic, box=clinic.box, directory=directory, it=GuardianDesk(clinic.box, directory, 2)
    )


def ask(desk, name="ann", *, denied=False, hours=24):
    request = desk.box.request(name, desk.clinic.scan, "treatment", organisation="clinic", hours=hours)
    return Episode(replace(ATTEMPT, denied=denied), request, 0)


def sit(desk, *episodes, at_s=None):
    [due_s] = {desk.it.put_down(episode, 0) for episode in episodes} - {None}
    clock_s = desk.box.now_s + 2 if at_s is None else at_s
    return desk.it.sit(due_s, clock_s, lambda: max(clock_s, desk.box.now_s + 2))


def test_answers_follow_the_truth_and_stand_on_chain_with_their_receipts(desk):
    good, bad = ask(desk), ask(desk, "ben", denied=True)
    sitting = sit(desk, good, bad)
    assert [(episode.answer, found) for episode, found in sitting.judged] == [("approve", True), ("cancel", False)]
    status_of = desk.box.deployment.access.status_of
    assert [status_of(e.request.id) for e in (good, bad)] == [Status.GRANTED, Status.DENIED]
    assert (sitting.sent, len(desk.directory.receipts)) == (2, 2)


def test_more_answers_than_fit_into_a_block_make_several(desk):
    before = desk.box.client.at
    episodes = [ask(desk, name, hours=hours) for name in ("ann", "ben") for hours in (5, 6)] + [ask(desk, hours=7)]
    asked = desk.box.client.at
    sitting = sit(desk, *episodes)
    assert (desk.box.client.at - asked, sitting.first_block) == (3, asked + 1)
    assert asked == before + 5


def test_what_lapsed_is_not_looked_at(desk):
    episode = ask(desk, hours=1)
    before = desk.box.client.at
    sitting = sit(desk, episode, at_s=episode.request.until + 1)
    assert (episode.answer, sitting.judged) == ("lapse", [])
    assert (desk.box.client.at, sitting.sent, len(desk.directory.receipts)) == (before, 0, 0)
    assert desk.box.deployment.access.status_of(episode.request.id) is Status.PENDING


def give_room(desk, answers):
    run = desk.box.config.run.model_copy(update={"guardian_answers": answers})
    desk.box.config = desk.box.config.model_copy(update={"run": run})


def test_a_sitting_without_room_for_all_lets_requesters_take_turns_and_plans_the_next(desk):
    give_room(desk, 2)
    flood, honest = [ask(desk, hours=hours) for hours in (5, 6, 7, 8)], ask(desk, "ben")
    sitting = sit(desk, *flood, honest)
    assert [episode for episode, _ in sitting.judged] == [flood[0], honest]
    assert (sitting.sent, sitting.next_s) == (2, 2 * EVERY_S)
    later = desk.it.sit(2 * EVERY_S, desk.box.now_s + 2, lambda: desk.box.now_s + 2)
    assert [episode for episode, _ in later.judged] == flood[1:3]
    last = desk.it.sit(3 * EVERY_S, desk.box.now_s + 2, lambda: desk.box.now_s + 2)
    assert ([episode for episode, _ in last.judged], last.next_s) == (flood[3:], None)


def test_what_has_lapsed_takes_no_room(desk):
    give_room(desk, 1)
    late, good = ask(desk, hours=1), ask(desk, "ben", hours=9)
    sitting = sit(desk, late, good, at_s=late.request.until + 1)
    assert (late.answer, good.answer, sitting.next_s) == ("lapse", "approve", None)


def test_a_sitting_that_is_planned_anyway_is_not_planned_again_for_what_had_no_room(desk):
    give_room(desk, 1)
    desk.it.put_down(ask(desk, "ben"), EVERY_S)
    assert sit(desk, ask(desk), ask(desk, hours=5)).next_s is None


def test_a_good_request_of_somebody_in_quarantine_waits_and_is_approved_after_the_release(desk):
    episode, sentinel = ask(desk), desk.box.deployment.sentinel
    sentinel.quarantine(desk.box.keys.agent, episode.request.requester, 7_200, RECEIPT)
    desk.box.client.settle()
    sitting = sit(desk, episode)
    assert (sitting.left, episode.answer, sitting.sent) == ([episode], "", 0)
    desk.it.release(episode, desk.box.now_s + 2)
    assert sit(desk, episode).left == []
    assert episode.answer == "approve"
    assert desk.box.deployment.access.status_of(episode.request.id) is Status.GRANTED


def test_one_sitting_is_announced_once(desk):
    first, second = ask(desk), ask(desk, "ben")
    assert (desk.it.put_down(first, 10), desk.it.put_down(second, 20)) == (EVERY_S, None)
    assert desk.it.put_down(ask(desk, hours=3), EVERY_S) == 2 * EVERY_S


@given(st.integers(0, 10**9), st.integers(1, 10**5))
def test_the_next_sitting_comes_after_now_and_within_one_interval(now_s, every_s):
    due_s = next_sitting_s(now_s, every_s)
    assert now_s < due_s <= now_s + every_s
    assert due_s % every_s == 0


def test_guardians_err_as_often_as_told_about_the_same_requests_whoever_asks():
    def judged(seed, denied):
        asked = [Attempt(n, "ann", "scan", "read", "service", 60, denied=denied) for n in range(2_000)]
        return [find_good(seed, 0.25, attempt) for attempt in asked]

    found = judged(7, denied=False)
    assert 0.22 < found.count(False) / len(found) < 0.28
    assert [not good for good in found] == judged(7, denied=True)
    assert found != judged(8, denied=False)
