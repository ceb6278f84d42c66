"""The fast loop against py-evm's: the same message in the same state ends in the same everything."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from eth.constants import BLANK_ROOT_HASH
from eth.db.atomic import AtomicDB
from eth.db.backends.memory import MemoryDB
from eth.vm import opcode_values as evm
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.cancun.opcodes import CANCUN_OPCODES
from eth.vm.forks.cancun.state import CancunState
from eth.vm.forks.cancun.transaction_context import CancunTransactionContext
from eth.vm.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chainsec.errors import ConfigError
from chainsec.ledger import interpreter
from chainsec.ledger.state import LedgerState, state_class

pytestmark = pytest.mark.filterwarnings("ignore:SELFDESTRUCT:DeprecationWarning")

SENDER, MAIN, OTHER, PROXY, EMPTY = (bytes([n]) * 20 for n in (0xAA, 0x11, 0x22, 0x33, 0x44))
GAS = 90_000
MOST_STORES = 12
DATA = bytes(range(1, 69))
WORDS = (0, 1, 2, 31, 32, 33, 64, 255, 256, 257, 2**31, 2**64, 2**128 - 1, 2**255 - 1, 2**255, 2**256 - 2, 2**256 - 1)
CALLS = (evm.CALL, evm.CALLCODE, evm.DELEGATECALL, evm.STATICCALL)
NEEDS = {
    **dict.fromkeys((evm.ADDMOD, evm.MULMOD, evm.CALLDATACOPY, evm.CODECOPY, evm.RETURNDATACOPY, evm.MCOPY), 3),
    **dict.fromkeys((evm.ISZERO, evm.NOT, evm.BALANCE, evm.CALLDATALOAD, evm.EXTCODESIZE, evm.EXTCODEHASH), 1),
    **dict.fromkeys((evm.BLOCKHASH, evm.BLOBHASH, evm.POP, evm.MLOAD, evm.SLOAD, evm.JUMP, evm.TLOAD), 1),
    **{op: 2 for op in range(evm.ADD, evm.SHA3 + 1) if op not in (evm.ADDMOD, evm.MULMOD, evm.ISZERO, evm.NOT)},
    **dict.fromkeys((evm.MSTORE, evm.MSTORE8, evm.SSTORE, evm.JUMPI, evm.TSTORE, evm.RETURN, evm.REVERT), 2),
    **{evm.LOG0 + n: n + 2 for n in range(5)},
    **{evm.DUP1 + n: n + 1 for n in range(16)},
    **{evm.SWAP1 + n: n + 2 for n in range(16)},
    evm.EXTCODECOPY: 4,
    evm.CREATE: 3,
    evm.CREATE2: 4,
    evm.SELFDESTRUCT: 1,
}


class World:
    """Two equal states, one of each kind: a rich sender and three contracts with some storage."""

    def __init__(self) -> None:
        self.states = (make_state(CancunState), make_state(LedgerState))

    def run(self, gas: int, *codes: bytes, **message: Any) -> Any:
        """Run the same message on the same codes in both and compare; return what the fast loop gave."""
        (expected, _), (given, computation) = (run_in(state, gas, codes, **message) for state in self.states)
        assert given == expected
        return computation


def run_in(
    state: Any,
    gas: int,
    codes: tuple[bytes, ...],
    *,
    data: bytes = DATA,
    value: int = 0,
    static: bool = False,
    is_create: bool = False,
) -> Any:
    """Run a message and take it back; return all that it did, and py-evm's computation."""
    state.lock_changes()
    snapshot = state.snapshot()
    for address, code in zip((MAIN, OTHER, PROXY), codes, strict=False):
        state.set_code(address, code)
    kind = state.computation_class
    message = Message(
        gas,
        b"" if is_create else MAIN,
        SENDER,
        value,
        b"" if is_create else data,
        data if is_create else codes[0],
        is_static=static,
        create_address=b"\x77" * 20 if is_create else None,
    )
    apply = kind.apply_create_message if is_create else kind.apply_message
    computation = apply(state, message, CancunTransactionContext(gas_price=3, origin=SENDER))
    found = observe(computation), effects_of(state)
    state.revert(snapshot)
    state.clear_transient_storage()
    if len(state._account_db._account_stores) > MOST_STORES:
        state.persist()  # forgets what was read
    return found, computation


