"""Descriptions without unions that depend on objects: their arms are chosen by the kind of an object of one call."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from tracekmt.codec.context import KindOf
from tracekmt.codec.memory import Memory, MemoryFault
from tracekmt.spec.layout import lay_out
from tracekmt.spec.paths import structures
from tracekmt.spec.types import NEVER, Abi, CallSpec, Condition, Field, Kind, Pointer, Union

_HANDLE_SIZE = 4


def resolve(spec: CallSpec, abi: Abi, memory: Memory, address: int, kind_of: KindOf | None) -> CallSpec:
    """Return the description of one call. It selects arms by no object, so that no reader has to look at objects.

    Args:
        spec: Description of the function.
        abi: ABI of the process that made the call.
        memory: Memory at enter.
        address: Address of the argument.
        kind_of: Returns the kind of a handle's object.

    Returns:
        The same description if the kind is unknown, or several handles select arms.
    """
    handle = selecting_handle(spec, abi)
    if handle is None or kind_of is None or not address:
        return spec
    try:
        data = memory.read(address + handle.offset, handle.size)
        if handle.is_pointer:
            data = memory.read(int.from_bytes(data, "little"), _HANDLE_SIZE)
    except MemoryFault:
        return spec
    kind = kind_of(int.from_bytes(data, "little"))
    return spec if kind is None else _with_kind(spec, kind)


class SelectingHandle(NamedTuple):
    """Place of a handle in an argument: of the handle, or of a pointer to it if `is_pointer`."""

    offset: int
    size: int
    is_pointer: bool


@lru_cache(maxsize=4096)
def selecting_handle(spec: CallSpec, abi: Abi) -> SelectingHandle | None:
    """Return the handle whose kind selects all arms that depend on one. None if there is no such handle."""
    if spec.argument.parameters:
        return None
    unions = [member for member in spec.argument.members if isinstance(member, Union)]
    own = [condition.path for union in unions for condition in map(_kind_condition, union.arms) if condition]
    fields = (field for struct in structures(spec.argument) for field in struct.fields())
    is_complete = len(own) == sum(field.when is not None and field.when.kind is not None for field in fields)
    if not is_complete or len(set(own)) != 1:
        return None
    location = lay_out(spec.argument, abi).locate(own[0])
    is_pointer = isinstance(location.type, Pointer)
    return SelectingHandle(location.offset, location.size if is_pointer else _HANDLE_SIZE, is_pointer)


def _kind_condition(field: Field) -> Condition | None:
    """Return the condition of a field that is one on the kind of an object of the same structure."""
    condition = field.when
    return condition if condition is not None and condition.kind is not None and not condition.parent else None


@lru_cache(maxsize=4096)
def _with_kind(spec: CallSpec, kind: Kind) -> CallSpec:
    members = [
        _resolve_union(member, kind) if isinstance(member, Union) else member for member in spec.argument.members
    ]
    return replace(spec, argument=replace(spec.argument, members=tuple(members)))


def _resolve_union(union: Union, kind: Kind) -> Union:
    """Return a union without conditions on a kind. The first arm whose condition is true is in effect."""
    arms: list[Field] = []
    chosen: Field | None = None
    for arm in union.arms:
        condition = _kind_condition(arm)
        if chosen is None and condition is not None and (kind == condition.kind) != condition.negate:
            chosen = arm
            arms = [replace(each, when=NEVER) if each.when is None else each for each in arms]
            arms.append(replace(arm, when=None))
        else:
            arms.append(replace(arm, when=NEVER) if chosen is not None or condition is not None else arm)
    return replace(union, arms=tuple(arms))
