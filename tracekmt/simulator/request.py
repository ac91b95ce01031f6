"""A call on its way through the simulator: accessors on its argument, the rules it is held against, and its effect."""

from __future__ import annotations

import struct as packing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from tracekmt.codec.memory import Memory
from tracekmt.codec.parameters import parameter_block
from tracekmt.codec.wchars import decode_terminated
from tracekmt.simulator.model.machine import Process
from tracekmt.simulator.model.nt_handles import CURRENT_PROCESS
from tracekmt.simulator.model.objects import Adapter
from tracekmt.simulator.rule import NULL_ARGUMENT, ValidationRule
from tracekmt.spec import types as t
from tracekmt.spec.layout import Layout, lay_out

TEXT_LIMIT = 1 << 15


class View(dict[str, int]):
    """A structure in the caller's memory, as the numbers of its fields by their paths: "hDevice", "Info.Type"; of one
    bit: "Flags.CreateResource". It is read once, as the kernel does; what is set goes to the memory alone."""

    def __init__(self, memory: Memory, layout: Layout, address: int, data: bytes | None = None) -> None:
        self.memory = memory
        self.layout = layout
        self.address = address
        self._data = memory.read(address, layout.size) if data is None else data
        # Rules look at most fields, some of them many times: those that are plain numbers are unpacked in one go.
        names, unpack = _numbers(layout)
        super().__init__(zip(names, unpack(self._data)))  # noqa: B905

    def __missing__(self, path: str) -> int:
        start, end, mask = self.layout.span(path)
        found = int.from_bytes(self._data[start:end], "little") & mask
        super().__setitem__(path, found)
        return found

    def __setitem__(self, path: str, value: int) -> None:
        start, end, _ = self.layout.span(path)
        self.memory.write(self.address + start, value.to_bytes(end - start, "little"))

    def flags(self, name: str) -> frozenset[str]:
        """The names of the bits that are set in a word of flags."""
        word = self.layout.slot(name).field.type
        assert isinstance(word, t.Flags)
        return _names_of(word, self[name])

    def signed(self, path: str) -> int:
        """A field as a signed number."""
        start, end, _ = self.layout.span(path)
        return int.from_bytes(self._data[start:end], "little", signed=True)

    def follow(self, name: str, index: int = 0) -> View:
        """The structure that a field points to, or one element of the array."""
        pointer = self.layout.slot(name).field.type
        assert isinstance(pointer, t.Pointer)
        assert isinstance(pointer.to, t.Struct)
        layout = lay_out(pointer.to, self.layout.abi)
        return View(self.memory, layout, self[name] + index * layout.size)

    def elements(self, name: str, count: int) -> list[View]:
        """The first structures of an array in place."""
        slot = self.layout.slot(name)
        assert isinstance(slot.field.type, t.Array)
        assert isinstance(slot.field.type.of, t.Struct)
        layout = lay_out(slot.field.type.of, self.layout.abi)
        room = min(count, slot.field.type.count)
        return [View(self.memory, layout, self.address + slot.offset + at * layout.size) for at in range(room)]

    def bytes(self, name: str, length: str) -> bytes:
        """What a pointer with a length points to."""
        return self.memory.read(self[name], self[length]) if self[length] else b""

    def numbers(self, name: str, count: int) -> list[int]:
        """The numbers that a field points to."""
        pointer = self.layout.slot(name).field.type
        assert isinstance(pointer, t.Pointer)
        assert isinstance(pointer.to, t.Integer)
        size = pointer.to.size or t.POINTER_SIZE[self.layout.abi]
        data = self.memory.read(self[name], size * count) if count else b""
        return [int.from_bytes(data[at : at + size], "little") for at in range(0, len(data), size)]

    def write_through(self, name: str, value: int) -> None:
        """Write a number to where a field points."""
        pointer = self.layout.slot(name).field.type
        assert isinstance(pointer, t.Pointer)
        assert isinstance(pointer.to, t.Integer)
        self.memory.write(self[name], value.to_bytes(pointer.to.size or t.POINTER_SIZE[self.layout.abi], "little"))

    def characters(self, path: str) -> str:
        """The WCHARs of an array in place, up to a zero."""
        start, end, _ = self.layout.span(path)
        return decode_terminated(self._data[start:end], t.WCHAR_SIZE[self.layout.abi])[0]

    def text(self, name: str) -> str:
        """The WCHARs that a pointer leads to, up to a zero."""
        size, address, found = t.WCHAR_SIZE[self.layout.abi], self[name], bytearray()
        while len(found) < TEXT_LIMIT and any(character := self.memory.read(address + len(found), size)):
            found += character
        return decode_terminated(bytes(found), size)[0]


