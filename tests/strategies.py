"""Random arguments in the value form. Decoding an encoded argument returns the same values."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from tracekmt import codec
from tracekmt.codec.memory import Arena
from tracekmt.spec import types as t
from tracekmt.spec.dispatch import assert_never
from tracekmt.spec.layout import lay_out, measure
from tracekmt.trace.events import Region

Outer = list[tuple[t.Struct, dict[str, Any]]]
"""The structures around a value with their drawn fields, innermost first."""

LETTERS = st.characters(min_codepoint=1, max_codepoint=0xFFFF)


def examples(count: int) -> int:
    """Return the number of examples of a property: a quarter on Windows, where Python under Wine is slow."""
    return max(2, count // 4) if sys.platform == "win32" else count


class Drawn:
    """A drawn argument.

    Attributes:
        values: The argument in the value form.
        kind: Kind of the object of every handle, or None if the kinds are unknown.
    """

    def __init__(self, values: dict[str, Any], kind: t.Kind | None) -> None:
        self.values = values
        self.kind = kind

    def __repr__(self) -> str:
        return f"{self.values} ({self.kind.name if self.kind else 'kinds unknown'})"

    def kind_of(self, _handle: int) -> t.Kind | None:
        return self.kind


def arguments(spec: t.CallSpec, abi: t.Abi) -> st.SearchStrategy[Drawn]:
    """Return a strategy for the whole argument of a call, without its length fields."""

    def draw_all(draw: Any) -> Drawn:
        kinds = [None, *_kinds(spec.argument)]
        kind = draw(st.sampled_from(kinds)) if len(kinds) > 1 else None
        return Drawn(_Draw(draw, abi, spec.union_arms, kind).struct(spec.argument, []), kind)

    return st.composite(draw_all)()


def _kinds(struct: t.Struct) -> list[t.Kind]:
    return [field.when.kind for field in struct.fields() if field.when and field.when.kind]


class _Draw:
    def __init__(self, draw: Any, abi: t.Abi, arms: tuple[str, ...], kind: t.Kind | None) -> None:
        self.draw = draw
        self.abi: t.Abi = abi
        self.arms = arms
        self.kind = kind
        self.counts: dict[tuple[int, str], int] = {}
        self.kept: list[Any] = []  # `counts` uses identities, so no drawn structure may be freed

    def struct(self, struct: t.Struct, outer: Outer, forced: dict[str, Any] | None = None) -> dict[str, Any]:
        values: dict[str, Any] = dict(forced or {})
        chain = [(struct, values), *outer]
        self.kept.append(values)
        lengths = {name for field in struct.fields() for name in _lengths(field.type)}
        plain = [member for member in struct.members if not isinstance(member, t.Union)]
        # Conditions read scalars, so these are first. Nested structures are next, because they may contain lengths.
        for field in sorted(plain, key=lambda field: _order(field.type)):
            if field.name not in lengths and field.name not in values and not isinstance(field.type, t.StructSize):
                values[field.name] = self.value(field.type, chain)
        for member in struct.members:
            if isinstance(member, t.Union):
                arm = self.arm(member, chain)
                if arm is None:
                    continue
                fields = arm.type.fields() if not arm.name and isinstance(arm.type, t.Struct) else [arm]
                for field in fields:
                    values[field.name] = self.value(field.type, chain)
        return values

    def arm(self, union: t.Union, outer: Outer) -> t.Field | None:
        if union.open:
            return None
        if union.by_call:
            return next(arm for arm in union.arms if arm.name in self.arms)
        in_effect = (arm for arm in union.arms if arm.when and self.holds(arm.when, outer))
        return next(in_effect, next((arm for arm in union.arms if arm.when is None), None))

    def holds(self, when: t.Condition, outer: Outer) -> bool:
        if when == t.NEVER:
            return False
        if when.kind:
            # Without a known kind no such condition is true.
            return self.kind == when.kind
        struct, fields = outer[when.parent]
        name, _, bit = when.path.partition(".")
        word = fields[name]
        if bit:
            flags = struct.field(name).type
            assert isinstance(flags, t.Flags)
            word &= flags.mask(bit)
        if when.any_of:
            return (word in when.any_of) != when.negate
        return bool(word == when.equals if when.equals is not None else word) != when.negate

    def value(self, type_: t.Type, outer: Outer) -> Any:
        draw = self.draw
        match type_:
            case t.Integer(size=size, signed=signed):
                bits = 8 * (size or t.POINTER_SIZE[self.abi])
                small = st.integers(0, 12)
                wide = st.integers(-(1 << bits - 1), (1 << bits - 1) - 1) if signed else st.integers(0, (1 << bits) - 1)
                return draw(small | wide)
            case t.Enum(members=members):
                numbers = [number for _, number in members]
                unknown = st.integers(-3, -2) if min(numbers) < 0 else st.integers(0xFFFFFFFD, 0xFFFFFFFE)
                return draw(st.sampled_from(numbers) | unknown)
            case t.Flags(size=size) if type_.has_bitfields:
                word = draw(st.integers(0, (1 << 8 * size) - 1))
                return {b.name: (word & type_.mask(b.name)) >> b.position for b in type_.in_effect(word)}
            case t.Flags(size=size):
                return draw(st.integers(0, (1 << 8 * size) - 1))
            case t.Float(size=size):
                return draw(st.floats(width=32 if size == 4 else 64, allow_nan=False))
            case t.Address():
                return draw(st.none() | st.integers(1, (1 << 8 * t.POINTER_SIZE[self.abi]) - 1))
            case t.Bytes():
                return draw(st.none() | st.binary(min_size=1, max_size=40))
            case t.RawWindow(size=window):
                # A recording has the whole window, except at the end of readable memory.
                return draw(
                    st.none() | st.binary(min_size=1, max_size=40).map(lambda data: data.ljust(window, b"\xa5"))
                )
            case t.WString(length=None):
                return draw(st.none() | st.text(LETTERS, max_size=20))
            case t.WString():
                return draw(st.none() | st.text(LETTERS, min_size=1, max_size=20))
            case t.CountedString():
                return draw(st.none() | st.text(LETTERS, max_size=20))
            case t.ByteArray(size=size):
                return draw(st.binary(min_size=size, max_size=size))
            case t.WCharArray(count=count):
                return draw(st.text(LETTERS, max_size=min(count, 20)))
            case t.Pointer(to=to, count=count):
                if count is None:
                    return draw(st.none()) if draw(st.booleans()) else self.value(to, outer)
                return [self.value(to, outer) for _ in range(self.count(t.count_of(count), outer))]
            case t.Array(of=of, count=count, used=used):
                number = count
                if used is not None:
                    number = self.counts.setdefault((id(outer[0][1]), used), draw(st.integers(1, min(count, 3))))
                if number > MANY:
                    few = [self.value(of, outer) for _ in range(3)]
                    return [few[index % len(few)] for index in range(number)]
                return [self.value(of, outer) for _ in range(number)]
            case t.Payload():
                return self.payload(type_, outer)
            case t.VariableRecords(to=to):
                return [self.struct(to, outer, {type_.size: lay_out(to, self.abi).size}) for _ in range(draw(_FEW))]
            case t.Union():
                arm = self.arm(type_, outer)
                if arm is None:
                    size, _ = measure(type_, self.abi)
                    return {"raw": draw(st.binary(min_size=1, max_size=8)).ljust(size, b"\0")}
                return {arm.name: self.value(arm.type, outer)}
            case t.Struct():
                return self.struct(type_, outer)
            case t.StructSize():
                return lay_out(outer[0][0], self.abi).size
            case _:
                return assert_never(type_)

    def count(self, length: t.Length, outer: Outer) -> int:
        """Draw the number of elements of an array. Arrays with one length field have the same number."""
        *nested_names, name = length.path.split(".")
        values = outer[0][1]
        for nested_name in nested_names:
            values = values[nested_name]
        if nested_names:  # a nested structure has drawn its own count
            return self.counts[id(values), name] + length.add
        return self.counts.setdefault((id(values), name), self.draw(st.integers(max(1, length.add), 3 + length.add)))

    def payload(self, type_: t.Payload, outer: Outer) -> Any:
        number = outer[0][1][type_.by]
        case = next((case for value, _, case in type_.cases if value == number), None)
        if case is None:
            return self.draw(st.none() | st.binary(min_size=1, max_size=40))
        if not isinstance(case, t.Struct):
            return self.value(case, outer)
        values = self.struct(_without_tails(case), outer)
        for field in case.fields():
            if isinstance(field.type, t.ByteArray) and field.type.tail and field.name in values:
                room = lay_out(case, self.abi).size - lay_out(case, self.abi).slot(field.name).offset
                values[field.name] = self.draw(st.binary(min_size=room, max_size=room + 30))
        return values


def _order(type_: t.Type) -> int:
    return 0 if isinstance(type_, (t.Integer, t.Enum, t.Flags)) else 1 if isinstance(type_, t.Struct) else 2


_FEW = st.integers(0, 2)
MANY = 256
"""Elements of an array from which on they are repetitions of a few."""


def _without_tails(struct: t.Struct) -> t.Struct:
    """Return a copy of a structure whose tails have one byte."""
    members = [
        t.Union(tuple(map(_short, member.arms)), member.by_call, member.name, member.open)
        if isinstance(member, t.Union)
        else _short(member)
        for member in struct.members
    ]
    return t.Struct(struct.name, tuple(members))


def _short(field: t.Field) -> t.Field:
    if isinstance(field.type, t.ByteArray) and field.type.tail:
        return t.Field(field.name, t.ByteArray("tail", 1), field.direction, field.when)
    return field


def _lengths(type_: t.Type) -> set[str]:
    """Return the fields with the lengths of a type."""
    names = {type_.used} if isinstance(type_, t.Array) and type_.used else set()
    if isinstance(type_, t.VariableRecords):
        names.add(type_.number)
    length = t.length_of(type_)
    if length is not None and "." not in length.path:
        names.add(length.path)
    return names


@st.composite
def recordings(
    draw: st.DrawFn, spec: t.CallSpec, abis: Sequence[t.Abi] = t.ABIS
) -> tuple[t.Abi, int, tuple[Region, ...], tuple[Region, ...] | None]:
    """Draw the memory of a call: with random bytes changed, with regions cut short, missing or twice."""
    abi = draw(st.sampled_from(abis))
    arena = Arena(abi, 1)
    (address,) = codec.encode(spec, abi, arena, draw(arguments(spec, abi)).values)
    entered = tuple(arena.regions())
    before = None
    if draw(st.booleans()):
        before = damaged(draw, entered) if draw(st.integers(0, 3)) == 0 else entered
    if draw(st.booleans()):
        for start, size, _ in entered:
            at = draw(st.integers(0, size - 1))
            arena.write(start + at, draw(st.binary(min_size=1, max_size=min(8, size - at))))
    regions = tuple(arena.regions())
    return abi, address, damaged(draw, regions) if draw(st.integers(0, 3)) == 0 else regions, before


def damaged(draw: st.DrawFn, regions: tuple[Region, ...]) -> tuple[Region, ...]:
    number = draw(st.integers(0, len(regions) - 1))
    start, size, data = regions[number]
    cut = draw(st.integers(0, len(data)))
    choices = (), ((start, size, data[:cut]),), ((start, size, data[:cut]), (start + cut, size - cut, data[cut:]))
    return (*regions[:number], *draw(st.sampled_from(choices)), *regions[number + draw(st.integers(0, 1)) :])
