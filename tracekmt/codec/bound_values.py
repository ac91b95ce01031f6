"""What stands for something, found in memory as it lies: handles, addresses, fence values and LUIDs with their places.

It is what `leaves` tells of the values that have a kind, without the values around them: a replay passes by most of a
call, and has to look at these in every one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from tracekmt.codec.context import StructContext
from tracekmt.codec.memory import Memory, MemoryFault
from tracekmt.codec.readers import Source, reader_of, select_arm, used_of
from tracekmt.spec import types as t
from tracekmt.spec.layout import Layout, Slot, lay_out, measure
from tracekmt.spec.paths import structures


class BoundLocation(NamedTuple):
    """A value that stands for something, and the `size` bytes at `address` that hold it. The rest is as a `Leaf` has
    it."""

    path: str
    pattern: str
    field: t.Field
    type: t.Type
    kind: t.Kind
    address: int
    size: int
    value: Any

    def unpacked(self, data: bytes) -> int:
        """The number that such bytes are."""
        return int.from_bytes(data, "little", signed=isinstance(self.type, t.Integer) and self.type.signed)

    def packed(self, value: int) -> bytes:
        """Another value of the same sort, as it would lie there."""
        return (value & (1 << 8 * self.size) - 1).to_bytes(self.size, "little")


class _Walk(NamedTuple):
    """What one walk needs everywhere."""

    found: list[BoundLocation]
    source: Source


Step = Callable[[bytes, int, StructContext, str, str, _Walk], None]
"""Looks at one member of a structure: its bytes, its address, its frame, the paths that lead to it."""


class BoundValueFinder:
    """Finds the places of one call in one ABI."""

    def __init__(self, call: t.CallSpec, abi: t.Abi) -> None:
        self._layout = lay_out(call.argument, abi)
        self._abi: t.Abi = abi
        self._look = _structure(self._layout, call.union_arms)

    def frame(self, memory: Memory, address: int, before: Memory | None = None) -> StructContext | None:
        """The argument itself; None for NULL, and where it is not there."""
        if not address:
            return None
        try:
            data = memory.read(address, self._layout.size)
            return StructContext(self._layout, data, data if before is None else before.read(address, len(data)), None)
        except MemoryFault:
            return None

    def places(
        self, frame: StructContext, memory: Memory, address: int, before: Memory | None = None
    ) -> list[BoundLocation] | None:
        """The places of an argument, in the order of `leaves`; None where some memory on the way to them is not there.
        before: the memory that the call was entered with, where `memory` is how it left it."""
        walk = _Walk([], Source(self._abi, memory, before, None))
        try:
            if self._look is not None:
                self._look(frame.data, address, frame, "", "", walk)
        except MemoryFault:
            return None
        return walk.found


@lru_cache(maxsize=1024)
def finder(call: t.CallSpec, abi: t.Abi) -> BoundValueFinder | None:
    """What finds a call's places; None where something in its form is told by more than its memory, or has no address
    of its own: parameters, payloads and records with such values, unions that the objects decide."""
    if call.argument.parameters:
        return None
    for struct in structures(call.argument):
        for field in struct.fields():
            if isinstance(field.type, (t.Payload, t.VariableRecords)) and _stands(field.type):
                return None
            if field.when is not None and field.when.kind is not None:
                return None
    layout = lay_out(call.argument, abi)
    try:
        for path in _asked(call):
            layout.span(path)
    except KeyError:
        return None
    return BoundValueFinder(call, abi)


def _asked(call: t.CallSpec) -> Iterator[str]:
    """The fields of the argument that say what a call makes and ends."""
    for creates in call.creates:
        yield from (when.path for when in creates.when)
        yield from (creates.size,) if creates.size else ()
    for destroys in call.destroys:
        yield from (when.path for when in destroys.when)


@lru_cache(maxsize=4096)
def _stands(type_: t.Type) -> bool:
    """Whether something in a type may stand for something else than its name."""
    kind: t.Kind | None = getattr(type_, "kind", None)
    if kind is not None:
        return kind.binding != "literal"
    match type_:
        case t.Pointer(to=inner) | t.Array(of=inner) | t.VariableRecords(to=inner):
            return _stands(inner)
        case t.Union(arms=arms):
            return any(_stands(arm.type) for arm in arms)
        case t.Payload(cases=cases):
            return any(_stands(case) for _, _, case in cases)
        case t.Struct():
            return any(_stands(field.type) for field in type_.fields())
    return False


def _structure(layout: Layout, arms: tuple[str, ...]) -> Step | None:
    """What looks at a structure; None where nothing in it stands for anything."""
    if not _stands(layout.struct):
        return None
    steps: list[Step] = []
    for member in layout.members:
        union = member[0].overlay
        if union is None:
            steps += _member(member[0], layout.abi, arms)
        else:
            by_arm = [
                [step for slot in member if slot.arm is arm for step in _member(slot, layout.abi, arms)]
                for arm in union.arms
            ]
            if any(by_arm):
                steps.append(_chosen(union, by_arm, arms))

    def look(data: bytes, address: int, frame: StructContext, path: str, pattern: str, walk: _Walk) -> None:
        for step in steps:
            step(data, address, frame, path, pattern, walk)

    return look


def _chosen(union: t.Union, by_arm: Sequence[Sequence[Step]], arms: tuple[str, ...]) -> Step:
    choose = select_arm(union, arms)

    def look(data: bytes, address: int, frame: StructContext, path: str, pattern: str, walk: _Walk) -> None:
        number = choose(frame)
        for step in by_arm[number] if number >= 0 else ():
            step(data, address, frame, path, pattern, walk)

    return look


def _member(slot: Slot, abi: t.Abi, arms: tuple[str, ...]) -> list[Step]:
    """What looks at one member where it lies."""
    return _in_place(slot.field, slot.field.type, slot.field.name, slot.field.name, slot.offset, abi, arms)


def _in_place(
    field: t.Field, type_: t.Type, name: str, pattern: str, offset: int, abi: t.Abi, arms: tuple[str, ...]
) -> list[Step]:
    if not _stands(type_):
        return []
    match type_:
        case t.Integer() | t.Address() | t.Struct(kind=t.Kind()):
            return [_value(field, type_, name, pattern, offset, abi)]
        case t.Struct():
            return [_inside(type_, name, pattern, offset, abi, arms)]
        case t.Union():
            inside = [
                _in_place(arm, arm.type, f"{name}.{arm.name}", f"{pattern}.{arm.name}", offset, abi, arms)
                for arm in type_.arms
            ]
            return [_chosen(type_, inside, arms)]
        case t.Array():
            return [_array(field, type_, name, pattern, offset, abi, arms)]
        case t.Pointer():
            return [_behind(field, type_, name, pattern, offset, abi, arms)]
    raise TypeError(type_)


def _value(
    field: t.Field, type_: t.Integer | t.Address | t.Struct, name: str, pattern: str, offset: int, abi: t.Abi
) -> Step:
    kind = type_.kind
    assert kind is not None
    known = kind
    size, _ = measure(type_, abi)
    end = offset + size
    read = reader_of(type_, abi, ()).convert if isinstance(type_, t.Struct) else None
    signed = isinstance(type_, t.Integer) and type_.signed

    def look(data: bytes, address: int, frame: StructContext, path: str, before: str, walk: _Walk) -> None:
        now = data[offset:end]
        value = int.from_bytes(now, "little", signed=signed) if read is None else read(now, now, frame, walk.source)
        walk.found.append(
            BoundLocation(path + name, before + pattern, field, type_, known, address + offset, size, value)
        )

    return look


def _inside(type_: t.Struct, name: str, pattern: str, offset: int, abi: t.Abi, arms: tuple[str, ...]) -> Step:
    layout = lay_out(type_, abi)
    look_at = _structure(layout, arms)
    assert look_at is not None
    inside, end = look_at, offset + layout.size

    def look(data: bytes, address: int, frame: StructContext, path: str, before: str, walk: _Walk) -> None:
        part = data[offset:end]
        was = part if frame.before is frame.data else frame.before[offset:end]
        inner = StructContext(layout, part, was, frame)
        inside(part, address + offset, inner, f"{path}{name}.", f"{before}{pattern}.", walk)

    return look


def _array(
    field: t.Field, type_: t.Array, name: str, pattern: str, offset: int, abi: t.Abi, arms: tuple[str, ...]
) -> Step:
    size, _ = measure(type_.of, abi)
    each = _element(field, type_.of, abi, arms)

    def look(data: bytes, address: int, frame: StructContext, path: str, before: str, walk: _Walk) -> None:
        number = used_of(frame, type_)
        now, was = data[offset : offset + size * number], frame.before[offset : offset + size * number]
        each(now, was, number, address + offset, frame, f"{path}{name}", f"{before}{pattern}[]", walk)

    return look


def _behind(
    field: t.Field, type_: t.Pointer, name: str, pattern: str, offset: int, abi: t.Abi, arms: tuple[str, ...]
) -> Step:
    """What looks at one thing behind a pointer, or at as many as a count says."""
    size, end = measure(type_.to, abi)[0], offset + t.POINTER_SIZE[abi]
    count = t.count_of(type_.count) if type_.count is not None else None
    each = _element(field, type_.to, abi, arms)
    behind = pattern if count is None else f"{pattern}[]"

    def look(data: bytes, _address: int, frame: StructContext, path: str, before: str, walk: _Walk) -> None:
        start = int.from_bytes(data[offset:end], "little")
        number = 1 if count is None else min(frame.count(count, walk.source.deref))
        if not start or not number:
            return
        now = was = walk.source.memory.read(start, size * number)
        if walk.source.before is not None:
            entered = int.from_bytes(frame.before[offset:end], "little")
            was = walk.source.before.read(entered, size * number) if entered else now
        each(now, was, None if count is None else number, start, frame, path + name, before + behind, walk)

    return look


Elements = Callable[[bytes, bytes, "int | None", int, StructContext, str, str, _Walk], None]
"""Looks at things that lie one behind the other: their bytes now and when the call was entered, how many (None for one
that is no array), their address, the frame around them, their paths without an index."""


def _element(field: t.Field, of: t.Type, abi: t.Abi, arms: tuple[str, ...]) -> Elements:
    if not isinstance(of, t.Struct) or of.kind is not None:
        return _plain_element(field, of, abi, arms)
    layout = lay_out(of, abi)
    size, inside = layout.size, _structure(layout, arms)
    assert inside is not None

    def each(
        now: bytes,
        was: bytes,
        number: int | None,
        address: int,
        frame: StructContext,
        path: str,
        pattern: str,
        walk: _Walk,
    ) -> None:
        for index in range(1 if number is None else number):
            at = index * size
            data = now[at : at + size]
            inner = StructContext(layout, data, data if was is now else was[at : at + size], frame)
            one = f"{path}." if number is None else f"{path}[{index}]."
            inside(data, address + at, inner, one, f"{pattern}.", walk)

    return each


def _plain_element(field: t.Field, of: t.Type, abi: t.Abi, arms: tuple[str, ...]) -> Elements:
    size, _ = measure(of, abi)
    steps = _in_place(field, of, "", "", 0, abi, arms)

    def each(
        now: bytes,
        _was: bytes,
        number: int | None,
        address: int,
        frame: StructContext,
        path: str,
        pattern: str,
        walk: _Walk,
    ) -> None:
        for index in range(1 if number is None else number):
            at = index * size
            one = path if number is None else f"{path}[{index}]"
            for step in steps:
                step(now[at : at + size], address + at, frame, one, pattern, walk)

    return each
