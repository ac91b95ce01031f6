"""Behaviour of functions by their descriptions alone.

Every given handle must be live and have its kind. The call creates its objects, destroys its objects, and sets its
plain outputs to 0. Some functions are known to do no more. For all others without rules this is a placeholder, which is
not known to match Windows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

from tracekmt import codec
from tracekmt.calls import CALLS
from tracekmt.codec import FieldValue, Unreadable
from tracekmt.codec.memory import Memory, MemoryFault
from tracekmt.simulator.lazy import lazy_attribute
from tracekmt.simulator.model.adapter import Adapter
from tracekmt.simulator.model.machine import Process
from tracekmt.simulator.model.nt_handles import NtObject
from tracekmt.simulator.model.objects import (
    Device,
    DeviceObject,
    KernelObject,
    OpenAdapter,
    SyncObject,
    make_bare_object,
)
from tracekmt.simulator.request import Behaviour, Request, View
from tracekmt.simulator.rule import ValidationRule, device_removed, invalid
from tracekmt.spec.dispatch import assert_never
from tracekmt.spec.layout import Layout, lay_out, measure
from tracekmt.spec.types import (
    INNER_TYPES,
    LEAF_TYPES,
    Abi,
    Address,
    Array,
    CallSpec,
    Creates,
    Enum,
    Flags,
    Integer,
    Kind,
    Payload,
    Pointer,
    Struct,
    Type,
    Union,
    VariableRecords,
    kind_of,
)

_INDEXED = re.compile(r"(\w+)\[(\d+)\]")
_NT, _GLOBAL = "nt handle", "global share"
_RANGE_SIZE = 1 << 20
"""Bytes of a new address range. The description of a call need not have its size."""


class UnmodelledRequest(Request):
    """A call of which only the description is known."""

    @lazy_attribute
    def values(self) -> Any:
        """The decoded inputs."""
        return codec.decode(self.spec, self.abi, self.memory, self.arguments, None)

    @lazy_attribute
    def field_values(self) -> list[FieldValue]:
        """Values of all fields of the inputs."""
        return list(codec.iter_values(self.spec.argument, self.values))

    @lazy_attribute
    def input_handles(self) -> list[tuple[int, Kind]]:
        """Local handles other than 0 that the caller passes, each with its kind."""
        fields = _handle_fields(self.args.layout)
        if fields is None:
            return self._decoded_handles()
        handles: list[tuple[int, Kind]] = []
        for name, kind, count in fields:
            numbers = [self.args[name]] if count is None else self.args.numbers(name, self.args[count])
            handles += [(number, kind) for number in numbers if number]
        return handles

    def _decoded_handles(self) -> list[tuple[int, Kind]]:
        handles: list[tuple[int, Kind]] = []
        for field_value in self.field_values:
            kind, value = field_value.kind, field_value.value
            if kind is None or not _is_local(kind) or field_value.field.direction == "out":
                continue
            if value and not isinstance(value, Unreadable):
                handles.append((value, kind))
        return handles

    @lazy_attribute
    def input_objects(self) -> list[KernelObject | None]:
        """Live object of each handle of `input_handles`, None if it has another kind."""
        find = self.process.handles.get
        objects: list[KernelObject | None] = []
        for handle, kind in self.input_handles:
            kernel_object = find(handle, KernelObject)
            is_found = kernel_object is not None and _has_kind(kernel_object, kind)
            objects.append(kernel_object if is_found else None)
        return objects

    @lazy_attribute
    def device(self) -> Device | None:
        """Device of the first handle that belongs to one, or None."""
        devices = (device_of(kernel_object) for kernel_object in self.input_objects if kernel_object is not None)
        return next((device for device in devices if device is not None), None)

    @property
    def adapter(self) -> Adapter | None:
        """Adapter of the device, or of the first handle."""
        if self.device is not None:
            return self.device.adapter
        opened = self.input_objects[0] if self.input_objects else None
        return opened.adapter if isinstance(opened, OpenAdapter) else None

    def object_at(self, path: str) -> KernelObject | None:
        """Return the live object of the handle at a path, given or just created."""
        location = locate(self.args, path)
        if location is None:
            return None
        return self.process.find(int.from_bytes(self.memory.read(*location), "little"), KernelObject)

    def creates_object(self, creates: Creates) -> bool:
        """Return True if the inputs satisfy the conditions of a creation."""
        return all(codec.condition_holds(when, self.spec.argument, self.values) for when in creates.when)


def device_of(kernel_object: KernelObject) -> Device | None:
    """Return the device that owns an object, through its parents, or the device itself."""
    if isinstance(kernel_object, Device):
        return kernel_object
    if isinstance(kernel_object, DeviceObject) and kernel_object.device is not None:
        return kernel_object.device
    devices = (device_of(parent) for parent in kernel_object.parents)
    return next((device for device in devices if device is not None), None)


def _has_kind(kernel_object: KernelObject, kind: Kind) -> bool:
    return kernel_object.kind in _kind_names(kind)


@lru_cache(maxsize=256)
def _kind_names(kind: Kind) -> frozenset[str]:
    return frozenset({kind.name, *(alternative.name for alternative in kind.any_of), kind.space.name})


def _is_local(kind: Kind) -> bool:
    """Return True for handles of this process. NT handles may be external, and other processes make global handles."""
    return kind.binding == "handle" and kind.space.name not in (_NT, _GLOBAL) and not kind.external


@lru_cache(maxsize=512)
def _handle_fields(layout: Layout) -> list[tuple[str, Kind, str | None]] | None:
    """Return name, kind and count field of the local handles of a structure.

    Returns:
        None if some of them are in nested structures, or conditions decide whether they are in effect.
    """
    fields: list[tuple[str, Kind, str | None]] = []
    offsets: set[int] = set()
    for slot in layout.slots:
        type_, count = slot.field.type, None
        if isinstance(type_, (Pointer, Array)):
            count = type_.count if isinstance(type_, Pointer) else type_.used
            type_ = type_.to if isinstance(type_, Pointer) else type_.of
        kind = kind_of(type_)
        if kind is None:
            if has_local_handles(type_):
                return None
            continue
        if not _is_local(kind) or slot.field.direction == "out":
            continue
        is_alternative = slot.union is not None and len({kind_of(arm.type) for arm in slot.union.arms}) > 1
        if is_alternative or (count is not None and not isinstance(count, str)):
            return None
        if slot.offset not in offsets:
            fields.append((slot.field.name, kind, count))
            offsets.add(slot.offset)
    return fields


def has_local_handles(type_: Type) -> bool:
    """Return True if values of a type have handles of the calling process's own table."""
    kind = kind_of(type_)
    if kind is not None:
        return _is_local(kind)
    match type_:
        case Pointer(to=inner) | Array(of=inner) | VariableRecords(to=inner):
            return has_local_handles(inner)
        case Struct():
            return any(has_local_handles(field.type) for field in type_.fields())
        case Union(arms=arms):
            return any(has_local_handles(arm.type) for arm in arms)
        case Payload(cases=cases):
            return any(has_local_handles(case) for _, _, case in cases)
        case _ if isinstance(type_, LEAF_TYPES):
            return False
        case _:
            return assert_never(type_)


