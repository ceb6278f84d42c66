"""Runs the code of a message several times faster than py-evm's loop, with exactly its results.

py-evm calls a validated Python function for each opcode. Here a code is cut once into straight pieces; a piece whose
gas and stack suffice runs in one loop over plain integers. Whatever touches the world is done by py-evm's own opcode
functions, and whatever is about to go wrong is handed, as it stood before, to py-evm's own loop.
Layer: ledger. Not here: state, calls, creations, precompiles (py-evm's own), translating pieces into Python source.
"""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from operator import attrgetter, or_, xor
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
_bytes_of = attrgetter("_bytes")  # py-evm puts another array there when it cannot extend the one it has

# What an instruction inside a piece does. The loop asks in this order, which is how often contracts need each.
_PUSH, _DUP, _SWAP1, _SWAP, _AND, _ADD, _MSTORE, _ISZERO, _CALLDATALOAD, _MLOAD = range(10)
_EQ, _POP, _BINARY, _KECCAK, _READ, _NOT = range(10, 16)
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
    evm.LT: lambda left, right: 1 if left < right else 0,
    evm.GT: lambda left, right: 1 if left > right else 0,
    evm.SUB: lambda left, right: left - right & _MAX,
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
    evm.RETURNDATASIZE: lambda run: len(run.return_data),
    evm.TIMESTAMP: lambda run: run.state.timestamp,
    evm.CHAINID: lambda run: run.state.execution_context.chain_id,
}
# opcode: what it does, items it takes, items it gives, its argument
_SIMPLE: dict[int, tuple[int, int, int, Any]] = {evm.POP: (_POP, 1, 0, None), evm.MSTORE: (_MSTORE, 2, 0, None)}
_SIMPLE |= {evm.AND: (_AND, 2, 1, None), evm.ADD: (_ADD, 2, 1, None), evm.EQ: (_EQ, 2, 1, None)}
_SIMPLE |= {evm.ISZERO: (_ISZERO, 1, 1, None), evm.NOT: (_NOT, 1, 1, None), evm.SHA3: (_KECCAK, 2, 1, None)}
_SIMPLE |= {evm.CALLDATALOAD: (_CALLDATALOAD, 1, 1, None), evm.MLOAD: (_MLOAD, 1, 1, None)}
_SIMPLE |= {opcode: (_BINARY, 2, 1, function) for opcode, function in _BINARIES.items()}
_SIMPLE |= {opcode: (_READ, 0, 1, function) for opcode, function in _READS.items()}
_SIMPLE |= {evm.PUSH0 + n: (_PUSH, 0, 1, None) for n in range(33)}
_SIMPLE |= {evm.DUP1 + n: (_DUP, n + 1, n + 2, -n - 1) for n in range(16)}
_SIMPLE |= {evm.SWAP1 + n: (_SWAP if n else _SWAP1, n + 2, n + 2, -n - 2) for n in range(16)}
_STACK_METHODS = ("pop_ints", "pop_bytes", "pop_any", "pop1_int", "pop1_bytes", "pop1_any", "push_int", "push_bytes")
_MEASURED = {_MSTORE, _MLOAD, _KECCAK}  # their gas depends on more than the opcode
_GAS = {opcode: CANCUN_OPCODES[opcode].gas_cost for opcode in (*_SIMPLE, evm.JUMP, evm.JUMPI, evm.JUMPDEST)}


class Piece(NamedTuple):
    """Opcodes that run one after the other, without a jump in or out, and what follows them.

    Attributes:
        gas: due for all of them, before memory and hashing.
        need: fewest items that the stack has to hold before.
        room: most items that it may hold before, so that it never holds more than 1,024.
        body: what to do, each with its argument.
        end: how it ends, at ``place``, with ``arg``: the target of a jump, or py-evm's opcode function.
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
        self._size = len(code)
        self._code = code + bytes(_WORD + 1)  # beyond its end a code reads as zeros, and zero is STOP
        self.targets = _jump_targets(code)

    def __missing__(self, start: int) -> Piece:
        piece = self[start] = self._cut_piece(start)
        return piece

    def _cut_piece(self, start: int) -> Piece:
        body: list[tuple[int, Any]] = []
        measured: list[tuple[int, int, int]] = []
        gas = height = need = peak = 0
        place = start
        if self._code[place] == evm.JUMPDEST:
            gas, place = _GAS[evm.JUMPDEST], place + 1
        while (opcode := self._code[place]) in _SIMPLE:
            kind, takes, gives, value = _SIMPLE[opcode]
            width = opcode - evm.PUSH0 if kind == _PUSH else 0
            if kind == _PUSH:
                value = int.from_bytes(self._code[place + 1 : place + 1 + width])
            elif kind in _MEASURED:
                measured.append((len(body), place, gas))
            body.append((kind, value))
            need = max(need, takes - height)
            height += gives - takes
            peak = max(peak, height)
            gas += _GAS[opcode]
            place += 1 + width
        if opcode in {evm.JUMP, evm.JUMPI}:
            gas += _GAS[opcode]
            need = max(need, (1 if opcode == evm.JUMP else 2) - height)
        for index, where, before in measured:
            body[index] = (body[index][0], (where, gas - before))
        return Piece(gas, need, _STACK_LIMIT - peak, *self._end(opcode, body), place, place + (place < self._size))

    def _end(self, opcode: int, body: list[tuple[int, Any]]) -> tuple[tuple[tuple[int, Any], ...], int, Any]:
        if opcode == evm.JUMPDEST:
            return tuple(body), _FALL, None
        if opcode not in {evm.JUMP, evm.JUMPI}:
            return tuple(body), _WORLD, CANCUN_OPCODES.get(opcode) or InvalidOpcode(opcode)
        if body and body[-1][0] == _PUSH and body[-1][1] in self.targets:
            return tuple(body[:-1]), _JUMP_TO if opcode == evm.JUMP else _JUMPI_TO, body[-1][1]
        return tuple(body), _JUMP if opcode == evm.JUMP else _JUMPI, None


def _jump_targets(code: bytes) -> frozenset[int]:
    targets, place = [], 0
    while place < len(code):
        opcode = code[place]
        if opcode == evm.JUMPDEST:
            targets.append(place)
        place += opcode - evm.PUSH0 + 1 if evm.PUSH1 <= opcode <= evm.PUSH32 else 1
    return frozenset(targets)


@lru_cache(maxsize=_CACHED_CODES)
def cut(code: bytes) -> Program:
    """Return the pieces of ``code``, shared by every message of the process that runs the same code."""
    return Program(code)


class FastComputation(CancunComputation):  # type: ignore[misc] # py-evm is untyped
    """py-evm's Cancun computation with another loop over the opcodes."""

    def __init__(self, state: Any, message: Any, transaction_context: Any) -> None:
        super().__init__(state, message, transaction_context)
        stack = self._stack
        # py-evm looks each of these up through a slow descriptor when it is first used in a message
        self.__dict__.update({"stack_" + name: getattr(stack, name) for name in _STACK_METHODS})

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
    with suppress(Halt):
        for opcode in computation.code:
            computation.get_opcode_fn(opcode)(computation=computation)


