"""The calls of one trace as an alignment needs them: their threads, their keys, and the objects that they refer to.

Nothing else of a call is kept, so a long trace needs about a hundred bytes a call.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tracekmt.codec import Unreadable
from tracekmt.differ.columns import DEAD, FIRST, NO_BIRTH, NULL, UNKNOWN, CallObjects, Objects
from tracekmt.differ.keys import keys_of, outcome_key
from tracekmt.objects.identity import Bindings, Identity
from tracekmt.objects.lifetimes import created_objects, destroyed_objects
from tracekmt.spec.types import CallSpec, Kind
from tracekmt.trace.call import BoundValue, module_of
from tracekmt.trace.parallel import number_of_jobs, second_process
from tracekmt.trace.reader import Trace, TracedCall

_NO_OBJECT = ("fence", "literal")
"""Bindings of values that refer to no object."""

_NOTHING: Mapping[str, int] = {}


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
        destroyed: Objects that a call destroyed, by its position.
    """

    def __init__(self, trace: Trace, names: Names) -> None:
        """Read a trace.

        Args:
            trace: The trace.
            names: Numbers of names. Both sides of a comparison share them.
        """
        self.trace = trace
        self.indexes = array("Q")
        self.threads = array("I")
        self.weak, self.plain, self.contents = array("q"), array("q"), array("q")
        self.callers = array("I")
        self.objects = Objects()
        self.inputs, self.outputs = CallObjects(), CallObjects()
        self.destroyed: dict[int, array[int]] = {}
        self.outcome, self.offsets = array("q"), array("q")
        self.is_exact = bytearray()
        self.functions = array("I")
        self.names = names
        self._caller_numbers: dict[int, int] = {}
        self._bindings = Bindings()
        self._values: dict[tuple[str, Any], int] = {}
        self._read()
        del self._caller_numbers, self._bindings, self._values  # live objects take more memory than the columns

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
        return [*fences, *self.destroyed.get(position, ())]

    def by_thread(self) -> dict[int, array[int]]:
        """Return the positions of the calls of each thread, by its number."""
        threads: dict[int, array[int]] = {}
        for position, thread in enumerate(self.threads):
            threads.setdefault(thread, array("q")).append(position)
        return threads

    def _read(self) -> None:
        under_way: dict[int, tuple[int, list[Identity]]] = {}
        for call, is_leave in self.trace.call_events():
            if is_leave:
                position, destroyed = under_way.pop(call.index)
                self.outcome[position], is_exact = outcome_key(call)
                self.is_exact[position] &= is_exact
                if call.succeeded:
                    self._on_leave(position, call, destroyed)
            else:
                under_way[call.index] = len(self), self._on_enter(call)

    def _on_enter(self, call: TracedCall) -> list[Identity]:
        position = len(self)
        self.indexes.append(call.index)
        self.threads.append(call.thread)
        keys = keys_of(call)
        self.weak.append(keys.weak)
        self.plain.append(keys.plain)
        self.contents.append(keys.contents)
        self.is_exact.append(keys.is_exact)
        self.functions.append(self.names.functions.setdefault(call.name, len(self.names.functions)))
        self.callers.append(self._caller(call))
        self.inputs.reserve()
        self.outputs.reserve()
        self.outcome.append(0)
        numbers, offsets = self._refer(position, call, call.bound_inputs)
        self.inputs.add(position, numbers)
        self.offsets.append(offsets)
        self._use(numbers, call.bound_inputs, keys.weak)
        return list(destroyed_objects(self._bindings, call)) if call.spec.destroys else []

    def _on_leave(self, position: int, call: TracedCall, destroyed: list[Identity]) -> None:
        created_numbers: dict[str, int] = {}
        new_ranges: list[Identity] = []
        for created in created_objects(self._bindings, call) if call.spec.creates else ():
            bound = created.bound_value
            is_chosen = is_asked_for(call, created.kind, bound.value)
            is_range = created.kind.binding == "range"
            path = self._path(bound.path)
            number = self.objects.add(position, path, bound.value, is_range=is_range, is_chosen=is_chosen)
            created_numbers[bound.path] = number
            identity = created.identity(call.index, number)
            if is_range:
                new_ranges.append(identity)
            older, _ = self._bindings.bind(identity)
            if older is not None:
                self._bindings.destroy(older, call.index)
        gone = [each for identity in destroyed for each in self._bindings.destroy(identity, call.index)]
        if gone:
            self.destroyed[position] = array("I", [each.live for each in gone if each.live is not None])
        if call.unchanged and not created_numbers and not gone:  # most calls
            numbers: Collection[int] = self.inputs[position]
            offsets = self.offsets[position]
        else:
            numbers, offsets = self._refer(position, call, call.bound_outputs, created_numbers)
        if numbers:
            self.outputs.add(position, numbers)
            asked = tuple([is_asked_for(call, created.kind, created.recorded) for created in new_ranges])
            self.offsets[position] = hash((self.offsets[position], offsets, asked))

    def _caller(self, call: TracedCall) -> int:
        address = call.enter.caller
        if address not in self._caller_numbers:
            module = (module_of(call.caller) or "").lower()
            self._caller_numbers[address] = self.names.modules.setdefault(module, len(self.names.modules))
        return self._caller_numbers[address]

    def _path(self, path: str) -> int:
        return self.names.paths.setdefault(path, len(self.names.paths))

    def _number(self, call: TracedCall, bound: BoundValue) -> int:
        """Return the number of the object that a value refers to. Objects that are older than the trace are added."""
        kind, value = bound.kind, bound.value
        if not value:
            return NULL
        if kind is not None and kind.binding == "handle" and type(value) is int:  # most values
            found = self._bindings.handles.find(kind, value)
            if found is not None and found.live is not None:
                return found.live
        if kind is None or kind.binding in _NO_OBJECT or isinstance(value, Unreadable):
            return UNKNOWN
        if kind.binding == "per_machine":
            key = kind.space.name, tuple(value.items()) if isinstance(value, dict) else value
            if key not in self._values:
                self._values[key] = self.objects.add(NO_BIRTH, self._path(bound.path), value)
            return self._values[key]
        if kind.binding == "range" and any(destroys.path == bound.pattern for destroys in call.spec.destroys):
            # An address may begin several ranges. Freed are the largest and those in it, which may be gone already.
            freed = self._bindings.find_destroyed(kind, value)
            identity = max(freed, key=lambda freed_range: freed_range.size, default=None)
        else:
            identity = self._bindings.find(kind, value)
        if identity is None and kind.binding == "handle" and not kind.external:
            identity = self._bindings.handles.find_local(value) or self._adopt(call, kind, bound)
            if identity is None:
                return DEAD
        number = UNKNOWN if identity is None or identity.live is None else identity.live
        # Where a caller places a range in a range that it has placed itself follows from its own addresses.
        return UNKNOWN if self.objects.chosen[number] and _places_ranges(call.spec) else number

    def _adopt(self, call: TracedCall, kind: Kind, bound: BoundValue) -> Identity | None:
        """Add an object that is older than the trace. Failed calls and destroyed objects have invalid handles."""
        if not call.succeeded and call.returned:
            return None
        if self._bindings.handles.destroyed_by(kind, bound.value) is not None:
            return None
        number = self.objects.add(NO_BIRTH, self._path(bound.path), bound.value)
        identity = Identity(kind, bound.value, None, bound.path, number)
        self._bindings.bind(identity)
        return identity

    def _refer(
        self, position: int, call: TracedCall, values: Sequence[BoundValue], created: Mapping[str, int] = _NOTHING
    ) -> tuple[list[int], int]:
        """Return the objects that values refer to, and a key of what the values say besides. A new range has no offset.

        Args:
            position: Position of the call.
            call: The call.
            values: Its bound inputs or outputs.
            created: Numbers of the objects that it created, by path.
        """
        objects, numbers = self.objects, list[int]()
        is_range, births, addresses = objects.is_range, objects.births, objects.values
        offsets: list[int] = []
        for bound in values:
            number = (created.get(bound.path) if created else 0) or self._number(call, bound)
            numbers.append(number)
            is_offset = is_range[number] and births[number] != position
            offsets.append(bound.value - addresses[number] if is_offset else bool(bound.value))
        return numbers, hash(tuple(offsets))

    def _use(self, numbers: list[int], values: Collection[BoundValue], key: int) -> None:
        uses = self.objects.uses
        for number, bound in zip(numbers, values, strict=True):
            if number >= FIRST:
                uses[number] = hash((uses[number], key, bound.path))