def observe(run: Any) -> Any:
    """Everything that can be read of a computation and of those below it."""
    return {
        "error": None if run.is_success else (type(run.error), str(run.error)),
        "output": run.output,
        "return data": run.return_data,
        "gas": (run.get_gas_remaining(), run._gas_meter.gas_remaining, run._gas_meter.gas_refunded),
        "refund": run.get_gas_refund(),
        "logs": run.get_raw_log_entries(),
        "deleted": (run.accounts_to_delete, run.beneficiaries, getattr(run, "contracts_created", None)),
        "stack": [item if isinstance(item, int) else int.from_bytes(item, "big") for item in run._stack.values],
        "memory": bytes(run._memory._bytes),
        "counter": run.code.program_counter,
        "children": [observe(child) for child in run.children],
        "message": [getattr(run.msg, name) for name in ("gas", "to", "sender", "value", "data", "depth", "is_static")],
    }


def effects_of(state: Any) -> Any:
    """Everything that a message may have changed."""
    accounts = state._account_db
    return {
        "warm": set(accounts._journal_accessed_state._journal._current_values),
        "accounts": dict(accounts._journaltrie._journal._current_values),
        "codes": dict(accounts._journaldb._journal._current_values),
        "storage": {
            address: dict(store._journal_storage._journal._current_values)
            for address, store in accounts._account_stores.items()
        },
        "slots read": {address: store.get_accessed_slots() for address, store in accounts._account_stores.items()},
        "transient": {
            key: int.from_bytes(value, "big") if isinstance(value, bytes) else value
            for key, value in state.transient_storage._db._journal._current_values.items()
        },
    }


def make_state(kind: Any) -> Any:
    context = ExecutionContext(
        coinbase=b"\xcc" * 20,
        timestamp=1_700_000_000,
        block_number=7,
        difficulty=0,
        mix_hash=b"\x05" * 32,
        gas_limit=30_000_000,
        prev_hashes=tuple(bytes([n]) * 32 for n in range(1, 8)),
        chain_id=1337,
        base_fee_per_gas=2,
        excess_blob_gas=0,
    )
    state = kind(AtomicDB(MemoryDB()), context, BLANK_ROOT_HASH)
    for address in (MAIN, OTHER, PROXY):
        state.set_balance(address, 1000)
        for slot, value in ((0, 5), (1, 2**255), (32, 1)):
            state.set_storage(address, slot, value)
    state.set_balance(SENDER, 10**18)
    state.persist()
    return state


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def push(value: int) -> bytes:
    width = (value.bit_length() + 7) // 8
    return bytes([evm.PUSH0 + width]) + value.to_bytes(width, "big")


words = st.sampled_from(WORDS) | st.integers(0, 130) | st.integers(0, 2**256 - 1)
places = st.integers(0, 130) | st.sampled_from((1_000, 70_000, 2**64, 2**256 - 1))
sizes = st.integers(0, 70) | st.sampled_from((5_000, 2**70, 2**256 - 1))
addresses = st.sampled_from([MAIN, OTHER, PROXY, EMPTY, SENDER, *(bytes([n]) for n in range(1, 11))]).map(
    lambda address: int.from_bytes(address, "big")
)
opcodes = st.sampled_from(sorted(CANCUN_OPCODES))


