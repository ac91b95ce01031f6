"""Traces that are built by hand are read as they were written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tracekmt
from tracekmt.calls import CALLS
from tracekmt.errors import TraceError, UsageError
from tracekmt.trace.events import Enter, Header, Leave, Lost, Module
from tracekmt.trace.writer import Writer


def make(path: Path, abi: str = "x64") -> Path:
    with tracekmt.create(path, abi=abi) as trace:
        trace.add(
            "D3DKMTOpenAdapterFromLuid",
            inputs={"AdapterLuid": {"LowPart": 1, "HighPart": -1}},
            outputs={"hAdapter": 0x40000000},
            thread=77,
        )
        trace.add(
            "D3DKMTCreateAllocation2",
            inputs={"hDevice": 0x40000040, "pAllocationInfo2": [{"pPrivateDriverData": b"abc"}, {}]},
            outputs={"pAllocationInfo2": [{"hAllocation": 0x40000080}, {"hAllocation": 0x400000C0}]},
            status="STATUS_SUCCESS",
            thread=5,
        )
        trace.add("D3DKMTDestroyDevice", inputs=None, status=0xC000000D, thread=77)
        trace.add("D3DKMTCloseAdapter", inputs={"hAdapter": 0x40000000}, status=None)
    return path


def test_a_trace_built_by_hand(tmp_path: Path, abi: str) -> None:
    with tracekmt.open(make(tmp_path / "t.kmt", abi)) as trace:
        first, second, third, fourth = trace.calls()
        assert len(trace) == 4
    assert first.inputs == {"AdapterLuid": {"LowPart": 1, "HighPart": -1}, "hAdapter": 0}
    assert first.outputs == {"AdapterLuid": {"LowPart": 1, "HighPart": -1}, "hAdapter": 0x40000000}
    assert (first.enter_ns, first.leave_ns, first.status, first.status.name) == (0, 1000, 0, "STATUS_SUCCESS")  # type: ignore[union-attr]
    assert isinstance(second.outputs, dict)
    elements = second.outputs["pAllocationInfo2"]
    assert [element["hAllocation"] for element in elements] == [0x40000080, 0x400000C0]
    assert elements[0]["pPrivateDriverData"] == b"abc"
    assert (third.inputs, third.outputs, third.status) == (None, None, 0xC000000D)
    assert (fourth.status, fourth.outputs, fourth.leave_ns, fourth.returned) == (None, None, None, False)
    assert [call.thread for call in (first, second, third, fourth)] == [0, 1, 0, 2]


def test_a_line_of_json(tmp_path: Path) -> None:
    with tracekmt.open(make(tmp_path / "t.kmt")) as trace:
        line = json.loads(json.dumps(trace[0].to_json()))
    assert line == {
        "index": 0,
        "call": "D3DKMTOpenAdapterFromLuid",
        "thread": 0,
        "caller": None,
        "returned": True,
        "status": "STATUS_SUCCESS",
        "code": "0x00000000",
        "result": None,
        "in": {"AdapterLuid": {"LowPart": 1, "HighPart": -1}, "hAdapter": "0x0"},
        "out": {"AdapterLuid": {"LowPart": 1, "HighPart": -1}, "hAdapter": "0x40000000"},
        "enter_ns": "0",
        "leave_ns": "1000",
    }


def test_calls_by_index(tmp_path: Path) -> None:
    with tracekmt.open(make(tmp_path / "t.kmt")) as trace:
        assert trace[-1].name == "D3DKMTCloseAdapter"
        with pytest.raises(IndexError, match="has 4 calls"):
            trace[4]


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    path = make(tmp_path / "t.kmt")
    before = path.read_bytes()
    with pytest.raises(UsageError, match="already exists"):
        tracekmt.create(path)
    assert path.read_bytes() == before


def test_errors_name_the_invalid_argument(tmp_path: Path) -> None:
    with tracekmt.create(tmp_path / "t.kmt") as trace:
        with pytest.raises(UsageError, match="undescribed function: 'D3DKMTNothing'"):
            trace.add("D3DKMTNothing")
        with pytest.raises(UsageError, match="hAdapter: invalid value"):
            trace.add("D3DKMTCloseAdapter", {"hAdapter": []})
        with pytest.raises(UsageError, match="invalid thread: 'main'"):
            trace.add("D3DKMTCloseAdapter", {"hAdapter": 1}, thread="main")  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="invalid enter_ns"):
            trace.add("D3DKMTCloseAdapter", {"hAdapter": 1}, enter_ns=1 << 64)
        with pytest.raises(UsageError, match="invalid thread: int"):
            trace.add("D3DKMTCloseAdapter", {"hAdapter": 1}, thread=10**6000)
        with pytest.raises(UsageError, match="leave_ns 5 is before enter_ns 100"):
            trace.add("D3DKMTCloseAdapter", {"hAdapter": 1}, enter_ns=100, leave_ns=5)
        with pytest.raises(UsageError, match="invalid NTSTATUS"):
            trace.add("D3DKMTCloseAdapter", {"hAdapter": 1}, status=1 << 40)
        for result in ("x", 1.5, 1 << 70, -1):
            with pytest.raises(UsageError, match="expected a number from 0 to 255"):
                trace.add("D3DKMTCheckExclusiveOwnership", result=result)  # type: ignore[arg-type]
        trace.add("D3DKMTCloseAdapter", {"hAdapter": 1}, enter_ns=100)
        with pytest.raises(UsageError, match=r"enter_ns 99 is before the first call of the trace \(100\)"):
            trace.add("D3DKMTCloseAdapter", {"hAdapter": 1}, enter_ns=99)
    with tracekmt.open(tmp_path / "t.kmt") as opened:
        assert len(opened) == 1
    with pytest.raises(UsageError, match="invalid ABI: arm64"):
        tracekmt.create(tmp_path / "u.kmt", abi="arm64")
    for machine in ("x", {"adapters": object()}, {"adapters": 10**40}):
        with pytest.raises(UsageError, match=r"^invalid machine: "):
            tracekmt.create(tmp_path / "u.kmt", machine=machine)  # type: ignore[arg-type]
    assert not (tmp_path / "u.kmt").exists(), "an error leaves no file"


def write(path: Path, *events: Enter | Leave | Lost, described: bool = True) -> Path:
    writer = Writer(path, Header("x64"))
    if described:
        writer.describe(0, CALLS["D3DKMTCloseAdapter"])
    writer.module(Module("d3d11.dll", "C:\\d3d11.dll", 0x1000, 0x500))
    writer.events(events)
    writer.close()
    return path


def test_calls_overlap_and_callers_have_modules(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.kmt",
        Enter(0, 1, 0, 10, 0x1234, (0,), ()),
        Enter(1, 2, 0, 20, 0x2000, (0,), ()),
        Leave(2, 0, 30, 0, ()),
        Lost(3, 4),
        Leave(7, 1, 40, 0xFFFFFFFFC000000D, ()),
    )
    with tracekmt.open(path) as trace:
        assert list(trace.timeline()) == [(0, False), (1, False), (0, True), (1, True)]
        assert [call.caller for call in trace.calls()] == ["d3d11.dll+0x234", None]
        assert trace[1].status == 0xC000000D
        assert trace.lost == 4


def test_contradicting_events_are_errors(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="has no enter event"):
        tracekmt.open(write(tmp_path / "a.kmt", Leave(0, 9, 0, 0, ())))
    with pytest.raises(TraceError, match="refers to the missing description 3"):
        tracekmt.open(write(tmp_path / "b.kmt", Enter(0, 1, 3, 0, 0, (), ())))[0]
    with pytest.raises(TraceError, match="No such file"):
        tracekmt.open(tmp_path / "c.kmt")
    with pytest.raises(TraceError, match="it is a folder"):
        tracekmt.open(tmp_path)


def test_errors_of_the_python_interface(tmp_path: Path) -> None:
    trace = tracekmt.create(tmp_path / "made.kmt")
    with pytest.raises(UsageError, match="undescribed function"):
        trace.add([])  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="unexpected result: the function returns a status"):
        trace.add("D3DKMTCloseAdapter", {"hAdapter": 1}, result=1)
    trace.add("D3DKMTCheckExclusiveOwnership", result=1)
    trace.add("D3DKMTCloseDxCoreDevice")
    trace.close()
    trace.close()
    with pytest.raises(UsageError, match="the trace is closed"):
        trace.add("D3DKMTCloseAdapter", {"hAdapter": 1})
    with tracekmt.open(tmp_path / "made.kmt") as opened:
        assert [(call.status, call.result, call.succeeded) for call in opened.calls()] == [
            (None, 1, True),
            (None, None, True),
        ]
        with pytest.raises(UsageError, match="invalid call index"):
            opened["a"]  # type: ignore[index]
    with pytest.raises(tracekmt.TraceError, match="invalid file name"):
        tracekmt.open("a\0b")
    with pytest.raises(UsageError, match="invalid file name"):
        tracekmt.create("a\0b")
    with pytest.raises(UsageError, match="unknown function"):
        tracekmt.Simulator().call([], {})  # type: ignore[arg-type]


def test_the_kind_of_an_object_selects_the_union_arm_of_a_wait(tmp_path: Path) -> None:
    wait, create = "D3DKMTWaitForSynchronizationObjectFromGpu", "D3DKMTCreateSynchronizationObject2"
    with tracekmt.create(tmp_path / "made.kmt") as trace:
        trace.add(create, {"Info": {"Type": "D3DDDI_MONITORED_FENCE"}}, {"hSyncObject": 0x40})
        trace.add(wait, {"hContext": 1, "ObjectHandleArray": [0x40], "MonitoredFenceValueArray": [7]})
        trace.add("D3DKMTDestroySynchronizationObject", {"hSyncObject": 0x40})
        trace.add(create, {"Info": {"Type": "D3DDDI_FENCE"}}, {"hSyncObject": 0x40})
        with pytest.raises(UsageError, match=r"MonitoredFenceValueArray: .* give FenceValue"):
            trace.add(wait, {"hContext": 1, "ObjectHandleArray": ["0x40"], "MonitoredFenceValueArray": [7]})
        trace.add(wait, {"hContext": 1, "ObjectHandleArray": [0x40], "FenceValue": 7})
        trace.add(wait, {"hContext": 1, "ObjectHandleArray": [0x99], "FenceValue": 7})
        trace.add("D3DKMTOpenSyncObjectFromNtHandle", {"hNtHandle": 8}, {"hSyncObject": 0x80})
        trace.add(wait, {"hContext": 1, "ObjectHandleArray": [0x80], "FenceValue": 7})
    with tracekmt.open(tmp_path / "made.kmt") as opened:
        first, second, ambient, shared = (call.inputs for call in opened.calls() if call.name == wait)
    assert first["MonitoredFenceValueArray"] == [7]  # type: ignore[index]
    assert second["FenceValue"] == 7  # type: ignore[index]
    for undecided in (ambient, shared):
        assert isinstance(undecided, dict)
        assert undecided["union@16"]["raw"][:8] == (7).to_bytes(8, "little")
