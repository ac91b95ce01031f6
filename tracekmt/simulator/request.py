"""Requests: calls in the simulator, with access to their arguments and with the behaviour of each function."""

from __future__ import annotations

import struct as packing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from tracekmt.codec.memory import Memory
from tracekmt.codec.parameters import parameter_block
from tracekmt.codec.wchars import decode_terminated
from tracekmt.ntstatus import Status
from tracekmt.simulator.model.adapter import Adapter
from tracekmt.simulator.model.machine import Process
from tracekmt.simulator.model.nt_handles import CURRENT_PROCESS
from tracekmt.simulator.model.objects import Device
from tracekmt.simulator.rule import NULL_ARGUMENT, PENDING, SUCCESS, ValidationRule
from tracekmt.spec import types as t
from tracekmt.spec.layout import Layout, lay_out, measure

TEXT_LIMIT = 1 << 15
"""Longest zero-terminated text that is read, in bytes."""


class View(dict[str, int]):
    """A structure in the caller's memory, as numbers by path: "hDevice", "Info.Type", and one bit "Flags.Shared".

    The structure is read once, as in the kernel. Assignments write to the memory only. A path that the layout does not
    have raises KeyError.
    """

    def __init__(self, memory: Memory, layout: Layout, address: int, data: bytes | None = None) -> None:
        self.memory = memory
        self.layout = layout
        self.address = address
        self._data = memory.read(address, layout.size) if data is None else data
        # Rules read most fields, some of them many times. Fields that are plain numbers are unpacked together.
        names, unpack = _number_fields(layout)
        super().__init__(zip(names, unpack(self._data)))  # noqa: B905

    def __missing__(self, path: str) -> int:
        start, end, mask = self.layout.span(path)
        number = int.from_bytes(self._data[start:end], "little") & mask
        super().__setitem__(path, number)
        return number

    def __setitem__(self, path: str, value: int) -> None:
        start, end, _ = self.layout.span(path)
        self.memory.write(self.address + start, value.to_bytes(end - start, "little"))

    def flags(self, name: str) -> frozenset[str]:
        """Return the names of the bits that are set in a flag word."""
        word = self.layout.slot(name).field.type
        assert isinstance(word, t.Flags)
        return _flag_names(word, self[name])

    def signed(self, path: str) -> int:
        """Return a field as a signed number."""
        start, end, _ = self.layout.span(path)
        return int.from_bytes(self._data[start:end], "little", signed=True)

    def follow(self, name: str, index: int = 0) -> View:
        """Return a view of the structure that a field points to, or of one element of an array there."""
        pointer = self.layout.slot(name).field.type
        assert isinstance(pointer, t.Pointer)
        assert isinstance(pointer.to, t.Struct)
        layout = lay_out(pointer.to, self.layout.abi)
        return View(self.memory, layout, self[name] + index * layout.size)

    def elements(self, name: str, count: int) -> list[View]:
        """Return views of at most `count` structures of an array that is part of this structure."""
        slot = self.layout.slot(name)
        assert isinstance(slot.field.type, t.Array)
        assert isinstance(slot.field.type.of, t.Struct)
        layout = lay_out(slot.field.type.of, self.layout.abi)
        capacity = min(count, slot.field.type.count)
        start = self.address + slot.offset
        return [View(self.memory, layout, start + index * layout.size) for index in range(capacity)]

    def bytes(self, name: str, length: str) -> bytes:
        """Return the bytes that a field points to. The field `length` has their number."""
        return self.memory.read(self[name], self[length]) if self[length] else b""

    def numbers(self, name: str, count: int) -> list[int]:
        """Return `count` numbers that a field points to, or at most `count` numbers of an array in place."""
        size, offset, capacity = _place_of_numbers(self.layout, name)
        if offset is None:
            data = self.memory.read(self[name], size * count) if count else b""
        else:
            data = self._data[offset : offset + size * min(count, capacity)]
        if size in _CODES:
            return list(packing.unpack(f"<{len(data) // size}{_CODES[size]}", data))
        return [int.from_bytes(data[at : at + size], "little") for at in range(0, len(data), size)]

    def write_through(self, name: str, value: int) -> None:
        """Write a number to the address in a field."""
        pointer = self.layout.slot(name).field.type
        assert isinstance(pointer, t.Pointer)
        assert isinstance(pointer.to, t.Integer)
        self.memory.write(self[name], value.to_bytes(pointer.to.size or t.POINTER_SIZE[self.layout.abi], "little"))

    def characters(self, path: str) -> str:
        """Return the text up to a zero in a WCHAR array that is part of this structure."""
        start, end, _ = self.layout.span(path)
        return decode_terminated(self._data[start:end], t.WCHAR_SIZE[self.layout.abi])[0]

    def text(self, name: str) -> str:
        """Return the text up to a zero that a field points to."""
        size, address, units = t.WCHAR_SIZE[self.layout.abi], self[name], bytearray()
        while len(units) < TEXT_LIMIT and any(unit := self.memory.read(address + len(units), size)):
            units += unit
        return decode_terminated(bytes(units), size)[0]