def read_histories(first: Trace, second: Trace, jobs: int | None) -> tuple[History, History]:
    """Read the two sides of a comparison, each in its own process if there are two.

    Args:
        first: The trace of one side.
        second: The trace of the other side.
        jobs: Number of processes. None: see `number_of_jobs`.
    """
    names, jobs = Names(), number_of_jobs(jobs, first, second)
    if jobs == 1:
        return History(first, names), History(second, names)
    with second_process(jobs, _read_history, second.path) as other:
        left = History(first, names)
        right = other()
    right.adopt(second, names)
    return left, right


def _read_history(path: Path) -> History:
    with Trace(path) as trace:
        return History(trace, Names())


def _renumbered(numbers: array[int], names: dict[str, int], shared: dict[str, int]) -> array[int]:
    """Return the shared numbers of the names behind numbers. New names are added."""
    translation = [shared.setdefault(name, len(shared)) for name in names]
    return array(numbers.typecode, [translation[number] for number in numbers])


def _places_ranges(spec: CallSpec) -> bool:
    return any(creates.kind.binding == "range" for creates in spec.creates)


def is_asked_for(call: TracedCall, kind: Kind, address: object) -> bool:
    """Return True if a caller asked for an address of a range, and got it.

    The first input address of the kind is the one that the caller asks for. Others are limits.
    """
    if kind.binding != "range":
        return False
    for bound in call.bound_inputs:
        if bound.kind is not None and bound.kind.space.name == kind.space.name:
            return bool(bound.value == address)
    return False
