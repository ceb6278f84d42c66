"""Runs the code of a message several times faster than py-evm's loop, with exactly its results.

py-evm calls a validated Python function for each opcode. Here a code is cut once into straight pieces; a piece whose
gas and stack suffice runs in one loop over plain integers. Whatever touches the world is done by py-evm's own opcode
functions, and whatever is about to go wrong is handed, as it stood before, to py-evm's own loop.
Layer: ledger. Not here: state, calls, creations, precompiles (py-evm's own), translating pieces into Python source.
"""

from __future__ import annotations

from functools import lru_cache
from operator import or_, xor
from typing import TYPE_CHECKING, Any, NamedTuple

from eth.exceptions import Halt
from eth.vm import opcode_values as evm
from eth.vm.forks.cancun.computation import CancunComputation
from eth.vm.forks.cancun.opcodes import CANCUN_OPCODES
from eth.vm.logic.invalid import InvalidOpcode

from chainsec.digest import keccak

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FastComputation", "Piece", "Program", "cut"]

_CACHED_CODES = 128
_CEILING = 2**256
_MAX = _CEILING - 1
_SIGN = 2**255
_STACK_LIMIT = 1024
_WORD = 32
_HASH_WORD_GAS = 6

# What an instruction inside a piece does. The loop asks in this order, which is how often contracts need each.
_PUSH, _DUP, _SWAP1, _SWAP, _AND, _ADD, _MSTORE, _ISZERO, _CALLDATALOAD, _MLOAD = range(10)
_EQ, _POP, _SUB, _LT, _GT, _BINARY, _KECCAK, _READ, _NOT, _MSTORE8 = range(10, 20)
# How a piece ends.
_FALL, _JUMPI_TO, _JUMP, _JUMP_TO, _WORLD, _JUMPI = range(6)


def _signed(value: int) -> int:
    return value - _CEILING if value & _SIGN else value


def _sign_extended(width: int, value: int) -> int:
    if width >= _WORD:
        return value
    sign = 1 << (width * 8 + 7)
    return value | (_CEILING - sign) if value & sign else value & (sign - 1)


_BINARIES: dict[int, Callable[[int, int], int]] = {
    evm.OR: or_,
    evm.XOR: xor,
    evm.MUL: lambda left, right: left * right & _MAX,
    evm.DIV: lambda left, right: left // right if right else 0,
    evm.MOD: lambda left, right: left % right if right else 0,
    evm.SLT: lambda left, right: 1 if _signed(left) < _signed(right) else 0,
    evm.SGT: lambda left, right: 1 if _signed(left) > _signed(right) else 0,
    evm.SHL: lambda shift, value: value << shift & _MAX if shift < 256 else 0,  # noqa: PLR2004 - bits in a word
    evm.SHR: lambda shift, value: value >> shift if shift < 256 else 0,  # noqa: PLR2004 - bits in a word
    evm.SAR: lambda shift, value: _signed(value) >> min(shift, 256) & _MAX,
    evm.BYTE: lambda place, value: value >> 8 * (31 - place) & 0xFF if place < _WORD else 0,
    evm.SIGNEXTEND: _sign_extended,
}
_READS: dict[int, Callable[[Any], int]] = {
    evm.ADDRESS: lambda run: int.from_bytes(run.msg.storage_address),
    evm.CALLER: lambda run: int.from_bytes(run.msg.sender),
    evm.CALLVALUE: lambda run: run.msg.value,
    evm.CALLDATASIZE: lambda run: len(run.msg.data),
    evm.CODESIZE: lambda run: len(run.code),
    evm.RETURNDATASIZE: lambda run: len(run.return_data),
    evm.TIMESTAMP: lambda run: run.state.timestamp,
    evm.NUMBER: lambda run: run.state.block_number,
    evm.CHAINID: lambda run: run.state.execution_context.chain_id,
    evm.MSIZE: lambda run: len(run._memory),  # noqa: SLF001 - py-evm's opcode reads it there too
}
# opcode: what it does, items it takes, items it gives
_SIMPLE: dict[int, tuple[int, int, int]] = {
    evm.AND: (_AND, 2, 1),
    evm.ADD: (_ADD, 2, 1),
    evm.MSTORE: (_MSTORE, 2, 0),
    evm.ISZERO: (_ISZERO, 1, 1),
    evm.CALLDATALOAD: (_CALLDATALOAD, 1, 1),
    evm.MLOAD: (_MLOAD, 1, 1),
    evm.EQ: (_EQ, 2, 1),
    evm.POP: (_POP, 1, 0),
    evm.SUB: (_SUB, 2, 1),
    evm.LT: (_LT, 2, 1),
    evm.GT: (_GT, 2, 1),
    evm.SHA3: (_KECCAK, 2, 1),
    evm.NOT: (_NOT, 1, 1),
    evm.MSTORE8: (_MSTORE8, 2, 0),
    evm.PC: (_PUSH, 0, 1),
    evm.SWAP1: (_SWAP1, 2, 2),
    **{evm.SWAP1 + n: (_SWAP, n + 2, n + 2) for n in range(1, 16)},
    **{evm.DUP1 + n: (_DUP, n + 1, n + 2) for n in range(16)},
    **{evm.PUSH0 + n: (_PUSH, 0, 1) for n in range(33)},
    **dict.fromkeys(_BINARIES, (_BINARY, 2, 1)),
    **dict.fromkeys(_READS, (_READ, 0, 1)),
}
_MEASURED = {_MSTORE, _MLOAD, _KECCAK, _MSTORE8}  # their gas depends on more than the opcode
_GAS = {opcode: CANCUN_OPCODES[opcode].gas_cost for opcode in (*_SIMPLE, evm.JUMP, evm.JUMPI, evm.JUMPDEST)}


