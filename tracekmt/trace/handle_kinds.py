"""What sort of object a handle led to at one point of a trace, for calls whose form depends on it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tracekmt import codec
from tracekmt.spec.paths import structures
from tracekmt.spec.types import CallSpec, Kind

if TYPE_CHECKING:
    from tracekmt.trace.reader import Trace, TracedCall


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
    """The births of objects that are of a particular sort, from one pass over the calls that make them."""

    def __init__(self, trace: Trace) -> None:
        self._born: dict[int, list[tuple[int, Kind | None]]] = defaultdict(list)
        several = ambiguous_kinds(trace.descriptions)
        makers = {number for number, call in trace.described.items() if call.creates}
        left: dict[int, int] = {}
        self._entered: dict[int, int] = {}
        for position, (index, was_left) in enumerate(trace.timeline()):
            (left if was_left else self._entered)[index] = position
        for index, number in trace.functions():
            if number in makers and index in left:
                self._take(trace[index], left[index], several)

    def at(self, index: int) -> codec.KindOf:
        """The kind of a handle as it was when a call was entered; None where nobody saw its object born."""
        entered = self._entered[index]

        def kind_of(handle: int) -> Kind | None:
            kinds = [kind for position, kind in self._born.get(handle, ()) if position < entered]
            return kinds[-1] if kinds else None

        return kind_of

    def _take(self, call: TracedCall, position: int, several: set[Kind | None]) -> None:
        # What a call makes never depends on what other handles lead to.
        inputs, outputs = call.decode_inputs(None), call.decode_outputs(None)
        if call.succeeded:
            for handle, kind in created_handles(call.spec, inputs, outputs, several):
                self._born[handle].append((position, kind))
