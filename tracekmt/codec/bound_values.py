"""Search for bound values in raw memory: handles, addresses, fence values and LUIDs, with their locations.

The result equals the values of `iter_values` that have a kind, without decoding the values around them. A replay skips
most of each call, but has to translate the bound values of every call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from tracekmt import core
from tracekmt.budgets import BUDGETS
from tracekmt.codec.context import StructContext
from tracekmt.codec.memory import Memory, MemoryFault, Recorded
from tracekmt.codec.programs import program_of
from tracekmt.codec.readers import Source, reader_of, select_arm, used_count
from tracekmt.spec import types as t
from tracekmt.spec.dispatch import assert_never
from tracekmt.spec.layout import Layout, Slot, lay_out, measure
from tracekmt.spec.paths import has_bound_values, structures

_STEP_COST = 16
"""Values that an element behind a pointer counts as; see `Source.spend`."""


class BoundLocation(NamedTuple):
    """A bound value and its location in memory.

    Attributes:
        path: Path in the argument, as in `FieldValue`.
        pattern: Path in the description, as in `FieldValue`.
        field: The member with the direction of the value.
        type: Type of the value.
        kind: Kind of the object that the value refers to.
        address: Address of the value.
        size: Size of the value in bytes.
        value: The value.
    """

    path: str
    pattern: str
    field: t.Field
    type: t.Type
    kind: t.Kind
    address: int
    size: int
    value: Any

    def unpacked(self, data: bytes) -> int:
        """Convert bytes at this location to a number."""
        return int.from_bytes(data, "little", signed=isinstance(self.type, t.Integer) and self.type.signed)

    def with_number(self, number: int) -> BoundLocation:
        """Return the location with another value, given as an unsigned number."""
        return self._replace(value=self.unpacked(number.to_bytes(self.size, "little")))

    def packed(self, value: int) -> bytes:
        """Convert a number to the bytes at this location."""
        return (value & (1 << 8 * self.size) - 1).to_bytes(self.size, "little")


class _Search(NamedTuple):
    """The state of one search: its results, and the memory that it reads."""

    locations: list[BoundLocation]
    source: Source


Step = Callable[[bytes, bytes, int, StructContext, str, str, _Search], None]
"""Searches one member of a structure, or an element. Arguments: the bytes around it now and at enter, their address,
the context of the structure, the prefixes of the member's path and pattern, the search."""


class BoundValueFinder:
    """Finds the bound values in the argument of one function, in one ABI."""

    def __init__(self, spec: t.CallSpec, abi: t.Abi) -> None:
        self._layout = lay_out(spec.argument, abi)
        self._abi: t.Abi = abi
        self._arms = spec.union_arms
        self._search_argument = _struct_step(self._layout, spec.union_arms)

    def find(self, memory: Memory, address: int, before: Memory | None = None) -> list[BoundLocation] | None:
        """Find the bound values of the argument at an address.

        Args:
            memory: Memory to search: at enter, or at return if `before` is given.
            address: Address of the argument structure.
            before: Memory at enter, if `memory` is that at return.

        Returns:
            The values in the order of `iter_values`. None if the argument, or memory on the way to them, is unreadable.
        """
        if core.CORE is not None and isinstance(memory, Recorded) and not address >> 64:
            found = self._find_in_core(core.CORE, memory, address, before)
            if found is not NotImplemented:
                return found  # type: ignore[no-any-return]
        context = self.context(memory, address, before)
        return None if context is None else self._locations(context, memory, address, before)

    def _find_in_core(self, native: core.Core, memory: Recorded, address: int, before: Memory | None) -> Any:
        """Find the bound values in the core. Return NotImplemented for what the core leaves to Python."""
        if not (before is None or isinstance(before, Recorded)):
            return NotImplemented
        program = self.program
        if program is None:
            return NotImplemented
        at_enter = None if before is None else before.regions
        limits = BUDGETS.values, BUDGETS.value_bytes
        return native.find_bound_values(program, BoundLocation, memory.regions, at_enter, address, *limits)

    @property
    def program(self) -> Any:
        """Program of the argument in the core. None without the core, and for an argument that is left to Python."""
        return program_of(self._layout, self._arms)

    def context(self, memory: Memory, address: int, before: Memory | None = None) -> StructContext | None:
        """Read the argument structure. Return None for NULL and for unreadable memory."""
        if not address:
            return None
        try:
            data = memory.read(address, self._layout.size)
            return StructContext(self._layout, data, data if before is None else before.read(address, len(data)), None)
        except MemoryFault:
            return None

    def _locations(
        self, context: StructContext, memory: Memory, address: int, before: Memory | None
    ) -> list[BoundLocation] | None:
        search = _Search([], Source(self._abi, memory, before, None))
        try:
            if self._search_argument is not None:
                self._search_argument(context.data, context.before, address, context, "", "", search)
        except MemoryFault:
            return None
        return search.locations


