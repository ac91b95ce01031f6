"""Tables of the objects of a program, and of the residency of its memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tracekmt.activity.follow import Step, follow
from tracekmt.activity.memory import bytes_to_trim, video_memory
from tracekmt.objects.identity import Identity
from tracekmt.tables.arrow import pa, record_batch
from tracekmt.tables.calls import OBJECTS_TABLE, RESIDENCY_TABLE, Origin
from tracekmt.trace.call import module_of
from tracekmt.trace.reader import Trace, TracedCall

_BATCH_ROWS = 5000
_LARGEST = (1 << 63) - 1
_TEXT, _NUMBER, _HANDLE = pa.string(), pa.int64(), pa.uint64()
ACTIVITY_SCHEMAS = {
    OBJECTS_TABLE: pa.schema(
        [
            ("kind", _TEXT),
            ("handle", _HANDLE),
            ("size", _NUMBER),
            ("path", _TEXT),
            ("external", pa.bool_()),
            ("created_index", _NUMBER),
            ("created_by", _TEXT),
            ("created_ns", _NUMBER),
            ("thread", _NUMBER),
            ("caller", _TEXT),
            ("module", _TEXT),
            ("destroyed_index", _NUMBER),
            ("destroyed_by", _TEXT),
            ("destroyed_ns", _NUMBER),
            ("trace", _TEXT),
            ("driver", _TEXT),
        ]
    ),
    RESIDENCY_TABLE: pa.schema(
        [
            ("index", _NUMBER),
            ("call", _TEXT),
            ("thread", _NUMBER),
            ("time_ns", _NUMBER),
            ("event", _TEXT),
            ("requested", _NUMBER),
            ("resident", _NUMBER),
            ("offered", _NUMBER),
            ("size", _NUMBER),
            ("handle", _HANDLE),
            ("created_index", _NUMBER),
            ("adapter", _HANDLE),
            ("segment", _TEXT),
            ("budget", _NUMBER),
            ("usage", _NUMBER),
            ("trace", _TEXT),
            ("driver", _TEXT),
        ]
    ),
}
"""Columns of the two tables."""


class _Creation(NamedTuple):
    """Columns about the call that created an object."""

    created_index: int
    created_by: str
    created_ns: int | None
    thread: int
    caller: str | None
    module: str | None


@dataclass(slots=True)
class _Life:
    """Creation of an object, and its size so far."""

    creation: _Creation
    size: int

    def row(self, identity: Identity, end: TracedCall | None) -> tuple[Any, ...]:
        """Return the row of the object."""
        size = min(self.size, _LARGEST) or None
        start = (identity.kind.name, identity.recorded, size, identity.path, identity.kind.external, *self.creation)
        return (*start, None, None, None) if end is None else (*start, end.index, end.name, end.leave_ns)


def activity_batches(
    trace: Trace,
    origin: Origin,
    tables: Collection[str],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[tuple[str, Any]]:
    """Yield (name of a table, batch of its rows).

    An object has its row when it is destroyed, or at the end of the trace.

    Args:
        trace: The trace.
        origin: Origin of the trace.
        tables: Names of the tables to make.
        on_progress: Receives the number of finished calls and the number of all calls.
    """
    rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in ACTIVITY_SCHEMAS}
    live: dict[Identity, _Life] = {}
    for step in follow(trace, on_progress=on_progress, all_calls=False):
        if step.created or step.destroyed or step.changes:
            rows[OBJECTS_TABLE] += _object_rows(step, live)
        rows[RESIDENCY_TABLE] += _residency_rows(step)
        for name in ACTIVITY_SCHEMAS:
            if len(rows[name]) >= _BATCH_ROWS:
                if name in tables:
                    yield name, _batch(trace, name, rows[name], origin)
                rows[name] = []
    rows[OBJECTS_TABLE] += (life.row(identity, None) for identity, life in live.items())
    yield from ((name, _batch(trace, name, rows[name], origin)) for name in ACTIVITY_SCHEMAS if name in tables)


def _batch(trace: Trace, name: str, rows: Sequence[tuple[Any, ...]], origin: Origin) -> Any:
    schema = ACTIVITY_SCHEMAS[name]
    columns = list(zip(*rows, strict=True)) or [()] * (len(schema) - len(origin))
    columns += [(value,) * len(rows) for value in origin]
    return record_batch(trace.path, dict(zip(schema.names, columns, strict=True)), schema)


def _object_rows(step: Step, live: dict[Identity, _Life]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of the objects that a call destroyed, and remember those that it created."""
    call = step.call
    if step.created:
        caller = call.caller
        creation = _Creation(call.index, call.name, call.leave_ns, call.thread, caller, module_of(caller))
        live.update((identity, _Life(creation, identity.size)) for identity in step.created)
    for change in step.changes:
        if change.allocation in live:
            live[change.allocation].size = change.size
    for identity in step.destroyed:
        if identity in live:
            yield live.pop(identity).row(identity, call)


def _residency_rows(step: Step) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of the changes, the request to release memory and the budget of one call."""
    call, memory = step.call, step.memory
    trim, answer = bytes_to_trim(call), video_memory(call)
    if not (step.changes or trim or answer):
        return
    start = (call.index, call.name, call.thread, call.leave_ns)
    totals = tuple(min(total, _LARGEST) for total in (memory.requested, memory.resident, memory.offered))
    for change in step.changes:
        size, allocation = min(change.size, _LARGEST) or None, change.allocation
        yield (*start, change.action, *totals, size, allocation.recorded, allocation.index, None, None, None, None)
    if trim:
        yield (*start, "trim", *totals, min(trim, _LARGEST), None, None, None, None, None, None)
    if answer is not None:
        budget, usage = min(answer.budget, _LARGEST), min(answer.usage, _LARGEST)
        yield (*start, "budget", *totals, None, None, None, answer.adapter, answer.group, budget, usage)
