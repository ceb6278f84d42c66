"""A profile knows what goes together, and is the same one after it was written down."""

from collections import Counter
from itertools import combinations
from math import log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainsec.defence.profiles import Profile

FACTS = st.tuples(*(st.sampled_from([f"{facet}={value}" for value in "xyz"]) for facet in "abcd")).map(list)


def fit_by_definition(seen, facts):
    """Return the mean improbability of each fact given each other one, from a plain count of sets."""
    counts = Counter(frozenset(part) for row in seen for size in (0, 1, 2) for part in combinations(row, size))
    expected = {fact: 2.0 * (counts[frozenset([fact])] + 0.5) / (len(seen) + 3.0) for fact in facts}
    return [
        sum(
            -log2((counts[frozenset([fact, other])] + expected[fact]) / (counts[frozenset([other])] + 2.0))
            for other in facts
            if other != fact
        )
        / (len(facts) - 1)
        for fact in facts
    ]


@given(st.lists(FACTS, max_size=12), FACTS)
def test_a_fact_fits_as_well_as_it_went_with_the_others_before(seen, facts):
    profile = Profile()
    for row in seen:
        profile.count(row)
    assert profile.fit(facts) == pytest.approx(fit_by_definition(seen, facts))
    assert dict(profile.counts())[()] == len(seen)


@given(st.lists(FACTS, max_size=12), FACTS)
def test_a_profile_put_together_from_its_counts_is_the_same_one(seen, facts):
    profile, again = Profile(), Profile()
    for row in seen:
        profile.count(row)
    for part, count in profile.counts():
        again.put(part, count)
    assert dict(again.counts()) == dict(profile.counts())
    assert again.fit(facts) == profile.fit(facts)


def test_a_count_of_three_facts_is_none_of_a_profile():
    profile = Profile()
    with pytest.raises(ValueError, match="unpack"):
        profile.put(["a=x", "b=x", "c=x"], 1)
    assert dict(profile.counts()) == {(): 0}
    assert profile.fit(["a=x"]) == [0.0]
