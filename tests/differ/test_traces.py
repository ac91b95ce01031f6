"""Two traces side by side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import tracekmt
from tracekmt.resources import resource
from tracekmt.trace.writer import Builder

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A trace of two threads: open, devices, allocations; `base` moves the handles, `change` edits it."""

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