class Piece(NamedTuple):
    """Opcodes that run one after the other, without a jump in or out, and what follows them.

    Attributes:
        gas: due for all of them before memory and hashing.
        need: items that have to be on the stack before.
        room: most items that may be there before, so that the stack never holds more than 1,024.
        body: what to do, each with its argument.
        end: how it ends.
        arg: of the end: the target of a jump, or py-evm's opcode function.
        place: of the opcode that ends it, in bytes from the start of the code.
        follow: where the next piece starts if there is no jump.
    """

    gas: int
    need: int
    room: int
    body: tuple[tuple[int, Any], ...]
    end: int
    arg: Any
    place: int
    follow: int


class Program(dict[int, Piece]):
    """A code's pieces by where they start, each cut when it is first reached.

    >>> program = Program(bytes.fromhex("6001600201"))  # PUSH1 1, PUSH1 2, ADD
    >>> program[0].gas, program[0].need, program[0].room
    (9, 0, 1022)
    """

    def __init__(self, code: bytes) -> None:
        super().__init__()
        self._code = code
        self.targets = _jump_targets(code)

    def __missing__(self, start: int) -> Piece:
        piece = self[start] = self._cut_piece(start)
        return piece

    def _cut_piece(self, start: int) -> Piece:  # noqa: C901, PLR0912 - one branch for each kind of opcode
        code, end_of_code = self._code, len(self._code)
        body: list[tuple[int, Any]] = []
        measured: list[tuple[int, int]] = []
        gas = height = need = peak = 0
        place = start
        end, arg, follow = _FALL, None, start
        while True:
            opcode = code[place] if place < end_of_code else evm.STOP
            if opcode == evm.JUMPDEST:
                if place != start:
                    follow = place
                    break
                gas += _GAS[opcode]
                place += 1
                continue
            if opcode in {evm.JUMP, evm.JUMPI}:
                end, follow = (_JUMP if opcode == evm.JUMP else _JUMPI), place + 1
                gas += _GAS[opcode]
                need = max(need, (1 if opcode == evm.JUMP else 2) - height)
                if body and body[-1][0] == _PUSH and body[-1][1] in self.targets:
                    end, arg = (_JUMP_TO if opcode == evm.JUMP else _JUMPI_TO), body.pop()[1]
                break
            if opcode not in _SIMPLE:
                end, arg = _WORLD, CANCUN_OPCODES.get(opcode) or InvalidOpcode(opcode)
                follow = place + 1 if place < end_of_code else place
                break
            kind, takes, gives = _SIMPLE[opcode]
            value: Any = None
            width = 0
            if kind == _PUSH:
                width = max(opcode - evm.PUSH0, 0) if opcode != evm.PC else 0
                value = place if opcode == evm.PC else int.from_bytes(code[place + 1 : place + 1 + width].ljust(width, b"\0"))
            elif kind == _DUP:
                value = evm.DUP1 - opcode - 1
            elif kind == _SWAP:
                value = evm.SWAP1 - opcode - 2
            elif kind == _BINARY:
                value = _BINARIES[opcode]
            elif kind == _READ:
                value = _READS[opcode]
            elif kind in _MEASURED:
                measured.append((len(body), gas))
                value = place
            body.append((kind, value))
            need = max(need, takes - height)
            height += gives - takes
            peak = max(peak, height)
            gas += _GAS[opcode]
            place += 1 + width
        for index, before in measured:
            kind, value = body[index]
            body[index] = (kind, (value, gas - before))
        return Piece(gas, need, _STACK_LIMIT - peak, tuple(body), end, arg, place, follow)


