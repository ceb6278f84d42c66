"""Purposes: names, IRIs and hashes lead to the same terms, and nothing else does."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainsec.digest import keccak
from chainsec.errors import UnknownPurpose
from chainsec.purposes import DPV_ROOT, PURPOSES, find_purpose, purpose_of_hash


@pytest.mark.parametrize("name", sorted(PURPOSES))
def test_name_iri_and_hash_lead_to_one_purpose(name):
    purpose = PURPOSES[name]
    assert find_purpose(name) is purpose
    assert find_purpose(f"  {name.upper()} ") is purpose
    assert find_purpose(purpose.iri) is purpose
    assert purpose_of_hash(keccak(purpose.iri.encode())) is purpose


def test_every_iri_is_a_term_of_the_vocabulary_and_stands_for_one_purpose_only():
    iris = [purpose.iri for purpose in PURPOSES.values()]
    assert len(set(iris)) == len(iris)
    assert all(re.fullmatch(re.escape(DPV_ROOT) + r"(/sector/health)?#[A-Z][A-Za-z]+", iri) for iri in iris)


def test_names_are_equal_to_the_keys_they_stand_under():
    assert {name: name for name in PURPOSES} == {name: purpose.name for name, purpose in PURPOSES.items()}


def test_unknown_purpose_is_named_together_with_those_that_are_known():
    with pytest.raises(UnknownPurpose) as caught:
        find_purpose("curiosity")
    assert "'curiosity'" in str(caught.value)
    assert all(name in str(caught.value) for name in PURPOSES)
    assert caught.value.purpose == "curiosity"
    assert caught.value.known == tuple(sorted(PURPOSES))


def test_an_iri_of_the_vocabulary_that_is_not_registered_is_unknown():
    with pytest.raises(UnknownPurpose):
        find_purpose(DPV_ROOT + "#Marketing")


def test_an_iri_is_matched_to_the_letter():
    with pytest.raises(UnknownPurpose):
        find_purpose(PURPOSES["research"].iri.lower())


def test_a_hash_of_nothing_registered_is_unknown():
    with pytest.raises(UnknownPurpose):
        purpose_of_hash(bytes(32))


@given(st.text())
def test_any_other_text_is_refused_with_one_line(text):
    if text.strip().lower() in PURPOSES or text.strip() in {purpose.iri for purpose in PURPOSES.values()}:
        return
    with pytest.raises(UnknownPurpose) as caught:
        find_purpose(text)
    assert len(str(caught.value).splitlines()) == 1
