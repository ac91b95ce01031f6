"""Comparison of two traces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import tracekmt
from tracekmt.resources import resource
from tracekmt.trace.builder import Builder

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write traces of two threads. `base` is the first handle, `change` selects a difference."""

    def build(
        name: str, base: int = 0x40000000, change: str = "", abi: str = "x64", threads: tuple[int, int] = (1, 2)
    ) -> Path:
        path = tmp_path / name
        with tracekmt.create(path, abi=abi) as trace:
            fill(trace, base, change, threads)
        return path

    return build


def fill(trace: Builder, base: int, change: str, threads: tuple[int, int]) -> None:
    handles = [base + 0x40 * n for n in range(10)]
    first, second = threads
    trace.add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 1}}, {"hAdapter": handles[0]}, thread=first)
    trace.add("D3DKMTCreateDevice", {"hAdapter": handles[0]}, {"hDevice": handles[1]}, thread=first)
    trace.add("D3DKMTCreateDevice", {"hAdapter": handles[0]}, {"hDevice": handles[2]}, thread=second)
    if change == "extra":
        trace.add("D3DKMTCloseAdapter", {"hAdapter": 5}, status="STATUS_INVALID_PARAMETER", thread=second)
    failed = change == "status"
    trace.add(
        "D3DKMTCreateAllocation2",
        {"hDevice": handles[2 if change == "device" else 1], "pAllocationInfo2": [{"pPrivateDriverData": b"x"}]},
        {"pAllocationInfo2": [{"hAllocation": 0 if change == "null" else handles[3]}]} if not failed else None,
        status="STATUS_NO_MEMORY" if failed else 0,
        thread=first,
    )
    trace.add(
        "D3DKMTDestroyAllocation2",
        {"hDevice": handles[1], "phAllocationList": [0x99 if failed else handles[3]]},
        status="STATUS_INVALID_PARAMETER" if failed else 0,
        thread=first,
    )
    trace.add("D3DKMTDestroyDevice", {"hDevice": handles[2]}, thread=second)


def test_a_trace_against_itself_is_the_same(make: Make) -> None:
    report = tracekmt.diff(make("a.kmt"), make("b.kmt"))
    assert (report.findings, report.calls.compared) == ([], 6)


def test_other_handles_other_threads_and_another_abi_are_the_same(make: Make) -> None:
    other = make("b.kmt", base=0x80001000, abi="x86", threads=(900, 17))
    assert tracekmt.diff(make("a.kmt"), other).findings == []
    assert tracekmt.diff(other, make("c.kmt")).findings == []


def test_a_failed_creation_is_the_cause_of_what_follows(make: Make) -> None:
    report = tracekmt.diff(make("a.kmt"), make("b.kmt", change="status"))
    causes = [finding for finding in report.findings if finding.cause is None]
    assert [(finding.kind, finding.index, finding.other_index) for finding in causes] == [("status", 3, 3)]
    assert [(finding.index, finding.cause) for finding in report.findings[1:]] == [(4, 3)]


def test_calls_on_one_side_only(make: Make) -> None:
    plain, extra = make("a.kmt"), make("b.kmt", change="extra")
    (finding,) = tracekmt.diff(plain, extra).findings
    assert (finding.kind, finding.index, finding.other_index, finding.call) == ("extra", None, 3, "D3DKMTCloseAdapter")
    (finding,) = tracekmt.diff(extra, plain).findings
    assert (finding.kind, finding.index, finding.other_index) == ("missing", 3, None)


def test_another_object_in_the_same_place(make: Make) -> None:
    report = tracekmt.diff(make("a.kmt"), make("b.kmt", change="device"))
    (finding,) = report.findings
    assert (finding.kind, finding.path, finding.recorded, finding.replayed) == (
        "handle",
        "hDevice",
        "#1.hDevice",
        "#2.hDevice",
    )
    assert report.differing == 1


def test_a_nulled_handle_is_one_cause(make: Make) -> None:
    report = tracekmt.diff(make("a.kmt"), make("b.kmt", change="null"))
    assert [finding.kind for finding in report.findings if finding.cause is None] == ["handle"]


def test_shipped_traces_against_themselves() -> None:
    for path in sorted(resource("traces").glob("*.kmt")):
        assert tracekmt.diff(path, path).findings == []


def write_calls(path: Path, *calls: tuple[str, Mapping[str, object], Mapping[str, object]]) -> Path:
    with tracekmt.create(path) as trace:
        for name, inputs, outputs in calls:
            trace.add(name, inputs, outputs)
    return path


