"""Names have keys, and nobody acts who was not introduced."""

import pytest

from chainsec.deployment import Keys
from chainsec.errors import UnknownParty
from chainsec.parties import Parties


@pytest.fixture
def parties():
    found = Parties(b"seed")
    found.enter_organisation("clinic")
    found.enter_organisation("lab")
    found.enter_member("clinic", "ann")
    return found


def test_the_same_seed_gives_the_same_keys_and_another_seed_none_of_them():
    names = ["ann", "", "clinic", "0x00"]
    first, again, other = ([Parties(seed).account(name) for name in names] for seed in (b"seed", b"seed", b"other"))
    assert first == again
    assert not set(first) & set(other)
    assert len(set(first)) == len(names)


@pytest.mark.parametrize("name", ["agent", "role:agent", "gateway:clinic", "clinic", "role", "\0agent"])
def test_no_name_out_of_a_log_gets_the_key_of_a_role_or_a_gateway(parties, name):
    reserved = {parties.role(role) for role in Keys.__dataclass_fields__} | {parties.gateway("clinic")}
    assert parties.account(name) not in reserved
    assert len(reserved) == len(Keys.__dataclass_fields__) + 1


def test_a_member_acts_for_the_latest_house_or_for_the_one_that_is_named(parties):
    assert parties.house_of("ann") == "clinic"
    parties.enter_member("lab", "ann")
    assert parties.house_of("ann") == "lab"
    assert parties.house_of("ann", "clinic") == "clinic"


@pytest.mark.parametrize(
    ("member", "organisation", "party"),
    [
        ("zoe", None, "zoe"),
        ("ann", "lab", "ann"),
        ("ann", "ghost", "ghost"),
        ("clinic", None, "clinic"),
        ("ann", "ann", "ann"),
    ],
)
def test_a_house_that_somebody_does_not_act_for_is_refused(parties, member, organisation, party):
    with pytest.raises(UnknownParty) as caught:
        parties.house_of(member, organisation)
    assert caught.value.party == party


def test_a_member_of_an_organisation_that_nobody_introduced_is_not_entered(parties):
    with pytest.raises(UnknownParty, match="no organisation 'ghost'"):
        parties.enter_member("ghost", "zoe")
    with pytest.raises(UnknownParty, match="'zoe'"):
        parties.require(["ann", "zoe"])


def test_everybody_introduced_is_known(parties):
    parties.enter("patient")
    parties.require(["ann", "clinic", "lab", "patient"])
    parties.require([])
