"""What validators ask: answered from the contract's own storage, whoever asks, whenever."""

from types import SimpleNamespace
from typing import ClassVar

from eth.vm import opcode_values as op
from eth.vm.forks.cancun.computation import CancunComputation
from eth.vm.message import Message

from chainsec.primitives import ZERO_ADDRESS
from chainsec.services.permissions import role_hash

READER, TRANSACT = role_hash("reader"), 1


def test_many_are_answered_as_one_by_one(network, reverts):
    network.send(network.ann, "defineRole", READER, TRANSACT)
    network.send(network.ann, "assignAccount", network.cara.address, READER)
    accounts = [account.address for account in (network.ann, network.cara, network.dan, network.cara)]
    flags = [True, True, False, False]
    assert network.call("mayTransactMany", accounts, flags) == (True,) * 4
    network.enforce()
    assert network.call("mayTransactMany", accounts, flags) == (True, False, False, True)
    assert network.call("mayTransactMany", [], []) == ()
    with reverts("NodePermissionsLengthMismatch", accounts=4, flags=3):
        network.call("mayTransactMany", accounts, flags[:3])


def views(network):
    """Return every question that validators ask, about all that there is."""
    accounts = [account.address for account in (network.admin, network.ann, network.ben, network.dan)]
    singles = [("mayTransact", account, flag) for account in accounts for flag in (False, True)]
    nodes = [(name, node.address) for name in ("mayConnect", "mayValidate") for node in network.nodes]
    many = [("mayTransactMany", accounts, [False] * 4)]
    return singles + nodes + many + [("getValidators",), ("isEnforced",)]


def populate(network):
    network.enforce()
    network.add(network.ann, network.nodes[1], is_allowed=True)
    network.add(network.ben, network.nodes[2], is_allowed=True)
    network.send(network.admin, "suspendOrganisation", network.lab)


def test_answers_depend_on_neither_the_caller_nor_the_time_nor_other_contracts(network):
    populate(network)
    system = network.system
    answers = [network.call(*view) for view in views(network)]
    system.wait(10 * 365 * 86_400)
    system.send(network.admin, "Authority", "setTargetClosed", network.bound.address, True)  # noqa: FBT003 - the contract's own argument
    for sender in (ZERO_ADDRESS, network.ben.address, network.admin.address, system.contracts["Authority"].address):
        assert [network.call(*view, sender=sender) for view in views(network)] == answers


ELSEWHERE = {
    op.ADDRESS, op.BALANCE, op.ORIGIN, op.CALLER, op.GASPRICE, op.EXTCODESIZE, op.EXTCODECOPY, op.EXTCODEHASH,
    op.BLOCKHASH, op.COINBASE, op.TIMESTAMP, op.NUMBER, op.DIFFICULTY, op.GASLIMIT, op.CHAINID, op.SELFBALANCE,
    op.BASEFEE, op.BLOBHASH, op.BLOBBASEFEE, op.GAS, op.TLOAD, op.TSTORE, op.SSTORE, op.CREATE, op.CREATE2, op.CALL,
    op.CALLCODE, op.DELEGATECALL, op.STATICCALL, op.SELFDESTRUCT,
}  # fmt: skip


class Confined(CancunComputation):
    """An EVM that has nothing but code, call data, memory and the contract's own storage."""

    opcodes: ClassVar = {value: code for value, code in CancunComputation.opcodes.items() if value not in ELSEWHERE}


def test_answers_are_computed_from_the_contracts_own_storage_alone(network):
    populate(network)
    bound, engine = network.bound, network.system.engine

    def compute(data):
        state = engine.chain.get_vm().state
        place = bytes(bound.address)
        message = Message(10**7, place, bytes(20), 0, data, engine.code(place))
        return Confined.apply_message(
            state, message, SimpleNamespace(gas_price=0, origin=bytes(20), blob_versioned_hashes=())
        )

    for name, *arguments in views(network):
        found = compute(bound.encode(name, *arguments))
        assert found.is_success, (name, arguments)
        assert found.output == engine.call(bound.address, bound.encode(name, *arguments))
    refused = compute(bound.encode("removeNode", network.nodes[1].address))
    assert type(refused.error).__name__ == "InvalidInstruction"
