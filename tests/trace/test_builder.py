"""Traces by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

import tracekmt
from tracekmt.calls import CALLS

RETURNED = [
    (spec.name, field.name)
    for spec in CALLS.values()
    for field in spec.argument.fields()
    if spec.argument.parameters and field.direction == "out"
]


def test_the_functions_that_return_through_a_parameter_are_found() -> None:
    assert {name for name, _ in RETURNED} >= {
        "NtCreateEvent",
        "NtDuplicateObject",
        "NtCreateSection",
        "D3DKMTShareObjects",
        "D3DKMTGetPresentQueueEvent",
        "D3DKMTGetProcessSchedulingPriorityClass",
    }


@pytest.mark.parametrize("inputs", [None, [], [None], [0]])
@pytest.mark.parametrize(("name", "parameter"), RETURNED)
def test_what_a_parameter_returns_may_be_in_the_outputs_alone(
    tmp_path: Path, name: str, parameter: str, inputs: list[object] | None
) -> None:
    path = tmp_path / "t.kmt"
    given = None if inputs is None else dict(zip([parameter], inputs, strict=False))
    with tracekmt.create(path) as trace:
        trace.add(name, given, {parameter: 4})
    with tracekmt.open(path) as read:
        (call,) = read.calls()
        assert isinstance(call.inputs, dict)
        assert isinstance(call.outputs, dict)
        assert (call.inputs[parameter], call.outputs[parameter]) == (0, 4)


def test_a_null_parameter_without_an_output_stays_null(tmp_path: Path) -> None:
    path = tmp_path / "t.kmt"
    with tracekmt.create(path) as trace:
        trace.add("NtCreateEvent", {"EventHandle": None}, status="STATUS_ACCESS_VIOLATION")
    with tracekmt.open(path) as read:
        (call,) = read.calls()
        assert isinstance(call.outputs, dict)
        assert call.outputs["EventHandle"] is None