@lru_cache(maxsize=1024)
def _numbers(layout: Layout) -> tuple[tuple[str, ...], Callable[[bytes], tuple[int, ...]]]:
    """The members of a structure that are plain numbers, of each union the first, and what unpacks them."""
    names: list[str] = []
    code, end = "<", 0
    for slot in sorted(layout.slots, key=lambda slot: slot.offset):
        if slot.offset >= end and isinstance(slot.field.type, _PLAIN) and slot.size in _CODES:
            code += f"{slot.offset - end}x{_CODES[slot.size]}"
            names.append(slot.field.name)
            end = slot.offset + slot.size
    return tuple(names), packing.Struct(code).unpack_from


_PLAIN = (t.Integer, t.Enum, t.Flags, t.Pointer, t.Address, t.Bytes)
_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}


@lru_cache(maxsize=4096)
def _names_of(word: t.Flags, value: int) -> frozenset[str]:
    return frozenset(bit.name for bit in word.bits if value & word.mask(bit.name))


class Request:
    """One call: who makes it, with what. Families add what their rules look at."""

    def __init__(
        self, process: Process, call: t.CallSpec, abi: t.Abi, memory: Memory, arguments: Sequence[int]
    ) -> None:
        self.process = process
        self.machine = process.machine
        self.spec = call
        self.memory = memory
        self.abi = abi
        self.arguments = arguments
        self.pointer_size = t.POINTER_SIZE[abi]
        layout = lay_out(call.argument, abi)
        if call.argument.parameters:
            self.args = View(memory, layout, 0, parameter_block(layout, arguments))
        else:
            self.args = View(memory, layout, arguments[0])

    def is_current_process(self, name: str) -> bool:
        """Whether a field holds what GetCurrentProcess gives."""
        return self.args[name] == CURRENT_PROCESS & (1 << 8 * self.pointer_size) - 1

    @property
    def adapter(self) -> Adapter | None:
        """The adapter that the call concerns, where it names one."""
        return None


@dataclass(frozen=True)
class Behaviour:
    """A call as the simulator plays it: rules in the order in which they are looked at, then the effect.

    null: what a NULL argument is answered with. modelled: what it answers is what Windows would, as far as is known;
    otherwise only handles are looked at, made and ended. driver: whether the answer is the driver's to give, so that a
    refusal which no rule knows may be right.
    """

    rules: Sequence[ValidationRule]
    effect: Callable[[Any], None]
    request: type[Request] = Request
    null: ValidationRule = field(default=NULL_ARGUMENT)
    modelled: bool = True
    driver_decides: Callable[[Any], bool] = lambda request: False

    @property
    def kernel_statuses(self) -> set[str]:
        """The refusals that are not a driver's, whoever is asked."""
        return {rule.status for rule in self.rules} - {"STATUS_INVALID_PARAMETER"}


@dataclass(frozen=True)
class Answer:
    """How a call was answered: the rule that refused it; None where it succeeded and its outputs are written. taken: it
    was refused because the recording says so, which nobody here can judge. injected: the faults, and the changes of the
    machine, that happened at this call because they were asked for."""

    rule: ValidationRule | None
    from_recording: bool = False
    injected: tuple[str, ...] = ()