@lru_cache(maxsize=1024)
def finder(spec: t.CallSpec, abi: t.Abi) -> BoundValueFinder | None:
    """Return the finder of a function, or None if its bound values cannot be found in memory alone.

    That is so for parameters, which have no address, for payloads and records with bound values, and for unions that
    depend on the kinds of objects.
    """
    if spec.argument.parameters:
        return None
    for struct in structures(spec.argument):
        for field in struct.fields():
            if isinstance(field.type, (t.Payload, t.VariableRecords)) and has_bound_values(field.type):
                return None
            if field.when is not None and field.when.kind is not None:
                return None
    layout = lay_out(spec.argument, abi)
    try:
        for path in _lifetime_paths(spec):
            layout.span(path)
    except KeyError:
        return None
    return BoundValueFinder(spec, abi)


def _lifetime_paths(spec: t.CallSpec) -> Iterator[str]:
    """Iterate over the fields that determine the objects that a call creates and destroys."""
    for creates in spec.creates:
        yield from (when.path for when in creates.when)
        yield from (creates.size,) if creates.size else ()
    for destroys in spec.destroys:
        yield from (when.path for when in destroys.when)


def _struct_step(layout: Layout, arms: tuple[str, ...]) -> Step | None:
    """Return the search of a structure, or None if it has no bound values."""
    if not has_bound_values(layout.struct):
        return None
    steps: list[Step] = []
    for member in layout.members:
        union = member[0].union
        if union is None:
            steps += _member_steps(member[0], layout.abi, arms)
        else:
            steps_by_arm = [
                [step for slot in member if slot.arm is arm for step in _member_steps(slot, layout.abi, arms)]
                for arm in union.arms
            ]
            if any(steps_by_arm):
                steps.append(_union_step(union, steps_by_arm, arms))

    def search_struct(
        data: bytes, before: bytes, address: int, context: StructContext, path: str, pattern: str, search: _Search
    ) -> None:
        for step in steps:
            step(data, before, address, context, path, pattern, search)

    return search_struct


def _union_step(union: t.Union, steps_by_arm: Sequence[Sequence[Step]], arms: tuple[str, ...]) -> Step:
    select = select_arm(union, arms)

    def search_arm(
        data: bytes, before: bytes, address: int, context: StructContext, path: str, pattern: str, search: _Search
    ) -> None:
        number = select(context)
        for step in steps_by_arm[number] if number >= 0 else ():
            step(data, before, address, context, path, pattern, search)

    return search_arm


def _member_steps(slot: Slot, abi: t.Abi, arms: tuple[str, ...]) -> list[Step]:
    return _in_place(slot.field, slot.field.type, slot.field.name, slot.field.name, slot.offset, abi, arms)


def _in_place(
    field: t.Field, type_: t.Type, name: str, pattern: str, offset: int, abi: t.Abi, arms: tuple[str, ...]
) -> list[Step]:
    """Return the search of a type in place.

    Args:
        field: The member with the direction of the values.
        type_: The type.
        name: Last part of its path.
        pattern: Last part of its pattern.
        offset: Offset in the bytes that a step gets.
        abi: ABI of the recorded process.
        arms: The arms in effect of unions that leave the choice to the call.
    """
    if not has_bound_values(type_):
        return []
    match type_:
        case t.Struct(kind=None):
            return [_nested_step(type_, name, pattern, offset, abi, arms)]
        case t.Integer() | t.Address() | t.Struct():
            return [_value_step(field, type_, name, pattern, offset, abi)]
        case t.Union():
            steps_by_arm = [
                _in_place(arm, arm.type, f"{name}.{arm.name}", f"{pattern}.{arm.name}", offset, abi, arms)
                for arm in type_.arms
            ]
            return [_union_step(type_, steps_by_arm, arms)]
        case t.Array():
            return [_array_step(field, type_, name, pattern, offset, abi, arms)]
        case t.Pointer():
            return [_pointer_step(field, type_, name, pattern, offset, abi, arms)]
        case _ if isinstance(type_, (*t.LEAF_TYPES, t.VariableRecords)):
            raise TypeError(type_)  # `finder` refuses payloads and records, and the other types have no kind
        case _:
            return assert_never(type_)


def _value_step(
    field: t.Field, type_: t.Integer | t.Address | t.Struct, name: str, pattern: str, offset: int, abi: t.Abi
) -> Step:
    assert type_.kind is not None
    kind = type_.kind
    size, _ = measure(type_, abi)
    end = offset + size
    read = reader_of(type_, abi, ()).convert if isinstance(type_, t.Struct) else None
    signed = isinstance(type_, t.Integer) and type_.signed

    def add_value(
        data: bytes,
        _before: bytes,
        address: int,
        context: StructContext,
        path: str,
        outer_pattern: str,
        search: _Search,
    ) -> None:
        part = data[offset:end]
        value = (
            int.from_bytes(part, "little", signed=signed) if read is None else read(part, part, context, search.source)
        )
        search.locations.append(
            BoundLocation(path + name, outer_pattern + pattern, field, type_, kind, address + offset, size, value)
        )

    return add_value