class _OutOfGas(Exception):  # noqa: N818 - no error yet: py-evm's loop makes it one
    """Memory or a hash costs more gas than there is."""


def _grow(ram: Any, gas: int, end: int) -> tuple[int, bytearray]:
    """Extend memory to hold ``end`` bytes; return what that costs, and the array."""
    before, after = len(ram) // _WORD, max(len(ram), end + _WORD - 1) // _WORD
    fee = 3 * (after - before) + after * after // 512 - before * before // 512
    if fee > gas:
        raise _OutOfGas
    ram.extend(0, end)
    return fee, _bytes_of(ram)


def _run(computation: Any) -> None:  # noqa: C901, PLR0912, PLR0915 - a call for each opcode is what this avoids
    program = cut(computation.msg.code)
    targets = program.targets
    data = computation.msg.data_as_bytes
    meter, counter, ram = computation._gas_meter, computation.code, computation._memory  # noqa: SLF001 - shared with py-evm's opcodes
    stack: list[Any] = computation._stack.values  # noqa: SLF001 - as above
    push, pop, from_bytes = stack.append, stack.pop, int.from_bytes
    memory = _bytes_of(ram)
    gas, size, start = meter.gas_remaining, len(memory), 0
    while True:
        due, need, room, body, end, arg, place, follow = program[start]
        if due > gas or not need <= len(stack) <= room:
            place = start
            break
        gas -= due
        try:
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
                    begin = stack[-1]
                    if begin + 32 > size:
                        fee, memory = _grow(ram, gas, begin + 32)
                        gas, size = gas - fee, len(memory)
                    pop()
                    memory[begin : begin + 32] = pop().to_bytes(32, "big")
                elif kind == _ISZERO:
                    stack[-1] = 0 if stack[-1] else 1
                elif kind == _CALLDATALOAD:
                    begin = stack[-1]
                    stack[-1] = from_bytes(data[begin : begin + 32].ljust(32, b"\0"), "big")
                elif kind == _MLOAD:
                    begin = stack[-1]
                    if begin + 32 > size:
                        fee, memory = _grow(ram, gas, begin + 32)
                        gas, size = gas - fee, len(memory)
                    stack[-1] = from_bytes(memory[begin : begin + 32], "big")
                elif kind == _EQ:
                    left = pop()
                    stack[-1] = 1 if stack[-1] == left else 0
                elif kind == _POP:
                    pop()
                elif kind == _BINARY:
                    left = pop()
                    stack[-1] = value(left, stack[-1])
                elif kind == _KECCAK:
                    begin, length = stack[-1], stack[-2]
                    fee = (length + 31) // 32 * _HASH_WORD_GAS
                    if fee > gas or (length and begin + length > size):
                        more, memory = _grow(ram, gas - fee, begin + length)
                        fee, size = fee + more, len(memory)
                    gas -= fee
                    pop()
                    stack[-1] = from_bytes(keccak(bytes(memory[begin : begin + length])), "big")
                elif kind == _READ:
                    push(value(computation))
                else:
                    stack[-1] ^= _MAX
        except _OutOfGas:
            place, rest = value
            gas += rest
            break
        if end == _FALL:
            start = place
        elif end == _JUMPI_TO:
            start = arg if pop() else follow
        elif end == _JUMP:
            start = pop()
            if start not in targets:
                push(start)
                gas += _GAS[evm.JUMP]
                break
        elif end == _JUMP_TO:
            start = arg
        elif end == _WORLD:
            meter.gas_remaining = gas
            counter.program_counter = start = follow
            try:
                arg(computation=computation)
            except Halt:
                return
            gas = meter.gas_remaining
            memory = _bytes_of(ram)
            size = len(memory)
            if stack and type(stack[-1]) is bytes:
                stack[-1] = from_bytes(stack[-1], "big")
        else:
            start = pop()
            if not pop():
                start = follow
            elif start not in targets:
                stack += (1, start)
                gas += _GAS[evm.JUMPI]
                break
    _continue_in_py_evm(computation, gas, place)
