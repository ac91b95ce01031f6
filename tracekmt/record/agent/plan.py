"""Compiles descriptions into the plan, a program that selects the memory to copy in the target process.

The recorder interprets the plan. The top of hooks/recorder.c defines its form.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tracekmt.errors import DescriptionError
from tracekmt.spec import types as t
from tracekmt.spec.dispatch import assert_never
from tracekmt.spec.layout import Layout, lay_out, measure

TEXT_COPIED = 2048
"""Bytes copied of a string without a length. Such strings are device names, which are paths and not longer."""

_NO_FAULTS = 0
_ALL = 0xFFFFFFFF
_DEREFERENCE = 0x100
_ONE_ELEMENT = (1, 0, 0, 0, 0)

_Conditions = list[list[int]]
_Length = tuple[int, int, int, int, int]  # in the form of the plan: add, level, offset, size, minimum


@dataclass
class Plan:
    """A compiled plan.

    Attributes:
        words: The program.
        hooks: Index of each function's hook in the program.
    """

    words: list[int] = field(default_factory=list)
    hooks: dict[str, int] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """Hash of the program, which identifies in a trace what was copied."""
        return hashlib.sha256(array("I", self.words).tobytes()).hexdigest()[:16]


@dataclass(frozen=True)
class _StackEntry:
    """A structure that contains the current one.

    Attributes:
        layout: Layout of the structure.
        offset: Offset of the structure in the memory of its pointer.
        level: Number of pointers from the arguments to that memory.
    """

    layout: Layout
    offset: int
    level: int


def compile_plan(specs: Iterable[tuple[int, t.CallSpec]], abi: t.Abi) -> Plan:
    """Compile the plan for descriptions, each with the id that its events carry.

    Raises:
        DescriptionError: The recorder cannot copy the memory of a description.
    """
    return _Compiler(abi).compile(specs)


class _Compiler:
    """Appends the hooks of descriptions to a plan.

    A value has a level: the number of pointers from the arguments to its memory. It has an offset in that memory, and a
    stack of the structures that contain it. Its pointers are copied under its conditions only.
    """

    def __init__(self, abi: t.Abi) -> None:
        self.abi: t.Abi = abi
        self.plan = Plan(words=[t.POINTER_SIZE[abi]])
        self.arms: tuple[str, ...] = ()

    def compile(self, specs: Iterable[tuple[int, t.CallSpec]]) -> Plan:
        for spec_id, spec in specs:
            self.arms = spec.union_arms
            layout = lay_out(spec.argument, self.abi)
            if spec.argument.parameters:
                # The words of the arguments are the outermost structure.
                count, root = len(layout.slots), self.shape((_StackEntry(layout, 0, 0),))
            else:
                inner = self.shape((_StackEntry(layout, 0, 1),))
                count, root = 1, self.append([1, *_pointer(0, layout.size, _ONE_ELEMENT, inner, [])])
            self.plan.hooks[spec.name] = self.append([spec_id, count, root, _NO_FAULTS])
        return self.plan

    def append(self, words: list[int]) -> int:
        """Append words and return their index."""
        self.plan.words += words
        return len(self.plan.words) - len(words)

    def shape(self, stack: tuple[_StackEntry, ...]) -> int:
        """Append the shape of the innermost structure. Return its index, 0 if it has no pointers."""
        pointers = list(self.pointers(stack))
        if not pointers:
            return 0
        return self.append([len(pointers), *(word for words in pointers for word in words)])

    def pointers(self, stack: tuple[_StackEntry, ...], outer: _Conditions | None = None) -> Iterator[list[int]]:
        """Yield the words of every pointer in the innermost structure, including embedded structures.

        Args:
            stack: The structure and those that contain it.
            outer: Conditions of the structure itself.
        """
        entry = stack[-1]
        for slot in entry.layout.slots:
            if not _has_pointers(slot.field.type):
                continue
            conditions = list(outer or [])
            if slot.union is not None and slot.arm is not None:
                arm_conditions = self.arm_conditions(slot.union, slot.arm, stack)
                if arm_conditions is None:
                    continue
                conditions += arm_conditions
            offset = entry.offset + slot.offset
            yield from self.type_pointers(slot.field.type, offset, stack, entry.level, conditions)

    def type_pointers(
        self, type_: t.Type, offset: int, stack: tuple[_StackEntry, ...], level: int, conditions: _Conditions
    ) -> Iterator[list[int]]:
        """Yield the words of the pointers in a value of a type, at an offset in the memory of a level."""
        if isinstance(type_, t.PLAIN_TYPES):
            return
        match type_:
            case t.Array(of=of, count=count):
                size, _ = measure(of, self.abi)
                for index in range(count):
                    yield from self.type_pointers(of, offset + index * size, stack, level, conditions)
            case t.Struct():
                inner = _StackEntry(lay_out(type_, self.abi), offset, level)
                yield from self.pointers((*stack, inner), conditions)
            case t.Union():
                for arm in filter(lambda arm: _has_pointers(arm.type), type_.arms):
                    arm_conditions = self.arm_conditions(type_, arm, stack)
                    if arm_conditions is not None:
                        yield from self.type_pointers(arm.type, offset, stack, level, conditions + arm_conditions)
            case t.CountedString():
                pointer_offset = offset + t.POINTER_SIZE[self.abi]
                yield _pointer(pointer_offset, 1, (0, 0, offset, 2, 0), 0, conditions)
            case t.Pointer(to=to):
                stride, _ = measure(to, self.abi)
                shape = self.element(to, stack, level + 1)
                yield _pointer(offset, stride, _length(t.length_of(type_), stack, level), shape, conditions)
            case t.WString(length=None):
                yield _pointer(offset, 1, (TEXT_COPIED, 0, 0, 0, 0), 0, conditions)
            case t.RawWindow(size=size):
                yield _pointer(offset, 1, (size, 0, 0, 0, 0), 0, conditions)
            case t.Payload():
                yield _pointer(offset, 1, _length(t.length_of(type_), stack, level), 0, conditions)
                yield from self.case_pointers(type_, offset, stack, level, conditions)
            case t.VariableRecords(to=to) if self.shape((*stack, _StackEntry(lay_out(to, self.abi), 0, level + 1))):
                raise DescriptionError(f"{to.name}: cannot record the pointers of variable records")
            case t.WString() | t.Bytes() | t.VariableRecords():
                stride = t.WCHAR_SIZE[self.abi] if isinstance(type_, t.WString) else 1
                yield _pointer(offset, stride, _length(t.length_of(type_), stack, level), 0, conditions)
            case _:
                assert_never(type_)

    def case_pointers(
        self, payload: t.Payload, offset: int, stack: tuple[_StackEntry, ...], level: int, conditions: _Conditions
    ) -> Iterator[list[int]]:
        """Yield the pointers in the cases of a payload, each with the condition of its case."""
        for value, _, case in payload.cases:
            if not isinstance(case, t.Struct):
                if _has_pointers(case):
                    raise DescriptionError(
                        f"{payload.by}: cannot record the pointers of a payload case that is not a structure"
                    )
                continue
            layout = lay_out(case, self.abi)
            shape = self.shape((*stack, _StackEntry(layout, 0, level + 1)))
            if shape:
                case_condition = _condition(t.Condition(payload.by, equals=value), stack, expected=True)
                yield _pointer(offset, layout.size, _ONE_ELEMENT, shape, [*conditions, case_condition])

    def element(self, to: t.Type, stack: tuple[_StackEntry, ...], level: int) -> int:
        """Append the shape of a pointer's target type. Return its index, 0 if it has no pointers."""
        if isinstance(to, t.Struct):
            return self.shape((*stack, _StackEntry(lay_out(to, self.abi), 0, level)))
        pointers = list(self.type_pointers(to, 0, stack, level, []))
        return self.append([len(pointers), *(word for words in pointers for word in words)]) if pointers else 0

    def arm_conditions(self, union: t.Union, field: t.Field, stack: tuple[_StackEntry, ...]) -> _Conditions | None:
        """Return the conditions under which an arm of a union is in effect.

        The arm's own condition must hold, and none of the arms before it. For the arm without a condition, none of the
        others may hold. A condition on the kind of an object is left out, because the recorder does not know objects.
        All such arms are copied.

        Returns:
            The conditions, or None if the arm is never in effect, or the call has selected another arm.
        """
        if union.by_call:
            return [] if field.name in self.arms else None
        if field.when == t.NEVER:
            return None
        conditions: _Conditions = []
        for arm in union.arms:
            if arm.when and arm.when.kind is None and arm.when != t.NEVER:
                conditions.append(_condition(arm.when, stack, expected=arm is field))
            if arm is field and arm.when:
                break
        return conditions


