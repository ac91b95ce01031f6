"""Which adapters a recorded program worked with, and what it was told about them and their drivers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from tracekmt.codec import FieldValue, Unreadable, iter_values, json_form, to_json
from tracekmt.codec.luid import Luid
from tracekmt.spec.types import CallSpec, Kind, Payload, Struct
from tracekmt.trace.reader import Trace, TracedCall


def find_adapters(trace: Trace, adapter: Kind, asked: Collection[str]) -> list[dict[str, Any]]:
    """Every adapter that a call of the trace gave a handle to: its LUID, where that is known, how often it was opened,
    and the answers to those questions that are `asked`, by the question.

    Handles of one LUID are one adapter. Answers about handles that are older than the trace stand under their own.
    """
    found: dict[Any, dict[str, Any]] = {}
    by_handle: dict[int, dict[str, Any]] = {}
    makers = {n for n, call in trace.described.items() if any(each.kind == adapter for each in call.creates)}
    askers = {n: field for n, call in trace.described.items() if (field := _question(call, asked)) is not None}
    for index, number in trace.functions():
        if number not in makers and number not in askers:
            continue
        call = trace[index]
        if not call.returned or not call.succeeded:
            continue
        if number in makers:
            for leaf in _handles(call, call.outputs, adapter):
                luid = _luid(leaf)
                entry = found.setdefault(repr(luid) if luid else index, {"luid": luid, "opened": 0, "told": {}})
                entry["opened"] += 1
                by_handle[leaf.value] = entry
        else:
            given = next((int(leaf.value) for leaf in _handles(call, call.inputs, adapter)), 0)
            entry = by_handle.get(given, found.setdefault(("old", given), {"luid": None, "opened": 0, "told": {}}))
            entry["told"].update(_answer(call, *askers[number], asked))
    return [entry for entry in found.values() if entry["opened"] or entry["told"]]


def _question(call: CallSpec, asked: Collection[str]) -> tuple[str, Payload] | None:
    """The field of a call that holds answers of the sort, if it has one."""
    for field in call.argument.fields():
        if isinstance(field.type, Payload) and any(name in asked for _, name, _ in field.type.cases):
            return field.name, field.type
    return None


def _handles(call: TracedCall, argument: Any, adapter: Kind) -> list[FieldValue]:
    found = iter_values(call.spec.argument, argument)
    return [leaf for leaf in found if leaf.kind == adapter and isinstance(leaf.value, int) and leaf.value]


def _luid(leaf: FieldValue) -> dict[str, Any] | None:
    """The LUID that stands beside a handle."""
    for value in leaf.values.values() if isinstance(leaf.values, Mapping) else ():
        luid = Luid.from_value(value)
        if luid is not None:
            return luid.to_value()
    return None


def _answer(call: TracedCall, field: str, payload: Payload, asked: Collection[str]) -> dict[str, Any]:
    outputs = call.outputs
    if not isinstance(outputs, Mapping) or not isinstance(call.inputs, Mapping):
        return {}
    number = int(call.inputs.get(payload.by) or 0)
    for value, name, case in payload.cases:
        if value == number and name in asked:
            told = outputs.get(field)
            if isinstance(told, (Unreadable, bytes, type(None))):
                return {}
            return {name: to_json(case, told) if isinstance(case, Struct) else json_form(case, told)}
    return {}


def told_lines(told: Mapping[str, Any]) -> list[str]:
    """Answers for people: each field with its value; versions of four parts as they are written."""
    lines: list[str] = []
    for question, answer in told.items():
        for name, value in (answer if isinstance(answer, Mapping) else {question: answer}).items():
            text = version_text(int(value)) if name == "DriverVersion" and str(value).isdigit() else value
            if text not in ("", [], None):
                lines.append(f"{name}: {text}")
    return lines


def version_text(number: int) -> str:
    """Format a driver version of four 16-bit parts."""
    return ".".join(str(number >> shift & 0xFFFF) for shift in (48, 32, 16, 0))
