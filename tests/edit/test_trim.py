"""Trimmed traces replay by themselves. Their calls are unchanged and depend on no missing call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tracekmt
from tests.strategies import examples
from tracekmt.edit.copy import UNFINISHED
from tracekmt.edit.trim import TrimResult, trim
from tracekmt.resources import resource
from tracekmt.text.call_set import parse_calls
from tracekmt.trace.events import Lost
from tracekmt.trace.reader import Trace
from tracekmt.trace.writer import Writer

LUID = {"LowPart": 1, "HighPart": 0}
SIZES = (0x1000, 0x40000, 0x100000)


class Story:
    """A program on a simulator with little memory, recorded while it runs."""

    def __init__(self, path: Path) -> None:
        self.simulator = tracekmt.Simulator(video_memory=0x180000, system_memory=0x8000)
        self.trace = tracekmt.create(path, machine=self.simulator.machine.settings(), force=True)
        self.handles: dict[str, list[int]] = {"adapter": [], "device": [], "resource": [], "allocation": []}

    def call(self, name: str, inputs: dict[str, Any]) -> dict[str, Any]:
        outcome = self.simulator.call(name, inputs)
        self.trace.add(name, inputs, outcome.outputs, outcome.status)
        return outcome.outputs if outcome.status.succeeded else {}

    def any_handle(self, kind: str, pick: int) -> int:
        """Return a handle that a call returned, of a live or a destroyed object. Sometimes return an invalid handle."""
        handles = self.handles[kind]
        return handles[pick % len(handles)] if handles and pick % 17 else 0x40ABCDC0

    def step(self, action: int, pick: int, other: int) -> None:
        device, resource_ = self.any_handle("device", pick), self.any_handle("resource", other)
        match action:
            case 0:
                outputs = self.call("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": LUID})
                self.handles["adapter"].append(outputs["hAdapter"])
            case 1:
                outputs = self.call("D3DKMTCreateDevice", {"hAdapter": self.any_handle("adapter", pick)})
                self.handles["device"] += [outputs["hDevice"]] if outputs else []
            case 2 | 3 | 4:
                element = {"pPrivateDriverData": SIZES[other % 3].to_bytes(8, "little") * 2}
                flags = {2: [], 3: ["CreateResource"], 4: []}[action]
                inputs = {"hDevice": device, "pAllocationInfo2": [element] * (1 + pick % 2), "Flags": flags}
                inputs |= {"hResource": resource_} if action == 4 else {}
                outputs = self.call("D3DKMTCreateAllocation2", inputs)
                self.handles["allocation"] += [info["hAllocation"] for info in outputs.get("pAllocationInfo2", ())]
                self.handles["resource"] += [outputs["hResource"]] if outputs and action == 3 else []
            case 5:
                self.call("D3DKMTDestroyAllocation2", {"hDevice": device, "hResource": resource_})
            case 6:
                allocations = [self.any_handle("allocation", other), self.any_handle("allocation", pick)][
                    : 1 + pick % 2
                ]
                self.call("D3DKMTDestroyAllocation2", {"hDevice": device, "phAllocationList": allocations})
            case 7:
                self.call("D3DKMTDestroyDevice", {"hDevice": device})
            case 8:
                self.call("D3DKMTCloseAdapter", {"hAdapter": self.any_handle("adapter", pick)})


ACTIONS = st.tuples(
    st.sampled_from((0, 1, 1, 2, 2, 2, 3, 3, 4, 5, 6, 6, 6, 7, 8)), st.integers(0, 40), st.integers(0, 40)
)


@settings(max_examples=examples(120), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=st.lists(ACTIONS, min_size=4, max_size=40), choice=st.sets(st.integers(0, 45), min_size=1))
def test_trimmed_calls_replay_with_the_same_outcomes(
    tmp_path: Path, actions: list[tuple[int, int, int]], choice: set[int]
) -> None:
    whole, part = tmp_path / "whole.kmt", tmp_path / "part.kmt"
    story = Story(whole)
    for action in [(0, 1, 1), (1, 1, 1), *actions]:
        story.step(*action)
    story.trace.close()
    selected = {index % (len(actions) + 2) for index in choice}
    trim(whole, lambda index, _: index in selected, part, force=True)
    outcomes = {}
    for path in (whole, part):
        report = tracekmt.replay(path, output=tmp_path / "outcome.kmt", force=True)
        assert report.findings == []
        assert report.calls.ambient_handles == 0 or path == whole
        with tracekmt.open(tmp_path / "outcome.kmt") as outcome:
            outcomes[path] = {call.index: call.status for call in outcome.calls()}
    assert selected <= outcomes[part].keys()
    assert outcomes[part].items() <= outcomes[whole].items()


@pytest.mark.parametrize(("calls", "included"), [("17", {1, 3, 17}), ("8", {0, 2, 7, 8}), ("13", {1, 3, 6, 13})])
def test_the_creators_of_objects_are_included(tmp_path: Path, calls: str, included: set[int]) -> None:
    source, part = resource("traces", "demo.kmt"), tmp_path / "part.kmt"
    assert trim(source, parse_calls(calls), part) == TrimResult(1, len(included) - 1, 19)
    with tracekmt.open(source) as before, tracekmt.open(part) as after:
        assert {call.index for call in after.calls()} == included
        assert [call.to_json() for call in after.calls()] == [before[index].to_json() for index in sorted(included)]
        last = after[max(included)].to_json()
        assert last == after[-1].to_json() == after[-len(included) + len(after) - 1].to_json()
        assert after.threads == before.threads
        assert after.header.trimmed == "19 calls of demo.kmt"
        with pytest.raises(IndexError, match=r"no call 18: .* and is trimmed"):
            after[18]
    with Trace(part, rebuild=True) as rebuilt:
        assert {call.index for call in rebuilt.calls()} == included
        assert rebuilt.start_time == before.start_time


def test_a_trimmed_trace_can_be_trimmed(tmp_path: Path) -> None:
    first, second = tmp_path / "first.kmt", tmp_path / "second.kmt"
    trim(resource("traces", "demo.kmt"), parse_calls("8,17"), first)
    assert trim(first, parse_calls("17"), second) == TrimResult(1, 2, 9)
    with tracekmt.open(second) as trace:
        assert [call.index for call in trace.calls()] == [1, 3, 17]
        assert trace.header.trimmed == "19 calls of demo.kmt"


def test_dependencies_through_other_values(tmp_path: Path) -> None:
    """LUIDs, fence values and names depend on the calls that returned them."""
    path, part = tmp_path / "made.kmt", tmp_path / "part.kmt"
    with tracekmt.create(path) as trace:
        enumerated = [{"hAdapter": 0x40000000, "AdapterLuid": LUID}]
        trace.add("D3DKMTEnumAdapters2", {"NumAdapters": 1, "pAdapters": [{}]}, {"pAdapters": enumerated})
        trace.add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": LUID}, {"hAdapter": 0x40000040})
        trace.add("D3DKMTCreateDevice", {"hAdapter": 0x40000040}, {"hDevice": 0x40000080})
        outputs = {"hSyncObject": 0x400000C0}
        info = {"Type": "D3DDDI_MONITORED_FENCE"}
        trace.add("D3DKMTCreateSynchronizationObject2", {"hDevice": 0x40000080, "Info": info}, outputs)
        for value in (1, 2, 3):
            signal = {"hDevice": 0x40000080, "ObjectHandleArray": [0x400000C0], "FenceValueArray": [value]}
            trace.add("D3DKMTSignalSynchronizationObjectFromCpu", signal, {})
        wait = {"hDevice": 0x40000080, "ObjectHandleArray": [0x400000C0], "FenceValueArray": [2]}
        trace.add("D3DKMTWaitForSynchronizationObjectFromCpu", wait, {})
    trim(path, parse_calls("7"), part)
    with tracekmt.open(part) as trace:
        assert [call.index for call in trace.calls()] == [0, 1, 2, 3, 5, 7]


def test_losses_are_kept(tmp_path: Path) -> None:
    path, part = tmp_path / "lossy.kmt", tmp_path / "part.kmt"
    with tracekmt.open(resource("traces", "demo.kmt")) as trace:
        writer = Writer(path, trace.header)
        for spec_id, spec in trace.specs.items():
            writer.describe(spec_id, spec)
        writer.events([*trace.events(), Lost(1000, 7)])
        writer.close()
    trim(path, parse_calls("17"), part)
    with tracekmt.open(part) as trace:
        assert (trace.lost, trace.ended, trace.damage) == (7, UNFINISHED, UNFINISHED)


def test_errors_of_trim(tmp_path: Path) -> None:
    source = resource("traces", "demo.kmt")
    with pytest.raises(tracekmt.UsageError, match="no call is selected"):
        trim(source, parse_calls("500"), tmp_path / "part.kmt")
    with pytest.raises(tracekmt.UsageError, match="it is the input trace"):
        trim(source, parse_calls("1"), source, force=True)
