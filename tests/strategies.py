"""Random values for described arguments, in the value form, such that encoding and decoding gives them back."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tracekmt.spec import types as t
from tracekmt.spec.layout import lay_out, measure

Outer = list[tuple[t.Struct, dict[str, Any]]]
LETTERS = st.characters(min_codepoint=1, max_codepoint=0xFFFF)


class Drawn:
    """What was drawn: the values, and the kind of object that every handle is taken to lead to."""

    def __init__(self, values: dict[str, Any], kind: t.Kind | None) -> None:
        self.values = values
        self.kind = kind

    def __repr__(self) -> str:
        return f"{self.values} ({self.kind.name if self.kind else 'kinds unknown'})"

    def kind_of(self, _handle: int) -> t.Kind | None:
        return self.kind


def arguments(call: t.CallSpec, abi: t.Abi) -> st.SearchStrategy[Drawn]:
    """Values of a call's whole argument; lengths are left out."""

    def draw_all(draw: Any) -> Drawn:
        kinds = [None, *_kinds(call.argument)]
        kind = draw(st.sampled_from(kinds)) if len(kinds) > 1 else None
        return Drawn(_Draw(draw, abi, call.union_arms, kind).struct(call.argument, []), kind)

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
        self.kept: list[Any] = []  # so that identities stay apart

    def struct(self, struct: t.Struct, outer: Outer, forced: dict[str, Any] | None = None) -> dict[str, Any]:
        values: dict[str, Any] = dict(forced or {})
        here = [(struct, values), *outer]
        self.kept.append(values)
        lengths = {name for field in struct.fields() for name in _lengths(field.type)}
        plain = [member for member in struct.members if not isinstance(member, t.Union)]
        # Words first: conditions are about them. Then what lies in place: lengths may lie in it.
        for field in sorted(plain, key=lambda field: _order(field.type)):
            if field.name not in lengths and field.name not in values and not isinstance(field.type, t.StructSize):
                values[field.name] = self.value(field.type, here)
        for member in struct.members:
            if isinstance(member, t.Union):
                arm = self.arm(member, here)
                if arm is None:
                    continue
                inside = arm.type.fields() if not arm.name and isinstance(arm.type, t.Struct) else [arm]
                for field in inside:
                    values[field.name] = self.value(field.type, here)
        return values

    def arm(self, overlay: t.Union, here: Outer) -> t.Field | None:
        if overlay.open:
            return None
        if overlay.by_call:
            return next(arm for arm in overlay.arms if arm.name in self.arms)
        held = (arm for arm in overlay.arms if arm.when and self.holds(arm.when, here))
        return next(held, next((arm for arm in overlay.arms if arm.when is None), None))

    def holds(self, when: t.Condition, values: Outer) -> bool:
        if when == t.NEVER:
            return False
        if when.kind:
            # What only the objects can tell must be told by one: without it nothing is in effect.
            return self.kind == when.kind
        struct, fields = values[when.parent]
        name, _, bit = when.path.partition(".")
        word = fields[name]
        if bit:
            flags = struct.field(name).type
            assert isinstance(flags, t.Flags)
            word &= flags.mask(bit)
        if when.any_of:
            return (word in when.any_of) != when.negate
        return bool(word == when.equals if when.equals is not None else word) != when.negate

    def value(self, type_: t.Type, here: Outer) -> Any:
        draw = self.draw
        match type_:
            case t.Integer(size=size, signed=signed):
                bits = 8 * (size or t.POINTER_SIZE[self.abi])
                small = st.integers(0, 12)
                wide = st.integers(-(1 << bits - 1), (1 << bits - 1) - 1) if signed else st.integers(0, (1 << bits) - 1)
                return draw(small | wide)
            case t.Enum(members=members):
                return draw(st.sampled_from([number for _, number in members]) | st.integers(-3, -2))
            case t.Flags(size=size) if type_.has_bitfields:
                word = draw(st.integers(0, (1 << 8 * size) - 1))
                return {b.name: (word & type_.mask(b.name)) >> b.position for b in type_.in_effect(word)}
            case t.Flags(size=size):
                return draw(st.integers(0, (1 << 8 * size) - 1))
            case t.Float(size=size):
                return draw(st.floats(width=32 if size == 4 else 64, allow_nan=False))
            case t.Address():
                return draw(st.none() | st.integers(1, (1 << 8 * t.POINTER_SIZE[self.abi]) - 1))
            case t.Bytes() | t.RawWindow():
                return draw(st.none() | st.binary(min_size=1, max_size=40))
            case t.WString(length=None):
                return draw(st.none() | st.text(LETTERS, max_size=20))
            case t.WString():
                return draw(st.none() | st.text(LETTERS, min_size=1, max_size=20))
            case t.CountedString():
                return draw(st.none() | st.text(LETTERS, max_size=20))
            case t.ByteArray(size=size, tail=False):
                return draw(st.binary(min_size=size, max_size=size))
            case t.WCharArray(count=count):
                return draw(st.text(LETTERS, max_size=min(count, 20)))
            case t.Pointer(to=to, count=None):
                return draw(st.none()) if draw(st.booleans()) else self.value(to, here)
            case t.Pointer(to=to, count=count) if count is not None:
                length = t.count_of(count)
                # Arrays on one count have as many elements each.
                key = (id(here[0][1]), length.path)
                number = self.counts.setdefault(key, draw(st.integers(max(1, length.add), 3 + length.add)))
                if "." in length.path:  # in a structure of its own, which draws its own count
                    inner, name = length.path.split(".")
                    nested = here[0][1].get(inner) or {}
                    arrays = [len(value) for key, value in nested.items() if key == "BroadcastContext"]
                    number = arrays[0] + length.add
                    assert name == "BroadcastContextCount"
                return [self.value(to, here) for _ in range(number)]
            case t.Array(of=of, count=count, used=used):
                number = count
                if used is not None:
                    number = self.counts.setdefault((id(here[0][1]), used), draw(st.integers(1, min(count, 3))))
                return [self.value(of, here) for _ in range(number)]
            case t.Payload():
                return self.payload(type_, here)
            case t.VariableRecords(to=to):
                return [self.struct(to, here, {type_.size: lay_out(to, self.abi).size}) for _ in range(draw(_FEW))]
            case t.Union():
                arm = self.arm(type_, here)
                if arm is None:
                    size, _ = measure(type_, self.abi)
                    return {"raw": draw(st.binary(min_size=1, max_size=8)).ljust(size, b"\0")}
                return {arm.name: self.value(arm.type, here)}
            case t.Struct():
                return self.struct(type_, here)
        raise TypeError(type_)

    def payload(self, type_: t.Payload, here: Outer) -> Any:
        number = here[0][1][type_.by]
        case = next((case for value, _, case in type_.cases if value == number), None)
        if case is None:
            return self.draw(st.none() | st.binary(min_size=1, max_size=40))
        if not isinstance(case, t.Struct):
            return self.value(case, here)
        values = self.struct(_without_tails(case), here)
        for field in case.fields():
            if isinstance(field.type, t.ByteArray) and field.type.tail and field.name in values:
                room = lay_out(case, self.abi).size - lay_out(case, self.abi).slot(field.name).offset
                values[field.name] = self.draw(st.binary(min_size=room, max_size=room + 30))
        return values


def _order(type_: t.Type) -> int:
    return 0 if isinstance(type_, (t.Integer, t.Enum, t.Flags)) else 1 if isinstance(type_, t.Struct) else 2


_FEW = st.integers(0, 2)


def _without_tails(struct: t.Struct) -> t.Struct:
    """The same structure, with tails drawn as if they were short."""
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
    """The fields that are left out because they say how much another holds."""
    found = {type_.used} if isinstance(type_, t.Array) and type_.used else set()
    if isinstance(type_, t.VariableRecords):
        found.add(type_.number)
    length = t.length_of(type_)
    if length is not None and "." not in length.path:
        found.add(length.path)
    return found