def _nested_step(type_: t.Struct, name: str, pattern: str, offset: int, abi: t.Abi, arms: tuple[str, ...]) -> Step:
    layout = lay_out(type_, abi)
    struct_step = _struct_step(layout, arms)
    assert struct_step is not None
    step, end = struct_step, offset + layout.size

    def search_nested(
        data: bytes, before: bytes, address: int, context: StructContext, path: str, outer_pattern: str, search: _Search
    ) -> None:
        part = data[offset:end]
        part_before = part if before is data else before[offset:end]
        inner = StructContext(layout, part, part_before, context)
        step(part, part_before, address + offset, inner, f"{path}{name}.", f"{outer_pattern}{pattern}.", search)

    return search_nested


def _array_step(
    field: t.Field, type_: t.Array, name: str, pattern: str, offset: int, abi: t.Abi, arms: tuple[str, ...]
) -> Step:
    size, _ = measure(type_.of, abi)
    search_elements = _elements(field, type_.of, abi, arms)

    def search_array(
        data: bytes, before: bytes, address: int, context: StructContext, path: str, outer_pattern: str, search: _Search
    ) -> None:
        count = used_count(context, type_)
        end = offset + size * count
        search_elements(
            data[offset:end],
            before[offset:end],
            count,
            address + offset,
            context,
            f"{path}{name}",
            f"{outer_pattern}{pattern}[]",
            search,
        )

    return search_array


def _pointer_step(
    field: t.Field, type_: t.Pointer, name: str, pattern: str, offset: int, abi: t.Abi, arms: tuple[str, ...]
) -> Step:
    size, end = measure(type_.to, abi)[0], offset + t.POINTER_SIZE[abi]
    length = t.count_of(type_.count) if type_.count is not None else None
    search_elements = _elements(field, type_.to, abi, arms)
    element_pattern = pattern if length is None else f"{pattern}[]"

    def search_pointee(
        data: bytes,
        before: bytes,
        _address: int,
        context: StructContext,
        path: str,
        outer_pattern: str,
        search: _Search,
    ) -> None:
        source = search.source
        start = int.from_bytes(data[offset:end], "little")
        count = 1 if length is None else min(context.count(length, source.deref))
        if not start or not count:
            return
        now = pointee_before = source.fetch(start, size * count)
        source.spend(_STEP_COST * count)
        if source.before is not None:
            before_start = int.from_bytes(before[offset:end], "little")
            pointee_before = source.before.read(before_start, size * count) if before_start else now
        search_elements(
            now,
            pointee_before,
            None if length is None else count,
            start,
            context,
            path + name,
            outer_pattern + element_pattern,
            search,
        )

    return search_pointee


Elements = Callable[[bytes, bytes, "int | None", int, StructContext, str, str, _Search], None]
"""Searches consecutive elements. Arguments: their bytes now and at enter, their count (None for a single value that is
no array), their address, the context around them, their path and pattern without an index, the search."""


def _elements(field: t.Field, of: t.Type, abi: t.Abi, arms: tuple[str, ...]) -> Elements:
    if not isinstance(of, t.Struct) or of.kind is not None:
        return _plain_elements(field, of, abi, arms)
    layout = lay_out(of, abi)
    size, struct_step = layout.size, _struct_step(layout, arms)
    assert struct_step is not None

    def search_structs(
        now: bytes,
        before: bytes,
        count: int | None,
        address: int,
        context: StructContext,
        path: str,
        pattern: str,
        search: _Search,
    ) -> None:
        for index in range(1 if count is None else count):
            start = index * size
            data = now[start : start + size]
            inner = StructContext(layout, data, data if before is now else before[start : start + size], context)
            element_path = f"{path}." if count is None else f"{path}[{index}]."
            struct_step(data, inner.before, address + start, inner, element_path, f"{pattern}.", search)

    return search_structs


def _plain_elements(field: t.Field, of: t.Type, abi: t.Abi, arms: tuple[str, ...]) -> Elements:
    size, _ = measure(of, abi)
    steps = _in_place(field, of, "", "", 0, abi, arms)

    def search_values(
        now: bytes,
        before: bytes,
        count: int | None,
        address: int,
        context: StructContext,
        path: str,
        pattern: str,
        search: _Search,
    ) -> None:
        for index in range(1 if count is None else count):
            start = index * size
            element_path = path if count is None else f"{path}[{index}]"
            for step in steps:
                parts = now[start : start + size], before[start : start + size]
                step(*parts, address + start, context, element_path, pattern, search)

    return search_values