def locate(view: View, path: str) -> tuple[int, int] | None:
    """Return address and size of the value at a path of a decoded argument, None if it is not in memory."""
    name, _, rest = path.partition(".")
    indexed = _INDEXED.fullmatch(name)
    name, index = (indexed[1], int(indexed[2])) if indexed else (name, 0)
    slot = view.layout.slot(name)
    type_, address = slot.field.type, view.address + slot.offset
    if isinstance(type_, Pointer):
        type_, address = type_.to, view[name]
    elif isinstance(type_, Array):
        type_ = type_.of
    elif isinstance(type_, (*INNER_TYPES, VariableRecords)):
        if view.layout.struct.parameters:
            return None
    else:
        assert_never(type_)
    if not address:
        return None
    size, _ = measure(type_, view.layout.abi)
    address += index * size
    if not rest:
        return address, size
    if isinstance(type_, Union):
        arm_name, _, rest = rest.partition(".")
        type_ = next(arm.type for arm in type_.arms if arm.name == arm_name)
        if not rest:
            return address, measure(type_, view.layout.abi)[0]
    assert isinstance(type_, Struct)
    return locate(View(view.memory, lay_out(type_, view.layout.abi), address), rest)


def answer(request: UnmodelledRequest) -> None:
    """Destroy and create objects by the description of the call, and set plain outputs to 0."""
    for kernel_object in request.input_objects:
        if isinstance(kernel_object, SyncObject):
            kernel_object.state.changed_elsewhere = True
    _destroy(request)
    _clear_outputs(request)
    for creates in request.spec.creates:
        if request.creates_object(creates):
            for field_value in _at(request, creates.path):
                location = locate(request.args, field_value.path)
                if location is not None:
                    address, size = location
                    request.memory.write(address, _create(request, creates, field_value).to_bytes(size, "little"))


