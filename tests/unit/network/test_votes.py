"""Votes about validators, against sets kept as Besu's VoteTally keeps them."""

from hypothesis import given
from hypothesis import strategies as st

from chainsec.network.extradata import Vote
from chainsec.network.votes import Tally
from chainsec.primitives import Address

A, B, C, D, E, F, G = ALL = tuple(Address(bytes(19) + bytes([n])) for n in range(1, 8))


class Sets:
    """Besu's VoteTally and VoteTallyUpdater, as plainly as possible; only the last validator never leaves here."""

    def __init__(self, validators, epoch_blocks):
        self.validators, self.epoch_blocks = set(validators), epoch_blocks
        self.votes = {True: {}, False: {}}  # to add, to drop: subject -> voters

    def after(self, height, proposer, vote):
        if height % self.epoch_blocks == 0:
            self.votes = {True: {}, False: {}}
            return
        if vote is None:
            return
        this, other = (self.votes[way].setdefault(vote.subject, set()) for way in (vote.is_add, not vote.is_add))
        this.add(proposer)
        other.discard(proposer)
        needed = len(self.validators) // 2 + 1
        to_add, to_drop = self.votes[True][vote.subject], self.votes[False][vote.subject]
        if len(to_add) >= needed:
            self.validators.add(vote.subject)
            self.forget(vote.subject)
        if len(to_drop) >= needed:
            if self.validators != {vote.subject}:
                self.validators.discard(vote.subject)
            self.forget(vote.subject)
            for voters in (*self.votes[True].values(), *self.votes[False].values()):
                voters.discard(vote.subject)

    def forget(self, subject):
        for way in self.votes.values():
            way.pop(subject, None)

    @property
    def ballots(self):
        return {
            (voter, subject, is_add)
            for is_add, way in self.votes.items()
            for subject, voters in way.items()
            for voter in voters
        }


STEPS = st.lists(
    st.tuples(st.integers(0, 6), st.none() | st.tuples(st.sampled_from(ALL), st.booleans())), min_size=10, max_size=60
)


def play(tally, steps):
    """Let validators vote one after the other, in both tallies; yield each height with both."""
    sets = Sets(tally.validators, tally.epoch_blocks)
    for height, (who, choice) in enumerate(steps, 1):
        proposer = tally.validators[who % len(tally.validators)]
        vote = None if choice is None else Vote(*choice)
        before = tally
        tally = tally.after(height, proposer, vote)
        sets.after(height, proposer, vote)
        yield height, before, tally, sets


@given(st.integers(1, 6), st.sampled_from([3, 9, 30_000]), STEPS)
def test_a_tally_is_besu_s_sets(size, epoch_blocks, steps):
    for _, _, tally, sets in play(Tally(ALL[:size], epoch_blocks=epoch_blocks), steps):
        assert tally.validators == tuple(sorted(sets.validators))
        assert tally.ballots == sets.ballots


@given(st.integers(1, 6), st.sampled_from([3, 9]), STEPS)
def test_only_more_than_half_change_anything_and_one_at_a_time(size, epoch_blocks, steps):
    for height, before, tally, _ in play(Tally(ALL[:size], epoch_blocks=epoch_blocks), steps):
        changed = {*tally.validators} ^ {*before.validators}
        assert len(changed) <= 1
        assert tally.validators
        if height % epoch_blocks == 0:
            assert (changed, tally.ballots) == (set(), frozenset())
        for subject in changed:  # all but the vote that decided were there before
            voters = {voter for voter, about, _ in before.ballots if about == subject}
            assert len(voters) + 1 > len(before.validators) / 2
        assert {voter for voter, _, _ in tally.ballots} <= {*tally.validators}


def test_more_than_half_of_four_are_three():
    tally = Tally((A, B, C, D))
    for height, voter in enumerate((A, B), 1):
        tally = tally.after(height, voter, Vote(E, is_add=True))
        assert tally.validators == (A, B, C, D)
    assert tally.after(3, C, Vote(E, is_add=True)) == Tally((A, B, C, D, E))


def test_who_votes_twice_counts_once_and_the_later_vote_stands():
    tally = Tally((A, B, C))
    for height in (1, 2, 3):
        tally = tally.after(height, A, Vote(D, is_add=True))
    assert tally.validators == (A, B, C)
    assert tally.after(4, A, Vote(D, is_add=False)).ballots == {(A, D, False)}


def test_a_validator_that_leaves_takes_its_votes_along():
    tally = Tally((A, B, C)).after(1, C, Vote(D, is_add=True)).after(2, A, Vote(C, is_add=False))
    assert tally.after(3, B, Vote(C, is_add=False)) == Tally((A, B))


def test_votes_are_void_at_the_epoch_and_none_is_counted_there():
    tally = Tally((A, B, C), epoch_blocks=10).after(8, A, Vote(D, is_add=True))
    assert tally.after(10, B, Vote(D, is_add=True)) == Tally((A, B, C), epoch_blocks=10)


def test_fewer_votes_suffice_once_a_validator_has_left_and_any_vote_about_the_subject_shows_it():
    tally = Tally((A, B, C, D)).after(1, A, Vote(E, is_add=True)).after(2, B, Vote(E, is_add=True))
    for height, voter in enumerate((A, B, C), 3):
        tally = tally.after(height, voter, Vote(D, is_add=False))
    assert tally.validators == (A, B, C)  # two votes for E stood, and two of three would do
    assert tally.after(6, C, Vote(E, is_add=False)).validators == (A, B, C, E)  # as in Besu, even after a vote against


def test_the_last_validator_cannot_be_voted_out():
    assert Tally((A,)).after(1, A, Vote(A, is_add=False)).validators == (A,)


def test_a_tally_never_changes():
    tally = Tally((A, B, C))
    tally.after(1, A, Vote(D, is_add=True))
    assert tally == Tally((A, B, C))


def test_a_wish_is_cast_until_it_is_cast_or_has_come_true():
    tally = Tally((A, B, C), epoch_blocks=10)
    wishes = [Vote(A, is_add=True), Vote(E, is_add=False), Vote(D, is_add=True), Vote(C, is_add=False)]
    assert tally.choose(A, wishes, 1) == Vote(D, is_add=True)  # A is in and E is not
    voted = tally.after(1, A, Vote(D, is_add=True))
    assert voted.choose(A, wishes, 2) == Vote(C, is_add=False)
    assert voted.choose(B, wishes, 2) == Vote(D, is_add=True)
    assert voted.after(2, A, Vote(C, is_add=False)).choose(A, wishes, 3) is None
    assert tally.choose(A, wishes, 10) is None  # it would be void