def write_run(path: Path, base: int, fence: int, luid: int, *, offset: int = 0x1000, second: int | None = None) -> Path:
    """Write a trace of one run, with the handles, addresses, fence values and LUIDs of that run."""
    adapter = {"AdapterLuid": {"LowPart": luid}}
    queue = {"hPagingQueue": base + 1, "hSyncObject": base + 2, "FenceValueCPUVirtualAddress": base << 12}
    return write_calls(
        path,
        ("D3DKMTOpenAdapterFromGdiDisplayName", {"DeviceName": "\\\\.\\DISPLAY1"}, {"hAdapter": base, **adapter}),
        ("D3DKMTOpenAdapterFromLuid", adapter, {"hAdapter": base + 9}),
        ("D3DKMTCreateDevice", {"hAdapter": base}, {"hDevice": base + 3}),
        ("D3DKMTCreatePagingQueue", {"hDevice": base + 3}, queue),
        (
            "D3DKMTReserveGpuVirtualAddress",
            {"hPagingQueue": base + 1, "Size": 1 << 20},
            {"VirtualAddress": base << 20, "PagingFenceValue": fence},
        ),
        (
            "D3DKMTMapGpuVirtualAddress",
            {"hPagingQueue": base + 1, "BaseAddress": (base << 20) + 0x1000, "SizeInPages": 4},
            {"VirtualAddress": (base << 20) + offset, "PagingFenceValue": fence + 1},
        ),
        (
            "D3DKMTWaitForSynchronizationObjectFromCpu",
            {"hDevice": base + 3, "ObjectHandleArray": [base + 2], "FenceValueArray": [fence + 1]},
            {},
        ),
        ("D3DKMTFreeGpuVirtualAddress", {"hAdapter": base, "BaseAddress": base << 20, "Size": 1 << 20}, {}),
        ("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": luid}}, {"hAdapter": second or base + 10}),
    )


def test_other_numbers_of_another_run_are_the_same(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a.kmt", 0x40000000, 5, 77)
    second = write_run(tmp_path / "b.kmt", 0x40002000, 905, 78)
    report = tracekmt.diff(first, second)
    assert [finding.message for finding in report.findings] == []
    assert report.calls.compared == 9


def test_an_address_elsewhere_in_its_range_is_a_difference(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a.kmt", 0x40000000, 5, 77)
    second = write_run(tmp_path / "b.kmt", 0x40002000, 905, 77, offset=0x3000)
    (finding,) = tracekmt.diff(first, second).findings
    assert (finding.kind, finding.index, finding.path) == ("field", 5, "VirtualAddress")
    assert finding.recorded == "#4.VirtualAddress + 0x1000"


def test_one_adapter_that_became_two_is_a_difference(tmp_path: Path) -> None:
    adapter = "D3DKMTOpenAdapterFromDeviceName"
    luids = [{"hAdapter": 1 << 30 | n, "AdapterLuid": {"LowPart": 7}} for n in (0x40, 0x80)]
    others = [{"hAdapter": 1 << 30 | n, "AdapterLuid": {"LowPart": low}} for n, low in ((0x40, 7), (0x80, 8))]
    name = {"pDeviceName": "x"}
    first = write_calls(tmp_path / "a.kmt", *((adapter, name, luid) for luid in luids))
    second = write_calls(tmp_path / "b.kmt", *((adapter, name, luid) for luid in others))
    (finding,) = tracekmt.diff(first, second).findings
    assert (finding.index, finding.path) == (1, "AdapterLuid")
    assert finding.message == "AdapterLuid is another adapter luid"


def test_functions_without_a_status_are_compared_by_their_result(tmp_path: Path) -> None:
    for name, result in (("a.kmt", 1), ("b.kmt", 0)):
        with tracekmt.create(tmp_path / name) as trace:
            trace.add("D3DKMTCheckExclusiveOwnership", result=result)
    (finding,) = tracekmt.diff(tmp_path / "a.kmt", tmp_path / "b.kmt").findings
    assert (finding.recorded, finding.replayed) == ("1", "0")


def test_threads_that_begin_alike_belong_together(make: Make, tmp_path: Path) -> None:
    """The second trace has the threads in the opposite order."""
    paths = []
    for order in ((1, 2), (2, 1)):
        paths.append(tmp_path / f"{order}.kmt")
        with tracekmt.create(paths[-1]) as trace:
            for thread in order:
                if thread == 1:
                    luid = {"AdapterLuid": {"LowPart": 1}}
                    trace.add("D3DKMTOpenAdapterFromLuid", luid, {"hAdapter": 0x40000000}, thread=thread)
                else:
                    inputs = {"hAdapter": 5}
                    trace.add("D3DKMTCloseAdapter", inputs, status="STATUS_INVALID_PARAMETER", thread=thread)
    report = tracekmt.diff(*paths)
    assert (report.findings, report.calls.compared) == ([], 2)


def test_an_input_that_the_call_leaves_alone_is_one_difference_and_no_outcome(tmp_path: Path) -> None:
    """The flag word is in and out: one of its bits is an output."""
    paths = [tmp_path / "a.kmt", tmp_path / "b.kmt"]
    element = {"pPrivateDriverData": b"123"}
    for path, flags in zip(paths, ([], ["ReadOnly"]), strict=True):
        with tracekmt.create(path) as trace:
            inputs = {"hDevice": 5, "pAllocationInfo2": [element], "Flags": flags}
            trace.add("D3DKMTCreateAllocation2", inputs, {"pAllocationInfo2": [{**element, "hAllocation": 9}]})
    findings = tracekmt.diff(*paths).findings
    assert [(finding.kind, finding.path) for finding in findings] == [("input", "Flags.ReadOnly")]
    assert tracekmt.diff(*paths, outcomes_only=True).same
