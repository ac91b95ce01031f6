"""From descriptions to the plan: the words that tell the recorder in the target what to copy.

The form of a plan is told at the top of hooks/recorder.c, which interprets it.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tracekmt.errors import DescriptionError
from tracekmt.spec.layout import Layout, Slot, lay_out, measure
from tracekmt.spec.types import POINTER_SIZE, Abi, Array, Bytes, Call, Flags, Pointer, Struct, Type, When

_ALL = 0xFFFFFFFF


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
class _Place:
    """A structure on the way to a field: where it begins, counted from the pointer target that holds it."""

    layout: Layout
    offset: int
    level: int


def compile_plan(calls: Iterable[tuple[int, Call]], abi: Abi) -> Plan:
    """The plan for calls, each with the number that its events carry."""
    plan = Plan(words=[0])  # word 0 is no shape
    for number, call in calls:
        # The arguments on entry are the outermost structure: a single pointer to one structure.
        size = measure(call.argument, abi)[0]
        inner = _shape(plan, call, (_Place(lay_out(call.argument, abi), 0, 1),))
        root = _append(plan, [1, *_pointer(0, size, (1, 0, 0, 0), inner, [])])
        plan.hooks[call.name] = _append(plan, [number, 1, root])
    return plan


def _append(plan: Plan, words: list[int]) -> int:
    plan.words += words
    return len(plan.words) - len(words)


def _pointer(
    offset: int, stride: int, count: tuple[int, int, int, int], shape: int, conditions: list[list[int]]
) -> list[int]:
    return [offset, stride, *count, shape, len(conditions), *(word for condition in conditions for word in condition)]


def _shape(plan: Plan, call: Call, places: tuple[_Place, ...]) -> int:
    """Append the shape of the innermost place and of what it leads to; its index, 0 if it has no pointers."""
    pointers = [
        _pointer_words(plan, call, slot, found, conditions) for slot, found, conditions in _pointers(call, places)
    ]
    if not pointers:
        return 0
    return _append(plan, [len(pointers), *(word for words in pointers for word in words)])


def _pointers(call: Call, places: tuple[_Place, ...]) -> Iterator[tuple[Slot, tuple[_Place, ...], list[list[int]]]]:
    """Every pointer in a structure and in those that lie in it, with the places that lead to it and its conditions."""
    here = places[-1]
    for slot in here.layout.slots:
        conditions: list[list[int]] = []
        if slot.overlay is not None:
            if slot.overlay.by_call:
                if slot.field.name not in call.arms:
                    continue
            else:
                conditions = _arm_conditions(slot, places)
        for type_, offset in _in_place(slot.field.type, here.offset + slot.offset, here.layout.abi):
            if isinstance(type_, Struct):
                inner = _Place(lay_out(type_, here.layout.abi), offset, here.level)
                for deeper, found, more in _pointers(call, (*places, inner)):
                    yield deeper, found, conditions + more
            elif isinstance(type_, (Pointer, Bytes)):
                yield slot, places, conditions


def _in_place(type_: Type, offset: int, abi: Abi) -> Iterator[tuple[Type, int]]:
    """A type, or every element of an array."""
    if not isinstance(type_, Array):
        yield type_, offset
        return
    size, _ = measure(type_.of, abi)
    for index in range(type_.count):
        yield from _in_place(type_.of, offset + index * size, abi)


def _pointer_words(
    plan: Plan, call: Call, slot: Slot, places: tuple[_Place, ...], conditions: list[list[int]]
) -> list[int]:
    here = places[-1]
    abi = here.layout.abi
    type_ = slot.field.type
    length = type_.length if isinstance(type_, Bytes) else type_.count if isinstance(type_, Pointer) else None
    count = (1, 0, 0, 0)
    if length is not None:
        counter = here.layout.slot(length)
        count = (0, 0, here.offset + counter.offset, counter.size)
    stride, shape = 1, 0
    if isinstance(type_, Pointer):
        stride, _ = measure(type_.to, abi)
        if isinstance(type_.to, Struct):
            shape = _shape(plan, call, (*places, _Place(lay_out(type_.to, abi), 0, here.level + 1)))
    return _pointer(here.offset + slot.offset, stride, count, shape, conditions)


def _arm_conditions(slot: Slot, places: tuple[_Place, ...]) -> list[list[int]]:
    """That an arm's own condition holds and that of no arm before it (for the arm without one: of no other)."""
    assert slot.overlay is not None
    conditions: list[list[int]] = []
    for arm in slot.overlay.arms:
        if arm is slot.field and arm.when:
            conditions.append(_condition(arm.when, places, expected=True))
            break
        if arm.when:
            conditions.append(_condition(arm.when, places, expected=False))
    return conditions


def _condition(when: When, places: tuple[_Place, ...], *, expected: bool) -> list[int]:
    place = places[-1 - when.up]
    name, _, bit = when.path.partition(".")
    slot = place.layout.slot(name)
    if slot.size != POINTER_SIZE["x86"]:
        raise DescriptionError(f"{place.layout.struct.name}.{name}: the recorder tests words of 32 bits only")
    mask = slot.field.type.mask(bit) if bit and isinstance(slot.field.type, Flags) else _ALL
    holds = when.holds == expected
    level = places[-1].level - place.level
    if when.equals is None:  # "is not zero"
        return [level, place.offset + slot.offset, mask, 0, int(not holds)]
    return [level, place.offset + slot.offset, mask, when.equals & _ALL, int(holds)]