def answer_broken_call(process: Process, spec: CallSpec, abi: Abi, memory: Memory, arguments: Sequence[int]) -> None:
    """Let a call succeed that breaks a rule, as a machine did. Memory that cannot be read or written stays as it is."""
    with suppress(MemoryFault):
        answer(UnmodelledRequest(process, spec, abi, memory, arguments))


def _at(request: UnmodelledRequest, pattern: str) -> list[FieldValue]:
    return [field_value for field_value in request.field_values if field_value.pattern == pattern]


def _destroy(request: UnmodelledRequest) -> None:
    process = request.process
    for destroys in request.spec.destroys:
        if not all(codec.condition_holds(when, request.spec.argument, request.values) for when in destroys.when):
            continue
        for field_value in _at(request, destroys.path):
            handle = field_value.value
            if not isinstance(handle, int) or destroys.kind.binding != "handle":
                continue
            kernel_object = process.find(handle, KernelObject)
            if destroys.kind.space.name == _NT:
                if process.nt_handles.get(handle) is not None:
                    process.close_nt_handle(handle)
            elif kernel_object is not None and _has_kind(kernel_object, destroys.kind):
                process.destroy(kernel_object)


def _clear_outputs(request: UnmodelledRequest) -> None:
    """Set the output numbers of the call's own structure to 0. Buffers stay unchanged."""
    if request.spec.argument.parameters:
        return
    for slot in request.args.layout.slots:
        is_number = isinstance(slot.field.type, (Integer, Enum, Flags, Address))
        if is_number and slot.field.direction == "out" and slot.union is None:
            request.args[slot.field.name] = 0


def _create(request: UnmodelledRequest, creates: Creates, field_value: FieldValue) -> int:
    """Create an object, an address range or a fence value, and return its handle or number."""
    kind, process = creates.kind, request.process
    if kind.binding == "range":
        space = "cpu" if kind.name.startswith("cpu") else "gpu"
        return process.reserve_addresses(space, _RANGE_SIZE, request.pointer_size)
    if kind.binding == "fence":
        return process.next_fence_value()
    if kind.binding != "handle":
        return field_value.value if isinstance(field_value.value, int) else 0
    if kind.space.name == _NT:
        return process.open_nt_handle(NtObject(kind.name), 0)
    owners = [request.object_at(_with_indexes_of(field_value.path, pattern)) for pattern in creates.within]
    owner = next((kernel_object for kernel_object in owners if kernel_object is not None), None)
    if kind.space.name == _GLOBAL:
        if owner is None or not owner.shared_objects:
            return 0
        return request.machine.create_global_handle(owner.shared_objects[0])
    return process.add(make_bare_object(kind.name), owner)


def _with_indexes_of(path: str, pattern: str) -> str:
    """Return a path of a description, with the indexes of another path."""
    for index in re.findall(r"\[(\d+)\]", path):
        pattern = pattern.replace("[]", f"[{index}]", 1)
    return pattern.replace("[]", "[0]")


UNMODELLED = Behaviour(
    request=UnmodelledRequest,
    rules=(
        invalid(
            "a handle is not a live object of its kind",
            lambda request: None in request.input_objects,
            "by analogy with every modelled call",
            "assumption",
        ),
    ),
    effect=answer,
    modelled=False,
    limits="the function has no rules yet",
)


def by_description(
    name: str,
    *rules: ValidationRule,
    request: type[UnmodelledRequest] = UnmodelledRequest,
    effect: Callable[[Any], None] = answer,
    machine_answers: Callable[[Any], bool] = lambda request: False,
    is_queued: bool = False,
    refuses_lost_device: bool = True,
    limits: str = "a driver may reject the call",
) -> Behaviour:
    """Return the behaviour of a function that does no more than its description says. A driver may reject its calls.

    Args:
        name: Name of the function. If its page documents STATUS_DEVICE_REMOVED, a lost device rejects its calls.
        rules: Rules that follow the check of the handles.
        request: Type of the request.
        effect: Effect of a valid call.
        machine_answers: True for a request whose outputs only the recorded machine knows.
        is_queued: True if a paging queue executes the operation.
        refuses_lost_device: False if the call answers for a lost device.
        limits: What the simulator does not play, and why.
    """
    is_documented = "STATUS_DEVICE_REMOVED" in CALLS[name].statuses
    lost = (device_removed(name),) if is_documented and refuses_lost_device else ()
    return Behaviour(
        request=request,
        rules=(*UNMODELLED.rules, *lost, *rules),
        effect=effect,
        driver_decides=lambda request: True,
        machine_answers=machine_answers,
        is_queued=is_queued,
        limits=limits,
    )