def _jump_targets(code: bytes) -> frozenset[int]:
    targets = []
    place, end = 0, len(code)
    while place < end:
        opcode = code[place]
        if opcode == evm.JUMPDEST:
            targets.append(place)
        elif evm.PUSH1 <= opcode <= evm.PUSH32:
            place += opcode - evm.PUSH0
        place += 1
    return frozenset(targets)


@lru_cache(maxsize=_CACHED_CODES)
def cut(code: bytes) -> Program:
    """Return the pieces of ``code``, shared by every message of the process that runs the same code."""
    return Program(code)


class FastComputation(CancunComputation):  # type: ignore[misc] # py-evm is untyped
    """py-evm's Cancun computation with another loop over the opcodes."""

    @classmethod
    def apply_computation(
        cls, state: Any, message: Any, transaction_context: Any, parent_computation: Any | None = None
    ) -> Any:
        """Run a message's code as py-evm does; a precompile, and all that is traced, py-evm runs itself."""
        if message.code_address in cls._precompiles or cls.logger.show_debug2:
            return super().apply_computation(state, message, transaction_context, parent_computation)
        with cls(state, message, transaction_context) as computation:
            if computation.is_origin_computation:
                computation.contracts_created = []
                if message.is_create:
                    cls.consume_initcode_gas_cost(computation)
            if parent_computation is not None:
                computation.contracts_created = parent_computation.contracts_created
            if message.is_create:
                computation.contracts_created.append(message.storage_address)
            if message.code:
                _run(computation)
        return computation


def _continue_in_py_evm(computation: Any, gas: int, place: int) -> None:
    """Go on in py-evm's own loop at ``place``: whatever is wrong there, it finds and names."""
    computation._gas_meter.gas_remaining = gas  # noqa: SLF001 - py-evm has no other way to set it
    computation.code.program_counter = place
    for opcode in computation.code:
        try:
            computation.get_opcode_fn(opcode)(computation=computation)
        except Halt:
            break


