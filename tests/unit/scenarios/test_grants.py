"""Standing grants as a real chain tells of them: who ended which, and what had expired before."""

import pytest

from chainsec.digest import keccak
from chainsec.primitives import Hash32
from chainsec.scenarios.episodes import Episode
from chainsec.scenarios.grants import AGENT, GUARDIAN, StandingGrants
from chainsec.scenarios.workload import Attempt

ATTEMPT = Attempt(0, "nurse", "scan", "read", "treatment", 3_600, denied=False)
RECEIPT = Hash32(keccak(b"receipt"))


class Ward:
    """A clinic, and the grants that its members hold."""

    def __init__(self, clinic):
        self.box, self.scan = clinic.box, clinic.scan
        self.sentinel, self.guardian = clinic.box.deployment.sentinel, clinic.box.keys.guardian
        self.grants = StandingGrants(clinic.box.client, clinic.box.deployment.access.contract)

    def ask(self, name="ann", hours=1):
        request = self.box.request(name, self.scan, "treatment", organisation="clinic", hours=hours)
        episode = Episode(ATTEMPT, request, 0)
        self.grants.expect([episode])
        return episode

    def approve(self, *episodes):
        for episode in episodes:
            self.sentinel.approve(self.guardian, episode.request, RECEIPT)
        self.box.client.settle()
        return self.grants.follow(GUARDIAN, 0)

    def wait(self, seconds):
        """Let time pass; the next block carries somebody's request."""
        request = self.ask("ben").request
        self.sentinel.cancel(self.guardian, request, RECEIPT)
        self.box.client.settle(self.box.now_s + seconds)


@pytest.fixture
def ward(clinic):
    return Ward(clinic)


def test_a_grant_is_known_from_the_chains_events_and_ends_with_its_revocation(ward):
    episode = ward.ask()
    assert ward.grants.behind(episode) is None
    decided = ward.approve(episode)
    assert decided.keys() == {episode.request.id}
    assert ward.grants.behind(episode) is episode
    assert episode.granted_until_s == episode.request.until
    ward.sentinel.revoke(ward.box.keys.agent, episode.request, RECEIPT)
    ward.box.client.settle()
    ward.grants.follow(AGENT, 77)
    [found] = ward.grants.revocations
    assert (found.by, found.time_s, found.is_late, episode.cut_off_by) == (AGENT, 77, False, AGENT)
    assert ward.grants.behind(episode) is None


def test_a_grant_that_expired_before_is_taken_back_late_and_nobody_was_cut_off(ward):
    episode = ward.ask(hours=1)
    ward.approve(episode)
    ward.wait(7_200)
    ward.sentinel.cancel(ward.guardian, episode.request, RECEIPT)
    ward.box.client.settle()
    ward.grants.follow(GUARDIAN, 0)
    assert [found.is_late for found in ward.grants.revocations] == [True]
    assert episode.cut_off_by == ""


def test_a_quarantine_cuts_off_what_stands_and_neither_what_expired_nor_what_others_hold(ward):
    short, other = ward.ask("ann", hours=1), ward.ask("ben", hours=48)
    ward.approve(short, other)
    ward.wait(7_200)
    ward.grants.suspend(short.request.requester, ward.box.now_s)
    assert (short.cut_off_by, other.cut_off_by) == ("", "")
    later = ward.ask("ann", hours=48)
    ward.approve(later)
    ward.grants.suspend(later.request.requester, ward.box.now_s)
    assert (short.cut_off_by, later.cut_off_by, other.cut_off_by) == ("", AGENT, "")


def test_revocations_of_grants_that_nobody_told_of_are_counted_and_harm_nothing(ward):
    stranger = Episode(ATTEMPT, ward.box.request("ann", ward.scan, "treatment", organisation="clinic"), 0)
    ward.approve(stranger)
    assert stranger.granted_until_s == 0
    ward.sentinel.revoke(ward.box.keys.agent, stranger.request, RECEIPT)
    ward.box.client.settle()
    ward.grants.follow(AGENT, 0)
    assert len(ward.grants.revocations) == 1
    assert stranger.cut_off_by == ""


def test_one_block_may_grant_and_take_back_the_same_thing_in_either_order(ward):
    first, second = ward.ask(hours=4), ward.ask(hours=5)
    for act, episode in ((ward.sentinel.approve, first), (ward.sentinel.cancel, second)):
        act(ward.guardian, episode.request, RECEIPT)
    ward.box.client.settle()
    ward.grants.follow(GUARDIAN, 0)
    stands = ward.box.deployment.access.has_access(first.request.requester, ward.scan, first.request.purpose)
    assert (ward.grants.behind(first) is not None) == stands
    assert (first.cut_off_by == "") == stands
    third = ward.ask(hours=6)
    for act, episode in ((ward.sentinel.cancel, second), (ward.sentinel.approve, third)):
        act(ward.guardian, episode.request, RECEIPT)
    ward.box.client.settle()
    ward.grants.follow(GUARDIAN, 0)
    assert ward.grants.behind(third) is third
    assert third.cut_off_by == ""
