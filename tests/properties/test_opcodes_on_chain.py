"""Blocks with every opcode at work: plain py-evm imports each, with the same gas, logs, return data and roots."""

from __future__ import annotations

from typing import Any

import pytest
from eth.exceptions import Revert
from eth.vm import opcode_values as evm
from eth.vm.forks.cancun.opcodes import CANCUN_OPCODES
from eth.vm.spoof import SpoofTransaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chainsec.ledger.account import Account
from chainsec.ledger.engine import CallReverted
from chainsec.ledger.opening import open_local

pytestmark = pytest.mark.filterwarnings("ignore:SELFDESTRUCT:DeprecationWarning")

PEOPLE = [Account.derive(b"opcodes", str(number)) for number in range(3)]
GAS = 400_000
INVALID = 0xFE


def push(value: int | bytes) -> bytes:
    raw = value if isinstance(value, bytes) else value.to_bytes((value.bit_length() + 7) // 8, "big")
    return bytes([evm.PUSH0 + len(raw)]) + raw


def run(*parts: int | bytes) -> bytes:
    """Assemble opcodes, given as numbers, and code, given as bytes."""
    return b"".join(part if isinstance(part, bytes) else bytes([part]) for part in parts)


def kept(*parts: int | bytes) -> bytes:
    """Code whose result is mixed into the running hash in memory at 0."""
    return run(*parts, push(32), evm.MSTORE, push(64), push(0), evm.SHA3, push(0), evm.MSTORE)


def plain(*opcodes: int) -> bytes:
    return b"".join(map(kept, opcodes))


# what is sent with a call: a word, a word, and the address of another of these contracts
A, B, OTHER = (run(push(32 * place), evm.CALLDATALOAD) for place in range(3))
BINARY = (
    *(evm.ADD, evm.MUL, evm.SUB, evm.DIV, evm.SDIV, evm.MOD, evm.SMOD, evm.SIGNEXTEND, evm.LT, evm.GT, evm.SLT),
    *(evm.SGT, evm.EQ, evm.AND, evm.OR, evm.XOR, evm.BYTE, evm.SHL, evm.SHR, evm.SAR),
)
CHILD = run(push(7), push(0), evm.SSTORE, evm.CALLER, push(0), evm.MSTORE, push(32), push(0), evm.RETURN)


def pass_on(opcode: int, target: bytes, value: int = 0, gas: int = 70_000) -> bytes:
    """Send the own call data on to ``target``, and keep what comes back."""
    values = [push(value)] if opcode in (evm.CALL, evm.CALLCODE) else []
    return (
        run(push(96), push(0), push(64), evm.CALLDATACOPY)
        + kept(push(32), push(160), push(96), push(64), *values, target, push(gas), opcode)
        + kept(push(160), evm.MLOAD)
        + kept(evm.RETURNDATASIZE)
        + run(evm.RETURNDATASIZE, push(0), push(192), evm.RETURNDATACOPY)
        + kept(push(192), evm.MLOAD)
    )


END = run(push(0), evm.MLOAD, evm.DUP1, push(99), evm.SSTORE, push(32), push(0), evm.RETURN)
BODIES = {
    "arithmetic and bits": b"".join(kept(B, A, opcode) for opcode in BINARY)
    + b"".join(kept(B, A, B, opcode) for opcode in (evm.ADDMOD, evm.MULMOD))
    + kept(push(3), A, evm.EXP)
    + b"".join(kept(A, opcode) for opcode in (evm.ISZERO, evm.NOT))
    + b"".join(kept(A, push(by), opcode) for by in (0, 8, 255) for opcode in (evm.SHL, evm.SHR, evm.SAR, evm.BYTE)),
    "memory and keccak": run(push(96), push(0), push(64), evm.CALLDATACOPY)
    + run(push(40), push(3), push(96), evm.CODECOPY, push(70), push(64), push(200), evm.MCOPY)
    + run(A, push(300), evm.MSTORE8)
    + kept(push(250), push(64), evm.SHA3)
    + plain(evm.MSIZE, evm.CODESIZE, evm.CALLDATASIZE, evm.PC, evm.GAS),
    "environment": plain(evm.ADDRESS, evm.ORIGIN, evm.CALLER, evm.CALLVALUE, evm.GASPRICE, evm.SELFBALANCE)
    + b"".join(kept(OTHER, opcode) for opcode in (evm.BALANCE, evm.EXTCODESIZE, evm.EXTCODEHASH))
    + run(push(32), push(0), push(64), OTHER, evm.EXTCODECOPY)
    + kept(push(64), evm.MLOAD),
    "block": plain(evm.COINBASE, evm.TIMESTAMP, evm.NUMBER, evm.DIFFICULTY, evm.GASLIMIT, evm.CHAINID, evm.BASEFEE)
    + plain(evm.BLOBBASEFEE)
    + kept(push(1), evm.NUMBER, evm.SUB, evm.BLOCKHASH)
    + kept(A, evm.BLOCKHASH)
    + kept(push(0), evm.BLOBHASH),
    "storage": run(B, A, evm.SSTORE)
    + kept(A, evm.SLOAD)
    + run(push(0), A, evm.SSTORE, A, push(5), evm.SSTORE, B, push(5), evm.SSTORE)
    + kept(push(5), evm.SLOAD)
    + run(B, A, evm.TSTORE)
    + kept(A, evm.TLOAD),
    "stack": b"".join(push(bytes([width] * width)) for width in range(1, 33))
    + run(evm.PUSH0)
    + b"".join(run(evm.DUP1 + n, evm.SWAP1 + n) for n in range(16))
    + b"".join(kept() for _ in range(33))
    + run(evm.POP),
    "jumps": run(push(6), evm.JUMPDEST)
    + kept(evm.PC)
    + run(push(1), evm.SWAP1, evm.SUB, evm.DUP1, push(2), evm.JUMPI, evm.POP)
    + run(push(1), push(28), evm.JUMP, INVALID, evm.JUMPDEST)
    + kept(),
    "logs": b"".join(
        run(*(push(topic + 1) for topic in range(count)), push(40), push(8 * count), evm.LOG0 + count)
        for count in range(5)
    )
    + run(A, B, push(0), push(0), evm.LOG0 + 2),
    "create": run(push(CHILD.ljust(32, b"\0")), push(64), evm.MSTORE)
    + kept(push(len(CHILD)), push(64), push(0), evm.CREATE)
    + kept(push(1), push(len(CHILD)), push(64), push(0), evm.CREATE2)
    + kept(A, push(4), push(64), push(1), evm.CREATE2),
    "call": pass_on(evm.CALL, OTHER, 1) + pass_on(evm.CALL, OTHER),
    "delegatecall": pass_on(evm.DELEGATECALL, OTHER),
    "callcode": pass_on(evm.CALLCODE, OTHER),
    "staticcall": pass_on(evm.STATICCALL, OTHER),
    "precompiles": b"".join(pass_on(evm.STATICCALL, push(number), gas=12_000) for number in range(1, 11)),
    "selfdestruct": run(OTHER, evm.SELFDESTRUCT),
    "revert": run(A, push(0), evm.MSTORE, push(36), push(0), evm.REVERT),
    "stop": run(A, push(1), evm.SSTORE, evm.STOP),
    "invalid": run(INVALID),
    "unknown": b"\x0c",
    "bad jump": run(A, evm.JUMP),
    "out of gas": run(push(2**64), evm.MLOAD),
    "short stack": run(evm.POP),
}
NAMES = list(BODIES)
CODES = [body + END for body in BODIES.values()]


def creation(code: bytes) -> bytes:
    return (
        run(push(len(code).to_bytes(2, "big")), evm.DUP1, push(10), push(0), evm.CODECOPY, push(0), evm.RETURN) + code
    )


class Twins:
    """An engine and a plain chain with the same first block; every contract deployed."""

    def __init__(self, follower: Any) -> None:
        self.engine = open_local(None, chain_id=1337, accounts=PEOPLE)
        self.follower = follower(self.engine)
        for code in CODES:
            self.send(PEOPLE[0], None, creation(code), 900_000, 0)
        self.engine.mine()
        receipts = self.engine.receipts(self.engine.head().transaction_hashes)
        self.addresses = [bytes(receipt.contract_address) for receipt in receipts if receipt.status]
        assert [self.engine.code(address) for address in self.addresses] == CODES
        self.follower.compare()

    def send(self, who: Account, to: bytes | None, data: bytes, gas: int, value: int) -> None:
        nonce = self.engine.next_nonce(who.address)
        signed = who.sign(nonce=nonce, to=to, data=data, gas=gas, value=value, gas_price=2, chain_id=1337)
        self.engine.send(signed.raw)

    def call(self, who: Account, to: bytes, data: bytes, value: int) -> Any:
        """Return what a call gives in the engine, having compared it with the plain chain's."""
        fields = {"gas": GAS, "to": to, "value": value, "data": data, "gas_price": 0}
        unsigned = self.follower.chain.create_unsigned_transaction(nonce=self.engine.nonce(who.address), **fields)
        state = self.follower.chain.get_vm(self.follower.chain.get_canonical_head().copy(base_fee_per_gas=0)).state
        expected = state.costless_execute_transaction(SpoofTransaction(unsigned, from_=bytes(who.address)))
        try:
            found: Any = self.engine.call(to, data, sender=who.address, value=value, gas=GAS)
        except CallReverted as failed:
            found = (failed.name, failed.data)
        error = expected.error if expected.is_error else None
        shown = (
            expected.output if error is None else (type(error).__name__, expected.output * isinstance(error, Revert))
        )
        assert found == shown
        return found


def words_of(code: bytes) -> set[int]:
    """Return the opcodes in ``code``."""
    found, place = set(), 0
    while place < len(code):
        opcode = code[place]
        found.add(opcode)
        place += 1 + max(0, opcode - evm.PUSH0) * (opcode <= evm.PUSH32)
    return found


def test_every_opcode_of_the_fork_is_at_work_somewhere():
    assert set().union(*map(words_of, CODES)) >= set(CANCUN_OPCODES)


@pytest.fixture(scope="module")
def twins(follower) -> Twins:
    return Twins(follower)


@pytest.mark.parametrize("name", NAMES)
def test_each_group_ends_as_in_plain_py_evm_alone_and_called_by_each_kind_of_call(twins, name):
    place = NAMES.index(name)
    data = (3).to_bytes(32, "big") + (2**255 + 9).to_bytes(32, "big") + bytes(12) + twins.addresses[place]
    found = twins.call(PEOPLE[1], twins.addresses[place], data, 0)
    fails = {"revert", "invalid", "unknown", "bad jump", "out of gas", "short stack"}
    assert isinstance(found, tuple) == (name in fails)
    for caller in (name, "call", "delegatecall", "callcode", "staticcall"):
        twins.send(PEOPLE[1], twins.addresses[NAMES.index(caller)], data, GAS, 3)
    twins.engine.mine()
    twins.follower.compare()


words = st.sampled_from([0, 1, 5, 31, 32, 255, 256, 2**64, 2**255, 2**256 - 1]) | st.integers(0, 2**256 - 1)
sends = st.tuples(
    st.integers(0, 2),
    st.integers(0, len(NAMES) - 1),
    words,
    words,
    st.integers(0, len(NAMES) - 1),
    st.sampled_from([GAS, GAS, 60_000, 30_000, 22_500]),
    st.sampled_from([0, 0, 5]),
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(st.lists(sends, min_size=1, max_size=6), min_size=1, max_size=3))
def test_any_blocks_of_calls_end_as_in_plain_py_evm(twins, blocks):
    for block in blocks:
        for who, place, a, b, other, gas, value in block:
            data = a.to_bytes(32, "big") + b.to_bytes(32, "big") + bytes(12) + twins.addresses[other]
            twins.call(PEOPLE[who], twins.addresses[place], data, value)
            twins.send(PEOPLE[who], twins.addresses[place], data, gas, value)
        assert len(twins.engine.mine().transaction_hashes) == len(block)
        twins.follower.compare()
