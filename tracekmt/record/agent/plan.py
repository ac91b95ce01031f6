"""From descriptions to the plan: the words that tell the recorder in the target what to copy.

The form of a plan is told at the top of hooks/recorder.c, which interprets it.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tracekmt.errors import DescriptionError
from tracekmt.spec import types as t
from tracekmt.spec.layout import Layout, lay_out, measure

TEXT_COPIED = 2048
"""How many bytes are copied of a string without a length: names of devices are paths, and not longer."""

_ALL = 0xFFFFFFFF
_BEHIND = 0x100
_ONE = (1, 0, 0, 0, 0)

_Conditions = list[list[int]]
_Number = tuple[int, int, int, int, int]  # what is added, levels outwards, offset, size, least: as the plan has it


@dataclass
class Plan:
    """words: the whole program. hooks: where the entry of each function is in it."""

    words: list[int] = field(default_factory=list)
    hooks: dict[str, int] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """What was copied depends on this alone; it goes into the trace."""
        return hashlib.sha256(array("I", self.words).tobytes()).hexdigest()[:16]


@dataclass(frozen=True)
class _StackEntry:
    """A structure on the way to a field: where it begins, counted from the pointer target that holds it."""

    layout: Layout
    offset: int
    level: int


def compile_plan(calls: Iterable[tuple[int, t.CallSpec]], abi: t.Abi) -> Plan:
    """The plan for calls, each with the number that its events carry."""
    return _Compiler(abi).compile(calls)


class _Compiler:
    def __init__(self, abi: t.Abi) -> None:
        self.abi: t.Abi = abi
        self.plan = Plan(words=[t.POINTER_SIZE[abi]])
        self.arms: tuple[str, ...] = ()

    def compile(self, calls: Iterable[tuple[int, t.CallSpec]]) -> Plan:
        for number, call in calls:
            self.arms = call.union_arms
            layout = lay_out(call.argument, self.abi)
            if call.argument.parameters:
                # The arguments on entry are the outermost structure.
                count, root = len(layout.slots), self.shape((_StackEntry(layout, 0, 0),))
            else:
                inner = self.shape((_StackEntry(layout, 0, 1),))
                count, root = 1, self.append([1, *_pointer(0, layout.size, _ONE, inner, [])])
            self.plan.hooks[call.name] = self.append([number, count, root])
        return self.plan

    def append(self, words: list[int]) -> int:
        self.plan.words += words
        return len(self.plan.words) - len(words)

    def shape(self, places: tuple[_StackEntry, ...]) -> int:
        """Append the shape of the innermost place and of what it leads to; its index, 0 if it has no pointers."""
        pointers = list(self.pointers(places))
        if not pointers:
            return 0
        return self.append([len(pointers), *(word for words in pointers for word in words)])

    def pointers(self, places: tuple[_StackEntry, ...], given: _Conditions | None = None) -> Iterator[list[int]]:
        """The words of every pointer in a structure and in those that lie in it."""
        here = places[-1]
        for slot in here.layout.slots:
            if not _leads_on(slot.field.type):
                continue
            conditions = list(given or [])
            if slot.overlay is not None and slot.arm is not None:
                chosen = self.arm_conditions(slot.overlay, slot.arm, places)
                if chosen is None:
                    continue
                conditions += chosen
            yield from self.in_place(slot.field.type, here.offset + slot.offset, places, here.level, conditions)

    def in_place(
        self, type_: t.Type, offset: int, places: tuple[_StackEntry, ...], level: int, conditions: _Conditions
    ) -> Iterator[list[int]]:
        """The pointers in a type that lies at an offset of what the walker is at, `level` pointers from the start."""
        match type_:
            case t.Array(of=of, count=count):
                size, _ = measure(of, self.abi)
                for index in range(count):
                    yield from self.in_place(of, offset + index * size, places, level, conditions)
            case t.Struct():
                inner = _StackEntry(lay_out(type_, self.abi), offset, level)
                yield from self.pointers((*places, inner), conditions)
            case t.Union():
                for arm in filter(lambda arm: _leads_on(arm.type), type_.arms):
                    chosen = self.arm_conditions(type_, arm, places)
                    if chosen is not None:
                        yield from self.in_place(arm.type, offset, places, level, conditions + chosen)
            case t.CountedString():
                at = offset + t.POINTER_SIZE[self.abi]
                yield _pointer(at, 1, (0, 0, offset, 2, 0), 0, conditions)
            case t.Pointer(to=to):
                stride, _ = measure(to, self.abi)
                shape = self.element(to, places, level + 1)
                yield _pointer(offset, stride, _number(t.length_of(type_), places, level), shape, conditions)
            case t.WString(length=None):
                yield _pointer(offset, 1, (TEXT_COPIED, 0, 0, 0, 0), 0, conditions)
            case t.RawWindow(size=size):
                yield _pointer(offset, 1, (size, 0, 0, 0, 0), 0, conditions)
            case t.Payload():
                yield _pointer(offset, 1, _number(t.length_of(type_), places, level), 0, conditions)
                for value, _, case in type_.cases:
                    if not isinstance(case, t.Struct):
                        continue
                    layout = lay_out(case, self.abi)
                    inside = self.shape((*places, _StackEntry(layout, 0, level + 1)))
                    if inside:
                        only = _condition(t.Condition(type_.by, equals=value), places, expected=True)
                        yield _pointer(offset, layout.size, _ONE, inside, [*conditions, only])
            case t.VariableRecords(to=to) if self.shape((*places, _StackEntry(lay_out(to, self.abi), 0, level + 1))):
                raise DescriptionError(f"{to.name}: records that hold pointers cannot be recorded")
            case _ if t.length_of(type_) is not None:
                stride = t.WCHAR_SIZE[self.abi] if isinstance(type_, t.WString) else 1
                yield _pointer(offset, stride, _number(t.length_of(type_), places, level), 0, conditions)
            case _:
                pass

    def element(self, to: t.Type, places: tuple[_StackEntry, ...], level: int) -> int:
        """The shape of what a pointer leads to."""
        if isinstance(to, t.Struct):
            return self.shape((*places, _StackEntry(lay_out(to, self.abi), 0, level)))
        inside = list(self.in_place(to, 0, places, level, []))
        return self.append([len(inside), *(word for words in inside for word in words)]) if inside else 0

    def arm_conditions(self, overlay: t.Union, field: t.Field, places: tuple[_StackEntry, ...]) -> _Conditions | None:
        """That an arm's own condition holds and that of no arm before it (for the arm without one: of no other); None
        where the call has chosen another. What only the objects can tell is left open: all is copied."""
        if overlay.by_call:
            return [] if field.name in self.arms else None
        if field.when == t.NEVER:
            return None
        conditions: _Conditions = []
        for arm in overlay.arms:
            if arm.when and arm.when.kind is None and arm.when != t.NEVER:
                conditions.append(_condition(arm.when, places, expected=arm is field))
            if arm is field and arm.when:
                break
        return conditions


def _leads_on(type_: t.Type) -> bool:
    """Whether there is a pointer to follow in a type."""
    match type_:
        case t.Array(of=of):
            return _leads_on(of)
        case t.Union(arms=arms):
            return any(_leads_on(arm.type) for arm in arms)
        case t.Struct():
            return any(_leads_on(field.type) for field in type_.fields())
        case _:
            return (
                isinstance(type_, (t.Pointer, t.CountedString, t.WString, t.RawWindow))
                or t.length_of(type_) is not None
            )


def _pointer(offset: int, stride: int, count: _Number, shape: int, conditions: _Conditions) -> list[int]:
    return [offset, stride, *count, shape, len(conditions), *(word for condition in conditions for word in condition)]


def _number(length: t.Length | None, places: tuple[_StackEntry, ...], level: int) -> _Number:
    """How many elements a pointer leads to."""
    if length is None:
        return _ONE
    holder = places[-1 - length.parent]
    place = holder.layout.place(length.path)
    size = _BEHIND | 4 if length.deref else place.size
    return length.add, level - holder.level, holder.offset + place.offset, size, length.minimum


def _condition(when: t.Condition, places: tuple[_StackEntry, ...], *, expected: bool) -> list[int]:
    """A condition, seen from the innermost structure: what lies in it by itself is at the same level."""
    holder = places[-1 - when.parent]
    place = holder.layout.place(when.path)
    if place.size != t.POINTER_SIZE["x86"] or when.any_of:
        raise DescriptionError(
            f"{holder.layout.struct.name}.{when.path}: the recorder compares words of 32 bits with one value only"
        )
    holds = when.negate != expected
    level = places[-1].level - holder.level
    mask = _ALL if place.mask is None else place.mask
    if when.equals is None:  # "is not zero"
        return [level, holder.offset + place.offset, mask, 0, int(not holds)]
    return [level, holder.offset + place.offset, mask, when.equals & _ALL, int(holds)]
