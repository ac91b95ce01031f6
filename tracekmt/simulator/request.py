"""A call on its way through the simulator: accessors on its argument, the rules it is held against, and its effect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tracekmt.memory import Memory
from tracekmt.simulator.machine import Process
from tracekmt.simulator.objects import Adapter
from tracekmt.spec.layout import Layout, lay_out
from tracekmt.spec.types import POINTER_SIZE, Abi, Call, Flags, Integer, Pointer, Struct

Confidence = Literal["Windows-verified", "Microsoft source", "documentation", "reverse engineering", "assumption"]


class View:
    """A structure in the caller's memory. It is read once, as the kernel does; writing goes to the memory."""

    def __init__(self, memory: Memory, layout: Layout, address: int) -> None:
        self.memory = memory
        self.layout = layout
        self.address = address
        self._data = memory.read(address, layout.size)

    def __getitem__(self, name: str) -> int:
        """A field as a number."""
        slot = self.layout.slot(name)
        signed = isinstance(slot.field.type, Integer) and slot.field.type.signed
        return int.from_bytes(self._data[slot.offset : slot.offset + slot.size], "little", signed=signed)

    def __setitem__(self, name: str, value: int) -> None:
        slot = self.layout.slot(name)
        self.memory.write(self.address + slot.offset, value.to_bytes(slot.size, "little"))

    def has(self, path: str) -> bool:
        """Whether a bit is set: "Flags.CreateResource"."""
        name, _, bit = path.partition(".")
        flags = self.layout.slot(name).field.type
        assert isinstance(flags, Flags)
        return bool(self[name] & flags.mask(bit))

    def inside(self, name: str) -> View:
        """A structure that lies in this one."""
        slot = self.layout.slot(name)
        assert isinstance(slot.field.type, Struct)
        return View(self.memory, lay_out(slot.field.type, self.layout.abi), self.address + slot.offset)

    def follow(self, name: str, index: int = 0) -> View:
        """The structure that a field points to, or one element of the array."""
        pointer = self.layout.slot(name).field.type
        assert isinstance(pointer, Pointer)
        assert isinstance(pointer.to, Struct)
        layout = lay_out(pointer.to, self.layout.abi)
        return View(self.memory, layout, self[name] + index * layout.size)

    def bytes(self, name: str, length: str) -> bytes:
        """What a pointer with a length points to."""
        return self.memory.read(self[name], self[length]) if self[length] else b""


class Request:
    """One call: who makes it, with what. Families add what their rules look at."""

    def __init__(self, process: Process, call: Call, abi: Abi, memory: Memory, address: int) -> None:
        self.process = process
        self.call = call
        self.memory = memory
        self.address = address
        self.pointer_size = POINTER_SIZE[abi]
        self.args = View(memory, lay_out(call.argument, abi), address)

    @property
    def adapter(self) -> Adapter | None:
        """The adapter that the call concerns, where it names one."""
        return None


@dataclass(frozen=True)
class Rule:
    """If `broken` is true of a request, it is answered with `status`. source and confidence say where that is known
    from."""

    status: str
    what: str
    broken: Callable[[Any], bool]
    source: str
    confidence: Confidence


@dataclass(frozen=True)
class Behaviour:
    """A call as the simulator plays it: rules in the order in which they are looked at, then the effect.

    null: what a NULL argument is answered with.
    """

    rules: Sequence[Rule]
    effect: Callable[[Any], None]
    request: type[Request] = Request
    null: Rule = Rule(
        "STATUS_INVALID_PARAMETER",
        "the argument is NULL",
        lambda request: True,
        "as the calls for which Wine's conformance test saw it",
        "assumption",
    )


UNREADABLE = Rule(
    "STATUS_INVALID_PARAMETER",
    "the argument, or what it points to, cannot be read or written",
    lambda request: True,
    "WSL2-Linux-Kernel drivers/hv/dxgkrnl/ioctl.c",
    "Microsoft source",
)
