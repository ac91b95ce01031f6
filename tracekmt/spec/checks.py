"""What a description can be wrong about, found before anything is recorded with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tracekmt.spec import paths
from tracekmt.spec.types import (
    Array,
    Bytes,
    Call,
    Enum,
    Field,
    Flags,
    Integer,
    Kind,
    Overlay,
    Pointer,
    Struct,
    Type,
    When,
)

ARRAY_LIMIT = 1 << 16


def check(call: Call) -> list[str]:
    """Every contradiction in one description, as a line that names the place and says what to mend."""
    problems = list(_check_struct(call.argument, None, call.arms, call.name))
    for path, kind, when in [(c.path, c.kind, c.when) for c in call.creates] + [
        (d.path, d.kind, d.when) for d in call.destroys
    ]:
        problems += _check_kind(call, path, kind)
        for condition in when:
            problems += _check_when(condition, call.argument, None, f"{call.name}: {path}")
    for creates in call.creates:
        for path in creates.within:
            problems += _check_kind(call, path, None)
    return problems


def check_all(calls: Iterable[Call]) -> list[str]:
    """The contradictions of many descriptions, and those between them: a handle kind that no call creates, or that
    nothing ends."""
    calls = list(calls)
    problems = [problem for call in calls for problem in check(call)]
    names = [call.name for call in calls]
    problems += [f"{name}: described twice; keep one" for name in sorted({n for n in names if names.count(n) > 1})]
    created = {creates.kind for call in calls for creates in call.creates}
    destroyed = {destroys.kind for call in calls for destroys in call.destroys}
    for call in calls:
        for path, field, _ in paths.fields(call.argument, arms=call.arms):
            kind = kind_of(field.type)
            if kind is None or kind.binding != "handle":
                continue
            if kind not in created:
                problems.append(f"{call.name}: {path}: no call creates the kind {kind.name}; name the one that does")
            if kind not in destroyed and not kind.dies_with:
                problems.append(f"{call.name}: {path}: nothing ends the kind {kind.name}; name the call, or dies_with")
    return problems


def kind_of(type_: Type) -> Kind | None:
    """The kind of the values that a field holds, behind its pointer or in its array too."""
    inner, _ = paths.element(type_)
    return inner.kind if isinstance(inner, Integer) else getattr(type_, "kind", None)


def _check_struct(struct: Struct, parent: Struct | None, arms: tuple[str, ...], where: str) -> Iterator[str]:
    where = f"{where}: {struct.name}"
    if not struct.members:
        yield f"{where}: has no fields"
    names = [field.name for field in struct.fields()]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{where}: {name} stands twice; names are unique within a structure"
    for member in struct.members:
        if isinstance(member, Overlay):
            yield from _check_overlay(member, struct, parent, arms, where)
        elif member.when:
            yield f"{where}: {member.name} has a condition outside a union; conditions choose arms"
    for field in struct.fields():
        yield from _check_type(field, struct, arms, where)


def _check_overlay(
    overlay: Overlay, struct: Struct, parent: Struct | None, arms: tuple[str, ...], where: str
) -> Iterator[str]:
    names = "/".join(arm.name for arm in overlay.arms)
    if overlay.by_call:
        if sum(arm.name in arms for arm in overlay.arms) != 1:
            yield f"{where}: {names}: the call must name one of these arms"
        return
    for arm in overlay.arms:
        if arm.when:
            yield from _check_when(arm.when, struct, parent, f"{where}: {arm.name}")
    if sum(arm.when is None for arm in overlay.arms) != 1:
        yield f"{where}: {names}: needs one arm without a condition, for when no other is in effect"


def _check_type(field: Field, struct: Struct, arms: tuple[str, ...], where: str) -> Iterator[str]:
    match field.type:
        case Pointer(count=str(length)) | Bytes(length=length):
            target = next((f for f in struct.fields() if f.name == length), None)
            if target is None or not isinstance(target.type, Integer):
                yield f"{where}: {field.name}: its length {length} is no integer field of {struct.name}"
        case Array(count=count) if not 0 < count <= ARRAY_LIMIT:
            yield f"{where}: {field.name}: an array of {count} elements; {ARRAY_LIMIT} at most"
        case Flags() as flags:
            yield from _check_flags(flags, f"{where}: {field.name}")
        case _:
            pass
    inner, _ = paths.element(field.type)
    named = [name for name, _ in inner.members] if isinstance(inner, Enum) else []
    named += [bit.name for bit in inner.bits] if isinstance(inner, Flags) else []
    for name in named:
        if not name.isidentifier() or name.startswith("_") or named.count(name) > 1:
            yield f"{where}: {field.name}: {name!r} is no name, or stands twice"
    if isinstance(inner, Integer) and inner.size not in (1, 2, 4, 8, None):
        yield f"{where}: {field.name}: an integer of {inner.size} bytes"
    if isinstance(inner, Struct):
        # A structure in place has the same parent as the one that holds it; behind a pointer, that one is the parent.
        yield from _check_struct(inner, struct, arms, where)


def _check_flags(flags: Flags, where: str) -> Iterator[str]:
    taken = 0
    for bit in flags.bits:
        if bit.position < 0 or bit.width < 1 or bit.position + bit.width > 32:
            yield f"{where}.{bit.name}: lies outside a word of 32 bits"
        elif taken & flags.mask(bit.name):
            yield f"{where}.{bit.name}: shares bits with another name"
        else:
            taken |= flags.mask(bit.name)


def _check_when(when: When, struct: Struct, parent: Struct | None, where: str) -> Iterator[str]:
    holder = parent if when.up else struct
    name, _, bit = when.path.partition(".")
    field = next((f for f in holder.fields() if f.name == name), None) if holder else None
    if field is None:
        yield f"{where}: its condition names {when.path}, which does not exist there"
    elif bit and not (isinstance(field.type, Flags) and any(b.name == bit for b in field.type.bits)):
        yield f"{where}: its condition names {when.path}, but {name} has no such bit"


def _check_kind(call: Call, path: str, kind: Kind | None) -> Iterator[str]:
    try:
        found = kind_of(paths.find(call.argument, path).type)
    except KeyError:
        yield f"{call.name}: {path} leads to no field of {call.argument.name}"
        return
    if found is None or (kind is not None and found != kind):
        wanted = kind.name if kind else "a handle"
        yield f"{call.name}: {path} holds {found.name if found else 'no handle'}, not {wanted}"
