"""The table of calls, and a table with the arguments of the calls of each function.

The table of calls comes from the columns of the trace file alone, without its memory and without decoding.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from operator import is_
from typing import Any, NamedTuple

from tracekmt.calls import EXPORT_PREFIXES
from tracekmt.calls.adapter_info import IDENTITY
from tracekmt.calls.kinds import ADAPTER
from tracekmt.objects.adapters import find_adapters, version_text
from tracekmt.spec.types import CallSpec
from tracekmt.tables.arguments import argument_array, argument_type
from tracekmt.tables.arrow import pa, record_batch
from tracekmt.trace.call import injected_fault, module_of, outcome_of
from tracekmt.trace.reader import CallRow, Trace

CALLS_TABLE, OBJECTS_TABLE, RESIDENCY_TABLE = _OTHER_TABLES = ("calls", "objects", "residency")
SCHEMA = pa.schema(
    [
        ("index", pa.int64()),
        ("call", pa.string()),
        ("thread", pa.int64()),
        ("caller", pa.string()),
        ("module", pa.string()),
        ("returned", pa.bool_()),
        ("failed", pa.bool_()),
        ("status", pa.string()),
        ("code", pa.string()),
        ("result", pa.int32()),
        ("enter_ns", pa.int64()),
        ("leave_ns", pa.int64()),
        ("duration_ns", pa.int64()),
        ("injected", pa.string()),
        ("trace", pa.string()),
        ("driver", pa.string()),
    ]
)
"""Columns of the table of calls. Numbers that are subtracted are signed."""

_BATCH_BYTES = 16 << 20
"""Recorded memory of the calls whose arguments are kept at once."""

_NAME_LIMIT = 100


class Origin(NamedTuple):
    """Columns that are equal in all rows of a trace.

    Attributes:
        trace: Name of the trace.
        driver: Versions of the driver, None if the trace does not show them.
    """

    trace: str
    driver: str | None


class _Outcome(NamedTuple):
    """Columns of an outcome: a description and a raw return value."""

    returned: bool
    failed: bool
    status: str | None
    code: str | None
    result: int | None
    injected: str | None


def find_origin(trace: Trace, name: str) -> Origin:
    """Return the origin of a trace. Its driver is the answer to the program's own questions about its adapters.

    Args:
        trace: The trace.
        name: Name of the trace in the tables.
    """
    versions = (
        version_text(int(answer["DriverVersion"]))
        for adapter in find_adapters(trace, ADAPTER, IDENTITY)
        for answer in adapter["told"].values()
        if isinstance(answer, dict) and str(answer.get("DriverVersion", "")).isdigit()
    )
    return Origin(name, ", ".join(dict.fromkeys(versions)) or None)


def table_name(spec: CallSpec) -> str:
    """Return the name of the table with the arguments of a function. It is a safe name of a file.

    Names come from a trace, which may call a function like one of the other tables.
    """
    name = re.sub(r"[^A-Za-z0-9_]", "_", spec.name)[:_NAME_LIMIT]
    return f"{name}_" if short_name(name).lower() in _OTHER_TABLES else name


def short_name(table: str) -> str:
    """Return the name of a function's table without the prefix of functions."""
    return table.removeprefix(EXPORT_PREFIXES[0])


def argument_schema(spec: CallSpec) -> Any:
    """Return the columns of the table with the arguments of a function."""
    type_ = argument_type(spec)
    columns = [] if type_ is None else [("inputs", type_), ("outputs", type_)]
    return pa.schema([*SCHEMA, *pa.schema(columns)])


def specs_by_table(trace: Trace) -> dict[str, CallSpec]:
    """Return the description behind each table of arguments that a trace may have."""
    return {table_name(spec): spec for spec in reversed(trace.specs.values())}