@st.composite
def statements(draw: Any) -> bytes:
    """An opcode, most often with fitting items under it; sometimes without."""
    opcode = draw(opcodes)
    if opcode in CALLS:
        gas = draw(st.sampled_from((0, 100, 3_000, 50_000, 2**256 - 1)))
        value = [draw(st.sampled_from((0, 0, 1, 2_000)))] if opcode in (evm.CALL, evm.CALLCODE) else []
        frame = [draw(st.integers(0, 64)) for _ in range(4)]
        items = [gas, draw(addresses), *value, *frame]
    elif opcode in (evm.CREATE, evm.CREATE2):
        # store up to 32 bytes of init code first
        init = draw(st.binary(max_size=31) | blocks(2).map(lambda code: code[:31]))
        salt = [draw(st.integers(0, 1))] if opcode == evm.CREATE2 else []
        prefix = push(int.from_bytes(init.ljust(32, b"\0"), "big")) + push(0) + bytes([evm.MSTORE])
        return (
            prefix
            + b"".join(push(item) for item in reversed([draw(st.sampled_from((0, 1))), 0, len(init), *salt]))
            + bytes([opcode])
        )
    elif opcode in (evm.MSTORE, evm.MSTORE8, evm.MLOAD):
        items = [draw(places), draw(words)][: NEEDS[opcode]]
    elif opcode in (evm.SHA3, evm.RETURN, evm.REVERT) or evm.LOG0 <= opcode <= evm.LOG4:
        items = [draw(places), draw(sizes), *(draw(words) for _ in range(NEEDS[opcode] - 2))]
    elif opcode in (evm.CALLDATACOPY, evm.CODECOPY, evm.RETURNDATACOPY, evm.MCOPY):
        items = [draw(places), draw(places), draw(sizes)]
    elif evm.PUSH0 <= opcode <= evm.PUSH32:
        return bytes([opcode]) + draw(st.binary(min_size=opcode - evm.PUSH0, max_size=opcode - evm.PUSH0))
    elif opcode in (evm.SSTORE, evm.SLOAD, evm.TSTORE, evm.TLOAD):
        items = [draw(st.sampled_from((0, 1, 2, 32, 2**255))) for _ in range(NEEDS[opcode])]
    elif opcode in (evm.BALANCE, evm.EXTCODESIZE, evm.EXTCODEHASH, evm.EXTCODECOPY, evm.SELFDESTRUCT):
        items = [draw(addresses), *(draw(st.integers(0, 70)) for _ in range(NEEDS[opcode] - 1))]
    else:
        items = [draw(words) for _ in range(NEEDS.get(opcode, 0))]
    if draw(st.integers(0, 9)) == 0:
        items = items[: draw(st.integers(0, len(items)))]
    return b"".join(push(item) for item in reversed(items)) + bytes([opcode])


def blocks(most: int) -> Any:
    """A few statements, with those that end a message left out as a rule."""
    return st.lists(statements(), max_size=most).map(b"".join)


@st.composite
def programs(draw: Any, most: int = 4) -> bytes:
    """Straight code, loops of a few rounds, branches and jumps that may miss, one after another."""
    code = b"".join(push(draw(words)) for _ in range(draw(st.integers(0, 6))))
    for _ in range(draw(st.integers(0, most))):
        shape = draw(st.sampled_from(("straight", "loop", "branch", "wild", "computed")))
        inner = draw(blocks(3))
        if shape == "straight":
            code += inner
        elif shape == "loop":
            rounds, start = draw(st.integers(1, 4)), len(code) + 2
            code += push(rounds) + bytes([evm.JUMPDEST]) + inner
            code += bytes([evm.PUSH1, 1, evm.SWAP1, evm.SUB, evm.DUP1, evm.PUSH2])
            code += start.to_bytes(2, "big") + bytes([evm.JUMPI])
        elif shape == "branch":
            condition = push(draw(words))
            after = len(code) + len(condition) + 4 + len(inner)
            code += condition + bytes([evm.PUSH2]) + after.to_bytes(2, "big") + bytes([evm.JUMPI])
            code += inner + bytes([evm.JUMPDEST])
        elif shape == "computed":
            # the target comes over the stack, through arithmetic
            after = len(code) + 7 + len(inner)
            code += bytes([evm.PUSH2]) + (after - 1).to_bytes(2, "big") + bytes([evm.PUSH1, 1, evm.ADD, evm.JUMP])
            code += inner + bytes([evm.JUMPDEST])
        else:
            code += inner + push(draw(st.integers(0, len(code) + 40) | words)) + bytes([evm.JUMP])
    return code + draw(st.binary(max_size=3))


garbage = st.binary(max_size=60) | st.lists(opcodes, max_size=60).map(bytes)


QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large]


codes = st.tuples(programs(), programs(2), programs(2))


