"""The numbers of a trace: of hand-made traces, and in agreement with other commands for large ones."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tracekmt
from tests.minimize.workload import Workload
from tests.overview.game import ADAPTER, DEVICE, MB, QUEUE, write_game
from tracekmt.calls import raw_call
from tracekmt.overview.calls import SLOWEST_CALLS, UNDER_WAY_CALLS, UNDESCRIBED
from tracekmt.overview.gather import gather
from tracekmt.overview.memory import LARGEST_ALLOCATIONS, TRIMS
from tracekmt.report.stats import measure
from tracekmt.simulator.model.allocation_size import sample_data
from tracekmt.trace.builder import Builder

Numbers = dict[str, Any]
FIRST, SECOND = 0x40000100, 0x40000140


@pytest.fixture
def numbers_of(tmp_path: Path) -> Callable[[Callable[[Builder], None]], Numbers]:
    """Return a function that writes a trace by hand and returns its numbers."""

    def run(write: Callable[[Builder], None], **settings: Any) -> Numbers:
        path = tmp_path / "made.kmt"
        with tracekmt.create(path, force=True, **settings) as builder:
            write(builder)
        with tracekmt.open(path) as trace:
            data = gather(trace)
        json.dumps(data)
        return data

    return run


def create(builder: Builder, handle: int, size: int, **settings: Any) -> None:
    element = {"pPrivateDriverData": sample_data(size)}
    inputs = {"hDevice": DEVICE, "pAllocationInfo2": [element]}
    builder.add("D3DKMTCreateAllocation2", inputs, {"pAllocationInfo2": [{"hAllocation": handle}]}, **settings)


def make_resident(builder: Builder, handle: int, to_trim: int = 0, **settings: Any) -> None:
    inputs = {"hPagingQueue": QUEUE, "AllocationList": [handle]}
    builder.add("D3DKMTMakeResident", inputs, {"NumBytesToTrim": to_trim}, **settings)


def on_device(builder: Builder, name: str, handle: int, **settings: Any) -> None:
    lists = {"D3DKMTEvict": "AllocationList", "D3DKMTDestroyAllocation2": "phAllocationList"}
    builder.add(name, {"hDevice": DEVICE, lists[name]: [handle]}, **settings)


def test_calls_are_counted_by_family_function_thread_and_failure(numbers_of: Any) -> None:
    def write(builder: Builder) -> None:
        for thread, status in ((7, 0), (9, "STATUS_NO_MEMORY"), (9, "STATUS_NO_MEMORY"), (9, "STATUS_PENDING")):
            builder.add("D3DKMTCreateDevice", {"hAdapter": 1}, status=status, thread=thread)
        builder.add("D3DKMTCloseAdapter", {"hAdapter": 1}, enter_ns=20_000, leave_ns=29_000, thread=7)

    data = numbers_of(write)
    assert (data["calls"], data["failed"], data["duration_ns"]) == (5, 2, "28000")
    assert [(row["family"], row["calls"], row["failed"], row["time_ns"]) for row in data["families"]] == [
        ("device", 4, 2, "4000"),
        ("adapter", 1, 0, "9000"),
    ]
    assert [(row["call"], row["time_ns"]) for row in data["functions"]] == [
        ("D3DKMTCloseAdapter", "9000"),
        ("D3DKMTCreateDevice", "4000"),
    ]
    (failure,) = data["failures"]
    assert (failure["call"], failure["status"], failure["calls"]) == ("D3DKMTCreateDevice", "STATUS_NO_MEMORY", 2)
    assert (failure["first"], failure["last"], failure["first_ns"], failure["injected"]) == (1, 2, "2000", 0)
    assert [(row["thread"], row["system_id"], row["calls"], row["failed"]) for row in data["threads"]] == [
        (0, 7, 2, 0),
        (1, 9, 3, 2),
    ]
    device = data["families"][0]["over_time"]
    # Calls began after 0, 2000, 4000 and 6000 ns of 28,000 ns.
    assert [position for position, count in enumerate(device) if count] == [0, 4, 8, 12]
    assert sum(data["failed_over_time"]) == 2


def test_waits_are_apart_from_slow_calls(numbers_of: Any) -> None:
    def write(builder: Builder) -> None:
        wait = {"hDevice": DEVICE, "ObjectHandleArray": [5], "FenceValueArray": [1]}
        builder.add("D3DKMTWaitForSynchronizationObjectFromCpu", wait, enter_ns=0, leave_ns=900_000)
        asynchronous = {**wait, "hAsyncEvent": 8}
        builder.add("D3DKMTWaitForSynchronizationObjectFromCpu", asynchronous, enter_ns=900_000, leave_ns=905_000)
        for number in range(SLOWEST_CALLS + 5):
            enter = 1_000_000 + number * 10_000
            builder.add("D3DKMTCloseAdapter", {"hAdapter": 1}, enter_ns=enter, leave_ns=enter + 100 + number // 2)

    data = numbers_of(write)
    assert [row["index"] for row in data["longest_waits"]] == [0]
    slowest = data["slowest"]
    assert len(slowest) == SLOWEST_CALLS
    # The longest first, and of equally long ones the first: calls 25 and 26 took 111 and 112 ns.
    assert [(row["index"], row["time_ns"]) for row in slowest[:4]] == [
        (1, "5000"),
        (26, "112"),
        (24, "111"),
        (25, "111"),
    ]


def test_the_call_under_way_is_apart_from_one_that_was_left(numbers_of: Any) -> None:
    def write(builder: Builder) -> None:
        for status in (None, 0, None):
            builder.add("D3DKMTCloseAdapter", {"hAdapter": 1}, status=status)

    data = numbers_of(write)
    assert data["did_not_return"] == 2
    assert [(row["index"], row["abandoned"]) for row in data["under_way"]] == [(0, True), (2, False)]


def test_memory_has_a_peak_and_a_value_for_each_interval(numbers_of: Any) -> None:
    def write(builder: Builder) -> None:
        create(builder, FIRST, 3 * MB, enter_ns=0, leave_ns=10)
        make_resident(builder, FIRST, enter_ns=100, leave_ns=110)
        create(builder, SECOND, 2 * MB, enter_ns=200, leave_ns=210)
        on_device(builder, "D3DKMTEvict", FIRST, enter_ns=300, leave_ns=310)
        on_device(builder, "D3DKMTDestroyAllocation2", FIRST, enter_ns=590, leave_ns=599)

    memory = numbers_of(write)["memory"]
    assert (memory["requested"]["peak"], memory["requested"]["peak_ns"]) == (5 * MB, "210")
    assert memory["requested"]["over_time"] == [0] + [3 * MB] * 20 + [5 * MB] * 39
    assert memory["resident"]["over_time"] == [0] * 11 + [3 * MB] * 21 + [0] * 28
    assert memory["bytes"] == {"resident": 3 * MB, "evicted": 3 * MB, "offered": 0, "discarded": 0}
    assert [row["allocation"] for row in memory["largest"]] == [
        "#0.pAllocationInfo2[0].hAllocation",
        "#2.pAllocationInfo2[0].hAllocation",
    ]
    first, second = memory["largest"]
    assert (first["times_resident"], first["evictions"], first["destroyed_ns"]) == (1, 1, "599")
    assert [(row["interval"], row["state"]) for row in first["states"]] == [
        (1, "not resident"),
        (11, "resident"),
        (31, "not resident"),
    ]
    assert second["destroyed_ns"] is None


def test_an_allocation_that_was_offered_has_its_old_state_again(numbers_of: Any) -> None:
    def write(builder: Builder) -> None:
        create(builder, FIRST, MB, enter_ns=0, leave_ns=0)
        for time, handles in ((100, [FIRST]), (300, [FIRST])):
            inputs = {"hDevice": DEVICE, "HandleList": handles}
            builder.add("D3DKMTOfferAllocations", inputs, enter_ns=time, leave_ns=time)
            builder.add("D3DKMTReclaimAllocations", inputs, enter_ns=time + 50, leave_ns=time + 50)
            make_resident(builder, FIRST, enter_ns=time + 100, leave_ns=time + 100)
        builder.add("D3DKMTCloseAdapter", {"hAdapter": 1}, enter_ns=599, leave_ns=599)

    memory = numbers_of(write)["memory"]
    assert memory["bytes"] == {"resident": MB, "evicted": 0, "offered": 2 * MB, "discarded": 0}
    assert [(row["interval"], row["state"]) for row in memory["largest"][0]["states"]] == [
        (0, "not resident"),
        (10, "offered"),
        (15, "not resident"),
        (20, "resident"),
        (30, "offered"),
        (35, "resident"),
    ]


def test_budgets_are_those_of_an_adapter_and_group(numbers_of: Any) -> None:
    def write(builder: Builder) -> None:
        builder.add("D3DKMTOpenAdapterFromLuid", {"AdapterLuid": {"LowPart": 0x9C41}}, {"hAdapter": ADAPTER})
        for handle, group, budget, usage in (
            (ADAPTER, 0, 100, 90),
            (ADAPTER, 0, 0, 95),
            (ADAPTER, 1, 1000, 5),
            (0x40FFFFC0, 0, 7, 6),
        ):
            query = {"hAdapter": handle, "MemorySegmentGroup": group}
            builder.add("D3DKMTQueryVideoMemoryInfo", query, {"Budget": budget, "CurrentUsage": usage})

    rows = numbers_of(write)["memory"]["budgets"]
    assert [(row["adapter"], row["group"], row["answers"], row["over"], row["least"]) for row in rows] == [
        ("0:9c41", "local", 2, 1, 0),
        ("0:9c41", "non-local", 1, 0, 1000),
        ("0x40ffffc0", "local", 1, 0, 7),
    ]
    assert [value for value in rows[0]["budget"] if value is not None] == [100, 0]
    assert [value for value in rows[0]["usage"] if value is not None] == [90, 95]


def test_a_trim_has_what_the_program_released(numbers_of: Any) -> None:
    def write(builder: Builder) -> None:
        for handle in (FIRST, SECOND):
            create(builder, handle, 4 * MB)
            make_resident(builder, handle, to_trim=MB if handle == SECOND else 0)
        on_device(builder, "D3DKMTEvict", FIRST)
        make_resident(builder, FIRST)
        on_device(builder, "D3DKMTEvict", SECOND)

    trims = numbers_of(write)["memory"]["trims"]
    assert (trims["count"], trims["bytes"]) == (1, MB)
    (trim,) = trims["largest"]
    assert (trim["index"], trim["bytes"], trim["resident"], trim["released"]) == (3, MB, 8 * MB, 4 * MB)


def test_only_the_largest_trims_are_kept(numbers_of: Any) -> None:
    def write(builder: Builder) -> None:
        create(builder, FIRST, MB)
        for number in range(1, 2 * TRIMS + 1):
            make_resident(builder, FIRST, to_trim=number)

    trims = numbers_of(write)["memory"]["trims"]
    assert trims["count"] == 2 * TRIMS
    assert [row["bytes"] for row in trims["largest"]] == list(range(TRIMS + 1, 2 * TRIMS + 1))


def test_objects_that_no_call_destroys_are_leaks_by_kind_and_function(numbers_of: Any) -> None:
    def write(builder: Builder) -> None:
        builder.add("D3DKMTCreateDevice", {"hAdapter": ADAPTER}, {"hDevice": DEVICE})
        for number in range(3):
            create(builder, FIRST + 64 * number, MB)
        on_device(builder, "D3DKMTDestroyAllocation2", FIRST)

    data = numbers_of(write)
    assert [(row["kind"], row["call"], row["count"], row["first"], row["bytes"]) for row in data["leaks"]] == [
        ("allocation", "D3DKMTCreateAllocation2", 2, 2, 2 * MB),
        ("device", "D3DKMTCreateDevice", 1, 0, 0),
    ]
    kinds = {row["kind"]: row for row in data["objects"]}
    assert (kinds["allocation"]["created"], kinds["allocation"]["left"], kinds["allocation"]["peak"]) == (3, 2, 3)
    assert max(kinds["allocation"]["over_time"]) == 3


@pytest.mark.parametrize("made", ["empty", "one", "under way"])
def test_a_trace_of_at_most_one_call(numbers_of: Any, made: str) -> None:
    def write(builder: Builder) -> None:
        if made != "empty":
            status = None if made == "under way" else 0
            builder.add("D3DKMTCloseAdapter", {"hAdapter": 1}, status=status)

    data = numbers_of(write)
    assert data["calls"] == sum(row["calls"] for row in data["families"]) == (made != "empty")
    assert data["did_not_return"] == (made == "under way")
    assert data["memory"]["requested"]["over_time"] == [0] * data["intervals"]


def test_an_undescribed_function_has_its_family(tmp_path: Path) -> None:
    name = "D3DKMTCreateSwapChain"
    with Builder(tmp_path / "raw.kmt", {name: raw_call(name)}) as builder:
        builder.add(name, {})
    with tracekmt.open(tmp_path / "raw.kmt") as trace:
        data = gather(trace)
    assert [(row["family"], row["calls"]) for row in data["families"]] == [(UNDESCRIBED, 1)]
    assert data["origin"]["undescribed"] == [{"call": name, "count": 1}]


@pytest.mark.parametrize("made", ["game", "workload"])
def test_the_numbers_agree_with_those_of_stats(tmp_path: Path, made: str) -> None:
    path = tmp_path / "made.kmt"
    if made == "game":
        write_game(path, 60)
    else:
        with tracekmt.create(path) as builder:
            Workload(builder, random.Random(3)).run(300)
    with tracekmt.open(path) as trace:
        data, stats = gather(trace), measure(trace, jobs=1)
    failures = [row for row in stats["functions"] if row["status"] not in ("STATUS_SUCCESS", "STATUS_PENDING")]
    assert data["failed"] == sum(row["count"] for row in failures if row["status"] != "did not return")
    for function in data["functions"]:
        rows = [row for row in stats["functions"] if row["call"] == function["call"]]
        assert function["calls"] == sum(row["count"] for row in rows)
        assert int(function["time_ns"]) == sum(int(row["time_ns"]) for row in rows)
        assert int(function["longest_ns"]) == max(int(row["longest_ns"]) for row in rows)
    kinds = {row["kind"]: row for row in data["objects"]}
    for row in stats["objects"]:
        kind = kinds[row["kind"]]
        assert (kind["created"], kind["destroyed"], kind["left"]) == (row["born"], row["died"], row["left"])
        assert kind["peak"] <= row["peak"]  # A call that creates and destroys counts as one change here.
    assert sum(row["count"] for row in data["leaks"]) == len(stats["leaks"])
    for values in (data["families"], data["threads"]):
        assert sum(sum(row["over_time"]) for row in values) == len(trace)


def test_the_numbers_do_not_grow_with_the_trace(tmp_path: Path) -> None:
    sizes = []
    for frames in (100, 800):
        with tracekmt.open(write_game(tmp_path / f"{frames}.kmt", frames)) as trace:
            data = gather(trace)
        sizes.append(len(json.dumps({**data, "origin": None})) / data["intervals"])
        assert len(data["under_way"]) <= UNDER_WAY_CALLS
        assert len(data["memory"]["largest"]) == LARGEST_ALLOCATIONS
        assert all(len(row["states"]) <= data["intervals"] for row in data["memory"]["largest"])
    assert sizes[1] < 1.2 * sizes[0]


def test_progress_is_reported(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    with tracekmt.open(write_game(tmp_path / "game.kmt", 10)) as trace:
        gather(trace, on_progress=lambda done, total: seen.append((done, total)))
        assert seen[-1] == (len(trace), len(trace))
