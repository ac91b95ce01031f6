"""A part of a trace that stands alone: the calls chosen, and whatever they depend on."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tracekmt.codec import FieldValue, iter_values
from tracekmt.edit.copy import open_copy, refuse_output, replacing, write_copy
from tracekmt.errors import UsageError
from tracekmt.ntstatus import status
from tracekmt.objects.identity import Bindings, Identity
from tracekmt.objects.lifetimes import Lifetimes, fence_owners, is_live_value
from tracekmt.spec.types import CountedString
from tracekmt.trace.events import Enter, Leave, Lost
from tracekmt.trace.reader import Trace, TracedCall

OUT_OF_MEMORY = {
    status(name) for name in ("STATUS_NO_MEMORY", "STATUS_INSUFFICIENT_RESOURCES", "STATUS_GRAPHICS_NO_VIDEO_MEMORY")
}
DEVICE_GONE = {status(name) for name in ("STATUS_DEVICE_REMOVED", "STATUS_GRAPHICS_GPU_EXCEPTION_ON_DEVICE")}


@dataclass(frozen=True)
class TrimResult:
    """How many calls were chosen, how many others they depend on, and how many the trace has."""

    chosen: int
    needed: int
    of: int


def trim(source: Path, wanted: Callable[[int, str], bool], to: Path, *, force: bool = False) -> TrimResult:
    """Write the calls of a set and what they depend on to another trace. Indexes, times and threads stay as they were.

    A call depends on the calls that made the objects and ranges it is given, on those that ended what it is given
    although it is no more, on those that handed out the fence values, LUIDs and object names that it uses; where memory
    had run out, on all that held some; where a device was gone, on every call before it. What is kept is also ended
    where it was, up to the last call chosen. UsageError where the set holds no call.
    """
    refuse_output(source, to, force=force)
    with Trace(source) as trace:
        chosen = {call for call, number in trace.functions() if wanted(call, trace.description(number).name)}
        if not chosen:
            raise UsageError(f"{source}: has none of these calls")
        kept = closure(trace, chosen, max(chosen))
        with replacing(to) as part:
            written = _write(trace, kept, part)
        return TrimResult(len(chosen), written - len(chosen), len(trace))


def closure(trace: Trace, chosen: set[int], last: int) -> set[int]:
    """Some calls, and all that they depend on, as far as that happened up to the call `last`."""
    return _closure(_dependencies(trace, last), chosen)


@dataclass
class _Dependencies:
    """Pairs of a call and one that it depends on. Made: pairs of a call, and one that ended something it had made.
    Flat, since a trace may have millions."""

    calls: array[int] = field(default_factory=lambda: array("q"))
    on: array[int] = field(default_factory=lambda: array("q"))
    makers: array[int] = field(default_factory=lambda: array("q"))
    enders: array[int] = field(default_factory=lambda: array("q"))

    def add(self, call: int, on: set[int]) -> None:
        """A call needs others. Calls are added in their order."""
        on.discard(call)
        self.calls.extend([call] * len(on))
        self.on.extend(sorted(on))


def _closure(found: _Dependencies, chosen: set[int]) -> set[int]:
    """The chosen calls, and all that they lead to."""
    by_maker = sorted(zip(found.makers, found.enders, strict=True))
    makers = [maker for maker, _ in by_maker]
    kept = set(chosen)
    waiting = list(chosen)
    while waiting:
        call = waiting.pop()
        next_ones: list[int] = []
        at = bisect_left(found.calls, call)
        while at < len(found.calls) and found.calls[at] == call:
            next_ones.append(found.on[at])
            at += 1
        at = bisect_left(makers, call)
        while at < len(makers) and makers[at] == call:
            next_ones.append(by_maker[at][1])
            at += 1
        waiting += [each for each in next_ones if each not in kept]
        kept.update(next_ones)
    return kept


def _dependencies(trace: Trace, last: int) -> _Dependencies:
    """What every call up to the last one depends on. What happens later ends nothing that is needed."""
    found = _Dependencies()
    lifetimes = Lifetimes()
    told: dict[Hashable, int] = {}
    under_way: dict[int, TracedCall] = {}
    living: dict[Identity, None] = {}
    for index, left in trace.timeline():
        if not left:
            if index > last and not under_way:
                break
            call = under_way[index] = trace[index]
            found.add(index, set(_needs(lifetimes.bindings, call, told, living)))
            lifetimes.on_enter(call)
            continue
        call = under_way.pop(index)
        born, dead = lifetimes.on_leave(call)
        living.update(dict.fromkeys(born))
        for identity in dead:
            living.pop(identity, None)
            if identity.index is not None and identity.index != index and index <= last:
                found.makers.append(identity.index)
                found.enders.append(index)
        for key in _tells(lifetimes.bindings, call, born):
            told[key] = index
    return found


def _needs(
    bindings: Bindings, call: TracedCall, told: dict[Hashable, int], living: dict[Identity, None]
) -> Iterator[int]:
    if call.status in DEVICE_GONE:
        yield from range(call.index)
    if call.status in OUT_OF_MEMORY:
        yield from (identity.index for identity in living if identity.index is not None)
    given = list(iter_values(call.spec.argument, call.inputs))
    known = fence_owners(bindings, given)
    for leaf in given:
        kind = leaf.kind
        if not is_live_value(leaf) or leaf.field.direction == "out":
            continue
        if kind is not None and kind.binding in ("handle", "range"):
            identity = bindings.find(kind, leaf.value)
            if identity is not None:
                yield from (identity.index,) if identity.index is not None else ()
            elif kind.binding == "handle" and (ender := bindings.handles.died(kind, leaf.value)) is not None:
                yield ender
        elif (key := _key(leaf, known)) in told:
            yield told[key]


def _tells(bindings: Bindings, call: TracedCall, born: list[Identity]) -> Iterator[Hashable]:
    """The values by which later calls depend on this one: those that it handed out; fence values, wherever they stand,
    since whoever signals one chooses it; names, of what it made."""
    if not call.succeeded:
        return
    outputs = list(iter_values(call.spec.argument, call.outputs))
    known = fence_owners(bindings, outputs)
    inputs = list(iter_values(call.spec.argument, call.inputs))
    for leaf in outputs + inputs:
        kind = leaf.kind
        handed_out = kind is not None and (leaf.field.direction != "in" or kind.binding == "fence")
        if is_live_value(leaf) and (handed_out or (born and isinstance(leaf.type, CountedString))):
            key = _key(leaf, known)
            if key is not None:
                yield key


def _key(leaf: FieldValue, known: dict[str, Identity]) -> Hashable | None:
    """What a value is found by that no object or range stands for."""
    kind = leaf.kind
    if kind is None:
        return ("name", leaf.value) if isinstance(leaf.type, CountedString) else None
    value: Any = tuple(sorted(leaf.value.items())) if isinstance(leaf.value, dict) else leaf.value
    if kind.binding == "fence":
        clock = known.get(leaf.path)
        return None if clock is None else (kind.space.name, clock.fence_owner(), value)
    return (kind.space.name, value) if kind.binding == "per_machine" else None


def _write(trace: Trace, kept: set[int], to: Path) -> int:
    name = "another trace" if trace.header.redacted else trace.path.name
    what = trace.header.trimmed or f"{len(trace)} calls of {name}"
    header = replace(trace.header, origin=trace.start_time, trimmed=what)
    write_copy(trace, open_copy(trace, to, header), _events_of(trace, kept))
    return sum(index in kept for index, _ in trace.functions())


def _events_of(trace: Trace, kept: set[int]) -> Iterator[Enter | Leave | Lost]:
    """The events of some calls, and every loss."""
    entered: set[int] = set()
    for event in trace.events():
        if isinstance(event, Enter):
            if event.index not in kept:
                continue
            entered.add(event.sequence)
        elif isinstance(event, Leave):
            if event.enter not in entered:
                continue
            entered.remove(event.enter)
        yield event
