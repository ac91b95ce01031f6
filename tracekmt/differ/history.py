"""The calls of one trace as an alignment needs them: their threads, their keys, and the objects that they refer to.

Nothing else of a call is kept, so a long trace needs about a hundred bytes a call.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tracekmt.differ.columns import FIRST, CallObjects, Objects, positions_of
from tracekmt.spec.types import Kind
from tracekmt.trace.call import BoundValue
from tracekmt.trace.reader import Trace, TracedCall


@dataclass
class Names:
    """Numbers of names.

    Attributes:
        functions: Functions.
        paths: Paths of handles in arguments.
        modules: Modules that make calls.
    """

    functions: dict[str, int] = field(default_factory=dict)
    paths: dict[str, int] = field(default_factory=dict)
    modules: dict[str, int] = field(default_factory=dict)


@dataclass(eq=False)
class History:
    """The calls of one trace by position: their number in the order of their enter events.

    Attributes:
        trace: The trace.
        indexes: Index of each call.
        threads: Number of the thread of each call.
        weak: Weak key of each call; see `keys`.
        plain: Plain key of each call.
        contents: Key of the contents of each call's buffers.
        outcome: Key of the outcome of each call. 0 for a call that did not return.
        offsets: Key of what the values of a call say besides their objects: null or not, and offsets in ranges.
        is_exact: 1 for a call whose keys leave nothing else to compare.
        names: Numbers of names.
        functions: Number of the function of each call.
        callers: Number of the module that made each call.
        objects: The objects.
        inputs: Objects of the bound inputs of each call, in their order.
        outputs: Objects of the bound outputs of each call that succeeded, in their order.
    """

    trace: Trace
    indexes: array[int]
    threads: array[int]
    weak: array[int]
    plain: array[int]
    contents: array[int]
    outcome: array[int]
    offsets: array[int]
    is_exact: array[int]
    names: Names
    functions: array[int]
    callers: array[int]
    objects: Objects
    inputs: CallObjects
    outputs: CallObjects

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs: all but the trace."""
        return {name: value for name, value in vars(self).items() if name != "trace"}

    def adopt(self, trace: Trace, names: Names) -> None:
        """Adopt a trace and the numbers of its names, after another process has read it."""
        self.trace = trace
        self.functions = _renumbered(self.functions, self.names.functions, names.functions)
        self.callers = _renumbered(self.callers, self.names.modules, names.modules)
        paths = _renumbered(self.objects.paths[FIRST:], self.names.paths, names.paths)
        self.objects.paths = self.objects.paths[:FIRST] + paths
        self.names = names

    def __len__(self) -> int:
        return len(self.indexes)

    def created(self, position: int) -> Iterator[int]:
        """Yield the objects that a call created."""
        return (number for number in self.outputs[position] if self.objects.births[number] == position)

    def affected(self, position: int, call: TracedCall) -> list[int]:
        """Return the objects that a call destroys, and those whose fences it signals or waits for."""
        names = {bound.field.fence_handle for bound in call.bound_inputs if bound.field.direction != "out"}
        fences = [
            number
            for number, bound in zip(self.inputs[position], call.bound_inputs, strict=True)
            if number >= FIRST and bound.pattern.rpartition(".")[2] in names
        ]
        death = self.objects.deaths.__getitem__
        first, last = (find(self._by_death, position, key=death) for find in (bisect_left, bisect_right))
        return [*fences, *self._by_death[first:last]]

    @cached_property
    def _by_death(self) -> list[int]:
        """Objects in the order of the calls that destroyed them."""
        return sorted(range(len(self.objects)), key=self.objects.deaths.__getitem__)

    def by_thread(self) -> dict[int, array[int]]:
        """Return the positions of the calls of each thread, by its number."""
        return positions_of(self.threads)


def _renumbered(numbers: array[int], names: dict[str, int], shared: dict[str, int]) -> array[int]:
    """Return the shared numbers of the names behind numbers. New names are added."""
    translation = [shared.setdefault(name, len(shared)) for name in names]
    return array(numbers.typecode, [translation[number] for number in numbers])


def is_asked_for(inputs: Iterable[BoundValue], kind: Kind, address: object) -> bool:
    """Return True if a caller asked for an address of a range, and got it.

    The first input address of the kind is the one that the caller asks for. Others are limits.

    Args:
        inputs: Bound inputs of the call.
        kind: Kind of the range.
        address: The address.
    """
    if kind.binding != "range":
        return False
    for bound in inputs:
        if bound.kind is not None and bound.kind.space.name == kind.space.name:
            return bool(bound.value == address)
    return False