def _has_pointers(type_: t.Type) -> bool:
    """Return True if a value of the type contains pointers to described memory."""
    match type_:
        case t.Array(of=of):
            return _has_pointers(of)
        case t.Union(arms=arms):
            return any(_has_pointers(arm.type) for arm in arms)
        case t.Struct():
            return any(_has_pointers(field.type) for field in type_.fields())
        case t.CountedString():
            return True
        case _ if isinstance(type_, t.POINTER_TYPES):
            return True
        case _ if isinstance(type_, t.PLAIN_TYPES):
            return False
        case _:
            return assert_never(type_)


def _pointer(offset: int, stride: int, count: _Length, shape: int, conditions: _Conditions) -> list[int]:
    return [offset, stride, *count, shape, len(conditions), *(word for condition in conditions for word in condition)]


def _length(length: t.Length | None, stack: tuple[_StackEntry, ...], level: int) -> _Length:
    """Return the number of elements of a pointer at a level, one without a length."""
    if length is None:
        return _ONE_ELEMENT
    entry = stack[-1 - length.parent]
    location = entry.layout.locate(length.path)
    size = _DEREFERENCE | 4 if length.deref else location.size
    return length.add, level - entry.level, entry.offset + location.offset, size, length.minimum


def _condition(when: t.Condition, stack: tuple[_StackEntry, ...], *, expected: bool) -> list[int]:
    """Return the words of a condition, relative to the level of the innermost structure.

    Args:
        when: The condition.
        stack: The structure that the condition belongs to, and those that contain it.
        expected: True if the condition must hold, False if it must not.
    """
    entry = stack[-1 - when.parent]
    location = entry.layout.locate(when.path)
    if location.size != t.POINTER_SIZE["x86"] or when.any_of:
        raise DescriptionError(
            f"{entry.layout.struct.name}.{when.path}: the recorder compares words of 32 bits with one value only"
        )
    is_equal = when.negate != expected
    level = stack[-1].level - entry.level
    offset = entry.offset + location.offset
    mask = _ALL if location.mask is None else location.mask
    if when.equals is None:  # the condition is that the value is not zero
        return [level, offset, mask, 0, int(not is_equal)]
    return [level, offset, mask, when.equals & _ALL, int(is_equal)]