@lru_cache(maxsize=1024)
def _number_fields(layout: Layout) -> tuple[tuple[str, ...], Callable[[bytes], tuple[int, ...]]]:
    """Return the names of the fields that are plain numbers, and their unpacker. Of a union only the first counts."""
    names: list[str] = []
    code, end = "<", 0
    for slot in sorted(layout.slots, key=lambda slot: slot.offset):
        if slot.offset >= end and isinstance(slot.field.type, _PLAIN) and slot.size in _CODES:
            code += f"{slot.offset - end}x{_CODES[slot.size]}"
            names.append(slot.field.name)
            end = slot.offset + slot.size
    return tuple(names), packing.Struct(code).unpack_from


@lru_cache(maxsize=4096)
def _place_of_numbers(layout: Layout, name: str) -> tuple[int, int | None, int]:
    """Return the size of the numbers of a field, and their offset and capacity. The offset is None behind a pointer."""
    location = layout.locate(name)
    type_ = location.type
    if isinstance(type_, t.Array):
        return location.size // type_.count, location.offset, type_.count
    assert isinstance(type_, t.Pointer)
    return measure(type_.to, layout.abi)[0], None, 0


_PLAIN = (t.Integer, t.Enum, t.Flags, t.Pointer, t.Address, t.Bytes)
_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}


@lru_cache(maxsize=4096)
def _flag_names(word: t.Flags, value: int) -> frozenset[str]:
    return frozenset(bit.name for bit in word.bits if value & word.mask(bit.name))


_NO_OUTPUTS: Mapping[str, str] = {}


class Request:
    """A call in the simulator. Subclasses add accessors for the rules of a family.

    Attributes:
        process: Calling process.
        machine: Machine of the process.
        spec: Description of the function.
        abi: ABI of the caller.
        memory: Memory of the caller.
        arguments: Raw arguments.
        pointer_size: Bytes of a pointer in the caller's ABI.
        device: Live device of the call, or None.
        args: View of the argument, or of the parameters by name.
    """

    def __init__(
        self, process: Process, spec: t.CallSpec, abi: t.Abi, memory: Memory, arguments: Sequence[int]
    ) -> None:
        self.process = process
        self.machine = process.machine
        self.spec = spec
        self.memory = memory
        self.abi = abi
        self.arguments = arguments
        self.pointer_size = t.POINTER_SIZE[abi]
        layout = lay_out(spec.argument, abi)
        if spec.argument.parameters:
            self.args = View(memory, layout, 0, parameter_block(layout, arguments))
        else:
            self.args = View(memory, layout, arguments[0])

    def is_current_process(self, name: str) -> bool:
        """Return True if a field has the pseudo handle of the calling process."""
        return self.args[name] == CURRENT_PROCESS & (1 << 8 * self.pointer_size) - 1

    device: Device | None = None
    memory_setting = "system_memory"
    """Setting of the memory that a call lacks if it fails with STATUS_NO_MEMORY."""

    @property
    def adapter(self) -> Adapter | None:
        """Adapter of the call, None if it names none."""
        return None

    @property
    def is_lost(self) -> bool:
        """True if the device of the call is lost, or its adapter has stopped."""
        if self.device is not None and self.device.is_lost:
            return True
        return self.adapter is not None and self.adapter.stopped

    def names(self, adapter: Adapter) -> bool:
        """Return True if the call opens an adapter by its LUID or by one of its names."""
        return False

    def uncertain_status(self, recorded: Status) -> str | None:
        """Return why another process or the GPU may decide the status of the call, None if neither does.

        Args:
            recorded: Status of the call in the recording, which is not the simulated one.
        """
        return None

    def catch_up(self, recorded: Status) -> str | None:
        """Adopt a state of another process that a recorded success proves. The call must then be made again.

        Returns:
            Why the state has changed, None if it has not.
        """
        return None

    @property
    def uncertain_outputs(self) -> Mapping[str, str]:
        """Reason by output path, without indexes, for outputs that only the recorded machine knows."""
        return _NO_OUTPUTS


