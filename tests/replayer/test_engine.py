"""Replays: no difference without a change, and exactly one for each change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tracekmt
from tracekmt.errors import UsageError
from tracekmt.report.html import html_page
from tracekmt.report.text import report_lines
from tracekmt.resources import resource
from tracekmt.simulator.model.allocation_size import sample_data

ADAPTER, DEVICE, RESOURCE, ALLOCATION, SECOND = (0xA0000000 + 0x40 * n for n in range(5))
LUID = {"LowPart": 0xBEEF, "HighPart": 2}
MB = 1 << 20


class Scenario:
    """A trace under construction, with handles that no simulator returns."""

    def __init__(self, path: Path, abi: str = "x64", **settings: Any) -> None:
        self.path = path
        self.trace = tracekmt.create(path, abi=abi, **settings)

    def __enter__(self) -> Scenario:
        return self

    def __exit__(self, *_: object) -> None:
        self.trace.close()

    def open(self) -> None:
        self.trace.add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": LUID}, {"hAdapter": ADAPTER})
        self.trace.add("D3DKMTCreateDevice", {"hAdapter": ADAPTER}, {"hDevice": DEVICE})

    def create(self, status: Any = 0, handles: tuple[int, ...] = (ALLOCATION,), **inputs: Any) -> None:
        element = {"pPrivateDriverData": sample_data(4 * MB)}
        outputs: dict[str, Any] | None = None
        if status == 0:
            outputs = {"pAllocationInfo2": [{"hAllocation": handle} for handle in handles]}
        if inputs.pop("resource", False):
            inputs["Flags"] = ["CreateResource", *inputs.get("Flags", [])]
            outputs = {**(outputs or {}), "hResource": RESOURCE}
        self.trace.add(
            "D3DKMTCreateAllocation2",
            {"hDevice": DEVICE, "pAllocationInfo2": [element] * len(handles), **inputs},
            outputs,
            status,
        )

    def destroy(self, status: Any = 0, **inputs: Any) -> None:
        self.trace.add("D3DKMTDestroyAllocation2", {"hDevice": DEVICE, **inputs}, status=status)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "t.kmt"


def test_handles_and_luids_are_bound_not_compared(path: Path, abi: str) -> None:
    with Scenario(path, abi) as trace:
        trace.open()
        trace.create(resource=True)
        trace.create(handles=(SECOND,), hResource=RESOURCE)
        trace.destroy(hResource=RESOURCE)
        trace.create(handles=(ALLOCATION,))  # the same value, after the destruction of its object
        trace.destroy(phAllocationList=[ALLOCATION])
        trace.destroy("STATUS_INVALID_PARAMETER", phAllocationList=[ALLOCATION])
    report = tracekmt.replay(path)
    assert report.findings == []
    assert report.calls.compared == 8
    assert report.calls.ambient_handles == 0


def test_a_different_status_and_its_consequence(path: Path) -> None:
    with Scenario(path) as trace:
        trace.open()
        trace.create()
        trace.create(handles=(SECOND,))
        trace.destroy(phAllocationList=[SECOND])
    report = tracekmt.replay(path, profile="wddm1", video_memory="4MB")
    cause, consequence = report.findings
    assert (cause.kind, cause.index, cause.thread, cause.call, cause.cause) == (
        "status",
        3,
        0,
        "D3DKMTCreateAllocation2",
        None,
    )
    assert (cause.recorded, cause.replayed) == ("STATUS_SUCCESS", "STATUS_GRAPHICS_NO_VIDEO_MEMORY")
    assert "video memory" in cause.message
    assert (consequence.index, consequence.cause) == (4, 3)
    assert not report.same
    assert report.differing == 2
    data = report.to_dict()
    assert data["calls"]["differing"] == 2
    assert data["findings"][1]["cause"] == 3


def test_a_recorded_failure_that_now_succeeds(path: Path) -> None:
    with Scenario(path) as trace:
        trace.open()
        trace.create("STATUS_INVALID_HANDLE")
    (finding,) = tracekmt.replay(path).findings
    assert (finding.recorded, finding.replayed) == ("STATUS_INVALID_HANDLE", "STATUS_SUCCESS")


def test_a_handle_that_is_null_on_one_side(path: Path) -> None:
    with Scenario(path) as trace:
        trace.open()
        trace.create(handles=(0,))
    (finding,) = tracekmt.replay(path).findings
    assert (finding.kind, finding.path, finding.recorded, finding.replayed) == (
        "handle",
        "pAllocationInfo2[0].hAllocation",
        "null",
        "live",
    )
    assert finding.handle_kind == "allocation"


def test_one_handle_for_two_live_objects(path: Path) -> None:
    with Scenario(path) as trace:
        trace.open()
        trace.create()
        trace.create()
    (finding,) = tracekmt.replay(path).findings
    assert (finding.kind, finding.index) == ("handle", 3)
    assert finding.replayed == "#2.pAllocationInfo2[0].hAllocation"


def test_written_data(path: Path) -> None:
    with Scenario(path) as trace:
        trace.open()
        trace.trace.add("D3DKMTCreateDevice", {"hAdapter": ADAPTER}, {"hDevice": SECOND, "CommandBufferSize": 64})
        trace.trace.add(
            "D3DKMTCreateAllocation2",
            {"hDevice": DEVICE, "pAllocationInfo2": [{"pPrivateDriverData": b"before"}]},
            {"pAllocationInfo2": [{"pPrivateDriverData": b"after!", "hAllocation": ALLOCATION}], "Flags": ["Zeroed"]},
        )
    report = tracekmt.replay(path)
    assert [(finding.kind, finding.path) for finding in report.findings] == [
        ("field", "CommandBufferSize"),
        ("opaque", "pAllocationInfo2[0].pPrivateDriverData"),
        ("opaque", "Flags.Zeroed"),
    ]
    assert (report.findings[0].recorded, report.findings[0].replayed) == ("64", "0")
    assert (report.differing, report.opaque) == (1, 1)


def test_opaque_findings_do_not_count(path: Path) -> None:
    with Scenario(path) as trace:
        trace.open()
        trace.trace.add(
            "D3DKMTCreateAllocation2",
            {"hDevice": DEVICE, "pAllocationInfo2": [{"pPrivateDriverData": b"before"}]},
            {"pAllocationInfo2": [{"pPrivateDriverData": b"after!", "hAllocation": ALLOCATION}]},
        )
    report = tracekmt.replay(path)
    assert report.same
    assert report.opaque == 1


def test_handles_that_are_older_than_the_trace_are_adopted(path: Path) -> None:
    with Scenario(path) as trace:
        trace.create()
        trace.create(handles=(SECOND,), hResource=RESOURCE)
        trace.destroy(phAllocationList=[ALLOCATION])
        trace.destroy("STATUS_INVALID_PARAMETER", phAllocationList=[0x12345])
        trace.trace.add("D3DKMTDestroyDevice", {"hDevice": DEVICE})
        trace.trace.add("D3DKMTCloseAdapter", {"hAdapter": ADAPTER})
    report = tracekmt.replay(path)
    assert report.findings == []
    assert report.calls.ambient_handles == 3


def test_calls_that_never_returned_are_counted(path: Path) -> None:
    with Scenario(path) as trace:
        trace.open()
        trace.trace.add("D3DKMTDestroyDevice", {"hDevice": DEVICE}, status=None)
    report = tracekmt.replay(path)
    assert (report.calls.compared, report.calls.in_flight, report.same) == (2, 1, True)


def test_the_machine_of_the_header_is_rebuilt(path: Path) -> None:
    machine = {"adapters": [{"luid": [0xBEEF, 2], "video_memory": 4 * MB, "wddm": 1300}]}
    with Scenario(path, machine=machine) as trace:
        trace.open()
        trace.create()
        trace.create("STATUS_NO_VIDEO_MEMORY")
    assert tracekmt.replay(path).same
    assert not tracekmt.replay(path, video_memory="64MB").same


def test_a_simulator_object_keeps_its_settings(path: Path) -> None:
    with Scenario(path) as trace:
        trace.open()
    used = tracekmt.Simulator()
    assert tracekmt.replay(path, on=used).same
    assert len(used.handles) > 0
    assert tracekmt.replay(path, on=tracekmt.Simulator(adapters=[{"luid": [0xBEEF, 2]}])).same
    with pytest.raises(UsageError, match="has its own settings"):
        tracekmt.replay(path, on=tracekmt.Simulator(), video_memory="1MB")
    with pytest.raises(UsageError, match="invalid target: toaster"):
        tracekmt.replay(path, on="toaster")


def test_arguments_are_replayed_in_the_recorded_abi(path: Path, abi: str) -> None:
    """Some statuses are specific to 32-bit processes, and addresses must fit into their pointers."""
    status = "STATUS_ACCESS_VIOLATION" if abi == "x86" else "STATUS_INVALID_PARAMETER"
    shared = {"Flags": ["CreateResource", "CreateShared", "NtSecuritySharing"]}
    outputs = {"hResource": RESOURCE, "pAllocationInfo2": [{"hAllocation": ALLOCATION}]}
    fence = {"Type": "D3DDDI_MONITORED_FENCE", "MonitoredFence": {"InitialFenceValue": 5}}
    mapped = {"FenceValueCPUVirtualAddress": 0x5000, "FenceValueGPUVirtualAddress": 0x100000000}
    with Scenario(path, abi) as trace:
        trace.open()
        trace.trace.add("D3DKMTCreateAllocation2", {"hDevice": DEVICE, "pAllocationInfo2": [{}], **shared}, outputs)
        sharing = {"hObjects": [RESOURCE], "dwDesiredAccess": 0xF0001, "phSharedNtHandle": 0}
        trace.trace.add("D3DKMTShareObjects", sharing, {"phSharedNtHandle": 0x88})
        trace.trace.add(
            "D3DKMTOpenResourceFromNtHandle",
            {"hDevice": DEVICE, "hNtHandle": 0x88, "NumAllocations": 1, "pTotalPrivateDriverDataBuffer": bytes(8)},
            status=status,
        )
        trace.trace.add(
            "D3DKMTCreateSynchronizationObject2",
            {"hDevice": DEVICE, "Info": fence},
            {"hSyncObject": SECOND, "Info": {**fence, "MonitoredFence": {**fence["MonitoredFence"], **mapped}}},  # type: ignore[dict-item]
        )
    report = tracekmt.replay(path)
    assert report.findings == []
    assert report.calls.compared == 6


def test_a_bad_machine_in_a_header_is_an_error(path: Path) -> None:
    with Scenario(path, machine={"adapters": "many"}) as trace:
        trace.open()
    with pytest.raises(tracekmt.Error):
        tracekmt.replay(path)


def test_the_outcome_is_a_trace(path: Path, tmp_path: Path) -> None:
    with Scenario(path, "x86") as trace:
        trace.open()
        trace.create(resource=True)
        trace.destroy(hResource=RESOURCE)
    outcome = tmp_path / "outcome.kmt"
    assert tracekmt.replay(path, output=outcome).same
    with tracekmt.open(outcome) as written, tracekmt.open(path) as original:
        assert written.header.base_abi == "x86"
        assert [call.name for call in written.calls()] == [call.name for call in original.calls()]
        assert [call.status for call in written.calls()] == [0] * 4
        assert isinstance(written[0].outputs, dict)
        assert written[0].outputs["hAdapter"] == 0x40000000
    assert tracekmt.diff(path, outcome).same


def test_a_use_after_destruction_is_not_an_ambient_handle(path: Path) -> None:
    with Scenario(path) as trace:
        trace.open()
        trace.create()
        trace.destroy(phAllocationList=[ALLOCATION])
        trace.destroy(phAllocationList=[ALLOCATION])
    report = tracekmt.replay(path)
    (finding,) = report.findings
    assert (finding.index, finding.replayed) == (4, "STATUS_INVALID_PARAMETER")
    assert report.calls.ambient_handles == 0


def test_a_trace_is_never_overwritten_by_its_own_outcome(path: Path) -> None:
    with Scenario(path) as trace:
        trace.open()
    before = path.read_bytes()
    with pytest.raises(UsageError, match="it is the input trace"):
        tracekmt.replay(path, output=str(path), force=True)
    assert path.read_bytes() == before


def test_a_report_mentions_a_damaged_trace(path: Path) -> None:
    with Scenario(path) as trace:
        trace.open()
    path.write_bytes(path.read_bytes()[:-3])
    (note,) = tracekmt.replay(path).to_dict()["notes"]
    assert "is truncated" in note


def test_an_unreadable_output_is_opaque(path: Path) -> None:
    with Scenario(path) as trace:
        trace.open()
        trace.trace.add(
            "D3DKMTCreateAllocation2",
            {"hDevice": DEVICE, "pAllocationInfo2": [{}]},
            {"pAllocationInfo2": tracekmt.Unreadable(0x10)},
        )
    report = tracekmt.replay(path)
    assert report.same
    assert report.findings[0].kind == "opaque"


def test_adapters_of_a_simulator_object_replace_those_of_the_trace() -> None:
    """Adapters with unused LUIDs replace the adapters of the trace, in order."""
    trace = resource("traces", "intel-opencl.kmt")
    report = tracekmt.replay(trace, on=tracekmt.Simulator(adapters=[{"luid": [77, 0]}]))
    assert report.same
    assert any("of the trace is adapter 0:4d of the simulator" in note for note in report.notes)


def test_thousands_of_equal_opaque_calls_are_one_finding_from_some_point_on(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracekmt.differ.folding.MAX_EQUAL", 3)
    with Scenario(path) as scenario:
        scenario.open()
        for number in range(8):
            inputs = {"hAdapter": ADAPTER, "pPrivateDriverData": bytes(4 + number % 2)}
            scenario.trace.add("D3DKMTEscape", inputs, inputs, 0xC0000001 if number == 4 else 0)
    report = tracekmt.replay(path)
    assert report.same
    assert report.opaque == report.calls.taken == 8
    findings = [(finding.index, list(finding.repeats)) for finding in report.findings if finding.kind == "opaque"]
    assert findings == [(2, []), (3, []), (4, [5, 7, 8, 9]), (6, [])]  # call 6 failed
    (lines,) = [line for line in "\n".join(report_lines(report)).splitlines() if "6 more times" in line] or [""]
    assert "repeated" in lines
    assert "repeated 6 more times" in html_page(report)
    data = report.to_dict()
    assert data["calls"]["opaque"] == 8
    assert data["findings"][2]["count"] == 5


@pytest.mark.parametrize("source", sorted([*Path("traces").glob("*.kmt"), *Path("tests/data/field").glob("*.kmt")]))
def test_the_outcomes_of_every_sample_are_a_trace(source: Path, tmp_path: Path) -> None:
    """Older builds described some kinds of objects otherwise. A description has to be of one build as a whole."""
    outcomes = tmp_path / "outcomes.kmt"
    report = tracekmt.replay(source, output=outcomes)
    with tracekmt.open(source) as recorded, tracekmt.open(outcomes) as replayed:
        assert len(replayed) == len(recorded) - report.calls.skipped
        for call in replayed.calls():
            call.to_json()
    assert tracekmt.replay(outcomes).same
