"""A deployment wires every role to its functions, the same way every time."""

import pytest

from chainsec.config import Limits
from chainsec.deployment import Keys, deploy
from chainsec.errors import ContractReverted
from chainsec.ledger.account import Account
from chainsec.ledger.artifact import load_artifact
from chainsec.ledger.client import Client
from chainsec.ledger.engine import open_engine


@pytest.fixture
def keys():
    return Keys(*(Account.derive(b"tests/deployment", role) for role in Keys.__dataclass_fields__))


@pytest.fixture
def engine():
    with open_engine(accounts=()) as opened:
        yield opened


def test_every_contract_stands_with_the_code_of_its_artifact_under_its_name(engine, keys):
    deployment = deploy(Client(engine, transaction_gas=15_000_000), keys, Limits())
    for name, address in deployment.addresses().items():
        assert load_artifact(name).has_runtime(engine.code(address)), name
    assert len(set(deployment.addresses().values())) == len(vars(deployment)) == 7


def test_the_first_blocks_deploy_one_contract_each_in_a_fixed_order(engine, keys):
    deployment = deploy(Client(engine, transaction_gas=15_000_000), keys, Limits())
    places = [engine.receipt(engine.block(number).transaction_hashes[0]).contract_address for number in range(1, 8)]
    assert places == list(deployment.addresses().values())
    assert engine.head().number == 8


def test_the_limits_in_force_are_those_of_the_settings(engine, keys):
    limits = Limits(sensitivity_ceiling=1, window_s=600, grants_per_window=3, restrictions_per_window=2)
    deployment = deploy(Client(engine, transaction_gas=15_000_000), keys, limits)
    found = deployment.sentinel.contract.call("limitsInForce")
    assert found == tuple(limits.model_dump().values())
    assert deployment.sentinel.restrictions_left() == 2


def test_the_same_keys_give_the_same_chain(keys):
    heads = []
    for _ in range(2):
        with open_engine(accounts=()) as engine:
            deploy(Client(engine, transaction_gas=15_000_000), keys, Limits())
            heads.append(engine.head().hash)
    assert heads[0] == heads[1]


def test_an_agent_that_is_an_administrator_too_is_refused(engine, keys):
    both = Keys(**vars(keys) | {"agent": keys.admin})
    with pytest.raises(ContractReverted) as caught:
        deploy(Client(engine, transaction_gas=15_000_000), both, Limits())
    assert caught.value.name == "AuthorityRoleConflict"


@pytest.mark.parametrize("role", ["guardian", "steward", "notary", "policy", "admin"])
def test_nobody_but_the_agent_decides(engine, keys, role):
    deployment = deploy(Client(engine, transaction_gas=15_000_000), keys, Limits())
    sentinel = deployment.sentinel.contract
    with pytest.raises(ContractReverted) as caught:
        sentinel.call("decideMany", [], sender=getattr(keys, role).address)
    assert caught.value.name == "AccessManagedUnauthorized"
    assert sentinel.call("decideMany", [], sender=keys.agent.address) is None
