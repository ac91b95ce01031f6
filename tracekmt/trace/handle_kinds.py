"""Kinds of the objects behind handles at one point of a trace, for calls whose form depends on them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from tracekmt import codec
from tracekmt.spec.paths import structures
from tracekmt.spec.types import CallSpec, Kind


@lru_cache(maxsize=4096)
def depends_on_objects(spec: CallSpec) -> bool:
    """Return True if the kinds of input objects select union arms of the argument."""
    conditions = (field.when for struct in structures(spec.argument) for field in struct.fields())
    return any(condition is not None and condition.kind is not None for condition in conditions)


def ambiguous_kinds(specs: Iterable[CallSpec]) -> set[Kind | None]:
    """Return the kinds that stay ambiguous because a more specific kind exists.

    For example, the specific kind of an object that was opened from a shared handle is unknown.
    """
    return {creates.kind.base for spec in specs for creates in spec.creates}


def created_handles(
    spec: CallSpec, inputs: Any, outputs: Any, ambiguous: set[Kind | None]
) -> Iterator[tuple[int, Kind | None]]:
    """Yield the handles that a successful call created, with their kinds. An ambiguous kind is None."""
    if not isinstance(inputs, dict):
        return
    for creates in spec.creates:
        if creates.kind.binding == "handle" and all(
            codec.condition_holds(condition, spec.argument, inputs) for condition in creates.when
        ):
            for field_value in codec.iter_values(spec.argument, outputs):
                if field_value.pattern == creates.path and isinstance(field_value.value, int):
                    yield field_value.value, None if creates.kind in ambiguous else creates.kind


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
