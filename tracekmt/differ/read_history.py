"""Reader of the calls of a trace into the columns of a history.

The core reads the events that only refer to objects, one frame at a time. Python reads the others: all without a core.
Both write the same columns, which grow with each frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tracekmt import core
from tracekmt.budgets import BUDGETS
from tracekmt.codec import BoundLocation
from tracekmt.differ.call_columns import COLUMNS, CallColumns
from tracekmt.differ.columns import mix_numbers, places_of, uses_of
from tracekmt.differ.history import History, Names, is_asked_for
from tracekmt.differ.keys import keys_of, outcome_key
from tracekmt.differ.live_objects import LiveObjectsInCore, live_objects
from tracekmt.differ.numbering import Numbering
from tracekmt.differ.plans import plan_of
from tracekmt.objects.lifetimes import Effect, created_values, destroyed_objects, effects_of, owner_of
from tracekmt.spec.types import CallSpec, Kind
from tracekmt.trace.call import BoundValue, module_of
from tracekmt.trace.event_frame import EventFrame
from tracekmt.trace.frame_calls import ENTER, LEAVE, NO_ROW
from tracekmt.trace.handle_kinds import ambiguous_kinds, created_handles, depends_on_objects
from tracekmt.trace.parallel import number_of_jobs, second_process
from tracekmt.trace.reader import Trace, TracedCall

_IN_CORE, _IN_PYTHON, _LEFT = 1, 2, 3
"""States of a call: entered in the core or in Python, and left. 0: not entered."""


class _Reader:
    """Reader of one trace.

    Args:
        trace: The trace.
        names: Numbers of names.
    """

    def __init__(self, trace: Trace, names: Names) -> None:
        self.trace, self.names = trace, names
        self.columns = CallColumns()
        self._live = live_objects()
        self._numbering = Numbering(self._live, names.paths)
        self._callers: dict[int, int] = {}
        # Calls that were entered in Python and did not return yet.
        self._in_flight: dict[int, TracedCall] = {}
        # Positions of the calls that were entered in earlier frames and did not return there.
        self._carried: dict[int, int] = {}
        # Objects that the calls in flight destroy, by the index of the call.
        self._dying: dict[int, list[int]] = {}
        self._ambiguous = ambiguous_kinds(trace.specs.values())
        self._has_choices = any(map(depends_on_objects, trace.specs.values()))
        # Kinds by their number, and the numbers of the kinds of handles. 0: unknown.
        self._kinds: dict[Kind | None, int] = {None: 0}
        self._kinds_of_handles: dict[int, int] = {}
        self._plans: dict[int, Any] = {}
        self._state = None if core.CORE is None else self._make_state(core.CORE)

    def _make_state(self, native: core.Core) -> Any:
        columns = self.columns
        assert isinstance(self._live, LiveObjectsInCore)
        tables = self._plans, self._kinds_of_handles, self._live.table, self._callers, self._dying
        functions = self._add_caller, self._numbering.path, self._set_changed_outputs
        return native.history_state(
            tuple(columns.memory.values()),
            (columns.references, *tables, BoundLocation, *functions),
            (BUDGETS.values, BUDGETS.value_bytes),
        )

    def read(self) -> History:
        """Read the trace."""
        position = 0
        try:
            for frame in self.trace.event_frames():
                calls = frame.calls
                self.columns.grow(len(calls))
                self._read_frame(frame, position)
                for rank in places_of(calls.leave_rows, NO_ROW):
                    self._carried[calls.indexes[rank]] = position + rank
                position += len(calls)
        finally:
            self._state = None  # it refers to this reader, unseen by the garbage collector
        return self._history()

    def _history(self) -> History:
        columns = self.columns
        arrays = {name: columns.take(name) for name in COLUMNS if not name.startswith(("input", "output", "states"))}
        inputs = columns.objects("input")
        objects = self._live.take()
        objects.uses = uses_of(len(objects), arrays["weak"], inputs)
        outputs = columns.objects("output")
        return History(
            trace=self.trace,
            names=self.names,
            objects=objects,
            inputs=inputs,
            outputs=outputs,
            **arrays,
        )

    def _read_frame(self, frame: EventFrame, position: int) -> None:
        kinds, functions, row = frame.table.kinds, frame.table.functions, 0
        while row < len(kinds):
            if core.CORE is not None:
                row = self._read_in_core(core.CORE, frame, position, row)
                if row == len(kinds):
                    return
                if kinds[row] == ENTER and functions[row] not in self._plans:
                    self._plans[functions[row]] = self._plan(core.CORE, functions[row])
                    continue
            if kinds[row] == ENTER:
                rank = frame.calls.rank(frame.table.calls[row])
                assert rank is not None
                self._on_enter(position + rank, self.trace.call_in(frame, rank))
            elif kinds[row] == LEAVE:
                self._on_leave(frame, position, row)
            row += 1

    def _read_in_core(self, native: core.Core, frame: EventFrame, position: int, row: int) -> int:
        """Read events of a frame from a row on. Return the row of the first one that is left to Python."""
        threads, blobs = self.trace.thread_numbers.tobytes(), self.trace.blobs
        return native.read_history(self._state, frame.to_core(), position, threads, blobs, blobs.young, row)

    def _plan(self, native: core.Core, spec_id: int) -> Any:
        spec = self.trace.specs.get(spec_id)
        return None if spec is None else self._plan_of(native, spec)

    def _plan_of(self, native: core.Core, spec: CallSpec, resolved: CallSpec | None = None) -> Any:
        number_of_kind = self._number_of_kind if self._has_choices else None
        return plan_of(native, spec, self.trace.abi, self._function(spec), number_of_kind, resolved)

    def _function(self, spec: CallSpec) -> int:
        return self.names.functions.setdefault(spec.name, len(self.names.functions))

    def _on_enter(self, position: int, call: TracedCall) -> None:
        columns, spec = self.columns, call.spec
        if depends_on_objects(spec):
            self._select_arms(call)
        columns.indexes[position] = call.index
        columns.threads[position] = call.thread
        keys = keys_of(call)
        columns.weak[position] = keys.weak
        columns.plain[position] = keys.plain
        columns.contents[position] = keys.contents
        columns.is_exact[position] = keys.is_exact
        columns.functions[position] = self._function(spec)
        columns.callers[position] = self._caller(call.enter.caller)
        # Failed calls and destroyed objects have invalid handles.
        may_adopt = call.succeeded or not call.returned
        numbers, columns.offsets[position] = self._numbering.refer(
            position, spec, call.bound_inputs, may_adopt=may_adopt
        )
        columns.set_inputs(position, numbers)
        columns.states[position] = _IN_PYTHON
        if spec.destroys:
            self._dying[call.index] = list(destroyed_objects(self._live, call))
        self._in_flight[call.index] = call

    def _select_arms(self, call: TracedCall) -> None:
        """Let the kind of an object that is live now select the arms of a call, and plan its function for the kind."""
        kinds, asked = list(self._kinds), [0]

        def kind_of(handle: int) -> Kind | None:
            asked.append(self._kinds_of_handles.get(handle, 0))
            return kinds[asked[-1]]

        resolved = call.select_arms(kind_of)
        key = call.enter.spec_id | asked[-1] << 32
        if core.CORE is not None and asked[-1] and key not in self._plans:
            self._plans[key] = self._plan_of(core.CORE, call.spec, resolved)

    def _on_leave(self, frame: EventFrame, first_position: int, row: int) -> None:
        index, columns = frame.table.calls[row], self.columns
        rank = frame.calls.rank(index)
        if rank is not None and frame.calls.enter_rows[rank] < row:
            position = first_position + rank
        else:
            position = self._carried.pop(index, -1)
        if position < 0 or columns.states[position] not in (_IN_CORE, _IN_PYTHON):
            raise self.trace.unmatched_leave(index)
        columns.states[position] = _LEFT
        call = self._in_flight.pop(index, None) or self.trace[index]
        if not call.returned:
            raise self.trace.unmatched_leave(index)
        columns.outcome[position], is_exact = outcome_key(call)
        columns.is_exact[position] &= is_exact
        effects = effects_of(call) if call.succeeded else []
        if not call.succeeded:
            self._dying.pop(index, None)
        elif call.unchanged and not effects and not self._dying.get(index):  # most calls
            self._set_outputs(position, columns.inputs_of(position), columns.offsets[position], ())
        else:
            created, asked = self._change_objects(position, call, effects)
            self._set_changed_outputs(position, call.spec, call.bound_outputs, created, asked)

    def _change_objects(
        self,
        position: int,
        call: TracedCall,
        effects: Sequence[Effect],
    ) -> tuple[dict[str, int], list[int]]:
        """Create and destroy the objects of a call that succeeded.

        Args:
            position: Position of the call.
            call: The call.
            effects: What it creates.

        Returns:
            Numbers of the created objects by path, and for each new range 1 if the caller asked for its address.
        """
        live, outputs = self._live, call.bound_outputs
        created_numbers: dict[str, int] = {}
        asked: list[int] = []
        for creates, size in effects:
            kind, owner = creates.kind, owner_of(live, creates, outputs)
            is_range = kind.binding == "range"
            for bound in created_values(creates, outputs):
                is_chosen = is_range and is_asked_for(call.bound_inputs, kind, bound.value)
                path = self._numbering.path(bound.path)
                number = live.add(position, path, bound.value, is_range=is_range, is_chosen=is_chosen)
                live.bind(number, kind, owner, size)
                created_numbers[bound.path] = number
                if is_range:
                    asked.append(is_chosen)
        if self._has_choices:
            for handle, known in created_handles([creates for creates, _ in effects], outputs, self._ambiguous):
                self._kinds_of_handles[handle] = 0 if known is None else self._number_of_kind(known)
        for number in self._dying.pop(call.index, ()):
            live.destroy(number, position)
        return created_numbers, asked

    def _number_of_kind(self, kind: Kind) -> int:
        """Return the number of the kind of a new handle."""
        return 0 if kind in self._ambiguous else self._kinds.setdefault(kind, len(self._kinds))

    def _set_changed_outputs(
        self,
        position: int,
        spec: CallSpec,
        outputs: Sequence[BoundValue],
        created: Mapping[str, int],
        asked: Sequence[int],
    ) -> None:
        """Set the outputs of a call whose objects are created and destroyed.

        Args:
            position: Position of the call.
            spec: Description of its function.
            outputs: Its bound outputs.
            created: Numbers of the created objects by path.
            asked: 1 for each new range whose address the caller asked for.
        """
        self._set_outputs(position, *self._numbering.refer(position, spec, outputs, created), asked)

    def _set_outputs(self, position: int, numbers: Sequence[int], offsets: int, asked: Sequence[int]) -> None:
        columns = self.columns
        if numbers:
            columns.set_outputs(position, numbers)
            columns.offsets[position] = mix_numbers([columns.offsets[position], offsets, *asked])

    def _caller(self, address: int) -> int:
        number = self._callers.get(address)
        return self._add_caller(address) if number is None else number

    def _add_caller(self, address: int) -> int:
        """Add the caller at an address. Return the number of its module."""
        module = (module_of(self.trace.module_offset(address)) or "").lower()
        number = self._callers[address] = self.names.modules.setdefault(module, len(self.names.modules))
        return number


def read_history(trace: Trace, names: Names) -> History:
    """Read the calls of a trace.

    Args:
        trace: The trace.
        names: Numbers of names. Both sides of a comparison share them.
    """
    return _Reader(trace, names).read()


def read_histories(first: Trace, second: Trace, jobs: int | None) -> tuple[History, History]:
    """Read the two sides of a comparison, each in its own process if there are two.

    Args:
        first: The trace of one side.
        second: The trace of the other side.
        jobs: Number of processes. None: see `number_of_jobs`.
    """
    names, jobs = Names(), number_of_jobs(jobs, first, second)
    if jobs == 1:
        return read_history(first, names), read_history(second, names)
    with second_process(jobs, _read_history, second.path) as other:
        left = read_history(first, names)
        right = other()
    right.adopt(second, names)
    return left, right


def _read_history(path: Path) -> History:
    with Trace(path) as trace:
        return read_history(trace, Names())
