"""Adapters that a recorded program used, with the answers that it received about them and their drivers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tracekmt.codec import FieldValue, Unreadable, iter_values, json_form, to_json
from tracekmt.codec.luid import Luid
from tracekmt.objects.identity import Identity
from tracekmt.spec.types import CallSpec, Kind, Payload, Struct
from tracekmt.trace.reader import Trace, TracedCall


def find_adapters(trace: Trace, adapter: Kind, questions: Collection[str]) -> list[dict[str, Any]]:
    """Return every adapter that a call of the trace opened.

    Handles with the same LUID are one adapter. A handle that is older than the trace is a separate adapter if it
    has answers.

    Args:
        trace: The trace.
        adapter: Kind of the adapter handles.
        questions: Names of the payload cases to collect answers of.

    Returns:
        Dicts of "luid" (None if unknown), "opened" (number of calls that opened the adapter) and "told" (the answers
        by question).
    """
    adapters: dict[Any, dict[str, Any]] = {}
    by_handle: dict[int, dict[str, Any]] = {}
    openers = {
        spec_id for spec_id, spec in trace.specs.items() if any(creates.kind == adapter for creates in spec.creates)
    }
    queries = {
        spec_id: payload
        for spec_id, spec in trace.specs.items()
        if (payload := _answer_payload(spec, questions)) is not None
    }
    for index, spec_id in trace.spec_ids():
        if spec_id not in openers and spec_id not in queries:
            continue
        call = trace[index]
        if not call.returned or not call.succeeded:
            continue
        if spec_id in openers:
            for handle, luid in opened_adapters(call, adapter):
                entry = adapters.setdefault(repr(luid) if luid else index, {"luid": luid, "opened": 0, "told": {}})
                entry["opened"] += 1
                by_handle[handle] = entry
        else:
            number = next((int(handle.value) for handle in _handles(call, call.inputs, adapter)), 0)
            ambient = adapters.setdefault(("ambient", number), {"luid": None, "opened": 0, "told": {}})
            by_handle.get(number, ambient)["told"].update(_answer(call, *queries[spec_id], questions))
    return [entry for entry in adapters.values() if entry["opened"] or entry["told"]]


def opened_adapters(call: TracedCall, adapter: Kind) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Yield the adapter handles in the outputs of a call, each with its LUID, None if it is unknown."""
    for handle in _handles(call, call.outputs, adapter):
        yield handle.value, _luid_beside(handle)


def adapter_luid(call: TracedCall, adapter: Identity) -> Luid | None:
    """Return the LUID beside the handle of an adapter in the call that opened it. None if there is none."""
    luid = dict(opened_adapters(call, adapter.kind)).get(adapter.recorded)
    return None if luid is None else Luid.from_value(luid)


def _answer_payload(spec: CallSpec, questions: Collection[str]) -> tuple[str, Payload] | None:
    """Return name and type of the field that has the answer to one of the questions, if any."""
    for field in spec.argument.fields():
        if isinstance(field.type, Payload) and any(name in questions for _, name, _ in field.type.cases):
            return field.name, field.type
    return None


def _handles(call: TracedCall, argument: Any, adapter: Kind) -> list[FieldValue]:
    field_values = iter_values(call.spec.argument, argument)
    return [
        field_value
        for field_value in field_values
        if field_value.kind == adapter and isinstance(field_value.value, int) and field_value.value
    ]


def _luid_beside(handle: FieldValue) -> dict[str, Any] | None:
    """Return the LUID in the structure that has the handle."""
    for value in handle.values.values() if isinstance(handle.values, Mapping) else ():
        luid = Luid.from_value(value)
        if luid is not None:
            return luid.to_value()
    return None


def _answer(call: TracedCall, field_name: str, payload: Payload, questions: Collection[str]) -> dict[str, Any]:
    """Return the answer of a query by its question. Empty if the call does not answer one of the questions."""
    if not isinstance(call.outputs, Mapping) or not isinstance(call.inputs, Mapping):
        return {}
    number = int(call.inputs.get(payload.by) or 0)
    for case_number, name, case_type in payload.cases:
        if case_number == number and name in questions:
            answer = call.outputs.get(field_name)
            if isinstance(answer, (Unreadable, bytes, type(None))):
                return {}
            return {name: to_json(case_type, answer) if isinstance(case_type, Struct) else json_form(case_type, answer)}
    return {}


def answer_lines(answers: Mapping[str, Any]) -> list[str]:
    """Return answers as lines of text, one for each field. Driver versions have four parts."""
    lines: list[str] = []
    for question, answer in answers.items():
        for name, value in (answer if isinstance(answer, Mapping) else {question: answer}).items():
            text = version_text(int(value)) if name == "DriverVersion" and str(value).isdigit() else value
            if text not in ("", [], None):
                lines.append(f"{name}: {text}")
    return lines


def version_text(number: int) -> str:
    """Format a driver version of four 16-bit parts."""
    return ".".join(str(number >> shift & 0xFFFF) for shift in (48, 32, 16, 0))
