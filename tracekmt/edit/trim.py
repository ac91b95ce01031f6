"""Trimming of traces: copies selected calls, and the calls that they depend on, to a trace that replays by itself."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tracekmt.codec import FieldValue, iter_values
from tracekmt.edit.copy import open_copy, refuse_output, replace_on_success, write_copy
from tracekmt.errors import UsageError
from tracekmt.ntstatus import status
from tracekmt.objects.identity import Bindings, Identity
from tracekmt.objects.lifetimes import Lifetimes, fence_owners, is_live_value
from tracekmt.objects.undescribed import UndescribedResults, UnfollowedHandle
from tracekmt.spec.types import CountedString, Kind
from tracekmt.trace.events import Enter, Leave, Lost
from tracekmt.trace.reader import Trace, TracedCall

OUT_OF_MEMORY = {
    status(name) for name in ("STATUS_NO_MEMORY", "STATUS_INSUFFICIENT_RESOURCES", "STATUS_GRAPHICS_NO_VIDEO_MEMORY")
}
DEVICE_REMOVED = {status(name) for name in ("STATUS_DEVICE_REMOVED", "STATUS_GRAPHICS_GPU_EXCEPTION_ON_DEVICE")}


@dataclass(frozen=True)
class TrimResult:
    """Numbers of calls.

    Attributes:
        selected: Selected calls.
        dependencies: Other calls in the trimmed trace.
        total: Calls in the source.
        unfollowed: Handles in the trimmed trace that undescribed calls may have created. These calls are included.
    """

    selected: int
    dependencies: int
    total: int
    unfollowed: tuple[UnfollowedHandle, ...] = ()


def trim(source: Path, wanted: Callable[[int, str], bool], to: Path, *, force: bool = False) -> TrimResult:
    """Write selected calls and their dependencies to another trace. Indexes, times and threads do not change.

    A call depends on:

    - the calls that created its input objects and ranges
    - the undescribed calls that may have created its input objects
    - the calls that destroyed input objects which no longer exist
    - the calls that returned its input fence values, LUIDs and object names
    - the creators of all live objects, if the call failed because memory was exhausted
    - all calls before it, if it failed because the device was removed

    The calls that destroy the objects of the trimmed trace are included up to the last selected call.

    Args:
        source: Trace to trim.
        wanted: Returns True for the index and the function name of a selected call.
        to: Path of the trimmed trace.
        force: Overwrite an existing file.

    Raises:
        UsageError: No call is selected, `to` is the source file, or it exists and `force` is false.
    """
    refuse_output(source, to, force=force)
    with Trace(source) as trace:
        selected = {index for index, spec_id in trace.spec_ids() if wanted(index, trace.spec(spec_id).name)}
        if not selected:
            raise UsageError(f"{source}: no call is selected")
        dependencies = find_dependencies(trace, max(selected))
        included = dependencies.closure(selected)
        with replace_on_success(to) as part:
            written = write_calls(trace, included, part)
        unfollowed = tuple(handle for handle in dependencies.unfollowed if handle.call.index in included)
        return TrimResult(len(selected), written - len(selected), len(trace), unfollowed)


def closure(trace: Trace, indexes: set[int], last: int) -> set[int]:
    """Return the indexes of calls and of everything that they depend on, up to the call `last`."""
    return find_dependencies(trace, last).closure(indexes)


@dataclass
class Dependencies:
    """Dependencies between calls, in flat arrays, because a trace can have millions of them.

    Attributes:
        calls: Index of a call, in ascending order.
        depends_on: Index of a call that the call at the same position of `calls` depends on.
        created: Index of a call that created an object, once for each object.
        creators: Index of a call that created an object which was destroyed.
        destroyers: Index of the call that destroyed the object at the same position of `creators`.
        unfollowed: Handles that undescribed calls may have created.
        ambient: Kinds of handles that are older than the trace.
    """

    calls: array[int] = field(default_factory=lambda: array("q"))
    depends_on: array[int] = field(default_factory=lambda: array("q"))
    created: array[int] = field(default_factory=lambda: array("q"))
    creators: array[int] = field(default_factory=lambda: array("q"))
    destroyers: array[int] = field(default_factory=lambda: array("q"))
    unfollowed: list[UnfollowedHandle] = field(default_factory=list)
    ambient: set[Kind] = field(default_factory=set)

    def add(self, index: int, depends_on: set[int]) -> None:
        """Add the dependencies of a call. Calls are added in the order of their indexes."""
        depends_on.discard(index)
        self.calls.extend([index] * len(depends_on))
        self.depends_on.extend(sorted(depends_on))

    def of(self, index: int) -> Iterator[int]:
        """Yield the calls that a call depends on."""
        position = bisect_left(self.calls, index)
        while position < len(self.calls) and self.calls[position] == index:
            yield self.depends_on[position]
            position += 1

    def closure(self, indexes: set[int]) -> set[int]:
        """Return calls with all calls that they depend on, and the calls that destroy the objects of these."""
        by_creator = sorted(zip(self.creators, self.destroyers, strict=True))
        creators = [creator for creator, _ in by_creator]
        included = set(indexes)
        queue = list(indexes)
        while queue:
            index = queue.pop()
            related = list(self.of(index))
            position = bisect_left(creators, index)
            while position < len(creators) and creators[position] == index:
                related.append(by_creator[position][1])
                position += 1
            queue += [related_index for related_index in related if related_index not in included]
            included.update(related)
        return included


def find_dependencies(trace: Trace, last: int) -> Dependencies:
    """Return the dependencies of every call up to the last one. Later calls destroy nothing that is needed."""
    dependencies = Dependencies()
    lifetimes = Lifetimes()
    returned_by: dict[Hashable, int] = {}
    in_flight: set[int] = set()
    live_objects: dict[Identity, None] = {}
    undescribed = UndescribedResults()
    for call, is_leave in trace.call_events():
        index = call.index
        if not is_leave:
            if index > last and not in_flight:
                break
            in_flight.add(index)
            depends_on = set(_depends_on(lifetimes.bindings, call, returned_by, live_objects, dependencies.ambient))
            for handle in undescribed.unfollowed(call, lifetimes.bindings):
                dependencies.unfollowed.append(handle)
                depends_on.add(handle.creator.index)
            dependencies.add(index, depends_on)
            lifetimes.on_enter(call)
            continue
        in_flight.remove(index)
        undescribed.on_leave(call)
        created, destroyed = lifetimes.on_leave(call)
        live_objects.update(dict.fromkeys(created))
        dependencies.created.extend([index] * len(created))
        for identity in destroyed:
            live_objects.pop(identity, None)
            if identity.index is not None and identity.index != index and index <= last:
                dependencies.creators.append(identity.index)
                dependencies.destroyers.append(index)
        for key in _returned_keys(lifetimes.bindings, call, created):
            returned_by[key] = index
    return dependencies


def _depends_on(
    bindings: Bindings,
    call: TracedCall,
    returned_by: dict[Hashable, int],
    live_objects: dict[Identity, None],
    ambient: set[Kind],
) -> Iterator[int]:
    """Yield the indexes of the calls that a call depends on, when it is entered. Add the kinds of older handles."""
    is_injected = call.injection is not None  # no earlier call explains its status
    if call.status in DEVICE_REMOVED and not is_injected:
        yield from range(call.index)
    if call.status in OUT_OF_MEMORY and not is_injected:
        yield from (identity.index for identity in live_objects if identity.index is not None)
    inputs = list(iter_values(call.spec.argument, call.inputs))
    owners = fence_owners(bindings, inputs)
    for field_value in inputs:
        kind = field_value.kind
        if not is_live_value(field_value) or field_value.field.direction == "out":
            continue
        if kind is not None and kind.binding in ("handle", "range"):
            identity = bindings.find(kind, field_value.value)
            if identity is not None:
                yield from (identity.index,) if identity.index is not None else ()
            elif kind.binding == "handle":
                destroyer = bindings.handles.destroyed_by(kind, field_value.value)
                if destroyer is not None:
                    yield destroyer
                else:
                    ambient.add(kind)
        elif (key := _value_key(field_value, owners)) in returned_by:
            yield returned_by[key]


def _returned_keys(bindings: Bindings, call: TracedCall, created: list[Identity]) -> Iterator[Hashable]:
    """Yield the keys of the values through which later calls depend on this one.

    These are the returned values, and the names of created objects. Fence values count in inputs too, because the
    signalling program chooses them.
    """
    if not call.succeeded:
        return
    outputs = list(iter_values(call.spec.argument, call.outputs))
    owners = fence_owners(bindings, outputs)
    inputs = list(iter_values(call.spec.argument, call.inputs))
    for field_value in outputs + inputs:
        kind = field_value.kind
        is_returned = kind is not None and (field_value.field.direction != "in" or kind.binding == "fence")
        is_created_name = created and isinstance(field_value.type, CountedString)
        if is_live_value(field_value) and (is_returned or is_created_name):
            key = _value_key(field_value, owners)
            if key is not None:
                yield key


def _value_key(field_value: FieldValue, owners: dict[str, Identity]) -> Hashable | None:
    """Return the key of a fence value, LUID or object name. None for another value."""
    kind = field_value.kind
    if kind is None:
        return ("name", field_value.value) if isinstance(field_value.type, CountedString) else None
    value: Any = field_value.value
    if isinstance(value, dict):
        value = tuple(sorted(value.items()))
    if kind.binding == "fence":
        owner = owners.get(field_value.path)
        return None if owner is None else (kind.space.name, owner.fence_owner(), value)
    return (kind.space.name, value) if kind.binding == "per_machine" else None


def write_calls(trace: Trace, included: set[int], to: Path) -> int:
    """Write some calls of a trace to another one, and return their number."""
    source = "another trace" if trace.header.redacted else trace.path.name
    trimmed = trace.header.trimmed or f"{len(trace)} calls of {source}"
    header = replace(trace.header, origin=trace.start_time, trimmed=trimmed)
    write_copy(trace, open_copy(trace, to, header), _events_of(trace, included))
    return sum(index in included for index, _ in trace.spec_ids())


def _events_of(trace: Trace, included: set[int]) -> Iterator[Enter | Leave | Lost]:
    """Yield the events of calls, and every loss."""
    entered: set[int] = set()
    for event in trace.events():
        if isinstance(event, Enter):
            if event.index not in included:
                continue
            entered.add(event.sequence)
        elif isinstance(event, Leave):
            if event.enter not in entered:
                continue
            entered.remove(event.enter)
        yield event
