"""Answers of a recorded machine to calls that only a real machine can answer, such as questions about its driver."""

from __future__ import annotations

import struct
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence

from tracekmt.calls import form_like
from tracekmt.codec.memory import Memory, MemoryFault, Recorded
from tracekmt.ntstatus import Status
from tracekmt.simulator import BEHAVIOURS
from tracekmt.simulator.request import Behaviour, Request
from tracekmt.spec.layout import Layout, Slot, lay_out
from tracekmt.spec.types import POINTER_TYPES, kind_of
from tracekmt.trace.call import TracedCall
from tracekmt.trace.reader import Trace

_POINTER = struct.Struct("<Q")
Question = tuple[str, tuple[bytes, ...], tuple[int, ...]]
"""A function, its plain inputs, and the size of each buffer."""


class RecordedAnswers:
    """The answers in a trace, by function and inputs.

    Equal questions get the answers of the recording in their order, and then the last one again. A question with other
    contents of its buffers than any recorded one gets the answer of one with equal fields.
    """

    def __init__(self, trace: Trace) -> None:
        self._exact: defaultdict[tuple[Question, tuple[bytes, ...]], deque[TracedCall]] = defaultdict(deque)
        self._similar: defaultdict[Question, deque[TracedCall]] = defaultdict(deque)
        for call in trace.calls():
            spec = form_like(call.spec)
            if spec is None or call.leave is None or not _asks_machine(spec.name) or spec.argument.parameters:
                continue
            layout = lay_out(call.spec.argument, call.abi)
            if call.abi != "x86" and layout.size == lay_out(spec.argument, call.abi).size:
                memory = Recorded(call.enter.regions)
                try:
                    question, contents = _question(call.name, layout, memory, call.enter.arguments[0], _sizes(call))
                except MemoryFault:
                    continue
                self._exact[question, contents].append(call)
                self._similar[question].append(call)

    def answer(self, request: Request) -> Status | None:
        """Write the outputs of the recorded answer to a request, and return its status. None: there is none."""
        address = request.args.address
        known = [sizes for name, _, sizes in self._similar if name == request.spec.name]
        for sizes in dict.fromkeys(known):
            try:
                question, contents = _question(request.spec.name, request.args.layout, request.memory, address, sizes)
            except MemoryFault:  # the buffers of this question are larger
                continue
            answers = self._exact.get((question, contents)) or self._similar.get(question)
            if answers:
                call = answers[0] if len(answers) == 1 else answers.popleft()
                _write_outputs(call, request.args.layout, request.memory, address)
                return call.status
        return None


def _asks_machine(name: str) -> bool:
    return BEHAVIOURS[name].machine_answers is not Behaviour.machine_answers


def _question(
    name: str, layout: Layout, memory: Memory, address: int, sizes: Sequence[int]
) -> tuple[Question, tuple[bytes, ...]]:
    """Return a question, and the contents of its buffers.

    Args:
        name: Name of the function.
        layout: Layout of the argument.
        memory: Memory of the caller.
        address: Address of the argument.
        sizes: Bytes behind each pointer.
    """
    data = memory.read(address, layout.size)
    plain = tuple(
        data[slot.offset : slot.offset + slot.size]
        for slot in layout.slots
        if slot.field.direction != "out" and not _is_pointer(slot) and kind_of(slot.field.type) is None
    )
    contents = tuple(
        memory.read(pointer, size) if pointer and size else b""
        for pointer, size in zip(_pointers(layout, data), sizes, strict=True)
    )
    return (name, plain, tuple(sizes)), contents


def _sizes(call: TracedCall) -> tuple[int, ...]:
    """Return the recorded bytes behind each pointer of the argument."""
    layout = lay_out(call.spec.argument, call.abi)
    sizes: Mapping[int, int] = {address: len(data) for address, _, data in call.enter.regions}
    data = Recorded(call.enter.regions).read(call.enter.arguments[0], layout.size)
    return tuple(sizes.get(pointer, 0) for pointer in _pointers(layout, data))


def _write_outputs(call: TracedCall, layout: Layout, memory: Memory, address: int) -> None:
    """Write the fields that the recorded call has written, and all of its buffers."""
    assert call.leave is not None
    before, after = Recorded(call.enter.regions), Recorded(call.leave.regions)
    recorded = after.read(call.enter.arguments[0], layout.size)
    live = memory.read(address, layout.size)
    for slot in layout.slots:
        if slot.field.direction != "in" and not _is_pointer(slot) and kind_of(slot.field.type) is None:
            memory.write(address + slot.offset, recorded[slot.offset : slot.offset + slot.size])
    recorded_pointers = _pointers(layout, before.read(call.enter.arguments[0], layout.size))
    for size, pointer, target in zip(_sizes(call), recorded_pointers, _pointers(layout, live), strict=True):
        if size and target:
            memory.write(target, after.read(pointer, size))


def _is_pointer(slot: Slot) -> bool:
    return isinstance(slot.field.type, POINTER_TYPES)


def _pointers(layout: Layout, data: bytes) -> Iterator[int]:
    for slot in layout.slots:
        if _is_pointer(slot):
            yield _POINTER.unpack_from(data, slot.offset)[0]