def call_batches(
    trace: Trace, first: int, last: int | None, origin: Origin, tables: Collection[str]
) -> Iterator[tuple[str, Any]]:
    """Yield (name of a table, batch of its rows) for the calls of a range.

    Args:
        trace: The trace.
        first: Lowest index.
        last: Highest index, None for all later calls.
        origin: Origin of the trace.
        tables: Names of the tables to make: CALLS_TABLE, and tables of arguments.
    """
    specs = {name: spec for name, spec in specs_by_table(trace).items() if name in tables}
    ids = {spec_id: table_name(spec) for spec_id, spec in trace.specs.items() if table_name(spec) in specs}
    for range_first, range_last in trace.ranges(first, last):
        rows = list(trace.call_rows(range_first, range_last))
        calls = _call_batch(trace, rows, origin)
        if CALLS_TABLE in tables:
            yield CALLS_TABLE, calls
        gathered: defaultdict[str, list[tuple[int, Any, Any]]] = defaultdict(list)
        size = 0
        for position, row in enumerate(rows if ids else ()):
            if row.spec_id in ids:
                call = trace[row.call_index]
                outputs = call.inputs if call.unchanged else call.outputs
                gathered[ids[row.spec_id]].append((position, call.inputs, outputs))
                size += call.size
            if size > _BATCH_BYTES:
                yield from _argument_batches(specs, calls, gathered)
                size = 0
        yield from _argument_batches(specs, calls, gathered)


def _argument_batches(
    specs: dict[str, CallSpec], calls: Any, gathered: dict[str, list[tuple[int, Any, Any]]]
) -> Iterator[tuple[str, Any]]:
    """Yield a batch of each table of arguments, and forget its rows."""
    for name, rows in gathered.items():
        spec = specs[name]
        positions, inputs, outputs = zip(*rows, strict=True)
        columns = calls.take(pa.array(positions, pa.int32())).columns
        if argument_type(spec) is not None:
            entered = argument_array(spec, inputs)
            is_unchanged = all(map(is_, inputs, outputs))
            columns += [entered, entered if is_unchanged else argument_array(spec, outputs)]
        yield name, pa.record_batch(columns, schema=argument_schema(spec))
    gathered.clear()


def _call_batch(trace: Trace, rows: Sequence[CallRow], origin: Origin) -> Any:
    """Return rows of the table of calls."""
    specs = {spec_id: trace.spec(spec_id) for spec_id in {row.spec_id for row in rows}}
    callers = {row.caller: trace.module_offset(row.caller) for row in rows}
    modules = {address: module_of(caller) for address, caller in callers.items()}
    keys = [(row.spec_id, row.result) for row in rows]
    outcomes = {key: _outcome(trace, specs[key[0]], key[1]) for key in set(keys)}
    facts = [outcomes[key] for key in keys]
    columns: dict[str, Sequence[Any]] = {
        "index": [row.call_index for row in rows],
        "call": [specs[row.spec_id].name for row in rows],
        "thread": [row.thread for row in rows],
        "caller": [callers[row.caller] for row in rows],
        "module": [modules[row.caller] for row in rows],
        **{name: [getattr(fact, name) for fact in facts] for name in _Outcome._fields},
        "enter_ns": [row.enter_ns for row in rows],
        "leave_ns": [row.leave_ns for row in rows],
        "duration_ns": [None if row.leave_ns is None else row.leave_ns - row.enter_ns for row in rows],
        "trace": [origin.trace] * len(rows),
        "driver": [origin.driver] * len(rows),
    }
    return record_batch(trace.path, columns, SCHEMA)


def _outcome(trace: Trace, spec: CallSpec, raw_result: int | None) -> _Outcome:
    if raw_result is None:
        return _Outcome(False, False, None, None, None, None)
    status, result = outcome_of(spec, raw_result)
    fault = None if status is None else injected_fault(raw_result)
    injected = trace.faults[fault[0]] if fault is not None and fault[0] < len(trace.faults) else None
    if status is None:
        return _Outcome(True, False, None, None, result, injected)
    return _Outcome(True, not status.succeeded, status.name, status.code, result, injected)