def _run(computation: Any) -> None:  # noqa: C901, PLR0912, PLR0915 - a call for each opcode is what this avoids
    program = cut(computation.msg.code)
    targets = program.targets
    data = computation.msg.data_as_bytes
    meter, counter = computation._gas_meter, computation.code  # noqa: SLF001 - shared with py-evm's opcodes
    stack: list[int] = computation._stack.values  # noqa: SLF001 - shared with py-evm's opcodes
    ram = computation._memory  # noqa: SLF001 - shared with py-evm's opcodes
    memory = ram._bytes
    size = len(memory)
    push, pop = stack.append, stack.pop
    from_bytes = int.from_bytes
    gas = meter.gas_remaining
    start = 0
    while True:
        due, need, room, body, end, arg, place, follow = program[start]
        if due > gas or not need <= len(stack) <= room:
            _continue_in_py_evm(computation, gas, start)
            return
        gas -= due
        for kind, value in body:
            if kind == _PUSH:
                push(value)
            elif kind == _DUP:
                push(stack[value])
            elif kind == _SWAP1:
                stack[-1], stack[-2] = stack[-2], stack[-1]
            elif kind == _SWAP:
                stack[-1], stack[value] = stack[value], stack[-1]
            elif kind == _AND:
                left = pop()
                stack[-1] &= left
            elif kind == _ADD:
                left = pop()
                stack[-1] = stack[-1] + left & _MAX
            elif kind == _MSTORE:
                begin = pop()
                if begin + 32 > size:
                    fee = _memory_fee(size, begin + 32)
                    if fee > gas:
                        push(begin)
                        _continue_in_py_evm(computation, gas + value[1], value[0])
                        return
                    gas -= fee
                    ram.extend(begin, 32)
                    memory = ram._bytes
                    size = len(memory)
                memory[begin : begin + 32] = pop().to_bytes(32, "big")
            elif kind == _ISZERO:
                stack[-1] = 0 if stack[-1] else 1
            elif kind == _CALLDATALOAD:
                begin = stack[-1]
                stack[-1] = from_bytes(data[begin : begin + 32].ljust(32, b"\0"), "big")
            elif kind == _MLOAD:
                begin = stack[-1]
                if begin + 32 > size:
                    fee = _memory_fee(size, begin + 32)
                    if fee > gas:
                        _continue_in_py_evm(computation, gas + value[1], value[0])
                        return
                    gas -= fee
                    ram.extend(begin, 32)
                    memory = ram._bytes
                    size = len(memory)
                stack[-1] = from_bytes(memory[begin : begin + 32], "big")
            elif kind == _EQ:
                left = pop()
                stack[-1] = 1 if stack[-1] == left else 0
            elif kind == _POP:
                pop()
            elif kind == _SUB:
                left = pop()
                stack[-1] = left - stack[-1] & _MAX
            elif kind == _LT:
                left = pop()
                stack[-1] = 1 if left < stack[-1] else 0
            elif kind == _GT:
                left = pop()
                stack[-1] = 1 if left > stack[-1] else 0
            elif kind == _BINARY:
                left = pop()
                stack[-1] = value(left, stack[-1])
            elif kind == _KECCAK:
                begin, length = stack[-1], stack[-2]
                fee = (length + 31) // 32 * _HASH_WORD_GAS
                if length and begin + length > size:
                    fee += _memory_fee(size, begin + length)
                if fee > gas:
                    _continue_in_py_evm(computation, gas + value[1], value[0])
                    return
                gas -= fee
                if length and begin + length > size:
                    ram.extend(begin, length)
                    memory = ram._bytes
                    size = len(memory)
                pop()
                stack[-1] = from_bytes(keccak(bytes(memory[begin : begin + length])), "big")
            elif kind == _READ:
                push(value(computation))
            elif kind == _NOT:
                stack[-1] ^= _MAX
            else:
                begin = pop()
                if begin >= size:
                    fee = _memory_fee(size, begin + 1)
                    if fee > gas:
                        push(begin)
                        _continue_in_py_evm(computation, gas + value[1], value[0])
                        return
                    gas -= fee
                    ram.extend(begin, 1)
                    memory = ram._bytes
                    size = len(memory)
                memory[begin] = pop() & 0xFF
        if end == _FALL:
            start = follow
        elif end == _JUMPI_TO:
            start = arg if pop() else follow
        elif end == _JUMP:
            start = pop()
            if start not in targets:
                push(start)
                _continue_in_py_evm(computation, gas + _GAS[evm.JUMP], place)
                return
        elif end == _JUMP_TO:
            start = arg
        elif end == _WORLD:
            meter.gas_remaining = gas
            counter.program_counter = follow
            try:
                arg(computation=computation)
            except Halt:
                return
            gas = meter.gas_remaining
            memory = ram._bytes
            size = len(memory)
            if stack and type(stack[-1]) is bytes:
                stack[-1] = from_bytes(stack[-1], "big")
            start = follow
        else:
            target = pop()
            if not pop():
                start = follow
            elif target in targets:
                start = target
            else:
                stack += (1, target)
                _continue_in_py_evm(computation, gas + _GAS[evm.JUMPI], place)
                return


def _memory_fee(size: int, end: int) -> int:
    before, after = size // 32, (end + 31) // 32
    return 3 * (after - before) + after * after // 512 - before * before // 512