@settings(max_examples=400, suppress_health_check=QUIET)
@given(codes, st.integers(0, GAS) | st.just(GAS), st.booleans(), st.sampled_from((0, 7)))
def test_any_program_ends_as_in_py_evm(world, codes, gas, static, value):
    world.run(gas, *codes, static=static, value=value)


@settings(max_examples=300)
@given(garbage, garbage, st.sampled_from((GAS, 3_000, 200)))
def test_any_byte_string_ends_as_in_py_evm(world, main, other, gas):
    world.run(gas, main, other)


@settings(max_examples=25, suppress_health_check=QUIET)
@given(programs(1), programs(1))
def test_at_every_gas_limit_a_short_program_ends_as_in_py_evm(world, main, other):
    used = 2_000 - world.run(2_000, main, other).get_gas_remaining()
    for gas in range(min(used + 2, 250)):
        world.run(gas, main, other)


@settings(max_examples=120, suppress_health_check=QUIET)
@given(programs(), programs(2))
def test_a_creation_ends_as_in_py_evm(world, init, other):
    world.run(GAS, b"", other, is_create=True, data=init)


@pytest.mark.parametrize("opcode", range(256))
def test_each_opcode_ends_as_in_py_evm_at_the_edges_of_the_stack(world, opcode):
    for items in (0, 1, 2, 3, 4, 7, 15, 16, 17, 1022, 1023, 1024):
        for gas in (GAS, 3 * items + 2):
            world.run(gas, push(32) * items + bytes([opcode]))


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("5f56", "InvalidJumpDestination"),  # jump to where no JUMPDEST is
        ("6004565b605b", "InvalidJumpDestination"),  # the 0x5b there is what PUSH1 pushes
        ("60055661005b5b", "InvalidInstruction"),  # the same, one further
        ("6001600a57", "InvalidJumpDestination"),  # conditional, behind the end
        ("50", "InsufficientStack"),
        ("5b5f600056", "FullStack"),  # a loop that pushes
        ("7f" + "ff" * 32 + "51", "OutOfGas"),  # memory that nobody can pay
        ("fe", "InvalidInstruction"),
        ("5f5ffd", "Revert"),
        ("60005f553d", "WriteProtection"),
        ("60015f5f3e", "OutOfBoundsRead"),
    ],
)
def test_what_goes_wrong_has_py_evm_s_name_and_words(world, code, error):
    computation = world.run(GAS, bytes.fromhex(code), static=True)
    assert type(computation.error).__name__ == error
    assert computation.get_gas_remaining() == (0 if error != "Revert" else GAS - 4)


def test_a_push_cut_short_by_the_end_of_the_code_is_filled_with_zeros_and_the_code_stops(world):
    computation = world.run(GAS, bytes([evm.PUSH1 + 3, 7]))
    assert computation.is_success
    assert computation._stack.values == [7 << 24]


def test_a_traced_message_is_left_to_py_evm(world, monkeypatch):
    ran = []
    monkeypatch.setattr(interpreter, "_run", ran.append)
    monkeypatch.setattr(LedgerState.computation_class, "logger", SimpleNamespace(show_debug2=True, debug2=str))
    computation = world.run(GAS, bytes([evm.PUSH1, 7]))
    assert ran == []
    assert computation._stack.values == [b"\x07"]


def test_pieces_are_shared_by_code_and_bounded():
    interpreter.cut.cache_clear()
    assert interpreter.cut(bytes([1, 2])) is interpreter.cut(bytes([1, 2]))
    for number in range(1_000):
        interpreter.cut(number.to_bytes(2, "big"))
    assert interpreter.cut.cache_info().currsize == interpreter.cut.cache_info().maxsize < 1_000


def test_one_environment_variable_chooses_the_loop(monkeypatch):
    monkeypatch.delenv("CHAINSEC_VM", raising=False)
    assert state_class() is LedgerState
    monkeypatch.setenv("CHAINSEC_VM", "py-evm")
    assert state_class() is CancunState
    monkeypatch.setenv("CHAINSEC_VM", "quick")
    with pytest.raises(ConfigError, match="CHAINSEC_VM=quick"):
        state_class()
