"""What the objects of a recording live through: which values lead to which objects, what a call makes and what it ends.

It follows from the descriptions alone and looks at one side; `differ` holds two against each other with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tracekmt.codec import Unreadable
from tracekmt.objects.identity import Bindings, Identity
from tracekmt.spec.types import Creates, Kind
from tracekmt.trace.call import BoundValue
from tracekmt.trace.reader import TracedCall


def is_live_value(leaf: BoundValue) -> bool:
    """Whether a value was readable, and is not null."""
    return bool(leaf.value) and not isinstance(leaf.value, Unreadable)


def iter_handles(found: Iterable[BoundValue]) -> Iterator[tuple[BoundValue, Kind]]:
    """The values that are handles and not null, with their kinds."""
    for leaf in found:
        kind = leaf.kind
        if kind is not None and kind.binding == "handle" and is_live_value(leaf):
            yield leaf, kind


def fence_owners(bindings: Bindings, found: Sequence[BoundValue]) -> dict[str, Identity]:
    """For every fence value by its path, the object that it is a value of."""
    values = [leaf for leaf in found if leaf.field.fence_handle is not None]
    if not values:
        return {}
    handles = {leaf.path: leaf for leaf in found if is_live_value(leaf)}
    told: dict[str, Identity] = {}
    for leaf in values:
        assert leaf.field.fence_handle is not None
        prefix, _, last = leaf.path.rpartition(".")
        index = last.partition("[")[2].rstrip("]") or "0"
        of = leaf.field.fence_handle.replace("[]", f"[{index}]")
        handle = handles.get(f"{prefix}.{of}" if prefix else of)
        kind = handle.kind if handle is not None else None
        identity = bindings.find(kind, handle.value) if handle is not None and kind is not None else None
        if identity is not None:
            told[leaf.path] = identity
    return told


def destroyed_objects(bindings: Bindings, call: TracedCall) -> Iterator[Identity]:
    """What a call ends if it succeeds."""
    for destroys in call.spec.destroys:
        if call.satisfies(destroys.when):
            for leaf in call.bound_inputs:
                if leaf.pattern == destroys.path and is_live_value(leaf):
                    identity = bindings.find(destroys.kind, leaf.value)
                    if identity is not None and identity.recorded == leaf.value:
                        yield identity


@dataclass(frozen=True)
class Birth:
    """Something that a call which succeeded made: where its handle stands, what it dies with, and of a range its size
    in bytes."""

    kind: Kind
    leaf: BoundValue
    within: tuple[Identity, ...]
    size: int

    def identity(self, index: int, live: int | None, cause: int | None = None) -> Identity:
        """The object, by the call that made it."""
        return Identity(self.kind, self.leaf.value, index, self.leaf.path, live, cause, self.within, self.size)


def created_objects(bindings: Bindings, call: TracedCall) -> Iterator[Birth]:
    """What a call made. Each is to be bound before the next is asked for, which may be within it."""
    for creates in call.spec.creates:
        if not call.satisfies(creates.when):
            continue
        within = _owners(bindings, creates, call.bound_outputs)
        size = call.number(creates.size) * creates.unit if creates.size else 0
        for leaf in call.bound_outputs:
            if leaf.pattern == creates.path and is_live_value(leaf):
                yield Birth(creates.kind, leaf, within, size)


def _owners(bindings: Bindings, creates: Creates, outputs: Iterable[BoundValue]) -> tuple[Identity, ...]:
    """What an object dies with: the nearest living owner."""
    for path in creates.within:
        for leaf, kind in iter_handles(outputs):
            if leaf.pattern == path and any(each.space == kind.space for each in creates.kind.dies_with):
                owner = bindings.find(kind, leaf.value)
                return (owner,) if owner else ()
    return ()


class Lifetimes:
    """The objects that live at one point of a recording, as its calls go by."""

    def __init__(self) -> None:
        self.bindings = Bindings()
        self._ending: dict[int, list[Identity]] = {}

    def on_enter(self, call: TracedCall) -> None:
        """A call is entered; what it ends is told by what lives then."""
        found = list(destroyed_objects(self.bindings, call))
        if found:
            self._ending[call.index] = found

    def on_leave(self, call: TracedCall) -> tuple[list[Identity], list[Identity]]:
        """A call returns: what was born, and what died."""
        doomed = self._ending.pop(call.index, [])
        if not call.succeeded:
            return [], []
        dead = [each for identity in doomed for each in self.bindings.end(identity, call.index)]
        born: list[Identity] = []
        for birth in created_objects(self.bindings, call):
            born.append(birth.identity(call.index, None))
            # Whoever had the handle before has it no more, although nobody was seen ending it.
            older, _ = self.bindings.bind(born[-1])
            dead += self.bindings.end(older, call.index) if older is not None else []
        return born, dead
