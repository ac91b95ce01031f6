"""What sort of object a handle led to at one point of a trace, for calls whose form depends on it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from tracekmt import codec
from tracekmt.spec.paths import structures
from tracekmt.spec.types import CallSpec, Kind


@lru_cache(maxsize=4096)
def depends_on_objects(call: CallSpec) -> bool:
    """Whether the objects that a call is given decide what its argument holds."""
    conditions = (field.when for struct in structures(call.argument) for field in struct.fields())
    return any(when is not None and when.kind is not None for when in conditions)


def ambiguous_kinds(calls: Iterable[CallSpec]) -> set[Kind | None]:
    """Kinds that tell nothing where the sort is not known, such as of an object opened from a shared handle."""
    return {creates.kind.base for call in calls for creates in call.creates}


def created_handles(
    call: CallSpec, inputs: Any, outputs: Any, several: set[Kind | None]
) -> Iterator[tuple[int, Kind | None]]:
    """The handles that a call which succeeded made, each with its kind; None where that is one of `several` sorts."""
    if not isinstance(inputs, dict):
        return
    for creates in call.creates:
        if creates.kind.binding == "handle" and all(
            codec.condition_holds(w, call.argument, inputs) for w in creates.when
        ):
            for leaf in codec.iter_values(call.argument, outputs):
                if leaf.pattern == creates.path and isinstance(leaf.value, int):
                    yield leaf.value, None if creates.kind in several else creates.kind


class HandleKinds:
    """Kinds of the objects behind handles at each point of a trace.

    Args:
        entered: Position of every call's enter event in the timeline, by the call's index.
        created: Position in the timeline, handle and kind of every created object, in order. The kind is None
            where it is ambiguous.
    """

    def __init__(self, entered: Mapping[int, int], created: Iterable[tuple[int, int, Kind | None]]) -> None:
        self._entered = entered
        self._created: dict[int, list[tuple[int, Kind | None]]] = defaultdict(list)
        for position, handle, kind in created:
            self._created[handle].append((position, kind))

    def at(self, index: int) -> codec.KindOf:
        """Return the kinds of handles when a call was entered. The kind of an object never seen created is None."""
        entered = self._entered[index]

        def kind_of(handle: int) -> Kind | None:
            kinds = [kind for position, kind in self._created.get(handle, ()) if position < entered]
            return kinds[-1] if kinds else None

        return kind_of
