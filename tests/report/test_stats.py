"""Statistics count calls and objects, and list leaks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tracekmt
from tracekmt.report.stats import STEPS, function_rows, leak_lines, measure, object_rows
from tracekmt.resources import resource

ADAPTER, DEVICE, RESOURCE, FIRST, SECOND = 0x40000000, 0x40000040, 0x40000080, 0x400000C0, 0x40000100


def stats_of(path: Path) -> dict[str, Any]:
    with tracekmt.open(path) as trace:
        return measure(trace)


def test_the_sample() -> None:
    stats = stats_of(resource("traces", "demo.kmt"))
    assert (stats["calls"], stats["leaks"]) == (19, [])
    assert sum(entry["count"] for entry in stats["functions"]) == 19
    kinds = {row["kind"]: (row["born"], row["died"], row["left"], row["peak"]) for row in stats["objects"]}
    assert kinds == {
        "adapter": (2, 2, 0, 2),
        "device": (2, 2, 0, 2),
        "allocation": (4, 4, 0, 3),
        "resource": (2, 2, 0, 2),
        "global share": (1, 1, 0, 1),
    }
    rows = list(function_rows(stats))
    assert [row[:2] for row in rows[1:4]] == [
        ("D3DKMTCreateAllocation2", "8"),
        ("    STATUS_DEVICE_REMOVED", "1"),
        ("    STATUS_GRAPHICS_NO_VIDEO_MEMORY", "1"),
    ]
    assert list(leak_lines(stats)) == []


def leaky(path: Path) -> None:
    """Write a trace of a device with a resource of two allocations. One allocation is destroyed, one call fails."""
    with tracekmt.create(path) as trace:
        trace.add("D3DKMTOpenAdapterFromLuid", {}, {"hAdapter": ADAPTER}, enter_ns=0, leave_ns=10)
        trace.add("D3DKMTCreateDevice", {"hAdapter": ADAPTER}, {"hDevice": DEVICE}, enter_ns=10, leave_ns=30)
        outputs = {"hResource": RESOURCE, "pAllocationInfo2": [{"hAllocation": FIRST}, {"hAllocation": SECOND}]}
        create = {"hDevice": DEVICE, "pAllocationInfo2": [{}, {}], "Flags": ["CreateResource"]}
        trace.add("D3DKMTCreateAllocation2", create, outputs, enter_ns=100, leave_ns=150)
        trace.add("D3DKMTCreateAllocation2", create, outputs, "STATUS_NO_MEMORY", enter_ns=160, leave_ns=170)
        destroy = {"hDevice": DEVICE, "phAllocationList": [FIRST]}
        trace.add("D3DKMTDestroyAllocation2", destroy, {}, enter_ns=200, leave_ns=240)
        trace.add("D3DKMTLock2", {"hDevice": DEVICE, "hAllocation": SECOND}, None, None, enter_ns=240)


def test_objects_that_were_never_destroyed(tmp_path: Path) -> None:
    leaky(tmp_path / "leaky.kmt")
    stats = stats_of(tmp_path / "leaky.kmt")
    assert [(leak["kind"], leak["index"], leak["path"]) for leak in stats["leaks"]] == [
        ("adapter", 0, "hAdapter"),
        ("device", 1, "hDevice"),
        ("resource", 2, "hResource"),
        ("allocation", 2, "pAllocationInfo2[1].hAllocation"),
    ]
    assert list(leak_lines(stats))[:2] == [
        "never destroyed: 4",
        "    adapter of #0 D3DKMTOpenAdapterFromLuid  hAdapter",
    ]


def test_numbers_by_function_and_status(tmp_path: Path) -> None:
    leaky(tmp_path / "leaky.kmt")
    stats = stats_of(tmp_path / "leaky.kmt")
    assert stats["duration_ns"] == "240"
    numbers = {(entry["call"], entry["status"]): entry for entry in stats["functions"]}
    created = numbers["D3DKMTCreateAllocation2", "STATUS_SUCCESS"]
    assert (created["count"], created["time_ns"], created["longest_ns"]) == (1, "50", "50")
    with tracekmt.open(tmp_path / "leaky.kmt") as trace:
        assert created["bytes"] == trace[2].size == 2 * sum(len(data) for _, _, data in trace[2].enter.regions)
    assert numbers["D3DKMTLock2", "did not return"]["count"] == 1


def test_live_objects_over_time(tmp_path: Path) -> None:
    leaky(tmp_path / "leaky.kmt")
    objects = stats_of(tmp_path / "leaky.kmt")["objects"]
    allocation = next(row for row in objects if row["kind"] == "allocation")
    over_time = allocation["over_time"]
    assert (allocation["peak"], allocation["peak_ns"], allocation["left"]) == (2, "150", 1)
    assert len(over_time) == STEPS
    created, destroyed = 150 * STEPS // 241, 240 * STEPS // 241
    assert over_time == [0] * created + [2] * (destroyed - created + 1) + [1] * (STEPS - destroyed - 1)
    assert all(len(row[-1]) == STEPS + 2 for row in object_rows(stats_of(tmp_path / "leaky.kmt")))
