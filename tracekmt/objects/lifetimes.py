"""Tracks object lifetimes through a recording.

A handle refers to an object. One call creates the object, and another one destroys it.

Lifetimes follow from the descriptions alone. They concern one side. `differ` compares two sides with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol, TypeVar

from tracekmt.codec import Unreadable
from tracekmt.objects.identity import Bindings, Identity
from tracekmt.spec.paths import all_fields
from tracekmt.spec.types import CallSpec, Creates, Kind
from tracekmt.trace.call import BoundValue
from tracekmt.trace.reader import TracedCall

Found_co = TypeVar("Found_co", covariant=True)
"""An object, as `Bindings` or another collection of live objects returns it."""


class Finder(Protocol[Found_co]):
    """Live objects, as `Bindings` has them."""

    def find(self, kind: Kind, value: int) -> Found_co | None:
        """See `Bindings.find`."""

    def find_destroyed(self, kind: Kind, value: int) -> Sequence[Found_co]:
        """See `Bindings.find_destroyed`."""


def is_live_value(bound: BoundValue) -> bool:
    """Return True if a value was readable and is not null."""
    return bool(bound.value) and not isinstance(bound.value, Unreadable)


def _is_live_number(bound: BoundValue) -> bool:
    """Return True if a value is a number but 0. A description in a trace may give a structure the kind of a handle."""
    return bool(bound.value) and isinstance(bound.value, int)


def iter_handles(values: Iterable[BoundValue]) -> Iterator[tuple[BoundValue, Kind]]:
    """Yield the handles that are not null, with their kinds."""
    for bound in values:
        kind = bound.kind
        if kind is not None and kind.binding == "handle" and _is_live_number(bound):
            yield bound, kind


@lru_cache(maxsize=1024)
def has_fence_values(spec: CallSpec) -> bool:
    """Return True if calls of a function pass fence values."""
    return any(field.fence_handle is not None for field in all_fields(spec.argument))


def fence_owners(bindings: Bindings, values: Sequence[BoundValue]) -> dict[str, Identity]:
    """Return the object that each fence value belongs to, by the path of the fence value."""
    fence_values = [bound for bound in values if bound.field.fence_handle is not None]
    if not fence_values:
        return {}
    by_path = {bound.path: bound for bound in values if is_live_value(bound)}
    owners: dict[str, Identity] = {}
    for fence_value in fence_values:
        assert fence_value.field.fence_handle is not None
        prefix, _, name = fence_value.path.rpartition(".")
        index = name.partition("[")[2].rstrip("]") or "0"
        handle_name = fence_value.field.fence_handle.replace("[]", f"[{index}]")
        handle = by_path.get(f"{prefix}.{handle_name}" if prefix else handle_name)
        kind = handle.kind if handle is not None else None
        identity = bindings.find(kind, handle.value) if handle is not None and kind is not None else None
        if identity is not None:
            owners[fence_value.path] = identity
    return owners


def destroyed_objects(live: Finder[Found_co], call: TracedCall) -> Iterator[Found_co]:
    """Yield the objects that a call destroys if it succeeds."""
    for destroys in call.spec.destroys:
        if call.satisfies(destroys.when):
            for bound in call.bound_inputs:
                if bound.pattern == destroys.path and _is_live_number(bound):
                    yield from live.find_destroyed(destroys.kind, bound.value)


class CreatedObject(NamedTuple):
    """Object or range that a successful call created.

    Attributes:
        kind: Kind of the object.
        bound_value: Output value with its handle, or with its base address.
        within: Objects whose destruction also destroys this one.
        size: Size of a range in bytes.
    """

    kind: Kind
    bound_value: BoundValue
    within: tuple[Identity, ...]
    size: int

    def identity(self, index: int, live: int | None, cause: int | None = None) -> Identity:
        """Return the identity of the object.

        Args:
            index: Index of the call that created it.
            live: Handle or base address on the replay target, if it exists there.
            cause: Index of the call whose difference is the reason why it does not exist there.
        """
        bound = self.bound_value
        return Identity(self.kind, bound.value, index, bound.path, live, cause, self.within, self.size)


Effect = tuple[Creates, int]
"""What a call creates, and the size of a range in bytes."""


def effects_of(call: TracedCall) -> list[Effect]:
    """Return what a call creates if it succeeds."""
    return [
        (creates, call.number(creates.size) * creates.unit if creates.size else 0)
        for creates in call.spec.creates
        if call.satisfies(creates.when)
    ]


def created_objects(bindings: Bindings, call: TracedCall) -> Iterator[CreatedObject]:
    """Yield the objects that a call created. Bind each one before the next, which may be within it."""
    for creates, size in effects_of(call):
        owner = owner_of(bindings, creates, call.bound_outputs)
        for bound in created_values(creates, call.bound_outputs):
            yield CreatedObject(creates.kind, bound, () if owner is None else (owner,), size)


def created_values(creates: Creates, outputs: Iterable[BoundValue]) -> Iterator[BoundValue]:
    """Yield the handles or addresses of what a call with these bound outputs created."""
    return (bound for bound in outputs if bound.pattern == creates.path and _is_live_number(bound))


def owner_of(live: Finder[Found_co], creates: Creates, outputs: Iterable[BoundValue]) -> Found_co | None:
    """Return the nearest live object whose destruction also destroys the created one."""
    for path in creates.within:
        for bound, kind in iter_handles([bound for bound in outputs if bound.pattern == path]):
            if kind.space.name in creates.kind.owner_spaces:
                return live.find(kind, bound.value)
    return None


class Lifetimes:
    """Live objects of a recording while its calls pass.

    Attributes:
        bindings: The live objects.
    """

    def __init__(self) -> None:
        self.bindings = Bindings()
        self._to_destroy: dict[int, list[Identity]] = {}

    def on_enter(self, call: TracedCall) -> None:
        """Find the objects that a call destroys. The handles refer to the objects that are live at the enter event."""
        identities = list(destroyed_objects(self.bindings, call))
        if identities:
            self._to_destroy[call.index] = identities

    def on_leave(self, call: TracedCall) -> tuple[list[Identity], list[Identity]]:
        """Update the live objects by a call that returned.

        Returns:
            The created objects and the destroyed ones.
        """
        identities = self._to_destroy.pop(call.index, [])
        if not call.succeeded:
            return [], []
        destroyed = [child for identity in identities for child in self.bindings.destroy(identity, call.index)]
        created: list[Identity] = []
        for created_object in created_objects(self.bindings, call):
            created.append(created_object.identity(call.index, None))
            # A handle refers to one object. The older object with this handle was destroyed by an unrecorded call.
            older, _ = self.bindings.bind(created[-1])
            destroyed += self.bindings.destroy(older, call.index) if older is not None else []
        return created, destroyed
