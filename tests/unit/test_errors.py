"""Errors carry their facts, stand in one tree, and survive being copied."""

import copy
import pickle

import pytest

from chainsec import errors
from chainsec.errors import BadAddress, BadInput, ChainSecError, ContractReverted, LedgerError, UnknownRequest

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_expected_failure_stands_in_one_tree_and_says_what_it_means(kind):
    assert issubclass(kind, ChainSecError)
    assert kind.__doc__


@pytest.mark.parametrize("kind", KINDS)
def test_facts_become_attributes_and_the_message_stays_as_it_was(kind):
    error = kind("cannot do it", path="x.toml", line=3)
    assert (str(error), error.path, error.line) == ("cannot do it", "x.toml", 3)
    assert error.facts == {"path": "x.toml", "line": 3}


def test_a_fact_that_is_not_there_is_named():
    with pytest.raises(AttributeError, match="UnknownRequest has no fact 'asset'"):
        _ = UnknownRequest("no such request", request="0x00").asset


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_error_keeps_its_facts_when_it_is_copied_or_pickled(again):
    error = again(ContractReverted("reverted", name="Broke", amount=7))
    assert type(error) is ContractReverted
    assert (str(error), error.name, error.amount, error.facts) == (
        "reverted",
        "Broke",
        7,
        {"name": "Broke", "amount": 7},
    )


def test_a_revert_is_a_failure_of_the_ledger_and_a_bad_address_is_a_bad_value():
    assert issubclass(ContractReverted, LedgerError)
    assert issubclass(BadAddress, BadInput)
    assert issubclass(BadAddress, ValueError)
    assert not issubclass(BadInput, ValueError)