@dataclass(frozen=True)
class Wait:
    """The condition that ends the wait of a call.

    Attributes:
        is_over: Returns True once other calls have brought the condition about.
        seconds: Time limit, None to wait for ever.
    """

    is_over: Callable[[], bool]
    seconds: float | None = None


@dataclass(frozen=True)
class Behaviour:
    """Simulated behaviour of a function.

    Attributes:
        rules: Rules in the order in which they are checked.
        effect: Changes the machine and writes the outputs of a call that violates no rule.
        request: Type of the request that rules and effect use.
        null: Rule for a NULL argument.
        modelled: True if the outcome is that of Windows, as far as known. Otherwise only handles are simulated.
        driver_decides: True for a request that a driver may reject for a reason that no rule covers.
        waits: True if other calls decide the outcome until the call returns.
        machine_answers: True for a request whose outputs only the recorded machine knows. A replay takes the outcome
            from the recording.
        limits: What the simulator does not play, and why. Empty without such a limit.
        is_queued: True if a successful call may return STATUS_PENDING. In a replay, the recording decides.
        wait_of: Returns what a valid request waits for before it returns, None if it returns at once. None: no request
            waits.
    """

    rules: Sequence[ValidationRule]
    effect: Callable[[Any], None]
    request: type[Request] = Request
    null: ValidationRule = field(default=NULL_ARGUMENT)
    modelled: bool = True
    driver_decides: Callable[[Any], bool] = lambda request: False
    waits: bool = False
    machine_answers: Callable[[Any], bool] = lambda request: False
    is_queued: bool = False
    limits: str = ""

    wait_of: Callable[[Any], Wait | None] | None = None

    @property
    def kernel_statuses(self) -> set[str]:
        """Statuses that only the kernel returns, never a driver."""
        return {rule.status for rule in self.rules} - {"STATUS_INVALID_PARAMETER"}


@dataclass(frozen=True)
class Answer:
    """Result of a request.

    Attributes:
        rule: Rule that rejected the call. None after a success, and for an outcome that is taken.
        taken: Why the outcome is taken from the recording, None if the simulator made it.
        status_judged: True if only the outputs are taken: the simulated status is to be compared.
        performed: True if outputs were written.
        detail: Numbers of a rejected call, to be appended to the reason of its rule.
        is_pending: True if the call returned STATUS_PENDING.
        uncertain_outputs: Reason by output path, without indexes, for outputs that only the recorded machine knows.
        injected: Injected faults and machine changes that happened at this call, as the user wrote them.
    """

    rule: ValidationRule | None
    taken: str | None = None
    status_judged: bool = False
    performed: bool = True
    detail: str = ""
    is_pending: bool = False
    uncertain_outputs: Mapping[str, str] = field(default_factory=dict)
    injected: tuple[str, ...] = ()

    @property
    def status_name(self) -> str:
        """Name of the status that the simulator returns."""
        if self.rule is not None:
            return self.rule.status
        return PENDING if self.is_pending else SUCCESS
