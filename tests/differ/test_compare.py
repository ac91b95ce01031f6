"""The comparison of one call on two sides."""

from __future__ import annotations

from tests.differ.test_read_history import described_trace, words
from tracekmt.calls import CALLS
from tracekmt.differ.compare import Comparison, _may_bind
from tracekmt.differ.outcome import Outcome
from tracekmt.findings import Report
from tracekmt.spec.types import CallSpec, Field, Integer, Kind, Struct, Union


def test_an_output_in_an_arm_of_an_input_is_bound() -> None:
    """The arms of a named union have their own directions."""
    kind = Kind("number", binding="per_machine")
    arms = Union((Field("Value", Integer("NUMBER", 8, kind=kind), "out"),), name="ARMS")
    spec = CallSpec("Function", Struct("ARGS", (Field("Arms", arms, "in"),)))
    comparison = Comparison(Report(names=("", "")))
    with described_trace([spec], *[(0, words(0), words(5))] * 2) as trace:
        for call in trace.calls():
            outputs = {"Arms": {"Value": 7 + call.index}}
            entered = comparison.on_enter(call, lambda *_: None)
            comparison.on_leave(entered, Outcome(call.status, call.spec.argument, outputs, call.index))
    assert [finding.message for finding in comparison.report.findings] == ["Arms.Value was 7 in an earlier call"]


def test_most_calls_of_a_game_bind_nothing() -> None:
    assert [name for name in ("SubmitCommand", "Escape", "CreateAllocation2") if _may_bind(CALLS[f"D3DKMT{name}"])] == [
        "CreateAllocation2"
    ]
