"""Sample traces: each is documented, replays without differences, and has the calls that it demonstrates."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

import tracekmt
from tracekmt.report.stats import measure
from tracekmt.resources import resource

TRACES = sorted(resource("traces").glob("*.kmt"))
CREATE = "D3DKMTCreateAllocation2"


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.name)
def test_a_sample_replays_without_differences_except_with_less_memory(path: Path) -> None:
    assert path.name in resource("traces", "README.md").read_text("utf-8")
    assert path.stat().st_size < 1 << 20
    report = tracekmt.replay(path)
    assert report.same
    assert {finding.kind for finding in report.findings} <= {"opaque"}
    assert report.calls.compared > 0
    assert not tracekmt.replay(path, video_memory="1MB", system_memory="1MB").same


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.name)
def test_a_sample_has_no_names_of_the_recording_machine(path: Path) -> None:
    with tracekmt.open(path) as trace:
        assert all("/" not in module.path for module in trace.modules)
        assert trace.ended is not None
        assert trace.ended.startswith("the process ended")
        assert "spool" not in trace.header.settings
        assert trace.damage is None


def test_the_demo_has_all_statuses_and_two_threads() -> None:
    with tracekmt.open(resource("traces", "demo.kmt")) as trace:
        calls = list(trace.calls())
        statuses = {call.status.name for call in calls if call.name == CREATE and call.status is not None}
    assert {call.thread for call in calls} == {0, 1}
    assert statuses == {
        "STATUS_SUCCESS",
        "STATUS_INVALID_PARAMETER",
        "STATUS_NO_MEMORY",
        "STATUS_GRAPHICS_NO_VIDEO_MEMORY",
        "STATUS_DEVICE_REMOVED",
    }


def test_the_two_programs_of_microsoft_s_page() -> None:
    with tracekmt.open(resource("traces", "stand-alone-allocation.kmt")) as trace:
        (create,) = [call for call in trace.calls() if call.name == CREATE]
        assert isinstance(create.inputs, dict)
        assert (int(create.inputs["Flags"]), create.inputs["hResource"]) == (0, 0)
        (element,) = create.inputs["pAllocationInfo2"]
        assert element["pSystemMem"] is None
        assert element["pPrivateDriverData"]
    with tracekmt.open(resource("traces", "preallocated-resource.kmt")) as trace:
        (create,) = [call for call in trace.calls() if call.name == CREATE]
        assert isinstance(create.inputs, dict)
        assert isinstance(create.outputs, dict)
        assert int(create.inputs["Flags"]) == 1
        assert create.inputs["pPrivateDriverData"]
        (element,) = create.inputs["pAllocationInfo2"]
        assert element["pSystemMem"] % 4096 == 0
        assert element["pPrivateDriverData"]
        assert create.outputs["hResource"]


def test_a_shipping_driver() -> None:
    """Intel's OpenCL for WSL destroys every allocation on two threads, with calls after exit()."""
    with tracekmt.open(resource("traces", "intel-opencl.kmt")) as trace:
        assert trace.header.redacted
        assert (len(trace), trace.lost, len(trace.threads)) == (305, 0, 2)
        names = Counter(call.name for call in trace.calls())
        assert names[CREATE] == names["D3DKMTDestroyAllocation2"] == 75
        assert all(call.succeeded for call in trace.calls())
        stats = measure(trace)
    objects = {row["kind"]: (row["born"], row["left"]) for row in stats["objects"]}
    assert objects["allocation"] == (75, 0)
    assert {leak["kind"] for leak in stats["leaks"]} <= {"gpu address"}
